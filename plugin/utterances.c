#include "utterances.h"

#define LEAD 2                  /* quiet tokens before an onset that are part of its utterance */
#define TOLERANCE (80 * GST_MSECOND)    /* half a token: a larger hole in time ends the utterance */
#define CARRIED 2                /* when streaming, one of so many tokens of what is cut is the next one's, too: its context */

/* Up to where it is judged by a token; what follows is the next one's. */
static GstClockTime
get_judged (const GemmaSoundToken *token)
{
  return MIN (token->start + GEMMA_SOUND_JUDGED, token->end);
}

struct _GemmaUtterances
{
  guint hidden;
  GstClockTime silence, longest;
  gboolean streaming;
  GemmaUtterancesFuncs funcs;
  gpointer user_data;

  GArray *tokens;               /* GemmaSoundToken: of the utterance, or quiet ones before it */
  GArray *rows;                 /* gfloat: their values */
  gboolean speaking;            /* one of them is loud */
  gboolean whole;               /* they begin a clip: keep all quiet ones that lead to its speech */
  guint n_carried;              /* of them: they are of the utterance before */
  GstClockTime speech_start, speech_end;
  GstClockTime told;            /* everything before is handed on */
  GstClockTime next;            /* when the next token is due */
};

GemmaUtterances *
gemma_utterances_new (guint hidden, const GemmaUtterancesFuncs *funcs, gpointer user_data)
{
  GemmaUtterances *self = g_new0 (GemmaUtterances, 1);

  self->hidden = hidden;
  self->funcs = *funcs;
  self->user_data = user_data;
  self->silence = 480 * GST_MSECOND;
  self->longest = 30 * GST_SECOND;
  self->tokens = g_array_new (FALSE, FALSE, sizeof (GemmaSoundToken));
  self->rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  gemma_utterances_reset (self);
  return self;
}

void
gemma_utterances_free (GemmaUtterances *self)
{
  g_array_unref (self->tokens);
  g_array_unref (self->rows);
  g_free (self);
}

guint
gemma_utterances_get_hidden (GemmaUtterances *self)
{
  return self->hidden;
}

void
gemma_utterances_set_limits (GemmaUtterances *self, GstClockTime silence, GstClockTime longest, gboolean streaming)
{
  self->silence = silence;
  self->longest = MAX (longest, GST_SECOND);
  self->streaming = streaming;
}

void
gemma_utterances_reset (GemmaUtterances *self)
{
  g_array_set_size (self->tokens, 0);
  g_array_set_size (self->rows, 0);
  self->speaking = self->whole = FALSE;
  self->n_carried = 0;
  self->told = self->next = GST_CLOCK_TIME_NONE;
}

static void
tell_silence (GemmaUtterances *self, GstClockTime until)
{
  if (!GST_CLOCK_TIME_IS_VALID (self->told) || until <= self->told)
    return;
  self->funcs.silence (self->told, until, self->user_data);
  self->told = until;
}

/* Drops the first @n tokens. */
static void
drop (GemmaUtterances *self, guint n)
{
  g_array_remove_range (self->tokens, 0, n);
  g_array_remove_range (self->rows, 0, n * self->hidden);
}

static GemmaUtterance
get_utterance (GemmaUtterances *self)
{
  return (GemmaUtterance) { self->speech_start, self->speech_end, self->rows, self->tokens, self->n_carried, 0, FALSE };
}

static void
tell_speech (GemmaUtterances *self, guint n_kept, gboolean dismissed)
{
  GArray *rows = self->rows, *tokens = self->tokens;

  if (self->speaking) {
    GemmaUtterance utterance = get_utterance (self);
    utterance.n_kept = n_kept;
    utterance.dismissed = dismissed;
    tell_silence (self, self->speech_start);
    self->told = self->speech_end;
    self->funcs.speech (&utterance, self->user_data);
  }
  self->rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  self->tokens = g_array_new (FALSE, FALSE, sizeof (GemmaSoundToken));
  g_array_unref (rows);
  g_array_unref (tokens);
  self->speaking = self->whole = FALSE;
  self->n_carried = 0;
}

/* What is told does not overlap. */
static void
extend_speech (GemmaUtterances *self, const GemmaSoundToken *token)
{
  self->speech_end = MAX (get_judged (token), self->speech_start);
}

/* Token @i is the first loud one. */
static void
begin_speech (GemmaUtterances *self, guint i)
{
  const GemmaSoundToken *token = &g_array_index (self->tokens, GemmaSoundToken, i);

  self->speech_start = i > 0 ? get_judged (token - 1) : token->start;
  if (GST_CLOCK_TIME_IS_VALID (self->told))
    self->speech_start = MAX (self->speech_start, self->told);
  self->speaking = TRUE;
}

/* Recomputes the times after tokens were dropped. */
static void
find_speech (GemmaUtterances *self)
{
  self->speaking = FALSE;
  for (guint i = 0; i < self->tokens->len; i++) {
    const GemmaSoundToken *token = &g_array_index (self->tokens, GemmaSoundToken, i);
    if (token->quiet)
      continue;
    if (!self->speaking)
      begin_speech (self, i);
    extend_speech (self, token);
  }
}

/* Behind the last pause in the second half; without one, where that is the least loud for 80 ms, between words perhaps; at the end
 * if levels are not known. */
static guint
find_cut (const GArray *tokens)
{
  guint n = tokens->len, at = n, most = 0;

  for (guint i = n; i > n / 2; i--)
    if (g_array_index (tokens, GemmaSoundToken, i - 1).quiet)
      return i;
  for (guint i = n / 2; i < n; i++) {
    const guint8 *levels = g_array_index (tokens, GemmaSoundToken, i).levels;  /* its start is in the middle of them */
    guint below = levels[2] + 2 * levels[3] + 2 * levels[4] + levels[5];
    if (below && below >= most) {
      most = below;
      at = i;
    }
  }
  return at;
}

/* The tokens from @first on, and their values. */
static void
copy_tokens (GemmaUtterances *self, guint first, GArray *tokens, GArray *rows)
{
  guint n = self->tokens->len - first;

  if (n == 0)
    return;
  g_array_append_vals (tokens, &g_array_index (self->tokens, GemmaSoundToken, first), n);
  g_array_append_vals (rows, &g_array_index (self->rows, gfloat, first * self->hidden), n * self->hidden);
}

/* The utterance is as long as it may be. */
static void
cut (GemmaUtterances *self)
{
  guint n = self->tokens->len, at = self->streaming ? n - n / CARRIED : find_cut (self->tokens);

  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (GemmaSoundToken));
  g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  copy_tokens (self, at, tokens, rows);
  if (!self->streaming) {
    g_array_set_size (self->tokens, at);
    g_array_set_size (self->rows, at * self->hidden);
    find_speech (self);
  }
  tell_speech (self, self->streaming ? tokens->len : 0, FALSE);
  g_array_append_vals (self->tokens, tokens->data, tokens->len);
  g_array_append_vals (self->rows, rows->data, rows->len);
  if (self->streaming) {
    self->n_carried = tokens->len;
    self->speaking = TRUE;
    self->speech_start = self->speech_end;
  } else {
    tell_silence (self, tokens->len ? g_array_index (tokens, GemmaSoundToken, 0).start : self->next);
    find_speech (self);
    self->whole = tokens->len > 0;
  }
}

void
gemma_utterances_drain (GemmaUtterances *self)
{
  tell_speech (self, 0, FALSE);
  if (GST_CLOCK_TIME_IS_VALID (self->next))
    tell_silence (self, self->next);
}

void
gemma_utterances_forget (GemmaUtterances *self)
{
  if (self->streaming)
    tell_speech (self, 0, TRUE);
  drop (self, self->tokens->len);
  self->speaking = self->whole = FALSE;
}

/* Time goes on at @pts: a hole is silence and ends the utterance; going back begins anew. */
static void
synchronize (GemmaUtterances *self, GstClockTime pts, gboolean begins)
{
  if (!GST_CLOCK_TIME_IS_VALID (self->next)) {
    self->told = self->next = pts;
    return;
  }
  if (!begins && ABS (GST_CLOCK_DIFF (self->next, pts)) <= TOLERANCE)
    return;
  /* A token leaves before its end is heard, and may say that it lasts a little longer than its clip did. */
  gboolean clipped = pts < self->next && self->next - pts <= TOLERANCE;
  if (clipped)
    self->next = pts;
  gemma_utterances_drain (self);
  if (!clipped && pts < self->told)
    self->told = pts;
  tell_silence (self, pts);
  self->next = pts;
}

/* When streaming: a pause that will do for the end of what is nearly too long. */
static gboolean
is_end (GemmaUtterances *self, const GemmaSoundToken *token)
{
  return self->streaming && token->quiet && self->speaking &&
      token->end - g_array_index (self->tokens, GemmaSoundToken, 0).start >= self->longest / 3 * 2;
}

static void
tell_heard (GemmaUtterances *self)
{
  const GemmaUtterance utterance = get_utterance (self);

  tell_silence (self, MAX (self->speech_start, self->told));
  self->funcs.heard (&utterance, self->user_data);
}

/* Quiet tokens before speech: all but the last few are silence. */
static void
shorten_lead (GemmaUtterances *self)
{
  guint n = self->tokens->len;

  if (self->whole || n <= LEAD)
    return;
  tell_silence (self, g_array_index (self->tokens, GemmaSoundToken, n - LEAD).start);
  drop (self, n - LEAD);
}

void
gemma_utterances_push (GemmaUtterances *self, GstClockTime pts, GstClockTime duration, gboolean quiet,
    const guint8 *levels, gboolean begins, const gfloat *row)
{
  GemmaSoundToken token = { pts, pts + duration, quiet };

  for (guint i = 0; i < GEMMA_SOUND_LEVELS; i++)
    token.levels[i] = levels ? levels[i] : GEMMA_SOUND_NO_LEVEL;
  synchronize (self, pts, begins);
  if (begins)
    self->whole = TRUE;
  self->next = token.end;
  g_array_append_val (self->tokens, token);
  g_array_append_vals (self->rows, row, self->hidden);

  if (!quiet) {
    if (!self->speaking)
      begin_speech (self, self->tokens->len - 1);
    extend_speech (self, &token);
  } else if (self->speaking && (token.end - self->speech_end >= self->silence || is_end (self, &token))) {
    gemma_utterances_drain (self);
  } else if (!self->speaking) {
    if (self->whole && token.end > self->told + GST_SECOND)
      self->whole = FALSE;      /* no speech follows soon */
    shorten_lead (self);
  }
  if (self->speaking && token.end - g_array_index (self->tokens, GemmaSoundToken, 0).start >= self->longest)
    cut (self);
  else if (self->speaking && self->funcs.heard)
    tell_heard (self);
}

void
gemma_utterances_push_silence (GemmaUtterances *self, GstClockTime pts, GstClockTime duration)
{
  synchronize (self, pts, TRUE);
  if (GST_CLOCK_TIME_IS_VALID (duration))
    self->next = pts + duration;
  tell_silence (self, self->next);
}
