/* Words that leave one by one, of a recording that the embedded model knows. */
#include <string.h>

#include "util.h"

#define RECORDED "filesrc location=" RECORDING " ! wavparse ! "

typedef struct
{
  GstElement *pipeline;
  GstBus *bus;
  Collector *out;
} Fixture;

static Fixture
begin (const gchar *source, const gchar *properties)
{
  g_autofree gchar *line = g_strdup_printf ("%sgemmatranscriber name=t %s ! fakesink async=false", source, properties);
  Fixture f = { launch_pipeline (line) };
  g_autoptr (GstElement) transcriber = gst_bin_get_by_name (GST_BIN (f.pipeline), "t");
  g_autoptr (GstPad) src = gst_element_get_static_pad (transcriber, "src");

  f.bus = gst_element_get_bus (f.pipeline);
  f.out = collector_new (src);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_state (f->pipeline, GST_STATE_NULL);
  gst_object_unref (f->bus);
  gst_object_unref (f->pipeline);
  collector_free (f->out);
}

/* What messages call final comes on the pad, in this order, and is never taken back. Returns how many there are. */
static guint
check_finals (Fixture *f, const gchar *text)
{
  g_autofree gchar *last = g_strdup ("");
  const gchar *at = text;
  GstMessage *message;
  guint n = 0;

  for (; (message = gst_bus_pop_filtered (f->bus, GST_MESSAGE_ELEMENT)); gst_message_unref (message)) {
    const GstStructure *s = gst_message_get_structure (message);
    if (!gst_structure_has_name (s, "gemma-partial"))
      continue;
    const gchar *final = gst_structure_get_string (s, "final");
    if (!g_str_has_prefix (final, last))
      at += strlen (last);      /* another utterance */
    at = strstr (at, final);
    fail_unless (at != NULL, "\"%s\" after \"%s\" is not in \"%s\"", final, last, text);
    g_free (last);
    last = g_strdup (final);
    n += *final != 0;
  }
  return n;
}

/* (transfer full) */
static GstBuffer *
read_recording (void)
{
  GstElement *pipeline = launch_pipeline (RECORDED "audioconvert ! audioresample ! " AUDIO_CAPS " ! appsink name=out sync=false");
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  GstBuffer *all = gst_buffer_new ();
  GstSample *sample;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (;;) {
    g_signal_emit_by_name (out, "pull-sample", &sample);
    if (!sample)
      break;
    all = gst_buffer_append (all, gst_buffer_ref (gst_sample_get_buffer (sample)));
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return all;
}

/* (transfer full) */
static gchar *
transcribe (const gchar *properties, guint *n_texts, guint *n_finals)
{
  Fixture f = begin (RECORDED, properties);

  collector_wait_eos (f.out, 60);
  gchar *text = collector_join_words (f.out, 0);
  *n_texts = collector_count (f.out, TRUE, 0);
  *n_finals = check_finals (&f, text);
  end (&f);
  return text;
}

/* Words leave while their utterance goes on, and are those of the whole utterances. */
GST_START_TEST (test_words_are_those_of_the_whole)
{
  guint n_whole, n_words, n_finals[2];
  g_autofree gchar *whole = transcribe ("streaming=whole", &n_whole, &n_finals[0]);
  g_autofree gchar *words = transcribe ("streaming=words", &n_words, &n_finals[1]);

  fail_unless_equals_string (words, whole);
  fail_unless (n_words >= 5 * n_whole, "%u texts", n_words);
  fail_unless_equals_int (n_finals[0], 0);
  /* Four utterances of 13 s, a hypothesis every 400 ms. */
  fail_unless (n_finals[1] >= 10, "%u messages with words that have left", n_finals[1]);
}

GST_END_TEST;

/* Utterances that are cut where words are said, every 3.5 to 5 s: none is lost, none comes twice. One may be misunderstood, as the
 * model hears less around it. */
GST_START_TEST (test_words_at_cuts)
{
  guint n_texts, n_finals, n_different = 0, i;
  g_autofree gchar *whole = transcribe ("streaming=whole", &n_texts, &n_finals);
  g_autofree gchar *properties = g_strdup_printf ("streaming=words max-segment=%d", 3500 + 500 * __i__);
  g_autofree gchar *words = transcribe (properties, &n_texts, &n_finals);
  g_auto (GStrv) expected = g_strsplit (whole, " ", -1), found = g_strsplit (words, " ", -1);

  fail_unless_equals_int (g_strv_length (found), g_strv_length (expected));
  for (i = 0; expected[i]; i++)
    n_different += !g_str_equal (expected[i], found[i]);
  fail_unless (n_different <= 1, "\"%s\" instead of \"%s\"", words, whole);
}

GST_END_TEST;

/* At such cuts the translation ends with the words that are told, and goes on with them. */
GST_START_TEST (test_translations_at_cuts)
{
  g_autoptr (GstBuffer) recording = read_recording ();
  GstClockTime length = gst_util_uint64_scale (gst_buffer_get_size (recording) / sizeof (gfloat), GST_SECOND, RATE);
  GstElement *pipeline = launch_pipeline (RECORDED "gemmatranscriber name=t translate-mode=chained streaming=words max-segment=3500 "
      "translate_src_0::language-code=es t.src ! fakesink async=false t.translate_src_0 ! fakesink async=false");
  g_autoptr (GstElement) transcriber = gst_bin_get_by_name (GST_BIN (pipeline), "t");
  g_autoptr (GstPad) src = gst_element_get_static_pad (transcriber, "src");
  g_autoptr (GstPad) translation = gst_element_get_static_pad (transcriber, "translate_src_0");
  Collector *out[] = { collector_new (src), collector_new (translation) };

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 2; i++)
    collector_wait_eos (out[i], 60);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  for (guint i = 0; i < 2; i++) {
    collector_check_coverage (out[i], 0, length, 0);
    fail_unless (collector_count (out[i], TRUE, 0) > 4, "four utterances, of which some are cut");
    collector_free (out[i]);
  }
  gst_object_unref (pipeline);
}

GST_END_TEST;

/* Live they do so by default: the first prompt lasts 4.8 s, and none of its end is heard here. */
GST_START_TEST (test_live_words_by_default)
{
  g_autoptr (GstBuffer) recording = read_recording ();
  const gsize block = RATE / 10 * sizeof (gfloat);
  Fixture f = begin ("appsrc name=src is-live=true format=time caps=\"" AUDIO_CAPS "\" ! ", "");
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  for (guint i = 0; i < 35; i++) {
    GstBuffer *buffer = gst_buffer_copy_region (recording, GST_BUFFER_COPY_MEMORY, i * block, block);
    GstFlowReturn flow;
    GST_BUFFER_PTS (buffer) = i * MS (100);
    g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
    gst_buffer_unref (buffer);
    g_usleep (100000);
  }
  for (gint64 deadline = g_get_monotonic_time () + 60 * G_USEC_PER_SEC; !collector_count (f.out, TRUE, 0);) {
    fail_unless (g_get_monotonic_time () < deadline, "nothing was said");
    g_usleep (10000);
  }
  g_autofree gchar *first = collector_get_text (f.out, 0);
  fail_unless (!strchr (first, ' '), "\"%s\" is not one word", first);
  end (&f);
}

GST_END_TEST;

static Suite *
words_suite (void)
{
  Suite *s = suite_create ("words");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_words_are_those_of_the_whole);
  tcase_add_loop_test (tc, test_words_at_cuts, 0, 4);
  tcase_add_test (tc, test_translations_at_cuts);
  tcase_add_test (tc, test_live_words_by_default);
  return s;
}

GST_CHECK_MAIN (words);
