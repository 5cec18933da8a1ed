/* What a network of picture encoders implements; only vision.c and the networks include this. */
#pragma once

#include "vision.h"

G_BEGIN_DECLS

typedef struct
{
  const gchar *name;
  const gchar *tensor; /* one that a file of this network has */
  GemmaVision *(*load) (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, OclMatmulFlags flags,
      GemmaProgressFunc progress, gpointer user_data, GError **error);
  void (*free) (GemmaVision *vision);
  gsize session_size; /* of the network's own structure, which begins with GemmaVisionSession; it starts as zeros */
  /* Frees what reserve() made; vision.c frees the rest. */
  void (*session_clear) (GemmaVisionSession *session);
  /* Memory for pictures of @resolution, kept for the next one. */
  gboolean (*reserve) (GemmaVisionSession *session, gint resolution, GError **error);
  /* Enqueues the whole network on pixels [resolution * resolution][3] in [0, 1]; soft tokens [GEMMA_VISION_TOKENS][text.hidden],
   * or .mem NULL where gemma_vision_session_go_on() said no. */
  OclTensor (*forward) (GemmaVisionSession *session, OclTensor pixels, gint resolution);
} GemmaVisionClass;

/** Networks put these first in their own structures, and fill that of the weights. */
struct _GemmaVision
{
  const GemmaVisionClass *klass;
  OclDevice *device;
  gint text_hidden;
  gint resolution; /* the only one; 0: any */
  OclMatmulFlags flags;
};

struct _GemmaVisionSession
{
  GemmaVision *vision;
  OclQueue *queue;
  OclTensor pixels; /* [resolution^2][3] of the largest resolution so far */
  OclPictureScaler *scaler;
  GCancellable *cancellable; /* of the picture that is being encoded */
  gboolean warming_up;       /* blocks that are like one before may be left out */
  GemmaObserver observer;
  gpointer observer_data;
};

extern const GemmaVisionClass gemma_mobilenet_v5_class, gemma_siglip_class;

/** Shows @t to the observer, if there is one. */
void gemma_vision_session_observe (GemmaVisionSession *session, const gchar *name, OclTensor t);

/** Between blocks: FALSE where the picture is cancelled or the queue has failed. Where one can cancel, it waits. */
gboolean gemma_vision_session_go_on (GemmaVisionSession *session);

G_END_DECLS
