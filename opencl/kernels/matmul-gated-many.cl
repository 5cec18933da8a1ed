// y [M][N] = gelu (max (0, gate - cutoff)) * (x [M][K] * w^T) on a CPU, w in rows (OCL_LAYOUT_ROWS): of all these products
// of a row of x and one of w, only those whose gate is open. Rows lie in 16 lanes of K / 512 blocks each, so that a product
// is one of vectors, whose lanes are added at the end. K is a multiple of 512, N of 16. With -DINT24, x keeps 24 bits. BAND
// panels are taken at a time (matmul-sparse.c).
#include "int8.clh"
#include "lines.clh"
#include "exp.clh"
#include "rows.clh"
#include "sparse.clh"
#include "row.clh"

#define AHEAD 6                 // rows of y, each in other pages, that are on their way

#define LOAD_INT(p) as_int16 (LOAD_UINT (p))

// ---- rows of x -------------------------------------------------------------------------------

// [16][n] -> [n][16]
INLINE void
to_lanes (uint *out, const uint *in, int n)
{
  for (int i = 0; i < n; i++)
    for (int lane = 0; lane < 16; lane++)
      out[i * 16 + lane] = in[lane * n + i];
}

#define TO_LANES(member, n) to_lanes ((uint *) to->member, (const uint *) row.member, n)

CPU_TARGET void
prepare_lanes (Row *to, const float *x, int K)
{
  const int blocks = K / 512;
  Row row;

  prepare (&row, x, K / 32);
  for (int d = 0; d < DIGITS; d++)
    TO_LANES (q[d], blocks * 8);
  TO_LANES (scale, blocks);
#if defined (INT24) && !defined (WITH_OFFSET)
  TO_LANES (high, blocks * PARTS);
  TO_LANES (low, blocks * PARTS);
#else
  TO_LANES (sums, blocks * PARTS);
#endif
}

// Row m of x, and what its gates let through.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_gated_prepare (TENSOR (y), TENSOR (gate), TENSOR (x), __global Row *rows, const int K, const int N, const int n_gates,
    const int first_gate, const float sparsity)
{
  const int m = get_group_id (0);

  open_gates (ROW (y, m), ROW (gate, m) + first_gate, N, cutoff_of (ROW (gate, m), n_gates, sparsity));
  prepare_lanes (FLAT (Row, rows + m), FLAT (const float, ROW (x, m)), K);
}

// ---- rows of w -------------------------------------------------------------------------------

typedef struct
{
  uint16 quads[GEMV_COLS / 64];
  float16 scales[GEMV_COLS / 512 * PARTS];
#ifdef WITH_OFFSET
  float16 offsets[GEMV_COLS / 512 * PARTS];
#endif
} Lanes;

// The bytes of a row.
INLINE void
unpack_row (Lanes *to, const uchar *row, int blocks)
{
  uchar lines[LINES_ROOM (GEMV_COLS / 16)] __attribute__ ((aligned (64)));
  const uchar *lanes[16];

  for (int lane = 0; lane < 16; lane++)
    lanes[lane] = row + lane * blocks * BITS * 4;
  lines_of_rows (lines, lanes, 0, blocks * BITS);
  for (int b = 0; b < blocks; b++)
    UNROLL
    for (int c = 0; c < 4; c++)
      load_quads (to->quads + b * 8 + c * 2, lines + b * BLOCK_BYTES, c);
}

#define UNPACK_SCALES(member, load) \
  for (int lane = 0; lane < 16; lane++) \
    v[lane] = as_uint16 (load (ws, (lane * blocks + part / PARTS) * PARTS + part % PARTS)); \
  transpose (v); \
  for (int r = 0; r < PANEL; r++) \
    to[r].member[part] = as_float16 (v[r]);

// The scales of the rows of a panel.
INLINE void
unpack_scales (Lanes *to, const uchar *ws, int blocks)
{
  uint16 v[16];

  for (int part = 0; part < blocks * PARTS; part++) {
    UNPACK_SCALES (scales, load_scale)
#ifdef WITH_OFFSET
    UNPACK_SCALES (offsets, load_offset)
#endif
  }
}

// ---- products --------------------------------------------------------------------------------

// Where sums of products of a part begin, by digit.
INLINE void
begin_lanes (int16 *total, const Row *x, long part)
{
  UNROLL
  for (int d = 0; d < DIGITS; d++)
    total[d] = 0;
#ifndef WITH_OFFSET
#ifdef INT24
  total[0] = LOAD_INT (x->low + part * 16);
  total[2] = LOAD_INT (x->high + part * 16);
#else
  total[0] = LOAD_INT (x->sums + part * 16);
#endif
#endif
}

INLINE float16
end_lanes (const int16 *total, const Lanes *w, const Row *x, long part)
{
  float16 sum = join_digits (total) * (w->scales[part] * LOAD_FLOAT (x->scale + part / PARTS * 16));

#ifdef WITH_OFFSET
  sum += w->offsets[part] * LOAD_FLOAT (x->sums + part * 16);
#endif
  return sum;
}

INLINE float
multiply_lanes (const Lanes *w, const Row *x, int blocks)
{
  float16 sum = 0;

  for (long b = 0; b < blocks; b++)
    UNROLL
    for (int h = 0; h < PARTS; h++) {
      int16 total[DIGITS];

      begin_lanes (total, x, b * PARTS + h);
      UNROLL
      for (int first = h * PART; first < (h + 1) * PART; first += RUN)
        UNROLL
        for (int d = 0; d < DIGITS; d++) {
          Sums run = BEGIN (total[d]);

          UNROLL
          for (int i = first / 4; i < (first + RUN) / 4; i++)
            run = ADD (run, w->quads[b * 8 + i], LOAD_UINT (x->q[d] + (b * 8 + i) * 64));
          total[d] = END (total[d], run);
        }
      sum += end_lanes (total, w, x, b * PARTS + h);
    }
  return sum_lanes (sum);
}

// Rows of w, unpacked when they are first wanted: bit r % 16 of rows[r / 16] says which are.
typedef struct
{
  Lanes rows[BAND * PANEL];
  uint unpacked[BAND];
} Band;

INLINE const Lanes *
row_of (Band *band, int r, const Panels *w, int first, int blocks)
{
  const long panel = first + r / PANEL;
  uint *unpacked = &band->unpacked[r / PANEL];

  if (!*unpacked)
    unpack_scales (&band->rows[r / PANEL * PANEL], w->scales + panel * w->scale_step, blocks);
  if (!(*unpacked >> r % PANEL & 1))
    unpack_row (&band->rows[r], w->data + panel * w->step + r % PANEL * (w->step / PANEL), blocks);
  *unpacked |= 1u << r % PANEL;
  return &band->rows[r];
}

// What is open of a row of y, times its products.
INLINE void
multiply_row (float *y, const Row *x, Band *band, const Panels *w, int first, int n_panels, int blocks)
{
  ulong open = 0;

  for (int j = 0; j < n_panels; j++)
    open |= (ulong) not_zero (LOAD_FLOAT (y + j * PANEL)) << j * PANEL;
  for (; open; open &= open - 1) {
    const int r = __builtin_ctzl (open);

    y[r] *= multiply_lanes (row_of (band, r, w, first, blocks), x, blocks);
  }
}

CPU_TARGET void
multiply_open (float *y, long ys, const Row *x, const Panels *w, int M, int K, int first, int last)
{
  Band band;

  for (int p = first; p < last; p += BAND) {
    for (int j = 0; j < BAND; j++)
      band.unpacked[j] = 0;
    for (int m = 0; m < M; m++) {
      for (int j = 0; j < BAND; j++)
        __builtin_prefetch (y + (m + AHEAD) * ys + (p + j) * PANEL, 1);
      multiply_row (y + m * ys + p * PANEL, x + m, &band, w, p, min (last - p, BAND), K / 512);
    }
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_gated_many (TENSOR (y), __global const Row *x, PANELS (w), const int M, const int K, const int n_panels,
    const int group_panels)
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  multiply_open (FLAT (float, ROW (y, 0)), y_stride, FLAT (const Row, x), &panels, M, K, first,
      min (first + group_panels, n_panels));
}
