/* When words are said: from where the model's alignment head looks while their tokens are predicted (lm.h).
 *
 * Such a head is taught one thing: that its weight lies on the audio tokens in which what comes next is said, wherever
 * among them. So the times of all words together are those, one after the other, that hold the most of the weights,
 * while each word takes about as long as its letters, what is not quiet belongs to words, and words begin and end where it
 * is less loud for a moment. Within a word tokens share its time by their letters. Plain C, without a model.
 *
 * An audio token has not heard all of its time when it is made, but some of that of the one before: what weights and
 * loudness of token j tell is about the sound from j - 1 + heard to j + heard.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define GEMMA_ALIGNMENT_FRAMES 8 /* of an audio token: 20 ms */

/** What was heard. Times are in audio tokens: token j is from j to j + 1. */
typedef struct
{
  gint n;                       /* audio tokens */
  const guint8 *quiet;          /* (nullable) [n]: nothing was loud */
  const guint8 *pauses;         /* (nullable) [n][GEMMA_ALIGNMENT_FRAMES]: finer, from half a token before its start on */
  /** (nullable) [n][GEMMA_ALIGNMENT_FRAMES]: how many dB less than on either side; G_MAXUINT8: not known */
  const guint8 *dips;
  gfloat heard;                 /* 0 to 1 */
  gfloat begin, end;            /* words lie between, 0 <= begin <= end <= n */
  gfloat letter;                /* how long one of gemma_alignment_get_length() takes, about; > 0 */
} GemmaAlignmentSound;

typedef struct
{
  gint n_tokens;                /* >= 1 */
  gfloat begin, end;            /* (out) */
} GemmaAlignmentWord;

/** How long a word of so many letters is, in letters: short ones take longer than these. */
static inline gint
gemma_alignment_get_length (gint n_letters)
{
  return n_letters + 2;
}

/**
 * gemma_align:
 * @weights: a row of n for each token of all words, in order
 * @letters: of each token, >= 1
 * @n_said: how many of @words end before sound->end; the model may have guessed the others, which may end after it
 * @score: (out): how well all of it fits, a logarithm; of use beside that of another @sound->letter
 *
 * Returns: FALSE if the weights tell nothing (all are 0) or there is no time for so many words
 */
gboolean gemma_align (const GemmaAlignmentSound *sound, const gfloat *weights, const gint *letters,
    GemmaAlignmentWord *words, gint n_words, gint n_said, gfloat *score);

G_END_DECLS
