/* Reference of the matrix product: plain loops, sums in double precision. */
#include "opencl/matmul-private.h"
#include "map.h"

static void
multiply_chunk (OclQueue *q, const OclWeight *w, const OclWeightChunk *chunk, RefTensor y, RefTensor x)
{
  g_autofree gfloat *rows = ref_read_chunk (q, w, chunk);

  for (gint n = 0; rows && n < chunk->rows; n++) {
    for (gint m = 0; m < x.rows; m++) {
      gdouble sum = 0;

      for (gint k = 0; k < w->cols; k++)
        sum += (gdouble) rows[(gsize) n * w->cols + k] * ref_row (x, m)[k];
      ref_row (y, m)[chunk->first_row + n] = sum;
    }
  }
}

void
ocl_matmul_ref (OclQueue *q, gconstpointer data)
{
  const OclMatmulArgs *args = data;
  REF_VIEWS (q, v, args->y, args->x);

  for (guint i = 0; i < args->w->n_chunks; i++)
    multiply_chunk (q, args->w, &args->w->chunks[i], v[0], v[1]);
}
