#include "config-private.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A member that must have the one value that we compute with, where it is present. */
static gboolean
require_string (const GemmaJsonObject *o, const gchar *key, const gchar *wanted, GError **error)
{
  const gchar *found = wanted;

  if (!gemma_json_get_string (o, key, &found, error))
    return FALSE;
  return strcmp (found, wanted) == 0 || gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error,
      "%s%s is \"%.80s\"; \"%s\" is supported", o->prefix, key, found, wanted);
}

static gboolean
require_bool (const GemmaJsonObject *o, const gchar *key, gboolean wanted, GError **error)
{
  JsonNode *node = gemma_json_has (o, key) ? json_object_get_member (o->object, key) : NULL;

  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_BOOLEAN)
    return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s is of type %s; a boolean is expected",
        o->prefix, key, json_node_type_name (node));
  return json_node_get_boolean (node) == wanted || gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error,
      "%s%s is %s; %s is supported", o->prefix, key, wanted ? "false" : "true", wanted ? "true" : "false");
}

static gboolean
require_int (const GemmaJsonObject *o, const gchar *key, gint wanted, GError **error)
{
  gint found = wanted;

  if (!gemma_json_get_int (o, key, G_MININT, G_MAXINT, &found, error))
    return FALSE;
  return found == wanted || gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error,
      "%s%s is %d; %d is supported", o->prefix, key, found, wanted);
}

/* Element @i as a number, of a list of exactly @n. */
static gboolean
get_element (const GemmaJsonObject *o, const gchar *key, JsonArray *array, guint i, guint n, gdouble *value,
    GError **error)
{
  JsonNode *node;

  if (json_array_get_length (array) != n)
    return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s has %u values; %u are expected", o->prefix,
        key, json_array_get_length (array), n);
  node = json_array_get_element (array, i);
  if (!JSON_NODE_HOLDS_VALUE (node)
      || (json_node_get_value_type (node) != G_TYPE_INT64 && json_node_get_value_type (node) != G_TYPE_DOUBLE))
    return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s[%u] is not a number", o->prefix, key, i);
  *value = json_node_get_value_type (node) == G_TYPE_INT64 ? (gdouble) json_node_get_int (node)
      : json_node_get_double (node);
  return TRUE;
}

static gboolean
is_array (const GemmaJsonObject *o, const gchar *key)
{
  return gemma_json_has (o, key) && JSON_NODE_HOLDS_ARRAY (json_object_get_member (o->object, key));
}

/* intermediate_size: one for all layers, or a list. */
static gboolean
read_ffn (GemmaTextConfig *text, const GemmaJsonObject *o, GError **error)
{
  static const gchar key[] = "intermediate_size";
  JsonArray *array = NULL;
  gint all = 16384;

  if (!is_array (o, key)) {
    if (!gemma_json_get_int (o, key, 1, GEMMA_MAX_FFN, &all, error))
      return FALSE;
    for (gint i = 0; i < text->n_layers; i++)
      text->ffn[i] = all;
    return TRUE;
  }
  if (!gemma_json_get_array (o, key, &array, error))
    return FALSE;
  for (gint i = 0; i < text->n_layers; i++) {
    gdouble value;

    if (!get_element (o, key, array, i, text->n_layers, &value, error))
      return FALSE;
    if (!(value >= 1 && value <= GEMMA_MAX_FFN) || value != floor (value))
      return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s[%d] is %g; 1 to %d are allowed", o->prefix,
          key, i, value, GEMMA_MAX_FFN);
    text->ffn[i] = (gint) value;
  }
  return TRUE;
}

/* activation_sparsity_pattern: fractions of zeros, one for all layers or a list. */
static gboolean
read_sparsity (GemmaTextConfig *text, const GemmaJsonObject *o, GError **error)
{
  static const gchar key[] = "activation_sparsity_pattern";
  JsonArray *array = NULL;
  gfloat all = 0;

  if (!gemma_json_has (o, key))
    return TRUE;
  if (is_array (o, key)) {
    if (!gemma_json_get_array (o, key, &array, error))
      return FALSE;
  } else if (!gemma_json_get_float (o, key, 0, 1, &all, error)) {
    return FALSE;
  }
  for (gint i = 0; i < text->n_layers; i++) {
    gdouble p = all, scale;

    if (array && !get_element (o, key, array, i, text->n_layers, &p, error))
      return FALSE;
    if (!(p >= 0 && p < 1))
      return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error,
          "%s%s[%d] is %g; from 0 to less than 1 is allowed", o->prefix, key, i, p);
    scale = p == 0 ? 0 : gemma_normal_quantile (p);
    text->sparsity[i] = p == 0 ? 0 : fabs (scale) < 1e-12 ? FLT_MIN : (gfloat) scale;        /* 0 means none */
  }
  return TRUE;
}

static gboolean
read_layer_types (GemmaTextConfig *text, const GemmaJsonObject *o, GError **error)
{
  JsonArray *array = NULL;

  if (!gemma_json_get_array (o, "layer_types", &array, error))
    return FALSE;
  if (array == NULL)
    return TRUE;
  if (json_array_get_length (array) != (guint) text->n_layers)
    return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%slayer_types has %u values; %d are expected",
        o->prefix, json_array_get_length (array), text->n_layers);
  for (gint i = 0; i < text->n_layers; i++) {
    JsonNode *node = json_array_get_element (array, i);
    const gchar *type = JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
        ? json_node_get_string (node) : "not a string";

    text->sliding[i] = strcmp (type, "sliding_attention") == 0;
    if (!text->sliding[i] && strcmp (type, "full_attention") != 0)
      return gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error,
          "%slayer_types[%d] is %.80s; sliding_attention and full_attention are supported", o->prefix, i, type);
  }
  return TRUE;
}

static gboolean
read_rope_kind (const GemmaJsonObject *o, const gchar *key, const gchar *prefix, gfloat *base, GError **error)
{
  GemmaJsonObject kind;

  return gemma_json_get_object (o, key, prefix, &kind, error)
      && require_string (&kind, "rope_type", "default", error)
      && gemma_json_get_float (&kind, "rope_theta", 1, GEMMA_MAX_ROPE, base, error);
}

/* rope_theta and rope_local_base_freq, or the newer rope_parameters by kind of layer. */
static gboolean
read_rope (GemmaTextConfig *text, const GemmaJsonObject *o, GError **error)
{
  GemmaJsonObject scaling, parameters;

  return gemma_json_get_float (o, "rope_theta", 1, GEMMA_MAX_ROPE, &text->rope_base, error)
      && gemma_json_get_float (o, "rope_local_base_freq", 1, GEMMA_MAX_ROPE, &text->rope_base_local, error)
      && gemma_json_get_object (o, "rope_scaling", "rope_scaling.", &scaling, error)
      && require_string (&scaling, "rope_type", "default", error)
      && require_string (&scaling, "type", "default", error)
      && gemma_json_get_object (o, "rope_parameters", "rope_parameters.", &parameters, error)
      && read_rope_kind (&parameters, "full_attention", "rope_parameters.full_attention.", &text->rope_base, error)
      && read_rope_kind (&parameters, "sliding_attention", "rope_parameters.sliding_attention.",
      &text->rope_base_local, error);
}

static gboolean
read_text (GemmaConfig *config, const GemmaJsonObject *o, gint *ple_vocab, GError **error)
{
  GemmaTextConfig *t = &config->text;

  t->vocab_size = GEMMA_DEFAULT_VOCAB;
  *ple_vocab = GEMMA_DEFAULT_TEXT_VOCAB;
  t->hidden = 2048;
  t->n_layers = 35;
  t->n_heads = 8;
  t->n_kv_heads = 2;
  t->head_dim = 256;
  t->n_shared_kv = 15;
  t->ple_dim = 256;
  t->laurel_rank = 64;
  if (!gemma_json_get_int (o, "vocab_size", 1, GEMMA_MAX_VOCAB, &t->vocab_size, error)
      || !gemma_json_get_int (o, "vocab_size_per_layer_input", 1, GEMMA_MAX_VOCAB, ple_vocab, error)
      || !gemma_json_get_int (o, "hidden_size", 1, GEMMA_MAX_WIDTH, &t->hidden, error)
      || !gemma_json_get_int (o, "num_hidden_layers", 1, GEMMA_MAX_LAYERS, &t->n_layers, error)
      || !gemma_json_get_int (o, "num_attention_heads", 1, GEMMA_MAX_HEADS, &t->n_heads, error)
      || !gemma_json_get_int (o, "num_key_value_heads", 1, GEMMA_MAX_HEADS, &t->n_kv_heads, error)
      || !gemma_json_get_int (o, "head_dim", 2, GEMMA_MAX_WIDTH, &t->head_dim, error)
      || !gemma_json_get_int (o, "num_kv_shared_layers", 0, GEMMA_MAX_LAYERS, &t->n_shared_kv, error)
      || !gemma_json_get_int (o, "hidden_size_per_layer_input", 1, GEMMA_MAX_WIDTH, &t->ple_dim, error)
      || !gemma_json_get_int (o, "laurel_rank", 1, GEMMA_MAX_WIDTH, &t->laurel_rank, error)
      || !gemma_json_get_int (o, "altup_num_inputs", 1, GEMMA_MAX_ALTUP, &t->n_altup, error)
      || !gemma_json_get_int (o, "sliding_window", 1, GEMMA_MAX_CONTEXT, &t->window, error)
      || !gemma_json_get_int (o, "max_position_embeddings", 1, GEMMA_MAX_CONTEXT, &t->context_length, error)
      || !gemma_json_get_float (o, "rms_norm_eps", 0, 1, &t->rms_eps, error)
      || !gemma_json_get_float (o, "final_logit_softcapping", 0, 1e6, &t->logit_softcap, error))
    return FALSE;
  if (gemma_json_has (o, "final_logit_softcapping") == FALSE && o->object
      && json_object_has_member (o->object, "final_logit_softcapping"))
    t->logit_softcap = 0;       /* null */
  gemma_config_set_layers (config, 1);
  return require_int (o, "altup_active_idx", 0, error)
      && require_bool (o, "altup_correct_scale", TRUE, error)
      && require_bool (o, "attention_bias", FALSE, error)
      && require_bool (o, "tie_word_embeddings", TRUE, error)
      && require_string (o, "hidden_activation", "gelu_pytorch_tanh", error)
      && read_ffn (t, o, error) && read_sparsity (t, o, error) && read_layer_types (t, o, error)
      && read_rope (t, o, error);
}

/* Both convolutions of the front end have kernels of 3x3 and steps of 2x2. */
static gboolean
require_squares (const GemmaJsonObject *o, const gchar *key, gint wanted, GError **error)
{
  JsonArray *array = NULL;

  if (!gemma_json_get_array (o, key, &array, error))
    return FALSE;
  for (guint i = 0; array && i < json_array_get_length (array); i++) {
    JsonNode *pair = json_array_get_element (array, i);

    for (guint k = 0; k < 2; k++) {
      gdouble value;

      if (!JSON_NODE_HOLDS_ARRAY (pair))
        return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s[%u] is not an array", o->prefix, key, i);
      if (!get_element (o, key, json_node_get_array (pair), k, 2, &value, error))
        return FALSE;
      if (value != wanted)
        return gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error, "%s%s[%u] has %g; %d is supported",
            o->prefix, key, i, value, wanted);
    }
  }
  return TRUE;
}

static gboolean
read_conv_channels (GemmaAudioConfig *a, const GemmaJsonObject *o, GError **error)
{
  static const gchar key[] = "sscp_conv_channel_size";
  JsonArray *array = NULL;

  if (!gemma_json_get_array (o, key, &array, error))
    return FALSE;
  for (guint i = 0; array && i < 2; i++) {
    gdouble value;

    if (!get_element (o, key, array, i, 2, &value, error))
      return FALSE;
    if (!(value >= 1 && value <= GEMMA_MAX_WIDTH) || value != floor (value))
      return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s[%u] is %g; 1 to %d are allowed", o->prefix,
          key, i, value, GEMMA_MAX_WIDTH);
    a->conv_channels[i] = (gint) value;
  }
  return TRUE;
}

static gboolean
read_audio (GemmaAudioConfig *a, const GemmaJsonObject *o, GError **error)
{
  gint left = a->left + 1;      /* counts the query's own frame */

  a->vocab_size = GEMMA_DEFAULT_MM_VOCAB;
  a->vocab_offset = GEMMA_DEFAULT_TEXT_VOCAB + GEMMA_DEFAULT_MM_VOCAB;
  a->hidden = 1536;
  a->n_layers = 12;
  a->n_heads = 8;
  if (!gemma_json_get_int (o, "vocab_size", 1, GEMMA_MAX_VOCAB, &a->vocab_size, error)
      || !gemma_json_get_int (o, "vocab_offset", 0, GEMMA_MAX_VOCAB, &a->vocab_offset, error)
      || !gemma_json_get_int (o, "hidden_size", 2, GEMMA_MAX_WIDTH, &a->hidden, error)
      || !gemma_json_get_int (o, "conf_num_hidden_layers", 1, GEMMA_MAX_LAYERS, &a->n_layers, error)
      || !gemma_json_get_int (o, "conf_num_attention_heads", 1, GEMMA_MAX_HEADS, &a->n_heads, error)
      || !gemma_json_get_int (o, "input_feat_size", 4, 4096, &a->n_mels, error)
      || !gemma_json_get_int (o, "conf_attention_context_left", 1, 4096, &left, error)
      || !gemma_json_get_int (o, "conf_reduction_factor", 1, 64, &a->reduction, error)
      || !gemma_json_get_int (o, "conf_conv_kernel_size", 1, 64, &a->conv_kernel, error)
      || !gemma_json_get_float (o, "conf_attention_logit_cap", 1e-3, 1e6, &a->softcap, error)
      || !gemma_json_get_float (o, "rms_norm_eps", 0, 1, &a->rms_eps, error)
      || !gemma_json_get_float (o, "sscp_conv_group_norm_eps", 0, 1, &a->conv_norm_eps, error)
      || !gemma_json_get_float (o, "conf_residual_weight", -1e3, 1e3, &a->residual_weight, error))
    return FALSE;
  a->left = left - 1;
  return require_int (o, "conf_attention_context_right", 0, error)
      && require_squares (o, "sscp_conv_kernel_size", 3, error)
      && require_squares (o, "sscp_conv_stride_size", 2, error)
      && read_conv_channels (a, o, error);
}

/* eos_token_id: one id or a list of at most four. */
static gboolean
read_eos (GemmaConfig *config, const GemmaJsonObject *o, GError **error)
{
  static const gchar key[] = "eos_token_id";
  JsonArray *array = NULL;
  guint n = 1;

  if (config->n_eos > 0 || !gemma_json_has (o, key))
    return TRUE;
  if (!is_array (o, key)) {
    config->n_eos = 1;
    return gemma_json_get_int (o, key, 0, GEMMA_MAX_VOCAB, &config->eos_ids[0], error);
  }
  if (!gemma_json_get_array (o, key, &array, error))
    return FALSE;
  n = json_array_get_length (array);
  if (n < 1 || n > G_N_ELEMENTS (config->eos_ids))
    return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s has %u values; 1 to %u are allowed",
        o->prefix, key, n, (guint) G_N_ELEMENTS (config->eos_ids));
  for (guint i = 0; i < n; i++) {
    gdouble value;

    if (!get_element (o, key, array, i, n, &value, error))
      return FALSE;
    if (!(value >= 0 && value <= GEMMA_MAX_VOCAB) || value != floor (value))
      return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s[%u] is %g; 0 to %d are allowed", o->prefix,
          key, i, value, GEMMA_MAX_VOCAB);
    config->eos_ids[i] = (gint) value;
  }
  config->n_eos = n;
  return TRUE;
}

/* An id from the first of the files that has it. */
static gboolean
read_id (const GemmaJsonObject *const *from, guint n, const gchar *key, gint *id, GError **error)
{
  for (guint i = 0; i < n; i++) {
    if (!gemma_json_get_int (from[i], key, 0, GEMMA_MAX_VOCAB, id, error))
      return FALSE;
    if (gemma_json_has (from[i], key))
      break;
  }
  return TRUE;
}

static gboolean
read_ids (GemmaConfig *config, const GemmaJsonObject *root, const GemmaJsonObject *text,
    const GemmaJsonObject *generation, gboolean multimodal, GError **error)
{
  const GemmaJsonObject *const from[] = { generation, root, text };

  config->bos_id = 2;
  config->pad_id = 0;
  if (multimodal) {
    config->boi_id = 255999;
    config->eoi_id = 262144;
    config->image_token_id = 262145;
    config->boa_id = 256000;
    config->eoa_id = 262272;
    config->audio_token_id = 262273;
  }
  if (!read_id (from, 3, "bos_token_id", &config->bos_id, error)
      || !read_id (from, 3, "pad_token_id", &config->pad_id, error)
      || !read_id (from + 1, 1, "boi_token_id", &config->boi_id, error)
      || !read_id (from + 1, 1, "eoi_token_id", &config->eoi_id, error)
      || !read_id (from + 1, 1, "image_token_id", &config->image_token_id, error)
      || !read_id (from + 1, 1, "boa_token_id", &config->boa_id, error)
      || !read_id (from + 1, 1, "eoa_token_id", &config->eoa_id, error)
      || !read_id (from + 1, 1, "audio_token_id", &config->audio_token_id, error)
      || !read_eos (config, generation, error) || !read_eos (config, root, error) || !read_eos (config, text, error))
    return FALSE;
  if (config->n_eos == 0) {
    config->eos_ids[0] = 1;
    config->n_eos = 1;
  }
  return TRUE;
}

/* The mel front end is fixed; an extractor that is described as another one is not for us. */
static gboolean
check_extractor (const GemmaConfig *config, const GemmaJsonObject *o, GError **error)
{
  gfloat low = 125, high = 7600, preemphasis = 0.97f, floor = 1e-5f, scale = 1;

  if (o->object == NULL || !config->has_audio)
    return TRUE;
  if (!require_int (o, "sampling_rate", 16000, error) || !require_int (o, "frame_length", 512, error)
      || !require_int (o, "hop_length", 160, error) || !require_int (o, "fft_length", 1024, error)
      || !require_int (o, "feature_size", config->audio.n_mels, error)
      || !require_bool (o, "preemphasis_htk_flavor", TRUE, error)
      || !gemma_json_get_float (o, "min_frequency", 0, 8000, &low, error)
      || !gemma_json_get_float (o, "max_frequency", 0, 8000, &high, error)
      || !gemma_json_get_float (o, "preemphasis", 0, 1, &preemphasis, error)
      || !gemma_json_get_float (o, "mel_floor", 0, 1, &floor, error)
      || !gemma_json_get_float (o, "input_scale_factor", -1e6, 1e6, &scale, error))
    return FALSE;
  if (scale != 1 || gemma_json_has (o, "per_bin_mean") || gemma_json_has (o, "per_bin_stddev"))
    return gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error, "%sinput_scale_factor is %g, per_bin_mean and "
        "per_bin_stddev are %s; 1 and null are supported", o->prefix, scale,
        gemma_json_has (o, "per_bin_mean") || gemma_json_has (o, "per_bin_stddev") ? "there" : "null");
  if (low != 125 || high != 7600 || preemphasis != 0.97f || floor != 1e-5f)
    return gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error, "%smin_frequency, max_frequency, preemphasis and "
        "mel_floor are %g, %g, %g and %g; 125, 7600, 0.97 and 1e-05 are supported", o->prefix, low, high, preemphasis,
        floor);
  return TRUE;
}

/* Ids from the first of the ranges of soft tokens on are not in the token table. */
static gint
first_soft_id (const GemmaConfig *config, gboolean multimodal, gint ple_vocab)
{
  gint first = MIN (config->text.vocab_size, ple_vocab);

  if (multimodal)
    first = MIN (first, MIN (config->vision_vocab_offset, config->audio.vocab_offset));
  return first;
}

static gboolean
read_parts (GemmaConfig *config, GemmaWeights *weights, const GemmaJsonObject *root, gboolean multimodal,
    gint ple_vocab, GError **error)
{
  GemmaJsonObject audio, vision;

  config->vision_vocab_size = GEMMA_DEFAULT_MM_VOCAB;
  config->vision_vocab_offset = GEMMA_DEFAULT_TEXT_VOCAB;
  if (!gemma_json_get_object (root, "audio_config", "audio_config.", &audio, error)
      || !read_audio (&config->audio, &audio, error)
      || !gemma_json_get_object (root, "vision_config", "vision_config.", &vision, error)
      || !gemma_json_get_int (&vision, "vocab_size", 1, GEMMA_MAX_VOCAB, &config->vision_vocab_size, error)
      || !gemma_json_get_int (&vision, "vocab_offset", 0, GEMMA_MAX_VOCAB, &config->vision_vocab_offset, error)
      || !gemma_json_get_int (root, "audio_soft_tokens_per_image", 1, 65536, &config->audio.tokens_per_clip, error))
    return FALSE;
  config->has_audio = multimodal && gemma_weights_peek (weights, "mm.a.input_projection.weight");
  config->has_vision = multimodal && gemma_weights_peek (weights, "mm.input_projection.weight");
  config->text.first_soft_id = first_soft_id (config, multimodal, ple_vocab);
  return TRUE;
}

static gboolean
optional_root (JsonNode *node, const gchar *directory, const gchar *name, gchar **path, GemmaJsonObject *root,
    GError **error)
{
  *path = g_build_filename (directory, name, NULL);
  *root = (GemmaJsonObject) { NULL, *path, "" };
  return node == NULL || gemma_json_root (node, *path, root, error);
}

gboolean
gemma_config_read_hf (GemmaConfig *config, GemmaWeights *weights, const gchar *path, JsonNode *node,
    JsonNode *generation_node, JsonNode *processor_node, JsonNode *preprocessor_node, GError **error)
{
  const gchar *directory = gemma_weights_get_path (weights), *type = "";
  g_autofree gchar *generation_path = NULL, *processor_path = NULL, *preprocessor_path = NULL;
  GemmaJsonObject root, text, generation, processor, preprocessor, extractor;
  gboolean multimodal;
  gint ple_vocab;

  if (!gemma_json_root (node, path, &root, error)
      || !optional_root (generation_node, directory, "generation_config.json", &generation_path, &generation, error)
      || !optional_root (processor_node, directory, "processor_config.json", &processor_path, &processor, error)
      || !optional_root (preprocessor_node, directory, "preprocessor_config.json", &preprocessor_path, &preprocessor,
          error)
      || !gemma_json_get_string (&root, "model_type", &type, error))
    return FALSE;
  multimodal = strcmp (type, "gemma3n") == 0;
  if (!multimodal && strcmp (type, "gemma3n_text") != 0)
    return gemma_config_fail (path, type[0] ? GEMMA_ERROR_UNSUPPORTED : GEMMA_ERROR_NOT_FOUND, error,
        type[0] ? "model_type is \"%.80s\"; gemma3n and gemma3n_text are supported" : "model_type is missing%s", type);
  config->architecture = g_strdup ("gemma3n");
  if (!multimodal)
    text = root;
  else if (!gemma_json_get_object (&root, "text_config", "text_config.", &text, error))
    return FALSE;
  return require_bool (&root, "tie_word_embeddings", TRUE, error)
      && read_text (config, &text, &ple_vocab, error)
      && gemma_config_check_text (config, weights, path, error)
      && read_parts (config, weights, &root, multimodal, ple_vocab, error)
      && gemma_json_get_int (&processor, "audio_seq_length", 1, 65536, &config->audio.tokens_per_clip, error)
      && gemma_json_get_object (&processor, "feature_extractor", "feature_extractor.", &extractor, error)
      && check_extractor (config, &preprocessor, error) && check_extractor (config, &extractor, error)
      && read_ids (config, &root, &text, &generation, multimodal, error);
}
