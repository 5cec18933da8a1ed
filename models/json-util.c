#include "json-util.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longer numbers occur in no file we know; what json-glib makes of them is not our concern then. */
#define MAX_NUMBER 128

typedef struct
{
  const gchar *begin, *p, *end;
  const gchar *name;
  guint max_depth;
  GPtrArray *stack;             /* a level each: its set of keys for an object, NULL for an array */
  GError **error;
} Scanner;

static gboolean
fail (Scanner *s, const gchar *what)
{
  g_set_error (s->error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: not valid JSON at byte %" G_GSIZE_FORMAT ": %s",
      s->name, (gsize) (s->p - s->begin), what);
  return FALSE;
}

static void
skip_space (Scanner *s)
{
  while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
    s->p++;
}

/* The four digits of a \u escape, or -1. */
static gint
hex4 (const gchar *p, const gchar *end)
{
  gint value = 0;

  if (end - p < 4)
    return -1;
  for (gint i = 0; i < 4; i++) {
    gint digit = g_ascii_xdigit_value (p[i]);
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* What follows a backslash; appended to @out (nullable) as UTF-8. */
static gboolean
scan_escape (Scanner *s, GString *out)
{
  static const gchar from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  const gchar *found;
  gint code, low;

  if (s->p >= s->end)
    return fail (s, "text ends inside a string");
  if (*s->p != 'u') {
    found = strchr (from, *s->p);
    if (found == NULL || *s->p == '\0')
      return fail (s, "unknown escape in a string");
    if (out)
      g_string_append_c (out, to[found - from]);
    s->p++;
    return TRUE;
  }
  code = hex4 (++s->p, s->end);
  if (code < 0)
    return fail (s, "malformed \\u escape");
  if (code == 0)
    return fail (s, "NUL character in a string");
  s->p += 4;
  if (code >= 0xd800 && code < 0xe000) {
    low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4 (s->p + 2, s->end) : -1;
    if (code >= 0xdc00 || low < 0xdc00 || low >= 0xe000)
      return fail (s, "unpaired surrogate in a \\u escape");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    s->p += 6;
  }
  if (out)
    g_string_append_unichar (out, code);
  return TRUE;
}

/* From the opening quote past the closing one; @out (nullable) receives the decoded text. */
static gboolean
scan_string (Scanner *s, GString *out)
{
  for (s->p++; s->p < s->end; ) {
    guchar c = *s->p;

    if (c == '"') {
      s->p++;
      return TRUE;
    }
    if (c < 0x20)
      return fail (s, "control character in a string");
    s->p++;
    if (c == '\\') {
      if (!scan_escape (s, out))
        return FALSE;
    } else if (out) {
      g_string_append_c (out, c);
    }
  }
  return fail (s, "text ends inside a string");
}

static gsize
scan_digits (Scanner *s)
{
  const gchar *begin = s->p;

  while (s->p < s->end && g_ascii_isdigit (*s->p))
    s->p++;
  return s->p - begin;
}

static gboolean
scan_number (Scanner *s)
{
  const gchar *begin = s->p;
  gsize n;

  if (*s->p == '-')
    s->p++;
  begin = s->p;
  n = scan_digits (s);
  if (n == 0 || (n > 1 && *begin == '0'))
    return fail (s, "malformed number");
  if (s->p < s->end && *s->p == '.') {
    s->p++;
    if (scan_digits (s) == 0)
      return fail (s, "malformed number");
  }
  if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
    s->p++;
    if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
      s->p++;
    if (scan_digits (s) == 0)
      return fail (s, "malformed number");
  }
  if (s->p - begin > MAX_NUMBER)
    return fail (s, "number of too many digits");
  return TRUE;
}

static gboolean
scan_word (Scanner *s, const gchar *word)
{
  gsize n = strlen (word);

  if ((gsize) (s->end - s->p) < n || memcmp (s->p, word, n) != 0)
    return fail (s, "unexpected character");
  s->p += n;
  return TRUE;
}

/* A key, which must be new in the innermost object, and its colon. */
static gboolean
scan_key (Scanner *s)
{
  GHashTable *keys = g_ptr_array_index (s->stack, s->stack->len - 1);
  GString *key = g_string_new (NULL);

  if (s->p >= s->end || *s->p != '"') {
    g_string_free (key, TRUE);
    return fail (s, "a key in double quotes is expected");
  }
  if (!scan_string (s, key)) {
    g_string_free (key, TRUE);
    return FALSE;
  }
  if (g_hash_table_contains (keys, key->str)) {
    g_set_error (s->error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: duplicate key \"%.200s\" at byte %" G_GSIZE_FORMAT "; keys must be unique",
        s->name, key->str, (gsize) (s->p - s->begin));
    g_string_free (key, TRUE);
    return FALSE;
  }
  g_hash_table_add (keys, g_string_free (key, FALSE));
  skip_space (s);
  if (s->p >= s->end || *s->p != ':')
    return fail (s, "a colon is expected after a key");
  s->p++;
  return TRUE;
}

static gboolean
open_level (Scanner *s)
{
  if (s->stack->len >= s->max_depth) {
    g_set_error (s->error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: nested deeper than %u levels at byte %" G_GSIZE_FORMAT, s->name, s->max_depth,
        (gsize) (s->p - s->begin));
    return FALSE;
  }
  g_ptr_array_add (s->stack,
      *s->p == '{' ? g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL) : NULL);
  s->p++;
  return TRUE;
}

/* A scalar, or the opening of a container. */
static gboolean
scan_value (Scanner *s)
{
  if (s->p >= s->end)
    return fail (s, "a value is expected, the text ends");
  switch (*s->p) {
    case '{':
    case '[':
      return open_level (s);
    case '"':
      return scan_string (s, NULL);
    case 't':
      return scan_word (s, "true");
    case 'f':
      return scan_word (s, "false");
    case 'n':
      return scan_word (s, "null");
    default:
      return scan_number (s);
  }
}

static gboolean
scan_document (Scanner *s)
{
  gboolean opened;

  do {
    /* at a value: a member's value, an element, or the root */
    skip_space (s);
    opened = s->p < s->end && (*s->p == '{' || *s->p == '[');
    if (!scan_value (s))
      return FALSE;

    /* close levels until another value is due */
    for (;;) {
      gboolean object;

      skip_space (s);
      if (s->stack->len == 0)
        break;
      object = g_ptr_array_index (s->stack, s->stack->len - 1) != NULL;
      if (s->p >= s->end)
        return fail (s, "the text ends inside an object or array");
      if (*s->p == (object ? '}' : ']')) {
        s->p++;
        g_ptr_array_set_size (s->stack, s->stack->len - 1);
        opened = FALSE;
        continue;
      }
      if (!opened) {
        if (*s->p != ',')
          return fail (s, "a comma or the end of the object or array is expected");
        s->p++;
        skip_space (s);
      }
      if (object && !scan_key (s))
        return FALSE;
      break;
    }
  } while (s->stack->len > 0);

  return s->p == s->end || fail (s, "more text after the end of the document");
}

static void
free_keys (gpointer keys)
{
  if (keys)
    g_hash_table_unref (keys);
}

gboolean
gemma_json_check (const gchar *data, gsize length, const gchar *name, guint max_depth, GError **error)
{
  Scanner s = { data, data, data + length, name, max_depth, NULL, error };
  const gchar *bad;
  gboolean ok;

  if (!g_utf8_validate_len (data, length, &bad)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: not valid JSON at byte %" G_GSIZE_FORMAT ": not UTF-8", name, (gsize) (bad - data));
    return FALSE;
  }
  s.stack = g_ptr_array_new_with_free_func (free_keys);
  ok = scan_document (&s);
  g_ptr_array_unref (s.stack);
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

/* The whole of a regular file of at most @max_bytes, or NULL. */
static gchar *
read_file (const gchar *path, gsize max_bytes, gsize *length, GError **error)
{
  g_autofree gchar *data = NULL;
  struct stat st;
  gsize n = 0;
  gint fd = open (path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat (fd, &st) < 0) {
    gint e = errno;
    g_set_error (error, GEMMA_ERROR, e == ENOENT ? GEMMA_ERROR_NOT_FOUND : GEMMA_ERROR_INVALID,
        "%s: cannot be opened: %s", path, g_strerror (e));
    if (fd >= 0)
      close (fd);
    return NULL;
  }
  if (!S_ISREG (st.st_mode) || (guint64) st.st_size > max_bytes) {
    close (fd);
    if (!S_ISREG (st.st_mode))
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: not a regular file", path);
    else
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
          "%s: %" G_GINT64_FORMAT " bytes, more than the %" G_GSIZE_FORMAT " allowed", path,
          (gint64) st.st_size, max_bytes);
    return NULL;
  }
  data = g_try_malloc (st.st_size + 1);
  while (data && n < (gsize) st.st_size) {
    gssize got = read (fd, data + n, st.st_size - n);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      break;
    n += got;
  }
  close (fd);
  if (data == NULL || n < (gsize) st.st_size) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: cannot be read whole", path);
    return NULL;
  }
  data[n] = '\0';
  *length = n;
  return g_steal_pointer (&data);
}

JsonNode *
gemma_json_parse_file (const gchar *path, gsize max_bytes, guint max_depth, GError **error)
{
  gsize length = 0;
  g_autofree gchar *data = read_file (path, max_bytes, &length, error);

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
