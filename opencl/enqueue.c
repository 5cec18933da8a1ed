/* Launches as a device takes them.
 *
 * PoCL (until 6.0, pocl_release_dlhandle_cache()) keeps a loaded function for each kernel, work-group size and largest grid so
 * far, and when a launch ends, it gives back the first one of that kernel and work-group size, which may be another
 * launch's: once the count of one that is in use goes below 0, it aborts, or unloads it. So a grid that is larger than all
 * before it is launched alone: from then on every launch finds the function of that one.
 */
#include "batch.h"

#include <string.h>

/* The largest launch of a kernel with work-groups of that size, which is the size of all its launches so far. */
typedef struct
{
  gsize local[OCL_MAX_DIMS], width;
} Widest;

void
ocl_device_init_launches (OclDevice *device, gboolean is_pocl, const gchar *driver_version)
{
  device->grows_alone = is_pocl && g_ascii_strtoull (driver_version, NULL, 10) < 7;
  g_rw_lock_init (&device->launch_lock);
  device->queues = g_ptr_array_new ();
  device->widest = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

void
ocl_device_clear_launches (OclDevice *device)
{
  g_rw_lock_clear (&device->launch_lock);
  g_clear_pointer (&device->queues, g_ptr_array_unref);
  g_clear_pointer (&device->widest, g_hash_table_unref);
}

void
ocl_device_add_queue (OclDevice *device, cl_command_queue queue)
{
  g_rw_lock_writer_lock (&device->launch_lock);
  g_ptr_array_add (device->queues, queue);
  g_rw_lock_writer_unlock (&device->launch_lock);
}

void
ocl_device_remove_queue (OclDevice *device, cl_command_queue queue)
{
  g_rw_lock_writer_lock (&device->launch_lock);
  g_ptr_array_remove_fast (device->queues, queue);
  g_rw_lock_writer_unlock (&device->launch_lock);
}

static Widest
measure (const OclLaunch *launch)
{
  Widest widest = { { 0 } };

  for (guint i = 0; i < launch->n_dims; i++) {
    widest.local[i] = launch->local[i];
    widest.width = MAX (widest.width, launch->global[i]);
  }
  return widest;
}

static gboolean
fits (const Widest *widest, const Widest *launch)
{
  return widest && launch->width <= widest->width && memcmp (widest->local, launch->local, sizeof launch->local) == 0;
}

static cl_int
enqueue (cl_command_queue queue, const OclLaunch *launch, cl_event *event)
{
  return clEnqueueNDRangeKernel (queue, launch->kernel->made, launch->n_dims, NULL, launch->global, launch->local, 0, NULL,
      event);
}

/* Locked. Entries stay as long as the device. */
static Widest *
find (OclDevice *device, OclKernel *kernel)
{
  if (G_UNLIKELY (!kernel->widest))
    kernel->widest = g_hash_table_lookup (device->widest, kernel->key);
  return kernel->widest;
}

/* With nothing else on the device. */
static cl_int
enqueue_alone (OclDevice *device, cl_command_queue queue, const OclLaunch *launch, cl_event *event)
{
  cl_int status;

  for (guint i = 0; i < device->queues->len; i++)
    clFinish (device->queues->pdata[i]);
  status = enqueue (queue, launch, event);
  clFinish (queue);
  return status;
}

static cl_int
enqueue_widest (OclDevice *device, cl_command_queue queue, const OclLaunch *launch, const Widest *size, cl_event *event)
{
  Widest *widest;
  cl_int status;

  g_rw_lock_writer_lock (&device->launch_lock);
  status = enqueue_alone (device, queue, launch, event);
  widest = find (device, launch->kernel);
  if (!widest) {
    widest = g_new0 (Widest, 1);
    g_hash_table_insert (device->widest, g_strdup (launch->kernel->key), widest);
  }
  if (!fits (widest, size))
    *widest = *size;
  g_rw_lock_writer_unlock (&device->launch_lock);
  return status;
}

cl_int
ocl_device_enqueue (OclDevice *device, cl_command_queue queue, const OclLaunch *launch, cl_event *event)
{
  const Widest size = measure (launch);
  cl_int status = CL_SUCCESS;
  gboolean known;

  if (!device->grows_alone)
    return enqueue (queue, launch, event);
  g_rw_lock_reader_lock (&device->launch_lock);
  known = fits (find (device, launch->kernel), &size);
  if (known)
    status = enqueue (queue, launch, event);
  g_rw_lock_reader_unlock (&device->launch_lock);
  return known ? status : enqueue_widest (device, queue, launch, &size, event);
}
