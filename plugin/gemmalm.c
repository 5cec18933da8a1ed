/**
 * SECTION:element-gemmalm
 * @title: gemmalm
 *
 * A Gemma language model inline: soft tokens of sound and pictures, or text, become text with the time of the speech that
 * it stands for. Silence becomes GAP events. While an answer grows, element messages `gemma-partial` (text, timestamp,
 * duration, final) show it; the pad gets it whole. A `rstranscribe/final-transcript` event follows each answer;
 * upstream, `rstranscribe/new-item` (speaker, content, running-time, duration) tells of each text of a transcript.
 *
 * With #GstGemmaLm:streaming, transcripts and translations do not wait for the end of an utterance. Whenever
 * #GstGemmaLm:hypothesis-interval more of it has been heard, a hypothesis is made, and `gemma-partial` shows it. With
 * `words`, a word that two in a row agree on, and that another follows, goes to the pad at once, with a time of its
 * own inside of the utterance, and is never changed; in `gemma-partial` these are final, and text is what comes
 * after them and may still change. Models that were trained on whole utterances, as the embedded one, guess at the
 * end of what they have heard: `partial` shows it, and the pad gets the same as without.
 *
 * Live, when the machine is too slow, hypotheses become fewer; when utterances wait all the same, pictures beside speech are
 * left out and #GstGemmaLm:fallback-submodel runs, until there is time again. Messages `gemma-load` (step, hypothesis-interval,
 * pictures, submodel) say so. Speech beside pictures stays whole.
 *
 * #GstGemmaLm:submodel runs a part of the model (MatFormer), and may change in the middle of an answer: elements with
 * different parts of a model share one copy of it.
 *
 * Live, text leaves before running time + #GstGemmaLm:latency: utterances are cut short enough for it.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert ! audioresample !
 *     gemmaaudioenc voice-gate=true ! gemmalm task=translate source-language=es ! srtenc ! filesink location=out.srt
 * ]|
 */
#include "gemmalm.h"

#include "debug.h"

enum
{
  PROP_STREAMING = GEMMA_LM_INLINE_LAST_PROPERTY + 1,
  PROP_HYPOTHESIS_INTERVAL
};

struct _GstGemmaLm
{
  GstGemmaLmInline parent;
};

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));

G_DEFINE_TYPE (GstGemmaLm, gst_gemma_lm, GST_TYPE_GEMMA_LM_INLINE)
GST_ELEMENT_REGISTER_DEFINE (gemmalm, "gemmalm", GST_RANK_NONE, GST_TYPE_GEMMA_LM)

/* ---- output ------------------------------------------------------------------------------------ */

typedef struct
{
  GstPad *pad;                  /* not owned, only compared */
  GstEvent *event;
} Item;

static gboolean
push_item (GstElement *element, GstPad *pad, gpointer data)
{
  const Item *item = data;

  if (pad == item->pad && GST_GEMMA_LM_PAD (pad)->kind == GEMMA_LM_PAD_AUDIO)
    gst_pad_push_event (pad, gst_event_ref (item->event));
  return TRUE;
}

/* Who keeps the sound of speakers upstream wants to know what was said when; nobody is told apart here. */
static void
tell_upstream (GstGemmaLm *self, GstClockTime start, GstClockTime end, const gchar *text)
{
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (self);
  GstClockTime running_time = gst_segment_to_running_time (&base->segment, GST_FORMAT_TIME, start);

  GST_OBJECT_LOCK (self);
  gboolean transcript = base->settings.task == GEMMA_TASK_TRANSCRIBE;
  GST_OBJECT_UNLOCK (self);
  if (!transcript || !GST_CLOCK_TIME_IS_VALID (running_time))
    return;
  g_mutex_lock (&base->lock);
  Item item = { base->events_pad, NULL };
  g_mutex_unlock (&base->lock);
  item.event = gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM, gst_structure_new ("rstranscribe/new-item",
          "speaker", G_TYPE_STRING, NULL,
          "content", G_TYPE_STRING, text,
          "running-time", G_TYPE_UINT64, running_time,
          "duration", G_TYPE_UINT64, end - start, NULL));
  gst_element_foreach_sink_pad (GST_ELEMENT (self), push_item, &item);
  gst_event_unref (item.event);
}

static GstFlowReturn
gst_gemma_lm_text (GstGemmaLmBase *base, GstClockTime start, GstClockTime end, const gchar *text)
{
  tell_upstream (GST_GEMMA_LM (base), start, end, text);
  return GST_GEMMA_LM_BASE_CLASS (gst_gemma_lm_parent_class)->text (base, start, end, text);
}

static GstFlowReturn
gst_gemma_lm_end_texts (GstGemmaLmBase *base)
{
  return gst_gemma_lm_inline_emit (GST_GEMMA_LM_INLINE (base), gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
          gst_structure_new_empty ("rstranscribe/final-transcript")));
}

/* ---- object ------------------------------------------------------------------------------------------ */

static void
gst_gemma_lm_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GemmaLmSettings *settings = &GST_GEMMA_LM_BASE (object)->settings;

  if (id < PROP_STREAMING) {
    G_OBJECT_CLASS (gst_gemma_lm_parent_class)->set_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  if (id == PROP_STREAMING)
    settings->streaming = g_value_get_enum (value);
  else if (id == PROP_HYPOTHESIS_INTERVAL)
    settings->hypothesis_interval = g_value_get_uint (value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (object);
}

static void
gst_gemma_lm_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  const GemmaLmSettings *settings = &GST_GEMMA_LM_BASE (object)->settings;

  if (id < PROP_STREAMING) {
    G_OBJECT_CLASS (gst_gemma_lm_parent_class)->get_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  if (id == PROP_STREAMING)
    g_value_set_enum (value, settings->streaming);
  else if (id == PROP_HYPOTHESIS_INTERVAL)
    g_value_set_uint (value, settings->hypothesis_interval);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (object);
}

static void
gst_gemma_lm_class_init (GstGemmaLmClass *klass)
{
  const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstGemmaLmBaseClass *base_class = GST_GEMMA_LM_BASE_CLASS (klass);

  object_class->set_property = gst_gemma_lm_set_property;
  object_class->get_property = gst_gemma_lm_get_property;
  base_class->text = gst_gemma_lm_text;
  base_class->end_texts = gst_gemma_lm_end_texts;

  gst_gemma_lm_base_class_add_sink_pads (base_class);
  g_object_class_install_property (object_class, PROP_STREAMING, g_param_spec_enum ("streaming", "Streaming",
          "What is told of a transcript or translation while its utterance is heard",
          GST_TYPE_GEMMA_STREAMING, GEMMA_STREAMING_WHOLE, playing));
  g_object_class_install_property (object_class, PROP_HYPOTHESIS_INTERVAL, g_param_spec_uint ("hypothesis-interval",
          "Hypothesis interval", "Streaming, the model is asked again after this much more speech (ms)", 160, 10000, 400,
          playing));

  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Gemma language model", "Filter/Converter/Text",
      "Turns soft tokens of sound and pictures, or text, into text with a Gemma language model", "gst-gemma");
}

static void
gst_gemma_lm_init (GstGemmaLm *self)
{
  gst_gemma_lm_inline_add_src_pad (GST_GEMMA_LM_INLINE (self), &src_template);
}
