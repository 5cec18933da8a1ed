/* gemma-eval --layers: what each layer puts out, for comparisons with other implementations layer by layer. */
#include "gemma-eval.h"

#include "npy.h"

typedef struct
{
  GArray *values;               /* gfloat [rows][cols] */
  gint cols;
} State;

static void
state_free (gpointer data)
{
  State *state = data;

  g_array_unref (state->values);
  g_free (state);
}

GHashTable *
eval_states_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, state_free);
}

/* What comes in parts, chunks of a prompt or token by token, is put together. */
void
eval_take_state (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer states)
{
  State *state = g_hash_table_lookup (states, name);

  if (!state) {
    state = g_new (State, 1);
    *state = (State) { g_array_new (FALSE, FALSE, sizeof (gfloat)), cols };
    g_hash_table_insert (states, g_strdup (name), state);
  }
  g_array_append_vals (state->values, data, (gsize) rows * cols);
}

gboolean
eval_states_save (Eval *eval, const gchar *part, GError **error)
{
  GHashTableIter iter;
  gpointer name, value;

  if (!eval->states)
    return TRUE;
  g_hash_table_iter_init (&iter, eval->states);
  while (g_hash_table_iter_next (&iter, &name, &value)) {
    State *state = value;
    g_autofree gchar *file = g_strdup_printf ("%s.%s.npy", part, (const gchar *) name);
    g_autofree gchar *path = g_build_filename (eval->options->out, file, NULL);

    if (!npy_write_f32 (path, (const gfloat *) (gpointer) state->values->data, state->values->len / state->cols, state->cols,
            error))
      return FALSE;
  }
  g_print ("%s.*.npy: %u layers\n", part, g_hash_table_size (eval->states));
  g_hash_table_remove_all (eval->states);
  return TRUE;
}
