/* One answer of the model: the prompt of a work, decoding, text. */
#include "debug.h"
#include "lm-base.h"

/* An utterance of 30 s and a picture, with instruction and answer, or a page of text. */
#define DEFAULT_CONTEXT 2048
/* A picture with the tokens around it. */
#define PICTURE_CONTEXT (GEMMA_VISION_TOKENS + 4)
/* Nobody speaks more than 25 tokens a second: a model that writes more has lost its way. */
#define TOKENS_PER_ROW 4

typedef struct
{
  GString *text;
  GemmaPartialFunc partial;
  gpointer user_data;
  gint64 deadline;              /* monotonic; 0: none */
  GemmaDecodeStats *stats;
} Answer;

void
gemma_decoding_clear (GemmaDecoding *self)
{
  g_clear_pointer (&self->session, gemma_lm_session_free);
  g_clear_pointer (&self->model, gemma_model_unref);
}

static gboolean
ensure_session (GemmaDecoding *self, const GemmaLmSettings *settings, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (self->model);
  gint wanted = DEFAULT_CONTEXT + (MAX (settings->max_pictures, 1) - 1) * PICTURE_CONTEXT;
  gint size = settings->context_size ? (gint) settings->context_size : MIN (wanted, config->text.context_length);

  if (size > config->text.context_length) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "context-size is %d, the model takes %d tokens at most", size,
        config->text.context_length);
    return FALSE;
  }
  if (self->session && self->context_size == size)
    return gemma_lm_session_truncate (self->session, 0);

  g_clear_pointer (&self->session, gemma_lm_session_free);
  GemmaLmSessionParams params = { .context_size = size };
  self->session = gemma_lm_session_new (gemma_model_get_lm (self->model), &params, error);
  self->context_size = size;
  return self->session != NULL;
}

/* A picture alone is described, whatever is asked about speech. */
static GemmaTask
get_task (const GemmaLmSettings *settings, const GemmaWork *work)
{
  return work->kind == GEMMA_WORK_IMAGE && settings->task != GEMMA_TASK_CUSTOM ? GEMMA_TASK_DESCRIBE : settings->task;
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

static GemmaPrompt *
make_prompt (GemmaModel *model, const GemmaLmSettings *settings, const GemmaWork *work, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (model);
  g_autofree gchar *instruction = gemma_task_instruction (get_task (settings, work), settings->source_language,
      settings->target_language, settings->prompt ? settings->prompt : "");
  g_autofree gchar *text = !work->text ? g_strdup (instruction) :
      *instruction ? g_strconcat (instruction, "\n\n", work->text, NULL) : g_strdup (work->text);
  g_autofree GemmaContent *content = g_new (GemmaContent, 2 + (work->pictures ? work->pictures->len : 0));
  guint n = list_content (work, text, config->text.hidden, content);

  GemmaPrompt *prompt = gemma_prompt_new ();
  if (!gemma_prompt_add_turn (prompt, model, content, n, config->audio.pad_clip, error))
    g_clear_pointer (&prompt, gemma_prompt_free);
  return prompt;
}

static gboolean
on_token (gint id, const gchar *text, gpointer data)
{
  Answer *answer = data;

  answer->stats->tokens++;
  if (*text) {
    g_string_append (answer->text, text);
    answer->partial (answer->text->str, answer->user_data);
  }
  answer->stats->timed_out = answer->deadline && g_get_monotonic_time () > answer->deadline;
  return !answer->stats->timed_out;
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
  };

  if (room < 1) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG,
        "the prompt has %u tokens, context-size allows %d with the answer", prompt->ids->len, self->context_size);
    return FALSE;
  }
  if (work->rows && settings->task != GEMMA_TASK_CUSTOM) {
    gint lines = settings->task == GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE ? 2 : 1;
    params.max_tokens = MIN (params.max_tokens, lines * (16 + TOKENS_PER_ROW * (gint) (work->rows->len / hidden)));
  }
  params.max_tokens = MIN (params.max_tokens, room);
  return gemma_generate (self->model, self->session, prompt, &params, NULL, on_token, answer, cancellable, error);
}

gchar *
gemma_decode (GemmaDecoding *self, const GemmaLmSettings *settings, const GemmaWork *work, GemmaPartialFunc partial,
    gpointer user_data, GCancellable *cancellable, GemmaDecodeStats *stats, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  Answer answer = { .partial = partial, .user_data = user_data, .stats = stats };
  gboolean ok;

  *stats = (GemmaDecodeStats) { 0, };
  if (settings->decode_timeout)
    answer.deadline = start + settings->decode_timeout * G_TIME_SPAN_MILLISECOND;
  if (!ensure_session (self, settings, error))
    return NULL;
  GemmaPrompt *prompt = make_prompt (self->model, settings, work, error);
  if (!prompt)
    return NULL;

  stats->prompt_tokens = prompt->ids->len;
  answer.text = g_string_new (NULL);
  ok = generate (self, settings, work, prompt, &answer, cancellable, error);
  gemma_prompt_free (prompt);
  stats->microseconds = g_get_monotonic_time () - start;

  gchar *text = g_string_free (answer.text, FALSE);
  if (!ok)
    g_clear_pointer (&text, g_free);
  GST_DEBUG ("%u tokens of prompt, %u of answer in %d ms: %s", stats->prompt_tokens, stats->tokens,
      (gint) (stats->microseconds / 1000), GST_STR_NULL (text));
  return text ? g_strstrip (text) : NULL;
}
