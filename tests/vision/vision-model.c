#include "vision-model.h"

#include "models/weights-private.h"
#include "tests/relative-error.h"
#include "tests/seeded-weights.h"

#include <math.h>
#include <string.h>

const VisionVariant vision_variants[3] = {
  { "vision/tiny", 64, OCL_TYPE_F32, { 256, 768 } },
  { "vision/odd", 40, OCL_TYPE_F32, { 200, 333 } },
  { "vision/full", 2048, OCL_TYPE_BF16, { 256, 512, 768 } },
};

OclDevice *
vision_test_device (void)
{
  static OclDevice *device;
  g_autoptr (GError) error = NULL;

  if (device == NULL)
    device = ocl_device_open (g_getenv ("GEMMA_DEVICE"), &error);
  g_assert_no_error (error);
  return device;
}

GemmaConfig *
vision_config_new (const VisionVariant *variant)
{
  GemmaConfig *config = g_new0 (GemmaConfig, 1);

  config->has_vision = TRUE;
  config->text.hidden = variant->text_hidden;
  return config;
}

static gchar *
golden_path (const VisionVariant *variant, const gchar *file)
{
  return g_build_filename (GOLDEN_DIR, variant->name, file, NULL);
}

/* ---- models ---------------------------------------------------------------------------- */

GemmaVision *
vision_model_new (const VisionVariant *variant, OclMatmulFlags flags)
{
  g_autofree gchar *list_path = golden_path (variant, "tensors.txt"), *file = NULL;
  g_autoptr (GPtrArray) list = seeded_list_read (list_path);
  g_autofree GemmaConfig *config = vision_config_new (variant);
  g_autoptr (GError) error = NULL;
  gchar *folder = g_dir_make_tmp ("gemma-test-XXXXXX", &error);
  GemmaWeights *weights;
  GemmaVision *vision;

  g_assert_no_error (error);
  file = g_build_filename (folder, "model.safetensors", NULL);
  seeded_write_safetensors (file, list, VISION_SEED, variant->type);
  weights = gemma_weights_open_hf (folder, &error);
  g_assert_no_error (error);
  vision = gemma_vision_load (weights, config, vision_test_device (), flags, NULL, NULL, &error);
  g_assert_no_error (error);
  gemma_weights_unref (weights);
  seeded_remove (folder);
  return vision;
}

/* As a converter chooses: norms, the stem and depthwise convolutions are not quantized, the first two stay float32. */
static OclType
type_of (const gchar *name, const SeededTensor *t, OclType type)
{
  gboolean pointwise = t->n_dims == 2 || (t->n_dims == 4 && t->dims[2] == 1);

  if (t->n_dims == 1 || strstr (name, "conv_stem") != NULL)
    return OCL_TYPE_F32;
  if (type == OCL_TYPE_Q8_0 && (!pointwise || t->dims[1] % 32 != 0))
    return OCL_TYPE_F16;
  return type;
}

static void
add_tensor (Image *image, const SeededTensor *t, OclType type, gboolean dequantized)
{
  static const guint32 ggml_types[OCL_N_TYPES] = { [OCL_TYPE_F32] = GGML_F32, [OCL_TYPE_F16] = GGML_F16,
    [OCL_TYPE_BF16] = GGML_BF16, [OCL_TYPE_Q8_0] = GGML_Q8_0 };
  g_autofree gchar *name = gemma_name_from_hf (t->name);
  g_autofree gfloat *values = g_new (gfloat, t->n);
  g_autofree guint8 *encoded = g_malloc (t->n * sizeof (gfloat));
  gboolean channels = strstr (name, "gamma") != NULL || strstr (name, "bias") != NULL;
  OclType own = type_of (name, t, type);
  gint64 dims[4] = { 1, 1, t->dims[0], 1 };     /* as llama.cpp wants what is added to or multiplied with pictures */
  guint n_dims = channels ? 4 : t->n_dims;
  ImageTensor *tensor;

  seeded_fill (values, t, VISION_SEED, 0, t->n);
  seeded_encode (encoded, values, t->n, own);
  for (guint d = 0; d < t->n_dims && !channels; d++)
    dims[d] = t->dims[t->n_dims - 1 - d];
  if (own == OCL_TYPE_Q8_0 && n_dims == 4) {    /* rows must be whole blocks */
    n_dims = 2;
    dims[0] = dims[2];
    dims[1] = dims[3];
  }
  if (dequantized) {
    ocl_type_dequantize (own, encoded, values, t->n);
    own = OCL_TYPE_F32;
    seeded_encode (encoded, values, t->n, own);
  }
  tensor = image_add (image, name, ggml_types[own], n_dims, dims);
  memcpy (tensor->data->data, encoded, tensor->data->len);
}

Image *
vision_image (const VisionVariant *variant, OclType type, gboolean dequantized)
{
  g_autofree gchar *list_path = golden_path (variant, "tensors.txt");
  g_autoptr (GPtrArray) list = seeded_list_read (list_path);
  Image *image = image_new ();

  image_set_string (image, "general.architecture", "clip");
  for (guint i = 0; i < list->len; i++)
    add_tensor (image, list->pdata[i], type, dequantized);
  return image;
}

GemmaVision *
vision_image_load (const VisionVariant *variant, Image *image, GError **error)
{
  g_autoptr (GByteArray) bytes = image_bytes (image);
  g_autofree GemmaConfig *config = vision_config_new (variant);
  GemmaWeights *weights = gemma_weights_open_gguf_data (bytes->data, bytes->len, error);
  GemmaVision *vision = NULL;

  image_free (image);
  if (weights != NULL) {
    vision = gemma_vision_load (weights, config, vision_test_device (), OCL_MATMUL_F32_ACTIVATIONS, NULL, NULL, error);
    gemma_weights_unref (weights);
  }
  return vision;
}

/* ---- pictures -------------------------------------------------------------------------- */

gfloat *
vision_pixels (gint resolution)
{
  gsize n = (gsize) resolution * resolution * 3;
  SeededTensor tensor = { .name = (gchar *) "pixels", .n_dims = 1, .dims = { n }, .n = n, .mean = .5, .std = .25 };
  gfloat *pixels = g_new (gfloat, n);

  seeded_fill (pixels, &tensor, VISION_SEED, 0, n);
  for (gsize i = 0; i < n; i++)
    pixels[i] = CLAMP (pixels[i], 0.f, 1.f);
  return pixels;
}

gfloat *
vision_encode (GemmaVisionSession *session, const VisionVariant *variant, gint resolution)
{
  g_autofree gfloat *pixels = vision_pixels (resolution);
  gfloat *rows = g_new (gfloat, (gsize) GEMMA_VISION_TOKENS * variant->text_hidden);
  g_autoptr (GError) error = NULL;

  gemma_vision_session_encode_pixels (session, pixels, resolution, rows, NULL, &error);
  g_assert_no_error (error);
  return rows;
}

/* ---- comparison ------------------------------------------------------------------------ */

#define SAMPLES 400 /* as in vision.py */

typedef struct
{
  gchar **lines; /* that are still to come */
  const gfloat *samples, *end;
  gdouble error;
  GString *worst;
} Comparison;

static void
compare_layer (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer user_data)
{
  Comparison *c = user_data;
  g_auto (GStrv) words = g_strsplit (*c->lines != NULL ? *c->lines : "", " ", -1);
  gsize n = (gsize) rows * cols, step = (n / SAMPLES + 1) | 1, n_samples = (n + step - 1) / step;
  g_autofree gfloat *samples = g_new (gfloat, n_samples);
  gdouble norm = 0., expected, error;
  gint64 side;

  g_assert_cmpint (g_strv_length (words), ==, 4);
  g_assert_cmpstr (words[0], ==, name);
  side = g_ascii_strtoll (words[1], NULL, 10);
  g_assert_cmpint (rows, ==, side * side);
  g_assert_cmpint (cols, ==, g_ascii_strtoll (words[2], NULL, 10));
  g_assert (n_samples <= (gsize) (c->end - c->samples));
  for (gsize i = 0; i < n; i++)
    norm += (gdouble) data[i] * data[i];
  for (gsize i = 0; i < n_samples; i++)
    samples[i] = data[i * step];
  expected = g_ascii_strtod (words[3], NULL);
  error = MAX (relative_error (samples, c->samples, n_samples), fabs (sqrt (norm) - expected) / expected);
  g_debug ("%s: relative error %.2g", name, error);
  if (!(error <= c->error)) {
    c->error = error;
    g_string_assign (c->worst, name);
  }
  c->samples += n_samples;
  c->lines++;
}

gdouble
vision_compare (GemmaVisionSession *session, const VisionVariant *variant, gint resolution, GString *worst)
{
  g_autofree gchar *text_name = g_strdup_printf ("%d.txt", resolution), *text_path = golden_path (variant, text_name);
  g_autofree gchar *npy_name = g_strdup_printf ("%d.npy", resolution), *npy_path = golden_path (variant, npy_name);
  g_autofree gchar *text = NULL;
  g_autofree gfloat *rows = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Npy) npy = npy_read (npy_path, &error);
  g_auto (GStrv) lines = NULL;
  Comparison c = { .worst = worst };

  g_assert_no_error (error);
  g_file_get_contents (text_path, &text, NULL, &error);
  g_assert_no_error (error);
  lines = g_strsplit (g_strchomp (text), "\n", -1);
  c.lines = lines;
  c.samples = npy->f32;
  c.end = npy->f32 + npy->n;
  gemma_vision_session_set_observer (session, compare_layer, &c);
  rows = vision_encode (session, variant, resolution);
  gemma_vision_session_set_observer (session, NULL, NULL);
  g_assert (*c.lines == NULL && c.samples == c.end);
  return c.error;
}
