/* A language model: what every network of this kind offers. gemma3n.c, gemma3.c and t5gemma2.c implement it.
 *
 * An encoder-decoder is used in the same way. The first append is its source: the encoder reads it as a whole, and the
 * decoder begins with its start token. What is appended then are tokens of the decoder. Positions are those of the
 * source, the start token not counted, then the decoder's; a source is only kept or given up as a whole.
 */
#pragma once

#include "config.h"
#include "usm.h"

G_BEGIN_DECLS

typedef struct _GemmaLm GemmaLm;               /* weights, shared */
typedef struct _GemmaLmSession GemmaLmSession; /* KV cache, arena, queue: one thread at a time */

GemmaLm *gemma_lm_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GemmaProgressFunc progress,
    gpointer user_data, GError **error);
void gemma_lm_free (GemmaLm *lm);

/**
 * @context_size: positions at most (0: the model's); @chunk: tokens computed together in prefill (0: a good default).
 * The last (1..@rollback) positions can be taken back by gemma_lm_session_truncate().
 */
typedef struct
{
  gint context_size, chunk, rollback;
  guint matmul_flags; /* OclMatmulFlags */
  gboolean packed_kv; /* keys and values of what was read in bytes: a quarter of the memory */
} GemmaLmSessionParams;
GemmaLmSession *gemma_lm_session_new (GemmaLm *lm, const GemmaLmSessionParams *params, GError **error);
void gemma_lm_session_free (GemmaLmSession *session);

/* ---- parts of a MatFormer model ------------------------------------------------------------------------------ */

typedef struct _GemmaLmSubmodel GemmaLmSubmodel; /* immutable, for any number of sessions; its weights are views */

/**
 * gemma_lm_submodel_new:
 * @choice: (nullable): see submodel.h; NULL for the whole model
 *
 * Quick, and without memory on the device. @lm must outlive it. (transfer full)
 */
GemmaLmSubmodel *gemma_lm_submodel_new (GemmaLm *lm, const gchar *choice, GError **error);
/** No session may run it any more. */
void gemma_lm_submodel_free (GemmaLmSubmodel *submodel);

/**
 * gemma_lm_session_set_submodel:
 * @submodel: (nullable): NULL for the whole model, with which a session begins
 *
 * The positions from now on run in @submodel; a few instructions. What is in the cache stays as it is: positions before
 * keep the keys and values that the submodel of their time gave them, and later ones read them. FALSE, with nothing
 * changed, if @submodel has a layer with keys and values of its own that was skipped for a position in the cache; it can
 * be set once the session has been truncated to 0.
 */
gboolean gemma_lm_session_set_submodel (GemmaLmSession *session, const GemmaLmSubmodel *submodel);

/* ---- a session's positions ------------------------------------------------------------------------------------- */

/** Positions in the cache. */
gint gemma_lm_session_get_length (GemmaLmSession *session);
/**
 * Keeps the first @length positions (0 restarts). FALSE if that reaches back beyond what the rings hold, or into a
 * source.
 */
gboolean gemma_lm_session_truncate (GemmaLmSession *session, gint length);

/**
 * gemma_lm_session_append:
 * @ids: token ids; a soft one (gemma_text_config_is_soft()) takes the next row of @rows instead of the token table. With
 *   text.soft_run, soft ids in a row are one picture, which is appended as a whole and taken back as a whole
 * @rows: (nullable): text.hidden floats for each such id, in order
 * @logits: (nullable): vocab_size floats for the last position, or for all @n with @all_logits; only for the decoder's
 *   start token where @ids are a source
 * @cancellable: (nullable): checked between chunks, and between the layers of long ones
 *
 * Runs the model over @n more positions (prefill for many, decoding for one). On any error the cache is as before.
 */
gboolean gemma_lm_session_append (GemmaLmSession *session, const gint32 *ids, gint n, const gfloat *rows,
    gfloat *logits, gboolean all_logits, GCancellable *cancellable, GError **error);

/**
 * gemma_lm_session_align:
 * @first, @n: a range of positions, the sound's
 * @weights: @n floats that the session writes to; NULL ends it
 *
 * From now on an append with logits also writes how the attention of the model's alignment head is spread at its last
 * position: the share of each position of the range, which with all others, the text's, have the sum 1. Where it lies is
 * what the token that the logits predict is about. All zeros where a submodel skips the head's layer. FALSE, with nothing
 * written ever, for a model without such a head (published ones name none).
 */
gboolean gemma_lm_session_align (GemmaLmSession *session, gint first, gint n, gfloat *weights);

/** Observes "embed", "layer0", ... (stream 0 after the first layer that runs), "norm", for tests. */
void gemma_lm_session_set_observer (GemmaLmSession *session, GemmaObserver observer, gpointer user_data);

G_END_DECLS
