/* What the files of the runtime share and operations do not see. */
#pragma once

#include "device.h"

G_BEGIN_DECLS

typedef struct _OclRegion OclRegion;

struct _OclDevice
{
  gint refs;                    /* guarded by the registry's lock */
  cl_platform_id platform;
  cl_device_id id;
  cl_context context;
  gchar *name;
  gchar *identity;              /* name, version and driver: part of every cache key */
  gboolean links_apart;         /* programs are kept as they are before they are linked */
  guint bits, compute_units;
  guint64 max_alloc, global_memory;
  guint64 allocated;            /* guarded by lock, as all below */
  OclRegion *region;            /* where the next weight may go */
  GMutex lock;
  OclProgressFunc progress;
  gpointer progress_data;
  GMutex build_lock;            /* one build at a time */
  GMutex batch_lock;
  GPtrArray *batch_programs;    /* of OclBatchProgram; guarded by batch_lock */
  GHashTable *programs;         /* key of source and options -> cl_program; guarded by build_lock */
  gboolean grows_alone;         /* what these three are for: enqueue.c */
  GRWLock launch_lock;
  GPtrArray *queues;            /* of cl_command_queue; guarded by launch_lock */
  GHashTable *widest;           /* key of a kernel -> Widest; guarded by launch_lock */
};

void ocl_device_init_launches (OclDevice *device, gboolean is_pocl, const gchar *driver_version);
void ocl_device_clear_launches (OclDevice *device);
/** Each queue of the device, as long as it is there. */
void ocl_device_add_queue (OclDevice *device, cl_command_queue queue);
void ocl_device_remove_queue (OclDevice *device, cl_command_queue queue);

#define OCL_MAX_DIMS 3

/** Of a kernel that is made and has its arguments. */
typedef struct
{
  OclKernel *kernel;
  guint n_dims;
  const gsize *global, *local;
} OclLaunch;

/** clEnqueueNDRangeKernel(), of which a driver's threads may run several queues' at once. @event may be NULL. */
cl_int ocl_device_enqueue (OclDevice *device, cl_command_queue queue, const OclLaunch *launch, cl_event *event);

const gchar *ocl_status_name (cl_int status);
/** Sets @error to "@what: STATUS", with the code that suits @status. */
void ocl_set_status_error (GError **error, cl_int status, const gchar *what);

/** A buffer, accounted; NULL with @error naming the sizes. CL_MEM_READ_ONLY is for what is written once, the weights. */
cl_mem ocl_device_alloc (OclDevice *device, cl_mem_flags flags, gsize bytes, GError **error);
void ocl_device_release (OclDevice *device, cl_mem mem);
/** Before the device goes. */
void ocl_device_clear_memory (OclDevice *device);

/** The compiled program; compiled, or loaded from the cache, at its first use. A reference for the caller. */
cl_program ocl_device_get_program (OclDevice *device, const gchar *name, const gchar *options, GError **error);

/** One of the programs that ocl_device_link_program() puts together. */
typedef struct
{
  const gchar *name, *options;
  const gchar *before;          /* text that the source follows, or NULL */
} OclProgramPart;

/** Compiles each of @parts, or loads it from the cache, and links them. (transfer full) */
cl_program ocl_device_link_program (OclDevice *device, const OclProgramPart *parts, guint n_parts, GError **error);

/** A file of opencl/kernels/, the text with its includes, or NULL. */
gchar *ocl_program_source (const gchar *name, GError **error);

/** Instruction sets of the host that OpenCL C may use on @device, a CPU. */
guint ocl_cpu_bits (void);
/** Whether @variant of matmul, or "batch", which needs @bits, works in a child process; remembered. */
gboolean ocl_cpu_prove (OclDevice *device, const gchar *variant, guint bits);
/** Which of @bits work on @device in a child process, remembered in the cache. */
guint ocl_cpu_proven_bits (OclDevice *device, guint bits);

/** For the child process of a proof: a device that claims @bits unproven. */
OclDevice *ocl_device_open_unproven (const gchar *spec, guint bits, GError **error);

typedef enum { OCL_FAULT_ALLOC, OCL_FAULT_BUILD, OCL_FAULT_LAUNCH, OCL_N_FAULTS } OclFault;
/** The status that a fault injected at this call makes of it, CL_SUCCESS mostly. */
cl_int ocl_fault (OclFault fault);

G_END_DECLS
