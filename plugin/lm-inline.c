/* The source pad of language models inline: texts, GAPs and events in order, latency, language tag. */
#include "lm-inline.h"

#include <string.h>

#include "debug.h"
#include "stream.h"

/* Texts, GAPs and other events that may wait for the sink. */
#define MAX_OUT 256

G_DEFINE_ABSTRACT_TYPE (GstGemmaLmInline, gst_gemma_lm_inline, GST_TYPE_GEMMA_LM_BASE)

/* ---- times ------------------------------------------------------------------------------- */

static guint
get_latency (GstGemmaLmInline *self)
{
  GST_OBJECT_LOCK (self);
  guint latency = GST_GEMMA_LM_BASE (self)->settings.latency;
  GST_OBJECT_UNLOCK (self);
  return latency;
}

/* Running time now, or none without a clock. */
static GstClockTime
get_now (GstGemmaLmInline *self)
{
  GstElement *element = GST_ELEMENT (self);
  g_autoptr (GstClock) clock = gst_element_get_clock (element);

  if (!clock || GST_STATE (element) != GST_STATE_PLAYING)
    return GST_CLOCK_TIME_NONE;
  GstClockTime time = gst_clock_get_time (clock), base = gst_element_get_base_time (element);
  return time > base ? time - base : 0;
}

/* latency=G_MAXUINT: text belongs to the moment at which it comes. */
static void
restamp (GstGemmaLmInline *self, GstClockTime *start, GstClockTime *end)
{
  GstClockTime now, position;

  if (get_latency (self) != G_MAXUINT || !GST_CLOCK_TIME_IS_VALID (now = get_now (self)))
    return;
  position = gst_segment_position_from_running_time (&self->segment, GST_FORMAT_TIME, now);
  if (!GST_CLOCK_TIME_IS_VALID (position))
    return;
  if (GST_CLOCK_TIME_IS_VALID (self->last_end))
    position = MAX (position, self->last_end);
  if (GST_CLOCK_TIME_IS_VALID (*end))
    *end = position + (*end - *start);
  *start = position;
}

/* How late this text is against the time it belongs to; a promise that was not kept is told. */
static void
observe_delay (GstGemmaLmInline *self, GstClockTime start)
{
  GstClockTime now = get_now (self), due, min, max;
  guint latency = get_latency (self);
  gboolean live;

  due = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, start);
  if (!gst_gemma_lm_base_is_live (GST_GEMMA_LM_BASE (self)) || latency == G_MAXUINT ||
      !GST_CLOCK_TIME_IS_VALID (now) || !GST_CLOCK_TIME_IS_VALID (due))
    return;
  guint delay = now > due ? MIN ((now - due) / GST_MSECOND, G_MAXUINT) : 0;
  GST_OBJECT_LOCK (self);
  gboolean grown = delay > self->max_observed_delay;
  if (grown)
    self->max_observed_delay = delay;
  GST_OBJECT_UNLOCK (self);
  if (!grown)
    return;

  g_object_notify (G_OBJECT (self), "max-observed-delay");
  gst_gemma_lm_base_query_latency (GST_GEMMA_LM_BASE (self), &live, &min, &max);
  if (delay > latency + min / GST_MSECOND)
    GST_ELEMENT_WARNING (self, CORE, CLOCK, ("Text came after %u ms, %u ms were promised", delay,
            (guint) (latency + min / GST_MSECOND)), ("raise latency, or take a smaller model or a faster device"));
}

/* ---- the source pad's task ------------------------------------------------------------------------ */

/* Consumes @item, which is flushed: what stream this is must be known behind the pad all the same. */
static void
drop (GstGemmaLmInline *self, gpointer item)
{
  if (GST_IS_EVENT (item) && GST_EVENT_IS_STICKY (item) && GST_EVENT_TYPE (item) != GST_EVENT_SEGMENT &&
      GST_EVENT_TYPE (item) != GST_EVENT_EOS)
    gst_pad_store_sticky_event (self->srcpad, item);
  gst_mini_object_unref (item);
}

GstFlowReturn
gst_gemma_lm_inline_emit (GstGemmaLmInline *self, gpointer item)
{
  GstFlowReturn flow;

  g_mutex_lock (&self->out_lock);
  while (self->out.length >= MAX_OUT && !self->out_flushing && self->out_flow == GST_FLOW_OK)
    g_cond_wait (&self->out_cond, &self->out_lock);
  flow = self->out_flushing ? GST_FLOW_FLUSHING : self->out_flow;
  /* An end reaches also those who failed. */
  if (flow == GST_FLOW_OK ||
      (flow != GST_FLOW_FLUSHING && GST_IS_EVENT (item) && GST_EVENT_TYPE (item) == GST_EVENT_EOS)) {
    g_queue_push_tail (&self->out, item);
    g_cond_broadcast (&self->out_cond);
  } else {
    drop (self, item);
  }
  g_mutex_unlock (&self->out_lock);
  return flow;
}

static void
push_out (gpointer data)
{
  GstGemmaLmInline *self = data;
  GstFlowReturn flow = GST_FLOW_OK;

  g_mutex_lock (&self->out_lock);
  while (!self->out_flushing && !self->out.length)
    g_cond_wait (&self->out_cond, &self->out_lock);
  gpointer item = self->out_flushing ? NULL : g_queue_pop_head (&self->out);
  gboolean skip = self->out_flow != GST_FLOW_OK;
  g_cond_broadcast (&self->out_cond);
  g_mutex_unlock (&self->out_lock);

  if (!item) {
    gst_pad_pause_task (self->srcpad);
    return;
  }
  if (GST_IS_EVENT (item))
    gst_pad_push_event (self->srcpad, item);
  else if (skip)
    gst_mini_object_unref (item);
  else
    flow = gst_pad_push (self->srcpad, item);

  if (flow != GST_FLOW_OK && flow != GST_FLOW_FLUSHING) {
    g_mutex_lock (&self->out_lock);
    self->out_flow = flow;
    g_cond_broadcast (&self->out_cond);
    g_mutex_unlock (&self->out_lock);
  }
}

static void
set_out_flushing (GstGemmaLmInline *self, gboolean flushing)
{
  g_mutex_lock (&self->out_lock);
  self->out_flushing = flushing;
  self->out_flow = GST_FLOW_OK;
  while (self->out.length)
    drop (self, g_queue_pop_head (&self->out));
  g_cond_broadcast (&self->out_cond);
  g_mutex_unlock (&self->out_lock);
}

static gboolean
gst_gemma_lm_inline_src_activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (parent);

  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  set_out_flushing (self, !active);
  return active ? gst_pad_start_task (pad, push_out, self, NULL) : gst_pad_stop_task (pad);
}

/* ---- output ------------------------------------------------------------------------------------ */

static void
push_language (GstGemmaLmInline *self)
{
  GST_OBJECT_LOCK (self);
  g_autofree gchar *language = g_strdup (gemma_lm_settings_get_language (&GST_GEMMA_LM_BASE (self)->settings));
  GST_OBJECT_UNLOCK (self);

  if (g_strcmp0 (language, self->language) == 0)
    return;
  g_free (self->language);
  self->language = g_steal_pointer (&language);
  if (self->language)
    gst_gemma_lm_inline_emit (self, gst_event_new_tag (gst_tag_list_new (GST_TAG_LANGUAGE_CODE, self->language, NULL)));
}

static GstFlowReturn
gst_gemma_lm_inline_text (GstGemmaLmBase *base, GstClockTime start, GstClockTime end, const gchar *text)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);
  GstBuffer *buffer = *text ? gst_buffer_new_memdup (text, strlen (text)) : gst_buffer_new ();

  push_language (self);
  observe_delay (self, start);
  restamp (self, &start, &end);
  self->last_end = GST_CLOCK_TIME_IS_VALID (end) ? end : start;
  GST_BUFFER_PTS (buffer) = start;
  GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_IS_VALID (end) ? end - start : GST_CLOCK_TIME_NONE;
  return gst_gemma_lm_inline_emit (self, buffer);
}

static GstFlowReturn
gst_gemma_lm_inline_silence (GstGemmaLmBase *base, GstClockTime start, GstClockTime end)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);

  restamp (self, &start, &end);
  self->last_end = end;
  return gst_gemma_lm_inline_emit (self, gst_event_new_gap (start, end - start));
}

static void
push_stream_start (GstGemmaLmInline *self, GstEvent *event)
{
  const gchar *upstream;
  guint group;

  gst_event_parse_stream_start (event, &upstream);
  g_autofree gchar *id = g_strdup_printf ("%s/%s", upstream, GST_OBJECT_NAME (self));
  GstEvent *own = gst_event_new_stream_start (id);
  gst_event_set_seqnum (own, gst_event_get_seqnum (event));
  gst_event_set_stream_flags (own, GST_STREAM_FLAG_SPARSE);
  if (gst_event_parse_group_id (event, &group))
    gst_event_set_group_id (own, group);
  gst_event_unref (event);
  gst_gemma_lm_inline_emit (self, own);

  g_autoptr (GstCaps) caps = gst_pad_get_pad_template_caps (self->srcpad);
  if (gst_caps_is_fixed (caps))
    gst_gemma_lm_inline_emit (self, gst_event_new_caps (caps));
  g_clear_pointer (&self->language, g_free);
}

static void
push_segment (GstGemmaLmInline *self, GstEvent *event)
{
  GST_OBJECT_LOCK (self);
  guint lateness = GST_GEMMA_LM_BASE (self)->settings.lateness;
  GST_OBJECT_UNLOCK (self);

  gst_event_copy_segment (event, &self->segment);
  self->segment.base += lateness * GST_MSECOND;
  self->last_end = GST_CLOCK_TIME_NONE;
  GstEvent *own = gst_event_new_segment (&self->segment);
  gst_event_set_seqnum (own, gst_event_get_seqnum (event));
  gst_event_unref (event);
  gst_gemma_lm_inline_emit (self, own);
  push_language (self);
}

static GstFlowReturn
gst_gemma_lm_inline_event (GstGemmaLmBase *base, GstEvent *event)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);
  GstTagList *tags;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_STREAM_START:
      push_stream_start (self, event);
      return GST_FLOW_OK;
    case GST_EVENT_SEGMENT:
      push_segment (self, event);
      return GST_FLOW_OK;
    case GST_EVENT_TAG:
      gst_event_parse_tag (event, &tags);
      if (gst_tag_list_get_scope (tags) == GST_TAG_SCOPE_GLOBAL)
        return gst_gemma_lm_inline_emit (self, event);
      gst_event_unref (event);  /* about the sound's codec */
      return GST_FLOW_OK;
    default:
      return gst_gemma_lm_inline_emit (self, event);
  }
}

/* FLUSH_START stops the task; FLUSH_STOP comes when nothing is pushed any more. */
static void
gst_gemma_lm_inline_flush (GstGemmaLmBase *base, GstEvent *event)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);

  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_START) {
    set_out_flushing (self, TRUE);
    gst_pad_push_event (self->srcpad, event);
    gst_pad_pause_task (self->srcpad);
  } else {
    GST_PAD_STREAM_LOCK (self->srcpad);
    gst_pad_push_event (self->srcpad, event);
    set_out_flushing (self, FALSE);
    gst_pad_start_task (self->srcpad, push_out, self, NULL);
    GST_PAD_STREAM_UNLOCK (self->srcpad);
  }
}

/* ---- the source pad ------------------------------------------------------------------------------- */

static gboolean
gst_gemma_lm_inline_src_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (parent);
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (parent);

  if (GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE) {
    g_mutex_lock (&base->lock);
    if (base->flow == GST_FLOW_NOT_LINKED)
      base->flow = GST_FLOW_OK;
    g_mutex_unlock (&base->lock);
    g_mutex_lock (&self->out_lock);
    if (self->out_flow == GST_FLOW_NOT_LINKED)
      self->out_flow = GST_FLOW_OK;
    g_mutex_unlock (&self->out_lock);
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
gst_gemma_lm_inline_src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  guint latency = get_latency (GST_GEMMA_LM_INLINE (parent));
  GstClockTime min, max;
  gboolean live;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return gemma_stream_query (pad, parent, query, NULL, 0);
  gst_gemma_lm_base_query_latency (GST_GEMMA_LM_BASE (parent), &live, &min, &max);
  if (latency == G_MAXUINT)
    gst_query_set_latency (query, TRUE, 0, GST_CLOCK_TIME_NONE);
  else
    gst_query_set_latency (query, live, min + latency * GST_MSECOND, GST_CLOCK_TIME_NONE);
  return TRUE;
}

/* ---- object ------------------------------------------------------------------------------------------ */

static void
gst_gemma_lm_inline_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GemmaLmSettings *settings = &GST_GEMMA_LM_BASE (object)->settings;

  if (id < GEMMA_LM_INLINE_PROP_LATENCY) {
    G_OBJECT_CLASS (gst_gemma_lm_inline_parent_class)->set_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  if (id == GEMMA_LM_INLINE_PROP_LATENCY)
    settings->latency = g_value_get_uint (value);
  else if (id == GEMMA_LM_INLINE_PROP_LATENESS)
    settings->lateness = g_value_get_uint (value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (object);
  if (id == GEMMA_LM_INLINE_PROP_LATENCY)
    gst_element_post_message (GST_ELEMENT (object), gst_message_new_latency (GST_OBJECT (object)));
}

static void
gst_gemma_lm_inline_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  const GemmaLmSettings *settings = &GST_GEMMA_LM_BASE (object)->settings;

  if (id < GEMMA_LM_INLINE_PROP_LATENCY) {
    G_OBJECT_CLASS (gst_gemma_lm_inline_parent_class)->get_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  if (id == GEMMA_LM_INLINE_PROP_LATENCY)
    g_value_set_uint (value, settings->latency);
  else if (id == GEMMA_LM_INLINE_PROP_LATENESS)
    g_value_set_uint (value, settings->lateness);
  else if (id == GEMMA_LM_INLINE_PROP_MAX_OBSERVED_DELAY)
    g_value_set_uint (value, GST_GEMMA_LM_INLINE (object)->max_observed_delay);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (object);
}

static GstStateChangeReturn
gst_gemma_lm_inline_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (element);

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
    gst_segment_init (&self->segment, GST_FORMAT_TIME);
    self->last_end = GST_CLOCK_TIME_NONE;
    g_clear_pointer (&self->language, g_free);
    GST_OBJECT_LOCK (self);
    self->max_observed_delay = 0;
    GST_OBJECT_UNLOCK (self);
  }
  return GST_ELEMENT_CLASS (gst_gemma_lm_inline_parent_class)->change_state (element, transition);
}

static void
gst_gemma_lm_inline_finalize (GObject *object)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (object);

  g_queue_clear_full (&self->out, (GDestroyNotify) gst_mini_object_unref);
  g_mutex_clear (&self->out_lock);
  g_cond_clear (&self->out_cond);
  g_free (self->language);
  G_OBJECT_CLASS (gst_gemma_lm_inline_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  g_object_class_install_property (object_class, GEMMA_LM_INLINE_PROP_LATENCY, g_param_spec_uint ("latency", "Latency",
          "Text of a live stream leaves within this time after its speech or source (ms; 4294967295: no promise, text is "
          "stamped with the time at which it comes)", 0, G_MAXUINT, 8000, playing));
  g_object_class_install_property (object_class, GEMMA_LM_INLINE_PROP_LATENESS, g_param_spec_uint ("lateness",
          "Lateness", "Text is shifted to this much later (ms), which gives the model time without latency for the other "
          "streams", 0, G_MAXUINT, 0, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (object_class, GEMMA_LM_INLINE_PROP_MAX_OBSERVED_DELAY,
      g_param_spec_uint ("max-observed-delay", "Maximum observed delay",
          "The longest time that a text of this live stream took (ms)", 0, G_MAXUINT, 0,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_gemma_lm_inline_class_init (GstGemmaLmInlineClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstGemmaLmBaseClass *base_class = GST_GEMMA_LM_BASE_CLASS (klass);

  object_class->set_property = gst_gemma_lm_inline_set_property;
  object_class->get_property = gst_gemma_lm_inline_get_property;
  object_class->finalize = gst_gemma_lm_inline_finalize;
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_lm_inline_change_state);
  base_class->text = gst_gemma_lm_inline_text;
  base_class->silence = gst_gemma_lm_inline_silence;
  base_class->event = gst_gemma_lm_inline_event;
  base_class->flush = gst_gemma_lm_inline_flush;

  install_properties (object_class);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_LM_INLINE, 0);
}

void
gst_gemma_lm_inline_add_src_pad (GstGemmaLmInline *self, GstStaticPadTemplate *templ)
{
  self->srcpad = gst_pad_new_from_static_template (templ, "src");
  gst_pad_set_event_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_lm_inline_src_event));
  gst_pad_set_query_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_lm_inline_src_query));
  gst_pad_set_activatemode_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_lm_inline_src_activate_mode));
  g_autoptr (GstCaps) caps = gst_pad_get_pad_template_caps (self->srcpad);
  if (gst_caps_is_fixed (caps))
    gst_pad_use_fixed_caps (self->srcpad);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}

static void
gst_gemma_lm_inline_init (GstGemmaLmInline *self)
{
  self->last_end = GST_CLOCK_TIME_NONE;
  gst_segment_init (&self->segment, GST_FORMAT_TIME);
  g_mutex_init (&self->out_lock);
  g_cond_init (&self->out_cond);
  g_queue_init (&self->out);
  self->out_flushing = TRUE;
}
