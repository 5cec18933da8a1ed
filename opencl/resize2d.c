/* Pictures made larger or smaller. */
#include "launch.h"
#include "ops.h"
#include "ref/map.h"

typedef struct
{
  OclTensor y, x;
  OclResize2d p;
} Resize2dArgs;

static void
resize2d_ref (OclQueue *q, gconstpointer data)
{
  const Resize2dArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x);

  ref_resize2d (v[0], v[1], &a->p);
}

static void
resize2d_portable (OclQueue *q, gconstpointer data)
{
  const Resize2dArgs *a = data;
  const OclResize2d *p = &a->p;
  gsize global[2] = { ocl_round_up (a->y.cols, OCL_GROUP_SIZE), a->y.rows };
  gint mode = p->mode;

  ocl_queue_run (q, ocl_queue_get_kernel (q, "resize2d", "resize2d", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG (a->y.cols), OCL_ARG (mode), OCL_ARG (p->height),
      OCL_ARG (p->width), OCL_ARG (p->out_height), OCL_ARG (p->out_width), OCL_ARGS_END);
}

static void
resize2d_cpu (OclQueue *q, gconstpointer data)
{
  const Resize2dArgs *a = data;
  const OclResize2d *p = &a->p;
  OclCut cut = ocl_cut_rows (q, a->y.rows, a->y.cols, OCL_ITEM_ELEMENTS);
  gint mode = p->mode;

  ocl_queue_run (q, ocl_queue_get_kernel (q, "resize2d-cpu", "resize2d", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG (a->y.rows), OCL_ARG (cut.row_step), OCL_ARG (a->y.cols),
      OCL_ARG (mode), OCL_ARG (p->height), OCL_ARG (p->width), OCL_ARG (p->out_height), OCL_ARG (p->out_width),
      OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (resize2d)

void
ocl_resize2d (OclQueue *q, OclTensor y, OclTensor x, const OclResize2d *p)
{
  Resize2dArgs args = { y, x, *p };
  gboolean fits = x.mem && y.mem && p->height > 0 && p->width > 0 && p->out_height > 0 && p->out_width > 0
      && x.rows == p->height * p->width && y.rows == p->out_height * p->out_width && x.cols == y.cols
      && (p->mode != OCL_RESIZE_AVERAGE || (p->height % p->out_height == 0 && p->width % p->out_width == 0));

  if (ocl_launch_check (q, &ocl_op_resize2d, fits) && y.cols > 0)
    ocl_variant_run (q, &ocl_op_resize2d, &args);
}
