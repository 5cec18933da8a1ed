/**
 * SECTION:element-gemmatranscriber
 * @title: gemmatranscriber
 *
 * Speech to timed text in one element, as transcriberbin and its like expect it: any sound in, text out of `src`,
 * and out of each `translate_src_%u` its translation into the language of that pad's property `language-code`. The sound is
 * encoded once, however many languages come out.
 *
 * With #GstGemmaTranscriber:translate-mode `chained` the language model reads it once, too: after the transcript it goes on in
 * one session with a line for each language (see gemmalm), so that more languages cost little time and no memory; a
 * translation leaves whole. With `direct` each language has a session of its own, which is asked for a translation of the
 * sound and does not wait for the transcript. `auto` is `chained`, unless the model's file says that it translates speech
 * better without its transcript, as the embedded one does.
 *
 * From a file, text leaves as utterances with the times of their speech. Live, words leave one by one as soon as they are final, while
 * messages `gemma-partial` show what is understood besides; with #GstGemmaTranscriber:streaming `partial` the utterances leave whole,
 * which is what a text overlay wants (see gemmalm). Translations always do.
 *
 * Silence and music become GAP events. The first seconds of music are heard until they are known as such, then forgotten;
 * live, some of them may be text by then. #GstGemmaTranscriber:music-gate turns this off (see gemmaaudioenc).
 *
 * What else gemmaaudioenc and gemmalm can do is set on the children "encoder" and "lm" (`lm::max-tokens=64`). What "lm" has when a
 * pad is requested, its translation has, too, but for task and prompt.
 *
 * ## Examples
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! gemmatranscriber ! fakesink dump=true
 * ]|
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin !
 *     gemmatranscriber name=t language-code=en translate_src_0::language-code=es
 *     t.src ! srtenc ! filesink location=en.srt  t.translate_src_0 ! srtenc ! filesink location=es.srt
 * ]| Captions in the language that is spoken, and in Spanish.
 * |[
 * gst-launch-1.0 autoaudiosrc ! queue ! gemmatranscriber streaming=partial ! o.text_sink
 *     videotestsrc is-live=true ! textoverlay name=o wait-text=false ! videoconvert ! autovideosink
 * ]| What a microphone hears, over a picture.
 */
#include "gemmatranscriber.h"

#include "debug.h"
#include "downmix.h"
#include "lm-base.h"
#include "stream.h"
#include "translate-pad.h"

/* Sound that may wait while the model loads or a slow utterance is decoded: as much as an utterance may have. */
#define QUEUE_TIME (30 * GST_SECOND)

enum
{
  PROP_0,
  PROP_MODEL,
  PROP_MMPROJ,
  PROP_DEVICE,
  PROP_WEIGHTS,
  PROP_ENCODER_WEIGHTS,
  PROP_LANGUAGE_CODE,
  PROP_TASK,
  PROP_PROMPT,
  PROP_TARGET_LANGUAGE,
  PROP_SUBMODEL,
  PROP_FALLBACK_SUBMODEL,
  PROP_ACTIVATIONS,
  PROP_KV_CACHE,
  PROP_SEGMENT_SILENCE,
  PROP_MAX_SEGMENT,
  PROP_STREAMING,
  PROP_HYPOTHESIS_INTERVAL,
  PROP_PAD_CLIP,
  PROP_NO_SPEECH_THRESHOLD,
  PROP_MUSIC_GATE,
  PROP_TRANSLATE_MODE,
  PROP_LATENCY,
  PROP_TRANSLATE_LATENCY,
  PROP_LATENESS,
  PROP_MAX_OBSERVED_DELAY,
  PROP_STATS
};

typedef enum
{
  TRANSLATE_AUTO,
  TRANSLATE_DIRECT,
  TRANSLATE_CHAINED
} TranslateMode;

#define GST_TYPE_GEMMA_TRANSLATE_MODE (gst_gemma_translate_mode_get_type ())
static G_DEFINE_ENUM_TYPE (GstGemmaTranslateMode, gst_gemma_translate_mode,
    { TRANSLATE_AUTO, "chained, unless the model's file says that it knows direct better, as the embedded one's", "auto" },
    { TRANSLATE_DIRECT, "A session for each language translates the sound", "direct" },
    { TRANSLATE_CHAINED, "One session goes on after the transcript with each language in turn", "chained" })

struct _GstGemmaTranscriber
{
  GstBin parent;
  GstElement *encoder, *tee, *lm;
  gboolean chained;             /* how pads are connected, or will be; between state changes */
  GMutex lock;                  /* guards what follows */
  TranslateMode mode;
  GList *translations;          /* of GstGemmaTranslatePad, not owned */
  gchar *model, *mmproj, *device;
  guint latency, translate_latency, lateness, max_observed_delay;
  gchar *error;                 /* the last one told, since NULL */
};

/* ---- element ------------------------------------------------------------------------------------ */

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("audio/x-raw"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));
static GstStaticPadTemplate translate_template = GST_STATIC_PAD_TEMPLATE ("translate_src_%u", GST_PAD_SRC,
    GST_PAD_REQUEST, GST_STATIC_CAPS ("text/x-raw, format=(string)utf8"));

/* Pads are children, too, so that gst-launch can set "translate_src_0::language-code". */
static GstChildProxyInterface *parent_child_proxy;

static GObject *
get_child_by_name (GstChildProxy *proxy, const gchar *name)
{
  GstPad *pad = gst_element_get_static_pad (GST_ELEMENT (proxy), name);

  return pad ? G_OBJECT (pad) : parent_child_proxy->get_child_by_name (proxy, name);
}

static void
child_proxy_init (gpointer iface, gpointer data)
{
  parent_child_proxy = g_type_interface_peek_parent (iface);
  ((GstChildProxyInterface *) iface)->get_child_by_name = get_child_by_name;
}

G_DEFINE_TYPE_WITH_CODE (GstGemmaTranscriber, gst_gemma_transcriber, GST_TYPE_BIN,
    G_IMPLEMENT_INTERFACE (GST_TYPE_CHILD_PROXY, child_proxy_init))
GST_ELEMENT_REGISTER_DEFINE (gemmatranscriber, "gemmatranscriber", GST_RANK_NONE, GST_TYPE_GEMMA_TRANSCRIBER)

static void
on_delay (GObject *lm, GParamSpec *pspec, gpointer data)
{
  GstGemmaTranscriber *self = data;
  guint delay;

  g_object_get (lm, "max-observed-delay", &delay, NULL);
  gemma_stream_note_delay (self, &self->lock, &self->max_observed_delay, delay);
}

static GstPad *
request_tee_pad (GstGemmaTranscriber *self, GstElement *queue)
{
  GstPad *pad = gst_element_request_pad_simple (self->tee, "src_%u");
  g_autoptr (GstPad) sink = gst_element_get_static_pad (queue, "sink");

  gst_pad_link (pad, sink);
  return pad;
}

/* A branch that the application did not link, or unlinked, must not stop the others: a failed push is forgotten at
 * the next RECONFIGURE, until then the tee goes on without it. */
static GstElement *
make_token_queue (void)
{
  GstElement *queue = gst_element_factory_make ("queue", NULL);

  g_object_set (queue, "max-size-time", (guint64) QUEUE_TIME, "max-size-buffers", 0, "max-size-bytes", 0, NULL);
  return queue;
}

/* The settings that a translation has in common with the transcript. */
static void
inherit_settings (GstGemmaTranscriber *self, GstElement *lm)
{
  static const gchar *const common[] = { "source-language", "submodel", "fallback-submodel", "activations",
    "kv-cache", "weights", "segment-silence", "max-segment", "streaming", "hypothesis-interval", "pad-clip",
    "no-speech-threshold", "max-tokens", "temperature", "top-k", "top-p", "seed", "context-size", "decode-timeout" };

  for (guint i = 0; i < G_N_ELEMENTS (common); i++) {
    g_auto (GValue) value = G_VALUE_INIT;

    g_object_get_property (G_OBJECT (self->lm), common[i], &value);
    g_object_set_property (G_OBJECT (lm), common[i], &value);
  }
  g_mutex_lock (&self->lock);
  g_object_set (lm, "task", GEMMA_TASK_TRANSLATE, "model", self->model, "mmproj", self->mmproj, "device", self->device,
      "latency", gemma_stream_add_latencies (self->latency, self->translate_latency), "lateness", self->lateness, NULL);
  g_mutex_unlock (&self->lock);
}

/* Behind the tee: as the branch of the transcript, but with another task. */
static void
add_branch (GstGemmaTranscriber *self, GstGemmaTranslatePad *pad)
{
  static gint n_branches;
  g_autofree gchar *name = g_strdup_printf ("translation%d", g_atomic_int_add (&n_branches, 1));
  GstElement *queue = gst_object_ref_sink (make_token_queue ());
  GstElement *lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", name));
  g_autoptr (GstPad) src = gst_element_get_static_pad (lm, "src");

  inherit_settings (self, lm);
  g_signal_connect (lm, "notify::max-observed-delay", G_CALLBACK (on_delay), self);
  GST_OBJECT_LOCK (pad);
  pad->queue = queue;
  pad->lm = lm;
  GST_OBJECT_UNLOCK (pad);
  gst_gemma_translate_pad_hand_on_language (pad);
  gst_bin_add_many (GST_BIN (self), queue, lm, NULL);
  gst_element_link (queue, lm);
  gst_ghost_pad_set_target (GST_GHOST_PAD (pad), src);
}

/* When the pad can be pushed to. */
static void
start_branch (GstGemmaTranscriber *self, GstGemmaTranslatePad *pad)
{
  gst_element_sync_state_with_parent (pad->lm);
  gst_element_sync_state_with_parent (pad->queue);
  pad->teepad = request_tee_pad (self, pad->queue);
}

static void
stop_branch (GstElement *lm, gpointer queue)
{
  gst_element_set_state (lm, GST_STATE_NULL);
  gst_element_set_state (queue, GST_STATE_NULL);
}

/* Nobody waits for a sink that holds its text. */
static void
remove_branch (GstGemmaTranscriber *self, GstGemmaTranslatePad *pad)
{
  g_autoptr (GstPad) queue_sink = gst_element_get_static_pad (pad->queue, "sink");
  GST_OBJECT_LOCK (pad);
  g_autoptr (GstElement) queue = g_steal_pointer (&pad->queue), lm = g_steal_pointer (&pad->lm);
  GST_OBJECT_UNLOCK (pad);

  g_signal_handlers_disconnect_by_data (lm, self);
  if (pad->teepad) {
    gst_pad_unlink (pad->teepad, queue_sink);
    gst_element_release_request_pad (self->tee, pad->teepad);
    gst_clear_object (&pad->teepad);
  }
  gst_element_set_locked_state (lm, TRUE);
  gst_element_set_locked_state (queue, TRUE);
  gst_ghost_pad_set_target (GST_GHOST_PAD (pad), NULL);
  gst_bin_remove_many (GST_BIN (self), queue, lm, NULL);
  if (GST_STATE (lm) > GST_STATE_READY) {
    gst_pad_set_active (queue_sink, FALSE);     /* the tee goes on at once */
    gst_element_call_async (lm, stop_branch, g_steal_pointer (&queue), gst_object_unref);
  } else {
    stop_branch (lm, queue);
  }
}

static void
add_line (GstGemmaTranscriber *self, GstGemmaTranslatePad *pad)
{
  GstPad *lmpad = gst_element_request_pad_simple (self->lm, "translate_src_%u");

  GST_OBJECT_LOCK (pad);
  pad->lmpad = lmpad;
  GST_OBJECT_UNLOCK (pad);
  gst_gemma_translate_pad_hand_on_language (pad);
  gst_ghost_pad_set_target (GST_GHOST_PAD (pad), lmpad);
}

static void
remove_line (GstGemmaTranscriber *self, GstGemmaTranslatePad *pad)
{
  GST_OBJECT_LOCK (pad);
  g_autoptr (GstPad) lmpad = g_steal_pointer (&pad->lmpad);
  GST_OBJECT_UNLOCK (pad);

  gst_element_release_request_pad (self->lm, lmpad);
  gst_ghost_pad_set_target (GST_GHOST_PAD (pad), NULL);
}

static gpointer
ref_pad (gconstpointer pad, gpointer data)
{
  return gst_object_ref ((gpointer) pad);
}

/* In NULL or READY: what makes the text of each pad changes. */
static void
use_mode (GstGemmaTranscriber *self, gboolean chained)
{
  if (self->chained == chained)
    return;
  self->chained = chained;
  g_mutex_lock (&self->lock);
  g_autolist (GstGemmaTranslatePad) pads = g_list_copy_deep (self->translations, ref_pad, NULL);
  g_mutex_unlock (&self->lock);
  for (GList *l = pads; l; l = l->next) {
    if (chained) {
      remove_branch (self, l->data);
      add_line (self, l->data);
    } else {
      remove_line (self, l->data);
      add_branch (self, l->data);
      start_branch (self, l->data);
    }
  }
}

/* READY tells what the model is; until then auto is direct. */
static gboolean
choose_mode (GstGemmaTranscriber *self)
{
  g_mutex_lock (&self->lock);
  TranslateMode mode = self->mode;
  g_mutex_unlock (&self->lock);

  if (mode == TRANSLATE_AUTO && gst_element_set_state (self->lm, GST_STATE_READY) == GST_STATE_CHANGE_FAILURE)
    return FALSE;
  use_mode (self, mode == TRANSLATE_CHAINED ||
      (mode == TRANSLATE_AUTO && GST_GEMMA_LM_BASE (self->lm)->user.config->translates_transcripts));
  return TRUE;
}

static GstPad *
gst_gemma_transcriber_request_new_pad (GstElement *element, GstPadTemplate *templ, const gchar *wanted, const GstCaps *caps)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (element);
  g_autofree gchar *name = gemma_stream_make_pad_name (element, templ, wanted);
  GstGemmaTranslatePad *pad = g_object_new (GST_TYPE_GEMMA_TRANSLATE_PAD, "name", name, "direction", GST_PAD_SRC,
      "template", templ, NULL);

  (self->chained ? add_line : add_branch) (self, pad);
  if (GST_STATE (element) > GST_STATE_READY || GST_STATE_PENDING (element) > GST_STATE_READY)
    gst_pad_set_active (GST_PAD (pad), TRUE);
  if (!gst_element_add_pad (element, GST_PAD (pad)))
    GST_WARNING_OBJECT (self, "%s cannot be added", name);
  if (!self->chained)
    start_branch (self, pad);

  g_mutex_lock (&self->lock);
  self->translations = g_list_prepend (self->translations, pad);
  g_mutex_unlock (&self->lock);
  gst_child_proxy_child_added (GST_CHILD_PROXY (self), G_OBJECT (pad), name);
  return GST_PAD (pad);
}

static void
gst_gemma_transcriber_release_pad (GstElement *element, GstPad *ghost)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (element);
  GstGemmaTranslatePad *pad = GST_GEMMA_TRANSLATE_PAD (ghost);

  g_mutex_lock (&self->lock);
  self->translations = g_list_remove (self->translations, pad);
  g_mutex_unlock (&self->lock);

  gst_child_proxy_child_removed (GST_CHILD_PROXY (self), G_OBJECT (pad), GST_OBJECT_NAME (pad));
  (pad->lmpad ? remove_line : remove_branch) (self, pad);
  gemma_stream_remove_pad (element, ghost);
}

/* ---- properties --------------------------------------------------------------------------------------- */

/* The language models of the translations' branches. Their properties are set without the lock: messages and notifications may
 * call back. */
static GPtrArray *
list_branches (GstGemmaTranscriber *self)
{
  GPtrArray *branches = g_ptr_array_new_with_free_func (gst_object_unref);

  g_mutex_lock (&self->lock);
  for (GList *l = self->translations; l; l = l->next) {
    GstGemmaTranslatePad *pad = l->data;
    if (pad->lm)
      g_ptr_array_add (branches, gst_object_ref (pad->lm));
  }
  g_mutex_unlock (&self->lock);
  return branches;
}

/* Calls g_object_set_property() on every language model, and on the encoder with @encoder. */
static void
set_all (GstGemmaTranscriber *self, const gchar *name, const GValue *value, gboolean encoder)
{
  g_autoptr (GPtrArray) branches = list_branches (self);

  if (encoder)
    g_object_set_property (G_OBJECT (self->encoder), name, value);
  g_object_set_property (G_OBJECT (self->lm), name, value);
  for (guint i = 0; i < branches->len; i++)
    g_object_set_property (branches->pdata[i], name, value);
}

static void
update_latencies (GstGemmaTranscriber *self)
{
  g_autoptr (GPtrArray) branches = list_branches (self);

  g_mutex_lock (&self->lock);
  guint latency = self->latency, translate_latency = self->translate_latency, lateness = self->lateness;
  g_mutex_unlock (&self->lock);
  g_object_set (self->lm, "latency", latency, "lateness", lateness, "translate-latency", translate_latency, NULL);
  for (guint i = 0; i < branches->len; i++)
    g_object_set (branches->pdata[i], "latency", gemma_stream_add_latencies (latency, translate_latency), "lateness",
        lateness, NULL);
}

static void
set_string (GstGemmaTranscriber *self, gchar **property, const gchar *name, const GValue *value)
{
  g_mutex_lock (&self->lock);
  g_free (*property);
  *property = g_value_dup_string (value);
  g_mutex_unlock (&self->lock);
  set_all (self, name, value, TRUE);
}

static void
set_latency (GstGemmaTranscriber *self, guint *property, const GValue *value)
{
  g_mutex_lock (&self->lock);
  *property = g_value_get_uint (value);
  g_mutex_unlock (&self->lock);
  update_latencies (self);
}

/* While it plays nothing is connected in another way. */
static void
set_mode (GstGemmaTranscriber *self, TranslateMode mode)
{
  g_mutex_lock (&self->lock);
  self->mode = mode;
  g_mutex_unlock (&self->lock);
}

static void
gst_gemma_transcriber_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (object);

  switch (id) {
    case PROP_MODEL: set_string (self, &self->model, "model", value); break;
    case PROP_MMPROJ: set_string (self, &self->mmproj, "mmproj", value); break;
    case PROP_DEVICE: set_string (self, &self->device, "device", value); break;
    case PROP_LANGUAGE_CODE: set_all (self, "source-language", value, FALSE); break;
    case PROP_TASK:
    case PROP_PROMPT:
    case PROP_TARGET_LANGUAGE:  /* a translation has its own */
      g_object_set_property (G_OBJECT (self->lm), pspec->name, value);
      break;
    case PROP_WEIGHTS:
    case PROP_SUBMODEL:
    case PROP_FALLBACK_SUBMODEL:
    case PROP_KV_CACHE:
    case PROP_SEGMENT_SILENCE:
    case PROP_MAX_SEGMENT:
    case PROP_STREAMING:
    case PROP_HYPOTHESIS_INTERVAL:
    case PROP_PAD_CLIP:
    case PROP_NO_SPEECH_THRESHOLD: set_all (self, pspec->name, value, FALSE); break;
    case PROP_ACTIVATIONS: set_all (self, pspec->name, value, TRUE); break;
    case PROP_ENCODER_WEIGHTS: g_object_set_property (G_OBJECT (self->encoder), "weights", value); break;
    case PROP_MUSIC_GATE: g_object_set_property (G_OBJECT (self->encoder), pspec->name, value); break;
    case PROP_TRANSLATE_MODE: set_mode (self, g_value_get_enum (value)); break;
    case PROP_LATENCY: set_latency (self, &self->latency, value); break;
    case PROP_TRANSLATE_LATENCY: set_latency (self, &self->translate_latency, value); break;
    case PROP_LATENESS: set_latency (self, &self->lateness, value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
get_stats (GstGemmaTranscriber *self, GValue *value)
{
  g_autoptr (GstStructure) encoder = NULL;
  GstStructure *stats;

  g_object_get (self->lm, "stats", &stats, NULL);
  g_object_get (self->encoder, "stats", &encoder, NULL);
  gst_structure_set (stats, "encoder", GST_TYPE_STRUCTURE, encoder, NULL);
  g_value_take_boxed (value, stats);
}

static void
gst_gemma_transcriber_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (object);

  switch (id) {
    case PROP_MODEL:
    case PROP_MMPROJ:
    case PROP_DEVICE:
    case PROP_WEIGHTS:
    case PROP_TASK:
    case PROP_PROMPT:
    case PROP_TARGET_LANGUAGE:
    case PROP_SUBMODEL:
    case PROP_FALLBACK_SUBMODEL:
    case PROP_ACTIVATIONS:
    case PROP_KV_CACHE:
    case PROP_SEGMENT_SILENCE:
    case PROP_MAX_SEGMENT:
    case PROP_STREAMING:
    case PROP_HYPOTHESIS_INTERVAL:
    case PROP_PAD_CLIP:
    case PROP_NO_SPEECH_THRESHOLD: g_object_get_property (G_OBJECT (self->lm), pspec->name, value); return;
    case PROP_ENCODER_WEIGHTS: g_object_get_property (G_OBJECT (self->encoder), "weights", value); return;
    case PROP_MUSIC_GATE: g_object_get_property (G_OBJECT (self->encoder), pspec->name, value); return;
    case PROP_LANGUAGE_CODE: g_object_get_property (G_OBJECT (self->lm), "source-language", value); return;
    case PROP_STATS: get_stats (self, value); return;
    default: break;
  }
  g_mutex_lock (&self->lock);
  switch (id) {
    case PROP_TRANSLATE_MODE: g_value_set_enum (value, self->mode); break;
    case PROP_LATENCY: g_value_set_uint (value, self->latency); break;
    case PROP_TRANSLATE_LATENCY: g_value_set_uint (value, self->translate_latency); break;
    case PROP_LATENESS: g_value_set_uint (value, self->lateness); break;
    case PROP_MAX_OBSERVED_DELAY: g_value_set_uint (value, self->max_observed_delay); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  g_mutex_unlock (&self->lock);
}

static gboolean
is_queue (GstObject *object)
{
  GstElementFactory *factory = GST_IS_ELEMENT (object) ? gst_element_get_factory (GST_ELEMENT (object)) : NULL;

  return factory && g_str_equal (GST_OBJECT_NAME (factory), "queue");
}

static gboolean
find_linked (GstElement *element, GstPad *pad, gpointer linked)
{
  return !(*(gboolean *) linked = gst_pad_is_linked (pad));
}

/* At the end it is said that nobody took the text of a branch. While another branch is linked, nobody wanted it. */
static gboolean
is_of_unlinked_branch (GstGemmaTranscriber *self, GstMessage *message)
{
  const GstStructure *details;
  gboolean linked = FALSE;
  gint flow;

  gst_message_parse_error_details (message, &details);
  if (!details || !gst_structure_get_int (details, "flow-return", &flow) || flow != GST_FLOW_NOT_LINKED)
    return FALSE;
  gst_element_foreach_src_pad (GST_ELEMENT (self), find_linked, &linked);
  return linked;
}

/* One fault is one error: not told again by each element that the model failed, nor by the queue whose flow ended then. */
static gboolean
is_consequence (GstGemmaTranscriber *self, GstMessage *message)
{
  GstObject *src = GST_MESSAGE_SRC (message);
  g_autoptr (GError) error = NULL;
  gboolean told;

  gst_message_parse_error (message, &error, NULL);
  g_mutex_lock (&self->lock);
  told = self->error && (g_str_equal (self->error, error->message) || is_queue (src));
  if (!told) {
    g_free (self->error);
    self->error = g_strdup (error->message);
  }
  g_mutex_unlock (&self->lock);
  return told;
}

static void
gst_gemma_transcriber_handle_message (GstBin *bin, GstMessage *message)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (bin);

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR &&
      (is_of_unlinked_branch (self, message) || is_consequence (self, message)))
    gst_message_unref (message);
  else
    GST_BIN_CLASS (gst_gemma_transcriber_parent_class)->handle_message (bin, message);
}

static GstStateChangeReturn
gst_gemma_transcriber_change_state (GstElement *element, GstStateChange transition)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (element);

  g_mutex_lock (&self->lock);
  if (transition == GST_STATE_CHANGE_NULL_TO_READY)
    g_clear_pointer (&self->error, g_free);
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED)
    self->max_observed_delay = 0;
  g_mutex_unlock (&self->lock);
  if (transition == GST_STATE_CHANGE_NULL_TO_READY && !choose_mode (self))
    return GST_STATE_CHANGE_FAILURE;
  return GST_ELEMENT_CLASS (gst_gemma_transcriber_parent_class)->change_state (element, transition);
}

/* ---- object ---------------------------------------------------------------------------------------------- */

static void
gst_gemma_transcriber_dispose (GObject *object)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (object);

  while (self->translations)
    gst_element_release_request_pad (GST_ELEMENT (self), self->translations->data);
  if (self->lm)
    g_signal_handlers_disconnect_by_data (self->lm, self);
  gst_clear_object (&self->encoder);
  gst_clear_object (&self->tee);
  gst_clear_object (&self->lm);
  G_OBJECT_CLASS (gst_gemma_transcriber_parent_class)->dispose (object);
}

static void
gst_gemma_transcriber_finalize (GObject *object)
{
  GstGemmaTranscriber *self = GST_GEMMA_TRANSCRIBER (object);

  g_free (self->model);
  g_free (self->mmproj);
  g_free (self->device);
  g_free (self->error);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (gst_gemma_transcriber_parent_class)->finalize (object);
}

static void
install_model_properties (GObjectClass *klass)
{
  const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  gemma_model_user_install_properties (klass, PROP_MODEL);
  gemma_model_user_install_weights (klass, PROP_WEIGHTS);
  gemma_model_user_install_encoder_weights (klass, PROP_ENCODER_WEIGHTS);
  g_object_class_install_property (klass, PROP_LANGUAGE_CODE, g_param_spec_string ("language-code", "Language code",
          "Language that is spoken, a BCP 47 code (\"es\", \"pt-BR\") or a name", "en", playing));
  g_object_class_install_property (klass, PROP_TASK, g_param_spec_enum ("task", "Task",
          "What comes out of the pad src", GST_TYPE_GEMMA_TASK, GEMMA_TASK_TRANSCRIBE, playing));
  g_object_class_install_property (klass, PROP_PROMPT, g_param_spec_string ("prompt", "Prompt",
          "The instruction of task custom, as gemmalm's", NULL, playing));
  g_object_class_install_property (klass, PROP_TARGET_LANGUAGE, g_param_spec_string ("target-language",
          "Target language", "Language into which the pad src translates, where its task does", "en", playing));
  g_object_class_install_property (klass, PROP_FALLBACK_SUBMODEL, g_param_spec_string ("fallback-submodel", "Fallback submodel",
          "Part of a MatFormer model that runs while a live stream is faster than the machine; as gemmalm's", NULL, playing));
  g_object_class_install_property (klass, PROP_SUBMODEL, g_param_spec_string ("submodel", "Submodel",
          "Part of a MatFormer model that runs, for the transcript and all translations; as gemmalm's", "full", playing));
  g_object_class_install_property (klass, PROP_ACTIVATIONS, g_param_spec_enum ("activations", "Activations",
          "How encoder and language model compute: as gemmaaudioenc's, from the next start on, and gemmalm's",
          GST_TYPE_GEMMA_ACTIVATIONS, OCL_MATMUL_F32_ACTIVATIONS, playing));
  g_object_class_install_property (klass, PROP_KV_CACHE, g_param_spec_enum ("kv-cache", "KV cache",
          "As gemmalm's, of the transcript and of all translations", GST_TYPE_GEMMA_KV_CACHE, GEMMA_KV_CACHE_F32, playing));
  g_object_class_install_property (klass, PROP_SEGMENT_SILENCE, g_param_spec_uint ("segment-silence", "Segment silence",
          "A pause this long ends an utterance (ms)", 160, 10000, 480, playing));
  g_object_class_install_property (klass, PROP_MAX_SEGMENT, g_param_spec_uint ("max-segment", "Longest segment",
          "An utterance is cut, at a pause if there is one, at this length (ms)", 1000, 30000, 30000, playing));
  g_object_class_install_property (klass, PROP_STREAMING, g_param_spec_enum ("streaming", "Streaming",
          "What is told while an utterance is heard, as gemmalm does it", GST_TYPE_GEMMA_STREAMING,
          GEMMA_STREAMING_AUTO, playing));
  g_object_class_install_property (klass, PROP_HYPOTHESIS_INTERVAL, g_param_spec_uint ("hypothesis-interval",
          "Hypothesis interval", "Streaming, the model is asked again after this much more speech (ms)", 160, 10000, 400,
          playing));
  g_object_class_install_property (klass, PROP_PAD_CLIP, g_param_spec_enum ("pad-clip", "Pad clip",
          "Whether speech, and each hypothesis about it, is filled up with empty soft tokens (188 of Gemma 3n)",
          GST_TYPE_GEMMA_PAD_CLIP, GEMMA_PAD_CLIP_AUTO, playing));
  g_object_class_install_property (klass, PROP_NO_SPEECH_THRESHOLD, g_param_spec_double ("no-speech-threshold",
          "No-speech threshold", "Sound has no words if the model finds this probability or more that it has none (-1: as the "
          "model was trained, 0: only if nothing is likelier)", -1., 1., -1., playing));
  g_object_class_install_property (klass, PROP_MUSIC_GATE, g_param_spec_boolean ("music-gate", "Music gate",
          "Music is silence once it has played for some seconds, until somebody speaks", TRUE,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
}

static void
install_time_properties (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  g_object_class_install_property (klass, PROP_TRANSLATE_MODE, g_param_spec_enum ("translate-mode", "Translation mode",
          "Whether translations are made from the sound or go on after the transcript; counts from the next time in READY",
          GST_TYPE_GEMMA_TRANSLATE_MODE, TRANSLATE_AUTO, flags | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, PROP_LATENCY, g_param_spec_uint ("latency", "Latency",
          "Text of a live stream leaves within this time after its speech (ms; 4294967295: no promise, text is stamped "
          "with the time at which it comes)", 0, G_MAXUINT, 8000, flags | GST_PARAM_MUTABLE_PLAYING));
  g_object_class_install_property (klass, PROP_TRANSLATE_LATENCY, g_param_spec_uint ("translate-latency",
          "Translation latency", "What translations may take longer than the transcript (ms)", 0, G_MAXUINT, 500,
          flags | GST_PARAM_MUTABLE_PLAYING));
  g_object_class_install_property (klass, PROP_LATENESS, g_param_spec_uint ("lateness", "Lateness",
          "Text is shifted to this much later (ms), which gives the model time without latency for the other streams", 0,
          G_MAXUINT, 0, flags | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, PROP_MAX_OBSERVED_DELAY, g_param_spec_uint ("max-observed-delay",
          "Maximum observed delay", "The longest time that text or silence of this live stream took (ms)", 0, G_MAXUINT, 0,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
  g_object_class_install_property (klass, PROP_STATS, g_param_spec_boxed ("stats", "Statistics",
          "As gemmalm's, with those of gemmaaudioenc in the field encoder", GST_TYPE_STRUCTURE,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_gemma_transcriber_class_init (GstGemmaTranscriberClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  object_class->set_property = gst_gemma_transcriber_set_property;
  object_class->get_property = gst_gemma_transcriber_get_property;
  object_class->dispose = gst_gemma_transcriber_dispose;
  object_class->finalize = gst_gemma_transcriber_finalize;
  element_class->request_new_pad = GST_DEBUG_FUNCPTR (gst_gemma_transcriber_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_gemma_transcriber_release_pad);
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_gemma_transcriber_change_state);
  GST_BIN_CLASS (klass)->handle_message = GST_DEBUG_FUNCPTR (gst_gemma_transcriber_handle_message);
  install_model_properties (object_class);
  install_time_properties (object_class);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_add_static_pad_template_with_gtype (element_class, &translate_template, GST_TYPE_GEMMA_TRANSLATE_PAD);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_TRANSLATE_PAD, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_GEMMA_TRANSLATE_MODE, 0);
  gst_element_class_set_static_metadata (element_class, "Gemma transcriber", "Audio/Text/Filter",
      "Turns speech into timed text, and into translations of it, with a Gemma language model", "gst-gemma");
}

static void
add_ghost_pad (GstGemmaTranscriber *self, const gchar *name, GstElement *element, GstStaticPadTemplate *static_template)
{
  g_autoptr (GstPad) target = gst_element_get_static_pad (element, name);
  g_autoptr (GstPadTemplate) templ = gst_static_pad_template_get (static_template);
  GstPad *pad = target ? gst_ghost_pad_new_from_template (name, target, templ) :
      gst_ghost_pad_new_no_target_from_template (name, templ);

  gst_element_add_pad (GST_ELEMENT (self), pad);
}

static void
gst_gemma_transcriber_init (GstGemmaTranscriber *self)
{
  GstElement *convert = gemma_downmix_new ();
  GstElement *resample = gst_element_factory_make ("audioresample", NULL);
  GstElement *filter = gst_element_factory_make ("capsfilter", NULL);
  GstElement *queue = make_token_queue (), *token_queue = make_token_queue ();
  g_autoptr (GstCaps) caps = gst_caps_from_string
      ("audio/x-raw, format=(string)F32LE, rate=(int)16000, channels=(int)1, layout=(string)interleaved");

  g_mutex_init (&self->lock);
  self->device = g_strdup ("auto");
  self->latency = 8000;
  self->translate_latency = 500;
  self->encoder = gst_object_ref_sink (gst_element_factory_make ("gemmaaudioenc", "encoder"));
  self->lm = gst_object_ref_sink (gst_element_factory_make ("gemmalm", "lm"));
  self->tee = gst_object_ref_sink (gst_element_factory_make ("tee", "tokens"));
  g_object_set (self->encoder, "voice-gate", TRUE, NULL);
  g_object_set (self->lm, "streaming", GEMMA_STREAMING_AUTO, NULL);
  g_object_set (self->tee, "allow-not-linked", TRUE, NULL);
  g_object_set (filter, "caps", caps, NULL);
  g_signal_connect (self->lm, "notify::max-observed-delay", G_CALLBACK (on_delay), self);

  gst_bin_add_many (GST_BIN (self), convert, resample, filter, queue, self->encoder, self->tee, token_queue, self->lm, NULL);
  gst_element_link_many (convert, resample, filter, queue, self->encoder, self->tee, NULL);
  gst_object_unref (request_tee_pad (self, token_queue));
  gst_element_link (token_queue, self->lm);
  add_ghost_pad (self, "sink", convert, &sink_template);
  add_ghost_pad (self, "src", self->lm, &src_template);
}
