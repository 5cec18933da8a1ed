/* OpenCL status codes as GErrors, and faults injected by tests. */
#include "device-private.h"

#include <string.h>

GQuark
ocl_error_quark (void)
{
  return g_quark_from_static_string ("ocl-error");
}

static const struct
{
  cl_int status;
  const gchar *name;
} status_names[] = {
#define NAME(x) { x, #x }
  NAME (CL_SUCCESS), NAME (CL_DEVICE_NOT_FOUND), NAME (CL_DEVICE_NOT_AVAILABLE), NAME (CL_COMPILER_NOT_AVAILABLE),
  NAME (CL_MEM_OBJECT_ALLOCATION_FAILURE), NAME (CL_OUT_OF_RESOURCES), NAME (CL_OUT_OF_HOST_MEMORY),
  NAME (CL_BUILD_PROGRAM_FAILURE), NAME (CL_COMPILE_PROGRAM_FAILURE), NAME (CL_LINKER_NOT_AVAILABLE),
  NAME (CL_LINK_PROGRAM_FAILURE), NAME (CL_MAP_FAILURE), NAME (CL_INVALID_VALUE), NAME (CL_INVALID_DEVICE),
  NAME (CL_INVALID_CONTEXT), NAME (CL_INVALID_QUEUE_PROPERTIES), NAME (CL_INVALID_COMMAND_QUEUE),
  NAME (CL_INVALID_MEM_OBJECT), NAME (CL_INVALID_BINARY), NAME (CL_INVALID_BUILD_OPTIONS), NAME (CL_INVALID_PROGRAM),
  NAME (CL_INVALID_PROGRAM_EXECUTABLE), NAME (CL_INVALID_KERNEL_NAME), NAME (CL_INVALID_KERNEL),
  NAME (CL_INVALID_ARG_INDEX), NAME (CL_INVALID_ARG_VALUE), NAME (CL_INVALID_ARG_SIZE), NAME (CL_INVALID_KERNEL_ARGS),
  NAME (CL_INVALID_WORK_DIMENSION), NAME (CL_INVALID_WORK_GROUP_SIZE), NAME (CL_INVALID_WORK_ITEM_SIZE),
  NAME (CL_INVALID_GLOBAL_OFFSET), NAME (CL_INVALID_EVENT_WAIT_LIST), NAME (CL_INVALID_EVENT),
  NAME (CL_INVALID_OPERATION), NAME (CL_INVALID_BUFFER_SIZE), NAME (CL_INVALID_GLOBAL_WORK_SIZE),
  NAME (CL_MISALIGNED_SUB_BUFFER_OFFSET), NAME (CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
  { -1001, "CL_PLATFORM_NOT_FOUND_KHR" },
#undef NAME
};

const gchar *
ocl_status_name (cl_int status)
{
  for (guint i = 0; i < G_N_ELEMENTS (status_names); i++)
    if (status_names[i].status == status)
      return status_names[i].name;
  return "an OpenCL status without a name";
}

static OclError
status_code (cl_int status)
{
  switch (status) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_INVALID_BUFFER_SIZE:
      return OCL_ERROR_OUT_OF_MEMORY;
    case CL_BUILD_PROGRAM_FAILURE:
    case CL_COMPILE_PROGRAM_FAILURE:
    case CL_COMPILER_NOT_AVAILABLE:
    case CL_LINKER_NOT_AVAILABLE:
    case CL_LINK_PROGRAM_FAILURE:
      return OCL_ERROR_BUILD;
    case CL_DEVICE_NOT_AVAILABLE:
    case CL_INVALID_COMMAND_QUEUE: /* what drivers report after they have reset a device */
    case CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST:
      return OCL_ERROR_LOST;
    default:
      return OCL_ERROR_FAILED;
  }
}

void
ocl_set_status_error (GError **error, cl_int status, const gchar *what)
{
  g_set_error (error, OCL_ERROR, status_code (status), "%s: %s (%d)", what, ocl_status_name (status), status);
}

/* ---- injected faults ---------------------------------------------------------- */

/* "alloc:3" fails the third allocation from now, "launch:1=CL_OUT_OF_RESOURCES" with that status. */
static const struct
{
  const gchar *name;
  cl_int status;
} faults[OCL_N_FAULTS] = {
  [OCL_FAULT_ALLOC] = { "alloc", CL_MEM_OBJECT_ALLOCATION_FAILURE },
  [OCL_FAULT_BUILD] = { "build", CL_BUILD_PROGRAM_FAILURE },
  [OCL_FAULT_LAUNCH] = { "launch", CL_OUT_OF_RESOURCES },
};

static GMutex fault_lock;
static gboolean fault_armed;    /* read without the lock: the common case costs nothing */
static gint64 fault_countdown[OCL_N_FAULTS];
static cl_int fault_status[OCL_N_FAULTS];

static void
arm_one (const gchar *text)
{
  g_auto (GStrv) halves = g_strsplit (text, "=", 2);
  const gchar *colon = halves[0] ? strchr (halves[0], ':') : NULL;

  if (!colon)
    return;
  for (guint f = 0; f < OCL_N_FAULTS; f++) {
    if (strncmp (halves[0], faults[f].name, colon - halves[0]) != 0)
      continue;
    fault_countdown[f] = g_ascii_strtoll (colon + 1, NULL, 10);
    fault_status[f] = faults[f].status;
    for (guint i = 0; halves[1] && i < G_N_ELEMENTS (status_names); i++)
      if (g_str_equal (halves[1], status_names[i].name))
        fault_status[f] = status_names[i].status;
    fault_armed |= fault_countdown[f] > 0;
  }
}

static void
arm (const gchar *spec)
{
  g_auto (GStrv) parts = g_strsplit (spec ? spec : "", ",", -1);

  fault_armed = FALSE;
  memset (fault_countdown, 0, sizeof fault_countdown);
  for (guint i = 0; parts[i]; i++)
    arm_one (parts[i]);
}

void
ocl_fault_inject (const gchar *spec)
{
  g_mutex_lock (&fault_lock);
  arm (spec);
  g_mutex_unlock (&fault_lock);
}

cl_int
ocl_fault (OclFault fault)
{
  static gsize from_environment;
  cl_int status = CL_SUCCESS;

  if (g_once_init_enter (&from_environment)) {
    if (g_getenv ("GEMMA_FAULT"))
      ocl_fault_inject (g_getenv ("GEMMA_FAULT"));
    g_once_init_leave (&from_environment, 1);
  }
  if (G_LIKELY (!fault_armed))
    return CL_SUCCESS;
  g_mutex_lock (&fault_lock);
  if (fault_countdown[fault] > 0 && --fault_countdown[fault] == 0)
    status = fault_status[fault];
  g_mutex_unlock (&fault_lock);
  return status;
}
