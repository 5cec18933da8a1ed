#include "config-private.h"
#include "file.h"

#include <math.h>
#include <string.h>

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

  text->rope_factor = 1;
  text->lone_soft_id = text->alignment_layer = text->alignment_head = -1;
  text->attention_scale = 1;
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

  config->bos_id = config->pad_id = config->start_id = -1;
  config->audio_token_id = config->boa_id = config->eoa_id = -1;
  config->image_token_id = config->boi_id = config->eoi_id = -1;
}

void
gemma_text_config_set_layers (GemmaTextConfig *text, gint ffn, gint period)
{
  text->ffn = g_new (gint, text->n_layers);
  text->sliding = g_new (gboolean, text->n_layers);
  for (gint i = 0; i < text->n_layers; i++) {
    text->ffn[i] = ffn;
    text->sliding[i] = (i + 1) % period != 0;
  }
}

void
gemma3n_config_set_sparsity (GemmaTextConfig *text)
{
  const gfloat sparse = (gfloat) gemma_normal_quantile (GEMMA_DEFAULT_PATTERN);
  const gint n = text->n_layers;

  text->gemma3n.sparsity = g_new (gfloat, n);
  for (gint i = 0; i < n; i++)
    text->gemma3n.sparsity[i] = n > GEMMA_DEFAULT_SPARSE && i < GEMMA_DEFAULT_SPARSE ? sparse : 0;
}

gint
gemma_text_config_count_soft (const GemmaTextConfig *text, const gint32 *ids, gint n)
{
  gint n_soft = 0;
  for (gint i = 0; i < n; i++)
    n_soft += gemma_text_config_is_soft (text, ids[i]);
  return n_soft;
}

gint
gemma_text_config_cut (const GemmaTextConfig *text, const gint32 *ids, gint n, gint at)
{
  if (text->soft_run == 0 || at == n || !gemma_text_config_is_soft (text, ids[at]))
    return at;
  while (at > 0 && gemma_text_config_is_soft (text, ids[at - 1]))
    at--;
  return at;
}

void
gemma_text_config_copy (GemmaTextConfig *to, const GemmaTextConfig *from)
{
  const gint n = from->n_layers;

  *to = *from;
  to->ffn = g_memdup2 (from->ffn, n * sizeof (gint));
  to->sliding = g_memdup2 (from->sliding, n * sizeof (gboolean));
  to->gemma3n.sparsity = g_memdup2 (from->gemma3n.sparsity, n * sizeof (gfloat));
}

void
gemma_text_config_clear (GemmaTextConfig *text)
{
  g_clear_pointer (&text->ffn, g_free);
  g_clear_pointer (&text->sliding, g_free);
  g_clear_pointer (&text->gemma3n.sparsity, g_free);
}

void
gemma_config_free (GemmaConfig *config)
{
  if (config == NULL)
    return;
  gemma_text_config_clear (&config->text);
  gemma_text_config_clear (&config->encoder);
  g_free (config);
}

/* ---- architectures -------------------------------------------------------------- */

static const GemmaArchitecture *const architectures[] = {
  &gemma_architecture_gemma3n, &gemma_architecture_gemma3, &gemma_architecture_t5gemma2
};

/* "a, b and c" */
static gchar *
known_values (gboolean is_gguf)
{
  GString *all = g_string_new (NULL);
  const guint n = G_N_ELEMENTS (architectures);

  for (guint i = 0; i < n; i++) {
    const GemmaArchitecture *a = architectures[i];
    const gchar *before = i == 0 ? "" : i + 1 < n ? ", " : " and ";

    if (is_gguf)
      g_string_append_printf (all, "%s\"%s\"", before, a->name);
    else
      g_string_append_printf (all, "%s%s%s%s", before, a->hf_type, a->hf_text_type ? ", " : "",
          a->hf_text_type ? a->hf_text_type : "");
  }
  return g_string_free (all, FALSE);
}

const GemmaArchitecture *
gemma_architecture_find (const gchar *path, const gchar *key, const gchar *value, gboolean is_gguf, GError **error)
{
  g_autofree gchar *known = known_values (is_gguf);

  for (guint i = 0; i < G_N_ELEMENTS (architectures); i++) {
    const GemmaArchitecture *a = architectures[i];

    if (is_gguf ? strcmp (value, a->name) == 0
        : strcmp (value, a->hf_type) == 0 || g_strcmp0 (value, a->hf_text_type) == 0)
      return a;
  }
  gemma_config_fail (path, GEMMA_ERROR_UNSUPPORTED, error, "%s is \"%.80s\"; %s are supported", key, value, known);
  return NULL;
}

void
gemma_config_set_architecture (GemmaConfig *config, const GemmaArchitecture *architecture)
{
  config->architecture = architecture->name;
  config->hears = architecture->hears;
  config->sees = architecture->sees;
  config->has_turns = architecture->always_turns;
  config->wants_examples = TRUE;
  config->translates_transcripts = TRUE;
  config->text.prefix = architecture->find_hf_encoder ? "dec." : "";
  if (!architecture->find_hf_encoder)
    return;
  config->encoder = config->text;
  config->encoder.prefix = "enc.";
}

gboolean
gemma_config_looks_for_template (const GemmaConfig *config)
{
  for (guint i = 0; i < G_N_ELEMENTS (architectures); i++)
    if (strcmp (config->architecture, architectures[i]->name) == 0)
      return !architectures[i]->always_turns && !architectures[i]->never_turns;
  return FALSE;
}

/* ---- files ---------------------------------------------------------------------- */

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

/* TRUE if the template writes Gemma's turns; a member of a JSON file, or a file of its own. */
static gboolean
find_template (const gchar *directory, gboolean *has_turns, GError **error)
{
  static const gchar *const files[] = { "tokenizer_config.json", "chat_template.json" };
  g_autofree gchar *path = g_build_filename (directory, "chat_template.jinja", NULL);
  g_autoptr (GError) cause = NULL;
  gsize length;
  g_autofree gchar *jinja = gemma_read_regular (path, MAX_CONFIG, &length, &cause);

  if (!jinja && !g_error_matches (cause, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  if (jinja && strstr (jinja, GEMMA_TURN))
    *has_turns = TRUE;
  for (guint i = 0; !*has_turns && i < G_N_ELEMENTS (files); i++) {
    g_autoptr (JsonNode) node = NULL;
    GemmaJsonObject root;
    const gchar *text = "";

    if (!parse_optional (directory, files[i], &node, error))
      return FALSE;
    if (node && (!gemma_json_root (node, files[i], &root, error)
            || !gemma_json_get_string (&root, "chat_template", &text, error)))
      return FALSE;
    *has_turns = strstr (text, GEMMA_TURN) != NULL;
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
  return gemma_config_read_hf (config, weights, path, root, generation, processor, preprocessor, error)
      && (!gemma_config_looks_for_template (config) || find_template (directory, &config->has_turns, error));
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
