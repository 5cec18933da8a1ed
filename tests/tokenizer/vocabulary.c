#include "vocabulary.h"

#include "models/tokenizer-private.h"
#include "models/weights-private.h"

GemmaTokenizer *
tokenizer_from_image (Image *image, GError **error)
{
  g_autoptr (GByteArray) bytes = image_bytes (image);
  g_autoptr (GError) file_error = NULL;
  GemmaWeights *weights = gemma_weights_open_gguf_data (bytes->data, bytes->len, &file_error);
  GemmaTokenizer *tokenizer;

  g_assert_no_error (file_error);
  tokenizer = gemma_tokenizer_new_from_gguf (weights, error);
  gemma_weights_unref (weights);
  image_free (image);
  return tokenizer;
}

void
set_vocabulary (Image *image, const gchar *const *tokens, guint n, const gfloat *scores, guint n_scores,
    const gint32 *types, guint n_types)
{
  image_set_string (image, "general.architecture", "gemma3n");
  image_set_string (image, "tokenizer.ggml.model", "llama");
  image_set_strings (image, "tokenizer.ggml.tokens", tokens, n);
  image_set_array (image, "tokenizer.ggml.scores", KV_F32, scores, sizeof *scores, n_scores);
  image_set_array (image, "tokenizer.ggml.token_type", KV_I32, types, sizeof *types, n_types);
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
