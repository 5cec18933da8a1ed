/* Where the embedded model is. */
#pragma once

#include <glib.h>

/** GEMMA_DEFAULT_MODEL in the environment, else the installed model, else the one in the plugin's build folder. (transfer full) */
gchar *gemma_default_model (void);
