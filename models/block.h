/* A layer as Gemma 3 and T5Gemma 2 have it: attention and a gated FFN, each between two norms. Shapes are [rows][cols] with
 *   M rows (positions) in flight, C hidden, H heads, G KV heads, D head_dim, F ffn.
 */
#pragma once

#include "lm-parts.h"

G_BEGIN_DECLS

typedef struct
{
  OclTensor attn_norm, post_attn_norm, ffn_norm, post_ffn_norm; /* [1][C] */
  OclTensor q_norm, k_norm;                                     /* [1][D] */
  GemmaLmStack qkv;                                             /* [(H + 2 G) * D][C] */
  OclWeight *attn_out;                                          /* [C][H * D] */
  GemmaLmStack gate_up;                                         /* [2 F][C] */
  OclWeight *ffn_down;                                          /* [C][F] */
} GemmaBlock;

/** @ld has the layer. With @own_keys, the queries' matrix is a part of its own, for gemma_block_multiply_kv(). */
void gemma_block_load (GemmaLmLoader *ld, const GemmaTextConfig *config, gboolean own_keys, GemmaBlock *block);
void gemma_block_clear (OclDevice *device, GemmaBlock *block);

/* Layers one after the other, and the norm behind them. */
typedef struct
{
  GemmaTextConfig config; /* with arrays of our own */
  GemmaBlock *layers;
  OclTensor out_norm; /* [1][C] */
} GemmaBlockStack;

/* How far loading is; several stacks may share it. */
typedef struct
{
  GemmaProgressFunc func; /* or NULL */
  gpointer user_data;
  gint done, all; /* layers */
} GemmaBlockProgress;

/** A copy of @config, and layers without weights. */
void gemma_block_stack_init (GemmaBlockStack *stack, const GemmaTextConfig *config);
/** All layers and the norm, with the prefix of the stack's configuration. */
void gemma_block_stack_load (
    GemmaLmLoader *ld, gboolean own_keys, GemmaBlockProgress *progress, GemmaBlockStack *stack);
void gemma_block_stack_clear (OclDevice *device, GemmaBlockStack *stack);

/* What all layers work on, one after the other; @rows of each. */
typedef struct
{
  OclTensor normed, branch;  /* [M][C] */
  OclTensor rope[2];         /* [M][D]: full, sliding */
  OclTensor qkv, attended;   /* [M][(H + 2 G) * D], [M][H * D] */
  OclTensor gate_up, ffn;    /* [M][2 F], [M][F] */
} GemmaBlockArena;

/** Room for layers of all @n @configs, whose hidden is the same. FALSE with some of it allocated. */
gboolean gemma_block_arena_new (GemmaBlockArena *arena, OclDevice *device, const GemmaTextConfig *const *configs, guint n,
    gint rows, GError **error);
void gemma_block_arena_clear (GemmaBlockArena *arena, OclDevice *device);

/** The tables of both kinds of layers for the positions from @position0; returned in @rope as views of the arena's. */
void gemma_block_rope (GemmaLmSession *session, const GemmaBlockArena *arena, const GemmaTextConfig *config, gint rows,
    gint position0, OclTensor rope[2]);

/** kv [M][2 G * D] = the keys and values of x [M][C] before their norms, of a block that has own_keys. */
void gemma_block_multiply_kv (GemmaLmSession *session, const GemmaBlock *block, OclTensor kv, OclTensor x);

/** y = W_down (gelu (W_gate x) * W_up x), [M][C]. */
void gemma_block_feed_forward (
    GemmaLmSession *session, const GemmaBlock *block, const GemmaBlockArena *arena, gint ffn, OclTensor y, OclTensor x);

/** state += RMS (branch) * weight; normed = RMS (state) * next, without it where @next has no memory. */
void gemma_block_add (GemmaLmSession *session, gfloat eps, OclTensor state, OclTensor branch, OclTensor weight,
    OclTensor normed, OclTensor next);

G_END_DECLS
