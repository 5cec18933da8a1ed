#include "tensor-loader.h"

gfloat *
gemma_load_f32 (GemmaLoader *l, const gchar *name, gint rows, gint cols)
{
  return l->error != NULL ? NULL : gemma_weights_read_f32 (l->weights, name, rows, cols, &l->error);
}

OclTensor
gemma_load_to_device (GemmaLoader *l, gint rows, gint cols, const gfloat *data)
{
  if (l->error != NULL)
    return (OclTensor){ 0 };
  return ocl_tensor_new_from (l->device, rows, cols, data, &l->error);
}

OclTensor
gemma_load_row (GemmaLoader *l, gint cols, const gchar *name)
{
  g_autofree gfloat *data = gemma_load_f32 (l, name, 1, cols);

  return gemma_load_to_device (l, 1, cols, data);
}

#define ROUNDED OCL_TYPE_Q8_0

static gboolean
rounds (const GemmaLoader *l, gint cols)
{
  return (l->flags & OCL_MATMUL_INT8_ACTIVATIONS) != 0 && cols % ocl_type_info (ROUNDED)->block == 0;
}

/* @data [rows][cols], which it frees, as the matrix that the products are to have. */
static OclMatrix
convert (const GemmaLoader *l, gint rows, gint cols, gfloat *data)
{
  OclMatrix matrix = { OCL_TYPE_F32, rows, cols, data };
  gsize bytes = ocl_type_row_bytes (ROUNDED, cols);

  if (data == NULL || !rounds (l, cols))
    return matrix;
  matrix.type = ROUNDED;
  matrix.data = g_malloc (rows * bytes);
  ocl_type_quantize (ROUNDED, data, (gpointer) matrix.data, (gint64) rows * cols);
  g_free (data);
  return matrix;
}

OclWeight *
gemma_load_stack (GemmaLoader *l, gint rows, gint cols, const gchar *const *names, guint n)
{
  OclMatrix parts[3] = { { 0 } };
  OclWeight *weight = NULL;
  gboolean as_they_are = TRUE;

  g_assert (n <= G_N_ELEMENTS (parts));
  for (guint i = 0; i < n && l->error == NULL; i++)
    if (gemma_weights_find_matrix (l->weights, names[i], rows, cols, &parts[i], &l->error))
      as_they_are &= parts[i].type == parts[0].type && (ocl_type_info (parts[i].type)->block > 1 || !rounds (l, cols));
  for (guint i = 0; !as_they_are && i < n; i++)
    parts[i] = convert (l, rows, cols, gemma_load_f32 (l, names[i], rows, cols));
  if (l->error == NULL)
    weight = ocl_weight_new (l->device, parts, n, &l->error);
  for (guint i = 0; !as_they_are && i < n; i++)
    g_free ((gpointer) parts[i].data);
  return weight;
}

OclWeight *
gemma_load_matrix (GemmaLoader *l, gint rows, gint cols, const gchar *name)
{
  return gemma_load_stack (l, rows, cols, &name, 1);
}

/* A convolution's kernel in the file's order; dimensions of 1 may be absent. */
static gfloat *
read_kernel (GemmaLoader *l, const gchar *name, gint height, gint width, gint in, gint out)
{
  if (l->error != NULL || gemma_weights_find (l->weights, name, &l->error, 4, width, height, in, out) == NULL)
    return NULL;
  return gemma_load_f32 (l, name, out, height * width * in);
}

gfloat *
gemma_load_kernel (GemmaLoader *l, gint height, gint width, gint in, gint out, const gchar *name)
{
  g_autofree gfloat *file = read_kernel (l, name, height, width, in, out);
  gint taps = height * width;
  gfloat *turned;

  if (file == NULL)
    return NULL;
  turned = g_new (gfloat, (gsize) out * in * taps);
  for (gint o = 0; o < out; o++)
    for (gint c = 0; c < in; c++)
      for (gint tap = 0; tap < taps; tap++)
        turned[((gsize) o * taps + tap) * in + c] = file[((gsize) o * in + c) * taps + tap];
  return turned;
}

OclWeight *
gemma_load_conv (GemmaLoader *l, gint height, gint width, gint in, gint out, const gchar *name)
{
  OclMatrix matrix = convert (l, out, height * width * in, gemma_load_kernel (l, height, width, in, out, name));
  OclWeight *weight = matrix.data != NULL ? ocl_weight_new (l->device, &matrix, 1, &l->error) : NULL;

  g_free ((gpointer) matrix.data);
  return weight;
}

OclTensor
gemma_load_depthwise (GemmaLoader *l, gint height, gint width, gint channels, const gchar *name)
{
  g_autofree gfloat *file = read_kernel (l, name, height, width, 1, channels), *turned = NULL;
  gint taps = height * width;

  if (file == NULL)
    return (OclTensor){ 0 };
  turned = g_new (gfloat, (gsize) taps * channels);
  for (gint c = 0; c < channels; c++)
    for (gint i = 0; i < taps; i++)
      turned[(gsize) i * channels + c] = file[(gsize) c * taps + i];
  return gemma_load_to_device (l, taps, channels, turned);
}

void
gemma_weight_free (OclWeight *weight)
{
  if (weight != NULL)
    ocl_weight_free (weight);
}
