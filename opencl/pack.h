/* Weights as the device has them: groups ("panels") of 16 rows, interleaved.
 *
 * Rows are padded to a multiple of 16 with zeros. A panel of K columns is
 *   F32, F16   [K][16]
 *   BF16       [ceil (K / 2)][16][2], an odd K padded with zero
 *   Q8_0       [K / 4][16][4] bytes q + 128
 *   Q4_0       [K / 32][4][16][4] bytes: of byte [b][j][r][i] the low nibble is q of
 *              k = 32 b + 8 j + i, the high one of k = 32 b + 8 j + 4 + i
 * and the scales of the last two are a stream of their own, half [K / 32][16] a panel.
 * Bytes are unsigned so that the signed operand of a dot product is the activation's.
 */
#pragma once

#include "tensor.h"

G_BEGIN_DECLS

#define OCL_PANEL 16

/** Panels in one allocation: a weight larger than the device's limit has several. */
typedef struct
{
  gint first_row, rows;         /* of the weight; rows without the padding */
  gint n_panels;
  cl_mem data, scales;          /* scales: NULL for types without */
} OclWeightChunk;

struct _OclWeight
{
  OclDevice *device;
  OclType type;
  gint rows, cols;
  gsize panel_bytes, scale_bytes;       /* of one panel */
  guint n_chunks;
  OclWeightChunk *chunks;
};

/**
 * Packs 16 rows of @cols values; @rows[i] is the file's bytes of a row, NULL for padding.
 * @data and @scales have the panel's bytes.
 */
void ocl_pack_panel (OclType type, const guint8 *const rows[OCL_PANEL], gint cols, guint8 *data, guint8 *scales);

/** The value at (row, k) of a panel: what references read. */
gfloat ocl_panel_value (OclType type, const guint8 *data, const guint8 *scales, gint row, gint k);

gsize ocl_panel_bytes (OclType type, gint cols);
gsize ocl_panel_scale_bytes (OclType type, gint cols);

G_END_DECLS
