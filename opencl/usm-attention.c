/* USM's local attention with relative positions. */
#include "launch.h"
#include "ops.h"
#include "ref/map.h"

typedef struct
{
  OclTensor o, queries, k, v, rel;
  OclLocalAttention p;
} LocalAttentionArgs;

static void
local_attention_ref (OclQueue *q, gconstpointer data)
{
  const LocalAttentionArgs *a = data;
  REF_VIEWS (q, v, a->o, a->queries, a->k, a->v, a->rel, a->p.q_scale);

  ref_local_attention (v[0], v[1], v[2], v[3], v[4], v[5], &a->p);
}

static gboolean
local_attention_portable_match (OclDevice *device, gconstpointer data)
{
  const LocalAttentionArgs *a = data;

  return a->p.left < 256;       /* MAX_KEYS of kernels/usm-attention.cl */
}

static void
local_attention_portable (OclQueue *q, gconstpointer data)
{
  const LocalAttentionArgs *a = data;
  const OclLocalAttention *p = &a->p;
  gsize global[2] = { (gsize) p->n_heads * OCL_GROUP_SIZE, a->o.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "usm-attention", "local_attention", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->o), OCL_ARG_TENSOR (a->queries), OCL_ARG_TENSOR (a->k), OCL_ARG_TENSOR (a->v),
      OCL_ARG_TENSOR (a->rel), OCL_ARG_TENSOR (p->q_scale), OCL_ARG (p->head_dim), OCL_ARG (p->left),
      OCL_ARG (p->n_history), OCL_ARG (p->cap), OCL_ARGS_END);
}

static gboolean
local_attention_cpu_match (OclDevice *device, gconstpointer data)
{
  const LocalAttentionArgs *a = data;

  return a->p.left < 64 && a->p.head_dim % 8 == 0;      /* MAX_KEYS of kernels/usm-attention-cpu.cl */
}

static void
local_attention_cpu (OclQueue *q, gconstpointer data)
{
  const LocalAttentionArgs *a = data;
  const OclLocalAttention *p = &a->p;
  OclCut cut = ocl_cut_rows (q, a->o.rows, a->o.cols * p->left, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "usm-attention-cpu", "local_attention", NULL), 2, cut.global,
      ocl_single_item, OCL_ARG_TENSOR (a->o), OCL_ARG_TENSOR (a->queries), OCL_ARG_TENSOR (a->k),
      OCL_ARG_TENSOR (a->v), OCL_ARG_TENSOR (a->rel), OCL_ARG_TENSOR (p->q_scale), OCL_ARG (a->o.rows),
      OCL_ARG (cut.row_step), OCL_ARG (p->n_heads), OCL_ARG (p->head_dim), OCL_ARG (p->left), OCL_ARG (p->n_history),
      OCL_ARG (p->cap), OCL_ARGS_END);
}

static const OclVariant local_attention_variants[] = {
  { "cpu", OCL_DEVICE_CPU, local_attention_cpu_match, local_attention_cpu },
  { "portable", 0, local_attention_portable_match, local_attention_portable },
  { "ref", 0, NULL, local_attention_ref },
};

const OclOperation ocl_op_local_attention = {
  "local_attention", local_attention_variants, G_N_ELEMENTS (local_attention_variants)
};

void
ocl_local_attention (OclQueue *q, OclTensor o, OclTensor queries, OclTensor k, OclTensor v, OclTensor rel,
    const OclLocalAttention *p)
{
  LocalAttentionArgs args = { o, queries, k, v, rel, *p };
  gint width = p->n_heads * p->head_dim, n_keys = p->left + o.rows;
  gboolean fits = p->n_heads > 0 && p->head_dim > 0 && p->left >= 0 && p->n_history >= 0 && p->n_history <= p->left
      && o.cols == width && ocl_same_shape (o, queries) && ocl_has_shape (k, n_keys, width)
      && ocl_has_shape (v, n_keys, width) && ocl_has_shape (rel, p->left + 1, width)
      && ocl_has_shape (p->q_scale, 1, p->head_dim);

  if (ocl_launch_check (q, &ocl_op_local_attention, fits) && o.rows > 0)
    ocl_variant_run (q, &ocl_op_local_attention, &args);
}
