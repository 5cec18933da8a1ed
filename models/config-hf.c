#include "config-private.h"

#include <math.h>
#include <string.h>

gboolean
gemma_config_require_string (const GemmaJsonObject *o, const gchar *key, const gchar *wanted, GError **error)
{
  const gchar *found = wanted;

  if (!gemma_json_get_string (o, key, &found, error))
    return FALSE;
  return strcmp (found, wanted) == 0 || gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error,
      "%s%s is \"%.80s\"; \"%s\" is supported", o->prefix, key, found, wanted);
}

gboolean
gemma_config_require_bool (const GemmaJsonObject *o, const gchar *key, gboolean wanted, GError **error)
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

gboolean
gemma_config_require_int (const GemmaJsonObject *o, const gchar *key, gint wanted, GError **error)
{
  gint found = wanted;

  if (!gemma_json_get_int (o, key, G_MININT, G_MAXINT, &found, error))
    return FALSE;
  return found == wanted || gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error,
      "%s%s is %d; %d is supported", o->prefix, key, found, wanted);
}

gboolean
gemma_config_get_element (const GemmaJsonObject *o, const gchar *key, JsonArray *array, guint i, guint n,
    gdouble *value, GError **error)
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
  gint all = text->ffn[0];

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

    if (!gemma_config_get_element (o, key, array, i, text->n_layers, &value, error))
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

    if (array && !gemma_config_get_element (o, key, array, i, text->n_layers, &p, error))
      return FALSE;
    if (!(p >= 0 && p < 1))
      return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error,
          "%s%s[%d] is %g; from 0 to less than 1 is allowed", o->prefix, key, i, p);
    scale = p == 0 ? 0 : gemma_normal_quantile (p);
    text->gemma3n.sparsity[i] = p == 0 ? 0 : fabs (scale) < 1e-12 ? GEMMA_SPARSITY_AT_MEAN : (gfloat) scale;
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

/* The type of scaling; with "linear" its factor, for architectures that know it. */
static gboolean
read_scaling (const GemmaJsonObject *o, const gchar *key, gfloat *factor, GError **error)
{
  const gchar *type = "default";

  if (!gemma_json_get_string (o, key, &type, error))
    return FALSE;
  if (factor == NULL || strcmp (type, "linear") != 0)
    return gemma_config_require_string (o, key, "default", error);
  return gemma_json_get_float (o, "factor", 1, GEMMA_MAX_CONTEXT, factor, error);
}

/* @factor: (nullable) */
static gboolean
read_rope_kind (const GemmaJsonObject *o, const gchar *key, gfloat *base, gfloat *factor, GError **error)
{
  g_autofree gchar *prefix = g_strconcat (o->prefix, key, ".", NULL);
  GemmaJsonObject kind;

  return gemma_json_get_object (o, key, prefix, &kind, error)
      && read_scaling (&kind, "rope_type", factor, error)
      && gemma_json_get_float (&kind, "rope_theta", 1, GEMMA_MAX_ROPE, base, error);
}

/* rope_theta and rope_local_base_freq, or the newer rope_parameters by kind of layer. */
static gboolean
read_rope (GemmaTextConfig *text, const GemmaArchitecture *a, const GemmaJsonObject *o, GError **error)
{
  g_autofree gchar *scaling_prefix = g_strconcat (o->prefix, "rope_scaling.", NULL);
  g_autofree gchar *parameters_prefix = g_strconcat (o->prefix, "rope_parameters.", NULL);
  GemmaJsonObject scaling, parameters;
  gfloat *factor = a->linear_rope ? &text->rope_factor : NULL;

  return gemma_json_get_float (o, "rope_theta", 1, GEMMA_MAX_ROPE, &text->rope_base, error)
      && gemma_json_get_float (o, "rope_local_base_freq", 1, GEMMA_MAX_ROPE, &text->rope_base_local, error)
      && gemma_json_get_object (o, "rope_scaling", scaling_prefix, &scaling, error)
      && read_scaling (&scaling, "rope_type", factor, error)
      && read_scaling (&scaling, "type", factor, error)
      && gemma_json_get_object (o, "rope_parameters", parameters_prefix, &parameters, error)
      && read_rope_kind (&parameters, "full_attention", &text->rope_base, factor, error)
      && read_rope_kind (&parameters, "sliding_attention", &text->rope_base_local, NULL, error);
}

static gboolean
read_text (GemmaTextConfig *t, const GemmaArchitecture *a, const GemmaJsonObject *o, GError **error)
{
  a->set_defaults (t);
  if (!gemma_json_get_int (o, "vocab_size", 1, GEMMA_MAX_VOCAB, &t->vocab_size, error)
      || !gemma_json_get_int (o, "hidden_size", 1, GEMMA_MAX_WIDTH, &t->hidden, error)
      || !gemma_json_get_int (o, "num_hidden_layers", 1, GEMMA_MAX_LAYERS, &t->n_layers, error)
      || !gemma_json_get_int (o, "num_attention_heads", 1, GEMMA_MAX_HEADS, &t->n_heads, error)
      || !gemma_json_get_int (o, "num_key_value_heads", 1, GEMMA_MAX_HEADS, &t->n_kv_heads, error)
      || !gemma_json_get_int (o, "head_dim", 2, GEMMA_MAX_WIDTH, &t->head_dim, error)
      || !gemma_json_get_int (o, "sliding_window", 1, GEMMA_MAX_CONTEXT, &t->window, error)
      || !gemma_json_get_int (o, "max_position_embeddings", 1, GEMMA_MAX_CONTEXT, &t->context_length, error)
      || !gemma_json_get_float (o, "rms_norm_eps", 0, 1, &t->rms_eps, error)
      || !gemma_json_get_float (o, "final_logit_softcapping", 0, 1e6, &t->logit_softcap, error))
    return FALSE;
  if (gemma_json_has (o, "final_logit_softcapping") == FALSE && o->object
      && json_object_has_member (o->object, "final_logit_softcapping"))
    t->logit_softcap = 0;       /* null */
  t->first_soft_id = t->vocab_size;
  gemma_text_config_set_layers (t, a->ffn, a->period);
  return gemma_config_require_bool (o, "attention_bias", FALSE, error)
      && gemma_config_require_bool (o, "tie_word_embeddings", TRUE, error)
      && gemma_config_require_string (o, "hidden_activation", "gelu_pytorch_tanh", error)
      && read_ffn (t, o, error) && a->read_hf_text (t, o, error) && read_layer_types (t, o, error)
      && read_rope (t, a, o, error);
}

static gboolean
read_gemma3n_text (GemmaTextConfig *t, const GemmaJsonObject *o, GError **error)
{
  Gemma3nTextConfig *n = &t->gemma3n;
  gint ple_vocab = GEMMA_DEFAULT_TEXT_VOCAB;

  if (!gemma_json_get_int (o, "vocab_size_per_layer_input", 1, GEMMA_MAX_VOCAB, &ple_vocab, error)
      || !gemma_json_get_int (o, "num_kv_shared_layers", 0, GEMMA_MAX_LAYERS, &n->n_shared_kv, error)
      || !gemma_json_get_int (o, "hidden_size_per_layer_input", 1, GEMMA_MAX_WIDTH, &n->ple_dim, error)
      || !gemma_json_get_int (o, "laurel_rank", 1, GEMMA_MAX_WIDTH, &n->laurel_rank, error)
      || !gemma_json_get_int (o, "altup_num_inputs", 1, GEMMA_MAX_ALTUP, &n->n_altup, error))
    return FALSE;
  t->first_soft_id = MIN (t->vocab_size, ple_vocab);
  gemma3n_config_set_sparsity (t);
  return gemma_config_require_int (o, "altup_active_idx", 0, error)
      && gemma_config_require_bool (o, "altup_correct_scale", TRUE, error)
      && read_sparsity (t, o, error);
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
      if (!gemma_config_get_element (o, key, json_node_get_array (pair), k, 2, &value, error))
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

    if (!gemma_config_get_element (o, key, array, i, 2, &value, error))
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
  return gemma_config_require_int (o, "conf_attention_context_right", 0, error)
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

    if (!gemma_config_get_element (o, key, array, i, n, &value, error))
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
    const GemmaJsonObject *generation, GError **error)
{
  const GemmaJsonObject *const from[] = { generation, root, text };

  config->bos_id = 2;
  config->pad_id = 0;
  if (!read_id (from, 3, "bos_token_id", &config->bos_id, error))
    return FALSE;
  config->start_id = config->bos_id;
  if (!read_id (from, 3, "decoder_start_token_id", &config->start_id, error)
      || !read_id (from, 3, "pad_token_id", &config->pad_id, error)
      || !read_eos (config, generation, error) || !read_eos (config, root, error) || !read_eos (config, text, error))
    return FALSE;
  if (config->n_eos == 0) {
    config->eos_ids[0] = 1;
    config->n_eos = 1;
  }
  return TRUE;
}

static gboolean
read_gemma3n_ids (GemmaConfig *config, const GemmaJsonObject *root, GError **error)
{
  config->boi_id = 255999;
  config->eoi_id = 262144;
  config->image_token_id = 262145;
  config->boa_id = 256000;
  config->eoa_id = 262272;
  config->audio_token_id = 262273;
  return gemma_json_get_int (root, "boi_token_id", 0, GEMMA_MAX_VOCAB, &config->boi_id, error)
      && gemma_json_get_int (root, "eoi_token_id", 0, GEMMA_MAX_VOCAB, &config->eoi_id, error)
      && gemma_json_get_int (root, "image_token_id", 0, GEMMA_MAX_VOCAB, &config->image_token_id, error)
      && gemma_json_get_int (root, "boa_token_id", 0, GEMMA_MAX_VOCAB, &config->boa_id, error)
      && gemma_json_get_int (root, "eoa_token_id", 0, GEMMA_MAX_VOCAB, &config->eoa_id, error)
      && gemma_json_get_int (root, "audio_token_id", 0, GEMMA_MAX_VOCAB, &config->audio_token_id, error);
}

/* The mel front end is fixed; an extractor that is described as another one is not for us. */
static gboolean
check_extractor (const GemmaConfig *config, const GemmaJsonObject *o, GError **error)
{
  gfloat low = 125, high = 7600, preemphasis = 0.97f, floor = 1e-5f, scale = 1;

  if (o->object == NULL || !config->has_audio)
    return TRUE;
  if (!gemma_config_require_int (o, "sampling_rate", 16000, error)
      || !gemma_config_require_int (o, "frame_length", 512, error)
      || !gemma_config_require_int (o, "hop_length", 160, error)
      || !gemma_config_require_int (o, "fft_length", 1024, error)
      || !gemma_config_require_int (o, "feature_size", config->audio.n_mels, error)
      || !gemma_config_require_bool (o, "preemphasis_htk_flavor", TRUE, error)
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

static gboolean
read_gemma3n_parts (GemmaConfig *config, GemmaWeights *weights, const GemmaJsonObject *root, gboolean multimodal,
    GError **error)
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
  if (!multimodal)
    return TRUE;
  /* ids from the first of the ranges of soft tokens on are not in the token table */
  config->text.first_soft_id = MIN (config->text.first_soft_id,
      MIN (config->vision_vocab_offset, config->audio.vocab_offset));
  return read_gemma3n_ids (config, root, error);
}

static void
set_gemma3n_defaults (GemmaTextConfig *t)
{
  t->vocab_size = GEMMA_DEFAULT_VOCAB;
  t->hidden = 2048;
  t->n_layers = 35;
  t->n_heads = 8;
  t->n_kv_heads = 2;
  t->head_dim = 256;
  t->gemma3n = (Gemma3nTextConfig) { .n_shared_kv = 15, .ple_dim = 256, .laurel_rank = 64, .n_altup = 4 };
}

const GemmaArchitecture gemma_architecture_gemma3n = {
  .name = "gemma3n",
  .hf_type = "gemma3n",
  .hf_text = "text_config",
  .hf_text_prefix = "text_config.",
  .hf_text_type = "gemma3n_text",
  .hears = TRUE,
  .sees = TRUE,
  .projector = "gemma3nv",
  .always_turns = TRUE,
  .period = 5,
  .ffn = 16384,
  .set_defaults = set_gemma3n_defaults,
  .read_hf_text = read_gemma3n_text,
  .read_gguf_text = gemma3n_config_read_gguf,
  .read_hf_parts = read_gemma3n_parts,
  .read_gguf_vision = gemma3n_config_read_gguf_vision,
};

/* The text model, or both of an encoder-decoder; @text is where the first was found. */
static gboolean
read_texts (GemmaConfig *config, const GemmaArchitecture *a, const GemmaJsonObject *root, gboolean multimodal,
    GemmaJsonObject *text, GError **error)
{
  GemmaJsonObject encoder;

  *text = *root;
  if (multimodal && !gemma_json_get_object (root, a->hf_text, a->hf_text_prefix, text, error))
    return FALSE;
  if (!read_text (&config->text, a, text, error))
    return FALSE;
  return !a->find_hf_encoder
      || (a->find_hf_encoder (root, &encoder, error) && read_text (&config->encoder, a, &encoder, error));
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
  GemmaJsonObject root, text, generation, processor, preprocessor, extractor, images;
  const GemmaArchitecture *architecture;
  gboolean multimodal;

  if (!gemma_json_root (node, path, &root, error)
      || !optional_root (generation_node, directory, "generation_config.json", &generation_path, &generation, error)
      || !optional_root (processor_node, directory, "processor_config.json", &processor_path, &processor, error)
      || !optional_root (preprocessor_node, directory, "preprocessor_config.json", &preprocessor_path, &preprocessor,
          error)
      || !gemma_json_get_string (&root, "model_type", &type, error))
    return FALSE;
  if (!type[0])
    return gemma_config_fail (path, GEMMA_ERROR_NOT_FOUND, error, "model_type is missing");
  architecture = gemma_architecture_find (path, "model_type", type, FALSE, error);
  if (!architecture)
    return FALSE;
  gemma_config_set_architecture (config, architecture);
  multimodal = strcmp (type, architecture->hf_type) == 0;
  if (!gemma_config_require_bool (&root, "tie_word_embeddings", TRUE, error)
      || !read_texts (config, architecture, &root, multimodal, &text, error)
      || !gemma_config_check_text (config, weights, path, error)
      || !architecture->read_hf_parts (config, weights, &root, multimodal, error))
    return FALSE;
  if (architecture->place_soft_ids)
    architecture->place_soft_ids (config);
  return gemma_json_get_int (&processor, "audio_seq_length", 1, 65536, &config->audio.tokens_per_clip, error)
      && gemma_json_get_object (&processor, "feature_extractor", "feature_extractor.", &extractor, error)
      && gemma_json_get_object (&processor, "image_processor", "image_processor.", &images, error)
      && check_extractor (config, &preprocessor, error) && check_extractor (config, &extractor, error)
      && gemma_siglip_config_read_processor (config, &preprocessor, error)
      && gemma_siglip_config_read_processor (config, &images, error)
      && read_ids (config, &root, &text, &generation, error);
}
