/* T5Gemma 2's language model, after transformers' T5Gemma2TextEncoder, T5Gemma2Decoder and
 * T5Gemma2ForConditionalGeneration.
 *
 * Read it from top to bottom: the encoder with encode(), remember(), the decoder with forward(). Shapes are
 * [rows][cols] with
 *   N ids of the source, M rows (positions) in flight, C hidden, H heads, G KV heads, D head_dim, V vocabulary.
 * RMS norms multiply by 1 + w; GGUF stores that sum, and so it lies on the device.
 *
 * The encoder sees in both directions: all keys of a layer are there before its first query. It works layer by layer on
 * all N rows, of which it keeps the state and the queries, keys and values of one layer; attention runs in tiles, so
 * memory grows with N and not with its square.
 *
 * What the decoder needs of the source is made once: for each of its layers, the keys and values of the encoder's
 * output by that layer's own matrices, without positions: the memory. Attention is merged: one softmax over the
 * decoder's own keys, in a window or not, and all of the memory.
 */
#include "block.h"

#include <string.h>

#define DEFAULT_CHUNK 256

typedef struct
{
  GemmaLm lm;
  GemmaBlockStack encoder, decoder;
  OclDevice *device;
  GemmaWeights *weights;          /* the token table stays in the mapped file */
  const GemmaTensor *token_table; /* [V][C]; of encoder, decoder and head */
  OclWeight *head;                /* [V][C], the token table again */
  gint eoi_id;                    /* the end of a picture has a row of its own */
  gfloat *eoi_row;                /* [C] */
} T5Gemma2;

typedef struct
{
  GemmaLmSession session;
  GemmaBlockArena arena; /* for params.chunk rows */
  OclTensor state;       /* [M][C], the decoder's */
  OclTensor logits;      /* [block][V] */
  gfloat *host_rows;     /* [chunk][C] */
  OclKvCache *memory;    /* of each layer of the decoder: [capacity][G * D], of which session.n_source rows count */
} Session;

static const T5Gemma2 *
session_model (Session *s)
{
  return (const T5Gemma2 *) s->session.lm;
}

/* ---- embeddings ------------------------------------------------------------------------------------------- */

/** T5Gemma2TextScaledWordEmbedding: state [M][C] of @chunk; the row for the end of a picture is not scaled. */
static gboolean
embed (Session *s, const GemmaLmChunk *chunk, OclTensor state, GError **error)
{
  const T5Gemma2 *m = session_model (s);
  gint C = m->decoder.config.hidden;
  if (!gemma_lm_look_up (s->session.lm, m->weights, m->token_table, chunk, s->host_rows, error))
    return FALSE;
  for (gint i = 0; i < chunk->n; i++)
    if (chunk->ids[i] == m->eoi_id)
      memcpy (s->host_rows + (gsize) i * C, m->eoi_row, C * sizeof (gfloat));
  ocl_tensor_write (s->session.queue, state, s->host_rows);
  return TRUE;
}

/* ---- the encoder -------------------------------------------------------------------------------------------- */

/* A source on its way through the encoder. */
typedef struct
{
  const GemmaLmChunk *chunk; /* all of it */
  gint n;                    /* N */
  OclTensor state;           /* [N][C] */
  OclTensor qkv;             /* [N][(H + 2 G) * D], of the layer at work */
} Source;

/* Rows of the chunk that begins at @first. */
static gint
chunk_rows (Session *s, const Source *source, gint first)
{
  return MIN (s->session.params.chunk, source->n - first);
}

static gboolean
embed_source (Session *s, const Source *source, GError **error)
{
  const GemmaTextConfig *text = s->session.lm->text;
  const gfloat *rows = source->chunk->rows;
  gint n;
  for (gint first = 0; first < source->n; first += n) {
    n = chunk_rows (s, source, first);
    GemmaLmChunk part = { source->chunk->ids + first, n, rows, NULL, FALSE, NULL };
    OclTensor state = ocl_tensor_rows (source->state, first, n);
    if (!embed (s, &part, state, error))
      return FALSE;
    gemma_lm_session_observe (&s->session, "encoder.embed", state);
    if (rows)
      rows += (gsize) gemma_text_config_count_soft (text, part.ids, n) * text->hidden;
  }
  return TRUE;
}

/* The keys or values of all N: columns of qkv, behind the queries. */
static OclTensor
source_kv (const GemmaTextConfig *c, const Source *source, gint which)
{
  gint width = c->n_kv_heads * c->head_dim;
  return ocl_tensor_cols (source->qkv, c->n_heads * c->head_dim + which * width, width);
}

/** The first half of T5Gemma2SelfAttention for @n rows from @first: queries, keys and values where they stay. */
static void
project (Session *s, const GemmaBlock *l, const GemmaTextConfig *c, const Source *source, gboolean sliding, gint first,
    gint n)
{
  OclTensor qkv = ocl_tensor_rows (source->qkv, first, n), normed = top (s->arena.normed, n), rope[2];
  const OclKvCache own = { source_kv (c, source, 0), source_kv (c, source, 1), source->n };
  OclRmsNorm norm = OCL_RMS_NORM_INIT (l->attn_norm, c->rms_eps);

  ocl_rms_norm (s->session.queue, normed, ocl_tensor_rows (source->state, first, n), &norm);
  gemma_lm_session_multiply_stack (&s->session, qkv, normed, &l->qkv);
  gemma_block_rope (&s->session, &s->arena, c, n, first, rope);
  OclQkv prepare = { c->n_heads, c->n_kv_heads, c->head_dim, first, c->rms_eps, l->q_norm, l->k_norm, rope[sliding],
    TRUE };
  ocl_qkv_norm_rope (s->session.queue, qkv, &own, &prepare);
}

/** The second half, to before its post norm: y [n][C]. Of an even window, one key more lies ahead than back. */
static void
attend (Session *s, const GemmaBlock *l, const GemmaTextConfig *c, const Source *source, gboolean sliding, gint first,
    OclTensor y)
{
  gint width = c->n_heads * c->head_dim;
  OclTensor queries = ocl_tensor_cols (ocl_tensor_rows (source->qkv, first, y.rows), 0, width);
  OclTensor attended = ocl_tensor_cols (top (s->arena.attended, y.rows), 0, width);
  const OclKvCache own = { source_kv (c, source, 0), source_kv (c, source, 1), source->n };
  OclAttention p = { c->n_heads, c->n_kv_heads, c->head_dim, first, sliding ? (c->window + 1) / 2 : 0,
    c->attention_scale, sliding ? c->window / 2 : source->n, source->n, .flags = s->session.params.matmul_flags };

  ocl_attention (s->session.queue, attended, queries, &own, &p);
  gemma_lm_session_multiply (&s->session, y, attended, l->attn_out);
}

/** T5Gemma2EncoderLayer. */
static gboolean
run_encoder_layer (Session *s, gint layer, const Source *source, GError **error)
{
  const GemmaBlockStack *encoder = &session_model (s)->encoder;
  const GemmaTextConfig *c = &encoder->config;
  const GemmaBlock *l = &encoder->layers[layer];
  gboolean sliding = c->sliding[layer] != FALSE;
  gint n;

  for (gint first = 0; first < source->n; first += n)
    project (s, l, c, source, sliding, first, n = chunk_rows (s, source, first));
  for (gint first = 0; first < source->n; first += n) {
    n = chunk_rows (s, source, first);
    OclTensor state = ocl_tensor_rows (source->state, first, n); /* [n][C] */
    OclTensor normed = top (s->arena.normed, n), branch = top (s->arena.branch, n), none = { NULL };
    attend (s, l, c, source, sliding, first, branch);
    gemma_block_add (&s->session, c->rms_eps, state, branch, l->post_attn_norm, normed, l->ffn_norm);
    gemma_block_feed_forward (&s->session, l, &s->arena, c->ffn[layer], branch, normed);
    gemma_block_add (&s->session, c->rms_eps, state, branch, l->post_ffn_norm, none, none);
    if (!gemma_lm_session_end_layer (&s->session, "encoder.layer", layer, state, source->chunk->cancellable, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- the memory --------------------------------------------------------------------------------------------- */

static void
clear_memory (Session *s)
{
  const T5Gemma2 *m = session_model (s);
  for (gint i = 0; i < m->decoder.config.n_layers; i++) {
    ocl_tensor_clear (m->device, &s->memory[i].k);
    ocl_tensor_clear (m->device, &s->memory[i].v);
    s->memory[i].capacity = 0;
  }
}

/* Room for @n rows. */
static gboolean
reserve_memory (Session *s, gint n, GError **error)
{
  const T5Gemma2 *m = session_model (s);
  const GemmaTextConfig *c = &m->decoder.config;
  gint width = c->n_kv_heads * c->head_dim;
  if (s->memory[0].capacity >= n)
    return TRUE;
  clear_memory (s);
  for (gint i = 0; i < c->n_layers; i++) {
    const GemmaLmBuffer both[] = { { &s->memory[i].k, n, width }, { &s->memory[i].v, n, width } };
    if (!gemma_lm_allocate (m->device, both, G_N_ELEMENTS (both), error)) {
      clear_memory (s);
      return FALSE;
    }
    s->memory[i].capacity = n;
  }
  return TRUE;
}

/* The first @n rows of a layer's memory. */
static OclKvCache
memory_of (Session *s, gint layer, gint n)
{
  return (OclKvCache) { top (s->memory[layer].k, n), top (s->memory[layer].v, n), n };
}

/** The half of T5Gemma2MergedAttention that concerns the encoder's output: k_norm, but no rope. */
static gboolean
remember (Session *s, const Source *source, GError **error)
{
  const T5Gemma2 *m = session_model (s);
  const GemmaTextConfig *c = &m->decoder.config;
  OclRmsNorm norm = OCL_RMS_NORM_INIT (m->encoder.out_norm, m->encoder.config.rms_eps);
  gint n;

  if (!reserve_memory (s, source->n, error))
    return FALSE;
  for (gint first = 0; first < source->n; first += n) {
    n = chunk_rows (s, source, first);
    OclTensor out = top (s->arena.normed, n); /* [n][C] */
    OclTensor kv = ocl_tensor_cols (top (s->arena.qkv, n), 0, 2 * c->n_kv_heads * c->head_dim);
    ocl_rms_norm (s->session.queue, out, ocl_tensor_rows (source->state, first, n), &norm);
    gemma_lm_session_observe (&s->session, "encoder.norm", out);
    for (gint i = 0; i < c->n_layers; i++) {
      const GemmaBlock *l = &m->decoder.layers[i];
      const OclKvCache memory = memory_of (s, i, source->n);
      OclQkv prepare = { 0, c->n_kv_heads, c->head_dim, first, c->rms_eps, .k_weight = l->k_norm, .raw_values = TRUE };
      gemma_block_multiply_kv (&s->session, l, kv, out);
      ocl_qkv_norm_rope (s->session.queue, kv, &memory, &prepare);
    }
  }
  return TRUE;
}

static gboolean
run_encoder (Session *s, Source *source, GError **error)
{
  const T5Gemma2 *m = session_model (s);
  const GemmaTextConfig *c = &m->encoder.config;
  const GemmaLmBuffer buffers[] = { { &source->state, source->n, c->hidden },
    { &source->qkv, source->n, (c->n_heads + 2 * c->n_kv_heads) * c->head_dim } };

  if (!gemma_lm_allocate (m->device, buffers, G_N_ELEMENTS (buffers), error) || !embed_source (s, source, error))
    return FALSE;
  for (gint layer = 0; layer < c->n_layers; layer++)
    if (!run_encoder_layer (s, layer, source, error))
      return FALSE;
  /* For a long source the memory is most of all: it takes the place of what the layers needed. */
  if (!ocl_queue_finish (s->session.queue, error))
    return FALSE;
  ocl_tensor_clear (m->device, &source->qkv);
  return remember (s, source, error);
}

static gboolean
t5gemma2_encode (GemmaLmSession *session, const GemmaLmChunk *chunk, GError **error)
{
  Session *s = (Session *) session;
  Source source = { chunk, chunk->n };
  gboolean ok = run_encoder (s, &source, error);
  ocl_tensor_clear (session_model (s)->device, &source.state); /* what still runs holds its own references */
  ocl_tensor_clear (session_model (s)->device, &source.qkv);
  return ok;
}

/* ---- the decoder -------------------------------------------------------------------------------------------- */

/* The positions in flight. */
typedef struct
{
  gint rows, position0;
  OclTensor state, normed; /* [M][C] */
  OclTensor rope[2];       /* [M][D] */
} Flow;

/** The beginning of T5Gemma2Decoder.forward: the state, normed for the first layer, and rope tables. */
static gboolean
begin (Session *s, const GemmaLmChunk *chunk, Flow *f, GError **error)
{
  const GemmaBlockStack *decoder = &session_model (s)->decoder;
  const GemmaTextConfig *c = &decoder->config;
  OclRmsNorm norm = OCL_RMS_NORM_INIT (decoder->layers[0].attn_norm, c->rms_eps);

  f->rows = chunk->n;
  f->position0 = gemma_kv_cache_get_length (s->session.cache);
  f->state = top (s->state, f->rows);
  f->normed = top (s->arena.normed, f->rows);
  if (!embed (s, chunk, f->state, error))
    return FALSE;
  gemma_lm_session_observe (&s->session, "embed", f->state);
  ocl_rms_norm (s->session.queue, f->normed, f->state, &norm);
  gemma_block_rope (&s->session, &s->arena, c, f->rows, f->position0, f->rope);
  return TRUE;
}

/** T5Gemma2MergedAttention, to before its post norm: y [M][C]. */
static void
attend_merged (Session *s, gint layer, const Flow *f, OclTensor y)
{
  const GemmaBlockStack *decoder = &session_model (s)->decoder;
  const GemmaTextConfig *c = &decoder->config;
  const GemmaBlock *l = &decoder->layers[layer];
  const OclKvCache *own = gemma_kv_cache_get (s->session.cache, layer);
  gint H = c->n_heads, G = c->n_kv_heads, D = c->head_dim;
  OclTensor qkv = ocl_tensor_cols (top (s->arena.qkv, f->rows), 0, (H + 2 * G) * D);
  OclTensor attended = ocl_tensor_cols (top (s->arena.attended, f->rows), 0, H * D);
  OclQkv prepare = { H, G, D, f->position0, c->rms_eps, l->q_norm, l->k_norm, f->rope[c->sliding[layer] != FALSE],
    TRUE };
  OclAttention p = { H, G, D, f->position0, c->sliding[layer] ? c->window : 0, c->attention_scale,
    .memory = memory_of (s, layer, s->session.n_source), .flags = s->session.params.matmul_flags };

  gemma_lm_session_multiply_stack (&s->session, qkv, f->normed, &l->qkv);
  ocl_qkv_norm_rope (s->session.queue, qkv, own, &prepare);
  ocl_attention (s->session.queue, attended, ocl_tensor_cols (qkv, 0, H * D), own, &p);
  gemma_lm_session_multiply (&s->session, y, attended, l->attn_out);
}

/** T5Gemma2DecoderLayer; the last one's next norm is the output's. */
static void
run_decoder_layer (Session *s, gint layer, const Flow *f)
{
  const GemmaBlockStack *decoder = &session_model (s)->decoder;
  const GemmaTextConfig *c = &decoder->config;
  const GemmaBlock *l = &decoder->layers[layer];
  OclTensor branch = top (s->arena.branch, f->rows); /* [M][C] */
  OclTensor next = layer + 1 < c->n_layers ? l[1].attn_norm : decoder->out_norm;

  attend_merged (s, layer, f, branch);
  gemma_block_add (&s->session, c->rms_eps, f->state, branch, l->post_attn_norm, f->normed, l->ffn_norm);
  gemma_block_feed_forward (&s->session, l, &s->arena, c->ffn[layer], branch, f->normed);
  gemma_block_add (&s->session, c->rms_eps, f->state, branch, l->post_ffn_norm, f->normed, next);
}

static gboolean
t5gemma2_forward (GemmaLmSession *session, const GemmaLmChunk *chunk, GError **error)
{
  Session *s = (Session *) session;
  const T5Gemma2 *m = session_model (s);
  Flow f;

  if (!begin (s, chunk, &f, error))
    return FALSE;
  for (gint layer = 0; layer < m->decoder.config.n_layers; layer++) {
    run_decoder_layer (s, layer, &f);
    if (!gemma_lm_session_end_layer (session, "layer", layer, f.state, chunk->cancellable, error))
      return FALSE;
  }
  if (!chunk->logits)
    return TRUE;
  gemma_lm_session_observe (session, "norm", f.normed);
  OclTensor last = chunk->all_logits ? f.normed : ocl_tensor_rows (f.normed, f.rows - 1, 1);
  return gemma_lm_session_head (session, m->device, &s->logits, last, m->head, m->decoder.config.logit_softcap,
      chunk->logits, error);
}

/* ---- session -------------------------------------------------------------------------------------------------- */

static gboolean
allocate (Session *s, GError **error)
{
  const T5Gemma2 *m = session_model (s);
  const GemmaTextConfig *const both[] = { &m->encoder.config, &m->decoder.config };
  const GemmaLmBuffer state = { &s->state, s->session.params.chunk, m->decoder.config.hidden };
  s->host_rows = g_new (gfloat, (gsize) state.rows * state.cols);
  s->memory = g_new0 (OclKvCache, m->decoder.config.n_layers);
  return gemma_lm_allocate (m->device, &state, 1, error)
      && gemma_block_arena_new (&s->arena, m->device, both, G_N_ELEMENTS (both), state.rows, error);
}

static void
t5gemma2_session_free (GemmaLmSession *session)
{
  Session *s = (Session *) session;
  OclDevice *device = session_model (s)->device;
  gemma_block_arena_clear (&s->arena, device);
  ocl_tensor_clear (device, &s->state);
  ocl_tensor_clear (device, &s->logits);
  if (s->memory)
    clear_memory (s);
  g_free (s->memory);
  g_free (s->host_rows);
  gemma_lm_session_end (session);
  g_free (s);
}

static GemmaLmSession *
t5gemma2_session_new (GemmaLm *lm, const GemmaLmSessionParams *params, GError **error)
{
  T5Gemma2 *m = (T5Gemma2 *) lm;
  const GemmaTextConfig *c = &m->decoder.config;
  Session *s = g_new0 (Session, 1);
  gint context = MIN (params->context_size, c->context_length); /* of the decoder's own positions */
  if (!gemma_lm_session_begin (&s->session, lm, m->device, c, params, context, error) || !allocate (s, error)) {
    t5gemma2_session_free (&s->session);
    return NULL;
  }
  return &s->session;
}

/* ---- model ---------------------------------------------------------------------------------------------------- */

static void
t5gemma2_free (GemmaLm *lm)
{
  T5Gemma2 *m = (T5Gemma2 *) lm;
  gemma_block_stack_clear (m->device, &m->encoder);
  gemma_block_stack_clear (m->device, &m->decoder);
  g_clear_pointer (&m->head, ocl_weight_free);
  g_free (m->eoi_row);
  gemma_weights_unref (m->weights);
  ocl_device_unref (m->device);
  g_free (m);
}

static gboolean
load_all (T5Gemma2 *m, GemmaProgressFunc func, gpointer user_data, GError **error)
{
  const GemmaTextConfig *c = &m->decoder.config;
  GemmaLmLoader ld = { m->weights, m->device, -1, gemma_weights_is_gguf (m->weights) ? 0 : 1, FALSE, error };
  GemmaBlockProgress progress = { func, user_data, 0, m->encoder.config.n_layers + c->n_layers };

  m->token_table = gemma_weights_find (m->weights, "token_embd.weight", error, 2, c->hidden, c->vocab_size);
  if (m->token_table)
    m->eoi_row = gemma_weights_read_f32 (m->weights, "eoi_embd.weight", 1, c->hidden, error);
  ld.failed = !m->eoi_row;
  m->head = gemma_lm_load_weight (&ld, "token_embd", c->vocab_size, c->hidden);
  gemma_block_stack_load (&ld, FALSE, &progress, &m->encoder);
  gemma_block_stack_load (&ld, TRUE, &progress, &m->decoder);
  return !ld.failed;
}

static GemmaLm *
t5gemma2_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GemmaProgressFunc progress,
    gpointer user_data, GError **error)
{
  T5Gemma2 *m = g_new0 (T5Gemma2, 1);
  gemma_block_stack_init (&m->encoder, &config->encoder);
  gemma_block_stack_init (&m->decoder, &config->text);
  m->device = ocl_device_ref (device);
  m->weights = gemma_weights_ref (weights);
  m->eoi_id = config->eoi_id;
  gemma_lm_init (&m->lm, &t5gemma2_lm_class, &m->decoder.config);
  m->lm.source_length = config->encoder.context_length;
  m->lm.context_length = m->lm.source_length + config->text.context_length;
  m->lm.start_id = config->start_id;
  m->lm.default_chunk = DEFAULT_CHUNK;
  if (load_all (m, progress, user_data, error))
    return &m->lm;
  t5gemma2_free (&m->lm);
  return NULL;
}

const GemmaLmClass t5gemma2_lm_class = {
  .architecture = "t5gemma2",
  .load = t5gemma2_load,
  .free = t5gemma2_free,
  .session_new = t5gemma2_session_new,
  .session_free = t5gemma2_session_free,
  .forward = t5gemma2_forward,
  .encode = t5gemma2_encode,
};
