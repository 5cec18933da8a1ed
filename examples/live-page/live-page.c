/* A live page: a source is captioned in two languages and served to browsers, as HLS with WebVTT renditions.
 *
 *   live-page [--port 8080] [--language en] [--translation es] [--model MODEL] [URI]
 *
 * Without a URI, the recording that ./run makes plays over and over beside a test picture. The page is at
 * http://127.0.0.1:8080/, for other players the stream is at /master.m3u8.
 */
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <gst/tag/tag.h>
#include <libsoup/soup.h>
#include <string.h>

#include "live-page-resources.h"

/* A file is read as fast as it plays; a live source comes so anyway. */
#define RECORDING "filesrc name=file ! wavparse name=loop ! clocksync ! audioconvert ! audioresample ! " \
  "tee name=sound " \
  "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=25/1 ! " \
  "timeoverlay valignment=top halignment=left ! picture. "
#define ANY_URI "uridecodebin name=source source. ! audioconvert ! clocksync ! audioresample ! tee name=sound " \
  "source. ! videoconvert ! clocksync ! videoscale ! video/x-raw,height=360,pixel-aspect-ratio=1/1 ! picture. "

/* Captions are there within 8.5 s (latency and translate-latency), so a player that is three segments behind, as
 * players of HLS should be, has them in time. */
#define TO_HLS "videoconvert name=picture ! queue ! " \
  "openh264enc complexity=low rate-control=bitrate bitrate=600000 gop-size=250 ! h264parse ! hls.video " \
  "sound. ! queue ! voaacenc bitrate=64000 ! aacparse ! hls.audio hlssink2 name=hls target-duration=3 " \
  "sound. ! queue max-size-time=30000000000 max-size-bytes=0 max-size-buffers=0 leaky=downstream ! " \
  "gemmatranscriber name=transcriber streaming=partial " \
  "transcriber.src ! gemmahlswebvttsink name=original target-duration=3 " \
  "transcriber.translate_src_0 ! gemmahlswebvttsink name=translation target-duration=3"

static gint port = 8080;
static gchar *language = "en", *translation = "es", *model, **uris;
static const GOptionEntry options[] = {
  { "port", 0, 0, G_OPTION_ARG_INT, &port, "Port to serve (0: any that is free)", "N" },
  { "language", 0, 0, G_OPTION_ARG_STRING, &language, "Language that is spoken", "CODE" },
  { "translation", 0, 0, G_OPTION_ARG_STRING, &translation, "Language of the second captions", "CODE" },
  { "model", 0, 0, G_OPTION_ARG_FILENAME, &model,
    "Gemma 3n: a directory or GGUF (default: the embedded one)", "MODEL" },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &uris, NULL, "[URI]" },
  { NULL }
};

/* ---- HTTP ------------------------------------------------------------------------------------ */

static const gchar *
get_content_type (const gchar *name)
{
  static const gchar *const types[][2] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".m3u8", "application/vnd.apple.mpegurl" },
    { ".vtt", "text/vtt; charset=utf-8" },
    { ".ts", "video/mp2t" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_str_has_suffix (name, types[i][0]))
      return types[i][1];
  return NULL;
}

/* The page is in the program, everything else in the one folder. */
static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer folder)
{
  const gchar *name = g_str_equal (path, "/") ? "index.html" : path + 1, *type = get_content_type (name);
  g_autofree gchar *resource = g_strconcat ("/live-page/", name, NULL);
  g_autoptr (GBytes) bytes = g_resources_lookup_data (resource, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  g_autofree gchar *file = g_build_filename (folder, name, NULL);
  gchar *contents;
  gsize size;

  if (!g_str_equal (soup_server_message_get_method (message), "GET")) {
    soup_server_message_set_status (message, SOUP_STATUS_METHOD_NOT_ALLOWED, NULL);
    return;
  }
  if (!bytes && type && !strchr (name, '/') && g_file_get_contents (file, &contents, &size, NULL))
    bytes = g_bytes_new_take (contents, size);
  if (!bytes) {
    soup_server_message_set_status (message, SOUP_STATUS_NOT_FOUND, NULL);
    return;
  }
  soup_message_headers_append (soup_server_message_get_response_headers (message), "Cache-Control", "no-cache");
  soup_server_message_set_status (message, SOUP_STATUS_OK, NULL);
  soup_server_message_set_response (message, type, SOUP_MEMORY_COPY, g_bytes_get_data (bytes, NULL),
      g_bytes_get_size (bytes));
}

/* (transfer full) (nullable) */
static SoupServer *
serve (const gchar *folder, GError **error)
{
  g_autoptr (SoupServer) server = soup_server_new (NULL, NULL);

  soup_server_add_handler (server, NULL, on_request, (gpointer) folder, NULL);
  if (!soup_server_listen_local (server, port, SOUP_SERVER_LISTEN_IPV4_ONLY, error))
    return NULL;
  GSList *addresses = soup_server_get_uris (server);
  g_autofree gchar *address = g_uri_to_string (addresses->data);
  g_print ("%s\n", address);
  g_slist_free_full (addresses, (GDestroyNotify) g_uri_unref);
  return g_steal_pointer (&server);
}

/* ---- HLS ---------------------------------------------------------------------------------------- */

static void
append_rendition (GString *out, const gchar *code, const gchar *name, gboolean is_default)
{
  const gchar *full = gst_tag_get_language_name (code);

  g_string_append_printf (out, "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"captions\",NAME=\"%s\",LANGUAGE=\"%s\","
      "DEFAULT=%s,AUTOSELECT=YES,FORCED=NO,URI=\"%s.m3u8\"\n", full ? full : code, code, is_default ? "YES" : "NO",
      name);
}

static gboolean
write_master (const gchar *folder, GError **error)
{
  g_autofree gchar *path = g_build_filename (folder, "master.m3u8", NULL);
  g_autoptr (GString) out = g_string_new ("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n");

  append_rendition (out, language, "original", TRUE);
  append_rendition (out, translation, "translation", FALSE);
  g_string_append (out, "#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS=\"avc1.42c01f,mp4a.40.2\",SUBTITLES=\"captions\"\n"
      "video.m3u8\n");
  return g_file_set_contents (path, out->str, out->len, error);
}

static void
set_output (GstElement *pipeline, const gchar *folder, const gchar *element, const gchar *name, const gchar *extension)
{
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), element);
  g_autofree gchar *segments = g_strdup_printf ("%s/%s%%05d.%s", folder, name, extension);
  g_autofree gchar *playlist = g_strdup_printf ("%s/%s.m3u8", folder, name);

  g_object_set (sink, "location", segments, "playlist-location", playlist, NULL);
}

static void
set_input (GstElement *pipeline, const gchar *uri)
{
  g_autoptr (GstElement) input = gst_bin_get_by_name (GST_BIN (pipeline), uri ? "source" : "file");
  g_autoptr (GstElement) loop = gst_bin_get_by_name (GST_BIN (pipeline), "loop");

  g_object_set (input, uri ? "uri" : "location", uri ? uri : RECORDING_PATH, NULL);
  if (loop)                     /* at its end it then says SEGMENT_DONE */
    gst_element_seek (loop, 1., GST_FORMAT_TIME, GST_SEEK_FLAG_SEGMENT, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_NONE, 0);
}

/* (transfer full) (nullable) */
static GstElement *
create_pipeline (const gchar *folder, const gchar *uri, GError **error)
{
  g_autoptr (GstElement) pipeline = gst_parse_launch (uri ? ANY_URI TO_HLS : RECORDING TO_HLS, error);

  if (!pipeline || *error)
    return NULL;                /* an element is missing */
  g_autoptr (GstElement) transcriber = gst_bin_get_by_name (GST_BIN (pipeline), "transcriber");
  gst_child_proxy_set (GST_CHILD_PROXY (transcriber), "language-code", language, "translate_src_0::language-code",
      translation, NULL);
  if (model)
    g_object_set (transcriber, "model", model, NULL);
  set_output (pipeline, folder, "hls", "video", "ts");
  set_output (pipeline, folder, "original", "original", "vtt");
  set_output (pipeline, folder, "translation", "translation", "vtt");
  set_input (pipeline, uri);
  return g_steal_pointer (&pipeline);
}

/* ---- the program --------------------------------------------------------------------------------- */

typedef struct
{
  GMainLoop *loop;
  GError **error;               /* why it ended, if not by a signal */
} Running;

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  Running *running = data;

  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_SEGMENT_DONE: {
      g_autoptr (GstElement) file = gst_bin_get_by_name (GST_BIN (GST_MESSAGE_SRC (message)), "loop");
      gst_element_seek (file, 1., GST_FORMAT_TIME, GST_SEEK_FLAG_SEGMENT, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_NONE, 0);
      break;
    }
    case GST_MESSAGE_ERROR:
      if (!*running->error)
        gst_message_parse_error (message, running->error, NULL);
      g_main_loop_quit (running->loop);
      break;
    case GST_MESSAGE_EOS:
      g_printerr ("The source has ended; what it has left is served until Ctrl-C\n");
      break;
    default:
      break;
  }
  return G_SOURCE_CONTINUE;
}

static gboolean
on_signal (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_CONTINUE;
}

static gboolean
run (const gchar *folder, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);

  if (!write_master (folder, error))
    return FALSE;
  g_autoptr (GstElement) pipeline = create_pipeline (folder, uris ? uris[0] : NULL, error);
  g_autoptr (SoupServer) server = pipeline ? serve (folder, error) : NULL;
  if (!server)
    return FALSE;
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  Running running = { loop, error };
  gst_bus_add_watch (bus, on_message, &running);
  g_unix_signal_add (SIGINT, on_signal, loop);
  g_unix_signal_add (SIGTERM, on_signal, loop);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);  /* what fails says so on the bus */
  g_main_loop_run (loop);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  return *error == NULL;
}

static void
remove_folder (const gchar *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (folder, name, NULL);
    g_unlink (path);
  }
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, options, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  g_autofree gchar *folder = g_dir_make_tmp ("live-page-XXXXXX", &error);
  if (folder) {
    run (folder, &error);
    remove_folder (folder);
  }
  if (error)
    g_printerr ("%s\n", error->message);
  return error != NULL;
}
