/* Elementwise operations. */
#include "ops.h"
#include "variant.h"

#include "ref/ref.h"

typedef struct
{
  OclTensor y, a, b;
} AddArgs;

static void
add_ref (OclQueue *q, gconstpointer data)
{
  const AddArgs *args = data;
  gfloat *a = ocl_ref_map (q, args->a), *b = ocl_ref_map (q, args->b), *y = ocl_ref_map (q, args->y);

  for (gint r = 0; a && b && y && r < args->y.rows; r++)
    for (gint c = 0; c < args->y.cols; c++)
      OCL_AT (y, args->y, r, c) = OCL_AT (a, args->a, r, c) + OCL_AT (b, args->b, r, c);
  ocl_ref_unmap (q, args->a, a);
  ocl_ref_unmap (q, args->b, b);
  ocl_ref_unmap (q, args->y, y);
}

static void
add_portable (OclQueue *q, gconstpointer data)
{
  const AddArgs *args = data;
  cl_kernel kernel = ocl_queue_get_kernel (q, "elementwise", "add", NULL);
  gsize global[2] = { args->y.cols, args->y.rows };

  ocl_queue_run (q, kernel, 2, global, NULL, OCL_ARG_TENSOR (args->y), OCL_ARG_TENSOR (args->a),
      OCL_ARG_TENSOR (args->b), OCL_ARGS_END);
}

static const OclVariant add_variants[] = {
  { "portable", 0, NULL, add_portable },
  { "ref", 0, NULL, add_ref },
};
const OclOperation ocl_op_add = { "add", add_variants, G_N_ELEMENTS (add_variants) };

void
ocl_add (OclQueue *q, OclTensor y, OclTensor a, OclTensor b)
{
  AddArgs args = { y, a, b };

  ocl_variant_run (q, &ocl_op_add, &args);
}
