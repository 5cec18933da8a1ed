#include "functions.h"

#include <math.h>

gdouble
ref_mean_square (const gfloat *x, gint n)
{
  gdouble sum = 0;

  for (gint i = 0; i < n; i++)
    sum += (gdouble) x[i] * x[i];
  return sum / n;
}

void
ref_rms_norm (RefTensor y, RefTensor x, RefTensor weight, RefTensor add0, RefTensor add1,
    gfloat eps, gfloat norm_scale, gfloat out_scale)
{
  for (gint r = 0; r < y.rows; r++) {
    const gfloat *xr = ref_row (x, r);
    gdouble scale = norm_scale / sqrt (ref_mean_square (xr, x.cols) + eps);
    gfloat *yr = ref_row (y, r);

    for (gint c = 0; c < y.cols; c++) {
      gdouble v = xr[c] * scale;

      if (weight.data)
        v *= weight.data[c];
      if (add0.data)
        v += ref_row (add0, r)[c];
      if (add1.data)
        v += ref_row (add1, r)[c];
      yr[c] = out_scale * v;
    }
  }
}

void
ref_match_magnitude (RefTensor x, RefTensor ref, gfloat floor)
{
  for (gint r = 0; r < x.rows; r++) {
    gfloat *xr = ref_row (x, r);
    gdouble wanted = sqrt (ref_mean_square (ref_row (ref, r), ref.cols));
    gdouble scale = wanted / sqrt (fmax (ref_mean_square (xr, x.cols), floor));

    for (gint c = 0; c < x.cols; c++)
      xr[c] *= scale;
  }
}

/* A double split into the two floats that hold its first 48 bits. */
static gdouble
load_pair (const gfloat *pair)
{
  return (gdouble) pair[0] + pair[1];
}

static void
add_to_pair (gfloat *pair, gdouble x)
{
  gdouble sum = load_pair (pair) + x;

  pair[0] = sum;
  pair[1] = sum - pair[0];
}

/* The state is rounded to its pairs after every row, so calls may split the rows anywhere. */
void
ref_cumulative_norm (RefTensor x, RefTensor weight, RefTensor state, gfloat eps)
{
  gfloat *count = state.data, *sum = state.data + 2, *square = state.data + 4;
  gint channels = weight.cols;

  for (gint t = 0; t < x.rows; t++) {
    gfloat *xt = ref_row (x, t);
    gdouble row_sum = 0, row_square = 0, mean, scale;

    for (gint c = 0; c < x.cols; c++)
      row_sum += xt[c];
    add_to_pair (count, x.cols);
    add_to_pair (sum, row_sum);
    mean = load_pair (sum) / load_pair (count);

    for (gint c = 0; c < x.cols; c++)
      row_square += (xt[c] - mean) * (xt[c] - mean);
    add_to_pair (square, row_square);
    scale = 1 / sqrt (load_pair (square) / load_pair (count) + eps);

    for (gint c = 0; c < x.cols; c++)
      xt[c] = fmax (0, (xt[c] - mean) * scale * weight.data[c % channels]);
  }
}
