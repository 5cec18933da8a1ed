/* AltUp. Router logits are sums over the row, good to about 1e-6 of their terms, tanh the same. */
#include "checkkernels.h"

typedef struct
{
  OclTensor h, active;
  OclAltup p;
  gint n_tokens, cols;
} Case;

static Case
make_case (Check *c, gint n_tokens, gint cols, gint n_streams)
{
  OclTensor none = { NULL };
  Case k = { .n_tokens = n_tokens, .cols = cols };

  k.h = check_input (c, n_streams * n_tokens, cols, -4, 4);
  k.active = check_input (c, n_tokens, cols, -4, 4);
  k.p = (OclAltup) { n_streams, 1e-6f, check_input (c, 1, cols, -20, 20), check_input (c, n_streams, cols, -1, 1),
    none, none, none, none, none, none };
  k.p.predict = check_input (c, n_streams * n_streams, n_streams, -1, 1);
  k.p.correct = check_input (c, n_streams, n_streams, -1, 1);
  if (check_int (c, 0, 1)) {
    k.p.normed = k.p.scaled = check_output (c, n_tokens, cols);
    k.p.norm_weight = k.p.scale_weight = check_input (c, 1, cols, -2, 2);
  }
  check_describe (c, "%d tokens of %d, %d streams", n_tokens, cols, n_streams);
  return k;
}

static Case
random_case (Check *c)
{
  gint n_streams = check_case (c) < 8 ? (gint) check_case (c) + 1 : 4;

  return make_case (c, check_int (c, 1, 30), check_int (c, 1, 300), n_streams);
}

/* up to 9 terms of up to 4 * 8 */
#define ALTUP_ABSOLUTE 1e-4f

static void
check_predict (Check *c)
{
  Case k = random_case (c);
  OclTensor y = check_output (c, k.h.rows, k.cols);

  ocl_altup_predict (check_queue (c), y, k.h, &k.p);
  check_result (c, y, ALTUP_ABSOLUTE, 2e-6f);
  if (k.p.normed.mem)
    check_result (c, k.p.normed, ALTUP_ABSOLUTE, 2e-6f);
}

static void
check_correct (Check *c)
{
  Case k = random_case (c);
  OclTensor y = check_int (c, 0, 1) ? k.h : check_output (c, k.h.rows, k.cols);

  ocl_altup_correct (check_queue (c), y, k.h, k.active, &k.p);
  check_result (c, y, ALTUP_ABSOLUTE, 2e-6f);
  if (k.p.scaled.mem)
    check_result (c, k.p.scaled, 2 * ALTUP_ABSOLUTE, 2e-6f);
}

static void
check_add (Check *c)
{
  Case k = random_case (c);

  ocl_altup_add (check_queue (c), k.h, k.active, check_input (c, 1, k.cols, -2, 2), 1e-6f, k.p.n_streams);
  check_result (c, k.h, 1e-5f, 2e-6f);  /* two terms of up to 8 */
}

static void
check_mean_streams (Check *c)
{
  Case k = random_case (c);
  OclTensor y = check_output (c, k.n_tokens, k.cols);

  ocl_mean_streams (check_queue (c), y, k.h, k.p.n_streams);
  check_result (c, y, 3e-6f, 0);        /* up to 8 terms of up to 4 */
}

static void
bench_altup (Check *c, gboolean correct)
{
  for (gint n = 1; n <= 256; n += 255) {
    g_autofree gchar *label = g_strdup_printf ("%d tokens of 2048", n);
    Case k = make_case (c, n, 2048, 4);
    OclTensor y = check_output (c, k.h.rows, k.cols);

    check_bench (c, label, 32.0 * n * 2048, 50.0 * n * 2048) {
      if (correct)
        ocl_altup_correct (check_queue (c), y, k.h, k.active, &k.p);
      else
        ocl_altup_predict (check_queue (c), y, k.h, &k.p);
    }
  }
}

static void
bench_predict (Check *c)
{
  bench_altup (c, FALSE);
}

static void
bench_correct (Check *c)
{
  bench_altup (c, TRUE);
}

const CheckOp check_ops_altup[] = {
  { "altup_predict", 16, check_predict, bench_predict },
  { "altup_correct", 16, check_correct, bench_correct },
  { "altup_add", 12, check_add, NULL },
  { "mean_streams", 10, check_mean_streams, NULL },
  { NULL }
};
