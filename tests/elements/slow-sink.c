/* Who takes text too slowly: neither the sound nor the model waits for them while live, and the application hears of it. */
#include "util.h"

#include <string.h>

/* More than may wait at a pad: each is a text and the event after it. */
#define N_TEXTS 200
#define N_UTTERANCES 80

typedef struct
{
  GstHarness *harness;
  GstElement *lm;
  GstPad *src;
  GstBus *bus;
  Collector *out;
  gulong probe;
} Fixture;

static GstPadProbeReturn
hold (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  return GST_PAD_PROBE_OK;      /* blocked until the probe is removed */
}

static GstPadProbeReturn
dawdle (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  g_usleep (5000);
  return GST_PAD_PROBE_OK;
}

/* A text a second, each answered by a word at random. */
static Fixture
begin (gboolean live)
{
  Fixture f = { 0, };

  f.lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", NULL));
  g_object_set (f.lm, "temperature", 10., "seed", (guint64) 3, "max-tokens", 1, "latency", 2000, NULL);
  f.bus = gst_bus_new ();
  gst_element_set_bus (f.lm, f.bus);
  f.harness = gst_harness_new_with_element (f.lm, "text_0", "src");
  f.src = gst_element_get_static_pad (f.lm, "src");
  f.out = collector_new (f.src);
  set_live (f.harness->srcpad, live);
  gst_harness_set_src_caps_str (f.harness, "text/x-raw, format=utf8");
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_bus (f->lm, NULL);
  gst_harness_teardown (f->harness);
  gst_object_unref (f->src);
  gst_object_unref (f->lm);
  gst_object_unref (f->bus);
  collector_free (f->out);
}

static void
finish (Fixture *f)
{
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  collector_wait_eos (f->out, 60);
}

/* How many QoS messages there are, and warnings; all about time. */
static guint
count_messages (GstBus *bus, guint *n_warnings)
{
  GstMessage *message;
  guint n = 0;

  *n_warnings = 0;
  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_QOS | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR))) {
    g_autoptr (GError) error = NULL;
    GstFormat format;
    guint64 processed, left_out;
    gboolean live;
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_QOS) {
      gst_message_parse_qos (message, &live, NULL, NULL, NULL, NULL);
      gst_message_parse_qos_stats (message, &format, &processed, &left_out);
      fail_unless (live && format == GST_FORMAT_BUFFERS);
      fail_unless (left_out > n, "%" G_GUINT64_FORMAT " after %u", left_out, n);
      n++;
    } else {
      fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_WARNING);
      gst_message_parse_warning (message, &error, NULL);
      fail_unless (g_error_matches (error, GST_CORE_ERROR, GST_CORE_ERROR_CLOCK), "%s", error->message);
      *n_warnings += strstr (error->message, "too slowly") != NULL;
    }
    gst_message_unref (message);
  }
  return n;
}

/* The sink takes nothing for three minutes: nobody waits for it, the newest texts are there afterwards, and messages tell of each
 * that is not. */
GST_START_TEST (test_live_sink_that_blocks)
{
  Fixture f = begin (TRUE);
  guint n_warnings, n;

  gulong probe = gst_pad_add_probe (f.src, GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, hold, NULL, NULL);
  for (guint i = 0; i < N_TEXTS; i++) {
    gst_harness_set_time (f.harness, MS (1000) * i);
    push_text (f.harness, "a", 1000 * i, 1000);
  }
  while (get_stat (f.lm, "texts") < N_TEXTS)    /* the model does not wait either */
    g_usleep (10000);
  gst_pad_remove_probe (f.src, probe);
  finish (&f);
  n = collector_count (f.out, TRUE, 0);
  fail_unless (n >= 100 && n < N_TEXTS, "%u", n);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, n - 1)), MS (1000) * (N_TEXTS - 1));
  collector_check_coverage (f.out, 0, MS (1000) * N_TEXTS, 0);
  fail_unless_equals_int (count_messages (f.bus, &n_warnings), N_TEXTS - n);
  fail_unless (n_warnings >= 1);
  end (&f);
}

GST_END_TEST;

/* Each text takes the sink a little longer than it lasts: they leave later and later, in full, and that is told, not each time. */
GST_START_TEST (test_live_sink_that_is_slow)
{
  Fixture f = begin (TRUE);
  guint n_warnings;

  for (guint i = 0; i < 40; i++) {
    gulong probe = gst_pad_add_probe (f.src, GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, hold, NULL, NULL);
    push_text (f.harness, "a", 1000 * i, 1000);
    while (get_stat (f.lm, "texts") <= i)
      g_usleep (1000);
    if (i == 2)
      fail_unless (count_messages (f.bus, &n_warnings) == 0 && n_warnings == 0);
    gst_harness_set_time (f.harness, MS (1500) * (i + 1));
    gst_pad_remove_probe (f.src, probe);
    while (collector_count (f.out, TRUE, 0) <= i)
      g_usleep (1000);
  }
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 40);
  fail_unless_equals_int (count_messages (f.bus, &n_warnings), 0);
  fail_unless (n_warnings >= 1 && n_warnings <= 6, "%u warnings", n_warnings);
  end (&f);
}

GST_END_TEST;

/* A sink that shows each text when it is due holds up those behind it as long: nothing is wrong with that. */
GST_START_TEST (test_live_sink_that_waits_for_the_clock)
{
  Fixture f = begin (TRUE);
  guint n_warnings;

  gst_pad_push_event (f.harness->sinkpad, gst_event_new_latency (MS (9000)));   /* of another branch */
  for (guint i = 0; i < 10; i++) {
    gulong probe = gst_pad_add_probe (f.src, GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, hold, NULL, NULL);
    push_text (f.harness, "a", 1000 * i, 1000);
    while (get_stat (f.lm, "texts") <= i)
      g_usleep (1000);
    gst_harness_set_time (f.harness, MS (1000) * i + MS (9000));
    gst_pad_remove_probe (f.src, probe);
    while (collector_count (f.out, TRUE, 0) <= i)
      g_usleep (1000);
  }
  finish (&f);
  fail_unless_equals_int (count_messages (f.bus, &n_warnings), 0);
  fail_unless_equals_int (n_warnings, 0);
  end (&f);
}

GST_END_TEST;

/* A file has time: nothing is left out. */
GST_START_TEST (test_file_waits)
{
  Fixture f = begin (FALSE);
  guint n_warnings;

  gst_pad_add_probe (f.src, GST_PAD_PROBE_TYPE_BUFFER, dawdle, NULL, NULL);
  for (guint i = 0; i < N_TEXTS; i++)
    push_text (f.harness, "a", 1000 * i, 1000);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), N_TEXTS);
  fail_unless_equals_int (count_messages (f.bus, &n_warnings), 0);
  fail_unless_equals_int (n_warnings, 0);
  end (&f);
}

GST_END_TEST;

static GstPadProbeReturn
count_sound (GstPad *pad, GstPadProbeInfo *info, gpointer n)
{
  g_atomic_int_inc ((gint *) n);
  return GST_PAD_PROBE_OK;
}

/* The same words and sound in one pipeline: whoever takes no captions hears all of the sound. */
GST_START_TEST (test_sound_beside_captions_that_block)
{
  GstElement *pipeline = launch_pipeline ("appsrc name=src is-live=true format=time caps=\"" AUDIO_CAPS "\" ! tee name=t "
      "t. ! queue ! fakesink name=sound sync=false async=false t. ! queue ! gemmatranscriber name=x streaming=words ! "
      "identity name=slow ! fakesink sync=false async=false");
  g_autoptr (GstElement) sound = gst_bin_get_by_name (GST_BIN (pipeline), "sound");
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_autoptr (GstElement) slow = gst_bin_get_by_name (GST_BIN (pipeline), "slow"), x = gst_bin_get_by_name (GST_BIN (pipeline), "x");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sound, "sink"), text = gst_element_get_static_pad (slow, "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gint n = 0;

  use_random_words (x, 12);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, count_sound, &n, NULL);
  gulong probe = gst_pad_add_probe (text, GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, hold, NULL, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < N_UTTERANCES; i++) {
    push_sound (src, RATE, TRUE, MS (2000) * i);
    push_sound (src, RATE, FALSE, MS (2000) * i + MS (1000));
  }
  while (g_atomic_int_get (&n) < 2 * N_UTTERANCES || get_stat (x, "utterances") < N_UTTERANCES)
    g_usleep (20000);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, GST_SECOND, GST_MESSAGE_QOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_QOS);
  gst_pad_remove_probe (text, probe);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GST_END_TEST;

static Suite *
slow_sink_suite (void)
{
  Suite *s = suite_create ("slow-sink");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_live_sink_that_blocks);
  tcase_add_test (tc, test_live_sink_that_is_slow);
  tcase_add_test (tc, test_live_sink_that_waits_for_the_clock);
  tcase_add_test (tc, test_file_waits);
  tcase_add_test (tc, test_sound_beside_captions_that_block);
  return s;
}

GST_CHECK_MAIN (slow_sink);
