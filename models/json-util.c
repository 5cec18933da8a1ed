#include "json-util.h"

#include "file.h"
#include "json-scan.h"

#include <math.h>
#include <string.h>

static gboolean
has_no_nul (JsonScan *scan, const gchar *text, gsize length)
{
  return memchr (text, '\0', length) == NULL
      || json_scan_fail (scan, GEMMA_ERROR_INVALID, "a string with a NUL character");
}

/* Notes the key of a member, which must be new. */
static gboolean
check_key (JsonScan *scan, GHashTable *keys, const gchar *text, gsize length)
{
  gchar *key;

  if (!has_no_nul (scan, text, length))
    return FALSE;
  key = g_strndup (text, length);
  if (g_hash_table_contains (keys, key)) {
    json_scan_fail (scan, GEMMA_ERROR_INVALID, "duplicate key \"%.200s\"; keys must be unique", key);
    g_free (key);
    return FALSE;
  }
  g_hash_table_add (keys, key);
  return TRUE;
}

/* Passes over a value of at most @depth levels; the recursion is as deep. */
static gboolean
check_value (JsonScan *scan, guint depth)
{
  const JsonScanType type = json_scan_peek (scan);
  g_autoptr (GHashTable) keys = NULL;
  const gchar *text = NULL;
  gsize length = 0;

  if (type == JSON_SCAN_STRING)
    return (text = json_scan_string (scan, &length)) != NULL && has_no_nul (scan, text, length);
  if (type != JSON_SCAN_OBJECT && type != JSON_SCAN_ARRAY)
    return json_scan_skip (scan);
  if (depth == 0)
    return json_scan_fail (scan, GEMMA_ERROR_INVALID, "nested deeper than is allowed");
  if (!json_scan_enter (scan, type))
    return FALSE;
  if (type == JSON_SCAN_OBJECT)
    keys = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  while (json_scan_next (scan, &text, &length))
    if ((keys && !check_key (scan, keys, text, length)) || !check_value (scan, depth - 1))
      return FALSE;
  return scan->error == NULL;
}

gboolean
gemma_json_check (const gchar *data, gsize length, const gchar *name, guint max_depth, GError **error)
{
  JsonScan scan;
  gboolean ok;

  json_scan_init (&scan, name, data, length);
  ok = check_value (&scan, max_depth) && json_scan_finish (&scan);
  if (!ok)
    g_propagate_error (error, g_steal_pointer (&scan.error));
  json_scan_clear (&scan);
  return ok;
}

JsonNode *
gemma_json_parse_data (const gchar *data, gsize length, const gchar *name, guint max_depth, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autoptr (GError) cause = NULL;

  if (length > G_MAXSSIZE / 2) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: too large", name);
    return NULL;
  }
  if (!gemma_json_check (data, length, name, max_depth, error))
    return NULL;
  parser = json_parser_new ();
  if (!json_parser_load_from_data (parser, data, length, &cause)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: not valid JSON: %s", name, cause->message);
    return NULL;
  }
  return json_parser_steal_root (parser);
}

JsonNode *
gemma_json_parse_file (const gchar *path, gsize max_bytes, guint max_depth, GError **error)
{
  gsize length = 0;
  g_autofree gchar *data = gemma_read_regular (path, max_bytes, &length, error);

  return data ? gemma_json_parse_data (data, length, path, max_depth, error) : NULL;
}

/* ---- members -------------------------------------------------------------------- */

gboolean
gemma_json_root (JsonNode *node, const gchar *file, GemmaJsonObject *root, GError **error)
{
  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: the document is not an object", file);
    return FALSE;
  }
  *root = (GemmaJsonObject) { json_node_get_object (node), file, "" };
  return TRUE;
}

/* (nullable): NULL if absent or null */
static JsonNode *
member (const GemmaJsonObject *o, const gchar *key)
{
  JsonNode *node = o->object ? json_object_get_member (o->object, key) : NULL;

  return node && !JSON_NODE_HOLDS_NULL (node) ? node : NULL;
}

gboolean
gemma_json_has (const GemmaJsonObject *o, const gchar *key)
{
  return member (o, key) != NULL;
}

static gboolean
wrong (const GemmaJsonObject *o, const gchar *key, JsonNode *node, const gchar *wanted, GError **error)
{
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: %s%s is of type %s; %s is expected", o->file, o->prefix,
      key, json_node_type_name (node), wanted);
  return FALSE;
}

gboolean
gemma_json_get_object (const GemmaJsonObject *o, const gchar *key, const gchar *prefix, GemmaJsonObject *child,
    GError **error)
{
  JsonNode *node = member (o, key);

  *child = (GemmaJsonObject) { NULL, o->file, prefix };
  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return wrong (o, key, node, "an object", error);
  child->object = json_node_get_object (node);
  return TRUE;
}

gboolean
gemma_json_get_array (const GemmaJsonObject *o, const gchar *key, JsonArray **array, GError **error)
{
  JsonNode *node = member (o, key);

  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return wrong (o, key, node, "an array", error);
  *array = json_node_get_array (node);
  return TRUE;
}

gboolean
gemma_json_get_int (const GemmaJsonObject *o, const gchar *key, gint64 min, gint64 max, gint *value, GError **error)
{
  JsonNode *node = member (o, key);
  gint64 found;

  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64)
    return wrong (o, key, node, "an integer", error);
  found = json_node_get_int (node);
  if (found < min || found > max) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: %s%s is %" G_GINT64_FORMAT "; %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " are allowed",
        o->file, o->prefix, key, found, min, max);
    return FALSE;
  }
  *value = (gint) found;
  return TRUE;
}

gboolean
gemma_json_get_float (const GemmaJsonObject *o, const gchar *key, gdouble min, gdouble max, gfloat *value,
    GError **error)
{
  JsonNode *node = member (o, key);
  gdouble found;

  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_VALUE (node)
      || (json_node_get_value_type (node) != G_TYPE_INT64 && json_node_get_value_type (node) != G_TYPE_DOUBLE))
    return wrong (o, key, node, "a number", error);
  found = json_node_get_value_type (node) == G_TYPE_INT64 ? (gdouble) json_node_get_int (node)
      : json_node_get_double (node);
  if (!isfinite (found) || found < min || found > max) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: %s%s is %g; %g to %g are allowed", o->file, o->prefix,
        key, found, min, max);
    return FALSE;
  }
  *value = (gfloat) found;
  return TRUE;
}

gboolean
gemma_json_get_string (const GemmaJsonObject *o, const gchar *key, const gchar **value, GError **error)
{
  JsonNode *node = member (o, key);

  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
    return wrong (o, key, node, "a string", error);
  *value = json_node_get_string (node);
  return TRUE;
}
