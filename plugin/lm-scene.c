/* What is seen: pictures beside sound and text, and pictures on their own.
 *
 * Beside sound or text, pictures only wait in a window; what is said takes those of its time along. The task waits
 * a while for a video pad that is behind, and a video pad that is ahead waits a while for the sound; both waits end, so
 * a stream that stops moving stops nobody for long.
 *
 * On their own, pictures are described one by one. A description stands until the next picture, whose time is
 * seldom known when the answer is: it is held until then, but not live.
 */
#include "debug.h"
#include "lm-base.h"

/* How long the others wait for a pad that does not move, when not live. */
#define PATIENCE (10 * G_TIME_SPAN_SECOND)
/* How far pictures may be ahead of the sound in a full window before they wait: queues hold a second on either side. */
#define AHEAD (2 * GST_SECOND)
/* Live, a description is on screen at least this long. */
#define READABLE GST_SECOND

/* ---- which pads there are ------------------------------------------------------------------ */

gboolean
gst_gemma_lm_base_describes (GstGemmaLmBase *self)
{
  return !gst_gemma_lm_base_is_linked (self, FALSE);
}

typedef struct
{
  GstClockTime time;
  gboolean found;
} Search;

/* A video pad that has not told everything before the time, and is still waited for. */
static gboolean
find_behind (GstElement *element, GstPad *pad, gpointer data)
{
  const GstGemmaLmPad *self = GST_GEMMA_LM_PAD (pad);
  Search *search = data;

  search->found = self->kind == GEMMA_LM_PAD_VIDEO && self->active && !self->eos && !self->late && gst_pad_is_linked (pad)
      && (!GST_CLOCK_TIME_IS_VALID (self->reached) || self->reached < search->time);
  return !search->found;
}

static gboolean
mark_late (GstElement *element, GstPad *pad, gpointer data)
{
  Search search = *(const Search *) data;

  find_behind (element, pad, &search);
  GST_GEMMA_LM_PAD (pad)->late |= search.found;
  return TRUE;
}

/* A pad of sound or text that may still reach the time. */
static gboolean
find_awaited (GstElement *element, GstPad *pad, gpointer data)
{
  const GstGemmaLmPad *self = GST_GEMMA_LM_PAD (pad);
  Search *search = data;

  search->found = self->kind != GEMMA_LM_PAD_VIDEO && self->active && !self->eos && gst_pad_is_linked (pad)
      && (!GST_CLOCK_TIME_IS_VALID (self->reached) || self->reached + AHEAD < search->time);
  return !search->found;
}

static gboolean
search_locked (GstGemmaLmBase *self, GstElementForeachPadFunc func, GstClockTime time)
{
  Search search = { time, FALSE };

  gst_element_foreach_sink_pad (GST_ELEMENT (self), func, &search);
  return search.found;
}

void
gst_gemma_lm_base_reach (GstGemmaLmBase *self, GstGemmaLmPad *pad, GstClockTime time)
{
  g_mutex_lock (&self->lock);
  pad->late = FALSE;
  pad->reached = time;
  self->n_moves += pad->kind == GEMMA_LM_PAD_VIDEO;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}

void
gst_gemma_lm_base_flush_video (GstGemmaLmBase *self, GstGemmaLmPad *pad, gboolean flushing)
{
  g_mutex_lock (&self->lock);
  pad->flushing = flushing;
  pad->eos = pad->late = FALSE;
  pad->reached = GST_CLOCK_TIME_NONE;
  gemma_pictures_reset (self->pictures);
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}

/* ---- pictures beside sound or text ------------------------------------------------------------ */

GstFlowReturn
gst_gemma_lm_base_add_picture (GstGemmaLmBase *self, GstGemmaLmPad *pad, GemmaPicture *picture)
{
  gint64 deadline = g_get_monotonic_time () + PATIENCE;
  GstFlowReturn flow = GST_FLOW_FLUSHING;

  g_mutex_lock (&self->lock);
  while (self->running && !self->flushing && !pad->flushing && pad->active && !self->live && !self->crowded &&
      gemma_pictures_is_full (self->pictures) && search_locked (self, find_awaited, picture->time))
    if (!g_cond_wait_until (&self->cond, &self->lock, deadline))
      self->crowded = TRUE;     /* no more waiting until there is room again */

  if (self->running && !pad->flushing && pad->active) {
    gemma_pictures_push (self->pictures, picture);
    if (!gemma_pictures_is_full (self->pictures))
      self->crowded = FALSE;
    flow = self->flow;
  } else {
    gemma_picture_free (picture);
  }
  g_mutex_unlock (&self->lock);
  return flow;
}

static void
wait_for_pictures_locked (GstGemmaLmBase *self, GstClockTime time, guint latency)
{
  gint64 patience = !self->live ? PATIENCE : MIN (latency, 8000) / 16 * G_TIME_SPAN_MILLISECOND;
  gint64 deadline = g_get_monotonic_time () + patience;
  guint n_moves = self->n_moves;
  const Search search = { time, FALSE };

  while (self->running && !self->flushing && search_locked (self, find_behind, time)) {
    if (!g_cond_wait_until (&self->cond, &self->lock, deadline)) {
      GST_INFO_OBJECT (self, "pictures are late at %" GST_TIME_FORMAT, GST_TIME_ARGS (time));
      gst_element_foreach_sink_pad (GST_ELEMENT (self), mark_late, (gpointer) &search);
      return;
    }
    if (self->n_moves != n_moves && !self->live)
      deadline = g_get_monotonic_time () + patience;
    n_moves = self->n_moves;
  }
}

void
gst_gemma_lm_base_look (GstGemmaLmBase *self, GemmaWork *work)
{
  GstClockTime end = MAX (work->running_end, work->running_start + 1);

  if (!GST_CLOCK_TIME_IS_VALID (work->running_start) || work->pictures)
    return;
  GST_OBJECT_LOCK (self);
  guint n = self->settings.max_pictures, latency = self->settings.latency;
  GST_OBJECT_UNLOCK (self);

  g_mutex_lock (&self->lock);
  if (work->kind == GEMMA_WORK_SILENCE) {
    gemma_pictures_forget (self->pictures, work->running_start);
  } else if (n) {
    wait_for_pictures_locked (self, end, latency);
    work->pictures = gemma_pictures_take (self->pictures, work->running_start, end, n);
    if (self->load.reduced)
      g_clear_pointer (&work->pictures, g_ptr_array_unref);
  }
  g_cond_broadcast (&self->cond);       /* there may be room */
  g_mutex_unlock (&self->lock);
}

/* ---- pictures on their own ------------------------------------------------------------------------ */

void
gst_gemma_lm_base_drop_pictures (GstGemmaLmBase *self)
{
  guint n = 0;

  g_mutex_lock (&self->lock);
  for (GList *l = self->live ? self->queue.head : NULL, *next; l; l = next) {
    GemmaWork *work = l->data;
    next = l->next;
    if (work->kind != GEMMA_WORK_IMAGE)
      continue;
    gemma_work_free (work);
    g_queue_delete_link (&self->queue, l);
    self->n_heavy--;
    n++;
  }
  g_mutex_unlock (&self->lock);
  GST_OBJECT_LOCK (self);
  self->n_dropped += n;
  GST_OBJECT_UNLOCK (self);
}

void
gst_gemma_lm_base_forget_description (GstGemmaLmBase *self)
{
  GemmaDescription *d = &self->description;

  g_clear_pointer (&d->text, g_free);
  d->told = GST_CLOCK_TIME_NONE;
  d->spacing = 0;
}

static GstClockTime
get_longest (GstGemmaLmBase *self)
{
  GST_OBJECT_LOCK (self);
  GstClockTime longest = self->settings.max_segment * GST_MSECOND;
  GST_OBJECT_UNLOCK (self);
  return longest;
}

/* Time without text from what was told last until @end. */
static GstFlowReturn
tell_silence (GstGemmaLmBase *self, GstClockTime start, GstClockTime end)
{
  GemmaDescription *d = &self->description;

  if (GST_CLOCK_TIME_IS_VALID (d->told))
    start = MAX (start, d->told);
  if (end <= start)
    return GST_FLOW_OK;
  d->told = end;
  return GST_GEMMA_LM_BASE_GET_CLASS (self)->silence (self, start, end);
}

/* Hands on the description that is held: it ends here, or when it has stood long enough. */
static GstFlowReturn
tell (GstGemmaLmBase *self, GstClockTime end)
{
  GemmaDescription *d = &self->description;
  GstClockTime last = MIN (end, d->start + get_longest (self));
  GstFlowReturn flow = GST_FLOW_OK;

  if (!d->text)
    return GST_FLOW_OK;
  g_autofree gchar *text = g_steal_pointer (&d->text);
  if (last > d->start) {
    d->told = last;
    flow = gst_gemma_lm_base_tell (self, d->start, last, text);
  }
  return flow == GST_FLOW_OK ? tell_silence (self, last, end) : flow;
}

GstFlowReturn
gst_gemma_lm_base_begin_description (GstGemmaLmBase *self, GemmaWork *work)
{
  GemmaDescription *d = &self->description;
  GstFlowReturn flow = tell (self, work->start);

  d->spacing = GST_CLOCK_TIME_IS_VALID (d->told) && work->start > d->start ? work->start - d->start : 0;
  if (flow == GST_FLOW_OK && GST_CLOCK_TIME_IS_VALID (d->told))
    flow = tell_silence (self, d->told, work->start);
  d->start = work->start;       /* live, the last one may have been promised for longer: the newer is right */
  d->end = MAX (work->end, d->start);
  return flow;
}

GstFlowReturn
gst_gemma_lm_base_hold_description (GstGemmaLmBase *self, gchar *text)
{
  GemmaDescription *d = &self->description;
  GstClockTime end = GST_CLOCK_TIME_NONE;

  d->text = text;
  g_mutex_lock (&self->lock);
  gboolean live = self->live;
  for (GList *l = self->queue.head; l && !GST_CLOCK_TIME_IS_VALID (end); l = l->next)
    if (((GemmaWork *) l->data)->kind == GEMMA_WORK_IMAGE)
      end = ((GemmaWork *) l->data)->start;
  g_mutex_unlock (&self->lock);

  if (!live)
    return GST_FLOW_OK;
  /* Nobody may wait for the next picture: as long as the one before, and long enough to read. */
  if (!GST_CLOCK_TIME_IS_VALID (end))
    end = MAX (d->end, d->start + MAX (d->spacing, READABLE));
  return tell (self, end);
}

GstFlowReturn
gst_gemma_lm_base_extend_description (GstGemmaLmBase *self, GstClockTime start, GstClockTime end)
{
  GemmaDescription *d = &self->description;

  if (!d->text)
    return GST_CLOCK_TIME_IS_VALID (d->told) ? tell_silence (self, start, end) :
        GST_GEMMA_LM_BASE_GET_CLASS (self)->silence (self, start, end);
  d->end = MAX (d->end, end);
  return d->end - d->start >= get_longest (self) ? tell (self, d->end) : GST_FLOW_OK;
}

GstFlowReturn
gst_gemma_lm_base_end_description (GstGemmaLmBase *self)
{
  return tell (self, self->description.end);
}
