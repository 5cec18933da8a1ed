#include <gst/check/gstcheck.h>
#include <math.h>

#include "models/sampler.h"

#define N 6
#define DRAWS 60000

/* Probabilities 0.4, 0.05, 0.25, 0.1, 0.15, 0.05 at temperature 1. */
static const gdouble p[N] = { .4, .05, .25, .1, .15, .05 };

static void
make_logits (gfloat *logits)
{
  for (gint i = 0; i < N; i++)
    logits[i] = log (p[i]) + 3.;
}

/* Draws and compares frequencies with @expected, which it normalizes. */
static void
check_frequencies (const GemmaSamplerParams *params, const gfloat *logits, const gdouble *expected)
{
  GemmaSampler *sampler = gemma_sampler_new (params);
  gint counts[N] = { 0, };
  gdouble sum = 0.;

  for (gint i = 0; i < DRAWS; i++)
    counts[gemma_sampler_next (sampler, logits, N)]++;
  for (gint i = 0; i < N; i++)
    sum += expected[i];
  for (gint i = 0; i < N; i++) {
    gdouble q = expected[i] / sum, deviation = sqrt (q * (1. - q) / DRAWS);

    /* Five standard deviations: a right sampler fails once in a million seeds, and the seed is fixed. */
    fail_unless (fabs (counts[i] / (gdouble) DRAWS - q) <= 5. * deviation, "id %d came %d times, expected %g", i, counts[i], q * DRAWS);
  }
  gemma_sampler_free (sampler);
}

GST_START_TEST (test_temperature)
{
  const GemmaSamplerParams one = { .temperature = 1., .top_p = 1., .seed = 1 };
  const GemmaSamplerParams half = { .temperature = .5, .top_p = 1., .seed = 2 };
  gdouble squared[N];
  gfloat logits[N];

  make_logits (logits);
  check_frequencies (&one, logits, p);
  for (gint i = 0; i < N; i++)
    squared[i] = p[i] * p[i];
  check_frequencies (&half, logits, squared);
}
GST_END_TEST;

GST_START_TEST (test_top_k_and_top_p)
{
  static const struct
  {
    guint top_k;
    gdouble top_p;
    gdouble expected[N];
  } rows[] = {
    {3, 1., {.4, 0, .25, 0, .15, 0}},
    {1, 1., {1, 0, 0, 0, 0, 0}},
    {100, 1., {.4, .05, .25, .1, .15, .05}},
    {0, .6, {.4, 0, .25, 0, 0, 0}},             /* 0.4 is too little, 0.65 is enough */
    {0, .66, {.4, 0, .25, 0, .15, 0}},
    {0, 0., {1, 0, 0, 0, 0, 0}},                /* always at least one */
    {3, .7, {.4, 0, .25, 0, 0, 0}},             /* of the three: 0.5, 0.3125, 0.1875 */
    {5, .999999, {.4, .05, .25, .1, .15, 0}},   /* of the two with 0.05, the lower id */
  };
  gfloat logits[N];

  make_logits (logits);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const GemmaSamplerParams params = { .temperature = 1., .top_p = rows[i].top_p, .top_k = rows[i].top_k, .seed = i };

    check_frequencies (&params, logits, rows[i].expected);
  }
}
GST_END_TEST;

GST_START_TEST (test_greedy)
{
  const GemmaSamplerParams params = GEMMA_SAMPLER_GREEDY;
  GemmaSampler *sampler = gemma_sampler_new (&params);

  fail_unless_equals_int (gemma_sampler_next (sampler, (gfloat[]) { 1, 3, 3, 2 }, 4), 1);
  fail_unless_equals_int (gemma_sampler_next (sampler, (gfloat[]) { NAN, -5, NAN, -4 }, 4), 3);
  fail_unless_equals_int (gemma_sampler_next (sampler, (gfloat[]) { 1, INFINITY, 2, INFINITY }, 4), 1);
  fail_unless_equals_int (gemma_sampler_next (sampler, (gfloat[]) { -INFINITY, -INFINITY }, 2), 0);
  fail_unless_equals_int (gemma_sampler_next (sampler, (gfloat[]) { NAN, NAN }, 2), -1);
  gemma_sampler_free (sampler);
}
GST_END_TEST;

/* Infinities and NaN while drawing: NaN and -Inf never come, +Inf always. */
GST_START_TEST (test_draws_of_odd_logits)
{
  const GemmaSamplerParams rows[] = { {.temperature = 1., .top_p = 1.}, {.temperature = 1., .top_p = .9},
    {.temperature = 1e-30, .top_p = 1.}, {.temperature = 1., .top_p = 1., .top_k = 3}
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GemmaSampler *sampler = gemma_sampler_new (&rows[i]);

    for (gint j = 0; j < 200; j++) {
      gint id = gemma_sampler_next (sampler, (gfloat[]) { NAN, 1, -INFINITY, 1, NAN }, 5);

      fail_unless (id == 1 || id == 3);
      fail_unless_equals_int (gemma_sampler_next (sampler, (gfloat[]) { 5, NAN, INFINITY, 7 }, 4), 2);
    }
    fail_unless_equals_int (gemma_sampler_next (sampler, (gfloat[]) { NAN }, 1), -1);
    gemma_sampler_free (sampler);
  }
}
GST_END_TEST;

/* The same seed gives the same ids, here and on every machine. */
GST_START_TEST (test_seed)
{
  const GemmaSamplerParams params = { .temperature = 1., .top_p = 1., .seed = 42 };
  static const gint expected[16] = { 0, 0, 2, 4, 5, 3, 3, 4, 3, 2, 2, 0, 4, 0, 3, 4 };
  GemmaSampler *a = gemma_sampler_new (&params), *b = gemma_sampler_new (&params);
  gfloat logits[N];

  make_logits (logits);
  for (gint i = 0; i < 16; i++) {
    gint id = gemma_sampler_next (a, logits, N);

    fail_unless_equals_int (id, expected[i]);
    fail_unless_equals_int (gemma_sampler_next (b, logits, N), id);
  }
  gemma_sampler_free (a);
  gemma_sampler_free (b);
}
GST_END_TEST;

static Suite *
sampler_suite (void)
{
  Suite *s = suite_create ("sampler");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_temperature);
  tcase_add_test (tc, test_top_k_and_top_p);
  tcase_add_test (tc, test_greedy);
  tcase_add_test (tc, test_draws_of_odd_logits);
  tcase_add_test (tc, test_seed);
  return s;
}

GST_CHECK_MAIN (sampler);
