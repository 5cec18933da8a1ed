/* What a session promises: rings, chunks, taking back, cancelling, failing, limits, several at once. */
#include "fixture.h"
#include "tests/relative-error.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define SAME 1e-5 /* float32 sums in another order */

static void
random_ids (const Model *m, gint32 *ids, gint n, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  for (gint i = 0; i < n; i++)
    ids[i] = g_rand_int_range (rand, 0, m->config->text.first_soft_id);
}

GST_START_TEST (test_chunk_sizes)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size, chunks[] = { 1, 7, 64 };
  gint32 ids[100];
  random_ids (m, ids, 100, 1);
  g_autofree gfloat *whole = g_new (gfloat, 100 * V), *all = g_new (gfloat, 100 * V);
  GemmaLmSession *session = session_new (m, 0, 128, 0);
  append (session, ids, 100, whole, TRUE);
  gemma_lm_session_free (session);
  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++) {
    session = session_new (m, 0, chunks[i], 0);
    append (session, ids, 100, all, TRUE);
    check_close ("logits of all positions", all, whole, 100 * V, SAME);
    gemma_lm_session_free (session);
    /* The last alone: earlier chunks skip the layers without keys and values. */
    g_autofree gfloat *last = logits_after (m, ids, 100, chunks[i]);
    check_close ("logits of the last position", last, whole + 99 * V, V, SAME);
  }
}

GST_END_TEST;

/* Decoding over more than three windows equals a session whose rings hold everything. */
GST_START_TEST (test_ring_wraps)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size, n = 4 * m->config->text.window + 5;
  g_autofree gint32 *ids = g_new (gint32, n);
  g_autofree gfloat *one = g_new (gfloat, V), *whole = g_new (gfloat, n * V);
  random_ids (m, ids, n, 2);
  GemmaLmSession *wide = session_new (m, 0, n, 0), *ring = session_new (m, 0, 1, 0);
  append (wide, ids, n, whole, TRUE);
  for (gint i = 0; i < n; i++) {
    append (ring, &ids[i], 1, one, FALSE);
    check_close ("logits", one, whole + i * V, V, SAME);
  }
  fail_unless_equals_int (gemma_lm_session_get_length (ring), n);
  gemma_lm_session_free (wide);
  gemma_lm_session_free (ring);
}

GST_END_TEST;

/* Full-attention layers start with fewer rows than the context and grow. */
GST_START_TEST (test_full_cache_grows)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size, n = 1100;
  g_autofree gint32 *ids = g_new (gint32, n);
  g_autofree gfloat *logits = g_new (gfloat, V);
  random_ids (m, ids, n, 3);
  GemmaLmSession *session = session_new (m, 0, 100, 0);
  append (session, ids, 511, NULL, FALSE);
  append (session, ids + 511, 2, NULL, FALSE);
  append (session, ids + 513, n - 513, logits, FALSE);
  gemma_lm_session_free (session);
  g_autofree gfloat *expected = logits_after (m, ids, n, 1100);
  check_close ("logits", logits, expected, V, SAME);
}

GST_END_TEST;

/* Takes 1..rollback positions back after the rings have wrapped, and goes another way. */
GST_START_TEST (test_truncate_and_continue)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size, n = 3 * m->config->text.window + 3, rollback = 9;
  gint32 ids[128];
  g_autofree gfloat *logits = g_new (gfloat, V);
  random_ids (m, ids, n, 4);
  for (gint back = 1; back <= rollback; back++) {
    GemmaLmSession *session = session_new (m, 0, 4, rollback);
    append (session, ids, n, NULL, FALSE);
    fail_unless (gemma_lm_session_truncate (session, n - back));
    fail_unless_equals_int (gemma_lm_session_get_length (session), n - back);
    gint32 other[128];
    memcpy (other, ids, sizeof (ids));
    random_ids (m, other + n - back, 12, 100 + back);
    append (session, other + n - back, 12, logits, FALSE);
    g_autofree gfloat *expected = logits_after (m, other, n - back + 12, 4);
    check_close ("logits after another ending", logits, expected, V, SAME);
    gemma_lm_session_free (session);
  }
}

GST_END_TEST;

/* A prompt that comes in pieces, with something decoded and taken back after each: bit by bit what the pieces alone
 * give, also after the rings have wrapped. */
GST_START_TEST (test_hypotheses_leave_no_trace)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size, window = m->config->text.window, n = 3 * window + 4, rollback = 12;
  g_autofree gint32 *ids = g_new (gint32, n);
  g_autofree gfloat *with = g_new (gfloat, V), *without = g_new (gfloat, V), *other = g_new (gfloat, V);
  random_ids (m, ids, n, 14);
  GemmaLmSession *tried = session_new (m, 0, 16, rollback), *plain = session_new (m, 0, 16, rollback);
  for (gint done = 0, piece = 3; done < n; done += piece) {
    piece = MIN (3, n - done);
    append (tried, ids + done, piece, with, FALSE);
    append (plain, ids + done, piece, without, FALSE);
    fail_unless (memcmp (with, without, V * sizeof *with) == 0, "logits at %d differ", done);
    gint length = done + piece;
    gint32 answer[12];
    random_ids (m, answer, rollback, 1000 + done);
    append (tried, answer, 4, other, FALSE);
    for (gint i = 4; i < rollback; i++)
      append (tried, &answer[i], 1, other, FALSE);
    fail_unless (gemma_lm_session_truncate (tried, length));
  }
  /* And close to what one prefill gives, whose sums are in another order. */
  g_autofree gfloat *expected = logits_after (m, ids, n, 16);
  check_close ("logits after many hypotheses", with, expected, V, SAME);
  gemma_lm_session_free (tried);
  gemma_lm_session_free (plain);
}

GST_END_TEST;

/* Keys and values in bytes, through rings that wrap and tables that grow: less memory, nearly the same logits. */
GST_START_TEST (test_packed_cache)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size, n = 600, chunks[] = { 1, 16, 256 };
  g_autofree gint32 *ids = g_new (gint32, n);
  guint64 bytes[2];
  random_ids (m, ids, n, 21);
  g_autofree gfloat *exact = logits_after (m, ids, n, 256), *logits = g_new (gfloat, V);

  for (guint packed = 0; packed < 2; packed++) {
    GemmaLmSessionParams params = { .context_size = 4096, .chunk = 1, .packed_kv = packed };
    guint64 before = ocl_device_get_allocated (m->device);
    GemmaLmSession *session = gemma_lm_session_new (m->lm, &params, NULL);
    bytes[packed] = ocl_device_get_allocated (m->device) - before;
    gemma_lm_session_free (session);
  }
  fail_unless (bytes[1] < bytes[0], "%" G_GUINT64_FORMAT " bytes packed, %" G_GUINT64_FORMAT " exact", bytes[1], bytes[0]);
  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++) {
    GemmaLmSessionParams params = { .context_size = 0, .chunk = chunks[i], .packed_kv = TRUE };
    GemmaLmSession *session = gemma_lm_session_new (m->lm, &params, NULL);
    append (session, ids, n, logits, FALSE);
    /* A number is good to 1 / 254 of the greatest in its head; averaged over keys and layers. Measured: 2.4e-3. */
    check_close ("logits", logits, exact, V, 1e-2);
    gemma_lm_session_free (session);
  }
}

GST_END_TEST;

GST_START_TEST (test_truncate_limits)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size;
  gint32 ids[100];
  g_autofree gfloat *logits = g_new (gfloat, V);
  random_ids (m, ids, 100, 5);
  GemmaLmSession *session = session_new (m, 0, 4, 2);
  append (session, ids, 100, NULL, FALSE);
  fail_if (gemma_lm_session_truncate (session, 101));
  fail_if (gemma_lm_session_truncate (session, -1));
  fail_if (gemma_lm_session_truncate (session, 40), "the rings no longer hold what position 40 sees");
  fail_unless_equals_int (gemma_lm_session_get_length (session), 100);
  fail_unless (gemma_lm_session_truncate (session, 100));
  fail_unless (gemma_lm_session_truncate (session, 0));
  append (session, ids, 30, logits, FALSE);
  g_autofree gfloat *expected = logits_after (m, ids, 30, 4);
  check_close ("logits after a restart", logits, expected, V, SAME);
  gemma_lm_session_free (session);
}

GST_END_TEST;

GST_START_TEST (test_context_overflow)
{
  const Model *m = model_get ("tiny");
  gint32 ids[64];
  random_ids (m, ids, 64, 6);
  g_autoptr (GError) error = NULL;
  GemmaLmSession *session = session_new (m, 40, 16, 0);
  fail_if (gemma_lm_session_append (session, ids, 41, NULL, NULL, FALSE, NULL, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG));
  fail_unless (strstr (error->message, "41") && strstr (error->message, "40"), "%s", error->message);
  g_clear_error (&error);
  fail_unless_equals_int (gemma_lm_session_get_length (session), 0);
  append (session, ids, 40, NULL, FALSE);
  fail_if (gemma_lm_session_append (session, ids, 1, NULL, NULL, FALSE, NULL, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG));
  fail_unless_equals_int (gemma_lm_session_get_length (session), 40);
  gemma_lm_session_free (session);
}

GST_END_TEST;

GST_START_TEST (test_bad_ids)
{
  const Model *m = model_get ("tiny");
  gint32 soft = m->config->text.first_soft_id;
  struct
  {
    gint32 id;
    gint n;
  } cases[] = { { -1, 1 }, { m->config->text.vocab_size, 1 }, { G_MAXINT32, 1 }, { soft, 1 }, { 5, 0 }, { 5, -3 } };
  GemmaLmSession *session = session_new (m, 0, 0, 0);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    fail_if (gemma_lm_session_append (session, &cases[i].id, cases[i].n, NULL, NULL, FALSE, NULL, &error));
    fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_INVALID), "case %u", i);
    fail_unless_equals_int (gemma_lm_session_get_length (session), 0);
  }
  gemma_lm_session_free (session);
}

GST_END_TEST;

/* ---- where a head looks ----------------------------------------------------------------------------------- */

#define N_READ 60
#define FIRST 7 /* a range of positions */
#define RANGE 20

/* "tiny" as if a head had been taught to align: of layer 2, which has keys and values of its own, or of 5, which shares them. */
static GemmaLm *
load_aligned (const Model *m, gint layer)
{
  g_autoptr (GError) error = NULL;
  GemmaConfig config = *m->config; /* its arrays stay m's */
  config.text.alignment_layer = layer;
  config.text.alignment_head = 3;
  GemmaLm *lm = gemma_lm_load (m->weights, &config, m->device, NULL, NULL, &error);
  fail_unless (lm != NULL, "%s", error ? error->message : "no error");
  return lm;
}

static GemmaLmSession *
session_of (GemmaLm *lm, gint chunk, gboolean packed)
{
  GemmaLmSessionParams params = { .chunk = chunk, .rollback = 10, .packed_kv = packed };
  GemmaLmSession *session = gemma_lm_session_new (lm, &params, NULL);
  fail_unless (session != NULL);
  return session;
}

/* What the last position of all @ids looks at, of positions FIRST ..: in one prompt, or with the last ten one by one. */
static void
look (GemmaLmSession *session, const gint32 *ids, gboolean one_by_one, gfloat *logits, gfloat *weights)
{
  gint n = one_by_one ? N_READ - 10 : N_READ;
  fail_unless (gemma_lm_session_align (session, FIRST, RANGE, weights));
  append (session, ids, n, logits, FALSE);
  for (; n < N_READ; n++)
    append (session, ids + n, 1, logits, FALSE);
}

/* The same however the prompt is cut and the answer comes, and after something else was taken back. */
GST_START_TEST (test_alignment)
{
  const Model *m = model_get ("tiny");
  g_autofree gfloat *logits = g_new (gfloat, m->config->text.vocab_size);
  GemmaLm *lm = load_aligned (m, __i__);
  gint32 ids[N_READ];
  gfloat all[N_READ], weights[RANGE], again[RANGE], sum = 0;
  random_ids (m, ids, N_READ, 31);

  GemmaLmSession *session = session_of (lm, 64, FALSE);
  fail_unless (gemma_lm_session_align (session, 0, N_READ, all));
  append (session, ids, N_READ, logits, FALSE);
  for (gint i = 0; i < N_READ; i++)
    sum += all[i];
  fail_unless (fabsf (sum - 1) < 1e-5f, "of all positions the weights have the sum %g", sum);
  gemma_lm_session_free (session);

  for (gint chunk = 1; chunk <= 64; chunk *= 8) {
    session = session_of (lm, chunk, FALSE);
    look (session, ids, chunk > 8, logits, weights);
    check_close ("weights", weights, all + FIRST, RANGE, SAME);
    fail_unless (gemma_lm_session_truncate (session, N_READ - 5));
    append (session, ids, 5, logits, FALSE);
    fail_unless (relative_error (weights, all + FIRST, RANGE) > 1e-3, "another token looks there, too");
    fail_unless (gemma_lm_session_truncate (session, N_READ - 5));
    append (session, ids + N_READ - 5, 5, logits, FALSE);
    check_close ("weights after taking back", weights, all + FIRST, RANGE, SAME);
    gemma_lm_session_free (session);
  }
  session = session_of (lm, 16, TRUE);
  look (session, ids, TRUE, logits, again);
  check_close ("weights of a packed cache", again, all + FIRST, RANGE, 3e-2); /* as of logits above, through exp */
  gemma_lm_session_free (session);
  gemma_lm_free (lm);
}

GST_END_TEST;

/* Without logits nothing is told, nor when it is no longer asked for, nor by a model that has no such head. */
GST_START_TEST (test_alignment_not_asked)
{
  const Model *m = model_get ("tiny");
  g_autofree gfloat *logits = g_new (gfloat, m->config->text.vocab_size);
  GemmaLm *lm = load_aligned (m, 5);
  gint32 ids[N_READ];
  gfloat weights[RANGE] = { 42 };
  random_ids (m, ids, N_READ, 32);

  GemmaLmSession *session = session_new (m, 0, 0, 0);
  fail_if (gemma_lm_session_align (session, FIRST, RANGE, weights));
  append (session, ids, N_READ, logits, FALSE);
  gemma_lm_session_free (session);

  session = session_of (lm, 16, FALSE);
  fail_unless (gemma_lm_session_align (session, FIRST, RANGE, weights));
  append (session, ids, 40, NULL, FALSE);
  fail_if (gemma_lm_session_align (session, 0, 0, NULL));
  append (session, ids, 5, logits, FALSE);
  fail_unless (weights[0] == 42);

  /* Positions that do not exist yet have no weight. */
  fail_unless (gemma_lm_session_align (session, 45, RANGE, weights));
  append (session, ids, 3, logits, FALSE);
  fail_unless (weights[2] > 0 && weights[3] == 0 && weights[RANGE - 1] == 0);
  gemma_lm_session_free (session);
  gemma_lm_free (lm);
}

GST_END_TEST;

/* A part of the model without the head's layer looks nowhere. */
GST_START_TEST (test_alignment_skipped)
{
  const Model *m = model_get ("tiny");
  g_autofree gfloat *logits = g_new (gfloat, m->config->text.vocab_size);
  GemmaLm *lm = load_aligned (m, 5);
  gint32 ids[N_READ];
  gfloat weights[RANGE];
  gchar *path = NULL;
  gint fd = g_file_open_tmp ("submodel-XXXXXX", &path, NULL);
  random_ids (m, ids, N_READ, 33);
  fail_unless (fd >= 0 && close (fd) == 0 && g_file_set_contents (path, "5 skip\n", -1, NULL));
  GemmaLmSubmodel *submodel = gemma_lm_submodel_new (lm, path, NULL);
  fail_unless (submodel != NULL);
  g_unlink (path);
  g_free (path);

  GemmaLmSession *session = session_of (lm, 16, FALSE);
  look (session, ids, FALSE, logits, weights);
  fail_unless (weights[0] > 0);
  fail_unless (gemma_lm_session_set_submodel (session, submodel));
  append (session, ids, 1, logits, FALSE);
  for (gint i = 0; i < RANGE; i++)
    fail_unless (weights[i] == 0);
  gemma_lm_session_free (session);
  gemma_lm_submodel_free (submodel);
  gemma_lm_free (lm);
}

GST_END_TEST;

/* ---- failures in the middle ------------------------------------------------------------------------------ */

typedef struct
{
  GCancellable *cancellable;
  gint countdown; /* embeddings to see before the cancellation */
} CancelAt;

static void
cancel_at (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer user_data)
{
  CancelAt *at = user_data;
  if (g_str_equal (name, "layer1") && --at->countdown == 0)
    g_cancellable_cancel (at->cancellable);
}

/* Whatever stopped an append of many chunks, going on afterwards gives what a session without it gives. */
static void
check_as_before (const Model *m, GemmaLmSession *session, gint32 *ids, gint length)
{
  gint V = m->config->text.vocab_size;
  g_autofree gfloat *logits = g_new (gfloat, V);
  fail_unless_equals_int (gemma_lm_session_get_length (session), length);
  random_ids (m, ids + length, 20, 77);
  append (session, ids + length, 20, logits, FALSE);
  g_autofree gfloat *expected = logits_after (m, ids, length + 20, 16);
  check_close ("logits after a failed append", logits, expected, V, SAME);
}

GST_START_TEST (test_cancel)
{
  const Model *m = model_get ("tiny");
  gint lengths[] = { 0, 5, 60 }, chunks[] = { 16, 20 };
  for (guint c = 0; c < G_N_ELEMENTS (chunks); c++) {
    for (gint i = 0; i < 9; i++) {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      CancelAt at = { cancellable, i / 3 + 1 };
      gint length = lengths[i % 3];
      gint32 ids[200];
      random_ids (m, ids, 200, 8);
      GemmaLmSession *session = session_new (m, 0, chunks[c], 0);
      if (length)
        append (session, ids, length, NULL, FALSE);
      gemma_lm_session_set_observer (session, cancel_at, &at);
      fail_if (gemma_lm_session_append (session, ids + length, 90, NULL, NULL, FALSE, cancellable, &error));
      fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED));
      gemma_lm_session_set_observer (session, NULL, NULL);
      check_as_before (m, session, ids, length);
      gemma_lm_session_free (session);
    }
  }
}

GST_END_TEST;

GST_START_TEST (test_cancelled_before)
{
  const Model *m = model_get ("tiny");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  gint32 ids[40];
  random_ids (m, ids, 40, 9);
  GemmaLmSession *session = session_new (m, 0, 0, 0);
  g_cancellable_cancel (cancellable);
  fail_if (gemma_lm_session_append (session, ids, 1, NULL, NULL, FALSE, cancellable, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED));
  check_as_before (m, session, ids, 0);
  gemma_lm_session_free (session);
}

GST_END_TEST;

/* A launch fails at many places of an append of several chunks, and while full-attention layers grow past 512. */
GST_START_TEST (test_device_fails)
{
  const Model *m = model_get ("tiny");
  gint at = 1, lengths[] = { 50, 500 }, length = lengths[__i__];
  g_autofree gint32 *ids = g_new (gint32, length + 40);
  random_ids (m, ids, length + 40, 10);
  for (gboolean ok = FALSE; !ok; at += at < 40 ? 3 : 37) {
    g_autoptr (GError) error = NULL;
    g_autofree gchar *spec = g_strdup_printf ("launch:%d=CL_OUT_OF_RESOURCES", at);
    GemmaLmSession *session = session_new (m, 0, 16, 0);
    append (session, ids, length, NULL, FALSE);
    ocl_fault_inject (spec);
    ok = gemma_lm_session_append (session, ids + length, 40, NULL, NULL, FALSE, NULL, &error);
    ocl_fault_inject (NULL);
    if (!ok) {
      fail_unless (error->domain == OCL_ERROR, "%s", error->message);
      check_as_before (m, session, ids, length);
    }
    gemma_lm_session_free (session);
  }
  fail_unless (at > 100, "only %d launches were tried", at);
}

GST_END_TEST;

/* Every allocation of a new session fails once: an error, nothing kept. */
GST_START_TEST (test_allocations_fail)
{
  const Model *m = model_get ("tiny");
  gsize before = ocl_device_get_allocated (m->device);
  gint at = 1;
  for (gboolean ok = FALSE; !ok; at++) {
    g_autoptr (GError) error = NULL;
    g_autofree gchar *spec = g_strdup_printf ("alloc:%d", at);
    GemmaLmSessionParams params = { 0, 8, 0, 0 };
    ocl_fault_inject (spec);
    GemmaLmSession *session = gemma_lm_session_new (m->lm, &params, &error);
    ocl_fault_inject (NULL);
    ok = session != NULL;
    fail_unless (ok || g_error_matches (error, OCL_ERROR, OCL_ERROR_OUT_OF_MEMORY));
    gemma_lm_session_free (session);
    fail_unless (ocl_device_get_allocated (m->device) == before, "allocation %d: memory is lost", at);
  }
  fail_unless (at > 20, "only %d allocations were tried", at);
}

GST_END_TEST;

/* ---- several sessions ------------------------------------------------------------------------------------- */

GST_START_TEST (test_interleaved_sessions)
{
  const Model *m = model_get ("tiny");
  gint V = m->config->text.vocab_size;
  gint32 ids[2][40];
  g_autofree gfloat *logits = g_new (gfloat, V);
  GemmaLmSession *session[2] = { session_new (m, 0, 8, 0), session_new (m, 0, 8, 0) };
  random_ids (m, ids[0], 40, 11);
  random_ids (m, ids[1], 40, 12);
  for (gint i = 0; i < 40; i += 5)
    for (gint k = 0; k < 2; k++)
      append (session[k], ids[k] + i, 5, i == 35 && k == 0 ? logits : NULL, FALSE);
  g_autofree gfloat *expected = logits_after (m, ids[0], 40, 8);
  check_close ("logits of one of two", logits, expected, V, SAME);
  gemma_lm_session_free (session[0]);
  gemma_lm_session_free (session[1]);
}

GST_END_TEST;

typedef struct
{
  const Model *model;
  gint32 prompt[20], ids[40];
} Speaker;

static gpointer
speak (gpointer data)
{
  Speaker *s = data;
  g_autofree gfloat *logits = g_new (gfloat, s->model->config->text.vocab_size);
  GemmaLmSession *session = session_new (s->model, 0, 6, 0);
  append (session, s->prompt, 20, logits, FALSE);
  decode (s->model, session, logits, s->ids, 40);
  gemma_lm_session_free (session);
  return NULL;
}

GST_START_TEST (test_two_threads)
{
  const Model *m = model_get ("tiny");
  Speaker alone[2], together[2];
  GThread *threads[2];
  for (gint k = 0; k < 2; k++) {
    alone[k].model = m;
    random_ids (m, alone[k].prompt, 20, 20 + k);
    together[k] = alone[k];
    speak (&alone[k]);
  }
  for (gint k = 0; k < 2; k++)
    threads[k] = g_thread_new ("session", speak, &together[k]);
  for (gint k = 0; k < 2; k++) {
    g_thread_join (threads[k]);
    fail_unless (memcmp (alone[k].ids, together[k].ids, sizeof (alone[k].ids)) == 0);
  }
}

GST_END_TEST;

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  Suite *suite = suite_create ("gemma3n_sessions");
  TCase *tc = tcase_create ("sessions");
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_chunk_sizes);
  tcase_add_test (tc, test_ring_wraps);
  tcase_add_test (tc, test_full_cache_grows);
  tcase_add_test (tc, test_truncate_and_continue);
  tcase_add_test (tc, test_hypotheses_leave_no_trace);
  tcase_add_test (tc, test_packed_cache);
  tcase_add_loop_test (tc, test_alignment, 2, 3);
  tcase_add_loop_test (tc, test_alignment, 5, 6);
  tcase_add_test (tc, test_alignment_not_asked);
  tcase_add_test (tc, test_alignment_skipped);
  tcase_add_test (tc, test_truncate_limits);
  tcase_add_test (tc, test_context_overflow);
  tcase_add_test (tc, test_bad_ids);
  tcase_add_test (tc, test_cancel);
  tcase_add_test (tc, test_cancelled_before);
  tcase_add_loop_test (tc, test_device_fails, 0, 2);
  tcase_add_test (tc, test_allocations_fail);
  tcase_add_test (tc, test_interleaved_sessions);
  tcase_add_test (tc, test_two_threads);
  suite_add_tcase (suite, tc);
  int failed = gst_check_run_suite (suite, "gemma3n_sessions", __FILE__);
  models_free ();
  return failed;
}
