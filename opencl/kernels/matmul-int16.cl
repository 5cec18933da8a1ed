// y [M][N] = x [M][K] * w^T on a CPU with VNNI, many rows, in blocks of 256 columns by int16.clh.
// Built with -DTYPE_<type> -DCPU_AVX512. A work-item computes some panels for some rows of x.
#define CPU_VNNI
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "quants.clh"
#include "lines.clh"
#include "unpack.clh"
#include "int16.clh"

// ---- activations -------------------------------------------------------------------------

// A block of MR rows is together, as are their scales.
CPU_TARGET void
quantize (short *q, float *scales, const float *x, int K)
{
  for (int k = 0; k < K; k += BLOCK, q += MR * BLOCK, scales += MR)
    quantize_block (q, scales, x + k, min (K - k, BLOCK));
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_quantize (TENSOR (x), __global uchar *quantized, const ulong scales_at, const int K)
{
  const int m = get_group_id (0), n_blocks = (K + BLOCK - 1) / BLOCK;
  const long first = (long) (m / MR) * n_blocks * MR + m % MR;

  quantize (FLAT (short, quantized) + first * BLOCK, FLAT (float, quantized + scales_at) + first,
      FLAT (const float, ROW (x, m)), K);
}

// ---- weights -----------------------------------------------------------------------------

// n columns from k0 on.
INLINE void
pack_block (uchar *packed, const Panels *w, long panel, int k0, int n)
{
  float values[BLOCK * PANEL] __attribute__ ((aligned (64)));

  unpack (values, w, panel, k0, n);
  quantize_panel (packed, values, n);
}

// Part i of n of what is at data comes from memory while other panels are multiplied.
INLINE void
prefetch_part (const uchar *data, long bytes, int i, int n)
{
  const long lines = bytes / 64;

  for (long line = lines * i / n; line < lines * (i + 1) / n; line++)
    __builtin_prefetch (data + line * 64, 0, 2);
}

CPU_TARGET void
multiply (float *y, long ys, const short *q, const float *scales, const Panels *w, int M, int N, int K, int first, int last)
{
  const int n_blocks = (K + BLOCK - 1) / BLOCK, n_tiles = (M + MR - 1) / MR;
  uchar panels[NP][PAIRS_BYTES (BLOCK)] __attribute__ ((aligned (64)));
  const uchar *packed[NP];

  for (int j = 0; j < NP; j++)
    packed[j] = panels[j];
  for (int p = first; p < last; p += NP) {
    for (int b = 0; b < n_blocks; b++) {
      const int n = min (K - b * BLOCK, BLOCK);
      const int next = b + 1 < n_blocks ? b + 1 : 0, next_p = next > 0 ? p : p + NP;

      for (int j = 0; j < NP; j++) {
        const long panel = min (p + j, last - 1);       // a panel past the last is computed, not stored

        pack_block (panels[j], w, panel, b * BLOCK, n);
      }
      for (int t = 0; t < n_tiles; t++) {
        const int m = t * MR;
        const long at = ((long) t * n_blocks + b) * MR;

        for (int j = 0; j < NP && next_p + j < last && w->line == LINE; j++)
          prefetch_part (w->data + (next_p + j) * w->step + PANEL_BYTES (next * BLOCK), PANEL_BYTES (min (K - next * BLOCK, BLOCK)),
              t, n_tiles);
        tile (y + m * ys + p * PANEL, ys, q + at * BLOCK, BLOCK, scales + at, packed, n, min (M - m, MR), b == 0,
            min (N, last * PANEL) - p * PANEL);
      }
    }
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int16 (TENSOR (y), __global const uchar *quantized, const ulong scales_at, PANELS (w), const int M, const int N,
    const int K, const int n_panels, const int group_panels, const int group_rows)
{
  const int first = get_group_id (0) * group_panels, row = get_group_id (1) * group_rows;
  const long at = (long) (row / MR) * ((K + BLOCK - 1) / BLOCK) * MR;
  const Panels panels = FLAT_PANELS (w);

  multiply (FLAT (float, ROW (y, row)), y_stride, FLAT (const short, quantized) + at * BLOCK,
      FLAT (const float, quantized + scales_at) + at, &panels, min (M - row, group_rows), N, K, first,
      min (first + group_panels, n_panels));
}
