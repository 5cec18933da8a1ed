#include "clips.h"

#include "models/speech-gate.h"

#include <math.h>

#define FRAME 320               /* the gate's 20 ms */
#define PREROLL 3840            /* 240 ms of sound before an onset belong to its clip */
/* A token leaves when the encoder has heard this much of it; what is loud from here to the same place in the
 * next token counts for the next one. */
#define HEARD 1472

/* What is known of each frame. */
typedef struct
{
  guint8 loud, level;
} Loudness;

struct _GemmaClips
{
  GemmaUsmStream *stream;
  GemmaSpeechGate *gate;
  guint hidden;
  gboolean gated;
  GemmaClipsFuncs funcs;
  gpointer user_data;

  gint64 position;              /* samples so far */
  GArray *history;              /* gfloat: samples that may still be encoded */
  gint64 history_start;
  GArray *loud;                 /* Loudness of each frame from loud_start on */
  gint64 loud_start;
  gdouble energy;               /* of the frame being filled */
  gint64 silence_start;         /* ungated: unused; gated, between clips: nothing is told yet from here on */

  gboolean active;              /* in a clip */
  gint64 clip_start, clip_fed, n_tokens;
  guint64 n_music;              /* samples */
  GArray *rows, *changes;       /* scratch */
};

GemmaClips *
gemma_clips_new (GemmaUsmStream *stream, guint hidden, gboolean gated, gboolean music, const GemmaClipsFuncs *funcs,
    gpointer user_data)
{
  GemmaClips *self = g_new0 (GemmaClips, 1);

  self->stream = stream;
  self->gate = gemma_speech_gate_new (gated && music);
  self->hidden = hidden;
  self->gated = gated;
  self->funcs = *funcs;
  self->user_data = user_data;
  self->history = g_array_new (FALSE, FALSE, sizeof (gfloat));
  self->loud = g_array_new (FALSE, FALSE, sizeof (Loudness));
  self->rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  self->changes = g_array_new (FALSE, FALSE, sizeof (GemmaSpeechChange));
  self->active = !gated;
  return self;
}

void
gemma_clips_free (GemmaClips *self)
{
  gemma_usm_stream_free (self->stream);
  gemma_speech_gate_free (self->gate);
  g_array_unref (self->history);
  g_array_unref (self->loud);
  g_array_unref (self->rows);
  g_array_unref (self->changes);
  g_free (self);
}

gint64
gemma_clips_get_position (GemmaClips *self)
{
  return self->position;
}

guint64
gemma_clips_take_music (GemmaClips *self)
{
  guint64 n = self->n_music;

  self->n_music = 0;
  return n;
}

void
gemma_clips_reset (GemmaClips *self)
{
  gemma_usm_stream_reset (self->stream);
  gemma_speech_gate_reset (self->gate);
  g_array_set_size (self->history, 0);
  g_array_set_size (self->loud, 0);
  self->position = self->history_start = self->loud_start = self->silence_start = 0;
  self->clip_start = self->clip_fed = self->n_tokens = 0;
  self->energy = 0.;
  self->active = !self->gated;
}

/* The levels of the whole frames that the token before had not heard and this one has; whether none was loud. */
static gboolean
is_quiet (GemmaClips *self, gint64 first, guint8 *levels)
{
  gint64 end = (first + HEARD) / FRAME - self->loud_start;
  gboolean quiet = TRUE;

  for (gint i = 0; i < GEMMA_SOUND_LEVELS; i++) {
    gint64 at = end - GEMMA_SOUND_LEVELS + i;
    gboolean known = at >= 0 && at < self->loud->len;
    const Loudness *frame = known ? &g_array_index (self->loud, Loudness, at) : NULL;
    levels[i] = known ? frame->level : GEMMA_SOUND_NO_LEVEL;
    quiet = quiet && !(known && frame->loud);
  }
  return quiet;
}

static void
tell_tokens (GemmaClips *self, gint64 end)
{
  guint n = self->rows->len / self->hidden;

  for (guint i = 0; i < n; i++) {
    gint64 first = self->clip_start + self->n_tokens * GEMMA_CLIPS_TOKEN;
    const gfloat *row = &g_array_index (self->rows, gfloat, i * self->hidden);
    guint8 levels[GEMMA_SOUND_LEVELS];
    gboolean quiet = is_quiet (self, first, levels);
    self->funcs.token (first, MIN (first + GEMMA_CLIPS_TOKEN, end), quiet, levels, self->n_tokens == 0, row,
        self->user_data);
    self->n_tokens++;
  }
  g_array_set_size (self->rows, 0);
}

static void
trim_history (GemmaClips *self, gint64 keep)
{
  gint64 n = CLAMP (keep - self->history_start, 0, (gint64) self->history->len);

  /* Not at each call: moving what remains costs more than it saves. */
  if (n < 16000 && n < (gint64) self->history->len)
    return;
  g_array_remove_range (self->history, 0, n);
  self->history_start += n;

  gint64 frames = MIN (MAX (0, self->history_start / FRAME - 16 - self->loud_start), (gint64) self->loud->len);
  if (frames > 0)
    g_array_remove_range (self->loud, 0, frames);
  self->loud_start += MAX (frames, 0);
}

static gboolean
feed (GemmaClips *self, GError **error)
{
  gint64 n = self->position - self->clip_fed;

  if (n > 0 && !gemma_usm_stream_push (self->stream,
          &g_array_index (self->history, gfloat, self->clip_fed - self->history_start), n, self->rows, error))
    return FALSE;
  self->clip_fed = self->position;
  tell_tokens (self, G_MAXINT64);
  trim_history (self, self->clip_fed);
  return TRUE;
}

static void
begin_clip (GemmaClips *self, gint64 onset)
{
  gint64 start = MAX (onset - PREROLL, self->silence_start);

  if (start > self->silence_start)
    self->funcs.silence (self->silence_start, start, self->user_data);
  gemma_usm_stream_reset (self->stream);
  self->active = TRUE;
  self->clip_start = self->clip_fed = start;
  self->n_tokens = 0;
}

static gboolean
end_clip (GemmaClips *self, GError **error)
{
  if (!feed (self, error) || !gemma_usm_stream_drain (self->stream, self->rows, error))
    return FALSE;
  tell_tokens (self, self->position);
  self->active = !self->gated;
  self->silence_start = self->position;
  return TRUE;
}

/* It was music: what the encoder still holds is forgotten, and who has its tokens is told. What had not become tokens
 * yet, which is more the more sound comes at once, is silence. */
static void
drop_clip (GemmaClips *self)
{
  gint64 told = self->clip_start + self->n_tokens * GEMMA_CLIPS_TOKEN;

  if (self->n_tokens)
    self->funcs.dropped (self->clip_start, self->position, self->user_data);
  if (told < self->position)
    self->funcs.silence (told, self->position, self->user_data);
  self->active = FALSE;
  self->silence_start = self->position;
}

/* Silence that can no longer become the pre-roll of a clip. */
static void
tell_silence (GemmaClips *self)
{
  gint64 until = gemma_speech_gate_get_settled (self->gate) - PREROLL;

  if (until - self->silence_start < GEMMA_CLIPS_TOKEN)
    return;
  self->funcs.silence (self->silence_start, until, self->user_data);
  self->silence_start = until;
  trim_history (self, until);
}

/* Up to one frame is heard. */
static void
follow_loudness (GemmaClips *self, const gfloat *samples, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    gfloat x = isfinite (samples[i]) ? samples[i] : 0.f;
    self->energy += (gdouble) x * x;
  }
  if (self->position % FRAME)
    return;
  gdouble db = -10. * log10 (self->energy / FRAME + 1e-20);
  const Loudness frame = { gemma_speech_gate_is_loud (self->gate), CLAMP (db, 1., 255.) };
  g_array_append_val (self->loud, frame);
  self->energy = 0.;
}

/* Shows the gate up to one frame, so that loudness is known for every frame however the samples are split. */
static gboolean
gate_frame (GemmaClips *self, const gfloat *samples, gsize n, GError **error)
{
  g_array_set_size (self->changes, 0);
  gemma_speech_gate_push (self->gate, samples, n, self->changes);
  self->position += n;
  follow_loudness (self, samples, n);

  for (guint i = 0; self->gated && i < self->changes->len; i++) {
    const GemmaSpeechChange *change = &g_array_index (self->changes, GemmaSpeechChange, i);
    if (change->kind == GEMMA_SPEECH_BEGINS && !self->active) {
      begin_clip (self, change->sample);
    } else if (change->kind != GEMMA_SPEECH_BEGINS && self->active) {
      if (change->kind == GEMMA_SPEECH_WAS_MUSIC)
        drop_clip (self);
      else if (!end_clip (self, error))
        return FALSE;
      self->funcs.silence (self->position, self->position, self->user_data);
    }
  }
  if (gemma_speech_gate_is_music (self->gate))
    self->n_music += n;
  return TRUE;
}

gboolean
gemma_clips_push (GemmaClips *self, const gfloat *samples, gsize n, GError **error)
{
  g_array_append_vals (self->history, samples, n);
  while (n) {
    gsize m = MIN (n, (gsize) (FRAME - self->position % FRAME));
    if (!gate_frame (self, samples, m, error))
      return FALSE;
    samples += m;
    n -= m;
  }
  if (self->active)
    return feed (self, error);
  tell_silence (self);
  return TRUE;
}

gboolean
gemma_clips_drain (GemmaClips *self, GError **error)
{
  gboolean ok = TRUE;

  if (self->position && self->active)
    ok = end_clip (self, error);
  if (ok && self->gated && self->position)      /* where a clip has ended, of no length */
    self->funcs.silence (self->silence_start, self->position, self->user_data);
  gemma_clips_reset (self);
  return ok;
}
