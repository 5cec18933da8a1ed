/* Gemma 3 and T5Gemma 2 with pictures against transformers in float32 (tests/golden/siglip.py): SigLIP's layers and
 * soft tokens, the language models' states, logits and greedy ids; from Hugging Face directories and from GGUF. */
#include <glib/gstdio.h>
#include <string.h>

#include "fixture.h"
#include "models/model.h"
#include "tests/gemma3n/gguf-writer.h"
#include "tests/relative-error.h"

GST_START_TEST (test_every_layer_of_the_tower)
{
  const Model *m = model_get (siglip_size (__i__));
  const VisionVariant *variant = &siglip_variants[__i__];
  g_autoptr (GString) worst = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  GemmaVision *vision = siglip_vision_new (m, OCL_MATMUL_F32_ACTIVATIONS);
  GemmaVisionSession *session = gemma_vision_session_new (vision, &error);
  gdouble off;
  g_assert_no_error (error);
  fail_unless_equals_int (gemma_vision_get_resolution (vision, 256), variant->resolutions[0]);
  off = vision_compare (session, variant, variant->resolutions[0], worst);
  g_print ("%s: worst relative error %.2g, %s\n", variant->name, off, worst->str);
  fail_unless (off < GOLDEN_LIMIT, "%s, %s: relative error %g", variant->name, worst->str, off);
  gemma_vision_session_free (session);
  gemma_vision_free (vision);
}

GST_END_TEST;

/* A video frame takes the same way, and other sizes than its own are refused. */
GST_START_TEST (test_bytes_and_bad_resolutions)
{
  const Model *m = model_get (siglip_size (__i__));
  gint resolution = siglip_variants[__i__].resolutions[0], n = 3 * resolution * resolution;
  gsize n_rows = (gsize) GEMMA_VISION_TOKENS * m->config->text.hidden;
  g_autofree guint8 *bytes = g_malloc (n);
  g_autofree gfloat *pixels = g_new (gfloat, n), *rows = g_new (gfloat, n_rows), *expected = g_new (gfloat, n_rows);
  OclPicture picture = { OCL_PICTURE_RGB, resolution, resolution, { bytes }, { 3 * resolution } };
  g_autoptr (GError) error = NULL;
  GemmaVision *vision = siglip_vision_new (m, OCL_MATMUL_F32_ACTIVATIONS);
  GemmaVisionSession *session = gemma_vision_session_new (vision, &error);
  g_assert_no_error (error);
  for (gint i = 0; i < n; i++)
    pixels[i] = (bytes[i] = i * 7 + i / 768 * 3) / 255.f;
  fail_unless (gemma_vision_session_encode (session, &picture, resolution, rows, NULL, &error));
  fail_unless (gemma_vision_session_encode_pixels (session, pixels, resolution, expected, NULL, &error));
  check_close ("rows of bytes", rows, expected, n_rows, 1e-5); /* 1/255 may be rounded before or after */
  fail_if (gemma_vision_session_encode (session, &picture, 256, rows, NULL, &error));
  g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID);
  gemma_vision_session_free (session);
  gemma_vision_free (vision);
}

GST_END_TEST;

/* What is promised of OCL_MATMUL_INT16. */
GST_START_TEST (test_int16_is_near_exact)
{
  const Model *m = siglip_model_get (__i__);
  gsize n = (gsize) siglip_n_pictures (__i__) * GEMMA_VISION_TOKENS * m->config->text.hidden;
  g_autofree gfloat *rows = siglip_rows (m, __i__, OCL_MATMUL_INT16);
  gdouble off = relative_error (rows, m->rows, n);

  GST_INFO ("%s: relative error %.2g", siglip_size (__i__), off);
  fail_unless (off < 1e-3, "%s: relative error %g", siglip_size (__i__), off);
}

GST_END_TEST;

/* In chunks of a picture each, of which words take none along; and all at once. */
GST_START_TEST (test_states)
{
  const Model *m = siglip_model_get (__i__);
  for (gint chunk = 7; chunk <= 1024; chunk += 1017) {
    GemmaLmSession *session = session_new (m, 0, chunk, 0);
    golden_check_states_of (m, session, siglip_size (__i__), m->config->text.n_layers);
    gemma_lm_session_free (session);
  }
}

GST_END_TEST;

/* Logits of the last position only: the last layer computes no more. */
GST_START_TEST (test_greedy)
{
  const Model *m = siglip_model_get (__i__);
  GemmaLmSession *session = session_new (m, 0, 0, 0);
  golden_check_greedy_of (m, session, siglip_size (__i__));
  gemma_lm_session_free (session);
}

GST_END_TEST;

GST_START_TEST (test_refused)
{
  const Model *m = siglip_model_get (SIGLIP_GEMMA3);
  gint n = GEMMA_VISION_TOKENS + 1;
  g_autofree gint32 *ids = g_new (gint32, n);
  g_autofree gfloat *rows = g_new0 (gfloat, (gsize) n * m->config->text.hidden);
  g_autoptr (GError) error = NULL;
  GemmaLmSession *session = session_new (m, 0, 0, 0);
  for (gint i = 0; i < n; i++)
    ids[i] = m->config->image_token_id;
  fail_if (gemma_lm_session_append (session, ids, n, rows, NULL, FALSE, NULL, &error));
  g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG);
  g_clear_error (&error);
  fail_if (gemma_lm_session_append (session, ids, n - 1, NULL, NULL, FALSE, NULL, &error));
  g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID);
  append_rows (session, ids, n - 1, rows, NULL, FALSE);
  gemma_lm_session_free (session);
}

GST_END_TEST;

/* The same weights in the formats of llama.cpp (with an mmproj) and of our own. */
GST_START_TEST (test_gguf)
{
  const Model *source = siglip_model_get (__i__);
  g_autofree gchar *dir = g_dir_make_tmp ("gemma-test-XXXXXX", NULL);
  g_autofree gchar *text = g_build_filename (dir, "text.gguf", NULL), *mmproj = g_build_filename (dir, "mmproj.gguf", NULL);
  g_autoptr (GError) error = NULL;
  gsize n = (gsize) siglip_n_pictures (__i__) * GEMMA_VISION_TOKENS * source->config->text.hidden;
  gguf_write_text (text, source->weights, source->config, OCL_TYPE_F32, FALSE);
  if (__i__ == SIGLIP_GEMMA3)
    gguf_write_mmproj (mmproj, source->weights, source->config);
  GemmaModel *whole = gemma_model_load (text, NULL, source->device, GEMMA_PART_TEXT | GEMMA_PART_VISION, NULL, NULL, NULL,
      &error);
  g_assert_no_error (error);
  g_remove (text);
  g_remove (mmproj);
  g_rmdir (dir);

  Model m = { .config = (GemmaConfig *) gemma_model_get_config (whole), .lm = gemma_model_get_lm (whole) };
  const GemmaTextConfig *a = &m.config->text, *b = &source->config->text;
  fail_unless (a->first_soft_id == b->first_soft_id && a->lone_soft_id == b->lone_soft_id && a->soft_run == b->soft_run);
  fail_unless (m.config->boi_id == source->config->boi_id && m.config->eoi_id == source->config->eoi_id
      && m.config->image_token_id == source->config->image_token_id);
  fail_unless (memcmp (&m.config->siglip, &source->config->siglip, sizeof m.config->siglip) == 0);
  GemmaVisionSession *session = gemma_vision_session_new (gemma_model_get_vision (whole), &error);
  g_autofree gfloat *pixels = vision_pixels (source->config->siglip.image_size);
  g_autofree gfloat *rows = g_memdup2 (source->rows, n * sizeof (gfloat));
  fail_unless (gemma_vision_session_encode_pixels (
      session, pixels, source->config->siglip.image_size, rows, NULL, &error));
  check_close ("rows", rows, source->rows, n, 0.);
  gemma_vision_session_free (session);
  m.rows = rows;
  GemmaLmSession *lm = session_new (&m, 0, 0, 0);
  golden_check_greedy_of (&m, lm, siglip_size (__i__));
  gemma_lm_session_free (lm);
  gemma_model_unref (whole);
}

GST_END_TEST;

/* Of Gemma 3's files, in which @from stands for what @to makes wrong. */
static const struct
{
  const gchar *file, *from, *to, *message;
} bad[] = {
  { "config.json", "\"image_size\": 448", "\"image_size\": 450", "multiple of 224" },
  { "config.json", "\"image_size\": 448", "\"image_size\": 672", "position_embedding" },
  { "config.json", "\"image_size\": 448", "\"image_size\": 0", "vision_config.image_size" },
  { "config.json", "\"patch_size\": 14", "\"patch_size\": 65", "vision_config.patch_size" },
  { "config.json", "\"num_attention_heads\": 5", "\"num_attention_heads\": 7", "7 heads" },
  { "config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", "claims 4 layers" },
  { "config.json", "\"hidden_size\": 60", "\"hidden_size\": 65", "patch_embedding" },
  { "config.json", "\"mm_tokens_per_image\": 256", "\"mm_tokens_per_image\": 64", "mm_tokens_per_image" },
  { "preprocessor_config.json", "\"resample\": 2", "\"resample\": 3", "resample" },
  { "preprocessor_config.json", "\"do_normalize\": true", "\"do_normalize\": false", "do_normalize" },
  { "preprocessor_config.json", "\"image_mean\": [0.5, ", "\"image_mean\": [", "image_mean has 2 values" },
  { "preprocessor_config.json", "\"image_std\": [0.5", "\"image_std\": [0", "image_std[0] is 0" },
};

static gchar *
read_golden (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (GOLDEN_DIR, GOLDEN_AREA, "gemma3", name, NULL);
  gchar *text = NULL;
  fail_unless (g_file_get_contents (path, &text, NULL, NULL), "%s", path);
  return text;
}

static void
write_golden (const gchar *dir, const gchar *name, const gchar *from, const gchar *to)
{
  g_autofree gchar *path = g_build_filename (dir, name, NULL), *text = read_golden (name);
  g_autoptr (GString) changed = g_string_new (text);
  if (from)
    fail_unless_equals_int (g_string_replace (changed, from, to, 1), 1);
  fail_unless (g_file_set_contents (path, changed->str, -1, NULL));
}

GST_START_TEST (test_bad_files)
{
  g_autofree gchar *config = g_build_filename (GOLDEN_DIR, GOLDEN_AREA, "gemma3", "config.json", NULL);
  g_autofree gchar *list = g_build_filename (GOLDEN_DIR, GOLDEN_AREA, "gemma3", "tensors.txt", NULL);
  gchar *dir = seeded_write_hf (config, list, SEED, OCL_TYPE_F32);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    write_golden (dir, "config.json", NULL, NULL);
    write_golden (dir, "preprocessor_config.json", NULL, NULL);
    write_golden (dir, bad[i].file, bad[i].from, bad[i].to);
    fail_unless (gemma_model_probe (dir, NULL, GEMMA_PART_VISION, &error) == NULL, "%s", bad[i].to);
    fail_unless (strstr (error->message, bad[i].message), "%s: %s", bad[i].to, error->message);
  }
  seeded_remove (dir);
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("siglip_golden");
  TCase *tc = tcase_create ("golden");
  tcase_set_timeout (tc, 300);
  tcase_add_loop_test (tc, test_every_layer_of_the_tower, 0, SIGLIP_N);
  tcase_add_loop_test (tc, test_bytes_and_bad_resolutions, 0, SIGLIP_N);
  tcase_add_loop_test (tc, test_int16_is_near_exact, 0, SIGLIP_N);
  tcase_add_loop_test (tc, test_states, 0, SIGLIP_N);
  tcase_add_loop_test (tc, test_greedy, 0, SIGLIP_N);
  tcase_add_test (tc, test_refused);
  tcase_add_loop_test (tc, test_gguf, 0, SIGLIP_N);
  tcase_add_test (tc, test_bad_files);
  suite_add_tcase (suite, tc);
  int failed = gst_check_run_suite (suite, "siglip_golden", __FILE__);
  models_free ();
  return failed;
}
