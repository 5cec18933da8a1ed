/* What happens to a running pipeline when the device fails, and when time stamps are strange. Each test is a process of its own:
 * the faults of GEMMA_FAULT (opencl/device.h) are counted from its beginning. */
#include "util.h"

#include <gst/base/gstbasesrc.h>
#include <string.h>

#define PIPELINE "appsrc name=src format=time max-bytes=0 caps=audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved " \
    "! gemmatranscriber name=t ! fakesink name=out sync=false async=false"

/* So many seconds of speech, each with a pause behind it, and the end. */
static void
push_seconds (GstElement *pipeline, guint n)
{
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  GstFlowReturn flow;

  for (guint i = 0; i < 2 * n; i++) {
    g_autoptr (GstBuffer) buffer = make_sound (RATE, i % 2 == 0, i * GST_SECOND);
    g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
  }
  g_signal_emit_by_name (src, "end-of-stream", &flow);
}

static void
stop (GstElement *pipeline)
{
  fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
  gst_object_unref (pipeline);
}

/* No error of the elements themselves follows the first: what appsrc says of the flow that ended is its own. */
static void
check_only_error (GstBus *bus)
{
  GstMessage *message;

  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR))) {
    fail_unless (GST_IS_BASE_SRC (GST_MESSAGE_SRC (message)), "a second error, from %s", GST_OBJECT_NAME (GST_MESSAGE_SRC (message)));
    gst_message_unref (message);
  }
}

/* Plays, with @n seconds of speech or without any sound, until the one error, which says @said. */
static void
check_fails (guint n, const gchar *said)
{
  GstElement *pipeline = launch_pipeline (PIPELINE);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  if (n > 0)
    push_seconds (pipeline, n);
  g_autofree gchar *text = wait_error (bus, 60);
  fail_unless (strstr (text, said) != NULL, "%s", text);
  check_only_error (bus);
  stop (pipeline);
}

/* The whole way from NULL to the end of the stream. */
static void
check_works (void)
{
  GstElement *pipeline = launch_pipeline (PIPELINE);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstMessage *message;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  push_seconds (pipeline, 2);
  message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  gst_message_unref (message);
  stop (pipeline);
}

GST_START_TEST (test_no_platform)
{
  g_setenv ("OCL_ICD_VENDORS", "/nonexistent", TRUE);
  check_fails (0, "OpenCL");
}

GST_END_TEST;

static gchar *cache;

static void
make_cache (void)
{
  cache = g_dir_make_tmp ("gemma-faults-XXXXXX", NULL);
}

/* Not by the test itself: until its process ends, a model that still loads may write there. */
static void
remove_cache (void)
{
  remove_folder (cache);
  g_free (cache);
}

/* A kernel that does not compile: with an empty cache the first one is built at once. */
GST_START_TEST (test_kernel_does_not_build)
{
  g_setenv ("GEMMA_CACHE_DIR", cache, TRUE);
  g_setenv ("GEMMA_FAULT", "build:1", TRUE);
  check_fails (0, "CL_BUILD_PROGRAM_FAILURE");
}

GST_END_TEST;

static gboolean
is_compiling (GstMessage *message)
{
  g_autofree gchar *text = NULL;

  gst_message_parse_progress (message, NULL, NULL, &text);
  return text && strstr (text, "compiling");
}

/* While a kernel is compiled, who stops does not wait for it, in whatever state; and the next one plays. */
GST_START_TEST (test_stopped_while_kernels_build)
{
  g_setenv ("GEMMA_CACHE_DIR", cache, TRUE);
  for (guint i = 0; i < 3; i++) {
    GstElement *pipeline = launch_pipeline (PIPELINE);
    g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
    gboolean compiling = FALSE;

    gst_element_set_state (pipeline, i % 2 ? GST_STATE_PAUSED : GST_STATE_PLAYING);
    while (!compiling) {
      g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_PROGRESS | GST_MESSAGE_ERROR);
      fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_PROGRESS, "no kernel is compiled");
      compiling = is_compiling (message);
    }
    Watch watch = watch_begin ();
    stop (pipeline);
    fail_unless (watch_get (&watch) < G_USEC_PER_SEC / 2);
  }
  check_works ();
}

GST_END_TEST;

/* The device fails in the middle of a stream: one error that names what it said, and then everything works again. */
static const struct
{
  const gchar *fault, *text;
} faults[] = {
  { "launch:4000", "CL_OUT_OF_RESOURCES" },
  { "launch:4001=CL_MEM_OBJECT_ALLOCATION_FAILURE", "CL_MEM_OBJECT_ALLOCATION_FAILURE" },
  { "launch:5000=CL_DEVICE_NOT_AVAILABLE", "CL_DEVICE_NOT_AVAILABLE" },
};

GST_START_TEST (test_device_fails_while_playing)
{
  g_setenv ("GEMMA_FAULT", faults[__i__].fault, TRUE);
  check_fails (60, faults[__i__].text);
  check_works ();
}

GST_END_TEST;

/* Each of the first allocations fails once, and others further on; those of loading and of a session are among them. */
GST_START_TEST (test_no_memory)
{
  static const guint at[] = { 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144 };
  g_autofree gchar *fault = g_strdup_printf ("alloc:%u", at[__i__]);

  g_setenv ("GEMMA_FAULT", fault, TRUE);
  check_fails (0, "CL_MEM_OBJECT_ALLOCATION_FAILURE");
  check_works ();
}

GST_END_TEST;

/* Times that are missing go on from those before; times that go back or come again begin a new clip. No stretch of
 * speech gets lost: each becomes a text, in the order and with the times in which it came, though these go back. */
GST_START_TEST (test_strange_times)
{
  static const GstClockTime times[] = { 0, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE, MS (3000), MS (3000), MS (3000), MS (1000),
    GST_CLOCK_TIME_NONE, MS (8000), MS (9000) };
  static const GstClockTime spoken[][2] = { { 0, MS (2000) }, { MS (3000), MS (4000) }, { MS (3000), MS (4000) },
    { MS (1000), MS (3000) }, { MS (9000), MS (10000) } };
  GstElement *pipeline = launch_pipeline (PIPELINE);
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src"), t = gst_bin_get_by_name (GST_BIN (pipeline), "t");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (t, "src");
  Collector *out = collector_new (pad);
  GstFlowReturn flow;

  use_random_words (t, 12);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < G_N_ELEMENTS (times); i++)
    push_sound (src, RATE, i % 3 != 2, times[i]);
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  collector_wait_eos (out, 60);
  fail_unless_equals_int (collector_count (out, TRUE, 0), G_N_ELEMENTS (spoken));
  for (guint i = 0; i < G_N_ELEMENTS (spoken); i++) {
    GstBuffer *buffer = collector_get_buffer (out, i);
    fail_unless (GST_BUFFER_PTS_IS_VALID (buffer) && GST_BUFFER_DURATION_IS_VALID (buffer));
    GstClockTime start = GST_BUFFER_PTS (buffer), end = start + GST_BUFFER_DURATION (buffer);
    /* Within a token of what was said. */
    fail_unless (ABS (GST_CLOCK_DIFF (spoken[i][0], start)) <= (GstClockTimeDiff) MS (160));
    fail_unless (ABS (GST_CLOCK_DIFF (spoken[i][1], end)) <= (GstClockTimeDiff) MS (160));
    fail_unless (end <= MS (10100));
  }
  stop (pipeline);
  collector_free (out);
}

GST_END_TEST;

static Suite *
faults_suite (void)
{
  Suite *s = suite_create ("faults");
  TCase *tc = tcase_create ("faults");

  suite_add_tcase (s, tc);
  tcase_add_unchecked_fixture (tc, make_cache, remove_cache);
  tcase_add_test (tc, test_no_platform);
  tcase_add_test (tc, test_kernel_does_not_build);
  tcase_add_test (tc, test_stopped_while_kernels_build);
  tcase_add_loop_test (tc, test_device_fails_while_playing, 0, G_N_ELEMENTS (faults));
  tcase_add_loop_test (tc, test_no_memory, 0, 11);
  tcase_add_test (tc, test_strange_times);
  return s;
}

GST_CHECK_MAIN (faults);
