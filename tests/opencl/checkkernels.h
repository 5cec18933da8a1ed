/* checkkernels: every variant of every operation against its reference, and benches.
 *
 * A check is one function that makes tensors, runs the operation and names its
 * outputs. It runs with the same random numbers once under "ref", whose results
 * are kept, and once under each other variant, whose results are compared. Every
 * tensor is a strided view in a larger buffer whose rest must stay untouched.
 */
#pragma once

#include "opencl/ops.h"
#include "opencl/variant.h"

typedef struct _Check Check;

typedef struct
{
  const gchar *op;              /* name of the OclOperation */
  guint n_cases;                /* random cases a variant */
  void (*check) (Check *c);
  void (*bench) (Check *c);     /* or NULL */
  guint n_kinds;                /* 0, or: case i is of kind i % n_kinds, and each kind has kernels of its own */
} CheckOp;

OclDevice *check_device (Check *c);
OclQueue *check_queue (Check *c);
/** Number of the case, 0 .. n_cases - 1: for shapes that must be among those tried. */
guint check_case (Check *c);
/** Name of the variant under test; "ref" in the first pass. */
const gchar *check_variant (Check *c);

/** Random numbers, the same for all variants. */
gint check_int (Check *c, gint lowest, gint highest);
gfloat check_float (Check *c, gfloat lowest, gfloat highest);

/** A strided view of random values; what surrounds it is NaN. Freed after the case. */
OclTensor check_input (Check *c, gint rows, gint cols, gfloat lowest, gfloat highest);
/** The same of given values, [rows][cols]. */
OclTensor check_input_from (Check *c, gint rows, gint cols, const gfloat *values);
/** A strided view to be written. */
OclTensor check_output (Check *c, gint rows, gint cols);
/** A dense tensor of random values, where an operation demands one. */
OclTensor check_dense (Check *c, gint rows, gint cols, gfloat lowest, gfloat highest);
/** Host values of rows * cols, freed after the case. */
gfloat *check_values (Check *c, gint rows, gint cols, gfloat lowest, gfloat highest);
/** Frees @data with @destroy after the case. */
gpointer check_keep (Check *c, gpointer data, GDestroyNotify destroy);

/** Compares t with the reference: |t - ref| <= absolute + relative * |ref|. */
void check_result (Check *c, OclTensor t, gfloat absolute, gfloat relative);
/** Compares t with the reference: |t - ref| <= bound[r * cols + c]. */
void check_result_bound (Check *c, OclTensor t, const gfloat *bound);
/** Compares t with values computed by the check, in the pass of "ref" too. */
void check_expected (Check *c, OclTensor t, const gfloat *expected, const gfloat *bound);
/** Each @block of factors becomes a scale and integers, at most @most, the root of their squares' sum at most @norm. */
typedef struct
{
  gint block, most;
  gdouble norm;                 /* 0: any */
  gboolean weights_too;
} CheckRounding;
extern const CheckRounding check_int8_rounding; /* 8-bit activations */

/** How far off the sum of the products of x [n] and w [n] may be then: half a step of each factor. */
gdouble check_rounding (const CheckRounding *rounding, const gfloat *x, const gfloat *w, gint n);

/** Any other failure. */
void check_fail (Check *c, const gchar *format, ...) G_GNUC_PRINTF (2, 3);
/** Text that failure messages show, such as the shape. */
void check_describe (Check *c, const gchar *format, ...) G_GNUC_PRINTF (2, 3);

/**
 * Times the body that follows for one shape, in each variant:
 *   check_bench (c, "512x2048", bytes, flops) ocl_add (check_queue (c), y, a, b);
 */
#define check_bench(c, label, bytes, flops) \
    for (check_bench_begin (c, label, bytes, flops); check_bench_next (c);)
void check_bench_begin (Check *c, const gchar *label, gdouble bytes, gdouble flops);
gboolean check_bench_next (Check *c);

/** FALSE where --label leaves this one out: to save its preparation. */
gboolean check_bench_wanted (const gchar *label);

/** Limits of this machine, measured at the start of --bench; 0 where they are not known. */
typedef struct
{
  gdouble flops;                /* float32 multiply-adds count two */
  gdouble read_bytes, cache_bytes;      /* from memory, from the second-level cache */
} CheckLimits;
void check_measure_limits (OclDevice *device, CheckLimits *limits);

/** Seconds of the clock of the benches. */
gdouble check_now (void);

/* One array for each check-*.c, ended by { NULL }. */
extern const CheckOp check_ops_elementwise[];
extern const CheckOp check_ops_matmul[];
extern const CheckOp check_ops_norm[];
extern const CheckOp check_ops_attention[];
extern const CheckOp check_ops_altup[];
extern const CheckOp check_ops_conv[];
extern const CheckOp check_ops_conv2d[];
extern const CheckOp check_ops_picture[];
