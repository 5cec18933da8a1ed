/* What plain text shows of its sentences: where they end, whether they go on in the next caption, where a space goes,
 * and where text may be divided. Any script; no GStreamer, no markup.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** Whether a sentence ends with @text: a full stop, question or exclamation mark of any script, perhaps in quotes. */
gboolean gemma_text_ends_sentence (const gchar *text);
/** Whether a space goes between the two: neither in scripts without spaces nor before punctuation. */
gboolean gemma_text_needs_space (const gchar *before, const gchar *after);
/** Whether a full stop, and not only a question or exclamation mark or dots, is somewhere in @text. */
gboolean gemma_text_has_full_stop (const gchar *text);

typedef enum
{
  GEMMA_TEXT_ENDS,              /* what follows is another sentence */
  GEMMA_TEXT_MAY_GO_ON,         /* nothing ends the sentence, and what follows may be the rest of it */
  GEMMA_TEXT_GOES_ON            /* what follows begins with a small letter or with dots, and so is the rest of it */
} GemmaTextRelation;

/**
 * Whether the sentence at the end of the caption @text may go on in the next one. Dots and a dash at the end do not
 * tell; brackets around all of it, a note (♪), and scripts that have no full stop (Thai, Lao) say that it does not.
 */
gboolean gemma_text_may_go_on (const gchar *text);
/** The same of @before, now that the caption @after is known: it may also begin with ">>" or "ANNA:". */
GemmaTextRelation gemma_text_relate (const gchar *before, const gchar *after);

/**
 * Divides @text into @n parts whose lengths are to each other like @shares, at least nearly: between words, rather
 * where a sentence or a clause ends. There are fewer parts, but one, if there are no more words; none is empty, but of
 * an empty text. In scripts without spaces it is between characters that belong to different words as far as can be
 * told without a dictionary. (transfer full)
 */
GStrv gemma_text_divide (const gchar *text, const glong *shares, guint n);

G_END_DECLS
