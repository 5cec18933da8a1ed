/* An hour in which nobody speaks: no word, GAPs with true times, hardly any work. */
#include "util.h"

#include <string.h>
#include <sys/resource.h>

#define HOUR (3600 * GST_SECOND)
#define SHARE .02               /* of a core, as the specification of live captions has it; measured: 0.001 */

static gdouble
processor_seconds (void)
{
  struct rusage r;

  getrusage (RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static const gchar *const waves[] = { "silence", "pink-noise volume=0.1", "white-noise volume=0.01", "sine freq=50 volume=0.1" };

GST_START_TEST (test_hour_without_speech)
{
  g_autofree gchar *line = g_strdup_printf ("audiotestsrc wave=%s samplesperbuffer=1600 num-buffers=36000 ! "
      "audio/x-raw,rate=16000,channels=1 ! gemmatranscriber name=t ! fakesink sync=false async=false", waves[__i__]);
  GstElement *pipeline = launch_pipeline (line);
  g_autoptr (GstElement) t = gst_bin_get_by_name (GST_BIN (pipeline), "t");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (t, "src");
  Collector *out = collector_new (pad);
  gdouble used = processor_seconds ();

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  collector_wait_eos (out, 300);
  used = processor_seconds () - used;
  GST_INFO ("%s: %.2f s of processor time", waves[__i__], used);
  fail_unless_equals_int (collector_count (out, TRUE, 0), 0);
  collector_check_coverage (out, 0, HOUR, 0);
  fail_unless (used < SHARE * HOUR / GST_SECOND, "%s: %.1f s of processor time", waves[__i__], used);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  collector_free (out);
}

GST_END_TEST;

/* Five minutes of a piece that the discriminator was not fitted on (asterisk-moh-opsound, which ./check decodes). */
GST_START_TEST (test_music)
{
  fail_unless (g_file_test (MUSIC, G_FILE_TEST_EXISTS), "no " MUSIC ": ./check makes it");
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch ("filesrc location=" MUSIC " ! wavparse ! "
      "gemmatranscriber name=t ! fakesink sync=false async=false", &error);
  g_autoptr (GstElement) t = gst_bin_get_by_name (GST_BIN (pipeline), "t");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (t, "src");
  Collector *out = collector_new (pad);
  gdouble used = processor_seconds ();
  gint64 length = 0;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  collector_wait_eos (out, 300);
  used = processor_seconds () - used;
  gst_element_query_duration (pipeline, GST_FORMAT_TIME, &length);
  guint texts = collector_count (out, TRUE, 0);
  g_print ("music: %u texts, %.2f s of processor time for %.0f s\n", texts, used, length / (gdouble) GST_SECOND);
  fail_unless (texts == 0, "%u texts", texts);
  fail_unless (used < SHARE * length / GST_SECOND, "%.1f s of processor time", used);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  collector_free (out);
}

GST_END_TEST;

static Suite *
quiet_suite (void)
{
  Suite *s = suite_create ("quiet");
  TCase *tc = tcase_create ("quiet");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 300);
  tcase_add_loop_test (tc, test_hour_without_speech, 0, G_N_ELEMENTS (waves));
  tcase_add_test (tc, test_music);
  return s;
}

GST_CHECK_MAIN (quiet);
