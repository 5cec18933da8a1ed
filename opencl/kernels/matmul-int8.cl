// y [M][N] = x [M][K] * w^T on a CPU with 8-bit activations: each 32 values of x become a scale and 32
// signed bytes, and meet the unsigned bytes of quantized weights in integer dot products. For a few rows of x the
// weights go from memory through registers into sums. For more, KC columns of NP panels are unpacked to bytes in
// the first-level cache, once for all rows.
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
#define KC 256
#define KCHUNK 2048             // columns of ROWS rows of x that all panels take before the next ones: they stay in the
#define ROWS (40 * MR)          // second-level cache
#define TILES 4                 // of NP panels

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

// As it is, but what MR rows have for the same columns is side by side: words of four bytes, scales, sums.
CPU_TARGET void
quantize_many (uint *q, float *scales, PartSum *sums, const float *x, int n_blocks)
{
  for (int b = 0; b < n_blocks; b++, q += 8 * MR, scales += MR, sums += PARTS * MR, x += 32) {
    union { char bytes[32]; uint words[8]; } block;
    PartSum of_parts[PARTS];

    quantize_block (block.bytes, scales, of_parts, x);
    for (int i = 0; i < 8; i++)
      q[i * MR] = block.words[i];
    for (int h = 0; h < PARTS; h++)
      sums[h * MR] = of_parts[h];
  }
}

// MR rows from m: MR * K bytes at q + m * K, scales at m * (K / 32), sums at m * (K / PART).
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_quantize_many (TENSOR (x), __global char *q, const ulong scales_at, const ulong sums_at, const int K)
{
  const long m = get_group_id (0), first = m / MR * MR, i = m % MR;
  const int blocks = K / 32;

  quantize_many (FLAT (uint, q + first * K) + i, FLAT (float, q + scales_at) + first * blocks + i,
      FLAT (PartSum, q + sums_at) + first * blocks * PARTS + i, FLAT (const float, ROW (x, m)), blocks);
}

// ---- product -------------------------------------------------------------------------------

// Words 2 c and 2 c + 1 of block b of the panel at w, which may be unpacked.
INLINE void
get_quads (uint16 *quads, const uchar *w, long b, const int c, const int unpacked)
{
  if (unpacked) {
    quads[0] = LOAD_UINT (w + b * 512 + c * 128);
    quads[1] = LOAD_UINT (w + b * 512 + c * 128 + 64);
  } else {
    load_quads (quads, w + b * BLOCK_BYTES, c);
  }
}

// Where the words of four bytes and the sums of x are: of row i at i * row, of column c at c * column.
typedef struct
{
  long word_row, word_column, sum_row, sum_column;
} Layout;
#define LAYOUT_FEW ((Layout) { K / 4, 1, K / 32 * PARTS, 1 })
#define LAYOUT_MANY ((Layout) { 1, MR, 1, MR })

// total [R][NP] = the sums of products of part h of block b of x, and of w.
INLINE void
multiply_part (const int R, int16 (*total)[NP], const char *q, const PartSum *sums, const uchar *const *w, int b, const int h,
    const Layout at, const int unpacked)
{
  const uint *a = (const uint *) q + b * 8 * at.word_column;

  UNROLL
  for (int i = 0; i < R; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      total[i][j] = (int16) (FIRST (sums[i * at.sum_row + (b * PARTS + h) * at.sum_column]));
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
        get_quads (quads[j], w[j], b, c, unpacked);
      UNROLL
      for (int odd = 0; odd < 2; odd++) // what depends on each other is far apart
        UNROLL
        for (int i = 0; i < R; i++)
          UNROLL
          for (int j = 0; j < NP; j++)
            run[i][j] = ADD (run[i][j], quads[j][odd], a[i * at.word_row + (2 * c + odd) * at.word_column]);
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

      multiply_part (R, total, q, sums, w, b, h, LAYOUT_FEW, 0);
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
multiply (float *y, long ys, const char *q, const float *scales, const PartSum *sums, const Panels *w, int M, int N,
    int K, int first, int last)
{
  const int blocks = K / 32;

  for (int p = first; p < last; p += NP) {
    const uchar *panels[NP];
    const uchar *panel_scales[NP];
    const int cols = min (N, last * PANEL) - p * PANEL;

    for (int j = 0; j < NP; j++) {
      const long panel = min (p + j, last - 1);         // a panel past the last is computed, not stored

      panels[j] = w->data + panel * w->step;
      panel_scales[j] = w->scales + panel * w->scale_step;
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

// ---- many rows -----------------------------------------------------------------------------

// KC columns of a panel.
typedef struct
{
  uint16 quads[KC / 4];
  float16 scales[KC / PART];
#ifdef WITH_OFFSET
  float16 offsets[KC / PART];
#endif
} Unpacked;

// n_blocks from first.
INLINE void
unpack (Unpacked *to, const uchar *w, const uchar *ws, int first, int n_blocks)
{
  w += (long) first * BLOCK_BYTES;
  for (int b = 0; b < n_blocks; b++, w += BLOCK_BYTES) {
    UNROLL
    for (int c = 0; c < 4; c++)
      load_quads (to->quads + b * 8 + c * 2, w, c);
    UNROLL
    for (int h = 0; h < PARTS; h++) {
      to->scales[b * PARTS + h] = load_scale (ws, (first + b) * PARTS + h);
#ifdef WITH_OFFSET
      to->offsets[b * PARTS + h] = load_offset (ws, (first + b) * PARTS + h);
#endif
    }
  }
}

// y [R][NP * PANEL]: R rows by NP panels, n_blocks of columns. The sums begin at 0 if @begin, else at what y has.
INLINE void
add_tile (const int R, float *y, const char *q, const float *scales, const PartSum *sums, const Unpacked *w, int n_blocks,
    int begin)
{
  const uchar *quads[NP];
  float16 acc[MR][NP];

  UNROLL
  for (int j = 0; j < NP; j++)
    quads[j] = (const uchar *) w[j].quads;
  UNROLL
  for (int i = 0; i < R; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      acc[i][j] = 0;
  for (int b = 0; b < n_blocks; b++) {
    UNROLL
    for (int h = 0; h < PARTS; h++) {
      int16 total[MR][NP];

      multiply_part (R, total, q, sums, quads, b, h, LAYOUT_MANY, 1);
      UNROLL
      for (int i = 0; i < R; i++)
        UNROLL
        for (int j = 0; j < NP; j++) {
          acc[i][j] += __builtin_convertvector (total[i][j], float16) * (w[j].scales[b * PARTS + h] * scales[b * MR + i]);
#ifdef WITH_OFFSET
          acc[i][j] += w[j].offsets[b * PARTS + h] * sums[(b * PARTS + h) * MR + i];
#endif
        }
    }
  }
  UNROLL
  for (int i = 0; i < R; i++) {
    UNROLL
    for (int j = 0; j < NP; j++) {
      float *out = y + (i * NP + j) * PANEL;

      STORE_FLOAT (out, begin ? acc[i][j] : acc[i][j] + LOAD_FLOAT (out));
    }
  }
}

#define ADD_TILE(R) \
  CPU_TARGET void add_tile_##R (float *y, const char *q, const float *scales, const PartSum *sums, const Unpacked *w, \
      int n_blocks, int begin) \
  { add_tile (R, y, q, scales, sums, w, n_blocks, begin); }
ADD_TILE (1) ADD_TILE (2) ADD_TILE (3) ADD_TILE (4)
#if MR == 6
ADD_TILE (5) ADD_TILE (6)
#endif

// M rows. q, scales and sums begin with the columns; tiles of them are K columns apart.
INLINE void
add_tiles (float *y, const char *q, const float *scales, const PartSum *sums, const Unpacked *w, int M, int K, int n_blocks,
    int begin)
{
  const long blocks = K / 32;

  for (int m = 0; m < M; m += MR) {
    switch (min (M - m, MR)) {
      case 1: add_tile_1 (y, q, scales, sums, w, n_blocks, begin); break;
      case 2: add_tile_2 (y, q, scales, sums, w, n_blocks, begin); break;
      case 3: add_tile_3 (y, q, scales, sums, w, n_blocks, begin); break;
      case 4: add_tile_4 (y, q, scales, sums, w, n_blocks, begin); break;
#if MR == 6
      case 5: add_tile_5 (y, q, scales, sums, w, n_blocks, begin); break;
      case 6: add_tile_6 (y, q, scales, sums, w, n_blocks, begin); break;
#endif
    }
    y += MR * NP * PANEL;
    q += MR * blocks * 32;
    scales += MR * blocks;
    sums += MR * blocks * PARTS;
  }
}

// out [M][NP * PANEL] = sums over the columns of a chunk, of NP panels from p.
INLINE void
multiply_chunk (float *out, const char *q, const float *scales, const PartSum *sums, const Panels *w, int M, int K, int chunk,
    int p, int last)
{
  Unpacked block[NP] __attribute__ ((aligned (64)));

  for (int k = chunk; k < min (K, chunk + KCHUNK); k += KC) {
    const int n_blocks = min (K - k, KC) / 32;

    for (int j = 0; j < NP; j++) {
      const long panel = min (p + j, last - 1);         // a panel past the last is computed, not stored

      unpack (&block[j], w->data + panel * w->step, w->scales + panel * w->scale_step, k / 32, n_blocks);
    }
    add_tiles (out, q + k * MR, scales + k / 32 * MR, sums + k / PART * MR, block, M, K, n_blocks, k == chunk);
  }
}

// y [cols] = or += n_tiles times NP * PANEL sums.
INLINE void
put_row (float *y, const float *sums, int n_tiles, int cols, int begin)
{
  for (int t = 0; t < n_tiles; t++, sums += ROWS * NP * PANEL) {
    UNROLL
    for (int j = 0; j < NP; j++, y += PANEL, cols -= PANEL) {
      if (begin)
        store_columns (y, LOAD_FLOAT (sums + j * PANEL), cols);
      else
        add_columns (y, LOAD_FLOAT (sums + j * PANEL), cols);
    }
  }
}

// M rows, at most ROWS. Rows of y are far apart and would drive each other out of the cache: sums are kept side by side,
// and go to y some hundred columns at a time.
INLINE void
multiply_rows (float *y, long ys, const char *q, const float *scales, const PartSum *sums, const Panels *w, int M, int N,
    int K, int first, int last)
{
  float out[TILES][ROWS * NP * PANEL] __attribute__ ((aligned (64)));

  for (int chunk = 0; chunk < K; chunk += KCHUNK) {
    for (int p = first; p < last; p += TILES * NP) {
      const int n_tiles = min ((last - p + NP - 1) / NP, TILES);

      for (int t = 0; t < n_tiles; t++)
        multiply_chunk (out[t], q, scales, sums, w, M, K, chunk, p + t * NP, last);
      for (int m = 0; m < M; m++)
        put_row (y + m * ys + p * PANEL, out[0] + m * NP * PANEL, n_tiles, min (N, last * PANEL) - p * PANEL, chunk == 0);
    }
  }
}

CPU_TARGET void
multiply_many (float *y, long ys, const char *q, const float *scales, const PartSum *sums, const Panels *w, int M, int N,
    int K, int first, int last)
{
  const long blocks = K / 32;

  for (int m = 0; m < M; m += ROWS)
    multiply_rows (y + m * ys, ys, q + (long) m * K, scales + m * blocks, sums + m * blocks * PARTS, w, min (M - m, ROWS), N,
        K, first, last);
}

#define MULTIPLY(kernel, function) \
  __kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void \
  kernel (TENSOR (y), __global const char *q, const ulong scales_at, const ulong sums_at, PANELS (w), const int M, \
      const int N, const int K, const int n_panels, const int group_panels, const int group_rows) \
  { \
    const int first = get_group_id (0) * group_panels, blocks = K / 32; \
    const long row = get_group_id (1) * group_rows; \
    const Panels panels = FLAT_PANELS (w); \
    function (FLAT (float, ROW (y, row)), y_stride, FLAT (const char, q + row * K), \
        FLAT (const float, q + scales_at) + row * blocks, FLAT (const PartSum, q + sums_at) + row * blocks * PARTS, \
        &panels, min (M - (int) row, group_rows), N, K, first, min (first + group_panels, n_panels)); \
  }
MULTIPLY (matmul_int8, multiply)
MULTIPLY (matmul_int8_many, multiply_many)

// ---- one row of x --------------------------------------------------------------------------

// Quantized by every group for itself: cheaper than a launch and waiting for it.
CPU_TARGET void
quantize_multiply (float *y, const float *x, const Panels *w, int N, int K, int first, int last)
{
  char q[GEMV_COLS] __attribute__ ((aligned (64)));
  float scales[GEMV_COLS / 32];
  PartSum sums[GEMV_COLS / PART];

  quantize (q, scales, sums, x, K / 32);
  multiply (y, 0, q, scales, sums, w, 1, N, K, first, last);
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int8_gemv (TENSOR (y), TENSOR (x), PANELS (w), const int N, const int K, const int n_panels,
    const int group_panels)
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  quantize_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, N, K, first,
      min (first + group_panels, n_panels));
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
widen_multiply (float *y, const float *x, const Panels *w, int N, int K, int first, int last)
{
  const int blocks = K / 32;
  Wide wide;

  for (int b = 0; b < blocks; b++)
    widen_block (&wide, b, x + b * 32);
  for (long p = first; p < last; p++)
    store_columns (y + p * PANEL, dot_wide (&wide, w->data + p * w->step, w->scales + p * w->scale_step, blocks),
        N - p * PANEL);
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int24_gemv (TENSOR (y), TENSOR (x), PANELS (w), const int N, const int K, const int n_panels,
    const int group_panels)
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  widen_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, N, K, first,
      min (first + group_panels, n_panels));
}
#endif
