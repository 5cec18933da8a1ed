/* The picture encoder against timm and transformers (tests/golden/vision.py), and against itself. */
#include <gst/check/gstcheck.h>

#include "tests/relative-error.h"
#include "vision-model.h"

#include <math.h>
#include <string.h>

/* float32 against float32 with sums in another order, through up to 85 random blocks. */
#define TOLERANCE 1e-4

static GemmaVision *models[2];

static GemmaVisionSession *
session_new (gint which)
{
  g_autoptr (GError) error = NULL;
  GemmaVisionSession *session;

  if (models[which] == NULL)
    models[which] = vision_model_new (&vision_variants[which], OCL_MATMUL_F32_ACTIVATIONS);
  session = gemma_vision_session_new (models[which], &error);
  g_assert_no_error (error);
  return session;
}

GST_START_TEST (test_blocks_equal_reference)
{
  const VisionVariant *variant = &vision_variants[__i__];
  GemmaVisionSession *session = session_new (__i__);
  g_autoptr (GString) worst = g_string_new (NULL);

  for (const gint *resolution = variant->resolutions; *resolution != 0; resolution++) {
    gdouble error = vision_compare (session, variant, *resolution, worst);

    GST_INFO ("%s at %d: relative error at most %.2g, %s", variant->name, *resolution, error, worst->str);
    fail_unless (error < TOLERANCE, "%s at %d, %s: relative error %g", variant->name, *resolution, worst->str, error);
  }
  gemma_vision_session_free (session);
}
GST_END_TEST;

/* OCL_MATMUL_INT16 promises 1e-3. With OCL_MATMUL_INT8_ACTIVATIONS the whole network at 768 is off by 2.6e-2 (E2B's shapes,
 * random weights), this narrow one, whose pixels have few channels to even errors out, by 3.1e-2. */
static const struct
{
  OclMatmulFlags flags;
  gdouble tolerance;
} rounded[] = { { OCL_MATMUL_INT16, 1e-3 }, { OCL_MATMUL_INT8_ACTIVATIONS, 3.5e-2 } };

GST_START_TEST (test_rounded_is_near_exact)
{
  const VisionVariant *variant = &vision_variants[VISION_TINY];
  GemmaVision *vision = vision_model_new (variant, rounded[__i__].flags);
  g_autoptr (GError) error = NULL;
  GemmaVisionSession *session = gemma_vision_session_new (vision, &error), *exact = session_new (VISION_TINY);
  g_autofree gfloat *rows = vision_encode (session, variant, 256), *expected = vision_encode (exact, variant, 256);
  gdouble off = relative_error (rows, expected, GEMMA_VISION_TOKENS * variant->text_hidden);

  GST_INFO ("relative error %.2g", off);
  fail_unless (off < rounded[__i__].tolerance, "relative error %g", off);
  gemma_vision_session_free (exact);
  gemma_vision_session_free (session);
  gemma_vision_free (vision);
}
GST_END_TEST;

GST_START_TEST (test_resolutions_and_sessions_do_not_meet)
{
  static const gint resolutions[] = { 256, 512, 256, 32, 768, 256, 32 };
  const VisionVariant *variant = &vision_variants[VISION_TINY];
  gsize bytes = (gsize) GEMMA_VISION_TOKENS * variant->text_hidden * sizeof (gfloat);
  GemmaVisionSession *one = session_new (VISION_TINY);

  for (guint i = 0; i < G_N_ELEMENTS (resolutions); i++) {
    GemmaVisionSession *fresh = session_new (VISION_TINY);
    g_autofree gfloat *rows = vision_encode (one, variant, resolutions[i]);
    g_autofree gfloat *expected = vision_encode (fresh, variant, resolutions[i]);

    fail_unless (memcmp (rows, expected, bytes) == 0, "at %d", resolutions[i]);
    gemma_vision_session_free (fresh);
  }
  gemma_vision_session_free (one);
}
GST_END_TEST;

GST_START_TEST (test_memory_stays_within_the_largest_resolution)
{
  GemmaVisionSession *session = session_new (VISION_TINY);
  gsize most;

  g_free (vision_encode (session, &vision_variants[VISION_TINY], 768));
  most = ocl_device_get_allocated (vision_test_device ());
  for (gint i = 0; i < 6; i++)
    g_free (vision_encode (session, &vision_variants[VISION_TINY], i % 2 ? 768 : 256));
  fail_unless (ocl_device_get_allocated (vision_test_device ()) == most);
  gemma_vision_session_free (session);
}
GST_END_TEST;

GST_START_TEST (test_bytes_are_pixels)
{
  const VisionVariant *variant = &vision_variants[VISION_TINY];
  gsize n = GEMMA_VISION_TOKENS * variant->text_hidden;
  g_autofree guint8 *bytes = g_malloc (256 * 256 * 3);
  g_autofree gfloat *pixels = g_new (gfloat, 256 * 256 * 3), *rows = g_new (gfloat, n), *expected = g_new (gfloat, n);
  OclPicture picture = { OCL_PICTURE_RGB, 256, 256, { bytes }, { 256 * 3 } };
  GemmaVisionSession *session = session_new (VISION_TINY);
  g_autoptr (GError) error = NULL;

  for (gint i = 0; i < 256 * 256 * 3; i++) {
    bytes[i] = i * 7 + i / 768 * 3;
    pixels[i] = bytes[i] / 255.f;
  }
  fail_unless (gemma_vision_session_encode (session, &picture, 256, rows, NULL, &error));
  fail_unless (gemma_vision_session_encode_pixels (session, pixels, 256, expected, NULL, &error));
  fail_unless (relative_error (rows, expected, n) < 1e-5);       /* 1/255 may be rounded before or after */
  gemma_vision_session_free (session);
}
GST_END_TEST;

GST_START_TEST (test_bad_resolution_and_cancellation)
{
  static const gint bad[] = { 0, -256, 31, 1025, G_MAXINT };
  const VisionVariant *variant = &vision_variants[VISION_TINY];
  g_autofree gfloat *pixels = vision_pixels (256), *expected = NULL, *rows = NULL;
  GemmaVisionSession *session = session_new (VISION_TINY);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  rows = g_new (gfloat, GEMMA_VISION_TOKENS * variant->text_hidden);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    fail_if (gemma_vision_session_encode_pixels (session, pixels, bad[i], rows, NULL, &error));
    g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID);
    g_clear_error (&error);
  }
  g_cancellable_cancel (cancellable);
  fail_if (gemma_vision_session_encode_pixels (session, pixels, 256, rows, cancellable, &error));
  g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED);
  g_clear_error (&error);
  g_cancellable_reset (cancellable);
  fail_unless (gemma_vision_session_encode_pixels (session, pixels, 256, rows, cancellable, &error));
  expected = vision_encode (session, variant, 256);
  fail_unless (memcmp (rows, expected, GEMMA_VISION_TOKENS * variant->text_hidden * sizeof (gfloat)) == 0);
  gemma_vision_session_free (session);
}
GST_END_TEST;

GST_START_TEST (test_device_failure_is_an_error_once)
{
  const VisionVariant *variant = &vision_variants[VISION_TINY];
  g_autofree gfloat *pixels = vision_pixels (256), *rows = NULL;
  GemmaVisionSession *session = session_new (VISION_TINY);
  g_autoptr (GError) error = NULL;

  rows = g_new (gfloat, GEMMA_VISION_TOKENS * variant->text_hidden);
  ocl_fault_inject ("alloc:3");
  fail_if (gemma_vision_session_encode_pixels (session, pixels, 256, rows, NULL, &error));
  g_assert_error (error, OCL_ERROR, OCL_ERROR_OUT_OF_MEMORY);
  g_clear_error (&error);
  ocl_fault_inject ("launch:9=CL_OUT_OF_RESOURCES");
  fail_if (gemma_vision_session_encode_pixels (session, pixels, 256, rows, NULL, &error));
  fail_unless (error != NULL && error->domain == OCL_ERROR);
  g_clear_error (&error);
  ocl_fault_inject (NULL);
  fail_unless (gemma_vision_session_encode_pixels (session, pixels, 256, rows, NULL, &error));
  gemma_vision_session_free (session);
}
GST_END_TEST;

static void
free_models (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (models); i++)
    g_clear_pointer (&models[i], gemma_vision_free);
}

static Suite *
vision_suite (void)
{
  Suite *suite = suite_create ("vision");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 600);
  tcase_add_unchecked_fixture (tc, NULL, free_models);
  tcase_add_loop_test (tc, test_blocks_equal_reference, VISION_TINY, VISION_ODD + 1);
  tcase_add_loop_test (tc, test_rounded_is_near_exact, 0, G_N_ELEMENTS (rounded));
  tcase_add_test (tc, test_resolutions_and_sessions_do_not_meet);
  tcase_add_test (tc, test_memory_stays_within_the_largest_resolution);
  tcase_add_test (tc, test_bytes_are_pixels);
  tcase_add_test (tc, test_bad_resolution_and_cancellation);
  tcase_add_test (tc, test_device_failure_is_an_error_once);
  return suite;
}

GST_CHECK_MAIN (vision);
