#include "frame-stats.h"

void
gemma_frame_stats_add_encoded (GemmaFrameStats *self, GstClockTime took)
{
  self->encoded++;
  self->busy += took;
  self->average = self->average ? (7 * self->average + took) / 8 : took;
}

GstStructure *
gemma_frame_stats_to_structure (const GemmaFrameStats *self)
{
  return gst_structure_new ("application/x-gemma-vision-stats",
      "frames", G_TYPE_UINT64, self->frames,
      "encoded", G_TYPE_UINT64, self->encoded,
      "dropped", G_TYPE_UINT64, self->dropped,
      "skipped", G_TYPE_UINT64, self->skipped,
      "unchanged", G_TYPE_UINT64, self->unchanged,
      "encode-time", G_TYPE_UINT64, (guint64) self->average,
      "encode-seconds", G_TYPE_DOUBLE, self->busy / (gdouble) GST_SECOND, NULL);
}
