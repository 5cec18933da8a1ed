/* The two passes of the picture scaler, a work-item a pixel. */
#include "picture.clh"

ROW_GROUP kernel void
picture_rows (global uchar4 *y, int first_row, PICTURE, global const int *bounds, global const int *weights, int ksize, int n_out)
{
  int i = get_global_id (0), row = get_global_id (1);
  int4 sum = HALF;

  if (i >= n_out)
    return;
  for (int k = 0; k < bounds[2 * i + 1]; k++)
    sum += weights[i * ksize + k] * get_pixel (src, width, plane1, plane2, red, green, blue, row, bounds[2 * i] + k);
  y[(size_t) (first_row + row) * n_out + i] = convert_uchar4 (TO_BYTES (int4, sum));
}

ROW_GROUP kernel void
picture_columns (TENSOR (y), global const uchar4 *x, int width, global const int *bounds, global const int *weights,
    int ksize)
{
  int i = get_global_id (0), row = get_global_id (1);
  global float *out = ROW (y, (long) row * width + i);
  int4 sum = HALF;

  if (i >= width)
    return;
  for (int k = 0; k < bounds[2 * row + 1]; k++)
    sum += weights[row * ksize + k] * convert_int4 (x[(size_t) (bounds[2 * row] + k) * width + i]);
  sum = TO_BYTES (int4, sum);
  out[0] = sum.x * (1.f / 255);
  out[1] = sum.y * (1.f / 255);
  out[2] = sum.z * (1.f / 255);
}
