/**
 * SECTION:element-gemmacaptionbin
 * @title: gemmacaptionbin
 *
 * Sound and picture in, the same sound and picture out with captions over the picture: what is said, if
 * `sink_audio` is linked, with what is seen meanwhile, if `sink_video` is linked, too; or descriptions of what is
 * seen, if only that is. The captions leave on the pad `text` as well, with the times of the media they belong to.
 *
 * Instead of drawn captions, #GstGemmaCaptionBin:mode cea608 and cea708 give the frames line 21 captions for
 * encoders, muxers and receivers: each frame leaves with a GstVideoCaptionMeta, in roll-up mode, as gemmacea608enc
 * writes them.
 *
 * The media never wait for the captions longer than until they are due: they add no latency, and frames are
 * neither dropped nor changed but for the caption on them. A caption that is known late is shown from then on, for as
 * long as it would have been. When the model fails, a warning and an element message `gemma-caption-error` (error,
 * debug) say so and the media go on without captions.
 *
 * Music has no captions once it has played for some seconds, unless #GstGemmaCaptionBin:music-gate is off (see
 * gemmaaudioenc).
 *
 * Of a stream that is read faster than it plays, captions come too late for the picture; their times on `text` are
 * right all the same.
 *
 * The elements inside are children: "overlay" (textoverlay), "lm" (gemmalm), "audio-encoder" (gemmaaudioenc) and "vision-encoder"
 * (gemmavisionenc). What only one of them can do is set there (`lm::submodel=E2B`, `overlay::font-desc="Sans 24"`).
 *
 * ## Examples
 * |[
 * gst-launch-1.0 videotestsrc is-live=true ! gemmacaptionbin ! videoconvert ! autovideosink
 * ]| What a camera sees.
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! c.sink_video autoaudiosrc ! c.sink_audio
 *     gemmacaptionbin name=c mode=cea708 c.src_video ! x264enc tune=zerolatency ! mpegtsmux name=m !
 *     srtsink uri=srt://:7001 c.src_audio ! audioconvert ! avenc_aac ! m.
 * ]| A live stream with closed captions.
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! c.sink_video autoaudiosrc ! c.sink_audio
 *     gemmacaptionbin name=c overlay::font-desc="Sans 24" c.src_video ! videoconvert ! autovideosink
 *     c.src_audio ! fakesink
 * ]| What is said before a camera.
 */
#include "gemmacaptionbin.h"

#include "caption-tap.h"
#include "debug.h"
#include "downmix.h"
#include "gemmavisionenc.h"
#include "line21.h"
#include "lm-base.h"
#include "stream.h"

/* Sound that may wait while the model loads or a slow utterance is decoded: as much as an utterance may have. */
#define SOUND_TIME (30 * GST_SECOND)
/* Pictures are large, and of those that wait the newest is wanted. */
#define MAX_FRAMES 4
#define MAX_TEXTS 64

typedef enum
{
  MODE_OVERLAY,
  MODE_TEXT,
  MODE_CEA608,
  MODE_CEA708
} Mode;

enum
{
  PROP_0,
  PROP_MODEL,
  PROP_MMPROJ,
  PROP_DEVICE,
  PROP_WEIGHTS,
  PROP_ENCODER_WEIGHTS,
  PROP_ACTIVATIONS,
  PROP_TASK,
  PROP_PROMPT,
  PROP_SOURCE_LANGUAGE,
  PROP_TARGET_LANGUAGE,
  PROP_LATENCY,
  PROP_INTERVAL,
  PROP_RESOLUTION,
  PROP_MODE,
  PROP_ROLL_UP_ROWS,
  PROP_MUSIC_GATE,
  PROP_STATS
};

/* What happens to one kind of media: tee, tap, encoder. */
typedef struct
{
  const gchar *lm_pad_name;
  GstPad *sink;                 /* the bin's */
  GstElement *encoder;
  GstElement *chain[6];         /* the branch, queue first; not owned */
  guint n_chain;
  GemmaCaptionTap *tap;
  GstPad *lm_pad;               /* NULL: not linked */
} Branch;

struct _GstGemmaCaptionBin
{
  GstBin parent;
  GstElement *lm, *overlay;     /* overlay may be missing */
  Branch audio, video;
  GemmaLine21 *line21;
  GMutex lock;                  /* guards what follows */
  gboolean running;             /* errors of the captions are no longer errors of the start */
  gboolean deaf;                /* sound is lost, and it was told */
  Mode mode;
  guint64 interval;
  gint resolution;
  guint roll_up_rows;
  GstSegment segment;           /* of the frames that reach the overlay */
  GstClockTime seen;            /* running time at which the last of them ends */
  GstClockTime shown;           /* running time at which the last caption ends */
};

static GstStaticPadTemplate sink_audio_template = GST_STATIC_PAD_TEMPLATE ("sink_audio", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("audio/x-raw"));
static GstStaticPadTemplate sink_video_template = GST_STATIC_PAD_TEMPLATE ("sink_video", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/x-raw"));
static GstStaticPadTemplate src_audio_template = GST_STATIC_PAD_TEMPLATE ("src_audio", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("audio/x-raw"));
static GstStaticPadTemplate src_video_template = GST_STATIC_PAD_TEMPLATE ("src_video", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/x-raw"));
static GstStaticPadTemplate text_template = GST_STATIC_PAD_TEMPLATE ("text", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));

G_DEFINE_TYPE (GstGemmaCaptionBin, gst_gemma_caption_bin, GST_TYPE_BIN)
GST_ELEMENT_REGISTER_DEFINE (gemmacaptionbin, "gemmacaptionbin", GST_RANK_NONE, GST_TYPE_GEMMA_CAPTION_BIN)

#define GST_TYPE_GEMMA_CAPTION_MODE (gst_gemma_caption_mode_get_type ())
static G_DEFINE_ENUM_TYPE (GstGemmaCaptionMode, gst_gemma_caption_mode,
    { MODE_OVERLAY, "Over the picture, and on the pad text", "overlay" },
    { MODE_TEXT, "Only on the pad text", "text" },
    { MODE_CEA608, "CEA-608 pairs in the metadata of the frames, and on the pad text", "cea608" },
    { MODE_CEA708, "CEA-708 cc_data (with CEA-608 compatibility bytes) in the metadata of the frames, and on the pad "
      "text", "cea708" })

/* ---- when captions are shown --------------------------------------------------------------- */

static GstPadProbeReturn
on_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstGemmaCaptionBin *self = data;
  GstBuffer *buffer = info->data;
  GstEvent *event = info->data;

  g_mutex_lock (&self->lock);
  if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
    GstClockTime time = GST_BUFFER_PTS (buffer);
    if (GST_CLOCK_TIME_IS_VALID (time) && self->segment.format == GST_FORMAT_TIME)
      time = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, time);
    if (GST_CLOCK_TIME_IS_VALID (time))
      self->seen = time + (GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : 0);
  } else if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT) {
    gst_event_copy_segment (event, &self->segment);
  } else if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP) {
    self->seen = self->shown = 0;
  }
  g_mutex_unlock (&self->lock);
  return GST_PAD_PROBE_OK;
}

/* A caption of a time that the picture has left is shown now, after the one before it. */
static GstPadProbeReturn
on_caption (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstGemmaCaptionBin *self = data;
  GstBuffer *buffer = gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  const GstSegment *segment;
  GstClockTime running, now, position;

  info->data = buffer;
  if (!event)
    return GST_PAD_PROBE_OK;
  gst_event_parse_segment (event, &segment);
  running = gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (!GST_CLOCK_TIME_IS_VALID (running))
    return GST_PAD_PROBE_OK;

  g_mutex_lock (&self->lock);
  now = MAX (MAX (running, self->seen), self->shown);
  self->shown = now + GST_BUFFER_DURATION (buffer);
  g_mutex_unlock (&self->lock);
  position = gst_segment_position_from_running_time (segment, GST_FORMAT_TIME, now);
  if (GST_CLOCK_TIME_IS_VALID (position))
    GST_BUFFER_PTS (buffer) = position;
  return GST_PAD_PROBE_OK;
}

/* The overlay hands on what it does not know to whoever takes the frames, and fails where these have ended. */
static GstPadProbeReturn
on_caption_event (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstEventType type = GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info));

  return type == GST_EVENT_TAG || type == GST_EVENT_CUSTOM_DOWNSTREAM ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
}

/* What the frames are to carry. */
static GstPadProbeReturn
on_text (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstGemmaCaptionBin *self = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  g_autofree gchar *text = gemma_stream_read_text (buffer);
  const GstSegment *segment;

  if (!event || !text)
    return GST_PAD_PROBE_OK;
  gst_event_parse_segment (event, &segment);
  GstClockTime running = gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (GST_CLOCK_TIME_IS_VALID (running) &&
      !gemma_line21_add_text (self->line21, running, GST_BUFFER_DURATION (buffer), text))
    GST_WARNING_OBJECT (self, "text comes faster than line 21 captions can carry it: \"%s\" is left out", text);
  return GST_PAD_PROBE_OK;
}

/* Captions do not delay the picture: its latency is what comes in. */
static gboolean
query_src_video (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstGemmaCaptionBin *self = GST_GEMMA_CAPTION_BIN (parent);

  if (GST_QUERY_TYPE (query) == GST_QUERY_LATENCY)
    return gst_pad_peer_query (self->video.sink, query);
  return gst_pad_query_default (pad, parent, query);
}

/* ---- branches -------------------------------------------------------------------------------- */

/* A branch whose sink pad is linked takes part; the others stay in NULL, so that nobody misses what they need. */
static void
activate (GstGemmaCaptionBin *self, Branch *branch)
{
  GstElement *last = branch->chain[branch->n_chain - 1];

  if (branch->lm_pad || !branch->encoder || !gst_pad_is_linked (branch->sink))
    return;
  branch->lm_pad = gst_element_request_pad_simple (self->lm, branch->lm_pad_name);
  gst_element_link_pads (last, "src", self->lm, GST_PAD_NAME (branch->lm_pad));
  for (guint i = branch->n_chain; i-- > 0;) {
    gst_element_set_locked_state (branch->chain[i], FALSE);
    gst_element_sync_state_with_parent (branch->chain[i]);
  }
  g_mutex_lock (&self->lock);
  gboolean running = self->running;
  g_mutex_unlock (&self->lock);
  gemma_caption_tap_set_open (branch->tap, running);
}

static void
deactivate (GstGemmaCaptionBin *self, Branch *branch)
{
  g_autoptr (GstPad) src = NULL;

  if (!branch->lm_pad)
    return;
  gemma_caption_tap_set_open (branch->tap, FALSE);
  for (guint i = 0; i < branch->n_chain; i++) {
    gst_element_set_locked_state (branch->chain[i], TRUE);
    gst_element_set_state (branch->chain[i], GST_STATE_NULL);
  }
  src = gst_element_get_static_pad (branch->chain[branch->n_chain - 1], "src");
  gst_pad_unlink (src, branch->lm_pad);
  gst_element_release_request_pad (self->lm, branch->lm_pad);
  gst_clear_object (&branch->lm_pad);
}

/* Whether the model can do with the branch; known from READY on. */
static gboolean
is_of_use (GstGemmaCaptionBin *self, Branch *branch)
{
  const GemmaConfig *config = GST_GEMMA_LM_BASE (self->lm)->user.config;

  return !config || (branch == &self->audio ? config->has_audio : config->has_vision);
}

/* A model that cannot see can still caption what is said, and the other way round. */
static void
leave_useless (GstGemmaCaptionBin *self)
{
  Branch *branches[] = { &self->audio, &self->video };

  for (guint i = 0; i < 2; i++)
    activate (self, branches[i]);
  for (guint i = 0; i < 2; i++) {
    if (!branches[i]->lm_pad || !branches[1 - i]->lm_pad || is_of_use (self, branches[i]))
      continue;
    deactivate (self, branches[i]);
    GST_ELEMENT_INFO (self, STREAM, DECODE, ("The model cannot %s", i ? "see: only what is said is captioned" :
            "hear: only what is seen is described"), (NULL));
  }
}

static void
on_linked (GstPad *pad, GstPad *peer, gpointer data)
{
  GstGemmaCaptionBin *self = data;
  Branch *branch = pad == self->audio.sink ? &self->audio : &self->video;

  if (is_of_use (self, branch))
    activate (self, branch);
}

static void
on_unlinked (GstPad *pad, GstPad *peer, gpointer data)
{
  GstGemmaCaptionBin *self = data;

  deactivate (self, pad == self->audio.sink ? &self->audio : &self->video);
}

static void
set_taps_open (GstGemmaCaptionBin *self, gboolean open)
{
  gemma_caption_tap_set_open (self->audio.tap, open && self->audio.lm_pad);
  gemma_caption_tap_set_open (self->video.tap, open && self->video.lm_pad);
}

/* ---- errors ------------------------------------------------------------------------------------- */

/* The captions have failed while the media run: they end, the media go on. */
static void
give_up (GstGemmaCaptionBin *self, GstMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *debug = NULL;

  set_taps_open (self, FALSE);
  gst_message_parse_error (message, &error, &debug);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("gemma-caption-error", "error", G_TYPE_ERROR, error, "debug", G_TYPE_STRING, debug, NULL)));
  g_autofree gchar *text = g_strdup_printf ("No more captions: %s", error->message);
  g_autoptr (GError) warning = g_error_new_literal (error->domain, error->code, text);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_warning (GST_OBJECT (self), warning, debug));
}

static void
gst_gemma_caption_bin_handle_message (GstBin *bin, GstMessage *message)
{
  GstGemmaCaptionBin *self = GST_GEMMA_CAPTION_BIN (bin);
  GstObject *src = GST_MESSAGE_SRC (message);

  g_mutex_lock (&self->lock);
  gboolean running = self->running;
  g_mutex_unlock (&self->lock);
  if (running && GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR && src != GST_OBJECT (self->overlay) &&
      src != GST_OBJECT (self)) {
    give_up (self, message);
    gst_message_unref (message);
    return;
  }
  GST_BIN_CLASS (gst_gemma_caption_bin_parent_class)->handle_message (bin, message);
}

/* The queue of the sound is full, and its oldest goes; once until it has been empty. */
static void
on_sound_lost (GstElement *queue, gpointer data)
{
  GstGemmaCaptionBin *self = data;

  g_mutex_lock (&self->lock);
  gboolean told = self->deaf;
  self->deaf = TRUE;
  g_mutex_unlock (&self->lock);
  if (!told)
    GST_ELEMENT_WARNING (self, CORE, CLOCK, ("The model is more than %u s behind: sound is left out of the captions",
            (guint) (SOUND_TIME / GST_SECOND)), ("take a smaller model or a faster device"));
}

static void
on_sound_heard (GstElement *queue, gpointer data)
{
  GstGemmaCaptionBin *self = data;

  g_mutex_lock (&self->lock);
  self->deaf = FALSE;
  g_mutex_unlock (&self->lock);
}

/* ---- states --------------------------------------------------------------------------------------- */

static gboolean
check_overlay (GstGemmaCaptionBin *self)
{
  if (self->overlay || self->mode != MODE_OVERLAY || !gst_pad_is_linked (self->video.sink))
    return TRUE;
  GST_ELEMENT_ERROR (self, CORE, MISSING_PLUGIN, ("The element textoverlay is not installed; mode=text needs none"), (NULL));
  return FALSE;
}

static void
set_running (GstGemmaCaptionBin *self, gboolean running)
{
  g_mutex_lock (&self->lock);
  self->running = running;
  self->deaf = FALSE;
  self->seen = self->shown = 0;
  g_mutex_unlock (&self->lock);
  if (running)
    gemma_line21_reset (self->line21);
  set_taps_open (self, running);
}

static GstStateChangeReturn
gst_gemma_caption_bin_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaCaptionBin *self = GST_GEMMA_CAPTION_BIN (element);
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_NULL_TO_READY) {
    if (!check_overlay (self) || gst_element_set_state (self->lm, GST_STATE_READY) == GST_STATE_CHANGE_FAILURE)
      return GST_STATE_CHANGE_FAILURE;
    leave_useless (self);
  }
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED)
    set_running (self, TRUE);
  else if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    set_running (self, FALSE);
  ret = GST_ELEMENT_CLASS (gst_gemma_caption_bin_parent_class)->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && ret == GST_STATE_CHANGE_FAILURE)
    set_running (self, FALSE);
  return ret;
}

/* ---- properties ------------------------------------------------------------------------------------- */

static void
set_mode (GstGemmaCaptionBin *self, Mode mode)
{
  g_mutex_lock (&self->lock);
  self->mode = mode;
  g_mutex_unlock (&self->lock);
  if (self->overlay)
    g_object_set (self->overlay, "silent", mode != MODE_OVERLAY, NULL);
  gemma_line21_set_type (self->line21, mode == MODE_CEA608 ? GST_VIDEO_CAPTION_TYPE_CEA608_RAW :
      mode == MODE_CEA708 ? GST_VIDEO_CAPTION_TYPE_CEA708_RAW : GST_VIDEO_CAPTION_TYPE_UNKNOWN);
}

static void
set_roll_up_rows (GstGemmaCaptionBin *self, guint rows)
{
  g_mutex_lock (&self->lock);
  self->roll_up_rows = rows;
  g_mutex_unlock (&self->lock);
  gemma_line21_set_rows (self->line21, rows);
}

static void
set_vision (GstGemmaCaptionBin *self, const gchar *name, const GValue *value)
{
  g_mutex_lock (&self->lock);
  if (G_VALUE_HOLDS_UINT64 (value))
    self->interval = g_value_get_uint64 (value);
  else
    self->resolution = g_value_get_enum (value);
  g_mutex_unlock (&self->lock);
  if (self->video.encoder)
    g_object_set_property (G_OBJECT (self->video.encoder), name, value);
}

static void
set_encoders (GstGemmaCaptionBin *self, const gchar *name, const GValue *value)
{
  if (self->audio.encoder)
    g_object_set_property (G_OBJECT (self->audio.encoder), name, value);
  if (self->video.encoder)
    g_object_set_property (G_OBJECT (self->video.encoder), name, value);
}

static void
gst_gemma_caption_bin_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaCaptionBin *self = GST_GEMMA_CAPTION_BIN (object);

  switch (id) {
    case PROP_MODEL:
    case PROP_MMPROJ:
    case PROP_DEVICE:
    case PROP_ACTIVATIONS: set_encoders (self, pspec->name, value); /* fallthrough */
    case PROP_WEIGHTS:
    case PROP_TASK:
    case PROP_PROMPT:
    case PROP_SOURCE_LANGUAGE:
    case PROP_TARGET_LANGUAGE:
    case PROP_LATENCY: g_object_set_property (G_OBJECT (self->lm), pspec->name, value); break;
    case PROP_ENCODER_WEIGHTS: set_encoders (self, "weights", value); break;
    case PROP_INTERVAL:
    case PROP_RESOLUTION: set_vision (self, pspec->name, value); break;
    case PROP_MODE: set_mode (self, g_value_get_enum (value)); break;
    case PROP_ROLL_UP_ROWS: set_roll_up_rows (self, g_value_get_uint (value)); break;
    case PROP_MUSIC_GATE:
      if (self->audio.encoder)
        g_object_set_property (G_OBJECT (self->audio.encoder), pspec->name, value);
      break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_gemma_caption_bin_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaCaptionBin *self = GST_GEMMA_CAPTION_BIN (object);

  g_mutex_lock (&self->lock);
  Mode mode = self->mode;
  guint64 interval = self->interval;
  gint resolution = self->resolution;
  guint rows = self->roll_up_rows;
  g_mutex_unlock (&self->lock);
  switch (id) {
    case PROP_INTERVAL: g_value_set_uint64 (value, interval); break;
    case PROP_RESOLUTION: g_value_set_enum (value, resolution); break;
    case PROP_MODE: g_value_set_enum (value, mode); break;
    case PROP_ROLL_UP_ROWS: g_value_set_uint (value, rows); break;
    case PROP_ENCODER_WEIGHTS:
    case PROP_MUSIC_GATE:
      if (self->audio.encoder)
        g_object_get_property (G_OBJECT (self->audio.encoder), id == PROP_MUSIC_GATE ? pspec->name : "weights", value);
      break;
    default: g_object_get_property (G_OBJECT (self->lm), pspec->name, value);
  }
}

/* ---- object -------------------------------------------------------------------------------------------- */

static void
gst_gemma_caption_bin_dispose (GObject *object)
{
  GstGemmaCaptionBin *self = GST_GEMMA_CAPTION_BIN (object);
  Branch *branches[] = { &self->audio, &self->video };

  for (guint i = 0; i < G_N_ELEMENTS (branches); i++) {
    if (branches[i]->sink)
      g_signal_handlers_disconnect_by_data (branches[i]->sink, self);
    if (self->lm)
      deactivate (self, branches[i]);
    g_clear_pointer (&branches[i]->tap, gemma_caption_tap_free);
    gst_clear_object (&branches[i]->sink);
    gst_clear_object (&branches[i]->encoder);
  }
  g_clear_pointer (&self->line21, gemma_line21_free);
  gst_clear_object (&self->lm);
  gst_clear_object (&self->overlay);
  G_OBJECT_CLASS (gst_gemma_caption_bin_parent_class)->dispose (object);
}

static void
gst_gemma_caption_bin_finalize (GObject *object)
{
  g_mutex_clear (&GST_GEMMA_CAPTION_BIN (object)->lock);
  G_OBJECT_CLASS (gst_gemma_caption_bin_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  gemma_model_user_install_properties (klass, PROP_MODEL);
  gemma_model_user_install_weights (klass, PROP_WEIGHTS);
  gemma_model_user_install_encoder_weights (klass, PROP_ENCODER_WEIGHTS);
  g_object_class_install_property (klass, PROP_ACTIVATIONS, g_param_spec_enum ("activations", "Activations",
          "How encoders and language model compute: as gemmaaudioenc's and gemmavisionenc's, from the next start on, and gemmalm's",
          GST_TYPE_GEMMA_ACTIVATIONS, OCL_MATMUL_F32_ACTIVATIONS, playing));
  g_object_class_install_property (klass, PROP_TASK, g_param_spec_enum ("task", "Task",
          "What the model is asked to do with what is said; what is only seen is described, unless this is custom",
          GST_TYPE_GEMMA_TASK, GEMMA_TASK_TRANSCRIBE, playing));
  g_object_class_install_property (klass, PROP_PROMPT, g_param_spec_string ("prompt", "Prompt",
          "The instruction of task custom", NULL, playing));
  g_object_class_install_property (klass, PROP_SOURCE_LANGUAGE, g_param_spec_string ("source-language",
          "Source language", "Language that is spoken, a BCP 47 code (\"es\", \"pt-BR\") or a name", "en", playing));
  g_object_class_install_property (klass, PROP_TARGET_LANGUAGE, g_param_spec_string ("target-language",
          "Target language", "Language of translations and descriptions, a BCP 47 code or a name", "en", playing));
  g_object_class_install_property (klass, PROP_LATENCY, g_param_spec_uint ("latency", "Latency",
          "Captions of a live stream leave the pad text within this time after what they tell of (ms); the media leave at "
          "once", 0, G_MAXUINT, 8000, playing));
  g_object_class_install_property (klass, PROP_INTERVAL, g_param_spec_uint64 ("interval", "Interval",
          "A picture is looked at every so often (ns, 0: as often as the encoder can)", 0, G_MAXINT64, 2 * GST_SECOND,
          playing));
  g_object_class_install_property (klass, PROP_RESOLUTION, g_param_spec_enum ("resolution", "Resolution",
          "Size that pictures are scaled to before they are looked at; ignored with models that have one size of their own "
          "(Gemma 3, T5Gemma 2)", GST_TYPE_GEMMA_RESOLUTION, 256, playing));
  g_object_class_install_property (klass, PROP_MODE, g_param_spec_enum ("mode", "Mode", "Where captions go",
          GST_TYPE_GEMMA_CAPTION_MODE, MODE_OVERLAY, playing));
  g_object_class_install_property (klass, PROP_ROLL_UP_ROWS, g_param_spec_uint ("roll-up-rows", "Roll-up rows",
          "How many rows of captions are seen at a time in the modes cea608 and cea708", 2, 4, 2, playing));
  g_object_class_install_property (klass, PROP_MUSIC_GATE, g_param_spec_boolean ("music-gate", "Music gate",
          "Music is silence once it has played for some seconds, until somebody speaks", TRUE,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, PROP_STATS, g_param_spec_boxed ("stats", "Statistics", "As gemmalm's",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_gemma_caption_bin_class_init (GstGemmaCaptionBinClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  object_class->set_property = gst_gemma_caption_bin_set_property;
  object_class->get_property = gst_gemma_caption_bin_get_property;
  object_class->dispose = gst_gemma_caption_bin_dispose;
  object_class->finalize = gst_gemma_caption_bin_finalize;
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_caption_bin_change_state);
  GST_BIN_CLASS (klass)->handle_message = GST_DEBUG_FUNCPTR (gst_gemma_caption_bin_handle_message);
  install_properties (object_class);

  gst_element_class_add_static_pad_template (element_class, &sink_video_template);
  gst_element_class_add_static_pad_template (element_class, &sink_audio_template);
  gst_element_class_add_static_pad_template (element_class, &src_video_template);
  gst_element_class_add_static_pad_template (element_class, &src_audio_template);
  gst_element_class_add_static_pad_template (element_class, &text_template);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_CAPTION_MODE, 0);
  gst_element_class_set_static_metadata (element_class, "Gemma captions", "Video/Audio/Filter",
      "Captions over the picture: what is said, or what is seen, with a Gemma language model", "gst-gemma");
}

static GstPad *
add_ghost_pad (GstGemmaCaptionBin *self, GstStaticPadTemplate *static_template, GstElement *element, const gchar *name)
{
  g_autoptr (GstPadTemplate) templ = gst_static_pad_template_get (static_template);
  g_autoptr (GstPad) target = gst_element_get_static_pad (element, name);
  GstPad *pad = gst_ghost_pad_new_from_template (static_template->name_template, target, templ);

  gst_element_add_pad (GST_ELEMENT (self), pad);
  return pad;
}

/* Drops its oldest rather than hold anybody up. */
static GstElement *
make_queue (GstClockTime time, guint buffers)
{
  GstElement *queue = gst_element_factory_make ("queue", NULL);

  g_object_set (queue, "leaky", 2 /* downstream */, "max-size-time", (guint64) time, "max-size-buffers", buffers,
      "max-size-bytes", 0, NULL);
  return queue;
}

static void
add_to_chain (GstGemmaCaptionBin *self, Branch *branch, GstElement *element)
{
  gst_bin_add (GST_BIN (self), element);
  if (branch->n_chain)
    gst_element_link (branch->chain[branch->n_chain - 1], element);
  branch->chain[branch->n_chain++] = element;
  gst_element_set_locked_state (element, TRUE);
}

static GstElement *
add_tee (GstGemmaCaptionBin *self)
{
  GstElement *tee = gst_element_factory_make ("tee", NULL);

  g_object_set (tee, "allow-not-linked", TRUE, NULL);
  gst_bin_add (GST_BIN (self), tee);
  return tee;
}

/* The pad of the media comes first: they have left before anybody listens. */
static void
add_branch (GstGemmaCaptionBin *self, Branch *branch, GstElement *tee)
{
  g_autoptr (GstPad) src = gst_element_request_pad_simple (tee, "src_%u");

  if (branch->encoder) {
    gst_object_ref_sink (branch->encoder);
    add_to_chain (self, branch, branch->encoder);
  }
  branch->tap = gemma_caption_tap_new (GST_ELEMENT (self), branch->sink, src, branch->chain[0]);
  gst_object_ref (branch->sink);
  g_signal_connect (branch->sink, "linked", G_CALLBACK (on_linked), self);
  g_signal_connect (branch->sink, "unlinked", G_CALLBACK (on_unlinked), self);
}

static void
add_audio (GstGemmaCaptionBin *self)
{
  GstElement *tee = add_tee (self), *queue = make_queue (SOUND_TIME, 0);
  GstElement *filter = gst_element_factory_make ("capsfilter", NULL);
  g_autoptr (GstCaps) caps = gst_caps_from_string
      ("audio/x-raw, format=(string)F32LE, rate=(int)16000, channels=(int)1, layout=(string)interleaved");
  g_autoptr (GstPad) media = gst_element_request_pad_simple (tee, "src_%u");

  g_object_set (filter, "caps", caps, NULL);
  self->audio = (Branch) { .lm_pad_name = "audio_%u" };
  self->audio.encoder = gst_element_factory_make ("gemmaaudioenc", "audio-encoder");
  if (self->audio.encoder)
    g_object_set (self->audio.encoder, "voice-gate", TRUE, NULL);
  self->audio.sink = add_ghost_pad (self, &sink_audio_template, tee, "sink");
  add_ghost_pad (self, &src_audio_template, tee, GST_PAD_NAME (media));
  g_signal_connect (queue, "overrun", G_CALLBACK (on_sound_lost), self);
  g_signal_connect (queue, "underrun", G_CALLBACK (on_sound_heard), self);
  add_to_chain (self, &self->audio, queue);
  add_to_chain (self, &self->audio, gemma_downmix_new ());
  add_to_chain (self, &self->audio, gst_element_factory_make ("audioresample", NULL));
  add_to_chain (self, &self->audio, filter);
  add_branch (self, &self->audio, tee);
}

static void
add_overlay (GstGemmaCaptionBin *self, GstElement *video_tee, GstElement *text_tee)
{
  GstElement *queue = make_queue (0, MAX_TEXTS);
  g_autoptr (GstPad) frames = gst_element_get_static_pad (self->overlay, "video_sink");
  g_autoptr (GstPad) captions = gst_element_get_static_pad (self->overlay, "text_sink");

  gst_object_ref_sink (self->overlay);
  g_object_set (self->overlay, "wait-text", FALSE, NULL);
  gst_bin_add_many (GST_BIN (self), self->overlay, queue, NULL);
  gst_element_link_pads (video_tee, "src_%u", self->overlay, "video_sink");
  gst_element_link (text_tee, queue);
  gst_element_link_pads (queue, "src", self->overlay, "text_sink");
  gst_pad_add_probe (frames, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
      on_frame, self, NULL);
  gst_pad_add_probe (captions, GST_PAD_PROBE_TYPE_BUFFER, on_caption, self, NULL);
  gst_pad_add_probe (captions, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_caption_event, self, NULL);
}

static void
add_video (GstGemmaCaptionBin *self, GstElement *text_tee)
{
  GstElement *tee = add_tee (self);
  GstPad *src;

  self->video = (Branch) { .lm_pad_name = "video_%u" };
  self->video.encoder = gst_element_factory_make ("gemmavisionenc", "vision-encoder");
  self->video.sink = add_ghost_pad (self, &sink_video_template, tee, "sink");
  self->overlay = gst_element_factory_make ("textoverlay", "overlay");
  if (self->overlay) {
    add_overlay (self, tee, text_tee);
    src = add_ghost_pad (self, &src_video_template, self->overlay, "src");
  } else {
    g_autoptr (GstPad) media = gst_element_request_pad_simple (tee, "src_%u");
    src = add_ghost_pad (self, &src_video_template, tee, GST_PAD_NAME (media));
  }
  self->line21 = gemma_line21_new (src);
  gst_pad_set_query_function (src, GST_DEBUG_FUNCPTR (query_src_video));
  add_to_chain (self, &self->video, make_queue (0, MAX_FRAMES));
  add_to_chain (self, &self->video, gst_element_factory_make ("videoconvert", NULL));
  add_branch (self, &self->video, tee);
}

static void
gst_gemma_caption_bin_init (GstGemmaCaptionBin *self)
{
  GstElement *text_tee = add_tee (self), *queue = gst_element_factory_make ("queue", NULL);
  g_autoptr (GstPad) texts = gst_element_get_static_pad (text_tee, "sink");

  g_mutex_init (&self->lock);
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  self->interval = 2 * GST_SECOND;
  self->resolution = 256;
  self->roll_up_rows = 2;
  self->lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", "lm"));
  gst_bin_add_many (GST_BIN (self), self->lm, queue, NULL);
  gst_element_link (self->lm, text_tee);
  add_video (self, text_tee);
  add_audio (self);
  gst_pad_add_probe (texts, GST_PAD_PROBE_TYPE_BUFFER, on_text, self, NULL);
  gst_element_link (text_tee, queue);
  add_ghost_pad (self, &text_template, queue, "src");
  if (self->video.encoder)
    g_object_set (self->video.encoder, "interval", self->interval, "resolution", self->resolution, NULL);
}
