/* gemmavisionenc: video becomes the soft tokens of single frames. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_VISION_ENC (gst_gemma_vision_enc_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaVisionEnc, gst_gemma_vision_enc, GST, GEMMA_VISION_ENC, GstElement)
GST_ELEMENT_REGISTER_DECLARE (gemmavisionenc)

/** The sizes that pictures may be scaled to. */
#define GST_TYPE_GEMMA_RESOLUTION (gst_gemma_resolution_get_type ())
GType gst_gemma_resolution_get_type (void);

G_END_DECLS
