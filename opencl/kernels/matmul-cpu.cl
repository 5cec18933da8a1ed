// y [M][N] = x [M][K] * w^T on a CPU with fused multiply-add; w in panels of 16 rows, see pack.h.
// Built with -DTYPE_<type>. A work-item computes some panels for some rows of x.
//
// For a few rows of x the weights go from memory through registers into sums. For more, a block of KC
// columns of NP panels is turned to float32 in the first-level cache and multiplied with MR rows at a time.
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "gemm.clh"

#define KCHUNK 512              // columns of x that all panels take before the next ones

// ---- weights to float32 --------------------------------------------------------------
//
// A lane of 32 bits has LANE_VALUES consecutive columns of its row; VALUE (v, i) is column i of each.

#if defined (TYPE_Q8_0)
// Byte i, q + 128 with its top bit flipped, times 2^24.
#define LANE_VALUES 4
#define VALUE(v, i) int_to_float ((v) << (24 - 8 * (i)) & 0xff000000u)
#define VALUE_ONE 0x1p-24f
#define FLIP 0x80808080u
#elif defined (TYPE_Q4_0)
// Nibble i: 0..3 are the low ones, 4..7 the high ones; q + 8 with its top bit flipped, times 2^28.
#define LANE_VALUES 8
#define VALUE(v, i) int_to_float ((v) << (28 - 8 * ((i) & 3) - ((i) & 4)) & 0xf0000000u)
#define VALUE_ONE 0x1p-28f
#define FLIP 0x88888888u
#elif defined (TYPE_BF16)
#define LANE_VALUES 2
#define VALUE(v, i) as_float16 ((i) ? (v) & 0xffff0000u : (v) << 16)
#endif

#if defined (TYPE_Q8_0) || defined (TYPE_Q4_0)
#define BLOCK_LANES (32 / LANE_VALUES)  // of a block with one scale
#define LOAD_LANES(w) (LOAD_UINT (w) ^ FLIP)
#define BLOCK_SCALE(scales) (load_halfs (scales) * VALUE_ONE)
#define SCALED(x, scale) ((x) * (scale))
#elif defined (TYPE_BF16)
#define BLOCK_LANES 4
#define LOAD_LANES(w) LOAD_UINT (w)
#define BLOCK_SCALE(scales) 1
#define SCALED(x, scale) (x)
#endif

#if defined (TYPE_F32) || defined (TYPE_F16)
#define WHOLE_COLUMNS           // a column of a panel is 16 values in a row
#ifdef TYPE_F32
#define COLUMN(w, k) LOAD_FLOAT ((const float *) (w) + (long) (k) * PANEL)
#else
#define COLUMN(w, k) load_halfs ((const ushort *) (w) + (long) (k) * PANEL)

INLINE void
unpack (float *out, const uchar *w, const ushort *scales, int n)
{
  for (int k = 0; k < n; k++)
    STORE_FLOAT (out + k * PANEL, COLUMN (w, k));
}
#endif

INLINE float16
dot_panel (const float *x, const uchar *w, const ushort *scales, int K)
{
  float16 sum[4] = { 0, 0, 0, 0 };
  int k = 0;

  for (; k + 4 <= K; k += 4)
    UNROLL
    for (int i = 0; i < 4; i++)
      sum[i] += COLUMN (w, k + i) * x[k + i];
  for (; k < K; k++)
    sum[0] += COLUMN (w, k) * x[k];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#else

#define BLOCK (BLOCK_LANES * LANE_VALUES)

// out [n][16]; where n is odd one column of zeros more.
INLINE void
unpack (float *out, const uchar *w, const ushort *scales, int n)
{
  int k = 0;

  for (; k + BLOCK <= n; k += BLOCK) {
    const float16 scale = BLOCK_SCALE (scales + k / 32 * PANEL);

    for (int j = 0; j < BLOCK_LANES; j++, w += 64) {
      const uint16 v = LOAD_LANES (w);

      UNROLL
      for (int i = 0; i < LANE_VALUES; i++, out += PANEL)
        STORE_FLOAT (out, SCALED (VALUE (v, i), scale));
    }
  }
  for (; k < n; k += LANE_VALUES, w += 64) {    // only of types without scales
    const uint16 v = LOAD_LANES (w);

    UNROLL
    for (int i = 0; i < LANE_VALUES; i++, out += PANEL)
      STORE_FLOAT (out, VALUE (v, i));
  }
}

INLINE float16
dot_panel (const float *x, const uchar *w, const ushort *scales, int K)
{
  float16 sum = 0;
  int k = 0;

  for (; k + BLOCK <= K; k += BLOCK) {
    float16 part[2] = { 0, 0 };

    UNROLL
    for (int j = 0; j < BLOCK_LANES; j++, w += 64) {
      const uint16 v = LOAD_LANES (w);

      UNROLL
      for (int i = 0; i < LANE_VALUES; i++)
        part[i & 1] += VALUE (v, i) * x[k + j * LANE_VALUES + i];
    }
    sum += SCALED (part[0] + part[1], BLOCK_SCALE (scales + k / 32 * PANEL));
  }
  for (; k < K; k++)            // only of types without scales
    sum += VALUE (LOAD_LANES (w + (k % BLOCK) / 2 * 64), k & 1) * x[k];
  return sum;
}
#endif

// ---- one row of x ----------------------------------------------------------------------

CPU_TARGET void
gemv (float *y, const float *x, const uchar *w, const ushort *scales, int N, int K, int first, int last)
{
  for (int p = first; p < last; p++) {
    const float16 sum = dot_panel (x, w + p * PANEL_BYTES (K), scales + (long) p * (K / 32) * PANEL, K);

    store_columns (y + p * PANEL, sum, N - p * PANEL);
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_gemv (TENSOR (y), TENSOR (x), __global const uchar *data, __global const uchar *scales, const int N, const int K,
    const int n_panels, const int group_panels)
{
  const int first = get_group_id (0) * group_panels;

  gemv (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), FLAT (const uchar, data), FLAT (const ushort, scales),
      N, K, first, min (first + group_panels, n_panels));
}

// ---- many rows of x ----------------------------------------------------------------------

CPU_TARGET void
gemm (float *y, long ys, const float *x, long xs, const uchar *w, const ushort *scales, int M, int N, int K, int first,
    int last)
{
#ifndef TYPE_F32
  float block[NP][KC * PANEL] __attribute__ ((aligned (64)));
#endif

  for (int chunk = 0; chunk < K; chunk += KCHUNK) {
    for (int p = first; p < last; p += NP) {
      for (int k = chunk; k < min (K, chunk + KCHUNK); k += KC) {
        const int n = min (K - k, KC);
        const float *columns[NP];

        for (int j = 0; j < NP; j++) {
          const long panel = min (p + j, last - 1);     // a panel past the last is computed, not stored
          const uchar *data = w + panel * PANEL_BYTES (K);

#ifdef TYPE_F32
          columns[j] = (const float *) data + (long) k * PANEL;
#else
          unpack (block[j], data + PANEL_BYTES (k), scales + (panel * (K / 32) + k / 32) * PANEL, n);
          columns[j] = block[j];
#endif
        }
        tiles (y + p * PANEL, ys, x + k, xs, columns, M, n, k == 0, min (N, last * PANEL) - p * PANEL);
      }
    }
  }
}

// ---- few rows of x -------------------------------------------------------------------------
//
// Too few rows to pay for storing the weights as float32: each is used in all rows straight from registers.

#ifndef TYPE_F32
INLINE void
few (const int R, float *y, long ys, const float *x, long xs, const uchar *w, const ushort *scales, int K, int cols)
{
  float16 acc[MR];
  int k = 0;

  UNROLL
  for (int r = 0; r < R; r++)
    acc[r] = 0;
#ifdef WHOLE_COLUMNS
  for (; k < K; k++) {
    const float16 value = COLUMN (w, k);
#else
  for (; k + BLOCK <= K; k += BLOCK) {
    const float16 scale = BLOCK_SCALE (scales + k / 32 * PANEL);

    for (int j = 0; j < BLOCK_LANES; j++, w += 64) {
      const uint16 v = LOAD_LANES (w);

      UNROLL
      for (int i = 0; i < LANE_VALUES; i++) {
        const float16 value = SCALED (VALUE (v, i), scale);

        UNROLL
        for (int r = 0; r < R; r++)
          acc[r] += value * x[r * xs + k + j * LANE_VALUES + i];
      }
    }
  }
  for (; k < K; k++) {          // only of types without scales
    const float16 value = VALUE (LOAD_LANES (w + (k % BLOCK) / 2 * 64), k & 1);
#endif

    UNROLL
    for (int r = 0; r < R; r++)
      acc[r] += value * x[r * xs + k];
  }
  UNROLL
  for (int r = 0; r < R; r++)
    store_columns (y + r * ys, acc[r], cols);
}

#define FEW(R) \
  CPU_TARGET void few_##R (float *y, long ys, const float *x, long xs, const uchar *w, const ushort *scales, int K, \
      int cols) \
  { few (R, y, ys, x, xs, w, scales, K, cols); }
FEW (2) FEW (3) FEW (4) FEW (5) FEW (6)

CPU_TARGET void
few_rows (float *y, long ys, const float *x, long xs, const uchar *w, const ushort *scales, int M, int N, int K, int first,
    int last)
{
  for (long p = first; p < last; p++) {
    const uchar *data = w + p * PANEL_BYTES (K);
    const ushort *s = scales + p * (K / 32) * PANEL;
    float *out = y + p * PANEL;
    const int cols = N - p * PANEL;

    switch (M) {
      case 2: few_2 (out, ys, x, xs, data, s, K, cols); break;
      case 3: few_3 (out, ys, x, xs, data, s, K, cols); break;
      case 4: few_4 (out, ys, x, xs, data, s, K, cols); break;
      case 5: few_5 (out, ys, x, xs, data, s, K, cols); break;
      case 6: few_6 (out, ys, x, xs, data, s, K, cols); break;
    }
  }
}
#endif

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_gemm (TENSOR (y), TENSOR (x), __global const uchar *data, __global const uchar *scales, const int M, const int N,
    const int K, const int n_panels, const int group_panels, const int group_rows)
{
  const int first = get_group_id (0) * group_panels, row = get_group_id (1) * group_rows;

#ifndef TYPE_F32
  if (M >= 2 && M <= 6) {
    few_rows (FLAT (float, ROW (y, 0)), y_stride, FLAT (const float, ROW (x, 0)), x_stride, FLAT (const uchar, data),
        FLAT (const ushort, scales), M, N, K, first, min (first + group_panels, n_panels));
    return;
  }
#endif
  gemm (FLAT (float, ROW (y, row)), y_stride, FLAT (const float, ROW (x, row)), x_stride, FLAT (const uchar, data),
      FLAT (const ushort, scales), min (M - row, group_rows), N, K, first, min (first + group_panels, n_panels));
}
