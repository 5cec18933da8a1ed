#include "config-private.h"
#include "model-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "weight-cache.h"
#include "weights-private.h"

struct _GemmaModel
{
  gint ref_count;
  GemmaWeights *weights;        /* the .gguf, or the directory with everything */
  GemmaWeights *mmproj;         /* nullable */
  GemmaConfig *config;
  OclDevice *device;
  GemmaTokenizer *tokenizer;
  GemmaLm *lm;
  GemmaUsm *usm;
  gboolean usm_is_embedder;     /* only hard embeddings */
  GemmaVision *vision;
};

/* ---- files --------------------------------------------------------------------------- */

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const gchar *const *) a, *(const gchar *const *) b);
}

/* mmproj-NAME for NAME.gguf, else the first *mmproj*.gguf by name; NULL if there is none. */
static gchar *
find_mmproj (const gchar *path)
{
  g_autofree gchar *folder = g_path_get_dirname (path), *base = g_path_get_basename (path);
  g_autofree gchar *own = g_strconcat ("mmproj-", base, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    if (!g_str_has_suffix (name, ".gguf") || !strstr (name, "mmproj") || strcmp (name, base) == 0)
      continue;
    if (strcmp (name, own) == 0)
      return g_build_filename (folder, name, NULL);
    g_ptr_array_add (names, g_strdup (name));
  }
  if (names->len == 0)
    return NULL;
  g_ptr_array_sort (names, compare_names);
  return g_build_filename (folder, g_ptr_array_index (names, 0), NULL);
}

static gboolean
open_files (GemmaModel *model, const gchar *path, const gchar *mmproj, GError **error)
{
  g_autofree gchar *found = NULL;

  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND,
        "%s: no such file or directory; a model is a Hugging Face directory or a .gguf", path);
    return FALSE;
  }
  if (g_file_test (path, G_FILE_TEST_IS_DIR)) {
    model->weights = gemma_weights_open_hf (path, error);
    return model->weights != NULL;
  }
  model->weights = gemma_weights_open_gguf (path, error);
  if (!model->weights)
    return FALSE;
  if (!mmproj && !gemma_weights_has_key (model->weights, GEMMA_HAS_VISION))
    mmproj = found = find_mmproj (path);
  if (!mmproj)
    return TRUE;
  model->mmproj = gemma_weights_open_gguf (mmproj, error);
  if (!model->mmproj)
    return FALSE;
  if (found && !gemma_config_mmproj_fits (model->weights, model->mmproj))
    g_clear_pointer (&model->mmproj, gemma_weights_unref);
  return TRUE;
}

static gboolean
check_encoder (GemmaModel *model, gboolean takes, gboolean has, const gchar *what, GError **error)
{
  const gchar *path = gemma_weights_get_path (model->weights);

  if (has)
    return TRUE;
  if (!takes)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "%s: models of architecture %s have no %s encoder", path,
        model->config->architecture, what);
  else if (gemma_weights_is_gguf (model->weights) && !model->mmproj)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND,
        "%s: has no %s encoder and no *mmproj*.gguf of it is beside it; name the file with mmproj", path, what);
  else
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: has no %s encoder",
        model->mmproj ? gemma_weights_get_path (model->mmproj) : path, what);
  return FALSE;
}

static gboolean
check_parts (GemmaModel *model, GemmaParts parts, GError **error)
{
  const GemmaConfig *config = model->config;

  return (!(parts & GEMMA_PART_AUDIO) || check_encoder (model, config->hears, config->has_audio, "audio", error))
      && (!(parts & GEMMA_PART_VISION) || check_encoder (model, config->sees, config->has_vision, "picture", error));
}

static GemmaModel *
open_model (const gchar *path, const gchar *mmproj, GemmaParts parts, GError **error)
{
  GemmaModel *model = g_new0 (GemmaModel, 1);

  model->ref_count = 1;
  if (open_files (model, path, mmproj, error))
    model->config = gemma_config_new (model->weights, model->mmproj, error);
  if (!model->config || !check_parts (model, parts, error))
    g_clear_pointer (&model, gemma_model_unref);
  return model;
}

GemmaConfig *
gemma_model_probe (const gchar *path, const gchar *mmproj, GemmaParts parts, GError **error)
{
  GemmaModel *model = open_model (path, mmproj, parts, error);
  GemmaConfig *config;

  if (!model)
    return NULL;
  config = g_steal_pointer (&model->config);
  gemma_model_unref (model);
  return config;
}

/* ---- parts --------------------------------------------------------------------------- */

static gboolean
load_tokenizer (GemmaModel *model, GError **error)
{
  const gchar *path = gemma_weights_get_path (model->weights);
  const GemmaTextConfig *text = &model->config->text;
  gint n;

  if (gemma_weights_is_gguf (model->weights)) {
    model->tokenizer = gemma_tokenizer_new_from_gguf (model->weights, error);
  } else {
    g_autofree gchar *json = g_build_filename (path, "tokenizer.json", NULL);

    model->tokenizer = gemma_tokenizer_new_from_json (json, error);
  }
  if (!model->tokenizer)
    return FALSE;
  /* The rows of audio and vision may have no pieces, all others must. */
  n = gemma_tokenizer_get_size (model->tokenizer);
  /* Gemma 3's smaller models share a tokenizer with the token of pictures, which they have no row for. */
  while (n > text->vocab_size && gemma_tokenizer_is_control (model->tokenizer, n - 1))
    n--;
  if (n < MIN (text->first_soft_id, text->vocab_size) || n > text->vocab_size) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: the tokenizer has %d tokens, the embedding %d rows of which %d are text's", path, n, text->vocab_size,
        text->first_soft_id);
    return FALSE;
  }
  return TRUE;
}

/* One step of several: fractions of a part become fractions of the whole. */
typedef struct
{
  GemmaProgressFunc func;
  gpointer user_data;
  gdouble start, share;
} Step;

static void
step_progress (gdouble fraction, const gchar *what, gpointer user_data)
{
  const Step *step = user_data;

  if (step->func)
    step->func (step->start + step->share * fraction, what, step->user_data);
}

static gboolean
check_cancelled (GemmaModel *model, GCancellable *cancellable, GError **error)
{
  if (!g_cancellable_is_cancelled (cancellable))
    return FALSE;
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED, "%s: loading was cancelled",
      gemma_weights_get_path (model->weights));
  return TRUE;
}

static gboolean
load_audio (GemmaModel *model, GemmaParts parts, OclMatmulFlags flags, Step *step, GError **error)
{
  GemmaWeights *weights = model->mmproj ? model->mmproj : model->weights;

  model->usm_is_embedder = !(parts & GEMMA_PART_AUDIO);
  if (!model->usm_is_embedder)
    model->usm = gemma_usm_load (weights, model->config, model->device, flags, step_progress, step, error);
  else if (model->config->has_audio)
    model->usm = gemma_usm_load_embedder (weights, model->config, model->device, error);
  else
    return TRUE;
  return model->usm != NULL;
}

static gboolean
load_vision (GemmaModel *model, GemmaParts parts, OclMatmulFlags flags, Step *step, GError **error)
{
  GemmaWeights *weights = model->mmproj ? model->mmproj : model->weights;

  if (parts & GEMMA_PART_VISION)
    model->vision = gemma_vision_load (weights, model->config, model->device, flags, step_progress, step, error);
  return !(parts & GEMMA_PART_VISION) || model->vision;
}

/* Shares of the time, in the proportions of E2B's sizes. */
static gboolean
load_parts (GemmaModel *model, GemmaParts parts, OclMatmulFlags encoder_flags, gdouble start, GCancellable *cancellable,
    GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  gdouble text = parts & GEMMA_PART_TEXT ? .8 : 0., audio = parts & GEMMA_PART_AUDIO ? .2 : 0.;
  gdouble vision = parts & GEMMA_PART_VISION ? .1 : 0., all = MAX (text + audio + vision, .1) / (1. - start);
  Step step = { progress, user_data, start, text / all };

  if (parts & GEMMA_PART_TEXT) {
    step_progress (0., "reading the tokenizer", &step);
    if (!load_tokenizer (model, error) || check_cancelled (model, cancellable, error))
      return FALSE;
    model->lm = gemma_lm_load (model->weights, model->config, model->device, step_progress, &step, error);
    if (!model->lm || check_cancelled (model, cancellable, error))
      return FALSE;
  }
  step.start = start + text / all;
  step.share = audio / all;
  if (!load_audio (model, parts, encoder_flags, &step, error) || check_cancelled (model, cancellable, error))
    return FALSE;
  step.start += step.share;
  step.share = vision / all;
  return load_vision (model, parts, encoder_flags, &step, error) && !check_cancelled (model, cancellable, error);
}

#define QUANTIZING 0.8          /* of the time, where it has to be done */

GemmaModel *
gemma_model_load_as (const gchar *path, const gchar *mmproj, const GemmaModelForm *form, OclDevice *device,
    GemmaParts parts, GCancellable *cancellable, GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  GemmaModel *model = open_model (path, mmproj, parts, error);
  Step step = { progress, user_data, 0., QUANTIZING };
  gboolean ok, made = FALSE;

  if (!model)
    return NULL;
  model->device = ocl_device_ref (device);
  ok = !check_cancelled (model, cancellable, error) && gemma_weights_check_type (path, form->weights, error)
      && gemma_weights_round_encoders (model->mmproj ? model->mmproj : model->weights, form->encoder_weights, error);
  if (ok && (parts & GEMMA_PART_TEXT))
    ok = gemma_weights_requantize (model->weights, form->weights, cancellable, step_progress, &step, &made, error);
  if (!ok
      || !load_parts (model, parts, form->encoder_flags, made ? QUANTIZING : 0., cancellable, progress, user_data, error))
    g_clear_pointer (&model, gemma_model_unref);
  if (model)
    gemma_weights_forget_keys (model->weights);
  return model;
}

GemmaModel *
gemma_model_load (const gchar *path, const gchar *mmproj, OclDevice *device, GemmaParts parts,
    GCancellable *cancellable, GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  const GemmaModelForm as_it_is = { 0 };

  return gemma_model_load_as (path, mmproj, &as_it_is, device, parts, cancellable, progress, user_data, error);
}

GemmaModel *
gemma_model_ref (GemmaModel *model)
{
  g_atomic_int_inc (&model->ref_count);
  return model;
}

void
gemma_model_unref (GemmaModel *model)
{
  if (!g_atomic_int_dec_and_test (&model->ref_count))
    return;
  g_clear_pointer (&model->vision, gemma_vision_free);
  g_clear_pointer (&model->usm, gemma_usm_free);
  g_clear_pointer (&model->lm, gemma_lm_free);
  g_clear_pointer (&model->tokenizer, gemma_tokenizer_free);
  g_clear_pointer (&model->config, gemma_config_free);
  g_clear_pointer (&model->weights, gemma_weights_unref);
  g_clear_pointer (&model->mmproj, gemma_weights_unref);
  g_clear_pointer (&model->device, ocl_device_unref);
  g_free (model);
}

/* ---- access -------------------------------------------------------------------------- */

const GemmaConfig *
gemma_model_get_config (GemmaModel *model)
{
  return model->config;
}

GemmaTokenizer *
gemma_model_get_tokenizer (GemmaModel *model)
{
  return model->tokenizer;
}

GemmaLm *
gemma_model_get_lm (GemmaModel *model)
{
  return model->lm;
}

GemmaUsm *
gemma_model_get_usm (GemmaModel *model)
{
  return model->usm_is_embedder ? NULL : model->usm;
}

GemmaVision *
gemma_model_get_vision (GemmaModel *model)
{
  return model->vision;
}

OclDevice *
gemma_model_get_device (GemmaModel *model)
{
  return model->device;
}

gsize
gemma_model_get_mapped_bytes (GemmaModel *model)
{
  GemmaWeights *all[] = { model->weights, model->weights->overlay, model->mmproj };
  gsize bytes = 0;

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    for (guint j = 0; all[i] && j < all[i]->files->len; j++)
      bytes += ((GemmaFile *) g_ptr_array_index (all[i]->files, j))->size;
  return bytes;
}

/* ---- hard embeddings ----------------------------------------------------------------- */

static gboolean
is_audio_id (GemmaModel *model, gint id)
{
  const GemmaAudioConfig *audio = &model->config->audio;

  return model->config->has_audio && id >= audio->vocab_offset && id < audio->vocab_offset + audio->vocab_size;
}

/* The embedding table of vision's hard ids, if the files have it; the encoder itself is not needed. */
static const GemmaTensor *
vision_table (GemmaModel *model, gint id, GemmaWeights **weights)
{
  const GemmaConfig *config = model->config;

  if (id < config->vision_vocab_offset || id >= config->vision_vocab_offset + config->vision_vocab_size)
    return NULL;
  *weights = model->mmproj ? model->mmproj : model->weights;
  return gemma_weights_peek (*weights, "mm.embedding.weight");
}

gboolean
gemma_model_has_hard_embedding (GemmaModel *model, gint id)
{
  GemmaWeights *weights;

  return is_audio_id (model, id) ? model->usm != NULL : vision_table (model, id, &weights) != NULL;
}

/* x [n] = RMS (x) * weight ([n] or NULL) */
static void
rms_norm (gfloat *x, gint n, const gfloat *weight, gfloat eps)
{
  gdouble sum = 0.;
  gfloat scale;

  for (gint i = 0; i < n; i++)
    sum += (gdouble) x[i] * x[i];
  scale = 1. / sqrt (sum / n + eps);
  for (gint i = 0; i < n; i++)
    x[i] *= weight ? scale * weight[i] : scale;
}

/* row [hidden] = RMS (projection [hidden][n] . RMS (table[k] [n]) * norm): rare, so on the host and not kept. */
static gboolean
vision_embedding (GemmaModel *model, GemmaWeights *weights, const GemmaTensor *table, gint k, gfloat *row, GError **error)
{
  const GemmaTextConfig *text = &model->config->text;
  gint n = table->n_dims >= 1 && table->dims[0] > 0 && table->dims[0] <= 1 << 16 ? table->dims[0] : 1;
  const GemmaTensor *projection = gemma_weights_find (weights, "mm.input_projection.weight", error, 2, n, text->hidden);
  g_autofree gfloat *norm = NULL, *x = NULL, *factors = NULL;

  if (projection)
    table = gemma_weights_find (weights, "mm.embedding.weight", error, 2, n, model->config->vision_vocab_size);
  if (!projection || !table)
    return FALSE;
  x = g_new (gfloat, n);
  factors = g_new (gfloat, n);
  if (!gemma_weights_read_row (weights, table, k, x, error)
      || !(norm = gemma_weights_read_f32 (weights, "mm.hard_emb_norm.weight", 1, n, error)))
    return FALSE;
  rms_norm (x, n, norm, text->rms_eps);
  for (gint i = 0; i < text->hidden; i++) {
    gdouble sum = 0.;

    if (!gemma_weights_read_row (weights, projection, i, factors, error))
      return FALSE;
    for (gint j = 0; j < n; j++)
      sum += (gdouble) factors[j] * x[j];
    row[i] = sum;
  }
  rms_norm (row, text->hidden, NULL, text->rms_eps);
  return TRUE;
}

gboolean
gemma_model_hard_embedding (GemmaModel *model, gint id, gfloat *row, GError **error)
{
  const GemmaTensor *table;
  GemmaWeights *weights;

  if (is_audio_id (model, id) && model->usm)
    return gemma_usm_hard_embedding (model->usm, id, row, error);
  table = vision_table (model, id, &weights);
  if (table)
    return vision_embedding (model, weights, table, id - model->config->vision_vocab_offset, row, error);
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: token %d stands for audio or a picture, which %s not have",
      gemma_weights_get_path (model->weights), id,
      model->mmproj ? "the mmproj does" : "the model without an mmproj does");
  return FALSE;
}
