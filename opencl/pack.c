/* The layout of packed weights; see pack.h. */
#include "pack.h"

#include "half.h"

#include <string.h>

#define HALVES (OCL_PANEL * 2)  /* bytes of a half for each row */

gsize
ocl_panel_bytes (OclType type, gint cols)
{
  switch (type) {
    case OCL_TYPE_F32:
      return (gsize) cols * OCL_PANEL * 4;
    case OCL_TYPE_F16:
      return (gsize) cols * OCL_PANEL * 2;
    case OCL_TYPE_BF16:
      return ((gsize) cols + 1) / 2 * OCL_PANEL * 4;
    default:
      return (gsize) cols / 8 * OCL_PANEL * ocl_type_info (type)->bits;
  }
}

gsize
ocl_panel_block_bytes (OclType type)
{
  const OclTypeInfo *info = ocl_type_info (type);
  gsize multipliers = info->block == 256 ? info->block / info->part * (info->min_sign ? 2 : 1) : 0;

  return info->n_halves * HALVES + multipliers * OCL_PANEL;
}

gsize
ocl_panel_scale_bytes (OclType type, gint cols)
{
  const OclTypeInfo *info = ocl_type_info (type);

  return info->block > 1 ? (gsize) cols / info->block * ocl_panel_block_bytes (type) : 0;
}

/* Where a row's words of the block of 32 with column k begin in a panel. */
static gsize
word_at (const OclWeight *weight, gint row, gint k)
{
  const gsize word = weight->layout == OCL_LAYOUT_ROWS ? weight->panel_bytes / OCL_PANEL : sizeof (guint32);

  return k / 32 * ocl_type_info (weight->type)->bits * weight->line_bytes + row * word;
}

static inline guint32
load_u32 (const guint8 *p)
{
  guint32 v;

  memcpy (&v, p, sizeof v);
  return v;
}

/* Rows are taken in steps of 64 bytes, so that each cache line of the file is read once. */
static void
pack_f32 (const guint8 *row, gint r, gint from, gint to, guint32 *out)
{
  for (gint k = from; k < to; k++)
    out[k * OCL_PANEL + r] = row ? load_u32 (row + 4 * (gsize) k) : 0;
}

static void
pack_f16 (const guint8 *row, gint r, gint from, gint to, guint16 *out)
{
  for (gint k = from; k < to; k++)
    out[k * OCL_PANEL + r] = row ? ocl_load_u16 (row + 2 * (gsize) k) : 0;
}

static void
pack_bf16 (const guint8 *row, gint r, gint from, gint to, gint cols, guint32 *out)
{
  for (gint k = from; k < to; k += 2) {
    guint32 low = row ? ocl_load_u16 (row + 2 * (gsize) k) : 0;
    guint32 high = row && k + 1 < cols ? ocl_load_u16 (row + 2 * (gsize) (k + 1)) : 0;

    out[k / 2 * OCL_PANEL + r] = low | high << 16;
  }
}

/* The words of a row, @step apart. */
static void
pack_quads (const guint32 *quads, guint bits, guint32 *out, gsize step)
{
  const guint32 low = 0x0f0f0f0fu;
  guint32 planes[2] = { 0, 0 };

  if (bits == 8) {
    for (guint j = 0; j < 8; j++)
      out[j * step] = quads[j];
    return;
  }
  for (guint j = 0; j < 4; j++)
    out[j * step] = (quads[2 * j] & low) | (quads[2 * j + 1] & low) << 4;
  for (guint j = 0; j < 8; j++) {
    guint32 high = quads[j] >> 4 & low;

    planes[bits == 6 ? j / 4 : 0] |= high << (bits == 6 ? j % 4 * 2 : j);
  }
  for (guint p = 0; p < bits - 4; p++)
    out[(4 + p) * step] = planes[p];
}

static void
put_u16 (guint8 *out, guint16 v)
{
  memcpy (out, &v, sizeof v);
}

/* @out: the scales of the block that @piece is in. */
static void
pack_scales (const OclTypeInfo *info, const OclPiece *piece, guint number, gint r, guint8 *out)
{
  guint8 *multipliers = out + info->n_halves * HALVES + number * 2 * OCL_PANEL + r;

  put_u16 (out + 2 * r, piece->d);
  if (info->n_halves > 1)
    put_u16 (out + HALVES + 2 * r, piece->m);
  if (info->block == 256) {
    multipliers[0] = piece->scale[0];
    multipliers[OCL_PANEL] = info->min_sign ? piece->min : piece->scale[1];
  }
}

static void
pack_quantized (const OclWeight *weight, const guint8 *row, gint r, gint k, guint8 *data, guint8 *scales)
{
  const OclTypeInfo *info = ocl_type_info (weight->type);
  const guint number = k % info->block / 32;
  OclPiece piece = { { 0 } };   /* scales of 0: whatever q is, padding is 0 */

  if (row)
    ocl_type_read_piece (weight->type, row + k / info->block * info->bytes, number, &piece);
  pack_quads (piece.quads, info->bits, (guint32 *) (data + word_at (weight, r, k)), weight->line_bytes / sizeof (guint32));
  pack_scales (info, &piece, number, r, scales + k / info->block * weight->block_bytes);
}

void
ocl_pack_panel (const OclWeight *weight, const guint8 *const rows[OCL_PANEL], guint8 *data, guint8 *scales)
{
  const OclType type = weight->type;
  const gint step = type == OCL_TYPE_F32 ? 16 : 32, cols = weight->cols;

  for (gint k = 0; k < cols; k += step) {
    gint to = MIN (k + step, cols);

    for (gint r = 0; r < OCL_PANEL; r++) {
      if (type == OCL_TYPE_F32)
        pack_f32 (rows[r], r, k, to, (guint32 *) data);
      else if (type == OCL_TYPE_F16)
        pack_f16 (rows[r], r, k, to, (guint16 *) data);
      else if (type == OCL_TYPE_BF16)
        pack_bf16 (rows[r], r, k, to, cols, (guint32 *) data);
      else
        pack_quantized (weight, rows[r], r, k, data, scales);
    }
  }
}

/* ---- references ------------------------------------------------------------------------ */

static gint
panel_q (guint bits, const guint32 *words, gsize step, gint k)
{
  const gint quad = k / 4, byte = k % 4 * 8;

  if (bits == 8)
    return words[quad * step] >> byte & 255;
  gint q = words[quad / 2 * step] >> (byte + quad % 2 * 4) & 15;
  if (bits == 5)
    q |= (words[4 * step] >> (byte + quad) & 1) << 4;
  else if (bits == 6)
    q |= (words[(4 + quad / 4) * step] >> (byte + quad % 4 * 2) & 3) << 4;
  return q;
}

static gfloat
quantized_value (const OclWeight *weight, const guint8 *data, const guint8 *scales, gint row, gint k)
{
  const OclTypeInfo *info = ocl_type_info (weight->type);
  const guint8 *block = scales + k / info->block * weight->block_bytes;
  const guint8 *multipliers = block + info->n_halves * HALVES + k % info->block / 32 * 2 * OCL_PANEL + row;
  const guint32 *words = (const guint32 *) (data + word_at (weight, row, k));
  gint q = panel_q (info->bits, words, weight->line_bytes / sizeof (guint32), k % 32) - info->zero;
  gfloat d = ocl_half_to_float (ocl_load_u16 (block + 2 * row)), m = 0;

  if (info->n_halves > 1)
    m = ocl_half_to_float (ocl_load_u16 (block + HALVES + 2 * row));
  if (info->block == 256) {
    d *= (gint8) multipliers[info->part == 16 ? k % 32 / 16 * OCL_PANEL : 0];
    m *= info->part == 16 ? 0 : multipliers[OCL_PANEL];
  }
  return d * q + info->min_sign * m;
}

gfloat
ocl_panel_value (const OclWeight *weight, const guint8 *data, const guint8 *scales, gint row, gint k)
{
  const guint16 *halves = (const guint16 *) data;
  gsize pair = ((gsize) k / 2 * OCL_PANEL + row) * 2 + k % 2;

  switch (weight->type) {
    case OCL_TYPE_F32:
      return ((const gfloat *) data)[(gsize) k * OCL_PANEL + row];
    case OCL_TYPE_F16:
      return ocl_half_to_float (halves[(gsize) k * OCL_PANEL + row]);
    case OCL_TYPE_BF16:
      return ocl_bf16_to_float (halves[pair]);
    default:
      return quantized_value (weight, data, scales, row, k);
  }
}
