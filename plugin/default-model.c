/* Where the embedded models are: installed, or beside a plugin that runs from its build folder. */
#include "default-model.h"

#include <dlfcn.h>
#include <gst/gst.h>

const GemmaDefaultModel gemma_default_listener = { "GEMMA_DEFAULT_MODEL", "gemma3n-default.gguf" };
const GemmaDefaultModel gemma_default_translator = { "GEMMA_DEFAULT_TRANSLATOR", "t5gemma2-default.gguf" };

gchar *
gemma_default_model (const GemmaDefaultModel *which)
{
  const gchar *named = g_getenv (which->variable);
  g_autofree gchar *installed = g_build_filename (GEMMA_INSTALLED_MODELS, which->file, NULL);
  Dl_info plugin;

  if (named && *named)
    return g_strdup (named);
  if (!g_file_test (installed, G_FILE_TEST_EXISTS) && dladdr (gemma_default_model, &plugin)) {
    g_autofree gchar *folder = g_path_get_dirname (plugin.dli_fname);
    g_autofree gchar *beside = g_build_filename (folder, "..", "models", "default", which->file, NULL);
    if (g_file_test (beside, G_FILE_TEST_EXISTS))
      return g_canonicalize_filename (beside, NULL);
  }
  return g_steal_pointer (&installed);
}
