#include "functions.h"

static guint8
to_byte (gint32 sum, gint bits)
{
  return CLAMP ((sum + (1 << (bits - 1))) >> bits, 0, 255);
}

static void
get_pixel (guint8 *rgb, const OclPicture *p, gint x, gint y, const gint32 *m)
{
  const guint8 *row = p->plane[0] + (gssize) y * p->stride[0];
  gint size = p->format == OCL_PICTURE_RGB ? 3 : 4, u, v;

  if (p->format == OCL_PICTURE_RGB || p->format == OCL_PICTURE_RGBA) {
    for (gint c = 0; c < 3; c++)
      rgb[c] = row[size * x + c];
    return;
  }
  if (p->format == OCL_PICTURE_I420) {
    u = p->plane[1][(gssize) (y / 2) * p->stride[1] + x / 2];
    v = p->plane[2][(gssize) (y / 2) * p->stride[2] + x / 2];
  } else {
    u = p->plane[1][(gssize) (y / 2) * p->stride[1] + x / 2 * 2];
    v = p->plane[1][(gssize) (y / 2) * p->stride[1] + x / 2 * 2 + 1];
  }
  for (gint c = 0; c < 3; c++)
    rgb[c] = to_byte (m[4 * c] * row[x] + m[4 * c + 1] * u + m[4 * c + 2] * v + m[4 * c + 3], 16);
}

void
ref_picture_rows (guint8 *y, const OclPicture *picture, gint first, gint rows, const gint32 *yuv_to_rgb,
    const RefPictureAxis *axis)
{
  for (gint row = first; row < first + rows; row++)
    for (gint i = 0; i < axis->n_out; i++) {
      guint8 *out = y + 4 * ((gsize) (row - first) * axis->n_out + i);
      gint32 sum[3] = { 0, 0, 0 };

      for (gint k = 0; k < axis->bounds[2 * i + 1]; k++) {
        guint8 rgb[3];

        get_pixel (rgb, picture, axis->bounds[2 * i] + k, row, yuv_to_rgb);
        for (gint c = 0; c < 3; c++)
          sum[c] += axis->weights[(gsize) i * axis->ksize + k] * rgb[c];
      }
      for (gint c = 0; c < 3; c++)
        out[c] = to_byte (sum[c], OCL_PICTURE_BITS);
      out[3] = 0;
    }
}

void
ref_picture_columns (RefTensor y, const guint8 *x, gint width, const RefPictureAxis *axis)
{
  for (gint row = 0; row < axis->n_out; row++)
    for (gint i = 0; i < width; i++)
      for (gint c = 0; c < 3; c++) {
        gint32 sum = 0;

        for (gint k = 0; k < axis->bounds[2 * row + 1]; k++)
          sum += axis->weights[(gsize) row * axis->ksize + k]
              * x[4 * ((gsize) (axis->bounds[2 * row] + k) * width + i) + c];
        ref_row (y, row * width + i)[c] = to_byte (sum, OCL_PICTURE_BITS) * (1.f / 255);
      }
}
