// y [1][N] = gelu (max (0, gate - cutoff)) * (x [1][K] * w^T) on a CPU: as in matmul-int8.cl, but panels whose 16 gates are
// all closed are not read. N is a multiple of 16. With -DINT24, x keeps 24 bits.
#include "int8.clh"
#include "rows.clh"
#include "step.clh"
#include "sparse.clh"
#ifdef INT24
#include "int24.clh"
#endif

INLINE int
is_open (const float *gates)
{
  return largest (LOAD_FLOAT (gates), LOAD_FLOAT (gates)) > 0;
}

INLINE void
multiply_by (float *y, float16 v)
{
  STORE_FLOAT (y, LOAD_FLOAT (y) * v);
}

// Panels first .. last - 1 of y, which has what the gates let through.
#ifdef INT24
CPU_TARGET void
multiply_open (float *y, const float *x, const Panels *w, int K, int first, int last)
{
  const int blocks = K / 32;
  Wide wide;

  widen (&wide, x, blocks);
  for (long p = first; p < last; p++)
    if (is_open (y + p * PANEL))
      multiply_by (y + p * PANEL, dot_wide (&wide, w->data + p * w->step, w->scales + p * w->scale_step, blocks));
}
#else
CPU_TARGET void
multiply_open (float *y, const float *x, const Panels *w, int K, int first, int last)
{
  const int blocks = K / 32;
  char q[GEMV_COLS] __attribute__ ((aligned (64)));
  float scales[GEMV_COLS / 32], out[NP * PANEL];
  PartSum sums[GEMV_COLS / PART];

  quantize (q, scales, sums, x, blocks);
  for (int p = first; p < last;) {
    const uchar *panels[NP], *panel_scales[NP];
    long open[NP];
    int n = 0;

    for (; p < last && n < NP; p++)
      if (is_open (y + p * PANEL))
        open[n++] = p;
    if (n == 0)
      return;
    for (int j = 0; j < NP; j++) {
      const long panel = open[min (j, n - 1)];          // one that is missing is computed, not stored

      panels[j] = w->data + panel * w->step;
      panel_scales[j] = w->scales + panel * w->scale_step;
    }
    tile_1 (out, 0, q, scales, sums, panels, panel_scales, blocks, blocks, 1, NP * PANEL);
    for (int j = 0; j < n; j++)
      multiply_by (y + open[j] * PANEL, LOAD_FLOAT (out + j * PANEL));
  }
}
#endif

// The cutoff is found by every group for itself: cheaper than a launch and waiting for it.
KERNEL (matmul_gated, TENSOR_ARG (y), TENSOR_ARG (gate), TENSOR_ARG (x), PANELS_ARG (w), INT_ARG (K),
    INT_ARG (n_panels), INT_ARG (group_panels), INT_ARG (first_row), INT_ARG (n_gates), FLOAT_ARG (sparsity))
{
  const int first = get_group_id (0) * group_panels, last = min (first + group_panels, n_panels);
  const float cutoff = cutoff_of (ROW (gate, 0), n_gates, sparsity);
  const Panels panels = FLAT_PANELS (w);

  for (int c = first * PANEL; c < last * PANEL; c += PANEL) {
    const float16 v = fmax (vload16 (0, ROW (gate, 0) + first_row + c) - cutoff, 0.f);

    vstore16 (GELU (v), 0, ROW (y, 0) + c);
  }
  multiply_open (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, K, first, last);
}
