#include "memory.h"

#include <string.h>

struct _GemmaMemory
{
  GemmaModel *model;
  GemmaLmSession *session;
  const GemmaTextConfig *text;  /* the model's */
  GemmaPrompt *held;            /* the first positions of the session; what follows them is forgotten */
};

GemmaMemory *
gemma_memory_new (GemmaModel *model, const GemmaLmSessionParams *params, GError **error)
{
  GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (model), params, error);
  GemmaMemory *self;

  if (!session)
    return NULL;
  self = g_new0 (GemmaMemory, 1);
  self->model = gemma_model_ref (model);
  self->session = session;
  self->text = &gemma_model_get_config (model)->text;
  self->held = gemma_prompt_new ();
  return self;
}

void
gemma_memory_free (GemmaMemory *self)
{
  if (!self)
    return;
  gemma_lm_session_free (self->session);
  gemma_prompt_free (self->held);
  gemma_model_unref (self->model);
  g_free (self);
}

GemmaLmSession *
gemma_memory_get_session (GemmaMemory *self)
{
  return self->session;
}

/* Of the first @n ids. */
static guint
count_rows (GemmaMemory *self, const GemmaPrompt *prompt, guint n)
{
  return gemma_text_config_count_soft (self->text, (const gint32 *) (gpointer) prompt->ids->data, n);
}

/*
 * How many positions of @prompt are held: the same ids, and the same rows where they are soft. Of soft ids that see
 * each other, each depends on all: they are held as a whole or not at all.
 */
static guint
count_held (GemmaMemory *self, const GemmaPrompt *prompt)
{
  const gint32 *ids = (const gint32 *) (gpointer) prompt->ids->data;
  gint hidden = self->text->hidden;
  guint n = MIN (self->held->ids->len, prompt->ids->len), row = 0, i;

  for (i = 0; i < n; i++) {
    if (ids[i] != g_array_index (self->held->ids, gint32, i))
      break;
    if (!gemma_text_config_is_soft (self->text, ids[i]))
      continue;
    guint at = row++ * hidden;
    if (memcmp (&g_array_index (prompt->rows, gfloat, at), &g_array_index (self->held->rows, gfloat, at),
            hidden * sizeof (gfloat)) != 0)
      break;
  }
  return gemma_text_config_cut (self->text, ids, prompt->ids->len, i);
}

/* Holds only the first @n positions. */
static void
forget_after (GemmaMemory *self, guint n)
{
  g_array_set_size (self->held->rows, count_rows (self, self->held, n) * self->text->hidden);
  g_array_set_size (self->held->ids, n);
}

void
gemma_memory_forget (GemmaMemory *self)
{
  gemma_lm_session_truncate (self->session, 0);
  forget_after (self, 0);
}

/* What of @prompt comes after its first @n positions. (transfer full) */
static GemmaPrompt *
get_rest (GemmaMemory *self, const GemmaPrompt *prompt, guint n)
{
  GemmaPrompt *rest = gemma_prompt_new ();
  guint at = count_rows (self, prompt, n) * self->text->hidden;

  g_array_append_vals (rest->ids, &g_array_index (prompt->ids, gint32, n), prompt->ids->len - n);
  if (at < prompt->rows->len)
    g_array_append_vals (rest->rows, &g_array_index (prompt->rows, gfloat, at), prompt->rows->len - at);
  return rest;
}

typedef struct
{
  GemmaTokenFunc func;
  gpointer user_data;
  GArray *said;                 /* gint32 */
} Answer;

static gboolean
on_token (gint id, const gchar *text, gpointer data)
{
  Answer *answer = data;
  gint32 said = id;

  g_array_append_val (answer->said, said);
  return !answer->func || answer->func (id, text, answer->user_data);
}

/* What of the answer was fed back is held, too, until the first id that stands for a row. */
static void
hold_answer (GemmaMemory *self, const GArray *said)
{
  guint n = gemma_lm_session_get_length (self->session) - self->held->ids->len;

  for (guint i = 0; i < MIN (n, said->len); i++) {
    gint32 id = g_array_index (said, gint32, i);
    if (gemma_text_config_is_soft (self->text, id))
      break;
    g_array_append_val (self->held->ids, id);
  }
}

gboolean
gemma_memory_generate (GemmaMemory *self, const GemmaPrompt *prompt, const GemmaGenerateParams *params,
    GemmaTokenFunc func, gpointer user_data, guint *reused, GCancellable *cancellable, GError **error)
{
  guint keep = gemma_model_get_config (self->model)->encoder.n_layers > 0 ? 0 : count_held (self, prompt);
  GemmaPrompt *rest;
  gboolean ok;

  if (keep == prompt->ids->len && keep > 0)
    keep--;                     /* for its logits */
  if (!gemma_lm_session_truncate (self->session, keep)) {
    keep = 0;
    gemma_lm_session_truncate (self->session, 0);
  }
  forget_after (self, keep);
  *reused = keep;

  rest = get_rest (self, prompt, keep);
  Answer answer = { func, user_data, g_array_new (FALSE, FALSE, sizeof (gint32)) };
  ok = gemma_generate (self->model, self->session, rest, params, NULL, on_token, &answer, cancellable, error);
  /* A prompt that failed left the session as it was; one that was read is there whatever came of the answer. */
  if (gemma_lm_session_get_length (self->session) >= (gint) prompt->ids->len) {
    g_array_append_vals (self->held->ids, rest->ids->data, rest->ids->len);
    g_array_append_vals (self->held->rows, rest->rows->data, rest->rows->len);
    hold_answer (self, answer.said);
  } else {
    forget_after (self, MIN (keep, (guint) gemma_lm_session_get_length (self->session)));
  }
  g_array_unref (answer.said);
  gemma_prompt_free (rest);
  return ok;
}
