/* What the host's CPU can run, where the device is that CPU. */
#include "device-private.h"

guint
ocl_cpu_bits (void)
{
  guint bits = 0;
#if defined (__x86_64__) || defined (__i386__)
  __builtin_cpu_init ();        /* also asks the system whether it saves the wide registers */
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma") && __builtin_cpu_supports ("f16c"))
    bits |= OCL_DEVICE_AVX2;
  if (__builtin_cpu_supports ("avx512bw") && __builtin_cpu_supports ("avx512vl"))
    bits |= OCL_DEVICE_AVX512BW;
  if (bits & OCL_DEVICE_AVX512BW && __builtin_cpu_supports ("avx512vnni"))
    bits |= OCL_DEVICE_AVX512VNNI;
  if (bits & OCL_DEVICE_AVX512BW && __builtin_cpu_supports ("avx512bf16"))
    bits |= OCL_DEVICE_AVX512BF16;
  if (bits & OCL_DEVICE_AVX2 && __builtin_cpu_supports ("avxvnni"))
    bits |= OCL_DEVICE_AVXVNNI;
#endif
  return bits;
}

guint
ocl_cpu_proven_bits (OclDevice *device, guint bits)
{
  return bits & OCL_DEVICE_AVX2;
}
