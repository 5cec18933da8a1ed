/* The OpenCL device: choice, programs with their disk cache, memory, queues.
 *
 * Nothing here knows of models. One OclDevice is shared by a whole process; one
 * OclQueue belongs to one session (one thread at a time).
 */
#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <glib.h>

G_BEGIN_DECLS

/** Errors of the domain OCL_ERROR. */
typedef enum
{
  OCL_ERROR_NO_PLATFORM,        /* no OpenCL driver is installed */
  OCL_ERROR_NO_DEVICE,          /* no device fits the specification */
  OCL_ERROR_BUILD,              /* a program does not compile; the log is in the message */
  OCL_ERROR_OUT_OF_MEMORY,      /* the device or the host has too little memory */
  OCL_ERROR_LOST,               /* the device stopped working */
  OCL_ERROR_FAILED              /* any other OpenCL status, named in the message */
} OclError;

#define OCL_ERROR (ocl_error_quark ())
GQuark ocl_error_quark (void);

/** What a device can run; variants of operations name the bits that they need. */
typedef enum
{
  OCL_DEVICE_CPU = 1 << 0,
  OCL_DEVICE_GPU = 1 << 1,
  OCL_DEVICE_FP64 = 1 << 2,
  OCL_DEVICE_AVX2 = 1 << 3,     /* AVX2, FMA and F16C */
  OCL_DEVICE_AVX512BW = 1 << 4,
  OCL_DEVICE_AVX512VNNI = 1 << 5,
  OCL_DEVICE_AVX512BF16 = 1 << 6,
  OCL_DEVICE_AVXVNNI = 1 << 7,
  OCL_DEVICE_BATCH = 1 << 8     /* ocl_queue_gather() does something */
} OclDeviceBits;

typedef struct _OclDevice OclDevice;
typedef struct _OclQueue OclQueue;

/**
 * ocl_device_open:
 * @spec: (nullable): "auto" (a GPU, else a CPU), "cpu", "gpu", or "P:D", the
 *   index of a platform and of a device in it
 *
 * Opens a device, or returns a new reference if this process has it open already.
 * Instruction sets that need proof (AVX-512, VNNI) are tried once in a child process, gemma-probe.
 *
 * Returns: (transfer full) (nullable): the device, or %NULL with @error set
 */
OclDevice *ocl_device_open (const gchar *spec, GError **error);
OclDevice *ocl_device_ref (OclDevice *device);
void ocl_device_unref (OclDevice *device);

const gchar *ocl_device_get_name (OclDevice *device);
guint ocl_device_get_bits (OclDevice *device);
cl_context ocl_device_get_context (OclDevice *device);
cl_device_id ocl_device_get_id (OclDevice *device);
guint ocl_device_get_compute_units (OclDevice *device);

/** Bytes held in buffers of this device now. */
gsize ocl_device_get_allocated (OclDevice *device);

/**
 * ocl_device_set_progress:
 *
 * @func is called, from the thread that builds, before each program that has
 * to be compiled because the disk cache lacks it. The cache is in
 * $GEMMA_CACHE_DIR, else "gst-gemma" in the user's cache directory; a key hashes
 * source, options, device and driver. GEMMA_KERNEL_DIR names a folder whose
 * .cl files replace the built-in ones.
 */
typedef void (*OclProgressFunc) (const gchar *program, gpointer user_data);
void ocl_device_set_progress (OclDevice *device, OclProgressFunc func, gpointer user_data);

/** That folder. (transfer full) */
gchar *ocl_cache_dir (void);

/* ---- queues ------------------------------------------------------------------- */

/**
 * ocl_queue_new:
 *
 * An in-order queue. Operations that are enqueued on it return nothing: the first
 * failure is kept, later operations do nothing, ocl_queue_finish() reports it.
 *
 * Returns: (transfer full) (nullable):
 */
OclQueue *ocl_queue_new (OclDevice *device, GError **error);
void ocl_queue_free (OclQueue *queue);
OclDevice *ocl_queue_get_device (OclQueue *queue);
cl_command_queue ocl_queue_get_handle (OclQueue *queue);

/** Submits what is enqueued without waiting. */
void ocl_queue_flush (OclQueue *queue);

/** Waits for all enqueued work; FALSE with the first error since the last call. */
gboolean ocl_queue_finish (OclQueue *queue, GError **error);

/** TRUE once an operation has failed: what follows is skipped. */
gboolean ocl_queue_failed (OclQueue *queue);

/** Records a failure (the first one wins). @error is consumed. */
void ocl_queue_take_error (OclQueue *queue, GError *error);

/** Records an OpenCL status as the failure @what, if it is one. Returns TRUE for CL_SUCCESS. */
gboolean ocl_queue_check (OclQueue *queue, cl_int status, const gchar *what);

/**
 * ocl_queue_get_kernel:
 * @program: name of a file in opencl/kernels/ without ".cl"
 * @options: (nullable): build options, such as "-DTILE=8"
 *
 * Kernels are cached in the queue, so their arguments are this session's own. One that ocl_queue_gather() makes part of a
 * batch is not built on its own.
 *
 * Returns: (transfer none) (nullable): the kernel, or %NULL with the queue failed
 */
typedef struct _OclKernel OclKernel;
OclKernel *ocl_queue_get_kernel (OclQueue *queue, const gchar *program, const gchar *kernel, const gchar *options);

/**
 * ocl_queue_run:
 * @global: (array length=n_dims): work-items
 * @local: (array length=n_dims): those of a work-group; only an operation knows what its kernel is fast with
 * @...: size, pointer of each kernel argument, ended by (gsize) 0
 *
 * Sets the arguments and enqueues @kernel; a %NULL kernel is skipped. With
 * GEMMA_PROFILE=1 in the environment, event times by kernel are summed and
 * logged when the queue is freed.
 */
void ocl_queue_run (OclQueue *queue, OclKernel *kernel, guint n_dims, const gsize *global, const gsize *local, ...);

/**
 * ocl_queue_gather:
 * @gather: whether what is run from here on may wait for more
 *
 * Launches of little work, as those of one decoded token, cost more than they do. Where the device can (OCL_DEVICE_BATCH)
 * and the kernel is one of those in kernels/step.clh, they are gathered, and one launch runs many of them in order. All
 * else on this queue waits for them as if they had been launched.
 */
void ocl_queue_gather (OclQueue *queue, gboolean gather);

/**
 * ocl_fault_inject:
 * @spec: (nullable): "alloc:3" lets the third allocation from now fail, "build:1" a build,
 *   "launch:2=CL_OUT_OF_RESOURCES" a launch with that status; joined by commas; %NULL for none
 *
 * For tests of failures, as GEMMA_FAULT in the environment does from the start.
 */
void ocl_fault_inject (const gchar *spec);

#define OCL_ARG_BUFFER G_MAXSIZE /* the size of a cl_mem, so that it is known for one */
#define OCL_ARG(x) _Generic ((x), cl_mem : OCL_ARG_BUFFER, default : sizeof (x)), &(x)
#define OCL_ARGS_END ((gsize) 0)

G_END_DECLS
