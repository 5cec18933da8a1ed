#include "translate-pad.h"

#include "lm-translate-pad.h"

G_DEFINE_TYPE (GstGemmaTranslatePad, gst_gemma_translate_pad, GST_TYPE_GHOST_PAD)

enum
{
  PAD_PROP_0,
  PAD_PROP_LANGUAGE_CODE
};

void
gst_gemma_translate_pad_hand_on_language (GstGemmaTranslatePad *self)
{
  GST_OBJECT_LOCK (self);
  g_autofree gchar *language = g_strdup (self->language_code);
  g_autoptr (GstElement) lm = self->lm ? gst_object_ref (self->lm) : NULL;
  g_autoptr (GstPad) lmpad = self->lmpad ? gst_object_ref (self->lmpad) : NULL;
  GST_OBJECT_UNLOCK (self);

  if (lm)
    g_object_set (lm, "target-language", language, NULL);
  if (lmpad)
    g_object_set (lmpad, "language-code", language, NULL);
}

static void
gst_gemma_translate_pad_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaTranslatePad *self = GST_GEMMA_TRANSLATE_PAD (object);

  if (id != PAD_PROP_LANGUAGE_CODE) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    return;
  }
  gemma_lm_translate_pad_take_language (GST_PAD (self), &self->language_code, value);
  gst_gemma_translate_pad_hand_on_language (self);
}

static void
gst_gemma_translate_pad_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id != PAD_PROP_LANGUAGE_CODE) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  g_value_set_string (value, GST_GEMMA_TRANSLATE_PAD (object)->language_code);
  GST_OBJECT_UNLOCK (object);
}

static void
gst_gemma_translate_pad_finalize (GObject *object)
{
  GstGemmaTranslatePad *self = GST_GEMMA_TRANSLATE_PAD (object);

  gst_clear_object (&self->queue);
  gst_clear_object (&self->lm);
  gst_clear_object (&self->teepad);
  gst_clear_object (&self->lmpad);
  g_free (self->language_code);
  G_OBJECT_CLASS (gst_gemma_translate_pad_parent_class)->finalize (object);
}

static void
gst_gemma_translate_pad_class_init (GstGemmaTranslatePadClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = gst_gemma_translate_pad_set_property;
  object_class->get_property = gst_gemma_translate_pad_get_property;
  object_class->finalize = gst_gemma_translate_pad_finalize;
  gemma_lm_translate_pad_install_language (object_class, PAD_PROP_LANGUAGE_CODE);
}

static void
gst_gemma_translate_pad_init (GstGemmaTranslatePad *self)
{
  self->language_code = g_strdup ("en");
}
