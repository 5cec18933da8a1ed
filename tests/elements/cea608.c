/* Text to line 21 captions: what is sent, and what ffmpeg's decoder makes of it. */
#include "util.h"

#include <gst/gemma/gemma.h>
#include <string.h>

#include "line21-decode.h"

#define FRAME (GST_SECOND / 30)
#define N_FRAMES(seconds) ((seconds) * 30)

static GstGemmaCea608Encoder *
new_encoder (guint rows)
{
  GstGemmaCea608Encoder *encoder = gst_gemma_cea608_encoder_new ();

  gst_gemma_cea608_encoder_set_layout (encoder, rows, 15, 0);
  gst_gemma_cea608_encoder_set_timing (encoder, FRAME, 5 * GST_SECOND, MS (500));
  return encoder;
}

static void
add (GstGemmaCea608Encoder *encoder, guint64 start, guint64 duration, const gchar *text)
{
  fail_unless (gst_gemma_cea608_encoder_add_text (encoder, MS (start), MS (duration), text));
}

/* Everything that is sent from frame @from on: two bytes a frame. */
static guint8 *
send (GstGemmaCea608Encoder *encoder, guint from, guint n_frames)
{
  guint8 *pairs = g_malloc (2 * n_frames);

  for (guint i = 0; i < n_frames; i++) {
    gboolean something = gst_gemma_cea608_encoder_take_pair (encoder, (from + i) * FRAME, pairs + 2 * i);
    fail_unless_equals_int (something, pairs[2 * i] != 0x80 || pairs[2 * i + 1] != 0x80);
    fail_unless (__builtin_parity (pairs[2 * i]) && __builtin_parity (pairs[2 * i + 1]), "parity");
  }
  return pairs;
}

static void
check_bytes (const guint8 *pairs, guint frame, const gchar *expected)
{
  g_autoptr (GString) got = g_string_new (NULL);

  for (guint i = 0; i < strlen (expected) / 5 + 1; i++)
    g_string_append_printf (got, "%s%02x%02x", i ? " " : "", pairs[2 * (frame + i)], pairs[2 * (frame + i) + 1]);
  fail_unless_equals_string (got->str, expected);
}

static void
check_screens (GPtrArray *screens, const gchar *const *expected)
{
  for (guint i = 0; i < screens->len && expected[i]; i++)
    fail_unless_equals_string (((Screen *) g_ptr_array_index (screens, i))->text, expected[i]);
  fail_unless_equals_int (screens->len, g_strv_length ((gchar **) expected));
}

static void
check_decoded (GstGemmaCea608Encoder *encoder, guint seconds, const gchar *const *expected)
{
  g_autofree guint8 *pairs = send (encoder, 0, N_FRAMES (seconds));
  g_autoptr (GPtrArray) screens = decode_line21 (pairs, N_FRAMES (seconds));

  check_screens (screens, expected);
}

/* Resume with two rows, address of row 15, text, complete when it is said; erased 5 s after its end. */
GST_START_TEST (test_bytes_and_times)
{
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);
  g_autofree guint8 *pairs = NULL;

  add (encoder, 1000, 500, "Hi.");
  add (encoder, 3000, 500, "You");
  pairs = send (encoder, 0, N_FRAMES (10));
  check_bytes (pairs, 23, "8080 9425 9425 9470 9470 c8e9 ae80 8080");
  /* The second on a row of its own, since a pause was before it. */
  check_bytes (pairs, 81, "8080 9425 9425 94ad 94ad 9470 9470 d9ef 7580 8080");
  /* 8.5 s after the begin, not a frame sooner. */
  check_bytes (pairs, 254, "8080 942c 942c 8080");
  fail_unless (gst_gemma_cea608_encoder_is_idle (encoder));
}

GST_END_TEST;

GST_START_TEST (test_places)
{
  static const struct
  {
    guint rows, base_row, column;
    const gchar *codes;
  } places[] = {
    { 2, 2, 0, "9425 9425 9170 9170" },
    { 3, 3, 0, "9426 9426 92d0 92d0" },
    { 4, 4, 4, "94a7 94a7 92f2 92f2" },
    { 2, 5, 8, "9425 9425 1554 1554" },
    { 2, 11, 12, "9425 9425 10d6 10d6" },
    { 2, 12, 1, "9425 9425 13d0 13d0 97a1 97a1" },
    { 2, 15, 31, "9425 9425 94fe 94fe 9723 9723" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);
    g_autofree guint8 *pairs = NULL;

    gst_gemma_cea608_encoder_set_layout (encoder, places[i].rows, places[i].base_row, places[i].column);
    add (encoder, 0, 0, "x");
    pairs = send (encoder, 0, 20);
    check_bytes (pairs, 0, places[i].codes);
  }
}

GST_END_TEST;

/* Rows fill with whole words; two, three or four of them are seen. */
GST_START_TEST (test_roll_up)
{
  static const gchar text[] = "The quick brown fox jumps over the lazy dog, and nobody knows why it does so again and again.";
  static const gchar *const two[] = {
    "The quick brown fox jumps over",
    "The quick brown fox jumps over\nthe lazy dog, and nobody knows",
    "the lazy dog, and nobody knows\nwhy it does so again and again.",
    "why it does so again and again.\nEnd", NULL
  };
  static const gchar *const three[] = {
    "The quick brown fox jumps over",
    "The quick brown fox jumps over\nthe lazy dog, and nobody knows",
    "The quick brown fox jumps over\nthe lazy dog, and nobody knows\nwhy it does so again and again.",
    "the lazy dog, and nobody knows\nwhy it does so again and again.\nEnd", NULL
  };
  static const gchar *const four[] = {
    "The quick brown fox jumps over",
    "The quick brown fox jumps over\nthe lazy dog, and nobody knows",
    "The quick brown fox jumps over\nthe lazy dog, and nobody knows\nwhy it does so again and again.",
    "The quick brown fox jumps over\nthe lazy dog, and nobody knows\nwhy it does so again and again.\nEnd", NULL
  };
  const gchar *const *expected[] = { two, three, four };

  for (guint rows = 2; rows <= 4; rows++) {
    g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (rows);

    add (encoder, 2000, 3000, text);
    add (encoder, 6000, 1000, "End");
    check_decoded (encoder, 15, expected[rows - 2]);
  }
}

GST_END_TEST;

GST_START_TEST (test_wrapping)
{
  static const gchar *const expected[] = {
    "12345678901234567890123456789012",
    "12345678901234567890123456789012\nabc",
    "abc\nLoremipsumdolorsitametconsectetu",
    "Loremipsumdolorsitametconsectetu\nradipiscing elit", NULL
  };
  static const gchar *const narrow[] = { "one two", "one two\nthree", NULL };
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2), right = new_encoder (2);

  add (encoder, 1000, 0, "  12345678901234567890123456789012 \r\n\n abc\n");
  add (encoder, 2000, 0, "Loremipsumdolorsitametconsecteturadipiscing elit");
  add (encoder, 2500, 0, " \n ");
  check_decoded (encoder, 12, expected);
  gst_gemma_cea608_encoder_set_layout (right, 2, 15, 24);
  add (right, 1000, 0, "one two three");
  check_decoded (right, 12, narrow);
}

GST_END_TEST;

/* Words one by one share a row; a pause, a new speaker, or the row's end begins another. */
GST_START_TEST (test_words)
{
  static const gchar *const words[] = { "Captions", "come", "word", "by", "word", "when", "streaming" };
  static const gchar *const expected[] = {
    "Captions come word by word when",
    "Captions come word by word when\nstreaming",
    "streaming\nLater",
    "Later\n>> Who?", NULL
  };
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);
  g_autofree guint8 *pairs = NULL;
  g_autoptr (GPtrArray) screens = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    add (encoder, 1000 + 400 * i, 300, words[i]);
  add (encoder, 4400, 300, "Later");
  gst_gemma_cea608_encoder_break_row (encoder, ">> ");
  add (encoder, 4800, 300, "Who?");
  pairs = send (encoder, 0, N_FRAMES (12));
  /* " come", the second word: complete at 1.4 s. */
  check_bytes (pairs, 39, "20e3 ef6d e580 8080");
  screens = decode_line21 (pairs, N_FRAMES (12));
  check_screens (screens, expected);
}

GST_END_TEST;

/* Each row of a long text is there when it is said, not all at once. */
GST_START_TEST (test_rows_keep_pace)
{
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);
  g_autofree guint8 *pairs = NULL;
  g_autoptr (GPtrArray) screens = NULL;

  add (encoder, 2000, 12000, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccccccccccccccccccccccccccccccc "
      "ddddddddddddddddddddddddddddddd");
  pairs = send (encoder, 0, N_FRAMES (30));
  screens = decode_line21 (pairs, N_FRAMES (30));
  fail_unless_equals_int (screens->len, 4);
  for (guint i = 0; i < 4; i++) {
    /* Row i is complete at 2 + 3 i seconds, and has taken less than 0.9 s: it rolls up when the next begins. */
    GstClockTime end = ((Screen *) g_ptr_array_index (screens, i))->end, next = MS (2000 + 3000 * (i + 1));
    if (i < 3)
      fail_unless (end < next && end + MS (900) > next, "%u: %" GST_TIME_FORMAT, i, GST_TIME_ARGS (end));
    else
      fail_unless (end >= MS (19000) && end < MS (19200), "%" GST_TIME_FORMAT, GST_TIME_ARGS (end));
  }
}

GST_END_TEST;

/* All characters of CEA-608, each twice so that equal ones follow each other. Three of them look a little different in
 * ffmpeg. */
GST_START_TEST (test_characters)
{
  static const gchar *const rows[] = {
    "!!\"\"##$$%%&&(())++,,--..//00::;;", "<<==>>??@@AAZZ[[]]aazz99", "ááééííóóúúçç÷÷ÑÑññ██",
    "®®°°½½¿¿™™¢¢££♪♪ààèèââêêîîôôûû", "ÁÁÉÉÓÓÚÚÜÜüü‘‘¡¡**——©©℠℠••““””", "ÀÀÂÂÇÇÈÈÊÊËËëëÎÎÏÏïïÔÔÙÙùùÛÛ««»»",
    "ÃÃããÍÍÌÌììÒÒòòÕÕõõ{{}}\\\\^^__||~~", "ÄÄääÖÖöößß¥¥¤¤¦¦ÅÅååØØøø┌┌┐┐└└┘┘", NULL
  };
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);
  g_autofree guint8 *pairs = NULL;
  g_autoptr (GPtrArray) screens = NULL;

  for (guint i = 0; rows[i]; i++)
    add (encoder, 10000 * (i + 1), 0, rows[i]);
  pairs = send (encoder, 0, N_FRAMES (100));
  screens = decode_line21 (pairs, N_FRAMES (100));
  for (guint i = 0; i < screens->len; i++) {
    g_autoptr (GString) seen = g_string_new (((Screen *) g_ptr_array_index (screens, i))->text);
    g_string_replace (seen, "´", "‘", 0);
    g_string_replace (seen, "··", "••", 0);
    g_string_replace (seen, "**--", "**——", 0);
    fail_unless_equals_string (seen->str, rows[i]);
  }
  fail_unless_equals_int (screens->len, G_N_ELEMENTS (rows) - 1);
}

GST_END_TEST;

GST_START_TEST (test_transliteration)
{
  static const gchar *const texts[][2] = {
    { "’tis `so´", "’tis ’so’" },       /* the basic apostrophe is the typographic one */
    { "Œuvre, cœur, Æsop, Łódź", "Oeuvre, coeur, Aesop, Lódz" },
    { "Crème brûlée: 5 € – „gut“…", "Crème brûlée: 5 EUR - \"gut“..." },
    { "Съешь ещё этих булок, Юля", "Sesh eshchyo etikh bulok, Yulya" },
    { "Καλημέρα Ελλάδα", "Kalimera Ellada" },
    { "e\xCC\x81 n\xCC\x83 \xEF\xAC\x81n x² \xE2\x80\x8Bz", "é ñ fin x2 z" },
    { "日本 \xFF 🙂 a\tb\x01", "?? ? ? a b" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    const gchar *expected[] = { texts[i][1], NULL };
    g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);

    add (encoder, 1000, 1000, texts[i][0]);
    check_decoded (encoder, 10, expected);
  }
}

GST_END_TEST;

GST_START_TEST (test_erasing)
{
  static const gchar *const expected[] = { "one", "two", "three", NULL };
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (4), never = new_encoder (2);
  g_autofree guint8 *pairs = NULL, *rest = NULL;
  g_autoptr (GPtrArray) screens = NULL;

  add (encoder, 1000, 1000, "one");
  add (encoder, 10000, 1000, "two");    /* known long before: one is erased at 7 s all the same */
  pairs = send (encoder, 0, N_FRAMES (20));
  add (encoder, 15000, 500, "three");   /* known 5 s late: sent at 20 s, and seen for 5 s from there */
  rest = send (encoder, N_FRAMES (20), N_FRAMES (10));
  pairs = g_realloc (pairs, 2 * N_FRAMES (30));
  memcpy (pairs + 2 * N_FRAMES (20), rest, 2 * N_FRAMES (10));
  screens = decode_line21 (pairs, N_FRAMES (30));
  check_screens (screens, expected);
  static const guint ends[] = { 7000, 16000, 25200 };
  for (guint i = 0; i < 3; i++) {
    GstClockTime end = ((Screen *) g_ptr_array_index (screens, i))->end;
    fail_unless (end >= MS (ends[i]) && end <= MS (ends[i] + 100), "%u: %" GST_TIME_FORMAT, i, GST_TIME_ARGS (end));
  }

  gst_gemma_cea608_encoder_set_timing (never, FRAME, GST_CLOCK_TIME_NONE, MS (500));
  add (never, 0, 0, "x");
  g_free (send (never, 0, 20));
  fail_unless (gst_gemma_cea608_encoder_is_idle (never));
}

GST_END_TEST;

GST_START_TEST (test_reset)
{
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);
  guint8 *pairs;

  add (encoder, 1000, 0, "seen");
  g_free (send (encoder, 0, 31));
  add (encoder, 5000, 0, "never seen");
  gst_gemma_cea608_encoder_reset (encoder);
  pairs = send (encoder, 0, 20);
  check_bytes (pairs, 0, "942c 942c 8080 8080");
  g_free (pairs);
  fail_unless (gst_gemma_cea608_encoder_is_idle (encoder));
  gst_gemma_cea608_encoder_reset (encoder);     /* nothing is seen: nothing to erase */
  fail_unless (gst_gemma_cea608_encoder_is_idle (encoder));
}

GST_END_TEST;

/* Text without end: some is refused, what was taken is sent, memory does not grow. */
GST_START_TEST (test_too_much_text)
{
  g_autoptr (GstGemmaCea608Encoder) encoder = new_encoder (2);
  g_autofree gchar *huge = g_strnfill (1000000, 'x');
  guint taken = 0;

  fail_if (gst_gemma_cea608_encoder_add_text (encoder, 0, 0, huge));
  while (taken < 1000 && gst_gemma_cea608_encoder_add_text (encoder, 0, 0, "A row of some length, not short"))
    taken++;
  fail_unless (taken > 60 && taken < 1000, "%u", taken);
  g_free (send (encoder, 0, N_FRAMES (120)));
  fail_if (gst_gemma_cea608_encoder_has_text (encoder));
  add (encoder, 120000, 0, "again");
}

GST_END_TEST;

static Suite *
cea608_suite (void)
{
  Suite *s = suite_create ("cea608");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_bytes_and_times);
  tcase_add_test (tc, test_places);
  tcase_add_test (tc, test_roll_up);
  tcase_add_test (tc, test_wrapping);
  tcase_add_test (tc, test_words);
  tcase_add_test (tc, test_rows_keep_pace);
  tcase_add_test (tc, test_characters);
  tcase_add_test (tc, test_transliteration);
  tcase_add_test (tc, test_erasing);
  tcase_add_test (tc, test_reset);
  tcase_add_test (tc, test_too_much_text);
  return s;
}

GST_CHECK_MAIN (cea608);
