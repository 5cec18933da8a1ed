/* What T5Gemma 2 has to itself in config.json and in GGUF metadata. Its encoder and its decoder are each described as
 * a Gemma 3 is. */
#include "config-private.h"

#include <math.h>

/* encoder.text_config */
static gboolean
find_hf_encoder (const GemmaJsonObject *root, GemmaJsonObject *text, GError **error)
{
  GemmaJsonObject encoder;

  return gemma_json_get_object (root, "encoder", "encoder.", &encoder, error)
      && gemma_json_get_object (&encoder, "text_config", "encoder.text_config.", text, error);
}

static gboolean
read_gguf_text (GemmaTextConfig *t, GemmaWeights *w, GError **error)
{
  g_autofree gchar *key = g_strconcat ("t5gemma2.", t->prefix, "attention.scale", NULL);

  t->attention_scale = 1 / sqrtf (t->head_dim);
  return gemma_config_get_float (w, key, 1e-6, 1e6, &t->attention_scale, error);
}

/* The ids of pictures; their soft tokens take the place of an id amid the words'. */
static gboolean
read_hf_parts (GemmaConfig *config, GemmaWeights *weights, const GemmaJsonObject *root, gboolean multimodal,
    GError **error)
{
  GemmaJsonObject encoder;

  config->boi_id = 255999;
  config->eoi_id = 256000;
  config->image_token_id = 256001;
  return gemma_json_get_object (root, "encoder", "encoder.", &encoder, error)
      && gemma_json_get_int (&encoder, "boi_token_index", 0, GEMMA_MAX_VOCAB, &config->boi_id, error)
      && gemma_json_get_int (&encoder, "eoi_token_index", 0, GEMMA_MAX_VOCAB, &config->eoi_id, error)
      && gemma_json_get_int (root, "image_token_index", 0, GEMMA_MAX_VOCAB, &config->image_token_id, error)
      && gemma_siglip_config_read_hf (config, weights, &encoder, error);
}

static void
place_soft_ids (GemmaConfig *config)
{
  if (config->has_vision)
    config->text.lone_soft_id = config->image_token_id;
}

const GemmaArchitecture gemma_architecture_t5gemma2 = {
  .name = "t5gemma2",
  .hf_type = "t5gemma2",
  .hf_text = "decoder",
  .hf_text_prefix = "decoder.",
  .sees = TRUE,
  .projector = "gemma3",
  .never_turns = TRUE,
  .linear_rope = TRUE,
  .period = 6,
  .ffn = 9216,
  .find_hf_encoder = find_hf_encoder,
  .set_defaults = gemma3_config_set_defaults,
  .read_hf_text = gemma3_config_read_hf,
  .read_gguf_text = read_gguf_text,
  .read_hf_parts = read_hf_parts,
  .read_gguf_vision = gemma_siglip_config_read_gguf,
  .place_soft_ids = place_soft_ids,
};
