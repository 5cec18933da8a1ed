/* libgstgemma-1.0: caps, texts, caption files, the model store. */
#include "util.h"

#include <gst/gemma/gemma.h>
#include <string.h>

GST_START_TEST (test_caps)
{
  g_autoptr (GstCaps) caps = gst_gemma_soft_token_caps_new (2048, 256, 25, 4);
  static const gchar *bad[] = {
    "other/tensors,format=static,num_tensors=1,types=float16,dimensions=(string)2048:1",
    "other/tensors,format=static,num_tensors=2,types=float32,dimensions=(string)2048:1",
    "other/tensors,format=static,num_tensors=1,types=float32",
    "other/tensors,format=static,num_tensors=1,types=float32,dimensions=(string)0:1",
    "other/tensors,format=static,num_tensors=1,types=float32,dimensions=(string)2048:1:3",
    "other/tensors,format=static,num_tensors=1,types=float32,dimensions=(string)99999999999999999999:1",
    "audio/x-raw",
  };
  guint hidden, n;

  fail_unless (gst_gemma_soft_token_caps_parse (caps, &hidden, &n));
  fail_unless_equals_int (hidden, 2048);
  fail_unless_equals_int (n, 256);
  gst_caps_set_simple (caps, "dimensions", G_TYPE_STRING, "64:1:1:1", NULL);    /* as NNStreamer writes it */
  fail_unless (gst_gemma_soft_token_caps_parse (caps, &hidden, &n));
  fail_unless_equals_int (hidden, 64);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GstCaps) wrong = gst_caps_from_string (bad[i]);
    fail_if (gst_gemma_soft_token_caps_parse (wrong, &hidden, &n), "%s", bad[i]);
  }
}

GST_END_TEST;

static void
check_caption (const gchar *text, const gchar *expected)
{
  g_autofree gchar *caption = gst_gemma_caption_text (text);
  fail_unless_equals_string (caption, expected);
}

GST_START_TEST (test_caption_text)
{
  check_caption ("  one\n\n \r\n two\t\x01 ", "one\ntwo");
  check_caption ("a --> b ----> c", "a -> b -> c");
  check_caption ("\xff\xfe", "\xEF\xBF\xBD\xEF\xBF\xBD");
  check_caption ("\n \n", "");
  g_autofree gchar *time = gst_gemma_format_time (100 * 3600 * GST_SECOND + MS (59999), ',');
  fail_unless_equals_string (time, "100:00:59,999");
}

GST_END_TEST;

static void
check_cues (const gchar *name, const gchar *expected)
{
  const GstGemmaWord words[] = { { MS (3600000), MS (3600250), "back\\slash" }, { MS (3600300), MS (3600500), "\"here" } };
  g_autofree gchar *path = write_file (name, "", 0), *content = NULL;
  g_autoptr (GstGemmaCueWriter) writer = gst_gemma_cue_writer_new (path, NULL);

  fail_unless (gst_gemma_cue_writer_write (writer, MS (1040), MS (2000), "Tom & \"Jerry\"\n\n<i>", NULL));
  fail_unless (gst_gemma_cue_writer_write (writer, MS (4000), MS (10), " \n", NULL));
  fail_unless (gst_gemma_cue_writer_write_words (writer, MS (3600000), MS (500), "back\\slash \"here", words, 2, NULL));
  /* Each cue is on the disk when write returns: the writer is still open. */
  fail_unless (g_file_get_contents (path, &content, NULL, NULL));
  fail_unless_equals_string (content, expected);
}

GST_START_TEST (test_cue_files)
{
  g_autoptr (GError) error = NULL;

  check_cues ("a.txt", "Tom & \"Jerry\"\n<i>\nback\\slash \"here\n");
  check_cues ("a.SRT", "1\n00:00:01,040 --> 00:00:03,040\nTom & \"Jerry\"\n<i>\n\n"
      "2\n01:00:00,000 --> 01:00:00,500\nback\\slash \"here\n\n");
  check_cues ("a.vtt", "WEBVTT\n\n00:00:01.040 --> 00:00:03.040\nTom &amp; \"Jerry\"\n&lt;i&gt;\n\n"
      "01:00:00.000 --> 01:00:00.500\nback\\slash \"here\n\n");
  check_cues ("a.jsonl", "{\"start\": 1.040, \"end\": 3.040, \"text\": \"Tom & \\\"Jerry\\\"\\n<i>\"}\n"
      "{\"start\": 3600.000, \"end\": 3600.500, \"text\": \"back\\\\slash \\\"here\", \"words\": ["
      "{\"start\": 3600.000, \"end\": 3600.250, \"text\": \"back\\\\slash\"}, "
      "{\"start\": 3600.300, \"end\": 3600.500, \"text\": \"\\\"here\"}]}\n");
  fail_unless (gst_gemma_cue_writer_new ("/nonexistent/a.srt", &error) == NULL);
  fail_unless (error && error->domain == G_FILE_ERROR);
}

GST_END_TEST;

/* HLS players place the cues by it; other formats have no such header. */
GST_START_TEST (test_mapped_cue_files)
{
  static const gchar *const expected[][2] = {
    { "map.vtt", "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n00:00:01.000 --> 00:00:02.000\nHi\n\n" },
    { "map.srt", "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    g_autofree gchar *path = write_file (expected[i][0], "", 0), *content = NULL;
    g_autoptr (GstGemmaCueWriter) writer = gst_gemma_cue_writer_new_mapped (path, 900000, NULL);

    fail_unless (gst_gemma_cue_writer_write (writer, MS (1000), MS (1000), "Hi", NULL));
    fail_unless (g_file_get_contents (path, &content, NULL, NULL));
    fail_unless_equals_string (content, expected[i][1]);
  }
}

GST_END_TEST;

/* ---- the store ------------------------------------------------------------------------------- */

typedef struct
{
  GMutex lock;
  GCond cond;
  gboolean hold, fails;         /* load waits; load fails */
  gint n_loads, n_unloads, n_ready, n_failed, n_progress;
} Fake;

static Fake fake;

static gpointer
fake_load (gpointer data, GCancellable *cancellable, GstGemmaModelReport report, gpointer report_data, GError **error)
{
  report (0.5, "half", report_data);
  g_mutex_lock (&fake.lock);
  fake.n_loads++;
  g_cond_broadcast (&fake.cond);
  while (fake.hold && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&fake.cond, &fake.lock, g_get_monotonic_time () + 1000);
  g_mutex_unlock (&fake.lock);
  if (fake.fails || g_cancellable_set_error_if_cancelled (cancellable, error)) {
    if (error && !*error)
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "it fails");
    return NULL;
  }
  return &fake;
}

static void
fake_unload (gpointer model)
{
  g_mutex_lock (&fake.lock);
  fake.n_unloads++;
  g_cond_broadcast (&fake.cond);
  g_mutex_unlock (&fake.lock);
}

static void
fake_notify (GstGemmaModelLease *lease, GstGemmaModelEvent event, gdouble fraction, const gchar *what, gpointer data)
{
  g_mutex_lock (&fake.lock);
  fake.n_progress += event == GST_GEMMA_MODEL_EVENT_PROGRESS;
  fake.n_ready += event == GST_GEMMA_MODEL_EVENT_READY;
  fake.n_failed += event == GST_GEMMA_MODEL_EVENT_FAILED;
  g_cond_broadcast (&fake.cond);
  g_mutex_unlock (&fake.lock);
}

static GstGemmaModelLease *
request (GstGemmaModelStore *store, const gchar *key)
{
  static const GstGemmaModelFuncs funcs = { fake_load, fake_unload };

  return gst_gemma_model_store_request (store, key, &funcs, NULL, NULL, fake_notify, NULL, NULL);
}

static void
wait_for (gint *value, gint at_least)
{
  gint64 deadline = g_get_monotonic_time () + 10 * G_TIME_SPAN_SECOND;

  g_mutex_lock (&fake.lock);
  while (*value < at_least)
    fail_unless (g_cond_wait_until (&fake.cond, &fake.lock, deadline));
  g_mutex_unlock (&fake.lock);
}

static GstGemmaModelStore *
new_store (guint linger)
{
  GstGemmaModelStore *store = gst_gemma_model_store_new ();

  memset (&fake, 0, sizeof (fake));
  g_object_set (store, "linger", linger, NULL);
  return store;
}

GST_START_TEST (test_store_shares)
{
  g_autoptr (GstGemmaModelStore) store = new_store (0);
  GstGemmaModelLease *a, *b, *other;

  fake.hold = TRUE;
  a = request (store, "m");
  b = request (store, "m");
  fake.hold = FALSE;
  wait_for (&fake.n_ready, 2);
  fail_unless (gst_gemma_model_lease_get_model (a) == &fake && gst_gemma_model_lease_get_model (b) == &fake);
  fail_unless_equals_int (fake.n_loads, 1);
  other = request (store, "n");
  wait_for (&fake.n_ready, 3);
  fail_unless_equals_int (gst_gemma_model_store_get_n_models (store), 2);
  gst_gemma_model_lease_release (a);
  fail_unless_equals_int (fake.n_unloads, 0);
  gst_gemma_model_lease_release (b);
  gst_gemma_model_lease_release (other);
  wait_for (&fake.n_unloads, 2);        /* the loading thread may hold the last reference for a moment */
  fail_unless_equals_int (gst_gemma_model_store_get_n_models (store), 0);
}

GST_END_TEST;

GST_START_TEST (test_store_lingers)
{
  g_autoptr (GstGemmaModelStore) store = new_store (100);
  GstGemmaModelLease *lease = request (store, "m");

  wait_for (&fake.n_ready, 1);
  gst_gemma_model_lease_release (lease);
  lease = request (store, "m");         /* NULL and back: no second load */
  fail_unless (gst_gemma_model_lease_get_model (lease) == &fake);
  g_usleep (200000);                    /* longer than linger: it is in use */
  fail_unless_equals_int (fake.n_unloads, 0);
  gst_gemma_model_lease_release (lease);
  wait_for (&fake.n_unloads, 1);
  fail_unless_equals_int (fake.n_loads, 1);
}

GST_END_TEST;

GST_START_TEST (test_store_cancels)
{
  g_autoptr (GstGemmaModelStore) store = new_store (1000);
  GstGemmaModelLease *lease;

  fake.hold = TRUE;
  lease = request (store, "m");
  wait_for (&fake.n_loads, 1);
  gst_gemma_model_lease_release (lease);        /* returns although the load still runs */
  fail_unless_equals_int (gst_gemma_model_store_get_n_models (store), 0);
  fake.hold = FALSE;
  lease = request (store, "m");
  wait_for (&fake.n_ready, 1);
  fail_unless_equals_int (fake.n_loads, 2);
  gst_gemma_model_lease_release (lease);
}

GST_END_TEST;

GST_START_TEST (test_store_fails_and_tries_again)
{
  g_autoptr (GstGemmaModelStore) store = new_store (0);
  GstGemmaModelLease *lease;

  fake.fails = TRUE;
  lease = request (store, "m");
  wait_for (&fake.n_failed, 1);
  fail_unless (gst_gemma_model_lease_get_model (lease) == NULL);
  fail_unless_equals_string (gst_gemma_model_lease_get_error (lease)->message, "it fails");
  gst_gemma_model_lease_release (lease);
  fake.fails = FALSE;
  lease = request (store, "m");
  wait_for (&fake.n_ready, 1);
  gst_gemma_model_lease_release (lease);
  wait_for (&fake.n_unloads, 1);
}

GST_END_TEST;

GST_START_TEST (test_store_context)
{
  g_autoptr (GstGemmaModelStore) store = gst_gemma_model_store_new (), found = NULL;
  g_autoptr (GstContext) context = gst_gemma_model_store_context_new (store);
  g_autoptr (GstElement) element = gst_element_factory_make ("fakesink", NULL);

  gst_object_ref_sink (element);
  gst_element_set_context (element, context);
  found = gst_gemma_element_ensure_model_store (element);
  fail_unless (found == store);
}

GST_END_TEST;

static Suite *
library_suite (void)
{
  Suite *s = suite_create ("library");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_caps);
  tcase_add_test (tc, test_caption_text);
  tcase_add_test (tc, test_cue_files);
  tcase_add_test (tc, test_mapped_cue_files);
  tcase_add_test (tc, test_store_shares);
  tcase_add_test (tc, test_store_lingers);
  tcase_add_test (tc, test_store_cancels);
  tcase_add_test (tc, test_store_fails_and_tries_again);
  tcase_add_test (tc, test_store_context);
  return s;
}

GST_CHECK_MAIN (library);
