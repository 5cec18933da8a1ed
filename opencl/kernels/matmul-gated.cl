// y [1][N] = gelu (max (0, gate - cutoff)) * (x [1][K] * w^T) on a CPU, w in rows (OCL_LAYOUT_ROWS): those whose gate is open
// are gathered, 16 to a panel, and multiplied as in matmul-int8.cl. N is a multiple of 16. With -DINT24, x keeps 24 bits.
#include "int8.clh"
#include "lines.clh"
#include "exp.clh"
#include "rows.clh"
#include "step.clh"
#include "sparse.clh"
#include "row.clh"

#ifdef INT24
#define GATHERED 1              // panels at a time
#else
#define GATHERED NP
#endif

typedef struct
{
  uchar lines[LINES_ROOM (GEMV_COLS)] __attribute__ ((aligned (64)));
  uchar scales[SCALES_ROOM (GEMV_COLS)];
} Gathered;

// Whatever is worked on meanwhile, these are on their way.
INLINE void
prefetch_rows (const uchar *const *rows, long bytes)
{
  for (int r = 0; r < PANEL; r++)
    for (long at = 0; at < bytes; at += LINE)
      __builtin_prefetch (rows[r] + at, 0, 3);
}

// The arrays of n values of a block of scales: lane @from becomes lane @to.
#define COPY_LANE(type, n) \
  for (int i = 0; i < (n); i++, out += PANEL * sizeof (type), s += PANEL * sizeof (type)) \
    ((type *) out)[to] = ((const type *) s)[from];

INLINE void
gather_scales (uchar *out, int to, const uchar *s, int from, int K)
{
  for (int k = 0; k < K; k += SCALE_COLUMNS) {
    COPY_LANE (ushort, ARRAYS)
#ifdef SUPER
    COPY_LANE (uchar, 256 / PART * ARRAYS)
#endif
  }
}

// Rows at [16] of w.
INLINE void
gather (Gathered *to, const Panels *w, const int *at, int K)
{
  const uchar *rows[PANEL];

  for (int r = 0; r < PANEL; r++)
    rows[r] = w->data + at[r] / PANEL * w->step + at[r] % PANEL * (w->step / PANEL);
  prefetch_rows (rows, LINES_AT (K) * 4);
  for (int r = 0; r < PANEL; r++)
    gather_scales (to->scales, r, w->scales + at[r] / PANEL * w->scale_step, at[r] % PANEL, K);
  lines_of_rows (to->lines, rows, 0, LINES_AT (K));
}

// Values at [n] of y, times their products; at has room for GATHERED * PANEL.
INLINE void
multiply_rows (float *y, const Row *x, const Panels *w, int K, int *at, int n)
{
  Gathered panels[GATHERED];
  float out[GATHERED * PANEL];

  for (int i = n; i < GATHERED * PANEL; i++)
    at[i] = at[n - 1];                  // one that is missing is computed, not stored
  for (int j = 0; j < GATHERED; j++)
    gather (&panels[j], w, at + j * PANEL, K);
#ifdef INT24
  STORE_FLOAT (out, dot_wide (x, panels[0].lines, panels[0].scales, K / 32));
#else
  const uchar *lines[NP], *scales[NP];

  for (int j = 0; j < NP; j++) {
    lines[j] = panels[j].lines;
    scales[j] = panels[j].scales;
  }
  tile_1 (out, 0, x->q[0], x->scale, x->sums, lines, scales, K / 32, K / 32, 1, NP * PANEL);
#endif
  for (int i = 0; i < n; i++)
    y[at[i]] *= out[i];
}

// Rows first .. last - 1 of y, which has what the gates let through.
CPU_TARGET void
multiply_open (float *y, const float *x, const Panels *w, int K, int first, int last)
{
  Row row;
  int at[GATHERED * PANEL], n = 0;

  prepare (&row, x, K / 32);
  for (int i = first; i < last; i++) {
    if (!(y[i] > 0))
      continue;
    at[n++] = i;
    if (n == GATHERED * PANEL) {
      multiply_rows (y, &row, w, K, at, n);
      n = 0;
    }
  }
  if (n > 0)
    multiply_rows (y, &row, w, K, at, n);
}

// The cutoff is found by every group for itself: cheaper than a launch and waiting for it.
KERNEL (matmul_gated, TENSOR_ARG (y), TENSOR_ARG (gate), TENSOR_ARG (x), PANELS_ARG (w), INT_ARG (K),
    INT_ARG (n_panels), INT_ARG (group_panels), INT_ARG (first_row), INT_ARG (n_gates), FLOAT_ARG (sparsity))
{
  const int first = get_group_id (0) * group_panels * PANEL;
  const int last = min (first + group_panels * PANEL, n_panels * PANEL);
  const float cutoff = cutoff_of (ROW (gate, 0), n_gates, sparsity);
  const Panels panels = FLAT_PANELS (w);

  open_gates (ROW (y, 0) + first, ROW (gate, 0) + first_row + first, last - first, cutoff);
  multiply_open (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, K, first, last);
}
