/* The files of opencl/kernels/, built in; embed.py writes the table. */
#pragma once

#include <glib.h>

typedef struct
{
  const gchar *name;            /* with its extension; NULL ends the table */
  const guint8 *text;
  gsize size;
} OclKernelFile;

extern const OclKernelFile ocl_kernel_files[];
