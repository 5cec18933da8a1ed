/* Parts of Gemma 3n: which layers run, and views of their FFN. */
#include "gemma3n-weights.h"
#include "submodel.h"

static void
clear_layer (Gemma3nSubLayer *l)
{
  g_clear_pointer (&l->gate, ocl_weight_free);
  g_clear_pointer (&l->up, ocl_weight_free);
  if (!l->is_cut)
    return;
  gemma_lm_stack_clear (&l->gate_up);
  g_clear_pointer (&l->ffn_down, ocl_weight_free);
}

/* Names the layer in what the views say. */
static gboolean
explain (const Gemma3n *m, const Gemma3nSubLayer *l, GError **error)
{
  const OclType type = ocl_weight_get_type (m->layers[l->index].ffn_down);
  const gint step = MAX (16, (gint) ocl_type_info (type)->block);
  g_clear_error (error);
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_SETTING,
      "%s: the FFN of layer %d cannot be cut to %d; with weights of %s, widths are multiples of %d up to %d",
      gemma_weights_get_path (m->weights), l->index, l->ffn, ocl_type_info (type)->name, step, m->config.ffn[l->index]);
  return FALSE;
}

/* The first rows of gate and of up, the first columns of down. */
static gboolean
cut_layer (const Gemma3n *m, Gemma3nSubLayer *l, GError **error)
{
  const Gemma3nLayer *whole = &m->layers[l->index];
  const gint F = m->config.ffn[l->index], n_stacks = whole->gate_up.n_parts;
  const OclRange both[] = { { 0, l->ffn }, { F, l->ffn } };
  l->is_cut = l->ffn != F;
  if (!l->is_cut) {
    l->gate_up = whole->gate_up;
    l->ffn_down = whole->ffn_down;
    return TRUE;
  }
  for (gint i = 0; i < n_stacks; i++) {
    const OclWeight *w = whole->gate_up.part[i];
    l->gate_up.part[i] = ocl_weight_view (w, both, n_stacks == 1 ? 2 : 1, ocl_weight_get_cols (w), error);
    if (!l->gate_up.part[i])
      return explain (m, l, error);
    l->gate_up.n_parts++;
  }
  l->ffn_down = ocl_weight_view (whole->ffn_down, &(OclRange){ 0, m->config.hidden }, 1, l->ffn, error);
  return l->ffn_down || explain (m, l, error);
}

/* Apart, up's rows can be left out where the gate is closed. */
static gboolean
split_layer (const Gemma3n *m, Gemma3nSubLayer *l, GError **error)
{
  const GemmaLmStack *both = &m->layers[l->index].gate_up;
  const gint F = m->config.ffn[l->index], last = both->n_parts - 1;
  const OclRange gate = { 0, l->ffn }, up = { last == 0 ? F : 0, l->ffn };
  if (m->config.gemma3n.sparsity[l->index] == 0 || F % 16 != 0 || l->ffn % 16 != 0)
    return TRUE;
  l->gate = ocl_weight_view (both->part[0], &gate, 1, m->config.hidden, error);
  if (l->gate)
    l->up = ocl_weight_view (both->part[last], &up, 1, m->config.hidden, error);
  return l->up != NULL;
}

Gemma3nSubmodel *
gemma3n_submodel_new (const Gemma3n *m, const gint *ffn, GError **error)
{
  const gint L = m->config.n_layers, owned = L - m->config.gemma3n.n_shared_kv;
  Gemma3nSubmodel *self = g_new0 (Gemma3nSubmodel, 1);
  g_autoptr (GError) own_error = NULL;
  gboolean ok = TRUE;
  self->layers = g_new0 (Gemma3nSubLayer, L);
  for (gint i = 0; i < L && ok; i++) {
    if (ffn[i] == 0)
      continue;
    Gemma3nSubLayer *l = &self->layers[self->n_layers++];
    self->n_owned += i < owned;
    l->index = i;
    l->ffn = ffn[i];
    ok = cut_layer (m, l, &own_error) && split_layer (m, l, &own_error);
  }
  if (!ok) {
    g_propagate_error (error, g_steal_pointer (&own_error));
    g_clear_pointer (&self, gemma3n_submodel_free);
  }
  return self;
}

void
gemma3n_submodel_free (Gemma3nSubmodel *self)
{
  for (gint i = 0; i < self->n_layers; i++)
    clear_layer (&self->layers[i]);
  g_free (self->layers);
  g_free (self);
}
