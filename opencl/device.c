#include "device.h"

GQuark
ocl_error_quark (void)
{
  return g_quark_from_static_string ("ocl-error");
}
