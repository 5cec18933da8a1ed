/* The matrix product: its variants and the portable one. */
#include "matmul-private.h"

#include <string.h>

gboolean
ocl_matmul_flags_parse (const gchar *name, OclMatmulFlags *flags, GError **error)
{
  static const struct
  {
    const gchar *name;
    OclMatmulFlags flags;
  } all[] = { { "f32", OCL_MATMUL_F32_ACTIVATIONS }, { "int16", OCL_MATMUL_INT16 }, { "int8", OCL_MATMUL_INT8_ACTIVATIONS } };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    if (strcmp (all[i].name, name ? name : "f32") == 0) {
      *flags = all[i].flags;
      return TRUE;
    }
  g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED, "activations is \"%s\"; allowed are f32, int16 and int8", name);
  return FALSE;
}

const gchar *
ocl_matmul_type_option (OclType type)
{
  static const gchar *const options[OCL_N_TYPES] = {
    [OCL_TYPE_F32] = "-DTYPE_F32",
    [OCL_TYPE_F16] = "-DTYPE_F16",
    [OCL_TYPE_BF16] = "-DTYPE_BF16",
    [OCL_TYPE_Q8_0] = "-DTYPE_Q8_0",
    [OCL_TYPE_Q4_0] = "-DTYPE_Q4_0",
    [OCL_TYPE_Q4_1] = "-DTYPE_Q4_1",
    [OCL_TYPE_Q5_0] = "-DTYPE_Q5_0",
    [OCL_TYPE_Q5_1] = "-DTYPE_Q5_1",
    [OCL_TYPE_Q4_K] = "-DTYPE_Q4_K",
    [OCL_TYPE_Q5_K] = "-DTYPE_Q5_K",
    [OCL_TYPE_Q6_K] = "-DTYPE_Q6_K",
  };

  return options[type];
}

OclTensor
ocl_matmul_chunk_y (const OclMatmulArgs *args, const OclWeightChunk *chunk)
{
  return ocl_tensor_cols (args->y, chunk->first_row, chunk->rows);
}

static void
matmul_portable (OclQueue *q, gconstpointer data)
{
  const OclMatmulArgs *args = data;
  const cl_int M = args->x.rows, K = args->w->cols, tile = M == 1 ? 1 : 8;
  gchar options[48];

  g_snprintf (options, sizeof options, "%s -DTM=%d", ocl_matmul_type_option (args->w->type), tile);
  for (guint i = 0; i < args->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &args->w->chunks[i];
    OclKernel *kernel = ocl_queue_get_kernel (q, "matmul", "matmul_portable", options);
    const gsize local[2] = { OCL_PANEL, 4 }, global[2] = { chunk->n_panels * local[0], (M + tile - 1) / tile * local[1] };
    const OclTensor y = ocl_matmul_chunk_y (args, chunk);
    const cl_int N = chunk->rows;

    ocl_queue_run (q, kernel, 2, global, local, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (args->x), OCL_ARG_PANELS (args->w, chunk),
        OCL_ARG (M), OCL_ARG (N), OCL_ARG (K), OCL_ARGS_END);
  }
}

static const OclVariant variants[] = {
  { "int8-vnni", OCL_DEVICE_AVX512VNNI, ocl_matmul_int8_match, ocl_matmul_int_vnni },
  { "int8-avxvnni", OCL_DEVICE_AVXVNNI, ocl_matmul_int8_match, ocl_matmul_int_avxvnni },
  { "int8-bw", OCL_DEVICE_AVX512BW, ocl_matmul_int8_match, ocl_matmul_int_bw },
  { "int8-avx2", OCL_DEVICE_AVX2, ocl_matmul_int8_match_few, ocl_matmul_int_avx2 },
  { "int16-vnni", OCL_DEVICE_AVX512VNNI, ocl_matmul_int16_match, ocl_matmul_int16_vnni },
  { "int24-vnni", OCL_DEVICE_AVX512VNNI, ocl_matmul_int24_match, ocl_matmul_int_vnni },
  { "int24-avxvnni", OCL_DEVICE_AVXVNNI, ocl_matmul_int24_match, ocl_matmul_int_avxvnni },
  { "int24-bw", OCL_DEVICE_AVX512BW, ocl_matmul_int24_match, ocl_matmul_int_bw },
  { "int24-avx2", OCL_DEVICE_AVX2, ocl_matmul_int24_match, ocl_matmul_int_avx2 },
  { "avx512", OCL_DEVICE_AVX512BW, NULL, ocl_matmul_float_avx512 },
  { "avx2", OCL_DEVICE_AVX2, NULL, ocl_matmul_float_avx2 },
  { "cpu", OCL_DEVICE_CPU, NULL, ocl_matmul_float_cpu },
#ifdef HAVE_CLBLAST
  { "clblast", 0, ocl_matmul_clblast_match, ocl_matmul_clblast },
#endif
  { "portable", 0, NULL, matmul_portable },
  { "ref", 0, NULL, ocl_matmul_ref },
};
const OclOperation ocl_op_matmul = { "matmul", variants, G_N_ELEMENTS (variants) };

void
ocl_matmul (OclQueue *q, OclTensor y, OclTensor x, const OclWeight *w, OclMatmulFlags flags)
{
  const OclMatmulArgs args = { y, x, w, flags };

  if (ocl_queue_failed (q) || x.rows == 0)
    return;
  if (!x.mem || !y.mem || x.cols != w->cols || y.cols != w->rows || x.rows != y.rows) {
    ocl_queue_take_error (q, g_error_new (OCL_ERROR, OCL_ERROR_FAILED,
        "A product of [%d][%d] and [%d][%d] cannot be stored in [%d][%d]", x.rows, x.cols, w->rows, w->cols, y.rows,
        y.cols));
    return;
  }
  ocl_variant_run (q, &ocl_op_matmul, &args);
}
