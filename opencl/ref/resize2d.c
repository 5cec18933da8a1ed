#include "functions.h"

#include <math.h>

static void
average (gfloat *y, RefTensor x, const OclResize2d *p, gint oy, gint ox)
{
  gint h = p->height / p->out_height, w = p->width / p->out_width;

  for (gint c = 0; c < x.cols; c++) {
    gdouble sum = 0;

    for (gint i = 0; i < h * w; i++)
      sum += ref_row (x, (oy * h + i / w) * p->width + ox * w + i % w)[c];
    y[c] = sum / (h * w);
  }
}

/* Along one axis: the lower of two neighbours, and the share of the upper one. */
static gint
locate (gint out, gint n_in, gint n_out, gdouble *share)
{
  gdouble at = CLAMP ((out + 0.5) * n_in / n_out - 0.5, 0, n_in - 1);

  *share = at - floor (at);
  return floor (at);
}

static void
bilinear (gfloat *y, RefTensor x, const OclResize2d *p, gint oy, gint ox)
{
  gdouble down, right;
  gint iy = locate (oy, p->height, p->out_height, &down), ix = locate (ox, p->width, p->out_width, &right);
  gint below = MIN (iy + 1, p->height - 1), after = MIN (ix + 1, p->width - 1);

  for (gint c = 0; c < x.cols; c++) {
    gdouble a = ref_row (x, iy * p->width + ix)[c], b = ref_row (x, iy * p->width + after)[c];
    gdouble e = ref_row (x, below * p->width + ix)[c], f = ref_row (x, below * p->width + after)[c];

    y[c] = (a * (1 - right) + b * right) * (1 - down) + (e * (1 - right) + f * right) * down;
  }
}

void
ref_resize2d (RefTensor y, RefTensor x, const OclResize2d *p)
{
  for (gint r = 0; r < y.rows; r++) {
    gint oy = r / p->out_width, ox = r % p->out_width;

    if (p->mode == OCL_RESIZE_AVERAGE)
      average (ref_row (y, r), x, p, oy, ox);
    else if (p->mode == OCL_RESIZE_BILINEAR)
      bilinear (ref_row (y, r), x, p, oy, ox);
    else
      for (gint c = 0; c < x.cols; c++)
        ref_row (y, r)[c] = ref_row (x, oy * p->height / p->out_height * p->width + ox * p->width / p->out_width)[c];
  }
}
