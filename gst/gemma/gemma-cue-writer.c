#include "gemma-cue-writer.h"
#include "gemma-text.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>

typedef struct
{
  guint n;                      /* from 1 on */
  GstClockTime start, end;
  const gchar *text;
  const GstGemmaWord *words;
  guint n_words;
} Cue;

typedef void (*FormatFunc) (GString *out, const Cue *cue);

#define MPEGTS_BITS 33

typedef struct
{
  const gchar *extension;
  FormatFunc format;
  void (*header) (GString *out, guint64 mpegts);        /* or NULL */
  gboolean takes_words;
} CueFormat;

struct _GstGemmaCueWriter
{
  GObject parent;
  gchar *location;
  FILE *file;
  const CueFormat *format;
  guint n_cues;
};

G_DEFINE_TYPE (GstGemmaCueWriter, gst_gemma_cue_writer, G_TYPE_OBJECT)

static void
append_times (GString *out, GstClockTime start, GstClockTime end, gchar separator)
{
  g_autofree gchar *from = gst_gemma_format_time (start, separator);
  g_autofree gchar *to = gst_gemma_format_time (end, separator);

  g_string_append_printf (out, "%s --> %s", from, to);
}

static void
format_terminal (GString *out, const Cue *cue)
{
  append_times (out, cue->start, cue->end, '.');
  g_string_append_printf (out, "  %s\n", cue->text);
  /* Further lines stand under the first: 12 + 5 + 12 characters of times and two spaces. */
  g_string_replace (out, "\n", "\n                               ", 0);
  g_string_truncate (out, out->len - 31);
}

static void
format_text (GString *out, const Cue *cue)
{
  g_string_append_printf (out, "%s\n", cue->text);
}

static void
format_srt (GString *out, const Cue *cue)
{
  g_string_append_printf (out, "%u\n", cue->n);
  append_times (out, cue->start, cue->end, ',');
  g_string_append_printf (out, "\n%s\n\n", cue->text);
}

void
gst_gemma_webvtt_append_header (GString *out, guint64 mpegts)
{
  g_return_if_fail (out != NULL);

  g_string_append (out, "WEBVTT\n");
  if (mpegts != GST_GEMMA_WEBVTT_NO_MAP)
    g_string_append_printf (out, "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:%" G_GUINT64_FORMAT "\n",
        mpegts & ((G_GUINT64_CONSTANT (1) << MPEGTS_BITS) - 1));
  g_string_append_c (out, '\n');
}

void
gst_gemma_webvtt_append_cue (GString *out, GstClockTime start, GstClockTime end, const gchar *text)
{
  g_return_if_fail (out != NULL);
  g_return_if_fail (text != NULL);

  append_times (out, start, end, '.');
  g_string_append_c (out, '\n');
  for (const gchar *p = text; *p; p++)
    switch (*p) {
      case '&': g_string_append (out, "&amp;"); break;
      case '<': g_string_append (out, "&lt;"); break;
      case '>': g_string_append (out, "&gt;"); break;
      default: g_string_append_c (out, *p);
    }
  g_string_append (out, "\n\n");
}

static void
format_vtt (GString *out, const Cue *cue)
{
  gst_gemma_webvtt_append_cue (out, cue->start, cue->end, cue->text);
}

static void
append_seconds (GString *out, const gchar *name, GstClockTime time)
{
  /* Integers, since the decimal point of printf follows the locale. */
  g_string_append_printf (out, "\"%s\": %" G_GUINT64_FORMAT ".%03u, ", name, time / GST_SECOND,
      (guint) (time % GST_SECOND / GST_MSECOND));
}

/* An object that is open yet. */
static void
begin_object (GString *out, GstClockTime start, GstClockTime end, const gchar *text)
{
  g_string_append_c (out, '{');
  append_seconds (out, "start", start);
  append_seconds (out, "end", end);
  g_string_append (out, "\"text\": \"");
  for (const gchar *p = text; *p; p++)
    switch (*p) {
      case '"': g_string_append (out, "\\\""); break;
      case '\\': g_string_append (out, "\\\\"); break;
      case '\n': g_string_append (out, "\\n"); break;
      default: g_string_append_c (out, *p);     /* gst_gemma_caption_text() left no other control character */
    }
  g_string_append_c (out, '"');
}

static void
format_jsonl (GString *out, const Cue *cue)
{
  begin_object (out, cue->start, cue->end, cue->text);
  for (guint i = 0; i < cue->n_words; i++) {
    g_autofree gchar *text = gst_gemma_caption_text (cue->words[i].text);
    g_string_append (out, i ? ", " : ", \"words\": [");
    begin_object (out, cue->words[i].start, cue->words[i].end, text);
    g_string_append_c (out, '}');
  }
  g_string_append (out, cue->n_words ? "]}\n" : "}\n");
}

static const CueFormat terminal_format = { NULL, format_terminal };
static const CueFormat text_format = { ".txt", format_text };
static const CueFormat formats[] = {
  { ".srt", format_srt },
  { ".vtt", format_vtt, gst_gemma_webvtt_append_header },
  { ".jsonl", format_jsonl, NULL, TRUE },
};

static const CueFormat *
find_format (const gchar *location)
{
  g_autofree gchar *lower = g_ascii_strdown (location, -1);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (g_str_has_suffix (lower, formats[i].extension))
      return &formats[i];
  return &text_format;
}

static void
set_errno_error (GError **error, const gchar *location, gint code)
{
  g_autofree gchar *shown = g_filename_display_name (location);

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (code), "cannot write \"%s\": %s", shown, g_strerror (code));
}

static gboolean
put (GstGemmaCueWriter *self, const gchar *text, GError **error)
{
  if (fputs (text, self->file) >= 0 && fflush (self->file) == 0)
    return TRUE;
  set_errno_error (error, self->location, errno);
  return FALSE;
}

static gboolean
put_header (GstGemmaCueWriter *self, guint64 mpegts, GError **error)
{
  g_autoptr (GString) header = g_string_new (NULL);

  if (!self->format->header)
    return TRUE;
  self->format->header (header, mpegts);
  return put (self, header->str, error);
}

GstGemmaCueWriter *
gst_gemma_cue_writer_new (const gchar *location, GError **error)
{
  return gst_gemma_cue_writer_new_mapped (location, GST_GEMMA_WEBVTT_NO_MAP, error);
}

GstGemmaCueWriter *
gst_gemma_cue_writer_new_mapped (const gchar *location, guint64 mpegts, GError **error)
{
  g_return_val_if_fail (location != NULL, NULL);

  g_autoptr (GstGemmaCueWriter) self = g_object_new (GST_TYPE_GEMMA_CUE_WRITER, NULL);
  self->location = g_strdup (location);
  if (g_str_equal (location, "-")) {
    self->file = stdout;
    self->format = &terminal_format;
    return g_steal_pointer (&self);
  }
  self->format = find_format (location);
  self->file = g_fopen (location, "wb");
  if (!self->file) {
    set_errno_error (error, location, errno);
    return NULL;
  }
  if (!put_header (self, mpegts, error))
    return NULL;
  return g_steal_pointer (&self);
}

gboolean
gst_gemma_cue_writer_takes_words (GstGemmaCueWriter *self)
{
  g_return_val_if_fail (GST_IS_GEMMA_CUE_WRITER (self), FALSE);

  return self->format->takes_words;
}

gboolean
gst_gemma_cue_writer_write (GstGemmaCueWriter *self, GstClockTime start, GstClockTime duration, const gchar *text,
    GError **error)
{
  return gst_gemma_cue_writer_write_words (self, start, duration, text, NULL, 0, error);
}

gboolean
gst_gemma_cue_writer_write_words (GstGemmaCueWriter *self, GstClockTime start, GstClockTime duration, const gchar *text,
    const GstGemmaWord *words, guint n_words, GError **error)
{
  g_return_val_if_fail (GST_IS_GEMMA_CUE_WRITER (self), FALSE);
  g_return_val_if_fail (text != NULL, FALSE);

  g_autofree gchar *caption = gst_gemma_caption_text (text);
  if (!*caption)
    return TRUE;
  if (!GST_CLOCK_TIME_IS_VALID (start))
    start = 0;
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    duration = 0;

  g_autoptr (GString) out = g_string_new (NULL);
  self->format->format (out, &(Cue) { ++self->n_cues, start, start + duration, caption, words, n_words });
  return put (self, out->str, error);
}

static void
gst_gemma_cue_writer_finalize (GObject *object)
{
  GstGemmaCueWriter *self = GST_GEMMA_CUE_WRITER (object);

  if (self->file && self->file != stdout)
    fclose (self->file);
  g_free (self->location);
  G_OBJECT_CLASS (gst_gemma_cue_writer_parent_class)->finalize (object);
}

static void
gst_gemma_cue_writer_class_init (GstGemmaCueWriterClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_gemma_cue_writer_finalize;
}

static void
gst_gemma_cue_writer_init (GstGemmaCueWriter *self)
{
}
