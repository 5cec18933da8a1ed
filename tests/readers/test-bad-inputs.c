/* Every bad model file is one error that names the file and what is wrong in it. */
#include <gst/check/gstcheck.h>

#include "bad.h"
#include "models/weights-private.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a reader may have beyond the size of a file: its own small state and the C library's arenas. */
#define ROOM ((rlim_t) 64 << 20)

/* ---- what every case expects ---------------------------------------------------- */

/* Whatever a file claims, nothing larger than the file is allocated: more would fail and end the test. */
static void
limit_memory (gsize file_size)
{
  struct rlimit limit;
  glong pages = 0;
  FILE *statm = fopen ("/proc/self/statm", "r");

  g_assert (statm && fscanf (statm, "%ld", &pages) == 1);
  fclose (statm);
  getrlimit (RLIMIT_AS, &limit);
  limit.rlim_cur = (rlim_t) pages * sysconf (_SC_PAGESIZE) + 4 * (rlim_t) file_size + ROOM;
#ifndef __SANITIZE_ADDRESS__    /* which reserves terabytes */
  setrlimit (RLIMIT_AS, &limit);
#endif
}

static void
unlimit_memory (void)
{
  struct rlimit limit;

  getrlimit (RLIMIT_AS, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit (RLIMIT_AS, &limit);
}

static void
check_error (gboolean ok, const GError *error, gint row, const gchar *what, GemmaError code, const gchar *file,
    const gchar *names)
{
  fail_if (ok, "%d, %s: accepted", row, what);
  fail_unless (error != NULL, "%d, %s: fails without an error", row, what);
  fail_unless (error->domain == GEMMA_ERROR, "%d, %s: error of another domain: %s", row, what, error->message);
  fail_unless (error->code == (gint) code, "%d, %s: code %d, expected %d: %s", row, what, error->code, code,
      error->message);
  fail_unless (strstr (error->message, file) != NULL, "%d, %s: does not name %s: %s", row, what, file, error->message);
  fail_unless (strstr (error->message, names) != NULL, "%d, %s: does not name %s: %s", row, what, names,
      error->message);
  GST_INFO ("%d, %s: %s", row, what, error->message);
}

static gboolean
load (GemmaWeights *text, GemmaWeights *mmproj, GError **error)
{
  GemmaConfig *config = text && mmproj ? gemma_config_new (text, mmproj, error) : NULL;
  gboolean ok = config && fixture_find_all (text, mmproj, error) && fixture_use_all (text, error)
      && fixture_use_all (mmproj, error);

  gemma_config_free (config);
  return ok;
}

/* ---- GGUF ----------------------------------------------------------------------- */

GST_START_TEST (test_bad_gguf)
{
  const BadGguf *bad = &bad_ggufs[__i__];
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) bytes = bad_gguf_bytes (bad), good = NULL;
  Image *other = bad->mmproj ? fixture_text () : fixture_mmproj ();
  gchar *directory = fixture_directory ();
  g_autofree gchar *path = fixture_write (directory, "model.gguf", bytes->data, bytes->len);
  GemmaWeights *opened, *rest;
  gboolean ok;

  good = image_bytes (other);
  image_free (other);
  rest = gemma_weights_open_gguf_data (good->data, good->len, &error);
  g_assert_no_error (error);
  limit_memory (bytes->len);
  opened = gemma_weights_open_gguf (path, &error);
  ok = opened && load (bad->mmproj ? rest : opened, bad->mmproj ? opened : rest, &error);
  unlimit_memory ();
  check_error (ok, error, bad->row, bad->what, bad->code, path, bad->names);
  gemma_weights_unref (opened);
  gemma_weights_unref (rest);
  fixture_remove (directory);
}
GST_END_TEST;

GST_START_TEST (test_good_gguf_loads)
{
  g_autoptr (GError) error = NULL;
  Image *images[2] = { fixture_text (), fixture_mmproj () };
  g_autoptr (GByteArray) text_bytes = image_bytes (images[0]), mmproj_bytes = image_bytes (images[1]);
  GemmaWeights *text = gemma_weights_open_gguf_data (text_bytes->data, text_bytes->len, &error);
  GemmaWeights *mmproj = gemma_weights_open_gguf_data (mmproj_bytes->data, mmproj_bytes->len, &error);
  gboolean ok = load (text, mmproj, &error);

  g_assert_no_error (error);
  fail_unless (ok);
  gemma_weights_unref (text);
  gemma_weights_unref (mmproj);
  image_free (images[0]);
  image_free (images[1]);
}
GST_END_TEST;

/* 23: no file cut anywhere is accepted, in its header byte by byte. */
GST_START_TEST (test_gguf_truncated_anywhere)
{
  Image *image = fixture_text ();
  g_autoptr (GByteArray) bytes = image_bytes (image);
  const gsize header = bytes->len - ((ImageTensor *) g_ptr_array_index (image->tensors,
          image->tensors->len - 1))->place;

  fail_unless (header < bytes->len);
  for (gsize n = 0; n < bytes->len; n += n < header ? 1 : 61) {
    g_autoptr (GError) error = NULL;
    g_autofree guint8 *copy = g_memdup2 (bytes->data, n);       /* its end is the end of the allocation */

    fail_if (gemma_weights_open_gguf_data (copy, n, &error) != NULL, "accepted with %zu bytes", n);
    fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_INVALID), "%zu bytes: %s", n,
        error ? error->message : "no error");
  }
  image_free (image);
}
GST_END_TEST;

/* 24: a file that is truncated while it is in use gives errors, not SIGBUS, on every way to its data. */
GST_START_TEST (test_truncated_after_mapping)
{
  g_autoptr (GError) error = NULL;
  Image *image = fixture_text ();
  g_autoptr (GByteArray) bytes = image_bytes (image);
  gchar *directory = fixture_directory ();
  g_autofree gchar *path = fixture_write (directory, "model.gguf", bytes->data, bytes->len);
  GemmaWeights *weights = gemma_weights_open_gguf (path, &error);
  const GemmaTensor *table;
  const gchar *token;
  gsize length;
  gfloat row[32];
  OclMatrix matrix;

  g_assert_no_error (error);
  table = gemma_weights_peek (weights, "per_layer_token_embd.weight");
  fail_unless (gemma_weights_read_row (weights, table, 63, row, &error));
  fail_unless (truncate (path, 16) == 0);

  fail_if (gemma_weights_read_row (weights, table, 63, row, &error));
  check_error (FALSE, error, 24, "row", GEMMA_ERROR_INVALID, path, "truncated");
  g_clear_error (&error);
  fail_if (gemma_weights_read_f32 (weights, "output_norm.weight", 1, 32, &error) != NULL);
  check_error (FALSE, error, 24, "values", GEMMA_ERROR_INVALID, path, "truncated");
  g_clear_error (&error);
  fail_if (gemma_weights_find_matrix (weights, "blk.0.attn_q.weight", 32, 32, &matrix, &error));
  check_error (FALSE, error, 24, "matrix", GEMMA_ERROR_INVALID, path, "truncated");
  g_clear_error (&error);
  fail_if (gemma_weights_check_scales (gemma_weights_peek (weights, "blk.0.attn_q.weight"), &error));
  check_error (FALSE, error, 24, "scales", GEMMA_ERROR_INVALID, path, "truncated");

  /* metadata is a copy */
  fail_unless_equals_string (gemma_weights_get_string (weights, "general.architecture", NULL), "gemma3n");
  fail_unless (gemma_weights_get_nth_string (weights, "tokenizer.ggml.tokens", 1, &token, &length));
  fail_unless (length == 5 && memcmp (token, "<eos>", 5) == 0);
  gemma_weights_unref (weights);
  image_free (image);
  fixture_remove (directory);
}
GST_END_TEST;

GST_START_TEST (test_missing_and_odd_files)
{
  g_autoptr (GError) error = NULL;
  gchar *directory = fixture_directory ();

  fail_if (gemma_weights_open_gguf ("/nonexistent/model.gguf", &error) != NULL);
  check_error (FALSE, error, 0, "no file", GEMMA_ERROR_NOT_FOUND, "/nonexistent/model.gguf", "opened");
  g_clear_error (&error);
  fail_if (gemma_weights_open_gguf (directory, &error) != NULL);
  check_error (FALSE, error, 0, "a directory", GEMMA_ERROR_INVALID, directory, "regular");
  g_clear_error (&error);
  fail_if (gemma_weights_open_gguf ("/dev/zero", &error) != NULL);
  check_error (FALSE, error, 0, "a device", GEMMA_ERROR_INVALID, "/dev/zero", "regular");
  g_clear_error (&error);
  g_autofree gchar *fifo = g_build_filename (directory, "fifo.gguf", NULL);
  fail_unless (mkfifo (fifo, 0600) == 0);
  fail_if (gemma_weights_open_gguf (fifo, &error) != NULL);     /* at once: nobody will ever write to it */
  check_error (FALSE, error, 0, "a FIFO", GEMMA_ERROR_INVALID, fifo, "regular");
  g_clear_error (&error);
  fail_if (gemma_weights_open_hf (directory, &error) != NULL);
  check_error (FALSE, error, 0, "an empty directory", GEMMA_ERROR_NOT_FOUND, directory, "model.safetensors");
  fixture_remove (directory);
}
GST_END_TEST;

/* ---- Hugging Face directories --------------------------------------------------- */

static gboolean
load_hf (const gchar *directory, GError **error)
{
  GemmaWeights *weights = gemma_weights_open_hf (directory, error);
  gboolean ok = weights && load (weights, weights, error);

  gemma_weights_unref (weights);
  return ok;
}

GST_START_TEST (test_bad_hf)
{
  const BadHf *bad = &bad_hfs[__i__];
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) bytes = bad_hf_bytes (bad);
  gchar *directory = fixture_directory ();
  gboolean ok;

  fixture_write_hf (directory);
  g_free (fixture_write (directory, bad->file, bytes->data, bytes->len));
  limit_memory (bytes->len);
  ok = load_hf (directory, &error);
  unlimit_memory ();
  check_error (ok, error, bad->row, bad->what, bad->code, directory, bad->names);
  fixture_remove (directory);
}
GST_END_TEST;

GST_START_TEST (test_good_hf_loads)
{
  g_autoptr (GError) error = NULL;
  gchar *directory = fixture_directory ();
  gboolean ok;

  fixture_write_hf (directory);
  ok = load_hf (directory, &error);
  g_assert_no_error (error);
  fail_unless (ok);
  fixture_remove (directory);
}
GST_END_TEST;

/* 42: the index of shards. */
static const struct
{
  const gchar *what, *from, *to;
  GemmaError code;
  const gchar *names;
} indexes[] = {
  { "names ../", "\"model-2.safetensors\"", "\"../model-2.safetensors\"", GEMMA_ERROR_INVALID,
        "../model-2.safetensors" },
  { "names a path", "\"model-2.safetensors\"", "\"/tmp/model-2.safetensors\"", GEMMA_ERROR_INVALID,
        "/tmp/model-2.safetensors" },
  { "names a hidden file", "\"model-2.safetensors\"", "\".safetensors\"", GEMMA_ERROR_INVALID, ".safetensors" },
  { "names another kind of file", "\"model-2.safetensors\"", "\"config.json\"", GEMMA_ERROR_INVALID, "config.json" },
  { "names nothing", "\"model-2.safetensors\"", "\"\"", GEMMA_ERROR_INVALID, "weight_map" },
  { "names a missing shard", "\"model-2.safetensors\"", "\"model-3.safetensors\"", GEMMA_ERROR_NOT_FOUND,
        "model-3.safetensors" },
  { "names a number", "\"model-2.safetensors\"", "2", GEMMA_ERROR_INVALID, "weight_map." },
  { "names the other shard", "\"model-2.safetensors\"", "\"model-1.safetensors\"", GEMMA_ERROR_INVALID,
        "altup_projections.1.weight" },
  { "a tensor that no shard has", "{\"model.language_model", "{\"x\": \"model-1.safetensors\", \"model.language_model",
        GEMMA_ERROR_NOT_FOUND, "tensor x" },
  { "no weight_map", "weight_map", "weight_maps", GEMMA_ERROR_INVALID, "weight_map" },
  { "weight_map a list", "\"weight_map\": {", "\"weight_map\": [], \"other\": {", GEMMA_ERROR_INVALID, "weight_map" },
  { "a tensor twice", "altup_projections.1", "altup_projections.0", GEMMA_ERROR_INVALID, "altup_projections.0" },
  { "text after the end", "}}\n", "}}x", GEMMA_ERROR_INVALID, "byte" },
};

static void
write_shards (const gchar *directory)
{
  for (guint i = 0; i < 2; i++) {
    g_autofree gchar *name = g_strdup_printf ("model-%u.safetensors", i + 1);
    g_autoptr (GByteArray) bytes = fixture_safetensors (i, 2);

    g_free (fixture_write (directory, name, bytes->data, bytes->len));
  }
  g_free (fixture_write (directory, "config.json", fixture_config (), strlen (fixture_config ())));
}

GST_START_TEST (test_bad_index)
{
  g_autoptr (GError) error = NULL;
  gchar *directory = fixture_directory ();
  GString *index;
  g_autofree gchar *good = fixture_index (2);
  gboolean ok;

  write_shards (directory);
  index = g_string_new (good);
  fail_unless (g_string_replace (index, indexes[__i__].from, indexes[__i__].to, 1) == 1);
  g_free (fixture_write (directory, "model.safetensors.index.json", index->str, index->len));
  ok = load_hf (directory, &error);
  check_error (ok, error, 42, indexes[__i__].what, indexes[__i__].code, directory, indexes[__i__].names);
  g_string_free (index, TRUE);
  fixture_remove (directory);
}
GST_END_TEST;

GST_START_TEST (test_good_index_loads)
{
  g_autoptr (GError) error = NULL;
  gchar *directory = fixture_directory ();
  g_autofree gchar *index = fixture_index (2);
  gboolean ok;

  write_shards (directory);
  g_free (fixture_write (directory, "model.safetensors.index.json", index, strlen (index)));
  ok = load_hf (directory, &error);
  g_assert_no_error (error);
  fail_unless (ok);
  fixture_remove (directory);
}
GST_END_TEST;

static Suite *
readers_bad_inputs_suite (void)
{
  Suite *suite = suite_create ("readers_bad_inputs");
  TCase *tcase = tcase_create ("gguf");

  suite_add_tcase (suite, tcase);
  tcase_add_test (tcase, test_good_gguf_loads);
  tcase_add_loop_test (tcase, test_bad_gguf, 0, n_bad_ggufs);
  tcase_add_test (tcase, test_gguf_truncated_anywhere);
  tcase_add_test (tcase, test_truncated_after_mapping);
  tcase_add_test (tcase, test_missing_and_odd_files);
  tcase = tcase_create ("hf");
  suite_add_tcase (suite, tcase);
  tcase_add_test (tcase, test_good_hf_loads);
  tcase_add_loop_test (tcase, test_bad_hf, 0, n_bad_hfs);
  tcase_add_test (tcase, test_good_index_loads);
  tcase_add_loop_test (tcase, test_bad_index, 0, G_N_ELEMENTS (indexes));
  return suite;
}

GST_CHECK_MAIN (readers_bad_inputs);
