/* When tokens become utterances: plain logic, no model. */
#include "util.h"

#include "plugin/utterances.h"

#define HIDDEN 2
#define T MS (160)
#define HEARD MS (80)               /* a token tells of sound up to here, from so much into the one before on */

typedef struct
{
  gboolean speech;
  GstClockTime start, end;
  guint n_tokens, n_carried, n_kept;
  gboolean dismissed;
  gfloat first;
} Span;

static GArray *spans;

/* A token for each row; speech begins in what the first loud one tells of, or where the one before was cut, and ends in the last. */
static void
check_tokens (const GemmaUtterance *u)
{
  const GemmaSoundToken *first = NULL, *last = NULL;

  fail_unless_equals_int (u->tokens->len * HIDDEN, u->rows->len);
  for (guint i = 0; i < u->tokens->len; i++) {
    const GemmaSoundToken *token = &g_array_index (u->tokens, GemmaSoundToken, i);
    fail_unless (i == 0 || token->start >= token[-1].end);
    if (token->quiet)
      continue;
    first = first || i < u->n_carried ? first : token;
    last = token;
  }
  fail_unless (last && last->start < u->end && u->end <= last->end);
  fail_unless (u->n_carried || (first && first->start - u->start <= T - HEARD));
}

static void
on_speech (const GemmaUtterance *u, gpointer data)
{
  Span span = { TRUE, u->start, u->end, u->rows->len / HIDDEN, u->n_carried, u->n_kept, u->dismissed, g_array_index (u->rows, gfloat, 0) };

  g_array_append_val (spans, span);
  check_tokens (u);
}

static void
on_silence (GstClockTime start, GstClockTime end, gpointer data)
{
  Span *last = spans->len ? &g_array_index (spans, Span, spans->len - 1) : NULL;
  Span span = { FALSE, start, end };

  fail_unless (start < end);
  if (last && !last->speech && last->end == start)
    last->end = end;
  else
    g_array_append_val (spans, span);
}

/* How far an utterance has been told while it grew. */
static GstClockTime heard_start, heard_end;
static guint n_heard;

static void
on_heard (const GemmaUtterance *u, gpointer data)
{
  if (n_heard && u->start == heard_start)
    fail_unless (u->end >= heard_end);
  /* What comes before it has been told: nobody waits for a silence. */
  if (spans->len && g_array_index (spans, Span, spans->len - 1).start < u->start)
    fail_unless_equals_uint64 (g_array_index (spans, Span, spans->len - 1).end, u->start);
  heard_start = u->start;
  heard_end = u->end;
  n_heard++;
  check_tokens (u);
}

static GemmaUtterances *
begin (void)
{
  static const GemmaUtterancesFuncs funcs = { on_speech, on_silence, on_heard };

  n_heard = 0;
  spans = g_array_new (FALSE, FALSE, sizeof (Span));
  return gemma_utterances_new (HIDDEN, &funcs, NULL);
}

static void
end (GemmaUtterances *utterances)
{
  gemma_utterances_free (utterances);
  g_array_unref (spans);
}

/* One token for each letter from @pts on: 's' speech, '.' quiet, 'D' and 'd' the same with DISCONT. */
static GstClockTime
push (GemmaUtterances *utterances, const gchar *pattern, GstClockTime pts)
{
  for (const gchar *p = pattern; *p; p++, pts += T) {
    gfloat row[HIDDEN] = { pts / T, 0.f };
    gemma_utterances_push (utterances, pts, T, *p == '.' || *p == 'd', NULL, *p == 'D' || *p == 'd', row);
  }
  return pts;
}

static void
check_span (guint i, gboolean speech, GstClockTime start, GstClockTime stop)
{
  fail_unless (i < spans->len, "only %u spans", spans->len);
  const Span *span = &g_array_index (spans, Span, i);
  fail_unless_equals_int (span->speech, speech);
  fail_unless_equals_uint64 (span->start, start);
  fail_unless_equals_uint64 (span->end, stop);
}

GST_START_TEST (test_pause_ends_utterance)
{
  GemmaUtterances *u = begin ();

  push (u, "....sss...", 0);
  fail_unless_equals_int (spans->len, 3);
  check_span (0, FALSE, 0, 3 * T + HEARD);
  check_span (1, TRUE, 3 * T + HEARD, 6 * T + HEARD);
  check_span (2, FALSE, 6 * T + HEARD, 10 * T);
  /* Two quiet tokens before and the pause belong to what the model hears. */
  fail_unless_equals_int (g_array_index (spans, Span, 1).n_tokens, 2 + 3 + 3);
  fail_unless_equals_float (g_array_index (spans, Span, 1).first, 2.f);
  end (u);
}

GST_END_TEST;

GST_START_TEST (test_short_pause_does_not)
{
  GemmaUtterances *u = begin ();

  push (u, "ss..ss", 0);
  fail_unless_equals_int (spans->len, 0);
  gemma_utterances_drain (u);
  check_span (0, TRUE, 0, 5 * T + HEARD);
  check_span (1, FALSE, 5 * T + HEARD, 6 * T);
  end (u);
}

GST_END_TEST;

GST_START_TEST (test_silence_event_and_hole)
{
  GemmaUtterances *u = begin ();
  GstClockTime t = push (u, "d..ss", MS (1000));

  gemma_utterances_push_silence (u, t, 0);      /* the gate: a clip has ended */
  fail_unless_equals_int (spans->len, 3);
  check_span (0, FALSE, MS (1000), MS (1320) + HEARD);
  check_span (1, TRUE, MS (1320) + HEARD, t - T + HEARD);
  check_span (2, FALSE, t - T + HEARD, t);
  /* A clip is heard from its beginning. */
  fail_unless_equals_int (g_array_index (spans, Span, 1).n_tokens, 5);
  push (u, "ss", t + MS (1000));
  gemma_utterances_drain (u);
  check_span (2, FALSE, t - T + HEARD, t + MS (1000));
  check_span (3, TRUE, t + MS (1000), t + MS (1160) + HEARD);
  end (u);
}

GST_END_TEST;

/* A token leaves when it is heard half; its clip may end before it does. What is told has no holes and does not overlap. */
GST_START_TEST (test_clip_ends_in_a_token)
{
  GemmaUtterances *u = begin ();

  push (u, "Dss", 0);
  gemma_utterances_push_silence (u, MS (420), 0);
  gemma_utterances_push_silence (u, MS (420), MS (580));
  push (u, "Ds", MS (1000));
  push (u, "Ds", MS (1260));    /* 60 ms before the end of the one before */
  gemma_utterances_push_silence (u, MS (1520), 0);
  fail_unless_equals_int (spans->len, 6);
  check_span (0, TRUE, 0, MS (320) + HEARD);
  check_span (1, FALSE, MS (320) + HEARD, MS (1000));
  check_span (2, TRUE, MS (1000), MS (1160) + HEARD);
  check_span (3, FALSE, MS (1160) + HEARD, MS (1260));
  check_span (4, TRUE, MS (1260), MS (1420) + HEARD);
  check_span (5, FALSE, MS (1420) + HEARD, MS (1520));
  end (u);
}

GST_END_TEST;

GST_START_TEST (test_times_go_back)
{
  GemmaUtterances *u = begin ();

  push (u, "sss", MS (5000));
  push (u, "ss", MS (1000));
  gemma_utterances_drain (u);
  fail_unless_equals_int (spans->len, 4);
  check_span (0, TRUE, MS (5000), MS (5320) + HEARD);
  check_span (1, FALSE, MS (5320) + HEARD, MS (5480));
  check_span (2, TRUE, MS (1000), MS (1160) + HEARD);
  end (u);
}

GST_END_TEST;

GST_START_TEST (test_longest_is_cut_at_pause)
{
  GemmaUtterances *u = begin ();

  gemma_utterances_set_limits (u, MS (480), 10 * T, FALSE);
  push (u, "ssssssss.sssss", 0);
  gemma_utterances_drain (u);
  check_span (0, TRUE, 0, 7 * T + HEARD);
  check_span (1, FALSE, 7 * T + HEARD, 9 * T);
  check_span (2, TRUE, 9 * T, 13 * T + HEARD);
  /* No token is lost or doubled. */
  fail_unless_equals_int (g_array_index (spans, Span, 0).n_tokens + g_array_index (spans, Span, 2).n_tokens, 14);
  end (u);
}

GST_END_TEST;

GST_START_TEST (test_longest_without_pause)
{
  GemmaUtterances *u = begin ();

  gemma_utterances_set_limits (u, MS (480), 10 * T, FALSE);
  push (u, "sssssssssssssssssssssssss", 0);
  gemma_utterances_drain (u);
  check_span (0, TRUE, 0, 9 * T + HEARD);
  check_span (2, TRUE, 10 * T, 19 * T + HEARD);
  check_span (4, TRUE, 20 * T, 24 * T + HEARD);
  fail_unless_equals_int (g_array_index (spans, Span, 0).n_tokens + g_array_index (spans, Span, 2).n_tokens +
      g_array_index (spans, Span, 4).n_tokens, 25);
  end (u);
}

GST_END_TEST;

/* Between words it is less loud for a moment, without a pause: there it is cut. */
GST_START_TEST (test_longest_is_cut_where_it_is_least_loud)
{
  GemmaUtterances *u = begin ();

  gemma_utterances_set_limits (u, MS (480), 10 * T, FALSE);
  for (guint i = 0; i < 14; i++) {
    guint8 levels[GEMMA_SOUND_LEVELS] = { 20, 22, 20, 21, 20, 22, 20, 21 };
    gfloat row[HIDDEN] = { i, 0.f };
    /* A dip of 40 ms around the start of token 7; one that is deeper, but before the second half; one that is less deep. */
    if (i == 2 || i == 7 || i == 8)
      levels[3] = levels[4] = i == 2 ? 60 : i == 7 ? 40 : 30;
    gemma_utterances_push (u, i * T, T, FALSE, levels, FALSE, row);
  }
  gemma_utterances_drain (u);
  fail_unless_equals_int (spans->len, 4);
  check_span (0, TRUE, 0, 6 * T + HEARD);
  check_span (1, FALSE, 6 * T + HEARD, 7 * T);
  check_span (2, TRUE, 7 * T, 13 * T + HEARD);
  check_span (3, FALSE, 13 * T + HEARD, 14 * T);
  fail_unless_equals_int (g_array_index (spans, Span, 0).n_tokens, 7);
  fail_unless_equals_int (g_array_index (spans, Span, 2).n_tokens, 7);
  end (u);
}

GST_END_TEST;

/* Streaming, what is cut goes on with its own second half; what follows decides what of that has been told. */
GST_START_TEST (test_streaming_cut_carries_on)
{
  static const struct
  {
    const gchar *rest;
    guint n_tokens;             /* of it */
    GstClockTime end;           /* of speech in it, after the cut; 0: there is none */
  } rows[] = { { "ss.", 3, T + HEARD }, { "s", 1, HEARD }, { "", 0, 0 }, { "..", 2, 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GemmaUtterances *u = begin ();

    gemma_utterances_set_limits (u, MS (480), 8 * T, TRUE);
    GstClockTime cut = push (u, "ssssssss", 0) - T + HEARD;
    push (u, rows[i].rest, 8 * T);
    gemma_utterances_drain (u);
    check_span (0, TRUE, 0, cut);
    fail_unless_equals_int (g_array_index (spans, Span, 0).n_kept, 4);
    fail_unless_equals_int (g_array_index (spans, Span, 0).n_carried, 0);
    /* At once, so that nothing of the time is missing; also where nothing follows: a word may have been left. */
    check_span (1, TRUE, cut, rows[i].end ? 8 * T + rows[i].end : cut);
    fail_unless_equals_int (g_array_index (spans, Span, 1).n_carried, 4);
    fail_unless_equals_int (g_array_index (spans, Span, 1).n_kept, 0);
    fail_unless_equals_int (g_array_index (spans, Span, 1).n_tokens, 4 + rows[i].n_tokens);
    fail_unless_equals_float (g_array_index (spans, Span, 1).first, 4.);
    /* What follows has nothing to do with it. */
    GstClockTime later = push (u, "....", 20 * T);
    push (u, "s...", later);
    fail_unless_equals_int (g_array_index (spans, Span, spans->len - 2).n_carried, 0);
    check_span (spans->len - 2, TRUE, later - T + HEARD, later + HEARD);
    end (u);
  }
}

GST_END_TEST;

/* What is no speech after all is silence; if words of it may have left, it ends as what it is. */
GST_START_TEST (test_forgotten)
{
  for (guint streaming = 0; streaming < 2; streaming++) {
    GemmaUtterances *u = begin ();

    gemma_utterances_set_limits (u, MS (480), 20 * T, streaming);
    push (u, "ssssss", 0);
    gemma_utterances_forget (u);
    push (u, "...s...", 6 * T);
    gemma_utterances_drain (u);
    if (streaming) {
      check_span (0, TRUE, 0, 5 * T + HEARD);
      fail_unless (g_array_index (spans, Span, 0).dismissed);
    }
    check_span (streaming, FALSE, streaming ? 5 * T + HEARD : 0, 8 * T + HEARD);
    check_span (streaming + 1, TRUE, 8 * T + HEARD, 9 * T + HEARD);
    fail_if (g_array_index (spans, Span, streaming + 1).dismissed);
    end (u);
  }
}

GST_END_TEST;

GST_START_TEST (test_streaming)
{
  GemmaUtterances *u = begin ();

  gemma_utterances_set_limits (u, MS (480), 10 * T, TRUE);
  push (u, "..", 0);
  fail_unless_equals_int (n_heard, 0);
  push (u, "sss.s", 2 * T);
  fail_unless_equals_int (n_heard, 5);
  fail_unless_equals_uint64 (heard_start, T + HEARD);
  fail_unless_equals_uint64 (heard_end, 6 * T + HEARD);
  fail_unless_equals_int (spans->len, 1);       /* the silence before it; no speech yet */
  /* The first pause after two thirds of the longest ends it: what was heard is never cut off again. */
  push (u, ".ss", 7 * T);
  check_span (1, TRUE, T + HEARD, 6 * T + HEARD);
  fail_unless_equals_int (g_array_index (spans, Span, 1).n_tokens, 8);
  fail_unless_equals_uint64 (heard_start, 8 * T);         /* what was before is told */
  /* Without one it is cut where it is. */
  push (u, "ssssssss", 10 * T);
  check_span (3, TRUE, 8 * T, 17 * T + HEARD);
  fail_unless_equals_int (g_array_index (spans, Span, 3).n_tokens, 10);
  fail_unless_equals_int (g_array_index (spans, Span, 3).n_kept, 5);
  end (u);
}

GST_END_TEST;

static Suite *
utterances_suite (void)
{
  Suite *s = suite_create ("utterances");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_pause_ends_utterance);
  tcase_add_test (tc, test_short_pause_does_not);
  tcase_add_test (tc, test_silence_event_and_hole);
  tcase_add_test (tc, test_clip_ends_in_a_token);
  tcase_add_test (tc, test_times_go_back);
  tcase_add_test (tc, test_longest_is_cut_at_pause);
  tcase_add_test (tc, test_longest_without_pause);
  tcase_add_test (tc, test_longest_is_cut_where_it_is_least_loud);
  tcase_add_test (tc, test_streaming);
  tcase_add_test (tc, test_streaming_cut_carries_on);
  tcase_add_test (tc, test_forgotten);
  return s;
}

GST_CHECK_MAIN (utterances);
