/* Ids of a corpus in 150 languages against SentencePiece and the tokenizers library (tests/golden/tokenizer.py). */
#include <string.h>

#include "examples/npy.h"
#include "vocabulary.h"

/* Texts of a file with a C-escaped one on each line. */
static GPtrArray *
read_texts (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (GOLDEN_DIR, name, NULL), *data = NULL;
  GPtrArray *texts = g_ptr_array_new_with_free_func (g_free);
  gchar *line, *end;

  fail_unless (g_file_get_contents (path, &data, NULL, NULL));
  for (line = data; *line; line = end + 1) {
    end = strchr (line, '\n');
    *end = '\0';
    g_ptr_array_add (texts, g_strcompress (line));
  }
  return texts;
}

static Npy *
read_ids (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (GOLDEN_DIR, name, NULL);
  g_autoptr (GError) error = NULL;
  Npy *npy = npy_read_shape (path, NPY_I32, &error, 1, -1);

  g_assert_no_error (error);
  return npy;
}

/* For each text a count and that many ids. @changes: (nullable): the texts that differ, each led by its number. */
static const gint32 **
index_ids (const Npy *base, const Npy *changes, guint n)
{
  const gint32 **at = g_new (const gint32 *, n), *p = base->i32;

  for (guint i = 0; i < n; i++) {
    at[i] = p;
    p += 1 + *p;
  }
  fail_unless (p == base->i32 + base->n);
  if (changes) {
    for (p = changes->i32; p < changes->i32 + changes->n; p += 1 + *p) {
      at[*p] = p + 1;
      p++;
    }
    fail_unless (changes->n > 0 && p == changes->i32 + changes->n);
  }
  return at;
}

static GemmaTokenizer *
load (gboolean json)
{
  g_autofree gchar *path = g_build_filename (GOLDEN_DIR, json ? "tokenizer.json" : "tokenizer.gguf", NULL);
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights = json ? NULL : gemma_weights_open_gguf (path, &error);
  GemmaTokenizer *tokenizer;

  g_assert_no_error (error);
  tokenizer = json ? gemma_tokenizer_new_from_json (path, &error) : gemma_tokenizer_new_from_gguf (weights, &error);
  g_assert_no_error (error);
  g_clear_pointer (&weights, gemma_weights_unref);
  return tokenizer;
}

static void
check_corpus (gboolean json, gboolean parse_control, const gchar *changes_name)
{
  g_autoptr (GPtrArray) texts = read_texts ("corpus.txt");
  g_autoptr (Npy) base = read_ids ("gguf-plain.npy");
  g_autoptr (Npy) changes = changes_name ? read_ids (changes_name) : NULL;
  g_autofree const gint32 **expected = index_ids (base, changes, texts->len);
  GemmaTokenizer *tokenizer = load (json);
  guint wrong = 0;

  fail_unless (texts->len >= 2000);
  for (guint i = 0; i < texts->len; i++) {
    const gchar *text = g_ptr_array_index (texts, i);
    g_autoptr (GArray) ids = encode (tokenizer, text, -1, parse_control);

    if ((gint) ids->len != expected[i][0] || memcmp (ids->data, expected[i] + 1, ids->len * sizeof (gint32)) != 0) {
      g_printerr ("text %u: \"%s\" differs\n", i + 1, text);
      wrong++;
    }
  }
  fail_unless_equals_int (wrong, 0);
  gemma_tokenizer_free (tokenizer);
}

GST_START_TEST (test_gguf_control_tokens_are_text)
{
  check_corpus (FALSE, FALSE, NULL);
}
GST_END_TEST;

GST_START_TEST (test_gguf_control_tokens)
{
  check_corpus (FALSE, TRUE, "gguf-control.npy");
}
GST_END_TEST;

GST_START_TEST (test_json_control_tokens_are_text)
{
  check_corpus (TRUE, FALSE, "json-plain.npy");
}
GST_END_TEST;

GST_START_TEST (test_json_control_tokens)
{
  check_corpus (TRUE, TRUE, "json-control.npy");
}
GST_END_TEST;

/* Every text comes back, character by character, with bytes that are wrong as U+FFFD. */
static void
check_round_trip (gboolean json)
{
  g_autoptr (GPtrArray) texts = read_texts ("corpus.txt");
  GemmaTokenizer *tokenizer = load (json);

  for (guint i = 0; i < texts->len; i++) {
    const gchar *text = g_ptr_array_index (texts, i);
    g_autoptr (GArray) ids = encode (tokenizer, text, -1, FALSE);
    g_autofree gchar *valid = g_utf8_make_valid (text, -1);
    g_auto (GStrv) parts = g_strsplit (valid, "▁", -1);
    g_autofree gchar *expected = g_strjoinv (" ", parts);
    g_autoptr (GString) decoded = g_string_new (NULL);
    GemmaDecoder *decoder = gemma_decoder_new (tokenizer);

    for (guint j = 0; j < ids->len; j++) {
      gemma_decoder_push (decoder, g_array_index (ids, gint32, j), decoded);
      fail_unless (g_utf8_validate (decoded->str, decoded->len, NULL), "half a character after id %u of text %u", j, i + 1);
    }
    gemma_decoder_finish (decoder, decoded);
    fail_unless_equals_string (decoded->str, expected);
    gemma_decoder_free (decoder);
  }
  gemma_tokenizer_free (tokenizer);
}

GST_START_TEST (test_round_trip)
{
  check_round_trip (__i__ == 0);
}
GST_END_TEST;

GST_START_TEST (test_decoding)
{
  g_autoptr (GPtrArray) texts = read_texts ("decoded.txt");
  g_autoptr (Npy) npy = read_ids ("decoded.npy");
  g_autofree const gint32 **ids = index_ids (npy, NULL, texts->len);
  GemmaTokenizer *tokenizer = load (__i__ == 0);
  GemmaDecoder *decoder = gemma_decoder_new (tokenizer);

  for (guint i = 0; i < texts->len; i++) {
    g_autoptr (GString) decoded = g_string_new (NULL);

    for (gint j = 1; j <= ids[i][0]; j++)
      gemma_decoder_push (decoder, ids[i][j], decoded);
    gemma_decoder_finish (decoder, decoded);
    fail_unless_equals_string (decoded->str, g_ptr_array_index (texts, i));
  }
  gemma_decoder_free (decoder);
  gemma_tokenizer_free (tokenizer);
}
GST_END_TEST;

static Suite *
tokenizer_golden_suite (void)
{
  Suite *s = suite_create ("tokenizer_golden");
  TCase *tc = tcase_create ("golden");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_gguf_control_tokens_are_text);
  tcase_add_test (tc, test_gguf_control_tokens);
  tcase_add_test (tc, test_json_control_tokens_are_text);
  tcase_add_test (tc, test_json_control_tokens);
  tcase_add_loop_test (tc, test_round_trip, 0, 2);
  tcase_add_loop_test (tc, test_decoding, 0, 2);
  return s;
}

GST_CHECK_MAIN (tokenizer_golden);
