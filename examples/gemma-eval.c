/* gemma-eval: runs a model's parts on given input and writes what they compute as NumPy arrays.
 *
 * What tests, comparisons with other implementations and benches of whole models use.
 */
#include "gemma-eval.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <locale.h>
#include <string.h>

#include "models/submodel.h"
#include "npy.h"
#include "opencl/ops.h"

#define SUMMARY "Runs a Gemma 3n, Gemma 3 or T5Gemma 2 model and writes what it computes to DIR:\n" \
    "  ids.npy           int32, the prompt as the model sees it, placeholders of soft tokens included\n" \
    "  logits.npy        float32 [position][vocabulary]; of T5Gemma 2's decoder, from its start token on: what each\n" \
    "                    of the generated ids was chosen from\n" \
    "  audio-tokens.npy  float32 [token][hidden], soft tokens of the clip, padded as the model's template pads it\n" \
    "  image-tokens.npy  float32 [256][hidden], soft tokens of the picture\n" \
    "  generated.npy     int32, greedy ids after the prompt (end tokens are never chosen)\n" \
    "  text.*.npy, image.*.npy, audio.*.npy  with --layers: float32 [position][hidden], what each layer puts out (of\n" \
    "                    Gemma 3n's text its first stream)\n" \
    "  bench.json        with --bench: medians of --bench-runs after a warm-up, on random ids, and from --audio, --image\n" \
    "                    and --prompt to the first token; memory: on the device (a CPU's is resident, too), resident\n" \
    "                    without files, files in the page cache, all at most\n"
#define DESCRIPTION "Example:\n  gemma-eval --model gemma-3n-E2B-it --audio clip.wav --generate 32 --out result \\\n" \
    "      --prompt \"Transcribe the following speech segment in English:\"\n\n" \
    "--prompt goes through the chat template, the picture and the clip before the text; a base model, which has none,\n" \
    "goes on with it. --ids are taken as they are. --audio or --image without either writes only its soft tokens.\n\n" \
    "A file for --submodel has lines of a layer, or a range of them, and the width of its FFN, or \"skip\":\n" \
    "  0-9 8192\n  20-24 skip\nLayers that it does not mention stay whole, and \"#\" begins a comment. Published parts of " \
    "Gemma 3n E4B:\n"

static gboolean
fail (GError **error, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
  return FALSE;
}

/* ---- options --------------------------------------------------------------------------- */

static gboolean
parse_options (EvalOptions *o, gint *argc, gchar ***argv, GError **error)
{
  const GOptionEntry entries[] = {
    {"model", 'm', 0, G_OPTION_ARG_FILENAME, &o->model, "Hugging Face directory or .gguf", "PATH"},
    {"mmproj", 0, 0, G_OPTION_ARG_FILENAME, &o->mmproj, "Encoders of a .gguf (default: *mmproj*.gguf beside it)", "FILE"},
    {"device", 'd', 0, G_OPTION_ARG_STRING, &o->device, "OpenCL device: auto, cpu, gpu or PLATFORM:DEVICE", "DEVICE"},
    {"audio", 'a', 0, G_OPTION_ARG_FILENAME, &o->audio, "Clip to encode, any format that GStreamer decodes", "FILE"},
    {"image", 'i', 0, G_OPTION_ARG_FILENAME, &o->image, "Picture to encode, a PNG", "FILE"},
    {"resolution", 0, 0, G_OPTION_ARG_INT, &o->resolution, "Size that a picture is scaled to: 256, 512 or "
        "768 (default); Gemma 3 and T5Gemma 2 have one size of their own", "N"},
    {"prompt", 'p', 0, G_OPTION_ARG_STRING, &o->prompt, "Text of the user's turn", "TEXT"},
    {"ids", 0, 0, G_OPTION_ARG_STRING, &o->ids, "Token ids instead of a prompt", "2,10,..."},
    {"generate", 'g', 0, G_OPTION_ARG_INT, &o->generate, "Generate N tokens, greedily", "N"},
    {"activations", 0, 0, G_OPTION_ARG_STRING, &o->activations,
        "f32: exact (default, as in the elements), int16: encoders and prompts in half the time, within 0.1 %, or int8: "
        "faster on quantized weights", "TYPE"},
    {"kv-cache", 0, 0, G_OPTION_ARG_STRING, &o->kv_cache,
        "f32: keys and values exactly (default), or int8: in a quarter of the memory", "TYPE"},
    {"weights", 'w', 0, G_OPTION_ARG_STRING, &o->weights,
        "Quantize a Hugging Face directory's language model while loading (kept in the user's cache directory): "
        "auto, q4_0, q8_0, bf16 or f32", "TYPE"},
    {"encoder-weights", 0, 0, G_OPTION_ARG_STRING, &o->encoder_weights,
        "auto, or q8_0: round the encoders' weights to 8 bits while loading", "TYPE"},
    {"submodel", 's', 0, G_OPTION_ARG_STRING, &o->submodel,
        "Run a part of a MatFormer model: full, E2B or another published one, or a file (see below)", "NAME|FILE"},
    {"layers", 'l', 0, G_OPTION_ARG_NONE, &o->layers, "Write what each layer puts out", NULL},
    {"bench", 'b', 0, G_OPTION_ARG_NONE, &o->bench, "Measure speed and memory", NULL},
    {"bench-prefill", 0, 0, G_OPTION_ARG_INT, &o->bench_prefill, "Ids of the prefill (default: 512)", "N"},
    {"bench-decode", 0, 0, G_OPTION_ARG_INT, &o->bench_decode, "Ids decoded after it (default: 64)", "N"},
    {"bench-runs", 0, 0, G_OPTION_ARG_INT, &o->bench_runs, "Runs of which the median counts (default: 5)", "N"},
    {"out", 'o', 0, G_OPTION_ARG_FILENAME, &o->out, "Directory to write to, made if it is missing", "DIR"},
    {NULL}
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autofree gchar *names = gemma_submodel_names (), *description = g_strdup_printf ("%s  %s", DESCRIPTION, names);

  g_option_context_set_summary (context, SUMMARY);
  g_option_context_set_description (context, description);
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  return g_option_context_parse (context, argc, argv, error);
}

static gboolean
check_options (EvalOptions *o, gint argc, gchar **argv, GError **error)
{
  if (argc > 1)
    return fail (error, "\"%s\" is no option; see gemma-eval --help", argv[1]);
  if (!o->model || !o->out)
    return fail (error, "--%s is missing; see gemma-eval --help", o->model ? "out" : "model");
  if (o->resolution != 0 && o->resolution != 256 && o->resolution != 512 && o->resolution != 768)
    return fail (error, "--resolution is %d; allowed are 256, 512 and 768", o->resolution);
  if (o->prompt && o->ids)
    return fail (error, "--prompt and --ids exclude each other");
  if (!o->prompt && !o->ids && !o->audio && !o->image && !o->bench)
    return fail (error, "nothing to do: give --prompt, --ids, --audio, --image or --bench");
  if (o->generate < 0 || o->bench_prefill < 1 || o->bench_decode < 1 || o->bench_runs < 1)
    return fail (error, "--generate, --bench-prefill, --bench-decode and --bench-runs take positive numbers");
  if (o->generate > 0 && !o->prompt && !o->ids)
    return fail (error, "--generate needs --prompt or --ids");
  if (o->layers && o->bench)
    return fail (error, "--layers and --bench exclude each other");
  if (o->kv_cache && strcmp (o->kv_cache, "f32") != 0 && strcmp (o->kv_cache, "int8") != 0)
    return fail (error, "--kv-cache is \"%s\"; allowed are f32 and int8", o->kv_cache);
  return ocl_matmul_flags_parse (o->activations, &o->matmul_flags, error);
}

static void
clear_options (EvalOptions *o)
{
  gchar *strings[] = { o->model, o->mmproj, o->device, o->audio, o->image, o->prompt, o->ids, o->activations, o->kv_cache, o->submodel,
    o->weights, o->encoder_weights, o->out };

  for (guint i = 0; i < G_N_ELEMENTS (strings); i++)
    g_free (strings[i]);
}

static GArray *
parse_ids (const gchar *text, GError **error)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  if (!parts[0]) {
    fail (error, "--ids is empty");
    g_clear_pointer (&ids, g_array_unref);
  }
  for (gchar **part = parts; *part; part++) {
    guint64 value;
    gint32 id;

    if (!g_ascii_string_to_unsigned (g_strstrip (*part), 10, 0, G_MAXINT32, &value, NULL)) {
      fail (error, "--ids: \"%s\" is no token id", *part);
      g_array_unref (ids);
      return NULL;
    }
    id = value;
    g_array_append_val (ids, id);
  }
  return ids;
}

/* ---- the model --------------------------------------------------------------------------- */

GemmaLmSession *
eval_session_new (Eval *eval, gint positions, GError **error)
{
  gboolean packed_kv = g_strcmp0 (eval->options->kv_cache, "int8") == 0;
  const GemmaLmSessionParams params = {
    .context_size = positions,
    .matmul_flags = eval->options->matmul_flags,
    .packed_kv = packed_kv,
  };

  GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (eval->model), &params, error);

  if (session)
    gemma_lm_session_set_submodel (session, eval->submodel);
  return session;
}

/* A line of its own for each tenth of what takes long: quantizing. */
static void
print_progress (gdouble fraction, const gchar *what, gpointer user_data)
{
  static gint told;

  if (g_str_has_prefix (what, "quantizing") && (gint) (fraction * 10.) > told) {
    told = fraction * 10.;
    g_printerr ("%s (%d %%)\n", what, (gint) (fraction * 100.));
  }
}

static gboolean
load (Eval *eval, GError **error)
{
  const EvalOptions *o = eval->options;
  GemmaParts parts = (o->prompt || o->ids || o->bench ? GEMMA_PART_TEXT : 0) | (o->audio ? GEMMA_PART_AUDIO : 0)
      | (o->image ? GEMMA_PART_VISION : 0);
  const GemmaModelForm form = { o->weights, o->matmul_flags, o->encoder_weights };
  gint64 start = g_get_monotonic_time ();

  eval->device = ocl_device_open (o->device, error);
  if (!eval->device)
    return FALSE;
  eval->model = gemma_model_load_as (o->model, o->mmproj, &form, eval->device, parts, NULL, print_progress, NULL,
      error);
  eval->load_seconds = (g_get_monotonic_time () - start) / (gdouble) G_USEC_PER_SEC;
  if (eval->model && (parts & GEMMA_PART_TEXT))
    eval->submodel = gemma_lm_submodel_new (gemma_model_get_lm (eval->model), o->submodel, error);
  return eval->model && (eval->submodel || !(parts & GEMMA_PART_TEXT));
}

static gboolean
save (Eval *eval, const gchar *name, NpyType type, gconstpointer data, guint n_dims, gint64 rows, gint64 cols,
    GError **error)
{
  g_autofree gchar *path = g_build_filename (eval->options->out, name, NULL);
  gint64 dims[] = { rows, cols };

  if (!npy_write (path, type, data, n_dims, dims, error))
    return FALSE;
  if (n_dims == 1)
    g_print ("%s: %" G_GINT64_FORMAT "\n", name, rows);
  else
    g_print ("%s: %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT "\n", name, rows, cols);
  return TRUE;
}

typedef struct
{
  GArray *ids;
  GString *text;
} Generated;

static gboolean
take_token (gint id, const gchar *text, gpointer user_data)
{
  Generated *generated = user_data;
  gint32 value = id;

  g_array_append_val (generated->ids, value);
  g_string_append (generated->text, text);
  return TRUE;
}

/* The prompt's logits and what follows it; where an encoder reads the prompt, the logits of what follows. */
static gboolean
run_prompt (Eval *eval, const GemmaPrompt *prompt, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (eval->model);
  gboolean encoder = config->encoder.n_layers > 0;
  GemmaGenerateParams params = {
    .max_tokens = eval->options->generate, .sampler = GEMMA_SAMPLER_GREEDY, .ignore_eos = TRUE,
  };
  gsize n = prompt->ids->len, rows = n;
  GemmaLmSession *session = eval_session_new (eval, n + params.max_tokens, error);
  Generated generated = { g_array_new (FALSE, FALSE, sizeof (gint32)), g_string_new (NULL) };
  gfloat *logits;
  gboolean ok = FALSE;

  if (encoder)
    rows = MAX (params.max_tokens, 1);
  logits = g_try_new (gfloat, rows * config->text.vocab_size);
  if (session && !logits)
    fail (error, "no memory for the logits of %" G_GSIZE_FORMAT " positions", rows);
  if (encoder && params.max_tokens > 0)
    params.chosen_from = logits;
  if (session && logits) {
    if (eval->states)
      gemma_lm_session_set_observer (session, eval_take_state, eval->states);
    ok = gemma_generate (eval->model, session, prompt, &params, logits, take_token, &generated, NULL, error)
        && save (eval, "ids.npy", NPY_I32, prompt->ids->data, 1, n, 0, error)
        && save (eval, "logits.npy", NPY_F32, logits, 2, rows, config->text.vocab_size, error)
        && (params.max_tokens == 0
        || save (eval, "generated.npy", NPY_I32, generated.ids->data, 1, generated.ids->len, 0, error))
        && eval_states_save (eval, "text", error);
  }
  if (ok && params.max_tokens > 0)
    g_print ("%s\n", generated.text->str);
  g_clear_pointer (&session, gemma_lm_session_free);
  g_array_unref (generated.ids);
  g_string_free (generated.text, TRUE);
  g_free (logits);
  return ok;
}

gboolean
eval_make_prompt (Eval *eval, const GArray *image, const GArray *audio, GemmaPrompt *prompt, GError **error)
{
  gint hidden = gemma_model_get_config (eval->model)->text.hidden;
  GemmaContent content[3];
  guint n = 0;

  if (eval->options->ids) {
    g_autoptr (GArray) ids = parse_ids (eval->options->ids, error);

    return ids && gemma_prompt_add_ids (prompt, eval->model, (const gint32 *) (gpointer) ids->data, ids->len, error);
  }
  if (image)
    content[n++] = (GemmaContent) { .kind = GEMMA_CONTENT_IMAGE, .rows = (const gfloat *) (gpointer) image->data,
      .n_rows = image->len / hidden };
  if (audio)
    content[n++] = (GemmaContent) { .kind = GEMMA_CONTENT_AUDIO, .rows = (const gfloat *) (gpointer) audio->data,
      .n_rows = audio->len / hidden };
  content[n++] = (GemmaContent) { .kind = GEMMA_CONTENT_TEXT, .text = eval->options->prompt };
  return gemma_prompt_add_turn (prompt, eval->model, content, n, FALSE, error);
}

static gboolean
read_inputs (Eval *eval, GError **error)
{
  const EvalOptions *o = eval->options;

  if (o->audio && !(eval->samples = eval_read_audio (o->audio, error)))
    return FALSE;
  return !o->image || (eval->image = eval_read_image (o->image, error));
}

/* Saves soft tokens; FALSE also if there are none. */
static gboolean
save_rows (Eval *eval, const gchar *name, const GArray *rows, GError **error)
{
  gint hidden = gemma_model_get_config (eval->model)->text.hidden;

  return rows && save (eval, name, NPY_F32, rows->data, 2, rows->len / hidden, hidden, error);
}

static gboolean
run (Eval *eval, GError **error)
{
  const EvalOptions *o = eval->options;
  g_autoptr (GArray) audio = NULL, image = NULL;
  gboolean ok = TRUE;

  if (g_mkdir_with_parents (o->out, 0777) != 0)
    return fail (error, "%s: cannot be made: %s", o->out, g_strerror (errno));
  if (o->layers)
    eval->states = eval_states_new ();
  if (!read_inputs (eval, error) || !load (eval, error))
    return FALSE;
  if (o->audio && !save_rows (eval, "audio-tokens.npy", audio = eval_encode_audio (eval, TRUE, error), error))
    return FALSE;
  if (o->image && !save_rows (eval, "image-tokens.npy", image = eval_encode_image (eval, error), error))
    return FALSE;
  if (o->prompt || o->ids) {
    GemmaPrompt *prompt = gemma_prompt_new ();

    ok = eval_make_prompt (eval, image, audio, prompt, error) && run_prompt (eval, prompt, error);
    gemma_prompt_free (prompt);
  }
  return ok && (!o->bench || eval_bench (eval, error));
}

int
main (int argc, char **argv)
{
  EvalOptions options = { .bench_prefill = 512, .bench_decode = 64, .bench_runs = 5 };
  Eval eval = { .options = &options };
  g_autoptr (GError) error = NULL;
  gboolean ok;

  setlocale (LC_ALL, "");
  ok = parse_options (&options, &argc, &argv, &error) && check_options (&options, argc, argv, &error) && run (&eval, &error);
  if (!ok)
    g_printerr ("gemma-eval: %s\n", error->message);
  g_clear_pointer (&eval.states, g_hash_table_unref);
  g_clear_pointer (&eval.samples, g_array_unref);
  g_clear_pointer (&eval.image, eval_image_free);
  g_clear_pointer (&eval.vision, gemma_vision_session_free);
  g_clear_pointer (&eval.submodel, gemma_lm_submodel_free);
  g_clear_pointer (&eval.model, gemma_model_unref);
  g_clear_pointer (&eval.device, ocl_device_unref);
  clear_options (&options);
  return ok ? 0 : 1;
}
