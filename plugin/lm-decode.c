/* One answer of the model: the prompt of a work, decoding, text. */
#include "debug.h"
#include "lm-base.h"
#include "opencl/ops.h"

#include <string.h>

/* An utterance of 30 s and a picture, with instruction and answer, or a page of text. */
#define DEFAULT_CONTEXT 2048
/* A picture with the tokens around it. */
#define PICTURE_CONTEXT (GEMMA_VISION_TOKENS + 4)
/* What follows the sound in a prompt, and a little more: it is taken back with the answer. */
#define AFTER_SOUND 16
/* What any answer may have. */
#define SPARE_TOKENS 16
/* Nobody speaks more than 25 tokens a second: a model that writes more has lost its way. */
#define TOKENS_PER_ROW 4
/* How much less likely it has to be that nothing is said, for a text before its speech is over. */
#define EARLY 3
#define TEXT_PLACE "{text}"

typedef struct
{
  GString *text;
  GemmaDecoding *decoding;
  const GemmaListener *listener;
  gint64 deadline;              /* monotonic; 0: none */
  const gchar *stop;            /* nullable */
  GemmaDecodeStats *stats;
  gfloat *weights;              /* (nullable): of the sound's tokens, for the token that comes next */
  GError *error;                /* of what was set meanwhile */
} Answer;

void
gemma_decoding_clear (GemmaDecoding *self)
{
  g_clear_pointer (&self->memory, gemma_memory_free);
  g_clear_pointer (&self->submodel, gemma_lm_submodel_free);
  g_clear_pointer (&self->next_submodel, g_free);
  g_clear_pointer (&self->model, gemma_model_unref);
}

static gboolean
pads_clip (GemmaDecoding *self, const GemmaLmSettings *settings)
{
  return settings->pad_clip == GEMMA_PAD_CLIP_AUTO ? gemma_model_get_config (self->model)->audio.pad_clip :
      settings->pad_clip == GEMMA_PAD_CLIP_ALWAYS;
}

/* What is written is translated, with what precedes it as examples. */
static gboolean
translates_text (const GemmaLmSettings *settings, const GemmaWork *work)
{
  return work->kind == GEMMA_WORK_TEXT && settings->task == GEMMA_TASK_TRANSLATE;
}

/* Positions that the next question may take back: the answer, and what stands between it and the sound; or the text. */
static gint
get_rollback (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work)
{
  const GemmaAudioConfig *audio = &gemma_model_get_config (self->model)->audio;

  if (translates_text (settings, work))
    return AFTER_SOUND + 2 * MIN (settings->max_tokens, DEFAULT_CONTEXT);
  if (!settings->streaming && !settings->translations)
    return 0;
  return AFTER_SOUND + (pads_clip (self, settings) ? audio->tokens_per_clip : 0) +
      MIN (settings->max_tokens, DEFAULT_CONTEXT);
}

static gboolean
ensure_memory (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (self->model);
  gint wanted = DEFAULT_CONTEXT + (MAX (settings->max_pictures, 1) - 1) * PICTURE_CONTEXT;
  gint size = settings->context_size ? (gint) settings->context_size : MIN (wanted, config->text.context_length);

  if (size > config->text.context_length) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "context-size is %d, the model takes %d tokens at most", size,
        config->text.context_length);
    return FALSE;
  }
  gint rollback = get_rollback (self, settings, work);
  if (self->memory && self->context_size == size && self->rollback >= rollback && self->activations == settings->activations
      && self->kv_cache == settings->kv_cache)
    return TRUE;

  g_clear_pointer (&self->memory, gemma_memory_free);
  const GemmaLmSessionParams params = { .context_size = size, .rollback = rollback,
    .matmul_flags = settings->activations,
    .packed_kv = settings->kv_cache == GEMMA_KV_CACHE_INT8 };
  self->memory = gemma_memory_new (self->model, &params, error);
  self->context_size = size;
  self->rollback = rollback;
  self->activations = settings->activations;
  self->kv_cache = settings->kv_cache;
  return self->memory && gemma_lm_session_set_submodel (gemma_memory_get_session (self->memory), self->submodel);
}

/* Only views are made, and the session takes them up between two tokens. */
static gboolean
use_submodel (GemmaDecoding *self, const gchar *choice, GError **error)
{
  GemmaLmSubmodel *next = gemma_lm_submodel_new (gemma_model_get_lm (self->model), choice, error);
  GemmaLmSession *session = gemma_memory_get_session (self->memory);

  if (!next)
    return FALSE;
  g_clear_pointer (&self->next_submodel, g_free);
  if (gemma_lm_session_set_submodel (session, next)) {
    GST_INFO ("submodel %s from position %d on", choice ? choice : "full", gemma_lm_session_get_length (session));
    gemma_lm_submodel_free (self->submodel);
    self->submodel = next;
    self->mixed = gemma_lm_session_get_length (session) > 0;
  } else {
    GST_INFO ("submodel %s from the next answer on", choice);
    gemma_lm_submodel_free (next);
    self->next_submodel = g_strdup (choice);
  }
  return TRUE;
}

/* Before an answer: what another submodel has read is read again. */
static gboolean
begin_submodel (GemmaDecoding *self, const GemmaLmSettings *settings, GError **error)
{
  g_autofree gchar *choice = self->take_submodel (self->user_data);

  if (!choice)
    choice = self->submodel ? g_steal_pointer (&self->next_submodel) : g_strdup (settings->submodel);
  if (choice || self->mixed)
    gemma_memory_forget (self->memory);
  self->mixed = FALSE;
  return (self->submodel && !choice) || use_submodel (self, choice, error);
}

/* A picture alone is described, whatever is asked about speech. */
static GemmaTask
get_task (const GemmaLmSettings *settings, const GemmaWork *work)
{
  return work->kind == GEMMA_WORK_IMAGE && settings->task != GEMMA_TASK_CUSTOM ? GEMMA_TASK_DESCRIBE : settings->task;
}

/* A transcript, after which come translations: a line for each. */
static gboolean
is_translated (const GemmaLmSettings *settings, const GemmaWork *work)
{
  return settings->translations && work->rows && settings->task == GEMMA_TASK_TRANSCRIBE;
}

/* In order of time: pictures until the sound begins, the instruction, the sound, pictures that came meanwhile. A clip
 * is not cut for them. Text follows all pictures. */
static guint
list_content (const GemmaWork *work, const gchar *text, guint hidden, GemmaContent *content)
{
  guint n = 0, i = 0, n_pictures = work->pictures ? work->pictures->len : 0;

  for (; i < n_pictures; i++) {
    const GemmaPicture *picture = g_ptr_array_index (work->pictures, i);
    if (work->rows && picture->time > work->running_start)
      break;
    content[n++] = (GemmaContent) { GEMMA_CONTENT_IMAGE, NULL, (gfloat *) picture->rows->data, picture->rows->len / hidden };
  }
  if (*text || work->text)
    content[n++] = (GemmaContent) { GEMMA_CONTENT_TEXT, text, NULL, 0 };
  if (work->rows)
    content[n++] = (GemmaContent) { GEMMA_CONTENT_AUDIO, NULL, (gfloat *) work->rows->data, work->rows->len / hidden };
  for (; i < n_pictures; i++) {
    const GemmaPicture *picture = g_ptr_array_index (work->pictures, i);
    content[n++] = (GemmaContent) { GEMMA_CONTENT_IMAGE, NULL, (gfloat *) picture->rows->data, picture->rows->len / hidden };
  }
  return n;
}

/* The instruction, then the text; or the instruction with the text where it has TEXT_PLACE. */
static gchar *
join_text (const gchar *instruction, const gchar *text)
{
  const gchar *place = strstr (instruction, TEXT_PLACE);

  if (place)
    return g_strdup_printf ("%.*s%s%s", (gint) (place - instruction), instruction, text, place + strlen (TEXT_PLACE));
  return *instruction ? g_strconcat (instruction, "\n\n", text, NULL) : g_strdup (text);
}

/* What is asked in words. (transfer full) */
static gchar *
make_text (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work)
{
  const GemmaConfig *config = gemma_model_get_config (self->model);
  const gchar *prompt = settings->prompt, *first = prompt ? prompt : config->wants_examples ? NULL : "";

  if (translates_text (settings, work) && !(prompt && strstr (prompt, TEXT_PLACE)))
    return gemma_task_text_translation (settings->source_language, settings->target_language, first,
        config->wants_examples ? work->examples : NULL, work->text, config->has_turns);
  if (is_translated (settings, work))
    return gemma_task_instruction (GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE, settings->source_language, settings->translations, NULL);
  g_autofree gchar *instruction = translates_text (settings, work) ? g_strdup (prompt) :
      gemma_task_instruction (get_task (settings, work), settings->source_language, settings->target_language,
      prompt ? prompt : "");
  return work->text ? join_text (instruction, work->text) : g_steal_pointer (&instruction);
}

/* @said: (nullable): ids that the answer begins with */
static GemmaPrompt *
make_prompt (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work, const GArray *said,
    GError **error)
{
  GemmaModel *model = self->model;
  const GemmaConfig *config = gemma_model_get_config (model);
  g_autofree gchar *text = make_text (self, settings, work);
  g_autofree GemmaContent *content = g_new (GemmaContent, 2 + (work->pictures ? work->pictures->len : 0));
  guint n = list_content (work, text, config->text.hidden, content);

  GemmaPrompt *prompt = gemma_prompt_new ();
  if (!gemma_prompt_add_turn (prompt, model, content, n, pads_clip (self, settings), error) ||
      (said && !gemma_prompt_add_ids (prompt, model, (const gint32 *) (gpointer) said->data, said->len, error)))
    g_clear_pointer (&prompt, gemma_prompt_free);
  return prompt;
}

static gboolean
on_token (gint id, const gchar *text, gpointer data)
{
  Answer *answer = data;
  const GemmaListener *listener = answer->listener;
  gsize length = answer->text->len;

  answer->stats->tokens++;
  g_string_append (answer->text, text);
  gchar *end = answer->stop && *answer->stop ? strstr (answer->text->str, answer->stop) : NULL;
  if (end)
    g_string_truncate (answer->text, end - answer->text->str);
  text = answer->text->str + MIN (length, answer->text->len);
  if (!listener->token (id, text, answer->text->str, answer->weights, listener->user_data) || end)
    return FALSE;
  g_autofree gchar *submodel = answer->decoding->take_submodel (answer->decoding->user_data);
  if (submodel && !use_submodel (answer->decoding, submodel, &answer->error))
    return FALSE;
  answer->stats->timed_out = answer->deadline && g_get_monotonic_time () > answer->deadline;
  return !answer->stats->timed_out;
}

static gint
count_tokens (GemmaDecoding *self, const gchar *text)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  gemma_tokenizer_encode (gemma_model_get_tokenizer (self->model), text, strlen (text), FALSE, ids);
  return ids->len;
}

/* Whether there is room for the prompt and an answer; a translation has about as many tokens as its text. Where there is none
 * without the text either, the settings are wrong. */
static gboolean
check_room (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work, const GemmaPrompt *prompt,
    GError **error)
{
  gint n = work->divisible ? count_tokens (self, work->text) : 1, length = prompt->ids->len;

  if (n > (gint) settings->max_tokens)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG, "the text has %d tokens, max-tokens allows its translation %u",
        n, settings->max_tokens);
  else if (length > self->context_size - n) {
    gboolean is_text = work->text && (work->divisible || length - count_tokens (self, work->text) < self->context_size);
    g_set_error (error, GEMMA_ERROR, is_text ? GEMMA_ERROR_TOO_LONG : GEMMA_ERROR_SETTING,
        "the prompt has %d tokens, context-size allows %d with the answer", length, self->context_size);
  } else {
    return TRUE;
  }
  return FALSE;
}

/* Of the end of an answer about sound at its start; 0: it is as likely as any. After words there was speech. Before the sound is all heard
 * the model has to be surer, as words that leave are not taken back. */
static gdouble
get_end_threshold (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work, const GemmaListener *listener)
{
  if (!work->rows || settings->task == GEMMA_TASK_CUSTOM || (listener->said && listener->said->len))
    return 0;
  gdouble threshold = settings->no_speech_threshold >= 0 ? settings->no_speech_threshold :
      gemma_model_get_config (self->model)->audio.no_speech_threshold;
  return work->kind == GEMMA_WORK_HEARD ? threshold / EARLY : threshold;
}

static gboolean
generate (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work, const GemmaPrompt *prompt,
    Answer *answer, GCancellable *cancellable, GError **error)
{
  guint hidden = gemma_model_get_config (self->model)->text.hidden;
  gint room = self->context_size - (gint) prompt->ids->len;
  GemmaGenerateParams params = {
    .max_tokens = settings->max_tokens,
    .sampler = { .temperature = settings->temperature, .top_p = settings->top_p, .top_k = settings->top_k,
        .seed = settings->seed },
    .end_threshold = get_end_threshold (self, settings, work, answer->listener),
  };

  if (!check_room (self, settings, work, prompt, error))
    return FALSE;
  if (work->rows && settings->task != GEMMA_TASK_CUSTOM) {
    gint lines = settings->task == GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE ? 2 : 1;
    params.max_tokens = MIN (params.max_tokens, lines * (SPARE_TOKENS + TOKENS_PER_ROW * (gint) (work->rows->len / hidden)));
  }
  if (translates_text (settings, work))         /* few have more tokens than their source has bytes */
    params.max_tokens = MIN (params.max_tokens, SPARE_TOKENS + (gint) strlen (work->text));
  if (answer->listener->said && !answer->listener->goes_on)
    params.max_tokens = MAX (params.max_tokens - (gint) answer->listener->said->len, 0);
  params.max_tokens = MIN (params.max_tokens, room);
  return gemma_memory_generate (self->memory, prompt, &params, on_token, answer, &answer->stats->reused_tokens,
      cancellable, error);
}

/* Where the sound begins in @prompt, whose soft ids of another kind are others. */
static guint
find_sound (GemmaDecoding *self, const GemmaPrompt *prompt)
{
  gint id = gemma_model_get_config (self->model)->audio_token_id;
  guint i = 0;

  while (i < prompt->ids->len && g_array_index (prompt->ids, gint32, i) != id)
    i++;
  return i;
}

/* As generate(), and the listener is told where the model looks, if it wants to and the model can: it was taught to in
 * transcripts, and the words of a translation come in another order than what is said. */
static gboolean
generate_aligned (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work, const GemmaPrompt *prompt,
    Answer *answer, GCancellable *cancellable, GError **error)
{
  GemmaLmSession *session = gemma_memory_get_session (self->memory);
  guint n = work->rows ? work->rows->len / gemma_model_get_config (self->model)->text.hidden : 0;
  gboolean wanted = answer->listener->aligns && settings->task == GEMMA_TASK_TRANSCRIBE && n > 0;
  g_autofree gfloat *weights = wanted ? g_new0 (gfloat, n) : NULL;

  if (weights && gemma_lm_session_align (session, find_sound (self, prompt), n, weights))
    answer->weights = weights;
  gboolean ok = generate (self, settings, work, prompt, answer, cancellable, error);
  gemma_lm_session_align (session, 0, 0, NULL);
  answer->weights = NULL;
  return ok;
}

gchar *
gemma_decode (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work,
    const GemmaListener *listener, GCancellable *cancellable, GemmaDecodeStats *stats, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  Answer answer = { .decoding = self, .listener = listener, .stop = settings->stop, .stats = stats };
  gboolean ok;

  *stats = (GemmaDecodeStats) { 0, };
  if (!answer.stop && translates_text (settings, work))
    answer.stop = gemma_task_text_translation_stop (gemma_model_get_config (self->model)->has_turns);
  if (listener->goes_on || (!answer.stop && is_translated (settings, work)))
    answer.stop = "\n";
  if (settings->decode_timeout)
    answer.deadline = start + settings->decode_timeout * G_TIME_SPAN_MILLISECOND;
  if (!ensure_memory (self, settings, work, error) || !begin_submodel (self, settings, error))
    return NULL;
  GemmaPrompt *prompt = make_prompt (self, settings, work, listener->said, error);
  if (!prompt)
    return NULL;

  stats->prompt_tokens = prompt->ids->len;
  answer.text = g_string_new (NULL);
  ok = generate_aligned (self, settings, work, prompt, &answer, cancellable, error);
  if (answer.error) {
    ok = FALSE;
    g_clear_error (error);
    g_propagate_error (error, answer.error);
  }
  gemma_prompt_free (prompt);
  stats->microseconds = g_get_monotonic_time () - start;

  gchar *text = g_string_free (answer.text, FALSE);
  if (!ok)
    g_clear_pointer (&text, g_free);
  GST_DEBUG ("%u tokens of prompt, %u of them known, %u of answer in %d ms: %s", stats->prompt_tokens,
      stats->reused_tokens, stats->tokens, (gint) (stats->microseconds / 1000), GST_STR_NULL (text));
  return text ? g_strstrip (text) : NULL;
}
