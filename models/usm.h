/* Gemma 3n's audio encoder (USM), streaming, with the embedder that makes soft tokens. */
#pragma once

#include "config.h"
#include "opencl/ops.h"

G_BEGIN_DECLS

typedef struct _GemmaUsm GemmaUsm;             /* weights, shared */
typedef struct _GemmaUsmStream GemmaUsmStream; /* state of one clip or stream */

/**
 * @weights: what holds "a.*" and "mm.a.*" (the mmproj, or the Hugging Face directory)
 * @flags: of its products; OCL_MATMUL_INT8_ACTIVATIONS counts in the feed-forward layers only, where they are quantized in
 *   the file: there soft tokens stay within 1e-2. Rounding all weights to Q8_0 would change them by 3.5e-2 (random weights
 *   of E2B's shapes).
 */
GemmaUsm *gemma_usm_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device,
    OclMatmulFlags flags, GemmaProgressFunc progress, gpointer user_data, GError **error);
/** Only what gemma_usm_hard_embedding() reads ("mm.a.*"), for a language model whose encoder runs elsewhere. */
GemmaUsm *gemma_usm_load_embedder (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GError **error);
void gemma_usm_free (GemmaUsm *usm);

GemmaUsmStream *gemma_usm_stream_new (GemmaUsm *usm, GError **error);
void gemma_usm_stream_free (GemmaUsmStream *stream);
/** Forgets everything: the next sample begins a new clip. */
void gemma_usm_stream_reset (GemmaUsmStream *stream);

/**
 * gemma_usm_stream_push:
 * @samples: 16 kHz mono in [-1, 1]; NaN and Inf count as 0
 * @tokens: gfloat elements; each finished soft token appends text.hidden floats
 *
 * Token k stands for samples 2560 k .. 2560 k + 2559 and appears with sample 2560 k + 1472 (the mel rows that the
 * subsampling needs end there). However the samples are split, the tokens are the same.
 */
gboolean gemma_usm_stream_push (GemmaUsmStream *stream, const gfloat *samples, gsize n, GArray *tokens, GError **error);

/**
 * Ends the clip as the reference does (its padding to 128 samples, zero rows after the last frame) and appends the
 * tokens that were still waiting; only tokens whose frame is valid. The stream is reset.
 */
gboolean gemma_usm_stream_drain (GemmaUsmStream *stream, GArray *tokens, GError **error);

/** The embedding of hard id @id (eoa; vocab_offset + vocab_size - 1 pads a clip): writes text.hidden floats. */
gboolean gemma_usm_hard_embedding (GemmaUsm *usm, gint id, gfloat *row, GError **error);

/**
 * Observes intermediate results for tests, [rows][cols], batch by batch: "mel" (the first row is the last one of the
 * batch before), "sscp", "block0", ..., and, of the frames that become tokens only, the last block's as "tower".
 */
typedef void (*GemmaObserver) (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer user_data);
void gemma_usm_stream_set_observer (GemmaUsmStream *stream, GemmaObserver observer, gpointer user_data);

G_END_DECLS
