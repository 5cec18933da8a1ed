/* The matrix product of many rows in integers of 16 bits on CPUs with VNNI: kernels/matmul-int16.cl. */
#include "launch.h"
#include "matmul-private.h"

#define FEW_ROWS 8              /* more are worth rounding the weights for */
#define BLOCK 256               /* columns that share a scale */
#define TILE_ROWS 8
#define TILE_PANELS 3

gboolean
ocl_matmul_int16_match (OclDevice *device, gconstpointer data)
{
  const OclMatmulArgs *args = data;

  const OclMatmulFlags allowing = ocl_type_info (args->w->type)->block > 1 ? OCL_MATMUL_INT16
      : OCL_MATMUL_INT16 | OCL_MATMUL_INT8_ACTIVATIONS;

  return (args->flags & allowing) != 0 && args->x.rows > FEW_ROWS;
}

/* The scratch buffer has the integers of all rows, then their scales, with room for whole tiles. */
void
ocl_matmul_int16_vnni (OclQueue *q, gconstpointer data)
{
  const OclMatmulArgs *args = data;
  const cl_int M = args->x.rows, K = args->w->cols;
  const gsize rows = M, values = ocl_round_up (M, TILE_ROWS) * ocl_round_up (K, BLOCK);
  const cl_ulong scales_at = values * sizeof (gint16);
  cl_mem quantized = ocl_queue_scratch (q, OCL_SCRATCH_ACTIVATIONS, scales_at + values / BLOCK * sizeof (gfloat));
  gchar options[64];

  g_snprintf (options, sizeof options, "%s -DCPU_AVX512", ocl_matmul_type_option (args->w->type));
  ocl_queue_run (q, ocl_queue_get_kernel (q, "matmul-int16", "matmul_quantize", options), 1, &rows, ocl_single_item,
      OCL_ARG_TENSOR (args->x), OCL_ARG (quantized), OCL_ARG (scales_at), OCL_ARG (K), OCL_ARGS_END);
  for (guint i = 0; i < args->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &args->w->chunks[i];
    const OclTensor y = ocl_matmul_chunk_y (args, chunk);
    const OclMatmulCut cut = ocl_matmul_cut_many (q, args, chunk, TILE_ROWS, TILE_PANELS);
    const cl_int N = chunk->rows, n_panels = chunk->n_panels;

    ocl_queue_run (q, ocl_queue_get_kernel (q, "matmul-int16", "matmul_int16", options), 2, cut.global, ocl_single_item,
        OCL_ARG_TENSOR (y), OCL_ARG (quantized), OCL_ARG (scales_at), OCL_ARG_PANELS (args->w, chunk), OCL_ARG (M),
        OCL_ARG (N), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (cut.group_panels), OCL_ARG (cut.group_rows), OCL_ARGS_END);
  }
}
