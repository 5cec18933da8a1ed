/* The audio front end against transformers' Gemma3nAudioFeatureExtractor. */
#include <gst/check/gstcheck.h>

#include "models/mel.h"
#include "tests/relative-error.h"
#include "usm-model.h"
#include "usm-util.h"

#include <math.h>
#include <string.h>

#define N_MELS 128

static GArray *
new_rows (void)
{
  return g_array_new (FALSE, FALSE, sizeof (gfloat));
}

GST_START_TEST (test_rows_equal_reference)
{
  g_autoptr (Npy) expected = usm_golden ("mel.npy");
  g_autofree gfloat *signal = usm_signal (20000);
  g_autoptr (GArray) rows = new_rows ();
  GemmaMel *mel = gemma_mel_new (N_MELS);
  gdouble error;

  gemma_mel_push (mel, signal, 20000, rows);
  gemma_mel_drain (mel, rows);
  fail_unless_equals_int (rows->len, expected->n);
  error = relative_error ((gfloat *) rows->data, expected->f32, expected->n);
  GST_INFO ("relative error %g", error);
  /* Measured 1e-7: both windows and pre-emphases are float32, the rest of ours is more precise. */
  fail_unless (error < 1e-6, "relative error %g", error);
  error = usm_largest_error ((gfloat *) rows->data, expected->f32, expected->n);
  fail_unless (error < 1e-5, "largest error %g", error);
  gemma_mel_free (mel);
}
GST_END_TEST;

/* The bands beside a tone hold what rounding leaves there, magnified by the logarithm. 2e-4 is what the last bit of 35
 * of the window's 512 values makes, in which NumPy's float32 cosine and the C library's differ. */
GST_START_TEST (test_pure_tone_equals_reference)
{
  g_autoptr (Npy) expected = usm_golden ("tone.npy");
  g_autoptr (GArray) rows = new_rows ();
  GemmaMel *mel = gemma_mel_new (N_MELS);
  gfloat tone[4000];
  gdouble error;

  for (gint i = 0; i < 4000; i++)
    tone[i] = 0.9 * sin (2. * G_PI * 1000. * i / 16000.);
  gemma_mel_push (mel, tone, 4000, rows);
  gemma_mel_drain (mel, rows);
  fail_unless_equals_int (rows->len, expected->n);
  error = relative_error ((gfloat *) rows->data, expected->f32, expected->n);
  GST_INFO ("relative error %g", error);
  fail_unless (error < 5e-4, "relative error %g", error);
  gemma_mel_free (mel);
}
GST_END_TEST;

GST_START_TEST (test_number_of_rows_equals_reference)
{
  g_autoptr (Npy) lengths = usm_golden ("lengths.npy");
  g_autofree gfloat *signal = usm_signal (48001);
  g_autoptr (GArray) rows = new_rows ();
  GemmaMel *mel = gemma_mel_new (N_MELS);

  for (gint64 i = 0; i < lengths->dims[0]; i++) {
    g_array_set_size (rows, 0);
    gemma_mel_push (mel, signal, lengths->i32[3 * i], rows);
    gemma_mel_drain (mel, rows);
    fail_unless_equals_int (rows->len, lengths->i32[3 * i + 1] * N_MELS);
  }
  g_array_set_size (rows, 0);
  gemma_mel_push (mel, signal, 384, rows);
  gemma_mel_drain (mel, rows);
  gemma_mel_drain (mel, rows);
  fail_unless_equals_int (rows->len, 0);
  gemma_mel_free (mel);
}
GST_END_TEST;

GST_START_TEST (test_any_split_gives_the_same_bits)
{
  g_autofree gfloat *signal = usm_signal (16000);
  g_autoptr (GArray) whole = new_rows (), pieces = new_rows ();
  GemmaMel *mel = gemma_mel_new (N_MELS);

  gemma_mel_push (mel, signal, 16000, whole);
  gemma_mel_drain (mel, whole);
  for (gint size = 1; size <= 1000; size += 333) {
    g_array_set_size (pieces, 0);
    for (gint at = 0; at < 16000; at += size)
      gemma_mel_push (mel, signal + at, MIN (size, 16000 - at), pieces);
    gemma_mel_drain (mel, pieces);
    fail_unless_equals_int (pieces->len, whole->len);
    fail_unless (memcmp (pieces->data, whole->data, whole->len * sizeof (gfloat)) == 0);
  }
  gemma_mel_free (mel);
}
GST_END_TEST;

GST_START_TEST (test_row_appears_with_its_last_sample)
{
  g_autofree gfloat *signal = usm_signal (2000);
  g_autoptr (GArray) rows = new_rows ();
  GemmaMel *mel = gemma_mel_new (N_MELS);

  for (gint i = 0; i < 2000; i++) {
    gemma_mel_push (mel, signal + i, 1, rows);
    fail_unless_equals_int (rows->len / N_MELS, i < 512 ? 0 : (i - 512) / 160 + 1);
  }
  gemma_mel_free (mel);
}
GST_END_TEST;

GST_START_TEST (test_bad_samples_count_as_zero)
{
  gfloat bad[1000], clean[1000];
  g_autoptr (GArray) x = new_rows (), y = new_rows ();
  GemmaMel *mel = gemma_mel_new (N_MELS);

  for (gint i = 0; i < 1000; i++) {
    clean[i] = i % 3 == 0 ? 0.f : sinf (i);
    bad[i] = i % 3 != 0 ? clean[i] : i % 2 == 0 ? NAN : i % 5 == 0 ? INFINITY : -INFINITY;
  }
  gemma_mel_push (mel, bad, 1000, x);
  gemma_mel_reset (mel);
  gemma_mel_push (mel, clean, 1000, y);
  fail_unless_equals_int (x->len, y->len);
  fail_unless (memcmp (x->data, y->data, x->len * sizeof (gfloat)) == 0);

  /* Samples far out of range are loud, not infinite. */
  gemma_mel_reset (mel);
  g_array_set_size (x, 0);
  for (gint i = 0; i < 1000; i++)
    bad[i] = i % 2 ? G_MAXFLOAT : -G_MAXFLOAT;
  gemma_mel_push (mel, bad, 1000, x);
  for (guint i = 0; i < x->len; i++)
    fail_unless (isfinite (g_array_index (x, gfloat, i)));
  gemma_mel_free (mel);
}
GST_END_TEST;

static Suite *
mel_suite (void)
{
  Suite *suite = suite_create ("mel");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_rows_equal_reference);
  tcase_add_test (tc, test_pure_tone_equals_reference);
  tcase_add_test (tc, test_number_of_rows_equals_reference);
  tcase_add_test (tc, test_any_split_gives_the_same_bits);
  tcase_add_test (tc, test_row_appears_with_its_last_sample);
  tcase_add_test (tc, test_bad_samples_count_as_zero);
  return suite;
}

GST_CHECK_MAIN (mel);
