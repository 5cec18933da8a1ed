/**
 * SECTION:element-gemmalm
 * @title: gemmalm
 *
 * A Gemma language model inline: soft tokens of sound and pictures, or text, become text with the time of the speech that
 * it stands for. Silence becomes GAP events. While an answer grows, element messages `gemma-partial` (text, timestamp,
 * duration, final, language-code) show it; the pad gets it whole. A `rstranscribe/final-transcript` event follows each answer;
 * upstream, `rstranscribe/new-item` (speaker, content, running-time, duration) tells of each text of a transcript.
 *
 * With #GstGemmaLm:streaming, transcripts and translations do not wait for the end of an utterance. Whenever
 * #GstGemmaLm:hypothesis-interval more of it has been heard, a hypothesis is made, and `gemma-partial` shows it. With
 * `words`, a word that two in a row agree on, and that another follows, goes to the pad at once, with a time of its
 * own inside of the utterance, and is never changed; in `gemma-partial` these are final, and text is what comes
 * after them and may still change. With `partial` the pad gets the same as without.
 *
 * Live, when the machine is too slow, hypotheses are not translated any more, then become fewer; when utterances wait all the
 * same, pictures beside speech are left out and #GstGemmaLm:fallback-submodel runs, until there is time again. Messages
 * `gemma-load` (step, partial-translations, hypothesis-interval, pictures, submodel) say so. Speech beside pictures stays whole.
 *
 * #GstGemmaLm:submodel runs a part of the model (MatFormer), and may change in the middle of an answer: elements with
 * different parts of a model share one copy of it.
 *
 * Each `translate_src_%u` is the transcript in another language, that of the pad's property `language-code`. The model reads
 * instruction and sound once, writes the transcript, and goes on from there with a line for each language, "French:"; in
 * between the cache is taken back to the transcript's end. The instruction asks for transcript and translations, and a
 * translation leaves when its utterance is over. Those of hypotheses are shown by `gemma-partial`, too. A pad with the
 * language that is spoken gets the transcript. Other answers about speech or text are translated in the same way,
 * descriptions of pictures are not.
 *
 * Live, text leaves before running time + #GstGemmaLm:latency: utterances are cut short enough for it, at a pause if there is
 * one, else where they are least loud. Where words leave one by one, what is cut goes on with its second half: a word that is being
 * said at the cut is heard again as a whole, after words that are final and stay context.
 *
 * Live, neither sound nor model wait for who takes text too slowly. A warning tells when text leaves more than a second too
 * late for that reason; when 256 texts and events wait at a pad, the oldest text becomes a GAP, with a QOS message.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert ! audioresample !
 *     gemmaaudioenc voice-gate=true ! gemmalm task=translate source-language=es ! srtenc ! filesink location=out.srt
 * ]|
 */
#include "gemmalm.h"

#include <string.h>

#include "debug.h"
#include "lm-translate-pad.h"
#include "stream.h"

enum
{
  PROP_TRANSLATE_LATENCY = GEMMA_LM_INLINE_LAST_PROPERTY + 1
};

struct _GstGemmaLm
{
  GstGemmaLmInline parent;
  guint translate_latency;      /* ms; object lock */
};

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));
static GstStaticPadTemplate translate_template = GST_STATIC_PAD_TEMPLATE ("translate_src_%u", GST_PAD_SRC,
    GST_PAD_REQUEST, GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));

/* Pads are children, so that gst-launch can set "translate_src_0::language-code". */
static GObject *
get_child_by_name (GstChildProxy *proxy, const gchar *name)
{
  return (GObject *) gst_element_get_static_pad (GST_ELEMENT (proxy), name);
}

static GObject *
get_child_by_index (GstChildProxy *proxy, guint index)
{
  GST_OBJECT_LOCK (proxy);
  GstPad *pad = g_list_nth_data (GST_ELEMENT (proxy)->pads, index);
  if (pad)
    gst_object_ref (pad);
  GST_OBJECT_UNLOCK (proxy);
  return (GObject *) pad;
}

static guint
count_children (GstChildProxy *proxy)
{
  GST_OBJECT_LOCK (proxy);
  guint n = GST_ELEMENT (proxy)->numpads;
  GST_OBJECT_UNLOCK (proxy);
  return n;
}

static void
child_proxy_init (gpointer iface, gpointer data)
{
  GstChildProxyInterface *self = iface;

  self->get_child_by_name = get_child_by_name;
  self->get_child_by_index = get_child_by_index;
  self->get_children_count = count_children;
}

G_DEFINE_TYPE_WITH_CODE (GstGemmaLm, gst_gemma_lm, GST_TYPE_GEMMA_LM_INLINE,
    G_IMPLEMENT_INTERFACE (GST_TYPE_CHILD_PROXY, child_proxy_init))
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

static void
end_texts (GstGemmaLmSrcPad *pad)
{
  g_autoptr (GstEvent) event = gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
      gst_structure_new_empty ("rstranscribe/final-transcript"));

  gst_gemma_lm_src_pad_event (pad, event);
}

static GstFlowReturn
gst_gemma_lm_end_texts (GstGemmaLmBase *base)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (base);

  end_texts (GST_GEMMA_LM_SRC_PAD (self->srcpad));
  return gst_gemma_lm_inline_get_flow (self);
}

/* ---- translations, in the task ------------------------------------------------------------------- */

typedef struct
{
  GstGemmaLmBase *base;
  const GemmaWork *work;
  const gchar *answer;          /* to it, which is translated */
  GCancellable *cancellable;
  gboolean partial, overtaken;  /* of a hypothesis; it is not worth its end any more */
  GstFlowReturn flow;
} Translating;

static gboolean
is_spoken (GstGemmaLm *self, const gchar *language)
{
  const GemmaLmSettings *settings = &GST_GEMMA_LM_BASE (self)->settings;

  GST_OBJECT_LOCK (self);
  const gchar *own = gemma_lm_settings_get_language (settings);
  gboolean same = own && g_str_equal (gemma_language_name (own), gemma_language_name (language));
  GST_OBJECT_UNLOCK (self);
  return same;
}

/* Live, what is said next goes before what a hypothesis means. */
static gboolean
on_token (gint32 id, const gchar *text, const gchar *all, const gfloat *weights, gpointer data)
{
  Translating *t = data;

  t->overtaken = t->partial && gst_gemma_lm_base_is_behind (t->base);
  return !t->overtaken;
}

/* The model's own turn goes on with another line. (transfer full) (nullable) */
static gchar *
translate (const gchar *language, Translating *t)
{
  GstGemmaLmBase *base = t->base;
  g_autoptr (GArray) said = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree gchar *line = gemma_task_next_line (language), *before = g_strconcat (t->answer, line, NULL);
  const GemmaListener listener = { .said = said, .goes_on = TRUE, .token = on_token, .user_data = t };
  GemmaDecodeStats stats;

  gemma_tokenizer_encode (gemma_model_get_tokenizer (base->decoding.model), before, strlen (before), FALSE, said);
  return gst_gemma_lm_base_ask (base, t->work, &listener, t->cancellable, &stats, &t->flow);
}

static gboolean
tell_translation (GstElement *element, GstPad *pad, gpointer data)
{
  GstGemmaLmInline *self = GST_GEMMA_LM_INLINE (element);
  GstGemmaLmSrcPad *src = GST_GEMMA_LM_SRC_PAD (pad);
  Translating *t = data;
  const GemmaWork *work = t->work;

  if (pad == self->srcpad)
    return TRUE;
  g_autofree gchar *language = GST_GEMMA_LM_SRC_PAD_GET_CLASS (src)->get_language (src);
  g_autofree gchar *text = !*t->answer || is_spoken (GST_GEMMA_LM (self), language) ? g_strdup (t->answer) :
      translate (language, t);
  if (!text)
    return FALSE;
  gst_gemma_lm_inline_begin_pad (self, src);
  if (*text) {
    gst_gemma_lm_src_pad_text (src, work->start, work->end, text);
    end_texts (src);
  } else if (work->end > work->start) {
    gst_gemma_lm_src_pad_silence (src, work->start, work->end);
  }
  return TRUE;
}

/* Not the spoken language: that is what was shown first. */
static gboolean
show_translation (GstElement *element, GstPad *pad, gpointer data)
{
  Translating *t = data;

  if (pad == GST_GEMMA_LM_INLINE (element)->srcpad)
    return TRUE;
  g_autofree gchar *language = GST_GEMMA_LM_SRC_PAD_GET_CLASS (pad)->get_language (GST_GEMMA_LM_SRC_PAD (pad));
  if (is_spoken (GST_GEMMA_LM (element), language))
    return TRUE;
  g_autofree gchar *text = translate (language, t);
  if (!text || t->overtaken)
    return FALSE;
  gst_gemma_lm_base_post_partial (t->base, t->work->start, t->work->end, text, "", language);
  return TRUE;
}

static GstFlowReturn
gst_gemma_lm_hypothesis (GstGemmaLmBase *base, const GemmaWork *work, const gchar *text, GCancellable *cancellable)
{
  Translating translating = { base, work, text, cancellable, TRUE, FALSE, GST_FLOW_OK };

  if (*text)
    gst_element_foreach_src_pad (GST_ELEMENT (base), show_translation, &translating);
  return translating.flow;
}

/* Before the model is asked: what it will be asked for. */
static void
list_translations (GstGemmaLm *self)
{
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (self);
  g_autoptr (GPtrArray) languages = g_ptr_array_new_with_free_func (g_free);

  GST_OBJECT_LOCK (self);
  for (GList *l = GST_ELEMENT (self)->srcpads; l; l = l->next)
    if (l->data != GST_GEMMA_LM_INLINE (self)->srcpad)
      g_ptr_array_add (languages, GST_GEMMA_LM_SRC_PAD_GET_CLASS (l->data)->get_language (l->data));
  g_ptr_array_add (languages, NULL);
  g_free (base->settings.translations);
  base->settings.translations =
      gemma_task_list_languages ((const gchar *const *) languages->pdata, base->settings.source_language);
  GST_OBJECT_UNLOCK (self);
}

static GstFlowReturn
gst_gemma_lm_work (GstGemmaLmBase *base, GemmaWork *work, GCancellable *cancellable)
{
  GstElement *element = GST_ELEMENT (base);

  list_translations (GST_GEMMA_LM (base));
  GstFlowReturn flow = GST_GEMMA_LM_BASE_CLASS (gst_gemma_lm_parent_class)->work (base, work, cancellable);
  if (flow != GST_FLOW_OK || work->kind == GEMMA_WORK_EVENT || work->kind == GEMMA_WORK_HEARD || element->numsrcpads < 2)
    return flow;
  Translating translating =
      { base, work, work->answer ? work->answer : "", cancellable, FALSE, FALSE, GST_FLOW_OK };
  gst_element_foreach_src_pad (element, tell_translation, &translating);
  return translating.flow != GST_FLOW_OK ? translating.flow : gst_gemma_lm_inline_get_flow (GST_GEMMA_LM_INLINE (base));
}

/* ---- pads --------------------------------------------------------------------------------------- */

static GstPad *
gst_gemma_lm_request_new_pad (GstElement *element, GstPadTemplate *templ, const gchar *wanted, const GstCaps *caps)
{
  GstGemmaLm *self = GST_GEMMA_LM (element);

  if (GST_PAD_TEMPLATE_DIRECTION (templ) == GST_PAD_SINK)
    return GST_ELEMENT_CLASS (gst_gemma_lm_parent_class)->request_new_pad (element, templ, wanted, caps);
  g_autofree gchar *name = gemma_stream_make_pad_name (element, templ, wanted);
  GstGemmaLmSrcPad *pad =
      gst_gemma_lm_src_pad_new (GST_TYPE_GEMMA_LM_TRANSLATE_PAD, GST_GEMMA_LM_BASE (self), templ, name);
  GST_OBJECT_LOCK (self);
  guint latency = self->translate_latency;
  GST_OBJECT_UNLOCK (self);
  gst_gemma_lm_src_pad_set_extra_latency (pad, latency);
  if (!gst_gemma_lm_inline_add_pad (GST_GEMMA_LM_INLINE (self), pad))
    return NULL;
  gst_child_proxy_child_added (GST_CHILD_PROXY (self), G_OBJECT (pad), name);
  return GST_PAD (pad);
}

static void
gst_gemma_lm_release_pad (GstElement *element, GstPad *pad)
{
  if (GST_PAD_IS_SINK (pad)) {
    GST_ELEMENT_CLASS (gst_gemma_lm_parent_class)->release_pad (element, pad);
    return;
  }
  gst_child_proxy_child_removed (GST_CHILD_PROXY (element), G_OBJECT (pad), GST_OBJECT_NAME (pad));
  gemma_stream_remove_pad (element, pad);
}

static gboolean
update_pad_latency (GstElement *element, GstPad *pad, gpointer latency)
{
  if (pad != GST_GEMMA_LM_INLINE (element)->srcpad)
    gst_gemma_lm_src_pad_set_extra_latency (GST_GEMMA_LM_SRC_PAD (pad), *(guint *) latency);
  return TRUE;
}

static void
set_translate_latency (GstGemmaLm *self, guint latency)
{
  GST_OBJECT_LOCK (self);
  self->translate_latency = latency;
  GST_OBJECT_UNLOCK (self);
  gst_element_foreach_src_pad (GST_ELEMENT (self), update_pad_latency, &latency);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

/* ---- object ------------------------------------------------------------------------------------------ */

static void
gst_gemma_lm_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PROP_TRANSLATE_LATENCY)
    set_translate_latency (GST_GEMMA_LM (object), g_value_get_uint (value));
  else
    G_OBJECT_CLASS (gst_gemma_lm_parent_class)->set_property (object, id, value, pspec);
}

static void
gst_gemma_lm_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id != PROP_TRANSLATE_LATENCY) {
    G_OBJECT_CLASS (gst_gemma_lm_parent_class)->get_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  g_value_set_uint (value, GST_GEMMA_LM (object)->translate_latency);
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
  element_class->request_new_pad = GST_DEBUG_FUNCPTR (gst_gemma_lm_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_gemma_lm_release_pad);
  base_class->work = gst_gemma_lm_work;
  base_class->text = gst_gemma_lm_text;
  base_class->hypothesis = gst_gemma_lm_hypothesis;
  base_class->end_texts = gst_gemma_lm_end_texts;

  gst_gemma_lm_base_class_add_sink_pads (base_class);
  g_object_class_install_property (object_class, PROP_TRANSLATE_LATENCY, g_param_spec_uint ("translate-latency",
          "Translation latency", "What translations may take longer than the transcript (ms)", 0, G_MAXUINT, 500, playing));

  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_add_static_pad_template_with_gtype (element_class, &translate_template, GST_TYPE_GEMMA_LM_TRANSLATE_PAD);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_LM_TRANSLATE_PAD, 0);
  gst_element_class_set_static_metadata (element_class, "Gemma language model", "Filter/Converter/Text",
      "Turns soft tokens of sound and pictures, or text, into text with a Gemma language model", "gst-gemma");
}

static void
gst_gemma_lm_init (GstGemmaLm *self)
{
  self->translate_latency = 500;
  gst_gemma_lm_inline_add_src_pad (GST_GEMMA_LM_INLINE (self), &src_template);
}
