#include "checkkernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const CheckOp *const all_checks[] = {
  check_ops_elementwise,
  check_ops_matmul,
  check_ops_norm,
  check_ops_attention,
  check_ops_altup,
  check_ops_conv,
  check_ops_conv2d,
  check_ops_picture,
};

#define GUARD 67                /* elements before and after a view: odd, to move rows off aligned addresses */
#define GUARD_BITS 0x7fc5a5a5u  /* a NaN that no computation makes */

typedef struct
{
  OclTensor view, whole;
} Buffer;

typedef struct
{
  gpointer data;
  GDestroyNotify destroy;
} Kept;

struct _Check
{
  OclDevice *device;
  OclQueue *queue;
  const OclOperation *op;
  const gchar *variant;
  guint number;
  guint32 seed;
  GRand *rand;
  GArray *buffers;              /* of Buffer */
  GArray *kept;                 /* of Kept */
  GPtrArray *references;        /* results of the pass under "ref" */
  guint n_results;
  gboolean reference_pass, failed;
  gchar *description;
  /* bench */
  CheckLimits limits;
  gchar *label;
  gdouble bytes, flops, best, started, deadline;
  guint batch, left, round;
  GHashTable *reference_times;  /* label -> gdouble */
};

/* ---- what checks call ------------------------------------------------------------- */

OclDevice *
check_device (Check *c)
{
  return c->device;
}

OclQueue *
check_queue (Check *c)
{
  return c->queue;
}

guint
check_case (Check *c)
{
  return c->number;
}

const gchar *
check_variant (Check *c)
{
  return c->variant;
}

gint
check_int (Check *c, gint lowest, gint highest)
{
  return highest > lowest ? g_rand_int_range (c->rand, lowest, highest + 1) : lowest;
}

gfloat
check_float (Check *c, gfloat lowest, gfloat highest)
{
  return (gfloat) g_rand_double_range (c->rand, lowest, highest);
}

/* 127, but that a scale is rounded up, by a 16th at most */
const CheckRounding check_int8_rounding = { 32, 119, 0, FALSE };

/* Half a step, and something for the step's own rounding. *sum: of magnitudes. */
static gdouble
half_step (const CheckRounding *rounding, const gfloat *v, gint n, gdouble *sum)
{
  gdouble most = 0, squares = 0;

  *sum = 0;
  for (gint k = 0; k < n; k++) {
    most = MAX (most, fabs (v[k]));
    squares += v[k] * v[k];
    *sum += fabs (v[k]);
  }
  return 0.5001 * MAX (most / rounding->most, rounding->norm > 0 ? sqrt (squares) / rounding->norm : 0);
}

gdouble
check_rounding (const CheckRounding *rounding, const gfloat *x, const gfloat *w, gint n)
{
  gdouble off = 0;

  for (gint b = 0; b < n; b += rounding->block) {
    const gint length = MIN (n - b, rounding->block);
    gdouble xs, ws, x_half = half_step (rounding, x + b, length, &xs), w_half = half_step (rounding, w + b, length, &ws);

    if (!rounding->weights_too)
      w_half = 0;
    off += x_half * ws + w_half * xs + length * x_half * w_half;
  }
  return off;
}

void
check_fail (Check *c, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  printf ("FAIL %s/%s case %u (%s): %s\n", c->op->name, c->variant, c->number, c->description ? c->description : "",
      text);
  c->failed = TRUE;
}

void
check_describe (Check *c, const gchar *format, ...)
{
  va_list args;

  g_free (c->description);
  va_start (args, format);
  c->description = g_strdup_vprintf (format, args);
  va_end (args);
}

gpointer
check_keep (Check *c, gpointer data, GDestroyNotify destroy)
{
  Kept kept = { data, destroy };

  g_array_append_val (c->kept, kept);
  return data;
}

gfloat *
check_values (Check *c, gint rows, gint cols, gfloat lowest, gfloat highest)
{
  gsize n = (gsize) rows * cols;
  gfloat *values = check_keep (c, g_new (gfloat, n), g_free);

  for (gsize i = 0; i < n; i++)
    values[i] = check_float (c, lowest, highest);
  return values;
}

static gboolean
queue_ok (Check *c)
{
  g_autoptr (GError) error = NULL;

  if (ocl_queue_finish (c->queue, &error))
    return TRUE;
  check_fail (c, "%s", error->message);
  return FALSE;
}

static OclTensor
make_tensor (Check *c, gint rows, gint cols, gint gap, const gfloat *values)
{
  gint stride = cols + gap;
  gsize n = (gsize) rows * stride + 2 * GUARD;
  g_autofree guint32 *bits = g_new (guint32, n);
  g_autoptr (GError) error = NULL;
  Buffer buffer = { { NULL } };

  for (gsize i = 0; i < n; i++)
    bits[i] = GUARD_BITS;
  for (gint r = 0; values && r < rows; r++)
    memcpy (bits + GUARD + (gsize) r * stride, values + (gsize) r * cols, cols * sizeof *values);
  buffer.whole = ocl_tensor_new_from (c->device, 1, (gint) n, (const gfloat *) bits, &error);
  if (!buffer.whole.mem) {
    check_fail (c, "%s", error->message);
    return buffer.whole;
  }
  buffer.view = buffer.whole;
  buffer.view.offset = GUARD;
  buffer.view.rows = rows;
  buffer.view.cols = cols;
  buffer.view.stride = stride;
  g_array_append_val (c->buffers, buffer);
  return buffer.view;
}

OclTensor
check_input_from (Check *c, gint rows, gint cols, const gfloat *values)
{
  return make_tensor (c, rows, cols, check_int (c, 0, 1) * check_int (c, 1, 37), values);
}

OclTensor
check_input (Check *c, gint rows, gint cols, gfloat lowest, gfloat highest)
{
  return check_input_from (c, rows, cols, check_values (c, rows, cols, lowest, highest));
}

OclTensor
check_output (Check *c, gint rows, gint cols)
{
  return check_input_from (c, rows, cols, NULL);
}

OclTensor
check_dense (Check *c, gint rows, gint cols, gfloat lowest, gfloat highest)
{
  return make_tensor (c, rows, cols, 0, check_values (c, rows, cols, lowest, highest));
}

/* ---- comparison ------------------------------------------------------------------- */

static gfloat *
read_back (Check *c, OclTensor t)
{
  gfloat *values = check_keep (c, g_new0 (gfloat, (gsize) t.rows * t.cols), g_free);

  ocl_tensor_read (c->queue, t, values);
  return queue_ok (c) ? values : NULL;
}

static void
compare (Check *c, OclTensor t, const gfloat *got, const gfloat *want, const gfloat *bound, gfloat absolute,
    gfloat relative)
{
  gsize n = (gsize) t.rows * t.cols, n_bad = 0, worst = 0;
  gdouble worst_ratio = 0;

  for (gsize i = 0; i < n; i++) {
    gdouble allowed = bound ? bound[i] : absolute + relative * fabs (want[i]);
    gdouble off = fabs ((gdouble) got[i] - want[i]);
    gboolean equal = got[i] == want[i] || (isnan (got[i]) && isnan (want[i]));
    gdouble ratio = equal ? 0 : isnan (off) ? INFINITY : off / (allowed > 0 ? allowed : 1e-38);

    n_bad += ratio > 1;
    if (ratio > worst_ratio) {
      worst_ratio = ratio;
      worst = i;
    }
  }
  if (n_bad > 0)
    check_fail (c, "output %u: %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT " values differ; worst at [%d][%d]: %.9g, not %.9g"
        " (%.3g times the tolerance)", c->n_results, n_bad, n, (gint) (worst / t.cols), (gint) (worst % t.cols),
        got[worst], want[worst], worst_ratio);
}

static void
result (Check *c, OclTensor t, const gfloat *bound, gfloat absolute, gfloat relative)
{
  gfloat *got = t.mem ? read_back (c, t) : NULL;
  gsize bytes = (gsize) t.rows * t.cols * sizeof *got;

  if (!got)
    return;
  if (c->reference_pass)
    g_ptr_array_add (c->references, g_memdup2 (got, bytes));
  else if (c->n_results < c->references->len)
    compare (c, t, got, c->references->pdata[c->n_results], bound, absolute, relative);
  c->n_results++;
}

void
check_result (Check *c, OclTensor t, gfloat absolute, gfloat relative)
{
  result (c, t, NULL, absolute, relative);
}

void
check_result_bound (Check *c, OclTensor t, const gfloat *bound)
{
  result (c, t, bound, 0, 0);
}

void
check_expected (Check *c, OclTensor t, const gfloat *expected, const gfloat *bound)
{
  gfloat *got = t.mem ? read_back (c, t) : NULL;

  if (got)
    compare (c, t, got, expected, bound, 0, 0);
}

static gboolean
in_view (const Buffer *buffer, gsize i)
{
  return i >= GUARD && (gint) ((i - GUARD) % buffer->view.stride) < buffer->view.cols
      && (i - GUARD) / buffer->view.stride < (gsize) buffer->view.rows;
}

static void
check_guards (Check *c)
{
  for (guint b = 0; b < c->buffers->len; b++) {
    const Buffer *buffer = &g_array_index (c->buffers, Buffer, b);
    const gfloat *values = read_back (c, buffer->whole);
    gsize n = buffer->whole.cols;

    for (gsize i = 0; values && i < n; i++) {
      guint32 bits;

      memcpy (&bits, &values[i], sizeof bits);
      if (bits == GUARD_BITS || in_view (buffer, i))
        continue;
      check_fail (c, "wrote outside tensor %u ([%d][%d], stride %d): element %" G_GSSIZE_FORMAT, b, buffer->view.rows,
          buffer->view.cols, buffer->view.stride, (gssize) i - GUARD);
      break;
    }
  }
}

/* ---- one case --------------------------------------------------------------------- */

static void
clear_case (Check *c)
{
  for (guint i = 0; i < c->buffers->len; i++)
    ocl_tensor_clear (c->device, &g_array_index (c->buffers, Buffer, i).whole);
  for (guint i = 0; i < c->kept->len; i++)
    g_array_index (c->kept, Kept, i).destroy (g_array_index (c->kept, Kept, i).data);
  g_array_set_size (c->buffers, 0);
  g_array_set_size (c->kept, 0);
  g_clear_pointer (&c->rand, g_rand_free);
  g_clear_pointer (&c->description, g_free);
}

#define CHOSEN "as chosen"      /* in place of a variant: none is forced */

/* Also forgets that the variant did not take an earlier case. */
static void
force_variant (Check *c)
{
  g_autofree gchar *force = g_strdup_printf ("%s=%s", c->op->name, c->variant);

  ocl_variant_force (g_str_equal (c->variant, CHOSEN) ? NULL : force);
}

static void
begin_case (Check *c, const gchar *variant, guint number)
{
  const guint32 seeds[] = { c->seed, number, g_str_hash (c->op->name) };

  c->variant = variant;
  c->number = number;
  c->n_results = 0;
  c->rand = g_rand_new_with_seed_array (seeds, G_N_ELEMENTS (seeds));
  force_variant (c);
}

static void
run_reference (Check *c, const CheckOp *check, guint number)
{
  g_ptr_array_set_size (c->references, 0);
  c->failed = FALSE;
  begin_case (c, "ref", number);
  c->reference_pass = TRUE;
  check->check (c);
  c->reference_pass = FALSE;
  check_guards (c);
  clear_case (c);
}

/* FALSE if the variant does not take this case. */
static gboolean
run_variant (Check *c, const CheckOp *check, const gchar *variant, guint number)
{
  gboolean taken;

  c->failed = FALSE;
  begin_case (c, variant, number);
  check->check (c);
  taken = ocl_variant_get_misses () == 0;
  check_guards (c);
  clear_case (c);
  return taken;
}

/* ---- which cases ------------------------------------------------------------------ */

#define BEYOND_SSE \
    (OCL_DEVICE_AVX2 | OCL_DEVICE_AVX512BW | OCL_DEVICE_AVX512VNNI | OCL_DEVICE_AVX512BF16 | OCL_DEVICE_AVXVNNI)

static gchar *only_variant;
static gint only_case = -1;
static gboolean few, chosen, plain;

/* Few of the kinds are some that are far from each other; the next variant, and the next seed, have the next ones. */
#define FEW_KINDS 3

static gboolean
is_kind_wanted (Check *c, const CheckOp *check, guint v, guint number)
{
  if (!few || check->n_kinds == 0)
    return TRUE;
  for (guint i = 0; i < FEW_KINDS; i++)
    if ((c->seed + v + i * ((check->n_kinds + FEW_KINDS - 1) / FEW_KINDS)) % check->n_kinds == number % check->n_kinds)
      return TRUE;
  return FALSE;
}

static gboolean
is_wanted (Check *c, const CheckOp *check, guint v, guint number)
{
  const OclVariant *variant = &c->op->variants[v];

  return (ocl_device_get_bits (c->device) & variant->bits) == variant->bits && !(plain && variant->bits & BEYOND_SSE)
      && (!only_variant || g_str_equal (only_variant, variant->name)) && is_kind_wanted (c, check, v, number);
}

/* What was done under one variant, or under what the device chooses. */
typedef struct
{
  const gchar *name;
  guint n_cases, n_taken, n_bad;
} Tally;

static void
run_tallied (Check *c, const CheckOp *check, Tally *tally, guint number)
{
  tally->n_cases++;
  tally->n_taken += run_variant (c, check, tally->name, number);
  tally->n_bad += c->failed;
}

/* One case under all variants. */
static void
run_case (Check *c, const CheckOp *check, Tally *tallies, guint number)
{
  const guint n = c->op->n_variants, ref = n - 1;
  gboolean any = chosen && check->n_kinds > 0;

  for (guint v = 0; v < n && !any; v++)
    any = is_wanted (c, check, v, number);
  if (!any)
    return;
  run_reference (c, check, number);
  tallies[ref].n_cases++;
  tallies[ref].n_taken++;
  tallies[ref].n_bad += c->failed;
  for (guint v = 0; v < ref; v++)
    if (is_wanted (c, check, v, number))
      run_tallied (c, check, &tallies[v], number);
  if (chosen && check->n_kinds > 0)
    run_tallied (c, check, &tallies[n], number);
}

/* Returns the number of failed cases. */
static guint
print_tally (Check *c, Tally *tally)
{
  /* A variant that takes no case at all was not checked: that is a failure of the check. */
  if (tally->n_taken == 0 && only_case < 0)
    tally->n_bad++;
  printf ("%-4s %-18s %-10s %u of %u cases taken, %u failed\n", tally->n_bad ? "FAIL" : "ok", c->op->name, tally->name,
      tally->n_taken, tally->n_cases, tally->n_bad);
  return tally->n_bad;
}

/* Returns the number of failed cases. */
static guint
run_checks (Check *c, const CheckOp *check)
{
  const guint n = c->op->n_variants;
  g_autofree Tally *tallies = g_new0 (Tally, n + 1);
  guint n_failed = 0;

  for (guint v = 0; v < n; v++)
    tallies[v].name = c->op->variants[v].name;
  tallies[n].name = CHOSEN;
  for (guint i = 0; i < check->n_cases; i++)
    if (only_case < 0 || i == (guint) only_case)
      run_case (c, check, tallies, i);
  for (guint v = 0; v <= n; v++) {
    if (tallies[v].n_cases > 0)
      n_failed += print_tally (c, &tallies[v]);
    else if (v < n && !only_variant)
      printf ("     %-18s %-10s not for this device\n", c->op->name, tallies[v].name);
  }
  return n_failed;
}

/* ---- bench ------------------------------------------------------------------------ */

static gboolean cpu_time;
static gchar *only_label;

gdouble
check_now (void)
{
  struct timespec t;

  clock_gettime (cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (t.tv_sec + t.tv_nsec * 1e-9) / (cpu_time ? g_get_num_processors () : 1);
}

gboolean
check_bench_wanted (const gchar *label)
{
  return !only_label || strstr (label, only_label);
}

void
check_bench_begin (Check *c, const gchar *label, gdouble bytes, gdouble flops)
{
  force_variant (c);
  g_free (c->label);
  c->label = g_strdup (label);
  c->bytes = bytes;
  c->flops = flops;
  c->best = INFINITY;
  c->batch = c->left = 1;
  c->round = 0;
  c->started = 0;
}

static void
print_bench (Check *c)
{
  gdouble seconds = c->best, *reference = g_hash_table_lookup (c->reference_times, c->label);

  if (g_str_equal (c->variant, "ref"))
    g_hash_table_insert (c->reference_times, g_strdup (c->label), g_memdup2 (&seconds, sizeof seconds));
  printf ("%-18s %-10s %-28s %10.2f us %8.2f GB/s %8.2f GFLOP/s", c->op->name, c->variant, c->label, seconds * 1e6,
      c->bytes / seconds * 1e-9, c->flops / seconds * 1e-9);
  if (c->limits.read_bytes > 0)
    printf (" %5.2f of read %5.2f of FMA", c->bytes / seconds / c->limits.read_bytes,
        c->flops / seconds / c->limits.flops);
  if (reference)
    printf (" %8.1f x ref", *reference / seconds);
  printf ("\n");
  fflush (stdout);
}

/* A batch is enqueued and finished once. It doubles until it takes 10 ms; then the best of up to 7 batches counts. */
gboolean
check_bench_next (Check *c)
{
  gdouble now, took;

  if (!check_bench_wanted (c->label))
    return FALSE;
  if (c->left > 0) {
    if (c->started == 0)
      c->started = check_now ();
    c->left--;
    return TRUE;
  }
  if (!queue_ok (c))
    return FALSE;
  now = check_now ();
  took = now - c->started;
  if (ocl_variant_get_misses () > 0)
    return FALSE;
  if (c->round == 0 && took < 0.01 && c->batch < 1u << 20) {
    c->batch *= 2;
  } else {
    if (c->round > 0)
      c->best = MIN (c->best, took / c->batch);
    else
      c->deadline = now + 0.4;
    if (++c->round > 7 || (c->round > 1 && now > c->deadline)) {
      print_bench (c);
      return FALSE;
    }
  }
  c->left = c->batch - 1;
  c->started = check_now ();
  return TRUE;
}

static void
run_benches (Check *c, const CheckOp *check)
{
  g_hash_table_remove_all (c->reference_times);
  for (guint v = c->op->n_variants; v-- > 0;) {
    const OclVariant *variant = &c->op->variants[v];

    if ((only_variant && !g_str_equal (only_variant, variant->name))
        || (ocl_device_get_bits (c->device) & variant->bits) != variant->bits)
      continue;
    begin_case (c, variant->name, 0);
    check->bench (c);
    clear_case (c);
  }
}

/* ---- main ------------------------------------------------------------------------- */

static gchar *device_spec;
static gint seed = 1;
static gboolean bench, no_limits;
static gchar **names;

static const GOptionEntry entries[] = {
  { "device", 'd', 0, G_OPTION_ARG_STRING, &device_spec, "auto, cpu, gpu or platform:device", "D" },
  { "seed", 's', 0, G_OPTION_ARG_INT, &seed, "Seed of the random cases (1)", "N" },
  { "case", 'c', 0, G_OPTION_ARG_INT, &only_case, "Run this case only", "N" },
  { "variant", 'v', 0, G_OPTION_ARG_STRING, &only_variant, "Only variants of this name", "NAME" },
  { "few", 'f', 0, G_OPTION_ARG_NONE, &few, "Three types of weights for each variant, others with another seed", NULL },
  { "plain", 0, 0, G_OPTION_ARG_NONE, &plain, "Only variants that a CPU without AVX takes", NULL },
  { "chosen", 0, 0, G_OPTION_ARG_NONE, &chosen, "All types of weights with the variants that the device itself chooses", NULL },
  { "bench", 'b', 0, G_OPTION_ARG_NONE, &bench, "Time the variants instead of checking them", NULL },
  { "label", 'l', 0, G_OPTION_ARG_STRING, &only_label, "Only benches whose label has TEXT in it", "TEXT" },
  { "cpu-time", 0, 0, G_OPTION_ARG_NONE, &cpu_time, "Count the processor time a CPU, for machines with other work", NULL },
  { "no-limits", 0, 0, G_OPTION_ARG_NONE, &no_limits, "Do not measure the machine's limits first", NULL },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &names, NULL, "[OPERATION...]" },
  { NULL }
};

static const OclOperation *
find_operation (const gchar *name)
{
  guint n;
  const OclOperation *const *operations = ocl_operations (&n);

  for (guint i = 0; i < n; i++)
    if (g_str_equal (operations[i]->name, name))
      return operations[i];
  return NULL;
}

static guint
run_all (Check *c)
{
  guint n_failed = 0;

  for (guint a = 0; a < G_N_ELEMENTS (all_checks); a++) {
    for (const CheckOp *check = all_checks[a]; check->op; check++) {
      if (names && !g_strv_contains ((const gchar *const *) names, check->op))
        continue;
      c->op = find_operation (check->op);
      if (!c->op) {
        printf ("FAIL %s: no such operation\n", check->op);
        n_failed++;
      } else if (!bench) {
        n_failed += run_checks (c, check);
      } else if (check->bench) {
        run_benches (c, check);
      }
      fflush (stdout);
    }
  }
  return n_failed;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) options = g_option_context_new ("- check and time the variants of operations");
  g_autoptr (GError) error = NULL;
  Check c = { .buffers = g_array_new (FALSE, FALSE, sizeof (Buffer)), .kept = g_array_new (FALSE, FALSE, sizeof (Kept)) };
  guint n_failed;

  g_option_context_add_main_entries (options, entries, NULL);
  if (!g_option_context_parse (options, &argc, &argv, &error) || !(c.device = ocl_device_open (device_spec, &error))
      || !(c.queue = ocl_queue_new (c.device, &error))) {
    fprintf (stderr, "%s\n", error->message);
    return 2;
  }
  c.seed = seed;
  c.references = g_ptr_array_new_with_free_func (g_free);
  c.reference_times = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  printf ("%s, bits 0x%x, seed %d\n", ocl_device_get_name (c.device), ocl_device_get_bits (c.device), seed);
  if (bench && !no_limits) {
    check_measure_limits (c.device, &c.limits);
    printf ("limits: %.1f GFLOP/s of FMA, %.1f GB/s from memory, %.1f GB/s from the second-level cache\n",
        c.limits.flops * 1e-9, c.limits.read_bytes * 1e-9, c.limits.cache_bytes * 1e-9);
  }
  n_failed = run_all (&c);
  ocl_variant_force (NULL);
  ocl_queue_free (c.queue);
  if (ocl_device_get_allocated (c.device) != 0) {
    printf ("FAIL %" G_GSIZE_FORMAT " bytes of device memory are left\n", ocl_device_get_allocated (c.device));
    n_failed++;
  }
  ocl_device_unref (c.device);
  g_array_unref (c.buffers);
  g_array_unref (c.kept);
  g_ptr_array_unref (c.references);
  g_hash_table_unref (c.reference_times);
  g_free (c.label);
  if (!bench)
    printf ("%s\n", n_failed ? "FAILED" : "all passed");
  return n_failed ? 1 : 0;
}
