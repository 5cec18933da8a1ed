/* Convolutions of USM: patches for a matmul, and the depthwise one over time. */
#include "launch.h"
#include "ops.h"
#include "ref/map.h"

/* ---- im2col ------------------------------------------------------------------------ */

typedef struct
{
  OclTensor y, x;
  OclIm2col p;
} Im2colArgs;

static void
im2col_ref (OclQueue *q, gconstpointer data)
{
  const Im2colArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x);

  ref_im2col (v[0], v[1], &a->p);
}

static void
im2col_portable (OclQueue *q, gconstpointer data)
{
  const Im2colArgs *a = data;
  const OclIm2col *p = &a->p;
  gsize global[2] = { ocl_round_up (a->y.cols, OCL_GROUP_SIZE), a->y.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "conv", "im2col", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG (p->height), OCL_ARG (p->width), OCL_ARG (p->channels),
      OCL_ARG (p->kernel), OCL_ARG (p->stride), OCL_ARG (p->pad_top), OCL_ARG (p->pad_left), OCL_ARG (p->out_width),
      OCL_ARGS_END);
}

static void
im2col_cpu (OclQueue *q, gconstpointer data)
{
  const Im2colArgs *a = data;
  const OclIm2col *p = &a->p;
  OclCut cut = ocl_cut_rows (q, a->y.rows, a->y.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "conv-cpu", "im2col", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG (a->y.rows), OCL_ARG (cut.row_step), OCL_ARG (p->height),
      OCL_ARG (p->width), OCL_ARG (p->channels), OCL_ARG (p->kernel), OCL_ARG (p->stride), OCL_ARG (p->pad_top),
      OCL_ARG (p->pad_left), OCL_ARG (p->out_width), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (im2col)

void
ocl_im2col (OclQueue *q, OclTensor y, OclTensor x, const OclIm2col *p)
{
  Im2colArgs args = { y, x, *p };
  gboolean fits = p->channels > 0 && p->kernel > 0 && p->stride > 0
      && ocl_has_shape (x, p->height, p->width * p->channels)
      && ocl_has_shape (y, p->out_height * p->out_width, p->kernel * p->kernel * p->channels);

  if (ocl_launch_check (q, &ocl_op_im2col, fits) && y.rows > 0)
    ocl_variant_run (q, &ocl_op_im2col, &args);
}

/* ---- depthwise_causal --------------------------------------------------------------- */

typedef struct
{
  OclTensor y, x, weight;
} DepthwiseArgs;

static void
depthwise_causal_ref (OclQueue *q, gconstpointer data)
{
  const DepthwiseArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->weight);

  ref_depthwise_causal (v[0], v[1], v[2]);
}

static void
depthwise_causal_portable (OclQueue *q, gconstpointer data)
{
  const DepthwiseArgs *a = data;
  gsize global[2] = { ocl_round_up (a->y.cols, OCL_GROUP_SIZE), a->y.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "conv", "depthwise_causal", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->weight), OCL_ARG (a->y.cols),
      OCL_ARG (a->weight.rows), OCL_ARGS_END);
}

static void
depthwise_causal_cpu (OclQueue *q, gconstpointer data)
{
  const DepthwiseArgs *a = data;
  OclCut cut = ocl_cut_rows (q, a->y.rows, a->weight.rows * a->y.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "conv-cpu", "depthwise_causal", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->weight), OCL_ARG (a->y.rows),
      OCL_ARG (cut.row_step), OCL_ARG (a->y.cols), OCL_ARG (a->weight.rows), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (depthwise_causal)

void
ocl_depthwise_causal (OclQueue *q, OclTensor y, OclTensor x, OclTensor weight)
{
  DepthwiseArgs args = { y, x, weight };
  gboolean fits = weight.mem && weight.rows > 0 && weight.cols == y.cols
      && ocl_has_shape (x, y.rows + weight.rows - 1, y.cols);

  if (ocl_launch_check (q, &ocl_op_depthwise_causal, fits) && y.rows > 0)
    ocl_variant_run (q, &ocl_op_depthwise_causal, &args);
}
