/* Encoding and decoding of small vocabularies, where each answer can be checked by eye. */
#include <string.h>

#include "models/tokenizer-private.h"
#include "vocabulary.h"

/* a=4 b=5 c=6 ab=7 bc=8 abc=9 ▁=10 ▁▁=11 \n=12 \n\n=13 <b>=14 <start_of_turn>=15 é=16 <x>=17 (special) */
#define VOCAB "\"<pad>\": 0, \"<eos>\": 1, \"<bos>\": 2, \"<unk>\": 3, \"a\": 4, \"b\": 5, \"c\": 6, \"ab\": 7, \"bc\": 8, " \
    "\"abc\": 9, \"▁\": 10, \"▁▁\": 11, \"\\n\": 12, \"\\n\\n\": 13, \"<b>\": 14, \"<start_of_turn>\": 15, " \
    "\"\\u00e9\": 16, \"<x>\": 17"
#define ADDED "{\"id\": 3, \"content\": \"<unk>\", \"special\": true}, {\"id\": 12, \"content\": \"\\n\", \"special\": false}, " \
    "{\"id\": 13, \"content\": \"\\n\\n\", \"special\": false}, {\"id\": 14, \"content\": \"<b>\", \"special\": false}, " \
    "{\"id\": 15, \"content\": \"<start_of_turn>\", \"special\": false}, {\"id\": 17, \"content\": \"<x>\", \"special\": true}"
#define NORMALIZER "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"▁\"}"

static GemmaTokenizer *
make_json (const gchar *merges, const gchar *model_extra)
{
  g_autofree gchar *json = g_strdup_printf ("{\"added_tokens\": [" ADDED "], \"normalizer\": " NORMALIZER
      ", \"model\": {\"type\": \"BPE\", %s\"vocab\": {" VOCAB "}, \"merges\": [%s]}}", model_extra, merges);
  g_autoptr (GError) error = NULL;
  GemmaTokenizer *tokenizer = gemma_tokenizer_new_from_json_data ("test", json, strlen (json), &error);

  g_assert_no_error (error);
  return tokenizer;
}

static void
check_pieces (GemmaTokenizer *tokenizer, const gchar *text, gboolean parse_control, const gchar *expected)
{
  g_autofree gchar *pieces = encode_to_pieces (tokenizer, text, -1, parse_control);

  fail_unless_equals_string (pieces, expected);
}

GST_START_TEST (test_rank_before_place)
{
  GemmaTokenizer *bc_first = make_json ("[\"b\", \"c\"], [\"a\", \"b\"]", "");
  GemmaTokenizer *ab_first = make_json ("\"a b\", \"b c\", \"ab c\"", "");

  check_pieces (bc_first, "abc", FALSE, "a|bc");
  check_pieces (ab_first, "abc", FALSE, "abc");
  check_pieces (ab_first, "aabbc", FALSE, "a|ab|bc");
  gemma_tokenizer_free (bc_first);
  gemma_tokenizer_free (ab_first);
}
GST_END_TEST;

GST_START_TEST (test_added_tokens)
{
  GemmaTokenizer *t = make_json ("\"a b\", \"▁ ▁\"", "");

  check_pieces (t, "a\n\n\nb", FALSE, "a|\n\n|\n|b");
  check_pieces (t, "ab<b>ab   c", FALSE, "ab|<b>|ab|▁▁|▁|c");
  /* Control by its flag, and by its name although the file says otherwise. */
  check_pieces (t, "a<x>b", TRUE, "a|<x>|b");
  check_pieces (t, "a<start_of_turn>b", TRUE, "a|<start_of_turn>|b");
  gemma_tokenizer_free (t);
}
GST_END_TEST;

GST_START_TEST (test_control_stays_text)
{
  GemmaTokenizer *t = make_json ("\"a b\"", "\"unk_token\": \"<unk>\", \"fuse_unk\": true, ");
  g_autoptr (GArray) ids = encode (t, "<start_of_turn>a<x>b<unk>", -1, FALSE);

  for (guint i = 0; i < ids->len; i++) {
    gint32 id = g_array_index (ids, gint32, i);

    fail_if (id == 15 || id == 17, "user text became control token %d", id);
  }
  fail_unless (gemma_tokenizer_is_control (t, 15) && gemma_tokenizer_is_control (t, 17));
  fail_if (gemma_tokenizer_is_control (t, 14) || gemma_tokenizer_is_control (t, 4));
  gemma_tokenizer_free (t);
}
GST_END_TEST;

GST_START_TEST (test_unknown_without_bytes)
{
  GemmaTokenizer *fused = make_json ("", "\"unk_token\": \"<unk>\", \"fuse_unk\": true, ");
  GemmaTokenizer *single = make_json ("", "\"unk_token\": \"<unk>\", ");
  GemmaTokenizer *dropped = make_json ("", "");

  check_pieces (fused, "axyb", FALSE, "a|<unk>|b");
  check_pieces (single, "axyb", FALSE, "a|<unk>|<unk>|b");
  check_pieces (dropped, "axyb", FALSE, "a|b");
  gemma_tokenizer_free (fused);
  gemma_tokenizer_free (single);
  gemma_tokenizer_free (dropped);
}
GST_END_TEST;

/* The golden vocabulary, which has byte pieces. */
static GemmaTokenizer *
load_golden (void)
{
  g_autoptr (GError) error = NULL;
  GemmaTokenizer *t = gemma_tokenizer_new_from_json (GOLDEN_DIR "/tokenizer.json", &error);

  g_assert_no_error (error);
  return t;
}

GST_START_TEST (test_nul_and_invalid_utf8)
{
  static const struct
  {
    const gchar *text;
    gssize length;
    const gchar *expected;
  } rows[] = {
    {"a\0b", 3, "a|<0x00>|b"},
    {"a\xff" "b", 3, "a|<0xEF>|<0xBF>|<0xBD>|b"},
    {"\xe2\x82", 2, "<0xEF>|<0xBF>|<0xBD>|<0xEF>|<0xBF>|<0xBD>"},       /* cut off */
    {"\xc0\x80", 2, "<0xEF>|<0xBF>|<0xBD>|<0xEF>|<0xBF>|<0xBD>"},       /* overlong */
    {"", 0, ""},
    {"a", 0, ""},
  };
  GemmaTokenizer *t = load_golden ();

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree gchar *pieces = encode_to_pieces (t, rows[i].text, rows[i].length, FALSE);

    fail_unless_equals_string (pieces, rows[i].expected);
  }
  gemma_tokenizer_free (t);
}
GST_END_TEST;

/* Time for a megabyte of one character is at most a few times that of a megabyte of words: nothing is quadratic. */
GST_START_TEST (test_long_runs)
{
  static const gchar *const units[] = { "the word ", "a", " ", "\n", "é", "日", "ab", "<", "\xff", "▁" };
  GemmaTokenizer *t = load_golden ();

  for (guint i = 0; i < G_N_ELEMENTS (units); i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    gint64 start;

    while (text->len < 1 << 20)
      g_string_append (text, units[i]);
    start = g_get_monotonic_time ();
    g_array_unref (encode (t, text->str, text->len, FALSE));
    /* It takes 0.1 to 0.4 s; one quadratic step over 10^6 symbols would take minutes, also under valgrind. */
    fail_unless (g_get_monotonic_time () - start < 20 * G_USEC_PER_SEC, "\"%s\" repeated", units[i]);
  }
  gemma_tokenizer_free (t);
}
GST_END_TEST;

static void
push (GemmaDecoder *decoder, GemmaTokenizer *t, const gchar *piece, const gchar *expected)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gint id = gemma_tokenizer_find (t, piece);

  fail_unless (id >= 0, "no piece %s", piece);
  gemma_decoder_push (decoder, id, text);
  fail_unless_equals_string (text->str, expected);
}

GST_START_TEST (test_decoder_waits_for_whole_characters)
{
  GemmaTokenizer *t = load_golden ();
  GemmaDecoder *decoder = gemma_decoder_new (t);
  g_autoptr (GString) text = g_string_new (NULL);

  push (decoder, t, "<0xF0>", "");
  push (decoder, t, "<0x9F>", "");
  push (decoder, t, "<0x91>", "");
  push (decoder, t, "<0x8D>", "👍");
  push (decoder, t, "<0x41>", "A");
  /* A character that another token cuts off; a byte that begins none; a new character inside one. */
  push (decoder, t, "<0xE6>", "");
  push (decoder, t, "<0x97>", "");
  push (decoder, t, "a", "\xef\xbf\xbd\xef\xbf\xbd" "a");
  push (decoder, t, "<0xFF>", "\xef\xbf\xbd");
  push (decoder, t, "<0xE6>", "");
  push (decoder, t, "<0xC3>", "\xef\xbf\xbd");
  push (decoder, t, "<0xA9>", "é");
  push (decoder, t, "▁▁", "  ");
  push (decoder, t, "<bos>", "");
  push (decoder, t, "<end_of_turn>", "");
  push (decoder, t, "<0xC3>", "");
  gemma_decoder_finish (decoder, text);
  fail_unless_equals_string (text->str, "\xef\xbf\xbd");
  gemma_decoder_finish (decoder, text);
  fail_unless_equals_string (text->str, "\xef\xbf\xbd");
  gemma_decoder_push (decoder, -1, text);
  gemma_decoder_push (decoder, gemma_tokenizer_get_size (t), text);
  fail_unless_equals_string (text->str, "\xef\xbf\xbd");
  gemma_decoder_free (decoder);
  gemma_tokenizer_free (t);
}
GST_END_TEST;

/* SentencePiece's rules: the better score first, unused pieces are split as they were made. */
GST_START_TEST (test_gguf_scores_and_unused)
{
  static const gchar *const tokens[] = { "<unk>", "<bos>", "<eos>", "a", "b", "c", "ab", "bc", "abc", "▁", "\n" };
  const gfloat scores[] = { 0, 0, 0, -9, -9, -9, -2, -1, -3, -9, -1000 };
  const gint32 types[] = { 2, 3, 3, 1, 1, 1, 1, 5, 1, 1, 4 };
  g_autoptr (GError) error = NULL;
  Image *image = image_new ();
  GemmaTokenizer *t;

  set_vocabulary (image, tokens, G_N_ELEMENTS (tokens), scores, G_N_ELEMENTS (scores), types, G_N_ELEMENTS (types));
  image_set_u32 (image, "tokenizer.ggml.bos_token_id", 1);
  image_set_u32 (image, "tokenizer.ggml.eos_token_id", 2);
  image_set_u32 (image, "tokenizer.ggml.unknown_token_id", 0);
  t = tokenizer_from_image (image, &error);
  g_assert_no_error (error);
  check_pieces (t, "abc", FALSE, "abc");        /* bc first, then a + bc */
  check_pieces (t, "bc", FALSE, "b|c");         /* bc is unused */
  check_pieces (t, "ab a\n", FALSE, "ab|▁|a|\n");
  check_pieces (t, "axyb", FALSE, "a|<unk>|b");
  check_pieces (t, "a<bos>", FALSE, "a|<unk>|b|<unk>");
  check_pieces (t, "a<bos>", TRUE, "a|<bos>");
  gemma_tokenizer_free (t);
}
GST_END_TEST;

static Suite *
tokenizer_suite (void)
{
  Suite *s = suite_create ("tokenizer");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 100);
  tcase_add_test (tc, test_rank_before_place);
  tcase_add_test (tc, test_added_tokens);
  tcase_add_test (tc, test_control_stays_text);
  tcase_add_test (tc, test_unknown_without_bytes);
  tcase_add_test (tc, test_nul_and_invalid_utf8);
  tcase_add_test (tc, test_long_runs);
  tcase_add_test (tc, test_decoder_waits_for_whole_characters);
  tcase_add_test (tc, test_gguf_scores_and_unused);
  return s;
}

GST_CHECK_MAIN (tokenizer);
