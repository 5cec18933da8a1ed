/* The list of all operations. Each is defined in the file that ops.h names for it. */
#include "variant.h"

/* Weak, so that a program links which uses only some operations. */
#define OPERATION(name) extern const OclOperation ocl_op_##name __attribute__ ((weak));
#include "operations.inc"
#undef OPERATION

const OclOperation *const *
ocl_operations (guint *n)
{
#define OPERATION(name) &ocl_op_##name,
  static const OclOperation *const all[] = {
#include "operations.inc"
  };
#undef OPERATION
  static const OclOperation *present[G_N_ELEMENTS (all)];
  static gsize n_present;

  if (g_once_init_enter (&n_present)) {
    gsize count = 0;

    for (guint i = 0; i < G_N_ELEMENTS (all); i++)
      if (all[i])
        present[count++] = all[i];
    g_once_init_leave (&n_present, count);
  }
  *n = n_present;
  return present;
}
