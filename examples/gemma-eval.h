/* Parts of gemma-eval: the run that its files share. */
#pragma once

#include "models/model.h"

G_BEGIN_DECLS

typedef struct
{
  gchar *model, *mmproj, *device, *audio, *image, *prompt, *ids, *activations, *kv_cache, *submodel, *weights, *encoder_weights,
      *out;
  OclMatmulFlags matmul_flags;  /* of activations */
  gint resolution, generate;
  gboolean bench, layers;
  gint bench_prefill, bench_decode, bench_runs;
} EvalOptions;

/** A picture and the memory that it is a view of. */
typedef struct
{
  OclPicture picture;
  guint8 *pixels, **rows;
} EvalImage;

typedef struct
{
  const EvalOptions *options;
  OclDevice *device;
  GemmaModel *model;
  GArray *samples;              /* gfloat of --audio, or NULL */
  EvalImage *image;             /* of --image, or NULL */
  GemmaVisionSession *vision;   /* made when needed */
  GemmaLmSubmodel *submodel;    /* of --submodel, or NULL */
  GHashTable *states;           /* of --layers, by name, or NULL */
  gdouble load_seconds;
} Eval;

/** Mono float samples at 16 kHz of any file that GStreamer decodes. (transfer full) */
GArray *eval_read_audio (const gchar *path, GError **error);
/** Soft tokens of the samples, padded to a whole clip if the model's are and @pad. (transfer full): gfloat rows */
GArray *eval_encode_audio (Eval *eval, gboolean pad, GError **error);
/** Any PNG. (transfer full) */
EvalImage *eval_read_image (const gchar *path, GError **error);
void eval_image_free (EvalImage *image);
/** Soft tokens of the picture. (transfer full): gfloat rows */
GArray *eval_encode_image (Eval *eval, GError **error);
/** A session for @positions, as --activations, --kv-cache and --submodel want it. */
GemmaLmSession *eval_session_new (Eval *eval, gint positions, GError **error);
/** Adds the user's turn, or the ids of --ids. @image, @audio: (nullable): soft tokens, those of the clip padded already */
gboolean eval_make_prompt (Eval *eval, const GArray *image, const GArray *audio, GemmaPrompt *prompt, GError **error);
/** What layers put out, by their names. (transfer full) */
GHashTable *eval_states_new (void);
/** GemmaObserver: adds to @states. */
void eval_take_state (const gchar *name, gint rows, gint cols, const gfloat *data, gpointer states);
/** Writes eval->states as PART.NAME.npy, [position][hidden], and empties them; does nothing without --layers. */
gboolean eval_states_save (Eval *eval, const gchar *part, GError **error);
/** Measures and writes bench.json. */
gboolean eval_bench (Eval *eval, GError **error);

G_END_DECLS
