/* The OpenCL runtime: devices and their errors, the cache of programs, queues, memory, threads. */
#include "opencl/device-private.h"
#include "opencl/ops.h"
#include "opencl/variant.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

/* Each test runs in its own process (libcheck forks), with an empty cache of programs; what the CPU can run is proven once. */
static gchar *cache_dir, *proofs_dir;
static gint n_compiled;

static void
copy_proofs (void)
{
  g_autoptr (GDir) dir = g_dir_open (proofs_dir, 0, NULL);
  const gchar *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree gchar *from = g_build_filename (proofs_dir, name, NULL), *to = g_build_filename (cache_dir, name, NULL), *text = NULL;
    gsize size;

    if (g_str_has_prefix (name, "proof-"))
      fail_unless (g_file_get_contents (from, &text, &size, NULL) && g_file_set_contents (to, text, size, NULL));
  }
}

static void
setup (void)
{
  cache_dir = g_dir_make_tmp ("gemma-cache-XXXXXX", NULL);
  g_setenv ("GEMMA_CACHE_DIR", cache_dir, TRUE);
  copy_proofs ();
  n_compiled = 0;
}

static void
remove_dir (const gchar *dir_path)
{
  g_autoptr (GDir) dir = g_dir_open (dir_path, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (dir_path, name, NULL);
    g_remove (path);
  }
  g_rmdir (dir_path);
}

static void
teardown (void)
{
  remove_dir (cache_dir);
  g_clear_pointer (&cache_dir, g_free);
}

static void
count_compiled (const gchar *program, gpointer data)
{
  g_atomic_int_inc (&n_compiled);
}

static OclDevice *
open_device (void)
{
  g_autoptr (GError) error = NULL;
  OclDevice *device = ocl_device_open ("auto", &error);

  fail_unless (device != NULL, "%s", error ? error->message : "");
  ocl_device_set_progress (device, count_compiled, NULL);
  return device;
}

static OclQueue *
new_queue (OclDevice *device)
{
  g_autoptr (GError) error = NULL;
  OclQueue *queue = ocl_queue_new (device, &error);

  fail_unless (queue != NULL, "%s", error ? error->message : "");
  return queue;
}

static OclTensor
tensor_of (OclDevice *device, gint rows, gint cols, const gfloat *data)
{
  g_autoptr (GError) error = NULL;
  OclTensor t = ocl_tensor_new_from (device, rows, cols, data, &error);

  fail_unless (t.mem != NULL, "%s", error ? error->message : "");
  return t;
}

/* Adds { 1, 2, 3 } to itself: any operation that needs a program will do. */
static gboolean
try_add (OclDevice *device, GError **error)
{
  const gfloat data[3] = { 1, 2, 3 };
  gfloat got[3] = { 0 };
  OclQueue *queue = new_queue (device);
  OclTensor x = tensor_of (device, 1, 3, data);
  gboolean ok;

  ocl_add (queue, x, x, x);
  ocl_tensor_read (queue, x, got);
  ok = ocl_queue_finish (queue, error);
  if (ok)
    fail_unless (got[0] == 2 && got[1] == 4 && got[2] == 6);
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  return ok;
}

static void
assert_add_works (OclDevice *device)
{
  g_autoptr (GError) error = NULL;

  fail_unless (try_add (device, &error), "%s", error ? error->message : "");
}

static void
assert_error (GError *error, OclError code, const gchar *part)
{
  fail_unless (g_error_matches (error, OCL_ERROR, code), "error %d: %s", error ? error->code : -1,
      error ? error->message : "none");
  fail_unless (strstr (error->message, part) != NULL, "\"%s\" does not say \"%s\"", error->message, part);
}

/* ---- devices ----------------------------------------------------------------------- */

GST_START_TEST (test_no_platform)
{
  g_autoptr (GError) error = NULL;

  g_setenv ("OCL_ICD_VENDORS", "/nonexistent", TRUE);
  fail_unless (ocl_device_open (NULL, &error) == NULL);
  assert_error (error, OCL_ERROR_NO_PLATFORM, "No OpenCL driver is installed");
}
GST_END_TEST;

GST_START_TEST (test_no_device)
{
  static const gchar *const specs[] = { "97:0", "0:97", "cpus", "", "0:0x", "-1:0" };
  OclDevice *device = open_device ();

  for (guint i = 0; i < G_N_ELEMENTS (specs); i++) {
    g_autoptr (GError) error = NULL;

    fail_unless (ocl_device_open (specs[i], &error) == NULL, "%s", specs[i]);
    assert_error (error, OCL_ERROR_NO_DEVICE, ocl_device_get_name (device));    /* the list of what there is */
  }
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_device_is_shared)
{
  OclDevice *first = open_device (), *second = open_device ();

  fail_unless (first == second);
  ocl_device_unref (first);
  assert_add_works (second);
  ocl_device_unref (second);
  first = open_device ();
  assert_add_works (first);
  ocl_device_unref (first);
}
GST_END_TEST;

GST_START_TEST (test_device_tells)
{
  OclDevice *device = open_device ();
  guint bits = ocl_device_get_bits (device);

  fail_unless (bits & (OCL_DEVICE_CPU | OCL_DEVICE_GPU));
  fail_unless ((bits & OCL_DEVICE_CPU) || !(bits & (OCL_DEVICE_AVX2 | OCL_DEVICE_AVX512BW)));
  fail_unless (ocl_device_get_compute_units (device) >= 1);
  fail_unless (*ocl_device_get_name (device) != '\0');
  fail_unless (ocl_device_get_context (device) != NULL);
  ocl_device_unref (device);
}
GST_END_TEST;

/* What may end the process runs in a child: the answer is no, not a crash, and it is kept. */
GST_START_TEST (test_proof_in_child)
{
  OclDevice *device = open_device ();
  guint host = ocl_cpu_bits ();

  if (ocl_device_get_bits (device) & OCL_DEVICE_CPU) {
    gboolean avx2 = (host & OCL_DEVICE_AVX2) != 0, vnni = (host & OCL_DEVICE_AVX512VNNI) != 0;

    fail_unless (ocl_cpu_prove (device, "cpu", 0));
    fail_unless (!ocl_cpu_prove (device, "no-such-variant", 0));
    fail_unless (ocl_cpu_prove (device, "int8-avx2", OCL_DEVICE_AVX2) == avx2);
    if (!vnni)
      fail_unless (!ocl_cpu_prove (device, "int8-vnni", OCL_DEVICE_AVX512BW | OCL_DEVICE_AVX512VNNI));
    g_setenv ("GEMMA_PROBE", "/nonexistent", TRUE);
    fail_unless (ocl_cpu_prove (device, "cpu", 0), "the result was not kept");
    fail_unless (!ocl_cpu_prove (device, "clblast", 0), "a child that does not exist proves nothing");
  }
  ocl_device_unref (device);
}
GST_END_TEST;

/* ---- gathered launches ------------------------------------------------------------------ */

#define GATHER_ROWS 300         /* several items a step */
#define GATHER_COLS 256
#define GATHER_STEPS 400        /* several launches */

/* x = 0, then @n times x += 1; in the middle something that no batch takes sees the state of then. */
static void
count_up (OclQueue *queue, OclTensor x, OclTensor one, OclTensor normed, OclTensor weight, gint n)
{
  const OclLayerNorm norm = { weight, weight, 1e-6f };

  ocl_fill (queue, x, 0);
  for (gint i = 0; i < n; i++) {
    ocl_add (queue, x, x, one);
    if (i == n / 2)
      ocl_layer_norm (queue, normed, x, &norm);
  }
}

GST_START_TEST (test_gathered_in_order)
{
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *got = g_new (gfloat, GATHER_ROWS * GATHER_COLS);
  OclTensor x = ocl_tensor_new (device, GATHER_ROWS, GATHER_COLS, NULL), normed = ocl_tensor_new (device, GATHER_ROWS, GATHER_COLS, NULL);
  OclTensor one = ocl_tensor_new (device, GATHER_ROWS, GATHER_COLS, NULL), weight = ocl_tensor_new (device, 1, GATHER_COLS, NULL);

  ocl_fill (queue, one, 1);
  ocl_fill (queue, weight, 3);
  for (gint gather = 0; gather < 2; gather++) {
    ocl_queue_gather (queue, gather);
    count_up (queue, x, one, normed, weight, GATHER_STEPS);
    fail_unless (ocl_tensor_read (queue, x, got));      /* waits for all of it */
    for (gint i = 0; i < GATHER_ROWS * GATHER_COLS; i++)
      fail_unless (got[i] == GATHER_STEPS, "%g of %d steps", got[i], GATHER_STEPS);
    fail_unless (ocl_tensor_read (queue, normed, got)); /* of a row of equal values: its bias */
    for (gint i = 0; i < GATHER_ROWS * GATHER_COLS; i++)
      fail_unless (got[i] == 3, "%g", got[i]);
  }
  ocl_fill (queue, x, 5);
  ocl_queue_gather (queue, FALSE);      /* submits what there is */
  ocl_add (queue, x, x, one);
  fail_unless (ocl_tensor_read (queue, x, got) && got[0] == 6);
  fail_unless (ocl_queue_finish (queue, &error));
  ocl_tensor_clear (device, &x);
  ocl_tensor_clear (device, &normed);
  ocl_tensor_clear (device, &one);
  ocl_tensor_clear (device, &weight);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

/* A buffer may go as soon as what uses it is enqueued, gathered or not. */
GST_START_TEST (test_gathered_buffers_live)
{
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  OclTensor x = ocl_tensor_new (device, 1, 64, NULL), passing;
  gfloat got[64];

  ocl_fill (queue, x, 1);
  ocl_queue_gather (queue, TRUE);
  for (gint i = 0; i < 200; i++) {      /* more than a launch has buffers */
    passing = ocl_tensor_new (device, 1, 64, NULL);
    ocl_copy (queue, passing, x);
    ocl_add (queue, x, x, passing);
    ocl_tensor_clear (device, &passing);
    if (i % 20 == 19)
      ocl_fill (queue, x, 1);
  }
  for (gint i = 0; i < 3; i++)
    ocl_add (queue, x, x, x);
  fail_unless (ocl_tensor_read (queue, x, got));
  for (gint i = 0; i < 64; i++)
    fail_unless (got[i] == 8, "%g", got[i]);
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_gathered_launch_fails)
{
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  g_autoptr (GError) error = NULL;
  OclTensor x = ocl_tensor_new (device, 1, 64, NULL);
  gfloat got[64];

  for (gint fails = 1; fails >= 0; fails--) {
    ocl_fault_inject (fails ? "launch:1" : NULL);
    ocl_queue_gather (queue, TRUE);
    ocl_fill (queue, x, 2);
    ocl_add (queue, x, x, x);
    ocl_queue_gather (queue, FALSE);
    fail_unless (ocl_tensor_read (queue, x, got) == !fails);
    fail_unless (ocl_queue_finish (queue, &error) == !fails);
    if (fails)
      assert_error (error, OCL_ERROR_OUT_OF_MEMORY, "CL_OUT_OF_RESOURCES");
    g_clear_error (&error);
  }
  fail_unless (got[0] == 4);
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

/* ---- programs and their cache -------------------------------------------------------- */

static void
write_kernel (const gchar *file, const gchar *text)
{
  g_autofree gchar *path = g_build_filename (cache_dir, file, NULL);

  g_setenv ("GEMMA_KERNEL_DIR", cache_dir, TRUE);
  fail_unless (g_file_set_contents (path, text, -1, NULL));
}

GST_START_TEST (test_build_error_has_log)
{
  g_autoptr (GError) error = NULL;
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);

  write_kernel ("broken.cl", "__kernel void broken (__global float *x) { x[0] = undefined_name; }\n");
  fail_unless (ocl_queue_get_kernel (queue, "broken", "broken", NULL) == NULL);
  fail_unless (ocl_queue_failed (queue));
  fail_unless (!ocl_queue_finish (queue, &error));
  assert_error (error, OCL_ERROR_BUILD, "undefined_name");
  g_clear_error (&error);
  fail_unless (ocl_queue_get_kernel (queue, "absent", "absent", NULL) == NULL);
  fail_unless (!ocl_queue_finish (queue, &error));
  assert_error (error, OCL_ERROR_BUILD, "absent.cl");
  g_clear_error (&error);
  write_kernel ("good.cl", "__kernel void good (__global float *x) { x[0] = 1; }\n");
  fail_unless (ocl_queue_get_kernel (queue, "good", "other", NULL) == NULL);
  fail_unless (!ocl_queue_finish (queue, &error));
  assert_error (error, OCL_ERROR_FAILED, "other");
  fail_unless (ocl_queue_get_kernel (queue, "good", "good", NULL) != NULL);
  fail_unless (ocl_queue_finish (queue, NULL));
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_kernels_from_disk)
{
  const gfloat data[2] = { 1, 2 };
  gfloat got[2];
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  OclTensor x = tensor_of (device, 1, 2, data);
  const gsize global = 2, local = 1;

  write_kernel ("part.clh", "#define FACTOR 5\n");
  write_kernel ("scale.cl", "#include \"common.clh\"\n#include \"part.clh\"\n#include \"part.clh\"\n"
      "__kernel void scale (TENSOR (x)) { AT (x, 0, get_global_id (0)) *= FACTOR; }\n");
  ocl_queue_run (queue, ocl_queue_get_kernel (queue, "scale", "scale", NULL), 1, &global, &local, OCL_ARG_TENSOR (x),
      OCL_ARGS_END);
  fail_unless (ocl_tensor_read (queue, x, got));
  fail_unless (got[0] == 5 && got[1] == 10);
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

/* Compiles what try_add() needs in a new device: how many programs the cache lacked. */
static gint
compiled_by_new_device (void)
{
  OclDevice *device = open_device ();

  n_compiled = 0;
  assert_add_works (device);
  ocl_device_unref (device);
  return n_compiled;
}

GST_START_TEST (test_warm_start_compiles_nothing)
{
  gint cold = compiled_by_new_device ();

  fail_unless (cold > 0);
  fail_unless_equals_int (compiled_by_new_device (), 0);
}
GST_END_TEST;

/* What this program prints in a process of its own, with --count-compiled. (transfer full) */
static gchar *
count_in_other_process (void)
{
  gchar self[4096] = { 0 }, *argv[] = { self, (gchar *) "--count-compiled", NULL }, *output = NULL;

  g_assert (readlink ("/proc/self/exe", self, sizeof self - 1) > 0);
  g_assert (g_spawn_sync (NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, NULL, NULL, NULL));
  return output;
}

GST_START_TEST (test_second_process_compiles_nothing)
{
  g_autofree gchar *output = NULL;

  fail_unless (compiled_by_new_device () > 0);
  output = count_in_other_process ();
  fail_unless_equals_string (output, "compiled 0\n");
}
GST_END_TEST;

typedef void (*Damage) (gchar **data, gsize *size);

static void
cut_short (gchar **data, gsize *size)
{
  *size /= 2;
}

static void
empty (gchar **data, gsize *size)
{
  *size = 0;
}

static void
flip_bit (gchar **data, gsize *size)
{
  (*data)[*size / 2] ^= 4;
}

static void
other_key (gchar **data, gsize *size)
{
  (*data)[25] ^= 1;
}

static void
garbage (gchar **data, gsize *size)
{
  memset (*data, 0x55, *size);
}

static const Damage damages[] = { cut_short, empty, flip_bit, other_key, garbage };

static void
damage_cache (Damage damage)
{
  g_autoptr (GDir) dir = g_dir_open (cache_dir, 0, NULL);
  const gchar *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (cache_dir, name, NULL), *data = NULL;
    gsize size;

    if (!g_str_has_suffix (name, ".bin"))
      continue;
    fail_unless (g_file_get_contents (path, &data, &size, NULL));
    damage (&data, &size);
    fail_unless (g_file_set_contents (path, data, size, NULL));
  }
}

GST_START_TEST (test_damaged_cache_is_rebuilt)
{
  gint cold = compiled_by_new_device ();

  damage_cache (damages[__i__]);
  fail_unless_equals_int (compiled_by_new_device (), cold);
  fail_unless_equals_int (compiled_by_new_device (), 0);
}
GST_END_TEST;

GST_START_TEST (test_cache_that_cannot_be_written)
{
  g_autofree gchar *below = g_build_filename (cache_dir, "file", "below", NULL);
  g_autofree gchar *file = g_build_filename (cache_dir, "file", NULL);

  fail_unless (g_file_set_contents (file, "", 0, NULL));
  g_setenv ("GEMMA_CACHE_DIR", below, TRUE);
  fail_unless (compiled_by_new_device () > 0);
}
GST_END_TEST;

GST_START_TEST (test_changed_source_is_compiled)
{
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);

  write_kernel ("a.cl", "__kernel void a (__global float *x) { x[0] = 1; }\n");
  fail_unless (ocl_queue_get_kernel (queue, "a", "a", NULL) != NULL);
  fail_unless (ocl_queue_get_kernel (queue, "a", "a", "-DX=1") != NULL);
  fail_unless_equals_int (n_compiled, 2);
  ocl_queue_free (queue);
  ocl_device_unref (device);
  device = open_device ();
  queue = new_queue (device);
  write_kernel ("a.cl", "__kernel void a (__global float *x) { x[0] = 2; }\n");
  fail_unless (ocl_queue_get_kernel (queue, "a", "a", NULL) != NULL);
  fail_unless_equals_int (n_compiled, 3);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

/* ---- failures ------------------------------------------------------------------------ */

GST_START_TEST (test_too_large_allocation)
{
  g_autoptr (GError) error = NULL;
  OclDevice *device = open_device ();
  OclTensor t = ocl_tensor_new (device, 1 << 22, 1 << 22, &error);

  fail_unless (t.mem == NULL);
  assert_error (error, OCL_ERROR_OUT_OF_MEMORY, "70368744177664 bytes");
  g_clear_error (&error);
  t = ocl_tensor_new (device, 0, 5, &error);
  fail_unless (t.mem == NULL);
  assert_error (error, OCL_ERROR_FAILED, "0 x 5");
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), 0);
  ocl_device_unref (device);
}
GST_END_TEST;

static const struct
{
  const gchar *fault, *part;
  OclError code;
} launch_faults[] = {
  { "launch:1", "CL_OUT_OF_RESOURCES", OCL_ERROR_OUT_OF_MEMORY },
  { "launch:1=CL_MEM_OBJECT_ALLOCATION_FAILURE", "CL_MEM_OBJECT_ALLOCATION_FAILURE", OCL_ERROR_OUT_OF_MEMORY },
  { "launch:1=CL_OUT_OF_HOST_MEMORY", "CL_OUT_OF_HOST_MEMORY", OCL_ERROR_OUT_OF_MEMORY },
  { "launch:1=CL_DEVICE_NOT_AVAILABLE", "CL_DEVICE_NOT_AVAILABLE", OCL_ERROR_LOST },
  { "launch:1=CL_INVALID_KERNEL_ARGS", "CL_INVALID_KERNEL_ARGS", OCL_ERROR_FAILED },
  { "build:1", "CL_BUILD_PROGRAM_FAILURE", OCL_ERROR_BUILD },
};

GST_START_TEST (test_operation_fails)
{
  g_autoptr (GError) error = NULL;
  OclDevice *device = open_device ();

  ocl_fault_inject (launch_faults[__i__].fault);
  fail_unless (!try_add (device, &error));
  assert_error (error, launch_faults[__i__].code, launch_faults[__i__].part);
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), 0);
  assert_add_works (device);    /* the fault was one call's */
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_fault_from_environment)
{
  g_autoptr (GError) error = NULL;
  OclDevice *device;

  g_setenv ("GEMMA_FAULT", "launch:1=CL_OUT_OF_RESOURCES", TRUE);
  device = open_device ();
  fail_unless (!try_add (device, &error));
  assert_error (error, OCL_ERROR_OUT_OF_MEMORY, "CL_OUT_OF_RESOURCES");
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_first_failure_is_kept)
{
  g_autoptr (GError) error = NULL;
  const gfloat data[2] = { 1, 2 };
  gfloat got[2];
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  OclTensor x = tensor_of (device, 1, 2, data);

  ocl_queue_take_error (queue, g_error_new (OCL_ERROR, OCL_ERROR_LOST, "first"));
  ocl_queue_take_error (queue, g_error_new (OCL_ERROR, OCL_ERROR_BUILD, "second"));
  fail_unless (!ocl_queue_check (queue, CL_OUT_OF_RESOURCES, "third"));
  ocl_add (queue, x, x, x);
  fail_unless (!ocl_tensor_read (queue, x, got));
  fail_unless (!ocl_queue_finish (queue, &error));
  assert_error (error, OCL_ERROR_LOST, "first");
  fail_unless (!ocl_queue_failed (queue));
  fail_unless (ocl_tensor_read (queue, x, got));
  fail_unless (got[0] == 1 && got[1] == 2, "an operation ran after the failure");
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

/* Every allocation on the way to a weight fails once. */
GST_START_TEST (test_weight_allocations_fail)
{
  guint8 data[20 * 34] = { 0 };
  OclMatrix matrix = { OCL_TYPE_Q8_0, 20, 32, data };
  OclDevice *device = open_device ();
  OclWeight *weight = NULL;
  guint n_failures = 0;

  while (!weight) {
    g_autofree gchar *fault = g_strdup_printf ("alloc:%u", n_failures + 1);
    g_autoptr (GError) error = NULL;

    ocl_fault_inject (fault);
    weight = ocl_weight_new (device, &matrix, 1, &error);
    if (weight)
      break;
    assert_error (error, OCL_ERROR_OUT_OF_MEMORY, "CL_MEM_OBJECT_ALLOCATION_FAILURE");
    fail_unless_equals_uint64 (ocl_device_get_allocated (device), 0);
    n_failures++;
  }
  ocl_fault_inject (NULL);
  fail_unless_equals_int (n_failures, 2);       /* bytes and scales */
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), 32 * 32 + 32 * 2);
  ocl_weight_free (weight);
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), 0);
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_wrong_weights)
{
  guint8 data[4 * 18 * 2] = { 0 };
  const OclMatrix parts[] = {
    { OCL_TYPE_Q4_0, 2, 33, data },     /* not whole blocks */
    { OCL_TYPE_Q4_0, 0, 32, data },
    { OCL_TYPE_Q4_0, -3, 32, data },
    { OCL_TYPE_F16, 2, 0, data },
  };
  const OclMatrix mixed[] = { { OCL_TYPE_Q4_0, 2, 32, data }, { OCL_TYPE_F16, 2, 32, data } };
  const OclMatrix ragged[] = { { OCL_TYPE_Q4_0, 2, 32, data }, { OCL_TYPE_Q4_0, 2, 64, data } };
  const OclMatrix huge[] = { { OCL_TYPE_Q4_0, G_MAXINT, 32, data }, { OCL_TYPE_Q4_0, G_MAXINT, 32, data } };
  OclDevice *device = open_device ();

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    fail_unless (ocl_weight_new (device, &parts[i], 1, NULL) == NULL);
  fail_unless (ocl_weight_new (device, mixed, 2, NULL) == NULL);
  fail_unless (ocl_weight_new (device, ragged, 2, NULL) == NULL);
  fail_unless (ocl_weight_new (device, huge, 2, NULL) == NULL);
  fail_unless (ocl_weight_new (device, parts, 0, NULL) == NULL);
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), 0);
  ocl_device_unref (device);
}
GST_END_TEST;

/* ---- tensors, weights, variants -------------------------------------------------------- */

GST_START_TEST (test_views)
{
  gfloat data[24], got[24];
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  OclTensor t, view;

  for (guint i = 0; i < 24; i++)
    data[i] = i;
  t = tensor_of (device, 6, 4, data);
  view = ocl_tensor_cols (ocl_tensor_rows (t, 1, 4), 1, 2);
  fail_unless (ocl_tensor_read (queue, view, got));
  fail_unless (got[0] == 5 && got[1] == 6 && got[2] == 9 && got[7] == 18);
  view = ocl_tensor_every (t, 4);
  fail_unless (view.rows == 2 && ocl_tensor_read (queue, view, got));
  fail_unless (got[0] == 0 && got[3] == 3 && got[4] == 16 && got[7] == 19);
  view = ocl_tensor_reshape (t, 3, 8);
  fail_unless (ocl_tensor_read (queue, ocl_tensor_rows (view, 2, 1), got));
  fail_unless (got[0] == 16 && got[7] == 23);
  got[0] = 100;
  got[1] = 101;
  ocl_tensor_write (queue, ocl_tensor_cols (ocl_tensor_rows (t, 3, 2), 2, 1), got);
  fail_unless (ocl_tensor_read (queue, t, got));
  fail_unless (got[14] == 100 && got[18] == 101 && got[13] == 13 && got[15] == 15 && got[19] == 19);
  ocl_tensor_clear (device, &t);
  fail_unless (t.mem == NULL);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

/* A weight larger than the largest allocation is cut into several, and every variant computes all of them. */
GST_START_TEST (test_weight_in_chunks)
{
  static const gchar *const variants[] = { "matmul=portable", "matmul=cpu", "matmul=clblast", "matmul=ref", NULL };
  enum { M = 40, N = 150, K = 96 };
  g_autofree guint8 *data = g_malloc (N * K / 32 * 34);
  g_autofree gfloat *x = g_new (gfloat, M * K), *want = g_new (gfloat, M * N), *got = g_new (gfloat, M * N);
  OclMatrix matrix = { OCL_TYPE_Q8_0, N, K, data };
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  OclTensor tx, ty;
  OclWeight *whole, *cut;

  for (guint i = 0; i < N * K / 32 * 34; i++)
    data[i] = i % 34 == 0 ? 0 : i % 34 == 1 ? 0x2c : i * 7;
  for (guint i = 0; i < M * K; i++)
    x[i] = (gint) (i * 37 % 101) - 50;
  tx = tensor_of (device, M, K, x);
  ty = ocl_tensor_new (device, M, N, NULL);
  whole = ocl_weight_new (device, &matrix, 1, NULL);
  device->max_alloc = 16 * K * 3;       /* three panels */
  cut = ocl_weight_new (device, &matrix, 1, NULL);
  fail_unless (whole != NULL && cut != NULL);
  device->max_alloc = G_MAXINT32;
  ocl_variant_force ("ref");
  ocl_matmul (queue, ty, tx, whole, 0);
  fail_unless (ocl_tensor_read (queue, ty, want));
  for (guint v = 0; v < G_N_ELEMENTS (variants); v++) {
    ocl_variant_force (variants[v]);
    ocl_matmul (queue, ty, tx, cut, 0);
    fail_unless (ocl_tensor_read (queue, ty, got));
    for (guint i = 0; i < M * N; i++)   /* sums of 96 integers times a power of two are exact in float32 */
      fail_unless (got[i] == want[i], "%s: %g, not %g", variants[v] ? variants[v] : "default", got[i], want[i]);
  }
  ocl_weight_free (whole);
  ocl_weight_free (cut);
  ocl_tensor_clear (device, &tx);
  ocl_tensor_clear (device, &ty);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_product_of_wrong_shapes)
{
  gfloat data[64] = { 0 };
  OclMatrix matrix = { OCL_TYPE_F32, 4, 8, data };
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  OclWeight *weight = ocl_weight_new (device, &matrix, 1, NULL);
  OclTensor t = tensor_of (device, 8, 8, data);
  const OclTensor wrong[3][2] = {       /* y, x */
    { ocl_tensor_cols (t, 0, 5), t },
    { ocl_tensor_cols (t, 0, 4), ocl_tensor_cols (t, 0, 7) },
    { ocl_tensor_cols (ocl_tensor_rows (t, 0, 3), 0, 4), t },
  };

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;

    ocl_matmul (queue, wrong[i][0], wrong[i][1], weight, 0);
    fail_unless (!ocl_queue_finish (queue, &error));
    assert_error (error, OCL_ERROR_FAILED, "cannot be stored in");
  }
  ocl_weight_free (weight);
  ocl_tensor_clear (device, &t);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

static gint n_profile_lines;

static GLogWriterOutput
count_profile (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data)
{
  for (gsize i = 0; i < n_fields; i++)
    if (g_str_equal (fields[i].key, "MESSAGE") && strstr (fields[i].value, "elementwise"))
      n_profile_lines += g_str_has_prefix (fields[i].value, "profile:")
          && strstr (fields[i].value, " 2 launches") != NULL;
  return G_LOG_WRITER_HANDLED;
}

GST_START_TEST (test_profile)
{
  const gfloat data[2] = { 1, 2 };
  OclDevice *device = open_device ();
  OclQueue *queue;
  OclTensor x = tensor_of (device, 1, 2, data);

  g_log_set_writer_func (count_profile, NULL, NULL);
  g_setenv ("GEMMA_PROFILE", "1", TRUE);
  queue = new_queue (device);
  ocl_add (queue, x, x, x);
  ocl_add (queue, x, x, x);
  fail_unless (ocl_queue_finish (queue, NULL));
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  fail_unless_equals_int (n_profile_lines, 1);
  ocl_device_unref (device);
}
GST_END_TEST;

GST_START_TEST (test_variants_are_forced)
{
  guint n;
  const OclOperation *const *operations = ocl_operations (&n), *add = NULL;
  OclDevice *device = open_device ();

  fail_unless (n >= 20);
  for (guint i = 0; i < n; i++) {
    fail_unless_equals_string (operations[i]->variants[operations[i]->n_variants - 1].name, "ref");
    if (g_str_equal (operations[i]->name, "add"))
      add = operations[i];
  }
  fail_unless (add != NULL);
  ocl_variant_force ("ref");
  assert_add_works (device);
  fail_unless_equals_int (n_compiled, 0);       /* plain C */
  ocl_variant_force ("matmul=ref,add=portable");
  assert_add_works (device);
  fail_unless (n_compiled > 0);
  fail_unless_equals_int (ocl_variant_get_misses (), 0);
  ocl_variant_force ("add=nonsense");
  assert_add_works (device);
  fail_unless_equals_int (ocl_variant_get_misses (), 1);
  ocl_variant_force (NULL);
  ocl_device_unref (device);
}
GST_END_TEST;

static gsize
resident_bytes (void)
{
  g_autofree gchar *text = NULL;
  gulong total, resident;

  fail_unless (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  fail_unless (sscanf (text, "%lu %lu", &total, &resident) == 2);
  return resident * sysconf (_SC_PAGESIZE);
}

#define WEIGHT_BYTES (12 << 20)

static cl_mem
filled_weight (OclDevice *device, OclQueue *queue, cl_uint value)
{
  cl_mem mem = ocl_device_alloc (device, CL_MEM_READ_ONLY, WEIGHT_BYTES, NULL);

  fail_unless (mem && clEnqueueFillBuffer (ocl_queue_get_handle (queue), mem, &value, sizeof value, 0, WEIGHT_BYTES, 0, NULL,
          NULL) == CL_SUCCESS);
  fail_unless (ocl_queue_finish (queue, NULL));
  return mem;
}

/* The memory of a model that goes is free, whatever another one still holds beside it. */
GST_START_TEST (test_memory_goes_back)
{
  OclDevice *device = open_device ();
  OclQueue *queue = new_queue (device);
  cl_mem stays = filled_weight (device, queue, 1), goes[3];
  cl_uint *got = g_malloc (WEIGHT_BYTES);
  gsize before = resident_bytes ();

  for (guint i = 0; i < G_N_ELEMENTS (goes); i++)
    goes[i] = filled_weight (device, queue, 2);
  fail_unless (resident_bytes () > before + 2 * WEIGHT_BYTES);
  for (guint i = 0; i < G_N_ELEMENTS (goes); i++)
    ocl_device_release (device, goes[i]);
  fail_unless (resident_bytes () < before + WEIGHT_BYTES, "%zu kB more", (resident_bytes () - before) >> 10);
  fail_unless (clEnqueueReadBuffer (ocl_queue_get_handle (queue), stays, CL_TRUE, 0, WEIGHT_BYTES, got, 0, NULL, NULL) == CL_SUCCESS);
  for (guint i = 0; i < WEIGHT_BYTES / sizeof *got; i++)
    fail_unless (got[i] == 1);
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), WEIGHT_BYTES);
  ocl_device_release (device, stays);
  g_free (got);
  ocl_queue_free (queue);
  ocl_device_unref (device);
}
GST_END_TEST;

/* ---- threads ------------------------------------------------------------------------- */

/* Opens, computes and closes again and again beside others that do the same. */
static gpointer
use_device (gpointer data)
{
  for (guint i = 0; i < 20; i++) {
    OclDevice *device = open_device ();

    assert_add_works (device);
    ocl_device_unref (device);
  }
  return NULL;
}

GST_START_TEST (test_threads_share_a_device)
{
  GThread *threads[6];
  OclDevice *device;

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("user", use_device, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  device = open_device ();
  fail_unless_equals_uint64 (ocl_device_get_allocated (device), 0);
  ocl_device_unref (device);
}
GST_END_TEST;

#define GROW_COLS 8192

static gpointer
grow (gpointer device)
{
  OclQueue *queue = new_queue (device);
  OclTensor x = ocl_tensor_new (device, 1, GROW_COLS, NULL);
  gfloat got[GROW_COLS];
  g_autoptr (GError) error = NULL;

  ocl_fill (queue, x, 0);
  for (gint cols = 64; cols <= GROW_COLS; cols += 64) {
    const OclTensor part = ocl_tensor_cols (x, 0, cols);

    ocl_fill (queue, part, cols);
    ocl_add (queue, part, part, part);
    if (cols % (16 * 64) == 0)
      fail_unless (ocl_tensor_read (queue, x, got) && got[0] == 2 * cols && got[cols - 1] == 2 * cols);
  }
  fail_unless (ocl_queue_finish (queue, &error), "%s", error ? error->message : "");
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  return NULL;
}

/* PoCL before 7.0 mixes up what it loaded of a kernel for launches of one size and of a larger one, and aborts, unless the
 * larger one is alone when it comes for the first time. */
GST_START_TEST (test_launches_grow_beside_others)
{
  GThread *threads[8];
  OclDevice *device = open_device ();

  ocl_variant_force ("add=portable");   /* a work-item for each column */
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("grow", grow, device);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  ocl_variant_force (NULL);
  ocl_device_unref (device);
}
GST_END_TEST;

static Suite *
runtime_suite (void)
{
  Suite *suite = suite_create ("opencl_runtime");
  TCase *tests = tcase_create ("runtime");

  suite_add_tcase (suite, tests);
  tcase_set_timeout (tests, 120);
  tcase_add_checked_fixture (tests, setup, teardown);
  tcase_add_test (tests, test_no_platform);
  tcase_add_test (tests, test_no_device);
  tcase_add_test (tests, test_device_is_shared);
  tcase_add_test (tests, test_device_tells);
  tcase_add_test (tests, test_proof_in_child);
  tcase_add_test (tests, test_gathered_in_order);
  tcase_add_test (tests, test_gathered_buffers_live);
  tcase_add_test (tests, test_gathered_launch_fails);
  tcase_add_test (tests, test_build_error_has_log);
  tcase_add_test (tests, test_kernels_from_disk);
  tcase_add_test (tests, test_warm_start_compiles_nothing);
  tcase_add_test (tests, test_second_process_compiles_nothing);
  tcase_add_loop_test (tests, test_damaged_cache_is_rebuilt, 0, G_N_ELEMENTS (damages));
  tcase_add_test (tests, test_cache_that_cannot_be_written);
  tcase_add_test (tests, test_changed_source_is_compiled);
  tcase_add_test (tests, test_too_large_allocation);
  tcase_add_loop_test (tests, test_operation_fails, 0, G_N_ELEMENTS (launch_faults));
  tcase_add_test (tests, test_fault_from_environment);
  tcase_add_test (tests, test_first_failure_is_kept);
  tcase_add_test (tests, test_weight_allocations_fail);
  tcase_add_test (tests, test_wrong_weights);
  tcase_add_test (tests, test_views);
  tcase_add_test (tests, test_weight_in_chunks);
  tcase_add_test (tests, test_product_of_wrong_shapes);
  tcase_add_test (tests, test_memory_goes_back);
  tcase_add_test (tests, test_profile);
  tcase_add_test (tests, test_variants_are_forced);
  tcase_add_test (tests, test_threads_share_a_device);
  tcase_add_loop_test (tests, test_launches_grow_beside_others, 0, 4);  /* without that care it is aborted every second time */
  return suite;
}

/* The second process; not under libcheck, so without its macros. */
static int
count_in_child (void)
{
  const gfloat data[3] = { 1, 2, 3 };
  OclDevice *device = ocl_device_open ("auto", NULL);
  OclQueue *queue = device ? ocl_queue_new (device, NULL) : NULL;
  OclTensor x;
  gboolean ok;

  if (!queue)
    return 1;
  ocl_device_set_progress (device, count_compiled, NULL);
  x = ocl_tensor_new_from (device, 1, 3, data, NULL);
  ocl_add (queue, x, x, x);
  ok = ocl_queue_finish (queue, NULL);
  ocl_tensor_clear (device, &x);
  ocl_queue_free (queue);
  ocl_device_unref (device);
  g_print ("compiled %d\n", n_compiled);
  return ok ? 0 : 1;
}

int
main (int argc, char **argv)
{
  gint failed;

  if (argc == 2 && g_str_equal (argv[1], "--count-compiled"))
    return count_in_child ();
  gst_check_init (&argc, &argv);
  /* Not in this process: a driver's threads would not survive the forks. */
  proofs_dir = g_dir_make_tmp ("gemma-proofs-XXXXXX", NULL);
  g_setenv ("GEMMA_CACHE_DIR", proofs_dir, TRUE);
  g_free (count_in_other_process ());
  failed = gst_check_run_suite (runtime_suite (), "runtime", __FILE__);
  remove_dir (proofs_dir);
  g_free (proofs_dir);
  return failed;
}
