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
    gfloat *x = ref_row (qkv, m), *angles = rope.data ? ref_row (rope, m) : NULL;
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
        memmove (ref_row (v_cache, slot) + h * d, values + h * d, d * sizeof (gfloat)); /* may be in place */
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

/* The keys and values that a query sees, rows from a ring and from the memory. */
typedef struct
{
  const gfloat **k, **v;
  gint n;
} Visible;

static void
add_rows (Visible *seen, RefTensor k, RefTensor v, gint first, gint last)
{
  for (gint j = first; j <= last; j++) {
    seen->k[seen->n] = ref_row (k, j % k.rows);
    seen->v[seen->n++] = ref_row (v, j % v.rows);
  }
}

/* One query head: o [d] from columns @column .. of what it sees; @scores has room for them. */
static void
attend (gfloat *o, const gfloat *query, const Visible *seen, gint column, gint d, gfloat scale, gdouble *scores)
{
  gdouble max = -G_MAXDOUBLE, total = 0;

  for (gint j = 0; j < seen->n; j++) {
    scores[j] = scale * dot (query, seen->k[j] + column, d);
    max = fmax (max, scores[j]);
  }
  for (gint j = 0; j < seen->n; j++) {
    scores[j] = exp (scores[j] - max);
    total += scores[j];
  }
  for (gint i = 0; i < d; i++) {
    gdouble sum = 0;

    for (gint j = 0; j < seen->n; j++)
      sum += scores[j] * seen->v[j][column + i];
    o[i] = sum / total;
  }
}

void
ref_attention (RefTensor o, RefTensor queries, RefTensor k_cache, RefTensor v_cache, RefTensor k_memory,
    RefTensor v_memory, const OclAttention *p)
{
  gint group = p->n_heads / p->n_kv_heads, d = p->head_dim, room = k_cache.rows + k_memory.rows;
  g_autofree gdouble *scores = g_new (gdouble, room);
  g_autofree const gfloat **k = g_new (const gfloat *, room), **v = g_new (const gfloat *, room);

  for (gint m = 0; m < o.rows; m++) {
    gint own = p->position0 + m;
    gint first = p->window > 0 ? MAX (0, own - p->window + 1) : 0;
    gint last = p->ahead > 0 ? MIN (own + p->ahead, p->n_keys - 1) : own;
    Visible seen = { k, v, 0 };

    add_rows (&seen, k_cache, v_cache, first, last);
    add_rows (&seen, k_memory, v_memory, 0, k_memory.rows - 1);
    for (gint h = 0; h < p->n_heads; h++)
      attend (ref_row (o, m) + h * d, ref_row (queries, m) + h * d, &seen, h / group * d, d, p->scale, scores);
  }
}

void
ref_attention_weights (RefTensor weights, RefTensor queries, RefTensor k, const OclAttentionWeights *p)
{
  g_autofree gdouble *scores = g_new (gdouble, p->position0 + queries.rows);

  for (gint m = 0; m < queries.rows; m++) {
    gint n = p->position0 + m + 1;
    gdouble max = -G_MAXDOUBLE, total = 0;

    for (gint j = 0; j < n; j++) {
      scores[j] = p->scale * dot (ref_row (queries, m), ref_row (k, j % k.rows), p->head_dim);
      max = fmax (max, scores[j]);
    }
    for (gint j = 0; j < n; j++)
      total += exp (scores[j] - max);
    for (gint i = 0; i < weights.cols; i++)
      ref_row (weights, m)[i] = p->first + i < n ? exp (scores[p->first + i] - max) / total : 0;
  }
}
