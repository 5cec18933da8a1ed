#include "soft-tokens.h"

#include "models/model.h"
#include "util.h"

guint
get_hidden (void)
{
  g_autoptr (GError) error = NULL;
  GemmaConfig *config = gemma_model_probe (get_model (), NULL, GEMMA_PART_TEXT, &error);
  guint hidden;

  fail_unless (config != NULL, "%s", error ? error->message : "");
  hidden = config->text.hidden;
  gemma_config_free (config);
  return hidden;
}

GstBuffer *
make_soft_token (guint hidden, GstClockTime pts, gboolean quiet)
{
  gfloat *row = g_new (gfloat, hidden);

  for (guint i = 0; i < hidden; i++)
    row[i] = ((pts / TOKEN * 31 + i * 7) % 17) / 8.5f - 1.f;
  GstBuffer *buffer = gst_buffer_new_wrapped (row, hidden * sizeof (gfloat));
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = TOKEN;
  if (quiet)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
  return buffer;
}
