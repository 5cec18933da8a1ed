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
#include <string.h>

/* All activations are in one buffer. A block finds x at one end of it; y comes to the other end, and after y what is within
 * the block, which is free again when y becomes the next block's x. */
typedef struct
{
  GemmaVisionSession base;
  OclTensor memory;  /* [n][PAGE] */
  gsize taken[2];    /* values at its front and at its back */
  gsize kept[2];     /* of these, until the end of the network: the last stage but one, for the fusion */
  gint x_end;        /* where x is */
} Session;

#define PAGE 1024    /* values; what is taken are whole ones */

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

#define BAND_VALUES (4 << 20) /* of it: more would only take memory, less compute more rows twice */

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

/* Of @rows, each of which makes @width values. */
static gint
rows_at_once (gint rows, gsize width)
{
  gint n_bands = (width * rows + BAND_VALUES - 1) / BAND_VALUES;

  return (rows + n_bands - 1) / n_bands;
}

static gint
band_rows (const Mnv5Block *b, const OclConv2d *p)
{
  return rows_at_once (p->out_height, (b->kind == MNV5_EDGE ? p->out_width : p->stride * p->width) * (gsize) b->mid);
}

static gint
fusion_rows (const Mnv5 *m, gint rows)
{
  return rows_at_once (rows, m->fusion_mid);
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

static gsize
room (gint rows, gint cols)
{
  return ((gsize) rows * cols + PAGE - 1) / PAGE * PAGE;
}

/* Opposite to x: a block takes its y first. */
static OclTensor
take (Session *s, gint rows, gint cols)
{
  const gsize n = room (rows, cols), all = (gsize) s->memory.rows * PAGE;
  gsize *taken = &s->taken[!s->x_end];

  *taken += n;
  g_assert (s->taken[0] + s->taken[1] <= all);
  return (OclTensor){ s->memory.mem, s->x_end ? *taken - n : all - *taken, rows, cols, cols };
}

/* @x is what was taken first; nothing else is needed any more. */
static void
becomes_x (Session *s, OclTensor x)
{
  s->taken[s->x_end] = s->kept[s->x_end];
  s->x_end = !s->x_end;
  s->taken[s->x_end] = s->kept[s->x_end] + room (x.rows, x.cols);
}

static gsize
need_attention (const Mnv5Block *b, gint side)
{
  gint n = side * side, keys = shrink (side, MNV5_STRIDE);

  return room (n, b->in) + room (n, b->n_heads * b->key_dim) + room (n, b->n_heads * b->value_dim) + room (n, b->key_dim)
      + room (n, b->value_dim) + 2 * room (keys * keys, b->in);
}

static gsize
need_bottleneck (const Mnv5Block *b, gint side)
{
  gint start = b->start.kernel > 0 ? shrink (side, b->start.stride) : side, n;
  gsize narrow = b->start.kernel > 0 ? room (start * start, b->in) : 0;
  OclConv2d p = block_conv (b, start);

  n = band_rows (b, &p);
  if (b->kind == MNV5_EDGE)
    return narrow + room (n * p.out_width, b->mid);
  return narrow + room (MIN ((n - 1) * p.stride + p.kernel, start) * start, b->mid)
      + (b->middle.kernel > 0 ? room (n * p.out_width, b->mid) : 0);
}

/* Of the fusion and the embedder. */
static gsize
need_head (const Mnv5 *m, gint side)
{
  gint n = side * side;

  return room (n, ocl_weight_get_cols (m->fusion_expand)) + room (n, m->width) + room (fusion_rows (m, n), m->fusion_mid)
      + room (GEMMA_VISION_TOKENS, m->width) + room (GEMMA_VISION_TOKENS, m->base.text_hidden);
}

/* Values that are needed at once. */
static gsize
need_all (const Mnv5 *m, gint resolution)
{
  gint side = shrink (resolution, MNV5_STRIDE), fine = side;
  gsize x = room (side * side, m->stem_channels), kept = 0, most = x;

  for (gint i = 0; i < m->n_stages; i++) {
    for (gint j = 0; j < m->stages[i].n_blocks; j++) {
      const Mnv5Block *b = &m->stages[i].blocks[j];
      gint out = shrink (side, b->stride);
      gsize y = room (out * out, b->out), within;

      within = b->kind == MNV5_ATTENTION ? need_attention (b, side) : need_bottleneck (b, side);
      most = MAX (most, kept + x + y + within);
      x = y;
      side = out;
    }
    if (i == m->n_stages - 2) {
      kept = x;
      x = 0;
      fine = side;
    }
  }
  return MAX (most, kept + x + need_head (m, fine));
}

static gboolean
reserve (GemmaVisionSession *base, gint resolution, GError **error)
{
  Session *s = (Session *) base;
  const gsize pages = need_all (network (s), resolution) / PAGE;

  if (pages <= (gsize) s->memory.rows)
    return TRUE;
  ocl_tensor_clear (base->vision->device, &s->memory);
  s->memory = ocl_tensor_new (base->vision->device, MIN (pages, G_MAXINT), PAGE, error);
  return s->memory.mem != NULL;
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

/* RMS (depthwise (x)), then GELU if @gelu. */
static OclTensor
depthwise_rows (Session *s, OclTensor x, const OclConv2d *p, const Mnv5Depthwise *d, gboolean gelu)
{
  OclTensor y = take (s, p->out_height * p->out_width, x.cols);

  ocl_depthwise2d (s->base.queue, y, x, d->weight, p);
  norm (s, y, y, d->norm, gelu);
  return y;
}

/* The same for a whole picture of *@side, which becomes that of the result. */
static OclTensor
depthwise (Session *s, OclTensor x, gint *side, const Mnv5Depthwise *d)
{
  OclConv2d p = same_padding (*side, d->kernel, d->stride);

  *side = p.out_width;
  return depthwise_rows (s, x, &p, d, FALSE);
}

/* ---- blocks: x [side * side][I] becomes y [side * side][O] ---------------------------------- */

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
  OclTensor wide = take (s, band->n * p->out_width, b->mid);

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
  OclTensor wide = take (s, p->height * p->width, b->mid);

  product (s, wide, picture_rows (x, p->width, band->first_in, p->height), b->expand);
  norm (s, wide, wide, b->expand_norm, TRUE);
  return b->middle.kernel > 0 ? depthwise_rows (s, wide, p, &b->middle, TRUE) : wide;
}

/*
 * Of an edge: y = RMS (project (GELU (RMS (conv (x))))) [+ x]; of an inverted bottleneck:
 * y = scale * RMS (project (GELU (RMS (dw (GELU (RMS (expand (RMS (dw (x))))))))))  [+ x], each dw if there is one.
 */
static void
run_bottleneck (Session *s, const Mnv5Block *b, OclTensor y, OclTensor x, gint side)
{
  OclTensor narrow = b->start.kernel > 0 ? depthwise (s, x, &side, &b->start) : x;
  OclConv2d p = block_conv (b, side);
  gint rows = band_rows (b, &p);
  const gsize taken = s->taken[!s->x_end];

  for (gint first = 0; first < p.out_height; first += rows) {
    Band band = cut_band (&p, first, MIN (rows, p.out_height - first));
    OclTensor wide = b->kind == MNV5_EDGE ? edge_band (s, b, &band, narrow) : inverted_band (s, b, &band, narrow);

    narrow_band (s, b, &band, y, wide, x);
    s->taken[!s->x_end] = taken;
  }
}

/* Keys or values of x, at half the size where the file has a convolution for that. */
static OclTensor
key_or_value (Session *s, OclTensor x, gint side, const Mnv5Depthwise *down, const OclWeight *w)
{
  OclTensor from = down->kernel > 0 ? depthwise (s, x, &side, down) : x;
  OclTensor y = take (s, from.rows, ocl_weight_get_rows (w));

  product (s, y, from, w);
  return y;
}

/* y = scale * out (softmax (q k^T / sqrt (d)) v) [+ x], q, k and v of RMS (x) */
static void
run_attention (Session *s, const Mnv5Block *b, OclTensor y, OclTensor x, gint side)
{
  OclTensor normed = take (s, x.rows, b->in), queries = take (s, x.rows, b->n_heads * b->key_dim);
  OclTensor mix = take (s, x.rows, b->n_heads * b->value_dim), keys, values;

  norm (s, normed, x, b->norm, FALSE);
  product (s, queries, normed, b->query);
  keys = key_or_value (s, normed, side, &b->key_down, b->key);
  values = key_or_value (s, normed, side, &b->value_down, b->value);
  ocl_multi_query_attention (s->base.queue, mix, queries, keys, values, b->n_heads, 1 / sqrtf (b->key_dim),
      s->base.vision->flags);
  product (s, y, mix, b->project);
  if (b->scale.mem != NULL)
    ocl_scale_cols (s->base.queue, y, y, b->scale);
  if (b->skip)
    ocl_add (s->base.queue, y, y, x);
}

static OclTensor
run_block (Session *s, const Mnv5Block *b, OclTensor x, gint *side)
{
  gint out = shrink (*side, b->stride);
  OclTensor y = take (s, out * out, b->out);

  if (b->kind == MNV5_ATTENTION)
    run_attention (s, b, y, x, *side);
  else
    run_bottleneck (s, b, y, x, *side);
  becomes_x (s, y);
  *side = out;
  return y;
}

/* ---- the network -------------------------------------------------------------------------- */

static OclTensor
run_stem (Session *s, OclTensor pixels, gint *side)
{
  const Mnv5 *m = network (s);
  OclConv2d p = same_padding (*side, MNV5_STEM_KERNEL, MNV5_STRIDE);
  OclTensor x;

  memset (s->taken, 0, sizeof s->taken);
  memset (s->kept, 0, sizeof s->kept);
  x = take (s, p.out_height * p.out_width, m->stem_channels);
  ocl_conv2d (s->base.queue, x, pixels, m->stem, m->stem_bias, &p, OCL_MATMUL_F32_ACTIVATIONS);
  norm (s, x, x, m->stem_norm, TRUE);
  gemma_vision_session_observe (&s->base, "stem", x);
  becomes_x (s, x);
  *side = p.out_width;
  return x;
}

/* FALSE if it was stopped. @fine: of the last stage but one, which is kept. */
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
    *fine = *x;
    *fine_side = *side;
    s->kept[s->x_end] = s->taken[s->x_end];
  }
  return TRUE;
}

/* y [256][width] = RMS (16 x 16 of RMS (project (GELU (RMS (expand (fine | coarse, enlarged)))))) */
static OclTensor
fuse (Session *s, OclTensor fine, gint fine_side, OclTensor coarse, gint side)
{
  const Mnv5 *m = network (s);
  OclTensor both = take (s, fine.rows, fine.cols + coarse.cols), y = take (s, fine.rows, m->width);
  OclTensor grid = take (s, GEMMA_VISION_TOKENS, m->width);
  const gint rows = fusion_rows (m, fine.rows);
  OclTensor wide = take (s, rows, m->fusion_mid);
  OclResize2d enlarge = { OCL_RESIZE_NEAREST, side, side, fine_side, fine_side };
  OclResize2d reduce = { fine_side % MNV5_GRID == 0 ? OCL_RESIZE_AVERAGE : OCL_RESIZE_BILINEAR, fine_side, fine_side,
    MNV5_GRID, MNV5_GRID };

  ocl_copy (s->base.queue, ocl_tensor_cols (both, 0, fine.cols), fine);
  ocl_resize2d (s->base.queue, ocl_tensor_cols (both, fine.cols, coarse.cols), coarse, &enlarge);
  for (gint first = 0; first < y.rows; first += rows) {
    gint n = MIN (rows, y.rows - first);
    OclTensor band = ocl_tensor_rows (wide, 0, n);

    product (s, band, ocl_tensor_rows (both, first, n), m->fusion_expand);
    norm (s, band, band, m->fusion_expand_norm, TRUE);
    product (s, ocl_tensor_rows (y, first, n), band, m->fusion_project);
  }
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
  OclTensor soft = take (s, x.rows, m->base.text_hidden);
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

  ocl_tensor_clear (base->vision->device, &s->memory);
}

const GemmaVisionClass gemma_mobilenet_v5_class = { "MobileNet-V5", "v.conv_stem.conv.weight", gemma_mobilenet_v5_load,
  gemma_mobilenet_v5_free, sizeof (Session), session_clear, reserve, forward };
