#include "frame-queue.h"

void
gemma_frame_queue_init (GemmaFrameQueue *queue)
{
  g_mutex_init (&queue->lock);
  g_cond_init (&queue->cond);
  g_queue_init (&queue->items);
  queue->flushing = TRUE;
}

static void
empty (GemmaFrameQueue *queue)
{
  gpointer item;

  while ((item = g_queue_pop_head (&queue->items)))
    gst_mini_object_unref (item);
}

/* Sticky events outlive a flush, as on a pad: upstream does not send them again. */
static gboolean
outlives_flush (gpointer item)
{
  return GST_IS_EVENT (item) && GST_EVENT_IS_STICKY (item) && GST_EVENT_TYPE (item) != GST_EVENT_SEGMENT &&
      GST_EVENT_TYPE (item) != GST_EVENT_EOS;
}

static void
flush (GemmaFrameQueue *queue)
{
  for (guint n = queue->items.length; n > 0; n--) {
    gpointer item = g_queue_pop_head (&queue->items);
    if (outlives_flush (item))
      g_queue_push_tail (&queue->items, item);
    else
      gst_mini_object_unref (item);
  }
}

void
gemma_frame_queue_clear (GemmaFrameQueue *queue)
{
  empty (queue);
  g_mutex_clear (&queue->lock);
  g_cond_clear (&queue->cond);
}

void
gemma_frame_queue_set_flushing (GemmaFrameQueue *queue, gboolean flushing)
{
  g_mutex_lock (&queue->lock);
  queue->flushing = flushing;
  queue->flow = GST_FLOW_OK;
  queue->eos = FALSE;
  flush (queue);
  g_cond_broadcast (&queue->cond);
  g_mutex_unlock (&queue->lock);
}

void
gemma_frame_queue_empty (GemmaFrameQueue *queue)
{
  g_mutex_lock (&queue->lock);
  empty (queue);
  g_mutex_unlock (&queue->lock);
}

GstEvent *
gemma_frame_gap (GstBuffer *frame)
{
  return GST_BUFFER_PTS_IS_VALID (frame) ? gst_event_new_gap (GST_BUFFER_PTS (frame), GST_BUFFER_DURATION (frame)) : NULL;
}

/* Makes the GAP before @link longer by that frame; a stream that never ends must not fill the queue with GAPs. */
static gboolean
extend_gap (GList *link, GstBuffer *frame)
{
  GstClockTime start, duration;

  if (!link || !GST_IS_EVENT (link->data) || GST_EVENT_TYPE (link->data) != GST_EVENT_GAP)
    return FALSE;
  gst_event_parse_gap (link->data, &start, &duration);
  if (!GST_CLOCK_TIME_IS_VALID (duration) || !GST_BUFFER_DURATION_IS_VALID (frame) || GST_BUFFER_PTS (frame) < start)
    return FALSE;
  gst_event_unref (link->data);
  link->data = gst_event_new_gap (start, GST_BUFFER_PTS (frame) + GST_BUFFER_DURATION (frame) - start);
  return TRUE;
}

static void
replace_by_gap (GemmaFrameQueue *queue, GList *link)
{
  GstEvent *gap = gemma_frame_gap (link->data);

  if (gap && !extend_gap (link->prev, link->data)) {
    link->data = gap;
    return;
  }
  g_clear_pointer (&gap, gst_event_unref);
  g_queue_delete_link (&queue->items, link);
}

static GList *
find_frame (GemmaFrameQueue *queue)
{
  GList *link = queue->items.head;

  while (link && !GST_IS_BUFFER (link->data))
    link = link->next;
  return link;
}

GstFlowReturn
gemma_frame_queue_push_frame (GemmaFrameQueue *queue, GstBuffer *frame, gboolean may_replace, GstBuffer **replaced,
    GstClockTime *wait)
{
  GstFlowReturn flow;
  GList *link;

  *replaced = NULL;
  g_mutex_lock (&queue->lock);
  while ((flow = queue->flushing ? GST_FLOW_FLUSHING : queue->flow) == GST_FLOW_OK && (link = find_frame (queue))) {
    if (may_replace) {
      *replaced = link->data;
      *wait = MAX (queue->free_at - g_get_monotonic_time (), 0) * GST_USECOND;
      replace_by_gap (queue, link);
    } else {
      g_cond_wait (&queue->cond, &queue->lock);
    }
  }
  if (flow == GST_FLOW_OK)
    g_queue_push_tail (&queue->items, gst_buffer_ref (frame));
  g_cond_broadcast (&queue->cond);
  g_mutex_unlock (&queue->lock);
  return flow;
}

GstFlowReturn
gemma_frame_queue_push_event (GemmaFrameQueue *queue, GstEvent *event)
{
  g_mutex_lock (&queue->lock);
  GstFlowReturn flow = queue->flushing ? GST_FLOW_FLUSHING : queue->flow;
  if (flow == GST_FLOW_OK) {
    queue->eos |= GST_EVENT_TYPE (event) == GST_EVENT_EOS;
    g_queue_push_tail (&queue->items, gst_event_ref (event));
    g_cond_broadcast (&queue->cond);
  }
  g_mutex_unlock (&queue->lock);
  gst_event_unref (event);
  return flow;
}

GstMiniObject *
gemma_frame_queue_take (GemmaFrameQueue *queue)
{
  GstMiniObject *item = NULL;

  g_mutex_lock (&queue->lock);
  while (!queue->flushing && !(item = g_queue_pop_head (&queue->items)))
    g_cond_wait (&queue->cond, &queue->lock);
  g_cond_broadcast (&queue->cond);
  g_mutex_unlock (&queue->lock);
  return item;
}

gboolean
gemma_frame_queue_stop (GemmaFrameQueue *queue, GstFlowReturn flow)
{
  g_mutex_lock (&queue->lock);
  queue->flow = flow;
  gboolean eos = queue->eos;
  empty (queue);
  g_cond_broadcast (&queue->cond);
  g_mutex_unlock (&queue->lock);
  return eos;
}

void
gemma_frame_queue_set_busy (GemmaFrameQueue *queue, GstClockTime duration)
{
  g_mutex_lock (&queue->lock);
  queue->free_at = duration ? g_get_monotonic_time () + (gint64) (duration / GST_USECOND) : 0;
  g_mutex_unlock (&queue->lock);
}
