/* What happens when the audio encoder's files or the device are not as they should be. */
#include <gst/check/gstcheck.h>

#include "tests/relative-error.h"
#include "tests/seeded-weights.h"
#include "usm-model.h"
#include "usm-util.h"

#include <glib/gstdio.h>
#include <string.h>

static const UsmSize *size = &usm_sizes[USM_TINY];

/* The golden list of tensors with line @n left out, or with its last dimension doubled. */
static gchar *
bent_list (gchar **lines, guint n, gboolean leave_out)
{
  g_autoptr (GString) list = g_string_new (NULL);
  gchar *path = g_strdup_printf ("%s/usm-list-%d.txt", g_get_tmp_dir (), (gint) getpid ());
  g_autoptr (GError) error = NULL;

  for (guint i = 0; lines[i] != NULL && *lines[i] != '\0'; i++) {
    gint64 last = g_ascii_strtoll (strrchr (lines[i], ' ') + 1, NULL, 10);

    if (i != n)
      g_string_append_printf (list, "%s\n", lines[i]);
    else if (!leave_out)
      g_string_append_printf (
          list, "%.*s %d\n", (gint) (strrchr (lines[i], ' ') - lines[i]), lines[i], (gint) last * 2);
  }
  g_file_set_contents (path, list->str, -1, &error);
  g_assert_no_error (error);
  return path;
}

GST_START_TEST (test_absent_or_misshaped_tensor_is_named)
{
  g_autofree gchar *golden = usm_golden_path ("%s/tensors.txt", size->name), *text = NULL;
  g_auto (GStrv) lines = NULL;
  gsize before = 0;

  fail_unless (g_file_get_contents (golden, &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  before = ocl_device_get_allocated (usm_test_device ());
  for (guint i = 0; *lines[i] != '\0'; i++)
    for (gint leave_out = 0; leave_out < 2; leave_out++) {
      g_autofree gchar *list = bent_list (lines, i, leave_out);
      g_autofree gchar *name = g_strndup (lines[i], strchr (lines[i], ' ') - lines[i]);
      g_autoptr (GError) error = NULL;

      fail_if (usm_model_load (size, list, OCL_TYPE_F32, OCL_MATMUL_F32_ACTIVATIONS, &error), "%s", name);
      g_assert_error (error, GEMMA_ERROR, leave_out ? GEMMA_ERROR_NOT_FOUND : GEMMA_ERROR_INVALID);
      fail_unless (strstr (error->message, name) != NULL, "%s: %s", name, error->message);
      fail_unless (ocl_device_get_allocated (usm_test_device ()) == before, "%s: memory stays allocated", name);
      g_remove (list);
    }
}
GST_END_TEST;

GST_START_TEST (test_config_that_cannot_be)
{
  static const gsize fields[] = { G_STRUCT_OFFSET (GemmaConfig, has_audio), G_STRUCT_OFFSET (GemmaConfig, audio.hidden),
    G_STRUCT_OFFSET (GemmaConfig, audio.n_layers), G_STRUCT_OFFSET (GemmaConfig, audio.n_heads),
    G_STRUCT_OFFSET (GemmaConfig, audio.n_mels), G_STRUCT_OFFSET (GemmaConfig, audio.reduction),
    G_STRUCT_OFFSET (GemmaConfig, audio.conv_kernel), G_STRUCT_OFFSET (GemmaConfig, audio.vocab_size),
    G_STRUCT_OFFSET (GemmaConfig, text.hidden) };
  g_autofree gchar *list = usm_golden_path ("%s/tensors.txt", size->name);
  g_autofree gchar *config_path = usm_golden_path ("%s/config.json", size->name);
  gchar *folder = seeded_write_hf (config_path, list, 5, OCL_TYPE_F32);
  GemmaWeights *weights = gemma_weights_open_hf (folder, NULL);

  for (guint i = 0; i <= G_N_ELEMENTS (fields); i++) {
    g_autofree GemmaConfig *config = usm_config_new (size);
    g_autoptr (GError) error = NULL;

    if (i < G_N_ELEMENTS (fields))
      G_STRUCT_MEMBER (gint, config, fields[i]) = 0;
    else
      config->audio.n_heads = 5; /* does not divide 64 */
    fail_if (gemma_usm_load (weights, config, usm_test_device (), OCL_MATMUL_F32_ACTIVATIONS, NULL, NULL, &error));
    g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID);
  }
  gemma_weights_unref (weights);
  seeded_remove (folder);
}
GST_END_TEST;

static void
count_progress (gdouble fraction, const gchar *what, gpointer user_data)
{
  gdouble *last = user_data;

  fail_unless (fraction > *last && fraction < 1.);
  fail_unless (strstr (what, "audio") != NULL);
  *last = fraction;
}

GST_START_TEST (test_embedder_alone)
{
  g_autofree gchar *list = usm_golden_path ("%s/tensors.txt", size->name);
  g_autofree gchar *config_path = usm_golden_path ("%s/config.json", size->name);
  gchar *folder = seeded_write_hf (config_path, list, 5, OCL_TYPE_F32);
  GemmaWeights *weights = gemma_weights_open_hf (folder, NULL);
  g_autofree GemmaConfig *config = usm_config_new (size);
  g_autoptr (GError) error = NULL;
  g_autoptr (Npy) expected = usm_golden ("%s/hard.npy", size->name);
  g_autofree gfloat *row = g_new (gfloat, size->text_hidden);
  gdouble last = -1.;
  GemmaUsm *usm = gemma_usm_load (weights, config, usm_test_device (), OCL_MATMUL_F32_ACTIVATIONS, count_progress, &last, &error);

  g_assert_no_error (error);
  fail_unless (last > 0.);
  gemma_usm_free (usm);

  usm = gemma_usm_load_embedder (weights, config, usm_test_device (), &error);
  g_assert_no_error (error);
  fail_unless (gemma_usm_hard_embedding (usm, size->vocab_offset, row, &error));
  fail_unless (relative_error (row, expected->f32, size->text_hidden) < 1e-5);
  fail_if (gemma_usm_stream_new (usm, &error));
  g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED);
  gemma_usm_free (usm);
  gemma_weights_unref (weights);
  seeded_remove (folder);
}
GST_END_TEST;

/* Half precision in the file is half precision in the result, not more and not less. */
GST_START_TEST (test_types_of_weights)
{
  static const struct
  {
    OclType type;
    gdouble least, most;
  } cases[] = { { OCL_TYPE_F16, 1e-5, 2e-3 }, { OCL_TYPE_BF16, 1e-4, 1.5e-2 } };
  g_autoptr (Npy) expected = usm_golden ("%s/soft.npy", size->name);
  g_autofree gfloat *signal = usm_signal (size->samples);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    GemmaUsm *usm = usm_model_load (size, NULL, cases[i].type, OCL_MATMUL_F32_ACTIVATIONS, &error);
    GemmaUsmStream *stream;
    g_autoptr (GArray) tokens = NULL;
    gdouble difference;

    g_assert_no_error (error);
    stream = gemma_usm_stream_new (usm, &error);
    g_assert_no_error (error);
    tokens = usm_encode (stream, signal, size->samples, 0);
    fail_unless_equals_int (tokens->len, expected->n);
    difference = relative_error ((gfloat *) tokens->data, expected->f32, expected->n);
    GST_INFO ("type %d: %g", cases[i].type, difference);
    fail_unless (difference > cases[i].least && difference < cases[i].most, "%g", difference);
    gemma_usm_stream_free (stream);
    gemma_usm_free (usm);
  }
}
GST_END_TEST;

/* Every allocation of loading and of a stream fails once. */
GST_START_TEST (test_failed_allocations)
{
  gsize before = ocl_device_get_allocated (usm_test_device ());
  gboolean streamed = FALSE;

  for (gint n = 1; !streamed; n++) {
    g_autofree gchar *spec = g_strdup_printf ("alloc:%d", n);
    g_autoptr (GError) error = NULL;
    GemmaUsmStream *stream = NULL;
    GemmaUsm *usm;

    ocl_fault_inject (spec);
    usm = usm_model_load (size, NULL, OCL_TYPE_F32, OCL_MATMUL_F32_ACTIVATIONS, &error);
    if (usm != NULL)
      stream = gemma_usm_stream_new (usm, &error);
    ocl_fault_inject (NULL);
    if (stream == NULL)
      g_assert_error (error, OCL_ERROR, OCL_ERROR_OUT_OF_MEMORY);
    streamed = stream != NULL;
    gemma_usm_stream_free (stream);
    gemma_usm_free (usm);
    fail_unless (ocl_device_get_allocated (usm_test_device ()) == before, "allocation %d: memory stays allocated", n);
    fail_unless (n < 1000);
  }
}
GST_END_TEST;

/* A failure while running is one error; what was in flight is gone, the next clip is whole. */
GST_START_TEST (test_failed_launches)
{
  g_autoptr (Npy) expected = usm_golden ("%s/soft.npy", size->name);
  g_autofree gfloat *signal = usm_signal (size->samples);
  GemmaUsm *usm = usm_model_new (size);
  GemmaUsmStream *stream = gemma_usm_stream_new (usm, NULL);

  for (gint n = 1; n < 400; n += 37) {
    g_autofree gchar *spec = g_strdup_printf ("launch:%d=CL_OUT_OF_RESOURCES", n);
    g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (gfloat));
    g_autoptr (GArray) whole = NULL;
    g_autoptr (GError) error = NULL;
    guint failed_at = 0;

    ocl_fault_inject (spec);
    while (gemma_usm_stream_push (stream, signal + failed_at, 2560, tokens, &error) && failed_at + 2560 < size->samples)
      failed_at += 2560;
    ocl_fault_inject (NULL);
    fail_unless (error != NULL, "launch %d", n);
    fail_unless (error->domain == OCL_ERROR);
    fail_unless_equals_int (tokens->len % size->text_hidden, 0);

    whole = usm_encode (stream, signal, size->samples, 0);
    fail_unless_equals_int (whole->len, expected->n);
    fail_unless (relative_error ((gfloat *) whole->data, expected->f32, expected->n) < 1e-5);
  }
  gemma_usm_stream_free (stream);
  gemma_usm_free (usm);
}
GST_END_TEST;

static Suite *
usm_load_suite (void)
{
  Suite *suite = suite_create ("usm-load");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 300);
  tcase_add_test (tc, test_absent_or_misshaped_tensor_is_named);
  tcase_add_test (tc, test_config_that_cannot_be);
  tcase_add_test (tc, test_embedder_alone);
  tcase_add_test (tc, test_types_of_weights);
  tcase_add_test (tc, test_failed_allocations);
  tcase_add_test (tc, test_failed_launches);
  return suite;
}

GST_CHECK_MAIN (usm_load);
