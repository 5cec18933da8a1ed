/* An HLS media playlist (RFC 8216, 4): the newest segments of a rendition. Plain C: no files, no streams. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _GemmaHlsPlaylist GemmaHlsPlaylist;

/** @target: no segment is longer, in seconds; @length: of so many segments at the most, 0: of all */
GemmaHlsPlaylist *gemma_hls_playlist_new (guint target, guint length);
void gemma_hls_playlist_free (GemmaHlsPlaylist *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GemmaHlsPlaylist, gemma_hls_playlist_free)

/** @discontinuity: time begins anew with this segment */
void gemma_hls_playlist_add (GemmaHlsPlaylist *self, const gchar *uri, GstClockTime duration, gboolean discontinuity);
/** @ended: no more will come. (transfer full) */
gchar *gemma_hls_playlist_to_string (GemmaHlsPlaylist *self, gboolean ended);

G_END_DECLS
