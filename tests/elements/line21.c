/* Captions in frames: what each frame gets, at any frame rate. */
#include "../../plugin/line21.h"

#include "util.h"

#include <string.h>

#include "line21-decode.h"

typedef struct
{
  GstHarness *harness;
  GstElement *identity;
  GemmaLine21 *line21;
} Fixture;

static Fixture
begin (const gchar *framerate, GstVideoCaptionType type)
{
  g_autofree gchar *caps = g_strdup_printf ("video/x-raw, format=GRAY8, width=4, height=4, framerate=%s", framerate);
  g_autoptr (GstPad) pad = NULL;
  Fixture f;

  f.identity = gst_object_ref_sink (gst_element_factory_make ("identity", NULL));
  pad = gst_element_get_static_pad (f.identity, "src");
  f.line21 = gemma_line21_new (pad);
  gemma_line21_set_type (f.line21, type);
  f.harness = gst_harness_new_with_element (f.identity, "sink", "src");
  gst_harness_set_src_caps_str (f.harness, caps);
  return f;
}

static void
end (Fixture *f)
{
  gemma_line21_free (f->line21);
  gst_harness_teardown (f->harness);
  gst_object_unref (f->identity);
}

/* One frame through; its metadata. */
static GstVideoCaptionMeta *
pass (Fixture *f, GstClockTime pts, GstBuffer **frame)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 16, NULL);

  GST_BUFFER_PTS (buffer) = pts;
  fail_unless_equals_int (gst_harness_push (f->harness, buffer), GST_FLOW_OK);
  *frame = gst_harness_pull (f->harness);
  return gst_buffer_get_video_caption_meta (*frame);
}

static void
append_field1 (GByteArray *pairs, const GstVideoCaptionMeta *meta)
{
  for (gsize i = 0; i < meta->size; i += 3)
    if (meta->data[i] == 0xFC)
      g_byte_array_append (pairs, meta->data + i + 1, 2);
}

static void
check_decoded (const GByteArray *pairs, const gchar *expected)
{
  g_autoptr (GPtrArray) screens = decode_line21 (pairs->data, pairs->len / 2);

  fail_unless_equals_int (screens->len, 1);
  fail_unless_equals_string (((Screen *) g_ptr_array_index (screens, 0))->text, expected);
}

/* 600 triplets a second, not more than 30 of them for each field, at every rate; the text is whole. */
GST_START_TEST (test_rates)
{
  static const struct
  {
    gint fps_n, fps_d, triplets;
  } rates[] = { { 24, 1, 25 }, { 25, 1, 24 }, { 30000, 1001, 20 }, { 50, 1, 12 }, { 60000, 1001, 10 }, { 15, 1, 31 } };

  for (guint i = 0; i < G_N_ELEMENTS (rates); i++) {
    g_autofree gchar *framerate = g_strdup_printf ("%d/%d", rates[i].fps_n, rates[i].fps_d);
    Fixture f = begin (framerate, GST_VIDEO_CAPTION_TYPE_CEA708_RAW);
    guint n_frames = 10 * rates[i].fps_n / rates[i].fps_d, n_field2 = 0;
    g_autoptr (GByteArray) pairs = g_byte_array_new ();

    fail_unless (gemma_line21_add_text (f.line21, MS (500), MS (500), "Any frame rate"));
    for (guint n = 0; n < n_frames; n++) {
      GstBuffer *frame;
      GstVideoCaptionMeta *meta = pass (&f, gst_util_uint64_scale (n, rates[i].fps_d * GST_SECOND, rates[i].fps_n), &frame);
      fail_unless (meta != NULL && meta->caption_type == GST_VIDEO_CAPTION_TYPE_CEA708_RAW);
      fail_unless_equals_int (meta->size, 3 * rates[i].triplets);
      append_field1 (pairs, meta);
      n_field2 += meta->data[0] == 0xFD || meta->data[3] == 0xFD;
      gst_buffer_unref (frame);
    }
    fail_unless (pairs->len / 2 <= 300 && n_field2 <= 300 && pairs->len / 2 + n_field2 >= n_frames);
    check_decoded (pairs, "Any frame rate");
    end (&f);
  }
}

GST_END_TEST;

/* A camera without a frame rate, whose frames are now early, now late. */
GST_START_TEST (test_variable_rate)
{
  Fixture f = begin ("0/1", GST_VIDEO_CAPTION_TYPE_CEA608_RAW);
  g_autoptr (GByteArray) pairs = g_byte_array_new ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  GstClockTime time = 0;

  gemma_line21_set_rows (f.line21, 3);
  fail_unless (gemma_line21_add_text (f.line21, MS (500), MS (500), "¡Olé!"));
  while (time < 10 * GST_SECOND) {
    GstBuffer *frame;
    GstVideoCaptionMeta *meta = pass (&f, time, &frame);
    fail_unless_equals_int (meta->size, 2);
    g_byte_array_append (pairs, meta->data, 2);
    gst_buffer_unref (frame);
    time += MS (g_rand_int_range (rand, 5, 60));
  }
  check_decoded (pairs, "¡Olé!");
  end (&f);
}

GST_END_TEST;

/* Text of a time that is over is sent at once, and seen as long as it would have been. */
GST_START_TEST (test_late_text)
{
  Fixture f = begin ("30/1", GST_VIDEO_CAPTION_TYPE_CEA708_RAW);
  g_autoptr (GByteArray) pairs = g_byte_array_new ();

  for (guint n = 0; n < 600; n++) {
    GstBuffer *frame;
    append_field1 (pairs, pass (&f, n * (GST_SECOND / 30), &frame));
    gst_buffer_unref (frame);
    if (n == 149)
      fail_unless (gemma_line21_add_text (f.line21, MS (1000), MS (3000), "Late"));
  }
  for (guint n = 0; n < 150; n++)
    fail_unless (pairs->data[2 * n] == 0x80);
  fail_if (pairs->data[2 * 150] == 0x80);
  g_autoptr (GPtrArray) screens = decode_line21 (pairs->data, 600);
  fail_unless_equals_int (screens->len, 1);
  Screen *screen = g_ptr_array_index (screens, 0);
  /* Said for 3 s, and erased 5 s after. */
  fail_unless (screen->end > MS (12900) && screen->end < MS (13200), "%" GST_TIME_FORMAT, GST_TIME_ARGS (screen->end));
  end (&f);
}

GST_END_TEST;

/* After a flush what waited is gone and what was seen is erased; without a type frames are left alone. */
GST_START_TEST (test_flush_and_off)
{
  Fixture f = begin ("30/1", GST_VIDEO_CAPTION_TYPE_CEA608_RAW);
  GstVideoCaptionMeta *meta;
  GstSegment segment;
  GstBuffer *frame;

  fail_unless (gemma_line21_add_text (f.line21, 0, MS (1000), "seen"));
  for (guint n = 0; n < 30; n++) {
    pass (&f, n * (GST_SECOND / 30), &frame);
    gst_buffer_unref (frame);
  }
  fail_unless (gemma_line21_add_text (f.line21, MS (2000), MS (1000), "never seen"));
  gst_harness_push_event (f.harness, gst_event_new_flush_start ());
  gst_harness_push_event (f.harness, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  for (guint n = 0; n < 90; n++) {
    meta = pass (&f, n * (GST_SECOND / 30), &frame);
    fail_unless (memcmp (meta->data, n < 2 ? "\x94\x2c" : "\x80\x80", 2) == 0, "frame %u", n);
    gst_buffer_unref (frame);
  }

  gemma_line21_set_type (f.line21, GST_VIDEO_CAPTION_TYPE_UNKNOWN);
  fail_unless (gemma_line21_add_text (f.line21, MS (3000), MS (1000), "no"));
  fail_unless (pass (&f, MS (3000), &frame) == NULL);
  gst_buffer_unref (frame);
  end (&f);
}

GST_END_TEST;

static Suite *
line21_suite (void)
{
  Suite *s = suite_create ("line21");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_rates);
  tcase_add_test (tc, test_variable_rate);
  tcase_add_test (tc, test_late_text);
  tcase_add_test (tc, test_flush_and_off);
  return s;
}

GST_CHECK_MAIN (line21);
