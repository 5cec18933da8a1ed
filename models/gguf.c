#include "weights-private.h"

#include <string.h>

/* Metadata is copied out of the file, so that no later truncation can reach it; real headers have about 10 MB. */
#define FIRST_READ ((gsize) 256 << 10)
#define MAX_HEADER ((gsize) 1 << 30)
#define MAX_KEY 65535
#define MAX_NAME 63
#define DEFAULT_ALIGNMENT 32

typedef enum
{
  GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
  GGUF_U64, GGUF_I64, GGUF_F64, GGUF_N_TYPES
} GgufType;

static const struct
{
  const gchar *name;
  gsize size;
} value_types[GGUF_N_TYPES] = {
  { "UINT8", 1 }, { "INT8", 1 }, { "UINT16", 2 }, { "INT16", 2 }, { "UINT32", 4 }, { "INT32", 4 }, { "FLOAT32", 4 },
  { "BOOL", 1 }, { "STRING", 0 }, { "ARRAY", 0 }, { "UINT64", 8 }, { "INT64", 8 }, { "FLOAT64", 8 },
};

/* ggml's types by their number; those without a name never existed or were removed. */
static const struct
{
  const gchar *name;
  guint block, bytes;
  OclType type;
} tensor_types[] = {
  [0] = { "F32", 1, 4, OCL_TYPE_F32 },
  [1] = { "F16", 1, 2, OCL_TYPE_F16 },
  [2] = { "Q4_0", 32, 18, OCL_TYPE_Q4_0 },
  [3] = { "Q4_1", 32, 20, OCL_TYPE_Q4_1 },
  [6] = { "Q5_0", 32, 22, OCL_TYPE_Q5_0 },
  [7] = { "Q5_1", 32, 24, OCL_TYPE_Q5_1 },
  [8] = { "Q8_0", 32, 34, OCL_TYPE_Q8_0 },
  [9] = { "Q8_1", 32, 36, OCL_N_TYPES },
  [10] = { "Q2_K", 256, 84, OCL_N_TYPES },
  [11] = { "Q3_K", 256, 110, OCL_N_TYPES },
  [12] = { "Q4_K", 256, 144, OCL_TYPE_Q4_K },
  [13] = { "Q5_K", 256, 176, OCL_TYPE_Q5_K },
  [14] = { "Q6_K", 256, 210, OCL_TYPE_Q6_K },
  [15] = { "Q8_K", 256, 292, OCL_N_TYPES },
  [16] = { "IQ2_XXS", 256, 66, OCL_N_TYPES },
  [17] = { "IQ2_XS", 256, 74, OCL_N_TYPES },
  [18] = { "IQ3_XXS", 256, 98, OCL_N_TYPES },
  [19] = { "IQ1_S", 256, 50, OCL_N_TYPES },
  [20] = { "IQ4_NL", 32, 18, OCL_N_TYPES },
  [21] = { "IQ3_S", 256, 110, OCL_N_TYPES },
  [22] = { "IQ2_S", 256, 82, OCL_N_TYPES },
  [23] = { "IQ4_XS", 256, 136, OCL_N_TYPES },
  [24] = { "I8", 1, 1, OCL_N_TYPES },
  [25] = { "I16", 1, 2, OCL_N_TYPES },
  [26] = { "I32", 1, 4, OCL_N_TYPES },
  [27] = { "I64", 1, 8, OCL_N_TYPES },
  [28] = { "F64", 1, 8, OCL_N_TYPES },
  [29] = { "IQ1_M", 256, 56, OCL_N_TYPES },
  [30] = { "BF16", 1, 2, OCL_TYPE_BF16 },
  [34] = { "TQ1_0", 256, 54, OCL_N_TYPES },
  [35] = { "TQ2_0", 256, 66, OCL_N_TYPES },
  [39] = { "MXFP4", 32, 17, OCL_N_TYPES },
  [40] = { "NVFP4", 64, 36, OCL_N_TYPES },
  [41] = { "Q1_0", 128, 18, OCL_N_TYPES },
};

guint32
gemma_gguf_type (OclType type)
{
  guint32 i = 0;

  while (tensor_types[i].name == NULL || tensor_types[i].type != type)
    i++;
  return i;
}

typedef struct
{
  GgufType type;                /* of the items, for an array */
  gboolean array;
  guint64 n;                    /* items; 1 for a scalar */
  const guint8 *data;           /* numbers, unaligned; in the copy of the header */
  gchar *string;                /* a scalar string */
  gsize length;
  const guint8 **strings;       /* an array of strings: where each one's length is */
} Value;

/* The tensors as the header lists them, before their data is looked at. */
typedef struct
{
  gchar name[MAX_NAME + 1];
  guint32 type, n_dims;
  gint64 dims[4];
  guint64 offset;
  gsize bytes;
} Info;

typedef struct
{
  const guint8 *data;
  gsize have;                   /* bytes at data */
  gsize size;                   /* of the file */
  gsize pos;
  gboolean more;                /* failed only because have < size */
  GemmaFile *file;
  GHashTable *values;
  GArray *infos;
  guint64 n_values, n_tensors;
  guint32 alignment;
  GError **error;
} Reader;

static void
value_free (gpointer data)
{
  Value *value = data;

  g_free (value->string);
  g_free (value->strings);
  g_free (value);
}

#define FAIL(r, ...) fail_with (r, GEMMA_ERROR_INVALID, __VA_ARGS__)

static gboolean G_GNUC_PRINTF (3, 4)
fail_with (Reader *r, GemmaError code, const gchar *format, ...)
{
  g_autofree gchar *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (r->error, GEMMA_ERROR, code, "%s: %s", r->file->path, message);
  return FALSE;
}

/* ---- the header ----------------------------------------------------------------- */

/* The next @count items of @size bytes, in front of which the reader stands. */
static gboolean
need (Reader *r, guint64 count, gsize size, const gchar *what, const gchar *of)
{
  if (count > (r->size - r->pos) / size)
    return FAIL (r, "%s%s%s of %" G_GUINT64_FORMAT " bytes at byte %" G_GSIZE_FORMAT
        " is past the end of the file (%" G_GSIZE_FORMAT " bytes)", what, of ? " of " : "", of ? of : "",
        count > G_MAXUINT64 / size ? G_MAXUINT64 : count * size, r->pos, r->size);
  if (count * size > r->have - r->pos) {
    r->more = TRUE;
    return FALSE;
  }
  return TRUE;
}

static gboolean
take (Reader *r, gpointer dst, gsize n, const gchar *what, const gchar *of)
{
  if (!need (r, n, 1, what, of))
    return FALSE;
  memcpy (dst, r->data + r->pos, n);
  r->pos += n;
  return TRUE;
}

static guint64
length_at (const guint8 *p)
{
  guint64 n;

  memcpy (&n, p, sizeof n);
  return n;
}

/* Steps over a string; *@data and *@length receive it. */
static gboolean
take_string (Reader *r, const gchar **data, guint64 *length, const gchar *what, const gchar *of)
{
  if (!take (r, length, sizeof *length, what, of) || !need (r, *length, 1, what, of))
    return FALSE;
  *data = (const gchar *) r->data + r->pos;
  r->pos += *length;
  return TRUE;
}

/* A key or a tensor's name. */
static gboolean
take_name (Reader *r, const gchar *what, guint64 index, gsize max, const gchar **data, gsize *length)
{
  guint64 n = 0;

  if (!take_string (r, data, &n, what, NULL))
    return FALSE;
  if (n == 0 || n > max)
    return FAIL (r, "%s %" G_GUINT64_FORMAT " has a length of %" G_GUINT64_FORMAT "; 1 to %" G_GSIZE_FORMAT
        " are allowed", what, index, n, max);
  if (!g_utf8_validate_len (*data, n, NULL))
    return FAIL (r, "%s %" G_GUINT64_FORMAT " is not UTF-8 or holds NUL", what, index);
  *length = n;
  return TRUE;
}

static gboolean
take_strings (Reader *r, Value *value, const gchar *key)
{
  if (!need (r, value->n, sizeof (guint64), "array", key))
    return FALSE;
  value->strings = g_try_new (const guint8 *, MAX (value->n, 1));
  if (value->strings == NULL)
    return FAIL (r, "key %s: no memory for %" G_GUINT64_FORMAT " strings", key, value->n);
  for (guint64 i = 0; i < value->n; i++) {
    const gchar *data;
    guint64 length;

    value->strings[i] = r->data + r->pos;
    if (!take_string (r, &data, &length, "string", key))
      return FALSE;
    if (length > G_MAXINT32)
      return FAIL (r, "key %s: string %" G_GUINT64_FORMAT " has %" G_GUINT64_FORMAT " bytes; at most %d are allowed",
          key, i, length, G_MAXINT32);
  }
  return TRUE;
}

static gboolean
take_type (Reader *r, const gchar *key, gboolean item, GgufType *type)
{
  guint32 number;

  if (!take (r, &number, sizeof number, "type", key))
    return FALSE;
  if (number >= GGUF_N_TYPES)
    return FAIL (r, "key %s: unknown value type %u; 0 to %d are allowed", key, number, GGUF_N_TYPES - 1);
  if (item && number == GGUF_ARRAY)
    return fail_with (r, GEMMA_ERROR_UNSUPPORTED, "key %s: an array of arrays; items must be scalars", key);
  *type = number;
  return TRUE;
}

static gboolean
take_value (Reader *r, const gchar *key, Value *value)
{
  value->n = 1;
  if (!take_type (r, key, FALSE, &value->type))
    return FALSE;
  if (value->type == GGUF_ARRAY) {
    value->array = TRUE;
    if (!take_type (r, key, TRUE, &value->type) || !take (r, &value->n, sizeof value->n, "count", key))
      return FALSE;
    if (value->type == GGUF_STRING)
      return take_strings (r, value, key);
  }
  if (value->type == GGUF_STRING) {
    const gchar *data;
    guint64 length;

    if (!take_string (r, &data, &length, "string", key))
      return FALSE;
    value->string = g_strndup (data, length);
    value->length = length;
    return TRUE;
  }
  if (!need (r, value->n, value_types[value->type].size, value->array ? "array" : "value", key))
    return FALSE;
  value->data = r->data + r->pos;
  r->pos += value->n * value_types[value->type].size;
  return TRUE;
}

static gboolean
take_values (Reader *r)
{
  for (guint64 i = 0; i < r->n_values; i++) {
    const gchar *name;
    gsize length;
    g_autofree gchar *key = NULL;
    Value *value;

    if (!take_name (r, "key", i, MAX_KEY, &name, &length))
      return FALSE;
    key = g_strndup (name, length);
    if (g_hash_table_contains (r->values, key))
      return FAIL (r, "duplicate key %s", key);
    value = g_new0 (Value, 1);
    if (!take_value (r, key, value)) {
      value_free (value);
      return FALSE;
    }
    g_hash_table_insert (r->values, g_steal_pointer (&key), value);
  }
  return TRUE;
}

/* Bytes of the tensor's data, by its type and shape. */
static gboolean
measure (Reader *r, Info *info)
{
  guint64 n = 1;
  guint block;

  for (guint i = 0; i < info->n_dims; i++) {
    if (info->dims[i] <= 0)
      return FAIL (r, "tensor %s: dimension %u is %" G_GINT64_FORMAT "; it must be positive", info->name, i,
          info->dims[i]);
    if (n > (guint64) G_MAXINT64 / info->dims[i])
      return FAIL (r, "tensor %s: the product of its dimensions exceeds 2^63 - 1", info->name);
    n *= info->dims[i];
  }
  if (info->type >= G_N_ELEMENTS (tensor_types) || tensor_types[info->type].name == NULL)
    return fail_with (r, GEMMA_ERROR_UNSUPPORTED, "tensor %s: unknown or removed type %u", info->name, info->type);
  block = tensor_types[info->type].block;
  if (info->dims[0] % block != 0)
    return FAIL (r, "tensor %s: rows of %" G_GINT64_FORMAT " values are not a multiple of the %u of a %s block",
        info->name, info->dims[0], block, tensor_types[info->type].name);
  if (n / block > G_MAXINT64 / tensor_types[info->type].bytes)
    return FAIL (r, "tensor %s: its size exceeds 2^63 - 1 bytes", info->name);
  info->bytes = n / block * tensor_types[info->type].bytes;
  return TRUE;
}

static gboolean
take_infos (Reader *r)
{
  for (guint64 i = 0; i < r->n_tensors; i++) {
    Info info = { "", 0, 0, { 1, 1, 1, 1 }, 0, 0 };
    const gchar *name;
    gsize length;

    if (!take_name (r, "tensor name", i, MAX_NAME, &name, &length))
      return FALSE;
    memcpy (info.name, name, length);
    if (!take (r, &info.n_dims, sizeof info.n_dims, "number of dimensions", info.name))
      return FALSE;
    if (info.n_dims > 4)
      return FAIL (r, "tensor %s has %u dimensions; at most 4 are allowed", info.name, info.n_dims);
    if (!take (r, info.dims, info.n_dims * sizeof info.dims[0], "shape", info.name)
        || !take (r, &info.type, sizeof info.type, "type", info.name)
        || !take (r, &info.offset, sizeof info.offset, "offset", info.name))
      return FALSE;
    info.n_dims = MAX (info.n_dims, 1);
    if (!measure (r, &info))
      return FALSE;
    g_array_append_val (r->infos, info);
  }
  return TRUE;
}

static gboolean
take_alignment (Reader *r)
{
  const Value *value = g_hash_table_lookup (r->values, "general.alignment");

  r->alignment = DEFAULT_ALIGNMENT;
  if (value == NULL)
    return TRUE;
  if (value->array || value->type != GGUF_U32)
    return FAIL (r, "key general.alignment is of type %s%s; UINT32 is expected",
        value->array ? "ARRAY/" : "", value_types[value->type].name);
  memcpy (&r->alignment, value->data, sizeof r->alignment);
  if (r->alignment < 8 || (r->alignment & (r->alignment - 1)) != 0)
    return FAIL (r, "key general.alignment is %u; a power of two from 8 is expected", r->alignment);
  return TRUE;
}

static gboolean
take_header (Reader *r)
{
  gchar magic[4];
  guint32 version;

  if (!take (r, magic, sizeof magic, "magic", NULL))
    return FALSE;
  if (memcmp (magic, "GGUF", 4) != 0)
    return FAIL (r, "not a GGUF file: it begins with %02x %02x %02x %02x", (guint8) magic[0], (guint8) magic[1],
        (guint8) magic[2], (guint8) magic[3]);
  if (!take (r, &version, sizeof version, "version", NULL))
    return FALSE;
  if (version != 2 && version != 3)
    return fail_with (r, GEMMA_ERROR_UNSUPPORTED, "GGUF version %u%s; 2 and 3 are supported", version,
        GUINT32_SWAP_LE_BE (version) <= 3 && version != 0 ? " (a big-endian file)" : "");
  if (!take (r, &r->n_tensors, sizeof r->n_tensors, "number of tensors", NULL)
      || !take (r, &r->n_values, sizeof r->n_values, "number of keys", NULL))
    return FALSE;
  /* a key takes at least 14 bytes, a tensor 25 */
  if (r->n_values > (r->size - r->pos) / 14)
    return FAIL (r, "claims %" G_GUINT64_FORMAT " keys in %" G_GSIZE_FORMAT " bytes", r->n_values, r->size);
  if (r->n_tensors > (r->size - r->pos) / 25)
    return FAIL (r, "claims %" G_GUINT64_FORMAT " tensors in %" G_GSIZE_FORMAT " bytes", r->n_tensors, r->size);
  return take_values (r) && take_alignment (r) && take_infos (r);
}

/* ---- the data ------------------------------------------------------------------- */

static gint
by_offset (gconstpointer a, gconstpointer b)
{
  const Info *x = *(const Info *const *) a, *y = *(const Info *const *) b;

  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Offsets are in the file, aligned, and no two tensors share bytes. */
static gboolean
check_places (Reader *r, gsize data_at)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  const gsize room = r->size > data_at ? r->size - data_at : 0;

  for (guint i = 0; i < r->infos->len; i++) {
    Info *info = &g_array_index (r->infos, Info, i);

    if (info->offset % r->alignment != 0)
      return FAIL (r, "tensor %s: offset %" G_GUINT64_FORMAT " is not a multiple of the alignment %u", info->name,
          info->offset, r->alignment);
    if (info->offset > room || info->bytes > room - info->offset)
      return FAIL (r, "tensor %s: %" G_GSIZE_FORMAT " bytes at offset %" G_GUINT64_FORMAT
          " are past the end of the data (%" G_GSIZE_FORMAT " bytes)", info->name, info->bytes, info->offset, room);
    g_ptr_array_add (sorted, info);
  }
  g_ptr_array_sort (sorted, by_offset);
  for (guint i = 1; i < sorted->len; i++) {
    Info *a = g_ptr_array_index (sorted, i - 1), *b = g_ptr_array_index (sorted, i);

    if (b->offset - a->offset < a->bytes)
      return FAIL (r, "tensor %s overlaps tensor %s", b->name, a->name);
  }
  return TRUE;
}

static gboolean
add_tensors (Reader *r, GemmaWeights *weights)
{
  const gsize data_at = (r->pos + r->alignment - 1) / r->alignment * r->alignment;

  if (!check_places (r, data_at))
    return FALSE;
  for (guint i = 0; i < r->infos->len; i++) {
    const Info *info = &g_array_index (r->infos, Info, i);

    if (!gemma_weights_add (weights, r->file, info->name, info->name, tensor_types[info->type].type,
            tensor_types[info->type].name, info->n_dims, info->dims, data_at + info->offset, info->bytes, r->error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
try_header (Reader *r)
{
  r->pos = 0;
  r->more = FALSE;
  g_clear_pointer (&r->values, g_hash_table_unref);
  g_clear_pointer (&r->infos, g_array_unref);
  r->values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, value_free);
  r->infos = g_array_new (FALSE, FALSE, sizeof (Info));
  return take_header (r);
}

/* Parses what has been read and reads on as long as the header goes on; @header receives the copy. */
static gboolean
read_header (Reader *r, guint8 **header)
{
  for (r->have = MIN (FIRST_READ, r->size);; r->have = MIN (r->have * 2, r->size)) {
    g_free (*header);
    *header = g_try_malloc (MAX (r->have, 1));
    if (r->have > MAX_HEADER || *header == NULL)
      return FAIL (r, "a header of %" G_GSIZE_FORMAT " bytes or more; %" G_GSIZE_FORMAT " are allowed", r->have,
          MAX_HEADER);
    if (!gemma_file_read (r->file, 0, *header, r->have, r->error))
      return FALSE;
    r->data = *header;
    if (try_header (r))
      return TRUE;
    if (!r->more)
      return FALSE;
  }
}

/* Takes @file. */
static GemmaWeights *
open_file (GemmaFile *file, GError **error)
{
  GemmaWeights *weights = gemma_weights_new (file->path, TRUE);
  Reader r = { .file = file, .size = file->size, .error = error };
  gboolean ok;

  g_ptr_array_add (weights->files, file);
  if (file->fd < 0) {
    r.data = file->data;
    r.have = file->size;
    ok = try_header (&r);
  } else {
    ok = read_header (&r, &weights->header);
  }
  weights->values = r.values;
  ok = ok && add_tensors (&r, weights);
  g_clear_pointer (&r.infos, g_array_unref);
  if (!ok)
    g_clear_pointer (&weights, gemma_weights_unref);
  return weights;
}

GemmaWeights *
gemma_weights_open_gguf (const gchar *path, GError **error)
{
  GemmaFile *file = gemma_file_open (path, error);

  return file ? open_file (file, error) : NULL;
}

GemmaWeights *
gemma_weights_open_gguf_data (gconstpointer data, gsize size, GError **error)
{
  return open_file (gemma_file_new_data (data, size, "(memory)"), error);
}

/* ---- values --------------------------------------------------------------------- */

static const Value *
lookup (GemmaWeights *weights, const gchar *key, GError **error)
{
  const Value *value = weights->values ? g_hash_table_lookup (weights->values, key) : NULL;

  if (value == NULL)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: key %s is missing", weights->path, key);
  return value;
}

static gboolean
wrong_type (GemmaWeights *weights, const gchar *key, const Value *value, const gchar *wanted, GError **error)
{
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: key %s is of type %s%s; %s is expected", weights->path,
      key, value->array ? "ARRAY/" : "", value_types[value->type].name, wanted);
  return FALSE;
}

static gboolean
is_integer (GgufType type)
{
  return type != GGUF_F32 && type != GGUF_F64 && type != GGUF_BOOL && type != GGUF_STRING && type != GGUF_ARRAY;
}

/* Item @i; exact for all but 64-bit integers over 2^53. */
static gdouble
number_at (const Value *value, guint64 i)
{
  const guint8 *p = value->data + i * value_types[value->type].size;

#define CASE(T, C) case T: { C x; memcpy (&x, p, sizeof x); return x; }
  switch (value->type) {
      CASE (GGUF_U8, guint8);
      CASE (GGUF_I8, gint8);
      CASE (GGUF_BOOL, guint8);
      CASE (GGUF_U16, guint16);
      CASE (GGUF_I16, gint16);
      CASE (GGUF_U32, guint32);
      CASE (GGUF_I32, gint32);
      CASE (GGUF_F32, gfloat);
      CASE (GGUF_U64, guint64);
      CASE (GGUF_I64, gint64);
      CASE (GGUF_F64, gdouble);
    default:
      return 0;
  }
#undef CASE
}

gboolean
gemma_weights_has_key (GemmaWeights *weights, const gchar *key)
{
  return weights->values && g_hash_table_contains (weights->values, key);
}

gboolean
gemma_weights_get_int (GemmaWeights *weights, const gchar *key, gint64 *out, GError **error)
{
  const Value *value = lookup (weights, key, error);

  if (value == NULL)
    return FALSE;
  if (value->array || !is_integer (value->type))
    return wrong_type (weights, key, value, "an integer", error);
  if (value->type == GGUF_U64 || value->type == GGUF_I64) {
    memcpy (out, value->data, sizeof *out);
    if (value->type == GGUF_U64 && *out < 0) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: key %s is %" G_GUINT64_FORMAT
          "; less than 2^63 is expected", weights->path, key, (guint64) *out);
      return FALSE;
    }
  } else {
    *out = (gint64) number_at (value, 0);
  }
  return TRUE;
}

gboolean
gemma_weights_get_float (GemmaWeights *weights, const gchar *key, gdouble *out, GError **error)
{
  const Value *value = lookup (weights, key, error);

  if (value == NULL)
    return FALSE;
  if (value->array || value->type == GGUF_STRING || value->type == GGUF_BOOL)
    return wrong_type (weights, key, value, "a number", error);
  *out = number_at (value, 0);
  return TRUE;
}

gboolean
gemma_weights_get_bool (GemmaWeights *weights, const gchar *key, gboolean *out, GError **error)
{
  const Value *value = lookup (weights, key, error);

  if (value == NULL)
    return FALSE;
  if (value->array || value->type != GGUF_BOOL)
    return wrong_type (weights, key, value, "BOOL", error);
  *out = value->data[0] != 0;
  return TRUE;
}

const gchar *
gemma_weights_get_string (GemmaWeights *weights, const gchar *key, GError **error)
{
  const Value *value = lookup (weights, key, error);

  if (value == NULL)
    return NULL;
  if (value->array || value->type != GGUF_STRING) {
    wrong_type (weights, key, value, "STRING", error);
    return NULL;
  }
  if (!g_utf8_validate_len (value->string, value->length, NULL)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: key %s is not UTF-8 or holds NUL", weights->path, key);
    return NULL;
  }
  return value->string;
}

gdouble *
gemma_weights_get_numbers (GemmaWeights *weights, const gchar *key, guint n, GError **error)
{
  const Value *value = lookup (weights, key, error);
  gdouble *numbers;

  if (value == NULL)
    return NULL;
  if (value->type == GGUF_STRING) {
    wrong_type (weights, key, value, "an array of numbers", error);
    return NULL;
  }
  if (value->array && value->n != n) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: key %s has %" G_GUINT64_FORMAT
        " values; %u are expected", weights->path, key, value->n, n);
    return NULL;
  }
  numbers = g_new (gdouble, MAX (n, 1));
  for (guint i = 0; i < n; i++)
    numbers[i] = number_at (value, value->array ? i : 0);
  return numbers;
}

gint64
gemma_weights_get_length (GemmaWeights *weights, const gchar *key)
{
  const Value *value = lookup (weights, key, NULL);

  return value && value->array ? (gint64) value->n : -1;
}

gboolean
gemma_weights_get_nth_string (GemmaWeights *weights, const gchar *key, gint64 n, const gchar **data, gsize *length)
{
  const Value *value = lookup (weights, key, NULL);

  if (value == NULL || value->strings == NULL || n < 0 || (guint64) n >= value->n)
    return FALSE;
  *length = length_at (value->strings[n]);
  *data = (const gchar *) value->strings[n] + sizeof (guint64);
  return TRUE;
}
