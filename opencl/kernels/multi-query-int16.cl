// The attention of multi-query.clh, with both products in integers of 16 bits by int16.clh: queries and keys of a head are
// blocks, as are the weights of KEYS keys and their values.
#define TYPE_F32
#define CPU_VNNI
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "flash.clh"
#include "int16.clh"

#define KEY_PANEL_BYTES(key_dim) ((long) PAIRS_BYTES (key_dim))
#include "multi-query.clh"      // whose KEYS and MAX_DIM are at most BLOCK

// First launch: panels of 16 keys, [key_dim]; then, for each KEYS keys, panels of 16 channels, [KEYS]. Lanes past the end are 0.
CPU_TARGET void
pack_columns (uchar *panel, const float *x, long column_step, long lane_step, int n_columns, int n_lanes)
{
  float values[BLOCK * PANEL] __attribute__ ((aligned (64)));

  for (int c = 0; c < n_columns; c++)
    for (int lane = 0; lane < PANEL; lane++)
      values[c * PANEL + lane] = lane < n_lanes ? x[c * column_step + lane * lane_step] : 0;
  quantize_panel (panel, values, n_columns);
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
pack (__global uchar *packed, TENSOR (k), TENSOR (v), const int n_keys, const int key_dim, const int value_dim,
    const int n_key_panels)
{
  const int panel = get_group_id (0), n_value_panels = (value_dim + PANEL - 1) / PANEL;
  uchar *out = FLAT (uchar, packed);

  if (panel < n_key_panels) {
    pack_columns (out + panel * KEY_PANEL_BYTES (key_dim), FLAT (const float, ROW (k, panel * PANEL)), 1, k_stride, key_dim,
        n_keys - panel * PANEL);
    return;
  }
  const int tile = (panel - n_key_panels) / n_value_panels, channel = (panel - n_key_panels) % n_value_panels * PANEL;

  pack_columns (out + n_key_panels * KEY_PANEL_BYTES (key_dim) + (long) (panel - n_key_panels) * PAIRS_BYTES (KEYS),
      FLAT (const float, ROW (v, tile * KEYS)) + channel, v_stride, 1, min (KEYS, n_keys - tile * KEYS), value_dim - channel);
}

CPU_TARGET void
attend (float *o, long os, const float *queries, long queries_step, const Attention *a, int first, int n_lines)
{
  float sums[LINES * MAX_DIM], scores[LINES * KEYS], top[LINES], total[LINES], q_scales[LINES], p_scales[LINES];
  short q[LINES * MAX_DIM], p[LINES * KEYS];
  const int d = a->key_dim, qs = (d + PANEL - 1) / PANEL * PANEL, n_value_panels = (a->value_dim + PANEL - 1) / PANEL;
  const int width = n_value_panels * PANEL;

  for (int i = 0; i < n_lines; i++) {
    quantize_block (q + i * qs, q_scales + i, line_query (queries, queries_step, a, first + i), d);
    q_scales[i] *= a->scale;
    begin_line (sums + i * width, width, top + i, total + i);
  }
  for (int key = 0; key < a->n_keys; key += KEYS) {
    const int n = min (KEYS, a->n_keys - key);

    multiply_panels (scores, KEYS, q, qs, q_scales, a->keys + key / PANEL * KEY_PANEL_BYTES (d), KEY_PANEL_BYTES (d),
        (n + PANEL - 1) / PANEL, n_lines, d, 1);
    for (int i = 0; i < n_lines; i++) {
      soften_line (scores + i * KEYS, n, sums + i * width, width, top + i, total + i);
      quantize_block (p + i * KEYS, p_scales + i, scores + i * KEYS, n);
    }
    multiply_panels (sums, width, p, KEYS, p_scales, a->values + (long) key / KEYS * n_value_panels * PAIRS_BYTES (KEYS),
        PAIRS_BYTES (KEYS), n_value_panels, n_lines, n, 0);
  }
  put_lines (o, os, a, first, n_lines, sums, width, total);
}
