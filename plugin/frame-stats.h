/* What is counted of the frames that an encoder gets. No locks. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct
{
  guint64 frames, encoded, dropped, skipped, unchanged;
  GstClockTime busy, average;   /* all encoding; moving mean of one frame's */
} GemmaFrameStats;

/** Counts a frame whose encoding took @took. */
void gemma_frame_stats_add_encoded (GemmaFrameStats *stats, GstClockTime took);
/** As the property stats shows it. (transfer full) */
GstStructure *gemma_frame_stats_to_structure (const GemmaFrameStats *stats);

G_END_DECLS
