/**
 * SECTION:element-gemmahlswebvttsink
 * @title: gemmahlswebvttsink
 *
 * A WebVTT rendition for HLS: timed text to segments and their media playlist, beside the video that hlssink2 writes.
 * Both need the same `target-duration`; a master playlist that names them (EXT-X-MEDIA with TYPE=SUBTITLES, and
 * SUBTITLES in EXT-X-STREAM-INF) is the application's.
 *
 * Times are running times, as in the MPEG-TS segments of hlssink2: X-TIMESTAMP-MAP in every segment says where
 * mpegtsmux begins. A cue is in every segment that it is seen in. Segments of silence are empty, but there: what comes
 * later, GAP events and, when the source is live, the clock close a segment. By the clock that is when the latency that
 * upstream has promised is over after its end. Text that comes later still is in the next segment, with its own times.
 *
 * Playlist and segments are complete whenever they can be seen: they are written under another name and renamed. A
 * seek that begins running time anew is an EXT-X-DISCONTINUITY. Files are deleted when there are more than `max-files`,
 * but never one that the playlist names.
 *
 * ## Example
 * |[
 * gst-launch-1.0 -e autoaudiosrc ! tee name=sound ! queue ! gemmatranscriber streaming=partial !
 *     gemmahlswebvttsink location=en%05d.vtt playlist-location=en.m3u8 target-duration=4
 *     sound. ! queue ! audioconvert ! voaacenc ! aacparse ! hls.audio
 *     v4l2src ! videoconvert ! openh264enc ! h264parse ! hls.video
 *     hlssink2 name=hls location=video%05d.ts playlist-location=video.m3u8 target-duration=4
 * ]|
 */
#include "gemmahlswebvttsink.h"

#include "cue-text.h"
#include "debug.h"
#include "hls-playlist.h"
#include "stream.h"
#include "webvtt-segments.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <gst/gemma/gemma.h>
#include <unistd.h>

/* How long text without a duration is shown. */
#define DEFAULT_DURATION (2 * GST_SECOND)
/* The rendition ends with its last cue, but not later than this after the cue's start. */
#define MAX_LAST_CUE (60 * GST_SECOND)
/* A stream that jumps further has wrong times; every segment in between would be a file. */
#define MAX_JUMP (24 * 3600 * GST_SECOND)

enum
{
  PROP_0,
  PROP_LOCATION,
  PROP_PLAYLIST_LOCATION,
  PROP_PLAYLIST_ROOT,
  PROP_TARGET_DURATION,
  PROP_PLAYLIST_LENGTH,
  PROP_MAX_FILES,
  PROP_MPEGTS_OFFSET
};

typedef struct
{
  gchar *location, *playlist_location, *playlist_root;
  guint target_duration, playlist_length, max_files;
  gint64 mpegts_offset;
} Settings;

struct _GstGemmaHlsWebvttSink
{
  GstBaseSink parent;
  Settings settings;            /* object lock */
  Settings used;                /* those of the start */
  gboolean markup;              /* the streaming thread's: what the text is */

  GMutex lock;                  /* guards what follows */
  GemmaWebvttSegments *segments;
  GemmaHlsPlaylist *playlist;
  GQueue files;                 /* gchar *, those that are there, oldest first */
  guint n_segments;             /* that have been written */
  GstClockTime position;        /* up to here the stream is known */
  gboolean discontinuity;       /* time begins anew with the open segment */
  gboolean ended, failed;

  GThread *watch;               /* closes segments of a live stream in time; in PLAYING */
  gboolean watching;
  GstClockID due;               /* what it waits for, or NULL */
  GCond changed;                /* for when there is nothing to wait for */
  guint n_changes;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("text/x-raw, format=(string){ utf8, pango-markup }"));

G_DEFINE_TYPE (GstGemmaHlsWebvttSink, gst_gemma_hls_webvtt_sink, GST_TYPE_BASE_SINK)
GST_ELEMENT_REGISTER_DEFINE (gemmahlswebvttsink, "gemmahlswebvttsink", GST_RANK_NONE, GST_TYPE_GEMMA_HLS_WEBVTT_SINK)

static void
settings_clear (Settings *s)
{
  g_clear_pointer (&s->location, g_free);
  g_clear_pointer (&s->playlist_location, g_free);
  g_clear_pointer (&s->playlist_root, g_free);
}

/* ---- files ------------------------------------------------------------------------------------------- */

/* @pattern with @n in the place of its one %d, %5d or %05d; NULL if it has none or anything else. */
static gchar *
expand_location (const gchar *pattern, guint n)
{
  GString *out = g_string_new (NULL);
  guint n_places = 0;

  for (const gchar *p = pattern; *p; p++) {
    if (*p != '%' || *++p == '%') {
      g_string_append_c (out, *p);
      continue;
    }
    gboolean zeros = *p == '0';
    gint width = 0;
    for (; g_ascii_isdigit (*p) && width < 10; p++)
      width = 10 * width + g_ascii_digit_value (*p);
    if ((*p != 'd' && *p != 'u') || ++n_places > 1) {
      g_string_free (out, TRUE);
      return NULL;
    }
    g_string_append_printf (out, zeros ? "%0*u" : "%*u", width, n);
  }
  return g_string_free (out, n_places == 0);
}

/* Posts one error, after which nothing is written any more. */
static gboolean
write_file (GstGemmaHlsWebvttSink *self, const gchar *path, const gchar *contents)
{
  g_autoptr (GError) error = NULL;

  if (g_file_set_contents_full (path, contents, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0666, &error))
    return TRUE;
  self->failed = TRUE;
  g_autofree gchar *shown = g_filename_display_name (path);
  GST_ELEMENT_ERROR (self, RESOURCE, WRITE, ("cannot write \"%s\": %s", shown, error->message), (NULL));
  return FALSE;
}

static gboolean
write_playlist (GstGemmaHlsWebvttSink *self)
{
  g_autofree gchar *playlist = gemma_hls_playlist_to_string (self->playlist, self->ended);

  return write_file (self, self->used.playlist_location, playlist);
}

static void
delete_old_files (GstGemmaHlsWebvttSink *self)
{
  const Settings *s = &self->used;

  if (s->max_files == 0 || s->playlist_length == 0)
    return;
  while (self->files.length > MAX (s->max_files, s->playlist_length)) {
    g_autofree gchar *path = g_queue_pop_head (&self->files);
    if (g_unlink (path) != 0 && errno != ENOENT)
      GST_WARNING_OBJECT (self, "cannot delete \"%s\": %s", path, g_strerror (errno));
  }
}

static gchar *
make_uri (const Settings *s, const gchar *path)
{
  g_autofree gchar *name = g_path_get_basename (path);
  g_autofree gchar *escaped = g_uri_escape_string (name, NULL, TRUE);

  return s->playlist_root ? g_build_path ("/", s->playlist_root, escaped, NULL) : g_steal_pointer (&escaped);
}

/* ---- segments; all with the lock ------------------------------------------------------------------- */

static gboolean
close_segment (GstGemmaHlsWebvttSink *self, GstClockTime end)
{
  GstClockTime start = gemma_webvtt_segments_get_start (self->segments);
  g_autofree gchar *path = expand_location (self->used.location, self->n_segments);
  g_autofree gchar *uri = make_uri (&self->used, path);
  g_autofree gchar *contents = gemma_webvtt_segments_close (self->segments, end);

  GST_DEBUG_OBJECT (self, "%s: %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT, path, GST_TIME_ARGS (start),
      GST_TIME_ARGS (end));
  if (!write_file (self, path, contents))
    return FALSE;
  self->n_segments++;
  g_queue_push_tail (&self->files, g_steal_pointer (&path));
  gemma_hls_playlist_add (self->playlist, uri, end - start, self->discontinuity);
  self->discontinuity = FALSE;
  if (!write_playlist (self))
    return FALSE;
  delete_old_files (self);
  return TRUE;
}

/* Nothing that has not come yet begins before @position. */
static gboolean
advance (GstGemmaHlsWebvttSink *self, GstClockTime position)
{
  GstClockTime start = gemma_webvtt_segments_get_start (self->segments);

  if (self->failed || self->ended)
    return FALSE;
  if (position > start && position - start > MAX_JUMP) {
    self->failed = TRUE;
    GST_ELEMENT_ERROR (self, STREAM, FAILED, ("text jumps from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT
            ", more than a day", GST_TIME_ARGS (start), GST_TIME_ARGS (position)), (NULL));
    return FALSE;
  }
  while (gemma_webvtt_segments_get_end (self->segments) <= position)
    if (!close_segment (self, gemma_webvtt_segments_get_end (self->segments)))
      return FALSE;
  return TRUE;
}

static void
end_stream (GstGemmaHlsWebvttSink *self)
{
  if (!advance (self, self->position))
    return;
  GstClockTime start = gemma_webvtt_segments_get_start (self->segments);
  if (gemma_webvtt_segments_has_news (self->segments))
    self->position = MAX (self->position, start + GST_SECOND);
  self->ended = TRUE;
  if (self->position > start)
    close_segment (self, self->position);
  else
    write_playlist (self);
}

/* ---- the stream ---------------------------------------------------------------------------------- */

/* The part of @start to @start + @duration that is in the segment, in running time. */
static gboolean
to_running_time (GstGemmaHlsWebvttSink *self, GstClockTime start, GstClockTime duration, GstClockTime *from,
    GstClockTime *to)
{
  const GstSegment *segment = &GST_BASE_SINK (self)->segment;
  guint64 clipped_start, clipped_end;

  if (segment->format != GST_FORMAT_TIME || !GST_CLOCK_TIME_IS_VALID (start) ||
      !gst_segment_clip (segment, GST_FORMAT_TIME, start, start + MIN (duration, GST_CLOCK_TIME_NONE - 1 - start),
          &clipped_start, &clipped_end))
    return FALSE;
  *from = gst_segment_to_running_time (segment, GST_FORMAT_TIME, clipped_start);
  *to = gst_segment_to_running_time (segment, GST_FORMAT_TIME, clipped_end);
  if (segment->rate < 0.) {     /* its end is played first */
    GstClockTime first = *to;
    *to = *from;
    *from = first;
  }
  return GST_CLOCK_TIME_IS_VALID (*from) && GST_CLOCK_TIME_IS_VALID (*to) && *from <= *to;
}

static GstFlowReturn
gst_gemma_hls_webvtt_sink_render (GstBaseSink *sink, GstBuffer *buffer)
{
  GstGemmaHlsWebvttSink *self = GST_GEMMA_HLS_WEBVTT_SINK (sink);
  GstClockTime pts = GST_BUFFER_PTS (buffer), duration = GST_BUFFER_DURATION (buffer), from, to;
  g_autofree gchar *text = gemma_stream_read_text (buffer);

  if (!GST_CLOCK_TIME_IS_VALID (duration))
    duration = DEFAULT_DURATION;
  if (!text || (GST_CLOCK_TIME_IS_VALID (pts) && !to_running_time (self, pts, duration, &from, &to)))
    return GST_FLOW_OK;         /* not readable, or not in the segment */
  if (self->markup) {
    g_autoptr (GemmaCueText) cue = gemma_cue_text_new (text, TRUE);
    g_free (text);
    text = gemma_cue_text_get_plain (cue);
  }

  g_mutex_lock (&self->lock);
  if (!GST_CLOCK_TIME_IS_VALID (pts)) {
    from = self->position;
    to = from + MIN (duration, MAX_LAST_CUE);
  }
  gboolean ok = advance (self, from);
  if (ok) {
    gemma_webvtt_segments_add (self->segments, from, to, text);
    self->position = MAX (self->position, MIN (to, from + MAX_LAST_CUE));
  }
  g_mutex_unlock (&self->lock);
  return ok ? GST_FLOW_OK : GST_FLOW_ERROR;
}

static void
take_gap (GstGemmaHlsWebvttSink *self, GstEvent *event)
{
  GstClockTime pts, duration, from, to;

  gst_event_parse_gap (event, &pts, &duration);
  if (!to_running_time (self, pts, GST_CLOCK_TIME_IS_VALID (duration) ? duration : 0, &from, &to))
    return;
  g_mutex_lock (&self->lock);
  self->position = MAX (self->position, to);
  advance (self, to);
  g_mutex_unlock (&self->lock);
}

/* The watch looks again at what it should wait for. */
static void
wake_watch (GstGemmaHlsWebvttSink *self)
{
  self->n_changes++;
  if (self->due)
    gst_clock_id_unschedule (self->due);
  g_cond_broadcast (&self->changed);
}

static void
take_flush (GstGemmaHlsWebvttSink *self, GstEvent *event)
{
  gboolean reset_time;

  gst_event_parse_flush_stop (event, &reset_time);
  g_mutex_lock (&self->lock);
  GstClockTime start = reset_time ? 0 : gemma_webvtt_segments_get_start (self->segments);
  gemma_webvtt_segments_restart (self->segments, start);
  self->position = start;
  self->discontinuity |= reset_time && self->n_segments > 0;
  self->ended = FALSE;
  wake_watch (self);
  g_mutex_unlock (&self->lock);
}

static gboolean
gst_gemma_hls_webvtt_sink_event (GstBaseSink *sink, GstEvent *event)
{
  GstGemmaHlsWebvttSink *self = GST_GEMMA_HLS_WEBVTT_SINK (sink);
  GstSegment segment;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_SEGMENT:
      if (!gemma_stream_take_segment (GST_ELEMENT (self), event, &segment, "Text")) {
        gst_event_unref (event);
        return FALSE;
      }
      g_mutex_lock (&self->lock);
      wake_watch (self);
      g_mutex_unlock (&self->lock);
      break;
    case GST_EVENT_GAP:
      take_gap (self, event);
      break;
    case GST_EVENT_FLUSH_STOP:
      take_flush (self, event);
      break;
    case GST_EVENT_EOS:
      g_mutex_lock (&self->lock);
      end_stream (self);
      wake_watch (self);
      g_mutex_unlock (&self->lock);
      break;
    default:
      break;
  }
  return GST_BASE_SINK_CLASS (gst_gemma_hls_webvtt_sink_parent_class)->event (sink, event);
}

/* A pipeline whose latency has changed tells its sinks. */
static gboolean
gst_gemma_hls_webvtt_sink_send_event (GstElement *element, GstEvent *event)
{
  GstGemmaHlsWebvttSink *self = GST_GEMMA_HLS_WEBVTT_SINK (element);
  gboolean is_latency = GST_EVENT_TYPE (event) == GST_EVENT_LATENCY;
  gboolean ok = GST_ELEMENT_CLASS (gst_gemma_hls_webvtt_sink_parent_class)->send_event (element, event);

  if (is_latency) {
    g_mutex_lock (&self->lock);
    wake_watch (self);
    g_mutex_unlock (&self->lock);
  }
  return ok;
}

static gboolean
gst_gemma_hls_webvtt_sink_set_caps (GstBaseSink *sink, GstCaps *caps)
{
  const gchar *format = gst_structure_get_string (gst_caps_get_structure (caps, 0), "format");

  GST_GEMMA_HLS_WEBVTT_SINK (sink)->markup = g_strcmp0 (format, "pango-markup") == 0;
  return TRUE;
}

/* ---- the clock ------------------------------------------------------------------------------------------ */

/* How long after its time text of a live source may come; NONE: the source is not live, or there is none yet. */
static GstClockTime
query_live_latency (GstGemmaHlsWebvttSink *self)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  GstClockTime min;
  gboolean live;

  if (!gst_pad_peer_query (GST_BASE_SINK_PAD (self), query))
    return GST_CLOCK_TIME_NONE;
  gst_query_parse_latency (query, &live, &min, NULL);
  return live ? MAX (min, gst_base_sink_get_latency (GST_BASE_SINK (self))) : GST_CLOCK_TIME_NONE;
}

/* Waits, without the lock, until the clock shows @time or something has changed. */
static gboolean
wait_until (GstGemmaHlsWebvttSink *self, GstClock *clock, GstClockTime time)
{
  GstClockID id = self->due = gst_clock_new_single_shot_id (clock, time);

  g_mutex_unlock (&self->lock);
  GstClockReturn ret = gst_clock_id_wait (id, NULL);
  g_mutex_lock (&self->lock);
  self->due = NULL;
  gst_clock_id_unref (id);
  return ret == GST_CLOCK_OK || ret == GST_CLOCK_EARLY;
}

static gpointer
watch_clock (gpointer data)
{
  GstGemmaHlsWebvttSink *self = data;
  g_autoptr (GstClock) clock = gst_element_get_clock (GST_ELEMENT (self));
  GstClockTime base_time = gst_element_get_base_time (GST_ELEMENT (self));

  g_mutex_lock (&self->lock);
  while (clock && self->watching && !self->failed) {
    guint n_changes = self->n_changes;
    g_mutex_unlock (&self->lock);
    GstClockTime latency = query_live_latency (self);
    g_mutex_lock (&self->lock);
    if (n_changes != self->n_changes)
      continue;
    if (!GST_CLOCK_TIME_IS_VALID (latency) || self->ended) {
      g_cond_wait (&self->changed, &self->lock);
      continue;
    }
    GstClockTime end = gemma_webvtt_segments_get_end (self->segments);
    if (wait_until (self, clock, base_time + end + latency) && self->watching && !self->ended) {
      self->position = MAX (self->position, end);
      advance (self, end);
    }
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

/* A live stream that is joined late begins here, in whole segments. */
static void
skip_the_past (GstGemmaHlsWebvttSink *self)
{
  GstClockTime now = gst_element_get_current_running_time (GST_ELEMENT (self));
  GstClockTime duration = self->used.target_duration * GST_SECOND;

  if (!GST_CLOCK_TIME_IS_VALID (now) || !GST_CLOCK_TIME_IS_VALID (query_live_latency (self)))
    return;
  g_mutex_lock (&self->lock);
  if (self->n_segments == 0 && self->position == 0)
    gemma_webvtt_segments_restart (self->segments, now / duration * duration);
  g_mutex_unlock (&self->lock);
}

static void
start_watch (GstGemmaHlsWebvttSink *self)
{
  skip_the_past (self);
  self->watching = TRUE;
  self->watch = g_thread_new ("gemma-hls-clock", watch_clock, self);
}

static void
stop_watch (GstGemmaHlsWebvttSink *self)
{
  if (!self->watch)
    return;
  g_mutex_lock (&self->lock);
  self->watching = FALSE;
  wake_watch (self);
  g_mutex_unlock (&self->lock);
  g_thread_join (g_steal_pointer (&self->watch));
}

/* ---- states ----------------------------------------------------------------------------------------------- */

static gboolean
check_folder (GstGemmaHlsWebvttSink *self, const gchar *path)
{
  g_autofree gchar *folder = g_path_get_dirname (path);
  g_autofree gchar *shown = g_filename_display_name (path);
  gint code = g_access (folder, W_OK | X_OK) != 0 ? errno : g_file_test (folder, G_FILE_TEST_IS_DIR) ? 0 : ENOTDIR;

  if (code)
    GST_ELEMENT_ERROR (self, RESOURCE, OPEN_WRITE, ("cannot write \"%s\": %s", shown, g_strerror (code)), (NULL));
  return code == 0;
}

static gboolean
check_locations (GstGemmaHlsWebvttSink *self)
{
  const Settings *s = &self->used;
  g_autofree gchar *first = s->location ? expand_location (s->location, 0) : NULL;

  if (!first) {
    g_autofree gchar *shown = s->location ? g_filename_display_name (s->location) : NULL;
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS, ("location \"%s\" needs one %%d, as in subtitles%%05d.vtt",
            GST_STR_NULL (shown)), (NULL));
    return FALSE;
  }
  if (!s->playlist_location || !*s->playlist_location) {
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS, ("playlist-location is empty"), (NULL));
    return FALSE;
  }
  return check_folder (self, first) && check_folder (self, s->playlist_location);
}

/* Not GstBaseSink's start, whose failure is a second error without a reason. */
static gboolean
open_rendition (GstGemmaHlsWebvttSink *self)
{
  Settings *s = &self->used;

  settings_clear (s);
  GST_OBJECT_LOCK (self);
  *s = self->settings;
  s->location = g_strdup (s->location);
  s->playlist_location = g_strdup (s->playlist_location);
  s->playlist_root = g_strdup (s->playlist_root);
  GST_OBJECT_UNLOCK (self);
  if (!check_locations (self))
    return FALSE;
  g_mutex_lock (&self->lock);
  self->segments = gemma_webvtt_segments_new (s->target_duration * GST_SECOND,
      s->mpegts_offset < 0 ? GST_GEMMA_WEBVTT_NO_MAP : (guint64) s->mpegts_offset);
  self->playlist = gemma_hls_playlist_new (s->target_duration, s->playlist_length);
  self->n_segments = 0;
  self->position = 0;
  self->discontinuity = self->ended = self->failed = FALSE;
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static void
close_rendition (GstGemmaHlsWebvttSink *self)
{
  g_clear_pointer (&self->segments, gemma_webvtt_segments_free);
  g_clear_pointer (&self->playlist, gemma_hls_playlist_free);
  g_queue_clear_full (&self->files, g_free);
  self->markup = FALSE;
}

static GstStateChangeReturn
gst_gemma_hls_webvtt_sink_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaHlsWebvttSink *self = GST_GEMMA_HLS_WEBVTT_SINK (element);

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !open_rendition (self))
    return GST_STATE_CHANGE_FAILURE;
  if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
    stop_watch (self);
  GstStateChangeReturn ret =
      GST_ELEMENT_CLASS (gst_gemma_hls_webvtt_sink_parent_class)->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING && ret != GST_STATE_CHANGE_FAILURE)
    start_watch (self);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED && ret == GST_STATE_CHANGE_FAILURE))
    close_rendition (self);
  return ret;
}

/* ---- object ---------------------------------------------------------------------------------------------- */

static void
gst_gemma_hls_webvtt_sink_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  Settings *s = &GST_GEMMA_HLS_WEBVTT_SINK (object)->settings;
  gchar **strings[] = { &s->location, &s->playlist_location };

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_LOCATION:
    case PROP_PLAYLIST_LOCATION:
      g_free (*strings[id - PROP_LOCATION]);
      *strings[id - PROP_LOCATION] = g_value_dup_string (value);
      break;
    case PROP_PLAYLIST_ROOT:
      g_free (s->playlist_root);
      s->playlist_root = gemma_stream_take_text (value);
      break;
    case PROP_TARGET_DURATION: s->target_duration = g_value_get_uint (value); break;
    case PROP_PLAYLIST_LENGTH: s->playlist_length = g_value_get_uint (value); break;
    case PROP_MAX_FILES: s->max_files = g_value_get_uint (value); break;
    case PROP_MPEGTS_OFFSET: s->mpegts_offset = g_value_get_int64 (value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec); break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_gemma_hls_webvtt_sink_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  const Settings *s = &GST_GEMMA_HLS_WEBVTT_SINK (object)->settings;

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_LOCATION: g_value_set_string (value, s->location); break;
    case PROP_PLAYLIST_LOCATION: g_value_set_string (value, s->playlist_location); break;
    case PROP_PLAYLIST_ROOT: g_value_set_string (value, s->playlist_root); break;
    case PROP_TARGET_DURATION: g_value_set_uint (value, s->target_duration); break;
    case PROP_PLAYLIST_LENGTH: g_value_set_uint (value, s->playlist_length); break;
    case PROP_MAX_FILES: g_value_set_uint (value, s->max_files); break;
    case PROP_MPEGTS_OFFSET: g_value_set_int64 (value, s->mpegts_offset); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec); break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_gemma_hls_webvtt_sink_finalize (GObject *object)
{
  GstGemmaHlsWebvttSink *self = GST_GEMMA_HLS_WEBVTT_SINK (object);

  settings_clear (&self->settings);
  settings_clear (&self->used);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (gst_gemma_hls_webvtt_sink_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  g_object_class_install_property (klass, PROP_LOCATION, g_param_spec_string ("location", "Location",
          "Where segments are written; %d, or %05d for leading zeros, is the place of the number",
          "subtitles%05d.vtt", flags));
  g_object_class_install_property (klass, PROP_PLAYLIST_LOCATION, g_param_spec_string ("playlist-location",
          "Playlist location", "Where the media playlist is written", "subtitles.m3u8", flags));
  g_object_class_install_property (klass, PROP_PLAYLIST_ROOT, g_param_spec_string ("playlist-root", "Playlist root",
          "What the playlist writes before the names of segments (NULL: nothing, they are beside it)", NULL, flags));
  g_object_class_install_property (klass, PROP_TARGET_DURATION, g_param_spec_uint ("target-duration",
          "Target duration", "Seconds a segment; as in the hlssink2 that writes the video", 1, 3600, 15, flags));
  g_object_class_install_property (klass, PROP_PLAYLIST_LENGTH, g_param_spec_uint ("playlist-length",
          "Playlist length", "Segments in the playlist (0: all of them)", 0, G_MAXUINT, 5, flags));
  g_object_class_install_property (klass, PROP_MAX_FILES, g_param_spec_uint ("max-files", "Max files",
          "Segments that are kept, the oldest are deleted; those in the playlist always stay (0: all of them)", 0,
          G_MAXUINT, 10, flags));
  g_object_class_install_property (klass, PROP_MPEGTS_OFFSET, g_param_spec_int64 ("mpegts-offset", "MPEG-TS offset",
          "MPEG-TS time of running time 0 in the video's segments, in 1/90000 s, for X-TIMESTAMP-MAP (-1: none); "
          "mpegtsmux, and so hlssink2, begins at the default", -1, (G_GINT64_CONSTANT (1) << 33) - 1, 324000000,
          flags));
}

static void
gst_gemma_hls_webvtt_sink_class_init (GstGemmaHlsWebvttSinkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *sink_class = GST_BASE_SINK_CLASS (klass);

  object_class->set_property = gst_gemma_hls_webvtt_sink_set_property;
  object_class->get_property = gst_gemma_hls_webvtt_sink_get_property;
  object_class->finalize = gst_gemma_hls_webvtt_sink_finalize;
  element_class->send_event = GST_DEBUG_FUNCPTR (gst_gemma_hls_webvtt_sink_send_event);
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_hls_webvtt_sink_change_state);
  sink_class->set_caps = GST_DEBUG_FUNCPTR (gst_gemma_hls_webvtt_sink_set_caps);
  sink_class->event = GST_DEBUG_FUNCPTR (gst_gemma_hls_webvtt_sink_event);
  sink_class->render = GST_DEBUG_FUNCPTR (gst_gemma_hls_webvtt_sink_render);
  install_properties (object_class);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_set_static_metadata (element_class, "HLS WebVTT sink", "Sink/Subtitle",
      "Writes timed text as a WebVTT rendition for HLS: segments and their media playlist", "gst-gemma");
}

static void
gst_gemma_hls_webvtt_sink_init (GstGemmaHlsWebvttSink *self)
{
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  g_queue_init (&self->files);
  self->settings.location = g_strdup ("subtitles%05d.vtt");
  self->settings.playlist_location = g_strdup ("subtitles.m3u8");
  self->settings.target_duration = 15;
  self->settings.playlist_length = 5;
  self->settings.max_files = 10;
  self->settings.mpegts_offset = 324000000;
  /* Text is written when it comes, and it comes when somebody speaks. */
  gst_base_sink_set_sync (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_async_enabled (GST_BASE_SINK (self), FALSE);
}
