/* Where gemmacaptionbin listens to a stream of media: behind a tee, what is tapped never reports back.
 *
 * The branch behind a tap has a queue that drops its oldest. A live stream never waits for it; one that is faster than its
 * clock does, as long as it stays ahead of it: a file is read no faster than the model follows, and no slower than it plays.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _GemmaCaptionTap GemmaCaptionTap;

/**
 * gemma_caption_tap_new:
 * @bin: the element that the tap is part of
 * @sink: its sink pad of the stream
 * @src: a source pad of the tee that the stream goes through
 * @queue: the first element of the branch; it is linked here
 */
GemmaCaptionTap *gemma_caption_tap_new (GstElement *bin, GstPad *sink, GstPad *src, GstElement *queue);
void gemma_caption_tap_free (GemmaCaptionTap *tap);

/** Closed, nothing passes and nothing waits. */
void gemma_caption_tap_set_open (GemmaCaptionTap *tap, gboolean open);

G_END_DECLS
