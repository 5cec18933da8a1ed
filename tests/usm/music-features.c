/* music-features IN.f32 OUT.f32: what models/fit-music.py fits: ten times a second, while the voice gate is open. */
#include <stdio.h>

#include "models/music.h"
#include "models/voice-gate.h"

int
main (int argc, char **argv)
{
  FILE *in = argc == 3 ? fopen (argv[1], "rb") : NULL, *out = in ? fopen (argv[2], "wb") : NULL;
  g_autoptr (GArray) changes = g_array_new (FALSE, FALSE, sizeof (GemmaVoiceChange));
  gfloat frame[GEMMA_MUSIC_HOP];

  if (!out) {
    fprintf (stderr, "usage: music-features IN.f32 OUT.f32\n");
    return 1;
  }
  GemmaMusic *music = gemma_music_new ();
  GemmaVoiceGate *gate = gemma_voice_gate_new (NULL);
  for (gint n = 1; fread (frame, sizeof frame, 1, in) == 1; n++) {
    gboolean was = gemma_voice_gate_is_voiced (gate);
    gemma_voice_gate_push (gate, frame, GEMMA_MUSIC_HOP, changes);
    gboolean is = gemma_voice_gate_is_voiced (gate);
    if (is && !was)
      gemma_music_begin (music);
    gemma_music_push (music, frame, is);
    if (n % 5 == 0 && is && gemma_music_get_features (music))
      fwrite (gemma_music_get_features (music), sizeof (gfloat), GEMMA_MUSIC_FEATURES, out);
  }
  gemma_music_free (music);
  gemma_voice_gate_free (gate);
  fclose (in);
  return fclose (out) ? 1 : 0;
}
