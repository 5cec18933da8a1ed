/* Attention without a mask whose heads share keys and values, a work-group a head of a row. */
#include "rows.clh"

#define MAX_VALUE_DIM 512
#define OWN_DIMS (MAX_VALUE_DIM / GROUP_SIZE)

/* Group (h, m). A tile is a key an item; the softmax is rescaled from tile to tile. */
ROW_GROUP kernel void
multi_query (TENSOR (o), TENSOR (queries), TENSOR (k), TENSOR (v), int n_keys, int key_dim, int value_dim, float scale)
{
  local float scratch[GROUP_SIZE], weights[GROUP_SIZE];
  int id = get_local_id (0), head = get_group_id (0), row = get_group_id (1);
  global const float *query = ROW (queries, row) + head * key_dim;
  float top = -FLT_MAX, total = 0, sums[OWN_DIMS];

  for (int i = 0; i < OWN_DIMS; i++)
    sums[i] = 0;
  for (int tile = 0; tile < n_keys; tile += GROUP_SIZE) {
    int n = min (GROUP_SIZE, n_keys - tile);
    float logit = -INFINITY, old_top = top, shrink;

    if (id < n) {
      logit = 0;
      for (int i = 0; i < key_dim; i++)
        logit = fma (query[i], ROW (k, tile + id)[i], logit);
      logit *= scale;
    }
    top = fmax (top, group_max (logit, scratch));
    shrink = exp (old_top - top);
    weights[id] = exp (logit - top);
    total = total * shrink + group_sum (weights[id], scratch);  /* its barriers publish weights */

    for (int i = 0; i * GROUP_SIZE + id < value_dim; i++) {
      float sum = sums[i] * shrink;

      for (int j = 0; j < n; j++)
        sum = fma (weights[j], ROW (v, tile + j)[i * GROUP_SIZE + id], sum);
      sums[i] = sum;
    }
  }
  for (int i = 0; i * GROUP_SIZE + id < value_dim; i++)
    (ROW (o, row) + head * value_dim)[i * GROUP_SIZE + id] = sums[i] / total;
}
