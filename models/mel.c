/* See mel.h. All constants are the reference's; no file carries them. */
#include "mel.h"

#include "spectrum.h"

#include <math.h>
#include <string.h>

#define FFT GEMMA_SPECTRUM_SIZE /* twice the frame: "fft_overdrive" */
#define BINS GEMMA_SPECTRUM_BINS
#define PAD 128 /* a clip's length is padded to a multiple of it */
#define PREEMPHASIS 0.97f
#define FIRST_GAIN ((gfloat) (1. - 0.97))
#define FLOOR 1e-5f
#define MIN_HZ 125.
#define MAX_HZ 7600.
#define LOUDEST 1e9f /* keeps the sums of absurd input finite */

/* A triangle of the mel filter bank: bins first .. first + n - 1. */
typedef struct
{
  gint first, n;
  gfloat *weights;
} Filter;

struct _GemmaMel
{
  gint n_mels;
  Filter *filters;
  gfloat *filter_weights;
  gfloat window[GEMMA_MEL_FRAME];
  GemmaSpectrum spectrum;
  gfloat *row; /* [n_mels] */
  gfloat samples[GEMMA_MEL_FIRST];
  gint n_samples;
  gint64 total;
};

static gdouble
hz_of_mel (gdouble mel)
{
  return 700. * (pow (10., mel / 2595.) - 1.);
}

/* Point @i of n_mels + 2 that are equally spaced in HTK's mel scale. */
static gdouble
mel_point (gint i, gint n_mels)
{
  gdouble low = 2595. * log10 (1. + MIN_HZ / 700.), high = 2595. * log10 (1. + MAX_HZ / 700.);

  return hz_of_mel (low + (high - low) * i / (n_mels + 1));
}

static void
make_filters (GemmaMel *mel)
{
  /* A bin lies in at most two triangles. */
  gfloat *w = mel->filter_weights = g_new0 (gfloat, 2 * BINS);

  mel->filters = g_new0 (Filter, mel->n_mels);
  for (gint m = 0; m < mel->n_mels; m++) {
    gdouble left = mel_point (m, mel->n_mels), top = mel_point (m + 1, mel->n_mels);
    gdouble right = mel_point (m + 2, mel->n_mels);
    Filter *f = &mel->filters[m];

    f->weights = w;
    for (gint bin = 0; bin < BINS; bin++) {
      gdouble hz = bin * (gdouble) GEMMA_MEL_RATE / FFT;
      gdouble up = (hz - left) / (top - left), down = (right - hz) / (right - top);

      if (up <= 0. || down <= 0.)
        continue;
      if (f->n == 0)
        f->first = bin;
      f->n++;
      *w++ = MIN (up, down);
    }
  }
}

static void
make_tables (GemmaMel *mel)
{
  for (gint i = 0; i < GEMMA_MEL_FRAME; i++)
    mel->window[i] = 0.5f * (1.f - cosf ((gfloat) (2. * G_PI) * i / GEMMA_MEL_FRAME)); /* float32 as the reference */
  gemma_spectrum_init (&mel->spectrum);
}

GemmaMel *
gemma_mel_new (gint n_mels)
{
  GemmaMel *mel;

  g_return_val_if_fail (n_mels > 0, NULL);

  mel = g_new0 (GemmaMel, 1);
  mel->n_mels = n_mels;
  make_filters (mel);
  make_tables (mel);
  mel->row = g_new (gfloat, n_mels);
  return mel;
}

void
gemma_mel_free (GemmaMel *mel)
{
  if (mel == NULL)
    return;
  g_free (mel->filters);
  g_free (mel->filter_weights);
  g_free (mel->row);
  g_free (mel);
}

void
gemma_mel_reset (GemmaMel *mel)
{
  mel->n_samples = 0;
  mel->total = 0;
}

/* The row of the first 512 samples held. */
static void
compute_row (GemmaMel *mel, GArray *rows)
{
  const gfloat *x = mel->samples;
  gfloat frame[GEMMA_MEL_FRAME], magnitude[BINS];

  frame[0] = x[0] * FIRST_GAIN * mel->window[0];
  for (gint i = 1; i < GEMMA_MEL_FRAME; i++)
    frame[i] = (x[i] - PREEMPHASIS * x[i - 1]) * mel->window[i];
  gemma_spectrum_compute (&mel->spectrum, frame, GEMMA_MEL_FRAME, magnitude);

  for (gint m = 0; m < mel->n_mels; m++) {
    const Filter *f = &mel->filters[m];
    gfloat sum = 0.f;

    for (gint i = 0; i < f->n; i++)
      sum += f->weights[i] * magnitude[f->first + i];
    mel->row[m] = logf (MAX (sum, FLOOR));
  }
  g_array_append_vals (rows, mel->row, mel->n_mels);
}

static inline gfloat
sane (gfloat x)
{
  return isfinite (x) ? CLAMP (x, -LOUDEST, LOUDEST) : 0.f;
}

void
gemma_mel_push (GemmaMel *mel, const gfloat *samples, gsize n, GArray *rows)
{
  mel->total += n;
  for (gsize i = 0; i < n; i++) {
    mel->samples[mel->n_samples++] = sane (samples[i]);
    if (mel->n_samples < GEMMA_MEL_FIRST)
      continue;
    compute_row (mel, rows);
    mel->n_samples -= GEMMA_MEL_HOP;
    memmove (mel->samples, mel->samples + GEMMA_MEL_HOP, mel->n_samples * sizeof (gfloat));
  }
}

void
gemma_mel_drain (GemmaMel *mel, GArray *rows)
{
  static const gfloat zeros[PAD];
  gint rest = mel->total % PAD;

  if (rest > 0)
    gemma_mel_push (mel, zeros, PAD - rest, rows);
  gemma_mel_reset (mel);
}
