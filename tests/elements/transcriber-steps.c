/* What a transcriber makes of what comes in, step by step: a harness in the place of transcriberbin's queue. */
#include "util.h"

#include <string.h>

typedef struct
{
  GstHarness *harness;
  GstElement *transcriber;
  Collector *out;
  GstBus *bus;
  GPtrArray *items;             /* upstream events rstranscribe/new-item */
} Steps;

static GstPadProbeReturn
on_upstream (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  if (gst_event_has_name (info->data, "rstranscribe/new-item"))
    g_ptr_array_add (data, gst_event_ref (info->data));
  return GST_PAD_PROBE_OK;
}

static void
push_segment (Steps *s, GstClockTime base)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = base;
  fail_unless (gst_harness_push_event (s->harness, gst_event_new_segment (&segment)));
}

static Steps
begin_steps (void)
{
  Steps s = { 0, };

  s.transcriber = gst_object_ref_sink (gst_element_factory_make ("gemmatranscriber", NULL));
  use_random_words (s.transcriber, 12);
  s.bus = gst_bus_new ();
  gst_element_set_bus (s.transcriber, s.bus);
  s.harness = gst_harness_new_with_element (s.transcriber, "sink", "src");
  set_live (s.harness->srcpad, FALSE);
  s.items = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_event_unref);
  gst_pad_add_probe (s.harness->srcpad, GST_PAD_PROBE_TYPE_EVENT_UPSTREAM, on_upstream, s.items, NULL);
  g_autoptr (GstPad) src = gst_element_get_static_pad (s.transcriber, "src");
  s.out = collector_new (src);
  gst_harness_set_src_caps_str (s.harness, AUDIO_CAPS);
  return s;
}

static void
end_steps (Steps *s)
{
  gst_element_set_bus (s->transcriber, NULL);
  gst_harness_teardown (s->harness);
  gst_object_unref (s->transcriber);
  gst_object_unref (s->bus);
  g_ptr_array_unref (s->items);
  collector_free (s->out);
}

static void
push_step (Steps *s, guint ms, gboolean speech, GstClockTime pts)
{
  fail_unless_equals_int (gst_harness_push (s->harness, make_sound (ms * RATE / 1000, speech, pts)), GST_FLOW_OK);
}

static void
finish_steps (Steps *s)
{
  gst_harness_push_event (s->harness, gst_event_new_eos ());
  collector_wait_eos (s->out, 60);
}

/* How many texts left before the n-th event of a type, counted from 0. */
static guint
count_texts_before (Steps *s, GstEventType type, guint n)
{
  guint texts = 0;

  for (guint i = 0; i < s->out->items->len; i++) {
    gpointer item = g_ptr_array_index (s->out->items, i);
    if (GST_IS_BUFFER (item))
      texts++;
    else if (GST_EVENT_TYPE (item) == type && n-- == 0)
      return texts;
  }
  fail ("no such event");
  return 0;
}

/* Speech that a new segment, other caps or a loss of sound interrupts is told before what follows. */
GST_START_TEST (test_segment_change_drains)
{
  Steps s = begin_steps ();

  push_step (&s, 1000, TRUE, 0);
  push_segment (&s, MS (5000));
  push_step (&s, 1000, TRUE, 0);
  finish_steps (&s);
  fail_unless_equals_int (collector_count (s.out, TRUE, 0), 2);
  fail_unless_equals_int (count_texts_before (&s, GST_EVENT_SEGMENT, 1), 1);
  /* The second is later in running time, at the same place of its segment. */
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (s.out, 1)),
      GST_BUFFER_PTS (collector_get_buffer (s.out, 0)));
  end_steps (&s);
}

GST_END_TEST;

/* Who speaks for more than a minute without a pause is heard to the end: what is told has no holes, whole or word by word,
 * and no text is longer than what is asked at once. */
GST_START_TEST (test_long_speech)
{
  Steps s = begin_steps ();

  g_object_set (s.transcriber, "music-gate", FALSE, NULL);     /* the made-up voice sings on one note */
  gst_util_set_object_arg (G_OBJECT (s.transcriber), "streaming", __i__ ? "words" : "whole");
  for (guint i = 0; i < 65; i++)
    push_step (&s, 1000, TRUE, MS (1000) * i);
  finish_steps (&s);
  collector_check_coverage (s.out, 0, MS (65000), 0);
  guint n = collector_count (s.out, TRUE, 0);
  fail_unless (n >= 3, "%u texts", n);
  for (guint i = 0; i < n; i++)
    fail_unless (GST_BUFFER_DURATION (collector_get_buffer (s.out, i)) <= MS (30000) + MS (160));
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (s.out, n - 1)) > MS (30000));
  end_steps (&s);
}

GST_END_TEST;

GST_START_TEST (test_caps_change)
{
  Steps s = begin_steps ();

  push_step (&s, 1000, TRUE, 0);
  gst_harness_set_src_caps_str (s.harness, "audio/x-raw, format=F32LE, rate=8000, channels=2, layout=interleaved");
  /* The same number of bytes: stereo at half the rate. */
  GstBuffer *buffer = make_sound (RATE, TRUE, MS (1000));
  fail_unless_equals_int (gst_harness_push (s.harness, buffer), GST_FLOW_OK);
  gst_harness_set_src_caps_str (s.harness, AUDIO_CAPS);
  push_step (&s, 1000, FALSE, MS (2000));
  finish_steps (&s);
  fail_unless (collector_count (s.out, TRUE, 0) >= 1);
  /* A resampler that begins anew is off by a few samples. */
  collector_check_coverage (s.out, 0, MS (3000), MS (1));
  end_steps (&s);
}

GST_END_TEST;

/* One message tells what was not heard. */
static void
check_missing (Steps *s, GstClockTime start, GstClockTime duration)
{
  GstMessage *message;
  guint n = 0;

  for (; (message = gst_bus_pop_filtered (s->bus, GST_MESSAGE_ELEMENT)); gst_message_unref (message)) {
    const GstStructure *structure = gst_message_get_structure (message);
    guint64 at, length;
    if (!gst_structure_has_name (structure, "gemma-sound-missing"))
      continue;
    fail_unless (gst_structure_get_uint64 (structure, "timestamp", &at) && gst_structure_get_uint64 (structure, "duration", &length));
    fail_unless_equals_uint64 (at, start);
    fail_unless_equals_uint64 (length, duration);
    n++;
  }
  fail_unless_equals_int (n, 1);
}

/* The queue before it leaked: a hole with DISCONT. */
GST_START_TEST (test_lost_sound)
{
  Steps s = begin_steps ();
  GstBuffer *after;

  push_step (&s, 1000, TRUE, 0);
  after = make_sound (RATE, TRUE, MS (6000));
  GST_BUFFER_FLAG_SET (after, GST_BUFFER_FLAG_DISCONT);
  fail_unless_equals_int (gst_harness_push (s.harness, after), GST_FLOW_OK);
  finish_steps (&s);
  fail_unless_equals_int (collector_count (s.out, TRUE, 0), 2);
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (s.out, 0)) < MS (500));
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (s.out, 1)) >= MS (5900));
  collector_check_coverage (s.out, 0, MS (7000), 0);
  check_missing (&s, MS (1000), MS (5000));
  end_steps (&s);
}

GST_END_TEST;

GST_START_TEST (test_flush_forgets)
{
  Steps s = begin_steps ();
  guint before;

  for (guint i = 0; i < 3; i++) {
    push_step (&s, 1000, TRUE, MS (2000) * i);
    push_step (&s, 1000, FALSE, MS (2000) * i + MS (1000));
  }
  Watch watch = watch_begin ();
  gst_harness_push_event (s.harness, gst_event_new_flush_start ());
  gst_harness_push_event (s.harness, gst_event_new_flush_stop (TRUE));
  /* One token, or one slice of sound, on a busy machine. */
  fail_unless (watch_get (&watch) < 2 * G_USEC_PER_SEC);
  before = collector_count (s.out, TRUE, 0);
  push_segment (&s, 0);
  push_step (&s, 1000, TRUE, MS (20000));
  finish_steps (&s);
  fail_unless_equals_int (collector_count (s.out, TRUE, 0), before + 1);
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (s.out, before)) >= MS (19900));
  end_steps (&s);
}

GST_END_TEST;

GST_START_TEST (test_segment_in_bytes_is_refused)
{
  Steps s = begin_steps ();
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_BYTES);
  gst_harness_push_event (s.harness, gst_event_new_segment (&segment));
  gst_harness_push (s.harness, make_sound (RATE, TRUE, 0));
  g_autofree gchar *message = wait_error (s.bus, 20);
  fail_unless (strstr (message, "time") != NULL, "%s", message);
  end_steps (&s);
}

GST_END_TEST;

static gchar *
get_language (Steps *s)
{
  g_autoptr (GstPad) src = gst_element_get_static_pad (s->transcriber, "src");
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (src, GST_EVENT_TAG, 0);
  gchar *language = NULL;
  GstTagList *tags;

  fail_unless (event != NULL);
  gst_event_parse_tag (event, &tags);
  fail_unless (gst_tag_list_get_string (tags, GST_TAG_LANGUAGE_CODE, &language));
  return language;
}

/* language-code while playing: the tag says which language a text is in. */
GST_START_TEST (test_language_changes)
{
  Steps s = begin_steps ();
  g_autofree gchar *before = NULL, *after = NULL;

  push_step (&s, 1000, TRUE, 0);
  push_segment (&s, 0);         /* drains */
  while (collector_count (s.out, TRUE, 0) < 1)
    g_usleep (20000);
  before = get_language (&s);
  fail_unless_equals_string (before, "en");
  g_object_set (s.transcriber, "language-code", "fr", NULL);
  push_step (&s, 1000, TRUE, MS (1000));
  finish_steps (&s);
  after = get_language (&s);
  fail_unless_equals_string (after, "fr");
  fail_unless_equals_int (collector_count (s.out, TRUE, 0), 2);
  end_steps (&s);
}

GST_END_TEST;

/* Upstream hears of each text, once, however many languages come out. */
static const gchar *const modes[] = { "direct", "chained" };

GST_START_TEST (test_new_items)
{
  Steps s = begin_steps ();
  gst_util_set_object_arg (G_OBJECT (s.transcriber), "translate-mode", modes[__i__]);
  GstPad *translation = gst_element_request_pad_simple (s.transcriber, "translate_src_%u");
  GstClockTime running_time, duration;

  push_segment (&s, MS (10000));
  push_step (&s, 1000, TRUE, MS (500));
  finish_steps (&s);
  fail_unless_equals_int (s.items->len, 1);
  const GstStructure *item = gst_event_get_structure (g_ptr_array_index (s.items, 0));
  fail_unless (gst_structure_has_field_typed (item, "speaker", G_TYPE_STRING));
  fail_unless (*gst_structure_get_string (item, "content") != '\0');
  fail_unless (gst_structure_get_uint64 (item, "running-time", &running_time));
  fail_unless (gst_structure_get_uint64 (item, "duration", &duration));
  fail_unless_equals_uint64 (running_time, MS (10000) + GST_BUFFER_PTS (collector_get_buffer (s.out, 0)));
  fail_unless_equals_uint64 (duration, GST_BUFFER_DURATION (collector_get_buffer (s.out, 0)));
  gst_element_release_request_pad (s.transcriber, translation);
  gst_object_unref (translation);
  end_steps (&s);
}

GST_END_TEST;

GST_START_TEST (test_lateness)
{
  Steps s = begin_steps ();
  const GstSegment *segment;

  g_object_set (s.transcriber, "lateness", 2500, NULL);
  push_segment (&s, MS (1000));
  push_step (&s, 1000, TRUE, 0);
  finish_steps (&s);
  g_autoptr (GstPad) src = gst_element_get_static_pad (s.transcriber, "src");
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (src, GST_EVENT_SEGMENT, 0);
  gst_event_parse_segment (event, &segment);
  fail_unless_equals_uint64 (segment->base, MS (3500));
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (s.out, 0)) < MS (500));
  end_steps (&s);
}

GST_END_TEST;

static Suite *
transcriber_steps_suite (void)
{
  Suite *s = suite_create ("transcriber-steps");
  TCase *tc = tcase_create ("steps");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_segment_change_drains);
  tcase_add_loop_test (tc, test_long_speech, 0, 2);
  tcase_add_test (tc, test_caps_change);
  tcase_add_test (tc, test_lost_sound);
  tcase_add_test (tc, test_flush_forgets);
  tcase_add_test (tc, test_segment_in_bytes_is_refused);
  tcase_add_test (tc, test_language_changes);
  tcase_add_loop_test (tc, test_new_items, 0, G_N_ELEMENTS (modes));
  tcase_add_test (tc, test_lateness);
  return s;
}

GST_CHECK_MAIN (transcriber_steps);
