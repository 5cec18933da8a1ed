/* Caps of soft tokens: what an encoder hands to a language model in place of words. */
#pragma once

#include <gst/gemma/gemma-prelude.h>

G_BEGIN_DECLS

/* What one soft token of sound covers. */
#define GST_GEMMA_AUDIO_TOKEN_DURATION (160 * GST_MSECOND)

/* NNStreamer's caps for one static tensor of float32; "dimensions" is "HIDDEN:TOKENS", innermost first. */
#define GST_GEMMA_SOFT_TOKEN_CAPS \
    "other/tensors, format=(string)static, num_tensors=(int)1, types=(string)float32"

/**
 * gst_gemma_soft_token_caps_new:
 * @hidden: width of a token, the hidden size of the language model
 * @n_tokens: tokens in each buffer
 * @fps_n: numerator of the rate of buffers
 * @fps_d: its denominator
 *
 * Returns: (transfer full): the caps
 */
GST_GEMMA_API
GstCaps *gst_gemma_soft_token_caps_new (guint hidden, guint n_tokens, gint fps_n, gint fps_d);

/**
 * gst_gemma_soft_token_caps_parse:
 * @caps: fixed caps
 * @hidden: (out): width of a token
 * @n_tokens: (out): tokens in each buffer
 *
 * Trailing dimensions of 1, which NNStreamer may add, are accepted.
 *
 * Returns: %FALSE if these are not caps of soft tokens
 */
GST_GEMMA_API
gboolean gst_gemma_soft_token_caps_parse (const GstCaps *caps, guint *hidden, guint *n_tokens);

G_END_DECLS
