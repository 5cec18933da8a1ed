#include "fixture.h"

const VisionVariant siglip_variants[SIGLIP_N] = {
  { "siglip/gemma3", 64, OCL_TYPE_F32, { 448 } },
  { "siglip/t5gemma2", 64, OCL_TYPE_F32, { 192 } },
};

const gchar *
siglip_size (gint which)
{
  return which == SIGLIP_GEMMA3 ? "gemma3" : "t5gemma2";
}

gint
siglip_n_pictures (gint which)
{
  return which == SIGLIP_GEMMA3 ? 2 : 1;
}

GemmaVision *
siglip_vision_new (const Model *model, OclMatmulFlags flags)
{
  g_autoptr (GError) error = NULL;
  GemmaVision *vision = gemma_vision_load (model->weights, model->config, model->device, flags, NULL, NULL, &error);
  fail_unless (vision != NULL, "%s", error ? error->message : "no error");
  return vision;
}

gfloat *
siglip_rows (const Model *model, gint which, OclMatmulFlags flags)
{
  gint resolution = siglip_variants[which].resolutions[0], n = siglip_n_pictures (which);
  gsize one = (gsize) GEMMA_VISION_TOKENS * model->config->text.hidden;
  g_autofree gfloat *pixels = vision_pixels (resolution);
  g_autoptr (GError) error = NULL;
  gfloat *rows = g_new (gfloat, n * one);
  GemmaVision *vision = siglip_vision_new (model, flags);
  GemmaVisionSession *session = gemma_vision_session_new (vision, &error);
  g_assert_no_error (error);
  for (gint i = 0; i < n; i++) {
    gemma_vision_session_encode_pixels (session, pixels, resolution, rows + i * one, NULL, &error);
    g_assert_no_error (error);
    for (gint k = 0; k < 3 * resolution * resolution; k++)
      pixels[k] = 1 - pixels[k];
  }
  gemma_vision_session_free (session);
  gemma_vision_free (vision);
  return rows;
}

const Model *
siglip_model_get (gint which)
{
  Model *model = (Model *) model_get (siglip_size (which));
  if (!model->rows)
    model->rows = siglip_rows (model, which, OCL_MATMUL_F32_ACTIVATIONS);
  return model;
}
