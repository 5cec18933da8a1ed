// Attention without a mask whose heads share keys and values, on a CPU: both products run in the tiles of gemm.clh.
// A line is a head of a query; a work-item has some of them and walks over the keys in tiles.
#define TYPE_F32
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "gemm.clh"
#include "flash.clh"

#define LINES 48
#define KEYS 192                // of a tile
#define MAX_DIM 256

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

typedef struct
{
  const float *keys, *values;   // packed
  int n_keys, key_dim, value_dim, n_heads;
  float scale;
} Attention;

CPU_TARGET void
attend (float *o, long os, const float *queries, long qs, const Attention *a, int first, int n_lines)
{
  float q[LINES * MAX_DIM], sums[LINES * MAX_DIM], scores[LINES * KEYS], top[LINES], total[LINES];
  const int d = a->key_dim, n_value_panels = (a->value_dim + PANEL - 1) / PANEL, width = n_value_panels * PANEL;

  for (int i = 0; i < n_lines; i++) {
    const float *query = queries + (first + i) / a->n_heads * qs + (first + i) % a->n_heads * d;

    for (int c = 0; c < d; c++)
      q[i * d + c] = query[c] * a->scale;
    for (int c = 0; c < width; c++)
      sums[i * width + c] = 0;
    top[i] = -FLT_MAX;
    total[i] = 0;
  }
  for (int key = 0; key < a->n_keys; key += KEYS) {
    const int n = min (KEYS, a->n_keys - key), panel = key / PANEL;

    multiply (scores, KEYS, q, d, a->keys, (long) d * PANEL, panel, panel + (n + PANEL - 1) / PANEL, n_lines, d, 1);
    for (int i = 0; i < n_lines; i++) {
      const float shrink = soften (scores + i * KEYS, 0, n, &top[i], &total[i]);

      for (int c = 0; shrink != 1 && c < width; c += PANEL)
        STORE_FLOAT (sums + i * width + c, LOAD_FLOAT (sums + i * width + c) * shrink);
    }
    multiply (sums, width, scores, KEYS, a->values + key * PANEL, (long) a->n_keys * PANEL, 0, n_value_panels, n_lines,
        n, 0);
  }
  for (int i = 0; i < n_lines; i++) {
    float *out = o + (first + i) / a->n_heads * os + (first + i) % a->n_heads * a->value_dim;

    for (int c = 0; c < a->value_dim; c += PANEL)
      store_columns (out + c, LOAD_FLOAT (sums + i * width + c) / total[i], a->value_dim - c);
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
multi_query (TENSOR (o), TENSOR (queries), __global const float *packed, const int n_lines, const int line_step,
    const int n_keys, const int key_dim, const int value_dim, const int n_heads, const int n_key_panels,
    const float scale)
{
  const float *keys = FLAT (const float, packed);
  const Attention attention = { keys, keys + (long) n_key_panels * key_dim * PANEL, n_keys, key_dim, value_dim, n_heads,
    scale };
  const int first = get_group_id (0) * line_step, end = min (first + line_step, n_lines);

  for (int line = first; line < end; line += LINES)
    attend (FLAT (float, ROW (o, 0)), o_stride, FLAT (const float, ROW (queries, 0)), queries_stride, &attention, line,
        min (LINES, end - line));
}
