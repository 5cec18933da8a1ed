/**
 * SECTION:element-gemmacea608enc
 * @title: gemmacea608enc
 *
 * Timed text to line 21 captions: CEA-608, field 1, channel CC1, in roll-up mode. Every slot of the frame rate gets
 * a buffer with one pair of bytes: padding (0x80 0x80) where nothing is to be sent, so that cccombiner never waits
 * for one. The frame rate is what downstream asks for, else 30000/1001; above 30 frames a second, only every second
 * (third…) slot carries anything, as more than 30 pairs a second do not fit into field 1.
 *
 * A text of one row is complete on the screen at its PTS, if it was known early enough; of a longer one, each row
 * is complete when it is said, by its share of the DURATION. Live, text is known after it was said, and sent at
 * once. A slot leaves when text or GAP events have told what it has to carry.
 *
 * Characters are those of CEA-608: the basic and special ones and both extended sets (Spanish, French, Portuguese,
 * German, Danish), each of the latter after a basic one for receivers without them. Others become the nearest of
 * them; Greek and Cyrillic are transliterated; of other scripts every character becomes a question mark.
 *
 * The event `rstranscribe/speaker-change` begins a new row.
 *
 * ccconverter makes cc_data and CDP for CEA-708 from this. These carry the captions as CEA-608 compatibility bytes,
 * which receivers and players decode; ccconverter adds no DTVCC services, so elements that only know these
 * (cc708overlay) show nothing.
 *
 * ## Examples
 * |[
 * gst-launch-1.0 filesrc location=talk.srt ! subparse ! gemmacea608enc ! ccconverter !
 *     "closedcaption/x-cea-708,format=cc_data" ! c.caption videotestsrc ! cccombiner name=c ! x264enc ! mpegtsmux !
 *     filesink location=talk.ts
 * ]| Captions in the SEI messages of H.264.
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! gemmatranscriber ! gemmacea608enc ! ccconverter !
 *     "closedcaption/x-cea-608,format=s334-1a" ! qtmux ! filesink location=captions.mov
 * ]| A caption track.
 */
#include "gemmacea608enc.h"

#include "debug.h"
#include "stream.h"

#include <gst/gemma/gemma.h>

/* Where nothing is sent for longer than this, GAP events take the place of padding. */
#define MAX_PADDING (10 * GST_SECOND)
/* So long before the next text padding begins again: a row is sent in less. */
#define LEAD (2 * GST_SECOND)
/* A stream that has ended goes on for so long at the most, until its captions are erased. */
#define MAX_AFTER_END (30 * GST_SECOND)
/* Field 1 carries no more pairs a second (29.97, rounded up). */
#define MAX_PAIRS 30

typedef enum
{
  MODE_ROLL_UP2 = 2,            /* the value is the number of rows */
  MODE_ROLL_UP3,
  MODE_ROLL_UP4
} Mode;

enum
{
  PROP_0,
  PROP_MODE,
  PROP_ORIGIN_ROW,
  PROP_ORIGIN_COLUMN,
  PROP_ROLL_UP_TIMEOUT,
  PROP_ROW_PAUSE,
  PROP_SPEAKER_PREFIX
};

struct _GstGemmaCea608Enc
{
  GstElement parent;
  GstPad *sink, *src;

  GMutex lock;                  /* guards what follows */
  Mode mode;
  gint origin_row;
  guint origin_column;
  guint64 roll_up_timeout, row_pause;
  gchar *speaker_prefix;
  gboolean changed;             /* any of these */
  gint fps_n, fps_d;            /* 0/1: not negotiated */

  /* The streaming thread's. */
  GstGemmaCea608Encoder *encoder;
  GstSegment segment;
  GstClockTime start;           /* of slot 0 */
  guint64 n_slots;              /* that have left since */
  GstFlowReturn flow;           /* of what left last */
  gboolean discont, behind;     /* behind: a warning about text that was not taken has been posted */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("closedcaption/x-cea-608, format=(string)raw, framerate=(fraction)[ 1/1, 240/1 ]"));

G_DEFINE_TYPE (GstGemmaCea608Enc, gst_gemma_cea608_enc, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (gemmacea608enc, "gemmacea608enc", GST_RANK_NONE, GST_TYPE_GEMMA_CEA608_ENC)

#define GST_TYPE_GEMMA_CEA608_MODE (gst_gemma_cea608_mode_get_type ())
static G_DEFINE_ENUM_TYPE (GstGemmaCea608Mode, gst_gemma_cea608_mode,
    { MODE_ROLL_UP2, "Two rows that roll up", "roll-up2" },
    { MODE_ROLL_UP3, "Three rows that roll up", "roll-up3" },
    { MODE_ROLL_UP4, "Four rows that roll up", "roll-up4" })

/* ---- slots ----------------------------------------------------------------------------------- */

static GstClockTime
get_slot_time (GstGemmaCea608Enc *self, guint64 n)
{
  return self->start + gst_util_uint64_scale (n, self->fps_d * GST_SECOND, self->fps_n);
}

/* Slots go on from there without an overflow; a negative time that somebody took for a GstClockTime is later. */
static GstClockTime
bound_time (GstClockTime time)
{
  return MIN (time, (GstClockTime) G_MAXINT64);
}

/* So many slots for one that carries something. */
static guint
get_divider (GstGemmaCea608Enc *self)
{
  return MAX (1, (self->fps_n + MAX_PAIRS * self->fps_d - 1) / (MAX_PAIRS * self->fps_d));
}

static void
begin_slots (GstGemmaCea608Enc *self, GstClockTime start)
{
  self->start = start;
  self->n_slots = 0;
}

static void
apply_settings (GstGemmaCea608Enc *self)
{
  g_mutex_lock (&self->lock);
  if (self->changed) {
    guint row = self->origin_row < 0 ? 15 : MAX ((guint) self->origin_row + 1, self->mode);
    gst_gemma_cea608_encoder_set_layout (self->encoder, self->mode, row, self->origin_column);
    gst_gemma_cea608_encoder_set_timing (self->encoder,
        gst_util_uint64_scale (get_divider (self), self->fps_d * GST_SECOND, self->fps_n), self->roll_up_timeout,
        self->row_pause);
    self->changed = FALSE;
  }
  g_mutex_unlock (&self->lock);
}

static void
push_slot (GstGemmaCea608Enc *self)
{
  GstClockTime time = get_slot_time (self, self->n_slots), end = get_slot_time (self, self->n_slots + 1);
  guint8 pair[2] = { 0x80, 0x80 };
  GstBuffer *buffer;

  if (self->n_slots % get_divider (self) == 0)
    gst_gemma_cea608_encoder_take_pair (self->encoder, time, pair);
  buffer = gst_buffer_new_memdup (pair, sizeof (pair));
  GST_BUFFER_PTS (buffer) = time;
  GST_BUFFER_DURATION (buffer) = end - time;
  if (self->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  self->discont = FALSE;
  self->n_slots++;
  self->flow = gst_pad_push (self->src, buffer);
}

/* Nothing to send for long: all but the end of it is a GAP. */
static void
skip_slots (GstGemmaCea608Enc *self, GstClockTime until)
{
  GstClockTime time = get_slot_time (self, self->n_slots);

  if (until < time + MAX_PADDING || !gst_gemma_cea608_encoder_is_idle (self->encoder))
    return;
  gst_pad_push_event (self->src, gst_event_new_gap (time, until - LEAD - time));
  begin_slots (self, until - LEAD);
}

/* What is to be sent before @until is known. */
static void
advance (GstGemmaCea608Enc *self, GstClockTime until)
{
  self->flow = GST_FLOW_OK;
  while (self->flow == GST_FLOW_OK && get_slot_time (self, self->n_slots + 1) <= until) {
    push_slot (self);
    if (gst_gemma_cea608_encoder_is_idle (self->encoder))
      skip_slots (self, until);
  }
}

/* What was there long before @until is sent and erased, so that the rest of the pause can be a GAP. */
static void
finish_long_before (GstGemmaCea608Enc *self, GstClockTime until)
{
  self->flow = GST_FLOW_OK;
  while (self->flow == GST_FLOW_OK && !gst_gemma_cea608_encoder_is_idle (self->encoder) &&
      get_slot_time (self, self->n_slots + 1) + MAX_PADDING <= until)
    push_slot (self);
}

/* No more text will come: all of it is sent, and with @erase, erased when it is time, if that is soon. */
static void
drain (GstGemmaCea608Enc *self, gboolean erase)
{
  self->flow = GST_FLOW_OK;
  if (!self->fps_n)
    return;
  while (self->flow == GST_FLOW_OK && gst_gemma_cea608_encoder_has_text (self->encoder))
    push_slot (self);

  GstClockTime latest = get_slot_time (self, self->n_slots) + MAX_AFTER_END;
  while (erase && self->flow == GST_FLOW_OK && !gst_gemma_cea608_encoder_is_idle (self->encoder) &&
      get_slot_time (self, self->n_slots) < latest)
    push_slot (self);
}

/* ---- caps --------------------------------------------------------------------------------------- */

static gboolean
set_rate (GstGemmaCea608Enc *self, GstCaps *caps)
{
  gint fps_n, fps_d;

  if (!gst_structure_get_fraction (gst_caps_get_structure (caps, 0), "framerate", &fps_n, &fps_d) || fps_n <= 0)
    return FALSE;
  if (fps_n == self->fps_n && fps_d == self->fps_d)
    return TRUE;
  if (self->fps_n)
    begin_slots (self, get_slot_time (self, self->n_slots));
  g_mutex_lock (&self->lock);
  self->fps_n = fps_n;
  self->fps_d = fps_d;
  self->changed = TRUE;
  g_mutex_unlock (&self->lock);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
  return gst_pad_push_event (self->src, gst_event_new_caps (caps));
}

static gboolean
negotiate (GstGemmaCea608Enc *self)
{
  g_autoptr (GstCaps) caps = gst_pad_get_allowed_caps (self->src);

  if (!caps)
    caps = gst_pad_get_pad_template_caps (self->src);
  if (gst_caps_is_empty (caps))
    return FALSE;
  caps = gst_caps_truncate (gst_caps_make_writable (caps));
  gst_structure_fixate_field_nearest_fraction (gst_caps_get_structure (caps, 0), "framerate", 30000, 1001);
  caps = gst_caps_fixate (caps);
  return set_rate (self, caps);
}

static gboolean
ensure_caps (GstGemmaCea608Enc *self)
{
  if ((!self->fps_n || gst_pad_check_reconfigure (self->src)) && !negotiate (self)) {
    gst_pad_mark_reconfigure (self->src);
    return FALSE;
  }
  apply_settings (self);
  return TRUE;
}

/* ---- data ----------------------------------------------------------------------------------------- */

static void
add_text (GstGemmaCea608Enc *self, GstBuffer *buffer)
{
  g_autofree gchar *text = gemma_stream_read_text (buffer);

  if (!text)
    return;
  gboolean taken = gst_gemma_cea608_encoder_add_text (self->encoder, GST_BUFFER_PTS (buffer),
      GST_BUFFER_DURATION (buffer), text);
  if (!taken && !self->behind)
    GST_ELEMENT_WARNING (self, STREAM, ENCODE, ("Text comes faster than line 21 captions can carry it; some is left out"),
        ("%" GST_TIME_FORMAT, GST_TIME_ARGS (GST_BUFFER_PTS (buffer))));
  self->behind = !taken;
}

static GstFlowReturn
gst_gemma_cea608_enc_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstGemmaCea608Enc *self = GST_GEMMA_CEA608_ENC (parent);
  GstClockTime time;

  if (self->segment.format != GST_FORMAT_TIME || !ensure_caps (self)) {
    gst_buffer_unref (buffer);
    return GST_PAD_IS_FLUSHING (self->src) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
  }
  buffer = gst_buffer_make_writable (buffer);
  time = GST_BUFFER_PTS_IS_VALID (buffer) ? bound_time (GST_BUFFER_PTS (buffer)) : get_slot_time (self, self->n_slots);
  GST_BUFFER_PTS (buffer) = time;
  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    GST_BUFFER_DURATION (buffer) = bound_time (GST_BUFFER_DURATION (buffer));
  finish_long_before (self, time);
  skip_slots (self, time);
  if (self->flow == GST_FLOW_OK) {
    add_text (self, buffer);
    advance (self, time);
  }
  gst_buffer_unref (buffer);
  return self->flow;
}

static void
handle_gap (GstGemmaCea608Enc *self, GstEvent *event)
{
  GstClockTime time, duration;

  gst_event_parse_gap (event, &time, &duration);
  time = bound_time (time);
  if (GST_CLOCK_TIME_IS_VALID (duration))
    time = bound_time (time + bound_time (duration));
  if (self->segment.format != GST_FORMAT_TIME || !ensure_caps (self))
    return;
  advance (self, time);
  if (duration == 0)            /* sinks shall not wait for a first text */
    gst_pad_push_event (self->src, gst_event_new_gap (get_slot_time (self, self->n_slots), 0));
}

static gboolean
handle_segment (GstGemmaCea608Enc *self, GstEvent *event)
{
  const GstSegment *segment;

  gst_event_parse_segment (event, &segment);
  if (gst_segment_is_equal (segment, &self->segment))
    return TRUE;
  if (self->segment.format == GST_FORMAT_TIME) {
    drain (self, FALSE);
    gst_gemma_cea608_encoder_set_time (self->encoder, bound_time (segment->start));
  }
  begin_slots (self, bound_time (segment->start));
  return gemma_stream_take_segment (GST_ELEMENT (self), event, &self->segment, "Text");
}

static void
reset (GstGemmaCea608Enc *self)
{
  gst_gemma_cea608_encoder_reset (self->encoder);
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  begin_slots (self, 0);
  self->flow = GST_FLOW_OK;
  self->discont = TRUE;
  self->behind = FALSE;
}

static void
break_row (GstGemmaCea608Enc *self)
{
  g_mutex_lock (&self->lock);
  gst_gemma_cea608_encoder_break_row (self->encoder, self->speaker_prefix);
  g_mutex_unlock (&self->lock);
}

static gboolean
gst_gemma_cea608_enc_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaCea608Enc *self = GST_GEMMA_CEA608_ENC (parent);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      gst_event_unref (event);
      return ensure_caps (self);
    case GST_EVENT_SEGMENT:
      if (handle_segment (self, event))
        break;
      gst_event_unref (event);
      return FALSE;
    case GST_EVENT_GAP:
      handle_gap (self, event);
      gst_event_unref (event);
      return TRUE;
    case GST_EVENT_FLUSH_STOP:
      reset (self);
      break;
    case GST_EVENT_EOS:
      if (self->segment.format == GST_FORMAT_TIME && ensure_caps (self))
        drain (self, TRUE);
      break;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
      if (gst_event_has_name (event, "rstranscribe/speaker-change"))
        break_row (self);
      break;
    default:
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

/* A slot leaves when it is over; whoever gives each frame one wants to see the next slot as well. */
static gboolean
gst_gemma_cea608_enc_src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstGemmaCea608Enc *self = GST_GEMMA_CEA608_ENC (parent);

  g_mutex_lock (&self->lock);
  GstClockTime own = self->fps_n ? gst_util_uint64_scale_ceil (2, self->fps_d * GST_SECOND, self->fps_n) : 0;
  g_mutex_unlock (&self->lock);
  return gemma_stream_query (pad, parent, query, self->sink, own);
}

/* ---- object ---------------------------------------------------------------------------------------- */

static GstStateChangeReturn
gst_gemma_cea608_enc_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaCea608Enc *self = GST_GEMMA_CEA608_ENC (element);
  GstStateChangeReturn ret = GST_ELEMENT_CLASS (gst_gemma_cea608_enc_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    g_clear_object (&self->encoder);
    self->encoder = gst_gemma_cea608_encoder_new ();
    reset (self);
    g_mutex_lock (&self->lock);
    self->fps_n = 0;
    self->changed = TRUE;
    g_mutex_unlock (&self->lock);
  }
  return ret;
}

static void
gst_gemma_cea608_enc_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaCea608Enc *self = GST_GEMMA_CEA608_ENC (object);

  g_mutex_lock (&self->lock);
  switch (id) {
    case PROP_MODE: self->mode = g_value_get_enum (value); break;
    case PROP_ORIGIN_ROW: self->origin_row = g_value_get_int (value); break;
    case PROP_ORIGIN_COLUMN: self->origin_column = g_value_get_uint (value); break;
    case PROP_ROLL_UP_TIMEOUT: self->roll_up_timeout = g_value_get_uint64 (value); break;
    case PROP_ROW_PAUSE: self->row_pause = g_value_get_uint64 (value); break;
    case PROP_SPEAKER_PREFIX:
      g_free (self->speaker_prefix);
      self->speaker_prefix = gemma_stream_take_text (value);
      break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  self->changed = TRUE;
  g_mutex_unlock (&self->lock);
}

static void
gst_gemma_cea608_enc_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaCea608Enc *self = GST_GEMMA_CEA608_ENC (object);

  g_mutex_lock (&self->lock);
  switch (id) {
    case PROP_MODE: g_value_set_enum (value, self->mode); break;
    case PROP_ORIGIN_ROW: g_value_set_int (value, self->origin_row); break;
    case PROP_ORIGIN_COLUMN: g_value_set_uint (value, self->origin_column); break;
    case PROP_ROLL_UP_TIMEOUT: g_value_set_uint64 (value, self->roll_up_timeout); break;
    case PROP_ROW_PAUSE: g_value_set_uint64 (value, self->row_pause); break;
    case PROP_SPEAKER_PREFIX: g_value_set_string (value, self->speaker_prefix); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  g_mutex_unlock (&self->lock);
}

static void
gst_gemma_cea608_enc_finalize (GObject *object)
{
  GstGemmaCea608Enc *self = GST_GEMMA_CEA608_ENC (object);

  g_clear_object (&self->encoder);
  g_free (self->speaker_prefix);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (gst_gemma_cea608_enc_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  g_object_class_install_property (klass, PROP_MODE, g_param_spec_enum ("mode", "Mode",
          "How many rows are seen at a time; counts from the next row on", GST_TYPE_GEMMA_CEA608_MODE, MODE_ROLL_UP2,
          playing));
  g_object_class_install_property (klass, PROP_ORIGIN_ROW, g_param_spec_int ("origin-row", "Origin row",
          "The lowest row, from 0 at the top to 14 (-1: 14); at least as low as the rows of mode need", -1, 14, -1,
          playing));
  g_object_class_install_property (klass, PROP_ORIGIN_COLUMN, g_param_spec_uint ("origin-column", "Origin column",
          "Where rows begin, in characters from the left; they end at 32", 0, 31, 0, playing));
  g_object_class_install_property (klass, PROP_ROLL_UP_TIMEOUT, g_param_spec_uint64 ("roll-up-timeout",
          "Roll-up timeout", "Captions are erased this long after the last of them ended (ns; 18446744073709551615: never)",
          0, G_MAXUINT64, 5 * GST_SECOND, playing));
  g_object_class_install_property (klass, PROP_ROW_PAUSE, g_param_spec_uint64 ("row-pause", "Row pause",
          "Text begins a new row if the text before it ended this long before it (ns, 0: always); else it goes on where "
          "that ended", 0, G_MAXUINT64, 500 * GST_MSECOND, playing));
  g_object_class_install_property (klass, PROP_SPEAKER_PREFIX, g_param_spec_string ("speaker-prefix", "Speaker prefix",
          "What a row begins with when the speaker has changed, such as \">> \"", NULL, playing));
}

static void
gst_gemma_cea608_enc_class_init (GstGemmaCea608EncClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  object_class->set_property = gst_gemma_cea608_enc_set_property;
  object_class->get_property = gst_gemma_cea608_enc_get_property;
  object_class->finalize = gst_gemma_cea608_enc_finalize;
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_cea608_enc_change_state);
  install_properties (object_class);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_CEA608_MODE, 0);
  gst_element_class_set_static_metadata (element_class, "CEA-608 caption encoder", "Encoder/ClosedCaption",
      "Timed text to line 21 captions in roll-up mode, for cccombiner, ccconverter and muxers", "gst-gemma");
}

static void
gst_gemma_cea608_enc_init (GstGemmaCea608Enc *self)
{
  g_mutex_init (&self->lock);
  self->mode = MODE_ROLL_UP2;
  self->origin_row = -1;
  self->roll_up_timeout = 5 * GST_SECOND;
  self->row_pause = 500 * GST_MSECOND;
  self->changed = TRUE;
  self->fps_d = 1;
  self->encoder = gst_gemma_cea608_encoder_new ();

  self->sink = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sink, GST_DEBUG_FUNCPTR (gst_gemma_cea608_enc_chain));
  gst_pad_set_event_function (self->sink, GST_DEBUG_FUNCPTR (gst_gemma_cea608_enc_sink_event));
  gst_element_add_pad (GST_ELEMENT (self), self->sink);
  self->src = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_query_function (self->src, GST_DEBUG_FUNCPTR (gst_gemma_cea608_enc_src_query));
  gst_element_add_pad (GST_ELEMENT (self), self->src);
  reset (self);
}
