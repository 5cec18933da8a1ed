#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_CEA608_ENC (gst_gemma_cea608_enc_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaCea608Enc, gst_gemma_cea608_enc, GST, GEMMA_CEA608_ENC, GstElement)

GST_ELEMENT_REGISTER_DECLARE (gemmacea608enc);

G_END_DECLS
