/* Rope, some rows a work-item. */
#include "rows.clh"
#include "step.clh"
#include "rope.clh"

KERNEL (rope_table, TENSOR_ARG (table), INT_ARG (rows), INT_ARG (row_step), INT_ARG (first), INT_ARG (n),
    INT_ARG (half_dim), INT_ARG (position0), ARG (Frequencies, inverse))
{
  int row = get_global_id (1) * row_step, end = min (row + row_step, rows);

  for (; row < end; row++) {
    float position = position0 + row;
    global float *cosines = ROW (table, row) + first, *sines = cosines + half_dim;
    int i = 0;

    for (; i + 8 <= n; i += 8) {
      float8 angle = position * vload8 (0, inverse.f + i);

      vstore8 (cos (angle), 0, cosines + i);
      vstore8 (sin (angle), 0, sines + i);
    }
    for (; i < n; i++) {
      cosines[i] = cos (position * inverse.f[i]);
      sines[i] = sin (position * inverse.f[i]);
    }
  }
}

/* y = RMS (x) [* weight [, rotated]]; y may be x */
static void
norm_rope (global float *y, global const float *x, global const float *weight, global const float *angles,
    int head_dim, float eps)
{
  int half_dim = head_dim / 2, i = 0;
  float scale = 1 / sqrt (sum_squares (x, head_dim) / head_dim + eps);

  for (; i + 8 <= half_dim; i += 8) {
    float8 a = vload8 (0, x + i) * scale, b = vload8 (0, x + half_dim + i) * scale;

    if (weight) {
      a *= vload8 (0, weight + i);
      b *= vload8 (0, weight + half_dim + i);
    }
    if (angles) {
      float8 u = a, v = b, c = vload8 (0, angles + i), s = vload8 (0, angles + half_dim + i);

      a = u * c - v * s;
      b = v * c + u * s;
    }
    vstore8 (a, 0, y + i);
    vstore8 (b, 0, y + half_dim + i);
  }
  for (; i < half_dim; i++) {
    float a = x[i] * scale, b = x[half_dim + i] * scale;

    if (weight) {
      a *= weight[i];
      b *= weight[half_dim + i];
    }
    if (angles) {
      float u = a, v = b;

      a = u * angles[i] - v * angles[half_dim + i];
      b = v * angles[i] + u * angles[half_dim + i];
    }
    y[i] = a;
    y[half_dim + i] = b;
  }
}

KERNEL (qkv_norm_rope, TENSOR_ARG (qkv), TENSOR_ARG (k_cache), TENSOR_ARG (v_cache), TENSOR_ARG (q_weight),
    TENSOR_ARG (k_weight), TENSOR_ARG (rope), INT_ARG (rows), INT_ARG (row_step), INT_ARG (n_heads),
    INT_ARG (n_kv_heads), INT_ARG (head_dim), INT_ARG (position0), INT_ARG (capacity), FLOAT_ARG (eps),
    INT_ARG (raw_values))
{
  int row = get_global_id (1) * row_step, end = min (row + row_step, rows);

  for (; row < end; row++) {
    int slot = (position0 + row) % capacity;
    global float *x = ROW (qkv, row);
    global const float *angles = rope ? ROW (rope, row) : 0;

    for (int h = 0; h < n_heads; h++, x += head_dim)
      norm_rope (x, x, ROW (q_weight, 0), angles, head_dim, eps);
    for (int h = 0; h < n_kv_heads; h++, x += head_dim)
      norm_rope (ROW (k_cache, slot) + h * head_dim, x, ROW (k_weight, 0), angles, head_dim, eps);
    for (int h = 0; !raw_values && h < n_kv_heads; h++, x += head_dim)
      norm_rope (ROW (v_cache, slot) + h * head_dim, x, 0, 0, head_dim, eps);
    for (int i = 0; raw_values && i < n_kv_heads * head_dim; i++)
      ROW (v_cache, slot)[i] = x[i];
  }
}
