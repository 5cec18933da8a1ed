/* USM's weights: checked, reordered and packed for the device. */
#include "usm-private.h"

#include "opencl/ops.h"
#include "tensor-loader.h"

#include <math.h>
#include <string.h>

#define KERNEL 3           /* of the subsampling convolutions */
#define FFN 4              /* times hidden */
#define LONGEST_PERIOD 1e4 /* of the relative positions' sinusoids */

typedef struct
{
  GemmaLoader base;
  OclQueue *queue; /* for what is computed once */
  GStringChunk *names;
} Loader;

/* The name of a tensor of block @n, as "a.blk.3.ln1.weight"; it lives as long as @l. */
static const gchar *
block_name (Loader *l, gint n, const gchar *what, const gchar *suffix)
{
  g_autofree gchar *name = g_strdup_printf ("a.blk.%d.%s%s", n, what, suffix);

  return g_string_chunk_insert (l->names, name);
}

static void
load_conv (Loader *l, GemmaUsmConv *conv, gint n)
{
  g_autofree gchar *name = g_strdup_printf ("a.conv1d.%d.weight", n);
  g_autofree gchar *norm = g_strdup_printf ("a.conv1d.%d.norm.weight", n);

  conv->norm = gemma_load_row (&l->base, conv->out_channels, norm);
  conv->weight = gemma_load_conv (&l->base, KERNEL, KERNEL, conv->channels, conv->out_channels, name);
}

/* All of a query's constant factors: head_dim^-0.5 * softplus (scale) / softplus (0). */
static OclTensor
load_q_scale (Loader *l, gint head_dim, const gchar *name)
{
  g_autofree gfloat *data = gemma_load_f32 (&l->base, name, 1, head_dim);

  for (gint i = 0; data != NULL && i < head_dim; i++) {
    gdouble softplus = MAX (data[i], 0.) + log1p (exp (-fabs (data[i])));

    data[i] = softplus / G_LN2 / sqrt (head_dim);
  }
  return gemma_load_to_device (&l->base, 1, head_dim, data);
}

/* Row d: the sinusoid of distance d through linear_pos. */
static OclTensor
load_relative (Loader *l, const GemmaAudioConfig *c, const gchar *name)
{
  gint hidden = c->hidden, half = hidden / 2;
  g_autofree gfloat *data = g_new (gfloat, (gsize) (c->left + 1) * hidden);
  OclWeight *linear = gemma_load_matrix (&l->base, hidden, hidden, name);
  OclTensor sinusoid, relative = { 0 };

  for (gint d = 0; d <= c->left; d++)
    for (gint k = 0; k < half; k++) {
      gdouble phase = d * exp (-k * log (LONGEST_PERIOD) / MAX (half - 1, 1));

      data[(gsize) d * hidden + k] = sin (phase);
      data[(gsize) d * hidden + half + k] = cos (phase);
    }
  sinusoid = gemma_load_to_device (&l->base, c->left + 1, hidden, data);
  if (l->base.error == NULL)
    relative = ocl_tensor_new (l->base.device, c->left + 1, hidden, &l->base.error);
  if (l->base.error == NULL) {
    ocl_matmul (l->queue, relative, sinusoid, linear, OCL_MATMUL_F32_ACTIVATIONS);
    ocl_queue_finish (l->queue, &l->base.error);
  }
  ocl_tensor_clear (l->base.device, &sinusoid);
  if (linear != NULL)
    ocl_weight_free (linear);
  return relative;
}

/* @end: "" for the first half-step of a block, "_1" for the second. */
static void
load_feed_forward (Loader *l, GemmaUsmFeedForward *f, gint hidden, gint n, const gchar *end)
{
  g_autofree gchar *suffix = g_strconcat (end, ".weight", NULL);

  f->pre_norm = gemma_load_row (&l->base, hidden, block_name (l, n, "ffn_norm", suffix));
  f->post_norm = gemma_load_row (&l->base, hidden, block_name (l, n, "ffn_post_norm", suffix));
  f->up = gemma_load_matrix (&l->base, FFN * hidden, hidden, block_name (l, n, "ffn_up", suffix));
  f->down = gemma_load_matrix (&l->base, hidden, FFN * hidden, block_name (l, n, "ffn_down", suffix));
}

static void
load_block (Loader *l, GemmaUsmBlock *b, const GemmaAudioConfig *c, gint n)
{
  gint hidden = c->hidden;
  const gchar *w = ".weight";
  const gboolean rounds = gemma_weights_rounds_encoders (l->base.weights);
  const gchar *qkv[] = { block_name (l, n, "attn_q", w), block_name (l, n, "attn_k", w),
    block_name (l, n, "attn_v", w) };

  b->attention.relative = load_relative (l, c, block_name (l, n, "linear_pos", w));
  l->base.rounds = rounds;
  load_feed_forward (l, &b->start, hidden, n, "");
  b->attention.pre_norm = gemma_load_row (&l->base, hidden, block_name (l, n, "ln1", w));
  b->attention.qkv = gemma_load_stack (&l->base, hidden, hidden, qkv, 3);
  b->attention.q_scale = load_q_scale (l, hidden / c->n_heads, block_name (l, n, "per_dim_scale", ""));
  b->attention.out = gemma_load_matrix (&l->base, hidden, hidden, block_name (l, n, "attn_out", w));
  b->attention.post_norm = gemma_load_row (&l->base, hidden, block_name (l, n, "ln2", w));
  b->conv.pre_norm = gemma_load_row (&l->base, hidden, block_name (l, n, "conv_norm", w));
  b->conv.start = gemma_load_matrix (&l->base, 2 * hidden, hidden, block_name (l, n, "conv_pw1", w));
  b->conv.depthwise = gemma_load_depthwise (&l->base, 1, c->conv_kernel, hidden, block_name (l, n, "conv_dw", w));
  b->conv.conv_norm = gemma_load_row (&l->base, hidden, block_name (l, n, "norm_conv", w));
  b->conv.end = gemma_load_matrix (&l->base, hidden, hidden, block_name (l, n, "conv_pw2", w));
  load_feed_forward (l, &b->end, hidden, n, "_1");
  l->base.rounds = FALSE;
  b->norm = gemma_load_row (&l->base, hidden, block_name (l, n, "layer_pre_norm", w));
}

/* What is left of the files when the soft tokens come from elsewhere. All hard embeddings at once: they are few. */
static void
load_embedder (Loader *l, GemmaUsm *usm)
{
  gint n = usm->config.vocab_size, hidden = usm->config.hidden;
  OclTensor norm = gemma_load_row (&l->base, hidden, "mm.a.hard_emb_norm.weight");
  g_autofree gfloat *table = gemma_load_f32 (&l->base, "mm.a.embedding.weight", n, hidden);
  OclTensor x = gemma_load_to_device (&l->base, n, hidden, table), y = { 0 };
  OclRmsNorm hard = OCL_RMS_NORM_INIT (norm, usm->config.rms_eps);
  OclRmsNorm plain = OCL_RMS_NORM_INIT ((OclTensor){ 0 }, usm->config.rms_eps);

  usm->soft_norm = gemma_load_row (&l->base, hidden, "mm.a.soft_emb_norm.weight");
  usm->projection = gemma_load_matrix (&l->base, usm->text_hidden, hidden, "mm.a.input_projection.weight");
  if (l->base.error == NULL)
    y = ocl_tensor_new (l->base.device, n, usm->text_hidden, &l->base.error);
  if (l->base.error == NULL) {
    usm->hard = g_new (gfloat, (gsize) n * usm->text_hidden);
    ocl_rms_norm (l->queue, x, x, &hard);
    ocl_matmul (l->queue, y, x, usm->projection, OCL_MATMUL_F32_ACTIVATIONS);
    ocl_rms_norm (l->queue, y, y, &plain);
    ocl_tensor_read (l->queue, y, usm->hard);
    ocl_queue_finish (l->queue, &l->base.error);
  }
  ocl_tensor_clear (l->base.device, &x);
  ocl_tensor_clear (l->base.device, &y);
  ocl_tensor_clear (l->base.device, &norm);
}

static void
load_tower (Loader *l, GemmaUsm *usm, GemmaProgressFunc progress, gpointer user_data)
{
  const GemmaAudioConfig *c = &usm->config;
  gint width = c->n_mels, channels = 1;

  for (gint i = 0; i < 2; i++) {
    GemmaUsmConv *conv = &usm->conv[i];

    conv->width = width;
    conv->channels = channels;
    width = conv->out_width = (width - 1) / 2 + 1; /* a pad of 1 on both sides */
    channels = conv->out_channels = c->conv_channels[i];
    load_conv (l, conv, i);
  }
  usm->input = gemma_load_matrix (&l->base, c->hidden, width * channels, "a.pre_encode.out.weight");
  usm->blocks = g_new0 (GemmaUsmBlock, c->n_layers);
  for (gint i = 0; i < c->n_layers && l->base.error == NULL; i++) {
    g_autofree gchar *what = g_strdup_printf ("loading audio layer %d of %d", i + 1, c->n_layers);

    if (progress != NULL)
      progress ((gdouble) i / c->n_layers, what, user_data);
    load_block (l, &usm->blocks[i], c, i);
  }
}

static gboolean
check_config (const GemmaConfig *config, GemmaWeights *weights, GError **error)
{
  const GemmaAudioConfig *c = &config->audio;

  if (config->has_audio && c->hidden > 0 && c->n_layers > 0 && c->n_heads > 0 && c->hidden % c->n_heads == 0 &&
      c->n_mels > 0 && c->conv_channels[0] > 0 && c->conv_channels[1] > 0 && c->left >= 0 && c->reduction > 0 &&
      c->reduction <= 16 && c->conv_kernel > 0 && c->vocab_size > 0 && config->text.hidden > 0)
    return TRUE;
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: %s", gemma_weights_get_path (weights),
      config->has_audio
          ? "the audio encoder's configuration is inconsistent (sizes must be positive, heads must divide hidden)"
          : "the model has no audio encoder");
  return FALSE;
}

static GemmaUsm *
load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, OclMatmulFlags flags, gboolean tower,
    GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  Loader l = { .base = { weights, device, FALSE, NULL } };
  GemmaUsm *usm;

  if (!check_config (config, weights, error))
    return NULL;
  l.queue = ocl_queue_new (device, error);
  if (l.queue == NULL)
    return NULL;
  l.names = g_string_chunk_new (1024);

  usm = g_new0 (GemmaUsm, 1);
  usm->device = ocl_device_ref (device);
  usm->config = config->audio;
  usm->text_hidden = config->text.hidden;
  usm->flags = flags;
  if (tower)
    load_tower (&l, usm, progress, user_data);
  load_embedder (&l, usm);
  g_string_chunk_free (l.names);
  ocl_queue_free (l.queue);

  if (l.base.error != NULL) {
    g_propagate_error (error, l.base.error);
    g_clear_pointer (&usm, gemma_usm_free);
  }
  return usm;
}

GemmaUsm *
gemma_usm_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, OclMatmulFlags flags,
    GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  return load (weights, config, device, flags, TRUE, progress, user_data, error);
}

GemmaUsm *
gemma_usm_load_embedder (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, GError **error)
{
  return load (weights, config, device, OCL_MATMUL_F32_ACTIVATIONS, FALSE, NULL, NULL, error);
}

static void
free_feed_forward (OclDevice *device, GemmaUsmFeedForward *f)
{
  ocl_tensor_clear (device, &f->pre_norm);
  ocl_tensor_clear (device, &f->post_norm);
  gemma_weight_free (f->up);
  gemma_weight_free (f->down);
}

static void
free_block (OclDevice *device, GemmaUsmBlock *b)
{
  free_feed_forward (device, &b->start);
  free_feed_forward (device, &b->end);
  ocl_tensor_clear (device, &b->attention.pre_norm);
  ocl_tensor_clear (device, &b->attention.post_norm);
  ocl_tensor_clear (device, &b->attention.q_scale);
  ocl_tensor_clear (device, &b->attention.relative);
  gemma_weight_free (b->attention.qkv);
  gemma_weight_free (b->attention.out);
  ocl_tensor_clear (device, &b->conv.pre_norm);
  ocl_tensor_clear (device, &b->conv.conv_norm);
  ocl_tensor_clear (device, &b->conv.depthwise);
  gemma_weight_free (b->conv.start);
  gemma_weight_free (b->conv.end);
  ocl_tensor_clear (device, &b->norm);
}

void
gemma_usm_free (GemmaUsm *usm)
{
  if (usm == NULL)
    return;
  for (gint i = 0; i < 2; i++) {
    gemma_weight_free (usm->conv[i].weight);
    ocl_tensor_clear (usm->device, &usm->conv[i].norm);
  }
  gemma_weight_free (usm->input);
  for (gint i = 0; usm->blocks != NULL && i < usm->config.n_layers; i++)
    free_block (usm->device, &usm->blocks[i]);
  g_free (usm->blocks);
  ocl_tensor_clear (usm->device, &usm->soft_norm);
  gemma_weight_free (usm->projection);
  g_free (usm->hard);
  ocl_device_unref (usm->device);
  g_free (usm);
}

gboolean
gemma_usm_hard_embedding (GemmaUsm *usm, gint id, gfloat *row, GError **error)
{
  gint first = usm->config.vocab_offset, n = usm->config.vocab_size;

  if (id < first || id - first >= n) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "id %d is not one of the audio encoder's: %d to %d", id,
        first, first + n - 1);
    return FALSE;
  }
  memcpy (row, usm->hard + (gsize) (id - first) * usm->text_hidden, usm->text_hidden * sizeof (gfloat));
  return TRUE;
}
