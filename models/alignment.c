/* Dynamic programming over a grid of time: word after word, each from a begin to an end, with pauses between them. */
#include "alignment.h"

#include <math.h>

#define STEPS 4                 /* of an audio token: 40 ms */
#define MAX_STEPS (1 << 13)     /* five minutes; utterances are 30 s at most */
#define EDGE .25f               /* audio tokens beside a token's time that count as well, as in training */
#define LATE .2f                /* audio tokens by which taught heads look later than the sound is, as measured */
#define MISS .1f                /* weight that is found anywhere: a token that is looked for in vain costs no more */
#define GUESS .2f               /* what is added where nothing was heard: what is not said yet is looked for in vain */
#define SPREAD .3f              /* of the logarithm of a word's length */
#define LONGEST 4               /* times as long as usual */
#define PAUSE 1.f               /* what a loud audio token costs between words */
#define QUIET 5.f               /* what a quiet one costs within a word */
#define BORDER .7f              /* what a begin or an end costs where it is as loud as beside it */
#define DEEP 12                 /* dB: costs nothing */
#define NEVER -1e30f

/* What of a word is the same wherever it lies. */
typedef struct
{
  const gfloat *sums;           /* [n_tokens][n + 1]: of the weights before an audio token */
  const gint *letters;
  gint n_tokens, n_letters;
  gfloat usual;                 /* length */
  gfloat guess;                 /* GUESS if it may not have been said, else 0 */
} Word;

typedef struct
{
  const GemmaAlignmentSound *sound;
  gint n_steps;                 /* begins and ends are 0 .. n_steps */
  gfloat *loud, *quiet;         /* [n_steps + 1]: how much of the time before certainly is */
  gfloat *border;               /* [n_steps + 1]: what a begin or an end costs there */
  gfloat *sums;
  gfloat *best, *after;         /* [n_steps + 1]: with the word so far ending there, or at any time before */
  gint *begins, *ends;          /* [n_words][n_steps + 1]: of that word, and of the last one that ends until then */
} Grid;

static gfloat
get_time (const Grid *g, gfloat step)
{
  return g->sound->begin + step / STEPS;
}

/* Weights of what was heard until @time. */
static gfloat
sum_until (const gfloat *sums, const GemmaAlignmentSound *sound, gfloat time)
{
  gint n = sound->n;

  time += 1 - sound->heard + LATE;
  if (time <= 0)
    return 0;
  if (time >= n)
    return sums[n];
  gint at = (gint) time;
  return sums[at] + (time - at) * (sums[at + 1] - sums[at]);
}

/* Without its weights. */
static gfloat
score_place (const Grid *g, const Word *w, gint begin, gint end)
{
  gfloat off = logf ((gfloat) (end - begin) / STEPS / w->usual) / SPREAD, quiet = g->quiet[end] - g->quiet[begin];

  return -.5f * off * off - QUIET * quiet - g->border[begin] - g->border[end];
}

static gfloat
score_weights (const Grid *g, const Word *w, gint begin, gint end)
{
  gint letters = 0;
  gfloat from = get_time (g, begin), length = (gfloat) (end - begin) / STEPS, sum = 0;

  for (gint i = 0; i < w->n_tokens; i++) {
    const gfloat *sums = w->sums + (gsize) i * (g->sound->n + 1);
    gfloat a = from + length * letters / w->n_letters - EDGE;
    letters += w->letters[i];
    gfloat b = from + length * letters / w->n_letters + EDGE;
    gfloat beyond = CLAMP ((b - g->sound->end) / (b - a), 0, 1);
    sum += logf (sum_until (sums, g->sound, b) - sum_until (sums, g->sound, a) + MISS + w->guess * beyond);
  }
  return sum;
}

/* No weights are worth more. */
static gfloat
get_most (const Word *w)
{
  return w->n_tokens * logf (1 + MISS + w->guess);
}

/* ---- what is known beforehand --------------------------------------------------------------------- */

/* FALSE if all are 0. What is no number counts as nothing. */
static gboolean
sum_weights (gfloat *sums, const gfloat *weights, gint n_rows, gint n)
{
  gboolean any = FALSE;

  for (gint row = 0; row < n_rows; row++) {
    gfloat *sum = sums + (gsize) row * (n + 1);
    sum[0] = 0;
    for (gint j = 0; j < n; j++) {
      gfloat weight = weights[(gsize) row * n + j];
      sum[j + 1] = sum[j] + (weight > 0 && weight <= 1 ? weight : 0);
    }
    any |= sum[n] > 0;
  }
  return any;
}

typedef enum { QUIET_TIME, LOUD_TIME, UNKNOWN } Loudness;

/* At @time. Beside a quiet token only a part of a loud one is loud; the finer track tells which. */
static Loudness
get_loudness (const GemmaAlignmentSound *s, gfloat time)
{
  gint frame = (gint) floorf ((time + .5f) * GEMMA_ALIGNMENT_FRAMES);
  gint j = CLAMP ((gint) floorf (time - s->heard) + 1, 0, s->n - 1);

  if (!s->quiet)
    return LOUD_TIME;
  if (s->quiet[j] || (s->pauses && frame < s->n * GEMMA_ALIGNMENT_FRAMES && s->pauses[MAX (frame, 0)]))
    return QUIET_TIME;
  if (s->pauses)
    return frame < s->n * GEMMA_ALIGNMENT_FRAMES ? LOUD_TIME : UNKNOWN;
  return s->quiet[MAX (j - 1, 0)] || s->quiet[MIN (j + 1, s->n - 1)] ? UNKNOWN : LOUD_TIME;
}

/* What has not been heard may be anything. */
static void
find_loud (Grid *g, gint n_heard)
{
  g->loud[0] = g->quiet[0] = 0;
  for (gint i = 0; i < g->n_steps; i++) {
    gint loud = 0, quiet = 0;
    for (gint k = 0; k < 2; k++) {
      Loudness loudness = i < n_heard ? get_loudness (g->sound, get_time (g, i + .25f + .5f * k)) : UNKNOWN;
      loud += loudness == LOUD_TIME;
      quiet += loudness == QUIET_TIME;
    }
    g->loud[i + 1] = g->loud[i] + .5f * loud / STEPS;
    g->quiet[i + 1] = g->quiet[i] + .5f * quiet / STEPS;
  }
}

/* Words meet where it is less loud for a moment, or quiet, within 30 ms of a step. */
static void
find_borders (Grid *g, gint n_heard)
{
  const GemmaAlignmentSound *s = g->sound;

  for (gint i = 0; i <= g->n_steps; i++) {
    gint middle = (gint) roundf ((get_time (g, i) + .5f) * GEMMA_ALIGNMENT_FRAMES), deepest = 0;
    for (gint k = MAX (middle - 2, 0); k < MIN (middle + 2, s->n * GEMMA_ALIGNMENT_FRAMES) && s->dips; k++)
      deepest = MAX (deepest, s->pauses && s->pauses[k] ? DEEP : s->dips[k]);
    gboolean known = s->dips && i > 0 && i <= n_heard;
    g->border[i] = known ? BORDER * MAX (1 - (gfloat) deepest / DEEP, 0) : 0;
  }
}

/* Returns how many steps it takes at most. */
static gint
describe_word (Word *w, const GemmaAlignmentWord *word, const GemmaAlignmentSound *sound, const gfloat *sums,
    const gint *letters, gboolean said)
{
  *w = (Word) { sums, letters, word->n_tokens, .guess = said ? 0 : GUESS };
  for (gint i = 0; i < w->n_tokens; i++)
    w->n_letters += letters[i];
  w->usual = MAX (gemma_alignment_get_length (w->n_letters) * sound->letter, 1.f / STEPS);
  return MAX ((gint) (LONGEST * w->usual * STEPS), 2);
}

/* ---- the path ------------------------------------------------------------------------------------------ */

/* Adds a word that ends until step @end at the latest; g->after are the words before it. */
static void
add_word (Grid *g, const Word *w, gint longest, gint end, gint *begins, gint *ends)
{
  gfloat most = get_most (w);

  for (gint e = 0; e <= g->n_steps; e++) {
    g->best[e] = NEVER;
    for (gint b = e - 1; b >= MAX (0, e - longest) && e <= end; b--) {
      if (g->after[b] + most <= MAX (g->best[e], NEVER + most))
        continue;
      gfloat sum = g->after[b] + score_place (g, w, b, e);
      if (sum + most <= g->best[e])
        continue;
      sum += score_weights (g, w, b, e);
      if (sum > g->best[e]) {
        g->best[e] = sum;
        begins[e] = b;
      }
    }
  }
  for (gint e = 0; e <= g->n_steps; e++) {
    gfloat waited = e > 0 && g->after[e - 1] > NEVER ? g->after[e - 1] - PAUSE * (g->loud[e] - g->loud[e - 1]) : NEVER;
    gboolean ends_here = g->best[e] > NEVER && g->best[e] >= waited;
    g->after[e] = ends_here ? g->best[e] : waited;
    ends[e] = ends_here || e == 0 ? e : ends[e - 1];
  }
}

static gboolean
find_path (Grid *g, const gfloat *sums, const gint *letters, GemmaAlignmentWord *words, gint n_words, gint n_said,
    gint n_heard, gfloat *score)
{
  gint stride = g->n_steps + 1;
  Word w;

  for (gint e = 0; e <= g->n_steps; e++)
    g->after[e] = -PAUSE * g->loud[e];
  for (gint k = 0; k < n_words; k++) {
    gint longest = describe_word (&w, &words[k], g->sound, sums, letters, k < n_said);
    add_word (g, &w, longest, k < n_said ? n_heard : g->n_steps, g->begins + (gsize) k * stride,
        g->ends + (gsize) k * stride);
    sums += (gsize) w.n_tokens * (g->sound->n + 1);
    letters += w.n_tokens;
  }
  *score = g->after[g->n_steps];
  if (*score <= NEVER)
    return FALSE;
  for (gint k = n_words - 1, at = g->n_steps; k >= 0; k--) {
    gint end = g->ends[(gsize) k * stride + at];
    at = g->begins[(gsize) k * stride + end];
    words[k].begin = get_time (g, at);
    words[k].end = get_time (g, end);
  }
  return TRUE;
}

/* Where words lie that may not have been said: as long as they usually take. */
static gint
count_guessed_steps (const GemmaAlignmentSound *sound, const gint *letters, const GemmaAlignmentWord *words,
    gint n_words, gint n_said)
{
  gfloat n = 0;

  for (gint k = 0; k < n_words; k++) {
    gint n_letters = 0;
    for (gint i = 0; i < words[k].n_tokens; i++)
      n_letters += *letters++;
    n += k >= n_said ? 1 + gemma_alignment_get_length (n_letters) * sound->letter * STEPS : 0;
  }
  return (gint) MIN (n, MAX_STEPS);
}

gboolean
gemma_align (const GemmaAlignmentSound *sound, const gfloat *weights, const gint *letters, GemmaAlignmentWord *words,
    gint n_words, gint n_said, gfloat *score)
{
  gint n_tokens = 0, n_heard = (gint) ((sound->end - sound->begin) * STEPS);

  for (gint k = 0; k < n_words; k++)
    n_tokens += words[k].n_tokens;
  if (n_words == 0 || sound->n < 1 || n_heard < n_said || n_heard > MAX_STEPS)
    return FALSE;

  gint n_steps = MIN (n_heard + count_guessed_steps (sound, letters, words, n_words, n_said), MAX_STEPS);
  gsize stride = n_steps + 1;
  g_autofree gfloat *sums = g_new (gfloat, (gsize) n_tokens * (sound->n + 1));
  g_autofree gfloat *floats = g_new (gfloat, 5 * stride);
  g_autofree gint *steps = g_new0 (gint, 2 * stride * n_words);
  Grid grid = { sound, n_steps, floats, floats + stride, floats + 2 * stride, sums, floats + 3 * stride,
    floats + 4 * stride, steps, steps + stride * n_words };
  if (!sum_weights (sums, weights, n_tokens, sound->n))
    return FALSE;
  find_loud (&grid, n_heard);
  find_borders (&grid, n_heard);
  return find_path (&grid, sums, letters, words, n_words, n_said, n_heard, score);
}
