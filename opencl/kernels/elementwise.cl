/* y = f (u, v, value) element by element, a work-item an element. */
#include "rows.clh"

#define ELEMENTWISE_KERNEL(name, expression) \
  ROW_GROUP kernel void \
  name (TENSOR (y), TENSOR (a), TENSOR (b), int cols, float value) \
  { \
    int c = get_global_id (0), row = get_global_id (1); \
    if (c >= cols) \
      return; \
    float u = ROW (a, row)[c], v = ROW (b, row)[c]; \
    ROW (y, row)[c] = expression; \
  }

#include "elementwise-list.clh"

ROW_GROUP kernel void
fill (TENSOR (y), int cols, float value)
{
  int c = get_global_id (0);

  if (c < cols)
    ROW (y, get_global_id (1))[c] = value;
}

/* y = gelu (max (0, gate - cutoff)) * up, a work-group a row. */
ROW_GROUP kernel void
sparse_gelu (TENSOR (y), TENSOR (gate), TENSOR (up), int cols, float sparsity)
{
  local float scratch[GROUP_SIZE];
  int row = get_group_id (0), id = get_local_id (0);
  global const float *g = ROW (gate, row);
  float part = 0, mean, cutoff;

  for (int c = id; c < cols; c += GROUP_SIZE)
    part += g[c];
  mean = group_sum (part, scratch) / cols;
  part = 0;
  for (int c = id; c < cols; c += GROUP_SIZE)
    part = fma (g[c] - mean, g[c] - mean, part);
  cutoff = mean + sparsity * sqrt (group_sum (part, scratch) / cols);

  for (int c = id; c < cols; c += GROUP_SIZE) {
    float v = fmax (0.f, g[c] - cutoff);

    ROW (y, row)[c] = GELU (v) * ROW (up, row)[c];
  }
}
