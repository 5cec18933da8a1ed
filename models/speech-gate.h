/* Where in a stream somebody may be speaking: what the voice gate (energy) lets through and is not music.
 *
 * A sound opens the gate at once, as the voice gate knows it. When it has sounded like music for some seconds, the gate
 * closes, and what was heard since it opened is music, too, if nothing of it was like speech. While music plays, a sound
 * clearly above its level opens the gate at once; otherwise it opens when the evidence for music is gone, from HOLD back.
 * After a pause the next sound opens it as always.
 *
 * Streaming, at 16 kHz: the changes do not depend on how the samples are split. Not thread-safe; needs no device.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  GEMMA_SPEECH_BEGINS,
  GEMMA_SPEECH_ENDS,
  GEMMA_SPEECH_WAS_MUSIC, /* all since it began */
} GemmaSpeechKind;

typedef struct
{
  gint64 sample; /* counted from the last reset */
  GemmaSpeechKind kind;
} GemmaSpeechChange;

typedef struct _GemmaSpeechGate GemmaSpeechGate;

/** @music: whether music closes the gate. (transfer full) */
GemmaSpeechGate *gemma_speech_gate_new (gboolean music);
void gemma_speech_gate_free (GemmaSpeechGate *gate);
/** The next sample is sample 0 of a new stream. */
void gemma_speech_gate_reset (GemmaSpeechGate *gate);

/** @samples: mono in [-1, 1]; @changes: GemmaSpeechChange elements; a beginning, then an end or music, in turns */
void gemma_speech_gate_push (GemmaSpeechGate *gate, const gfloat *samples, gsize n, GArray *changes);

/** As of the voice gate: whether the newest frame of 20 ms was loud. */
gboolean gemma_speech_gate_is_loud (GemmaSpeechGate *gate);
/** Music plays, the gate is closed for it. */
gboolean gemma_speech_gate_is_music (GemmaSpeechGate *gate);
/** No later push reports a beginning before this sample. */
gint64 gemma_speech_gate_get_settled (GemmaSpeechGate *gate);

G_END_DECLS
