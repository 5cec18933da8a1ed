/* AltUp: prediction and correction of a token's streams, and their mean. */
#include "launch.h"
#include "ops.h"
#include "ref/map.h"

#define MAX_STREAMS 8

/* @y, @x: what the operation writes and reads; @active only for the correction; @p.n_streams alone for the mean. */
typedef struct
{
  OclTensor y, x, active;
  OclAltup p;
} AltupArgs;

static gint
count_tokens (const AltupArgs *a)
{
  return a->x.rows / a->p.n_streams;
}

static OclKernel *
get_kernel (OclQueue *q, const gchar *program, const gchar *kernel, gint n_streams)
{
  gchar options[32];

  g_snprintf (options, sizeof (options), "-DN_STREAMS=%d", n_streams);
  return ocl_queue_get_kernel (q, program, kernel, options);
}

static gboolean
altup_fits (const AltupArgs *a)
{
  gint n = a->p.n_streams, cols = a->x.cols;

  return n >= 1 && n <= MAX_STREAMS && ocl_same_shape (a->y, a->x) && a->x.rows % n == 0
      && ocl_has_shape (a->p.router_norm, 1, cols) && ocl_has_shape (a->p.router, n, cols);
}

/* The second output and its weight, or neither. */
static gboolean
out_fits (const AltupArgs *a, OclTensor out, OclTensor weight)
{
  return !out.mem || (ocl_has_shape (out, count_tokens (a), a->x.cols) && ocl_has_shape (weight, 1, a->x.cols));
}

/* ---- predict ---------------------------------------------------------------------- */

static void
altup_predict_ref (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->p.router_norm, a->p.router, a->p.predict, a->p.normed, a->p.norm_weight);
  RefAltup p = { v[2], v[3], v[4], v[5], v[6], a->p.n_streams, a->p.eps };

  ref_altup_predict (v[0], v[1], &p);
}

static void
altup_predict_portable (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  gint n_tokens = count_tokens (a);
  gsize global = (gsize) n_tokens * OCL_GROUP_SIZE;

  ocl_queue_run (q, get_kernel (q, "altup", "predict", a->p.n_streams), 1, &global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->p.router_norm),
      OCL_ARG_TENSOR (a->p.router), OCL_ARG_TENSOR (a->p.predict), OCL_ARG (n_tokens), OCL_ARG (a->x.cols),
      OCL_ARG (a->p.eps), OCL_ARGS_END);
  if (a->p.normed.mem) {        /* a launch of its own, for the reason that rms_norm_portable() has */
    OclRmsNorm norm = OCL_RMS_NORM_INIT (a->p.norm_weight, a->p.eps);
    ocl_rms_norm (q, a->p.normed, ocl_tensor_rows (a->y, 0, n_tokens), &norm);
  }
}

static void
altup_predict_cpu (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  gint n_tokens = count_tokens (a);
  OclCut cut = ocl_cut_rows (q, n_tokens, a->p.n_streams * a->x.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, get_kernel (q, "altup-cpu", "predict", a->p.n_streams), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->p.router_norm),
      OCL_ARG_TENSOR (a->p.router), OCL_ARG_TENSOR (a->p.predict), OCL_ARG_TENSOR (a->p.normed),
      OCL_ARG_TENSOR (a->p.norm_weight), OCL_ARG (n_tokens), OCL_ARG (cut.row_step),
      OCL_ARG (a->x.cols), OCL_ARG (a->p.eps), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (altup_predict)

void
ocl_altup_predict (OclQueue *q, OclTensor y, OclTensor h, const OclAltup *p)
{
  AltupArgs args = { .y = y, .x = h, .p = *p };
  gboolean fits = altup_fits (&args) && ocl_has_shape (p->predict, p->n_streams * p->n_streams, p->n_streams)
      && out_fits (&args, p->normed, p->norm_weight);

  if (ocl_launch_check (q, &ocl_op_altup_predict, fits) && h.rows > 0)
    ocl_variant_run (q, &ocl_op_altup_predict, &args);
}

/* ---- correct ---------------------------------------------------------------------- */

static void
altup_correct_ref (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->active, a->p.router_norm, a->p.router, a->p.correct, a->p.scaled,
      a->p.scale_weight);
  RefAltup p = { v[3], v[4], v[5], v[6], v[7], a->p.n_streams, a->p.eps };

  ref_altup_correct (v[0], v[1], v[2], &p);
}

static void
altup_correct_portable (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  gint n_tokens = count_tokens (a);
  gsize global = (gsize) n_tokens * OCL_GROUP_SIZE;

  ocl_queue_run (q, get_kernel (q, "altup", "correct", a->p.n_streams), 1, &global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->active), OCL_ARG_TENSOR (a->p.router_norm),
      OCL_ARG_TENSOR (a->p.router), OCL_ARG_TENSOR (a->p.correct), OCL_ARG_TENSOR (a->p.scaled),
      OCL_ARG_TENSOR (a->p.scale_weight), OCL_ARG (n_tokens), OCL_ARG (a->x.cols),
      OCL_ARG (a->p.eps), OCL_ARGS_END);
}

static void
altup_correct_cpu (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  gint n_tokens = count_tokens (a);
  OclCut cut = ocl_cut_rows (q, n_tokens, a->p.n_streams * a->x.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, get_kernel (q, "altup-cpu", "correct", a->p.n_streams), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->active), OCL_ARG_TENSOR (a->p.router_norm),
      OCL_ARG_TENSOR (a->p.router), OCL_ARG_TENSOR (a->p.correct), OCL_ARG_TENSOR (a->p.scaled),
      OCL_ARG_TENSOR (a->p.scale_weight), OCL_ARG (n_tokens), OCL_ARG (cut.row_step),
      OCL_ARG (a->x.cols), OCL_ARG (a->p.eps), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (altup_correct)

void
ocl_altup_correct (OclQueue *q, OclTensor h, OclTensor pred, OclTensor active, const OclAltup *p)
{
  AltupArgs args = { h, pred, active, *p };
  gboolean fits = altup_fits (&args) && ocl_has_shape (p->correct, p->n_streams, p->n_streams)
      && ocl_has_shape (active, count_tokens (&args), pred.cols) && out_fits (&args, p->scaled, p->scale_weight);

  if (ocl_launch_check (q, &ocl_op_altup_correct, fits) && pred.rows > 0)
    ocl_variant_run (q, &ocl_op_altup_correct, &args);
}

/* ---- add: y is h, x is x, p.correct is the weight ------------------------------------- */

static void
altup_add_ref (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->p.correct);

  ref_altup_add (v[0], v[1], v[2], a->p.eps, a->p.n_streams);
}

static void
altup_add_portable (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  gsize global = (gsize) a->x.rows * OCL_GROUP_SIZE;

  ocl_queue_run (q, get_kernel (q, "altup", "add", a->p.n_streams), 1, &global, ocl_row_group, OCL_ARG_TENSOR (a->y),
      OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->p.correct), OCL_ARG (a->x.rows), OCL_ARG (a->x.cols),
      OCL_ARG (a->p.eps), OCL_ARGS_END);
}

static void
altup_add_cpu (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  OclCut cut = ocl_cut_rows (q, a->x.rows, a->p.n_streams * a->x.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, get_kernel (q, "altup-cpu", "add", a->p.n_streams), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->p.correct), OCL_ARG (a->x.rows),
      OCL_ARG (cut.row_step), OCL_ARG (a->x.cols), OCL_ARG (a->p.eps), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (altup_add)

void
ocl_altup_add (OclQueue *q, OclTensor h, OclTensor x, OclTensor weight, gfloat eps, gint n_streams)
{
  AltupArgs args = { .y = h, .x = x, .p = { .n_streams = n_streams, .eps = eps, .correct = weight } };
  gboolean fits = n_streams >= 1 && n_streams <= MAX_STREAMS && ocl_has_shape (h, n_streams * x.rows, x.cols)
      && ocl_has_shape (weight, 1, x.cols);

  if (ocl_launch_check (q, &ocl_op_altup_add, fits) && x.rows > 0)
    ocl_variant_run (q, &ocl_op_altup_add, &args);
}

/* ---- mean_streams ----------------------------------------------------------------- */

static void
mean_streams_ref (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x);

  ref_mean_streams (v[0], v[1], a->p.n_streams);
}

static void
mean_streams_portable (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  gsize global[2] = { ocl_round_up (a->y.cols, OCL_GROUP_SIZE), a->y.rows };

  ocl_queue_run (q, get_kernel (q, "altup", "mean_streams", a->p.n_streams), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG (a->y.rows), OCL_ARG (a->y.cols), OCL_ARGS_END);
}

static void
mean_streams_cpu (OclQueue *q, gconstpointer data)
{
  const AltupArgs *a = data;
  OclCut cut = ocl_cut_rows (q, a->y.rows, a->p.n_streams * a->y.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, get_kernel (q, "altup-cpu", "mean_streams", a->p.n_streams), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG (a->y.rows), OCL_ARG (cut.row_step),
      OCL_ARG (a->y.cols), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (mean_streams)

void
ocl_mean_streams (OclQueue *q, OclTensor y, OclTensor h, gint n_streams)
{
  AltupArgs args = { .y = y, .x = h, .p.n_streams = n_streams };
  gboolean fits = n_streams >= 1 && n_streams <= MAX_STREAMS && ocl_has_shape (h, n_streams * y.rows, y.cols);

  if (ocl_launch_check (q, &ocl_op_mean_streams, fits) && y.rows > 0)
    ocl_variant_run (q, &ocl_op_mean_streams, &args);
}
