/* See music.h. The features, of the last WINDOW frames:
 *
 * - E. Scheirer, M. Slaney: Construction and evaluation of a robust multifeature speech/music discriminator, ICASSP 1997:
 *   share of low-energy frames, modulation energy at 4 Hz (syllables), spectral flux and its variance, variance of the
 *   spectral centroid;
 * - K. Seyerlehner, T. Pohle, M. Schedl, G. Widmer: Automatic music detection in television productions, DAFx 2007:
 *   tones keep their frequency, voices never do, so lines along the time of a spectrogram are music. Here: the share of
 *   power, and of peaks, in lines of at least 240 and 500 ms;
 * - the range of levels, how much the bands' levels vary, and the balance of low and high bands, which changes with
 *   every fricative.
 */
#include "music.h"

#include "spectrum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIZE GEMMA_SPECTRUM_SIZE
#define HOP GEMMA_MUSIC_HOP
#define BINS GEMMA_SPECTRUM_BINS
#define FRAMES_PER_SECOND (GEMMA_MUSIC_RATE / HOP)
#define WINDOW (2 * FRAMES_PER_SECOND)
#define SHORTEST FRAMES_PER_SECOND /* frames that a judgement needs */
#define EVERY 5                    /* frames from judgement to judgement */
#define N_BANDS 18
#define FIRST_HZ 100.
#define LAST_HZ 7600.
#define LINE_FIRST 10 /* bins of 15.6 Hz in which lines are looked for: 156 Hz .. 5 kHz */
#define LINE_LAST 320
#define AROUND 10     /* a peak is this many bins to both sides */
#define PROMINENCE 2.f /* and this much (natural logarithm of power) above their mean */
#define SHORT_LINE 12 /* frames */
#define LONG_LINE 25
#define FLOOR 1e-7f /* power of a band in silence */
#define QUICK_WINDOW (WINDOW * 6 / 10)
/* A second of music is worth 2 at most, one of speech 4: music has to sound like it for 3.5 seconds after a pause
 * (the first of which is needed to judge at all), speech over music is noticed in one. */
#define MUSIC_STEP 2.f
#define SPEECH_STEP 4.f
#define DOUBT 2.f /* odds that count for neither */
#define FADE 1.f  /* a second of silence */

/* What a frame adds to the features. */
typedef struct
{
  gfloat db, power, flux, centroid, balance, modulation, short_lines, long_lines, line_share;
  gfloat bands[N_BANDS];
} Frame;

struct _GemmaMusic
{
  GemmaSpectrum spectrum;
  gfloat window[SIZE];
  gint edges[N_BANDS + 1];
  gfloat gain, a1, a2; /* of the band-passes at 4 Hz */

  gfloat samples[SIZE];
  gfloat in[N_BANDS][2], out[N_BANDS][2], mean[N_BANDS]; /* of the band-passes */
  guint8 age[BINS]; /* of the line that has a peak here: frames */
  gint16 origin[BINS];

  Frame frames[WINDOW]; /* a ring */
  gint n_frames, next, n_new, longest;
  gboolean known;
  gfloat features[GEMMA_MUSIC_FEATURES], odds, evidence;
};

GemmaMusic *
gemma_music_new (void)
{
  GemmaMusic *self = g_new0 (GemmaMusic, 1);
  gdouble w = 2. * G_PI * 4. / FRAMES_PER_SECOND, alpha = sin (w) / 2.; /* Q: 1 */

  gemma_spectrum_init (&self->spectrum);
  for (gint i = 0; i < SIZE; i++)
    self->window[i] = 0.5f - 0.5f * cosf ((gfloat) (2. * G_PI) * i / SIZE);
  for (gint b = 0; b <= N_BANDS; b++) {
    gdouble hz = 700. * (pow (1. + FIRST_HZ / 700., 1. - (gdouble) b / N_BANDS) *
        pow (1. + LAST_HZ / 700., (gdouble) b / N_BANDS) - 1.);
    self->edges[b] = (gint) lrint (hz * SIZE / GEMMA_MUSIC_RATE);
  }
  self->gain = alpha / (1. + alpha);
  self->a1 = -2. * cos (w) / (1. + alpha);
  self->a2 = (1. - alpha) / (1. + alpha);
  self->longest = WINDOW;
  return self;
}

void
gemma_music_free (GemmaMusic *self)
{
  g_free (self);
}

void
gemma_music_begin (GemmaMusic *self)
{
  self->n_frames = self->n_new = 0;
  self->odds = 0.f;
  self->known = FALSE;
  memset (self->in, 0, sizeof self->in);
  memset (self->out, 0, sizeof self->out);
  memset (self->mean, 0, sizeof self->mean);
}

void
gemma_music_reset (GemmaMusic *self)
{
  gemma_music_begin (self);
  gemma_music_set_quick (self, FALSE);
  memset (self->samples, 0, sizeof self->samples);
  memset (self->age, 0, sizeof self->age);
  self->evidence = 0.f;
}

/* ---- a frame ------------------------------------------------------------------------------ */

/* The newest frame but @back. */
static const Frame *
get_frame (const GemmaMusic *self, gint back)
{
  return &self->frames[(self->next - 1 - back + WINDOW) % WINDOW];
}

static void
measure_bands (GemmaMusic *self, const gfloat *power, Frame *frame)
{
  gfloat weighted = 0.f, low = 0.f, high = 0.f;

  frame->power = frame->modulation = 0.f;
  for (gint b = 0; b < N_BANDS; b++) {
    gfloat sum = FLOOR, x, y;

    for (gint k = self->edges[b]; k < self->edges[b + 1]; k++)
      sum += power[k];
    frame->bands[b] = logf (sum);
    frame->power += sum;
    weighted += b * sum;
    if (b < N_BANDS / 2)
      low += sum;
    else
      high += sum;

    x = sqrtf (sum);
    if (self->mean[b] == 0.f)
      self->mean[b] = self->in[b][0] = self->in[b][1] = x; /* no step at the beginning */
    self->mean[b] += (x - self->mean[b]) / FRAMES_PER_SECOND;
    y = self->gain * (x - self->in[b][1]) - self->a1 * self->out[b][0] - self->a2 * self->out[b][1];
    self->in[b][1] = self->in[b][0];
    self->in[b][0] = x;
    self->out[b][1] = self->out[b][0];
    self->out[b][0] = fabsf (y) < 1e-15f ? 0.f : y;
    frame->modulation += y * y / (self->mean[b] * self->mean[b] * N_BANDS);
  }
  frame->db = 10.f * log10f (frame->power);
  frame->centroid = weighted / frame->power;
  frame->balance = logf (high / low);
}

/* How much the bands' levels change, apart from all of them together. */
static gfloat
measure_flux (const Frame *frame, const Frame *before)
{
  gfloat mean = 0.f, sum = 0.f;

  for (gint b = 0; b < N_BANDS; b++)
    mean += (frame->bands[b] - before->bands[b]) / N_BANDS;
  for (gint b = 0; b < N_BANDS; b++)
    sum += fabsf (frame->bands[b] - before->bands[b] - mean) / N_BANDS;
  return sum;
}

/* The oldest line beside bin @k that may go on there: within a bin of where it began. */
static guint8
find_line (const GemmaMusic *self, gint k, gint16 *origin)
{
  guint8 oldest = 0;

  *origin = k;
  for (gint from = k - 1; from <= k + 1; from++)
    if (self->age[from] > oldest && abs (k - self->origin[from]) <= 1) {
      oldest = self->age[from];
      *origin = self->origin[from];
    }
  return oldest;
}

/* Peaks of the spectrum that go on from frame to frame are lines. */
static void
measure_lines (GemmaMusic *self, const gfloat *power, Frame *frame)
{
  gfloat level[LINE_LAST + AROUND + 1], sum = 0.f, short_power = 0.f, long_power = 0.f, all = FLOOR;
  gint16 origin[BINS];
  guint8 age[BINS] = { 0 };
  gint n_peaks = 0, n_lines = 0;

  for (gint k = 0; k <= LINE_LAST + AROUND; k++)
    level[k] = logf (power[k] + FLOOR / 16.f);
  for (gint k = LINE_FIRST - AROUND; k < LINE_FIRST + AROUND; k++)
    sum += level[k];
  for (gint k = LINE_FIRST; k < LINE_LAST; k++) {
    sum += level[k + AROUND];
    all += power[k];
    if (level[k] > level[k - 1] && level[k] >= level[k + 1] && level[k] > sum / (2 * AROUND + 1) + PROMINENCE) {
      gfloat own = power[k - 1] + power[k] + power[k + 1];
      age[k] = MIN (find_line (self, k, &origin[k]) + 1, 255);
      n_peaks++;
      n_lines += age[k] >= SHORT_LINE;
      short_power += age[k] >= SHORT_LINE ? own : 0.f;
      long_power += age[k] >= LONG_LINE ? own : 0.f;
    }
    sum -= level[k - AROUND];
  }
  memcpy (self->age, age, sizeof age);
  memcpy (self->origin, origin, sizeof origin);
  frame->short_lines = MIN (short_power / all, 1.f);
  frame->long_lines = MIN (long_power / all, 1.f);
  frame->line_share = n_lines / (n_peaks + 2.f);
}

/* ---- the window ---------------------------------------------------------------------------- */

typedef struct
{
  gfloat mean, deviation;
} Moments;

static Moments
get_moments (const GemmaMusic *self, gsize offset)
{
  gdouble sum = 0., squares = 0.;

  for (gint i = 0; i < self->n_frames; i++) {
    gdouble x = *(const gfloat *) ((const gchar *) get_frame (self, i) + offset);
    sum += x;
    squares += x * x;
  }
  sum /= self->n_frames;
  return (Moments){ sum, sqrt (MAX (squares / self->n_frames - sum * sum, 0.)) };
}

#define MOMENTS(field) get_moments (self, G_STRUCT_OFFSET (Frame, field))

static int
compare (gconstpointer a, gconstpointer b)
{
  gfloat x = *(const gfloat *) a, y = *(const gfloat *) b;

  return (x > y) - (x < y);
}

static void
compute_features (GemmaMusic *self)
{
  gfloat levels[WINDOW], *f = self->features, deviations = 0.f;
  Moments power = MOMENTS (power), flux = MOMENTS (flux), lines = MOMENTS (long_lines);
  gint n = self->n_frames, n_low = 0;

  for (gint i = 0; i < n; i++) {
    levels[i] = get_frame (self, i)->db;
    n_low += get_frame (self, i)->power < power.mean / 4.f; /* half of the amplitude */
  }
  qsort (levels, n, sizeof *levels, compare);
  for (gint b = 0; b < N_BANDS; b++)
    deviations += get_moments (self, G_STRUCT_OFFSET (Frame, bands) + b * sizeof (gfloat)).deviation / N_BANDS;

  *f++ = (gfloat) n_low / n;
  *f++ = logf (MOMENTS (modulation).mean + 1e-3f);
  *f++ = flux.mean;
  *f++ = flux.deviation;
  *f++ = MOMENTS (centroid).deviation;
  *f++ = MOMENTS (balance).deviation;
  *f++ = MOMENTS (db).deviation;
  *f++ = levels[n * 9 / 10] - levels[n / 10];
  *f++ = deviations;
  *f++ = MOMENTS (short_lines).mean;
  *f++ = lines.mean;
  *f++ = lines.deviation;
  *f++ = MOMENTS (line_share).mean;
}

/* ---- judgement ------------------------------------------------------------------------------ */

/* A network of a few tanh units, as fit-music.py prints it: a row of weights and the offset for each. */
#define N_UNITS 6
static const gfloat units[N_UNITS][GEMMA_MUSIC_FEATURES + 1] = {
#include "music-weights.h"
};
static const gfloat output[N_UNITS + 1] = GEMMA_MUSIC_OUTPUT;

static void
judge (GemmaMusic *self)
{
  gfloat step;

  compute_features (self);
  self->known = TRUE;
  self->odds = output[N_UNITS];
  for (gint u = 0; u < N_UNITS; u++) {
    gfloat sum = units[u][GEMMA_MUSIC_FEATURES];

    for (gint i = 0; i < GEMMA_MUSIC_FEATURES; i++)
      sum += units[u][i] * self->features[i];
    self->odds += output[u] * tanhf (sum);
  }
  step = CLAMP (self->odds - DOUBT, -SPEECH_STEP, MUSIC_STEP) * EVERY / FRAMES_PER_SECOND;
  self->evidence = CLAMP (self->evidence + step, -GEMMA_MUSIC_EVIDENCE, GEMMA_MUSIC_EVIDENCE);
}

static void
analyse (GemmaMusic *self)
{
  gfloat windowed[SIZE], magnitude[BINS];
  Frame *frame = &self->frames[self->next];

  for (gint i = 0; i < SIZE; i++)
    windowed[i] = self->samples[i] * self->window[i];
  gemma_spectrum_compute (&self->spectrum, windowed, SIZE, magnitude);
  for (gint k = 0; k < BINS; k++)
    magnitude[k] *= magnitude[k] / SIZE;

  measure_bands (self, magnitude, frame);
  measure_lines (self, magnitude, frame);
  frame->flux = self->n_frames ? measure_flux (frame, get_frame (self, 0)) : 0.f;
  self->next = (self->next + 1) % WINDOW;
  self->n_frames = MIN (self->n_frames + 1, self->longest);
  if (++self->n_new >= EVERY && self->n_frames >= SHORTEST) {
    self->n_new = 0;
    judge (self);
  }
}

/* Back to doubt in a few seconds. */
static void
fade (GemmaMusic *self)
{
  memset (self->age, 0, sizeof self->age);
  if (self->evidence > 0.f)
    self->evidence = MAX (self->evidence - FADE / FRAMES_PER_SECOND, 0.f);
  else
    self->evidence = MIN (self->evidence + FADE / FRAMES_PER_SECOND, 0.f);
}

void
gemma_music_push (GemmaMusic *self, const gfloat *samples, gboolean voiced)
{
  memmove (self->samples, self->samples + HOP, (SIZE - HOP) * sizeof (gfloat));
  for (gint i = 0; i < HOP; i++)
    self->samples[SIZE - HOP + i] = isfinite (samples[i]) ? CLAMP (samples[i], -100.f, 100.f) : 0.f;
  if (voiced)
    analyse (self);
  else
    fade (self);
}

void
gemma_music_set_quick (GemmaMusic *self, gboolean quick)
{
  self->longest = quick ? QUICK_WINDOW : WINDOW;
  self->n_frames = MIN (self->n_frames, self->longest);
}

void
gemma_music_set_evidence (GemmaMusic *self, gfloat evidence)
{
  self->evidence = CLAMP (evidence, -GEMMA_MUSIC_EVIDENCE, GEMMA_MUSIC_EVIDENCE);
}

gfloat
gemma_music_get_evidence (const GemmaMusic *self)
{
  return self->evidence;
}

gfloat
gemma_music_get_odds (const GemmaMusic *self)
{
  return self->odds;
}

const gfloat *
gemma_music_get_features (const GemmaMusic *self)
{
  return self->known ? self->features : NULL;
}
