#include "bad.h"

#include <string.h>

#define ST "model.safetensors"
#define CONFIG "config.json"
#define DEEP 1000000

/* Replaces the 8-byte length in front of the header. */
static void
set_length (GByteArray *bytes, guint64 length)
{
  memcpy (bytes->data, &length, sizeof length);
}

static guint64
get_length (const GByteArray *bytes)
{
  guint64 length;

  memcpy (&length, bytes->data, sizeof length);
  return length;
}

/* The file with @header for a header and the old data. */
static void
set_header (GByteArray *bytes, const gchar *header, gsize n)
{
  const gsize old = 8 + get_length (bytes);
  g_autoptr (GByteArray) data = g_byte_array_new ();

  g_byte_array_append (data, bytes->data + old, bytes->len - old);
  g_byte_array_set_size (bytes, 8);
  set_length (bytes, n);
  g_byte_array_append (bytes, (const guint8 *) header, n);
  g_byte_array_append (bytes, data->data, data->len);
}

static void
set_text (GByteArray *bytes, const gchar *text)
{
  g_byte_array_set_size (bytes, 0);
  g_byte_array_append (bytes, (const guint8 *) text, strlen (text));
}

/* @n times @open. */
static gchar *
repeated (const gchar *open, gsize n)
{
  GString *s = g_string_new (NULL);

  for (gsize i = 0; i < n; i++)
    g_string_append (s, open);
  return g_string_free (s, FALSE);
}

#define PATCH(name) static void name (GByteArray *bytes)

PATCH (seven_bytes) { g_byte_array_set_size (bytes, 7); }
PATCH (no_bytes) { g_byte_array_set_size (bytes, 0); }
PATCH (header_over_limit) { set_length (bytes, 100000001); }
PATCH (header_past_end) { set_length (bytes, bytes->len - 7); }
PATCH (header_max) { set_length (bytes, G_MAXUINT64); }
PATCH (header_empty) { set_length (bytes, 0); }
PATCH (header_array) { set_header (bytes, "[]", 2); }
PATCH (header_space) { set_header (bytes, " {}", 3); }
PATCH (header_only_brace) { set_header (bytes, "{", 1); }
PATCH (header_not_utf8) { bytes->data[8 + 2] = 0xff; }
PATCH (header_comment) { set_header (bytes, "{/* */}", 7); }
PATCH (hole_at_end) { g_byte_array_append (bytes, (const guint8 *) "0123", 4); }
PATCH (cut_at_end) { g_byte_array_set_size (bytes, bytes->len - 1); }
PATCH (no_tensors) { set_header (bytes, "{}", 2); }
PATCH (deep_header)
{
  g_autofree gchar *nest = repeated ("{\"a\":", DEEP);
  set_header (bytes, nest, strlen (nest));
}
PATCH (deep_config)
{
  g_autofree gchar *nest = repeated ("[", DEEP);
  set_text (bytes, nest);
}
PATCH (deep_config_object)
{
  g_autofree gchar *nest = repeated ("{\"text_config\":", DEEP);
  set_text (bytes, nest);
}
PATCH (config_empty) { set_text (bytes, ""); }
PATCH (config_array) { set_text (bytes, "[]"); }
PATCH (config_no_members) { set_text (bytes, "{}"); }
PATCH (config_nul) { bytes->data[5] = '\0'; }
PATCH (config_large)
{
  const guint was = bytes->len;
  g_byte_array_set_size (bytes, 17 << 20);
  memset (bytes->data + was, ' ', bytes->len - was);
}
PATCH (generation_array) { set_text (bytes, "[1]"); }
PATCH (preprocessor_cut) { g_byte_array_set_size (bytes, bytes->len / 2); }

#define Q0 "model.language_model.layers.0.self_attn.q_proj.weight"
#define NORM "model.language_model.norm.weight"

#define TEXT(row, what, file, from, to, code, names) { row, what, file, from, to, NULL, GEMMA_ERROR_##code, names }
#define PATCHED(row, what, file, patch, code, names) { row, what, file, NULL, NULL, patch, GEMMA_ERROR_##code, names }

const BadHf bad_hfs[] = {
  PATCHED (31, "empty", ST, no_bytes, INVALID, "at least 8"),
  PATCHED (31, "7 bytes", ST, seven_bytes, INVALID, "at least 8"),
  PATCHED (32, "header over 100,000,000 bytes", ST, header_over_limit, INVALID, "100000001"),
  PATCHED (32, "header of 2^64 - 1 bytes", ST, header_max, INVALID, "18446744073709551615"),
  PATCHED (33, "header longer than the file", ST, header_past_end, INVALID, "header"),
  PATCHED (33, "header of 0 bytes", ST, header_empty, INVALID, "header"),
  PATCHED (34, "header an array", ST, header_array, INVALID, "header"),
  PATCHED (34, "header begins with a space", ST, header_space, INVALID, "header"),
  PATCHED (34, "header not closed", ST, header_only_brace, INVALID, "byte"),
  PATCHED (34, "header not UTF-8", ST, header_not_utf8, INVALID, "UTF-8"),
  PATCHED (34, "header with a comment", ST, header_comment, INVALID, "byte"),
  TEXT (35, "hole between tensors", ST, "\"shape\": [32, 32], \"data_offsets\": [0, 2048]",
      "\"shape\": [32, 31], \"data_offsets\": [0, 1984]", INVALID, "hole"),
  TEXT (35, "hole before the first", ST, "\"data_offsets\": [0, 2048]", "\"data_offsets\": [8, 2056]", INVALID,
      "altup_projections.0.weight"),
  PATCHED (35, "data without tensors", ST, no_tensors, INVALID, "ends"),
  TEXT (36, "tensors overlap", ST, "\"data_offsets\": [2048, 4096]", "\"data_offsets\": [2040, 4088]", INVALID,
      "altup_projections.1.weight"),
  TEXT (36, "tensors share their place", ST, "\"data_offsets\": [2048, 4096]", "\"data_offsets\": [0, 2048]", INVALID,
      "overlap"),
  PATCHED (37, "bytes after the last tensor", ST, hole_at_end, INVALID, "the last tensor ends at"),
  PATCHED (37, "last tensor cut", ST, cut_at_end, INVALID, "the last tensor ends at"),
  TEXT (38, "shape larger than the bytes", ST, Q0 "\": {\"dtype\": \"F32\", \"shape\": [32, 32]",
      Q0 "\": {\"dtype\": \"F32\", \"shape\": [32, 33]", INVALID, Q0),
  TEXT (38, "dtype smaller than the bytes", ST, Q0 "\": {\"dtype\": \"F32\"", Q0 "\": {\"dtype\": \"F16\"", INVALID,
      Q0),
  TEXT (38, "offsets descend", ST, "\"data_offsets\": [2048, 4096]", "\"data_offsets\": [4096, 2048]", INVALID,
      "altup_projections.1.weight"),
  TEXT (38, "negative offset", ST, "\"data_offsets\": [0, 2048]", "\"data_offsets\": [-2048, 0]", INVALID,
      "altup_projections.0.weight"),
  TEXT (38, "three offsets", ST, "\"data_offsets\": [0, 2048]", "\"data_offsets\": [0, 2048, 1]", INVALID,
      "altup_projections.0.weight"),
  TEXT (38, "negative dimension", ST, Q0 "\": {\"dtype\": \"F32\", \"shape\": [32, 32]",
      Q0 "\": {\"dtype\": \"F32\", \"shape\": [-32, -32]", INVALID, Q0),
  TEXT (38, "dimension a float", ST, Q0 "\": {\"dtype\": \"F32\", \"shape\": [32, 32]",
      Q0 "\": {\"dtype\": \"F32\", \"shape\": [32.0, 32]", INVALID, Q0),
  TEXT (38, "unknown dtype", ST, Q0 "\": {\"dtype\": \"F32\"", Q0 "\": {\"dtype\": \"F33\"", UNSUPPORTED, Q0),
  TEXT (38, "dtype not computed with", ST, Q0 "\": {\"dtype\": \"F32\"", Q0 "\": {\"dtype\": \"I32\"", UNSUPPORTED,
      Q0),
  TEXT (38, "dtype a number", ST, Q0 "\": {\"dtype\": \"F32\"", Q0 "\": {\"dtype\": 32", INVALID, "dtype"),
  TEXT (38, "no dtype", ST, Q0 "\": {\"dtype\": \"F32\"", Q0 "\": {\"type\": \"F32\"", INVALID, Q0),
  TEXT (38, "no shape", ST, Q0 "\": {\"dtype\": \"F32\", \"shape\": [32, 32]",
      Q0 "\": {\"dtype\": \"F32\", \"shapes\": [32, 32]", INVALID, Q0),
  TEXT (38, "a description that is a number", ST, "\"__metadata__\"", "\"x\": 1, \"__metadata__\"", INVALID, "x"),
  TEXT (38, "metadata that is not strings", ST, "{\"format\": \"pt\"}", "{\"format\": 1}", INVALID, "__metadata__"),
  TEXT (39, "shape overflows", ST, Q0 "\": {\"dtype\": \"F32\", \"shape\": [32, 32]",
      Q0 "\": {\"dtype\": \"F32\", \"shape\": [4294967296, 4294967296]", INVALID, Q0),
  TEXT (39, "shape of 2^65", ST, Q0 "\": {\"dtype\": \"F32\", \"shape\": [32, 32]",
      Q0 "\": {\"dtype\": \"F32\", \"shape\": [36893488147419103232, 32]", INVALID, Q0),
  TEXT (40, "duplicate tensor", ST, "layers.1.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.weight", INVALID,
      Q0),
  TEXT (40, "duplicate tensor, spelled otherwise", ST, "layers.1.self_attn.q_proj.weight",
      "layers.\\u0030.self_attn.q_proj.weight", INVALID, Q0),
  TEXT (40, "duplicate tensor under another prefix", ST, "model.language_model.layers.1.self_attn.q_proj.weight",
      "language_model.model.layers.0.self_attn.q_proj.weight", INVALID, "blk.0.attn_q.weight"),
  TEXT (40, "duplicate member", ST, Q0 "\": {\"dtype\": \"F32\"", Q0 "\": {\"dtype\": \"F32\", \"dtype\": \"F32\"",
      INVALID, "dtype"),
  TEXT (40, "duplicate key in config.json", CONFIG, "\"num_hidden_layers\": 4",
      "\"num_hidden_layers\": 4, \"num_hidden_layers\": 5", INVALID, "num_hidden_layers"),
  PATCHED (41, "header nested 10^6 deep", ST, deep_header, INVALID, "deep"),
  PATCHED (41, "config.json nested 10^6 deep", CONFIG, deep_config, INVALID, "deep"),
  PATCHED (41, "config.json nested 10^6 objects deep", CONFIG, deep_config_object, INVALID, "deep"),

  PATCHED (48, "config.json empty", CONFIG, config_empty, INVALID, "byte"),
  PATCHED (48, "config.json an array", CONFIG, config_array, INVALID, "not an object"),
  PATCHED (48, "config.json without members", CONFIG, config_no_members, NOT_FOUND, "model_type"),
  PATCHED (48, "config.json with NUL", CONFIG, config_nul, INVALID, "UTF-8"),
  PATCHED (48, "config.json of 17 MB", CONFIG, config_large, INVALID, "allowed"),
  TEXT (48, "another model", CONFIG, "\"gemma3n\"", "\"llama\"", UNSUPPORTED, "model_type"),
  TEXT (48, "text_config a list", CONFIG, "\"text_config\": {", "\"text_config\": [], \"other\": {", INVALID,
      "text_config"),
  TEXT (48, "text_config missing", CONFIG, "\"text_config\"", "\"test_config\"", INVALID, "layers"),
  TEXT (48, "width a string", CONFIG, "\"hidden_size\": 32", "\"hidden_size\": \"32\"", INVALID,
      "text_config.hidden_size"),
  TEXT (48, "width a float", CONFIG, "\"hidden_size\": 32", "\"hidden_size\": 32.5", INVALID,
      "text_config.hidden_size"),
  TEXT (48, "width 0", CONFIG, "\"hidden_size\": 32", "\"hidden_size\": 0", INVALID, "text_config.hidden_size"),
  TEXT (48, "width of no tensor", CONFIG, "\"hidden_size\": 32", "\"hidden_size\": 64", INVALID, "embed_tokens"),
  TEXT (48, "layers -1", CONFIG, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": -1", INVALID,
      "text_config.num_hidden_layers"),
  TEXT (48, "layers 10^20", CONFIG, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 100000000000000000000",
      INVALID, "text_config.num_hidden_layers"),
  TEXT (48, "layers and lists differ", CONFIG, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5", INVALID,
      "text_config.intermediate_size"),
  TEXT (48, "heads 0", CONFIG, "\"num_attention_heads\": 2", "\"num_attention_heads\": 0", INVALID,
      "text_config.num_attention_heads"),
  TEXT (48, "heads 3", CONFIG, "\"num_attention_heads\": 2", "\"num_attention_heads\": 3", INVALID, "q_proj"),
  TEXT (48, "heads missing", CONFIG, "\"num_attention_heads\": 2", "\"attention_heads\": 2", INVALID, "q_proj"),
  TEXT (48, "all layers share", CONFIG, "\"num_kv_shared_layers\": 2", "\"num_kv_shared_layers\": 4", INVALID,
      "share"),
  TEXT (48, "head dimension odd", CONFIG, "\"head_dim\": 16", "\"head_dim\": 15", INVALID, "head dimension"),
  TEXT (48, "window 0", CONFIG, "\"sliding_window\": 8", "\"sliding_window\": 0", INVALID,
      "text_config.sliding_window"),
  TEXT (48, "vocabulary of no tensor", CONFIG, "\"vocab_size\": 64", "\"vocab_size\": 65", INVALID, "embed_tokens"),
  TEXT (48, "FFN widths for 3 layers", CONFIG, "[32, 32, 32, 32]", "[32, 32, 32]", INVALID,
      "text_config.intermediate_size"),
  TEXT (48, "FFN width a string", CONFIG, "[32, 32, 32, 32]", "[32, \"32\", 32, 32]", INVALID,
      "text_config.intermediate_size[1]"),
  TEXT (48, "FFN width negative", CONFIG, "[32, 32, 32, 32]", "[32, 32, 32, -32]", INVALID,
      "text_config.intermediate_size[3]"),
  TEXT (48, "FFN width of no tensor", CONFIG, "[32, 32, 32, 32]", "[32, 32, 64, 32]", INVALID, "layers.2.mlp"),
  TEXT (48, "FFN width an object", CONFIG, "[32, 32, 32, 32]", "{}", INVALID, "text_config.intermediate_size"),
  TEXT (48, "sparsity 1", CONFIG, "[0.95, 0.0", "[1.0, 0.0", INVALID, "activation_sparsity_pattern[0]"),
  TEXT (48, "sparsity -1", CONFIG, "[0.95, 0.0", "[0.95, -1", INVALID, "activation_sparsity_pattern[1]"),
  TEXT (48, "sparsity 10^999", CONFIG, "[0.95, 0.0", "[1e999, 0.0", INVALID, "activation_sparsity_pattern[0]"),
  TEXT (48, "layer type unknown", CONFIG, "\"full_attention\"", "\"half_attention\"", UNSUPPORTED, "layer_types[1]"),
  TEXT (48, "layer type a number", CONFIG, "\"full_attention\"", "1", UNSUPPORTED, "layer_types[1]"),
  TEXT (48, "epsilon a string", CONFIG, "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": \"1e-6\"", INVALID,
      "text_config.rms_norm_eps"),
  TEXT (48, "rope base infinite", CONFIG, "\"rope_theta\": 1000000.0", "\"rope_theta\": 1e999", INVALID,
      "text_config.rope_theta"),
  TEXT (48, "rope scaling", CONFIG, "\"rope_scaling\": null, \"final", "\"rope_scaling\": {\"rope_type\": \"yarn\"}, \"final",
      UNSUPPORTED, "rope_scaling"),
  TEXT (48, "untied head", CONFIG, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", UNSUPPORTED,
      "tie_word_embeddings"),
  TEXT (48, "attention bias", CONFIG, "\"attention_bias\": false", "\"attention_bias\": true", UNSUPPORTED,
      "attention_bias"),
  TEXT (48, "another activation", CONFIG, "gelu_pytorch_tanh", "silu", UNSUPPORTED, "hidden_activation"),
  TEXT (48, "audio width of no tensor", CONFIG, "\"hidden_size\": 16", "\"hidden_size\": 18", INVALID,
      "input_proj_linear"),
  TEXT (48, "audio heads 3", CONFIG, "\"conf_num_attention_heads\": 2", "\"conf_num_attention_heads\": 3", INVALID,
      "heads"),
  TEXT (48, "audio layers", CONFIG, "\"conf_num_hidden_layers\": 1", "\"conf_num_hidden_layers\": 2", INVALID,
      "claims 2 layers"),
  TEXT (48, "audio channels", CONFIG, "\"sscp_conv_channel_size\": [4, 2]", "\"sscp_conv_channel_size\": [4]", INVALID,
      "audio_config.sscp_conv_channel_size"),
  TEXT (48, "audio kernel 5x5", CONFIG, "[[3, 3], [3, 3]]", "[[3, 3], [5, 5]]", UNSUPPORTED, "sscp_conv_kernel_size"),
  TEXT (48, "audio kernel flat", CONFIG, "[[3, 3], [3, 3]]", "[3, 3]", INVALID, "sscp_conv_kernel_size"),
  TEXT (48, "audio sees the future", CONFIG, "\"conf_attention_context_right\": 0",
      "\"conf_attention_context_right\": 4", UNSUPPORTED, "conf_attention_context_right"),
  TEXT (48, "audio ids past the vocabulary", CONFIG, "\"vocab_offset\": 56", "\"vocab_offset\": 60", INVALID, "audio"),
  TEXT (48, "vision ids past the vocabulary", CONFIG, "\"vocab_offset\": 48", "\"vocab_offset\": 60", INVALID,
      "vision"),
  TEXT (48, "audio token past the vocabulary", CONFIG, "\"audio_token_id\": 57", "\"audio_token_id\": 64", INVALID,
      "<audio_soft_token>"),
  TEXT (48, "audio token negative", CONFIG, "\"audio_token_id\": 57", "\"audio_token_id\": -1", INVALID,
      "audio_token_id"),
  TEXT (48, "five end tokens", "generation_config.json", "[1, 6]", "[1, 2, 3, 4, 5]", INVALID, "eos_token_id"),
  TEXT (48, "no end token", "generation_config.json", "[1, 6]", "[]", INVALID, "eos_token_id"),
  TEXT (48, "end token a string", "generation_config.json", "[1, 6]", "[1, \"6\"]", INVALID, "eos_token_id[1]"),
  TEXT (48, "end token past the vocabulary", "generation_config.json", "[1, 6]", "[1, 106]", INVALID, "end token"),
  PATCHED (48, "generation_config.json an array", "generation_config.json", generation_array, INVALID,
      "not an object"),
  TEXT (48, "another sampling rate", "preprocessor_config.json", "16000", "24000", UNSUPPORTED, "sampling_rate"),
  TEXT (48, "other mel bands", "preprocessor_config.json", "\"feature_size\": 8", "\"feature_size\": 80", UNSUPPORTED,
      "feature_size"),
  PATCHED (48, "preprocessor_config.json cut", "preprocessor_config.json", preprocessor_cut, INVALID, "byte"),
  TEXT (48, "another pre-emphasis", "preprocessor_config.json", "0.97", "0.9", UNSUPPORTED, "preemphasis"),
  TEXT (48, "mel bands normalized", "preprocessor_config.json", "\"mel_floor\"", "\"per_bin_mean\": [0], \"mel_floor\"",
      UNSUPPORTED, "per_bin_mean"),
  TEXT (48, "extractor in processor_config.json", "processor_config.json", "{\"audio",
      "{\"feature_extractor\": {\"hop_length\": 256}, \"audio", UNSUPPORTED, "feature_extractor.hop_length"),
  TEXT (48, "clip of 0 tokens", "processor_config.json", "188", "0", INVALID, "audio_seq_length"),
  TEXT (48, "tensor of a layer missing", ST, "layers.3.laurel.linear_left.weight", "layers.3.laurel.linear_lost.weight",
      NOT_FOUND, "layers.3.laurel.linear_left.weight"),
};

const guint n_bad_hfs = G_N_ELEMENTS (bad_hfs);

GByteArray *
good_hf_bytes (const gchar *file)
{
  const gchar *text = strcmp (file, CONFIG) == 0 ? fixture_config ()
      : strcmp (file, "generation_config.json") == 0 ? fixture_generation_config ()
      : strcmp (file, "preprocessor_config.json") == 0 ? fixture_preprocessor_config () : "{\"audio_seq_length\": 188}";
  GByteArray *bytes;

  if (strcmp (file, ST) == 0)
    return fixture_safetensors (0, 1);
  bytes = g_byte_array_new ();
  set_text (bytes, text);
  return bytes;
}

static void
replace (GByteArray *bytes, gboolean header, const gchar *from, const gchar *to)
{
  const gsize begin = header ? 8 : 0, n = header ? get_length (bytes) : bytes->len;
  GString *text = g_string_new_len ((const gchar *) bytes->data + begin, n);

  g_assert (g_string_replace (text, from, to, 1) == 1);
  if (header)
    set_header (bytes, text->str, text->len);
  else
    set_text (bytes, text->str);
  g_string_free (text, TRUE);
}

GByteArray *
bad_hf_bytes (const BadHf *bad)
{
  GByteArray *bytes = good_hf_bytes (bad->file);

  if (bad->from)
    replace (bytes, strcmp (bad->file, ST) == 0, bad->from, bad->to);
  if (bad->patch)
    bad->patch (bytes);
  return bytes;
}
