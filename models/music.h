/* Speech or music? Judges the last seconds of a sound that a voice gate let through.
 *
 * Features from the literature (see music.c), a score that a small script fitted (fit-music.py), and evidence that is
 * summed over time: music is what has sounded like it for seconds on end. In doubt it is speech. The judgement covers
 * what is loudest: speech over quieter music is speech. Singing may count as either.
 *
 * Streaming: nothing depends on how the samples are split. Not thread-safe; needs no device.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define GEMMA_MUSIC_RATE 16000
#define GEMMA_MUSIC_HOP 320     /* a frame of 20 ms */
#define GEMMA_MUSIC_FEATURES 13
#define GEMMA_MUSIC_EVIDENCE 5.f

typedef struct _GemmaMusic GemmaMusic;

/** (transfer full) */
GemmaMusic *gemma_music_new (void);
void gemma_music_free (GemmaMusic *music);
/** The next sample is sample 0 of a new stream. */
void gemma_music_reset (GemmaMusic *music);
/** A sound begins here: what was heard before does not count in its features; the evidence stays. */
void gemma_music_begin (GemmaMusic *music);

/** @samples: a frame of GEMMA_MUSIC_HOP, mono in [-1, 1]; NaN and Inf count as 0. Unvoiced ones let the evidence fade. */
void gemma_music_push (GemmaMusic *music, const gfloat *samples, gboolean voiced);

/** Judge by 1.2 seconds instead of two: sooner, less surely. */
void gemma_music_set_quick (GemmaMusic *music, gboolean quick);

/** Evidence for music, from -GEMMA_MUSIC_EVIDENCE (speech) to that (music): log odds, less some doubt, summed over seconds. */
gfloat gemma_music_get_evidence (const GemmaMusic *music);
void gemma_music_set_evidence (GemmaMusic *music, gfloat evidence);
/** Log odds of music in the last two seconds; 0 until a second has been heard. */
gfloat gemma_music_get_odds (const GemmaMusic *music);
/** What the odds come from, to fit it; %NULL before a second has been heard. */
const gfloat *gemma_music_get_features (const GemmaMusic *music);

G_END_DECLS
