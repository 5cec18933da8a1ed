#include "fixture.h"
#include "tests/relative-error.h"


static GHashTable *models;

static gchar *
golden_path (const gchar *size, const gchar *name)
{
  return g_build_filename (GOLDEN_DIR, GOLDEN_AREA, size, name, NULL);
}

Model *
model_new (const gchar *size, GemmaWeights *weights)
{
  g_autoptr (GError) error = NULL;
  Model *m = g_new0 (Model, 1);
  m->size = g_strdup (size);
  m->weights = weights;
  m->config = gemma_config_new (weights, NULL, &error);
  if (m->config)
    m->device = ocl_device_open (g_getenv ("GEMMA_TEST_DEVICE"), &error);
  if (m->device)
    m->lm = gemma_lm_load (m->weights, m->config, m->device, NULL, NULL, &error);
  fail_unless (m->lm != NULL, "%s", error ? error->message : "no error");
  return m;
}

void
model_free (Model *m)
{
  gemma_lm_free (m->lm);
  ocl_device_unref (m->device);
  gemma_config_free (m->config);
  gemma_weights_unref (m->weights);
  g_free (m->size);
  g_free (m->rows);
  g_free (m);
}

void
models_free (void)
{
  g_clear_pointer (&models, g_hash_table_unref);
}

/* A file that not every size has. */
static void
copy_golden (const gchar *size, const gchar *name, const gchar *dir)
{
  g_autofree gchar *from = golden_path (size, name), *to = g_build_filename (dir, name, NULL), *text = NULL;
  gsize length;
  if (g_file_get_contents (from, &text, &length, NULL))
    fail_unless (g_file_set_contents (to, text, length, NULL));
}

const Model *
model_get (const gchar *size)
{
  if (!models)
    models = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) model_free);
  Model *m = g_hash_table_lookup (models, size);
  if (m)
    return m;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *config = golden_path (size, "config.json"), *list = golden_path (size, "tensors.txt");
  gchar *dir = seeded_write_hf (config, list, SEED, g_str_equal (size, "e2b") ? OCL_TYPE_BF16 : OCL_TYPE_F32);
  copy_golden (size, "preprocessor_config.json", dir);
  GemmaWeights *weights = gemma_weights_open_hf (dir, &error);
  fail_unless (weights != NULL, "%s", error ? error->message : "no error");
  m = model_new (size, weights);
  seeded_remove (dir); /* the mapping stays */
  g_hash_table_insert (models, m->size, m);
  return m;
}

Npy *
golden (const gchar *size, const gchar *name, NpyType type)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *file = g_strconcat (name, ".npy", NULL), *path = golden_path (size, file);
  Npy *npy = npy_read (path, &error);
  fail_unless (npy && npy->type == type, "%s: %s", path, error ? error->message : "another type");
  return npy;
}

GemmaLmSession *
session_new (const Model *model, gint context, gint chunk, gint rollback)
{
  g_autoptr (GError) error = NULL;
  GemmaLmSessionParams params = { context, chunk, rollback, OCL_MATMUL_F32_ACTIVATIONS };
  GemmaLmSession *session = gemma_lm_session_new (model->lm, &params, &error);
  fail_unless (session != NULL, "%s", error ? error->message : "no error");
  return session;
}

void
append_rows (GemmaLmSession *session, const gint32 *ids, gint n, const gfloat *rows, gfloat *logits, gboolean all)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = gemma_lm_session_append (session, ids, n, rows, logits, all, NULL, &error);
  fail_unless (ok, "%s", error ? error->message : "no error");
}

void
append (GemmaLmSession *session, const gint32 *ids, gint n, gfloat *logits, gboolean all)
{
  append_rows (session, ids, n, NULL, logits, all);
}

gfloat *
logits_after (const Model *model, const gint32 *ids, gint n, gint chunk)
{
  gfloat *logits = g_new0 (gfloat, model->config->text.vocab_size);
  GemmaLmSession *session = session_new (model, 0, chunk, 0);
  append (session, ids, n, logits, FALSE);
  gemma_lm_session_free (session);
  return logits;
}

gint32
best_id (const Model *model, const gfloat *logits)
{
  gint32 best = 0;
  for (gint i = 1; i < model->config->text.first_soft_id; i++) {
    if (logits[i] > logits[best])
      best = i;
  }
  return best;
}

void
decode (const Model *model, GemmaLmSession *session, gfloat *logits, gint32 *ids, gint n)
{
  for (gint i = 0; i < n; i++) {
    ids[i] = best_id (model, logits);
    append (session, &ids[i], 1, logits, FALSE);
  }
}

void
check_close (const gchar *what, const gfloat *got, const gfloat *expected, gsize n, gdouble limit)
{
  gdouble error = relative_error (got, expected, n);
  fail_unless (error <= limit, "%s: relative error %g, allowed %g", what, error, limit); /* NaN fails */
}
