#include "map.h"

#include "opencl/queue-private.h"

static RefRange *
find_range (RefMap *map, cl_mem mem)
{
  for (guint i = 0; i < map->n_ranges; i++)
    if (map->ranges[i].mem == mem)
      return &map->ranges[i];
  return NULL;
}

static void
include (RefMap *map, OclTensor t)
{
  gsize end = t.offset + (gsize) (t.rows - 1) * t.stride + t.cols;
  RefRange *range = find_range (map, t.mem);

  if (!range) {
    map->ranges[map->n_ranges++] = (RefRange) { t.mem, t.offset, end, NULL };
    return;
  }
  range->begin = MIN (range->begin, t.offset);
  range->end = MAX (range->end, end);
}

gboolean
ref_map (RefMap *map, OclQueue *queue, guint n, const OclTensor *tensors, RefTensor *views)
{
  g_return_val_if_fail (n <= REF_MAP_MAX, FALSE);

  *map = (RefMap) { .queue = queue };
  for (guint i = 0; i < n; i++)
    if (tensors[i].mem)
      include (map, tensors[i]);

  for (guint i = 0; i < map->n_ranges; i++) {
    RefRange *range = &map->ranges[i];

    range->data = ocl_queue_map (queue, range->mem, range->begin, range->end - range->begin);
    if (!range->data) {
      map->n_ranges = i;
      ref_unmap (map);
      return FALSE;
    }
  }

  for (guint i = 0; i < n; i++) {
    RefRange *range = find_range (map, tensors[i].mem);

    views[i] = (RefTensor) { NULL, tensors[i].stride, tensors[i].rows, tensors[i].cols };
    if (range)
      views[i].data = range->data + (tensors[i].offset - range->begin);
  }
  return TRUE;
}

void
ref_unmap (RefMap *map)
{
  for (guint i = 0; i < map->n_ranges; i++)
    ocl_queue_unmap (map->queue, map->ranges[i].mem, map->ranges[i].data, map->ranges[i].begin);
  map->n_ranges = 0;
}

static guint8 *
map_bytes (OclQueue *queue, cl_mem mem)
{
  gsize bytes = 0;

  if (!mem)
    return NULL;
  clGetMemObjectInfo (mem, CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
  return (guint8 *) ocl_queue_map (queue, mem, 0, bytes / sizeof (gfloat));
}

gfloat *
ref_read_chunk (OclQueue *q, const OclWeight *w, const OclWeightChunk *chunk)
{
  guint8 *data = map_bytes (q, chunk->data), *scales = map_bytes (q, chunk->scales);
  gfloat *rows = NULL;

  if (data && (scales || !chunk->scales)) {
    rows = g_new (gfloat, (gsize) chunk->rows * w->cols);
    for (gint r = 0; r < chunk->rows; r++) {
      gsize panel = chunk->first_panel + r / OCL_PANEL;

      for (gint k = 0; k < w->cols; k++)
        rows[(gsize) r * w->cols + k] = ocl_panel_value (w, data + panel * w->panel_bytes,
            scales ? scales + panel * w->scale_bytes : NULL, r % OCL_PANEL, k);
    }
  }
  ocl_queue_unmap (q, chunk->data, (gfloat *) data, 0);
  ocl_queue_unmap (q, chunk->scales, (gfloat *) scales, 0);
  return rows;
}
