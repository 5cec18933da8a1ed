#include "functions.h"

void
ref_im2col (RefTensor y, RefTensor x, const OclIm2col *p)
{
  gint channels = p->channels, kernel = p->kernel;

  for (gint r = 0; r < p->out_height * p->out_width; r++) {
    gint top = r / p->out_width * p->stride - p->pad_top;
    gint left = r % p->out_width * p->stride - p->pad_left;

    for (gint tap = 0; tap < kernel * kernel; tap++) {
      gint iy = top + tap / kernel, ix = left + tap % kernel;
      gboolean inside = iy >= 0 && iy < p->height && ix >= 0 && ix < p->width;

      for (gint c = 0; c < channels; c++)
        ref_row (y, r)[tap * channels + c] = inside ? ref_row (x, iy)[ix * channels + c] : 0;
    }
  }
}

void
ref_depthwise_causal (RefTensor y, RefTensor x, RefTensor weight)
{
  for (gint t = 0; t < y.rows; t++)
    for (gint c = 0; c < y.cols; c++) {
      gdouble sum = 0;

      for (gint i = 0; i < weight.rows; i++)
        sum += (gdouble) ref_row (weight, i)[c] * ref_row (x, t + i)[c];
      ref_row (y, t)[c] = sum;
    }
}
