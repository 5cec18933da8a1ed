/* The real mobilenetv5_300m_enc on seeded bfloat16 weights against timm, every block. The three resolutions of the real
 * model, or those that VISION_RESOLUTIONS names ("256 512"). */
#include <gst/check/gstcheck.h>

#include "vision-model.h"

/* float32 against float32 with sums in another order, through 85 random blocks. */
#define TOLERANCE 1e-4

GST_START_TEST (test_blocks_equal_reference)
{
  const VisionVariant *variant = &vision_variants[VISION_FULL];
  const gchar *wanted = g_getenv ("VISION_RESOLUTIONS");
  g_autoptr (GString) worst = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  GemmaVision *vision = vision_model_new (variant, OCL_MATMUL_F32_ACTIVATIONS);
  GemmaVisionSession *session = gemma_vision_session_new (vision, &error);

  g_assert_no_error (error);
  for (const gint *resolution = variant->resolutions; *resolution != 0; resolution++) {
    g_autofree gchar *name = g_strdup_printf ("%d", *resolution);
    gdouble off;

    if (wanted != NULL && strstr (wanted, name) == NULL)
      continue;
    off = vision_compare (session, variant, *resolution, worst);
    g_print ("full at %d: relative error at most %.2g, %s\n", *resolution, off, worst->str);
    fail_unless (off < TOLERANCE, "%d, %s: relative error %g", *resolution, worst->str, off);
  }
  gemma_vision_session_free (session);
  gemma_vision_free (vision);
}
GST_END_TEST;

static Suite *
vision_full_suite (void)
{
  Suite *suite = suite_create ("vision-full");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 600);
  tcase_add_test (tc, test_blocks_equal_reference);
  return suite;
}

GST_CHECK_MAIN (vision_full);
