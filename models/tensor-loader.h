/* Tensors of a file on the device, in the orders that the operations of sound and pictures want: for the encoders. */
#pragma once

#include "opencl/ops.h"
#include "weights.h"

G_BEGIN_DECLS

/** Once an error is set, every gemma_load_*() does nothing and returns what can be freed. */
typedef struct
{
  GemmaWeights *weights;
  OclDevice *device;
  gboolean rounds; /* matrices that are wider to Q8_0 */
  GError *error;
} GemmaLoader;

/** Whether matrices are rounded for products of these @flags, or because the user wants it. */
gboolean gemma_load_rounds (GemmaWeights *weights, OclMatmulFlags flags);

/** [rows][cols] in float32 on the host. (transfer full) (nullable) */
gfloat *gemma_load_f32 (GemmaLoader *l, const gchar *name, gint rows, gint cols);
OclTensor gemma_load_to_device (GemmaLoader *l, gint rows, gint cols, const gfloat *data);
/** [1][cols] */
OclTensor gemma_load_row (GemmaLoader *l, gint cols, const gchar *name);

/** Up to 3 matrices of [rows][cols] as one weight [n * rows][cols]. */
OclWeight *gemma_load_stack (GemmaLoader *l, gint rows, gint cols, const gchar *const *names, guint n);
OclWeight *gemma_load_matrix (GemmaLoader *l, gint rows, gint cols, const gchar *name);

/** A convolution's kernel [out][in][height][width] as [out][(y * width + x) * in + channel]. (transfer full) (nullable) */
gfloat *gemma_load_kernel (GemmaLoader *l, gint height, gint width, gint in, gint out, const gchar *name);
/** The same as a weight of float32, or rounded. */
OclWeight *gemma_load_conv (GemmaLoader *l, gint height, gint width, gint in, gint out, const gchar *name);
/** A depthwise convolution's kernel [channels][1][height][width] as [height * width][channels]. */
OclTensor gemma_load_depthwise (GemmaLoader *l, gint height, gint width, gint channels, const gchar *name);

/** Accepts NULL. */
void gemma_weight_free (OclWeight *weight);

G_END_DECLS
