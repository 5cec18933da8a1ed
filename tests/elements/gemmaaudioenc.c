#include "util.h"

#include <gst/gemma/gemma.h>
#include <math.h>
#include <string.h>

#include "models/model.h"
#include "tests/relative-error.h"

#define TOKEN 2560

typedef struct
{
  GstHarness *harness;
  Collector *out;
} Fixture;

static Fixture
begin_as (const gchar *activations, const gchar *weights, gboolean gated)
{
  Fixture f;
  GstElement *element = gst_element_factory_make ("gemmaaudioenc", NULL);

  g_object_set (element, "voice-gate", gated, "weights", weights, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "activations", activations);
  f.harness = gst_harness_new_with_element (element, "sink", "src");
  gst_object_unref (element);   /* the harness holds it */
  g_autoptr (GstPad) src = gst_element_get_static_pad (f.harness->element, "src");
  f.out = collector_new (src);
  gst_harness_set_src_caps_str (f.harness, AUDIO_CAPS);
  return f;
}

static Fixture
begin (gboolean gated)
{
  return begin_as ("f32", "auto", gated);
}

static void
end (Fixture *f)
{
  gst_harness_teardown (f->harness);
  collector_free (f->out);
}

static GstBuffer *
slice (GstBuffer *sound, gsize first, gsize n)
{
  GstBuffer *part = gst_buffer_copy_region (sound, GST_BUFFER_COPY_MEMORY, first * sizeof (gfloat), n * sizeof (gfloat));

  GST_BUFFER_PTS (part) = GST_BUFFER_PTS (sound) + gst_util_uint64_scale (first, GST_SECOND, RATE);
  return part;
}

/* All values of all tokens that came out. */
static GArray *
get_values (Collector *out)
{
  GArray *values = g_array_new (FALSE, FALSE, sizeof (gfloat));
  GstBuffer *buffer;
  GstMapInfo map;

  for (guint i = 0; (buffer = collector_get_buffer (out, i)); i++) {
    gst_buffer_map (buffer, &map, GST_MAP_READ);
    g_array_append_vals (values, map.data, map.size / sizeof (gfloat));
    gst_buffer_unmap (buffer, &map);
  }
  return values;
}

#define ANY_SPLIT 1e-5          /* what the encoder promises for any split; values are of the order of 1 */

static void
check_equal (GArray *a, GArray *b)
{
  fail_unless_equals_int (a->len, b->len);
  for (guint i = 0; i < a->len; i++)
    fail_unless (fabsf (g_array_index (a, gfloat, i) - g_array_index (b, gfloat, i)) <= ANY_SPLIT, "value %u: %g, %g", i,
        g_array_index (a, gfloat, i), g_array_index (b, gfloat, i));
}

GST_START_TEST (test_caps)
{
  Fixture f = begin (FALSE);
  guint hidden, n;

  gst_harness_push (f.harness, make_sound (RATE, TRUE, 0));
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (f.harness->sinkpad);
  fail_unless (gst_gemma_soft_token_caps_parse (caps, &hidden, &n));
  fail_unless_equals_int (n, 1);
  fail_unless_equals_int (gst_buffer_get_size (collector_get_buffer (f.out, 0)), hidden * sizeof (gfloat));
  end (&f);
}

GST_END_TEST;

/* The tokens of the clip when the library encodes it at once. */
static GArray *
encode_whole (GstBuffer *sound, OclMatmulFlags flags, const gchar *weights)
{
  const GemmaModelForm form = { NULL, flags, weights };
  GArray *values = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (GError) error = NULL;
  GstMapInfo map;

  OclDevice *device = ocl_device_open (NULL, &error);
  GemmaModel *model = gemma_model_load_as (get_model (), NULL, &form, device, GEMMA_PART_AUDIO, NULL, NULL, NULL, &error);
  fail_unless (model != NULL, "%s", error ? error->message : "");
  GemmaUsmStream *stream = gemma_usm_stream_new (gemma_model_get_usm (model), &error);
  gst_buffer_map (sound, &map, GST_MAP_READ);
  fail_unless (gemma_usm_stream_push (stream, (gfloat *) map.data, map.size / sizeof (gfloat), values, &error));
  fail_unless (gemma_usm_stream_drain (stream, values, &error));
  gst_buffer_unmap (sound, &map);
  gemma_usm_stream_free (stream);
  gemma_model_unref (model);
  ocl_device_unref (device);
  return values;
}

GST_START_TEST (test_any_split_gives_the_same_tokens)
{
  static const gsize sizes[] = { 1, 160, 0 /* random */, 7777, 1 << 30 };
  gsize n = 2 * RATE + 77;
  g_autoptr (GstBuffer) sound = make_sound (n, TRUE, 0);
  g_autoptr (GArray) whole = encode_whole (sound, OCL_MATMUL_F32_ACTIVATIONS, NULL);
  GRand *rand = g_rand_new_with_seed (7);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    Fixture f = begin (FALSE);
    /* Buffers of one sample cost a call each: the first half second of them is enough. */
    for (gsize at = 0; at < n;) {
      gsize m = sizes[i] ? sizes[i] : (gsize) g_rand_int_range (rand, 1, 5000);
      if (sizes[i] == 1 && at >= RATE / 2)
        m = n;
      m = MIN (m, n - at);
      fail_unless_equals_int (gst_harness_push (f.harness, slice (sound, at, m)), GST_FLOW_OK);
      at += m;
    }
    gst_harness_push_event (f.harness, gst_event_new_eos ());
    g_autoptr (GArray) values = get_values (f.out);
    check_equal (values, whole);
    end (&f);
  }
  g_rand_free (rand);
}

GST_END_TEST;

static gdouble
get_difference (GArray *exact, GArray *values)
{
  fail_unless_equals_int (exact->len, values->len);
  return relative_error ((gfloat *) values->data, (gfloat *) exact->data, exact->len);
}

/* Near what is computed exactly, and other than that wherever the library rounds: not every CPU has what that is for. */
GST_START_TEST (test_activations_and_weights)
{
  static const struct
  {
    const gchar *nick;
    OclMatmulFlags flags;
    const gchar *weights;
    gdouble tolerance;          /* what each promises */
  } kinds[] = { { "int16", OCL_MATMUL_INT16, "auto", 1e-3 }, { "int8", OCL_MATMUL_INT8_ACTIVATIONS, "auto", 1e-2 },
    { "f32", OCL_MATMUL_F32_ACTIVATIONS, "q8_0", 4e-2 } };
  g_autoptr (GstBuffer) sound = make_sound (2 * RATE + 77, TRUE, 0);
  g_autoptr (GArray) exact = encode_whole (sound, OCL_MATMUL_F32_ACTIVATIONS, NULL);
  g_autoptr (GArray) whole = encode_whole (sound, kinds[__i__].flags, kinds[__i__].weights);
  Fixture f = begin_as (kinds[__i__].nick, kinds[__i__].weights, FALSE);

  gst_harness_push (f.harness, gst_buffer_ref (sound));
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  g_autoptr (GArray) values = get_values (f.out);
  gdouble off = get_difference (exact, values);
  GST_INFO ("%s, weights %s: relative error %.2g", kinds[__i__].nick, kinds[__i__].weights, off);
  fail_unless (off < kinds[__i__].tolerance, "relative error %g", off);
  fail_unless_equals_int (off > ANY_SPLIT, get_difference (exact, whole) > ANY_SPLIT);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_times)
{
  Fixture f = begin (FALSE);
  GstSegment segment;
  GstClockTime start = MS (5000);

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = start;
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  gst_harness_push (f.harness, make_sound (RATE, TRUE, start));
  gst_harness_push_event (f.harness, gst_event_new_eos ());

  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 7); /* 1 s begins 7 tokens */
  for (guint i = 0; i < 7; i++) {
    GstBuffer *buffer = collector_get_buffer (f.out, i);
    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), start + i * MS (160));
    fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer), i < 6 ? MS (160) : MS (40));
    fail_unless_equals_int (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT), i == 0);
  }
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_token_leaves_early)
{
  Fixture f = begin (FALSE);

  /* 92 ms of sound are enough for the first token. */
  gst_harness_push (f.harness, make_sound (1600, TRUE, 0));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_discont_and_hole_begin_clips)
{
  Fixture f = begin (FALSE);
  GstBuffer *buffer;

  gst_harness_push (f.harness, make_sound (4 * TOKEN, TRUE, 0));
  buffer = make_sound (4 * TOKEN, TRUE, MS (640));
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (f.harness, buffer);
  gst_harness_push (f.harness, make_sound (4 * TOKEN, TRUE, MS (1300)));       /* 20 ms off: jitter */
  gst_harness_push (f.harness, make_sound (4 * TOKEN, TRUE, MS (3000)));       /* a hole */
  gst_harness_push (f.harness, make_sound (4 * TOKEN, TRUE, MS (2000)));       /* backwards */
  gst_harness_push_event (f.harness, gst_event_new_eos ());

  static const guint begins[] = { 0, 4, 12, 16 };
  for (guint i = 0, next = 0; i < 20; i++) {
    buffer = collector_get_buffer (f.out, i);
    fail_unless (buffer != NULL);
    gboolean expected = next < G_N_ELEMENTS (begins) && begins[next] == i;
    next += expected;
    fail_unless_equals_int (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT), expected);
  }
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 12)), MS (3000));
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 16)), MS (2000));
  fail_unless_equals_int (collector_count (f.out, FALSE, GST_EVENT_GAP), 1);    /* the hole */

  /* The second clip is the same sound as the first: the same tokens, nothing is carried over. */
  g_autoptr (GArray) values = get_values (f.out);
  guint hidden = values->len / 20;
  g_autoptr (GArray) first = g_array_new (FALSE, FALSE, sizeof (gfloat)), last = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_array_append_vals (first, values->data, 4 * hidden);
  g_array_append_vals (last, &g_array_index (values, gfloat, 16 * hidden), 4 * hidden);
  check_equal (first, last);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_gap_is_silence)
{
  GArray *values[3];

  for (guint i = 0; i < 3; i++) {
    Fixture f = begin (FALSE);
    gst_harness_push (f.harness, make_sound (RATE, TRUE, 0));
    if (i == 0) {
      gst_harness_push (f.harness, make_sound (RATE / 2, FALSE, MS (1000)));
    } else if (i == 1) {
      GstBuffer *gap = make_sound (RATE / 2, TRUE, MS (1000));  /* its content must not be heard */
      GST_BUFFER_FLAG_SET (gap, GST_BUFFER_FLAG_GAP);
      gst_harness_push (f.harness, gap);
    } else {
      gst_harness_push_event (f.harness, gst_event_new_gap (MS (1000), MS (500)));
    }
    gst_harness_push (f.harness, make_sound (RATE, TRUE, MS (1500)));
    gst_harness_push_event (f.harness, gst_event_new_eos ());
    values[i] = get_values (f.out);
    end (&f);
  }
  check_equal (values[0], values[1]);
  check_equal (values[0], values[2]);
  for (guint i = 0; i < 3; i++)
    g_array_unref (values[i]);
}

GST_END_TEST;

/* Each buffer tells how loud its sound is, in steps of 20 ms from half a token before its start on: see GemmaSoundToken. */
static void
check_levels (GstBuffer *buffer, GstClockTime begin, GstClockTime end)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GemmaLevels");
  guint64 levels;

  fail_unless (meta && gst_structure_get_uint64 (gst_custom_meta_get_structure (meta), "levels", &levels));
  for (guint i = 0; i < 8; i++) {
    guint level = levels >> (8 * i) & 0xff;
    GstClockTime time = GST_BUFFER_PTS (buffer) + MS (20) * i;
    if (time < MS (80))
      fail_unless (level == 0);         /* before the stream: not known */
    else if (time >= begin + MS (80) && time < end + MS (80))
      fail_unless (level > 0 && level < 40, "level %u", level);
    else
      fail_unless (level > 100, "level %u", level);
  }
}

GST_START_TEST (test_quiet_tokens_are_marked)
{
  Fixture f = begin (FALSE);
  guint n_quiet = 0, n;

  gst_harness_push (f.harness, make_sound (2 * RATE, FALSE, 0));
  gst_harness_push (f.harness, make_sound (RATE, TRUE, MS (2000)));
  gst_harness_push (f.harness, make_sound (2 * RATE, FALSE, MS (3000)));
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  n = collector_count (f.out, TRUE, 0);
  for (guint i = 0; i < n; i++) {
    GstBuffer *buffer = collector_get_buffer (f.out, i);
    gboolean quiet = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP);
    n_quiet += quiet;
    if (GST_BUFFER_PTS (buffer) < MS (4500))    /* the end is heard in part */
      check_levels (buffer, MS (2000), MS (3000));
    /* A token's loudness is judged 80 ms into it, so speech may begin or end one token later. */
    if (GST_BUFFER_PTS (buffer) + MS (160) <= MS (1900) || GST_BUFFER_PTS (buffer) >= MS (3200))
      fail_unless (quiet);
    if (GST_BUFFER_PTS (buffer) >= MS (2080) && GST_BUFFER_PTS (buffer) + MS (160) <= MS (3000))
      fail_if (quiet);
  }
  fail_unless_equals_int (collector_count (f.out, FALSE, GST_EVENT_GAP), 0);
  fail_unless_equals_int (n, 32);       /* 5 s: all tokens leave */
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_gate_silence_gives_only_gaps)
{
  Fixture f = begin (TRUE);

  for (guint i = 0; i < 30; i++)
    gst_harness_push (f.harness, make_sound (RATE / 10, FALSE, i * MS (100)));
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 0);
  fail_unless (collector_count (f.out, FALSE, GST_EVENT_GAP) > 1);
  collector_check_coverage (f.out, 0, MS (3000), 1);
  end (&f);
}

GST_END_TEST;

#define ROUNDING 1               /* a buffer ends with a sample */
#define SHORT MS (40)           /* what a clip has in the end that makes no token */

/* Buffers and GAPs follow each other without overlap, until @end or the end of a token that had left when it was heard; GAPs
 * of no duration are where a clip has ended, perhaps in its last token. */
static void
check_order (Collector *out, GstClockTime start, GstClockTime end)
{
  GstClockTime position = start;
  guint n_ends = 0;

  for (guint i = 0; i < out->items->len; i++) {
    gpointer item = g_ptr_array_index (out->items, i);
    GstClockTime pts = 0, duration = GST_CLOCK_TIME_NONE;
    if (GST_IS_BUFFER (item)) {
      pts = GST_BUFFER_PTS (item);
      duration = GST_BUFFER_DURATION (item);
    } else if (GST_EVENT_TYPE (item) == GST_EVENT_GAP) {
      gst_event_parse_gap (item, &pts, &duration);
    }
    if (!GST_CLOCK_TIME_IS_VALID (duration))
      continue;
    n_ends += duration == 0;
    GstClockTime slack = duration == 0 ? MS (68) : ROUNDING;
    fail_unless (pts + slack >= position && pts <= position + SHORT, "item %u begins at %" GST_TIME_FORMAT " instead of %"
        GST_TIME_FORMAT, i, GST_TIME_ARGS (pts), GST_TIME_ARGS (position));
    position = MAX (position, pts + duration);
  }
  fail_unless (n_ends > 0);
  fail_unless (position + ROUNDING >= end && position <= end + MS (68));
}

GST_START_TEST (test_gate_cuts_clips)
{
  Fixture f = begin (TRUE);
  GstClockTime start = MS (10000);
  GstBuffer *first;

  gst_harness_push (f.harness, make_sound (RATE, FALSE, start));
  gst_harness_push (f.harness, make_sound (RATE, TRUE, start + MS (1000)));
  gst_harness_push (f.harness, make_sound (3 * RATE / 2, FALSE, start + MS (2000)));
  gst_harness_push (f.harness, make_sound (RATE, TRUE, start + MS (3500)));
  gst_harness_push_event (f.harness, gst_event_new_eos ());

  check_order (f.out, start, start + MS (4500));
  fail_unless_equals_int (get_stat (f.harness->element, "clips"), 2);
  first = collector_get_buffer (f.out, 0);
  fail_unless (GST_BUFFER_FLAG_IS_SET (first, GST_BUFFER_FLAG_DISCONT));
  /* 240 ms of pre-roll; the gate knows the onset to 20 ms. */
  fail_unless (ABS (GST_CLOCK_DIFF (start + MS (760), GST_BUFFER_PTS (first))) <= (GstClockTimeDiff) MS (40));
  /* Speech and the 400 ms that the gate stays open, pre-roll and the rest of a token: not much more. */
  fail_unless (collector_count (f.out, TRUE, 0) <= 12 + 9);
  end (&f);
}

GST_END_TEST;

/* Pauses of all lengths: the next clip may begin before the last token of the one before is over. */
GST_START_TEST (test_clips_do_not_overlap)
{
  Fixture f = begin (TRUE);
  GstClockTime at = 0;

  for (guint pause = 420; pause <= 740; pause += 20) {
    gst_harness_push (f.harness, make_sound (RATE / 2, TRUE, at));
    gst_harness_push (f.harness, make_sound (pause * RATE / 1000, FALSE, at + MS (500)));
    at += MS (500 + pause);
  }
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  fail_unless (get_stat (f.harness->element, "clips") > 10);
  check_order (f.out, 0, at);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_nan_is_silence)
{
  Fixture f = begin (FALSE);
  GstBuffer *buffer = make_sound (RATE, TRUE, 0);
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (guint i = 0; i < RATE; i += 3)
    ((gfloat *) map.data)[i] = i % 2 ? NAN : INFINITY;
  gst_buffer_unmap (buffer, &map);
  gst_harness_push (f.harness, buffer);
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  g_autoptr (GArray) values = get_values (f.out);
  fail_unless (values->len > 0);
  for (guint i = 0; i < values->len; i++)
    fail_unless (isfinite (g_array_index (values, gfloat, i)));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_flush_forgets)
{
  Fixture f = begin (FALSE);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push (f.harness, make_sound (TOKEN / 2, TRUE, 0));
  gst_harness_push_event (f.harness, gst_event_new_flush_start ());
  gst_harness_push_event (f.harness, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  guint before = collector_count (f.out, TRUE, 0);
  fail_unless_equals_int (gst_harness_push (f.harness, make_sound (TOKEN, TRUE, MS (7000))), GST_FLOW_OK);
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), before + 1);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, before)), MS (7000));
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_caps_again_drains)
{
  Fixture f = begin (FALSE);
  g_autoptr (GstCaps) caps = gst_caps_from_string (AUDIO_CAPS);

  gst_caps_set_simple (caps, "channel-mask", GST_TYPE_BITMASK, (guint64) 0, NULL);
  gst_harness_push (f.harness, make_sound (TOKEN + 1000, TRUE, 0));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  gst_harness_push_event (f.harness, gst_event_new_caps (caps));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 2);
  end (&f);
}

GST_END_TEST;

/* ---- not live: sound is gathered ---------------------------------------------------------------- */

static Fixture
begin_stream (gboolean gated, gboolean live)
{
  Fixture f = begin (gated);
  GstSegment segment;

  gst_harness_set_live (f.harness, live);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment)); /* with which the element asks again */
  return f;
}

static GstEvent *
make_note (const gchar *name)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_new_empty (name));
}

/* In buffers of random sizes; a GAP buffer's content must not be heard. */
static void
push_pieces (Fixture *f, GRand *rand, guint ms, gboolean speech, guint at, GstBufferFlags flags)
{
  gsize n = ms * RATE / 1000;
  g_autoptr (GstBuffer) sound = make_sound (n, speech, MS (at));

  for (gsize done = 0; done < n;) {
    gsize m = g_rand_int_range (rand, 1, 4000);
    m = MIN (m, n - done);
    GstBuffer *part = slice (sound, done, m);
    GST_BUFFER_FLAG_SET (part, flags & (done ? ~GST_BUFFER_FLAG_DISCONT : ~0));
    fail_unless_equals_int (gst_harness_push (f->harness, part), GST_FLOW_OK);
    done += m;
  }
}

/* All that can happen to sound. */
static void
push_stream (Fixture *f)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (AUDIO_CAPS);
  GstHarness *h = f->harness;
  GRand *rand = g_rand_new_with_seed (3);
  GstSegment segment;

  push_pieces (f, rand, 2530, TRUE, 0, 0);
  gst_harness_push_event (h, make_note ("first"));
  push_pieces (f, rand, 700, TRUE, 2530, 0);
  push_pieces (f, rand, 300, TRUE, 3230, GST_BUFFER_FLAG_GAP);
  push_pieces (f, rand, 170, TRUE, 3530, 0);
  gst_harness_push_event (h, gst_event_new_gap (MS (3700), MS (1500)));
  push_pieces (f, rand, 1100, TRUE, 5200, 0);
  gst_harness_push_event (h, gst_event_new_gap (MS (6300), GST_CLOCK_TIME_NONE));
  push_pieces (f, rand, 450, TRUE, 6500, 0);
  push_pieces (f, rand, 330, TRUE, 6950, GST_BUFFER_FLAG_DISCONT);
  push_pieces (f, rand, 810, TRUE, 8000, 0);    /* after a hole */
  push_pieces (f, rand, 300, TRUE, 8000, 0);    /* backwards */
  gst_caps_set_simple (caps, "channel-mask", GST_TYPE_BITMASK, (guint64) 0, NULL);
  gst_harness_push_event (h, gst_event_new_caps (caps));
  push_pieces (f, rand, 3000, FALSE, 8300, 0);
  push_pieces (f, rand, 1234, TRUE, 11300, 0);
  gst_harness_push_event (h, make_note ("second"));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = MS (12534);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_pieces (f, rand, 900, TRUE, 0, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_rand_free (rand);
}

/* All that came out from the first sound on but the values, one line each. Silence that goes on is one line. */
static gchar *
describe (Collector *out)
{
  GString *text = g_string_new (NULL);
  GstClockTime silence = GST_CLOCK_TIME_NONE, start, duration;
  guint64 levels;

  for (guint i = 0; i < out->items->len; i++) {
    gpointer item = g_ptr_array_index (out->items, i);
    if (GST_IS_EVENT (item) && GST_EVENT_TYPE (item) == GST_EVENT_GAP) {
      gst_event_parse_gap (item, &start, &duration);
      if (duration && start == silence)
        g_string_truncate (text, strrchr (text->str, ' ') - text->str);
      else
        g_string_append_printf (text, "gap %" G_GUINT64_FORMAT, start);
      g_string_append_printf (text, " %" G_GUINT64_FORMAT, duration ? start + duration : 0);
      silence = duration ? start + duration : GST_CLOCK_TIME_NONE;
      continue;
    }
    if (GST_CLOCK_TIME_IS_VALID (silence) || (text->len && text->str[text->len - 1] != '\n'))
      g_string_append_c (text, '\n');
    silence = GST_CLOCK_TIME_NONE;
    if (GST_IS_BUFFER (item)) {
      const GstStructure *meta = gst_custom_meta_get_structure (gst_buffer_get_custom_meta (item, "GemmaLevels"));
      fail_unless (gst_structure_get_uint64 (meta, "levels", &levels));
      g_string_append_printf (text, "token %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %x %" G_GINT64_MODIFIER "x\n",
          GST_BUFFER_PTS (item), GST_BUFFER_DURATION (item), GST_BUFFER_FLAGS (item) &
          (GST_BUFFER_FLAG_GAP | GST_BUFFER_FLAG_DISCONT), levels);
    } else {
      const GstStructure *s = gst_event_get_structure (item);
      g_string_append_printf (text, "%s %s\n", GST_EVENT_TYPE_NAME (item), s ? gst_structure_get_name (s) : "");
    }
  }
  return g_string_free (text, FALSE);
}

GST_START_TEST (test_gathered_is_the_same)
{
  static const gchar *stats[] = { "samples", "tokens", "clips", "music-samples" };
  g_autofree gchar *texts[2] = { NULL, };
  GArray *values[2];
  guint64 numbers[2][4];

  for (guint live = 0; live < 2; live++) {
    Fixture f = begin_stream (__i__, live);
    push_stream (&f);
    texts[live] = describe (f.out);
    values[live] = get_values (f.out);
    for (guint i = 0; i < 4; i++)
      numbers[live][i] = get_stat (f.harness->element, stats[i]);
    end (&f);
  }
  fail_unless_equals_string (texts[0], texts[1]);
  check_equal (values[0], values[1]);
  for (guint i = 0; i < 4; i++)
    fail_unless_equals_uint64 (numbers[0][i], numbers[1][i]);
  for (guint i = 0; i < 2; i++)
    g_array_unref (values[i]);
}

GST_END_TEST;

/* What leaves while sound waits for more: nothing before a second, all before what follows it. */
GST_START_TEST (test_gathers_a_second)
{
  Fixture f = begin_stream (FALSE, FALSE);
  g_autoptr (GstQuery) drain = gst_query_new_drain ();

  for (guint i = 0; i < 10; i++) {
    fail_unless_equals_int (collector_count (f.out, TRUE, 0), 0);
    gst_harness_push (f.harness, make_sound (RATE / 10, TRUE, i * MS (100)));
  }
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 6); /* those of which 92 ms are heard */
  gst_harness_push (f.harness, make_sound (RATE / 2, TRUE, MS (1000)));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 6);
  gst_harness_push_event (f.harness, make_note ("note"));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 9);
  gst_harness_push (f.harness, make_sound (RATE / 2, TRUE, MS (1500)));
  gst_pad_peer_query (f.harness->srcpad, drain);
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 12);
  end (&f);
}

GST_END_TEST;

/* A source may become live, as selectors change their input: what was gathered leaves with the next sound. */
GST_START_TEST (test_becomes_live)
{
  Fixture f = begin_stream (FALSE, FALSE);

  gst_harness_push (f.harness, make_sound (RATE / 2, TRUE, 0));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 0);
  gst_harness_set_live (f.harness, TRUE);
  gst_harness_push (f.harness, make_sound (1, TRUE, MS (500)));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 0); /* not asked again yet */
  gst_harness_push_upstream_event (f.harness, gst_event_new_latency (0));
  gst_harness_push (f.harness, make_sound (1, TRUE, MS (500)));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 3);
  gst_harness_push (f.harness, make_sound (RATE / 10, TRUE, MS (500)));
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 4);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_flush_forgets_gathered)
{
  Fixture f = begin_stream (FALSE, FALSE);
  GstSegment segment;

  gst_harness_push (f.harness, make_sound (RATE / 2, TRUE, 0));
  gst_harness_push_event (f.harness, gst_event_new_flush_start ());
  gst_harness_push_event (f.harness, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  gst_harness_push (f.harness, make_sound (TOKEN, TRUE, MS (7000)));
  gst_harness_push_event (f.harness, gst_event_new_eos ());
  fail_unless_equals_int (collector_count (f.out, TRUE, 0), 1);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (collector_get_buffer (f.out, 0)), MS (7000));

  /* So does a stop. */
  gst_harness_push_event (f.harness, gst_event_new_stream_start ("again"));
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  gst_harness_push (f.harness, make_sound (RATE / 2, TRUE, 0));
  gst_element_set_state (f.harness->element, GST_STATE_READY);
  end (&f);
}

GST_END_TEST;

/* A file so short that no buffer takes the result of its only encoding upstream. */
GST_START_TEST (test_short_and_not_linked)
{
  GstElement *pipeline = launch_pipeline ("audiotestsrc num-buffers=1 samplesperbuffer=8000 ! " AUDIO_CAPS " ! gemmaaudioenc");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autofree gchar *message = wait_error (bus, 60);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GST_END_TEST;

GST_START_TEST (test_gathered_prerolls)
{
  GstElement *pipeline = launch_pipeline ("audiotestsrc samplesperbuffer=160 ! " AUDIO_CAPS " ! gemmaaudioenc ! fakesink");

  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  fail_unless_equals_int (gst_element_get_state (pipeline, NULL, NULL, 60 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
  fail_unless (gst_element_seek_simple (pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, MS (9000)));
  fail_unless_equals_int (gst_element_get_state (pipeline, NULL, NULL, 60 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GST_END_TEST;

GST_START_TEST (test_wrong_caps)
{
  Fixture f = begin (FALSE);

  gst_harness_set_src_caps_str (f.harness, "audio/x-raw, format=S16LE, rate=44100, channels=65, layout=interleaved");
  fail_unless_equals_int (gst_harness_push (f.harness, make_sound (100, TRUE, 0)), GST_FLOW_NOT_NEGOTIATED);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_wrong_segment)
{
  Fixture f = begin (FALSE);
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstSegment segment;

  gst_element_set_bus (f.harness->element, bus);
  gst_segment_init (&segment, GST_FORMAT_BYTES);
  gst_harness_push_event (f.harness, gst_event_new_segment (&segment));
  g_autofree gchar *message = wait_error (bus, 5);
  fail_unless (strstr (message, "bytes") != NULL);
  gst_element_set_bus (f.harness->element, NULL);
  end (&f);
}

GST_END_TEST;

GST_START_TEST (test_bad_models)
{
  g_autofree gchar *broken = write_file ("broken.gguf", "GGUF\3\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", 16);
  g_autofree gchar *text = write_file ("text.gguf", "hello", 5), *content = NULL;
  gsize size;
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmaaudioenc", NULL));

  g_object_set (element, "model", "/nonexistent/model.gguf", NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/nonexistent/model.gguf");
  g_object_set (element, "model", broken, NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ, "broken.gguf");
  g_object_set (element, "model", text, NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ, "text.gguf");
  g_object_set (element, "model", get_model (), "mmproj", broken, NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ, "broken.gguf");
  g_object_set (element, "mmproj", get_model (), NULL); /* a language model is no encoder */
  check_error_at_ready (element, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE, "clip");
  fail_unless (g_file_get_contents (get_model (), &content, &size, NULL));
  g_autofree gchar *alone = write_file ("alone.gguf", content, size);
  g_object_set (element, "model", alone, "mmproj", NULL, NULL);
  check_error_at_ready (element, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "audio");
}

GST_END_TEST;

GST_START_TEST (test_no_such_device)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmaaudioenc", NULL));
  g_autoptr (GstBus) bus = gst_bus_new ();

  g_object_set (element, "device", "7:3", NULL);
  gst_element_set_bus (element, bus);
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
  g_autofree gchar *message = wait_error (bus, 10);
  fail_unless (strstr (message, "7:3") != NULL, "%s", message);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_bus_set_flushing (bus, TRUE);     /* messages hold the element, and for a moment the thread that posted the error */
  while (GST_OBJECT_REFCOUNT_VALUE (element) > 1)
    g_usleep (1000);
}

GST_END_TEST;

/* Before upstream can tell that the flow has ended. */
GST_START_TEST (test_reason_is_told_first)
{
  for (guint i = 0; i < 50; i++) {
    g_autoptr (GstBus) bus = gst_bus_new ();
    GstElement *element = gst_element_factory_make ("gemmaaudioenc", NULL);

    g_object_set (element, "device", "7:3", NULL);
    gst_element_set_bus (element, bus);
    GstHarness *harness = gst_harness_new_with_element (element, "sink", "src");
    gst_harness_set_src_caps_str (harness, AUDIO_CAPS);
    fail_unless_equals_int (gst_harness_push (harness, make_sound (RATE, TRUE, 0)), GST_FLOW_ERROR);
    g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    fail_unless (message != NULL);
    gst_element_set_bus (element, NULL);
    gst_bus_set_flushing (bus, TRUE);
    gst_harness_teardown (harness);
    gst_object_unref (element);
  }
}

GST_END_TEST;

GST_START_TEST (test_loading_posts_progress)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("gemmaaudioenc", NULL));
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstProgressType type = GST_PROGRESS_TYPE_START;
  guint n = 0;

  gst_element_set_bus (element, bus);
  gst_element_set_state (element, GST_STATE_READY);
  while (type != GST_PROGRESS_TYPE_COMPLETE) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_PROGRESS);
    fail_unless (message != NULL);
    gst_message_parse_progress (message, &type, NULL, NULL);
    fail_unless_equals_int (n == 0, type == GST_PROGRESS_TYPE_START);
    n++;
  }
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
}

GST_END_TEST;

static Suite *
gemmaaudioenc_suite (void)
{
  Suite *s = suite_create ("gemmaaudioenc");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_caps);
  tcase_add_test (tc, test_any_split_gives_the_same_tokens);
  tcase_add_loop_test (tc, test_activations_and_weights, 0, 3);
  tcase_add_test (tc, test_times);
  tcase_add_test (tc, test_token_leaves_early);
  tcase_add_test (tc, test_discont_and_hole_begin_clips);
  tcase_add_test (tc, test_gap_is_silence);
  tcase_add_test (tc, test_quiet_tokens_are_marked);
  tcase_add_test (tc, test_gate_silence_gives_only_gaps);
  tcase_add_test (tc, test_gate_cuts_clips);
  tcase_add_test (tc, test_clips_do_not_overlap);
  tcase_add_test (tc, test_nan_is_silence);
  tcase_add_test (tc, test_flush_forgets);
  tcase_add_test (tc, test_caps_again_drains);
  tcase_add_loop_test (tc, test_gathered_is_the_same, 0, 2);    /* the voice gate off, on */
  tcase_add_test (tc, test_gathers_a_second);
  tcase_add_test (tc, test_becomes_live);
  tcase_add_test (tc, test_flush_forgets_gathered);
  tcase_add_test (tc, test_short_and_not_linked);
  tcase_add_test (tc, test_gathered_prerolls);
  tcase_add_test (tc, test_wrong_caps);
  tcase_add_test (tc, test_wrong_segment);
  tcase_add_test (tc, test_bad_models);
  tcase_add_test (tc, test_no_such_device);
  tcase_add_test (tc, test_reason_is_told_first);
  tcase_add_test (tc, test_loading_posts_progress);
  return s;
}

GST_CHECK_MAIN (gemmaaudioenc);
