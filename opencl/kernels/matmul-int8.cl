// y [M][N] = x [M][K] * w^T on a CPU with 8-bit activations: each 32 values of x become a scale and 32
// signed bytes, and meet the unsigned bytes of quantized weights in integer dot products.
// Built with -DTYPE_<type> and one of -DINT8_AVX2, -DINT8_AVXVNNI, -DCPU_AVX512 -DINT8_BW, -DCPU_AVX512 -DINT8_VNNI.
#if defined (INT8_VNNI)
#define CPU_FEATURES "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c"
#elif defined (INT8_AVXVNNI)
#define CPU_FEATURES "avx2,fma,f16c,avxvnni"
#endif
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "quants.clh"

typedef char char64 __attribute__ ((ext_vector_type (64)));
typedef char char32 __attribute__ ((ext_vector_type (32)));
typedef short short32 __attribute__ ((ext_vector_type (32)));

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

// Sums of products of RUN columns go on from a total; then they are the total.
typedef int16 Sums;
#define RUN PART
#define BEGIN(total) (total)
#define ADD(sums, u, s) dot_bytes (sums, u, s)
#define END(total, sums) (sums)
#define OFF ZERO                // what is still to be taken off the unsigned bytes

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

#if BITS == 8

// 2 * 255 * 127 is more than 16 bits, so |q| takes the place of q + 128 and its sign goes to the activation.
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

typedef int16 Sums;
#define RUN PART
#define BEGIN(total) (total)
#define ADD(sums, u, s) add_bytes (sums, u, s)
#define END(total, sums) (sums)
#define OFF 0

#else

// Pairs of RUN columns stay in 16 bits: 8 times 2 * 15 * 128, 4 times 2 * 31 * 128, 2 times 2 * 63 * 128.
typedef short32 Sums;
#define RUN (BITS == 4 ? 32 : BITS == 5 ? 16 : 8)
#define BEGIN(total) (0)
#define ADD(sums, u, s) ((sums) + multiply_bytes (u, (uint16) (s)))
#define END(total, sums) ((total) + add_pairs (sums))
#define OFF ZERO

#endif
#endif

#define PARTS (32 / PART)       // of a block of 32 columns

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

INLINE int
sum_ints (int16 v)
{
  const int8 v8 = v.lo + v.hi;
  const int4 v4 = v8.lo + v8.hi;

  return v4.x + v4.y + v4.z + v4.w;
}

// Of the activations of a part: their sum, for the weights' offset; or where sums of products begin.
#ifdef WITH_OFFSET
typedef float PartSum;
#define PART_SUM(sum, scale) ((sum) * (scale))
#define FIRST(sum) 0
#else
typedef int PartSum;
#define PART_SUM(sum, scale) (-OFF * (sum))
#define FIRST(sum) (sum)
#endif

// x [32] = scale * q [32]. An x of zeros has scale 0.
INLINE void
quantize_block (char *q, float *scale, PartSum *sums, const float *x)
{
  const float16 a = LOAD_FLOAT (x), b = LOAD_FLOAT (x + 16);
  const float most = largest (a, b);
  const float inverse = most > 1e-30f ? 127 / most : 0;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const int16 i = as_int16 (a * inverse + 12582912.f) - 0x4b400000, j = as_int16 (b * inverse + 12582912.f) - 0x4b400000;

  *(char16u *) q = __builtin_convertvector (i, char16);
  *(char16u *) (q + 16) = __builtin_convertvector (j, char16);
  *scale = inverse > 0 ? most / 127 : 0;
#if PARTS == 2
  sums[0] = PART_SUM (sum_ints (i), *scale);
  sums[1] = PART_SUM (sum_ints (j), *scale);
#else
  sums[0] = PART_SUM (sum_ints (i + j), *scale);
#endif
}

CPU_TARGET void
quantize (char *q, float *scales, PartSum *sums, const float *x, int n_blocks)
{
  for (int b = 0; b < n_blocks; b++)
    quantize_block (q + b * 32, scales + b, sums + b * PARTS, x + b * 32);
}

// Row m: K bytes at q, K / 32 scales, K / PART sums.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_quantize (TENSOR (x), __global char *q, const ulong scales_at, const ulong sums_at, const int K)
{
  const long m = get_group_id (0);
  const int blocks = K / 32;

  quantize (FLAT (char, q + m * K), FLAT (float, q + scales_at) + m * blocks,
      FLAT (PartSum, q + sums_at) + m * blocks * PARTS, FLAT (const float, ROW (x, m)), blocks);
}

// ---- product -------------------------------------------------------------------------------

// total [R][NP] = the sums of products of part h of block b.
INLINE void
multiply_part (const int R, int16 (*total)[NP], const char *q, const PartSum *sums, const uchar *const *w, int K, int b,
    const int h)
{
  const uint *a = (const uint *) (q + b * 32);

  UNROLL
  for (int i = 0; i < R; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      total[i][j] = (int16) (FIRST (sums[(i * (K / 32) + b) * PARTS + h]));
  UNROLL
  for (int first = h * PART; first < (h + 1) * PART; first += RUN) {
    Sums run[MR][NP];

    UNROLL
    for (int i = 0; i < R; i++)
      UNROLL
      for (int j = 0; j < NP; j++)
        run[i][j] = BEGIN (total[i][j]);
    UNROLL
    for (int c = first / 8; c < (first + RUN) / 8; c++) {
      uint16 quads[NP][2];

      UNROLL
      for (int j = 0; j < NP; j++)
        load_quads (quads[j], w[j] + (long) b * BLOCK_BYTES, c);
      UNROLL
      for (int i = 0; i < R; i++)
        UNROLL
        for (int j = 0; j < NP; j++) {
          run[i][j] = ADD (run[i][j], quads[j][0], a[i * (K / 4) + 2 * c]);
          run[i][j] = ADD (run[i][j], quads[j][1], a[i * (K / 4) + 2 * c + 1]);
        }
    }
    UNROLL
    for (int i = 0; i < R; i++)
      UNROLL
      for (int j = 0; j < NP; j++)
        total[i][j] = END (total[i][j], run[i][j]);
  }
}

// R rows by NP panels, whole K. w and ws are the data and scales of the panels.
INLINE void
tile (const int R, float *y, long ys, const char *q, const float *scales, const PartSum *sums, const uchar *const *w,
    const uchar *const *ws, int K, int cols)
{
  const int blocks = K / 32;
  float16 acc[MR][NP];

  UNROLL
  for (int i = 0; i < R; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      acc[i][j] = 0;
  for (int b = 0; b < blocks; b++) {
    UNROLL
    for (int h = 0; h < PARTS; h++) {
      int16 total[MR][NP];

      multiply_part (R, total, q, sums, w, K, b, h);
      UNROLL
      for (int j = 0; j < NP; j++) {
        const float16 d = load_scale (ws[j], b * PARTS + h);
#ifdef WITH_OFFSET
        const float16 offset = load_offset (ws[j], b * PARTS + h);
#endif

        UNROLL
        for (int i = 0; i < R; i++) {
          acc[i][j] += __builtin_convertvector (total[i][j], float16) * (d * scales[i * blocks + b]);
#ifdef WITH_OFFSET
          acc[i][j] += offset * sums[i * blocks + b];
#endif
        }
      }
    }
  }
  UNROLL
  for (int i = 0; i < R; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      store_columns (y + i * ys + j * PANEL, acc[i][j], cols - j * PANEL);
}

#define TILE(R) \
  CPU_TARGET void tile_##R (float *y, long ys, const char *q, const float *scales, const PartSum *sums, \
      const uchar *const *w, const uchar *const *ws, int K, int cols) \
  { tile (R, y, ys, q, scales, sums, w, ws, K, cols); }
TILE (1) TILE (2) TILE (3) TILE (4)
#if MR == 6
TILE (5) TILE (6)
#endif

CPU_TARGET void
multiply (float *y, long ys, const char *q, const float *scales, const PartSum *sums, const uchar *w, const uchar *ws,
    int M, int N, int K, int first, int last)
{
  const int blocks = K / 32;

  for (int p = first; p < last; p += NP) {
    const uchar *panels[NP];
    const uchar *panel_scales[NP];
    const int cols = min (N, last * PANEL) - p * PANEL;

    for (int j = 0; j < NP; j++) {
      const long panel = min (p + j, last - 1);         // a panel past the last is computed, not stored

      panels[j] = w + panel * PANEL_BYTES (K);
      panel_scales[j] = ws + panel * SCALE_BYTES (K);
    }
    for (int m = 0; m < M; m += MR) {
      float *out = y + m * ys + p * PANEL;
      const char *qm = q + (long) m * K;
      const float *sm = scales + m * blocks;
      const PartSum *um = sums + m * blocks * PARTS;

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
      FLAT (const float, q + scales_at) + row * blocks, FLAT (const PartSum, q + sums_at) + row * blocks * PARTS,
      FLAT (const uchar, data), FLAT (const uchar, scales), min (M - (int) row, group_rows), N, K, first,
      min (first + group_panels, n_panels));
}

// One row of x, quantized by every group for itself: cheaper than a launch and waiting for it.
CPU_TARGET void
quantize_multiply (float *y, const float *x, const uchar *w, const uchar *ws, int N, int K, int first, int last)
{
  char q[GEMV_COLS] __attribute__ ((aligned (64)));
  float scales[GEMV_COLS / 32];
  PartSum sums[GEMV_COLS / PART];

  quantize (q, scales, sums, x, K / 32);
  multiply (y, 0, q, scales, sums, w, ws, 1, N, K, first, last);
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int8_gemv (TENSOR (y), TENSOR (x), __global const uchar *data, __global const uchar *scales, const int N,
    const int K, const int n_panels, const int group_panels)
{
  const int first = get_group_id (0) * group_panels;

  quantize_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), FLAT (const uchar, data),
      FLAT (const uchar, scales), N, K, first, min (first + group_panels, n_panels));
}

// ---- one row of x in 24 bits ---------------------------------------------------------------
//
// Float32 activations: 32 values of x become a scale and integers of 24 bits, as three signed bytes; what
// this rounds off is 2^-24 of the largest of them, as in float32. Three integer dot products are half the
// work of widening each q to float32. (Not of Q8_0, which costs more to multiply and less to widen.)

#if BITS < 8
#define DIGITS 3
#define WIDE_MOST 8355000       // three signed bytes hold 8355711; some less, as x * inverse rounds

typedef struct
{
  char q[DIGITS][GEMV_COLS] __attribute__ ((aligned (64)));     // the lowest first
  float scale[GEMV_COLS / 32];
#ifdef WITH_OFFSET
  float sum[GEMV_COLS / PART];
#else
  int high[GEMV_COLS / PART], low[GEMV_COLS / PART];    // where sums of digit 2 and of the others begin
#endif
} Wide;

INLINE void
split_digits (Wide *wide, int k, int16 v, int *high, int *low)
{
  const int16 d0 = v << 24 >> 24, v1 = (v - d0) >> 8, d1 = v1 << 24 >> 24, d2 = (v1 - d1) >> 8;

  *(char16u *) (wide->q[0] + k) = __builtin_convertvector (d0, char16);
  *(char16u *) (wide->q[1] + k) = __builtin_convertvector (d1, char16);
  *(char16u *) (wide->q[2] + k) = __builtin_convertvector (d2, char16);
  *high += sum_ints (d2);
  *low += sum_ints (d1 * 256 + d0);
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
  const float16 v[2] = { LOAD_FLOAT (x), LOAD_FLOAT (x + 16) };
  const float most = largest (v[0], v[1]), inverse = most > 1e-30f ? WIDE_MOST / most : 0;
  const float scale = inverse > 0 ? most / WIDE_MOST : 0;

  wide->scale[b] = scale;
  UNROLL
  for (int h = 0; h < PARTS; h++) {
    int high = 0, low = 0;

    UNROLL
    for (int i = h * PART / 16; i < (h + 1) * PART / 16; i++)
      split_digits (wide, b * 32 + i * 16, round_to_int (v[i] * inverse), &high, &low);
#ifdef WITH_OFFSET
    wide->sum[b] = (high * 65536.f + low) * scale;
#else
    wide->high[b * PARTS + h] = -OFF * high;
    wide->low[b * PARTS + h] = -OFF * low;
#endif
  }
}

INLINE float16
dot_wide (const Wide *wide, const uchar *w, const uchar *ws, int blocks)
{
  float16 sum = 0;

  for (int b = 0; b < blocks; b++, w += BLOCK_BYTES) {
    UNROLL
    for (int h = 0; h < PARTS; h++) {
      const int part = b * PARTS + h;
#ifdef WITH_OFFSET
      int16 total[DIGITS] = { 0, 0, 0 };
#else
      int16 total[DIGITS] = { (int16) (wide->low[part]), 0, (int16) (wide->high[part]) };
#endif

      UNROLL
      for (int first = h * PART; first < (h + 1) * PART; first += RUN) {
        Sums run[DIGITS];

        UNROLL
        for (int d = 0; d < DIGITS; d++)
          run[d] = BEGIN (total[d]);
        UNROLL
        for (int c = first / 8; c < (first + RUN) / 8; c++) {
          uint16 quads[2];

          load_quads (quads, w, c);
          UNROLL
          for (int d = 0; d < DIGITS; d++) {
            const uint *a = (const uint *) (wide->q[d] + b * 32);

            run[d] = ADD (run[d], quads[0], a[2 * c]);
            run[d] = ADD (run[d], quads[1], a[2 * c + 1]);
          }
        }
        UNROLL
        for (int d = 0; d < DIGITS; d++)
          total[d] = END (total[d], run[d]);
      }
      const int16 low = (total[1] << 8) + total[0];

      sum += (__builtin_convertvector (total[2], float16) * 65536.f + __builtin_convertvector (low, float16))
          * (load_scale (ws, part) * wide->scale[b]);
#ifdef WITH_OFFSET
      sum += load_offset (ws, part) * wide->sum[part];
#endif
    }
  }
  return sum;
}

CPU_TARGET void
widen_multiply (float *y, const float *x, const uchar *w, const uchar *ws, int N, int K, int first, int last)
{
  const int blocks = K / 32;
  Wide wide;

  for (int b = 0; b < blocks; b++)
    widen_block (&wide, b, x + b * 32);
  for (long p = first; p < last; p++)
    store_columns (y + p * PANEL, dot_wide (&wide, w + p * PANEL_BYTES (K), ws + p * SCALE_BYTES (K), blocks),
        N - p * PANEL);
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int24_gemv (TENSOR (y), TENSOR (x), __global const uchar *data, __global const uchar *scales, const int N,
    const int K, const int n_panels, const int group_panels)
{
  const int first = get_group_id (0) * group_panels;

  widen_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), FLAT (const uchar, data),
      FLAT (const uchar, scales), N, K, first, min (first + group_panels, n_panels));
}
#endif
