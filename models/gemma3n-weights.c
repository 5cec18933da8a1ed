#include "gemma3n-weights.h"
#include "submodel.h"

/* The loader and the model that it fills. */
typedef struct
{
  GemmaLmLoader base;
  Gemma3n *model;
} Loader;

static OclTensor
load_tensor (Loader *ld, const gchar *name, gint rows, gint cols)
{
  return gemma_lm_load_tensor (&ld->base, name, rows, cols);
}

static OclWeight *
load_weight (Loader *ld, const gchar *name, gint rows, gint cols)
{
  return gemma_lm_load_weight (&ld->base, name, rows, cols);
}

static void
load_attention (Loader *ld, Gemma3nLayer *l)
{
  const GemmaTextConfig *c = &ld->model->config;
  static const gchar *const names[] = { "attn_q", "attn_k", "attn_v" };
  gint kv = c->n_kv_heads * c->head_dim, rows[] = { c->n_heads * c->head_dim, kv, kv };
  gboolean own = l->kv_layer == ld->base.layer;

  l->attn_norm = load_tensor (ld, "attn_norm", 1, c->hidden);
  l->qkv = gemma_lm_load_stack (&ld->base, own ? 3 : 1, names, rows, c->hidden);
  l->q_norm = load_tensor (ld, "attn_q_norm", 1, c->head_dim);
  if (own)
    l->k_norm = load_tensor (ld, "attn_k_norm", 1, c->head_dim);
  l->attn_out = load_weight (ld, "attn_output", c->hidden, rows[0]);
  l->post_attn_norm = load_tensor (ld, "post_attention_norm", 1, c->hidden);
}

#define FEW_OPEN 1.f /* deviations above the mean: a sixth is open; of more, computing just that would take longer */

/* Behind a sparse gate few rows of up and few columns of down are needed. Where up would begin in the middle of a panel, a
 * part of it could not be a view. */
static void
load_ffn (Loader *ld, Gemma3nLayer *l)
{
  const GemmaTextConfig *c = &ld->model->config;
  const gint C = c->hidden, F = c->ffn[ld->base.layer];
  const gboolean sparse = c->gemma3n.sparsity[ld->base.layer] >= FEW_OPEN;
  static const gchar *const gate_up[] = { "ffn_gate", "ffn_up" };

  if (sparse || F % 16 != 0) {
    l->gate_up.part[l->gate_up.n_parts++] = load_weight (ld, "ffn_gate", F, C);
    l->gate_up.part[l->gate_up.n_parts++] =
        gemma_lm_load_sparse (&ld->base, "ffn_up", F, C, sparse ? OCL_LAYOUT_ROWS : OCL_LAYOUT_PANELS);
  } else {
    l->gate_up = gemma_lm_load_stack (&ld->base, 2, gate_up, (gint[]){ F, F }, C);
  }
  l->ffn_down = gemma_lm_load_sparse (&ld->base, "ffn_down", C, F, sparse ? OCL_LAYOUT_COLUMNS : OCL_LAYOUT_PANELS);
}

static void
load_layer (Loader *ld, Gemma3nLayer *l)
{
  const GemmaTextConfig *c = &ld->model->config;
  gint C = c->hidden, S = c->gemma3n.n_altup;

  l->kv_layer = gemma_text_config_kv_layer (c, ld->base.layer);
  if (l->kv_layer < 0) {
    g_set_error (ld->base.error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: layer %d shares K and V, but no earlier layer is %s like it", gemma_weights_get_path (ld->model->weights),
        ld->base.layer, c->sliding[ld->base.layer] ? "sliding" : "full");
    ld->base.failed = TRUE;
    return;
  }
  l->altup.n_streams = S;
  l->altup.eps = c->rms_eps;
  l->altup.router_norm = load_tensor (ld, "altup_router_norm", 1, C);
  l->altup.router = load_tensor (ld, "altup_router", S, C);
  l->altup.predict = load_tensor (ld, "altup_predict_coef", S * S, S);
  l->altup.correct = load_tensor (ld, "altup_correct_coef", S, S);
  l->correct_scale = load_tensor (ld, "altup_correct_scale", 1, C);
  load_attention (ld, l);
  l->laurel_l = load_weight (ld, "laurel_l", c->gemma3n.laurel_rank, C);
  l->laurel_r = load_weight (ld, "laurel_r", C, c->gemma3n.laurel_rank);
  l->laurel_norm = load_tensor (ld, "laurel_post_norm", 1, C);
  l->ffn_norm = load_tensor (ld, "ffn_norm", 1, C);
  load_ffn (ld, l);
  l->post_ffn_norm = load_tensor (ld, "post_ffw_norm", 1, C);
  l->ple_gate = load_weight (ld, "inp_gate", c->gemma3n.ple_dim, C);
  l->ple_proj = load_weight (ld, "proj", C, c->gemma3n.ple_dim);
  l->post_ple_norm = load_tensor (ld, "post_norm", 1, C);
}

static void
load_outside_layers (Loader *ld)
{
  Gemma3n *m = ld->model;
  const GemmaTextConfig *c = &m->config;
  m->token_table = gemma_weights_find (m->weights, "token_embd.weight", ld->base.error, 2, c->hidden, c->vocab_size);
  if (m->token_table)
    m->ple_table = gemma_weights_find (
        m->weights, "per_layer_token_embd.weight", ld->base.error, 2, c->n_layers * c->gemma3n.ple_dim, -1);
  ld->base.failed = !m->ple_table;
  if (m->ple_table && m->ple_table->dims[1] < c->first_soft_id) {
    g_set_error (ld->base.error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: per_layer_token_embd.weight has %" G_GINT64_FORMAT " rows; at least %d are needed",
        gemma_weights_get_path (m->weights), m->ple_table->dims[1], c->first_soft_id);
    ld->base.failed = TRUE;
  }
  m->head = load_weight (ld, "token_embd", c->vocab_size, c->hidden);
  m->ple_model_proj = load_weight (ld, "per_layer_model_proj", c->n_layers * c->gemma3n.ple_dim, c->hidden);
  m->ple_norm = load_tensor (ld, "per_layer_proj_norm", 1, c->gemma3n.ple_dim);
  m->out_norm = load_tensor (ld, "output_norm", 1, c->hidden);
  for (gint i = 0; i < c->gemma3n.n_altup - 1; i++) {
    g_autofree gchar *proj = g_strdup_printf ("altup_proj.%d", i);
    g_autofree gchar *unembed = g_strdup_printf ("altup_unembd_proj.%d", i);
    m->altup_proj[i] = load_weight (ld, proj, c->hidden, c->hidden);
    m->altup_unembed[i] = load_weight (ld, unembed, c->hidden, c->hidden);
  }
}

/* What the code here relies on, whoever made the configuration. */
static gboolean
check_config (GemmaWeights *weights, const GemmaTextConfig *c, GError **error)
{
  gint n_altup = c->gemma3n.n_altup, n_shared_kv = c->gemma3n.n_shared_kv;
  if (n_altup >= 1 && n_altup <= GEMMA3N_MAX_STREAMS && c->n_layers >= 1 && n_shared_kv >= 0 &&
      n_shared_kv < c->n_layers && c->n_kv_heads >= 1 && c->n_heads % c->n_kv_heads == 0 && c->head_dim >= 2 &&
      c->head_dim % 2 == 0 && c->window >= 1)
    return TRUE;
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED,
      "%s: %d AltUp streams (1 to %d), %d layers of which %d share K and V, %d heads on %d KV heads of %d, window %d",
      gemma_weights_get_path (weights), n_altup, GEMMA3N_MAX_STREAMS, c->n_layers, n_shared_kv, c->n_heads, c->n_kv_heads,
      c->head_dim, c->window);
  return FALSE;
}

Gemma3n *
gemma3n_weights_load (GemmaWeights *weights, const GemmaTextConfig *config, OclDevice *device,
    GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  if (!check_config (weights, config, error))
    return NULL;
  Gemma3n *m = g_new0 (Gemma3n, 1);
  GemmaTextConfig *c = &m->config;
  gemma_text_config_copy (c, config);
  m->device = ocl_device_ref (device);
  m->weights = gemma_weights_ref (weights);
  m->layers = g_new0 (Gemma3nLayer, c->n_layers);

  Loader ld = { { m->weights, m->device, -1, 0, FALSE, error }, m };
  load_outside_layers (&ld);
  for (gint i = 0; i < c->n_layers && !ld.base.failed; i++) {
    g_autofree gchar *what = g_strdup_printf ("loading layer %d of %d", i + 1, c->n_layers);
    if (progress)
      progress ((i + 1.) / (c->n_layers + 1.), what, user_data);
    ld.base.layer = i;
    load_layer (&ld, &m->layers[i]);
  }
  if (!ld.base.failed)
    m->full = gemma3n_submodel_new (m, c->ffn, error);
  if (!m->full)
    g_clear_pointer (&m, gemma3n_weights_free);
  return m;
}

static void
free_layer (OclDevice *device, Gemma3nLayer *l)
{
  OclTensor *tensors[] = { &l->altup.router_norm, &l->altup.router, &l->altup.predict, &l->altup.correct,
    &l->correct_scale, &l->attn_norm, &l->laurel_norm, &l->post_attn_norm, &l->ffn_norm, &l->post_ffn_norm,
    &l->post_ple_norm, &l->q_norm, &l->k_norm };
  OclWeight *weights[] = { l->laurel_l, l->laurel_r, l->attn_out, l->ffn_down, l->ple_gate, l->ple_proj };
  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    ocl_tensor_clear (device, tensors[i]);
  for (guint i = 0; i < G_N_ELEMENTS (weights); i++)
    g_clear_pointer (&weights[i], ocl_weight_free);
  gemma_lm_stack_clear (&l->qkv);
  gemma_lm_stack_clear (&l->gate_up);
}

void
gemma3n_weights_free (Gemma3n *m)
{
  g_clear_pointer (&m->full, gemma3n_submodel_free);
  for (gint i = 0; i < m->config.n_layers; i++)
    free_layer (m->device, &m->layers[i]);
  for (gint i = 0; i < GEMMA3N_MAX_STREAMS; i++) {
    g_clear_pointer (&m->altup_proj[i], ocl_weight_free);
    g_clear_pointer (&m->altup_unembed[i], ocl_weight_free);
  }
  g_clear_pointer (&m->head, ocl_weight_free);
  g_clear_pointer (&m->ple_model_proj, ocl_weight_free);
  ocl_tensor_clear (m->device, &m->ple_norm);
  ocl_tensor_clear (m->device, &m->out_norm);
  g_free (m->layers);
  gemma_text_config_clear (&m->config);
  gemma_weights_unref (m->weights);
  ocl_device_unref (m->device);
  g_free (m);
}
