/* Gemma's chat template as ids.
 *
 * transformers renders the whole template to one string and tokenizes it, so text between two control
 * tokens is tokenized as one piece wherever it came from ("user\n" and the "\n\n" before a clip are one token of three
 * newlines). Here control tokens are ids from the start and the text between them is gathered and encoded
 * without looking for control tokens: what a user typed cannot become one.
 */
#include "model-private.h"

#include <string.h>

typedef struct
{
  GemmaModel *model;
  GemmaPrompt *prompt;
  GString *text;                /* since the last control token */
  GError **error;
} Builder;

GemmaPrompt *
gemma_prompt_new (void)
{
  GemmaPrompt *prompt = g_new0 (GemmaPrompt, 1);

  prompt->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  prompt->rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  return prompt;
}

void
gemma_prompt_free (GemmaPrompt *prompt)
{
  if (!prompt)
    return;
  g_array_unref (prompt->ids);
  g_array_unref (prompt->rows);
  g_free (prompt);
}

static void
flush_text (Builder *b)
{
  if (b->text->len > 0)
    gemma_tokenizer_encode (gemma_model_get_tokenizer (b->model), b->text->str, b->text->len, FALSE, b->prompt->ids);
  g_string_truncate (b->text, 0);
}

static gboolean
put_id (Builder *b, gint32 id, const gchar *name)
{
  if (id < 0) {
    g_set_error (b->error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "the model has no token %s", name);
    return FALSE;
  }
  flush_text (b);
  g_array_append_val (b->prompt->ids, id);
  return TRUE;
}

static gboolean
put_named (Builder *b, const gchar *name)
{
  return put_id (b, gemma_tokenizer_find (gemma_model_get_tokenizer (b->model), name), name);
}

/* The characters that Python's str.strip(), and so the template's trim, takes away. */
static gboolean
is_space (gunichar c)
{
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680
      || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static void
put_trimmed (Builder *b, const gchar *user_text)
{
  g_autofree gchar *valid = g_utf8_make_valid (user_text, -1);
  const gchar *start = valid, *end = valid + strlen (valid);

  while (start < end && is_space (g_utf8_get_char (start)))
    start = g_utf8_next_char (start);
  while (end > start && is_space (g_utf8_get_char (g_utf8_prev_char (end))))
    end = g_utf8_prev_char (end);
  g_string_append_len (b->text, start, end - start);
}

/* As it is: where no template trims, the spaces at the end of "Spanish: " are the user's. */
static void
put_untrimmed (Builder *b, const gchar *user_text)
{
  g_autofree gchar *valid = g_utf8_make_valid (user_text, -1);

  g_string_append (b->text, valid);
}

/* The row of a hard id. */
static gboolean
put_hard_row (Builder *b, gint id)
{
  GArray *rows = b->prompt->rows;
  gint hidden = gemma_model_get_config (b->model)->text.hidden;

  g_array_set_size (rows, rows->len + hidden);
  return gemma_model_hard_embedding (b->model, id, &g_array_index (rows, gfloat, rows->len - hidden), b->error);
}

static gboolean
put_audio (Builder *b, const GemmaContent *content, gboolean pad)
{
  const GemmaConfig *config = gemma_model_get_config (b->model);
  const GemmaAudioConfig *audio = &config->audio;
  gint n = content->n_rows;

  g_string_append (b->text, "\n\n");
  if (!put_id (b, config->boa_id, "<start_of_audio>"))
    return FALSE;
  g_array_append_vals (b->prompt->rows, content->rows, (guint) n * config->text.hidden);
  for (; pad && n < audio->tokens_per_clip; n++)
    if (!put_hard_row (b, audio->vocab_offset + audio->vocab_size - 1))
      return FALSE;
  for (gint i = 0; i < n; i++)
    if (!put_id (b, config->audio_token_id, "<audio_soft_token>"))
      return FALSE;
  if (!put_id (b, config->eoa_id, "<end_of_audio>") || !put_hard_row (b, config->eoa_id))
    return FALSE;
  g_string_append (b->text, "\n\n");
  return TRUE;
}

static gboolean
put_image (Builder *b, const GemmaContent *content)
{
  const GemmaConfig *config = gemma_model_get_config (b->model);

  if (content->n_rows != GEMMA_VISION_TOKENS) {
    g_set_error (b->error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "a picture of %d soft tokens; it must have %d",
        content->n_rows, GEMMA_VISION_TOKENS);
    return FALSE;
  }
  g_string_append (b->text, "\n\n");
  if (!put_id (b, config->boi_id, "<start_of_image>"))
    return FALSE;
  g_array_append_vals (b->prompt->rows, content->rows, GEMMA_VISION_TOKENS * config->text.hidden);
  for (gint i = 0; i < GEMMA_VISION_TOKENS; i++)
    if (!put_id (b, config->image_token_id, "<image_soft_token>"))
      return FALSE;
  if (!put_id (b, config->eoi_id, "<end_of_image>")
      || (gemma_text_config_is_soft (&config->text, config->eoi_id) && !put_hard_row (b, config->eoi_id)))
    return FALSE;
  g_string_append (b->text, "\n\n");
  return TRUE;
}

static gboolean
put_content (Builder *b, const GemmaContent *content, gboolean pad_audio)
{
  switch (content->kind) {
    case GEMMA_CONTENT_TEXT:
      (gemma_model_get_config (b->model)->has_turns ? put_trimmed : put_untrimmed) (b, content->text);
      return TRUE;
    case GEMMA_CONTENT_AUDIO:
      return put_audio (b, content, pad_audio);
    default:
      return put_image (b, content);
  }
}

/* <bos>, or the end of the turn before, as far as it is not there. */
static gboolean
put_separator (Builder *b)
{
  GemmaTokenizer *tokenizer = gemma_model_get_tokenizer (b->model);
  GArray *ids = b->prompt->ids;
  gint32 end = gemma_tokenizer_find (tokenizer, "<end_of_turn>"), newline = gemma_tokenizer_find (tokenizer, "\n");
  gint32 last, before;

  if (ids->len == 0)
    return put_id (b, gemma_model_get_config (b->model)->bos_id, "<bos>");
  last = g_array_index (ids, gint32, ids->len - 1);
  before = ids->len > 1 ? g_array_index (ids, gint32, ids->len - 2) : -1;
  if (last == newline && before == end)
    return TRUE;
  if (last != end && !put_id (b, end, "<end_of_turn>"))
    return FALSE;
  g_string_append_c (b->text, '\n');
  return TRUE;
}

static gboolean
put_turn (Builder *b, const GemmaContent *content, guint n_content, gboolean pad_audio)
{
  if (!put_separator (b) || !put_named (b, "<start_of_turn>"))
    return FALSE;
  g_string_append (b->text, "user\n");
  for (guint i = 0; i < n_content; i++)
    if (!put_content (b, &content[i], pad_audio))
      return FALSE;
  if (!put_named (b, "<end_of_turn>"))
    return FALSE;
  g_string_append (b->text, "\n");
  if (!put_named (b, "<start_of_turn>"))
    return FALSE;
  g_string_append (b->text, "model\n");
  flush_text (b);
  return TRUE;
}

/* A model without turns goes on with the text. */
static gboolean
put_plain (Builder *b, const GemmaContent *content, guint n_content, gboolean pad_audio)
{
  if (b->prompt->ids->len == 0 && !put_id (b, gemma_model_get_config (b->model)->bos_id, "<bos>"))
    return FALSE;
  for (guint i = 0; i < n_content; i++)
    if (!put_content (b, &content[i], pad_audio))
      return FALSE;
  flush_text (b);
  return TRUE;
}

gboolean
gemma_prompt_add_turn (GemmaPrompt *prompt, GemmaModel *model, const GemmaContent *content, guint n_content,
    gboolean pad_audio, GError **error)
{
  Builder b = { model, prompt, g_string_new (NULL), error };
  guint n_ids = prompt->ids->len, n_rows = prompt->rows->len;
  gboolean has_turns = gemma_model_get_config (model)->has_turns;
  gboolean ok = (has_turns ? put_turn : put_plain) (&b, content, n_content, pad_audio);

  if (!ok) {
    g_array_set_size (prompt->ids, n_ids);
    g_array_set_size (prompt->rows, n_rows);
  }
  g_string_free (b.text, TRUE);
  return ok;
}

static gboolean
put_plain_id (Builder *b, gint32 id)
{
  const GemmaConfig *config = gemma_model_get_config (b->model);

  if (id < 0 || id >= config->text.vocab_size) {
    g_set_error (b->error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "token id %d; allowed are 0 to %d", id,
        config->text.vocab_size - 1);
    return FALSE;
  }
  if (id == config->audio_token_id || id == config->image_token_id) {
    g_set_error (b->error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "token id %d holds a place for audio or a picture, which plain ids cannot have", id);
    return FALSE;
  }
  if (gemma_text_config_is_soft (&config->text, id) && !put_hard_row (b, id))
    return FALSE;
  g_array_append_val (b->prompt->ids, id);
  return TRUE;
}

gboolean
gemma_prompt_add_ids (GemmaPrompt *prompt, GemmaModel *model, const gint32 *ids, guint n, GError **error)
{
  Builder b = { model, prompt, NULL, error };
  guint n_ids = prompt->ids->len, n_rows = prompt->rows->len;

  for (guint i = 0; i < n; i++) {
    if (!put_plain_id (&b, ids[i])) {
      g_array_set_size (prompt->ids, n_ids);
      g_array_set_size (prompt->rows, n_rows);
      return FALSE;
    }
  }
  return TRUE;
}
