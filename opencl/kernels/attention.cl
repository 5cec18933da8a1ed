/* Rope and attention, a work-group a head of a row. */
#include "rows.clh"
#include "rope.clh"

ROW_GROUP kernel void
rope_table (TENSOR (table), int first, int n, int half_dim, int position0, Frequencies inverse)
{
  int i = get_global_id (0), row = get_global_id (1);
  float angle = (float) (position0 + row) * inverse.f[min (i, MAX_FREQUENCIES - 1)];

  if (i >= n)
    return;
  AT (table, row, first + i) = cos (angle);
  AT (table, row, half_dim + first + i) = sin (angle);
}

/* Group (h, m): heads are first the queries, then the keys, then the values, as in a row of qkv. */
ROW_GROUP kernel void
qkv_norm_rope (TENSOR (qkv), TENSOR (k_cache), TENSOR (v_cache), TENSOR (q_weight), TENSOR (k_weight), TENSOR (rope),
    int n_heads, int n_kv_heads, int head_dim, int position0, int capacity, float eps, int raw_values)
{
  local float scratch[GROUP_SIZE];
  int head = get_group_id (0), row = get_group_id (1), slot = (position0 + row) % capacity, half_dim = head_dim / 2;
  global float *x = ROW (qkv, row) + head * head_dim, *y = x;
  global const float *weight = ROW (q_weight, 0), *angles = rope ? ROW (rope, row) : 0;
  bool is_value = head >= n_heads + n_kv_heads;
  float part = 0, scale;

  if (is_value) {
    y = ROW (v_cache, slot) + (head - n_heads - n_kv_heads) * head_dim;
  } else if (head >= n_heads) {
    y = ROW (k_cache, slot) + (head - n_heads) * head_dim;
    weight = ROW (k_weight, 0);
  }

  for (int i = get_local_id (0); i < head_dim; i += GROUP_SIZE)
    part = fma (x[i], x[i], part);
  scale = 1 / sqrt (group_sum (part, scratch) / head_dim + eps);
  if (is_value && raw_values)
    scale = 1;
  barrier (CLK_GLOBAL_MEM_FENCE);       /* y may be x, of which others have read what this item writes */

  for (int i = get_local_id (0); i < half_dim; i += GROUP_SIZE) {
    float a = x[i] * scale, b = x[half_dim + i] * scale;

    if (!is_value) {
      float u = a * weight[i], v = b * weight[half_dim + i];

      a = angles ? u * angles[i] - v * angles[half_dim + i] : u;
      b = angles ? v * angles[i] + u * angles[half_dim + i] : v;
    }
    y[i] = a;
    y[half_dim + i] = b;
  }
}

#define MAX_HEAD_DIM 512
#define OWN_DIMS (MAX_HEAD_DIM / GROUP_SIZE)

/* Group (h, m). A tile is a key an item; the softmax is rescaled from tile to tile. Of what the row sees, the memory comes
 * first. */
ROW_GROUP kernel void
attention (TENSOR (o), TENSOR (queries), TENSOR (k), TENSOR (v), TENSOR (k_memory), TENSOR (v_memory), int n_memory,
    int group, int head_dim, int position0, int back, int ahead, int n_keys, int capacity, float scale)
{
  local float scratch[GROUP_SIZE], weights[GROUP_SIZE];
  int id = get_local_id (0), head = get_group_id (0), row = get_group_id (1), kv_column = head / group * head_dim;
  int position = position0 + row, first = max (0, position - back), last = min (position + ahead, n_keys - 1);
  int skipped = first - n_memory, n_visible = n_memory + last - first + 1;
  global const float *query = ROW (queries, row) + head * head_dim;
  float top = -FLT_MAX, total = 0, sums[OWN_DIMS];

  for (int i = 0; i < OWN_DIMS; i++)
    sums[i] = 0;
  for (int tile = 0; tile < n_visible; tile += GROUP_SIZE) {
    int n = min (GROUP_SIZE, n_visible - tile);
    float logit = -INFINITY, old_top = top, shrink;

    if (id < n) {
      int at = tile + id;
      global const float *key = (at < n_memory ? ROW (k_memory, at) : ROW (k, (at + skipped) % capacity)) + kv_column;

      logit = 0;
      for (int i = 0; i < head_dim; i++)
        logit = fma (query[i], key[i], logit);
      logit *= scale;
    }
    top = fmax (top, group_max (logit, scratch));
    shrink = exp (old_top - top);
    weights[id] = exp (logit - top);
    total = total * shrink + group_sum (weights[id], scratch);  /* its barriers publish weights */

    for (int i = 0; i * GROUP_SIZE + id < head_dim; i++) {
      float sum = sums[i] * shrink;

      for (int j = 0; j < n; j++) {
        int at = tile + j;
        global const float *value = at < n_memory ? ROW (v_memory, at) : ROW (v, (at + skipped) % capacity);

        sum = fma (weights[j], value[kv_column + i * GROUP_SIZE + id], sum);
      }
      sums[i] = sum;
    }
  }
  for (int i = 0; i * GROUP_SIZE + id < head_dim; i++)
    (ROW (o, row) + head * head_dim)[i * GROUP_SIZE + id] = sums[i] / total;
}

/* Group (0, m); @k are the head's columns. The logits of the range wait in @weights, each for the item that wrote it. */
ROW_GROUP kernel void
attention_weights (TENSOR (weights), TENSOR (queries), TENSOR (k), int head_dim, int position0, int first, int n,
    int capacity, float scale)
{
  local float scratch[GROUP_SIZE];
  int id = get_local_id (0), row = get_group_id (1), n_visible = position0 + row + 1;
  global const float *query = ROW (queries, row);
  global float *out = ROW (weights, row);
  float own_top = -FLT_MAX, own_total = 0, top, total;

  for (int at = id; at < n_visible; at += GROUP_SIZE) {
    global const float *key = ROW (k, at % capacity);
    float logit = 0, old_top = own_top;

    for (int i = 0; i < head_dim; i++)
      logit = fma (query[i], key[i], logit);
    logit *= scale;
    own_top = fmax (own_top, logit);
    own_total = own_total * exp (old_top - own_top) + exp (logit - own_top);
    if (at >= first && at - first < n)
      out[at - first] = logit;
  }
  top = group_max (own_top, scratch);
  total = group_sum (own_total * exp (own_top - top), scratch);
  for (int at = id; at < first + n; at += GROUP_SIZE)
    if (at >= first)
      out[at - first] = at < n_visible ? exp (out[at - first] - top) / total : 0;
}
