/* Resizing, some output pixels a work-item: each is a weighted sum of a few input pixels. */
#include "rows.clh"
#include "resize2d.clh"

/* y = (begin ? 0 : y) + weight * x */
void
add_pixel (global float *y, global const float *x, int n, float weight, int begin)
{
  int c = 0;

  for (; c + 16 <= n; c += 16)
    vstore16 (fma (vload16 (0, x + c), (float16) weight, begin ? 0 : vload16 (0, y + c)), 0, y + c);
  for (; c < n; c++)
    y[c] = fma (x[c], weight, begin ? 0 : y[c]);
}

SINGLE_ITEM kernel void
resize2d (TENSOR (y), TENSOR (x), int rows, int row_step, int channels, int mode, int height, int width,
    int out_height, int out_width)
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);

  for (int row = first; row < end; row++) {
    int oy = row / out_width, ox = row % out_width;
    global float *yr = ROW (y, row);

    if (mode == AVERAGE) {
      int h = height / out_height, w = width / out_width;

      for (int i = 0; i < h * w; i++)
        add_pixel (yr, ROW (x, (oy * h + i / w) * width + ox * w + i % w), channels, 1.f / (h * w), i == 0);
    } else if (mode == BILINEAR) {
      float down, right;
      int iy = locate (oy, height, out_height, &down), ix = locate (ox, width, out_width, &right);
      int below = min (iy + 1, height - 1) * width, after = min (ix + 1, width - 1);

      iy *= width;
      add_pixel (yr, ROW (x, iy + ix), channels, (1 - down) * (1 - right), 1);
      add_pixel (yr, ROW (x, iy + after), channels, (1 - down) * right, 0);
      add_pixel (yr, ROW (x, below + ix), channels, down * (1 - right), 0);
      add_pixel (yr, ROW (x, below + after), channels, down * right, 0);
    } else {
      add_pixel (yr, ROW (x, oy * height / out_height * width + ox * width / out_width), channels, 1, 1);
    }
  }
}
