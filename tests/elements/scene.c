/* gemmalm with pictures, made up like the sound: which are asked about, with what, and the times of the answers. */
#include "util.h"

#include <gst/gemma/gemma.h>
#include <string.h>

#include "tests/model/small-model.h"

#define TOKEN MS (160)
#define FRAME MS (40)
#define HIDDEN 64               /* of the small model */

static gchar *model;

static void
setup (void)
{
  model = small_model_write ();
}

static void
teardown (void)
{
  small_model_remove (model);
}

typedef struct
{
  GstHarness *video, *audio;
  GstElement *lm;
  Collector *out;
  GstBus *bus;
} Fixture;

static GstHarness *
add_harness (GstElement *lm, const gchar *pad, const gchar *src, guint n_tokens, gboolean live)
{
  GstHarness *harness = gst_harness_new_with_element (lm, pad, src);

  set_live (harness->srcpad, live);
  gst_harness_set_src_caps (harness, gst_gemma_soft_token_caps_new (HIDDEN, n_tokens, 25, 4));
  return harness;
}

/* Random words, always the same, so that there is text although the model knows none. */
static Fixture
begin (gboolean audio, gboolean live)
{
  Fixture f = { 0, };

  f.lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", NULL));
  g_object_set (f.lm, "model", model, "temperature", 10., "seed", (guint64) 3, "max-tokens", 6, NULL);
  f.bus = gst_bus_new ();
  gst_element_set_bus (f.lm, f.bus);
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.lm, "src");
  f.out = collector_new (src);
  if (audio)
    f.audio = add_harness (f.lm, "audio_0", NULL, 1, live);
  f.video = add_harness (f.lm, "video_0", "src", 256, live);
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_bus (f->lm, NULL);
  if (f->audio)
    gst_harness_teardown (f->audio);
  gst_harness_teardown (f->video);
  gst_object_unref (f->lm);
  gst_object_unref (f->bus);
  collector_free (f->out);
}

static GstFlowReturn
push_rows (GstHarness *h, guint n, GstClockTime pts, GstClockTime duration, gboolean quiet)
{
  gsize size = n * HIDDEN * sizeof (gfloat);
  gfloat *rows = g_malloc (size);

  for (guint i = 0; i < n * HIDDEN; i++)
    rows[i] = ((pts / TOKEN * 31 + i * 7) % 17) / 8.5f - 1.f;
  GstBuffer *buffer = gst_buffer_new_wrapped (rows, size);
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = duration;
  if (quiet)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
  return gst_harness_push (h, buffer);
}

static void
push_picture (Fixture *f, GstClockTime pts)
{
  fail_unless_equals_int (push_rows (f->video, 256, pts, FRAME, FALSE), GST_FLOW_OK);
}

/* 's' speech, '.' quiet */
static void
push_sound_tokens (Fixture *f, const gchar *pattern, GstClockTime pts)
{
  for (const gchar *p = pattern; *p; p++, pts += TOKEN)
    fail_unless_equals_int (push_rows (f->audio, 1, pts, TOKEN, *p == '.'), GST_FLOW_OK);
}

static void
finish (Fixture *f)
{
  gst_harness_push_event (f->video, gst_event_new_eos ());
  if (f->audio)
    gst_harness_push_event (f->audio, gst_event_new_eos ());
  collector_wait_eos (f->out, 100);
}

static void
wait_text (Fixture *f, guint n, guint seconds)
{
  gint64 deadline = g_get_monotonic_time () + seconds * G_TIME_SPAN_SECOND;

  while (collector_count (f->out, TRUE, 0) < n) {
    fail_unless (g_get_monotonic_time () < deadline, "%u texts after %u s", collector_count (f->out, TRUE, 0), seconds);
    g_usleep (20000);
  }
}

static void
check_text (Fixture *f, guint n, GstClockTime pts, GstClockTime duration)
{
  GstBuffer *text = collector_get_buffer (f->out, n);

  fail_unless (text != NULL, "no text %u", n);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (text), pts);
  fail_unless_equals_uint64 (GST_BUFFER_DURATION (text), duration);
}

/* ---- pictures on their own ------------------------------------------------------------------ */

GST_START_TEST (test_a_description_stands_until_the_next)
{
  Fixture f = begin (FALSE, FALSE);

  push_picture (&f, MS (1000));
  push_picture (&f, MS (3000));
  push_picture (&f, MS (3500));
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 3);
  check_text (&f, 0, MS (1000), MS (2000));
  check_text (&f, 1, MS (3000), MS (500));
  check_text (&f, 2, MS (3500), FRAME);
  collector_check_coverage (f.out, MS (1000), MS (3500) + FRAME, 0);
  fail_unless_equals_int (get_stat (f.lm, "pictures"), 3);
  end (&f);
}

GST_END_TEST;

/* Unchanged pictures: the last description still holds, but not for ever. */
GST_START_TEST (test_gaps_extend_a_description)
{
  Fixture f = begin (FALSE, FALSE);

  g_object_set (f.lm, "max-segment", 5000, NULL);
  push_picture (&f, 0);
  for (guint i = 0; i < 8; i++)
    gst_harness_push_event (f.video, gst_event_new_gap (FRAME + MS (1000) * i, MS (1000)));
  wait_text (&f, 1, 100);       /* although nothing has ended */
  push_picture (&f, MS (9000));
  gst_harness_push_event (f.video, gst_event_new_gap (MS (9040), MS (1000)));
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  check_text (&f, 0, 0, MS (5000));
  check_text (&f, 1, MS (9000), MS (1040));
  collector_check_coverage (f.out, 0, MS (10040), 0);
  end (&f);
}

GST_END_TEST;

/* Live, a description cannot wait for the next picture: how long it stands is a guess, its time is the picture's. */
GST_START_TEST (test_live_descriptions)
{
  Fixture f = begin (FALSE, TRUE);

  push_picture (&f, 0);
  wait_text (&f, 1, 100);
  check_text (&f, 0, 0, MS (1000));
  push_picture (&f, MS (700));
  wait_text (&f, 2, 100);
  push_picture (&f, MS (3700));
  wait_text (&f, 3, 100);
  finish (&f);
  check_text (&f, 1, MS (700), MS (1000));
  check_text (&f, 2, MS (3700), MS (3000));     /* as long as the one before should have stood */
  end (&f);
}

GST_END_TEST;

/* The newest picture replaces those that nobody has looked at yet; the camera is not held up. */
GST_START_TEST (test_live_pictures_are_dropped)
{
  Fixture f = begin (FALSE, TRUE);
  const guint n = 60;

  for (guint i = 0; i < n; i++)
    push_picture (&f, i * FRAME);
  finish (&f);
  guint64 seen = get_stat (f.lm, "pictures"), dropped = get_stat (f.lm, "pictures-dropped");
  fail_unless (seen >= 1 && dropped > 0, "%u seen, %u dropped", (guint) seen, (guint) dropped);
  fail_unless_equals_int (seen + dropped, n);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_custom_question)
{
  Fixture f = begin (FALSE, FALSE);
  guint64 described, asked;

  push_picture (&f, 0);
  gst_harness_push_event (f.video, gst_event_new_gap (FRAME, MS (60000)));
  wait_text (&f, 1, 100);
  described = get_stat (f.lm, "prompt-tokens");
  g_object_set (f.lm, "task", 4 /* custom */, "prompt", "?", NULL);
  push_picture (&f, MS (70000));
  finish (&f);
  asked = get_stat (f.lm, "prompt-tokens") - described;
  /* One sign instead of "Describe the image in English.", and the picture in both. */
  fail_unless (asked < described && asked > 257, "%u and %u tokens", (guint) described, (guint) asked);
  end (&f);
}

GST_END_TEST;

/* ---- pictures and sound ------------------------------------------------------------------------- */

/* Tokens of the prompt of six tokens of speech at 1 s with these pictures. */
static guint64
count_prompt (const gchar *times, guint max_pictures, guint expected)
{
  Fixture f = begin (TRUE, FALSE);
  g_auto (GStrv) seconds = g_strsplit (times, " ", -1);
  guint64 n;

  g_object_set (f.lm, "max-pictures", max_pictures, NULL);
  for (gchar **s = seconds; *s && **s; s++)
    push_picture (&f, g_ascii_strtod (*s, NULL) * GST_SECOND);
  push_sound_tokens (&f, "ssssss....", MS (1000));
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  check_text (&f, 0, MS (1000), 5 * TOKEN + MS (80));   /* of the speech, whatever is seen */
  fail_unless_equals_int (get_stat (f.lm, "utterances"), 1);
  fail_unless_equals_int (get_stat (f.lm, "pictures"), expected);
  n = get_stat (f.lm, "prompt-tokens");
  end (&f);
  return n;
}

GST_START_TEST (test_speech_takes_its_pictures)
{
  guint64 alone = count_prompt ("", 1, 0);

  /* <start_of_image>, 256 soft tokens, <end_of_image>, and line ends that may join those around them. */
  fail_unless (count_prompt ("0.2", 1, 1) - alone - 258 <= 2);
  fail_unless (count_prompt ("0.2 1.2 1.4 5", 4, 2) - alone - 2 * 258 <= 4);
  count_prompt ("1.1 1.2 1.3 1.4 1.5", 3, 3);
  count_prompt ("1.1 1.2", 0, 0);
  count_prompt ("5", 4, 0);     /* after it */
}

GST_END_TEST;

/* Nothing comes from the video pad, and no end either. */
static void
check_silent_video (gboolean live, guint seconds)
{
  Fixture f = begin (TRUE, live);

  push_sound_tokens (&f, "ss....", 0);
  wait_text (&f, 1, seconds);
  /* It is not waited for again. */
  Watch watch = watch_begin ();
  push_sound_tokens (&f, "ss....", MS (5000));
  wait_text (&f, 2, seconds);
  fail_unless (watch_get (&watch) < 10 * G_USEC_PER_SEC);
  finish (&f);
  end (&f);
}

GST_START_TEST (test_video_that_never_comes)
{
  check_silent_video (FALSE, 60);
  check_silent_video (TRUE, 60);
}

GST_END_TEST;

/* Time that goes on without pictures, or ends, lets text through at once. */
GST_START_TEST (test_gaps_and_end_of_video)
{
  Fixture f = begin (TRUE, FALSE);

  push_picture (&f, 0);
  push_sound_tokens (&f, "ss....", MS (1000));
  gst_harness_push_event (f.video, gst_event_new_gap (FRAME, MS (2000)));
  wait_text (&f, 1, 60);
  fail_unless_equals_int (get_stat (f.lm, "pictures"), 1);
  gst_harness_push_event (f.video, gst_event_new_eos ());
  Watch watch = watch_begin ();
  for (guint i = 0; i < 4; i++)
    push_sound_tokens (&f, "ss....", MS (10000) * (i + 1));
  gst_harness_push_event (f.audio, gst_event_new_eos ());
  collector_wait_eos (f.out, 60);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 5);
  fail_unless (watch_get (&watch) < 30 * G_USEC_PER_SEC);
  end (&f);
}

GST_END_TEST;

/* Video without sound goes on: the window is bounded and does not hold it up for long. */
GST_START_TEST (test_sound_that_never_comes)
{
  Fixture f = begin (TRUE, FALSE);
  Watch watch = watch_begin ();

  for (guint i = 0; i < 500; i++)
    push_picture (&f, i * MS (500));
  fail_unless (watch_get (&watch) < 30 * G_USEC_PER_SEC);
  finish (&f);
  end (&f);
}

GST_END_TEST;

/* A flush of the pictures leaves the sound alone. */
GST_START_TEST (test_flush_of_the_video)
{
  Fixture f = begin (TRUE, FALSE);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  push_picture (&f, 0);
  push_sound_tokens (&f, "sss", 0);
  gst_harness_push_event (f.video, gst_event_new_flush_start ());
  gst_harness_push_event (f.video, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (f.video, gst_event_new_segment (&segment));
  push_sound_tokens (&f, "....", 3 * TOKEN);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  fail_unless_equals_int (collector_count (f.out, FALSE, GST_EVENT_FLUSH_START), 0);
  fail_unless_equals_int (get_stat (f.lm, "pictures"), 0);
  end (&f);
}

GST_END_TEST;

/* Segments that differ: what counts is running time. */
GST_START_TEST (test_other_segment)
{
  Fixture f = begin (TRUE, FALSE);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = 100 * GST_SECOND;
  gst_harness_push_event (f.video, gst_event_new_segment (&segment));
  push_picture (&f, 100 * GST_SECOND + MS (1200));
  push_sound_tokens (&f, "ssssss....", MS (1000));
  finish (&f);
  check_text (&f, 0, MS (1000), 5 * TOKEN + MS (80));
  fail_unless_equals_int (get_stat (f.lm, "pictures"), 1);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_no_picture)
{
  Fixture f = begin (FALSE, FALSE);

  fail_unless_equals_int (push_rows (f.video, 188, 0, FRAME, FALSE), GST_FLOW_ERROR);
  g_autofree gchar *message = wait_error (f.bus, 10);
  fail_unless (strstr (message, "256 soft tokens") != NULL, "%s", message);
  end (&f);
}

GST_END_TEST;

static Suite *
scene_suite (void)
{
  Suite *s = suite_create ("scene");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_unchecked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_a_description_stands_until_the_next);
  tcase_add_test (tc, test_gaps_extend_a_description);
  tcase_add_test (tc, test_live_descriptions);
  tcase_add_test (tc, test_live_pictures_are_dropped);
  tcase_add_test (tc, test_custom_question);
  tcase_add_test (tc, test_speech_takes_its_pictures);
  tcase_add_test (tc, test_video_that_never_comes);
  tcase_add_test (tc, test_gaps_and_end_of_video);
  tcase_add_test (tc, test_sound_that_never_comes);
  tcase_add_test (tc, test_flush_of_the_video);
  tcase_add_test (tc, test_other_segment);
  tcase_add_test (tc, test_no_picture);
  return s;
}

GST_CHECK_MAIN (scene);
