/* The smallest application: captions of any media file, as they are understood.
 *
 *   caption-file URI-OR-PATH [LANGUAGE]
 *
 * Partial text comes as "gemma-partial" messages and may still change; final text through the signal "text".
 */
#include <gst/gst.h>

static void
on_text (GstElement *sink, const gchar *text, guint64 time, guint64 duration, gpointer data)
{
  g_print ("\r\033[K%" GST_TIME_FORMAT "  %s\n", GST_TIME_ARGS (time), text);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer loop)
{
  g_autoptr (GError) error = NULL;
  const GstStructure *s;
  g_autofree gchar *phrase = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_ELEMENT:
      s = gst_message_get_structure (message);
      if (gst_structure_has_name (s, "gemma-partial"))
        g_print ("\r\033[K%s", gst_structure_get_string (s, "text"));
      break;
    case GST_MESSAGE_PROGRESS:
      gst_message_parse_progress (message, NULL, NULL, &phrase);
      g_printerr ("\r\033[K%s", phrase);
      break;
    case GST_MESSAGE_ERROR:
      gst_message_parse_error (message, &error, NULL);
      g_printerr ("\r\033[K%s\n", error->message);
      g_main_loop_quit (loop);
      break;
    case GST_MESSAGE_EOS:
      g_main_loop_quit (loop);
      break;
    default:
      break;
  }
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *uri = NULL;

  gst_init (&argc, &argv);
  if (argc < 2) {
    g_printerr ("usage: %s URI-OR-PATH [LANGUAGE]\n", argv[0]);
    return 2;
  }
  uri = gst_uri_is_valid (argv[1]) ? g_strdup (argv[1]) : gst_filename_to_uri (argv[1], &error);
  g_autoptr (GstElement) pipeline = uri ? gst_parse_launch ("uridecodebin name=source ! audioconvert ! audioresample "
      "! gemmaaudioenc voice-gate=true ! gemmasink name=captions", &error) : NULL;
  if (error) {                  /* a missing element, too */
    g_printerr ("%s\n", error->message);
    return 1;
  }
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstElement) captions = gst_bin_get_by_name (GST_BIN (pipeline), "captions");
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  g_object_set (source, "uri", uri, NULL);
  g_object_set (captions, "source-language", argc > 2 ? argv[2] : "en", NULL);
  g_signal_connect (captions, "text", G_CALLBACK (on_text), NULL);
  gst_bus_add_watch (bus, on_message, loop);

  if (gst_element_set_state (pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE)
    g_main_loop_run (loop);
  else
    g_printerr ("The pipeline does not start; GST_DEBUG=2 tells more\n");
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  return 0;
}
