#include "config-private.h"
#include "weights-private.h"

#include <stdlib.h>
#include <string.h>

typedef struct
{
  const GemmaConfig *config;
  GemmaWeights *weights;
  const gchar *path;
  GError **error;
  const GemmaTextConfig *text;  /* which of the two of an encoder-decoder */
} Check;

#define FAIL(c, code, ...) gemma_config_fail ((c)->path, GEMMA_ERROR_##code, (c)->error, __VA_ARGS__)

/* A tensor that is there has this shape; @name is printf-like with the layer. */
static gboolean G_GNUC_PRINTF (2, 0)
shape (Check *c, const gchar *format, gint layer, gint64 rows, gint64 cols)
{
  g_autofree gchar *name = g_strdup_printf (format, layer);

  return gemma_weights_check_shape (c->weights, name, rows, cols, c->error);
}

/* The same for the text model's own tensors. */
static gboolean G_GNUC_PRINTF (2, 0)
text_shape (Check *c, const gchar *format, gint layer, gint64 rows, gint64 cols)
{
  g_autofree gchar *name = g_strdup_printf (format, layer), *full = g_strconcat (c->text->prefix, name, NULL);

  return gemma_weights_check_shape (c->weights, full, rows, cols, c->error);
}

/* Layers that the tensors have, by their highest number: "blk.29.…" makes 30. */
static gint64
count_layers (GemmaWeights *weights, const gchar *prefix)
{
  gint64 n = 0;

  for (guint i = 0; i < gemma_weights_get_n_tensors (weights); i++) {
    const gchar *name = gemma_weights_get_nth (weights, i)->name;

    if (g_str_has_prefix (name, prefix))
      n = MAX (n, (gint64) strtoul (name + strlen (prefix), NULL, 10) + 1);
  }
  return n;
}

static gboolean
check_count (Check *c, const gchar *prefix, gint claimed)
{
  const gint64 n = count_layers (c->weights, prefix);

  return n == 0 || n == claimed || FAIL (c, INVALID, "claims %d layers, the tensors %sN of %s are of %"
      G_GINT64_FORMAT " layers", claimed, prefix, gemma_weights_get_path (c->weights), n);
}

/* ---- text ----------------------------------------------------------------------- */

static gboolean
check_heads (Check *c)
{
  const GemmaTextConfig *t = c->text;

  if (t->n_heads % t->n_kv_heads != 0)
    return FAIL (c, INVALID, "%d attention heads are not a multiple of %d key/value heads", t->n_heads, t->n_kv_heads);
  if (t->head_dim % 2 != 0)
    return FAIL (c, INVALID, "a head dimension of %d is odd", t->head_dim);
  if ((gint64) t->n_heads * t->head_dim > GEMMA_MAX_FFN)
    return FAIL (c, INVALID, "%d heads of %d are more than %d in all", t->n_heads, t->head_dim, GEMMA_MAX_FFN);
  return TRUE;
}

/* A layer without K and V of its own reads those of the last layer of its kind that has some. */
static gboolean
check_sharing (Check *c)
{
  const GemmaTextConfig *t = c->text;
  const gint own = t->n_layers - t->gemma3n.n_shared_kv;
  gboolean has[2] = { FALSE, FALSE };

  if (own < 1)
    return FAIL (c, INVALID, "%d layers share keys and values, of %d; at least one must have its own", t->gemma3n.n_shared_kv,
        t->n_layers);
  for (gint i = 0; i < t->n_layers; i++) {
    gboolean sliding = t->sliding[i] != FALSE;

    if (i < own)
      has[sliding] = TRUE;
    else if (!has[sliding])
      return FAIL (c, INVALID, "layer %d shares the keys and values of a %s layer, but no layer below %d is one", i,
          sliding ? "sliding" : "full", own);
  }
  return TRUE;
}

static gboolean
check_attention (Check *c, gint i)
{
  const GemmaTextConfig *t = c->text;
  const gint64 q = (gint64) t->n_heads * t->head_dim, kv = (gint64) t->n_kv_heads * t->head_dim;

  return text_shape (c, "blk.%d.attn_norm.weight", i, 1, t->hidden)
      && text_shape (c, "blk.%d.attn_q.weight", i, q, t->hidden)
      && text_shape (c, "blk.%d.attn_k.weight", i, kv, t->hidden)
      && text_shape (c, "blk.%d.attn_v.weight", i, kv, t->hidden)
      && text_shape (c, "blk.%d.attn_output.weight", i, t->hidden, q)
      && text_shape (c, "blk.%d.attn_q_norm.weight", i, 1, t->head_dim)
      && text_shape (c, "blk.%d.attn_k_norm.weight", i, 1, t->head_dim)
      && text_shape (c, "blk.%d.post_attention_norm.weight", i, 1, t->hidden);
}

static gboolean
check_layer (Check *c, gint i)
{
  const GemmaTextConfig *t = c->text;
  const gint64 h = t->hidden;

  return check_attention (c, i)
      && text_shape (c, "blk.%d.ffn_norm.weight", i, 1, h)
      && text_shape (c, "blk.%d.ffn_gate.weight", i, t->ffn[i], h)
      && text_shape (c, "blk.%d.ffn_up.weight", i, t->ffn[i], h)
      && text_shape (c, "blk.%d.ffn_down.weight", i, h, t->ffn[i])
      && text_shape (c, "blk.%d.post_ffw_norm.weight", i, 1, h);
}

static gboolean
check_gemma3n_layer (Check *c, gint i)
{
  const GemmaTextConfig *t = c->text;
  const gint64 h = t->hidden, n = t->gemma3n.n_altup, p = t->gemma3n.ple_dim, r = t->gemma3n.laurel_rank;

  return text_shape (c, "blk.%d.laurel_l.weight", i, r, h)
      && text_shape (c, "blk.%d.laurel_r.weight", i, h, r)
      && text_shape (c, "blk.%d.laurel_post_norm.weight", i, 1, h)
      && text_shape (c, "blk.%d.altup_correct_scale.weight", i, 1, h)
      && text_shape (c, "blk.%d.altup_correct_coef.weight", i, n, n)
      && text_shape (c, "blk.%d.altup_predict_coef.weight", i, n * n, n)
      && text_shape (c, "blk.%d.altup_router.weight", i, n, h)
      && text_shape (c, "blk.%d.altup_router_norm.weight", i, 1, h)
      && text_shape (c, "blk.%d.inp_gate.weight", i, p, h)
      && text_shape (c, "blk.%d.proj.weight", i, h, p)
      && text_shape (c, "blk.%d.post_norm.weight", i, 1, h);
}

/* The per-layer table has rows for all ids that are looked up, and maybe for the others. */
static gboolean
check_ple_table (Check *c)
{
  static const gchar name[] = "per_layer_token_embd.weight";
  const GemmaTextConfig *t = c->text;
  const GemmaTensor *table = gemma_weights_peek (c->weights, name);

  if (table == NULL)
    return TRUE;
  if (!gemma_weights_check_shape (c->weights, name, table->dims[1], (gint64) t->gemma3n.ple_dim * t->n_layers, c->error))
    return FALSE;
  return table->dims[1] >= t->first_soft_id || FAIL (c, INVALID, "tensor %s has %" G_GINT64_FORMAT
      " rows; at least the %d ids of text are expected", name, table->dims[1], t->first_soft_id);
}

static gboolean
check_gemma3n (Check *c)
{
  const GemmaTextConfig *t = c->text;
  const gint64 wide = (gint64) t->gemma3n.ple_dim * t->n_layers;

  if (wide > G_MAXINT32 / 16)
    return FAIL (c, INVALID, "per-layer inputs of %d for %d layers are too many", t->gemma3n.ple_dim, t->n_layers);
  if (!check_sharing (c)
      || !shape (c, "per_layer_model_proj.weight", 0, wide, t->hidden)
      || !shape (c, "per_layer_proj_norm.weight", 0, 1, t->gemma3n.ple_dim))
    return FALSE;
  for (gint i = 0; i < t->gemma3n.n_altup - 1; i++)
    if (!shape (c, "altup_proj.%d.weight", i, t->hidden, t->hidden)
        || !shape (c, "altup_unembd_proj.%d.weight", i, t->hidden, t->hidden))
      return FALSE;
  for (gint i = 0; i < t->n_layers; i++)
    if (!check_gemma3n_layer (c, i))
      return FALSE;
  return TRUE;
}

/* What an architecture has besides what all have; check_ids once its soft ids are known. */
static const struct
{
  const gchar *architecture;
  gboolean (*check_text) (Check *c);
  gboolean (*check_ids) (Check *c);
} own_checks[] = {
  { "gemma3n", check_gemma3n, check_ple_table },
};

static gboolean
check_claims (Check *c)
{
  g_autofree gchar *blocks = g_strconcat (c->text->prefix, "blk.", NULL);

  return check_heads (c) && check_count (c, blocks, c->text->n_layers);
}

static gboolean
check_stack (Check *c)
{
  const GemmaTextConfig *t = c->text;

  if (!text_shape (c, "output_norm.weight", 0, 1, t->hidden))
    return FALSE;
  for (gint i = 0; i < t->n_layers; i++)
    if (!check_layer (c, i))
      return FALSE;
  return TRUE;
}

/* An encoder and its decoder share the table of tokens and the width of the states. */
static gboolean
check_encoder (Check *c)
{
  const GemmaTextConfig *e = &c->config->encoder, *t = &c->config->text;
  Check encoder = *c;

  if (e->n_layers == 0)
    return TRUE;
  if (e->hidden != t->hidden)
    return FAIL (c, INVALID, "the encoder's hidden_size is %d, the decoder's %d; the same is expected", e->hidden,
        t->hidden);
  if (e->vocab_size != t->vocab_size)
    return FAIL (c, INVALID, "the encoder's vocab_size is %d, the decoder's %d; the same is expected", e->vocab_size,
        t->vocab_size);
  encoder.text = e;
  return check_claims (&encoder) && shape (c, "eoi_embd.weight", 0, 1, e->hidden) && check_stack (&encoder);
}

static gboolean
check_text (Check *c)
{
  const GemmaTextConfig *t = c->text;

  if (!check_claims (c))
    return FALSE;
  if (t->vocab_size < 1 || t->vocab_size > GEMMA_MAX_VOCAB)
    return FAIL (c, INVALID, "tensor token_embd.weight has %d rows; 1 to %d are allowed", t->vocab_size,
        GEMMA_MAX_VOCAB);
  if (!shape (c, "token_embd.weight", 0, t->vocab_size, t->hidden) || !check_stack (c) || !check_encoder (c))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (own_checks); i++)
    if (strcmp (own_checks[i].architecture, c->config->architecture) == 0 && !own_checks[i].check_text (c))
      return FALSE;
  return TRUE;
}

/* ---- audio and vision ----------------------------------------------------------- */

static gboolean
check_conformer (Check *c, gint i)
{
  static const gchar *const norms[] = {
    "a.blk.%d.ln1.weight", "a.blk.%d.ln2.weight", "a.blk.%d.ffn_norm.weight", "a.blk.%d.ffn_post_norm.weight",
    "a.blk.%d.ffn_norm_1.weight", "a.blk.%d.ffn_post_norm_1.weight", "a.blk.%d.conv_norm.weight",
    "a.blk.%d.norm_conv.weight", "a.blk.%d.layer_pre_norm.weight",
  };
  static const gchar *const squares[] = {
    "a.blk.%d.attn_q.weight", "a.blk.%d.attn_k.weight", "a.blk.%d.attn_v.weight", "a.blk.%d.attn_out.weight",
    "a.blk.%d.linear_pos.weight", "a.blk.%d.conv_pw2.weight",
  };
  const GemmaAudioConfig *a = &c->config->audio;
  const gint64 h = a->hidden;

  for (guint k = 0; k < G_N_ELEMENTS (norms); k++)
    if (!shape (c, norms[k], i, 1, h))
      return FALSE;
  for (guint k = 0; k < G_N_ELEMENTS (squares); k++)
    if (!shape (c, squares[k], i, h, h))
      return FALSE;
  return shape (c, "a.blk.%d.per_dim_scale", i, 1, h / a->n_heads)
      && shape (c, "a.blk.%d.ffn_up.weight", i, 4 * h, h)
      && shape (c, "a.blk.%d.ffn_down.weight", i, h, 4 * h)
      && shape (c, "a.blk.%d.ffn_up_1.weight", i, 4 * h, h)
      && shape (c, "a.blk.%d.ffn_down_1.weight", i, h, 4 * h)
      && shape (c, "a.blk.%d.conv_pw1.weight", i, 2 * h, h)
      && shape (c, "a.blk.%d.conv_dw.weight", i, h, a->conv_kernel);
}

static gboolean
check_audio (Check *c)
{
  const GemmaAudioConfig *a = &c->config->audio;
  const gint64 c0 = a->conv_channels[0], c1 = a->conv_channels[1];
  const gint half = (a->n_mels - 1) / 2 + 1, quarter = (half - 1) / 2 + 1;

  if (a->hidden % a->n_heads != 0 || a->hidden % 2 != 0)
    return FAIL (c, INVALID, "the audio encoder's width of %d is odd or not a multiple of its %d heads", a->hidden,
        a->n_heads);
  if (!check_count (c, "a.blk.", a->n_layers)
      || !shape (c, "a.conv1d.0.weight", 0, c0, 9)
      || !shape (c, "a.conv1d.0.norm.weight", 0, 1, c0)
      || !shape (c, "a.conv1d.1.weight", 0, c1, c0 * 9)
      || !shape (c, "a.conv1d.1.norm.weight", 0, 1, c1)
      || !shape (c, "a.pre_encode.out.weight", 0, a->hidden, quarter * c1)
      || !shape (c, "mm.a.embedding.weight", 0, a->vocab_size, a->hidden)
      || !shape (c, "mm.a.input_projection.weight", 0, c->config->text.hidden, a->hidden)
      || !shape (c, "mm.a.hard_emb_norm.weight", 0, 1, a->hidden)
      || !shape (c, "mm.a.soft_emb_norm.weight", 0, 1, a->hidden))
    return FALSE;
  for (gint i = 0; i < a->n_layers; i++)
    if (!check_conformer (c, i))
      return FALSE;
  return TRUE;
}

/* The tower's blocks are its own reader's concern; here its end must fit the embedder. */
static gboolean
check_vision (Check *c)
{
  static const gchar expand[] = "v.msfa.ffn.pw_exp.conv.weight", project[] = "v.msfa.ffn.pw_proj.conv.weight";
  const GemmaTensor *input = gemma_weights_peek (c->weights, "mm.input_projection.weight");
  const GemmaTensor *fusion = gemma_weights_peek (c->weights, expand);
  gint64 width, mid;

  if (c->config->siglip.n_layers > 0)
    return check_count (c, "v.blk.", c->config->siglip.n_layers)
        && gemma_siglip_config_check (c->config, c->weights, c->path, c->error);
  if (input == NULL)
    return FAIL (c, NOT_FOUND, "tensor mm.input_projection.weight of the vision embedder is missing");
  width = input->dims[0];
  if (!shape (c, "mm.input_projection.weight", 0, c->config->text.hidden, width)
      || !shape (c, "mm.embedding.weight", 0, c->config->vision_vocab_size, width)
      || !shape (c, "mm.hard_emb_norm.weight", 0, 1, width)
      || !shape (c, "mm.soft_emb_norm.weight", 0, 1, width)
      || !shape (c, "v.msfa.norm.weight", 0, 1, width)
      || !shape (c, "v.msfa.ffn.pw_proj.bn.weight", 0, 1, width))
    return FALSE;
  if (fusion == NULL)
    return TRUE;
  mid = fusion->dims[MAX (fusion->n_dims, 1) - 1];      /* of [1, 1, in, out], or [in, out] where it is quantized */
  return shape (c, "v.msfa.ffn.pw_exp.bn.weight", 0, 1, mid)
      && gemma_weights_check_shape (c->weights, project, width, mid, c->error);
}

/* ---- ids ------------------------------------------------------------------------ */

static gboolean
check_id (Check *c, const gchar *what, gint id, gboolean needed)
{
  const gint n = c->config->text.vocab_size;

  if (id < 0 && !needed)
    return TRUE;
  if (id < 0)
    return FAIL (c, NOT_FOUND, "the vocabulary has no %s", what);
  return id < n || FAIL (c, INVALID, "the id of %s is %d; the vocabulary has %d", what, id, n);
}

static gboolean
check_range (Check *c, const gchar *what, gint offset, gint size)
{
  const gint n = c->config->text.vocab_size;

  return (offset >= 0 && offset <= n - size) || FAIL (c, INVALID,
      "%s ids %d to %d are not in the vocabulary of %d", what, offset, offset + size - 1, n);
}

/* Fewer tokens than rows are legitimate (soft ids have no text), tokens without a row are not. */
static gboolean
check_n_tokens (Check *c)
{
  const GemmaTextConfig *t = &c->config->text;
  const gint64 n = gemma_weights_get_length (c->weights, "tokenizer.ggml.tokens");

  return n < 0 || (n <= t->vocab_size && n >= t->first_soft_id) || FAIL (c, INVALID,
      "key tokenizer.ggml.tokens has %" G_GINT64_FORMAT " values, tensor token_embd.weight %d rows; %d to %d tokens"
      " are expected", n, t->vocab_size, t->first_soft_id, t->vocab_size);
}

/* The place of pictures' soft tokens where the vocabulary ends before it, see config-gemma3.c. */
static gboolean
is_behind_words (const GemmaConfig *k)
{
  return k->image_token_id == k->text.vocab_size && k->image_token_id == k->text.lone_soft_id;
}

static gboolean
check_ids (Check *c)
{
  const GemmaConfig *k = c->config;

  for (gint i = 0; i < k->n_eos; i++)
    if (!check_id (c, "an end token", k->eos_ids[i], TRUE))
      return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (own_checks); i++)
    if (strcmp (own_checks[i].architecture, k->architecture) == 0 && !own_checks[i].check_ids (c))
      return FALSE;
  return check_n_tokens (c)
      && check_id (c, "<bos>", k->bos_id, TRUE)
      && check_id (c, "the decoder's start", k->start_id, k->encoder.n_layers > 0)
      && check_id (c, "<pad>", k->pad_id, TRUE)
      && check_id (c, "<audio_soft_token>", k->audio_token_id, k->has_audio)
      && check_id (c, "<start_of_audio>", k->boa_id, k->has_audio)
      && check_id (c, "<end_of_audio>", k->eoa_id, k->has_audio)
      && (is_behind_words (k) || check_id (c, "<image_soft_token>", k->image_token_id, k->has_vision))
      && check_id (c, "<start_of_image>", k->boi_id, k->has_vision)
      && check_id (c, "<end_of_image>", k->eoi_id, k->has_vision)
      && (!k->has_audio || check_range (c, "audio", k->audio.vocab_offset, k->audio.vocab_size))
      && (!k->has_vision || check_range (c, "vision", k->vision_vocab_offset, k->vision_vocab_size));
}

gboolean
gemma_config_check_text (const GemmaConfig *config, GemmaWeights *weights, const gchar *path, GError **error)
{
  Check text = { config, weights, path, error, &config->text };

  return check_text (&text);
}

gboolean
gemma_config_check (const GemmaConfig *config, GemmaWeights *weights, GemmaWeights *mmproj, const gchar *path,
    GError **error)
{
  Check text = { config, weights, path, error, &config->text };
  Check parts = { config, mmproj ? mmproj : weights, mmproj ? gemma_weights_get_path (mmproj) : path, error };

  return check_ids (&text)
      && (!config->has_audio || check_audio (&parts))
      && (!config->has_vision || check_vision (&parts));
}
