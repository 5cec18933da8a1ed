/* What operations of this folder may ask of a queue beyond device.h. */
#pragma once

#include "device-private.h"

G_BEGIN_DECLS

typedef enum { OCL_SCRATCH_ACTIVATIONS, OCL_SCRATCH_WEIGHTS, OCL_SCRATCH_OTHER, OCL_SCRATCH_KV, OCL_N_SCRATCH } OclScratch;

/**
 * A buffer of at least @bytes that lasts until the next call with the same @which:
 * one operation's temporary values. NULL with the queue failed.
 */
cl_mem ocl_queue_scratch (OclQueue *queue, OclScratch which, gsize bytes);

G_END_DECLS
