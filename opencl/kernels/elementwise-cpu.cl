/* y = f (u, v, value) element by element, a block of rows and columns a work-item. */
#include "exp.clh"
#include "rows.clh"
#include "step.clh"
#include "sparse.clh"

#define ELEMENTWISE_KERNEL(name, expression) \
  KERNEL (name, TENSOR_ARG (y), TENSOR_ARG (a), TENSOR_ARG (b), INT_ARG (rows), INT_ARG (row_step), \
      INT_ARG (cols), INT_ARG (col_step), FLOAT_ARG (value)) \
  { \
    int first = get_global_id (0) * col_step, end = min (first + col_step, cols); \
    int row = get_global_id (1) * row_step, row_end = min (row + row_step, rows); \
    for (; row < row_end; row++) { \
      global const float *a_row = ROW (a, row), *b_row = ROW (b, row); \
      global float *y_row = ROW (y, row); \
      int c = first; \
      for (; c + 16 <= end; c += 16) { \
        float16 u = vload16 (0, a_row + c), v = vload16 (0, b_row + c); \
        vstore16 (expression, 0, y_row + c); \
      } \
      for (; c < end; c++) { \
        float u = a_row[c], v = b_row[c]; \
        y_row[c] = expression; \
      } \
    } \
  }

#include "elementwise-list.clh"

KERNEL (fill, TENSOR_ARG (y), INT_ARG (rows), INT_ARG (row_step), INT_ARG (cols), INT_ARG (col_step),
    FLOAT_ARG (value))
{
  int first = get_global_id (0) * col_step, end = min (first + col_step, cols);
  int row = get_global_id (1) * row_step, row_end = min (row + row_step, rows);

  for (; row < row_end; row++)
    for (int c = first; c < end; c++)
      ROW (y, row)[c] = value;
}

/* y = gelu (max (0, gate - cutoff)) * up. */
KERNEL (sparse_gelu, TENSOR_ARG (y), TENSOR_ARG (gate), TENSOR_ARG (up), INT_ARG (rows), INT_ARG (row_step),
    INT_ARG (cols), FLOAT_ARG (sparsity))
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, rows);

  for (int row = first; row < end; row++) {
    global const float *g = ROW (gate, row), *u = ROW (up, row);
    global float *yr = ROW (y, row);
    float cutoff = cutoff_of (g, cols, sparsity);
    int c = 0;

    for (; c + 16 <= cols; c += 16) {
      float16 v = fmax (vload16 (0, g + c) - cutoff, 0.f);

      vstore16 (GELU (v) * vload16 (0, u + c), 0, yr + c);
    }
    for (; c < cols; c++) {
      float v = fmax (g[c] - cutoff, 0.f);

      yr[c] = GELU (v) * u[c];
    }
  }
}
