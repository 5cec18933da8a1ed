/* Which frames of a video are worth encoding. */
#pragma once

#include <gst/gst.h>

#include "video-picture.h"

G_BEGIN_DECLS

typedef struct
{
  GstClockTime interval;        /* of stream time, with one frame each; 0: no limit */
  gint max_rate_n, max_rate_d;  /* frames a second of running time; 0: no limit */
  gboolean on_change;
  gdouble threshold;
} GemmaPickerSettings;

/** What is known of the frame that was encoded last; all zero at first. */
typedef struct
{
  gboolean any, has_thumbnail;
  guint64 interval, turn;       /* number of the interval of stream time, of the period of the rate */
  GemmaThumbnail thumbnail;
} GemmaFramePicker;

/** FALSE where @last is of the same interval, or of the same period of the rate. Times may be invalid. */
gboolean gemma_frame_picker_is_due (const GemmaFramePicker *last, const GemmaPickerSettings *settings,
    GstClockTime stream_time, GstClockTime running_time);

/** FALSE where only changes count and @picture differs too little from @last. */
gboolean gemma_frame_picker_has_changed (const GemmaFramePicker *last, const GemmaPickerSettings *settings,
    const OclPicture *picture);

/** The frame is encoded: it becomes @last. */
void gemma_frame_picker_take (GemmaFramePicker *last, const GemmaPickerSettings *settings, GstClockTime stream_time,
    GstClockTime running_time, const OclPicture *picture);

G_END_DECLS
