/* The sink pads of gemmalm and gemmasink: tokens, pictures and texts become works in the element's queue. */
#include <string.h>

#include "debug.h"
#include "lm-base.h"
#include "stream.h"

G_DEFINE_TYPE (GstGemmaLmPad, gst_gemma_lm_pad, GST_TYPE_PAD)

/* Running time of a time in the pad's segment, or none outside of it. */
static GstClockTime
get_running_time (const GstGemmaLmPad *self, GstClockTime time)
{
  return self->segment.format == GST_FORMAT_TIME ? gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, time) :
      GST_CLOCK_TIME_NONE;
}

static void
queue (GstGemmaLmPad *self, GemmaWork *work)
{
  if (work->kind != GEMMA_WORK_EVENT) {
    work->running_start = get_running_time (self, work->start);
    work->running_end = get_running_time (self, work->end);
    if (!GST_CLOCK_TIME_IS_VALID (work->running_end))
      work->running_end = work->running_start;
  }
  if (self->flow != GST_FLOW_OK)
    gemma_work_free (work);
  else
    self->flow = gst_gemma_lm_base_queue (self->element, self, work);
}

/* ---- sound ------------------------------------------------------------------------------- */

static GemmaWork *
make_work (GemmaWorkKind kind, const GemmaUtterance *utterance, GArray *rows, GArray *tokens)
{
  GemmaWork *work = gemma_work_new (kind, utterance->start, utterance->end);

  work->rows = rows;
  work->tokens = tokens;
  work->n_carried = utterance->n_carried;
  work->n_kept = utterance->n_kept;
  work->dismissed = utterance->dismissed;
  return work;
}

static void
on_speech (const GemmaUtterance *utterance, gpointer data)
{
  queue (data, make_work (GEMMA_WORK_SPEECH, utterance, g_array_ref (utterance->rows), g_array_ref (utterance->tokens)));
}

static void
on_silence (GstClockTime start, GstClockTime end, gpointer data)
{
  queue (data, gemma_work_new (GEMMA_WORK_SILENCE, start, end));
}

/* Speech that goes on: time for another hypothesis? Only of the first pad's, which is what comes out. */
static void
on_heard (const GemmaUtterance *utterance, gpointer data)
{
  GstGemmaLmPad *self = data;
  GstGemmaLmBase *element = self->element;
  GstClockTime start = utterance->start, end = utterance->end;
  GstClockTime interval;

  if (self->heard_start != start)
    self->heard_end = start;
  self->heard_start = start;
  g_mutex_lock (&element->lock);
  gboolean first = element->events_pad == GST_PAD (self);
  g_mutex_unlock (&element->lock);
  if (!first || gst_gemma_lm_base_get_streaming (element, &interval) == GEMMA_STREAMING_WHOLE ||
      end < self->heard_end + interval)
    return;
  self->heard_end = end;
  queue (self, make_work (GEMMA_WORK_HEARD, utterance, g_array_copy (utterance->rows), g_array_copy (utterance->tokens)));
}

static void
update_limits (GstGemmaLmPad *self, GstGemmaLmBase *element)
{
  GST_OBJECT_LOCK (element);
  GstClockTime silence = element->settings.segment_silence * GST_MSECOND;
  GST_OBJECT_UNLOCK (element);
  gemma_utterances_set_limits (self->utterances, silence, gst_gemma_lm_base_get_longest (element),
      gst_gemma_lm_base_get_streaming (element, NULL) == GEMMA_STREAMING_WORDS);
}

/* Of @buffer, which follows what ended at @last. A clip that has begun inside of the last token of the clip before says only
 * where its own time begins; as nothing else is told of the time between, it is the clip's. */
static GstClockTime
find_begin (const GstBuffer *buffer, GstClockTime last)
{
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  gboolean begins = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT) && GST_CLOCK_TIME_IS_VALID (last);

  return begins && pts > last && pts - last <= GST_GEMMA_AUDIO_TOKEN_DURATION - GEMMA_SOUND_HEARD ? last : pts;
}

static void
take_tokens (GstGemmaLmPad *self, GstBuffer *buffer, const gfloat *rows, guint n)
{
  GstClockTime pts = self->position;    /* end of the last buffer, or now the buffer's own */
  GstClockTime before = GST_BUFFER_PTS_IS_VALID (buffer) ? GST_BUFFER_PTS (buffer) - pts : 0;   /* find_begin()'s */
  GstClockTime each = GST_BUFFER_DURATION_IS_VALID (buffer) ? (before + GST_BUFFER_DURATION (buffer)) / n :
      GST_GEMMA_AUDIO_TOKEN_DURATION;
  gboolean quiet = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP);
  gboolean begins = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  guint8 levels[GEMMA_SOUND_LEVELS];
  gboolean known = n == 1 && gemma_stream_get_levels (buffer, levels);

  update_limits (self, self->element);
  for (guint i = 0; i < n; i++) {
    gemma_utterances_push (self->utterances, pts, each, quiet, known ? levels : NULL, begins && i == 0,
        rows + (gsize) i * self->hidden);
    pts += each;
  }
  self->position = pts;
}

/* ---- pictures ------------------------------------------------------------------------------ */

static void
take_picture (GstGemmaLmPad *self, GstBuffer *buffer, const gfloat *rows, guint n)
{
  GstGemmaLmBase *element = self->element;
  GstClockTime start = self->position, running = get_running_time (self, start);
  GArray *values;

  if (n != GEMMA_VISION_TOKENS) {
    GST_ELEMENT_ERROR (element, STREAM, WRONG_TYPE,
        ("A picture has %d soft tokens, this buffer has %u: are these of sound?", GEMMA_VISION_TOKENS, n), (NULL));
    self->flow = GST_FLOW_ERROR;
    return;
  }
  values = g_array_sized_new (FALSE, FALSE, sizeof (gfloat), n * self->hidden);
  g_array_append_vals (values, rows, n * self->hidden);
  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    self->position += GST_BUFFER_DURATION (buffer);

  if (gst_gemma_lm_base_describes (element)) {
    GemmaWork *work = gemma_work_new (GEMMA_WORK_IMAGE, start, self->position);
    work->pictures = g_ptr_array_new_with_free_func ((GDestroyNotify) gemma_picture_free);
    g_ptr_array_add (work->pictures, gemma_picture_new (running, values));
    gst_gemma_lm_base_drop_pictures (element);
    queue (self, work);
  } else if (GST_CLOCK_TIME_IS_VALID (running)) {
    self->flow = gst_gemma_lm_base_add_picture (element, self, gemma_picture_new (running, values));
  } else {
    g_array_unref (values);     /* outside of its segment */
  }
}

/* ---- buffers ------------------------------------------------------------------------------- */

/* Tells those who wait for this pad how far it has come. */
static void
reach (GstGemmaLmPad *self)
{
  GstClockTime running = GST_CLOCK_TIME_IS_VALID (self->position) ? get_running_time (self, self->position) :
      GST_CLOCK_TIME_NONE;

  if (GST_CLOCK_TIME_IS_VALID (running))
    gst_gemma_lm_base_reach (self->element, self, running);
}

static void
take_text (GstGemmaLmPad *self, GstBuffer *buffer, const GstMapInfo *map)
{
  GstClockTime duration = GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : 0;
  GemmaWork *work = gemma_work_new (GEMMA_WORK_TEXT, self->position, self->position + duration);
  const gchar *text = map->size ? (const gchar *) map->data : "";

  work->text = g_utf8_make_valid (text, strnlen (text, map->size));
  work->discont = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  work->no_duration = !GST_BUFFER_DURATION_IS_VALID (buffer);
  self->position += duration;
  queue (self, work);
}

static void
take_rows (GstGemmaLmPad *self, GstBuffer *buffer, const GstMapInfo *map)
{
  guint n = map->size / (self->hidden * sizeof (gfloat));
  g_autofree gfloat *copy = NULL;
  const gfloat *rows = (const gfloat *) map->data;

  if (!n || map->size % (self->hidden * sizeof (gfloat))) {
    GST_ELEMENT_ERROR (self->element, STREAM, WRONG_TYPE,
        ("A buffer of %" G_GSIZE_FORMAT " bytes does not hold tokens of %u values", map->size, self->hidden), (NULL));
    self->flow = GST_FLOW_ERROR;
    return;
  }
  if ((guintptr) rows % sizeof (gfloat))
    rows = copy = g_memdup2 (map->data, map->size);
  if (self->kind == GEMMA_LM_PAD_AUDIO)
    take_tokens (self, buffer, rows, n);
  else
    take_picture (self, buffer, rows, n);
}

static GstFlowReturn
gst_gemma_lm_pad_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstGemmaLmPad *self = GST_GEMMA_LM_PAD (pad);
  GstGemmaLmBase *element = GST_GEMMA_LM_BASE (parent);
  GstMapInfo map;

  self->flow = GST_FLOW_OK;
  if (self->kind != GEMMA_LM_PAD_TEXT && !self->hidden)
    self->flow = GST_FLOW_NOT_NEGOTIATED;
  else if (!GST_GEMMA_LM_BASE_GET_CLASS (element)->admit (element, self))
    self->flow = GST_FLOW_FLUSHING;
  else if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    self->flow = GST_FLOW_ERROR;
  if (self->flow == GST_FLOW_OK) {
    if (GST_BUFFER_PTS_IS_VALID (buffer))
      self->position = self->kind == GEMMA_LM_PAD_AUDIO ? find_begin (buffer, self->position) : GST_BUFFER_PTS (buffer);
    else if (!GST_CLOCK_TIME_IS_VALID (self->position))
      self->position = self->segment.start;
    if (self->kind == GEMMA_LM_PAD_TEXT)
      take_text (self, buffer, &map);
    else
      take_rows (self, buffer, &map);
    gst_buffer_unmap (buffer, &map);
    reach (self);
  }
  gst_buffer_unref (buffer);
  return self->flow;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void
drain (GstGemmaLmPad *self)
{
  self->flow = GST_FLOW_OK;
  if (self->utterances)
    gemma_utterances_drain (self->utterances);
}

static gboolean
set_caps (GstGemmaLmPad *self, GstGemmaLmBase *element, GstEvent *event)
{
  static const GemmaUtterancesFuncs funcs = { on_speech, on_silence, on_heard };
  guint wanted = element->user.config->text.hidden, hidden, n_tokens;
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  if (self->kind == GEMMA_LM_PAD_TEXT)
    return TRUE;
  drain (self);
  self->hidden = 0;
  if (!gst_gemma_soft_token_caps_parse (caps, &hidden, &n_tokens) || hidden != wanted) {
    GST_ELEMENT_ERROR (element, STREAM, WRONG_TYPE,
        ("The soft tokens do not fit the model, which takes %u values a token: is the encoder's model the same?", wanted),
        ("caps %" GST_PTR_FORMAT, caps));
    return FALSE;
  }
  /* Linked without a pad's name, which gives one of sound. */
  if (self->kind == GEMMA_LM_PAD_AUDIO && n_tokens == GEMMA_VISION_TOKENS)
    self->kind = GEMMA_LM_PAD_VIDEO;
  if (self->kind == GEMMA_LM_PAD_VIDEO && !element->user.config->has_vision) {
    GST_ELEMENT_ERROR (element, STREAM, WRONG_TYPE, ("The model cannot see: it has no picture encoder"), (NULL));
    return FALSE;
  }
  self->hidden = hidden;
  self->n_tokens = n_tokens;
  if (self->kind == GEMMA_LM_PAD_AUDIO && !self->utterances)
    self->utterances = gemma_utterances_new (hidden, &funcs, self);
  return TRUE;
}

static gboolean
queue_event (GstGemmaLmPad *self, GstEvent *event)
{
  GemmaWork *work = gemma_work_new (GEMMA_WORK_EVENT, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);

  work->event = event;
  queue (self, work);
  return self->flow == GST_FLOW_OK;
}

/* Events of the first pad stand for the text that comes out; pictures beside sound or text give none. */
static gboolean
pass (GstGemmaLmPad *self, GstGemmaLmBase *element, GstEvent *event)
{
  gboolean beside = self->kind == GEMMA_LM_PAD_VIDEO && !gst_gemma_lm_base_describes (element);

  g_mutex_lock (&element->lock);
  if (!element->events_pad && !beside)
    element->events_pad = GST_PAD (self);
  gboolean first = element->events_pad == GST_PAD (self);
  g_mutex_unlock (&element->lock);

  if (first)
    return queue_event (self, event);
  gst_event_unref (event);
  return TRUE;
}

static gboolean
set_segment (GstGemmaLmPad *self, GstGemmaLmBase *element, GstEvent *event)
{
  gboolean live;
  GstClockTime min, max;

  drain (self);
  if (self->utterances)
    gemma_utterances_reset (self->utterances);
  self->position = GST_CLOCK_TIME_NONE;
  gst_event_copy_segment (event, &self->segment);
  if (self->segment.format != GST_FORMAT_TIME) {
    GST_ELEMENT_ERROR (element, STREAM, FORMAT, ("A segment in time is needed, this one is in %s",
            gst_format_get_name (self->segment.format)), (NULL));
    gst_event_unref (event);
    return FALSE;
  }
  if (gst_gemma_lm_base_query_latency (element, &live, &min, &max)) {
    g_mutex_lock (&element->lock);
    element->live = live;
    g_mutex_unlock (&element->lock);
  }
  return pass (self, element, event);
}

static gboolean
handle_gap (GstGemmaLmPad *self, GstGemmaLmBase *element, GstEvent *event)
{
  GstClockTime start, duration;

  gst_event_parse_gap (event, &start, &duration);
  gst_event_unref (event);
  self->flow = GST_FLOW_OK;
  if (!GST_GEMMA_LM_BASE_GET_CLASS (element)->admit (element, self))
    return FALSE;
  if (self->utterances) {
    gemma_utterances_push_silence (self->utterances, start, duration);
    self->position = GST_CLOCK_TIME_IS_VALID (duration) ? start + duration : GST_CLOCK_TIME_NONE;
  } else if (GST_CLOCK_TIME_IS_VALID (duration)) {
    self->position = start + duration;
    if (self->kind == GEMMA_LM_PAD_TEXT || gst_gemma_lm_base_describes (element))
      queue (self, gemma_work_new (GEMMA_WORK_SILENCE, start, start + duration));
  } else {
    self->position = start;
  }
  reach (self);
  return self->flow == GST_FLOW_OK;
}

static gboolean
handle_eos (GstGemmaLmPad *self, GstGemmaLmBase *element, GstEvent *event)
{
  if (!GST_GEMMA_LM_BASE_GET_CLASS (element)->admit (element, self)) {
    gst_event_unref (event);
    return FALSE;
  }
  drain (self);
  self->flow = GST_FLOW_OK;
  if (gst_gemma_lm_base_pad_eos (element, self))
    return queue_event (self, event);
  gst_event_unref (event);
  return TRUE;
}

static void
forget (GstGemmaLmPad *self)
{
  if (self->utterances)
    gemma_utterances_reset (self->utterances);
  self->position = self->heard_start = GST_CLOCK_TIME_NONE;
  self->flow = GST_FLOW_OK;
}

/* Pictures beside sound or text are not what comes out: their flush is their own. */
static void
flush (GstGemmaLmPad *self, GstGemmaLmBase *element, GstEvent *event)
{
  gboolean starts = GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_START;

  if (self->kind == GEMMA_LM_PAD_VIDEO)
    gst_gemma_lm_base_flush_video (element, self, starts);
  if (!starts)
    forget (self);
  if (self->kind == GEMMA_LM_PAD_VIDEO && !gst_gemma_lm_base_describes (element))
    gst_event_unref (event);
  else if (starts)
    gst_gemma_lm_base_flush_start (element, event);
  else
    gst_gemma_lm_base_flush_stop (element, self, event);
}

/* A clip was no speech. */
static gboolean
drop_clip (GstGemmaLmPad *self, GstEvent *event)
{
  gst_event_unref (event);
  if (self->utterances)
    gemma_utterances_forget (self->utterances);
  return TRUE;
}

static gboolean
gst_gemma_lm_pad_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstGemmaLmPad *self = GST_GEMMA_LM_PAD (pad);
  GstGemmaLmBase *element = GST_GEMMA_LM_BASE (parent);
  gboolean ok;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      ok = set_caps (self, element, event);
      gst_event_unref (event);
      return ok;
    case GST_EVENT_SEGMENT:
      return set_segment (self, element, event);
    case GST_EVENT_GAP:
      return handle_gap (self, element, event);
    case GST_EVENT_EOS:
      return handle_eos (self, element, event);
    case GST_EVENT_FLUSH_START:
    case GST_EVENT_FLUSH_STOP:
      flush (self, element, event);
      return TRUE;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
      if (gemma_stream_is_dropped (event))
        return drop_clip (self, event);
      /* fall through */
    default:
      if (!GST_EVENT_IS_SERIALIZED (event))
        return gst_pad_event_default (pad, parent, event);
      if (GST_EVENT_TYPE (event) == GST_EVENT_TAG)
        self->flow = GST_FLOW_OK;       /* what is known about the sound does not end an utterance */
      else
        drain (self);
      return pass (self, element, event);
  }
}

static gboolean
gst_gemma_lm_pad_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  if (GST_QUERY_TYPE (query) == GST_QUERY_CONTEXT &&
      gst_gemma_element_handle_context_query (GST_ELEMENT (parent), query))
    return TRUE;
  return gst_pad_query_default (pad, parent, query);
}

/* Deactivated: what was gathered belongs to a stream that is over. */
static gboolean
gst_gemma_lm_pad_activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstGemmaLmPad *self = GST_GEMMA_LM_PAD (pad);
  GstGemmaLmBase *element = self->element;      /* the pad may have no parent yet, or no longer */

  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  g_mutex_lock (&element->lock);
  self->active = active;
  g_cond_broadcast (&element->cond);
  g_mutex_unlock (&element->lock);
  if (!active) {
    GST_PAD_STREAM_LOCK (pad);
    forget (self);
    g_clear_pointer (&self->utterances, gemma_utterances_free);
    self->hidden = 0;
    GST_PAD_STREAM_UNLOCK (pad);
  }
  return TRUE;
}

/* ---- which pads there are ------------------------------------------------------------------------ */

typedef struct
{
  gboolean pictures, found;
} Linked;

static gboolean
find_linked (GstElement *element, GstPad *pad, gpointer data)
{
  Linked *linked = data;

  linked->found = (GST_GEMMA_LM_PAD (pad)->kind == GEMMA_LM_PAD_VIDEO) == linked->pictures && gst_pad_is_linked (pad);
  return !linked->found;
}

gboolean
gst_gemma_lm_base_is_linked (GstGemmaLmBase *self, gboolean pictures)
{
  Linked linked = { pictures };

  gst_element_foreach_sink_pad (GST_ELEMENT (self), find_linked, &linked);
  return linked.found;
}

/* ---- object ------------------------------------------------------------------------------------ */

GstPad *
gst_gemma_lm_pad_new (GstGemmaLmBase *element, GstPadTemplate *templ, const gchar *name, GemmaLmPadKind kind)
{
  GstGemmaLmPad *self = g_object_new (GST_TYPE_GEMMA_LM_PAD, "name", name, "direction", GST_PAD_SINK, "template", templ,
      NULL);

  self->element = element;
  self->kind = kind;
  gst_pad_set_chain_function (GST_PAD (self), GST_DEBUG_FUNCPTR (gst_gemma_lm_pad_chain));
  gst_pad_set_event_function (GST_PAD (self), GST_DEBUG_FUNCPTR (gst_gemma_lm_pad_event));
  gst_pad_set_query_function (GST_PAD (self), GST_DEBUG_FUNCPTR (gst_gemma_lm_pad_query));
  gst_pad_set_activatemode_function (GST_PAD (self), GST_DEBUG_FUNCPTR (gst_gemma_lm_pad_activate_mode));
  return GST_PAD (self);
}

static void
gst_gemma_lm_pad_finalize (GObject *object)
{
  g_clear_pointer (&GST_GEMMA_LM_PAD (object)->utterances, gemma_utterances_free);
  G_OBJECT_CLASS (gst_gemma_lm_pad_parent_class)->finalize (object);
}

static void
gst_gemma_lm_pad_class_init (GstGemmaLmPadClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_gemma_lm_pad_finalize;
}

static void
gst_gemma_lm_pad_init (GstGemmaLmPad *self)
{
  self->position = self->reached = GST_CLOCK_TIME_NONE;
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
}
