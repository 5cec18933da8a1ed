/* Where the embedded model is: installed, or beside a plugin that runs from its build folder. */
#include "default-model.h"

#include <dlfcn.h>
#include <gst/gst.h>

gchar *
gemma_default_model (void)
{
  const gchar *named = g_getenv ("GEMMA_DEFAULT_MODEL");
  Dl_info plugin;

  if (named && *named)
    return g_strdup (named);
  if (!g_file_test (GEMMA_INSTALLED_MODEL, G_FILE_TEST_EXISTS) && dladdr (gemma_default_model, &plugin)) {
    g_autofree gchar *folder = g_path_get_dirname (plugin.dli_fname);
    g_autofree gchar *beside = g_build_filename (folder, "..", "models", "default", "gemma3n-default.gguf", NULL);
    if (g_file_test (beside, G_FILE_TEST_EXISTS))
      return g_canonicalize_filename (beside, NULL);
  }
  return g_strdup (GEMMA_INSTALLED_MODEL);
}
