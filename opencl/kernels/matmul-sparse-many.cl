// y [M][N] = x [M][K] * w^T on a CPU, most of x being 0, M up to MOST_ROWS: x is packed to what is not 0, and SPAN columns of
// BAND panels of w at a time are unpacked to float32 and multiplied by that (matmul-sparse.c says how many these are).
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "quants.clh"
#include "lines.clh"
#include "unpack.clh"

// What is not 0 of SPAN columns of x, row after row: how many of each row, where in the span, and the values.
typedef struct
{
  uchar counts[MOST_ROWS], at[MOST_ROWS * SPAN];
  float values[MOST_ROWS * SPAN];
} Span;

// ---- x -----------------------------------------------------------------------------------------

CPU_TARGET void
pack_span (Span *to, const float *x, long xs, int M, int n)
{
  uchar *at = to->at;
  float *values = to->values;

  for (int m = 0; m < M; m++, x += xs) {
    const uchar *begin = at;

    for (int k = 0; k < n; k += 16)
      for (uint rest = not_zero (LOAD_FLOAT (x + k)); rest; rest &= rest - 1) {
        *at = k + __builtin_ctz (rest);
        *values++ = x[*at++];
      }
    to->counts[m] = at - begin;
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_sparse_pack (TENSOR (x), __global Span *spans, const int M, const int K)
{
  const int span = get_group_id (0), k = span * SPAN;

  pack_span (FLAT (Span, spans + span), FLAT (const float, ROW (x, 0)) + k, x_stride, M, min (K - k, SPAN));
}

// ---- product -----------------------------------------------------------------------------------

// n columns from k on of panels from p on; one past the last is another's.
INLINE void
unpack_band (float (*out)[SPAN * PANEL], const Panels *w, int p, int n_panels, int k, int n)
{
  ROOM (room, BAND);
  const Panels piece = piece_of (w, p, n_panels, k, n, room_lines, room_scales);

  for (int j = 0; j < BAND; j++) {
    const long panel = min (j, n_panels - 1);

    unpack_columns (out[j], piece.data + panel * piece.step, piece.scales + panel * piece.scale_step, k % SCALE_COLUMNS, n);
  }
}

INLINE void
add_span (float *sums, const Span *x, float (*w)[SPAN * PANEL], int M)
{
  const uchar *at = x->at;
  const float *values = x->values;

  for (int m = 0; m < M; m++, sums += BAND * PANEL) {
    const int n = x->counts[m];
    float16 acc[BAND];

    UNROLL
    for (int j = 0; j < BAND; j++)
      acc[j] = LOAD_FLOAT (sums + j * PANEL);
    for (int i = 0; i < n; i++)
      UNROLL
      for (int j = 0; j < BAND; j++)
        acc[j] += LOAD_FLOAT (w[j] + at[i] * PANEL) * values[i];
    UNROLL
    for (int j = 0; j < BAND; j++)
      STORE_FLOAT (sums + j * PANEL, acc[j]);
    at += n;
    values += n;
  }
}

CPU_TARGET void
multiply_sparse (float *y, long ys, const Span *x, const Panels *w, int M, int N, int K, int first, int last)
{
  float sums[MOST_ROWS * BAND * PANEL] __attribute__ ((aligned (64)));
  float columns[BAND][SPAN * PANEL] __attribute__ ((aligned (64)));

  for (int p = first; p < last; p += BAND) {
    for (int i = 0; i < M * BAND * PANEL; i++)
      sums[i] = 0;
    for (int k = 0; k < K; k += SPAN) {
      unpack_band (columns, w, p, min (last - p, BAND), k, min (K - k, SPAN));
      add_span (sums, x + k / SPAN, columns, M);
    }
    for (int m = 0; m < M; m++)
      for (int j = 0; j < min (last - p, BAND); j++)
        store_columns (y + m * ys + (p + j) * PANEL, LOAD_FLOAT (sums + (m * BAND + j) * PANEL), N - (p + j) * PANEL);
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_sparse_many (TENSOR (y), __global const Span *x, PANELS (w), const int M, const int N, const int K, const int n_panels,
    const int group_panels)
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  multiply_sparse (FLAT (float, ROW (y, 0)), y_stride, FLAT (const Span, x), &panels, M, N, K, first,
      min (first + group_panels, n_panels));
}
