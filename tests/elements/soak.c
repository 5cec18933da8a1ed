/* A recording again and again through gemmatranscriber, for as long as wanted: does its memory stay flat, do its words
 * and their times stay the same, how late do they come? And through many of them in one process, which all hear it at the
 * same time: what does another one cost, and does each get its turn?
 *
 *   soak [--seconds 120] [--elements 1] [--fast] [--pause 2] [--streaming auto|whole|partial|words] [--json OUT] FILE
 *
 * Sound comes in real time as from a live source, or with --fast as quickly as it is taken. Prints a line for each minute of
 * sound. Fails if memory that is no file's has grown by more than GROWTH an element since the first minute, if another element
 * costs more than EACH, if a later round says something else than the second, or at other times (the voice gate learns
 * the noise in the first), or if the elements do not all say the same. */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define RATE 16000
#define BLOCK (RATE / 10)
#define GROWTH (4 << 20) /* bytes: what malloc may keep of the longest utterance; an hour that leaks shows hundreds */
#define EACH (8 << 20) /* bytes: keys, values, activations, what the encoder carries along; a copy of the weights would be more */
#define SAME (10 * GST_MSECOND) /* a round begins between two of the gate's windows */

typedef struct
{
  guint64 round;
  GstClockTime offset, duration; /* offset: in its round */
  gchar *text;
} Cue;

typedef struct _Soak Soak;

/* One transcriber and what it says; guarded by the lock from cues on. */
typedef struct
{
  Soak *soak;
  gint seconds;              /* of sound, that it hears */
  GstElement *src, *transcriber;
  GArray *cues;              /* Cue, of all rounds */
  GArray *finals, *partials; /* gdouble: seconds between the end of what was said and its text */
  guint n_loads;             /* how often it told that it leaves something out, or not any more */
} Player;

struct _Soak
{
  gint seconds, pause, n_elements;
  gboolean fast;
  gchar *streaming, *json;

  GArray *sound;       /* gfloat: one round */
  GstClockTime round;  /* the length of one */
  GMutex lock;
  GPtrArray *players;
  gint64 start;        /* of the stream, on the monotonic clock */
  gint64 with_one;     /* bytes, when one transcriber has heard a round; 0: not asked for */
  gint64 first_minute, most; /* bytes */
  gdouble cpu;         /* seconds, of all cores */
};

static void
clear_cue (gpointer data)
{
  g_free (((Cue *) data)->text);
}

static Player *
player_new (Soak *soak, gint seconds)
{
  Player *self = g_new0 (Player, 1);

  self->soak = soak;
  self->seconds = seconds;
  self->cues = g_array_new (FALSE, FALSE, sizeof (Cue));
  g_array_set_clear_func (self->cues, clear_cue);
  self->finals = g_array_new (FALSE, FALSE, sizeof (gdouble));
  self->partials = g_array_new (FALSE, FALSE, sizeof (gdouble));
  return self;
}

static void
player_free (gpointer data)
{
  Player *self = data;

  gst_clear_object (&self->src);
  gst_clear_object (&self->transcriber);
  g_array_unref (self->cues);
  g_array_unref (self->finals);
  g_array_unref (self->partials);
  g_free (self);
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

static gdouble
cpu_seconds (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
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
  Player *player = data;
  Soak *soak = player->soak;
  GstMapInfo map;
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  Cue cue = { pts / soak->round, pts % soak->round, GST_BUFFER_DURATION (buffer), NULL };
  gdouble delay = late (soak, pts + cue.duration);

  gst_buffer_map (buffer, &map, GST_MAP_READ);
  cue.text = g_strndup ((const gchar *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  g_mutex_lock (&soak->lock);
  g_array_append_val (player->cues, cue);
  g_array_append_val (player->finals, delay);
  g_mutex_unlock (&soak->lock);
  return GST_PAD_PROBE_OK;
}

static Player *
find_player (Soak *soak, GstObject *object)
{
  for (guint i = 0; i < soak->players->len; i++) {
    Player *player = soak->players->pdata[i];
    if (player->transcriber && gst_object_has_as_ancestor (object, GST_OBJECT (player->transcriber)))
      return player;
  }
  return NULL;
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
  Player *player = s ? find_player (soak, GST_MESSAGE_SRC (message)) : NULL;
  if (player && gst_structure_has_name (s, "gemma-partial") && gst_structure_get_uint64 (s, "timestamp", &start)
      && gst_structure_get_uint64 (s, "duration", &duration)) {
    gdouble delay = late (soak, start + duration);
    g_mutex_lock (&soak->lock);
    g_array_append_val (player->partials, delay);
    g_mutex_unlock (&soak->lock);
  }
  if (player && gst_structure_has_name (s, "gemma-load"))
    g_atomic_int_inc (&player->n_loads);
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
      (g_get_monotonic_time () - soak->start) / 1e6, bytes / 1e6, ((Player *) soak->players->pdata[0])->cues->len);
  g_mutex_unlock (&soak->lock);
}

/* In a thread for each: one that does not take its sound in time holds up nobody else's. */
static gpointer
feed (gpointer data)
{
  Player *player = data;
  Soak *soak = player->soak;
  GstAppSrc *src = GST_APP_SRC (player->src);
  gint64 blocks = (gint64) player->seconds * RATE / BLOCK;
  guint per_round = soak->sound->len / BLOCK;

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
    if (player == soak->players->pdata[0] && (k + 1) % (60 * RATE / BLOCK) == 0)
      report (soak, (k + 1) * BLOCK / RATE);
  }
  gst_app_src_end_of_stream (src);
  return NULL;
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
differences (Player *player, guint *rounds)
{
  g_autoptr (GPtrArray) second = g_ptr_array_new ();
  guint64 whole = (guint64) player->seconds * GST_SECOND / player->soak->round, current = 0;
  guint different = 0, at = 0;

  for (guint i = 0; i < player->cues->len; i++) {
    Cue *cue = &g_array_index (player->cues, Cue, i), *before;

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

/* Cues that are not those of the first element, which heard the same. */
static guint
disagreements (const Player *first, const Player *player)
{
  guint n = MIN (first->cues->len, player->cues->len), different = MAX (first->cues->len, player->cues->len) - n;

  for (guint i = 0; i < n; i++) {
    const Cue *a = &g_array_index (first->cues, Cue, i), *b = &g_array_index (player->cues, Cue, i);
    different += a->round != b->round || a->offset != b->offset || strcmp (a->text, b->text) != 0;
  }
  return different;
}

/* Over all of them, and how far the elements' own medians lie apart: who has to wait longer than the others? */
static void
add_delays (Soak *soak, JsonObject *o, const gchar *what, gsize field)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (gdouble)), medians = g_array_new (FALSE, FALSE, sizeof (gdouble));
  static const struct
  {
    const gchar *name;
    gdouble share;
  } shares[] = { { "median", .5 }, { "p95", .95 }, { "worst", 1. } };

  for (guint i = 0; i < soak->players->len; i++) {
    GArray *own = G_STRUCT_MEMBER (GArray *, soak->players->pdata[i], field);
    gdouble median = quantile (own, .5);
    if (!own->len)
      continue;
    g_array_append_vals (all, own->data, own->len);
    g_array_append_val (medians, median);
  }
  for (guint i = 0; i < G_N_ELEMENTS (shares) && all->len; i++) {
    g_autofree gchar *name = g_strdup_printf ("%s_%s_seconds", what, shares[i].name);
    json_object_set_double_member (o, name, quantile (all, shares[i].share));
  }
  for (guint i = 0; i < 2 && medians->len > 1; i++) {
    g_autofree gchar *name = g_strdup_printf ("%s_median_of_the_%s_element_seconds", what, i ? "slowest" : "fastest");
    json_object_set_double_member (o, name, quantile (medians, i));
  }
}

static void
add_costs (Soak *soak, JsonObject *o, gdouble passed)
{
  guint64 hypotheses = 0, dropped = 0;
  guint loads = 0;

  for (guint i = 0; i < soak->players->len; i++) {
    Player *player = soak->players->pdata[i];
    g_autoptr (GstStructure) stats = NULL;
    guint64 made = 0, left_out = 0;

    g_object_get (player->transcriber, "stats", &stats, NULL);
    gst_structure_get (stats, "hypotheses", G_TYPE_UINT64, &made, "hypotheses-dropped", G_TYPE_UINT64, &left_out, NULL);
    hypotheses += made;
    dropped += left_out;
    loads += player->n_loads;
  }
  json_object_set_double_member (o, "cores_used", soak->cpu / passed);
  json_object_set_int_member (o, "hypotheses", hypotheses);
  json_object_set_int_member (o, "hypotheses_left_out", dropped);
  json_object_set_int_member (o, "load_messages", loads);
}

static gboolean
write_figures (Soak *soak, JsonObject *o, GError **error)
{
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  g_autoptr (JsonGenerator) generator = json_generator_new ();

  json_node_take_object (root, o);
  json_generator_set_pretty (generator, TRUE);
  json_generator_set_root (generator, root);
  g_autofree gchar *text = json_generator_to_data (generator, NULL);
  g_print ("%s\n", text);
  return !soak->json || g_file_set_contents (soak->json, text, -1, error);
}

static gboolean
conclude (Soak *soak, GError **error)
{
  Player *first = soak->players->pdata[0];
  guint rounds, different = differences (first, &rounds), disagree = 0;
  gint64 grown = soak->most - soak->first_minute, each = 0;
  gdouble passed = (g_get_monotonic_time () - soak->start) / 1e6;
  JsonObject *o = json_object_new ();

  for (guint i = 1; i < soak->players->len; i++)
    disagree += disagreements (first, soak->players->pdata[i]);
  json_object_set_int_member (o, "seconds_of_sound", soak->seconds);
  json_object_set_double_member (o, "seconds_passed", passed);
  json_object_set_int_member (o, "rounds", rounds);
  json_object_set_int_member (o, "texts", first->cues->len);
  json_object_set_int_member (o, "texts_that_differ", different);
  json_object_set_int_member (o, "first_minute_bytes", soak->first_minute);
  json_object_set_int_member (o, "growth_bytes", grown);
  if (soak->with_one) {
    each = (soak->most - soak->with_one) / soak->n_elements;
    json_object_set_int_member (o, "elements", soak->n_elements);
    json_object_set_int_member (o, "texts_that_elements_disagree_on", disagree);
    json_object_set_int_member (o, "bytes_with_one_element", soak->with_one);
    json_object_set_int_member (o, "bytes_each_of_the_others", each);
  }
  add_costs (soak, o, passed);
  if (!soak->fast) {
    add_delays (soak, o, "final", G_STRUCT_OFFSET (Player, finals));
    add_delays (soak, o, "partial", G_STRUCT_OFFSET (Player, partials));
  }
  if (!write_figures (soak, o, error))
    return FALSE;
  if (!first->cues->len || different || disagree || grown > (gint64) GROWTH * soak->n_elements || each > EACH) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_FAILED, "%u texts, %u of them different, %u not the same in all elements, "
        "%.1f MB grown, %.1f MB another element", first->cues->len, different, disagree, grown / 1e6, each / 1e6);
    return FALSE;
  }
  return TRUE;
}

static gboolean
add_player (Soak *soak, GstElement *pipeline, Player *player, GError **error)
{
  g_autofree gchar *line = g_strdup_printf ("appsrc name=src format=time is-live=%d block=true max-bytes=%d "
      "caps=audio/x-raw,format=F32LE,rate=%d,channels=1,layout=interleaved ! gemmatranscriber name=t streaming=%s ! "
      "fakesink name=out sync=false async=false", !soak->fast, 100 * BLOCK, RATE, soak->streaming);
  GstElement *bin = gst_parse_bin_from_description (line, FALSE, error);

  if (!bin)
    return FALSE;
  player->src = gst_bin_get_by_name (GST_BIN (bin), "src");
  player->transcriber = gst_bin_get_by_name (GST_BIN (bin), "t");
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (bin), "out");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (out, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_text, player, NULL);
  return gst_bin_add (GST_BIN (pipeline), bin);
}

/* Plays to the end, and stays there. (transfer full) */
static GstElement *
play (Soak *soak, guint n, gint seconds, GError **error)
{
  GstElement *pipeline = gst_object_ref_sink (gst_pipeline_new (NULL));
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autofree GThread **threads = g_new (GThread *, n);

  g_ptr_array_set_size (soak->players, 0);
  for (guint i = 0; i < n; i++) {
    g_ptr_array_add (soak->players, player_new (soak, seconds));
    if (!add_player (soak, pipeline, soak->players->pdata[i], error)) {
      gst_object_unref (pipeline);
      return NULL;
    }
  }
  gst_bus_set_sync_handler (bus, on_message, soak, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_element_get_state (pipeline, NULL, NULL, GST_CLOCK_TIME_NONE); /* the model is loaded */
  soak->start = g_get_monotonic_time ();
  soak->cpu = cpu_seconds ();
  for (guint i = 0; i < n; i++)
    threads[i] = g_thread_new ("sound", feed, soak->players->pdata[i]);
  for (guint i = 0; i < n; i++)
    g_thread_join (threads[i]);
  gst_message_unref (gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS));
  soak->cpu = cpu_seconds () - soak->cpu;
  return pipeline;
}

static void
end (GstElement *pipeline)
{
  if (!pipeline)
    return;
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

static gboolean
run (Soak *soak, GError **error)
{
  GstElement *one = NULL, *all;
  gboolean ok;

  if (soak->n_elements > 1) { /* it stays, so that the others come on top */
    one = play (soak, 1, soak->round / GST_SECOND, error);
    if (!one)
      return FALSE;
    soak->with_one = anonymous_bytes ();
    soak->first_minute = soak->most = 0;
  }
  all = play (soak, soak->n_elements, soak->seconds, error);
  if (all)
    soak->most = MAX (soak->most, anonymous_bytes ());
  if (soak->seconds < 60)
    soak->first_minute = soak->most;
  ok = all && conclude (soak, error);
  end (all);
  end (one);
  return ok;
}

int
main (int argc, char **argv)
{
  g_autofree gchar **files = NULL;
  Soak soak = { .seconds = 120, .pause = 2, .n_elements = 1, .streaming = g_strdup ("auto") };
  const GOptionEntry entries[] = {
    { "seconds", 0, 0, G_OPTION_ARG_INT, &soak.seconds, "Of sound", "N" },
    { "elements", 0, 0, G_OPTION_ARG_INT, &soak.n_elements, "How many hear it at the same time", "N" },
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
  if (!g_option_context_parse (context, &argc, &argv, &error) || !files || soak.seconds < 1 || soak.pause < 0 ||
      soak.n_elements < 1) {
    g_printerr ("%s\n", error ? error->message : "soak [options] FILE");
    return 2;
  }
  g_mutex_init (&soak.lock);
  soak.players = g_ptr_array_new_with_free_func (player_free);
  soak.sound = decode (files[0]);
  g_array_set_size (soak.sound, (soak.sound->len / RATE + 1 + soak.pause) * RATE);
  soak.round = soak.sound->len * GST_SECOND / RATE;
  ok = run (&soak, &error);
  if (!ok)
    g_printerr ("%s\n", error->message);
  g_ptr_array_unref (soak.players);
  g_array_unref (soak.sound);
  g_free (soak.streaming);
  g_free (soak.json);
  g_mutex_clear (&soak.lock);
  return ok ? 0 : 1;
}
