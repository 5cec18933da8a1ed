#include "functions.h"

/* The pixel that tap (dy, dx) of output pixel @r reads; NULL outside. */
static const gfloat *
input_pixel (RefTensor x, const OclConv2d *p, gint r, gint tap)
{
  gint iy = r / p->out_width * p->stride - p->pad_top + tap / p->kernel;
  gint ix = r % p->out_width * p->stride - p->pad_left + tap % p->kernel;

  return iy >= 0 && iy < p->height && ix >= 0 && ix < p->width ? ref_row (x, iy * p->width + ix) : NULL;
}

void
ref_conv2d (RefTensor y, RefTensor x, RefTensor w, RefTensor bias, const OclConv2d *p)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint n = 0; n < y.cols; n++) {
      gdouble sum = bias.data ? bias.data[n] : 0;

      for (gint tap = 0; tap < p->kernel * p->kernel; tap++) {
        const gfloat *pixel = input_pixel (x, p, r, tap);

        for (gint c = 0; pixel && c < x.cols; c++)
          sum += (gdouble) ref_row (w, n)[tap * x.cols + c] * pixel[c];
      }
      ref_row (y, r)[n] = sum;
    }
}

void
ref_depthwise2d (RefTensor y, RefTensor x, RefTensor weight, const OclConv2d *p)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++) {
      gdouble sum = 0;

      for (gint tap = 0; tap < p->kernel * p->kernel; tap++) {
        const gfloat *pixel = input_pixel (x, p, r, tap);

        sum += pixel ? (gdouble) ref_row (weight, tap)[c] * pixel[c] : 0;
      }
      ref_row (y, r)[c] = sum;
    }
}
