/* Norms of rows: RMS, LayerNorm, magnitude matching, USM's cumulative norm. */
#include "launch.h"
#include "ops.h"
#include "ref/map.h"

#include <math.h>

/* ---- rms_norm ----------------------------------------------------------------- */

typedef struct
{
  OclTensor y, x;
  OclRmsNorm p;
} RmsNormArgs;

static void
rms_norm_ref (OclQueue *q, gconstpointer data)
{
  const RmsNormArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->p.weight, a->p.add0, a->p.add1, a->p.y2, a->p.weight2);
  RefRmsNorm p = { v[2], v[3], v[4], v[5], v[6], a->p.eps, a->p.norm_scale, a->p.out_scale,
    a->p.gelu };

  ref_rms_norm (v[0], v[1], &p);
}

static void
launch_portable (OclQueue *q, OclTensor y, OclTensor x, const OclRmsNorm *p)
{
  gsize global = (gsize) y.rows * OCL_GROUP_SIZE;

  ocl_queue_run (q, ocl_queue_get_kernel (q, "norm", "rms_norm", NULL), 1, &global, ocl_row_group,
      OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (x), OCL_ARG_TENSOR (p->weight), OCL_ARG_TENSOR (p->add0),
      OCL_ARG_TENSOR (p->add1), OCL_ARG (y.cols), OCL_ARG (p->eps), OCL_ARG (p->norm_scale),
      OCL_ARG (p->out_scale), OCL_ARG (p->gelu), OCL_ARGS_END);
}

/* The second norm is a launch of its own: PoCL for SSE miscounts loops after a barrier that is not always reached. */
static void
rms_norm_portable (OclQueue *q, gconstpointer data)
{
  const RmsNormArgs *a = data;
  OclRmsNorm second = OCL_RMS_NORM_INIT (a->p.weight2, a->p.eps);

  launch_portable (q, a->y, a->x, &a->p);
  if (a->p.y2.mem)
    launch_portable (q, a->p.y2, a->y, &second);
}

static void
rms_norm_cpu (OclQueue *q, gconstpointer data)
{
  const RmsNormArgs *a = data;
  const OclRmsNorm *p = &a->p;
  OclCut cut = ocl_cut_rows (q, a->y.rows, a->y.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "norm-cpu", "rms_norm", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (p->weight), OCL_ARG_TENSOR (p->add0),
      OCL_ARG_TENSOR (p->add1), OCL_ARG_TENSOR (p->y2), OCL_ARG_TENSOR (p->weight2), OCL_ARG (a->y.rows),
      OCL_ARG (cut.row_step), OCL_ARG (a->y.cols), OCL_ARG (p->eps),
      OCL_ARG (p->norm_scale), OCL_ARG (p->out_scale), OCL_ARG (p->gelu), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (rms_norm)

void
ocl_rms_norm (OclQueue *q, OclTensor y, OclTensor x, const OclRmsNorm *p)
{
  RmsNormArgs args = { y, x, *p };
  gboolean fits = ocl_same_shape (y, x) && ocl_fits (p->weight, 1, x.cols) && ocl_fits (p->add0, x.rows, x.cols)
      && ocl_fits (p->add1, x.rows, x.cols) && ocl_fits (p->y2, x.rows, x.cols) && ocl_fits (p->weight2, 1, x.cols);

  if (ocl_launch_check (q, &ocl_op_rms_norm, fits) && y.rows > 0)
    ocl_variant_run (q, &ocl_op_rms_norm, &args);
}

/* ---- layer_norm --------------------------------------------------------------- */

typedef struct
{
  OclTensor y, x;
  OclLayerNorm p;
} LayerNormArgs;

static void
layer_norm_ref (OclQueue *q, gconstpointer data)
{
  const LayerNormArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->p.weight, a->p.bias, a->p.add, a->p.add_bias);

  ref_layer_norm (v[0], v[1], v[2], v[3], v[4], v[5], a->p.eps);
}

static void
layer_norm_portable (OclQueue *q, gconstpointer data)
{
  const LayerNormArgs *a = data;
  const OclLayerNorm *p = &a->p;
  gsize global = (gsize) a->y.rows * OCL_GROUP_SIZE;

  ocl_queue_run (q, ocl_queue_get_kernel (q, "norm", "layer_norm", NULL), 1, &global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (p->weight), OCL_ARG_TENSOR (p->bias),
      OCL_ARG_TENSOR (p->add), OCL_ARG_TENSOR (p->add_bias), OCL_ARG (a->y.cols), OCL_ARG (p->eps), OCL_ARGS_END);
}

static void
layer_norm_cpu (OclQueue *q, gconstpointer data)
{
  const LayerNormArgs *a = data;
  const OclLayerNorm *p = &a->p;
  OclCut cut = ocl_cut_rows (q, a->y.rows, a->y.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "norm-cpu", "layer_norm", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (p->weight), OCL_ARG_TENSOR (p->bias),
      OCL_ARG_TENSOR (p->add), OCL_ARG_TENSOR (p->add_bias), OCL_ARG (a->y.rows), OCL_ARG (cut.row_step),
      OCL_ARG (a->y.cols), OCL_ARG (p->eps), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (layer_norm)

void
ocl_layer_norm (OclQueue *q, OclTensor y, OclTensor x, const OclLayerNorm *p)
{
  LayerNormArgs args = { y, x, *p };
  gboolean fits = ocl_same_shape (y, x) && ocl_has_shape (p->weight, 1, x.cols) && ocl_has_shape (p->bias, 1, x.cols)
      && ocl_fits (p->add, x.rows, x.cols) && ocl_fits (p->add_bias, 1, x.cols);

  if (ocl_launch_check (q, &ocl_op_layer_norm, fits) && y.rows > 0)
    ocl_variant_run (q, &ocl_op_layer_norm, &args);
}

/* ---- match_magnitude ------------------------------------------------------------ */

typedef struct
{
  OclTensor x, ref;
  gfloat floor;
} MatchMagnitudeArgs;

static void
match_magnitude_ref (OclQueue *q, gconstpointer data)
{
  const MatchMagnitudeArgs *a = data;
  REF_VIEWS (q, v, a->x, a->ref);

  ref_match_magnitude (v[0], v[1], a->floor);
}

static void
match_magnitude_portable (OclQueue *q, gconstpointer data)
{
  const MatchMagnitudeArgs *a = data;
  gsize global = (gsize) a->x.rows * OCL_GROUP_SIZE;

  ocl_queue_run (q, ocl_queue_get_kernel (q, "norm", "match_magnitude", NULL), 1, &global, ocl_row_group,
      OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->ref), OCL_ARG (a->x.cols), OCL_ARG (a->ref.cols),
      OCL_ARG (a->floor), OCL_ARGS_END);
}

static void
match_magnitude_cpu (OclQueue *q, gconstpointer data)
{
  const MatchMagnitudeArgs *a = data;
  OclCut cut = ocl_cut_rows (q, a->x.rows, a->x.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "norm-cpu", "match_magnitude", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->ref), OCL_ARG (a->x.rows), OCL_ARG (cut.row_step),
      OCL_ARG (a->x.cols), OCL_ARG (a->ref.cols), OCL_ARG (a->floor), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (match_magnitude)

void
ocl_match_magnitude (OclQueue *q, OclTensor x, OclTensor ref, gfloat floor)
{
  MatchMagnitudeArgs args = { x, ref, floor };

  if (ocl_launch_check (q, &ocl_op_match_magnitude, x.rows == ref.rows) && x.rows > 0)
    ocl_variant_run (q, &ocl_op_match_magnitude, &args);
}

/* ---- cumulative_norm ------------------------------------------------------------- */

typedef struct
{
  OclTensor x, weight, state;
  gfloat eps;
} CumulativeNormArgs;

static void
cumulative_norm_ref (OclQueue *q, gconstpointer data)
{
  const CumulativeNormArgs *a = data;
  REF_VIEWS (q, v, a->x, a->weight, a->state);

  ref_cumulative_norm (v[0], v[1], v[2], a->eps);
}

static void
run_cumulative_norm (OclQueue *q, const CumulativeNormArgs *a, const gchar *program, const gsize *group)
{
  ocl_queue_run (q, ocl_queue_get_kernel (q, program, "cumulative_norm", NULL), 1, group, group,
      OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->weight), OCL_ARG_TENSOR (a->state), OCL_ARG (a->x.rows),
      OCL_ARG (a->x.cols), OCL_ARG (a->weight.cols), OCL_ARG (a->eps), OCL_ARGS_END);
}

static void
cumulative_norm_portable (OclQueue *q, gconstpointer args)
{
  run_cumulative_norm (q, args, "norm", ocl_row_group);
}

static void
cumulative_norm_cpu (OclQueue *q, gconstpointer args)
{
  run_cumulative_norm (q, args, "norm-cpu", ocl_single_item);
}

OCL_DEFINE_OPERATION (cumulative_norm)

void
ocl_cumulative_norm (OclQueue *q, OclTensor x, OclTensor weight, OclTensor state, gfloat eps)
{
  CumulativeNormArgs args = { x, weight, state, eps };
  gboolean fits = ocl_has_shape (state, 1, 8) && weight.mem && weight.rows == 1 && weight.cols > 0
      && x.cols % weight.cols == 0;

  if (ocl_launch_check (q, &ocl_op_cumulative_norm, fits) && x.rows > 0)
    ocl_variant_run (q, &ocl_op_cumulative_norm, &args);
}
