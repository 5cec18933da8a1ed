// y [M][N] = x [M][K] * w^T for any device; w in panels of 16 rows, see pack.h.
// Built with -DTYPE_<type> and -DTM=<rows of x a work-item computes>.
#include "common.clh"
#include "panel.clh"

#define SLICES 4

// A work-group is 16 rows of w by SLICES slices of K: neighbours read neighbouring bytes. Parts of PART
// columns go to the slices in turn; their sums meet in local memory.
__kernel __attribute__((reqd_work_group_size (PANEL, SLICES, 1))) void
matmul_portable (TENSOR (y), TENSOR (x), PANELS (w), const int M, const int N, const int K)
{
  const int lane = get_local_id (0), slice = get_local_id (1), panel = get_group_id (0);
  const int n = panel * PANEL + lane, m0 = get_group_id (1) * TM;
  __global const uchar *data = PANEL_DATA (w, panel);
  __global const uchar *s = PANEL_SCALES (w, panel);
  __local float sums[SLICES][TM][PANEL];
  float acc[TM];

  for (int i = 0; i < TM; i++)
    acc[i] = 0;
  for (int k0 = slice * PART; k0 < K; k0 += SLICES * PART) {
    const int end = min (K - k0, PART);
    float part[TM], sum[TM];    // sum: of x, for the offset

    for (int i = 0; i < TM; i++)
      part[i] = sum[i] = 0;
    for (int k = k0; k < k0 + end; k++) {
      const float value = panel_value (data, w_line, WORD_STEP (w), lane, k);

      for (int i = 0; i < TM; i++) {
        const float xk = AT (x, min (m0 + i, M - 1), k);

        part[i] += value * xk;
        sum[i] += xk;
      }
    }
    const float scale = panel_scale (s, w_block, lane, k0 / PART), offset = panel_offset (s, w_block, lane, k0 / PART);
    for (int i = 0; i < TM; i++)
      acc[i] += scale * part[i] + offset * sum[i];
  }
  for (int i = 0; i < TM; i++)
    sums[slice][i][lane] = acc[i];
  barrier (CLK_LOCAL_MEM_FENCE);
  for (int i = slice; i < TM; i += SLICES) {
    float sum = 0;

    for (int j = 0; j < SLICES; j++)
      sum += sums[j][i][lane];
    if (n < N && m0 + i < M)
      AT (y, m0 + i, n) = sum;
  }
}

// Rows of w as float32 [16 * panels][K], for libraries that take plain matrices.
__kernel void
unpack_rows (__global float *out, PANELS (w), const int first_panel, const int K)
{
  const int k = get_global_id (0), row = get_global_id (1), lane = row % PANEL;
  const long panel = first_panel + row / PANEL;
  if (k >= K)
    return;
  __global const uchar *data = PANEL_DATA (w, panel);
  __global const uchar *s = PANEL_SCALES (w, panel);

  out[(long) row * K + k] =
      panel_scale (s, w_block, lane, k / PART) * panel_value (data, w_line, WORD_STEP (w), lane, k)
      + panel_offset (s, w_block, lane, k / PART);
}
