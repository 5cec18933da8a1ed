/* 16-bit floats in plain C. */
#pragma once

#include <glib.h>
#include <string.h>

static inline guint16
ocl_load_u16 (const guint8 *p)
{
  guint16 v;

  memcpy (&v, p, sizeof v);
  return GUINT16_FROM_LE (v);
}

static inline gfloat
ocl_bits_to_float (guint32 bits)
{
  gfloat f;

  memcpy (&f, &bits, sizeof f);
  return f;
}

static inline gfloat
ocl_bf16_to_float (guint16 h)
{
  return ocl_bits_to_float ((guint32) h << 16);
}

static inline gfloat
ocl_half_to_float (guint16 h)
{
  guint32 sign = (guint32) (h & 0x8000) << 16, rest = h & 0x7fff;

  if (rest >= 0x7c00)           /* infinity or NaN */
    return ocl_bits_to_float (sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest < 0x400)             /* zero or subnormal: rest * 2^-24 is exact */
    return sign ? -(gfloat) rest * 0x1p-24f : (gfloat) rest * 0x1p-24f;
  return ocl_bits_to_float (sign | ((rest << 13) + (112u << 23)));
}
