/* The two passes of the picture scaler, some rows a work-item. */
#include "picture.clh"

/* A row as RGBx; n is a multiple of 16, and what lies after the row may be read. */
#if FORMAT == I420 || FORMAT == NV12
void
convert_row (global uint *y, PICTURE, int row)
{
  global const uchar *p = PICTURE_ROW (row), *v_row, *u_row = chroma_row (src, width, plane1, plane2, row, &v_row);

  for (int x = 0; x < width; x += 16) {
    int16 luma = convert_int16 (vload16 (0, p + x)), u, v, r, g, b;

#if FORMAT == NV12
    int16 uv = convert_int16 (vload16 (0, u_row + x));

    u = uv.s0022446688aaccee;
    v = uv.s1133557799bbddff;
#else
    int8 us = convert_int8 (vload8 (0, u_row + x / 2)), vs = convert_int8 (vload8 (0, v_row + x / 2));

    u = (int16) (us.s00112233, us.s44556677);
    v = (int16) (vs.s00112233, vs.s44556677);
#endif
    r = TO_CHANNEL (red, luma, u, v);
    g = TO_CHANNEL (green, luma, u, v);
    b = TO_CHANNEL (blue, luma, u, v);
    vstore16 (as_uint16 (r | g << 8 | b << 16), 0, y + x);
  }
}
#endif

/* @scratch: a row of RGBx for each item, @scratch_row pixels apart */
SINGLE_ITEM kernel void
picture_rows (global uchar4 *y, int first_row, PICTURE, global const int *bounds, global const int *weights, int ksize, int n_out,
    int rows, int row_step, global uint *scratch, int scratch_row)
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);

  for (int row = first; row < end; row++) {
#if FORMAT == I420 || FORMAT == NV12
    global uint *converted = scratch + (size_t) get_global_id (1) * scratch_row;
    global const uchar *x = (global const uchar *) converted;
    const int size = 4;

    convert_row (converted, src, width, plane1, plane2, red, green, blue, row);
#else
    global const uchar *x = PICTURE_ROW (row);
    const int size = PIXEL_BYTES;
#endif
    for (int i = 0; i < n_out; i++) {
      global const uchar *p = x + bounds[2 * i] * size;
      global const int *w = weights + i * ksize;
      int n = bounds[2 * i + 1];
      int4 sum = HALF;

      for (int k = 0; k < n; k++)
        sum += w[k] * convert_int4 (vload4 (0, p + k * size));  /* of RGB, the fourth is the next pixel's: not used */
      y[(size_t) (first_row + row) * n_out + i] = convert_uchar4 (TO_BYTES (int4, sum));
    }
  }
}

/* Four pixels of an output row. */
#define STORE_PIXELS(sum, at) \
  { \
    float16 v = convert_float16 (TO_BYTES (int16, sum)) * (1.f / 255); \
    vstore3 (v.s012, 0, ROW (y, at)); \
    vstore3 (v.s456, 0, ROW (y, (at) + 1)); \
    vstore3 (v.s89a, 0, ROW (y, (at) + 2)); \
    vstore3 (v.scde, 0, ROW (y, (at) + 3)); \
  }

SINGLE_ITEM kernel void
picture_columns (TENSOR (y), global const uchar *x, int width, global const int *bounds, global const int *weights,
    int ksize, int rows, int row_step)
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);

  for (int row = first; row < end; row++) {
    global const uchar *top = x + (size_t) bounds[2 * row] * width * 4;
    global const int *w = weights + row * ksize;
    int n = bounds[2 * row + 1], i = 0;

    for (; i + 16 <= width; i += 16) {  /* a cache line of each input row */
      int16 a = HALF, b = HALF, c = HALF, d = HALF;

      for (int k = 0; k < n; k++) {
        global const uchar *p = top + ((size_t) k * width + i) * 4;

        a += w[k] * convert_int16 (vload16 (0, p));
        b += w[k] * convert_int16 (vload16 (1, p));
        c += w[k] * convert_int16 (vload16 (2, p));
        d += w[k] * convert_int16 (vload16 (3, p));
      }
      STORE_PIXELS (a, row * width + i)
      STORE_PIXELS (b, row * width + i + 4)
      STORE_PIXELS (c, row * width + i + 8)
      STORE_PIXELS (d, row * width + i + 12)
    }
    for (; i < width; i++) {
      int4 sum = HALF;

      for (int k = 0; k < n; k++)
        sum += w[k] * convert_int4 (vload4 ((size_t) k * width + i, top));
      vstore3 (convert_float3 (TO_BYTES (int4, sum).xyz) * (1.f / 255), 0, ROW (y, row * width + i));
    }
  }
}
