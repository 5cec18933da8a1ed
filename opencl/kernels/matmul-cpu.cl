// y [M][N] = x [M][K] * w^T on a CPU with fused multiply-add; w in panels of 16 rows, see pack.h.
// Built with -DTYPE_<type>. A work-item computes some panels for some rows of x.
//
// For a few rows of x the weights go from memory through registers into sums. For more, a block of KC
// columns of NP panels is turned to float32 in the first-level cache and multiplied with MR rows at a time.
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "gemm.clh"
#include "quants.clh"
#include "lines.clh"
#include "unpack.clh"
#include "step.clh"

#define KCHUNK 512              // columns of x that all panels take before the next ones

// ---- a panel times a row -----------------------------------------------------------------

#ifdef WHOLE_COLUMNS

INLINE float16
dot_panel (const float *x, const uchar *w, const uchar *s, int K)
{
  float16 sum[4] = { 0, 0, 0, 0 };
  int k = 0;

  for (; k + 4 <= K; k += 4)
    UNROLL
    for (int i = 0; i < 4; i++)
      sum[i] += COLUMN (w, k + i) * x[k + i];
  for (; k < K; k++)
    sum[0] += COLUMN (w, k) * x[k];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#else

INLINE float16
dot_panel (const float *x, const uchar *w, const uchar *s, int K)
{
  float16 sum = 0;
  int k = 0;

  for (; k + GROUP <= K; k += GROUP, w += PANEL_BYTES (GROUP)) {
    UNROLL
    for (int r = 0; r < GROUP; r += RUN) {
      float16 part[2] = { 0, 0 };

      UNROLL
      for (int c = r; c < r + RUN; c += 8) {
        float16 v[8];

        load_columns (v, w, c);
        UNROLL
        for (int i = 0; i < 8; i++)
          part[i & 1] += v[i] * x[k + c + i];
      }
      sum += SCALED (part[0] + part[1], RUN_SCALE (s, k + r));
#ifdef WITH_OFFSET
      sum += RUN_OFFSET (s, k + r) * sum_lanes (LOAD_FLOAT (x + k + r) + LOAD_FLOAT (x + k + r + 16));
#endif
    }
  }
#ifdef TYPE_BF16
  for (int first = k; k < K; k++)
    sum += PAIR (LOAD_UINT (w + (k - first) / 2 * 64), k & 1) * x[k];
#endif
  return sum;
}
#endif

// ---- one row of x ----------------------------------------------------------------------

CPU_TARGET void
gemv (float *y, const float *x, const Panels *w, int N, int K, int first, int last)
{
  for (long p = first; p < last; p++) {
    const float16 sum = dot_panel (x, w->data + p * w->step, w->scales + p * w->scale_step, K);

    store_columns (y + p * PANEL, sum, N - p * PANEL);
  }
}

KERNEL (matmul_gemv, TENSOR_ARG (y), TENSOR_ARG (x), PANELS_ARG (w), INT_ARG (N), INT_ARG (K), INT_ARG (n_panels),
    INT_ARG (group_panels))
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  gemv (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, N, K, first,
      min (first + group_panels, n_panels));
}

#ifndef STEPS
// ---- many rows of x ----------------------------------------------------------------------

CPU_TARGET void
gemm (float *y, long ys, const float *x, long xs, const Panels *w, int M, int N, int K, int first, int last)
{
#ifndef TYPE_F32
  float block[NP][KC * PANEL] __attribute__ ((aligned (64)));
#endif

  for (int chunk = 0; chunk < K; chunk += KCHUNK) {
    for (int p = first; p < last; p += NP) {
      for (int k = chunk; k < min (K, chunk + KCHUNK); k += KC) {
        const int n = min (K - k, KC);
        const float *columns[NP];

        for (int j = 0; j < NP; j++) {
          const long panel = min (p + j, last - 1);     // a panel past the last is computed, not stored
#ifdef TYPE_F32
          columns[j] = (const float *) (w->data + panel * w->step) + (long) k * PANEL;
#else
          unpack (block[j], w, panel, k, n);
          columns[j] = block[j];
#endif
        }
        tiles (y + p * PANEL, ys, x + k, xs, columns, M, n, k == 0, min (N, last * PANEL) - p * PANEL);
      }
    }
  }
}

// ---- few rows of x -------------------------------------------------------------------------
//
// Too few rows to pay for storing the weights as float32: each is used in all rows straight from registers.

#ifndef TYPE_F32
INLINE void
few (const int R, float *y, long ys, const float *x, long xs, const uchar *w, const uchar *scales, int K, int cols)
{
  float16 acc[MR];
  int k = 0;

  UNROLL
  for (int r = 0; r < R; r++)
    acc[r] = 0;
#ifndef WHOLE_COLUMNS
  for (; k + GROUP <= K; k += GROUP, w += PANEL_BYTES (GROUP)) {
    UNROLL
    for (int n = 0; n < GROUP; n += RUN) {
      const float16 scale = RUN_SCALE (scales, k + n), offset = RUN_OFFSET (scales, k + n);

      UNROLL
      for (int c = n; c < n + RUN; c += 8) {
        float16 v[8];

        load_columns (v, w, c);
        UNROLL
        for (int i = 0; i < 8; i++) {
          const float16 value = WITH (SCALED (v[i], scale), offset);

          UNROLL
          for (int r = 0; r < R; r++)
            acc[r] += value * x[r * xs + k + c + i];
        }
      }
    }
  }
#endif
#ifndef QUANTIZED
  for (const int first = k; k < K; k++) {
#ifdef WHOLE_COLUMNS
    const float16 value = COLUMN (w, k);
#else
    const float16 value = PAIR (LOAD_UINT (w + (k - first) / 2 * 64), k & 1);
#endif

    UNROLL
    for (int r = 0; r < R; r++)
      acc[r] += value * x[r * xs + k];
  }
#endif
  UNROLL
  for (int r = 0; r < R; r++)
    store_columns (y + r * ys, acc[r], cols);
}

#define FEW(R) \
  CPU_TARGET void few_##R (float *y, long ys, const float *x, long xs, const uchar *w, const uchar *scales, int K, \
      int cols) \
  { few (R, y, ys, x, xs, w, scales, K, cols); }
FEW (2) FEW (3) FEW (4) FEW (5) FEW (6)

CPU_TARGET void
few_rows (float *y, long ys, const float *x, long xs, const Panels *w, int M, int N, int K, int first, int last)
{
  for (long p = first; p < last; p++) {
    const uchar *data = w->data + p * w->step;
    const uchar *s = w->scales + p * w->scale_step;
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
matmul_gemm (TENSOR (y), TENSOR (x), PANELS (w), const int M, const int N, const int K, const int n_panels,
    const int group_panels, const int group_rows)
{
  const int first = get_group_id (0) * group_panels, row = get_group_id (1) * group_rows;
  const Panels panels = FLAT_PANELS (w);

#ifndef TYPE_F32
  if (M >= 2 && M <= 6 && w_line == LINE) {
    few_rows (FLAT (float, ROW (y, 0)), y_stride, FLAT (const float, ROW (x, 0)), x_stride, &panels, M, N, K,
        first, min (first + group_panels, n_panels));
    return;
  }
#endif
  gemm (FLAT (float, ROW (y, row)), y_stride, FLAT (const float, ROW (x, row)), x_stride, &panels,
      min (M - row, group_rows), N, K, first, min (first + group_panels, n_panels));
}
#endif
