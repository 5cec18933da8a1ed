#include "gemma-caps.h"

/* More than any model has; keeps hidden * tokens * sizeof (float) far from overflow. */
#define MAX_DIMENSION (1 << 20)

GstCaps *
gst_gemma_soft_token_caps_new (guint hidden, guint n_tokens, gint fps_n, gint fps_d)
{
  g_autofree gchar *dimensions = g_strdup_printf ("%u:%u", hidden, n_tokens);
  GstCaps *caps = gst_caps_from_string (GST_GEMMA_SOFT_TOKEN_CAPS);

  gst_caps_set_simple (caps, "dimensions", G_TYPE_STRING, dimensions, "framerate", GST_TYPE_FRACTION, fps_n, fps_d, NULL);
  return caps;
}

gboolean
gst_gemma_soft_token_caps_parse (const GstCaps *caps, guint *hidden, guint *n_tokens)
{
  const GstStructure *s;
  const gchar *dimensions, *types;
  guint64 dims[2] = { 0, 1 };
  gint n_tensors = 1;

  g_return_val_if_fail (GST_IS_CAPS (caps), FALSE);

  if (!gst_caps_is_fixed (caps))
    return FALSE;
  s = gst_caps_get_structure (caps, 0);
  dimensions = gst_structure_get_string (s, "dimensions");
  types = gst_structure_get_string (s, "types");
  gst_structure_get_int (s, "num_tensors", &n_tensors);
  if (!gst_structure_has_name (s, "other/tensors") || !dimensions || g_strcmp0 (types, "float32") != 0 || n_tensors != 1)
    return FALSE;

  g_auto (GStrv) parts = g_strsplit (dimensions, ":", -1);
  for (guint i = 0; parts[i]; i++) {
    guint64 value;
    if (!g_ascii_string_to_unsigned (parts[i], 10, 1, i < 2 ? MAX_DIMENSION : 1, &value, NULL))
      return FALSE;
    if (i < 2)
      dims[i] = value;
  }
  if (!dims[0])
    return FALSE;

  *hidden = dims[0];
  *n_tokens = dims[1];
  return TRUE;
}
