/* Frames of video as pictures: matrices of all colorimetries, thumbnails. */
#include "plugin/video-picture.h"

#include <gst/check/gstcheck.h>
#include <math.h>
#include <string.h>

static OclPicture
make_picture (const gchar *text)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (text);
  GstVideoInfo info;
  OclPicture picture;

  fail_unless (gst_video_info_from_caps (&info, caps));
  gemma_picture_init (&picture, &info);
  return picture;
}

/* Values of the standards: Kr, Kb and the ranges of ITU-R BT.601, BT.709 and BT.2020. */
GST_START_TEST (test_matrices)
{
  static const struct { const gchar *colorimetry; gdouble kr, kb; gboolean full; } cases[] = {
    { "bt601", .299, .114, FALSE }, { "bt709", .2126, .0722, FALSE }, { "bt2020", .2627, .0593, FALSE },
    { "1:4:0:0", .299, .114, TRUE }, { "1:3:0:0", .2126, .0722, TRUE }, { "1:6:0:0", .2627, .0593, TRUE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree gchar *text = g_strdup_printf ("video/x-raw,format=%s,width=32,height=24,framerate=1/1,colorimetry=%s",
        i % 2 ? "NV12" : "I420", cases[i].colorimetry);
    const OclPicture p = make_picture (text);
    gdouble kr = cases[i].kr, kb = cases[i].kb, kg = 1. - kr - kb;

    fail_unless_equals_int (p.format, i % 2 ? OCL_PICTURE_NV12 : OCL_PICTURE_I420);
    fail_unless (p.width == 32 && p.height == 24);
    /* Every colour becomes YUV as the standard says, and comes back. */
    for (guint c = 0; c < 8; c++) {
      gdouble rgb[3] = { c & 1, c >> 1 & 1, c >> 2 }, y = kr * rgb[0] + kg * rgb[1] + kb * rgb[2];
      gdouble u = (rgb[2] - y) / (2. * (1. - kb)), v = (rgb[0] - y) / (2. * (1. - kr));
      gdouble bytes[3] = { cases[i].full ? 255. * y : 16. + 219. * y, 128. + (cases[i].full ? 255. : 224.) * u,
        128. + (cases[i].full ? 255. : 224.) * v };

      for (guint k = 0; k < 3; k++) {
        const gfloat *m = p.yuv_to_rgb[k];
        gdouble back = m[0] * bytes[0] + m[1] * bytes[1] + m[2] * bytes[2] + m[3];
        fail_unless (fabs (back - 255. * rgb[k]) < 1e-3, "%s, colour %u: %g instead of %g", cases[i].colorimetry, c, back,
            255. * rgb[k]);
      }
    }
  }
}

GST_END_TEST;

/* What has no colorimetry in its caps: by its height. */
GST_START_TEST (test_default_matrix)
{
  const OclPicture sd = make_picture ("video/x-raw,format=I420,width=640,height=480,framerate=1/1");
  const OclPicture hd = make_picture ("video/x-raw,format=I420,width=1920,height=1080,framerate=1/1");

  fail_unless (fabs (sd.yuv_to_rgb[0][2] - 255. * 2. * (1. - .299) / 224.) < 1e-5);
  fail_unless (fabs (hd.yuv_to_rgb[0][2] - 255. * 2. * (1. - .2126) / 224.) < 1e-5);
}

GST_END_TEST;

GST_START_TEST (test_thumbnails)
{
  static const gchar *const formats[] = { "RGB", "RGBA", "I420", "NV12" };

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree gchar *text = g_strdup_printf ("video/x-raw,format=%s,width=100,height=80,framerate=1/1", formats[i]);
    OclPicture p = make_picture (text);
    g_autofree guint8 *data = g_malloc0 (100 * 80 * 4);
    GemmaThumbnail black, half, white;

    p.plane[0] = data;
    p.stride[0] = p.format == OCL_PICTURE_RGB ? 300 : p.format == OCL_PICTURE_RGBA ? 400 : 100;
    gemma_thumbnail_make (&black, &p);
    memset (data, 255, p.stride[0] * 40);
    gemma_thumbnail_make (&half, &p);
    memset (data, 255, p.stride[0] * 80);
    gemma_thumbnail_make (&white, &p);
    fail_unless (gemma_thumbnail_difference (&black, &black) == 0.);
    fail_unless (gemma_thumbnail_difference (&black, &half) == .5);
    fail_unless (gemma_thumbnail_difference (&white, &black) == 1.);
  }
  /* A single pixel */
  OclPicture dot = make_picture ("video/x-raw,format=RGB,width=1,height=1,framerate=1/1");
  guint8 pixel[] = { 8, 8, 8 };
  GemmaThumbnail thumbnail;
  dot.plane[0] = pixel;
  dot.stride[0] = 3;
  gemma_thumbnail_make (&thumbnail, &dot);
  for (guint i = 0; i < G_N_ELEMENTS (thumbnail.luma); i++)
    fail_unless_equals_int (thumbnail.luma[i], 8);
}

GST_END_TEST;

static Suite *
video_picture_suite (void)
{
  Suite *s = suite_create ("video-picture");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_matrices);
  tcase_add_test (tc, test_default_matrix);
  tcase_add_test (tc, test_thumbnails);
  return s;
}

GST_CHECK_MAIN (video_picture);
