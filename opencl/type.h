/* Element types of weights as files store them, and their conversion to float32. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  OCL_TYPE_F32,
  OCL_TYPE_F16,
  OCL_TYPE_BF16,
  OCL_TYPE_Q8_0,                /* 32 values: half d; int8 q[32]            x = d * q */
  OCL_TYPE_Q4_0,                /* 32 values: half d; 16 bytes of nibbles   x = d * (q - 8) */
  OCL_TYPE_Q4_1,                /* 32: halves d, m; nibbles                 x = d * q + m */
  OCL_TYPE_Q5_0,                /* 32: half d; 32 fifth bits; nibbles       x = d * (q - 16) */
  OCL_TYPE_Q5_1,                /* 32: halves d, m; fifth bits; nibbles     x = d * q + m */
  OCL_TYPE_Q4_K,                /* 256: halves d, m; 6 bits s, t each 32 values; nibbles       x = (d * s) * q - m * t */
  OCL_TYPE_Q5_K,                /* the same with 5 bits of q */
  OCL_TYPE_Q6_K,                /* 256: nibbles; pairs of bits; int8 s each 16 values; half d  x = (d * s) * (q - 32) */
  OCL_N_TYPES
} OclType;

typedef struct
{
  const gchar *name;
  guint block;                  /* values in a block; 1: not quantized, and the rest of the struct is 0 */
  guint bytes;                  /* bytes of a block */
  guint bits;                   /* of q */
  gint zero;                    /* what is taken off q */
  guint part;                   /* values with one scale: 16 or 32 */
  gint min_sign;                /* x has + m (1), - m * t (-1) or neither (0) */
  guint n_halves;
  guint half_at[2];             /* where in a block d and m are */
} OclTypeInfo;

const OclTypeInfo *ocl_type_info (OclType type);

/** Bytes of a row of @n values, or 0 if @n is not a multiple of the block. */
gsize ocl_type_row_bytes (OclType type, gint64 n);

/** Writes @n float32 values (a multiple of the block) from @src, bit-exact with gguf-py. */
void ocl_type_dequantize (OclType type, gconstpointer src, gfloat *dst, gint64 n);

/**
 * OclPiece: 32 values of a quantized type: x = (d * scale) * (q - zero) + min_sign * (m * min)
 */
typedef struct
{
  guint32 quads[8];             /* unsigned q of values 4 j .. 4 j + 3, a byte each, the first lowest */
  guint16 d, m;                 /* halves; m 0 where the type has none */
  gint8 scale[2];               /* for values 0 .. 15 and 16 .. 31; 1 where the type has none, as is min */
  guint8 min;
} OclPiece;

/** Piece @piece of the block at @block: 0, or up to 7 in types of 256 values. */
void ocl_type_read_piece (OclType type, const guint8 *block, guint piece, OclPiece *out);

G_END_DECLS
