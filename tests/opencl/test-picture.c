/* The picture scaler against PIL, bit by bit (rows, then columns): synthetic pictures of odd sizes, real ones of the package
 * tuxpaint-stamps-default, and colours. */
#include "opencl/picture.h"

#include <gst/check/gstcheck.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define STAMPS "/usr/share/tuxpaint/stamps"

static OclDevice *device;
static OclQueue *queue;
static OclPictureScaler *scaler;

static void
setup (void)
{
  g_autoptr (GError) error = NULL;

  device = ocl_device_open (g_getenv ("GEMMA_DEVICE"), &error);
  g_assert_no_error (error);
  queue = ocl_queue_new (device, &error);
  g_assert_no_error (error);
  scaler = ocl_picture_scaler_new (device);
}

static void
teardown (void)
{
  ocl_queue_free (queue);
  ocl_picture_scaler_free (scaler);
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), 0);
  ocl_device_unref (device);
}

/* The scaled picture as bytes; each float must be a byte / 255. (transfer full) */
static guint8 *
scale (const OclPicture *picture, gint side)
{
  gsize n = 3 * (gsize) side * side;
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *values = g_new (gfloat, n);
  guint8 *bytes = g_malloc (n);
  OclTensor y = ocl_tensor_new (device, side * side, 3, &error);

  g_assert_no_error (error);
  fail_unless (ocl_picture_scale (scaler, queue, y, side, side, picture, &error));
  ocl_tensor_read (queue, y, values);
  fail_unless (ocl_queue_finish (queue, &error), "%s", error ? error->message : "");
  ocl_tensor_clear (device, &y);
  for (gsize i = 0; i < n; i++) {
    bytes[i] = lrintf (values[i] * 255);
    fail_unless (values[i] == bytes[i] * (1.f / 255));
  }
  return bytes;
}

static void
check_hash (const guint8 *bytes, gsize n, const gchar *want, const gchar *what)
{
  g_autofree gchar *got = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes, n);

  fail_unless (g_str_equal (got, want), "%s differs from PIL", what);
}

/* pixels() of tests/golden/picture.py, with other bytes after each row */
static guint8 *
make_pixels (gint width, gint height, gint stride)
{
  guint8 *data = g_malloc ((gsize) stride * height);
  guint32 i = 0;

  memset (data, 0x5a, (gsize) stride * height);
  for (gint y = 0; y < height; y++)
    for (gint x = 0; x < 3 * width; x++, i++) {
      guint32 h = i * 2654435761u;

      h ^= h >> 15;
      h *= 2246822519u;
      data[(gsize) y * stride + x] = (h >> 26) + (x / 3 * 3 + 5 * y + 85 * (x % 3)) % 193;
    }
  return data;
}

static gchar **
read_lines (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (GOLDEN_DIR, name, NULL), *text = NULL;

  fail_unless (g_file_get_contents (path, &text, NULL, NULL), "%s is missing", path);
  return g_strsplit (g_strchomp (text), "\n", -1);
}

GST_START_TEST (test_sizes_equal_pil)
{
  g_auto (GStrv) lines = read_lines ("sizes.txt");

  for (guint i = 0; lines[i]; i++) {
    gint width, height, side;
    gchar hash[65];

    fail_unless_equals_int (sscanf (lines[i], "%d %d %d %64s", &width, &height, &side, hash), 4);
    OclPicture p = { OCL_PICTURE_RGB, width, height, .stride = { 3 * width + (gint) (i % 5) } };
    g_autofree guint8 *data = make_pixels (width, height, p.stride[0]);
    p.plane[0] = data;
    g_autofree guint8 *bytes = scale (&p, side);
    check_hash (bytes, 3 * (gsize) side * side, hash, lines[i]);
  }
}
GST_END_TEST;

/* RGBA of a PNG, as elements get it. */
static GstSample *
decode (const gchar *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch ("filesrc name=f ! pngdec ! videoconvert ! video/x-raw,format=RGBA ! "
      "fakesink name=s sync=false", &error);
  g_assert_no_error (error);
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "f");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "s");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstSample *sample = NULL;

  g_object_set (source, "location", path, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS, "%s cannot be decoded", path);
  g_object_get (sink, "last-sample", &sample, NULL);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return sample;
}

static void
check_stamp (const gchar *path, gint side, const gchar *decoded_hash, const gchar *hash)
{
  g_autoptr (GstSample) sample = decode (path);
  const GstStructure *s = gst_caps_get_structure (gst_sample_get_caps (sample), 0);
  OclPicture p = { OCL_PICTURE_RGBA };
  GstMapInfo map;

  gst_structure_get_int (s, "width", &p.width);
  gst_structure_get_int (s, "height", &p.height);
  fail_unless (gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ));
  fail_unless_equals_uint64 (map.size, 4 * (gsize) p.width * p.height);
  g_autofree guint8 *rgb = g_malloc (map.size);
  for (gsize i = 0; i < map.size / 4; i++)
    memcpy (rgb + 3 * i, map.data + 4 * i, 3);
  check_hash (rgb, map.size / 4 * 3, decoded_hash, path);
  p.plane[0] = map.data;
  p.stride[0] = 4 * p.width;
  g_autofree guint8 *bytes = scale (&p, side);
  check_hash (bytes, 3 * (gsize) side * side, hash, path);
  gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
}

GST_START_TEST (test_real_pictures_equal_pil)
{
  g_auto (GStrv) lines = read_lines ("stamps.txt");

  /* Part of ./check; a build without the package has nothing to compare. */
  if (!g_file_test (STAMPS, G_FILE_TEST_IS_DIR)) {
    g_print ("tuxpaint-stamps-default is not installed\n");
    return;
  }
  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);

    fail_unless_equals_int (g_strv_length (words), 4);
    g_autofree gchar *path = g_build_filename (STAMPS, words[0], NULL);
    check_stamp (path, atoi (words[1]), words[2], words[3]);
  }
}
GST_END_TEST;

/* Limited range BT.709, as most video has it. */
static const gfloat bt709[3][4] = {
  { 1.164384f, 0, 1.792741f, -248.100994f },
  { 1.164384f, -0.213249f, -0.532909f, 76.87808f },
  { 1.164384f, 2.112402f, 0, -289.017566f }
};

GST_START_TEST (test_colours)
{
  /* Y, U, V of white, black, 75 % red, green and blue in BT.709, and a Y beyond white */
  static const struct { guint8 yuv[3], rgb[3]; } colours[] = {
    { { 235, 128, 128 }, { 255, 255, 255 } }, { { 16, 128, 128 }, { 0, 0, 0 } }, { { 51, 109, 212 }, { 191, 0, 1 } },
    { { 133, 63, 52 }, { 0, 191, 0 } }, { { 28, 212, 120 }, { 0, 0, 191 } }, { { 255, 128, 128 }, { 255, 255, 255 } },
  };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (colours); i++) {
    const guint8 *yuv = colours[i / 2].yuv, *rgb = colours[i / 2].rgb;
    g_autofree guint8 *luma = g_malloc (15), *u = g_malloc (12), *v = g_malloc (6);
    OclPicture p = { i % 2 ? OCL_PICTURE_NV12 : OCL_PICTURE_I420, 5, 3, { luma, u, v }, { 5, i % 2 ? 6 : 3, 3 } };

    memcpy (p.yuv_to_rgb, bt709, sizeof bt709);
    memset (luma, yuv[0], 15);
    for (gint k = 0; k < 12; k++)
      u[k] = yuv[i % 2 && k % 2 ? 2 : 1];
    memset (v, yuv[2], 6);
    g_autofree guint8 *bytes = scale (&p, 32);
    /* A byte of YUV is worth up to 2 of RGB. */
    for (gsize k = 0; k < 32 * 32 * 3; k++)
      fail_unless (ABS (bytes[k] - rgb[k % 3]) <= 2, "colour %u: %d instead of %d", i / 2, bytes[k], rgb[k % 3]);
  }
}
GST_END_TEST;

GST_START_TEST (test_bad_pictures)
{
  guint8 data[16] = { 0 };
  const OclPicture bad[] = {
    { OCL_PICTURE_RGB, 0, 1, { data }, { 16 } }, { OCL_PICTURE_RGB, 1, -1, { data }, { 16 } },
    { OCL_PICTURE_RGB, 32768, 1, { data }, { 1 << 20 } }, { OCL_PICTURE_RGBA, 2, 2, { data }, { 7 } },
    { OCL_PICTURE_RGB, 2, 2, { NULL }, { 8 } }, { OCL_PICTURE_I420, 2, 2, { data, data }, { 2, 1, 1 } },
    { OCL_PICTURE_NV12, 3, 2, { data, data }, { 3, 3 } }, { 17, 1, 1, { data }, { 16 } },
  };
  OclTensor y = ocl_tensor_new (device, 4, 3, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    fail_if (ocl_picture_scale (scaler, queue, y, 2, 2, &bad[i], &error), "picture %u", i);
    fail_unless (g_error_matches (error, OCL_ERROR, OCL_ERROR_FAILED));
    fail_if (ocl_queue_failed (queue));
  }
  g_autoptr (GError) error = NULL;
  OclPicture good = { OCL_PICTURE_RGB, 2, 2, { data }, { 6 } };
  fail_if (ocl_picture_scale (scaler, queue, y, 3, 2, &good, &error));
  ocl_fault_inject ("alloc:1");
  g_clear_error (&error);
  fail_if (ocl_picture_scale (scaler, queue, y, 2, 2, &good, &error));
  fail_unless (g_error_matches (error, OCL_ERROR, OCL_ERROR_OUT_OF_MEMORY));
  ocl_fault_inject (NULL);
  fail_unless (ocl_picture_scale (scaler, queue, y, 2, 2, &good, NULL));
  fail_unless (ocl_queue_finish (queue, NULL));
  ocl_tensor_clear (device, &y);
}
GST_END_TEST;

static Suite *
picture_suite (void)
{
  Suite *suite = suite_create ("opencl_picture");
  TCase *tests = tcase_create ("picture");

  suite_add_tcase (suite, tests);
  tcase_add_checked_fixture (tests, setup, teardown);
  tcase_set_timeout (tests, 300);
  tcase_add_test (tests, test_sizes_equal_pil);
  tcase_add_test (tests, test_real_pictures_equal_pil);
  tcase_add_test (tests, test_colours);
  tcase_add_test (tests, test_bad_pictures);
  return suite;
}

GST_CHECK_MAIN (picture);
