/* Norms of rows, whole rows a work-item. */
#include "exp.clh"
#include "rows.clh"
#include "step.clh"

KERNEL (rms_norm, TENSOR_ARG (y), TENSOR_ARG (x), TENSOR_ARG (weight), TENSOR_ARG (add0), TENSOR_ARG (add1),
    TENSOR_ARG (y2), TENSOR_ARG (weight2), INT_ARG (rows), INT_ARG (row_step), INT_ARG (cols), FLOAT_ARG (eps),
    FLOAT_ARG (norm_scale), FLOAT_ARG (out_scale), INT_ARG (gelu))
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);
  global const float *w = weight ? ROW (weight, 0) : 0;

  for (int row = first; row < end; row++) {
    global const float *xr = ROW (x, row);
    global const float *a = add0 ? ROW (add0, row) : 0, *b = add1 ? ROW (add1, row) : 0;
    global float *yr = ROW (y, row);
    float scale = norm_scale / sqrt (sum_squares (xr, cols) / cols + eps);
    int c = 0;

    for (; c + 16 <= cols; c += 16) {
      float16 v = vload16 (0, xr + c) * scale;

      if (w)
        v *= vload16 (0, w + c);
      if (a)
        v += vload16 (0, a + c);
      if (b)
        v += vload16 (0, b + c);
      v *= out_scale;
      vstore16 (gelu ? GELU (v) : v, 0, yr + c);
    }
    for (; c < cols; c++) {
      float v = xr[c] * scale * (w ? w[c] : 1);

      v = out_scale * (v + (a ? a[c] : 0) + (b ? b[c] : 0));
      yr[c] = gelu ? GELU (v) : v;
    }
    if (y2)
      norm_row (ROW (y2, row), yr, weight2 ? ROW (weight2, 0) : 0, cols, eps);
  }
}

KERNEL (match_magnitude, TENSOR_ARG (x), TENSOR_ARG (ref), INT_ARG (rows), INT_ARG (row_step), INT_ARG (cols),
    INT_ARG (ref_cols), FLOAT_ARG (least))
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);

  for (int row = first; row < end; row++) {
    global float *xr = ROW (x, row);
    float wanted = sum_squares (ROW (ref, row), ref_cols) / ref_cols;
    float found = sum_squares (xr, cols) / cols;
    float scale = sqrt (wanted) / sqrt (fmax (found, least));
    int c = 0;

    for (; c + 16 <= cols; c += 16)
      vstore16 (vload16 (0, xr + c) * scale, 0, xr + c);
    for (; c < cols; c++)
      xr[c] *= scale;
  }
}

#ifndef STEPS
static float
sum_row (global const float *x, int n)
{
  float16 a = 0, b = 0;
  float tail = 0;
  int i = 0;

  for (; i + 32 <= n; i += 32) {
    a += vload16 (0, x + i);
    b += vload16 (0, x + i + 16);
  }
  for (; i < n; i++)
    tail += x[i];
  return sum16 (a + b) + tail;
}

static float
sum_square_deviations (global const float *x, int n, float mean)
{
  float16 a = 0, b = 0;
  float tail = 0;
  int i = 0;

  for (; i + 32 <= n; i += 32) {
    float16 u = vload16 (0, x + i) - mean, v = vload16 (0, x + i + 16) - mean;

    a = fma (u, u, a);
    b = fma (v, v, b);
  }
  for (; i < n; i++)
    tail = fma (x[i] - mean, x[i] - mean, tail);
  return sum16 (a + b) + tail;
}

/* One work-item: each row needs the state that the one before it left. */
SINGLE_ITEM kernel void
cumulative_norm (TENSOR (x), TENSOR (weight), TENSOR (state), int rows, int cols, int channels, float eps)
{
  global float *saved = ROW (state, 0);
  global const float *w = ROW (weight, 0);
  float2 count = vload2 (0, saved), sum = vload2 (1, saved), square = vload2 (2, saved);

  for (int t = 0; t < rows; t++) {
    global float *xt = ROW (x, t);
    float mean, scale;

    count = pair_add (count, cols);
    sum = pair_add (sum, sum_row (xt, cols));
    mean = sum.x / count.x;
    square = pair_add (square, sum_square_deviations (xt, cols, mean));
    scale = 1 / sqrt (square.x / count.x + eps);

    for (int start = 0; start < cols; start += channels) {
      int c = 0;

      for (; c + 16 <= channels; c += 16) {
        float16 v = (vload16 (0, xt + start + c) - mean) * scale * vload16 (0, w + c);

        vstore16 (fmax (v, 0.f), 0, xt + start + c);
      }
      for (; c < channels; c++)
        xt[start + c] = fmax ((xt[start + c] - mean) * scale * w[c], 0.f);
    }
  }
  vstore2 (count, 0, saved);
  vstore2 (sum, 1, saved);
  vstore2 (square, 2, saved);
}

/* x += add + bias, which may be 0 */
static void
add_row (global float *x, global const float *add, global const float *bias, int n)
{
  int c = 0;

  for (; c + 16 <= n; c += 16) {
    float16 v = vload16 (0, add + c);

    if (bias)
      v += vload16 (0, bias + c);
    vstore16 (vload16 (0, x + c) + v, 0, x + c);
  }
  for (; c < n; c++)
    x[c] += add[c] + (bias ? bias[c] : 0);
}

SINGLE_ITEM kernel void
layer_norm (TENSOR (y), TENSOR (x), TENSOR (weight), TENSOR (bias), TENSOR (add), TENSOR (add_bias), int rows,
    int row_step, int cols, float eps)
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);
  global const float *w = ROW (weight, 0), *b = ROW (bias, 0);

  for (int row = first; row < end; row++) {
    global float *xr = ROW (x, row), *yr = ROW (y, row);
    float mean, scale;
    int c = 0;

    if (add)
      add_row (xr, ROW (add, row), add_bias ? ROW (add_bias, 0) : 0, cols);
    mean = sum_row (xr, cols) / cols;
    scale = 1 / sqrt (sum_square_deviations (xr, cols, mean) / cols + eps);
    for (; c + 16 <= cols; c += 16)
      vstore16 (fma ((vload16 (0, xr + c) - mean) * scale, vload16 (0, w + c), vload16 (0, b + c)), 0, yr + c);
    for (; c < cols; c++)
      yr[c] = fma ((xr[c] - mean) * scale, w[c], b[c]);
  }
}
#endif
