#include "hypotheses.h"

#include <string.h>

typedef struct
{
  GString *text;
  GArray *ids;                  /* gint32 */
  GstClockTime seen;            /* what the first hypothesis with it had heard */
} Word;

struct _GemmaHypotheses
{
  GPtrArray *words, *before;    /* of Word, not final: of this hypothesis and of the one before */
  GArray *begun;                /* gint32: of a character that is not whole yet */
  GArray *final_ids;            /* gint32 */
  GString *final_text;
  GstClockTime final_end;
};

static Word *
word_new (void)
{
  Word *word = g_new0 (Word, 1);

  word->text = g_string_new (NULL);
  word->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  return word;
}

static void
word_free (Word *word)
{
  g_string_free (word->text, TRUE);
  g_array_unref (word->ids);
  g_free (word);
}

GemmaHypotheses *
gemma_hypotheses_new (void)
{
  GemmaHypotheses *self = g_new0 (GemmaHypotheses, 1);

  self->words = g_ptr_array_new_with_free_func ((GDestroyNotify) word_free);
  self->before = g_ptr_array_new_with_free_func ((GDestroyNotify) word_free);
  self->begun = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->final_ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->final_text = g_string_new (NULL);
  return self;
}

void
gemma_hypotheses_free (GemmaHypotheses *self)
{
  g_ptr_array_unref (self->words);
  g_ptr_array_unref (self->before);
  g_array_unref (self->begun);
  g_array_unref (self->final_ids);
  g_string_free (self->final_text, TRUE);
  g_free (self);
}

void
gemma_hypotheses_reset (GemmaHypotheses *self, GstClockTime start)
{
  g_ptr_array_set_size (self->words, 0);
  g_ptr_array_set_size (self->before, 0);
  g_array_set_size (self->begun, 0);
  g_array_set_size (self->final_ids, 0);
  g_string_truncate (self->final_text, 0);
  self->final_end = start;
}

const GArray *
gemma_hypotheses_get_final_ids (GemmaHypotheses *self)
{
  return self->final_ids;
}

const gchar *
gemma_hypotheses_get_final_text (GemmaHypotheses *self)
{
  return self->final_text->str;
}

GstClockTime
gemma_hypotheses_get_final_end (GemmaHypotheses *self)
{
  return self->final_end;
}

static void
swap (GemmaHypotheses *self)
{
  GPtrArray *words = self->before;

  self->before = self->words;
  self->words = words;
}

void
gemma_hypotheses_begin (GemmaHypotheses *self)
{
  swap (self);
  g_ptr_array_set_size (self->words, 0);
  g_array_set_size (self->begun, 0);
}

void
gemma_hypotheses_abandon (GemmaHypotheses *self)
{
  swap (self);
}

/* Whether text begins a word: after a space, or in a script that writes none. */
static gboolean
begins_word (const gchar *text)
{
  gunichar c = g_utf8_get_char (text);

  return g_unichar_isspace (c) || (g_unichar_iswide (c) && g_unichar_isalpha (c));
}

static Word *
get_word (GPtrArray *words, guint i)
{
  return g_ptr_array_index (words, i);
}

void
gemma_hypotheses_add (GemmaHypotheses *self, gint32 id, const gchar *text)
{
  g_array_append_val (self->begun, id);
  if (!*text)
    return;
  /* A space on its own belongs to the word that follows it. */
  Word *word = self->words->len ? get_word (self->words, self->words->len - 1) : NULL;
  if (!word || (begins_word (text) && word->text->str[strspn (word->text->str, " \n\t")])) {
    word = word_new ();
    g_ptr_array_add (self->words, word);
  }
  g_string_append (word->text, text);
  g_array_append_vals (word->ids, self->begun->data, self->begun->len);
  g_array_set_size (self->begun, 0);
}

static gboolean
is_same (const Word *a, const Word *b)
{
  return a->ids->len == b->ids->len && memcmp (a->ids->data, b->ids->data, a->ids->len * sizeof (gint32)) == 0;
}

/* Characters count for time; each word has at least one. */
static guint
get_length (const Word *word)
{
  return MAX (1, g_utf8_strlen (word->text->str, word->text->len));
}

static guint
sum_lengths (GPtrArray *words, guint from, guint to)
{
  guint sum = 0;

  for (guint i = from; i < to; i++)
    sum += get_length (get_word (words, i));
  return sum;
}

static void
make_final (GemmaHypotheses *self, const Word *word, GstClockTime end, GemmaWordFunc func, gpointer user_data)
{
  GstClockTime start = self->final_end;
  g_autofree gchar *text = g_strstrip (g_strdup (word->text->str));

  g_array_append_vals (self->final_ids, word->ids->data, word->ids->len);
  g_string_append (self->final_text, word->text->str);
  self->final_end = end;
  if (*text)
    func (start, end, text, user_data);
}

/* Words @from to @to, which were first seen together, share the time until the end of their sound. */
static void
make_group_final (GemmaHypotheses *self, guint from, guint to, GstClockTime even, GemmaWordFunc func,
    gpointer user_data)
{
  GstClockTime start = self->final_end, seen = get_word (self->words, from)->seen;
  GstClockTime end = seen > start ? MIN (seen, even) : even;
  guint total = sum_lengths (self->words, from, to);

  for (guint i = from; i < to; i++)
    make_final (self, get_word (self->words, i),
        start + gst_util_uint64_scale (end - start, sum_lengths (self->words, from, i + 1), total), func, user_data);
}

/* The first @n words. */
static void
make_words_final (GemmaHypotheses *self, guint n, GstClockTime heard, GemmaWordFunc func, gpointer user_data)
{
  GstClockTime start = self->final_end, span = heard > start ? heard - start : 0;
  guint total = sum_lengths (self->words, 0, self->words->len);

  for (guint from = 0, to; from < n; from = to) {
    for (to = from + 1; to < n && get_word (self->words, to)->seen == get_word (self->words, from)->seen;)
      to++;
    GstClockTime even = start + gst_util_uint64_scale (span, sum_lengths (self->words, 0, to), total);
    make_group_final (self, from, to, even, func, user_data);
  }
  g_ptr_array_remove_range (self->words, 0, n);
}

void
gemma_hypotheses_end (GemmaHypotheses *self, GstClockTime heard, gboolean last, GemmaWordFunc func, gpointer user_data)
{
  guint agreed = 0, n = self->words->len;

  while (agreed < MIN (n, self->before->len) &&
      is_same (get_word (self->words, agreed), get_word (self->before, agreed)))
    agreed++;
  for (guint i = 0; i < n; i++)
    get_word (self->words, i)->seen = i < agreed ? get_word (self->before, i)->seen : heard;
  if (last)
    make_words_final (self, n, heard, func, user_data);
  else if (n)
    make_words_final (self, MIN (agreed, n - 1), heard, func, user_data);
}

gchar *
gemma_hypotheses_get_tail (GemmaHypotheses *self)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < self->words->len; i++)
    g_string_append (text, get_word (self->words, i)->text->str);
  return g_strstrip (g_string_free (text, FALSE));
}
