/* Sound of any channels becomes that of one. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/**
 * An audioconvert (floating), or NULL where there is none. Channels without positions (SDI, interleave, microphone arrays), which
 * audioconvert leaves alone, are mixed in equal parts.
 */
GstElement *gemma_downmix_new (void);

G_END_DECLS
