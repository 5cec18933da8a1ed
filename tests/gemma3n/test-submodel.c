/* Parts of a MatFormer model: equal to checkpoints sliced beforehand, in transformers and in our own runs of files;
 * what cannot be is one error; what a change in the middle of a text does. */
#include "fixture.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf-writer.h"
#include "models/submodel.h"
#include "tests/relative-error.h"

#define GOLDEN(name) "../submodel/" name /* from the area of the whole models */

static gchar *
table_path (const gchar *name)
{
  return g_build_filename (GOLDEN_DIR, "submodel", name, "table.txt", NULL);
}

static GemmaLmSubmodel *
submodel_new (const Model *m, const gchar *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = table_path (name);
  GemmaLmSubmodel *submodel = gemma_lm_submodel_new (m->lm, path, &error);
  fail_unless (submodel != NULL, "%s", error ? error->message : "no error");
  return submodel;
}

static GemmaLmSession *
part_session (const Model *m, const GemmaLmSubmodel *submodel, gint chunk)
{
  GemmaLmSession *session = session_new (m, 0, chunk, 0);
  fail_unless (gemma_lm_session_set_submodel (session, submodel));
  return session;
}

/* ---- transformers ---------------------------------------------------------------------------------------------- */

static const struct
{
  const gchar *name, *golden, *size;
  gint n_layers;
} cases[] = {
  { "shared", GOLDEN ("shared"), "tiny", 5 },
  { "owned", GOLDEN ("owned"), "tiny", 5 },
  { "small", GOLDEN ("small"), "small", 22 },
};

GST_START_TEST (test_layers)
{
  static const gint chunks[] = { 128, 7 };
  const Model *m = model_get (cases[__i__].size);
  GemmaLmSubmodel *submodel = submodel_new (m, cases[__i__].name);
  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++) {
    GemmaLmSession *session = part_session (m, submodel, chunks[i]);
    golden_check_states_of (m, session, cases[__i__].golden, cases[__i__].n_layers);
    gemma_lm_session_free (session);
  }
  gemma_lm_submodel_free (submodel);
}

GST_END_TEST;

GST_START_TEST (test_greedy)
{
  const Model *m = model_get (cases[__i__].size);
  GemmaLmSubmodel *submodel = submodel_new (m, cases[__i__].name);
  GemmaLmSession *session = part_session (m, submodel, 0);
  golden_check_greedy_of (m, session, cases[__i__].golden);
  gemma_lm_session_free (session);
  gemma_lm_submodel_free (submodel);
}

GST_END_TEST;

/* From a part to the whole between two tokens: the keys and values of the part stay, as transformers computes it with the
 * part's cache. */
GST_START_TEST (test_switch)
{
  const Model *m = model_get ("tiny");
  g_autoptr (Npy) ids = golden (GOLDEN ("shared"), "ids", NPY_I32);
  g_autoptr (Npy) expected = golden (GOLDEN ("shared"), "switched", NPY_F32);
  gint V = m->config->text.vocab_size, n = ids->n;
  g_autofree gfloat *logits = g_new (gfloat, V);
  GemmaLmSubmodel *submodel = submodel_new (m, "shared");
  GemmaLmSession *session = part_session (m, submodel, 0);
  append (session, ids->i32, n - 2, NULL, FALSE);
  gsize before = ocl_device_get_allocated (m->device);
  for (gint i = 0; i < 2; i++) {
    fail_unless (gemma_lm_session_set_submodel (session, NULL));
    append (session, ids->i32 + n - 2 + i, 1, logits, FALSE);
    check_close ("logits after the change", logits, expected->f32 + i * V, V, GOLDEN_LIMIT);
  }
  g_autofree gfloat *whole = logits_after (m, ids->i32, n, 0);
  fail_unless (relative_error (logits, whole, V) > 1e-3, "the cache of the part makes no difference");
  /* what decoding needs at its first token, a row of logits, is all that may have come */
  fail_unless (ocl_device_get_allocated (m->device) <= before + V * sizeof (gfloat));
  gemma_lm_session_free (session);
  gemma_lm_submodel_free (submodel);
}

GST_END_TEST;

/* ---- sliced files ------------------------------------------------------------------------------------------------ */

#define N 40

static const gint32 *
prompt (void)
{
  static gint32 ids[N];
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  for (gint i = 0; i < N; i++)
    ids[i] = g_rand_int_range (rand, 0, 256);
  return ids;
}

/* The first @cols of each row (from @skip on), of the first @rows. */
static void
take (GByteArray *out, const GemmaTensor *t, gint skip, gint cols, gint rows)
{
  const gsize row = ocl_type_row_bytes (t->type, t->dims[0]);
  for (gint r = 0; r < rows; r++)
    g_byte_array_append (out, t->data + r * row + ocl_type_row_bytes (t->type, skip), ocl_type_row_bytes (t->type, cols));
}

/* The tensor as the sliced file has it; of layer @layer, or -1. */
static void
add_sliced (GPtrArray *list, const GemmaTensor *t, const GemmaTextConfig *c, const gint *ffn, gint layer)
{
  const gboolean gate = strstr (t->name, "ffn_gate.") || strstr (t->name, "ffn_up.");
  gint cols = t->dims[0], rows = t->n_dims > 1 ? t->dims[1] : 1, slices = t->n_dims > 2 ? t->dims[2] : 1, P = c->gemma3n.ple_dim;
  g_autofree gchar *name = g_strdup (t->name);
  GgufTensor *out;
  if (layer >= 0) {
    gint position = 0;
    for (gint i = 0; i < layer; i++)
      position += ffn[i] > 0;
    g_free (name);
    name = g_strdup_printf ("blk.%d%s", position, strchr (t->name + 4, '.'));
  }
  GByteArray *data = g_byte_array_new ();
  if (gate)
    take (data, t, 0, cols, rows = ffn[layer]);
  else if (strstr (t->name, "ffn_down."))
    take (data, t, 0, cols = ffn[layer], rows);
  else if (g_str_has_prefix (t->name, "per_layer_model_proj")) {
    const gsize bytes = P * ocl_type_row_bytes (t->type, cols);
    for (gint i = rows = 0; i < c->n_layers; i++) {
      if (ffn[i]) {
        g_byte_array_append (data, t->data + i * bytes, bytes);
        rows += P;
      }
    }
  } else if (g_str_has_prefix (t->name, "per_layer_token_embd")) {
    cols = 0;
    for (gint i = 0; i < c->n_layers; i++)
      cols += ffn[i] ? P : 0;
    for (gint r = 0; r < rows; r++) {
      const GemmaTensor row = { .type = t->type, .dims = { t->dims[0], 1 },
        .data = t->data + r * ocl_type_row_bytes (t->type, t->dims[0]) };
      for (gint i = 0; i < c->n_layers; i++)
        if (ffn[i])
          take (data, &row, i * P, P, 1);
    }
  } else {
    g_byte_array_append (data, t->data, t->bytes);
  }
  out = gguf_list_add (list, name, t->type, cols, rows, slices);
  out->n_dims = t->n_dims;
  out->data = data;
}

/* What is @whole's, without the layers that are skipped. */
static void
slice_config (GemmaTextConfig *c, const gint *ffn)
{
  const gint owned = c->n_layers - c->gemma3n.n_shared_kv;
  gint kept = 0, shared = 0;
  for (gint i = 0; i < c->n_layers; i++) {
    if (!ffn[i])
      continue;
    c->ffn[kept] = ffn[i];
    c->sliding[kept] = c->sliding[i];
    c->gemma3n.sparsity[kept] = c->gemma3n.sparsity[i];
    kept++;
    shared += i >= owned;
  }
  c->n_layers = kept;
  c->gemma3n.n_shared_kv = shared;
}

static Model *
open_and_remove (gchar *path)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights = gemma_weights_open_gguf (path, &error);
  fail_unless (weights != NULL, "%s", error ? error->message : "no error");
  Model *m = model_new ("gguf", weights);
  g_remove (path);
  g_free (path);
  return m;
}

static gchar *
temporary (void)
{
  g_autoptr (GError) error = NULL;
  gchar *path;
  gint fd = g_file_open_tmp ("gemma-test-XXXXXX.gguf", &path, &error);
  fail_unless (fd >= 0 && g_close (fd, NULL));
  return path;
}

static Model *
slice_file (const Model *whole, const gint *ffn)
{
  const GemmaTextConfig *c = &whole->config->text;
  g_autoptr (GPtrArray) list = gguf_list_new ();
  GemmaTextConfig part;
  gchar *path = temporary ();
  for (guint i = 0; i < gemma_weights_get_n_tensors (whole->weights); i++) {
    const GemmaTensor *t = gemma_weights_get_nth (whole->weights, i);
    const gint layer = g_str_has_prefix (t->name, "blk.") ? atoi (t->name + 4) : -1;
    if (layer < 0 || ffn[layer])
      add_sliced (list, t, c, ffn, layer);
  }
  gemma_text_config_copy (&part, c);
  slice_config (&part, ffn);
  gguf_write (path, "gemma3n", &part, list);
  gemma_text_config_clear (&part);
  return open_and_remove (path);
}

static const struct
{
  OclType type;
  const gchar *name;
} kinds[] = {
  { OCL_TYPE_F32, "F32" },
  { OCL_TYPE_BF16, "BF16" },
  { OCL_TYPE_Q8_0, "Q8_0" },
  { OCL_TYPE_Q4_0, "Q4_0" },
  { GGUF_MIXED, "mixed" },
};

static gfloat *
all_logits (const Model *m, const GemmaLmSubmodel *submodel, guint flags)
{
  g_autoptr (GError) error = NULL;
  GemmaLmSessionParams params = { .matmul_flags = flags };
  gfloat *logits = g_new (gfloat, (N + 1) * m->config->text.vocab_size);
  GemmaLmSession *session = gemma_lm_session_new (m->lm, &params, &error);
  fail_unless (session && gemma_lm_session_set_submodel (session, submodel));
  append (session, prompt (), N, logits, TRUE);
  append (session, prompt (), 1, logits + N * m->config->text.vocab_size, FALSE);
  gemma_lm_session_free (session);
  return logits;
}

/* Slices are whole blocks: both runs multiply the same numbers in the same order, quantized ones too, so the logits of
 * a prompt and of one token after it are the same bits. */
GST_START_TEST (test_equals_sliced_file)
{
  const Model *source = model_get ("small");
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = table_path ("small");
  gchar *file = temporary ();
  gguf_write_text (file, source->weights, source->config, kinds[__i__].type, FALSE);
  Model *whole = open_and_remove (file);
  g_autofree gint *ffn = gemma_submodel_parse (path, whole->config, "gguf", &error);
  Model *part = slice_file (whole, ffn);
  GemmaLmSubmodel *submodel = submodel_new (whole, "small");
  gsize n = (N + 1) * whole->config->text.vocab_size;
  fail_unless_equals_int (part->config->text.n_layers, 22);
  for (guint flags = 0; flags < 2; flags++) {
    g_autofree gfloat *got = all_logits (whole, submodel, flags), *expected = all_logits (part, NULL, flags);
    g_autofree gfloat *all = all_logits (whole, NULL, flags);
    check_close (kinds[__i__].name, got, expected, n, 0.);
    fail_unless (relative_error (all, expected, n) > 1e-2, "%s: slicing changes nothing", kinds[__i__].name);
  }
  gemma_lm_submodel_free (submodel);
  model_free (part);
  model_free (whole);
}

GST_END_TEST;

/* FFNs whose up does not begin with a panel of weights, sparse ones and others. */
GST_START_TEST (test_part_of_an_odd_width)
{
  static const gint odd[] = { 120, 120, 120, 120, 120, 120 }, cut[] = { 112, 112, 112, 112, 112, 112 };
  const Model *source = model_get ("tiny");
  g_autoptr (GError) error = NULL;
  gchar *file = temporary (), *table = temporary ();
  gguf_write_text (file, source->weights, source->config, OCL_TYPE_F32, FALSE);
  Model *whole = open_and_remove (file), *m = slice_file (whole, odd), *part = slice_file (whole, cut);
  fail_unless (g_file_set_contents (table, "0-5 112\n", -1, NULL));
  GemmaLmSubmodel *submodel = gemma_lm_submodel_new (m->lm, table, &error);
  fail_unless (submodel != NULL, "%s", error ? error->message : "no error");
  g_autofree gfloat *got = all_logits (m, submodel, 0), *expected = all_logits (part, NULL, 0);
  check_close ("odd", got, expected, (N + 1) * whole->config->text.vocab_size, 0.);
  g_remove (table);
  g_free (table);
  gemma_lm_submodel_free (submodel);
  model_free (part);
  model_free (m);
  model_free (whole);
}

GST_END_TEST;

/* ---- a change while a text runs ------------------------------------------------------------------------------------ */

/* A layer with keys and values of its own that was skipped cannot join before the next text. */
GST_START_TEST (test_missing_keys)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size;
  g_autofree gfloat *logits = g_new (gfloat, V);
  GemmaLmSubmodel *owned = submodel_new (m, "owned"), *shared = submodel_new (m, "shared");
  GemmaLmSession *session = part_session (m, owned, 0);
  append (session, prompt (), 10, NULL, FALSE);
  fail_if (gemma_lm_session_set_submodel (session, NULL));
  fail_if (gemma_lm_session_set_submodel (session, shared));
  fail_unless (gemma_lm_session_set_submodel (session, owned));
  append (session, prompt (), 1, logits, FALSE); /* goes on as it was */
  GemmaLmSession *alone = part_session (m, owned, 0);
  g_autofree gfloat *expected = g_new (gfloat, V);
  append (alone, prompt (), 10, NULL, FALSE);
  append (alone, prompt (), 1, expected, FALSE);
  check_close ("the submodel that stays", logits, expected, V, 0.);
  fail_unless (gemma_lm_session_truncate (session, 0) && gemma_lm_session_set_submodel (session, NULL));
  append (session, prompt (), N, logits, FALSE);
  g_autofree gfloat *whole = logits_after (m, prompt (), N, 0);
  check_close ("the whole model afterwards", logits, whole, V, 0.);
  gemma_lm_session_free (session);
  gemma_lm_session_free (alone);
  gemma_lm_submodel_free (owned);
  gemma_lm_submodel_free (shared);
}

GST_END_TEST;

/* Sessions with different parts of one model do not see each other, and cost the device nothing. */
GST_START_TEST (test_two_parts_at_once)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size;
  gsize before = ocl_device_get_allocated (m->device);
  GemmaLmSubmodel *part[] = { submodel_new (m, "owned"), submodel_new (m, "shared"), NULL };
  fail_unless_equals_uint64 (ocl_device_get_allocated (m->device), before);
  GemmaLmSession *session[3];
  g_autofree gfloat *logits = g_new (gfloat, 3 * V), *alone = g_new (gfloat, V);
  for (gint k = 0; k < 3; k++)
    session[k] = part_session (m, part[k], 5);
  for (gint i = 0; i < N; i += 5)
    for (gint k = 0; k < 3; k++)
      append (session[k], prompt () + i, 5, logits + k * V, FALSE);
  for (gint k = 0; k < 3; k++) {
    fail_unless (gemma_lm_session_truncate (session[k], 0));
    append (session[k], prompt (), N, alone, FALSE);
    check_close ("a part beside others", logits + k * V, alone, V, 0.);
    gemma_lm_session_free (session[k]);
    gemma_lm_submodel_free (part[k]);
  }
  fail_unless (relative_error (logits, logits + V, V) > 1e-3 && relative_error (logits, logits + 2 * V, V) > 1e-3);
}

GST_END_TEST;

/* ---- choices ----------------------------------------------------------------------------------------------------- */

/* Row 51 of bad inputs. tiny: 6 layers of 128; 2 and 5 are full, 4 and 5 read the keys and values of 3 and 2. */
GST_START_TEST (test_bad_choices)
{
  static const struct
  {
    const gchar *table, *names; /* a file's text; what the message says */
  } rows[] = {
    { "1 40\n", "layer 1 cannot be 40 wide; allowed are multiples of 16 up to 128" },
    { "1 256\n", "layer 1 cannot be 256 wide; it is 128" },
    { "1 0\n", "\"0\" is no width" },
    { "1 -16\n", "\"-16\" is no width" },
    { "# one\n0 64\n6 64\n", "line 3: \"6\" is no layer of this model, nor a range of them; allowed are 0 to 5" },
    { "4-9 64\n", "\"4-9\" is no layer" },
    { "3-1 64\n", "\"3-1\" is no layer" },
    { "x 64\n", "\"x\" is no layer" },
    { "1 64\n0-2 32\n", "line 2: layer 1 has been named before" },
    { "1\n", "line 1: has 1 words" },
    { "1 64 64\n", "line 1: has 3 words" },
    { "3 skip\n", "skips layer 3, whose keys and values layer 4 reads" },
    { "2 skip\n4 skip\n", "skips layer 2, whose keys and values layer 5 reads" },
    { "0-5 skip\n", "skips every layer" },
  };
  const Model *m = model_get ("tiny");
  g_autoptr (GError) error = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    gchar *path = temporary ();
    fail_unless (g_file_set_contents (path, rows[i].table, -1, NULL));
    GemmaLmSubmodel *submodel = gemma_lm_submodel_new (m->lm, path, &error);
    fail_unless (!submodel && g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_SETTING), "%s: accepted", rows[i].table);
    fail_unless (strstr (error->message, path) && strstr (error->message, rows[i].names), "%s: %s", rows[i].table,
        error->message);
    g_clear_error (&error);
    g_remove (path);
    g_free (path);
  }
  fail_if (gemma_lm_submodel_new (m->lm, "E2B", &error));
  fail_unless (strstr (error->message, "35 layers") && strstr (error->message, "has 6"), "%s", error->message);
  g_clear_error (&error);
  fail_if (gemma_lm_submodel_new (m->lm, "E9B", &error));
  fail_unless (strstr (error->message, "\"E9B\" is neither a file nor a known name") && strstr (error->message, "E1.96B"),
      "%s", error->message);
  g_clear_error (&error);
  fail_if (gemma_lm_submodel_new (m->lm, "/proc", &error));
  fail_unless (strstr (error->message, "/proc: not a regular file"), "%s", error->message);
}

GST_END_TEST;

/* A width of half a block: small's FFN of 512 in blocks of 256. */
GST_START_TEST (test_half_a_block)
{
  const Model *source = model_get ("small");
  g_autoptr (GError) error = NULL;
  gchar *file = temporary (), *path = temporary ();
  gguf_write_text (file, source->weights, source->config, OCL_TYPE_Q6_K, FALSE);
  Model *m = open_and_remove (file);
  fail_unless (g_file_set_contents (path, "7 128\n", -1, NULL));
  fail_if (gemma_lm_submodel_new (m->lm, path, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_SETTING) &&
          strstr (error->message, "layer 7 cannot be cut to 128; with weights of Q6_K, widths are multiples of 256 up to 512"),
      "%s", error->message);
  g_remove (path);
  g_free (path);
  model_free (m);
}

GST_END_TEST;

/* A configuration of @n layers, @shared of them, @wide. (transfer full) */
static GemmaConfig *
make_config (gint n, gint shared, gint wide)
{
  GemmaConfig *c = g_new0 (GemmaConfig, 1);
  c->architecture = "gemma3n";
  c->text.n_layers = n;
  c->text.gemma3n.n_shared_kv = shared;
  c->text.ffn = g_new (gint, n);
  c->text.sliding = g_new (gboolean, n);
  c->text.gemma3n.sparsity = g_new0 (gfloat, n);
  for (gint i = 0; i < n; i++) {
    c->text.ffn[i] = wide;
    c->text.sliding[i] = (i + 1) % 5 != 0;
  }
  return c;
}

static void
check_sum (const GemmaConfig *config, const gchar *choice, gint layers, gint64 sum)
{
  g_autoptr (GError) error = NULL;
  g_autofree gint *ffn = gemma_submodel_parse (choice, config, "a model", &error);
  gint kept = 0;
  gint64 all = 0;
  fail_unless (ffn != NULL, "%s: %s", choice, error ? error->message : "no error");
  for (gint i = 0; i < config->text.n_layers; i++) {
    kept += ffn[i] > 0;
    all += ffn[i];
  }
  fail_unless (kept == layers && all == sum, "%s: %d layers of %d in all", choice, kept, (gint) all);
}

static void
config_free (GemmaConfig *config)
{
  gemma_text_config_clear (&config->text);
  g_free (config);
}

/* Layers, and widths in halves: a published size is told by how many more halves than layers it has. */
GST_START_TEST (test_published)
{
  GemmaConfig *e4b = make_config (35, 15, 16384), *e2b = make_config (30, 10, 8192);
  check_sum (e4b, NULL, 35, 35 * 16384);
  check_sum (e4b, "full", 35, 35 * 16384);
  check_sum (e4b, "E4B", 35, 35 * 16384);
  check_sum (e4b, "E2B", 30, 30 * 8192);
  check_sum (e4b, "e1.96b", 30, 31 * 8192);
  check_sum (e4b, "E2.54B", 35, 41 * 8192);
  check_sum (e4b, "E2.98B", 35, 50 * 8192);
  check_sum (e4b, "E3.79B", 35, 66 * 8192);
  check_sum (e4b, "E2.49B-block", 35, 40 * 8192);
  check_sum (e4b, "E3.79B-block", 35, 65 * 8192);
  check_sum (e2b, "E2B", 30, 30 * 8192); /* it is that already */
  config_free (e4b);
  config_free (e2b);
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("gemma3n_submodel");
  TCase *tc = tcase_create ("submodel");
  tcase_set_timeout (tc, 300);
  tcase_add_loop_test (tc, test_layers, 0, G_N_ELEMENTS (cases));
  tcase_add_loop_test (tc, test_greedy, 0, G_N_ELEMENTS (cases));
  tcase_add_test (tc, test_switch);
  tcase_add_loop_test (tc, test_equals_sliced_file, 0, G_N_ELEMENTS (kinds));
  tcase_add_test (tc, test_part_of_an_odd_width);
  tcase_add_test (tc, test_missing_keys);
  tcase_add_test (tc, test_two_parts_at_once);
  tcase_add_test (tc, test_bad_choices);
  tcase_add_test (tc, test_half_a_block);
  tcase_add_test (tc, test_published);
  suite_add_tcase (suite, tc);
  int failed = gst_check_run_suite (suite, "gemma3n_submodel", __FILE__);
  models_free ();
  return failed;
}
