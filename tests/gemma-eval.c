#include "gemma-eval.h"

#include <sys/wait.h>

gint
gemma_eval_run (gchar **message, const gchar *const *arguments)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  gint status;

  g_ptr_array_add (argv, (gpointer) GEMMA_EVAL);
  for (guint i = 0; arguments[i]; i++)
    g_ptr_array_add (argv, (gpointer) arguments[i]);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (gchar **) argv->pdata, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, message, &status,
      &error);
  g_assert_no_error (error);
  fail_unless (WIFEXITED (status), "gemma-eval was killed");
  return WEXITSTATUS (status);
}

Npy *
gemma_eval_result (const gchar *out, const gchar *name)
{
  g_autofree gchar *path = g_build_filename (out, name, NULL);
  g_autoptr (GError) error = NULL;
  Npy *npy = npy_read (path, &error);

  g_assert_no_error (error);
  return npy;
}
