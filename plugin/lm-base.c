#include "lm-base.h"

#include "debug.h"
#include "stream.h"

/* What may wait: a few utterances, so that speech and decoding overlap; and events, which are cheap. */
#define MAX_HEAVY 4
#define MAX_QUEUED 512
/* Pictures that may wait for what is said about them: as many as it can take, 2 MB each of a real model. */
#define MAX_WINDOW 16

G_DEFINE_ABSTRACT_TYPE (GstGemmaLmBase, gst_gemma_lm_base, GST_TYPE_ELEMENT)

static GstStaticPadTemplate audio_template = GST_STATIC_PAD_TEMPLATE ("audio_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS (GST_GEMMA_SOFT_TOKEN_CAPS));
static GstStaticPadTemplate video_template = GST_STATIC_PAD_TEMPLATE ("video_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS (GST_GEMMA_SOFT_TOKEN_CAPS));
static GstStaticPadTemplate text_template = GST_STATIC_PAD_TEMPLATE ("text_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));

/* ---- the queue -------------------------------------------------------------------------------- */

static gboolean
is_heavy_locked (GstGemmaLmBase *self, const GemmaWork *work)
{
  /* Live, hypotheses take the place of those before them. */
  return work->kind <= GEMMA_WORK_TEXT || (work->kind == GEMMA_WORK_HEARD && !self->live);
}

static void
append_locked (GstGemmaLmBase *self, GemmaWork *work)
{
  GemmaWork *last = g_queue_peek_tail (&self->queue);

  if (work->kind == GEMMA_WORK_SILENCE && last && last->kind == GEMMA_WORK_SILENCE && last->end == work->start) {
    last->end = work->end;
    last->running_end = work->running_end;
    gemma_work_free (work);
    return;
  }
  gst_gemma_lm_base_drop_heard_locked (self, work);
  work->heavy = is_heavy_locked (self, work);
  self->n_heavy += work->heavy;
  g_queue_push_tail (&self->queue, work);
  g_cond_broadcast (&self->cond);
}

/* Upstream will not tell again what stream this is. */
static gboolean
outlives_flush (const GemmaWork *work)
{
  return work->kind == GEMMA_WORK_EVENT && GST_EVENT_IS_STICKY (work->event) &&
      GST_EVENT_TYPE (work->event) != GST_EVENT_SEGMENT && GST_EVENT_TYPE (work->event) != GST_EVENT_EOS;
}

static void
clear_queue_locked (GstGemmaLmBase *self, gboolean flush)
{
  for (guint n = self->queue.length; n > 0; n--) {
    GemmaWork *work = g_queue_pop_head (&self->queue);
    if (flush && outlives_flush (work))
      g_queue_push_tail (&self->queue, work);
    else
      gemma_work_free (work);
  }
  self->n_heavy = 0;
  g_cond_broadcast (&self->cond);
}

/* What is linked to nothing learns at the end that nobody took a text. */
static gboolean
is_missed_end (GstFlowReturn flow, const GemmaWork *work)
{
  return flow == GST_FLOW_NOT_LINKED && work && work->kind == GEMMA_WORK_EVENT && GST_EVENT_TYPE (work->event) == GST_EVENT_EOS;
}

GstFlowReturn
gst_gemma_lm_base_queue (GstGemmaLmBase *self, GstGemmaLmPad *pad, GemmaWork *work)
{
  GstFlowReturn flow;

  g_mutex_lock (&self->lock);
  while (self->running && !self->flushing && pad->active && self->flow == GST_FLOW_OK &&
      (self->queue.length >= MAX_QUEUED || (is_heavy_locked (self, work) && self->n_heavy >= MAX_HEAVY)))
    g_cond_wait (&self->cond, &self->lock);

  flow = !self->running || self->flushing || !pad->active ? GST_FLOW_FLUSHING : self->flow;
  work->foreign = self->events_pad && self->events_pad != GST_PAD (pad);
  if (flow == GST_FLOW_OK || is_missed_end (flow, work))
    append_locked (self, work);
  else
    gemma_work_free (work);
  g_mutex_unlock (&self->lock);
  return flow;
}

/* ---- asking the model, in the task --------------------------------------------------------------- */

typedef struct
{
  GstGemmaLmBase *self;
  const GemmaWork *work;
  GemmaHypotheses *words;       /* nullable */
} Partial;

/* The answer grows; where hypotheses have shown more of it already, not from its beginning again. */
static gboolean
on_token (gint32 id, const gchar *text, const gchar *all, const gfloat *weights, gpointer data)
{
  const Partial *partial = data;

  if (partial->words)
    gemma_hypotheses_add (partial->words, id, text, weights);
  if (*text && partial->self->heard.start != partial->work->start)
    gst_gemma_lm_base_post_partial (partial->self, partial->work->start, partial->work->end, all, "", NULL);
  return TRUE;
}

static gchar *
take_submodel (gpointer data)
{
  GstGemmaLmBase *self = data;

  GST_OBJECT_LOCK (self);
  gboolean set = self->submodel_set;
  self->submodel_set = FALSE;
  GST_OBJECT_UNLOCK (self);
  return set ? gst_gemma_lm_base_get_submodel (self) : NULL;
}

static void
count (GstGemmaLmBase *self, const GemmaWork *work, const GemmaListener *listener, const GemmaDecodeStats *stats,
    gboolean has_text)
{
  gboolean whole = work->kind != GEMMA_WORK_HEARD, first = !listener->goes_on;

  GST_OBJECT_LOCK (self);
  self->n_utterances += first && whole;
  self->n_hypotheses += first && !whole;
  self->n_pictures += first && work->pictures ? work->pictures->len : 0;
  self->n_texts += first && whole && has_text;
  self->n_translations += !first && whole;
  self->n_prompt_tokens += stats->prompt_tokens;
  self->n_reused_tokens += stats->reused_tokens;
  self->n_tokens += stats->tokens;
  self->decode_time += stats->microseconds;
  GST_OBJECT_UNLOCK (self);
}

static gchar *
ask (GstGemmaLmBase *self, const GemmaWork *work, const GemmaListener *listener, GCancellable *cancellable,
    GemmaDecodeStats *stats, GstFlowReturn *flow)
{
  GemmaLmSettings settings;
  g_autoptr (GError) error = NULL;

  if (!self->decoding.model && !(self->decoding.model = gemma_model_user_wait (&self->user, flow)))
    return NULL;

  GST_OBJECT_LOCK (self);
  gemma_lm_settings_copy (&settings, &self->settings);
  GST_OBJECT_UNLOCK (self);
  gchar *text = gemma_decode (&self->decoding, &settings, work, listener, cancellable, stats, &error);
  gemma_lm_settings_clear (&settings);

  if (g_cancellable_is_cancelled (cancellable)) {
    *flow = GST_FLOW_FLUSHING;
    g_clear_pointer (&text, g_free);
  } else if (!text && work->text && g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG)) {
    if (work->divisible)
      GST_INFO_OBJECT (self, "%s", error->message);
    else
      GST_ELEMENT_WARNING (self, STREAM, FORMAT, ("A text of %ld characters is left out: %s", g_utf8_strlen (work->text, -1),
              error->message), ("raise context-size"));
  } else if (!text) {
    gemma_post_error (GST_ELEMENT (self), error);
    *flow = GST_FLOW_ERROR;
  } else {
    count (self, work, listener, stats, *text != '\0' || (listener->said && listener->said->len));
    if (stats->timed_out)
      GST_ELEMENT_WARNING (self, STREAM, DECODE, ("An answer took longer than decode-timeout and was cut"), (NULL));
  }
  return text;
}

gchar *
gst_gemma_lm_base_ask (GstGemmaLmBase *self, const GemmaWork *work, const GemmaListener *listener,
    GCancellable *cancellable, GemmaDecodeStats *stats, GstFlowReturn *flow)
{
  Partial partial = { self, work, listener ? NULL : gst_gemma_lm_base_begin_words (self, work) };
  const GemmaListener shown = { .token = on_token, .aligns = partial.words != NULL, .user_data = &partial };
  gchar *text = ask (self, work, listener ? listener : &shown, cancellable, stats, flow);

  if (text && partial.words)
    gst_gemma_lm_base_end_words (self, work);

  if (!text && *flow == GST_FLOW_ERROR) /* ours: who waits for text downstream need not wait any more */
    GST_GEMMA_LM_BASE_GET_CLASS (self)->event (self, gst_event_new_eos ());
  return text;
}

GstFlowReturn
gst_gemma_lm_base_tell (GstGemmaLmBase *self, GstClockTime start, GstClockTime end, const gchar *text)
{
  GstGemmaLmBaseClass *klass = GST_GEMMA_LM_BASE_GET_CLASS (self);

  if (!*text)
    return klass->silence (self, start, end);
  GstFlowReturn flow = klass->text (self, start, end, text);
  return flow == GST_FLOW_OK && klass->end_texts ? klass->end_texts (self) : flow;
}

static GstFlowReturn
answer (GstGemmaLmBase *self, GemmaWork *work, GCancellable *cancellable)
{
  GstFlowReturn flow = GST_FLOW_OK;
  GemmaDecodeStats stats;

  if (gst_gemma_lm_base_is_heard (self, work))
    return gst_gemma_lm_base_hear (self, work, cancellable);
  if (work->kind == GEMMA_WORK_IMAGE && (flow = gst_gemma_lm_base_begin_description (self, work)) != GST_FLOW_OK)
    return flow;
  gemma_work_skip_carried (work, work->n_carried);
  if (work->dismissed || (work->rows && work->rows->len == 0))  /* of the latter all was told before */
    return work->start < work->end ? gst_gemma_lm_base_tell (self, work->start, work->end, "") : GST_FLOW_OK;
  gst_gemma_lm_base_look (self, work);
  g_autofree gchar *text = gst_gemma_lm_base_ask (self, work, NULL, cancellable, &stats, &flow);
  if (!text)                    /* one that is left out is time without text */
    return flow == GST_FLOW_OK ? gst_gemma_lm_base_tell (self, work->start, work->end, "") : flow;
  gst_gemma_lm_base_note_answer (self, work, stats.microseconds);
  if (work->kind == GEMMA_WORK_IMAGE)
    return gst_gemma_lm_base_hold_description (self, g_steal_pointer (&text));
  flow = gst_gemma_lm_base_tell (self, work->start, work->end, text);
  g_array_set_size (self->words, 0);
  work->answer = g_steal_pointer (&text);
  return flow;
}

static GstFlowReturn
pass_event (GstGemmaLmBase *self, GstEvent *event)
{
  GstFlowReturn flow = GST_FLOW_OK;

  if (GST_EVENT_TYPE (event) != GST_EVENT_TAG)
    flow = gst_gemma_lm_base_end_description (self);
  if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT) {
    gst_event_copy_segment (event, &self->segment);
    gst_gemma_lm_base_forget_description (self);
  }
  GstFlowReturn passed = GST_GEMMA_LM_BASE_GET_CLASS (self)->event (self, event);
  return flow == GST_FLOW_OK ? passed : flow;
}

/* Times of another pad's segment become those of the segment that was handed on. */
static void
localize (GstGemmaLmBase *self, GemmaWork *work)
{
  GstClockTime position, duration = work->end - work->start;

  if (!work->foreign || !GST_CLOCK_TIME_IS_VALID (work->running_start) || self->segment.format != GST_FORMAT_TIME)
    return;
  position = gst_segment_position_from_running_time (&self->segment, GST_FORMAT_TIME, work->running_start);
  if (GST_CLOCK_TIME_IS_VALID (position)) {
    work->start = position;
    work->end = position + duration;
  }
}

static GstFlowReturn
gst_gemma_lm_base_work (GstGemmaLmBase *self, GemmaWork *work, GCancellable *cancellable)
{
  if (work->kind != GEMMA_WORK_EVENT)
    localize (self, work);
  switch (work->kind) {
    case GEMMA_WORK_SILENCE:
      gst_gemma_lm_base_look (self, work);
      return gst_gemma_lm_base_extend_description (self, work->start, work->end);
    case GEMMA_WORK_EVENT:
      return pass_event (self, g_steal_pointer (&work->event));
    default:
      return answer (self, work, cancellable);
  }
}

/* Until there is work, or time to wake; FALSE: neither, the element stops. */
static gboolean
wait_locked (GstGemmaLmBase *self)
{
  gboolean woken = FALSE;

  while (self->running && (self->flushing || (!self->queue.length && !woken))) {
    if (self->flushing || !self->wake_at)
      g_cond_wait (&self->cond, &self->lock);
    else
      woken = !g_cond_wait_until (&self->cond, &self->lock, self->wake_at);
  }
  if (woken)
    self->wake_at = 0;
  return self->running;
}

/* @work: (nullable): woken */
static GstFlowReturn
run_work (GstGemmaLmBase *self, GemmaWork *work, GCancellable *cancellable)
{
  GstGemmaLmBaseClass *klass = GST_GEMMA_LM_BASE_GET_CLASS (self);

  if (work)
    return klass->work (self, work, cancellable);
  return klass->wake ? klass->wake (self, cancellable) : GST_FLOW_OK;
}

static void
run_task (gpointer data)
{
  GstGemmaLmBase *self = data;
  GstFlowReturn flow;

  g_mutex_lock (&self->lock);
  if (!wait_locked (self)) {
    g_mutex_unlock (&self->lock);
    return;
  }
  GemmaWork *work = g_queue_pop_head (&self->queue);
  g_autoptr (GCancellable) cancellable = g_object_ref (self->cancellable);
  gboolean skip = self->flow != GST_FLOW_OK && !is_missed_end (self->flow, work);
  self->busy = TRUE;
  g_mutex_unlock (&self->lock);

  flow = skip ? GST_FLOW_OK : run_work (self, work, cancellable);

  g_mutex_lock (&self->lock);
  self->busy = FALSE;
  /* It counted until it was done: an utterance in the works takes a place, too. */
  if (work && work->heavy && self->n_heavy)
    self->n_heavy--;
  if (flow != GST_FLOW_OK && self->flow == GST_FLOW_OK && !self->flushing)
    self->flow = flow;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&work, gemma_work_free);
}

/* ---- flushing, end, latency --------------------------------------------------------------------------- */

void
gst_gemma_lm_base_flush_start (GstGemmaLmBase *self, GstEvent *event)
{
  g_mutex_lock (&self->lock);
  self->flushing = TRUE;
  g_cancellable_cancel (self->cancellable);
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);

  gemma_model_user_set_flushing (&self->user, TRUE);
  GST_GEMMA_LM_BASE_GET_CLASS (self)->flush (self, event);
}

static void
forget_locked (GstGemmaLmBase *self, gboolean flush)
{
  GstGemmaLmBaseClass *klass = GST_GEMMA_LM_BASE_GET_CLASS (self);

  clear_queue_locked (self, flush);
  self->flow = GST_FLOW_OK;
  self->wake_at = 0;
  if (klass->forget)
    klass->forget (self);
  gst_gemma_lm_base_forget_description (self);
  gst_gemma_lm_base_forget_heard (self);
  g_clear_object (&self->cancellable);
  self->cancellable = g_cancellable_new ();
}

static gboolean
begin_pad (GstElement *element, GstPad *pad, gpointer data)
{
  GstGemmaLmPad *self = GST_GEMMA_LM_PAD (pad);

  self->eos = self->flushing = self->late = FALSE;
  self->reached = GST_CLOCK_TIME_NONE;
  return TRUE;
}

void
gst_gemma_lm_base_flush_stop (GstGemmaLmBase *self, GstGemmaLmPad *pad, GstEvent *event)
{
  g_mutex_lock (&self->lock);
  while (self->busy)            /* cancelled: until the next token at most */
    g_cond_wait (&self->cond, &self->lock);
  forget_locked (self, TRUE);
  g_mutex_unlock (&self->lock);

  GST_GEMMA_LM_BASE_GET_CLASS (self)->flush (self, event);
  gemma_model_user_set_flushing (&self->user, FALSE);

  g_mutex_lock (&self->lock);
  begin_pad (GST_ELEMENT (self), GST_PAD (pad), NULL);
  self->flushing = FALSE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}

static gboolean
check_eos (GstElement *element, GstPad *pad, gpointer all)
{
  return *(gboolean *) all = GST_GEMMA_LM_PAD (pad)->eos;
}

static gboolean
all_eos (GstGemmaLmBase *self)
{
  gboolean all = FALSE;

  gst_element_foreach_sink_pad (GST_ELEMENT (self), check_eos, &all);
  return all;
}

gboolean
gst_gemma_lm_base_pad_eos (GstGemmaLmBase *self, GstGemmaLmPad *pad)
{
  g_mutex_lock (&self->lock);
  pad->eos = TRUE;
  g_cond_broadcast (&self->cond);       /* nobody waits for it any more */
  g_mutex_unlock (&self->lock);
  return all_eos (self);
}

gboolean
gst_gemma_lm_base_is_live (GstGemmaLmBase *self)
{
  gboolean live;

  g_mutex_lock (&self->lock);
  live = self->live;
  g_mutex_unlock (&self->lock);
  return live;
}

GstClockTime
gst_gemma_lm_base_get_longest (GstGemmaLmBase *self)
{
  gboolean live = gst_gemma_lm_base_is_live (self);
  guint longest, latency;

  GST_OBJECT_LOCK (self);
  longest = self->settings.max_segment;
  latency = self->settings.latency;
  GST_OBJECT_UNLOCK (self);

  /* Its beginning must be text before the promised latency is over: a second for pause and onset, a third of
   * the rest to decode. */
  if (live && latency != G_MAXUINT)
    longest = MIN (longest, MAX (latency, 4000) / 3 * 2 - 667);
  return longest * GST_MSECOND;
}

typedef struct
{
  gboolean answered, live;
  GstClockTime min, max;
} Latency;

static gboolean
add_latency (GstElement *element, GstPad *pad, gpointer data)
{
  Latency *sum = data;
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  GstClockTime min, max;
  gboolean live;

  if (!gst_pad_peer_query (pad, query))
    return TRUE;
  gst_query_parse_latency (query, &live, &min, &max);
  sum->answered = TRUE;
  if (live) {
    sum->live = TRUE;
    sum->min = MAX (sum->min, min);
    sum->max = MIN (sum->max, max);     /* none is the largest */
  }
  return TRUE;
}

gboolean
gst_gemma_lm_base_query_latency (GstGemmaLmBase *self, gboolean *live, GstClockTime *min, GstClockTime *max)
{
  Latency sum = { FALSE, FALSE, 0, GST_CLOCK_TIME_NONE };

  gst_element_foreach_sink_pad (GST_ELEMENT (self), add_latency, &sum);
  *live = sum.live;
  *min = sum.min;
  *max = sum.max;
  return sum.answered;
}

/* ---- pads --------------------------------------------------------------------------------------------------- */

static GstPad *
gst_gemma_lm_base_request_new_pad (GstElement *element, GstPadTemplate *templ, const gchar *wanted, const GstCaps *caps)
{
  const gchar *format = GST_PAD_TEMPLATE_NAME_TEMPLATE (templ);
  GemmaLmPadKind kind = g_str_has_prefix (format, "audio") ? GEMMA_LM_PAD_AUDIO :
      g_str_has_prefix (format, "video") ? GEMMA_LM_PAD_VIDEO : GEMMA_LM_PAD_TEXT;
  g_autofree gchar *name = gemma_stream_make_pad_name (element, templ, wanted);
  GstPad *pad = gst_gemma_lm_pad_new (GST_GEMMA_LM_BASE (element), templ, name, kind);

  if (GST_STATE (element) > GST_STATE_READY || GST_STATE_PENDING (element) > GST_STATE_READY)
    gst_pad_set_active (pad, TRUE);
  return gst_element_add_pad (element, pad) ? pad : NULL;
}

static void
gst_gemma_lm_base_release_pad (GstElement *element, GstPad *pad)
{
  GstGemmaLmBase *self = GST_GEMMA_LM_BASE (element);
  gboolean was_eos = GST_GEMMA_LM_PAD (pad)->eos;

  gst_pad_set_active (pad, FALSE);
  gst_element_remove_pad (element, pad);

  g_mutex_lock (&self->lock);
  if (self->events_pad == pad)
    self->events_pad = NULL;
  /* The others may have waited for this one only. */
  if (!was_eos && self->running && !self->flushing && all_eos (self)) {
    GemmaWork *work = gemma_work_new (GEMMA_WORK_EVENT, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);
    work->event = gst_event_new_eos ();
    append_locked (self, work);
  }
  g_mutex_unlock (&self->lock);
}

/* ---- states --------------------------------------------------------------------------------------------------- */

static void
start (GstGemmaLmBase *self)
{
  g_mutex_lock (&self->lock);
  forget_locked (self, FALSE);
  self->events_pad = NULL;
  self->live = FALSE;
  self->flushing = FALSE;
  self->crowded = FALSE;
  self->heard.n_dropped = 0;
  self->load = (GemmaLoad) { 0, };
  self->running = TRUE;
  gemma_pictures_reset (self->pictures);
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  g_mutex_unlock (&self->lock);

  GST_OBJECT_LOCK (self);
  self->n_utterances = self->n_hypotheses = self->n_texts = self->n_translations = 0;
  self->n_prompt_tokens = self->n_reused_tokens = self->n_tokens = self->decode_time = 0;
  self->n_pictures = self->n_dropped = 0;
  GST_OBJECT_UNLOCK (self);
  gst_element_foreach_sink_pad (GST_ELEMENT (self), begin_pad, NULL);
  gemma_model_user_set_flushing (&self->user, FALSE);
  gst_task_start (self->task);
}

/* Whoever waits returns; pads can be deactivated now. */
static void
interrupt (GstGemmaLmBase *self)
{
  g_mutex_lock (&self->lock);
  self->flushing = TRUE;
  self->running = FALSE;
  g_cancellable_cancel (self->cancellable);
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
  gemma_model_user_set_flushing (&self->user, TRUE);
  gst_task_stop (self->task);
}

static void
stop (GstGemmaLmBase *self)
{
  gst_task_join (self->task);
  g_mutex_lock (&self->lock);
  forget_locked (self, FALSE);
  gemma_pictures_reset (self->pictures);
  g_mutex_unlock (&self->lock);
  gemma_decoding_clear (&self->decoding);
}

static gboolean
open_model (GstGemmaLmBase *self)
{
  GST_OBJECT_LOCK (self);
  g_autofree gchar *submodel = g_strdup (self->settings.submodel), *fallback = g_strdup (self->settings.fallback_submodel);
  GST_OBJECT_UNLOCK (self);
  return gemma_model_user_open (&self->user, (const gchar *[]) { submodel ? submodel : "full", fallback, NULL });
}

static GstStateChangeReturn
gst_gemma_lm_base_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaLmBase *self = GST_GEMMA_LM_BASE (element);
  GstStateChangeReturn ret;

  switch (transition) {
    case GST_STATE_CHANGE_NULL_TO_READY:
      if (!open_model (self))
        return GST_STATE_CHANGE_FAILURE;
      break;
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      start (self);
      break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      interrupt (self);
      break;
    default:
      break;
  }

  ret = GST_ELEMENT_CLASS (gst_gemma_lm_base_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    stop (self);
  } else if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && ret == GST_STATE_CHANGE_FAILURE) {
    interrupt (self);
    stop (self);
  } else if (transition == GST_STATE_CHANGE_READY_TO_NULL) {
    gemma_model_user_close (&self->user);
  }
  return ret;
}

/* ---- object ----------------------------------------------------------------------------------------------------- */

static GstStructure *
make_stats (GstGemmaLmBase *self)
{
  g_mutex_lock (&self->lock);
  guint64 n_hypotheses_dropped = self->heard.n_dropped;
  g_mutex_unlock (&self->lock);
  GST_OBJECT_LOCK (self);
  GstStructure *stats = gst_structure_new ("application/x-gemma-lm-stats",
      "utterances", G_TYPE_UINT64, self->n_utterances,
      "hypotheses", G_TYPE_UINT64, self->n_hypotheses,
      "hypotheses-dropped", G_TYPE_UINT64, n_hypotheses_dropped,
      "texts", G_TYPE_UINT64, self->n_texts,
      "translations", G_TYPE_UINT64, self->n_translations,
      "pictures", G_TYPE_UINT64, self->n_pictures,
      "pictures-dropped", G_TYPE_UINT64, self->n_dropped,
      "prompt-tokens", G_TYPE_UINT64, self->n_prompt_tokens,
      "reused-tokens", G_TYPE_UINT64, self->n_reused_tokens,
      "tokens", G_TYPE_UINT64, self->n_tokens,
      "decode-seconds", G_TYPE_DOUBLE, self->decode_time / (gdouble) G_USEC_PER_SEC, NULL);
  GST_OBJECT_UNLOCK (self);
  gemma_model_user_add_stats (&self->user, stats);
  return stats;
}

static void
gst_gemma_lm_base_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaLmBase *self = GST_GEMMA_LM_BASE (object);

  if (id < GEMMA_LM_PROP_TASK) {
    gemma_model_user_set_property (&self->user, pspec, value);
    return;
  }
  GST_OBJECT_LOCK (self);
  if (!gemma_lm_settings_set (&self->settings, id, value))
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  self->submodel_set |= id == GEMMA_LM_PROP_SUBMODEL || id == GEMMA_LM_PROP_FALLBACK_SUBMODEL;
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_lm_base_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaLmBase *self = GST_GEMMA_LM_BASE (object);

  if (id < GEMMA_LM_PROP_TASK) {
    gemma_model_user_get_property (&self->user, pspec, value);
    return;
  }
  if (id == GEMMA_LM_PROP_STATS) {
    g_value_take_boxed (value, make_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  if (!gemma_lm_settings_get (&self->settings, id, value))
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_gemma_lm_base_finalize (GObject *object)
{
  GstGemmaLmBase *self = GST_GEMMA_LM_BASE (object);

  g_mutex_lock (&self->lock);
  clear_queue_locked (self, FALSE);
  g_mutex_unlock (&self->lock);
  gst_gemma_lm_base_forget_description (self);
  gemma_hypotheses_free (self->heard.hypotheses);
  g_array_unref (self->words);
  gemma_pictures_free (self->pictures);
  gst_object_unref (self->task);
  g_rec_mutex_clear (&self->task_lock);
  g_clear_object (&self->cancellable);
  gemma_lm_settings_clear (&self->settings);
  gemma_model_user_clear (&self->user);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  G_OBJECT_CLASS (gst_gemma_lm_base_parent_class)->finalize (object);
}

static gboolean
admit_always (GstGemmaLmBase *self, GstGemmaLmPad *pad)
{
  return TRUE;
}

void
gst_gemma_lm_base_class_add_sink_pads (GstGemmaLmBaseClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  gemma_lm_settings_install_tasks (G_OBJECT_CLASS (klass));
  /* Sound first: soft tokens that are linked without a pad's name are taken for sound. */
  gst_element_class_add_static_pad_template_with_gtype (element_class, &audio_template, GST_TYPE_GEMMA_LM_PAD);
  gst_element_class_add_static_pad_template_with_gtype (element_class, &video_template, GST_TYPE_GEMMA_LM_PAD);
  gst_element_class_add_static_pad_template_with_gtype (element_class, &text_template, GST_TYPE_GEMMA_LM_PAD);
}

static void
gst_gemma_lm_base_class_init (GstGemmaLmBaseClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  object_class->set_property = gst_gemma_lm_base_set_property;
  object_class->get_property = gst_gemma_lm_base_get_property;
  object_class->finalize = gst_gemma_lm_base_finalize;
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_lm_base_change_state);
  element_class->request_new_pad = GST_DEBUG_FUNCPTR (gst_gemma_lm_base_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_gemma_lm_base_release_pad);
  klass->admit = admit_always;
  klass->work = gst_gemma_lm_base_work;

  gemma_lm_settings_install (object_class);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_LM_BASE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_LM_PAD, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_TASK, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_STREAMING, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_PAD_CLIP, 0);
}

static void
clear_word (gpointer word)
{
  g_free (((GemmaWord *) word)->text);
}

static void
gst_gemma_lm_base_init (GstGemmaLmBase *self)
{
  /* The hard embeddings of a sound's end come with the text part. */
  gemma_model_user_init (&self->user, GST_ELEMENT (self), GEMMA_PART_TEXT);
  gemma_lm_settings_init (&self->settings);
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  g_queue_init (&self->queue);
  self->pictures = gemma_pictures_new (MAX_WINDOW);
  self->heard.hypotheses = gemma_hypotheses_new ();
  self->words = g_array_new (FALSE, FALSE, sizeof (GemmaWord));
  g_array_set_clear_func (self->words, clear_word);
  self->decoding.take_submodel = take_submodel;
  self->decoding.user_data = self;
  self->heard.start = GST_CLOCK_TIME_NONE;
  self->cancellable = g_cancellable_new ();
  g_rec_mutex_init (&self->task_lock);
  self->task = gst_task_new (run_task, self, NULL);
  gst_task_set_lock (self->task, &self->task_lock);
}
