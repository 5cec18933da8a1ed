/* USM's convolutions and its local attention. */
#include "checkkernels.h"

#include <math.h>

static void
check_im2col (Check *c)
{
  OclIm2col p = {
    .height = check_int (c, 1, 12), .width = check_int (c, 1, 20), .kernel = check_int (c, 1, 4),
    .stride = check_int (c, 1, 3), .pad_top = check_int (c, 0, 2), .pad_left = check_int (c, 0, 2)
  };
  OclTensor x, y;

  p.channels = check_int (c, 0, 1) ? 1 : check_int (c, 1, 40);
  /* up to two rows and columns that begin beyond the far edge */
  p.out_height = (p.height + p.pad_top) / p.stride + check_int (c, 1, 2);
  p.out_width = (p.width + p.pad_left) / p.stride + check_int (c, 1, 2);
  x = check_input (c, p.height, p.width * p.channels, -4, 4);
  y = check_output (c, p.out_height * p.out_width, p.kernel * p.kernel * p.channels);
  check_describe (c, "%dx%dx%d, kernel %d, stride %d, pad %d %d, to %dx%d", p.height, p.width, p.channels, p.kernel,
      p.stride, p.pad_top, p.pad_left, p.out_height, p.out_width);
  ocl_im2col (check_queue (c), y, x, &p);
  check_result (c, y, 0, 0);
}

static void
bench_im2col (Check *c)
{
  OclIm2col first = { 200, 128, 1, 3, 2, 0, 1, 100, 64 }, second = { 100, 64, 128, 3, 2, 0, 1, 50, 32 };
  OclTensor x = check_dense (c, 200, 128, -1, 1), y = check_dense (c, 6400, 9, 0, 0);
  OclTensor x2 = check_dense (c, 100, 8192, -1, 1), y2 = check_dense (c, 1600, 1152, 0, 0);

  check_bench (c, "200x128x1", 4.0 * 6400 * 9, 0)
    ocl_im2col (check_queue (c), y, x, &first);
  check_bench (c, "100x64x128", 4.0 * 1600 * 1152, 0)
    ocl_im2col (check_queue (c), y2, x2, &second);
}

static void
check_depthwise_causal (Check *c)
{
  gint rows = check_int (c, 1, 40), cols = check_int (c, 1, 300), taps = check_int (c, 1, 6);
  OclTensor x = check_input (c, rows + taps - 1, cols, -4, 4), w = check_input (c, taps, cols, -2, 2);
  OclTensor y = check_output (c, rows, cols);

  check_describe (c, "%dx%d, %d taps", rows, cols, taps);
  ocl_depthwise_causal (check_queue (c), y, x, w);
  check_result (c, y, 6e-6f, 0);        /* 6 terms of up to 8, each rounded to 2^-24 */
}

static void
bench_depthwise_causal (Check *c)
{
  OclTensor x = check_dense (c, 260, 1536, -1, 1), w = check_dense (c, 5, 1536, -1, 1);
  OclTensor y = check_dense (c, 256, 1536, 0, 0);

  check_bench (c, "256x1536", 8.0 * 256 * 1536, 10.0 * 256 * 1536)
    ocl_depthwise_causal (check_queue (c), y, x, w);
}

/* History that is not valid is NaN: to touch it shows. */
static OclTensor
make_keys (Check *c, gint rows, gint width, gint n_invalid)
{
  gfloat *values = check_values (c, rows, width, -1, 1);

  for (gint i = 0; i < n_invalid * width; i++)
    values[i] = NAN;
  return check_input_from (c, rows, width, values);
}

static void
check_local_attention (Check *c)
{
  static const gint dims[] = { 8, 192, 20, 64, 7 };
  gint rows = check_int (c, 1, 30), n_heads = check_int (c, 1, 4), d = dims[check_case (c) % G_N_ELEMENTS (dims)];
  gint left = check_int (c, 0, 1) ? 12 : check_int (c, 0, 70), n_history = check_int (c, 0, 1) * check_int (c, 0, left);
  OclLocalAttention p = { n_heads, d, left, n_history, 50, check_input (c, 1, d, 0, 0.5f) };
  OclTensor q = check_input (c, rows, n_heads * d, -2, 2), rel = check_input (c, left + 1, n_heads * d, -1, 1);
  OclTensor k = make_keys (c, left + rows, n_heads * d, left - n_history);
  OclTensor v = make_keys (c, left + rows, n_heads * d, left - n_history), o = check_output (c, rows, n_heads * d);

  check_describe (c, "%d rows, %d heads of %d, %d left, %d known", rows, n_heads, d, left, n_history);
  ocl_local_attention (check_queue (c), o, q, k, v, rel, &p);
  check_result (c, o, 1e-5f, 0);        /* logits of up to 30 are good to 2e-6, values at most 1 */
}

static void
bench_local_attention (Check *c)
{
  OclLocalAttention p = { 8, 192, 12, 12, 50, check_dense (c, 1, 192, 0, 0.5f) };
  OclTensor q = check_dense (c, 256, 1536, -1, 1), k = check_dense (c, 268, 1536, -1, 1);
  OclTensor o = check_dense (c, 256, 1536, 0, 0), rel = check_dense (c, 13, 1536, -1, 1);

  check_bench (c, "256 rows, 8 heads of 192", 16.0 * 256 * 1536, 13 * 6.0 * 256 * 1536)
    ocl_local_attention (check_queue (c), o, q, k, k, rel, &p);
}

const CheckOp check_ops_conv[] = {
  { "im2col", 24, check_im2col, bench_im2col },
  { "depthwise_causal", 12, check_depthwise_causal, bench_depthwise_causal },
  { "local_attention", 20, check_local_attention, bench_local_attention },
  { NULL }
};
