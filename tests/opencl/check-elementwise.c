/* Elementwise operations. exp and tanh of the device are good to a few units in the last place (2^-23 each), so
 * what goes through them may be off by 1e-6 of its size; the rest is exact. */
#include "checkkernels.h"

#define TRANSCENDENTAL 1e-6f

typedef struct
{
  gint rows, cols;
  gboolean in_place;
} Shape;

/* Also one row of more than a work-item's share, and rows of fewer than a vector. */
static Shape
make_shape (Check *c)
{
  Shape s = { check_int (c, 1, 40), check_int (c, 1, 300), check_int (c, 0, 1) };

  if (check_case (c) == 0)
    s = (Shape) { 1, 70001, FALSE };
  else if (check_case (c) == 1)
    s = (Shape) { 300, check_int (c, 1, 15), TRUE };
  else if (check_case (c) == 2)
    s = (Shape) { 130, 513, FALSE };
  check_describe (c, "%dx%d%s", s.rows, s.cols, s.in_place ? " in place" : "");
  return s;
}

static void
check_add (Check *c)
{
  Shape s = make_shape (c);
  OclTensor a = check_input (c, s.rows, s.cols, -4, 4), b = check_input (c, s.rows, s.cols, -4, 4);
  OclTensor y = s.in_place ? a : check_output (c, s.rows, s.cols);

  ocl_add (check_queue (c), y, a, b);
  check_result (c, y, 0, 0);
}

static void
check_copy (Check *c)
{
  Shape s = make_shape (c);
  gint step = check_int (c, 1, 3);
  OclTensor x = ocl_tensor_every (check_input (c, s.rows * step, s.cols, -4, 4), step);
  OclTensor y = check_output (c, s.rows, s.cols);

  ocl_copy (check_queue (c), y, x);
  check_result (c, y, 0, 0);
}

static void
check_fill (Check *c)
{
  Shape s = make_shape (c);
  OclTensor y = check_output (c, s.rows, s.cols);

  ocl_fill (check_queue (c), y, check_float (c, -4, 4));
  check_result (c, y, 0, 0);
}

static void
check_silu (Check *c)
{
  Shape s = make_shape (c);
  OclTensor x = check_input (c, s.rows, s.cols, -20, 20);
  OclTensor y = s.in_place ? x : check_output (c, s.rows, s.cols);

  ocl_silu (check_queue (c), y, x);
  check_result (c, y, 1e-30f, 4 * TRANSCENDENTAL);      /* exp (-20) keeps the rounding of its argument: 20 * 2^-24 */
}

static void
check_glu (Check *c)
{
  Shape s = make_shape (c);
  OclTensor x = check_input (c, s.rows, 2 * s.cols, -9, 9), y = check_output (c, s.rows, s.cols);

  ocl_glu (check_queue (c), y, x);
  check_result (c, y, 1e-30f, 2 * TRANSCENDENTAL);
}

/* GELU's tail vanishes as exp (-u) with u up to 20 here, whose rounding is magnified: bounded by 2e-6 absolutely. */
static void
check_gelu_mul (Check *c)
{
  Shape s = make_shape (c);
  OclTensor a = check_input (c, s.rows, s.cols, -6, 6), b = check_input (c, s.rows, s.cols, -2, 2);
  OclTensor y = s.in_place ? a : check_output (c, s.rows, s.cols);

  ocl_gelu_mul (check_queue (c), y, a, b);
  check_result (c, y, 1e-7f, 2 * TRANSCENDENTAL);
}

static void
check_gated_gelu (Check *c)
{
  Shape s = make_shape (c);
  gfloat sparsity = check_int (c, 0, 1) * 1.6448536f;
  OclTensor gu = check_input (c, s.rows, 2 * s.cols, -3, 3), y = check_output (c, s.rows, s.cols);

  check_describe (c, "%dx%d sparsity %g", s.rows, s.cols, sparsity);
  ocl_gated_gelu (check_queue (c), y, ocl_tensor_cols (gu, 0, s.cols), ocl_tensor_cols (gu, s.cols, s.cols), sparsity);
  /* the cutoff, about 3, is rounded to 2^-22 and times up, at most 3 */
  check_result (c, y, sparsity != 0 ? 3e-6f : 1e-7f, 2 * TRANSCENDENTAL);
}

static void
check_softcap (Check *c)
{
  Shape s = make_shape (c);
  OclTensor x = check_input (c, s.rows, s.cols, -100, 100);

  ocl_softcap (check_queue (c), x, 30);
  check_result (c, x, 0, TRANSCENDENTAL);
}

typedef void (*WithRow) (OclQueue *q, OclTensor y, OclTensor x, OclTensor row);

/* Every row of x with the same one, whose values are up to @most. */
static void
check_with_row (Check *c, WithRow operation, gfloat most, gfloat absolute, gfloat relative)
{
  Shape s = make_shape (c);
  OclTensor x = check_input (c, s.rows, s.cols, -4, 4), row = check_input (c, 1, s.cols, -most, most);
  OclTensor y = s.in_place ? x : check_output (c, s.rows, s.cols);

  operation (check_queue (c), y, x, row);
  check_result (c, y, absolute, relative);
}

static void
check_scale_cols (Check *c)
{
  check_with_row (c, ocl_scale_cols, 4, 0, 0);
}

static void
check_bias (Check *c)
{
  check_with_row (c, ocl_bias, 4, 0, 0);
}

static void
check_bias_gelu (Check *c)
{
  check_with_row (c, ocl_bias_gelu, 2, 1e-7f, 2 * TRANSCENDENTAL);      /* as of gelu_mul */
}

/* ---- benches: a decoded token, and a chunk of prefill or of audio frames -------------- */

static void
bench_add (Check *c)
{
  for (gint rows = 1; rows <= 256; rows += 255) {
    g_autofree gchar *label = g_strdup_printf ("%dx2048", rows);
    OclTensor a = check_dense (c, rows, 2048, -1, 1), b = check_dense (c, rows, 2048, -1, 1);

    check_bench (c, label, 12.0 * rows * 2048, rows * 2048)
      ocl_add (check_queue (c), a, a, b);
  }
}

static void
bench_silu (Check *c)
{
  OclTensor x = check_dense (c, 256, 6144, -1, 1);

  check_bench (c, "256x6144", 8.0 * 256 * 6144, 0)
    ocl_silu (check_queue (c), x, x);
}

static void
bench_glu (Check *c)
{
  OclTensor x = check_dense (c, 256, 3072, -1, 1), y = check_dense (c, 256, 1536, -1, 1);

  check_bench (c, "256x1536", 12.0 * 256 * 1536, 0)
    ocl_glu (check_queue (c), y, x);
}

static void
bench_gelu_mul (Check *c)
{
  OclTensor a = check_dense (c, 1, 256, -1, 1);

  check_bench (c, "1x256", 12.0 * 256, 0)
    ocl_gelu_mul (check_queue (c), a, a, a);
}

static void
bench_gated_gelu (Check *c)
{
  for (gint rows = 1; rows <= 256; rows += 255)
    for (gint sparse = 0; sparse < 2; sparse++) {
      g_autofree gchar *label = g_strdup_printf ("%dx8192%s", rows, sparse ? " sparse" : "");
      OclTensor gu = check_dense (c, rows, 16384, -1, 1), y = check_dense (c, rows, 8192, -1, 1);

      check_bench (c, label, 12.0 * rows * 8192, 0)
        ocl_gated_gelu (check_queue (c), y, ocl_tensor_cols (gu, 0, 8192), ocl_tensor_cols (gu, 8192, 8192), sparse * 1.6448536f);
    }
}

static void
bench_softcap (Check *c)
{
  OclTensor x = check_dense (c, 1, 262400, -40, 40);

  check_bench (c, "1x262400", 8.0 * 262400, 0)
    ocl_softcap (check_queue (c), x, 30);
}

static void
bench_scale_cols (Check *c)
{
  OclTensor x = check_dense (c, 1, 2048, -1, 1), w = check_dense (c, 1, 2048, 1, 1);

  check_bench (c, "1x2048", 12.0 * 2048, 0)
    ocl_scale_cols (check_queue (c), x, x, w);
}

static void
bench_bias_gelu (Check *c)
{
  OclTensor x = check_dense (c, 1024, 4304, -1, 1), bias = check_dense (c, 1, 4304, -1, 1);

  check_bench (c, "1024x4304", 8.0 * 1024 * 4304, 0)
    ocl_bias_gelu (check_queue (c), x, x, bias);
}

const CheckOp check_ops_elementwise[] = {
  { "add", 12, check_add, bench_add },
  { "bias", 12, check_bias, NULL },
  { "bias_gelu", 12, check_bias_gelu, bench_bias_gelu },
  { "copy", 12, check_copy, NULL },
  { "fill", 12, check_fill, NULL },
  { "silu", 12, check_silu, bench_silu },
  { "glu", 12, check_glu, bench_glu },
  { "gelu_mul", 12, check_gelu_mul, bench_gelu_mul },
  { "gated_gelu", 16, check_gated_gelu, bench_gated_gelu },
  { "softcap", 12, check_softcap, bench_softcap },
  { "scale_cols", 12, check_scale_cols, bench_scale_cols },
  { NULL }
};
