/* What Gemma 3 has to itself in config.json and in GGUF metadata. */
#include "config-private.h"
#include "vision.h"

#include <math.h>

/* 27B is the one size whose scale is not of head_dim (query_pre_attn_scalar 168); GGUF has no key for it. */
#define N_LAYERS_27B 62

/* Gemma3TextConfig's: published files leave out what equals them. */
void
gemma3_config_set_defaults (GemmaTextConfig *t)
{
  t->vocab_size = 262208;
  t->hidden = 2304;
  t->n_layers = 26;
  t->n_heads = 8;
  t->n_kv_heads = 4;
  t->head_dim = 256;
  t->window = 4096;
  t->context_length = 131072;
  t->logit_softcap = 0;
}

gboolean
gemma3_config_read_hf (GemmaTextConfig *t, const GemmaJsonObject *o, GError **error)
{
  gfloat scalar = 256, softcap = 0;
  gint period = 6;

  if (!gemma_json_get_float (o, "query_pre_attn_scalar", 1e-6, 1e6, &scalar, error)
      || !gemma_json_get_float (o, "attn_logit_softcapping", 0, 1e6, &softcap, error)
      || !gemma_json_get_int (o, "_sliding_window_pattern", 1, GEMMA_MAX_LAYERS, &period, error)
      || !gemma_json_get_int (o, "sliding_window_pattern", 1, GEMMA_MAX_LAYERS, &period, error)
      || !gemma_config_require_bool (o, "use_bidirectional_attention", FALSE, error))
    return FALSE;
  if (softcap != 0)
    return gemma_config_fail (o->file, GEMMA_ERROR_UNSUPPORTED, error,
        "%sattn_logit_softcapping is %g; null is supported", o->prefix, softcap);
  t->attention_scale = 1 / sqrtf (scalar);
  for (gint i = 0; i < t->n_layers; i++)
    t->sliding[i] = (i + 1) % period != 0;
  return TRUE;
}

static gboolean
read_gguf_text (GemmaTextConfig *t, GemmaWeights *w, GError **error)
{
  t->attention_scale = 1 / sqrtf (t->n_layers == N_LAYERS_27B ? t->hidden / t->n_heads : t->head_dim);
  /* a model whose layers all have full attention has no window */
  for (gint i = 0; i < t->n_layers && !gemma_weights_has_key (w, "gemma3.attention.sliding_window"); i++)
    t->sliding[i] = FALSE;
  return TRUE;
}

/* The ids of pictures, in the names of this architecture. */
static gboolean
read_hf_parts (GemmaConfig *config, GemmaWeights *weights, const GemmaJsonObject *root, gboolean multimodal,
    GError **error)
{
  if (!multimodal)
    return TRUE;
  config->boi_id = 255999;
  config->eoi_id = 256000;
  config->image_token_id = 262144;
  if (!gemma_json_get_int (root, "boi_token_index", 0, GEMMA_MAX_VOCAB, &config->boi_id, error)
      || !gemma_json_get_int (root, "eoi_token_index", 0, GEMMA_MAX_VOCAB, &config->eoi_id, error)
      || !gemma_json_get_int (root, "image_token_index", 1, GEMMA_MAX_VOCAB, &config->image_token_id, error))
    return FALSE;
  return gemma_siglip_config_read_hf (config, weights, root, error);
}

/* The rows from the soft token on are not words. A GGUF may end before it: then it is right behind the words. */
static void
place_soft_ids (GemmaConfig *config)
{
  GemmaTextConfig *t = &config->text;

  if (config->image_token_id >= 0)
    t->first_soft_id = MIN (t->vocab_size, config->image_token_id);
  else if (config->has_vision)
    config->image_token_id = t->lone_soft_id = t->vocab_size;
  t->soft_run = config->has_vision ? GEMMA_VISION_TOKENS : 0;
}

const GemmaArchitecture gemma_architecture_gemma3 = {
  .name = "gemma3",
  .hf_type = "gemma3",
  .hf_text = "text_config",
  .hf_text_prefix = "text_config.",
  .hf_text_type = "gemma3_text",
  .sees = TRUE,
  .projector = "gemma3",
  .linear_rope = TRUE,
  .period = 6,
  .ffn = 9216,
  .set_defaults = gemma3_config_set_defaults,
  .read_hf_text = gemma3_config_read_hf,
  .read_gguf_text = read_gguf_text,
  .read_hf_parts = read_hf_parts,
  .read_gguf_vision = gemma_siglip_config_read_gguf,
  .place_soft_ids = place_soft_ids,
};
