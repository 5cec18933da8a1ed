/* Local agreement: which words of an utterance that still goes on are final, and when they were said.
 *
 * Each hypothesis goes on after the words that are final, whose ids are part of its prompt. A word that two hypotheses
 * in a row agree on, and that another word follows, becomes final; at the end of the utterance all do.
 *
 * A word's time comes from where the model looks while it says it (models/alignment.h), and is fixed when the word becomes
 * final: later words are looked for after it, so nothing about final ones is asked again. Until that place is sure, a
 * word waits, but not much longer than a second. Of a model that does not tell, it is an estimate: words share the time of
 * the speech that is not told yet by their lengths, and none ends after the sound that the first hypothesis with it had
 * heard. Plain C: no streams.
 */
#pragma once

#include "utterances.h"

G_BEGIN_DECLS

typedef struct _GemmaHypotheses GemmaHypotheses;

typedef void (*GemmaWordFunc) (GstClockTime start, GstClockTime end, const gchar *word, gpointer user_data);

GemmaHypotheses *gemma_hypotheses_new (void);
void gemma_hypotheses_free (GemmaHypotheses *hypotheses);

/** An utterance begins. */
void gemma_hypotheses_reset (GemmaHypotheses *hypotheses, GstClockTime start);
/** Ids that the next hypothesis begins with: gint32. (transfer none) */
const GArray *gemma_hypotheses_get_final_ids (GemmaHypotheses *hypotheses);
/** Text that is final, words with the spaces between them. (transfer none) */
const gchar *gemma_hypotheses_get_final_text (GemmaHypotheses *hypotheses);
/** Where the words that are final end. */
GstClockTime gemma_hypotheses_get_final_end (GemmaHypotheses *hypotheses);

/**
 * A new hypothesis begins: its tokens follow the final ones.
 * @sound: (nullable): GemmaSoundToken, what it is about, from the utterance's beginning on
 */
void gemma_hypotheses_begin (GemmaHypotheses *hypotheses, GArray *sound);
/**
 * @text: what the token added to the text, whole characters (may be "")
 * @weights: (nullable): how the model's attention is spread over the sound when it says this token
 */
void gemma_hypotheses_add (GemmaHypotheses *hypotheses, gint32 id, const gchar *text, const gfloat *weights);
/** It is not worth its end: the one before stands. */
void gemma_hypotheses_abandon (GemmaHypotheses *hypotheses);
/**
 * The hypothesis is whole.
 * @heard: where the speech that it is about ends, never before that of the last one
 * @last: the utterance ends there
 * @func: gets the words that are final now, in order, without spaces around them; each has a time, after that of the one
 *   before
 */
void gemma_hypotheses_end (GemmaHypotheses *hypotheses, GstClockTime heard, gboolean last, GemmaWordFunc func,
    gpointer user_data);
/**
 * The same where the utterance is cut: a word that is being said there is not final, but is left for the next one, whose sound
 * begins at @carried.
 */
void gemma_hypotheses_cut (GemmaHypotheses *hypotheses, GstClockTime heard, GstClockTime carried, GemmaWordFunc func,
    gpointer user_data);
/**
 * What was cut goes on. Final words that began after @carried stay as context: ids that hypotheses begin with, but no text.
 *
 * Returns: where the sound begins that hypotheses are to be about from now on
 */
GstClockTime gemma_hypotheses_go_on (GemmaHypotheses *hypotheses, GstClockTime carried);
/** What is final and what of the hypothesis may still change, trimmed. (transfer full) */
gchar *gemma_hypotheses_get_text (GemmaHypotheses *hypotheses);
/** What of the hypothesis may still change, trimmed. (transfer full) */
gchar *gemma_hypotheses_get_tail (GemmaHypotheses *hypotheses);

G_END_DECLS
