/* Element types of weights and their conversion to float32, bit-exact with gguf-py. */
#include "type.h"

#include "half.h"

#include <string.h>

static const OclTypeInfo infos[OCL_N_TYPES] = {
  [OCL_TYPE_F32] = { "F32", 1, 4 },
  [OCL_TYPE_F16] = { "F16", 1, 2 },
  [OCL_TYPE_BF16] = { "BF16", 1, 2 },
  [OCL_TYPE_Q8_0] = { "Q8_0", 32, 34 },
  [OCL_TYPE_Q4_0] = { "Q4_0", 32, 18 },
};

const OclTypeInfo *
ocl_type_info (OclType type)
{
  g_return_val_if_fail ((guint) type < OCL_N_TYPES, NULL);
  return &infos[type];
}

gsize
ocl_type_row_bytes (OclType type, gint64 n)
{
  const OclTypeInfo *info = ocl_type_info (type);

  if (n <= 0 || n % info->block != 0 || (guint64) n / info->block > G_MAXSIZE / info->bytes)
    return 0;
  return (gsize) n / info->block * info->bytes;
}

/* Sources are read with memcpy: a tensor in a file may begin at any byte. */
void
ocl_type_dequantize (OclType type, gconstpointer src, gfloat *dst, gint64 n)
{
  const guint8 *p = src;

  switch (type) {
    case OCL_TYPE_F32:
      memcpy (dst, p, n * sizeof *dst);
      break;
    case OCL_TYPE_F16:
      for (gint64 i = 0; i < n; i++)
        dst[i] = ocl_half_to_float (ocl_load_u16 (p + 2 * i));
      break;
    case OCL_TYPE_BF16:
      for (gint64 i = 0; i < n; i++)
        dst[i] = ocl_bf16_to_float (ocl_load_u16 (p + 2 * i));
      break;
    case OCL_TYPE_Q8_0:
      for (gint64 i = 0; i < n; i++) {
        const guint8 *block = p + i / 32 * 34;
        dst[i] = (gfloat) (gint8) block[2 + i % 32] * ocl_half_to_float (ocl_load_u16 (block));
      }
      break;
    case OCL_TYPE_Q4_0:
      for (gint64 i = 0; i < n; i++) {
        const guint8 *block = p + i / 32 * 18;
        guint nibbles = block[2 + i % 16];
        gint q = (gint) (i % 32 < 16 ? nibbles & 15 : nibbles >> 4) - 8;
        dst[i] = (gfloat) q * ocl_half_to_float (ocl_load_u16 (block));
      }
      break;
    case OCL_N_TYPES:
      break;
  }
}
