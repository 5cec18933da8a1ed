/* gemmatranslate with a tiny random model of GOLDEN_AREA: what it says does not matter, when and in which form does. */
#include "util.h"

#include <glib/gstdio.h>
#include <string.h>

#include "tests/gemma3n/eval-files.h"

#define HAS_ENCODER (strcmp (GOLDEN_AREA, "t5gemma2") == 0)
#define MARKUP "text/x-raw, format=(string)pango-markup"
#define UTF8 "text/x-raw, format=(string)utf8"

typedef struct
{
  GstHarness *harness;
  GstElement *element;
  Collector *out;
  GstBus *bus;
} Fixture;

/* Random words (temperature 10), always the same, so that there is text. @properties: NULL, or as gst_parse_launch() */
static Fixture
begin (const gchar *caps, const gchar *properties, gboolean live)
{
  g_autofree gchar *line = g_strdup_printf ("gemmatranslate model=%s source-language=en target-language=es "
      "temperature=10 seed=3 max-tokens=12 %s", eval_files.directory, properties ? properties : "");
  g_autoptr (GError) error = NULL;
  Fixture f = { 0, };

  f.element = gst_object_ref_sink (gst_parse_launch (line, &error));
  g_assert_no_error (error);
  f.bus = gst_bus_new ();
  gst_element_set_bus (f.element, f.bus);
  f.harness = gst_harness_new_with_element (f.element, "sink", "src");
  set_live (f.harness->srcpad, live);
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.element, "src");
  f.out = collector_new (src);
  gst_harness_set_src_caps_str (f.harness, caps);
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_bus (f->element, NULL);
  gst_harness_teardown (f->harness);
  gst_object_unref (f->element);
  gst_object_unref (f->bus);
  collector_free (f->out);
}

static void
push_flags (Fixture *f, guint start, guint end, const gchar *text, GstBufferFlags flags)
{
  GstBuffer *buffer = make_text (text, MS (start), MS (end - start));

  GST_BUFFER_FLAG_SET (buffer, flags);
  fail_unless_equals_int (gst_harness_push (f->harness, buffer), GST_FLOW_OK);
}

static void
push (Fixture *f, guint start, guint end, const gchar *text)
{
  push_flags (f, start, end, text, 0);
}

static void
finish (Fixture *f)
{
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  collector_wait_eos (f->out, 60);
}

/* (transfer full) */
static gchar *
get_text (Fixture *f, guint n)
{
  gchar *text = collector_get_text (f->out, n);

  fail_unless (*text && g_utf8_validate (text, -1, NULL));
  return text;
}

static void
check_times (Fixture *f, guint n, guint start, guint end)
{
  GstBuffer *buffer = collector_get_buffer (f->out, n);

  fail_unless (buffer != NULL, "there is no text %u", n);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), MS (start));
  fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer), MS (end - start));
}

static guint
wait_texts (Fixture *f, guint n, guint ms)
{
  gint64 deadline = g_get_monotonic_time () + ms * G_TIME_SPAN_MILLISECOND;

  while (collector_count (f->out, TRUE, 0) < n && g_get_monotonic_time () < deadline)
    g_usleep (10000);
  return collector_count (f->out, TRUE, 0);
}

GST_START_TEST (test_cues_keep_number_times_and_form)
{
  Fixture f = begin (MARKUP, NULL, FALSE);

  push (&f, 1000, 3000, "<i>I went to the\nold station</i>");
  gst_harness_push_event (f.harness, gst_event_new_gap (MS (3000), MS (1000)));
  push (&f, 4000, 5000, "and back");
  push (&f, 5000, 5500, "♪ 1984");
  push (&f, 5500, 6000, "- Tom &amp; Jerry.\n- Who?");
  finish (&f);

  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 4);
  check_times (&f, 0, 1000, 3000);
  check_times (&f, 1, 4000, 5000);
  check_times (&f, 2, 5000, 5500);
  check_times (&f, 3, 5500, 6000);
  collector_check_coverage (f.out, MS (1000), MS (6000), 0);
  g_autofree gchar *first = get_text (&f, 0), *third = get_text (&f, 2), *fourth = get_text (&f, 3);
  fail_unless (g_str_has_prefix (first, "<i>") && g_str_has_suffix (first, "</i>"), "%s", first);
  fail_if (strstr (first, "station"), "%s", first);
  fail_unless_equals_string (third, "♪ 1984");
  g_auto (GStrv) lines = g_strsplit (fourth, "\n", -1);
  fail_unless_equals_int (g_strv_length (lines), 2);
  fail_unless (g_str_has_prefix (lines[0], "- ") && g_str_has_prefix (lines[1], "- "), "%s", fourth);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_events_come_in_order)
{
  static const GstEventType expected[] = { GST_EVENT_STREAM_START, GST_EVENT_CAPS, GST_EVENT_SEGMENT, GST_EVENT_TAG,
    GST_EVENT_GAP };
  Fixture f = begin (MARKUP, NULL, FALSE);
  g_autofree gchar *language = NULL;
  GstTagList *tags;
  GstCaps *caps;

  push (&f, 0, 1000, "Hello.");
  gst_harness_push_event (f.harness, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
          gst_structure_new_empty ("mark")));
  push (&f, 1000, 2000, "Hello.");
  finish (&f);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    fail_unless_equals_int (GST_EVENT_TYPE (g_ptr_array_index (f.out->items, i)), expected[i]);
  gst_event_parse_caps (g_ptr_array_index (f.out->items, 1), &caps);
  fail_unless_equals_string (gst_structure_get_string (gst_caps_get_structure (caps, 0), "format"), "pango-markup");
  gst_event_parse_tag (g_ptr_array_index (f.out->items, 3), &tags);
  fail_unless (gst_tag_list_get_string (tags, GST_TAG_LANGUAGE_CODE, &language));
  fail_unless_equals_string (language, "es");
  fail_unless (GST_IS_BUFFER (g_ptr_array_index (f.out->items, 5)));
  fail_unless (gst_event_has_name (g_ptr_array_index (f.out->items, 6), "mark"));
  fail_unless (GST_IS_BUFFER (g_ptr_array_index (f.out->items, 7)));
  end (&f);
}

GST_END_TEST;

/* Whatever ends a sentence, it has the time from its first word to its last. */
GST_START_TEST (test_sentences)
{
  Fixture f = begin (UTF8, "gather=sentences", FALSE);
  GstSegment segment;

  push (&f, 0, 300, "Good");
  gst_harness_push_event (f.harness, gst_event_new_gap (MS (300), MS (100)));
  push (&f, 400, 900, "morning.");                                              /* a full stop */
  push (&f, 900, 1500, "how");
  gst_harness_push_event (f.harness, gst_event_new_gap (MS (1500), MS (500)));  /* a pause */
  push (&f, 2000, 2500, "you");
  gst_harness_push_event (f.harness, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
          gst_structure_new_empty ("rstranscribe/final-transcript")));
  push (&f, 2500, 2600, "then");
  push_flags (&f, 2600, 2700, "there", GST_BUFFER_FLAG_DISCONT);
  push (&f, 2700, 3000, "it");
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = segment.position = MS (5000);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  push (&f, 5000, 5200, "at");
  push (&f, 5200, 5400, "last");
  finish (&f);

  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 6);
  check_times (&f, 0, 0, 900);
  check_times (&f, 1, 900, 1500);
  check_times (&f, 2, 2000, 2500);
  check_times (&f, 3, 2500, 2600);
  check_times (&f, 4, 2600, 3000);
  check_times (&f, 5, 5000, 5400);
  fail_unless_equals_int (collector_count (f.out, FALSE, GST_EVENT_GAP), 1);    /* the one in a sentence is its own */
  fail_unless_equals_int (collector_count (f.out, FALSE, GST_EVENT_SEGMENT), 2);
  end (&f);
}

GST_END_TEST;

/* What breaks the stream ends what is gathered across cues, too; each keeps its time, GAPs their place. */
GST_START_TEST (test_across_cues)
{
  Fixture f = begin (UTF8, "max-tokens=24", FALSE);
  GstSegment segment;

  push (&f, 0, 900, "I never said");
  gst_harness_push_event (f.harness, gst_event_new_gap (MS (900), MS (100)));
  push (&f, 1000, 2000, "that she did it.");                                    /* a full stop */
  push (&f, 2000, 3000, "We went");
  gst_harness_push_event (f.harness, gst_event_new_gap (MS (3000), MS (2000))); /* a pause */
  push (&f, 5000, 6000, "there");
  gst_harness_push_event (f.harness, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
          gst_structure_new_empty ("rstranscribe/final-transcript")));
  push (&f, 6000, 6500, "and");
  push_flags (&f, 6500, 7000, "back", GST_BUFFER_FLAG_DISCONT);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  push (&f, 7000, 7500, "again");
  push (&f, 7500, 8000, "and again");
  finish (&f);

  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 8);
  collector_check_coverage (f.out, 0, MS (8000), 0);
  fail_unless_equals_int (collector_count (f.out, FALSE, GST_EVENT_GAP), 2);
  /* Two sentences in two cues each, and four cues. */
  fail_unless_equals_int (get_stat (f.element, "utterances"), 6);
  end (&f);
}

GST_END_TEST;

/* "cues" asks for each, and nothing waits. */
GST_START_TEST (test_each_cue)
{
  Fixture f = begin (UTF8, "gather=cues", FALSE);

  push (&f, 0, 900, "I never said");
  fail_unless_equals_int (wait_texts (&f, 1, 60000), 1);
  push (&f, 900, 2000, "that she did it.");
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  fail_unless_equals_int (get_stat (f.element, "utterances"), 2);

  /* What waits when the setting changes is not lost, nor out of order. */
  end (&f);
  f = begin (UTF8, NULL, FALSE);
  push (&f, 0, 900, "I never said");
  g_object_set (f.element, "gather", 0, NULL);
  push (&f, 900, 2000, "that she did");
  fail_unless_equals_int (wait_texts (&f, 2, 60000), 2);
  g_object_set (f.element, "gather", 2, NULL);
  push (&f, 2000, 2500, "it");
  g_object_set (f.element, "gather", 1, NULL);
  push (&f, 2500, 3000, "again");
  finish (&f);
  collector_check_coverage (f.out, 0, MS (3000), 0);
  end (&f);
}

GST_END_TEST;

/* How long a cue takes that the next one may belong to, if there is none (ms). */
static guint
time_last_cue (gboolean live)
{
  Fixture f = begin (UTF8, "latency=3000", live);

  push (&f, 0, 300, "first.");                  /* the model is loaded now */
  fail_unless_equals_int (wait_texts (&f, 1, 60000), 1);
  gint64 start = g_get_monotonic_time ();
  push (&f, 300, 700, "no end");
  fail_unless_equals_int (wait_texts (&f, 2, 60000), 2);
  guint time = (g_get_monotonic_time () - start) / 1000;
  check_times (&f, 1, 300, 700);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  end (&f);
  return time;
}

/* Live it keeps the promise; and in a player the next one may not come before this one is seen. */
GST_START_TEST (test_no_next_cue)
{
  for (guint live = 0; live < 2; live++) {
    guint best = G_MAXUINT;
    for (guint i = 0; i < 3 && best > 3000; i++)        /* others use the machine, too */
      best = MIN (best, time_last_cue (live));
    fail_unless (best >= 1900 && best <= 3000, "%u ms", best);
  }
}

GST_END_TEST;

/* Live, a sentence without an end is told in time, although nothing more comes. */
GST_START_TEST (test_live)
{
  Fixture f = begin (UTF8, "gather=sentences latency=3000", TRUE);
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  GstClockTime min, max;
  gboolean live;

  fail_unless (gst_pad_peer_query (f.harness->sinkpad, query));
  gst_query_parse_latency (query, &live, &min, &max);
  fail_unless (live);
  fail_unless_equals_uint64 (min, MS (3000));
  push (&f, 0, 300, "first.");                  /* the model is loaded now */
  fail_unless_equals_int (wait_texts (&f, 1, 60000), 1);
  push (&f, 300, 500, "no");
  push (&f, 500, 700, "end");
  fail_unless_equals_int (wait_texts (&f, 2, 10000), 2);
  check_times (&f, 1, 300, 700);
  finish (&f);
  end (&f);
}

GST_END_TEST;

/* The model reads what it has read before only once: history, and the words around it. */
GST_START_TEST (test_prefix_is_read_once)
{
  Fixture f = begin (UTF8, "history-size=4 context-size=1024", FALSE);
  guint64 n_prompt = 0, n_reused = 0, last = 0;

  for (guint i = 0; i < 4; i++) {
    push (&f, i * 1000, i * 1000 + 1000, "The cat sleeps.");
    fail_unless_equals_int (wait_texts (&f, i + 1, 60000), i + 1);
    guint64 prompt = get_stat (f.element, "prompt-tokens") - n_prompt;
    guint64 reused = get_stat (f.element, "reused-tokens") - n_reused;
    /* All of the prompt before; its last token may join with the first of the translation. */
    if (!HAS_ENCODER && i > 0)
      fail_unless (reused + 1 >= last, "%u of %u were reused", (guint) reused, (guint) last);
    n_prompt += prompt;
    n_reused += reused;
    last = prompt;
  }
  if (HAS_ENCODER)
    fail_unless_equals_int (get_stat (f.element, "reused-tokens"), 0);
  end (&f);
}

GST_END_TEST;

/* It grows to history-size, and then begins anew from half of it. */
GST_START_TEST (test_history_size)
{
  static const gint sizes[] = { 0, 1, 3 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree gchar *properties = g_strdup_printf ("history-size=%d", sizes[i]);
    Fixture f = begin (UTF8, properties, FALSE);
    g_object_set (f.element, "prompt", "", NULL);
    guint64 first = 0, longest = 0, before = 0;
    for (guint k = 0; k < 8; k++) {
      push (&f, k * 1000, k * 1000 + 1000, "The cat sleeps.");
      fail_unless_equals_int (wait_texts (&f, k + 1, 60000), k + 1);
      guint64 n = get_stat (f.element, "prompt-tokens") - before;
      before += n;
      first = k ? first : n;
      longest = MAX (longest, n);
    }
    /* A pair has its source and up to 12 tokens of translation, and the languages' names. */
    if (sizes[i] == 0)
      fail_unless_equals_int (longest, first);
    fail_unless (longest >= first + sizes[i] * (first - 2) && longest <= first + sizes[i] * (first + 24),
        "history-size %d: %u tokens at first, %u at most", sizes[i], (guint) first, (guint) longest);
    end (&f);
  }
}

GST_END_TEST;

/* How long FLUSH_START and FLUSH_STOP take while a long translation is under way. (us) */
static gint64
time_flush (Fixture *f, const gchar *text)
{
  GstSegment segment;

  while (gst_bus_have_pending (f->bus))
    gst_message_unref (gst_bus_pop (f->bus));
  push (f, 0, 1000, text);
  g_autoptr (GstMessage) partial = gst_bus_timed_pop_filtered (f->bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT);
  fail_unless (partial != NULL);
  Watch watch = watch_begin ();
  gst_harness_push_event (f->harness, gst_event_new_flush_start ());
  gst_harness_push_event (f->harness, gst_event_new_flush_stop (TRUE));
  gint64 time = watch_get (&watch);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f->harness, gst_event_new_segment (&segment));
  return time;
}

GST_START_TEST (test_flush)
{
  Fixture f = begin (UTF8, "max-tokens=100000 context-size=4000", FALSE);
  g_autofree gchar *text = g_strnfill (1500, 'a');
  gint64 best = G_MAXINT64;

  /* The best of a few: others use the machine, too. */
  for (guint i = 0; i < 5; i++)
    best = MIN (best, time_flush (&f, text));
  fail_unless (best < 100 * G_TIME_SPAN_MILLISECOND, "%d ms", (gint) (best / 1000));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 0);

  g_object_set (f.element, "max-tokens", 8, NULL);
  push (&f, 0, 500, "after it");
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  check_times (&f, 0, 0, 500);
  end (&f);
}

GST_END_TEST;

/* What was gathered before a flush does not come after it. */
static void
check_flush_forgets (const gchar *properties)
{
  Fixture f = begin (UTF8, properties, FALSE);
  GstSegment segment;

  push (&f, 0, 300, "old");
  gst_harness_push_event (f.harness, gst_event_new_flush_start ());
  gst_harness_push_event (f.harness, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  push (&f, 0, 200, "new");
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  check_times (&f, 0, 0, 200);
  end (&f);
}

GST_START_TEST (test_flush_forgets_words)
{
  check_flush_forgets ("gather=sentences");
  check_flush_forgets (NULL);
}

GST_END_TEST;

GST_START_TEST (test_no_duration_and_no_text)
{
  Fixture f = begin (UTF8, NULL, FALSE);

  gst_harness_push (f.harness, make_text ("x", MS (10), GST_CLOCK_TIME_NONE));
  gst_harness_push (f.harness, make_text ("", MS (20), MS (5)));
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  fail_if (GST_BUFFER_DURATION_IS_VALID (collector_get_buffer (f.out, 0)));
  check_times (&f, 1, 20, 25);
  fail_unless_equals_int (gst_buffer_get_size (collector_get_buffer (f.out, 1)), 0);
  end (&f);
}

GST_END_TEST;

/* With a chat template the model is asked in a turn, which an instruction of the user's may replace. */
GST_START_TEST (test_turns)
{
  g_autofree gchar *path = g_build_filename (eval_files.directory, "tokenizer_config.json", NULL);
  guint64 n[3];

  if (HAS_ENCODER)
    return;
  for (guint i = 0; i < 3; i++) {
    if (i == 1)
      fail_unless (g_file_set_contents (path, "{\"chat_template\": \"<start_of_turn>user ...\"}", -1, NULL));
    Fixture f = begin (UTF8, i == 1 ? NULL : "prompt=\"x\"", FALSE);
    push (&f, 0, 1000, "Hello.");
    finish (&f);
    n[i] = get_stat (f.element, "prompt-tokens");
    fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
    end (&f);
  }
  g_remove (path);
  fail_unless (n[0] < n[2] && n[2] < n[1], "%u, %u, %u tokens", (guint) n[0], (guint) n[1], (guint) n[2]);
}

GST_END_TEST;

GST_START_TEST (test_errors_and_progress)
{
  GstElement *element = gst_object_ref_sink (gst_element_factory_make ("gemmatranslate", NULL));
  guint n_progress = 0;
  GstMessage *message;

  g_object_set (element, "model", "/nowhere/model", NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/nowhere/model");
  gst_object_unref (element);

  Fixture f = begin (UTF8, NULL, FALSE);
  push (&f, 0, 1000, "Hello.");
  finish (&f);
  while ((message = gst_bus_pop_filtered (f.bus, GST_MESSAGE_PROGRESS))) {
    n_progress++;
    gst_message_unref (message);
  }
  fail_unless (n_progress >= 2);
  end (&f);
}

GST_END_TEST;

/* There are no errors, and all warnings say @text. */
static guint
count_warnings (Fixture *f, const gchar *text)
{
  GstMessage *message;
  guint n = 0;

  while ((message = gst_bus_pop_filtered (f->bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING))) {
    g_autoptr (GError) error = NULL;
    fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_WARNING);
    gst_message_parse_warning (message, &error, NULL);
    fail_unless (strstr (error->message, text) != NULL, "%s", error->message);
    gst_message_unref (message);
    n++;
  }
  return n;
}

/* Bytes that are not UTF-8, as an application in another locale may have them, are text: here nothing but Latin-1 is known. */
GST_START_TEST (test_settings_in_latin1)
{
  g_autofree gchar *prompt = NULL, *language = NULL, *tagged = NULL;
  Fixture f = begin (UTF8, NULL, FALSE);
  GstTagList *tags;

  g_object_set (f.element, "prompt", "R\xe9sum\xe9:", "stop", "\xa7", "source-language", "fran\xe7" "ais", "target-language",
      "espa\xf1ol", NULL);
  g_object_get (f.element, "prompt", &prompt, "target-language", &language, NULL);
  fail_unless_equals_string (prompt, "Résumé:");
  fail_unless_equals_string (language, "español");
  push (&f, 0, 1000, "Hello.");
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.element, "src");
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (src, GST_EVENT_TAG, 0);
  fail_unless (event != NULL);
  gst_event_parse_tag (event, &tags);
  fail_unless (gst_tag_list_get_string (tags, GST_TAG_LANGUAGE_CODE, &tagged));
  fail_unless_equals_string (tagged, "español");
  fail_unless_equals_int (count_warnings (&f, ""), 0);
  end (&f);
}

GST_END_TEST;

/* A file's name stays as it is, and is told so that it can be read. */
GST_START_TEST (test_name_in_latin1)
{
  GstElement *element = gst_object_ref_sink (gst_element_factory_make ("gemmatranslate", NULL));

  g_object_set (element, "model", "/nowhere/espa\xf1ol", NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/nowhere/espa\xef\xbf\xbdol");
  gst_object_unref (element);
}

GST_END_TEST;

/* No text is lost, and one warning tells of all. */
GST_START_TEST (test_no_room_for_any_text)
{
  static const gchar *const texts[] = { "This is too long\nfor eight tokens.", "So is this." };
  Fixture f = begin (UTF8, "context-size=8", FALSE);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    push (&f, 1000 * i, 1000 * i + 1000, texts[i]);
  finish (&f);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree gchar *text = get_text (&f, i);
    fail_unless_equals_string (text, texts[i]);
    check_times (&f, i, 1000 * i, 1000 * i + 1000);
  }
  fail_unless_equals_int (count_warnings (&f, "raise context-size"), 1);
  end (&f);
}

GST_END_TEST;

/* One that is too long for the model is translated in parts, and what follows as ever. */
GST_START_TEST (test_long_text)
{
  Fixture f = begin (UTF8, "max-tokens=64", FALSE);
  g_autoptr (GString) long_text = g_string_new (NULL);

  for (guint i = 0; i < 400; i++)
    g_string_append_printf (long_text, "They went to number %u, and did not come back. ", i);
  push (&f, 0, 1000, long_text->str);
  push (&f, 1000, 2000, "Good morning.");
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  check_times (&f, 0, 0, 1000);
  check_times (&f, 1, 1000, 2000);
  g_autofree gchar *text = get_text (&f, 0);
  fail_if (strstr (text, "They went") && strstr (text, "come back"), "%s", text);
  fail_unless (get_stat (f.element, "texts") > 100);
  fail_unless_equals_int (count_warnings (&f, ""), 0);
  end (&f);
}

GST_END_TEST;

/* The lines of captions that are not text. (transfer full) */
static gchar *
get_times (const gchar *captions)
{
  g_auto (GStrv) lines = g_strsplit (captions, "\n", -1);
  GString *times = g_string_new (NULL);

  for (guint i = 0; lines[i]; i++)
    if (strstr (lines[i], "-->"))
      g_string_append_printf (times, "%s\n", g_strchomp (lines[i]));
  return g_string_free (times, FALSE);
}

#define SRT \
    "1\n00:00:01,000 --> 00:00:02,500\nGood morning,\n<i>Anna</i>.\n\n" \
    "2\n00:00:02,500 --> 00:00:04,000\n<i>We went to the\n\n3\n00:00:05,250 --> 00:00:06,000\nold & cold station.\n\n"

GST_START_TEST (test_caption_file)
{
  g_autofree gchar *translate = g_strdup_printf ("gemmatranslate model=%s temperature=10 seed=3 max-tokens=8 "
      "target-language=es", eval_files.directory);
  g_autofree gchar *translated = convert_captions (SRT, translate);
  g_autofree gchar *before = get_times (SRT), *after = get_times (translated);

  fail_unless_equals_string (after, before);
}

GST_END_TEST;

/* Speech to foreign text: words, or the times without them, cover all of the time. */
GST_START_TEST (test_after_transcriber)
{
  g_autofree gchar *line = g_strdup_printf ("appsrc name=src format=time caps=\"" AUDIO_CAPS "\" ! "
      "gemmatranscriber streaming=words ! gemmatranslate name=translate gather=sentences model=%s temperature=10 "
      "seed=3 max-tokens=8 target-language=es ! fakesink", eval_files.directory);
  GstElement *pipeline = launch_pipeline (line);
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_autoptr (GstElement) translate = gst_bin_get_by_name (GST_BIN (pipeline), "translate");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (translate, "src");
  Collector *out = collector_new (pad);
  GstFlowReturn flow;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  push_sound (src, RATE, FALSE, 0);
  push_sound (src, 2 * RATE, TRUE, GST_SECOND);
  push_sound (src, RATE, FALSE, 3 * GST_SECOND);
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  collector_wait_eos (out, 60);
  /* The last token reaches a little behind the end. */
  collector_check_coverage (out, 0, 4 * GST_SECOND, MS (160));
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  collector_free (out);
}

GST_END_TEST;

GST_START_TEST (test_same_language)
{
  Fixture f = begin (UTF8, "target-language=en", FALSE);

  push (&f, 0, 1000, "Hello.");
  push (&f, 1000, 2000, "Hello.");
  finish (&f);
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (f.bus, GST_MESSAGE_WARNING);
  g_autoptr (GError) error = NULL;
  fail_unless (message != NULL);
  gst_message_parse_warning (message, &error, NULL);
  fail_unless (strstr (error->message, "target-language") != NULL, "%s", error->message);
  fail_if (gst_bus_have_pending (f.bus) && gst_bus_pop_filtered (f.bus, GST_MESSAGE_WARNING), "it is told twice");
  end (&f);
}

GST_END_TEST;

static Suite *
gemmatranslate_suite (void)
{
  Suite *s = suite_create ("gemmatranslate");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_unchecked_fixture (tc, eval_files_setup, eval_files_teardown);
  tcase_add_test (tc, test_cues_keep_number_times_and_form);
  tcase_add_test (tc, test_events_come_in_order);
  tcase_add_test (tc, test_sentences);
  tcase_add_test (tc, test_across_cues);
  tcase_add_test (tc, test_each_cue);
  tcase_add_test (tc, test_no_next_cue);
  tcase_add_test (tc, test_live);
  tcase_add_test (tc, test_prefix_is_read_once);
  tcase_add_test (tc, test_history_size);
  tcase_add_test (tc, test_flush);
  tcase_add_test (tc, test_flush_forgets_words);
  tcase_add_test (tc, test_no_duration_and_no_text);
  tcase_add_test (tc, test_turns);
  tcase_add_test (tc, test_errors_and_progress);
  tcase_add_test (tc, test_settings_in_latin1);
  tcase_add_test (tc, test_name_in_latin1);
  tcase_add_test (tc, test_no_room_for_any_text);
  tcase_add_test (tc, test_long_text);
  tcase_add_test (tc, test_caption_file);
  tcase_add_test (tc, test_after_transcriber);
  tcase_add_test (tc, test_same_language);
  return s;
}

GST_CHECK_MAIN (gemmatranslate);
