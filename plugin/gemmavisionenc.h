/* gemmavisionenc: video becomes the soft tokens of single frames. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_VISION_ENC (gst_gemma_vision_enc_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaVisionEnc, gst_gemma_vision_enc, GST, GEMMA_VISION_ENC, GstElement)
GST_ELEMENT_REGISTER_DECLARE (gemmavisionenc)

G_END_DECLS
