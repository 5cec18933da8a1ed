#include "kv-cache.h"

#define FIRST_ROWS 512 /* a full layer starts with this many positions */

typedef struct
{
  gint window; /* 0: full attention */
  OclKvCache kv;
  OclTensor saved_k, saved_v; /* of a ring, while an append of many chunks runs; kept for the next one */
} Layer;

struct _GemmaKvCache
{
  OclDevice *device;
  gint n_layers, kv_dim, context_size, chunk; /* kv_dim: floats of a row, packed or not */
  gboolean packed;
  gint length;
  gint written; /* one past the newest position ever written: rows hold written - capacity .. */
  gint begin_length, begin_written;
  gboolean saved;
  Layer *layers;
};

static gboolean
allocate (GemmaKvCache *self, OclKvCache *kv, gint capacity, GError **error)
{
  kv->k = ocl_tensor_new (self->device, capacity, self->kv_dim, error);
  if (!kv->k.mem)
    return FALSE;
  kv->v = ocl_tensor_new (self->device, capacity, self->kv_dim, error);
  if (!kv->v.mem) {
    ocl_tensor_clear (self->device, &kv->k);
    return FALSE;
  }
  kv->capacity = capacity;
  kv->packed = self->packed;
  return TRUE;
}

GemmaKvCache *
gemma_kv_cache_new (OclDevice *device, const GemmaKvCacheParams *params, GError **error)
{
  if (params->packed && params->head_dim % 4 != 0) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "keys and values in bytes need heads of a multiple of 4 numbers, "
        "the model's have %d", params->head_dim);
    return NULL;
  }
  GemmaKvCache *self = g_new0 (GemmaKvCache, 1);
  self->device = ocl_device_ref (device);
  self->n_layers = params->n_layers;
  self->packed = params->packed;
  self->kv_dim = ocl_kv_cols (params->n_kv_heads, params->head_dim, params->packed);
  self->context_size = params->context_size;
  self->chunk = params->chunk;
  self->layers = g_new0 (Layer, params->n_layers);
  for (gint i = 0; i < params->n_layers; i++) {
    gint window = params->windows[i];
    if (window < 0)
      continue;
    gint64 ring = (gint64) window - 1 + params->chunk + params->rollback;
    gint capacity = window ? MIN (ring, params->context_size) : MIN (FIRST_ROWS, params->context_size);
    self->layers[i].window = window;
    if (!allocate (self, &self->layers[i].kv, capacity, error)) {
      gemma_kv_cache_free (self);
      return NULL;
    }
  }
  return self;
}

void
gemma_kv_cache_free (GemmaKvCache *self)
{
  if (!self)
    return;
  for (gint i = 0; i < self->n_layers; i++) {
    Layer *l = &self->layers[i];
    ocl_tensor_clear (self->device, &l->kv.k);
    ocl_tensor_clear (self->device, &l->kv.v);
    ocl_tensor_clear (self->device, &l->saved_k);
    ocl_tensor_clear (self->device, &l->saved_v);
  }
  g_free (self->layers);
  ocl_device_unref (self->device);
  g_free (self);
}

gint
gemma_kv_cache_get_length (GemmaKvCache *self)
{
  return self->length;
}

const OclKvCache *
gemma_kv_cache_get (GemmaKvCache *self, gint layer)
{
  return &self->layers[layer].kv;
}

/* A ring proper: one that will not hold the whole context. */
static gboolean
is_ring (GemmaKvCache *self, const Layer *l)
{
  return l->window > 0 && l->kv.capacity < self->context_size;
}

static gboolean
save_ring (GemmaKvCache *self, OclQueue *queue, Layer *l, GError **error)
{
  if (!l->saved_k.mem)
    l->saved_k = ocl_tensor_new (self->device, l->kv.capacity, self->kv_dim, error);
  if (l->saved_k.mem && !l->saved_v.mem)
    l->saved_v = ocl_tensor_new (self->device, l->kv.capacity, self->kv_dim, error);
  if (!l->saved_k.mem || !l->saved_v.mem)
    return FALSE;
  ocl_copy (queue, l->saved_k, l->kv.k);
  ocl_copy (queue, l->saved_v, l->kv.v);
  return TRUE;
}

gboolean
gemma_kv_cache_begin (GemmaKvCache *self, OclQueue *queue, gint n, GError **error)
{
  self->begin_length = self->length;
  self->begin_written = self->written;
  self->saved = FALSE;
  if (self->length == 0 || n <= self->chunk)
    return TRUE;
  for (gint i = 0; i < self->n_layers; i++) {
    Layer *l = &self->layers[i];
    if (is_ring (self, l) && !save_ring (self, queue, l, error))
      return FALSE;
  }
  if (!ocl_queue_finish (queue, error)) /* a copy that failed must not be given back later */
    return FALSE;
  self->saved = TRUE;
  return TRUE;
}

static gboolean
grow (GemmaKvCache *self, OclQueue *queue, Layer *l, gint rows, GError **error)
{
  gint64 capacity = l->kv.capacity;
  while (capacity < rows)
    capacity *= 2;
  OclKvCache bigger;
  if (!allocate (self, &bigger, MIN (capacity, self->context_size), error))
    return FALSE;
  if (self->length) {
    ocl_copy (queue, ocl_tensor_rows (bigger.k, 0, self->length), ocl_tensor_rows (l->kv.k, 0, self->length));
    ocl_copy (queue, ocl_tensor_rows (bigger.v, 0, self->length), ocl_tensor_rows (l->kv.v, 0, self->length));
  }
  gboolean ok = ocl_queue_finish (queue, error);
  OclKvCache *loser = ok ? &l->kv : &bigger;
  ocl_tensor_clear (self->device, &loser->k);
  ocl_tensor_clear (self->device, &loser->v);
  if (ok)
    l->kv = bigger;
  return ok;
}

gboolean
gemma_kv_cache_reserve (GemmaKvCache *self, OclQueue *queue, gint n, GError **error)
{
  g_return_val_if_fail (n <= self->chunk && self->length + n <= self->context_size, FALSE);
  for (gint i = 0; i < self->n_layers; i++) {
    Layer *l = &self->layers[i];
    if (l->window == 0 && l->kv.k.mem && self->length + n > l->kv.capacity &&
        !grow (self, queue, l, self->length + n, error))
      return FALSE;
  }
  self->written = MAX (self->written, self->length + n);
  return TRUE;
}

void
gemma_kv_cache_advance (GemmaKvCache *self, gint n)
{
  self->length += n;
}

void
gemma_kv_cache_end (GemmaKvCache *self, OclQueue *queue, gboolean ok)
{
  if (ok)
    return;
  self->length = self->begin_length;
  if (self->length == 0)
    self->written = 0;
  if (!self->saved)
    return;
  self->written = self->begin_written;
  for (gint i = 0; i < self->n_layers; i++) {
    Layer *l = &self->layers[i];
    if (is_ring (self, l)) {
      ocl_copy (queue, l->kv.k, l->saved_k);
      ocl_copy (queue, l->kv.v, l->saved_v);
    }
  }
}

gboolean
gemma_kv_cache_truncate (GemmaKvCache *self, gint length)
{
  if (length < 0 || length > self->length)
    return FALSE;
  for (gint i = 0; i < self->n_layers && length > 0; i++) {
    Layer *l = &self->layers[i];
    if (l->window > 0 && MAX (0, length - l->window + 1) < self->written - l->kv.capacity)
      return FALSE;
  }
  self->length = length;
  if (length == 0)
    self->written = 0;
  return TRUE;
}
