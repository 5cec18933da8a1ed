#include "small-model.h"


#include "tests/seeded-weights.h"

static void
copy (const gchar *from, const gchar *directory, const gchar *name)
{
  g_autofree gchar *to = g_build_filename (directory, name, NULL), *data = NULL;
  gsize length;

  fail_unless (g_file_get_contents (from, &data, &length, NULL) && g_file_set_contents (to, data, length, NULL));
}

gchar *
small_model_write (void)
{
  gchar *directory = seeded_write_hf (GOLDEN_DIR "/model/config.json", GOLDEN_DIR "/model/tensors.txt", SMALL_MODEL_SEED, OCL_TYPE_F32);

  copy (GOLDEN_DIR "/tokenizer/tokenizer.json", directory, "tokenizer.json");
  return directory;
}

void
small_model_remove (gchar *directory)
{
  seeded_remove (directory);
}

GemmaModel *
small_model_load (const gchar *directory, GemmaParts parts)
{
  g_autoptr (GError) error = NULL;
  OclDevice *device = ocl_device_open (g_getenv ("GEMMA_DEVICE"), &error);
  GemmaModel *model;

  g_assert_no_error (error);
  model = gemma_model_load (directory, NULL, device, parts, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  ocl_device_unref (device);
  return model;
}

Npy *
small_model_golden (const gchar *name, NpyType type)
{
  g_autofree gchar *path = g_strdup_printf ("%s/model/%s.npy", GOLDEN_DIR, name);
  g_autoptr (GError) error = NULL;
  Npy *npy = npy_read (path, &error);

  g_assert_no_error (error);
  fail_unless (npy->type == type);
  return npy;
}
