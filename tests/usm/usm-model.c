#include "usm-model.h"

#include "tests/seeded-weights.h"

#define SEED 5

/* As SIZES in tests/golden/usm.py. */
const UsmSize usm_sizes[3] = {
  { "tiny", 32, 64, 2, 4, { 16, 8 }, 16, 272, 80001, OCL_TYPE_F32 },
  { "small", 256, 256, 4, 4, { 32, 16 }, 16, 272, 20000, OCL_TYPE_F32 },
  { "e2b", 2048, 1536, 2, 8, { 128, 32 }, 128, 262272, 16000, OCL_TYPE_BF16 },
};

OclDevice *
usm_test_device (void)
{
  static OclDevice *device;
  g_autoptr (GError) error = NULL;

  if (device == NULL)
    device = ocl_device_open (g_getenv ("GEMMA_DEVICE"), &error);
  g_assert_no_error (error);
  return device;
}

GemmaConfig *
usm_config_new (const UsmSize *size)
{
  GemmaConfig *config = g_new0 (GemmaConfig, 1);

  config->has_audio = TRUE;
  config->text.hidden = size->text_hidden;
  config->audio = (GemmaAudioConfig){ .hidden = size->hidden,
    .n_layers = size->n_layers,
    .n_heads = size->n_heads,
    .n_mels = 128,
    .conv_channels = { size->conv_channels[0], size->conv_channels[1] },
    .left = 12,
    .reduction = 4,
    .conv_kernel = 5,
    .softcap = 50.f,
    .rms_eps = 1e-6f,
    .conv_norm_eps = 1e-3f,
    .residual_weight = 0.5f,
    .vocab_size = size->vocab_size,
    .vocab_offset = size->vocab_offset,
    .tokens_per_clip = 188 };
  return config;
}

gchar *
usm_golden_path (const gchar *format, ...)
{
  g_autofree gchar *name = NULL;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  return g_build_filename (GOLDEN_DIR, name, NULL);
}

Npy *
usm_golden (const gchar *format, ...)
{
  g_autofree gchar *name = NULL, *path = NULL;
  g_autoptr (GError) error = NULL;
  Npy *npy;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  path = g_build_filename (GOLDEN_DIR, name, NULL);
  npy = npy_read (path, &error);
  g_assert_no_error (error);
  return npy;
}

GemmaUsm *
usm_model_load (const UsmSize *size, const gchar *list_path, OclType type, OclMatmulFlags flags, GError **error)
{
  g_autofree gchar *golden_list = usm_golden_path ("%s/tensors.txt", size->name);
  g_autofree gchar *config_path = usm_golden_path ("%s/config.json", size->name);
  gchar *folder = seeded_write_hf (config_path, list_path != NULL ? list_path : golden_list, SEED, type);
  GemmaWeights *weights = gemma_weights_open_hf (folder, error);
  GemmaConfig *config = usm_config_new (size);
  GemmaUsm *usm = NULL;

  if (weights != NULL) {
    usm = gemma_usm_load (weights, config, usm_test_device (), flags, NULL, NULL, error);
    gemma_weights_unref (weights);
  }
  g_free (config);
  seeded_remove (folder);
  return usm;
}

GemmaUsm *
usm_model_new (const UsmSize *size)
{
  g_autoptr (GError) error = NULL;
  GemmaUsm *usm = usm_model_load (size, NULL, size->type, OCL_MATMUL_F32_ACTIVATIONS, &error);

  g_assert_no_error (error);
  return usm;
}

GArray *
usm_encode (GemmaUsmStream *stream, const gfloat *samples, gsize n, gsize piece)
{
  GArray *tokens = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (GError) error = NULL;

  for (gsize at = 0, m; at < n; at += m) {
    m = MIN (piece > 0 ? piece : n, n - at);
    gemma_usm_stream_push (stream, samples + at, m, tokens, &error);
    g_assert_no_error (error);
  }
  gemma_usm_stream_drain (stream, tokens, &error);
  g_assert_no_error (error);
  return tokens;
}
