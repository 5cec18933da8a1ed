/* The contract of a transcriber, however its translations are made. */
#include "util.h"

#include <string.h>

#include "opencl/ops.h"

static const gchar *translate_mode = "auto";

static void
use_direct (void)
{
  translate_mode = "direct";
}

static void
use_chained (void)
{
  translate_mode = "chained";
}

static GstElement *
make_transcriber (void)
{
  GstElement *element = gst_object_ref_sink (gst_element_factory_make ("gemmatranscriber", NULL));

  gst_util_set_object_arg (G_OBJECT (element), "translate-mode", translate_mode);
  return element;
}

static GType
get_property_type (gpointer object, const gchar *name, GParamFlags flags)
{
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (object), name);

  fail_unless (pspec != NULL, "no property %s", name);
  fail_unless_equals_int (pspec->flags & flags, flags);
  return pspec->value_type;
}

GST_START_TEST (test_contract)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmatranscriber", NULL));
  g_autoptr (GstCaps) caps = gst_caps_from_string ("text/x-raw, format=(string)utf8");
  g_autofree gchar *language = NULL;

  for (guint i = 0; i < 2; i++) {
    GstPadTemplate *templ = gst_element_get_pad_template (element, i ? "translate_src_%u" : "src");
    fail_unless (templ && GST_PAD_TEMPLATE_DIRECTION (templ) == GST_PAD_SRC);
    fail_unless (gst_caps_is_equal (GST_PAD_TEMPLATE_CAPS (templ), caps));
  }
  fail_unless (get_property_type (element, "latency", G_PARAM_READWRITE) == G_TYPE_UINT);
  fail_unless (get_property_type (element, "translate-latency", G_PARAM_READWRITE) == G_TYPE_UINT);
  fail_unless (get_property_type (element, "lateness", G_PARAM_READWRITE) == G_TYPE_UINT);
  fail_unless (get_property_type (element, "max-observed-delay", G_PARAM_READABLE) == G_TYPE_UINT);
  fail_unless (get_property_type (element, "language-code", G_PARAM_READWRITE) == G_TYPE_STRING);

  GstPad *pad = gst_element_request_pad_simple (element, "translate_src_%u");
  fail_unless_equals_string (GST_PAD_NAME (pad), "translate_src_0");
  fail_unless (get_property_type (pad, "language-code", G_PARAM_READWRITE) == G_TYPE_STRING);
  g_object_set (pad, "language-code", "es", NULL);
  g_object_get (pad, "language-code", &language, NULL);
  fail_unless_equals_string (language, "es");
  gst_element_release_request_pad (element, pad);
  gst_object_unref (pad);
  fail_unless_equals_int (element->numsrcpads, 1);
}

GST_END_TEST;

static void
check_submodel (const GValue *item, gpointer expected)
{
  g_autofree gchar *submodel = NULL, *weights = NULL;

  g_object_get (g_value_get_object (item), "submodel", &submodel, "weights", &weights, NULL);
  fail_unless_equals_string (submodel, expected);
  fail_unless_equals_string (weights, "q8_0");
}

/* Every language model inside runs the same part of the same weights, also one that comes later. */
GST_START_TEST (test_submodel_of_all_branches)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmatranscriber", NULL));
  static const gchar *const submodels[] = { "E2B", "E2.98B", "E3.39B" };
  GstPad *pads[2];

  g_object_set (element, "weights", "q8_0", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (submodels); i++) {
    g_autofree gchar *submodel = NULL;
    g_object_set (element, "submodel", submodels[i], NULL);
    if (i)
      pads[i - 1] = gst_element_request_pad_simple (element, "translate_src_%u");
    GstIterator *all = gst_bin_iterate_all_by_element_factory_name (GST_BIN (element), "gemmalm");
    gst_iterator_foreach (all, check_submodel, (gpointer) submodels[i]);
    gst_iterator_free (all);
    g_object_get (element, "submodel", &submodel, NULL);
    fail_unless_equals_string (submodel, submodels[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (pads); i++) {
    gst_element_release_request_pad (element, pads[i]);
    gst_object_unref (pads[i]);
  }
}

GST_END_TEST;

/* What is set on the bin, or on the child "lm" before a pad is there, is what every element that has it does. */
GST_START_TEST (test_settings_of_the_elements_inside)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmatranscriber", NULL));
  g_autofree gchar *weights = NULL, *own = NULL, *prompt = NULL;
  gint activations;
  guint max_tokens;

  g_object_set (element, "weights", "q4_0", "encoder-weights", "q8_0", "prompt", "Count to ten.", NULL);
  gst_util_set_object_arg (G_OBJECT (element), "activations", "int16");
  gst_child_proxy_get (GST_CHILD_PROXY (element), "encoder::weights", &weights, "encoder::activations", &activations,
      "lm::prompt", &prompt, NULL);
  g_object_get (element, "encoder-weights", &own, NULL);
  fail_unless_equals_string (weights, "q8_0");
  fail_unless_equals_string (own, "q8_0");
  fail_unless_equals_int (activations, OCL_MATMUL_INT16);
  fail_unless_equals_string (prompt, "Count to ten.");

  gst_child_proxy_set (GST_CHILD_PROXY (element), "lm::max-tokens", 7, NULL);
  GstPad *pad = gst_element_request_pad_simple (element, "translate_src_%u");
  GstIterator *all = gst_bin_iterate_all_by_element_factory_name (GST_BIN (element), "gemmalm");
  GValue item = G_VALUE_INIT;
  for (guint i = 0; i < 2; i++) {
    fail_unless_equals_int (gst_iterator_next (all, &item), GST_ITERATOR_OK);
    g_object_get (g_value_get_object (&item), "max-tokens", &max_tokens, NULL);
    fail_unless_equals_int (max_tokens, 7);
    g_value_unset (&item);
  }
  gst_iterator_free (all);
  gst_element_release_request_pad (element, pad);
  gst_object_unref (pad);
}

GST_END_TEST;

static void
check_latency (GstPad *pad, GstClockTime own)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  GstClockTime min;
  gboolean live;

  fail_unless (gst_pad_query (pad, query));
  gst_query_parse_latency (query, &live, &min, NULL);
  fail_unless (live);
  /* What the source, the gate and the encoder hold back comes on top: well below a second. */
  fail_unless (min >= own && min < own + GST_SECOND, "%" GST_TIME_FORMAT, GST_TIME_ARGS (min));
}

/* In PAUSED it agrees on a format in a thread of its own, and knows no latency before. */
static void
wait_source (GstElement *source)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (source, "src");
  g_autoptr (GstQuery) query = gst_query_new_latency ();

  while (!gst_pad_query (pad, query))
    g_usleep (1000);
}

/* As transcriberbin probes its inner element: unparented, linked to a live source, PAUSED, no data, NULL. */
static void
probe_latency (GstElement *element, GstPad *translation)
{
  g_autoptr (GstElement) source = gst_object_ref_sink (gst_element_factory_make ("audiotestsrc", NULL));
  g_autoptr (GstPad) src = gst_element_get_static_pad (element, "src");
  Watch watch = watch_begin ();

  g_object_set (source, "is-live", TRUE, NULL);
  g_object_set (element, "latency", 4000, "translate-latency", 1000, NULL);
  fail_unless (gst_element_link (source, element));
  gst_element_set_state (source, GST_STATE_PAUSED);
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
  wait_source (source);
  check_latency (src, MS (4000));
  check_latency (translation, MS (5000));
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_state (source, GST_STATE_NULL);
  gst_element_unlink (source, element);
  /* It waits neither for data nor for the model. */
  fail_unless (watch_get (&watch) < G_USEC_PER_SEC);
}

GST_START_TEST (test_latency_probe)
{
  g_autoptr (GstElement) element = make_transcriber ();
  GstPad *translation = gst_element_request_pad_simple (element, "translate_src_%u");

  probe_latency (element, translation);
  gst_element_release_request_pad (element, translation);
  gst_object_unref (translation);
}

GST_END_TEST;

typedef struct
{
  GstElement *pipeline, *transcriber, *src;
  GstBus *bus;
  guint latency;                /* as it was when one was told, see ask_back() */
} Fixture;

static Fixture
begin (const gchar *launch)
{
  Fixture f = { 0, };

  f.pipeline = launch_pipeline (launch);
  f.transcriber = gst_bin_get_by_name (GST_BIN (f.pipeline), "t");
  f.src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  f.bus = gst_element_get_bus (f.pipeline);
  gst_util_set_object_arg (G_OBJECT (f.transcriber), "translate-mode", translate_mode);
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_state (f->pipeline, GST_STATE_NULL);
  gst_object_unref (f->transcriber);
  if (f->src)
    gst_object_unref (f->src);
  gst_object_unref (f->bus);
  gst_object_unref (f->pipeline);
}

static void
push_eos (Fixture *f)
{
  GstFlowReturn flow;

  g_signal_emit_by_name (f->src, "end-of-stream", &flow);
}

GST_START_TEST (test_transcript_and_translations)
{
  Fixture f = begin ("appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! gemmatranscriber name=t language-code=it "
      "t.src ! fakesink name=a async=false t.translate_src_0 ! fakesink async=false "
      "t.translate_src_1 ! fakesink async=false");
  const gchar *names[] = { "src", "translate_src_0", "translate_src_1" };
  Collector *out[3];

  use_random_words (f.transcriber, 12);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, names[i]);
    out[i] = collector_new (pad);
    if (i == 1)
      g_object_set (pad, "language-code", "fr", NULL);
  }
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (f.src, RATE, FALSE, 0);
  push_sound (f.src, RATE, TRUE, MS (1000));
  push_sound (f.src, 2 * RATE, FALSE, MS (2000));
  push_sound (f.src, RATE, TRUE, MS (4000));
  push_eos (&f);
  for (guint i = 0; i < 3; i++) {
    collector_wait_eos (out[i], 60);
    fail_unless_equals_int (collector_count (out[i], TRUE, 0), 2);
    collector_check_coverage (out[i], 0, MS (5000), 0);
    /* All branches tell the same speech. */
    fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (out[i], 1)),
        GST_BUFFER_PTS (collector_get_buffer (out[0], 1)));
  }
  /* The sound was encoded once. */
  g_autoptr (GstStructure) stats = NULL, encoder = NULL;
  guint64 n_samples;
  g_object_get (f.transcriber, "stats", &stats, NULL);
  gst_structure_get (stats, "encoder", GST_TYPE_STRUCTURE, &encoder, NULL);
  fail_unless (gst_structure_get_uint64 (encoder, "samples", &n_samples));
  fail_unless_equals_uint64 (n_samples, 5 * RATE);
  end (&f);
  for (guint i = 0; i < 3; i++)
    collector_free (out[i]);
}

GST_END_TEST;

GST_START_TEST (test_language_on_the_command_line)
{
  Fixture f = begin ("fakesrc ! gemmatranscriber name=t translate_src_0::language-code=fr t.src ! fakesink "
      "t.translate_src_0 ! fakesink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "translate_src_0");
  g_autofree gchar *language = NULL;

  g_object_get (pad, "language-code", &language, NULL);
  fail_unless_equals_string (language, "fr");
  end (&f);
}

GST_END_TEST;

static guint64
get_tokens (GstElement *transcriber)
{
  g_autoptr (GstStructure) stats = NULL, encoder = NULL;
  guint64 n;

  g_object_get (transcriber, "stats", &stats, NULL);
  fail_unless (gst_structure_get (stats, "encoder", GST_TYPE_STRUCTURE, &encoder, NULL));
  fail_unless (gst_structure_get_uint64 (encoder, "tokens", &n));
  return n;
}

/* Known places, none (as SDI has it), so that all channels count the same, and the one of mono. */
static const gchar *const sounds[] = {
  "audio/x-raw,format=S16LE,rate=44100,channels=2",
  "audio/x-raw,format=S16LE,rate=48000,channels=2,channel-mask=(bitmask)0",
  "audio/x-raw,format=S32LE,rate=48000,channels=16,channel-mask=(bitmask)0",
  "audio/x-raw,format=F32BE,rate=48000,channels=1",
};

GST_START_TEST (test_any_sound)
{
  g_autofree gchar *launch = g_strdup_printf ("audiotestsrc num-buffers=50 samplesperbuffer=4410 wave=saw ! "
      "%s ! gemmatranscriber name=t ! fakesink", sounds[__i__]);
  Fixture f = begin (launch);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "src");
  Collector *out = collector_new (pad);
  g_autoptr (GstCaps) caps = gst_caps_from_string (sounds[__i__]);
  gint rate;

  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  collector_wait_eos (out, 60);
  fail_unless (get_tokens (f.transcriber) > 0, "nothing was heard");
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "rate", &rate);
  collector_check_coverage (out, 0, 50 * 4410 * GST_SECOND / rate, MS (2)); /* the resampler's rounding */
  end (&f);
  collector_free (out);
}

GST_END_TEST;

typedef struct
{
  GstElement *pipeline;
  GstClockTime worst;
} Delays;

/* Text or GAP: a sink waits for it from its beginning on. */
static GstPadProbeReturn
measure_delay (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Delays *delays = data;
  g_autoptr (GstClock) clock = gst_element_get_clock (delays->pipeline);
  GstClockTime now, pts;

  if (GST_IS_BUFFER (info->data))
    pts = GST_BUFFER_PTS (info->data);
  else if (GST_EVENT_TYPE (info->data) == GST_EVENT_GAP)
    gst_event_parse_gap (info->data, &pts, NULL);
  else
    return GST_PAD_PROBE_OK;
  now = gst_clock_get_time (clock) - gst_element_get_base_time (delays->pipeline);
  delays->worst = MAX (delays->worst, now - MIN (pts, now));    /* the segment begins at 0: PTS is running time */
  return GST_PAD_PROBE_OK;
}

/* A live stream, 100 ms of sound at a time: speech without a pause, longer than the promise, then silence. Returns by how much
 * (us) a piece was late most. */
static gint64
push_in_real_time (Fixture *f)
{
  g_autoptr (GstBuffer) speech = make_sound (6 * RATE, TRUE, 0);
  gint64 start = g_get_monotonic_time (), late = 0;

  for (guint i = 0; i < 80; i++) {
    gint64 due = start + (i + 1) * 100000;
    GstBuffer *buffer = i < 60 ? gst_buffer_copy_region (speech, GST_BUFFER_COPY_MEMORY, i * 6400, 6400) :
        make_sound (1600, FALSE, 0);
    GstFlowReturn flow;
    g_usleep (MAX (due - g_get_monotonic_time (), 0));
    late = MAX (late, g_get_monotonic_time () - due);
    GST_BUFFER_PTS (buffer) = i * MS (100);
    GST_BUFFER_DURATION (buffer) = MS (100);
    g_signal_emit_by_name (f->src, "push-buffer", buffer, &flow);
    gst_buffer_unref (buffer);
  }
  return late;
}

/* What is compiled for the first text that is ever heard in this way is there for the next one. */
static void
warm_up (void)
{
  Fixture f = begin ("appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! "
      "gemmatranscriber name=t streaming=partial max-segment=2000 ! fakesink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "src");
  Collector *out = collector_new (pad);

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (f.src, 3 * RATE, TRUE, 0);
  push_eos (&f);
  collector_wait_eos (out, 300);
  end (&f);
  collector_free (out);
}

/* Nothing comes later than was promised, but by as long as the machine stalled; and what comes late is told. */
GST_START_TEST (test_live_promise)
{
  warm_up ();
  Fixture f = begin ("appsrc name=src is-live=true format=time min-latency=100000000 caps=\"" AUDIO_CAPS "\" ! "
      "gemmatranscriber name=t latency=4000 ! fakesink async=false");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "src");
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  Delays delays = { f.pipeline, 0 };
  Collector *out = collector_new (pad);
  GstClockTime promise;
  guint observed;

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PAUSED);
  gst_element_get_state (f.pipeline, NULL, NULL, GST_CLOCK_TIME_NONE);
  fail_unless (gst_pad_query (pad, query));
  gst_query_parse_latency (query, NULL, &promise, NULL);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, measure_delay, &delays, NULL);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);

  Watch watch = watch_begin ();
  gint64 late = push_in_real_time (&f);
  push_eos (&f);
  collector_wait_eos (out, 60);
  /* Between the element's own look at the clock and ours a thread wakes up: that takes less than a tick. */
  GstClockTime stall = (late + watch_get_stall (&watch)) * GST_USECOND + MS (10);
  fail_unless (collector_count (out, TRUE, 0) >= 2);
  fail_unless (delays.worst <= promise + stall, "%" GST_TIME_FORMAT ", stalled for %" GST_TIME_FORMAT,
      GST_TIME_ARGS (delays.worst), GST_TIME_ARGS (stall));
  g_object_get (f.transcriber, "max-observed-delay", &observed, NULL);
  fail_unless (observed > 0 && delays.worst <= MS (observed) + stall, "%u ms of %" GST_TIME_FORMAT, observed,
      GST_TIME_ARGS (delays.worst));
  g_autoptr (GstMessage) warning = gst_bus_pop_filtered (f.bus, GST_MESSAGE_WARNING);
  fail_unless_equals_int (warning != NULL, observed > promise / GST_MSECOND);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

GST_START_TEST (test_request_and_release_while_playing)
{
  Fixture f = begin ("audiotestsrc is-live=true wave=ticks ! gemmatranscriber name=t latency=2000 ! fakesink");
  guint before = f.transcriber->numsrcpads;

  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 5; i++) {
    GstPad *pad = gst_element_request_pad_simple (f.transcriber, "translate_src_%u");
    g_autoptr (GstElement) sink = gst_object_ref_sink (gst_element_factory_make ("fakesink", NULL));
    g_autoptr (GstPad) sink_pad = gst_element_get_static_pad (sink, "sink");

    g_object_set (sink, "async", FALSE, NULL);
    gst_bin_add (GST_BIN (f.pipeline), sink);
    fail_unless (gst_pad_link (pad, sink_pad) == GST_PAD_LINK_OK);
    gst_element_sync_state_with_parent (sink);
    g_usleep (200000);
    if (i % 2)                  /* unlinked first, or released as it is */
      gst_pad_unlink (pad, sink_pad);
    gst_element_release_request_pad (f.transcriber, pad);
    gst_object_unref (pad);
    gst_element_set_state (sink, GST_STATE_NULL);
    gst_bin_remove (GST_BIN (f.pipeline), sink);
  }
  g_object_set (f.transcriber, "language-code", "fr", "latency", 3000, NULL);
  g_usleep (200000);
  g_autoptr (GstMessage) error = gst_bus_pop_filtered (f.bus, GST_MESSAGE_ERROR);
  fail_unless (error == NULL);
  fail_unless_equals_int (f.transcriber->numsrcpads, before);
  end (&f);
}

GST_END_TEST;

static GstPadProbeReturn
note_blocked (GstPad *pad, GstPadProbeInfo *info, gpointer blocked)
{
  g_atomic_int_set ((gint *) blocked, TRUE);
  return GST_PAD_PROBE_OK;
}

/* A sink that takes nothing holds up neither who releases its pad, nor the other texts. */
GST_START_TEST (test_release_while_the_sink_blocks)
{
  Fixture f = begin ("appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! gemmatranscriber name=t t.src ! "
      "fakesink async=false");
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.transcriber, "src");
  g_autoptr (GstElement) sink = gst_object_ref_sink (gst_element_factory_make ("fakesink", NULL));
  g_autoptr (GstPad) sink_pad = gst_element_get_static_pad (sink, "sink");
  GstPad *pad = gst_element_request_pad_simple (f.transcriber, "translate_src_%u");
  Collector *out = collector_new (src);
  gint blocked = FALSE;

  use_random_words (f.transcriber, 12);
  g_object_set (sink, "async", FALSE, NULL);
  gst_bin_add (GST_BIN (f.pipeline), sink);
  fail_unless (gst_pad_link (pad, sink_pad) == GST_PAD_LINK_OK);
  gst_pad_add_probe (sink_pad, GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM, note_blocked, &blocked, NULL);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 2; i++) {
    push_sound (f.src, RATE, TRUE, MS (3000) * i);
    push_sound (f.src, 2 * RATE, FALSE, MS (3000) * i + MS (1000));
    while (collector_count (out, TRUE, 0) <= i || !g_atomic_int_get (&blocked))
      g_usleep (10000);
    if (pad)
      gst_element_release_request_pad (f.transcriber, pad);
    gst_clear_object (&pad);
  }
  push_eos (&f);
  collector_wait_eos (out, 60);
  fail_unless_equals_int (collector_count (out, TRUE, 0), 2);
  gst_element_set_state (sink, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (f.pipeline), sink);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

GST_START_TEST (test_unlinked_branch_does_not_stop_the_others)
{
  Fixture f = begin ("appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! gemmatranscriber name=t "
      "t.translate_src_0 ! fakesink async=false");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "translate_src_0");
  Collector *out = collector_new (pad);

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);        /* the pad src is linked to nothing */
  for (guint i = 0; i < 3; i++) {
    push_sound (f.src, RATE, TRUE, MS (3000) * i);
    push_sound (f.src, 2 * RATE, FALSE, MS (3000) * i + MS (1000));
    while (collector_count (out, TRUE, 0) <= i) /* until the other branch is known to be linked to nothing */
      g_usleep (10000);
  }
  push_eos (&f);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (f.bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  fail_unless_equals_int (collector_count (out, TRUE, 0), 3);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

/* A transcriber that is linked to nothing is no pipeline that plays for ever: somebody has forgotten something. */
GST_START_TEST (test_linked_to_nothing)
{
  Fixture f = begin ("appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! gemmatranscriber name=t");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "src");
  Collector *out = collector_new (pad);

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (f.src, RATE, TRUE, 0);
  push_sound (f.src, RATE, FALSE, MS (1000));
  if (__i__)                    /* the end comes after it is known that nobody takes text, or before */
    while (collector_count (out, TRUE, 0) < 1)
      g_usleep (20000);
  push_eos (&f);
  g_autofree gchar *message = wait_error (f.bus, 50);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

GST_START_TEST (test_missing_model)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmatranscriber", NULL));

  g_object_set (element, "model", "/nonexistent/m.gguf", NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/nonexistent/m.gguf");
}

GST_END_TEST;

/* ---- live --------------------------------------------------------------------------------------- */

#define LIVE_SRC "appsrc name=src is-live=true format=time caps=\"" AUDIO_CAPS "\" ! "

static void
count_notify (GObject *object, GParamSpec *pspec, gpointer n)
{
  g_atomic_int_inc ((gint *) n);
}

static GstBusSyncReply
ask_back (GstBus *bus, GstMessage *message, gpointer data)
{
  Fixture *f = data;
  guint delay;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_LATENCY)
    g_object_get (f->transcriber, "latency", &f->latency, "max-observed-delay", &delay, NULL);
  return GST_BUS_PASS;
}

/* Who hears in the same thread that the latency has changed may ask what it is now. */
GST_START_TEST (test_latency_changes_while_playing)
{
  Fixture f = begin (LIVE_SRC "gemmatranscriber name=t translate_src_0::language-code=es t.src ! fakesink async=false "
      "t.translate_src_0 ! fakesink async=false");
  static const guint latencies[] = { 0, 1, G_MAXUINT, 4000, G_MAXUINT - 1, 2500 };
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "src");
  g_autoptr (GstPad) translation = gst_element_get_static_pad (f.transcriber, "translate_src_0");

  gst_bus_set_sync_handler (f.bus, ask_back, &f, NULL);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < G_N_ELEMENTS (latencies); i++)
    g_object_set (f.transcriber, "latency", latencies[i], "translate-latency", latencies[i], NULL);
  fail_unless_equals_int (f.latency, 2500);
  check_latency (pad, MS (2500));
  check_latency (translation, MS (5000));
  gst_element_set_state (f.pipeline, GST_STATE_NULL);
  gst_bus_set_sync_handler (f.bus, NULL, NULL, NULL);
  end (&f);
}

GST_END_TEST;

static gboolean
accept_seek (GstElement *src, guint64 offset, gpointer data)
{
  return TRUE;
}

/* A player shows the picture while somebody speaks on and on: sinks of text do not wait for the first one. */
GST_START_TEST (test_sinks_do_not_wait_for_words)
{
  Fixture f = begin ("appsrc name=src format=time stream-type=seekable caps=\"" AUDIO_CAPS "\" ! gemmatranscriber name=t "
      "translate_src_0::language-code=es t.src ! fakesink t.translate_src_0 ! fakesink");

  g_signal_connect (f.src, "seek-data", G_CALLBACK (accept_seek), NULL);
  gst_element_set_state (f.pipeline, GST_STATE_PAUSED);
  for (guint i = 0; i < 3; i++) {
    push_sound (f.src, RATE / 2, TRUE, 0);
    fail_unless_equals_int (gst_element_get_state (f.pipeline, NULL, NULL, 20 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
    fail_unless (gst_element_seek_simple (f.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
  }
  end (&f);
}

GST_END_TEST;

/* A promise that cannot be kept: the text is not moved, and the application hears of it. */
GST_START_TEST (test_broken_promise_is_told)
{
  Fixture f = begin (LIVE_SRC "gemmatranscriber name=t latency=1 ! fakesink async=false");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "src");
  Collector *out = collector_new (pad);
  g_autoptr (GError) error = NULL;
  gint n_notified = 0;
  guint delay;

  use_random_words (f.transcriber, 12);
  g_signal_connect (f.transcriber, "notify::max-observed-delay", G_CALLBACK (count_notify), &n_notified);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  /* What was said at 0 comes to be known a second and a half later. */
  g_usleep (1500000);
  push_sound (f.src, RATE, TRUE, 0);
  push_eos (&f);
  collector_wait_eos (out, 60);
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (out, 0)) < MS (500));
  g_object_get (f.transcriber, "max-observed-delay", &delay, NULL);
  fail_unless (delay >= 1000 && n_notified >= 1, "%u ms, %d times", delay, n_notified);
  g_autoptr (GstMessage) warning = gst_bus_timed_pop_filtered (f.bus, GST_SECOND, GST_MESSAGE_WARNING);
  fail_unless (warning != NULL);
  gst_message_parse_warning (warning, &error, NULL);
  fail_unless (g_error_matches (error, GST_CORE_ERROR, GST_CORE_ERROR_CLOCK), "%s", error->message);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

/* latency=G_MAXUINT: live without a latency of its own, text has the time at which it comes. */
GST_START_TEST (test_unsynchronized)
{
  Fixture f = begin (LIVE_SRC "gemmatranscriber name=t latency=4294967295 ! fakesink async=false");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "src");
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  Collector *out = collector_new (pad);
  GstClockTime min;
  gboolean live;

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  g_usleep (1500000);
  fail_unless (gst_pad_query (pad, query));
  gst_query_parse_latency (query, &live, &min, NULL);
  fail_unless (live && min == 0);
  push_sound (f.src, RATE, TRUE, 0);
  push_eos (&f);
  collector_wait_eos (out, 60);
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (out, 0)) >= MS (1400));
  g_autoptr (GstMessage) warning = gst_bus_pop_filtered (f.bus, GST_MESSAGE_WARNING);
  fail_unless (warning == NULL);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

/* transcriberbin's pass-through mode: out of the stream to NULL, and back, while the rest plays. */
GST_START_TEST (test_taken_out_and_back)
{
  Fixture f = begin ("audiotestsrc is-live=true wave=silence ! tee name=x ! queue ! fakesink "
      "x. ! queue name=q leaky=downstream ! gemmatranscriber name=t latency=2000 ! fakesink name=s async=false");
  g_autoptr (GstElement) queue = gst_bin_get_by_name (GST_BIN (f.pipeline), "q");
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.transcriber, "src");

  Collector *out = collector_new (src);

  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 3; i++) {
    guint before = collector_count (out, FALSE, GST_EVENT_GAP);
    gint64 deadline = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;

    while (collector_count (out, FALSE, GST_EVENT_GAP) == before) {
      fail_unless (g_get_monotonic_time () < deadline, "no GAP in round %u", i);
      g_usleep (20000);
    }
    gst_element_unlink (queue, f.transcriber);
    gst_element_set_locked_state (f.transcriber, TRUE);
    gst_element_set_state (f.transcriber, GST_STATE_NULL);
    g_usleep (100000);
    gst_element_set_locked_state (f.transcriber, FALSE);
    /* Linked when it takes buffers: a queue that is told FLUSHING has stopped for good. */
    fail_unless (gst_element_sync_state_with_parent (f.transcriber));
    fail_unless (gst_element_link (queue, f.transcriber));
  }
  g_autoptr (GstMessage) error = gst_bus_pop_filtered (f.bus, GST_MESSAGE_ERROR);
  fail_unless (error == NULL);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

/* ---- in the place that transcriberbin has for it ---------------------------------------------------- */

/* The sound goes on, and past a queue that leaks to the transcriber, which comes later. */
#define TRANSCRIBER_BIN "appsrc name=src is-live=true format=time caps=\"" AUDIO_CAPS "\" ! tee name=x allow-not-linked=true ! " \
    "queue ! fakesink name=media async=false sync=false x. ! queue name=q leaky=downstream max-size-time=5000000000"

static Collector *
add_text_sink (GstElement *pipeline, GstPad *pad)
{
  GstElement *sink = gst_element_factory_make ("fakesink", NULL);
  g_autoptr (GstPad) sink_pad = gst_element_get_static_pad (sink, "sink");

  g_object_set (sink, "async", FALSE, NULL);
  gst_bin_add (GST_BIN (pipeline), sink);
  gst_element_sync_state_with_parent (sink);
  fail_unless_equals_int (gst_pad_link (pad, sink_pad), GST_PAD_LINK_OK);
  return collector_new (pad);
}

static void
set_small_context (const GValue *item, gpointer data)
{
  g_object_set (g_value_get_object (item), "context-size", 16, NULL);
}

/* Probed with its pads, put in while the bin plays, heard in both languages; when it fails there is an error, it is taken
 * out, and the sound goes on. */
GST_START_TEST (test_in_a_transcriber_bin)
{
  GstElement *pipeline = launch_pipeline (TRANSCRIBER_BIN), *element = make_transcriber ();
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "src"), queue = gst_bin_get_by_name (GST_BIN (pipeline), "q");
  g_autoptr (GstElement) media = gst_bin_get_by_name (GST_BIN (pipeline), "media");
  g_autoptr (GstPad) src = gst_element_get_static_pad (element, "src"), media_pad = gst_element_get_static_pad (media, "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstPad *translation = gst_element_request_pad_simple (element, "translate_src_%u");
  Collector *sound = collector_new (media_pad), *text, *translated;
  GstFlowReturn flow;

  g_object_set (translation, "language-code", "fr", NULL);
  probe_latency (element, translation);
  use_random_words (element, 12);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_bin_add (GST_BIN (pipeline), element);
  text = add_text_sink (pipeline, src);
  translated = add_text_sink (pipeline, translation);
  fail_unless (gst_element_sync_state_with_parent (element));
  fail_unless (gst_element_link (queue, element));
  push_sound (source, RATE, TRUE, 0);
  push_sound (source, RATE, FALSE, MS (1000));
  while (!collector_count (text, TRUE, 0) || !collector_count (translated, TRUE, 0))
    g_usleep (20000);

  GstIterator *all = gst_bin_iterate_all_by_element_factory_name (GST_BIN (element), "gemmalm");
  gst_iterator_foreach (all, set_small_context, NULL);
  gst_iterator_free (all);
  push_sound (source, RATE, TRUE, MS (2000));
  push_sound (source, RATE, FALSE, MS (3000));
  g_autofree gchar *message = wait_error (bus, 50);
  gst_element_unlink (queue, element);
  gst_element_set_locked_state (element, TRUE);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (pipeline), element);
  push_sound (source, RATE, TRUE, MS (4000));
  g_signal_emit_by_name (source, "end-of-stream", &flow);
  collector_wait_eos (sound, 20);
  fail_unless_equals_int (collector_count (sound, TRUE, 0), 5);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_element_release_request_pad (element, translation);
  gst_object_unref (translation);
  gst_object_unref (element);
  gst_object_unref (pipeline);
  collector_free (sound);
  collector_free (text);
  collector_free (translated);
}

GST_END_TEST;

/* What has to do with translations holds in either way. */
static void
add_translations (Suite *s, const gchar *name, SFun use_mode)
{
  TCase *tc = tcase_create (name);

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, use_mode, NULL);
  tcase_add_test (tc, test_latency_probe);
  tcase_add_test (tc, test_transcript_and_translations);
  tcase_add_test (tc, test_language_on_the_command_line);
  tcase_add_test (tc, test_request_and_release_while_playing);
  tcase_add_test (tc, test_release_while_the_sink_blocks);
  tcase_add_test (tc, test_unlinked_branch_does_not_stop_the_others);
  tcase_add_test (tc, test_latency_changes_while_playing);
  tcase_add_test (tc, test_in_a_transcriber_bin);
  tcase_add_test (tc, test_sinks_do_not_wait_for_words);
}

static Suite *
gemmatranscriber_suite (void)
{
  Suite *s = suite_create ("gemmatranscriber");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  add_translations (s, "direct", use_direct);
  add_translations (s, "chained", use_chained);
  tcase_add_test (tc, test_contract);
  tcase_add_test (tc, test_submodel_of_all_branches);
  tcase_add_test (tc, test_settings_of_the_elements_inside);
  tcase_add_loop_test (tc, test_any_sound, 0, G_N_ELEMENTS (sounds));
  tcase_add_test (tc, test_live_promise);
  tcase_add_loop_test (tc, test_linked_to_nothing, 0, 2);
  tcase_add_test (tc, test_missing_model);
  tcase_add_test (tc, test_broken_promise_is_told);
  tcase_add_test (tc, test_unsynchronized);
  tcase_add_test (tc, test_taken_out_and_back);
  return s;
}

GST_CHECK_MAIN (gemmatranscriber);
