/* Attention of pictures: every query sees every key, and all heads share keys and values. */
#include "launch.h"
#include "ops.h"
#include "queue-private.h"
#include "ref/map.h"

#define PANEL 16
#define MAX_CPU_DIM 256         /* MAX_DIM of kernels/multi-query.clh */
#define MAX_PORTABLE_DIM 512    /* MAX_VALUE_DIM of kernels/multi-query.cl */
#define LINES 48                /* of kernels/multi-query.clh */
#define KEYS 192                /* of kernels/multi-query.clh */
#define ITEMS_PER_UNIT 8

typedef struct
{
  OclTensor o, queries, k, v;
  gint n_heads;
  gfloat scale;
  OclMatmulFlags flags;
} MultiQueryArgs;

static void
multi_query_ref (OclQueue *q, gconstpointer data)
{
  const MultiQueryArgs *a = data;
  REF_VIEWS (q, v, a->o, a->queries, a->k, a->v);

  ref_multi_query_attention (v[0], v[1], v[2], v[3], a->n_heads, a->scale);
}

static gboolean
portable_match (OclDevice *device, gconstpointer data)
{
  const MultiQueryArgs *a = data;

  return a->v.cols <= MAX_PORTABLE_DIM;
}

static void
multi_query_portable (OclQueue *q, gconstpointer data)
{
  const MultiQueryArgs *a = data;
  gsize global[2] = { (gsize) a->n_heads * OCL_GROUP_SIZE, a->o.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "multi-query", "multi_query", NULL), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->o), OCL_ARG_TENSOR (a->queries), OCL_ARG_TENSOR (a->k), OCL_ARG_TENSOR (a->v),
      OCL_ARG (a->k.rows), OCL_ARG (a->k.cols), OCL_ARG (a->v.cols), OCL_ARG (a->scale), OCL_ARGS_END);
}

static gboolean
cpu_match (OclDevice *device, gconstpointer data)
{
  const MultiQueryArgs *a = data;

  return a->k.cols <= MAX_CPU_DIM && a->v.cols <= MAX_CPU_DIM && (gint64) a->o.rows * a->n_heads <= G_MAXINT / 2;
}

static gboolean
int16_match (OclDevice *device, gconstpointer data)
{
  const MultiQueryArgs *a = data;

  return a->flags & (OCL_MATMUL_INT16 | OCL_MATMUL_INT8_ACTIVATIONS) && cpu_match (device, data);
}

/* Keys and values are packed first, @pack_items panels. */
static void
run_packed (OclQueue *q, const MultiQueryArgs *a, const gchar *program, const gchar *options, gsize pack_items, gsize packed_bytes)
{
  gint n_keys = a->k.rows, n_lines = a->o.rows * a->n_heads, n_key_panels = ocl_divide_up (n_keys, PANEL);
  gint n_items = ITEMS_PER_UNIT * ocl_device_get_compute_units (ocl_queue_get_device (q));
  gint line_step = ocl_round_up ((n_lines + n_items - 1) / n_items, LINES);
  cl_mem packed = ocl_queue_scratch (q, OCL_SCRATCH_OTHER, packed_bytes);
  gsize items = ocl_divide_up (n_lines, line_step), one = 1;

  ocl_queue_run (q, ocl_queue_get_kernel (q, program, "pack", options), 1, &pack_items, &one,
      OCL_ARG (packed), OCL_ARG_TENSOR (a->k), OCL_ARG_TENSOR (a->v), OCL_ARG (n_keys), OCL_ARG (a->k.cols),
      OCL_ARG (a->v.cols), OCL_ARG (n_key_panels), OCL_ARGS_END);
  ocl_queue_run (q, ocl_queue_get_kernel (q, program, "multi_query", options), 1, &items, &one,
      OCL_ARG_TENSOR (a->o), OCL_ARG_TENSOR (a->queries), OCL_ARG (packed), OCL_ARG (n_lines), OCL_ARG (line_step),
      OCL_ARG (n_keys), OCL_ARG (a->k.cols), OCL_ARG (a->v.cols), OCL_ARG (a->n_heads), OCL_ARG (n_key_panels),
      OCL_ARG (a->scale), OCL_ARGS_END);
}

static void
run_cpu (OclQueue *q, const MultiQueryArgs *a, const gchar *options)
{
  gsize n_key_panels = ocl_divide_up (a->k.rows, PANEL), n_value_panels = ocl_divide_up (a->v.cols, PANEL);

  run_packed (q, a, "multi-query-cpu", options, n_key_panels + n_value_panels,
      (n_key_panels * a->k.cols + n_value_panels * a->k.rows) * PANEL * sizeof (gfloat));
}

/* Two panels at once where three would leave much of the last tile empty. */
static const gchar *
avx512_options (const MultiQueryArgs *a)
{
  return ocl_divide_up (a->v.cols, PANEL) % 3 == 0 ? "-DCPU_AVX512" : "-DCPU_AVX512 -DNP=2";
}

/* A panel of n columns has pairs of them, and a scale for each row. */
static gsize
pairs_bytes (gint n)
{
  return (1 + ocl_divide_up (n, 2)) * PANEL * sizeof (guint32);
}

static void
multi_query_int16 (OclQueue *q, gconstpointer data)
{
  const MultiQueryArgs *a = data;
  gsize n_key_panels = ocl_divide_up (a->k.rows, PANEL);
  gsize n_values = (gsize) ocl_divide_up (a->k.rows, KEYS) * ocl_divide_up (a->v.cols, PANEL);

  run_packed (q, a, "multi-query-int16", avx512_options (a), n_key_panels + n_values,
      n_key_panels * pairs_bytes (a->k.cols) + n_values * pairs_bytes (KEYS));
}

static void
multi_query_avx512 (OclQueue *q, gconstpointer data)
{
  run_cpu (q, data, avx512_options (data));
}

static void
multi_query_avx2 (OclQueue *q, gconstpointer args)
{
  run_cpu (q, args, "");
}

static void
multi_query_cpu (OclQueue *q, gconstpointer args)
{
  run_cpu (q, args, "-DCPU_PLAIN");
}

static const OclVariant multi_query_variants[] = {
  { "int16-vnni", OCL_DEVICE_AVX512VNNI, int16_match, multi_query_int16 },
  { "avx512", OCL_DEVICE_AVX512BW, cpu_match, multi_query_avx512 },
  { "avx2", OCL_DEVICE_AVX2, cpu_match, multi_query_avx2 },
  { "cpu", OCL_DEVICE_CPU, cpu_match, multi_query_cpu },
  { "portable", 0, portable_match, multi_query_portable },
  { "ref", 0, NULL, multi_query_ref },
};
const OclOperation ocl_op_multi_query_attention = { "multi_query_attention", multi_query_variants,
  G_N_ELEMENTS (multi_query_variants) };

void
ocl_multi_query_attention (OclQueue *q, OclTensor o, OclTensor queries, OclTensor k, OclTensor v, gint n_heads,
    gfloat scale, OclMatmulFlags flags)
{
  MultiQueryArgs args = { o, queries, k, v, n_heads, scale, flags };
  gboolean fits = n_heads > 0 && o.mem && queries.mem && k.mem && v.mem && k.rows > 0 && k.rows == v.rows
      && o.rows == queries.rows && queries.cols == n_heads * k.cols && o.cols == n_heads * v.cols;

  if (ocl_launch_check (q, &ocl_op_multi_query_attention, fits) && o.rows > 0)
    ocl_variant_run (q, &ocl_op_multi_query_attention, &args);
}
