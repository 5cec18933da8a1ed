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

static gfloat *
row_or_null (RefTensor t, gint row)
{
  return t.data ? ref_row (t, row) : NULL;
}

/* y = out_scale * (add0 + add1 + scale * x * weight), what is NULL left out */
static void
scale_row (gfloat *y, const gfloat *x, gint n, gdouble scale, const gfloat *weight, const gfloat *add0,
    const gfloat *add1, gdouble out_scale)
{
  for (gint c = 0; c < n; c++) {
    gdouble v = x[c] * scale * (weight ? weight[c] : 1);

    y[c] = out_scale * (v + (add0 ? add0[c] : 0) + (add1 ? add1[c] : 0));
  }
}

void
ref_rms_norm (RefTensor y, RefTensor x, const RefRmsNorm *p)
{
  gint n = x.cols;

  for (gint r = 0; r < y.rows; r++) {
    gdouble scale = p->norm_scale / sqrt (ref_mean_square (ref_row (x, r), n) + p->eps);

    scale_row (ref_row (y, r), ref_row (x, r), n, scale, p->weight.data, row_or_null (p->add0, r),
        row_or_null (p->add1, r), p->out_scale);
    for (gint c = 0; p->gelu && c < n; c++)
      ref_row (y, r)[c] = ref_gelu_tanh (ref_row (y, r)[c]);
    if (!p->y2.data)
      continue;
    scale = 1 / sqrt (ref_mean_square (ref_row (y, r), n) + p->eps);
    scale_row (ref_row (p->y2, r), ref_row (y, r), n, scale, p->weight2.data, NULL, NULL, 1);
  }
}

static void
layer_norm_row (gfloat *y, const gfloat *x, gint n, const gfloat *weight, const gfloat *bias, gfloat eps)
{
  gdouble mean = 0, variance = 0, scale;

  for (gint c = 0; c < n; c++)
    mean += x[c];
  mean /= n;
  for (gint c = 0; c < n; c++)
    variance += (x[c] - mean) * (x[c] - mean);
  scale = 1 / sqrt (variance / n + eps);
  for (gint c = 0; c < n; c++)
    y[c] = (x[c] - mean) * scale * weight[c] + bias[c];
}

void
ref_layer_norm (RefTensor y, RefTensor x, RefTensor weight, RefTensor bias, RefTensor add, RefTensor add_bias,
    gfloat eps)
{
  for (gint r = 0; r < y.rows; r++) {
    for (gint c = 0; add.data && c < x.cols; c++)
      ref_row (x, r)[c] += ref_row (add, r)[c] + (add_bias.data ? add_bias.data[c] : 0);
    layer_norm_row (ref_row (y, r), ref_row (x, r), x.cols, weight.data, bias.data, eps);
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
