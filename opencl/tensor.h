/* Tensors of float32 on the device, and weights packed for it. */
#pragma once

#include "device.h"
#include "type.h"

G_BEGIN_DECLS

/**
 * OclTensor:
 *
 * float32 [rows][cols] on the device, a small value passed by copy. Row r begins
 * at element offset + r * stride. It owns nothing unless ocl_tensor_new() made
 * it; views (rows, columns) share its memory and must not outlive it.
 */
typedef struct
{
  cl_mem mem;
  gsize offset;                 /* in elements */
  gint rows, cols;
  gint stride;                  /* in elements, >= cols (or any step for a view of every n-th row) */
} OclTensor;

/** The three kernel arguments of a tensor, TENSOR (name) in kernels/common.clh; @t must be an lvalue. */
#define OCL_ARG_TENSOR(t) OCL_ARG_BUFFER, &(t).mem, sizeof (cl_ulong), &(t).offset, sizeof (cl_int), &(t).stride

/** Allocates [rows][cols], contents undefined. On failure .mem is NULL and @error is set. */
OclTensor ocl_tensor_new (OclDevice *device, gint rows, gint cols, GError **error);
/** Releases the memory of a tensor from ocl_tensor_new() and zeroes the struct. */
void ocl_tensor_clear (OclDevice *device, OclTensor *tensor);

/** Rows first .. first + n - 1. */
OclTensor ocl_tensor_rows (OclTensor t, gint first, gint n);
/** Columns first .. first + n - 1 of every row. */
OclTensor ocl_tensor_cols (OclTensor t, gint first, gint n);
/** The same memory as [rows][cols]; @t must be dense (stride == cols) and of the same size. */
OclTensor ocl_tensor_reshape (OclTensor t, gint rows, gint cols);
/** Rows 0, step, 2 * step, ... of @t: ceil (rows / step) rows. */
OclTensor ocl_tensor_every (OclTensor t, gint step);

/** Host to device, rows * cols floats, dense on the host. The data is copied before return. */
void ocl_tensor_write (OclQueue *queue, OclTensor t, const gfloat *data);
/** Device to host; waits for the queue. FALSE if the queue has failed (finish reports why). */
gboolean ocl_tensor_read (OclQueue *queue, OclTensor t, gfloat *data);
/** A tensor made of host data (a norm's weight, a table). */
OclTensor ocl_tensor_new_from (OclDevice *device, gint rows, gint cols, const gfloat *data, GError **error);

/**
 * OclMatrix: a weight as the file has it: row-major [rows][cols] (rows outputs,
 * cols inputs) of @type, in memory that the caller keeps valid while packing.
 */
typedef struct
{
  OclType type;
  gint rows, cols;
  gconstpointer data;
} OclMatrix;

/**
 * OclWeight: a matrix packed for the device in groups of 16 rows (see pack.h);
 * immutable and shared by sessions.
 */
typedef struct _OclWeight OclWeight;

/**
 * ocl_weight_new:
 * @parts: matrices of one type and one number of columns, stacked in order
 *
 * Several parts become one weight (Q, K and V; gate and up), so one launch
 * computes them all.
 *
 * Returns: (transfer full) (nullable):
 */
OclWeight *ocl_weight_new (OclDevice *device, const OclMatrix *parts, guint n_parts, GError **error);
/** The same of any types: parts that are not of @type (F32, BF16, Q8_0 or Q4_0) are converted to it row by row. */
OclWeight *ocl_weight_new_of (OclDevice *device, OclType type, const OclMatrix *parts, guint n_parts, GError **error);

/** How a weight lies in memory; see pack.h. */
typedef enum
{
  OCL_LAYOUT_PANELS,            /* for products with all of it */
  OCL_LAYOUT_ROWS,              /* for ocl_gated_matmul(): of one row of x, few of its rows (outputs) are read */
  OCL_LAYOUT_COLUMNS            /* for ocl_sparse_matmul(): few of its columns (inputs) are read */
} OclLayout;

/**
 * ocl_weight_new_sparse:
 * @layout: what is wished; a weight for which the device has no kernels that read less is made as by ocl_weight_new()
 *
 * A weight of one matrix of which decoding reads a part, for matrix products only.
 *
 * Returns: (transfer full) (nullable):
 */
OclWeight *ocl_weight_new_sparse (OclDevice *device, const OclMatrix *matrix, OclLayout layout, GError **error);
void ocl_weight_free (OclWeight *weight);

/** Rows first .. first + n - 1. */
typedef struct
{
  gint first, n;
} OclRange;

/**
 * ocl_weight_view:
 * @ranges: rows of @weight, side by side in the product; each begins at a multiple of 16
 * @cols: the first so many columns: whole blocks, and an even number
 *
 * A part of @weight without a copy, for ocl_matmul(): it shares the memory of @weight, which must outlive it.
 *
 * Returns: (transfer full) (nullable):
 */
OclWeight *ocl_weight_view (const OclWeight *weight, const OclRange *ranges, guint n_ranges, gint cols, GError **error);
gint ocl_weight_get_rows (const OclWeight *weight);
gint ocl_weight_get_cols (const OclWeight *weight);
OclType ocl_weight_get_type (const OclWeight *weight);

G_END_DECLS
