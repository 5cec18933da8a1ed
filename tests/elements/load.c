/* What a language model leaves out that is too slow for a live stream, step by step: its kernels are the references here. */
#include "util.h"

#include <gst/gemma/gemma.h>

#include "soft-tokens.h"

#define INTERVAL 160u

static void
push_token (GstHarness *harness, guint hidden, guint n, gboolean quiet)
{
  fail_unless_equals_int (gst_harness_push (harness, make_soft_token (hidden, n * TOKEN, quiet)), GST_FLOW_OK);
}

/* The next step that a message tells, or 0. */
static guint
take_step (GstBus *bus, guint *interval, gboolean *pictures)
{
  GstMessage *message;
  guint step = 0;

  while (!step && (message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT))) {
    const GstStructure *s = gst_message_get_structure (message);
    if (gst_structure_has_name (s, "gemma-load"))
      fail_unless (gst_structure_get (s, "step", G_TYPE_UINT, &step, "hypothesis-interval", G_TYPE_UINT, interval, "pictures",
              G_TYPE_BOOLEAN, pictures, NULL));
    gst_message_unref (message);
  }
  return step;
}

/* Hypotheses become fewer, twice as seldom with each step, and only when utterances wait all the same are pictures left out. */
GST_START_TEST (test_steps_come_in_order)
{
  g_autoptr (GstElement) lm = NULL;
  g_autoptr (GstBus) bus = gst_bus_new ();
  guint hidden, n = 0, expected = 0, step, interval;
  gboolean pictures;

  g_setenv ("GEMMA_VARIANT", "ref", TRUE);
  lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", NULL));
  hidden = get_hidden ();
  g_object_set (lm, "temperature", 10., "seed", (guint64) 3, "max-tokens", 40, "streaming", 1 /* partial */,
      "hypothesis-interval", INTERVAL, "latency", 30000, "no-speech-threshold", 0., NULL);
  gst_element_set_bus (lm, bus);
  GstHarness *harness = gst_harness_new_with_element (lm, "audio_0", "src");
  gst_harness_set_src_caps (harness, gst_gemma_soft_token_caps_new (hidden, 1, 25, 4));
  for (; expected < 2 && n < 60; n++) {
    guint64 hypotheses = get_stat (lm, "hypotheses");
    push_token (harness, hidden, n, FALSE);
    for (guint i = 0; i < 100 && get_stat (lm, "hypotheses") == hypotheses; i++)
      g_usleep (10000);
    while ((step = take_step (bus, &interval, &pictures))) {
      fail_unless_equals_int (step, ++expected);
      fail_unless_equals_int (interval, INTERVAL << step);
      fail_unless (pictures);
    }
  }
  fail_unless (expected >= 2, "%u steps after %u tokens", expected, n);
  for (guint utterance = 0; utterance < 5; utterance++)
    for (guint i = 0; i < 10; i++)
      push_token (harness, hidden, n++, i < 4);
  for (pictures = TRUE; pictures; g_usleep (10000))
    while (pictures && (step = take_step (bus, &interval, &pictures)))
      fail_unless_equals_int (step, ++expected);
  fail_unless (expected >= 3);
  gst_element_set_bus (lm, NULL);
  gst_harness_teardown (harness);
}

GST_END_TEST;

static Suite *
load_suite (void)
{
  Suite *s = suite_create ("load");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_steps_come_in_order);
  return s;
}

GST_CHECK_MAIN (load);
