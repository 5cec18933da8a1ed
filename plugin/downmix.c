#include "downmix.h"

#include <gst/audio/audio.h>

/* Channels that the element has been told to mix; 0: it knows how by their positions. */
static guint
count_mixed (GObject *convert)
{
  g_auto (GValue) matrix = G_VALUE_INIT;

  g_value_init (&matrix, GST_TYPE_ARRAY);
  g_object_get_property (convert, "mix-matrix", &matrix);
  return gst_value_array_get_size (&matrix) ? gst_value_array_get_size (gst_value_array_get_value (&matrix, 0)) : 0;
}

static void
mix (GObject *convert, guint n)
{
  g_auto (GValue) matrix = G_VALUE_INIT, row = G_VALUE_INIT, part = G_VALUE_INIT;

  g_value_init (&matrix, GST_TYPE_ARRAY);
  g_value_init (&row, GST_TYPE_ARRAY);
  g_value_init (&part, G_TYPE_FLOAT);
  g_value_set_float (&part, 1.f / n);
  for (guint i = 0; i < n; i++)
    gst_value_array_append_value (&row, &part);
  gst_value_array_append_value (&matrix, &row);
  g_object_set_property (convert, "mix-matrix", &matrix);
}

/* What it takes does not depend on what it is asked for: it thinks that it cannot take channels without positions. */
static GstPadProbeReturn
on_query (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  GstCaps *filter;

  if (GST_QUERY_TYPE (query) != GST_QUERY_CAPS)
    return GST_PAD_PROBE_OK;
  gst_query_parse_caps (query, &filter);
  if (!filter)
    return GST_PAD_PROBE_OK;
  g_autoptr (GstCaps) all = gst_pad_query_caps (pad, NULL);
  g_autoptr (GstCaps) some = gst_caps_intersect_full (filter, all, GST_CAPS_INTERSECT_FIRST);
  gst_query_set_caps_result (query, some);
  return GST_PAD_PROBE_HANDLED;
}

/* Before audioconvert sees the caps. It cannot be told to go by positions again, so that later ones are mixed, too. */
static GstPadProbeReturn
on_event (GstPad *pad, GstPadProbeInfo *info, gpointer convert)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  GstAudioInfo audio;
  GstCaps *caps;

  if (GST_EVENT_TYPE (event) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (event, &caps);
  if (!gst_audio_info_from_caps (&audio, caps))
    return GST_PAD_PROBE_OK;
  guint n = GST_AUDIO_INFO_CHANNELS (&audio), mixed = count_mixed (convert);
  if (n != mixed && (mixed || (n > 1 && GST_AUDIO_INFO_IS_UNPOSITIONED (&audio))))
    mix (convert, n);
  return GST_PAD_PROBE_OK;
}

GstElement *
gemma_downmix_new (void)
{
  GstElement *convert = gst_element_factory_make ("audioconvert", NULL);
  g_autoptr (GstPad) sink = convert ? gst_element_get_static_pad (convert, "sink") : NULL;

  if (sink) {
    gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PUSH, on_query, NULL, NULL);
    gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_event, convert, NULL);
  }
  return convert;
}
