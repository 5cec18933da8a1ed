/* Attention on a CPU: a work-item takes a block of query rows with the query heads that share a
 * KV head, and walks over the keys in tiles, so that K and V are read once for all of them.
 *
 * head_dim is a multiple of the vector's VEC floats (8 or 16).
 */
#include "rows.clh"
#include "step.clh"

#if VEC == 16
typedef float16 Vector;
#define LOAD(p) vload16 (0, p)
#define STORE(v, p) vstore16 (v, 0, p)
#define SUM sum16
#else
typedef float8 Vector;
#define LOAD(p) vload8 (0, p)
#define STORE(v, p) vstore8 (v, 0, p)
#define SUM sum8
#endif

#define TILE 64                 /* keys; K and V of a tile stay in the second-level cache */
#define RUN 16                  /* keys whose values are summed at once */
#define MAX_LINES 32            /* (query row, head) pairs of a work-item */

/* scores of 4 lines with 2 keys: 8 chains of multiply-add */
static void
dot_4x2 (float *scores, global const float *const *q, global const float *k0, global const float *k1, int n)
{
  Vector a0 = 0, a1 = 0, b0 = 0, b1 = 0, c0 = 0, c1 = 0, d0 = 0, d1 = 0;
  global const float *qa = q[0], *qb = q[1], *qc = q[2], *qd = q[3];

  for (int i = 0; i < n; i += VEC) {
    Vector x = LOAD (k0 + i), y = LOAD (k1 + i), v;

    v = LOAD (qa + i);
    a0 = fma (v, x, a0);
    a1 = fma (v, y, a1);
    v = LOAD (qb + i);
    b0 = fma (v, x, b0);
    b1 = fma (v, y, b1);
    v = LOAD (qc + i);
    c0 = fma (v, x, c0);
    c1 = fma (v, y, c1);
    v = LOAD (qd + i);
    d0 = fma (v, x, d0);
    d1 = fma (v, y, d1);
  }
  scores[0] = SUM (a0);
  scores[1] = SUM (a1);
  scores[TILE] = SUM (b0);
  scores[TILE + 1] = SUM (b1);
  scores[2 * TILE] = SUM (c0);
  scores[2 * TILE + 1] = SUM (c1);
  scores[3 * TILE] = SUM (d0);
  scores[3 * TILE + 1] = SUM (d1);
}

static void
dot_1x2 (float *scores, global const float *q, global const float *k0, global const float *k1, int n)
{
  Vector a = 0, b = 0;

  for (int i = 0; i < n; i += VEC) {
    Vector v = LOAD (q + i);

    a = fma (v, LOAD (k0 + i), a);
    b = fma (v, LOAD (k1 + i), b);
  }
  scores[0] = SUM (a);
  scores[1] = SUM (b);
}

/* o of 4 lines += weights of n_keys keys * v, whose rows are contiguous: 8 sums stay in registers */
static void
add_4xn (global float *const *o, const float *weights, global const float *v, long stride, int n_keys, int n)
{
  for (int i = 0; i < n; i += 2 * VEC) {
    int second = i + VEC < n ? VEC : 0;         /* the last half twice where n / VEC is odd */
    global const float *at = v + i;
    Vector a0 = LOAD (o[0] + i), b0 = LOAD (o[1] + i), c0 = LOAD (o[2] + i), d0 = LOAD (o[3] + i);
    Vector a1 = LOAD (o[0] + i + second), b1 = LOAD (o[1] + i + second);
    Vector c1 = LOAD (o[2] + i + second), d1 = LOAD (o[3] + i + second);

    for (int j = 0; j < n_keys; j++, at += stride) {
      Vector x = LOAD (at), y = LOAD (at + second), w;

      w = weights[j];
      a0 = fma (w, x, a0);
      a1 = fma (w, y, a1);
      w = weights[j + TILE];
      b0 = fma (w, x, b0);
      b1 = fma (w, y, b1);
      w = weights[j + 2 * TILE];
      c0 = fma (w, x, c0);
      c1 = fma (w, y, c1);
      w = weights[j + 3 * TILE];
      d0 = fma (w, x, d0);
      d1 = fma (w, y, d1);
    }
    STORE (a0, o[0] + i);
    STORE (b0, o[1] + i);
    STORE (c0, o[2] + i);
    STORE (d0, o[3] + i);
    STORE (a1, o[0] + i + second);
    STORE (b1, o[1] + i + second);
    STORE (c1, o[2] + i + second);
    STORE (d1, o[3] + i + second);
  }
}

/* The same for one line, four vectors wide where they fit. */
static void
add_1xn (global float *o, const float *weights, global const float *v, long stride, int n_keys, int n)
{
  int i = 0;

  for (; i + 4 * VEC <= n; i += 4 * VEC) {
    global const float *at = v + i;
    Vector a = LOAD (o + i), b = LOAD (o + i + VEC), c = LOAD (o + i + 2 * VEC), d = LOAD (o + i + 3 * VEC);

    for (int j = 0; j < n_keys; j++, at += stride) {
      Vector w = weights[j];

      a = fma (w, LOAD (at), a);
      b = fma (w, LOAD (at + VEC), b);
      c = fma (w, LOAD (at + 2 * VEC), c);
      d = fma (w, LOAD (at + 3 * VEC), d);
    }
    STORE (a, o + i);
    STORE (b, o + i + VEC);
    STORE (c, o + i + 2 * VEC);
    STORE (d, o + i + 3 * VEC);
  }
  for (; i < n; i += VEC) {
    global const float *at = v + i;
    Vector a = LOAD (o + i);

    for (int j = 0; j < n_keys; j++, at += stride)
      a = fma ((Vector) weights[j], LOAD (at), a);
    STORE (a, o + i);
  }
}

static void
scale_row (global float *o, float factor, int n)
{
  for (int i = 0; i < n; i += VEC)
    STORE (LOAD (o + i) * factor, o + i);
}

/* Turns the scores of keys first .. first + TILE - 1 into weights exp (scale * s - top), 0 for keys outside
 * [lowest, highest]; updates top and total; returns the factor for what was summed before. */
static float
soften (float *scores, int first, int lowest, int highest, float scale, float *top, float *total)
{
  const int16 lane = (int16) (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float16 s[TILE / 16], best = -FLT_MAX, sum = 0;
  float new_top, factor;

  for (int i = 0; i < TILE / 16; i++) {
    int16 key = lane + (first + 16 * i);

    s[i] = select ((float16) -INFINITY, vload16 (i, scores) * scale, key >= lowest && key <= highest);
    best = fmax (best, s[i]);
  }
  new_top = fmax (*top, max16 (best));
  for (int i = 0; i < TILE / 16; i++) {
    s[i] = exp (s[i] - new_top);
    sum += s[i];
    vstore16 (s[i], i, scores);
  }
  factor = exp (*top - new_top);
  *total = *total * factor + sum16 (sum);
  *top = new_top;
  return factor;
}

/* The keys or values of one KV head in the cache. */
typedef struct
{
  global const float *rows;
  long stride;
  int capacity;
} Ring;

/* The row @i after row @slot. */
static int
ring_row (Ring ring, int slot, int i)
{
  return slot + i >= ring.capacity ? slot + i - ring.capacity : slot + i;
}

/* The rows @i and @i + 1 after @slot; an odd last one is paired with itself: its second score is masked. */
#define KEY_PAIR(i) \
  k.rows + k.stride * ring_row (k, slot, i), k.rows + k.stride * ring_row (k, slot, min (i + 1, n_keys - 1))

static void
score_tile (float *scores, global const float *const *q, int n_lines, Ring k, int slot, int n_keys, int head_dim)
{
  int i = 0;

  for (; i + 4 <= n_lines; i += 4)
    for (int j = 0; j < n_keys; j += 2)
      dot_4x2 (scores + i * TILE + j, q + i, KEY_PAIR (j), head_dim);
  for (; i < n_lines; i++)
    for (int j = 0; j < n_keys; j += 2)
      dot_1x2 (scores + i * TILE + j, q[i], KEY_PAIR (j), head_dim);
}

/* By runs of keys that are contiguous in the ring and stay in the first-level cache. */
static void
sum_tile (global float *const *sums, const float *weights, int n_lines, Ring v, int slot, int n_keys, int head_dim)
{
  for (int j = 0, run; j < n_keys; j += run) {
    int at = ring_row (v, slot, j), i = 0;
    global const float *rows = v.rows + v.stride * at;

    run = min (min (RUN, n_keys - j), v.capacity - at);
    for (; i + 4 <= n_lines; i += 4)
      add_4xn (sums + i, weights + i * TILE + j, rows, v.stride, run, head_dim);
    for (; i < n_lines; i++)
      add_1xn (sums[i], weights + i * TILE + j, rows, v.stride, run, head_dim);
  }
}

/* The (query row, head) pairs of a work-item and what is summed for them. */
typedef struct
{
  int n, n_heads, position0;    /* line i is of position0 + i / n_heads */
  global const float *q[MAX_LINES];
  global float *sums[MAX_LINES];
  float top[MAX_LINES], total[MAX_LINES];
} Lines;

/* The lines with keys lowest .. highest, of which a line sees those from back before its position to ahead behind it. */
static void
attend (Lines *lines, Ring keys, Ring values, int lowest, int highest, int back, int ahead, int head_dim, float scale)
{
  float scores[MAX_LINES * TILE];

  for (int tile = lowest; tile <= highest; tile += TILE) {
    int n = min (TILE, highest - tile + 1), slot = tile % keys.capacity;

    score_tile (scores, lines->q, lines->n, keys, slot, n, head_dim);
    for (int i = 0; i < lines->n; i++) {
      int position = lines->position0 + i / lines->n_heads;
      int first = max (lowest, position - back), last = min (highest, position + ahead);
      float factor = soften (scores + i * TILE, tile, first, last, scale, &lines->top[i], &lines->total[i]);

      if (factor != 1)
        scale_row (lines->sums[i], factor, head_dim);
    }
    sum_tile (lines->sums, scores, lines->n, values, slot, n, head_dim);
  }
}

#define EVERYWHERE (1 << 30)

/* Item (kv head * n_parts + part of its query heads, block of rows, split of the keys: the memory's, then the cache's).
 * With partial set, o is scratch [split][row][head][head_dim] of sums that are not divided yet, and
 * partial [split][row][head][2] receives top and total for merge(). */
KERNEL (attention, TENSOR_ARG (o), TENSOR_ARG (queries), TENSOR_ARG (k), TENSOR_ARG (v), TENSOR_ARG (k_memory),
    TENSOR_ARG (v_memory), INT_ARG (n_memory), ARG (global float *, partial), INT_ARG (rows), INT_ARG (row_step),
    INT_ARG (group), INT_ARG (part_heads), INT_ARG (head_dim), INT_ARG (position0), INT_ARG (back), INT_ARG (ahead),
    INT_ARG (n_keys), INT_ARG (capacity), INT_ARG (split_keys), FLOAT_ARG (scale))
{
  int n_parts = (group + part_heads - 1) / part_heads, n_heads = get_global_size (0) / n_parts * group;
  int kv_head = get_global_id (0) / n_parts, column = kv_head * head_dim;
  int first_head = get_global_id (0) % n_parts * part_heads, n_item_heads = min (part_heads, group - first_head);
  int first_row = get_global_id (1) * row_step, end_row = min (first_row + row_step, rows), split = get_global_id (2);
  Ring keys = { ROW (k, 0) + column, k_stride, capacity }, values = { ROW (v, 0) + column, v_stride, capacity };
  Lines lines = { .n = (end_row - first_row) * n_item_heads, .n_heads = n_item_heads,
    .position0 = position0 + first_row };

  first_head += kv_head * group;
  for (int i = 0; i < lines.n; i++) {
    int row = first_row + i / n_item_heads, head = first_head + i % n_item_heads;

    lines.q[i] = ROW (queries, row) + head * head_dim;
    lines.sums[i] = ROW (o, split * rows + row) + head * head_dim;
    for (int c = 0; c < head_dim; c += VEC)
      STORE ((Vector) 0, lines.sums[i] + c);
    lines.top[i] = -FLT_MAX;
    lines.total[i] = 0;
  }

  /* keys that some row of the block sees, and which of them are of this split */
  int lowest = max (0, position0 + first_row - back), highest = min (position0 + end_row - 1 + ahead, n_keys - 1);
  int first = partial ? split * split_keys : 0, n = partial ? split_keys : n_memory + highest - lowest + 1;

  if (first < n_memory) {
    Ring k_rows = { ROW (k_memory, 0) + column, k_memory_stride, n_memory };
    Ring v_rows = { ROW (v_memory, 0) + column, v_memory_stride, n_memory };

    attend (&lines, k_rows, v_rows, first, min (first + n, n_memory) - 1, EVERYWHERE, EVERYWHERE, head_dim, scale);
  }
  if (first + n > n_memory)
    attend (&lines, keys, values, lowest + max (first - n_memory, 0), min (highest, lowest + first + n - n_memory - 1),
        back, ahead, head_dim, scale);

  for (int i = 0; i < lines.n; i++) {
    int row = first_row + i / n_item_heads, head = first_head + i % n_item_heads;

    if (partial)
      vstore2 ((float2) (lines.top[i], lines.total[i]), (split * rows + row) * n_heads + head, partial);
    else
      scale_row (lines.sums[i], 1 / lines.total[i], head_dim);
  }
}

/* o of item (head, row) = the splits' sums, brought to one top and divided */
KERNEL (merge, TENSOR_ARG (o), TENSOR_ARG (sums), ARG (global const float *, partial), INT_ARG (rows),
    INT_ARG (n_heads), INT_ARG (head_dim), INT_ARG (n_splits))
{
  int head = get_global_id (0), row = get_global_id (1), line = row * n_heads + head, n_lines = rows * n_heads;
  global float *out = ROW (o, row) + head * head_dim;
  float top = -FLT_MAX, total = 0;

  for (int s = 0; s < n_splits; s++)
    top = fmax (top, vload2 (s * n_lines + line, partial).x);
  for (int s = 0; s < n_splits; s++) {
    float2 part = vload2 (s * n_lines + line, partial);

    total = fma (part.y, exp (part.x - top), total);
  }
  for (int s = 0; s < n_splits; s++) {
    float factor = exp (vload2 (s * n_lines + line, partial).x - top) / total;
    global const float *in = ROW (sums, s * rows + row) + head * head_dim;

    for (int i = 0; i < head_dim; i += VEC)
      STORE (fma ((Vector) factor, LOAD (in + i), s ? LOAD (out + i) : 0), out + i);
  }
}

/* A query of one head, @k its columns: see attention.cl. The logits of the range wait in @weights. */
KERNEL (attention_weights, TENSOR_ARG (weights), TENSOR_ARG (queries), TENSOR_ARG (k), INT_ARG (head_dim),
    INT_ARG (position0), INT_ARG (first), INT_ARG (n), INT_ARG (capacity), FLOAT_ARG (scale))
{
  int row = get_global_id (1), n_visible = position0 + row + 1;
  global const float *query = ROW (queries, row);
  global float *out = ROW (weights, row);
  float top = -FLT_MAX, total = 0, logits[TILE];

  for (int tile = 0; tile < n_visible; tile += TILE) {
    float old_top = top;
    float16 sum = 0;

    for (int i = 0; i < TILE; i++) {
      int at = tile + i;
      Vector dot = 0;

      logits[i] = -INFINITY;
      if (at >= n_visible)
        continue;
      for (int d = 0; d < head_dim; d += VEC)
        dot = fma (LOAD (query + d), LOAD (ROW (k, at % capacity) + d), dot);
      logits[i] = SUM (dot) * scale;
      top = fmax (top, logits[i]);
      if (at >= first && at - first < n)
        out[at - first] = logits[i];
    }
    for (int i = 0; i < TILE; i += 16)
      sum += exp (vload16 (0, logits + i) - top);
    total = total * exp (old_top - top) + sum16 (sum);
  }
  for (int i = 0; i < n; i++)
    out[i] = first + i < n_visible ? exp (out[i] - top) / total : 0;
}
