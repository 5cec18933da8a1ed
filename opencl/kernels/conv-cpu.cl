/* USM's convolutions, some rows a work-item. */
#include "rows.clh"

/* dst [n] = src, or 0 without @src */
void
copy_run (global float *dst, global const float *src, int n)
{
  int i = 0;

  for (; i + 16 <= n; i += 16)
    vstore16 (src ? vload16 (0, src + i) : 0, 0, dst + i);
  for (; i < n; i++)
    dst[i] = src ? src[i] : 0;
}

/* The columns of one kernel row are contiguous in x: all that is inside moves at once. */
SINGLE_ITEM kernel void
im2col (TENSOR (y), TENSOR (x), int rows, int row_step, int height, int width, int channels, int size, int stride,
    int pad_top, int pad_left, int out_width)
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);

  for (int row = first; row < end; row++) {
    int iy = row / out_width * stride - pad_top, ix = row % out_width * stride - pad_left;
    int before = clamp (-ix, 0, size), inside = clamp (width - ix, before, size);
    global float *dst = ROW (y, row);

    for (int dy = 0; dy < size; dy++, iy++, dst += size * channels) {
      if (iy < 0 || iy >= height) {
        copy_run (dst, 0, size * channels);
        continue;
      }
      copy_run (dst, 0, before * channels);
      copy_run (dst + before * channels, ROW (x, iy) + (ix + before) * channels, (inside - before) * channels);
      copy_run (dst + inside * channels, 0, (size - inside) * channels);
    }
  }
}

SINGLE_ITEM kernel void
depthwise_causal (TENSOR (y), TENSOR (x), TENSOR (weight), int rows, int row_step, int cols, int taps)
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);

  for (int t = first; t < end; t++) {
    int c = 0;

    for (; c + 16 <= cols; c += 16) {
      float16 sum = 0;

      for (int i = 0; i < taps; i++)
        sum = fma (vload16 (0, ROW (weight, i) + c), vload16 (0, ROW (x, t + i) + c), sum);
      vstore16 (sum, 0, ROW (y, t) + c);
    }
    for (; c < cols; c++) {
      float sum = 0;

      for (int i = 0; i < taps; i++)
        sum = fma (ROW (weight, i)[c], ROW (x, t + i)[c], sum);
      ROW (y, t)[c] = sum;
    }
  }
}
