#include "util.h"

#include <gst/gemma/gemma.h>
#include <gst/video/video.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/model.h"
#include "tests/relative-error.h"
#include "vision-model.h"

#define FPS 10
#define TOKENS (GEMMA_VISION_TOKENS * VISION_MODEL_HIDDEN)
#define CAPS "video/x-raw, format=(string)%s, width=(int)%d, height=(int)%d, framerate=(fraction)10/1"

typedef struct
{
  GstHarness *harness;
  GstElement *element;
  Collector *out;
} Fixture;

/* The harness is a live source: without @qos no frame is dropped, and a push waits instead. */
static Fixture
begin_as (const gchar *activations, const gchar *weights, gboolean qos, const gchar *format, gint width, gint height)
{
  Fixture f;
  g_autofree gchar *caps = g_strdup_printf (CAPS, format, width, height);

  f.element = gst_element_factory_make ("gemmavisionenc", NULL);
  g_object_set (f.element, "model", vision_model_path (), "qos", qos, "weights", weights, NULL);
  gst_util_set_object_arg (G_OBJECT (f.element), "activations", activations);
  f.harness = gst_harness_new_with_element (f.element, "sink", "src");
  gst_object_unref (f.element); /* the harness holds it */
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.element, "src");
  f.out = collector_new (src);
  gst_harness_set_src_caps_str (f.harness, caps);
  return f;
}

static Fixture
begin (gboolean qos, const gchar *format, gint width, gint height)
{
  return begin_as ("f32", "auto", qos, format, width, height);
}

static void
end (Fixture *f)
{
  gst_harness_teardown (f->harness);
  collector_free (f->out);
}

static void
finish (Fixture *f)
{
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  collector_wait_eos (f->out, 60);
}

/* A grey picture with a bright square at @position, 0 to 15. */
static GstBuffer *
make_frame (const gchar *format, gint width, gint height, gint position, GstClockTime pts)
{
  static const guint8 grey[] = { 60, 60, 60, 255 }, bright[] = { 200, 200, 200, 255 };
  gint size = g_str_equal (format, "RGB") ? 3 : 4;
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, (gsize) width * height * size, NULL);
  GstMapInfo map;

  g_assert (width * size % 4 == 0);     /* rows are padded to 4 bytes */
  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gint y = 0; y < height; y++)
    for (gint x = 0; x < width; x++) {
      gboolean inside = x * 4 / width == position % 4 && y * 4 / height == position / 4;
      memcpy (map.data + ((gsize) y * width + x) * size, inside ? bright : grey, size);
    }
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = GST_SECOND / FPS;
  return buffer;
}

static void
push_frame (Fixture *f, gint position, guint n)
{
  fail_unless_equals_int (gst_harness_push (f->harness, make_frame ("RGB", 64, 48, position, n * GST_SECOND / FPS)),
      GST_FLOW_OK);
}

static void
check_stats (GstElement *element, guint frames, guint encoded, guint dropped, guint skipped, guint unchanged)
{
  fail_unless_equals_uint64 (get_stat (element, "frames"), frames);
  fail_unless_equals_uint64 (get_stat (element, "encoded"), encoded);
  fail_unless_equals_uint64 (get_stat (element, "dropped"), dropped);
  fail_unless_equals_uint64 (get_stat (element, "skipped"), skipped);
  fail_unless_equals_uint64 (get_stat (element, "unchanged"), unchanged);
}

/* Norm of the difference over the norm of the first, of two buffers of tokens. */
static gdouble
get_difference (GstBuffer *a, GstBuffer *b)
{
  GstMapInfo x, y;
  gdouble error;

  fail_unless (a && b);
  gst_buffer_map (a, &x, GST_MAP_READ);
  gst_buffer_map (b, &y, GST_MAP_READ);
  fail_unless_equals_uint64 (x.size, TOKENS * sizeof (gfloat));
  fail_unless_equals_uint64 (y.size, x.size);
  error = relative_error ((gfloat *) y.data, (gfloat *) x.data, TOKENS);
  gst_buffer_unmap (a, &x);
  gst_buffer_unmap (b, &y);
  return error;
}

GST_START_TEST (test_caps_and_times)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);
  guint hidden, n;
  gint fps_n, fps_d;

  for (guint i = 0; i < 3; i++)
    push_frame (&f, i, i);
  finish (&f);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (f.harness->sinkpad);
  fail_unless (gst_gemma_soft_token_caps_parse (caps, &hidden, &n));
  fail_unless_equals_int (hidden, VISION_MODEL_HIDDEN);
  fail_unless_equals_int (n, 256);
  fail_unless (gst_structure_get_fraction (gst_caps_get_structure (caps, 0), "framerate", &fps_n, &fps_d));
  fail_unless (fps_n == FPS && fps_d == 1);

  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 3);
  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer = collector_get_buffer (f.out, i);
    fail_unless_equals_uint64 (gst_buffer_get_size (buffer), TOKENS * sizeof (gfloat));
    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), i * MS (100));
    fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer), MS (100));
  }
  check_stats (f.element, 3, 3, 0, 0, 0);
  end (&f);
}

GST_END_TEST;

/* Each nick of activations and what the library calls it, and weights. */
static const struct
{
  const gchar *nick;
  OclMatmulFlags flags;
  const gchar *weights;
} forms[] = { { "f32", OCL_MATMUL_F32_ACTIVATIONS, "auto" }, { "int16", OCL_MATMUL_INT16, "auto" },
  { "int8", OCL_MATMUL_INT8_ACTIVATIONS, "auto" }, { "f32", OCL_MATMUL_F32_ACTIVATIONS, "q8_0" } };

/* The tokens are those that the library makes of the picture. */
GST_START_TEST (test_tokens_of_the_library)
{
  const GemmaModelForm form = { NULL, forms[__i__].flags, forms[__i__].weights };
  Fixture f = begin_as (forms[__i__].nick, forms[__i__].weights, FALSE, "RGB", 64, 48);
  g_autoptr (GstBuffer) frame = make_frame ("RGB", 64, 48, 5, 0);
  g_autofree gfloat *rows = g_new (gfloat, TOKENS);
  g_autoptr (GError) error = NULL;
  GstMapInfo map;

  g_object_set (f.element, "resolution", 512, NULL);
  gst_harness_push (f.harness, gst_buffer_ref (frame));
  finish (&f);

  OclDevice *device = ocl_device_open (NULL, &error);
  GemmaModel *model = gemma_model_load_as (vision_model_path (), NULL, &form, device, GEMMA_PART_VISION, NULL, NULL, NULL,
      &error);
  fail_unless (model != NULL, "%s", error ? error->message : "");
  GemmaVisionSession *session = gemma_vision_session_new (gemma_model_get_vision (model), &error);
  gst_buffer_map (frame, &map, GST_MAP_READ);
  OclPicture picture = { OCL_PICTURE_RGB, 64, 48, { map.data }, { 192 } };
  fail_unless (gemma_vision_session_encode (session, &picture, 512, rows, NULL, &error));
  gst_buffer_unmap (frame, &map);
  fail_unless (gst_buffer_memcmp (collector_get_buffer (f.out, 0), 0, rows, TOKENS * sizeof (gfloat)) == 0);
  gemma_vision_session_free (session);
  gemma_model_unref (model);
  ocl_device_unref (device);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_interval)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);

  g_object_set (f.element, "interval", (guint64) GST_SECOND, NULL);
  for (guint i = 0; i < 25; i++)
    push_frame (&f, i % 16, i);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 3);
  for (guint i = 0; i < 3; i++)
    fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, i)), i * GST_SECOND);
  collector_check_coverage (f.out, 0, MS (2500), 0);    /* GAPs for the rest */
  check_stats (f.element, 25, 3, 0, 22, 0);
  end (&f);
}

GST_END_TEST;

/* The interval is of stream time, the rate of running time: they differ where the segment says so. */
GST_START_TEST (test_max_rate_counts_running_time)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.rate = 2.;            /* 20 frames are a second of running time */
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  g_object_set (f.element, "max-rate", 4, 1, NULL);
  for (guint i = 0; i < 20; i++)
    push_frame (&f, i % 16, i);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 4);
  for (guint i = 0; i < 4; i++)
    fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, i)), i * MS (500));
  check_stats (f.element, 20, 4, 0, 16, 0);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_on_change)
{
  static const guint8 positions[] = { 3, 3, 3, 9, 9, 3, 3 };
  Fixture f = begin (FALSE, "RGB", 64, 48);

  /* A sixteenth of the picture moves by 140 of 255 in two places: a difference of 0.069. */
  g_object_set (f.element, "on-change", TRUE, "change-threshold", 0.06f, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (positions); i++)
    push_frame (&f, positions[i], i);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 3);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 1)), MS (300));
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 2)), MS (500));
  collector_check_coverage (f.out, 0, MS (700), 0);
  check_stats (f.element, 7, 3, 0, 0, 4);
  end (&f);

  f = begin (FALSE, "RGB", 64, 48);
  g_object_set (f.element, "on-change", TRUE, "change-threshold", 0.08f, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (positions); i++)
    push_frame (&f, positions[i], i);
  finish (&f);
  check_stats (f.element, 7, 1, 0, 0, 6);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_resolution_while_playing)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);
  gint resolution;

  gst_util_set_object_arg (G_OBJECT (f.element), "resolution", "512");  /* as in a gst-launch line */
  g_object_get (f.element, "resolution", &resolution, NULL);
  fail_unless_equals_int (resolution, 512);
  gst_util_set_object_arg (G_OBJECT (f.element), "max-rate", "1/2");
  gst_util_set_object_arg (G_OBJECT (f.element), "max-rate", "0");
  g_object_set (f.element, "resolution", 256, "on-change", TRUE, NULL);
  for (guint i = 0; i < 3; i++) {
    push_frame (&f, 6, i);
    while (get_stat (f.element, "encoded") < i + 1)
      g_usleep (10000);
    g_object_set (f.element, "resolution", i ? 256 : 512, NULL);
  }
  finish (&f);
  /* The same picture is another one at another resolution. */
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 3);
  fail_unless (get_difference (collector_get_buffer (f.out, 0), collector_get_buffer (f.out, 1)) > 1e-3);
  fail_unless (get_difference (collector_get_buffer (f.out, 0), collector_get_buffer (f.out, 2)) == 0.);
  end (&f);
}

GST_END_TEST;

/* Fills a frame of any format with blocks of colours, whose chroma is constant over 2 x 2 pixels. */
static GstBuffer *
make_colours (GstVideoInfo *info)
{
  /* R, G, B, and Y, U, V in BT.601, limited range */
  static const guint8 colours[][6] = {
    { 180, 16, 16, 72, 104, 200 }, { 16, 180, 16, 112, 80, 68 }, { 16, 16, 180, 46, 200, 116 }, { 128, 128, 128, 126, 128, 128 },
    { 235, 235, 16, 196, 32, 144 }, { 255, 255, 255, 235, 128, 128 }, { 0, 0, 0, 16, 128, 128 },
  };
  gboolean yuv = GST_VIDEO_INFO_IS_YUV (info);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);
  GstVideoFrame frame;

  gst_buffer_memset (buffer, 0, 0xff, -1);
  fail_unless (gst_video_frame_map (&frame, info, buffer, GST_MAP_WRITE));
  for (guint c = 0; c < 3; c++) {
    guint8 *data = GST_VIDEO_FRAME_COMP_DATA (&frame, c);
    gint step = GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c), half = yuv && c ? 2 : 1;
    for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&frame, c); y++)
      for (gint x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH (&frame, c); x++)
        data[y * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c) + x * step] =
            colours[(x * half / 8 + 3 * (y * half / 8)) % G_N_ELEMENTS (colours)][yuv ? 3 + c : c];
  }
  gst_video_frame_unmap (&frame);
  GST_BUFFER_PTS (buffer) = 0;
  return buffer;
}

GST_START_TEST (test_formats_give_the_same_tokens)
{
  static const gchar *const formats[] = { "RGB", "RGBA", "I420", "NV12" };
  Fixture f = begin (FALSE, "RGB", 64, 48);
  GstBuffer *tokens[G_N_ELEMENTS (formats)];

  /* One stream that changes its format, too. An odd size has chroma for half a pixel at its edges. */
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree gchar *text = g_strdup_printf (CAPS ", colorimetry=(string)%s", formats[i], 101, 75, i < 2 ? "sRGB" : "bt601");
    g_autoptr (GstCaps) caps = gst_caps_from_string (text);
    GstVideoInfo info;
    gst_video_info_from_caps (&info, caps);
    gst_harness_set_src_caps (f.harness, g_steal_pointer (&caps));
    fail_unless_equals_int (gst_harness_push (f.harness, make_colours (&info)), GST_FLOW_OK);
  }
  finish (&f);
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    tokens[i] = collector_get_buffer (f.out, i);
  fail_unless (get_difference (tokens[0], tokens[1]) == 0.);
  fail_unless (get_difference (tokens[2], tokens[3]) == 0.);
  /* A byte of YUV is up to 2 of RGB: pixels are off by 1/255 or so, of a contrast of 0.4. */
  fail_unless (get_difference (tokens[0], tokens[2]) < 0.03, "%g", get_difference (tokens[0], tokens[2]));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_strides_of_video_meta)
{
  Fixture f = begin (FALSE, "I420", 64, 48);
  GstVideoInfo info, wide;
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0, 128 * 50, 128 * 50 + 96 * 24 };
  gint stride[GST_VIDEO_MAX_PLANES] = { 128, 96, 80 };

  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_I420, 64, 48);
  wide = info;
  for (guint i = 0; i < 3; i++) {
    wide.offset[i] = offset[i];
    wide.stride[i] = stride[i];
  }
  wide.size = 128 * 50 + 96 * 24 + 80 * 24;
  gst_harness_push (f.harness, make_colours (&info));
  GstBuffer *padded = make_colours (&wide);
  gst_buffer_add_video_meta_full (padded, 0, GST_VIDEO_FORMAT_I420, 64, 48, 3, offset, stride);
  gst_harness_push (f.harness, padded);
  finish (&f);
  fail_unless (get_difference (collector_get_buffer (f.out, 0), collector_get_buffer (f.out, 1)) == 0.);

  g_autofree gchar *text = g_strdup_printf (CAPS, "I420", 64, 48);
  g_autoptr (GstCaps) caps = gst_caps_from_string (text);
  GstQuery *query = gst_query_new_allocation (caps, TRUE);
  fail_unless (gst_pad_peer_query (f.harness->srcpad, query));
  fail_unless (gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL));
  gst_query_unref (query);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_caps_change)
{
  static const struct { gint width, height; } sizes[] = { { 64, 48 }, { 4, 2 }, { 8192, 8 }, { 64, 1000 } };
  Fixture f = begin (FALSE, "RGBA", 64, 48);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree gchar *caps = g_strdup_printf (CAPS, "RGBA", sizes[i].width, sizes[i].height);
    gst_harness_set_src_caps_str (f.harness, caps);
    gst_harness_push (f.harness, make_frame ("RGBA", sizes[i].width, sizes[i].height, 5, i * MS (100)));
  }
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), G_N_ELEMENTS (sizes));
  /* The same picture in any size but the one of few pixels; its edges are of another sharpness. */
  fail_unless (get_difference (collector_get_buffer (f.out, 0), collector_get_buffer (f.out, 3)) < 0.3);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_bad_caps)
{
  static const gchar *const bad[] = {
    "video/x-raw, format=RGB, width=0, height=0, framerate=10/1",
    "video/x-raw, format=RGB, width=65535, height=65535, framerate=10/1",
    "video/x-raw, format=RGB, width=32768, height=2, framerate=10/1",
    "video/x-raw, format=GRAY8, width=64, height=48, framerate=10/1",
    "video/x-raw(memory:DMABuf), format=RGB, width=64, height=48, framerate=10/1",
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    Fixture f = begin (FALSE, "RGB", 64, 48);
    gst_harness_set_src_caps_str (f.harness, bad[i]);
    fail_unless_equals_int (gst_harness_push (f.harness, gst_buffer_new_allocate (NULL, 16, NULL)), GST_FLOW_NOT_NEGOTIATED);
    end (&f);
  }
}

GST_END_TEST;

GST_START_TEST (test_short_buffer)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);
  g_autoptr (GstBus) bus = gst_bus_new ();

  gst_element_set_bus (f.element, bus);
  gst_harness_push (f.harness, gst_buffer_new_allocate (NULL, 64 * 48 * 3 - 1, NULL));
  g_autofree gchar *message = wait_error (bus, 60);
  fail_unless (strstr (message, "9215 bytes") && strstr (message, "64 x 48"), "%s", message);
  GstFlowReturn flow = GST_FLOW_OK;
  while (flow == GST_FLOW_OK)   /* the task stops just after the message */
    flow = gst_harness_push (f.harness, make_frame ("RGB", 64, 48, 0, 0));
  fail_unless_equals_int (flow, GST_FLOW_ERROR);
  gst_element_set_bus (f.element, NULL);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_wrong_segment)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstSegment segment;

  gst_element_set_bus (f.element, bus);
  gst_segment_init (&segment, GST_FORMAT_BYTES);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  g_autofree gchar *message = wait_error (bus, 5);
  fail_unless (strstr (message, "bytes") != NULL);
  gst_element_set_bus (f.element, NULL);
  end (&f);
}

GST_END_TEST;

static guint
count_messages (GstBus *bus, GstMessageType type)
{
  GstMessage *message;
  guint n = 0;

  while ((message = gst_bus_pop_filtered (bus, type))) {
    n++;
    gst_message_unref (message);
  }
  return n;
}

/* Frames come much faster than they are encoded: the first and the last are, and few between. */
GST_START_TEST (test_live_drops_all_but_the_newest)
{
  Fixture f = begin (TRUE, "RGB", 64, 48);
  g_autoptr (GstBus) bus = gst_bus_new ();
  const guint n = 200;
  GstEvent *event;
  guint n_qos = 0;

  gst_element_set_bus (f.element, bus);
  g_object_set (f.element, "resolution", 768, NULL);
  Watch watch = watch_begin ();
  for (guint i = 0; i < n; i++)
    push_frame (&f, i % 16, i);
  /* Upstream never waits: 200 frames would take many seconds. */
  fail_unless (watch_get (&watch) < 2 * G_USEC_PER_SEC);
  finish (&f);

  guint encoded = collector_count (f.out, TRUE, 0);
  guint64 dropped = get_stat (f.element, "dropped");
  fail_unless (encoded >= 1 && encoded <= n / 4, "%u encoded", encoded);
  check_stats (f.element, n, encoded, n - encoded, 0, 0);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, encoded - 1)), (n - 1) * MS (100));
  collector_check_coverage (f.out, 0, n * MS (100), 0);
  fail_unless (collector_count (f.out, FALSE, GST_EVENT_GAP) <= encoded + 1);   /* they are joined */

  fail_unless_equals_uint64 (count_messages (bus, GST_MESSAGE_QOS), dropped);
  while ((event = gst_harness_try_pull_upstream_event (f.harness))) {
    n_qos += GST_EVENT_TYPE (event) == GST_EVENT_QOS;
    gst_event_unref (event);
  }
  fail_unless_equals_uint64 (n_qos, dropped);
  gst_element_set_bus (f.element, NULL);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_file_drops_nothing)
{
  g_autofree gchar *description = g_strdup_printf ("videotestsrc num-buffers=12 ! video/x-raw,width=320,height=240 ! "
      "gemmavisionenc name=e model=%s resolution=512 ! fakesink", vision_model_path ());
  GstElement *pipeline = launch_pipeline (description);
  g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (pipeline), "e");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 100 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  check_stats (element, 12, 12, 0, 0, 0);
  fail_unless (get_stat (element, "encode-time") > 0);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GST_END_TEST;

/* A sink that is behind says until when frames are of no use. */
GST_START_TEST (test_late_sink)
{
  Fixture f = begin (TRUE, "RGB", 64, 48);

  push_frame (&f, 0, 0);
  while (get_stat (f.element, "encoded") < 1)
    g_usleep (10000);
  gst_harness_push_upstream_event (f.harness, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2., MS (100), MS (100)));
  push_frame (&f, 1, 2);        /* 200 ms, before 100 + 2 * 100 */
  while (get_stat (f.element, "dropped") < 1)
    g_usleep (10000);
  push_frame (&f, 2, 3);
  finish (&f);
  check_stats (f.element, 3, 2, 1, 0, 0);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 1)), MS (300));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_latency)
{
  Fixture f = begin (TRUE, "RGB", 64, 48);
  g_autoptr (GstBus) bus = gst_bus_new ();

  gst_element_set_bus (f.element, bus);
  gst_harness_set_upstream_latency (f.harness, MS (40));
  push_frame (&f, 0, 0);
  while (get_stat (f.element, "encoded") < 1)
    g_usleep (10000);
  /* At least the time of one frame; the application is told that it has changed. */
  fail_unless (gst_harness_query_latency (f.harness) >= MS (40) + get_stat (f.element, "encode-time"));
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 5 * GST_SECOND, GST_MESSAGE_LATENCY);
  fail_unless (message != NULL);
  gst_element_set_bus (f.element, NULL);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_missing_times)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = MS (5000);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  gst_harness_push (f.harness, make_frame ("RGB", 64, 48, 0, MS (1000)));       /* before the segment */
  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer = make_frame ("RGB", 64, 48, i, i == 1 ? MS (7000) : GST_CLOCK_TIME_NONE);
    GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_NONE;
    gst_harness_push (f.harness, buffer);
  }
  finish (&f);
  static const GstClockTime expected[] = { MS (5000), MS (7000), MS (7100) };
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 3);
  for (guint i = 0; i < 3; i++) {
    fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, i)), expected[i]);
    fail_unless_equals_uint64 (GST_BUFFER_DURATION (collector_get_buffer (f.out, i)), MS (100));
  }
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_gap_and_discont_pass)
{
  Fixture f = begin (FALSE, "RGB", 64, 48);
  GstBuffer *buffer = make_frame ("RGB", 64, 48, 1, MS (600));

  push_frame (&f, 0, 0);
  gst_harness_push_event (f.harness, gst_event_new_gap (MS (100), MS (500)));
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (f.harness, buffer);
  push_frame (&f, 0, 7);
  finish (&f);
  collector_check_coverage (f.out, 0, MS (800), 0);
  fail_unless (GST_BUFFER_FLAG_IS_SET (collector_get_buffer (f.out, 1), GST_BUFFER_FLAG_DISCONT));
  fail_if (GST_BUFFER_FLAG_IS_SET (collector_get_buffer (f.out, 2), GST_BUFFER_FLAG_DISCONT));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_flush_forgets)
{
  Fixture f = begin (TRUE, "RGB", 64, 48);
  GstSegment segment;

  g_object_set (f.element, "resolution", 768, "interval", (guint64) 3600 * GST_SECOND, NULL);
  for (guint i = 0; i < 5; i++)
    push_frame (&f, i, i);
  Watch watch = watch_begin ();
  gst_harness_push_event (f.harness, gst_event_new_flush_start ());
  /* A block of the network ends; a whole frame may take longer than this on a busy machine. */
  fail_unless (watch_get (&watch) < 3 * G_USEC_PER_SEC);
  gst_harness_push_event (f.harness, gst_event_new_flush_stop (TRUE));
  guint before = collector_count (f.out, TRUE, 0);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  push_frame (&f, 0, 70);       /* the interval begins anew */
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), before + 1);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, before)), MS (7000));
  fail_unless (GST_BUFFER_FLAG_IS_SET (collector_get_buffer (f.out, before), GST_BUFFER_FLAG_DISCONT));
  end (&f);
}

GST_END_TEST;

/* The frame that came last before EOS leaves, even if the model is still loading then. */
GST_START_TEST (test_eos_while_loading)
{
  g_object_set (gst_gemma_model_store_get_default (), "linger", 0, NULL);
  Fixture f = begin (TRUE, "RGB", 64, 48);

  push_frame (&f, 0, 0);
  push_frame (&f, 1, 1);
  finish (&f);
  guint n = collector_count (f.out, TRUE, 0);
  fail_unless (n >= 1);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, n - 1)), MS (100));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_model_without_pictures)
{
  g_autofree gchar *content = NULL;
  gsize size;
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmavisionenc", NULL));

  fail_unless (g_file_get_contents (get_model (), &content, &size, NULL));
  g_autofree gchar *alone = write_file ("alone.gguf", content, size);
  g_object_set (element, "model", alone, NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "picture encoder");
  g_object_set (element, "model", "/nonexistent/model.gguf", NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/nonexistent/model.gguf");
}

GST_END_TEST;

static Suite *
gemmavisionenc_suite (void)
{
  Suite *s = suite_create ("gemmavisionenc");
  TCase *tc = tcase_create ("general");

  vision_model_path ();         /* before the tests fork */
  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_caps_and_times);
  tcase_add_loop_test (tc, test_tokens_of_the_library, 0, G_N_ELEMENTS (forms));
  tcase_add_test (tc, test_interval);
  tcase_add_test (tc, test_max_rate_counts_running_time);
  tcase_add_test (tc, test_on_change);
  tcase_add_test (tc, test_resolution_while_playing);
  tcase_add_test (tc, test_formats_give_the_same_tokens);
  tcase_add_test (tc, test_strides_of_video_meta);
  tcase_add_test (tc, test_caps_change);
  tcase_add_test (tc, test_bad_caps);
  tcase_add_test (tc, test_short_buffer);
  tcase_add_test (tc, test_wrong_segment);
  tcase_add_test (tc, test_live_drops_all_but_the_newest);
  tcase_add_test (tc, test_file_drops_nothing);
  tcase_add_test (tc, test_late_sink);
  tcase_add_test (tc, test_latency);
  tcase_add_test (tc, test_missing_times);
  tcase_add_test (tc, test_gap_and_discont_pass);
  tcase_add_test (tc, test_flush_forgets);
  tcase_add_test (tc, test_eos_while_loading);
  tcase_add_test (tc, test_model_without_pictures);
  return s;
}

GST_CHECK_MAIN (gemmavisionenc);
