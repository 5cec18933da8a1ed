/* Line 21 captions, decoded by a decoder that is not ours: ffmpeg's. */
#pragma once

#include <gst/gst.h>

typedef struct
{
  GstClockTime start, end;
  gchar *text;                  /* rows, separated by line feeds */
} Screen;

/**
 * What a viewer saw: each screen as it was just before it rolled up or was erased.
 * @pairs: two bytes a frame, 30 frames a second
 *
 * Returns: (transfer full): of Screen
 */
GPtrArray *decode_line21 (const guint8 *pairs, gsize n_frames);
