/* References of keys and values in bytes. */
#include "functions.h"

#include <math.h>

static void
pack_head (gfloat *y, const gfloat *x, gint head_dim)
{
  gint8 *bytes = (gint8 *) (y + 1);
  gfloat most = 0;

  for (gint i = 0; i < head_dim; i++)
    most = fmaxf (most, fabsf (x[i]));
  for (gint i = 0; i < head_dim; i++)
    bytes[i] = most > 0 ? (gint8) CLAMP (rintf (x[i] * (127 / most)), -128, 127) : 0;
  *y = most / 127;
}

static void
unpack_head (gfloat *y, const gfloat *x, gint head_dim)
{
  const gint8 *bytes = (const gint8 *) (x + 1);

  for (gint i = 0; i < head_dim; i++)
    y[i] = *x * bytes[i];
}

void
ref_kv_pack (RefTensor y, RefTensor x, gint head_dim, gint first, gint n)
{
  for (gint at = first; at < first + n; at++)
    for (gint head = 0; head < x.cols / head_dim; head++)
      pack_head (ref_row (y, at % y.rows) + head * (1 + head_dim / 4), ref_row (x, at % x.rows) + head * head_dim, head_dim);
}

void
ref_kv_unpack (RefTensor y, RefTensor x, gint head_dim, gint first, gint n)
{
  for (gint at = first; at < first + n; at++)
    for (gint head = 0; head < y.cols / head_dim; head++)
      unpack_head (ref_row (y, at % y.rows) + head * head_dim, ref_row (x, at % x.rows) + head * (1 + head_dim / 4), head_dim);
}
