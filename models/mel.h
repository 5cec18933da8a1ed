/* USM's front end: log-mel rows of 16 kHz speech, streaming, on the host. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define GEMMA_MEL_RATE 16000
#define GEMMA_MEL_HOP 160
#define GEMMA_MEL_FRAME 512
/** Samples that row 0 waits for: the reference's framing takes one more than it uses. */
#define GEMMA_MEL_FIRST (GEMMA_MEL_FRAME + 1)

typedef struct _GemmaMel GemmaMel;

/** @n_mels: columns of a row. (transfer full) */
GemmaMel *gemma_mel_new (gint n_mels);
void gemma_mel_free (GemmaMel *mel);
void gemma_mel_reset (GemmaMel *mel);

/**
 * gemma_mel_push:
 * @samples: mono in [-1, 1]; NaN and Inf count as 0
 * @rows: gfloat elements; each finished row appends n_mels
 *
 * Row t covers samples 160 t .. 160 t + 511 and is appended with sample 160 t + 512. However the samples are split,
 * the rows are the same bit for bit.
 */
void gemma_mel_push (GemmaMel *mel, const gfloat *samples, gsize n, GArray *rows);

/** Ends the clip with zeros up to a multiple of 128 samples, as the reference, and resets. */
void gemma_mel_drain (GemmaMel *mel, GArray *rows);

G_END_DECLS
