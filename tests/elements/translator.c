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
check_text (GstBuffer *buffer, guint start, guint end, const gchar *text)
{
  GstMapInfo map;

  fail_unless (buffer != NULL, "no translation \"%s\"", text);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), MS (start));
  fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer), MS (end - start));
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  g_autofree gchar *said = g_strndup ((const gchar *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
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
  check_text (collector_get_buffer (out, 0), 1000, 2500, known->translation);
  check_text (collector_get_buffer (out, 1), 4000, 5000, known->translation);
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
  tcase_add_test (tc, test_size);
  return s;
}

GST_CHECK_MAIN (translator);
