/* Events and at most one frame of video on their way from a streaming thread to another. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct
{
  GMutex lock;
  GCond cond;
  GQueue items;                 /* GstEvent, and one GstBuffer at most */
  gboolean flushing, eos;       /* @eos: it is in the queue or has passed it */
  GstFlowReturn flow;           /* of the thread that takes */
  gint64 free_at;               /* monotonic time at which that thread will likely be free; 0: it is */
} GemmaFrameQueue;

/** Flushing at first. */
void gemma_frame_queue_init (GemmaFrameQueue *queue);
void gemma_frame_queue_clear (GemmaFrameQueue *queue);

/** Forgets all but sticky events (of those, SEGMENT and EOS). While @flushing both sides return at once. */
void gemma_frame_queue_set_flushing (GemmaFrameQueue *queue, gboolean flushing);

/** Forgets everything: another stream begins. */
void gemma_frame_queue_empty (GemmaFrameQueue *queue);

/**
 * gemma_frame_queue_push_frame:
 * @may_replace: a frame that waits is replaced, with a GAP event in its place; else this waits until it is taken
 * @replaced: (out) (transfer full) (nullable): the frame that was replaced
 * @wait: (out): with @replaced, how much longer the other side will likely be busy
 *
 * Returns: what the other side returned last, or FLUSHING
 */
GstFlowReturn gemma_frame_queue_push_frame (GemmaFrameQueue *queue, GstBuffer *frame, gboolean may_replace,
    GstBuffer **replaced, GstClockTime *wait);

/** Events keep their place among the frames. @event is consumed. The same result. */
GstFlowReturn gemma_frame_queue_push_event (GemmaFrameQueue *queue, GstEvent *event);

/** Waits for a frame or an event. (transfer full) NULL: flushing */
GstMiniObject *gemma_frame_queue_take (GemmaFrameQueue *queue);

/** The other side stops with @flow. Returns TRUE if EOS came: upstream will not ask any more. */
gboolean gemma_frame_queue_stop (GemmaFrameQueue *queue, GstFlowReturn flow);

/** The other side begins something that will likely take so long; 0: it has ended. */
void gemma_frame_queue_set_busy (GemmaFrameQueue *queue, GstClockTime duration);

/** A GAP event in place of a frame. (transfer full) NULL: without a time nobody can wait for it */
GstEvent *gemma_frame_gap (GstBuffer *frame);

G_END_DECLS
