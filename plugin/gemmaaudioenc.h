#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_AUDIO_ENC (gst_gemma_audio_enc_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaAudioEnc, gst_gemma_audio_enc, GST, GEMMA_AUDIO_ENC, GstElement)

GST_ELEMENT_REGISTER_DECLARE (gemmaaudioenc);

G_END_DECLS
