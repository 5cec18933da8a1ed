#include "lm-src-pad.h"

#include <string.h>

#include "debug.h"
#include "stream.h"

/* Texts, GAPs and other events that may wait for the sink. */
#define MAX_OUT 256
/* Later than this is not just a thread that woke up late. */
#define LATE GST_SECOND

typedef struct
{
  GstGemmaLmBase *element;      /* not owned: it owns the pad */

  /* The element's task's. */
  GstSegment segment;           /* as it went downstream */
  GstClockTime last_end;
  gchar *language;              /* as it was last tagged */
  gboolean begun;

  /* What waits for the pad's own task. */
  GMutex lock;
  GCond cond;
  GQueue out;                   /* of GstBuffer and GstEvent */
  gboolean flushing;
  GstFlowReturn flow;
  GstClockTime pipeline_latency;
  guint64 n_pushed, n_left_out; /* texts */
  gboolean congested;           /* texts are left out, and it was told */
  GstClockTime told_late;       /* the pad's task's */

  guint extra_latency, max_observed_delay;      /* ms; object lock */
} GstGemmaLmSrcPadPrivate;

enum
{
  PROP_0,
  PROP_MAX_OBSERVED_DELAY
};

G_DEFINE_TYPE_WITH_PRIVATE (GstGemmaLmSrcPad, gst_gemma_lm_src_pad, GST_TYPE_PAD)

static GstGemmaLmSrcPadPrivate *
get (gpointer self)
{
  return gst_gemma_lm_src_pad_get_instance_private (self);
}

/* ---- times ------------------------------------------------------------------------------- */

static guint
get_latency (GstGemmaLmSrcPad *self)
{
  GstGemmaLmSrcPadPrivate *p = get (self);

  GST_OBJECT_LOCK (p->element);
  guint latency = p->element->settings.latency;
  GST_OBJECT_UNLOCK (p->element);
  GST_OBJECT_LOCK (self);
  guint extra = p->extra_latency;
  GST_OBJECT_UNLOCK (self);
  return gemma_stream_add_latencies (latency, extra);
}

/* Running time now, or none without a clock. */
static GstClockTime
get_now (GstGemmaLmSrcPad *self)
{
  GstElement *element = GST_ELEMENT (get (self)->element);
  g_autoptr (GstClock) clock = gst_element_get_clock (element);

  if (!clock || GST_STATE (element) != GST_STATE_PLAYING)
    return GST_CLOCK_TIME_NONE;
  GstClockTime time = gst_clock_get_time (clock), base = gst_element_get_base_time (element);
  return time > base ? time - base : 0;
}

/* latency=G_MAXUINT: text belongs to the moment at which it comes. */
static void
restamp (GstGemmaLmSrcPad *self, GstClockTime *start, GstClockTime *end)
{
  GstGemmaLmSrcPadPrivate *p = get (self);
  GstClockTime now, position;

  if (get_latency (self) != G_MAXUINT || !GST_CLOCK_TIME_IS_VALID (now = get_now (self)))
    return;
  position = gst_segment_position_from_running_time (&p->segment, GST_FORMAT_TIME, now);
  if (!GST_CLOCK_TIME_IS_VALID (position))
    return;
  if (GST_CLOCK_TIME_IS_VALID (p->last_end))
    position = MAX (position, p->last_end);
  if (GST_CLOCK_TIME_IS_VALID (*end))
    *end = position + (*end - *start);
  *start = position;
}

/* How late text, or a GAP, for which a sink waits as long, is against the time it belongs to; a promise that was not kept is
 * told. */
static void
observe_delay (GstGemmaLmSrcPad *self, GstClockTime start)
{
  GstGemmaLmSrcPadPrivate *p = get (self);
  GstClockTime now = get_now (self), due, min, max;
  guint latency = get_latency (self);
  gboolean live;

  due = gst_segment_to_running_time (&p->segment, GST_FORMAT_TIME, start);
  if (!gst_gemma_lm_base_is_live (p->element) || latency == G_MAXUINT ||
      !GST_CLOCK_TIME_IS_VALID (now) || !GST_CLOCK_TIME_IS_VALID (due))
    return;
  guint delay = now > due ? MIN ((now - due) / GST_MSECOND, G_MAXUINT) : 0;
  if (!gemma_stream_note_delay (self, GST_OBJECT_GET_LOCK (self), &p->max_observed_delay, delay))
    return;
  gst_gemma_lm_base_query_latency (p->element, &live, &min, &max);
  if (delay > latency + min / GST_MSECOND)
    GST_ELEMENT_WARNING (p->element, CORE, CLOCK, ("Text or silence came after %u ms, %u ms were promised", delay,
            (guint) (latency + min / GST_MSECOND)), ("raise latency, or take a smaller model or a faster device"));
}

/* ---- a slow sink ---------------------------------------------------------------------------------- */

/* What is between texts, and has no meaning without them. */
static gboolean
is_between (GList *link)
{
  return link && GST_IS_EVENT (link->data) &&
      (GST_EVENT_TYPE (link->data) == GST_EVENT_GAP || GST_EVENT_TYPE (link->data) == GST_EVENT_CUSTOM_DOWNSTREAM);
}

/* Removes what lies at @link, and adds its time to @start and @end. */
static void
take_out_locked (GstGemmaLmSrcPadPrivate *p, GList *link, GstClockTime *start, GstClockTime *end)
{
  GstClockTime time, duration;

  if (GST_EVENT_TYPE (link->data) == GST_EVENT_GAP) {
    gst_event_parse_gap (link->data, &time, &duration);
    *start = MIN (*start, time);
    *end = MAX (*end, time + duration);
  }
  gst_event_unref (link->data);
  g_queue_delete_link (&p->out, link);
}

/* The oldest text gives way to what is new: its time becomes one GAP with those around it. (transfer full) (nullable) */
static GstBuffer *
leave_out_locked (GstGemmaLmSrcPadPrivate *p)
{
  GList *link = p->out.head;

  while (link && !GST_IS_BUFFER (link->data))
    link = link->next;
  if (!link)
    return NULL;
  GstBuffer *buffer = link->data;
  GstClockTime start = GST_BUFFER_PTS (buffer);
  GstClockTime end = start + (GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : 0);
  while (is_between (link->prev))
    take_out_locked (p, link->prev, &start, &end);
  while (is_between (link->next))
    take_out_locked (p, link->next, &start, &end);
  link->data = gst_event_new_gap (start, end - start);
  p->n_left_out++;
  return buffer;
}

/* Consumes @buffer, which was left out. */
static void
tell_left_out (GstGemmaLmSrcPad *self, GstBuffer *buffer)
{
  GstGemmaLmSrcPadPrivate *p = get (self);
  GstClockTime pts = GST_BUFFER_PTS (buffer), now = get_now (self);
  GstClockTime running = gst_segment_to_running_time (&p->segment, GST_FORMAT_TIME, pts);
  GstMessage *message = gst_message_new_qos (GST_OBJECT (p->element), TRUE, running,
      gst_segment_to_stream_time (&p->segment, GST_FORMAT_TIME, pts), pts, GST_BUFFER_DURATION (buffer));
  gboolean late = GST_CLOCK_TIME_IS_VALID (now) && GST_CLOCK_TIME_IS_VALID (running);

  gst_message_set_qos_values (message, late ? GST_CLOCK_DIFF (running, now) : 0, 1., 1000000);
  g_mutex_lock (&p->lock);
  gst_message_set_qos_stats (message, GST_FORMAT_BUFFERS, p->n_pushed, p->n_left_out);
  gboolean told = p->congested;
  p->congested = TRUE;
  g_mutex_unlock (&p->lock);
  gst_buffer_unref (buffer);
  gst_element_post_message (GST_ELEMENT (p->element), message);
  if (!told)
    GST_ELEMENT_WARNING (p->element, CORE, CLOCK, ("What follows %s takes text too slowly: the oldest is left out",
            GST_OBJECT_NAME (self)), (NULL));
}

/* Text that has waited for the sink longer than until it is due. One that waits for the clock takes it when the text before was
 * due, by the latency of the whole pipeline. Told again when it is twice as late. */
static void
observe_wait (GstGemmaLmSrcPad *self, GstBuffer *buffer)
{
  GstGemmaLmSrcPadPrivate *p = get (self);
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (GST_PAD (self), GST_EVENT_SEGMENT, 0);
  GstClockTime now = get_now (self), min, max;
  guint latency = get_latency (self);
  const GstSegment *segment;
  gboolean live;

  if (!event || !GST_CLOCK_TIME_IS_VALID (now) || !gst_gemma_lm_base_is_live (p->element))
    return;
  gst_event_parse_segment (event, &segment);
  GstClockTime due = gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  g_mutex_lock (&p->lock);
  GstClockTime pipeline_latency = p->pipeline_latency;
  g_mutex_unlock (&p->lock);
  if (!GST_CLOCK_TIME_IS_VALID (due) || now <= due + LATE + pipeline_latency)
    return;
  gst_gemma_lm_base_query_latency (p->element, &live, &min, &max);
  due += MAX (pipeline_latency, latency == G_MAXUINT ? 0 : min + latency * GST_MSECOND);
  if (now <= due + LATE || now - due < 2 * p->told_late)
    return;
  p->told_late = now - due;
  GST_ELEMENT_WARNING (p->element, CORE, CLOCK, ("Text left %u ms too late, as what follows %s takes it too slowly",
          (guint) MIN (p->told_late / GST_MSECOND, G_MAXUINT), GST_OBJECT_NAME (self)), (NULL));
}

/* ---- the task ------------------------------------------------------------------------------------- */

/* Consumes @item, which is flushed: what stream this is must be known behind the pad all the same. */
static void
drop (GstGemmaLmSrcPad *self, gpointer item)
{
  if (GST_IS_EVENT (item) && GST_EVENT_IS_STICKY (item) && GST_EVENT_TYPE (item) != GST_EVENT_SEGMENT &&
      GST_EVENT_TYPE (item) != GST_EVENT_EOS)
    gst_pad_store_sticky_event (GST_PAD (self), item);
  gst_mini_object_unref (item);
}

/* A file waits for a slow sink, what is live does not. @item: a GstBuffer or GstEvent (transfer full) */
static void
emit (GstGemmaLmSrcPad *self, gpointer item)
{
  GstGemmaLmSrcPadPrivate *p = get (self);
  gboolean live = gst_gemma_lm_base_is_live (p->element);
  g_autoptr (GPtrArray) left_out = g_ptr_array_new ();

  g_mutex_lock (&p->lock);
  while (p->out.length >= MAX_OUT && !p->flushing && p->flow == GST_FLOW_OK) {
    GstBuffer *buffer = live ? leave_out_locked (p) : NULL;
    if (buffer)
      g_ptr_array_add (left_out, buffer);
    else
      g_cond_wait (&p->cond, &p->lock);
  }
  /* An end reaches also those who failed. */
  if (!p->flushing && (p->flow == GST_FLOW_OK || (GST_IS_EVENT (item) && GST_EVENT_TYPE (item) == GST_EVENT_EOS))) {
    g_queue_push_tail (&p->out, item);
    g_cond_broadcast (&p->cond);
  } else {
    drop (self, item);
  }
  g_mutex_unlock (&p->lock);
  for (guint i = 0; i < left_out->len; i++)
    tell_left_out (self, left_out->pdata[i]);
}

static gboolean
check_not_linked (GstElement *element, GstPad *pad, gpointer all)
{
  return *(gboolean *) all = gst_gemma_lm_src_pad_get_flow (GST_GEMMA_LM_SRC_PAD (pad)) == GST_FLOW_NOT_LINKED;
}

/* At the end, when no buffer will take the result upstream any more: there were texts, and nobody took any. */
static void
miss_link (GstGemmaLmSrcPad *self)
{
  GstElement *element = GST_ELEMENT (get (self)->element);
  gboolean all = FALSE;

  gst_element_foreach_src_pad (element, check_not_linked, &all);
  if (all)
    GST_ELEMENT_FLOW_ERROR (element, GST_FLOW_NOT_LINKED);
}

static void
push_out (gpointer data)
{
  GstPad *pad = data;
  GstGemmaLmSrcPadPrivate *p = get (pad);
  GstFlowReturn flow = GST_FLOW_OK;

  g_mutex_lock (&p->lock);
  p->congested &= p->out.length > 0;
  while (!p->flushing && !p->out.length)
    g_cond_wait (&p->cond, &p->lock);
  gpointer item = p->flushing ? NULL : g_queue_pop_head (&p->out);
  GstFlowReturn before = p->flow;
  p->n_pushed += before == GST_FLOW_OK && item && GST_IS_BUFFER (item);
  g_cond_broadcast (&p->cond);
  g_mutex_unlock (&p->lock);

  if (!item) {
    gst_pad_pause_task (pad);
    return;
  }
  if (GST_IS_EVENT (item) && GST_EVENT_TYPE (item) == GST_EVENT_EOS && before == GST_FLOW_NOT_LINKED)
    miss_link (GST_GEMMA_LM_SRC_PAD (pad));
  if (GST_IS_EVENT (item)) {
    gst_pad_push_event (pad, item);
  } else if (before != GST_FLOW_OK) {
    gst_mini_object_unref (item);
  } else {
    observe_wait (GST_GEMMA_LM_SRC_PAD (pad), item);
    flow = gst_pad_push (pad, item);
  }

  if (flow != GST_FLOW_OK && flow != GST_FLOW_FLUSHING) {
    g_mutex_lock (&p->lock);
    p->flow = flow;
    g_cond_broadcast (&p->cond);
    g_mutex_unlock (&p->lock);
  }
}

static void
set_flushing (GstGemmaLmSrcPad *self, gboolean flushing)
{
  GstGemmaLmSrcPadPrivate *p = get (self);

  g_mutex_lock (&p->lock);
  p->flushing = flushing;
  p->flow = GST_FLOW_OK;
  while (p->out.length)
    drop (self, g_queue_pop_head (&p->out));
  g_cond_broadcast (&p->cond);
  g_mutex_unlock (&p->lock);
}

GstFlowReturn
gst_gemma_lm_src_pad_get_flow (GstGemmaLmSrcPad *self)
{
  GstGemmaLmSrcPadPrivate *p = get (self);

  g_mutex_lock (&p->lock);
  GstFlowReturn flow = p->flushing ? GST_FLOW_FLUSHING : p->flow;
  g_mutex_unlock (&p->lock);
  return flow;
}

static gboolean
activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  set_flushing (GST_GEMMA_LM_SRC_PAD (pad), !active);
  return active ? gst_pad_start_task (pad, push_out, pad, NULL) : gst_pad_stop_task (pad);
}

/* FLUSH_START stops the task; FLUSH_STOP comes when nothing is pushed any more. */
void
gst_gemma_lm_src_pad_flush (GstGemmaLmSrcPad *self, GstEvent *event)
{
  GstPad *pad = GST_PAD (self);

  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_START) {
    set_flushing (self, TRUE);
    gst_pad_push_event (pad, gst_event_ref (event));
    gst_pad_pause_task (pad);
  } else if (GST_PAD_IS_ACTIVE (pad)) {
    GST_PAD_STREAM_LOCK (pad);
    gst_pad_push_event (pad, gst_event_ref (event));
    set_flushing (self, FALSE);
    gst_pad_start_task (pad, push_out, pad, NULL);
    GST_PAD_STREAM_UNLOCK (pad);
  }
}

/* ---- what leaves ----------------------------------------------------------------------------------- */

static gchar *
get_elements_language (GstGemmaLmSrcPad *self)
{
  GstGemmaLmBase *element = get (self)->element;

  GST_OBJECT_LOCK (element);
  gchar *language = g_strdup (gemma_lm_settings_get_language (&element->settings));
  GST_OBJECT_UNLOCK (element);
  return language;
}

static void
push_language (GstGemmaLmSrcPad *self)
{
  GstGemmaLmSrcPadPrivate *p = get (self);
  g_autofree gchar *language = GST_GEMMA_LM_SRC_PAD_GET_CLASS (self)->get_language (self);

  if (g_strcmp0 (language, p->language) == 0)
    return;
  g_free (p->language);
  p->language = g_steal_pointer (&language);
  if (p->language)
    emit (self, gst_event_new_tag (gst_tag_list_new (GST_TAG_LANGUAGE_CODE, p->language, NULL)));
}

void
gst_gemma_lm_src_pad_text (GstGemmaLmSrcPad *self, GstClockTime start, GstClockTime end, const gchar *text)
{
  GstBuffer *buffer = *text ? gst_buffer_new_memdup (text, strlen (text)) : gst_buffer_new ();

  push_language (self);
  observe_delay (self, start);
  restamp (self, &start, &end);
  get (self)->last_end = GST_CLOCK_TIME_IS_VALID (end) ? end : start;
  GST_BUFFER_PTS (buffer) = start;
  GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_IS_VALID (end) ? end - start : GST_CLOCK_TIME_NONE;
  emit (self, buffer);
}

void
gst_gemma_lm_src_pad_silence (GstGemmaLmSrcPad *self, GstClockTime start, GstClockTime end)
{
  observe_delay (self, start);
  restamp (self, &start, &end);
  get (self)->last_end = end;
  emit (self, gst_event_new_gap (start, end - start));
}

static void
push_stream_start (GstGemmaLmSrcPad *self, GstEvent *event)
{
  GstGemmaLmSrcPadPrivate *p = get (self);
  const gchar *upstream;
  guint group;

  gst_event_parse_stream_start (event, &upstream);
  g_autofree gchar *id = g_str_equal (GST_OBJECT_NAME (self), "src") ?
      g_strdup_printf ("%s/%s", upstream, GST_OBJECT_NAME (p->element)) :
      g_strdup_printf ("%s/%s/%s", upstream, GST_OBJECT_NAME (p->element), GST_OBJECT_NAME (self));
  GstEvent *own = gst_event_new_stream_start (id);
  gst_event_set_seqnum (own, gst_event_get_seqnum (event));
  gst_event_set_stream_flags (own, GST_STREAM_FLAG_SPARSE);
  if (gst_event_parse_group_id (event, &group))
    gst_event_set_group_id (own, group);
  p->begun = TRUE;
  emit (self, own);

  g_autoptr (GstCaps) caps = gst_pad_get_pad_template_caps (GST_PAD (self));
  if (gst_caps_is_fixed (caps))
    emit (self, gst_event_new_caps (caps));
  g_clear_pointer (&p->language, g_free);
}

/* The first words may need more sound than comes before the sinks are ready to play: they must not wait for them. */
static void
push_beginning (GstGemmaLmSrcPad *self)
{
  const GstSegment *segment = &get (self)->segment;
  GstClockTime time = segment->rate < 0. ? segment->stop : segment->start;

  if (segment->format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID (time))
    emit (self, gst_event_new_gap (time, 0));
}

static void
push_segment (GstGemmaLmSrcPad *self, GstEvent *event)
{
  GstGemmaLmSrcPadPrivate *p = get (self);

  GST_OBJECT_LOCK (p->element);
  guint lateness = p->element->settings.lateness;
  GST_OBJECT_UNLOCK (p->element);

  gst_event_copy_segment (event, &p->segment);
  p->segment.base += lateness * GST_MSECOND;
  p->last_end = GST_CLOCK_TIME_NONE;
  GstEvent *own = gst_event_new_segment (&p->segment);
  gst_event_set_seqnum (own, gst_event_get_seqnum (event));
  emit (self, own);
  push_language (self);
  push_beginning (self);
}

void
gst_gemma_lm_src_pad_event (GstGemmaLmSrcPad *self, GstEvent *event)
{
  GstTagList *tags;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_STREAM_START:
      push_stream_start (self, event);
      break;
    case GST_EVENT_SEGMENT:
      push_segment (self, event);
      break;
    case GST_EVENT_TAG:
      gst_event_parse_tag (event, &tags);
      if (gst_tag_list_get_scope (tags) != GST_TAG_SCOPE_GLOBAL)
        break;                  /* about the sound's codec */
      /* fall through */
    default:
      emit (self, gst_event_ref (event));
  }
}

gboolean
gst_gemma_lm_src_pad_has_begun (GstGemmaLmSrcPad *self)
{
  return get (self)->begun;
}

/* ---- what comes from downstream ------------------------------------------------------------------------- */

static gboolean
handle_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (parent);
  GstGemmaLmSrcPadPrivate *p = get (pad);
  GstClockTime latency;

  if (GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE) {
    g_mutex_lock (&base->lock);
    if (base->flow == GST_FLOW_NOT_LINKED)
      base->flow = GST_FLOW_OK;
    g_mutex_unlock (&base->lock);
    g_mutex_lock (&p->lock);
    if (p->flow == GST_FLOW_NOT_LINKED)
      p->flow = GST_FLOW_OK;
    g_mutex_unlock (&p->lock);
  } else if (GST_EVENT_TYPE (event) == GST_EVENT_LATENCY) {
    gst_event_parse_latency (event, &latency);
    g_mutex_lock (&p->lock);
    p->pipeline_latency = latency;
    g_mutex_unlock (&p->lock);
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
handle_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstClockTime min, max;
  gboolean live;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return gemma_stream_query (pad, parent, query, NULL, 0);
  guint latency = get_latency (GST_GEMMA_LM_SRC_PAD (pad));
  gst_gemma_lm_base_query_latency (GST_GEMMA_LM_BASE (parent), &live, &min, &max);
  if (latency == G_MAXUINT)
    gst_query_set_latency (query, TRUE, 0, GST_CLOCK_TIME_NONE);
  else
    gst_query_set_latency (query, live, min + latency * GST_MSECOND, GST_CLOCK_TIME_NONE);
  return TRUE;
}

/* ---- object ------------------------------------------------------------------------------------------ */

GstGemmaLmSrcPad *
gst_gemma_lm_src_pad_new (GType type, GstGemmaLmBase *element, GstPadTemplate *templ, const gchar *name)
{
  GstGemmaLmSrcPad *self = g_object_new (type, "name", name, "direction", GST_PAD_SRC, "template", templ, NULL);
  GstPad *pad = GST_PAD (self);
  g_autoptr (GstCaps) caps = gst_pad_template_get_caps (templ);

  get (self)->element = element;
  gst_pad_set_event_function (pad, GST_DEBUG_FUNCPTR (handle_event));
  gst_pad_set_query_function (pad, GST_DEBUG_FUNCPTR (handle_query));
  gst_pad_set_activatemode_function (pad, GST_DEBUG_FUNCPTR (activate_mode));
  if (gst_caps_is_fixed (caps))
    gst_pad_use_fixed_caps (pad);
  return self;
}

void
gst_gemma_lm_src_pad_set_extra_latency (GstGemmaLmSrcPad *self, guint latency)
{
  GST_OBJECT_LOCK (self);
  get (self)->extra_latency = latency;
  GST_OBJECT_UNLOCK (self);
}

void
gst_gemma_lm_src_pad_reset (GstGemmaLmSrcPad *self)
{
  GstGemmaLmSrcPadPrivate *p = get (self);

  gst_segment_init (&p->segment, GST_FORMAT_TIME);
  p->last_end = GST_CLOCK_TIME_NONE;
  p->begun = FALSE;
  p->congested = FALSE;
  p->n_pushed = p->n_left_out = 0;
  p->told_late = 0;
  g_clear_pointer (&p->language, g_free);
  GST_OBJECT_LOCK (self);
  p->max_observed_delay = 0;
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_lm_src_pad_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id != PROP_MAX_OBSERVED_DELAY) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  g_value_set_uint (value, get (object)->max_observed_delay);
  GST_OBJECT_UNLOCK (object);
}

static void
gst_gemma_lm_src_pad_finalize (GObject *object)
{
  GstGemmaLmSrcPadPrivate *p = get (object);

  g_queue_clear_full (&p->out, (GDestroyNotify) gst_mini_object_unref);
  g_mutex_clear (&p->lock);
  g_cond_clear (&p->cond);
  g_free (p->language);
  G_OBJECT_CLASS (gst_gemma_lm_src_pad_parent_class)->finalize (object);
}

static void
gst_gemma_lm_src_pad_class_init (GstGemmaLmSrcPadClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = gst_gemma_lm_src_pad_get_property;
  object_class->finalize = gst_gemma_lm_src_pad_finalize;
  klass->get_language = get_elements_language;
  g_object_class_install_property (object_class, PROP_MAX_OBSERVED_DELAY, g_param_spec_uint ("max-observed-delay",
          "Maximum observed delay", "The longest time that text or silence of this live stream took (ms)", 0, G_MAXUINT, 0,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_gemma_lm_src_pad_init (GstGemmaLmSrcPad *self)
{
  GstGemmaLmSrcPadPrivate *p = get (self);

  g_mutex_init (&p->lock);
  g_cond_init (&p->cond);
  g_queue_init (&p->out);
  gst_segment_init (&p->segment, GST_FORMAT_TIME);
  p->last_end = GST_CLOCK_TIME_NONE;
  p->flushing = TRUE;
  p->flow = GST_FLOW_OK;
}
