/* The first byte chooses: 'j' and any text as a tokenizer.json, 'g' and any bytes as a GGUF whose tokenizer is
 * loaded, else any bytes as text for a good tokenizer. Whatever loads has to encode and decode. */
#include "models/tokenizer-private.h"
#include "models/weights-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* All bytes, some merges, added tokens of each kind. */
static GemmaTokenizer *
good_tokenizer (void)
{
  g_autoptr (GString) json = g_string_new ("{\"added_tokens\": [{\"id\": 256, \"content\": \"<start_of_turn>\", \"special\": true}, "
      "{\"id\": 257, \"content\": \"\\n\\n\"}, {\"id\": 258, \"content\": \"<b>\"}], \"normalizer\": {\"type\": \"Replace\", "
      "\"pattern\": {\"String\": \" \"}, \"content\": \"\\u2581\"}, \"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"vocab\": {");
  GemmaTokenizer *tokenizer;
  GError *error = NULL;

  for (gint i = 0; i < 256; i++)
    g_string_append_printf (json, "\"<0x%02X>\": %d, ", i, i);
  g_string_append (json, "\"a\": 259, \"b\": 260, \"ab\": 261, \"aa\": 262, \"aab\": 263, \"\\u2581\": 264, \"\\u2581a\": 265, "
      "\"<\": 266, \"abab\": 267}, \"merges\": [\"a b\", \"a a\", \"aa b\", \"\\u2581 a\", \"ab ab\"]}}");
  tokenizer = gemma_tokenizer_new_from_json_data ("good", json->str, json->len, &error);
  g_assert_no_error (error);
  return tokenizer;
}

/* No control token comes of text, and what is decoded is UTF-8 at every step. */
static void
use (GemmaTokenizer *t, const gchar *text, gsize length, gboolean parse_control)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) decoded = g_string_new (NULL);
  GemmaDecoder *decoder = gemma_decoder_new (t);

  gemma_tokenizer_encode (t, text, length, parse_control, ids);
  for (guint i = 0; i < ids->len; i++) {
    gint32 id = g_array_index (ids, gint32, i);

    g_assert (id >= 0 && id < gemma_tokenizer_get_size (t));
    g_assert (parse_control || gemma_tokenizer_get_kind (t, id) != GEMMA_PIECE_CONTROL || id == t->unknown);
    gemma_decoder_push (decoder, id, decoded);
  }
  gemma_decoder_finish (decoder, decoded);
  for (gsize i = 0; i < decoded->len;) {
    gboolean valid;

    i += gemma_utf8_length (decoded->str + i, decoded->len - i, &valid);
    g_assert (valid);
  }
  gemma_decoder_free (decoder);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static const gchar text[] = "abab <start_of_turn>\n\n\xf0\x9f\x91\x8d \xff<b>aab<x>\xe2\x96\x81";
  static GemmaTokenizer *good;
  GemmaTokenizer *t = NULL;
  g_autoptr (GError) error = NULL;

  if (!good)
    good = good_tokenizer ();
  if (size == 0)
    return 0;
  if (data[0] == 'j') {
    t = gemma_tokenizer_new_from_json_data ("fuzz", (const gchar *) data + 1, size - 1, &error);
  } else if (data[0] == 'g') {
    GemmaWeights *weights = gemma_weights_open_gguf_data (data + 1, size - 1, &error);

    t = weights ? gemma_tokenizer_new_from_gguf (weights, &error) : NULL;
    g_clear_pointer (&weights, gemma_weights_unref);
  } else {
    use (good, (const gchar *) data + 1, size - 1, FALSE);
    use (good, (const gchar *) data + 1, size - 1, TRUE);
    return 0;
  }
  g_assert ((t != NULL) == (error == NULL));
  for (gint parse = 0; t && parse < 2; parse++)
    use (t, text, sizeof text - 1, parse);
  g_clear_pointer (&t, gemma_tokenizer_free);
  return 0;
}
