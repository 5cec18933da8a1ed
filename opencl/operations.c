/* The list of all operations. Each is defined in the file that ops.h names for it. */
#include "variant.h"

#define OPERATION(name) extern const OclOperation ocl_op_##name;
#include "operations.inc"
#undef OPERATION

#define OPERATION(name) &ocl_op_##name,
static const OclOperation *const all[] = {
#include "operations.inc"
};
#undef OPERATION

const OclOperation *const *
ocl_operations (guint *n)
{
  *n = G_N_ELEMENTS (all);
  return all;
}
