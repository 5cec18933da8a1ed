/* Operations whose operands do not fit together: the queue fails with their name, nothing is written. */
#include "opencl/ops.h"

#include <gst/check/gstcheck.h>

static OclDevice *device;
static OclQueue *queue;
static OclTensor a, b, none;    /* [4][16] and [3][24] */

static void
setup (void)
{
  device = ocl_device_open ("auto", NULL);
  queue = ocl_queue_new (device, NULL);
  a = ocl_tensor_new (device, 4, 16, NULL);
  b = ocl_tensor_new (device, 3, 24, NULL);
  fail_unless (a.mem && b.mem);
  ocl_fill (queue, a, 5);
}

static void
teardown (void)
{
  ocl_tensor_clear (device, &a);
  ocl_tensor_clear (device, &b);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}

static void
expect_refused (const gchar *operation)
{
  g_autoptr (GError) error = NULL;
  gfloat values[4 * 16];

  fail_if (ocl_queue_finish (queue, &error), "%s was not refused", operation);
  fail_unless (g_error_matches (error, OCL_ERROR, OCL_ERROR_FAILED));
  fail_unless (g_str_has_prefix (error->message, operation), "%s", error->message);
  fail_unless (ocl_tensor_read (queue, a, values));
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    fail_unless (values[i] == 5);
}

GST_START_TEST (test_elementwise)
{
  ocl_add (queue, a, a, b);
  expect_refused ("add");
  ocl_copy (queue, a, b);
  expect_refused ("copy");
  ocl_silu (queue, a, b);
  expect_refused ("silu");
  ocl_glu (queue, a, a);
  expect_refused ("glu");
  ocl_gelu_mul (queue, a, a, b);
  expect_refused ("gelu_mul");
  ocl_gated_gelu (queue, a, b, a, 0);
  expect_refused ("gated_gelu");
  ocl_scale_cols (queue, a, a, none);
  expect_refused ("scale_cols");
  ocl_bias (queue, a, a, b);
  expect_refused ("bias");
  ocl_bias_gelu (queue, a, a, none);
  expect_refused ("bias_gelu");
}
GST_END_TEST

GST_START_TEST (test_norms)
{
  OclRmsNorm norm = OCL_RMS_NORM_INIT (b, 1e-6f);
  OclLayerNorm layer_norm = { ocl_tensor_rows (a, 0, 1), none, 1e-6f };

  ocl_layer_norm (queue, a, a, &layer_norm);
  expect_refused ("layer_norm");
  ocl_rms_norm (queue, a, a, &norm);
  expect_refused ("rms_norm");
  ocl_match_magnitude (queue, a, b, 1e-5f);
  expect_refused ("match_magnitude");
  ocl_cumulative_norm (queue, a, ocl_tensor_rows (a, 0, 1), a, 1e-3f);  /* the state is not [1][8] */
  expect_refused ("cumulative_norm");
}
GST_END_TEST

GST_START_TEST (test_attention)
{
  OclKvCache cache = { a, b, 4 };
  OclQkv qkv = { 1, 1, 16, 0, 1e-6f, ocl_tensor_rows (a, 0, 1), ocl_tensor_rows (a, 0, 1), a };
  OclAttention p = { 1, 1, 16, 0, 0, 1 }, uneven = { 2, 3, 8, 0, 0, 1 };
  OclLocalAttention local = { 1, 16, 2, 2, 50, ocl_tensor_rows (a, 0, 1) };
  OclAttentionWeights weights = { 0, 2, 16, 0, 0, 1 };

  ocl_rope_table (queue, ocl_tensor_cols (a, 0, 7), 0, 1e4f, 1);
  expect_refused ("rope_table");
  ocl_qkv_norm_rope (queue, a, &cache, &qkv);
  expect_refused ("qkv_norm_rope");
  ocl_attention (queue, a, a, &cache, &p);
  expect_refused ("attention");
  ocl_attention (queue, a, a, &cache, &uneven);
  expect_refused ("attention");
  ocl_attention_weights (queue, a, a, &cache, &weights);
  expect_refused ("attention_weights");
  ocl_local_attention (queue, a, a, a, a, a, &local);
  expect_refused ("local_attention");
}
GST_END_TEST

GST_START_TEST (test_altup_and_convolutions)
{
  OclAltup altup = { .n_streams = 2, .eps = 1e-6f, .router_norm = ocl_tensor_rows (a, 0, 1), .router = b };
  OclIm2col patches = { 4, 4, 4, 3, 2, 0, 1, 2, 2 };

  ocl_altup_predict (queue, a, a, &altup);
  expect_refused ("altup_predict");
  ocl_altup_correct (queue, a, a, a, &altup);
  expect_refused ("altup_correct");
  ocl_altup_add (queue, a, a, ocl_tensor_rows (a, 0, 1), 1e-6f, 2);
  expect_refused ("altup_add");
  ocl_mean_streams (queue, a, a, 9);
  expect_refused ("mean_streams");
  ocl_im2col (queue, a, a, &patches);
  expect_refused ("im2col");
  ocl_depthwise_causal (queue, a, a, a);
  expect_refused ("depthwise_causal");
}
GST_END_TEST

GST_START_TEST (test_no_rows)
{
  OclTensor empty = ocl_tensor_rows (a, 0, 0);
  OclRmsNorm norm = OCL_RMS_NORM_INIT (none, 1e-6f);

  ocl_add (queue, empty, empty, empty);
  ocl_rms_norm (queue, empty, empty, &norm);
  ocl_mean_streams (queue, empty, empty, 2);
  fail_unless (ocl_queue_finish (queue, NULL));
}
GST_END_TEST

static Suite *
shapes_suite (void)
{
  Suite *s = suite_create ("shapes");
  TCase *tc = tcase_create ("shapes");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 120);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_elementwise);
  tcase_add_test (tc, test_norms);
  tcase_add_test (tc, test_attention);
  tcase_add_test (tc, test_altup_and_convolutions);
  tcase_add_test (tc, test_no_rows);
  return s;
}

GST_CHECK_MAIN (shapes)
