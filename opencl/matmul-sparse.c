/* The products around a sparse gate, of one row: what the gate closes is not read, neither of the weights before it
 * (kernels/matmul-gated.cl) nor of those behind (kernels/matmul-sparse.cl). */
#include "launch.h"
#include "matmul-private.h"

#define GATED_GROUPS 2          /* a unit: each finds the cutoff and prepares x for itself */
#define MOST_PANELS 32          /* of a work-group of matmul_sparse */

typedef struct
{
  OclMatmulArgs product;        /* y [M][N], x [M][K] and w [N][K] */
  OclTensor gate;               /* [M][N] */
  gfloat sparsity;
} GatedArgs;

/* Weights get such layouts where there are kernels for them; of more rows, hardly anything is closed in all. */
static gboolean
match (const OclMatmulArgs *a, OclLayout layout)
{
  return a->x.rows == 1 && a->w->layout == layout;
}

/* Without VNNI, products of 8-bit weights and bytes of 24-bit integers are more than the 16 bits that pairs are added in. */
static gboolean
match_narrow (const OclMatmulArgs *a, OclLayout layout)
{
  return match (a, layout) && (a->flags & OCL_MATMUL_INT8_ACTIVATIONS || ocl_type_info (a->w->type)->bits < 8);
}

static OclKernel *
get_kernel (OclQueue *q, const OclMatmulArgs *a, const gchar *target, const gchar *file, const gchar *name)
{
  const gchar *wide = a->flags & OCL_MATMUL_INT8_ACTIVATIONS ? "" : " -DINT24";
  const gint most = a->w->layout == OCL_LAYOUT_ROWS ? OCL_GATED_COLS : OCL_GEMV_COLS;
  gchar options[128];

  g_snprintf (options, sizeof options, "%s %s -DGEMV_COLS=%d%s", ocl_matmul_type_option (a->w->type), target, most, wide);
  return ocl_queue_get_kernel (q, file, name, options);
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

/* ---- before the gate: few rows ------------------------------------------------------------------------------ */

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

static void
run_gated (OclQueue *q, const GatedArgs *a, const gchar *target)
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
ocl_gated_matmul_reads_less (OclQueue *q, const OclWeight *w)
{
  const GatedArgs row = { { { .rows = 1 }, { .rows = 1 }, w, OCL_MATMUL_F32_ACTIVATIONS } };

  return ocl_variant_choose (ocl_queue_get_device (q), &ocl_op_gated_matmul, &row)->match != NULL;
}

/* ---- behind the gate: few columns --------------------------------------------------------------------------- */

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

static void
run_sparse (OclQueue *q, const OclMatmulArgs *a, const gchar *target)
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
