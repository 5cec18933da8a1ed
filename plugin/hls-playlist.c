#include "hls-playlist.h"

typedef struct
{
  gchar *uri;
  GstClockTime duration;
  gboolean discontinuity;
} Entry;

struct _GemmaHlsPlaylist
{
  guint target, length;
  GQueue entries;
  guint64 sequence, discontinuities;    /* segments, and discontinuities among them, that have left */
};

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_free (entry->uri);
  g_free (entry);
}

GemmaHlsPlaylist *
gemma_hls_playlist_new (guint target, guint length)
{
  GemmaHlsPlaylist *self = g_new0 (GemmaHlsPlaylist, 1);

  self->target = target;
  self->length = length;
  g_queue_init (&self->entries);
  return self;
}

void
gemma_hls_playlist_free (GemmaHlsPlaylist *self)
{
  g_queue_clear_full (&self->entries, entry_free);
  g_free (self);
}

void
gemma_hls_playlist_add (GemmaHlsPlaylist *self, const gchar *uri, GstClockTime duration, gboolean discontinuity)
{
  Entry *entry = g_new0 (Entry, 1);

  entry->uri = g_strdup (uri);
  entry->duration = duration;
  entry->discontinuity = discontinuity;
  g_queue_push_tail (&self->entries, entry);
  while (self->length > 0 && self->entries.length > self->length) {
    Entry *oldest = g_queue_pop_head (&self->entries);
    self->sequence++;
    self->discontinuities += oldest->discontinuity;
    entry_free (oldest);
  }
}

gchar *
gemma_hls_playlist_to_string (GemmaHlsPlaylist *self, gboolean ended)
{
  GString *out = g_string_new ("#EXTM3U\n#EXT-X-VERSION:3\n");

  g_string_append_printf (out, "#EXT-X-TARGETDURATION:%u\n#EXT-X-MEDIA-SEQUENCE:%" G_GUINT64_FORMAT "\n", self->target,
      self->sequence);
  if (self->discontinuities > 0)
    g_string_append_printf (out, "#EXT-X-DISCONTINUITY-SEQUENCE:%" G_GUINT64_FORMAT "\n", self->discontinuities);
  for (GList *l = self->entries.head; l; l = l->next) {
    const Entry *entry = l->data;
    if (entry->discontinuity)
      g_string_append (out, "#EXT-X-DISCONTINUITY\n");
    /* Integers, since the decimal point of printf follows the locale. */
    g_string_append_printf (out, "#EXTINF:%" G_GUINT64_FORMAT ".%03u,\n%s\n", entry->duration / GST_SECOND,
        (guint) (entry->duration % GST_SECOND / GST_MSECOND), entry->uri);
  }
  if (ended)
    g_string_append (out, "#EXT-X-ENDLIST\n");
  return g_string_free (out, FALSE);
}
