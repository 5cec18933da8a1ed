#include "eval-files.h"

#include <string.h>

#include "gguf-writer.h"
#include "tests/gemma-eval.h"

EvalFiles eval_files;

void
eval_files_setup (void)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights;
  GemmaConfig *config;

  eval_files.directory = seeded_write_hf (GOLDEN_DIR "/" GOLDEN_AREA "/tiny/config.json",
      GOLDEN_DIR "/" GOLDEN_AREA "/tiny/tensors.txt", SEED, OCL_TYPE_F32);
  seeded_add_file (eval_files.directory, GOLDEN_DIR "/tokenizer/tokenizer.json");
  eval_files.out = g_dir_make_tmp ("gemma-test-XXXXXX", NULL);
  eval_files.gguf = g_build_filename (eval_files.directory, "tiny.gguf", NULL);
  weights = gemma_weights_open_hf (eval_files.directory, &error);
  config = gemma_config_new (weights, NULL, &error);
  g_assert_no_error (error);
  gguf_write_text (eval_files.gguf, weights, config, OCL_TYPE_F32, FALSE);
  gemma_config_free (config);
  gemma_weights_unref (weights);
}

void
eval_files_teardown (void)
{
  seeded_remove (eval_files.directory);
  seeded_remove (eval_files.out);
  g_free (eval_files.gguf);
}

void
eval_run (const gchar *model, const gchar *option, const gchar *value, const gchar *n)
{
  const gchar *arguments[] = { "--model", model, option, value, "--generate", n, "--out", eval_files.out, NULL };
  g_autofree gchar *message = NULL;

  fail_unless (gemma_eval_run (&message, arguments) == 0, "%s", message);
}

Npy *
eval_result (const gchar *name)
{
  return gemma_eval_result (eval_files.out, name);
}

gchar *
eval_list_ids (const gint32 *ids, gint n)
{
  GString *list = g_string_new (NULL);

  for (gint i = 0; i < n; i++)
    g_string_append_printf (list, "%s%d", i ? "," : "", ids[i]);
  return g_string_free (list, FALSE);
}

void
eval_check_lacks (GemmaParts part, GemmaError code, const gchar *named, const gchar *what)
{
  const gchar *models[] = { eval_files.directory, eval_files.gguf };

  for (guint i = 0; i < G_N_ELEMENTS (models); i++) {
    g_autoptr (GError) error = NULL;

    fail_unless (gemma_model_probe (models[i], NULL, part, &error) == NULL);
    fail_unless (g_error_matches (error, GEMMA_ERROR, code));
    fail_unless (strstr (error->message, named) && strstr (error->message, what), "%s", error->message);
  }
}
