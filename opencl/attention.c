/* Attention of the language model, with rope and the norms of queries, keys and values. */
#include "kv-pack.h"
#include "launch.h"
#include "ops.h"
#include "queue-private.h"
#include "ref/map.h"

/* ---- rope_table -------------------------------------------------------------------- */

#define MAX_FREQUENCIES 128     /* of one launch, as kernels/rope.clh has it */

typedef struct
{
  OclTensor table;
  gint position0;
  gfloat base, factor;
} RopeTableArgs;

typedef struct
{
  gfloat f[MAX_FREQUENCIES];
} Frequencies;

/* The frequencies first .. first + n - 1, by the host: a device's pow() is not exact enough for far positions. */
static gint
get_frequencies (Frequencies *inverse, const RopeTableArgs *a, gint first)
{
  gint n = MIN (MAX_FREQUENCIES, a->table.cols / 2 - first);

  for (gint i = 0; i < n; i++)
    inverse->f[i] = ref_rope_inv_freq (first + i, a->table.cols, a->base, a->factor);
  return n;
}

static void
rope_table_ref (OclQueue *q, gconstpointer data)
{
  const RopeTableArgs *a = data;
  REF_VIEWS (q, v, a->table);

  ref_rope_table (v[0], a->position0, a->base, a->factor);
}

static void
rope_table_portable (OclQueue *q, gconstpointer data)
{
  const RopeTableArgs *a = data;
  gint half = a->table.cols / 2, n;

  for (gint first = 0; first < half; first += n) {
    Frequencies inverse = { { 0 } };
    gsize global[2] = { ocl_round_up (n = get_frequencies (&inverse, a, first), OCL_GROUP_SIZE), a->table.rows };

    ocl_queue_run (q, ocl_queue_get_kernel (q, "attention", "rope_table", NULL), 2, global, ocl_row_group,
        OCL_ARG_TENSOR (a->table), OCL_ARG (first), OCL_ARG (n), OCL_ARG (half), OCL_ARG (a->position0),
        OCL_ARG (inverse), OCL_ARGS_END);
  }
}

static void
rope_table_cpu (OclQueue *q, gconstpointer data)
{
  const RopeTableArgs *a = data;
  OclCut cut = ocl_cut_rows (q, a->table.rows, a->table.cols, OCL_ITEM_ELEMENTS / 8);
  gint half = a->table.cols / 2, n;

  for (gint first = 0; first < half; first += n) {
    Frequencies inverse = { { 0 } };

    n = get_frequencies (&inverse, a, first);
    ocl_queue_run (q, ocl_queue_get_kernel (q, "rope-cpu", "rope_table", NULL), 2, cut.global, ocl_single_item,
        OCL_ARG_TENSOR (a->table), OCL_ARG (a->table.rows), OCL_ARG (cut.row_step), OCL_ARG (first), OCL_ARG (n),
        OCL_ARG (half), OCL_ARG (a->position0), OCL_ARG (inverse), OCL_ARGS_END);
  }
}

OCL_DEFINE_OPERATION (rope_table)

void
ocl_rope_table (OclQueue *q, OclTensor table, gint position0, gfloat base, gfloat factor)
{
  RopeTableArgs args = { table, position0, base, factor };

  if (ocl_launch_check (q, &ocl_op_rope_table, table.cols % 2 == 0 && factor > 0) && table.rows > 0)
    ocl_variant_run (q, &ocl_op_rope_table, &args);
}

/* ---- qkv_norm_rope ----------------------------------------------------------------- */

/* Without a cache n_kv_heads is 0 and the cache's tensors have no memory. */
typedef struct
{
  OclTensor qkv, k, v;
  gint capacity;
  OclQkv p;
} QkvArgs;

static void
qkv_norm_rope_ref (OclQueue *q, gconstpointer data)
{
  const QkvArgs *a = data;
  REF_VIEWS (q, v, a->qkv, a->k, a->v, a->p.q_weight, a->p.k_weight, a->p.rope);

  ref_qkv_norm_rope (v[0], v[1], v[2], v[3], v[4], v[5], &a->p);
}

static void
qkv_norm_rope_portable (OclQueue *q, gconstpointer data)
{
  const QkvArgs *a = data;
  const OclQkv *p = &a->p;
  gsize global[2] = { (gsize) (p->n_heads + 2 * p->n_kv_heads) * OCL_GROUP_SIZE, a->qkv.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "attention", "qkv_norm_rope", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->qkv), OCL_ARG_TENSOR (a->k), OCL_ARG_TENSOR (a->v), OCL_ARG_TENSOR (p->q_weight),
      OCL_ARG_TENSOR (p->k_weight), OCL_ARG_TENSOR (p->rope), OCL_ARG (p->n_heads), OCL_ARG (p->n_kv_heads),
      OCL_ARG (p->head_dim), OCL_ARG (p->position0), OCL_ARG (a->capacity), OCL_ARG (p->eps), OCL_ARG (p->raw_values),
      OCL_ARGS_END);
}

static void
qkv_norm_rope_cpu (OclQueue *q, gconstpointer data)
{
  const QkvArgs *a = data;
  const OclQkv *p = &a->p;
  OclCut cut = ocl_cut_rows (q, a->qkv.rows, a->qkv.cols, OCL_ITEM_ELEMENTS);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "rope-cpu", "qkv_norm_rope", NULL), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (a->qkv), OCL_ARG_TENSOR (a->k), OCL_ARG_TENSOR (a->v), OCL_ARG_TENSOR (p->q_weight),
      OCL_ARG_TENSOR (p->k_weight), OCL_ARG_TENSOR (p->rope), OCL_ARG (a->qkv.rows), OCL_ARG (cut.row_step),
      OCL_ARG (p->n_heads), OCL_ARG (p->n_kv_heads), OCL_ARG (p->head_dim), OCL_ARG (p->position0),
      OCL_ARG (a->capacity), OCL_ARG (p->eps), OCL_ARG (p->raw_values), OCL_ARGS_END);
}

OCL_DEFINE_OPERATION (qkv_norm_rope)

static void
run_qkv_norm_rope (OclQueue *q, OclTensor qkv, const OclKvCache *cache, const OclQkv *p)
{
  QkvArgs args = { .qkv = qkv, .capacity = cache ? cache->capacity : 1, .p = *p };
  gint d = p->head_dim, width = p->n_kv_heads * d;
  gboolean fits = d > 0 && d % 2 == 0 && p->n_heads >= (cache ? 0 : 1)
      && (!p->n_heads || ocl_has_shape (p->q_weight, 1, d))
      && ocl_fits (p->rope, qkv.rows, d);

  if (cache) {
    fits = fits && qkv.cols == p->n_heads * d + 2 * width && args.capacity > 0 && ocl_has_shape (p->k_weight, 1, d)
        && ocl_has_shape (cache->k, args.capacity, width) && ocl_has_shape (cache->v, args.capacity, width);
    args.k = cache->k;
    args.v = cache->v;
  } else {
    fits = fits && qkv.cols == p->n_heads * d;
    args.p.n_kv_heads = 0;
    args.p.k_weight = p->q_weight;      /* not read */
  }
  if (ocl_launch_check (q, &ocl_op_qkv_norm_rope, fits) && qkv.rows > 0)
    ocl_variant_run (q, &ocl_op_qkv_norm_rope, &args);
}

void
ocl_qkv_norm_rope (OclQueue *q, OclTensor qkv, const OclKvCache *cache, const OclQkv *p)
{
  if (!cache || !cache->packed || qkv.rows == 0) {
    run_qkv_norm_rope (q, qkv, cache, p);
    return;
  }
  const OclKvCache rows = ocl_kv_scratch (q, qkv.rows, p->n_kv_heads * p->head_dim);
  run_qkv_norm_rope (q, qkv, &rows, p);
  ocl_kv_pack (q, cache->k, rows.k, p->head_dim, p->position0, qkv.rows);
  ocl_kv_pack (q, cache->v, rows.v, p->head_dim, p->position0, qkv.rows);
}

/* ---- attention --------------------------------------------------------------------- */

#define MAX_HEAD_DIM 512        /* of kernels/attention.cl */
#define MAX_LINES 32            /* of kernels/attention-cpu.cl */
#define ITEMS_PER_UNIT 2
#define MIN_SPLIT_KEYS 64       /* fewer keys of a head are not worth the step that adds splits up */
#define UNLIMITED (1 << 30)     /* positions are far below it: no sum of the two overflows */

typedef struct
{
  OclTensor o, queries;
  OclKvCache cache;
  OclAttention p;
} AttentionArgs;

/* The rows of a tensor that may be absent. */
static gint
count_rows (OclTensor t)
{
  return t.mem ? t.rows : 0;
}

/* Earlier keys that a query sees; more than there are where nothing limits them. */
static gint
get_back (const AttentionArgs *a)
{
  return a->p.window > 0 ? a->p.window - 1 : UNLIMITED;
}

/* Keys that are in the cache. */
static gint
get_n_keys (const AttentionArgs *a)
{
  return a->p.ahead > 0 ? a->p.n_keys : a->p.position0 + a->o.rows;
}

/* Later ones. */
static gint
get_ahead (const AttentionArgs *a)
{
  return MIN (a->p.ahead, get_n_keys (a));
}

/* The first key in the cache that one of the queries sees. */
static gint
get_first_visible (const AttentionArgs *a)
{
  return MAX (0, a->p.position0 - get_back (a));
}

/* From it to the last one, how many. */
static gint
count_visible (const AttentionArgs *a)
{
  return MIN (get_n_keys (a), a->p.position0 + a->o.rows + get_ahead (a)) - get_first_visible (a);
}

static gint
get_group (const AttentionArgs *a)
{
  return a->p.n_heads / a->p.n_kv_heads;
}

static void
attention_ref (OclQueue *q, gconstpointer data)
{
  const AttentionArgs *a = data;
  REF_VIEWS (q, v, a->o, a->queries, a->cache.k, a->cache.v, a->p.memory.k, a->p.memory.v);

  ref_attention (v[0], v[1], v[2], v[3], v[4], v[5], &a->p);
}

static gboolean
attention_portable_match (OclDevice *device, gconstpointer data)
{
  const AttentionArgs *a = data;

  return a->p.head_dim <= MAX_HEAD_DIM;
}

static void
attention_portable (OclQueue *q, gconstpointer data)
{
  const AttentionArgs *a = data;
  const OclAttention *p = &a->p;
  gint group = get_group (a), back = get_back (a), ahead = get_ahead (a), n_keys = get_n_keys (a);
  gint n_memory = count_rows (p->memory.k);
  gsize global[2] = { (gsize) p->n_heads * OCL_GROUP_SIZE, a->o.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "attention", "attention", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->o), OCL_ARG_TENSOR (a->queries), OCL_ARG_TENSOR (a->cache.k), OCL_ARG_TENSOR (a->cache.v),
      OCL_ARG_TENSOR (p->memory.k), OCL_ARG_TENSOR (p->memory.v), OCL_ARG (n_memory), OCL_ARG (group),
      OCL_ARG (p->head_dim), OCL_ARG (p->position0), OCL_ARG (back), OCL_ARG (ahead), OCL_ARG (n_keys),
      OCL_ARG (a->cache.capacity), OCL_ARG (p->scale), OCL_ARGS_END);
}

static gboolean
attention_cpu_match (OclDevice *device, gconstpointer data)
{
  const AttentionArgs *a = data;

  return a->p.head_dim % 8 == 0;
}

/* How one call is cut into work-items, see kernels/attention-cpu.cl. */
typedef struct
{
  gint part_heads, row_step, n_splits, split_keys;
  gsize global[3];
} AttentionCut;

static AttentionCut
cut_attention (OclQueue *q, const AttentionArgs *a)
{
  gint n_units = ocl_device_get_compute_units (ocl_queue_get_device (q)), group = get_group (a), rows = a->o.rows;
  gint part_heads = MIN (group, MAX_LINES), n_parts = (group + part_heads - 1) / part_heads;
  gint n_heads = a->p.n_kv_heads * n_parts;
  gint even = (gint64) rows * n_heads / (4 * n_units), row_step = CLAMP (even, 1, MAX_LINES / part_heads);
  gint n_blocks = (rows + row_step - 1) / row_step, n_items = n_heads * n_blocks, n_splits = 1;
  gint visible = count_visible (a) + count_rows (a->p.memory.k);

  if (n_items < n_units)
    n_splits = CLAMP (visible / MIN_SPLIT_KEYS, 1, (n_units + n_items - 1) / n_items);
  return (AttentionCut) { part_heads, row_step, n_splits, (visible + n_splits - 1) / n_splits,
    { n_heads, n_blocks, n_splits } };
}

static void
run_attention (OclQueue *q, const AttentionArgs *a, const AttentionCut *cut, OclTensor o, cl_mem partial,
    const gchar *options)
{
  const OclAttention *p = &a->p;
  gint group = get_group (a), back = get_back (a), ahead = get_ahead (a), n_keys = get_n_keys (a);
  gint n_memory = count_rows (p->memory.k);

  ocl_queue_run (q, ocl_queue_get_kernel (q, "attention-cpu", "attention", options), 3, cut->global, ocl_single_item,
      OCL_ARG_TENSOR (o), OCL_ARG_TENSOR (a->queries), OCL_ARG_TENSOR (a->cache.k), OCL_ARG_TENSOR (a->cache.v),
      OCL_ARG_TENSOR (p->memory.k), OCL_ARG_TENSOR (p->memory.v), OCL_ARG (n_memory), OCL_ARG (partial),
      OCL_ARG (a->o.rows), OCL_ARG (cut->row_step), OCL_ARG (group), OCL_ARG (cut->part_heads), OCL_ARG (p->head_dim),
      OCL_ARG (p->position0), OCL_ARG (back), OCL_ARG (ahead), OCL_ARG (n_keys), OCL_ARG (a->cache.capacity),
      OCL_ARG (cut->split_keys), OCL_ARG (p->scale), OCL_ARGS_END);
}

/* Options that choose the vectors of attention-cpu.cl. */
static const gchar *
get_vector (OclQueue *q, gint head_dim)
{
  gboolean wide = head_dim % 16 == 0 && ocl_device_get_bits (ocl_queue_get_device (q)) & OCL_DEVICE_AVX512BW;

  return wide ? "-DVEC=16" : "-DVEC=8";
}

static void
attention_cpu (OclQueue *q, gconstpointer data)
{
  const AttentionArgs *a = data;
  const OclAttention *p = &a->p;
  AttentionCut cut = cut_attention (q, a);
  const gchar *options = get_vector (q, p->head_dim);
  gint width = p->n_heads * p->head_dim, n_rows = cut.n_splits * a->o.rows;
  gsize global[2] = { p->n_heads, a->o.rows }, n_sums = (gsize) n_rows * width;
  OclTensor sums = { NULL, 0, n_rows, width, width };
  cl_mem partial;

  if (cut.n_splits == 1) {
    run_attention (q, a, &cut, a->o, NULL, options);
    return;
  }
  /* the first [n_rows][n_heads][2] of the scratch are tops and totals, the sums follow */
  partial = ocl_queue_scratch (q, OCL_SCRATCH_OTHER, (n_sums + 2 * (gsize) n_rows * p->n_heads) * sizeof (gfloat));
  sums.mem = partial;
  sums.offset = 2 * (gsize) n_rows * p->n_heads;
  run_attention (q, a, &cut, sums, partial, options);
  ocl_queue_run (q, ocl_queue_get_kernel (q, "attention-cpu", "merge", options), 2, global, ocl_single_item,
      OCL_ARG_TENSOR (a->o), OCL_ARG_TENSOR (sums), OCL_ARG (partial), OCL_ARG (a->o.rows), OCL_ARG (p->n_heads),
      OCL_ARG (p->head_dim), OCL_ARG (cut.n_splits), OCL_ARGS_END);
}

#define TILE_DIM 256            /* MAX_DIM of kernels/attention-tiles.clh */
#define TILE_LINES 1024         /* MAX_LINES of it */
#define MIN_TILE_LINES 24       /* fewer lines of a KV head are not worth packing keys and values */
#define MIN_TILE_ROWS 8

static gboolean
tiles_match (OclDevice *device, gconstpointer data)
{
  const AttentionArgs *a = data;
  gint group = get_group (a);

  return a->p.head_dim % 16 == 0 && a->p.head_dim <= TILE_DIM && group <= TILE_LINES
      && (gint64) a->o.rows * group >= MIN_TILE_LINES;
}

static gboolean
tiles_int16_match (OclDevice *device, gconstpointer data)
{
  const AttentionArgs *a = data;

  return a->p.flags & (OCL_MATMUL_INT16 | OCL_MATMUL_INT8_ACTIVATIONS) && tiles_match (device, data);
}

static void
run_tiles (OclQueue *q, const AttentionArgs *a, const gchar *program, const gchar *options)
{
  const OclAttention *p = &a->p;
  gint n_units = ocl_device_get_compute_units (ocl_queue_get_device (q)), group = get_group (a), rows = a->o.rows;
  gint even = (gint64) rows * p->n_kv_heads / (ITEMS_PER_UNIT * n_units);
  gint row_step = MIN (MAX (even, MIN_TILE_ROWS), TILE_LINES / group);
  gint back = get_back (a), ahead = get_ahead (a), n_keys = get_n_keys (a), n_memory = count_rows (p->memory.k);
  gsize global[2] = { p->n_kv_heads, (rows + row_step - 1) / row_step };

  ocl_queue_run (q, ocl_queue_get_kernel (q, program, "attention_tiles", options), 2, global, ocl_single_item,
      OCL_ARG_TENSOR (a->o), OCL_ARG_TENSOR (a->queries), OCL_ARG_TENSOR (a->cache.k),
      OCL_ARG_TENSOR (a->cache.v), OCL_ARG_TENSOR (p->memory.k), OCL_ARG_TENSOR (p->memory.v), OCL_ARG (n_memory),
      OCL_ARG (rows), OCL_ARG (row_step), OCL_ARG (group), OCL_ARG (p->head_dim), OCL_ARG (p->position0), OCL_ARG (back),
      OCL_ARG (ahead), OCL_ARG (n_keys), OCL_ARG (a->cache.capacity), OCL_ARG (p->scale), OCL_ARGS_END);
}

static void
attention_tiles_int16 (OclQueue *q, gconstpointer args)
{
  run_tiles (q, args, "attention-tiles-int16", "-DCPU_AVX512 -DNP=2");
}

static void
attention_tiles_avx512 (OclQueue *q, gconstpointer args)
{
  run_tiles (q, args, "attention-tiles-cpu", "-DCPU_AVX512 -DNP=2");
}

static void
attention_tiles_avx2 (OclQueue *q, gconstpointer args)
{
  run_tiles (q, args, "attention-tiles-cpu", "");
}

static const OclVariant attention_variants[] = {
  { "tiles-int16-vnni", OCL_DEVICE_AVX512VNNI, tiles_int16_match, attention_tiles_int16 },
  { "tiles-avx512", OCL_DEVICE_AVX512BW, tiles_match, attention_tiles_avx512 },
  { "tiles-avx2", OCL_DEVICE_AVX2, tiles_match, attention_tiles_avx2 },
  { "cpu", OCL_DEVICE_CPU, attention_cpu_match, attention_cpu },
  { "portable", 0, attention_portable_match, attention_portable },
  { "ref", 0, NULL, attention_ref },
};

const OclOperation ocl_op_attention = { "attention", attention_variants, G_N_ELEMENTS (attention_variants) };

/* The keys and values that the queries see, out of a packed cache. */
static OclKvCache
unpack_visible (OclQueue *q, const AttentionArgs *a)
{
  const OclAttention *p = &a->p;
  gint first = get_first_visible (a), n = count_visible (a);
  OclKvCache rows = ocl_kv_scratch (q, n, p->n_kv_heads * p->head_dim);

  ocl_kv_unpack (q, rows.k, a->cache.k, p->head_dim, first, n);
  ocl_kv_unpack (q, rows.v, a->cache.v, p->head_dim, first, n);
  return rows;
}

void
ocl_attention (OclQueue *q, OclTensor o, OclTensor queries, const OclKvCache *kv, const OclAttention *p)
{
  AttentionArgs args = { o, queries, *kv, *p };
  const OclKvCache *cache = &args.cache;
  gint width = p->n_kv_heads * p->head_dim;

  if (kv->packed && o.rows > 0)
    args.cache = unpack_visible (q, &args);
  gboolean fits = p->head_dim > 0 && p->n_kv_heads > 0 && p->n_heads % p->n_kv_heads == 0 && cache->capacity > 0
      && ocl_same_shape (o, queries) && o.cols == p->n_heads * p->head_dim
      && ocl_has_shape (cache->k, cache->capacity, width) && ocl_has_shape (cache->v, cache->capacity, width)
      && p->ahead >= 0 && (p->ahead == 0 || p->n_keys >= p->position0 + o.rows)
      && !p->memory.k.mem == !p->memory.v.mem && ocl_fits (p->memory.k, p->memory.capacity, width)
      && ocl_fits (p->memory.v, p->memory.capacity, width);

  if (ocl_launch_check (q, &ocl_op_attention, fits) && o.rows > 0)
    ocl_variant_run (q, &ocl_op_attention, &args);
}

/* ---- attention_weights ------------------------------------------------------------- */

typedef struct
{
  OclTensor weights, queries, k;        /* k: the head's columns */
  OclAttentionWeights p;
} WeightsArgs;

static void
attention_weights_ref (OclQueue *q, gconstpointer data)
{
  const WeightsArgs *a = data;
  REF_VIEWS (q, v, a->weights, a->queries, a->k);

  ref_attention_weights (v[0], v[1], v[2], &a->p);
}

/* A group of @group items a row. */
static void
run_weights (OclQueue *q, const WeightsArgs *a, OclKernel *kernel, gsize group, const gsize *local)
{
  const OclAttentionWeights *p = &a->p;
  gsize global[2] = { group, a->weights.rows };

  ocl_queue_run (q, kernel, 2, global, local, OCL_ARG_TENSOR (a->weights), OCL_ARG_TENSOR (a->queries),
      OCL_ARG_TENSOR (a->k), OCL_ARG (p->head_dim), OCL_ARG (p->position0), OCL_ARG (p->first),
      OCL_ARG (a->weights.cols), OCL_ARG (a->k.rows), OCL_ARG (p->scale), OCL_ARGS_END);
}

static void
attention_weights_portable (OclQueue *q, gconstpointer data)
{
  const WeightsArgs *a = data;

  run_weights (q, a, ocl_queue_get_kernel (q, "attention", "attention_weights", NULL), OCL_GROUP_SIZE, ocl_row_group);
}

static gboolean
attention_weights_cpu_match (OclDevice *device, gconstpointer data)
{
  const WeightsArgs *a = data;

  return a->p.head_dim % 8 == 0;
}

/* A row a work-item: there is one for each token that is decoded. */
static void
attention_weights_cpu (OclQueue *q, gconstpointer data)
{
  const WeightsArgs *a = data;
  const gchar *options = get_vector (q, a->p.head_dim);

  run_weights (q, a, ocl_queue_get_kernel (q, "attention-cpu", "attention_weights", options), 1, ocl_single_item);
}

static const OclVariant attention_weights_variants[] = {
  { "cpu", OCL_DEVICE_CPU, attention_weights_cpu_match, attention_weights_cpu },
  { "portable", 0, NULL, attention_weights_portable },
  { "ref", 0, NULL, attention_weights_ref },
};

const OclOperation ocl_op_attention_weights = { "attention_weights", attention_weights_variants,
  G_N_ELEMENTS (attention_weights_variants) };

void
ocl_attention_weights (OclQueue *q, OclTensor weights, OclTensor queries, const OclKvCache *cache,
    const OclAttentionWeights *p)
{
  WeightsArgs args = { weights, queries, cache->k, *p };
  gint n_keys = p->position0 + queries.rows;

  if (cache->packed && queries.rows > 0) {
    args.k = ocl_kv_scratch (q, n_keys, p->n_kv_heads * p->head_dim).k;
    ocl_kv_unpack (q, args.k, cache->k, p->head_dim, 0, n_keys);
  }
  gboolean fits = p->head_dim > 0 && p->kv_head >= 0 && p->kv_head < p->n_kv_heads && p->first >= 0 && p->position0 >= 0
      && queries.cols == p->head_dim && weights.rows == queries.rows && args.k.cols == p->n_kv_heads * p->head_dim
      && args.k.rows >= n_keys;

  args.k = ocl_tensor_cols (args.k, p->kv_head * p->head_dim, p->head_dim);
  if (ocl_launch_check (q, &ocl_op_attention_weights, fits) && weights.rows > 0 && weights.cols > 0)
    ocl_variant_run (q, &ocl_op_attention_weights, &args);
}
