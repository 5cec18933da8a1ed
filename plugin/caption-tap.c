#include "caption-tap.h"

#include "stream.h"

/* A frame that is due sooner is not kept waiting. */
#define MARGIN (200 * GST_MSECOND)

struct _GemmaCaptionTap
{
  GstElement *bin;              /* not owned */
  GstPad *sink, *src, *queue_sink, *queue_src;
  GstElement *queue;
  gulong src_probe, queue_probe;
  GstSegment segment;           /* the stream's thread's */
  gboolean live;                /* as well */

  GMutex lock;
  GCond cond;
  gboolean open, flushing;      /* guarded by lock */
};

static gboolean
is_full (GemmaCaptionTap *self)
{
  guint buffers, most_buffers;
  guint64 time, most_time;

  g_object_get (self->queue, "current-level-buffers", &buffers, "max-size-buffers", &most_buffers,
      "current-level-time", &time, "max-size-time", &most_time, NULL);
  return (most_buffers && buffers >= most_buffers) || (most_time && time >= most_time);
}

/* How long the buffer may wait: until shortly before it is due. */
static GstClockTime
get_leisure (GemmaCaptionTap *self, GstBuffer *buffer)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (self->bin);
  GstClockTime due;

  if (!clock || GST_STATE (self->bin) != GST_STATE_PLAYING || self->segment.format != GST_FORMAT_TIME)
    return 0;
  due = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (!GST_CLOCK_TIME_IS_VALID (due))
    return 0;
  due += gst_element_get_base_time (self->bin);
  GstClockTime now = gst_clock_get_time (clock) + MARGIN;
  return due > now ? due - now : 0;
}

static void
wait_for_room (GemmaCaptionTap *self, GstBuffer *buffer)
{
  gint64 deadline = 0;

  g_mutex_lock (&self->lock);
  while (self->open && !self->flushing && is_full (self)) {
    if (!deadline)
      deadline = g_get_monotonic_time () + get_leisure (self, buffer) / 1000;
    if (!g_cond_wait_until (&self->cond, &self->lock, deadline))
      break;
  }
  g_mutex_unlock (&self->lock);
}

static void
watch_event (GemmaCaptionTap *self, GstEvent *event)
{
  gint live = -1;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_SEGMENT:
      gst_event_copy_segment (event, &self->segment);
      self->live = gemma_stream_is_live (self->sink, &live, FALSE);
      break;
    case GST_EVENT_FLUSH_START:
    case GST_EVENT_FLUSH_STOP:
      g_mutex_lock (&self->lock);
      self->flushing = GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_START;
      g_cond_broadcast (&self->cond);
      g_mutex_unlock (&self->lock);
      break;
    default:
      break;
  }
}

/* What the branch returns stays here: a branch that fails, or is late, must not be felt upstream. */
static GstPadProbeReturn
on_data (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GemmaCaptionTap *self = data;

  if (info->type & GST_PAD_PROBE_TYPE_EVENT_UPSTREAM)
    return GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_QOS ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
  if (info->type & (GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH))
    watch_event (self, GST_PAD_PROBE_INFO_EVENT (info));
  g_mutex_lock (&self->lock);
  gboolean open = self->open;
  g_mutex_unlock (&self->lock);
  if (!open)
    return GST_PAD_PROBE_DROP;

  if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
    if (!self->live)
      wait_for_room (self, GST_PAD_PROBE_INFO_BUFFER (info));
    gst_pad_chain (self->queue_sink, GST_PAD_PROBE_INFO_BUFFER (info));
    return GST_PAD_PROBE_HANDLED;
  }
  if (info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST) {
    gst_pad_chain_list (self->queue_sink, GST_PAD_PROBE_INFO_BUFFER_LIST (info));
    return GST_PAD_PROBE_HANDLED;
  }
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_left (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GemmaCaptionTap *self = data;

  g_mutex_lock (&self->lock);
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
  return GST_PAD_PROBE_OK;
}

GemmaCaptionTap *
gemma_caption_tap_new (GstElement *bin, GstPad *sink, GstPad *src, GstElement *queue)
{
  GemmaCaptionTap *self = g_new0 (GemmaCaptionTap, 1);

  self->bin = bin;
  self->sink = gst_object_ref (sink);
  self->src = gst_object_ref (src);
  self->queue = gst_object_ref (queue);
  self->queue_sink = gst_element_get_static_pad (queue, "sink");
  self->queue_src = gst_element_get_static_pad (queue, "src");
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->src_probe = gst_pad_add_probe (src, GST_PAD_PROBE_TYPE_DATA_BOTH | GST_PAD_PROBE_TYPE_EVENT_FLUSH, on_data, self, NULL);
  self->queue_probe = gst_pad_add_probe (self->queue_src, GST_PAD_PROBE_TYPE_BUFFER, on_left, self, NULL);
  gst_pad_link (src, self->queue_sink);
  return self;
}

void
gemma_caption_tap_free (GemmaCaptionTap *self)
{
  gst_pad_remove_probe (self->src, self->src_probe);
  gst_pad_remove_probe (self->queue_src, self->queue_probe);
  gst_object_unref (self->sink);
  gst_object_unref (self->src);
  gst_object_unref (self->queue);
  gst_object_unref (self->queue_sink);
  gst_object_unref (self->queue_src);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

void
gemma_caption_tap_set_open (GemmaCaptionTap *self, gboolean open)
{
  g_mutex_lock (&self->lock);
  self->open = open;
  self->flushing = FALSE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}
