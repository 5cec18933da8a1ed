#include "model-user.h"

#include <glib/gstdio.h>

#include "debug.h"
#include "models/submodel.h"
#include "models/weight-cache.h"

#define PROGRESS_CODE "load-model"

/* What a load needs when the element that began it may be gone. */
typedef struct
{
  gchar *path, *mmproj, *device, *weights;
  OclMatmulFlags activations;   /* of the encoders */
  GemmaParts parts;
} LoadData;

typedef struct
{
  GstGemmaModelReport report;
  gpointer data;
  gdouble fraction;
} LoadProgress;

/* ---- errors ---------------------------------------------------------------------------- */

void
gemma_post_error (GstElement *element, const GError *error)
{
  g_autofree gchar *message = g_utf8_make_valid (error->message, -1);   /* a file's name may be of any bytes */

  if (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND) ||
      g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
      g_error_matches (error, OCL_ERROR, OCL_ERROR_NO_PLATFORM) ||
      g_error_matches (error, OCL_ERROR, OCL_ERROR_NO_DEVICE))
    GST_ELEMENT_ERROR (element, RESOURCE, NOT_FOUND, ("%s", message), (NULL));
  else if (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED))
    GST_ELEMENT_ERROR (element, STREAM, WRONG_TYPE, ("%s", message), (NULL));
  else if (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_SETTING))
    GST_ELEMENT_ERROR (element, LIBRARY, SETTINGS, ("%s", message), (NULL));
  else if (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_TOO_LONG))
    GST_ELEMENT_ERROR (element, STREAM, FAILED, ("%s", message), (NULL));
  else if (error->domain == GEMMA_ERROR || error->domain == G_FILE_ERROR)
    GST_ELEMENT_ERROR (element, RESOURCE, OPEN_READ, ("%s", message), (NULL));
  else if (g_error_matches (error, OCL_ERROR, OCL_ERROR_OUT_OF_MEMORY))
    GST_ELEMENT_ERROR (element, RESOURCE, NO_SPACE_LEFT, ("%s", message), (NULL));
  else if (g_error_matches (error, OCL_ERROR, OCL_ERROR_BUILD))
    GST_ELEMENT_ERROR (element, LIBRARY, INIT, ("%s", message), (NULL));
  else
    GST_ELEMENT_ERROR (element, RESOURCE, FAILED, ("%s", message), (NULL));
}

/* ---- properties ------------------------------------------------------------------------ */

void
gemma_model_user_install_properties (GObjectClass *klass, guint first_id)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  g_object_class_install_property (klass, first_id, g_param_spec_string ("model", "Model",
          "A .gguf file or a Hugging Face directory (unset: $GEMMA_DEFAULT_MODEL, else the embedded model)", NULL, flags));
  g_object_class_install_property (klass, first_id + 1, g_param_spec_string ("mmproj", "Multimodal projector",
          "The mmproj .gguf with the encoders (unset: found beside the model's .gguf)", NULL, flags));
  g_object_class_install_property (klass, first_id + 2, g_param_spec_string ("device", "Device",
          "OpenCL device: auto (a GPU, else the CPU), cpu, gpu, or PLATFORM:DEVICE by index", "auto", flags));
}

void
gemma_model_user_install_weights (GObjectClass *klass, guint id)
{
  g_object_class_install_property (klass, id, g_param_spec_string ("weights", "Weights",
          "Type of the language model's weights: auto (as in the files), or q4_0, q8_0, bf16 or f32 for a Hugging Face "
          "directory, which is quantized once and then kept in the user's cache directory", "auto",
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
}

G_DEFINE_ENUM_TYPE (GstGemmaActivations, gst_gemma_activations,
    { OCL_MATMUL_F32_ACTIVATIONS, "Exact", "f32" },
    { OCL_MATMUL_INT16, "16 bits in products of many rows (encoders, prompts): faster, soft tokens within 0.1 %",
        "int16" },
    { OCL_MATMUL_INT8_ACTIVATIONS, "8 bits in products with quantized weights: faster, and seldom another word", "int8" })

void
gemma_model_user_install_encoder (GObjectClass *klass, guint id)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  g_object_class_install_property (klass, id, g_param_spec_enum ("activations", "Activations",
          "How the encoder rounds before its products: not at all; to 16 bits, which takes half the time on CPUs with VNNI and "
          "changes soft tokens by 0.1 % at most; or, of pictures and quantized weights, to 8 bits (up to 3 %)",
          GST_TYPE_GEMMA_ACTIVATIONS, OCL_MATMUL_F32_ACTIVATIONS, flags));
  g_object_class_install_property (klass, id + 1, g_param_spec_string ("weights", "Weights",
          "Type of the encoder's weights: auto (as in the files), or q8_0, which rounds them while they are loaded: half the "
          "memory of 16 bits, and soft tokens that differ by some percent", "auto", flags));
}

void
gemma_model_user_install_encoder_weights (GObjectClass *klass, guint id)
{
  g_object_class_install_property (klass, id, g_param_spec_string ("encoder-weights", "Encoder weights",
          "As weights of gemmaaudioenc and gemmavisionenc: auto (as in the files), or q8_0", "auto",
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
}

static gchar **
find_string (GemmaModelUser *user, const gchar *name)
{
  const struct
  {
    const gchar *name;
    gchar **string;
  } all[] = { { "model", &user->model }, { "mmproj", &user->mmproj }, { "device", &user->device },
    { "weights", &user->weights } };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    if (g_str_equal (all[i].name, name))
      return all[i].string;
  return NULL;
}

void
gemma_model_user_set_property (GemmaModelUser *user, GParamSpec *pspec, const GValue *value)
{
  g_mutex_lock (&user->lock);
  gchar **string = find_string (user, pspec->name);
  if (string) {
    g_free (*string);
    *string = g_value_dup_string (value);
  } else {
    user->activations = g_value_get_enum (value);
  }
  g_mutex_unlock (&user->lock);
}

void
gemma_model_user_get_property (GemmaModelUser *user, GParamSpec *pspec, GValue *value)
{
  g_mutex_lock (&user->lock);
  gchar **string = find_string (user, pspec->name);
  if (string)
    g_value_set_string (value, *string);
  else
    g_value_set_enum (value, user->activations);
  g_mutex_unlock (&user->lock);
}

/* ---- loading, in the store's thread ------------------------------------------------------ */

static void
load_data_free (gpointer data)
{
  LoadData *load = data;

  g_free (load->path);
  g_free (load->mmproj);
  g_free (load->device);
  g_free (load->weights);
  g_free (load);
}

static void
on_load_progress (gdouble fraction, const gchar *what, gpointer data)
{
  LoadProgress *progress = data;

  progress->fraction = CLAMP (fraction, 0., 1.) * 0.9;  /* the rest is for the first run */
  progress->report (progress->fraction, what, progress->data);
}

/* Two loads may share a device, which has one callback: it tells all of them, and outlives them. */
static GMutex compiling_lock;
static GSList *compiling;       /* of LoadProgress, on the stacks of their threads */

static void
on_program (const gchar *program, gpointer data)
{
  g_autofree gchar *what = g_strdup_printf ("compiling %s", program);

  g_mutex_lock (&compiling_lock);
  for (GSList *l = compiling; l; l = l->next) {
    LoadProgress *progress = l->data;
    progress->report (progress->fraction, what, progress->data);
  }
  g_mutex_unlock (&compiling_lock);
}

static void
watch_compiler (OclDevice *device, LoadProgress *progress, gboolean watch)
{
  g_mutex_lock (&compiling_lock);
  compiling = watch ? g_slist_prepend (compiling, progress) : g_slist_remove (compiling, progress);
  g_mutex_unlock (&compiling_lock);
  if (watch)
    ocl_device_set_progress (device, on_program, NULL);
}

/* A first run compiles the kernels now rather than under the first words, and finds out whether the device can run. */
static gboolean
warm_up_text (GemmaModel *model, GCancellable *cancellable, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (model);
  GemmaLmSessionParams params = { .context_size = 64 };
  gint32 ids[24];
  gboolean ok;

  GemmaLmSession *session = gemma_lm_session_new (gemma_model_get_lm (model), &params, error);
  if (!session)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    ids[i] = config->bos_id;
  g_autofree gfloat *logits = g_new (gfloat, config->text.vocab_size);
  ok = gemma_lm_session_append (session, ids, G_N_ELEMENTS (ids), NULL, logits, FALSE, cancellable, error) &&
      gemma_lm_session_append (session, ids, 1, NULL, logits, FALSE, cancellable, error);
  gemma_lm_session_free (session);
  return ok;
}

static gboolean
warm_up_audio (GemmaModel *model, GError **error)
{
  g_autofree gfloat *silence = g_new0 (gfloat, 8000);
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (gfloat));
  gboolean ok;

  GemmaUsmStream *stream = gemma_usm_stream_new (gemma_model_get_usm (model), error);
  if (!stream)
    return FALSE;
  ok = gemma_usm_stream_push (stream, silence, 8000, tokens, error) && gemma_usm_stream_drain (stream, tokens, error);
  gemma_usm_stream_free (stream);
  return ok;
}

static gboolean
warm_up_vision (GemmaModel *model, GCancellable *cancellable, GError **error)
{
  GemmaVisionSession *session = gemma_vision_session_new (gemma_model_get_vision (model), error);
  if (!session)
    return FALSE;
  gboolean ok = gemma_vision_session_warm_up (session, cancellable, error);
  gemma_vision_session_free (session);
  return ok;
}

static gpointer
load_model (gpointer load_data, GCancellable *cancellable, GstGemmaModelReport report, gpointer report_data, GError **error)
{
  const LoadData *load = load_data;
  LoadProgress progress = { report, report_data, 0. };

  OclDevice *device = ocl_device_open (load->device, error);
  if (!device)
    return NULL;
  GST_INFO ("loading %s on %s", load->path, ocl_device_get_name (device));
  watch_compiler (device, &progress, TRUE);

  const gboolean text = (load->parts & GEMMA_PART_TEXT) != 0;
  const GemmaModelForm form = { text ? load->weights : NULL, load->activations, text ? NULL : load->weights };
  GemmaModel *model = gemma_model_load_as (load->path, load->mmproj, &form, device, load->parts, cancellable, on_load_progress,
      &progress, error);
  gboolean ok = model != NULL;
  if (ok && (load->parts & GEMMA_PART_TEXT))
    ok = warm_up_text (model, cancellable, error);
  if (ok && (load->parts & GEMMA_PART_AUDIO))
    ok = warm_up_audio (model, error);
  if (ok && (load->parts & GEMMA_PART_VISION))
    ok = warm_up_vision (model, cancellable, error);
  if (!ok)
    g_clear_pointer (&model, gemma_model_unref);

  watch_compiler (device, &progress, FALSE);
  ocl_device_unref (device);
  return model;
}

static void
unload_model (gpointer model)
{
  gemma_model_unref (model);
}

/* ---- what the store tells, in its thread -------------------------------------------------- */

static void
post_progress (GemmaModelUser *user, GstProgressType type, const gchar *text)
{
  gst_element_post_message (user->element,
      gst_message_new_progress (GST_OBJECT (user->element), type, PROGRESS_CODE, text));
}

static void
post_continue (GemmaModelUser *user, gdouble fraction, const gchar *what)
{
  g_autofree gchar *text = g_strdup_printf ("%s (%d %%)", what ? what : "loading", (gint) (fraction * 100.));

  post_progress (user, GST_PROGRESS_TYPE_CONTINUE, text);
}

/* The element behind @data, which the lease keeps alive, has this user in it. */
typedef struct
{
  GstElement *element;
  GemmaModelUser *user;
} NotifyData;

static void
notify_data_free (gpointer data)
{
  NotifyData *notify = data;

  gst_object_unref (notify->element);
  g_free (notify);
}

static void
on_model_event (GstGemmaModelLease *lease, GstGemmaModelEvent event, gdouble fraction, const gchar *what, gpointer data)
{
  GemmaModelUser *user = ((NotifyData *) data)->user;
  gboolean post;

  g_mutex_lock (&user->lock);
  post = user->lease == lease;  /* else it was given back meanwhile */
  if (post && event == GST_GEMMA_MODEL_EVENT_PROGRESS) {
    /* Every 2 %, and every program that is compiled, which may take seconds. */
    post = fraction == user->reported || fraction >= user->reported + 0.02;
    if (post)
      user->reported = fraction;
  }
  g_mutex_unlock (&user->lock);
  if (!post)
    return;

  switch (event) {
    case GST_GEMMA_MODEL_EVENT_PROGRESS:
      post_continue (user, fraction, what);
      break;
    case GST_GEMMA_MODEL_EVENT_READY:
      post_progress (user, GST_PROGRESS_TYPE_COMPLETE, "The model is loaded");
      break;
    case GST_GEMMA_MODEL_EVENT_FAILED:
      gemma_post_error (user->element, gst_gemma_model_lease_get_error (lease));
      post_progress (user, GST_PROGRESS_TYPE_ERROR, "The model cannot be loaded");
      break;
  }
  if (event == GST_GEMMA_MODEL_EVENT_PROGRESS)
    return;
  /* Who waits may tell that the flow has ended: it must be known why by then. */
  g_mutex_lock (&user->lock);
  if (user->lease == lease)
    user->failed = event == GST_GEMMA_MODEL_EVENT_FAILED;
  g_cond_broadcast (&user->cond);
  g_mutex_unlock (&user->lock);
}

/* ---- opening and closing -------------------------------------------------------------------- */

/* What the properties mean: the embedded model by default, absolute paths, so that two spellings are one model. */
static LoadData *
resolve (GemmaModelUser *user)
{
  LoadData *load = g_new0 (LoadData, 1);
  g_autofree gchar *model = NULL, *mmproj = NULL;

  g_mutex_lock (&user->lock);
  model = user->model && *user->model ? g_strdup (user->model) : gemma_default_model (user->unnamed);
  mmproj = g_strdup (user->mmproj && *user->mmproj ? user->mmproj : NULL);
  load->device = g_strdup (user->device && *user->device ? user->device : "auto");
  load->weights = g_strdup (user->weights && *user->weights ? user->weights : "auto");
  load->activations = user->activations;
  g_mutex_unlock (&user->lock);

  /* Links stay: what is beside the link counts, and the file behind it may have no extension. */
  load->path = g_canonicalize_filename (model, NULL);
  load->mmproj = mmproj ? g_canonicalize_filename (mmproj, NULL) : NULL;
  load->parts = user->parts;
  return load;
}

static gchar *
make_key (const LoadData *load)
{
  GStatBuf info = { 0, };

  g_stat (load->path, &info);   /* a file that was replaced is another model */
  return g_strdup_printf ("%s|%s|%s|%s|%x|%x|%" G_GUINT64_FORMAT ".%" G_GINT64_FORMAT, load->path,
      load->mmproj ? load->mmproj : "", load->device, load->weights, load->activations, load->parts,
      (guint64) info.st_ino, (gint64) info.st_mtime);
}

/* The model's files are fine; whether it can be had as it is asked for. */
static gboolean
check_settings (const LoadData *load, const gchar *const *submodels, const GemmaConfig *config, GError **error)
{
  for (guint i = 0; submodels && submodels[i]; i++) {
    g_autofree gint *widths = gemma_submodel_parse (submodels[i], config, load->path, error);
    if (!widths)
      return FALSE;
  }
  return load->parts & GEMMA_PART_TEXT ? gemma_weights_check_type (load->path, load->weights, error)
      : gemma_weights_check_encoder_type (load->weights, error);
}

gboolean
gemma_model_user_open (GemmaModelUser *user, const gchar *const *submodels)
{
  static const GstGemmaModelFuncs funcs = { load_model, unload_model };
  g_autoptr (GError) error = NULL;
  LoadData *load = resolve (user);

  GemmaConfig *config = gemma_model_probe (load->path, load->mmproj, user->parts, &error);
  if (!config || !check_settings (load, submodels, config, &error)) {
    g_clear_pointer (&config, gemma_config_free);
    load_data_free (load);
    gemma_post_error (user->element, error);
    return FALSE;
  }

  g_autoptr (GstGemmaModelStore) store = gst_gemma_element_ensure_model_store (user->element);
  g_autofree gchar *key = make_key (load);
  NotifyData *notify = g_new (NotifyData, 1);
  notify->element = gst_object_ref (user->element);
  notify->user = user;

  post_progress (user, GST_PROGRESS_TYPE_START, "Loading the model");
  g_mutex_lock (&user->lock);
  user->config = config;
  user->failed = FALSE;
  user->reported = 0.;
  user->lease = gst_gemma_model_store_request (store, key, &funcs, load, load_data_free, on_model_event, notify,
      notify_data_free);
  gboolean ready = gst_gemma_model_lease_get_model (user->lease) != NULL;
  g_mutex_unlock (&user->lock);
  if (ready)
    post_progress (user, GST_PROGRESS_TYPE_COMPLETE, "The model is loaded");
  return TRUE;
}

void
gemma_model_user_close (GemmaModelUser *user)
{
  g_mutex_lock (&user->lock);
  GstGemmaModelLease *lease = g_steal_pointer (&user->lease);
  g_clear_pointer (&user->config, gemma_config_free);
  gboolean loading = lease && !user->failed && !gst_gemma_model_lease_get_model (lease);
  g_cond_broadcast (&user->cond);
  g_mutex_unlock (&user->lock);

  if (lease)
    gst_gemma_model_lease_release (lease);
  if (loading)
    post_progress (user, GST_PROGRESS_TYPE_CANCELED, "Loading was cancelled");
}

void
gemma_model_user_set_flushing (GemmaModelUser *user, gboolean flushing)
{
  g_mutex_lock (&user->lock);
  user->flushing = flushing;
  g_cond_broadcast (&user->cond);
  g_mutex_unlock (&user->lock);
}

GemmaModel *
gemma_model_user_wait (GemmaModelUser *user, GstFlowReturn *flow)
{
  GemmaModel *model = NULL;

  g_mutex_lock (&user->lock);
  while (!user->flushing && !user->failed && user->lease) {
    if ((model = gst_gemma_model_lease_get_model (user->lease)))
      break;
    g_cond_wait (&user->cond, &user->lock);
  }
  if (model)
    gemma_model_ref (model);
  *flow = model ? GST_FLOW_OK : user->failed ? GST_FLOW_ERROR : GST_FLOW_FLUSHING;
  g_mutex_unlock (&user->lock);
  return model;
}

GemmaModel *
gemma_model_user_peek (GemmaModelUser *user)
{
  g_mutex_lock (&user->lock);
  GemmaModel *model = user->lease ? gst_gemma_model_lease_get_model (user->lease) : NULL;
  if (model)
    gemma_model_ref (model);
  g_mutex_unlock (&user->lock);
  return model;
}

void
gemma_model_user_add_stats (GemmaModelUser *user, GstStructure *stats)
{
  GemmaModel *model = gemma_model_user_peek (user);

  gst_structure_set (stats, "model-loaded", G_TYPE_BOOLEAN, model != NULL, NULL);
  if (!model)
    return;
  OclDevice *device = gemma_model_get_device (model);
  gst_structure_set (stats,
      "device", G_TYPE_STRING, ocl_device_get_name (device),
      "device-bytes", G_TYPE_UINT64, (guint64) ocl_device_get_allocated (device),
      "mapped-bytes", G_TYPE_UINT64, (guint64) gemma_model_get_mapped_bytes (model), NULL);
  gemma_model_unref (model);
}

void
gemma_model_user_init (GemmaModelUser *user, GstElement *element, GemmaParts parts)
{
  user->element = element;
  user->parts = parts;
  user->unnamed = &gemma_default_listener;
  user->device = g_strdup ("auto");
  user->weights = g_strdup ("auto");
  user->flushing = TRUE;
  g_mutex_init (&user->lock);
  g_cond_init (&user->cond);
}

void
gemma_model_user_clear (GemmaModelUser *user)
{
  g_clear_pointer (&user->model, g_free);
  g_clear_pointer (&user->mmproj, g_free);
  g_clear_pointer (&user->device, g_free);
  g_clear_pointer (&user->weights, g_free);
  g_mutex_clear (&user->lock);
  g_cond_clear (&user->cond);
}
