/* The text of a cue, taken apart for translation and put together again in the same form.
 *
 * Lines that belong to one sentence are one passage: a line joins the one before unless that one ends a sentence, or
 * this one begins with a dash, is empty, has no letters, or is marked up otherwise. A translation is broken into as
 * many lines as its passage had, near where the source was broken; it has fewer where it has fewer words, for an empty
 * line would end a cue in a caption file. Dashes, empty lines and lines without letters ("♪", "1984") stay as they are.
 *
 * Of Pango markup, what holds for all of a line stays with the line, whatever it is; what marks a part of it goes, as
 * nobody knows where that part is in the translation. Text that is not well-formed markup is taken as it is, and
 * escaped. Plain C: no streams, no models.
 */
#pragma once

#include <glib.h>

#include "prose.h"

G_BEGIN_DECLS

typedef struct _GemmaCueText GemmaCueText;

GemmaCueText *gemma_cue_text_new (const gchar *text, gboolean markup);
void gemma_cue_text_free (GemmaCueText *cue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GemmaCueText, gemma_cue_text_free)

/** All of it without markup. (transfer full) */
gchar *gemma_cue_text_get_plain (const GemmaCueText *cue);

guint gemma_cue_text_get_n_passages (const GemmaCueText *cue);
/** One line of plain text, trimmed. (transfer none) */
const gchar *gemma_cue_text_get_passage (const GemmaCueText *cue, guint i);
/** Its source stays where @translation is empty. */
void gemma_cue_text_set_translation (GemmaCueText *cue, guint i, const gchar *translation);

/** Whether its last passage may go on in the next cue; whether that of @before does with the first one of @after. */
gboolean gemma_cue_text_may_go_on (const GemmaCueText *cue);
GemmaTextRelation gemma_cue_text_relate (const GemmaCueText *before, const GemmaCueText *after);

/** With the translations, marked up if the source was said to be. (transfer full) */
gchar *gemma_cue_text_to_string (const GemmaCueText *cue);

G_END_DECLS
