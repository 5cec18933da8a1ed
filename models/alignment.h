/* When words are said: from where the model's alignment head looks while their tokens are predicted (lm.h).
 *
 * Such a head is taught one thing: that its weight lies on the audio tokens in which what comes next is said, wherever
 * among them. So the times of all words together are those, one after the other, that hold the most of the weights, while each
 * word takes about as long as its letters and what is not quiet belongs to words. Within a word tokens share its time by their
 * letters. Plain C, without a model.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** What was heard. Times are in audio tokens: token j is from j to j + 1. */
typedef struct
{
  gint n;                       /* audio tokens */
  const guint8 *quiet;          /* (nullable) [n]: nothing was loud from j - 1 + heard to j + heard */
  gfloat heard;
  gfloat begin, end;            /* words lie between, 0 <= begin <= end <= n */
  gfloat letter;                /* how long a letter takes, about; > 0 */
} GemmaAlignmentSound;

typedef struct
{
  gint n_tokens;                /* >= 1 */
  gfloat begin, end;            /* (out) */
} GemmaAlignmentWord;

/**
 * gemma_align:
 * @weights: a row of n for each token of all words, in order
 * @letters: of each token, >= 1
 * @n_said: how many of @words end before sound->end; the model may have guessed the others, which may end after it
 *
 * Returns: FALSE if the weights tell nothing (all are 0) or there is no time for so many words
 */
gboolean gemma_align (const GemmaAlignmentSound *sound, const gfloat *weights, const gint *letters,
    GemmaAlignmentWord *words, gint n_words, gint n_said);

G_END_DECLS
