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

/* Options of programs with kernels/int8.clh: the dot products that they use. */
#define OCL_INT8_VNNI "-DCPU_AVX512 -DINT8_VNNI"
#define OCL_INT8_BW "-DCPU_AVX512 -DINT8_BW"
#define OCL_INT8_AVXVNNI "-DINT8_AVXVNNI"
#define OCL_INT8_AVX2 "-DINT8_AVX2"

/** "-DTYPE_Q4_0": which layout a kernel reads. */
const gchar *ocl_matmul_type_option (OclType type);

/** The part of y that @chunk computes. */
OclTensor ocl_matmul_chunk_y (const OclMatmulArgs *args, const OclWeightChunk *chunk);

/** The kernel arguments of PANELS () in kernels/panel.clh; scales must not be NULL everywhere. */
#define OCL_ARG_PANELS(weight, chunk) OCL_ARG ((chunk)->data), \
    OCL_ARG_BUFFER, (chunk)->scales ? &(chunk)->scales : &(chunk)->data, \
    sizeof (cl_ulong), &(weight)->panel_bytes, sizeof (cl_ulong), &(weight)->scale_bytes, \
    sizeof (cl_ulong), &(weight)->line_bytes, sizeof (cl_ulong), &(weight)->block_bytes, OCL_ARG ((chunk)->first_panel)

/** What a work-group of one work-item takes; group (i, j) has panels i * group_panels .. and rows j * group_rows ... */
typedef struct
{
  cl_int group_panels, group_rows;
  gsize global[2];
} OclMatmulCut;
OclMatmulCut ocl_matmul_cut (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, gint tile_rows,
    gint tile_panels);

/** Of products that may have the many rows of a picture. */
OclMatmulCut ocl_matmul_cut_many (OclQueue *q, const OclMatmulArgs *args, const OclWeightChunk *chunk, gint tile_rows,
    gint tile_panels);

void ocl_matmul_ref (OclQueue *q, gconstpointer args);          /* ref/matmul.c */
void ocl_matmul_float_avx2 (OclQueue *q, gconstpointer args);   /* matmul-cpu.c */
void ocl_matmul_float_cpu (OclQueue *q, gconstpointer args);
void ocl_matmul_float_avx512 (OclQueue *q, gconstpointer args);

gboolean ocl_matmul_int8_match (OclDevice *device, gconstpointer args);         /* matmul-int8.c */
gboolean ocl_matmul_int24_match (OclDevice *device, gconstpointer args);
gboolean ocl_matmul_int8_match_few (OclDevice *device, gconstpointer args);
void ocl_matmul_int_vnni (OclQueue *q, gconstpointer args);
void ocl_matmul_int_bw (OclQueue *q, gconstpointer args);
void ocl_matmul_int_avxvnni (OclQueue *q, gconstpointer args);
void ocl_matmul_int_avx2 (OclQueue *q, gconstpointer args);

gboolean ocl_matmul_int16_match (OclDevice *device, gconstpointer args);        /* matmul-int16.c */
void ocl_matmul_int16_vnni (OclQueue *q, gconstpointer args);

gboolean ocl_matmul_clblast_match (OclDevice *device, gconstpointer args);      /* matmul-clblast.c */
void ocl_matmul_clblast (OclQueue *q, gconstpointer args);

G_END_DECLS
