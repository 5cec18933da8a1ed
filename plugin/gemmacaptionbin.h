#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_CAPTION_BIN (gst_gemma_caption_bin_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaCaptionBin, gst_gemma_caption_bin, GST, GEMMA_CAPTION_BIN, GstBin)

GST_ELEMENT_REGISTER_DECLARE (gemmacaptionbin);

G_END_DECLS
