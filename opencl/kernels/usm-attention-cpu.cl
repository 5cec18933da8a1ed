/* USM's local attention, some rows a work-item; head_dim is a multiple of 8. */
#include "rows.clh"

#define MAX_KEYS 64             /* of one query, in usm-attention.c too */

/* Four logits: (q * scale) . (k + rel), rows r, s, t, u of k (backwards) and rel. */
void
dot_4 (float *logits, global const float *q, global const float *scale, global const float *k, long k_stride,
    global const float *rel, long rel_stride, int4 row, int n)
{
  global const float *k0 = k - row.x * k_stride, *k1 = k - row.y * k_stride;
  global const float *k2 = k - row.z * k_stride, *k3 = k - row.w * k_stride;
  global const float *r0 = rel + row.x * rel_stride, *r1 = rel + row.y * rel_stride;
  global const float *r2 = rel + row.z * rel_stride, *r3 = rel + row.w * rel_stride;
  float8 a = 0, b = 0, c = 0, d = 0;

  for (int i = 0; i < n; i += 8) {
    float8 v = vload8 (0, q + i) * vload8 (0, scale + i);

    a = fma (v, vload8 (0, k0 + i) + vload8 (0, r0 + i), a);
    b = fma (v, vload8 (0, k1 + i) + vload8 (0, r1 + i), b);
    c = fma (v, vload8 (0, k2 + i) + vload8 (0, r2 + i), c);
    d = fma (v, vload8 (0, k3 + i) + vload8 (0, r3 + i), d);
  }
  logits[0] = sum8 (a);
  logits[1] = sum8 (b);
  logits[2] = sum8 (c);
  logits[3] = sum8 (d);
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
  /* rows beyond the last repeat it and are masked */
  for (int r = 0; r < n; r += 4)
    dot_4 (weights + r, q, scale, k, k_stride, rel, rel_stride, min ((int4) (r, r + 1, r + 2, r + 3), n - 1), head_dim);
  factor = 1 / soften (weights, n, cap);

  for (int i = 0; i < head_dim; i += 32) {
    /* four vectors at a time; those beyond the head repeat the first */
    int b = i + 8 < head_dim ? 8 : 0, c = i + 16 < head_dim ? 16 : 0, d = i + 24 < head_dim ? 24 : 0;
    float8 sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    global const float *at = v + i;

    for (int r = 0; r < n; r++, at -= v_stride) {
      float8 w = weights[r];

      sum0 = fma (w, vload8 (0, at), sum0);
      sum1 = fma (w, vload8 (0, at + b), sum1);
      sum2 = fma (w, vload8 (0, at + c), sum2);
      sum3 = fma (w, vload8 (0, at + d), sum3);
    }
    vstore8 (sum3 * factor, 0, o + i + d);
    vstore8 (sum2 * factor, 0, o + i + c);
    vstore8 (sum1 * factor, 0, o + i + b);
    vstore8 (sum0 * factor, 0, o + i);
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
