/* The voice gate on synthetic signals: silence, noise, tones, and bursts like syllables. */
#include <gst/check/gstcheck.h>

#include "models/voice-gate.h"

#include <math.h>

#define RATE 16000

/* A mono signal under construction. */
static GArray *
signal_new (void)
{
  return g_array_new (FALSE, TRUE, sizeof (gfloat));
}

static void
add_silence (GArray *x, gdouble seconds)
{
  g_array_set_size (x, x->len + (guint) (seconds * RATE));
}

static void
mix_noise (GArray *x, gdouble rms)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint i = 0; i < x->len; i++)
    g_array_index (x, gfloat, i) += rms * sqrt (3.) * g_rand_double_range (rand, -1., 1.);
}

/* Harmonics of 120 Hz in syllables of 150 ms with gaps of 60 ms. */
static void
add_speech (GArray *x, gdouble seconds, gdouble peak)
{
  guint start = x->len, n = seconds * RATE;

  g_array_set_size (x, start + n);
  for (guint i = 0; i < n; i++) {
    gdouble t = (gdouble) i / RATE, syllable = fmod (t, 0.21) / 0.15, y = 0.;

    for (gint h = 1; h < 20; h++)
      y += sin (2. * G_PI * 120. * h * t) / h;
    g_array_index (x, gfloat, start + i) = syllable < 1. ? peak * 0.5 * y * sin (G_PI * syllable) : 0.;
  }
}

static GArray *
run (const GArray *x, guint piece, const GemmaVoiceGateParams *params)
{
  GemmaVoiceGate *gate = gemma_voice_gate_new (params);
  GArray *changes = g_array_new (FALSE, FALSE, sizeof (GemmaVoiceChange));
  gint64 settled = 0;

  for (guint at = 0; at < x->len; at += piece) {
    guint known = changes->len;

    gemma_voice_gate_push (gate, (gfloat *) x->data + at, MIN (piece, x->len - at), changes);
    for (guint i = known; i < changes->len; i++)
      fail_unless (g_array_index (changes, GemmaVoiceChange, i).sample >= settled);
    fail_unless (gemma_voice_gate_get_settled (gate) >= settled);
    settled = gemma_voice_gate_get_settled (gate);
  }
  gemma_voice_gate_drain (gate, changes);
  for (guint i = 0; i < changes->len; i++) {
    fail_unless_equals_int (g_array_index (changes, GemmaVoiceChange, i).voiced, i % 2 == 0);
    fail_unless (i == 0 ||
        g_array_index (changes, GemmaVoiceChange, i).sample > g_array_index (changes, GemmaVoiceChange, i - 1).sample);
  }
  fail_unless (changes->len % 2 == 0);
  gemma_voice_gate_free (gate);
  return changes;
}

static gdouble
seconds_of (const GArray *changes, guint i)
{
  return (gdouble) g_array_index (changes, GemmaVoiceChange, i).sample / RATE;
}

GST_START_TEST (test_finds_phrases)
{
  g_autoptr (GArray) x = signal_new ();
  g_autoptr (GArray) changes = NULL;

  add_silence (x, 1.);
  add_speech (x, 2., 0.3);
  add_silence (x, 1.);
  add_speech (x, 1., 0.3);
  add_silence (x, 1.);
  mix_noise (x, 0.001);
  changes = run (x, 320, NULL);
  fail_unless_equals_int (changes->len, 4);
  /* Within two frames; the last syllable of the first phrase ends at 2.04 s of it. */
  fail_unless (fabs (seconds_of (changes, 0) - 1.) < 0.045);
  fail_unless (fabs (seconds_of (changes, 1) - 3.) < 0.065, "%g", seconds_of (changes, 1));
  fail_unless (fabs (seconds_of (changes, 2) - 4.) < 0.045);
  fail_unless (fabs (seconds_of (changes, 3) - 5.) < 0.065, "%g", seconds_of (changes, 3));
}
GST_END_TEST;

GST_START_TEST (test_speech_in_loud_noise)
{
  g_autoptr (GArray) x = signal_new ();
  g_autoptr (GArray) changes = NULL;

  add_silence (x, 6.);
  add_speech (x, 3., 0.5);
  add_silence (x, 2.);
  mix_noise (x, 0.02); /* -34 dBFS: at first taken for sound */
  changes = run (x, 320, NULL);
  fail_unless_equals_int (changes->len, 4);
  fail_unless (seconds_of (changes, 1) < 4.);
  fail_unless (fabs (seconds_of (changes, 2) - 6.) < 0.1);
  fail_unless (fabs (seconds_of (changes, 3) - 9.) < 0.1);
}
GST_END_TEST;

GST_START_TEST (test_long_speech_stays_voiced)
{
  g_autoptr (GArray) x = signal_new ();
  g_autoptr (GArray) changes = NULL;

  add_silence (x, 1.);
  add_speech (x, 30., 0.3);
  add_silence (x, 1.);
  mix_noise (x, 0.001);
  changes = run (x, 1600, NULL);
  fail_unless_equals_int (changes->len, 2);
}
GST_END_TEST;

GST_START_TEST (test_silence_is_never_voiced)
{
  g_autoptr (GArray) x = signal_new ();
  g_autoptr (GArray) zeros = NULL;
  g_autoptr (GArray) faint = NULL;

  add_silence (x, 10.);
  zeros = run (x, 320, NULL);
  fail_unless_equals_int (zeros->len, 0);
  mix_noise (x, 0.0005); /* -66 dBFS */
  faint = run (x, 320, NULL);
  fail_unless_equals_int (faint->len, 0);
}
GST_END_TEST;

/* Also the offset of a bad sound card, and its step at the start. */
GST_START_TEST (test_steady_sounds_become_noise)
{
  for (gint kind = 0; kind < 3; kind++) {
    g_autoptr (GArray) x = signal_new ();
    g_autoptr (GArray) changes = NULL;

    add_silence (x, 10.);
    for (guint i = 0; i < x->len && kind > 0; i++)
      g_array_index (x, gfloat, i) = kind == 1 ? 0.3 * sin (2. * G_PI * 440. * i / RATE) : 0.4;
    if (kind == 0)
      mix_noise (x, 0.1);
    changes = run (x, 320, NULL);
    fail_unless_equals_int (changes->len, kind == 2 ? 0 : 2);
    if (changes->len > 0)
      fail_unless (seconds_of (changes, 1) < 3.6, "kind %d: %g", kind, seconds_of (changes, 1));
  }
}
GST_END_TEST;

GST_START_TEST (test_click_does_not_open)
{
  g_autoptr (GArray) x = signal_new ();
  g_autoptr (GArray) changes = NULL;

  add_silence (x, 4.);
  for (guint at = 8000; at < x->len; at += 16000)
    for (guint i = 0; i < 160; i++)
      g_array_index (x, gfloat, at + i) = i % 2 ? 0.9f : -0.9f;
  changes = run (x, 320, NULL);
  fail_unless_equals_int (changes->len, 0);
}
GST_END_TEST;

GST_START_TEST (test_hangover_bridges_pauses)
{
  GemmaVoiceGateParams params = GEMMA_VOICE_GATE_PARAMS_INIT;
  g_autoptr (GArray) x = signal_new ();
  g_autoptr (GArray) two = NULL;
  g_autoptr (GArray) one = NULL;

  add_silence (x, 1.);
  add_speech (x, 1., 0.3);
  add_silence (x, 0.6);
  add_speech (x, 1., 0.3);
  add_silence (x, 2.);
  mix_noise (x, 0.001);
  two = run (x, 320, &params);
  fail_unless_equals_int (two->len, 4);
  params.hangover_ms = 1000;
  one = run (x, 320, &params);
  fail_unless_equals_int (one->len, 2);
}
GST_END_TEST;

GST_START_TEST (test_any_split_gives_the_same_changes)
{
  g_autoptr (GArray) x = signal_new ();
  g_autoptr (GArray) whole = NULL;

  for (gint i = 0; i < 5; i++) {
    add_silence (x, 0.7);
    add_speech (x, 0.9, 0.2);
  }
  mix_noise (x, 0.002);
  g_array_index (x, gfloat, 1000) = NAN;
  g_array_index (x, gfloat, 2000) = INFINITY;
  whole = run (x, x->len, NULL);
  fail_unless_equals_int (whole->len, 10);
  for (guint piece = 1; piece < 2000; piece = piece * 3 + 1) {
    g_autoptr (GArray) changes = run (x, piece, NULL);

    fail_unless_equals_int (changes->len, whole->len);
    for (guint i = 0; i < whole->len; i++)
      fail_unless_equals_int64 (
          g_array_index (changes, GemmaVoiceChange, i).sample, g_array_index (whole, GemmaVoiceChange, i).sample);
  }
}
GST_END_TEST;

static Suite *
voice_gate_suite (void)
{
  Suite *suite = suite_create ("voice-gate");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_finds_phrases);
  tcase_add_test (tc, test_speech_in_loud_noise);
  tcase_add_test (tc, test_long_speech_stays_voiced);
  tcase_add_test (tc, test_silence_is_never_voiced);
  tcase_add_test (tc, test_steady_sounds_become_noise);
  tcase_add_test (tc, test_click_does_not_open);
  tcase_add_test (tc, test_hangover_bridges_pauses);
  tcase_add_test (tc, test_any_split_gives_the_same_changes);
  return suite;
}

GST_CHECK_MAIN (voice_gate);
