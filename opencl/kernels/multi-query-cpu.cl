// The attention of multi-query.clh: both products run in the tiles of gemm.clh.
#define TYPE_F32
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "gemm.clh"
#include "flash.clh"

#define KEY_PANEL_BYTES(key_dim) ((long) (key_dim) * PANEL * 4)
#include "multi-query.clh"

// First launch: panel i of the keys is [key_dim][16], of 16 keys; panel i of the values [n_keys][16], of 16 channels.
// Lanes past the end are 0.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
pack (__global float *packed, TENSOR (k), TENSOR (v), const int n_keys, const int key_dim, const int value_dim,
    const int n_key_panels)
{
  int panel = get_group_id (0);
  __global float *out = packed + (long) panel * key_dim * PANEL;

  if (panel < n_key_panels) {
    for (int lane = 0; lane < PANEL; lane++)
      for (int c = 0; c < key_dim; c++)
        out[c * PANEL + lane] = panel * PANEL + lane < n_keys ? ROW (k, panel * PANEL + lane)[c] : 0;
    return;
  }
  panel -= n_key_panels;
  out = packed + (long) n_key_panels * key_dim * PANEL + (long) panel * n_keys * PANEL;
  for (int j = 0; j < n_keys; j++)
    for (int lane = 0; lane < PANEL; lane++)
      out[j * PANEL + lane] = panel * PANEL + lane < value_dim ? ROW (v, j)[panel * PANEL + lane] : 0;
}

CPU_TARGET void
attend (float *o, long os, const float *queries, long queries_step, const Attention *a, int first, int n_lines)
{
  const float *keys = (const float *) a->keys, *values = (const float *) a->values;
  float q[LINES * MAX_DIM], sums[LINES * MAX_DIM], scores[LINES * KEYS], top[LINES], total[LINES];
  const int d = a->key_dim, n_value_panels = (a->value_dim + PANEL - 1) / PANEL, width = n_value_panels * PANEL;

  for (int i = 0; i < n_lines; i++) {
    const float *query = line_query (queries, queries_step, a, first + i);

    for (int c = 0; c < d; c++)
      q[i * d + c] = query[c] * a->scale;
    begin_line (sums + i * width, width, top + i, total + i);
  }
  for (int key = 0; key < a->n_keys; key += KEYS) {
    const int n = min (KEYS, a->n_keys - key), panel = key / PANEL;

    multiply (scores, KEYS, q, d, keys, (long) d * PANEL, panel, panel + (n + PANEL - 1) / PANEL, n_lines, d, 1);
    for (int i = 0; i < n_lines; i++)
      soften_line (scores + i * KEYS, n, sums + i * width, width, top + i, total + i);
    multiply (sums, width, scores, KEYS, values + key * PANEL, (long) a->n_keys * PANEL, 0, n_value_panels, n_lines, n, 0);
  }
  put_lines (o, os, a, first, n_lines, sums, width, total);
}
