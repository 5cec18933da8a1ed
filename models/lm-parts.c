#include "lm-parts.h"

#include "submodel.h"

#include <math.h>
#include <string.h>

#define LOGIT_BLOCK (16 * 1024 * 1024) /* floats of logits in flight at most, but one row at least */
#define LONG_ROWS 16                   /* a layer of as many rows takes long enough for a wait not to show */

/* ---- weights -------------------------------------------------------------------------------------------------- */

static gchar *
full_name (GemmaLmLoader *ld, const gchar *name)
{
  const gchar *prefix = ld->prefix ? ld->prefix : "";
  return ld->layer < 0 ? g_strdup_printf ("%s%s.weight", prefix, name)
                       : g_strdup_printf ("%sblk.%d.%s.weight", prefix, ld->layer, name);
}

OclTensor
gemma_lm_load_tensor (GemmaLmLoader *ld, const gchar *name, gint rows, gint cols)
{
  OclTensor t = { NULL };
  if (ld->failed)
    return t;
  g_autofree gchar *full = full_name (ld, name);
  g_autofree gfloat *data = gemma_weights_read_f32 (ld->weights, full, rows, cols, ld->error);
  for (gsize i = 0; data && ld->offset != 0 && i < (gsize) rows * cols; i++)
    data[i] += ld->offset;
  if (data)
    t = ocl_tensor_new_from (ld->device, rows, cols, data, ld->error);
  ld->failed = !t.mem;
  return t;
}

static gboolean
find (GemmaLmLoader *ld, OclMatrix *m, const gchar *name, gint rows, gint cols)
{
  g_autofree gchar *full = full_name (ld, name);
  ld->failed |= !gemma_weights_find_matrix (ld->weights, full, rows, cols, m, ld->error);
  return !ld->failed;
}

OclWeight *
gemma_lm_load_sparse (GemmaLmLoader *ld, const gchar *name, gint rows, gint cols, OclLayout layout)
{
  OclMatrix m;
  if (ld->failed || !find (ld, &m, name, rows, cols))
    return NULL;
  OclWeight *w = ocl_weight_new_sparse (ld->device, &m, layout, ld->error);
  ld->failed = !w;
  return w;
}

OclWeight *
gemma_lm_load_weight (GemmaLmLoader *ld, const gchar *name, gint rows, gint cols)
{
  return gemma_lm_load_sparse (ld, name, rows, cols, OCL_LAYOUT_PANELS);
}

GemmaLmStack
gemma_lm_load_stack (GemmaLmLoader *ld, guint n, const gchar *const *names, const gint *rows, gint cols)
{
  GemmaLmStack stack = { { NULL } };
  OclMatrix m[3];
  for (guint i = 0; i < n; i++) {
    if (ld->failed || !find (ld, &m[i], names[i], rows[i], cols))
      return stack;
  }
  for (guint first = 0, i = 1; i <= n && !ld->failed; i++) {
    if (i < n && m[i].type == m[first].type)
      continue;
    OclWeight *w = ocl_weight_new (ld->device, &m[first], i - first, ld->error);
    ld->failed = !w;
    stack.part[stack.n_parts] = w;
    stack.n_parts += w != NULL;
    first = i;
  }
  return stack;
}

void
gemma_lm_stack_clear (GemmaLmStack *stack)
{
  for (gint i = 0; i < stack->n_parts; i++)
    ocl_weight_free (stack->part[i]);
  stack->n_parts = 0;
}

void
gemma_lm_init (GemmaLm *lm, const GemmaLmClass *klass, const GemmaTextConfig *text)
{
  lm->klass = klass;
  lm->text = text;
  lm->context_length = text->context_length;
}

/* ---- a session ------------------------------------------------------------------------------------------------ */

static GemmaKvCache *
new_cache (OclDevice *device, const GemmaTextConfig *c, const GemmaLmSessionParams *params, gint context, GError **error)
{
  g_autofree gint *windows = g_new (gint, c->n_layers);
  for (gint i = 0; i < c->n_layers; i++)
    windows[i] = gemma_text_config_kv_layer (c, i) != i ? -1 : c->sliding[i] ? c->window : 0;
  GemmaKvCacheParams p = { c->n_layers, c->n_kv_heads, c->head_dim, windows, context, MIN (params->chunk, context),
    MIN (params->rollback, context), params->packed_kv };
  return gemma_kv_cache_new (device, &p, error);
}

gboolean
gemma_lm_session_begin (GemmaLmSession *session, GemmaLm *lm, OclDevice *device, const GemmaTextConfig *config,
    const GemmaLmSessionParams *params, gint context, GError **error)
{
  session->lm = lm;
  session->params = *params;
  session->queue = ocl_queue_new (device, error);
  if (session->queue)
    session->cache = new_cache (device, config, params, context, error);
  return session->cache != NULL;
}

void
gemma_lm_session_end (GemmaLmSession *session)
{
  if (session->queue)
    ocl_tensor_clear (ocl_queue_get_device (session->queue), &session->alignment.computed);
  g_clear_pointer (&session->cache, gemma_kv_cache_free);
  g_clear_pointer (&session->queue, ocl_queue_free);
}

gboolean
gemma_lm_allocate (OclDevice *device, const GemmaLmBuffer *buffers, guint n, GError **error)
{
  for (guint i = 0; i < n; i++) {
    *buffers[i].tensor = ocl_tensor_new (device, buffers[i].rows, buffers[i].cols, error);
    if (!buffers[i].tensor->mem)
      return FALSE;
  }
  return TRUE;
}

void
gemma_lm_session_multiply (GemmaLmSession *session, OclTensor y, OclTensor x, const OclWeight *w)
{
  ocl_matmul (session->queue, y, x, w, session->params.matmul_flags);
}

void
gemma_lm_session_multiply_stack (GemmaLmSession *session, OclTensor y, OclTensor x, const GemmaLmStack *stack)
{
  for (gint i = 0, col = 0; i < stack->n_parts; i++) {
    gint cols = ocl_weight_get_rows (stack->part[i]);
    gemma_lm_session_multiply (session, ocl_tensor_cols (y, col, cols), x, stack->part[i]);
    col += cols;
  }
}

void
gemma_lm_scale_row (gfloat *row, gint n, gfloat scale)
{
  for (gint i = 0; i < n; i++)
    row[i] *= scale;
}

gboolean
gemma_lm_look_up (GemmaLm *lm, GemmaWeights *weights, const GemmaTensor *table, const GemmaLmChunk *chunk,
    gfloat *rows, GError **error)
{
  const gfloat *soft = chunk->rows;
  gint C = lm->text->hidden;
  for (gint i = 0; i < chunk->n; i++) {
    gfloat *row = rows + (gsize) i * C;
    if (gemma_text_config_is_soft (lm->text, chunk->ids[i])) {
      memcpy (row, soft, C * sizeof (gfloat));
      soft += C;
      continue;
    }
    if (!gemma_weights_read_row (weights, table, chunk->ids[i], row, error))
      return FALSE;
    gemma_lm_scale_row (row, C, sqrtf (C));
  }
  return TRUE;
}

gboolean
gemma_lm_session_end_layer (GemmaLmSession *session, const gchar *prefix, gint layer, OclTensor state,
    GCancellable *cancellable, GError **error)
{
  if (session->observer) {
    g_autofree gchar *name = g_strdup_printf ("%s%d", prefix, layer);
    gemma_lm_session_observe (session, name, state);
  }
  if (!cancellable || state.rows < LONG_ROWS)
    return TRUE;
  if (!ocl_queue_finish (session->queue, error))
    return FALSE;
  if (!g_cancellable_is_cancelled (cancellable))
    return TRUE;
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED, "cancelled in %s%d", prefix, layer);
  return FALSE;
}

gboolean
gemma_lm_session_head (GemmaLmSession *session, OclDevice *device, OclTensor *block, OclTensor x,
    const OclWeight *head, gfloat softcap, gfloat *logits, GError **error)
{
  gint V = session->lm->text->vocab_size, at_once = CLAMP (LOGIT_BLOCK / V, 1, x.rows);
  if (block->rows < at_once) {
    ocl_tensor_clear (device, block);
    *block = ocl_tensor_new (device, at_once, V, error);
    if (!block->mem)
      return FALSE;
  }
  for (gint row = 0; row < x.rows; row += at_once) {
    gint n = MIN (at_once, x.rows - row);
    OclTensor y = top (*block, n); /* [n][V] */
    gemma_lm_session_multiply (session, y, ocl_tensor_rows (x, row, n), head);
    if (softcap > 0)
      ocl_softcap (session->queue, y, softcap);
    if (!ocl_tensor_read (session->queue, y, logits + (gsize) row * V))
      break;
  }
  return TRUE;
}
