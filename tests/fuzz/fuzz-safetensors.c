/* Any bytes as a safetensors file: opened and all read. */
#include "tests/readers/fixture.h"
#include "models/weights-private.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights = gemma_weights_open_safetensors_data (data, size, &error);

  g_assert ((weights == NULL) == (error != NULL));
  if (weights && !fixture_use_all (weights, &error))
    g_assert (error != NULL);
  gemma_weights_unref (weights);
  return 0;
}
