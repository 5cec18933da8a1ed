/* USM's local attention, a work-group a head of a row. */
#include "rows.clh"

#define MAX_KEYS 256            /* of one query, in usm-attention.c too */

ROW_GROUP kernel void
local_attention (TENSOR (o), TENSOR (queries), TENSOR (k), TENSOR (v), TENSOR (rel), TENSOR (q_scale), int head_dim,
    int left, int n_history, float cap)
{
  local float scratch[GROUP_SIZE], weights[MAX_KEYS];
  int id = get_local_id (0), column = get_group_id (0) * head_dim, row = get_group_id (1);
  int n = min (left, row + n_history) + 1;
  global const float *query = ROW (queries, row) + column, *scale = ROW (q_scale, 0);
  float top = -INFINITY, total = 0;

  for (int r = id; r < n; r += GROUP_SIZE) {
    global const float *key = ROW (k, left + row - r) + column, *distance = ROW (rel, r) + column;
    float logit = 0;

    for (int i = 0; i < head_dim; i++)
      logit = fma (query[i] * scale[i], key[i] + distance[i], logit);
    weights[r] = cap * tanh (logit / cap);
    top = fmax (top, weights[r]);
  }
  top = group_max (top, scratch);
  for (int r = id; r < n; r += GROUP_SIZE) {
    weights[r] = exp (weights[r] - top);
    total += weights[r];
  }
  total = group_sum (total, scratch);   /* its barriers publish weights */

  for (int i = id; i < head_dim; i += GROUP_SIZE) {
    float sum = 0;

    for (int r = 0; r < n; r++)
      sum = fma (weights[r], (ROW (v, left + row - r) + column)[i], sum);
    (ROW (o, row) + column)[i] = sum / total;
  }
}
