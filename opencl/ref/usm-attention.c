#include "functions.h"

#include <math.h>

/* One head of query @i: all tensors are already cut to the head's columns. */
static void
attend (gfloat *o, gint i, RefTensor queries, RefTensor k, RefTensor v, RefTensor rel, RefTensor q_scale,
    const OclLocalAttention *p, gdouble *scores)
{
  gint d = p->head_dim, farthest = MIN (p->left, i + p->n_history);
  const gfloat *query = ref_row (queries, i);
  gdouble max = -G_MAXDOUBLE, total = 0;

  for (gint r = 0; r <= farthest; r++) {
    const gfloat *key = ref_row (k, p->left + i - r);
    gdouble logit = 0;

    for (gint c = 0; c < d; c++)
      logit += (gdouble) query[c] * q_scale.data[c] * ((gdouble) key[c] + ref_row (rel, r)[c]);
    scores[r] = p->cap * tanh (logit / p->cap);
    max = fmax (max, scores[r]);
  }
  for (gint r = 0; r <= farthest; r++) {
    scores[r] = exp (scores[r] - max);
    total += scores[r];
  }
  for (gint c = 0; c < d; c++) {
    gdouble sum = 0;

    for (gint r = 0; r <= farthest; r++)
      sum += scores[r] * ref_row (v, p->left + i - r)[c];
    o[c] = sum / total;
  }
}

void
ref_local_attention (RefTensor o, RefTensor queries, RefTensor k, RefTensor v, RefTensor rel,
    RefTensor q_scale, const OclLocalAttention *p)
{
  gint d = p->head_dim;
  g_autofree gdouble *scores = g_new (gdouble, p->left + 1);

  for (gint i = 0; i < o.rows; i++)
    for (gint h = 0; h < p->n_heads; h++)
      attend (ref_row (o, i) + h * d, i, ref_cols (queries, h * d, d), ref_cols (k, h * d, d),
          ref_cols (v, h * d, d), ref_cols (rel, h * d, d), q_scale, p, scores);
}
