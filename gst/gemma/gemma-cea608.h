/* Text to line 21 captions (CEA-608, channel CC1) in roll-up mode, pair of bytes by pair of bytes. */
#pragma once

#include <gst/gemma/gemma-prelude.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_CEA608_ENCODER (gst_gemma_cea608_encoder_get_type ())
GST_GEMMA_API
G_DECLARE_FINAL_TYPE (GstGemmaCea608Encoder, gst_gemma_cea608_encoder, GST, GEMMA_CEA608_ENCODER, GObject)

/* The longest row. */
#define GST_GEMMA_CEA608_COLUMNS 32

/**
 * gst_gemma_cea608_encoder_new:
 *
 * Two rows that end in row 15, from column 0; a pair every 1001/30000 s; erased after 5 s; a new row after pauses
 * of 0.5 s.
 *
 * Returns: (transfer full): an encoder. It has no lock of its own.
 */
GST_GEMMA_API
GstGemmaCea608Encoder *gst_gemma_cea608_encoder_new (void);

/**
 * gst_gemma_cea608_encoder_set_layout:
 * @encoder: an encoder
 * @rows: how many rows are seen at a time, 2 to 4
 * @base_row: the lowest of them, 1 to 15; at least @rows
 * @column: where rows begin, 0 to 31
 *
 * Counts from the next text on, which begins a new row if something changed.
 */
GST_GEMMA_API
void gst_gemma_cea608_encoder_set_layout (GstGemmaCea608Encoder *encoder, guint rows, guint base_row, guint column);

/**
 * gst_gemma_cea608_encoder_set_timing:
 * @encoder: an encoder
 * @interval: the time from one pair to the next
 * @erase_after: captions are erased this long after the last ended; %GST_CLOCK_TIME_NONE: never
 * @row_pause: a text begins a new row if the one before ended this long before it; after shorter pauses it goes on
 *   where that ended
 */
GST_GEMMA_API
void gst_gemma_cea608_encoder_set_timing (GstGemmaCea608Encoder *encoder, GstClockTime interval,
    GstClockTime erase_after, GstClockTime row_pause);

/**
 * gst_gemma_cea608_encoder_add_text:
 * @encoder: an encoder
 * @start: when it is said
 * @duration: for how long, or %GST_CLOCK_TIME_NONE
 * @text: what is said, any UTF-8; lines of their own begin a new row
 *
 * Sent so early that it is complete at @start if it is one row; of several rows, each is complete when it is said,
 * by its share of @duration. What comes too late for that is sent as soon as possible, in order.
 *
 * Returns: %FALSE if more text waits than can be sent in a minute or two: then this one is not taken
 */
GST_GEMMA_API
gboolean gst_gemma_cea608_encoder_add_text (GstGemmaCea608Encoder *encoder, GstClockTime start, GstClockTime duration,
    const gchar *text);

/**
 * gst_gemma_cea608_encoder_break_row:
 * @encoder: an encoder
 * @prefix: (nullable): how the new row begins, such as ">> "
 *
 * The next text begins a new row.
 */
GST_GEMMA_API
void gst_gemma_cea608_encoder_break_row (GstGemmaCea608Encoder *encoder, const gchar *prefix);

/**
 * gst_gemma_cea608_encoder_take_pair:
 * @encoder: an encoder
 * @now: when the pair is sent, not before the one before
 * @pair: (out caller-allocates) (array fixed-size=2): return location for two bytes with odd parity
 *
 * Returns: %FALSE if there is nothing to send at @now: @pair is padding, 0x80 0x80
 */
GST_GEMMA_API
gboolean gst_gemma_cea608_encoder_take_pair (GstGemmaCea608Encoder *encoder, GstClockTime now, guint8 *pair);

/**
 * gst_gemma_cea608_encoder_is_idle:
 * @encoder: an encoder
 *
 * Returns: whether only padding would follow, at any time
 */
GST_GEMMA_API
gboolean gst_gemma_cea608_encoder_is_idle (GstGemmaCea608Encoder *encoder);

/**
 * gst_gemma_cea608_encoder_has_text:
 * @encoder: an encoder
 *
 * Returns: whether text waits to be sent
 */
GST_GEMMA_API
gboolean gst_gemma_cea608_encoder_has_text (GstGemmaCea608Encoder *encoder);

/**
 * gst_gemma_cea608_encoder_set_time:
 * @encoder: an encoder
 * @now: the time from here on, which may be before what has been sent
 *
 * What has been shown stays, as if it ended now; what waits is forgotten. The next text begins a new row.
 */
GST_GEMMA_API
void gst_gemma_cea608_encoder_set_time (GstGemmaCea608Encoder *encoder, GstClockTime now);

/**
 * gst_gemma_cea608_encoder_reset:
 * @encoder: an encoder
 *
 * Forgets what waits, and times; what has been shown is erased next.
 */
GST_GEMMA_API
void gst_gemma_cea608_encoder_reset (GstGemmaCea608Encoder *encoder);

G_END_DECLS
