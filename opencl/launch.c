#include "launch.h"

#define ITEMS_PER_UNIT 4        /* evens out items of unequal cost */

const gsize ocl_single_item[3] = { 1, 1, 1 };
const gsize ocl_row_group[2] = { OCL_GROUP_SIZE, 1 };

gboolean
ocl_launch_check (OclQueue *queue, const OclOperation *operation, gboolean ok)
{
  if (ocl_queue_failed (queue))
    return FALSE;
  if (!ok)
    ocl_queue_take_error (queue, g_error_new (OCL_ERROR, OCL_ERROR_FAILED,
            "%s: the shapes of its operands do not fit together", operation->name));
  return ok;
}

static gint
count_items (OclQueue *queue, gint rows, gint cols, gint item_elements)
{
  gint64 n = (gint64) rows * cols / item_elements;

  return CLAMP (n, 1, ITEMS_PER_UNIT * (gint64) ocl_device_get_compute_units (ocl_queue_get_device (queue)));
}

static gint
divide_up (gint n, gint by)
{
  return (n + by - 1) / by;
}

static OclCut
make_cut (gint rows, gint cols, gint row_step, gint col_step)
{
  return (OclCut) { col_step, row_step, { divide_up (cols, col_step), divide_up (rows, row_step) } };
}

OclCut
ocl_cut_rows (OclQueue *queue, gint rows, gint cols, gint item_elements)
{
  gint n = MIN (rows, count_items (queue, rows, cols, item_elements));

  return make_cut (rows, cols, divide_up (rows, n), cols);
}

OclCut
ocl_cut (OclQueue *queue, gint rows, gint cols, gint item_elements)
{
  gint n = count_items (queue, rows, cols, item_elements), parts;

  if (n <= rows)
    return make_cut (rows, cols, divide_up (rows, n), cols);
  parts = divide_up (n, rows);
  return make_cut (rows, cols, 1, ocl_round_up (divide_up (cols, parts), 16));
}
