/* Gemma 3n's language model against transformers in float32: states of every layer, logits, greedy ids. */
#include "fixture.h"

GST_START_TEST (test_every_layer_tiny) { golden_check_states ("tiny", 96); }

GST_END_TEST;

GST_START_TEST (test_every_layer_tiny_in_chunks) { golden_check_states ("tiny", 5); }

GST_END_TEST;

GST_START_TEST (test_every_layer_small) { golden_check_states ("small", 48); }

GST_END_TEST;

GST_START_TEST (test_every_layer_e2b_shapes) { golden_check_states ("e2b", 128); }

GST_END_TEST;

GST_START_TEST (test_greedy_tiny) { golden_check_greedy ("tiny"); }

GST_END_TEST;

GST_START_TEST (test_greedy_small) { golden_check_greedy ("small"); }

GST_END_TEST;

/* Soft tokens in the middle of a prompt, in one chunk and with chunks that end among them. */
static void
check_soft (const gchar *size)
{
  const Model *m = model_get (size);
  g_autoptr (Npy) ids = golden (size, "soft-ids", NPY_I32), expected = golden (size, "soft-logits", NPY_F32);
  gint C = m->config->text.hidden, V = m->config->text.vocab_size;
  SeededTensor soft = { (gchar *) "soft_rows", 2, { 8, C }, 8 * C, 0., 1. };
  g_autofree gfloat *rows = g_new (gfloat, soft.n), *logits = g_new (gfloat, V);
  seeded_fill (rows, &soft, SEED, 0, soft.n);
  gint chunks[] = { 64, 12 };
  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++) {
    g_autoptr (GError) error = NULL;
    GemmaLmSession *session = session_new (m, 0, chunks[i], 0);
    fail_unless (gemma_lm_session_append (session, ids->i32, ids->n, rows, logits, FALSE, NULL, &error));
    check_close ("logits after soft tokens", logits, expected->f32, V, GOLDEN_LIMIT);
    gemma_lm_session_free (session);
  }
}

GST_START_TEST (test_soft_tokens)
{
  check_soft ("tiny");
  check_soft ("small");
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("gemma3n_golden");
  TCase *tc = tcase_create ("golden");
  tcase_set_timeout (tc, 300);
  tcase_add_test (tc, test_every_layer_tiny);
  tcase_add_test (tc, test_every_layer_tiny_in_chunks);
  tcase_add_test (tc, test_every_layer_small);
  tcase_add_test (tc, test_every_layer_e2b_shapes);
  tcase_add_test (tc, test_greedy_tiny);
  tcase_add_test (tc, test_greedy_small);
  tcase_add_test (tc, test_soft_tokens);
  suite_add_tcase (suite, tc);
  int failed = gst_check_run_suite (suite, "gemma3n_golden", __FILE__);
  models_free ();
  return failed;
}
