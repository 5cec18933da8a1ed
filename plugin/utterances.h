/* Soft tokens in, utterances and silences out: what the language model is asked about at once.
 *
 * An utterance ends with a silence that is long enough, at a hole in time, or when it is as long as it may be; then
 * it is cut at a pause in its second half if it has one, else where that is the least loud. When streaming, nothing that was
 * heard can be cut off again: it ends at the first pause in its last third, or where it is, and the next one begins with its
 * second half, so that what was understood decides at which word the one ends and the other begins.
 * An utterance is told as it grows, too. Plain C: no streams.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/** How much of its span a token has heard. */
#define GEMMA_SOUND_HEARD (92 * GST_MSECOND)
/** How much of that, in whole frames of 20 ms, it is judged by; what is loud after that makes the next one loud. */
#define GEMMA_SOUND_JUDGED (80 * GST_MSECOND)

/** A usual syllable: what is shorter is no word. */
#define GEMMA_SOUND_SYLLABLE (200 * GST_MSECOND)

/** Levels that are known of each token: one for 20 ms, from half a token before its start on. */
#define GEMMA_SOUND_LEVELS 8
#define GEMMA_SOUND_NO_LEVEL 0

typedef struct
{
  GstClockTime start, end;
  gboolean quiet;               /* nothing was loud from GEMMA_SOUND_JUDGED into the one before until there in it */
  guint8 levels[GEMMA_SOUND_LEVELS]; /* RMS, dB below full scale, >= 1; GEMMA_SOUND_NO_LEVEL: not known */
} GemmaSoundToken;

typedef struct
{
  GstClockTime start, end;      /* of the speech; nothing of it, if only carried tokens are left */
  GArray *rows;                 /* gfloat: the values of its tokens */
  GArray *tokens;               /* GemmaSoundToken: the same ones */
  guint n_carried;              /* the first ones: they are of the utterance before, which was cut at @start */
  guint n_kept;                 /* the last ones: they will be carried into the next one, as this was cut at @end; or 0 */
  gboolean dismissed;           /* it was no speech after all: words that have left stay, but no more are asked for */
} GemmaUtterance;

typedef struct
{
  /** Speech. @utterance: its arrays are kept by whoever takes references */
  void (*speech) (const GemmaUtterance *utterance, gpointer user_data);
  void (*silence) (GstClockTime start, GstClockTime end, gpointer user_data);
  /**
   * (nullable): speech that goes on, its tokens so far; the arrays will grow. That of speech() will have the same start and,
   * when streaming, begin with them.
   */
  void (*heard) (const GemmaUtterance *utterance, gpointer user_data);
} GemmaUtterancesFuncs;

typedef struct _GemmaUtterances GemmaUtterances;

/** @hidden: values of a token */
GemmaUtterances *gemma_utterances_new (guint hidden, const GemmaUtterancesFuncs *funcs, gpointer user_data);
void gemma_utterances_free (GemmaUtterances *utterances);
guint gemma_utterances_get_hidden (GemmaUtterances *utterances);

/**
 * @silence: a pause this long ends an utterance
 * @longest: it is cut at this length
 * @streaming: words of it leave before it ends
 *
 * From the next token on.
 */
void gemma_utterances_set_limits (GemmaUtterances *utterances, GstClockTime silence, GstClockTime longest,
    gboolean streaming);

/** @quiet: nothing loud in it; @levels: (nullable): GEMMA_SOUND_LEVELS; @begins: it does not continue what came before */
void gemma_utterances_push (GemmaUtterances *utterances, GstClockTime pts, GstClockTime duration, gboolean quiet,
    const guint8 *levels, gboolean begins, const gfloat *row);
/** Silence without tokens. */
void gemma_utterances_push_silence (GemmaUtterances *utterances, GstClockTime pts, GstClockTime duration);
/** Ends the utterance. */
void gemma_utterances_drain (GemmaUtterances *utterances);
/** The utterance so far is none: silence. When streaming it ends, and is told as dismissed. */
void gemma_utterances_forget (GemmaUtterances *utterances);
/** Forgets everything. */
void gemma_utterances_reset (GemmaUtterances *utterances);

G_END_DECLS
