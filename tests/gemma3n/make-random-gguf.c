/* make-random-gguf small|e2b TYPE OUT.gguf: a model of real shapes with random weights, for benches (gemma-eval
 * --model OUT.gguf --bench). TYPE is f16, bf16, a quantized one, or mixed (as llama-quantize's Q4_K_M). What it says is
 * noise; how fast it says it is not. */
#include <stdio.h>
#include <string.h>

#include "gguf-writer.h"

static void
set_e2b (GemmaTextConfig *c)
{
  *c = (GemmaTextConfig){ .hidden = 2048,
    .n_layers = 30,
    .n_heads = 8,
    .n_kv_heads = 2,
    .head_dim = 256,
    .n_shared_kv = 10,
    .ple_dim = 256,
    .laurel_rank = 64,
    .n_altup = 4,
    .window = 512,
    .context_length = 32768,
    .vocab_size = 262400,
    .first_soft_id = 262144,
    .rms_eps = 1e-6f,
    .rope_base = 1e6f,
    .rope_base_local = 1e4f,
    .logit_softcap = 30.f };
}

static void
set_small (GemmaTextConfig *c)
{
  set_e2b (c);
  c->hidden = 256;
  c->n_layers = 25;
  c->n_heads = 4;
  c->head_dim = 64;
  c->n_shared_kv = 5;
  c->window = 64;
  c->vocab_size = 4096;
  c->first_soft_id = 3968;
}

static void
set_layers (GemmaTextConfig *c, gint ffn)
{
  c->ffn = g_new (gint, c->n_layers);
  c->sparsity = g_new (gfloat, c->n_layers);
  c->sliding = g_new (gboolean, c->n_layers);
  for (gint i = 0; i < c->n_layers; i++) {
    c->ffn[i] = ffn;
    c->sparsity[i] = i < 10 ? 1.6448536f : 0.f;
    c->sliding[i] = (i + 1) % 5 != 0;
  }
}

typedef struct
{
  const gchar *name;
  gint cols, rows, slices;
} Shape;

static void
add (GPtrArray *list, const Shape *s, gint layer, OclType type)
{
  g_autofree gchar *name =
      layer < 0 ? g_strdup_printf ("%s.weight", s->name) : g_strdup_printf ("blk.%d.%s.weight", layer, s->name);
  gboolean vector = s->rows == 1 || strstr (s->name, "_coef"), plain = type == OCL_TYPE_BF16 || type == OCL_TYPE_F16;
  OclType own = plain ? type : gguf_type_of (s->name, s->cols, type);
  gguf_list_add (list, name, vector ? OCL_TYPE_F32 : own, s->cols, s->rows, s->slices);
}

static void
add_layer (GPtrArray *list, const GemmaTextConfig *c, gint layer, OclType type)
{
  gint C = c->hidden, D = c->head_dim, S = c->n_altup, F = c->ffn[layer];
  const Shape shapes[] = {
    { "altup_correct_scale", C, 1, 1 },
    { "altup_correct_coef", S, S, 1 },
    { "altup_router", C, S, 1 },
    { "altup_predict_coef", S, S * S, 1 },
    { "altup_router_norm", C, 1, 1 },
    { "attn_norm", C, 1, 1 },
    { "laurel_l", C, c->laurel_rank, 1 },
    { "laurel_r", c->laurel_rank, C, 1 },
    { "laurel_post_norm", C, 1, 1 },
    { "ffn_down", F, C, 1 },
    { "ffn_gate", C, F, 1 },
    { "ffn_up", C, F, 1 },
    { "inp_gate", C, c->ple_dim, 1 },
    { "proj", c->ple_dim, C, 1 },
    { "post_attention_norm", C, 1, 1 },
    { "post_ffw_norm", C, 1, 1 },
    { "post_norm", C, 1, 1 },
    { "ffn_norm", C, 1, 1 },
    { "attn_k_norm", D, 1, 1 },
    { "attn_k", C, c->n_kv_heads * D, 1 },
    { "attn_output", c->n_heads * D, C, 1 },
    { "attn_q_norm", D, 1, 1 },
    { "attn_q", C, c->n_heads * D, 1 },
    { "attn_v", C, c->n_kv_heads * D, 1 },
  };
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    add (list, &shapes[i], layer, type);
}

static gboolean
parse_type (const gchar *name, OclType *type)
{
  for (*type = 0; *type < OCL_N_TYPES; (*type)++) {
    if (g_ascii_strcasecmp (ocl_type_info (*type)->name, name) == 0)
      return TRUE;
  }
  return g_ascii_strcasecmp (name, "mixed") == 0; /* *type is GGUF_MIXED */
}

int
main (int argc, char **argv)
{
  GemmaTextConfig c;
  OclType type;
  if (argc != 4 || !parse_type (argv[2], &type)) {
    fprintf (stderr, "usage: %s small|e2b f16|bf16|q4_0|q8_0|q4_k|...|mixed OUT.gguf\n", argv[0]);
    return 2;
  }
  gboolean small = strcmp (argv[1], "small") == 0;
  (small ? set_small : set_e2b) (&c);
  set_layers (&c, small ? 512 : 8192);
  gint wide = c.n_layers * c.ple_dim;
  const Shape outside[] = { { "altup_proj", c.hidden, c.hidden, c.n_altup - 1 },
    { "altup_unembd_proj", c.hidden, c.hidden, c.n_altup - 1 }, { "token_embd", c.hidden, c.vocab_size, 1 },
    { "per_layer_token_embd", wide, c.vocab_size, 1 }, { "output_norm", c.hidden, 1, 1 },
    { "per_layer_model_proj", c.hidden, wide, 1 }, { "per_layer_proj_norm", c.ple_dim, 1, 1 } };
  GPtrArray *list = gguf_list_new ();
  for (guint i = 0; i < G_N_ELEMENTS (outside); i++)
    add (list, &outside[i], -1, type);
  for (gint i = 0; i < c.n_layers; i++)
    add_layer (list, &c, i, type);
  gguf_write (argv[3], &c, list);
  g_ptr_array_unref (list);
  return 0;
}
