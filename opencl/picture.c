/* The picture scaler: pictures go to the device in bands; rows are scaled to bytes, then columns to floats. */
#include "picture.h"

#include <math.h>

#include "device-private.h"
#include "launch.h"
#include "ref/map.h"

#define MAX_SIDE 32767
#define BAND_BYTES (32 << 20)   /* of a picture on the device at once */
#define SLACK 64                /* vectors may be read beyond the end */
#define MATRIX_BITS 16

typedef struct
{
  cl_mem mem;
  gsize bytes;
} Buffer;

/* One direction: what PIL calls bounds and kernels. */
typedef struct
{
  gint n_in, n_out, ksize;
  gint32 *bounds;               /* [n_out][2]: first input, number of inputs */
  gint32 *weights;              /* [n_out][ksize], in units of 2^-OCL_PICTURE_BITS */
  Buffer device_bounds, device_weights;
  gboolean sent;
} Axis;

struct _OclPictureScaler
{
  OclDevice *device;
  Axis horizontal, vertical;
  Buffer source, reduced, scratch;      /* a band; rows already scaled, 4 bytes a pixel; a row of RGBx for each item */
};

typedef struct
{
  OclPictureScaler *scaler;
  const OclPicture *picture;
  gint first, rows;             /* the band */
  guint plane[3];               /* where planes begin in the band */
  gint32 yuv_to_rgb[3][4];
} RowsArgs;

typedef struct
{
  OclPictureScaler *scaler;
  OclTensor y;
  OclPictureFormat format;      /* so that both passes come from one program */
} ColumnsArgs;

/* ---- weights ------------------------------------------------------------------------ */

static void
axis_clear (OclDevice *device, Axis *axis)
{
  g_clear_pointer (&axis->bounds, g_free);
  g_clear_pointer (&axis->weights, g_free);
  ocl_device_release (device, axis->device_bounds.mem);
  ocl_device_release (device, axis->device_weights.mem);
  *axis = (Axis) { 0 };
}

/* The weights of one output: a triangle around its centre, in double as PIL computes them. */
static void
make_weights (const Axis *axis, gint i, gdouble *w)
{
  gdouble scale = (gdouble) axis->n_in / axis->n_out, support = MAX (scale, 1.), inverse = 1. / support;
  gdouble centre = (i + 0.5) * scale, sum = 0.;
  gint first = MAX ((gint) (centre - support + 0.5), 0), n = MIN ((gint) (centre + support + 0.5), axis->n_in) - first;

  for (gint k = 0; k < n; k++) {
    w[k] = MAX (1. - fabs ((k + first - centre + 0.5) * inverse), 0.);
    sum += w[k];
  }
  axis->bounds[2 * i] = first;
  axis->bounds[2 * i + 1] = n;
  for (gint k = 0; k < n; k++)
    axis->weights[(gsize) i * axis->ksize + k] = (gint32) (0.5 + w[k] / sum * (1 << OCL_PICTURE_BITS));
}

static gboolean
grow (OclDevice *device, Buffer *buffer, gsize bytes, GError **error)
{
  if (buffer->bytes >= bytes)
    return TRUE;
  ocl_device_release (device, buffer->mem);
  buffer->bytes = 0;
  buffer->mem = ocl_device_alloc (device, CL_MEM_READ_WRITE, bytes, error);
  if (buffer->mem)
    buffer->bytes = bytes;
  return buffer->mem != NULL;
}

static gboolean
axis_prepare (OclDevice *device, Axis *axis, gint n_in, gint n_out, GError **error)
{
  gint ksize = (gint) ceil (MAX ((gdouble) n_in / n_out, 1.)) * 2 + 1;
  g_autofree gdouble *w = NULL;

  if (axis->n_in == n_in && axis->n_out == n_out)
    return TRUE;
  axis->n_in = axis->n_out = 0;
  axis->sent = FALSE;
  if (!grow (device, &axis->device_bounds, 2 * (gsize) n_out * sizeof (gint32), error)
      || !grow (device, &axis->device_weights, (gsize) n_out * ksize * sizeof (gint32), error))
    return FALSE;
  g_free (axis->bounds);
  g_free (axis->weights);
  axis->bounds = g_new (gint32, 2 * (gsize) n_out);
  axis->weights = g_new0 (gint32, (gsize) n_out * ksize);
  axis->n_in = n_in;
  axis->n_out = n_out;
  axis->ksize = ksize;
  w = g_new (gdouble, ksize);
  for (gint i = 0; i < n_out; i++)
    make_weights (axis, i, w);
  return TRUE;
}

static void
write_bytes (OclQueue *q, cl_mem mem, gsize offset, gsize bytes, gconstpointer data)
{
  if (!ocl_queue_failed (q))
    ocl_queue_check (q, clEnqueueWriteBuffer (ocl_queue_get_handle (q), mem, CL_TRUE, offset, bytes, data, 0, NULL, NULL),
        "Cannot write a picture to the device");
}

static void
axis_send (OclQueue *q, Axis *axis)
{
  if (axis->sent)
    return;
  write_bytes (q, axis->device_bounds.mem, 0, 2 * (gsize) axis->n_out * sizeof (gint32), axis->bounds);
  write_bytes (q, axis->device_weights.mem, 0, (gsize) axis->n_out * axis->ksize * sizeof (gint32), axis->weights);
  axis->sent = !ocl_queue_failed (q);
}

static RefPictureAxis
ref_axis (const Axis *axis)
{
  return (RefPictureAxis) { axis->n_in, axis->n_out, axis->ksize, axis->bounds, axis->weights };
}

/* ---- planes ---------------------------------------------------------------------------- */

static gint
count_planes (OclPictureFormat format)
{
  return format == OCL_PICTURE_I420 ? 3 : format == OCL_PICTURE_NV12 ? 2 : 1;
}

static gint
row_bytes (const OclPicture *p, gint plane)
{
  gint chroma = (p->width + 1) / 2;

  switch (p->format) {
    case OCL_PICTURE_RGB:
      return 3 * p->width;
    case OCL_PICTURE_RGBA:
      return 4 * p->width;
    case OCL_PICTURE_I420:
      return plane ? chroma : p->width;
    case OCL_PICTURE_NV12:
      return plane ? 2 * chroma : p->width;
  }
  return 0;
}

static gint
plane_rows (gint plane, gint rows)
{
  return plane ? (rows + 1) / 2 : rows;
}

/* Bytes of @rows rows of all planes; @start (nullable): where each plane begins. */
static gsize
band_bytes (const OclPicture *p, gint rows, guint *start)
{
  gsize bytes = 0;

  for (gint i = 0; i < count_planes (p->format); i++) {
    if (start)
      start[i] = bytes;
    bytes += (gsize) row_bytes (p, i) * plane_rows (i, rows);
  }
  return bytes;
}

/* Rows of a band: even, as two rows share their chroma. */
static gint
band_rows (const OclPicture *p)
{
  return MIN (p->height, MAX (BAND_BYTES / row_bytes (p, 0) / 2 * 2, 2));
}

static gboolean
is_valid (const OclPicture *p, OclTensor y, gint width, gint height, GError **error)
{
  gboolean ok = p->width > 0 && p->width <= MAX_SIDE && p->height > 0 && p->height <= MAX_SIDE
      && p->format >= OCL_PICTURE_RGB && p->format <= OCL_PICTURE_NV12;

  for (gint i = 0; ok && i < count_planes (p->format); i++)
    ok = p->plane[i] && p->stride[i] >= row_bytes (p, i);
  if (!ok)
    g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED, "Not a picture: %d x %d in format %d with rows of %d bytes; sides are"
        " 1 to %d", p->width, p->height, p->format, p->stride[0], MAX_SIDE);
  else if (!(ok = width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE && ocl_has_shape (y, height * width, 3)))
    g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED, "A picture of %d x %d does not fit into a tensor of %d x %d", width,
        height, y.rows, y.cols);
  return ok;
}

static void
upload (OclQueue *q, const RowsArgs *a)
{
  const OclPicture *p = a->picture;

  for (gint i = 0; i < count_planes (p->format) && !ocl_queue_failed (q); i++) {
    gsize size = row_bytes (p, i), rows = plane_rows (i, a->rows), stride = p->stride[i];
    const guint8 *data = p->plane[i] + (i ? a->first / 2 : a->first) * stride;
    const gsize origin[3] = { a->plane[i], 0, 0 }, host_origin[3] = { 0, 0, 0 }, region[3] = { size, rows, 1 };

    if (stride == size || rows == 1)
      write_bytes (q, a->scaler->source.mem, a->plane[i], size * rows, data);
    else
      ocl_queue_check (q, clEnqueueWriteBufferRect (ocl_queue_get_handle (q), a->scaler->source.mem, CL_TRUE, origin,
              host_origin, region, size, 0, stride, 0, data, 0, NULL, NULL), "Cannot write a picture to the device");
  }
}

/* ---- rows -------------------------------------------------------------------------------- */

/* References see bytes through the mapping of floats; buffers have whole floats. */
static guint8 *
map_bytes (OclQueue *q, const Buffer *buffer)
{
  return (guint8 *) ocl_queue_map (q, buffer->mem, 0, buffer->bytes / sizeof (gfloat));
}

static void
unmap_bytes (OclQueue *q, const Buffer *buffer, guint8 *bytes)
{
  ocl_queue_unmap (q, buffer->mem, (gfloat *) bytes, 0);
}

static void
picture_rows_ref (OclQueue *q, gconstpointer data)
{
  const RowsArgs *a = data;
  OclPictureScaler *s = a->scaler;
  const RefPictureAxis axis = ref_axis (&s->horizontal);
  guint8 *y = map_bytes (q, &s->reduced);

  if (y)
    ref_picture_rows (y + 4 * (gsize) a->first * axis.n_out, a->picture, a->first, a->rows, a->yuv_to_rgb[0], &axis);
  unmap_bytes (q, &s->reduced, y);
}

typedef struct
{
  cl_int4 row[3];
} Matrix;

static Matrix
to_matrix (const RowsArgs *a)
{
  Matrix m;

  for (gint c = 0; c < 3; c++) {
    for (gint i = 0; i < 4; i++)
      m.row[c].s[i] = a->yuv_to_rgb[c][i];
    m.row[c].s[3] += 1 << (MATRIX_BITS - 1);
  }
  return m;
}

static OclKernel *
get_kernel (OclQueue *q, const gchar *program, const gchar *kernel, OclPictureFormat format)
{
  gchar options[32];

  g_snprintf (options, sizeof options, "-DFORMAT=%d", format);
  return ocl_queue_get_kernel (q, program, kernel, options);
}

/* The band's first row in the reduced picture; a kernel argument, so that bands need no sub-buffers. */
#define ROWS_ARGS(a, s, m, first) \
    OCL_ARG ((s)->reduced.mem), OCL_ARG (first), OCL_ARG ((s)->source.mem), OCL_ARG ((a)->picture->width), \
    OCL_ARG ((a)->plane[1]), OCL_ARG ((a)->plane[2]), OCL_ARG ((m).row[0]), OCL_ARG ((m).row[1]), OCL_ARG ((m).row[2]), \
    OCL_ARG ((s)->horizontal.device_bounds.mem), OCL_ARG ((s)->horizontal.device_weights.mem), \
    OCL_ARG ((s)->horizontal.ksize), OCL_ARG ((s)->horizontal.n_out)

static void
picture_rows_portable (OclQueue *q, gconstpointer data)
{
  const RowsArgs *a = data;
  OclPictureScaler *s = a->scaler;
  gsize global[2] = { ocl_round_up (s->horizontal.n_out, OCL_GROUP_SIZE), a->rows };
  Matrix m = to_matrix (a);

  upload (q, a);
  ocl_queue_run (q, get_kernel (q, "picture", "picture_rows", a->picture->format), 2, global, ocl_row_group,
      ROWS_ARGS (a, s, m, a->first), OCL_ARGS_END);
}

static OclCut
cut_rows (OclQueue *q, const OclPicture *p, gint rows)
{
  return ocl_cut_rows (q, rows, 4 * p->width, OCL_ITEM_ELEMENTS);
}

static gint
scratch_row (const OclPicture *p)
{
  return ocl_round_up (p->width, 16);
}

static void
picture_rows_cpu (OclQueue *q, gconstpointer data)
{
  const RowsArgs *a = data;
  OclPictureScaler *s = a->scaler;
  OclCut cut = cut_rows (q, a->picture, a->rows);
  gint row = scratch_row (a->picture);
  Matrix m = to_matrix (a);

  upload (q, a);
  ocl_queue_run (q, get_kernel (q, "picture-cpu", "picture_rows", a->picture->format), 2, cut.global, ocl_single_item,
      ROWS_ARGS (a, s, m, a->first), OCL_ARG (a->rows), OCL_ARG (cut.row_step), OCL_ARG (s->scratch.mem), OCL_ARG (row),
      OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (picture_rows)

/* ---- columns ------------------------------------------------------------------------------- */

static void
picture_columns_ref (OclQueue *q, gconstpointer data)
{
  const ColumnsArgs *a = data;
  OclPictureScaler *s = a->scaler;
  const RefPictureAxis axis = ref_axis (&s->vertical);
  REF_VIEWS (q, v, a->y);
  guint8 *x = map_bytes (q, &s->reduced);

  if (x)
    ref_picture_columns (v[0], x, s->horizontal.n_out, &axis);
  unmap_bytes (q, &s->reduced, x);
}

static void
picture_columns_portable (OclQueue *q, gconstpointer data)
{
  const ColumnsArgs *a = data;
  OclPictureScaler *s = a->scaler;
  gsize global[2] = { ocl_round_up (s->horizontal.n_out, OCL_GROUP_SIZE), s->vertical.n_out };

  ocl_queue_run (q, get_kernel (q, "picture", "picture_columns", a->format), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG (s->reduced.mem), OCL_ARG (s->horizontal.n_out),
      OCL_ARG (s->vertical.device_bounds.mem), OCL_ARG (s->vertical.device_weights.mem), OCL_ARG (s->vertical.ksize),
      OCL_ARGS_END);
}

static void
picture_columns_cpu (OclQueue *q, gconstpointer data)
{
  const ColumnsArgs *a = data;
  OclPictureScaler *s = a->scaler;
  OclCut cut = ocl_cut_rows (q, s->vertical.n_out, 4 * s->horizontal.n_out, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, get_kernel (q, "picture-cpu", "picture_columns", a->format), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG (s->reduced.mem), OCL_ARG (s->horizontal.n_out),
      OCL_ARG (s->vertical.device_bounds.mem), OCL_ARG (s->vertical.device_weights.mem), OCL_ARG (s->vertical.ksize),
      OCL_ARG (s->vertical.n_out), OCL_ARG (cut.row_step), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (picture_columns)

/* ---- scaler ---------------------------------------------------------------------------------- */

OclPictureScaler *
ocl_picture_scaler_new (OclDevice *device)
{
  OclPictureScaler *scaler = g_new0 (OclPictureScaler, 1);

  scaler->device = ocl_device_ref (device);
  return scaler;
}

void
ocl_picture_scaler_free (OclPictureScaler *scaler)
{
  if (!scaler)
    return;
  axis_clear (scaler->device, &scaler->horizontal);
  axis_clear (scaler->device, &scaler->vertical);
  ocl_device_release (scaler->device, scaler->source.mem);
  ocl_device_release (scaler->device, scaler->reduced.mem);
  ocl_device_release (scaler->device, scaler->scratch.mem);
  ocl_device_unref (scaler->device);
  g_free (scaler);
}

static gboolean
prepare (OclPictureScaler *s, OclQueue *q, const OclPicture *p, gint width, gint height, GError **error)
{
  gint rows = band_rows (p), items = cut_rows (q, p, rows).global[1];
  gsize source = ocl_round_up (band_bytes (p, rows, NULL) + SLACK, sizeof (gfloat));
  gboolean converts = p->format == OCL_PICTURE_I420 || p->format == OCL_PICTURE_NV12;

  return axis_prepare (s->device, &s->horizontal, p->width, width, error)
      && axis_prepare (s->device, &s->vertical, p->height, height, error)
      && grow (s->device, &s->source, source, error)
      && grow (s->device, &s->reduced, (gsize) p->height * width * 4, error)
      && grow (s->device, &s->scratch, converts ? (gsize) items * scratch_row (p) * 4 : SLACK, error);
}

/* In units of 2^-16. Wider than any matrix in use, and far from overflow with bytes. */
static void
convert_matrix (gint32 m[3][4], const OclPicture *p)
{
  for (gint c = 0; c < 3; c++)
    for (gint i = 0; i < 4; i++) {
      gfloat limit = i == 3 ? 4096 : 16, v = p->yuv_to_rgb[c][i];

      m[c][i] = lrintf ((v >= -limit && v <= limit ? v : 0) * (1 << MATRIX_BITS));
    }
}

gboolean
ocl_picture_scale (OclPictureScaler *scaler, OclQueue *q, OclTensor y, gint width, gint height, const OclPicture *picture,
    GError **error)
{
  RowsArgs rows = { .scaler = scaler, .picture = picture };
  ColumnsArgs columns = { scaler, y, picture->format };
  gint step;

  if (!is_valid (picture, y, width, height, error) || !prepare (scaler, q, picture, width, height, error))
    return FALSE;
  axis_send (q, &scaler->horizontal);
  axis_send (q, &scaler->vertical);
  if (count_planes (picture->format) > 1)
    convert_matrix (rows.yuv_to_rgb, picture);
  step = band_rows (picture);
  for (rows.first = 0; rows.first < picture->height; rows.first += step) {
    rows.rows = MIN (step, picture->height - rows.first);
    band_bytes (picture, rows.rows, rows.plane);
    ocl_variant_run (q, &ocl_op_picture_rows, &rows);
  }
  ocl_variant_run (q, &ocl_op_picture_columns, &columns);
  return TRUE;
}
