/* weights=q4_0 and its like: what is quantized, the file that keeps it, and what makes it anew. No kernels are needed:
 * the cache directory is the test's own, and the operations' references run. */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <utime.h>

#include "models/lm.h"
#include "models/weight-cache.h"
#include "models/weights-private.h"
#include "tests/seeded-weights.h"

#define SEED 3
#define SOURCE GOLDEN_DIR "/gemma3n/tiny/"
#define N 12

static gchar *directory, *cache;

static gchar *
source_file (void)
{
  return g_build_filename (directory, "model.safetensors", NULL);
}

/* The files of the cache; NULL if there is none. */
static gchar *
cache_file (guint *n)
{
  g_autoptr (GDir) dir = g_dir_open (cache, 0, NULL);
  const gchar *name;
  gchar *path = NULL;

  *n = 0;
  while (dir && (name = g_dir_read_name (dir))) {
    if (!g_str_has_prefix (name, "weights-"))
      continue;
    g_free (path);
    path = g_build_filename (cache, name, NULL);
    (*n)++;
  }
  return path;
}

static void
empty_cache (void)
{
  g_autoptr (GDir) dir = g_dir_open (cache, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (cache, name, NULL);
    g_unlink (path);
  }
}

static void
setup (void)
{
  directory = seeded_write_hf (SOURCE "config.json", SOURCE "tensors.txt", SEED, OCL_TYPE_BF16);
  cache = g_dir_make_tmp ("gemma-cache-XXXXXX", NULL);
  g_setenv ("GEMMA_CACHE_DIR", cache, TRUE);
}

static void
teardown (void)
{
  empty_cache ();
  g_rmdir (cache);
  g_clear_pointer (&cache, g_free);
  g_clear_pointer (&directory, seeded_remove);
}

static GemmaWeights *
open_as (const gchar *type, gboolean *made)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights = gemma_weights_open_hf (directory, &error);

  fail_unless (weights != NULL, "%s", error ? error->message : "no error");
  fail_unless (gemma_weights_requantize (weights, type, NULL, NULL, NULL, made, &error), "%s",
      error ? error->message : "no error");
  return weights;
}

/* Logits after N ids, of weights that it takes. */
static gfloat *
logits_of (GemmaWeights *weights, gsize *n)
{
  g_autoptr (GError) error = NULL;
  GemmaConfig *config = gemma_config_new (weights, NULL, &error);
  OclDevice *device = ocl_device_open (NULL, &error);
  GemmaLm *lm = config && device ? gemma_lm_load (weights, config, device, NULL, NULL, &error) : NULL;
  const GemmaLmSessionParams params = { .context_size = 64 };
  gint32 ids[N];
  gfloat *logits;

  fail_unless (lm != NULL, "%s", error ? error->message : "no error");
  *n = config->text.vocab_size;
  logits = g_new (gfloat, *n);
  for (gint i = 0; i < N; i++)
    ids[i] = 7 * i % 200 + 2;
  GemmaLmSession *session = gemma_lm_session_new (lm, &params, &error);
  fail_unless (session && gemma_lm_session_append (session, ids, N, NULL, logits, FALSE, NULL, &error), "%s",
      error ? error->message : "no error");
  gemma_lm_session_free (session);
  gemma_lm_free (lm);
  ocl_device_unref (device);
  gemma_config_free (config);
  gemma_weights_unref (weights);
  return logits;
}

static gfloat *
load (const gchar *type, gboolean *made)
{
  gsize n;

  return logits_of (open_as (type, made), &n);
}

static gdouble
difference (const gfloat *a, const gfloat *b)
{
  gdouble d = 0, norm = 0;

  for (guint i = 0; i < 256; i++) {
    d += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return d / norm;
}

/* Zeros in place of all weights; the header, size and time stay. */
static void
blank_source (void)
{
  g_autofree gchar *path = source_file (), *data = NULL;
  GStatBuf before;
  guint64 header;
  gsize size;

  fail_unless (g_stat (path, &before) == 0 && g_file_get_contents (path, &data, &size, NULL));
  memcpy (&header, data, sizeof header);
  FILE *file = fopen (path, "r+b");
  fseek (file, 8 + header, SEEK_SET);
  for (gsize i = 8 + header; i < size; i++)
    fputc (0, file);
  fclose (file);
  const struct timespec times[2] = { before.st_atim, before.st_mtim };
  fail_unless (utimensat (AT_FDCWD, path, times, 0) == 0);
}

GST_START_TEST (test_second_start)
{
  static const gchar *const names[] = { "q4_0", "q8_0" };
  gboolean made;
  guint n;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gfloat *first = load (names[i], &made);
    fail_unless (made);
    g_autofree gfloat *second = load (names[i], &made);
    fail_if (made);
    fail_unless (memcmp (first, second, 256 * sizeof *first) == 0);
  }
  g_autofree gchar *path = cache_file (&n);
  fail_unless_equals_int (n, 2);
  g_autofree gfloat *q8 = load ("q8_0", &made), *q4 = load ("q4_0", &made), *whole = load (NULL, &made);
  /* Rounding shows, in the order of its coarseness, and no more than that (observed: 1.6e-4 and 0.08). */
  fail_unless (difference (q8, whole) > 1e-8 && difference (q8, whole) < 2e-3, "Q8_0: %g", difference (q8, whole));
  fail_unless (difference (q4, whole) > difference (q8, whole) && difference (q4, whole) < 0.5, "Q4_0: %g",
      difference (q4, whole));

  blank_source ();
  g_autofree gfloat *blank = load ("q4_0", &made);
  fail_if (made, "the file does not count as the same");
  fail_unless (memcmp (blank, q4, 256 * sizeof *q4) == 0, "weights of the source were read");
}

GST_END_TEST;

/* What bf16 and f32 ask for is what is there. */
GST_START_TEST (test_nothing_to_do)
{
  static const gchar *const names[] = { NULL, "", "auto", "bf16", "F32" };
  gboolean made;
  guint n;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    gemma_weights_unref (open_as (names[i], &made));
    g_autofree gchar *path = cache_file (&n);
    fail_unless (!made && n == 0);
  }
}

GST_END_TEST;

/* Matrices are quantized, tables to 8 bits at least; what is sensitive stays. */
GST_START_TEST (test_types)
{
  static const struct
  {
    const gchar *name;
    OclType type;
  } rows[] = {
    { "blk.0.ffn_down.weight", OCL_TYPE_Q4_0 },
    { "blk.1.attn_q.weight", OCL_TYPE_Q4_0 },
    { "token_embd.weight", OCL_TYPE_Q8_0 },
    { "per_layer_token_embd.weight", OCL_TYPE_Q8_0 },
    { "blk.0.proj.weight", OCL_TYPE_BF16 },      /* rows of 16 values */
    { "blk.0.altup_router.weight", OCL_TYPE_BF16 },
    { "blk.0.laurel_l.weight", OCL_TYPE_BF16 },
    { "per_layer_model_proj.weight", OCL_TYPE_BF16 },
    { "altup_proj.0.weight", OCL_TYPE_BF16 },
    { "output_norm.weight", OCL_TYPE_BF16 },
  };
  gboolean made;
  GemmaWeights *weights = open_as ("Q4_0", &made);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const GemmaTensor *t = gemma_weights_peek (weights, rows[i].name);
    fail_unless (t && t->type == rows[i].type, "%s is of type %s", rows[i].name,
        t ? ocl_type_info (t->type)->name : "none");
  }
  gemma_weights_unref (weights);
}

GST_END_TEST;

static void
change_byte (gchar *data, gsize at)
{
  data[at] ^= 0x10;
}

/* Whatever happened to the file, it is made anew and the logits are those of the first time. */
GST_START_TEST (test_damaged)
{
  gboolean made;
  guint n;
  gsize size;
  g_autofree gfloat *expected = load ("q4_0", &made);
  g_autofree gchar *path = cache_file (&n), *data = NULL;

  fail_unless (g_file_get_contents (path, &data, &size, NULL));
  const struct
  {
    const gchar *what;
    gsize size, changed;
  } rows[] = {
    { "empty", 0, 0 },
    { "only a beginning", 100, 0 },
    { "one byte short", size - 1, 0 },
    { "half", size / 2, 0 },
    { "another magic", size, 1 },
    { "another sum", size, 60 },
    { "another number of tensors", size, 9 },
    { "a byte of the first tensor", size, size - 40000 },
    { "a byte in the middle", size, size / 2 },
    { "the last byte", size, size - 1 },
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree gchar *damaged = g_memdup2 (data, size);
    if (rows[i].changed)
      change_byte (damaged, rows[i].changed);
    fail_unless (g_file_set_contents (path, damaged, rows[i].size, NULL));
    g_autofree gfloat *logits = load ("q4_0", &made);
    fail_unless (made, "%s: taken as it is", rows[i].what);
    fail_unless (memcmp (logits, expected, 256 * sizeof *logits) == 0, "%s: other logits", rows[i].what);
    g_autofree gchar *only = cache_file (&n);
    fail_unless_equals_int (n, 1); /* nothing is left behind */
  }
}

GST_END_TEST;

/* The file of another type in its place, and a model that has changed. */
GST_START_TEST (test_foreign)
{
  gboolean made;
  guint n;
  struct utimbuf times = { 1000000000, 1000000000 };
  g_autofree gchar *source = source_file (), *other = NULL, *data = NULL;
  gsize size;

  gemma_weights_unref (open_as ("q8_0", &made));
  other = cache_file (&n);
  fail_unless (g_file_get_contents (other, &data, &size, NULL));
  g_autofree gfloat *expected = load ("q4_0", &made);
  g_autofree gchar *base = g_path_get_basename (other);
  memcpy (strstr (base, "q8_0"), "q4_0", 4);
  g_autofree gchar *path = g_build_filename (cache, base, NULL);
  fail_unless (g_file_test (path, G_FILE_TEST_EXISTS) && g_file_set_contents (path, data, size, NULL));
  g_autofree gfloat *again = load ("q4_0", &made);
  fail_unless (made && memcmp (again, expected, 256 * sizeof *again) == 0);

  fail_unless (utime (source, &times) == 0);
  gemma_weights_unref (open_as ("q4_0", &made));
  fail_unless (made, "the model was written anew, the file is that of the old one");
  gemma_weights_unref (open_as ("q4_0", &made));
  fail_if (made);
}

GST_END_TEST;

static void
on_progress (gdouble fraction, const gchar *what, gpointer data)
{
  GArray *all = data;

  fail_unless (strstr (what, "q4_0") != NULL);
  fail_unless (fraction > 0 && fraction <= 1 && (all->len == 0 || fraction >= g_array_index (all, gdouble, all->len - 1)));
  g_array_append_val (all, fraction);
}

GST_START_TEST (test_progress_and_cancelling)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (gdouble));
  GemmaWeights *weights = gemma_weights_open_hf (directory, &error);
  guint n;

  g_cancellable_cancel (cancellable);
  fail_if (gemma_weights_requantize (weights, "q4_0", cancellable, NULL, NULL, NULL, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED));
  g_clear_error (&error);
  g_autofree gchar *path = cache_file (&n);
  fail_unless_equals_int (n, 0);

  fail_unless (gemma_weights_requantize (weights, "q4_0", NULL, on_progress, all, NULL, &error));
  fail_unless (all->len > 10 && g_array_index (all, gdouble, all->len - 1) > 0.99);
  gemma_weights_unref (weights);
}

GST_END_TEST;

GST_START_TEST (test_bad_settings)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights = gemma_weights_open_hf (directory, &error);

  fail_if (gemma_weights_requantize (weights, "q5_1", NULL, NULL, NULL, NULL, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_SETTING) &&
      strstr (error->message, "\"q5_1\"; allowed are auto, q4_0, q8_0, bf16 and f32"), "%s", error->message);
  g_clear_error (&error);
  g_setenv ("GEMMA_CACHE_DIR", "/proc/nowhere", TRUE);
  fail_if (gemma_weights_requantize (weights, "q4_0", NULL, NULL, NULL, NULL, &error));
  fail_unless (strstr (error->message, "/proc/nowhere/weights-") && strstr (error->message, "cannot be written"), "%s",
      error->message);
  g_clear_error (&error);
  g_setenv ("GEMMA_CACHE_DIR", cache, TRUE);
  gemma_weights_unref (weights);

  weights = gemma_weights_open_gguf (DEFAULT_GGUF, &error);
  fail_unless (weights != NULL && gemma_weights_requantize (weights, "auto", NULL, NULL, NULL, NULL, &error));
  fail_if (gemma_weights_requantize (weights, "q4_0", NULL, NULL, NULL, NULL, &error));
  fail_unless (strstr (error->message, "has types of its own"), "%s", error->message);
  gemma_weights_unref (weights);
}

GST_END_TEST;

static Suite *
weights_suite (void)
{
  Suite *s = suite_create ("weights");
  TCase *tc = tcase_create ("cache");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 200);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_second_start);
  tcase_add_test (tc, test_nothing_to_do);
  tcase_add_test (tc, test_types);
  tcase_add_test (tc, test_damaged);
  tcase_add_test (tc, test_foreign);
  tcase_add_test (tc, test_progress_and_cancelling);
  tcase_add_test (tc, test_bad_settings);
  return s;
}

GST_CHECK_MAIN (weights);
