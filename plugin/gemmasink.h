#pragma once

#include "lm-base.h"

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_SINK (gst_gemma_sink_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaSink, gst_gemma_sink, GST, GEMMA_SINK, GstGemmaLmBase)

GST_ELEMENT_REGISTER_DECLARE (gemmasink);

G_END_DECLS
