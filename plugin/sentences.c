#include "sentences.h"

#include <string.h>

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

/* ---- text ------------------------------------------------------------------------------- */

/* What may follow a full stop in its sentence. */
static gboolean
closes (gunichar c)
{
  switch (g_unichar_type (c)) {
    case G_UNICODE_CLOSE_PUNCTUATION:
    case G_UNICODE_FINAL_PUNCTUATION:
    case G_UNICODE_SPACE_SEPARATOR:
    case G_UNICODE_CONTROL:
      return TRUE;
    default:
      return c == '"' || c == '\'';
  }
}

static gboolean
is_terminator (gunichar c)
{
  static const gunichar terminators[] = {
    '.', '!', '?', 0x2026 /* … */, 0x203c, 0x203d, 0x2047, 0x2048, 0x2049, 0x3002 /* 。 */, 0xff01, 0xff0e, 0xff1f,
    0xff61, 0x061f /* Arabic ? */, 0x06d4, 0x0964 /* danda */, 0x0965, 0x1362 /* Ethiopic */, 0x1367, 0x104b, 0x17d4,
    0x0589 /* Armenian */, 0x055c, 0x055e
  };

  for (guint i = 0; i < G_N_ELEMENTS (terminators); i++)
    if (c == terminators[i])
      return TRUE;
  return FALSE;
}

/* "Dr." and "J.": the word that ends before @stop, its full stop. */
static gboolean
is_abbreviation (const gchar *text, const gchar *stop)
{
  static const gchar *const titles[] = { "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Sra", "Sta", "Mme", "Sig", "Hr",
    "Fr" };
  const gchar *word = stop;

  while (word > text && g_unichar_isalpha (g_utf8_get_char (g_utf8_prev_char (word))))
    word = g_utf8_prev_char (word);
  if (word < stop && g_utf8_next_char (word) == stop)
    return g_unichar_isupper (g_utf8_get_char (word));
  for (guint i = 0; i < G_N_ELEMENTS (titles); i++)
    if (strlen (titles[i]) == (gsize) (stop - word) && strncmp (titles[i], word, stop - word) == 0)
      return TRUE;
  return FALSE;
}

gboolean
gemma_text_ends_sentence (const gchar *text)
{
  const gchar *p = text + strlen (text);

  while (p > text && closes (g_utf8_get_char (g_utf8_prev_char (p))))
    p = g_utf8_prev_char (p);
  if (p == text)
    return FALSE;
  p = g_utf8_prev_char (p);
  return is_terminator (g_utf8_get_char (p)) && !(*p == '.' && is_abbreviation (text, p));
}

static gboolean
is_spaceless (gunichar c)
{
  switch (g_unichar_get_script (c)) {
    case G_UNICODE_SCRIPT_HAN:
    case G_UNICODE_SCRIPT_HIRAGANA:
    case G_UNICODE_SCRIPT_KATAKANA:
    case G_UNICODE_SCRIPT_THAI:
    case G_UNICODE_SCRIPT_LAO:
    case G_UNICODE_SCRIPT_KHMER:
    case G_UNICODE_SCRIPT_MYANMAR:
      return TRUE;
    default:
      return (c >= 0x3000 && c <= 0x303f) || (c >= 0xff00 && c <= 0xff65);      /* punctuation of the first three */
  }
}

gboolean
gemma_text_needs_space (const gchar *before, const gchar *after)
{
  gunichar last, first;

  if (!*before || !*after)
    return FALSE;
  last = g_utf8_get_char (g_utf8_prev_char (before + strlen (before)));
  first = g_utf8_get_char (after);
  return !g_unichar_isspace (last) && !g_unichar_isspace (first) && !(is_spaceless (last) && is_spaceless (first)) &&
      !is_terminator (first) && !(first < 128 && strchr (",;:", first));
}

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
