#include "util.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
fill_speech (gfloat *samples, gsize n)
{
  gdouble phase = 0.;

  for (gsize i = 0; i < n; i++) {
    gdouble t = i / (gdouble) RATE, sum = 0.;
    phase += 2. * G_PI * (140. + 20. * sin (2. * G_PI * 0.7 * t)) / RATE;
    for (gint k = 1; k <= 20; k++)
      sum += sin (k * phase) / k * (1. + 0.8 * sin (2. * G_PI * (0.9 + 0.1 * k) * t));
    samples[i] = 0.15 * sum * (0.6 + 0.4 * sin (2. * G_PI * 4. * t));
  }
}

GstBuffer *
make_sound (gsize n, gboolean speech, GstClockTime pts)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, n * sizeof (gfloat), NULL);
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  memset (map.data, 0, map.size);
  if (speech)
    fill_speech ((gfloat *) map.data, n);
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = gst_util_uint64_scale (n, GST_SECOND, RATE);
  return buffer;
}

void
push_sound (GstElement *src, gsize n, gboolean speech, GstClockTime pts)
{
  GstFlowReturn flow;
  GstBuffer *buffer = make_sound (n, speech, pts);

  g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
  gst_buffer_unref (buffer);
  fail_unless_equals_int (flow, GST_FLOW_OK);
}

GstBuffer *
make_text (const gchar *text, GstClockTime pts, GstClockTime duration)
{
  GstBuffer *buffer = *text ? gst_buffer_new_memdup (text, strlen (text)) : gst_buffer_new ();

  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = duration;
  return buffer;
}

void
push_text (GstHarness *harness, const gchar *text, guint start, guint duration)
{
  fail_unless_equals_int (gst_harness_push (harness, make_text (text, MS (start), MS (duration))), GST_FLOW_OK);
}

void
push_gap (GstHarness *harness, guint start, guint duration)
{
  fail_unless (gst_harness_push_event (harness, gst_event_new_gap (MS (start), MS (duration))));
}

static void
set_random_words (const GValue *item, gpointer max_tokens)
{
  g_object_set (g_value_get_object (item), "temperature", 10., "seed", (guint64) 3, "max-tokens", GPOINTER_TO_UINT (max_tokens),
      "no-speech-threshold", 0., NULL);
}

void
use_random_words (GstElement *bin, guint max_tokens)
{
  GstIterator *all = gst_bin_iterate_all_by_element_factory_name (GST_BIN (bin), "gemmalm");

  gst_iterator_foreach (all, set_random_words, GUINT_TO_POINTER (max_tokens));
  gst_iterator_free (all);
}

GstElement *
launch_pipeline (const gchar *description)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (description, &error);

  fail_unless (pipeline && !error, "%s", error ? error->message : "");
  return pipeline;
}

/* ---- everything that leaves a pad, in order ------------------------------------------------ */

static GstPadProbeReturn
on_item (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Collector *self = data;

  g_mutex_lock (&self->lock);
  if (info->type & (GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH))
    g_ptr_array_add (self->items, gst_mini_object_ref (info->data));
  if (GST_IS_EVENT (info->data) && GST_EVENT_TYPE (info->data) == GST_EVENT_EOS)
    self->eos = TRUE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
  return GST_PAD_PROBE_OK;
}

Collector *
collector_new (GstPad *pad)
{
  Collector *self = g_new0 (Collector, 1);

  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->items = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_mini_object_unref);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
      on_item, self, NULL);
  return self;
}

void
collector_free (Collector *self)
{
  g_ptr_array_unref (self->items);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

void
collector_wait_eos (Collector *self, guint seconds)
{
  gint64 deadline = g_get_monotonic_time () + seconds * G_TIME_SPAN_SECOND;

  g_mutex_lock (&self->lock);
  while (!self->eos)
    fail_unless (g_cond_wait_until (&self->cond, &self->lock, deadline), "no EOS after %u s", seconds);
  g_mutex_unlock (&self->lock);
}

/* A GAP of no length is where a segment begins: it says nothing about its sound. */
static gboolean
is_beginning (gpointer item)
{
  GstClockTime duration = GST_CLOCK_TIME_NONE;

  if (GST_IS_EVENT (item) && GST_EVENT_TYPE (item) == GST_EVENT_GAP)
    gst_event_parse_gap (item, NULL, &duration);
  return duration == 0;
}

guint
collector_count (Collector *self, gboolean buffers, GstEventType type)
{
  guint n = 0;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->items->len; i++) {
    gpointer item = g_ptr_array_index (self->items, i);
    n += buffers ? GST_IS_BUFFER (item) : GST_IS_EVENT (item) && GST_EVENT_TYPE (item) == type && !is_beginning (item);
  }
  g_mutex_unlock (&self->lock);
  return n;
}

GstBuffer *
collector_get_buffer (Collector *self, guint n)
{
  GstBuffer *buffer = NULL;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->items->len && !buffer; i++)
    if (GST_IS_BUFFER (g_ptr_array_index (self->items, i)) && n-- == 0)
      buffer = g_ptr_array_index (self->items, i);
  g_mutex_unlock (&self->lock);
  return buffer;
}

gchar *
collector_get_text (Collector *self, guint n)
{
  GstBuffer *buffer = collector_get_buffer (self, n);
  GstMapInfo map;

  fail_unless (buffer && gst_buffer_map (buffer, &map, GST_MAP_READ), "there is no text %u", n);
  gchar *text = g_strndup ((const gchar *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  return text;
}

gchar *
collector_join_words (Collector *self, guint n)
{
  GString *all = g_string_new (NULL);

  for (; collector_get_buffer (self, n); n++) {
    g_autofree gchar *text = collector_get_text (self, n);
    g_auto (GStrv) words = g_strsplit_set (text, " \n\t", -1);
    for (guint k = 0; words[k]; k++)
      if (*words[k])
        g_string_append_printf (all, "%s%s", all->len ? " " : "", words[k]);
  }
  return g_string_free (all, FALSE);
}

void
collector_check_coverage (Collector *self, GstClockTime start, GstClockTime end, GstClockTime slack)
{
  GstClockTime position = start;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->items->len; i++) {
    gpointer item = g_ptr_array_index (self->items, i);
    GstClockTime pts, duration;
    if (is_beginning (item))
      continue;
    if (GST_IS_BUFFER (item)) {
      pts = GST_BUFFER_PTS (item);
      duration = GST_BUFFER_DURATION (item);
    } else if (GST_EVENT_TYPE (item) == GST_EVENT_GAP) {
      gst_event_parse_gap (item, &pts, &duration);
    } else {
      continue;
    }
    fail_unless (ABS (GST_CLOCK_DIFF (position, pts)) <= (GstClockTimeDiff) slack,
        "item %u begins at %" GST_TIME_FORMAT " instead of %" GST_TIME_FORMAT, i, GST_TIME_ARGS (pts), GST_TIME_ARGS (position));
    position = pts + duration;
  }
  g_mutex_unlock (&self->lock);
  fail_unless (ABS (GST_CLOCK_DIFF (position, end)) <= (GstClockTimeDiff) slack,
      "it ends at %" GST_TIME_FORMAT " instead of %" GST_TIME_FORMAT, GST_TIME_ARGS (position), GST_TIME_ARGS (end));
}

/* ---- time ------------------------------------------------------------------------------------ */

/* By the kernel's count: a thread's second number, in ns. */
static gint64
sum_waits (void)
{
  g_autoptr (GDir) threads = g_dir_open ("/proc/self/task", 0, NULL);
  const gchar *name;
  gint64 sum = 0;

  while (threads && (name = g_dir_read_name (threads))) {
    g_autofree gchar *path = g_build_filename ("/proc/self/task", name, "schedstat", NULL), *text = NULL;
    guint64 waited;
    if (g_file_get_contents (path, &text, NULL, NULL) && sscanf (text, "%*u %" G_GUINT64_FORMAT, &waited) == 1)
      sum += waited / 1000;
  }
  return sum;
}

/* What a virtual machine did not get, of all its processors. */
static gint64
get_stolen (void)
{
  g_autofree gchar *text = NULL;
  guint64 ticks;

  if (!g_file_get_contents ("/proc/stat", &text, NULL, NULL) ||
      sscanf (text, "cpu %*u %*u %*u %*u %*u %*u %*u %" G_GUINT64_FORMAT, &ticks) != 1)
    return 0;
  return ticks * G_USEC_PER_SEC / sysconf (_SC_CLK_TCK);
}

Watch
watch_begin (void)
{
  return (Watch) { g_get_monotonic_time (), sum_waits () + get_stolen () };
}

gint64
watch_get_stall (const Watch *self)
{
  return MAX (sum_waits () + get_stolen () - self->stall, 0);   /* a thread that has ended is not counted any more */
}

gint64
watch_get (const Watch *self)
{
  return g_get_monotonic_time () - self->start - watch_get_stall (self);
}

static GstPadProbeReturn
answer_latency (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_PAD_PROBE_OK;
  gst_query_set_latency (query, GPOINTER_TO_INT (data), 0, GST_CLOCK_TIME_NONE);
  return GST_PAD_PROBE_HANDLED;
}

void
set_live (GstPad *srcpad, gboolean live)
{
  gst_pad_add_probe (srcpad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM, answer_latency, GINT_TO_POINTER (live), NULL);
}

/* ---- errors ------------------------------------------------------------------------------------- */

void
check_error_at_ready (GstElement *element, GQuark domain, gint code, const gchar *text)
{
  check_error_at (element, GST_STATE_READY, domain, code, text);
}

void
check_error_at (GstElement *element, GstState state, GQuark domain, gint code, const gchar *text)
{
  g_autoptr (GstBus) bus = gst_bus_new ();
  guint n_errors = 0;
  GstMessage *message;

  gst_element_set_bus (element, bus);
  fail_unless_equals_int (gst_element_set_state (element, state), GST_STATE_CHANGE_FAILURE);
  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR))) {
    g_autoptr (GError) error = NULL;
    gst_message_parse_error (message, &error, NULL);
    fail_unless (g_error_matches (error, domain, code), "%s %d: %s", g_quark_to_string (error->domain), error->code,
        error->message);
    fail_unless (strstr (error->message, text) != NULL, "\"%s\" lacks \"%s\"", error->message, text);
    n_errors++;
    gst_message_unref (message);
  }
  fail_unless_equals_int (n_errors, 1);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
}

gchar *
wait_error (GstBus *bus, guint seconds)
{
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, seconds * GST_SECOND, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  fail_unless (message != NULL, "no error after %u s", seconds);
  gst_message_parse_error (message, &error, NULL);
  return g_strdup (error->message);
}

void
remove_folder (const gchar *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *file = g_build_filename (path, name, NULL);
    g_unlink (file);
  }
  g_rmdir (path);
}

static gchar *folder;

static void
remove_own_folder (void)
{
  remove_folder (folder);
}

gchar *
write_file (const gchar *name, gconstpointer data, gsize size)
{
  if (!folder) {
    folder = g_dir_make_tmp ("gemma-elements-XXXXXX", NULL);
    atexit (remove_own_folder);
  }
  gchar *path = g_build_filename (folder, name, NULL);
  fail_unless (g_file_set_contents (path, data, size, NULL));
  return path;
}

gchar *
convert_captions (const gchar *captions, const gchar *description)
{
  g_autofree gchar *in = write_file ("in.srt", captions, strlen (captions)), *out = write_file ("out.srt", "", 0);
  g_autofree gchar *line = g_strdup_printf ("filesrc location=%s ! subparse ! %s ! srtenc ! filesink location=%s", in,
      description, out);
  GstElement *pipeline = launch_pipeline (line);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gchar *text = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  fail_unless (g_file_get_contents (out, &text, NULL, NULL));
  return text;
}

guint64
get_stat (GstElement *element, const gchar *field)
{
  g_autoptr (GstStructure) stats = NULL;
  guint64 value = 0;

  g_object_get (element, "stats", &stats, NULL);
  fail_unless (gst_structure_get_uint64 (stats, field, &value), "no %s in the statistics", field);
  return value;
}

const gchar *
get_model (void)
{
  const gchar *model = g_getenv ("GEMMA_DEFAULT_MODEL");

  fail_unless (model && g_file_test (model, G_FILE_TEST_EXISTS), "GEMMA_DEFAULT_MODEL names no file: %s", GST_STR_NULL (model));
  return model;
}
