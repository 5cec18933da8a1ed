/* gemma-probe VARIANT BITS: tries a variant of the matrix product, or a "batch", that may end the process; see cpu.c.
 * Exits with 0 if it gives what the reference gives. */
#include "device-private.h"
#include "ops.h"
#include "variant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROWS 13
#define COLS 256
#define OUTPUTS 75
#define STEP_ROWS 300           /* more than one item */
#define STEPS 1000              /* more than one launch */
#define LIMIT_SECONDS 120       /* of processor time: compiling takes its time on a busy machine */
#define LIMIT_WAIT 900

/* Activations that 8 bits hold exactly; any weights do, with scales (and their products with up to 127) up to 2^-4. */
static void
fill (gfloat *x, guint8 *w, gsize w_bytes, const OclTypeInfo *info)
{
  const guint high = info->block == 256 ? 0x08 : 0x24; /* of a half: 2^-13 or 2^-6 and up to 4 times that */

  for (gint i = 0; i < ROWS * COLS; i++)
    x[i] = i % 32 == 5 ? 127 : i * 37 % 255 - 127;
  for (gsize i = 0; i < w_bytes; i++)
    w[i] = (i * 2654435761u) >> 13;
  for (gsize i = 0; i < w_bytes; i += info->bytes)
    for (guint h = 0; h < info->n_halves; h++)
      w[i + info->half_at[h] + 1] = high + i / info->bytes % 8;
}

static gboolean
multiply (OclDevice *device, const gchar *variant, const OclWeight *w, const gfloat *x, gint rows, gfloat *y)
{
  g_autofree gchar *force = g_strdup_printf ("matmul=%s", variant);
  OclQueue *q = ocl_queue_new (device, NULL);
  OclTensor tx = ocl_tensor_new_from (device, rows, COLS, x, NULL), ty = ocl_tensor_new (device, rows, OUTPUTS, NULL);
  gboolean ok = FALSE;

  ocl_variant_force (force);
  if (q && tx.mem && ty.mem) {
    ocl_matmul (q, ty, tx, w, OCL_MATMUL_INT8_ACTIVATIONS);
    ocl_tensor_read (q, ty, y);
    ok = ocl_queue_finish (q, NULL) && ocl_variant_get_misses () == 0;
  }
  ocl_tensor_clear (device, &tx);
  ocl_tensor_clear (device, &ty);
  ocl_queue_free (q);
  return ok;
}

static gboolean
try_type (OclDevice *device, const gchar *variant, OclType type)
{
  gsize bytes = OUTPUTS * ocl_type_row_bytes (type, COLS);
  g_autofree gfloat *x = g_new (gfloat, ROWS * COLS);
  g_autofree guint8 *data = g_malloc (bytes);
  OclMatrix matrix = { type, OUTPUTS, COLS, data };
  OclWeight *w;
  gboolean ok;

  fill (x, data, bytes, ocl_type_info (type));
  w = ocl_weight_new (device, &matrix, 1, NULL);
  ok = w != NULL;
  for (gint rows = 1; ok && rows <= ROWS; rows += ROWS - 1) {
    gfloat want[ROWS * OUTPUTS], got[ROWS * OUTPUTS];

    ok = multiply (device, "ref", w, x, rows, want) && multiply (device, variant, w, x, rows, got);
    /* sums of 256 products of up to 127 * 128 * 2^-5: rounding is far below 0.5, a wrong product is not */
    for (gint i = 0; ok && i < rows * OUTPUTS; i++)
      ok = fabsf (got[i] - want[i]) <= 0.5f + 1e-4f * fabsf (want[i]);
  }
  ocl_weight_free (w);
  return ok;
}

/* Each step counts on by one: in order, and once an item. */
static gboolean
try_batch (OclDevice *device)
{
  gfloat ones[COLS * STEP_ROWS], got[COLS * STEP_ROWS];
  OclTensor x, one;
  OclQueue *q = ocl_queue_new (device, NULL);
  gboolean ok;

  for (gint i = 0; i < COLS * STEP_ROWS; i++)
    ones[i] = 1;
  x = ocl_tensor_new_from (device, STEP_ROWS, COLS, ones, NULL);
  one = ocl_tensor_new_from (device, STEP_ROWS, COLS, ones, NULL);
  ok = q && x.mem && one.mem;
  if (ok) {
    ocl_queue_gather (q, TRUE);
    for (gint i = 0; i < STEPS; i++)
      ocl_add (q, x, x, one);
    ocl_tensor_read (q, x, got);
    ok = ocl_queue_finish (q, NULL);
  }
  for (gint i = 0; ok && i < COLS * STEP_ROWS; i++)
    ok = got[i] == 1 + STEPS;
  ocl_tensor_clear (device, &x);
  ocl_tensor_clear (device, &one);
  ocl_queue_free (q);
  return ok;
}

int
main (int argc, char **argv)
{
  const struct rlimit limit = { LIMIT_SECONDS, LIMIT_SECONDS };
  static const OclType types[] = { OCL_TYPE_Q8_0, OCL_TYPE_Q6_K };     /* the others do less of the same */
  OclDevice *device;
  gboolean ok = TRUE;

  if (argc != 3)
    return 2;
  setrlimit (RLIMIT_CPU, &limit);       /* a hang is a failure too */
  alarm (LIMIT_WAIT);
  device = ocl_device_open_unproven ("cpu", strtoul (argv[2], NULL, 10), NULL);
  if (!device)
    return 2;
  if (strcmp (argv[1], "batch") == 0) {
    ok = try_batch (device);
  } else {
    for (guint i = 0; ok && i < G_N_ELEMENTS (types); i++)
      ok = try_type (device, argv[1], types[i]);
  }
  ocl_device_unref (device);
  return ok ? 0 : 1;
}
