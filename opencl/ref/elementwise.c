#include "functions.h"

#include <math.h>
#include <string.h>

gdouble
ref_sigmoid (gdouble x)
{
  return 1 / (1 + exp (-x));
}

gdouble
ref_gelu_tanh (gdouble x)
{
  return 0.5 * x * (1 + tanh (sqrt (2 / G_PI) * (x + 0.044715 * x * x * x)));
}

void
ref_add (RefTensor y, RefTensor a, RefTensor b)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++)
      ref_row (y, r)[c] = ref_row (a, r)[c] + ref_row (b, r)[c];
}

void
ref_copy (RefTensor y, RefTensor x)
{
  for (gint r = 0; r < y.rows; r++)
    memcpy (ref_row (y, r), ref_row (x, r), y.cols * sizeof (gfloat));
}

void
ref_fill (RefTensor y, gfloat value)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++)
      ref_row (y, r)[c] = value;
}

void
ref_silu (RefTensor y, RefTensor x)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++)
      ref_row (y, r)[c] = ref_row (x, r)[c] * ref_sigmoid (ref_row (x, r)[c]);
}

void
ref_glu (RefTensor y, RefTensor a, RefTensor b)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++)
      ref_row (y, r)[c] = ref_row (a, r)[c] * ref_sigmoid (ref_row (b, r)[c]);
}

void
ref_gelu_mul (RefTensor y, RefTensor a, RefTensor b)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++)
      ref_row (y, r)[c] = ref_gelu_tanh (ref_row (a, r)[c]) * ref_row (b, r)[c];
}

static gdouble
sparsity_cutoff (const gfloat *gate, gint n, gdouble sparsity)
{
  gdouble mean = 0, variance = 0;

  for (gint c = 0; c < n; c++)
    mean += gate[c];
  mean /= n;
  for (gint c = 0; c < n; c++)
    variance += (gate[c] - mean) * (gate[c] - mean);
  return mean + sparsity * sqrt (variance / n);
}

void
ref_gated_gelu (RefTensor y, RefTensor gate, RefTensor up, gfloat sparsity)
{
  for (gint r = 0; r < y.rows; r++) {
    gdouble cutoff = sparsity != 0 ? sparsity_cutoff (ref_row (gate, r), y.cols, sparsity) : 0;

    for (gint c = 0; c < y.cols; c++) {
      gdouble g = sparsity != 0 ? fmax (0, ref_row (gate, r)[c] - cutoff) : ref_row (gate, r)[c];

      ref_row (y, r)[c] = ref_gelu_tanh (g) * ref_row (up, r)[c];
    }
  }
}

void
ref_softcap (RefTensor x, gfloat cap)
{
  for (gint r = 0; r < x.rows; r++)
    for (gint c = 0; c < x.cols; c++)
      ref_row (x, r)[c] = cap * tanh (ref_row (x, r)[c] / (gdouble) cap);
}

void
ref_scale_cols (RefTensor y, RefTensor x, RefTensor weight)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++)
      ref_row (y, r)[c] = ref_row (x, r)[c] * weight.data[c];
}

void
ref_bias (RefTensor y, RefTensor x, RefTensor bias, gboolean gelu)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++) {
      gfloat v = ref_row (x, r)[c] + bias.data[c];

      ref_row (y, r)[c] = gelu ? ref_gelu_tanh (v) : v;
    }
}
