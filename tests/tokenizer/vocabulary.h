/* What the tokenizer's tests share. */
#pragma once

#include <gst/check/gstcheck.h>

#include "models/tokenizer.h"
#include "tests/readers/image.h"

/** The tokenizer of @image, which it frees, or NULL with @error; the file itself must be a good one. (transfer full) */
GemmaTokenizer *tokenizer_from_image (Image *image, GError **error);
/** Sets tokenizer.ggml.tokens, scores and token_type. */
void set_vocabulary (Image *image, const gchar *const *tokens, guint n, const gfloat *scores, guint n_scores,
    const gint32 *types, guint n_types);

/** Encodes @length bytes (-1: a string). (transfer full) */
GArray *encode (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control);
/** The same as pieces, joined with "|". (transfer full) */
gchar *encode_to_pieces (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control);
