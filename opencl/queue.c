/* In-order queues: kernels with their arguments, launches, the first failure, times by kernel. */
#include "batch.h"
#include "variant.h"

#include <stdarg.h>
#include <string.h>

typedef struct
{
  cl_event event;
  const gchar *name;            /* owned by the kernel table */
} Launch;

typedef struct
{
  gdouble seconds;
  guint launches;
} Total;

struct _OclQueue
{
  OclDevice *device;
  cl_command_queue handle;
  GHashTable *kernels;          /* key -> OclKernel */
  OclBatch *batch;              /* NULL where the device cannot, or launches are timed */
  gboolean gathers;
  GError *error;
  cl_mem scratch[OCL_N_SCRATCH];
  gsize scratch_size[OCL_N_SCRATCH];
  GArray *launches;             /* of Launch; NULL unless GEMMA_PROFILE=1 */
  GHashTable *totals;           /* name -> Total */
};

OclQueue *
ocl_queue_new (OclDevice *device, GError **error)
{
  gboolean profile = g_strcmp0 (g_getenv ("GEMMA_PROFILE"), "1") == 0;
  OclQueue *queue;
  cl_int status;
  cl_command_queue handle;

  handle = clCreateCommandQueue (device->context, device->id, profile ? CL_QUEUE_PROFILING_ENABLE : 0, &status);
  if (!handle) {
    ocl_set_status_error (error, status, "Cannot create an OpenCL queue");
    return NULL;
  }
  queue = g_new0 (OclQueue, 1);
  queue->device = ocl_device_ref (device);
  queue->handle = handle;
  ocl_device_add_queue (device, handle);
  queue->kernels = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) ocl_kernel_free);
  if (device->bits & OCL_DEVICE_BATCH && !profile)
    queue->batch = ocl_batch_new (device);
  if (profile) {
    queue->launches = g_array_new (FALSE, FALSE, sizeof (Launch));
    queue->totals = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  }
  return queue;
}

/* ---- profile --------------------------------------------------------------------- */

static void
collect_times (OclQueue *queue)
{
  for (guint i = 0; queue->launches && i < queue->launches->len; i++) {
    Launch *launch = &g_array_index (queue->launches, Launch, i);
    cl_ulong start = 0, end = 0;
    Total *total = g_hash_table_lookup (queue->totals, launch->name);

    if (!total) {
      total = g_new0 (Total, 1);
      g_hash_table_insert (queue->totals, (gpointer) launch->name, total);
    }
    clGetEventProfilingInfo (launch->event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
    clGetEventProfilingInfo (launch->event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    total->seconds += (end - start) * 1e-9;
    total->launches++;
    clReleaseEvent (launch->event);
  }
  if (queue->launches)
    g_array_set_size (queue->launches, 0);
}

static gint
slowest_first (gconstpointer a, gconstpointer b, gpointer totals)
{
  const Total *x = g_hash_table_lookup (totals, a), *y = g_hash_table_lookup (totals, b);

  return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static void
log_times (OclQueue *queue)
{
  g_autoptr (GList) names = g_hash_table_get_keys (queue->totals);

  names = g_list_sort_with_data (names, slowest_first, queue->totals);
  for (GList *l = names; l; l = l->next) {
    const Total *total = g_hash_table_lookup (queue->totals, l->data);

    g_message ("profile: %10.3f ms %7u launches %9.2f us each  %s", total->seconds * 1e3, total->launches,
        total->seconds * 1e6 / total->launches, (const gchar *) l->data);
  }
}

/* ---- batches ---------------------------------------------------------------------- */

/* Before anything else goes to the device. */
static void
submit_batch (OclQueue *queue)
{
  if (queue->batch)
    ocl_batch_submit (queue->batch, queue, queue->handle);
}

void
ocl_queue_gather (OclQueue *queue, gboolean gather)
{
  queue->gathers = gather && queue->batch;
  if (!gather)
    submit_batch (queue);
}

/* ---- life and failures ------------------------------------------------------------- */

void
ocl_queue_free (OclQueue *queue)
{
  if (!queue)
    return;
  submit_batch (queue);
  clFinish (queue->handle);
  if (queue->launches) {
    collect_times (queue);
    log_times (queue);
    g_array_unref (queue->launches);
    g_hash_table_unref (queue->totals);
  }
  for (guint i = 0; i < OCL_N_SCRATCH; i++)
    ocl_device_release (queue->device, queue->scratch[i]);
  ocl_batch_free (queue->batch);
  g_hash_table_unref (queue->kernels);
  ocl_device_remove_queue (queue->device, queue->handle);
  clReleaseCommandQueue (queue->handle);
  g_clear_error (&queue->error);
  ocl_device_unref (queue->device);
  g_free (queue);
}

OclDevice *
ocl_queue_get_device (OclQueue *queue)
{
  return queue->device;
}

cl_command_queue
ocl_queue_get_handle (OclQueue *queue)
{
  submit_batch (queue);
  return queue->handle;
}

void
ocl_queue_flush (OclQueue *queue)
{
  submit_batch (queue);
  ocl_queue_check (queue, clFlush (queue->handle), "Cannot submit work to the device");
}

gboolean
ocl_queue_finish (OclQueue *queue, GError **error)
{
  submit_batch (queue);
  /* Waits after a failure too: the caller may free what earlier work uses. */
  ocl_queue_check (queue, clFinish (queue->handle), "The device did not finish its work");
  collect_times (queue);
  if (!queue->error)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&queue->error));
  return FALSE;
}

gboolean
ocl_queue_failed (OclQueue *queue)
{
  return queue->error != NULL;
}

void
ocl_queue_take_error (OclQueue *queue, GError *error)
{
  if (queue->error)
    g_error_free (error);
  else
    queue->error = error;
}

gboolean
ocl_queue_check (OclQueue *queue, cl_int status, const gchar *what)
{
  if (G_LIKELY (status == CL_SUCCESS))
    return TRUE;
  if (!queue->error)
    ocl_set_status_error (&queue->error, status, what);
  return FALSE;
}

/* ---- kernels ----------------------------------------------------------------------- */

static gboolean
make (OclQueue *queue, OclKernel *kernel)
{
  GError *error = NULL;
  cl_int status = CL_SUCCESS;
  cl_program built;

  if (G_LIKELY (kernel->made))
    return TRUE;
  built = ocl_device_get_program (queue->device, kernel->program, kernel->options, &error);
  if (!built) {
    ocl_queue_take_error (queue, error);
    return FALSE;
  }
  kernel->made = clCreateKernel (built, kernel->name, &status);
  clReleaseProgram (built);
  if (!kernel->made) {
    g_autofree gchar *what = g_strdup_printf ("Cannot create the kernel %s of %s", kernel->name, kernel->program);
    ocl_queue_check (queue, status, what);
  }
  return kernel->made != NULL;
}

/* Whether what @kernel does from now on is part of a batch: it needs no program of its own for that. */
static gboolean
is_gathered (OclQueue *queue, OclKernel *kernel)
{
  return queue->gathers && ocl_batch_takes (queue->batch, kernel);
}

OclKernel *
ocl_queue_get_kernel (OclQueue *queue, const gchar *program, const gchar *name, const gchar *options)
{
  gchar key[256];
  OclKernel *kernel;

  if (queue->error)
    return NULL;
  g_snprintf (key, sizeof key, "%s %s %s", program, name, options ? options : "");
  kernel = g_hash_table_lookup (queue->kernels, key);
  if (G_UNLIKELY (!kernel)) {
    kernel = ocl_kernel_new (program, name, options ? options : "");
    g_hash_table_insert (queue->kernels, kernel->key, kernel);
  }
  return is_gathered (queue, kernel) || make (queue, kernel) ? kernel : NULL;
}

static gboolean
set_arguments (OclQueue *queue, OclKernel *kernel, va_list args)
{
  for (cl_uint i = 0;; i++) {
    gsize size = va_arg (args, gsize);
    gconstpointer value;
    cl_int status;

    if (size == 0)
      return TRUE;
    value = va_arg (args, gconstpointer);
    status = clSetKernelArg (kernel->made, i, size == OCL_ARG_BUFFER ? sizeof (cl_mem) : size, value);
    if (G_UNLIKELY (status != CL_SUCCESS)) {
      g_autofree gchar *what = g_strdup_printf ("Argument %u of the kernel %s", i, kernel->key);
      return ocl_queue_check (queue, status, what);
    }
  }
}

static void
launch (OclQueue *queue, OclKernel *kernel, guint n_dims, const gsize *global, const gsize *local, va_list args)
{
  const OclLaunch what = { kernel, n_dims, global, local };
  Launch timed = { NULL, kernel->key };
  cl_int status;

  submit_batch (queue);
  if (queue->error || !set_arguments (queue, kernel, args))
    return;
  status = ocl_fault (OCL_FAULT_LAUNCH);
  if (status == CL_SUCCESS)
    status = ocl_device_enqueue (queue->device, queue->handle, &what, queue->launches ? &timed.event : NULL);
  if (G_UNLIKELY (status != CL_SUCCESS)) {
    g_autofree gchar *message = g_strdup_printf ("Cannot run the kernel %s", kernel->key);
    ocl_queue_check (queue, status, message);
  } else if (queue->launches) {
    g_array_append_val (queue->launches, timed);
  }
}

void
ocl_queue_run (OclQueue *queue, OclKernel *kernel, guint n_dims, const gsize *global, const gsize *local, ...)
{
  va_list args;

  if (!kernel || queue->error)
    return;
  va_start (args, local);
  if (is_gathered (queue, kernel))
    ocl_batch_add (queue->batch, queue, queue->handle, kernel, n_dims, global, args);
  else
    launch (queue, kernel, n_dims, global, local, args);
  va_end (args);
}

/* ---- memory ------------------------------------------------------------------------ */

cl_mem
ocl_queue_scratch (OclQueue *queue, OclScratch which, gsize bytes)
{
  GError *error = NULL;

  if (queue->error)
    return NULL;
  if (queue->scratch_size[which] >= bytes)
    return queue->scratch[which];
  /* The driver keeps the old buffer until the work that uses it is done. */
  ocl_device_release (queue->device, queue->scratch[which]);
  queue->scratch_size[which] = 0;
  queue->scratch[which] = ocl_device_alloc (queue->device, CL_MEM_READ_WRITE, bytes, &error);
  if (queue->scratch[which])
    queue->scratch_size[which] = bytes;
  else
    ocl_queue_take_error (queue, error);
  return queue->scratch[which];
}

gfloat *
ocl_queue_map (OclQueue *queue, cl_mem mem, gsize offset, gsize n_elements)
{
  gfloat *mapped;
  cl_int status;

  if (queue->error)
    return NULL;
  mapped = clEnqueueMapBuffer (ocl_queue_get_handle (queue), mem, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, offset * sizeof (gfloat),
      n_elements * sizeof (gfloat), 0, NULL, NULL, &status);
  ocl_queue_check (queue, status, "Cannot map device memory");
  return status == CL_SUCCESS ? mapped : NULL;
}

void
ocl_queue_unmap (OclQueue *queue, cl_mem mem, gfloat *mapped, gsize offset)
{
  if (mapped)
    ocl_queue_check (queue, clEnqueueUnmapMemObject (ocl_queue_get_handle (queue), mem, mapped, 0, NULL, NULL),
        "Cannot unmap device memory");
}
