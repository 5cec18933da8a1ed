/* A source pad of gemmalm for what is said in another language: that of its property language-code. */
#pragma once

#include "lm-src-pad.h"

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_LM_TRANSLATE_PAD (gst_gemma_lm_translate_pad_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaLmTranslatePad, gst_gemma_lm_translate_pad, GST, GEMMA_LM_TRANSLATE_PAD, GstGemmaLmSrcPad)

/** The property language-code, of each pad class through which translations leave. */
void gemma_lm_translate_pad_install_language (GObjectClass *klass, guint id);
/** Sets *@language_code of @pad, which its object lock guards, to the property's new value; NULL stands for the default. */
void gemma_lm_translate_pad_take_language (GstPad *pad, gchar **language_code, const GValue *value);

G_END_DECLS
