#include "block.h"

/* ---- weights -------------------------------------------------------------------------------------------------- */

/* Queries, keys and values as one stack, or as the queries' matrix and a stack of the others. */
static GemmaLmStack
load_qkv (GemmaLmLoader *ld, const GemmaTextConfig *c, gboolean own_keys)
{
  static const gchar *const names[] = { "attn_q", "attn_k", "attn_v" };
  const gint kv = c->n_kv_heads * c->head_dim, rows[] = { c->n_heads * c->head_dim, kv, kv };

  if (!own_keys)
    return gemma_lm_load_stack (ld, 3, names, rows, c->hidden);
  GemmaLmStack all = gemma_lm_load_stack (ld, 1, names, rows, c->hidden);
  GemmaLmStack others = gemma_lm_load_stack (ld, 2, names + 1, rows + 1, c->hidden);
  for (gint i = 0; i < others.n_parts; i++)
    all.part[all.n_parts++] = others.part[i];
  return all;
}

void
gemma_block_load (GemmaLmLoader *ld, const GemmaTextConfig *c, gboolean own_keys, GemmaBlock *b)
{
  static const gchar *const gate_up[] = { "ffn_gate", "ffn_up" };
  gint C = c->hidden, D = c->head_dim, F = c->ffn[ld->layer];

  b->attn_norm = gemma_lm_load_tensor (ld, "attn_norm", 1, C);
  b->qkv = load_qkv (ld, c, own_keys);
  b->q_norm = gemma_lm_load_tensor (ld, "attn_q_norm", 1, D);
  b->k_norm = gemma_lm_load_tensor (ld, "attn_k_norm", 1, D);
  b->attn_out = gemma_lm_load_weight (ld, "attn_output", C, c->n_heads * D);
  b->post_attn_norm = gemma_lm_load_tensor (ld, "post_attention_norm", 1, C);
  b->ffn_norm = gemma_lm_load_tensor (ld, "ffn_norm", 1, C);
  b->gate_up = gemma_lm_load_stack (ld, 2, gate_up, (gint[]){ F, F }, C);
  b->ffn_down = gemma_lm_load_weight (ld, "ffn_down", C, F);
  b->post_ffn_norm = gemma_lm_load_tensor (ld, "post_ffw_norm", 1, C);
}

void
gemma_block_clear (OclDevice *device, GemmaBlock *b)
{
  OclTensor *tensors[] = { &b->attn_norm, &b->post_attn_norm, &b->ffn_norm, &b->post_ffn_norm, &b->q_norm, &b->k_norm };
  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    ocl_tensor_clear (device, tensors[i]);
  gemma_lm_stack_clear (&b->qkv);
  gemma_lm_stack_clear (&b->gate_up);
  g_clear_pointer (&b->attn_out, ocl_weight_free);
  g_clear_pointer (&b->ffn_down, ocl_weight_free);
}

void
gemma_block_stack_init (GemmaBlockStack *stack, const GemmaTextConfig *config)
{
  gemma_text_config_copy (&stack->config, config);
  stack->layers = g_new0 (GemmaBlock, config->n_layers);
}

void
gemma_block_stack_load (GemmaLmLoader *ld, gboolean own_keys, GemmaBlockProgress *progress, GemmaBlockStack *stack)
{
  const GemmaTextConfig *c = &stack->config;

  ld->prefix = c->prefix;
  ld->layer = -1;
  stack->out_norm = gemma_lm_load_tensor (ld, "output_norm", 1, c->hidden);
  for (ld->layer = 0; ld->layer < c->n_layers && !ld->failed; ld->layer++) {
    g_autofree gchar *what = g_strdup_printf ("loading layer %d of %d", ++progress->done, progress->all);

    if (progress->func)
      progress->func (progress->done / (progress->all + 1.), what, progress->user_data);
    gemma_block_load (ld, c, own_keys, &stack->layers[ld->layer]);
  }
}

void
gemma_block_stack_clear (OclDevice *device, GemmaBlockStack *stack)
{
  for (gint i = 0; i < stack->config.n_layers; i++)
    gemma_block_clear (device, &stack->layers[i]);
  ocl_tensor_clear (device, &stack->out_norm);
  g_free (stack->layers);
  gemma_text_config_clear (&stack->config);
}

/* ---- the arena ------------------------------------------------------------------------------------------------ */

gboolean
gemma_block_arena_new (GemmaBlockArena *a, OclDevice *device, const GemmaTextConfig *const *configs, guint n, gint M,
    GError **error)
{
  gint C = configs[0]->hidden, D = 0, queries = 0, qkv = 0, F = 0;
  for (guint i = 0; i < n; i++) {
    const GemmaTextConfig *c = configs[i];
    D = MAX (D, c->head_dim);
    queries = MAX (queries, c->n_heads * c->head_dim);
    qkv = MAX (qkv, (c->n_heads + 2 * c->n_kv_heads) * c->head_dim);
    for (gint k = 0; k < c->n_layers; k++)
      F = MAX (F, c->ffn[k]);
  }
  const GemmaLmBuffer all[] = {
    { &a->normed, M, C },
    { &a->branch, M, C },
    { &a->rope[0], M, D },
    { &a->rope[1], M, D },
    { &a->qkv, M, qkv },
    { &a->attended, M, queries },
    { &a->gate_up, M, 2 * F },
    { &a->ffn, M, F },
  };
  return gemma_lm_allocate (device, all, G_N_ELEMENTS (all), error);
}

void
gemma_block_arena_clear (GemmaBlockArena *a, OclDevice *device)
{
  OclTensor *all[] = { &a->normed, &a->branch, &a->rope[0], &a->rope[1], &a->qkv, &a->attended, &a->gate_up, &a->ffn };
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    ocl_tensor_clear (device, all[i]);
}

/* ---- steps of a layer ------------------------------------------------------------------------------------------- */

/* The first @cols columns of the first @rows. */
static OclTensor
corner (OclTensor t, gint rows, gint cols)
{
  return ocl_tensor_cols (top (t, rows), 0, cols);
}

void
gemma_block_rope (GemmaLmSession *session, const GemmaBlockArena *arena, const GemmaTextConfig *c, gint rows,
    gint position0, OclTensor rope[2])
{
  for (gint sliding = 0; sliding < 2; sliding++) {
    rope[sliding] = corner (arena->rope[sliding], rows, c->head_dim);
    ocl_rope_table (session->queue, rope[sliding], position0, sliding ? c->rope_base_local : c->rope_base,
        sliding ? 1 : c->rope_factor);
  }
}

void
gemma_block_multiply_kv (GemmaLmSession *session, const GemmaBlock *block, OclTensor kv, OclTensor x)
{
  GemmaLmStack stack = { .n_parts = block->qkv.n_parts - 1 };
  for (gint i = 0; i < stack.n_parts; i++)
    stack.part[i] = block->qkv.part[i + 1];
  gemma_lm_session_multiply_stack (session, kv, x, &stack);
}

void
gemma_block_feed_forward (
    GemmaLmSession *session, const GemmaBlock *block, const GemmaBlockArena *arena, gint F, OclTensor y, OclTensor x)
{
  OclTensor gate_up = corner (arena->gate_up, x.rows, 2 * F), ffn = corner (arena->ffn, x.rows, F);

  gemma_lm_session_multiply_stack (session, gate_up, x, &block->gate_up);
  ocl_gated_gelu (session->queue, ffn, ocl_tensor_cols (gate_up, 0, F), ocl_tensor_cols (gate_up, F, F), 0);
  gemma_lm_session_multiply (session, y, ffn, block->ffn_down);
}

void
gemma_block_add (GemmaLmSession *session, gfloat eps, OclTensor state, OclTensor branch, OclTensor weight,
    OclTensor normed, OclTensor next)
{
  OclRmsNorm p = OCL_RMS_NORM_INIT (weight, eps);
  p.add0 = state;
  if (next.mem) {
    p.y2 = normed;
    p.weight2 = next;
  }
  ocl_rms_norm (session->queue, state, branch, &p);
}
