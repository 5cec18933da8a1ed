/* The products around a sparse gate. Of one row, what the gate closes is not read, neither of the weights before it
 * (kernels/matmul-gated.cl) nor of those behind (kernels/matmul-sparse.cl); of more, it is not multiplied (-many.cl). */
#include "launch.h"
#include "matmul-private.h"

#define GATED_GROUPS 2          /* a unit: each finds the cutoff and prepares x for itself */
#define MOST_PANELS 32          /* of a work-group of matmul_sparse: their sums stay in the first-level cache */
#define BAND 4                  /* panels that kernels of many rows take together: unpacked, they stay in a cache */
#define MANY_GROUPS 8           /* of these kernels for a unit */
#define LANES 512               /* columns that 16 lanes of blocks are */
#define SPAN 128                /* columns of x that matmul_sparse_pack packs together: 255 at most, as a byte counts them, */
#define MOST_ROWS 256           /* of so many rows */
#define FEW_ROWS 6              /* one after the other, they take less than unpacking the weights does */

typedef struct
{
  OclMatmulArgs product;        /* y [M][N], x [M][K] and w [N][K] */
  OclTensor gate;               /* [M][N] */
  gfloat sparsity;
} GatedArgs;

#define IS_WIDE(a) (!((a)->flags & OCL_MATMUL_INT8_ACTIVATIONS))

/* Weights get such layouts where there are kernels for them. */
static gboolean
match (const OclMatmulArgs *a, OclLayout layout)
{
  return a->w->layout == layout && (a->x.rows == 1 || layout == OCL_LAYOUT_COLUMNS || a->w->cols % LANES == 0);
}

/* Without VNNI, products of 8-bit weights and bytes of 24-bit integers are more than the 16 bits that pairs are added in. */
static gboolean
match_narrow (const OclMatmulArgs *a, OclLayout layout)
{
  return match (a, layout) && (!IS_WIDE (a) || ocl_type_info (a->w->type)->bits < 8);
}

static OclKernel *
get_kernel (OclQueue *q, const OclMatmulArgs *a, const gchar *target, const gchar *file, const gchar *name)
{
  const gint most = a->w->layout == OCL_LAYOUT_ROWS ? OCL_GATED_COLS : OCL_GEMV_COLS;
  gchar options[160];

  g_snprintf (options, sizeof options, "%s %s -DGEMV_COLS=%d -DMOST_PANELS=%d -DBAND=%d%s", ocl_matmul_type_option (a->w->type),
      target, most, MOST_PANELS, BAND, IS_WIDE (a) ? " -DINT24" : "");
  return ocl_queue_get_kernel (q, file, name, options);
}

/* Panels of a work-group, of many rows. */
static gint
cut_many (OclQueue *q, gint n_panels, gsize *groups)
{
  const gint wanted = MANY_GROUPS * ocl_device_get_compute_units (ocl_queue_get_device (q));
  const gint step = ocl_divide_up (ocl_divide_up (n_panels, wanted), BAND) * BAND;

  *groups = ocl_divide_up (n_panels, step);
  return step;
}

#define DEFINE_RUN(run, name, target) \
  static void run##_##name (OclQueue *q, gconstpointer args) { run (q, args, target); }
#define DEFINE_RUNS(run) \
  DEFINE_RUN (run, vnni, OCL_INT8_VNNI) \
  DEFINE_RUN (run, bw, OCL_INT8_BW) \
  DEFINE_RUN (run, avxvnni, OCL_INT8_AVXVNNI) \
  DEFINE_RUN (run, avx2, OCL_INT8_AVX2)

#define VARIANTS(match, run, whole) \
  { "int8-vnni", OCL_DEVICE_AVX512VNNI, match, run##_vnni }, \
  { "int8-avxvnni", OCL_DEVICE_AVXVNNI, match, run##_avxvnni }, \
  { "int8-bw", OCL_DEVICE_AVX512BW, match##_narrow, run##_bw }, \
  { "int8-avx2", OCL_DEVICE_AVX2, match##_narrow, run##_avx2 }, \
  { "portable", 0, NULL, whole }, \
  { "ref", 0, NULL, whole }

/* ---- before the gate: few rows of w ---------------------------------------------------------------------------- */

static gboolean
match_gated (OclDevice *device, gconstpointer data)
{
  return match (&((const GatedArgs *) data)->product, OCL_LAYOUT_ROWS);
}

static gboolean
match_gated_narrow (OclDevice *device, gconstpointer data)
{
  return match_narrow (&((const GatedArgs *) data)->product, OCL_LAYOUT_ROWS);
}

/* The scratch buffer has a Row (kernels/row.clh) for each row of x: a byte or three a column, less than another for scales
 * and sums. */
static void
run_gated_many (OclQueue *q, const GatedArgs *a, const gchar *target)
{
  const OclMatmulArgs *p = &a->product;
  OclKernel *prepare = get_kernel (q, p, target, "matmul-gated-many", "matmul_gated_prepare");
  OclKernel *kernel = get_kernel (q, p, target, "matmul-gated-many", "matmul_gated_many");
  const cl_int M = p->x.rows, K = p->w->cols, n_gates = a->gate.cols;
  const gsize rows = M, row_bytes = (IS_WIDE (p) ? 4 : 2) * OCL_GATED_COLS;
  cl_mem lanes = ocl_queue_scratch (q, OCL_SCRATCH_ACTIVATIONS, rows * row_bytes);

  for (guint i = 0; i < p->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &p->w->chunks[i];
    const OclTensor y = ocl_matmul_chunk_y (p, chunk);
    const cl_int N = chunk->rows, first_row = chunk->first_row, n_panels = chunk->n_panels;
    gsize groups;
    const cl_int group_panels = cut_many (q, n_panels, &groups);

    ocl_queue_run (q, prepare, 1, &rows, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (a->gate), OCL_ARG_TENSOR (p->x),
        OCL_ARG (lanes), OCL_ARG (K), OCL_ARG (N), OCL_ARG (n_gates), OCL_ARG (first_row), OCL_ARG (a->sparsity), OCL_ARGS_END);
    ocl_queue_run (q, kernel, 1, &groups, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG (lanes), OCL_ARG_PANELS (p->w, chunk),
        OCL_ARG (M), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (group_panels), OCL_ARGS_END);
  }
}

static void
run_gated_row (OclQueue *q, const GatedArgs *a, const gchar *target)
{
  const OclMatmulArgs *p = &a->product;
  const cl_int K = p->w->cols, n_gates = a->gate.cols;
  OclKernel *kernel = get_kernel (q, p, target, "matmul-gated", "matmul_gated");
  const gint groups = GATED_GROUPS * ocl_device_get_compute_units (ocl_queue_get_device (q));

  for (guint i = 0; i < p->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &p->w->chunks[i];
    const OclTensor y = ocl_matmul_chunk_y (p, chunk);
    const cl_int n_panels = chunk->n_panels, first_row = chunk->first_row;
    const cl_int group_panels = ocl_divide_up (n_panels, groups);
    const gsize global = ocl_divide_up (n_panels, group_panels);

    ocl_queue_run (q, kernel, 1, &global, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (a->gate), OCL_ARG_TENSOR (p->x),
        OCL_ARG_PANELS (p->w, chunk), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (group_panels), OCL_ARG (first_row),
        OCL_ARG (n_gates), OCL_ARG (a->sparsity), OCL_ARGS_END);
  }
}

static void
run_gated (OclQueue *q, const GatedArgs *a, const gchar *target)
{
  (a->product.x.rows == 1 ? run_gated_row : run_gated_many) (q, a, target);
}

DEFINE_RUNS (run_gated)

/* Everything, by the variants of the product and of the gate. */
static void
run_gated_whole (OclQueue *q, gconstpointer data)
{
  const GatedArgs *a = data;
  const OclMatmulArgs *p = &a->product;

  ocl_matmul (q, p->y, p->x, p->w, p->flags);
  ocl_gated_gelu (q, p->y, a->gate, p->y, a->sparsity);
}

static const OclVariant gated_variants[] = { VARIANTS (match_gated, run_gated, run_gated_whole) };
const OclOperation ocl_op_gated_matmul = { "gated_matmul", gated_variants, G_N_ELEMENTS (gated_variants) };

void
ocl_gated_matmul (OclQueue *q, OclTensor y, OclTensor gate, OclTensor x, const OclWeight *w, gfloat sparsity,
    OclMatmulFlags flags)
{
  const GatedArgs args = { { y, x, w, flags }, gate, sparsity };
  const gboolean fits = x.cols == w->cols && y.cols == w->rows && x.rows == y.rows && ocl_same_shape (y, gate);

  if (ocl_launch_check (q, &ocl_op_gated_matmul, fits) && x.rows > 0)
    ocl_variant_run (q, &ocl_op_gated_matmul, &args);
}

gboolean
ocl_gated_matmul_is_sparse (OclQueue *q, const OclWeight *w, gint rows)
{
  const GatedArgs args = { { { .rows = rows }, { .rows = rows }, w, OCL_MATMUL_F32_ACTIVATIONS } };

  return ocl_variant_choose (ocl_queue_get_device (q), &ocl_op_gated_matmul, &args)->match != NULL;
}

/* ---- behind the gate: few columns of w -------------------------------------------------------------------------- */

static gboolean
match_sparse (OclDevice *device, gconstpointer data)
{
  return match (data, OCL_LAYOUT_COLUMNS);
}

static gboolean
match_sparse_narrow (OclDevice *device, gconstpointer data)
{
  return match_narrow (data, OCL_LAYOUT_COLUMNS);
}

/* Up to MOST_ROWS rows. The scratch buffer has a Span (kernels/matmul-sparse-many.cl) for each SPAN columns: as much as if
 * nothing were 0; what is not used is not touched. */
static void
run_sparse_rows (OclQueue *q, const OclMatmulArgs *a, const gchar *options)
{
  OclKernel *pack = ocl_queue_get_kernel (q, "matmul-sparse-many", "matmul_sparse_pack", options);
  OclKernel *kernel = ocl_queue_get_kernel (q, "matmul-sparse-many", "matmul_sparse_many", options);
  const cl_int M = a->x.rows, K = a->w->cols;
  const gsize n_spans = ocl_divide_up (K, SPAN), span_bytes = MOST_ROWS * (1 + SPAN * 5);
  cl_mem spans = ocl_queue_scratch (q, OCL_SCRATCH_ACTIVATIONS, ocl_divide_up (a->w->all_cols, SPAN) * span_bytes);

  ocl_queue_run (q, pack, 1, &n_spans, ocl_single_item, OCL_ARG_TENSOR (a->x), OCL_ARG (spans), OCL_ARG (M), OCL_ARG (K),
      OCL_ARGS_END);
  for (guint i = 0; i < a->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &a->w->chunks[i];
    const OclTensor y = ocl_matmul_chunk_y (a, chunk);
    const cl_int n_panels = chunk->n_panels, N = chunk->rows;
    gsize groups;
    const cl_int group_panels = cut_many (q, n_panels, &groups);

    ocl_queue_run (q, kernel, 1, &groups, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG (spans), OCL_ARG_PANELS (a->w, chunk),
        OCL_ARG (M), OCL_ARG (N), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (group_panels), OCL_ARGS_END);
  }
}

static void
run_sparse_many (OclQueue *q, const OclMatmulArgs *a, const gchar *target)
{
  gchar options[128];

  g_snprintf (options, sizeof options, "%s %s -DMOST_ROWS=%d -DSPAN=%d -DBAND=%d", ocl_matmul_type_option (a->w->type), target,
      MOST_ROWS, SPAN, BAND);
  for (gint m = 0; m < a->x.rows; m += MOST_ROWS) {
    const gint rows = MIN (a->x.rows - m, MOST_ROWS);
    const OclMatmulArgs some = { ocl_tensor_rows (a->y, m, rows), ocl_tensor_rows (a->x, m, rows), a->w, a->flags };

    run_sparse_rows (q, &some, options);
  }
}

static void
run_sparse_row (OclQueue *q, const OclMatmulArgs *a, const gchar *target)
{
  OclKernel *kernel = get_kernel (q, a, target, "matmul-sparse", "matmul_sparse");
  const gint units = ocl_device_get_compute_units (ocl_queue_get_device (q));

  for (guint i = 0; i < a->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &a->w->chunks[i];
    const OclTensor y = ocl_matmul_chunk_y (a, chunk);
    const cl_int n_panels = chunk->n_panels, N = chunk->rows, K = a->w->cols;
    const cl_int group_panels = MIN (ocl_divide_up (n_panels, units), MOST_PANELS);
    const gsize groups = ocl_divide_up (n_panels, group_panels);

    ocl_queue_run (q, kernel, 1, &groups, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (a->x), OCL_ARG_PANELS (a->w, chunk),
        OCL_ARG (N), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (group_panels), OCL_ARGS_END);
  }
}

static void
run_sparse (OclQueue *q, const OclMatmulArgs *a, const gchar *target)
{
  if (a->x.rows > FEW_ROWS)
    run_sparse_many (q, a, target);
  else
    for (gint m = 0; m < a->x.rows; m++)
      run_sparse_row (q, &(OclMatmulArgs) { ocl_tensor_rows (a->y, m, 1), ocl_tensor_rows (a->x, m, 1), a->w, a->flags },
          target);
}

DEFINE_RUNS (run_sparse)

static void
run_sparse_whole (OclQueue *q, gconstpointer data)
{
  const OclMatmulArgs *a = data;

  ocl_matmul (q, a->y, a->x, a->w, a->flags);
}

static const OclVariant sparse_variants[] = { VARIANTS (match_sparse, run_sparse, run_sparse_whole) };
const OclOperation ocl_op_sparse_matmul = { "sparse_matmul", sparse_variants, G_N_ELEMENTS (sparse_variants) };

void
ocl_sparse_matmul (OclQueue *q, OclTensor y, OclTensor x, const OclWeight *w, OclMatmulFlags flags)
{
  const OclMatmulArgs args = { y, x, w, flags };
  const gboolean fits = x.cols == w->cols && y.cols == w->rows && x.rows == y.rows;

  if (ocl_launch_check (q, &ocl_op_sparse_matmul, fits) && x.rows > 0)
    ocl_variant_run (q, &ocl_op_sparse_matmul, &args);
}
