/* The matrix product with float32 activations on CPUs: kernels/matmul-cpu.cl. */
#include "launch.h"
#include "matmul-private.h"

/* A work-group should last some 10 us, several times what it costs to hand out. */
#define GROUP_BYTES 65536.0
#define GROUP_FLOPS 4e5
#define GROUPS_PER_UNIT 8
#define FEW_GROUPS_PER_UNIT 4           /* each may have to prepare x for itself, or reads a line of all its panels */

/* Panels a work-group computes: a multiple of @unit, such that there are enough groups but none is tiny. */
static gint
group_panels (OclQueue *q, const OclWeight *w, gint n_panels, gint unit, gint M, gdouble bytes, gdouble flops)
{
  gint per_unit = w->layout == OCL_LAYOUT_COLUMNS || M == 1 ? FEW_GROUPS_PER_UNIT : GROUPS_PER_UNIT;
  gint most = ocl_device_get_compute_units (ocl_queue_get_device (q)) * per_unit;
  gint groups = CLAMP ((gint) MIN (MAX (bytes / GROUP_BYTES, flops / GROUP_FLOPS), 1e6), 1, most);

  return ocl_divide_up (ocl_divide_up (n_panels, groups), unit) * unit;
}

/* Groups of panels come first; where they are too few for the device, rows of x are divided too. */
OclMatmulCut
ocl_matmul_cut (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, gint tile_rows, gint tile_panels)
{
  const gint M = args->x.rows;
  const gdouble flops = 2.0 * M * chunk->rows * args->w->cols;
  OclMatmulCut cut;
  gint wanted = MIN (2 * ocl_device_get_compute_units (ocl_queue_get_device (q)), flops / GROUP_FLOPS), row_groups;

  cut.group_panels = group_panels (q, args->w, chunk->n_panels, tile_panels, M,
      (gdouble) chunk->n_panels * ocl_panel_bytes (args->w->type, args->w->cols), flops);
  cut.global[0] = ocl_divide_up (chunk->n_panels, cut.group_panels);
  row_groups = CLAMP (wanted / (gint) cut.global[0], 1, ocl_divide_up (M, 4 * tile_rows));
  cut.group_rows = ocl_divide_up (ocl_divide_up (M, row_groups), tile_rows) * tile_rows;
  cut.global[1] = ocl_divide_up (M, cut.group_rows);
  return cut;
}

/* Pictures have many rows: blocks of them by groups of panels, such that KCHUNK columns of a block's x stay in the
 * second-level cache while all panels of an item pass. */
#define BLOCK_ROWS 256
#define ITEMS_PER_UNIT 8

OclMatmulCut
ocl_matmul_cut_many (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, gint tile_rows, gint tile_panels)
{
  const gint wanted = ITEMS_PER_UNIT * ocl_device_get_compute_units (ocl_queue_get_device (q));
  const gint M = args->x.rows, row_groups = ocl_divide_up (M, BLOCK_ROWS), panel_groups = ocl_divide_up (wanted, row_groups);
  OclMatmulCut cut;

  if (M <= BLOCK_ROWS)
    return ocl_matmul_cut (q, args, chunk, tile_rows, tile_panels);
  cut.group_rows = ocl_divide_up (ocl_divide_up (M, row_groups), tile_rows) * tile_rows;
  cut.group_panels = ocl_divide_up (ocl_divide_up (chunk->n_panels, panel_groups), tile_panels) * tile_panels;
  cut.global[0] = ocl_divide_up (chunk->n_panels, cut.group_panels);
  cut.global[1] = ocl_divide_up (M, cut.group_rows);
  return cut;
}

static void
run_gemv (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, const gchar *options)
{
  OclKernel *kernel = ocl_queue_get_kernel (q, "matmul-cpu", "matmul_gemv", options);
  const OclTensor y = ocl_matmul_chunk_y (args, chunk);
  const OclMatmulCut cut = ocl_matmul_cut (q, args, chunk, 1, 1);
  const cl_int N = chunk->rows, K = args->w->cols, n_panels = chunk->n_panels;

  ocl_queue_run (q, kernel, 1, cut.global, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (args->x),
      OCL_ARG_PANELS (args->w, chunk), OCL_ARG (N), OCL_ARG (K), OCL_ARG (n_panels), OCL_ARG (cut.group_panels),
      OCL_ARGS_END);
}

static void
run_gemm (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, const gchar *options, gint tile_rows,
    gint tile_panels)
{
  OclKernel *kernel = ocl_queue_get_kernel (q, "matmul-cpu", "matmul_gemm", options);
  const OclTensor y = ocl_matmul_chunk_y (args, chunk);
  const cl_int M = args->x.rows, N = chunk->rows, K = args->w->cols, n_panels = chunk->n_panels;
  const OclMatmulCut cut = ocl_matmul_cut_many (q, args, chunk, tile_rows, tile_panels);

  ocl_queue_run (q, kernel, 2, cut.global, ocl_single_item, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (args->x),
      OCL_ARG_PANELS (args->w, chunk), OCL_ARG (M), OCL_ARG (N), OCL_ARG (K), OCL_ARG (n_panels),
      OCL_ARG (cut.group_panels), OCL_ARG (cut.group_rows), OCL_ARGS_END);
}

static void
run (OclQueue *q, const OclMatmulArgs *args, const gchar *target, gint tile_rows, gint tile_panels)
{
  gchar options[64];

  g_snprintf (options, sizeof options, "%s%s", ocl_matmul_type_option (args->w->type), target);
  for (guint i = 0; i < args->w->n_chunks; i++) {
    if (args->x.rows == 1 && args->w->layout == OCL_LAYOUT_PANELS)
      run_gemv (q, args, &args->w->chunks[i], options);
    else
      run_gemm (q, args, &args->w->chunks[i], options, tile_rows, tile_panels);
  }
}

void
ocl_matmul_float_avx2 (OclQueue *q, gconstpointer args)
{
  run (q, args, "", 6, 1);
}

void
ocl_matmul_float_avx512 (OclQueue *q, gconstpointer args)
{
  run (q, args, " -DCPU_AVX512", 8, 3);
}

void
ocl_matmul_float_cpu (OclQueue *q, gconstpointer args)
{
  run (q, args, " -DCPU_PLAIN", 6, 1);
}
