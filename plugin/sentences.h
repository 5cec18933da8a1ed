/* Gathers words and phrases into sentences, and keeps the times without words in their place.
 *
 * A sentence ends where a word ends one, where a pause follows it, where it becomes too long, and where the stream
 * does. Its time begins with its first word and ends with its last. Plain C: no streams, no threads.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _GemmaSentences GemmaSentences;

typedef struct
{
  void (*sentence) (GstClockTime start, GstClockTime end, const gchar *text, gpointer user_data);
  /** Time without words; what is inside of a sentence is not told. */
  void (*gap) (GstClockTime start, GstClockTime end, gpointer user_data);
} GemmaSentencesFuncs;

/** @funcs: static */
GemmaSentences *gemma_sentences_new (const GemmaSentencesFuncs *funcs, gpointer user_data);
void gemma_sentences_free (GemmaSentences *sentences);
/** A @pause ends a sentence, and one that would be longer than @longest is cut before its last word. */
void gemma_sentences_set_limits (GemmaSentences *sentences, GstClockTime pause, GstClockTime longest);

/**
 * @text: as it is to be joined
 * @plain: the same without markup
 */
void gemma_sentences_push (GemmaSentences *sentences, GstClockTime start, GstClockTime end, const gchar *text,
    const gchar *plain);
void gemma_sentences_push_gap (GemmaSentences *sentences, GstClockTime start, GstClockTime end);
/** Tells what there is. */
void gemma_sentences_drain (GemmaSentences *sentences);
/** Forgets it. */
void gemma_sentences_reset (GemmaSentences *sentences);
/** Whether there is any. */
gboolean gemma_sentences_are_pending (const GemmaSentences *sentences);

G_END_DECLS
