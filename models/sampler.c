#include "sampler.h"

#include <math.h>
#include <string.h>

typedef struct
{
  gint id;
  gfloat logit;
} Choice;

struct _GemmaSampler
{
  GemmaSamplerParams params;
  guint64 state[4];             /* xoshiro256** */
  GArray *choices;              /* Choice, kept between calls */
  GArray *weights;              /* gdouble */
};

/* ---- random numbers --------------------------------------------------------------- */

/* SplitMix64, which spreads any seed (0 too) over the state. */
static guint64
split_mix (guint64 *x)
{
  guint64 z = *x += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  z = (z ^ z >> 30) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ z >> 31;
}

static guint64
rotate (guint64 x, gint n)
{
  return x << n | x >> (64 - n);
}

/* In [0, 1), 53 bits. */
static gdouble
next_uniform (GemmaSampler *sampler)
{
  guint64 *s = sampler->state, result = rotate (s[1] * 5, 7) * 9, t = s[1] << 17;

  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate (s[3], 45);
  return (result >> 11) * 0x1p-53;
}

GemmaSampler *
gemma_sampler_new (const GemmaSamplerParams *params)
{
  GemmaSampler *sampler = g_new0 (GemmaSampler, 1);
  guint64 x = params->seed;

  sampler->params = *params;
  for (gint i = 0; i < 4; i++)
    sampler->state[i] = split_mix (&x);
  sampler->choices = g_array_new (FALSE, FALSE, sizeof (Choice));
  sampler->weights = g_array_new (FALSE, FALSE, sizeof (gdouble));
  return sampler;
}

void
gemma_sampler_free (GemmaSampler *sampler)
{
  if (!sampler)
    return;
  g_array_unref (sampler->choices);
  g_array_unref (sampler->weights);
  g_free (sampler);
}

/* ---- choices, best first: a heap, so that only as many are sorted as are kept ------- */

static gboolean
better (const Choice *a, const Choice *b)
{
  return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void
sift_down (Choice *heap, guint i, guint n)
{
  Choice item = heap[i];

  for (;;) {
    guint child = 2 * i + 1;

    if (child >= n)
      break;
    if (child + 1 < n && better (&heap[child + 1], &heap[child]))
      child++;
    if (!better (&heap[child], &item))
      break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = item;
}

/* Moves the best of heap[0..n-1] to heap[n-1]. */
static void
pop_best (Choice *heap, guint n)
{
  Choice best = heap[0];

  heap[0] = heap[n - 1];
  heap[n - 1] = best;
  sift_down (heap, 0, n - 1);
}

static gint
greedy (const gfloat *logits, gint n)
{
  gint best = -1;

  for (gint i = 0; i < n; i++)
    if (!isnan (logits[i]) && (best < 0 || logits[i] > logits[best]))
      best = i;
  return best;
}

/* exp ((logit - best) / temperature) is the odds against the best one, also of infinite logits. */
static gdouble
weigh (const GemmaSampler *sampler, gfloat logit, gfloat best)
{
  return logit == best ? 1. : exp (((gdouble) logit - best) / sampler->params.temperature);
}

/* Weights of all choices in place order; returns their sum. */
static gdouble
weigh_all (GemmaSampler *sampler, const Choice *choices, guint n, gfloat best)
{
  gdouble sum = 0.;

  g_array_set_size (sampler->weights, n);
  for (guint i = 0; i < n; i++)
    sum += g_array_index (sampler->weights, gdouble, i) = weigh (sampler, choices[i].logit, best);
  return sum;
}

static gint
draw (GemmaSampler *sampler, const Choice *choices, guint n, gdouble sum)
{
  gdouble at = next_uniform (sampler) * sum;
  gint last = choices[0].id;

  for (guint i = 0; i < n; i++) {
    gdouble w = g_array_index (sampler->weights, gdouble, i);

    if (w <= 0.)
      continue;
    last = choices[i].id;
    if ((at -= w) < 0.)
      break;
  }
  return last;
}

/* How many of the heap's best to keep: top_k, and of these as few as reach top_p. They end up at the heap's end, best last. */
static guint
select_best (GemmaSampler *sampler, Choice *heap, guint n, gfloat best)
{
  guint k = sampler->params.top_k > 0 ? MIN (sampler->params.top_k, n) : n, kept = 0;
  gdouble sum = 0., reached = 0.;

  if (k == n && sampler->params.top_p < 1.)
    sum = weigh_all (sampler, heap, n, best);
  while (kept < k && (k < n || reached < sampler->params.top_p * sum || kept == 0)) {
    pop_best (heap, n - kept);
    kept++;
    reached += weigh (sampler, heap[n - kept].logit, best);
  }
  if (k == n || sampler->params.top_p >= 1.)
    return kept;
  for (sum = reached, reached = 0., kept = 0; kept < k && (kept == 0 || reached < sampler->params.top_p * sum); kept++)
    reached += weigh (sampler, heap[n - kept - 1].logit, best);
  return kept;
}

gint
gemma_sampler_next (GemmaSampler *sampler, const gfloat *logits, gint n)
{
  gint first = greedy (logits, n);
  Choice *choices;
  guint n_choices, kept;

  /* Also "not a number" for a temperature. */
  if (first < 0 || !(sampler->params.temperature > 0.))
    return first;
  g_array_set_size (sampler->choices, 0);
  for (gint i = 0; i < n; i++) {
    Choice choice = { i, logits[i] };

    if (!isnan (logits[i]))
      g_array_append_val (sampler->choices, choice);
  }
  choices = (Choice *) (gpointer) sampler->choices->data;
  n_choices = kept = sampler->choices->len;
  if (sampler->params.top_p < 1. || (sampler->params.top_k > 0 && sampler->params.top_k < n_choices)) {
    for (guint i = n_choices / 2; i-- > 0;)
      sift_down (choices, i, n_choices);
    kept = select_best (sampler, choices, n_choices, logits[first]);
  }
  choices += n_choices - kept;
  return draw (sampler, choices, kept, weigh_all (sampler, choices, kept, logits[first]));
}
