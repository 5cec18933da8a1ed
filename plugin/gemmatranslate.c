/**
 * SECTION:element-gemmatranslate
 * @title: gemmatranslate
 *
 * Translates timed text with a Gemma language model: T5Gemma 2, Gemma 3, Gemma 3n. A translation has the PTS and
 * DURATION of its source; GAP events and all others pass in their order.
 *
 * With #GstGemmaTranslate:gather `across-cues`, the default, captions keep their number and their times, and a
 * sentence that goes on from one to the next is translated as a whole and laid out over the same captions again, in
 * proportion to its source, between words, rather where a sentence or clause ends. A caption waits for the next one
 * unless its text ends with a full stop, question or exclamation mark (after dots or a dash it depends on the next), is
 * in brackets, or ends with a note. The next belongs to it if it comes in less than
 * #GstGemmaTranslate:segment-silence, or, not live, in four times that if it begins with a small letter, unless it has
 * a dash, other markup, brackets, or a name in front of it ("ANNA:", ">>"). At most six captions, 400 characters and
 * #GstGemmaTranslate:max-segment belong together. Where six followed each other without a full stop, the text does
 * without (songs, Chinese, automatic captions), and every caption is taken for itself until there is one again. No
 * caption waits for the next one for longer than two thirds of #GstGemmaTranslate:latency on the clock, live or not, as
 * a video may wait for the text. A translation that has fewer words than there are captions stays for the rest of them.
 * With `cues` every buffer is translated for itself, at once.
 *
 * With `sentences`, words and phrases are gathered until one ends a sentence, until a pause of
 * #GstGemmaTranslate:segment-silence, until #GstGemmaTranslate:max-segment, and until the stream ends or breaks: EOS, a
 * new segment, DISCONT, `rstranscribe/final-transcript` and other events in the stream, but tags; so do captions. What
 * leaves has the time from the first word to the end of the last. Live, a sentence is not waited for longer than two
 * thirds of #GstGemmaTranslate:latency.
 *
 * A text that is too long for #GstGemmaTranslate:context-size or #GstGemmaTranslate:max-tokens is translated in parts, divided where
 * a sentence or clause ends. If the prompt leaves no room for a word, a warning says so and text stays as it is.
 *
 * Line breaks and markup: lines that belong to one sentence are translated together, and the translation is broken into
 * as many lines. Lines keep the markup that holds for all of them, and the dash that they begin with; what marks a
 * part of a line is dropped. What has no letters stays as it is, and so does what the model has no answer to.
 *
 * Up to #GstGemmaTranslate:history-size sentences before, with their translations, precede the text in the prompt. When
 * there are more, the older half goes at once, so that the prompt mostly begins as before: what repeats is not computed
 * again (`prompt-tokens` and `reused-tokens` of #GstGemmaTranslate:stats; T5Gemma 2 reads each prompt anew). A new
 * segment, a flush and another language begin without history. While a translation grows, element messages
 * `gemma-partial` (text, timestamp, duration, final) show it.
 *
 * A model with a chat template is asked to translate; a base model, which has none, goes on with lines ("English: Good
 * morning.", "Spanish: Buenos días.", and so on). #GstGemmaTranslate:prompt takes the place of the instruction, or of
 * the first pair of lines. A model whose file says that it wants no examples (`gemma.translation.examples`: the embedded
 * one) is given neither the first pair nor history.
 *
 * ## Examples
 * |[
 * gst-launch-1.0 filesrc location=en.srt ! subparse !
 *     gemmatranslate target-language=es ! srtenc ! filesink location=es.srt
 * ]| Captions in another language, with the same times, by the embedded model.
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! gemmatranscriber language-code=en !
 *     gemmatranslate model=t5gemma-2-1b-1b target-language=fr ! srtenc ! filesink location=fr.srt
 * ]| Speech to captions in another language.
 */
#include "gemmatranslate.h"

#include <string.h>

#include "cue-text.h"
#include "cues.h"
#include "debug.h"
#include "prose.h"
#include "sentences.h"

/* Part of the context that history may take; no token has less than a byte, and names and line breaks come on top. */
#define HISTORY_SHARE 2
#define BYTES_AROUND 32
/* A pause before a cue that begins with a small letter may be this many times as long, where nobody waits for it. */
#define LONG_PAUSE 4

typedef enum
{
  GEMMA_GATHER_CUES,
  GEMMA_GATHER_SENTENCES,
  GEMMA_GATHER_ACROSS_CUES
} GemmaGather;

enum
{
  PROP_GATHER = GEMMA_LM_INLINE_LAST_PROPERTY + 1,
  PROP_HISTORY_SIZE
};

struct _GstGemmaTranslate
{
  GstGemmaLmInline parent;

  GemmaGather gather;           /* these two: object lock */
  guint history_size;

  /* The task's. */
  GemmaSentences *sentences;    /* of the two, one gathers */
  GemmaCues *cues;
  gint64 arrived;               /* when the work in progress came: monotonic, as is the next */
  gint64 deadline;              /* of what is gathered; 0 if there is none */
  GArray *history;              /* of GemmaExample */
  gchar *from, *to;             /* its languages */
  gboolean markup;              /* of the text that comes in */
  GCancellable *cancellable;    /* of the work in progress; not owned */
  GstFlowReturn flow;           /* of what came of it */
  gboolean too_long, warned;    /* words of this text, and of the one before, were too long for the model */
  GstPadEventFunction pad_event;        /* the sink pad's own */
};

#define CAPS GST_STATIC_CAPS ("text/x-raw, format=(string){ utf8, pango-markup }")
static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, CAPS);
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, CAPS);

G_DEFINE_TYPE (GstGemmaTranslate, gst_gemma_translate, GST_TYPE_GEMMA_LM_INLINE)
GST_ELEMENT_REGISTER_DEFINE (gemmatranslate, "gemmatranslate", GST_RANK_NONE, GST_TYPE_GEMMA_TRANSLATE)

#define GST_TYPE_GEMMA_GATHER (gst_gemma_gather_get_type ())
static G_DEFINE_ENUM_TYPE (GstGemmaGather, gst_gemma_gather,
    { GEMMA_GATHER_CUES, "Each buffer is translated for itself, at once, and keeps its time", "cues" },
    { GEMMA_GATHER_SENTENCES, "Words and phrases are gathered into sentences", "sentences" },
    { GEMMA_GATHER_ACROSS_CUES, "Each buffer keeps its time; a sentence that goes on from one to the next is "
        "translated as a whole and laid out over them", "across-cues" })

/* ---- history ----------------------------------------------------------------------------- */

static void
clear_example (gpointer data)
{
  GemmaExample *example = data;

  g_free (example->source);
  g_free (example->translation);
}

static void
forget_history (GstGemmaTranslate *self)
{
  g_array_set_size (self->history, 0);
}

static gsize
count_bytes (const GArray *history)
{
  gsize n = 0;

  for (guint i = 0; i < history->len; i++) {
    const GemmaExample *example = &g_array_index (history, GemmaExample, i);
    n += BYTES_AROUND + strlen (example->source) + strlen (example->translation);
  }
  return n;
}

static void
remember (GstGemmaTranslate *self, const gchar *source, const gchar *translation)
{
  GemmaExample example = { g_strdup (source), g_strdup (translation) };
  gsize room = GST_GEMMA_LM_BASE (self)->decoding.context_size / HISTORY_SHARE;

  GST_OBJECT_LOCK (self);
  guint size = self->history_size;
  GST_OBJECT_UNLOCK (self);

  g_array_append_val (self->history, example);
  while (self->history->len > size || (self->history->len && count_bytes (self->history) > room))
    g_array_remove_range (self->history, 0, (self->history->len + 1) / 2);
}

/* Before a text: what is remembered is in these languages, and no more than is wanted. */
static void
check_history (GstGemmaTranslate *self)
{
  const GemmaLmSettings *settings = &GST_GEMMA_LM_BASE (self)->settings;

  GST_OBJECT_LOCK (self);
  gboolean other = g_strcmp0 (self->from, settings->source_language) != 0 ||
      g_strcmp0 (self->to, settings->target_language) != 0;
  if (other || self->history->len > self->history_size)
    forget_history (self);
  if (other) {
    g_free (self->from);
    g_free (self->to);
    self->from = g_strdup (settings->source_language);
    self->to = g_strdup (settings->target_language);
  }
  gboolean same = other && g_strcmp0 (self->from, self->to) == 0;
  GST_OBJECT_UNLOCK (self);
  if (same)
    GST_ELEMENT_WARNING (self, LIBRARY, SETTINGS,
        ("source-language and target-language are both \"%s\"", self->from), (NULL));
}

/* ---- translating, in the task -------------------------------------------------------------- */

/* NULL with the flow set; OK: it is too long for the model. */
static gchar *
ask (GstGemmaTranslate *self, GstClockTime start, GstClockTime end, const gchar *text)
{
  GemmaWork *work = gemma_work_new (GEMMA_WORK_TEXT, start, end);
  GemmaDecodeStats stats;

  check_history (self);
  work->text = g_strdup (text);
  work->divisible = TRUE;
  work->examples = self->history;
  gchar *translation = gst_gemma_lm_base_ask (GST_GEMMA_LM_BASE (self), work, NULL, self->cancellable, &stats,
      &self->flow);
  gemma_work_free (work);
  /* A model that has once repeated its text goes on doing so. */
  if (translation && *translation && strcmp (translation, text) != 0)
    remember (self, text, translation);
  else if (translation && !*translation)
    GST_INFO_OBJECT (self, "no translation of \"%s\"", text);
  return translation;
}

/* What is too long is translated in halves; from the first words that the model cannot take alone on, text stays as it is.
 * NULL with the flow set. */
static gchar *
translate (GstGemmaTranslate *self, GstClockTime start, GstClockTime end, const gchar *text)
{
  static const glong halves[] = { 1, 1 };
  gchar *translation = self->too_long ? NULL : ask (self, start, end, text);

  if (translation || self->flow != GST_FLOW_OK)
    return translation;
  g_auto (GStrv) parts = gemma_text_divide (text, halves, G_N_ELEMENTS (halves));
  if (self->too_long || g_strv_length (parts) < 2) {
    self->too_long = TRUE;
    return g_strdup (text);
  }
  g_autofree gchar *first = translate (self, start, end, parts[0]);
  g_autofree gchar *second = first ? translate (self, start, end, parts[1]) : NULL;
  if (!second)
    return NULL;
  const gchar *before = *first ? first : parts[0], *after = *second ? second : parts[1];
  return g_strconcat (before, gemma_text_needs_space (before, after) ? " " : "", after, NULL);
}

/* GemmaCuesFuncs: NULL with the flow set. */
static gchar *
on_translate (GstClockTime start, GstClockTime end, const gchar *text, gpointer data)
{
  GstGemmaTranslate *self = data;

  if (self->flow != GST_FLOW_OK)
    return NULL;
  self->too_long = FALSE;
  gchar *translation = translate (self, start, end, text);
  if (self->too_long && !self->warned)
    GST_ELEMENT_WARNING (self, STREAM, FORMAT, ("A text of %ld characters stays untranslated, all of it or in part: with its "
            "prompt it is too long; raise context-size and max-tokens, or shorten the prompt", g_utf8_strlen (text, -1)), (NULL));
  self->warned = self->too_long;
  return translation;
}

static void
on_cue (GstClockTime start, GstClockTime end, const gchar *text, gpointer data)
{
  GstGemmaTranslate *self = data;

  self->deadline = 0;           /* that of what follows begins with it, here and below */
  if (self->flow == GST_FLOW_OK)
    self->flow = GST_GEMMA_LM_BASE_GET_CLASS (self)->text (GST_GEMMA_LM_BASE (self), start, end, text);
}

static void
on_sentence (GstClockTime start, GstClockTime end, const gchar *text, gpointer data)
{
  GstGemmaTranslate *self = data;

  self->deadline = 0;
  gemma_cues_push (self->cues, start, end, text, self->markup);
  gemma_cues_drain (self->cues);
}

static void
on_gap (GstClockTime start, GstClockTime end, gpointer data)
{
  GstGemmaTranslate *self = data;

  if (self->flow == GST_FLOW_OK)
    self->flow = GST_GEMMA_LM_BASE_GET_CLASS (self)->silence (GST_GEMMA_LM_BASE (self), start, end);
}

/* ---- gathering, in the task ------------------------------------------------------------------- */

static void
drain (GstGemmaTranslate *self)
{
  gemma_sentences_drain (self->sentences);
  gemma_cues_drain (self->cues);
}

/* Takes up the settings; what is waited for is told at latest at the time that is set here. */
static GemmaGather
update_limits (GstGemmaTranslate *self)
{
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (self);
  gboolean live = gst_gemma_lm_base_is_live (base), cues = gemma_cues_are_pending (self->cues);

  GST_OBJECT_LOCK (self);
  GemmaGather gather = self->gather;
  guint pause = base->settings.segment_silence, longest = base->settings.max_segment, latency = base->settings.latency;
  GST_OBJECT_UNLOCK (self);

  guint wait = latency == G_MAXUINT ? longest : MIN (longest, latency / 3 * 2);      /* the rest is for the model */
  gemma_sentences_set_limits (self->sentences, pause * GST_MSECOND, (live ? wait : longest) * GST_MSECOND);
  gemma_cues_set_limits (self->cues, pause * GST_MSECOND, (live ? 1 : LONG_PAUSE) * pause * GST_MSECOND,
      longest * GST_MSECOND);
  if (!cues && !gemma_sentences_are_pending (self->sentences))
    self->deadline = 0;
  else if (!self->deadline)
    self->deadline = self->arrived + wait * G_TIME_SPAN_MILLISECOND;
  /* A video that waits for this cue may hold up the next one, even if it is from a file. */
  base->wake_at = live || cues ? self->deadline : 0;
  return gather;
}

static void
take_text (GstGemmaTranslate *self, const GemmaWork *work)
{
  GemmaGather gather = update_limits (self);

  if (work->discont)
    drain (self);
  if (gather != GEMMA_GATHER_SENTENCES) {
    gemma_sentences_drain (self->sentences);
    gemma_cues_push (self->cues, work->start, work->no_duration ? GST_CLOCK_TIME_NONE : work->end, work->text,
        self->markup);
    if (gather == GEMMA_GATHER_CUES)
      gemma_cues_drain (self->cues);
    return;
  }
  gemma_cues_drain (self->cues);
  g_autoptr (GemmaCueText) cue = gemma_cue_text_new (work->text, self->markup);
  g_autofree gchar *plain = g_strstrip (gemma_cue_text_get_plain (cue));
  if (*plain)
    gemma_sentences_push (self->sentences, work->start, work->end, work->text, plain);
  else
    gemma_sentences_push_gap (self->sentences, work->start, work->end);
}

/* FALSE: it goes on as it is. */
static gboolean
take_gap (GstGemmaTranslate *self, GstEvent *event)
{
  GstClockTime start, duration;

  gst_event_parse_gap (event, &start, &duration);
  if (!GST_CLOCK_TIME_IS_VALID (start) || !GST_CLOCK_TIME_IS_VALID (duration)) {
    drain (self);
    return FALSE;
  }
  update_limits (self);
  if (gemma_cues_are_pending (self->cues))
    gemma_cues_push_gap (self->cues, start, start + duration);
  else
    gemma_sentences_push_gap (self->sentences, start, start + duration);
  return TRUE;
}

static void
take_event (GstGemmaTranslate *self, GstEvent *event)
{
  const gchar *format;
  GstCaps *caps;

  if (GST_EVENT_TYPE (event) != GST_EVENT_TAG)
    drain (self);
  if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT) {
    forget_history (self);
  } else if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS) {
    gst_event_parse_caps (event, &caps);
    format = gst_structure_get_string (gst_caps_get_structure (caps, 0), "format");
    self->markup = g_strcmp0 (format, "pango-markup") == 0;
  }
}

static GstFlowReturn
gst_gemma_translate_work (GstGemmaLmBase *base, GemmaWork *work, GCancellable *cancellable)
{
  GstGemmaTranslate *self = GST_GEMMA_TRANSLATE (base);
  gboolean passes = FALSE;

  self->cancellable = cancellable;
  self->flow = GST_FLOW_OK;
  self->arrived = work->arrived;
  if (work->kind == GEMMA_WORK_TEXT) {
    take_text (self, work);
  } else if (GST_EVENT_TYPE (work->event) == GST_EVENT_GAP) {
    passes = !take_gap (self, work->event);
  } else {
    take_event (self, work->event);
    passes = TRUE;
  }
  update_limits (self);
  if (!passes)
    return self->flow;
  GstFlowReturn passed = GST_GEMMA_LM_BASE_CLASS (gst_gemma_translate_parent_class)->work (base, work, cancellable);
  return self->flow == GST_FLOW_OK ? passed : self->flow;
}

/* Nothing came for too long. */
static GstFlowReturn
gst_gemma_translate_wake (GstGemmaLmBase *base, GCancellable *cancellable)
{
  GstGemmaTranslate *self = GST_GEMMA_TRANSLATE (base);

  self->cancellable = cancellable;
  self->flow = GST_FLOW_OK;
  drain (self);
  return self->flow;
}

static void
gst_gemma_translate_forget (GstGemmaLmBase *base)
{
  GstGemmaTranslate *self = GST_GEMMA_TRANSLATE (base);

  gemma_sentences_reset (self->sentences);
  gemma_cues_reset (self->cues);
  self->deadline = 0;
  forget_history (self);
}

/* ---- the sink pad ---------------------------------------------------------------------------------- */

/* Unlike with sound, what text is, and time without any, belongs into the order of what leaves. */
static gboolean
gst_gemma_translate_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaTranslate *self = GST_GEMMA_TRANSLATE (parent);
  GstClockTime start, duration;
  GemmaWork *work;

  if (GST_EVENT_TYPE (event) == GST_EVENT_GAP) {
    gst_event_parse_gap (event, &start, &duration);
    GST_GEMMA_LM_PAD (pad)->position = GST_CLOCK_TIME_IS_VALID (duration) ? start + duration : start;
  } else if (GST_EVENT_TYPE (event) != GST_EVENT_CAPS) {
    return self->pad_event (pad, parent, event);
  }
  work = gemma_work_new (GEMMA_WORK_EVENT, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);
  work->event = event;
  return gst_gemma_lm_base_queue (GST_GEMMA_LM_BASE (self), GST_GEMMA_LM_PAD (pad), work) == GST_FLOW_OK;
}

/* ---- object ----------------------------------------------------------------------------------------- */

static void
gst_gemma_translate_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaTranslate *self = GST_GEMMA_TRANSLATE (object);

  if (id < PROP_GATHER) {
    G_OBJECT_CLASS (gst_gemma_translate_parent_class)->set_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == PROP_GATHER)
    self->gather = g_value_get_enum (value);
  else if (id == PROP_HISTORY_SIZE)
    self->history_size = g_value_get_uint (value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_translate_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaTranslate *self = GST_GEMMA_TRANSLATE (object);

  if (id < PROP_GATHER) {
    G_OBJECT_CLASS (gst_gemma_translate_parent_class)->get_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == PROP_GATHER)
    g_value_set_enum (value, self->gather);
  else if (id == PROP_HISTORY_SIZE)
    g_value_set_uint (value, self->history_size);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_translate_finalize (GObject *object)
{
  GstGemmaTranslate *self = GST_GEMMA_TRANSLATE (object);

  gemma_sentences_free (self->sentences);
  gemma_cues_free (self->cues);
  g_array_unref (self->history);
  g_free (self->from);
  g_free (self->to);
  G_OBJECT_CLASS (gst_gemma_translate_parent_class)->finalize (object);
}

/* What those of the base class mean for text. */
static void
describe_properties (GObjectClass *klass, GParamFlags flags)
{
  g_object_class_install_property (klass, GEMMA_LM_PROP_MODEL, g_param_spec_string ("model", "Model",
          "A .gguf file or a Hugging Face directory (unset: $GEMMA_DEFAULT_TRANSLATOR, else the embedded translator)", NULL,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, GEMMA_LM_PROP_PROMPT, g_param_spec_string ("prompt", "Prompt",
          "What the prompt begins with, instead of an instruction to translate, or, of a base model, of a pair of lines "
          "as an example; with {text} in the place of the text it is all of the prompt, without history", NULL, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_STOP, g_param_spec_string ("stop", "Stop",
          "Characters that end a translation and are left out of it (default: a line break of a base model)", NULL,
          flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_SOURCE_LANGUAGE, g_param_spec_string ("source-language",
          "Source language", "Language of the text that comes in, a BCP 47 code (\"es\", \"pt-BR\") or a name", "en",
          flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_TARGET_LANGUAGE, g_param_spec_string ("target-language",
          "Target language", "Language of the text that leaves, a BCP 47 code or a name", "en", flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_MAX_TOKENS, g_param_spec_uint ("max-tokens", "Maximum tokens",
          "Tokens of one translation at most; it is also limited by the length of its source", 1, G_MAXINT, 256,
          flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_CONTEXT_SIZE, g_param_spec_uint ("context-size", "Context size",
          "Tokens of prompt and translation together at most (0: 2048, at most the model's)", 0, 1 << 20, 0, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_SEGMENT_SILENCE, g_param_spec_uint ("segment-silence",
          "Segment silence", "Gathering, a pause this long ends a sentence (ms); four times as long in front of a cue "
          "that begins with a small letter, unless live", 160, 10000, 480, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_MAX_SEGMENT, g_param_spec_uint ("max-segment",
          "Longest segment", "Gathering, a sentence is cut at this length (ms)", 1000, 30000, 30000, flags));
}

static void
gst_gemma_translate_class_init (GstGemmaTranslateClass *klass)
{
  const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstGemmaLmBaseClass *base_class = GST_GEMMA_LM_BASE_CLASS (klass);

  object_class->set_property = gst_gemma_translate_set_property;
  object_class->get_property = gst_gemma_translate_get_property;
  object_class->finalize = gst_gemma_translate_finalize;
  base_class->work = gst_gemma_translate_work;
  base_class->wake = gst_gemma_translate_wake;
  base_class->forget = gst_gemma_translate_forget;

  describe_properties (object_class, playing);
  g_object_class_install_property (object_class, PROP_GATHER, g_param_spec_enum ("gather", "Gather",
          "What is translated as one: a sentence in several cues, which keep their number and times, each cue, or words "
          "that become a sentence", GST_TYPE_GEMMA_GATHER, GEMMA_GATHER_ACROSS_CUES, playing));
  g_object_class_install_property (object_class, PROP_HISTORY_SIZE, g_param_spec_uint ("history-size", "History size",
          "How many sentences before, with their translations, the model is shown at most", 0, 64, 4, playing));
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_GATHER, 0);

  gst_element_class_add_static_pad_template_with_gtype (element_class, &sink_template, GST_TYPE_GEMMA_LM_PAD);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Gemma translator", "Filter/Converter/Text",
      "Translates timed text with a Gemma language model (T5Gemma 2, Gemma 3, Gemma 3n)", "gst-gemma");
}

static void
gst_gemma_translate_init (GstGemmaTranslate *self)
{
  static const GemmaSentencesFuncs funcs = { on_sentence, on_gap };
  static const GemmaCuesFuncs cues_funcs = { on_translate, on_cue, on_gap };
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (self);
  GstPadTemplate *templ = gst_element_class_get_pad_template (GST_ELEMENT_GET_CLASS (self), "sink");
  GstPad *sinkpad = gst_gemma_lm_pad_new (base, templ, "sink", GEMMA_LM_PAD_TEXT);

  base->user.unnamed = &gemma_default_translator;
  base->settings.task = GEMMA_TASK_TRANSLATE;
  self->history_size = 4;
  self->gather = GEMMA_GATHER_ACROSS_CUES;
  self->sentences = gemma_sentences_new (&funcs, self);
  self->cues = gemma_cues_new (&cues_funcs, self);
  self->history = g_array_new (FALSE, FALSE, sizeof (GemmaExample));
  g_array_set_clear_func (self->history, clear_example);

  self->pad_event = GST_PAD_EVENTFUNC (sinkpad);
  gst_pad_set_event_function (sinkpad, GST_DEBUG_FUNCPTR (gst_gemma_translate_sink_event));
  GST_PAD_SET_PROXY_CAPS (sinkpad);
  gst_element_add_pad (GST_ELEMENT (self), sinkpad);
  gst_gemma_lm_inline_add_src_pad (GST_GEMMA_LM_INLINE (self), &src_template);
  GST_PAD_SET_PROXY_CAPS (GST_GEMMA_LM_INLINE (self)->srcpad);
}
