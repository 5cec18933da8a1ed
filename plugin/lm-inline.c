/* The source pads of language models inline: what is said leaves one, events leave all. */
#include "lm-inline.h"

#include "debug.h"
#include "stream.h"

G_DEFINE_ABSTRACT_TYPE (GstGemmaLmInline, gst_gemma_lm_inline, GST_TYPE_GEMMA_LM_BASE)

/* ---- output ------------------------------------------------------------------------------------ */

typedef struct
{
  GstPad *main;                 /* not owned, only compared */
  gboolean ok;
  GstFlowReturn of_main, error;
} Flows;

static gboolean
add_flow (GstElement *element, GstPad *pad, gpointer data)
{
  Flows *flows = data;
  GstFlowReturn flow = gst_gemma_lm_src_pad_get_flow (GST_GEMMA_LM_SRC_PAD (pad));

  flows->ok |= flow == GST_FLOW_OK;
  if (pad == flows->main)
    flows->of_main = flow;
  if (flow < GST_FLOW_EOS)
    flows->error = flow;
  return TRUE;
}

GstFlowReturn
gst_gemma_lm_inline_get_flow (GstGemmaLmInline *self)
{
  Flows flows = { self->srcpad, FALSE, GST_FLOW_FLUSHING, GST_FLOW_OK };

  gst_element_foreach_src_pad (GST_ELEMENT (self), add_flow, &flows);
  /* All are flushed together; another one that is flushing is being released. */
  if (flows.of_main == GST_FLOW_FLUSHING)
    return GST_FLOW_FLUSHING;
  if (flows.error != GST_FLOW_OK)
    return flows.error;
  return flows.ok ? GST_FLOW_OK : flows.of_main;
}

static GstFlowReturn
gst_gemma_lm_inline_text (GstGemmaLmBase *base, GstClockTime start, GstClockTime end, const gchar *text)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);

  gst_gemma_lm_src_pad_text (GST_GEMMA_LM_SRC_PAD (self->srcpad), start, end, text);
  return gst_gemma_lm_inline_get_flow (self);
}

static GstFlowReturn
gst_gemma_lm_inline_silence (GstGemmaLmBase *base, GstClockTime start, GstClockTime end)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);

  gst_gemma_lm_src_pad_silence (GST_GEMMA_LM_SRC_PAD (self->srcpad), start, end);
  return gst_gemma_lm_inline_get_flow (self);
}

void
gst_gemma_lm_inline_begin_pad (GstGemmaLmInline *self, GstGemmaLmSrcPad *pad)
{
  if (gst_gemma_lm_src_pad_has_begun (pad) || !self->stream_start)
    return;
  gst_gemma_lm_src_pad_event (pad, self->stream_start);
  if (self->segment)
    gst_gemma_lm_src_pad_event (pad, self->segment);
}

static gboolean
hand_on_event (GstElement *element, GstPad *pad, gpointer event)
{
  if (GST_EVENT_TYPE (event) != GST_EVENT_STREAM_START)
    gst_gemma_lm_inline_begin_pad (GST_GEMMA_LM_INLINE (element), GST_GEMMA_LM_SRC_PAD (pad));
  gst_gemma_lm_src_pad_event (GST_GEMMA_LM_SRC_PAD (pad), event);
  return TRUE;
}

static GstFlowReturn
gst_gemma_lm_inline_event (GstGemmaLmBase *base, GstEvent *event)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);

  gst_element_foreach_src_pad (GST_ELEMENT (self), hand_on_event, event);
  if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START)
    gst_event_replace (&self->stream_start, event);
  else if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT)
    gst_event_replace (&self->segment, event);
  gst_event_unref (event);
  return gst_gemma_lm_inline_get_flow (self);
}

static gboolean
flush_pad (GstElement *element, GstPad *pad, gpointer event)
{
  gst_gemma_lm_src_pad_flush (GST_GEMMA_LM_SRC_PAD (pad), event);
  return TRUE;
}

static void
gst_gemma_lm_inline_flush (GstGemmaLmBase *base, GstEvent *event)
{
  gst_element_foreach_src_pad (GST_ELEMENT (base), flush_pad, event);
  gst_event_unref (event);
}

/* ---- pads ---------------------------------------------------------------------------------------- */

static void
on_delay (GObject *pad, GParamSpec *pspec, gpointer data)
{
  GstGemmaLmInline *self = data;
  guint delay;

  g_object_get (pad, "max-observed-delay", &delay, NULL);
  gemma_stream_note_delay (self, GST_OBJECT_GET_LOCK (self), &self->max_observed_delay, delay);
}

gboolean
gst_gemma_lm_inline_add_pad (GstGemmaLmInline *self, GstGemmaLmSrcPad *pad)
{
  GstElement *element = GST_ELEMENT (self);

  g_signal_connect (pad, "notify::max-observed-delay", G_CALLBACK (on_delay), self);
  if (GST_STATE (element) > GST_STATE_READY || GST_STATE_PENDING (element) > GST_STATE_READY)
    gst_pad_set_active (GST_PAD (pad), TRUE);
  return gst_element_add_pad (element, GST_PAD (pad));
}

void
gst_gemma_lm_inline_add_src_pad (GstGemmaLmInline *self, GstStaticPadTemplate *static_template)
{
  g_autoptr (GstPadTemplate) templ = gst_static_pad_template_get (static_template);
  GstGemmaLmSrcPad *pad = gst_gemma_lm_src_pad_new (GST_TYPE_GEMMA_LM_SRC_PAD, GST_GEMMA_LM_BASE (self), templ, "src");

  self->srcpad = GST_PAD (pad);
  gst_gemma_lm_inline_add_pad (self, pad);
}

static gboolean
reset_pad (GstElement *element, GstPad *pad, gpointer data)
{
  gst_gemma_lm_src_pad_reset (GST_GEMMA_LM_SRC_PAD (pad));
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
    gst_element_foreach_src_pad (element, reset_pad, NULL);
    gst_clear_event (&self->stream_start);
    gst_clear_event (&self->segment);
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

  gst_clear_event (&self->stream_start);
  gst_clear_event (&self->segment);
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
          "The longest time that text or silence of this live stream took (ms)", 0, G_MAXUINT, 0,
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
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_LM_SRC_PAD, 0);
}

static void
gst_gemma_lm_inline_init (GstGemmaLmInline *self)
{
}
