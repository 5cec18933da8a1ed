/* Resizing, a work-item an element of the result. The mode is OclResizeMode's. */
#include "rows.clh"
#include "resize2d.clh"

ROW_GROUP kernel void
resize2d (TENSOR (y), TENSOR (x), int channels, int mode, int height, int width, int out_height, int out_width)
{
  int c = get_global_id (0), row = get_global_id (1), oy = row / out_width, ox = row % out_width;
  float v = 0;

  if (c >= channels)
    return;
  if (mode == AVERAGE) {
    int h = height / out_height, w = width / out_width;

    for (int i = 0; i < h * w; i++)
      v += ROW (x, (oy * h + i / w) * width + ox * w + i % w)[c];
    v /= h * w;
  } else if (mode == BILINEAR) {
    float down, right;
    int iy = locate (oy, height, out_height, &down), ix = locate (ox, width, out_width, &right);
    int below = min (iy + 1, height - 1) * width, after = min (ix + 1, width - 1);

    iy *= width;
    v = mix (mix (ROW (x, iy + ix)[c], ROW (x, iy + after)[c], right),
        mix (ROW (x, below + ix)[c], ROW (x, below + after)[c], right), down);
  } else {
    v = ROW (x, oy * height / out_height * width + ox * width / out_width)[c];
  }
  ROW (y, row)[c] = v;
}
