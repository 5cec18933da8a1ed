/* A voice gate: where in a stream somebody may be speaking, by energy.
 *
 * Debian 12 ships no libfvad, and the language model behind the gate is the real judge of speech; the gate only
 * keeps silence and steady noise from it. So: energy above an adaptive noise floor, with hysteresis in level and
 * in time, which errs towards "voiced". The floor is the quietest 20 ms of the last seconds: speech has pauses
 * between syllables that show the room's noise, a fan or a tone has none and becomes the floor itself.
 *
 * Streaming: the changes do not depend on how the samples are split. Not thread-safe; needs no device.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  gint rate;        /* samples per second */
  gint onset_ms;    /* a sound must last this long to open the gate */
  gint hangover_ms; /* it stays open through pauses up to this long */
  gint adapt_ms;    /* a steady sound is taken for noise after this long */
  gfloat open_db;   /* opens this much above the noise floor, */
  gfloat close_db;  /* and is held open by what is this much above it; <= open_db */
  gfloat min_dbfs;  /* what is quieter than this (RMS; a full-scale sine is -3) is silence */
} GemmaVoiceGateParams;

#define GEMMA_VOICE_GATE_PARAMS_INIT \
  { \
    .rate = 16000, .onset_ms = 60, .hangover_ms = 400, .adapt_ms = 3000, .open_db = 9.f, .close_db = 5.f, \
    .min_dbfs = -60.f \
  }

/** A transition: from @sample on (counted from the last reset) the stream is, or is not, voiced. */
typedef struct
{
  gint64 sample;
  gboolean voiced;
} GemmaVoiceChange;

typedef struct _GemmaVoiceGate GemmaVoiceGate;

/** @params: (nullable): the defaults above; values out of range are clamped. (transfer full) */
GemmaVoiceGate *gemma_voice_gate_new (const GemmaVoiceGateParams *params);
void gemma_voice_gate_free (GemmaVoiceGate *gate);
/** The next sample is sample 0 of a new stream: unvoiced, noise floor unknown. */
void gemma_voice_gate_reset (GemmaVoiceGate *gate);

/**
 * gemma_voice_gate_push:
 * @samples: mono in [-1, 1]; NaN and Inf count as 0
 * @changes: GemmaVoiceChange elements; transitions are appended
 *
 * A change to voiced begins at the first loud frame, so it is reported onset_ms (and up to a frame of 20 ms) after
 * its sample; a change to unvoiced begins where the last sound ended and is reported hangover_ms after it.
 * Samples of successive changes ascend. The gate starts unvoiced.
 */
void gemma_voice_gate_push (GemmaVoiceGate *gate, const gfloat *samples, gsize n, GArray *changes);

/** The stream ends: an open gate closes where the last sound ended. The gate is reset. */
void gemma_voice_gate_drain (GemmaVoiceGate *gate, GArray *changes);

/** As known now: voiced during onset is still FALSE, during hangover still TRUE. */
gboolean gemma_voice_gate_is_voiced (GemmaVoiceGate *gate);
/** TRUE if the newest frame alone was loud enough to open the gate, or to hold it open if it is. */
gboolean gemma_voice_gate_is_loud (GemmaVoiceGate *gate);

/** Samples whose state can no longer change: no later push reports a change before this one. */
gint64 gemma_voice_gate_get_settled (GemmaVoiceGate *gate);

G_END_DECLS
