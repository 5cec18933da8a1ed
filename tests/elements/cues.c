/* Which cues are translated as one, and what of it each of them gets: plain logic; here the translator writes in
 * capitals, unless it is told what to say. */
#include <string.h>

#include "util.h"

#include "plugin/cues.h"

typedef struct
{
  GemmaCues *cues;
  GString *asked, *told;
  const gchar *answer;          /* NULL: capitals */
  gboolean fails;
} Fixture;

static gchar *
on_translate (guint64 start, guint64 end, const gchar *text, gpointer data)
{
  Fixture *f = data;

  g_string_append_printf (f->asked, "%u-%u %s|", (guint) (start / GST_MSECOND), (guint) (end / GST_MSECOND), text);
  return f->fails ? NULL : f->answer ? g_strdup (f->answer) : g_utf8_strup (text, -1);
}

static void
on_cue (guint64 start, guint64 end, const gchar *text, gpointer data)
{
  Fixture *f = data;

  if (end == G_MAXUINT64)
    g_string_append_printf (f->told, "%u- %s|", (guint) (start / GST_MSECOND), text);
  else
    g_string_append_printf (f->told, "%u-%u %s|", (guint) (start / GST_MSECOND), (guint) (end / GST_MSECOND), text);
}

static void
on_gap (guint64 start, guint64 end, gpointer data)
{
  Fixture *f = data;

  g_string_append_printf (f->told, "%u-%u|", (guint) (start / GST_MSECOND), (guint) (end / GST_MSECOND));
}

static Fixture *
begin (const gchar *answer)
{
  static const GemmaCuesFuncs funcs = { on_translate, on_cue, on_gap };
  Fixture *f = g_new0 (Fixture, 1);

  f->cues = gemma_cues_new (&funcs, f);
  gemma_cues_set_limits (f->cues, MS (500), MS (2000), MS (30000));
  f->asked = g_string_new (NULL);
  f->told = g_string_new (NULL);
  f->answer = answer;
  return f;
}

static void
end (Fixture *f)
{
  gemma_cues_free (f->cues);
  g_string_free (f->asked, TRUE);
  g_string_free (f->told, TRUE);
  g_free (f);
}

static void
push (Fixture *f, guint start, guint end, const gchar *text)
{
  gemma_cues_push (f->cues, MS (start), MS (end), text, FALSE);
}

/* What was asked and told since the last time; NULL: whatever that is. */
static void
check (Fixture *f, const gchar *asked, const gchar *told)
{
  if (asked)
    fail_unless_equals_string (f->asked->str, asked);
  if (told)
    fail_unless_equals_string (f->told->str, told);
  g_string_truncate (f->asked, 0);
  g_string_truncate (f->told, 0);
}

GST_START_TEST (test_sentence_over_cues)
{
  Fixture *f = begin (NULL);

  push (f, 0, 1000, "I never said");
  check (f, "", "");
  fail_unless (gemma_cues_are_pending (f->cues));
  push (f, 1100, 2000, "that she stole my money.");
  check (f, "0-2000 I never said that she stole my money.|", "0-1000 I NEVER SAID|1100-2000 THAT SHE STOLE MY MONEY.|");
  fail_if (gemma_cues_are_pending (f->cues));
  push (f, 2000, 3000, "Good morning.");
  check (f, "2000-3000 Good morning.|", "2000-3000 GOOD MORNING.|");
  push (f, 3000, 4000, "One,");
  push (f, 4000, 5000, "two,");
  push (f, 5000, 6000, "three...");
  push (f, 6000, 7000, "Four.");
  check (f, "3000-6000 One, two, three...|6000-7000 Four.|",
      "3000-4000 ONE,|4000-5000 TWO,|5000-6000 THREE...|6000-7000 FOUR.|");
  push (f, 7000, 8000, "私は一度も");
  push (f, 8000, 9000, "彼女が盗んだとは言っていない。");
  check (f, "7000-9000 私は一度も彼女が盗んだとは言っていない。|",
      "7000-8000 私は一度も|8000-9000 彼女が盗んだとは言っていない。|");
  push (f, 9000, 10000, "The end");
  gemma_cues_drain (f->cues);
  check (f, "9000-10000 The end|", "9000-10000 THE END|");
  gemma_cues_drain (f->cues);
  check (f, "", "");
  end (f);
}

GST_END_TEST;

/* Two cues of 12 and 24 letters with a sentence in another language. */
static void
check_layout (const gchar *answer, const gchar *told)
{
  Fixture *f = begin (answer);

  push (f, 0, 1000, "I never said");
  push (f, 1000, 2000, "that she stole my money.");
  check (f, NULL, told);
  end (f);
}

GST_START_TEST (test_layout)
{
  check_layout ("Nunca dije que ella me robó el dinero.", "0-1000 Nunca dije|1000-2000 que ella me robó el dinero.|");
  check_layout ("Je n'ai jamais dit qu'elle a volé mon argent.",
      "0-1000 Je n'ai jamais|1000-2000 dit qu'elle a volé mon argent.|");
  check_layout ("Nie, sagte ich, hat sie es gestohlen.", "0-1000 Nie, sagte ich,|1000-2000 hat sie es gestohlen.|");
  check_layout ("她偷了我的钱，我从来没有这么说过。", "0-1000 她偷了我的钱，|1000-2000 我从来没有这么说过。|");
  check_layout ("She\nstole\r\nit", "0-1000 She|1000-2000 stole  it|");
  /* Nothing to divide: it stays to be read. */
  check_layout ("Nunca.", "0-1000 Nunca.|1000-2000 Nunca.|");
  /* No answer, or none that is one. */
  check_layout ("", "0-1000 I never said|1000-2000 that she stole my money.|");
  check_layout (" \n", "0-1000 I never said|1000-2000 that she stole my money.|");
  check_layout ("I never said that she stole my money.", "0-1000 I never said|1000-2000 that she stole my money.|");
}

GST_END_TEST;

/* Half a second ends it, but two in front of a small letter; an overlap is as bad. */
GST_START_TEST (test_pauses)
{
  Fixture *f = begin (NULL);

  push (f, 0, 1000, "Meet");
  push (f, 1499, 2000, "Anna");
  push (f, 2500, 3000, "Smith.");
  check (f, "0-2000 Meet Anna|2500-3000 Smith.|", "0-1000 MEET|1499-2000 ANNA|2500-3000 SMITH.|");
  push (f, 4000, 5000, "we went");
  push (f, 6999, 8000, "there");
  push (f, 10000, 11000, "again.");
  check (f, "4000-8000 we went there|10000-11000 again.|", "4000-5000 WE WENT|6999-8000 THERE|10000-11000 AGAIN.|");
  push (f, 12000, 13000, "we went");
  push (f, 12501, 14000, "there");
  push (f, 13400, 15000, "again.");
  check (f, "12000-14000 we went there|13400-15000 again.|",
      "12000-13000 WE WENT|12501-14000 THERE|13400-15000 AGAIN.|");
  /* Two at the same time, and time that runs backwards. */
  push (f, 16000, 17000, "we went");
  push (f, 16000, 17000, "they came");
  push (f, 1000, 2000, "again.");
  check (f, "16000-17000 we went|16000-17000 they came|1000-2000 again.|",
      "16000-17000 WE WENT|16000-17000 THEY CAME|1000-2000 AGAIN.|");
  end (f);
}

GST_END_TEST;

GST_START_TEST (test_gaps)
{
  Fixture *f = begin (NULL);

  gemma_cues_push_gap (f->cues, 0, MS (1000));
  check (f, "", "0-1000|");
  push (f, 1000, 2000, "we went");
  gemma_cues_push_gap (f->cues, MS (2000), MS (2400));
  check (f, "", "");
  push (f, 2400, 3000, "there.");
  check (f, "1000-3000 we went there.|", "1000-2000 WE WENT|2000-2400|2400-3000 THERE.|");
  push (f, 3000, 4000, "we went");
  gemma_cues_push_gap (f->cues, MS (4000), MS (5999));
  check (f, "", "");
  gemma_cues_push_gap (f->cues, MS (5999), MS (6000));
  check (f, "3000-4000 we went|", "3000-4000 WE WENT|4000-5999|5999-6000|");
  /* GAPs that say nothing new do not pile up. */
  push (f, 7000, 8000, "we went");
  for (guint i = 0; i < 1000; i++)
    gemma_cues_push_gap (f->cues, MS (8000), MS (8001));
  fail_if (gemma_cues_are_pending (f->cues));
  end (f);
}

GST_END_TEST;

/* Only what touches belongs together: other lines, voices and markup are apart. */
GST_START_TEST (test_lines_and_markup)
{
  Fixture *f = begin (NULL);

  push (f, 0, 1000, "- Who?\n- I never said");
  push (f, 1000, 2000, "that she\nstole it.\n- Oh.");
  check (f, "0-1000 Who?|0-2000 I never said that she stole it.|1000-2000 Oh.|",
      "0-1000 - WHO?\n- I NEVER SAID|1000-2000 THAT SHE\nSTOLE IT.\n- OH.|");
  push (f, 2000, 3000, "I never said");
  push (f, 3000, 4000, "- that.");
  check (f, "2000-3000 I never said|3000-4000 that.|", "2000-3000 I NEVER SAID|3000-4000 - THAT.|");
  gemma_cues_push (f->cues, MS (4000), MS (5000), "<i>I never\nsaid</i>", TRUE);
  gemma_cues_push (f->cues, MS (5000), MS (6000), "<i>that R&amp;B</i>", TRUE);
  gemma_cues_push (f->cues, MS (6000), MS (7000), "is bad.", TRUE);
  check (f, "4000-6000 I never said that R&B|6000-7000 is bad.|",
      "4000-5000 <i>I NEVER\nSAID</i>|5000-6000 <i>THAT R&amp;B</i>|6000-7000 IS BAD.|");
  push (f, 7000, 8000, "I never said");
  push (f, 8000, 9000, "♪");
  push (f, 9000, 10000, "");
  push (f, 10000, 11000, "that.\n\n");
  check (f, "7000-8000 I never said|10000-11000 that.|",
      "7000-8000 I NEVER SAID|8000-9000 ♪|9000-10000 |10000-11000 THAT.\n\n|");
  push (f, 11000, 12000, "I never said\n♪");
  push (f, 12000, 13000, "that.");
  check (f, "11000-12000 I never said|12000-13000 that.|", "11000-12000 I NEVER SAID\n♪|12000-13000 THAT.|");
  end (f);
}

GST_END_TEST;

GST_START_TEST (test_no_end)
{
  Fixture *f = begin (NULL);

  push (f, 0, 1000, "we went");
  gemma_cues_push (f->cues, MS (1000), G_MAXUINT64, "there", FALSE);
  check (f, "0-1000 we went|1000-1000 there|", "0-1000 WE WENT|1000- THERE|");
  push (f, 1000, 2000, "again.");
  check (f, "1000-2000 again.|", "1000-2000 AGAIN.|");
  end (f);
}

GST_END_TEST;

GST_START_TEST (test_limits)
{
  Fixture *f = begin (NULL);
  g_autofree gchar *most = g_strnfill (GEMMA_CUES_MOST_CHARACTERS, 'a'), *half = g_strnfill (250, 'b');

  /* Long ones wait for nothing, and not for each other. */
  push (f, 0, 1000, most);
  fail_if (gemma_cues_are_pending (f->cues));
  push (f, 1000, 2000, half);
  fail_unless (gemma_cues_are_pending (f->cues));
  push (f, 2000, 3000, half);
  gemma_cues_drain (f->cues);
  fail_if (strstr (f->asked->str, "b b"));
  check (f, NULL, NULL);

  gemma_cues_set_limits (f->cues, MS (500), MS (500), MS (3000));
  push (f, 0, 1000, "so");
  push (f, 1000, 2000, "long");
  push (f, 2100, 3100, "a");
  push (f, 3100, 4000, "time.");
  check (f, "0-2000 so long|2100-4000 a time.|", "0-1000 SO|1000-2000 LONG|2100-3100 A|3100-4000 TIME.|");
  end (f);
}

GST_END_TEST;

/* Lyrics, subtitles in Chinese, automatic captions: who does without full stops would wait for one for ever. */
GST_START_TEST (test_text_without_full_stops)
{
  Fixture *f = begin (NULL);

  for (guint i = 0; i < GEMMA_CUES_MOST; i++)
    push (f, i * 1000, i * 1000 + 1000, "la");
  check (f, "0-6000 la la la la la la|", "0-1000 LA|1000-2000 LA|2000-3000 LA|3000-4000 LA|4000-5000 LA|5000-6000 LA|");
  push (f, 6000, 7000, "la");
  push (f, 7000, 8000, "la?");
  push (f, 8000, 9000, "la");
  check (f, "6000-7000 la|7000-8000 la?|8000-9000 la|", "6000-7000 LA|7000-8000 LA?|8000-9000 LA|");
  push (f, 9000, 10000, "There it is. But");
  push (f, 10000, 11000, "no more.");
  check (f, "9000-11000 There it is. But no more.|", "9000-10000 THERE IT IS.|10000-11000 BUT NO MORE.|");
  /* A long sentence is no such text. */
  push (f, 11000, 12000, "So. La");
  for (guint i = 12; i < 11 + GEMMA_CUES_MOST; i++)
    push (f, i * 1000, i * 1000 + 1000, "la");
  check (f, "11000-17000 So. La la la la la la|", NULL);
  push (f, 17000, 18000, "la");
  check (f, "", "");
  end (f);
}

GST_END_TEST;

GST_START_TEST (test_reset_and_failure)
{
  Fixture *f = begin (NULL);

  push (f, 0, 1000, "lost");
  gemma_cues_reset (f->cues);
  fail_if (gemma_cues_are_pending (f->cues));
  push (f, 5000, 6000, "- Hi.\n- we went");
  f->fails = TRUE;
  push (f, 6000, 7000, "there.");
  check (f, "5000-6000 Hi.|", "");
  f->fails = FALSE;
  push (f, 7000, 8000, "Good.");
  check (f, "7000-8000 Good.|", "7000-8000 GOOD.|");
  end (f);
}

GST_END_TEST;

static void
on_any_cue (guint64 start, guint64 end, const gchar *text, gpointer data)
{
  g_array_append_val ((GArray *) data, start);
  g_array_append_val ((GArray *) data, end);
  fail_unless (g_utf8_validate (text, -1, NULL));
}

static gchar *
say_less (guint64 start, guint64 end, const gchar *text, gpointer data)
{
  return g_strndup (text, g_utf8_offset_to_pointer (text, g_utf8_strlen (text, -1) / 2) - text);
}

static void
ignore_gap (guint64 start, guint64 end, gpointer data)
{
}

/* Whatever comes in, the same cues with the same times come out in the same order. */
GST_START_TEST (test_random_cues)
{
  static const GemmaCuesFuncs funcs = { say_less, on_any_cue, ignore_gap };
  static const gchar *const pieces[] = { "word", "two words", ".", "...", "- ", "♪", "語", "\n", " ", "<i>", "</i>", "9",
    "No" };
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);

  for (guint n = 0; n < 500; n++) {
    g_autoptr (GArray) in = g_array_new (FALSE, FALSE, sizeof (guint64));
    g_autoptr (GArray) out = g_array_new (FALSE, FALSE, sizeof (guint64));
    GemmaCues *cues = gemma_cues_new (&funcs, out);
    guint64 time = 0;

    gemma_cues_set_limits (cues, MS (500), MS (2000), MS (30000));
    for (gint i = g_rand_int_range (rand, 1, 30); i > 0; i--) {
      g_autoptr (GString) text = g_string_new (NULL);
      guint64 last;
      for (gint k = g_rand_int_range (rand, 0, 6); k > 0; k--)
        g_string_append (text, pieces[g_rand_int_range (rand, 0, G_N_ELEMENTS (pieces))]);
      time += MS (g_rand_int_range (rand, 0, 700));
      last = g_rand_int_range (rand, 0, 20) ? time + MS (g_rand_int_range (rand, 0, 2000)) : G_MAXUINT64;
      g_array_append_val (in, time);
      g_array_append_val (in, last);
      gemma_cues_push (cues, time, last, text->str, TRUE);
      time = last == G_MAXUINT64 ? time : last;
      if (!g_rand_int_range (rand, 0, 4))
        gemma_cues_push_gap (cues, time, time + MS (100));
    }
    gemma_cues_drain (cues);
    fail_unless (in->len == out->len && memcmp (in->data, out->data, in->len * sizeof (guint64)) == 0, "stream %u", n);
    gemma_cues_free (cues);
  }
}

GST_END_TEST;

static Suite *
cues_suite (void)
{
  Suite *s = suite_create ("cues");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_sentence_over_cues);
  tcase_add_test (tc, test_layout);
  tcase_add_test (tc, test_pauses);
  tcase_add_test (tc, test_gaps);
  tcase_add_test (tc, test_lines_and_markup);
  tcase_add_test (tc, test_no_end);
  tcase_add_test (tc, test_limits);
  tcase_add_test (tc, test_text_without_full_stops);
  tcase_add_test (tc, test_reset_and_failure);
  tcase_add_test (tc, test_random_cues);
  return s;
}

GST_CHECK_MAIN (cues);
