/* From float32 to the types that weights can be made smaller by, as ggml's reference rounds. */
#include "type.h"

#include "half.h"

#include <math.h>

static void
put_u16 (guint8 *out, guint16 v)
{
  v = GUINT16_TO_LE (v);
  memcpy (out, &v, sizeof v);
}

/* The largest magnitude is 127 steps. */
static void
quantize_q8_0 (const gfloat *x, guint8 *out)
{
  gfloat most = 0, step, inverse;

  for (guint i = 0; i < 32; i++)
    most = MAX (most, fabsf (x[i]));
  step = most / 127;
  inverse = step > 0 ? 1 / step : 0;
  if (isinf (inverse))          /* too small for a step */
    inverse = 0;
  put_u16 (out, ocl_float_to_half (step));
  for (guint i = 0; i < 32; i++)
    out[2 + i] = (guint8) (gint8) roundf (x[i] * inverse);
}

/* The value of the largest magnitude is -8 steps, whatever its sign. */
static void
quantize_q4_0 (const gfloat *x, guint8 *out)
{
  gfloat most = 0, step, inverse;

  for (guint i = 0; i < 32; i++)
    if (fabsf (x[i]) > fabsf (most))
      most = x[i];
  step = most / -8;
  inverse = step != 0 ? 1 / step : 0;
  if (isinf (inverse))
    inverse = 0;
  put_u16 (out, ocl_float_to_half (step));
  for (guint i = 0; i < 16; i++) {
    const gint low = x[i] * inverse + 8.5f, high = x[i + 16] * inverse + 8.5f;

    out[2 + i] = CLAMP (low, 0, 15) | CLAMP (high, 0, 15) << 4;
  }
}

gboolean
ocl_type_quantize (OclType type, const gfloat *src, gpointer dst, gint64 n)
{
  guint8 *out = dst;

  switch (type) {
    case OCL_TYPE_F32:
      memcpy (dst, src, n * sizeof *src);
      return TRUE;
    case OCL_TYPE_BF16:
      for (gint64 i = 0; i < n; i++)
        put_u16 (out + 2 * i, ocl_float_to_bf16 (src[i]));
      return TRUE;
    case OCL_TYPE_Q8_0:
      for (gint64 b = 0; b < n / 32; b++)
        quantize_q8_0 (src + 32 * b, out + 34 * b);
      return TRUE;
    case OCL_TYPE_Q4_0:
      for (gint64 b = 0; b < n / 32; b++)
        quantize_q4_0 (src + 32 * b, out + 18 * b);
      return TRUE;
    default:
      return FALSE;
  }
}
