// y [M][N] = x [M][K] * w^T on a CPU with 8-bit activations: each 32 values of x become a scale and 32
// signed bytes, and meet the bytes or nibbles of Q8_0 and Q4_0 weights in integer dot products.
// Built with -DTYPE_<type> and one of -DINT8_AVX2, -DINT8_AVXVNNI, -DCPU_AVX512 -DINT8_BW, -DCPU_AVX512 -DINT8_VNNI.
#if defined (INT8_VNNI)
#define CPU_FEATURES "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c"
#elif defined (INT8_AVXVNNI)
#define CPU_FEATURES "avx2,fma,f16c,avxvnni"
#endif
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"

typedef char char64 __attribute__ ((ext_vector_type (64)));
typedef char char32 __attribute__ ((ext_vector_type (32)));
typedef short short32 __attribute__ ((ext_vector_type (32)));
typedef char16 char16u __attribute__ ((aligned (1)));

#if defined (CPU_AVX512)
#define MR 6
#define NP 2
#else
#define MR 4
#define NP 1
#endif

// ---- integer dot products ----------------------------------------------------------------

#define CONCAT(a, b) __builtin_shufflevector (a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31)

#if defined (INT8_VNNI) || defined (INT8_AVXVNNI)

// acc += the four products of unsigned bytes in each lane of u and the signed bytes in s
INLINE int16
dot_bytes (int16 acc, uint16 u, uint s)
{
#ifdef INT8_VNNI
  return __builtin_astype (__builtin_ia32_vpdpbusd512 (__builtin_astype (acc, int16), __builtin_astype (u, int16),
      (int16) (int) s), int16);
#else
  const int8 all = (int) s;

  return (int16) (__builtin_ia32_vpdpbusd256 (acc.lo, as_int8 (u.lo), all),
      __builtin_ia32_vpdpbusd256 (acc.hi, as_int8 (u.hi), all));
#endif
}

typedef int16 Sums;
#define ADD_NIBBLES(sums, u, s) dot_bytes (sums, u, s)
#define ADD_BYTES(acc, u, s) dot_bytes (acc, u, s)
#define TOTAL(sums) (sums)
#ifdef TYPE_Q4_0
#define ZERO 8
#else
#define ZERO 128
#endif

#else

// Products of unsigned bytes in u and signed bytes in s, added in pairs; u must be small enough for 16 bits.
INLINE short32
multiply_bytes (uint16 u, uint16 s)
{
#ifdef INT8_BW
  return __builtin_astype (__builtin_ia32_pmaddubsw512 (__builtin_astype (u, char64), __builtin_astype (s, char64)),
      short32);
#else
  const short16 low = __builtin_astype (__builtin_ia32_pmaddubsw256 (__builtin_astype (u.lo, char32),
      __builtin_astype (s.lo, char32)), short16);
  const short16 high = __builtin_astype (__builtin_ia32_pmaddubsw256 (__builtin_astype (u.hi, char32),
      __builtin_astype (s.hi, char32)), short16);

  return CONCAT (low, high);
#endif
}

INLINE int16
add_pairs (short32 v)
{
#ifdef INT8_BW
  return __builtin_ia32_pmaddwd512 (v, (short32) (1));
#else
  return (int16) (__builtin_ia32_pmaddwd256 (v.lo, (short16) (1)), __builtin_ia32_pmaddwd256 (v.hi, (short16) (1)));
#endif
}

// Nibbles: 8 times 2 * 15 * 127 stays in 16 bits, so the pairs of a block are added up before they widen.
typedef short32 Sums;
#define ADD_NIBBLES(sums, u, s) ((sums) + multiply_bytes (u, (uint16) (s)))
#define TOTAL(sums) add_pairs (sums)

// Bytes: 2 * 255 * 127 does not, so |q| takes the place of q + 128 and its sign goes to the activation.
INLINE int16
add_bytes (int16 acc, uint16 u, uint s)
{
  const uint16 w = u ^ 0x80808080u;
#ifdef INT8_BW
  const char64 q = __builtin_astype (w, char64), a = __builtin_astype ((uint16) (s), char64), sign = q >> (char64) (7);
  const uint16 magnitude = __builtin_astype ((q ^ sign) - sign, uint16), other = __builtin_astype ((a ^ sign) - sign, uint16);
#else
  const char32 low = __builtin_astype (w.lo, char32), high = __builtin_astype (w.hi, char32);
  const char32 a = __builtin_astype ((uint8) (s), char32);
  const uint16 magnitude = (uint16) (__builtin_astype (__builtin_ia32_psignb256 (low, low), uint8),
      __builtin_astype (__builtin_ia32_psignb256 (high, high), uint8));
  const uint16 other = (uint16) (__builtin_astype (__builtin_ia32_psignb256 (a, low), uint8),
      __builtin_astype (__builtin_ia32_psignb256 (a, high), uint8));
#endif

  return acc + add_pairs (multiply_bytes (magnitude, other));
}
#define ADD_BYTES(acc, u, s) add_bytes (acc, u, s)
#ifdef TYPE_Q4_0
#define ZERO 8
#else
#define ZERO 0
#endif
#endif

// ---- activations ---------------------------------------------------------------------------

#define LARGER(a, b) ((a) > (b) ? (a) : (b))

// The largest magnitude. Without its sign, a float is ordered as an integer.
INLINE float
largest (float16 a, float16 b)
{
  const int16 size = LARGER (as_int16 (a) & 0x7fffffff, as_int16 (b) & 0x7fffffff);
  const int8 m8 = LARGER (size.lo, size.hi);
  const int4 m4 = LARGER (m8.lo, m8.hi);
  const int2 m2 = LARGER (m4.lo, m4.hi);

  return as_float (LARGER (m2.x, m2.y));
}

// x [32] = scale * q [32]; *sum = the sum of q. An x of zeros has scale 0.
INLINE void
quantize_block (char *q, float *scale, int *sum, const float *x)
{
  const float16 a = LOAD_FLOAT (x), b = LOAD_FLOAT (x + 16);
  const float most = largest (a, b);
  const float inverse = most > 1e-30f ? 127 / most : 0;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const int16 i = as_int16 (a * inverse + 12582912.f) - 0x4b400000, j = as_int16 (b * inverse + 12582912.f) - 0x4b400000;
  const int16 s16 = i + j;
  const int8 s8 = s16.lo + s16.hi;
  const int4 s4 = s8.lo + s8.hi;

  *(char16u *) q = __builtin_convertvector (i, char16);
  *(char16u *) (q + 16) = __builtin_convertvector (j, char16);
  *scale = inverse > 0 ? most / 127 : 0;
  *sum = s4.x + s4.y + s4.z + s4.w;
}

CPU_TARGET void
quantize (char *q, float *scales, int *sums, const float *x, int n_blocks)
{
  for (int b = 0; b < n_blocks; b++)
    quantize_block (q + b * 32, scales + b, sums + b, x + b * 32);
}

// Row m: K bytes at q, K / 32 scales and sums.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_quantize (TENSOR (x), __global char *q, const ulong scales_at, const ulong sums_at, const int K)
{
  const long m = get_group_id (0);
  const int blocks = K / 32;

  quantize (FLAT (char, q + m * K), FLAT (float, q + scales_at) + m * blocks, FLAT (int, q + sums_at) + m * blocks,
      FLAT (const float, ROW (x, m)), blocks);
}

// ---- product -------------------------------------------------------------------------------

// R rows by NP panels, whole K. w and ws are the bytes and scales of the panels.
INLINE void
tile (const int R, float *y, long ys, const char *q, const float *scales, const int *sums, const uchar *const *w,
    const ushort *const *ws, int K, int cols)
{
  const int blocks = K / 32;
  float16 acc[MR][NP];

  UNROLL
  for (int i = 0; i < R; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      acc[i][j] = 0;
  for (int b = 0; b < blocks; b++) {
    const uint *a = (const uint *) (q + b * 32);
    int16 total[MR][NP];
#ifdef TYPE_Q4_0
    Sums part[MR][NP];

    UNROLL
    for (int i = 0; i < R; i++)
      UNROLL
      for (int j = 0; j < NP; j++)
        part[i][j] = 0;
    UNROLL
    for (int c = 0; c < 4; c++) {
      uint16 low[NP], high[NP];

      UNROLL
      for (int j = 0; j < NP; j++) {
        const uint16 v = LOAD_UINT (w[j] + b * 256 + c * 64);

        low[j] = v & 0x0f0f0f0fu;
        high[j] = v >> 4 & 0x0f0f0f0fu;
      }
      UNROLL
      for (int i = 0; i < R; i++)
        UNROLL
        for (int j = 0; j < NP; j++) {
          part[i][j] = ADD_NIBBLES (part[i][j], low[j], a[i * (K / 4) + 2 * c]);
          part[i][j] = ADD_NIBBLES (part[i][j], high[j], a[i * (K / 4) + 2 * c + 1]);
        }
    }
    UNROLL
    for (int i = 0; i < R; i++)
      UNROLL
      for (int j = 0; j < NP; j++)
        total[i][j] = TOTAL (part[i][j]);
#else
    UNROLL
    for (int i = 0; i < R; i++)
      UNROLL
      for (int j = 0; j < NP; j++)
        total[i][j] = 0;
    UNROLL
    for (int c = 0; c < 8; c++)
      UNROLL
      for (int j = 0; j < NP; j++) {
        const uint16 v = LOAD_UINT (w[j] + b * 512 + c * 64);

        UNROLL
        for (int i = 0; i < R; i++)
          total[i][j] = ADD_BYTES (total[i][j], v, a[i * (K / 4) + c]);
      }
#endif
    UNROLL
    for (int j = 0; j < NP; j++) {
      const float16 d = load_halfs (ws[j] + b * PANEL);

      UNROLL
      for (int i = 0; i < R; i++)
        acc[i][j] += __builtin_convertvector (total[i][j] - ZERO * sums[i * blocks + b], float16)
            * (d * scales[i * blocks + b]);
    }
  }
  UNROLL
  for (int i = 0; i < R; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      store_columns (y + i * ys + j * PANEL, acc[i][j], cols - j * PANEL);
}

#define TILE(R) \
  CPU_TARGET void tile_##R (float *y, long ys, const char *q, const float *scales, const int *sums, \
      const uchar *const *w, const ushort *const *ws, int K, int cols) \
  { tile (R, y, ys, q, scales, sums, w, ws, K, cols); }
TILE (1) TILE (2) TILE (3) TILE (4)
#if MR == 6
TILE (5) TILE (6)
#endif

CPU_TARGET void
multiply (float *y, long ys, const char *q, const float *scales, const int *sums, const uchar *w, const ushort *ws, int M,
    int N, int K, int first, int last)
{
  const int blocks = K / 32;

  for (int p = first; p < last; p += NP) {
    const uchar *panels[NP];
    const ushort *panel_scales[NP];
    const int cols = min (N, last * PANEL) - p * PANEL;

    for (int j = 0; j < NP; j++) {
      const long panel = min (p + j, last - 1);         // a panel past the last is computed, not stored

      panels[j] = w + panel * PANEL_BYTES (K);
      panel_scales[j] = ws + panel * blocks * PANEL;
    }
    for (int m = 0; m < M; m += MR) {
      float *out = y + m * ys + p * PANEL;
      const char *qm = q + (long) m * K;
      const float *sm = scales + m * blocks;
      const int *um = sums + m * blocks;

      switch (min (M - m, MR)) {
        case 1: tile_1 (out, ys, qm, sm, um, panels, panel_scales, K, cols); break;
        case 2: tile_2 (out, ys, qm, sm, um, panels, panel_scales, K, cols); break;
        case 3: tile_3 (out, ys, qm, sm, um, panels, panel_scales, K, cols); break;
        case 4: tile_4 (out, ys, qm, sm, um, panels, panel_scales, K, cols); break;
#if MR == 6
        case 5: tile_5 (out, ys, qm, sm, um, panels, panel_scales, K, cols); break;
        case 6: tile_6 (out, ys, qm, sm, um, panels, panel_scales, K, cols); break;
#endif
      }
    }
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int8 (TENSOR (y), __global const char *q, const ulong scales_at, const ulong sums_at, __global const uchar *data,
    __global const uchar *scales, const int M, const int N, const int K, const int n_panels, const int group_panels,
    const int group_rows)
{
  const int first = get_group_id (0) * group_panels, blocks = K / 32;
  const long row = get_group_id (1) * group_rows;

  multiply (FLAT (float, ROW (y, row)), y_stride, FLAT (const char, q + row * K),
      FLAT (const float, q + scales_at) + row * blocks, FLAT (const int, q + sums_at) + row * blocks,
      FLAT (const uchar, data), FLAT (const ushort, scales), min (M - (int) row, group_rows), N, K, first,
      min (first + group_panels, n_panels));
}

// One row of x, quantized by every group for itself: cheaper than a launch and waiting for it.
CPU_TARGET void
quantize_multiply (float *y, const float *x, const uchar *w, const ushort *ws, int N, int K, int first, int last)
{
  char q[GEMV_COLS] __attribute__ ((aligned (64)));
  float scales[GEMV_COLS / 32];
  int sums[GEMV_COLS / 32];

  quantize (q, scales, sums, x, K / 32);
  multiply (y, 0, q, scales, sums, w, ws, 1, N, K, first, last);
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int8_gemv (TENSOR (y), TENSOR (x), __global const uchar *data, __global const uchar *scales, const int N,
    const int K, const int n_panels, const int group_panels)
{
  const int first = get_group_id (0) * group_panels;

  quantize_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), FLAT (const uchar, data),
      FLAT (const ushort, scales), N, K, first, min (first + group_panels, n_panels));
}

// ---- one row of x in 24 bits ---------------------------------------------------------------
//
// Q4_0 with float32 activations: 32 values of x become a scale and integers of 24 bits, as three signed
// bytes; what this rounds off is 2^-24 of the largest of them, as in float32. Three integer dot products
// are half the work of widening each nibble to float32.

#ifdef TYPE_Q4_0
#define DIGITS 3
#define WIDE_MOST 8355000       // three signed bytes hold 8355711; some less, as x * inverse rounds

typedef struct
{
  char q[DIGITS][GEMV_COLS] __attribute__ ((aligned (64)));     // the lowest first
  float scale[GEMV_COLS / 32];
  int high[GEMV_COLS / 32], low[GEMV_COLS / 32];                // zero point times the sums: of digit 2; of 256 * digit 1 + digit 0
} Wide;

INLINE int
sum_lanes (int16 v)
{
  const int8 v8 = v.lo + v.hi;
  const int4 v4 = v8.lo + v8.hi;

  return v4.x + v4.y + v4.z + v4.w;
}

INLINE void
split_digits (Wide *wide, int k, int16 v, int *high, int *low)
{
  const int16 d0 = v << 24 >> 24, v1 = (v - d0) >> 8, d1 = v1 << 24 >> 24, d2 = (v1 - d1) >> 8;

  *(char16u *) (wide->q[0] + k) = __builtin_convertvector (d0, char16);
  *(char16u *) (wide->q[1] + k) = __builtin_convertvector (d1, char16);
  *(char16u *) (wide->q[2] + k) = __builtin_convertvector (d2, char16);
  *high += sum_lanes (d2);
  *low += sum_lanes (d1 * 256 + d0);
}

// To the nearest integer, halves away from zero; v is far from overflow.
INLINE int16
round_to_int (float16 v)
{
  return __builtin_convertvector (v + as_float16 ((as_uint16 (v) & 0x80000000u) | 0x3effffffu), int16);
}

INLINE void
widen_block (Wide *wide, int b, const float *x)
{
  const float16 v = LOAD_FLOAT (x), u = LOAD_FLOAT (x + 16);
  const float most = largest (v, u), inverse = most > 1e-30f ? WIDE_MOST / most : 0;
  int high = 0, low = 0;

  split_digits (wide, b * 32, round_to_int (v * inverse), &high, &low);
  split_digits (wide, b * 32 + 16, round_to_int (u * inverse), &high, &low);
  wide->scale[b] = inverse > 0 ? most / WIDE_MOST : 0;
  wide->high[b] = ZERO * high;
  wide->low[b] = ZERO * low;
}

INLINE float16
dot_wide (const Wide *wide, const uchar *w, const ushort *ws, int blocks)
{
  float16 sum = 0;

  for (int b = 0; b < blocks; b++) {
    Sums part[DIGITS] = { 0, 0, 0 };

    UNROLL
    for (int c = 0; c < 4; c++) {
      const uint16 v = LOAD_UINT (w + b * 256 + c * 64), low = v & 0x0f0f0f0fu, high = v >> 4 & 0x0f0f0f0fu;

      UNROLL
      for (int d = 0; d < DIGITS; d++) {
        const uint *a = (const uint *) (wide->q[d] + b * 32);

        part[d] = ADD_NIBBLES (part[d], low, a[2 * c]);
        part[d] = ADD_NIBBLES (part[d], high, a[2 * c + 1]);
      }
    }
    const int16 high = TOTAL (part[2]) - wide->high[b];
    const int16 low = (TOTAL (part[1]) << 8) + TOTAL (part[0]) - wide->low[b];

    sum += (__builtin_convertvector (high, float16) * 65536.f + __builtin_convertvector (low, float16))
        * (load_halfs (ws + b * PANEL) * wide->scale[b]);
  }
  return sum;
}

CPU_TARGET void
widen_multiply (float *y, const float *x, const uchar *w, const ushort *ws, int N, int K, int first, int last)
{
  const int blocks = K / 32;
  Wide wide;

  for (int b = 0; b < blocks; b++)
    widen_block (&wide, b, x + b * 32);
  for (long p = first; p < last; p++)
    store_columns (y + p * PANEL, dot_wide (&wide, w + p * PANEL_BYTES (K), ws + p * blocks * PANEL, blocks),
        N - p * PANEL);
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int24_gemv (TENSOR (y), TENSOR (x), __global const uchar *data, __global const uchar *scales, const int N,
    const int K, const int n_panels, const int group_panels)
{
  const int first = get_group_id (0) * group_panels;

  widen_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), FLAT (const uchar, data),
      FLAT (const ushort, scales), N, K, first, min (first + group_panels, n_panels));
}
#endif
