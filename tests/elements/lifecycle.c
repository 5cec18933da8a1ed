/* States, sharing and leaks. Run with GST_TRACERS=leaks, which meson.build sets. */
#include "util.h"
#include "vision-model.h"

#include <gst/gemma/gemma.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINE "audiotestsrc wave=ticks samplesperbuffer=1600 num-buffers=%d ! gemmatranscriber name=t latency=3000 " \
    "t.src ! gemmatranslate gather=sentences target-language=es ! fakesink async=false t.translate_src_0 ! fakesink async=false"

static void
wait_for_model (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstProgressType type = GST_PROGRESS_TYPE_START;

  while (type != GST_PROGRESS_TYPE_COMPLETE) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_PROGRESS);
    fail_unless (message != NULL);
    gst_message_parse_progress (message, &type, NULL, NULL);
  }
}

/* Fails if an object that the elements made is alive. */
static void
check_no_leaks (void)
{
  GList *tracers = gst_tracing_get_active_tracers ();
  GstStructure *info = NULL;

  /* The threads of tasks drop their last references just after they were joined. */
  g_usleep (200000);

  for (GList *l = tracers; l; l = l->next)
    if (g_str_equal (G_OBJECT_TYPE_NAME (l->data), "GstLeaksTracer"))
      g_signal_emit_by_name (l->data, "get-live-objects", &info);
  fail_unless (info != NULL, "the leaks tracer does not run");
  const GValue *list = gst_structure_get_value (info, "live-objects-list");
  for (guint i = 0; i < gst_value_list_get_size (list); i++) {
    const GstStructure *s = gst_value_get_structure (gst_value_list_get_value (list, i));
    const GValue *object = gst_structure_get_value (s, "object");
    if (G_VALUE_HOLDS (object, GST_TYPE_ELEMENT_FACTORY) || G_VALUE_HOLDS (object, GST_TYPE_PLUGIN))
      continue;
    g_autofree gchar *text = gst_structure_to_string (s);
    /* Caps of pad templates live as long as their classes. */
    fail_unless (G_VALUE_HOLDS (object, GST_TYPE_CAPS) || G_VALUE_HOLDS (object, GST_TYPE_PAD_TEMPLATE) ||
        strstr (text, "Task") || strstr (text, "Clock") || strstr (text, "Registry") || strstr (text, "DeviceProvider"),
        "alive: %s", text);
  }
  gst_structure_free (info);
  g_list_free_full (tracers, gst_object_unref);
}

static void
cycle (const gchar *description)
{
  GstElement *pipeline = launch_pipeline (description);
  GRand *rand = g_rand_new_with_seed (1);
  const gchar *cycles = g_getenv ("GEMMA_TEST_CYCLES");    /* valgrind takes its time */
  guint n_cycles = cycles ? atoi (cycles) : 100;

  /* Stopped while the model loads, while sound or a frame is encoded, while text is decoded. */
  for (guint i = 0; i < n_cycles; i++) {
    fail_unless (gst_element_set_state (pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
    g_usleep (g_rand_int_range (rand, 0, i % 10 ? 20000 : 500000));
    gst_element_set_state (pipeline, GST_STATE_NULL);
  }
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) error = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  fail_unless (error == NULL);
  gst_bus_set_flushing (bus, TRUE);
  g_clear_pointer (&bus, gst_object_unref);
  gst_object_unref (pipeline);
  g_rand_free (rand);
  check_no_leaks ();
}

GST_START_TEST (test_null_to_playing_100_times)
{
  g_autofree gchar *description = g_strdup_printf (PIPELINE, 1000);

  cycle (description);
}

GST_END_TEST;

GST_START_TEST (test_video_null_to_playing_100_times)
{
  g_autofree gchar *file = g_strdup_printf ("videotestsrc ! gemmavisionenc model=%s ! fakesink", vision_model_path ());
  g_autofree gchar *live = g_strdup_printf ("videotestsrc is-live=true ! gemmavisionenc model=%s resolution=768 ! "
      "fakesink async=false", vision_model_path ());

  cycle (file);
  cycle (live);
}

GST_END_TEST;

GST_START_TEST (test_load_is_cancelled)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmalm", NULL));

  g_object_set (gst_gemma_model_store_get_default (), "linger", 0, NULL);
  for (guint i = 0; i < 20; i++) {
    Watch watch = watch_begin ();
    gst_element_set_state (element, GST_STATE_PAUSED);
    gst_element_set_state (element, GST_STATE_NULL);
    fail_unless (watch_get (&watch) < G_USEC_PER_SEC / 2);
    fail_unless_equals_int (gst_gemma_model_store_get_n_models (gst_gemma_model_store_get_default ()), 0);
  }
}

GST_END_TEST;

static guint64
get_lm_bytes (GstElement *pipeline)
{
  g_autoptr (GstElement) lm = gst_bin_get_by_name (GST_BIN (pipeline), "l");

  return get_stat (lm, "device-bytes");
}

GST_START_TEST (test_elements_share_one_model)
{
  GstGemmaModelStore *store = gst_gemma_model_store_get_default ();
  GstElement *pipelines[8];
  guint64 bytes;

  for (guint i = 0; i < 8; i++)
    pipelines[i] = launch_pipeline ("gemmalm name=l ! fakesink async=false");
  gst_element_set_state (pipelines[0], GST_STATE_PAUSED);
  wait_for_model (pipelines[0]);
  bytes = get_lm_bytes (pipelines[0]);
  fail_unless (bytes > 1000000);
  for (guint i = 1; i < 8; i++) {
    gst_element_set_state (pipelines[i], GST_STATE_PAUSED);
    fail_unless_equals_int (gst_gemma_model_store_get_n_models (store), 1);
    /* Loaded already, and not a byte more on the device. */
    fail_unless_equals_uint64 (get_lm_bytes (pipelines[i]), bytes);
  }
  for (guint i = 0; i < 8; i++) {
    gst_element_set_state (pipelines[i], GST_STATE_NULL);
    gst_object_unref (pipelines[i]);
  }
}

GST_END_TEST;

GST_START_TEST (test_store_of_the_application)
{
  g_autoptr (GstGemmaModelStore) store = gst_gemma_model_store_new ();
  g_autoptr (GstContext) context = gst_gemma_model_store_context_new (store);
  GstElement *pipeline = launch_pipeline ("gemmatranscriber");

  gst_element_set_context (pipeline, context);
  gst_element_set_state (pipeline, GST_STATE_READY);
  fail_unless_equals_int (gst_gemma_model_store_get_n_models (store), 2);       /* encoder and language model */
  fail_unless_equals_int (gst_gemma_model_store_get_n_models (gst_gemma_model_store_get_default ()), 0);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GST_END_TEST;

/* One of two elements on one model fails: the other goes on. */
GST_START_TEST (test_one_fails_the_other_runs)
{
  GstElement *pipeline = launch_pipeline ("gemmalm name=x context-size=8 ! fakesink async=false "
      "gemmalm name=y temperature=10 seed=3 max-tokens=12 ! fakesink async=false "
      "appsrc name=a format=time caps=text/x-raw,format=utf8 ! x.text_0 "
      "appsrc name=b format=time caps=text/x-raw,format=utf8 ! y.text_0");
  g_autoptr (GstElement) a = gst_bin_get_by_name (GST_BIN (pipeline), "a"), b = gst_bin_get_by_name (GST_BIN (pipeline), "b"),
      y = gst_bin_get_by_name (GST_BIN (pipeline), "y");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (y, "src");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  Collector *out = collector_new (pad);
  GstFlowReturn flow;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstBuffer) text = make_text ("a", 0, GST_CLOCK_TIME_NONE);
  g_signal_emit_by_name (a, "push-buffer", text, &flow);
  g_autofree gchar *message = wait_error (bus, 60);
  g_signal_emit_by_name (b, "push-buffer", text, &flow);
  g_signal_emit_by_name (b, "end-of-stream", &flow);
  collector_wait_eos (out, 60);
  fail_unless_equals_int (collector_count (out, TRUE, 0), 1);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  collector_free (out);
}

GST_END_TEST;

GST_START_TEST (test_seek)
{
  g_autofree gchar *description = g_strdup_printf (PIPELINE, 100000);
  GstElement *pipeline = launch_pipeline (description);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  wait_for_model (pipeline);
  for (guint i = 0; i < 5; i++) {
    Watch watch = watch_begin ();
    fail_unless (gst_element_seek_simple (pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, i * GST_SECOND));
    /* A token of text, or a slice of sound: parts of a second, on a busy machine, too. */
    fail_unless (watch_get (&watch) < 3 * G_USEC_PER_SEC);
    g_usleep (100000);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GST_END_TEST;

static Suite *
lifecycle_suite (void)
{
  Suite *s = suite_create ("lifecycle");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_null_to_playing_100_times);
  tcase_add_test (tc, test_video_null_to_playing_100_times);
  tcase_add_test (tc, test_load_is_cancelled);
  tcase_add_test (tc, test_elements_share_one_model);
  tcase_add_test (tc, test_store_of_the_application);
  tcase_add_test (tc, test_one_fails_the_other_runs);
  tcase_add_test (tc, test_seek);
  return s;
}

GST_CHECK_MAIN (lifecycle);
