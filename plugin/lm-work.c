/* What waits to be asked about. */
#include "lm-base.h"

GemmaWork *
gemma_work_new (GemmaWorkKind kind, GstClockTime start, GstClockTime end)
{
  GemmaWork *work = g_new0 (GemmaWork, 1);

  work->kind = kind;
  work->start = start;
  work->end = end;
  work->running_start = work->running_end = GST_CLOCK_TIME_NONE;
  work->arrived = g_get_monotonic_time ();
  return work;
}

void
gemma_work_free (GemmaWork *work)
{
  g_clear_pointer (&work->rows, g_array_unref);
  g_clear_pointer (&work->tokens, g_array_unref);
  g_clear_pointer (&work->pictures, g_ptr_array_unref);
  g_clear_pointer (&work->event, gst_event_unref);
  g_free (work->text);
  g_free (work->answer);
  g_free (work);
}

void
gemma_work_skip_carried (GemmaWork *work, guint n)
{
  if (n == 0)
    return;
  g_array_remove_range (work->rows, 0, n * (work->rows->len / work->tokens->len));
  g_array_remove_range (work->tokens, 0, n);
  work->n_carried -= n;
}
