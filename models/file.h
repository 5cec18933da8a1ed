/* Opening the files of a model. */
#pragma once

#include "error.h"

G_BEGIN_DECLS

/** A descriptor of the regular file @path and its size, or -1: it is missing, unreadable, or no regular file. */
gint gemma_open_regular (const gchar *path, gsize *size, GError **error);
/** The whole of the regular file @path of at most @max_bytes, and a NUL after it. (transfer full) (nullable) */
gchar *gemma_read_regular (const gchar *path, gsize max_bytes, gsize *length, GError **error);

G_END_DECLS
