/* Pictures in memory, as video frames are, and their way to float32 pixels on the device. */
#pragma once

#include "tensor.h"

G_BEGIN_DECLS

typedef enum
{
  OCL_PICTURE_RGB,              /* 3 bytes a pixel */
  OCL_PICTURE_RGBA,             /* 4 bytes a pixel; alpha is ignored */
  OCL_PICTURE_I420,             /* planes Y, U, V; chroma halved both ways, rounded up */
  OCL_PICTURE_NV12              /* planes Y, UV */
} OclPictureFormat;

/**
 * OclPicture:
 * @plane: the first byte of each plane; @stride: bytes from row to row, at least those of a row
 * @yuv_to_rgb: for I420 and NV12: row c of RGB is m[c][0] * Y + m[c][1] * U + m[c][2] * V + m[c][3] of byte values,
 *   rounded and clamped to [0, 255]; each chroma sample counts for its 2 x 2 pixels
 *
 * A view of a picture in host memory; it owns nothing.
 */
typedef struct
{
  OclPictureFormat format;
  gint width, height;           /* 1 .. 32767 */
  const guint8 *plane[3];
  gint stride[3];
  gfloat yuv_to_rgb[3][4];
} OclPicture;

/** Buffers of one stream of pictures: they grow to the largest seen. One thread at a time. */
typedef struct _OclPictureScaler OclPictureScaler;
OclPictureScaler *ocl_picture_scaler_new (OclDevice *device);
void ocl_picture_scaler_free (OclPictureScaler *scaler);

/**
 * ocl_picture_scale:
 * @y: [@height * @width][3], RGB in [0, 1], row by row
 *
 * Colour conversion, then a bilinear resize with antialiasing (a triangle as wide as the scale where it shrinks) of
 * bytes to bytes, aspect ratio ignored, then 1/255. The bytes are exactly those of PIL's Image.resize (BILINEAR) for the
 * rows and then for the columns, each in fixed point with a rounding to bytes. The picture is copied before return, large ones in
 * bands; the rest is enqueued on @q. FALSE: memory could not be had or the picture is not valid (@q is as before).
 */
gboolean ocl_picture_scale (OclPictureScaler *scaler, OclQueue *q, OclTensor y, gint width, gint height,
    const OclPicture *picture, GError **error);

G_END_DECLS
