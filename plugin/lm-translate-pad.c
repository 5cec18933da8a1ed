#include "lm-translate-pad.h"

#include "stream.h"

struct _GstGemmaLmTranslatePad
{
  GstGemmaLmSrcPad parent;
  gchar *language_code;         /* object lock */
};

G_DEFINE_TYPE (GstGemmaLmTranslatePad, gst_gemma_lm_translate_pad, GST_TYPE_GEMMA_LM_SRC_PAD)

enum
{
  PAD_PROP_0,
  PAD_PROP_LANGUAGE_CODE
};

void
gemma_lm_translate_pad_install_language (GObjectClass *klass, guint id)
{
  g_object_class_install_property (klass, id, g_param_spec_string ("language-code", "Language code",
          "Language to translate into, a BCP 47 code (\"es\", \"pt-BR\") or a name", "en",
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING));
}

void
gemma_lm_translate_pad_take_language (GstPad *pad, gchar **language_code, const GValue *value)
{
  gchar *language = gemma_stream_take_text (value);

  GST_OBJECT_LOCK (pad);
  g_free (*language_code);
  *language_code = language ? language : g_strdup ("en");
  GST_OBJECT_UNLOCK (pad);
}

static gchar *
gst_gemma_lm_translate_pad_get_language (GstGemmaLmSrcPad *pad)
{
  GST_OBJECT_LOCK (pad);
  gchar *language = g_strdup (GST_GEMMA_LM_TRANSLATE_PAD (pad)->language_code);
  GST_OBJECT_UNLOCK (pad);
  return language;
}

static void
gst_gemma_lm_translate_pad_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PAD_PROP_LANGUAGE_CODE)
    gemma_lm_translate_pad_take_language (GST_PAD (object), &GST_GEMMA_LM_TRANSLATE_PAD (object)->language_code, value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_gemma_lm_translate_pad_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PAD_PROP_LANGUAGE_CODE)
    g_value_take_string (value, gst_gemma_lm_translate_pad_get_language (GST_GEMMA_LM_SRC_PAD (object)));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_gemma_lm_translate_pad_finalize (GObject *object)
{
  g_free (GST_GEMMA_LM_TRANSLATE_PAD (object)->language_code);
  G_OBJECT_CLASS (gst_gemma_lm_translate_pad_parent_class)->finalize (object);
}

static void
gst_gemma_lm_translate_pad_class_init (GstGemmaLmTranslatePadClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = gst_gemma_lm_translate_pad_set_property;
  object_class->get_property = gst_gemma_lm_translate_pad_get_property;
  object_class->finalize = gst_gemma_lm_translate_pad_finalize;
  GST_GEMMA_LM_SRC_PAD_CLASS (klass)->get_language = gst_gemma_lm_translate_pad_get_language;
  gemma_lm_translate_pad_install_language (object_class, PAD_PROP_LANGUAGE_CODE);
}

static void
gst_gemma_lm_translate_pad_init (GstGemmaLmTranslatePad *self)
{
  self->language_code = g_strdup ("en");
}
