/* Choosing and opening a device; the devices that this process has open. */
#include "batch.h"

#include <string.h>

static GMutex registry_lock;
static GHashTable *registry;    /* cl_device_id -> OclDevice, without a reference */

static gchar *
device_string (cl_device_id id, cl_device_info what)
{
  gsize size = 0;
  gchar *text;

  if (clGetDeviceInfo (id, what, 0, NULL, &size) != CL_SUCCESS || size == 0)
    return g_strdup ("");
  text = g_malloc0 (size + 1);
  if (clGetDeviceInfo (id, what, size, text, NULL) != CL_SUCCESS)
    text[0] = '\0';
  return g_strchomp (text);
}

static cl_platform_id *
list_platforms (cl_uint *n, GError **error)
{
  cl_platform_id *platforms;
  cl_int status;

  *n = 0;
  status = clGetPlatformIDs (0, NULL, n);
  if (status != CL_SUCCESS || *n == 0) {
    g_set_error (error, OCL_ERROR, OCL_ERROR_NO_PLATFORM,
        "No OpenCL driver is installed (%s). On a CPU, install pocl-opencl-icd.", ocl_status_name (status));
    return NULL;
  }
  platforms = g_new0 (cl_platform_id, *n);
  clGetPlatformIDs (*n, platforms, NULL);
  return platforms;
}

static cl_device_id *
list_devices (cl_platform_id platform, cl_uint *n)
{
  cl_device_id *devices;

  *n = 0;
  if (clGetDeviceIDs (platform, CL_DEVICE_TYPE_ALL, 0, NULL, n) != CL_SUCCESS || *n == 0) {
    *n = 0;
    return NULL;
  }
  devices = g_new0 (cl_device_id, *n);
  clGetDeviceIDs (platform, CL_DEVICE_TYPE_ALL, *n, devices, NULL);
  return devices;
}

static cl_device_type
device_type (cl_device_id id)
{
  cl_device_type type = 0;
  cl_bool available = CL_FALSE, compiler = CL_FALSE;

  clGetDeviceInfo (id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
  clGetDeviceInfo (id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
  clGetDeviceInfo (id, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
  return available && compiler ? type : 0;
}

/* How well a device answers a specification: 0 not at all. */
static guint
suits (const gchar *spec, cl_uint p, cl_uint d, cl_device_type type)
{
  g_autofree gchar *index = g_strdup_printf ("%u:%u", p, d);

  if (type == 0)
    return 0;
  if (g_str_equal (spec, index))
    return 1;
  if (g_str_equal (spec, "auto"))
    return type & CL_DEVICE_TYPE_GPU ? 3 : type & CL_DEVICE_TYPE_CPU ? 2 : 1;
  if (g_str_equal (spec, "gpu"))
    return type & CL_DEVICE_TYPE_GPU ? 1 : 0;
  if (g_str_equal (spec, "cpu"))
    return type & CL_DEVICE_TYPE_CPU ? 1 : 0;
  return 0;
}

static gboolean
choose (const gchar *spec, cl_platform_id *platform, cl_device_id *id, GError **error)
{
  cl_uint n_platforms = 0;
  g_autofree cl_platform_id *platforms = list_platforms (&n_platforms, error);
  g_autoptr (GString) found = g_string_new (NULL);
  guint best = 0;

  if (!platforms)
    return FALSE;
  for (cl_uint p = 0; p < n_platforms; p++) {
    cl_uint n_devices;
    g_autofree cl_device_id *devices = list_devices (platforms[p], &n_devices);

    for (cl_uint d = 0; d < n_devices; d++) {
      g_autofree gchar *name = device_string (devices[d], CL_DEVICE_NAME);
      guint fit = suits (spec, p, d, device_type (devices[d]));

      g_string_append_printf (found, "%s%u:%u %s", found->len ? ", " : "", p, d, name);
      if (fit > best) {
        best = fit;
        *platform = platforms[p];
        *id = devices[d];
      }
    }
  }
  if (best > 0)
    return TRUE;
  g_set_error (error, OCL_ERROR, OCL_ERROR_NO_DEVICE,
      "No OpenCL device for \"%s\" (allowed: auto, cpu, gpu, platform:device). There is: %s.", spec,
      found->len ? found->str : "none");
  return FALSE;
}

static gboolean
device_fill (OclDevice *device, GError **error)
{
  cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties) device->platform, 0 };
  g_autofree gchar *version = device_string (device->id, CL_DEVICE_VERSION);
  g_autofree gchar *driver = device_string (device->id, CL_DRIVER_VERSION);
  cl_device_fp_config fp64 = 0;
  cl_device_type type = device_type (device->id);
  cl_ulong size = 0;
  cl_uint units = 1;
  cl_int status;

  device->name = device_string (device->id, CL_DEVICE_NAME);
  device->identity = g_strconcat (device->name, "|", version, "|", driver, NULL);
  /* For a binary of a linked program PoCL compiles each kernel once more than it is needed, for work-groups of any size. What
   * runs is compiled for its own, of what was not linked yet, too, and PoCL keeps it. */
  device->links_apart = strstr (version, "PoCL") || strstr (version, "pocl");
  ocl_device_init_launches (device, device->links_apart, driver);
  clGetDeviceInfo (device->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
  device->compute_units = MAX (units, 1);
  if (clGetDeviceInfo (device->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof size, &size, NULL) == CL_SUCCESS)
    device->max_alloc = size;
  if (clGetDeviceInfo (device->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof size, &size, NULL) == CL_SUCCESS)
    device->global_memory = size;
  clGetDeviceInfo (device->id, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof fp64, &fp64, NULL);
  /* A simulator may call itself both: it wants the code of a GPU. */
  device->bits = type & CL_DEVICE_TYPE_GPU ? OCL_DEVICE_GPU : type & CL_DEVICE_TYPE_CPU ? OCL_DEVICE_CPU : 0;
  device->bits |= fp64 ? OCL_DEVICE_FP64 : 0;
  device->context = clCreateContext (properties, 1, &device->id, NULL, NULL, &status);
  if (!device->context) {
    g_autofree gchar *what = g_strdup_printf ("Cannot open the OpenCL device %s", device->name);
    ocl_set_status_error (error, status, what);
    return FALSE;
  }
  return TRUE;
}

static void
device_free (OclDevice *device)
{
  g_clear_pointer (&device->batch_programs, g_ptr_array_unref);
  g_clear_pointer (&device->programs, g_hash_table_unref);
  if (device->context)
    clReleaseContext (device->context);
  ocl_device_clear_launches (device);
  ocl_device_clear_memory (device);
  g_mutex_clear (&device->lock);
  g_mutex_clear (&device->build_lock);
  g_mutex_clear (&device->batch_lock);
  g_free (device->name);
  g_free (device->identity);
  g_free (device);
}

static void
release_program (gpointer program)
{
  clReleaseProgram (program);
}

static OclDevice *
device_new (cl_platform_id platform, cl_device_id id, GError **error)
{
  OclDevice *device = g_new0 (OclDevice, 1);

  device->refs = 1;
  device->platform = platform;
  device->id = id;
  g_mutex_init (&device->lock);
  g_mutex_init (&device->build_lock);
  g_mutex_init (&device->batch_lock);
  device->batch_programs = g_ptr_array_new_with_free_func ((GDestroyNotify) ocl_batch_program_free);
  device->programs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, release_program);
  if (!device_fill (device, error)) {
    device_free (device);
    return NULL;
  }
  return device;
}

OclDevice *
ocl_device_open_unproven (const gchar *spec, guint bits, GError **error)
{
  cl_platform_id platform;
  cl_device_id id;
  OclDevice *device;

  if (!choose (spec ? spec : "auto", &platform, &id, error))
    return NULL;
  device = device_new (platform, id, error);
  if (device)
    device->bits |= bits;
  return device;
}

OclDevice *
ocl_device_open (const gchar *spec, GError **error)
{
  cl_platform_id platform;
  cl_device_id id;
  OclDevice *device = NULL;

  g_mutex_lock (&registry_lock);
  if (!registry)
    registry = g_hash_table_new (NULL, NULL);
  if (choose (spec ? spec : "auto", &platform, &id, error)) {
    device = g_hash_table_lookup (registry, id);
    if (device) {
      device->refs++;
    } else if ((device = device_new (platform, id, error))) {
      if (device->bits & OCL_DEVICE_CPU)
        device->bits |= ocl_cpu_proven_bits (device, ocl_cpu_bits ());
      g_hash_table_insert (registry, id, device);
    }
  }
  g_mutex_unlock (&registry_lock);
  return device;
}

OclDevice *
ocl_device_ref (OclDevice *device)
{
  g_mutex_lock (&registry_lock);
  device->refs++;
  g_mutex_unlock (&registry_lock);
  return device;
}

void
ocl_device_unref (OclDevice *device)
{
  gboolean last;

  g_mutex_lock (&registry_lock);
  last = --device->refs == 0;
  if (last && registry && g_hash_table_lookup (registry, device->id) == device)
    g_hash_table_remove (registry, device->id);
  if (registry && g_hash_table_size (registry) == 0)
    g_clear_pointer (&registry, g_hash_table_unref);
  g_mutex_unlock (&registry_lock);
  if (last)
    device_free (device);
}

const gchar *
ocl_device_get_name (OclDevice *device)
{
  return device->name;
}

guint
ocl_device_get_bits (OclDevice *device)
{
  return device->bits;
}

cl_context
ocl_device_get_context (OclDevice *device)
{
  return device->context;
}

cl_device_id
ocl_device_get_id (OclDevice *device)
{
  return device->id;
}

guint
ocl_device_get_compute_units (OclDevice *device)
{
  return device->compute_units;
}

void
ocl_device_set_progress (OclDevice *device, OclProgressFunc func, gpointer user_data)
{
  g_mutex_lock (&device->lock);
  device->progress = func;
  device->progress_data = user_data;
  g_mutex_unlock (&device->lock);
}
