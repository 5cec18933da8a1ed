/* Norms. Sums of n squares in float32, in 16 or more chains, are good to about 1e-6 of themselves. */
#include "checkkernels.h"

#include <string.h>

static void
check_rms_norm (Check *c)
{
  gint rows = check_int (c, 1, 40), cols = check_case (c) == 0 ? 2048 : check_int (c, 1, 300);
  gint adds = check_int (c, 0, 2), alias = check_int (c, 0, 2);
  OclTensor none = { NULL }, x = check_input (c, rows, cols, -4, 4), y;
  OclRmsNorm p = OCL_RMS_NORM_INIT (check_int (c, 0, 1) ? check_input (c, 1, cols, -2, 2) : none, 1e-6f);

  p.norm_scale = check_float (c, 0.1f, 2);
  p.out_scale = check_float (c, 0.1f, 2);
  p.gelu = check_case (c) % 3 == 1;
  if (adds > 0)
    p.add0 = check_input (c, rows, cols, -4, 4);
  if (adds > 1)
    p.add1 = check_input (c, rows, cols, -4, 4);
  if (check_int (c, 0, 1)) {
    p.y2 = check_output (c, rows, cols);
    p.weight2 = check_int (c, 0, 1) ? check_input (c, 1, cols, -2, 2) : none;
  }
  y = alias == 1 ? x : alias == 2 && adds > 0 ? p.add0 : check_output (c, rows, cols);
  check_describe (c, "%dx%d, %d adds, alias %d", rows, cols, adds, alias);
  ocl_rms_norm (check_queue (c), y, x, &p);
  /* terms of up to 4 cancel: 1e-6 of their sizes; far below 0, GELU's exponent is good to 1e-6 of its own size */
  check_result (c, y, adds > 0 ? 1e-5f : p.gelu ? 2e-6f : 1e-30f, 2e-6f);
  if (p.y2.mem)
    check_result (c, p.y2, adds > 0 || p.gelu ? 1e-5f : 1e-30f, 4e-6f);
}

static void
bench_rms_norm (Check *c)
{
  for (gint rows = 1; rows <= 256; rows += 255) {
    g_autofree gchar *label = g_strdup_printf ("%dx2048", rows);
    OclTensor x = check_dense (c, rows, 2048, -1, 1), y = check_dense (c, rows, 2048, -1, 1);
    OclRmsNorm p = OCL_RMS_NORM_INIT (check_dense (c, 1, 2048, -1, 1), 1e-6f);

    p.add0 = check_dense (c, rows, 2048, -1, 1);
    check_bench (c, label, 12.0 * rows * 2048, 0)
      ocl_rms_norm (check_queue (c), y, x, &p);
  }
  /* behind an expansion of a picture */
  for (gint gelu = 0; gelu < 2; gelu++) {
    OclTensor x = check_dense (c, 1152, 2560, -1, 1), y = check_dense (c, 1152, 2560, -1, 1);
    OclRmsNorm p = OCL_RMS_NORM_INIT (check_dense (c, 1, 2560, -1, 1), 1e-6f);

    p.gelu = gelu;
    check_bench (c, gelu ? "1152x2560, gelu" : "1152x2560", 8.0 * 1152 * 2560, 0)
      ocl_rms_norm (check_queue (c), y, x, &p);
  }
}

/* Half of the cases are not centred: the mean must be taken off before the squares are summed. */
static void
check_layer_norm (Check *c)
{
  gint rows = check_int (c, 1, 40), cols = check_case (c) == 0 ? 1152 : check_int (c, 1, 300);
  gint adds = check_int (c, 0, 2);
  gfloat centre = check_int (c, 0, 1) * 50;
  OclTensor x = check_input (c, rows, cols, centre - 4, centre + 4), y;
  OclLayerNorm p = { check_input (c, 1, cols, -2, 2), check_input (c, 1, cols, -2, 2), 1e-6f };

  if (adds > 0)
    p.add = check_input (c, rows, cols, -4, 4);
  if (adds > 1)
    p.add_bias = check_input (c, 1, cols, -1, 1);
  y = adds > 0 && check_int (c, 0, 1) ? p.add : check_output (c, rows, cols);
  check_describe (c, "%dx%d about %g, %d adds", rows, cols, centre, adds);
  ocl_layer_norm (check_queue (c), y, x, &p);
  /* values of 54 are good to 4e-6 and their mean to as much, against deviations of 2 */
  check_result (c, y, centre > 0 ? 4e-5f : 4e-6f, 4e-6f);
  check_result (c, x, 1e-6f, 2e-7f);
}

static void
bench_layer_norm (Check *c)
{
  OclTensor x = check_dense (c, 4096, 1152, -1, 1), y = check_dense (c, 4096, 1152, -1, 1);
  OclLayerNorm p = { check_dense (c, 1, 1152, -1, 1), check_dense (c, 1, 1152, -1, 1), 1e-6f };

  check_bench (c, "4096x1152", 8.0 * 4096 * 1152, 0)
    ocl_layer_norm (check_queue (c), y, x, &p);
}

static void
check_match_magnitude (Check *c)
{
  gint rows = check_int (c, 1, 40), cols = check_int (c, 1, 300);
  gfloat limit = check_int (c, 0, 1) ? 1e-3f : 4;
  OclTensor x = check_input (c, rows, cols, -limit, limit), ref = check_input (c, rows, cols, -4, 4);

  check_describe (c, "%dx%d, up to %g", rows, cols, limit);
  ocl_match_magnitude (check_queue (c), x, ref, 1e-5f);         /* 1e-3^2 / 3 is below the floor */
  check_result (c, x, 1e-30f, 2e-6f);
}

/* What state holds more than @before in count, sum and squares, as three values that can be compared. */
static OclTensor
state_growth (Check *c, OclTensor state, const gfloat *before)
{
  gfloat after[8] = { 0 }, growth[3];

  ocl_tensor_read (check_queue (c), state, after);
  for (gint i = 0; i < 3; i++)
    growth[i] = ((gdouble) after[2 * i] - before[2 * i]) + ((gdouble) after[2 * i + 1] - before[2 * i + 1]);
  return check_input_from (c, 1, 3, growth);
}

/* The same from the start, the rows split into calls at random. */
static void
check_split_rows (Check *c, OclTensor x, OclTensor weight, const gfloat *values, const gfloat *before)
{
  gsize bytes = (gsize) x.rows * x.cols * sizeof (gfloat);
  g_autofree gfloat *whole = g_malloc0 (bytes), *pieces = g_malloc0 (bytes);
  OclTensor split = check_input_from (c, x.rows, x.cols, values), state = check_input_from (c, 1, 8, before);

  for (gint row = 0, n; row < x.rows; row += n) {
    n = check_int (c, 1, x.rows - row);
    ocl_cumulative_norm (check_queue (c), ocl_tensor_rows (split, row, n), weight, state, 1e-3f);
  }
  ocl_tensor_read (check_queue (c), x, whole);
  ocl_tensor_read (check_queue (c), split, pieces);
  if (memcmp (whole, pieces, bytes) != 0)
    check_fail (c, "rows split into calls give other bits");
}

/* Half of the cases go on after an hour of audio, where float32 sums would no longer grow right. */
static void
check_cumulative_norm (Check *c)
{
  gint rows = check_int (c, 1, 30), channels = check_int (c, 1, 70), cols = channels * check_int (c, 1, 20);
  gfloat late[8] = { 7.3e8f, 3, 2.9e8f, -5.5f, 9.1e8f, 11.25f }, start[8] = { 0 }, *values;
  const gfloat *before = check_case (c) % 2 ? late : start;
  OclTensor state = check_input_from (c, 1, 8, before), weight = check_input (c, 1, channels, -2, 2), x;

  values = check_values (c, rows, cols, -3, 5);
  x = check_input_from (c, rows, cols, values);
  check_describe (c, "%dx%d, %d channels, count %g", rows, cols, channels, before[0]);
  ocl_cumulative_norm (check_queue (c), x, weight, state, 1e-3f);
  /* the mean, about 1, is good to 2e-7 and the deviation's scale to 1e-6; (x - mean) cancels */
  check_result (c, x, 3e-6f, 3e-6f);
  /* the late pairs hold 48 bits: 9e8 * 2^-47 an addition; row sums of up to 7000 are good to 1e-6 */
  check_result (c, state_growth (c, state, before), before[0] > 0 ? 4e-4f : 1e-5f, 3e-6f);
  check_split_rows (c, x, weight, values, before);
}

static void
bench_cumulative_norm (Check *c)
{
  OclTensor x = check_dense (c, 100, 8192, -1, 1), w = check_dense (c, 1, 128, 1, 1), s = check_dense (c, 1, 8, 0, 0);

  check_bench (c, "100x8192", 8.0 * 100 * 8192, 0)
    ocl_cumulative_norm (check_queue (c), x, w, s, 1e-3f);
}

const CheckOp check_ops_norm[] = {
  { "rms_norm", 24, check_rms_norm, bench_rms_norm },
  { "layer_norm", 24, check_layer_norm, bench_layer_norm },
  { "match_magnitude", 12, check_match_magnitude, NULL },
  { "cumulative_norm", 16, check_cumulative_norm, bench_cumulative_norm },
  { NULL }
};
