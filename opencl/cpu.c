/* What the host's CPU can run, where the device is that CPU.
 *
 * That the CPU has an instruction does not say that the driver's compiler takes the code for it: it may
 * end the process instead of failing. So kernels with instructions beyond AVX2, and those that wait for each other,
 * run for the first time in a child process (gemma-probe) that compares them with the reference; the result is kept in the cache.
 */
#include "device-private.h"

#include <dlfcn.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

static const struct
{
  guint bit, needed;            /* @needed: what the variants ask of the device besides */
  const gchar *variants[3];     /* of matmul, tried with the bit; or "batch" */
} proofs[] = {
  { OCL_DEVICE_AVX512BW, 0, { "avx512", "int8-bw" } },
  { OCL_DEVICE_AVX512VNNI, OCL_DEVICE_AVX512BW, { "int8-vnni" } },
  { OCL_DEVICE_AVXVNNI, OCL_DEVICE_AVX2, { "int8-avxvnni" } },
  { OCL_DEVICE_BATCH, 0, { "batch" } },
};

#if defined (__x86_64__) || defined (__i386__)
#include <cpuid.h>

static gboolean
has_f16c (void)
{
  guint a, b, c = 0, d;

  return __get_cpuid (1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

guint
ocl_cpu_bits (void)
{
  guint bits = 0;
#if defined (__x86_64__) || defined (__i386__)
  __builtin_cpu_init ();        /* also asks the system whether it saves the wide registers */
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
    bits |= has_f16c () ? OCL_DEVICE_AVX2 : 0;
  if (__builtin_cpu_supports ("avx512bw") && __builtin_cpu_supports ("avx512vl") && __builtin_cpu_supports ("avx512dq"))
    bits |= OCL_DEVICE_AVX512BW;
  if (bits & OCL_DEVICE_AVX512BW && __builtin_cpu_supports ("avx512vnni"))
    bits |= OCL_DEVICE_AVX512VNNI;
#ifndef __clang__               /* clang 14 does not know these two names */
  if (bits & OCL_DEVICE_AVX512BW && __builtin_cpu_supports ("avx512bf16"))
    bits |= OCL_DEVICE_AVX512BF16;
  if (bits & OCL_DEVICE_AVX2 && __builtin_cpu_supports ("avxvnni"))
    bits |= OCL_DEVICE_AVXVNNI;
#endif
#endif
  return bits;
}

/* ---- proofs in a child -------------------------------------------------------------- */

/* Where it is installed, or, of a plugin that is used where it was built, in the build's own folder. (transfer full) */
static gchar *
probe_path (void)
{
  const gchar *path = g_getenv ("GEMMA_PROBE");
  Dl_info self;

  if (path)
    return g_strdup (path);
  if (!g_file_test (GEMMA_PROBE_PATH, G_FILE_TEST_IS_EXECUTABLE) && dladdr (probe_path, &self) && self.dli_fname) {
    g_autofree gchar *folder = g_path_get_dirname (self.dli_fname);
    gchar *built = g_build_filename (folder, "..", "opencl", "gemma-probe", NULL);

    if (g_file_test (built, G_FILE_TEST_IS_EXECUTABLE))
      return built;
    g_free (built);
  }
  return g_strdup (GEMMA_PROBE_PATH);
}

/* Runs the child. Anything but a clean success is a no; a child that cannot be started leaves @tried FALSE. */
static gboolean
run_probe (const gchar *variant, guint bits, gboolean *tried)
{
  g_autofree gchar *number = g_strdup_printf ("%u", bits);
  g_autofree gchar *probe = probe_path ();
  gchar *argv[] = { probe, (gchar *) variant, number, NULL };
  g_auto (GStrv) environment = g_get_environ ();
  gint status = 0;

  environment = g_environ_unsetenv (environment, "GEMMA_VARIANT");
  environment = g_environ_unsetenv (environment, "GEMMA_FAULT");
  *tried = g_spawn_sync (NULL, argv, environment, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
      NULL, NULL, &status, NULL);
  return *tried && g_spawn_check_wait_status (status, NULL);
}

/* Where the result for this device, driver, CPU and kernel source is kept. */
static gchar *
result_path (OclDevice *device, const gchar *variant)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree gchar *folder = ocl_cache_dir ();
  g_autofree gchar *file = NULL;
  g_autofree gchar *bits = g_strdup_printf ("%x", ocl_cpu_bits ());
  static const gchar *const programs[] = { "matmul-cpu", "matmul-int8", "elementwise-cpu", "batch" };
  const gchar *kernel_library = g_getenv ("POCL_KERNELLIB_NAME");

  g_checksum_update (sum, (const guchar *) device->identity, -1);
  g_checksum_update (sum, (const guchar *) bits, -1);
  g_checksum_update (sum, (const guchar *) (kernel_library ? kernel_library : ""), -1);
  for (guint i = 0; i < G_N_ELEMENTS (programs); i++) {
    g_autofree gchar *source = ocl_program_source (programs[i], NULL);
    g_checksum_update (sum, (const guchar *) (source ? source : ""), -1);
  }
  file = g_strdup_printf ("proof-%s-%.32s.txt", variant, g_checksum_get_string (sum));
  return g_build_filename (folder, file, NULL);
}

gboolean
ocl_cpu_prove (OclDevice *device, const gchar *variant, guint bits)
{
  g_autofree gchar *path = result_path (device, variant);
  g_autofree gchar *folder = g_path_get_dirname (path);
  g_autofree gchar *known = NULL;
  gboolean works, tried;

  if (g_file_get_contents (path, &known, NULL, NULL))
    return g_str_equal (known, "works\n");
  /* Processes that compile the same kernel for the first time can be in each other's way (PoCL): what is kept must not be that. */
  works = run_probe (variant, bits, &tried) || (tried && run_probe (variant, bits, &tried));
  if (tried && g_mkdir_with_parents (folder, 0700) == 0)
    g_file_set_contents (path, works ? "works\n" : "fails\n", -1, NULL);
  g_info ("%s on %s: %s", variant, device->name, works ? "works" : tried ? "fails" : "not tried, no gemma-probe");
  return works;
}

guint
ocl_cpu_proven_bits (OclDevice *device, guint bits)
{
  guint proven = bits & OCL_DEVICE_AVX2;

  if (device->links_apart)
    bits |= OCL_DEVICE_BATCH;

  for (guint i = 0; i < G_N_ELEMENTS (proofs); i++) {
    guint all = proofs[i].bit | proofs[i].needed;
    gboolean works = (bits & all) == all && (proven & proofs[i].needed) == proofs[i].needed;

    for (guint v = 0; works && proofs[i].variants[v]; v++)
      works = ocl_cpu_prove (device, proofs[i].variants[v], all);
    proven |= works ? proofs[i].bit : 0;
  }
  return proven;
}
