/* What models/siglip-load.c reads and models/siglip.c runs. */
#pragma once

#include "vision-impl.h"

G_BEGIN_DECLS

/* A weight and a bias of one width. */
typedef struct
{
  OclTensor weight, bias; /* [1][C] */
} SiglipNorm;

typedef struct
{
  OclWeight *weight; /* [N][K] */
  OclTensor bias;    /* [1][N] */
} SiglipLinear;

typedef struct
{
  SiglipNorm attn_norm, ffn_norm;
  SiglipLinear qkv, attn_out; /* [3 C][C], [C][C] */
  SiglipLinear up, down;      /* [F][C], [C][F] */
} SiglipLayer;

typedef struct
{
  GemmaVision base;
  GemmaSiglipConfig config;

  SiglipLinear patch;   /* [C][P * P * 3], of RGB in [0, 1]: mean and deviation of the pixels are in it */
  OclTensor positions;  /* [grid * grid][C] */
  SiglipLayer *layers;
  SiglipNorm out_norm;
  OclTensor soft_norm;  /* [1][C] */
  OclWeight *projection; /* [text_hidden][C] */
} Siglip;

GemmaVision *gemma_siglip_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device,
    OclMatmulFlags flags, GemmaProgressFunc progress, gpointer user_data, GError **error);
void gemma_siglip_free (GemmaVision *vision);

G_END_DECLS
