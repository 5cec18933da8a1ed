/* MobileNet-V5's weights. No file says what the network looks like: the names of the tensors tell the blocks, and their
 * shapes all widths, kernels and heads. Each block is checked against the one before it. */
#include "config-private.h"
#include "mobilenet-v5.h"
#include "tensor-loader.h"
#include "weights-private.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STAGES 4    /* more would be dilated in the reference */
#define MAX_BLOCKS 512  /* of a stage */
#define MAX_KERNEL 15

typedef struct
{
  GemmaLoader base;
  GStringChunk *names;
  gint stage, block; /* -1 outside of blocks */
  gint n_done, n_all;
} Loader;

static void G_GNUC_PRINTF (2, 3)
fail (Loader *l, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  if (l->base.error != NULL)
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (&l->base.error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: %s", gemma_weights_get_path (l->base.weights),
      text);
}

/* The full name of a tensor of this block, or of the tower; it lives as long as @l. */
static const gchar *
full (Loader *l, const gchar *what)
{
  g_autofree gchar *name = l->stage < 0 ? g_strdup_printf ("v.%s", what)
                                        : g_strdup_printf ("v.blk.%d.%d.%s", l->stage, l->block, what);

  return g_string_chunk_insert (l->names, name);
}

/* The name that the user's file has. */
static const gchar *
shown (Loader *l, const gchar *name)
{
  g_autofree gchar *hf = gemma_weights_is_gguf (l->base.weights) ? NULL : gemma_name_to_hf (name);

  return hf != NULL ? g_string_chunk_insert (l->names, hf) : name;
}

static gboolean
has (Loader *l, const gchar *what)
{
  return gemma_weights_peek (l->base.weights, full (l, what)) != NULL;
}

/* ---- shapes --------------------------------------------------------------------------- */

/* Outputs of a convolution: the slowest dimension. 0 with an error if the tensor is missing or absurd. */
static gint
outputs (Loader *l, const gchar *what)
{
  const gchar *name = full (l, what);
  const GemmaTensor *t = gemma_weights_peek (l->base.weights, name);
  gint64 n;

  if (t == NULL) {
    if (l->base.error == NULL)
      g_set_error (&l->base.error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: tensor %s is missing",
          gemma_weights_get_path (l->base.weights), shown (l, name));
    return 0;
  }
  n = t->n_dims > 0 ? t->dims[t->n_dims - 1] : 0;
  if (n >= 1 && n <= GEMMA_MAX_WIDTH)
    return n;
  fail (l, "tensor %s has %" G_GINT64_FORMAT " outputs; 1 to %d are allowed", shown (l, name), n, GEMMA_MAX_WIDTH);
  return 0;
}

/* The side of a convolution's kernel; its whole shape is checked when it is read. */
static gint
kernel_side (Loader *l, const gchar *what)
{
  const gchar *name = full (l, what);
  const GemmaTensor *t = gemma_weights_peek (l->base.weights, name);

  if (t != NULL && t->n_dims == 4 && t->dims[0] == t->dims[1] && t->dims[0] % 2 == 1 && t->dims[0] <= MAX_KERNEL)
    return t->dims[0];
  if (t != NULL)
    fail (l, "tensor %s is %" G_GINT64_FORMAT " wide and %" G_GINT64_FORMAT " high; a square kernel of odd size up to %d"
        " is expected", shown (l, name), t->dims[0], t->dims[1], MAX_KERNEL);
  return 1;
}

/* ---- parts ---------------------------------------------------------------------------- */

static OclTensor
row (Loader *l, gint cols, const gchar *what)
{
  return gemma_load_row (&l->base, cols, full (l, what));
}

static OclWeight *
matrix (Loader *l, gint rows, gint cols, const gchar *what)
{
  return gemma_load_matrix (&l->base, rows, cols, full (l, what));
}

/* @conv and @norm, if one of them is there: then both must be. */
static void
load_depthwise (Loader *l, Mnv5Depthwise *d, gint channels, gint stride, const gchar *conv, const gchar *norm)
{
  if (!has (l, conv) && !has (l, norm))
    return;
  d->kernel = kernel_side (l, conv);
  d->stride = stride;
  d->weight = gemma_load_depthwise (&l->base, d->kernel, d->kernel, channels, full (l, conv));
  d->norm = row (l, channels, norm);
}

#define LAYER_SCALE "layer_scale.gamma"

/* A norm's weight times the layer scale that follows it. */
static OclTensor
load_scaled_norm (Loader *l, gint channels, const gchar *norm)
{
  g_autofree gfloat *weight = gemma_load_f32 (&l->base, full (l, norm), 1, channels);
  g_autofree gfloat *scale = has (l, LAYER_SCALE)
      ? gemma_load_f32 (&l->base, full (l, LAYER_SCALE), 1, channels) : NULL;

  for (gint c = 0; weight != NULL && scale != NULL && c < channels; c++)
    weight[c] *= scale[c];
  return gemma_load_to_device (&l->base, 1, channels, weight);
}

/* ---- blocks ---------------------------------------------------------------------------- */

/* All tensors that a block may have: an unknown one would be a part that is not computed. */
static const gchar *const edge_tensors[] = { "conv_exp.weight", "bn1.weight", "conv_pwl.weight", "bn2.weight", NULL };
static const gchar *const inverted_tensors[] = { "dw_start.conv.weight", "dw_start.bn.weight", "pw_exp.conv.weight",
  "pw_exp.bn.weight", "dw_mid.conv.weight", "dw_mid.bn.weight", "pw_proj.conv.weight", "pw_proj.bn.weight", LAYER_SCALE,
  NULL };
static const gchar *const attention_tensors[] = { "norm.weight", "attn.query.proj.weight", "attn.key.down_conv.weight",
  "attn.key.norm.weight", "attn.key.proj.weight", "attn.value.down_conv.weight", "attn.value.norm.weight",
  "attn.value.proj.weight", "attn.output.proj.weight", LAYER_SCALE, NULL };

static void
load_edge (Loader *l, Mnv5Block *b)
{
  b->kernel = kernel_side (l, "conv_exp.weight");
  b->mid = outputs (l, "conv_exp.weight");
  b->out = outputs (l, "conv_pwl.weight");
  if (l->base.error != NULL)
    return;
  b->conv = gemma_load_conv (&l->base, b->kernel, b->kernel, b->in, b->mid, full (l, "conv_exp.weight"));
  b->expand_norm = row (l, b->mid, "bn1.weight");
  b->project = matrix (l, b->out, b->mid, "conv_pwl.weight");
  b->project_norm = row (l, b->out, "bn2.weight");
}

/* The depthwise convolution between takes the stride, else the one before; a block without any has none. */
static void
load_inverted (Loader *l, Mnv5Block *b)
{
  gboolean middle = has (l, "dw_mid.conv.weight"), start = has (l, "dw_start.conv.weight");

  if (!middle && !start)
    b->stride = 1;
  b->mid = outputs (l, "pw_exp.conv.weight");
  b->out = outputs (l, "pw_proj.conv.weight");
  if (l->base.error != NULL)
    return;
  load_depthwise (l, &b->start, b->in, middle ? 1 : b->stride, "dw_start.conv.weight", "dw_start.bn.weight");
  b->expand = matrix (l, b->mid, b->in, "pw_exp.conv.weight");
  b->expand_norm = row (l, b->mid, "pw_exp.bn.weight");
  load_depthwise (l, &b->middle, b->mid, b->stride, "dw_mid.conv.weight", "dw_mid.bn.weight");
  b->project = matrix (l, b->out, b->mid, "pw_proj.conv.weight");
  b->project_norm = load_scaled_norm (l, b->out, "pw_proj.bn.weight");
}

static void
load_attention (Loader *l, Mnv5Block *b)
{
  gint queries = outputs (l, "attn.query.proj.weight");

  b->stride = 1;
  b->key_dim = outputs (l, "attn.key.proj.weight");
  b->value_dim = outputs (l, "attn.value.proj.weight");
  b->out = outputs (l, "attn.output.proj.weight");
  if (l->base.error == NULL && queries % b->key_dim != 0)
    fail (l, "tensor %s has %d outputs, which are no whole heads of %d, as %s makes", shown (l, full (l,
        "attn.query.proj.weight")), queries, b->key_dim, shown (l, full (l, "attn.key.proj.weight")));
  if (l->base.error == NULL && has (l, "attn.key.down_conv.weight") != has (l, "attn.value.down_conv.weight"))
    fail (l, "of the tensors %s and %s only one is there", shown (l, full (l, "attn.key.down_conv.weight")), shown (l,
        full (l, "attn.value.down_conv.weight")));
  if (l->base.error != NULL)
    return;
  b->n_heads = queries / b->key_dim;
  b->norm = row (l, b->in, "norm.weight");
  b->query = matrix (l, queries, b->in, "attn.query.proj.weight");
  load_depthwise (l, &b->key_down, b->in, MNV5_STRIDE, "attn.key.down_conv.weight", "attn.key.norm.weight");
  load_depthwise (l, &b->value_down, b->in, MNV5_STRIDE, "attn.value.down_conv.weight", "attn.value.norm.weight");
  b->key = matrix (l, b->key_dim, b->in, "attn.key.proj.weight");
  b->value = matrix (l, b->value_dim, b->in, "attn.value.proj.weight");
  b->project = matrix (l, b->out, b->n_heads * b->value_dim, "attn.output.proj.weight");
  if (has (l, LAYER_SCALE))
    b->scale = row (l, b->out, LAYER_SCALE);
}

static const struct
{
  Mnv5Kind kind;
  const gchar *tensor; /* that makes a block one of this kind */
  const gchar *const *tensors;
  void (*load) (Loader *l, Mnv5Block *b);
} kinds[] = {
  { MNV5_EDGE, "conv_exp.weight", edge_tensors, load_edge },
  { MNV5_ATTENTION, "attn.query.proj.weight", attention_tensors, load_attention },
  { MNV5_INVERTED, "pw_exp.conv.weight", inverted_tensors, load_inverted }, /* last: what a block is at least */
};

static gint
kind_of (Loader *l)
{
  gint k = 0;

  while (k + 1 < (gint) G_N_ELEMENTS (kinds) && !has (l, kinds[k].tensor))
    k++;
  return k;
}

/* The first block of a stage halves the picture. */
static void
load_block (Loader *l, Mnv5Block *b, gint in)
{
  gint k = kind_of (l);

  b->kind = kinds[k].kind;
  b->in = in;
  b->stride = l->block == 0 ? MNV5_STRIDE : 1;
  kinds[k].load (l, b);
  b->skip = b->stride == 1 && b->in == b->out;
}

/* ---- the tower -------------------------------------------------------------------------- */

/* "v.blk.2.13.norm.weight" is "norm.weight" of stage 2, block 13; NULL for names of another form. */
static const gchar *
parse_block_name (const gchar *name, guint64 *stage, guint64 *block)
{
  static const gchar prefix[] = "v.blk.";
  gchar *end;

  if (!g_str_has_prefix (name, prefix) || !g_ascii_isdigit (name[strlen (prefix)]))
    return NULL;
  *stage = g_ascii_strtoull (name + strlen (prefix), &end, 10);
  if (*end != '.' || !g_ascii_isdigit (end[1]))
    return NULL;
  *block = g_ascii_strtoull (end + 1, &end, 10);
  return *end == '.' ? end + 1 : NULL;
}

/* Stages and blocks by the highest numbers; every number below them must be there, which loading finds out. */
static void
count_blocks (Loader *l, Mnv5 *m)
{
  gint n_blocks[MAX_STAGES] = { 0 };

  for (guint i = 0; i < gemma_weights_get_n_tensors (l->base.weights); i++) {
    const gchar *name = gemma_weights_get_nth (l->base.weights, i)->name;
    guint64 stage, block;

    if (parse_block_name (name, &stage, &block) == NULL)
      continue;
    if (stage >= MAX_STAGES || block >= MAX_BLOCKS) {
      fail (l, "tensor %s is of a stage or block beyond the %d stages of at most %d blocks that are supported",
          shown (l, name), MAX_STAGES, MAX_BLOCKS);
      return;
    }
    m->n_stages = MAX (m->n_stages, (gint) stage + 1);
    n_blocks[stage] = MAX (n_blocks[stage], (gint) block + 1);
  }
  if (m->n_stages < 2)
    fail (l, "the picture encoder has %d stages of blocks (tensors %s0.*); at least 2 are needed", m->n_stages,
        shown (l, "v.blk."));
  m->stages = g_new0 (Mnv5Stage, m->n_stages);
  for (gint s = 0; s < m->n_stages; s++) {
    m->stages[s].n_blocks = MAX (n_blocks[s], 1);       /* an absent stage fails as its first block */
    m->stages[s].blocks = g_new0 (Mnv5Block, m->stages[s].n_blocks);
    l->n_all += m->stages[s].n_blocks;
  }
}

static const gchar *const tower_tensors[] = { "v.conv_stem.conv.weight", "v.conv_stem.conv.bias",
  "v.conv_stem.bn.weight", "v.msfa.ffn.pw_exp.conv.weight", "v.msfa.ffn.pw_exp.bn.weight", "v.msfa.ffn.pw_proj.conv.weight",
  "v.msfa.ffn.pw_proj.bn.weight", "v.msfa.norm.weight", NULL };

static void
refuse_unknown (Loader *l)
{
  for (guint i = 0; i < gemma_weights_get_n_tensors (l->base.weights) && l->base.error == NULL; i++) {
    const gchar *name = gemma_weights_get_nth (l->base.weights, i)->name, *rest;
    guint64 stage, block;
    gboolean known;

    if (!g_str_has_prefix (name, "v."))
      continue;
    rest = parse_block_name (name, &stage, &block);
    if (rest != NULL) {
      l->stage = stage;
      l->block = block;
      known = g_strv_contains (kinds[kind_of (l)].tensors, rest);
    } else {
      known = g_strv_contains (tower_tensors, name);
    }
    if (!known)
      fail (l, "tensor %s belongs to a part that no MobileNet-V5 has: it cannot be computed", shown (l, name));
  }
  l->stage = l->block = -1;
}

static void
load_stages (Loader *l, Mnv5 *m, GemmaProgressFunc progress, gpointer user_data)
{
  const gboolean rounds = l->base.rounds;
  gint channels = m->stem_channels;

  for (l->stage = 0; l->stage < m->n_stages && l->base.error == NULL; l->stage++) {
    Mnv5Stage *stage = &m->stages[l->stage];

    for (l->block = 0; l->block < stage->n_blocks && l->base.error == NULL; l->block++) {
      g_autofree gchar *what = g_strdup_printf ("loading picture layer %d of %d", l->n_done + 1, l->n_all);

      if (progress != NULL)
        progress ((gdouble) l->n_done / l->n_all, what, user_data);
      /* No skip goes around the block that leads into the last stage: rounding it alone would be an eighth of the error of
       * the soft tokens, for 3 % of the products. */
      l->base.rounds = rounds && !(l->stage == m->n_stages - 1 && l->block == 0);
      load_block (l, &stage->blocks[l->block], channels);
      channels = stage->blocks[l->block].out;
      l->n_done++;
    }
  }
  l->stage = l->block = -1;
  l->base.rounds = rounds;
}

static gint
stage_channels (const Mnv5 *m, gint stage)
{
  return m->stages[stage].blocks[m->stages[stage].n_blocks - 1].out;
}

/* What fuses the last two stages, and the embedder. */
static void
load_head (Loader *l, Mnv5 *m)
{
  gint channels;

  m->fusion_mid = outputs (l, "msfa.ffn.pw_exp.conv.weight");
  m->width = outputs (l, "msfa.ffn.pw_proj.conv.weight");
  if (l->base.error != NULL)
    return;
  channels = stage_channels (m, m->n_stages - 2) + stage_channels (m, m->n_stages - 1);
  m->fusion_expand = matrix (l, m->fusion_mid, channels, "msfa.ffn.pw_exp.conv.weight");
  m->fusion_expand_norm = row (l, m->fusion_mid, "msfa.ffn.pw_exp.bn.weight");
  m->fusion_project = matrix (l, m->width, m->fusion_mid, "msfa.ffn.pw_proj.conv.weight");
  m->fusion_project_norm = row (l, m->width, "msfa.ffn.pw_proj.bn.weight");
  m->fusion_norm = row (l, m->width, "msfa.norm.weight");
  m->soft_norm = gemma_load_row (&l->base, m->width, "mm.soft_emb_norm.weight");
  l->base.rounds = FALSE;       /* small, and the last */
  m->projection = gemma_load_matrix (&l->base, m->base.text_hidden, m->width, "mm.input_projection.weight");
}

static void
load_tower (Loader *l, Mnv5 *m, GemmaProgressFunc progress, gpointer user_data)
{
  count_blocks (l, m);
  refuse_unknown (l);
  m->stem_channels = outputs (l, "conv_stem.conv.weight");
  if (l->base.error != NULL)
    return;
  m->stem = gemma_load_conv (&l->base, MNV5_STEM_KERNEL, MNV5_STEM_KERNEL, 3, m->stem_channels,
      full (l, "conv_stem.conv.weight"));
  if (has (l, "conv_stem.conv.bias"))
    m->stem_bias = row (l, m->stem_channels, "conv_stem.conv.bias");
  m->stem_norm = row (l, m->stem_channels, "conv_stem.bn.weight");
  load_stages (l, m, progress, user_data);
  load_head (l, m);
}

GemmaVision *
gemma_mobilenet_v5_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, OclMatmulFlags flags,
    GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  Loader l = { .base = { weights, device, gemma_load_rounds (weights, flags), NULL }, .stage = -1, .block = -1 };
  Mnv5 *m = g_new0 (Mnv5, 1);
  GemmaVision *vision = &m->base;

  m->base = (GemmaVision){ &gemma_mobilenet_v5_class, ocl_device_ref (device), config->text.hidden, .flags = flags };
  l.names = g_string_chunk_new (4096);
  load_tower (&l, m, progress, user_data);
  g_string_chunk_free (l.names);
  if (l.base.error != NULL) {
    g_propagate_error (error, l.base.error);
    g_clear_pointer (&vision, gemma_mobilenet_v5_free);
  }
  return vision;
}

/* ---- the end ----------------------------------------------------------------------------- */

static void
free_block (OclDevice *device, Mnv5Block *b)
{
  OclTensor *tensors[] = { &b->start.weight, &b->start.norm, &b->middle.weight, &b->middle.norm, &b->expand_norm,
    &b->project_norm, &b->norm, &b->scale, &b->key_down.weight, &b->key_down.norm, &b->value_down.weight,
    &b->value_down.norm };
  OclWeight *weights[] = { b->conv, b->expand, b->project, b->query, b->key, b->value };

  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    ocl_tensor_clear (device, tensors[i]);
  for (guint i = 0; i < G_N_ELEMENTS (weights); i++)
    gemma_weight_free (weights[i]);
}

void
gemma_mobilenet_v5_free (GemmaVision *vision)
{
  Mnv5 *m = (Mnv5 *) vision;
  OclTensor *tensors[] = { &m->stem_bias, &m->stem_norm, &m->fusion_expand_norm, &m->fusion_project_norm,
    &m->fusion_norm, &m->soft_norm };
  OclWeight *weights[] = { m->stem, m->fusion_expand, m->fusion_project, m->projection };

  for (gint s = 0; m->stages != NULL && s < m->n_stages; s++) {
    for (gint b = 0; b < m->stages[s].n_blocks; b++)
      free_block (vision->device, &m->stages[s].blocks[b]);
    g_free (m->stages[s].blocks);
  }
  g_free (m->stages);
  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    ocl_tensor_clear (vision->device, tensors[i]);
  for (guint i = 0; i < G_N_ELEMENTS (weights); i++)
    gemma_weight_free (weights[i]);
  ocl_device_unref (vision->device);
  g_free (m);
}
