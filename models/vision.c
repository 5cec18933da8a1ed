/* Picture encoders of any architecture: choice of the network, resolutions, preparation of pictures, cancellation. */
#include "vision-impl.h"

/* Beyond what elements offer, for tests: sizes that no stride divides. */
#define MIN_RESOLUTION 32
#define MAX_RESOLUTION 1024

static const GemmaVisionClass *const classes[] = { &gemma_mobilenet_v5_class, &gemma_siglip_class };

GemmaVision *
gemma_vision_load (GemmaWeights *weights, const GemmaConfig *config, OclDevice *device, OclMatmulFlags flags,
    GemmaProgressFunc progress, gpointer user_data, GError **error)
{
  const gchar *path = gemma_weights_get_path (weights);

  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    if (gemma_weights_peek (weights, classes[i]->tensor) != NULL)
      return classes[i]->load (weights, config, device, flags, progress, user_data, error);
  g_set_error (error, GEMMA_ERROR, config->has_vision ? GEMMA_ERROR_UNSUPPORTED : GEMMA_ERROR_NOT_FOUND,
      "%s: has no picture encoder of a known kind; %s has a tensor %s, %s has %s", path, classes[0]->name,
      classes[0]->tensor, classes[1]->name, classes[1]->tensor);
  return NULL;
}

gint
gemma_vision_get_resolution (GemmaVision *vision, gint wanted)
{
  return vision->resolution > 0 ? vision->resolution : wanted;
}

void
gemma_vision_free (GemmaVision *vision)
{
  if (vision != NULL)
    vision->klass->free (vision);
}

GemmaVisionSession *
gemma_vision_session_new (GemmaVision *vision, GError **error)
{
  GemmaVisionSession *session = g_malloc0 (vision->klass->session_size);

  session->vision = vision;
  session->queue = ocl_queue_new (vision->device, error);
  if (session->queue == NULL)
    g_clear_pointer (&session, gemma_vision_session_free);
  return session;
}

void
gemma_vision_session_free (GemmaVisionSession *session)
{
  if (session == NULL)
    return;
  if (session->queue != NULL)
    ocl_queue_free (session->queue);
  if (session->scaler != NULL)
    ocl_picture_scaler_free (session->scaler);
  ocl_tensor_clear (session->vision->device, &session->pixels);
  session->vision->klass->session_clear (session);
  g_free (session);
}

void
gemma_vision_session_set_observer (GemmaVisionSession *session, GemmaObserver observer, gpointer user_data)
{
  session->observer = observer;
  session->observer_data = user_data;
}

void
gemma_vision_session_observe (GemmaVisionSession *session, const gchar *name, OclTensor t)
{
  g_autofree gfloat *data = NULL;

  if (session->observer == NULL)
    return;
  data = g_new (gfloat, (gsize) t.rows * t.cols);
  if (ocl_tensor_read (session->queue, t, data))
    session->observer (name, t.rows, t.cols, data, session->observer_data);
}

gboolean
gemma_vision_session_go_on (GemmaVisionSession *session)
{
  GError *error = NULL;

  if (session->cancellable == NULL)
    return !ocl_queue_failed (session->queue);
  if (!ocl_queue_finish (session->queue, &error))
    ocl_queue_take_error (session->queue, error);
  return !ocl_queue_failed (session->queue) && !g_cancellable_is_cancelled (session->cancellable);
}

/* Pixels and activations; the largest resolution so far decides. */
static gboolean
reserve (GemmaVisionSession *session, gint resolution, GError **error)
{
  GemmaVision *vision = session->vision;

  gint least = gemma_vision_get_resolution (vision, MIN_RESOLUTION);
  gint most = gemma_vision_get_resolution (vision, MAX_RESOLUTION);

  if (resolution < least || resolution > most) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "a picture cannot be encoded at a resolution of %d; %d to %d"
        " are allowed", resolution, least, most);
    return FALSE;
  }
  if (session->pixels.rows < resolution * resolution) {
    ocl_tensor_clear (vision->device, &session->pixels);
    session->pixels = ocl_tensor_new (vision->device, resolution * resolution, 3, error);
  }
  return session->pixels.mem != NULL && vision->klass->reserve (session, resolution, error);
}

/* The network on session->pixels. The queue is finished whatever the outcome. */
static gboolean
run (GemmaVisionSession *session, gint resolution, gfloat *rows, GCancellable *cancellable, GError **error)
{
  OclTensor pixels = ocl_tensor_rows (session->pixels, 0, resolution * resolution), soft;

  session->cancellable = cancellable;
  soft = session->vision->klass->forward (session, pixels, resolution);
  session->cancellable = NULL;
  if (soft.mem != NULL)
    ocl_tensor_read (session->queue, soft, rows);
  if (!ocl_queue_finish (session->queue, error))
    return FALSE;
  if (soft.mem == NULL)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED, "encoding a picture was cancelled");
  return soft.mem != NULL;
}

gboolean
gemma_vision_session_encode_pixels (GemmaVisionSession *session, const gfloat *pixels, gint resolution, gfloat *rows,
    GCancellable *cancellable, GError **error)
{
  if (!reserve (session, resolution, error))
    return FALSE;
  ocl_tensor_write (session->queue, ocl_tensor_rows (session->pixels, 0, resolution * resolution), pixels);
  return run (session, resolution, rows, cancellable, error);
}

gboolean
gemma_vision_session_encode (GemmaVisionSession *session, const OclPicture *picture, gint resolution, gfloat *rows,
    GCancellable *cancellable, GError **error)
{
  OclTensor pixels;

  if (!reserve (session, resolution, error))
    return FALSE;
  if (session->scaler == NULL)
    session->scaler = ocl_picture_scaler_new (session->vision->device);
  pixels = ocl_tensor_rows (session->pixels, 0, resolution * resolution);
  if (!ocl_picture_scale (session->scaler, session->queue, pixels, resolution, resolution, picture, error)) {
    ocl_queue_finish (session->queue, NULL);
    return FALSE;
  }
  return run (session, resolution, rows, cancellable, error);
}

#define SMALL 256 /* where a network leaves the choice */

gboolean
gemma_vision_session_warm_up (GemmaVisionSession *session, GCancellable *cancellable, GError **error)
{
  g_autofree guint8 *black = g_malloc0 (3 * SMALL * SMALL);
  g_autofree gfloat *rows = g_new (gfloat, GEMMA_VISION_TOKENS * (gsize) session->vision->text_hidden);
  const OclPicture picture = { OCL_PICTURE_RGB, SMALL, SMALL, { black }, { 3 * SMALL } };
  gboolean ok;

  session->warming_up = TRUE;
  ok = gemma_vision_session_encode (session, &picture, gemma_vision_get_resolution (session->vision, SMALL), rows,
      cancellable, error);
  session->warming_up = FALSE;
  return ok;
}
