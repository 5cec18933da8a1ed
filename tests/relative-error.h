/* How far results are from what they should be. */
#pragma once

#include <math.h>
#include <glib.h>

/** ||x - reference|| / ||reference||, infinite for values that are not finite. */
static inline gdouble
relative_error (const gfloat *x, const gfloat *reference, gsize n)
{
  gdouble difference = 0., norm = 0.;

  for (gsize i = 0; i < n; i++) {
    if (!isfinite (x[i]))
      return INFINITY;
    difference += ((gdouble) x[i] - reference[i]) * ((gdouble) x[i] - reference[i]);
    norm += (gdouble) reference[i] * reference[i];
  }
  return sqrt (difference / MAX (norm, 1e-30));
}
