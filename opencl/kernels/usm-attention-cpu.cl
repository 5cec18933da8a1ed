/* USM's local attention, some rows a work-item; head_dim is a multiple of 8. */
#include "rows.clh"

#define MAX_KEYS 64             /* of one query, in usm-attention.c too */

/* Two logits at a time: (q * scale) . (k + rel). */
void
dot_pair (float *logits, global const float *q, global const float *scale, global const float *k0,
    global const float *k1, global const float *rel0, global const float *rel1, int n)
{
  float8 a = 0, b = 0;

  for (int i = 0; i < n; i += 8) {
    float8 v = vload8 (0, q + i) * vload8 (0, scale + i);

    a = fma (v, vload8 (0, k0 + i) + vload8 (0, rel0 + i), a);
    b = fma (v, vload8 (0, k1 + i) + vload8 (0, rel1 + i), b);
  }
  logits[0] = sum8 (a);
  logits[1] = sum8 (b);
}

/* weights = exp (logits - top), logits = cap * tanh (logits / cap), 0 from @n on; returns their sum */
float
soften (float *weights, int n, float cap)
{
  const int16 lane = (int16) (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float16 best = -INFINITY, sum = 0;
  float top;

  for (int r = 0; r < n; r += 16) {
    float16 v = cap * tanh (vload16 (0, weights + r) / cap);

    v = select ((float16) -INFINITY, v, lane + r < n);
    vstore16 (v, 0, weights + r);
    best = fmax (best, v);
  }
  top = max16 (best);
  for (int r = 0; r < n; r += 16) {
    float16 v = exp (vload16 (0, weights + r) - top);

    vstore16 (v, 0, weights + r);
    sum += v;
  }
  return sum16 (sum);
}

void
attend (global float *o, global const float *q, global const float *scale, global const float *k, int k_stride,
    global const float *v, int v_stride, global const float *rel, int rel_stride, int n, int head_dim, float cap)
{
  float weights[MAX_KEYS], factor;

  for (int i = 0; i < MAX_KEYS; i++)
    weights[i] = 0;
  for (int r = 0; r < n; r += 2) {
    int s = min (r + 1, n - 1); /* an odd last one is paired with itself and masked */

    dot_pair (weights + r, q, scale, k - (long) r * k_stride, k - (long) s * k_stride, rel + (long) r * rel_stride,
        rel + (long) s * rel_stride, head_dim);
  }
  factor = 1 / soften (weights, n, cap);

  for (int i = 0; i < head_dim; i += 8) {
    float8 sum = 0;

    for (int r = 0; r < n; r++)
      sum = fma ((float8) weights[r], vload8 (0, v - (long) r * v_stride + i), sum);
    vstore8 (sum * factor, 0, o + i);
  }
}

SINGLE_ITEM kernel void
local_attention (TENSOR (o), TENSOR (queries), TENSOR (k), TENSOR (v), TENSOR (rel), TENSOR (q_scale), int rows,
    int row_step, int n_heads, int head_dim, int left, int n_history, float cap)
{
  int row = get_global_id (1) * row_step, end = min (row + row_step, rows);

  for (; row < end; row++)
    for (int c = 0; c < n_heads * head_dim; c += head_dim)
      attend (ROW (o, row) + c, ROW (queries, row) + c, ROW (q_scale, 0), ROW (k, left + row) + c, k_stride,
          ROW (v, left + row) + c, v_stride, ROW (rel, 0) + c, rel_stride, min (left, row + n_history) + 1, head_dim,
          cap);
}
