#include "fixture.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "models/weights-private.h"

/* Text: 4 layers of 2 heads, the last 2 without K and V; 48 tokens of text, 8 of vision, 8 of audio. */
#define HIDDEN 32
#define LAYERS 4
#define HEAD 16
#define PLE 8
#define VOCAB 64
#define VISION0 48
#define AUDIO0 56
#define AUDIO 16                /* the encoder's width: one layer, 2 heads, 8 mel bands, 4 and 2 channels */
#define VISION 16

static void
add (Image *image, guint32 type, const gchar *name, gint layer, gint64 d0, gint64 d1, gint64 d2, gint64 d3)
{
  const gint64 dims[4] = { d0, d1, d2, d3 };
  g_autofree gchar *full = layer < 0 ? g_strdup (name) : g_strdup_printf (
      g_str_has_prefix (name, "a.") ? "a.blk.%d.%s" : "blk.%d.%s", layer,
      g_str_has_prefix (name, "a.") ? name + 2 : name);

  image_add (image, full, type, d3 ? 4 : d2 ? 3 : d1 ? 2 : 1, dims);
}

static void
add_layer (Image *image, gint i)
{
  const gint h = HIDDEN;

  add (image, GGML_F32, "altup_correct_scale.weight", i, h, 0, 0, 0);
  add (image, GGML_F32, "altup_correct_coef.weight", i, 4, 4, 0, 0);
  add (image, GGML_BF16, "altup_router.weight", i, h, 4, 0, 0);
  add (image, GGML_F32, "altup_predict_coef.weight", i, 4, 16, 0, 0);
  add (image, GGML_F32, "altup_router_norm.weight", i, h, 0, 0, 0);
  add (image, GGML_F32, "attn_norm.weight", i, h, 0, 0, 0);
  add (image, GGML_F16, "laurel_l.weight", i, h, 4, 0, 0);
  add (image, GGML_F16, "laurel_r.weight", i, 4, h, 0, 0);
  add (image, GGML_F32, "laurel_post_norm.weight", i, h, 0, 0, 0);
  add (image, GGML_Q4_0, "ffn_down.weight", i, 32, h, 0, 0);
  add (image, GGML_Q8_0, "ffn_gate.weight", i, h, 32, 0, 0);
  add (image, GGML_Q4_0, "ffn_up.weight", i, h, 32, 0, 0);
  add (image, GGML_BF16, "inp_gate.weight", i, h, PLE, 0, 0);
  add (image, GGML_BF16, "proj.weight", i, PLE, h, 0, 0);
  add (image, GGML_F32, "post_attention_norm.weight", i, h, 0, 0, 0);
  add (image, GGML_F32, "post_ffw_norm.weight", i, h, 0, 0, 0);
  add (image, GGML_F32, "post_norm.weight", i, h, 0, 0, 0);
  add (image, GGML_F32, "ffn_norm.weight", i, h, 0, 0, 0);
  add (image, GGML_F32, "attn_k_norm.weight", i, HEAD, 0, 0, 0);
  add (image, GGML_F16, "attn_k.weight", i, h, HEAD, 0, 0);
  add (image, GGML_F16, "attn_output.weight", i, 2 * HEAD, h, 0, 0);
  add (image, GGML_F32, "attn_q_norm.weight", i, HEAD, 0, 0, 0);
  add (image, GGML_Q8_0, "attn_q.weight", i, h, 2 * HEAD, 0, 0);
  add (image, GGML_F16, "attn_v.weight", i, h, HEAD, 0, 0);
}

static void
add_tokens (Image *image)
{
  const gchar *tokens[VOCAB];
  gfloat scores[VOCAB] = { 0 };
  gint32 types[VOCAB];
  gchar *made[VOCAB];

  for (guint i = 0; i < VOCAB; i++) {
    tokens[i] = made[i] = g_strdup_printf ("piece%u", i);
    types[i] = 1;
    scores[i] = -(gfloat) i;
  }
  tokens[0] = "<pad>";
  tokens[1] = "<eos>";
  tokens[2] = "<bos>";
  tokens[3] = "<unk>";
  tokens[6] = "<end_of_turn>";
  tokens[VISION0 - 2] = "<start_of_image>";
  tokens[VISION0 - 1] = "<start_of_audio>";
  tokens[VISION0] = "<end_of_image>";
  tokens[VISION0 + 1] = "<image_soft_token>";
  tokens[AUDIO0] = "<end_of_audio>";
  tokens[AUDIO0 + 1] = "<audio_soft_token>";
  image_set_strings (image, "tokenizer.ggml.tokens", tokens, VOCAB);
  image_set_array (image, "tokenizer.ggml.scores", KV_F32, scores, sizeof scores[0], VOCAB);
  image_set_array (image, "tokenizer.ggml.token_type", KV_I32, types, sizeof types[0], VOCAB);
  for (guint i = 0; i < VOCAB; i++)
    g_free (made[i]);
}

Image *
fixture_text (void)
{
  static const gint32 ffn[LAYERS] = { 32, 32, 32, 32 };
  static const guint8 sliding[LAYERS] = { 1, 0, 1, 0 };
  const gfloat none = -(gfloat) INFINITY, sparsity[LAYERS] = { 1.6448536f, none, none, none };
  Image *image = image_new ();

  image_set_string (image, "general.architecture", "gemma3n");
  image_set_u32 (image, "gemma3n.block_count", LAYERS);
  image_set_u32 (image, "gemma3n.context_length", 128);
  image_set_u32 (image, "gemma3n.embedding_length", HIDDEN);
  image_set_array (image, "gemma3n.feed_forward_length", KV_I32, ffn, sizeof ffn[0], LAYERS);
  image_set_u32 (image, "gemma3n.attention.head_count", 2);
  image_set_u32 (image, "gemma3n.attention.head_count_kv", 1);
  image_set_f32 (image, "gemma3n.rope.freq_base", 1e6f);
  image_set_f32 (image, "gemma3n.rope.freq_base_swa", 1e4f);
  image_set_f32 (image, "gemma3n.attention.layer_norm_rms_epsilon", 1e-6f);
  image_set_u32 (image, "gemma3n.attention.key_length", HEAD);
  image_set_u32 (image, "gemma3n.attention.value_length", HEAD);
  image_set_f32 (image, "gemma3n.final_logit_softcapping", 30);
  image_set_u32 (image, "gemma3n.attention.sliding_window", 8);
  image_set_u32 (image, "gemma3n.altup.active_idx", 0);
  image_set_u32 (image, "gemma3n.altup.num_inputs", 4);
  image_set_u32 (image, "gemma3n.embedding_length_per_layer_input", PLE);
  image_set_u32 (image, "gemma3n.attention.shared_kv_layers", 2);
  image_set_array (image, "gemma3n.activation_sparsity_scale", KV_F32, sparsity, sizeof sparsity[0], LAYERS);
  image_set_array (image, "gemma3n.attention.sliding_window_pattern", KV_BOOL, sliding, 1, LAYERS);
  add_tokens (image);
  image_set_u32 (image, "tokenizer.ggml.bos_token_id", 2);
  image_set_u32 (image, "tokenizer.ggml.eos_token_id", 1);
  image_set_u32 (image, "tokenizer.ggml.padding_token_id", 0);
  image_set_u32 (image, "general.alignment", 32);

  add (image, GGML_BF16, "altup_proj.weight", -1, HIDDEN, HIDDEN, 3, 0);
  add (image, GGML_F16, "altup_unembd_proj.weight", -1, HIDDEN, HIDDEN, 3, 0);
  add (image, GGML_BF16, "token_embd.weight", -1, HIDDEN, VOCAB, 0, 0);
  add (image, GGML_Q8_0, "per_layer_token_embd.weight", -1, PLE * LAYERS, VOCAB, 0, 0);
  add (image, GGML_F32, "output_norm.weight", -1, HIDDEN, 0, 0, 0);
  add (image, GGML_BF16, "per_layer_model_proj.weight", -1, HIDDEN, PLE * LAYERS, 0, 0);
  add (image, GGML_F32, "per_layer_proj_norm.weight", -1, PLE, 0, 0, 0);
  for (gint i = 0; i < LAYERS; i++)
    add_layer (image, i);
  return image;
}

Image *
fixture_gemma3 (void)
{
  Image *image = image_new ();

  image_set_string (image, "general.architecture", "gemma3");
  image_set_u32 (image, "gemma3.block_count", LAYERS);
  image_set_u32 (image, "gemma3.context_length", 128);
  image_set_u32 (image, "gemma3.embedding_length", HIDDEN);
  image_set_u32 (image, "gemma3.feed_forward_length", 32);
  image_set_u32 (image, "gemma3.attention.head_count", 2);
  image_set_u32 (image, "gemma3.attention.head_count_kv", 1);
  image_set_u32 (image, "gemma3.attention.key_length", HEAD);
  image_set_u32 (image, "gemma3.attention.value_length", HEAD);
  image_set_u32 (image, "gemma3.attention.sliding_window", 8);
  image_set_u32 (image, "gemma3.attention.sliding_window_pattern", 2);
  image_set_string (image, "gemma3.rope.scaling.type", "linear");
  image_set_f32 (image, "gemma3.rope.scaling.factor", 8);
  add_tokens (image);
  image_set_u32 (image, "tokenizer.ggml.bos_token_id", 2);
  image_set_u32 (image, "tokenizer.ggml.eos_token_id", 1);
  image_set_string (image, "tokenizer.chat_template", "{{ bos_token }}<start_of_turn>user");
  add (image, GGML_BF16, "token_embd.weight", -1, HIDDEN, VOCAB, 0, 0);
  return image;
}

Image *
fixture_t5gemma2 (void)
{
  static const struct
  {
    const gchar *key;
    guint32 value;
  } numbers[] = {
    { "enc.block_count", 4 }, { "enc.context_length", 128 }, { "enc.embedding_length", HIDDEN },
    { "enc.feed_forward_length", 32 }, { "enc.attention.head_count", 4 }, { "enc.attention.head_count_kv", 2 },
    { "enc.attention.key_length", 8 }, { "enc.attention.value_length", 8 }, { "enc.attention.sliding_window", 8 },
    { "enc.attention.sliding_window_pattern", 2 }, { "dec.block_count", 2 }, { "dec.context_length", 96 },
    { "dec.embedding_length", HIDDEN }, { "dec.feed_forward_length", 48 }, { "dec.attention.head_count", 2 },
    { "dec.attention.head_count_kv", 1 }, { "dec.attention.key_length", 16 }, { "dec.attention.value_length", 16 },
    { "dec.attention.sliding_window", 4 }, { "dec.attention.sliding_window_pattern", 2 },
    { "decoder_start_token_id", 2 }, { "boi_token_id", 48 }, { "eoi_token_id", 49 }, { "image_token_id", 50 },
  };
  Image *image = image_new ();

  image_set_string (image, "general.architecture", "t5gemma2");
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    g_autofree gchar *key = g_strconcat ("t5gemma2.", numbers[i].key, NULL);
    image_set_u32 (image, key, numbers[i].value);
  }
  image_set_string (image, "t5gemma2.enc.rope.scaling.type", "linear");
  image_set_f32 (image, "t5gemma2.enc.rope.scaling.factor", 8);
  image_set_f32 (image, "t5gemma2.enc.attention.scale", 0.25f);
  image_set_f32 (image, "t5gemma2.dec.attention.scale", 0.125f);
  add_tokens (image);
  image_set_u32 (image, "tokenizer.ggml.bos_token_id", 2);
  image_set_u32 (image, "tokenizer.ggml.eos_token_id", 1);
  image_set_string (image, "tokenizer.chat_template", "{{ bos_token }}<start_of_turn>user");
  add (image, GGML_BF16, "token_embd.weight", -1, HIDDEN, VOCAB, 0, 0);
  return image;
}

static void
add_conformer (Image *image)
{
  static const gchar *const norms[] = { "a.ln1.weight", "a.ln2.weight", "a.ffn_norm.weight", "a.ffn_post_norm.weight",
    "a.ffn_norm_1.weight", "a.ffn_post_norm_1.weight", "a.conv_norm.weight", "a.norm_conv.weight",
    "a.layer_pre_norm.weight"
  };
  static const gchar *const squares[] = { "a.attn_q.weight", "a.attn_k.weight", "a.attn_v.weight", "a.attn_out.weight",
    "a.linear_pos.weight", "a.conv_pw2.weight"
  };
  const gint h = AUDIO;

  for (guint k = 0; k < G_N_ELEMENTS (norms); k++)
    add (image, GGML_F32, norms[k], 0, h, 0, 0, 0);
  for (guint k = 0; k < G_N_ELEMENTS (squares); k++)
    add (image, GGML_F16, squares[k], 0, h, h, 0, 0);
  add (image, GGML_F32, "a.per_dim_scale", 0, h / 2, 0, 0, 0);
  add (image, GGML_F16, "a.ffn_up.weight", 0, h, 4 * h, 0, 0);
  add (image, GGML_Q8_0, "a.ffn_down.weight", 0, 4 * h, h, 0, 0);
  add (image, GGML_F16, "a.ffn_up_1.weight", 0, h, 4 * h, 0, 0);
  add (image, GGML_Q8_0, "a.ffn_down_1.weight", 0, 4 * h, h, 0, 0);
  add (image, GGML_F16, "a.conv_pw1.weight", 0, h, 2 * h, 0, 0);
  add (image, GGML_F32, "a.conv_dw.weight", 0, 5, 1, h, 0);
}

Image *
fixture_mmproj (void)
{
  Image *image = image_new ();

  image_set_string (image, "general.architecture", "clip");
  image_set_bool (image, "clip.has_vision_encoder", TRUE);
  image_set_bool (image, "clip.has_audio_encoder", TRUE);
  image_set_string (image, "clip.vision.projector_type", "gemma3nv");
  image_set_string (image, "clip.audio.projector_type", "gemma3na");
  image_set_u32 (image, "clip.vision.projection_dim", HIDDEN);
  image_set_u32 (image, "clip.audio.projection_dim", HIDDEN);
  image_set_u32 (image, "clip.vision.image_size", 768);
  image_set_u32 (image, "clip.vision.patch_size", 3);
  image_set_u32 (image, "clip.vision.spatial_merge_size", 2);
  image_set_u32 (image, "clip.audio.embedding_length", AUDIO);
  image_set_u32 (image, "clip.audio.block_count", 1);
  image_set_u32 (image, "clip.audio.attention.head_count", 2);
  image_set_u32 (image, "clip.audio.num_mel_bins", 8);
  image_set_f32 (image, "clip.audio.attention.layer_norm_epsilon", 1e-5f);

  add_conformer (image);
  add (image, GGML_F32, "a.conv1d.0.weight", -1, 3, 3, 1, 4);
  add (image, GGML_F32, "a.conv1d.0.norm.weight", -1, 4, 0, 0, 0);
  add (image, GGML_F32, "a.conv1d.1.weight", -1, 3, 3, 4, 2);
  add (image, GGML_F32, "a.conv1d.1.norm.weight", -1, 2, 0, 0, 0);
  add (image, GGML_F16, "a.pre_encode.out.weight", -1, 4, AUDIO, 0, 0);
  add (image, GGML_F16, "mm.a.embedding.weight", -1, AUDIO, VOCAB - AUDIO0, 0, 0);
  add (image, GGML_F16, "mm.a.input_projection.weight", -1, AUDIO, HIDDEN, 0, 0);
  add (image, GGML_F32, "mm.a.hard_emb_norm.weight", -1, AUDIO, 0, 0, 0);
  add (image, GGML_F32, "mm.a.soft_emb_norm.weight", -1, AUDIO, 0, 0, 0);
  add (image, GGML_F16, "mm.embedding.weight", -1, VISION, AUDIO0 - VISION0, 0, 0);
  add (image, GGML_F16, "mm.input_projection.weight", -1, VISION, HIDDEN, 0, 0);
  add (image, GGML_F32, "mm.hard_emb_norm.weight", -1, VISION, 0, 0, 0);
  add (image, GGML_F32, "mm.soft_emb_norm.weight", -1, VISION, 0, 0, 0);
  add (image, GGML_F32, "v.blk.1.0.layer_scale.gamma", -1, 1, 1, 6, 1);
  add (image, GGML_F32, "v.conv_stem.conv.bias", -1, 1, 1, 5, 1);
  add (image, GGML_F32, "v.msfa.ffn.pw_exp.bn.weight", -1, 12, 0, 0, 0);
  add (image, GGML_F16, "v.msfa.ffn.pw_exp.conv.weight", -1, 1, 1, 10, 12);
  add (image, GGML_F32, "v.msfa.ffn.pw_proj.bn.weight", -1, VISION, 0, 0, 0);
  add (image, GGML_F16, "v.msfa.ffn.pw_proj.conv.weight", -1, 1, 1, 12, VISION);
  add (image, GGML_F32, "v.msfa.norm.weight", -1, VISION, 0, 0, 0);
  return image;
}

/* ---- Hugging Face --------------------------------------------------------------- */

const gchar *
fixture_config (void)
{
  return "{\"model_type\": \"gemma3n\", \"audio_token_id\": 57, \"boa_token_id\": 47, \"eoa_token_id\": 56,\n"
      " \"image_token_id\": 49, \"boi_token_id\": 46, \"eoi_token_id\": 48, \"eos_token_id\": 1,\n"
      " \"audio_soft_tokens_per_image\": 188, \"tie_word_embeddings\": true, \"rope_scaling\": null,\n"
      " \"text_config\": {\"model_type\": \"gemma3n_text\", \"hidden_size\": 32, \"num_hidden_layers\": 4,\n"
      "  \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": 16, \"num_kv_shared_layers\": 2,\n"
      "  \"hidden_size_per_layer_input\": 8, \"laurel_rank\": 4, \"altup_num_inputs\": 4, \"sliding_window\": 8,\n"
      "  \"max_position_embeddings\": 128, \"vocab_size\": 64, \"vocab_size_per_layer_input\": 48,\n"
      "  \"intermediate_size\": [32, 32, 32, 32], \"activation_sparsity_pattern\": [0.95, 0.0, 0.0, 0.0],\n"
      "  \"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\"],\n"
      "  \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, \"rope_local_base_freq\": 10000.0,\n"
      "  \"rope_scaling\": null, \"final_logit_softcapping\": 30.0, \"attention_bias\": false,\n"
      "  \"hidden_activation\": \"gelu_pytorch_tanh\", \"bos_token_id\": 2, \"pad_token_id\": 0},\n"
      " \"audio_config\": {\"hidden_size\": 16, \"conf_num_hidden_layers\": 1, \"conf_num_attention_heads\": 2,\n"
      "  \"input_feat_size\": 8, \"sscp_conv_channel_size\": [4, 2], \"vocab_size\": 8, \"vocab_offset\": 56,\n"
      "  \"conf_attention_context_left\": 13, \"conf_attention_context_right\": 0, \"rms_norm_eps\": 1e-06,\n"
      "  \"sscp_conv_kernel_size\": [[3, 3], [3, 3]], \"sscp_conv_stride_size\": [[2, 2], [2, 2]]},\n"
      " \"vision_config\": {\"vocab_size\": 8, \"vocab_offset\": 48}}\n";
}

const gchar *
fixture_gemma3_config (void)
{
  return "{\"model_type\": \"gemma3_text\", \"hidden_size\": 32, \"num_hidden_layers\": 4, \"num_attention_heads\": 2,\n"
      " \"num_key_value_heads\": 1, \"head_dim\": 16, \"intermediate_size\": 32, \"sliding_window\": 8,\n"
      " \"sliding_window_pattern\": 2, \"query_pre_attn_scalar\": 16, \"max_position_embeddings\": 128,\n"
      " \"vocab_size\": 64, \"rope_scaling\": {\"factor\": 8.0, \"rope_type\": \"linear\"},\n"
      " \"attn_logit_softcapping\": null, \"use_bidirectional_attention\": false, \"eos_token_id\": 1}\n";
}

const gchar *
fixture_t5gemma2_config (void)
{
  return "{\"model_type\": \"t5gemma2\", \"image_token_index\": 50, \"bos_token_id\": 2, \"eos_token_id\": 1,\n"
      " \"encoder\": {\"model_type\": \"t5gemma2_encoder\", \"boi_token_index\": 48, \"eoi_token_index\": 49,\n"
      "  \"text_config\": {\"model_type\": \"t5gemma2_text\", \"hidden_size\": 32, \"num_hidden_layers\": 4,\n"
      "   \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 8, \"intermediate_size\": 32,\n"
      "   \"sliding_window\": 8, \"sliding_window_pattern\": 2, \"query_pre_attn_scalar\": 16,\n"
      "   \"max_position_embeddings\": 128, \"vocab_size\": 64, \"tie_word_embeddings\": true,\n"
      "   \"rope_parameters\": {\"full_attention\": {\"factor\": 8.0, \"rope_theta\": 1e6, \"rope_type\": \"linear\"},\n"
      "    \"sliding_attention\": {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}}}},\n"
      " \"decoder\": {\"model_type\": \"t5gemma2_decoder\", \"hidden_size\": 32, \"num_hidden_layers\": 2,\n"
      "   \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": 16, \"intermediate_size\": 48,\n"
      "   \"layer_types\": [\"sliding_attention\", \"full_attention\"], \"sliding_window\": 4,\n"
      "   \"query_pre_attn_scalar\": 64, \"max_position_embeddings\": 96, \"vocab_size\": 64,\n"
      "   \"attn_logit_softcapping\": null, \"final_logit_softcapping\": null}}\n";
}

const gchar *
fixture_generation_config (void)
{
  return "{\"bos_token_id\": 2, \"eos_token_id\": [1, 6], \"pad_token_id\": 0}\n";
}

const gchar *
fixture_preprocessor_config (void)
{
  return "{\"sampling_rate\": 16000, \"feature_size\": 8, \"frame_length\": 512, \"hop_length\": 160,\n"
      " \"fft_length\": 1024, \"min_frequency\": 125.0, \"max_frequency\": 7600.0, \"preemphasis\": 0.97,\n"
      " \"preemphasis_htk_flavor\": true, \"mel_floor\": 1e-05}\n";
}

typedef struct
{
  GString *header;
  GByteArray *data;
} SafeTensors;

/* Matrices whose type safetensors lacks become float32. */
static void
put_data (SafeTensors *st, const ImageTensor *tensor, const guint8 *data, gsize n)
{
  const OclType type = tensor->type == GGML_Q8_0 ? OCL_TYPE_Q8_0 : OCL_TYPE_Q4_0;

  if (tensor->type != GGML_Q8_0 && tensor->type != GGML_Q4_0) {
    g_byte_array_append (st->data, data, n);
  } else {
    gsize values = n / ocl_type_info (type)->bytes * 32;
    g_autofree gfloat *dequantized = g_new (gfloat, values);

    ocl_type_dequantize (type, data, dequantized, values);
    g_byte_array_append (st->data, (const guint8 *) dequantized, values * sizeof (gfloat));
  }
}

static void
put_tensor (SafeTensors *st, const gchar *gguf_name, const ImageTensor *tensor, guint n_dims, const guint8 *data,
    gsize n)
{
  g_autofree gchar *name = gemma_name_to_hf (gguf_name);
  const gsize begin = st->data->len;

  g_assert (name);
  put_data (st, tensor, data, n);
  g_string_append_printf (st->header, "%s\"%s\": {\"dtype\": \"%s\", \"shape\": [", st->header->len > 1 ? ", " : "",
      name, tensor->type == GGML_F16 ? "F16" : tensor->type == GGML_BF16 ? "BF16" : "F32");
  for (guint i = n_dims; i-- > 0;)
    g_string_append_printf (st->header, "%" G_GINT64_FORMAT "%s", tensor->dims[i], i ? ", " : "");
  g_string_append_printf (st->header, "], \"data_offsets\": [%" G_GSIZE_FORMAT ", %u]}", begin, st->data->len);
}

/* Calls @func for the name and data of each tensor as Hugging Face has it: stacked ones in pieces. */
static void
for_each_hf (void (*func) (gpointer, const gchar *, const ImageTensor *, guint, const guint8 *, gsize), gpointer user)
{
  Image *images[2] = { fixture_text (), fixture_mmproj () };

  for (guint k = 0; k < 2; k++) {
    for (guint i = 0; i < images[k]->tensors->len; i++) {
      const ImageTensor *tensor = g_ptr_array_index (images[k]->tensors, i);
      g_autofree gchar *name = g_strndup ((const gchar *) tensor->name->data, tensor->name->len);
      const gboolean stacked = g_str_has_prefix (name, "altup_");
      const guint n = stacked ? 3 : 1;
      const gsize bytes = tensor->data->len / n;

      for (guint s = 0; s < n; s++) {
        g_autofree gchar *base = g_strndup (name, strlen (name) - strlen (".weight"));
        g_autofree gchar *piece = stacked ? g_strdup_printf ("%s.%u.weight", base, s) : g_strdup (name);

        func (user, piece, tensor, stacked ? 2 : tensor->n_dims, tensor->data->data + s * bytes, bytes);
      }
    }
    image_free (images[k]);
  }
}

typedef struct
{
  SafeTensors st;
  guint shard, n_shards, n;
  GString *map;
} Sharding;

static void
put_one (gpointer user, const gchar *name, const ImageTensor *tensor, guint n_dims, const guint8 *data, gsize n)
{
  Sharding *s = user;

  if (s->n++ % s->n_shards == s->shard)
    put_tensor (&s->st, name, tensor, n_dims, data, n);
}

static void
map_one (gpointer user, const gchar *name, const ImageTensor *tensor, guint n_dims, const guint8 *data, gsize n)
{
  Sharding *s = user;
  g_autofree gchar *hf = gemma_name_to_hf (name);

  g_string_append_printf (s->map, "%s\"%s\": \"model-%u.safetensors\"", s->n ? ",\n" : "", hf, s->n % s->n_shards + 1);
  s->n++;
}

GByteArray *
fixture_safetensors (guint shard, guint n_shards)
{
  Sharding s = { { g_string_new ("{"), g_byte_array_new () }, shard, n_shards, 0, NULL };
  GByteArray *out = g_byte_array_new ();
  guint64 length;

  for_each_hf (put_one, &s);
  g_string_append (s.st.header, ", \"__metadata__\": {\"format\": \"pt\"}}");
  while (s.st.header->len % 8 != 0)
    g_string_append_c (s.st.header, ' ');
  length = s.st.header->len;
  g_byte_array_append (out, (const guint8 *) &length, sizeof length);
  g_byte_array_append (out, (const guint8 *) s.st.header->str, length);
  g_byte_array_append (out, s.st.data->data, s.st.data->len);
  g_string_free (s.st.header, TRUE);
  g_byte_array_unref (s.st.data);
  return out;
}

gchar *
fixture_index (guint n_shards)
{
  Sharding s = { { NULL, NULL }, 0, n_shards, 0, g_string_new ("{\"metadata\": {}, \"weight_map\": {") };

  for_each_hf (map_one, &s);
  return g_string_free (g_string_append (s.map, "}}\n"), FALSE);
}

/* ---- files ---------------------------------------------------------------------- */

gchar *
fixture_directory (void)
{
  g_autoptr (GError) error = NULL;
  gchar *directory = g_dir_make_tmp ("gemma-readers-XXXXXX", &error);

  g_assert_no_error (error);
  return directory;
}

void
fixture_remove (gchar *directory)
{
  GDir *dir = g_dir_open (directory, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (directory, name, NULL);
    g_unlink (path);
  }
  g_clear_pointer (&dir, g_dir_close);
  g_rmdir (directory);
  g_free (directory);
}

gchar *
fixture_write (const gchar *directory, const gchar *name, gconstpointer data, gsize n)
{
  g_autoptr (GError) error = NULL;
  gchar *path = g_build_filename (directory, name, NULL);

  g_unlink (path);
  g_file_set_contents_full (path, data, n, G_FILE_SET_CONTENTS_NONE, 0644, &error);
  g_assert_no_error (error);
  return path;
}

void
fixture_write_hf (const gchar *directory)
{
  const gchar *const files[][2] = {
    { "config.json", fixture_config () },
    { "generation_config.json", fixture_generation_config () },
    { "preprocessor_config.json", fixture_preprocessor_config () },
    { "processor_config.json", "{\"audio_seq_length\": 188}" },
  };
  g_autoptr (GByteArray) tensors = fixture_safetensors (0, 1);

  g_free (fixture_write (directory, "model.safetensors", tensors->data, tensors->len));
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    g_free (fixture_write (directory, files[i][0], files[i][1], strlen (files[i][1])));
}

static gboolean
find_all (GemmaWeights *weights, Image *image, GError **error)
{
  gboolean ok = TRUE;

  for (guint i = 0; ok && i < image->tensors->len; i++) {
    const ImageTensor *t = g_ptr_array_index (image->tensors, i);
    g_autofree gchar *name = g_strndup ((const gchar *) t->name->data, t->name->len);

    if (g_str_has_prefix (name, "altup_")) {
      g_autofree gchar *piece = g_strdup_printf ("%.*s.2.weight", (gint) strlen (name) - 7, name);
      ok = gemma_weights_find (weights, piece, error, 2, (gint) t->dims[0], (gint) t->dims[1]) != NULL;
    } else {
      ok = gemma_weights_find (weights, name, error, t->n_dims, (gint) t->dims[0], (gint) t->dims[1],
          (gint) t->dims[2], (gint) t->dims[3]) != NULL;
    }
  }
  image_free (image);
  return ok;
}

gboolean
fixture_find_all (GemmaWeights *text, GemmaWeights *mmproj, GError **error)
{
  return find_all (text, fixture_text (), error) && find_all (mmproj, fixture_mmproj (), error);
}

gboolean
fixture_use_all (GemmaWeights *weights, GError **error)
{
  for (guint i = 0; i < gemma_weights_get_n_tensors (weights); i++) {
    const GemmaTensor *t = gemma_weights_get_nth (weights, i);
    gint64 rows = 1;
    g_autofree gfloat *values = NULL, *row = NULL;
    OclMatrix matrix;

    if (gemma_weights_find (weights, t->name, error, 4, -1, -1, -1, -1) == NULL)
      return FALSE;
    for (guint k = 1; k < t->n_dims; k++)
      rows *= t->dims[k];
    if (rows > G_MAXINT || t->dims[0] > G_MAXINT)
      continue;
    if (!gemma_weights_find_matrix (weights, t->name, (gint) rows, (gint) t->dims[0], &matrix, error))
      return FALSE;
    values = gemma_weights_read_f32 (weights, t->name, (gint) rows, (gint) t->dims[0], error);
    if (values == NULL)
      return FALSE;
    row = g_new (gfloat, t->dims[0]);
    if (!gemma_weights_read_row (weights, t, rows - 1, row, error))
      return FALSE;
    if (memcmp (row, values + (rows - 1) * t->dims[0], t->dims[0] * sizeof (gfloat)) != 0) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: the last row read alone differs", t->name);
      return FALSE;
    }
  }
  return TRUE;
}
