/* Gemma 3 through gemma-eval and gemmalm: a Hugging Face directory and a GGUF, a base model and one with turns. */
#include <glib/gstdio.h>
#include <string.h>

#include "models/model.h"
#include "tests/gemma3n/eval-files.h"

#define TEXT "English: {text}\nSpanish:"
#define SAID "English: Good morning.\nSpanish:"
#define TEMPLATE "{\"chat_template\": \"{{ bos_token }}<start_of_turn>user ...\"}"

/* The reference's logits and greedy ids, from either format. */
static void
check_ids_of (const gchar *model)
{
  g_autoptr (Npy) ids = golden ("tiny", "ids", NPY_I32), expected = golden ("tiny", "logits", NPY_F32);
  g_autoptr (Npy) rows = golden ("tiny", "logit-rows", NPY_I32), greedy = golden ("tiny", "greedy", NPY_I32);
  g_autofree gchar *list = eval_list_ids (ids->i32, PROMPT);
  eval_run (model, "--ids", list, "16");
  g_autoptr (Npy) logits = eval_result ("logits.npy"), generated = eval_result ("generated.npy");
  gint V = logits->dims[1];
  fail_unless_equals_int (logits->dims[0], PROMPT);
  for (gsize i = 0; i < rows->n && rows->i32[i] < PROMPT; i++)
    check_close ("logits", logits->f32 + rows->i32[i] * V, expected->f32 + i * V, V, GOLDEN_LIMIT);
  fail_unless_equals_int (generated->n, 16);
  fail_unless (memcmp (generated->i32, greedy->i32, 16 * sizeof (gint32)) == 0);
}

GST_START_TEST (test_ids_of_both_formats)
{
  check_ids_of (eval_files.directory);
  check_ids_of (eval_files.gguf);
}

GST_END_TEST;

static GemmaModel *
load (void)
{
  g_autoptr (GError) error = NULL;
  OclDevice *device = ocl_device_open (g_getenv ("GEMMA_TEST_DEVICE"), &error);
  GemmaModel *model = gemma_model_load (eval_files.directory, NULL, device, GEMMA_PART_TEXT, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  ocl_device_unref (device);
  return model;
}

/* A base model goes on with <bos> and the text as it is; one with a chat template gets a turn. */
GST_START_TEST (test_prompt)
{
  g_autofree gchar *config = g_build_filename (eval_files.directory, "tokenizer_config.json", NULL);
  g_autoptr (GArray) expected = g_array_new (FALSE, FALSE, sizeof (gint32));
  GemmaModel *model = load ();
  gint32 bos = 2, turn = gemma_tokenizer_find (gemma_model_get_tokenizer (model), "<start_of_turn>");
  g_array_append_val (expected, bos);
  gemma_tokenizer_encode (gemma_model_get_tokenizer (model), SAID " ", strlen (SAID) + 1, FALSE, expected);
  fail_if (gemma_model_get_config (model)->has_turns);
  gemma_model_unref (model);

  eval_run (eval_files.directory, "--prompt", SAID " ", "1");
  g_autoptr (Npy) plain = eval_result ("ids.npy");
  fail_unless_equals_int (plain->n, expected->len);
  fail_unless (memcmp (plain->i32, expected->data, plain->n * sizeof (gint32)) == 0);

  fail_unless (g_file_set_contents (config, TEMPLATE, -1, NULL));
  eval_run (eval_files.directory, "--prompt", SAID " ", "1");
  g_remove (config);
  g_autoptr (Npy) turns = eval_result ("ids.npy");
  fail_unless (turns->i32[0] == bos && turns->i32[1] == turn);
}

GST_END_TEST;

static gboolean
take (gint id, const gchar *text, gpointer user_data)
{
  g_string_append (user_data, text);
  return TRUE;
}

static void
put_text (GstElement *pipeline)
{
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  GstBuffer *buffer = gst_buffer_new_memdup ("Good morning.", 13);
  GstFlowReturn flow;
  GST_BUFFER_PTS (buffer) = 0;
  GST_BUFFER_DURATION (buffer) = GST_SECOND;
  g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
  gst_buffer_unref (buffer);
  g_signal_emit_by_name (src, "end-of-stream", &flow);
}

static void
on_text (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer user_data)
{
  GstMapInfo map;
  fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
  g_string_append_len (user_data, (const gchar *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
}

/* What gemmalm makes of "Good morning." in TEXT; NULL with its error's text in @message. (transfer full) */
static gchar *
answer (const gchar *model, const gchar *stop)
{
  g_autoptr (GError) error = NULL;
  GString *text = g_string_new (NULL);
  GstElement *pipeline = gst_parse_launch (
      "appsrc name=src format=time ! text/x-raw, format=utf8 ! "
      "gemmalm name=lm task=custom max-tokens=12 ! fakesink name=sink signal-handoffs=true sync=false", &error);
  g_assert_no_error (error);
  g_autoptr (GstElement) lm = gst_bin_get_by_name (GST_BIN (pipeline), "lm");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_object_set (lm, "model", model, "prompt", TEXT, "stop", stop, NULL);
  g_signal_connect (sink, "handoff", G_CALLBACK (on_text), text);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  put_text (pipeline);
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, 120 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return g_string_free (text, FALSE);
}

GST_START_TEST (test_gemmalm)
{
  GemmaModel *model = load ();
  GemmaPrompt *prompt = gemma_prompt_new ();
  GemmaContent content = { .kind = GEMMA_CONTENT_TEXT, .text = SAID };
  GemmaGenerateParams params = { .max_tokens = 12 };
  GemmaLmSessionParams session_params = { .context_size = 256 };
  GString *text = g_string_new (NULL);
  GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (model), &session_params, NULL);
  fail_unless (gemma_prompt_add_turn (prompt, model, &content, 1, FALSE, NULL));
  fail_unless (gemma_generate (model, session, prompt, &params, NULL, take, text, NULL, NULL));
  gemma_lm_session_free (session);
  gemma_prompt_free (prompt);
  gemma_model_unref (model);
  g_strstrip (text->str);

  g_autofree gchar *whole = answer (eval_files.directory, NULL);
  fail_unless (*whole, "no text");
  fail_unless_equals_string (whole, text->str);
  /* Up to what is named, as far as there is anything before it. */
  g_autofree gchar *stop = g_strdup (g_utf8_offset_to_pointer (whole, g_utf8_strlen (whole, -1) / 2));
  g_autofree gchar *expected = g_strndup (whole, strstr (whole, stop) - whole);
  g_autofree gchar *stopped = answer (eval_files.directory, stop);
  fail_unless_equals_string (stopped, g_strstrip (expected));
  g_string_free (text, TRUE);
}

GST_END_TEST;

GST_START_TEST (test_text_only)
{
  eval_check_lacks (GEMMA_PART_AUDIO, GEMMA_ERROR_UNSUPPORTED, "gemma3", "audio");
  eval_check_lacks (GEMMA_PART_VISION, GEMMA_ERROR_NOT_FOUND, eval_files.directory, "picture"); /* of this one */
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("gemma3_use");
  TCase *tc = tcase_create ("use");
  tcase_set_timeout (tc, 200);
  tcase_add_unchecked_fixture (tc, eval_files_setup, eval_files_teardown);
  tcase_add_test (tc, test_ids_of_both_formats);
  tcase_add_test (tc, test_prompt);
  tcase_add_test (tc, test_gemmalm);
  tcase_add_test (tc, test_text_only);
  suite_add_tcase (suite, tc);
  return gst_check_run_suite (suite, "gemma3_use", __FILE__);
}
