#include "json-scan.h"

#include <string.h>

void
json_scan_init (JsonScan *scan, const gchar *file, const gchar *data, gsize length)
{
  const gchar *invalid;

  memset (scan, 0, sizeof *scan);
  scan->file = file;
  scan->begin = scan->p = data;
  scan->end = data + length;
  scan->unescaped = g_string_new (NULL);
  /* Once for the whole file: strings are then cut out as they are. */
  if (length > 0 && !g_utf8_validate (data, length, &invalid)) {
    scan->p = invalid;
    json_scan_fail (scan, GEMMA_ERROR_INVALID, "not UTF-8 text");
  }
}

void
json_scan_clear (JsonScan *scan)
{
  g_string_free (scan->unescaped, TRUE);
  g_clear_error (&scan->error);
}

gboolean
json_scan_fail (JsonScan *scan, GemmaError code, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  if (scan->error)
    return FALSE;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (&scan->error, GEMMA_ERROR, code, "%s: byte %" G_GSIZE_FORMAT ": %s", scan->file,
      (gsize) (scan->p - scan->begin), text);
  return FALSE;
}

static gboolean
syntax (JsonScan *scan, const gchar *expected)
{
  if (scan->p >= scan->end)
    return json_scan_fail (scan, GEMMA_ERROR_INVALID, "the file ends where %s should be", expected);
  return json_scan_fail (scan, GEMMA_ERROR_INVALID, "found '%c' where %s should be",
      g_ascii_isprint (*scan->p) ? *scan->p : '?', expected);
}

static void
skip_space (JsonScan *scan)
{
  while (scan->p < scan->end && (*scan->p == ' ' || *scan->p == '\n' || *scan->p == '\t' || *scan->p == '\r'))
    scan->p++;
}

JsonScanType
json_scan_peek (JsonScan *scan)
{
  if (scan->error)
    return JSON_SCAN_ERROR;
  skip_space (scan);
  if (scan->p < scan->end) {
    switch (*scan->p) {
      case '{':
        return JSON_SCAN_OBJECT;
      case '[':
        return JSON_SCAN_ARRAY;
      case '"':
        return JSON_SCAN_STRING;
      case 't':
      case 'f':
        return JSON_SCAN_BOOL;
      case 'n':
        return JSON_SCAN_NULL;
      default:
        if (*scan->p == '-' || g_ascii_isdigit (*scan->p))
          return JSON_SCAN_NUMBER;
    }
  }
  syntax (scan, "a value");
  return JSON_SCAN_ERROR;
}

gboolean
json_scan_enter (JsonScan *scan, JsonScanType type)
{
  JsonScanType found = json_scan_peek (scan);

  if (found == JSON_SCAN_ERROR)
    return FALSE;
  if (found != type)
    return syntax (scan, type == JSON_SCAN_OBJECT ? "an object" : "an array");
  if (scan->depth == JSON_SCAN_MAX_DEPTH)
    return json_scan_fail (scan, GEMMA_ERROR_INVALID, "nested deeper than %d levels", JSON_SCAN_MAX_DEPTH);
  scan->p++;
  scan->depth++;
  scan->started &= ~(G_GUINT64_CONSTANT (1) << scan->depth);
  scan->objects &= ~(G_GUINT64_CONSTANT (1) << scan->depth);
  if (type == JSON_SCAN_OBJECT)
    scan->objects |= G_GUINT64_CONSTANT (1) << scan->depth;
  return TRUE;
}

gboolean
json_scan_next (JsonScan *scan, const gchar **key, gsize *length)
{
  guint64 bit = G_GUINT64_CONSTANT (1) << scan->depth;
  gboolean object = (scan->objects & bit) != 0;

  if (scan->error)
    return FALSE;
  skip_space (scan);
  if (scan->p < scan->end && *scan->p == (object ? '}' : ']')) {
    scan->p++;
    scan->depth--;
    return FALSE;
  }
  if (scan->started & bit) {
    if (scan->p >= scan->end || *scan->p != ',')
      return syntax (scan, object ? "',' or '}'" : "',' or ']'");
    scan->p++;
  }
  scan->started |= bit;
  if (object) {
    const gchar *text;
    gsize n;

    skip_space (scan);
    text = json_scan_string (scan, &n);
    if (!text)
      return FALSE;
    skip_space (scan);
    if (scan->p >= scan->end || *scan->p != ':')
      return syntax (scan, "':'");
    scan->p++;
    if (key)
      *key = text;
    if (length)
      *length = n;
  }
  return TRUE;
}

static gboolean
parse_hex4 (JsonScan *scan, const gchar *p, guint *value)
{
  *value = 0;
  if (scan->end - p < 4)
    return syntax (scan, "four hexadecimal digits");
  for (gint i = 0; i < 4; i++) {
    gint digit = g_ascii_xdigit_value (p[i]);

    if (digit < 0)
      return syntax (scan, "four hexadecimal digits");
    *value = *value << 4 | digit;
  }
  return TRUE;
}

/* After "\u": one escape, or two that make a surrogate pair. */
static gboolean
parse_unicode (JsonScan *scan)
{
  guint high, low;

  if (!parse_hex4 (scan, scan->p, &high))
    return FALSE;
  scan->p += 4;
  if (high >= 0xd800 && high < 0xe000) {
    if (high >= 0xdc00 || scan->end - scan->p < 6 || scan->p[0] != '\\' || scan->p[1] != 'u')
      return json_scan_fail (scan, GEMMA_ERROR_INVALID, "half of a surrogate pair");
    if (!parse_hex4 (scan, scan->p + 2, &low))
      return FALSE;
    if (low < 0xdc00 || low >= 0xe000)
      return json_scan_fail (scan, GEMMA_ERROR_INVALID, "half of a surrogate pair");
    scan->p += 6;
    high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  }
  g_string_append_unichar (scan->unescaped, high);
  return TRUE;
}

/* After the backslash. */
static gboolean
parse_escape (JsonScan *scan)
{
  static const gchar from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  const gchar *at;

  if (scan->p >= scan->end)
    return syntax (scan, "an escape");
  if (*scan->p == 'u') {
    scan->p++;
    return parse_unicode (scan);
  }
  at = memchr (from, *scan->p, sizeof from - 1);
  if (!at)
    return syntax (scan, "an escape");
  g_string_append_c (scan->unescaped, to[at - from]);
  scan->p++;
  return TRUE;
}

const gchar *
json_scan_string (JsonScan *scan, gsize *length)
{
  const gchar *start;
  gboolean escaped = FALSE;

  if (json_scan_peek (scan) != JSON_SCAN_STRING) {
    syntax (scan, "a string");
    return NULL;
  }
  start = ++scan->p;
  for (;;) {
    while (scan->p < scan->end && *scan->p != '"' && *scan->p != '\\' && (guchar) *scan->p >= 0x20)
      scan->p++;
    if (scan->p >= scan->end || (guchar) *scan->p < 0x20) {
      syntax (scan, "the end of a string");
      return NULL;
    }
    if (*scan->p == '"' && !escaped) {
      *length = scan->p++ - start;
      return start;
    }
    if (!escaped)
      g_string_truncate (scan->unescaped, 0);
    escaped = TRUE;
    g_string_append_len (scan->unescaped, start, scan->p - start);
    if (*scan->p++ == '"')
      break;
    if (!parse_escape (scan))
      return NULL;
    start = scan->p;
  }
  *length = scan->unescaped->len;
  return scan->unescaped->str;
}

/* Passes over -?digits(.digits)?([eE][+-]?digits)? */
static gboolean
pass_number (JsonScan *scan, gboolean *integer)
{
  const gchar *digits;

  *integer = TRUE;
  if (scan->p < scan->end && *scan->p == '-')
    scan->p++;
  digits = scan->p;
  while (scan->p < scan->end && g_ascii_isdigit (*scan->p))
    scan->p++;
  if (scan->p == digits || (*digits == '0' && scan->p > digits + 1))
    return syntax (scan, "a number");
  for (gint part = 0; part < 2; part++) {
    if (scan->p >= scan->end || (part == 0 ? *scan->p != '.' : g_ascii_tolower (*scan->p) != 'e'))
      continue;
    *integer = FALSE;
    scan->p++;
    if (part == 1 && scan->p < scan->end && (*scan->p == '+' || *scan->p == '-'))
      scan->p++;
    digits = scan->p;
    while (scan->p < scan->end && g_ascii_isdigit (*scan->p))
      scan->p++;
    if (scan->p == digits)
      return syntax (scan, "a digit");
  }
  return TRUE;
}

gboolean
json_scan_int (JsonScan *scan, gint64 *value)
{
  const gchar *start;
  gchar digits[24];
  gboolean integer;

  if (json_scan_peek (scan) != JSON_SCAN_NUMBER)
    return syntax (scan, "an integer");
  start = scan->p;
  if (!pass_number (scan, &integer))
    return FALSE;
  if (!integer || scan->p - start > 18) {
    scan->p = start;
    return syntax (scan, "an integer of at most 18 digits");
  }
  memcpy (digits, start, scan->p - start);
  digits[scan->p - start] = '\0';
  *value = g_ascii_strtoll (digits, NULL, 10);
  return TRUE;
}

static gboolean
pass_word (JsonScan *scan, const gchar *word)
{
  gsize n = strlen (word);

  if ((gsize) (scan->end - scan->p) < n || memcmp (scan->p, word, n) != 0)
    return syntax (scan, word);
  scan->p += n;
  return TRUE;
}

gboolean
json_scan_bool (JsonScan *scan, gboolean *value)
{
  if (json_scan_peek (scan) != JSON_SCAN_BOOL)
    return syntax (scan, "true or false");
  *value = *scan->p == 't';
  return pass_word (scan, *value ? "true" : "false");
}

gboolean
json_scan_skip (JsonScan *scan)
{
  JsonScanType type = json_scan_peek (scan);
  gboolean unused;
  gsize length;

  switch (type) {
    case JSON_SCAN_OBJECT:
    case JSON_SCAN_ARRAY:
      /* Recursion is bounded by JSON_SCAN_MAX_DEPTH. */
      if (!json_scan_enter (scan, type))
        return FALSE;
      while (json_scan_next (scan, NULL, NULL))
        if (!json_scan_skip (scan))
          return FALSE;
      return scan->error == NULL;
    case JSON_SCAN_STRING:
      return json_scan_string (scan, &length) != NULL;
    case JSON_SCAN_NUMBER:
      return pass_number (scan, &unused);
    case JSON_SCAN_BOOL:
      return json_scan_bool (scan, &unused);
    case JSON_SCAN_NULL:
      return pass_word (scan, "null");
    default:
      return FALSE;
  }
}

void
json_scan_seek (JsonScan *scan, const gchar *p)
{
  scan->p = p;
  scan->depth = 0;
}

gboolean
json_scan_finish (JsonScan *scan)
{
  if (scan->error)
    return FALSE;
  skip_space (scan);
  return scan->p == scan->end || syntax (scan, "the end of the file");
}

gboolean
json_scan_equal (const gchar *text, gsize length, const gchar *literal)
{
  return strlen (literal) == length && memcmp (text, literal, length) == 0;
}
