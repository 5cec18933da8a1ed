/* Reference of the matrix product: plain loops, sums in double precision. */
#include "opencl/matmul-private.h"
#include "map.h"

static void
multiply_chunk (OclQueue *q, const OclWeight *w, const OclWeightChunk *chunk, RefTensor y, RefTensor x)
{
  guint8 *data = ref_map_bytes (q, chunk->data), *scales = ref_map_bytes (q, chunk->scales);
  g_autofree gfloat *row = g_new (gfloat, w->cols);

  for (gint n = 0; data && (scales || !chunk->scales) && n < chunk->rows; n++) {
    const gsize panel = chunk->first_panel + n / OCL_PANEL;
    const guint8 *panel_scales = scales ? scales + panel * w->scale_bytes : NULL;

    for (gint k = 0; k < w->cols; k++)
      row[k] = ocl_panel_value (w->type, data + panel * w->panel_bytes, panel_scales, n % OCL_PANEL, k);
    for (gint m = 0; m < x.rows; m++) {
      gdouble sum = 0;

      for (gint k = 0; k < w->cols; k++)
        sum += (gdouble) row[k] * ref_row (x, m)[k];
      ref_row (y, m)[chunk->first_row + n] = sum;
    }
  }
  ocl_queue_unmap (q, chunk->data, (gfloat *) data, 0);
  ocl_queue_unmap (q, chunk->scales, (gfloat *) scales, 0);
}

void
ocl_matmul_ref (OclQueue *q, gconstpointer data)
{
  const OclMatmulArgs *args = data;
  REF_VIEWS (q, v, args->y, args->x);

  for (guint i = 0; i < args->w->n_chunks; i++)
    multiply_chunk (q, args->w, &args->w->chunks[i], v[0], v[1]);
}
