#include "hypotheses.h"

#include <math.h>
#include <string.h>

#include "models/alignment.h"

/* How long a letter takes, in audio tokens, whatever the sound says: 20 to 160 ms. */
#define SHORTEST_LETTER .125f
#define LONGEST_LETTER 1.f
#define AROUND 50               /* levels: a second */
#define RANGE 30                /* dB */
#define BESIDE 5                /* levels: a tenth of a second */
#define REST (40 * GST_MSECOND) /* for a word that nothing more is heard of */
#define USUAL_LETTER .35f       /* 160 words a minute, of 4.7 letters */
#define USUAL_LENGTH 10         /* so many letters, two words, of a voice are as good as this */
#define SLOWER 1.4f             /* a word's place is sure if it stays there when letters take so much longer, or less */
#define WORSE 3.f               /* a logarithm: what is 20 times less likely (1 of 20, as usual) is taken for wrong */
#define SURE .3f                /* audio tokens: 48 ms */
#define WAIT (900 * GST_MSECOND) /* at most, until the place of a word that was said is sure */

typedef struct
{
  GString *text;
  GArray *ids;                  /* gint32 */
  gint n_letters;
  GstClockTime seen;            /* what the first hypothesis with it had heard */
} Word;

/* A word that was told. */
typedef struct
{
  GstClockTime start;
  guint n_ids;
  gint length;                  /* by gemma_alignment_get_length() */
} Told;

G_STATIC_ASSERT (GEMMA_SOUND_LEVELS == GEMMA_ALIGNMENT_FRAMES);

/* How much longer letters may take than they seem to. */
static const gfloat paces[] = { 1, SLOWER, 1 / SLOWER };
#define N_PACES G_N_ELEMENTS (paces)

typedef struct
{
  GemmaAlignmentWord *words;    /* NULL: there is no time for so many, or the model does not tell */
  gfloat score;                 /* -INFINITY without words */
} Alignment;

typedef struct
{
  Alignment at[N_PACES];
  const Alignment *best;        /* one of them */
} Alignments;

struct _GemmaHypotheses
{
  GArray *sound;                /* GemmaSoundToken, of this hypothesis; NULL: not known */
  guint8 *quiet, *pauses, *dips; /* of the sound, as GemmaAlignmentSound has them; NULL: not found yet */
  GArray *weights, *letters;    /* gfloat, a row of its sound for each of its ids; gint */
  gboolean aligned;             /* each of its ids has weights */
  GPtrArray *words, *before;    /* of Word, not final: of this hypothesis and of the one before */
  GArray *begun;                /* gint32: of a character that is not whole yet */
  GArray *told;                 /* of Told: words that are final */
  GArray *final_ids;            /* gint32: theirs */
  GString *final_text;
  gint final_length;            /* theirs, too */
  GstClockTime final_end;
};

static void
clear_sound (GemmaHypotheses *self)
{
  g_clear_pointer (&self->sound, g_array_unref);
  g_clear_pointer (&self->quiet, g_free);
  g_clear_pointer (&self->pauses, g_free);
  g_clear_pointer (&self->dips, g_free);
}

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

  self->weights = g_array_new (FALSE, FALSE, sizeof (gfloat));
  self->letters = g_array_new (FALSE, FALSE, sizeof (gint));
  self->words = g_ptr_array_new_with_free_func ((GDestroyNotify) word_free);
  self->before = g_ptr_array_new_with_free_func ((GDestroyNotify) word_free);
  self->begun = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->told = g_array_new (FALSE, FALSE, sizeof (Told));
  self->final_ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->final_text = g_string_new (NULL);
  return self;
}

void
gemma_hypotheses_free (GemmaHypotheses *self)
{
  clear_sound (self);
  g_array_unref (self->weights);
  g_array_unref (self->letters);
  g_ptr_array_unref (self->words);
  g_ptr_array_unref (self->before);
  g_array_unref (self->begun);
  g_array_unref (self->told);
  g_array_unref (self->final_ids);
  g_string_free (self->final_text, TRUE);
  g_free (self);
}

/* Of an utterance: its hypotheses, and the text that is final. */
static void
forget (GemmaHypotheses *self)
{
  g_ptr_array_set_size (self->words, 0);
  g_ptr_array_set_size (self->before, 0);
  g_array_set_size (self->begun, 0);
  g_string_truncate (self->final_text, 0);
}

void
gemma_hypotheses_reset (GemmaHypotheses *self, GstClockTime start)
{
  forget (self);
  g_array_set_size (self->told, 0);
  g_array_set_size (self->final_ids, 0);
  self->final_length = 0;
  self->final_end = start;
}

GstClockTime
gemma_hypotheses_go_on (GemmaHypotheses *self, GstClockTime carried)
{
  guint n = 0, n_ids = 0;

  forget (self);
  while (n < self->told->len && g_array_index (self->told, Told, n).start < carried) {
    n_ids += g_array_index (self->told, Told, n).n_ids;
    self->final_length -= g_array_index (self->told, Told, n++).length;
  }
  g_array_remove_range (self->told, 0, n);
  g_array_remove_range (self->final_ids, 0, n_ids);
  return self->told->len ? g_array_index (self->told, Told, 0).start : MAX (self->final_end, carried);
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
gemma_hypotheses_begin (GemmaHypotheses *self, GArray *sound)
{
  swap (self);
  clear_sound (self);
  self->sound = sound ? g_array_ref (sound) : NULL;
  self->aligned = sound && sound->len > 0;
  g_array_set_size (self->weights, 0);
  g_array_set_size (self->letters, 0);
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

/* Spaces are no letters; a token without any counts as one, as in training. */
static gint
count_letters (const gchar *text)
{
  gint n = 0;

  for (; *text; text = g_utf8_next_char (text))
    n += !g_unichar_isspace (g_utf8_get_char (text));
  return MAX (n, 1);
}

static void
add_weights (GemmaHypotheses *self, const gchar *text, const gfloat *weights)
{
  gint letters = count_letters (text);

  self->aligned = self->aligned && weights;
  if (!self->aligned)
    return;
  g_array_append_vals (self->weights, weights, self->sound->len);
  g_array_append_val (self->letters, letters);
}

void
gemma_hypotheses_add (GemmaHypotheses *self, gint32 id, const gchar *text, const gfloat *weights)
{
  g_array_append_val (self->begun, id);
  add_weights (self, text, weights);
  if (!*text)
    return;
  /* A space on its own belongs to the word that follows it. */
  Word *word = self->words->len ? get_word (self->words, self->words->len - 1) : NULL;
  if (!word || (begins_word (text) && word->text->str[strspn (word->text->str, " \n\t")])) {
    word = word_new ();
    g_ptr_array_add (self->words, word);
  }
  g_string_append (word->text, text);
  word->n_letters += count_letters (text) + self->begun->len - 1;
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
make_final (GemmaHypotheses *self, const Word *word, GstClockTime start, GstClockTime end, GemmaWordFunc func,
    gpointer user_data)
{
  g_autofree gchar *text = g_strstrip (g_strdup (word->text->str));
  Told told = { start, word->ids->len, gemma_alignment_get_length (word->n_letters) };

  g_array_append_val (self->told, told);
  g_array_append_vals (self->final_ids, word->ids->data, word->ids->len);
  g_string_append (self->final_text, word->text->str);
  self->final_length += told.length;
  self->final_end = end;
  if (*text)
    func (start, end, text, user_data);
}

/* ---- times by the length of words --------------------------------------------------------------- */

/* Words @from to @to, which were first seen together, share the time until the end of their sound. */
static void
make_group_final (GemmaHypotheses *self, guint from, guint to, GstClockTime even, GemmaWordFunc func,
    gpointer user_data)
{
  GstClockTime start = self->final_end, seen = get_word (self->words, from)->seen;
  GstClockTime end = seen > start ? MIN (seen, even) : even;
  guint total = sum_lengths (self->words, from, to);

  for (guint i = from; i < to; i++)
    make_final (self, get_word (self->words, i), self->final_end,
        start + gst_util_uint64_scale (end - start, sum_lengths (self->words, from, i + 1), total), func, user_data);
}

/* The first @n words. */
static void
make_final_by_length (GemmaHypotheses *self, guint n, GstClockTime heard, GemmaWordFunc func, gpointer user_data)
{
  GstClockTime start = self->final_end, span = heard > start ? heard - start : 0;
  guint total = sum_lengths (self->words, 0, self->words->len);

  for (guint from = 0, to; from < n; from = to) {
    for (to = from + 1; to < n && get_word (self->words, to)->seen == get_word (self->words, from)->seen;)
      to++;
    GstClockTime even = start + gst_util_uint64_scale (span, sum_lengths (self->words, 0, to), total);
    make_group_final (self, from, to, even, func, user_data);
  }
}

/* ---- times by where the model looks ---------------------------------------------------------------- */

static const GemmaSoundToken *
get_token (GemmaHypotheses *self, guint i)
{
  return &g_array_index (self->sound, GemmaSoundToken, i);
}

/* Where token @i ends: where the next one begins, whatever it says itself. */
static GstClockTime
get_token_end (GemmaHypotheses *self, guint i)
{
  const GemmaSoundToken *token = get_token (self, i);

  return MAX (i + 1 < self->sound->len ? get_token (self, i + 1)->start : token->end, token->start + 1);
}

/* A time in audio tokens, and back. */
static gfloat
to_tokens (GemmaHypotheses *self, GstClockTime time)
{
  guint i = 0;

  while (i + 1 < self->sound->len && get_token (self, i + 1)->start <= time)
    i++;
  GstClockTime start = get_token (self, i)->start, end = get_token_end (self, i);
  return i + (gfloat) ((gdouble) (CLAMP (time, start, end) - start) / (end - start));
}

static GstClockTime
from_tokens (GemmaHypotheses *self, gfloat at)
{
  guint i = MIN ((guint) at, self->sound->len - 1);
  GstClockTime start = get_token (self, i)->start;

  return start + (GstClockTime) ((at - i) * (get_token_end (self, i) - start));
}

/* Loud tokens that begin in a stretch. */
static gint
count_loud (GemmaHypotheses *self, GstClockTime end)
{
  gint n = 0;

  for (guint i = 0; i < self->sound->len && get_token (self, i)->start < end; i++)
    n += !get_token (self, i)->quiet;
  return n;
}

/* By what was loud and what was said in it: in all of the utterance if it is @whole, else, as nobody knows how many of the
 * words are guessed, until where they are final. */
static gfloat
guess_letter (GemmaHypotheses *self, gboolean whole)
{
  gint length = self->final_length;

  if (!whole)
    return CLAMP ((count_loud (self, self->final_end) + USUAL_LENGTH * USUAL_LETTER) / (length + USUAL_LENGTH),
        SHORTEST_LETTER, LONGEST_LETTER);
  for (guint i = 0; i < self->words->len; i++)
    length += gemma_alignment_get_length (get_word (self->words, i)->n_letters);
  return CLAMP ((gfloat) count_loud (self, GST_CLOCK_TIME_NONE) / MAX (length, 1), SHORTEST_LETTER, LONGEST_LETTER);
}

static gint
count_levels (GemmaHypotheses *self)
{
  return self->sound->len * GEMMA_SOUND_LEVELS;
}

/* One after the other; NULL if none is known. (transfer full) */
static guint8 *
get_levels (GemmaHypotheses *self)
{
  gint n = count_levels (self), n_known = 0;
  g_autofree guint8 *levels = g_new (guint8, n);

  for (gint i = 0; i < n; i++) {
    levels[i] = get_token (self, i / GEMMA_SOUND_LEVELS)->levels[i % GEMMA_SOUND_LEVELS];
    n_known += levels[i] != GEMMA_SOUND_NO_LEVEL;
  }
  return n_known > 0 ? g_steal_pointer (&levels) : NULL;
}

/* Of those from @from until before @to; G_MAXUINT8 if none is known. */
static gint
find_loudest (const guint8 *levels, gint n, gint from, gint to)
{
  gint loudest = G_MAXUINT8;

  for (gint k = MAX (from, 0); k < MIN (to, n); k++)
    loudest = levels[k] != GEMMA_SOUND_NO_LEVEL ? MIN (loudest, levels[k]) : loudest;
  return loudest;
}

/* Which of the levels are of pauses. Speech has a range of 30 dB (ANSI S3.5): what is as much below what is loudest
 * within a second is none. (transfer full) */
static guint8 *
find_pauses (const guint8 *levels, gint n)
{
  guint8 *pauses = g_new (guint8, n);

  for (gint i = 0; i < n; i++)
    pauses[i] = levels[i] > find_loudest (levels, n, i - AROUND, i + AROUND) + RANGE;
  return pauses;
}

/* How far levels are below what is loud on either side, as between words that no pause divides. (transfer full) */
static guint8 *
find_dips (const guint8 *levels, gint n)
{
  guint8 *dips = g_new (guint8, n);

  for (gint i = 0; i < n; i++) {
    gint before = find_loudest (levels, n, i - BESIDE, i), after = find_loudest (levels, n, i + 1, i + 1 + BESIDE);
    dips[i] = levels[i] == GEMMA_SOUND_NO_LEVEL ? G_MAXUINT8 : MAX (levels[i] - MAX (before, after), 0);
  }
  return dips;
}

/* What it sounds like, once for all alignments of a hypothesis. */
static void
find_track (GemmaHypotheses *self)
{
  if (self->quiet)
    return;
  self->quiet = g_new (guint8, self->sound->len);
  for (guint i = 0; i < self->sound->len; i++)
    self->quiet[i] = get_token (self, i)->quiet;
  g_autofree guint8 *levels = get_levels (self);
  self->pauses = levels ? find_pauses (levels, count_levels (self)) : NULL;
  self->dips = levels ? find_dips (levels, count_levels (self)) : NULL;
}

/* When each word is said; before @end if that is the utterance's, else some may come after it. NULL if the model does
 * not tell. @pace: how much longer letters take than they seem to. (transfer full) */
static GemmaAlignmentWord *
align (GemmaHypotheses *self, GstClockTime end, gboolean whole, gfloat pace, gfloat *score)
{
  guint n_words = self->words->len, n_ids = 0;
  g_autofree GemmaAlignmentWord *words = g_new0 (GemmaAlignmentWord, MAX (n_words, 1));

  for (guint i = 0; i < n_words; i++)
    n_ids += words[i].n_tokens = get_word (self->words, i)->ids->len;
  if (!self->aligned || n_words == 0 || self->letters->len < n_ids || end <= self->final_end)
    return NULL;

  find_track (self);
  const GemmaAlignmentSound sound = { self->sound->len, self->quiet, self->pauses, self->dips,
    (gfloat) GEMMA_SOUND_HEARD / (get_token (self, 0)->end - get_token (self, 0)->start),
    to_tokens (self, self->final_end), to_tokens (self, end), guess_letter (self, whole) * pace };
  gboolean known = gemma_align (&sound, (const gfloat *) (gpointer) self->weights->data,
      (const gint *) (gpointer) self->letters->data, words, n_words, whole ? n_words : 0, score);
  return known ? g_steal_pointer (&words) : NULL;
}

/* Whether one of the word's tokens, of which the first is @row, looks most at the end of what was heard: it is said just
 * now, or guessed (the policy of S. Papi, M. Turchi, M. Negri: AlignAtt, Interspeech 2023). */
static gboolean
is_at_end (GemmaHypotheses *self, guint row, gint n_tokens)
{
  guint n = self->sound->len;

  for (gint i = 0; i < n_tokens; i++) {
    const gfloat *weights = &g_array_index (self->weights, gfloat, (row + i) * n);
    guint best = 0;

    for (guint j = 1; j < n; j++)
      best = weights[j] > weights[best] ? j : best;
    if (best == n - 1)
      return TRUE;
  }
  return FALSE;
}

/* How many of @words, of which the first @n may be final, have been said. */
static guint
count_said (GemmaHypotheses *self, const GemmaAlignmentWord *words, guint n, GstClockTime heard)
{
  gfloat end = to_tokens (self, heard - MIN (heard, REST));
  guint n_said = 0, row = 0;

  while (n_said < n && words[n_said].end <= end && !is_at_end (self, row, words[n_said].n_tokens))
    row += words[n_said++].n_tokens;
  return n_said;
}

static void
alignments_clear (Alignments *self)
{
  for (guint i = 0; i < N_PACES; i++)
    g_free (self->at[i].words);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Alignments, alignments_clear)

/* At each pace: how fast the speech is can be seen from how well what was heard fits. Of a @whole utterance it is known, as
 * none of its words are guessed. */
static void
align_at_paces (GemmaHypotheses *self, GstClockTime end, gboolean whole, Alignments *alignments)
{
  alignments->best = &alignments->at[0];
  for (guint i = 0; i < N_PACES; i++) {
    Alignment *alignment = &alignments->at[i];
    alignment->words = i == 0 || !whole ? align (self, end, whole, paces[i], &alignment->score) : NULL;
    if (!alignment->words)
      alignment->score = -INFINITY;
    if (alignment->score > alignments->best->score)
      alignments->best = alignment;
  }
}

/* Whether all alignments that may be right end word @i at the same time. Without levels nobody knows where in a token. */
static gboolean
is_sure (GemmaHypotheses *self, const Alignments *alignments, guint i)
{
  const GemmaSoundToken *token = get_token (self, self->sound->len - 1);
  gboolean known = token->levels[GEMMA_SOUND_LEVELS / 2] != GEMMA_SOUND_NO_LEVEL;
  const Alignment *best = alignments->best;

  for (guint p = 0; p < N_PACES; p++) {
    const Alignment *other = &alignments->at[p];
    if (other->score > best->score - WORSE && fabsf (other->words[i].end - best->words[i].end) > (known ? SURE : 1))
      return FALSE;
  }
  return TRUE;
}

/* How many of the first @n words, which have been said, do not move if the speech is slower or faster than it seems, as far
 * as it may be.
 * The model looks in what it has heard for words that it knows come next; where only the letters before tell when such a
 * word is said, they would be told before they are. None waits longer than WAIT. */
static guint
count_sure (GemmaHypotheses *self, const Alignments *alignments, guint n, GstClockTime heard)
{
  guint i = 0;

  while (i < n && (is_sure (self, alignments, i) || heard >= from_tokens (self, alignments->best->words[i].end) + WAIT))
    i++;
  return i;
}

/* The first @n words, at their places in the alignment or, without one, by their lengths. */
static void
make_words_final (GemmaHypotheses *self, const GemmaAlignmentWord *words, guint n, GstClockTime heard, GemmaWordFunc func,
    gpointer user_data)
{
  if (!words)
    make_final_by_length (self, n, heard, func, user_data);
  for (guint i = 0; words && i < n; i++) {
    GstClockTime start = MAX (from_tokens (self, words[i].begin), self->final_end);
    GstClockTime end = MIN (from_tokens (self, words[i].end), heard);
    make_final (self, get_word (self->words, i), start, MAX (end, start + 1), func, user_data);
  }
  g_ptr_array_remove_range (self->words, 0, n);
}

/* How many words agree with the hypothesis before; notes which sound had been heard when each was seen first. */
static guint
count_agreed (GemmaHypotheses *self, GstClockTime heard)
{
  guint agreed = 0, n = self->words->len;

  while (agreed < MIN (n, self->before->len) &&
      is_same (get_word (self->words, agreed), get_word (self->before, agreed)))
    agreed++;
  for (guint i = 0; i < n; i++)
    get_word (self->words, i)->seen = i < agreed ? get_word (self->before, i)->seen : heard;
  return agreed;
}

void
gemma_hypotheses_end (GemmaHypotheses *self, GstClockTime heard, gboolean last, GemmaWordFunc func, gpointer user_data)
{
  guint agreed = count_agreed (self, heard), n = self->words->len;

  g_auto (Alignments) alignments = { { { NULL } } };

  if (!last)                    /* the last word may be a part of one */
    n = MIN (agreed, MAX (n, 1) - 1);
  if (n == 0)
    return;
  align_at_paces (self, heard, last, &alignments);
  const GemmaAlignmentWord *words = alignments.best->words;
  if (words && !last)
    n = count_sure (self, &alignments, count_said (self, words, n, heard), heard);
  make_words_final (self, words, n, heard, func, user_data);
}

/* How many words end clearly before the cut at @heard, or began before what the next utterance hears. */
static guint
count_before_cut (GemmaHypotheses *self, const GemmaAlignmentWord *words, GstClockTime heard, GstClockTime carried)
{
  guint n = 0;

  if (!words)                   /* their places are not known: the last one may be cut */
    return MAX (self->words->len, 2) - 1;
  while (n < self->words->len && (from_tokens (self, words[n].end) + GEMMA_SOUND_SYLLABLE <= heard ||
          from_tokens (self, words[n].begin) < carried))
    n++;
  return n;
}

void
gemma_hypotheses_cut (GemmaHypotheses *self, GstClockTime heard, GstClockTime carried, GemmaWordFunc func, gpointer user_data)
{
  g_auto (Alignments) alignments = { { { NULL } } };

  count_agreed (self, heard);
  if (self->words->len == 0)
    return;
  align_at_paces (self, heard, FALSE, &alignments);
  const GemmaAlignmentWord *words = alignments.best->words;
  make_words_final (self, words, count_before_cut (self, words, heard, carried), heard, func, user_data);
}

/* (transfer full) */
static gchar *
join_words (GemmaHypotheses *self, const gchar *before)
{
  GString *text = g_string_new (before);

  for (guint i = 0; i < self->words->len; i++)
    g_string_append (text, get_word (self->words, i)->text->str);
  return g_strstrip (g_string_free (text, FALSE));
}

gchar *
gemma_hypotheses_get_text (GemmaHypotheses *self)
{
  return join_words (self, self->final_text->str);
}

gchar *
gemma_hypotheses_get_tail (GemmaHypotheses *self)
{
  return join_words (self, NULL);
}
