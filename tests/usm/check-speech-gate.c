/* The speech gate: synthesized music closes it, real prompts (asterisk-core-sounds-en, in build/recording.wav) pass. */
#include <gst/check/gstcheck.h>

#include "models/speech-gate.h"

#include <math.h>

#define RATE 16000

/* A band: chords of four notes with eight harmonics each, a new one every 1.2 s, tremolo, and a drum every 0.3 s. */
static void
add_music (GArray *x, gdouble seconds, gdouble peak)
{
  static const gdouble roots[] = { 220., 174.6, 261.6, 196. };
  static const gdouble steps[] = { 1., 1.26, 1.5, 2. };
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  guint start = x->len, n = seconds * RATE;

  g_array_set_size (x, start + n);
  for (guint i = 0; i < n; i++) {
    gdouble t = (gdouble) i / RATE, note = fmod (t, 1.2), beat = fmod (t, .3), y = 0.;

    for (guint k = 0; k < G_N_ELEMENTS (steps); k++)
      for (gint h = 1; h <= 8; h++)
        y += sin (2. * G_PI * roots[(gint) (t / 1.2) % 4] * steps[k] * h * t) / h / 8.;
    y *= MIN (note / .02, 1.) * exp (-note) * (1. + .2 * sin (2. * G_PI * 5. * t));
    y += .5 * exp (-beat / .03) * g_rand_double_range (rand, -1., 1.);
    g_array_index (x, gfloat, start + i) = peak * y;
  }
}

/* The prompts that ./run joins: PCM of 16 bits, mono, 16 kHz. */
static GArray *
read_recording (void)
{
  GArray *x = g_array_new (FALSE, TRUE, sizeof (gfloat));
  g_autofree gchar *data = NULL;
  gsize size;

  fail_unless (g_file_get_contents (RECORDING, &data, &size, NULL), "no %s: ./run --build makes it", RECORDING);
  for (gsize at = 128; at + 1 < size; at += 2) {
    gfloat v = (gint16) ((guint8) data[at] | (guint8) data[at + 1] << 8) / 32768.f;
    g_array_append_val (x, v);
  }
  return x;
}

static GArray *
run (const GArray *x, gboolean music, guint piece)
{
  GArray *changes = g_array_new (FALSE, FALSE, sizeof (GemmaSpeechChange));
  GemmaSpeechGate *gate = gemma_speech_gate_new (music);
  gint64 settled = 0;

  for (guint at = 0; at < x->len; at += piece) {
    guint known = changes->len;

    gemma_speech_gate_push (gate, (gfloat *) x->data + at, MIN (piece, x->len - at), changes);
    for (guint i = known; i < changes->len; i++) {
      const GemmaSpeechChange *c = &g_array_index (changes, GemmaSpeechChange, i);
      fail_unless_equals_int (c->kind == GEMMA_SPEECH_BEGINS, i % 2 == 0);
      fail_unless (c->kind != GEMMA_SPEECH_BEGINS || c->sample >= settled);
    }
    settled = gemma_speech_gate_get_settled (gate);
  }
  gemma_speech_gate_free (gate);
  return changes;
}

static const GemmaSpeechChange *
nth (const GArray *changes, guint i)
{
  return &g_array_index (changes, GemmaSpeechChange, i);
}

GST_START_TEST (test_music_is_dropped)
{
  g_autoptr (GArray) x = g_array_new (FALSE, TRUE, sizeof (gfloat));
  g_autoptr (GArray) with = NULL;
  g_autoptr (GArray) without = NULL;

  g_array_set_size (x, RATE);
  add_music (x, 60., .3);
  with = run (x, TRUE, 320);
  without = run (x, FALSE, 320);
  fail_unless_equals_int (without->len, 1);     /* open to the end */
  fail_unless_equals_int (with->len, 2);
  fail_unless_equals_int (nth (with, 1)->kind, GEMMA_SPEECH_WAS_MUSIC);
  fail_unless (nth (with, 1)->sample < (1 + 4.6) * RATE, "%g s", (gdouble) nth (with, 1)->sample / RATE);
}
GST_END_TEST;

GST_START_TEST (test_speech_passes_as_before)
{
  g_autoptr (GArray) x = read_recording ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);

  for (gint noisy = 0; noisy < 2; noisy++) {
    for (guint i = 0; i < x->len && noisy; i++)
      g_array_index (x, gfloat, i) += g_rand_double_range (rand, -.03, .03);
    g_autoptr (GArray) with = run (x, TRUE, 320);
    g_autoptr (GArray) without = run (x, FALSE, 320);

    fail_unless (with->len >= 6);
    fail_unless_equals_int (with->len, without->len);
    for (guint i = 0; i < with->len; i++) {
      fail_unless_equals_int (nth (with, i)->kind, nth (without, i)->kind);
      fail_unless_equals_int64 (nth (with, i)->sample, nth (without, i)->sample);
    }
  }
}
GST_END_TEST;

/* Music, then all the prompts over it, 15 dB louder: the gate is open for every loud frame of them. */
GST_START_TEST (test_speech_over_music)
{
  g_autoptr (GArray) speech = read_recording ();
  g_autoptr (GArray) x = g_array_new (FALSE, TRUE, sizeof (gfloat));
  g_autoptr (GArray) changes = NULL;
  guint start = 15 * RATE, i = 0;

  add_music (x, 15. + speech->len / RATE + 1, .05);
  for (guint at = 0; at < speech->len; at++)
    g_array_index (x, gfloat, start + at) += g_array_index (speech, gfloat, at);
  changes = run (x, TRUE, 320);
  fail_unless_equals_int (nth (changes, 1)->kind, GEMMA_SPEECH_WAS_MUSIC);
  for (guint at = 0; at < speech->len; at++) {
    if (fabsf (g_array_index (speech, gfloat, at)) < .1f)
      continue;
    while (i + 2 < changes->len && nth (changes, i + 2)->sample <= start + at)
      i += 2;
    fail_unless (nth (changes, i)->sample <= start + at && (i + 1 >= changes->len ||
            (nth (changes, i + 1)->sample > start + at && nth (changes, i + 1)->kind == GEMMA_SPEECH_ENDS)),
        "speech at %g s is lost", (gdouble) at / RATE);
  }
}
GST_END_TEST;

GST_START_TEST (test_any_split_gives_the_same_changes)
{
  g_autoptr (GArray) x = read_recording ();

  add_music (x, 8., .3);
  g_array_index (x, gfloat, 1000) = NAN;
  g_autoptr (GArray) whole = run (x, TRUE, x->len);
  for (guint piece = 7; piece < 20000; piece *= 11) {
    g_autoptr (GArray) changes = run (x, TRUE, piece);

    fail_unless_equals_int (changes->len, whole->len);
    for (guint i = 0; i < whole->len; i++)
      fail_unless_equals_int64 (nth (changes, i)->sample, nth (whole, i)->sample);
  }
}
GST_END_TEST;

static Suite *
speech_gate_suite (void)
{
  Suite *suite = suite_create ("speech-gate");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_music_is_dropped);
  tcase_add_test (tc, test_speech_passes_as_before);
  tcase_add_test (tc, test_speech_over_music);
  tcase_add_test (tc, test_any_split_gives_the_same_changes);
  return suite;
}

GST_CHECK_MAIN (speech_gate);
