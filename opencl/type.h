/* Element types of weights as files store them, and their conversion to float32. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  OCL_TYPE_F32,
  OCL_TYPE_F16,
  OCL_TYPE_BF16,
  OCL_TYPE_Q8_0,                /* 32 values: half d; int8 q[32]            x = d * q */
  OCL_TYPE_Q4_0,                /* 32 values: half d; 16 bytes of nibbles   x = d * (q - 8) */
  OCL_N_TYPES
} OclType;

typedef struct
{
  const gchar *name;
  guint block;                  /* values in a block */
  guint bytes;                  /* bytes of a block */
} OclTypeInfo;

const OclTypeInfo *ocl_type_info (OclType type);

/** Bytes of a row of @n values, or 0 if @n is not a multiple of the block. */
gsize ocl_type_row_bytes (OclType type, gint64 n);

/** Writes @n float32 values (a multiple of the block) from @src, bit-exact with gguf-py. */
void ocl_type_dequantize (OclType type, gconstpointer src, gfloat *dst, gint64 n);

G_END_DECLS
