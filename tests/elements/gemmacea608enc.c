/* Timed text to line 21 captions, as an element among stock ones. */
#include "util.h"

#include <gst/video/video.h>
#include <string.h>

#include "line21-decode.h"

#define TEXT_CAPS "text/x-raw, format=(string)utf8"

static GstHarness *
new_harness (const gchar *launch, const gchar *framerate)
{
  GstHarness *h = gst_harness_new_parse (launch);
  g_autofree gchar *caps = g_strdup_printf ("closedcaption/x-cea-608, format=(string)raw, framerate=(fraction)%s",
      framerate);

  gst_harness_set_sink_caps_str (h, caps);
  gst_harness_set_src_caps_str (h, TEXT_CAPS);
  return h;
}

/* The pairs that have come out, each in its slot after the one before. */
static GByteArray *
pull_pairs (GstHarness *h, GstClockTime start, gint fps_n, gint fps_d)
{
  GByteArray *pairs = g_byte_array_new ();
  GstBuffer *buffer;

  for (guint i = 0; (buffer = gst_harness_try_pull (h)); i++) {
    guint8 pair[2];

    fail_unless_equals_int (gst_buffer_get_size (buffer), 2);
    gst_buffer_extract (buffer, 0, pair, 2);
    g_byte_array_append (pairs, pair, 2);
    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), start + gst_util_uint64_scale (i, fps_d * GST_SECOND, fps_n));
    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer),
        start + gst_util_uint64_scale (i + 1, fps_d * GST_SECOND, fps_n));
    gst_buffer_unref (buffer);
  }
  return pairs;
}

static gboolean
is_padding (const GByteArray *pairs, guint slot)
{
  return pairs->data[2 * slot] == 0x80 && pairs->data[2 * slot + 1] == 0x80;
}

static void
check_decoded (const GByteArray *pairs, const gchar *const *expected)
{
  g_autoptr (GPtrArray) screens = decode_line21 (pairs->data, pairs->len / 2);

  for (guint i = 0; i < screens->len && expected[i]; i++)
    fail_unless_equals_string (((Screen *) g_ptr_array_index (screens, i))->text, expected[i]);
  fail_unless_equals_int (screens->len, g_strv_length ((gchar **) expected));
}

/* Every slot up to what is known leaves at once, with padding where there is no text. */
GST_START_TEST (test_every_slot_has_its_pair)
{
  static const gchar *const expected[] = { "¿Qué tal?", "¿Qué tal?\nBien.", NULL };
  GstHarness *h = new_harness ("gemmacea608enc", "30/1");

  push_gap (h, 0, 1000);
  fail_unless_equals_int (gst_harness_buffers_in_queue (h), 30);
  push_text (h, "¿Qué tal?", 2000, 1000);
  fail_unless_equals_int (gst_harness_buffers_in_queue (h), 60);
  push_gap (h, 3000, 1000);
  fail_unless_equals_int (gst_harness_buffers_in_queue (h), 120);
  push_text (h, "Bien.", 5000, 1000);
  gst_harness_push_event (h, gst_event_new_eos ());

  g_autoptr (GByteArray) pairs = pull_pairs (h, 0, 30, 1);
  fail_if (is_padding (pairs, 59) || !is_padding (pairs, 60));  /* complete when it is said */
  /* Erased 5 s after its end at 6 s, which is sent before EOS. */
  fail_unless_equals_int (pairs->len / 2, 332);
  check_decoded (pairs, expected);
  gst_harness_teardown (h);
}

GST_END_TEST;

GST_START_TEST (test_properties)
{
  GstHarness *h = new_harness ("gemmacea608enc mode=roll-up3 origin-row=1 origin-column=29 roll-up-timeout=1000000000 "
      "row-pause=0", "30/1");

  push_text (h, "one", 1000, 100);
  push_text (h, "two", 1100, 100);
  push_text (h, "three", 1200, 100);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_autoptr (GByteArray) pairs = pull_pairs (h, 0, 30, 1);
  guint first = 0;
  while (is_padding (pairs, first))
    first++;
  /* Three rows; at row 3 of 15, as they would not fit above row 2; indented by 28; one column more. */
  static const guint8 codes[] = { 0x94, 0x26, 0x94, 0x26, 0x92, 0x5E, 0x92, 0x5E, 0x97, 0xA1, 0x97, 0xA1 };
  fail_unless (memcmp (pairs->data + 2 * first, codes, sizeof (codes)) == 0);
  fail_unless (pairs->len / 2 < 120);
  check_decoded (pairs, (const gchar *const[]) { "one", "one\ntwo", "one\ntwo\nthr", "two\nthr\nee", NULL });
  gst_harness_teardown (h);
}

GST_END_TEST;

/* Rows and place change while it plays: the next row has them, and where it is elsewhere it is alone. */
GST_START_TEST (test_layout_changes_while_playing)
{
  GstHarness *h = new_harness ("gemmacea608enc name=e mode=roll-up2", "30/1");
  g_autoptr (GstElement) element = gst_harness_find_element (h, "gemmacea608enc");

  push_text (h, "one", 1000, 500);
  push_text (h, "two", 3000, 500);
  g_object_set (element, "origin-row", 3, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "mode", "roll-up4");
  push_text (h, "three", 5000, 500);
  push_text (h, "four", 7000, 500);
  gst_util_set_object_arg (G_OBJECT (element), "mode", "roll-up3");
  push_text (h, "five", 9000, 500);
  g_object_set (element, "origin-row", -1, "origin-column", 4, NULL);
  push_text (h, "six", 11000, 500);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_autoptr (GByteArray) pairs = pull_pairs (h, 0, 30, 1);
  check_decoded (pairs, (const gchar *const[]) { "one", "one\ntwo", "three", "three\nfour", "three\nfour\nfive", "six", NULL });
  gst_harness_teardown (h);
}

GST_END_TEST;

/* 30 pairs a second are the most that a field carries. */
GST_START_TEST (test_high_frame_rates)
{
  static const gint rates[][3] = { { 24, 1, 1 }, { 30000, 1001, 1 }, { 50, 1, 2 }, { 60000, 1001, 2 }, { 120, 1, 4 } };

  for (guint i = 0; i < G_N_ELEMENTS (rates); i++) {
    g_autofree gchar *framerate = g_strdup_printf ("%d/%d", rates[i][0], rates[i][1]);
    GstHarness *h = new_harness ("gemmacea608enc", framerate);
    g_autoptr (GByteArray) carried = g_byte_array_new ();

    push_text (h, "Twice as many frames carry no more text than before.", 2000, 2000);
    gst_harness_push_event (h, gst_event_new_eos ());
    g_autoptr (GByteArray) pairs = pull_pairs (h, 0, rates[i][0], rates[i][1]);
    for (guint slot = 0; slot < pairs->len / 2; slot++)
      if (slot % rates[i][2] == 0)
        g_byte_array_append (carried, pairs->data + 2 * slot, 2);
      else
        fail_unless (is_padding (pairs, slot));
    check_decoded (carried, (const gchar *const[]) { "Twice as many frames carry no",
        "Twice as many frames carry no\nmore text than before.", NULL });
    gst_harness_teardown (h);
  }
}

GST_END_TEST;

GST_START_TEST (test_default_rate_and_latency)
{
  GstHarness *h = gst_harness_new ("gemmacea608enc");
  g_autoptr (GstCaps) caps = NULL, expected = gst_caps_from_string
      ("closedcaption/x-cea-608, format=(string)raw, framerate=(fraction)30000/1001");

  gst_harness_set_src_caps_str (h, TEXT_CAPS);
  gst_harness_set_upstream_latency (h, MS (1000));
  push_gap (h, 0, 100);
  caps = gst_pad_get_current_caps (h->sinkpad);
  fail_unless (gst_caps_is_equal_fixed (caps, expected));
  /* Two slots more than its source: one to fill, and the next, without which cccombiner does not let a frame go. */
  GstClockTime latency = gst_harness_query_latency (h);
  fail_unless (latency > MS (1066) && latency < MS (1067), "%" GST_TIME_FORMAT, GST_TIME_ARGS (latency));
  gst_harness_teardown (h);
}

GST_END_TEST;

/* An hour without text is a GAP, not 108000 buffers, also after a text; what follows is on time. */
GST_START_TEST (test_long_pause)
{
  GstHarness *h = new_harness ("gemmacea608enc", "30/1");
  GstEvent *event;
  guint n_gaps = 0;

  if (__i__) {
    push_text (h, "Early", 1000, 1000);
    push_text (h, "Late", 3600000, 1000);
    fail_unless (gst_harness_buffers_in_queue (h) < 30 * 30, "%u", gst_harness_buffers_in_queue (h));
    gst_harness_teardown (h);
    return;
  }
  push_text (h, "Late", 3600000, 1000);
  push_gap (h, 3601000, 10);
  while ((event = gst_harness_try_pull_event (h))) {
    n_gaps += GST_EVENT_TYPE (event) == GST_EVENT_GAP;
    gst_event_unref (event);
  }
  fail_unless_equals_int (n_gaps, 1);
  g_autoptr (GByteArray) pairs = pull_pairs (h, MS (3598000), 30, 1);
  fail_unless_equals_int (pairs->len / 2, 90);
  fail_if (is_padding (pairs, 59) || !is_padding (pairs, 60));
  gst_harness_teardown (h);
}

GST_END_TEST;

/* Sinks preroll where the text does, though its first words come later. */
GST_START_TEST (test_beginning)
{
  GstHarness *h = new_harness ("gemmacea608enc", "30/1");
  GstEvent *event;
  guint n_gaps = 0;

  push_gap (h, 0, 0);
  fail_unless_equals_int (gst_harness_buffers_in_queue (h), 0);
  while ((event = gst_harness_try_pull_event (h))) {
    n_gaps += GST_EVENT_TYPE (event) == GST_EVENT_GAP;
    gst_event_unref (event);
  }
  fail_unless_equals_int (n_gaps, 1);
  gst_harness_teardown (h);
}

GST_END_TEST;

/* The end does not wait for an erasure that is a century away. */
GST_START_TEST (test_end)
{
  GstHarness *h = new_harness ("gemmacea608enc roll-up-timeout=3000000000000000000", "30/1");

  push_text (h, "The end", 1000, 1000);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_autoptr (GByteArray) pairs = pull_pairs (h, 0, 30, 1);
  fail_if (is_padding (pairs, 29));
  fail_unless (pairs->len / 2 <= 31 * 30 + 1, "%u", pairs->len / 2);
  gst_harness_teardown (h);
}

GST_END_TEST;

/* After a seek the old text is gone and the new one is where it belongs; a further segment goes on. */
GST_START_TEST (test_flush_and_segments)
{
  GstHarness *h = new_harness ("gemmacea608enc", "30/1");
  GstSegment segment;

  push_text (h, "Old", 1000, 1000);
  push_text (h, "Never seen", 5000, 1000);
  g_byte_array_unref (pull_pairs (h, 0, 30, 1));
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = MS (60000);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_text (h, "New", 62000, 1000);
  push_gap (h, 63000, 7000);
  g_autoptr (GByteArray) pairs = pull_pairs (h, MS (60000), 30, 1);
  fail_unless_equals_int (pairs->len / 2, 300);
  check_decoded (pairs, (const gchar *const[]) { "New", NULL });

  push_text (h, "waits", 70000, 1000);
  segment.base = MS (4000);
  segment.start = segment.time = 0;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_text (h, "next", 1000, 1000);
  gst_harness_push_event (h, gst_event_new_eos ());
  gsize n = gst_harness_buffers_in_queue (h);
  g_autoptr (GByteArray) rest = g_byte_array_new ();
  for (gsize i = 0; i < n; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    guint8 pair[2];
    gst_buffer_extract (buffer, 0, pair, 2);
    g_byte_array_append (rest, pair, 2);
  }
  check_decoded (rest, (const gchar *const[]) { "waits", "waits\nnext", NULL });
  gst_harness_teardown (h);
}

GST_END_TEST;

GST_START_TEST (test_bad_input)
{
  GstHarness *h = new_harness ("gemmacea608enc", "30/1");
  GstBuffer *buffer = make_text ("no time", GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);

  push_text (h, "", 100, 100);
  push_text (h, "\xff\xfe\x80", 200, 100);
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  fail_unless_equals_int (gst_harness_push (h, gst_buffer_new ()), GST_FLOW_OK);
  push_text (h, "earlier", 0, 100);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_autoptr (GByteArray) pairs = pull_pairs (h, 0, 30, 1);
  check_decoded (pairs, (const gchar *const[]) { "??? no time earlier", NULL });
  gst_harness_teardown (h);
}

GST_END_TEST;

/* Times at the end of all time, as of a negative one that somebody took for a GstClockTime: what is sent stays bounded. */
GST_START_TEST (test_absurd_times)
{
  GstHarness *h = new_harness ("gemmacea608enc", "30/1");
  const GstClockTime last = GST_CLOCK_TIME_NONE - 1;

  push_text (h, "Here", 1000, 1000);
  if (__i__ < 2) {
    GstBuffer *buffer = __i__ ? make_text ("for ever", MS (2000), last) : make_text ("there", last, MS (1000));
    fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  } else {
    gst_harness_push_event (h, gst_event_new_gap (__i__ == 2 ? MS (2000) : last, last));
  }
  gst_harness_push_event (h, gst_event_new_eos ());
  /* Until it is erased, and some seconds beside. */
  fail_unless (gst_harness_buffers_in_queue (h) < 60 * 30, "%u", gst_harness_buffers_in_queue (h));
  gst_harness_teardown (h);
}

GST_END_TEST;

/* ---- among stock elements ------------------------------------------------------------------------ */

typedef struct
{
  guint n_frames;
  GByteArray *pairs;            /* of field 1, 30 a second, as cc_data has them */
} Frames;

/* CDP has cc_data in a section of its own, after time code and service information. */
static const guint8 *
find_cc_data (const GstVideoCaptionMeta *meta, gsize *size)
{
  *size = meta->size;
  if (meta->caption_type == GST_VIDEO_CAPTION_TYPE_CEA708_RAW)
    return meta->data;
  fail_unless_equals_int (meta->caption_type, GST_VIDEO_CAPTION_TYPE_CEA708_CDP);
  const guint8 *section = meta->data + 7 + (meta->data[4] & 0x80 ? 5 : 0);
  fail_unless (meta->data[0] == 0x96 && meta->data[1] == 0x69 && section[0] == 0x72);
  *size = 3 * (section[1] & 0x1F);
  return section + 2;
}

static GstPadProbeReturn
on_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Frames *frames = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstVideoCaptionMeta *meta = gst_buffer_get_video_caption_meta (buffer);
  gsize slot = (30 * GST_BUFFER_PTS (buffer) + GST_SECOND / 2) / GST_SECOND, size = 0;
  const guint8 *triplets = meta ? find_cc_data (meta, &size) : NULL;
  static const guint8 padding[2] = { 0x80, 0x80 };

  frames->n_frames++;
  while (frames->pairs->len < 2 * slot)
    g_byte_array_append (frames->pairs, padding, 2);
  for (gsize i = 0; i + 3 <= size; i += 3)
    if (triplets[i] == 0xFC && triplets[i + 1] != 0x80)
      g_byte_array_append (frames->pairs, triplets + i + 1, 2);        /* below 30 frames a second one may have two */
  return GST_PAD_PROBE_OK;
}

static void
run_pipeline (const gchar *launch, Frames *frames, guint seconds)
{
  g_autoptr (GstElement) pipeline = launch_pipeline (launch);
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  frames->pairs = g_byte_array_new ();
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_frame, frames, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, seconds * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message != NULL, "no end after %u s", seconds);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* Subtitles to CEA-708: they are in the frames when they should be seen, at each of broadcasters' frame rates. */
GST_START_TEST (test_into_video)
{
  static const gint rates[][2] = { { 24, 1 }, { 24000, 1001 }, { 25, 1 }, { 30000, 1001 }, { 30, 1 }, { 50, 1 }, { 60000, 1001 },
    { 60, 1 } };
  static const gchar srt[] = "1\n00:00:02,000 --> 00:00:04,000\nFür Elise, à bientôt\n\n"
      "2\n00:00:05,000 --> 00:00:06,000\n«Ñandú» & more\n\n";
  const gint *rate = rates[__i__ / 2];
  guint n_frames = 13 * rate[0] / rate[1];
  g_autofree gchar *path = write_file ("into-video.srt", srt, strlen (srt));
  g_autofree gchar *launch = g_strdup_printf ("filesrc location=%s ! subparse ! gemmacea608enc ! ccconverter ! "
      "closedcaption/x-cea-708,format=%s,framerate=%d/%d ! c.caption videotestsrc num-buffers=%u ! "
      "video/x-raw,width=64,height=64,framerate=%d/%d ! cccombiner name=c ! fakesink name=sink", path,
      __i__ % 2 ? "cdp" : "cc_data", rate[0], rate[1], n_frames, rate[0], rate[1]);
  Frames frames = { 0, };

  run_pipeline (launch, &frames, 60);
  fail_unless_equals_int (frames.n_frames, n_frames);
  g_autoptr (GPtrArray) screens = decode_line21 (frames.pairs->data, frames.pairs->len / 2);
  fail_unless_equals_int (screens->len, 2);
  Screen *earlier = g_ptr_array_index (screens, 0), *later = g_ptr_array_index (screens, 1);
  fail_unless_equals_string (earlier->text, "Für Elise, à bientôt");
  fail_unless_equals_string (later->text, "Für Elise, à bientôt\n«Ñandú» & more");
  /* The second pushes the first up shortly before it is said, and is erased 5 s after it. */
  fail_unless (earlier->end > MS (4200) && earlier->end < MS (5000), "%" GST_TIME_FORMAT, GST_TIME_ARGS (earlier->end));
  fail_unless (later->end > MS (10950) && later->end < MS (11200), "%" GST_TIME_FORMAT, GST_TIME_ARGS (later->end));
  g_byte_array_unref (frames.pairs);
}

GST_END_TEST;

/* A speaker who says nothing: the live picture passes all the same, with padding. */
GST_START_TEST (test_live_silence)
{
  Frames frames = { 0, };

  run_pipeline ("audiotestsrc is-live=true wave=silence num-buffers=150 ! gemmatranscriber latency=1000 ! "
      "gemmacea608enc ! ccconverter ! closedcaption/x-cea-708,format=cc_data ! c.caption videotestsrc is-live=true num-buffers=75 ! "
      "video/x-raw,width=64,height=64,framerate=25/1 ! queue max-size-time=10000000000 ! "
      "cccombiner name=c ! fakesink name=sink", &frames, 30);
  fail_unless_equals_int (frames.n_frames, 75);
  g_byte_array_unref (frames.pairs);
}

GST_END_TEST;

static Suite *
gemmacea608enc_suite (void)
{
  Suite *s = suite_create ("gemmacea608enc");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_every_slot_has_its_pair);
  tcase_add_test (tc, test_properties);
  tcase_add_test (tc, test_layout_changes_while_playing);
  tcase_add_test (tc, test_high_frame_rates);
  tcase_add_test (tc, test_default_rate_and_latency);
  tcase_add_loop_test (tc, test_long_pause, 0, 2);
  tcase_add_test (tc, test_beginning);
  tcase_add_test (tc, test_end);
  tcase_add_test (tc, test_flush_and_segments);
  tcase_add_test (tc, test_bad_input);
  tcase_add_loop_test (tc, test_absurd_times, 0, 4);
  tcase_add_loop_test (tc, test_into_video, 0, 16);
  tcase_add_test (tc, test_live_silence);
  return s;
}

GST_CHECK_MAIN (gemmacea608enc);
