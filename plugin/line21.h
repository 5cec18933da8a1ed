/* Captions inside the frames of gemmacaptionbin: each frame leaves with a GstVideoCaptionMeta that holds what is due.
 *
 * cccombiner could do that, but it waits for captions, and flushes, ends and counts latency with them. Here a frame
 * takes what is there, and nobody waits.
 */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

typedef struct _GemmaLine21 GemmaLine21;

/** @pad: the source pad of the frames */
GemmaLine21 *gemma_line21_new (GstPad *pad);
void gemma_line21_free (GemmaLine21 *line21);

/**
 * gemma_line21_set_type:
 * @type: what frames get: GST_VIDEO_CAPTION_TYPE_CEA608_RAW, one pair; GST_VIDEO_CAPTION_TYPE_CEA708_RAW, cc_data with
 *   that pair as CEA-608 compatibility bytes; or GST_VIDEO_CAPTION_TYPE_UNKNOWN, nothing
 */
void gemma_line21_set_type (GemmaLine21 *line21, GstVideoCaptionType type);
/** @rows: that are seen at a time, 2 to 4 */
void gemma_line21_set_rows (GemmaLine21 *line21, guint rows);

/** A text of @time (running time), or of now if that is over; FALSE if too much waits */
gboolean gemma_line21_add_text (GemmaLine21 *line21, GstClockTime time, GstClockTime duration, const gchar *text);
/** Nothing waits and nothing is shown, as at the start. */
void gemma_line21_reset (GemmaLine21 *line21);

G_END_DECLS
