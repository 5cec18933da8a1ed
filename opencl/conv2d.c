/* Convolutions of pictures: dense ones as products without patches, and depthwise ones. */
#include "launch.h"
#include "matmul-private.h"
#include "ops.h"
#include "ref/map.h"

#define ITEMS_PER_UNIT 4
#define ITEM_BYTES (512 << 10)          /* of input that an item reads again for each group of panels */

static const gchar *const cpu_options[] = { "", "-DCPU_AVX512", "-DCPU_PLAIN" };
enum { TARGET_AVX2, TARGET_AVX512, TARGET_PLAIN };

static gboolean
check_shape (OclTensor y, OclTensor x, const OclConv2d *p)
{
  return p->height > 0 && p->width > 0 && p->kernel > 0 && p->kernel <= 64 && p->stride > 0 && p->stride <= 64
      && p->pad_top >= 0 && p->pad_left >= 0 && p->out_height >= 0 && p->out_width >= 0 && x.mem && y.mem
      && x.rows == p->height * p->width && y.rows == p->out_height * p->out_width;
}

/* ---- conv2d ----------------------------------------------------------------------- */

typedef struct
{
  OclTensor y, x, bias;
  const OclWeight *w;
  OclConv2d p;
  OclMatmulFlags flags;
} Conv2dArgs;

static void
conv2d_ref (OclQueue *q, gconstpointer data)
{
  const Conv2dArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->bias);

  for (guint i = 0; i < a->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &a->w->chunks[i];
    g_autofree gfloat *rows = ref_read_chunk (q, a->w, chunk);
    RefTensor w = { rows, a->w->cols, chunk->rows, a->w->cols };

    if (rows)
      ref_conv2d (ref_cols (v[0], chunk->first_row, chunk->rows), v[1], w,
          v[2].data ? ref_cols (v[2], chunk->first_row, chunk->rows) : v[2], &a->p);
  }
}

/* The bias of a chunk, or a tensor that no kernel reads. */
static OclTensor
chunk_bias (const Conv2dArgs *a, const OclWeightChunk *chunk)
{
  return a->bias.mem ? ocl_tensor_cols (a->bias, chunk->first_row, chunk->rows) : a->bias;
}

static void
conv2d_portable (OclQueue *q, gconstpointer data)
{
  const Conv2dArgs *a = data;
  const OclConv2d *p = &a->p;

  for (guint i = 0; i < a->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &a->w->chunks[i];
    OclTensor y = ocl_tensor_cols (a->y, chunk->first_row, chunk->rows), bias = chunk_bias (a, chunk);
    gsize global[2] = { ocl_round_up (y.cols, OCL_GROUP_SIZE), y.rows };

    ocl_queue_run (q, ocl_queue_get_kernel (q, "conv2d", "conv2d", ocl_matmul_type_option (a->w->type)), 2, global,
        ocl_row_group, OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (a->x), OCL_ARG_PANELS (a->w, chunk),
        OCL_ARG_TENSOR (bias), OCL_ARG (y.cols),
        OCL_ARG (p->height), OCL_ARG (p->width), OCL_ARG (a->x.cols), OCL_ARG (p->kernel), OCL_ARG (p->stride),
        OCL_ARG (p->pad_top), OCL_ARG (p->pad_left), OCL_ARG (p->out_width), OCL_ARGS_END);
  }
}

/* Item (i, j) has panels i * group_panels .. and rows of pixels j * row_step .. */
typedef struct
{
  gint group_panels, row_step;
  gsize global[2];
} Conv2dCut;

/* All panels for some rows of pixels an item; where rows are few, panels are divided too. @row_bytes: of x */
static Conv2dCut
cut_conv2d (OclQueue *q, const OclConv2d *p, const OclWeightChunk *chunk, gint64 row_bytes)
{
  gint wanted = ITEMS_PER_UNIT * ocl_device_get_compute_units (ocl_queue_get_device (q));
  gint fitting = ITEM_BYTES / (p->stride * row_bytes);
  gint row_step = CLAMP (MIN (fitting, (p->out_height + wanted - 1) / wanted), 1, p->out_height);
  gint n_row_groups = (p->out_height + row_step - 1) / row_step;
  gint n_panel_groups = MAX (1, wanted / n_row_groups);
  gint group_panels = MAX (6, (chunk->n_panels + n_panel_groups - 1) / n_panel_groups);        /* whole tiles */

  return (Conv2dCut) { group_panels, row_step,
    { (chunk->n_panels + group_panels - 1) / group_panels, n_row_groups } };
}

static void
run_chunk (OclQueue *q, const Conv2dArgs *a, const OclWeightChunk *chunk, const gchar *options)
{
  const OclConv2d *p = &a->p;
  OclTensor y = ocl_tensor_cols (a->y, chunk->first_row, chunk->rows), bias = chunk_bias (a, chunk);
  Conv2dCut cut = cut_conv2d (q, p, chunk, (gint64) p->width * a->x.cols * sizeof (gfloat));

  ocl_queue_run (q, ocl_queue_get_kernel (q, "conv2d-cpu", "conv2d", options), 2, cut.global, ocl_single_item,
      OCL_ARG_TENSOR (y), OCL_ARG_TENSOR (a->x), OCL_ARG_PANELS (a->w, chunk), OCL_ARG_TENSOR (bias),
      OCL_ARG (chunk->rows), OCL_ARG (chunk->n_panels), OCL_ARG (cut.group_panels), OCL_ARG (p->out_height), OCL_ARG (cut.row_step),
      OCL_ARG (p->height), OCL_ARG (p->width), OCL_ARG (a->x.cols), OCL_ARG (p->kernel), OCL_ARG (p->stride),
      OCL_ARG (p->pad_top), OCL_ARG (p->pad_left), OCL_ARG (p->out_width), OCL_ARGS_END);
}

static void
run_float (OclQueue *q, const Conv2dArgs *a, const gchar *target)
{
  gchar options[64];

  g_snprintf (options, sizeof options, "%s %s", ocl_matmul_type_option (a->w->type), target);
  for (guint i = 0; i < a->w->n_chunks; i++)
    run_chunk (q, a, &a->w->chunks[i], options);
}

#define DEFINE_CPU(suffix, target) \
  static void conv2d_##suffix (OclQueue *q, gconstpointer data) \
  { \
    run_float (q, data, cpu_options[target]); \
  }
DEFINE_CPU (avx512, TARGET_AVX512)
DEFINE_CPU (avx2, TARGET_AVX2)
DEFINE_CPU (cpu, TARGET_PLAIN)

/* ---- conv2d in 8 bits ------------------------------------------------------------- */

/* Blocks of 32 values, which share a scale, must not go from one pixel to the next. */
static gboolean
int8_match (OclDevice *device, gconstpointer data)
{
  const Conv2dArgs *a = data;

  return a->flags & OCL_MATMUL_INT8_ACTIVATIONS && a->w->type == OCL_TYPE_Q8_0 && a->x.cols % 32 == 0
      && ((gint64) (a->p.out_width - 1) * a->p.stride + a->p.kernel) * a->x.cols <= G_MAXINT;
}

/* The picture in bytes and with zeros around it, then its scales, then its sums. */
typedef struct
{
  cl_mem mem;
  cl_ulong scales_at, sums_at;
  cl_int width;
} QuantizedPicture;

static QuantizedPicture
quantize_picture (OclQueue *q, const Conv2dArgs *a, const gchar *options)
{
  const OclConv2d *p = &a->p;
  gint64 width = (gint64) (p->out_width - 1) * p->stride + p->kernel;
  gsize height = (gsize) (p->out_height - 1) * p->stride + p->kernel, values = height * width * a->x.cols;
  QuantizedPicture picture = { NULL, ocl_round_up (values, 64), ocl_round_up (values, 64) + values / 8, width };

  picture.mem = ocl_queue_scratch (q, OCL_SCRATCH_ACTIVATIONS, picture.sums_at + values / 8);
  ocl_queue_run (q, ocl_queue_get_kernel (q, "conv2d-int8", "conv2d_quantize", options), 1, &height, ocl_single_item,
      OCL_ARG_TENSOR (a->x), OCL_ARG (picture.mem), OCL_ARG (picture.scales_at), OCL_ARG (picture.sums_at),
      OCL_ARG (p->height), OCL_ARG (p->width), OCL_ARG (a->x.cols), OCL_ARG (p->pad_top), OCL_ARG (p->pad_left),
      OCL_ARG (picture.width), OCL_ARGS_END);
  return picture;
}

static void
run_int8 (OclQueue *q, const Conv2dArgs *a, const gchar *options)
{
  const OclConv2d *p = &a->p;
  QuantizedPicture x = quantize_picture (q, a, options);

  for (guint i = 0; i < a->w->n_chunks; i++) {
    const OclWeightChunk *chunk = &a->w->chunks[i];
    OclTensor y = ocl_tensor_cols (a->y, chunk->first_row, chunk->rows), bias = chunk_bias (a, chunk);
    Conv2dCut cut = cut_conv2d (q, p, chunk, (gint64) x.width * a->x.cols);

    ocl_queue_run (q, ocl_queue_get_kernel (q, "conv2d-int8", "conv2d_int8", options), 2, cut.global, ocl_single_item,
        OCL_ARG_TENSOR (y), OCL_ARG (x.mem), OCL_ARG (x.scales_at), OCL_ARG (x.sums_at), OCL_ARG_PANELS (a->w, chunk),
        OCL_ARG_TENSOR (bias), OCL_ARG (chunk->rows), OCL_ARG (chunk->n_panels), OCL_ARG (cut.group_panels),
        OCL_ARG (p->out_height), OCL_ARG (cut.row_step), OCL_ARG (x.width), OCL_ARG (p->out_width), OCL_ARG (a->x.cols),
        OCL_ARG (p->kernel), OCL_ARG (p->stride), OCL_ARGS_END);
  }
}

/* Without VNNI, 8 bits take 1.5 times as long as float32, which is exact. */
#define DEFINE_INT8(suffix, options) \
  static void conv2d_int8_##suffix (OclQueue *q, gconstpointer data) \
  { \
    run_int8 (q, data, "-DTYPE_Q8_0 " options); \
  }
DEFINE_INT8 (vnni, OCL_INT8_VNNI)
DEFINE_INT8 (avxvnni, OCL_INT8_AVXVNNI)

static const OclVariant conv2d_variants[] = {
  { "int8-vnni", OCL_DEVICE_AVX512VNNI, int8_match, conv2d_int8_vnni },
  { "int8-avxvnni", OCL_DEVICE_AVXVNNI, int8_match, conv2d_int8_avxvnni },
  { "avx512", OCL_DEVICE_AVX512BW, NULL, conv2d_avx512 },
  { "avx2", OCL_DEVICE_AVX2, NULL, conv2d_avx2 },
  { "cpu", OCL_DEVICE_CPU, NULL, conv2d_cpu },
  { "portable", 0, NULL, conv2d_portable },
  { "ref", 0, NULL, conv2d_ref },
};
const OclOperation ocl_op_conv2d = { "conv2d", conv2d_variants, G_N_ELEMENTS (conv2d_variants) };

void
ocl_conv2d (OclQueue *q, OclTensor y, OclTensor x, const OclWeight *w, OclTensor bias, const OclConv2d *p,
    OclMatmulFlags flags)
{
  Conv2dArgs args = { y, x, bias, w, *p, flags };
  gboolean known = w->type == OCL_TYPE_F32 || w->type == OCL_TYPE_Q8_0;
  gboolean fits = check_shape (y, x, p) && known && x.stride == x.cols
      && w->cols == (gint64) p->kernel * p->kernel * x.cols && w->rows == y.cols && ocl_fits (bias, 1, y.cols);

  if (ocl_launch_check (q, &ocl_op_conv2d, fits) && y.rows > 0)
    ocl_variant_run (q, &ocl_op_conv2d, &args);
}

/* ---- depthwise2d ------------------------------------------------------------------ */

typedef struct
{
  OclTensor y, x, weight;
  OclConv2d p;
} Depthwise2dArgs;

static void
depthwise2d_ref (OclQueue *q, gconstpointer data)
{
  const Depthwise2dArgs *a = data;
  REF_VIEWS (q, v, a->y, a->x, a->weight);

  ref_depthwise2d (v[0], v[1], v[2], &a->p);
}

static void
depthwise2d_portable (OclQueue *q, gconstpointer data)
{
  const Depthwise2dArgs *a = data;
  const OclConv2d *p = &a->p;
  gsize global[2] = { ocl_round_up (a->y.cols, OCL_GROUP_SIZE), a->y.rows };

  ocl_queue_run (q, ocl_queue_get_kernel (q, "conv2d", "depthwise2d", "-DTYPE_F32"), 2, global, ocl_row_group,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->weight), OCL_ARG (a->y.cols),
      OCL_ARG (p->height), OCL_ARG (p->width), OCL_ARG (p->kernel), OCL_ARG (p->stride), OCL_ARG (p->pad_top),
      OCL_ARG (p->pad_left), OCL_ARG (p->out_width), OCL_ARGS_END);
}

static void
run_depthwise2d (OclQueue *q, const Depthwise2dArgs *a, const gchar *target)
{
  const OclConv2d *p = &a->p;
  gint64 work = (gint64) p->out_width * a->y.cols * p->kernel * p->kernel / 4;
  OclCut cut = ocl_cut_rows (q, p->out_height, MIN (work, G_MAXINT / MAX (p->out_height, 1)), OCL_ITEM_ELEMENTS);
  gint row_step = ocl_round_up (cut.row_step, 2);       /* whole tiles */
  gsize global[2] = { 1, (p->out_height + row_step - 1) / row_step };
  gchar options[64];

  if ((p->kernel == 3 || p->kernel == 5) && p->stride <= 2)
    g_snprintf (options, sizeof options, "-DSIZE=%d -DSTEP=%d %s", p->kernel, p->stride, target);
  else
    g_snprintf (options, sizeof options, "%s", target);
  ocl_queue_run (q, ocl_queue_get_kernel (q, "depthwise2d-cpu", "depthwise2d", options), 2, global, ocl_single_item,
      OCL_ARG_TENSOR (a->y), OCL_ARG_TENSOR (a->x), OCL_ARG_TENSOR (a->weight), OCL_ARG (p->out_height),
      OCL_ARG (row_step), OCL_ARG (a->y.cols), OCL_ARG (p->height), OCL_ARG (p->width), OCL_ARG (p->kernel),
      OCL_ARG (p->stride), OCL_ARG (p->pad_top), OCL_ARG (p->pad_left), OCL_ARG (p->out_width), OCL_ARGS_END);
}

static void
depthwise2d_avx512 (OclQueue *q, gconstpointer args)
{
  run_depthwise2d (q, args, cpu_options[TARGET_AVX512]);
}

static void
depthwise2d_avx2 (OclQueue *q, gconstpointer args)
{
  run_depthwise2d (q, args, cpu_options[TARGET_AVX2]);
}

static void
depthwise2d_cpu (OclQueue *q, gconstpointer args)
{
  run_depthwise2d (q, args, cpu_options[TARGET_PLAIN]);
}

static const OclVariant depthwise2d_variants[] = {
  { "avx512", OCL_DEVICE_AVX512BW, NULL, depthwise2d_avx512 },
  { "avx2", OCL_DEVICE_AVX2, NULL, depthwise2d_avx2 },
  { "cpu", OCL_DEVICE_CPU, NULL, depthwise2d_cpu },
  { "portable", 0, NULL, depthwise2d_portable },
  { "ref", 0, NULL, depthwise2d_ref },
};
const OclOperation ocl_op_depthwise2d = { "depthwise2d", depthwise2d_variants, G_N_ELEMENTS (depthwise2d_variants) };

void
ocl_depthwise2d (OclQueue *q, OclTensor y, OclTensor x, OclTensor weight, const OclConv2d *p)
{
  Depthwise2dArgs args = { y, x, weight, *p };
  gboolean fits = check_shape (y, x, p) && y.cols == x.cols && ocl_has_shape (weight, p->kernel * p->kernel, x.cols);

  if (ocl_launch_check (q, &ocl_op_depthwise2d, fits) && y.rows > 0)
    ocl_variant_run (q, &ocl_op_depthwise2d, &args);
}
