#include "bad.h"

#include <math.h>
#include <string.h>

/* Where the fixed part of the header has its fields. */
#define AT_VERSION 4
#define AT_FIRST_KEY 24

static ImageTensor *
tensor (Image *image, const gchar *name)
{
  ImageTensor *found = image_tensor (image, name);

  g_assert (found);
  return found;
}

static void
set_array_count (Image *image, const gchar *key, guint64 count)
{
  memcpy (image_value (image, key)->value->data + 4, &count, sizeof count);
}

static void
duplicate_value (Image *image, const gchar *key)
{
  const ImageValue *value = image_value (image, key);
  ImageValue *copy = g_memdup2 (value, sizeof *value);

  g_byte_array_ref (copy->key);
  g_byte_array_ref (copy->value);
  g_ptr_array_add (image->values, copy);
  image->n_values++;
}

static void
set_half (Image *image, const gchar *name, gsize block_bytes, gsize block, guint16 scale)
{
  memcpy (tensor (image, name)->data->data + block * block_bytes, &scale, sizeof scale);
}

static void
rename_tensor (Image *image, const gchar *from, const gchar *to, gsize n)
{
  ImageTensor *t = tensor (image, from);

  g_byte_array_set_size (t->name, 0);
  g_byte_array_append (t->name, (const guint8 *) to, n);
  t->name_length = n;
}

#define CHANGE(name) static void name (Image *image)
#define PATCH(name) static void name (GByteArray *bytes)

/* ---- 1 to 11: the header and its keys ------------------------------------------- */

CHANGE (bad_magic) { memcpy (image->magic, "GGML", 4); }
CHANGE (version_0) { image->version = 0; }
CHANGE (version_1) { image->version = 1; }
CHANGE (version_4) { image->version = 4; }
PATCH (version_swapped) { const guint32 v = GUINT32_SWAP_LE_BE (3); memcpy (bytes->data + AT_VERSION, &v, 4); }
CHANGE (many_tensors) { image->n_tensors = G_MAXUINT64; }
CHANGE (many_keys) { image->n_values = G_MAXUINT64; }
CHANGE (more_tensors) { image->n_tensors += 1; }
CHANGE (fewer_keys) { image->n_values -= 1; }
CHANGE (key_length_negative) { image_value (image, "gemma3n.block_count")->key_length = G_MAXUINT64; }
CHANGE (key_length_past_end) { image_value (image, "gemma3n.block_count")->key_length = 1 << 20; }
CHANGE (key_empty) { image_set_u32 (image, "", 1); }
CHANGE (key_not_utf8) { image_set_u32 (image, "gemma3n.\xff", 1); }
CHANGE (key_duplicate) { duplicate_value (image, "gemma3n.block_count"); }
CHANGE (value_type_13) { image_value (image, "gemma3n.block_count")->type = 13; }
CHANGE (value_type_max) { image_value (image, "gemma3n.block_count")->type = G_MAXUINT32; }
CHANGE (array_of_arrays)
{
  const guint64 items[4] = { 0 };
  image_set_array (image, "some.key", KV_ARRAY, items, 8, 4);
}
CHANGE (item_type_unknown) { image_set_array (image, "some.key", 99, "12345678", 1, 8); }
CHANGE (array_2_60_numbers) { set_array_count (image, "gemma3n.feed_forward_length", G_GUINT64_CONSTANT (1) << 60); }
CHANGE (array_2_60_strings) { set_array_count (image, "tokenizer.ggml.tokens", G_GUINT64_CONSTANT (1) << 60); }
CHANGE (array_2_64_strings) { set_array_count (image, "tokenizer.ggml.tokens", G_MAXUINT64); }
CHANGE (alignment_0) { image_set_u32 (image, "general.alignment", 0); }
CHANGE (alignment_13) { image_set_u32 (image, "general.alignment", 13); }
CHANGE (alignment_string) { image_set_string (image, "general.alignment", "32"); }
CHANGE (alignment_f32) { image_set_f32 (image, "general.alignment", 32); }
CHANGE (alignment_array) { const guint32 v = 32; image_set_array (image, "general.alignment", KV_U32, &v, 4, 1); }
CHANGE (alignment_2_31) { image_set_u32 (image, "general.alignment", 1u << 31); }

/* ---- 12 to 22: the tensors ------------------------------------------------------ */

#define T "blk.1.ffn_up.weight"

CHANGE (n_dims_5) { tensor (image, T)->n_dims = 5; }
CHANGE (n_dims_max) { tensor (image, T)->n_dims = G_MAXUINT32; }
CHANGE (dim_negative) { tensor (image, T)->dims[1] = -32; }
CHANGE (dims_negative) { tensor (image, T)->dims[0] = tensor (image, T)->dims[1] = -32; }
CHANGE (dim_zero) { tensor (image, T)->dims[1] = 0; }
CHANGE (product_over) { tensor (image, T)->dims[0] = tensor (image, T)->dims[1] = G_GINT64_CONSTANT (1) << 32; }
CHANGE (product_max) { tensor (image, T)->dims[1] = G_MAXINT64; }
CHANGE (bytes_wrap)
{
  ImageTensor *t = tensor (image, "blk.1.attn_norm.weight");
  t->dims[0] = G_GINT64_CONSTANT (1) << 62;     /* 2^64 bytes of float32 */
}
CHANGE (padding_wraps)
{
  ImageTensor *t = tensor (image, "blk.1.attn_norm.weight");
  t->dims[0] = G_MAXINT64 / 4;
}
CHANGE (total_wraps)
{
  for (guint i = 0; i < image->tensors->len; i++) {
    ImageTensor *t = g_ptr_array_index (image->tensors, i);
    t->n_dims = 1;
    t->type = GGML_F32;
    t->dims[0] = G_GINT64_CONSTANT (1) << 58;
    t->offset = (guint64) i << 60;
  }
}
CHANGE (row_not_a_block) { tensor (image, T)->dims[0] = 33; }
CHANGE (block_over_rows) { tensor (image, T)->dims[0] = 16; tensor (image, T)->dims[1] = 64; }
CHANGE (type_unknown) { tensor (image, T)->type = 4711; }
CHANGE (type_removed_4) { tensor (image, T)->type = 4; }
CHANGE (type_removed_33) { tensor (image, T)->type = 33; }
CHANGE (type_iq4_nl_used) { tensor (image, "blk.3.attn_q.weight")->type = GGML_IQ4_NL; }
CHANGE (offset_past_end) { tensor (image, T)->offset = 1 << 30; }
CHANGE (offset_in_last_bytes) { tensor (image, T)->offset = tensor (image, "blk.3.attn_v.weight")->offset + 992; }
CHANGE (offset_misaligned) { tensor (image, T)->offset += 2; }
CHANGE (offset_overlaps) { tensor (image, T)->offset -= 32; }
CHANGE (offset_same) { tensor (image, T)->offset = tensor (image, "blk.0.ffn_up.weight")->offset; }
CHANGE (offset_wraps) { tensor (image, T)->offset = G_MAXUINT64 - 31; }
CHANGE (tensor_duplicate) { rename_tensor (image, T, "blk.2.ffn_up.weight", 19); }
CHANGE (tensor_name_64)
{
  static const gchar name[65] = "blk.1.ffn_up.weight.blk.1.ffn_up.weight.blk.1.ffn_up.weight.1234";
  rename_tensor (image, T, name, 64);
}
CHANGE (tensor_name_nul) { rename_tensor (image, T, "blk.1\0ffn_up.weight", 19); }
CHANGE (tensor_name_empty) { rename_tensor (image, T, "", 0); }

/* ---- 25 to 30: what the numbers say --------------------------------------------- */

CHANGE (heads_0) { image_set_u32 (image, "gemma3n.attention.head_count", 0); }
CHANGE (heads_absurd) { image_set_u32 (image, "gemma3n.attention.head_count", G_MAXUINT32); }
CHANGE (heads_odd) { image_set_u32 (image, "gemma3n.attention.head_count", 3); }
CHANGE (kv_heads_0) { image_set_u32 (image, "gemma3n.attention.head_count_kv", 0); }
CHANGE (kv_heads_more) { image_set_u32 (image, "gemma3n.attention.head_count_kv", 4); }
CHANGE (layers_0) { image_set_u32 (image, "gemma3n.block_count", 0); }
CHANGE (layers_absurd) { image_set_u32 (image, "gemma3n.block_count", 1000000000); }
CHANGE (layers_more)
{
  image_set_u32 (image, "gemma3n.block_count", 5);
  image_set_u32 (image, "gemma3n.feed_forward_length", 32);
  image_remove (image, "gemma3n.activation_sparsity_scale");
  image_remove (image, "gemma3n.attention.sliding_window_pattern");
}
CHANGE (layers_fewer)
{
  image_set_u32 (image, "gemma3n.block_count", 3);
  image_set_u32 (image, "gemma3n.feed_forward_length", 32);
  image_remove (image, "gemma3n.activation_sparsity_scale");
  image_set_u32 (image, "gemma3n.attention.sliding_window_pattern", 2);
  image_set_u32 (image, "gemma3n.attention.shared_kv_layers", 1);
}
CHANGE (layers_string) { image_set_string (image, "gemma3n.block_count", "4"); }
CHANGE (layers_missing) { image_remove (image, "gemma3n.block_count"); }
CHANGE (shared_all) { image_set_u32 (image, "gemma3n.attention.shared_kv_layers", 4); }
CHANGE (shared_absurd) { image_set_u32 (image, "gemma3n.attention.shared_kv_layers", G_MAXINT32); }
CHANGE (shared_without_full) { image_set_u32 (image, "gemma3n.attention.shared_kv_layers", 3); }
CHANGE (ffn_lengths) { set_array_count (image, "gemma3n.feed_forward_length", 3); }
CHANGE (ffn_short)
{
  const gint32 ffn[3] = { 32, 32, 32 };
  image_set_array (image, "gemma3n.feed_forward_length", KV_I32, ffn, 4, 3);
}
CHANGE (ffn_negative)
{
  const gint32 ffn[4] = { 32, 32, -32, 32 };
  image_set_array (image, "gemma3n.feed_forward_length", KV_I32, ffn, 4, 4);
}
CHANGE (ffn_disagrees)
{
  const gint32 ffn[4] = { 32, 32, 64, 32 };
  image_set_array (image, "gemma3n.feed_forward_length", KV_I32, ffn, 4, 4);
}
CHANGE (sparsity_nan)
{
  const gfloat scale[4] = { 1.6f, NAN, 0, 0 };
  image_set_array (image, "gemma3n.activation_sparsity_scale", KV_F32, scale, 4, 4);
}
CHANGE (eps_nan) { image_set_f32 (image, "gemma3n.attention.layer_norm_rms_epsilon", NAN); }
CHANGE (rope_0) { image_set_f32 (image, "gemma3n.rope.freq_base", 0); }
CHANGE (hidden_disagrees) { image_set_u32 (image, "gemma3n.embedding_length", 64); }
CHANGE (hidden_0) { image_set_u32 (image, "gemma3n.embedding_length", 0); }
CHANGE (window_0) { image_set_u32 (image, "gemma3n.attention.sliding_window", 0); }
CHANGE (head_dim_odd) { image_set_u32 (image, "gemma3n.attention.key_length", 15); }
CHANGE (head_dims_differ) { image_set_u32 (image, "gemma3n.attention.value_length", 8); }
CHANGE (altup_absurd) { image_set_u32 (image, "gemma3n.altup.num_inputs", 1000); }
CHANGE (altup_disagrees) { image_set_u32 (image, "gemma3n.altup.num_inputs", 3); }
CHANGE (altup_active) { image_set_u32 (image, "gemma3n.altup.active_idx", 1); }
CHANGE (ple_disagrees) { image_set_u32 (image, "gemma3n.embedding_length_per_layer_input", 16); }
CHANGE (text_architecture) { image_set_string (image, "general.architecture", "llama"); }
CHANGE (architecture_missing) { image_remove (image, "general.architecture"); }
CHANGE (architecture_not_utf8) { image_set_string (image, "general.architecture", "\xc3\x28"); }
CHANGE (no_embedding) { rename_tensor (image, "token_embd.weight", "token_embd.weighs", 17); }
CHANGE (tensor_missing) { rename_tensor (image, "blk.3.laurel_l.weight", "blk.3.laurel_x.weight", 21); }

CHANGE (scores_short)
{
  const gfloat scores[63] = { 0 };
  image_set_array (image, "tokenizer.ggml.scores", KV_F32, scores, 4, 63);
}
CHANGE (types_long)
{
  const gint32 types[65] = { 0 };
  image_set_array (image, "tokenizer.ggml.token_type", KV_I32, types, 4, 65);
}
CHANGE (types_scalar) { image_set_u32 (image, "tokenizer.ggml.token_type", 1); }
static void
set_n_tokens (Image *image, guint n)
{
  g_autofree const gchar **tokens = g_new (const gchar *, n);
  g_autofree gfloat *scores = g_new0 (gfloat, n);

  for (guint i = 0; i < n; i++)
    tokens[i] = "x";
  image_set_strings (image, "tokenizer.ggml.tokens", tokens, n);
  image_set_array (image, "tokenizer.ggml.scores", KV_F32, scores, 4, n);
  image_set_array (image, "tokenizer.ggml.token_type", KV_U32, scores, 4, n);
}
CHANGE (tokens_more_than_rows) { set_n_tokens (image, 65); }
CHANGE (tokens_few) { set_n_tokens (image, 40); }
CHANGE (token_past_end)
{
  ImageValue *value = image_value (image, "tokenizer.ggml.tokens");
  const guint64 length = (guint64) G_MAXINT32 + 1;
  memcpy (value->value->data + 12, &length, sizeof length);
}
CHANGE (bos_missing) { image_remove (image, "tokenizer.ggml.bos_token_id"); }
CHANGE (bos_past) { image_set_u32 (image, "tokenizer.ggml.bos_token_id", 64); }
CHANGE (eos_max) { image_set_u32 (image, "tokenizer.ggml.eos_token_id", G_MAXUINT32); }
CHANGE (pad_past) { image_set_u32 (image, "tokenizer.ggml.padding_token_id", 1000); }
CHANGE (bos_float) { image_set_f32 (image, "tokenizer.ggml.bos_token_id", 2); }
static void
respell (Image *image, const gchar *token)
{
  ImageValue *value = image_value (image, "tokenizer.ggml.tokens");
  guint8 *found = memmem (value->value->data, value->value->len, token, strlen (token));

  g_assert (found);
  found[1] = 'X';
}
CHANGE (no_audio_token) { respell (image, "<audio_soft_token>"); }
CHANGE (no_image_start) { respell (image, "<start_of_image>"); }

CHANGE (mmproj_architecture) { image_set_string (image, "general.architecture", "gemma3n"); }
CHANGE (mmproj_vision_kind) { image_set_string (image, "clip.vision.projector_type", "gemma3"); }
CHANGE (mmproj_audio_kind) { image_set_string (image, "clip.audio.projector_type", "ultravox"); }
CHANGE (mmproj_no_kind) { image_remove (image, "clip.audio.projector_type"); }
CHANGE (mmproj_width) { image_set_u32 (image, "clip.audio.projection_dim", 64); }
CHANGE (image_size_0) { image_set_u32 (image, "clip.vision.image_size", 0); }
CHANGE (patch_0) { image_set_u32 (image, "clip.vision.patch_size", 0); }
CHANGE (merge_0) { image_set_u32 (image, "clip.vision.spatial_merge_size", 0); }
static void
reshape (Image *image, const gchar *name, gint64 d0, gint64 d1, gint64 d2, gint64 d3)
{
  ImageTensor *t = tensor (image, name);

  t->dims[0] = d0;
  t->dims[1] = d1;
  t->dims[2] = d2;
  t->dims[3] = d3;
}
CHANGE (fusion_out) { reshape (image, "v.msfa.ffn.pw_proj.conv.weight", 1, 1, 12, 8); }
CHANGE (fusion_between) { reshape (image, "v.msfa.ffn.pw_exp.conv.weight", 1, 1, 10, 8); }
CHANGE (fusion_norm) { reshape (image, "v.msfa.norm.weight", 12, 0, 0, 0); }
CHANGE (vision_rows) { reshape (image, "mm.input_projection.weight", 8, 32, 0, 0); }
CHANGE (vision_missing) { rename_tensor (image, "mm.input_projection.weight", "mm.input_projectiox.weight", 26); }
CHANGE (audio_heads_0) { image_set_u32 (image, "clip.audio.attention.head_count", 0); }
CHANGE (audio_heads_3) { image_set_u32 (image, "clip.audio.attention.head_count", 3); }
CHANGE (audio_layers) { image_set_u32 (image, "clip.audio.block_count", 2); }
CHANGE (audio_width) { image_set_u32 (image, "clip.audio.embedding_length", 32); }
CHANGE (audio_mels) { image_set_u32 (image, "clip.audio.num_mel_bins", 128); }
CHANGE (audio_embedding_absurd) { reshape (image, "mm.a.embedding.weight", 1, 128, 0, 0); }
CHANGE (audio_norm) { reshape (image, "a.blk.0.ln2.weight", 8, 0, 0, 0); }
CHANGE (examples_int) { image_set_u32 (image, "gemma.translation.examples", 0); }
CHANGE (chained_int) { image_set_u32 (image, "gemma.translation.chained", 0); }
CHANGE (threshold_2) { image_set_f32 (image, "gemma.audio.no_speech_threshold", 2); }
CHANGE (threshold_nan) { image_set_f32 (image, "gemma.audio.no_speech_threshold", NAN); }
CHANGE (pad_clip_int) { image_set_u32 (image, "gemma.audio.pad_clip", 1); }
static void
set_alignment (Image *image, guint32 layer, guint32 head)
{
  image_set_u32 (image, "gemma.alignment.layer", layer);
  image_set_u32 (image, "gemma.alignment.head", head);
}
CHANGE (alignment_past_layers) { set_alignment (image, 4, 0); }
CHANGE (alignment_past_heads) { set_alignment (image, 3, 2); }
CHANGE (alignment_slides) { set_alignment (image, 2, 0); }
CHANGE (alignment_no_head) { image_set_u32 (image, "gemma.alignment.layer", 3); }
CHANGE (alignment_no_layer) { image_set_u32 (image, "gemma.alignment.head", 0); }
CHANGE (alignment_float) { image_set_f32 (image, "gemma.alignment.layer", 3); }
CHANGE (has_audio_int) { image_set_u32 (image, "clip.has_audio_encoder", 1); }

CHANGE (scale_nan_q8) { set_half (image, "blk.2.ffn_gate.weight", 34, 31, 0x7e00); }
CHANGE (scale_inf_q4) { set_half (image, "blk.2.ffn_up.weight", 18, 0, 0xfc00); }
CHANGE (min_nan_q5_1)
{
  ImageTensor *t = tensor (image, "blk.2.ffn_gate.weight"); /* of Q8_0: has room for the smaller blocks */
  const guint16 nan = 0x7e00;
  t->type = GGML_Q5_1;
  memset (t->data->data, 0, t->data->len);
  memcpy (t->data->data + 31 * 24 + 2, &nan, sizeof nan);
}
CHANGE (scale_nan_table) { set_half (image, "per_layer_token_embd.weight", 34, 63, 0xffff); }
CHANGE (scale_nan_audio) { set_half (image, "a.blk.0.ffn_down.weight", 34, 31, 0x7c01); }
CHANGE (norm_nan)
{
  const gfloat nan = NAN;
  memcpy (tensor (image, "blk.0.attn_norm.weight")->data->data + 12, &nan, sizeof nan);
}

/* ---- 23: truncation (every byte is tried in its own test) ----------------------- */

PATCH (empty) { g_byte_array_set_size (bytes, 0); }
PATCH (in_magic) { g_byte_array_set_size (bytes, 3); }
PATCH (in_counts) { g_byte_array_set_size (bytes, AT_FIRST_KEY - 1); }
PATCH (in_keys) { g_byte_array_set_size (bytes, AT_FIRST_KEY + 100); }
PATCH (in_last_tensor) { g_byte_array_set_size (bytes, bytes->len - 1); }

#define TEXT(row, what, change, code, names) { row, what, FALSE, change, NULL, GEMMA_ERROR_##code, names }
#define MMPROJ(row, what, change, code, names) { row, what, TRUE, change, NULL, GEMMA_ERROR_##code, names }
#define PATCHED(row, what, patch, code, names) { row, what, FALSE, NULL, patch, GEMMA_ERROR_##code, names }

const BadGguf bad_ggufs[] = {
  TEXT (1, "bad magic", bad_magic, INVALID, "not a GGUF file"),
  TEXT (2, "version 0", version_0, UNSUPPORTED, "version 0"),
  TEXT (2, "version 1", version_1, UNSUPPORTED, "version 1"),
  TEXT (2, "version 4", version_4, UNSUPPORTED, "version 4"),
  PATCHED (2, "version byte-swapped", version_swapped, UNSUPPORTED, "big-endian"),
  TEXT (3, "2^64 - 1 tensors", many_tensors, INVALID, "18446744073709551615 tensors"),
  TEXT (3, "a tensor too many", more_tensors, INVALID, "tensor name"),
  TEXT (4, "2^64 - 1 keys", many_keys, INVALID, "18446744073709551615 keys"),
  TEXT (4, "a key too few", fewer_keys, INVALID, "general.alignment"),
  TEXT (5, "key length -1", key_length_negative, INVALID, "key"),
  TEXT (5, "key length past the end", key_length_past_end, INVALID, "key"),
  TEXT (6, "empty key", key_empty, INVALID, "length of 0"),
  TEXT (6, "key not UTF-8", key_not_utf8, INVALID, "UTF-8"),
  TEXT (7, "duplicate key", key_duplicate, INVALID, "gemma3n.block_count"),
  TEXT (8, "value type 13", value_type_13, INVALID, "gemma3n.block_count"),
  TEXT (8, "value type 2^32 - 1", value_type_max, INVALID, "gemma3n.block_count"),
  TEXT (8, "unknown type of items", item_type_unknown, INVALID, "some.key"),
  TEXT (9, "array of arrays", array_of_arrays, UNSUPPORTED, "some.key"),
  TEXT (10, "2^60 numbers", array_2_60_numbers, INVALID, "gemma3n.feed_forward_length"),
  TEXT (10, "2^60 strings", array_2_60_strings, INVALID, "tokenizer.ggml.tokens"),
  TEXT (10, "2^64 - 1 strings", array_2_64_strings, INVALID, "tokenizer.ggml.tokens"),
  TEXT (11, "alignment 0", alignment_0, INVALID, "general.alignment"),
  TEXT (11, "alignment 13", alignment_13, INVALID, "general.alignment"),
  TEXT (11, "alignment as a string", alignment_string, INVALID, "general.alignment"),
  TEXT (11, "alignment as a float", alignment_f32, INVALID, "general.alignment"),
  TEXT (11, "alignment as an array", alignment_array, INVALID, "general.alignment"),
  TEXT (11, "alignment 2^31", alignment_2_31, INVALID, "altup"),
  TEXT (12, "5 dimensions", n_dims_5, INVALID, T),
  TEXT (12, "2^32 - 1 dimensions", n_dims_max, INVALID, T),
  TEXT (13, "negative dimension", dim_negative, INVALID, T),
  TEXT (13, "two negative dimensions", dims_negative, INVALID, T),
  TEXT (14, "dimension 0", dim_zero, INVALID, T),
  TEXT (15, "product 2^64", product_over, INVALID, T),
  TEXT (15, "product over 2^63", product_max, INVALID, T),
  TEXT (16, "byte size wraps", bytes_wrap, INVALID, "blk.1.attn_norm.weight"),
  TEXT (16, "padding wraps", padding_wraps, INVALID, "blk.1.attn_norm.weight"),
  TEXT (17, "total size wraps", total_wraps, INVALID, "altup_proj.weight"),
  TEXT (18, "row of 33 in blocks of 32", row_not_a_block, INVALID, T),
  TEXT (18, "block over two rows", block_over_rows, INVALID, T),
  TEXT (19, "unknown type", type_unknown, UNSUPPORTED, T),
  TEXT (19, "removed type 4", type_removed_4, UNSUPPORTED, T),
  TEXT (19, "removed type 33", type_removed_33, UNSUPPORTED, T),
  TEXT (19, "type not computed with", type_iq4_nl_used, UNSUPPORTED, "blk.3.attn_q.weight"),
  TEXT (20, "offset past the end", offset_past_end, INVALID, T),
  TEXT (20, "offset near the end", offset_in_last_bytes, INVALID, T),
  TEXT (20, "offset misaligned", offset_misaligned, INVALID, T),
  TEXT (20, "tensors overlap", offset_overlaps, INVALID, T),
  TEXT (20, "tensors share their offset", offset_same, INVALID, T),
  TEXT (20, "offset wraps", offset_wraps, INVALID, T),
  TEXT (21, "duplicate tensor", tensor_duplicate, INVALID, "blk.2.ffn_up.weight"),
  TEXT (22, "name of 64 bytes", tensor_name_64, INVALID, "length of 64"),
  TEXT (22, "name with NUL", tensor_name_nul, INVALID, "NUL"),
  TEXT (22, "name empty", tensor_name_empty, INVALID, "length of 0"),
  PATCHED (23, "empty file", empty, INVALID, "magic"),
  PATCHED (23, "cut in the magic", in_magic, INVALID, "magic"),
  PATCHED (23, "cut in the counts", in_counts, INVALID, "number of keys"),
  PATCHED (23, "cut in the keys", in_keys, INVALID, "key"),
  PATCHED (23, "cut in the last tensor", in_last_tensor, INVALID, "blk.3.attn_v.weight"),
  TEXT (25, "0 heads", heads_0, INVALID, "gemma3n.attention.head_count"),
  TEXT (25, "2^32 - 1 heads", heads_absurd, INVALID, "gemma3n.attention.head_count"),
  TEXT (25, "3 heads", heads_odd, INVALID, "blk.0.attn_q.weight"),
  TEXT (25, "0 kv heads", kv_heads_0, INVALID, "gemma3n.attention.head_count_kv"),
  TEXT (25, "more kv heads than heads", kv_heads_more, INVALID, "key/value heads"),
  TEXT (25, "0 layers", layers_0, INVALID, "gemma3n.block_count"),
  TEXT (25, "10^9 layers", layers_absurd, INVALID, "gemma3n.block_count"),
  TEXT (25, "a layer more than the tensors", layers_more, INVALID, "claims 5 layers"),
  TEXT (25, "a layer fewer than the tensors", layers_fewer, INVALID, "claims 3 layers"),
  TEXT (25, "layers as a string", layers_string, INVALID, "gemma3n.block_count"),
  TEXT (25, "layers missing", layers_missing, NOT_FOUND, "gemma3n.block_count"),
  TEXT (25, "all layers share", shared_all, INVALID, "share"),
  TEXT (25, "2^31 - 1 layers share", shared_absurd, INVALID, "gemma3n.attention.shared_kv_layers"),
  TEXT (25, "a kind has no keys of its own", shared_without_full, INVALID, "layer 1 shares"),
  TEXT (25, "lengths inside an array", ffn_lengths, INVALID, ""),
  TEXT (25, "FFN widths for 3 layers", ffn_short, INVALID, "gemma3n.feed_forward_length"),
  TEXT (25, "negative FFN width", ffn_negative, INVALID, "gemma3n.feed_forward_length[2]"),
  TEXT (25, "FFN width of no tensor", ffn_disagrees, INVALID, "blk.2.ffn_gate.weight"),
  TEXT (25, "sparsity of NaN", sparsity_nan, INVALID, "gemma3n.activation_sparsity_scale[1]"),
  TEXT (25, "epsilon of NaN", eps_nan, INVALID, "gemma3n.attention.layer_norm_rms_epsilon"),
  TEXT (25, "rope base 0", rope_0, INVALID, "gemma3n.rope.freq_base"),
  TEXT (25, "width of no tensor", hidden_disagrees, INVALID, "token_embd.weight"),
  TEXT (25, "width 0", hidden_0, INVALID, "gemma3n.embedding_length"),
  TEXT (25, "window 0", window_0, INVALID, "gemma3n.attention.sliding_window"),
  TEXT (25, "odd head dimension", head_dim_odd, UNSUPPORTED, "gemma3n.attention.key_length"),
  TEXT (25, "key and value lengths differ", head_dims_differ, UNSUPPORTED, "value_length"),
  TEXT (25, "1000 AltUp streams", altup_absurd, INVALID, "gemma3n.altup.num_inputs"),
  TEXT (25, "3 AltUp streams of 4", altup_disagrees, INVALID, "blk.0.altup_correct_coef.weight"),
  TEXT (25, "another active stream", altup_active, UNSUPPORTED, "gemma3n.altup.active_idx"),
  TEXT (25, "per-layer width of no tensor", ple_disagrees, INVALID, "per_layer_model_proj.weight"),
  TEXT (25, "another architecture", text_architecture, UNSUPPORTED, "general.architecture"),
  TEXT (25, "no architecture", architecture_missing, NOT_FOUND, "general.architecture"),
  TEXT (25, "architecture not UTF-8", architecture_not_utf8, INVALID, "general.architecture"),
  TEXT (25, "no token table", no_embedding, NOT_FOUND, "token_embd.weight"),
  TEXT (25, "tensor of a layer missing", tensor_missing, NOT_FOUND, "blk.3.laurel_l.weight"),
  TEXT (26, "fewer scores than tokens", scores_short, INVALID, "tokenizer.ggml.scores"),
  TEXT (26, "more types than tokens", types_long, INVALID, "tokenizer.ggml.token_type"),
  TEXT (26, "types not an array", types_scalar, INVALID, "tokenizer.ggml.token_type"),
  TEXT (26, "more tokens than rows", tokens_more_than_rows, INVALID, "tokenizer.ggml.tokens"),
  TEXT (26, "fewer tokens than text rows", tokens_few, INVALID, "tokenizer.ggml.tokens"),
  TEXT (27, "no bos", bos_missing, NOT_FOUND, "tokenizer.ggml.bos_token_id"),
  TEXT (27, "bos past the vocabulary", bos_past, INVALID, "<bos>"),
  TEXT (27, "eos of 2^32 - 1", eos_max, INVALID, "tokenizer.ggml.eos_token_id"),
  TEXT (27, "pad past the vocabulary", pad_past, INVALID, "<pad>"),
  TEXT (27, "bos as a float", bos_float, INVALID, "tokenizer.ggml.bos_token_id"),
  TEXT (27, "no audio token", no_audio_token, NOT_FOUND, "<audio_soft_token>"),
  TEXT (27, "no start of image", no_image_start, NOT_FOUND, "<start_of_image>"),
  TEXT (28, "token of over 2^31 - 1 bytes", token_past_end, INVALID, "tokenizer.ggml.tokens"),
  TEXT (28, "examples as an integer", examples_int, INVALID, "gemma.translation.examples"),
  TEXT (28, "chained as an integer", chained_int, INVALID, "gemma.translation.chained"),
  TEXT (28, "alignment past the layers", alignment_past_layers, INVALID, "gemma.alignment.layer is 4; 0 to 3"),
  TEXT (28, "alignment past the heads", alignment_past_heads, INVALID, "gemma.alignment.head is 2; 0 to 1"),
  TEXT (28, "alignment in a sliding layer", alignment_slides, INVALID, "gemma.alignment.layer is 2"),
  TEXT (28, "alignment without its head", alignment_no_head, NOT_FOUND, "gemma.alignment.head"),
  TEXT (28, "alignment without its layer", alignment_no_layer, NOT_FOUND, "gemma.alignment.layer"),
  TEXT (28, "alignment's layer as a float", alignment_float, INVALID, "gemma.alignment.layer"),
  MMPROJ (29, "mmproj of another architecture", mmproj_architecture, UNSUPPORTED, "general.architecture"),
  MMPROJ (29, "another vision projector", mmproj_vision_kind, UNSUPPORTED, "clip.vision.projector_type"),
  MMPROJ (29, "another audio projector", mmproj_audio_kind, UNSUPPORTED, "clip.audio.projector_type"),
  MMPROJ (29, "no audio projector", mmproj_no_kind, NOT_FOUND, "clip.audio.projector_type"),
  MMPROJ (29, "mmproj of another width", mmproj_width, INVALID, "clip.audio.projection_dim"),
  MMPROJ (29, "image size 0", image_size_0, INVALID, "clip.vision.image_size"),
  MMPROJ (29, "patch size 0", patch_0, INVALID, "clip.vision.patch_size"),
  MMPROJ (29, "merge 0", merge_0, INVALID, "clip.vision.spatial_merge_size"),
  MMPROJ (29, "fusion's output", fusion_out, INVALID, "v.msfa.ffn.pw_proj.conv.weight"),
  MMPROJ (29, "fusion's middle", fusion_between, INVALID, "v.msfa.ffn.pw_exp.bn.weight"),
  MMPROJ (29, "fusion's norm", fusion_norm, INVALID, "v.msfa.norm.weight"),
  MMPROJ (29, "embedder's input", vision_rows, INVALID, "mm.embedding.weight"),
  MMPROJ (29, "no vision embedder", vision_missing, NOT_FOUND, "mm.input_projection.weight"),
  MMPROJ (29, "audio heads 0", audio_heads_0, INVALID, "clip.audio.attention.head_count"),
  MMPROJ (29, "audio heads 3", audio_heads_3, INVALID, "heads"),
  MMPROJ (29, "audio layers", audio_layers, INVALID, "claims 2 layers"),
  MMPROJ (29, "audio width", audio_width, INVALID, "a.pre_encode.out.weight"),
  MMPROJ (29, "mel bands", audio_mels, INVALID, "a.pre_encode.out.weight"),
  MMPROJ (29, "more audio ids than the vocabulary", audio_embedding_absurd, INVALID, "vocabulary"),
  MMPROJ (29, "audio norm of half the width", audio_norm, INVALID, "a.blk.0.ln2.weight"),
  MMPROJ (29, "a probability of 2", threshold_2, INVALID, "gemma.audio.no_speech_threshold"),
  MMPROJ (29, "a probability that is no number", threshold_nan, INVALID, "gemma.audio.no_speech_threshold"),
  MMPROJ (29, "pad_clip as an integer", pad_clip_int, INVALID, "gemma.audio.pad_clip"),
  MMPROJ (29, "has_audio_encoder as an integer", has_audio_int, INVALID, "clip.has_audio_encoder"),
  TEXT (30, "NaN scale, Q8_0", scale_nan_q8, INVALID, "blk.2.ffn_gate.weight"),
  TEXT (30, "infinite scale, Q4_0", scale_inf_q4, INVALID, "blk.2.ffn_up.weight"),
  TEXT (30, "NaN minimum, Q5_1", min_nan_q5_1, INVALID, "blk.2.ffn_gate.weight"),
  TEXT (30, "NaN scale in a table", scale_nan_table, INVALID, "per_layer_token_embd.weight"),
  MMPROJ (30, "NaN scale, audio", scale_nan_audio, INVALID, "a.blk.0.ffn_down.weight"),
  TEXT (30, "NaN in a norm", norm_nan, INVALID, "blk.0.attn_norm.weight"),
};

const guint n_bad_ggufs = G_N_ELEMENTS (bad_ggufs);

GByteArray *
bad_gguf_bytes (const BadGguf *bad)
{
  Image *image = bad->mmproj ? fixture_mmproj () : fixture_text ();
  GByteArray *bytes;

  if (bad->change)
    bad->change (image);
  bytes = image_bytes (image);
  if (bad->patch)
    bad->patch (bytes);
  image_free (image);
  return bytes;
}
