/* The matrix product with integer activations on CPUs: kernels/matmul-int8.cl. */
#include "launch.h"
#include "matmul-private.h"

#define FEW_ROWS 8              /* more are worth unpacking the weights for */

gboolean
ocl_matmul_int8_match (OclDevice *device, gconstpointer data)
{
  const OclMatmulArgs *args = data;

  return args->flags & OCL_MATMUL_INT8_ACTIVATIONS && ocl_type_info (args->w->type)->block > 1;
}

/* One row with float32 activations: 24-bit integers carry as much. 8-bit weights go no faster so. */
gboolean
ocl_matmul_int24_match (OclDevice *device, gconstpointer data)
{
  const OclMatmulArgs *args = data;
  const OclTypeInfo *info = ocl_type_info (args->w->type);

  return !(args->flags & OCL_MATMUL_INT8_ACTIVATIONS) && info->block > 1 && info->bits < 8 && args->x.rows == 1
      && args->w->cols <= OCL_GEMV_COLS && args->w->layout == OCL_LAYOUT_PANELS;
}

/* Without VNNI, many rows go no faster than in float32 (0.9-1.2 of FMA against 1.1), which is exact. */
gboolean
ocl_matmul_int8_match_few (OclDevice *device, gconstpointer data)
{
  const OclMatmulArgs *args = data;

  return ocl_matmul_int8_match (device, data)
      && (args->x.rows <= FEW_ROWS || ocl_variant_is_forced ("matmul", "int8-avx2"));
}

static void
run_gemv (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, const gchar *name, const gchar *options)
{
  OclKernel *kernel = ocl_queue_get_kernel (q, "matmul-int8", name, options);
  const OclTensor y = ocl_matmul_chunk_y (args, chunk);
  const OclMatmulCut cut = ocl_matmul_cut (q, args, chunk, 1, 2);
  const cl_int N = chunk->rows, K = args->w->cols, n_panels = chunk->n_panels;

  ocl_queue_run (q, kernel, 1, cut.global, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (args->x),
      OCL_ARG_PANELS (args->w, chunk), OCL_ARG (N), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (cut.group_panels), OCL_ARGS_END);
}

/* The scratch buffer has the bytes of all rows, then their scales, then their sums (up to two for a scale), with room
 * for whole tiles. */
static void
run_gemm (OclQueue *q, const OclMatmulArgs *args, const gchar *options, gint tile_rows, gint tile_panels)
{
  const cl_int M = args->x.rows, K = args->w->cols;
  const gsize values = (gsize) (M + tile_rows - 1) / tile_rows * tile_rows * K;
  const cl_ulong scales_at = (values + 63) / 64 * 64, sums_at = scales_at + values / 32 * 8;
  cl_mem quantized = ocl_queue_scratch (q, OCL_SCRATCH_ACTIVATIONS, sums_at + values / 16 * 4);
  const gboolean many = M > FEW_ROWS;
  OclKernel *quantize = ocl_queue_get_kernel (q, "matmul-int8", many ? "matmul_quantize_many" : "matmul_quantize", options);
  OclKernel *kernel = ocl_queue_get_kernel (q, "matmul-int8", many ? "matmul_int8_many" : "matmul_int8", options);
  const gsize items = many ? ocl_divide_up (M, tile_rows) : M;

  ocl_queue_run (q, quantize, 1, &items, ocl_single_item, OCL_ARG_TENSOR (args->x), OCL_ARG (quantized), OCL_ARG (scales_at),
      OCL_ARG (sums_at), OCL_ARG (K), OCL_ARG (M), OCL_ARGS_END);
  for (guint i = 0; i < args->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &args->w->chunks[i];
    const OclTensor y = ocl_matmul_chunk_y (args, chunk);
    const OclMatmulCut cut = ocl_matmul_cut (q, args, chunk, tile_rows, tile_panels);
    const cl_int N = chunk->rows, n_panels = chunk->n_panels;

    ocl_queue_run (q, kernel, 2, cut.global, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG (quantized), OCL_ARG (scales_at),
        OCL_ARG (sums_at), OCL_ARG_PANELS (args->w, chunk), OCL_ARG (M), OCL_ARG (N), OCL_ARG (K),
        OCL_ARG (n_panels), OCL_ARG (cut.group_panels), OCL_ARG (cut.group_rows), OCL_ARGS_END);
  }
}

static void
run (OclQueue *q, const OclMatmulArgs *args, const gchar *target, gint tile_rows, gint tile_panels)
{
  const gboolean allowed = (args->flags & OCL_MATMUL_INT8_ACTIVATIONS) != 0;
  gchar options[96];

  g_snprintf (options, sizeof options, "%s %s -DGEMV_COLS=%d", ocl_matmul_type_option (args->w->type), target, OCL_GEMV_COLS);
  if (allowed && (args->x.rows > 1 || args->w->cols > OCL_GEMV_COLS))
    run_gemm (q, args, options, tile_rows, tile_panels);
  else
    for (guint i = 0; i < args->w->n_chunks; i++)
      run_gemv (q, args, &args->w->chunks[i], allowed ? "matmul_int8_gemv" : "matmul_int24_gemv", options);
}

void
ocl_matmul_int_vnni (OclQueue *q, gconstpointer args)
{
  run (q, args, OCL_INT8_VNNI, 6, 2);
}

void
ocl_matmul_int_bw (OclQueue *q, gconstpointer args)
{
  run (q, args, OCL_INT8_BW, 6, 2);
}

void
ocl_matmul_int_avxvnni (OclQueue *q, gconstpointer args)
{
  run (q, args, OCL_INT8_AVXVNNI, 4, 1);
}

void
ocl_matmul_int_avx2 (OclQueue *q, gconstpointer args)
{
  run (q, args, OCL_INT8_AVX2, 4, 1);
}
