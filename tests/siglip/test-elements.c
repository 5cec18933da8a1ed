/* A frame of video through gemmavisionenc and gemmasink, with tiny models that see with SigLIP: what they say is what
 * gemma-eval says of the same picture. */
#include <png.h>
#include <string.h>

#include "fixture.h"
#include "models/model.h"
#include "models/task.h"
#include "tests/gemma-eval.h"

#define WIDTH 90
#define HEIGHT 50
#define N_TOKENS 12
#define N_TOKENS_TEXT "12"

/* A whole model. (transfer full): seeded_remove() */
static gchar *
write_model (gint which)
{
  g_autofree gchar *golden = g_build_filename (GOLDEN_DIR, GOLDEN_AREA, siglip_size (which), NULL);
  g_autofree gchar *config = g_build_filename (golden, "config.json", NULL);
  g_autofree gchar *list = g_build_filename (golden, "tensors.txt", NULL);
  g_autofree gchar *processor = g_build_filename (golden, "preprocessor_config.json", NULL);
  gchar *directory = seeded_write_hf (config, list, SEED, OCL_TYPE_F32);
  seeded_add_file (directory, processor);
  seeded_add_file (directory, GOLDEN_DIR "/tokenizer/tokenizer.json");
  return directory;
}

static void
fill_picture (guint8 *rgb)
{
  for (gint i = 0; i < HEIGHT; i++)
    for (gint k = 0; k < 3 * WIDTH; k++)
      rgb[i * 3 * WIDTH + k] = k % 3 == 0 ? 2 * k / 3 : k % 3 == 1 ? 5 * i : (k / 30 + i / 8) % 2 * 255;
}

/* What gemma-eval's greedy ids say, as an element would hand it on. (transfer full) */
static gchar *
ask_eval (const gchar *directory, const guint8 *rgb)
{
  g_autofree gchar *png = g_build_filename (directory, "picture.png", NULL), *message = NULL;
  g_autofree gchar *json = g_build_filename (directory, "tokenizer.json", NULL);
  g_autofree gchar *prompt = gemma_task_instruction (GEMMA_TASK_DESCRIBE, "en", "en", NULL);
  const gchar *arguments[] = { "--model", directory, "--image", png, "--prompt", prompt, "--generate", N_TOKENS_TEXT,
    "--out", directory, NULL };
  png_image image = { .version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT, .format = PNG_FORMAT_RGB };
  g_autoptr (GError) error = NULL;
  GString *text = g_string_new (NULL);
  fail_unless (png_image_write_to_file (&image, png, FALSE, rgb, 0, NULL));
  fail_unless (gemma_eval_run (&message, arguments) == 0, "%s", message);
  g_autoptr (Npy) ids = gemma_eval_result (directory, "generated.npy");
  fail_unless_equals_int (ids->n, N_TOKENS);
  GemmaTokenizer *tokenizer = gemma_tokenizer_new_from_json (json, &error);
  g_assert_no_error (error);
  GemmaDecoder *decoder = gemma_decoder_new (tokenizer);
  for (gint i = 0; i < N_TOKENS; i++)
    gemma_decoder_push (decoder, ids->i32[i], text);
  gemma_decoder_finish (decoder, text);
  gemma_decoder_free (decoder);
  gemma_tokenizer_free (tokenizer);
  return g_strstrip (g_string_free (text, FALSE));
}

static void
on_text (GstElement *sink, const gchar *text, guint64 start, guint64 duration, GString *all)
{
  g_string_append (all, text);
}

static gchar *
ask_elements (const gchar *directory, const guint8 *rgb)
{
  g_autofree gchar *launch = g_strdup_printf ("appsrc name=src format=time caps=\"video/x-raw, format=(string)RGB, "
      "width=(int)%d, height=(int)%d, framerate=(fraction)1/1\" ! gemmavisionenc model=%s ! gemmasink name=sink model=%s "
      "task=describe temperature=0 max-tokens=" N_TOKENS_TEXT, WIDTH, HEIGHT, directory, directory);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (launch, &error);
  g_assert_no_error (error);
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gint stride = GST_ROUND_UP_4 (3 * WIDTH);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, stride * HEIGHT, NULL);
  GString *all = g_string_new (NULL);
  GstFlowReturn flow;
  for (gint i = 0; i < HEIGHT; i++)
    gst_buffer_fill (buffer, i * stride, rgb + i * 3 * WIDTH, 3 * WIDTH);
  GST_BUFFER_PTS (buffer) = 0;
  g_signal_connect (sink, "text", G_CALLBACK (on_text), all);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  gst_buffer_unref (buffer);
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, 120 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  fail_unless (message && !error, "%s", error ? error->message : "no end");
  return g_strstrip (g_string_free (all, FALSE));
}

GST_START_TEST (test_describe)
{
  gchar *directory = write_model (__i__);
  g_autofree guint8 *rgb = g_malloc (3 * WIDTH * HEIGHT);
  fill_picture (rgb);
  g_autofree gchar *expected = ask_eval (directory, rgb), *said = ask_elements (directory, rgb);
  fail_unless (*expected);
  fail_unless_equals_string (said, expected);
  seeded_remove (directory);
}

GST_END_TEST;

/* A size that the model does not have is an error of gemma-eval, which is asked for it. */
GST_START_TEST (test_resolution)
{
  gchar *directory = write_model (SIGLIP_GEMMA3);
  g_autofree gchar *png = g_build_filename (directory, "picture.png", NULL), *message = NULL;
  g_autofree guint8 *rgb = g_malloc (3 * WIDTH * HEIGHT);
  png_image image = { .version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT, .format = PNG_FORMAT_RGB };
  const gchar *arguments[] = { "--model", directory, "--image", png, "--resolution", "256", "--out", directory, NULL };
  fill_picture (rgb);
  fail_unless (png_image_write_to_file (&image, png, FALSE, rgb, 0, NULL));
  fail_unless_equals_int (gemma_eval_run (&message, arguments), 1);
  fail_unless (strstr (message, "256") && strstr (message, "448"), "%s", message);
  seeded_remove (directory);
}

GST_END_TEST;

static Suite *
siglip_elements_suite (void)
{
  Suite *suite = suite_create ("siglip_elements");
  TCase *tc = tcase_create ("elements");
  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 300);
  tcase_add_loop_test (tc, test_describe, 0, SIGLIP_N);
  tcase_add_test (tc, test_resolution);
  return suite;
}

GST_CHECK_MAIN (siglip_elements);
