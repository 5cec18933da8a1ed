/* SigLIP's weights, whose shapes the configuration tells. */
#include "siglip.h"
#include "tensor-loader.h"

typedef struct
{
  GemmaLoader base;
  GStringChunk *names;
  gint layer; /* -1 outside of layers */
} Loader;

/* The full name of a tensor of this layer, or of the tower; it lives as long as @l. */
static const gchar *
full (Loader *l, const gchar *what, const gchar *kind)
{
  g_autofree gchar *name = l->layer < 0 ? g_strdup_printf ("v.%s.%s", what, kind)
                                        : g_strdup_printf ("v.blk.%d.%s.%s", l->layer, what, kind);

  return g_string_chunk_insert (l->names, name);
}

/* ---- parts -------------------------------------------------------------------------------- */

static OclTensor
load_bias (Loader *l, gint n, const gchar *what)
{
  return gemma_load_row (&l->base, n, full (l, what, "bias"));
}

static SiglipNorm
load_norm (Loader *l, gint n, const gchar *what)
{
  OclTensor weight = gemma_load_row (&l->base, n, full (l, what, "weight"));

  return (SiglipNorm){ weight, load_bias (l, n, what) };
}

static SiglipLinear
load_linear (Loader *l, gint out, gint in, const gchar *what)
{
  OclWeight *weight = gemma_load_matrix (&l->base, out, in, full (l, what, "weight"));

  return (SiglipLinear){ weight, load_bias (l, out, what) };
}

/* Queries, keys and values, one below the other. */
static SiglipLinear
load_qkv (Loader *l, gint width)
{
  static const gchar *const whats[] = { "attn_q", "attn_k", "attn_v" };
  g_autofree gfloat *all = g_new (gfloat, 3 * (gsize) width);
  const gchar *names[3];
  SiglipLinear qkv = { NULL };

  for (guint i = 0; i < G_N_ELEMENTS (whats); i++) {
    g_autofree gfloat *bias = gemma_load_f32 (&l->base, full (l, whats[i], "bias"), 1, width);

    names[i] = full (l, whats[i], "weight");
    for (gint c = 0; bias != NULL && c < width; c++)
      all[i * width + c] = bias[c];
  }
  qkv.weight = gemma_load_stack (&l->base, width, width, names, G_N_ELEMENTS (names));
  qkv.bias = gemma_load_to_device (&l->base, 1, 3 * width, all);
  return qkv;
}

/* Older converters took the FFN's halves for each other: what reads the width is the first, whatever its name. */
static gboolean
is_ffn_swapped (Loader *l, const GemmaSiglipConfig *c)
{
  const GemmaTensor *down = gemma_weights_peek (l->base.weights, full (l, "ffn_down", "weight"));

  return down != NULL && c->ffn != c->hidden && down->dims[0] == c->hidden;
}

static void
load_layer (Loader *l, const GemmaSiglipConfig *c, SiglipLayer *layer)
{
  gboolean swapped = is_ffn_swapped (l, c);

  layer->attn_norm = load_norm (l, c->hidden, "ln1");
  layer->qkv = load_qkv (l, c->hidden);
  layer->attn_out = load_linear (l, c->hidden, c->hidden, "attn_out");
  layer->ffn_norm = load_norm (l, c->hidden, "ln2");
  layer->up = load_linear (l, c->ffn, c->hidden, swapped ? "ffn_down" : "ffn_up");
  layer->down = load_linear (l, c->hidden, c->ffn, swapped ? "ffn_up" : "ffn_down");
}

/* W ((x - mean) / deviation) + b = (W / deviation) x + (b - W (mean / deviation)): no border is padded, so it holds for
 * every patch, and pixels come as for other networks. */
static SiglipLinear
load_patch (Loader *l, const GemmaSiglipConfig *c)
{
  gint taps = c->patch_size * c->patch_size, cols = 3 * taps;
  const gchar *name = full (l, "patch_embd", "weight");
  g_autofree gfloat *bias = gemma_load_f32 (&l->base, full (l, "patch_embd", "bias"), 1, c->hidden);
  g_autofree gfloat *file = NULL;
  SiglipLinear patch = { NULL };

  if (bias != NULL)
    file = gemma_load_kernel (&l->base, c->patch_size, c->patch_size, 3, c->hidden, name);
  for (gint o = 0; file != NULL && o < c->hidden; o++) {
    gfloat *row = file + (gsize) o * cols;
    gdouble sum = 0;

    for (gint i = 0; i < cols; i++) {
      sum += (gdouble) row[i] * c->mean[i % 3] / c->std[i % 3];
      row[i] /= c->std[i % 3];
    }
    bias[o] -= sum;
  }
  if (file != NULL) {
    OclMatrix matrix = { OCL_TYPE_F32, c->hidden, cols, file };

    patch.weight = ocl_weight_new (l->base.device, &matrix, 1, &l->base.error);
  }
  patch.bias = gemma_load_to_device (&l->base, 1, c->hidden, bias);
  return patch;
}

/* ---- the embedder ------------------------------------------------------------------------- */

/* Multiplies by 1 + w; GGUF has the sum. */
static OclTensor
load_soft_norm (Loader *l, gint n)
{
  g_autofree gfloat *weight = gemma_load_f32 (&l->base, "mm.soft_emb_norm.weight", 1, n);

  for (gint i = 0; weight != NULL && !gemma_weights_is_gguf (l->base.weights) && i < n; i++)
    weight[i] += 1;
  return gemma_load_to_device (&l->base, 1, n, weight);
}

/* Files have it as [inputs][outputs]. */
static OclWeight *
load_projection (Loader *l, gint in, gint out)
{
  g_autofree gfloat *file = gemma_load_f32 (&l->base, "mm.input_projection.weight", in, out), *turned = NULL;
  OclMatrix matrix;

  if (file == NULL)
    return NULL;
  turned = g_new (gfloat, (gsize) in * out);
  for (gint i = 0; i < in; i++)
    for (gint o = 0; o < out; o++)
      turned[(gsize) o * in + i] = file[(gsize) i * out + o];
  matrix = (OclMatrix){ OCL_TYPE_F32, out, in, turned };
  return ocl_weight_new (l->base.device, &matrix, 1, &l->base.error);
}

/* ---- the tower ---------------------------------------------------------------------------- */

static void
load_tower (Loader *l, Siglip *m, GemmaProgressFunc progress, gpointer user_data)
{
  const GemmaSiglipConfig *c = &m->config;
  gint grid = c->image_size / c->patch_size;

  m->patch = load_patch (l, c);
  if (l->base.error == NULL) {
    g_autofree gfloat *positions = gemma_load_f32 (&l->base, "v.position_embd.weight", grid * grid, c->hidden);

    m->positions = gemma_load_to_device (&l->base, grid * grid, c->hidden, positions);
  }
  for (l->layer = 0; l->layer < c->n_layers && l->base.error == NULL; l->layer++) {
    g_autofree gchar *what = g_strdup_printf ("loading picture layer %d of %d", l->layer + 1, c->n_layers);

    if (progress != NULL)
      progress ((gdouble) l->layer / c->n_layers, what, user_data);
    load_layer (l, c, &m->layers[l->layer]);
  }
  l->layer = -1;
  m->out_norm = load_norm (l, c->hidden, "post_ln");
  m->soft_norm = load_soft_norm (l, c->hidden);
  m->projection = load_projection (l, c->hidden, m->base.text_hidden);
}

GemmaVision *
gemma_siglip_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, OclMatmulFlags flags,
    GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  Loader l = { .base = { weights, device, gemma_load_rounds (weights, flags), NULL }, .layer = -1 };
  Siglip *m = g_new0 (Siglip, 1);
  GemmaVision *vision = &m->base;

  m->config = config->siglip;
  m->base = (GemmaVision){ &gemma_siglip_class, ocl_device_ref (device), config->text.hidden, m->config.image_size,
    flags };
  m->layers = g_new0 (SiglipLayer, m->config.n_layers);
  l.names = g_string_chunk_new (4096);
  load_tower (&l, m, progress, user_data);
  g_string_chunk_free (l.names);
  if (l.base.error != NULL) {
    g_propagate_error (error, l.base.error);
    g_clear_pointer (&vision, gemma_siglip_free);
  }
  return vision;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void
clear_norm (OclDevice *device, SiglipNorm *norm)
{
  ocl_tensor_clear (device, &norm->weight);
  ocl_tensor_clear (device, &norm->bias);
}

static void
clear_linear (OclDevice *device, SiglipLinear *linear)
{
  gemma_weight_free (linear->weight);
  ocl_tensor_clear (device, &linear->bias);
}

void
gemma_siglip_free (GemmaVision *vision)
{
  Siglip *m = (Siglip *) vision;
  OclDevice *device = vision->device;

  for (gint i = 0; i < m->config.n_layers; i++) {
    SiglipLayer *layer = &m->layers[i];

    clear_norm (device, &layer->attn_norm);
    clear_norm (device, &layer->ffn_norm);
    clear_linear (device, &layer->qkv);
    clear_linear (device, &layer->attn_out);
    clear_linear (device, &layer->up);
    clear_linear (device, &layer->down);
  }
  g_free (m->layers);
  clear_linear (device, &m->patch);
  ocl_tensor_clear (device, &m->positions);
  clear_norm (device, &m->out_norm);
  ocl_tensor_clear (device, &m->soft_norm);
  gemma_weight_free (m->projection);
  ocl_device_unref (device);
  g_free (m);
}
