/* See voice-gate.h. */
#include "voice-gate.h"

#include <math.h>

#define FRAME_MS 20
#define N_BUCKETS 8         /* of which the floor is the minimum: adapt_ms in steps */
#define QUIET_ROOM_DB -50.f /* the floor that a new stream is thought to have */
#define HIGHPASS_HZ 100.f   /* below it: offset, hum, rumble */

struct _GemmaVoiceGate
{
  GemmaVoiceGateParams params;
  gint frame; /* samples */
  gint onset_frames, hangover_frames, bucket_frames;

  /* The frame being filled. */
  gfloat highpass, previous_in, previous_out;
  gdouble energy;
  gint n_samples;

  /* The noise floor: minima of the last buckets, the newest last. */
  gfloat minima[N_BUCKETS];
  gint bucket_fill;

  gint64 position; /* end of the last whole frame */
  gboolean voiced, loud;
  gint n_loud; /* frames of an onset so far */
  gint64 loud_start, loud_end;
};

static gint
frames_of (gint ms)
{
  return MAX (1, (ms + FRAME_MS / 2) / FRAME_MS);
}

GemmaVoiceGate *
gemma_voice_gate_new (const GemmaVoiceGateParams *params)
{
  static const GemmaVoiceGateParams defaults = GEMMA_VOICE_GATE_PARAMS_INIT;
  GemmaVoiceGate *gate = g_new0 (GemmaVoiceGate, 1);
  GemmaVoiceGateParams *p = &gate->params;

  *p = params != NULL ? *params : defaults;
  p->rate = CLAMP (p->rate, 1000, 768000);
  p->onset_ms = CLAMP (p->onset_ms, 0, 10000);
  p->hangover_ms = CLAMP (p->hangover_ms, 0, 60000);
  p->adapt_ms = CLAMP (p->adapt_ms, N_BUCKETS * FRAME_MS, 600000);
  p->open_db = CLAMP (p->open_db, 0.5f, 60.f);
  p->close_db = CLAMP (p->close_db, 0.f, p->open_db);
  p->min_dbfs = CLAMP (p->min_dbfs, -120.f, 0.f);

  gate->frame = p->rate * FRAME_MS / 1000;
  gate->onset_frames = frames_of (p->onset_ms);
  gate->hangover_frames = frames_of (p->hangover_ms);
  gate->bucket_frames = frames_of (p->adapt_ms / N_BUCKETS);
  gate->highpass = expf (-2.f * (gfloat) G_PI * HIGHPASS_HZ / p->rate);
  gemma_voice_gate_reset (gate);
  return gate;
}

void
gemma_voice_gate_free (GemmaVoiceGate *gate)
{
  g_free (gate);
}

void
gemma_voice_gate_reset (GemmaVoiceGate *gate)
{
  gate->previous_in = gate->previous_out = 0.f;
  gate->energy = 0.;
  gate->n_samples = 0;
  for (gint i = 0; i < N_BUCKETS; i++)
    gate->minima[i] = QUIET_ROOM_DB;
  gate->bucket_fill = 0;
  gate->position = 0;
  gate->voiced = gate->loud = FALSE;
  gate->n_loud = 0;
  gate->loud_start = gate->loud_end = 0;
}

static void
update_floor (GemmaVoiceGate *gate, gfloat db)
{
  gfloat *newest = &gate->minima[N_BUCKETS - 1];

  if (gate->bucket_fill == gate->bucket_frames) {
    for (gint i = 0; i < N_BUCKETS - 1; i++)
      gate->minima[i] = gate->minima[i + 1];
    *newest = db;
    gate->bucket_fill = 0;
  }
  *newest = MIN (*newest, db);
  gate->bucket_fill++;
}

static gfloat
noise_floor (GemmaVoiceGate *gate)
{
  gfloat floor = gate->minima[0];

  for (gint i = 1; i < N_BUCKETS; i++)
    floor = MIN (floor, gate->minima[i]);
  return floor;
}

static void
change (GemmaVoiceGate *gate, gboolean voiced, gint64 sample, GArray *changes)
{
  GemmaVoiceChange c = { sample, voiced };

  gate->voiced = voiced;
  gate->n_loud = 0;
  g_array_append_val (changes, c);
}

static void
judge_frame (GemmaVoiceGate *gate, gfloat db, GArray *changes)
{
  const GemmaVoiceGateParams *p = &gate->params;
  gint64 start = gate->position;
  gfloat margin = gate->voiced ? p->close_db : p->open_db;

  gate->position += gate->frame;
  update_floor (gate, db);
  gate->loud = db >= p->min_dbfs && db >= noise_floor (gate) + margin;

  if (gate->loud)
    gate->loud_end = gate->position;
  if (gate->voiced) {
    if (gate->position - gate->loud_end >= (gint64) gate->hangover_frames * gate->frame)
      change (gate, FALSE, gate->loud_end, changes);
    return;
  }
  if (!gate->loud) {
    gate->n_loud = 0;
    return;
  }
  if (gate->n_loud++ == 0)
    gate->loud_start = start;
  if (gate->n_loud >= gate->onset_frames)
    change (gate, TRUE, gate->loud_start, changes);
}

void
gemma_voice_gate_push (GemmaVoiceGate *gate, const gfloat *samples, gsize n, GArray *changes)
{
  for (gsize i = 0; i < n; i++) {
    gfloat x = isfinite (samples[i]) ? CLAMP (samples[i], -100.f, 100.f) : 0.f;
    gfloat y = x - gate->previous_in + gate->highpass * gate->previous_out;

    gate->previous_in = x;
    gate->previous_out = fabsf (y) < 1e-15f ? 0.f : y; /* no denormals in silence */
    gate->energy += (gdouble) y * y;
    if (++gate->n_samples < gate->frame)
      continue;
    judge_frame (gate, 10. * log10 (gate->energy / gate->frame + 1e-12), changes);
    gate->energy = 0.;
    gate->n_samples = 0;
  }
}

void
gemma_voice_gate_drain (GemmaVoiceGate *gate, GArray *changes)
{
  if (gate->voiced)
    change (gate, FALSE, gate->loud_end, changes);
  gemma_voice_gate_reset (gate);
}

gboolean
gemma_voice_gate_is_voiced (GemmaVoiceGate *gate)
{
  return gate->voiced;
}

gboolean
gemma_voice_gate_is_loud (GemmaVoiceGate *gate)
{
  return gate->loud;
}

gint64
gemma_voice_gate_get_settled (GemmaVoiceGate *gate)
{
  if (gate->voiced)
    return gate->loud_end;
  return gate->n_loud > 0 ? gate->loud_start : gate->position;
}
