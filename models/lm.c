/* Language models of any architecture: choice of the network, limits, chunks, cancellation. */
#include "lm-impl.h"
#include "submodel.h"

#include <string.h>

static const GemmaLmClass *const classes[] = { &gemma3n_lm_class, &gemma3_lm_class, &t5gemma2_lm_class };

GemmaLm *
gemma_lm_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GemmaProgressFunc progress,
    gpointer user_data, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++) {
    if (g_strcmp0 (classes[i]->architecture, config->architecture) == 0)
      return classes[i]->load (weights, config, device, progress, user_data, error);
  }
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "%s: no language model of architecture '%s'",
      gemma_weights_get_path (weights), config->architecture);
  return NULL;
}

void
gemma_lm_free (GemmaLm *lm)
{
  if (lm)
    lm->klass->free (lm);
}

GemmaLmSession *
gemma_lm_session_new (GemmaLm *lm, const GemmaLmSessionParams *params, GError **error)
{
  GemmaLmSessionParams p = *params;
  if (p.context_size <= 0 || p.context_size > lm->context_length)
    p.context_size = lm->context_length;
  if (p.chunk <= 0)
    p.chunk = lm->default_chunk;
  p.chunk = MIN (MAX (p.chunk, lm->text->soft_run), p.context_size);
  p.rollback = CLAMP (p.rollback, 0, p.context_size);
  return lm->klass->session_new (lm, &p, error);
}

void
gemma_lm_session_free (GemmaLmSession *session)
{
  if (session)
    session->lm->klass->session_free (session);
}

struct _GemmaLmSubmodel
{
  const GemmaLmClass *klass;
  gpointer data; /* the network's; NULL for the whole model */
};

GemmaLmSubmodel *
gemma_lm_submodel_new (GemmaLm *lm, const gchar *choice, GError **error)
{
  gpointer data = NULL;
  if (!gemma_submodel_is_full (choice)) {
    if (!lm->klass->submodel_new) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_SETTING,
          "submodel \"%s\": models of architecture %s have no submodels; allowed is \"full\"", choice,
          lm->klass->architecture);
      return NULL;
    }
    data = lm->klass->submodel_new (lm, choice, error);
    if (!data)
      return NULL;
  }
  GemmaLmSubmodel *submodel = g_new (GemmaLmSubmodel, 1);
  *submodel = (GemmaLmSubmodel){ lm->klass, data };
  return submodel;
}

void
gemma_lm_submodel_free (GemmaLmSubmodel *submodel)
{
  if (submodel && submodel->data)
    submodel->klass->submodel_free (submodel->data);
  g_free (submodel);
}

gboolean
gemma_lm_session_set_submodel (GemmaLmSession *session, const GemmaLmSubmodel *submodel)
{
  const GemmaLmClass *klass = session->lm->klass;
  g_return_val_if_fail (!submodel || submodel->klass == klass, FALSE);
  return !klass->session_set_submodel || klass->session_set_submodel (session, submodel ? submodel->data : NULL);
}

gint
gemma_lm_session_get_length (GemmaLmSession *session)
{
  gint own = gemma_kv_cache_get_length (session->cache);
  return session->n_source > 0 ? session->n_source + own - 1 : own;
}

gboolean
gemma_lm_session_truncate (GemmaLmSession *session, gint length)
{
  if (length == 0)
    session->n_source = 0;
  if (session->n_source == 0)
    return gemma_kv_cache_truncate (session->cache, length);
  return length >= session->n_source && gemma_kv_cache_truncate (session->cache, length - session->n_source + 1);
}

gboolean
gemma_lm_session_align (GemmaLmSession *session, gint first, gint n, gfloat *weights)
{
  GemmaLmAlignment *a = &session->alignment;
  OclDevice *device = ocl_queue_get_device (session->queue);
  g_return_val_if_fail (!weights || (first >= 0 && n > 0), FALSE);
  a->weights = NULL;
  if (!weights || session->lm->text->alignment_layer < 0)
    return FALSE;
  if (a->computed.cols < n) {
    ocl_tensor_clear (device, &a->computed);
    a->computed = ocl_tensor_new (device, 1, n, NULL);
  }
  if (a->computed.mem) {
    a->first = first;
    a->n = n;
    a->weights = weights;
  }
  return a->weights != NULL;
}

void
gemma_lm_session_set_observer (GemmaLmSession *session, GemmaObserver observer, gpointer user_data)
{
  session->observer = observer;
  session->observer_data = user_data;
}

void
gemma_lm_session_observe (GemmaLmSession *session, const gchar *name, OclTensor t)
{
  if (!session->observer)
    return;
  g_autofree gfloat *data = g_new (gfloat, (gsize) t.rows * t.cols);
  if (ocl_tensor_read (session->queue, t, data))
    session->observer (name, t.rows, t.cols, data, session->observer_data);
}

/* Number of soft ids, or -1 with @error for ids that the model does not have. */
static gint
check_ids (const GemmaTextConfig *text, const gint32 *ids, gint n, GError **error)
{
  for (gint i = 0; i < n; i++)
    if (ids[i] < 0 || (ids[i] >= text->vocab_size && ids[i] != text->lone_soft_id)) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "id %d at position %d is not a token; allowed: 0 to %d",
          ids[i], i, text->vocab_size - 1);
      return -1;
    }
  return gemma_text_config_count_soft (text, ids, n);
}

/* FALSE with @error for soft ids in a row that see each other and do not fit into a chunk. */
static gboolean
check_runs (GemmaLmSession *self, const gint32 *ids, gint n, GError **error)
{
  const GemmaTextConfig *text = self->lm->text;
  for (gint i = 0, run = 0; text->soft_run > 0 && i < n; i++) {
    run = gemma_text_config_is_soft (text, ids[i]) ? run + 1 : 0;
    if (run > self->params.chunk) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG,
          "more than %d soft tokens in a row, which have to be computed together", self->params.chunk);
      return FALSE;
    }
  }
  return TRUE;
}

/* TRUE if the next append is what the encoder reads. */
static gboolean
needs_source (GemmaLmSession *self)
{
  return self->lm->klass->encode && self->n_source == 0;
}

/* Of the context of an encoder-decoder, source and decoder have a part each. */
static gboolean
check_side (GemmaLmSession *self, gint n, GError **error)
{
  GemmaLm *lm = self->lm;
  gboolean is_source = needs_source (self);
  gint before = is_source ? 0 : gemma_kv_cache_get_length (self->cache);
  gint most = is_source ? lm->source_length : lm->context_length - lm->source_length;
  if (n <= most - before)
    return TRUE;
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG, "%d tokens after %d do not fit into the %d of the %s", n,
      before, most, is_source ? "encoder" : "decoder");
  return FALSE;
}

static gboolean
check_append (GemmaLmSession *self, const gint32 *ids, gint n, const gfloat *rows, GError **error)
{
  gint length = gemma_lm_session_get_length (self), context = self->params.context_size;
  if (n <= 0) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%d tokens to append; at least 1 is needed", n);
    return FALSE;
  }
  if (n > context - length) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG,
        "%d tokens after the %d before them do not fit into the context of %d", n, length, context);
    return FALSE;
  }
  if (!check_side (self, n, error))
    return FALSE;
  gint n_soft = check_ids (self->lm->text, ids, n, error);
  if (n_soft > 0 && !rows)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%d soft tokens (ids from %d) come without their rows",
        n_soft, self->lm->text->first_soft_id);
  return n_soft == 0 || (n_soft > 0 && rows && check_runs (self, ids, n, error));
}

typedef gboolean (*RunFunc) (GemmaLmSession *session, const GemmaLmChunk *chunk, GError **error);

/* Nothing of a chunk may still run when this returns. What the queue says is the cause of what followed. */
static gboolean
run (GemmaLmSession *self, RunFunc func, const GemmaLmChunk *chunk, GError **error)
{
  g_autoptr (GError) own_error = NULL, queue_error = NULL;
  ocl_queue_gather (self->queue, chunk->n == 1);
  gboolean ok = func (self, chunk, &own_error);
  ocl_queue_gather (self->queue, FALSE);
  if (!ocl_queue_finish (self->queue, &queue_error)) {
    g_propagate_error (error, g_steal_pointer (&queue_error));
    return FALSE;
  }
  if (!ok)
    g_propagate_error (error, g_steal_pointer (&own_error));
  return ok;
}

/* After a chunk with logits. */
static gboolean
read_alignment (GemmaLmSession *self, GError **error)
{
  const GemmaLmAlignment *a = &self->alignment;
  if (!a->weights)
    return TRUE;
  memset (a->weights, 0, a->n * sizeof *a->weights);
  return !a->ran || ocl_tensor_read (self->queue, ocl_tensor_cols (a->computed, 0, a->n), a->weights)
      || ocl_queue_finish (self->queue, error);
}

static gboolean
append_chunks (GemmaLmSession *self, const gint32 *ids, gint n, const gfloat *rows, gfloat *logits, gboolean all_logits,
    GCancellable *cancellable, GError **error)
{
  const GemmaTextConfig *text = self->lm->text;
  for (gint done = 0; done < n;) {
    gint most = MIN (n - done, self->params.chunk);
    GemmaLmChunk chunk = { ids + done, gemma_text_config_cut (text, ids + done, n - done, most), rows, NULL, all_logits,
      cancellable };
    if (all_logits && logits)
      chunk.logits = logits + (gsize) done * text->vocab_size;
    else if (done + chunk.n == n)
      chunk.logits = logits;
    if (g_cancellable_is_cancelled (cancellable)) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED, "cancelled after %d of %d tokens", done, n);
      return FALSE;
    }
    self->alignment.ran = FALSE;
    if (!gemma_kv_cache_reserve (self->cache, self->queue, chunk.n, error)
        || !run (self, self->lm->klass->forward, &chunk, error) || (chunk.logits && !read_alignment (self, error)))
      return FALSE;
    gemma_kv_cache_advance (self->cache, chunk.n);
    if (rows)
      rows += (gsize) gemma_text_config_count_soft (text, chunk.ids, chunk.n) * text->hidden;
    done += chunk.n;
  }
  return TRUE;
}

static gboolean
append (GemmaLmSession *self, const gint32 *ids, gint n, const gfloat *rows, gfloat *logits, gboolean all_logits,
    GCancellable *cancellable, GError **error)
{
  if (!gemma_kv_cache_begin (self->cache, self->queue, n, error))
    return FALSE;
  gboolean ok = append_chunks (self, ids, n, rows, logits, all_logits, cancellable, error);
  gemma_kv_cache_end (self->cache, self->queue, ok);
  if (!ok && !ocl_queue_finish (self->queue, NULL))
    gemma_kv_cache_truncate (self->cache, 0); /* the device failed in giving the cache back, too */
  return ok;
}

/* The source and the decoder's start; nothing if that fails. */
static gboolean
append_source (GemmaLmSession *self, const gint32 *ids, gint n, const gfloat *rows, gfloat *logits,
    GCancellable *cancellable, GError **error)
{
  const GemmaLmChunk source = { ids, n, rows, NULL, FALSE, cancellable };
  if (!run (self, self->lm->klass->encode, &source, error))
    return FALSE;
  self->n_source = n;
  if (append (self, &self->lm->start_id, 1, NULL, logits, FALSE, cancellable, error))
    return TRUE;
  self->n_source = 0;
  return FALSE;
}

gboolean
gemma_lm_session_append (GemmaLmSession *self, const gint32 *ids, gint n, const gfloat *rows, gfloat *logits,
    gboolean all_logits, GCancellable *cancellable, GError **error)
{
  if (!check_append (self, ids, n, rows, error))
    return FALSE;
  if (needs_source (self))
    return append_source (self, ids, n, rows, logits, cancellable, error);
  return append (self, ids, n, rows, logits, all_logits, cancellable, error);
}
