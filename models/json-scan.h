/* A strict pull parser for JSON files of tens of megabytes (tokenizer.json), without a tree.
 *
 * The first error is kept in the scanner and makes every later call fail, so a reader
 * walks its file without checks and asks for the error once.
 */
#pragma once

#include "error.h"

G_BEGIN_DECLS

#define JSON_SCAN_MAX_DEPTH 60

typedef enum
{
  JSON_SCAN_ERROR,
  JSON_SCAN_OBJECT,
  JSON_SCAN_ARRAY,
  JSON_SCAN_STRING,
  JSON_SCAN_NUMBER,
  JSON_SCAN_BOOL,
  JSON_SCAN_NULL
} JsonScanType;

typedef struct
{
  const gchar *file;            /* for messages */
  const gchar *begin, *p, *end;
  gint depth;
  guint64 started;              /* bit d: a member of the container at depth d has been read */
  guint64 objects;              /* bit d: the container at depth d is an object */
  GString *unescaped;
  GError *error;
} JsonScan;

/** @data stays the caller's and must outlive the scanner. */
void json_scan_init (JsonScan *scan, const gchar *file, const gchar *data, gsize length);
void json_scan_clear (JsonScan *scan);

/** Sets the error "FILE: byte N: …" if there is none yet; returns FALSE. */
gboolean json_scan_fail (JsonScan *scan, GemmaError code, const gchar *format, ...) G_GNUC_PRINTF (3, 4);

/** What the next value is. */
JsonScanType json_scan_peek (JsonScan *scan);
/** Enters an object or array, which must be there. Its members follow with json_scan_next(). */
gboolean json_scan_enter (JsonScan *scan, JsonScanType type);
/**
 * TRUE if the container has another member, whose value is to be read next; FALSE at its end, which is
 * passed, or on error. For an object @key and @length (nullable in arrays) are the member's key, valid until the next call.
 */
gboolean json_scan_next (JsonScan *scan, const gchar **key, gsize *length);
/** A string, unescaped, valid until the next call; not NUL-terminated. NULL on error. */
const gchar *json_scan_string (JsonScan *scan, gsize *length);
gboolean json_scan_int (JsonScan *scan, gint64 *value);
gboolean json_scan_bool (JsonScan *scan, gboolean *value);
/** Passes over a value of any kind, checking its syntax. */
gboolean json_scan_skip (JsonScan *scan);
/** Goes (back) to the value at @p, which json_scan_peek() has left there, as if it were a file of its own. */
void json_scan_seek (JsonScan *scan, const gchar *p);
/** Nothing but space may follow. */
gboolean json_scan_finish (JsonScan *scan);

/** TRUE if the @length bytes of @text are @literal. */
gboolean json_scan_equal (const gchar *text, gsize length, const gchar *literal);

G_END_DECLS
