/* 16-bit floats in plain C. */
#pragma once

#include <glib.h>
#include <math.h>
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

/* To the nearest, ties to even. */
static inline guint16
ocl_float_to_bf16 (gfloat f)
{
  guint32 bits;

  memcpy (&bits, &f, sizeof bits);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline guint16
ocl_float_to_half (gfloat f)
{
  guint32 bits, sign;

  memcpy (&bits, &f, sizeof bits);
  sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits >= 143u << 23)       /* from 2^16 on */
    return sign | (bits > 255u << 23 ? 0x7e00 : 0x7c00);
  if (bits < 113u << 23)        /* subnormal: a multiple of 2^-24 */
    return sign | (guint32) rintf (ocl_bits_to_float (bits) * 0x1p24f);
  return sign | ((bits + 0xfff + (bits >> 13 & 1) - (112u << 23)) >> 13);
}
