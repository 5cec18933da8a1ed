/* Weights as the device has them: groups ("panels") of 16 rows, interleaved.
 *
 * Rows are padded to a multiple of 16 with zeros. A panel of K columns is
 *   F32, F16   [K][16]
 *   BF16       [ceil (K / 2)][16][2], an odd K padded with zero
 *   quantized  K / 32 blocks of [BITS][16] 32-bit words, BITS the bits of q:
 *     8 bits     word j of a row has q of k = 4 j + i in byte i
 *     4 bits     word j has q of k = 8 j + i in the low nibble of byte i, of k = 8 j + 4 + i in the high one
 *     5 bits     as 4 bits; then one word with bit 4 of k = 4 j + i as its bit 8 i + j
 *     6 bits     as 4 bits; then two words, word h with bits 4 and 5 of k = 16 h + 4 j + i from its bit 8 i + 2 j on
 * What a quantized type scales with is a stream of its own, in arrays of 16, one value a row:
 *   32 values a block    [K / 32] of half d, and half m where the type has it
 *   Q4_K, Q5_K           [K / 256] of half d, half m, and 8 times uint8 scale, uint8 min
 *   Q6_K                 [K / 256] of half d, and 16 times int8 scale
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
