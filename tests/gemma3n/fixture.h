/* Seeded models of tests/golden/GOLDEN_AREA (gemma3n, gemma3, t5gemma2), loaded once for the process, and sessions on them. */
#pragma once

#include <gst/check/gstcheck.h>

#include "examples/npy.h"
#include "models/lm.h"
#include "opencl/ops.h"
#include "tests/seeded-weights.h"

#define SEED 3
#define PROMPT 24 /* ids before the greedy ones */

typedef struct
{
  gchar *size;
  GemmaWeights *weights;
  GemmaConfig *config;
  OclDevice *device;
  GemmaLm *lm;
  gfloat *rows; /* (nullable): of the soft ids of the golden prompt, whose greedy ids then follow all of it */
} Model;

/** A size that the area has, "tiny" for one; freed by models_free(). */
const Model *model_get (const gchar *size);
/** From open @weights, which it takes; their files can go once this has returned. (transfer full): model_free() */
Model *model_new (const gchar *size, GemmaWeights *weights);
void model_free (Model *model);
void models_free (void);

/** A golden array of @size. (transfer full) */
Npy *golden (const gchar *size, const gchar *name, NpyType type);

/** Defaults where a number is 0. (transfer full) */
GemmaLmSession *session_new (const Model *model, gint context, gint chunk, gint rollback);
/** Appends and fails the test on an error. */
void append (GemmaLmSession *session, const gint32 *ids, gint n, gfloat *logits, gboolean all);
/** The same with the rows of soft ids. */
void append_rows (GemmaLmSession *session, const gint32 *ids, gint n, const gfloat *rows, gfloat *logits, gboolean all);
/** Logits of the last of @n ids in a fresh session. (transfer full) */
gfloat *logits_after (const Model *model, const gint32 *ids, gint n, gint chunk);
/** The best id that can be fed back. */
gint32 best_id (const Model *model, const gfloat *logits);
/** Decodes @n ids greedily from @logits of the last position, which are kept up to date. */
void decode (const Model *model, GemmaLmSession *session, gfloat *logits, gint32 *ids, gint n);

/** Fails the test, naming @what, if the relative error is above @limit. */
void check_close (const gchar *what, const gfloat *got, const gfloat *expected, gsize n, gdouble limit);

/* What is reached is about 1e-6 for tiny and 3e-6 for 25 layers (float32 sums in another order); a wrong epsilon or
 * a wrong constant shows above 1e-5. */
#define GOLDEN_LIMIT 2e-5

/** The states after every layer, of an encoder, too, and the logits of a golden prompt that runs in chunks of @chunk. */
void golden_check_states (const gchar *size, gint chunk);
/** The 64 greedy ids after the first PROMPT, or after all with model.rows. */
void golden_check_greedy (const gchar *size);
/** The same of an empty session of @model, of which @n_layers run, with the golden data of @size. */
void golden_check_states_of (const Model *model, GemmaLmSession *session, const gchar *size, gint n_layers);
void golden_check_greedy_of (const Model *model, GemmaLmSession *session, const gchar *size);
