/* The picture encoder's file forms and types of weights, and files that are not as they should be. */
#include <gst/check/gstcheck.h>

#include "vision-model.h"

#include "models/weights-private.h"
#include "tests/relative-error.h"

#include <math.h>
#include <string.h>

static const VisionVariant *const tiny = &vision_variants[VISION_TINY];

static gfloat *
rows_of (GemmaVision *vision)
{
  g_autoptr (GError) error = NULL;
  GemmaVisionSession *session = gemma_vision_session_new (vision, &error);
  gfloat *rows;

  g_assert_no_error (error);
  rows = vision_encode (session, tiny, 256);
  gemma_vision_session_free (session);
  gemma_vision_free (vision);
  return rows;
}

static gfloat *
rows_of_image (OclType type, gboolean dequantized)
{
  g_autoptr (GError) error = NULL;
  GemmaVision *vision = vision_image_load (tiny, vision_image (tiny, type, dequantized), &error);

  g_assert_no_error (error);
  return rows_of (vision);
}

GST_START_TEST (test_mmproj_equals_directory)
{
  g_autofree gfloat *expected = rows_of (vision_model_new (tiny, OCL_MATMUL_F32_ACTIVATIONS)), *rows = rows_of_image (OCL_TYPE_F32, FALSE);

  fail_unless (memcmp (rows, expected, GEMMA_VISION_TOKENS * tiny->text_hidden * sizeof (gfloat)) == 0);
}
GST_END_TEST;

GST_START_TEST (test_types_mean_their_values)
{
  static const OclType types[] = { OCL_TYPE_F16, OCL_TYPE_BF16, OCL_TYPE_Q8_0 };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autofree gfloat *expected = rows_of_image (types[i], TRUE), *rows = rows_of_image (types[i], FALSE);
    gdouble error = relative_error (rows, expected, GEMMA_VISION_TOKENS * tiny->text_hidden);

    GST_INFO ("type %d: %g", types[i], error);
    fail_unless (error < 1e-5, "type %d: %g", types[i], error); /* float32 sums in another order */
  }
}
GST_END_TEST;

/* ---- files that are not as they should be ------------------------------------------------- */

static ImageTensor *
find (Image *image, const gchar *name)
{
  ImageTensor *tensor = image_tensor (image, name);

  g_assert (tensor != NULL);
  return tensor;
}

/* Loading @image fails with an error that has @text, and leaves nothing allocated. */
static void
expect_error (Image *image, gint code, const gchar *text)
{
  gsize before = ocl_device_get_allocated (vision_test_device ());
  g_autoptr (GError) error = NULL;

  fail_if (vision_image_load (tiny, image, &error) != NULL, "%s", text);
  fail_unless (error->domain == GEMMA_ERROR && error->code == code, "%s: %s", text, error->message);
  fail_unless (strstr (error->message, text) != NULL, "%s: %s", text, error->message);
  fail_unless (ocl_device_get_allocated (vision_test_device ()) == before, "%s: memory stays allocated", text);
}

/* A tensor that the network can do without: the rest is then another network. */
static gboolean
is_optional (const gchar *name)
{
  return strstr (name, "gamma") != NULL || strstr (name, "bias") != NULL;
}

GST_START_TEST (test_absent_tensor_is_named)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  Image *image = vision_image (tiny, OCL_TYPE_F32, FALSE);

  for (guint i = 0; i < image->tensors->len; i++) {
    ImageTensor *t = image->tensors->pdata[i];

    g_ptr_array_add (names, g_strndup ((gchar *) t->name->data, t->name->len));
  }
  image_free (image);
  for (guint i = 0; i < names->len; i++) {
    gchar *name = names->pdata[i];
    g_autofree gchar *other = g_strdup (name);
    g_autoptr (GError) error = NULL;
    GemmaVision *vision;

    if (is_optional (name) || strstr (name, "hard_emb") != NULL || strcmp (name, "mm.embedding.weight") == 0)
      continue;
    image = vision_image (tiny, OCL_TYPE_F32, FALSE);
    other[0] = 'x';             /* no longer a tensor of the tower or the embedder */
    memcpy (find (image, name)->name->data, other, strlen (other));
    vision = vision_image_load (tiny, image, &error);
    fail_if (vision != NULL, "%s", name);
    fail_unless (error->domain == GEMMA_ERROR, "%s: %s", name, error->message);
  }
}
GST_END_TEST;

GST_START_TEST (test_misshaped_tensor_is_named)
{
  static const struct
  {
    const gchar *name;
    gint dim;
    gint64 value;
  } bends[] = {
    { "v.conv_stem.conv.weight", 2, 4 },
    { "v.blk.0.0.conv_exp.weight", 0, 4 },
    { "v.blk.0.1.conv_pwl.weight", 2, 8 },
    { "v.blk.1.0.dw_start.conv.weight", 3, 8 },
    { "v.blk.1.0.pw_exp.bn.weight", 0, 8 },
    { "v.blk.2.2.attn.query.proj.weight", 3, 40 },
    { "v.blk.2.2.attn.output.proj.weight", 2, 48 },
    { "v.blk.2.2.attn.key.norm.weight", 0, 31 },
    { "v.blk.3.0.layer_scale.gamma", 2, 47 },
    { "v.msfa.ffn.pw_exp.conv.weight", 2, 48 },
    { "v.msfa.ffn.pw_proj.conv.weight", 2, 100 },
    { "v.msfa.norm.weight", 0, 95 },
    { "mm.soft_emb_norm.weight", 0, 95 },
    { "mm.input_projection.weight", 1, 63 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (bends); i++) {
    Image *image = vision_image (tiny, OCL_TYPE_F32, FALSE);
    ImageTensor *old = find (image, bends[i].name);
    gint64 dims[4];

    memcpy (dims, old->dims, sizeof dims);
    dims[bends[i].dim] = bends[i].value;
    old->name->data[0] = 'x';
    image_add (image, bends[i].name, GGML_F32, old->n_dims, dims);
    expect_error (image, GEMMA_ERROR_INVALID, bends[i].name);
  }
}
GST_END_TEST;

GST_START_TEST (test_parts_of_other_networks_are_refused)
{
  static const gchar *const names[] = { "v.blk.1.1.se.conv_reduce.weight", "v.blk.2.2.attn.query.norm.weight",
    "v.blk.0.0.layer_scale.gamma", "v.blk.4.0.pw_exp.conv.weight", "v.blk.0.1000000.norm.weight",
    "v.blk.99999999999999999999.0.norm.weight", "v.blk.1.norm.weight", "v.patch_embd.weight" };
  const gint64 dims[] = { 16 };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    Image *image = vision_image (tiny, OCL_TYPE_F32, FALSE);

    image_add (image, names[i], GGML_F32, 1, dims);
    expect_error (image, GEMMA_ERROR_INVALID, names[i]);
  }
}
GST_END_TEST;

GST_START_TEST (test_gap_of_blocks_is_named)
{
  Image *image = vision_image (tiny, OCL_TYPE_F32, FALSE);

  for (guint i = 0; i < image->tensors->len; i++) {
    ImageTensor *t = image->tensors->pdata[i];

    if (t->name->len > 9 && memcmp (t->name->data, "v.blk.2.1", 9) == 0)
      t->name->data[0] = 'x';
  }
  expect_error (image, GEMMA_ERROR_NOT_FOUND, "v.blk.2.1.");
}
GST_END_TEST;

GST_START_TEST (test_another_architecture_and_bad_values)
{
  const gint64 dims[] = { 16 };
  Image *image = image_new ();
  gfloat nan = NAN;

  image_set_string (image, "general.architecture", "clip");
  image_add (image, "v.class_embd", GGML_F32, 1, dims);
  expect_error (image, GEMMA_ERROR_UNSUPPORTED, "no picture encoder of a known kind");

  image = vision_image (tiny, OCL_TYPE_F32, FALSE);
  memcpy (find (image, "v.blk.1.0.dw_start.conv.weight")->data->data + 8, &nan, sizeof nan);
  expect_error (image, GEMMA_ERROR_INVALID, "v.blk.1.0.dw_start.conv.weight");

  image = vision_image (tiny, OCL_TYPE_F32, FALSE);
  find (image, "v.blk.2.2.attn.key.proj.weight")->type = GGML_Q5_1;     /* whose rows must be whole blocks */
  expect_error (image, GEMMA_ERROR_INVALID, "v.blk.2.2.attn.key.proj.weight");
}
GST_END_TEST;

static void
count_progress (gdouble fraction, const gchar *what, gpointer user_data)
{
  gdouble *last = user_data;

  fail_unless (fraction > *last && fraction < 1.);
  fail_unless (strstr (what, "picture") != NULL);
  *last = fraction;
}

GST_START_TEST (test_progress)
{
  Image *image = vision_image (tiny, OCL_TYPE_F32, FALSE);
  g_autoptr (GByteArray) bytes = image_bytes (image);
  g_autofree GemmaConfig *config = vision_config_new (tiny);
  GemmaWeights *weights = gemma_weights_open_gguf_data (bytes->data, bytes->len, NULL);
  gdouble last = -1.;

  gemma_vision_free (gemma_vision_load (weights, config, vision_test_device (), OCL_MATMUL_F32_ACTIVATIONS, count_progress, &last, NULL));
  fail_unless (last > .5);
  gemma_weights_unref (weights);
  image_free (image);
}
GST_END_TEST;

static Suite *
vision_load_suite (void)
{
  Suite *suite = suite_create ("vision-load");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 600);
  tcase_add_test (tc, test_mmproj_equals_directory);
  tcase_add_test (tc, test_types_mean_their_values);
  tcase_add_test (tc, test_absent_tensor_is_named);
  tcase_add_test (tc, test_misshaped_tensor_is_named);
  tcase_add_test (tc, test_parts_of_other_networks_are_refused);
  tcase_add_test (tc, test_gap_of_blocks_is_named);
  tcase_add_test (tc, test_another_architecture_and_bad_values);
  tcase_add_test (tc, test_progress);
  return suite;
}

GST_CHECK_MAIN (vision_load);
