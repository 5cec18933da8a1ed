// The attention of attention-tiles.clh, with both products in integers of 16 bits by int16.clh: queries and keys of a head are
// blocks, as are the weights of KEYS keys and their values.
#define TYPE_F32
#define CPU_VNNI
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "transpose.clh"
#include "flash.clh"
#include "int16.clh"

#define KEYS BLOCK
#define KEYS_BYTES (KEYS / PANEL * PAIRS_BYTES (MAX_DIM))
#define VALUES_BYTES (MAX_DIM / PANEL * PAIRS_BYTES (KEYS))
#include "attention-tiles.clh"          // whose MAX_DIM is at most BLOCK

// Rows as panels have them; behind the last one it again.
INLINE void
pack_keys (uchar *panel, const float *rows, long stride, int n, int dim)
{
  short q[PANEL][MAX_DIM] __attribute__ ((aligned (64)));

  for (int lane = 0; lane < PANEL; lane++)
    quantize_block (q[lane], (float *) panel + lane, rows + min (lane, n - 1) * stride, dim);
  for (int c = 0; c < dim; c += 2 * PANEL) {    // dim may end within, and so does what is stored
    uint16 v[PANEL];

    UNROLL
    for (int lane = 0; lane < PANEL; lane++)
      v[lane] = LOAD_UINT ((const uint *) (q[lane] + c));
    transpose (v);
    UNROLL
    for (int i = 0; i < PANEL; i++)
      if (c + 2 * i < dim)
        *(uint16u *) (PAIRS (panel) + (c / 2 + i) * PANEL) = v[i];
  }
}

INLINE void
pack (uchar *keys, uchar *values, Ring k, Ring v, int slot, int n, int dim)
{
  float columns[KEYS * PANEL] __attribute__ ((aligned (64)));

  for (int j = 0; j < n; j += PANEL)
    pack_keys (keys + j / PANEL * PAIRS_BYTES (dim), k.rows + (slot + j) * k.stride, k.stride, n - j, dim);
  for (int c = 0; c < dim; c += PANEL) {
    for (int j = 0; j < n; j++)
      STORE_FLOAT (columns + j * PANEL, LOAD_FLOAT (v.rows + (slot + j) * v.stride + c));
    quantize_panel (values + c / PANEL * PAIRS_BYTES (KEYS), columns, n);
  }
}

INLINE void
score (float *scores, const Lines *lines, int first, int n_lines, const uchar *keys, int n)
{
  short q[LINES * MAX_DIM];
  float scales[LINES];
  const int d = lines->dim;

  for (int i = 0; i < n_lines; i++) {
    quantize_block (q + i * d, scales + i, lines->queries + line_at (lines, first + i, lines->queries_stride), d);
    scales[i] *= lines->scale;
  }
  multiply_panels (scores, KEYS, q, d, scales, keys, PAIRS_BYTES (d), (n + PANEL - 1) / PANEL, n_lines, d, 1);
}

INLINE void
add_values (float *sums, const float *weights, const uchar *values, int n_lines, int n, int n_packed, int dim)
{
  short q[LINES * KEYS];
  float scales[LINES];

  for (int i = 0; i < n_lines; i++)
    quantize_block (q + i * KEYS, scales + i, weights + i * KEYS, (n + PANEL - 1) / PANEL * PANEL);
  multiply_panels (sums, dim, q, KEYS, scales, values, PAIRS_BYTES (KEYS), dim / PANEL, n_lines, n, 0);
}
