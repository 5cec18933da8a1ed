/* Launches that are gathered and run by one: kernels/batch.cl. */
#pragma once

#include "queue-private.h"

#include <stdarg.h>

G_BEGIN_DECLS

/** What a device keeps of batches. */
typedef struct _OclBatchProgram OclBatchProgram;

/** A kernel of a queue, built at its first launch. */
struct _OclKernel
{
  gchar *program, *name, *options;
  gchar *key;                   /* "program name options" */
  cl_kernel made;               /* NULL until then */
  gint is_step;                 /* whether it can be part of a batch; -1: not known yet */
  const OclBatchProgram *numbered_in;   /* whose function @number is */
  gint number;                  /* -1: it has none */
  gpointer widest;              /* (nullable): the device's entry for its key (enqueue.c) */
};

OclKernel *ocl_kernel_new (const gchar *program, const gchar *name, const gchar *options);
void ocl_kernel_free (OclKernel *kernel);

typedef struct _OclBatch OclBatch;

OclBatch *ocl_batch_new (OclDevice *device);
void ocl_batch_free (OclBatch *batch);

/** Whether @kernel can be part of a batch. */
gboolean ocl_batch_takes (OclBatch *batch, OclKernel *kernel);

/** Adds a launch, as ocl_queue_run() gets it. Buffers are kept until it has run. */
void ocl_batch_add (OclBatch *batch, OclQueue *queue, cl_command_queue handle, OclKernel *kernel, guint n_dims, const gsize *global, va_list args);

/** Enqueues what was added on @handle, which is @queue's. Failures are the queue's. */
void ocl_batch_submit (OclBatch *batch, OclQueue *queue, cl_command_queue handle);

void ocl_batch_program_free (OclBatchProgram *program);

G_END_DECLS
