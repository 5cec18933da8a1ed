/* What models/mobilenet-v5-load.c reads and models/mobilenet-v5.c runs. */
#pragma once

#include "vision-impl.h"

G_BEGIN_DECLS

/* A picture is [height * width][channels]; I and O are a block's channels, M the wider ones within. */

typedef struct
{
  gint kernel, stride; /* kernel 0: none */
  OclTensor weight;    /* [kernel * kernel][C] */
  OclTensor norm;      /* [1][C] */
} Mnv5Depthwise;

typedef enum
{
  MNV5_EDGE,     /* a dense convolution and a projection */
  MNV5_INVERTED, /* expansion and projection with depthwise convolutions before and between */
  MNV5_ATTENTION /* multi-query attention, keys and values perhaps at half the size */
} Mnv5Kind;

typedef struct
{
  Mnv5Kind kind;
  gint stride, in, mid, out;
  gboolean skip;

  gint kernel;                      /* EDGE: of conv */
  OclWeight *conv;                  /* EDGE: [M][kernel * kernel * I] */
  Mnv5Depthwise start, middle;      /* INVERTED */
  OclWeight *expand;                /* INVERTED: [M][I] */
  OclTensor expand_norm;            /* EDGE, INVERTED: [1][M] */
  OclWeight *project;               /* [O][M], of ATTENTION [O][heads * value_dim] */
  OclTensor project_norm;           /* EDGE, INVERTED: [1][O], times the layer scale */

  gint n_heads, key_dim, value_dim; /* ATTENTION */
  OclTensor norm, scale;            /* [1][I]; layer scale [1][O], or none */
  OclWeight *query, *key, *value;   /* [heads * key_dim][I], [key_dim][I], [value_dim][I] */
  Mnv5Depthwise key_down, value_down;
} Mnv5Block;

typedef struct
{
  gint n_blocks;
  Mnv5Block *blocks;
} Mnv5Stage;

typedef struct
{
  GemmaVision base;

  gint stem_channels;
  OclWeight *stem;               /* [stem_channels][3 * 3 * 3] */
  OclTensor stem_bias, stem_norm;
  gint n_stages;
  Mnv5Stage *stages;
  gint fusion_mid, width;        /* of the fusion of the last two stages; width is what the embedder takes */
  OclWeight *fusion_expand;      /* [fusion_mid][channels of both] */
  OclWeight *fusion_project;     /* [width][fusion_mid] */
  OclTensor fusion_expand_norm, fusion_project_norm, fusion_norm;
  OclTensor soft_norm;           /* [1][width] */
  OclWeight *projection;         /* [text_hidden][width] */
} Mnv5;

/* Constants of the network that no file carries. */
#define MNV5_STEM_KERNEL 3
#define MNV5_STRIDE 2
#define MNV5_EPS 1e-6f
#define MNV5_GRID 16 /* the side of what comes out */

GemmaVision *gemma_mobilenet_v5_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, OclMatmulFlags flags,
    GemmaProgressFunc progress, gpointer user_data, GError **error);
void gemma_mobilenet_v5_free (GemmaVision *vision);

G_END_DECLS
