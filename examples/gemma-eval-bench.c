/* gemma-eval --bench: medians after a warm-up, on random ids. */
#include "gemma-eval.h"

#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP 512 /* positions at most: a long prefill is not done twice to warm up */
#define SOFT_CONTEXT 1024 /* positions of a picture, a clip and what is around them */

static gint
compare (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

static gdouble
median (gdouble *values, gint n)
{
  qsort (values, n, sizeof *values, compare);
  return values[n / 2];
}

static gdouble
now (void)
{
  return g_get_monotonic_time () / (gdouble) G_USEC_PER_SEC;
}

typedef struct
{
  GemmaLmSession *session;
  gint32 *ids;                  /* prefill, then decode */
  gint prefill, decode;
  gfloat *logits;
} Text;

/* One prefill and the decoding after it, in seconds. */
static gboolean
run_text (Text *text, gdouble *prefill, gdouble *decode, GError **error)
{
  gdouble start = now (), middle;

  gemma_lm_session_truncate (text->session, 0);
  if (!gemma_lm_session_append (text->session, text->ids, text->prefill, NULL, text->logits, FALSE, NULL, error))
    return FALSE;
  middle = now ();
  for (gint i = 0; i < text->decode; i++)
    if (!gemma_lm_session_append (text->session, &text->ids[text->prefill + i], 1, NULL, text->logits, FALSE, NULL, error))
      return FALSE;
  *prefill = middle - start;
  *decode = now () - middle;
  return TRUE;
}

static gboolean
bench_text (Eval *eval, gdouble *prefill_rate, gdouble *decode_rate, GError **error)
{
  const GemmaTextConfig *config = &gemma_model_get_config (eval->model)->text;
  Text text = { .prefill = eval->options->bench_prefill, .decode = eval->options->bench_decode };
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  gint n = text.prefill + text.decode, runs = eval->options->bench_runs;
  g_autofree gdouble *prefill = g_new (gdouble, runs), *decode = g_new (gdouble, runs);
  gboolean ok;

  text.session = eval_session_new (eval, n, error);
  if (!text.session)
    return FALSE;
  text.logits = g_new (gfloat, config->vocab_size);
  text.ids = g_new (gint32, n);
  for (gint i = 0; i < n; i++)
    do
      text.ids[i] = g_rand_int_range (rand, 0, MIN (config->first_soft_id, config->vocab_size));
    while (gemma_text_config_is_soft (config, text.ids[i]));
  text.prefill = MIN (text.prefill, WARM_UP);
  ok = run_text (&text, &prefill[0], &decode[0], error);
  text.prefill = eval->options->bench_prefill;
  for (gint i = 0; ok && i < runs; i++)
    ok = run_text (&text, &prefill[i], &decode[i], error);
  if (ok) {
    *prefill_rate = text.prefill / median (prefill, runs);
    *decode_rate = text.decode / median (decode, runs);
  }
  gemma_lm_session_free (text.session);
  g_free (text.logits);
  g_free (text.ids);
  return ok;
}

static GArray *
encode_audio (Eval *eval, GError **error)
{
  return eval_encode_audio (eval, FALSE, error);
}

static gboolean
bench_encoder (Eval *eval, GArray *(*encode) (Eval *, GError **), gdouble *result, GError **error)
{
  gint runs = eval->options->bench_runs;
  g_autofree gdouble *seconds = g_new (gdouble, runs);

  for (gint i = -1; i < runs; i++) {
    gdouble start = now ();
    g_autoptr (GArray) rows = encode (eval, error);

    if (!rows)
      return FALSE;
    seconds[MAX (i, 0)] = now () - start;
  }
  *result = median (seconds, runs);
  return TRUE;
}

static gboolean
take_first (gint id, const gchar *text, gpointer user_data)
{
  return FALSE;
}

/* From a picture, a clip and a prompt, of which some may be missing, to the first token. */
static gboolean
run_first_token (Eval *eval, GemmaLmSession *session, GemmaPrompt *prompt, GError **error)
{
  const GemmaGenerateParams params = { .max_tokens = 1, .sampler = GEMMA_SAMPLER_GREEDY, .ignore_eos = TRUE };
  g_autoptr (GArray) audio = NULL, image = NULL;

  gemma_lm_session_truncate (session, 0);
  return (!eval->samples || (audio = eval_encode_audio (eval, TRUE, error)))
      && (!eval->image || (image = eval_encode_image (eval, error)))
      && eval_make_prompt (eval, image, audio, prompt, error)
      && gemma_generate (eval->model, session, prompt, &params, NULL, take_first, NULL, NULL, error);
}

static gboolean
bench_first_token (Eval *eval, gint *positions, gdouble *result, GError **error)
{
  gint runs = eval->options->bench_runs;
  g_autofree gdouble *seconds = g_new (gdouble, runs);
  GemmaLmSession *session = eval_session_new (eval, SOFT_CONTEXT + strlen (eval->options->prompt), error);
  gboolean ok = session != NULL;

  for (gint i = -1; ok && i < runs; i++) {
    GemmaPrompt *prompt = gemma_prompt_new ();
    gdouble start = now ();

    ok = run_first_token (eval, session, prompt, error);
    seconds[MAX (i, 0)] = now () - start;
    *positions = prompt->ids->len;
    gemma_prompt_free (prompt);
  }
  if (ok)
    *result = median (seconds, runs);
  g_clear_pointer (&session, gemma_lm_session_free);
  return ok;
}

/* A line of /proc/self/status in bytes, 0 where there is none. */
static gint64
read_status (const gchar *key)
{
  g_autofree gchar *data = NULL;
  const gchar *line;

  if (!g_file_get_contents ("/proc/self/status", &data, NULL, NULL) || !(line = strstr (data, key)))
    return 0;
  return g_ascii_strtoll (line + strlen (key), NULL, 10) * 1024;
}

static void
add_double (JsonObject *object, const gchar *key, gdouble value)
{
  if (value > 0.)
    json_object_set_double_member (object, key, value);
  else
    json_object_set_null_member (object, key);
}

gboolean
eval_bench (Eval *eval, GError **error)
{
  gdouble prefill = 0., decode = 0., audio = 0., image = 0., first_token = 0.;
  gint positions = 0;
  g_autofree gchar *path = g_build_filename (eval->options->out, "bench.json", NULL);
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  JsonObject *o = json_object_new ();

  json_node_take_object (root, o);
  if (!bench_text (eval, &prefill, &decode, error)
      || (eval->samples && !bench_encoder (eval, encode_audio, &audio, error))
      || (eval->image && !bench_encoder (eval, eval_encode_image, &image, error))
      || (eval->options->prompt && !bench_first_token (eval, &positions, &first_token, error)))
    return FALSE;
  add_double (o, "prefill_tokens_per_second", prefill);
  add_double (o, "decode_tokens_per_second", decode);
  add_double (o, "audio_encoder_seconds", audio);
  add_double (o, "image_encoder_seconds", image);
  add_double (o, "first_token_seconds", first_token);
  add_double (o, "first_token_positions", positions);
  add_double (o, "load_seconds", eval->load_seconds);
  json_object_set_int_member (o, "device_bytes", ocl_device_get_allocated (eval->device));
  json_object_set_int_member (o, "resident_bytes", read_status ("\nRssAnon:") + read_status ("\nRssShmem:"));
  json_object_set_int_member (o, "page_cache_bytes", read_status ("\nRssFile:"));
  json_object_set_int_member (o, "mapped_bytes", gemma_model_get_mapped_bytes (eval->model));
  json_object_set_int_member (o, "peak_resident_bytes", read_status ("\nVmHWM:"));
  json_generator_set_pretty (generator, TRUE);
  json_generator_set_root (generator, root);
  g_print ("prefill %.2f tokens/s, decode %.2f tokens/s", prefill, decode);
  if (eval->samples)
    g_print (", audio encoder %.3f s for %.2f s", audio, eval->samples->len / 16000.);
  if (eval->image)
    g_print (", picture encoder %.3f s", image);
  if (eval->options->prompt)
    g_print (", first token %.3f s after what makes %d positions", first_token, positions);
  g_print (" on %s\n", ocl_device_get_name (eval->device));
  return json_generator_to_file (generator, path, error);
}
