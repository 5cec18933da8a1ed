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

  if (number % 36 < 12) {
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

/* Random values of @type; @values, if not NULL, gets what they are after rounding to it. */
static OclWeight *
make_weight (Check *c, OclType type, gint rows, gint cols, gfloat **values)
{
  gfloat *from = check_values (c, rows, cols, -1, 1);
  guint8 *data = check_keep (c, g_malloc (rows * ocl_type_row_bytes (type, cols)), g_free);
  OclMatrix matrix = { type, rows, cols, data };
  OclWeight *w;

  ocl_type_quantize (type, from, data, (gint64) rows * cols);
  if (values) {
    *values = from;
    ocl_type_dequantize (type, data, from, (gint64) rows * cols);
  }
  w = ocl_weight_new (check_device (c), &matrix, 1, NULL);
  return w ? check_keep (c, w, (GDestroyNotify) ocl_weight_free) : NULL;
}

/* Adds what 8-bit activations may be off in all taps to bound [pixels][n]. */
static void
add_rounding (const OclConv2d *p, const gfloat *x, const gfloat *weights, gint channels, gint n, gfloat *bound)
{
  for (gint r = 0; r < p->out_height * p->out_width; r++)
    for (gint tap = 0; tap < p->kernel * p->kernel; tap++) {
      gint iy = r / p->out_width * p->stride - p->pad_top + tap / p->kernel;
      gint ix = r % p->out_width * p->stride - p->pad_left + tap % p->kernel;

      for (gint i = 0; iy >= 0 && iy < p->height && ix >= 0 && ix < p->width && i < n; i++)
        bound[r * n + i] += check_rounding (&check_int8_rounding, x + (iy * p->width + ix) * channels,
            weights + ((gsize) i * p->kernel * p->kernel + tap) * channels, channels);
    }
}

/* Channels of a weight of whole blocks; a kernel of even size may have some whose blocks go from pixel to pixel. */
static gint
block_channels (Check *c, gint kernel)
{
  return kernel % 2 == 0 && check_int (c, 0, 1) ? 8 * check_int (c, 1, 9) : 32 * check_int (c, 1, 3);
}

static void
check_conv2d (Check *c)
{
  guint mode = check_case (c) / 12 % 3; /* float32, 8-bit weights, 8-bit activations too */
  OclType type = mode ? OCL_TYPE_Q8_0 : OCL_TYPE_F32;
  OclConv2d p = make_shape (c);
  gint channels = mode ? block_channels (c, p.kernel) : check_case (c) % 3 == 0 ? 3 : check_int (c, 1, 70);
  gint n = check_int (c, 1, check_int (c, 0, 2) ? 120 : 300), n_x, n_y;
  OclTensor x, y, bias, none = { NULL };
  gfloat *weights, *bound, *values;
  OclWeight *w;

  if (check_case (c) % 12 == 11) {      /* wider than what is summed up at once */
    p.height = p.out_height = 2;
    p.out_width = p.width = check_int (c, 241, 260);
  }
  n_x = p.height * p.width * channels;
  n_y = p.out_height * p.out_width * n;
  describe (c, &p, channels, n);
  x = check_dense (c, p.height * p.width, channels, -4, 4);
  y = check_output (c, p.out_height * p.out_width, n);
  bias = check_int (c, 0, 1) ? check_input (c, 1, n, -2, 2) : none;
  w = make_weight (c, type, n, p.kernel * p.kernel * channels, &weights);
  ocl_conv2d (check_queue (c), y, x, w, bias, &p, mode == 2 ? OCL_MATMUL_INT8_ACTIVATIONS : OCL_MATMUL_F32_ACTIVATIONS);
  values = check_values (c, 1, n_x, 0, 0);
  bound = check_values (c, 1, n_y, 0, 0);
  /* K terms of up to 4, whose partial sums are of size 2.3 sqrt (K) and rounded to 2^-24 each */
  for (gint i = 0; i < n_y; i++)
    bound[i] = 4e-7f * p.kernel * p.kernel * channels + 1e-6f;
  if (mode == 2 && channels % 32 == 0 && ocl_tensor_read (check_queue (c), x, values))
    add_rounding (&p, values, weights, channels, n, bound);
  check_result_bound (c, y, bound);
}

/* Stage 0 of MobileNet-V5 at 768, in float32 and in 8 bits. */
static void
bench_conv2d (Check *c)
{
  static const struct
  {
    const gchar *label;
    OclConv2d p;
    gint channels, n;
  } shapes[] = {
    { "384x384x64 k3 s2 to 256", { 384, 384, 3, 2, 0, 0, 192, 192 }, 64, 256 },
    { "192x192x128 k3 to 512", { 192, 192, 3, 1, 1, 1, 192, 192 }, 128, 512 },
  };
  gboolean int8 = g_str_has_prefix (check_variant (c), "int8");

  if (strcmp (check_variant (c), "ref") == 0 || strcmp (check_variant (c), "portable") == 0)
    return;                     /* minutes */
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    const OclConv2d *p = &shapes[i].p;
    gint cols = p->kernel * p->kernel * shapes[i].channels, n = shapes[i].n;
    OclTensor none = { NULL }, x, y;
    OclWeight *w;

    if (!check_bench_wanted (shapes[i].label))
      continue;
    x = check_dense (c, p->height * p->width, shapes[i].channels, -1, 1);
    y = check_dense (c, p->out_height * p->out_width, n, 0, 0);
    w = make_weight (c, int8 ? OCL_TYPE_Q8_0 : OCL_TYPE_F32, n, cols, NULL);
    check_bench (c, shapes[i].label, 0, 2.0 * y.rows * n * cols)
      ocl_conv2d (check_queue (c), y, x, w, none, p, int8 ? OCL_MATMUL_INT8_ACTIVATIONS : OCL_MATMUL_F32_ACTIVATIONS);
  }
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

  /* logits of up to 10 are good to 2e-6; of 256 products of factors that are rounded in 16 bits, by up to 2e-4 each, to
   * 2e-4 (standard deviation). Values are at most 1. */
  const OclMatmulFlags flags = check_int (c, 0, 2) ? OCL_MATMUL_F32_ACTIVATIONS : OCL_MATMUL_INT16;
  const gfloat tolerance = flags ? 1e-3f : 1e-5f;

  check_describe (c, "%d queries of %d heads of %d, %d keys, values of %d%s", rows, n_heads, d, n_keys, e, flags ? ", 16-bit" : "");
  ocl_multi_query_attention (check_queue (c), o, q, k, v, n_heads, 1 / sqrtf (d), flags);
  check_result (c, o, tolerance, 0);
}

static void
bench_multi_query (Check *c)
{
  OclTensor q = check_dense (c, 2304, 12 * 64, -1, 1), k = check_dense (c, 576, 64, -1, 1);
  OclTensor o = check_dense (c, 2304, 12 * 64, 0, 0), q2 = check_dense (c, 576, 16 * 96, -1, 1);
  OclTensor k2 = check_dense (c, 576, 96, -1, 1), o2 = check_dense (c, 576, 16 * 96, 0, 0);

  check_bench (c, "2304 x 12 heads of 64, 576 keys", 0, 4.0 * 2304 * 12 * 576 * 64)
    ocl_multi_query_attention (check_queue (c), o, q, k, k, 12, 0.125f, OCL_MATMUL_INT16);
  check_bench (c, "576 x 16 heads of 96, 576 keys", 0, 4.0 * 576 * 16 * 576 * 96)
    ocl_multi_query_attention (check_queue (c), o2, q2, k2, k2, 16, 0.1f, OCL_MATMUL_INT16);
}

const CheckOp check_ops_conv2d[] = {
  { "conv2d", 72, check_conv2d, bench_conv2d },
  { "depthwise2d", 36, check_depthwise2d, bench_depthwise2d },
  { "resize2d", 18, check_resize2d, NULL },
  { "multi_query_attention", 21, check_multi_query, bench_multi_query },
  { NULL }
};
