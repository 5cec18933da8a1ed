/* The kernels of kv-pack.cl for a CPU: an item does all heads of some rows. */
#include "rows.clh"
#include "step.clh"

static void
pack_head (global float *out, global const float *in, int head_dim)
{
  global char *bytes = (global char *) (out + 1);
  float16 most = 0;
  float top = 0, inverse;
  int i = 0;

  for (; i + 16 <= head_dim; i += 16)
    most = fmax (most, fabs (vload16 (0, in + i)));
  for (; i < head_dim; i++)
    top = fmax (top, fabs (in[i]));
  top = fmax (top, max16 (most));
  inverse = top > 0 ? 127 / top : 0;
  for (i = 0; i + 16 <= head_dim; i += 16)
    vstore16 (convert_char16_sat_rte (vload16 (0, in + i) * inverse), 0, bytes + i);
  for (; i < head_dim; i++)
    bytes[i] = convert_char_sat_rte (in[i] * inverse);
  *out = top / 127;
}

static void
unpack_head (global float *out, global const float *in, int head_dim)
{
  global const char *bytes = (global const char *) (in + 1);
  float scale = *in;
  int i = 0;

  for (; i + 16 <= head_dim; i += 16)
    vstore16 (convert_float16 (vload16 (0, bytes + i)) * scale, 0, out + i);
  for (; i < head_dim; i++)
    out[i] = bytes[i] * scale;
}

#define KV_KERNEL(name, of_head, y_step, x_step) \
  KERNEL (name, TENSOR_ARG (y), TENSOR_ARG (x), INT_ARG (y_rows), INT_ARG (x_rows), INT_ARG (head_dim), \
      INT_ARG (first), INT_ARG (rows), INT_ARG (row_step), INT_ARG (n_heads)) \
  { \
    int begin = get_global_id (1) * row_step, end = min (begin + row_step, rows); \
    for (int at = first + begin; at < first + end; at++) \
      for (int head = 0; head < n_heads; head++) \
        of_head (ROW (y, at % y_rows) + head * (y_step), ROW (x, at % x_rows) + head * (x_step), head_dim); \
  }

KV_KERNEL (kv_pack, pack_head, 1 + head_dim / 4, head_dim)
KV_KERNEL (kv_unpack, unpack_head, head_dim, 1 + head_dim / 4)
