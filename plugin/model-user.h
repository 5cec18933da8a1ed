/* How an element comes to its model: properties, a check of the files at READY, loading in the background. */
#pragma once

#include <gst/gemma/gemma.h>

#include "default-model.h"
#include "models/model.h"

G_BEGIN_DECLS

/** Of OclMatmulFlags. */
#define GST_TYPE_GEMMA_ACTIVATIONS (gst_gemma_activations_get_type ())
GType gst_gemma_activations_get_type (void);

typedef struct
{
  GstElement *element;          /* not owned: this struct is part of it */
  GemmaParts parts;
  const GemmaDefaultModel *unnamed;     /* the model that it is if the property is not set */
  GMutex lock;
  GCond cond;
  gchar *model, *mmproj, *device, *weights;     /* properties; guarded by lock, like the rest */
  OclMatmulFlags activations;   /* of the encoders */
  GemmaConfig *config;          /* from READY on */
  GstGemmaModelLease *lease;    /* from READY on */
  gboolean failed, flushing;
  gdouble reported;             /* progress that was posted last */
} GemmaModelUser;

/** The model that is not named is gemma_default_listener, unless @user->unnamed is set to another afterwards. */
void gemma_model_user_init (GemmaModelUser *user, GstElement *element, GemmaParts parts);
void gemma_model_user_clear (GemmaModelUser *user);

/** Installs "model", "mmproj" and "device" as @first_id and the two ids that follow. */
#define GEMMA_MODEL_USER_N_PROPERTIES 3
void gemma_model_user_install_properties (GObjectClass *klass, guint first_id);
/** Installs "weights", of elements with a language model. */
void gemma_model_user_install_weights (GObjectClass *klass, guint id);
/** Installs "activations" and, as the id that follows, "weights" of an encoder; they count when the model is loaded. */
void gemma_model_user_install_encoder (GObjectClass *klass, guint id);
/** Installs "encoder-weights" of bins, which hand it on as "weights" of the encoders in them. */
void gemma_model_user_install_encoder_weights (GObjectClass *klass, guint id);
/** @pspec: one of those above */
void gemma_model_user_set_property (GemmaModelUser *user, GParamSpec *pspec, const GValue *value);
void gemma_model_user_get_property (GemmaModelUser *user, GParamSpec *pspec, GValue *value);

/**
 * NULL to READY: checks the files and begins to load. FALSE when an error message has been posted.
 * @submodels: (nullable): up to a NULL: must be ones that the model has; they do not change what is loaded
 */
gboolean gemma_model_user_open (GemmaModelUser *user, const gchar *const *submodels);
/** READY to NULL. */
void gemma_model_user_close (GemmaModelUser *user);

/** While @flushing, gemma_model_user_wait() returns at once. */
void gemma_model_user_set_flushing (GemmaModelUser *user, gboolean flushing);

/**
 * Waits in a streaming thread until the model is loaded. (transfer full)
 * NULL: *@flow is FLUSHING, or ERROR with an error message on the bus.
 */
GemmaModel *gemma_model_user_wait (GemmaModelUser *user, GstFlowReturn *flow);

/** The model if it is loaded. (transfer full) (nullable) */
GemmaModel *gemma_model_user_peek (GemmaModelUser *user);

/** Adds "model-loaded" and, when it is, the memory that the model takes. */
void gemma_model_user_add_stats (GemmaModelUser *user, GstStructure *stats);

/** Posts @error as the one error message that its kind calls for. */
void gemma_post_error (GstElement *element, const GError *error);

G_END_DECLS
