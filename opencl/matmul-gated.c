/* The product behind a sparse gate: of one row, what the gate closes is not read. kernels/matmul-gated.cl. */
#include "launch.h"
#include "matmul-private.h"

typedef struct
{
  OclMatmulArgs product;        /* y [M][N], x [M][K] and w [N][K] */
  OclTensor gate;               /* [M][N] */
  gfloat sparsity;
} GatedArgs;

/* Decoding: the kernels that ocl_matmul() would take, too. Of more rows, hardly a panel is closed in all. */
static gboolean
match_row (OclDevice *device, gconstpointer data)
{
  const GatedArgs *a = data;

  return a->product.x.rows == 1 && a->product.w->rows % OCL_PANEL == 0 && a->product.w->cols <= OCL_GEMV_COLS
      && (ocl_matmul_int8_match (device, &a->product) || ocl_matmul_int24_match (device, &a->product));
}

static void
run_row (OclQueue *q, const GatedArgs *a, const gchar *target)
{
  const OclMatmulArgs *p = &a->product;
  const gchar *wide = p->flags & OCL_MATMUL_INT8_ACTIVATIONS ? "" : " -DINT24";
  const cl_int K = p->w->cols, n_gates = a->gate.cols;
  gchar options[96];
  OclKernel *kernel;

  g_snprintf (options, sizeof options, "%s %s -DGEMV_COLS=%d%s", ocl_matmul_type_option (p->w->type), target, OCL_GEMV_COLS, wide);
  kernel = ocl_queue_get_kernel (q, "matmul-gated", "matmul_gated", options);
  for (guint i = 0; i < p->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &p->w->chunks[i];
    const OclTensor y = ocl_matmul_chunk_y (p, chunk);
    const OclMatmulCut cut = ocl_matmul_cut (q, p, chunk, 1, 2);
    const cl_int n_panels = chunk->n_panels, first_row = chunk->first_row;

    ocl_queue_run (q, kernel, 1, cut.global, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (a->gate), OCL_ARG_TENSOR (p->x),
        OCL_ARG_PANELS (p->w, chunk), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (cut.group_panels), OCL_ARG (first_row),
        OCL_ARG (n_gates), OCL_ARG (a->sparsity), OCL_ARGS_END);
  }
}

#define DEFINE_ROW(name, target) \
  static void run_##name (OclQueue *q, gconstpointer args) { run_row (q, args, target); }

DEFINE_ROW (vnni, OCL_INT8_VNNI)
DEFINE_ROW (bw, OCL_INT8_BW)
DEFINE_ROW (avxvnni, OCL_INT8_AVXVNNI)
DEFINE_ROW (avx2, OCL_INT8_AVX2)

/* Everything, by the variants of the product and of the gate. */
static void
run_whole (OclQueue *q, gconstpointer data)
{
  const GatedArgs *a = data;
  const OclMatmulArgs *p = &a->product;

  ocl_matmul (q, p->y, p->x, p->w, p->flags);
  ocl_gated_gelu (q, p->y, a->gate, p->y, a->sparsity);
}

static const OclVariant variants[] = {
  { "int8-vnni", OCL_DEVICE_AVX512VNNI, match_row, run_vnni },
  { "int8-avxvnni", OCL_DEVICE_AVXVNNI, match_row, run_avxvnni },
  { "int8-bw", OCL_DEVICE_AVX512BW, match_row, run_bw },
  { "int8-avx2", OCL_DEVICE_AVX2, match_row, run_avx2 },
  { "portable", 0, NULL, run_whole },
  { "ref", 0, NULL, run_whole },
};
const OclOperation ocl_op_gated_matmul = { "gated_matmul", variants, G_N_ELEMENTS (variants) };

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
ocl_gated_matmul_reads_less (OclQueue *q, const OclWeight *w, OclMatmulFlags flags)
{
  const GatedArgs row = { { { .rows = 1 }, { .rows = 1 }, w, flags } };

  return ocl_variant_choose (ocl_queue_get_device (q), &ocl_op_gated_matmul, &row)->match == match_row;
}
