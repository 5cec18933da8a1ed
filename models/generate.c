#include "model-private.h"

#include <math.h>
#include <string.h>

/* A loop: the same 1 to MAX_PERIOD tokens at least MIN_REPEATS times in a row, over at least MIN_SPAN tokens. */
#define MAX_PERIOD 16
#define MIN_REPEATS 8
#define MIN_SPAN 24

typedef struct
{
  GemmaModel *model;
  GemmaLmSession *session;
  const GemmaGenerateParams *params;
  GemmaSampler *sampler;
  GemmaDecoder *decoder;
  GString *text;                /* what the last token added */
  GArray *history;              /* gint32 */
  GArray *forbidden;            /* gint32: never chosen */
  gfloat *logits, *row;
} Generation;

static gboolean
is_end (const GemmaConfig *config, gint id)
{
  for (gint i = 0; i < config->n_eos; i++)
    if (config->eos_ids[i] == id)
      return TRUE;
  return FALSE;
}

/* Ids that could not be fed back, and the end tokens where they do not end anything. */
static void
find_forbidden (Generation *g)
{
  const GemmaConfig *config = gemma_model_get_config (g->model);

  for (gint32 id = config->text.first_soft_id; id < config->text.vocab_size; id++)
    if (!gemma_model_has_hard_embedding (g->model, id))
      g_array_append_val (g->forbidden, id);
  if (config->text.lone_soft_id >= 0 && config->text.lone_soft_id < config->text.vocab_size)
    g_array_append_val (g->forbidden, config->text.lone_soft_id);
  for (gint i = 0; g->params->ignore_eos && i < config->n_eos; i++)
    if (config->eos_ids[i] >= 0 && config->eos_ids[i] < config->text.vocab_size)
      g_array_append_val (g->forbidden, config->eos_ids[i]);
}

gboolean
gemma_is_looping (const gint32 *ids, guint n)
{
  for (guint period = 1; period <= MAX_PERIOD; period++) {
    guint span = MAX (period * MIN_REPEATS, MIN_SPAN), same = 0;

    if (span > n)
      break;
    while (same < span - period && ids[n - 1 - same] == ids[n - 1 - same - period])
      same++;
    if (same == span - period)
      return TRUE;
  }
  return FALSE;
}

static gboolean
run_prompt (Generation *g, const GemmaPrompt *prompt, gfloat *logits, GCancellable *cancellable, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (g->model);
  gint vocab = config->text.vocab_size;
  guint n = prompt->ids->len, last = config->encoder.n_layers > 0 ? 0 : n - 1;

  if (n == 0) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "the prompt is empty");
    return FALSE;
  }
  if (!gemma_lm_session_append (g->session, (const gint32 *) (gpointer) prompt->ids->data, n,
          (const gfloat *) (gpointer) prompt->rows->data, logits ? logits : g->logits, logits != NULL, cancellable, error))
    return FALSE;
  if (logits)
    memcpy (g->logits, logits + (gsize) last * vocab, vocab * sizeof *logits);
  return TRUE;
}

/* The next id from g->logits; -1 with @error. */
static gint
choose (Generation *g, GError **error)
{
  gint id;

  for (guint i = 0; i < g->forbidden->len; i++)
    g->logits[g_array_index (g->forbidden, gint32, i)] = -INFINITY;
  id = gemma_sampler_next (g->sampler, g->logits, gemma_model_get_config (g->model)->text.vocab_size);
  if (id < 0)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "the model's logits are not numbers");
  return id;
}

/* Appends @id, which was just generated, and computes what follows it. */
static gboolean
run_token (Generation *g, gint32 id, GCancellable *cancellable, GError **error)
{
  gboolean soft = gemma_text_config_is_soft (&gemma_model_get_config (g->model)->text, id);

  if (soft && !gemma_model_hard_embedding (g->model, id, g->row, error))
    return FALSE;
  return gemma_lm_session_append (g->session, &id, 1, soft ? g->row : NULL, g->logits, FALSE, cancellable, error);
}

/* Whether the answer is empty, by how likely an end token is to be its first. */
static gboolean
is_empty (Generation *g)
{
  const GemmaConfig *config = gemma_model_get_config (g->model);
  gint vocab = config->text.vocab_size;
  gfloat best = -INFINITY;
  gdouble sum = 0, ends = 0;

  if (g->params->end_threshold <= 0)
    return FALSE;
  for (gint i = 0; i < vocab; i++)
    best = MAX (best, g->logits[i]);
  for (gint i = 0; i < vocab; i++)
    sum += exp ((gdouble) g->logits[i] - best);
  for (gint i = 0; i < config->n_eos; i++)
    if (config->eos_ids[i] >= 0 && config->eos_ids[i] < vocab)
      ends += exp ((gdouble) g->logits[config->eos_ids[i]] - best);
  return ends >= g->params->end_threshold * sum;
}

static gboolean
run_tokens (Generation *g, GemmaTokenFunc func, gpointer user_data, GCancellable *cancellable, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (g->model);

  for (gint i = 0; i < g->params->max_tokens; i++) {
    gint32 id;

    if (g_cancellable_is_cancelled (cancellable)) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED, "generation was cancelled");
      return FALSE;
    }
    if (g->params->chosen_from)
      memcpy (g->params->chosen_from + (gsize) i * config->text.vocab_size, g->logits,
          config->text.vocab_size * sizeof *g->logits);
    id = choose (g, error);
    if (id < 0)
      return FALSE;
    if (!g->params->ignore_eos && is_end (config, id))
      break;
    g_array_append_val (g->history, id);
    g_string_truncate (g->text, 0);
    gemma_decoder_push (g->decoder, id, g->text);
    if (func && !func (id, g->text->str, user_data))
      break;
    if (!g->params->ignore_eos && gemma_is_looping ((const gint32 *) (gpointer) g->history->data, g->history->len))
      break;
    if (i + 1 == g->params->max_tokens)
      break;
    if (!run_token (g, id, cancellable, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
gemma_generate (GemmaModel *model, GemmaLmSession *session, const GemmaPrompt *prompt,
    const GemmaGenerateParams *params, gfloat *logits, GemmaTokenFunc func, gpointer user_data,
    GCancellable *cancellable, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (model);
  Generation g = { .model = model, .session = session, .params = params };
  gboolean ok;

  g.sampler = gemma_sampler_new (&params->sampler);
  g.decoder = gemma_decoder_new (gemma_model_get_tokenizer (model));
  g.text = g_string_new (NULL);
  g.history = g_array_new (FALSE, FALSE, sizeof (gint32));
  g.forbidden = g_array_new (FALSE, FALSE, sizeof (gint32));
  g.logits = g_new (gfloat, config->text.vocab_size);
  g.row = g_new (gfloat, config->text.hidden);
  find_forbidden (&g);
  ok = run_prompt (&g, prompt, logits, cancellable, error) &&
      (is_empty (&g) || run_tokens (&g, func, user_data, cancellable, error));
  gemma_sampler_free (g.sampler);
  gemma_decoder_free (g.decoder);
  g_string_free (g.text, TRUE);
  g_array_unref (g.history);
  g_array_unref (g.forbidden);
  g_free (g.logits);
  g_free (g.row);
  return ok;
}
