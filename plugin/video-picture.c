#include "video-picture.h"

#define SAMPLES 4               /* a cell of a thumbnail, in each direction */
#define GRID (SAMPLES * GEMMA_THUMBNAIL_SIDE)

static OclPictureFormat
get_format (const GstVideoInfo *info)
{
  switch (GST_VIDEO_INFO_FORMAT (info)) {
    case GST_VIDEO_FORMAT_RGBA:
      return OCL_PICTURE_RGBA;
    case GST_VIDEO_FORMAT_I420:
      return OCL_PICTURE_I420;
    case GST_VIDEO_FORMAT_NV12:
      return OCL_PICTURE_NV12;
    default:
      return OCL_PICTURE_RGB;
  }
}

/* R, G, B = luma + factors * (Cb, Cr), where luma is 0 to 1 and chroma -0.5 to 0.5. */
static void
set_matrix (gfloat m[3][4], const GstVideoInfo *info)
{
  gint offset[GST_VIDEO_MAX_COMPONENTS], scale[GST_VIDEO_MAX_COMPONENTS];
  gdouble kr, kb;

  if (!gst_video_color_matrix_get_Kr_Kb (info->colorimetry.matrix, &kr, &kb))
    gst_video_color_matrix_get_Kr_Kb (GST_VIDEO_COLOR_MATRIX_BT601, &kr, &kb);
  gst_video_color_range_offsets (info->colorimetry.range, info->finfo, offset, scale);

  const gdouble kg = 1. - kr - kb;
  const gdouble factors[3][3] = {
    { 1., 0., 2. * (1. - kr) },
    { 1., -2. * kb * (1. - kb) / kg, -2. * kr * (1. - kr) / kg },
    { 1., 2. * (1. - kb), 0. },
  };
  for (gint c = 0; c < 3; c++) {
    gdouble constant = 0.;
    for (gint i = 0; i < 3; i++) {
      m[c][i] = 255. * factors[c][i] / scale[i];
      constant -= 255. * factors[c][i] / scale[i] * offset[i];
    }
    m[c][3] = constant;
  }
}

void
gemma_picture_init (OclPicture *picture, const GstVideoInfo *info)
{
  *picture = (OclPicture) { get_format (info), GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info) };
  if (GST_VIDEO_INFO_IS_YUV (info))
    set_matrix (picture->yuv_to_rgb, info);
}

void
gemma_picture_set_frame (OclPicture *picture, const GstVideoFrame *frame)
{
  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES (frame) && i < G_N_ELEMENTS (picture->plane); i++) {
    picture->plane[i] = GST_VIDEO_FRAME_PLANE_DATA (frame, i);
    picture->stride[i] = GST_VIDEO_FRAME_PLANE_STRIDE (frame, i);
  }
}

static guint
get_luma (const OclPicture *p, gint x, gint y)
{
  const guint8 *row = p->plane[0] + (gssize) y * p->stride[0];

  if (p->format == OCL_PICTURE_I420 || p->format == OCL_PICTURE_NV12)
    return row[x];
  row += x * (p->format == OCL_PICTURE_RGB ? 3 : 4);
  return (2 * row[0] + 5 * row[1] + row[2]) / 8;
}

void
gemma_thumbnail_make (GemmaThumbnail *thumbnail, const OclPicture *picture)
{
  guint sums[GEMMA_THUMBNAIL_SIDE * GEMMA_THUMBNAIL_SIDE] = { 0, };

  for (gint i = 0; i < GRID; i++) {
    gint y = (2 * i + 1) * (gint64) picture->height / (2 * GRID);
    for (gint k = 0; k < GRID; k++) {
      gint x = (2 * k + 1) * (gint64) picture->width / (2 * GRID);
      sums[i / SAMPLES * GEMMA_THUMBNAIL_SIDE + k / SAMPLES] += get_luma (picture, x, y);
    }
  }
  for (guint i = 0; i < G_N_ELEMENTS (sums); i++)
    thumbnail->luma[i] = sums[i] / (SAMPLES * SAMPLES);
}

gdouble
gemma_thumbnail_difference (const GemmaThumbnail *a, const GemmaThumbnail *b)
{
  guint sum = 0;

  for (guint i = 0; i < G_N_ELEMENTS (a->luma); i++)
    sum += ABS (a->luma[i] - b->luma[i]);
  return sum / (255. * G_N_ELEMENTS (a->luma));
}
