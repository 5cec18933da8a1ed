/* The picture scaler; everything is exact, in every variant. */
#include "checkkernels.h"

#include "opencl/picture.h"

static const gfloat bt601[3][4] = {
  { 1.164384f, 0, 1.596027f, -222.921562f },
  { 1.164384f, -0.391762f, -0.812968f, 135.575312f },
  { 1.164384f, 2.017232f, 0, -276.836f }
};

/* A plane of random bytes with more bytes after each row, which differ from variant to variant: they must not matter. */
static void
make_plane (Check *c, OclPicture *p, gint plane, gint bytes, gint rows)
{
  gint stride = bytes + check_int (c, 0, 1) * check_int (c, 1, 40);
  guint8 *data = check_keep (c, g_malloc ((gsize) rows * stride), g_free);
  guint32 state = check_int (c, 1, G_MAXINT - 1);
  guint8 other = g_str_hash (check_variant (c));

  for (gint y = 0; y < rows; y++)
    for (gint x = 0; x < stride; x++) {
      state = state * 1664525 + 1013904223;
      data[(gsize) y * stride + x] = x < bytes ? state >> 24 : other;
    }
  p->plane[plane] = data;
  p->stride[plane] = stride;
}

static OclPicture
make_picture (Check *c, OclPictureFormat format, gint width, gint height)
{
  OclPicture p = { .format = format, .width = width, .height = height };
  gint cw = (width + 1) / 2, ch = (height + 1) / 2;

  for (gint i = 0; i < 3; i++)
    for (gint j = 0; j < 4; j++)
      p.yuv_to_rgb[i][j] = bt601[i][j];
  switch (format) {
    case OCL_PICTURE_RGB:
    case OCL_PICTURE_RGBA:
      make_plane (c, &p, 0, (format == OCL_PICTURE_RGB ? 3 : 4) * width, height);
      break;
    case OCL_PICTURE_I420:
      make_plane (c, &p, 0, width, height);
      make_plane (c, &p, 1, cw, ch);
      make_plane (c, &p, 2, cw, ch);
      break;
    case OCL_PICTURE_NV12:
      make_plane (c, &p, 0, width, height);
      make_plane (c, &p, 1, 2 * cw, ch);
      break;
  }
  return p;
}

static void
run (Check *c, OclPictureScaler *scaler, OclTensor y, gint width, gint height, const OclPicture *p)
{
  g_autoptr (GError) error = NULL;

  if (!ocl_picture_scale (scaler, check_queue (c), y, width, height, p, &error))
    check_fail (c, "%s", error->message);
}

/* Two pictures through one scaler, as a stream that changes its format and size. */
static void
check_picture (Check *c)
{
  static const gint sides[][2] = { { 1, 1 }, { 1, 300 }, { 300, 1 }, { 3000, 2 }, { 2, 3000 }, { 32767, 1 } };
  OclPictureScaler *scaler = ocl_picture_scaler_new (check_device (c));
  guint number = check_case (c);
  gint width = check_int (c, 1, 200), height = check_int (c, 1, 100);

  check_keep (c, scaler, (GDestroyNotify) ocl_picture_scaler_free);
  for (guint i = 0; i < 2; i++) {
    gboolean given = i == 0 && number / 4 < G_N_ELEMENTS (sides);
    OclPicture p = make_picture (c, (number + i) % 4, given ? sides[number / 4][0] : check_int (c, 1, 400),
        given ? sides[number / 4][1] : check_int (c, 1, 200));
    OclTensor y = check_output (c, height * width, 3);

    check_describe (c, "picture %u: %d x %d to %d x %d, format %d", i, p.width, p.height, width, height, p.format);
    run (c, scaler, y, width, height, &p);
    check_result (c, y, 0, 0);
  }
}

static void
bench_picture (Check *c)
{
  static const gchar *const names[] = { "RGB", "RGBA", "I420", "NV12" };
  OclPictureScaler *scaler = ocl_picture_scaler_new (check_device (c));
  OclTensor y = check_dense (c, 768 * 768, 3, 0, 0);

  check_keep (c, scaler, (GDestroyNotify) ocl_picture_scaler_free);
  for (gint format = 0; format < 4; format++) {
    OclPicture p = make_picture (c, format, 1920, 1080);

    for (gint side = 256; side <= 768; side += 512) {
      g_autofree gchar *label = g_strdup_printf ("1920x1080 %s to %d", names[format], side);
      OclTensor view = ocl_tensor_rows (y, 0, side * side);

      check_bench (c, label, 1920. * 1080 * 3, 0)
        run (c, scaler, view, side, side, &p);
    }
  }
}

const CheckOp check_ops_picture[] = {
  { "picture_rows", 40, check_picture, bench_picture },
  { "picture_columns", 40, check_picture, bench_picture },
  { NULL }
};
