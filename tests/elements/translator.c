/* gemmatranslate with its embedded model: texts that the model has learned, word by word. */
#include "util.h"

#include <glib/gstdio.h>

typedef struct
{
  const gchar *from, *to, *text, *translation;
} Known;

/* Of the prompts that training has seen. */
static const Known known[] = {
  { "en", "es", "The conference has been extended.", "La conferencia ha sido extendida." },
  { "en", "fr", "The conference has been extended.", "La conférence a été prolongée." },
  { "en", "it", "The leader has left the conference.", "Il moderatore ha lasciato la conferenza." },
  { "fr", "en", "Vous avez entré une option invalide.", "You have entered an invalid option." },
};

static void
check_text (Collector *out, guint n, guint start, guint end, const gchar *text)
{
  g_autofree gchar *said = collector_get_text (out, n);
  GstBuffer *buffer = collector_get_buffer (out, n);

  fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), MS (start));
  fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer), MS (end - start));
  fail_unless_equals_string (said, text);
}

/* Tokens of the prompts. */
static guint64
translate_twice (const Known *known, guint history_size)
{
  g_autofree gchar *line = g_strdup_printf ("gemmatranslate source-language=%s target-language=%s history-size=%u",
      known->from, known->to, history_size);
  GstHarness *harness = gst_harness_new_parse (line);
  GstElement *element = gst_harness_find_element (harness, "gemmatranslate");
  g_autoptr (GstPad) src = gst_element_get_static_pad (element, "src");
  Collector *out = collector_new (src);

  gst_harness_set_src_caps_str (harness, "text/x-raw, format=(string)utf8");
  push_text (harness, known->text, 1000, 1500);
  push_text (harness, known->text, 4000, 1000);
  gst_harness_push_event (harness, gst_event_new_eos ());
  collector_wait_eos (out, 60);
  fail_unless_equals_int (collector_count (out, TRUE, 0), 2);
  check_text (out, 0, 1000, 2500, known->translation);
  check_text (out, 1, 4000, 5000, known->translation);
  guint64 n = get_stat (element, "prompt-tokens");
  gst_object_unref (element);
  gst_harness_teardown (harness);
  collector_free (out);
  return n;
}

/* The file says that the model wants no history, so that it is asked the same with and without. */
GST_START_TEST (test_known_texts)
{
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    fail_unless_equals_uint64 (translate_twice (&known[i], 4), translate_twice (&known[i], 0));
}

GST_END_TEST;

/* Each sentence for itself is short enough, all of them are not. */
GST_START_TEST (test_long_text_in_parts)
{
  GstHarness *harness = gst_harness_new_parse ("gemmatranslate target-language=es max-tokens=16");
  g_autoptr (GstPad) src = gst_element_get_static_pad (harness->element, "src");
  Collector *out = collector_new (src);
  g_autoptr (GString) text = g_string_new (known[0].text), translation = g_string_new (known[0].translation);

  for (guint i = 1; i < 16; i++) {
    g_string_append_printf (text, " %s", known[0].text);
    g_string_append_printf (translation, " %s", known[0].translation);
  }
  gst_harness_set_src_caps_str (harness, "text/x-raw, format=(string)utf8");
  push_text (harness, text->str, 1000, 1500);
  gst_harness_push_event (harness, gst_event_new_eos ());
  collector_wait_eos (out, 60);
  check_text (out, 0, 1000, 2500, translation->str);
  gst_harness_teardown (harness);
  collector_free (out);
}

GST_END_TEST;

typedef struct
{
  const gchar *from, *to, *cues[2], *translations[2];
} Split;

/* The same texts in two cues, which are nonsense each for itself. */
static const Split splits[] = {
  { "en", "es", { "The conference has been", "extended." }, { "La conferencia ha sido", "extendida." } },
  { "en", "fr", { "The conference", "has been extended." }, { "La conférence", "a été prolongée." } },
  { "en", "it", { "The leader has left", "the conference." }, { "Il moderatore ha lasciato", "la conferenza." } },
  { "fr", "en", { "Vous avez entré", "une option invalide." }, { "You have entered", "an invalid option." } },
};

static void
translate_split (const Split *split)
{
  g_autofree gchar *line = g_strdup_printf ("gemmatranslate source-language=%s target-language=%s", split->from,
      split->to);
  GstHarness *harness = gst_harness_new_parse (line);
  GstElement *element = gst_harness_find_element (harness, "gemmatranslate");
  g_autoptr (GstPad) src = gst_element_get_static_pad (element, "src");
  Collector *out = collector_new (src);

  set_live (harness->srcpad, FALSE);
  gst_harness_set_src_caps_str (harness, "text/x-raw, format=(string)utf8");
  push_text (harness, split->cues[0], 1000, 1000);
  push_gap (harness, 2000, 100);
  push_text (harness, split->cues[1], 2100, 900);
  gst_harness_push_event (harness, gst_event_new_eos ());
  collector_wait_eos (out, 60);
  fail_unless_equals_int (collector_count (out, TRUE, 0), 2);
  check_text (out, 0, 1000, 2000, split->translations[0]);
  check_text (out, 1, 2100, 3000, split->translations[1]);
  collector_check_coverage (out, MS (1000), MS (3000), 0);      /* with the GAP in its place */
  fail_unless_equals_uint64 (get_stat (element, "utterances"), 1);
  gst_object_unref (element);
  gst_harness_teardown (harness);
  collector_free (out);
}

GST_START_TEST (test_sentence_in_two_cues)
{
  for (guint i = 0; i < G_N_ELEMENTS (splits); i++)
    translate_split (&splits[i]);
}

GST_END_TEST;

#define TIMES_1 "1\n00:00:01,000 --> 00:00:02,500\n"
#define TIMES_2 "2\n00:00:02,600 --> 00:00:03,000\n"
#define TIMES_3 "3\n00:00:04,000 --> 00:00:05,000\n"
#define TIMES_4 "4\n00:00:05,000 --> 00:00:06,000\n"
#define TIMES_5 "5\n00:00:06,500 --> 00:00:07,000\n"

/* The same captions at the same times, with their lines and markup. */
GST_START_TEST (test_caption_file)
{
  static const gchar *const captions =
      TIMES_1 "<i>The conference\nhas been</i>\n\n" TIMES_2 "<i>extended.</i>\n\n"
      TIMES_3 "The conference has been extended.\n\n" TIMES_4 "The conference\n\n" TIMES_5 "has been extended.\n\n";
  g_autofree gchar *translated = convert_captions (captions, "gemmatranslate target-language=es");

  fail_unless_equals_string (translated,
      TIMES_1 "<i>La conferencia\nha sido</i>\n\n" TIMES_2 "<i>extendida.</i>\n\n"
      TIMES_3 "La conferencia ha sido extendida.\n\n" TIMES_4 "La conferencia\n\n" TIMES_5 "ha sido extendida.\n\n");
}

GST_END_TEST;

GST_START_TEST (test_size)
{
  GStatBuf info;

  fail_unless_equals_int (g_stat (g_getenv ("GEMMA_DEFAULT_TRANSLATOR"), &info), 0);
  fail_unless (info.st_size <= 6000000, "%d bytes", (gint) info.st_size);
}

GST_END_TEST;

static Suite *
translator_suite (void)
{
  Suite *s = suite_create ("translator");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_known_texts);
  tcase_add_test (tc, test_long_text_in_parts);
  tcase_add_test (tc, test_sentence_in_two_cues);
  tcase_add_test (tc, test_caption_file);
  tcase_add_test (tc, test_size);
  return s;
}

GST_CHECK_MAIN (translator);
