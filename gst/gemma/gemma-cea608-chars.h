/* The characters of CEA-608, and what stands for those that it lacks. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How a character is sent. */
typedef struct
{
  guint8 fallback;              /* extended ones: sent before, for old decoders; new ones overwrite it */
  guint8 first, second;         /* second 0: a basic character, one byte */
} GemmaCea608Char;

/** %FALSE: CEA-608 has no such character */
gboolean gemma_cea608_find_char (gunichar c, GemmaCea608Char *found);

/**
 * gemma_cea608_transliterate:
 * @text: valid UTF-8
 *
 * Returns: (transfer full): the text in characters that gemma_cea608_find_char() finds, one column each;
 *   white space has become spaces, but line feeds stay
 */
gchar *gemma_cea608_transliterate (const gchar *text);

G_END_DECLS
