/* Element types of weights and their conversion to float32, bit-exact with gguf-py. */
#include "type.h"

#include "half.h"

#include <string.h>

static const OclTypeInfo infos[OCL_N_TYPES] = {
  [OCL_TYPE_F32] = { "F32", 1, 4 },
  [OCL_TYPE_F16] = { "F16", 1, 2 },
  [OCL_TYPE_BF16] = { "BF16", 1, 2 },
  [OCL_TYPE_Q8_0] = { "Q8_0", 32, 34, 8, 128, 32, 0, 1, { 0 } },
  [OCL_TYPE_Q4_0] = { "Q4_0", 32, 18, 4, 8, 32, 0, 1, { 0 } },
  [OCL_TYPE_Q4_1] = { "Q4_1", 32, 20, 4, 0, 32, 1, 2, { 0, 2 } },
  [OCL_TYPE_Q5_0] = { "Q5_0", 32, 22, 5, 16, 32, 0, 1, { 0 } },
  [OCL_TYPE_Q5_1] = { "Q5_1", 32, 24, 5, 0, 32, 1, 2, { 0, 2 } },
  [OCL_TYPE_Q4_K] = { "Q4_K", 256, 144, 4, 0, 32, -1, 2, { 0, 2 } },
  [OCL_TYPE_Q5_K] = { "Q5_K", 256, 176, 5, 0, 32, -1, 2, { 0, 2 } },
  [OCL_TYPE_Q6_K] = { "Q6_K", 256, 210, 6, 32, 16, 0, 1, { 208 } },
};

const OclTypeInfo *
ocl_type_info (OclType type)
{
  g_return_val_if_fail ((guint) type < OCL_N_TYPES, NULL);
  return &infos[type];
}

gsize
ocl_type_row_bytes (OclType type, gint64 n)
{
  const OclTypeInfo *info = ocl_type_info (type);

  if (n <= 0 || n % info->block != 0 || (guint64) n / info->block > G_MAXSIZE / info->bytes)
    return 0;
  return (gsize) n / info->block * info->bytes;
}

/* ---- pieces of 32 values ------------------------------------------------------------- */

#define NIBBLES 0x0f0f0f0fu

/* Sources are read with memcpy: a tensor in a file may begin at any byte. */
static inline guint32
load_u32 (const guint8 *p)
{
  guint32 v;

  memcpy (&v, p, sizeof v);
  return GUINT32_FROM_LE (v);
}

/* 16 bytes: values 0..15 are the low nibbles, 16..31 the high ones. */
static void
read_halves (const guint8 *p, guint32 *quads)
{
  for (guint j = 0; j < 4; j++) {
    guint32 v = load_u32 (p + 4 * j);

    quads[j] = v & NIBBLES;
    quads[j + 4] = v >> 4 & NIBBLES;
  }
}

/* Bit k of @bits becomes bit 4 of value k. */
static void
add_fifth_bits (guint32 bits, guint32 *quads)
{
  for (guint j = 0; j < 8; j++)
    quads[j] |= ((bits >> 4 * j & 15) * 0x00204081u & 0x01010101u) << 4;
}

/* The multipliers of piece i: 12 bytes hold 8 scales and 8 minima of 6 bits. */
static void
read_six_bits (const guint8 *p, guint i, OclPiece *out)
{
  if (i < 4) {
    out->scale[0] = p[i] & 63;
    out->min = p[i + 4] & 63;
  } else {
    out->scale[0] = (p[i + 4] & 15) | p[i - 4] >> 6 << 4;
    out->min = p[i + 4] >> 4 | p[i] >> 6 << 4;
  }
  out->scale[1] = out->scale[0];
}

/* 32 bytes have pieces 2 n in their low nibbles and 2 n + 1 in their high ones. */
static void
read_q4_k (const guint8 *nibbles, guint i, guint32 *quads)
{
  for (guint j = 0; j < 8; j++)
    quads[j] = load_u32 (nibbles + i / 2 * 32 + 4 * j) >> i % 2 * 4 & NIBBLES;
}

/* A byte of the nibbles is shared by pieces n and n + 2, one of the pairs by four; n + 4 begins anew. */
static void
read_q6_k (const guint8 *block, guint i, OclPiece *out)
{
  const guint8 *nibbles = block + i / 4 * 64 + i % 2 * 32, *pairs = block + 128 + i / 4 * 32;

  for (guint j = 0; j < 8; j++)
    out->quads[j] = (load_u32 (nibbles + 4 * j) >> i % 4 / 2 * 4 & NIBBLES)
        | (load_u32 (pairs + 4 * j) >> i % 4 * 2 & 0x03030303u) << 4;
  memcpy (out->scale, block + 192 + 2 * i, 2);
}

void
ocl_type_read_piece (OclType type, const guint8 *block, guint i, OclPiece *out)
{
  const OclTypeInfo *info = &infos[type];
  const guint8 *after = block + 2 * info->n_halves;     /* of the types that begin with their halves */

  out->d = ocl_load_u16 (block + info->half_at[0]);
  out->m = info->n_halves > 1 ? ocl_load_u16 (block + info->half_at[1]) : 0;
  out->scale[0] = out->scale[1] = out->min = 1;
  switch (type) {
    case OCL_TYPE_Q8_0:
      for (guint j = 0; j < 8; j++)
        out->quads[j] = load_u32 (after + 4 * j) ^ 0x80808080u;
      break;
    case OCL_TYPE_Q4_0:
    case OCL_TYPE_Q4_1:
      read_halves (after, out->quads);
      break;
    case OCL_TYPE_Q5_0:
    case OCL_TYPE_Q5_1:
      read_halves (after + 4, out->quads);
      add_fifth_bits (load_u32 (after), out->quads);
      break;
    case OCL_TYPE_Q4_K:
      read_six_bits (after, i, out);
      read_q4_k (after + 12, i, out->quads);
      break;
    case OCL_TYPE_Q5_K:
      read_six_bits (after, i, out);
      read_q4_k (after + 44, i, out->quads);
      for (guint j = 0; j < 8; j++)
        out->quads[j] |= (load_u32 (after + 12 + 4 * j) >> i & 0x01010101u) << 4;
      break;
    case OCL_TYPE_Q6_K:
      read_q6_k (block, i, out);
      break;
    default:
      break;
  }
}

/* ---- to float32 ---------------------------------------------------------------------- */

/* In gguf-py's order of operations; the compiler must not contract them to fused ones. */
static void
dequantize_piece (const OclTypeInfo *info, const OclPiece *piece, gfloat *dst)
{
  const gfloat d = ocl_half_to_float (piece->d), offset = ocl_half_to_float (piece->m) * piece->min;

  for (gint h = 0; h < 2; h++) {
    const gfloat scale = d * piece->scale[h];

    for (gint i = 16 * h; i < 16 * h + 16; i++) {
      const gfloat x = scale * ((gint) (piece->quads[i / 4] >> i % 4 * 8 & 255) - info->zero);

      dst[i] = info->min_sign == 0 ? x : info->min_sign > 0 ? x + offset : x - offset;
    }
  }
}

void
ocl_type_dequantize (OclType type, gconstpointer src, gfloat *dst, gint64 n)
{
  const OclTypeInfo *info = ocl_type_info (type);
  const guint8 *p = src;
  OclPiece piece;

  switch (type) {
    case OCL_TYPE_F32:
      memcpy (dst, p, n * sizeof *dst);
      break;
    case OCL_TYPE_F16:
      for (gint64 i = 0; i < n; i++)
        dst[i] = ocl_half_to_float (ocl_load_u16 (p + 2 * i));
      break;
    case OCL_TYPE_BF16:
      for (gint64 i = 0; i < n; i++)
        dst[i] = ocl_bf16_to_float (ocl_load_u16 (p + 2 * i));
      break;
    default:
      for (gint64 i = 0; i < n; i += 32) {
        ocl_type_read_piece (type, p + i / info->block * info->bytes, i % info->block / 32, &piece);
        dequantize_piece (info, &piece, dst + i);
      }
      break;
  }
}
