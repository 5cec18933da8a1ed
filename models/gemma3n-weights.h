/* Gemma 3n's language model as it lies on the device. Names as in model files, shapes [outputs][inputs]. */
#pragma once

#include "lm-parts.h"

G_BEGIN_DECLS

#define GEMMA3N_MAX_STREAMS 8

/* C hidden, H heads, G KV heads, D head_dim, F ffn, R laurel_rank, P ple_dim, S streams */
typedef struct
{
  OclAltup altup;          /* router_norm [1][C], router [S][C], predict [S * S][S], correct [S][S] */
  OclTensor correct_scale; /* [1][C] */
  OclTensor attn_norm, laurel_norm, post_attn_norm, ffn_norm, post_ffn_norm, post_ple_norm; /* [1][C] */
  OclTensor q_norm, k_norm;       /* [1][D]; no k_norm in a layer that shares K and V */
  OclWeight *laurel_l, *laurel_r; /* [R][C], [C][R] */
  GemmaLmStack qkv;               /* [(H + 2 G) * D][C], or [H * D][C] in a layer that shares K and V */
  OclWeight *attn_out;            /* [C][H * D] */
  GemmaLmStack gate_up;           /* [2 F][C] */
  OclWeight *ffn_down;            /* [C][F] */
  OclWeight *ple_gate, *ple_proj; /* [P][C], [C][P] */
  gint kv_layer;                  /* whose keys and values it reads: itself, or an earlier one */
} Gemma3nLayer;

/** A layer as a submodel runs it. */
typedef struct
{
  gint index; /* in the model */
  gint ffn;   /* how much of it is used, F */
  GemmaLmStack gate_up; /* [2 F][C] */
  OclWeight *ffn_down;  /* [C][F] */
  gboolean is_cut;      /* these two are views of its own, else they are the model's */
  OclWeight *gate, *up; /* [F][C], views of gate_up's halves in a sparse layer; NULL if F is no multiple of 16 */
} Gemma3nSubLayer;

/** Layers that run, in order. */
typedef struct
{
  gint n_layers, n_owned; /* the first n_owned of them own keys and values */
  Gemma3nSubLayer *layers;
} Gemma3nSubmodel;

typedef struct
{
  GemmaLm lm;
  GemmaTextConfig config; /* with arrays of our own */
  OclDevice *device;
  GemmaWeights *weights;                      /* the tables of embeddings stay in the mapped file */
  const GemmaTensor *token_table, *ple_table; /* [vocab][C], [ids][n_layers * P] */
  OclWeight *head;                            /* [vocab][C], the token table again */
  OclWeight *altup_proj[GEMMA3N_MAX_STREAMS], *altup_unembed[GEMMA3N_MAX_STREAMS]; /* [C][C] of streams 1.. */
  OclWeight *ple_model_proj;                                                       /* [n_layers * P][C] */
  OclTensor ple_norm;                                                              /* [1][P] */
  OclTensor out_norm;                                                              /* [1][C] */
  Gemma3nLayer *layers;
  Gemma3nSubmodel *full; /* all of it */
} Gemma3n;

/** Reads everything; lm is left to the caller. */
Gemma3n *gemma3n_weights_load (GemmaWeights *weights, const GemmaTextConfig *config, OclDevice *device,
    GemmaProgressFunc progress, gpointer user_data, GError **error);
void gemma3n_weights_free (Gemma3n *model);

/** @ffn: widths of gemma_submodel_parse(). Views only: @model must outlive it. */
Gemma3nSubmodel *gemma3n_submodel_new (const Gemma3n *model, const gint *ffn, GError **error);
void gemma3n_submodel_free (Gemma3nSubmodel *submodel);

G_END_DECLS
