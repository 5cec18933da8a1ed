#pragma once

#include "lm-inline.h"

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_LM (gst_gemma_lm_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaLm, gst_gemma_lm, GST, GEMMA_LM, GstGemmaLmInline)

GST_ELEMENT_REGISTER_DECLARE (gemmalm);

G_END_DECLS
