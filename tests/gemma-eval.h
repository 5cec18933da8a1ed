/* gemma-eval as its users run it. */
#pragma once

#include <gst/check/gstcheck.h>

#include "examples/npy.h"

/** With these arguments, which end with NULL: its exit status, and stderr in *@message (transfer full). */
gint gemma_eval_run (gchar **message, const gchar *const *arguments);
/** @name of what it wrote to @out. (transfer full) */
Npy *gemma_eval_result (const gchar *out, const gchar *name);
