/* USM's convolutions, a work-item an element. */
#include "rows.clh"

ROW_GROUP kernel void
im2col (TENSOR (y), TENSOR (x), int height, int width, int channels, int size, int stride, int pad_top, int pad_left,
    int out_width)
{
  int col = get_global_id (0), row = get_global_id (1), tap = col / channels;
  int iy = row / out_width * stride - pad_top + tap / size;
  int ix = row % out_width * stride - pad_left + tap % size;
  float v = 0;

  if (tap >= size * size)
    return;
  if (iy >= 0 && iy < height && ix >= 0 && ix < width)
    v = ROW (x, iy)[ix * channels + col % channels];
  ROW (y, row)[col] = v;
}

ROW_GROUP kernel void
depthwise_causal (TENSOR (y), TENSOR (x), TENSOR (weight), int cols, int taps)
{
  int c = get_global_id (0), t = get_global_id (1);
  float sum = 0;

  if (c >= cols)
    return;
  for (int i = 0; i < taps; i++)
    sum = fma (ROW (weight, i)[c], ROW (x, t + i)[c], sum);
  ROW (y, t)[c] = sum;
}
