/* Gemma 3's language model against transformers in float32: states of every layer, logits, greedy ids. */
#include "tests/gemma3n/fixture.h"

GST_START_TEST (test_every_layer_tiny) { golden_check_states ("tiny", 96); }

GST_END_TEST;

GST_START_TEST (test_every_layer_tiny_in_chunks) { golden_check_states ("tiny", 5); }

GST_END_TEST;

GST_START_TEST (test_every_layer_small) { golden_check_states ("small", 48); }

GST_END_TEST;

GST_START_TEST (test_every_layer_270m_shapes) { golden_check_states ("270m", 128); }

GST_END_TEST;

GST_START_TEST (test_greedy_tiny) { golden_check_greedy ("tiny"); }

GST_END_TEST;

GST_START_TEST (test_greedy_small) { golden_check_greedy ("small"); }

GST_END_TEST;

/* The last layer computes only what is asked for: one position, and nothing but keys and values in earlier chunks. */
GST_START_TEST (test_last_logits_only)
{
  static const gint chunks[] = { 128, 24, 7 };
  const Model *m = model_get ("tiny");
  g_autoptr (Npy) ids = golden ("tiny", "ids", NPY_I32), rows = golden ("tiny", "logit-rows", NPY_I32);
  g_autoptr (Npy) expected = golden ("tiny", "logits", NPY_F32);
  gint V = m->config->text.vocab_size;
  fail_unless_equals_int (rows->i32[rows->n - 1], ids->n - 1);
  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++) {
    g_autofree gfloat *got = logits_after (m, ids->i32, ids->n, chunks[i]);
    check_close ("logits", got, expected->f32 + (rows->n - 1) * V, V, GOLDEN_LIMIT);
  }
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("gemma3_golden");
  TCase *tc = tcase_create ("golden");
  tcase_set_timeout (tc, 300);
  tcase_add_test (tc, test_every_layer_tiny);
  tcase_add_test (tc, test_every_layer_tiny_in_chunks);
  tcase_add_test (tc, test_every_layer_small);
  tcase_add_test (tc, test_every_layer_270m_shapes);
  tcase_add_test (tc, test_greedy_tiny);
  tcase_add_test (tc, test_greedy_small);
  tcase_add_test (tc, test_last_logits_only);
  suite_add_tcase (suite, tc);
  int failed = gst_check_run_suite (suite, "gemma3_golden", __FILE__);
  models_free ();
  return failed;
}
