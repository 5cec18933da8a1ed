#include "sentences.h"

#include "prose.h"

struct _GemmaSentences
{
  const GemmaSentencesFuncs *funcs;
  gpointer user_data;
  GstClockTime pause, longest;

  GString *text;
  gchar *last;                  /* word, without markup */
  GstClockTime start, end;
  gboolean pending;             /* there is a sentence */
  GstClockTime quiet;           /* until here nothing followed the last word */
};

/* ---- sentences ---------------------------------------------------------------------------- */

GemmaSentences *
gemma_sentences_new (const GemmaSentencesFuncs *funcs, gpointer user_data)
{
  GemmaSentences *self = g_new0 (GemmaSentences, 1);

  self->funcs = funcs;
  self->user_data = user_data;
  self->longest = GST_CLOCK_TIME_NONE;
  self->pause = GST_CLOCK_TIME_NONE;
  self->text = g_string_new (NULL);
  return self;
}

void
gemma_sentences_free (GemmaSentences *self)
{
  g_string_free (self->text, TRUE);
  g_free (self->last);
  g_free (self);
}

void
gemma_sentences_set_limits (GemmaSentences *self, GstClockTime pause, GstClockTime longest)
{
  self->pause = pause;
  self->longest = longest;
}

gboolean
gemma_sentences_are_pending (const GemmaSentences *self)
{
  return self->pending;
}

void
gemma_sentences_reset (GemmaSentences *self)
{
  g_string_truncate (self->text, 0);
  self->pending = FALSE;
}

void
gemma_sentences_drain (GemmaSentences *self)
{
  if (!self->pending)
    return;
  g_autofree gchar *text = g_strdup (self->text->str);
  GstClockTime end = self->end, quiet = self->quiet;

  gemma_sentences_reset (self);
  self->funcs->sentence (self->start, end, text, self->user_data);
  if (quiet > end)
    self->funcs->gap (end, quiet, self->user_data);
}

void
gemma_sentences_push (GemmaSentences *self, GstClockTime start, GstClockTime end, const gchar *text, const gchar *plain)
{
  if (self->pending && (start < self->start || (start > self->end && start - self->end >= self->pause) ||
          end - self->start > self->longest))
    gemma_sentences_drain (self);
  if (!self->pending) {
    self->pending = TRUE;
    self->start = start;
    self->end = end;
  } else if (gemma_text_needs_space (self->last, plain)) {
    g_string_append_c (self->text, ' ');
  }
  g_string_append (self->text, text);
  g_free (self->last);
  self->last = g_strdup (plain);
  self->end = self->quiet = MAX (self->end, end);
  if (gemma_text_ends_sentence (plain))
    gemma_sentences_drain (self);
}

void
gemma_sentences_push_gap (GemmaSentences *self, GstClockTime start, GstClockTime end)
{
  if (!self->pending) {
    self->funcs->gap (start, end, self->user_data);
    return;
  }
  self->quiet = MAX (self->quiet, end);
  if (self->quiet - self->end >= self->pause)
    gemma_sentences_drain (self);
}
