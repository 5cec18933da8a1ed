/* From ids back to text, piece by piece. */
#include "tokenizer-private.h"

#include <string.h>

struct _GemmaDecoder
{
  GemmaTokenizer *tokenizer;
  gchar bytes[4];               /* the beginning of a character */
  gsize n;
};

GemmaDecoder *
gemma_decoder_new (GemmaTokenizer *tokenizer)
{
  GemmaDecoder *decoder = g_new0 (GemmaDecoder, 1);

  decoder->tokenizer = tokenizer;
  return decoder;
}

void
gemma_decoder_free (GemmaDecoder *decoder)
{
  g_free (decoder);
}

/* Bytes that the character beginning with @c needs, 1 if none begins with it. */
static gsize
expected_length (guchar c)
{
  return c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;
}

/* Takes what is whole from the front of the waiting bytes: characters, and U+FFFD for each byte that cannot begin one. */
static void
take_characters (GemmaDecoder *decoder, GString *text)
{
  while (decoder->n > 0) {
    gboolean valid;
    gsize n = gemma_utf8_length (decoder->bytes, decoder->n, &valid);

    if (!valid && decoder->n < expected_length (decoder->bytes[0])
        && g_utf8_get_char_validated (decoder->bytes, decoder->n) == (gunichar) -2)
      return;
    if (valid)
      g_string_append_len (text, decoder->bytes, n);
    else
      g_string_append (text, "\xef\xbf\xbd");
    decoder->n -= n;
    memmove (decoder->bytes, decoder->bytes + n, decoder->n);
  }
}

static void
append_piece (GString *text, const gchar *piece, gsize length)
{
  const gsize n = strlen (GEMMA_SPACE);

  while (length > 0) {
    if (length >= n && memcmp (piece, GEMMA_SPACE, n) == 0) {
      g_string_append_c (text, ' ');
      piece += n;
      length -= n;
    } else {
      g_string_append_c (text, *piece++);
      length--;
    }
  }
}

void
gemma_decoder_push (GemmaDecoder *decoder, gint id, GString *text)
{
  GemmaTokenizer *t = decoder->tokenizer;
  const gchar *piece;
  gsize length;

  /* A model may have more rows than its tokenizer has pieces. */
  if (id < 0 || id >= t->n || gemma_tokenizer_is_control (t, id))
    return;
  piece = gemma_tokenizer_get_text (t, id, &length);
  if (gemma_tokenizer_get_kind (t, id) == GEMMA_PIECE_BYTE) {
    decoder->bytes[decoder->n++] = gemma_piece_to_byte (piece, length);
    take_characters (decoder, text);
    return;
  }
  gemma_decoder_finish (decoder, text);
  append_piece (text, piece, length);
}

void
gemma_decoder_finish (GemmaDecoder *decoder, GString *text)
{
  for (gsize i = 0; i < decoder->n; i++)
    g_string_append (text, "\xef\xbf\xbd");
  decoder->n = 0;
}
