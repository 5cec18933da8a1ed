#include "fixture.h"
#include "tests/relative-error.h"

#define CLOSE_CALL 0.02 /* greedy ids may differ from where the two best logits are as close as this */

/* Observed states: name -> GArray of gfloat, all chunks in order. */
static void
collect (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer user_data)
{
  GHashTable *states = user_data;
  GArray *array = g_hash_table_lookup (states, name);
  if (!array) {
    array = g_array_new (FALSE, FALSE, sizeof (gfloat));
    g_hash_table_insert (states, g_strdup (name), array);
  }
  g_array_append_vals (array, data, rows * cols);
}

static gchar *
state_name (const gchar *prefix, gint index, gint n_layers)
{
  if (index == 0)
    return g_strconcat (prefix, "embed", NULL);
  return index > n_layers ? g_strconcat (prefix, "norm", NULL) : g_strdup_printf ("%slayer%d", prefix, index - 1);
}

/* Every kept row of every state; prints the worst. Of an encoder, whose states are called encoder.…, the files are
 * source-…. */
static void
check_states (const Model *m, const gchar *size, gint n_layers, GHashTable *states, gboolean encoder, gint positions)
{
  g_autoptr (Npy) rows = golden (size, encoder ? "source-rows" : "rows", NPY_I32);
  g_autoptr (Npy) expected = golden (size, encoder ? "source-states" : "states", NPY_F32);
  const gchar *prefix = encoder ? "encoder." : "";
  gint C = m->config->text.hidden, L = n_layers;
  gdouble worst = 0;
  fail_unless_equals_int64 (expected->n, (L + 2) * rows->n * C);
  for (gint i = 0; i < L + 2; i++) {
    g_autofree gchar *name = state_name (prefix, i, L);
    GArray *got = g_hash_table_lookup (states, name);
    fail_unless (got && got->len == (guint) positions * C, "state %s was not observed for every position", name);
    for (gsize r = 0; r < rows->n; r++) {
      const gfloat *x = (gfloat *) got->data + (gsize) rows->i32[r] * C;
      const gfloat *y = expected->f32 + (i * rows->n + r) * C;
      g_autofree gchar *what = g_strdup_printf ("%s: %s at position %d", size, name, rows->i32[r]);
      check_close (what, x, y, C, GOLDEN_LIMIT);
      worst = MAX (worst, relative_error (x, y, C));
    }
  }
  g_print ("%s: worst relative error of a%s state: %.2g\n", size, encoder ? "n encoder's" : "", worst);
}

static void
check_logits (const Model *m, const gchar *size, const gfloat *logits)
{
  g_autoptr (Npy) rows = golden (size, "logit-rows", NPY_I32), expected = golden (size, "logits", NPY_F32);
  gint V = m->config->text.vocab_size;
  gdouble worst = 0;
  for (gsize r = 0; r < rows->n; r++) {
    g_autofree gchar *what = g_strdup_printf ("%s: logits at position %d", size, rows->i32[r]);
    const gfloat *x = logits + (gsize) rows->i32[r] * V;
    check_close (what, x, expected->f32 + r * V, V, GOLDEN_LIMIT);
    worst = MAX (worst, relative_error (x, expected->f32 + r * V, V));
  }
  g_print ("%s: worst relative error of logits: %.2g\n", size, worst);
}

/* The ids that a prefill runs, and their logits. A decoder's follow a source, which brings the first of them. */
static void
run (const Model *m, GemmaLmSession *session, const gchar *size, const Npy *ids, gfloat *logits, GHashTable *states)
{
  if (m->config->encoder.n_layers == 0) {
    append_rows (session, ids->i32, ids->n, m->rows, logits, TRUE);
    fail_unless_equals_int (gemma_lm_session_get_length (session), ids->n);
    return;
  }
  g_autoptr (Npy) source = golden (size, "source", NPY_I32);
  fail_unless_equals_int (ids->i32[0], m->config->start_id);
  append_rows (session, source->i32, source->n, m->rows, logits, TRUE);
  append (session, ids->i32 + 1, ids->n - 1, logits + m->config->text.vocab_size, TRUE);
  fail_unless_equals_int (gemma_lm_session_get_length (session), source->n + ids->n - 1);
  check_states (m, size, m->config->encoder.n_layers, states, TRUE, source->n);
}

void
golden_check_states_of (const Model *m, GemmaLmSession *session, const gchar *size, gint n_layers)
{
  g_autoptr (Npy) ids = golden (size, "ids", NPY_I32);
  g_autoptr (GHashTable) states =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref);
  g_autofree gfloat *logits = g_new0 (gfloat, ids->n * m->config->text.vocab_size);
  gemma_lm_session_set_observer (session, collect, states);
  run (m, session, size, ids, logits, states);
  check_states (m, size, n_layers, states, FALSE, ids->n);
  check_logits (m, size, logits);
}

void
golden_check_states (const gchar *size, gint chunk)
{
  const Model *m = model_get (size);
  GemmaLmSession *session = session_new (m, 0, chunk, 0);
  golden_check_states_of (m, session, size, m->config->text.n_layers);
  gemma_lm_session_free (session);
}

void
golden_check_greedy_of (const Model *m, GemmaLmSession *session, const gchar *size)
{
  g_autoptr (Npy) ids = golden (size, m->config->encoder.n_layers ? "source" : "ids", NPY_I32);
  g_autoptr (Npy) expected = golden (size, "greedy", NPY_I32);
  g_autoptr (Npy) margins = golden (size, "margins", NPY_F32);
  g_autofree gfloat *logits = g_new (gfloat, m->config->text.vocab_size);
  g_autofree gint32 *got = g_new (gint32, expected->n);
  append_rows (session, ids->i32, m->rows ? (gint) ids->n : PROMPT, m->rows, logits, FALSE);
  decode (m, session, logits, got, expected->n);
  fail_unless_equals_int (expected->n, 64);
  for (gsize i = 0; i < expected->n && (got[i] == expected->i32[i] || margins->f32[i] >= CLOSE_CALL); i++)
    fail_unless (got[i] == expected->i32[i], "%s: greedy id %d is %d, not %d (margin %g)", size, (gint) i, got[i],
        expected->i32[i], margins->f32[i]);
}

void
golden_check_greedy (const gchar *size)
{
  const Model *m = model_get (size);
  GemmaLmSession *session = session_new (m, 0, 0, 0);
  golden_check_greedy_of (m, session, size);
  gemma_lm_session_free (session);
}
