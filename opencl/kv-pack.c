/* Keys and values in bytes: what of a packed cache is read or written is unpacked for the operation that does so. */
#include "kv-pack.h"

#include "launch.h"
#include "queue-private.h"
#include "ref/map.h"

typedef struct
{
  OclTensor y, x;
  gint head_dim, first, n;
} PackArgs;

static void
run_cpu (OclQueue *q, const PackArgs *a, const gchar *kernel, gint width)
{
  OclCut cut = ocl_cut_rows (q, a->n, width, OCL_ITEM_ELEMENTS);
  gint n_heads = width / a->head_dim;

  ocl_queue_run (q, ocl_queue_get_kernel (q, "kv-pack-cpu", kernel, NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG (a->y.rows), OCL_ARG (a->x.rows), OCL_ARG (a->head_dim),
      OCL_ARG (a->first), OCL_ARG (a->n), OCL_ARG (cut.row_step), OCL_ARG (n_heads), OCL_ARGS_END);
}

static void
run_portable (OclQueue *q, const PackArgs *a, const gchar *kernel, gint width)
{
  gsize global[2] = { (gsize) width / a->head_dim * OCL_GROUP_SIZE, a->n };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "kv-pack", kernel, NULL), 2, global, ocl_row_group, OCL_ARG_TENSOR (a->y),
      OCL_ARG_TENSOR (a->x), OCL_ARG (a->y.rows), OCL_ARG (a->x.rows), OCL_ARG (a->head_dim), OCL_ARG (a->first),
      OCL_ARGS_END);
}

/* @plain: the one of y and x that is not packed */
#define DEFINE_PACK(name, plain) \
  static void name##_cpu (OclQueue *q, gconstpointer data) \
  { \
    const PackArgs *a = data; \
    run_cpu (q, a, #name, a->plain.cols); \
  } \
  static void name##_portable (OclQueue *q, gconstpointer data) \
  { \
    const PackArgs *a = data; \
    run_portable (q, a, #name, a->plain.cols); \
  } \
  static void name##_ref (OclQueue *q, gconstpointer data) \
  { \
    const PackArgs *a = data; \
    REF_VIEWS (q, v, a->y, a->x); \
    ref_##name (v[0], v[1], a->head_dim, a->first, a->n); \
  } \
  OCL_DEFINE_OPERATION (name)

DEFINE_PACK (kv_pack, x)
DEFINE_PACK (kv_unpack, y)

static gboolean
fits (OclTensor packed, OclTensor plain, gint head_dim, gint first, gint n)
{
  return head_dim > 0 && head_dim % 4 == 0 && plain.cols % head_dim == 0 && first >= 0 && n <= packed.rows
      && n <= plain.rows && packed.cols == ocl_kv_cols (plain.cols / head_dim, head_dim, TRUE);
}

void
ocl_kv_pack (OclQueue *q, OclTensor packed, OclTensor rows, gint head_dim, gint first, gint n)
{
  PackArgs args = { packed, rows, head_dim, first, n };

  if (ocl_launch_check (q, &ocl_op_kv_pack, fits (packed, rows, head_dim, first, n)) && n > 0)
    ocl_variant_run (q, &ocl_op_kv_pack, &args);
}

void
ocl_kv_unpack (OclQueue *q, OclTensor rows, OclTensor packed, gint head_dim, gint first, gint n)
{
  PackArgs args = { rows, packed, head_dim, first, n };

  if (ocl_launch_check (q, &ocl_op_kv_unpack, fits (packed, rows, head_dim, first, n)) && n > 0)
    ocl_variant_run (q, &ocl_op_kv_unpack, &args);
}

OclKvCache
ocl_kv_scratch (OclQueue *q, gint rows, gint width)
{
  gsize n = (gsize) rows * width;
  cl_mem mem = ocl_queue_scratch (q, OCL_SCRATCH_KV, 2 * n * sizeof (gfloat));

  return (OclKvCache) { { mem, 0, rows, width, width }, { mem, n, rows, width, width }, rows };
}
