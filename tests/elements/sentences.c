/* When sentences end, and what becomes of the time between words: plain logic, no model. */
#include <string.h>

#include "util.h"

#include "plugin/sentences.h"

static void
on_sentence (GstClockTime start, GstClockTime end, const gchar *text, gpointer data)
{
  g_string_append_printf (data, "%u-%u %s|", (guint) (start / GST_MSECOND), (guint) (end / GST_MSECOND), text);
}

static void
on_gap (GstClockTime start, GstClockTime end, gpointer data)
{
  g_string_append_printf (data, "%u-%u|", (guint) (start / GST_MSECOND), (guint) (end / GST_MSECOND));
}

static const GemmaSentencesFuncs funcs = { on_sentence, on_gap };

static GemmaSentences *
begin (GString **told)
{
  GemmaSentences *s;

  *told = g_string_new (NULL);
  s = gemma_sentences_new (&funcs, *told);
  gemma_sentences_set_limits (s, MS (500), MS (3000));
  return s;
}

static void
end (GemmaSentences *s, GString *told)
{
  gemma_sentences_free (s);
  g_string_free (told, TRUE);
}

static void
push (GemmaSentences *s, guint start, guint end, const gchar *word)
{
  gemma_sentences_push (s, MS (start), MS (end), word, word);
}

/* What has been told since the last time. */
static void
check (GString *told, const gchar *expected)
{
  fail_unless_equals_string (told->str, expected);
  g_string_truncate (told, 0);
}

GST_START_TEST (test_words_become_sentences)
{
  GString *told;
  GemmaSentences *s = begin (&told);

  push (s, 0, 200, "Good");
  push (s, 200, 600, "morning");
  check (told, "");
  fail_unless (gemma_sentences_are_pending (s));
  push (s, 700, 900, "all.");
  check (told, "0-900 Good morning all.|");
  fail_if (gemma_sentences_are_pending (s));
  push (s, 900, 1000, "今日");
  push (s, 1000, 1100, "は");
  push (s, 1100, 1200, "。");
  check (told, "900-1200 今日は。|");
  push (s, 1200, 1300, "Yes");
  push (s, 1300, 1400, ",");
  push (s, 1400, 1500, "yes");
  push (s, 1500, 1600, "!");
  check (told, "1200-1600 Yes, yes!|");
  end (s, told);
}

GST_END_TEST;

/* A GAP inside of a sentence is its own time; the one behind it is told after it. */
GST_START_TEST (test_gaps)
{
  GString *told;
  GemmaSentences *s = begin (&told);

  gemma_sentences_push_gap (s, 0, MS (1000));
  check (told, "0-1000|");
  push (s, 1000, 1200, "Good");
  gemma_sentences_push_gap (s, MS (1200), MS (1500));
  push (s, 1500, 1700, "day");
  check (told, "");
  gemma_sentences_push_gap (s, MS (1700), MS (2000));
  check (told, "");
  gemma_sentences_push_gap (s, MS (2000), MS (2200));
  check (told, "1000-1700 Good day|1700-2200|");
  /* No GAP, but a word that comes late. */
  push (s, 2200, 2400, "So");
  push (s, 2900, 3000, "what?");
  check (told, "2200-2400 So|2900-3000 what?|");
  end (s, told);
}

GST_END_TEST;

GST_START_TEST (test_limits_and_ends)
{
  GString *told;
  GemmaSentences *s = begin (&told);

  for (guint i = 0; i < 8; i++)
    push (s, i * 500, i * 500 + 500, "la");
  check (told, "0-3000 la la la la la la|");
  gemma_sentences_drain (s);
  check (told, "3000-4000 la la|");
  gemma_sentences_drain (s);
  check (told, "");
  push (s, 5000, 5100, "lost");
  gemma_sentences_reset (s);
  push (s, 6000, 6100, "back");
  /* Time runs backwards: another stream. */
  push (s, 100, 200, "again.");
  check (told, "6000-6100 back|100-200 again.|");
  end (s, told);
}

GST_END_TEST;

static Suite *
sentences_suite (void)
{
  Suite *s = suite_create ("sentences");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_words_become_sentences);
  tcase_add_test (tc, test_gaps);
  tcase_add_test (tc, test_limits_and_ends);
  return s;
}

GST_CHECK_MAIN (sentences);
