/* Attention of the language model. */
#include "checkkernels.h"

#include <math.h>
#include <string.h>

static void
check_rope_table (Check *c)
{
  gint rows = check_int (c, 1, 40), d = check_case (c) == 0 ? 514 : 2 * check_int (c, 1, 130);
  gint position0 = check_int (c, 0, 1) ? 0 : check_int (c, 0, 32000);
  OclTensor table = check_output (c, rows, d);

  check_describe (c, "%dx%d from %d", rows, d, position0);
  ocl_rope_table (check_queue (c), table, position0, check_int (c, 0, 1) ? 1e4f : 1e6f, check_int (c, 0, 1) ? 8 : 1);
  check_result (c, table, 3e-7f, 0);    /* the angles have the same bits; cos and sin are good to 4 units of 2^-24 */
}

static void
bench_rope_table (Check *c)
{
  OclTensor one = check_dense (c, 1, 256, 0, 0), many = check_dense (c, 256, 256, 0, 0);

  check_bench (c, "1x256", 1024, 0)
    ocl_rope_table (check_queue (c), one, 1000, 1e4f, 1);
  check_bench (c, "256x256", 256 * 1024, 0)
    ocl_rope_table (check_queue (c), many, 1000, 1e4f, 1);
}

static void
check_qkv_norm_rope (Check *c)
{
  gint rows = check_int (c, 1, 20), n_kv = check_int (c, 1, 3), n_heads = n_kv * check_int (c, 1, 4);
  gint d = 2 * check_int (c, 1, 40), capacity = rows + check_int (c, 0, 9);
  gboolean cached = check_int (c, 0, 3) > 0;
  OclTensor qkv = check_input (c, rows, (n_heads + (cached ? 2 * n_kv : 0)) * d, -4, 4);
  OclKvCache cache = {
    check_input (c, capacity, n_kv * d, -4, 4), check_input (c, capacity, n_kv * d, -4, 4), capacity
  };
  OclQkv p = { n_heads, n_kv, d, check_int (c, 0, 50), 1e-6f, check_input (c, 1, d, -2, 2),
    check_input (c, 1, d, -2, 2), check_input (c, rows, d, -1, 1), check_int (c, 0, 1) };

  if (cached && check_case (c) % 3 == 1) {      /* keys and values only, not rotated */
    p.n_heads = 0;
    p.q_weight = p.rope = (OclTensor) { NULL };
    qkv = ocl_tensor_cols (qkv, 0, 2 * n_kv * d);
  }
  check_describe (c, "%d rows at %d, %d/%d heads of %d, capacity %d%s%s", rows, p.position0, p.n_heads, n_kv, d,
      capacity, cached ? "" : ", queries only", p.raw_values ? ", raw values" : "");
  ocl_qkv_norm_rope (check_queue (c), qkv, cached ? &cache : NULL, &p);
  /* two terms of up to sqrt (80) * 2, good to 1e-6 */
  check_result (c, qkv, 3e-5f, 0);
  check_result (c, cache.k, 3e-5f, 0);
  check_result (c, cache.v, 1e-30f, 2e-6f);
}

static void
bench_qkv_norm_rope (Check *c)
{
  for (gint rows = 1; rows <= 256; rows += 255) {
    g_autofree gchar *label = g_strdup_printf ("%d rows, 8/2 heads of 256", rows);
    OclTensor qkv = check_dense (c, rows, 12 * 256, -1, 1), w = check_dense (c, 1, 256, -1, 1);
    OclKvCache cache = { check_dense (c, 512, 512, 0, 0), check_dense (c, 512, 512, 0, 0), 512 };
    OclQkv p = { 8, 2, 256, 100, 1e-6f, w, w, check_dense (c, rows, 256, -1, 1) };

    check_bench (c, label, 8.0 * rows * 12 * 256, 0)
      ocl_qkv_norm_rope (check_queue (c), qkv, &cache, &p);
  }
}

/* A ring of which only positions first .. last are written: the rest is NaN, so to touch it shows. */
static OclTensor
make_ring (Check *c, gint capacity, gint width, gint first, gint last)
{
  gfloat *values = check_keep (c, g_new (gfloat, (gsize) capacity * width), g_free);

  for (gsize i = 0; i < (gsize) capacity * width; i++)
    values[i] = NAN;
  for (gint j = first; j <= last; j++)
    for (gint i = 0; i < width; i++)
      values[(gsize) (j % capacity) * width + i] = check_float (c, -1, 1);
  return check_input_from (c, capacity, width, values);
}

static void
run_attention (Check *c, gint rows, gint capacity, const OclAttention *p)
{
  gint width = p->n_kv_heads * p->head_dim, first = p->window > 0 ? MAX (0, p->position0 - p->window + 1) : 0;
  gint last = MIN (p->position0 + rows - 1 + p->ahead, p->ahead > 0 ? p->n_keys - 1 : G_MAXINT);
  OclTensor q = check_input (c, rows, p->n_heads * p->head_dim, -2, 2);
  OclTensor o = check_output (c, rows, p->n_heads * p->head_dim);
  OclKvCache cache = { .capacity = MAX (capacity, last - first + 1) };

  cache.k = make_ring (c, cache.capacity, width, first, last);
  cache.v = make_ring (c, cache.capacity, width, first, last);
  check_describe (c, "%d rows at %d, %d/%d heads of %d, window %d, %d ahead of %d, capacity %d, memory of %d%s", rows,
      p->position0, p->n_heads, p->n_kv_heads, p->head_dim, p->window, p->ahead, p->n_keys, cache.capacity,
      p->memory.capacity, p->flags ? ", 16-bit" : "");
  ocl_attention (check_queue (c), o, q, &cache, p);
  /* Logits of up to 50 are good to 1e-5, values at most 1. In 16 bits, the steps of a block are its norm / 46330, their
   * rounding a sqrt (12)th of it, and so that of logits 6e-6 * d * scale (standard deviation): five times that. */
  check_result (c, o, 2e-5f + (p->flags ? 3e-5f * p->head_dim * p->scale : 0), 0);
}

/* Keys behind the queries, a memory, or both. */
static void
widen (Check *c, gint rows, OclAttention *p)
{
  gint width = p->n_kv_heads * p->head_dim, n_memory = check_int (c, 0, 1) ? check_int (c, 1, 600) : 0;

  if (check_int (c, 0, 2) > 0) {
    p->ahead = check_int (c, 1, 150);
    p->n_keys = p->position0 + rows + check_int (c, 0, 100);
  }
  if (n_memory > 0)
    p->memory = (OclKvCache) { check_input (c, n_memory, width, -1, 1), check_input (c, n_memory, width, -1, 1),
      n_memory };
}

static void
check_attention (Check *c)
{
  static const gint dims[] = { 8, 256, 48, 20, 64, 3 };
  gint n_kv = check_int (c, 1, 3), d = dims[check_case (c) % G_N_ELEMENTS (dims)];
  OclAttention p = { n_kv * check_int (c, 1, 9), n_kv, d, check_int (c, 0, 300),
    check_int (c, 0, 2) ? check_int (c, 1, 150) : 0, check_float (c, 0.1f, 1) };
  gint rows = check_int (c, 0, 1) ? 1 : check_int (c, 2, 40);

  if (check_case (c) == 0)              /* a long cache, one head: its keys are split */
    p = (OclAttention) { 4, 1, 64, 1501, 0, 1 }, rows = 1;
  else if (check_case (c) == 1)         /* the same in a window, three rows */
    p = (OclAttention) { 3, 1, 16, 1501, 700, 1 }, rows = 3;
  else if (check_case (c) == 2)         /* more heads to a KV head than a work-item takes */
    p = (OclAttention) { 70, 2, 16, 40, 0, 1 }, rows = 9;
  else if (check_case (c) == 3)         /* one query and a long memory, which are split, too */
    p = (OclAttention) { 4, 1, 64, 300, 40, 1, .memory = { check_input (c, 1500, 64, -1, 1),
        check_input (c, 1500, 64, -1, 1), 1500 } }, rows = 1;
  else if (check_case (c) == 4)         /* everything sees everything */
    p = (OclAttention) { 4, 1, 16, 0, 0, 1, .ahead = 200, .n_keys = 200 }, rows = 200;
  else if (check_case (c) == 5 || check_case (c) == 8)          /* several tiles of lines and keys, in a ring that wraps */
    p = (OclAttention) { 6, 2, 48, 500, 333, 1 }, rows = 130;
  else if (check_case (c) == 7 || check_case (c) == 9)          /* the same with later keys and a memory */
    p = (OclAttention) { 4, 1, 64, 100, 200, 1, .ahead = 199, .n_keys = 420, .memory = { check_input (c, 150, 64, -1, 1),
        check_input (c, 150, 64, -1, 1), 150 } }, rows = 120;
  else if (check_case (c) % 2)
    widen (c, rows, &p);
  if (check_case (c) == 8 || check_case (c) == 9 || (check_case (c) > 9 && check_int (c, 0, 1)))
    p.flags = OCL_MATMUL_INT16;
  run_attention (c, rows, check_int (c, 1, 500), &p);
}

/* Heads whose greatest number is 127 times a power of 2, and the others multiples of it: bytes hold them exactly. */
static OclTensor
make_packable (Check *c, gint rows, gint n_heads, gint d)
{
  gfloat *values = check_keep (c, g_new (gfloat, (gsize) rows * n_heads * d), g_free);

  for (gint head = 0; head < rows * n_heads; head++) {
    gfloat unit = ldexpf (1, check_int (c, -20, 20));
    for (gint i = 0; i < d; i++)
      values[(gsize) head * d + i] = unit * check_int (c, -127, 127);
    values[(gsize) head * d + check_int (c, 0, d - 1)] = 127 * unit;
    if (check_int (c, 0, 9) == 0)
      memset (values + (gsize) head * d, 0, d * sizeof (gfloat));
  }
  return check_input_from (c, rows, n_heads * d, values);
}

/* There and back, between rings of several lengths. What bytes do not hold comes back within half of a step. */
static void
check_kv_pack (Check *c)
{
  gint n = check_int (c, 1, 20), n_kv = check_int (c, 1, 3), d = 4 * check_int (c, 1, 40), first = check_int (c, 0, 1000);
  gint ring = n + check_int (c, 0, 9);
  gboolean exact = check_int (c, 0, 1);
  OclTensor x = exact ? make_packable (c, ring, n_kv, d) : check_input (c, ring, n_kv * d, -4, 4);
  OclTensor packed = check_input (c, n + check_int (c, 0, 9), ocl_kv_cols (n_kv, d, TRUE), 0, 0);
  OclTensor y = check_input (c, n + check_int (c, 0, 9), n_kv * d, -1, 1);

  check_describe (c, "%d rows from %d, %d heads of %d%s", n, first, n_kv, d, exact ? ", exact" : "");
  ocl_kv_pack (check_queue (c), packed, x, d, first, n);
  ocl_kv_unpack (check_queue (c), y, packed, d, first, n);
  check_result (c, y, exact ? 0 : 4.f / 127 + 1e-6f, 0);        /* a tie may be rounded either way: one step of 4 / 127 */
}

static void
bench_kv_unpack (Check *c)
{
  OclTensor packed = check_dense (c, 4096, ocl_kv_cols (2, 256, TRUE), 0, 0), y = check_dense (c, 4096, 512, 0, 0);

  check_bench (c, "4096 rows, 2 heads of 256", 5.0 * 4096 * 512, 0)
    ocl_kv_unpack (check_queue (c), y, packed, 256, 100, 4096);
}

/* A packed cache gives what its numbers give plainly. */
static void
check_packed_attention (Check *c)
{
  gint n_kv = check_int (c, 1, 3), d = 8 * check_int (c, 1, 16), rows = check_int (c, 1, 30), capacity = 200;
  OclAttention p = { n_kv * check_int (c, 1, 4), n_kv, d, check_int (c, 0, 300), check_int (c, 0, 1) ? 40 : 0, 1 / sqrtf (d),
    .flags = check_int (c, 0, 1) ? OCL_MATMUL_INT16 : OCL_MATMUL_F32_ACTIVATIONS };
  gint last = p.position0 + rows - 1, first = p.window ? MAX (0, p.position0 - p.window + 1) : 0;
  OclTensor plain = check_input (c, p.window ? capacity : last + 1, n_kv * d, -1, 1);
  OclTensor packed = check_input (c, plain.rows, ocl_kv_cols (n_kv, d, TRUE), 0, 0);
  OclKvCache cache = { packed, packed, plain.rows, TRUE };
  OclTensor q = check_input (c, rows, p.n_heads * d, -2, 2), o = check_output (c, rows, p.n_heads * d);

  check_describe (c, "%d rows at %d, %d/%d heads of %d, window %d", rows, p.position0, p.n_heads, n_kv, d, p.window);
  ocl_kv_pack (check_queue (c), packed, plain, d, first, last + 1 - first);
  ocl_attention (check_queue (c), o, q, &cache, &p);
  check_result (c, o, 2e-2f, 0);        /* ties may be rounded either way: steps of 1 / 127 in keys and values */
}

/* Of a range anywhere, also behind what a row sees; of a packed cache, too. */
static void
check_attention_weights (Check *c)
{
  gint n_kv = check_int (c, 1, 3), d = 4 * check_int (c, 1, 40), rows = check_int (c, 0, 1) ? 1 : check_int (c, 2, 20);
  OclAttentionWeights p = { check_int (c, 0, n_kv - 1), n_kv, d, check_int (c, 0, 400), 0, 1 / sqrtf (d) };
  gboolean packed = check_int (c, 0, 2) == 0;
  gint n_keys = p.position0 + rows, first = p.first = check_int (c, 0, n_keys - 1), n = check_int (c, 1, n_keys - first + 3);
  OclKvCache cache = { .capacity = n_keys + check_int (c, 0, 50), .packed = packed };
  OclTensor q = check_input (c, rows, d, -2, 2), y = check_output (c, rows, n);

  check_describe (c, "%d rows at %d, %d heads of %d, %d from %d%s", rows, p.position0, n_kv, d, n, first,
      packed ? ", packed" : "");
  cache.k = make_ring (c, cache.capacity, n_kv * d, 0, n_keys - 1);
  if (packed) {
    OclTensor plain = cache.k;
    cache.k = check_input (c, cache.capacity, ocl_kv_cols (n_kv, d, TRUE), 0, 0);
    ocl_kv_pack (check_queue (c), cache.k, plain, d, 0, n_keys);
  }
  ocl_attention_weights (check_queue (c), y, q, &cache, &p);
  /* logits of up to 25 are good to 5e-6; packed, ties may be rounded either way: 1 / 127 of a key's number */
  check_result (c, y, packed ? 2e-2f : 1e-7f, 2e-5f);
}

static void
bench_attention_weights (Check *c)
{
  OclAttentionWeights p = { 0, 2, 256, 399, 100, 1.f / 16 };
  OclKvCache cache = { check_dense (c, 2048, 512, -1, 1), check_dense (c, 1, 1, 0, 0), 2048 };
  OclTensor q = check_dense (c, 1, 256, -1, 1), y = check_dense (c, 1, 188, 0, 0);

  check_bench (c, "1 row of 400", 4.0 * 400 * 256, 2.0 * 400 * 256)
    ocl_attention_weights (check_queue (c), y, q, &cache, &p);
}

static void
bench_attention (Check *c)
{
  static const gint sizes[][3] = { { 1, 512, 0 }, { 1, 4096, 0 }, { 1, 16384, 0 }, { 256, 256, 0 }, { 256, 2048, 512 },
    { 256, 4096, 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    gint rows = sizes[i][0], keys = sizes[i][1], window = sizes[i][2];
    gint first = window > 0 ? MAX (0, keys - rows - window + 1) : 0;
    OclAttention p = { 8, 2, 256, keys - rows, window, 1.f / 16, .flags = OCL_MATMUL_INT16 };
    OclKvCache cache = { check_dense (c, keys, 512, -1, 1), check_dense (c, keys, 512, -1, 1), keys };
    OclTensor q = check_dense (c, rows, 2048, -1, 1), o = check_dense (c, rows, 2048, 0, 0);
    g_autofree gchar *label = g_strdup_printf ("%d of %d, window %d", rows, keys, window);
    gdouble pairs = 0;

    if (g_str_equal (check_variant (c), "ref") && (gdouble) rows * keys > 1e5)
      continue;
    for (gint m = 0; m < rows; m++)
      pairs += window > 0 ? MIN (window, keys - rows + m + 1) : keys - rows + m + 1;
    check_bench (c, label, 8.0 * (keys - first) * 512, pairs * 8 * 256 * 4)
      ocl_attention (check_queue (c), o, q, &cache, &p);
  }
}

const CheckOp check_ops_attention[] = {
  { "rope_table", 16, check_rope_table, bench_rope_table },
  { "qkv_norm_rope", 20, check_qkv_norm_rope, bench_qkv_norm_rope },
  { "attention", 60, check_attention, bench_attention },
  { "attention_weights", 40, check_attention_weights, bench_attention_weights },
  { "kv_pack", 30, check_kv_pack, NULL },
  { "kv_unpack", 30, check_kv_pack, bench_kv_unpack },
  { "attention", 20, check_packed_attention, NULL },
  { NULL }
};
