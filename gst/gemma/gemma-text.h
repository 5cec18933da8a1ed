/* Times and texts of captions. */
#pragma once

#include <gst/gemma/gemma-prelude.h>

G_BEGIN_DECLS

/**
 * gst_gemma_format_time:
 * @time: a time
 * @separator: before the milliseconds: '.' for WebVTT, ',' for SRT
 *
 * Returns: (transfer full): "HH:MM:SS.mmm"
 */
GST_GEMMA_API
gchar *gst_gemma_format_time (GstClockTime time, gchar separator);

/**
 * gst_gemma_caption_text:
 * @text: any text, valid UTF-8 or not
 *
 * Makes a text safe for every caption format: valid UTF-8 without control characters, no blank lines (they end a cue),
 * no "-->" (it separates the times of a cue), no space around lines.
 *
 * Returns: (transfer full): the text, maybe empty
 */
GST_GEMMA_API
gchar *gst_gemma_caption_text (const gchar *text);

G_END_DECLS
