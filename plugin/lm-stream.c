/* Speech that goes on. The pad tells how it grows; the task asks about it as if it were whole. Messages show what it
 * understood; where words may leave one by one, those that two hypotheses agree on do at once. The next hypothesis
 * computes only the sound that is new and its few words: the session remembers the rest (models/memory.h).
 *
 * Live, what cannot be computed in time is left out: of several hypotheses that wait only the newest is made, none that
 * is overtaken by its utterance is finished, and when they take more than a third of the time they are not translated any more,
 * then become fewer (lm-load.c).
 * A file gets them all, so that its text does not depend on the machine.
 */
#include "debug.h"
#include "lm-base.h"

/* ---- what is streamed -------------------------------------------------------------------------- */

GemmaStreaming
gst_gemma_lm_base_get_streaming (GstGemmaLmBase *self, GstClockTime *interval)
{
  gboolean live = gst_gemma_lm_base_is_live (self);

  GST_OBJECT_LOCK (self);
  const GemmaLmSettings *s = &self->settings;
  /* How a translation begins may depend on what is said last. */
  GemmaStreaming streaming = s->streaming != GEMMA_STREAMING_AUTO ? s->streaming : !live ? GEMMA_STREAMING_WHOLE :
      s->task == GEMMA_TASK_TRANSCRIBE ? GEMMA_STREAMING_WORDS : GEMMA_STREAMING_PARTIAL;
  /* What has several lines or any form that the user asks for is whole or nothing. */
  gboolean speech = s->task == GEMMA_TASK_TRANSCRIBE || s->task == GEMMA_TASK_TRANSLATE;
  if (interval)
    *interval = s->hypothesis_interval * GST_MSECOND;
  GST_OBJECT_UNLOCK (self);
  /* Pictures that come meanwhile change the prompt. */
  if (!speech || streaming == GEMMA_STREAMING_WHOLE || gst_gemma_lm_base_is_linked (self, TRUE))
    return GEMMA_STREAMING_WHOLE;
  return streaming;
}

void
gst_gemma_lm_base_drop_heard_locked (GstGemmaLmBase *self, const GemmaWork *newer)
{
  if (!self->live || (newer->kind != GEMMA_WORK_HEARD && newer->kind != GEMMA_WORK_SPEECH))
    return;
  for (GList *l = self->queue.tail, *previous; l; l = previous) {
    GemmaWork *work = l->data;
    previous = l->prev;
    if (work->kind == GEMMA_WORK_SPEECH)
      return;
    if (work->kind != GEMMA_WORK_HEARD || work->start != newer->start)
      continue;
    gemma_work_free (work);
    g_queue_delete_link (&self->queue, l);
    self->heard.n_dropped++;
  }
}

void
gst_gemma_lm_base_post_partial (GstGemmaLmBase *self, GstClockTime start, GstClockTime end, const gchar *text,
    const gchar *final, const gchar *language)
{
  GST_OBJECT_LOCK (self);
  g_autofree gchar *code = g_strdup (language ? language : gemma_lm_settings_get_language (&self->settings));
  GST_OBJECT_UNLOCK (self);

  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("gemma-partial",
              "text", G_TYPE_STRING, text,
              "timestamp", G_TYPE_UINT64, start,
              "duration", G_TYPE_UINT64, end - MIN (start, end),
              "final", G_TYPE_STRING, final,
              "language-code", G_TYPE_STRING, code, NULL)));
}

/* ---- hypotheses, in the task ------------------------------------------------------------------------ */

typedef struct
{
  GstGemmaLmBase *self;
  gboolean last, overtaken;
  GstFlowReturn flow;
} Hearing;

/* Live, what is whole goes before what is not. */
static gboolean
is_overtaken (GstGemmaLmBase *self)
{
  g_mutex_lock (&self->lock);
  gboolean overtaken = self->live && self->n_heavy > 0;
  g_mutex_unlock (&self->lock);
  return overtaken;
}

gboolean
gst_gemma_lm_base_is_behind (GstGemmaLmBase *self)
{
  g_mutex_lock (&self->lock);
  gboolean behind = self->live && self->queue.length > 0;
  g_mutex_unlock (&self->lock);
  return behind;
}

static gboolean
on_token (gint32 id, const gchar *text, const gchar *all, const gfloat *weights, gpointer data)
{
  Hearing *hearing = data;

  hearing->overtaken = !hearing->last && is_overtaken (hearing->self);
  gemma_hypotheses_add (hearing->self->heard.hypotheses, id, text, weights);
  return !hearing->overtaken;
}

static void
on_word (GstClockTime start, GstClockTime end, const gchar *word, gpointer data)
{
  Hearing *hearing = data;
  GstGemmaLmBaseClass *klass = GST_GEMMA_LM_BASE_GET_CLASS (hearing->self);
  GemmaHeard *heard = &hearing->self->heard;

  if (hearing->flow == GST_FLOW_OK && heard->told < start)
    hearing->flow = klass->silence (hearing->self, heard->told, start);
  if (hearing->flow == GST_FLOW_OK)
    hearing->flow = klass->text (hearing->self, start, end, word);
  heard->told = end;
  heard->n_words++;
}

static void
post_partial (GstGemmaLmBase *self, const GemmaWork *work)
{
  GemmaHypotheses *hypotheses = self->heard.hypotheses;
  g_autofree gchar *tail = gemma_hypotheses_get_tail (hypotheses);
  g_autofree gchar *final = g_strstrip (g_strdup (gemma_hypotheses_get_final_text (hypotheses)));

  gst_gemma_lm_base_post_partial (
      self, gemma_hypotheses_get_final_end (hypotheses), work->end, tail, final, NULL);
}

/* Returns how long it took (us). */
static gint64
show_translations (GstGemmaLmBase *self, const GemmaWork *work, Hearing *hearing, GCancellable *cancellable)
{
  GstGemmaLmBaseClass *klass = GST_GEMMA_LM_BASE_GET_CLASS (self);
  gint64 start = g_get_monotonic_time ();

  if (!klass->hypothesis || !self->settings.translations || self->load.untranslated || hearing->flow != GST_FLOW_OK)
    return 0;
  g_autofree gchar *text = gemma_hypotheses_get_text (self->heard.hypotheses);
  hearing->flow = klass->hypothesis (self, work, text, cancellable);
  return g_get_monotonic_time () - start;
}

/* The utterance is over: what was said in it is told, and the time without words at its end. That of one which was cut is the
 * next one's. */
static GstFlowReturn
end_utterance (GstGemmaLmBase *self, GemmaWork *work, GstFlowReturn flow)
{
  GstGemmaLmBaseClass *klass = GST_GEMMA_LM_BASE_GET_CLASS (self);
  GemmaHeard *heard = &self->heard;

  heard->start = GST_CLOCK_TIME_NONE;
  if (work->n_kept) {
    heard->cut = work->end;
    work->end = heard->told;
  } else if (flow == GST_FLOW_OK && heard->told < work->end) {
    flow = klass->silence (self, heard->told, work->end);
  }
  if (flow == GST_FLOW_OK && heard->n_words && klass->end_texts)
    flow = klass->end_texts (self);
  return flow;
}

static const GemmaSoundToken *
get_token (const GemmaWork *work, guint i)
{
  return &g_array_index (work->tokens, GemmaSoundToken, i);
}

static GstFlowReturn
ask_about (GstGemmaLmBase *self, const GemmaWork *work, Hearing *hearing, GstClockTime interval,
    GCancellable *cancellable)
{
  GemmaHypotheses *hypotheses = self->heard.hypotheses;
  const GemmaListener listener = { .said = gemma_hypotheses_get_final_ids (hypotheses), .aligns = self->heard.words,
    .token = on_token, .user_data = hearing };
  GstFlowReturn flow = GST_FLOW_OK;
  GemmaDecodeStats stats;

  gemma_hypotheses_begin (hypotheses, work->tokens);
  g_autofree gchar *text = gst_gemma_lm_base_ask (self, work, &listener, cancellable, &stats, &flow);
  if (!text || hearing->overtaken) {
    gemma_hypotheses_abandon (hypotheses);
    return flow;
  }
  /* Of fewer tokens than were carried the rest was skipped, if the limit has become lower. */
  guint n_before = work->tokens->len - MIN (work->n_kept, work->tokens->len);
  if (self->heard.words && work->n_kept)
    gemma_hypotheses_cut (hypotheses, work->end, get_token (work, n_before)->start, on_word, hearing);
  else if (self->heard.words)
    gemma_hypotheses_end (hypotheses, work->end, hearing->last, on_word, hearing);
  self->heard.end = work->end;
  if (hearing->last) {
    gst_gemma_lm_base_note_answer (self, work, stats.microseconds);
  } else {
    post_partial (self, work);
    gint64 translating = show_translations (self, work, hearing, cancellable);
    gst_gemma_lm_base_note_hypothesis (self, stats.microseconds, translating, interval);
  }
  return hearing->flow;
}

/* What was cut goes on where the words that were told of it end, with some of them as context; else all is new. */
static void
begin_utterance (GstGemmaLmBase *self, const GemmaWork *work)
{
  GemmaHeard *heard = &self->heard;

  heard->n_skipped = work->n_carried;
  if (heard->cut == work->start) {
    GstClockTime from = gemma_hypotheses_go_on (heard->hypotheses, get_token (work, 0)->start);
    for (heard->n_skipped = 0; heard->n_skipped < work->n_carried; heard->n_skipped++) {
      const GemmaSoundToken *token = get_token (work, heard->n_skipped);
      if (token->start / 2 + token->end / 2 >= from)
        break;
    }
  } else {
    gemma_hypotheses_reset (heard->hypotheses, work->start);
    heard->told = work->start;
    heard->words = gst_gemma_lm_base_get_streaming (self, NULL) == GEMMA_STREAMING_WORDS;
  }
  heard->start = work->start;
  heard->end = heard->from = heard->told;
  heard->cut = GST_CLOCK_TIME_NONE;
  heard->n_words = 0;
}

GstFlowReturn
gst_gemma_lm_base_hear (GstGemmaLmBase *self, GemmaWork *work, GCancellable *cancellable)
{
  GemmaHeard *heard = &self->heard;
  Hearing hearing = { self, work->kind == GEMMA_WORK_SPEECH, FALSE, GST_FLOW_OK };
  gboolean goes_on = work->n_carried > 0;
  GstFlowReturn flow = GST_FLOW_OK;
  GstClockTime interval;

  gst_gemma_lm_base_get_streaming (self, &interval);
  if (heard->start != work->start)
    begin_utterance (self, work);
  else if (!hearing.last && work->end - heard->end < interval << self->load.step)
    return GST_FLOW_OK;
  gemma_work_skip_carried (work, heard->n_skipped);
  work->start = heard->from;
  /* What is left of a word that was cut and told is no other word. */
  if (!work->dismissed && (!goes_on || work->end - heard->told >= GEMMA_SOUND_SYLLABLE))
    flow = ask_about (self, work, &hearing, interval, cancellable);
  if (!hearing.last)
    return flow;
  work->answer = g_strstrip (g_strdup (gemma_hypotheses_get_final_text (heard->hypotheses)));
  return end_utterance (self, work, flow);
}

gboolean
gst_gemma_lm_base_is_heard (GstGemmaLmBase *self, const GemmaWork *work)
{
  if (work->kind == GEMMA_WORK_HEARD)
    return TRUE;
  if (work->kind != GEMMA_WORK_SPEECH || work->foreign)
    return FALSE;
  return self->heard.start == work->start || self->heard.cut == work->start ? self->heard.words :
      gst_gemma_lm_base_get_streaming (self, NULL) == GEMMA_STREAMING_WORDS;
}

void
gst_gemma_lm_base_forget_heard (GstGemmaLmBase *self)
{
  self->heard.start = self->heard.cut = GST_CLOCK_TIME_NONE;
}

/* ---- words of what is told whole ---------------------------------------------------------------------- */

GemmaHypotheses *
gst_gemma_lm_base_begin_words (GstGemmaLmBase *self, const GemmaWork *work)
{
  GemmaHypotheses *hypotheses = self->heard.hypotheses;

  if (!self->wants_words || !work->tokens || self->settings.task != GEMMA_TASK_TRANSCRIBE)
    return NULL;
  gemma_hypotheses_reset (hypotheses, work->start);
  gemma_hypotheses_begin (hypotheses, work->tokens);
  return hypotheses;
}

static void
keep_word (GstClockTime start, GstClockTime end, const gchar *text, gpointer words)
{
  GemmaWord word = { start, end, g_strdup (text) };

  g_array_append_val (words, word);
}

void
gst_gemma_lm_base_end_words (GstGemmaLmBase *self, const GemmaWork *work)
{
  gemma_hypotheses_end (self->heard.hypotheses, work->end, TRUE, keep_word, self->words);
}
