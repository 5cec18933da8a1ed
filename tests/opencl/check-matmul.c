#include "checkkernels.h"

#include <math.h>
#include <string.h>

/* A half between 2^-10 and 2^-3, of either sign if @sign: smaller where multipliers of up to 6 or 7 bits follow. */
static void
put_half (Check *c, const OclTypeInfo *info, guint8 *at, gboolean sign)
{
  const gint exponent = info->block == 256 ? check_int (c, 2, 6) : check_int (c, 5, 11);
  const guint16 half = exponent << 10 | check_int (c, 0, 1023) | (sign ? check_int (c, 0, 1) << 15 : 0);

  memcpy (at, &half, 2);
}

/* Random bytes of a matrix in the file's form. */
static guint8 *
random_matrix (Check *c, OclType type, gint rows, gint cols)
{
  const OclTypeInfo *info = ocl_type_info (type);
  gsize n = rows * ocl_type_row_bytes (type, cols);
  guint8 *data = check_keep (c, g_malloc (n + 1), g_free);
  guint8 *at = data + 1;        /* files do not align tensors for us */

  for (gsize i = 0; i < n; i++)
    at[i] = check_int (c, 0, 255);
  for (gsize i = 0; i < n; i += info->bytes) {
    gfloat value = check_float (c, -1, 1);
    guint32 bits;

    memcpy (&bits, &value, 4);
    if (type == OCL_TYPE_F32)
      memcpy (at + i, &value, 4);
    else if (type == OCL_TYPE_BF16)
      memcpy (at + i, (guint8 *) &bits + 2, 2);
    else if (type == OCL_TYPE_F16)
      put_half (c, info, at + i, TRUE);
    for (guint h = 0; h < info->n_halves; h++)
      put_half (c, info, at + i + info->half_at[h], h == 1);
  }
  return at;
}

/* want = x * w^T in double precision from the file's bytes; size = the sum of the terms' magnitudes. */
static void
expect (Check *c, OclType type, const guint8 *w, const gfloat *x, gint M, gint N, gint K, gfloat *want, gfloat *size)
{
  g_autofree gfloat *row = g_new (gfloat, K);

  for (gint n = 0; n < N; n++) {
    ocl_type_dequantize (type, w + n * ocl_type_row_bytes (type, K), row, K);
    for (gint m = 0; m < M; m++) {
      gdouble sum = 0, all = 0;

      for (gint k = 0; k < K; k++) {
        gdouble term = (gdouble) row[k] * x[(gsize) m * K + k];

        sum += term;
        all += fabs (term);
      }
      want[(gsize) m * N + n] = sum;
      size[(gsize) m * N + n] = all;
    }
  }
}

/* As decoding reads a part of it. */
static OclWeight *
make_sparse (Check *c, const OclMatrix *matrix, OclLayout layout)
{
  g_autoptr (GError) error = NULL;
  OclWeight *weight = ocl_weight_new_sparse (check_device (c), matrix, layout, &error);

  if (!weight)
    check_fail (c, "%s", error->message);
  return weight;
}

/* One weight of one to three stacked parts, or of one in another layout. */
static OclWeight *
make_weight (Check *c, OclType type, const guint8 *data, gint N, gint K, OclLayout layout)
{
  gsize bytes = ocl_type_row_bytes (type, K);
  gint first = check_int (c, 1, N), second = check_int (c, 0, N - first);
  gint ends[3] = { first, first + second, N };
  OclMatrix parts[3];
  guint n_parts = 0;
  g_autoptr (GError) error = NULL;
  OclWeight *weight;

  if (layout != OCL_LAYOUT_PANELS)
    return make_sparse (c, &(OclMatrix) { type, N, K, data }, layout);
  for (gint i = 0, row = 0; i < 3; row = ends[i++])
    if (ends[i] > row)
      parts[n_parts++] = (OclMatrix) { type, ends[i] - row, K, data + row * bytes };
  weight = ocl_weight_new (check_device (c), parts, n_parts, &error);
  if (!weight)
    check_fail (c, "%s", error->message);
  return weight;
}

/* The same product through a view: the rows of @weight are some of a larger one's, in two ranges, and its columns the first. */
static OclWeight *
make_view (Check *c, OclType type, const guint8 *data, gint N, gint K, OclLayout layout)
{
  const gint block = MAX (ocl_type_info (type)->block, 2), panels = (N + 15) / 16;
  const gint split = panels > 1 ? check_int (c, 1, panels - 1) * 16 : 0, skipped = check_int (c, 0, 3) * 16;
  const gint before = check_int (c, 0, 2) * 16, rows = before + N + skipped, cols = K + check_int (c, 0, 2) * block;
  const gsize part = ocl_type_row_bytes (type, K), bytes = ocl_type_row_bytes (type, cols);
  const OclRange ranges[] = { { before, split }, { before + split + skipped, N - split } };
  g_autofree guint8 *larger = g_malloc0 (rows * bytes);
  OclMatrix matrix = { type, rows, cols, larger };
  g_autoptr (GError) error = NULL;
  OclWeight *whole, *view = NULL;

  for (gint n = 0; n < N; n++)
    memcpy (larger + (before + n + (n >= split ? skipped : 0)) * bytes, data + n * part, part);
  whole = make_sparse (c, &matrix, layout);
  if (whole) {
    check_keep (c, whole, (GDestroyNotify) ocl_weight_free);
    view = split ? ocl_weight_view (whole, ranges, 2, K, &error) : ocl_weight_view (whole, ranges + 1, 1, K, &error);
  }
  if (whole && !view)
    check_fail (c, "%s", error->message);
  return view;
}

static void
random_shape (Check *c, OclType type, gint *M, gint *N, gint *K)
{
  static const gint rows[] = { 1, 1, 1, 2, 3, 5, 6, 7, 12, 13, 31, 48, 301 };
  const gint block = ocl_type_info (type)->block;

  *M = rows[check_case (c) / OCL_N_TYPES % G_N_ELEMENTS (rows)];
  *N = check_int (c, 1, check_int (c, 0, 3) ? 70 : 400);
  if (check_int (c, 0, 1))
    *N = (*N + 15) / 16 * 16;           /* may lie as decoding wants it */
  *K = check_int (c, 1, check_int (c, 0, 3) ? 130 : 900);
  if (*M * *N < 300 && check_int (c, 0, 7) == 0)
    *K = check_int (c, 2000, 2600);     /* beyond what kernels take at a time */
  *K = (*K + block - 1) / block * block;
}

/* Activations that 32 values at a time are a power of two times -127 .. 127: 8-bit activations lose nothing. */
static void
make_representable (Check *c, gfloat *x, gsize n)
{
  for (gsize b = 0; b < n; b += 32) {
    gfloat scale = ldexpf (1, check_int (c, -9, 0));

    for (guint i = 0; i < 32; i++)
      x[b + i] = scale * check_int (c, -127, 127);
    x[b + check_int (c, 0, 31)] = scale * (check_int (c, 0, 1) ? 127 : -127);
    if (check_int (c, 0, 9) == 0)
      memset (x + b, 0, 32 * sizeof *x);
  }
}

/* Adds what @rounding may be off. */
static void
add_rounding (OclType type, const guint8 *w, const gfloat *x, gint M, gint N, gint K, const CheckRounding *rounding,
    gfloat *bound)
{
  g_autofree gfloat *row = g_new (gfloat, K);

  for (gint n = 0; n < N; n++) {
    ocl_type_dequantize (type, w + n * ocl_type_row_bytes (type, K), row, K);
    for (gint m = 0; m < M; m++)
      bound[(gsize) m * N + n] += check_rounding (rounding, x + (gsize) m * K, row, K);
  }
}

typedef enum { MODE_FLOAT, MODE_INT8_EXACT, MODE_INT8, MODE_INT16, N_MODES } Mode;
static const struct
{
  const gchar *name;
  OclMatmulFlags flags;
} modes[] = { { "float32", OCL_MATMUL_F32_ACTIVATIONS }, { "8-bit, exact", OCL_MATMUL_INT8_ACTIVATIONS },
  { "8-bit, rounded", OCL_MATMUL_INT8_ACTIVATIONS }, { "16-bit, rounded", OCL_MATMUL_INT16 } };

/* What a product should be, and how far off it may be: float32 sums in any order differ by at most K * 2^-24 of the sum of
 * magnitudes; scaling rounds a few times more. */
static void
expect_within (Check *c, OclType type, const guint8 *w, const gfloat *x, gint M, gint N, gint K, Mode mode, gfloat *want,
    gfloat *bound)
{
  expect (c, type, w, x, M, N, K, want, bound);
  for (gint i = 0; i < M * N; i++)
    bound[i] *= (K + 8) * 0x1p-24f;
  if (mode == MODE_INT8)
    add_rounding (type, w, x, M, N, K, &check_int8_rounding, bound);
  if (mode == MODE_INT16)
    add_rounding (type, w, x, M, N, K, &(CheckRounding) { 256, 32767, 46330, TRUE }, bound);
}

static void
check_matmul (Check *c)
{
  OclType type = check_case (c) % OCL_N_TYPES;
  /* 11 types, 4 modes and 13 numbers of rows have no common divisor: all meet in 572 cases */
  Mode mode = check_case (c) % N_MODES;
  gint M, N, K;
  guint8 *data;
  gfloat *x, *want, *bound;
  gboolean is_view;
  OclLayout layout;
  OclTensor y;
  OclWeight *weight;

  if (ocl_type_info (type)->block == 1 && mode < MODE_INT16)
    mode = MODE_FLOAT;
  random_shape (c, type, &M, &N, &K);
  is_view = K % 2 == 0 && check_int (c, 0, 3) == 0;
  check_describe (c, "%s M %d N %d K %d%s, %s", ocl_type_info (type)->name, M, N, K, is_view ? ", a view" : "",
      modes[mode].name);
  data = random_matrix (c, type, N, K);
  layout = check_int (c, OCL_LAYOUT_PANELS, OCL_LAYOUT_COLUMNS);
  weight = is_view ? make_view (c, type, data, N, K, layout) : make_weight (c, type, data, N, K, layout);
  if (!weight)
    return;
  check_keep (c, weight, (GDestroyNotify) ocl_weight_free);
  x = check_values (c, M, K, -2, 2);
  if (mode == MODE_INT8_EXACT)
    make_representable (c, x, (gsize) M * K);
  want = check_values (c, M, N, 0, 0);
  bound = check_values (c, M, N, 0, 0);
  expect_within (c, type, data, x, M, N, K, mode, want, bound);
  y = check_output (c, M, N);
  ocl_matmul (check_queue (c), y, check_input_from (c, M, K, x), weight, modes[mode].flags);
  check_expected (c, y, want, bound);
}

/* Gates that are far from their cutoff: between open and closed ones nothing is. */
static gfloat *
make_gates (Check *c, gint rows, gint cols, gfloat open)
{
  gfloat *gate = check_values (c, rows, cols, -1, 1);

  for (gint i = 0; i < rows * cols; i++)
    if (check_float (c, 0, 1) < open)
      gate[i] = check_float (c, 8, 12);
  return gate;
}

static gdouble
open_gate (const gfloat *gate, gint n, gfloat sparsity, gint i)
{
  gdouble mean = 0, variance = 0, v;

  for (gint k = 0; k < n; k++)
    mean += gate[k] / (gdouble) n;
  for (gint k = 0; k < n; k++)
    variance += (gate[k] - mean) * (gate[k] - mean) / n;
  v = MAX (0., gate[i] - mean - sparsity * sqrt (variance));
  return 0.5 * v * (1 + tanh (sqrt (2 / G_PI) * (v + 0.044715 * v * v * v)));
}

/* Scale * q and offset are rounded apart, though x may be 0 where they would not cancel. Of 32 random q, some are next to
 * both ends of their range: scale, q and offset make no more than 5 times the largest weight of their block. */
static void
add_offset_rounding (OclType type, const guint8 *w, const gfloat *x, gint M, gint N, gint K, gfloat *bound)
{
  g_autofree gfloat *row = g_new (gfloat, K);

  for (gint n = 0; n < N; n++) {
    ocl_type_dequantize (type, w + n * ocl_type_row_bytes (type, K), row, K);
    for (gint b = 0; b + 32 <= K; b += 32) {
      gfloat most = 0;

      for (gint i = b; i < b + 32; i++)
        most = MAX (most, fabsf (row[i]));
      for (gint m = 0; m < M; m++)
        for (gint i = b; i < b + 32; i++)
          bound[m * N + n] += 5 * most * fabsf (x[m * K + i]) * 0x1p-23f;
    }
  }
}

/* One row, as in decoding, or some; now and then more than a kernel takes at a time. */
static gint
sparse_rows (Check *c)
{
  return check_int (c, 0, 1) ? 1 : check_int (c, 0, 9) ? check_int (c, 2, 40) : check_int (c, 257, 300);
}

/* x of zeros, but for @part of it. */
static void
check_sparse_matmul (Check *c)
{
  static const gfloat parts[] = { 0.f, 0.02f, 0.06f, 0.3f, 1.f };
  const OclType type = check_case (c) % OCL_N_TYPES;
  const Mode mode = ocl_type_info (type)->block > 1 && check_case (c) % 2 ? MODE_INT8 : MODE_FLOAT;
  const gint M = sparse_rows (c), block = ocl_type_info (type)->block;
  const gint N = check_int (c, 1, M > 40 ? 10 : 80) * 16 - (check_int (c, 0, 4) ? 0 : 3);
  const gint K = (check_int (c, 1, 600) + block - 1) / block * block;
  const gfloat part = parts[check_int (c, 0, 4)];
  const guint8 *data = random_matrix (c, type, N, K);
  OclWeight *weight = N % 16 == 0 && K % 2 == 0 ? make_view (c, type, data, N, K, OCL_LAYOUT_COLUMNS)
      : make_weight (c, type, data, N, K, OCL_LAYOUT_COLUMNS);
  gfloat *x = check_values (c, M, K, -2, 2), *want = check_values (c, M, N, 0, 0), *bound = check_values (c, M, N, 0, 0);
  OclTensor y = check_output (c, M, N);

  check_describe (c, "%s M %d N %d K %d, %g open, %s", ocl_type_info (type)->name, M, N, K, part, modes[mode].name);
  if (!weight)
    return;
  check_keep (c, weight, (GDestroyNotify) ocl_weight_free);
  for (gint i = 0; i < M * K; i++)
    x[i] = check_float (c, 0, 1) < part ? x[i] : 0;
  expect_within (c, type, data, x, M, N, K, mode, want, bound);
  if (ocl_type_info (type)->min_sign)
    add_offset_rounding (type, data, x, M, N, K, bound);
  ocl_sparse_matmul (check_queue (c), y, check_input_from (c, M, K, x), weight, modes[mode].flags);
  check_expected (c, y, want, bound);
}

/* From none to all panels of 16 open. */
static void
check_gated_matmul (Check *c)
{
  static const gfloat parts[] = { 0.f, 0.02f, 0.06f, 0.3f };
  const OclType type = check_case (c) % OCL_N_TYPES;
  const Mode mode = ocl_type_info (type)->block > 1 && check_case (c) % 2 ? MODE_INT8 : MODE_FLOAT;
  const gint M = sparse_rows (c), block = ocl_type_info (type)->block;
  const gint N = check_int (c, 1, M > 40 ? 6 : 30) * 16 - (check_int (c, 0, 4) ? 0 : 3);
  const gint K = check_int (c, 0, 1) ? check_int (c, 1, 2) * 512 : (check_int (c, 1, 600) + block - 1) / block * block;
  const gfloat sparsity = 0.5f, part = parts[check_int (c, 0, 3)];
  const guint8 *data = random_matrix (c, type, N, K);
  OclWeight *weight = N % 16 == 0 && K % 2 == 0 ? make_view (c, type, data, N, K, OCL_LAYOUT_ROWS)
      : make_weight (c, type, data, N, K, OCL_LAYOUT_ROWS);
  gfloat *x = check_values (c, M, K, -2, 2), *gate = make_gates (c, M, N, part);
  gfloat *want = check_values (c, M, N, 0, 0), *bound = check_values (c, M, N, 0, 0);
  OclTensor y = check_output (c, M, N);

  check_describe (c, "%s M %d N %d K %d, %g open, %s", ocl_type_info (type)->name, M, N, K, part, modes[mode].name);
  if (!weight)
    return;
  check_keep (c, weight, (GDestroyNotify) ocl_weight_free);
  expect_within (c, type, data, x, M, N, K, mode, want, bound);
  for (gint i = 0; i < M * N; i++) {
    const gdouble v = open_gate (gate + i / N * N, N, sparsity, i % N);

    bound[i] = bound[i] * v + fabs (want[i]) * (v + 1) * 2e-6;     /* the cutoff, up to 12, is rounded, and exp () */
    want[i] *= v;
  }
  ocl_gated_matmul (check_queue (c), y, check_input_from (c, M, N, gate), check_input_from (c, M, K, x), weight, sparsity,
      modes[mode].flags);
  check_expected (c, y, want, bound);
}

/* Shapes of the embedded model and of Gemma 3n E2B: decoding, prefill, sound and a picture at 768; the largest weight is
 * beyond any cache here. */
static void
bench_product (Check *c, OclType type, OclLayout layout, gint M, gint N, gint K)
{
  static const gchar *const layouts[] = { "", " in rows", " in columns" };
  g_autofree gchar *label = g_strdup_printf ("%s %dx%dx%d%s", ocl_type_info (type)->name, M, N, K, layouts[layout]);
  const gsize bytes = N * ocl_type_row_bytes (type, K);
  const OclMatmulFlags flags = g_str_has_prefix (check_variant (c), "int8") ? OCL_MATMUL_INT8_ACTIVATIONS
      : g_str_has_prefix (check_variant (c), "int16") ? OCL_MATMUL_INT16 : OCL_MATMUL_F32_ACTIVATIONS;
  OclMatrix matrix = { type, N, K, NULL };
  OclTensor x, y;
  OclWeight *weight;

  if (!check_bench_wanted (label) || (g_str_equal (check_variant (c), "ref") && (gdouble) M * N * K > 3e7))
    return;
  matrix.data = check_keep (c, g_malloc0 (bytes), g_free);
  weight = make_sparse (c, &matrix, layout);
  x = check_dense (c, M, K, -1, 1);
  y = check_dense (c, M, N, 0, 0);
  check_keep (c, weight, (GDestroyNotify) ocl_weight_free);
  check_bench (c, label, (gdouble) bytes + 4.0 * M * (K + N), 2.0 * M * N * K)
    ocl_matmul (check_queue (c), y, x, weight, flags);
}

static void
bench_matmul (Check *c)
{
  static const struct
  {
    gint M, N, K;
  } shapes[] = { { 1, 256, 256 }, { 1, 1024, 256 }, { 40, 256, 256 }, { 200, 1024, 256 }, { 1, 2048, 2048 },
      { 1, 8192, 2048 }, { 1, 32768, 2048 }, { 4, 8192, 2048 }, { 4, 2048, 8192 }, { 240, 8192, 2048 }, { 64, 6144, 1536 },
      { 64, 1536, 6144 }, { 576, 2560, 1280 }, { 576, 1280, 2560 }, { 2304, 2560, 640 }, { 2304, 640, 2560 }, { 9216, 1024, 256 } };

  for (guint t = 0; t < OCL_N_TYPES; t++) {
    for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
      bench_product (c, t, OCL_LAYOUT_PANELS, shapes[i].M, shapes[i].N, shapes[i].K);
    for (gint M = 4; M <= 240 && ocl_type_info (t)->block > 1; M *= 60) {
      bench_product (c, t, OCL_LAYOUT_ROWS, M, 8192, 2048);
      bench_product (c, t, OCL_LAYOUT_COLUMNS, M, 2048, 8192);
    }
  }
}

/* Of a sparse layer of Gemma 3n E2B, where the gate leaves a twentieth open: bytes and operations are all of them. */
static void
bench_sparse (Check *c, OclLayout layout)
{
  static const gint rows[] = { 1, 2, 4, 8, 32, 256 };
  const gint N = layout == OCL_LAYOUT_ROWS ? 8192 : 2048, K = layout == OCL_LAYOUT_ROWS ? 2048 : 8192;

  for (guint t = 0; t < OCL_N_TYPES; t++)
    for (guint i = 0; i < G_N_ELEMENTS (rows) && ocl_type_info (t)->block > 1; i++) {
      const gint M = rows[i];
      g_autofree gchar *label = g_strdup_printf ("%s %dx%dx%d", ocl_type_info (t)->name, M, N, K);
      const gsize bytes = N * ocl_type_row_bytes (t, K);
      const gboolean bytes_allowed = g_str_has_prefix (check_variant (c), "int8");
      const OclMatmulFlags flags = bytes_allowed ? OCL_MATMUL_INT8_ACTIVATIONS : OCL_MATMUL_F32_ACTIVATIONS;
      OclWeight *weight;
      OclTensor x, y, gate;
      gfloat *values;

      if (!check_bench_wanted (label) || g_str_equal (check_variant (c), "ref"))
        continue;
      weight = make_sparse (c, &(OclMatrix) { t, N, K, check_keep (c, g_malloc0 (bytes), g_free) }, layout);
      check_keep (c, weight, (GDestroyNotify) ocl_weight_free);
      values = make_gates (c, M, MAX (N, K), 0.05f);
      for (gint k = 0; k < M * K && layout == OCL_LAYOUT_COLUMNS; k++)
        values[k] = MAX (0, values[k] - 4);
      gate = check_input_from (c, M, MAX (N, K), values);
      x = check_dense (c, M, K, -1, 1);
      y = check_dense (c, M, N, 0, 0);
      check_bench (c, label, (gdouble) bytes + 4.0 * M * (K + N), 2.0 * M * N * K) {
        if (layout == OCL_LAYOUT_ROWS)
          ocl_gated_matmul (check_queue (c), y, gate, x, weight, 1.6448536f, flags);
        else
          ocl_sparse_matmul (check_queue (c), y, gate, weight, flags);
      }
    }
}

static void
bench_gated_matmul (Check *c)
{
  bench_sparse (c, OCL_LAYOUT_ROWS);
}

static void
bench_sparse_matmul (Check *c)
{
  bench_sparse (c, OCL_LAYOUT_COLUMNS);
}

const CheckOp check_ops_matmul[] = {
  { "matmul", 572, check_matmul, bench_matmul, OCL_N_TYPES },
  { "gated_matmul", 132, check_gated_matmul, bench_gated_matmul, OCL_N_TYPES },
  { "sparse_matmul", 132, check_sparse_matmul, bench_sparse_matmul, OCL_N_TYPES },
  { NULL }
};
