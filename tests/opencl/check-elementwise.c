#include "checkkernels.h"

static void
check_add (Check *c)
{
  gint rows = check_int (c, 1, 40), cols = check_int (c, 1, 300);
  OclTensor a = check_input (c, rows, cols, -4, 4), b = check_input (c, rows, cols, -4, 4);
  gboolean in_place = check_int (c, 0, 1);
  OclTensor y = in_place ? a : check_output (c, rows, cols);

  check_describe (c, "%dx%d%s", rows, cols, in_place ? " in place" : "");
  ocl_add (check_queue (c), y, a, b);
  check_result (c, y, 0, 0);    /* one rounding: exact */
}

static void
bench_add (Check *c)
{
  OclTensor a = check_dense (c, 200, 2048, -1, 1), b = check_dense (c, 200, 2048, -1, 1);

  check_bench (c, "200x2048", 12.0 * 200 * 2048, 200 * 2048)
    ocl_add (check_queue (c), a, a, b);
}

const CheckOp check_ops_elementwise[] = {
  { "add", 12, check_add, bench_add },
  { NULL }
};
