/* Tensors of float32 on the device. */
#include "tensor.h"

#include "device-private.h"

static const OclTensor no_tensor;

OclTensor
ocl_tensor_new (OclDevice *device, gint rows, gint cols, GError **error)
{
  OclTensor t = { .rows = rows, .cols = cols, .stride = cols };

  if (rows <= 0 || cols <= 0) {
    g_set_error (error, OCL_ERROR, OCL_ERROR_FAILED, "A tensor cannot be %d x %d", rows, cols);
    return no_tensor;
  }
  t.mem = ocl_device_alloc (device, CL_MEM_READ_WRITE, (gsize) rows * cols * sizeof (gfloat), error);
  return t.mem ? t : no_tensor;
}

void
ocl_tensor_clear (OclDevice *device, OclTensor *tensor)
{
  ocl_device_release (device, tensor->mem);
  *tensor = no_tensor;
}

OclTensor
ocl_tensor_rows (OclTensor t, gint first, gint n)
{
  g_return_val_if_fail (first >= 0 && n >= 0 && first <= t.rows - n, no_tensor);
  t.offset += (gsize) first * t.stride;
  t.rows = n;
  return t;
}

OclTensor
ocl_tensor_cols (OclTensor t, gint first, gint n)
{
  g_return_val_if_fail (first >= 0 && n >= 0 && first <= t.cols - n, no_tensor);
  t.offset += first;
  t.cols = n;
  return t;
}

OclTensor
ocl_tensor_reshape (OclTensor t, gint rows, gint cols)
{
  g_return_val_if_fail (t.stride == t.cols, no_tensor);
  g_return_val_if_fail ((gint64) rows * cols == (gint64) t.rows * t.cols, no_tensor);
  t.rows = rows;
  t.cols = t.stride = cols;
  return t;
}

OclTensor
ocl_tensor_every (OclTensor t, gint step)
{
  g_return_val_if_fail (step > 0, no_tensor);
  t.rows = (t.rows + step - 1) / step;
  t.stride *= step;
  return t;
}

/* One transfer for dense tensors, else rows of a rectangle. */
static cl_int
transfer (OclQueue *queue, OclTensor t, gboolean write, gpointer data)
{
  cl_command_queue handle = ocl_queue_get_handle (queue);
  const gsize size = sizeof (gfloat);
  const gsize device_origin[3] = { t.offset * size, 0, 0 }, host_origin[3] = { 0, 0, 0 };
  const gsize region[3] = { t.cols * size, t.rows, 1 };
  const gboolean dense = t.stride == t.cols || t.rows == 1;

  if (dense && write)
    return clEnqueueWriteBuffer (handle, t.mem, CL_TRUE, t.offset * size, (gsize) t.rows * t.cols * size, data, 0, NULL,
        NULL);
  if (dense)
    return clEnqueueReadBuffer (handle, t.mem, CL_TRUE, t.offset * size, (gsize) t.rows * t.cols * size, data, 0, NULL,
        NULL);
  if (write)
    return clEnqueueWriteBufferRect (handle, t.mem, CL_TRUE, device_origin, host_origin, region, t.stride * size, 0,
        t.cols * size, 0, data, 0, NULL, NULL);
  return clEnqueueReadBufferRect (handle, t.mem, CL_TRUE, device_origin, host_origin, region, t.stride * size, 0,
      t.cols * size, 0, data, 0, NULL, NULL);
}

void
ocl_tensor_write (OclQueue *queue, OclTensor t, const gfloat *data)
{
  if (!ocl_queue_failed (queue) && t.rows > 0 && t.cols > 0)
    ocl_queue_check (queue, transfer (queue, t, TRUE, (gpointer) data), "Cannot write to the device");
}

gboolean
ocl_tensor_read (OclQueue *queue, OclTensor t, gfloat *data)
{
  if (!ocl_queue_failed (queue) && t.rows > 0 && t.cols > 0)
    ocl_queue_check (queue, transfer (queue, t, FALSE, data), "Cannot read from the device");
  return !ocl_queue_failed (queue);
}

OclTensor
ocl_tensor_new_from (OclDevice *device, gint rows, gint cols, const gfloat *data, GError **error)
{
  OclTensor t = ocl_tensor_new (device, rows, cols, error);
  OclQueue *queue = t.mem ? ocl_queue_new (device, error) : NULL;

  if (queue) {
    ocl_tensor_write (queue, t, data);
    if (ocl_queue_finish (queue, error)) {
      ocl_queue_free (queue);
      return t;
    }
  }
  ocl_queue_free (queue);
  ocl_tensor_clear (device, &t);
  return no_tensor;
}
