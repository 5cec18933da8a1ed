/* Any bytes as a GGUF: opened, taken for a configuration with the other half of a good model, and all read. */
#include "tests/readers/fixture.h"
#include "models/weights-private.h"

#include <string.h>

/* Takes @image. */
static GemmaWeights *
good (Image *image)
{
  GByteArray *bytes = image_bytes (image);
  const gsize n = bytes->len;

  image_free (image);
  return gemma_weights_open_gguf_data (g_byte_array_free (bytes, FALSE), n, NULL);
}

static void
read_values (GemmaWeights *weights)
{
  static const gchar *const keys[] = { "general.architecture", "general.name", "tokenizer.ggml.tokens", "k" };
  const gchar *data;
  gsize length;
  gint64 integer;
  gdouble number;
  gboolean flag;

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    gint64 n = gemma_weights_get_length (weights, keys[i]);
    g_autofree gdouble *numbers = gemma_weights_get_numbers (weights, keys[i], n < 0 ? 3 : MIN (n, 1 << 20), NULL);

    gemma_weights_get_string (weights, keys[i], NULL);
    gemma_weights_get_int (weights, keys[i], &integer, NULL);
    gemma_weights_get_float (weights, keys[i], &number, NULL);
    gemma_weights_get_bool (weights, keys[i], &flag, NULL);
    for (gint64 k = -1; k <= n; k++) {
      volatile guint8 sum = 0;
      if (gemma_weights_get_nth_string (weights, keys[i], k, &data, &length))
        for (gsize j = 0; j < length; j++)
          sum += data[j];
    }
  }
}

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static GemmaWeights *text, *mmproj;
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights = gemma_weights_open_gguf_data (data, size, &error);
  const gchar *architecture;
  gboolean is_mmproj;

  g_assert ((weights == NULL) == (error != NULL));
  if (weights == NULL)
    return 0;
  if (text == NULL) {
    text = good (fixture_text ());
    mmproj = good (fixture_mmproj ());
  }
  read_values (weights);
  architecture = gemma_weights_get_string (weights, "general.architecture", NULL);
  is_mmproj = architecture && strcmp (architecture, "clip") == 0;
  for (guint i = 0; i < 2; i++) {
    GemmaConfig *config = gemma_config_new (is_mmproj ? text : weights, is_mmproj ? weights : i ? mmproj : NULL, &error);

    g_assert ((config == NULL) == (error != NULL));
    g_clear_error (&error);
    gemma_config_free (config);
  }
  if (!fixture_use_all (weights, &error))
    g_assert (error != NULL);
  gemma_weights_unref (weights);
  return 0;
}
