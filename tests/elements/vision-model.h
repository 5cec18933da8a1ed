/* A small model with a narrow picture encoder for the tests of elements. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define VISION_MODEL_HIDDEN 64

/** A Hugging Face directory of seeded weights, made at the first call and removed at exit. */
const gchar *vision_model_path (void);

G_END_DECLS
