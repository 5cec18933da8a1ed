/* The keys and values of one session: a ring for each layer with a sliding window, a table that grows for each
 * layer with full attention.
 *
 * Position p of a layer lies in row p % capacity. A ring holds the window of the oldest query of a chunk, the chunk
 * itself and the positions that may be taken back: window - 1 + chunk + rollback rows. So one chunk that fails
 * half-way has overwritten nothing that is still needed; only longer appends save the rings first.
 */
#pragma once

#include "error.h"
#include "opencl/ops.h"

G_BEGIN_DECLS

typedef struct _GemmaKvCache GemmaKvCache;

/** @windows: [n_layers], 0 for full attention, -1 for a layer without keys and values of its own. */
typedef struct
{
  gint n_layers, n_kv_heads, head_dim;
  const gint *windows;
  gint context_size, chunk, rollback;
  gboolean packed; /* in bytes, see OclKvCache */
} GemmaKvCacheParams;
GemmaKvCache *gemma_kv_cache_new (OclDevice *device, const GemmaKvCacheParams *params, GError **error);
void gemma_kv_cache_free (GemmaKvCache *cache);

/** Positions held. */
gint gemma_kv_cache_get_length (GemmaKvCache *cache);
const OclKvCache *gemma_kv_cache_get (GemmaKvCache *cache, gint layer);

/**
 * Call before an append of @n positions in all: saves what a failure would need. FALSE (out of memory) changes
 * nothing. Then, for each chunk, reserve, write, advance; at last end with the outcome.
 */
gboolean gemma_kv_cache_begin (GemmaKvCache *cache, OclQueue *queue, gint n, GError **error);
/** Makes room for the next @n <= chunk positions, growing what needs it. */
gboolean gemma_kv_cache_reserve (GemmaKvCache *cache, OclQueue *queue, gint n, GError **error);
void gemma_kv_cache_advance (GemmaKvCache *cache, gint n);
/** With @ok FALSE the cache becomes what it was at begin. */
void gemma_kv_cache_end (GemmaKvCache *cache, OclQueue *queue, gboolean ok);

/** Keeps the first @length positions; FALSE if a ring no longer holds the window before them. */
gboolean gemma_kv_cache_truncate (GemmaKvCache *cache, gint length);

G_END_DECLS
