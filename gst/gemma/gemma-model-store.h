/* One copy of a model for all elements of a process.
 *
 * Models are opaque here: a store keeps what a load function returned, under a key that names the files, the device
 * and the parts. Elements find the store through a #GstContext of the type #GST_GEMMA_MODEL_STORE_CONTEXT_TYPE; unless
 * the application hands out another, it is the process's own. Loading runs in a thread of its own.
 */
#pragma once

#include <gio/gio.h>
#include <gst/gemma/gemma-prelude.h>

G_BEGIN_DECLS

#define GST_GEMMA_MODEL_STORE_CONTEXT_TYPE "gst.gemma.ModelStore"

#define GST_TYPE_GEMMA_MODEL_STORE (gst_gemma_model_store_get_type ())
GST_GEMMA_API
G_DECLARE_FINAL_TYPE (GstGemmaModelStore, gst_gemma_model_store, GST, GEMMA_MODEL_STORE, GObject)

/**
 * GstGemmaModelLease: (skip)
 *
 * One element's share of a model that is loaded, or is being loaded.
 */
typedef struct _GstGemmaModelLease GstGemmaModelLease;

/**
 * GstGemmaModelEvent:
 * @GST_GEMMA_MODEL_EVENT_PROGRESS: loading goes on
 * @GST_GEMMA_MODEL_EVENT_READY: gst_gemma_model_lease_get_model() has the model
 * @GST_GEMMA_MODEL_EVENT_FAILED: gst_gemma_model_lease_get_error() says why
 */
typedef enum
{
  GST_GEMMA_MODEL_EVENT_PROGRESS,
  GST_GEMMA_MODEL_EVENT_READY,
  GST_GEMMA_MODEL_EVENT_FAILED
} GstGemmaModelEvent;

/**
 * GstGemmaModelReport: (skip)
 *
 * What a load function calls to report progress: @fraction from 0 to 1, @what a short phrase.
 */
typedef void (*GstGemmaModelReport) (gdouble fraction, const gchar *what, gpointer report_data);

/**
 * GstGemmaModelFuncs: (skip)
 * @load: loads the model in a thread of its own; returns %NULL with @error set on failure or cancellation
 * @unload: frees what @load returned
 */
typedef struct
{
  gpointer (*load) (gpointer load_data, GCancellable *cancellable, GstGemmaModelReport report, gpointer report_data,
      GError **error);
  void (*unload) (gpointer model);
} GstGemmaModelFuncs;

/**
 * GstGemmaModelNotify: (skip)
 *
 * Called from the loading thread, without locks. @fraction and @what belong to progress.
 */
typedef void (*GstGemmaModelNotify) (GstGemmaModelLease *lease, GstGemmaModelEvent event, gdouble fraction,
    const gchar *what, gpointer user_data);

/**
 * gst_gemma_model_store_new:
 *
 * Returns: (transfer full): a store of its own, for an application that wants to keep its models apart
 */
GST_GEMMA_API
GstGemmaModelStore *gst_gemma_model_store_new (void);

/**
 * gst_gemma_model_store_get_default:
 *
 * Returns: (transfer none): the store of this process
 */
GST_GEMMA_API
GstGemmaModelStore *gst_gemma_model_store_get_default (void);

/**
 * gst_gemma_model_store_get_n_models:
 * @store: a store
 *
 * Returns: models that are loaded or being loaded, those in their time of grace included
 */
GST_GEMMA_API
guint gst_gemma_model_store_get_n_models (GstGemmaModelStore *store);

/**
 * gst_gemma_model_store_request: (skip)
 * @load_data: (transfer full): given to funcs->load, freed by @load_data_free when it has run or is not needed
 * @user_data: (transfer full): given to @notify, freed by @user_data_free with the lease
 *
 * Attaches to the model of @key, or begins to load it. If gst_gemma_model_lease_get_model() has a model at
 * once, @notify is not called.
 *
 * Returns: (transfer full): a lease, to be given back by gst_gemma_model_lease_release()
 */
GST_GEMMA_API
GstGemmaModelLease *gst_gemma_model_store_request (GstGemmaModelStore *store, const gchar *key,
    const GstGemmaModelFuncs *funcs, gpointer load_data, GDestroyNotify load_data_free, GstGemmaModelNotify notify,
    gpointer user_data, GDestroyNotify user_data_free);

/**
 * gst_gemma_model_lease_get_model: (skip)
 *
 * Returns: (transfer none) (nullable): the model, alive as long as the lease; %NULL while it is not loaded
 */
GST_GEMMA_API
gpointer gst_gemma_model_lease_get_model (GstGemmaModelLease *lease);

/**
 * gst_gemma_model_lease_get_error: (skip)
 *
 * Returns: (transfer none) (nullable): why loading failed
 */
GST_GEMMA_API
const GError *gst_gemma_model_lease_get_error (GstGemmaModelLease *lease);

/**
 * gst_gemma_model_lease_release: (skip)
 *
 * The last lease cancels a load; a loaded model stays for the store's "linger" milliseconds, so that a pipeline
 * that goes to NULL and back does not load it again.
 */
GST_GEMMA_API
void gst_gemma_model_lease_release (GstGemmaModelLease *lease);

/**
 * gst_gemma_model_store_context_new:
 * @store: a store
 *
 * Returns: (transfer full): a context for gst_element_set_context()
 */
GST_GEMMA_API
GstContext *gst_gemma_model_store_context_new (GstGemmaModelStore *store);

/**
 * gst_gemma_context_get_model_store:
 * @context: (nullable): a context
 *
 * Returns: (transfer full) (nullable): the store that @context carries, or %NULL
 */
GST_GEMMA_API
GstGemmaModelStore *gst_gemma_context_get_model_store (GstContext *context);

/**
 * gst_gemma_element_ensure_model_store:
 * @element: an element
 *
 * Finds the store as GStreamer's elements find what they share: the element's own context, a query downstream, one
 * upstream, a NEED_CONTEXT message; at last the process's own store, announced with HAVE_CONTEXT.
 *
 * Returns: (transfer full): the store
 */
GST_GEMMA_API
GstGemmaModelStore *gst_gemma_element_ensure_model_store (GstElement *element);

/**
 * gst_gemma_element_handle_context_query:
 * @element: an element
 * @query: a CONTEXT query
 *
 * Returns: %TRUE if it asked for the store and @element has one
 */
GST_GEMMA_API
gboolean gst_gemma_element_handle_context_query (GstElement *element, GstQuery *query);

G_END_DECLS
