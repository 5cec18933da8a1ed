/* A picture encoder with the embedder that makes soft tokens: what every network of this kind offers. */
#pragma once

#include "../opencl/picture.h"
#include "config.h"
#include "usm.h"

G_BEGIN_DECLS

#define GEMMA_VISION_TOKENS 256 /* soft tokens of a picture, at every resolution: 16 x 16, row by row */

typedef struct _GemmaVision GemmaVision;               /* weights, shared */
typedef struct _GemmaVisionSession GemmaVisionSession; /* activations and queue: one thread at a time */

/**
 * @weights: what holds "v.*" and "mm.*" (the mmproj, or the Hugging Face directory)
 * @flags: of its products; for OCL_MATMUL_INT8_ACTIVATIONS matrices that are wider are rounded to Q8_0
 */
GemmaVision *gemma_vision_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device,
    OclMatmulFlags flags, GemmaProgressFunc progress, gpointer user_data, GError **error);
void gemma_vision_free (GemmaVision *vision);

/**
 * The side of the square that a picture is resized to if @wanted (256, 512 or 768) would be liked: that, or the one size
 * that the network has.
 */
gint gemma_vision_get_resolution (GemmaVision *vision, gint wanted);

GemmaVisionSession *gemma_vision_session_new (GemmaVision *vision, GError **error);
void gemma_vision_session_free (GemmaVisionSession *session);

/**
 * gemma_vision_session_encode:
 * @resolution: as of gemma_vision_get_resolution()
 * @rows: GEMMA_VISION_TOKENS * text.hidden floats
 * @cancellable: (nullable): checked between the blocks of the network
 *
 * Resizes and encodes one picture; waits for the result. On an error @rows is undefined.
 */
gboolean gemma_vision_session_encode (GemmaVisionSession *session, const OclPicture *picture, gint resolution,
    gfloat *rows, GCancellable *cancellable, GError **error);

/** The same of pixels [resolution * resolution][3], RGB in [0, 1], that are already prepared. */
gboolean gemma_vision_session_encode_pixels (GemmaVisionSession *session, const gfloat *pixels, gint resolution,
    gfloat *rows, GCancellable *cancellable, GError **error);

/** Runs, on a black picture, as much as needs every kernel: they are compiled then. */
gboolean gemma_vision_session_warm_up (GemmaVisionSession *session, GCancellable *cancellable, GError **error);

/**
 * Observes, for tests, as [height * width][channels]: of MobileNet-V5 "stem", "block0.0" (stage.block), ..., "msfa",
 * "soft"; of SigLIP "embed", "layer0", ..., "norm", "soft".
 */
void gemma_vision_session_set_observer (GemmaVisionSession *session, GemmaObserver observer, gpointer user_data);

G_END_DECLS
