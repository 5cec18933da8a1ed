/* A whole model: loading, prompts against transformers' processor, a clip to text, generation. */
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "models/memory.h"
#include "models/model-private.h"
#include "small-model.h"
#include "tests/relative-error.h"
#include "tests/seeded-weights.h"
#include "tests/usm/usm-util.h"

static gchar *directory;

static void
setup (void)
{
  directory = small_model_write ();
}

static void
teardown (void)
{
  small_model_remove (directory);
}

/* ---- prompts --------------------------------------------------------------------------- */

static void
check_ids (const GemmaPrompt *prompt, const gint32 *expected, guint n, const gchar *what)
{
  fail_unless (prompt->ids->len == n && memcmp (prompt->ids->data, expected, n * sizeof *expected) == 0,
      "ids of \"%s\" differ", what);
}

/* The pieces of a turn, in order: "parts" of the row, or the text and perhaps a clip before it. */
static guint
read_parts (JsonObject *row, const gfloat *rows, GemmaContent *content)
{
  static const gchar *const names[] = { "text", "audio", "image" };
  JsonArray *parts = json_object_has_member (row, "parts") ? json_object_get_array_member (row, "parts") : NULL;
  guint n = 0;

  if (json_object_has_member (row, "audio"))
    content[n++] = (GemmaContent) { .kind = GEMMA_CONTENT_AUDIO };
  if (!parts)
    content[n++] = (GemmaContent) { .kind = GEMMA_CONTENT_TEXT };
  for (guint i = 0; parts && i < json_array_get_length (parts); i++, n++)
    for (guint k = 0; k < G_N_ELEMENTS (names); k++)
      if (g_str_equal (json_array_get_string_element (parts, i), names[k]))
        content[n] = (GemmaContent) { .kind = k };
  for (guint i = 0; i < n; i++) {
    content[i].text = json_object_get_string_member (row, "text");
    content[i].rows = rows;
    content[i].n_rows = content[i].kind == GEMMA_CONTENT_IMAGE ? GEMMA_VISION_TOKENS : 3;
  }
  return n;
}

static void
check_prompt (GemmaModel *model, JsonObject *row, const gfloat *rows)
{
  const gchar *text = json_object_get_string_member (row, "text");
  JsonArray *array = json_object_get_array_member (row, "ids");
  GemmaContent content[4];
  guint n = read_parts (row, rows, content), n_rows = 0;
  g_autofree gint32 *ids = g_new (gint32, json_array_get_length (array));
  GemmaPrompt *prompt = gemma_prompt_new ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < json_array_get_length (array); i++)
    ids[i] = json_array_get_int_element (array, i);
  /* Soft tokens and <end_of_audio> or <end_of_image>. */
  for (guint i = 0; i < n; i++)
    n_rows += content[i].kind == GEMMA_CONTENT_AUDIO ? 189 : content[i].kind == GEMMA_CONTENT_IMAGE ? 257 : 0;
  gemma_prompt_add_turn (prompt, model, content, n, TRUE, &error);
  g_assert_no_error (error);
  check_ids (prompt, ids, json_array_get_length (array), text);
  fail_unless_equals_int (prompt->rows->len, n_rows * gemma_model_get_config (model)->text.hidden);
  gemma_prompt_free (prompt);
}

GST_START_TEST (test_prompts_of_the_processor)
{
  /* The embedder of hard ids comes with the text part. */
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree gfloat *rows = g_new0 (gfloat, GEMMA_VISION_TOKENS * gemma_model_get_config (model)->text.hidden);
  JsonArray *all;

  fail_unless (gemma_model_get_usm (model) == NULL);
  fail_unless (json_parser_load_from_file (parser, GOLDEN_DIR "/model/prompts.json", NULL));
  all = json_node_get_array (json_parser_get_root (parser));
  fail_unless (json_array_get_length (all) > 50);
  for (guint i = 0; i < json_array_get_length (all); i++)
    check_prompt (model, json_array_get_object_element (all, i), rows);
  gemma_model_unref (model);
}
GST_END_TEST;

/* One <bos>; a turn that the model left open is closed once. */
GST_START_TEST (test_second_turn)
{
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  GemmaTokenizer *t = gemma_model_get_tokenizer (model);
  const GemmaContent content = { .kind = GEMMA_CONTENT_TEXT, .text = "a" };
  gint32 end = gemma_tokenizer_find (t, "<end_of_turn>"), a = gemma_tokenizer_find (t, "a");
  g_autoptr (GError) error = NULL;
  const gint32 *ids;
  guint n_bos = 0, n_end = 0, n_first, lengths[2];

  for (gint closed = 0; closed < 2; closed++) {
    GemmaPrompt *prompt = gemma_prompt_new ();

    gemma_prompt_add_turn (prompt, model, &content, 1, FALSE, &error);
    n_first = prompt->ids->len;
    g_array_append_val (prompt->ids, a);
    if (closed)
      g_array_append_val (prompt->ids, end);
    gemma_prompt_add_turn (prompt, model, &content, 1, FALSE, &error);
    g_assert_no_error (error);
    ids = (const gint32 *) (gpointer) prompt->ids->data;
    n_bos = n_end = 0;
    for (guint i = 0; i < prompt->ids->len; i++) {
      n_bos += ids[i] == gemma_model_get_config (model)->bos_id;
      n_end += ids[i] == end;
    }
    fail_unless_equals_int (n_bos, 1);
    fail_unless_equals_int (n_end, 3);
    /* The second turn is the first without <bos>, after "a<end_of_turn>\n". */
    fail_unless (memcmp (ids + 1, ids + n_first + 3, (n_first - 1) * sizeof *ids) == 0);
    lengths[closed] = prompt->ids->len;
    gemma_prompt_free (prompt);
  }
  fail_unless_equals_int (lengths[0], lengths[1]);
  gemma_model_unref (model);
}
GST_END_TEST;

GST_START_TEST (test_bad_prompts)
{
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  const GemmaConfig *config = gemma_model_get_config (model);
  const gint32 bad[] = { -1, config->text.vocab_size, config->audio_token_id, config->image_token_id };
  /* A picture has 256 soft tokens. */
  g_autofree gfloat *rows = g_new0 (gfloat, 188 * config->text.hidden);
  const GemmaContent image = { .kind = GEMMA_CONTENT_IMAGE, .rows = rows, .n_rows = 188 };
  GemmaPrompt *prompt = gemma_prompt_new ();
  gint32 good[] = { 2, 10, config->eoa_id };

  fail_unless (gemma_prompt_add_ids (prompt, model, good, 3, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    const gint32 ids[] = { 5, config->eoa_id, bad[i] };

    fail_if (gemma_prompt_add_ids (prompt, model, ids, 3, &error), "id %d was taken", bad[i]);
    fail_unless (error->domain == GEMMA_ERROR);
  }
  fail_if (gemma_prompt_add_turn (prompt, model, &image, 1, FALSE, NULL));
  /* What failed left nothing behind. */
  check_ids (prompt, good, 3, "after failures");
  fail_unless_equals_int (prompt->rows->len, config->text.hidden);
  gemma_prompt_free (prompt);
  gemma_model_unref (model);
}
GST_END_TEST;

/* ---- a clip to text ------------------------------------------------------------------------ */

static gboolean
collect (gint id, const gchar *text, gpointer user_data)
{
  gint32 value = id;

  fail_unless (g_utf8_validate (text, -1, NULL));
  g_array_append_val ((GArray *) user_data, value);
  return TRUE;
}

static GArray *
encode_clip (GemmaModel *model)
{
  g_autofree gfloat *samples = usm_signal (CLIP);
  g_autoptr (GError) error = NULL;
  GemmaUsmStream *stream = gemma_usm_stream_new (gemma_model_get_usm (model), &error);
  GArray *rows = g_array_new (FALSE, FALSE, sizeof (gfloat));

  g_assert_no_error (error);
  fail_unless (gemma_usm_stream_push (stream, samples, CLIP, rows, NULL) && gemma_usm_stream_drain (stream, rows, NULL));
  gemma_usm_stream_free (stream);
  return rows;
}

/* Generates after @prompt and compares ids, logits and what is generated with the golden files of @name. */
static void
check_answer (GemmaModel *model, const GemmaPrompt *prompt, const gchar *name)
{
  g_autofree gchar *ids_name = g_strconcat (name, "-ids", NULL), *logits_name = g_strconcat (name, "-logits", NULL),
      *generated_name = g_strconcat (name, "-generated", NULL), *margins_name = g_strconcat (name, "-margins", NULL);
  g_autoptr (Npy) ids = small_model_golden (ids_name, NPY_I32), last = small_model_golden (logits_name, NPY_F32);
  g_autoptr (Npy) greedy = small_model_golden (generated_name, NPY_I32), margins = small_model_golden (margins_name, NPY_F32);
  gint vocab = gemma_model_get_config (model)->text.vocab_size;
  const GemmaLmSessionParams session_params = { .context_size = ids->n + greedy->n };
  const GemmaGenerateParams params = { .max_tokens = greedy->n, .sampler = GEMMA_SAMPLER_GREEDY, .ignore_eos = TRUE };
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree gfloat *logits = g_new (gfloat, ids->n * vocab);
  GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (model), &session_params, NULL);
  g_autoptr (GError) error = NULL;

  check_ids (prompt, ids->i32, ids->n, name);
  gemma_generate (model, session, prompt, &params, logits, collect, found, NULL, &error);
  g_assert_no_error (error);
  fail_unless (relative_error (logits + (ids->n - last->dims[0]) * vocab, last->f32, last->n) < 1e-3);
  fail_unless_equals_int (found->len, greedy->n);
  for (guint i = 0; i < found->len; i++) {
    /* From a near tie on, both continuations are right. */
    if (margins->f32[i] < .02f)
      break;
    fail_unless_equals_int (g_array_index (found, gint32, i), greedy->i32[i]);
  }
  gemma_lm_session_free (session);
}

static void
add_turn (GemmaPrompt *prompt, GemmaModel *model, const GemmaContent *content, guint n)
{
  g_autoptr (GError) error = NULL;

  gemma_prompt_add_turn (prompt, model, content, n, TRUE, &error);
  g_assert_no_error (error);
}

/* Samples to greedy ids, as transformers computes them in float32. */
GST_START_TEST (test_clip_to_text)
{
  g_autoptr (Npy) soft = small_model_golden ("clip-soft", NPY_F32);
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT | GEMMA_PART_AUDIO);
  g_autoptr (GArray) rows = encode_clip (model);
  const GemmaContent content[] = {
    {.kind = GEMMA_CONTENT_AUDIO, .rows = (const gfloat *) (gpointer) rows->data,
        .n_rows = rows->len / gemma_model_get_config (model)->text.hidden},
    {.kind = GEMMA_CONTENT_TEXT, .text = TRANSCRIBE}
  };
  GemmaPrompt *prompt = gemma_prompt_new ();

  add_turn (prompt, model, content, 2);
  /* 1e-3 is the project's tolerance against the reference in float32; 1e-4 leaves room for other devices. */
  fail_unless (relative_error ((const gfloat *) (gpointer) prompt->rows->data, soft->f32, soft->n) < 1e-4);
  check_answer (model, prompt, "clip");
  gemma_prompt_free (prompt);
  gemma_model_unref (model);
}
GST_END_TEST;

/* A picture, a clip and a question in one prompt. */
GST_START_TEST (test_scene_to_text)
{
  g_autoptr (Npy) soft = small_model_golden ("clip-soft", NPY_F32);
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  gint hidden = gemma_model_get_config (model)->text.hidden;
  g_autofree gfloat *image = g_new (gfloat, GEMMA_VISION_TOKENS * hidden);
  const SeededTensor rows = { .name = "image_rows", .n_dims = 2, .dims = { GEMMA_VISION_TOKENS, hidden },
    .n = GEMMA_VISION_TOKENS * hidden, .mean = 0., .std = 1. };
  const GemmaContent content[] = {
    {.kind = GEMMA_CONTENT_IMAGE, .rows = image, .n_rows = GEMMA_VISION_TOKENS},
    {.kind = GEMMA_CONTENT_AUDIO, .rows = soft->f32, .n_rows = soft->dims[0]},
    {.kind = GEMMA_CONTENT_TEXT, .text = "What is seen and heard?"}
  };
  GemmaPrompt *prompt = gemma_prompt_new ();

  seeded_fill (image, &rows, SMALL_MODEL_SEED, 0, rows.n);
  add_turn (prompt, model, content, 3);
  check_answer (model, prompt, "scene");
  gemma_prompt_free (prompt);
  gemma_model_unref (model);
}
GST_END_TEST;

/* ---- generation ------------------------------------------------------------------------------ */

typedef struct
{
  guint n, stop_after;
  GCancellable *cancel;
} Watch;

static gboolean
watch (gint id, const gchar *text, gpointer user_data)
{
  Watch *w = user_data;

  if (++w->n == w->stop_after && w->cancel)
    g_cancellable_cancel (w->cancel);
  return w->cancel || w->n != w->stop_after;
}

static gboolean
generate (GemmaModel *model, gint context, const GemmaGenerateParams *params, Watch *w, GError **error)
{
  const GemmaContent content = { .kind = GEMMA_CONTENT_TEXT, .text = "abc" };
  const GemmaLmSessionParams session_params = { .context_size = context };
  GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (model), &session_params, NULL);
  GemmaPrompt *prompt = gemma_prompt_new ();
  gboolean ok;

  fail_unless (gemma_prompt_add_turn (prompt, model, &content, 1, FALSE, NULL));
  ok = gemma_generate (model, session, prompt, params, NULL, watch, w, w->cancel, error);
  gemma_prompt_free (prompt);
  gemma_lm_session_free (session);
  return ok;
}

GST_START_TEST (test_generation_stops)
{
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  GemmaGenerateParams params = { .max_tokens = 40, .sampler = GEMMA_SAMPLER_GREEDY, .ignore_eos = TRUE };
  g_autoptr (GError) error = NULL, too_long = NULL;
  Watch all = { 0, }, some = { .stop_after = 5 }, cancelled = { .stop_after = 7, .cancel = g_cancellable_new () };
  Watch none = { 0, }, over = { 0, };

  fail_unless (generate (model, 64, &params, &all, NULL));
  fail_unless_equals_int (all.n, 40);
  fail_unless (generate (model, 64, &params, &some, NULL));
  fail_unless_equals_int (some.n, 5);
  fail_if (generate (model, 64, &params, &cancelled, &error));
  g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED);
  fail_unless_equals_int (cancelled.n, 7);
  params.max_tokens = 0;
  fail_unless (generate (model, 64, &params, &none, NULL));
  fail_unless_equals_int (none.n, 0);
  fail_if (generate (model, 4, &params, &over, &too_long));
  g_assert_error (too_long, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG);
  g_object_unref (cancelled.cancel);
  gemma_model_unref (model);
}
GST_END_TEST;

/* @n ids that repeat every @period. */
static gboolean
loops (guint n, guint period)
{
  g_autofree gint32 *ids = g_new (gint32, n + 3);

  for (guint i = 0; i < n; i++)
    ids[3 + i] = 1000 + i % period;
  ids[0] = ids[1] = ids[2] = 7;
  return gemma_is_looping (ids, n + 3);
}

/* How likely an end token is after what @logits are of. */
static gdouble
probability_of_end (GemmaModel *model, const gfloat *logits)
{
  const GemmaConfig *config = gemma_model_get_config (model);
  gdouble sum = 0, ends = 0;

  for (gint i = 0; i < config->text.vocab_size; i++)
    sum += exp (logits[i]);
  for (gint i = 0; i < config->n_eos; i++)
    ends += exp (logits[config->eos_ids[i]]);
  return ends / sum;
}

/* The least bit below the threshold there is an answer, the least bit above it there is none. */
GST_START_TEST (test_end_threshold)
{
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  g_autofree gfloat *logits = g_new (gfloat, 4 * gemma_model_get_config (model)->text.vocab_size);
  GemmaGenerateParams params = { .max_tokens = 4, .sampler = GEMMA_SAMPLER_GREEDY, .chosen_from = logits };
  Watch plain = { 0, }, below = { 0, }, above = { 0, };

  fail_unless (generate (model, 64, &params, &plain, NULL));
  fail_unless (plain.n > 0);
  gdouble p = probability_of_end (model, logits);
  fail_unless (p > 0 && p < .5);
  params.end_threshold = p * 1.001;
  fail_unless (generate (model, 64, &params, &below, NULL));
  fail_unless_equals_int (below.n, plain.n);
  params.end_threshold = p * .999;
  fail_unless (generate (model, 64, &params, &above, NULL));
  fail_unless_equals_int (above.n, 0);
  gemma_model_unref (model);
}
GST_END_TEST;

GST_START_TEST (test_repetition_stop)
{
  fail_unless (loops (24, 1) && loops (24, 2) && loops (24, 3) && loops (32, 4) && loops (128, 16) && loops (300, 5));
  /* Too few repeats, too short, too long a period, or none at all. */
  fail_if (loops (23, 1) || loops (23, 3) || loops (31, 4) || loops (127, 16) || loops (400, 17) || loops (500, 500));
  fail_if (gemma_is_looping (NULL, 0));
}
GST_END_TEST;

/* The same seed gives the same text, another one another. */
static gboolean
append_id (gint id, const gchar *text, gpointer user_data)
{
  g_string_append_printf (user_data, "%d,", id);
  return TRUE;
}

GST_START_TEST (test_seeded_generation)
{
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  const gint32 ids[] = { 2, 300, 301 };
  const guint64 seeds[] = { 1, 1, 2 };
  GString *texts[3];

  for (gint i = 0; i < 3; i++) {
    const GemmaGenerateParams params = { .max_tokens = 12, .sampler = {.temperature = 1., .top_p = .95, .top_k = 64, .seed = seeds[i]} };
    const GemmaLmSessionParams session_params = { .context_size = 32 };
    GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (model), &session_params, NULL);
    GemmaPrompt *prompt = gemma_prompt_new ();

    texts[i] = g_string_new (NULL);
    fail_unless (gemma_prompt_add_ids (prompt, model, ids, 3, NULL));
    fail_unless (gemma_generate (model, session, prompt, &params, NULL, append_id, texts[i], NULL, NULL));
    gemma_prompt_free (prompt);
    gemma_lm_session_free (session);
  }
  fail_unless_equals_string (texts[0]->str, texts[1]->str);
  fail_if (strcmp (texts[0]->str, texts[2]->str) == 0);
  for (gint i = 0; i < 3; i++)
    g_string_free (texts[i], TRUE);
  gemma_model_unref (model);
}
GST_END_TEST;

/* ---- a session that remembers --------------------------------------------------------------------- */

/* A clip of @n_rows after @text, and what is said already. (transfer full) */
static GemmaPrompt *
grow (GemmaModel *model, const gchar *text, const gfloat *rows, gint n_rows, const gint32 *said, guint n_said)
{
  const GemmaContent content[] = {
    {.kind = GEMMA_CONTENT_TEXT, .text = text},
    {.kind = GEMMA_CONTENT_AUDIO, .rows = rows, .n_rows = n_rows}
  };
  GemmaPrompt *prompt = gemma_prompt_new ();

  fail_unless (gemma_prompt_add_turn (prompt, model, content, 2, FALSE, NULL));
  fail_unless (gemma_prompt_add_ids (prompt, model, said, n_said, NULL));
  return prompt;
}

/* The answer to @prompt in @memory is that of a fresh session. Returns how many positions were known; consumes it. */
static guint
check_memory (GemmaModel *model, GemmaMemory *memory, GemmaPrompt *prompt)
{
  const GemmaGenerateParams params = { .max_tokens = 8, .sampler = GEMMA_SAMPLER_GREEDY, .ignore_eos = TRUE };
  const GemmaLmSessionParams session_params = { .context_size = 256 };
  GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (model), &session_params, NULL);
  GString *texts[2] = { g_string_new (NULL), g_string_new (NULL) };
  guint reused;

  fail_unless (gemma_generate (model, session, prompt, &params, NULL, append_id, texts[0], NULL, NULL));
  fail_unless (gemma_memory_generate (memory, prompt, &params, append_id, texts[1], &reused, NULL, NULL));
  fail_unless_equals_string (texts[0]->str, texts[1]->str);
  g_string_free (texts[0], TRUE);
  g_string_free (texts[1], TRUE);
  gemma_lm_session_free (session);
  gemma_prompt_free (prompt);
  return reused;
}

GST_START_TEST (test_memory)
{
  g_autoptr (Npy) soft = small_model_golden ("clip-soft", NPY_F32);
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  const GemmaLmSessionParams params = { .context_size = 256, .rollback = 40 };
  GemmaMemory *memory = gemma_memory_new (model, &params, NULL);
  g_autofree gfloat *other = g_memdup2 (soft->f32, soft->n * sizeof (gfloat));
  const GemmaGenerateParams none = { .max_tokens = 4, .sampler = GEMMA_SAMPLER_GREEDY };
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  const gint32 said[] = { 300, 301 };
  guint reused;

  fail_unless_equals_int (check_memory (model, memory, grow (model, TRANSCRIBE, soft->f32, 4, NULL, 0)), 0);
  /* The instruction, <start_of_audio> and what was heard before are there. */
  guint known = check_memory (model, memory, grow (model, TRANSCRIBE, soft->f32, 7, NULL, 0));
  fail_unless (known > 4 + 8);
  fail_unless_equals_int (check_memory (model, memory, grow (model, TRANSCRIBE, soft->f32, 9, said, 2)), known + 3);
  /* The same again: all but the last position. */
  GemmaPrompt *same = grow (model, TRANSCRIBE, soft->f32, 9, said, 2);
  guint n = same->ids->len;
  fail_unless_equals_int (check_memory (model, memory, same), n - 1);
  /* Another sound after one row, then another instruction. */
  other[gemma_model_get_config (model)->text.hidden] += 1.f;
  fail_unless_equals_int (check_memory (model, memory, grow (model, TRANSCRIBE, other, 9, NULL, 0)), known - 3);
  fail_unless (check_memory (model, memory, grow (model, "b", other, 9, NULL, 0)) < known - 4);

  /* What was cancelled is not remembered. */
  g_cancellable_cancel (cancelled);
  GemmaPrompt *longer = grow (model, "b", other, 11, NULL, 0);
  fail_if (gemma_memory_generate (memory, longer, &none, append_id, NULL, &reused, cancelled, NULL));
  fail_unless (check_memory (model, memory, longer) <= reused);
  gemma_memory_free (memory);
  gemma_model_unref (model);
}
GST_END_TEST;

static gboolean
keep_id (gint id, const gchar *text, gpointer ids)
{
  gint32 said = id;

  g_array_append_val (ids, said);
  return TRUE;
}

/* Several prompts go on where one answer ended, each in its own way. */
GST_START_TEST (test_memory_of_an_answer)
{
  g_autoptr (Npy) soft = small_model_golden ("clip-soft", NPY_F32);
  GemmaModel *model = small_model_load (directory, GEMMA_PART_TEXT);
  const GemmaLmSessionParams session_params = { .context_size = 256, .rollback = 40 };
  const GemmaGenerateParams params = { .max_tokens = 8, .sampler = GEMMA_SAMPLER_GREEDY, .ignore_eos = TRUE };
  GemmaMemory *memory = gemma_memory_new (model, &session_params, NULL);
  GemmaPrompt *prompt = grow (model, TRANSCRIBE, soft->f32, 9, NULL, 0);
  g_autoptr (GArray) said = g_array_new (FALSE, FALSE, sizeof (gint32));
  guint n = prompt->ids->len, held = 0, reused;

  fail_unless (gemma_memory_generate (memory, prompt, &params, keep_id, said, &reused, NULL, NULL));
  fail_unless_equals_int (said->len, 8);
  /* The last token was never fed back, and one that stands for a row, as random weights may say, is not held. */
  while (held < 7 && !gemma_text_config_is_soft (&gemma_model_get_config (model)->text, g_array_index (said, gint32, held)))
    held++;
  fail_unless (held >= 2);
  gemma_prompt_free (prompt);
  for (gint32 line = 300; line < 303; line++) {
    g_array_set_size (said, 8);
    g_array_append_val (said, line);
    /* The second line finds all of it there. */
    fail_unless_equals_int (check_memory (model, memory,
            grow (model, TRANSCRIBE, soft->f32, 9, (const gint32 *) (gpointer) said->data, 9)), line == 300 ? n + held : n + 8);
  }
  gemma_memory_free (memory);
  gemma_model_unref (model);
}
GST_END_TEST;

/* ---- loading ----------------------------------------------------------------------------------- */

typedef struct
{
  gdouble last;
  guint n;
} Progress;

static void
take_progress (gdouble fraction, const gchar *what, gpointer user_data)
{
  Progress *progress = user_data;

  fail_unless (fraction >= progress->last && fraction <= 1. && what != NULL, "%g after %g", fraction, progress->last);
  progress->last = fraction;
  progress->n++;
}

GST_START_TEST (test_progress_and_cancel)
{
  OclDevice *device = ocl_device_open (g_getenv ("GEMMA_DEVICE"), NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Progress progress = { 0, };
  GemmaModel *model = gemma_model_load (directory, NULL, device, GEMMA_PART_TEXT | GEMMA_PART_AUDIO, cancellable,
      take_progress, &progress, NULL);

  fail_unless (model != NULL && progress.n > 4);
  fail_unless (gemma_model_get_mapped_bytes (model) > 1000000);
  gemma_model_unref (model);
  g_cancellable_cancel (cancellable);
  fail_unless (gemma_model_load (directory, NULL, device, GEMMA_PART_TEXT, cancellable, NULL, NULL, &error) == NULL);
  g_assert_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED);
  ocl_device_unref (device);
}
GST_END_TEST;

static void
expect_probe_error (const gchar *path, GemmaParts parts, GemmaError code, const gchar *message)
{
  g_autoptr (GError) error = NULL;
  GemmaConfig *config = gemma_model_probe (path, NULL, parts, &error);

  fail_unless (config == NULL && error != NULL);
  fail_unless (g_error_matches (error, GEMMA_ERROR, code), "%s", error->message);
  fail_unless (strstr (error->message, message) != NULL, "\"%s\" does not say \"%s\"", error->message, message);
}

GST_START_TEST (test_probe)
{
  g_autofree gchar *empty = g_dir_make_tmp ("gemma-test-XXXXXX", NULL);
  g_autoptr (GError) error = NULL;
  GemmaConfig *config = gemma_model_probe (directory, NULL, GEMMA_PART_TEXT | GEMMA_PART_AUDIO, &error);

  g_assert_no_error (error);
  fail_unless (config->has_audio && config->has_vision);
  gemma_config_free (config);
  expect_probe_error ("/nonexistent", GEMMA_PART_TEXT, GEMMA_ERROR_NOT_FOUND, "Hugging Face directory or a .gguf");
  fail_unless (gemma_model_probe (empty, NULL, GEMMA_PART_TEXT, NULL) == NULL);
  g_rmdir (empty);
}
GST_END_TEST;

static void
expect_load_error (GemmaParts parts, const gchar *message)
{
  OclDevice *device = ocl_device_open (g_getenv ("GEMMA_DEVICE"), NULL);
  g_autoptr (GError) error = NULL;

  fail_unless (gemma_model_load (directory, NULL, device, parts, NULL, NULL, NULL, &error) == NULL);
  fail_unless (strstr (error->message, message) != NULL, "\"%s\" does not say \"%s\"", error->message, message);
  ocl_device_unref (device);
}

/* The small model can take soft tokens of pictures, but has no tower that makes them. */
GST_START_TEST (test_missing_tower)
{
  expect_load_error (GEMMA_PART_VISION, "has no picture encoder");
}
GST_END_TEST;

/* A tokenizer that is missing, or another model's. */
GST_START_TEST (test_wrong_tokenizer)
{
  static const gchar other[] = "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []}}";
  g_autofree gchar *path = g_build_filename (directory, "tokenizer.json", NULL), *data = NULL;
  gsize length;

  fail_unless (g_file_get_contents (path, &data, &length, NULL));
  g_unlink (path);
  expect_load_error (GEMMA_PART_TEXT, "tokenizer.json: the file is missing");
  fail_unless (g_file_set_contents (path, other, -1, NULL));
  expect_load_error (GEMMA_PART_TEXT, "the tokenizer has 2 tokens, the embedding 4096 rows of which 3968 are text's");
  fail_unless (g_file_set_contents (path, data, length, NULL));
}
GST_END_TEST;

static Suite *
model_suite (void)
{
  Suite *s = suite_create ("model");
  TCase *tc = tcase_create ("small");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 120);
  tcase_add_unchecked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_prompts_of_the_processor);
  tcase_add_test (tc, test_second_turn);
  tcase_add_test (tc, test_bad_prompts);
  tcase_add_test (tc, test_clip_to_text);
  tcase_add_test (tc, test_scene_to_text);
  tcase_add_test (tc, test_generation_stops);
  tcase_add_test (tc, test_end_threshold);
  tcase_add_test (tc, test_repetition_stop);
  tcase_add_test (tc, test_seeded_generation);
  tcase_add_test (tc, test_memory);
  tcase_add_test (tc, test_memory_of_an_answer);
  tcase_add_test (tc, test_progress_and_cancel);
  tcase_add_test (tc, test_probe);
  tcase_add_test (tc, test_missing_tower);
  tcase_add_test (tc, test_wrong_tokenizer);
  return s;
}

GST_CHECK_MAIN (model);
