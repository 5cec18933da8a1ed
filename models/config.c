#include "config-private.h"

#include <math.h>

#define MAX_CONFIG ((gsize) 16 << 20)

gboolean
gemma_config_fail (const gchar *path, GemmaError code, GError **error, const gchar *format, ...)
{
  g_autofree gchar *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, GEMMA_ERROR, code, "%s: %s", path, message);
  return FALSE;
}

gdouble
gemma_normal_quantile (gdouble p)
{
  gdouble low = -40, high = 40;

  for (gint i = 0; i < 100; i++) {
    gdouble x = (low + high) / 2;

    if (0.5 * erfc (-x * M_SQRT1_2) < p)
      low = x;
    else
      high = x;
  }
  return (low + high) / 2;
}

void
gemma_config_set_defaults (GemmaConfig *config)
{
  GemmaTextConfig *text = &config->text;
  GemmaAudioConfig *audio = &config->audio;

  text->n_altup = 4;
  text->window = GEMMA_DEFAULT_WINDOW;
  text->context_length = GEMMA_DEFAULT_CONTEXT;
  text->rms_eps = 1e-6f;
  text->rope_base = 1e6f;
  text->rope_base_local = 1e4f;
  text->logit_softcap = 30;

  audio->n_mels = 128;
  audio->conv_channels[0] = 128;
  audio->conv_channels[1] = 32;
  audio->left = 12;
  audio->reduction = 4;
  audio->conv_kernel = 5;
  audio->softcap = 50;
  audio->rms_eps = 1e-6f;
  audio->conv_norm_eps = 1e-3f;
  audio->residual_weight = 0.5f;
  audio->tokens_per_clip = 188;
  audio->pad_clip = TRUE;

  config->bos_id = config->pad_id = -1;
  config->audio_token_id = config->boa_id = config->eoa_id = -1;
  config->image_token_id = config->boi_id = config->eoi_id = -1;
}

void
gemma_config_set_layers (GemmaConfig *config, gint ffn)
{
  GemmaTextConfig *text = &config->text;
  const gint n = text->n_layers;
  const gfloat sparse = (gfloat) gemma_normal_quantile (GEMMA_DEFAULT_PATTERN);

  text->ffn = g_new (gint, n);
  text->sparsity = g_new (gfloat, n);
  text->sliding = g_new (gboolean, n);
  for (gint i = 0; i < n; i++) {
    text->ffn[i] = ffn;
    text->sparsity[i] = n > GEMMA_DEFAULT_SPARSE && i < GEMMA_DEFAULT_SPARSE ? sparse : 0;
    text->sliding[i] = (i + 1) % GEMMA_DEFAULT_PERIOD != 0;
  }
}

void
gemma_config_free (GemmaConfig *config)
{
  if (config == NULL)
    return;
  g_free (config->architecture);
  g_free (config->text.ffn);
  g_free (config->text.sparsity);
  g_free (config->text.sliding);
  g_free (config);
}

/* A file of the directory that may be missing; FALSE if it is there and broken. */
static gboolean
parse_optional (const gchar *directory, const gchar *name, JsonNode **node, GError **error)
{
  g_autofree gchar *path = g_build_filename (directory, name, NULL);
  g_autoptr (GError) cause = NULL;

  *node = gemma_json_parse_file (path, MAX_CONFIG, GEMMA_JSON_DEPTH, &cause);
  if (*node == NULL && !g_error_matches (cause, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  return TRUE;
}

static gboolean
read_directory (GemmaConfig *config, GemmaWeights *weights, const gchar *path, GError **error)
{
  const gchar *directory = gemma_weights_get_path (weights);
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (JsonNode) generation = NULL;
  g_autoptr (JsonNode) processor = NULL;
  g_autoptr (JsonNode) preprocessor = NULL;

  root = gemma_json_parse_file (path, MAX_CONFIG, GEMMA_JSON_DEPTH, error);
  if (root == NULL
      || !parse_optional (directory, "generation_config.json", &generation, error)
      || !parse_optional (directory, "processor_config.json", &processor, error)
      || !parse_optional (directory, "preprocessor_config.json", &preprocessor, error))
    return FALSE;
  return gemma_config_read_hf (config, weights, path, root, generation, processor, preprocessor, error);
}

GemmaConfig *
gemma_config_new (GemmaWeights *weights, GemmaWeights *mmproj, GError **error)
{
  GemmaConfig *config = g_new0 (GemmaConfig, 1);
  const gboolean is_gguf = gemma_weights_is_gguf (weights);
  g_autofree gchar *path = is_gguf ? g_strdup (gemma_weights_get_path (weights))
      : g_build_filename (gemma_weights_get_path (weights), "config.json", NULL);
  gboolean ok;

  gemma_config_set_defaults (config);
  ok = is_gguf ? gemma_config_read_gguf (config, weights, mmproj, error)
      : read_directory (config, weights, path, error);
  ok = ok && gemma_config_check (config, weights, is_gguf ? mmproj : NULL, path, error);
  if (!ok)
    g_clear_pointer (&config, gemma_config_free);
  return config;
}
