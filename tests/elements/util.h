/* What the tests of the elements share. Elements are tested with the embedded model, or the one that
 * GEMMA_DEFAULT_MODEL names; structure is asserted, not words (but for texts that a model was taught: translator.c). */
#pragma once

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>

#define RATE 16000
#define AUDIO_CAPS "audio/x-raw, format=(string)F32LE, rate=(int)16000, channels=(int)1, layout=(string)interleaved"
#define MS(x) ((x) * GST_MSECOND)

/** A voice-like sound: harmonics of a gliding pitch, four syllables a second. */
void fill_speech (gfloat *samples, gsize n);
/** F32 mono; @speech: FALSE for zeros */
GstBuffer *make_sound (gsize n_samples, gboolean speech, GstClockTime pts);
/** Pushes make_sound() into an appsrc. */
void push_sound (GstElement *src, gsize n, gboolean speech, GstClockTime pts);

/** Text as utf8 with its times, for a harness or an appsrc. */
GstBuffer *make_text (const gchar *text, GstClockTime pts, GstClockTime duration);
/** Pushes make_text(); times in ms. */
void push_text (GstHarness *harness, const gchar *text, guint start, guint duration);
/** Pushes a GAP event; times in ms. */
void push_gap (GstHarness *harness, guint start, guint duration);

/** Every gemmalm in @bin answers so many tokens at random, always the same ones: there is text whatever the model hears. */
void use_random_words (GstElement *bin, guint max_tokens);

/** A pipeline as gst-launch-1.0 takes it. */
GstElement *launch_pipeline (const gchar *description);

/* ---- everything that leaves a pad, in order ------------------------------------------------ */

typedef struct
{
  GMutex lock;
  GCond cond;
  GPtrArray *items;             /* GstBuffer and GstEvent */
  gboolean eos;
} Collector;

Collector *collector_new (GstPad *pad);
void collector_free (Collector *self);
/** Until EOS, or the test fails after @seconds. */
void collector_wait_eos (Collector *self, guint seconds);
/** GAPs of no length, which begin segments, do not count. */
guint collector_count (Collector *self, gboolean buffers, GstEventType type);
/** The n-th buffer, or NULL. (transfer none) */
GstBuffer *collector_get_buffer (Collector *self, guint n);
/** The n-th buffer's; the test fails without one. (transfer full) */
gchar *collector_get_text (Collector *self, guint n);
/** The words of all texts from the n-th on, with a space between them. (transfer full) */
gchar *collector_join_words (Collector *self, guint n);
/** Fails unless buffers and GAPs follow each other from @start to @end, no hole or overlap above @slack. */
void collector_check_coverage (Collector *self, GstClockTime start, GstClockTime end, GstClockTime slack);

/* ---- time ------------------------------------------------------------------------------------ */

/** For upper bounds: a test must not fail because others keep the machine busy. */
typedef struct
{
  gint64 start, stall;
} Watch;

Watch watch_begin (void);
/** How long, since then, threads of this process together waited for a processor, or the machine for its host (us). */
gint64 watch_get_stall (const Watch *self);
/** Time that has passed, without those in which it stalled (us). */
gint64 watch_get (const Watch *self);

/** What a source pad says when it is asked for its latency: a harness calls itself live; a file is not. */
void set_live (GstPad *srcpad, gboolean live);

/* ---- errors ------------------------------------------------------------------------------------- */

/** Takes @element to READY: it must fail with exactly one error, whose text contains @text. */
void check_error_at_ready (GstElement *element, GQuark domain, gint code, const gchar *text);
/** The same on the way to @state. */
void check_error_at (GstElement *element, GstState state, GQuark domain, gint code, const gchar *text);
/** Waits for an error on @bus and returns its text. (transfer full) */
gchar *wait_error (GstBus *bus, guint seconds);

/** Deletes the folder and the files in it. */
void remove_folder (const gchar *path);
/** A file in the test's own folder with @size bytes of @data. (transfer full) */
gchar *write_file (const gchar *name, gconstpointer data, gsize size);
/** What the elements of @description make of a file of SubRip captions. (transfer full) */
gchar *convert_captions (const gchar *captions, const gchar *description);
/** The value of a guint64 field of an element's property "stats". */
guint64 get_stat (GstElement *element, const gchar *field);
/** The model under test and its audio part. */
const gchar *get_model (void);
