#include "usm-util.h"

#include "tests/seeded-weights.h"

#include <math.h>

#define SEED 5

static gfloat *
fill (const gchar *name, gsize n, gdouble std)
{
  SeededTensor tensor = { .name = (gchar *) name, .n_dims = 1, .dims = { n }, .n = n, .std = std };
  gfloat *data = g_new (gfloat, n);

  seeded_fill (data, &tensor, SEED, 0, n);
  return data;
}

gfloat *
usm_signal (gsize n)
{
  gfloat *x = fill ("signal.noise", n, 0.1);
  g_autofree gfloat *envelope = fill ("signal.envelope", n / 800 + 1, 1.);

  for (gsize i = 0; i < n; i++) {
    gfloat e = envelope[i / 800];

    x[i] = (x[i] + (i % 107 == 0 ? 0.5f : 0.f)) * (e * e);
  }
  return x;
}

gdouble
usm_largest_error (const gfloat *x, const gfloat *reference, gsize n)
{
  gdouble difference = 0., largest = 1e-30;

  for (gsize i = 0; i < n; i++) {
    if (!isfinite (x[i]))
      return INFINITY;
    difference = MAX (difference, fabs ((gdouble) x[i] - reference[i]));
    largest = MAX (largest, fabs (reference[i]));
  }
  return difference / largest;
}
