/* In-order queues: kernels with their arguments, launches, the first failure, times by kernel. */
#include "queue-private.h"
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
  GHashTable *kernels;          /* "program kernel options" -> cl_kernel */
  GHashTable *names;            /* cl_kernel -> its key, for the profile */
  GError *error;
  cl_mem scratch[OCL_N_SCRATCH];
  gsize scratch_size[OCL_N_SCRATCH];
  GArray *launches;             /* of Launch; NULL unless GEMMA_PROFILE=1 */
  GHashTable *totals;           /* name -> Total */
};

static void
release_kernel (gpointer kernel)
{
  clReleaseKernel (kernel);
}

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
  queue->kernels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, release_kernel);
  queue->names = g_hash_table_new (NULL, NULL);
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

/* ---- life and failures ------------------------------------------------------------- */

void
ocl_queue_free (OclQueue *queue)
{
  if (!queue)
    return;
  clFinish (queue->handle);
  if (queue->launches) {
    collect_times (queue);
    log_times (queue);
    g_array_unref (queue->launches);
    g_hash_table_unref (queue->totals);
  }
  for (guint i = 0; i < OCL_N_SCRATCH; i++)
    ocl_device_release (queue->device, queue->scratch[i]);
  g_hash_table_unref (queue->names);
  g_hash_table_unref (queue->kernels);
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
  return queue->handle;
}

void
ocl_queue_flush (OclQueue *queue)
{
  ocl_queue_check (queue, clFlush (queue->handle), "Cannot submit work to the device");
}

gboolean
ocl_queue_finish (OclQueue *queue, GError **error)
{
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

cl_kernel
ocl_queue_get_kernel (OclQueue *queue, const gchar *program, const gchar *kernel, const gchar *options)
{
  gchar key[256];
  g_autofree gchar *kept = NULL;
  GError *error = NULL;
  cl_program built;
  cl_kernel made;
  cl_int status = CL_SUCCESS;

  if (queue->error)
    return NULL;
  g_snprintf (key, sizeof key, "%s %s %s", program, kernel, options ? options : "");
  made = g_hash_table_lookup (queue->kernels, key);
  if (G_LIKELY (made))
    return made;
  built = ocl_device_get_program (queue->device, program, options ? options : "", &error);
  if (!built) {
    ocl_queue_take_error (queue, error);
    return NULL;
  }
  made = clCreateKernel (built, kernel, &status);
  clReleaseProgram (built);
  if (!made) {
    g_autofree gchar *what = g_strdup_printf ("Cannot create the kernel %s of %s", kernel, program);
    ocl_queue_check (queue, status, what);
    return NULL;
  }
  kept = g_strdup (key);
  g_hash_table_insert (queue->names, made, kept);
  g_hash_table_insert (queue->kernels, g_steal_pointer (&kept), made);
  return made;
}

static gboolean
set_arguments (OclQueue *queue, cl_kernel kernel, va_list args)
{
  for (cl_uint i = 0;; i++) {
    gsize size = va_arg (args, gsize);
    gconstpointer value;
    cl_int status;

    if (size == 0)
      return TRUE;
    value = va_arg (args, gconstpointer);
    status = clSetKernelArg (kernel, i, size, value);
    if (G_UNLIKELY (status != CL_SUCCESS)) {
      g_autofree gchar *what = g_strdup_printf ("Argument %u of the kernel %s", i,
          (const gchar *) g_hash_table_lookup (queue->names, kernel));
      return ocl_queue_check (queue, status, what);
    }
  }
}

void
ocl_queue_run (OclQueue *queue, cl_kernel kernel, guint n_dims, const gsize *global, const gsize *local, ...)
{
  Launch launch = { NULL, NULL };
  gboolean set;
  va_list args;
  cl_int status;

  if (!kernel || queue->error)
    return;
  va_start (args, local);
  set = set_arguments (queue, kernel, args);
  va_end (args);
  if (!set)
    return;
  status = ocl_fault (OCL_FAULT_LAUNCH);
  if (status == CL_SUCCESS)
    status = clEnqueueNDRangeKernel (queue->handle, kernel, n_dims, NULL, global, local, 0, NULL,
        queue->launches ? &launch.event : NULL);
  if (G_UNLIKELY (status != CL_SUCCESS)) {
    g_autofree gchar *what = g_strdup_printf ("Cannot run the kernel %s",
        (const gchar *) g_hash_table_lookup (queue->names, kernel));
    ocl_queue_check (queue, status, what);
  } else if (queue->launches) {
    launch.name = g_hash_table_lookup (queue->names, kernel);
    g_array_append_val (queue->launches, launch);
  }
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
  mapped = clEnqueueMapBuffer (queue->handle, mem, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, offset * sizeof (gfloat),
      n_elements * sizeof (gfloat), 0, NULL, NULL, &status);
  ocl_queue_check (queue, status, "Cannot map device memory");
  return status == CL_SUCCESS ? mapped : NULL;
}

void
ocl_queue_unmap (OclQueue *queue, cl_mem mem, gfloat *mapped, gsize offset)
{
  if (mapped)
    ocl_queue_check (queue, clEnqueueUnmapMemObject (queue->handle, mem, mapped, 0, NULL, NULL),
        "Cannot unmap device memory");
}
