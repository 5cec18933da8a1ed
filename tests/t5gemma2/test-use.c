/* T5Gemma 2 through gemma-eval: a Hugging Face directory and a GGUF. */
#include <glib/gstdio.h>
#include <string.h>

#include "models/model.h"
#include "tests/gemma3n/fixture.h"
#include "tests/gemma3n/gguf-writer.h"

#define TEXT "Translate into French: Good morning. "
#define TEMPLATE "{\"chat_template\": \"{{ bos_token }}<start_of_turn>user ...\"}"

static gchar *directory, *gguf, *out;

static void
setup (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *tokenizer = NULL, *json = NULL;
  gsize length;
  directory = seeded_write_hf (
      GOLDEN_DIR "/t5gemma2/tiny/config.json", GOLDEN_DIR "/t5gemma2/tiny/tensors.txt", SEED, OCL_TYPE_F32);
  tokenizer = g_build_filename (directory, "tokenizer.json", NULL);
  fail_unless (g_file_get_contents (GOLDEN_DIR "/tokenizer/tokenizer.json", &json, &length, NULL));
  fail_unless (g_file_set_contents (tokenizer, json, length, NULL));
  out = g_dir_make_tmp ("gemma-test-XXXXXX", NULL);
  gguf = g_build_filename (directory, "tiny.gguf", NULL);
  GemmaWeights *weights = gemma_weights_open_hf (directory, &error);
  GemmaConfig *config = gemma_config_new (weights, NULL, &error);
  g_assert_no_error (error);
  gguf_write_text (gguf, weights, config, OCL_TYPE_F32, FALSE);
  gemma_config_free (config);
  gemma_weights_unref (weights);
}

static void
teardown (void)
{
  seeded_remove (directory);
  seeded_remove (out);
  g_free (gguf);
}

/* Runs gemma-eval; what it writes is in @out. */
static void
evaluate (const gchar *model, const gchar *option, const gchar *value, const gchar *n)
{
  const gchar *argv[] = { GEMMA_EVAL, "--model", model, option, value, "--generate", n, "--out", out, NULL };
  g_autofree gchar *message = NULL;
  g_autoptr (GError) error = NULL;
  gint status;
  g_spawn_sync (
      NULL, (gchar **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &message, &status, &error);
  g_assert_no_error (error);
  fail_unless (g_spawn_check_wait_status (status, NULL), "%s", message);
}

static Npy *
result (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (out, name, NULL);
  g_autoptr (GError) error = NULL;
  Npy *npy = npy_read (path, &error);
  g_assert_no_error (error);
  return npy;
}

static gchar *
list_ids (const gint32 *ids, gint n)
{
  GString *list = g_string_new (NULL);
  for (gint i = 0; i < n; i++)
    g_string_append_printf (list, "%s%d", i ? "," : "", ids[i]);
  return g_string_free (list, FALSE);
}

/* The reference's logits of the decoder's start, and its greedy ids, each of which is the best of its row of logits. */
static void
check_ids_of (const gchar *model)
{
  g_autoptr (Npy) source = golden ("tiny", "source", NPY_I32), expected = golden ("tiny", "logits", NPY_F32);
  g_autoptr (Npy) greedy = golden ("tiny", "greedy", NPY_I32);
  g_autofree gchar *all = list_ids (source->i32, source->n), *few = list_ids (source->i32, PROMPT);
  evaluate (model, "--ids", all, "0");
  g_autoptr (Npy) start = result ("logits.npy"), ids = result ("ids.npy");
  gint V = start->dims[1];
  fail_unless (ids->n == source->n && memcmp (ids->i32, source->i32, ids->n * sizeof (gint32)) == 0);
  fail_unless_equals_int (start->dims[0], 1);
  check_close ("logits of the start", start->f32, expected->f32, V, GOLDEN_LIMIT);

  evaluate (model, "--ids", few, "16");
  g_autoptr (Npy) logits = result ("logits.npy"), generated = result ("generated.npy");
  fail_unless_equals_int (generated->n, 16);
  fail_unless (memcmp (generated->i32, greedy->i32, 16 * sizeof (gint32)) == 0);
  fail_unless_equals_int (logits->dims[0], 16);
  for (gint i = 0; i < 16; i++)
    for (gint k = 0; k < V; k++)
      fail_unless (logits->f32[i * V + k] <= logits->f32[i * V + generated->i32[i]], "id %d at step %d", k, i);
}

GST_START_TEST (test_ids_of_both_formats)
{
  check_ids_of (directory);
  check_ids_of (gguf);
}

GST_END_TEST;

/* <bos> and the text as it is: there are only base models, whatever template a tokenizer brings from its family. */
GST_START_TEST (test_prompt)
{
  g_autofree gchar *config = g_build_filename (directory, "tokenizer_config.json", NULL);
  g_autofree gchar *json = g_build_filename (directory, "tokenizer.json", NULL);
  g_autoptr (GArray) expected = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  GemmaTokenizer *tokenizer = gemma_tokenizer_new_from_json (json, &error);
  gint32 bos = 2;
  g_assert_no_error (error);
  g_array_append_val (expected, bos);
  gemma_tokenizer_encode (tokenizer, TEXT, strlen (TEXT), FALSE, expected);
  gemma_tokenizer_free (tokenizer);
  fail_unless (g_file_set_contents (config, TEMPLATE, -1, NULL));
  evaluate (directory, "--prompt", TEXT, "1");
  g_remove (config);
  g_autoptr (Npy) ids = result ("ids.npy");
  fail_unless_equals_int (ids->n, expected->len);
  fail_unless (memcmp (ids->i32, expected->data, ids->n * sizeof (gint32)) == 0);
}

GST_END_TEST;

/* One clear error before anything is loaded. */
GST_START_TEST (test_text_only)
{
  const gchar *models[] = { directory, gguf };
  for (guint k = 0; k < G_N_ELEMENTS (models); k++) {
    g_autoptr (GError) error = NULL;
    fail_unless (gemma_model_probe (models[k], NULL, GEMMA_PART_AUDIO, &error) == NULL);
    fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED));
    fail_unless (strstr (error->message, "t5gemma2") && strstr (error->message, "audio"), "%s", error->message);
  }
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("t5gemma2_use");
  TCase *tc = tcase_create ("use");
  tcase_set_timeout (tc, 300);
  tcase_add_unchecked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_ids_of_both_formats);
  tcase_add_test (tc, test_prompt);
  tcase_add_test (tc, test_text_only);
  suite_add_tcase (suite, tc);
  return gst_check_run_suite (suite, "t5gemma2_use", __FILE__);
}
