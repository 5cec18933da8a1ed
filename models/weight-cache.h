/* Weights of a Hugging Face directory in fewer bits, kept in a file from which the next start maps them.
 *
 * The file is in GEMMA_CACHE_DIR, else in "gst-gemma" in the user's cache directory: one for each directory and type,
 * replaced when the model changes. It is a GGUF with all tensors of the language model: matrices in the type that is
 * asked for (the embedding tables in Q8_0 at least), what is never quantized as it was. Its key tells which files with
 * which tensors it was made from, its sum whether a byte of it has changed; one that does not fit is made anew.
 * Nothing is trusted before: the sum is taken through the descriptor, then GGUF's own checks and a comparison follow.
 */
#pragma once

#include "weights.h"

G_BEGIN_DECLS

/**
 * gemma_weights_requantize:
 * @type: (nullable): "q4_0", "q8_0", "bf16" or "f32"; NULL, "" and "auto" leave all as it is
 * @made: (out) (optional): whether the file had to be made, with progress from 0 to 1
 *
 * From now on, @weights has the language model's matrices in @type, where that is less than they have.
 */
gboolean gemma_weights_requantize (GemmaWeights *weights, const gchar *type, GCancellable *cancellable,
    GemmaProgressFunc progress, gpointer user_data, gboolean *made, GError **error);

/** Whether @type is one of the above, and fits what is at @path: a GGUF's types are its own. */
gboolean gemma_weights_check_type (const gchar *path, const gchar *type, GError **error);

G_END_DECLS
