#include "webvtt-segments.h"

#include <gst/gemma/gemma.h>

typedef struct
{
  GstClockTime start, end;
  gchar *text;
  gboolean written;
} Cue;

struct _GemmaWebvttSegments
{
  GstClockTime duration, start;
  guint64 mpegts;
  GPtrArray *cues;              /* of Cue, those that a segment still needs, in the order in which they came */
};

static void
cue_free (gpointer data)
{
  Cue *cue = data;

  g_free (cue->text);
  g_free (cue);
}

GemmaWebvttSegments *
gemma_webvtt_segments_new (GstClockTime duration, guint64 mpegts)
{
  GemmaWebvttSegments *self = g_new0 (GemmaWebvttSegments, 1);

  self->duration = duration;
  self->mpegts = mpegts;
  self->cues = g_ptr_array_new_with_free_func (cue_free);
  return self;
}

void
gemma_webvtt_segments_free (GemmaWebvttSegments *self)
{
  g_ptr_array_unref (self->cues);
  g_free (self);
}

void
gemma_webvtt_segments_restart (GemmaWebvttSegments *self, GstClockTime start)
{
  g_ptr_array_set_size (self->cues, 0);
  self->start = start;
}

void
gemma_webvtt_segments_add (GemmaWebvttSegments *self, GstClockTime start, GstClockTime end, const gchar *text)
{
  g_autofree gchar *caption = gst_gemma_caption_text (text);

  if (!*caption)
    return;
  Cue *cue = g_new0 (Cue, 1);
  cue->start = start;
  cue->end = MAX (start, end);
  cue->text = g_steal_pointer (&caption);
  g_ptr_array_add (self->cues, cue);
}

GstClockTime
gemma_webvtt_segments_get_start (const GemmaWebvttSegments *self)
{
  return self->start;
}

GstClockTime
gemma_webvtt_segments_get_end (const GemmaWebvttSegments *self)
{
  return self->start + self->duration;
}

gboolean
gemma_webvtt_segments_has_news (const GemmaWebvttSegments *self)
{
  for (guint i = 0; i < self->cues->len; i++)
    if (!((Cue *) g_ptr_array_index (self->cues, i))->written)
      return TRUE;
  return FALSE;
}

gchar *
gemma_webvtt_segments_close (GemmaWebvttSegments *self, GstClockTime end)
{
  GString *out = g_string_new (NULL);

  gst_gemma_webvtt_append_header (out, self->mpegts);
  for (guint i = 0; i < self->cues->len;) {
    Cue *cue = g_ptr_array_index (self->cues, i);
    if (cue->start < end && (cue->end > self->start || !cue->written)) {
      gst_gemma_webvtt_append_cue (out, cue->start, cue->end, cue->text);
      cue->written = TRUE;
    }
    if (cue->written && cue->end <= end)
      g_ptr_array_remove_index (self->cues, i);
    else
      i++;
  }
  self->start = end;
  return g_string_free (out, FALSE);
}
