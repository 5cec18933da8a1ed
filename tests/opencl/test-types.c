/* Conversion of weights to float32, against gguf-py. */
#include "opencl/type.h"

#include "examples/npy.h"

#include <gst/check/gstcheck.h>
#include <math.h>
#include <string.h>

static const struct
{
  OclType type;
  const gchar *name;
} types[] = {
  { OCL_TYPE_F16, "f16" },
  { OCL_TYPE_BF16, "bf16" },
  { OCL_TYPE_Q8_0, "q8_0" },
  { OCL_TYPE_Q4_0, "q4_0" },
  { OCL_TYPE_Q4_1, "q4_1" },
  { OCL_TYPE_Q5_0, "q5_0" },
  { OCL_TYPE_Q5_1, "q5_1" },
  { OCL_TYPE_Q4_K, "q4_k" },
  { OCL_TYPE_Q5_K, "q5_k" },
  { OCL_TYPE_Q6_K, "q6_k" },
};

GST_START_TEST (test_bits_equal_gguf_py)
{
  OclType type = types[__i__].type;
  g_autofree gchar *base = g_build_filename (GOLDEN_DIR, types[__i__].name, NULL);
  g_autofree gchar *bytes_path = g_strconcat (base, ".bin", NULL), *values_path = g_strconcat (base, ".npy", NULL);
  g_autofree gchar *bytes = NULL;
  g_autofree guint8 *shifted = NULL;
  g_autofree gfloat *got = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Npy) want = npy_read_shape (values_path, NPY_F32, &error, 1, -1);
  gsize size;

  fail_unless (want != NULL, "%s", error ? error->message : "");
  fail_unless (g_file_get_contents (bytes_path, &bytes, &size, NULL));
  fail_unless_equals_uint64 (size, ocl_type_row_bytes (type, want->n));
  shifted = g_malloc (size + 1);
  memcpy (shifted + 1, bytes, size);    /* files do not align tensors */
  got = g_new (gfloat, want->n);
  ocl_type_dequantize (type, shifted + 1, got, want->n);
  for (gsize i = 0; i < want->n; i++) {
    if (isnan (want->f32[i]))
      fail_unless (isnan (got[i]), "%s value %" G_GSIZE_FORMAT, types[__i__].name, i);
    else
      fail_unless (memcmp (&got[i], &want->f32[i], 4) == 0, "%s value %" G_GSIZE_FORMAT ": %a, not %a",
          types[__i__].name, i, got[i], want->f32[i]);
  }
}
GST_END_TEST;

GST_START_TEST (test_row_bytes)
{
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_F32, 3), 12);
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_Q4_0, 64), 36);
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_Q8_0, 33), 0);
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_Q6_K, 512), 420);
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_Q4_K, 128), 0);
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_F16, 0), 0);
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_F16, -2), 0);
  fail_unless_equals_uint64 (ocl_type_row_bytes (OCL_TYPE_F32, G_MAXINT64), 0);
}
GST_END_TEST;

static Suite *
types_suite (void)
{
  Suite *suite = suite_create ("opencl_types");
  TCase *tests = tcase_create ("types");

  suite_add_tcase (suite, tests);
  tcase_add_loop_test (tests, test_bits_equal_gguf_py, 0, G_N_ELEMENTS (types));
  tcase_add_test (tests, test_row_bytes);
  return suite;
}

GST_CHECK_MAIN (types);
