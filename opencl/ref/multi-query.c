#include "functions.h"

#include <math.h>

/* One head of one query. */
static void
attend (gfloat *o, const gfloat *query, RefTensor k, RefTensor v, gfloat scale, gdouble *weights)
{
  gdouble max = -G_MAXDOUBLE, total = 0;

  for (gint j = 0; j < k.rows; j++) {
    weights[j] = 0;
    for (gint c = 0; c < k.cols; c++)
      weights[j] += (gdouble) query[c] * ref_row (k, j)[c];
    weights[j] *= scale;
    max = fmax (max, weights[j]);
  }
  for (gint j = 0; j < k.rows; j++)
    total += weights[j] = exp (weights[j] - max);
  for (gint c = 0; c < v.cols; c++) {
    gdouble sum = 0;

    for (gint j = 0; j < k.rows; j++)
      sum += weights[j] * ref_row (v, j)[c];
    o[c] = sum / total;
  }
}

void
ref_multi_query_attention (RefTensor o, RefTensor queries, RefTensor k, RefTensor v, gint n_heads, gfloat scale)
{
  g_autofree gdouble *weights = g_new (gdouble, k.rows);

  for (gint i = 0; i < o.rows; i++)
    for (gint h = 0; h < n_heads; h++)
      attend (ref_row (o, i) + h * v.cols, ref_row (queries, i) + h * k.cols, k, v, scale, weights);
}
