/**
 * SECTION:element-gemmaaudioenc
 * @title: gemmaaudioenc
 *
 * Turns sound into soft tokens with Gemma 3n's audio encoder (USM), for gemmalm or gemmasink. One buffer is one token
 * of 160 ms. However the sound is cut into buffers, the tokens are the same. Live, a token leaves as soon as the
 * encoder has heard enough of it. Where nothing is live, up to a second of sound is gathered before it is encoded, as
 * many tokens at once cost little more than one.
 *
 * Buffers that hold nothing loud carry %GST_BUFFER_FLAG_GAP, and metadata `GemmaLevels` tells how loud each 20 ms are, which
 * the times of words profit from. With #GstGemmaAudioEnc:voice-gate silence is not encoded at
 * all: GAP events stand for it, and each stretch of speech is a clip of its own, whose first token carries
 * %GST_BUFFER_FLAG_DISCONT. A GAP event of no duration says that a clip has ended, and where: that may be before the end of
 * its last token, which left by then. What follows begins at the token's end; of a shorter silence such an event is left.
 *
 * Music (and singing, perhaps) is silence to the gate, unless #GstGemmaAudioEnc:music-gate is off. Every sound opens the gate
 * at once; what has been music for some three seconds closes it until something like speech is heard: at once if it
 * is louder than the music, else within 2.5 seconds, which are kept for it. GAP events lag behind as much while music plays.
 * A clip that has been nothing but music is taken back: a custom event, `gemma-clip-dropped`, tells gemmalm to forget it.
 *
 * Where buffers leave out a stretch of time, as after a queue that leaked, an element message `gemma-sound-missing` (timestamp,
 * duration) says so, and a GAP event stands for it.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert ! audioresample !
 *     gemmaaudioenc voice-gate=true ! gemmasink location=-
 * ]|
 */
#include "gemmaaudioenc.h"

#include <gst/audio/audio.h>
#include <string.h>

#include "clips.h"
#include "debug.h"
#include "model-user.h"
#include "stream.h"

#define RATE GEMMA_CLIPS_RATE
/* Samples encoded at once, and gathered for it when not live: between slices a flush is noticed. */
#define SLICE RATE
#define TOLERANCE (40 * GST_MSECOND)    /* timestamps may be this far off before the clip is restarted */
#define MAX_ZEROS (2 * GST_SECOND)      /* a GAP event up to this long is encoded as silence; a longer one ends the clip */
/* A token leaves 92 ms into its 160; the gate holds an onset back for 80 ms and its pre-roll for 240. */
#define LATENCY (100 * GST_MSECOND)
#define GATE_LATENCY (320 * GST_MSECOND)

enum
{
  PROP_0,
  PROP_MODEL,
  PROP_ACTIVATIONS = PROP_MODEL + GEMMA_MODEL_USER_N_PROPERTIES,
  PROP_WEIGHTS,
  PROP_VOICE_GATE,
  PROP_MUSIC_GATE,
  PROP_STATS
};

struct _GstGemmaAudioEnc
{
  GstElement parent;
  GstPad *sinkpad, *srcpad;
  GemmaModelUser user;
  gboolean voice_gate, music_gate; /* properties; object lock */

  /* The streaming thread's. */
  GstSegment segment;
  GemmaModel *model;
  GemmaClips *clips;
  GstClockTime base;            /* time of sample 0; none: no sound yet */
  GstClockTime told;            /* where ends what left last of the same sound */
  GArray *gathered;             /* gfloat: sound that is not encoded yet, less than a SLICE; none while live */
  GstFlowReturn flow;           /* of what was pushed for the current input */

  gint flushing, live;          /* atomic; live is -1 where it is not known yet */
  guint64 n_samples, n_tokens, n_clips, n_music; /* stats; object lock */
  gint64 busy;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("audio/x-raw, format=(string)F32LE, rate=(int)16000, channels=(int)1, layout=(string)interleaved"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS (GST_GEMMA_SOFT_TOKEN_CAPS));

G_DEFINE_TYPE (GstGemmaAudioEnc, gst_gemma_audio_enc, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (gemmaaudioenc, "gemmaaudioenc", GST_RANK_NONE, GST_TYPE_GEMMA_AUDIO_ENC)

/* ---- what comes out -------------------------------------------------------------------- */

static GstClockTime
to_time (GstGemmaAudioEnc *self, gint64 sample)
{
  return self->base + gst_util_uint64_scale (sample, GST_SECOND, RATE);
}

/* A token leaves before its end is heard, and may last longer than its clip did: what follows begins where it ends. */
static GstClockTime
begin_at (GstGemmaAudioEnc *self, GstClockTime start, GstClockTime end)
{
  if (start < self->told && self->told - start < GST_GEMMA_AUDIO_TOKEN_DURATION)        /* else time has gone back */
    start = self->told;
  self->told = MAX (start, end);
  return start;
}

/* One of no duration tells when something ends exactly. */
static void
push_gap (GstGemmaAudioEnc *self, GstClockTime start, GstClockTime end)
{
  if (start < end)
    start = begin_at (self, start, end);
  start = MIN (start, end);
  gst_pad_push_event (self->srcpad, gst_event_new_gap (start, end - start));
}

static void
on_token (gint64 first, gint64 end, gboolean quiet, const guint8 *levels, gboolean begins, const gfloat *row,
    gpointer data)
{
  GstGemmaAudioEnc *self = data;

  if (self->flow != GST_FLOW_OK)
    return;

  GstBuffer *buffer = gst_buffer_new_memdup (row, self->user.config->text.hidden * sizeof (gfloat));
  GST_BUFFER_PTS (buffer) = begin_at (self, to_time (self, first), to_time (self, end));
  GST_BUFFER_DURATION (buffer) = self->told - GST_BUFFER_PTS (buffer);
  if (quiet)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
  if (begins)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gemma_stream_add_levels (buffer, levels);

  GST_OBJECT_LOCK (self);
  self->n_tokens++;
  self->n_clips += begins;
  GST_OBJECT_UNLOCK (self);
  self->flow = gst_pad_push (self->srcpad, buffer);
}

static void
on_silence (gint64 first, gint64 end, gpointer data)
{
  GstGemmaAudioEnc *self = data;

  if (self->flow == GST_FLOW_OK)
    push_gap (self, to_time (self, first), to_time (self, end));
}

static void
on_dropped (gint64 first, gint64 end, gpointer data)
{
  GstGemmaAudioEnc *self = data;

  GST_DEBUG_OBJECT (self, "music from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT, GST_TIME_ARGS (to_time (self, first)),
      GST_TIME_ARGS (to_time (self, end)));
  GST_OBJECT_LOCK (self);
  self->n_clips--;
  GST_OBJECT_UNLOCK (self);
  if (self->flow == GST_FLOW_OK)
    gst_pad_push_event (self->srcpad, gemma_stream_new_dropped ());
}

/* ---- encoding --------------------------------------------------------------------------- */

static GstFlowReturn
fail (GstGemmaAudioEnc *self, GError *error)
{
  gemma_post_error (GST_ELEMENT (self), error);
  g_error_free (error);
  return GST_FLOW_ERROR;
}

/* Waits for the model at the first sound. */
static GstFlowReturn
ensure_clips (GstGemmaAudioEnc *self)
{
  static const GemmaClipsFuncs funcs = { on_token, on_silence, on_dropped };
  GstFlowReturn flow = GST_FLOW_OK;
  GError *error = NULL;

  if (self->clips)
    return GST_FLOW_OK;
  if (!self->model && !(self->model = gemma_model_user_wait (&self->user, &flow)))
    return flow;
  GemmaUsmStream *stream = gemma_usm_stream_new (gemma_model_get_usm (self->model), &error);
  if (!stream)
    return fail (self, error);

  GST_OBJECT_LOCK (self);
  gboolean gated = self->voice_gate, music = self->music_gate;
  GST_OBJECT_UNLOCK (self);
  self->clips = gemma_clips_new (stream, self->user.config->text.hidden, gated, music, &funcs, self);
  return GST_FLOW_OK;
}

static void
forget (GstGemmaAudioEnc *self)
{
  if (self->clips)
    gemma_clips_reset (self->clips);
  g_array_set_size (self->gathered, 0);
  self->base = GST_CLOCK_TIME_NONE;
  self->told = 0;
  self->flow = GST_FLOW_OK;
}

/* @samples: NULL for silence */
static GstFlowReturn
encode (GstGemmaAudioEnc *self, const gfloat *samples, gsize n)
{
  static const gfloat zeros[SLICE];
  GError *error = NULL;

  self->flow = GST_FLOW_OK;
  while (n && self->flow == GST_FLOW_OK) {
    gsize m = MIN (n, SLICE);
    gint64 before = g_get_monotonic_time ();
    if (g_atomic_int_get (&self->flushing))
      return GST_FLOW_FLUSHING;
    if (!gemma_clips_push (self->clips, samples ? samples : zeros, m, &error))
      return fail (self, error);
    if (samples)
      samples += m;
    n -= m;

    GST_OBJECT_LOCK (self);
    self->n_samples += m;
    self->n_music += gemma_clips_take_music (self->clips);
    self->busy += g_get_monotonic_time () - before;
    GST_OBJECT_UNLOCK (self);
  }
  return self->flow;
}

static GstFlowReturn
encode_gathered (GstGemmaAudioEnc *self)
{
  gsize n = self->gathered->len;

  g_array_set_size (self->gathered, 0); /* the samples stay until others come */
  return encode (self, (const gfloat *) self->gathered->data, n);
}

/* As encode(), but when nothing is live in whole slices: each call reads all weights, for however many tokens. */
static GstFlowReturn
gather (GstGemmaAudioEnc *self, const gfloat *samples, gsize n)
{
  gboolean live = gemma_stream_is_live (self->sinkpad, &self->live, TRUE);
  GstFlowReturn flow = live ? encode_gathered (self) : GST_FLOW_OK;

  if (live)
    return flow == GST_FLOW_OK ? encode (self, samples, n) : flow;
  while (n && flow == GST_FLOW_OK) {
    guint at = self->gathered->len;
    gsize m = MIN (n, SLICE - at);
    g_array_set_size (self->gathered, at + m);
    gfloat *to = &g_array_index (self->gathered, gfloat, at);
    if (samples) {
      memcpy (to, samples, m * sizeof (gfloat));
      samples += m;
    } else {
      memset (to, 0, m * sizeof (gfloat));
    }
    n -= m;
    if (self->gathered->len == SLICE)
      flow = encode_gathered (self);
  }
  return flow;
}

/* Ends the clip: what is gathered and what waits in the encoder leaves, the next sound begins anew. */
static GstFlowReturn
drain (GstGemmaAudioEnc *self)
{
  GError *error = NULL;

  self->flow = GST_FLOW_OK;
  if (self->clips && GST_CLOCK_TIME_IS_VALID (self->base)) {
    if (encode_gathered (self) != GST_FLOW_OK)
      gemma_clips_reset (self->clips);
    else if (!gemma_clips_drain (self->clips, &error))
      self->flow = fail (self, error);
  }
  self->base = GST_CLOCK_TIME_NONE;
  return self->flow;
}

static void
post_missing (GstGemmaAudioEnc *self, GstClockTime start, GstClockTime end)
{
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("gemma-sound-missing",
              "timestamp", G_TYPE_UINT64, start,
              "duration", G_TYPE_UINT64, end - start, NULL)));
}

/* Makes @pts the time of the next sample: goes on, or ends the clip and begins another. */
static GstFlowReturn
synchronize (GstGemmaAudioEnc *self, GstClockTime pts, gboolean discont)
{
  GstFlowReturn flow = GST_FLOW_OK;
  GstClockTime expected = GST_CLOCK_TIME_NONE;

  if (GST_CLOCK_TIME_IS_VALID (self->base)) {
    expected = to_time (self, gemma_clips_get_position (self->clips) + self->gathered->len);
    if (!GST_CLOCK_TIME_IS_VALID (pts))
      pts = expected;
    if (!discont && ABS (GST_CLOCK_DIFF (expected, pts)) <= TOLERANCE)
      return GST_FLOW_OK;
    GST_DEBUG_OBJECT (self, "sound continues at %" GST_TIME_FORMAT " instead of %" GST_TIME_FORMAT, GST_TIME_ARGS (pts),
        GST_TIME_ARGS (expected));
    flow = drain (self);
    if (pts > expected + TOLERANCE)
      post_missing (self, expected, pts);
    if (flow == GST_FLOW_OK && pts > expected)
      push_gap (self, expected, pts);
    self->told = 0;             /* from here on times are those of the new sound */
  }
  self->base = GST_CLOCK_TIME_IS_VALID (pts) ? pts : self->segment.start;
  return flow;
}

static GstFlowReturn
gather_buffer (GstGemmaAudioEnc *self, GstBuffer *buffer)
{
  GstFlowReturn flow;
  GstMapInfo map;

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))
    return gather (self, NULL, gst_buffer_get_size (buffer) / sizeof (gfloat));

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self, STREAM, FAILED, ("A buffer of sound cannot be read"), (NULL));
    return GST_FLOW_ERROR;
  }
  if ((guintptr) map.data % sizeof (gfloat)) {
    g_autofree gfloat *copy = g_memdup2 (map.data, map.size);
    flow = gather (self, copy, map.size / sizeof (gfloat));
  } else {
    flow = gather (self, (const gfloat *) map.data, map.size / sizeof (gfloat));
  }
  gst_buffer_unmap (buffer, &map);
  return flow;
}

static GstFlowReturn
gst_gemma_audio_enc_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstGemmaAudioEnc *self = GST_GEMMA_AUDIO_ENC (parent);
  GstFlowReturn flow;

  if (!gst_pad_has_current_caps (self->srcpad)) {
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (self->segment.format == GST_FORMAT_TIME)
    buffer = gst_audio_buffer_clip (buffer, &self->segment, RATE, sizeof (gfloat));
  if (!buffer)
    return GST_FLOW_OK;

  flow = ensure_clips (self);
  if (flow == GST_FLOW_OK)
    flow = synchronize (self, GST_BUFFER_PTS (buffer), GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
  if (flow == GST_FLOW_OK)
    flow = gather_buffer (self, buffer);
  gst_buffer_unref (buffer);
  return flow;
}

/* ---- events -------------------------------------------------------------------------------- */

static gboolean
set_caps (GstGemmaAudioEnc *self)
{
  g_autoptr (GstCaps) caps = gst_gemma_soft_token_caps_new (self->user.config->text.hidden, 1, 25, 4);

  return gst_pad_push_event (self->srcpad, gst_event_new_caps (caps));
}

static gboolean
handle_gap (GstGemmaAudioEnc *self, GstEvent *event)
{
  GstClockTime start, duration;

  gst_event_parse_gap (event, &start, &duration);
  if (!GST_CLOCK_TIME_IS_VALID (duration) || !gst_pad_has_current_caps (self->srcpad)) {
    drain (self);
    return gst_pad_push_event (self->srcpad, event);
  }
  gst_event_unref (event);
  if (duration > MAX_ZEROS) {
    drain (self);
    push_gap (self, start, start + duration);
    return TRUE;
  }
  if (ensure_clips (self) != GST_FLOW_OK || synchronize (self, start, FALSE) != GST_FLOW_OK)
    return FALSE;
  return gather (self, NULL, gst_util_uint64_scale (duration, RATE, GST_SECOND)) == GST_FLOW_OK;
}

static void
end_stream (GstGemmaAudioEnc *self)
{
  gboolean gathered = self->gathered->len > 0;
  GstFlowReturn flow = drain (self);

  /* No buffer will take the result upstream any more. */
  if (gathered && (flow == GST_FLOW_NOT_LINKED || flow == GST_FLOW_NOT_NEGOTIATED))
    GST_ELEMENT_FLOW_ERROR (self, flow);
}

static void
set_flushing (GstGemmaAudioEnc *self, gboolean flushing)
{
  g_atomic_int_set (&self->flushing, flushing);
  gemma_model_user_set_flushing (&self->user, flushing);
}

static gboolean
gst_gemma_audio_enc_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaAudioEnc *self = GST_GEMMA_AUDIO_ENC (parent);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      drain (self);
      gst_event_unref (event);
      return set_caps (self);
    case GST_EVENT_SEGMENT:
      drain (self);
      self->told = 0;
      g_atomic_int_set (&self->live, -1);
      if (gemma_stream_take_segment (GST_ELEMENT (self), event, &self->segment, "Sound"))
        break;
      gst_event_unref (event);
      return FALSE;
    case GST_EVENT_GAP:
      return handle_gap (self, event);
    case GST_EVENT_EOS:
      end_stream (self);
      break;
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT_DONE:
      drain (self);
      break;
    case GST_EVENT_FLUSH_START:
      set_flushing (self, TRUE);
      break;
    case GST_EVENT_FLUSH_STOP:
      forget (self);
      gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
      set_flushing (self, FALSE);
      break;
    default:
      if (GST_EVENT_IS_SERIALIZED (event))
        encode_gathered (self);
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
gst_gemma_audio_enc_src_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_LATENCY || GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE)
    g_atomic_int_set (&GST_GEMMA_AUDIO_ENC (parent)->live, -1);
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
gst_gemma_audio_enc_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstGemmaAudioEnc *self = GST_GEMMA_AUDIO_ENC (parent);

  if (GST_PAD_IS_SINK (pad) && GST_QUERY_IS_SERIALIZED (query))
    encode_gathered (self);
  GST_OBJECT_LOCK (self);
  GstClockTime own = LATENCY + (self->voice_gate ? GATE_LATENCY : 0);
  GST_OBJECT_UNLOCK (self);
  return gemma_stream_query (pad, parent, query, self->sinkpad, own);
}

/* ---- element ---------------------------------------------------------------------------------- */

static GstStateChangeReturn
gst_gemma_audio_enc_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaAudioEnc *self = GST_GEMMA_AUDIO_ENC (element);
  GstStateChangeReturn ret;

  switch (transition) {
    case GST_STATE_CHANGE_NULL_TO_READY:
      if (!gemma_model_user_open (&self->user, NULL))
        return GST_STATE_CHANGE_FAILURE;
      break;
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      forget (self);
      gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
      GST_OBJECT_LOCK (self);
      self->n_samples = self->n_tokens = self->n_clips = self->n_music = self->busy = 0;
      GST_OBJECT_UNLOCK (self);
      g_atomic_int_set (&self->live, -1);
      set_flushing (self, FALSE);
      break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      set_flushing (self, TRUE);
      break;
    default:
      break;
  }

  ret = GST_ELEMENT_CLASS (gst_gemma_audio_enc_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    g_clear_pointer (&self->clips, gemma_clips_free);
    g_clear_pointer (&self->model, gemma_model_unref);
  } else if (transition == GST_STATE_CHANGE_READY_TO_NULL) {
    gemma_model_user_close (&self->user);
  }
  return ret;
}

static GstStructure *
make_stats (GstGemmaAudioEnc *self)
{
  GST_OBJECT_LOCK (self);
  GstStructure *stats = gst_structure_new ("application/x-gemma-audio-stats",
      "samples", G_TYPE_UINT64, self->n_samples,
      "tokens", G_TYPE_UINT64, self->n_tokens,
      "clips", G_TYPE_UINT64, self->n_clips,
      "music-samples", G_TYPE_UINT64, self->n_music,
      "encode-seconds", G_TYPE_DOUBLE, self->busy / (gdouble) G_USEC_PER_SEC, NULL);
  GST_OBJECT_UNLOCK (self);
  gemma_model_user_add_stats (&self->user, stats);
  return stats;
}

static void
gst_gemma_audio_enc_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaAudioEnc *self = GST_GEMMA_AUDIO_ENC (object);

  switch (id) {
    case PROP_VOICE_GATE:
      GST_OBJECT_LOCK (self);
      self->voice_gate = g_value_get_boolean (value);
      GST_OBJECT_UNLOCK (self);
      break;
    case PROP_MUSIC_GATE:
      GST_OBJECT_LOCK (self);
      self->music_gate = g_value_get_boolean (value);
      GST_OBJECT_UNLOCK (self);
      break;
    default:
      if (id <= PROP_WEIGHTS)
        gemma_model_user_set_property (&self->user, pspec, value);
      else
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_gemma_audio_enc_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaAudioEnc *self = GST_GEMMA_AUDIO_ENC (object);

  switch (id) {
    case PROP_VOICE_GATE:
      GST_OBJECT_LOCK (self);
      g_value_set_boolean (value, self->voice_gate);
      GST_OBJECT_UNLOCK (self);
      break;
    case PROP_MUSIC_GATE:
      GST_OBJECT_LOCK (self);
      g_value_set_boolean (value, self->music_gate);
      GST_OBJECT_UNLOCK (self);
      break;
    case PROP_STATS:
      g_value_take_boxed (value, make_stats (self));
      break;
    default:
      if (id <= PROP_WEIGHTS)
        gemma_model_user_get_property (&self->user, pspec, value);
      else
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_gemma_audio_enc_finalize (GObject *object)
{
  g_array_unref (GST_GEMMA_AUDIO_ENC (object)->gathered);
  gemma_model_user_clear (&GST_GEMMA_AUDIO_ENC (object)->user);
  G_OBJECT_CLASS (gst_gemma_audio_enc_parent_class)->finalize (object);
}

static void
gst_gemma_audio_enc_class_init (GstGemmaAudioEncClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  object_class->set_property = gst_gemma_audio_enc_set_property;
  object_class->get_property = gst_gemma_audio_enc_get_property;
  object_class->finalize = gst_gemma_audio_enc_finalize;
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_audio_enc_change_state);

  gemma_model_user_install_properties (object_class, PROP_MODEL);
  gemma_model_user_install_encoder (object_class, PROP_ACTIVATIONS);
  g_object_class_install_property (object_class, PROP_VOICE_GATE, g_param_spec_boolean ("voice-gate", "Voice gate",
          "Encode only stretches in which somebody may be speaking, each as a clip of its own; GAP events for the rest",
          FALSE, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (object_class, PROP_MUSIC_GATE, g_param_spec_boolean ("music-gate", "Music gate",
          "With voice-gate: music is silence, too, once it has played for some seconds, until somebody speaks",
          TRUE, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (object_class, PROP_STATS, g_param_spec_boxed ("stats", "Statistics",
          "samples, tokens, clips, music-samples, encode-seconds, model-loaded, device, device-bytes, mapped-bytes", GST_TYPE_STRUCTURE,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Gemma audio encoder", "Codec/Encoder/Audio",
      "Turns sound into soft tokens for a Gemma language model (gemmalm, gemmasink)", "gst-gemma");
}

static void
gst_gemma_audio_enc_init (GstGemmaAudioEnc *self)
{
  gemma_model_user_init (&self->user, GST_ELEMENT (self), GEMMA_PART_AUDIO);
  self->music_gate = TRUE;
  self->base = GST_CLOCK_TIME_NONE;
  self->gathered = g_array_new (FALSE, FALSE, sizeof (gfloat));
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);

  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_gemma_audio_enc_chain));
  gst_pad_set_event_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_gemma_audio_enc_sink_event));
  gst_pad_set_query_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_gemma_audio_enc_query));
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);

  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_event_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_audio_enc_src_event));
  gst_pad_set_query_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_audio_enc_query));
  gst_pad_use_fixed_caps (self->srcpad);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
