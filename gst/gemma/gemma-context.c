/* The model store as a GstContext. */
#include "gemma-model-store.h"

GstContext *
gst_gemma_model_store_context_new (GstGemmaModelStore *store)
{
  g_return_val_if_fail (GST_IS_GEMMA_MODEL_STORE (store), NULL);

  GstContext *context = gst_context_new (GST_GEMMA_MODEL_STORE_CONTEXT_TYPE, TRUE);
  gst_structure_set (gst_context_writable_structure (context), "store", GST_TYPE_GEMMA_MODEL_STORE, store, NULL);
  return context;
}

GstGemmaModelStore *
gst_gemma_context_get_model_store (GstContext *context)
{
  GstGemmaModelStore *store = NULL;

  if (context && gst_context_has_context_type (context, GST_GEMMA_MODEL_STORE_CONTEXT_TYPE))
    gst_structure_get (gst_context_get_structure (context), "store", GST_TYPE_GEMMA_MODEL_STORE, &store, NULL);
  return store;
}

static GstGemmaModelStore *
get_own (GstElement *element)
{
  g_autoptr (GstContext) context = gst_element_get_context (element, GST_GEMMA_MODEL_STORE_CONTEXT_TYPE);

  return gst_gemma_context_get_model_store (context);
}

static gboolean
query_peer (GstElement *element, GstPad *pad, gpointer query)
{
  return !gst_pad_peer_query (pad, query);      /* FALSE ends the iteration */
}

static GstContext *
query_neighbours (GstElement *element)
{
  g_autoptr (GstQuery) query = gst_query_new_context (GST_GEMMA_MODEL_STORE_CONTEXT_TYPE);
  GstContext *context = NULL;

  if (gst_element_foreach_src_pad (element, query_peer, query))
    gst_element_foreach_sink_pad (element, query_peer, query);
  gst_query_parse_context (query, &context);
  return context ? gst_context_ref (context) : NULL;
}

GstGemmaModelStore *
gst_gemma_element_ensure_model_store (GstElement *element)
{
  GstGemmaModelStore *store;

  g_return_val_if_fail (GST_IS_ELEMENT (element), NULL);

  if ((store = get_own (element)))
    return store;

  g_autoptr (GstContext) context = query_neighbours (element);
  if ((store = gst_gemma_context_get_model_store (context))) {
    gst_element_set_context (element, context);
    return store;
  }

  gst_element_post_message (element, gst_message_new_need_context (GST_OBJECT (element), GST_GEMMA_MODEL_STORE_CONTEXT_TYPE));
  if ((store = get_own (element)))      /* the application answered */
    return store;

  store = g_object_ref (gst_gemma_model_store_get_default ());
  g_autoptr (GstContext) own = gst_gemma_model_store_context_new (store);
  gst_element_set_context (element, own);
  gst_element_post_message (element, gst_message_new_have_context (GST_OBJECT (element), gst_context_ref (own)));
  return store;
}

gboolean
gst_gemma_element_handle_context_query (GstElement *element, GstQuery *query)
{
  const gchar *type;

  g_return_val_if_fail (GST_IS_ELEMENT (element), FALSE);
  g_return_val_if_fail (GST_QUERY_TYPE (query) == GST_QUERY_CONTEXT, FALSE);

  gst_query_parse_context_type (query, &type);
  if (g_strcmp0 (type, GST_GEMMA_MODEL_STORE_CONTEXT_TYPE) != 0)
    return FALSE;

  g_autoptr (GstContext) context = gst_element_get_context (element, type);
  if (!context)
    return FALSE;
  gst_query_set_context (query, context);
  return TRUE;
}
