/* Frames of video as pictures for the encoder, and how much two of them differ. */
#pragma once

#include <gst/video/video.h>

#include "opencl/picture.h"

G_BEGIN_DECLS

/** Format, size and the way from YUV to RGB of @info's colorimetry. */
void gemma_picture_init (OclPicture *picture, const GstVideoInfo *info);

/** The planes of a mapped frame. */
void gemma_picture_set_frame (OclPicture *picture, const GstVideoFrame *frame);

#define GEMMA_THUMBNAIL_SIDE 32
typedef struct
{
  guint8 luma[GEMMA_THUMBNAIL_SIDE * GEMMA_THUMBNAIL_SIDE];
} GemmaThumbnail;

/** Mean brightness of each cell of a grid, from a few samples in it: quick at any size. */
void gemma_thumbnail_make (GemmaThumbnail *thumbnail, const OclPicture *picture);

/** Mean absolute difference, 0 to 1. */
gdouble gemma_thumbnail_difference (const GemmaThumbnail *a, const GemmaThumbnail *b);

G_END_DECLS
