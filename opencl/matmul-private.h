/* The arguments of a matrix product, shared by the files that hold its variants. */
#pragma once

#include "ops.h"
#include "pack.h"
#include "queue-private.h"
#include "variant.h"

G_BEGIN_DECLS

typedef struct
{
  OclTensor y, x;               /* [M][N], [M][K] */
  const OclWeight *w;
  OclMatmulFlags flags;
} OclMatmulArgs;

/** "-DTYPE_Q4_0": which layout a kernel reads. */
const gchar *ocl_matmul_type_option (OclType type);

/** The part of y that @chunk computes. */
OclTensor ocl_matmul_chunk_y (const OclMatmulArgs *args, const OclWeightChunk *chunk);

/** A memory argument for kernels of types without scales, which must not be NULL everywhere. */
#define OCL_CHUNK_SCALES(chunk) ((chunk)->scales ? (chunk)->scales : (chunk)->data)

/** Panels that a work-group of one work-item takes, a multiple of @unit. */
gint ocl_matmul_group_panels (OclQueue *q, gint n_panels, gint unit, gdouble bytes, gdouble flops);

void ocl_matmul_ref (OclQueue *q, gconstpointer args);          /* ref/matmul.c */
void ocl_matmul_float_avx2 (OclQueue *q, gconstpointer args);   /* matmul-cpu.c */
void ocl_matmul_float_avx512 (OclQueue *q, gconstpointer args);

G_END_DECLS
