/* Picture encoders of the golden variants, made from their seeds, and their expected results. */
#pragma once

#include "examples/npy.h"
#include "models/vision.h"
#include "tests/readers/image.h"

#define VISION_SEED 9

/** As NARROW and RESOLUTIONS in tests/golden/vision.py. */
typedef struct
{
  const gchar *name; /* the folder in tests/golden/ */
  gint text_hidden;
  OclType type;      /* of the weights */
  gint resolutions[4];
} VisionVariant;

enum
{
  VISION_TINY,
  VISION_ODD,
  VISION_FULL
};
extern const VisionVariant vision_variants[3];

/** The device of all tests (GEMMA_DEVICE or "auto"), opened once. */
OclDevice *vision_test_device (void);

/** For g_free(): of @variant, nothing of a text model but its width. */
GemmaConfig *vision_config_new (const VisionVariant *variant);

/** From a Hugging Face directory; a failure ends the test. */
GemmaVision *vision_model_new (const VisionVariant *variant, OclMatmulFlags flags);

/** The golden tensors as an mmproj, 1 x 1 convolutions and the projection as @type where rows are whole blocks of it;
 * with @dequantized, the values that @type leaves of them, as float32. (transfer full) */
Image *vision_image (const VisionVariant *variant, OclType type, gboolean dequantized);

/** Loads @image and frees it. NULL with @error set. */
GemmaVision *vision_image_load (const VisionVariant *variant, Image *image, GError **error);

/** [resolution^2][3] in [0, 1]; as pixels() in tests/golden/vision.py. (transfer full) */
gfloat *vision_pixels (gint resolution);

/** [256][text_hidden] of vision_pixels(); a failure ends the test. (transfer full) */
gfloat *vision_encode (GemmaVisionSession *session, const VisionVariant *variant, gint resolution);

/**
 * vision_compare:
 *
 * Encodes vision_pixels() and compares the stem, every block, the fusion and the soft tokens with the golden samples.
 *
 * Returns: the largest relative error of a layer; its name in @worst
 */
gdouble vision_compare (GemmaVisionSession *session, const VisionVariant *variant, gint resolution, GString *worst);
