/* What the files of operations share: argument checks, tensor arguments, how work is cut. */
#pragma once

#include "tensor.h"
#include "variant.h"

G_BEGIN_DECLS

/**
 * ocl_launch_check:
 * @ok: whether the shapes fit together
 *
 * Returns: TRUE if the operation shall run; FALSE where the queue has failed or now does for @ok being false
 */
gboolean ocl_launch_check (OclQueue *queue, const OclOperation *operation, gboolean ok);

static inline gboolean
ocl_same_shape (OclTensor a, OclTensor b)
{
  return a.rows == b.rows && a.cols == b.cols;
}

static inline gboolean
ocl_has_shape (OclTensor t, gint rows, gint cols)
{
  return t.mem && t.rows == rows && t.cols == cols;
}

/** An absent operand, or one of this shape. */
static inline gboolean
ocl_fits (OclTensor t, gint rows, gint cols)
{
  return !t.mem || (t.rows == rows && t.cols == cols);
}

/**
 * OclCut: [rows][cols] for a CPU: one work-item a work-group, item (i, j) computes columns
 * i * col_step .. and rows j * row_step ...
 */
typedef struct
{
  gint col_step, row_step;
  gsize global[2];
} OclCut;

/**
 * ocl_cut:
 * @item_elements: no item gets less, as a launch costs more than it gains
 *
 * A few items for each compute unit; rows stay whole in ocl_cut_rows().
 */
OclCut ocl_cut (OclQueue *queue, gint rows, gint cols, gint item_elements);
OclCut ocl_cut_rows (OclQueue *queue, gint rows, gint cols, gint item_elements);

/** Enough work for an item of a kernel that mostly moves memory. */
#define OCL_ITEM_ELEMENTS 16384

extern const gsize ocl_single_item[3];          /* { 1, 1, 1 }: the local size of CPU kernels */

/** The work-group of portable kernels: a row of this many items. */
#define OCL_GROUP_SIZE 64
extern const gsize ocl_row_group[2];            /* { OCL_GROUP_SIZE, 1 } */

/** The table of an operation of which name_cpu(), name_portable() and name_ref() exist. */
#define OCL_DEFINE_OPERATION(name) \
  static const OclVariant name##_variants[] = { \
    { "cpu", OCL_DEVICE_CPU, NULL, name##_cpu }, \
    { "portable", 0, NULL, name##_portable }, \
    { "ref", 0, NULL, name##_ref }, \
  }; \
  const OclOperation ocl_op_##name = { #name, name##_variants, G_N_ELEMENTS (name##_variants) };

static inline gint
ocl_divide_up (gint64 n, gint64 step)
{
  return (n + step - 1) / step;
}

static inline gsize
ocl_round_up (gsize n, gsize step)
{
  return (n + step - 1) / step * step;
}

G_END_DECLS
