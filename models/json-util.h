/* JSON from strangers: checked before json-glib sees it, and read with errors that name file and key.
 *
 * json-glib recurses for each level of nesting, takes the last of duplicate keys, and accepts comments
 * and unpaired surrogates. json-scan.h therefore passes over the text first (RFC 8259, UTF-8, depth, unique
 * keys, no NUL).
 */
#pragma once

#include <json-glib/json-glib.h>

#include "error.h"

G_BEGIN_DECLS

/** Deep enough for any configuration file. */
#define GEMMA_JSON_DEPTH 32

/**
 * gemma_json_parse_file:
 * @max_bytes: larger files are refused before they are read
 * @max_depth: deeper nesting is refused; at most JSON_SCAN_MAX_DEPTH
 *
 * Returns: (transfer full) (nullable): the root; errors are %GEMMA_ERROR_NOT_FOUND or %GEMMA_ERROR_INVALID
 */
JsonNode *gemma_json_parse_file (const gchar *path, gsize max_bytes, guint max_depth, GError **error);

/** The same for text in memory; @name stands for the file in messages. */
JsonNode *gemma_json_parse_data (const gchar *data, gsize length, const gchar *name, guint max_depth, GError **error);

/** Checks the text without building anything. */
gboolean gemma_json_check (const gchar *data, gsize length, const gchar *name, guint max_depth, GError **error);

/**
 * GemmaJsonObject: an object and where it came from, for messages. Each getter below
 * returns FALSE with @error if the member is of another type or out of range, and TRUE without touching
 * the value if it is absent or null, so that the caller's default stays.
 */
typedef struct
{
  JsonObject *object;           /* (nullable): every member is absent */
  const gchar *file;
  const gchar *prefix;          /* "text_config." or "" */
} GemmaJsonObject;

/** The root of a document; FALSE if it is not an object. */
gboolean gemma_json_root (JsonNode *node, const gchar *file, GemmaJsonObject *root, GError **error);
gboolean gemma_json_has (const GemmaJsonObject *o, const gchar *key);
/** @prefix is how messages name members of the child. An absent child has a NULL object. */
gboolean gemma_json_get_object (const GemmaJsonObject *o, const gchar *key, const gchar *prefix,
    GemmaJsonObject *child, GError **error);
gboolean gemma_json_get_array (const GemmaJsonObject *o, const gchar *key, JsonArray **array, GError **error);
gboolean gemma_json_get_int (const GemmaJsonObject *o, const gchar *key, gint64 min, gint64 max, gint *value,
    GError **error);
gboolean gemma_json_get_float (const GemmaJsonObject *o, const gchar *key, gdouble min, gdouble max, gfloat *value,
    GError **error);
gboolean gemma_json_get_string (const GemmaJsonObject *o, const gchar *key, const gchar **value, GError **error);

G_END_DECLS
