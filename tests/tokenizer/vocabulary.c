#include "vocabulary.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "models/tokenizer-private.h"

enum { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9 };

static void
put (GByteArray *out, gconstpointer data, gsize n)
{
  g_byte_array_append (out, data, n);
}

static void
put_u32 (GByteArray *out, guint32 value)
{
  value = GUINT32_TO_LE (value);
  put (out, &value, 4);
}

static void
put_u64 (GByteArray *out, guint64 value)
{
  value = GUINT64_TO_LE (value);
  put (out, &value, 8);
}

static void
put_string (GByteArray *out, const gchar *text, gsize length)
{
  put_u64 (out, length);
  put (out, text, length);
}

static void
put_key (Gguf *gguf, const gchar *key, guint32 type)
{
  put_string (gguf->values, key, strlen (key));
  put_u32 (gguf->values, type);
  gguf->n_values++;
}

static void
put_array (Gguf *gguf, const gchar *key, guint32 type, guint n)
{
  put_key (gguf, key, GGUF_ARRAY);
  put_u32 (gguf->values, type);
  put_u64 (gguf->values, n);
}

Gguf *
gguf_new (void)
{
  Gguf *gguf = g_new0 (Gguf, 1);

  gguf->values = g_byte_array_new ();
  return gguf;
}

void
gguf_add_string (Gguf *gguf, const gchar *key, const gchar *value)
{
  put_key (gguf, key, GGUF_STRING);
  put_string (gguf->values, value, strlen (value));
}

void
gguf_add_u32 (Gguf *gguf, const gchar *key, guint32 value)
{
  put_key (gguf, key, GGUF_U32);
  put_u32 (gguf->values, value);
}

void
gguf_add_bool (Gguf *gguf, const gchar *key, gboolean value)
{
  guint8 byte = value;

  put_key (gguf, key, GGUF_BOOL);
  put (gguf->values, &byte, 1);
}

void
gguf_add_strings (Gguf *gguf, const gchar *key, const gchar *const *strings, const gsize *lengths, guint n)
{
  put_array (gguf, key, GGUF_STRING, n);
  for (guint i = 0; i < n; i++)
    put_string (gguf->values, strings[i], lengths ? lengths[i] : strlen (strings[i]));
}

void
gguf_add_f32s (Gguf *gguf, const gchar *key, const gfloat *values, guint n)
{
  put_array (gguf, key, GGUF_F32, n);
  put (gguf->values, values, n * sizeof *values);
}

void
gguf_add_i32s (Gguf *gguf, const gchar *key, const gint32 *values, guint n)
{
  put_array (gguf, key, GGUF_I32, n);
  put (gguf->values, values, n * sizeof *values);
}

void
gguf_write (Gguf *gguf, const gchar *path)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  static const guint8 zeros[64] = { 0, };

  put (out, "GGUF", 4);
  put_u32 (out, 3);
  put_u64 (out, 1);
  put_u64 (out, gguf->n_values);
  put (out, gguf->values->data, gguf->values->len);
  /* One tensor of one float32, so that the file is a whole one. */
  put_string (out, "t", 1);
  put_u32 (out, 1);
  put_u64 (out, 1);
  put_u32 (out, 0);
  put_u64 (out, 0);
  put (out, zeros, 32 + (32 - out->len % 32) % 32);
  fail_unless (g_file_set_contents (path, (const gchar *) out->data, out->len, NULL));
  g_byte_array_unref (gguf->values);
  g_free (gguf);
}

gchar *
temporary_path (const gchar *suffix)
{
  g_autofree gchar *name = g_strdup_printf ("gemma-test-XXXXXX%s", suffix);
  gchar *path = g_build_filename (g_get_tmp_dir (), name, NULL);
  gint fd = g_mkstemp (path);

  fail_unless (fd >= 0);
  close (fd);
  return path;
}

GArray *
encode (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  gemma_tokenizer_encode (tokenizer, text, length, parse_control, ids);
  return ids;
}

gchar *
encode_to_pieces (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control)
{
  g_autoptr (GArray) ids = encode (tokenizer, text, length, parse_control);
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < ids->len; i++) {
    gsize n;
    const gchar *piece = gemma_tokenizer_get_text (tokenizer, g_array_index (ids, gint32, i), &n);

    if (i > 0)
      g_string_append_c (out, '|');
    g_string_append_len (out, piece, n);
  }
  return g_string_free (out, FALSE);
}
