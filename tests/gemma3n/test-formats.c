/* The same model from another file: GGUF equals Hugging Face, quantized weights equal what they stand for. */
#include "fixture.h"

#include <glib/gstdio.h>
#include <math.h>

#include "gguf-writer.h"
#include "tests/relative-error.h"

#define N 40
#define SAME 1e-5 /* the same float32 path over the same values */

static const gint32 *
prompt (void)
{
  static gint32 ids[N];
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  for (gint i = 0; i < N; i++)
    ids[i] = g_rand_int_range (rand, 0, 256);
  return ids;
}

/* @source in GGUF with weights of @type. (transfer full) */
static Model *
gguf_model (const Model *source, OclType type, gboolean dequantized)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = NULL;
  gint fd = g_file_open_tmp ("gemma-test-XXXXXX.gguf", &path, &error);
  fail_unless (fd >= 0 && g_close (fd, NULL));
  gguf_write_text (path, source->weights, source->config, type, dequantized);
  GemmaWeights *weights = gemma_weights_open_gguf (path, &error);
  fail_unless (weights != NULL, "%s", error ? error->message : "no error");
  Model *m = model_new ("gguf", weights);
  g_remove (path);
  return m;
}

static gfloat *
logits_of_gguf (const Model *source, OclType type, gboolean dequantized)
{
  Model *m = gguf_model (source, type, dequantized);
  gfloat *logits = logits_after (m, prompt (), N, 0);
  fail_unless_equals_int (m->config->text.first_soft_id, source->config->text.first_soft_id);
  model_free (m);
  return logits;
}

GST_START_TEST (test_gguf_equals_hf)
{
  const Model *m = model_get ("tiny");
  g_autofree gfloat *hf = logits_after (m, prompt (), N, 0);
  g_autofree gfloat *gguf = logits_of_gguf (m, OCL_TYPE_F32, FALSE);
  check_close ("logits of the GGUF", gguf, hf, m->config->text.vocab_size, 0.);
}

GST_END_TEST;

/* Blocks of 256 need the wider model, of which the per-layer embedding falls back to types with blocks of 32. */
static const struct
{
  OclType type;
  const gchar *name, *size;
} kinds[] = {
  { OCL_TYPE_F16, "F16", "tiny" },
  { OCL_TYPE_BF16, "BF16", "tiny" },
  { OCL_TYPE_Q8_0, "Q8_0", "tiny" },
  { OCL_TYPE_Q4_0, "Q4_0", "tiny" },
  { OCL_TYPE_Q4_1, "Q4_1", "tiny" },
  { OCL_TYPE_Q5_0, "Q5_0", "tiny" },
  { OCL_TYPE_Q5_1, "Q5_1", "tiny" },
  { OCL_TYPE_Q5_K, "Q5_K", "small" },
  { OCL_TYPE_Q6_K, "Q6_K", "small" },
  { GGUF_MIXED, "mixed", "small" },
};
#define FIRST_QUANTIZED 2

GST_START_TEST (test_quantized_equals_dequantized)
{
  const Model *m = model_get (kinds[__i__].size);
  gint V = m->config->text.vocab_size;
  OclType type = kinds[__i__].type;
  g_autofree gfloat *hf = logits_after (m, prompt (), N, 0);
  g_autofree gfloat *got = logits_of_gguf (m, type, FALSE), *expected = logits_of_gguf (m, type, TRUE);
  g_print ("%s: off float32 weights by %.2g, off its own values by %.2g\n", kinds[__i__].name,
      relative_error (got, hf, V), relative_error (got, expected, V));
  check_close (kinds[__i__].name, got, expected, V, SAME);
  fail_unless (relative_error (got, hf, V) > 1e-5, "the weights were not quantized at all");
}

GST_END_TEST;

static gdouble
correlation (const gfloat *a, const gfloat *b, gint n)
{
  gdouble mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  for (gint i = 0; i < n; i++) {
    mean_a += a[i] / n;
    mean_b += b[i] / n;
  }
  for (gint i = 0; i < n; i++) {
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
    ab += (a[i] - mean_a) * (b[i] - mean_b);
  }
  return ab / sqrt (aa * bb);
}

/* Products with 8-bit activations are allowed to be rounder, not wrong; a device without such variants gives the same. */
GST_START_TEST (test_int8_activations)
{
  const Model *source = model_get (kinds[__i__].size);
  gint V = source->config->text.vocab_size;
  g_autoptr (GError) error = NULL;
  Model *m = gguf_model (source, kinds[__i__].type, FALSE);
  g_autofree gfloat *expected = logits_after (m, prompt (), N, 0), *got = g_new (gfloat, V);
  GemmaLmSessionParams params = { 0, 0, 0, OCL_MATMUL_INT8_ACTIVATIONS };
  GemmaLmSession *session = gemma_lm_session_new (m->lm, &params, &error);
  append (session, prompt (), N, got, FALSE);
  gdouble same = correlation (got, expected, V);
  g_print ("%s: 8-bit activations change the logits by %.2g, correlation %.6f\n", kinds[__i__].name,
      relative_error (got, expected, V), same);
  /* each value is rounded by up to 1 / 254 of the largest of its 32; Gemma 3's 18 layers of random weights have one
   * stream, in which that adds up, where Gemma 3n takes the mean of four */
  gdouble limit = g_str_equal (source->config->architecture, "gemma3") ? 0.995 : 0.999;
  fail_unless (same >= limit, "%s: correlation %g", kinds[__i__].name, same);
  gemma_lm_session_free (session);
  model_free (m);
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("gemma3n_formats");
  TCase *tc = tcase_create ("formats");
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_gguf_equals_hf);
  tcase_add_loop_test (tc, test_quantized_equals_dequantized, 0, G_N_ELEMENTS (kinds));
  tcase_add_loop_test (tc, test_int8_activations, FIRST_QUANTIZED, G_N_ELEMENTS (kinds));
  suite_add_tcase (suite, tc);
  int failed = gst_check_run_suite (suite, "gemma3n_formats", __FILE__);
  models_free ();
  return failed;
}
