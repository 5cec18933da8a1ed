/* gemmalm, fed with made-up tokens: what the model says does not matter, when it says it does. */
#include "util.h"

#include <gst/gemma/gemma.h>
#include <string.h>

#include "soft-tokens.h"

typedef struct
{
  GstHarness *harness;
  GstElement *lm;
  Collector *out;
  GstBus *bus;
  guint hidden;
} Fixture;

/* Random words (temperature 10), always the same, so that there is text whatever the model knows. */
static Fixture
begin (const gchar *pad)
{
  Fixture f = { 0, };

  f.lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", NULL));
  g_object_set (f.lm, "temperature", 10., "seed", (guint64) 3, "max-tokens", 12, "no-speech-threshold", 0., NULL);
  f.bus = gst_bus_new ();
  gst_element_set_bus (f.lm, f.bus);
  f.harness = gst_harness_new_with_element (f.lm, pad, "src");
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.lm, "src");
  f.out = collector_new (src);
  f.hidden = get_hidden ();
  g_autoptr (GstCaps) caps = g_str_has_prefix (pad, "text") ? gst_caps_from_string ("text/x-raw, format=utf8") :
      gst_gemma_soft_token_caps_new (f.hidden, 1, 25, 4);
  gst_harness_set_src_caps (f.harness, g_steal_pointer (&caps));
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_bus (f->lm, NULL);
  gst_harness_teardown (f->harness);
  gst_object_unref (f->lm);
  gst_object_unref (f->bus);
  collector_free (f->out);
}

static GstFlowReturn
push_token (Fixture *f, GstClockTime pts, gboolean quiet)
{
  return gst_harness_push (f->harness, make_soft_token (f->hidden, pts, quiet));
}

/* 's' speech, '.' quiet */
static GstClockTime
push (Fixture *f, const gchar *pattern, GstClockTime pts)
{
  for (const gchar *p = pattern; *p; p++, pts += TOKEN)
    fail_unless_equals_int (push_token (f, pts, *p == '.'), GST_FLOW_OK);
  return pts;
}

static void
finish (Fixture *f)
{
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  collector_wait_eos (f->out, 60);
}

static void
push_bytes (Fixture *f, const gchar *text, gsize length)
{
  GstBuffer *buffer = length ? gst_buffer_new_memdup (text, length) : gst_buffer_new ();

  GST_BUFFER_PTS (buffer) = 0;
  GST_BUFFER_DURATION (buffer) = GST_SECOND;
  fail_unless_equals_int (gst_harness_push (f->harness, buffer), GST_FLOW_OK);
}

GST_START_TEST (test_text_has_the_times_of_its_speech)
{
  Fixture f = begin ("audio_0");
  GstBuffer *text;
  GstMapInfo map;

  push (&f, "....sssss....ssss", MS (1000));
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  text = collector_get_buffer (f.out, 0);
  /* A token tells of sound from 80 ms into the one before up to 80 ms into it. */
  fail_unless_equals_uint64 (GST_BUFFER_PTS (text), MS (1000) + 3 * TOKEN + MS (80));
  fail_unless_equals_uint64 (GST_BUFFER_DURATION (text), 5 * TOKEN);
  gst_buffer_map (text, &map, GST_MAP_READ);
  fail_unless (map.size > 0 && g_utf8_validate ((gchar *) map.data, map.size, NULL));
  gst_buffer_unmap (text, &map);
  /* The last word is there although no pause followed it. */
  text = collector_get_buffer (f.out, 1);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (text), MS (1000) + 12 * TOKEN + MS (80));
  collector_check_coverage (f.out, MS (1000), MS (1000) + 17 * TOKEN, 0);
  fail_unless_equals_int (get_stat (f.lm, "utterances"), 2);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_silence_gives_only_gaps)
{
  Fixture f = begin ("audio_0");

  push (&f, "..........", 0);
  gst_harness_push_event (f.harness, gst_event_new_gap (10 * TOKEN, GST_SECOND));
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 0);
  collector_check_coverage (f.out, 0, 10 * TOKEN + GST_SECOND, 0);
  fail_unless_equals_int (get_stat (f.lm, "utterances"), 0);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_events_come_in_order)
{
  static const GstEventType expected[] = { GST_EVENT_STREAM_START, GST_EVENT_CAPS, GST_EVENT_SEGMENT, GST_EVENT_TAG,
    GST_EVENT_GAP };
  Fixture f = begin ("audio_0");
  GstTagList *tags;
  g_autofree gchar *language = NULL;

  push (&f, "sss", 0);
  finish (&f);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    fail_unless_equals_int (GST_EVENT_TYPE (g_ptr_array_index (f.out->items, i)), expected[i]);
  gst_event_parse_tag (g_ptr_array_index (f.out->items, 3), &tags);
  fail_unless (gst_tag_list_get_string (tags, GST_TAG_LANGUAGE_CODE, &language));
  fail_unless_equals_string (language, "en");
  /* A GAP of no length, for those who wait for something to come; text, then the sign that it is final, then the end. */
  fail_unless (GST_IS_BUFFER (g_ptr_array_index (f.out->items, 5)));
  fail_unless (gst_event_has_name (g_ptr_array_index (f.out->items, 6), "rstranscribe/final-transcript"));
  fail_unless_equals_int (GST_EVENT_TYPE (g_ptr_array_index (f.out->items, 7)), GST_EVENT_GAP);
  fail_unless_equals_int (GST_EVENT_TYPE (g_ptr_array_index (f.out->items, 8)), GST_EVENT_EOS);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_long_speech_is_cut)
{
  Fixture f = begin ("audio_0");

  g_object_set (f.lm, "max-segment", 1600, NULL);
  push (&f, "sssssss.sssss", 0);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 1)), 8 * TOKEN);
  collector_check_coverage (f.out, 0, 13 * TOKEN, 0);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_partial_texts)
{
  Fixture f = begin ("audio_0");
  guint n = 0;
  GstMessage *message;

  push (&f, "sss", 0);
  finish (&f);
  while ((message = gst_bus_pop_filtered (f.bus, GST_MESSAGE_ELEMENT))) {
    const GstStructure *s = gst_message_get_structure (message);
    n += gst_structure_has_name (s, "gemma-partial") && gst_structure_get_string (s, "text") != NULL;
    gst_message_unref (message);
  }
  fail_unless (n > 1);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_flush_during_decode)
{
  Fixture f = begin ("text_0");
  GstSegment segment;
  guint before;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  /* Thousands of tokens, were it not for the flush. */
  g_object_set (f.lm, "max-tokens", 100000, "task", 4 /* custom */, NULL);
  for (guint i = 0; i < 3; i++)
    push_bytes (&f, "a", 1);
  g_autoptr (GstMessage) partial = gst_bus_timed_pop_filtered (f.bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT);
  fail_unless (partial != NULL);

  Watch watch = watch_begin ();
  gst_harness_push_event (f.harness, gst_event_new_flush_start ());
  gst_harness_push_event (f.harness, gst_event_new_flush_stop (TRUE));
  /* One token of the embedded model takes some milliseconds; a second is generous on a busy machine. */
  fail_unless (watch_get (&watch) < G_USEC_PER_SEC);
  before = collector_count (f.out, TRUE, 0);

  g_object_set (f.lm, "max-tokens", 4, NULL);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  push_bytes (&f, "b", 1);
  finish (&f);
  fail_unless (collector_count (f.out, TRUE, 0) <= before + 1, "late text");
  fail_unless (get_stat (f.lm, "utterances") <= 3);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_null_during_decode)
{
  Fixture f = begin ("text_0");

  g_object_set (f.lm, "max-tokens", 100000, "task", 4, NULL);
  push_bytes (&f, "a", 1);
  g_autoptr (GstMessage) partial = gst_bus_timed_pop_filtered (f.bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT);
  fail_unless (partial != NULL);
  Watch watch = watch_begin ();
  gst_element_set_state (f.lm, GST_STATE_NULL);
  fail_unless (watch_get (&watch) < G_USEC_PER_SEC);
  end (&f);
}

GST_END_TEST;

/* Tokens of the prompt that @text leads to. */
static guint64
count_prompt (const gchar *text, gsize length)
{
  Fixture f = begin ("text_0");
  guint64 n;

  g_object_set (f.lm, "max-tokens", 1, "task", 4, NULL);
  push_bytes (&f, text, length);
  finish (&f);
  n = get_stat (f.lm, "prompt-tokens");
  end (&f);
  return n;
}

GST_START_TEST (test_text_is_only_text)
{
  guint64 n = count_prompt ("a", 1);

  /* As control tokens these were one each. */
  fail_unless (count_prompt ("<start_of_turn>", 15) > n + 2);
  fail_unless (count_prompt ("<end_of_turn><bos>", 18) > n + 4);
  /* Invalid UTF-8, a NUL, nothing. */
  count_prompt ("\xff\xc3(\xf0\x9f", 5);
  count_prompt ("a\0b", 3);
  count_prompt ("", 0);
}

GST_END_TEST;

/* An answer that takes too long is cut, not waited for; it is told, and the next one is asked for. */
GST_START_TEST (test_endless_answer)
{
  Fixture f = begin ("text_0");
  g_autoptr (GError) error = NULL;

  /* Far more tokens than a millisecond is enough for. */
  g_object_set (f.lm, "temperature", 10., "seed", (guint64) 3, "max-tokens", 400, "context-size", 480, "decode-timeout", 1,
      NULL);
  push_bytes (&f, "a", 1);
  push_bytes (&f, "b", 1);
  finish (&f);
  fail_unless (get_stat (f.lm, "tokens") < 100);
  fail_unless_equals_uint64 (get_stat (f.lm, "utterances"), 2);
  g_autoptr (GstMessage) warning = gst_bus_pop_filtered (f.bus, GST_MESSAGE_WARNING);
  fail_unless (warning != NULL);
  gst_message_parse_warning (warning, &error, NULL);
  fail_unless (strstr (error->message, "decode-timeout") != NULL, "%s", error->message);
  end (&f);
}

GST_END_TEST;

/* It alone is left out, with a warning; its time becomes a GAP. */
GST_START_TEST (test_text_longer_than_context)
{
  Fixture f = begin ("text_0");
  g_autofree gchar *text = g_strnfill (20000, 'q');
  g_autoptr (GError) error = NULL;

  g_object_set (f.lm, "context-size", 64, NULL);
  push_text (f.harness, "a", 0, 1000);
  push_text (f.harness, text, 1000, 1000);
  push_text (f.harness, "b", 2000, 1000);
  finish (&f);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 1)), MS (2000));
  collector_check_coverage (f.out, 0, MS (3000), 0);
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (f.bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING);
  gst_message_parse_warning (message, &error, NULL);
  fail_unless (strstr (error->message, "20000 characters") && strstr (error->message, "context-size"), "%s", error->message);
  fail_unless (gst_bus_pop_filtered (f.bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR) == NULL);
  end (&f);
}

GST_END_TEST;

/* With this prompt no text would fit. */
GST_START_TEST (test_prompt_longer_than_context)
{
  Fixture f = begin ("text_0");
  g_autofree gchar *text = g_strnfill (20000, 'q');

  g_object_set (f.lm, "context-size", 64, "prompt", text, NULL);
  gst_util_set_object_arg (G_OBJECT (f.lm), "task", "custom");
  push_bytes (&f, "a", 1);
  g_autofree gchar *message = wait_error (f.bus, 60);
  fail_unless (strstr (message, "context-size") != NULL, "%s", message);
  collector_wait_eos (f.out, 10);       /* nobody downstream waits for text any more */
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_tokens_of_another_model)
{
  Fixture f = begin ("audio_0");
  g_autoptr (GstCaps) caps = gst_gemma_soft_token_caps_new (f.hidden + 1, 1, 25, 4);

  gst_harness_set_src_caps (f.harness, g_steal_pointer (&caps));
  g_autofree gchar *message = wait_error (f.bus, 10);
  fail_unless (strstr (message, "do not fit") != NULL, "%s", message);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_settings_are_checked)
{
  g_autoptr (GstElement) lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", NULL));

  g_object_set (lm, "submodel", "E2B", NULL);
  check_error_at_ready (lm, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, "E2B");
  g_autofree gchar *table = write_file ("wrong.txt", "2 skip\n", 7);
  g_object_set (lm, "submodel", table, NULL);   /* full, and so is the last, which shares */
  check_error_at_ready (lm, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, "skips layer 2, whose keys and values layer 4 reads");
  g_object_set (lm, "submodel", "full", "fallback-submodel", "E1.96B", NULL);
  check_error_at_ready (lm, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, "E1.96B");
  g_object_set (lm, "fallback-submodel", NULL, "model", "/nonexistent", NULL);
  check_error_at_ready (lm, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/nonexistent");
}

GST_END_TEST;

/* ---- submodels: the embedded model has 5 layers of 512 ---------------------------------------------- */

typedef struct
{
  GstElement *lm;
  const gchar *submodel;
  guint when, n;                /* set at this partial text */
} Change;

static GstBusSyncReply
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  Change *change = data;

  if (gst_message_has_name (message, "gemma-partial") && ++change->n == change->when)
    g_object_set (change->lm, "submodel", change->submodel, NULL);
  return GST_BUS_PASS;
}

/* What the model writes to "a", with a change at partial text @when (0: none). */
static gchar *
write_with_change (const gchar *first, const gchar *second, guint when)
{
  Fixture f = begin ("text_0");
  Change change = { f.lm, second, when, 0 };
  GstMapInfo map;

  g_object_set (f.lm, "max-tokens", 40, "task", 4, "submodel", first, NULL);
  gst_bus_set_sync_handler (f.bus, on_message, &change, NULL);
  push_bytes (&f, "a", 1);
  finish (&f);
  GstBuffer *text = collector_get_buffer (f.out, 0);
  fail_unless (text != NULL);
  gst_buffer_map (text, &map, GST_MAP_READ);
  gchar *result = g_strndup ((const gchar *) map.data, map.size);
  gst_buffer_unmap (text, &map);
  fail_unless (change.n > when, "%u partial texts", change.n);
  end (&f);
  return result;
}

static gsize
common_length (const gchar *a, const gchar *b)
{
  gsize n = 0;

  while (a[n] && a[n] == b[n])
    n++;
  return n;
}

/* In the middle of an answer: the same text up to there, another one from there on. */
GST_START_TEST (test_submodel_changes_between_tokens)
{
  g_autofree gchar *half = write_file ("half.txt", "0-4 256\n", 8), *skip = write_file ("skip.txt", "1 skip\n", 7);
  g_autofree gchar *full = write_with_change ("full", NULL, 0), *part = write_with_change (half, NULL, 0);
  g_autofree gchar *changed = write_with_change ("full", half, 6), *back = write_with_change (half, "full", 6);
  g_autofree gchar *skipping = write_with_change (skip, NULL, 0), *waits = write_with_change (skip, "full", 6);

  fail_if (g_str_equal (full, part));
  fail_unless (common_length (changed, full) >= 6 && !g_str_equal (changed, full), "\"%s\", \"%s\"", full, changed);
  fail_unless (common_length (back, part) >= 6 && !g_str_equal (back, part), "\"%s\", \"%s\"", part, back);
  /* Keys and values of the layer that was skipped are missing: the change waits for the next answer. */
  fail_unless_equals_string (waits, skipping);
}

GST_END_TEST;

GST_START_TEST (test_bad_submodel_while_playing)
{
  Fixture f = begin ("text_0");

  g_object_set (f.lm, "task", 4, "max-tokens", 4, NULL);
  push_bytes (&f, "a", 1);
  while (get_stat (f.lm, "utterances") == 0)
    g_usleep (10000);
  g_object_set (f.lm, "submodel", "E9B", NULL);
  push_bytes (&f, "a", 1);
  g_autofree gchar *message = wait_error (f.bus, 60);
  fail_unless (strstr (message, "submodel \"E9B\" is neither a file nor a known name") != NULL, "%s", message);
  collector_wait_eos (f.out, 60);
  end (&f);
}

GST_END_TEST;

/* One copy of the weights, whatever parts of it run: the third element costs the device what the second did, a session. */
GST_START_TEST (test_submodels_share_a_model)
{
  g_autofree gchar *half = write_file ("half.txt", "0-4 256\n", 8);
  const gchar *submodels[] = { "full", "full", half };
  Fixture f[3];
  guint64 bytes[3];

  for (guint i = 0; i < G_N_ELEMENTS (f); i++) {
    f[i] = begin ("text_0");
    g_object_set (f[i].lm, "task", 4, "max-tokens", 4, "submodel", submodels[i], NULL);
    push_bytes (&f[i], "a", 1);
    while (get_stat (f[i].lm, "utterances") == 0)
      g_usleep (10000);
    bytes[i] = get_stat (f[i].lm, "device-bytes");
  }
  fail_unless_equals_int (gst_gemma_model_store_get_n_models (gst_gemma_model_store_get_default ()), 1);
  fail_unless_equals_uint64 (bytes[2] - bytes[1], bytes[1] - bytes[0]);
  for (guint i = 0; i < G_N_ELEMENTS (f); i++) {
    finish (&f[i]);
    end (&f[i]);
  }
}

GST_END_TEST;

GST_START_TEST (test_latency)
{
  Fixture f = begin ("audio_0");

  gst_harness_set_upstream_latency (f.harness, MS (300));
  g_object_set (f.lm, "latency", 5000, NULL);
  fail_unless_equals_uint64 (gst_harness_query_latency (f.harness), MS (5300));
  g_object_set (f.lm, "latency", G_MAXUINT, NULL);
  fail_unless_equals_uint64 (gst_harness_query_latency (f.harness), 0);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_lateness_shifts_the_segment)
{
  Fixture f = begin ("audio_0");
  const GstSegment *segment;
  GstSegment in;

  g_object_set (f.lm, "lateness", 1500, NULL);
  gst_segment_init (&in, GST_FORMAT_TIME);
  in.base = MS (250);
  gst_harness_push_event (f.harness, gst_event_new_segment (&in));
  push (&f, "sss", 0);
  finish (&f);
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.lm, "src");
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (src, GST_EVENT_SEGMENT, 0);
  gst_event_parse_segment (event, &segment);
  fail_unless_equals_uint64 (segment->base, MS (1750));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_second_pad_delays_the_end)
{
  Fixture f = begin ("audio_0");
  GstPad *second = gst_element_request_pad_simple (f.lm, "audio_%u");

  fail_unless_equals_string (GST_PAD_NAME (second), "audio_1");
  push (&f, "sss", 0);
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  g_usleep (300000);
  fail_unless_equals_int (collector_count (f.out, FALSE, GST_EVENT_EOS), 0);
  gst_element_release_request_pad (f.lm, second);
  gst_object_unref (second);
  collector_wait_eos (f.out, 60);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  end (&f);
}

GST_END_TEST;

/* ---- streaming --------------------------------------------------------------------------------- */

/* @interval: 0 for whole utterances */
static Fixture
begin_streaming (gint interval, gboolean live)
{
  Fixture f = begin ("audio_0");

  set_live (f.harness->srcpad, live);
  if (interval)
    g_object_set (f.lm, "streaming", 2 /* words */, "hypothesis-interval", interval, NULL);
  /* The harness has sent its segment already: with this one the element asks how live it is. */
  GstSegment segment;
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  return f;
}

GST_START_TEST (test_streaming_tells_the_same_as_whole)
{
  g_autofree gchar *texts[2] = { NULL, };

  /* An interval longer than the speech: no hypothesis but the last, which is of the whole. */
  for (guint i = 0; i < 2; i++) {
    Fixture f = begin_streaming (i ? 10000 : 0, FALSE);
    push (&f, "..ssssssss.....ssss", 0);
    finish (&f);
    texts[i] = collector_join_words (f.out, 0);
    fail_unless_equals_int (get_stat (f.lm, "hypotheses"), 0);
    fail_unless_equals_int (collector_count (f.out, TRUE, 0) > 2, i);
    collector_check_coverage (f.out, 0, 19 * TOKEN, 0);
    end (&f);
  }
  fail_unless (strlen (texts[0]) > 0);
  fail_unless_equals_string (texts[0], texts[1]);
}

GST_END_TEST;

/* Padded or not, the sound is computed once; padded, each question costs as many positions as the longest clip has. */
GST_START_TEST (test_padded_hypotheses)
{
  guint64 n_prompt[2], n_computed[2];

  for (guint i = 0; i < 2; i++) {
    Fixture f = begin_streaming (320, FALSE);
    g_object_set (f.lm, "pad-clip", i ? 2 /* always */ : 1 /* never */, NULL);
    push (&f, "..ssssssss....", 0);
    finish (&f);
    n_prompt[i] = get_stat (f.lm, "prompt-tokens");
    n_computed[i] = n_prompt[i] - get_stat (f.lm, "reused-tokens");
    fail_unless_equals_int (get_stat (f.lm, "hypotheses"), 5 - 1);
    end (&f);
  }
  /* Five questions, with 4 to 13 soft tokens of 188 each. */
  fail_unless (n_prompt[1] >= n_prompt[0] + 5 * 174);
  fail_unless (n_computed[1] >= 5 * 174);
  fail_unless (n_computed[0] < n_prompt[0] / 2);
}

GST_END_TEST;

/* What the model doubts to be speech has no words, neither whole nor in parts; set while playing. */
GST_START_TEST (test_no_speech_threshold)
{
  for (guint i = 0; i < 2; i++) {
    Fixture f = begin_streaming (i ? 320 : 0, FALSE);

    g_object_set (f.lm, "no-speech-threshold", 1e-30, NULL);
    push (&f, "..ssssssss.......", 0);
    while (get_stat (f.lm, "utterances") == 0)
      g_usleep (1000);
    g_object_set (f.lm, "no-speech-threshold", 0., NULL);
    push (&f, "..ssssssss.......", 17 * TOKEN);
    finish (&f);
    fail_unless (collector_count (f.out, TRUE, 0) > 0);
    fail_unless (GST_BUFFER_PTS (collector_get_buffer (f.out, 0)) >= 17 * TOKEN);
    collector_check_coverage (f.out, 0, 34 * TOKEN, 0);
    end (&f);
  }
}

GST_END_TEST;

/* Rounded or exact, from the next answer on, and back again. */
GST_START_TEST (test_activations_while_playing)
{
  static const gchar *const choices[] = { "f32", "int8", "f32" };
  g_autofree gchar *texts[3] = { NULL, };

  Fixture f = begin_streaming (0, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (choices); i++) {
    guint before = collector_count (f.out, TRUE, 0);

    gst_util_set_object_arg (G_OBJECT (f.lm), "activations", choices[i]);
    push (&f, "..ssssssss.......", i * 17 * TOKEN);        /* what push_token() repeats */
    while (collector_count (f.out, TRUE, 0) == before)
      g_usleep (1000);
    texts[i] = collector_join_words (f.out, 0);
  }
  finish (&f);
  end (&f);
  /* The third answer is the first one's again. */
  fail_unless (strlen (texts[1]) > strlen (texts[0]));
  fail_unless (g_str_has_suffix (texts[2], texts[0]));
}

GST_END_TEST;

/* Partial: messages while speech goes on, and on the pad what comes without them. */
GST_START_TEST (test_partial_texts_while_speech_goes_on)
{
  g_autofree gchar *texts[2] = { NULL, };

  for (guint i = 0; i < 2; i++) {
    Fixture f = begin_streaming (0, FALSE);
    g_object_set (f.lm, "streaming", i, NULL);
    push (&f, "..ssssssssssss.....ssss", 0);
    finish (&f);
    texts[i] = collector_join_words (f.out, 0);
    /* 400 ms are three tokens; 12 and 4 of them are loud. */
    fail_unless_equals_int (get_stat (f.lm, "hypotheses"), i ? 4 + 1 : 0);
    fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
    collector_check_coverage (f.out, 0, 23 * TOKEN, 0);
    end (&f);
  }
  fail_unless_equals_string (texts[0], texts[1]);
}

GST_END_TEST;

/* Words on the pad while the utterance goes on, none changed afterwards. */
GST_START_TEST (test_streaming_words_are_final)
{
  Fixture f = begin_streaming (320, FALSE);
  GstMessage *message;
  GString *final = g_string_new (NULL);
  guint n_partial = 0;

  /* With the embedded model hypotheses agree in these; with another one perhaps in none. */
  g_object_set (f.lm, "temperature", 5., "seed", (guint64) 1, "max-tokens", 60, NULL);

  push (&f, "..ssssssssssssssssssssssss.....ssssssss", MS (500));
  finish (&f);
  while ((message = gst_bus_pop_filtered (f.bus, GST_MESSAGE_ELEMENT))) {
    const GstStructure *s = gst_message_get_structure (message);
    const gchar *now = gst_structure_get_string (s, "final");
    if (gst_structure_has_name (s, "gemma-partial")) {
      fail_unless (now && gst_structure_get_string (s, "text"));
      if (!*now)
        g_string_truncate (final, 0);   /* another utterance */
      fail_unless (g_str_has_prefix (now, final->str), "%s does not begin with %s", now, final->str);
      g_string_assign (final, now);
      n_partial++;
    }
    gst_message_unref (message);
  }
  g_string_free (final, TRUE);
  fail_unless (n_partial >= 10, "%u partial texts", n_partial);
  fail_unless_equals_int (get_stat (f.lm, "hypotheses"), n_partial);
  fail_unless_equals_int (get_stat (f.lm, "utterances"), 2);
  /* Instruction and sound were computed once, not with every hypothesis. */
  fail_unless (get_stat (f.lm, "reused-tokens") > get_stat (f.lm, "prompt-tokens") / 2);
  collector_check_coverage (f.out, MS (500), MS (500) + 39 * TOKEN, 0);
  end (&f);
}

GST_END_TEST;

/* Each word has its own time, in its utterance; one sign of the end an utterance. */
GST_START_TEST (test_streaming_times)
{
  Fixture f = begin_streaming (320, FALSE);
  GstClockTime last = 2 * TOKEN;
  GstBuffer *buffer;
  guint n_ends = 0, n;

  push (&f, "..ssssssssssss....", 0);
  finish (&f);
  for (n = 0; (buffer = collector_get_buffer (f.out, n)); n++) {
    g_autofree gchar *text = collector_get_text (f.out, n);
    fail_unless (*text && !strpbrk (text, " \n\t"), "\"%s\" is not one word", text);
    fail_unless (GST_BUFFER_PTS (buffer) >= last && GST_BUFFER_DURATION (buffer) > 0);
    last = GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer);
  }
  fail_unless (n > 1);
  fail_unless (last <= 13 * TOKEN + MS (80));
  for (guint i = 0; i < f.out->items->len; i++) {
    gpointer item = g_ptr_array_index (f.out->items, i);
    n_ends += GST_IS_EVENT (item) && gst_event_has_name (item, "rstranscribe/final-transcript");
  }
  fail_unless_equals_int (n_ends, 1);
  end (&f);
}

GST_END_TEST;

/* Live, sound faster than the model: hypotheses that nobody needs any more are left out, the words are all there. */
GST_START_TEST (test_streaming_sheds_load)
{
  Fixture f = begin_streaming (160, TRUE);

  push (&f, "..ssssssssssssssssssssssss....sssssss....", 0);
  finish (&f);
  fail_unless_equals_int (get_stat (f.lm, "utterances"), 2);
  fail_unless (get_stat (f.lm, "hypotheses") + get_stat (f.lm, "hypotheses-dropped") <= 31);
  collector_check_coverage (f.out, 0, 41 * TOKEN, 0);
  end (&f);
}

GST_END_TEST;

/* Waits for a message about the load whose submodel is @submodel. */
static void
wait_for_load (Fixture *f, const gchar *submodel)
{
  const GstStructure *s = NULL;
  gboolean pictures;

  while (!s || !gst_structure_has_name (s, "gemma-load")) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (f->bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT);
    fail_unless (message != NULL, "no message about the load");
    s = gst_message_get_structure (message);
    if (!gst_structure_has_name (s, "gemma-load"))
      continue;
    fail_unless_equals_string (gst_structure_get_string (s, "submodel"), submodel);
    fail_unless (gst_structure_get_boolean (s, "pictures", &pictures));
    fail_unless_equals_int (pictures, g_str_equal (submodel, "full"));
    return;
  }
}

/* Live, utterances that come faster than they are answered: a smaller part of the model runs until there is time again, and
 * every one of them is answered. */
GST_START_TEST (test_load_chooses_the_submodel)
{
  g_autofree gchar *half = write_file ("half.txt", "0-4 256\n", 8);
  Fixture f = begin_streaming (0, TRUE);
  GstClockTime pts = 0;

  g_object_set (f.lm, "fallback-submodel", half, NULL);
  for (guint i = 0; i < 6; i++)
    pts = push (&f, "..ssssssssssssss....", pts);
  wait_for_load (&f, half);
  for (guint i = 6; i < 12; i++) {
    pts = push (&f, "..ssssssssssssss....", pts);
    while (get_stat (f.lm, "utterances") <= i)
      g_usleep (10000);
  }
  wait_for_load (&f, "full");
  finish (&f);
  fail_unless_equals_int (get_stat (f.lm, "utterances"), 12);
  collector_check_coverage (f.out, 0, pts, 0);
  end (&f);
}

GST_END_TEST;

/* What was carried over a cut may be longer than what comes next. */
GST_START_TEST (test_limit_becomes_lower_while_playing)
{
  Fixture f = begin_streaming (320, FALSE);
  GstClockTime pts;

  g_object_set (f.lm, "max-segment", 9600, NULL);
  pts = push (&f, "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss", 0);
  g_object_set (f.lm, "max-segment", 1600, NULL);
  pts = push (&f, "sssssssssssssssssssssss....", pts);
  finish (&f);
  fail_unless (get_stat (f.lm, "utterances") > 4);
  collector_check_coverage (f.out, 0, pts, 0);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_streaming_is_switched_while_playing)
{
  Fixture f = begin_streaming (320, FALSE);
  GstClockTime pts = push (&f, "..sssssssss", 0);

  g_object_set (f.lm, "streaming", 0, NULL);
  pts = push (&f, "ssss....ssssssss....", pts);
  g_object_set (f.lm, "streaming", 2, NULL);
  pts = push (&f, "ssssssss", pts);
  gst_harness_push_event (f.harness, gst_event_new_flush_start ());
  gst_harness_push_event (f.harness, gst_event_new_flush_stop (FALSE));
  GstSegment segment;
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  guint before = collector_count (f.out, TRUE, 0);
  push (&f, "ssssssss", 0);
  finish (&f);
  fail_unless (collector_count (f.out, TRUE, 0) > before);
  end (&f);
}

GST_END_TEST;

static Suite *
gemmalm_suite (void)
{
  Suite *s = suite_create ("gemmalm");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_text_has_the_times_of_its_speech);
  tcase_add_test (tc, test_silence_gives_only_gaps);
  tcase_add_test (tc, test_events_come_in_order);
  tcase_add_test (tc, test_long_speech_is_cut);
  tcase_add_test (tc, test_partial_texts);
  tcase_add_test (tc, test_flush_during_decode);
  tcase_add_test (tc, test_null_during_decode);
  tcase_add_test (tc, test_text_is_only_text);
  tcase_add_test (tc, test_endless_answer);
  tcase_add_test (tc, test_text_longer_than_context);
  tcase_add_test (tc, test_prompt_longer_than_context);
  tcase_add_test (tc, test_tokens_of_another_model);
  tcase_add_test (tc, test_settings_are_checked);
  tcase_add_test (tc, test_submodel_changes_between_tokens);
  tcase_add_test (tc, test_bad_submodel_while_playing);
  tcase_add_test (tc, test_submodels_share_a_model);
  tcase_add_test (tc, test_latency);
  tcase_add_test (tc, test_lateness_shifts_the_segment);
  tcase_add_test (tc, test_second_pad_delays_the_end);
  tcase_add_test (tc, test_streaming_tells_the_same_as_whole);
  tcase_add_test (tc, test_padded_hypotheses);
  tcase_add_test (tc, test_no_speech_threshold);
  tcase_add_test (tc, test_activations_while_playing);
  tcase_add_test (tc, test_partial_texts_while_speech_goes_on);
  tcase_add_test (tc, test_streaming_words_are_final);
  tcase_add_test (tc, test_streaming_times);
  tcase_add_test (tc, test_streaming_sheds_load);
  tcase_add_test (tc, test_load_chooses_the_submodel);
  tcase_add_test (tc, test_limit_becomes_lower_while_playing);
  tcase_add_test (tc, test_streaming_is_switched_while_playing);
  return s;
}

GST_CHECK_MAIN (gemmalm);
