#include "common.clh"

// y [rows][cols] = a + b
__kernel void
add (TENSOR (y), TENSOR (a), TENSOR (b))
{
  const int c = get_global_id (0), r = get_global_id (1);

  AT (y, r, c) = AT (a, r, c) + AT (b, r, c);
}
