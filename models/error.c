#include "error.h"

GQuark
gemma_error_quark (void)
{
  return g_quark_from_static_string ("gemma-error");
}
