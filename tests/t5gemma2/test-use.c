/* T5Gemma 2 through gemma-eval: a Hugging Face directory and a GGUF. */
#include <glib/gstdio.h>
#include <string.h>

#include "models/model.h"
#include "tests/gemma3n/eval-files.h"

#define TEXT "Translate into French: Good morning. "
#define TEMPLATE "{\"chat_template\": \"{{ bos_token }}<start_of_turn>user ...\"}"

/* The reference's logits of the decoder's start, and its greedy ids, each of which is the best of its row of logits. */
static void
check_ids_of (const gchar *model)
{
  g_autoptr (Npy) source = golden ("tiny", "source", NPY_I32), expected = golden ("tiny", "logits", NPY_F32);
  g_autoptr (Npy) greedy = golden ("tiny", "greedy", NPY_I32);
  g_autofree gchar *all = eval_list_ids (source->i32, source->n), *few = eval_list_ids (source->i32, PROMPT);
  eval_run (model, "--ids", all, "0");
  g_autoptr (Npy) start = eval_result ("logits.npy"), ids = eval_result ("ids.npy");
  gint V = start->dims[1];
  fail_unless (ids->n == source->n && memcmp (ids->i32, source->i32, ids->n * sizeof (gint32)) == 0);
  fail_unless_equals_int (start->dims[0], 1);
  check_close ("logits of the start", start->f32, expected->f32, V, GOLDEN_LIMIT);

  eval_run (model, "--ids", few, "16");
  g_autoptr (Npy) logits = eval_result ("logits.npy"), generated = eval_result ("generated.npy");
  fail_unless_equals_int (generated->n, 16);
  fail_unless (memcmp (generated->i32, greedy->i32, 16 * sizeof (gint32)) == 0);
  fail_unless_equals_int (logits->dims[0], 16);
  for (gint i = 0; i < 16; i++)
    for (gint k = 0; k < V; k++)
      fail_unless (logits->f32[i * V + k] <= logits->f32[i * V + generated->i32[i]], "id %d at step %d", k, i);
}

GST_START_TEST (test_ids_of_both_formats)
{
  check_ids_of (eval_files.directory);
  check_ids_of (eval_files.gguf);
}

GST_END_TEST;

/* <bos> and the text as it is: there are only base models, whatever template a tokenizer brings from its family. */
GST_START_TEST (test_prompt)
{
  g_autofree gchar *config = g_build_filename (eval_files.directory, "tokenizer_config.json", NULL);
  g_autofree gchar *json = g_build_filename (eval_files.directory, "tokenizer.json", NULL);
  g_autoptr (GArray) expected = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  GemmaTokenizer *tokenizer = gemma_tokenizer_new_from_json (json, &error);
  gint32 bos = 2;
  g_assert_no_error (error);
  g_array_append_val (expected, bos);
  gemma_tokenizer_encode (tokenizer, TEXT, strlen (TEXT), FALSE, expected);
  gemma_tokenizer_free (tokenizer);
  fail_unless (g_file_set_contents (config, TEMPLATE, -1, NULL));
  eval_run (eval_files.directory, "--prompt", TEXT, "1");
  g_remove (config);
  g_autoptr (Npy) ids = eval_result ("ids.npy");
  fail_unless_equals_int (ids->n, expected->len);
  fail_unless (memcmp (ids->i32, expected->data, ids->n * sizeof (gint32)) == 0);
}

GST_END_TEST;

GST_START_TEST (test_text_only)
{
  eval_check_lacks (GEMMA_PART_AUDIO, GEMMA_ERROR_UNSUPPORTED, "t5gemma2", "audio");
  eval_check_lacks (GEMMA_PART_VISION, GEMMA_ERROR_NOT_FOUND, eval_files.directory, "picture"); /* of this one */
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("t5gemma2_use");
  TCase *tc = tcase_create ("use");
  tcase_set_timeout (tc, 300);
  tcase_add_unchecked_fixture (tc, eval_files_setup, eval_files_teardown);
  tcase_add_test (tc, test_ids_of_both_formats);
  tcase_add_test (tc, test_prompt);
  tcase_add_test (tc, test_text_only);
  suite_add_tcase (suite, tc);
  return gst_check_run_suite (suite, "t5gemma2_use", __FILE__);
}
