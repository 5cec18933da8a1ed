/* A pad of gemmatranscriber for another language, which whatever makes its text is told. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_TRANSLATE_PAD (gst_gemma_translate_pad_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaTranslatePad, gst_gemma_translate_pad, GST, GEMMA_TRANSLATE_PAD, GstGhostPad)

/* Its text comes from a branch of its own behind the tee, or from a pad of the transcript's language model. */
struct _GstGemmaTranslatePad
{
  GstGhostPad parent;
  gchar *language_code;         /* object lock */
  GstElement *queue, *lm;       /* the branch's, owned by the bin; or NULL */
  GstPad *teepad;
  GstPad *lmpad;                /* the language model's, or NULL */
};

/** To whatever makes the text, when that is there. */
void gst_gemma_translate_pad_hand_on_language (GstGemmaTranslatePad *self);

G_END_DECLS
