/* Timed text as a WebVTT rendition for HLS: what lies in the folder after each step. */
#include "util.h"

#include <glib/gstdio.h>
#include <string.h>

#define HEADER "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:324000000\n\n"

typedef struct
{
  GstHarness *h;
  gchar *folder;
} Fixture;

static void
setup (Fixture *f, const gchar *settings, const gchar *caps)
{
  g_autofree gchar *launch = g_strdup_printf ("gemmahlswebvttsink target-duration=3 %s", settings);
  g_autoptr (GstElement) element = gst_parse_launch (launch, NULL);

  f->folder = g_dir_make_tmp ("gemma-hls-XXXXXX", NULL);
  g_autofree gchar *location = g_build_filename (f->folder, "s%05d.vtt", NULL);
  g_autofree gchar *playlist = g_build_filename (f->folder, "s.m3u8", NULL);
  g_object_set (element, "location", location, "playlist-location", playlist, NULL);
  f->h = gst_harness_new_with_element (element, "sink", NULL);
  gst_harness_set_src_caps_str (f->h, caps);
}

static gchar *
read_file (Fixture *f, const gchar *name)
{
  g_autofree gchar *path = g_build_filename (f->folder, name, NULL);
  gchar *contents = NULL;

  g_file_get_contents (path, &contents, NULL, NULL);
  return contents;
}

static guint
count_files (Fixture *f)
{
  g_autoptr (GDir) dir = g_dir_open (f->folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir))
    n++;
  return n;
}

static void
check_file (Fixture *f, const gchar *name, const gchar *expected)
{
  g_autofree gchar *contents = read_file (f, name);

  fail_unless (contents != NULL, "no %s", name);
  fail_unless_equals_string (contents, expected);
}

/* Every segment that the playlist names is there. */
static void
check_playlist (Fixture *f, const gchar *expected)
{
  g_autofree gchar *contents = read_file (f, "s.m3u8");
  g_autofree gchar *all = g_strdup_printf ("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n%s", expected);

  fail_unless (contents != NULL);
  fail_unless_equals_string (contents, all);
  g_auto (GStrv) lines = g_strsplit (contents, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    if (*lines[i] && *lines[i] != '#') {
      g_autofree gchar *segment = read_file (f, lines[i]);
      fail_unless (segment && g_str_has_prefix (segment, "WEBVTT\n"), "no segment %s", lines[i]);
    }
}

static void
teardown (Fixture *f)
{
  gst_harness_teardown (f->h);
  remove_folder (f->folder);
  g_free (f->folder);
}

/* ---- a stream ------------------------------------------------------------------------------------ */

/* Cues within a segment, over an edge, beside one; escaped; a pause of two segments; an end. */
GST_START_TEST (test_segments)
{
  Fixture f;

  setup (&f, "playlist-length=0", "text/x-raw, format=utf8");
  push_text (f.h, "Rock & <roll>\n\nthere --> here", 500, 1500);
  push_text (f.h, "over the edge", 2500, 1000);
  fail_unless_equals_int (count_files (&f), 0);
  push_text (f.h, "just after", 3500, 2500);
  check_file (&f, "s00000.vtt", HEADER "00:00:00.500 --> 00:00:02.000\nRock &amp; &lt;roll&gt;\nthere -&gt; here\n\n"
      "00:00:02.500 --> 00:00:03.500\nover the edge\n\n");
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:3.000,\ns00000.vtt\n");
  push_text (f.h, "after a pause", 12000, 1250);
  check_file (&f, "s00001.vtt", HEADER "00:00:02.500 --> 00:00:03.500\nover the edge\n\n"
      "00:00:03.500 --> 00:00:06.000\njust after\n\n");
  check_file (&f, "s00002.vtt", HEADER);
  check_file (&f, "s00003.vtt", HEADER);
  fail_unless (gst_harness_push_event (f.h, gst_event_new_eos ()));
  check_file (&f, "s00004.vtt", HEADER "00:00:12.000 --> 00:00:13.250\nafter a pause\n\n");
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:3.000,\ns00000.vtt\n#EXTINF:3.000,\ns00001.vtt\n"
      "#EXTINF:3.000,\ns00002.vtt\n#EXTINF:3.000,\ns00003.vtt\n#EXTINF:1.250,\ns00004.vtt\n#EXT-X-ENDLIST\n");
  fail_unless_equals_int (count_files (&f), 6);
  teardown (&f);
}

GST_END_TEST;

/* A cue of ten seconds is in each of its segments, with all of its times. */
GST_START_TEST (test_long_cue)
{
  Fixture f;

  setup (&f, "playlist-length=0", "text/x-raw, format=utf8");
  push_text (f.h, "long", 1000, 10000);
  push_text (f.h, "short", 4000, 500);
  push_gap (f.h, 11000, 4000);
  check_file (&f, "s00000.vtt", HEADER "00:00:01.000 --> 00:00:11.000\nlong\n\n");
  check_file (&f, "s00001.vtt", HEADER "00:00:01.000 --> 00:00:11.000\nlong\n\n"
      "00:00:04.000 --> 00:00:04.500\nshort\n\n");
  check_file (&f, "s00002.vtt", HEADER "00:00:01.000 --> 00:00:11.000\nlong\n\n");
  check_file (&f, "s00003.vtt", HEADER "00:00:01.000 --> 00:00:11.000\nlong\n\n");
  check_file (&f, "s00004.vtt", HEADER);
  teardown (&f);
}

GST_END_TEST;

/* Times are running times; the map is another muxer's, or none. */
GST_START_TEST (test_times)
{
  Fixture f;
  GstSegment segment;

  setup (&f, "mpegts-offset=8589934591", "text/x-raw, format=utf8");
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = MS (60000);
  segment.base = MS (1000);
  gst_harness_push_event (f.h, gst_event_new_segment (&segment));
  push_text (f.h, "before", 50000, 1000);
  push_text (f.h, "half of it", 59000, 2000);
  push_gap (f.h, 61000, 2000);
  check_file (&f, "s00000.vtt", "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:8589934591\n\n"
      "00:00:01.000 --> 00:00:02.000\nhalf of it\n\n");
  teardown (&f);

  setup (&f, "mpegts-offset=-1", "text/x-raw, format=pango-markup");
  push_text (f.h, "<i>Tea</i> &amp; <b>biscuits", 0, 1000);      /* not well-formed: as it is */
  push_text (f.h, "<i>Tea</i> &amp; <b>biscuits</b>", 1000, 1000);
  push_gap (f.h, 2000, 1000);
  check_file (&f, "s00000.vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n"
      "&lt;i&gt;Tea&lt;/i&gt; &amp;amp; &lt;b&gt;biscuits\n\n00:00:01.000 --> 00:00:02.000\nTea &amp; biscuits\n\n");
  teardown (&f);
}

GST_END_TEST;

/* Played backwards, a cue is where it is seen: the last one comes first. */
GST_START_TEST (test_backwards)
{
  Fixture f;
  GstSegment segment;

  setup (&f, "playlist-length=0", "text/x-raw, format=utf8");
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.rate = -1.;
  segment.stop = MS (6000);
  gst_harness_push_event (f.h, gst_event_new_segment (&segment));
  push_text (f.h, "last", 5000, 2000);  /* to the end of the segment */
  push_gap (f.h, 2000, 3000);
  push_text (f.h, "first", 500, 1500);
  gst_harness_push_event (f.h, gst_event_new_eos ());
  check_file (&f, "s00000.vtt", HEADER "00:00:00.000 --> 00:00:01.000\nlast\n\n");
  check_file (&f, "s00001.vtt", HEADER "00:00:04.000 --> 00:00:05.500\nfirst\n\n");
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:3.000,\ns00000.vtt\n#EXTINF:2.500,\ns00001.vtt\n#EXT-X-ENDLIST\n");
  teardown (&f);
}

GST_END_TEST;

/* Of a stream without end, the playlist has the newest segments, the folder a few more. */
GST_START_TEST (test_max_files)
{
  Fixture f;

  setup (&f, "playlist-length=2 max-files=3 playlist-root=http://example.org/a/", "text/x-raw, format=utf8");
  for (guint i = 0; i < 20; i++)
    push_gap (f.h, i * 1500, 1500);
  g_autofree gchar *playlist = read_file (&f, "s.m3u8");
  fail_unless_equals_string (playlist, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:8\n"
      "#EXTINF:3.000,\nhttp://example.org/a/s00008.vtt\n#EXTINF:3.000,\nhttp://example.org/a/s00009.vtt\n");
  fail_unless_equals_int (count_files (&f), 4);
  check_file (&f, "s00007.vtt", HEADER);
  teardown (&f);

  /* what the playlist names stays */
  setup (&f, "playlist-length=4 max-files=1", "text/x-raw, format=utf8");
  push_gap (f.h, 0, 30000);
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:6\n#EXTINF:3.000,\ns00006.vtt\n#EXTINF:3.000,\ns00007.vtt\n"
      "#EXTINF:3.000,\ns00008.vtt\n#EXTINF:3.000,\ns00009.vtt\n");
  fail_unless_equals_int (count_files (&f), 5);
  teardown (&f);
}

GST_END_TEST;

GST_START_TEST (test_ends)
{
  Fixture f;

  /* nothing at all */
  setup (&f, "", "text/x-raw, format=utf8");
  gst_harness_push_event (f.h, gst_event_new_eos ());
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-ENDLIST\n");
  fail_unless_equals_int (count_files (&f), 1);
  teardown (&f);

  /* at the end of a segment: no empty one after it */
  setup (&f, "", "text/x-raw, format=utf8");
  push_gap (f.h, 0, 3000);
  gst_harness_push_event (f.h, gst_event_new_eos ());
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:3.000,\ns00000.vtt\n#EXT-X-ENDLIST\n");
  teardown (&f);

  /* a last cue that says it lasts for years: the rendition ends a minute after its start */
  setup (&f, "playlist-length=1", "text/x-raw, format=utf8");
  fail_unless_equals_int (gst_harness_push (f.h, make_text ("for ever", 0, GST_CLOCK_TIME_NONE - 2)), GST_FLOW_OK);
  gst_harness_push_event (f.h, gst_event_new_eos ());
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:19\n#EXTINF:3.000,\ns00019.vtt\n#EXT-X-ENDLIST\n");
  teardown (&f);
}

GST_END_TEST;

/* ---- live ------------------------------------------------------------------------------------------ */

/* The sink waits until the clock shows @time: it has done all that was due before. */
static void
expect_wait (Fixture *f, guint time)
{
  g_autoptr (GstTestClock) clock = gst_harness_get_testclock (f->h);
  GstClockID id;

  gst_test_clock_wait_for_next_pending_id (clock, &id);
  fail_unless_equals_uint64 (gst_clock_id_get_time (id), MS (time));
  gst_clock_id_unref (id);
}

static void
pass_time (Fixture *f, guint time)
{
  expect_wait (f, time);
  fail_unless (gst_harness_crank_single_clock_wait (f->h));
}

/* Nobody speaks and nothing comes, not even GAPs: each segment is there when its time and the latency are over. */
GST_START_TEST (test_live_silence)
{
  Fixture f;

  setup (&f, "", "text/x-raw, format=utf8");
  gst_harness_set_upstream_latency (f.h, MS (2000));
  gst_element_send_event (f.h->element, gst_event_new_latency (MS (2000)));     /* as a pipeline does */
  gst_harness_push_event (f.h, gst_event_new_gap (0, MS (10)));
  fail_unless_equals_int (count_files (&f), 0);
  pass_time (&f, 5000);
  pass_time (&f, 8000);
  expect_wait (&f, 11000);
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:3.000,\ns00000.vtt\n#EXTINF:3.000,\ns00001.vtt\n");
  check_file (&f, "s00001.vtt", HEADER);

  /* in time; and later than was promised, when its segment is closed: it is in the next */
  push_text (f.h, "in time", 8500, 600);
  pass_time (&f, 11000);
  expect_wait (&f, 14000);
  check_file (&f, "s00002.vtt", HEADER "00:00:08.500 --> 00:00:09.100\nin time\n\n");
  push_text (f.h, "too late", 8700, 200);
  pass_time (&f, 14000);
  expect_wait (&f, 17000);
  check_file (&f, "s00003.vtt", HEADER "00:00:08.500 --> 00:00:09.100\nin time\n\n"
      "00:00:08.700 --> 00:00:08.900\ntoo late\n\n");

  push_text (f.h, "last", 9000, 200);
  gst_harness_push_event (f.h, gst_event_new_eos ());
  check_file (&f, "s00004.vtt", HEADER "00:00:09.000 --> 00:00:09.200\nlast\n\n");
  teardown (&f);
}

GST_END_TEST;

/* A stream that has run for 100 s when it is joined: no segments of what was before. */
GST_START_TEST (test_joined_late)
{
  Fixture f;

  setup (&f, "", "text/x-raw, format=utf8");
  gst_harness_set_upstream_latency (f.h, MS (2000));
  gst_element_set_state (f.h->element, GST_STATE_PAUSED);
  gst_harness_set_time (f.h, MS (100000));
  gst_element_set_state (f.h->element, GST_STATE_PLAYING);
  push_text (f.h, "first", 100500, 300);
  pass_time (&f, 104000);
  expect_wait (&f, 107000);
  check_file (&f, "s00000.vtt", HEADER "00:01:40.500 --> 00:01:40.800\nfirst\n\n");
  fail_unless_equals_int (count_files (&f), 2);
  teardown (&f);
}

GST_END_TEST;

/* A file is not hurried by the clock. */
GST_START_TEST (test_not_live)
{
  Fixture f;

  setup (&f, "", "text/x-raw, format=utf8");
  set_live (f.h->srcpad, FALSE);
  push_text (f.h, "first", 1000, 1000);
  gst_harness_set_time (f.h, MS (60000));
  push_text (f.h, "second", 2000, 1000);
  gst_harness_push_event (f.h, gst_event_new_eos ());
  check_file (&f, "s00000.vtt", HEADER "00:00:01.000 --> 00:00:02.000\nfirst\n\n"
      "00:00:02.000 --> 00:00:03.000\nsecond\n\n");
  fail_unless_equals_int (count_files (&f), 2);
  teardown (&f);
}

GST_END_TEST;

/* ---- seeks, faults ------------------------------------------------------------------------------------ */

/* What was not written is forgotten, time begins anew, numbers go on. */
GST_START_TEST (test_flush)
{
  Fixture f;
  GstSegment segment;

  setup (&f, "playlist-length=2", "text/x-raw, format=utf8");
  push_text (f.h, "seen", 1000, 1000);
  push_text (f.h, "never seen", 4000, 1000);
  gst_harness_push_event (f.h, gst_event_new_flush_start ());
  gst_harness_push_event (f.h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = MS (90000);
  gst_harness_push_event (f.h, gst_event_new_segment (&segment));
  push_text (f.h, "elsewhere", 91000, 1000);
  push_gap (f.h, 92000, 1000);
  check_file (&f, "s00001.vtt", HEADER "00:00:01.000 --> 00:00:02.000\nelsewhere\n\n");
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:3.000,\ns00000.vtt\n#EXT-X-DISCONTINUITY\n#EXTINF:3.000,\n"
      "s00001.vtt\n");
  push_gap (f.h, 93000, 6000);
  check_playlist (&f, "#EXT-X-MEDIA-SEQUENCE:2\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF:3.000,\ns00002.vtt\n"
      "#EXTINF:3.000,\ns00003.vtt\n");
  teardown (&f);
}

GST_END_TEST;

GST_START_TEST (test_bad_locations)
{
  static const gchar *const bad[] = { "one.vtt", "%d%d.vtt", "%s.vtt", "%n.vtt", "%", "%5", "%ld.vtt", "" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmahlswebvttsink", NULL));
    g_object_set (element, "location", bad[i], NULL);
    check_error_at (element, GST_STATE_PAUSED, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, bad[i]);
    g_object_set (element, "location", "/nowhere/100%%/%3d.vtt", NULL);
    check_error_at (element, GST_STATE_PAUSED, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE,
        "/nowhere/100%/  0.vtt");
    g_object_set (element, "location", "/tmp/%d.vtt", "playlist-location", "/nowhere/a.m3u8", NULL);
    check_error_at (element, GST_STATE_PAUSED, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE, "/nowhere/a.m3u8");
    g_object_set (element, "playlist-location", NULL, NULL);
    check_error_at (element, GST_STATE_PAUSED, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "playlist-location");
  }
}

GST_END_TEST;

/* The folder vanishes: one error, which names the file; by the stream, and by the clock. */
GST_START_TEST (test_write_error)
{
  for (guint live = 0; live < 2; live++) {
    Fixture f;
    g_autoptr (GstBus) bus = gst_bus_new ();

    setup (&f, "", "text/x-raw, format=utf8");
    gst_element_set_bus (f.h->element, bus);
    gst_harness_set_upstream_latency (f.h, 0);
    push_gap (f.h, 0, 10);
    g_rmdir (f.folder);
    if (live) {
      pass_time (&f, 3000);
    } else {
      fail_unless_equals_int (gst_harness_push (f.h, make_text ("late", MS (4000), 0)), GST_FLOW_ERROR);
    }
    g_autofree gchar *error = wait_error (bus, 10);
    fail_unless (strstr (error, f.folder) && strstr (error, "s00000.vtt"), "%s", error);
    fail_unless_equals_int (gst_harness_push (f.h, make_text ("later", MS (7000), 0)), GST_FLOW_ERROR);
    gst_harness_push_event (f.h, gst_event_new_eos ());
    fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR) == NULL);
    gst_element_set_bus (f.h->element, NULL);
    g_mkdir (f.folder, 0700);
    teardown (&f);
  }
}

GST_END_TEST;

GST_START_TEST (test_bad_input)
{
  Fixture f;
  g_autoptr (GstBus) bus = gst_bus_new ();

  setup (&f, "", "text/x-raw, format=utf8");
  gst_element_set_bus (f.h->element, bus);
  fail_unless_equals_int (gst_harness_push (f.h, gst_buffer_new ()), GST_FLOW_OK);
  push_text (f.h, " \n", 0, 100);
  push_text (f.h, "\xff\xfe", 100, 100);
  push_text (f.h, "no duration", 500, 0);
  GstBuffer *buffer = make_text ("nor this", MS (600), GST_CLOCK_TIME_NONE);
  fail_unless_equals_int (gst_harness_push (f.h, buffer), GST_FLOW_OK);
  buffer = make_text ("no time", GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);
  fail_unless_equals_int (gst_harness_push (f.h, buffer), GST_FLOW_OK);
  push_text (f.h, "backwards", 200, 100);
  push_gap (f.h, 2600, 400);
  check_file (&f, "s00000.vtt", HEADER "00:00:00.100 --> 00:00:00.200\n\xEF\xBF\xBD\xEF\xBF\xBD\n\n"
      "00:00:00.500 --> 00:00:00.500\nno duration\n\n00:00:00.600 --> 00:00:02.600\nnor this\n\n"
      "00:00:02.600 --> 00:00:04.600\nno time\n\n00:00:00.200 --> 00:00:00.300\nbackwards\n\n");

  /* a time that nothing could fill */
  buffer = make_text ("a century later", GST_SECOND * 3600 * 24 * 36500, MS (100));
  fail_unless_equals_int (gst_harness_push (f.h, buffer), GST_FLOW_ERROR);
  g_autofree gchar *error = wait_error (bus, 1);
  fail_unless (strstr (error, "876000:00:00") != NULL, "%s", error);
  gst_element_set_bus (f.h->element, NULL);
  teardown (&f);
}

GST_END_TEST;

static Suite *
gemmahlswebvttsink_suite (void)
{
  Suite *s = suite_create ("gemmahlswebvttsink");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_segments);
  tcase_add_test (tc, test_long_cue);
  tcase_add_test (tc, test_times);
  tcase_add_test (tc, test_backwards);
  tcase_add_test (tc, test_max_files);
  tcase_add_test (tc, test_ends);
  tcase_add_test (tc, test_live_silence);
  tcase_add_test (tc, test_joined_late);
  tcase_add_test (tc, test_not_live);
  tcase_add_test (tc, test_flush);
  tcase_add_test (tc, test_bad_locations);
  tcase_add_test (tc, test_write_error);
  tcase_add_test (tc, test_bad_input);
  return s;
}

GST_CHECK_MAIN (gemmahlswebvttsink);
