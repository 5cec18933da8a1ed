#include "weights-private.h"
#include "json-util.h"

#include <string.h>

/* The format's own limit of a header, and ours of an index. */
#define MAX_HEADER 100000000
#define MAX_INDEX ((gsize) 64 << 20)
#define MAX_SHARDS 1000
#define METADATA "__metadata__"

static const struct
{
  const gchar *name;
  guint bits;
  OclType type;
} dtypes[] = {
  { "F32", 32, OCL_TYPE_F32 },
  { "F16", 16, OCL_TYPE_F16 },
  { "BF16", 16, OCL_TYPE_BF16 },
  { "F64", 64, OCL_N_TYPES },
  { "I64", 64, OCL_N_TYPES },
  { "U64", 64, OCL_N_TYPES },
  { "C64", 64, OCL_N_TYPES },
  { "I32", 32, OCL_N_TYPES },
  { "U32", 32, OCL_N_TYPES },
  { "I16", 16, OCL_N_TYPES },
  { "U16", 16, OCL_N_TYPES },
  { "I8", 8, OCL_N_TYPES },
  { "U8", 8, OCL_N_TYPES },
  { "BOOL", 8, OCL_N_TYPES },
  { "F8_E4M3", 8, OCL_N_TYPES },
  { "F8_E5M2", 8, OCL_N_TYPES },
  { "F8_E8M0", 8, OCL_N_TYPES },
  { "F6_E2M3", 6, OCL_N_TYPES },
  { "F6_E3M2", 6, OCL_N_TYPES },
  { "F4", 4, OCL_N_TYPES },
};

typedef struct
{
  const gchar *name;            /* in the parsed header */
  guint dtype;
  guint n_dims;
  gint64 dims[4];               /* fastest first; the first four */
  gint64 begin, end;
} Place;

static gboolean G_GNUC_PRINTF (4, 5)
fail (GemmaFile *file, const gchar *tensor, GError **error, const gchar *format, ...)
{
  g_autofree gchar *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: %s%s%s%s", file->path, tensor ? "tensor " : "",
      tensor ? tensor : "", tensor ? ": " : "", message);
  return FALSE;
}

/* A non-negative integer at @i of @array. */
static gboolean
get_count (JsonArray *array, guint i, gint64 *value)
{
  JsonNode *node = json_array_get_element (array, i);

  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64)
    return FALSE;
  *value = json_node_get_int (node);
  return *value >= 0;
}

static gboolean
get_dtype (GemmaFile *file, const GemmaJsonObject *o, const gchar *name, guint *dtype, GError **error)
{
  const gchar *found = NULL;

  if (!gemma_json_get_string (o, "dtype", &found, error))
    return FALSE;
  for (*dtype = 0; found && *dtype < G_N_ELEMENTS (dtypes); (*dtype)++)
    if (strcmp (found, dtypes[*dtype].name) == 0)
      return TRUE;
  if (found == NULL)
    return fail (file, name, error, "dtype is missing");
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "%s: tensor %s: unknown dtype %.40s", file->path, name,
      found);
  return FALSE;
}

/* Shape into @place; *@bits receives the size of the data. */
static gboolean
get_shape (GemmaFile *file, const GemmaJsonObject *o, Place *place, gint64 *bits, GError **error)
{
  JsonArray *shape = NULL;
  guint n;

  if (!gemma_json_get_array (o, "shape", &shape, error))
    return FALSE;
  if (shape == NULL)
    return fail (file, place->name, error, "shape is missing");
  n = json_array_get_length (shape);
  *bits = dtypes[place->dtype].bits;
  for (guint i = 0; i < n; i++) {
    gint64 dim;

    if (!get_count (shape, n - 1 - i, &dim))
      return fail (file, place->name, error, "dimension %u is not a non-negative integer", n - 1 - i);
    if (dim > 0 && *bits > G_MAXINT64 / dim)
      return fail (file, place->name, error, "the product of its shape and dtype exceeds 2^63 - 1 bits");
    *bits *= dim;
    if (i < 4)
      place->dims[i] = dim;
  }
  place->n_dims = n;
  return TRUE;
}

static gboolean
get_place (GemmaFile *file, JsonNode *node, Place *place, GError **error)
{
  g_autofree gchar *prefix = g_strdup_printf ("tensor %s: ", place->name);
  GemmaJsonObject o = { NULL, file->path, prefix };
  JsonArray *offsets = NULL;
  gint64 bits = 0;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return fail (file, place->name, error, "its description is not an object");
  o.object = json_node_get_object (node);
  if (json_object_get_size (o.object) != 3)
    return fail (file, place->name, error, "exactly dtype, shape and data_offsets are expected");
  if (!get_dtype (file, &o, place->name, &place->dtype, error)
      || !get_shape (file, &o, place, &bits, error)
      || !gemma_json_get_array (&o, "data_offsets", &offsets, error))
    return FALSE;
  if (offsets == NULL || json_array_get_length (offsets) != 2 || !get_count (offsets, 0, &place->begin)
      || !get_count (offsets, 1, &place->end) || place->end < place->begin)
    return fail (file, place->name, error, "data_offsets must be two ascending integers");
  if (bits % 8 != 0 || bits / 8 != place->end - place->begin)
    return fail (file, place->name, error, "its shape and dtype %s need %" G_GINT64_FORMAT
        " bytes, its data_offsets span %" G_GINT64_FORMAT, dtypes[place->dtype].name, (bits + 7) / 8,
        place->end - place->begin);
  return TRUE;
}

static gboolean
check_metadata (GemmaFile *file, JsonNode *node, GError **error)
{
  JsonObjectIter iter;
  const gchar *key;
  JsonNode *value;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return fail (file, NULL, error, METADATA " is not an object");
  json_object_iter_init (&iter, json_node_get_object (node));
  while (json_object_iter_next (&iter, &key, &value))
    if (!JSON_NODE_HOLDS_VALUE (value) || json_node_get_value_type (value) != G_TYPE_STRING)
      return fail (file, NULL, error, METADATA ".%.80s is not a string", key);
  return TRUE;
}

static gint
by_begin (gconstpointer a, gconstpointer b)
{
  const Place *x = a, *y = b;

  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* The data is covered from its first byte to its last, without holes and overlaps. */
static gboolean
check_cover (GemmaFile *file, GArray *places, gint64 size, GError **error)
{
  gint64 at = 0;

  g_array_sort (places, by_begin);
  for (guint i = 0; i < places->len; i++) {
    const Place *place = &g_array_index (places, Place, i);

    if (place->begin != at)
      return fail (file, place->name, error, "data_offsets begin at %" G_GINT64_FORMAT ", the tensor before it ends at %"
          G_GINT64_FORMAT ": %s", place->begin, at, place->begin < at ? "an overlap" : "a hole");
    at = place->end;
  }
  if (at != size)
    return fail (file, places->len ? g_array_index (places, Place, places->len - 1).name : NULL, error,
        "the last tensor ends at %" G_GINT64_FORMAT ", the data at %" G_GINT64_FORMAT, at, size);
  return TRUE;
}

static GArray *
read_places (GemmaFile *file, JsonObject *header, gint64 size, GError **error)
{
  g_autoptr (GArray) places = g_array_new (FALSE, FALSE, sizeof (Place));
  JsonObjectIter iter;
  const gchar *name;
  JsonNode *node;

  json_object_iter_init (&iter, header);
  while (json_object_iter_next (&iter, &name, &node)) {
    Place place = { .name = name, .dims = { 1, 1, 1, 1 } };

    if (strcmp (name, METADATA) == 0) {
      if (!check_metadata (file, node, error))
        return NULL;
      continue;
    }
    if (!get_place (file, node, &place, error))
      return NULL;
    g_array_append_val (places, place);
  }
  return check_cover (file, places, size, error) ? g_steal_pointer (&places) : NULL;
}

/* The header as text; *@length its bytes. */
static gchar *
read_header (GemmaFile *file, gsize *length, GError **error)
{
  guint64 n;
  g_autofree gchar *text = NULL;

  if (file->size < sizeof n) {
    fail (file, NULL, error, "%" G_GSIZE_FORMAT " bytes; a safetensors file has at least 8", file->size);
    return NULL;
  }
  if (!gemma_file_read (file, 0, &n, sizeof n, error))
    return NULL;
  n = GUINT64_FROM_LE (n);
  if (n > MAX_HEADER || n > file->size - sizeof n) {
    fail (file, NULL, error, "a header of %" G_GUINT64_FORMAT " bytes; the format allows %d, the file has %"
        G_GSIZE_FORMAT, n, MAX_HEADER, file->size - sizeof n);
    return NULL;
  }
  text = g_try_malloc (n + 1);
  if (text == NULL) {
    fail (file, NULL, error, "no memory for a header of %" G_GUINT64_FORMAT " bytes", n);
    return NULL;
  }
  if (!gemma_file_read (file, sizeof n, text, n, error))
    return NULL;
  if (n == 0 || text[0] != '{') {
    fail (file, NULL, error, "the header does not begin with {");
    return NULL;
  }
  text[n] = '\0';
  *length = n;
  return g_steal_pointer (&text);
}

/* Adds the tensors of @file, which is taken. */
static gboolean
add_file (GemmaWeights *weights, GemmaFile *file, GError **error)
{
  gsize length;
  g_autofree gchar *text = NULL;
  g_autofree gchar *name = g_strconcat (file->path, ": header", NULL);
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GArray) places = NULL;

  g_ptr_array_add (weights->files, file);
  text = read_header (file, &length, error);
  if (text == NULL)
    return FALSE;
  root = gemma_json_parse_data (text, length, name, 4, error);
  if (root == NULL)
    return FALSE;
  places = read_places (file, json_node_get_object (root), file->size - sizeof (guint64) - length, error);
  if (places == NULL)
    return FALSE;
  for (guint i = 0; i < places->len; i++) {
    const Place *p = &g_array_index (places, Place, i);
    g_autofree gchar *gguf_name = gemma_name_from_hf (p->name);
    const gboolean deep = p->n_dims > 4;

    if (!gemma_weights_add (weights, file, gguf_name, p->name, deep ? OCL_N_TYPES : dtypes[p->dtype].type,
            deep ? "more than 4 dimensions" : dtypes[p->dtype].name, CLAMP (p->n_dims, 1, 4), p->dims,
            sizeof (guint64) + length + p->begin, p->end - p->begin, error))
      return FALSE;
  }
  return TRUE;
}

GemmaWeights *
gemma_weights_open_safetensors_data (gconstpointer data, gsize size, GError **error)
{
  GemmaWeights *weights = gemma_weights_new ("(memory)", FALSE);

  if (!add_file (weights, gemma_file_new_data (data, size, "(memory)"), error))
    g_clear_pointer (&weights, gemma_weights_unref);
  return weights;
}

/* ---- directories ---------------------------------------------------------------- */

static gboolean
add_path (GemmaWeights *weights, const gchar *path, GError **error)
{
  GemmaFile *file = gemma_file_open (path, error);

  return file && add_file (weights, file, error);
}

/* A shard is a file of the directory itself. */
static gboolean
add_shard (GemmaWeights *weights, const gchar *index, const gchar *shard, GHashTable *seen, GError **error)
{
  g_autofree gchar *path = NULL;

  if (g_hash_table_contains (seen, shard))
    return TRUE;
  if (shard[0] == '.' || strchr (shard, '/') || strchr (shard, '\\') || !g_str_has_suffix (shard, ".safetensors")) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: weight_map names %.200s; names of .safetensors files beside it are allowed", index, shard);
    return FALSE;
  }
  if (g_hash_table_size (seen) >= MAX_SHARDS) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: weight_map names more than %d files", index, MAX_SHARDS);
    return FALSE;
  }
  g_hash_table_add (seen, (gpointer) shard);
  path = g_build_filename (weights->path, shard, NULL);
  return add_path (weights, path, error);
}

/* Each tensor of the map must be in the shard that the map names. */
static gboolean
check_map (GemmaWeights *weights, const gchar *index, JsonObject *map, GError **error)
{
  JsonObjectIter iter;
  const gchar *name;
  JsonNode *node;

  json_object_iter_init (&iter, map);
  while (json_object_iter_next (&iter, &name, &node)) {
    g_autofree gchar *gguf = gemma_name_from_hf (name);
    const GemmaEntry *entry = g_hash_table_lookup (weights->by_name, gguf);
    g_autofree gchar *base = entry ? g_path_get_basename (entry->file->path) : NULL;

    if (base == NULL || strcmp (base, json_node_get_string (node)) != 0) {
      g_set_error (error, GEMMA_ERROR, base ? GEMMA_ERROR_INVALID : GEMMA_ERROR_NOT_FOUND,
          "%s: tensor %s is not in %s, which weight_map names%s%s", index, name, json_node_get_string (node),
          base ? ", but in " : "", base ? base : "");
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
add_index (GemmaWeights *weights, const gchar *index, GError **error)
{
  g_autoptr (JsonNode) node = gemma_json_parse_file (index, MAX_INDEX, GEMMA_JSON_DEPTH, error);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  GemmaJsonObject root, map;
  JsonObjectIter iter;
  const gchar *name;
  JsonNode *shard;

  if (node == NULL || !gemma_json_root (node, index, &root, error)
      || !gemma_json_get_object (&root, "weight_map", "weight_map.", &map, error))
    return FALSE;
  if (map.object == NULL) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: weight_map is missing", index);
    return FALSE;
  }
  json_object_iter_init (&iter, map.object);
  while (json_object_iter_next (&iter, &name, &shard)) {
    if (!JSON_NODE_HOLDS_VALUE (shard) || json_node_get_value_type (shard) != G_TYPE_STRING) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: weight_map.%.200s is not a string", index, name);
      return FALSE;
    }
    if (!add_shard (weights, index, json_node_get_string (shard), seen, error))
      return FALSE;
  }
  return check_map (weights, index, map.object, error);
}

GemmaWeights *
gemma_weights_open_hf (const gchar *directory, GError **error)
{
  g_autofree gchar *single = g_build_filename (directory, "model.safetensors", NULL);
  g_autofree gchar *index = g_build_filename (directory, "model.safetensors.index.json", NULL);
  GemmaWeights *weights = gemma_weights_new (directory, FALSE);
  gboolean ok;

  if (g_file_test (single, G_FILE_TEST_EXISTS)) {
    ok = add_path (weights, single, error);
  } else if (g_file_test (index, G_FILE_TEST_EXISTS)) {
    ok = add_index (weights, index, error);
  } else {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND,
        "%s: neither model.safetensors nor model.safetensors.index.json is there", directory);
    ok = FALSE;
  }
  if (!ok)
    g_clear_pointer (&weights, gemma_weights_unref);
  return weights;
}
