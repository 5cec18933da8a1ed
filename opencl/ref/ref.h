/* For references in plain C: tensors on the host. */
#pragma once

#include "opencl/tensor.h"
#include "opencl/variant.h"

/** Element (r, c) of the mapped tensor @t. */
#define OCL_AT(p, t, r, c) ((p)[(gssize) (r) * (t).stride + (c)])

/** Maps @t; a tensor without memory gives NULL. Unmap inputs before outputs: their ranges may overlap. */
gfloat *ocl_ref_map (OclQueue *queue, OclTensor t);
void ocl_ref_unmap (OclQueue *queue, OclTensor t, gfloat *mapped);
