/* Operations on pictures: convolutions, resizing, attention that all heads share. */
#include "checkkernels.h"

#include <math.h>
#include <string.h>

/* A convolution of a small picture, edges everywhere; the first cases are those of the network. */
static OclConv2d
make_shape (Check *c)
{
  guint number = check_case (c);
  OclConv2d p = { .height = check_int (c, 1, 14), .width = check_int (c, 1, 23), .kernel = check_int (c, 1, 5),
    .stride = check_int (c, 1, 3), .pad_top = check_int (c, 0, 3), .pad_left = check_int (c, 0, 3) };

  if (number < 12) {
    p.kernel = number % 2 ? 3 : 5;
    p.stride = number / 2 % 2 ? 1 : 2;
    p.pad_top = p.pad_left = (p.kernel - (number / 4 % 2 ? p.stride : 1)) / 2;
  }
  p.out_height = (p.height + p.pad_top) / p.stride + check_int (c, 0, 1);
  p.out_width = (p.width + p.pad_left) / p.stride + check_int (c, 0, 1);
  return p;
}

static void
describe (Check *c, const OclConv2d *p, gint channels, gint n)
{
  check_describe (c, "%dx%dx%d, kernel %d, stride %d, pad %d %d, to %dx%dx%d", p->height, p->width, channels, p->kernel,
      p->stride, p->pad_top, p->pad_left, p->out_height, p->out_width, n);
}

static OclWeight *
make_weight (Check *c, gint rows, gint cols)
{
  OclMatrix matrix = { OCL_TYPE_F32, rows, cols, check_values (c, rows, cols, -1, 1) };
  OclWeight *w = ocl_weight_new (check_device (c), &matrix, 1, NULL);

  return w ? check_keep (c, w, (GDestroyNotify) ocl_weight_free) : NULL;
}

static void
check_conv2d (Check *c)
{
  OclConv2d p = make_shape (c);
  gint channels = check_case (c) % 3 == 0 ? 3 : check_int (c, 1, 70), n = check_int (c, 1, 120);
  OclTensor x = check_dense (c, p.height * p.width, channels, -4, 4), none = { NULL };
  OclTensor bias = check_int (c, 0, 1) ? check_input (c, 1, n, -2, 2) : none;
  OclTensor y = check_output (c, p.out_height * p.out_width, n);
  OclWeight *w = make_weight (c, n, p.kernel * p.kernel * channels);

  describe (c, &p, channels, n);
  ocl_conv2d (check_queue (c), y, x, w, bias, &p);
  /* K terms of up to 4, whose partial sums are of size 2.3 sqrt (K) and rounded to 2^-24 each */
  check_result (c, y, 4e-7f * p.kernel * p.kernel * channels + 1e-6f, 0);
}

static void
bench_conv2d (Check *c)
{
  OclConv2d first = { 128, 128, 3, 2, 0, 0, 64, 64 }, second = { 64, 64, 3, 1, 1, 1, 64, 64 };
  OclTensor none = { NULL }, x = check_dense (c, 128 * 128, 64, -1, 1), x2 = check_dense (c, 64 * 64, 128, -1, 1);
  OclTensor y = check_dense (c, 64 * 64, 256, 0, 0), y2 = check_dense (c, 64 * 64, 512, 0, 0);
  OclWeight *w = make_weight (c, 256, 576), *w2 = make_weight (c, 512, 1152);

  if (strcmp (check_variant (c), "ref") == 0 || strcmp (check_variant (c), "portable") == 0)
    return;                     /* seconds */
  check_bench (c, "128x128x64 k3 s2 to 256", 0, 2.0 * 4096 * 256 * 576)
    ocl_conv2d (check_queue (c), y, x, w, none, &first);
  check_bench (c, "64x64x128 k3 to 512", 0, 2.0 * 4096 * 512 * 1152)
    ocl_conv2d (check_queue (c), y2, x2, w2, none, &second);
}

static void
check_depthwise2d (Check *c)
{
  OclConv2d p = make_shape (c);
  gint channels = check_case (c) % 4 == 0 ? 160 : check_int (c, 1, 150);
  OclTensor x = check_input (c, p.height * p.width, channels, -4, 4);
  OclTensor w = check_input (c, p.kernel * p.kernel, channels, -2, 2);
  OclTensor y = check_output (c, p.out_height * p.out_width, channels);

  describe (c, &p, channels, channels);
  ocl_depthwise2d (check_queue (c), y, x, w, &p);
  check_result (c, y, 4e-5f, 0);        /* up to 25 terms of up to 8, sums of up to 40 rounded to 2^-24 */
}

static void
bench_depthwise2d (Check *c)
{
  OclConv2d p = { 48, 48, 5, 1, 2, 2, 48, 48 }, half = { 96, 96, 5, 2, 1, 1, 48, 48 };
  OclTensor x = check_dense (c, 48 * 48, 640, -1, 1), y = check_dense (c, 48 * 48, 640, 0, 0);
  OclTensor w = check_dense (c, 25, 640, -1, 1), x2 = check_dense (c, 96 * 96, 640, -1, 1);

  check_bench (c, "48x48x640 k5", 8.0 * 2304 * 640, 50.0 * 2304 * 640)
    ocl_depthwise2d (check_queue (c), y, x, w, &p);
  check_bench (c, "96x96x640 k5 s2", 20.0 * 2304 * 640, 50.0 * 2304 * 640)
    ocl_depthwise2d (check_queue (c), y, x2, w, &half);
}

static void
check_resize2d (Check *c)
{
  OclResize2d p = { check_case (c) % 3, check_int (c, 1, 17), check_int (c, 1, 17), check_int (c, 1, 20),
    check_int (c, 1, 20) };
  gint channels = check_int (c, 1, 60);
  OclTensor x, y;

  if (p.mode == OCL_RESIZE_AVERAGE) {
    p.out_height = check_int (c, 1, 5);
    p.out_width = check_int (c, 1, 5);
    p.height = p.out_height * check_int (c, 1, 4);
    p.width = p.out_width * check_int (c, 1, 4);
  }
  x = check_input (c, p.height * p.width, channels, -4, 4);
  y = check_output (c, p.out_height * p.out_width, channels);
  check_describe (c, "mode %d, %dx%dx%d to %dx%d", p.mode, p.height, p.width, channels, p.out_height, p.out_width);
  ocl_resize2d (check_queue (c), y, x, &p);
  check_result (c, y, p.mode == OCL_RESIZE_NEAREST ? 0 : 3e-5f, 0);    /* positions of up to 17 are good to 2e-6 */
}

static void
check_multi_query (Check *c)
{
  static const gint dims[] = { 64, 96, 16, 24, 7, 100, 256 };
  gint d = dims[check_case (c) % G_N_ELEMENTS (dims)], e = check_int (c, 0, 3) ? d : check_int (c, 1, 80);
  gint n_heads = check_int (c, 1, 13), rows = check_int (c, 1, 20), n_keys = check_int (c, 1, 3) < 3
      ? check_int (c, 1, 60) : check_int (c, 190, 500);
  OclTensor q = check_input (c, rows, n_heads * d, -2, 2), k = check_input (c, n_keys, d, -2, 2);
  OclTensor v = check_input (c, n_keys, e, -1, 1), o = check_output (c, rows, n_heads * e);

  check_describe (c, "%d queries of %d heads of %d, %d keys, values of %d", rows, n_heads, d, n_keys, e);
  ocl_multi_query_attention (check_queue (c), o, q, k, v, n_heads, 1 / sqrtf (d));
  check_result (c, o, 1e-5f, 0);        /* logits of up to 10 are good to 2e-6, values at most 1 */
}

static void
bench_multi_query (Check *c)
{
  OclTensor q = check_dense (c, 1024, 12 * 64, -1, 1), k = check_dense (c, 256, 64, -1, 1);
  OclTensor o = check_dense (c, 1024, 12 * 64, 0, 0), q2 = check_dense (c, 576, 16 * 96, -1, 1);
  OclTensor k2 = check_dense (c, 576, 96, -1, 1), o2 = check_dense (c, 576, 16 * 96, 0, 0);

  check_bench (c, "1024 x 12 heads of 64, 256 keys", 0, 4.0 * 1024 * 12 * 256 * 64)
    ocl_multi_query_attention (check_queue (c), o, q, k, k, 12, 0.125f);
  check_bench (c, "576 x 16 heads of 96, 576 keys", 0, 4.0 * 576 * 16 * 576 * 96)
    ocl_multi_query_attention (check_queue (c), o2, q2, k2, k2, 16, 0.1f);
}

const CheckOp check_ops_conv2d[] = {
  { "conv2d", 36, check_conv2d, bench_conv2d },
  { "depthwise2d", 36, check_depthwise2d, bench_depthwise2d },
  { "resize2d", 18, check_resize2d, NULL },
  { "multi_query_attention", 21, check_multi_query, bench_multi_query },
  { NULL }
};
