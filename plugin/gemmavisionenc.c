/**
 * SECTION:element-gemmavisionenc
 * @title: gemmavisionenc
 *
 * Turns frames of video into soft tokens with the vision encoder of Gemma 3n (MobileNet-V5), or of Gemma 3 and
 * T5Gemma 2 (SigLIP), for gemmalm or gemmasink. One buffer holds the 256 tokens of one frame and has its PTS and
 * DURATION. A frame of any size is resized to a square, of #GstGemmaVisionEnc:resolution where the model leaves the
 * choice; its aspect ratio does not matter to the model.
 *
 * Encoding takes longer than a frame lasts, so a few frames are chosen: with #GstGemmaVisionEnc:interval one of each
 * stretch of stream time, with #GstGemmaVisionEnc:max-rate so many a second of running time, with
 * #GstGemmaVisionEnc:on-change only those that differ from the one encoded last. GAP events stand for all others.
 *
 * In a live pipeline frames are never queued: while one is encoded the newest one waits, and replaces the one that
 * waited before. QoS events tell that upstream, and QoS messages the application. Where nothing is live, upstream waits
 * instead, and only frames that a synchronizing sink downstream has reported as too late are left out.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=film.mp4 ! decodebin ! videoconvert ! gemmavisionenc interval=5000000000 !
 *     gemmasink task=describe location=-
 * ]|
 */
#include "gemmavisionenc.h"

#include "debug.h"
#include "frame-picker.h"
#include "frame-queue.h"
#include "frame-stats.h"
#include "model-user.h"
#include "stream.h"

#define DEFAULT_RESOLUTION 256
#define DEFAULT_THRESHOLD 0.02

enum
{
  PROP_0,
  PROP_MODEL,
  PROP_ACTIVATIONS = PROP_MODEL + GEMMA_MODEL_USER_N_PROPERTIES,
  PROP_WEIGHTS,
  PROP_RESOLUTION,
  PROP_INTERVAL,
  PROP_MAX_RATE,
  PROP_ON_CHANGE,
  PROP_CHANGE_THRESHOLD,
  PROP_QOS,
  PROP_STATS
};

struct _GstGemmaVisionEnc
{
  GstElement parent;
  GstPad *sinkpad, *srcpad;
  GemmaModelUser user;
  GCancellable *cancellable;    /* cancelled while flushing */

  /* Properties and what is counted; object lock. */
  gint resolution;
  GemmaPickerSettings picking;
  gboolean qos;
  GemmaFrameStats stats;
  GstClockTime latency;         /* as announced */
  GstClockTime earliest;        /* running time of the first frame that downstream can still use; none: any */

  /* The sink pad's streaming thread's. */
  GstSegment in_segment;
  GstClockTime frame_duration, next_pts;
  gboolean has_caps;

  GemmaFrameQueue queue;        /* from the sink pad's thread to the source pad's task */
  gint live;                    /* atomic; -1: not known yet */

  /* The task's. */
  GstSegment segment;
  GstVideoInfo info;
  OclPicture picture;
  GemmaModel *model;
  GemmaVisionSession *session;
  GemmaFramePicker last;
  gint last_resolution;
  gboolean discont;             /* for the next buffer */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/x-raw, format=(string){ RGB, RGBA, I420, NV12 }, width=(int)[ 1, 32767 ], "
        "height=(int)[ 1, 32767 ], framerate=(fraction)[ 0/1, 2147483647/1 ]"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS (GST_GEMMA_SOFT_TOKEN_CAPS));

G_DEFINE_TYPE (GstGemmaVisionEnc, gst_gemma_vision_enc, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (gemmavisionenc, "gemmavisionenc", GST_RANK_NONE, GST_TYPE_GEMMA_VISION_ENC)

G_DEFINE_ENUM_TYPE (GstGemmaVisionEncResolution, gst_gemma_resolution,
    { 256, "256 x 256 pixels, the quickest", "256" },
    { 512, "512 x 512 pixels", "512" },
    { 768, "768 x 768 pixels, sees small print", "768" })

static GstFlowReturn
fail (GstGemmaVisionEnc *self, GError *error)
{
  gboolean cancelled = g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED);

  if (!cancelled)
    gemma_post_error (GST_ELEMENT (self), error);
  g_error_free (error);
  return cancelled ? GST_FLOW_FLUSHING : GST_FLOW_ERROR;
}

static void
count (GstGemmaVisionEnc *self, guint64 *counter)
{
  GST_OBJECT_LOCK (self);
  (*counter)++;
  GST_OBJECT_UNLOCK (self);
}

/* ---- frames that are not encoded --------------------------------------------------------- */

/* How many times a frame's duration @took is, at least 1. */
static gdouble
get_proportion (GstBuffer *buffer, GstClockTime took)
{
  GstClockTime duration = GST_BUFFER_DURATION (buffer);

  return GST_CLOCK_TIME_IS_VALID (duration) && duration > 0 ? MAX (took / (gdouble) duration, 1.) : 1.;
}

/* Counts a frame that came too late and tells the application. @jitter: how late */
static void
drop (GstGemmaVisionEnc *self, GstBuffer *buffer, const GstSegment *segment, GstClockTimeDiff jitter)
{
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  GstMessage *message = gst_message_new_qos (GST_OBJECT (self), g_atomic_int_get (&self->live) == TRUE,
      gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts), gst_segment_to_stream_time (segment, GST_FORMAT_TIME,
          pts), pts, GST_BUFFER_DURATION (buffer));

  GST_OBJECT_LOCK (self);
  self->stats.dropped++;
  gdouble proportion = get_proportion (buffer, self->stats.average);
  gst_message_set_qos_stats (message, GST_FORMAT_BUFFERS, self->stats.encoded, self->stats.dropped);
  GST_OBJECT_UNLOCK (self);
  gst_message_set_qos_values (message, jitter, proportion, 1000000);
  gst_element_post_message (GST_ELEMENT (self), message);
}

/* Tells upstream that frames before the encoder is free again are not worth making. */
static void
send_qos (GstGemmaVisionEnc *self, GstBuffer *buffer, GstClockTime wait)
{
  GstClockTime running_time = gst_segment_to_running_time (&self->in_segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));

  /* Decoders skip frames up to the timestamp and twice the difference. */
  if (GST_CLOCK_TIME_IS_VALID (running_time))
    gst_pad_push_event (self->sinkpad, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, get_proportion (buffer, wait), wait / 2,
            running_time));
}

/* ---- the sink pad's thread ---------------------------------------------------------------- */

/* Gives the frame the times it lacks; NULL: it is outside of the segment. */
static GstBuffer *
complete_times (GstGemmaVisionEnc *self, GstBuffer *buffer)
{
  GstClockTime pts = GST_BUFFER_PTS (buffer), duration = GST_BUFFER_DURATION (buffer);

  if (!GST_CLOCK_TIME_IS_VALID (pts))
    pts = GST_CLOCK_TIME_IS_VALID (self->next_pts) ? self->next_pts : self->in_segment.start;
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    duration = self->frame_duration;
  GstClockTime end = GST_CLOCK_TIME_IS_VALID (duration) ? pts + duration : pts;
  if (!gst_segment_clip (&self->in_segment, GST_FORMAT_TIME, pts, end, NULL, NULL)) {
    gst_buffer_unref (buffer);
    return NULL;
  }
  self->next_pts = end;
  if (pts != GST_BUFFER_PTS (buffer) || duration != GST_BUFFER_DURATION (buffer)) {
    buffer = gst_buffer_make_writable (buffer);
    GST_BUFFER_PTS (buffer) = pts;
    GST_BUFFER_DURATION (buffer) = duration;
  }
  return buffer;
}

static GstFlowReturn
gst_gemma_vision_enc_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (parent);
  GstBuffer *replaced;
  GstClockTime wait;

  if (!self->has_caps || self->in_segment.format != GST_FORMAT_TIME) {
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  buffer = complete_times (self, buffer);
  if (!buffer)
    return GST_FLOW_OK;

  count (self, &self->stats.frames);
  GST_OBJECT_LOCK (self);
  gboolean qos = self->qos;
  GST_OBJECT_UNLOCK (self);
  GstFlowReturn flow = gemma_frame_queue_push_frame (&self->queue, buffer,
      qos && gemma_stream_is_live (self->sinkpad, &self->live, FALSE), &replaced, &wait);
  if (replaced) {
    drop (self, replaced, &self->in_segment, wait);
    send_qos (self, replaced, wait);
    gst_buffer_unref (replaced);
  }
  gst_buffer_unref (buffer);
  return flow;
}

static gboolean
enqueue_event (GstGemmaVisionEnc *self, GstEvent *event)
{
  gboolean eos = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
  GstFlowReturn flow = gemma_frame_queue_push_event (&self->queue, event);

  /* No frame will take the result upstream any more. */
  if (eos && (flow == GST_FLOW_NOT_LINKED || flow == GST_FLOW_NOT_NEGOTIATED))
    GST_ELEMENT_FLOW_ERROR (self, flow);
  return flow == GST_FLOW_OK;
}

static void
take_caps (GstGemmaVisionEnc *self, GstEvent *event)
{
  GstVideoInfo info;
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  self->has_caps = gst_video_info_from_caps (&info, caps);
  self->frame_duration = GST_CLOCK_TIME_NONE;
  if (self->has_caps && GST_VIDEO_INFO_FPS_N (&info) > 0)
    self->frame_duration = gst_util_uint64_scale (GST_SECOND, GST_VIDEO_INFO_FPS_D (&info), GST_VIDEO_INFO_FPS_N (&info));
}

static void
set_flushing (GstGemmaVisionEnc *self, gboolean flushing)
{
  if (flushing)
    g_cancellable_cancel (self->cancellable);
  else
    g_cancellable_reset (self->cancellable);
  gemma_frame_queue_set_flushing (&self->queue, flushing);
  gemma_model_user_set_flushing (&self->user, flushing);
}

/* What both threads know of the stream; neither runs. */
static void
forget (GstGemmaVisionEnc *self)
{
  gst_segment_init (&self->in_segment, GST_FORMAT_UNDEFINED);
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  self->next_pts = GST_CLOCK_TIME_NONE;
  self->last = (GemmaFramePicker) { 0 };
  self->discont = TRUE;
  g_atomic_int_set (&self->live, -1);
  GST_OBJECT_LOCK (self);
  self->earliest = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
}

static void loop (gpointer data);

static gboolean
flush (GstGemmaVisionEnc *self, GstEvent *event)
{
  gboolean start = GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_START, ok;

  if (start) {
    ok = gst_pad_push_event (self->srcpad, event);
    set_flushing (self, TRUE);
    gst_pad_pause_task (self->srcpad);
    return ok;
  }
  ok = gst_pad_push_event (self->srcpad, event);
  forget (self);
  set_flushing (self, FALSE);
  gst_pad_start_task (self->srcpad, loop, self, NULL);
  return ok;
}

static gboolean
gst_gemma_vision_enc_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (parent);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
    case GST_EVENT_FLUSH_STOP:
      return flush (self, event);
    case GST_EVENT_CAPS:
      take_caps (self, event);
      break;
    case GST_EVENT_SEGMENT:
      if (!gemma_stream_take_segment (GST_ELEMENT (self), event, &self->in_segment, "Video")) {
        gst_event_unref (event);
        return FALSE;
      }
      self->next_pts = GST_CLOCK_TIME_NONE;
      g_atomic_int_set (&self->live, -1);
      break;
    default:
      break;
  }
  if (GST_EVENT_IS_SERIALIZED (event))
    return enqueue_event (self, event);
  return gst_pad_event_default (pad, parent, event);
}

/* ---- the task ----------------------------------------------------------------------------- */

static gboolean
set_caps (GstGemmaVisionEnc *self, GstEvent *event)
{
  GstCaps *in;

  gst_event_parse_caps (event, &in);
  if (!gst_video_info_from_caps (&self->info, in))
    return FALSE;
  gemma_picture_init (&self->picture, &self->info);
  self->last.has_thumbnail = FALSE;     /* another format or range may make the same picture brighter */

  g_autoptr (GstCaps) caps = gst_gemma_soft_token_caps_new (self->user.config->text.hidden, GEMMA_VISION_TOKENS,
      GST_VIDEO_INFO_FPS_N (&self->info), GST_VIDEO_INFO_FPS_D (&self->info));
  return gst_pad_push_event (self->srcpad, gst_event_new_caps (caps));
}

static void
push_event (GstGemmaVisionEnc *self, GstEvent *event)
{
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      set_caps (self, event);
      gst_event_unref (event);
      return;
    case GST_EVENT_SEGMENT:
      gst_event_copy_segment (event, &self->segment);
      break;
    default:
      break;
  }
  gst_pad_push_event (self->srcpad, event);
}

static GstFlowReturn
push_gap (GstGemmaVisionEnc *self, GstBuffer *buffer)
{
  GstEvent *gap = gemma_frame_gap (buffer);

  if (gap)
    gst_pad_push_event (self->srcpad, gap);
  return GST_FLOW_OK;
}

static GstFlowReturn
ensure_session (GstGemmaVisionEnc *self)
{
  GstFlowReturn flow = GST_FLOW_OK;
  GError *error = NULL;

  if (self->session)
    return GST_FLOW_OK;
  if (!self->model && !(self->model = gemma_model_user_wait (&self->user, &flow)))
    return flow;
  self->session = gemma_vision_session_new (gemma_model_get_vision (self->model), &error);
  return self->session ? GST_FLOW_OK : fail (self, error);
}

/* A frame waits until the one before it is done, and is then encoded itself: twice the mean, and some reserve. */
static void
note_time (GstGemmaVisionEnc *self, GstClockTime took)
{
  gboolean announce;

  GST_OBJECT_LOCK (self);
  GemmaFrameStats *stats = &self->stats;
  gemma_frame_stats_add_encoded (stats, took);
  announce = 2 * stats->average > self->latency || 5 * stats->average < self->latency;
  if (announce)
    self->latency = 5 * stats->average / 2;
  GST_OBJECT_UNLOCK (self);
  if (announce && g_atomic_int_get (&self->live) == TRUE)
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

static GstClockTime
get_expected_time (GstGemmaVisionEnc *self)
{
  GST_OBJECT_LOCK (self);
  GstClockTime average = self->stats.average;
  GST_OBJECT_UNLOCK (self);
  return average;
}

/* The frame that self->picture shows. */
static GstFlowReturn
encode (GstGemmaVisionEnc *self, GstBuffer *buffer, gint resolution)
{
  gsize size = (gsize) GEMMA_VISION_TOKENS * self->user.config->text.hidden * sizeof (gfloat);
  gfloat *rows = g_malloc (size);
  gint64 before = g_get_monotonic_time ();
  GError *error = NULL;
  gboolean ok;

  gemma_frame_queue_set_busy (&self->queue, get_expected_time (self));
  ok = gemma_vision_session_encode (self->session, &self->picture,
      gemma_vision_get_resolution (gemma_model_get_vision (self->model), resolution), rows, self->cancellable, &error);
  if (ok)
    note_time (self, (g_get_monotonic_time () - before) * GST_USECOND);
  gemma_frame_queue_set_busy (&self->queue, 0);
  if (!ok) {
    g_free (rows);
    return fail (self, error);
  }
  GST_LOG_OBJECT (self, "encoded %" GST_PTR_FORMAT, buffer);

  GstBuffer *out = gst_buffer_new_wrapped (rows, size);
  gst_buffer_copy_into (out, buffer, GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
  if (self->discont || GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT))
    GST_BUFFER_FLAG_SET (out, GST_BUFFER_FLAG_DISCONT);
  self->discont = FALSE;
  return gst_pad_push (self->srcpad, out);
}

/* Encodes the frame if it is due and has changed. */
static GstFlowReturn
handle_mapped (GstGemmaVisionEnc *self, GstBuffer *buffer, const GemmaPickerSettings *picking, gint resolution)
{
  GstClockTime stream_time = gst_segment_to_stream_time (&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  GstClockTime running_time = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));

  if (resolution == self->last_resolution && !gemma_frame_picker_has_changed (&self->last, picking, &self->picture)) {
    count (self, &self->stats.unchanged);
    return push_gap (self, buffer);
  }
  gemma_frame_picker_take (&self->last, picking, stream_time, running_time, &self->picture);
  self->last_resolution = resolution;
  return encode (self, buffer, resolution);
}

/* TRUE if the frame is left out without a look at it. */
static gboolean
is_left_out (GstGemmaVisionEnc *self, GstBuffer *buffer, const GemmaPickerSettings *picking, GstClockTime earliest)
{
  GstClockTime stream_time = gst_segment_to_stream_time (&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  GstClockTime running_time = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));

  if (!gemma_frame_picker_is_due (&self->last, picking, stream_time, running_time)) {
    count (self, &self->stats.skipped);
    return TRUE;
  }
  if (GST_CLOCK_TIME_IS_VALID (earliest) && GST_CLOCK_TIME_IS_VALID (running_time) && running_time < earliest) {
    drop (self, buffer, &self->segment, earliest - running_time);
    return TRUE;
  }
  return FALSE;
}

static GstFlowReturn
handle_frame (GstGemmaVisionEnc *self, GstBuffer *buffer)
{
  GstVideoFrame frame;
  GstFlowReturn flow;

  GST_OBJECT_LOCK (self);
  const GemmaPickerSettings picking = self->picking;
  GstClockTime earliest = self->qos ? self->earliest : GST_CLOCK_TIME_NONE;
  gint resolution = self->resolution;
  GST_OBJECT_UNLOCK (self);

  if (is_left_out (self, buffer, &picking, earliest)) {
    self->discont |= GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT);
    return push_gap (self, buffer);
  }
  flow = ensure_session (self);
  if (flow != GST_FLOW_OK)
    return flow;
  if (!gst_video_frame_map (&frame, &self->info, buffer, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self, STREAM, FAILED, ("A frame of video cannot be read: its buffer of %" G_GSIZE_FORMAT " bytes is"
            " not %d x %d in %s", gst_buffer_get_size (buffer), GST_VIDEO_INFO_WIDTH (&self->info),
            GST_VIDEO_INFO_HEIGHT (&self->info), GST_VIDEO_INFO_NAME (&self->info)), (NULL));
    return GST_FLOW_ERROR;
  }
  gemma_picture_set_frame (&self->picture, &frame);
  flow = handle_mapped (self, buffer, &picking, resolution);
  gst_video_frame_unmap (&frame);
  return flow;
}

static void
loop (gpointer data)
{
  GstGemmaVisionEnc *self = data;
  GstMiniObject *item = gemma_frame_queue_take (&self->queue);
  GstFlowReturn flow = item ? GST_FLOW_OK : GST_FLOW_FLUSHING;

  if (item && GST_IS_EVENT (item)) {
    push_event (self, GST_EVENT (item));
  } else if (item) {
    flow = handle_frame (self, GST_BUFFER (item));
    gst_mini_object_unref (item);
  }
  if (flow == GST_FLOW_OK)
    return;

  /* The next frame takes the result upstream. */
  gboolean eos = gemma_frame_queue_stop (&self->queue, flow);
  gst_pad_pause_task (self->srcpad);
  if (!eos || flow == GST_FLOW_FLUSHING)
    return;
  if (flow == GST_FLOW_NOT_LINKED || flow == GST_FLOW_NOT_NEGOTIATED)
    GST_ELEMENT_FLOW_ERROR (self, flow);
  gst_pad_push_event (self->srcpad, gst_event_new_eos ());
}

static gboolean
gst_gemma_vision_enc_src_activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  if (active)
    return gst_pad_start_task (pad, loop, parent, NULL);
  set_flushing (GST_GEMMA_VISION_ENC (parent), TRUE);
  return gst_pad_stop_task (pad);
}

/* ---- what downstream says and asks ---------------------------------------------------------- */

static gboolean
gst_gemma_vision_enc_src_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (parent);
  GstClockTime timestamp;
  GstClockTimeDiff diff;

  if (GST_EVENT_TYPE (event) == GST_EVENT_QOS) {
    gst_event_parse_qos (event, NULL, NULL, &diff, &timestamp);
    GST_OBJECT_LOCK (self);
    self->earliest = GST_CLOCK_TIME_NONE;
    if (GST_CLOCK_TIME_IS_VALID (timestamp) && diff > 0)
      self->earliest = timestamp + 2 * diff;
    GST_OBJECT_UNLOCK (self);
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
propose_allocation (GstQuery *query)
{
  GstVideoInfo info;
  GstCaps *caps;

  gst_query_parse_allocation (query, &caps, NULL);
  if (!caps || !gst_video_info_from_caps (&info, caps))
    return FALSE;
  gst_query_add_allocation_pool (query, NULL, GST_VIDEO_INFO_SIZE (&info), 3, 0);       /* one is encoded, one waits */
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return TRUE;
}

static gboolean
gst_gemma_vision_enc_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (parent);

  if (GST_QUERY_TYPE (query) == GST_QUERY_ALLOCATION && pad == self->sinkpad)
    return propose_allocation (query);
  GST_OBJECT_LOCK (self);
  GstClockTime own = self->latency;
  GST_OBJECT_UNLOCK (self);
  return gemma_stream_query (pad, parent, query, self->sinkpad, own);
}

/* ---- element ---------------------------------------------------------------------------------- */

static GstStateChangeReturn
gst_gemma_vision_enc_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (element);
  GstStateChangeReturn ret;

  switch (transition) {
    case GST_STATE_CHANGE_NULL_TO_READY:
      if (!gemma_model_user_open (&self->user, NULL))
        return GST_STATE_CHANGE_FAILURE;
      break;
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      forget (self);
      self->has_caps = FALSE;
      self->last_resolution = 0;
      GST_OBJECT_LOCK (self);
      self->stats = (GemmaFrameStats) { 0 };
      self->latency = 0;
      GST_OBJECT_UNLOCK (self);
      set_flushing (self, FALSE);
      break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      set_flushing (self, TRUE);
      break;
    default:
      break;
  }

  ret = GST_ELEMENT_CLASS (gst_gemma_vision_enc_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    gemma_frame_queue_empty (&self->queue);
    g_clear_pointer (&self->session, gemma_vision_session_free);
    g_clear_pointer (&self->model, gemma_model_unref);
  } else if (transition == GST_STATE_CHANGE_READY_TO_NULL) {
    gemma_model_user_close (&self->user);
  }
  return ret;
}

static GstStructure *
make_stats (GstGemmaVisionEnc *self)
{
  GST_OBJECT_LOCK (self);
  GstStructure *stats = gemma_frame_stats_to_structure (&self->stats);
  GST_OBJECT_UNLOCK (self);
  gemma_model_user_add_stats (&self->user, stats);
  return stats;
}

static void
gst_gemma_vision_enc_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (object);

  if (id <= PROP_WEIGHTS) {
    gemma_model_user_set_property (&self->user, pspec, value);
    return;
  }
  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_RESOLUTION:
      self->resolution = g_value_get_enum (value);
      self->stats.average = 0;  /* tells nothing about the next frame */
      break;
    case PROP_INTERVAL:
      self->picking.interval = g_value_get_uint64 (value);
      break;
    case PROP_MAX_RATE:
      self->picking.max_rate_n = gst_value_get_fraction_numerator (value);
      self->picking.max_rate_d = gst_value_get_fraction_denominator (value);
      break;
    case PROP_ON_CHANGE:
      self->picking.on_change = g_value_get_boolean (value);
      break;
    case PROP_CHANGE_THRESHOLD:
      self->picking.threshold = g_value_get_float (value);
      break;
    case PROP_QOS:
      self->qos = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_vision_enc_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (object);

  if (id <= PROP_WEIGHTS) {
    gemma_model_user_get_property (&self->user, pspec, value);
    return;
  }
  if (id == PROP_STATS) {
    g_value_take_boxed (value, make_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_RESOLUTION:
      g_value_set_enum (value, self->resolution);
      break;
    case PROP_INTERVAL:
      g_value_set_uint64 (value, self->picking.interval);
      break;
    case PROP_MAX_RATE:
      gst_value_set_fraction (value, self->picking.max_rate_n, self->picking.max_rate_d);
      break;
    case PROP_ON_CHANGE:
      g_value_set_boolean (value, self->picking.on_change);
      break;
    case PROP_CHANGE_THRESHOLD:
      g_value_set_float (value, self->picking.threshold);
      break;
    case PROP_QOS:
      g_value_set_boolean (value, self->qos);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_vision_enc_finalize (GObject *object)
{
  GstGemmaVisionEnc *self = GST_GEMMA_VISION_ENC (object);

  gemma_frame_queue_clear (&self->queue);
  g_object_unref (self->cancellable);
  gemma_model_user_clear (&self->user);
  G_OBJECT_CLASS (gst_gemma_vision_enc_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  gemma_model_user_install_properties (klass, PROP_MODEL);
  gemma_model_user_install_encoder (klass, PROP_ACTIVATIONS);
  g_object_class_install_property (klass, PROP_RESOLUTION, g_param_spec_enum ("resolution", "Resolution",
          "Side of the square that a frame is resized to, of Gemma 3n, whose published weights are most often used with 768; "
          "Gemma 3 and T5Gemma 2 have one size of their own (896), and this is ignored",
          GST_TYPE_GEMMA_RESOLUTION, DEFAULT_RESOLUTION, flags));
  g_object_class_install_property (klass, PROP_INTERVAL, g_param_spec_uint64 ("interval", "Interval",
          "Encode one frame of each stretch of stream time of this length (ns); 0: no limit", 0, G_MAXINT64, 0, flags));
  g_object_class_install_property (klass, PROP_MAX_RATE, gst_param_spec_fraction ("max-rate", "Maximal rate",
          "Encode at most so many frames a second of running time, as 2 or 1/10; 0: no limit", 0, 1, G_MAXINT, 1, 0, 1,
          flags));
  g_object_class_install_property (klass, PROP_ON_CHANGE, g_param_spec_boolean ("on-change", "On change",
          "Encode a frame only if it differs from the one encoded last", FALSE, flags));
  g_object_class_install_property (klass, PROP_CHANGE_THRESHOLD, g_param_spec_float ("change-threshold", "Change threshold",
          "With on-change: the mean absolute difference in brightness above which a frame counts as changed; 1 is black "
          "against white", 0.f, 1.f, DEFAULT_THRESHOLD, flags));
  g_object_class_install_property (klass, PROP_QOS, g_param_spec_boolean ("qos", "Quality of service",
          "Drop frames that come while the encoder is behind, in a live pipeline or for a sink that reports lateness",
          TRUE, flags));
  g_object_class_install_property (klass, PROP_STATS, g_param_spec_boxed ("stats", "Statistics",
          "frames = encoded + dropped (too late) + skipped (interval, max-rate) + unchanged (on-change) + waiting; "
          "encode-time (moving mean of a frame, ns), encode-seconds, model-loaded, device, device-bytes, mapped-bytes",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_gemma_vision_enc_class_init (GstGemmaVisionEncClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  object_class->set_property = gst_gemma_vision_enc_set_property;
  object_class->get_property = gst_gemma_vision_enc_get_property;
  object_class->finalize = gst_gemma_vision_enc_finalize;
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_vision_enc_change_state);
  install_properties (object_class);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Gemma vision encoder", "Codec/Encoder/Video",
      "Turns frames of video into soft tokens for a Gemma language model (gemmalm, gemmasink)", "gst-gemma");
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_RESOLUTION, 0);
}

static void
gst_gemma_vision_enc_init (GstGemmaVisionEnc *self)
{
  gemma_model_user_init (&self->user, GST_ELEMENT (self), GEMMA_PART_VISION);
  gemma_frame_queue_init (&self->queue);
  self->cancellable = g_cancellable_new ();
  self->resolution = DEFAULT_RESOLUTION;
  self->picking = (GemmaPickerSettings) { .max_rate_d = 1, .threshold = DEFAULT_THRESHOLD };
  self->qos = TRUE;
  self->frame_duration = GST_CLOCK_TIME_NONE;
  forget (self);

  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_gemma_vision_enc_chain));
  gst_pad_set_event_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_gemma_vision_enc_sink_event));
  gst_pad_set_query_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_gemma_vision_enc_query));
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);

  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_activatemode_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_vision_enc_src_activate_mode));
  gst_pad_set_event_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_vision_enc_src_event));
  gst_pad_set_query_function (self->srcpad, GST_DEBUG_FUNCPTR (gst_gemma_vision_enc_query));
  gst_pad_use_fixed_caps (self->srcpad);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
