/* gemma-eval as its users run it: what it writes, and what it says of bad options. */
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "small-model.h"
#include "tests/gemma-eval.h"
#include "tests/relative-error.h"
#include "tests/usm/usm-util.h"

static gchar *directory, *out, *wav;

/* float32 mono at 16 kHz, the golden clip (which goes beyond 1). */
static void
write_wav (const gchar *path)
{
  g_autofree gfloat *samples = usm_signal (CLIP);
  g_autoptr (GByteArray) file = g_byte_array_new ();
  const guint32 header[] = { 0x46464952, 36 + 4 * CLIP, 0x45564157, 0x20746d66, 16, 0x00010003, 16000, 64000, 0x00200004,
    0x61746164, 4 * CLIP };

  g_byte_array_append (file, (const guint8 *) header, sizeof header);
  g_byte_array_append (file, (const guint8 *) samples, 4 * CLIP);
  fail_unless (g_file_set_contents (path, (const gchar *) file->data, file->len, NULL));
}

static void
setup (void)
{
  directory = small_model_write ();
  out = g_dir_make_tmp ("gemma-test-XXXXXX", NULL);
  wav = g_build_filename (directory, "clip.wav", NULL);
  write_wav (wav);
}

static void
remove_results (void)
{
  g_autoptr (GDir) dir = g_dir_open (out, 0, NULL);
  const gchar *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (out, name, NULL);

    g_unlink (path);
  }
}

static void
teardown (void)
{
  remove_results ();
  g_rmdir (out);
  small_model_remove (directory);
  g_free (out);
  g_free (wav);
}

/* Its exit status, and stderr in @message. */
static gint
run (gchar **message, const gchar *first, ...)
{
  const gchar *arguments[16] = { first };
  va_list args;

  va_start (args, first);
  for (guint i = 0; arguments[i]; i++) {
    g_assert (i + 1 < G_N_ELEMENTS (arguments));
    arguments[i + 1] = va_arg (args, const gchar *);
  }
  va_end (args);
  return gemma_eval_run (message, arguments);
}

static Npy *
result (const gchar *name, NpyType type, guint n_dims)
{
  Npy *npy = gemma_eval_result (out, name);

  fail_unless (npy->type == type && npy->n_dims == n_dims);
  return npy;
}

static gboolean
exists (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (out, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

GST_START_TEST (test_prompt_with_clip)
{
  g_autoptr (Npy) expected_ids = small_model_golden ("clip-ids", NPY_I32), soft = small_model_golden ("clip-soft", NPY_F32);
  g_autoptr (Npy) last = small_model_golden ("clip-logits", NPY_F32);
  g_autoptr (Npy) ids = NULL, logits = NULL, tokens = NULL, generated = NULL;
  g_autofree gchar *message = NULL;
  gint status = run (&message, "--model", directory, "--audio", wav, "--prompt", TRANSCRIBE, "--generate", "6", "--out", out, NULL);

  fail_unless (status == 0, "%s", message);
  fail_unless_equals_string (message, "");
  ids = result ("ids.npy", NPY_I32, 1);
  logits = result ("logits.npy", NPY_F32, 2);
  tokens = result ("audio-tokens.npy", NPY_F32, 2);
  generated = result ("generated.npy", NPY_I32, 1);
  fail_unless (ids->n == expected_ids->n && memcmp (ids->i32, expected_ids->i32, 4 * ids->n) == 0);
  fail_unless (logits->dims[0] == (gint64) ids->n && logits->dims[1] == 4096);
  fail_unless (tokens->dims[0] == 188 && tokens->dims[1] == 64);
  fail_unless_equals_int (generated->n, 6);
  /* As in test-model.c. */
  fail_unless (relative_error (tokens->f32, soft->f32, soft->n) < 1e-4);
  fail_unless (relative_error (logits->f32 + (ids->n - last->dims[0]) * 4096, last->f32, last->n) < 1e-3);
}
GST_END_TEST;

GST_START_TEST (test_ids)
{
  g_autoptr (Npy) ids = NULL, logits = NULL;
  g_autofree gchar *message = NULL;

  fail_unless_equals_int (run (&message, "--model", directory, "--ids", "2, 10,300", "--out", out, NULL), 0);
  ids = result ("ids.npy", NPY_I32, 1);
  logits = result ("logits.npy", NPY_F32, 2);
  fail_unless (ids->n == 3 && ids->i32[0] == 2 && ids->i32[1] == 10 && ids->i32[2] == 300);
  fail_unless (logits->dims[0] == 3 && logits->dims[1] == 4096);
  fail_if (exists ("generated.npy") || exists ("audio-tokens.npy") || exists ("bench.json"));
}
GST_END_TEST;

/* Of every position, those of decoded tokens included, and of the clip's frames. */
GST_START_TEST (test_layers)
{
  g_autoptr (Npy) norm = NULL, first = NULL, block = NULL, tower = NULL, tokens = NULL;
  g_autofree gchar *message = NULL;
  gint status = run (&message, "--model", directory, "--ids", "2,10,300", "--generate", "3", "--audio", wav, "--layers", "--out", out,
      NULL);

  fail_unless (status == 0, "%s", message);
  first = result ("text.layer0.npy", NPY_F32, 2);
  norm = result ("text.norm.npy", NPY_F32, 2);
  block = result ("audio.block0.npy", NPY_F32, 2);
  tower = result ("audio.tower.npy", NPY_F32, 2);
  tokens = result ("audio-tokens.npy", NPY_F32, 2);
  fail_unless (first->dims[0] == 5 && first->dims[1] == tokens->dims[1]);
  fail_unless (norm->dims[0] == 5 && memcmp (norm->f32, first->f32, 4 * norm->n) != 0);
  fail_unless (tower->dims[0] > 0 && tower->dims[0] <= tokens->dims[0]);
  fail_unless (block->dims[0] > 4 * (tower->dims[0] - 1) && block->dims[1] == tower->dims[1]);
}
GST_END_TEST;

#define IDS "2,10,300,77,1234,9,3000,512"

/* Logits after IDS, with one more option. */
static Npy *
logits_with (const gchar *option, const gchar *value)
{
  g_autofree gchar *message = NULL;
  gint status = run (&message, "--model", directory, "--ids", IDS, "--out", out, option, value, NULL);

  fail_unless (status == 0, "%s", message);
  return result ("logits.npy", NPY_F32, 2);
}

/* Those of a session that runs this part of the model. */
static gfloat *
logits_of_part (const gchar *table, gsize n)
{
  static const gint32 ids[] = { 2, 10, 300, 77, 1234, 9, 3000, 512 };
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  GemmaLm *lm = gemma_model_get_lm (model);
  GemmaLmSubmodel *part = gemma_lm_submodel_new (lm, table, NULL);
  GemmaLmSessionParams params = { .context_size = 64 };
  GemmaLmSession *session = gemma_lm_session_new (lm, &params, NULL);
  gfloat *logits = g_new (gfloat, n);

  fail_unless (gemma_lm_session_set_submodel (session, part));
  fail_unless (gemma_lm_session_append (session, ids, G_N_ELEMENTS (ids), NULL, logits, TRUE, NULL, NULL));
  gemma_lm_session_free (session);
  gemma_lm_submodel_free (part);
  gemma_model_unref (model);
  return logits;
}

GST_START_TEST (test_submodel)
{
  g_autofree gchar *table = g_build_filename (directory, "part.txt", NULL);
  g_autoptr (Npy) whole = logits_with (NULL, NULL), part = NULL;
  g_autofree gfloat *expected = NULL;

  fail_unless (g_file_set_contents (table, "0 32\n", -1, NULL));
  part = logits_with ("--submodel", table);
  expected = logits_of_part (table, part->n);
  fail_unless (relative_error (part->f32, expected, part->n) < 1e-5);
  fail_unless (relative_error (part->f32, whole->f32, part->n) > 1e-3);
}
GST_END_TEST;

/* 8 bits round a weight to 1/254 of its block's largest, about a hundredth of its own size; as much of the logits is a
 * generous limit after three layers, and 4 bits are some 16 times as coarse. What the first start kept gives the same. */
GST_START_TEST (test_weights)
{
  g_autoptr (Npy) exact = logits_with ("--weights", "f32"), q4 = logits_with ("--weights", "q4_0");
  g_autoptr (Npy) first = logits_with ("--weights", "q8_0"), second = logits_with ("--weights", "q8_0");
  gdouble fine = relative_error (first->f32, exact->f32, exact->n), coarse = relative_error (q4->f32, exact->f32, exact->n);

  fail_unless (fine > 1e-4 && fine < .02, "8 bits: %g", fine);
  fail_unless (coarse > fine && coarse < .3, "4 bits: %g, 8 bits: %g", coarse, fine);
  fail_unless (memcmp (first->f32, second->f32, 4 * first->n) == 0);
}
GST_END_TEST;

GST_START_TEST (test_audio_only)
{
  g_autofree gchar *message = NULL;
  g_autoptr (Npy) tokens = NULL;

  fail_unless_equals_int (run (&message, "--model", directory, "--audio", wav, "--out", out, NULL), 0);
  tokens = result ("audio-tokens.npy", NPY_F32, 2);
  fail_unless_equals_int (tokens->dims[0], 188);
  fail_if (exists ("ids.npy") || exists ("logits.npy"));
}
GST_END_TEST;

GST_START_TEST (test_bench)
{
  static const gchar *const positive[] = { "prefill_tokens_per_second", "decode_tokens_per_second", "audio_encoder_seconds",
    "first_token_seconds", "first_token_positions", "load_seconds", "device_bytes", "resident_bytes", "page_cache_bytes", "mapped_bytes", "peak_resident_bytes" };
  g_autofree gchar *message = NULL, *path = g_build_filename (out, "bench.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *o;

  fail_unless_equals_int (run (&message, "--model", directory, "--audio", wav, "--prompt", "Hi", "--bench",
          "--bench-prefill", "20", "--bench-decode", "4", "--out", out, NULL), 0);
  fail_unless (json_parser_load_from_file (parser, path, NULL));
  o = json_node_get_object (json_parser_get_root (parser));
  for (guint i = 0; i < G_N_ELEMENTS (positive); i++)
    fail_unless (json_object_has_member (o, positive[i]) && json_object_get_double_member (o, positive[i]) > 0., "%s", positive[i]);
  fail_unless (json_object_get_null_member (o, "image_encoder_seconds"));
  fail_unless (json_object_get_int_member (o, "peak_resident_bytes") >= json_object_get_int_member (o, "resident_bytes"));
}
GST_END_TEST;

GST_START_TEST (test_bad_options)
{
  const struct
  {
    const gchar *args[6], *message;
  } rows[] = {
    {{NULL}, "--model is missing"},
    {{"--model", directory}, "--out is missing"},
    {{"--model", directory, "--out", out}, "nothing to do"},
    {{"--model", directory, "--out", out, "--nonsense"}, "--nonsense"},
    {{"--model", directory, "--out", out, "more"}, "\"more\" is no option"},
    {{"--model", directory, "--out", out, "--ids", "2,x"}, "\"x\" is no token id"},
    {{"--model", directory, "--out", out, "--ids", ""}, "--ids is empty"},
    {{"--model", directory, "--out", out, "--ids", "2,99999"}, "token id 99999; allowed are 0 to 4095"},
    {{"--model", directory, "--out", out, "--ids", "2,-1"}, "\"-1\" is no token id"},
    {{"--model", directory, "--out", out, "--audio", "/nonexistent.wav"}, "/nonexistent.wav: no such file"},
    {{"--model", directory, "--out", out, "--image", "/nonexistent.png"}, "/nonexistent.png: No such file"},
    {{"--model", directory, "--out", out, "--image", wav}, "clip.wav: cannot be read as PNG"},
    {{"--model", directory, "--out", out, "--resolution", "300"}, "--resolution is 300; allowed are 256, 512 and 768"},
    {{"--model", directory, "--out", out, "--generate", "4"}, "nothing to do"},
    {{"--model", "/nonexistent", "--out", out, "--ids", "2"}, "/nonexistent: no such file or directory"},
    {{"--model", wav, "--out", out, "--ids", "2"}, "clip.wav"},
    {{"--model", directory, "--out", "/proc/x/y", "--ids", "2"}, "/proc/x/y"},
    {{"--model", directory, "--out", out, "--layers", "--bench"}, "--layers and --bench exclude each other"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const gchar *const *a = rows[i].args;
    g_autofree gchar *message = NULL;
    gint status = run (&message, a[0], a[1], a[2], a[3], a[4], a[5], NULL);

    fail_unless (status == 1, "row %u: exit status %d", i, status);
    fail_unless (g_str_has_prefix (message, "gemma-eval: ") && strstr (message, rows[i].message), "row %u: %s", i, message);
  }
  fail_if (exists ("ids.npy"));
}
GST_END_TEST;

static Suite *
gemma_eval_suite (void)
{
  Suite *s = suite_create ("gemma_eval");
  TCase *tc = tcase_create ("command");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 200);
  tcase_add_unchecked_fixture (tc, setup, teardown);
  tcase_add_checked_fixture (tc, NULL, remove_results);
  tcase_add_test (tc, test_prompt_with_clip);
  tcase_add_test (tc, test_ids);
  tcase_add_test (tc, test_layers);
  tcase_add_test (tc, test_submodel);
  tcase_add_test (tc, test_weights);
  tcase_add_test (tc, test_audio_only);
  tcase_add_test (tc, test_bench);
  tcase_add_test (tc, test_bad_options);
  return s;
}

GST_CHECK_MAIN (gemma_eval);
