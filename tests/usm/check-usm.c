/* The streaming audio encoder against transformers (tests/golden/usm.py), and against itself in other pieces. */
#include <gst/check/gstcheck.h>

#include "tests/relative-error.h"
#include "usm-model.h"
#include "usm-util.h"

#include <math.h>
#include <string.h>

#define TOKEN_SAMPLES 2560
#define FIRST_TOKEN 1473 /* samples that token 0 waits for */

/* float32 against float32 with sums in another order, through up to four random blocks; measured: up to 1e-6. */
#define TOLERANCE 1e-5
/* What is promised of OCL_MATMUL_INT16; measured: up to 3e-4 here, 8e-4 through E2B's twelve blocks. */
#define INT16_TOLERANCE 1e-3
/* What the split of the stream may change: other kernels for other numbers of rows. */
#define SPLIT_TOLERANCE 1e-5

static GemmaUsm *models[3];

static GemmaUsm *
model (gint size)
{
  if (models[size] == NULL)
    models[size] = usm_model_new (&usm_sizes[size]);
  return models[size];
}

static GemmaUsmStream *
stream_new (gint size)
{
  g_autoptr (GError) error = NULL;
  GemmaUsmStream *stream = gemma_usm_stream_new (model (size), &error);

  g_assert_no_error (error);
  return stream;
}

/* ---- against the reference --------------------------------------------------------- */

static void
collect (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer user_data)
{
  GHashTable *results = user_data;
  GArray *all = g_hash_table_lookup (results, name);

  if (all == NULL) {
    all = g_array_new (FALSE, FALSE, sizeof (gfloat));
    g_hash_table_insert (results, g_strdup (name), all);
  }
  g_array_append_vals (all, data, rows * cols);
}

/* @result [..][cols], of which every @step-th row is in the golden file. The encoder leaves out frames after the last
 * token's. */
static void
compare (const UsmSize *size, const gchar *name, const GArray *result, gint cols, gint step)
{
  g_autoptr (Npy) expected = usm_golden ("%s/%s.npy", size->name, name);
  gint rows = (result->len / cols + step - 1) / step;
  g_autofree gfloat *kept = g_new (gfloat, (gsize) rows * cols);
  gdouble error;

  fail_unless_equals_int (result->len % cols, 0);
  fail_unless_equals_int (expected->dims[1], cols);
  fail_unless (rows <= expected->dims[0] && rows + 4 > expected->dims[0], "%s: %d rows of %d", name, rows,
      (gint) expected->dims[0]);
  for (gint r = 0; r < rows; r++)
    memcpy (kept + (gsize) r * cols, (gfloat *) result->data + (gsize) r * step * cols, cols * sizeof (gfloat));
  error = relative_error (kept, expected->f32, (gsize) rows * cols);
  GST_INFO ("%s/%s: %d rows, relative error %.2g", size->name, name, rows, error);
  fail_unless (error < TOLERANCE, "%s/%s: relative error %g", size->name, name, error);
}

GST_START_TEST (test_layers_equal_reference)
{
  const UsmSize *size = &usm_sizes[__i__];
  GemmaUsmStream *stream = stream_new (__i__);
  g_autofree gfloat *signal = usm_signal (size->samples);
  g_autoptr (GHashTable) results =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref);
  g_autoptr (GArray) tokens = NULL;
  gint step = __i__ == USM_E2B ? 4 : 1;

  gemma_usm_stream_set_observer (stream, collect, results);
  tokens = usm_encode (stream, signal, size->samples, 0);
  compare (size, "sscp", g_hash_table_lookup (results, "sscp"), size->hidden, step);
  for (gint i = 0; i < size->n_layers - 1; i++) {
    g_autofree gchar *name = g_strdup_printf ("block%d", i);

    compare (size, name, g_hash_table_lookup (results, name), size->hidden, step);
  }
  compare (size, "tower", g_hash_table_lookup (results, "tower"), size->hidden, 1);
  compare (size, "soft", tokens, size->text_hidden, 1);
  fail_unless_equals_int (tokens->len / size->text_hidden, (size->samples + TOKEN_SAMPLES - 513) / TOKEN_SAMPLES);
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

GST_START_TEST (test_int16_is_near_reference)
{
  const UsmSize *size = &usm_sizes[__i__];
  g_autoptr (GError) error = NULL;
  GemmaUsm *usm = usm_model_load (size, NULL, size->type, OCL_MATMUL_INT16, &error);
  g_autofree gfloat *signal = usm_signal (size->samples);
  g_autoptr (Npy) expected = usm_golden ("%s/soft.npy", size->name);
  g_autoptr (GArray) tokens = NULL;
  GemmaUsmStream *stream;
  gdouble off;

  g_assert_no_error (error);
  stream = gemma_usm_stream_new (usm, &error);
  g_assert_no_error (error);
  tokens = usm_encode (stream, signal, size->samples, 0);
  off = relative_error ((gfloat *) tokens->data, expected->f32, tokens->len);
  GST_INFO ("%s: relative error %.2g", size->name, off);
  fail_unless (off < INT16_TOLERANCE, "%s: relative error %g", size->name, off);
  gemma_usm_stream_free (stream);
  gemma_usm_free (usm);
}
GST_END_TEST;

GST_START_TEST (test_hard_embeddings_equal_reference)
{
  const UsmSize *size = &usm_sizes[__i__];
  g_autoptr (Npy) expected = usm_golden ("%s/hard.npy", size->name);
  g_autofree gfloat *row = g_new (gfloat, size->text_hidden);
  gint ids[] = { size->vocab_offset, size->vocab_offset + size->vocab_size - 1 };

  for (gint i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;

    fail_unless (gemma_usm_hard_embedding (model (__i__), ids[i], row, &error));
    fail_unless (relative_error (row, expected->f32 + i * size->text_hidden, size->text_hidden) < TOLERANCE);
    fail_if (gemma_usm_hard_embedding (model (__i__), ids[i] + (i == 0 ? -1 : 1), row, &error));
    g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID);
  }
}
GST_END_TEST;

/* Every length ends as the reference's clip does: its padding, its zero rows, its mask. */
GST_START_TEST (test_lengths_equal_reference)
{
  const UsmSize *size = &usm_sizes[USM_TINY];
  GemmaUsmStream *stream = stream_new (USM_TINY);
  g_autofree gfloat *signal = usm_signal (48001);
  g_autoptr (Npy) lengths = usm_golden ("lengths.npy");
  g_autoptr (Npy) expected = usm_golden ("length-soft.npy");
  const gfloat *soft = expected->f32;
  gdouble worst = 0.;

  for (gint64 i = 0; i < lengths->dims[0]; i++) {
    gint n = lengths->i32[3 * i], n_tokens = lengths->i32[3 * i + 2];
    g_autoptr (GArray) tokens = usm_encode (stream, signal, n, 0);
    gdouble error;

    fail_unless_equals_int (tokens->len, n_tokens * size->text_hidden);
    error = relative_error ((gfloat *) tokens->data, soft, tokens->len);
    fail_unless (error < TOLERANCE, "%d samples: relative error %g", n, error);
    worst = MAX (worst, error);
    soft += tokens->len;
  }
  GST_INFO ("relative error at most %.2g", worst);
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

/* ---- streaming --------------------------------------------------------------------- */

GST_START_TEST (test_any_split_gives_the_same_tokens)
{
  gint which = __i__ == 0 ? USM_TINY : USM_SMALL;
  gsize n = which == USM_TINY ? 200000 : 60000;
  GemmaUsmStream *stream = stream_new (which);
  g_autofree gfloat *signal = usm_signal (n);
  g_autoptr (GArray) whole = usm_encode (stream, signal, n, 0);
  gsize pieces[] = { 1, 160, 511, 2560, 50000 };

  for (guint i = 0; i < G_N_ELEMENTS (pieces); i++) {
    g_autoptr (GArray) tokens = usm_encode (stream, signal, n, pieces[i]);
    gdouble error;

    fail_unless_equals_int (tokens->len, whole->len);
    error = usm_largest_error ((gfloat *) tokens->data, (gfloat *) whole->data, whole->len);
    GST_INFO ("%s in pieces of %d: %.2g", usm_sizes[which].name, (gint) pieces[i], error);
    fail_unless (error < SPLIT_TOLERANCE, "pieces of %d: %g", (gint) pieces[i], error);
  }
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

GST_START_TEST (test_random_splits_give_the_same_tokens)
{
  GemmaUsmStream *stream = stream_new (USM_TINY);
  g_autofree gfloat *signal = usm_signal (100000);
  g_autoptr (GArray) whole = usm_encode (stream, signal, 100000, 0);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (gint round = 0; round < 10; round++) {
    g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (gfloat));
    g_autoptr (GError) error = NULL;

    for (gint at = 0, m; at < 100000; at += m) {
      m = exp (g_rand_double_range (rand, 0., log (40000.)));
      m = MIN (m, 100000 - at);
      fail_unless (gemma_usm_stream_push (stream, signal + at, m, tokens, &error));
    }
    fail_unless (gemma_usm_stream_drain (stream, tokens, &error));
    fail_unless_equals_int (tokens->len, whole->len);
    fail_unless (usm_largest_error ((gfloat *) tokens->data, (gfloat *) whole->data, whole->len) < SPLIT_TOLERANCE);
  }
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

GST_START_TEST (test_token_appears_with_its_last_sample)
{
  gint width = usm_sizes[USM_TINY].text_hidden;
  GemmaUsmStream *stream = stream_new (USM_TINY);
  g_autofree gfloat *signal = usm_signal (40000);
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (GError) error = NULL;

  for (gint i = 0; i < 40000; i++) {
    gint n = i + 1;

    fail_unless (gemma_usm_stream_push (stream, signal + i, 1, tokens, &error));
    fail_unless_equals_int (tokens->len / width, n < FIRST_TOKEN ? 0 : (n - FIRST_TOKEN) / TOKEN_SAMPLES + 1);
  }
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

GST_START_TEST (test_drain_and_reset_begin_a_new_clip)
{
  GemmaUsmStream *stream = stream_new (USM_TINY);
  g_autofree gfloat *signal = usm_signal (60000);
  g_autoptr (GArray) one = usm_encode (stream, signal, 60000, 0);
  g_autoptr (GArray) two = usm_encode (stream, signal, 60000, 0);
  g_autoptr (GArray) dropped = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (GArray) three = NULL;
  g_autoptr (GError) error = NULL;

  fail_unless (gemma_usm_stream_push (stream, signal + 12345, 33333, dropped, &error));
  gemma_usm_stream_reset (stream);
  three = usm_encode (stream, signal, 60000, 0);
  fail_unless_equals_int (two->len, one->len);
  fail_unless_equals_int (three->len, one->len);
  fail_unless (memcmp (two->data, one->data, one->len * sizeof (gfloat)) == 0);
  fail_unless (memcmp (three->data, one->data, one->len * sizeof (gfloat)) == 0);
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

GST_START_TEST (test_clip_without_a_frame_has_no_token)
{
  GemmaUsmStream *stream = stream_new (USM_TINY);
  gfloat zeros[512] = { 0 };

  for (gint n = 0; n <= 512; n += 256) {
    g_autoptr (GArray) tokens = usm_encode (stream, zeros, n, 0);

    fail_unless_equals_int (tokens->len, 0);
  }
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

GST_START_TEST (test_two_streams_do_not_meet)
{
  GemmaUsmStream *a = stream_new (USM_TINY), *b = stream_new (USM_TINY);
  g_autofree gfloat *signal = usm_signal (60000);
  g_autoptr (GArray) whole = usm_encode (a, signal, 60000, 0);
  g_autoptr (GArray) x = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (GArray) y = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (GError) error = NULL;

  for (gint at = 0; at < 60000; at += 3000) {
    fail_unless (gemma_usm_stream_push (a, signal + at, 3000, x, &error));
    fail_unless (gemma_usm_stream_push (b, signal + 60000 - 3000 - at, 3000, y, &error));
  }
  fail_unless (gemma_usm_stream_drain (a, x, &error));
  fail_unless_equals_int (x->len, whole->len);
  fail_unless (usm_largest_error ((gfloat *) x->data, (gfloat *) whole->data, x->len) < SPLIT_TOLERANCE);
  gemma_usm_stream_free (a);
  gemma_usm_stream_free (b);
}
GST_END_TEST;

GST_START_TEST (test_silence_and_bad_samples_are_finite)
{
  gsize n = 30000;
  GemmaUsmStream *stream = stream_new (USM_TINY);
  g_autofree gfloat *clean = usm_signal (n), *bad = usm_signal (n), *silence = g_new0 (gfloat, n);
  g_autoptr (GArray) expected = NULL;
  g_autoptr (GArray) got = NULL;
  g_autoptr (GArray) silent = NULL;

  for (gsize i = 0; i < n; i += 7) {
    clean[i] = 0.f;
    bad[i] = i % 2 == 0 ? NAN : i % 3 == 0 ? INFINITY : -INFINITY;
  }
  expected = usm_encode (stream, clean, n, 0);
  got = usm_encode (stream, bad, n, 0);
  fail_unless_equals_int (got->len, expected->len);
  fail_unless (memcmp (got->data, expected->data, got->len * sizeof (gfloat)) == 0);

  silent = usm_encode (stream, silence, n, 0);
  fail_unless_equals_int (silent->len, expected->len);
  for (guint i = 0; i < silent->len; i++)
    fail_unless (isfinite (g_array_index (silent, gfloat, i)));
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

/* Ten minutes: the same in seconds and at once, in memory that does not grow. */
GST_START_TEST (test_long_stream)
{
  gsize n = 600 * 16000;
  GemmaUsmStream *stream = stream_new (USM_TINY);
  g_autofree gfloat *signal = usm_signal (n);
  gsize before = ocl_device_get_allocated (usm_test_device ());
  g_autoptr (GArray) whole = usm_encode (stream, signal, n, 0);
  g_autoptr (GArray) pieces = usm_encode (stream, signal, n, 16000);

  fail_unless (ocl_device_get_allocated (usm_test_device ()) == before);
  fail_unless_equals_int (whole->len / usm_sizes[USM_TINY].text_hidden, 3750);
  fail_unless_equals_int (pieces->len, whole->len);
  fail_unless (usm_largest_error ((gfloat *) pieces->data, (gfloat *) whole->data, whole->len) < SPLIT_TOLERANCE);
  gemma_usm_stream_free (stream);
}
GST_END_TEST;

static void
free_models (void)
{
  for (gint i = 0; i < 3; i++)
    g_clear_pointer (&models[i], gemma_usm_free);
}

static Suite *
usm_suite (void)
{
  Suite *suite = suite_create ("usm");
  TCase *reference = tcase_create ("reference"), *streaming = tcase_create ("streaming");

  suite_add_tcase (suite, reference);
  tcase_set_timeout (reference, 300);
  tcase_add_unchecked_fixture (reference, NULL, free_models);
  tcase_add_loop_test (reference, test_layers_equal_reference, 0, 3);
  tcase_add_loop_test (reference, test_int16_is_near_reference, 0, 3);
  tcase_add_loop_test (reference, test_hard_embeddings_equal_reference, 0, 3);
  tcase_add_test (reference, test_lengths_equal_reference);

  suite_add_tcase (suite, streaming);
  tcase_set_timeout (streaming, 300);
  tcase_add_unchecked_fixture (streaming, NULL, free_models);
  tcase_add_loop_test (streaming, test_any_split_gives_the_same_tokens, 0, 2);
  tcase_add_test (streaming, test_random_splits_give_the_same_tokens);
  tcase_add_test (streaming, test_token_appears_with_its_last_sample);
  tcase_add_test (streaming, test_drain_and_reset_begin_a_new_clip);
  tcase_add_test (streaming, test_clip_without_a_frame_has_no_token);
  tcase_add_test (streaming, test_two_streams_do_not_meet);
  tcase_add_test (streaming, test_silence_and_bad_samples_are_finite);
  tcase_add_test (streaming, test_long_stream);
  return suite;
}

GST_CHECK_MAIN (usm);
