/* The layout of packed weights; see pack.h. */
#include "pack.h"

#include "half.h"

#include <string.h>

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
    case OCL_TYPE_Q8_0:
      return (gsize) cols * OCL_PANEL;
    case OCL_TYPE_Q4_0:
      return (gsize) cols * OCL_PANEL / 2;
    default:
      return 0;
  }
}

gsize
ocl_panel_scale_bytes (OclType type, gint cols)
{
  return ocl_type_info (type)->block == 32 ? (gsize) cols / 32 * OCL_PANEL * 2 : 0;
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

static void
pack_q8_0 (const guint8 *block, gint r, guint32 *out)
{
  for (gint j = 0; j < 8; j++)
    out[j * OCL_PANEL + r] = (block ? load_u32 (block + 2 + 4 * j) : 0) ^ 0x80808080u;
}

/* A block's 16 bytes have values 0..15 in their low nibbles, 16..31 in their high ones. */
static void
pack_q4_0 (const guint8 *block, gint r, guint32 *out)
{
  const guint32 low = 0x0f0f0f0fu;

  for (gint h = 0; h < 2; h++) {
    guint32 a = block ? load_u32 (block + 2 + 8 * h) : 0x88888888u;
    guint32 b = block ? load_u32 (block + 6 + 8 * h) : 0x88888888u;

    out[h * OCL_PANEL + r] = (a & low) | (b & low) << 4;
    out[(h + 2) * OCL_PANEL + r] = (a >> 4 & low) | (b & ~low);
  }
}

void
ocl_pack_panel (OclType type, const guint8 *const rows[OCL_PANEL], gint cols, guint8 *data, guint8 *scales)
{
  const gint step = type == OCL_TYPE_F32 ? 16 : 32;
  const gsize block_bytes = ocl_type_info (type)->bytes;
  guint32 *out = (guint32 *) data;
  guint16 *out_scales = (guint16 *) scales;

  for (gint k = 0; k < cols; k += step) {
    gint to = MIN (k + step, cols), b = k / 32;

    for (gint r = 0; r < OCL_PANEL; r++) {
      const guint8 *block = rows[r] ? rows[r] + b * block_bytes : NULL;

      if (type == OCL_TYPE_F32) {
        pack_f32 (rows[r], r, k, to, out);
      } else if (type == OCL_TYPE_F16) {
        pack_f16 (rows[r], r, k, to, (guint16 *) data);
      } else if (type == OCL_TYPE_BF16) {
        pack_bf16 (rows[r], r, k, to, cols, out);
      } else {
        out_scales[b * OCL_PANEL + r] = block ? ocl_load_u16 (block) : 0;
        if (type == OCL_TYPE_Q8_0)
          pack_q8_0 (block, r, out + b * 8 * OCL_PANEL);
        else
          pack_q4_0 (block, r, out + b * 4 * OCL_PANEL);
      }
    }
  }
}

gfloat
ocl_panel_value (OclType type, const guint8 *data, const guint8 *scales, gint row, gint k)
{
  const guint16 *halves = (const guint16 *) data;
  gsize pair = ((gsize) k / 2 * OCL_PANEL + row) * 2 + k % 2;
  gfloat scale = scales ? ocl_half_to_float (((const guint16 *) scales)[k / 32 * OCL_PANEL + row]) : 1.f;
  guint byte;

  switch (type) {
    case OCL_TYPE_F32:
      return ((const gfloat *) data)[(gsize) k * OCL_PANEL + row];
    case OCL_TYPE_F16:
      return ocl_half_to_float (halves[(gsize) k * OCL_PANEL + row]);
    case OCL_TYPE_BF16:
      return ocl_bf16_to_float (halves[pair]);
    case OCL_TYPE_Q8_0:
      return scale * ((gint) data[((gsize) k / 4 * OCL_PANEL + row) * 4 + k % 4] - 128);
    case OCL_TYPE_Q4_0:
      byte = data[((gsize) k / 8 * OCL_PANEL + row) * 4 + k % 4];
      return scale * ((gint) (k % 8 < 4 ? byte & 15 : byte >> 4) - 8);
    default:
      return 0;
  }
}
