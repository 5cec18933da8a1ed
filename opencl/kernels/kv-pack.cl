/* Rows of keys or values in bytes, a work-group a head of a row: its scale, then a byte for each number. */
#include "rows.clh"

/* Head @head in row @at % @n_rows of packed rows */
#define PACKED(t, at, n_rows) (ROW (t, (at) % n_rows) + get_group_id (0) * (1 + head_dim / 4))
#define PLAIN(t, at, n_rows) (ROW (t, (at) % n_rows) + get_group_id (0) * head_dim)

ROW_GROUP kernel void
kv_pack (TENSOR (y), TENSOR (x), int y_rows, int x_rows, int head_dim, int first)
{
  local float scratch[GROUP_SIZE];
  int id = get_local_id (0), at = first + get_group_id (1);
  global const float *in = PLAIN (x, at, x_rows);
  global float *out = PACKED (y, at, y_rows);
  global char *bytes = (global char *) (out + 1);
  float most = 0, inverse;

  for (int i = id; i < head_dim; i += GROUP_SIZE)
    most = fmax (most, fabs (in[i]));
  most = group_max (most, scratch);
  inverse = most > 0 ? 127 / most : 0;
  for (int i = id; i < head_dim; i += GROUP_SIZE)
    bytes[i] = convert_char_sat_rte (in[i] * inverse);
  if (id == 0)
    *out = most / 127;
}

ROW_GROUP kernel void
kv_unpack (TENSOR (y), TENSOR (x), int y_rows, int x_rows, int head_dim, int first)
{
  int at = first + get_group_id (1);
  global const float *in = PACKED (x, at, x_rows);
  global const char *bytes = (global const char *) (in + 1);
  global float *out = PLAIN (y, at, y_rows);

  for (int i = get_local_id (0); i < head_dim; i += GROUP_SIZE)
    out[i] = *in * bytes[i];
}
