/* Operations on elements: y = f (a, b, value). */
#include "launch.h"
#include "ops.h"
#include "ref/map.h"

/* An operand that an operation lacks repeats another one, so every kernel has the same arguments. */
typedef struct
{
  OclTensor y, a, b;
  gfloat value;
} ElementwiseArgs;

static void
run_cpu (OclQueue *q, const ElementwiseArgs *e, const gchar *kernel)
{
  OclCut cut = ocl_cut (q, e->y.rows, e->y.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "elementwise-cpu", kernel, NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (e->y), OCL_ARG_TENSOR (e->a), OCL_ARG_TENSOR (e->b), OCL_ARG (e->y.rows),
      OCL_ARG (cut.row_step), OCL_ARG (e->y.cols), OCL_ARG (cut.col_step), OCL_ARG (e->value), OCL_ARGS_END);
}

static void
run_portable (OclQueue *q, const ElementwiseArgs *e, const gchar *kernel)
{
  gsize global[2] = { ocl_round_up (e->y.cols, OCL_GROUP_SIZE), e->y.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "elementwise", kernel, NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (e->y), OCL_ARG_TENSOR (e->a), OCL_ARG_TENSOR (e->b), OCL_ARG (e->y.cols),
      OCL_ARG (e->value), OCL_ARGS_END);
}

static void
run_elementwise (OclQueue *q, const OclOperation *operation, const ElementwiseArgs *args, gboolean fits)
{
  if (ocl_launch_check (q, operation, fits) && args->y.rows > 0 && args->y.cols > 0)
    ocl_variant_run (q, operation, args);
}

/* name_cpu() and name_portable() run the kernels of that name, name_ref() the call given; v is y, a, b. */
#define DEFINE_ELEMENTWISE(name, ref_call) \
  static void name##_cpu (OclQueue *q, gconstpointer args) { run_cpu (q, args, #name); } \
  static void name##_portable (OclQueue *q, gconstpointer args) { run_portable (q, args, #name); } \
  static void name##_ref (OclQueue *q, gconstpointer data) \
  { \
    const ElementwiseArgs *e = data; \
    REF_VIEWS (q, v, e->y, e->a, e->b); \
    ref_call; \
  } \
  OCL_DEFINE_OPERATION (name)

DEFINE_ELEMENTWISE (add, ref_add (v[0], v[1], v[2]))
DEFINE_ELEMENTWISE (bias, ref_bias (v[0], v[1], v[2], FALSE))
DEFINE_ELEMENTWISE (bias_gelu, ref_bias (v[0], v[1], v[2], TRUE))
DEFINE_ELEMENTWISE (copy, ref_copy (v[0], v[1]))
DEFINE_ELEMENTWISE (silu, ref_silu (v[0], v[1]))
DEFINE_ELEMENTWISE (gelu_mul, ref_gelu_mul (v[0], v[1], v[2]))
DEFINE_ELEMENTWISE (softcap, ref_softcap (v[0], e->value))
DEFINE_ELEMENTWISE (scale_cols, ref_scale_cols (v[0], v[1], v[2]))
DEFINE_ELEMENTWISE (glu, ref_glu (v[0], v[1], v[2]))

void
ocl_add (OclQueue *q, OclTensor y, OclTensor a, OclTensor b)
{
  ElementwiseArgs args = { y, a, b };

  run_elementwise (q, &ocl_op_add, &args, ocl_same_shape (y, a) && ocl_same_shape (y, b));
}

void
ocl_copy (OclQueue *q, OclTensor y, OclTensor x)
{
  ElementwiseArgs args = { y, x, x };

  run_elementwise (q, &ocl_op_copy, &args, ocl_same_shape (y, x));
}

void
ocl_silu (OclQueue *q, OclTensor y, OclTensor x)
{
  ElementwiseArgs args = { y, x, x };

  run_elementwise (q, &ocl_op_silu, &args, ocl_same_shape (y, x));
}

void
ocl_glu (OclQueue *q, OclTensor y, OclTensor x)
{
  gboolean fits = x.rows == y.rows && x.cols == 2 * y.cols;
  ElementwiseArgs args = { y, x, x };

  if (fits) {
    args.a = ocl_tensor_cols (x, 0, y.cols);
    args.b = ocl_tensor_cols (x, y.cols, y.cols);
  }
  run_elementwise (q, &ocl_op_glu, &args, fits);
}

void
ocl_gelu_mul (OclQueue *q, OclTensor y, OclTensor a, OclTensor b)
{
  ElementwiseArgs args = { y, a, b };

  run_elementwise (q, &ocl_op_gelu_mul, &args, ocl_same_shape (y, a) && ocl_same_shape (y, b));
}

void
ocl_softcap (OclQueue *q, OclTensor x, gfloat cap)
{
  ElementwiseArgs args = { x, x, x, cap };

  run_elementwise (q, &ocl_op_softcap, &args, TRUE);
}

/* Every row of x meets the same row. */
static void
run_with_row (OclQueue *q, const OclOperation *operation, OclTensor y, OclTensor x, OclTensor row)
{
  gboolean fits = ocl_same_shape (y, x) && ocl_has_shape (row, 1, x.cols);
  ElementwiseArgs args = { y, x, row };

  args.b.stride = 0;
  run_elementwise (q, operation, &args, fits);
}

void
ocl_scale_cols (OclQueue *q, OclTensor y, OclTensor x, OclTensor weight)
{
  run_with_row (q, &ocl_op_scale_cols, y, x, weight);
}

void
ocl_bias (OclQueue *q, OclTensor y, OclTensor x, OclTensor bias)
{
  run_with_row (q, &ocl_op_bias, y, x, bias);
}

void
ocl_bias_gelu (OclQueue *q, OclTensor y, OclTensor x, OclTensor bias)
{
  run_with_row (q, &ocl_op_bias_gelu, y, x, bias);
}

/* ---- fill ----------------------------------------------------------------------- */

static void
fill_ref (OclQueue *q, gconstpointer data)
{
  const ElementwiseArgs *e = data;
  REF_VIEWS (q, v, e->y);

  ref_fill (v[0], e->value);
}

static void
fill_portable (OclQueue *q, gconstpointer data)
{
  const ElementwiseArgs *e = data;
  gsize global[2] = { ocl_round_up (e->y.cols, OCL_GROUP_SIZE), e->y.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "elementwise", "fill", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (e->y), OCL_ARG (e->y.cols), OCL_ARG (e->value), OCL_ARGS_END);
}

static void
fill_cpu (OclQueue *q, gconstpointer data)
{
  const ElementwiseArgs *e = data;
  OclCut cut = ocl_cut (q, e->y.rows, e->y.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "elementwise-cpu", "fill", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (e->y), OCL_ARG (e->y.rows), OCL_ARG (cut.row_step), OCL_ARG (e->y.cols),
      OCL_ARG (cut.col_step), OCL_ARG (e->value), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (fill)

void
ocl_fill (OclQueue *q, OclTensor y, gfloat value)
{
  ElementwiseArgs args = { y, y, y, value };

  run_elementwise (q, &ocl_op_fill, &args, TRUE);
}

/* ---- gated_gelu: a is gate, b is up, value is the sparsity --------------------------- */

static void
gated_gelu_ref (OclQueue *q, gconstpointer data)
{
  const ElementwiseArgs *e = data;
  REF_VIEWS (q, v, e->y, e->a, e->b);

  ref_gated_gelu (v[0], v[1], v[2], e->value);
}

static void
gated_gelu_portable (OclQueue *q, gconstpointer data)
{
  const ElementwiseArgs *e = data;
  gsize global = (gsize) e->y.rows * OCL_GROUP_SIZE;

  if (e->value == 0) {
    run_portable (q, e, "gelu_mul");
    return;
  }
  ocl_queue_run (q, ocl_queue_get_kernel (q, "elementwise", "sparse_gelu", NULL), 1, &global, ocl_row_group,
      OCL_ARG_TENSOR (e->y), OCL_ARG_TENSOR (e->a), OCL_ARG_TENSOR (e->b), OCL_ARG (e->y.cols),
      OCL_ARG (e->value), OCL_ARGS_END);
}

static void
gated_gelu_cpu (OclQueue *q, gconstpointer data)
{
  const ElementwiseArgs *e = data;
  OclCut cut = ocl_cut_rows (q, e->y.rows, e->y.cols, OCL_ITEM_ELEMENTS);

  if (e->value == 0) {
    run_cpu (q, e, "gelu_mul");
    return;
  }
  ocl_queue_run (q, ocl_queue_get_kernel (q, "elementwise-cpu", "sparse_gelu", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (e->y), OCL_ARG_TENSOR (e->a), OCL_ARG_TENSOR (e->b), OCL_ARG (e->y.rows),
      OCL_ARG (cut.row_step), OCL_ARG (e->y.cols), OCL_ARG (e->value), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (gated_gelu)

void
ocl_gated_gelu (OclQueue *q, OclTensor y, OclTensor gate, OclTensor up, gfloat sparsity)
{
  ElementwiseArgs args = { y, gate, up, sparsity };

  run_elementwise (q, &ocl_op_gated_gelu, &args, ocl_same_shape (y, gate) && ocl_same_shape (y, up));
}
