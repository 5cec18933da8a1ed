/* Where the embedded models are. */
#pragma once

#include <glib.h>

typedef struct
{
  const gchar *variable;        /* of the environment, which names another */
  const gchar *file;
} GemmaDefaultModel;

extern const GemmaDefaultModel gemma_default_listener;          /* sound and pictures to text */
extern const GemmaDefaultModel gemma_default_translator;        /* text to text */

/** What the environment names, else the installed model, else the one in the plugin's build folder. (transfer full) */
gchar *gemma_default_model (const GemmaDefaultModel *which);
