// y [M][N] = x [M][K] * w^T on a CPU with fused multiply-add; w in panels of 16 rows, see pack.h.
// Built with -DTYPE_<type>. A work-item computes some panels for some rows of x.
//
// For one row of x the weights go from memory through registers into sums. For more, a block of KC
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

#if defined (TYPE_Q8_0)
// Byte i of each lane, q + 128 with its top bit flipped, times 2^24.
#define QUANT(v, i) int_to_float ((v) << (24 - 8 * (i)) & 0xff000000u)
#define QUANT_ONE 0x1p-24f
#define QUANT_FLIP 0x80808080u
#elif defined (TYPE_Q4_0)
// Nibble i of the values 0..3 (low nibbles), 4..7 (high ones), q + 8 with its top bit flipped, times 2^28.
#define QUANT(v, i) int_to_float ((v) << (28 - 8 * ((i) & 3) - ((i) & 4)) & 0xf0000000u)
#define QUANT_ONE 0x1p-28f
#define QUANT_FLIP 0x88888888u
#endif

#if defined (TYPE_Q8_0) || defined (TYPE_Q4_0)
#ifdef TYPE_Q8_0
#define LANE_VALUES 4           // of consecutive k in a 32-bit lane
#else
#define LANE_VALUES 8
#endif

// out [n][16], n a multiple of 32
INLINE void
unpack (float *out, const uchar *w, const ushort *scales, int n)
{
  for (int b = 0; b < n / 32; b++) {
    const float16 scale = load_halfs (scales + b * PANEL) * QUANT_ONE;

    for (int j = 0; j < 32 / LANE_VALUES; j++) {
      const uint16 v = LOAD_UINT (w) ^ QUANT_FLIP;

UNROLL
      for (int i = 0; i < LANE_VALUES; i++)
        STORE_FLOAT (out + i * PANEL, QUANT (v, i) * scale);
      out += LANE_VALUES * PANEL;
      w += 64;
    }
  }
}

INLINE float16
dot_panel (const float *x, const uchar *w, const ushort *scales, int K)
{
  float16 sum = 0;

  for (int b = 0; b < K / 32; b++) {
    float16 part0 = 0, part1 = 0;

UNROLL
    for (int j = 0; j < 32 / LANE_VALUES; j++) {
      const uint16 v = LOAD_UINT (w) ^ QUANT_FLIP;

UNROLL
      for (int i = 0; i < LANE_VALUES; i += 2) {
        part0 += QUANT (v, i) * x[i];
        part1 += QUANT (v, i + 1) * x[i + 1];
      }
      x += LANE_VALUES;
      w += 64;
    }
    sum += (part0 + part1) * (load_halfs (scales + b * PANEL) * QUANT_ONE);
  }
  return sum;
}

#elif defined (TYPE_F32)

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

#if defined (TYPE_BF16)
#define FIRST(v) as_float16 ((v) << 16)
#define SECOND(v) as_float16 ((v) & 0xffff0000u)
#else
#define FIRST(v) half_to_float ((v) & 0xffff)
#define SECOND(v) half_to_float ((v) >> 16)
#endif

// An odd n writes one column of zeros more.
INLINE void
unpack (float *out, const uchar *w, const ushort *scales, int n)
{
  for (int k = 0; k < n; k += 2) {
    const uint16 v = LOAD_UINT (w + k * 32);

    STORE_FLOAT (out + k * PANEL, FIRST (v));
    STORE_FLOAT (out + (k + 1) * PANEL, SECOND (v));
  }
}

INLINE float16
dot_panel (const float *x, const uchar *w, const ushort *scales, int K)
{
  float16 sum[4] = { 0, 0, 0, 0 };
  int k = 0;

  for (; k + 4 <= K; k += 4) {
    const uint16 v = LOAD_UINT (w + (long) k * 32), u = LOAD_UINT (w + (long) k * 32 + 64);

    sum[0] += FIRST (v) * x[k];
    sum[1] += SECOND (v) * x[k + 1];
    sum[2] += FIRST (u) * x[k + 2];
    sum[3] += SECOND (u) * x[k + 3];
  }
  for (; k < K; k++) {
    const uint16 v = LOAD_UINT (w + (long) (k / 2) * 64);

    sum[0] += (k & 1 ? SECOND (v) : FIRST (v)) * x[k];
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
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

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_gemm (TENSOR (y), TENSOR (x), __global const uchar *data, __global const uchar *scales, const int M, const int N,
    const int K, const int n_panels, const int group_panels, const int group_rows)
{
  const int first = get_group_id (0) * group_panels, row = get_group_id (1) * group_rows;

  gemm (FLAT (float, ROW (y, row)), y_stride, FLAT (const float, ROW (x, row)), x_stride, FLAT (const uchar, data),
      FLAT (const ushort, scales), min (M - row, group_rows), N, K, first, min (first + group_panels, n_panels));
}
