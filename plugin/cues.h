/* Gathers cues whose sentence goes on in the next, and lays its translation out over them again.
 *
 * A caption that no full stop ends waits for the next one. If that follows soon and may be the rest of the sentence
 * (see gemma_text_relate()), both belong together, up to six cues with 400 characters; the passages (see cue-text.h)
 * that touch are translated as one, all others each for itself. Every cue leaves with its own time, GAPs in their
 * place. A translation is divided in proportion to its source; if it has fewer words than there are cues, the last one
 * stays for the rest of them.
 *
 * Where six cues have followed each other without a full stop, the text does without, and its cues are taken for
 * themselves until one has a full stop. No GStreamer: times are in nanoseconds, G_MAXUINT64 is none.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define GEMMA_CUES_MOST 6
#define GEMMA_CUES_MOST_CHARACTERS 400

typedef struct _GemmaCues GemmaCues;

typedef struct
{
  /** What @text, whose cues are from @start to @end, is in the other language; NULL ends the work. (transfer full) */
  gchar *(*translate) (guint64 start, guint64 end, const gchar *text, gpointer user_data);
  /** @end: none if the cue has none */
  void (*cue) (guint64 start, guint64 end, const gchar *text, gpointer user_data);
  void (*gap) (guint64 start, guint64 end, gpointer user_data);
} GemmaCuesFuncs;

/** @funcs: static */
GemmaCues *gemma_cues_new (const GemmaCuesFuncs *funcs, gpointer user_data);
void gemma_cues_free (GemmaCues *cues);
/**
 * @pause: between two cues it ends a sentence
 * @long_pause: the same where the second one begins with a small letter or dots
 * @longest: so long are cues that are gathered at most, together
 */
void gemma_cues_set_limits (GemmaCues *cues, guint64 pause, guint64 long_pause, guint64 longest);

void gemma_cues_push (GemmaCues *cues, guint64 start, guint64 end, const gchar *text, gboolean markup);
void gemma_cues_push_gap (GemmaCues *cues, guint64 start, guint64 end);
/** Tells what there is. */
void gemma_cues_drain (GemmaCues *cues);
/** Forgets it, and what is known of the text. */
void gemma_cues_reset (GemmaCues *cues);
/** Whether there is any. */
gboolean gemma_cues_are_pending (const GemmaCues *cues);

G_END_DECLS
