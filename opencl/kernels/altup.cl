/* AltUp over N_STREAMS streams, a work-group a token; stream s of token t is row s * n_tokens + t. */
#include "rows.clh"

/* 1 / rms (x) */
float
group_norm (global const float *x, int n, float eps, local float *scratch)
{
  float part = 0;

  for (int c = get_local_id (0); c < n; c += GROUP_SIZE)
    part = fma (x[c], x[c], part);
  return 1 / sqrt (group_sum (part, scratch) / n + eps);
}

/* m [N_STREAMS] = tanh (router (RMS (x) * router_norm / cols)) */
void
modalities (float *m, global const float *x, TENSOR (router_norm), TENSOR (router), int cols, float eps,
    local float *scratch)
{
  float part, scale = group_norm (x, cols, eps, scratch) / cols;

  for (int s = 0; s < N_STREAMS; s++) {
    part = 0;
    for (int c = get_local_id (0); c < cols; c += GROUP_SIZE)
      part = fma (x[c] * ROW (router_norm, 0)[c], ROW (router, s)[c], part);
    m[s] = tanh (group_sum (part, scratch) * scale);
  }
}

#define TENSOR_ARG(t) t, t##_offset, t##_stride

ROW_GROUP kernel void
predict (TENSOR (y), TENSOR (h), TENSOR (router_norm), TENSOR (router), TENSOR (weight),
    int n_tokens, int cols, float eps)
{
  local float scratch[GROUP_SIZE];
  int t = get_group_id (0);
  float m[N_STREAMS], p[N_STREAMS][N_STREAMS];

  modalities (m, ROW (h, t), TENSOR_ARG (router_norm), TENSOR_ARG (router), cols, eps, scratch);
  for (int i = 0; i < N_STREAMS; i++)
    for (int j = 0; j < N_STREAMS; j++) {
      p[i][j] = i == j;
      for (int s = 0; s < N_STREAMS; s++)
        p[i][j] = fma (ROW (weight, N_STREAMS * i + j)[s], m[s], p[i][j]);
    }

  for (int c = get_local_id (0); c < cols; c += GROUP_SIZE)
    for (int i = 0; i < N_STREAMS; i++) {
      float sum = 0;

      for (int j = 0; j < N_STREAMS; j++)
        sum = fma (p[i][j], ROW (h, j * n_tokens + t)[c], sum);
      ROW (y, i * n_tokens + t)[c] = sum;
    }
}

ROW_GROUP kernel void
correct (TENSOR (h), TENSOR (pred), TENSOR (active), TENSOR (router_norm), TENSOR (router), TENSOR (weight),
    TENSOR (scaled), TENSOR (scale_weight), int n_tokens, int cols, float eps)
{
  local float scratch[GROUP_SIZE];
  int t = get_group_id (0);
  float m[N_STREAMS], p[N_STREAMS];

  modalities (m, ROW (active, t), TENSOR_ARG (router_norm), TENSOR_ARG (router), cols, eps, scratch);
  for (int i = 0; i < N_STREAMS; i++) {
    p[i] = 1;
    for (int s = 0; s < N_STREAMS; s++)
      p[i] = fma (ROW (weight, i)[s], m[s], p[i]);
  }

  for (int c = get_local_id (0); c < cols; c += GROUP_SIZE) {
    float innovation = ROW (active, t)[c] - ROW (pred, t)[c];

    for (int i = 0; i < N_STREAMS; i++)
      ROW (h, i * n_tokens + t)[c] = fma (p[i], innovation, ROW (pred, i * n_tokens + t)[c]);
    if (scaled)
      ROW (scaled, t)[c] = ROW (h, t)[c] * ROW (scale_weight, 0)[c];
  }
}

ROW_GROUP kernel void
add (TENSOR (h), TENSOR (x), TENSOR (weight), int n_tokens, int cols, float eps)
{
  local float scratch[GROUP_SIZE];
  int t = get_group_id (0);
  float scale = group_norm (ROW (x, t), cols, eps, scratch);

  for (int c = get_local_id (0); c < cols; c += GROUP_SIZE)
    for (int s = 1; s < N_STREAMS; s++)
      ROW (h, s * n_tokens + t)[c] += ROW (x, t)[c] * scale * ROW (weight, 0)[c];
}

ROW_GROUP kernel void
mean_streams (TENSOR (y), TENSOR (h), int n_tokens, int cols)
{
  int c = get_global_id (0), t = get_global_id (1);
  float sum = 0;

  if (c >= cols)
    return;
  for (int s = 0; s < N_STREAMS; s++)
    sum += ROW (h, s * n_tokens + t)[c];
  ROW (y, t)[c] = sum / N_STREAMS;
}
