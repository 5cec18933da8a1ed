/* The whole small model of tests/golden/model: a Hugging Face directory made from its seed. */
#pragma once

#include <gst/check/gstcheck.h>

#include "examples/npy.h"
#include "models/model.h"

#define SMALL_MODEL_SEED 17
#define CLIP 37777              /* samples of the golden clip, usm_signal() */
#define TRANSCRIBE "Transcribe the following speech segment in Spanish:"

/** config.json, model.safetensors and tokenizer.json in a new directory. (transfer full): small_model_remove() */
gchar *small_model_write (void);
void small_model_remove (gchar *directory);

/** Loads parts of the directory; an error ends the test. (transfer full) */
GemmaModel *small_model_load (const gchar *directory, GemmaParts parts);

/** Golden arrays. (transfer full) */
Npy *small_model_golden (const gchar *name, NpyType type);
