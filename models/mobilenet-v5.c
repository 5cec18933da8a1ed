/* Gemma 3n's picture encoder, MobileNet-V5: stem -> stages of blocks, each stage at half the size of the one before ->
 * fusion of the last two stages at 16 x 16 -> soft tokens.
 *
 * Pictures are [height * width][channels], so a 1 x 1 convolution is a product of matrices and a norm is one of rows.
 * Every convolution is followed by an RMS norm over the channels of each pixel, and that by GELU where one is written.
 * Activations of this network grow beyond float16; everything here is float32.
 */
#include "mobilenet-v5.h"

#include "opencl/ops.h"

#include <math.h>

/* Activations: X is what a block reads, Y what it makes; then they change places. The others are within a block. */
typedef enum
{
  X,
  Y,
  FINE, /* the end of the last stage but one, until the fusion */
  A,
  B,
  C,
  KEYS,
  VALUES,
  SOFT,
  N_SLOTS
} Slot;

#define SLOT_COLS 1024 /* of an allocation, whose shape means nothing */

typedef struct
{
  GemmaVisionSession base;
  OclTensor slots[N_SLOTS];
  gint resolution; /* that the slots are for; they do for smaller ones, too */
} Session;

static Mnv5 *
network (Session *s)
{
  return (Mnv5 *) s->base.vision;
}

/* The side of a picture after a convolution of this stride. */
static gint
shrink (gint side, gint stride)
{
  return (side + stride - 1) / stride;
}

/* "Same" padding: the result is as large as the strides leave; of an odd padding the right and bottom get more. */
static OclConv2d
same_padding (gint side, gint kernel, gint stride)
{
  gint out = shrink (side, stride), pad = MAX ((out - 1) * stride + kernel - side, 0) / 2;

  return (OclConv2d){ side, side, kernel, stride, pad, pad, out, out };
}

/* ---- bands: the wide part of a block is computed for some rows of its result at a time --------- */

#define BAND_VALUES (13 << 20) /* of it: more would only take memory, less compute more rows twice */

/* Some rows of a convolution's result. */
typedef struct
{
  OclConv2d conv;          /* of the rows that they see, begun at first_in */
  gint first_in, first, n; /* the rows */
} Band;

/* The convolution behind the wide part, or in an edge block before it: without one, each pixel sees itself. */
static OclConv2d
block_conv (const Mnv5Block *b, gint side)
{
  if (b->kind == MNV5_EDGE)
    return same_padding (side, b->kernel, b->stride);
  return b->middle.kernel > 0 ? same_padding (side, b->middle.kernel, b->middle.stride) : same_padding (side, 1, 1);
}

static gint
band_rows (const Mnv5Block *b, const OclConv2d *p)
{
  gsize row = (b->kind == MNV5_EDGE ? p->out_width : p->stride * p->width) * (gsize) b->mid; /* values */
  gint n_bands = (row * p->out_height + BAND_VALUES - 1) / BAND_VALUES;

  return (p->out_height + n_bands - 1) / n_bands;
}

static Band
cut_band (const OclConv2d *p, gint first, gint n)
{
  gint begin = first * p->stride - p->pad_top, end = begin + (n - 1) * p->stride + p->kernel;
  Band band = { *p, MAX (begin, 0), first, n };

  band.conv.height = MIN (end, p->height) - band.first_in;
  band.conv.pad_top = band.first_in - begin;
  band.conv.out_height = n;
  return band;
}

/* ---- memory ----------------------------------------------------------------------------- */

static OclTensor
take (Session *s, Slot slot, gint rows, gint cols)
{
  g_assert ((gsize) rows * cols <= (gsize) s->slots[slot].rows * SLOT_COLS);
  return (OclTensor){ s->slots[slot].mem, 0, rows, cols, cols };
}

/* As many values as each slot has to hold. */
typedef struct
{
  gsize n[N_SLOTS];
} Sizes;

static void
need_rows (Sizes *sizes, Slot slot, gint height, gint width, gint cols)
{
  sizes->n[slot] = MAX (sizes->n[slot], (gsize) height * width * cols);
}

static void
need (Sizes *sizes, Slot slot, gint side, gint cols)
{
  need_rows (sizes, slot, side, side, cols);
}

/* Returns the side of the block's result. */
static gint
need_block (Sizes *sizes, const Mnv5Block *b, gint side)
{
  gint start = b->start.kernel > 0 ? shrink (side, b->start.stride) : side, out = shrink (side, b->stride);
  gint keys = shrink (side, MNV5_STRIDE), n;
  OclConv2d p;

  if (b->kind == MNV5_ATTENTION) {
    need (sizes, A, side, b->in);
    need (sizes, B, side, b->n_heads * b->key_dim);
    need (sizes, C, side, b->n_heads * b->value_dim);
    need (sizes, C, keys, b->in);
    need (sizes, KEYS, side, b->key_dim);
    need (sizes, VALUES, side, b->value_dim);
  } else {
    p = block_conv (b, start);
    n = band_rows (b, &p);
    need (sizes, A, start, b->start.kernel > 0 ? b->in : 0);
    need_rows (sizes, B, b->kind == MNV5_EDGE ? n : MIN ((n - 1) * p.stride + p.kernel, start), p.width, b->mid);
    need_rows (sizes, C, n, out, b->middle.kernel > 0 ? b->mid : 0);
  }
  need (sizes, X, out, b->out);
  need (sizes, Y, out, b->out);
  return out;
}

static void
need_all (Sizes *sizes, const Mnv5 *m, gint resolution)
{
  gint side = shrink (resolution, MNV5_STRIDE), fine = side;

  need (sizes, X, side, m->stem_channels);
  for (gint i = 0; i < m->n_stages; i++) {
    const Mnv5Stage *stage = &m->stages[i];

    fine = side;
    for (gint j = 0; j < stage->n_blocks; j++)
      side = need_block (sizes, &stage->blocks[j], side);
    if (i == m->n_stages - 2)
      need (sizes, FINE, side, stage->blocks[stage->n_blocks - 1].out);
  }
  need (sizes, A, fine, ocl_weight_get_cols (m->fusion_expand));
  need (sizes, B, fine, m->fusion_mid);
  need (sizes, C, fine, m->width);
  need (sizes, A, MNV5_GRID, m->width);
  need (sizes, SOFT, MNV5_GRID, m->base.text_hidden);
}

static gboolean
reserve (GemmaVisionSession *base, gint resolution, GError **error)
{
  Session *s = (Session *) base;
  Sizes sizes = { { 0 } };

  if (resolution <= s->resolution)
    return TRUE;
  need_all (&sizes, network (s), resolution);
  s->resolution = 0;
  for (gint i = 0; i < N_SLOTS; i++) {
    gsize rows = sizes.n[i] / SLOT_COLS + 1;

    ocl_tensor_clear (base->vision->device, &s->slots[i]);
    s->slots[i] = ocl_tensor_new (base->vision->device, MIN (rows, G_MAXINT), SLOT_COLS, error);
    if (s->slots[i].mem == NULL)
      return FALSE;
  }
  s->resolution = resolution;
  return TRUE;
}

/* ---- parts ------------------------------------------------------------------------------- */

/* y = RMS (x) * weight, in place where y is x; then GELU if @gelu. */
static void
norm (Session *s, OclTensor y, OclTensor x, OclTensor weight, gboolean gelu)
{
  OclRmsNorm p = OCL_RMS_NORM_INIT (weight, MNV5_EPS);

  p.gelu = gelu;
  ocl_rms_norm (s->base.queue, y, x, &p);
}

/* y = RMS (y) * weight, + x if the block has a skip. */
static void
norm_and_skip (Session *s, const Mnv5Block *b, OclTensor y, OclTensor x)
{
  OclRmsNorm p = OCL_RMS_NORM_INIT (b->project_norm, MNV5_EPS);

  if (b->skip)
    p.add0 = x;
  ocl_rms_norm (s->base.queue, y, y, &p);
}

static void
product (Session *s, OclTensor y, OclTensor x, const OclWeight *w)
{
  ocl_matmul (s->base.queue, y, x, w, s->base.vision->flags);
}

/* Into @slot: RMS (depthwise (x)), then GELU if @gelu. */
static OclTensor
depthwise_rows (Session *s, Slot slot, OclTensor x, const OclConv2d *p, const Mnv5Depthwise *d, gboolean gelu)
{
  OclTensor y = take (s, slot, p->out_height * p->out_width, x.cols);

  ocl_depthwise2d (s->base.queue, y, x, d->weight, p);
  norm (s, y, y, d->norm, gelu);
  return y;
}

/* The same for a whole picture of *@side, which becomes that of the result. */
static OclTensor
depthwise (Session *s, Slot slot, OclTensor x, gint *side, const Mnv5Depthwise *d)
{
  OclConv2d p = same_padding (*side, d->kernel, d->stride);

  *side = p.out_width;
  return depthwise_rows (s, slot, x, &p, d, FALSE);
}

/* ---- blocks: x [side * side][I] in slot X becomes y [side * side][O] in slot Y ------------- */

/* The rows of a picture of @width that are @n from @first. */
static OclTensor
picture_rows (OclTensor x, gint width, gint first, gint n)
{
  return ocl_tensor_rows (x, first * width, n * width);
}

/* y = RMS (project (wide)) [+ x], for a band of y */
static void
narrow_band (Session *s, const Mnv5Block *b, const Band *band, OclTensor y, OclTensor wide, OclTensor x)
{
  gint width = band->conv.out_width;
  OclTensor rows = picture_rows (y, width, band->first, band->n);

  product (s, rows, wide, b->project);
  norm_and_skip (s, b, rows, b->skip ? picture_rows (x, width, band->first, band->n) : x);
}

/* wide = GELU (RMS (conv (x))) */
static OclTensor
edge_band (Session *s, const Mnv5Block *b, const Band *band, OclTensor x)
{
  const OclConv2d *p = &band->conv;
  OclTensor wide = take (s, B, band->n * p->out_width, b->mid);

  ocl_conv2d (s->base.queue, wide, picture_rows (x, p->width, band->first_in, p->height), b->conv, (OclTensor){ 0 }, p,
      s->base.vision->flags);
  norm (s, wide, wide, b->expand_norm, TRUE);
  return wide;
}

/* wide = GELU (RMS (dw (GELU (RMS (expand (x)))))), if there is a dw */
static OclTensor
inverted_band (Session *s, const Mnv5Block *b, const Band *band, OclTensor x)
{
  const OclConv2d *p = &band->conv;
  OclTensor wide = take (s, B, p->height * p->width, b->mid);

  product (s, wide, picture_rows (x, p->width, band->first_in, p->height), b->expand);
  norm (s, wide, wide, b->expand_norm, TRUE);
  return b->middle.kernel > 0 ? depthwise_rows (s, C, wide, p, &b->middle, TRUE) : wide;
}

/*
 * Of an edge: y = RMS (project (GELU (RMS (conv (x))))) [+ x]; of an inverted bottleneck:
 * y = scale * RMS (project (GELU (RMS (dw (GELU (RMS (expand (RMS (dw (x))))))))))  [+ x], each dw if there is one.
 */
static OclTensor
run_bottleneck (Session *s, const Mnv5Block *b, OclTensor x, gint *side)
{
  OclTensor narrow = b->start.kernel > 0 ? depthwise (s, A, x, side, &b->start) : x, y;
  OclConv2d p = block_conv (b, *side);
  gint rows = band_rows (b, &p);

  y = take (s, Y, p.out_height * p.out_width, b->out);
  for (gint first = 0; first < p.out_height; first += rows) {
    Band band = cut_band (&p, first, MIN (rows, p.out_height - first));
    OclTensor wide = b->kind == MNV5_EDGE ? edge_band (s, b, &band, narrow) : inverted_band (s, b, &band, narrow);

    narrow_band (s, b, &band, y, wide, x);
  }
  *side = p.out_width;
  return y;
}

/* Into @slot: keys or values of x, at half the size where the file has a convolution for that. */
static OclTensor
key_or_value (Session *s, Slot slot, OclTensor x, gint side, const Mnv5Depthwise *down, const OclWeight *w)
{
  OclTensor from = down->kernel > 0 ? depthwise (s, C, x, &side, down) : x;
  OclTensor y = take (s, slot, from.rows, ocl_weight_get_rows (w));

  product (s, y, from, w);
  return y;
}

/* y = scale * out (softmax (q k^T / sqrt (d)) v) [+ x], q, k and v of RMS (x) */
static OclTensor
run_attention (Session *s, const Mnv5Block *b, OclTensor x, gint *side)
{
  OclTensor normed = take (s, A, x.rows, b->in), queries = take (s, B, x.rows, b->n_heads * b->key_dim);
  OclTensor mix = take (s, C, x.rows, b->n_heads * b->value_dim), y = take (s, Y, x.rows, b->out), keys, values;

  norm (s, normed, x, b->norm, FALSE);
  product (s, queries, normed, b->query);
  keys = key_or_value (s, KEYS, normed, *side, &b->key_down, b->key);
  values = key_or_value (s, VALUES, normed, *side, &b->value_down, b->value);
  ocl_multi_query_attention (s->base.queue, mix, queries, keys, values, b->n_heads, 1 / sqrtf (b->key_dim),
      s->base.vision->flags);
  product (s, y, mix, b->project);
  if (b->scale.mem != NULL)
    ocl_scale_cols (s->base.queue, y, y, b->scale);
  if (b->skip)
    ocl_add (s->base.queue, y, y, x);
  return y;
}

static OclTensor
run_block (Session *s, const Mnv5Block *b, OclTensor x, gint *side)
{
  OclTensor y, old = s->slots[X];

  y = b->kind == MNV5_ATTENTION ? run_attention (s, b, x, side) : run_bottleneck (s, b, x, side);
  s->slots[X] = s->slots[Y];
  s->slots[Y] = old;
  return y;
}

/* ---- the network -------------------------------------------------------------------------- */

static OclTensor
run_stem (Session *s, OclTensor pixels, gint *side)
{
  const Mnv5 *m = network (s);
  OclConv2d p = same_padding (*side, MNV5_STEM_KERNEL, MNV5_STRIDE);
  OclTensor x, y = s->slots[Y];

  if (y.rows > s->slots[X].rows) { /* the picture before has left them so */
    s->slots[Y] = s->slots[X];
    s->slots[X] = y;
  }
  x = take (s, X, p.out_height * p.out_width, m->stem_channels);

  ocl_conv2d (s->base.queue, x, pixels, m->stem, m->stem_bias, &p, OCL_MATMUL_F32_ACTIVATIONS);
  norm (s, x, x, m->stem_norm, TRUE);
  gemma_vision_session_observe (&s->base, "stem", x);
  *side = p.out_width;
  return x;
}

/* FALSE if it was stopped. @fine_side: of the last stage but one, whose result is kept in its slot. */
static gboolean
run_stages (Session *s, OclTensor *x, gint *side, OclTensor *fine, gint *fine_side)
{
  const Mnv5 *m = network (s);
  gchar name[32];

  for (gint i = 0; i < m->n_stages; i++) {
    for (gint j = 0; j < m->stages[i].n_blocks; j++) {
      *x = run_block (s, &m->stages[i].blocks[j], *x, side);
      g_snprintf (name, sizeof name, "block%d.%d", i, j);
      gemma_vision_session_observe (&s->base, name, *x);
      if (!gemma_vision_session_go_on (&s->base))
        return FALSE;
    }
    if (i != m->n_stages - 2)
      continue;
    *fine = take (s, FINE, x->rows, x->cols);
    *fine_side = *side;
    ocl_copy (s->base.queue, *fine, *x);
  }
  return TRUE;
}

/* y [256][width] = RMS (16 x 16 of RMS (project (GELU (RMS (expand (fine | coarse, enlarged)))))) */
static OclTensor
fuse (Session *s, OclTensor fine, gint fine_side, OclTensor coarse, gint side)
{
  const Mnv5 *m = network (s);
  OclTensor both = take (s, A, fine.rows, fine.cols + coarse.cols), wide = take (s, B, fine.rows, m->fusion_mid);
  OclTensor y = take (s, C, fine.rows, m->width), grid = take (s, A, GEMMA_VISION_TOKENS, m->width);
  OclResize2d enlarge = { OCL_RESIZE_NEAREST, side, side, fine_side, fine_side };
  OclResize2d reduce = { fine_side % MNV5_GRID == 0 ? OCL_RESIZE_AVERAGE : OCL_RESIZE_BILINEAR, fine_side, fine_side,
    MNV5_GRID, MNV5_GRID };

  ocl_copy (s->base.queue, ocl_tensor_cols (both, 0, fine.cols), fine);
  ocl_resize2d (s->base.queue, ocl_tensor_cols (both, fine.cols, coarse.cols), coarse, &enlarge);
  product (s, wide, both, m->fusion_expand);
  norm (s, wide, wide, m->fusion_expand_norm, TRUE);
  product (s, y, wide, m->fusion_project);
  norm (s, y, y, m->fusion_project_norm, FALSE);
  ocl_resize2d (s->base.queue, grid, y, &reduce);
  norm (s, grid, grid, m->fusion_norm, FALSE);
  gemma_vision_session_observe (&s->base, "msfa", grid);
  return grid;
}

/* The reference multiplies x by sqrt (width) first; the norm undoes that but for its epsilon. */
static OclTensor
embed (Session *s, OclTensor x)
{
  const Mnv5 *m = network (s);
  OclTensor soft = take (s, SOFT, x.rows, m->base.text_hidden);
  OclRmsNorm first = OCL_RMS_NORM_INIT (m->soft_norm, MNV5_EPS / m->width);

  ocl_rms_norm (s->base.queue, x, x, &first);
  product (s, soft, x, m->projection);
  norm (s, soft, soft, (OclTensor){ 0 }, FALSE);
  gemma_vision_session_observe (&s->base, "soft", soft);
  return soft;
}

static OclTensor
forward (GemmaVisionSession *base, OclTensor pixels, gint resolution)
{
  Session *s = (Session *) base;
  gint side = resolution, fine_side = 0;
  OclTensor x = run_stem (s, pixels, &side), fine;

  if (!run_stages (s, &x, &side, &fine, &fine_side))
    return (OclTensor){ 0 };
  return embed (s, fuse (s, fine, fine_side, x, side));
}

static void
session_clear (GemmaVisionSession *base)
{
  Session *s = (Session *) base;

  for (gint i = 0; i < N_SLOTS; i++)
    ocl_tensor_clear (base->vision->device, &s->slots[i]);
}

const GemmaVisionClass gemma_mobilenet_v5_class = { "MobileNet-V5", "v.conv_stem.conv.weight", gemma_mobilenet_v5_load,
  gemma_mobilenet_v5_free, sizeof (Session), session_clear, reserve, forward };
