/* gemmasink in whole pipelines: sound to signals, messages and caption files. */
#include "util.h"

#include <json-glib/json-glib.h>

#include <stdio.h>
#include <string.h>

/* A made-up voice, one second, between silences; random words, always the same. */
#define SINK "gemmasink name=sink temperature=10 seed=3 max-tokens=12 no-speech-threshold=0 "

typedef struct
{
  GstElement *pipeline, *src, *sink;
  GstBus *bus;
  GArray *times;                /* GstClockTime: those of the signal, start and duration in turn */
} Fixture;

static void
on_text (GstElement *sink, const gchar *text, guint64 start, guint64 duration, GArray *times)
{
  fail_unless (text && *text && g_utf8_validate (text, -1, NULL));
  g_array_append_val (times, start);
  g_array_append_val (times, duration);
}

static Fixture
begin (const gchar *settings)
{
  g_autofree gchar *launch = g_strdup_printf ("appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! "
      "gemmaaudioenc voice-gate=true ! " SINK "%s", settings);
  Fixture f;

  f.pipeline = launch_pipeline (launch);
  f.src = gst_bin_get_by_name (GST_BIN (f.pipeline), "src");
  f.sink = gst_bin_get_by_name (GST_BIN (f.pipeline), "sink");
  f.bus = gst_element_get_bus (f.pipeline);
  f.times = g_array_new (FALSE, FALSE, sizeof (GstClockTime));
  g_signal_connect (f.sink, "text", G_CALLBACK (on_text), f.times);
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_state (f->pipeline, GST_STATE_NULL);
  gst_object_unref (f->src);
  gst_object_unref (f->sink);
  gst_object_unref (f->bus);
  gst_object_unref (f->pipeline);
  g_array_unref (f->times);
}

/* Speech at 1 s and at 4 s, each of a second, and the end. */
static void
push_all (Fixture *f)
{
  GstFlowReturn flow;

  push_sound (f->src, RATE, FALSE, 0);
  push_sound (f->src, RATE, TRUE, MS (1000));
  push_sound (f->src, 2 * RATE, FALSE, MS (2000));
  push_sound (f->src, RATE, TRUE, MS (4000));
  g_signal_emit_by_name (f->src, "end-of-stream", &flow);
}

static void
wait_eos (Fixture *f)
{
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (f->bus, 60 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);

  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
}

static void
check_time (GArray *times, guint i, GstClockTime expected, GstClockTime slack)
{
  GstClockTime time = g_array_index (times, GstClockTime, i);

  fail_unless (ABS (GST_CLOCK_DIFF (expected, time)) <= (GstClockTimeDiff) slack, "%" GST_TIME_FORMAT " instead of %"
      GST_TIME_FORMAT, GST_TIME_ARGS (time), GST_TIME_ARGS (expected));
}

GST_START_TEST (test_signal_and_messages)
{
  Fixture f = begin ("");
  guint n = 0, n_bus = 0;
  GstMessage *message;

  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_all (&f);
  while ((message = gst_bus_timed_pop_filtered (f.bus, 60 * GST_SECOND,
              GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR))) {
    const GstStructure *s = gst_message_get_structure (message);
    GstMessageType type = GST_MESSAGE_TYPE (message);
    if (type == GST_MESSAGE_ELEMENT && gst_structure_has_name (s, "gemma-text")) {
      guint64 time;
      fail_unless (gst_structure_get_string (s, "text") && gst_structure_has_field_typed (s, "duration", G_TYPE_UINT64));
      fail_unless (gst_structure_get_uint64 (s, "stream-time", &time));
      fail_unless_equals_uint64 (time, g_array_index (f.times, GstClockTime, 2 * n));
      n++;
    }
    n_bus++;
    gst_message_unref (message);
    fail_if (type == GST_MESSAGE_ERROR);
    if (type == GST_MESSAGE_EOS)
      break;
  }
  /* The end is told after the last text. */
  fail_unless_equals_int (n, 2);
  fail_unless_equals_int (f.times->len, 4);
  /* A token is 160 ms, and it is loud for what was heard from 80 ms before it to 80 ms into it. */
  check_time (f.times, 0, MS (1000), MS (80));
  check_time (f.times, 1, MS (1000), MS (160));
  check_time (f.times, 2, MS (4000), MS (80));
  check_time (f.times, 3, MS (1000), MS (160));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_tags)
{
  Fixture f = begin ("");
  g_autofree gchar *title = NULL;
  GstTagList *tags;

  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  fail_unless (gst_element_send_event (f.src, gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "A talk", NULL))));
  push_all (&f);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (f.bus, 60 * GST_SECOND, GST_MESSAGE_TAG | GST_MESSAGE_EOS);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_TAG);
  gst_message_parse_tag (message, &tags);
  fail_unless (gst_tag_list_get_string (tags, GST_TAG_TITLE, &title));
  fail_unless_equals_string (title, "A talk");
  gst_tag_list_unref (tags);
  end (&f);
}

GST_END_TEST;

static gchar *
transcribe_to (const gchar *name, const gchar *more)
{
  g_autofree gchar *path = write_file (name, "old", 3), *settings = g_strdup_printf ("location=%s %s", path, more);
  gchar *content;
  Fixture f = begin (settings);

  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_all (&f);
  wait_eos (&f);
  fail_unless (g_file_get_contents (path, &content, NULL, NULL));       /* before NULL: flushed with each cue */
  end (&f);
  return content;
}

static void
check_matches (const gchar *pattern, const gchar *content)
{
  fail_unless (g_regex_match_simple (pattern, content, 0, 0), "%s", content);
}

/* Of each line: one after the other, none outside of it, and those of its text. */
static void
check_words (const gchar *jsonl)
{
  g_auto (GStrv) lines = g_strsplit (jsonl, "\n", -1);

  for (guint i = 0; *lines[i]; i++) {
    g_autoptr (JsonParser) parser = json_parser_new ();
    fail_unless (json_parser_load_from_data (parser, lines[i], -1, NULL), "%s", lines[i]);
    JsonObject *cue = json_node_get_object (json_parser_get_root (parser));
    JsonArray *words = json_object_get_array_member (cue, "words");
    g_autoptr (GString) text = g_string_new (NULL);
    gdouble before = json_object_get_double_member (cue, "start");

    for (guint k = 0; k < json_array_get_length (words); k++) {
      JsonObject *word = json_array_get_object_element (words, k);
      fail_unless (json_object_get_double_member (word, "start") >= before, "%s", lines[i]);
      before = json_object_get_double_member (word, "end");
      fail_unless (before > json_object_get_double_member (word, "start"), "%s", lines[i]);
      g_string_append_printf (text, "%s%s", k ? " " : "", json_object_get_string_member (word, "text"));
    }
    fail_unless (before <= json_object_get_double_member (cue, "end"));
    fail_unless_equals_string (text->str, json_object_get_string_member (cue, "text"));
  }
}

GST_START_TEST (test_files)
{
  g_autofree gchar *srt = transcribe_to ("a.srt", ""), *vtt = transcribe_to ("a.vtt", "");
  g_autofree gchar *jsonl = transcribe_to ("a.jsonl", ""), *txt = transcribe_to ("a.txt", "");
  g_autofree gchar *mapped = transcribe_to ("b.vtt", "mpegts-offset=900000");

  check_matches ("^1\n00:00:0[01],\\d{3} --> 00:00:02,\\d{3}\n[^\n]+\n", srt);
  check_matches ("\n\n2\n00:00:0[34],\\d{3} --> 00:00:0[45],\\d{3}\n[^\n]+\n", srt);
  check_matches ("^WEBVTT\n\n00:00:0[01]\\.\\d{3} --> 00:00:02\\.\\d{3}\n[^\n]+\n", vtt);
  check_matches ("^WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00\\.000,MPEGTS:900000\n\n00:00:0[01]\\.\\d{3} --> ", mapped);
  check_matches ("^\\{\"start\": [01]\\.\\d{3}, \"end\": 2\\.\\d{3}, \"text\": \".+\", \"words\": \\[.+\\]\\}\n\\{\"start\": [34]\\.\\d{3}, ", jsonl);
  check_words (jsonl);
  check_matches ("^[^\n]+\n", txt);
  fail_if (strstr (txt, "-->") || strstr (txt, "\n\n"));
}

GST_END_TEST;

/* A line for each word, with a time of its own in its utterance. */
GST_START_TEST (test_words_in_lines)
{
  g_autofree gchar *jsonl = transcribe_to ("words.jsonl", "streaming=words");
  g_auto (GStrv) lines = g_strsplit (jsonl, "\n", -1);
  guint n = g_strv_length (lines) - 1;
  gdouble before = 0.;

  fail_unless (n > 4, "%s", jsonl);
  for (guint i = 0; i < n; i++) {
    gdouble start = 0., end = 0.;
    check_matches ("^\\{\"start\": \\d+\\.\\d{3}, \"end\": \\d+\\.\\d{3}, \"text\": \"\\S+\"\\}$", lines[i]);
    fail_unless_equals_int (sscanf (lines[i], "{\"start\": %lf, \"end\": %lf", &start, &end), 2);
    fail_unless (start >= before && end >= start && ((start > .9 && end < 2.2) || (start > 3.9 && end < 5.2)), "%s", jsonl);
    before = end;
  }
}

GST_END_TEST;

static gboolean
accept_seek (GstElement *src, guint64 offset, gpointer n)
{
  (*(guint *) n)++;
  return TRUE;
}

/* A pipeline that ends here can be sought in. */
GST_START_TEST (test_seek)
{
  Fixture f = begin ("");
  guint n_seeks = 0;

  gst_util_set_object_arg (G_OBJECT (f.src), "stream-type", "seekable");
  g_signal_connect (f.src, "seek-data", G_CALLBACK (accept_seek), &n_seeks);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (f.src, RATE, TRUE, 0);
  fail_unless (gst_element_seek_simple (f.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, MS (1000)));
  fail_unless (n_seeks >= 1);
  g_array_set_size (f.times, 0);
  push_all (&f);
  wait_eos (&f);
  fail_unless_equals_int (f.times->len, 4);
  check_time (f.times, 0, MS (1000), MS (80));
  end (&f);
}

GST_END_TEST;

/* A text that is too long for the model is left out, with a warning; those around it are not. */
GST_START_TEST (test_text_longer_than_context)
{
  GstElement *pipeline = launch_pipeline ("appsrc name=src format=time caps=text/x-raw,format=utf8 ! sink.text_0 " SINK
      "context-size=64");
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autofree gchar *text = g_strnfill (20000, 'q');
  const gchar *const texts[] = { "a", text, "b" };
  guint n = 0, n_warnings = 0;
  GstMessage *message;
  GstFlowReturn flow;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GstBuffer) buffer = make_text (texts[i], MS (1000) * i, MS (1000));
    g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
  }
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  while ((message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND,
              GST_MESSAGE_ELEMENT | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR | GST_MESSAGE_EOS))) {
    GstMessageType type = GST_MESSAGE_TYPE (message);
    n += gst_message_has_name (message, "gemma-text");
    n_warnings += type == GST_MESSAGE_WARNING;
    gst_message_unref (message);
    fail_if (type == GST_MESSAGE_ERROR);
    if (type == GST_MESSAGE_EOS)
      break;
  }
  fail_unless_equals_int (n, 2);
  fail_unless_equals_int (n_warnings, 1);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GST_END_TEST;

GST_START_TEST (test_location_cannot_be_written)
{
  Fixture f = begin ("location=/nonexistent/a.srt");

  fail_unless_equals_int (gst_element_set_state (f.pipeline, GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  g_autofree gchar *message = wait_error (f.bus, 10);
  fail_unless (strstr (message, "/nonexistent/a.srt") != NULL);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_nothing_before_playing)
{
  Fixture f = begin ("");

  /* PAUSED without data, and data without text. */
  fail_unless_equals_int (gst_element_set_state (f.pipeline, GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
  push_all (&f);
  g_autoptr (GstMessage) eos = gst_bus_timed_pop_filtered (f.bus, GST_SECOND, GST_MESSAGE_EOS);
  fail_unless (eos == NULL);
  fail_unless_equals_int (f.times->len, 0);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  wait_eos (&f);
  fail_unless_equals_int (f.times->len, 4);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_end_while_the_model_loads)
{
  Fixture f = begin ("");
  GstFlowReturn flow;

  push_sound (f.src, RATE, TRUE, 0);
  g_signal_emit_by_name (f.src, "end-of-stream", &flow);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  wait_eos (&f);
  fail_unless_equals_int (f.times->len, 2);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_again_after_null)
{
  Fixture f = begin ("");

  for (guint i = 1; i <= 3; i++) {
    gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
    push_all (&f);
    wait_eos (&f);
    fail_unless_equals_int (f.times->len, 4 * i);
    gst_element_set_state (f.pipeline, GST_STATE_NULL);
  }
  end (&f);
}

GST_END_TEST;

static Suite *
gemmasink_suite (void)
{
  Suite *s = suite_create ("gemmasink");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_signal_and_messages);
  tcase_add_test (tc, test_tags);
  tcase_add_test (tc, test_files);
  tcase_add_test (tc, test_words_in_lines);
  tcase_add_test (tc, test_seek);
  tcase_add_test (tc, test_text_longer_than_context);
  tcase_add_test (tc, test_location_cannot_be_written);
  tcase_add_test (tc, test_nothing_before_playing);
  tcase_add_test (tc, test_end_while_the_model_loads);
  tcase_add_test (tc, test_again_after_null);
  return s;
}

GST_CHECK_MAIN (gemmasink);
