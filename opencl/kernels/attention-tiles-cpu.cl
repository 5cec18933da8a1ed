// Attention of many rows on a CPU: both products run in the tiles of gemm.clh. A line is a head of a query row; a work-item
// has the lines of some rows whose heads share a KV head, and walks over the keys in tiles. It packs each tile into panels
// once for all of its lines. head_dim is a multiple of 16 and at most MAX_DIM.
#define TYPE_F32
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "gemm.clh"
#include "flash.clh"

#define LINES 48                // whose scores are there at once
#define KEYS 128                // of a tile; its panels stay in the second-level cache
#define MAX_DIM 256
#define MAX_LINES 1024          // of a work-item
#define EVERYWHERE (1 << 30)

// The keys or values of one KV head in the cache.
typedef struct
{
  const float *rows;
  long stride;
  int capacity;
} Ring;

typedef struct
{
  const float *queries;
  float *o;
  long queries_stride, o_stride;
  int n, n_heads, dim, position0;       // line i is head i % n_heads of row i / n_heads
  float scale;
  float top[MAX_LINES], total[MAX_LINES];
} Lines;

// Where line @i is in rows that are @stride apart.
INLINE long
line_at (const Lines *lines, int i, long stride)
{
  return i / lines->n_heads * stride + i % lines->n_heads * lines->dim;
}

// The rows slot .. slot + n - 1. Panel i of the keys is [dim][16], of 16 keys (behind the last one it again); panel i of
// the values [n][16], of 16 channels.
INLINE void
pack (float *keys, float *values, Ring k, Ring v, int slot, int n, int dim)
{
  for (int panel = 0; panel < n; panel += PANEL) {
    const float *rows[PANEL];
    float *out = keys + (long) panel * dim;

    for (int lane = 0; lane < PANEL; lane++)
      rows[lane] = k.rows + (slot + min (panel + lane, n - 1)) * k.stride;
    for (int c = 0; c < dim; c++)
      for (int lane = 0; lane < PANEL; lane++)
        out[c * PANEL + lane] = rows[lane][c];
  }
  for (int j = 0; j < n; j++)
    for (int c = 0; c < dim; c += PANEL)
      STORE_FLOAT (values + (long) c * n + j * PANEL, LOAD_FLOAT (v.rows + (slot + j) * v.stride + c));
}

// Scores of n keys become a line's weights, of which those outside [first, end) are 0; what was summed before shrinks.
INLINE void
weigh (float *scores, float *sums, int n, int first, int end, int dim, float *top, float *total)
{
  float shrink = 1;

  if (first < end)
    shrink = soften (scores, first, end, top, total);
  for (int j = 0; j < n; j += PANEL)
    if (first >= end || j + PANEL <= first || j >= end)
      STORE_FLOAT (scores + j, (float16) (0));
  for (int c = 0; shrink != 1 && c < dim; c += PANEL)
    STORE_FLOAT (sums + c, LOAD_FLOAT (sums + c) * shrink);
}

// Lines first .. first + n_lines - 1 with the keys tile .. tile + n - 1.
CPU_TARGET void
attend_tile (Lines *lines, int first, int n_lines, const float *keys, const float *values, int tile, int n, int back,
    int ahead)
{
  float q[LINES * MAX_DIM], sums[LINES * MAX_DIM], scores[LINES * KEYS];
  const int d = lines->dim;

  for (int i = 0; i < n_lines; i++) {
    const float *query = lines->queries + line_at (lines, first + i, lines->queries_stride);
    const float *sum = lines->o + line_at (lines, first + i, lines->o_stride);

    for (int c = 0; c < d; c += PANEL) {
      STORE_FLOAT (q + i * d + c, LOAD_FLOAT (query + c) * lines->scale);
      STORE_FLOAT (sums + i * d + c, LOAD_FLOAT (sum + c));
    }
  }
  multiply (scores, KEYS, q, d, keys, (long) d * PANEL, 0, (n + PANEL - 1) / PANEL, n_lines, d, 1);
  for (int i = 0; i < n_lines; i++) {
    const int position = lines->position0 + (first + i) / lines->n_heads - tile;

    weigh (scores + i * KEYS, sums + i * d, n, max (0, position - back), min (n, position + ahead + 1), d,
        &lines->top[first + i], &lines->total[first + i]);
  }
  multiply (sums, d, scores, KEYS, values, (long) n * PANEL, 0, d / PANEL, n_lines, n, 0);
  for (int i = 0; i < n_lines; i++) {
    float *out = lines->o + line_at (lines, first + i, lines->o_stride);

    for (int c = 0; c < d; c += PANEL)
      STORE_FLOAT (out + c, LOAD_FLOAT (sums + i * d + c));
  }
}

// The lines with keys lowest .. highest, of which a line sees those from back before its position to ahead behind it.
CPU_TARGET void
attend (Lines *lines, Ring k, Ring v, int lowest, int highest, int back, int ahead)
{
  float keys[KEYS * MAX_DIM], values[KEYS * MAX_DIM];

  for (int tile = lowest, n; tile <= highest; tile += n) {
    const int slot = tile % k.capacity;

    n = min (min (KEYS, highest - tile + 1), k.capacity - slot);
    pack (keys, values, k, v, slot, n, lines->dim);
    for (int i = 0; i < lines->n; i += LINES) {
      const int n_lines = min (LINES, lines->n - i), last = lines->position0 + (i + n_lines - 1) / lines->n_heads;

      if (tile <= last + ahead && tile + n > lines->position0 + i / lines->n_heads - back)
        attend_tile (lines, i, n_lines, keys, values, tile, n, back, ahead);
    }
  }
}

// All but the walk over the keys.
CPU_TARGET void
begin_lines (Lines *lines)
{
  for (int i = 0; i < lines->n; i++) {
    float *out = lines->o + line_at (lines, i, lines->o_stride);

    for (int c = 0; c < lines->dim; c += PANEL)
      STORE_FLOAT (out + c, (float16) (0));
    lines->top[i] = -FLT_MAX;
    lines->total[i] = 0;
  }
}

CPU_TARGET void
end_lines (Lines *lines)
{
  for (int i = 0; i < lines->n; i++) {
    float *out = lines->o + line_at (lines, i, lines->o_stride);

    for (int c = 0; c < lines->dim; c += PANEL)
      STORE_FLOAT (out + c, LOAD_FLOAT (out + c) / lines->total[i]);
  }
}

// Item (kv head, block of rows): the memory's keys, then the cache's.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
attention_tiles (TENSOR (o), TENSOR (queries), TENSOR (k), TENSOR (v), TENSOR (k_memory), TENSOR (v_memory),
    const int n_memory, const int rows, const int row_step, const int group, const int head_dim, const int position0,
    const int back, const int ahead, const int n_keys, const int capacity, const float scale)
{
  const int kv_head = get_group_id (0), column = kv_head * head_dim, first_row = get_group_id (1) * row_step;
  const int end_row = min (first_row + row_step, rows), position = position0 + first_row;
  const Ring keys = { FLAT (const float, ROW (k, 0) + column), k_stride, capacity };
  const Ring values = { FLAT (const float, ROW (v, 0) + column), v_stride, capacity };
  Lines lines = { FLAT (const float, ROW (queries, first_row) + group * column),
    FLAT (float, ROW (o, first_row) + group * column), queries_stride, o_stride, (end_row - first_row) * group, group,
    head_dim, position, scale };

  begin_lines (&lines);
  if (n_memory > 0) {
    const Ring k_rows = { FLAT (const float, ROW (k_memory, 0) + column), k_memory_stride, n_memory };
    const Ring v_rows = { FLAT (const float, ROW (v_memory, 0) + column), v_memory_stride, n_memory };

    attend (&lines, k_rows, v_rows, 0, n_memory - 1, EVERYWHERE, EVERYWHERE);
  }
  attend (&lines, keys, values, max (0, position - back), min (position0 + end_row - 1 + ahead, n_keys - 1), back, ahead);
  end_lines (&lines);
}
