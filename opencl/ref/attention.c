#include "functions.h"

#include <math.h>
#include <string.h>

/* Rounded to float32 at each step, as the networks' authors do: the angle at position 30,000 shows the last bit. */
gfloat
ref_rope_inv_freq (gint i, gint head_dim, gfloat base, gfloat factor)
{
  gfloat exponent = (gfloat) (2 * i) / head_dim;
  gfloat power = pow (base, exponent), inverse = 1 / power;

  return inverse / factor;
}

void
ref_rope_table (RefTensor table, gint position0, gfloat base, gfloat factor)
{
  gint half = table.cols / 2;

  for (gint r = 0; r < table.rows; r++)
    for (gint i = 0; i < half; i++) {
      gfloat angle = (gfloat) (position0 + r) * ref_rope_inv_freq (i, table.cols, base, factor);

      ref_row (table, r)[i] = cos (angle);
      ref_row (table, r)[half + i] = sin (angle);
    }
}

/* y [n] = RMS (x) * weight, then rotated by @rope (both may be NULL); y may be x. */
static void
norm_rope (gfloat *y, const gfloat *x, gint n, const gfloat *weight, const gfloat *rope, gfloat eps)
{
  gdouble scale = 1 / sqrt (ref_mean_square (x, n) + eps);
  gint half = n / 2;

  for (gint i = 0; i < half; i++) {
    gdouble a = x[i] * scale, b = x[half + i] * scale;

    if (weight) {
      a *= weight[i];
      b *= weight[half + i];
    }
    y[i] = rope ? a * rope[i] - b * rope[half + i] : a;
    y[half + i] = rope ? b * rope[i] + a * rope[half + i] : b;
  }
}

void
ref_qkv_norm_rope (RefTensor qkv, RefTensor k_cache, RefTensor v_cache, RefTensor q_weight,
    RefTensor k_weight, RefTensor rope, const OclQkv *p)
{
  gint d = p->head_dim;

  for (gint m = 0; m < qkv.rows; m++) {
    gfloat *x = ref_row (qkv, m), *angles = ref_row (rope, m);
    gfloat *keys = x + p->n_heads * d, *values = keys + p->n_kv_heads * d;
    gint slot;

    for (gint h = 0; h < p->n_heads; h++)
      norm_rope (x + h * d, x + h * d, d, q_weight.data, angles, p->eps);
    if (!k_cache.data)
      continue;

    slot = (p->position0 + m) % k_cache.rows;
    for (gint h = 0; h < p->n_kv_heads; h++) {
      norm_rope (ref_row (k_cache, slot) + h * d, keys + h * d, d, k_weight.data, angles, p->eps);
      if (p->raw_values)
        memcpy (ref_row (v_cache, slot) + h * d, values + h * d, d * sizeof (gfloat));
      else
        norm_rope (ref_row (v_cache, slot) + h * d, values + h * d, d, NULL, NULL, p->eps);
    }
  }
}

static gdouble
dot (const gfloat *a, const gfloat *b, gint n)
{
  gdouble sum = 0;

  for (gint i = 0; i < n; i++)
    sum += (gdouble) a[i] * b[i];
  return sum;
}

/* One query head: o [d] from the keys first .. last; @scores has room for them. */
static void
attend (gfloat *o, const gfloat *query, RefTensor k, RefTensor v, gint first, gint last, gfloat scale, gdouble *scores)
{
  gdouble max = -G_MAXDOUBLE, total = 0;

  for (gint j = first; j <= last; j++) {
    scores[j - first] = scale * dot (query, ref_row (k, j % k.rows), k.cols);
    max = fmax (max, scores[j - first]);
  }
  for (gint j = first; j <= last; j++) {
    scores[j - first] = exp (scores[j - first] - max);
    total += scores[j - first];
  }
  for (gint i = 0; i < v.cols; i++) {
    gdouble sum = 0;

    for (gint j = first; j <= last; j++)
      sum += scores[j - first] * ref_row (v, j % v.rows)[i];
    o[i] = sum / total;
  }
}

void
ref_attention (RefTensor o, RefTensor queries, RefTensor k_cache, RefTensor v_cache, const OclAttention *p)
{
  gint group = p->n_heads / p->n_kv_heads, d = p->head_dim;
  g_autofree gdouble *scores = g_new (gdouble, k_cache.rows);

  for (gint m = 0; m < o.rows; m++) {
    gint last = p->position0 + m;
    gint first = p->window > 0 ? MAX (0, last - p->window + 1) : 0;

    for (gint h = 0; h < p->n_heads; h++)
      attend (ref_row (o, m) + h * d, ref_row (queries, m) + h * d, ref_cols (k_cache, h / group * d, d),
          ref_cols (v_cache, h / group * d, d), first, last, p->scale, scores);
  }
}
