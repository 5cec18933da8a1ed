/* What a network of language models implements; only lm.c and the networks include this. */
#pragma once

#include "kv-cache.h"
#include "lm.h"

G_BEGIN_DECLS

/**
 * Up to params.chunk positions, after those in the cache; with text.soft_run no run of soft ids is cut. For encode() a
 * whole source.
 */
typedef struct
{
  const gint32 *ids; /* [n] */
  gint n;
  const gfloat *rows; /* of the ids that are soft, in order */
  gfloat *logits;     /* (nullable): of the last position, or of all n with all_logits */
  gboolean all_logits;
  GCancellable *cancellable; /* may be looked at in between, too */
} GemmaLmChunk;

typedef struct
{
  const gchar *architecture;
  GemmaLm *(*load) (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GemmaProgressFunc progress,
      gpointer user_data, GError **error);
  void (*free) (GemmaLm *lm);
  /* Parameters are resolved: no zeros. */
  GemmaLmSession *(*session_new) (GemmaLm *lm, const GemmaLmSessionParams *params, GError **error);
  void (*session_free) (GemmaLmSession *session);
  /* Queues a chunk; lm.c waits for it, whatever the outcome. */
  gboolean (*forward) (GemmaLmSession *session, const GemmaLmChunk *chunk, GError **error);
  /* Of encoder-decoders, NULL elsewhere: queues what makes the memory of a source, in place of another. No logits. */
  gboolean (*encode) (GemmaLmSession *session, const GemmaLmChunk *source, GError **error);
  /* The three are NULL where there are no submodels. What submodel_new() returns is used by any number of sessions. */
  gpointer (*submodel_new) (GemmaLm *lm, const gchar *choice, GError **error);
  void (*submodel_free) (gpointer submodel);
  gboolean (*session_set_submodel) (GemmaLmSession *session, gconstpointer submodel);
} GemmaLmClass;

/** Networks put these first in their own structures, and fill them. */
struct _GemmaLm
{
  const GemmaLmClass *klass;
  const GemmaTextConfig *text;  /* the network's own: of what answers */
  gint context_length, default_chunk;
  gint source_length, start_id; /* of encoder-decoders: what of context_length a source may have; else 0 */
};

/* What gemma_lm_session_align() asks for. */
typedef struct
{
  gint first, n;
  gfloat *weights;    /* [n]; NULL: nothing */
  OclTensor computed; /* [1][n] */
  gboolean ran;       /* the head's layer has, in this chunk */
} GemmaLmAlignment;

struct _GemmaLmSession
{
  GemmaLm *lm;
  GemmaLmSessionParams params;
  OclQueue *queue;
  GemmaKvCache *cache;
  gint n_source; /* ids in the memory; 0: none, as in models without an encoder */
  GemmaLmAlignment alignment;
  GemmaObserver observer;
  gpointer observer_data;
};

extern const GemmaLmClass gemma3n_lm_class, gemma3_lm_class, t5gemma2_lm_class;

/** Shows @t to the observer, if there is one. */
void gemma_lm_session_observe (GemmaLmSession *session, const gchar *name, OclTensor t);

G_END_DECLS
