/* What models/usm-load.c reads and models/usm.c runs. */
#pragma once

#include "usm.h"

G_BEGIN_DECLS

/* H is hidden, C0 and C1 the convolutions' channels, W0 and W1 the frequencies that they leave. */

/* 3 x 3, stride 2, on [T][width * channels]. */
typedef struct
{
  gint width, channels, out_width, out_channels;
  OclWeight *weight; /* [out_channels][9 * channels], columns in the order of ocl_im2col() */
  OclTensor norm;    /* [1][out_channels] */
} GemmaUsmConv;

typedef struct
{
  OclTensor pre_norm, post_norm; /* [1][H] */
  OclWeight *up, *down;          /* [4H][H], [H][4H] */
} GemmaUsmFeedForward;

typedef struct
{
  GemmaUsmFeedForward start, end;
  struct
  {
    OclTensor pre_norm, post_norm; /* [1][H] */
    OclTensor q_scale;             /* [1][H / heads] */
    OclTensor relative;            /* [left + 1][H] */
    OclWeight *qkv, *out;          /* [3H][H], [H][H] */
  } attention;
  struct
  {
    OclTensor pre_norm, conv_norm; /* [1][H] */
    OclTensor depthwise;           /* [conv_kernel][H] */
    OclWeight *start, *end;        /* [2H][H], [H][H] */
  } conv;
  OclTensor norm; /* [1][H] */
} GemmaUsmBlock;

struct _GemmaUsm
{
  OclDevice *device;
  GemmaAudioConfig config;
  gint text_hidden;
  OclMatmulFlags flags;

  GemmaUsmConv conv[2];
  OclWeight *input;      /* [H][W1 * C1] */
  GemmaUsmBlock *blocks; /* [n_layers] */
  OclTensor soft_norm;   /* [1][H] */
  OclWeight *projection; /* [text_hidden][H] */
  gfloat *hard;          /* [vocab_size][text_hidden], on the host */
};

G_END_DECLS
