/* Caption files, written cue by cue: text, SubRip, WebVTT, JSON lines, or lines on the terminal. */
#pragma once

#include <gst/gemma/gemma-prelude.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_CUE_WRITER (gst_gemma_cue_writer_get_type ())
GST_GEMMA_API
G_DECLARE_FINAL_TYPE (GstGemmaCueWriter, gst_gemma_cue_writer, GST, GEMMA_CUE_WRITER, GObject)

/**
 * gst_gemma_cue_writer_new:
 * @location: (type filename): a file, its format chosen by extension (.srt, .vtt, .jsonl, others are plain text),
 *   or "-" for "HH:MM:SS.mmm --> HH:MM:SS.mmm  text" on stdout
 * @error: return location for a GError
 *
 * Returns: (transfer full): the writer, or %NULL if the file cannot be written (domain G_FILE_ERROR)
 */
GST_GEMMA_API
GstGemmaCueWriter *gst_gemma_cue_writer_new (const gchar *location, GError **error);

/**
 * gst_gemma_cue_writer_new_mapped:
 * @location: (type filename): as for gst_gemma_cue_writer_new()
 * @mpegts: the MPEG-TS time of stream time 0, in units of 1/90000 s, 33 bits; a WebVTT file says it in X-TIMESTAMP-MAP,
 *   by which HLS players find the place of its cues; other formats have no use for it
 * @error: return location for a GError
 *
 * Returns: (transfer full): the writer, or %NULL if the file cannot be written (domain G_FILE_ERROR)
 */
GST_GEMMA_API
GstGemmaCueWriter *gst_gemma_cue_writer_new_mapped (const gchar *location, guint64 mpegts, GError **error);

/**
 * gst_gemma_cue_writer_write:
 * @writer: a writer
 * @start: where the cue begins, in stream time
 * @duration: how long it lasts
 * @text: its text; gst_gemma_caption_text() is applied, a cue without text is not written
 * @error: return location for a GError
 *
 * The cue is on its way to the disk or terminal when this returns.
 *
 * Returns: %FALSE if it could not be written
 */
GST_GEMMA_API
gboolean gst_gemma_cue_writer_write (GstGemmaCueWriter *writer, GstClockTime start, GstClockTime duration,
    const gchar *text, GError **error);

/**
 * GstGemmaWord:
 * @start: where the word begins, in stream time
 * @end: where it ends
 * @text: the word, without spaces around it
 *
 * One word of a cue.
 */
typedef struct
{
  GstClockTime start, end;
  const gchar *text;
} GstGemmaWord;

/**
 * gst_gemma_cue_writer_write_words:
 * @writer: a writer
 * @start: where the cue begins, in stream time
 * @duration: how long it lasts
 * @text: its text, as for gst_gemma_cue_writer_write()
 * @words: (array length=n_words): when each of its words is said
 * @n_words: how many these are
 * @error: return location for a GError
 *
 * As gst_gemma_cue_writer_write(). JSON lines list the words; other formats have no use for them.
 *
 * Returns: %FALSE if it could not be written
 */
GST_GEMMA_API
gboolean gst_gemma_cue_writer_write_words (GstGemmaCueWriter *writer, GstClockTime start, GstClockTime duration,
    const gchar *text, const GstGemmaWord *words, guint n_words, GError **error);

/**
 * gst_gemma_cue_writer_takes_words:
 * @writer: a writer
 *
 * Returns: whether its format lists words
 */
GST_GEMMA_API
gboolean gst_gemma_cue_writer_takes_words (GstGemmaCueWriter *writer);

/**
 * GST_GEMMA_WEBVTT_NO_MAP:
 *
 * In the place of an MPEG-TS time: none.
 */
#define GST_GEMMA_WEBVTT_NO_MAP G_MAXUINT64

/**
 * gst_gemma_webvtt_append_header:
 * @out: a WebVTT file to be
 * @mpegts: as for gst_gemma_cue_writer_new_mapped(), or %GST_GEMMA_WEBVTT_NO_MAP
 *
 * What a WebVTT file begins with, for those who make one in memory.
 */
GST_GEMMA_API
void gst_gemma_webvtt_append_header (GString *out, guint64 mpegts);

/**
 * gst_gemma_webvtt_append_cue:
 * @out: a WebVTT file to be
 * @start: where the cue begins
 * @end: where it ends
 * @text: its text, from gst_gemma_caption_text() and not empty; it is escaped
 */
GST_GEMMA_API
void gst_gemma_webvtt_append_cue (GString *out, GstClockTime start, GstClockTime end, const gchar *text);

G_END_DECLS
