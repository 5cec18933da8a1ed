/* Made-up soft tokens for gemmalm with the embedded model: what it says about them does not matter. */
#pragma once

#include <gst/gst.h>

/* How long one lasts. */
#define TOKEN (160 * GST_MSECOND)

/* How many values the embedded model wants of each. */
guint get_hidden (void);

/* The token that begins at @pts, always the same there. @quiet: nobody speaks. (transfer full) */
GstBuffer *make_soft_token (guint hidden, GstClockTime pts, gboolean quiet);
