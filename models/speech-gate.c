/* See speech-gate.h. */
#include "speech-gate.h"

#include "music.h"
#include "voice-gate.h"

#include <math.h>

#define FRAME GEMMA_MUSIC_HOP
#define HOLD (GEMMA_MUSIC_RATE * 5 / 2) /* evidence for speech over music takes up to this long */
/* Evidence at which music begins and is over. */
#define MUSIC_ABOVE (GEMMA_MUSIC_EVIDENCE - .01f)
#define SPEECH_BELOW (GEMMA_MUSIC_EVIDENCE * .6f)
/* Evidence that shows that a sound has had speech in it: a quarter of a second of it. */
#define HAD_SPEECH -.25f
/* A sound this much above the loudest of the music, which is forgotten by so much a second, for so many frames. */
#define ABOVE_DB 3.f
#define FORGET_DB 1.5f
#define ONSET_FRAMES 3
#define LEARN_FRAMES 50 /* after it opened, until the level of what came before is known */
#define QUIET_DB -120.f

typedef enum
{
  SILENT,
  OPEN,
  MUSIC
} State;

struct _GemmaSpeechGate
{
  GemmaVoiceGate *voice;
  GemmaMusic *music; /* NULL: music is as good as speech */
  GArray *voice_changes;

  gfloat frame[FRAME];
  gint64 position;
  State state;
  gboolean had_speech;
  gfloat last[2];   /* levels of the frames before, dB */
  gfloat recent[2]; /* loudest of this second and of the one before; medians of three, as an onset is not one frame */
  gfloat peak;      /* of what came before an onset */
  gfloat loudest;   /* since the gate opened */
  gint n_above, n_open; /* frames */
};

GemmaSpeechGate *
gemma_speech_gate_new (gboolean music)
{
  GemmaSpeechGate *self = g_new0 (GemmaSpeechGate, 1);

  self->voice = gemma_voice_gate_new (NULL);
  self->voice_changes = g_array_new (FALSE, FALSE, sizeof (GemmaVoiceChange));
  if (music)
    self->music = gemma_music_new ();
  gemma_speech_gate_reset (self);
  return self;
}

void
gemma_speech_gate_free (GemmaSpeechGate *self)
{
  gemma_voice_gate_free (self->voice);
  gemma_music_free (self->music);
  g_array_unref (self->voice_changes);
  g_free (self);
}

void
gemma_speech_gate_reset (GemmaSpeechGate *self)
{
  gemma_voice_gate_reset (self->voice);
  if (self->music)
    gemma_music_reset (self->music);
  self->position = 0;
  self->state = SILENT;
  self->had_speech = FALSE;
  self->peak = self->loudest = self->last[0] = self->last[1] = self->recent[0] = self->recent[1] = QUIET_DB;
  self->n_above = 0;
}

static void
change (GemmaSpeechGate *self, State state, GemmaSpeechKind kind, gint64 sample, GArray *changes)
{
  GemmaSpeechChange c = { sample, kind };

  self->state = state;
  g_array_append_val (changes, c);
}

static void
begin_sound (GemmaSpeechGate *self)
{
  self->had_speech = FALSE;
  self->n_above = self->n_open = 0;
  self->loudest = self->peak = QUIET_DB;
  if (self->music) {
    gemma_music_set_quick (self->music, FALSE);
    gemma_music_begin (self->music);
  }
}

static void
take_voice_changes (GemmaSpeechGate *self, GArray *changes)
{
  for (guint i = 0; i < self->voice_changes->len; i++) {
    const GemmaVoiceChange *c = &g_array_index (self->voice_changes, GemmaVoiceChange, i);

    if (c->voiced) {
      begin_sound (self);
      change (self, OPEN, GEMMA_SPEECH_BEGINS, c->sample, changes);
    } else if (self->state == OPEN) {
      change (self, SILENT, GEMMA_SPEECH_ENDS, c->sample, changes);
    } else {
      self->state = SILENT;
    }
  }
  g_array_set_size (self->voice_changes, 0);
}

static gfloat
median (gfloat a, gfloat b, gfloat c)
{
  return MAX (MIN (a, b), MIN (MAX (a, b), c));
}

/* TRUE: a sound stands out from what came before it. */
static gboolean
follow_level (GemmaSpeechGate *self)
{
  gdouble energy = 1e-12;
  gfloat db, level;

  for (gint i = 0; i < FRAME; i++)
    energy += isfinite (self->frame[i]) ? (gdouble) self->frame[i] * self->frame[i] : 0.;
  db = 10. * log10 (energy / FRAME);
  level = median (db, self->last[0], self->last[1]);
  self->last[1] = self->last[0];
  self->last[0] = db;

  if (self->position % GEMMA_MUSIC_RATE < FRAME) {
    self->recent[1] = self->recent[0];
    self->recent[0] = QUIET_DB;
  }
  self->recent[0] = MAX (self->recent[0], level);
  self->loudest = MAX (self->loudest, level);
  self->n_open++;

  self->n_above = db > self->peak + ABOVE_DB ? self->n_above + 1 : 0;
  gboolean above = self->n_above >= ONSET_FRAMES && self->n_open > LEARN_FRAMES;
  if (self->n_above == 0 || self->n_open <= LEARN_FRAMES || (above && self->state == OPEN))
    self->peak = MAX (self->peak - FORGET_DB * FRAME / GEMMA_MUSIC_RATE, level);
  return above;
}

static void
close_for_music (GemmaSpeechGate *self, GArray *changes)
{
  gfloat peak = MAX (self->recent[0], self->recent[1]);
  gboolean speech = self->had_speech || self->loudest > peak + ABOVE_DB;

  change (self, MUSIC, speech ? GEMMA_SPEECH_ENDS : GEMMA_SPEECH_WAS_MUSIC, self->position, changes);
  gemma_music_set_quick (self->music, TRUE);
  self->peak = peak;
  self->n_above = 0;
}

static void
judge_frame (GemmaSpeechGate *self, GArray *changes)
{
  gboolean above = follow_level (self);
  gfloat evidence;

  gemma_music_push (self->music, self->frame, gemma_voice_gate_is_voiced (self->voice));
  evidence = gemma_music_get_evidence (self->music);
  if (self->state == OPEN) {
    self->had_speech |= evidence < HAD_SPEECH;
    if (above) /* a word over music takes a while to be seen as such */
      gemma_music_set_evidence (self->music, MIN (evidence, 0.f));
    else if (evidence > MUSIC_ABOVE)
      close_for_music (self, changes);
  } else if (self->state == MUSIC && above) {
    gint n = self->n_above;
    begin_sound (self);
    self->had_speech = TRUE; /* a word, or an accent: never to be lost */
    gemma_music_set_evidence (self->music, 0.f);
    change (self, OPEN, GEMMA_SPEECH_BEGINS, self->position - n * FRAME, changes);
  } else if (self->state == MUSIC && evidence < SPEECH_BELOW) {
    gemma_music_set_quick (self->music, FALSE);
    self->had_speech = FALSE;
    self->loudest = MAX (self->recent[0], self->recent[1]);
    change (self, OPEN, GEMMA_SPEECH_BEGINS, self->position - HOLD, changes);
  }
}

void
gemma_speech_gate_push (GemmaSpeechGate *self, const gfloat *samples, gsize n, GArray *changes)
{
  for (gsize i = 0; i < n; i++) {
    gint at = self->position++ % FRAME;

    self->frame[at] = samples[i];
    if (at < FRAME - 1)
      continue;
    gemma_voice_gate_push (self->voice, self->frame, FRAME, self->voice_changes);
    take_voice_changes (self, changes);
    if (self->music)
      judge_frame (self, changes);
  }
}

gboolean
gemma_speech_gate_is_loud (GemmaSpeechGate *self)
{
  return gemma_voice_gate_is_loud (self->voice);
}

gboolean
gemma_speech_gate_is_music (GemmaSpeechGate *self)
{
  return self->state == MUSIC;
}

gint64
gemma_speech_gate_get_settled (GemmaSpeechGate *self)
{
  if (self->state == MUSIC)
    return MAX (self->position / FRAME * FRAME - HOLD, 0);
  return MIN (gemma_voice_gate_get_settled (self->voice), self->position);
}
