#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_TRANSCRIBER (gst_gemma_transcriber_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaTranscriber, gst_gemma_transcriber, GST, GEMMA_TRANSCRIBER, GstBin)

GST_ELEMENT_REGISTER_DECLARE (gemmatranscriber);

G_END_DECLS
