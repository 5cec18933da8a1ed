/* The matrix product through CLBlast, for GPUs and many rows: weights go to float32 first, a part at a time. */
#include "launch.h"
#include "matmul-private.h"

#include <clblast_c.h>

#define UNPACKED_BYTES (64u << 20)      /* of float32 weights at a time */
#define MIN_ROWS 32                     /* fewer do not pay for unpacking */

gboolean
ocl_matmul_clblast_match (OclDevice *device, gconstpointer data)
{
  const OclMatmulArgs *args = data;

  return args->x.rows >= MIN_ROWS
      && (ocl_device_get_bits (device) & OCL_DEVICE_GPU || ocl_variant_is_forced ("matmul", "clblast"));
}

static void
multiply_part (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, gint first_panel, gint n_panels)
{
  const cl_int K = args->w->cols, panel = first_panel;
  const gint row = first_panel * OCL_PANEL, rows = MIN (n_panels * OCL_PANEL, chunk->rows - row);
  const OclTensor y = ocl_tensor_cols (ocl_matmul_chunk_y (args, chunk), row, rows);
  /* PoCL compiles a kernel for each size of work-group: one for all shapes. */
  const gsize local[2] = { OCL_PANEL, OCL_PANEL };
  const gsize global[2] = { ocl_round_up (K, local[0]), n_panels * local[1] };
  cl_mem unpacked = ocl_queue_scratch (q, OCL_SCRATCH_WEIGHTS, K * global[1] * sizeof (gfloat));
  gchar options[48];
  OclKernel *kernel;
  cl_command_queue handle = ocl_queue_get_handle (q);

  g_snprintf (options, sizeof options, "%s -DTM=1", ocl_matmul_type_option (args->w->type));
  kernel = ocl_queue_get_kernel (q, "matmul", "unpack_rows", options);
  ocl_queue_run (q, kernel, 2, global, local, OCL_ARG (unpacked), OCL_ARG_PANELS (args->w, chunk), OCL_ARG (panel),
      OCL_ARG (K), OCL_ARGS_END);
  if (!ocl_queue_failed (q))
    ocl_queue_check (q, (cl_int) CLBlastSgemm (CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes,
        args->x.rows, rows, K, 1, args->x.mem, args->x.offset, args->x.stride, unpacked, 0, K, 0, y.mem, y.offset,
        y.stride, &handle, NULL), "CLBlast cannot multiply");
}

void
ocl_matmul_clblast (OclQueue *q, gconstpointer data)
{
  const OclMatmulArgs *args = data;
  const gint step = MAX (UNPACKED_BYTES / (args->w->cols * OCL_PANEL * sizeof (gfloat)), 1);

  for (guint i = 0; i < args->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &args->w->chunks[i];

    for (gint p = 0; p < chunk->n_panels && !ocl_queue_failed (q); p += step)
      multiply_part (q, args, chunk, p, MIN (step, chunk->n_panels - p));
  }
}
