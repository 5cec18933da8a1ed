/* Sound in, soft tokens and silences out: the audio encoder and the voice gate in step.
 *
 * Ungated, all sound is one clip and every token leaves. Gated, each stretch of speech is a clip of its own: the
 * encoder starts afresh a moment before the onset (its cumulative norms never forget), silence and, if wanted, music are not encoded.
 * Positions are samples since the last reset. Plain C: no streams, no clocks.
 */
#pragma once

#include "models/usm.h"
#include "utterances.h"

G_BEGIN_DECLS

#define GEMMA_CLIPS_RATE 16000
#define GEMMA_CLIPS_TOKEN 2560          /* samples that a token stands for */

typedef struct
{
  /**
   * @quiet: nothing loud in it; @levels: of its sound (utterances.h); @begins: the first of a clip; @row: the token's
   * values
   */
  void (*token) (gint64 first, gint64 end, gboolean quiet, const guint8 *levels, gboolean begins, const gfloat *row,
      gpointer user_data);
  /** @first == @end: a clip has ended here, silence follows */
  void (*silence) (gint64 first, gint64 end, gpointer user_data);
  /** The clip that began at @first, of which there were tokens, was music; it ends here */
  void (*dropped) (gint64 first, gint64 end, gpointer user_data);
} GemmaClipsFuncs;

typedef struct _GemmaClips GemmaClips;

/** @stream: (transfer full); @hidden: values of a token; @music: music counts as silence, if @gated */
GemmaClips *gemma_clips_new (GemmaUsmStream *stream, guint hidden, gboolean gated, gboolean music,
    const GemmaClipsFuncs *funcs, gpointer user_data);
void gemma_clips_free (GemmaClips *clips);
gboolean gemma_clips_push (GemmaClips *clips, const gfloat *samples, gsize n, GError **error);
/** The sound ends; the next sample is sample 0. */
gboolean gemma_clips_drain (GemmaClips *clips, GError **error);
/** As drain, but what waits is forgotten. */
void gemma_clips_reset (GemmaClips *clips);
/** Samples since the last reset. */
gint64 gemma_clips_get_position (GemmaClips *clips);
/** Samples in which the gate was closed for music, since it was asked last. */
guint64 gemma_clips_take_music (GemmaClips *clips);

G_END_DECLS
