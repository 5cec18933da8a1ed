/* What files say about SigLIP, the encoder of pictures of Gemma 3 and T5Gemma 2. */
#include "config-private.h"
#include "vision.h"
#include "weights-private.h"

#include <math.h>

#define VISION "clip.vision."
#define PATCHES "v.patch_embd.weight"
#define PROJECTION "mm.input_projection.weight"
#define MAX_IMAGE 8192
#define MAX_PATCH 64 /* of ocl_conv2d() */

/* SiglipVisionConfig's, for what a config.json leaves out. */
static const GemmaSiglipConfig defaults = { .image_size = 224, .patch_size = 16, .hidden = 768, .n_layers = 12,
  .n_heads = 12, .ffn = 3072, .norm_eps = 1e-6f, .mean = { .5f, .5f, .5f }, .std = { .5f, .5f, .5f } };

/* ---- Hugging Face --------------------------------------------------------------- */

static gboolean
read_numbers (GemmaSiglipConfig *s, const GemmaJsonObject *o, GError **error)
{
  return gemma_json_get_int (o, "image_size", 1, MAX_IMAGE, &s->image_size, error)
      && gemma_json_get_int (o, "patch_size", 1, MAX_PATCH, &s->patch_size, error)
      && gemma_json_get_int (o, "hidden_size", 1, GEMMA_MAX_WIDTH, &s->hidden, error)
      && gemma_json_get_int (o, "num_hidden_layers", 1, GEMMA_MAX_LAYERS, &s->n_layers, error)
      && gemma_json_get_int (o, "num_attention_heads", 1, GEMMA_MAX_HEADS, &s->n_heads, error)
      && gemma_json_get_int (o, "intermediate_size", 1, GEMMA_MAX_FFN, &s->ffn, error)
      && gemma_json_get_float (o, "layer_norm_eps", 0, 1, &s->norm_eps, error)
      && gemma_config_require_int (o, "num_channels", 3, error)
      && gemma_config_require_string (o, "hidden_act", "gelu_pytorch_tanh", error);
}

gboolean
gemma_siglip_config_read_hf (GemmaConfig *config, GemmaWeights *weights, const GemmaJsonObject *owner, GError **error)
{
  g_autofree gchar *prefix = g_strconcat (owner->prefix, "vision_config.", NULL);
  GemmaJsonObject vision;

  config->has_vision = gemma_weights_peek (weights, PATCHES) != NULL;
  if (!config->has_vision)
    return TRUE;
  config->siglip = defaults;
  return gemma_json_get_object (owner, "vision_config", prefix, &vision, error)
      && read_numbers (&config->siglip, &vision, error)
      && gemma_config_require_int (owner, "mm_tokens_per_image", GEMMA_VISION_TOKENS, error);
}

/* Three numbers, one a channel. */
static gboolean
read_channels (const GemmaJsonObject *o, const gchar *key, gdouble min, gdouble max, gfloat *values, GError **error)
{
  JsonArray *array = NULL;

  if (!gemma_json_get_array (o, key, &array, error))
    return FALSE;
  for (guint i = 0; array && i < 3; i++) {
    gdouble value;

    if (!gemma_config_get_element (o, key, array, i, 3, &value, error))
      return FALSE;
    if (!(value >= min && value <= max))
      return gemma_config_fail (o->file, GEMMA_ERROR_INVALID, error, "%s%s[%u] is %g; %g to %g are allowed", o->prefix,
          key, i, value, min, max);
    values[i] = value;
  }
  return TRUE;
}

gboolean
gemma_siglip_config_read_processor (GemmaConfig *config, const GemmaJsonObject *o, GError **error)
{
  GemmaSiglipConfig *s = &config->siglip;

  if (s->n_layers == 0)
    return TRUE;
  return gemma_config_require_bool (o, "do_resize", TRUE, error)
      && gemma_config_require_bool (o, "do_rescale", TRUE, error)
      && gemma_config_require_bool (o, "do_normalize", TRUE, error)
      && gemma_config_require_int (o, "resample", 2, error) /* PIL's BILINEAR */
      && read_channels (o, "image_mean", -10, 10, s->mean, error)
      && read_channels (o, "image_std", 1e-3, 1e3, s->std, error);
}

/* ---- GGUF ------------------------------------------------------------------------ */

static gboolean
get_channels (GemmaWeights *m, const gchar *key, gdouble min, gdouble max, gfloat *values, GError **error)
{
  g_autofree gdouble *all = NULL;

  if (!gemma_weights_has_key (m, key))
    return TRUE;
  all = gemma_weights_get_numbers (m, key, 3, error);
  if (all == NULL)
    return FALSE;
  for (guint i = 0; i < 3; i++) {
    if (!(all[i] >= min && all[i] <= max))
      return gemma_config_fail (gemma_weights_get_path (m), GEMMA_ERROR_INVALID, error,
          "key %s[%u] is %g; %g to %g are allowed", key, i, all[i], min, max);
    values[i] = all[i];
  }
  return TRUE;
}

gboolean
gemma_siglip_config_read_gguf (GemmaConfig *config, GemmaWeights *m, GError **error)
{
  GemmaSiglipConfig *s = &config->siglip;

  *s = defaults;
  return gemma_config_need_int (m, VISION "image_size", 1, MAX_IMAGE, &s->image_size, error)
      && gemma_config_need_int (m, VISION "patch_size", 1, MAX_PATCH, &s->patch_size, error)
      && gemma_config_need_int (m, VISION "embedding_length", 1, GEMMA_MAX_WIDTH, &s->hidden, error)
      && gemma_config_need_int (m, VISION "block_count", 1, GEMMA_MAX_LAYERS, &s->n_layers, error)
      && gemma_config_need_int (m, VISION "attention.head_count", 1, GEMMA_MAX_HEADS, &s->n_heads, error)
      && gemma_config_need_int (m, VISION "feed_forward_length", 1, GEMMA_MAX_FFN, &s->ffn, error)
      && gemma_config_get_float (m, VISION "attention.layer_norm_epsilon", 0, 1, &s->norm_eps, error)
      && get_channels (m, VISION "image_mean", -10, 10, s->mean, error)
      && get_channels (m, VISION "image_std", 1e-3, 1e3, s->std, error);
}

/* ---- checks ---------------------------------------------------------------------- */

static gboolean
check_sizes (const GemmaSiglipConfig *s, const gchar *path, GError **error)
{
  const gint side = (gint) sqrt (GEMMA_VISION_TOKENS), cell = s->patch_size * side;

  if (s->hidden % s->n_heads != 0)
    return gemma_config_fail (path, GEMMA_ERROR_INVALID, error, "the picture encoder's width of %d is not a multiple "
        "of its %d heads", s->hidden, s->n_heads);
  return s->image_size % cell == 0 || gemma_config_fail (path, GEMMA_ERROR_INVALID, error, "pictures of %d in patches "
      "of %d do not make %d soft tokens of whole patches: the size must be a multiple of %d", s->image_size,
      s->patch_size, GEMMA_VISION_TOKENS, cell);
}

/* The FFN is the loader's concern: files differ in what they call its halves. */
static gboolean
check_layer (const GemmaSiglipConfig *s, GemmaWeights *weights, gint i, GError **error)
{
  static const gchar *const rows[] = { "ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias", "attn_q.bias", "attn_k.bias",
    "attn_v.bias", "attn_out.bias" };
  static const gchar *const squares[] = { "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_out.weight" };

  for (guint k = 0; k < G_N_ELEMENTS (rows) + G_N_ELEMENTS (squares); k++) {
    gboolean is_row = k < G_N_ELEMENTS (rows);
    g_autofree gchar *name = g_strdup_printf ("v.blk.%d.%s", i, is_row ? rows[k] : squares[k - G_N_ELEMENTS (rows)]);

    if (!gemma_weights_check_shape (weights, name, is_row ? 1 : s->hidden, s->hidden, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
gemma_siglip_config_check (const GemmaConfig *config, GemmaWeights *weights, const gchar *path, GError **error)
{
  const GemmaSiglipConfig *s = &config->siglip;
  const gint64 grid = s->image_size / s->patch_size, patch = 3 * s->patch_size * s->patch_size;

  if (!check_sizes (s, path, error)
      || !gemma_weights_check_shape (weights, PATCHES, s->hidden, patch, error)
      || !gemma_weights_check_shape (weights, "v.patch_embd.bias", 1, s->hidden, error)
      || !gemma_weights_check_shape (weights, "v.position_embd.weight", grid * grid, s->hidden, error)
      || !gemma_weights_check_shape (weights, "v.post_ln.weight", 1, s->hidden, error)
      || !gemma_weights_check_shape (weights, "v.post_ln.bias", 1, s->hidden, error)
      || !gemma_weights_check_shape (weights, "mm.soft_emb_norm.weight", 1, s->hidden, error)
      || !gemma_weights_check_shape (weights, PROJECTION, s->hidden, config->text.hidden, error))
    return FALSE;
  for (gint i = 0; i < s->n_layers; i++)
    if (!check_layer (s, weights, i, error))
      return FALSE;
  return TRUE;
}
