// y [M][N] = x [M][K] * w^T on a CPU with 8-bit activations, by the dot products of int8.clh. For a few rows of x the
// weights go from memory through registers into sums. For more, KC columns of NP panels are unpacked to bytes in
// the first-level cache, once for all rows.
#include "int8.clh"
#include "lines.clh"
#include "step.clh"

#ifndef STEPS
// ---- activations ---------------------------------------------------------------------------

// Row m: K bytes at q, K / 32 scales, K / PART sums.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_quantize (TENSOR (x), __global char *q, const ulong scales_at, const ulong sums_at, const int K, const int M)
{
  const long m = get_group_id (0);
  const int blocks = K / 32;

  quantize (FLAT (char, q + m * K), FLAT (float, q + scales_at) + m * blocks,
      FLAT (PartSum, q + sums_at) + m * blocks * PARTS, FLAT (const float, ROW (x, m)), blocks);
}

// A scale of x is 2^e (1 + fraction / FRACTIONS). Sums of products begin at the bits of a float so large that its last bit
// is 2^e, and end as that float and 2^e times the sum; the scales of w times the rest are looked up. So scales of x cost
// no multiplication.
#define FRACTIONS 16
typedef struct
{
  float large;
  uint fraction;
} Scale;
#define SCALE(x) ((Scale) { as_float ((as_uint (x) & 0x7f800000) + 0xbc00000), as_uint (x) >> 19 & (FRACTIONS - 1) })
#ifdef WITH_OFFSET
#define BEGINNING(sum, large) (sum)
#define FIRST_MANY(sum, large) as_int (large)
#else
#define BEGINNING(sum, large) (as_int (large) + (sum))
#define FIRST_MANY(sum, large) (sum)
#endif

// As it is, but what MR rows have for the same columns is side by side: words of four bytes, scales, sums or where sums
// of products begin.
CPU_TARGET void
quantize_many (uint *q, Scale *scales, PartSum *sums, const float *x, long xs, int n_rows, int n_blocks)
{
  for (int b = 0; b < n_blocks; b++, q += 8 * MR, scales += MR, sums += PARTS * MR, x += 32) {
    union { char bytes[32]; uint words[8]; } rows[MR];

    for (int i = 0; i < n_rows; i++) {
      PartSum of_parts[PARTS];
      float scale;

      quantize_block (rows[i].bytes, &scale, of_parts, x + i * xs);
      scales[i] = SCALE (scale);
      for (int h = 0; h < PARTS; h++)
        sums[h * MR + i] = BEGINNING (of_parts[h], scales[i].large);
    }
    for (int w = 0; w < 8; w++)
      for (int i = 0; i < MR; i++)
        q[w * MR + i] = rows[i].words[w];
  }
}

// MR rows from m: MR * K bytes at q + m * K, scales at m * (K / 32), sums at m * (K / PART).
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_quantize_many (TENSOR (x), __global char *q, const ulong scales_at, const ulong sums_at, const int K, const int M)
{
  const long m = get_group_id (0) * MR;
  const int blocks = K / 32;

  quantize_many (FLAT (uint, q + m * K), FLAT (Scale, q + scales_at) + m * blocks,
      FLAT (PartSum, q + sums_at) + m * blocks * PARTS, FLAT (const float, ROW (x, m)), x_stride, min (M - (int) m, MR),
      blocks);
}

#endif
// ---- a few rows ----------------------------------------------------------------------------

#define KC PIECE
#define GATHERED 16             // panels at a time, of those whose lines are not side by side

// A piece of n_panels: n columns from k on.
INLINE void
multiply_piece (float *y, long ys, const char *q, const float *scales, const PartSum *sums, const Panels *piece, int M, int K,
    int k, int n, int n_panels, int cols)
{
  for (int p = 0; p < n_panels; p += NP) {
    const uchar *panels[NP], *panel_scales[NP];

    for (int j = 0; j < NP; j++) {
      const long panel = min (p + j, n_panels - 1);     // a panel past the last is computed, not stored

      panels[j] = piece->data + panel * piece->step;
      panel_scales[j] = piece->scales + panel * piece->scale_step;
    }
    tiles (y + p * PANEL, ys, q + k, scales + k / 32, sums + k / PART, panels, panel_scales, M, n / 32, K / 32, k == 0,
        cols - p * PANEL);
  }
}

CPU_TARGET void
multiply (float *y, long ys, const char *q, const float *scales, const PartSum *sums, const Panels *w, int M, int N,
    int K, int first, int last)
{
  const int plain = w->line == LINE, step = plain ? K : KC, panels = plain ? last - first : GATHERED;
  ROOM (room, GATHERED);

  for (int p = first; p < last; p += panels)
    for (int k = 0; k < K; k += step) {
      const int n_panels = min (last - p, panels), n = min (K - k, step);
      const Panels piece = piece_of (w, p, n_panels, k, n, room_lines, room_scales);

      multiply_piece (y + p * PANEL, ys, q, scales, sums, &piece, M, K, k, n, n_panels, min (N, last * PANEL) - p * PANEL);
    }
}

#ifndef STEPS
// ---- many rows -----------------------------------------------------------------------------

#define KCHUNK 2048             // columns of ROWS rows of x that all panels take before the next ones
#define LAYOUT_MANY ((Layout) { 1, MR })

// KC columns of a panel.
typedef struct
{
  uint16 quads[KC / 4];
  float16 scales[KC / PART][FRACTIONS];         // times 1 + fraction / FRACTIONS
#ifdef WITH_OFFSET
  float16 offsets[KC / PART];
#endif
} Unpacked;

INLINE void
unpack (Unpacked *to, const uchar *w, const uchar *ws, int n_blocks)
{
  for (int b = 0; b < n_blocks; b++, w += BLOCK_BYTES) {
    UNROLL
    for (int c = 0; c < 4; c++)
      load_quads (to->quads + b * 8 + c * 2, w, c);
    UNROLL
    for (int h = 0; h < PARTS; h++) {
      const float16 scale = load_scale (ws, b * PARTS + h);

      UNROLL
      for (int k = 0; k < FRACTIONS; k++)
        to->scales[b * PARTS + h][k] = scale * (1 + (float) k / FRACTIONS);
#ifdef WITH_OFFSET
      to->offsets[b * PARTS + h] = load_offset (ws, b * PARTS + h);
#endif
    }
  }
}

// y [R][NP * PANEL]: R rows by NP panels, n_blocks of columns. The sums begin at 0 if @begin, else at what y has.
INLINE void
add_tile (const int R, float *y, const char *q, const Scale *scales, const PartSum *sums, const Unpacked *w, int n_blocks,
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

      UNROLL
      for (int i = 0; i < R; i++)
        UNROLL
        for (int j = 0; j < NP; j++)
          total[i][j] = (int16) (FIRST_MANY (sums[(b * PARTS + h) * MR + i], scales[b * MR + i].large));
      multiply_part (R, total, q, quads, b, h, LAYOUT_MANY, 1);
      UNROLL
      for (int i = 0; i < R; i++)
        UNROLL
        for (int j = 0; j < NP; j++) {
          const Scale scale = scales[b * MR + i];

          acc[i][j] += (as_float16 (total[i][j]) - scale.large) * w[j].scales[b * PARTS + h][scale.fraction];
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
  CPU_TARGET void add_tile_##R (float *y, const char *q, const Scale *scales, const PartSum *sums, const Unpacked *w, \
      int n_blocks, int begin) \
  { add_tile (R, y, q, scales, sums, w, n_blocks, begin); }
ADD_TILE (1) ADD_TILE (2) ADD_TILE (3) ADD_TILE (4)
#if MR == 6
ADD_TILE (5) ADD_TILE (6)
#endif

// M rows. q, scales and sums begin with the columns; tiles of them are K columns apart.
INLINE void
add_tiles (float *y, const char *q, const Scale *scales, const PartSum *sums, const Unpacked *w, int M, int K, int n_blocks,
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

// out [n_tiles][ROWS * NP * PANEL] = sums over the columns of a chunk, of NP panels from p each.
INLINE void
multiply_chunk (float (*out)[ROWS * NP * PANEL], const char *q, const Scale *scales, const PartSum *sums, const Panels *w,
    int M, int K, int chunk, int p, int n_tiles, int last)
{
  const int n_panels = min (n_tiles * NP, last - p);
  Unpacked block[NP] __attribute__ ((aligned (64)));
  ROOM (room, TILES * NP);

  for (int k = chunk; k < min (K, chunk + KCHUNK); k += KC) {
    const int n = min (K - k, KC);
    const Panels piece = piece_of (w, p, n_panels, k, n, room_lines, room_scales);

    for (int t = 0; t < n_tiles; t++) {
      for (int j = 0; j < NP; j++) {
        const long panel = min (t * NP + j, n_panels - 1);      // a panel past the last is computed, not stored

        unpack (&block[j], piece.data + panel * piece.step, piece.scales + panel * piece.scale_step, n / 32);
      }
      add_tiles (out[t], q + k * MR, scales + k / 32 * MR, sums + k / PART * MR, block, M, K, n / 32, k == chunk);
    }
  }
}

// M rows, at most ROWS. Rows of y are far apart and would drive each other out of the cache: sums are kept side by side,
// and go to y some hundred columns at a time.
INLINE void
multiply_rows (float *y, long ys, const char *q, const Scale *scales, const PartSum *sums, const Panels *w, int M, int N,
    int K, int first, int last)
{
  float out[TILES][ROWS * NP * PANEL] __attribute__ ((aligned (64)));

  for (int chunk = 0; chunk < K; chunk += KCHUNK) {
    for (int p = first; p < last; p += TILES * NP) {
      const int n_tiles = min ((last - p + NP - 1) / NP, TILES);

      multiply_chunk (out, q, scales, sums, w, M, K, chunk, p, n_tiles, last);
      for (int m = 0; m < M; m++)
        put_row (y + m * ys + p * PANEL, out[0] + m * NP * PANEL, n_tiles, min (N, last * PANEL) - p * PANEL, chunk == 0);
    }
  }
}

CPU_TARGET void
multiply_many (float *y, long ys, const char *q, const Scale *scales, const PartSum *sums, const Panels *w, int M, int N,
    int K, int first, int last)
{
  const long blocks = K / 32;

  for (int m = 0; m < M; m += ROWS)
    multiply_rows (y + m * ys, ys, q + (long) m * K, scales + m * blocks, sums + m * blocks * PARTS, w, min (M - m, ROWS), N,
        K, first, last);
}

#define MULTIPLY(kernel, function, ScaleOfX) \
  __kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void \
  kernel (TENSOR (y), __global const char *q, const ulong scales_at, const ulong sums_at, PANELS (w), const int M, \
      const int N, const int K, const int n_panels, const int group_panels, const int group_rows) \
  { \
    const int first = get_group_id (0) * group_panels, blocks = K / 32; \
    const long row = get_group_id (1) * group_rows; \
    const Panels panels = FLAT_PANELS (w); \
    function (FLAT (float, ROW (y, row)), y_stride, FLAT (const char, q + row * K), \
        FLAT (const ScaleOfX, q + scales_at) + row * blocks, FLAT (const PartSum, q + sums_at) + row * blocks * PARTS, \
        &panels, min (M - (int) row, group_rows), N, K, first, min (first + group_panels, n_panels)); \
  }
MULTIPLY (matmul_int8, multiply, float)
MULTIPLY (matmul_int8_many, multiply_many, Scale)

#endif
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

KERNEL (matmul_int8_gemv, TENSOR_ARG (y), TENSOR_ARG (x), PANELS_ARG (w), INT_ARG (N), INT_ARG (K),
    INT_ARG (n_panels), INT_ARG (group_panels))
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  quantize_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, N, K, first,
      min (first + group_panels, n_panels));
}

// ---- one row of x in 24 bits ---------------------------------------------------------------

#if BITS < 8
#include "int24.clh"

CPU_TARGET void
widen_multiply (float *y, const float *x, const Panels *w, int N, int K, int first, int last)
{
  const int blocks = K / 32;
  Wide wide;

  widen (&wide, x, blocks);
  for (long p = first; p < last; p++)
    store_columns (y + p * PANEL, dot_wide (&wide, w->data + p * w->step, w->scales + p * w->scale_step, blocks),
        N - p * PANEL);
}

KERNEL (matmul_int24_gemv, TENSOR_ARG (y), TENSOR_ARG (x), PANELS_ARG (w), INT_ARG (N), INT_ARG (K),
    INT_ARG (n_panels), INT_ARG (group_panels))
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  widen_multiply (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, N, K, first,
      min (first + group_panels, n_panels));
}
#endif
