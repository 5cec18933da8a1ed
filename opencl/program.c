/* Programs: their source with includes, their build, and the cache of their binaries on disk. */
#include "device-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "kernels.h"

#define CACHE_MAGIC "gst-gemma program 2\n"

/* ---- source -------------------------------------------------------------------- */

/* A file of opencl/kernels/ with its extension: from GEMMA_KERNEL_DIR if it is there, else built in. */
static gchar *
load_file (const gchar *file)
{
  const gchar *folder = g_getenv ("GEMMA_KERNEL_DIR");

  if (folder) {
    g_autofree gchar *path = g_build_filename (folder, file, NULL);
    gchar *text = NULL;

    if (g_file_get_contents (path, &text, NULL, NULL))
      return text;
  }
  for (guint i = 0; ocl_kernel_files[i].name; i++)
    if (g_str_equal (ocl_kernel_files[i].name, file))
      return g_strndup ((const gchar *) ocl_kernel_files[i].text, ocl_kernel_files[i].size);
  return NULL;
}

/* Appends @file to @out, each #include "file" line replaced by that file at its first mention. */
static gboolean
expand (GString *out, GHashTable *seen, const gchar *file, GError **error)
{
  g_autofree gchar *text = load_file (file);
  g_auto (GStrv) lines = NULL;

  if (!text) {
    g_set_error (error, OCL_ERROR, OCL_ERROR_BUILD, "There is no kernel file %s", file);
    return FALSE;
  }
  g_hash_table_add (seen, g_strdup (file));
  g_string_append_printf (out, "#line 1 \"%s\"\n", file);
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) quoted = g_str_has_prefix (lines[i], "#include \"") ? g_strsplit (lines[i], "\"", 3) : NULL;

    if (!quoted || g_strv_length (quoted) != 3) {
      g_string_append_printf (out, "%s\n", lines[i]);
      continue;
    }
    if (!g_hash_table_contains (seen, quoted[1]) && !expand (out, seen, quoted[1], error))
      return FALSE;
    g_string_append_printf (out, "#line %u \"%s\"\n", i + 2, file);
  }
  return TRUE;
}

gchar *
ocl_program_source (const gchar *name, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree gchar *file = g_strconcat (name, ".cl", NULL);
  g_autoptr (GString) out = g_string_new (NULL);

  if (!expand (out, seen, file, error))
    return NULL;
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* ---- cache on disk --------------------------------------------------------------- */

gchar *
ocl_cache_dir (void)
{
  const gchar *folder = g_getenv ("GEMMA_CACHE_DIR");

  return folder && *folder ? g_strdup (folder) : g_build_filename (g_get_user_cache_dir (), "gst-gemma", NULL);
}

static gchar *
cache_key (OclDevice *device, const gchar *source, const gchar *options)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  const gchar *kernel_library = g_getenv ("POCL_KERNELLIB_NAME");     /* changes what PoCL compiles for */
  const gchar *parts[] = { source, options, device->identity, kernel_library ? kernel_library : "" };

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    g_checksum_update (sum, (const guchar *) parts[i], strlen (parts[i]) + 1);
  return g_strdup (g_checksum_get_string (sum));
}

static gchar *
cache_path (const gchar *name, const gchar *key)
{
  g_autofree gchar *folder = ocl_cache_dir ();
  g_autofree gchar *file = g_strdup_printf ("%s-%.32s.bin", name, key);

  return g_build_filename (folder, file, NULL);
}

/* An entry is the magic, the key, the SHA256 of the binary (both in hex) and the binary. */
#define HEADER (sizeof CACHE_MAGIC - 1 + 64 + 64)

static cl_program
cache_load (OclDevice *device, const gchar *path, const gchar *key, const gchar *options)
{
  g_autofree gchar *data = NULL;
  g_autofree gchar *sum = NULL;
  const guchar *binary;
  cl_int status, binary_status = CL_SUCCESS;
  cl_program program;
  gsize size;

  if (!g_file_get_contents (path, &data, &size, NULL))
    return NULL;
  if (size <= HEADER || memcmp (data, CACHE_MAGIC, sizeof CACHE_MAGIC - 1) != 0
      || memcmp (data + sizeof CACHE_MAGIC - 1, key, 64) != 0)
    return NULL;
  binary = (const guchar *) data + HEADER;
  size -= HEADER;
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, binary, size);
  if (memcmp (binary - 64, sum, 64) != 0)
    return NULL;
  program = clCreateProgramWithBinary (device->context, 1, &device->id, &size, &binary, &binary_status, &status);
  if (!program)
    return NULL;
  if (binary_status == CL_SUCCESS && device->links_apart)
    return program;
  if (binary_status == CL_SUCCESS && clBuildProgram (program, 1, &device->id, options, NULL, NULL) == CL_SUCCESS)
    return program;
  clReleaseProgram (program);
  return NULL;
}

/* A cache that cannot be written costs time at the next start, nothing else. */
static void
cache_store (OclDevice *device, const gchar *path, const gchar *key, cl_program program)
{
  g_autofree gchar *folder = g_path_get_dirname (path);
  g_autofree guchar *binary = NULL;
  g_autofree gchar *sum = NULL;
  g_autoptr (GByteArray) entry = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  gsize size = 0;

  if (clGetProgramInfo (program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS || size == 0)
    return;
  binary = g_malloc (size);
  if (clGetProgramInfo (program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) != CL_SUCCESS)
    return;
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, binary, size);
  g_byte_array_append (entry, (const guint8 *) CACHE_MAGIC, sizeof CACHE_MAGIC - 1);
  g_byte_array_append (entry, (const guint8 *) key, 64);
  g_byte_array_append (entry, (const guint8 *) sum, 64);
  g_byte_array_append (entry, binary, size);
  if (g_mkdir_with_parents (folder, 0700) != 0
      || !g_file_set_contents (path, (const gchar *) entry->data, entry->len, &error))
    g_info ("programs are not cached in %s: %s", folder, error ? error->message : g_strerror (errno));
}

/* ---- build ----------------------------------------------------------------------- */

static void
set_build_error (OclDevice *device, cl_program program, const gchar *name, cl_int status, GError **error)
{
  g_autofree gchar *log = NULL;
  gsize size = 0;

  if (program && clGetProgramBuildInfo (program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) == CL_SUCCESS && size > 1) {
    log = g_malloc0 (size + 1);
    clGetProgramBuildInfo (program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    g_strstrip (log);
  }
  g_set_error (error, OCL_ERROR, OCL_ERROR_BUILD, "The OpenCL program %s does not compile on %s (%s):\n%s", name,
      device->name, ocl_status_name (status), log && *log ? log : "(no log)");
}

static cl_program
compile (OclDevice *device, const gchar *name, const gchar *source, const gchar *options, GError **error)
{
  gsize length = strlen (source);
  OclProgressFunc progress;
  gpointer data;
  cl_int status;
  cl_program program;

  g_mutex_lock (&device->lock);
  progress = device->progress;
  data = device->progress_data;
  g_mutex_unlock (&device->lock);
  if (progress)
    progress (name, data);
  program = clCreateProgramWithSource (device->context, 1, &source, &length, &status);
  if (!program) {
    ocl_set_status_error (error, status, "Cannot create an OpenCL program");
    return NULL;
  }
  status = ocl_fault (OCL_FAULT_BUILD);
  if (status == CL_SUCCESS && device->links_apart)
    status = clCompileProgram (program, 1, &device->id, options, 0, NULL, NULL, NULL, NULL);
  else if (status == CL_SUCCESS)
    status = clBuildProgram (program, 1, &device->id, options, NULL, NULL);
  if (status == CL_SUCCESS)
    return program;
  set_build_error (device, program, name, status, error);
  clReleaseProgram (program);
  return NULL;
}

/* PoCL (3.1, pocl_write_file()) replaces the file that it keeps a linked program in by removing it first, and gives up where
 * another process, which starts at the same time, has just done that. */
#define LINK_ATTEMPTS 5

static cl_program
link_programs (OclDevice *device, const gchar *name, const cl_program *compiled, guint n, GError **error)
{
  cl_int status = CL_LINK_PROGRAM_FAILURE;
  cl_program program = NULL;

  for (guint i = 0; i < LINK_ATTEMPTS && !program && status == CL_LINK_PROGRAM_FAILURE; i++)
    program = clLinkProgram (device->context, 1, &device->id, NULL, n, compiled, NULL, NULL, &status);
  if (status == CL_SUCCESS)
    return program;
  set_build_error (device, program, name, status, error);
  if (program)
    clReleaseProgram (program);
  return NULL;
}

/* As the cache keeps it: not linked yet where programs are linked apart. */
static cl_program
load_or_compile (OclDevice *device, const OclProgramPart *part, GError **error)
{
  g_autofree gchar *text = ocl_program_source (part->name, error);
  g_autofree gchar *source = text ? g_strconcat (part->before ? part->before : "", text, NULL) : NULL;
  g_autofree gchar *options = g_strconcat ("-cl-std=CL1.2 -w ", part->options, NULL);
  g_autofree gchar *key = NULL;
  g_autofree gchar *path = NULL;
  cl_program program;

  if (!source)
    return NULL;
  key = cache_key (device, source, options);
  path = cache_path (part->name, key);
  program = cache_load (device, path, key, options);
  if (program)
    return program;
  program = compile (device, part->name, source, options, error);
  if (program)
    cache_store (device, path, key, program);
  return program;
}

static cl_program
link_parts (OclDevice *device, const OclProgramPart *parts, guint n_parts, GError **error)
{
  g_autofree cl_program *compiled = g_new0 (cl_program, n_parts);
  cl_program program = NULL;
  guint n = 0;

  while (n < n_parts && (compiled[n] = load_or_compile (device, &parts[n], error)))
    n++;
  if (n == n_parts)
    program = link_programs (device, parts[n - 1].name, compiled, n, error);
  for (guint i = 0; i < n; i++)
    clReleaseProgram (compiled[i]);
  return program;
}

cl_program
ocl_device_link_program (OclDevice *device, const OclProgramPart *parts, guint n_parts, GError **error)
{
  cl_program program;

  g_mutex_lock (&device->build_lock);
  program = link_parts (device, parts, n_parts, error);
  g_mutex_unlock (&device->build_lock);
  return program;
}

cl_program
ocl_device_get_program (OclDevice *device, const gchar *name, const gchar *options, GError **error)
{
  const OclProgramPart part = { name, options, NULL };
  g_autofree gchar *key = g_strconcat (name, " ", options, NULL);
  cl_program program;

  g_mutex_lock (&device->build_lock);
  program = g_hash_table_lookup (device->programs, key);
  if (!program) {
    program = device->links_apart ? link_parts (device, &part, 1, error) : load_or_compile (device, &part, error);
    if (program)
      g_hash_table_insert (device->programs, g_steal_pointer (&key), program);
  }
  if (program)
    clRetainProgram (program);
  g_mutex_unlock (&device->build_lock);
  return program;
}
