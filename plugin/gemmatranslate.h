#pragma once

#include "lm-inline.h"

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_TRANSLATE (gst_gemma_translate_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaTranslate, gst_gemma_translate, GST, GEMMA_TRANSLATE, GstGemmaLmInline)

GST_ELEMENT_REGISTER_DECLARE (gemmatranslate);

G_END_DECLS
