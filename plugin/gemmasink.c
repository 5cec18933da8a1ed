/**
 * SECTION:element-gemmasink
 * @title: gemmasink
 *
 * What gemmalm does, ending here: text goes to the signal #GstGemmaSink::text, to element messages `gemma-text` (text,
 * timestamp, stream-time, running-time, duration) and to a caption file. It does not wait for the clock: text is
 * told as soon as it is known.
 *
 * With #GstGemmaSink:streaming `words`, each word is told for itself, with a time of its own (see gemmalm).
 *
 * ## Examples
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert ! audioresample !
 *     gemmaaudioenc voice-gate=true ! gemmasink location=-
 * ]| Speech to the terminal.
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert ! audioresample !
 *     gemmaaudioenc voice-gate=true ! gemmasink location=speech.srt
 * ]| Speech to a caption file.
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert ! audioresample !
 *     gemmaaudioenc voice-gate=true ! gemmasink streaming=words location=words.jsonl
 * ]| A line of JSON for each word, with its time.
 */
#include "gemmasink.h"

#include "debug.h"

enum
{
  PROP_LOCATION = GEMMA_LM_LAST_PROPERTY + 1,
  PROP_MPEGTS_OFFSET
};

enum
{
  SIGNAL_TEXT,
  N_SIGNALS
};

struct _GstGemmaSink
{
  GstGemmaLmBase parent;
  gchar *location;              /* object lock */
  gint64 mpegts_offset;         /* as well */
  GstGemmaCueWriter *writer;    /* the task's, while it runs */
  GstSegment segment;           /* the task's */

  gboolean playing;             /* these two: the base's lock */
  GstEvent *pending_eos;        /* told when PLAYING */
};

static guint signals[N_SIGNALS];

G_DEFINE_TYPE (GstGemmaSink, gst_gemma_sink, GST_TYPE_GEMMA_LM_BASE)
GST_ELEMENT_REGISTER_DEFINE (gemmasink, "gemmasink", GST_RANK_NONE, GST_TYPE_GEMMA_SINK)

/* ---- output ----------------------------------------------------------------------------------- */

/* @start, @end: in the segment, as are the times of words; @stream_time: of @start */
static gboolean
write_cue (GstGemmaSink *self, GstClockTime start, GstClockTime end, GstClockTime stream_time, const gchar *text, GError **error)
{
  const GArray *words = GST_GEMMA_LM_BASE (self)->words;
  g_autofree GstGemmaWord *list = g_new (GstGemmaWord, words->len);

  for (guint i = 0; i < words->len; i++) {
    const GemmaWord *word = &g_array_index (words, GemmaWord, i);
    list[i] = (GstGemmaWord) { stream_time + (word->start - start), stream_time + (word->end - start), word->text };
  }
  return gst_gemma_cue_writer_write_words (self->writer, stream_time, end - start, text, list, words->len, error);
}

static GstFlowReturn
gst_gemma_sink_text (GstGemmaLmBase *base, GstClockTime start, GstClockTime end, const gchar *text)
{
  GstGemmaSink *self = GST_GEMMA_SINK (base);
  GstClockTime stream_time = gst_segment_to_stream_time (&self->segment, GST_FORMAT_TIME, start);
  GstClockTime running_time = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, start);
  g_autoptr (GError) error = NULL;

  if (self->writer && !write_cue (self, start, end, GST_CLOCK_TIME_IS_VALID (stream_time) ? stream_time : 0, text, &error)) {
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE, ("%s", error->message), (NULL));
    return GST_FLOW_ERROR;
  }
  g_signal_emit (self, signals[SIGNAL_TEXT], 0, text, stream_time, end - start);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("gemma-text",
              "text", G_TYPE_STRING, text,
              "timestamp", G_TYPE_UINT64, start,
              "stream-time", G_TYPE_UINT64, stream_time,
              "running-time", G_TYPE_UINT64, running_time,
              "duration", G_TYPE_UINT64, end - start, NULL)));
  return GST_FLOW_OK;
}

static GstFlowReturn
gst_gemma_sink_silence (GstGemmaLmBase *base, GstClockTime start, GstClockTime end)
{
  return GST_FLOW_OK;
}

/* Consumes @event. */
static void
post_eos (GstGemmaSink *self, GstEvent *event)
{
  GstMessage *message = gst_message_new_eos (GST_OBJECT (self));

  gst_message_set_seqnum (message, gst_event_get_seqnum (event));
  gst_event_unref (event);
  gst_element_post_message (GST_ELEMENT (self), message);
}

static void
handle_eos (GstGemmaSink *self, GstEvent *event)
{
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (self);

  g_mutex_lock (&base->lock);
  if (!self->playing) {
    gst_event_replace (&self->pending_eos, event);
    g_clear_pointer (&event, gst_event_unref);
  }
  g_mutex_unlock (&base->lock);
  if (event)
    post_eos (self, event);
}

static void
post_stream_start (GstGemmaSink *self, GstEvent *event)
{
  GstMessage *message = gst_message_new_stream_start (GST_OBJECT (self));
  guint group;

  gst_message_set_seqnum (message, gst_event_get_seqnum (event));
  if (gst_event_parse_group_id (event, &group))
    gst_message_set_group_id (message, group);
  gst_element_post_message (GST_ELEMENT (self), message);
}

/* As every sink does: who plays a file is told what is known of it. */
static void
post_tags (GstGemmaSink *self, GstEvent *event)
{
  GstTagList *tags;

  gst_event_parse_tag (event, &tags);
  GstMessage *message = gst_message_new_tag (GST_OBJECT (self), gst_tag_list_copy (tags));
  gst_message_set_seqnum (message, gst_event_get_seqnum (event));
  gst_element_post_message (GST_ELEMENT (self), message);
}

static GstFlowReturn
gst_gemma_sink_event (GstGemmaLmBase *base, GstEvent *event)
{
  GstGemmaSink *self = GST_GEMMA_SINK (base);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_EOS:
      handle_eos (self, event);
      return GST_FLOW_OK;
    case GST_EVENT_STREAM_START:
      post_stream_start (self, event);
      break;
    case GST_EVENT_TAG:
      post_tags (self, event);
      break;
    case GST_EVENT_SEGMENT:
      gst_event_copy_segment (event, &self->segment);
      break;
    default:
      break;
  }
  gst_event_unref (event);
  return GST_FLOW_OK;
}

static void
gst_gemma_sink_flush (GstGemmaLmBase *base, GstEvent *event)
{
  GstGemmaSink *self = GST_GEMMA_SINK (base);

  g_mutex_lock (&base->lock);
  gst_event_replace (&self->pending_eos, NULL);
  g_mutex_unlock (&base->lock);
  gst_event_unref (event);
}

/* As a sink without preroll does, it takes nothing before PLAYING. */
static gboolean
gst_gemma_sink_admit (GstGemmaLmBase *base, GstGemmaLmPad *pad)
{
  GstGemmaSink *self = GST_GEMMA_SINK (base);

  g_mutex_lock (&base->lock);
  while (base->running && !base->flushing && pad->active && !self->playing)
    g_cond_wait (&base->cond, &base->lock);
  gboolean ok = base->running && !base->flushing && pad->active;
  g_mutex_unlock (&base->lock);
  return ok;
}

static gboolean
push_upstream (GstElement *element, GstPad *pad, gpointer data)
{
  gpointer *args = data;

  if (gst_pad_push_event (pad, gst_event_ref (args[0])))
    args[1] = pad;
  return TRUE;
}

/* As other sinks do: seeks of the application go to where the media come from. */
static gboolean
gst_gemma_sink_send_event (GstElement *element, GstEvent *event)
{
  gpointer args[] = { event, NULL };    /* and a pad whose source took it */

  if (!GST_EVENT_IS_UPSTREAM (event))
    return GST_ELEMENT_CLASS (gst_gemma_sink_parent_class)->send_event (element, event);
  gst_element_foreach_sink_pad (element, push_upstream, args);
  gst_event_unref (event);
  return args[1] != NULL;
}

/* ---- states ----------------------------------------------------------------------------------------- */

static gboolean
open_writer (GstGemmaSink *self)
{
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  g_autofree gchar *location = g_strdup (self->location);
  gint64 offset = self->mpegts_offset;
  GST_OBJECT_UNLOCK (self);
  if (!location || !*location)
    return TRUE;
  self->writer = offset < 0 ? gst_gemma_cue_writer_new (location, &error) :
      gst_gemma_cue_writer_new_mapped (location, offset, &error);
  if (!self->writer)
    GST_ELEMENT_ERROR (self, RESOURCE, OPEN_WRITE, ("%s", error->message), (NULL));
  GST_GEMMA_LM_BASE (self)->wants_words = self->writer && gst_gemma_cue_writer_takes_words (self->writer);
  return self->writer != NULL;
}

static void
set_playing (GstGemmaSink *self, gboolean playing)
{
  GstGemmaLmBase *base = GST_GEMMA_LM_BASE (self);
  GstEvent *eos = NULL;

  g_mutex_lock (&base->lock);
  self->playing = playing;
  if (playing)
    eos = g_steal_pointer (&self->pending_eos);
  g_cond_broadcast (&base->cond);
  g_mutex_unlock (&base->lock);
  if (eos)
    post_eos (self, eos);
}

static GstStateChangeReturn
gst_gemma_sink_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaSink *self = GST_GEMMA_SINK (element);
  GstStateChangeReturn ret;

  switch (transition) {
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      if (!open_writer (self))
        return GST_STATE_CHANGE_FAILURE;
      gst_segment_init (&self->segment, GST_FORMAT_TIME);
      break;
    case GST_STATE_CHANGE_PLAYING_TO_PAUSED:
      set_playing (self, FALSE);
      break;
    default:
      break;
  }

  ret = GST_ELEMENT_CLASS (gst_gemma_sink_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING && ret != GST_STATE_CHANGE_FAILURE) {
    set_playing (self, TRUE);
  } else if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED && ret == GST_STATE_CHANGE_FAILURE)) {
    g_clear_object (&self->writer);
    gst_event_replace (&self->pending_eos, NULL);
  }
  return ret;
}

/* ---- object -------------------------------------------------------------------------------------------- */

static void
gst_gemma_sink_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaSink *self = GST_GEMMA_SINK (object);

  if (id != PROP_LOCATION && id != PROP_MPEGTS_OFFSET) {
    G_OBJECT_CLASS (gst_gemma_sink_parent_class)->set_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == PROP_LOCATION) {
    g_free (self->location);
    self->location = g_value_dup_string (value);
  } else {
    self->mpegts_offset = g_value_get_int64 (value);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_sink_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaSink *self = GST_GEMMA_SINK (object);

  if (id != PROP_LOCATION && id != PROP_MPEGTS_OFFSET) {
    G_OBJECT_CLASS (gst_gemma_sink_parent_class)->get_property (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == PROP_LOCATION)
    g_value_set_string (value, self->location);
  else
    g_value_set_int64 (value, self->mpegts_offset);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_sink_finalize (GObject *object)
{
  g_free (GST_GEMMA_SINK (object)->location);
  G_OBJECT_CLASS (gst_gemma_sink_parent_class)->finalize (object);
}

static void
gst_gemma_sink_class_init (GstGemmaSinkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstGemmaLmBaseClass *base_class = GST_GEMMA_LM_BASE_CLASS (klass);

  object_class->set_property = gst_gemma_sink_set_property;
  object_class->get_property = gst_gemma_sink_get_property;
  object_class->finalize = gst_gemma_sink_finalize;
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_sink_change_state);
  element_class->send_event = GST_DEBUG_FUNCPTR (gst_gemma_sink_send_event);
  base_class->text = gst_gemma_sink_text;
  base_class->silence = gst_gemma_sink_silence;
  base_class->event = gst_gemma_sink_event;
  base_class->flush = gst_gemma_sink_flush;
  base_class->admit = gst_gemma_sink_admit;

  gst_gemma_lm_base_class_add_sink_pads (base_class);
  g_object_class_install_property (object_class, PROP_LOCATION, g_param_spec_string ("location", "Location",
          "Caption file to write, its format by extension: .txt, .srt, .vtt, .jsonl; \"-\" for lines on stdout", NULL,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (object_class, PROP_MPEGTS_OFFSET, g_param_spec_int64 ("mpegts-offset",
          "MPEG-TS offset", "MPEG-TS time of stream time 0, in 1/90000 s, for the X-TIMESTAMP-MAP of a .vtt file that HLS "
          "players are to show with MPEG-TS segments (-1: none; mpegtsmux begins at 324000000)", -1, (G_GINT64_CONSTANT (1) << 33) - 1, -1,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  /**
   * GstGemmaSink::text:
   * @sink: the element
   * @text: what was said
   * @stream_time: when it began, in stream time (ns)
   * @duration: how long it lasted (ns)
   *
   * A text is known. Called from the thread in which the model works.
   */
  signals[SIGNAL_TEXT] = g_signal_new ("text", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
      G_TYPE_NONE, 3, G_TYPE_STRING, G_TYPE_UINT64, G_TYPE_UINT64);

  gst_element_class_set_static_metadata (element_class, "Gemma language model sink", "Sink/Text",
      "Turns soft tokens of sound and pictures, or text, into text for the application, the terminal or a caption file",
      "gst-gemma");
}

static void
gst_gemma_sink_init (GstGemmaSink *self)
{
  GST_OBJECT_FLAG_SET (self, GST_ELEMENT_FLAG_SINK);
  self->mpegts_offset = -1;
  gst_segment_init (&self->segment, GST_FORMAT_TIME);
}
