/* Any bytes as a tokenizer, a GGUF's if they begin like one, else tokenizer.json; the bytes after the first 0x1e
 * (else the last ones) are then text for it to encode, and what comes out is decoded. */
#include "models/tokenizer-private.h"
#include "models/weights-private.h"

#include <string.h>

#define MAX_TEXT 512

static GemmaTokenizer *
new_from_gguf (const guint8 *data, gsize size, GemmaWeights **weights, GError **error)
{
  *weights = gemma_weights_open_gguf_data (data, size, error);
  return *weights ? gemma_tokenizer_new_from_gguf (*weights, error) : NULL;
}

/* NUL is a character here: <0x00> stands for it. */
static gboolean
is_utf8 (const GString *text)
{
  const gchar *p = text->str, *end = p + text->len, *bad;

  while (!g_utf8_validate_len (p, end - p, &bad)) {
    if (*bad != '\0')
      return FALSE;
    p = bad + 1;
  }
  return TRUE;
}

static void
encode_and_decode (GemmaTokenizer *tokenizer, const guint8 *text, gsize length, gboolean parse_control)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) decoded = g_string_new (NULL);
  GemmaDecoder *decoder = gemma_decoder_new (tokenizer);

  gemma_tokenizer_encode (tokenizer, (const gchar *) text, length, parse_control, ids);
  for (guint i = 0; i < ids->len; i++) {
    const gint id = g_array_index (ids, gint32, i);

    g_assert (id >= 0 && id < gemma_tokenizer_get_size (tokenizer));
    g_assert (parse_control || id == tokenizer->unknown || !gemma_tokenizer_is_control (tokenizer, id));
    gemma_decoder_push (decoder, id, decoded);
    g_assert (is_utf8 (decoded));
  }
  gemma_decoder_finish (decoder, decoded);
  g_assert (is_utf8 (decoded));
  gemma_decoder_free (decoder);
}

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  const gboolean gguf = size >= 4 && memcmp (data, "GGUF", 4) == 0;
  const guint8 *separator = gguf ? NULL : memchr (data, 0x1e, size);
  const guint8 *text = separator ? separator + 1 : data + size - MIN (size, MAX_TEXT);
  GemmaWeights *weights = NULL;
  g_autoptr (GError) error = NULL;
  GemmaTokenizer *tokenizer = gguf ? new_from_gguf (data, size, &weights, &error)
      : gemma_tokenizer_new_from_json_data ("fuzz.json", (const gchar *) data, separator ? separator - data : size,
      &error);

  g_assert ((tokenizer == NULL) == (error != NULL));
  if (tokenizer) {
    const gsize length = MIN (data + size - text, MAX_TEXT);

    encode_and_decode (tokenizer, text, length, FALSE);
    encode_and_decode (tokenizer, text, length, TRUE);
    gemma_tokenizer_find (tokenizer, "<start_of_turn>");
    gemma_tokenizer_free (tokenizer);
  }
  gemma_weights_unref (weights);
  return 0;
}
