/* The audio encoder from an mmproj .gguf: names, orders of dimensions, types of weights. */
#include <gst/check/gstcheck.h>

#include "models/weights-private.h"
#include "tests/readers/image.h"
#include "tests/relative-error.h"
#include "tests/seeded-weights.h"
#include "usm-model.h"
#include "usm-util.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define SEED 5

static const UsmSize *size = &usm_sizes[USM_TINY];

static const guint32 ggml_types[OCL_N_TYPES] = {
  [OCL_TYPE_F32] = GGML_F32,
  [OCL_TYPE_F16] = GGML_F16,
  [OCL_TYPE_BF16] = GGML_BF16,
  [OCL_TYPE_Q8_0] = GGML_Q8_0,
};

/* As a converter chooses: matrices get @type, or different ones for Q, K and V if it is OCL_N_TYPES. */
static OclType
type_of (const gchar *name, guint n_dims, OclType type)
{
  if (n_dims == 4 && strstr (name, "conv1d") != NULL && type == OCL_TYPE_F16)
    return type;
  if (n_dims != 2)
    return OCL_TYPE_F32;
  if (type != OCL_N_TYPES)
    return type;
  if (strstr (name, "attn_q") != NULL)
    return OCL_TYPE_Q8_0;
  return strstr (name, "attn_k") != NULL ? OCL_TYPE_F16 : OCL_TYPE_F32;
}

/* The golden tensors as an mmproj; with @dequantized, the values that @type leaves of them, as float32. */
static Image *
make_mmproj (OclType type, gboolean dequantized)
{
  g_autofree gchar *list_path = usm_golden_path ("%s/tensors.txt", size->name);
  g_autoptr (GPtrArray) list = seeded_list_read (list_path);
  Image *image = image_new ();

  image_set_string (image, "general.architecture", "clip");
  for (guint i = 0; i < list->len; i++) {
    const SeededTensor *t = list->pdata[i];
    g_autofree gchar *name = gemma_name_from_hf (t->name);
    g_autofree gfloat *values = g_new (gfloat, t->n);
    g_autofree guint8 *encoded = g_malloc (t->n * sizeof (gfloat));
    OclType own = type_of (name, t->n_dims, type);
    ImageTensor *tensor;
    gint64 dims[4];

    seeded_fill (values, t, SEED, 0, t->n);
    seeded_encode (encoded, values, t->n, own);
    if (dequantized) {
      ocl_type_dequantize (own, encoded, values, t->n);
      own = OCL_TYPE_F32;
      seeded_encode (encoded, values, t->n, own);
    }
    for (guint d = 0; d < t->n_dims; d++)
      dims[d] = t->dims[t->n_dims - 1 - d];
    tensor = image_add (image, name, ggml_types[own], t->n_dims, dims);
    memcpy (tensor->data->data, encoded, tensor->data->len);
  }
  return image;
}

static GemmaUsm *
load (Image *image, GError **error)
{
  g_autoptr (GByteArray) bytes = image_bytes (image);
  g_autofree gchar *path = g_strdup_printf ("%s/usm-%d.gguf", g_get_tmp_dir (), (gint) getpid ());
  g_autofree GemmaConfig *config = usm_config_new (size);
  GemmaWeights *weights;
  GemmaUsm *usm = NULL;

  fail_unless (g_file_set_contents (path, (gchar *) bytes->data, bytes->len, NULL));
  weights = gemma_weights_open_gguf (path, error);
  if (weights != NULL) {
    usm = gemma_usm_load (weights, config, usm_test_device (), OCL_MATMUL_F32_ACTIVATIONS, NULL, NULL, error);
    gemma_weights_unref (weights);
  }
  g_remove (path);
  image_free (image);
  return usm;
}

static GArray *
tokens_of (Image *image)
{
  g_autofree gfloat *signal = usm_signal (size->samples);
  g_autoptr (GError) error = NULL;
  GemmaUsm *usm = load (image, &error);
  GemmaUsmStream *stream;
  GArray *tokens;

  g_assert_no_error (error);
  stream = gemma_usm_stream_new (usm, &error);
  g_assert_no_error (error);
  tokens = usm_encode (stream, signal, size->samples, 0);
  gemma_usm_stream_free (stream);
  gemma_usm_free (usm);
  return tokens;
}

GST_START_TEST (test_mmproj_equals_reference)
{
  g_autoptr (Npy) expected = usm_golden ("%s/soft.npy", size->name);
  g_autoptr (GArray) tokens = tokens_of (make_mmproj (OCL_TYPE_F32, FALSE));

  fail_unless_equals_int (tokens->len, expected->n);
  fail_unless (relative_error ((gfloat *) tokens->data, expected->f32, expected->n) < 1e-5);
}
GST_END_TEST;

GST_START_TEST (test_types_mean_their_values)
{
  static const OclType types[] = { OCL_TYPE_F16, OCL_TYPE_BF16, OCL_TYPE_Q8_0, OCL_N_TYPES };
  g_autoptr (Npy) golden = usm_golden ("%s/soft.npy", size->name);

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autoptr (GArray) expected = tokens_of (make_mmproj (types[i], TRUE));
    g_autoptr (GArray) tokens = tokens_of (make_mmproj (types[i], FALSE));
    gdouble error;

    fail_unless_equals_int (tokens->len, expected->len);
    error = relative_error ((gfloat *) tokens->data, (gfloat *) expected->data, tokens->len);
    GST_INFO ("type %d: %g, from float32's %g", types[i], error,
        relative_error ((gfloat *) tokens->data, golden->f32, golden->n));
    fail_unless (error < 1e-5, "type %d: %g", types[i], error);
  }
}
GST_END_TEST;

GST_START_TEST (test_unreadable_kernel_is_named)
{
  Image *image = make_mmproj (OCL_TYPE_F32, FALSE);
  ImageTensor *tensor = image_tensor (image, "a.conv1d.1.weight");
  g_autoptr (GError) error = NULL;

  tensor->type = GGML_IQ4_NL; /* a type that we do not read */
  fail_if (load (image, &error));
  fail_unless (error != NULL && error->domain == GEMMA_ERROR);
  fail_unless (strstr (error->message, "a.conv1d.1.weight") != NULL, "%s", error->message);
}
GST_END_TEST;

static Suite *
usm_gguf_suite (void)
{
  Suite *suite = suite_create ("usm-gguf");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 300);
  tcase_add_test (tc, test_mmproj_equals_reference);
  tcase_add_test (tc, test_types_mean_their_values);
  tcase_add_test (tc, test_unreadable_kernel_is_named);
  return suite;
}

GST_CHECK_MAIN (usm_gguf);
