/* A recording again and again through gemmatranscriber, for as long as wanted: does its memory stay flat, do its words
 * and their times stay the same, how late do they come?
 *
 *   soak [--seconds 120] [--fast] [--pause 2] [--streaming auto|whole|partial|words] [--json OUT] FILE
 *
 * Sound comes in real time as from a live source, or with --fast as quickly as it is taken. Prints a line for each minute of
 * sound. Fails if memory that is no file's has grown by more than GROWTH since the first minute, or if a later round says
 * something else than the second, or at other times (the voice gate learns the noise in the first). */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATE 16000
#define BLOCK (RATE / 10)
#define GROWTH (4 << 20) /* bytes: what malloc may keep of the longest utterance; an hour that leaks shows hundreds */
#define SAME (10 * GST_MSECOND) /* a round begins between two of the gate's windows */

typedef struct
{
  guint64 round;
  GstClockTime offset, duration; /* offset: in its round */
  gchar *text;
} Cue;

typedef struct
{
  gint seconds, pause;
  gboolean fast;
  gchar *streaming, *json;

  GArray *sound;       /* gfloat: one round */
  GstClockTime round;  /* the length of one */
  GMutex lock;
  GArray *cues;        /* Cue, of all rounds */
  GArray *finals, *partials; /* gdouble: seconds between the end of what was said and its text */
  gint64 start;        /* of the stream, on the monotonic clock */
  gint64 first_minute, most; /* bytes */
} Soak;

static void
clear_cue (gpointer data)
{
  g_free (((Cue *) data)->text);
}

static gint64
anonymous_bytes (void)
{
  g_autofree gchar *data = NULL;
  const gchar *line;

  if (!g_file_get_contents ("/proc/self/status", &data, NULL, NULL) || !(line = strstr (data, "\nRssAnon:")))
    return 0;
  return g_ascii_strtoll (line + strlen ("\nRssAnon:"), NULL, 10) * 1024;
}

/* Running time, which is stream time here, as far as the clock on the wall goes. */
static gdouble
late (Soak *soak, GstClockTime end)
{
  return (g_get_monotonic_time () - soak->start) / 1e6 - end / (gdouble) GST_SECOND;
}

/* ---- what comes out --------------------------------------------------------------------------- */

static GstPadProbeReturn
on_text (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  Soak *soak = data;
  GstMapInfo map;
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  Cue cue = { pts / soak->round, pts % soak->round, GST_BUFFER_DURATION (buffer), NULL };
  gdouble delay = late (soak, pts + cue.duration);

  gst_buffer_map (buffer, &map, GST_MAP_READ);
  cue.text = g_strndup ((const gchar *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  g_mutex_lock (&soak->lock);
  g_array_append_val (soak->cues, cue);
  g_array_append_val (soak->finals, delay);
  g_mutex_unlock (&soak->lock);
  return GST_PAD_PROBE_OK;
}

static GstBusSyncReply
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  const GstStructure *s = gst_message_get_structure (message);
  Soak *soak = data;
  GstClockTime start, duration;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    g_autoptr (GError) error = NULL;
    gst_message_parse_error (message, &error, NULL);
    g_printerr ("%s\n", error->message);
    exit (2);
  }
  if (s && gst_structure_has_name (s, "gemma-partial") && gst_structure_get_uint64 (s, "timestamp", &start)
      && gst_structure_get_uint64 (s, "duration", &duration)) {
    gdouble delay = late (soak, start + duration);
    g_mutex_lock (&soak->lock);
    g_array_append_val (soak->partials, delay);
    g_mutex_unlock (&soak->lock);
  }
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
    return GST_BUS_PASS;
  gst_message_unref (message); /* nobody reads the bus before the end */
  return GST_BUS_DROP;
}

/* ---- what goes in ----------------------------------------------------------------------------- */

static GArray *
decode (const gchar *path)
{
  g_autofree gchar *line = g_strdup_printf ("filesrc location=\"%s\" ! decodebin ! audioconvert ! audioresample ! "
      "audio/x-raw,format=F32LE,rate=%d,channels=1 ! appsink name=out sync=false", path, RATE);
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, NULL);
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  GArray *sound = g_array_new (FALSE, TRUE, sizeof (gfloat));
  GstSample *sample;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while ((sample = gst_app_sink_pull_sample (GST_APP_SINK (out)))) {
    GstMapInfo map;
    gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ);
    g_array_append_vals (sound, map.data, map.size / sizeof (gfloat));
    gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return sound;
}

static void
report (Soak *soak, gint64 second)
{
  gint64 bytes = anonymous_bytes ();

  if (second <= 60)
    soak->first_minute = MAX (soak->first_minute, bytes);
  soak->most = MAX (soak->most, bytes);
  g_mutex_lock (&soak->lock);
  g_print ("%6" G_GINT64_FORMAT " s of sound, %7.1f s passed: %7.1f MB, %u texts\n", second,
      (g_get_monotonic_time () - soak->start) / 1e6, bytes / 1e6, soak->cues->len);
  g_mutex_unlock (&soak->lock);
}

static void
feed (Soak *soak, GstAppSrc *src)
{
  gint64 blocks = (gint64) soak->seconds * RATE / BLOCK;
  guint per_round = soak->sound->len / BLOCK;

  soak->start = g_get_monotonic_time ();
  for (gint64 k = 0; k < blocks; k++) {
    const gfloat *samples = &g_array_index (soak->sound, gfloat, (gsize) (k % per_round) * BLOCK);
    GstBuffer *buffer = gst_buffer_new_memdup (samples, BLOCK * sizeof (gfloat));
    gint64 wait = soak->start + (k + 1) * G_USEC_PER_SEC * BLOCK / RATE - g_get_monotonic_time ();

    GST_BUFFER_PTS (buffer) = gst_util_uint64_scale (k * BLOCK, GST_SECOND, RATE);
    GST_BUFFER_DURATION (buffer) = gst_util_uint64_scale (BLOCK, GST_SECOND, RATE);
    if (!soak->fast && wait > 0)
      g_usleep (wait);
    if (gst_app_src_push_buffer (src, buffer) != GST_FLOW_OK)
      break;
    if ((k + 1) % (60 * RATE / BLOCK) == 0)
      report (soak, (k + 1) * BLOCK / RATE);
  }
  gst_app_src_end_of_stream (src);
}

/* ---- what is made of it ----------------------------------------------------------------------- */

static gint
compare (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

static gdouble
quantile (GArray *values, gdouble share)
{
  g_array_sort (values, compare);
  return values->len ? g_array_index (values, gdouble, MIN ((guint) (share * values->len), values->len - 1)) : NAN;
}

/* Cues of whole rounds from the third on that are not, in order, those of the second. */
static guint
differences (Soak *soak, guint *rounds)
{
  g_autoptr (GPtrArray) second = g_ptr_array_new ();
  guint64 whole = (guint64) soak->seconds * GST_SECOND / soak->round, current = 0;
  guint different = 0, at = 0;

  for (guint i = 0; i < soak->cues->len; i++) {
    Cue *cue = &g_array_index (soak->cues, Cue, i), *before;

    if (cue->round == 1)
      g_ptr_array_add (second, cue);
    if (cue->round < 2 || cue->round >= whole)
      continue;
    at = cue->round == current ? at + 1 : 0;
    current = cue->round;
    before = at < second->len ? second->pdata[at] : NULL;
    if (!before || ABS ((gint64) (before->offset - cue->offset)) > (gint64) SAME || strcmp (before->text, cue->text))
      different++;
  }
  *rounds = whole;
  return different;
}

static gboolean
conclude (Soak *soak, GError **error)
{
  guint rounds, different = differences (soak, &rounds);
  gint64 grown = soak->most - soak->first_minute;
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  JsonObject *o = json_object_new ();

  json_node_take_object (root, o);
  json_object_set_int_member (o, "seconds_of_sound", soak->seconds);
  json_object_set_double_member (o, "seconds_passed", (g_get_monotonic_time () - soak->start) / 1e6);
  json_object_set_int_member (o, "rounds", rounds);
  json_object_set_int_member (o, "texts", soak->cues->len);
  json_object_set_int_member (o, "texts_that_differ", different);
  json_object_set_int_member (o, "first_minute_bytes", soak->first_minute);
  json_object_set_int_member (o, "growth_bytes", grown);
  if (!soak->fast) {
    json_object_set_double_member (o, "final_median_seconds", quantile (soak->finals, .5));
    json_object_set_double_member (o, "final_p95_seconds", quantile (soak->finals, .95));
    json_object_set_int_member (o, "partials", soak->partials->len);
    if (soak->partials->len) {
      json_object_set_double_member (o, "partial_median_seconds", quantile (soak->partials, .5));
      json_object_set_double_member (o, "partial_p95_seconds", quantile (soak->partials, .95));
    }
  }
  json_generator_set_pretty (generator, TRUE);
  json_generator_set_root (generator, root);
  g_autofree gchar *text = json_generator_to_data (generator, NULL);
  g_print ("%s\n", text);
  if (soak->json && !g_file_set_contents (soak->json, text, -1, error))
    return FALSE;
  if (!soak->cues->len || different || grown > GROWTH) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_FAILED, "%u texts, %u of them different, %.1f MB grown", soak->cues->len,
        different, grown / 1e6);
    return FALSE;
  }
  return TRUE;
}

static gboolean
run (Soak *soak, GError **error)
{
  g_autofree gchar *line = g_strdup_printf ("appsrc name=src format=time is-live=%d block=true max-bytes=%d "
      "caps=audio/x-raw,format=F32LE,rate=%d,channels=1,layout=interleaved ! gemmatranscriber name=t streaming=%s ! "
      "fakesink name=out sync=false async=false", !soak->fast, 100 * BLOCK, RATE, soak->streaming);
  GstElement *pipeline = gst_parse_launch (line, error);

  if (!pipeline)
    return FALSE;
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (out, "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_text, soak, NULL);
  gst_bus_set_sync_handler (bus, on_message, soak, NULL);
  soak->start = g_get_monotonic_time ();
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_element_get_state (pipeline, NULL, NULL, GST_CLOCK_TIME_NONE); /* the model is loaded */
  feed (soak, GST_APP_SRC (src));
  gst_message_unref (gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS));
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return conclude (soak, error);
}

int
main (int argc, char **argv)
{
  g_autofree gchar **files = NULL;
  Soak soak = { .seconds = 120, .pause = 2, .streaming = g_strdup ("auto") };
  const GOptionEntry entries[] = {
    { "seconds", 0, 0, G_OPTION_ARG_INT, &soak.seconds, "Of sound", "N" },
    { "fast", 0, 0, G_OPTION_ARG_NONE, &soak.fast, "Not in real time", NULL },
    { "pause", 0, 0, G_OPTION_ARG_INT, &soak.pause, "Seconds of silence between two rounds", "N" },
    { "streaming", 0, 0, G_OPTION_ARG_STRING, &soak.streaming, "The transcriber's property", "MODE" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &soak.json, "Where figures go", "OUT" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, "Recording", "FILE" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  gboolean ok;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error) || !files || soak.seconds < 1 || soak.pause < 0) {
    g_printerr ("%s\n", error ? error->message : "soak [options] FILE");
    return 2;
  }
  g_mutex_init (&soak.lock);
  soak.cues = g_array_new (FALSE, FALSE, sizeof (Cue));
  g_array_set_clear_func (soak.cues, clear_cue);
  soak.finals = g_array_new (FALSE, FALSE, sizeof (gdouble));
  soak.partials = g_array_new (FALSE, FALSE, sizeof (gdouble));
  soak.sound = decode (files[0]);
  g_array_set_size (soak.sound, (soak.sound->len / RATE + 1 + soak.pause) * RATE);
  soak.round = soak.sound->len * GST_SECOND / RATE;
  ok = run (&soak, &error);
  if (!ok)
    g_printerr ("%s\n", error->message);
  g_array_unref (soak.cues);
  g_array_unref (soak.finals);
  g_array_unref (soak.partials);
  g_array_unref (soak.sound);
  g_free (soak.streaming);
  g_free (soak.json);
  g_mutex_clear (&soak.lock);
  return ok ? 0 : 1;
}
