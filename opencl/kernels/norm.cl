/* Norms of rows, a work-group a row. */
#include "rows.clh"

float
group_mean_square (global const float *x, int n, local float *scratch)
{
  float sum = 0;

  for (int c = get_local_id (0); c < n; c += GROUP_SIZE)
    sum = fma (x[c], x[c], sum);
  return group_sum (sum, scratch) / n;
}

ROW_GROUP kernel void
rms_norm (TENSOR (y), TENSOR (x), TENSOR (weight), TENSOR (add0), TENSOR (add1), int cols, float eps,
    float norm_scale, float out_scale, int gelu)
{
  local float scratch[GROUP_SIZE];
  int row = get_group_id (0);
  global const float *xr = ROW (x, row);
  float scale = norm_scale / sqrt (group_mean_square (xr, cols, scratch) + eps);

  for (int c = get_local_id (0); c < cols; c += GROUP_SIZE) {
    float v = xr[c] * scale;

    if (weight)
      v *= ROW (weight, 0)[c];
    if (add0)
      v += ROW (add0, row)[c];
    if (add1)
      v += ROW (add1, row)[c];
    v *= out_scale;
    ROW (y, row)[c] = gelu ? GELU (v) : v;
  }
}

/* Each item reads again only what it wrote itself. */
ROW_GROUP kernel void
layer_norm (TENSOR (y), TENSOR (x), TENSOR (weight), TENSOR (bias), TENSOR (add), TENSOR (add_bias), int cols, float eps)
{
  local float scratch[GROUP_SIZE];
  int row = get_group_id (0), id = get_local_id (0);
  global float *xr = ROW (x, row);
  float part = 0, mean, scale;

  for (int c = id; c < cols; c += GROUP_SIZE) {
    if (add)
      xr[c] += ROW (add, row)[c] + (add_bias ? ROW (add_bias, 0)[c] : 0);
    part += xr[c];
  }
  mean = group_sum (part, scratch) / cols;
  part = 0;
  for (int c = id; c < cols; c += GROUP_SIZE)
    part = fma (xr[c] - mean, xr[c] - mean, part);
  scale = 1 / sqrt (group_sum (part, scratch) / cols + eps);
  for (int c = id; c < cols; c += GROUP_SIZE)
    ROW (y, row)[c] = (xr[c] - mean) * scale * ROW (weight, 0)[c] + ROW (bias, 0)[c];
}

ROW_GROUP kernel void
match_magnitude (TENSOR (x), TENSOR (ref), int cols, int ref_cols, float least)
{
  local float scratch[GROUP_SIZE];
  int row = get_group_id (0);
  float wanted = group_mean_square (ROW (ref, row), ref_cols, scratch);
  float found = group_mean_square (ROW (x, row), cols, scratch);
  float scale = sqrt (wanted) / sqrt (fmax (found, least));

  for (int c = get_local_id (0); c < cols; c += GROUP_SIZE)
    ROW (x, row)[c] *= scale;
}

/* One work-group: each row needs the state that the one before it left. */
ROW_GROUP kernel void
cumulative_norm (TENSOR (x), TENSOR (weight), TENSOR (state), int rows, int cols, int channels, float eps)
{
  local float scratch[GROUP_SIZE];
  int id = get_local_id (0);
  global float *saved = ROW (state, 0);
  float2 count = vload2 (0, saved), sum = vload2 (1, saved), square = vload2 (2, saved);

  for (int t = 0; t < rows; t++) {
    global float *xt = ROW (x, t);
    float part = 0, mean, scale;

    for (int c = id; c < cols; c += GROUP_SIZE)
      part += xt[c];
    count = pair_add (count, cols);
    sum = pair_add (sum, group_sum (part, scratch));
    mean = sum.x / count.x;

    part = 0;
    for (int c = id; c < cols; c += GROUP_SIZE)
      part = fma (xt[c] - mean, xt[c] - mean, part);
    square = pair_add (square, group_sum (part, scratch));
    scale = 1 / sqrt (square.x / count.x + eps);

    for (int c = id; c < cols; c += GROUP_SIZE)
      xt[c] = fmax (0.f, (xt[c] - mean) * scale * ROW (weight, 0)[c % channels]);
  }
  barrier (CLK_GLOBAL_MEM_FENCE);
  if (id == 0) {
    vstore2 (count, 0, saved);
    vstore2 (sum, 1, saved);
    vstore2 (square, 2, saved);
  }
}
