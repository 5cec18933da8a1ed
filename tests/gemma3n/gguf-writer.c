#include "gguf-writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gguf-quantize.h"
#include "tests/seeded-weights.h"

enum
{
  KV_U32 = 4,
  KV_F32 = 6,
  KV_BOOL = 7,
  KV_STRING = 8,
  KV_ARRAY = 9
};

static const guint32 ggml_types[OCL_N_TYPES] = {
  [OCL_TYPE_F32] = 0, [OCL_TYPE_F16] = 1, [OCL_TYPE_BF16] = 30, [OCL_TYPE_Q8_0] = 8, [OCL_TYPE_Q4_0] = 2,
  [OCL_TYPE_Q4_1] = 3, [OCL_TYPE_Q5_0] = 6, [OCL_TYPE_Q5_1] = 7, [OCL_TYPE_Q4_K] = 12, [OCL_TYPE_Q5_K] = 13,
  [OCL_TYPE_Q6_K] = 14
};

/* ---- metadata (files are little-endian, as are the machines of these tests) ------------------------------- */

typedef struct
{
  GByteArray *bytes;
  guint64 n;
} Metadata;

static void
put (GByteArray *out, gconstpointer data, gsize n)
{
  g_byte_array_append (out, data, n);
}

static void
put_u32 (GByteArray *out, guint32 x)
{
  put (out, &x, 4);
}

static void
put_u64 (GByteArray *out, guint64 x)
{
  put (out, &x, 8);
}

static void
put_string (GByteArray *out, const gchar *s)
{
  put_u64 (out, strlen (s));
  put (out, s, strlen (s));
}

static void
put_key (Metadata *kv, const gchar *key, guint32 type)
{
  put_string (kv->bytes, key);
  put_u32 (kv->bytes, type);
  kv->n++;
}

static void
put_int (Metadata *kv, const gchar *key, guint32 value)
{
  put_key (kv, key, KV_U32);
  put_u32 (kv->bytes, value);
}

static void
put_float (Metadata *kv, const gchar *key, gfloat value)
{
  put_key (kv, key, KV_F32);
  put (kv->bytes, &value, 4);
}

static void
put_array (Metadata *kv, const gchar *key, guint32 type, guint64 n)
{
  put_key (kv, key, KV_ARRAY);
  put_u32 (kv->bytes, type);
  put_u64 (kv->bytes, n);
}

/* Soft ids are found by these names. Of a Gemma 3 the first is what pictures consist of. */
static gchar *
token_name (const gchar *architecture, const GemmaTextConfig *c, gint id)
{
  if (g_str_equal (architecture, "gemma3"))
    return id == c->first_soft_id ? g_strdup ("<image_soft_token>")
        : id == c->first_soft_id - 1 ? g_strdup ("<end_of_image>")
        : id == c->first_soft_id - 2 ? g_strdup ("<start_of_image>") : g_strdup_printf ("<%d>", id);
  if (id == c->first_soft_id)
    return g_strdup ("<end_of_image>");
  return id == c->first_soft_id + 1 ? g_strdup ("<image_soft_token>") : g_strdup_printf ("<%d>", id);
}

static void
put_tokens (Metadata *kv, const gchar *architecture, const GemmaTextConfig *c)
{
  put_key (kv, "tokenizer.ggml.model", KV_STRING);
  put_string (kv->bytes, "llama");
  put_array (kv, "tokenizer.ggml.tokens", KV_STRING, c->vocab_size);
  for (gint i = 0; i < c->vocab_size; i++) {
    g_autofree gchar *token = token_name (architecture, c, i);
    put_string (kv->bytes, token);
  }
  put_array (kv, "tokenizer.ggml.scores", KV_F32, c->vocab_size);
  for (gint i = 0; i < c->vocab_size; i++)
    put_u32 (kv->bytes, 0);
  put_array (kv, "tokenizer.ggml.token_type", KV_U32 + 1, c->vocab_size);
  for (gint i = 0; i < c->vocab_size; i++)
    put_u32 (kv->bytes, i < 4 ? 3 : 1);
  put_int (kv, "tokenizer.ggml.bos_token_id", 2);
  put_int (kv, "tokenizer.ggml.eos_token_id", 1);
  put_int (kv, "tokenizer.ggml.unknown_token_id", 3);
  put_int (kv, "tokenizer.ggml.padding_token_id", 0);
}

static void
put_gemma3n (Metadata *kv, const GemmaTextConfig *c)
{
  put_int (kv, "gemma3n.altup.active_idx", 0);
  put_int (kv, "gemma3n.altup.num_inputs", c->gemma3n.n_altup);
  put_int (kv, "gemma3n.embedding_length_per_layer_input", c->gemma3n.ple_dim);
  put_int (kv, "gemma3n.attention.shared_kv_layers", c->gemma3n.n_shared_kv);
  put_array (kv, "gemma3n.activation_sparsity_scale", KV_F32, c->n_layers);
  for (gint i = 0; i < c->n_layers; i++)
    put (kv->bytes, &c->gemma3n.sparsity[i], 4);
}

static gchar *
text_key (const gchar *architecture, const GemmaTextConfig *c, const gchar *name)
{
  return g_strconcat (architecture, ".", c->prefix ? c->prefix : "", name, NULL);
}

static void
put_rope_scaling (Metadata *kv, const gchar *architecture, const GemmaTextConfig *c)
{
  g_autofree gchar *type = text_key (architecture, c, "rope.scaling.type");
  g_autofree gchar *factor = text_key (architecture, c, "rope.scaling.factor");
  if (c->rope_factor <= 1)
    return;
  put_key (kv, type, KV_STRING);
  put_string (kv->bytes, "linear");
  put_float (kv, factor, c->rope_factor);
}

static void
put_text (Metadata *kv, const gchar *architecture, const GemmaTextConfig *c)
{
  const struct
  {
    const gchar *name;
    gint value;
  } ints[] = { { "block_count", c->n_layers }, { "context_length", c->context_length },
    { "embedding_length", c->hidden }, { "attention.head_count", c->n_heads },
    { "attention.head_count_kv", c->n_kv_heads }, { "attention.key_length", c->head_dim },
    { "attention.value_length", c->head_dim }, { "attention.sliding_window", c->window } };
  const struct
  {
    const gchar *name;
    gfloat value;
  } floats[] = { { "rope.freq_base", c->rope_base }, { "rope.freq_base_swa", c->rope_base_local },
    { "attention.layer_norm_rms_epsilon", c->rms_eps }, { "final_logit_softcapping", c->logit_softcap } };
  g_autofree gchar *ffn = text_key (architecture, c, "feed_forward_length");
  g_autofree gchar *pattern = text_key (architecture, c, "attention.sliding_window_pattern");

  for (guint i = 0; i < G_N_ELEMENTS (ints); i++) {
    g_autofree gchar *key = text_key (architecture, c, ints[i].name);
    put_int (kv, key, ints[i].value);
  }
  for (guint i = 0; i < G_N_ELEMENTS (floats); i++) {
    g_autofree gchar *key = text_key (architecture, c, floats[i].name);
    put_float (kv, key, floats[i].value);
  }
  put_array (kv, ffn, KV_U32, c->n_layers);
  for (gint i = 0; i < c->n_layers; i++)
    put_u32 (kv->bytes, c->ffn[i]);
  put_array (kv, pattern, KV_BOOL, c->n_layers);
  for (gint i = 0; i < c->n_layers; i++)
    put (kv->bytes, &(guint8){ c->sliding[i] != 0 }, 1);
  put_rope_scaling (kv, architecture, c);
}

static void
put_metadata (Metadata *kv, const gchar *architecture, const GemmaTextConfig *c)
{
  put_key (kv, "general.architecture", KV_STRING);
  put_string (kv->bytes, architecture);
  put_text (kv, architecture, c);
  if (g_str_equal (architecture, "gemma3n"))
    put_gemma3n (kv, c);
  put_tokens (kv, architecture, c);
}

/* What models/convert-t5gemma2.py writes besides. */
static void
put_t5gemma2 (Metadata *kv, const GemmaConfig *config)
{
  put_text (kv, "t5gemma2", &config->encoder);
  put_float (kv, "t5gemma2.enc.attention.scale", config->encoder.attention_scale);
  put_float (kv, "t5gemma2.dec.attention.scale", config->text.attention_scale);
  put_int (kv, "t5gemma2.decoder_start_token_id", config->start_id);
  put_int (kv, "t5gemma2.boi_token_id", config->boi_id);
  put_int (kv, "t5gemma2.eoi_token_id", config->eoi_id);
  put_int (kv, "t5gemma2.image_token_id", config->image_token_id);
}

static void
put_floats (Metadata *kv, const gchar *key, const gfloat *values, guint n)
{
  put_array (kv, key, KV_F32, n);
  put (kv->bytes, values, n * sizeof (gfloat));
}

static void
put_siglip (Metadata *kv, const GemmaConfig *config)
{
  const GemmaSiglipConfig *s = &config->siglip;
  put_key (kv, "clip.has_vision_encoder", KV_BOOL);
  put (kv->bytes, &(guint8){ 1 }, 1);
  put_key (kv, "clip.projector_type", KV_STRING);
  put_string (kv->bytes, "gemma3");
  put_int (kv, "clip.vision.projection_dim", config->text.hidden);
  put_int (kv, "clip.vision.image_size", s->image_size);
  put_int (kv, "clip.vision.patch_size", s->patch_size);
  put_int (kv, "clip.vision.embedding_length", s->hidden);
  put_int (kv, "clip.vision.feed_forward_length", s->ffn);
  put_int (kv, "clip.vision.block_count", s->n_layers);
  put_int (kv, "clip.vision.attention.head_count", s->n_heads);
  put_float (kv, "clip.vision.attention.layer_norm_epsilon", s->norm_eps);
  put_floats (kv, "clip.vision.image_mean", s->mean, 3);
  put_floats (kv, "clip.vision.image_std", s->std, 3);
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

static void
tensor_free (gpointer p)
{
  GgufTensor *t = p;
  g_free (t->name);
  g_clear_pointer (&t->data, g_byte_array_unref);
  g_free (t);
}

GPtrArray *
gguf_list_new (void)
{
  return g_ptr_array_new_with_free_func (tensor_free);
}

GgufTensor *
gguf_list_add (GPtrArray *list, const gchar *name, OclType type, gint cols, gint rows, gint slices)
{
  GgufTensor *t = g_new0 (GgufTensor, 1);
  t->name = g_strdup (name);
  t->type = type;
  t->dims[0] = cols;
  t->dims[1] = rows;
  t->dims[2] = slices;
  t->dims[3] = 1;
  t->n_dims = slices > 1 ? 3 : rows > 1 ? 2 : 1;
  g_ptr_array_add (list, t);
  return t;
}

static void
encode (GByteArray *out, const gfloat *x, gsize n, OclType type)
{
  if (type == OCL_TYPE_F32) {
    put (out, x, n * 4);
    return;
  }
  if (ocl_type_info (type)->block > 1) {
    gguf_quantize (out, x, n, type);
    return;
  }
  for (gsize i = 0; i < n; i++) {
    guint16 half = seeded_to_half (x[i], type);
    put (out, &half, 2);
  }
}

/* What llama-quantize makes of Q4_K_M: more bits where they matter most. */
static OclType
mixed_type (const gchar *name)
{
  static const gchar *const better[] = { "token_embd", "attn_v", "ffn_down" };
  for (guint i = 0; i < G_N_ELEMENTS (better); i++) {
    if (strstr (name, better[i]))
      return OCL_TYPE_Q6_K;
  }
  return strstr (name, "attn_output") ? OCL_TYPE_Q5_K : OCL_TYPE_Q4_K;
}

/* And where rows are no whole blocks of 256. */
static OclType
fallback (OclType type)
{
  return type == OCL_TYPE_Q4_K ? OCL_TYPE_Q5_0 : type == OCL_TYPE_Q5_K ? OCL_TYPE_Q5_1 : OCL_TYPE_Q8_0;
}

OclType
gguf_type_of (const gchar *name, gint64 cols, OclType type)
{
  gboolean kept = strstr (name, "altup") || strstr (name, "laurel") || strstr (name, "per_layer_model_proj");
  if (kept || cols % 32)
    return OCL_TYPE_F16;
  if (type == GGUF_MIXED)
    type = mixed_type (name);
  return cols % ocl_type_info (type)->block ? fallback (type) : type;
}

/* What llama-quantize does to a tensor when it writes @type. */
static OclType
type_of (const GemmaTensor *t, OclType type)
{
  if (t->n_dims < 2 || strstr (t->name, "altup_correct") || strstr (t->name, "altup_predict"))
    return OCL_TYPE_F32;
  return type == OCL_TYPE_F32 || type == OCL_TYPE_BF16 ? type : gguf_type_of (t->name, t->dims[0], type);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(GemmaTensor **) a)->name, (*(GemmaTensor **) b)->name);
}

static void
add_tensor (GPtrArray *list, GemmaWeights *weights, const GemmaTensor *from, OclType type, gboolean dequantized,
    gfloat norm_offset)
{
  gint cols = from->dims[0], rows = from->n_dims > 1 ? from->dims[1] : 1;
  gint slices = from->n_dims == 4 ? from->dims[2] * from->dims[3] : 1; /* a convolution's */
  gsize n = (gsize) rows * cols * slices;
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *x = gemma_weights_read_f32 (weights, from->name, rows * slices, cols, &error);
  if (!x)
    g_error ("%s", error->message);
  for (gsize i = 0; g_str_has_suffix (from->name, "norm.weight") && i < n; i++)
    x[i] += norm_offset;
  g_autoptr (GByteArray) encoded = g_byte_array_new ();
  encode (encoded, x, n, type);
  if (dequantized) {
    ocl_type_dequantize (type, encoded->data, x, n);
    g_byte_array_set_size (encoded, 0);
    encode (encoded, x, n, type = OCL_TYPE_F32);
  }

  /* "altup_proj.1.weight" is the second slice of "altup_proj.weight". */
  g_auto (GStrv) word = g_strsplit (from->name, ".", -1);
  gboolean slice = g_str_has_prefix (from->name, "altup_") && g_strv_length (word) == 3;
  if (slice && !g_str_equal (word[1], "0")) {
    GgufTensor *t = list->pdata[list->len - 1];
    put (t->data, encoded->data, encoded->len);
    t->dims[2]++;
    return;
  }
  g_autofree gchar *stacked = g_strdup_printf ("%s.weight", word[0]);
  GgufTensor *t = gguf_list_add (list, slice ? stacked : from->name, type, cols, rows, 1);
  t->n_dims = slice ? 3 : from->n_dims;
  for (guint d = 2; d < t->n_dims && !slice; d++)
    t->dims[d] = from->dims[d];
  t->data = g_steal_pointer (&encoded);
}

/* SigLIP's and its embedder's. */
static gboolean
is_of_pictures (const gchar *name)
{
  return g_str_has_prefix (name, "v.") || g_str_has_prefix (name, "mm.");
}

static GPtrArray *
convert (GemmaWeights *weights, OclType type, gboolean dequantized, gfloat norm_offset)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  GPtrArray *list = gguf_list_new ();
  for (guint i = 0; i < gemma_weights_get_n_tensors (weights); i++)
    g_ptr_array_add (sorted, (gpointer) gemma_weights_get_nth (weights, i));
  g_ptr_array_sort (sorted, compare_names);
  for (guint i = 0; i < sorted->len; i++) {
    const GemmaTensor *t = sorted->pdata[i];
    OclType own = is_of_pictures (t->name) ? OCL_TYPE_F32 : type_of (t, type);
    add_tensor (list, weights, t, own, dequantized, norm_offset);
  }
  return list;
}

/* Keeps what is of pictures, or the rest. */
static void
keep (GPtrArray *list, gboolean of_pictures)
{
  for (guint i = list->len; i > 0; i--)
    if (is_of_pictures (((GgufTensor *) list->pdata[i - 1])->name) != of_pictures)
      g_ptr_array_remove_index (list, i - 1);
}

/* ---- the file ------------------------------------------------------------------------------------------------- */

static gsize
tensor_bytes (const GgufTensor *t)
{
  return ocl_type_row_bytes (t->type, t->dims[0]) * t->dims[1] * t->dims[2] * t->dims[3];
}

/* Scales of random bytes of a quantized type that make weights uniform, with a standard deviation of about @std. */
static void
put_halves (guint8 *block, const OclTypeInfo *info, gfloat std)
{
  const gfloat deviation = (1 << info->bits) / 3.46f, mean = ((1 << info->bits) - 1) / 2.f;
  const gfloat multiplier = info->block < 256 ? 1.f : info->part == 16 ? 73.f : 36.f; /* root of the mean square */
  const gfloat d = std / (deviation * multiplier), m = -info->min_sign * d * mean;
  const guint16 halves[2] = { seeded_to_half (d, OCL_TYPE_F16), seeded_to_half (m, OCL_TYPE_F16) };
  for (guint i = 0; i < info->n_halves; i++)
    memcpy (block + info->half_at[i], &halves[i], 2);
}

/* Small random weights, uniform and of about 1 / sqrt (cols); vectors are 1. */
static void
random_bytes (guint8 *out, gsize n, const GgufTensor *t, guint64 *state)
{
  gfloat std = 1.f / sqrtf (t->dims[0]), one = 1.f;
  const OclTypeInfo *info = ocl_type_info (t->type);
  for (gsize i = 0; i < n; i += 8) {
    *state = *state * G_GUINT64_CONSTANT (6364136223846793005) + G_GUINT64_CONSTANT (1442695040888963407);
    guint64 z = *state ^ *state >> 29;
    memcpy (out + i, &z, MIN (8, n - i));
  }
  for (gsize i = 0; i < n; i += info->bytes) {
    gfloat x = t->n_dims == 1 ? one : ((gint8) out[i]) / 73.f * std;
    guint16 half = seeded_to_half (x, t->type);
    if (t->type == OCL_TYPE_F32)
      memcpy (out + i, &x, 4);
    else if (info->block > 1)
      put_halves (out + i, info, std);
    else
      memcpy (out + i, &half, 2);
  }
}

static void
write_data (FILE *file, const GgufTensor *t)
{
  static const guint8 zeros[32];
  gsize bytes = tensor_bytes (t), stretch = (1 << 20) / ocl_type_info (t->type)->bytes * ocl_type_info (t->type)->bytes;
  g_autofree guint8 *buffer = g_malloc (stretch);
  guint64 state = g_str_hash (t->name);
  if (t->data)
    g_assert (t->data->len == bytes && fwrite (t->data->data, 1, bytes, file) == bytes);
  for (gsize done = 0; !t->data && done < bytes; done += stretch) {
    gsize n = MIN (stretch, bytes - done);
    random_bytes (buffer, n, t, &state);
    g_assert (fwrite (buffer, 1, n, file) == n);
  }
  g_assert (fwrite (zeros, 1, -bytes % 32u, file) == -bytes % 32u);
}

static void
write_file (const gchar *path, const Metadata *metadata, GPtrArray *list)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  static const guint8 zeros[32];
  Metadata kv = *metadata;
  guint64 offset = 0;
  put (out, "GGUF", 4);
  put_u32 (out, 3);
  put_u64 (out, list->len);
  put_u64 (out, kv.n);
  put (out, kv.bytes->data, kv.bytes->len);
  g_byte_array_unref (kv.bytes);
  for (guint i = 0; i < list->len; i++) {
    const GgufTensor *t = list->pdata[i];
    put_string (out, t->name);
    put_u32 (out, t->n_dims);
    for (guint d = 0; d < t->n_dims; d++)
      put_u64 (out, t->dims[d]);
    put_u32 (out, ggml_types[t->type]);
    put_u64 (out, offset);
    offset += tensor_bytes (t) + -tensor_bytes (t) % 32u;
  }
  put (out, zeros, -out->len % 32u);
  FILE *file = fopen (path, "wb");
  g_assert (file && fwrite (out->data, 1, out->len, file) == out->len);
  for (guint i = 0; i < list->len; i++)
    write_data (file, list->pdata[i]);
  g_assert (fclose (file) == 0);
}

void
gguf_write (const gchar *path, const gchar *architecture, const GemmaTextConfig *config, GPtrArray *list)
{
  Metadata kv = { g_byte_array_new (), 0 };
  put_metadata (&kv, architecture, config);
  write_file (path, &kv, list);
}

void
gguf_write_text (
    const gchar *path, GemmaWeights *weights, const GemmaConfig *config, OclType type, gboolean dequantized)
{
  gboolean adds_one = !g_str_equal (config->architecture, "gemma3n"); /* to norms, as llama.cpp's converter does */
  g_autoptr (GPtrArray) list = convert (weights, type, dequantized, adds_one);
  Metadata kv = { g_byte_array_new (), 0 };
  put_metadata (&kv, config->architecture, &config->text);
  if (config->encoder.n_layers > 0)
    put_t5gemma2 (&kv, config);
  if (config->encoder.n_layers > 0 && config->siglip.n_layers > 0)
    put_siglip (&kv, config);
  else if (config->siglip.n_layers > 0)
    keep (list, FALSE);
  write_file (path, &kv, list);
}

void
gguf_write_mmproj (const gchar *path, GemmaWeights *weights, const GemmaConfig *config)
{
  g_autoptr (GPtrArray) list = convert (weights, OCL_TYPE_F32, FALSE, 1);
  Metadata kv = { g_byte_array_new (), 0 };
  keep (list, TRUE);
  put_key (&kv, "general.architecture", KV_STRING);
  put_string (kv.bytes, "clip");
  put_siglip (&kv, config);
  write_file (path, &kv, list);
}
