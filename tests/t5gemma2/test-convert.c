/* models/convert-t5gemma2.py: what it makes of a Hugging Face directory is the same model, and what it cannot convert
 * it names. It needs a Python with numpy and nothing else (Debian's python3-numpy, which ./check installs). */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/gemma-eval.h"
#include "tests/gemma3n/eval-files.h"

#define TINY GOLDEN_DIR "/t5gemma2/tiny/"
#define SEES GOLDEN_DIR "/siglip/t5gemma2/"
#define TEXT "Translate into French: Good morning, \u00e9t\u00e9 \u2014 \U0001f600. "

/* The system's, which has nothing but what is packaged, or the user's. */
static const gchar *
find_python (void)
{
  static const gchar *const candidates[] = { "/usr/bin/python3", "python3" };
  static const gchar *found;

  for (guint i = 0; !found && i < G_N_ELEMENTS (candidates); i++) {
    const gchar *argv[] = { candidates[i], "-c", "import numpy", NULL };
    gint status = 1;
    if (g_spawn_sync (NULL, (gchar **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL,
            NULL, &status, NULL) && status == 0)
      found = candidates[i];
  }
  fail_unless (found != NULL, "no python3 has numpy; install python3-numpy");
  return found;
}

/* @type: (nullable) */
static gint
convert (const gchar *directory, const gchar *out, const gchar *type, gchar **message)
{
  const gchar *argv[] = { find_python (), CONVERTER, directory, out, type ? "--outtype" : NULL, type, NULL };
  g_autoptr (GError) error = NULL;
  gint status;

  g_spawn_sync (NULL, (gchar **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, message, &status, &error);
  g_assert_no_error (error);
  fail_unless (WIFEXITED (status));
  return WEXITSTATUS (status);
}

/* (transfer full) */
static gchar *
convert_well (const gchar *directory, const gchar *type)
{
  g_autofree gchar *message = NULL;
  gchar *out = g_build_filename (eval_files.out, "converted.gguf", NULL);

  fail_unless (convert (directory, out, type, &message) == 0 && !*message, "%s", message);
  return out;
}

static Npy *
get_logits (const gchar *model, const gchar *option, const gchar *value)
{
  eval_run (model, option, value, "8");
  return eval_result ("logits.npy");
}

/* Nothing is lost in float32: the same ids of a text, and the same logits. These differ only as the attention's scale,
 * a number of the file, is rounded. */
GST_START_TEST (test_same_model)
{
  g_autoptr (Npy) source = golden ("tiny", "source", NPY_I32);
  g_autofree gchar *list = eval_list_ids (source->i32, source->n);
  g_autofree gchar *converted = convert_well (eval_files.directory, "f32");
  const gchar *const inputs[][2] = { { "--ids", list }, { "--prompt", TEXT } };

  for (guint i = 0; i < G_N_ELEMENTS (inputs); i++) {
    g_autoptr (Npy) expected = get_logits (eval_files.directory, inputs[i][0], inputs[i][1]);
    g_autoptr (Npy) expected_ids = eval_result ("ids.npy"), expected_said = eval_result ("generated.npy");
    g_autoptr (Npy) got = get_logits (converted, inputs[i][0], inputs[i][1]);
    g_autoptr (Npy) ids = eval_result ("ids.npy"), said = eval_result ("generated.npy");
    fail_unless (ids->n == expected_ids->n && memcmp (ids->i32, expected_ids->i32, ids->n * sizeof (gint32)) == 0);
    fail_unless (said->n == expected_said->n && memcmp (said->i32, expected_said->i32, said->n * sizeof (gint32)) == 0);
    fail_unless_equals_int (got->n, expected->n);
    check_close (inputs[i][0], got->f32, expected->f32, got->n, GOLDEN_LIMIT);
  }
}

GST_END_TEST;

/* How far @type may be from @x, the largest of whose block is @most: half a step, and of the scale's rounding to f16
 * what it makes of the largest. Of q4_0 one end has a whole step, as its numbers go from -8 to 7. */
static gdouble
get_bound (OclType type, gdouble x, gdouble most)
{
  switch (type) {
    case OCL_TYPE_F32: return 0.;
    case OCL_TYPE_F16: return fabs (x) / 2048. + 0x1p-25;
    case OCL_TYPE_BF16: return fabs (x) / 256.;
    case OCL_TYPE_Q8_0: return most * (1. / 254. + 1. / 2048.);
    case OCL_TYPE_Q4_0: return most * (1. / 8. + 1. / 2048.);
    default: fail ("type %d", type); return 0.;
  }
}

/* Each value of @got is that of @expected as near as its type can be; norms have their 1. */
static void
check_tensor (GemmaWeights *got, GemmaWeights *expected, const GemmaTensor *tensor)
{
  gint cols = tensor->dims[0], rows = tensor->n_dims > 1 ? tensor->dims[1] : 1;
  gfloat one = g_str_has_suffix (tensor->name, "norm.weight") ? 1.f : 0.f;
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *a = gemma_weights_read_f32 (got, tensor->name, rows, cols, &error);
  g_assert_no_error (error);
  g_autofree gfloat *b = gemma_weights_read_f32 (expected, tensor->name, rows, cols, &error);
  g_assert_no_error (error);

  for (gint begin = 0; begin < rows * cols; begin += 32) {
    gint n = MIN (32, rows * cols - begin);
    gfloat most = 0.f;
    for (gint i = begin; i < begin + n; i++)
      most = MAX (most, fabsf (b[i]));
    for (gint i = begin; i < begin + n; i++)
      fail_unless (fabs ((gdouble) a[i] - (b[i] + one)) <= get_bound (tensor->type, b[i], most), "%s: %g instead of %g",
          tensor->name, a[i], b[i] + one);
  }
}

GST_START_TEST (test_every_tensor)
{
  static const struct
  {
    const gchar *name;
    OclType type;
  } types[] = { { "f32", OCL_TYPE_F32 }, { "f16", OCL_TYPE_F16 }, { "bf16", OCL_TYPE_BF16 }, { "q8_0", OCL_TYPE_Q8_0 },
    { "q4_0", OCL_TYPE_Q4_0 }, { NULL, OCL_TYPE_BF16 } };
  g_autoptr (GError) error = NULL;
  GemmaWeights *expected = gemma_weights_open_hf (eval_files.directory, &error);
  g_assert_no_error (error);

  for (guint k = 0; k < G_N_ELEMENTS (types); k++) {
    g_autofree gchar *converted = convert_well (eval_files.directory, types[k].name);
    GemmaWeights *got = gemma_weights_open_gguf (converted, &error);
    g_assert_no_error (error);
    fail_unless_equals_int (gemma_weights_get_n_tensors (got), gemma_weights_get_n_tensors (expected));
    for (guint i = 0; i < gemma_weights_get_n_tensors (got); i++) {
      const GemmaTensor *tensor = gemma_weights_get_nth (got, i);
      fail_unless_equals_int (tensor->type, tensor->n_dims > 1 ? types[k].type : OCL_TYPE_F32);
      check_tensor (got, expected, tensor);
    }
    gemma_weights_unref (got);
  }
  gemma_weights_unref (expected);
}

GST_END_TEST;

/* What llama-quantize would make of it, as the library does when it loads a directory with weights=q8_0. */
GST_START_TEST (test_same_quantization)
{
  const gchar *arguments[] = { "--model", eval_files.directory, "--weights", "q8_0", "--ids", "2,5,9,300,17",
    "--generate", "8", "--out", eval_files.out, NULL };
  g_autofree gchar *message = NULL, *converted = convert_well (eval_files.directory, "q8_0");

  g_setenv ("GEMMA_CACHE_DIR", eval_files.out, TRUE);   /* where no kernels are */
  g_setenv ("GEMMA_VARIANT", "ref", TRUE);
  fail_unless (gemma_eval_run (&message, arguments) == 0, "%s", message);
  g_unsetenv ("GEMMA_VARIANT");
  g_unsetenv ("GEMMA_CACHE_DIR");
  g_autoptr (Npy) expected = eval_result ("logits.npy"), got = get_logits (converted, "--ids", "2,5,9,300,17");
  fail_unless_equals_int (got->n, expected->n);
  check_close ("q8_0", got->f32, expected->f32, got->n, GOLDEN_LIMIT);
}

GST_END_TEST;

static Npy *
get_picture_tokens (const gchar *model)
{
  const gchar *arguments[] = { "--model", model, "--image", PICTURE, "--out", eval_files.out, NULL };
  g_autofree gchar *message = NULL;

  fail_unless (gemma_eval_run (&message, arguments) == 0, "%s", message);
  return eval_result ("image-tokens.npy");
}

/* What reads pictures comes along. */
GST_START_TEST (test_pictures)
{
  gchar *directory = seeded_write_hf (SEES "config.json", SEES "tensors.txt", SEED, OCL_TYPE_BF16);

  seeded_add_file (directory, SEES "preprocessor_config.json");
  seeded_add_file (directory, GOLDEN_DIR "/tokenizer/tokenizer.json");
  g_autofree gchar *converted = convert_well (directory, "f32");
  g_autoptr (Npy) expected = get_picture_tokens (directory), got = get_picture_tokens (converted);
  seeded_remove (directory);
  fail_unless_equals_int (got->n, expected->n);
  check_close ("soft tokens", got->f32, expected->f32, got->n, GOLDEN_LIMIT);
}

GST_END_TEST;

/* The tensors of @list without the line that begins with @without, and with the line @with. (transfer full) */
static gchar *
write_list (const gchar *list, const gchar *without, const gchar *with)
{
  g_autofree gchar *text = NULL;
  gchar *path = g_build_filename (eval_files.out, "tensors.txt", NULL);

  fail_unless (g_file_get_contents (list, &text, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GString *all = g_string_new (NULL);
  guint left_out = 0;
  for (guint i = 0; lines[i]; i++) {
    if (without && g_str_has_prefix (lines[i], without))
      left_out++;
    else if (*lines[i])
      g_string_append_printf (all, "%s\n", lines[i]);
  }
  fail_unless_equals_int (left_out, without ? 1 : 0);
  if (with)
    g_string_append_printf (all, "%s\n", with);
  fail_unless (g_file_set_contents (path, all->str, -1, NULL));
  g_string_free (all, TRUE);
  return path;
}

typedef struct
{
  const gchar *golden;
  const gchar *without, *with;  /* line of a tensor, NULL: none */
  const gchar *named;           /* in the message; NULL: there is none */
} Case;

static void
check_case (const Case *c)
{
  g_autofree gchar *config = g_strconcat (c->golden, "config.json", NULL);
  g_autofree gchar *golden = g_strconcat (c->golden, "tensors.txt", NULL);
  g_autofree gchar *list = write_list (golden, c->without, c->with), *message = NULL;
  g_autofree gchar *out = g_build_filename (eval_files.out, "bad.gguf", NULL);
  gchar *directory = seeded_write_hf (config, list, SEED, OCL_TYPE_BF16);

  seeded_add_file (directory, GOLDEN_DIR "/tokenizer/tokenizer.json");
  gint status = convert (directory, out, "f32", &message);
  seeded_remove (directory);
  if (!c->named) {
    fail_unless (status == 0 && !*message, "%s", message);
    g_remove (out);
    return;
  }
  fail_unless (status != 0, "%s is no error", c->named);
  fail_unless (strstr (message, c->named) != NULL, "\"%s\" lacks %s", message, c->named);
  fail_unless (strchr (message, '\n') == strrchr (message, '\n'), "more than a line: %s", message);
  fail_if (g_file_test (out, G_FILE_TEST_EXISTS), "%s: there is a file", c->named);
}

GST_START_TEST (test_wrong_tensors)
{
  static const Case cases[] = {
    { TINY, "model.decoder.layers.1.mlp.up_proj.weight ", NULL, "model.decoder.layers.1.mlp.up_proj.weight" },
    { TINY, "model.encoder.norm.weight ", NULL, "model.encoder.norm.weight" },
    { TINY, NULL, "model.decoder.layers.0.mlp.other_proj.weight 0 1 4 4",
        "model.decoder.layers.0.mlp.other_proj.weight" },
    { TINY, NULL, "model.decoder.layers.6.mlp.up_proj.weight 0 1 96 64", "model.decoder.layers.6.mlp.up_proj.weight" },
    { SEES, "model.encoder.vision_tower.vision_model.encoder.layers.1.mlp.fc2.bias ", NULL,
        "model.encoder.vision_tower.vision_model.encoder.layers.1.mlp.fc2.bias" },
    { SEES, "model.encoder.multi_modal_projector.mm_input_projection_weight ", NULL, "mm_input_projection_weight" },
    /* What checkpoints have besides: a tied head. */
    { TINY, NULL, "lm_head.out_proj.weight 0 1 4 4", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    check_case (&cases[i]);
}

GST_END_TEST;

GST_START_TEST (test_wrong_model)
{
  g_autofree gchar *out = g_build_filename (eval_files.out, "bad.gguf", NULL), *message = NULL;
  gchar *directory = seeded_write_hf (GOLDEN_DIR "/gemma3/tiny/config.json", GOLDEN_DIR "/gemma3/tiny/tensors.txt",
      SEED, OCL_TYPE_BF16);

  fail_unless (convert (directory, out, NULL, &message) != 0);
  seeded_remove (directory);
  fail_unless (strstr (message, "t5gemma2") && strstr (message, "gemma3_text"), "%s", message);
  fail_if (g_file_test (out, G_FILE_TEST_EXISTS));
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("t5gemma2_convert");
  TCase *tc = tcase_create ("convert");
  tcase_set_timeout (tc, 300);
  tcase_add_unchecked_fixture (tc, eval_files_setup, eval_files_teardown);
  tcase_add_test (tc, test_same_model);
  tcase_add_test (tc, test_every_tensor);
  tcase_add_test (tc, test_same_quantization);
  tcase_add_test (tc, test_pictures);
  tcase_add_test (tc, test_wrong_tensors);
  tcase_add_test (tc, test_wrong_model);
  suite_add_tcase (suite, tc);
  return gst_check_run_suite (suite, "t5gemma2_convert", __FILE__);
}
