#include "frame-picker.h"

static guint64
get_interval (const GemmaPickerSettings *settings, GstClockTime stream_time)
{
  if (!settings->interval || !GST_CLOCK_TIME_IS_VALID (stream_time))
    return GST_CLOCK_TIME_NONE;
  return stream_time / settings->interval;
}

/* Periods are counted from running time 0, so that the mean rate is exact whatever the rate of the video. */
static guint64
get_turn (const GemmaPickerSettings *settings, GstClockTime running_time)
{
  if (settings->max_rate_n <= 0 || !GST_CLOCK_TIME_IS_VALID (running_time))
    return GST_CLOCK_TIME_NONE;
  return gst_util_uint64_scale (running_time, settings->max_rate_n, settings->max_rate_d * GST_SECOND);
}

gboolean
gemma_frame_picker_is_due (const GemmaFramePicker *last, const GemmaPickerSettings *settings, GstClockTime stream_time,
    GstClockTime running_time)
{
  guint64 interval = get_interval (settings, stream_time), turn = get_turn (settings, running_time);

  if (!last->any)
    return TRUE;
  return (interval == GST_CLOCK_TIME_NONE || interval != last->interval)
      && (turn == GST_CLOCK_TIME_NONE || turn != last->turn);
}

gboolean
gemma_frame_picker_has_changed (const GemmaFramePicker *last, const GemmaPickerSettings *settings,
    const OclPicture *picture)
{
  GemmaThumbnail thumbnail;

  if (!settings->on_change || !last->has_thumbnail)
    return TRUE;
  gemma_thumbnail_make (&thumbnail, picture);
  return gemma_thumbnail_difference (&thumbnail, &last->thumbnail) > settings->threshold;
}

void
gemma_frame_picker_take (GemmaFramePicker *last, const GemmaPickerSettings *settings, GstClockTime stream_time,
    GstClockTime running_time, const OclPicture *picture)
{
  last->any = TRUE;
  last->interval = get_interval (settings, stream_time);
  last->turn = get_turn (settings, running_time);
  last->has_thumbnail = settings->on_change;
  if (settings->on_change)
    gemma_thumbnail_make (&last->thumbnail, picture);
}
