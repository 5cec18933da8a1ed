/* Gemma 3n's language model, after transformers' Gemma3nTextModel and Gemma3nForCausalLM.
 *
 * Read it from top to bottom: embed(), run_layer() with its parts, unembed(). Shapes are [rows][cols] with
 *   M rows (positions) in flight, C hidden, S AltUp streams, L layers, P ple_dim, H heads, G KV heads, D head_dim,
 *   F ffn, R laurel_rank, V vocabulary.
 * RMS norms multiply by their weight itself (no 1 + w). The four streams of a position are rows s * M + m of [S * M][C];
 * stream 0 is the active one.
 *
 * Layers from L - n_shared_kv on own no keys and values, so nothing later reads what they make of a prompt position:
 * they run only for the positions whose logits are wanted.
 *
 * What runs is a submodel (MatFormer): some of the layers, each with the first part of its FFN; by default all of all.
 * Layers keep what is theirs: weights, kind of attention, sparsity, per-layer input, and the keys and values they share.
 */
#include "gemma3n-weights.h"
#include "submodel.h"

#include <math.h>
#include <string.h>

#define DEFAULT_CHUNK 256
#define MAGNITUDE_FLOOR 1e-5f /* of AltUp's embedding projections */
#define SQRT1_2 0.70710678118654752440f

/* The activations, for params.chunk rows; one allocation each for the life of the session. */
typedef struct
{
  OclTensor streams, predicted;               /* [S * M][C] */
  OclTensor last;                             /* [S][C]: the last position's streams, once only it goes on */
  OclTensor per_layer, per_layer_proj;        /* [M][L * P] */
  OclTensor rope[2];                          /* [M][D]: full, sliding */
  OclTensor normed, laurel, branch, residual; /* [M][C] */
  OclTensor laurel_low;                       /* [M][R] */
  OclTensor qkv;                              /* [M][(H + 2 G) * D] */
  OclTensor attended;                         /* [M][H * D] */
  OclTensor gate_up, ffn;                     /* [M][2 F], [M][F] */
  OclTensor ple;                              /* [M][P] */
  OclTensor logits, logit_rows;               /* [block][V], [M][C] */
} Arena;

typedef struct
{
  GemmaLmSession session;
  const Gemma3nSubmodel *submodel;
  gboolean *incomplete; /* [L]: layers that own K and V, but not of all positions in the cache */
  Arena arena;
  gfloat *host_rows, *host_ple; /* [chunk][C], [chunk][L * P] */
} Session;

/* The positions in flight and what all layers share about them. */
typedef struct
{
  gint rows, position0;
  OclTensor streams;   /* [S * M][C] */
  OclTensor per_layer; /* [M][L * P] */
  OclTensor rope[2];   /* [M][D] */
} Flow;

static const Gemma3n *
session_model (Session *s)
{
  return (const Gemma3n *) s->session.lm;
}

static void
multiply (Session *s, OclTensor y, OclTensor x, const OclWeight *w)
{
  gemma_lm_session_multiply (&s->session, y, x, w);
}

/** RMS (x) * weight (Gemma3nRMSNorm); the caller adds what is to be added. */
static OclRmsNorm
norm_with (Session *s, OclTensor weight)
{
  return (OclRmsNorm) OCL_RMS_NORM_INIT (weight, session_model (s)->config.rms_eps);
}

/* ---- embeddings ------------------------------------------------------------------------------------------- */

/**
 * Token rows and per-layer rows of the tables on the host (Gemma3nTextScaledWordEmbedding), uploaded. A soft
 * token's row comes from the caller, unscaled, and its per-layer row is that of <pad>.
 */
static gboolean
look_up (Session *s, const GemmaLmChunk *chunk, OclTensor e, OclTensor ple, GError **error)
{
  const Gemma3n *m = session_model (s);
  const GemmaTextConfig *c = &m->config;
  gint wide = c->n_layers * c->gemma3n.ple_dim;
  if (!gemma_lm_look_up (s->session.lm, m->weights, m->token_table, chunk, s->host_rows, error))
    return FALSE;
  for (gint i = 0; i < chunk->n; i++) {
    gfloat *ple_row = s->host_ple + (gsize) i * wide;
    gint id = chunk->ids[i] >= c->first_soft_id ? 0 : chunk->ids[i];
    if (!gemma_weights_read_row (m->weights, m->ple_table, id, ple_row, error))
      return FALSE;
    gemma_lm_scale_row (ple_row, wide, sqrtf (c->gemma3n.ple_dim));
  }
  ocl_tensor_write (s->session.queue, e, s->host_rows);
  ocl_tensor_write (s->session.queue, ple, s->host_ple);
  return TRUE;
}

/**
 * Gemma3nTextModel.project_per_layer_inputs: per_layer = (RMS (W e / sqrt (C)) * weight + rows of the table) / sqrt (2),
 * each of the L * P in RMS groups of P. Dividing by sqrt (C) before the norm equals multiplying its epsilon by C.
 */
static void
project_per_layer (Session *s, OclTensor e, const Flow *f)
{
  const Gemma3n *m = session_model (s);
  gint groups = f->rows * m->config.n_layers, P = m->config.gemma3n.ple_dim;
  OclTensor proj = top (s->arena.per_layer_proj, f->rows);            /* [M][L * P] */
  OclTensor per_layer = ocl_tensor_reshape (f->per_layer, groups, P); /* [M * L][P] */
  multiply (s, proj, e, m->ple_model_proj);
  OclRmsNorm p = OCL_RMS_NORM_INIT (m->ple_norm, m->config.rms_eps * m->config.hidden);
  p.add0 = per_layer;
  p.out_scale = SQRT1_2;
  ocl_rms_norm (s->session.queue, per_layer, ocl_tensor_reshape (proj, groups, P), &p);
}

/** From ids to streams, per-layer inputs and rope tables: the beginning of Gemma3nTextModel.forward. */
static gboolean
embed (Session *s, const GemmaLmChunk *chunk, Flow *f, GError **error)
{
  const Gemma3n *m = session_model (s);
  const GemmaTextConfig *c = &m->config;
  OclQueue *q = s->session.queue;
  gint M = chunk->n;

  f->rows = M;
  f->position0 = gemma_lm_session_get_length (&s->session);
  f->streams = top (s->arena.streams, c->gemma3n.n_altup * M);
  f->per_layer = top (s->arena.per_layer, M);
  OclTensor e = top (f->streams, M); /* [M][C]: stream 0 */
  if (!look_up (s, chunk, e, f->per_layer, error))
    return FALSE;
  gemma_lm_session_observe (&s->session, "embed", e);
  project_per_layer (s, e, f);
  for (gint i = 1; i < c->gemma3n.n_altup; i++) {
    OclTensor h = ocl_tensor_rows (f->streams, i * M, M); /* [M][C] */
    multiply (s, h, e, m->altup_proj[i - 1]);
    ocl_match_magnitude (q, h, e, MAGNITUDE_FLOOR);
  }
  for (gint sliding = 0; sliding < 2; sliding++) {
    f->rope[sliding] = top (s->arena.rope[sliding], M); /* [M][D] */
    ocl_rope_table (q, f->rope[sliding], f->position0, sliding ? c->rope_base_local : c->rope_base, 1);
  }
  return TRUE;
}

/* ---- a layer ------------------------------------------------------------------------------------------------ */

/* What gemma_lm_session_align() asks for, of the last position; @qkv begins with the queries of its layer. */
static void
align (Session *s, const Flow *f, OclTensor qkv, const OclKvCache *cache)
{
  const GemmaTextConfig *c = &session_model (s)->config;
  GemmaLmAlignment *a = &s->session.alignment;
  gint D = c->head_dim, head = c->alignment_head;
  if (!a->weights)
    return;
  OclTensor query = ocl_tensor_cols (ocl_tensor_rows (qkv, f->rows - 1, 1), head * D, D); /* [1][D] */
  OclAttentionWeights p = { head * c->n_kv_heads / c->n_heads, c->n_kv_heads, D, f->position0 + f->rows - 1, a->first, 1.f };
  ocl_attention_weights (s->session.queue, ocl_tensor_cols (a->computed, 0, a->n), query, cache, &p);
  a->ran = TRUE;
}

/**
 * Gemma3nTextAttention, from the normed input to before its post norm. Scale 1; queries and keys are normed, then
 * roped; values are normed without weight. A layer that shares reads the cache of l->kv_layer, which holds this
 * chunk's rows already.
 */
static void
attention (Session *s, gint layer, const Flow *f, OclTensor y, OclTensor x)
{
  const Gemma3n *m = session_model (s);
  const GemmaTextConfig *c = &m->config;
  const Gemma3nLayer *l = &m->layers[layer];
  const OclKvCache *cache = gemma_kv_cache_get (s->session.cache, l->kv_layer);
  gboolean own = l->kv_layer == layer;
  gint H = c->n_heads, G = c->n_kv_heads, D = c->head_dim;
  OclTensor qkv = ocl_tensor_cols (top (s->arena.qkv, f->rows), 0, (own ? H + 2 * G : H) * D);
  OclTensor attended = top (s->arena.attended, f->rows); /* [M][H * D] */

  gemma_lm_session_multiply_stack (&s->session, qkv, x, &l->qkv);
  OclQkv prepare = { H, G, D, f->position0, c->rms_eps, l->q_norm, l->k_norm, f->rope[c->sliding[layer]] };
  ocl_qkv_norm_rope (s->session.queue, qkv, own ? cache : NULL, &prepare);
  OclAttention attend = { H, G, D, f->position0, c->sliding[layer] ? c->window : 0, 1.f,
    .flags = s->session.params.matmul_flags };
  if (layer == c->alignment_layer)
    align (s, f, qkv, cache);
  ocl_attention (s->session.queue, attended, ocl_tensor_cols (qkv, 0, H * D), cache, &attend);
  multiply (s, y, attended, l->attn_out);
}

/** Gemma3nTextLaurelBlock: y = x + RMS (W_right (W_left x)) * weight. */
static void
laurel (Session *s, const Gemma3nLayer *l, OclTensor y, OclTensor x)
{
  OclTensor low = top (s->arena.laurel_low, x.rows); /* [M][R] */
  multiply (s, low, x, l->laurel_l);
  multiply (s, y, low, l->laurel_r);
  OclRmsNorm post = norm_with (s, l->laurel_norm);
  post.add0 = x;
  ocl_rms_norm (s->session.queue, y, y, &post);
}

/** Gemma3nTextMLP: y = W_down (gelu (sparse (W_gate x)) * W_up x); the cutoff is that of the F which run. */
static void
feed_forward (Session *s, const Gemma3nSubLayer *l, OclTensor y, OclTensor x)
{
  const Gemma3n *m = session_model (s);
  gint F = l->ffn;
  const gfloat sparsity = m->config.gemma3n.sparsity[l->index];
  OclTensor gate_up = ocl_tensor_cols (top (s->arena.gate_up, x.rows), 0, 2 * F);
  OclTensor gate = ocl_tensor_cols (gate_up, 0, F), up = ocl_tensor_cols (gate_up, F, F);
  OclTensor ffn = ocl_tensor_cols (top (s->arena.ffn, x.rows), 0, F);
  const OclMatmulFlags flags = s->session.params.matmul_flags;
  if (l->up && ocl_gated_matmul_is_sparse (s->session.queue, l->up, x.rows)) {
    multiply (s, gate, x, l->gate);
    ocl_gated_matmul (s->session.queue, ffn, gate, x, l->up, sparsity, flags);
  } else {
    gemma_lm_session_multiply_stack (&s->session, gate_up, x, &l->gate_up);
    ocl_gated_gelu (s->session.queue, ffn, gate, up, sparsity);
  }
  ocl_sparse_matmul (s->session.queue, y, ffn, l->ffn_down, flags);
}

/**
 * The per-layer input: q = gelu (W_gate scaled) * per_layer[layer], then RMS (W_proj q) * weight is added to the
 * streams but the first. scaled is stream 0 times the layer's correct_scale, which is used for this only.
 */
static void
per_layer_input (Session *s, gint layer, const Flow *f, OclTensor scaled)
{
  const Gemma3n *m = session_model (s);
  const GemmaTextConfig *c = &m->config;
  const Gemma3nLayer *l = &m->layers[layer];
  gint P = c->gemma3n.ple_dim;
  OclTensor ple = top (s->arena.ple, f->rows);    /* [M][P] */
  OclTensor out = top (s->arena.branch, f->rows); /* [M][C] */
  multiply (s, ple, scaled, l->ple_gate);
  ocl_gelu_mul (s->session.queue, ple, ple, ocl_tensor_cols (f->per_layer, layer * P, P));
  multiply (s, out, ple, l->ple_proj);
  ocl_altup_add (s->session.queue, f->streams, out, l->post_ple_norm, c->rms_eps, c->gemma3n.n_altup);
}

/**
 * Gemma3nTextDecoderLayer. The norm that follows a step is made in the same launch where the operation offers it:
 * a token is some hundred launches, and each costs about as much as its work.
 */
static void
run_layer (Session *s, const Gemma3nSubLayer *sub, const Flow *f)
{
  const Gemma3n *m = session_model (s);
  const gint layer = sub->index;
  const Gemma3nLayer *l = &m->layers[layer];
  OclQueue *q = s->session.queue;
  gint M = f->rows;
  OclTensor predicted = top (s->arena.predicted, m->config.gemma3n.n_altup * M); /* [S * M][C] */
  OclTensor active = top (predicted, M);                                     /* [M][C] */
  OclTensor x = top (s->arena.normed, M), branch = top (s->arena.branch, M); /* [M][C] */
  OclTensor lau = top (s->arena.laurel, M), g = top (s->arena.residual, M);  /* [M][C] */
  OclAltup altup = l->altup;

  altup.normed = x;
  altup.norm_weight = l->attn_norm;
  ocl_altup_predict (q, predicted, f->streams, &altup);

  laurel (s, l, lau, x);
  attention (s, layer, f, branch, x);
  OclRmsNorm post_attention = norm_with (s, l->post_attn_norm); /* g = (active + lau + RMS (branch)) / sqrt (2) */
  post_attention.add0 = active;
  post_attention.add1 = lau;
  post_attention.out_scale = SQRT1_2;
  post_attention.y2 = x; /* x = RMS (g) */
  post_attention.weight2 = l->ffn_norm;
  ocl_rms_norm (q, g, branch, &post_attention);

  feed_forward (s, sub, branch, x);
  OclRmsNorm post_ffn = norm_with (s, l->post_ffn_norm); /* g += RMS (branch) */
  post_ffn.add0 = g;
  ocl_rms_norm (q, g, branch, &post_ffn);

  altup.scaled = x;
  altup.scale_weight = l->correct_scale;
  ocl_altup_correct (q, f->streams, predicted, g, &altup);
  per_layer_input (s, layer, f, x);
}

/* ---- output ------------------------------------------------------------------------------------------------- */

/** The streams become one state (the end of Gemma3nTextModel.forward); returns it normed, [M][C]. */
static OclTensor
unembed (Session *s, const Flow *f)
{
  const Gemma3n *m = session_model (s);
  OclQueue *q = s->session.queue;
  gint M = f->rows, S = m->config.gemma3n.n_altup;
  OclTensor out = top (s->arena.predicted, S * M);                         /* [S * M][C] */
  OclTensor active = top (f->streams, M), mean = top (s->arena.branch, M); /* [M][C] */
  OclTensor normed = top (s->arena.logit_rows, M);                         /* [M][C] */
  ocl_copy (q, top (out, M), active);
  for (gint i = 1; i < S; i++) {
    OclTensor y = ocl_tensor_rows (out, i * M, M); /* [M][C] */
    multiply (s, y, ocl_tensor_rows (f->streams, i * M, M), m->altup_unembed[i - 1]);
    ocl_match_magnitude (q, y, active, MAGNITUDE_FLOOR);
  }
  ocl_mean_streams (q, mean, out, S);
  OclRmsNorm last = norm_with (s, m->out_norm);
  ocl_rms_norm (q, normed, mean, &last);
  gemma_lm_session_observe (&s->session, "norm", normed);
  return normed;
}

/** Gemma3nForCausalLM's head. */
static gboolean
head (Session *s, OclTensor x, gfloat *logits, GError **error)
{
  const Gemma3n *m = session_model (s);
  return gemma_lm_session_head (
      &s->session, m->device, &s->arena.logits, x, m->head, m->config.logit_softcap, logits, error);
}

/* ---- submodels ------------------------------------------------------------------------------------------------ */

/* Which layers the positions to come will lack: those that are skipped. */
static void
note_incomplete (Session *s)
{
  const GemmaTextConfig *c = &session_model (s)->config;
  gint owned = c->n_layers - c->gemma3n.n_shared_kv, position = 0;
  if (gemma_lm_session_get_length (&s->session) == 0)
    memset (s->incomplete, 0, c->n_layers * sizeof *s->incomplete);
  for (gint i = 0; i < owned; i++) {
    if (position < s->submodel->n_owned && s->submodel->layers[position].index == i)
      position++;
    else
      s->incomplete[i] = TRUE;
  }
}

/* Keys and values in the cache stay. They must be there of every layer that reads its own. */
static gboolean
gemma3n_session_set_submodel (GemmaLmSession *session, gconstpointer submodel)
{
  Session *s = (Session *) session;
  const Gemma3nSubmodel *next = submodel ? submodel : session_model (s)->full;
  for (gint i = 0; i < next->n_owned && gemma_lm_session_get_length (session) > 0; i++) {
    if (s->incomplete[next->layers[i].index])
      return FALSE;
  }
  s->submodel = next;
  return TRUE;
}

static gpointer
gemma3n_submodel_make (GemmaLm *lm, const gchar *choice, GError **error)
{
  const Gemma3n *m = (const Gemma3n *) lm;
  const GemmaConfig config = { .architecture = lm->klass->architecture, .text = m->config };
  g_autofree gint *ffn = gemma_submodel_parse (choice, &config, gemma_weights_get_path (m->weights), error);
  return ffn ? gemma3n_submodel_new (m, ffn, error) : NULL;
}

static void
gemma3n_submodel_unmake (gpointer submodel)
{
  gemma3n_submodel_free (submodel);
}

/* ---- a chunk -------------------------------------------------------------------------------------------------- */

/* Only the last position goes on. */
static void
keep_last (Session *s, Flow *f)
{
  gint M = f->rows, S = session_model (s)->config.gemma3n.n_altup;
  if (M == 1)
    return;
  OclTensor rows = ocl_tensor_rows (f->streams, M - 1, (S - 1) * M + 1);
  ocl_copy (s->session.queue, s->arena.last, ocl_tensor_every (rows, M)); /* [S][C] */
  f->streams = s->arena.last;
  f->per_layer = ocl_tensor_rows (f->per_layer, M - 1, 1);
  for (gint i = 0; i < 2; i++)
    f->rope[i] = ocl_tensor_rows (f->rope[i], M - 1, 1);
  f->position0 += M - 1;
  f->rows = 1;
}

/* Layers are counted as those that run. */
static gboolean
run_layers (Session *s, gint first, gint end, const Flow *f, GCancellable *cancellable, GError **error)
{
  for (gint layer = first; layer < end; layer++) {
    run_layer (s, &s->submodel->layers[layer], f);
    if (!gemma_lm_session_end_layer (&s->session, "layer", layer, top (f->streams, f->rows), cancellable, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
gemma3n_forward (GemmaLmSession *session, const GemmaLmChunk *chunk, GError **error)
{
  Session *s = (Session *) session;
  gint owned = s->submodel->n_owned;
  Flow f;
  note_incomplete (s);
  if (!embed (s, chunk, &f, error) || !run_layers (s, 0, owned, &f, chunk->cancellable, error))
    return FALSE;
  if (!chunk->logits)
    return TRUE;
  if (!chunk->all_logits)
    keep_last (s, &f);
  return run_layers (s, owned, s->submodel->n_layers, &f, chunk->cancellable, error) &&
      head (s, unembed (s, &f), chunk->logits, error);
}

/* ---- session and model ------------------------------------------------------------------------------------------ */

static gboolean
allocate_arena (Session *s, GError **error)
{
  const Gemma3n *m = session_model (s);
  const GemmaTextConfig *c = &m->config;
  Arena *a = &s->arena;
  gint M = s->session.params.chunk, S = c->gemma3n.n_altup, C = c->hidden, F = 0;
  for (gint i = 0; i < c->n_layers; i++)
    F = MAX (F, c->ffn[i]);
  gint wide = c->n_layers * c->gemma3n.ple_dim, heads = c->n_heads * c->head_dim;
  const GemmaLmBuffer all[] = {
    { &a->streams, S * M, C },
    { &a->predicted, S * M, C },
    { &a->last, S, C },
    { &a->per_layer, M, wide },
    { &a->per_layer_proj, M, wide },
    { &a->rope[0], M, c->head_dim },
    { &a->rope[1], M, c->head_dim },
    { &a->normed, M, C },
    { &a->laurel, M, C },
    { &a->branch, M, C },
    { &a->residual, M, C },
    { &a->laurel_low, M, c->gemma3n.laurel_rank },
    { &a->qkv, M, heads + 2 * c->n_kv_heads * c->head_dim },
    { &a->attended, M, heads },
    { &a->gate_up, M, 2 * F },
    { &a->ffn, M, F },
    { &a->ple, M, c->gemma3n.ple_dim },
    { &a->logit_rows, M, C },
  };
  if (!gemma_lm_allocate (m->device, all, G_N_ELEMENTS (all), error))
    return FALSE;
  s->host_rows = g_new (gfloat, (gsize) M * C);
  s->host_ple = g_new (gfloat, (gsize) M * wide);
  return TRUE;
}

static void
gemma3n_session_free (GemmaLmSession *session)
{
  Session *s = (Session *) session;
  OclDevice *device = session_model (s)->device;
  Arena *a = &s->arena;
  OclTensor *all[] = { &a->streams, &a->predicted, &a->last, &a->per_layer, &a->per_layer_proj, &a->rope[0],
    &a->rope[1], &a->normed, &a->laurel, &a->branch, &a->residual, &a->laurel_low, &a->qkv, &a->attended, &a->gate_up,
    &a->ffn, &a->ple, &a->logit_rows, &a->logits };
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    ocl_tensor_clear (device, all[i]);
  g_free (s->host_rows);
  g_free (s->host_ple);
  g_free (s->incomplete);
  gemma_lm_session_end (session);
  g_free (s);
}

static GemmaLmSession *
gemma3n_session_new (GemmaLm *lm, const GemmaLmSessionParams *params, GError **error)
{
  Gemma3n *m = (Gemma3n *) lm;
  Session *s = g_new0 (Session, 1);
  s->submodel = m->full;
  s->incomplete = g_new0 (gboolean, m->config.n_layers);
  if (!gemma_lm_session_begin (&s->session, lm, m->device, &m->config, params, params->context_size, error)
      || !allocate_arena (s, error)) {
    gemma3n_session_free (&s->session);
    return NULL;
  }
  return &s->session;
}

static GemmaLm *
gemma3n_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GemmaProgressFunc progress,
    gpointer user_data, GError **error)
{
  Gemma3n *m = gemma3n_weights_load (weights, &config->text, device, progress, user_data, error);
  if (!m)
    return NULL;
  gemma_lm_init (&m->lm, &gemma3n_lm_class, &m->config);
  m->lm.default_chunk = DEFAULT_CHUNK;
  return &m->lm;
}

static void
gemma3n_free (GemmaLm *lm)
{
  gemma3n_weights_free ((Gemma3n *) lm);
}

const GemmaLmClass gemma3n_lm_class = {
  .architecture = "gemma3n",
  .load = gemma3n_load,
  .free = gemma3n_free,
  .session_new = gemma3n_session_new,
  .session_free = gemma3n_session_free,
  .forward = gemma3n_forward,
  .submodel_new = gemma3n_submodel_make,
  .submodel_free = gemma3n_submodel_unmake,
  .session_set_submodel = gemma3n_session_set_submodel,
};
