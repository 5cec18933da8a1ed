#include "gguf-quantize.h"

#include <math.h>
#include <string.h>

#include "tests/seeded-weights.h"

/* A block as OclPiece has it, but whole. */
typedef struct
{
  guint8 q[256];
  guint16 d, m;
  gint scale[16], min[8];
} Levels;

static gfloat
to_half_and_back (gfloat x, guint16 *half)
{
  gfloat back;
  *half = seeded_to_half (x, OCL_TYPE_F16);
  ocl_type_dequantize (OCL_TYPE_F16, half, &back, 1);
  return back;
}

static gint
multiple_of (gfloat x, gfloat unit, gint most)
{
  return unit > 0 ? CLAMP ((gint) rintf (x / unit), 0, most) : 0;
}

static void
find_levels (const OclTypeInfo *info, const gfloat *x, Levels *l)
{
  const guint n_parts = info->block / info->part;
  const gint top = (1 << info->bits) - 1, most = info->block < 256 ? 1 : info->part == 16 ? 127 : 63;
  gfloat scale[16] = { 0 }, low[16] = { 0 }, widest = 0, lowest = 0;
  for (guint p = 0; p < n_parts; p++) {
    gfloat lo = x[p * info->part], hi = lo;
    for (guint i = p * info->part; i < (p + 1) * info->part; i++) {
      lo = MIN (lo, x[i]);
      hi = MAX (hi, x[i]);
    }
    low[p] = info->min_sign < 0 ? MAX (-lo, 0.f) : lo;
    scale[p] = info->min_sign == 0 ? MAX (hi, -lo) / (top - info->zero) : (hi - info->min_sign * low[p]) / top;
    widest = MAX (widest, scale[p]);
    lowest = most == 1 ? low[p] : MAX (lowest, low[p]);
  }
  gfloat d = to_half_and_back (widest / most, &l->d), m = to_half_and_back (lowest / most, &l->m);
  for (guint p = 0; p < n_parts; p++) {
    l->scale[p] = most == 1 ? 1 : multiple_of (scale[p], d, most);
    gint min = info->min_sign == 0 ? 0 : most == 1 ? 1 : multiple_of (low[p], m, most);
    if (info->min_sign)
      l->min[p] = min;
    for (guint i = p * info->part; i < (p + 1) * info->part; i++) {
      gfloat step = d * l->scale[p], v = x[i] - info->min_sign * m * min;
      l->q[i] = CLAMP ((step > 0 ? (gint) rintf (v / step) : 0) + info->zero, 0, top);
    }
  }
}

/* @half_size values are low nibbles, the next high ones of the same bytes, and so on. */
static void
put_nibbles (guint8 *out, const guint8 *q, guint n, guint half_size)
{
  for (guint i = 0; i < n / 2; i++) {
    guint at = i / half_size * half_size * 2 + i % half_size;
    out[i] = (q[at] & 15) | (q[at + half_size] & 15) << 4;
  }
}

static void
put_small (const OclTypeInfo *info, const Levels *l, guint8 *out)
{
  guint32 fifth = 0;
  memcpy (out, &l->d, 2);
  if (info->n_halves > 1)
    memcpy (out + 2, &l->m, 2);
  out += 2 * info->n_halves;
  if (info->bits == 8) {
    for (guint i = 0; i < 32; i++)
      out[i] = l->q[i] ^ 0x80;
    return;
  }
  for (guint i = 0; i < 32; i++)
    fifth |= (guint32) (l->q[i] >> 4) << i;
  if (info->bits == 5)
    memcpy (out, &fifth, 4);
  put_nibbles (out + (info->bits == 5 ? 4 : 0), l->q, 32, 16);
}

static void
put_k (const OclTypeInfo *info, const Levels *l, guint8 *out)
{
  memcpy (out, &l->d, 2);
  memcpy (out + 2, &l->m, 2);
  out += 4;
  for (guint i = 0; i < 4; i++) {
    out[i] = l->scale[i] | l->scale[i + 4] >> 4 << 6;
    out[i + 4] = l->min[i] | l->min[i + 4] >> 4 << 6;
    out[i + 8] = (l->scale[i + 4] & 15) | (l->min[i + 4] & 15) << 4;
  }
  out += 12;
  if (info->bits == 5) {
    memset (out, 0, 32);
    for (guint i = 0; i < 256; i++)
      out[i % 32] |= l->q[i] >> 4 << i / 32;
    out += 32;
  }
  put_nibbles (out, l->q, 256, 32);
}

static void
put_q6_k (const Levels *l, guint8 *out)
{
  put_nibbles (out, l->q, 128, 64);
  put_nibbles (out + 64, l->q + 128, 128, 64);
  memset (out + 128, 0, 64);
  for (guint i = 0; i < 256; i++)
    out[128 + i / 128 * 32 + i % 32] |= l->q[i] >> 4 << i % 128 / 32 * 2;
  for (guint i = 0; i < 16; i++)
    out[192 + i] = l->scale[i];
  memcpy (out + 208, &l->d, 2);
}

void
gguf_quantize (GByteArray *out, const gfloat *x, gsize n, OclType type)
{
  const OclTypeInfo *info = ocl_type_info (type);
  guint8 block[256];
  for (gsize i = 0; i < n; i += info->block) {
    Levels levels = { { 0 } };
    find_levels (info, x + i, &levels);
    if (type == OCL_TYPE_Q6_K)
      put_q6_k (&levels, block);
    else
      (info->block == 256 ? put_k : put_small) (info, &levels, block);
    g_byte_array_append (out, block, info->bytes);
  }
}
