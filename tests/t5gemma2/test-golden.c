/* T5Gemma 2's encoder and decoder against transformers in float32: states of every layer, logits, greedy ids; and what
 * a session of an encoder-decoder is. */
#include <string.h>

#include "tests/gemma3n/fixture.h"

GST_START_TEST (test_every_layer_tiny) { golden_check_states ("tiny", 96); }

GST_END_TEST;

GST_START_TEST (test_every_layer_tiny_in_chunks) { golden_check_states ("tiny", 7); }

GST_END_TEST;

GST_START_TEST (test_every_layer_270m_shapes) { golden_check_states ("270m", 128); }

GST_END_TEST;

GST_START_TEST (test_greedy_tiny) { golden_check_greedy ("tiny"); }

GST_END_TEST;

/* A source is kept or given up as a whole; what the decoder said of it can be taken back and said again. */
GST_START_TEST (test_truncate)
{
  const Model *m = model_get ("tiny");
  g_autoptr (Npy) source = golden ("tiny", "source", NPY_I32);
  gint V = m->config->text.vocab_size, n = PROMPT;
  g_autofree gfloat *first = g_new (gfloat, V), *logits = g_new (gfloat, V), *again = g_new (gfloat, V);
  g_autofree gfloat *alone = logits_after (m, source->i32, 9, 0);
  gint32 ids[12], same[12];
  GemmaLmSession *session = session_new (m, 0, 16, 12);
  append (session, source->i32, n, first, FALSE);
  fail_unless_equals_int (gemma_lm_session_get_length (session), n);
  memcpy (logits, first, V * sizeof (gfloat));
  decode (m, session, logits, ids, G_N_ELEMENTS (ids));
  fail_unless_equals_int (gemma_lm_session_get_length (session), n + G_N_ELEMENTS (ids));

  fail_if (gemma_lm_session_truncate (session, n - 1));
  fail_if (gemma_lm_session_truncate (session, 1));
  fail_unless (gemma_lm_session_truncate (session, n));
  memcpy (again, first, V * sizeof (gfloat));
  decode (m, session, again, same, G_N_ELEMENTS (same));
  fail_unless (memcmp (ids, same, sizeof ids) == 0 && memcmp (logits, again, V * sizeof (gfloat)) == 0);

  /* Another source, shorter than what the memory has room for. */
  fail_unless (gemma_lm_session_truncate (session, 0));
  append (session, source->i32, 9, logits, FALSE);
  fail_unless_equals_int (gemma_lm_session_get_length (session), 9);
  check_close ("logits of a second source", logits, alone, V, GOLDEN_LIMIT);
  gemma_lm_session_free (session);
}

GST_END_TEST;

static void
expect_error (GemmaLmSession *session, const gint32 *ids, gint n, GCancellable *cancellable, GemmaError code)
{
  g_autoptr (GError) error = NULL;
  gint before = gemma_lm_session_get_length (session);
  fail_if (gemma_lm_session_append (session, ids, n, NULL, NULL, FALSE, cancellable, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, code), "%s", error->message);
  fail_unless_equals_int (gemma_lm_session_get_length (session), before);
}

GST_START_TEST (test_refused)
{
  const Model *m = model_get ("tiny");
  g_autoptr (Npy) source = golden ("tiny", "source", NPY_I32);
  gint most = m->config->encoder.context_length, V = m->config->text.vocab_size;
  g_autofree gint32 *long_source = g_new0 (gint32, most + 1);
  g_autofree gfloat *alone = logits_after (m, source->i32, PROMPT, 0), *logits = g_new (gfloat, V);
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  GemmaLmSession *session = session_new (m, 0, 0, 0);
  g_cancellable_cancel (cancelled);
  expect_error (session, long_source, most + 1, NULL, GEMMA_ERROR_TOO_LONG);
  expect_error (session, (gint32[]){ 2, V }, 2, NULL, GEMMA_ERROR_INVALID);
  expect_error (session, source->i32, source->n, cancelled, GEMMA_ERROR_CANCELLED);
  append (session, source->i32, PROMPT, logits, FALSE); /* as if nothing had been */
  check_close ("logits after what was refused", logits, alone, V, 0.);
  expect_error (session, source->i32, 20, cancelled, GEMMA_ERROR_CANCELLED);
  expect_error (session, long_source, m->config->text.context_length, NULL, GEMMA_ERROR_TOO_LONG);
  gemma_lm_session_free (session);

  session = session_new (m, PROMPT + 2, 0, 0);
  append (session, source->i32, PROMPT, logits, FALSE);
  expect_error (session, source->i32, 3, NULL, GEMMA_ERROR_TOO_LONG);
  append (session, source->i32, 2, logits, FALSE);
  gemma_lm_session_free (session);
}

GST_END_TEST;

typedef struct
{
  OclDevice *device;
  gint64 bytes;
} Peak;

static void
watch (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer user_data)
{
  Peak *peak = user_data;
  peak->bytes = MAX (peak->bytes, (gint64) ocl_device_get_allocated (peak->device));
}

/* The most memory of the device that is in use while a source of @n ids is encoded and the decoder begins. */
static gint64
peak_of (const Model *m, gint n)
{
  g_autofree gint32 *ids = g_new0 (gint32, n);
  GemmaLmSession *session = session_new (m, 0, 0, 0);
  Peak peak = { m->device, 0 };
  gemma_lm_session_set_observer (session, watch, &peak);
  append (session, ids, n, NULL, FALSE);
  gemma_lm_session_free (session);
  return peak.bytes;
}

/* Twice the length, twice the memory: attention has no matrix of all pairs, 128 MB for 4000 ids and two heads. */
GST_START_TEST (test_memory_grows_with_length)
{
  const Model *m = model_get ("tiny");
  gint64 a = peak_of (m, 1000), b = peak_of (m, 2000), c = peak_of (m, 4000), each = (c - a) / 3000;
  g_print ("tiny: %" G_GINT64_FORMAT " bytes for each id of a source\n", each);
  fail_unless (ABS ((c - b) - 2 * (b - a)) <= (c - b) / 100, "%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT ", %"
      G_GINT64_FORMAT " bytes for 1000, 2000 and 4000 ids", a, b, c);
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("t5gemma2_golden");
  TCase *tc = tcase_create ("golden");
  tcase_set_timeout (tc, 300);
  tcase_add_test (tc, test_every_layer_tiny);
  tcase_add_test (tc, test_every_layer_tiny_in_chunks);
  tcase_add_test (tc, test_every_layer_270m_shapes);
  tcase_add_test (tc, test_greedy_tiny);
  tcase_add_test (tc, test_truncate);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_memory_grows_with_length);
  suite_add_tcase (suite, tc);
  int failed = gst_check_run_suite (suite, "t5gemma2_golden", __FILE__);
  models_free ();
  return failed;
}
