#include "weights-private.h"

#include <string.h>

/*
 * Hugging Face names without their prefix (see strip_prefix()), and GGUF's. A '#' stands for a number, the
 * same on both sides.
 */
static const struct
{
  const gchar *hf, *gguf;
} names[] = {
  /* T5Gemma 2's; the rest of its layers has Gemma 3's names behind a prefix, see parts[] */
  { "encoder.embed_tokens.eoi_embedding", "eoi_embd.weight" },
  { "encoder.layers.#.pre_self_attn_layernorm.weight", "enc.blk.#.attn_norm.weight" },
  { "encoder.layers.#.post_self_attn_layernorm.weight", "enc.blk.#.post_attention_norm.weight" },
  { "decoder.layers.#.pre_self_attn_layernorm.weight", "dec.blk.#.attn_norm.weight" },
  { "decoder.layers.#.post_self_attn_layernorm.weight", "dec.blk.#.post_attention_norm.weight" },
  /* text */
  { "embed_tokens.weight", "token_embd.weight" },
  { "encoder.embed_tokens.weight", "token_embd.weight" },
  { "embed_tokens_per_layer.weight", "per_layer_token_embd.weight" },
  { "per_layer_model_projection.weight", "per_layer_model_proj.weight" },
  { "per_layer_projection_norm.weight", "per_layer_proj_norm.weight" },
  { "norm.weight", "output_norm.weight" },
  { "lm_head.weight", "output.weight" },
  { "altup_projections.#.weight", "altup_proj.#.weight" },
  { "altup_unembed_projections.#.weight", "altup_unembd_proj.#.weight" },
  { "layers.#.altup.correct_output_scale", "blk.#.altup_correct_scale.weight" },
  { "layers.#.altup.correction_coefs.weight", "blk.#.altup_correct_coef.weight" },
  { "layers.#.altup.modality_router.weight", "blk.#.altup_router.weight" },
  { "layers.#.altup.prediction_coefs.weight", "blk.#.altup_predict_coef.weight" },
  { "layers.#.altup.router_norm.weight", "blk.#.altup_router_norm.weight" },
  { "layers.#.input_layernorm.weight", "blk.#.attn_norm.weight" },
  { "layers.#.laurel.linear_left.weight", "blk.#.laurel_l.weight" },
  { "layers.#.laurel.linear_right.weight", "blk.#.laurel_r.weight" },
  { "layers.#.laurel.post_laurel_norm.weight", "blk.#.laurel_post_norm.weight" },
  { "layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight" },
  { "layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight" },
  { "layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight" },
  { "layers.#.per_layer_input_gate.weight", "blk.#.inp_gate.weight" },
  { "layers.#.per_layer_projection.weight", "blk.#.proj.weight" },
  { "layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight" },
  { "layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight" },
  { "layers.#.post_per_layer_input_norm.weight", "blk.#.post_norm.weight" },
  { "layers.#.pre_feedforward_layernorm.weight", "blk.#.ffn_norm.weight" },
  { "layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight" },
  { "layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight" },
  { "layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight" },
  { "layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight" },
  { "layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight" },
  { "layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight" },
  /* audio; ffn_* is the half step at the start, *_1 the one at the end */
  { "audio_tower.conformer.#.attention.attn.k_proj.weight", "a.blk.#.attn_k.weight" },
  { "audio_tower.conformer.#.attention.attn.per_dim_scale", "a.blk.#.per_dim_scale" },
  { "audio_tower.conformer.#.attention.attn.q_proj.weight", "a.blk.#.attn_q.weight" },
  { "audio_tower.conformer.#.attention.attn.relative_position_embedding.pos_proj.weight",
        "a.blk.#.linear_pos.weight" },
  { "audio_tower.conformer.#.attention.attn.v_proj.weight", "a.blk.#.attn_v.weight" },
  { "audio_tower.conformer.#.attention.post.weight", "a.blk.#.attn_out.weight" },
  { "audio_tower.conformer.#.attention.post_norm.weight", "a.blk.#.ln2.weight" },
  { "audio_tower.conformer.#.attention.pre_attn_norm.weight", "a.blk.#.ln1.weight" },
  { "audio_tower.conformer.#.ffw_layer_end.ffw_layer_1.weight", "a.blk.#.ffn_up_1.weight" },
  { "audio_tower.conformer.#.ffw_layer_end.ffw_layer_2.weight", "a.blk.#.ffn_down_1.weight" },
  { "audio_tower.conformer.#.ffw_layer_end.post_layer_norm.weight", "a.blk.#.ffn_post_norm_1.weight" },
  { "audio_tower.conformer.#.ffw_layer_end.pre_layer_norm.weight", "a.blk.#.ffn_norm_1.weight" },
  { "audio_tower.conformer.#.ffw_layer_start.ffw_layer_1.weight", "a.blk.#.ffn_up.weight" },
  { "audio_tower.conformer.#.ffw_layer_start.ffw_layer_2.weight", "a.blk.#.ffn_down.weight" },
  { "audio_tower.conformer.#.ffw_layer_start.post_layer_norm.weight", "a.blk.#.ffn_post_norm.weight" },
  { "audio_tower.conformer.#.ffw_layer_start.pre_layer_norm.weight", "a.blk.#.ffn_norm.weight" },
  { "audio_tower.conformer.#.lconv1d.conv_norm.weight", "a.blk.#.norm_conv.weight" },
  { "audio_tower.conformer.#.lconv1d.depthwise_conv1d.weight", "a.blk.#.conv_dw.weight" },
  { "audio_tower.conformer.#.lconv1d.linear_end.weight", "a.blk.#.conv_pw2.weight" },
  { "audio_tower.conformer.#.lconv1d.linear_start.weight", "a.blk.#.conv_pw1.weight" },
  { "audio_tower.conformer.#.lconv1d.pre_layer_norm.weight", "a.blk.#.conv_norm.weight" },
  { "audio_tower.conformer.#.norm.weight", "a.blk.#.layer_pre_norm.weight" },
  { "audio_tower.subsample_conv_projection.conv_#.conv.weight", "a.conv1d.#.weight" },
  { "audio_tower.subsample_conv_projection.conv_#.norm.weight", "a.conv1d.#.norm.weight" },
  { "audio_tower.subsample_conv_projection.input_proj_linear.weight", "a.pre_encode.out.weight" },
  /* SigLIP */
  { "vision_tower.vision_model.embeddings.patch_embedding.weight", "v.patch_embd.weight" },
  { "vision_tower.vision_model.embeddings.patch_embedding.bias", "v.patch_embd.bias" },
  { "vision_tower.vision_model.embeddings.position_embedding.weight", "v.position_embd.weight" },
  { "vision_tower.vision_model.encoder.layers.#.layer_norm1.weight", "v.blk.#.ln1.weight" },
  { "vision_tower.vision_model.encoder.layers.#.layer_norm1.bias", "v.blk.#.ln1.bias" },
  { "vision_tower.vision_model.encoder.layers.#.layer_norm2.weight", "v.blk.#.ln2.weight" },
  { "vision_tower.vision_model.encoder.layers.#.layer_norm2.bias", "v.blk.#.ln2.bias" },
  { "vision_tower.vision_model.encoder.layers.#.mlp.fc1.weight", "v.blk.#.ffn_up.weight" },
  { "vision_tower.vision_model.encoder.layers.#.mlp.fc1.bias", "v.blk.#.ffn_up.bias" },
  { "vision_tower.vision_model.encoder.layers.#.mlp.fc2.weight", "v.blk.#.ffn_down.weight" },
  { "vision_tower.vision_model.encoder.layers.#.mlp.fc2.bias", "v.blk.#.ffn_down.bias" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.k_proj.weight", "v.blk.#.attn_k.weight" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.k_proj.bias", "v.blk.#.attn_k.bias" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.out_proj.weight", "v.blk.#.attn_out.weight" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.out_proj.bias", "v.blk.#.attn_out.bias" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.q_proj.weight", "v.blk.#.attn_q.weight" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.q_proj.bias", "v.blk.#.attn_q.bias" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.v_proj.weight", "v.blk.#.attn_v.weight" },
  { "vision_tower.vision_model.encoder.layers.#.self_attn.v_proj.bias", "v.blk.#.attn_v.bias" },
  { "vision_tower.vision_model.post_layernorm.weight", "v.post_ln.weight" },
  { "vision_tower.vision_model.post_layernorm.bias", "v.post_ln.bias" },
  /* embedders */
  { "embed_audio.embedding.weight", "mm.a.embedding.weight" },
  { "embed_audio.embedding_projection.weight", "mm.a.input_projection.weight" },
  { "embed_audio.hard_embedding_norm.weight", "mm.a.hard_emb_norm.weight" },
  { "embed_audio.soft_embedding_norm.weight", "mm.a.soft_emb_norm.weight" },
  { "embed_vision.embedding.weight", "mm.embedding.weight" },
  { "embed_vision.embedding_projection.weight", "mm.input_projection.weight" },
  { "embed_vision.hard_embedding_norm.weight", "mm.hard_emb_norm.weight" },
  { "embed_vision.soft_embedding_norm.weight", "mm.soft_emb_norm.weight" },
  /* SigLIP's */
  { "multi_modal_projector.mm_input_projection_weight", "mm.input_projection.weight" },
  { "multi_modal_projector.mm_soft_emb_norm.weight", "mm.soft_emb_norm.weight" },
};

/* Of an encoder-decoder. */
static const struct
{
  const gchar *hf, *gguf;
} parts[] = { { "encoder.", "enc." }, { "decoder.", "dec." } };

/* Gemma 3n's vision tower keeps its names behind other prefixes. */
#define HF_VISION_BLOCKS "vision_tower.timm_model.blocks."
#define HF_VISION "vision_tower.timm_model."
#define GGUF_VISION_BLOCKS "v.blk."
#define GGUF_VISION "v."
/* What transformers calls T5Gemma 2's encoder in memory; files have it without the second word. */
#define HF_TEXT_ENCODER "encoder.text_model."
/* What reads pictures is its encoder's, in Gemma 3 nobody's; and newer files have no word between the two. */
#define HF_TOWER "vision_tower."
#define HF_SIGLIP "vision_tower.vision_model."
#define HF_PROJECTOR "multi_modal_projector."

/* Applies @to to the number that @from has in @name; NULL if @name is not of that form. */
static gchar *
rename_with (const gchar *name, const gchar *from, const gchar *to)
{
  const gchar *hash = strchr (from, '#'), *digits, *to_hash;
  gsize head, n;

  if (hash == NULL)
    return strcmp (name, from) == 0 ? g_strdup (to) : NULL;
  head = hash - from;
  if (strncmp (name, from, head) != 0)
    return NULL;
  digits = name + head;
  n = strspn (digits, "0123456789");
  if (n == 0 || n > 6 || strcmp (digits + n, hash + 1) != 0)
    return NULL;
  to_hash = strchr (to, '#');
  return g_strdup_printf ("%.*s%.*s%s", (gint) (to_hash - to), to, (gint) n, digits, to_hash + 1);
}

static const gchar *
without (const gchar *name, const gchar *prefix)
{
  return g_str_has_prefix (name, prefix) ? name + strlen (prefix) : name;
}

/* "model.language_model.layers", "language_model.model.layers" and "model.layers" have all been written. */
static const gchar *
strip_prefix (const gchar *name)
{
  name = without (name, "model.");
  name = without (name, "language_model.");
  return without (name, "model.");
}

/* The first of the table; NULL for what it does not have. */
static gchar *
find_gguf (const gchar *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    gchar *found = rename_with (name, names[i].hf, names[i].gguf);
    if (found)
      return found;
  }
  return NULL;
}

static gchar *
find_hf (const gchar *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    gchar *found = rename_with (name, names[i].gguf, names[i].hf);
    if (found)
      return found;
  }
  return NULL;
}

/* The same behind the prefix of a part. */
static gchar *
find_gguf_of_part (const gchar *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree gchar *found = NULL;

    if (g_str_has_prefix (name, parts[i].hf) && (found = find_gguf (name + strlen (parts[i].hf))))
      return g_strconcat (parts[i].gguf, found, NULL);
  }
  return NULL;
}

static gchar *
find_hf_of_part (const gchar *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree gchar *found = NULL;

    if (g_str_has_prefix (name, parts[i].gguf) && (found = find_hf (name + strlen (parts[i].gguf))))
      return g_strconcat (parts[i].hf, found, NULL);
  }
  return NULL;
}

/* SigLIP's name as the table has it; NULL for what is not of it. */
static gchar *
normalize_siglip (const gchar *rest)
{
  rest = without (rest, "encoder.");
  if (g_str_has_prefix (rest, HF_PROJECTOR) || g_str_has_prefix (rest, HF_SIGLIP))
    return g_strdup (rest);
  return g_str_has_prefix (rest, HF_TOWER) ? g_strconcat (HF_SIGLIP, rest + strlen (HF_TOWER), NULL) : NULL;
}

gchar *
gemma_name_from_hf (const gchar *name)
{
  const gchar *rest = strip_prefix (name);
  g_autofree gchar *whole = NULL;
  gchar *found;

  if (g_str_has_prefix (rest, HF_VISION_BLOCKS))
    return g_strconcat (GGUF_VISION_BLOCKS, rest + strlen (HF_VISION_BLOCKS), NULL);
  if (g_str_has_prefix (rest, HF_VISION))
    return g_strconcat (GGUF_VISION, rest + strlen (HF_VISION), NULL);
  if (g_str_has_prefix (rest, HF_TEXT_ENCODER))
    rest = whole = g_strconcat ("encoder.", rest + strlen (HF_TEXT_ENCODER), NULL);
  else if ((whole = normalize_siglip (rest)))
    rest = whole;
  found = find_gguf (rest);
  found = found ? found : find_gguf_of_part (rest);
  return found ? found : g_strdup (name);
}

gchar *
gemma_name_to_hf (const gchar *name)
{
  static const gchar *const outside[] = { "audio_tower.", "embed_audio.", "embed_vision.", "encoder.", "decoder.",
    HF_TOWER, HF_PROJECTOR };
  g_autofree gchar *found = find_hf (name);

  if (found == NULL && g_str_has_prefix (name, GGUF_VISION_BLOCKS))
    return g_strconcat ("model." HF_VISION_BLOCKS, name + strlen (GGUF_VISION_BLOCKS), NULL);
  if (found == NULL && g_str_has_prefix (name, GGUF_VISION))
    return g_strconcat ("model." HF_VISION, name + strlen (GGUF_VISION), NULL);
  if (found == NULL)
    found = find_hf_of_part (name);
  if (found == NULL)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (outside); i++)
    if (g_str_has_prefix (found, outside[i]))
      return g_strconcat ("model.", found, NULL);
  return g_strconcat ("model.language_model.", found, NULL);
}
