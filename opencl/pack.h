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
 *
 * 64 bytes, a word of each of the 16 rows, are a line. OclLayout says in which order the lines of a quantized weight lie:
 *   panels     those of a panel one after the other
 *   rows       a panel's words row by row, so that one row can be read alone
 *   columns    line i of all panels, then line i + 1, so that some columns can be read alone; so do the blocks of scales.
 *              The lines are an odd number, so that lines i do not all belong in the same places of a cache
 */
#pragma once

#include "tensor.h"

G_BEGIN_DECLS

#define OCL_PANEL 16
#define OCL_GEMV_COLS 16384     /* of a row of x that a work-group quantizes on its stack */
#define OCL_GATED_COLS 4096     /* of rows of weights that it gathers there */

/** Panels in one allocation: a weight larger than the device's limit has several, a view one for each of its ranges. */
typedef struct
{
  gint first_row, rows;         /* of the weight; rows without the padding */
  gint first_panel, n_panels;   /* of those in data */
  cl_mem data, scales;          /* scales: NULL for types without */
} OclWeightChunk;

struct _OclWeight
{
  OclDevice *device;
  OclType type;
  OclLayout layout;
  gint rows, cols;
  gint all_cols;                /* of a view, the whole weight's: scratch memory for all views is as large */
  gsize panel_bytes, scale_bytes;       /* from one panel to the next: of a view, those of the whole weight's panels */
  gsize line_bytes, block_bytes;        /* from one line, or block of scales, to the next; lines of rows overlap: 4 */
  gboolean is_view;                     /* the memory of its chunks is another weight's */
  guint n_chunks;
  OclWeightChunk *chunks;
};

/** Packs a panel of @weight at @data and @scales; @rows[i] is the file's bytes of a row, NULL for padding. */
void ocl_pack_panel (const OclWeight *weight, const guint8 *const rows[OCL_PANEL], guint8 *data, guint8 *scales);

/** The value at (row, k) of a panel of @weight: what references read. */
gfloat ocl_panel_value (const OclWeight *weight, const guint8 *data, const guint8 *scales, gint row, gint k);

/** Of a panel's @cols columns. */
gsize ocl_panel_bytes (OclType type, gint cols);
gsize ocl_panel_scale_bytes (OclType type, gint cols);
/** Of one block's scales in a panel. */
gsize ocl_panel_block_bytes (OclType type);

G_END_DECLS
