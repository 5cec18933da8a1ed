/* Maps the tensors of a reference's arguments to the host. */
#pragma once

#include "opencl/pack.h"
#include "opencl/variant.h"
#include "functions.h"

G_BEGIN_DECLS

#define REF_MAP_MAX 10

typedef struct
{
  cl_mem mem;
  gsize begin, end;             /* elements of mem that are mapped */
  gfloat *data;
} RefRange;

typedef struct
{
  OclQueue *queue;
  guint n_ranges;
  RefRange ranges[REF_MAP_MAX];
} RefMap;

/**
 * ref_map:
 * @views: (out): the host side of each of the @n tensors; .data NULL where a tensor has no memory
 *
 * Tensors that share a buffer are mapped once, as OpenCL forbids overlapping writes. Waits
 * for the queue. Returns FALSE with the queue failed; else release with ref_unmap().
 */
gboolean ref_map (RefMap *map, OclQueue *queue, guint n, const OclTensor *tensors, RefTensor *views);
void ref_unmap (RefMap *map);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (RefMap, ref_unmap)

/** Rows of the part of the weight that @chunk has: [chunk->rows][weight->cols]. (transfer full) NULL: the queue has failed */
gfloat *ref_read_chunk (OclQueue *queue, const OclWeight *weight, const OclWeightChunk *chunk);

/** Declares @views as the host sides of the tensors, unmapped at the end of the scope; returns where mapping fails. */
#define REF_VIEWS(queue, views, ...) \
  const OclTensor views##_tensors[] = { __VA_ARGS__ }; \
  RefTensor views[G_N_ELEMENTS (views##_tensors)]; \
  g_auto (RefMap) views##_map = { NULL }; \
  if (!ref_map (&views##_map, queue, G_N_ELEMENTS (views##_tensors), views##_tensors, views)) \
    return

G_END_DECLS
