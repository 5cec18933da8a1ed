/* Several languages from one session: gemmatranscriber translate-mode=chained, and gemmalm's translate_src_%u. What all
 * transcribers do is in gemmatranscriber.c, in both modes. */
#include "util.h"

#include <string.h>

#define CHAINED "gemmatranscriber name=t translate-mode=chained "

typedef struct
{
  GstElement *pipeline, *transcriber;
  guint n;
  Collector *out[4];            /* src, then the translations */
} Fixture;

/* @languages: of the pads, with spaces between them; their translations go to fakesinks, but for those in @sinks. */
static Fixture
begin (const gchar *source, const gchar *transcriber, const gchar *languages, const gchar *sinks)
{
  Fixture f = { .n = 1 };
  g_auto (GStrv) codes = g_strsplit (languages, " ", -1);
  g_autoptr (GString) line = g_string_new (source);

  g_string_append_printf (line, " ! %s t.src ! fakesink async=false ", transcriber);
  for (guint i = 0; codes[i]; i++)
    g_string_append_printf (line, "t.translate_src_%u ! %s ", i, sinks ? sinks : "fakesink async=false");
  f.pipeline = launch_pipeline (line->str);
  f.transcriber = gst_bin_get_by_name (GST_BIN (f.pipeline), "t");
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.transcriber, "src");
  f.out[0] = collector_new (src);
  for (guint i = 0; codes[i]; i++) {
    g_autofree gchar *name = g_strdup_printf ("translate_src_%u", i);
    g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, name);
    g_object_set (pad, "language-code", codes[i], NULL);
    f.out[f.n++] = collector_new (pad);
  }
  return f;
}

static void
end (Fixture *f)
{
  gst_element_set_state (f->pipeline, GST_STATE_NULL);
  for (guint i = 0; i < f->n; i++)
    collector_free (f->out[i]);
  gst_object_unref (f->transcriber);
  gst_object_unref (f->pipeline);
}

static void
play (Fixture *f)
{
  gst_element_set_state (f->pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < f->n; i++)
    collector_wait_eos (f->out[i], 60);
}

static gchar *
get_language (Collector *out)
{
  gchar *language = NULL;

  for (guint i = 0; i < out->items->len; i++) {
    gpointer item = g_ptr_array_index (out->items, i);
    GstTagList *tags;
    if (!GST_IS_EVENT (item) || GST_EVENT_TYPE (item) != GST_EVENT_TAG)
      continue;
    gst_event_parse_tag (item, &tags);
    g_clear_pointer (&language, g_free);
    gst_tag_list_get_string (tags, GST_TAG_LANGUAGE_CODE, &language);
  }
  return language;
}

/* Of what is told last, text or silence. */
static GstClockTime
get_end (Collector *out)
{
  GstClockTime start = 0, duration = 0;

  for (guint i = 0; i < out->items->len; i++) {
    gpointer item = g_ptr_array_index (out->items, i);
    if (GST_IS_BUFFER (item)) {
      start = GST_BUFFER_PTS (item);
      duration = GST_BUFFER_DURATION (item);
    } else if (GST_EVENT_TYPE (item) == GST_EVENT_GAP) {
      gst_event_parse_gap (item, &start, &duration);
    }
  }
  return start + duration;
}

static guint
count_models (GstElement *transcriber)
{
  GstIterator *all = gst_bin_iterate_all_by_element_factory_name (GST_BIN (transcriber), "gemmalm");
  g_auto (GValue) item = G_VALUE_INIT;
  guint n = 0;

  for (; gst_iterator_next (all, &item) == GST_ITERATOR_OK; g_value_reset (&item))
    n++;
  gst_iterator_free (all);
  return n;
}

#define RECORDED "filesrc location=" RECORDING " ! decodebin"

/* How many tokens of prompts were computed for the recording, with all that was asked about it. */
static guint64
count_computed (const gchar *languages, guint64 *translations)
{
  Fixture f = begin (RECORDED, CHAINED, languages, NULL);

  play (&f);
  guint64 computed = get_stat (f.transcriber, "prompt-tokens") - get_stat (f.transcriber, "reused-tokens");
  *translations = get_stat (f.transcriber, "translations");
  fail_unless_equals_int (count_models (f.transcriber), 1);
  for (guint i = 0; i < f.n; i++) {
    fail_unless_equals_int (collector_count (f.out[i], TRUE, 0), 4);
    collector_check_coverage (f.out[i], 0, get_end (f.out[0]), MS (80));
    for (guint k = 0; k < 4; k++)
      fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out[i], k)),
          GST_BUFFER_PTS (collector_get_buffer (f.out[0], k)));
  }
  end (&f);
  return computed;
}

/* Instruction, sound and transcript are read once: another language costs the tokens of its name. */
GST_START_TEST (test_one_prefix)
{
  guint64 translations;
  guint64 one = count_computed ("es", &translations);
  fail_unless_equals_uint64 (translations, 4);
  guint64 three = count_computed ("es fr it", &translations);
  fail_unless_equals_uint64 (translations, 12);

  /* A line break, a name in pieces, a colon, twice for four utterances; and the instruction is longer by two names. */
  fail_unless (three <= one + 4 * 2 * 8 + 16, "%" G_GUINT64_FORMAT " tokens instead of %" G_GUINT64_FORMAT, three, one);
}

GST_END_TEST;

GST_START_TEST (test_spoken_language)
{
  Fixture f = begin (RECORDED, CHAINED "language-code=en", "en-GB fr", NULL);

  play (&f);
  for (guint i = 0; i < 4; i++) {
    g_autofree gchar *said = collector_get_text (f.out[0], i), *same = collector_get_text (f.out[1], i);
    fail_unless_equals_string (said, same);
  }
  g_autofree gchar *english = get_language (f.out[1]), *french = get_language (f.out[2]);
  fail_unless_equals_string (english, "en-GB");
  fail_unless_equals_string (french, "fr");
  fail_unless_equals_uint64 (get_stat (f.transcriber, "translations"), 4);
  end (&f);
}

GST_END_TEST;

/* Words leave one by one, what they mean in another language when all have been said. */
GST_START_TEST (test_words)
{
  Fixture f = begin (RECORDED, CHAINED "streaming=words", "es", NULL);

  play (&f);
  guint n = collector_count (f.out[0], TRUE, 0);
  fail_unless (n > 20, "%u words", n);
  fail_unless_equals_int (collector_count (f.out[1], TRUE, 0), 4);
  collector_check_coverage (f.out[1], 0, get_end (f.out[0]), MS (80));
  end (&f);
}

GST_END_TEST;

/* Which way is the model's to say; a pad keeps its language and its link. */
GST_START_TEST (test_modes)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmatranscriber", NULL));
  static const struct
  {
    const gchar *mode;
    guint n_models;
  } rows[] = { { "auto", 3 }, { "chained", 1 }, { "direct", 3 }, { "chained", 1 }, { "auto", 3 } };
  GstPad *pads[2];

  for (guint i = 0; i < 2; i++) {
    pads[i] = gst_element_request_pad_simple (element, "translate_src_%u");
    g_object_set (pads[i], "language-code", i ? "fr" : "es", NULL);
  }
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    gst_util_set_object_arg (G_OBJECT (element), "translate-mode", rows[i].mode);
    fail_unless_equals_int (gst_element_set_state (element, GST_STATE_READY), GST_STATE_CHANGE_SUCCESS);
    fail_unless_equals_int (count_models (element), rows[i].n_models);
    for (guint k = 0; k < 2; k++) {
      g_autofree gchar *language = NULL;
      g_autoptr (GstPad) target = gst_ghost_pad_get_target (GST_GHOST_PAD (pads[k]));
      g_object_get (pads[k], "language-code", &language, NULL);
      fail_unless_equals_string (language, k ? "fr" : "es");
      fail_unless (target != NULL);
    }
    gst_element_set_state (element, GST_STATE_NULL);
  }
  for (guint i = 0; i < 2; i++) {
    gst_element_release_request_pad (element, pads[i]);
    gst_object_unref (pads[i]);
  }
  fail_unless_equals_int (element->numsrcpads, 1);
  fail_unless_equals_int (count_models (element), 1);
}

GST_END_TEST;

typedef struct
{
  guint n_translated[2];        /* of the languages es and fr */
  GstClockTime start, end;      /* of the last partial text of the transcript */
  gboolean left_out;
} Partials;

static void
note_partial (Partials *self, const GstStructure *s)
{
  const gchar *language = gst_structure_get_string (s, "language-code");
  GstClockTime start, duration;

  fail_unless (gst_structure_get_uint64 (s, "timestamp", &start) && gst_structure_get_uint64 (s, "duration", &duration));
  if (g_str_equal (language, "en")) {
    self->start = start;
    self->end = start + duration;
    return;
  }
  /* It follows what it is a translation of. */
  self->n_translated[g_str_equal (language, "fr")]++;
  fail_unless_equals_uint64 (start, self->start);
  fail_unless_equals_uint64 (start + duration, self->end);
}

/* What has been posted up to now. */
static void
note_messages (Partials *self, Fixture *f)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (f->pipeline);
  GstMessage *message;

  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT))) {
    const GstStructure *s = gst_message_get_structure (message);
    gboolean translated;

    if (gst_structure_has_name (s, "gemma-partial"))
      note_partial (self, s);
    else if (gst_structure_get_boolean (s, "partial-translations", &translated))
      self->left_out |= !translated;
    gst_message_unref (message);
  }
}

/* While somebody speaks, messages show what it means in the other languages; what leaves in the end is the same. */
GST_START_TEST (test_partial_translations)
{
  Fixture whole = begin (RECORDED, CHAINED, "es en fr", NULL);
  Fixture f = begin (RECORDED, CHAINED "streaming=partial hypothesis-interval=1000", "es en fr", NULL);
  Partials partials = { 0, };

  play (&whole);
  play (&f);
  note_messages (&partials, &f);
  /* Of each hypothesis, unless it was that nothing has been said yet. */
  guint n = get_stat (f.transcriber, "hypotheses");
  fail_unless (n >= 8 && partials.n_translated[0] > n / 2 && partials.n_translated[0] <= n, "%u hypotheses, %u translated", n,
      partials.n_translated[0]);
  fail_unless_equals_int (partials.n_translated[1], partials.n_translated[0]);
  for (guint i = 0; i < f.n; i++)
    for (guint k = 0; k < 4; k++) {
      g_autofree gchar *want = collector_get_text (whole.out[i], k), *got = collector_get_text (f.out[i], k);
      fail_unless_equals_string (got, want);
    }
  /* The statistics are of what has left. */
  fail_unless_equals_uint64 (get_stat (f.transcriber, "translations"), 8);
  end (&whole);
  end (&f);
}

GST_END_TEST;

#define SOUND "appsrc name=in format=time caps=\"" AUDIO_CAPS "\""

static GstElement *
get_input (Fixture *f)
{
  return gst_bin_get_by_name (GST_BIN (f->pipeline), "in");
}

static void
wait_texts (Collector *out, guint n)
{
  gint64 deadline = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;

  while (collector_count (out, TRUE, 0) < n) {
    fail_unless (g_get_monotonic_time () < deadline, "%u texts", collector_count (out, TRUE, 0));
    g_usleep (20000);
  }
}

static void
push_utterance (GstElement *in, GstClockTime pts)
{
  push_sound (in, RATE, TRUE, pts);
  push_sound (in, RATE, FALSE, pts + MS (1000));
}

static void
finish (Fixture *f, GstElement *in)
{
  GstFlowReturn flow;

  g_signal_emit_by_name (in, "end-of-stream", &flow);
  for (guint i = 0; i < f->n; i++)
    collector_wait_eos (f->out[i], 60);
}

/* Live, when utterances wait, nobody translates hypotheses any more, and every text is translated all the same. */
GST_START_TEST (test_partial_translations_are_left_out_first)
{
  Fixture f = begin (SOUND " is-live=true", CHAINED "streaming=partial latency=30000", "es fr", NULL);
  g_autoptr (GstElement) in = get_input (&f);
  Partials partials = { 0, };

  use_random_words (f.transcriber, 200);       /* which take longer than to hear them */
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_sound (in, 2 * RATE, TRUE, 0);
  for (gint64 deadline = g_get_monotonic_time () + 60 * G_USEC_PER_SEC; !partials.n_translated[0] && !partials.left_out;) {
    fail_unless (g_get_monotonic_time () < deadline, "no partial translation");
    note_messages (&partials, &f);
    g_usleep (10000);
  }
  push_sound (in, RATE, FALSE, MS (2000));
  for (guint i = 1; i <= 8; i++)
    push_utterance (in, MS (3000) + MS (2000) * i);
  finish (&f, in);
  note_messages (&partials, &f);
  fail_unless (partials.left_out);
  for (guint i = 0; i < f.n; i++)
    fail_unless_equals_int (collector_count (f.out[i], TRUE, 0), 9);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_language_changes)
{
  Fixture f = begin (SOUND, CHAINED, "es it", NULL);
  g_autoptr (GstElement) in = get_input (&f);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (f.transcriber, "translate_src_0");

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_utterance (in, 0);
  for (guint i = 0; i < f.n; i++)
    wait_texts (f.out[i], 1);
  g_autofree gchar *before = get_language (f.out[1]);
  g_object_set (pad, "language-code", "fr", NULL);
  push_utterance (in, MS (2000));
  finish (&f, in);
  g_autofree gchar *after = get_language (f.out[1]), *other = get_language (f.out[2]);
  fail_unless_equals_string (before, "es");
  fail_unless_equals_string (after, "fr");
  fail_unless_equals_string (other, "it");
  for (guint i = 0; i < f.n; i++)
    fail_unless_equals_int (collector_count (f.out[i], TRUE, 0), 2);
  end (&f);
}

GST_END_TEST;

/* A language that comes later begins like any stream; one that goes leaves the others as they were. */
GST_START_TEST (test_pads_come_and_go)
{
  Fixture f = begin (SOUND, CHAINED, "es", NULL);
  g_autoptr (GstElement) in = get_input (&f), sink = gst_object_ref_sink (gst_element_factory_make ("fakesink", NULL));
  g_autoptr (GstPad) first = gst_element_get_static_pad (f.transcriber, "translate_src_0");

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  push_utterance (in, 0);
  wait_texts (f.out[1], 1);

  g_object_set (sink, "async", FALSE, NULL);
  gst_bin_add (GST_BIN (f.pipeline), sink);
  gst_element_sync_state_with_parent (sink);
  GstPad *later = gst_element_request_pad_simple (f.transcriber, "translate_src_%u");
  g_object_set (later, "language-code", "fr", NULL);
  f.out[f.n++] = collector_new (later);
  g_autoptr (GstPad) sinkpad = gst_element_get_static_pad (sink, "sink");
  fail_unless (gst_pad_link (later, sinkpad) == GST_PAD_LINK_OK);
  push_utterance (in, MS (2000));
  wait_texts (f.out[2], 1);
  fail_unless_equals_int (collector_count (f.out[2], FALSE, GST_EVENT_STREAM_START), 1);
  fail_unless_equals_int (collector_count (f.out[2], FALSE, GST_EVENT_SEGMENT), 1);
  fail_unless (GST_BUFFER_PTS (collector_get_buffer (f.out[2], 0)) >= MS (1900));
  wait_texts (f.out[1], 2);

  gst_element_release_request_pad (f.transcriber, first);
  Collector *gone = f.out[1];
  f.out[1] = f.out[--f.n];
  push_utterance (in, MS (4000));
  finish (&f, in);
  fail_unless_equals_int (collector_count (gone, TRUE, 0), 2);
  fail_unless_equals_int (collector_count (f.out[0], TRUE, 0), 3);
  fail_unless_equals_int (collector_count (f.out[1], TRUE, 0), 2);
  collector_free (gone);
  gst_element_release_request_pad (f.transcriber, later);
  gst_object_unref (later);
  end (&f);
}

GST_END_TEST;

/* Who wants no more of one language does not stop the others. */
GST_START_TEST (test_end_of_one)
{
  Fixture f = begin (SOUND, CHAINED, "es fr", "fakesink async=false num-buffers=1");
  g_autoptr (GstElement) in = get_input (&f);

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 3; i++)
    push_utterance (in, MS (2000) * i);
  finish (&f, in);
  fail_unless_equals_int (collector_count (f.out[0], TRUE, 0), 3);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_flush)
{
  Fixture f = begin (SOUND, CHAINED, "es fr it", NULL);
  g_autoptr (GstElement) in = get_input (&f);
  g_autoptr (GstPad) src = gst_element_get_static_pad (in, "src");
  guint before[4];
  GstSegment segment;

  use_random_words (f.transcriber, 12);
  gst_element_set_state (f.pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 3; i++)
    push_utterance (in, MS (2000) * i);
  wait_texts (f.out[0], 1);     /* now it translates */
  Watch watch = watch_begin ();
  gst_pad_push_event (src, gst_event_new_flush_start ());
  gst_pad_push_event (src, gst_event_new_flush_stop (TRUE));
  /* One token, or one slice of sound, on a busy machine. */
  fail_unless (watch_get (&watch) < 2 * G_USEC_PER_SEC);
  for (guint i = 0; i < f.n; i++) {
    before[i] = collector_count (f.out[i], TRUE, 0);
    fail_unless_equals_int (collector_count (f.out[i], FALSE, GST_EVENT_FLUSH_STOP), 1);
  }
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_pad_push_event (src, gst_event_new_segment (&segment));
  push_utterance (in, MS (20000));
  finish (&f, in);
  for (guint i = 0; i < f.n; i++) {
    fail_unless_equals_int (collector_count (f.out[i], TRUE, 0), before[i] + 1);
    fail_unless (GST_BUFFER_PTS (collector_get_buffer (f.out[i], before[i])) >= MS (19900));
  }
  end (&f);
}

GST_END_TEST;

static Suite *
translations_suite (void)
{
  Suite *s = suite_create ("translations");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_one_prefix);
  tcase_add_test (tc, test_spoken_language);
  tcase_add_test (tc, test_words);
  tcase_add_test (tc, test_partial_translations);
  tcase_add_test (tc, test_partial_translations_are_left_out_first);
  tcase_add_test (tc, test_modes);
  tcase_add_test (tc, test_language_changes);
  tcase_add_test (tc, test_pads_come_and_go);
  tcase_add_test (tc, test_end_of_one);
  tcase_add_test (tc, test_flush);
  return s;
}

GST_CHECK_MAIN (translations);
