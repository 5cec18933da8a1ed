// The attention of attention-tiles.clh: both products run in the tiles of gemm.clh. Panel i of the keys is [dim][16], of 16
// keys (behind the last one it again); panel i of the values [n][16], of 16 channels.
#define TYPE_F32
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "gemm.clh"
#include "flash.clh"

#define KEYS 128
#define KEYS_BYTES (KEYS * MAX_DIM * 4)
#define VALUES_BYTES KEYS_BYTES
#include "attention-tiles.clh"

INLINE void
pack (uchar *keys, uchar *values, Ring k, Ring v, int slot, int n, int dim)
{
  for (int panel = 0; panel < n; panel += PANEL) {
    const float *rows[PANEL];
    float *out = (float *) keys + (long) panel * dim;

    for (int lane = 0; lane < PANEL; lane++)
      rows[lane] = k.rows + (slot + min (panel + lane, n - 1)) * k.stride;
    for (int c = 0; c < dim; c++)
      for (int lane = 0; lane < PANEL; lane++)
        out[c * PANEL + lane] = rows[lane][c];
  }
  for (int j = 0; j < n; j++)
    for (int c = 0; c < dim; c += PANEL)
      STORE_FLOAT ((float *) values + (long) c * n + j * PANEL, LOAD_FLOAT (v.rows + (slot + j) * v.stride + c));
}

INLINE void
score (float *scores, const Lines *lines, int first, int n_lines, const uchar *keys, int n)
{
  float q[LINES * MAX_DIM];
  const int d = lines->dim;

  for (int i = 0; i < n_lines; i++) {
    const float *query = lines->queries + line_at (lines, first + i, lines->queries_stride);

    for (int c = 0; c < d; c += PANEL)
      STORE_FLOAT (q + i * d + c, LOAD_FLOAT (query + c) * lines->scale);
  }
  multiply (scores, KEYS, q, d, (const float *) keys, (long) d * PANEL, 0, (n + PANEL - 1) / PANEL, n_lines, d, 1);
}

INLINE void
add_values (float *sums, const float *weights, const uchar *values, int n_lines, int n, int n_packed, int dim)
{
  multiply (sums, dim, weights, KEYS, (const float *) values, (long) n_packed * PANEL, 0, dim / PANEL, n_lines, n, 0);
}
