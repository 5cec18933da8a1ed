#include "config-private.h"

#include <math.h>
#include <string.h>

#define GEMMA3N "gemma3n."
#define AUDIO "clip.audio."
#define VISION "clip.vision."
#define TOKENS "tokenizer.ggml.tokens"

/* Layers with K and V of their own in E2B and E4B, for files that lack the number of the others. */
#define DEFAULT_OWN_KV 20

gboolean
gemma_config_get_int (GemmaWeights *w, const gchar *key, gint64 min, gint64 max, gint *value, GError **error)
{
  gint64 found;

  if (!gemma_weights_has_key (w, key))
    return TRUE;
  if (!gemma_weights_get_int (w, key, &found, error))
    return FALSE;
  if (found < min || found > max)
    return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_INVALID, error, "key %s is %" G_GINT64_FORMAT
        "; %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " are allowed", key, found, min, max);
  *value = (gint) found;
  return TRUE;
}

gboolean
gemma_config_need_int (GemmaWeights *w, const gchar *key, gint64 min, gint64 max, gint *value, GError **error)
{
  if (!gemma_weights_has_key (w, key))
    return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_NOT_FOUND, error, "key %s is missing", key);
  return gemma_config_get_int (w, key, min, max, value, error);
}

gboolean
gemma_config_get_float (GemmaWeights *w, const gchar *key, gdouble min, gdouble max, gfloat *value, GError **error)
{
  gdouble found;

  if (!gemma_weights_has_key (w, key))
    return TRUE;
  if (!gemma_weights_get_float (w, key, &found, error))
    return FALSE;
  if (!(found >= min && found <= max))
    return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_INVALID, error,
        "key %s is %g; %g to %g are allowed", key, found, min, max);
  *value = (gfloat) found;
  return TRUE;
}

static gboolean
require_string (GemmaWeights *w, const gchar *key, const gchar *wanted, GError **error)
{
  const gchar *found = gemma_weights_get_string (w, key, error);

  if (found == NULL)
    return FALSE;
  return strcmp (found, wanted) == 0 || gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_UNSUPPORTED, error,
      "key %s is \"%.80s\"; \"%s\" is supported", key, found, wanted);
}

/* The size of a tensor's dimension @d, or @otherwise. */
static gint
dim_of (GemmaWeights *w, const gchar *name, guint d, gint otherwise)
{
  const GemmaTensor *t = w ? gemma_weights_peek (w, name) : NULL;

  return t && t->dims[d] <= G_MAXINT ? (gint) t->dims[d] : otherwise;
}

/* ---- text ----------------------------------------------------------------------- */

/* A text model's key: "gemma3n.block_count", "t5gemma2.enc.block_count". */
static gchar *
text_key (const GemmaTextConfig *t, const GemmaArchitecture *a, const gchar *name)
{
  return g_strconcat (a->name, ".", t->prefix, name, NULL);
}

/* Numbers a layer, or NULL; *@error is set if they are there and wrong. */
static gdouble *
get_numbers (GemmaWeights *w, const gchar *key, gint n, GError **error)
{
  return gemma_weights_has_key (w, key) ? gemma_weights_get_numbers (w, key, n, error) : NULL;
}

static gboolean
read_ffn (GemmaTextConfig *t, const GemmaArchitecture *a, GemmaWeights *w, GError **error)
{
  g_autofree gchar *key = text_key (t, a, "feed_forward_length");
  g_autofree gdouble *ffn = gemma_weights_get_numbers (w, key, t->n_layers, error);

  if (ffn == NULL)
    return FALSE;
  for (gint i = 0; i < t->n_layers; i++) {
    if (!(ffn[i] >= 1 && ffn[i] <= GEMMA_MAX_FFN) || ffn[i] != floor (ffn[i]))
      return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_INVALID, error,
          "key %s[%d] is %g; 1 to %d are allowed", key, i, ffn[i], GEMMA_MAX_FFN);
    t->ffn[i] = (gint) ffn[i];
  }
  return TRUE;
}

/* sliding_window_pattern: a flag a layer, or the period of the full layers. */
static gboolean
read_pattern (GemmaTextConfig *t, const GemmaArchitecture *a, GemmaWeights *w, GError **error)
{
  g_autofree gchar *key = text_key (t, a, "attention.sliding_window_pattern");
  g_autofree gdouble *flags = NULL;
  gint period = a->period;

  if (!gemma_weights_has_key (w, key))
    return TRUE;
  if (gemma_weights_get_length (w, key) < 0) {
    if (!gemma_config_get_int (w, key, 1, GEMMA_MAX_LAYERS, &period, error))
      return FALSE;
  } else if ((flags = gemma_weights_get_numbers (w, key, t->n_layers, error)) == NULL) {
    return FALSE;
  }
  for (gint i = 0; i < t->n_layers; i++)
    t->sliding[i] = flags ? flags[i] != 0 : (i + 1) % period != 0;
  return TRUE;
}

static gboolean
same_for_all (GemmaTextConfig *t, GemmaWeights *w, const gchar *key, gint *value, GError **error)
{
  g_autofree gdouble *all = NULL;

  if (gemma_weights_get_length (w, key) < 0)
    return gemma_config_get_int (w, key, 1, GEMMA_MAX_HEADS, value, error);
  all = get_numbers (w, key, t->n_layers, error);
  if (all == NULL)
    return FALSE;
  for (gint i = 0; i < t->n_layers; i++)
    if (!(all[i] >= 1 && all[i] <= GEMMA_MAX_HEADS) || all[i] != all[0])
      return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_UNSUPPORTED, error,
          "key %s[%d] is %g; one value from 1 to %d for all layers is supported", key, i, all[i], GEMMA_MAX_HEADS);
  *value = (gint) all[0];
  return TRUE;
}

static gboolean
read_heads (GemmaTextConfig *t, const GemmaArchitecture *a, GemmaWeights *w, GError **error)
{
  g_autofree gchar *count = text_key (t, a, "attention.head_count"), *kv = text_key (t, a, "attention.head_count_kv");
  g_autofree gchar *key = text_key (t, a, "attention.key_length"), *value = text_key (t, a, "attention.value_length");
  g_autofree gchar *norm = g_strconcat (t->prefix, "blk.0.attn_q_norm.weight", NULL);
  gint value_length;

  t->head_dim = dim_of (w, norm, 0, 256);
  if (!gemma_weights_has_key (w, count))
    return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_NOT_FOUND, error, "key %s is missing", count);
  if (!same_for_all (t, w, count, &t->n_heads, error))
    return FALSE;
  t->n_kv_heads = t->n_heads;
  if (!same_for_all (t, w, kv, &t->n_kv_heads, error)
      || !gemma_config_get_int (w, key, 2, GEMMA_MAX_WIDTH, &t->head_dim, error))
    return FALSE;
  value_length = t->head_dim;
  if (!gemma_config_get_int (w, value, 2, GEMMA_MAX_WIDTH, &value_length, error))
    return FALSE;
  return value_length == t->head_dim || gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_UNSUPPORTED, error,
      "keys %s and value_length are %d and %d; equal ones are supported", key, t->head_dim, value_length);
}

/* rope.scaling.type: "none", and "linear" where the architecture has it, which older files write without a type. */
static gboolean
read_rope_scaling (GemmaTextConfig *t, const GemmaArchitecture *a, GemmaWeights *w, GError **error)
{
  g_autofree gchar *type_key = text_key (t, a, "rope.scaling.type"), *factor = text_key (t, a, "rope.scaling.factor");
  const gchar *type = a->linear_rope && gemma_weights_has_key (w, factor) ? "linear" : "none";

  if (gemma_weights_has_key (w, type_key) && !(type = gemma_weights_get_string (w, type_key, error)))
    return FALSE;
  if (a->linear_rope && strcmp (type, "linear") == 0)
    return gemma_config_get_float (w, factor, 1, GEMMA_MAX_CONTEXT, &t->rope_factor, error);
  return !gemma_weights_has_key (w, type_key) || require_string (w, type_key, "none", error);
}

/* The numbers of a text model, keys after the architecture's name. */
static gboolean
read_text_numbers (GemmaTextConfig *t, const GemmaArchitecture *a, GemmaWeights *w, GError **error)
{
  const struct
  {
    const gchar *name;
    gint max, *value;
    gboolean needed;
  } ints[] = {
    { "block_count", GEMMA_MAX_LAYERS, &t->n_layers, TRUE },
    { "embedding_length", GEMMA_MAX_WIDTH, &t->hidden, TRUE },
    { "context_length", GEMMA_MAX_CONTEXT, &t->context_length, FALSE },
    { "attention.sliding_window", GEMMA_MAX_CONTEXT, &t->window, FALSE },
  };
  const struct
  {
    const gchar *name;
    gdouble min, max;
    gfloat *value;
  } floats[] = {
    { "rope.freq_base", 1, GEMMA_MAX_ROPE, &t->rope_base },
    { "rope.freq_base_swa", 1, GEMMA_MAX_ROPE, &t->rope_base_local },
    { "attention.layer_norm_rms_epsilon", 0, 1, &t->rms_eps },
    { "final_logit_softcapping", 0, 1e6, &t->logit_softcap },
  };

  for (guint i = 0; i < G_N_ELEMENTS (ints); i++) {
    g_autofree gchar *key = text_key (t, a, ints[i].name);

    if (!(ints[i].needed ? gemma_config_need_int : gemma_config_get_int) (w, key, 1, ints[i].max, ints[i].value, error))
      return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (floats); i++) {
    g_autofree gchar *key = text_key (t, a, floats[i].name);

    if (!gemma_config_get_float (w, key, floats[i].min, floats[i].max, floats[i].value, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_text (GemmaTextConfig *t, const GemmaArchitecture *a, GemmaWeights *w, GError **error)
{
  if (gemma_weights_peek (w, "token_embd.weight") == NULL)
    return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_NOT_FOUND, error,
        "tensor token_embd.weight is missing");
  a->set_defaults (t);
  t->first_soft_id = t->vocab_size = dim_of (w, "token_embd.weight", 1, 0);
  if (!read_text_numbers (t, a, w, error))
    return FALSE;
  gemma_text_config_set_layers (t, 1, a->period);
  return read_rope_scaling (t, a, w, error) && read_heads (t, a, w, error) && read_ffn (t, a, w, error)
      && read_pattern (t, a, w, error) && a->read_gguf_text (t, w, error);
}

/* ---- Gemma 3n's own ------------------------------------------------------------- */

/* activation_sparsity_scale: the factor itself. No sparsity is minus infinity, as llama.cpp's converter writes it, whose 0
 * cuts at the mean; in files without any, it is 0. */
static gboolean
read_gemma3n_sparsity (GemmaTextConfig *t, GemmaWeights *w, GError **error)
{
  static const gchar key[] = GEMMA3N "activation_sparsity_scale";
  g_autofree gdouble *scale = NULL;
  gfloat zero = 0;

  if (!gemma_weights_has_key (w, key))
    return TRUE;
  scale = gemma_weights_get_numbers (w, key, t->n_layers, error);
  if (scale == NULL)
    return FALSE;
  for (gint i = 0; i < t->n_layers; i++)
    if (scale[i] < -GEMMA_MAX_SPARSITY)
      zero = GEMMA_SPARSITY_AT_MEAN;
  for (gint i = 0; i < t->n_layers; i++) {
    if (isnan (scale[i]) || scale[i] > GEMMA_MAX_SPARSITY)
      return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_INVALID, error,
          "key %s[%d] is %g; at most %g is allowed", key, i, scale[i], GEMMA_MAX_SPARSITY);
    t->gemma3n.sparsity[i] = scale[i] < -GEMMA_MAX_SPARSITY ? 0 : scale[i] == 0 ? zero : (gfloat) scale[i];
  }
  return TRUE;
}

/* The attention head that says when words are said. Of a sliding layer it would not see all of the sound. */
static gboolean
read_alignment (GemmaTextConfig *t, GemmaWeights *w, GError **error)
{
  static const gchar layer[] = "gemma.alignment.layer", head[] = "gemma.alignment.head";

  if (!gemma_weights_has_key (w, layer) && !gemma_weights_has_key (w, head))
    return TRUE;
  if (!gemma_config_need_int (w, layer, 0, t->n_layers - 1, &t->alignment_layer, error)
      || !gemma_config_need_int (w, head, 0, t->n_heads - 1, &t->alignment_head, error))
    return FALSE;
  return !t->sliding[t->alignment_layer] || gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_INVALID, error,
      "key %s is %d, a layer with a sliding window; one with full attention is allowed", layer, t->alignment_layer);
}

gboolean
gemma3n_config_read_gguf (GemmaTextConfig *t, GemmaWeights *w, GError **error)
{
  Gemma3nTextConfig *n = &t->gemma3n;
  gint active = 0;

  n->laurel_rank = dim_of (w, "blk.0.laurel_l.weight", 1, 64);
  n->ple_dim = dim_of (w, "per_layer_proj_norm.weight", 0, 256);
  n->n_altup = dim_of (w, "altup_proj.weight", 2, 3) + 1;
  n->n_shared_kv = MAX (t->n_layers - DEFAULT_OWN_KV, 0);
  if (!gemma_config_get_int (w, GEMMA3N "embedding_length_per_layer_input", 1, GEMMA_MAX_WIDTH, &n->ple_dim, error)
      || !gemma_config_get_int (w, GEMMA3N "altup.num_inputs", 1, GEMMA_MAX_ALTUP, &n->n_altup, error)
      || !gemma_config_get_int (w, GEMMA3N "altup.active_idx", 0, GEMMA_MAX_ALTUP, &active, error)
      || !gemma_config_get_int (w, GEMMA3N "attention.shared_kv_layers", 0, GEMMA_MAX_LAYERS, &n->n_shared_kv, error))
    return FALSE;
  if (active != 0)
    return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_UNSUPPORTED, error,
        "key " GEMMA3N "altup.active_idx is %d; 0 is supported", active);
  gemma3n_config_set_sparsity (t);
  return read_gemma3n_sparsity (t, w, error) && read_alignment (t, w, error);
}

/* ---- tokens --------------------------------------------------------------------- */

/* Scores and types, where present, belong to the tokens one by one. */
static gboolean
check_token_arrays (GemmaWeights *w, GError **error)
{
  static const gchar *const others[] = { "tokenizer.ggml.scores", "tokenizer.ggml.token_type" };
  const gint64 n = gemma_weights_get_length (w, TOKENS);

  for (guint i = 0; n >= 0 && i < G_N_ELEMENTS (others); i++) {
    gint64 m = gemma_weights_get_length (w, others[i]);

    if (gemma_weights_has_key (w, others[i]) && m != n)
      return gemma_config_fail (gemma_weights_get_path (w), GEMMA_ERROR_INVALID, error, "key %s has %" G_GINT64_FORMAT
          " values, %s has %" G_GINT64_FORMAT "; the same number is expected", others[i], m, TOKENS, n);
  }
  return TRUE;
}

static void
find_tokens (GemmaConfig *config, GemmaWeights *w, gint *end_of_turn)
{
  const struct
  {
    const gchar *text;
    gint *id;
  } wanted[] = {
    { "<start_of_audio>", &config->boa_id },
    { "<end_of_audio>", &config->eoa_id },
    { "<audio_soft_token>", &config->audio_token_id },
    { "<start_of_image>", &config->boi_id },
    { "<end_of_image>", &config->eoi_id },
    { "<image_soft_token>", &config->image_token_id },
    { "<end_of_turn>", end_of_turn },
  };
  const gint64 n = MIN (gemma_weights_get_length (w, TOKENS), G_MAXINT);
  const gchar *data;
  gsize length;

  for (gint i = 0; i < n; i++) {
    if (!gemma_weights_get_nth_string (w, TOKENS, i, &data, &length))
      return;
    if (length < 10 || data[0] != '<')
      continue;
    for (guint k = 0; k < G_N_ELEMENTS (wanted); k++)
      if (*wanted[k].id < 0 && strlen (wanted[k].text) == length && memcmp (wanted[k].text, data, length) == 0)
        *wanted[k].id = i;
  }
}

/* Gemma 3n's ids where the tokens do not tell: they are as published, or there is no multimodal token. */
static void
fall_back (GemmaConfig *config)
{
  if (config->text.vocab_size != GEMMA_DEFAULT_VOCAB)
    return;
#define FALL_BACK(field, id) if (config->field < 0) config->field = (id)
  FALL_BACK (boi_id, 255999);
  FALL_BACK (boa_id, 256000);
  FALL_BACK (eoi_id, 262144);
  FALL_BACK (image_token_id, 262145);
  FALL_BACK (eoa_id, 262272);
  FALL_BACK (audio_token_id, 262273);
#undef FALL_BACK
}

static void
add_eos (GemmaConfig *config, gint id)
{
  for (gint i = 0; i < config->n_eos; i++)
    if (config->eos_ids[i] == id)
      return;
  if (id >= 0 && config->n_eos < (gint) G_N_ELEMENTS (config->eos_ids))
    config->eos_ids[config->n_eos++] = id;
}

static gboolean
read_tokens (GemmaConfig *config, GemmaWeights *w, GError **error)
{
  gint eos = 1, eot = -1, end_of_turn = -1;

  config->pad_id = 0;
  if (!check_token_arrays (w, error)
      || !gemma_config_need_int (w, "tokenizer.ggml.bos_token_id", 0, GEMMA_MAX_VOCAB, &config->bos_id, error)
      || !gemma_config_need_int (w, "tokenizer.ggml.eos_token_id", 0, GEMMA_MAX_VOCAB, &eos, error)
      || !gemma_config_get_int (w, "tokenizer.ggml.padding_token_id", 0, GEMMA_MAX_VOCAB, &config->pad_id, error)
      || !gemma_config_get_int (w, "tokenizer.ggml.eot_token_id", 0, GEMMA_MAX_VOCAB, &eot, error))
    return FALSE;
  if (config->start_id < 0)
    config->start_id = config->bos_id;
  find_tokens (config, w, &end_of_turn);
  fall_back (config);
  add_eos (config, eos);
  add_eos (config, eot);
  add_eos (config, end_of_turn);
  return TRUE;
}

/* An encoder-decoder's encoder, what the decoder begins with, and the ids of pictures, which need not be tokens. */
static gboolean
read_encoder (GemmaConfig *config, const GemmaArchitecture *a, GemmaWeights *w, GError **error)
{
  const struct
  {
    const gchar *name;
    gint *id;
  } ids[] = {
    { ".decoder_start_token_id", &config->start_id },
    { ".boi_token_id", &config->boi_id },
    { ".eoi_token_id", &config->eoi_id },
    { ".image_token_id", &config->image_token_id },
  };

  if (!a->find_hf_encoder)
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++) {
    g_autofree gchar *key = g_strconcat (a->name, ids[i].name, NULL);

    if (!gemma_config_get_int (w, key, 0, GEMMA_MAX_VOCAB, ids[i].id, error))
      return FALSE;
  }
  return read_text (&config->encoder, a, w, error);
}

/*
 * Of Gemma 3n, soft ids are the last ones: the vision embedder's rows, then the audio embedder's. Without an mmproj
 * their number is not in the file, but each range begins with the end-of token, followed by the soft token.
 */
static void
place_soft_ids (GemmaConfig *config)
{
  GemmaTextConfig *t = &config->text;
  gint first = t->vocab_size;

  if (config->has_audio)
    first = config->audio.vocab_offset = first - config->audio.vocab_size;
  if (config->has_vision)
    first = config->vision_vocab_offset = first - config->vision_vocab_size;
  if (config->eoa_id >= 0 && config->eoa_id == config->audio_token_id - 1)
    first = MIN (first, config->eoa_id);
  if (config->eoi_id >= 0 && config->eoi_id == config->image_token_id - 1)
    first = MIN (first, config->eoi_id);
  t->first_soft_id = first;
}

/* ---- mmproj --------------------------------------------------------------------- */

/* clip.<part>.projector_type; older files have one for all parts, clip.projector_type. */
static gboolean
check_projector (GemmaWeights *m, const gchar *key, const gchar *wanted, GError **error)
{
  if (!gemma_weights_has_key (m, key) && gemma_weights_has_key (m, "clip.projector_type"))
    return require_string (m, "clip.projector_type", wanted, error);
  return require_string (m, key, wanted, error);
}

static gboolean
check_projection (const GemmaConfig *config, GemmaWeights *m, const gchar *key, GError **error)
{
  gint width = config->text.hidden;

  if (!gemma_config_get_int (m, key, 1, GEMMA_MAX_WIDTH, &width, error))
    return FALSE;
  return width == config->text.hidden || gemma_config_fail (gemma_weights_get_path (m), GEMMA_ERROR_INVALID, error,
      "key %s is %d; the text model's width of %d is expected: the mmproj belongs to another model", key, width,
      config->text.hidden);
}

static gboolean
read_flag (GemmaWeights *w, const gchar *key, gboolean *flag, GError **error)
{
  return !gemma_weights_has_key (w, key) || gemma_weights_get_bool (w, key, flag, error);
}

static gboolean
read_audio (GemmaConfig *config, GemmaWeights *m, GError **error)
{
  GemmaAudioConfig *a = &config->audio;

  a->conv_channels[0] = dim_of (m, "a.conv1d.0.weight", 3, a->conv_channels[0]);
  a->conv_channels[1] = dim_of (m, "a.conv1d.1.weight", 3, a->conv_channels[1]);
  a->conv_kernel = dim_of (m, "a.blk.0.conv_dw.weight", 0, a->conv_kernel);
  a->vocab_size = dim_of (m, "mm.a.embedding.weight", 1, GEMMA_DEFAULT_MM_VOCAB);
  /* clip.audio.attention.layer_norm_epsilon is 1e-5 in converted files, which is not what the model has */
  if (!check_projector (m, AUDIO "projector_type", "gemma3na", error)
      || !check_projection (config, m, AUDIO "projection_dim", error)
      || !gemma_config_need_int (m, AUDIO "embedding_length", 2, GEMMA_MAX_WIDTH, &a->hidden, error)
      || !gemma_config_need_int (m, AUDIO "block_count", 1, GEMMA_MAX_LAYERS, &a->n_layers, error)
      || !gemma_config_need_int (m, AUDIO "attention.head_count", 1, GEMMA_MAX_HEADS, &a->n_heads, error)
      || !gemma_config_get_int (m, AUDIO "num_mel_bins", 4, 4096, &a->n_mels, error))
    return FALSE;
  return read_flag (m, "gemma.audio.pad_clip", &a->pad_clip, error) &&
      gemma_config_get_float (m, "gemma.audio.no_speech_threshold", 0, 1, &a->no_speech_threshold, error);
}

gboolean
gemma3n_config_read_gguf_vision (GemmaConfig *config, GemmaWeights *m, GError **error)
{
  gint ignored;

  config->vision_vocab_size = dim_of (m, "mm.embedding.weight", 1, GEMMA_DEFAULT_MM_VOCAB);
  return gemma_config_get_int (m, VISION "image_size", 1, 65536, &ignored, error)
      && gemma_config_get_int (m, VISION "patch_size", 1, 65536, &ignored, error)
      && gemma_config_get_int (m, VISION "spatial_merge_size", 1, 65536, &ignored, error);
}

static gboolean
has_part (GemmaWeights *m, const gchar *key, gboolean *has, GError **error)
{
  *has = FALSE;
  return !gemma_weights_has_key (m, key) || gemma_weights_get_bool (m, key, has, error);
}

/* @m may be the text model's own file. */
static gboolean
read_vision (GemmaConfig *config, const GemmaArchitecture *a, GemmaWeights *m, GError **error)
{
  return has_part (m, GEMMA_HAS_VISION, &config->has_vision, error)
      && (!config->has_vision || (check_projector (m, VISION "projector_type", a->projector, error)
              && check_projection (config, m, VISION "projection_dim", error)
              && a->read_gguf_vision (config, m, error)));
}

static gboolean
read_mmproj (GemmaConfig *config, const GemmaArchitecture *a, GemmaWeights *m, GError **error)
{
  return require_string (m, "general.architecture", "clip", error)
      && (!a->hears || has_part (m, "clip.has_audio_encoder", &config->has_audio, error))
      && (!config->has_audio || read_audio (config, m, error))
      && read_vision (config, a, m, error);
}

static gboolean
is_other_int (GemmaWeights *a, const gchar *key_a, GemmaWeights *b, const gchar *key_b)
{
  gint64 x, y;

  return gemma_weights_get_int (a, key_a, &x, NULL) && gemma_weights_get_int (b, key_b, &y, NULL) && x != y;
}

gboolean
gemma_config_mmproj_fits (GemmaWeights *weights, GemmaWeights *mmproj)
{
  const gchar *name = gemma_weights_get_string (weights, "general.architecture", NULL), *projector;
  const GemmaArchitecture *a = name ? gemma_architecture_find ("", "", name, TRUE, NULL) : NULL;
  g_autofree gchar *width = a ? text_key (&(GemmaTextConfig) { .prefix = "" }, a, "embedding_length") : NULL;

  if (!a)
    return TRUE;
  projector = gemma_weights_get_string (mmproj, VISION "projector_type", NULL);
  if (!projector)
    projector = gemma_weights_get_string (mmproj, "clip.projector_type", NULL);
  return (!projector || strcmp (projector, a->projector) == 0)
      && !is_other_int (weights, width, mmproj, VISION "projection_dim");
}

static gboolean
find_template (GemmaConfig *config, GemmaWeights *w, GError **error)
{
  static const gchar key[] = "tokenizer.chat_template";
  const gchar *text;

  if (!gemma_weights_has_key (w, key))
    return TRUE;
  text = gemma_weights_get_string (w, key, error);
  config->has_turns = text && strstr (text, GEMMA_TURN);
  return text != NULL;
}

/* How it is asked. */
static gboolean
read_manners (GemmaConfig *config, GemmaWeights *w, GError **error)
{
  return read_flag (w, "gemma.translation.examples", &config->wants_examples, error)
      && read_flag (w, "gemma.translation.chained", &config->translates_transcripts, error)
      && (!gemma_config_looks_for_template (config) || find_template (config, w, error));
}

gboolean
gemma_config_read_gguf (GemmaConfig *config, GemmaWeights *weights, GemmaWeights *mmproj, GError **error)
{
  const gchar *path = gemma_weights_get_path (weights);
  const gchar *name = gemma_weights_get_string (weights, "general.architecture", error);
  const GemmaArchitecture *a;

  if (!name || !(a = gemma_architecture_find (path, "key general.architecture", name, TRUE, error)))
    return FALSE;
  gemma_config_set_architecture (config, a);
  if (!read_text (&config->text, a, weights, error)
      || !read_encoder (config, a, weights, error)
      || !gemma_config_check_text (config, weights, path, error)
      || !read_tokens (config, weights, error)
      || !read_manners (config, weights, error)
      || !(mmproj ? read_mmproj (config, a, mmproj, error) : read_vision (config, a, weights, error)))
    return FALSE;
  if (a->place_soft_ids)
    a->place_soft_ids (config);
  else
    place_soft_ids (config);
  return config->text.first_soft_id > 0 || gemma_config_fail (gemma_weights_get_path (mmproj ? mmproj : weights),
      GEMMA_ERROR_INVALID, error, "tensors mm.a.embedding.weight and mm.embedding.weight have %d and %d rows, which "
      "leaves no id of the vocabulary of %d to text", config->audio.vocab_size, config->vision_vocab_size,
      config->text.vocab_size);
}
