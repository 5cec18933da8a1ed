/* Captions over media that do not care about them. */
#include "util.h"

#include <gst/gemma/gemma.h>
#include <gst/video/video.h>
#include <string.h>

#include "line21-decode.h"
#include "opencl/ops.h"
#include "vision-model.h"

#define VIDEO "video/x-raw, format=I420, width=160, height=120, framerate=25/1"

typedef struct
{
  GstElement *pipeline, *bin;
  GstBus *bus;
} Fixture;

static Fixture
begin (const gchar *launch)
{
  Fixture f;

  f.pipeline = launch_pipeline (launch);
  f.bin = gst_bin_get_by_name (GST_BIN (f.pipeline), "c");
  f.bus = gst_element_get_bus (f.pipeline);
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_state (f->pipeline, GST_STATE_NULL);
  gst_object_unref (f->bin);
  gst_object_unref (f->bus);
  gst_object_unref (f->pipeline);
}

/* Frames that left the bin: how many, and their times. */
typedef struct
{
  gint n;                       /* atomic */
  GstClockTime next;
  gboolean bright;              /* something was drawn over black */
} Frames;

static GstPadProbeReturn
on_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Frames *frames = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstMapInfo map;

  /* A live source begins some time after 0. */
  if (g_atomic_int_add (&frames->n, 1))
    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), frames->next);
  frames->next = GST_BUFFER_PTS (buffer) + MS (40);
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  for (guint i = 0; i < 160 * 120 && !frames->bright; i++)
    frames->bright = map.data[i] > 200;
  gst_buffer_unmap (buffer, &map);
  return GST_PAD_PROBE_OK;
}

static void
watch_frames (Fixture *f, Frames *frames)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f->bin, "src_video");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_frame, frames, NULL);
}

/* Returns how many warnings of the bin came before. */
static guint
wait_eos (Fixture *f, guint seconds)
{
  guint n_warnings = 0;

  for (;;) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (f->bus, seconds * GST_SECOND,
        GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
    fail_unless (message && GST_MESSAGE_TYPE (message) != GST_MESSAGE_ERROR);
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
      return n_warnings;
    n_warnings += GST_MESSAGE_SRC (message) == GST_OBJECT (f->bin);
  }
}

static void
check_form (GstElement *element, const gchar *expected)
{
  g_autofree gchar *weights = NULL;
  gint activations;

  g_object_get (element, "weights", &weights, "activations", &activations, NULL);
  fail_unless_equals_string (weights, expected);
  fail_unless_equals_int (activations, OCL_MATMUL_INT16);
}

GST_START_TEST (test_contract)
{
  static const gchar *const pads[] = { "sink_audio", "sink_video", "src_audio", "src_video", "text" };
  static const gchar *const properties[] = { "model", "mmproj", "device", "task", "prompt", "source-language",
    "target-language", "interval", "resolution", "mode", "roll-up-rows", "music-gate", "latency", "stats",
    "weights", "encoder-weights", "activations" };
  g_autoptr (GstElement) bin = gst_object_ref_sink (gst_element_factory_make ("gemmacaptionbin", NULL));
  g_autofree gchar *font = NULL;
  gboolean wait_text, music_gate;

  for (guint i = 0; i < G_N_ELEMENTS (pads); i++) {
    g_autoptr (GstPad) pad = gst_element_get_static_pad (bin, pads[i]);
    fail_unless (pad != NULL, "no pad %s", pads[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++)
    fail_unless (g_object_class_find_property (G_OBJECT_GET_CLASS (bin), properties[i]) != NULL, "no %s", properties[i]);
  gst_child_proxy_set (GST_CHILD_PROXY (bin), "overlay::font-desc", "Sans 40", NULL);
  gst_child_proxy_get (GST_CHILD_PROXY (bin), "overlay::font-desc", &font, "overlay::wait-text", &wait_text, NULL);
  fail_unless (font && strstr (font, "40") != NULL);
  fail_if (wait_text);

  g_object_get (bin, "music-gate", &music_gate, NULL);
  fail_unless (music_gate);
  g_object_set (bin, "music-gate", FALSE, NULL);
  gst_child_proxy_get (GST_CHILD_PROXY (bin), "audio-encoder::music-gate", &music_gate, NULL);
  fail_if (music_gate);
  g_object_get (bin, "music-gate", &music_gate, NULL);
  fail_if (music_gate);

  static const gchar *const encoders[] = { "audio-encoder", "vision-encoder" };
  g_object_set (bin, "weights", "q4_0", "encoder-weights", "q8_0", NULL);
  gst_util_set_object_arg (G_OBJECT (bin), "activations", "int16");
  for (guint i = 0; i < G_N_ELEMENTS (encoders); i++) {
    g_autoptr (GstElement) child = gst_bin_get_by_name (GST_BIN (bin), encoders[i]);
    check_form (child, "q8_0");
  }
  g_autoptr (GstElement) lm = gst_bin_get_by_name (GST_BIN (bin), "lm");
  check_form (lm, "q4_0");

  /* No value of what is handed on to the encoder is refused there. */
  g_autoptr (GstElement) encoder = gst_bin_get_by_name (GST_BIN (bin), "vision-encoder");
  fail_unless (g_object_class_find_property (G_OBJECT_GET_CLASS (bin), "resolution")->value_type ==
      g_object_class_find_property (G_OBJECT_GET_CLASS (encoder), "resolution")->value_type);
  fail_unless_equals_uint64 (G_PARAM_SPEC_UINT64 (g_object_class_find_property (G_OBJECT_GET_CLASS (bin), "interval"))->maximum,
      G_PARAM_SPEC_UINT64 (g_object_class_find_property (G_OBJECT_GET_CLASS (encoder), "interval"))->maximum);
  gint resolution;
  g_object_set (bin, "resolution", 512, NULL);
  g_object_get (encoder, "resolution", &resolution, NULL);
  fail_unless_equals_int (resolution, 512);
}

GST_END_TEST;

/* The model of these tests may not see: what is said is captioned all the same. */
GST_START_TEST (test_speech_over_a_picture)
{
  Fixture f = begin ("gemmacaptionbin name=c interval=1000000000 "
      "appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! c.sink_audio c.src_audio ! fakesink name=sound async=false "
      "videotestsrc is-live=true pattern=black num-buffers=250 ! " VIDEO " ! c.sink_video "
      "c.src_video ! " VIDEO " ! fakesink async=false c.text ! fakesink async=false");
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  g_autoptr (GstPad) text = gst_element_get_static_pad (f.bin, "text"), sound = gst_element_get_static_pad (f.bin, "src_audio");
  Collector *out = collector_new (text), *heard = collector_new (sound);
  Frames frames = { 0, };
  GstFlowReturn flow;

  use_random_words (f.bin, 12);
  watch_frames (&f, &frames);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (src, RATE, TRUE, 0);
  push_sound (src, 2 * RATE, FALSE, MS (1000));
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  wait_eos (&f, 100);
  fail_unless_equals_int (frames.n, 250);
  fail_unless (frames.bright, "no caption was drawn");
  fail_unless_equals_int (collector_count (out, TRUE, 0), 1);
  /* On the pad text the time is that of the speech. */
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (out, 0)) < MS (200));
  fail_unless_equals_int (collector_count (heard, TRUE, 0), 2);
  end (&f);
  collector_free (out);
  collector_free (heard);
}

GST_END_TEST;

/* A camera without sound: what is seen is described, every second. */
GST_START_TEST (test_picture_alone)
{
  g_autofree gchar *launch = g_strdup_printf ("gemmacaptionbin name=c model=%s interval=1000000000 resolution=256 "
      "videotestsrc is-live=true pattern=black num-buffers=100 ! " VIDEO " ! c.sink_video "
      "c.src_video ! " VIDEO " ! fakesink async=false c.text ! fakesink async=false", vision_model_path ());
  Fixture f = begin (launch);
  g_autoptr (GstPad) text = gst_element_get_static_pad (f.bin, "text");
  Collector *out = collector_new (text);
  Frames frames = { 0, };
  GstClockTime last = 0;

  use_random_words (f.bin, 12);
  watch_frames (&f, &frames);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  wait_eos (&f, 100);
  fail_unless_equals_int (frames.n, 100);
  /* One a second at the most; fewer while the model loads or when the machine is behind. */
  fail_unless (collector_count (out, TRUE, 0) >= 1 && collector_count (out, TRUE, 0) <= 5);
  for (guint i = 0; i < collector_count (out, TRUE, 0); i++) {
    GstClockTime pts = GST_BUFFER_PTS (collector_get_buffer (out, i));

    fail_unless (pts < frames.next && (i == 0 || pts > last), "%" GST_TIME_FORMAT " after %" GST_TIME_FORMAT,
        GST_TIME_ARGS (pts), GST_TIME_ARGS (last));
    last = pts;
  }
  end (&f);
  collector_free (out);
}

GST_END_TEST;

GST_START_TEST (test_mode_text_draws_nothing)
{
  Fixture f = begin ("gemmacaptionbin name=c mode=text "
      "appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! c.sink_audio c.src_audio ! fakesink async=false "
      "videotestsrc is-live=true pattern=black num-buffers=100 ! " VIDEO " ! c.sink_video "
      "c.src_video ! " VIDEO " ! fakesink async=false");
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  Frames frames = { 0, };
  GstFlowReturn flow;

  use_random_words (f.bin, 12);
  watch_frames (&f, &frames);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (src, RATE, TRUE, 0);
  push_sound (src, RATE, FALSE, MS (1000));
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  wait_eos (&f, 100);
  fail_unless_equals_int (frames.n, 100);
  fail_if (frames.bright);
  end (&f);
}

GST_END_TEST;

/* ---- closed captions --------------------------------------------------------------------------- */

typedef struct
{
  GstVideoCaptionType type;
  GByteArray *pairs;            /* of field 1, one a frame */
} Closed;

static GstPadProbeReturn
on_closed (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Closed *closed = data;
  GstVideoCaptionMeta *meta = gst_buffer_get_video_caption_meta (GST_PAD_PROBE_INFO_BUFFER (info));

  fail_unless (meta != NULL && meta->caption_type == closed->type);
  if (closed->type == GST_VIDEO_CAPTION_TYPE_CEA608_RAW) {
    fail_unless_equals_int (meta->size, 2);
    g_byte_array_append (closed->pairs, meta->data, 2);
  } else {
    /* 600 triplets a second, at 25 frames; the first is field 1. */
    fail_unless_equals_int (meta->size, 3 * 24);
    fail_unless (meta->data[0] == 0xFC && meta->data[3] == 0xFD && meta->data[6] == 0xFA);
    g_byte_array_append (closed->pairs, meta->data + 1, 2);
  }
  return GST_PAD_PROBE_OK;
}

/* What can be compared: line 21 has not all characters, and rows are wrapped. */
static gchar *
get_letters (const gchar *text, gsize length)
{
  GString *letters = g_string_new (NULL);

  for (gsize i = 0; i < length; i++)
    if (g_ascii_isalnum (text[i]))
      g_string_append_c (letters, text[i]);
  return g_string_free (letters, FALSE);
}

static void
check_closed (const gchar *mode, GstVideoCaptionType type)
{
  g_autofree gchar *launch = g_strdup_printf ("gemmacaptionbin name=c mode=%s roll-up-rows=4 interval=1000000000 "
      "appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! c.sink_audio c.src_audio ! fakesink async=false "
      "videotestsrc is-live=true pattern=black num-buffers=375 ! " VIDEO " ! c.sink_video "
      "c.src_video ! " VIDEO " ! fakesink async=false c.text ! fakesink async=false", mode);
  Fixture f = begin (launch);
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  g_autoptr (GstPad) text = gst_element_get_static_pad (f.bin, "text");
  g_autoptr (GstPad) video = gst_element_get_static_pad (f.bin, "src_video");
  Collector *out = collector_new (text);
  Closed closed = { type, g_byte_array_new () };
  Frames frames = { 0, };
  GstFlowReturn flow;
  GstMapInfo map;

  use_random_words (f.bin, 12);
  watch_frames (&f, &frames);
  gst_pad_add_probe (video, GST_PAD_PROBE_TYPE_BUFFER, on_closed, &closed, NULL);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (src, RATE, TRUE, 0);
  push_sound (src, 2 * RATE, FALSE, MS (1000));
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  wait_eos (&f, 100);
  fail_unless_equals_int (frames.n, 375);
  fail_if (frames.bright, "a caption was drawn");

  fail_unless_equals_int (collector_count (out, TRUE, 0), 1);
  gst_buffer_map (collector_get_buffer (out, 0), &map, GST_MAP_READ);
  g_autofree gchar *expected = get_letters ((const gchar *) map.data, map.size);
  gst_buffer_unmap (collector_get_buffer (out, 0), &map);
  g_autoptr (GPtrArray) screens = decode_line21 (closed.pairs->data, closed.pairs->len / 2);
  fail_unless (screens->len >= 1);
  const gchar *screen = ((Screen *) g_ptr_array_index (screens, screens->len - 1))->text;
  g_autofree gchar *seen = get_letters (screen, strlen (screen));
  fail_unless (*seen && g_str_has_suffix (expected, seen), "\"%s\" is not the end of \"%s\"", seen, expected);
  end (&f);
  collector_free (out);
  g_byte_array_unref (closed.pairs);
}

GST_START_TEST (test_mode_cea608)
{
  check_closed ("cea608", GST_VIDEO_CAPTION_TYPE_CEA608_RAW);
}

GST_END_TEST;

GST_START_TEST (test_mode_cea708)
{
  check_closed ("cea708", GST_VIDEO_CAPTION_TYPE_CEA708_RAW);
}

GST_END_TEST;

static GstPadProbeReturn
block (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  return GST_PAD_PROBE_OK;      /* stays blocked */
}

/* As if the model took for ever: nothing of the media waits, live or not. What is lost for the captions is told once. */
static void
check_blocked (const gchar *launch, guint n_frames, guint n_warnings)
{
  Fixture f = begin (launch);
  g_autoptr (GstElement) lm = gst_bin_get_by_name (GST_BIN (f.bin), "lm");
  g_autoptr (GstPad) pad = NULL;
  Frames frames = { 0, };

  gst_element_set_state (f.pipeline, GST_STATE_READY);
  pad = gst_element_get_static_pad (lm, "audio_0");
  fail_unless (pad != NULL);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM, block, NULL, NULL);
  watch_frames (&f, &frames);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  fail_unless_equals_int (wait_eos (&f, 60), n_warnings);
  fail_unless_equals_int (frames.n, n_frames);
  end (&f);
}

GST_START_TEST (test_a_blocked_model_holds_nobody_up)
{
  check_blocked ("gemmacaptionbin name=c audiotestsrc is-live=true num-buffers=100 wave=ticks ! c.sink_audio "
      "c.src_audio ! fakesink videotestsrc is-live=true num-buffers=75 ! " VIDEO " ! c.sink_video "
      "c.src_video ! " VIDEO " ! fakesink", 75, 0);
  /* 40 s of sound, more than may wait, faster than it plays. */
  check_blocked ("gemmacaptionbin name=c audiotestsrc num-buffers=400 samplesperbuffer=4410 wave=ticks ! "
      "audio/x-raw,rate=44100 ! c.sink_audio c.src_audio ! fakesink videotestsrc num-buffers=100 ! " VIDEO " ! c.sink_video "
      "c.src_video ! " VIDEO " ! fakesink", 100, 1);
}

GST_END_TEST;

static GstPadProbeReturn
on_video_event (GstPad *pad, GstPadProbeInfo *info, gpointer ended)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);

  fail_if (GST_EVENT_TYPE (event) == GST_EVENT_TAG || GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM);
  if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
    g_atomic_int_set ((gint *) ended, TRUE);
  return GST_PAD_PROBE_OK;
}

/* Who speaks on, in another language, when the picture has ended, is still transcribed; and what is known of the text is not
 * said of the picture. */
GST_START_TEST (test_speech_after_the_picture)
{
  Fixture f = begin ("gemmacaptionbin name=c "
      "appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! c.sink_audio c.src_audio ! fakesink async=false "
      "videotestsrc num-buffers=5 ! " VIDEO " ! c.sink_video c.src_video ! fakesink async=false c.text ! fakesink async=false");
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  g_autoptr (GstPad) text = gst_element_get_static_pad (f.bin, "text"), video = gst_element_get_static_pad (f.bin, "src_video");
  Collector *out = collector_new (text);
  gint ended = FALSE;
  GstFlowReturn flow;

  use_random_words (f.bin, 12);
  gst_pad_add_probe (video, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_video_event, &ended, NULL);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 3; i++) {
    push_sound (src, RATE, TRUE, MS (2000) * i);
    push_sound (src, RATE, FALSE, MS (2000) * i + MS (1000));
    while (collector_count (out, TRUE, 0) <= i || !g_atomic_int_get (&ended))
      g_usleep (10000);
    g_object_set (f.bin, "source-language", i ? "de" : "fr", NULL);
  }
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  fail_unless_equals_int (wait_eos (&f, 60), 0);
  fail_unless (collector_count (out, FALSE, GST_EVENT_TAG) >= 2);
  end (&f);
  collector_free (out);
}

GST_END_TEST;

/* The model fails while the media run: a warning says so, and they go on. */
GST_START_TEST (test_media_outlive_the_captions)
{
  Fixture f = begin ("gemmacaptionbin name=c "
      "appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! c.sink_audio c.src_audio ! fakesink async=false "
      "videotestsrc name=v is-live=true ! " VIDEO " ! c.sink_video c.src_video ! " VIDEO " ! fakesink async=false");
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  g_autoptr (GstElement) video = gst_bin_get_by_name (GST_BIN (f.pipeline), "v");
  Frames frames = { 0, };
  GstMessage *message;
  GstFlowReturn flow;
  guint n_warnings = 0, n_errors = 0;
  gint n_before;

  gst_child_proxy_set (GST_CHILD_PROXY (f.bin), "lm::context-size", 16, NULL);
  watch_frames (&f, &frames);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 3; i++) {
    push_sound (src, RATE, TRUE, MS (2000) * i);
    push_sound (src, RATE, FALSE, MS (2000) * i + MS (1000));
  }
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  do {
    message = gst_bus_timed_pop (f.bus, 100 * GST_SECOND);
    fail_unless (message != NULL);
    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR);
    n_warnings += GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING && GST_MESSAGE_SRC (message) == GST_OBJECT (f.bin);
    n_errors += gst_message_has_name (message, "gemma-caption-error");
    gst_message_unref (message);
  } while (!n_warnings || !n_errors);   /* the model may take its time to load */
  n_before = g_atomic_int_get (&frames.n);
  while (g_atomic_int_get (&frames.n) < n_before + 50)
    g_usleep (20000);
  gst_element_send_event (video, gst_event_new_eos ());
  wait_eos (&f, 60);
  end (&f);
}

GST_END_TEST;

/* Captions promise text within 8 s; the picture does not wait for that. */
GST_START_TEST (test_latency_of_the_picture)
{
  Fixture f = begin ("gemmacaptionbin name=c audiotestsrc is-live=true ! c.sink_audio c.src_audio ! fakesink "
      "videotestsrc is-live=true ! " VIDEO " ! c.sink_video c.src_video ! fakesink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.bin, "src_video");
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  GstClockTime min;
  gboolean live;

  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  gst_element_get_state (f.pipeline, NULL, NULL, 10 * GST_SECOND);
  fail_unless (gst_pad_query (pad, query));
  gst_query_parse_latency (query, &live, &min, NULL);
  fail_unless (live);
  fail_unless (min < MS (100), "%" GST_TIME_FORMAT, GST_TIME_ARGS (min));
  end (&f);
}

GST_END_TEST;

/* The leaks tracer, with which these tests run, fails this one if anything stays. */
GST_START_TEST (test_null_to_playing_100_times)
{
  Fixture f = begin ("gemmacaptionbin name=c audiotestsrc is-live=true wave=ticks ! c.sink_audio c.src_audio ! fakesink "
      "videotestsrc is-live=true ! " VIDEO " ! c.sink_video c.src_video ! fakesink c.text ! fakesink async=false");
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint i = 0; i < 100; i++) {
    fail_unless (gst_element_set_state (f.pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
    g_usleep (g_rand_int_range (rand, 0, i % 10 ? 20000 : 500000));
    gst_element_set_state (f.pipeline, GST_STATE_NULL);
  }
  g_autoptr (GstMessage) error = gst_bus_pop_filtered (f.bus, GST_MESSAGE_ERROR);
  fail_unless (error == NULL);
  g_usleep (200000);            /* threads drop their last references just after they were joined */
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_missing_model)
{
  Fixture f = begin ("gemmacaptionbin name=c model=/nonexistent/m.gguf videotestsrc ! c.sink_video c.src_video ! fakesink");

  fail_unless_equals_int (gst_element_set_state (f.pipeline, GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  g_autofree gchar *message = wait_error (f.bus, 1);
  fail_unless (strstr (message, "/nonexistent/m.gguf") != NULL, "%s", message);
  end (&f);
}

GST_END_TEST;

static Suite *
gemmacaptionbin_suite (void)
{
  Suite *s = suite_create ("gemmacaptionbin");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_contract);
  tcase_add_test (tc, test_speech_over_a_picture);
  tcase_add_test (tc, test_picture_alone);
  tcase_add_test (tc, test_mode_text_draws_nothing);
  tcase_add_test (tc, test_mode_cea608);
  tcase_add_test (tc, test_mode_cea708);
  tcase_add_test (tc, test_a_blocked_model_holds_nobody_up);
  tcase_add_test (tc, test_speech_after_the_picture);
  tcase_add_test (tc, test_media_outlive_the_captions);
  tcase_add_test (tc, test_latency_of_the_picture);
  tcase_add_test (tc, test_null_to_playing_100_times);
  tcase_add_test (tc, test_missing_model);
  return s;
}

GST_CHECK_MAIN (gemmacaptionbin);
