// y [M][N] = x [M][K] * w^T on a CPU with fused multiply-add; w in panels of 16 rows, see pack.h.
// Built with -DTYPE_<type>. A work-item computes some panels for some rows of x.
//
// For a few rows of x the weights go from memory through registers into sums. For more, a block of KC
// columns of NP panels is turned to float32 in the first-level cache and multiplied with MR rows at a time.
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"

#if defined (CPU_AVX512)
#define MR 8
#define NP 3
#define KC 128
#else
#define MR 6
#define NP 1
#define KC 256
#endif

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
#elif defined (TYPE_F16)
#define LANE_VALUES 2
#define VALUE(v, i) half_to_float ((i) ? (v) >> 16 : (v) & 0xffff)
#endif

#if defined (TYPE_Q8_0) || defined (TYPE_Q4_0)
#define BLOCK_LANES (32 / LANE_VALUES)  // of a block with one scale
#define LOAD_LANES(w) (LOAD_UINT (w) ^ FLIP)
#define BLOCK_SCALE(scales) (load_halfs (scales) * VALUE_ONE)
#define SCALED(x, scale) ((x) * (scale))
#elif !defined (TYPE_F32)
#define BLOCK_LANES 4
#define LOAD_LANES(w) LOAD_UINT (w)
#define BLOCK_SCALE(scales) 1
#define SCALED(x, scale) (x)
#endif

#ifdef TYPE_F32

INLINE float16
dot_panel (const float *x, const uchar *w, const ushort *scales, int K)
{
  const float *f = (const float *) w;
  float16 sum[4] = { 0, 0, 0, 0 };
  int k = 0;

  for (; k + 4 <= K; k += 4)
    UNROLL
    for (int i = 0; i < 4; i++)
      sum[i] += LOAD_FLOAT (f + (long) (k + i) * PANEL) * x[k + i];
  for (; k < K; k++)
    sum[0] += LOAD_FLOAT (f + (long) k * PANEL) * x[k];
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

// R rows of x by NP panels, n columns. The sums begin at 0 if @begin, else at what y has.
INLINE void
tile (const int R, float *y, long ys, const float *x, long xs, const float *const *w, int n, int begin, int cols)
{
  float16 acc[MR][NP];

UNROLL
  for (int i = 0; i < R; i++)
UNROLL
    for (int j = 0; j < NP; j++)
      acc[i][j] = 0;
  for (int k = 0; k < n; k++) {
    float16 v[NP];

UNROLL
    for (int j = 0; j < NP; j++)
      v[j] = LOAD_FLOAT (w[j] + k * PANEL);
UNROLL
    for (int i = 0; i < R; i++)
UNROLL
      for (int j = 0; j < NP; j++)
        acc[i][j] += v[j] * x[i * xs + k];
  }
UNROLL
  for (int i = 0; i < R; i++) {
UNROLL
    for (int j = 0; j < NP; j++) {
      float *out = y + i * ys + j * PANEL;

      if (cols >= (j + 1) * PANEL) {
        STORE_FLOAT (out, begin ? acc[i][j] : acc[i][j] + LOAD_FLOAT (out));
      } else {
        float values[PANEL];

        STORE_FLOAT (values, acc[i][j]);
        for (int c = 0; c < cols - j * PANEL; c++)
          out[c] = begin ? values[c] : out[c] + values[c];
      }
    }
  }
}

#define TILE(R) \
  CPU_TARGET void tile_##R (float *y, long ys, const float *x, long xs, const float *const *w, int n, int begin, int cols) \
  { tile (R, y, ys, x, xs, w, n, begin, cols); }
TILE (1) TILE (2) TILE (3) TILE (4) TILE (5) TILE (6)
#if MR == 8
TILE (7) TILE (8)
#endif

INLINE void
tiles (float *y, long ys, const float *x, long xs, const float *const *w, int M, int n, int begin, int cols)
{
  for (int m = 0; m < M; m += MR, y += MR * ys, x += MR * xs) {
    switch (min (M - m, MR)) {
      case 1: tile_1 (y, ys, x, xs, w, n, begin, cols); break;
      case 2: tile_2 (y, ys, x, xs, w, n, begin, cols); break;
      case 3: tile_3 (y, ys, x, xs, w, n, begin, cols); break;
      case 4: tile_4 (y, ys, x, xs, w, n, begin, cols); break;
      case 5: tile_5 (y, ys, x, xs, w, n, begin, cols); break;
      case 6: tile_6 (y, ys, x, xs, w, n, begin, cols); break;
#if MR == 8
      case 7: tile_7 (y, ys, x, xs, w, n, begin, cols); break;
      case 8: tile_8 (y, ys, x, xs, w, n, begin, cols); break;
#endif
    }
  }
}

CPU_TARGET void
gemm (float *y, long ys, const float *x, long xs, const uchar *w, const ushort *scales, int M, int N, int K, int first,
    int last)
{
#ifndef TYPE_F32
  float block[NP][KC * PANEL] __attribute__ ((aligned (64)));
#endif

  for (int p = first; p < last; p += NP) {
    for (int k = 0; k < K; k += KC) {
      const int n = min (K - k, KC);
      const float *columns[NP];

      for (int j = 0; j < NP; j++) {
        const long panel = min (p + j, last - 1);       // a panel past the last is computed, not stored
#ifdef TYPE_F32
        columns[j] = (const float *) (w + panel * PANEL_BYTES (K)) + (long) k * PANEL;
#else
        unpack (block[j], w + panel * PANEL_BYTES (K) + PANEL_BYTES (k), scales + (panel * (K / 32) + k / 32) * PANEL, n);
        columns[j] = block[j];
#endif
      }
      tiles (y + p * PANEL, ys, x + k, xs, columns, M, n, k == 0, min (N, last * PANEL) - p * PANEL);
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
