#include "line21-decode.h"

#include "util.h"

#include <stdio.h>

static void
screen_free (gpointer data)
{
  g_free (((Screen *) data)->text);
  g_free (data);
}

/* Scenarist's format: a time code and the bytes sent at it, in hexadecimal. */
static gchar *
write_scc (const guint8 *pairs, gsize n_frames)
{
  g_autoptr (GString) out = g_string_new ("Scenarist_SCC V1.0\n");

  for (gsize i = 0; i < n_frames; i++)
    if (pairs[2 * i] != 0x80 || pairs[2 * i + 1] != 0x80)
      g_string_append_printf (out, "\n%02u:%02u:%02u:%02u\t%02x%02x\n", (guint) (i / 108000), (guint) (i / 1800 % 60),
          (guint) (i / 30 % 60), (guint) (i % 30), pairs[2 * i], pairs[2 * i + 1]);
  return write_file ("captions.scc", out->str, out->len);
}

static GstClockTime
parse_time (const gchar *text)
{
  guint h, m, s, ms;

  fail_unless (sscanf (text, "%u:%u:%u,%u", &h, &m, &s, &ms) == 4, "%s", text);
  return MS ((h * 3600 + m * 60 + s) * G_GUINT64_CONSTANT (1000) + ms);
}

/* A cue of SubRip: number, times, rows. */
static Screen *
parse_cue (const gchar *cue)
{
  g_auto (GStrv) lines = g_strsplit (cue, "\n", 3);
  g_autoptr (GRegex) markup = g_regex_new ("</?font[^>]*>|\\{\\\\an7\\}|\r", 0, 0, NULL);
  Screen *screen;

  if (g_strv_length (lines) < 3)
    return NULL;
  screen = g_new0 (Screen, 1);
  screen->start = parse_time (lines[1]);
  screen->end = parse_time (strstr (lines[1], "--> ") + 4);
  screen->text = g_strstrip (g_regex_replace_literal (markup, lines[2], -1, 0, "", 0, NULL));
  return screen;
}

GPtrArray *
decode_line21 (const guint8 *pairs, gsize n_frames)
{
  g_autofree gchar *path = write_scc (pairs, n_frames), *out = NULL, *err = NULL;
  const gchar *argv[] = { "ffmpeg", "-nostdin", "-v", "error", "-i", path, "-f", "srt", "-", NULL };
  GPtrArray *screens = g_ptr_array_new_with_free_func (screen_free);
  g_autoptr (GError) error = NULL;
  gint status;

  fail_unless (g_spawn_sync (NULL, (gchar **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error),
      "%s", error ? error->message : "");
  fail_unless (status == 0, "ffmpeg: %s", err);
  g_auto (GStrv) cues = g_strsplit (out, "\n\n", -1);
  for (guint i = 0; cues[i]; i++) {
    Screen *screen = parse_cue (cues[i]);
    if (screen)
      g_ptr_array_add (screens, screen);
  }
  return screens;
}
