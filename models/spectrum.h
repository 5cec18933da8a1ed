/* Magnitudes of a short piece of sound's spectrum, on the host. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define GEMMA_SPECTRUM_SIZE 1024
#define GEMMA_SPECTRUM_BINS (GEMMA_SPECTRUM_SIZE / 2 + 1)

typedef struct
{
  gdouble re, im;
} GemmaComplex;

/** Tables; constant once they are made. */
typedef struct
{
  GemmaComplex roots[GEMMA_SPECTRUM_SIZE / 2]; /* exp (-2 pi i k / size) */
  guint16 order[GEMMA_SPECTRUM_SIZE / 2];      /* bit-reversed */
} GemmaSpectrum;

void gemma_spectrum_init (GemmaSpectrum *spectrum);

/** @samples: windowed; @n: even, at most GEMMA_SPECTRUM_SIZE, zeros follow; @magnitude: GEMMA_SPECTRUM_BINS */
void gemma_spectrum_compute (const GemmaSpectrum *spectrum, const gfloat *samples, gint n, gfloat *magnitude);

G_END_DECLS
