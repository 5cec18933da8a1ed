/* The seeded models of tests/golden/siglip, of two architectures, and what they see. */
#pragma once

#include "tests/gemma3n/fixture.h"
#include "tests/vision/vision-model.h"

enum
{
  SIGLIP_GEMMA3,
  SIGLIP_T5GEMMA2,
  SIGLIP_N
};

/** By the name of the folder and the one resolution. */
extern const VisionVariant siglip_variants[SIGLIP_N];
/** What golden() and model_get() call it. */
const gchar *siglip_size (gint which);
/** Pictures in its golden prompt. */
gint siglip_n_pictures (gint which);

/** The encoder of a model's files. (transfer full) */
GemmaVision *siglip_vision_new (const Model *model, OclMatmulFlags flags);
/** Rows of the pictures of the golden prompt: the seeded one, then its negative. (transfer full) */
gfloat *siglip_rows (const Model *model, gint which, OclMatmulFlags flags);
/** model_get(), with its rows. */
const Model *siglip_model_get (gint which);
