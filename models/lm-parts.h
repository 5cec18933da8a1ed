/* What the networks of language models have in common: reading their weights, the embeddings of tokens, the head. */
#pragma once

#include "lm-impl.h"

G_BEGIN_DECLS

/* ---- weights -------------------------------------------------------------------------------------------------- */

/** Matrices with the same inputs, side by side in the output; one launch for each run of equal types. */
typedef struct
{
  OclWeight *part[3];
  gint n_parts;
} GemmaLmStack;

/** What every loading step needs; the first failure makes the rest do nothing. */
typedef struct
{
  GemmaWeights *weights;
  OclDevice *device;
  gint layer;    /* -1 outside of layers */
  gfloat offset; /* added to the values of tensors: 1 for norms that multiply by 1 + w and are stored as w */
  gboolean failed;
  GError **error;
  const gchar *prefix; /* before all names; NULL for none */
} GemmaLmLoader;

/** A small tensor in float32: "NAME.weight", or "blk.LAYER.NAME.weight". */
OclTensor gemma_lm_load_tensor (GemmaLmLoader *ld, const gchar *name, gint rows, gint cols);
OclWeight *gemma_lm_load_weight (GemmaLmLoader *ld, const gchar *name, gint rows, gint cols);
/** One of which decoding reads a part; see ocl_weight_new_sparse(). */
OclWeight *gemma_lm_load_sparse (GemmaLmLoader *ld, const gchar *name, gint rows, gint cols, OclLayout layout);
/** Matrices @names of @rows[i] x @cols, merged where neighbours have the same type. */
GemmaLmStack gemma_lm_load_stack (
    GemmaLmLoader *ld, guint n, const gchar *const *names, const gint *rows, gint cols);
void gemma_lm_stack_clear (GemmaLmStack *stack);

/** What every model begins with; @text: the model's own. */
void gemma_lm_init (GemmaLm *lm, const GemmaLmClass *klass, const GemmaTextConfig *text);

/* ---- a session ------------------------------------------------------------------------------------------------ */

typedef struct
{
  OclTensor *tensor;
  gint rows, cols;
} GemmaLmBuffer;

/**
 * What every session begins with: @lm, @params, a queue, and a cache for @config's layers, of @context positions.
 * gemma_lm_session_end() also after a failure.
 */
gboolean gemma_lm_session_begin (GemmaLmSession *session, GemmaLm *lm, OclDevice *device, const GemmaTextConfig *config,
    const GemmaLmSessionParams *params, gint context, GError **error);
/** Frees queue and cache. */
void gemma_lm_session_end (GemmaLmSession *session);

/** Allocates all; FALSE with some of them allocated. */
gboolean gemma_lm_allocate (OclDevice *device, const GemmaLmBuffer *buffers, guint n, GError **error);

/** y = x w^T */
void gemma_lm_session_multiply (GemmaLmSession *session, OclTensor y, OclTensor x, const OclWeight *w);
void gemma_lm_session_multiply_stack (GemmaLmSession *session, OclTensor y, OclTensor x, const GemmaLmStack *stack);

/** x *= scale */
void gemma_lm_scale_row (gfloat *row, gint n, gfloat scale);
/**
 * rows [chunk->n][C] on the host: those of @table times sqrt (C), and of soft ids the caller's as they are
 * (transformers' ScaledWordEmbedding).
 */
gboolean gemma_lm_look_up (GemmaLm *lm, GemmaWeights *weights, const GemmaTensor *table, const GemmaLmChunk *chunk,
    gfloat *rows, GError **error);

/**
 * Shows the state after @layer to the observer, by the name of @prefix ("layer") and its number, and looks at the
 * cancellable where the rows take long.
 */
gboolean gemma_lm_session_end_layer (GemmaLmSession *session, const gchar *prefix, gint layer, OclTensor state,
    GCancellable *cancellable, GError **error);

/**
 * logits = cap * tanh (head x / cap), without the cap where it is 0, some rows at a time, which *@block holds; it grows
 * as needed.
 */
gboolean gemma_lm_session_head (GemmaLmSession *session, OclDevice *device, OclTensor *block, OclTensor x,
    const OclWeight *head, gfloat softcap, gfloat *logits, GError **error);

/** The first @rows of @t. */
static inline OclTensor
top (OclTensor t, gint rows)
{
  return ocl_tensor_rows (t, 0, rows);
}

G_END_DECLS
