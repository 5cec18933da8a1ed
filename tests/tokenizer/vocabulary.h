/* Vocabularies written for a test, as tokenizer.json text or as a GGUF file. */
#pragma once

#include <gst/check/gstcheck.h>

#include "models/tokenizer.h"

/** A GGUF in memory: values of metadata one after another. */
typedef struct
{
  GByteArray *values;
  guint64 n_values;
} Gguf;

Gguf *gguf_new (void);
void gguf_add_string (Gguf *gguf, const gchar *key, const gchar *value);
void gguf_add_u32 (Gguf *gguf, const gchar *key, guint32 value);
void gguf_add_bool (Gguf *gguf, const gchar *key, gboolean value);
/** Strings of @lengths bytes (NULL: NUL-terminated). */
void gguf_add_strings (Gguf *gguf, const gchar *key, const gchar *const *strings, const gsize *lengths, guint n);
void gguf_add_f32s (Gguf *gguf, const gchar *key, const gfloat *values, guint n);
void gguf_add_i32s (Gguf *gguf, const gchar *key, const gint32 *values, guint n);
/** Writes the file to @path and frees @gguf. */
void gguf_write (Gguf *gguf, const gchar *path);

/** A new path in the temporary folder; g_free() after g_unlink(). */
gchar *temporary_path (const gchar *suffix);

/** Encodes @length bytes (-1: a string) and returns the pieces, joined with "|" and "▁" for spaces. (transfer full) */
gchar *encode_to_pieces (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control);
/** Encodes. (transfer full) */
GArray *encode (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control);
