/* Gemma 3's language model, after transformers' Gemma3TextModel and Gemma3ForCausalLM.
 *
 * Read it from top to bottom: embed(), run_layer() with its parts, head(). Shapes are [rows][cols] with
 *   M rows (positions) in flight, C hidden, H heads, G KV heads, D head_dim, F ffn, V vocabulary.
 * RMS norms multiply by 1 + w; GGUF stores that sum, and so it lies on the device.
 *
 * A layer leaves the state with its successor's norm already made: it is the end of the same launch.
 */
#include "block.h"

#define DEFAULT_CHUNK 256

typedef struct
{
  GemmaLm lm;
  GemmaBlockStack stack;
  OclDevice *device;
  GemmaWeights *weights;          /* the token table stays in the mapped file */
  const GemmaTensor *token_table; /* [V][C] */
  OclWeight *head;                /* [V][C], the token table again */
} Gemma3;

typedef struct
{
  GemmaLmSession session;
  GemmaBlockArena arena; /* for params.chunk rows */
  OclTensor state;       /* [M][C] */
  OclTensor logits;      /* [block][V] */
  gfloat *host_rows;     /* [chunk][C] */
} Session;

/* The positions in flight. */
typedef struct
{
  gint rows, position0;
  const gint32 *ids;       /* [M] */
  OclTensor state, normed; /* [M][C] */
  OclTensor rope[2];       /* [M][D] */
} Flow;

static const Gemma3 *
session_model (Session *s)
{
  return (const Gemma3 *) s->session.lm;
}

/* ---- embeddings ------------------------------------------------------------------------------------------- */

/** From ids to the state, normed for the first layer, and rope tables: the beginning of Gemma3TextModel.forward. */
static gboolean
embed (Session *s, const GemmaLmChunk *chunk, Flow *f, GError **error)
{
  const Gemma3 *m = session_model (s);
  const GemmaTextConfig *c = &m->stack.config;
  OclQueue *q = s->session.queue;
  gint M = chunk->n;

  f->rows = M;
  f->ids = chunk->ids;
  f->position0 = gemma_lm_session_get_length (&s->session);
  f->state = top (s->state, M);
  f->normed = top (s->arena.normed, M);
  if (!gemma_lm_look_up (s->session.lm, m->weights, m->token_table, chunk, s->host_rows, error))
    return FALSE;
  ocl_tensor_write (q, f->state, s->host_rows);
  gemma_lm_session_observe (&s->session, "embed", f->state);
  OclRmsNorm norm = OCL_RMS_NORM_INIT (m->stack.layers[0].attn_norm, c->rms_eps);
  ocl_rms_norm (q, f->normed, f->state, &norm);
  gemma_block_rope (&s->session, &s->arena, c, M, f->position0, f->rope);
  return TRUE;
}

/* ---- a layer ------------------------------------------------------------------------------------------------ */

/** The first half of Gemma3Attention: keys and values go into the cache; returns the queries, [M][H * D]. */
static OclTensor
project (Session *s, gint layer, const Flow *f)
{
  const Gemma3 *m = session_model (s);
  const GemmaTextConfig *c = &m->stack.config;
  const GemmaBlock *l = &m->stack.layers[layer];
  gint H = c->n_heads, G = c->n_kv_heads, D = c->head_dim;
  OclTensor qkv = top (s->arena.qkv, f->rows);
  OclQkv prepare = { H, G, D, f->position0, c->rms_eps, l->q_norm, l->k_norm, f->rope[c->sliding[layer]], TRUE };

  gemma_lm_session_multiply_stack (&s->session, qkv, f->normed, &l->qkv);
  ocl_qkv_norm_rope (s->session.queue, qkv, gemma_kv_cache_get (s->session.cache, layer), &prepare);
  return ocl_tensor_cols (qkv, 0, H * D);
}

/* How many rows from @first on are one picture, or none; without pictures all. */
static gint
count_alike (const GemmaTextConfig *c, const Flow *f, gint first, gboolean *picture)
{
  gint end = first + 1;
  *picture = c->soft_run > 0 && gemma_text_config_is_soft (c, f->ids[first]);
  while (end < f->rows && (c->soft_run == 0 || gemma_text_config_is_soft (c, f->ids[end]) == *picture))
    end++;
  return end - first;
}

/**
 * The second half, from the queries of the rows in flight to before its post norm. What is of one picture sees all of
 * it, and of what is before it as much as a word does.
 */
static void
attend (Session *s, gint layer, const Flow *f, OclTensor y, OclTensor queries)
{
  const Gemma3 *m = session_model (s);
  const GemmaTextConfig *c = &m->stack.config;
  OclTensor attended = top (s->arena.attended, f->rows);
  gboolean picture;

  for (gint first = 0, n; first < f->rows; first += n) {
    OclAttention p = { c->n_heads, c->n_kv_heads, c->head_dim, f->position0 + first,
      c->sliding[layer] ? c->window : 0, c->attention_scale, .flags = s->session.params.matmul_flags };
    n = count_alike (c, f, first, &picture);
    if (picture) {
      p.ahead = n;
      p.n_keys = p.position0 + n;
    }
    ocl_attention (s->session.queue, ocl_tensor_rows (attended, first, n), ocl_tensor_rows (queries, first, n),
        gemma_kv_cache_get (s->session.cache, layer), &p);
  }
  gemma_lm_session_multiply (&s->session, y, attended, m->stack.layers[layer].attn_out);
}

/** state += RMS (branch) * weight; normed = RMS (state) * next. */
static void
add_branch (Session *s, const Flow *f, OclTensor branch, OclTensor weight, OclTensor next)
{
  gemma_block_add (&s->session, session_model (s)->stack.config.rms_eps, f->state, branch, weight, f->normed, next);
}

/* Only the last position goes on. */
static OclTensor
keep_last (Flow *f, OclTensor queries)
{
  gint last = f->rows - 1;
  f->state = ocl_tensor_rows (f->state, last, 1);
  f->normed = ocl_tensor_rows (f->normed, last, 1);
  f->position0 += last;
  f->ids += last;
  f->rows = 1;
  return ocl_tensor_rows (queries, last, 1);
}

/** Gemma3DecoderLayer. Nothing reads what the last one makes of a position without logits, only its keys and values. */
static void
run_layer (Session *s, gint layer, Flow *f, const GemmaLmChunk *chunk)
{
  const Gemma3 *m = session_model (s);
  const GemmaBlock *l = &m->stack.layers[layer];
  gboolean is_last = layer + 1 == m->stack.config.n_layers;
  OclTensor queries = project (s, layer, f);

  if (is_last && !chunk->logits)
    return;
  if (is_last && !chunk->all_logits)
    queries = keep_last (f, queries);
  OclTensor branch = top (s->arena.branch, f->rows); /* [M][C] */
  attend (s, layer, f, branch, queries);
  add_branch (s, f, branch, l->post_attn_norm, l->ffn_norm);
  gemma_block_feed_forward (&s->session, l, &s->arena, m->stack.config.ffn[layer], branch, f->normed);
  add_branch (s, f, branch, l->post_ffn_norm, is_last ? m->stack.out_norm : l[1].attn_norm);
}

static gboolean
gemma3_forward (GemmaLmSession *session, const GemmaLmChunk *chunk, GError **error)
{
  Session *s = (Session *) session;
  const Gemma3 *m = session_model (s);
  Flow f;

  if (!embed (s, chunk, &f, error))
    return FALSE;
  for (gint layer = 0; layer < m->stack.config.n_layers; layer++) {
    run_layer (s, layer, &f, chunk);
    if (!gemma_lm_session_end_layer (session, "layer", layer, f.state, chunk->cancellable, error))
      return FALSE;
  }
  if (!chunk->logits)
    return TRUE;
  gemma_lm_session_observe (session, "norm", f.normed);
  return gemma_lm_session_head (
      session, m->device, &s->logits, f.normed, m->head, m->stack.config.logit_softcap, chunk->logits, error);
}

/* ---- session -------------------------------------------------------------------------------------------------- */

static gboolean
allocate (Session *s, GError **error)
{
  const Gemma3 *m = session_model (s);
  const GemmaTextConfig *c = &m->stack.config;
  const GemmaLmBuffer state = { &s->state, s->session.params.chunk, c->hidden };
  s->host_rows = g_new (gfloat, (gsize) state.rows * state.cols);
  return gemma_lm_allocate (m->device, &state, 1, error)
      && gemma_block_arena_new (&s->arena, m->device, &c, 1, state.rows, error);
}

static void
gemma3_session_free (GemmaLmSession *session)
{
  Session *s = (Session *) session;
  OclDevice *device = session_model (s)->device;
  gemma_block_arena_clear (&s->arena, device);
  ocl_tensor_clear (device, &s->state);
  ocl_tensor_clear (device, &s->logits);
  g_free (s->host_rows);
  gemma_lm_session_end (session);
  g_free (s);
}

static GemmaLmSession *
gemma3_session_new (GemmaLm *lm, const GemmaLmSessionParams *params, GError **error)
{
  Gemma3 *m = (Gemma3 *) lm;
  Session *s = g_new0 (Session, 1);
  if (!gemma_lm_session_begin (&s->session, lm, m->device, &m->stack.config, params, params->context_size, error)
      || !allocate (s, error)) {
    gemma3_session_free (&s->session);
    return NULL;
  }
  return &s->session;
}

/* ---- model ---------------------------------------------------------------------------------------------------- */

static void
gemma3_free (GemmaLm *lm)
{
  Gemma3 *m = (Gemma3 *) lm;
  gemma_block_stack_clear (m->device, &m->stack);
  g_clear_pointer (&m->head, ocl_weight_free);
  gemma_weights_unref (m->weights);
  ocl_device_unref (m->device);
  g_free (m);
}

static gboolean
load_all (Gemma3 *m, GemmaProgressFunc func, gpointer user_data, GError **error)
{
  const GemmaTextConfig *c = &m->stack.config;
  GemmaLmLoader ld = { m->weights, m->device, -1, gemma_weights_is_gguf (m->weights) ? 0 : 1, FALSE, error };
  GemmaBlockProgress progress = { func, user_data, 0, c->n_layers };

  m->token_table = gemma_weights_find (m->weights, "token_embd.weight", error, 2, c->hidden, c->vocab_size);
  ld.failed = !m->token_table;
  m->head = gemma_lm_load_weight (&ld, "token_embd", c->vocab_size, c->hidden);
  gemma_block_stack_load (&ld, FALSE, &progress, &m->stack);
  return !ld.failed;
}

static GemmaLm *
gemma3_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GemmaProgressFunc progress,
    gpointer user_data, GError **error)
{
  Gemma3 *m = g_new0 (Gemma3, 1);
  gemma_block_stack_init (&m->stack, &config->text);
  m->device = ocl_device_ref (device);
  m->weights = gemma_weights_ref (weights);
  gemma_lm_init (&m->lm, &gemma3_lm_class, &m->stack.config);
  m->lm.default_chunk = DEFAULT_CHUNK;
  if (load_all (m, progress, user_data, error))
    return &m->lm;
  gemma3_free (&m->lm);
  return NULL;
}

const GemmaLmClass gemma3_lm_class = {
  .architecture = "gemma3",
  .load = gemma3_load,
  .free = gemma3_free,
  .session_new = gemma3_session_new,
  .session_free = gemma3_session_free,
  .forward = gemma3_forward,
};
