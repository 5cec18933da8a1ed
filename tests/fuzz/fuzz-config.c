/* Any text as config.json, generation_config.json, processor_config.json and preprocessor_config.json (in this
 * order, with a record separator, 0x1e, between them) beside the tensors of a good model. */
#include "tests/readers/fixture.h"
#include "models/config-private.h"
#include "models/weights-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static GemmaWeights *weights;
  JsonNode *nodes[4] = { NULL };
  const guint8 *p = data;
  g_autoptr (GError) error = NULL;
  GemmaConfig *config = g_new0 (GemmaConfig, 1);
  gboolean ok = TRUE;

  if (weights == NULL) {
    GByteArray *bytes = fixture_safetensors (0, 1);
    const gsize length = bytes->len;
    weights = gemma_weights_open_safetensors_data (g_byte_array_free (bytes, FALSE), length, NULL);
  }
  for (guint i = 0; ok && i < 4 && (i == 0 || p < data + size); i++) {
    const guint8 *end = memchr (p, 0x1e, data + size - p);
    const gsize n = (end ? end : data + size) - p;

    nodes[i] = gemma_json_parse_data ((const gchar *) p, n, "fuzz.json", GEMMA_JSON_DEPTH, &error);
    ok = nodes[i] != NULL;
    p = end ? end + 1 : data + size;
  }
  gemma_config_set_defaults (config);
  ok = ok && gemma_config_read_hf (config, weights, "config.json", nodes[0], nodes[1], nodes[2], nodes[3], &error)
      && gemma_config_check (config, weights, NULL, "config.json", &error);
  g_assert (ok == (error == NULL));
  for (guint i = 0; i < 4; i++)
    g_clear_pointer (&nodes[i], json_node_unref);
  gemma_config_free (config);
  return 0;
}
