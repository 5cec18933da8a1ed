#pragma once

#include <gst/base/gstbasesink.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_HLS_WEBVTT_SINK (gst_gemma_hls_webvtt_sink_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaHlsWebvttSink, gst_gemma_hls_webvtt_sink, GST, GEMMA_HLS_WEBVTT_SINK, GstBaseSink)

GST_ELEMENT_REGISTER_DECLARE (gemmahlswebvttsink);

G_END_DECLS
