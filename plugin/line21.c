#include "line21.h"

#include <gst/gemma/gemma.h>

/* Field 1 carries 29.97 pairs a second. A frame that follows a pair sooner than this (1001/30000 s less a tenth, since
 * the times of cameras vary) gets none. */
#define MIN_INTERVAL (30 * GST_MSECOND)
/* CTA-708: cc_data is filled up to 600 triplets a second; SEI messages hold 31 a frame. */
#define TRIPLETS_PER_SECOND 600
#define MAX_TRIPLETS 31

struct _GemmaLine21
{
  GstPad *pad;
  gulong probe;

  GMutex lock;                  /* guards what follows */
  GstGemmaCea608Encoder *encoder;
  GstVideoCaptionType type;
  GstSegment segment;
  gint fps_n, fps_d;
  GstClockTime now;             /* running time of the last frame */
  GstClockTime next;            /* when the next pair may be sent */
};

static void
put_triplet (guint8 *triplet, guint8 marker, guint8 first, guint8 second)
{
  triplet[0] = marker;
  triplet[1] = first;
  triplet[2] = second;
}

/* Above 30 frames a second the fields take turns; below, a frame has both. */
static gsize
make_cc_data (GemmaLine21 *self, const guint8 *pair, gboolean field1, guint8 *data)
{
  gboolean alternate = self->fps_n > 30 * self->fps_d;
  guint count = self->fps_n ? MIN (TRIPLETS_PER_SECOND * (guint64) self->fps_d / self->fps_n, MAX_TRIPLETS) : 0, n = 0;

  if (field1 || !alternate)
    put_triplet (data + 3 * n++, 0xFC, pair[0], pair[1]);
  if (!field1 || !alternate)
    put_triplet (data + 3 * n++, 0xFD, 0x80, 0x80);
  while (n < count)
    put_triplet (data + 3 * n++, 0xFA, 0, 0);
  return 3 * n;
}

/* The lock is held. */
static GstBuffer *
add_meta (GemmaLine21 *self, GstBuffer *buffer)
{
  guint8 pair[2] = { 0x80, 0x80 }, data[3 * MAX_TRIPLETS];
  gboolean due = self->now >= self->next;

  if (due) {
    gst_gemma_cea608_encoder_take_pair (self->encoder, self->now, pair);
    self->next = self->now + MIN_INTERVAL;
  }
  buffer = gst_buffer_make_writable (buffer);
  if (self->type == GST_VIDEO_CAPTION_TYPE_CEA608_RAW)
    gst_buffer_add_video_caption_meta (buffer, self->type, pair, sizeof (pair));
  else
    gst_buffer_add_video_caption_meta (buffer, self->type, data, make_cc_data (self, pair, due, data));
  return buffer;
}

static void
take_time (GemmaLine21 *self, GstBuffer *buffer)
{
  GstClockTime time = GST_BUFFER_PTS (buffer);

  if (self->segment.format == GST_FORMAT_TIME)
    time = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, time);
  if (GST_CLOCK_TIME_IS_VALID (time))
    self->now = time;
}

/* The lock is held. */
static void
forget (GemmaLine21 *self)
{
  self->now = self->next = 0;
  gst_gemma_cea608_encoder_reset (self->encoder);
}

static void
watch_event (GemmaLine21 *self, GstEvent *event)
{
  GstVideoInfo info;
  GstCaps *caps;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      gst_event_parse_caps (event, &caps);
      self->fps_n = 0;
      if (gst_video_info_from_caps (&info, caps)) {
        self->fps_n = GST_VIDEO_INFO_FPS_N (&info);
        self->fps_d = GST_VIDEO_INFO_FPS_D (&info);
      }
      break;
    case GST_EVENT_SEGMENT:
      gst_event_copy_segment (event, &self->segment);
      break;
    case GST_EVENT_FLUSH_STOP:
      forget (self);
      break;
    default:
      break;
  }
}

static GstPadProbeReturn
on_data (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GemmaLine21 *self = data;

  g_mutex_lock (&self->lock);
  if (!(info->type & GST_PAD_PROBE_TYPE_BUFFER)) {
    watch_event (self, GST_PAD_PROBE_INFO_EVENT (info));
  } else {
    take_time (self, GST_PAD_PROBE_INFO_BUFFER (info));
    if (self->type != GST_VIDEO_CAPTION_TYPE_UNKNOWN)
      info->data = add_meta (self, GST_PAD_PROBE_INFO_BUFFER (info));
  }
  g_mutex_unlock (&self->lock);
  return GST_PAD_PROBE_OK;
}

gboolean
gemma_line21_add_text (GemmaLine21 *self, GstClockTime time, GstClockTime duration, const gchar *text)
{
  gboolean ok = TRUE;

  g_mutex_lock (&self->lock);
  if (self->type != GST_VIDEO_CAPTION_TYPE_UNKNOWN)
    ok = gst_gemma_cea608_encoder_add_text (self->encoder, MAX (time, self->now), duration, text);
  g_mutex_unlock (&self->lock);
  return ok;
}

void
gemma_line21_set_type (GemmaLine21 *self, GstVideoCaptionType type)
{
  g_mutex_lock (&self->lock);
  if (type == GST_VIDEO_CAPTION_TYPE_UNKNOWN && self->type != type)
    gst_gemma_cea608_encoder_reset (self->encoder);
  self->type = type;
  g_mutex_unlock (&self->lock);
}

void
gemma_line21_set_rows (GemmaLine21 *self, guint rows)
{
  g_mutex_lock (&self->lock);
  gst_gemma_cea608_encoder_set_layout (self->encoder, rows, 15, 0);
  g_mutex_unlock (&self->lock);
}

void
gemma_line21_reset (GemmaLine21 *self)
{
  g_mutex_lock (&self->lock);
  forget (self);
  g_mutex_unlock (&self->lock);
}

GemmaLine21 *
gemma_line21_new (GstPad *pad)
{
  GemmaLine21 *self = g_new0 (GemmaLine21, 1);

  self->pad = gst_object_ref (pad);
  self->encoder = gst_gemma_cea608_encoder_new ();
  self->type = GST_VIDEO_CAPTION_TYPE_UNKNOWN;
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  g_mutex_init (&self->lock);
  self->probe = gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM |
      GST_PAD_PROBE_TYPE_EVENT_FLUSH, on_data, self, NULL);
  return self;
}

void
gemma_line21_free (GemmaLine21 *self)
{
  gst_pad_remove_probe (self->pad, self->probe);
  gst_object_unref (self->pad);
  g_object_unref (self->encoder);
  g_mutex_clear (&self->lock);
  g_free (self);
}
