#include "gemma-text.h"

#include <string.h>

gchar *
gst_gemma_format_time (GstClockTime time, gchar separator)
{
  guint64 ms = GST_CLOCK_TIME_IS_VALID (time) ? GST_TIME_AS_MSECONDS (time) : 0;

  return g_strdup_printf ("%02" G_GUINT64_FORMAT ":%02u:%02u%c%03u", ms / 3600000, (guint) (ms / 60000 % 60),
      (guint) (ms / 1000 % 60), separator, (guint) (ms % 1000));
}

/* "-->", however many dashes, becomes "->". */
static void
append_without_arrows (GString *out, const gchar *line)
{
  for (const gchar *p = line; *p; p++) {
    if (*p == '>')
      while (out->len >= 2 && out->str[out->len - 1] == '-' && out->str[out->len - 2] == '-')
        g_string_truncate (out, out->len - 1);
    g_string_append_c (out, *p);
  }
}

gchar *
gst_gemma_caption_text (const gchar *text)
{
  g_autofree gchar *valid = g_utf8_make_valid (text, -1);
  GString *out = g_string_new (NULL);

  for (gchar *p = valid; *p; p++)
    if (*p == '\r')
      *p = '\n';
    else if ((guchar) *p < 0x20 && *p != '\n')
      *p = ' ';

  g_auto (GStrv) lines = g_strsplit (valid, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    const gchar *line = g_strstrip (lines[i]);
    if (!*line)
      continue;
    if (out->len)
      g_string_append_c (out, '\n');
    append_without_arrows (out, line);
  }
  return g_string_free (out, FALSE);
}
