/* SigLIP, the encoder of pictures of Gemma 3 and T5Gemma 2, after transformers' SiglipVisionModel and
 * Gemma3MultiModalProjector: patches -> layers of attention and FFN -> means of cells -> soft tokens. Shapes are
 * [rows][cols] with
 *   M patches, row by row, C hidden, H heads, D = C / H, F ffn.
 *
 * A layer leaves what its FFN adds to its successor's norm, which adds it to the state in the same launch.
 */
#include "siglip.h"

#include "opencl/ops.h"

#include <math.h>

#define GRID 16 /* the side of what comes out: GEMMA_VISION_TOKENS */

typedef struct
{
  GemmaVisionSession base;
  OclTensor state, normed, branch; /* [M][C] */
  OclTensor qkv, ffn;              /* [M][3 C], [M][F] */
  OclTensor cells;                 /* [GRID * GRID][C] */
  OclTensor soft;                  /* [GRID * GRID][text_hidden] */
} Session;

static const Siglip *
network (Session *s)
{
  return (const Siglip *) s->base.vision;
}

static gint
grid_of (const Siglip *m)
{
  return m->config.image_size / m->config.patch_size;
}

/* ---- memory ------------------------------------------------------------------------------- */

static gboolean
reserve (GemmaVisionSession *base, gint resolution, GError **error)
{
  Session *s = (Session *) base;
  const Siglip *m = network (s);
  gint M = grid_of (m) * grid_of (m), C = m->config.hidden;
  const struct
  {
    OclTensor *tensor;
    gint rows, cols;
  } all[] = { { &s->state, M, C }, { &s->normed, M, C }, { &s->branch, M, C }, { &s->qkv, M, 3 * C },
    { &s->ffn, M, m->config.ffn }, { &s->cells, GEMMA_VISION_TOKENS, C },
    { &s->soft, GEMMA_VISION_TOKENS, base->vision->text_hidden } };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    if (all[i].tensor->mem != NULL)
      continue;
    *all[i].tensor = ocl_tensor_new (base->vision->device, all[i].rows, all[i].cols, error);
    if (all[i].tensor->mem == NULL)
      return FALSE;
  }
  return TRUE;
}

/* ---- parts -------------------------------------------------------------------------------- */

static void
product (Session *s, OclTensor y, OclTensor x, const SiglipLinear *w)
{
  ocl_matmul (s->base.queue, y, x, w->weight, s->base.vision->flags);
}

/** state += branch + the bias of what made it, if there is such; normed = LayerNorm (state). */
static void
add_and_norm (Session *s, const SiglipLinear *made_by, const SiglipNorm *norm)
{
  OclLayerNorm p = { norm->weight, norm->bias, network (s)->config.norm_eps };

  if (made_by != NULL) {
    p.add = s->branch;
    p.add_bias = made_by->bias;
  }
  ocl_layer_norm (s->base.queue, s->normed, s->state, &p);
}

/** SiglipVisionEmbeddings. */
static void
embed (Session *s, OclTensor pixels)
{
  const Siglip *m = network (s);
  const GemmaSiglipConfig *c = &m->config;
  gint grid = grid_of (m);
  OclConv2d p = { c->image_size, c->image_size, c->patch_size, c->patch_size, 0, 0, grid, grid };

  ocl_conv2d (s->base.queue, s->state, pixels, m->patch.weight, m->patch.bias, &p, OCL_MATMUL_F32_ACTIVATIONS);
  ocl_add (s->base.queue, s->state, s->state, m->positions);
  gemma_vision_session_observe (&s->base, "embed", s->state);
}

/** SiglipAttention, to before the bias of its output: every patch sees every patch, head by head. */
static void
attend (Session *s, const SiglipLayer *layer)
{
  const GemmaSiglipConfig *c = &network (s)->config;
  gint C = c->hidden, D = C / c->n_heads;

  product (s, s->qkv, s->normed, &layer->qkv);
  ocl_bias (s->base.queue, s->qkv, s->qkv, layer->qkv.bias);
  for (gint column = 0; column < C; column += D)
    ocl_multi_query_attention (s->base.queue, ocl_tensor_cols (s->normed, column, D),
        ocl_tensor_cols (s->qkv, column, D), ocl_tensor_cols (s->qkv, C + column, D),
        ocl_tensor_cols (s->qkv, 2 * C + column, D), 1, 1 / sqrtf (D), s->base.vision->flags);
  product (s, s->branch, s->normed, &layer->attn_out);
}

/** SiglipMLP, to before its last bias. */
static void
feed_forward (Session *s, const SiglipLayer *layer)
{
  product (s, s->ffn, s->normed, &layer->up);
  ocl_bias_gelu (s->base.queue, s->ffn, s->ffn, layer->up.bias);
  product (s, s->branch, s->ffn, &layer->down);
}

/** SiglipEncoder and the norm after it. FALSE if it was stopped. */
static gboolean
run_layers (Session *s)
{
  const Siglip *m = network (s);
  gint n = s->base.warming_up ? 1 : m->config.n_layers;
  gchar name[32];

  add_and_norm (s, NULL, &m->layers[0].attn_norm);
  for (gint i = 0; i < n; i++) {
    const SiglipLayer *layer = &m->layers[i];

    attend (s, layer);
    add_and_norm (s, &layer->attn_out, &layer->ffn_norm);
    feed_forward (s, layer);
    add_and_norm (s, &layer->down, i + 1 < n ? &layer[1].attn_norm : &m->out_norm);
    g_snprintf (name, sizeof name, "layer%d", i);
    gemma_vision_session_observe (&s->base, name, s->state);
    if (!gemma_vision_session_go_on (&s->base))
      return FALSE;
  }
  gemma_vision_session_observe (&s->base, "norm", s->normed);
  return TRUE;
}

/** Gemma3MultiModalProjector. */
static void
project (Session *s)
{
  const Siglip *m = network (s);
  OclResize2d reduce = { OCL_RESIZE_AVERAGE, grid_of (m), grid_of (m), GRID, GRID };
  OclRmsNorm norm = OCL_RMS_NORM_INIT (m->soft_norm, m->config.norm_eps);

  ocl_resize2d (s->base.queue, s->cells, s->normed, &reduce);
  ocl_rms_norm (s->base.queue, s->cells, s->cells, &norm);
  ocl_matmul (s->base.queue, s->soft, s->cells, m->projection, OCL_MATMUL_F32_ACTIVATIONS);
  gemma_vision_session_observe (&s->base, "soft", s->soft);
}

/* ---- the network -------------------------------------------------------------------------- */

static OclTensor
forward (GemmaVisionSession *base, OclTensor pixels, gint resolution)
{
  Session *s = (Session *) base;

  embed (s, pixels);
  if (!run_layers (s))
    return (OclTensor){ 0 };
  project (s);
  return s->soft;
}

static void
session_clear (GemmaVisionSession *base)
{
  Session *s = (Session *) base;
  OclTensor *const all[] = { &s->state, &s->normed, &s->branch, &s->qkv, &s->ffn, &s->cells, &s->soft };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    ocl_tensor_clear (base->vision->device, all[i]);
}

const GemmaVisionClass gemma_siglip_class = { "SigLIP", "v.patch_embd.weight", gemma_siglip_load, gemma_siglip_free,
  sizeof (Session), session_clear, reserve, forward };
