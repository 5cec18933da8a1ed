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

gboolean
gemma_load_rounds (GemmaWeights *weights, OclMatmulFlags flags)
{
  return (flags & OCL_MATMUL_INT8_ACTIVATIONS) != 0 || gemma_weights_rounds_encoders (weights);
}

static gboolean
rounds (const GemmaLoader *l, gint cols)
{
  return l->rounds && cols % ocl_type_info (ROUNDED)->block == 0;
}

/* Of the weight that @parts become. */
static OclType
choose_type (const GemmaLoader *l, const OclMatrix *parts, guint n)
{
  gboolean same = TRUE;

  for (guint i = 1; i < n; i++)
    same = same && parts[i].type == parts[0].type;
  if (same && (ocl_type_info (parts[0].type)->block > 1 || !rounds (l, parts[0].cols)))
    return parts[0].type;
  return rounds (l, parts[0].cols) ? ROUNDED : OCL_TYPE_F32;
}

static OclWeight *
make_weight (GemmaLoader *l, const OclMatrix *parts, guint n)
{
  return l->error != NULL ? NULL : ocl_weight_new_of (l->device, choose_type (l, parts, n), parts, n, &l->error);
}

OclWeight *
gemma_load_stack (GemmaLoader *l, gint rows, gint cols, const gchar *const *names, guint n)
{
  OclMatrix parts[3] = { { 0 } };

  g_assert (n <= G_N_ELEMENTS (parts));
  for (guint i = 0; i < n && l->error == NULL; i++)
    gemma_weights_find_matrix (l->weights, names[i], rows, cols, &parts[i], &l->error);
  for (guint i = 0; i < n && l->error == NULL; i++)
    if (parts[i].type != choose_type (l, parts, n))
      gemma_weights_check_values (l->weights, names[i], &l->error);
  return make_weight (l, parts, n);
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
  g_autofree gfloat *kernel = gemma_load_kernel (l, height, width, in, out, name);
  const OclMatrix matrix = { OCL_TYPE_F32, out, height * width * in, kernel };

  return make_weight (l, &matrix, 1);
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
