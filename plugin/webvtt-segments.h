/* Captions cut into the WebVTT segments of an HLS rendition (RFC 8216, 3.5).
 *
 * A cue is in every segment that it is seen in, each time with all of its times. One that comes when its segments are
 * closed already is in the next one. Plain C: no files, no streams.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _GemmaWebvttSegments GemmaWebvttSegments;

/** @duration: of each segment; @mpegts: the MPEG-TS time of 0, or GST_GEMMA_WEBVTT_NO_MAP */
GemmaWebvttSegments *gemma_webvtt_segments_new (GstClockTime duration, guint64 mpegts);
void gemma_webvtt_segments_free (GemmaWebvttSegments *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GemmaWebvttSegments, gemma_webvtt_segments_free)

/** Forgets all cues; the open segment now begins at @start. */
void gemma_webvtt_segments_restart (GemmaWebvttSegments *self, GstClockTime start);
/** @text: any; what has nothing to show is left out. */
void gemma_webvtt_segments_add (GemmaWebvttSegments *self, GstClockTime start, GstClockTime end, const gchar *text);

GstClockTime gemma_webvtt_segments_get_start (const GemmaWebvttSegments *self);
/** Where the open segment ends if it becomes as long as the others. */
GstClockTime gemma_webvtt_segments_get_end (const GemmaWebvttSegments *self);
/** Whether there is a cue that no segment has had yet. */
gboolean gemma_webvtt_segments_has_news (const GemmaWebvttSegments *self);
/** The open segment, which ends at @end; another begins there. (transfer full) */
gchar *gemma_webvtt_segments_close (GemmaWebvttSegments *self, GstClockTime end);

G_END_DECLS
