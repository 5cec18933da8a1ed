#include "gemma-eval.h"

#include <gst/gst.h>

static void
take_samples (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer user_data)
{
  GArray *samples = user_data;
  GstMapInfo map;

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return;
  g_array_append_vals (samples, map.data, map.size / sizeof (gfloat));
  gst_buffer_unmap (buffer, &map);
}

static gboolean
run_pipeline (GstElement *pipeline, const gchar *path, GError **error)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) reason = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
    return TRUE;
  gst_message_parse_error (message, &reason, NULL);
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: cannot be read as audio: %s", path, reason->message);
  return FALSE;
}

GArray *
eval_read_audio (const gchar *path, GError **error)
{
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) source = NULL;
  g_autoptr (GstElement) sink = NULL;
  GArray *samples;

  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: no such file", path);
    return NULL;
  }
  pipeline = gst_parse_launch ("filesrc name=source ! decodebin ! audioconvert ! audioresample ! "
      "audio/x-raw, format=F32LE, rate=16000, channels=1, layout=interleaved ! "
      "fakesink name=sink signal-handoffs=true sync=false", error);
  if (!pipeline)
    return NULL;
  gst_object_ref_sink (pipeline);
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  samples = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_object_set (source, "location", path, NULL);
  g_signal_connect (sink, "handoff", G_CALLBACK (take_samples), samples);
  if (!run_pipeline (pipeline, path, error))
    g_clear_pointer (&samples, g_array_unref);
  return samples;
}

/* A clip as transformers' processor sees it: the first 30 s, where the model takes clips of 188 tokens. */
static gsize
clip_length (const Eval *eval)
{
  const GemmaAudioConfig *audio = &gemma_model_get_config (eval->model)->audio;

  return audio->pad_clip ? MIN (eval->samples->len, 480000) : eval->samples->len;
}

static gboolean
encode (Eval *eval, GemmaUsmStream *stream, GArray *rows, gboolean pad, GError **error)
{
  const GemmaConfig *config = gemma_model_get_config (eval->model);
  GemmaUsm *usm = gemma_model_get_usm (eval->model);
  guint hidden = config->text.hidden;

  if (!gemma_usm_stream_push (stream, (const gfloat *) (gpointer) eval->samples->data, clip_length (eval), rows, error)
      || !gemma_usm_stream_drain (stream, rows, error))
    return FALSE;
  while (pad && config->audio.pad_clip && rows->len < config->audio.tokens_per_clip * hidden) {
    g_array_set_size (rows, rows->len + hidden);
    if (!gemma_usm_hard_embedding (usm, config->audio.vocab_offset + config->audio.vocab_size - 1,
            &g_array_index (rows, gfloat, rows->len - hidden), error))
      return FALSE;
  }
  return TRUE;
}

GArray *
eval_encode_audio (Eval *eval, gboolean pad, GError **error)
{
  GemmaUsmStream *stream = gemma_usm_stream_new (gemma_model_get_usm (eval->model), error);
  GArray *rows = g_array_new (FALSE, FALSE, sizeof (gfloat));

  if (stream && eval->states)
    gemma_usm_stream_set_observer (stream, eval_take_state, eval->states);
  if (!stream || !encode (eval, stream, rows, pad, error) || !eval_states_save (eval, "audio", error))
    g_clear_pointer (&rows, g_array_unref);
  g_clear_pointer (&stream, gemma_usm_stream_free);
  return rows;
}
