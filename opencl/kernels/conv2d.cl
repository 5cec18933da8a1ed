/* Convolutions of pictures, a work-item an element of the result; conv2d with weights of -DTYPE_<type>. */
#include "rows.clh"
#include "panel.clh"

ROW_GROUP kernel void
conv2d (TENSOR (y), TENSOR (x), PANELS (w), TENSOR (bias), int N, int height, int width, int channels,
    int size, int stride, int pad_top, int pad_left, int out_width)
{
  int n = get_global_id (0), row = get_global_id (1), lane = n % PANEL;
  int top = row / out_width * stride - pad_top, left = row % out_width * stride - pad_left;
  global const uchar *data = PANEL_DATA (w, n / PANEL);
  global const uchar *scales = PANEL_SCALES (w, n / PANEL);
  float sum;

  if (n >= N)
    return;
  sum = bias ? ROW (bias, 0)[n] : 0;
  for (int tap = 0; tap < size * size; tap++) {
    int iy = top + tap / size, ix = left + tap % size;
    global const float *pixel = ROW (x, iy * width + ix);

    if (iy < 0 || iy >= height || ix < 0 || ix >= width)
      continue;
    for (int c = 0; c < channels; c++) {
      int k = tap * channels + c;

      sum = fma (pixel[c], panel_value (data, w_line, WORD_STEP (w), lane, k) * panel_scale (scales, w_block, lane, k / PART), sum);
    }
  }
  ROW (y, row)[n] = sum;
}

ROW_GROUP kernel void
depthwise2d (TENSOR (y), TENSOR (x), TENSOR (weight), int channels, int height, int width, int size, int stride,
    int pad_top, int pad_left, int out_width)
{
  int c = get_global_id (0), row = get_global_id (1);
  int top = row / out_width * stride - pad_top, left = row % out_width * stride - pad_left;
  float sum = 0;

  if (c >= channels)
    return;
  for (int tap = 0; tap < size * size; tap++) {
    int iy = top + tap / size, ix = left + tap % size;

    if (iy >= 0 && iy < height && ix >= 0 && ix < width)
      sum = fma (ROW (weight, tap)[c], ROW (x, iy * width + ix)[c], sum);
  }
  ROW (y, row)[c] = sum;
}
