#include "opencl/ref/ref.h"

gfloat *
ocl_ref_map (OclQueue *queue, OclTensor t)
{
  if (!t.mem || t.rows <= 0 || t.cols <= 0)
    return NULL;
  return ocl_queue_map (queue, t.mem, t.offset, (gsize) (t.rows - 1) * t.stride + t.cols);
}

void
ocl_ref_unmap (OclQueue *queue, OclTensor t, gfloat *mapped)
{
  ocl_queue_unmap (queue, t.mem, mapped, t.offset);
}
