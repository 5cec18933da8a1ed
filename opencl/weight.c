/* Weights on the device: allocation in chunks, packing by several threads. */
#include "pack.h"

#include "device-private.h"

#include <string.h>

#define SLAB (32u << 20)        /* bytes mapped at a time: the extra memory on a device with its own */
#define MAX_THREADS 8
#define LINE (OCL_PANEL * sizeof (guint32))

typedef struct
{
  const OclMatrix *parts;
  guint n_parts;
  const OclWeight *weight;
  gint first_panel, n_panels;
  guint8 *data, *scales;        /* of first_panel */
} PackJob;

/* The file's bytes of a row of the stacked parts; NULL past the end. */
static const guint8 *
find_row (const PackJob *job, gint row, OclType *type)
{
  for (guint i = 0; i < job->n_parts; i++) {
    const OclMatrix *part = &job->parts[i];

    *type = part->type;
    if (row < part->rows)
      return (const guint8 *) part->data + row * ocl_type_row_bytes (part->type, part->cols);
    row -= part->rows;
  }
  return NULL;
}

/* Room for a panel's rows on their way to another type. */
typedef struct
{
  gfloat *values;               /* of one row */
  guint8 *rows;
} Conversion;

/* @row as the weight's type, until the next panel's row @r. */
static const guint8 *
convert_row (const OclWeight *weight, OclType type, const guint8 *row, gint r, Conversion *to)
{
  const gsize bytes = ocl_type_row_bytes (weight->type, weight->cols);

  if (!to->values) {
    to->values = g_new (gfloat, weight->cols);
    to->rows = g_malloc (OCL_PANEL * bytes);
  }
  ocl_type_dequantize (type, row, to->values, weight->cols);
  ocl_type_quantize (weight->type, to->values, to->rows + r * bytes, weight->cols);
  return to->rows + r * bytes;
}

static gpointer
run_job (gpointer data)
{
  const PackJob *job = data;
  const OclWeight *weight = job->weight;
  Conversion conversion = { NULL, NULL };

  for (gint p = 0; p < job->n_panels; p++) {
    const guint8 *rows[OCL_PANEL];

    for (gint r = 0; r < OCL_PANEL; r++) {
      OclType type;

      rows[r] = find_row (job, (job->first_panel + p) * OCL_PANEL + r, &type);
      if (rows[r] && type != weight->type)
        rows[r] = convert_row (weight, type, rows[r], r, &conversion);
    }
    ocl_pack_panel (weight, rows, job->data + p * weight->panel_bytes,
        job->scales ? job->scales + p * weight->scale_bytes : NULL);
  }
  g_free (conversion.values);
  g_free (conversion.rows);
  return NULL;
}

static void
pack_parallel (const PackJob *all)
{
  PackJob jobs[MAX_THREADS];
  GThread *threads[MAX_THREADS] = { NULL };
  gint n = CLAMP ((gint) g_get_num_processors (), 1, MAX_THREADS);

  if (all->n_panels * ocl_panel_bytes (all->weight->type, all->weight->cols) < 1u << 20)        /* less than what starting threads takes */
    n = 1;
  for (gint i = 0; i < n; i++) {
    gint from = (gint64) all->n_panels * i / n, to = (gint64) all->n_panels * (i + 1) / n;

    jobs[i] = *all;
    jobs[i].first_panel += from;
    jobs[i].n_panels = to - from;
    jobs[i].data += from * all->weight->panel_bytes;
    jobs[i].scales = all->scales ? all->scales + from * all->weight->scale_bytes : NULL;
    if (i + 1 < n)
      threads[i] = g_thread_try_new ("pack", run_job, &jobs[i], NULL);
    if (!threads[i])
      run_job (&jobs[i]);
  }
  for (gint i = 0; i < n; i++)
    if (threads[i])
      g_thread_join (threads[i]);
}

/* Of the data of so many panels. Words of rows are read 16 at a time, up to 15 too many. */
static gsize
chunk_bytes (const OclWeight *weight, gint n_panels)
{
  switch (weight->layout) {
    case OCL_LAYOUT_COLUMNS:
      return ocl_panel_bytes (weight->type, weight->cols) / LINE * weight->line_bytes;
    case OCL_LAYOUT_ROWS:
      return n_panels * weight->panel_bytes + LINE;
    default:
      return n_panels * weight->panel_bytes;
  }
}

static gsize
chunk_scale_bytes (const OclWeight *weight, gint n_panels)
{
  return n_panels * ocl_panel_scale_bytes (weight->type, weight->cols);
}

static gpointer
map_for_writing (OclQueue *queue, cl_mem mem, gsize offset, gsize bytes)
{
  cl_int status;
  gpointer mapped;

  if (!mem || ocl_queue_failed (queue))
    return NULL;
  mapped = clEnqueueMapBuffer (ocl_queue_get_handle (queue), mem, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, offset, bytes,
      0, NULL, NULL, &status);
  return ocl_queue_check (queue, status, "Cannot map the memory of a weight") ? mapped : NULL;
}

static void
unmap (OclQueue *queue, cl_mem mem, gpointer mapped)
{
  if (mapped)
    ocl_queue_check (queue, clEnqueueUnmapMemObject (ocl_queue_get_handle (queue), mem, mapped, 0, NULL, NULL),
        "Cannot unmap the memory of a weight");
}

/* Some panels at a time; those whose lines are among each other are one piece of memory. */
static void
fill_chunk (OclQueue *queue, const OclWeight *weight, const OclWeightChunk *chunk, const OclMatrix *parts, guint n_parts)
{
  gint step = weight->layout == OCL_LAYOUT_COLUMNS ? chunk->n_panels : (gint) MAX (SLAB / weight->panel_bytes, 1);

  for (gint p = 0; p < chunk->n_panels && !ocl_queue_failed (queue); p += step) {
    gint n = MIN (step, chunk->n_panels - p);
    PackJob job = { parts, n_parts, weight, chunk->first_row / OCL_PANEL + p, n };

    job.data = map_for_writing (queue, chunk->data, p * weight->panel_bytes, chunk_bytes (weight, n));
    job.scales = map_for_writing (queue, chunk->scales, p * weight->scale_bytes, chunk_scale_bytes (weight, n));
    if (job.data && (job.scales || !chunk->scales))
      pack_parallel (&job);
    unmap (queue, chunk->data, job.data);
    unmap (queue, chunk->scales, job.scales);
  }
}

static gboolean
allocate_chunk (OclWeight *weight, OclWeightChunk *chunk, gint first_panel, gint n_panels, GError **error)
{
  chunk->first_row = first_panel * OCL_PANEL;
  chunk->n_panels = n_panels;
  chunk->rows = MIN (n_panels * OCL_PANEL, weight->rows - chunk->first_row);
  chunk->data = ocl_device_alloc (weight->device, CL_MEM_READ_ONLY, chunk_bytes (weight, n_panels), error);
  if (chunk->data && weight->scale_bytes > 0)
    chunk->scales = ocl_device_alloc (weight->device, CL_MEM_READ_ONLY, chunk_scale_bytes (weight, n_panels), error);
  return chunk->data && (chunk->scales || weight->scale_bytes == 0);
}

/* Whether parts of @from can be in a weight of @to. */
static gboolean
fits (OclType from, OclType to, gint cols)
{
  return ocl_type_row_bytes (from, cols) > 0 && ocl_type_row_bytes (to, cols) > 0
      && (from == to || ocl_type_quantize (to, NULL, NULL, 0));
}

static gboolean
check_parts (OclType type, const OclMatrix *parts, guint n_parts, gint64 *rows, GError **error)
{
  *rows = 0;
  for (guint i = 0; i < n_parts; i++) {
    if (parts[i].rows <= 0 || parts[i].cols != parts[0].cols || !fits (parts[i].type, type, parts[i].cols)) {
      g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED,
          "A weight of %s cannot be made of %d x %d values of %s (parts must agree, and rows be whole blocks)",
          ocl_type_info (type)->name, parts[i].rows, parts[i].cols, ocl_type_info (parts[i].type)->name);
      return FALSE;
    }
    *rows += parts[i].rows;
  }
  if (n_parts > 0 && *rows <= G_MAXINT - OCL_PANEL)
    return TRUE;
  g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED, "A weight cannot have %" G_GINT64_FORMAT " rows", *rows);
  return FALSE;
}

static void
lay_out (OclWeight *weight, OclLayout layout, gint n_panels)
{
  weight->layout = layout;
  weight->panel_bytes = ocl_panel_bytes (weight->type, weight->cols);
  weight->scale_bytes = ocl_panel_scale_bytes (weight->type, weight->cols);
  weight->line_bytes = LINE;
  weight->block_bytes = ocl_panel_block_bytes (weight->type);
  if (layout == OCL_LAYOUT_ROWS)
    weight->line_bytes = sizeof (guint32);
  if (layout == OCL_LAYOUT_COLUMNS) {
    weight->panel_bytes = LINE;
    weight->line_bytes = (n_panels | 1) * LINE;
    weight->scale_bytes = weight->block_bytes;
    weight->block_bytes *= n_panels;
  }
}

static OclWeight *
new_weight (OclDevice *device, OclType type, const OclMatrix *parts, guint n_parts, OclLayout layout, GError **error)
{
  OclWeight *weight;
  OclQueue *queue;
  gint64 rows;
  gint n_panels, step;
  gboolean ok;

  if (!check_parts (type, parts, n_parts, &rows, error))
    return NULL;
  queue = ocl_queue_new (device, error);
  if (!queue)
    return NULL;
  weight = g_new0 (OclWeight, 1);
  weight->device = ocl_device_ref (device);
  weight->type = type;
  weight->rows = rows;
  weight->cols = weight->all_cols = parts[0].cols;
  n_panels = (rows + OCL_PANEL - 1) / OCL_PANEL;
  lay_out (weight, layout, n_panels);
  step = CLAMP (device->max_alloc / ocl_panel_bytes (weight->type, weight->cols), 1, (guint64) n_panels);
  weight->n_chunks = (n_panels + step - 1) / step;
  weight->chunks = g_new0 (OclWeightChunk, weight->n_chunks);
  ok = TRUE;
  for (guint i = 0; ok && i < weight->n_chunks; i++) {
    ok = allocate_chunk (weight, &weight->chunks[i], i * step, MIN (step, n_panels - (gint) i * step), error);
    if (ok)
      fill_chunk (queue, weight, &weight->chunks[i], parts, n_parts);
  }
  ok = ok && ocl_queue_finish (queue, error);
  ocl_queue_free (queue);
  if (!ok)
    g_clear_pointer (&weight, ocl_weight_free);
  return weight;
}

OclWeight *
ocl_weight_new (OclDevice *device, const OclMatrix *parts, guint n_parts, GError **error)
{
  const OclType type = n_parts > 0 ? parts[0].type : OCL_TYPE_F32;

  for (guint i = 1; i < n_parts; i++) {
    if (parts[i].type != type) {
      g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED, "A weight cannot be made of %s and %s", ocl_type_info (type)->name,
          ocl_type_info (parts[i].type)->name);
      return NULL;
    }
  }
  return new_weight (device, type, parts, n_parts, OCL_LAYOUT_PANELS, error);
}

OclWeight *
ocl_weight_new_of (OclDevice *device, OclType type, const OclMatrix *parts, guint n_parts, GError **error)
{
  return new_weight (device, type, parts, n_parts, OCL_LAYOUT_PANELS, error);
}

/* What kernels/matmul-gated.cl and matmul-sparse.cl take, in 8 bits and in 24. */
static gboolean
can_be_sparse (OclDevice *device, const OclMatrix *m, OclLayout layout)
{
  const OclTypeInfo *info = ocl_type_info (m->type);
  const guint needed = info->bits < 8 ? OCL_DEVICE_AVX2 : OCL_DEVICE_AVX512VNNI | OCL_DEVICE_AVXVNNI;
  const gsize bytes = (gsize) m->rows * m->cols + (gsize) m->cols * LINE;
  const gint most = layout == OCL_LAYOUT_ROWS ? OCL_GATED_COLS : OCL_GEMV_COLS;

  return device->bits & needed && info->block > 1 && m->rows % OCL_PANEL == 0
      && m->cols <= most && bytes <= device->max_alloc;
}

OclWeight *
ocl_weight_new_sparse (OclDevice *device, const OclMatrix *matrix, OclLayout layout, GError **error)
{
  return new_weight (device, matrix->type, matrix, 1, can_be_sparse (device, matrix, layout) ? layout : OCL_LAYOUT_PANELS, error);
}

/* ---- views ------------------------------------------------------------------------------ */

static gboolean
check_view (const OclWeight *weight, const OclRange *ranges, guint n_ranges, gint cols, GError **error)
{
  const gint step = MAX (ocl_type_info (weight->type)->block, 2);
  gboolean fits = cols > 0 && cols <= weight->cols && (cols == weight->cols || cols % step == 0) && n_ranges > 0;

  for (guint i = 0; i < n_ranges; i++)
    fits = fits && ranges[i].first >= 0 && ranges[i].first % OCL_PANEL == 0 && ranges[i].n > 0
        && ranges[i].n <= weight->rows - ranges[i].first;
  if (!fits)
    g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED,
        "%d of %d columns of a weight of %s cannot be a view, or its rows cannot (columns in steps of %d, rows from "
        "multiples of %d)", cols, weight->cols, ocl_type_info (weight->type)->name, step, OCL_PANEL);
  return fits;
}

/* What @range has of @chunk goes into @out, from row *@row of the view on; FALSE if that is nothing. */
static gboolean
cut_chunk (const OclWeightChunk *chunk, const OclRange *range, gint *row, OclWeightChunk *out)
{
  const gint first = MAX (range->first, chunk->first_row);
  const gint rows = MIN (range->first + range->n, chunk->first_row + chunk->rows) - first;

  if (rows <= 0)
    return FALSE;
  *out = *chunk;
  out->first_panel += (first - chunk->first_row) / OCL_PANEL;
  out->n_panels = (rows + OCL_PANEL - 1) / OCL_PANEL;
  out->first_row = *row;
  out->rows = rows;
  *row += rows;
  return TRUE;
}

OclWeight *
ocl_weight_view (const OclWeight *weight, const OclRange *ranges, guint n_ranges, gint cols, GError **error)
{
  OclWeight *view;

  if (!check_view (weight, ranges, n_ranges, cols, error))
    return NULL;
  view = g_new (OclWeight, 1);
  *view = *weight;
  view->device = ocl_device_ref (weight->device);
  view->is_view = TRUE;
  view->rows = 0;
  view->cols = cols;
  view->n_chunks = 0;
  view->chunks = g_new (OclWeightChunk, n_ranges * weight->n_chunks);
  for (guint i = 0; i < n_ranges; i++)
    for (guint j = 0; j < weight->n_chunks; j++)
      view->n_chunks += cut_chunk (&weight->chunks[j], &ranges[i], &view->rows, &view->chunks[view->n_chunks]);
  return view;
}

void
ocl_weight_free (OclWeight *weight)
{
  if (!weight)
    return;
  for (guint i = 0; i < weight->n_chunks && !weight->is_view; i++) {
    ocl_device_release (weight->device, weight->chunks[i].data);
    ocl_device_release (weight->device, weight->chunks[i].scales);
  }
  g_free (weight->chunks);
  ocl_device_unref (weight->device);
  g_free (weight);
}

gint
ocl_weight_get_rows (const OclWeight *weight)
{
  return weight->rows;
}

gint
ocl_weight_get_cols (const OclWeight *weight)
{
  return weight->cols;
}

OclType
ocl_weight_get_type (const OclWeight *weight)
{
  return weight->type;
}
