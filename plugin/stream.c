#include "stream.h"

#include <string.h>

#include <gst/gemma/gemma.h>

#include "debug.h"

#define DROPPED "gemma-clip-dropped"
#define LEVELS "GemmaLevels"    /* metadata, its field is "levels": the first level is its lowest byte */

gboolean
gemma_stream_take_segment (GstElement *element, GstEvent *event, GstSegment *segment, const gchar *what)
{
  gst_event_copy_segment (event, segment);
  if (segment->format == GST_FORMAT_TIME)
    return TRUE;
  GST_ELEMENT_ERROR (element, STREAM, FORMAT, ("%s needs a segment in time, this one is in %s", what,
          gst_format_get_name (segment->format)), (NULL));
  return FALSE;
}

gboolean
gemma_stream_query (GstPad *pad, GstObject *parent, GstQuery *query, GstPad *sinkpad, GstClockTime own)
{
  GstClockTime min, max;
  gboolean live;

  switch (GST_QUERY_TYPE (query)) {
    case GST_QUERY_CONTEXT:
      if (gst_gemma_element_handle_context_query (GST_ELEMENT (parent), query))
        return TRUE;
      break;
    case GST_QUERY_LATENCY:
      if (GST_PAD_IS_SINK (pad))
        break;
      if (!gst_pad_peer_query (sinkpad, query))
        return FALSE;
      gst_query_parse_latency (query, &live, &min, &max);
      gst_query_set_latency (query, live, min + own, GST_CLOCK_TIME_IS_VALID (max) ? max + own : max);
      return TRUE;
    default:
      break;
  }
  return gst_pad_query_default (pad, parent, query);
}

gboolean
gemma_stream_is_live (GstPad *sinkpad, gint *known, gboolean unanswered)
{
  gint live = g_atomic_int_get (known);

  if (live < 0) {
    g_autoptr (GstQuery) query = gst_query_new_latency ();
    gboolean answer = unanswered;
    if (gst_pad_peer_query (sinkpad, query)) {
      gst_query_parse_latency (query, &answer, NULL, NULL);
      g_atomic_int_set (known, answer);
    }
    live = answer;
  }
  return live;
}

GstEvent *
gemma_stream_new_dropped (void)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_new_empty (DROPPED));
}

gboolean
gemma_stream_is_dropped (GstEvent *event)
{
  return GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM && gst_event_has_name (event, DROPPED);
}

static void
register_levels (void)
{
  static const gchar *tags[] = { NULL };
  static gsize done;

  if (g_once_init_enter (&done)) {
    gst_meta_register_custom (LEVELS, tags, NULL, NULL, NULL);
    g_once_init_leave (&done, 1);
  }
}

void
gemma_stream_add_levels (GstBuffer *buffer, const guint8 *levels)
{
  guint64 packed = 0;

  register_levels ();
  for (guint i = 0; i < GEMMA_SOUND_LEVELS; i++)
    packed |= (guint64) levels[i] << (8 * i);
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, LEVELS);
  gst_structure_set (gst_custom_meta_get_structure (meta), "levels", G_TYPE_UINT64, packed, NULL);
}

gboolean
gemma_stream_get_levels (GstBuffer *buffer, guint8 *levels)
{
  guint64 packed;

  register_levels ();
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, LEVELS);
  if (!meta || !gst_structure_get_uint64 (gst_custom_meta_get_structure (meta), "levels", &packed))
    return FALSE;
  for (guint i = 0; i < GEMMA_SOUND_LEVELS; i++)
    levels[i] = packed >> (8 * i) & 0xff;
  return TRUE;
}

gchar *
gemma_stream_take_text (const GValue *value)
{
  const gchar *text = g_value_get_string (value);

  if (!text || g_utf8_validate (text, -1, NULL))
    return g_strdup (text);
  gchar *converted = g_locale_to_utf8 (text, -1, NULL, NULL, NULL);
  /* In Latin-1 all bytes are characters. */
  return converted ? converted : g_convert (text, -1, "UTF-8", "ISO-8859-1", NULL, NULL, NULL);
}

gchar *
gemma_stream_read_text (GstBuffer *buffer)
{
  GstMapInfo map;

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return NULL;
  gchar *text = map.size ? g_strndup ((const gchar *) map.data, map.size) : g_strdup ("");
  gst_buffer_unmap (buffer, &map);
  return text;
}

guint
gemma_stream_add_latencies (guint a, guint b)
{
  return a > G_MAXUINT - b ? G_MAXUINT : a + b;
}

gboolean
gemma_stream_note_delay (gpointer object, GMutex *lock, guint *most, guint delay)
{
  g_mutex_lock (lock);
  gboolean grown = delay > *most;
  *most = MAX (*most, delay);
  g_mutex_unlock (lock);
  if (grown)
    g_object_notify (object, "max-observed-delay");
  return grown;
}

static void
deactivate (GstElement *element, gpointer pad)
{
  GST_OBJECT_FLAG_UNSET (pad, GST_PAD_FLAG_NEED_PARENT);        /* it has none any more */
  gst_pad_set_active (pad, FALSE);
}

void
gemma_stream_remove_pad (GstElement *element, GstPad *pad)
{
  g_autoptr (GstPad) kept = gst_object_ref (pad);

  gst_element_remove_pad (element, pad);
  if (gst_pad_is_active (pad))
    gst_element_call_async (element, deactivate, g_steal_pointer (&kept), gst_object_unref);
}

gchar *
gemma_stream_make_pad_name (GstElement *element, GstPadTemplate *templ, const gchar *wanted)
{
  const gchar *format = GST_PAD_TEMPLATE_NAME_TEMPLATE (templ);

  if (wanted && !strchr (wanted, '%'))
    return g_strdup (wanted);
  for (guint i = 0;; i++) {
    g_autofree gchar *name = g_strdup_printf ("%.*s%u", (gint) (strlen (format) - strlen ("%u")), format, i);
    g_autoptr (GstPad) taken = gst_element_get_static_pad (element, name);
    if (!taken)
      return g_steal_pointer (&name);
  }
}
