#include "weights-private.h"

#include "file.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tensors whose slices along dims[2] are matrices of their own. */
static const gchar *const stacked[] = { "altup_proj", "altup_unembd_proj" };
#define MAX_SLICES 16

/* Bytes read at a time where data must not be touched through the mapping. */
#define CHUNK 65536

/* ---- files ---------------------------------------------------------------------- */

GemmaFile *
gemma_file_open (const gchar *path, GError **error)
{
  GemmaFile *file;
  gpointer data = NULL;
  gsize size;
  gint fd = gemma_open_regular (path, &size, error);

  if (fd < 0)
    return NULL;
  if (size > 0)
    data = mmap (NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: cannot be mapped: %s", path, g_strerror (errno));
    close (fd);
    return NULL;
  }
  file = g_new0 (GemmaFile, 1);
  file->path = g_strdup (path);
  file->fd = fd;
  file->data = data;
  file->size = size;
  return file;
}

GemmaFile *
gemma_file_new_data (gconstpointer data, gsize size, const gchar *name)
{
  GemmaFile *file = g_new0 (GemmaFile, 1);

  file->path = g_strdup (name);
  file->fd = -1;
  file->data = data;
  file->size = size;
  return file;
}

void
gemma_file_free (GemmaFile *file)
{
  if (file == NULL)
    return;
  if (file->fd >= 0) {
    if (file->data)
      munmap ((gpointer) file->data, file->size);
    close (file->fd);
  }
  g_free (file->path);
  g_free (file);
}

static gboolean
shrunk (GemmaFile *file, GError **error)
{
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
      "%s: truncated since it was opened with %" G_GSIZE_FORMAT " bytes", file->path, file->size);
  return FALSE;
}

static gboolean
check_size (GemmaFile *file, GError **error)
{
  struct stat st;

  if (file->fd < 0)
    return TRUE;
  return (fstat (file->fd, &st) == 0 && (guint64) st.st_size >= file->size) || shrunk (file, error);
}

gboolean
gemma_file_read (GemmaFile *file, gsize offset, gpointer dst, gsize n, GError **error)
{
  guint8 *to = dst;

  if (offset > file->size || n > file->size - offset)
    return shrunk (file, error);
  if (file->fd < 0) {
    memcpy (dst, file->data + offset, n);
    return TRUE;
  }
  while (n > 0) {
    gssize got = pread (file->fd, to, n, offset);

    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: cannot be read: %s", file->path,
          g_strerror (errno));
      return FALSE;
    }
    if (got == 0)
      return shrunk (file, error);
    to += got;
    offset += got;
    n -= got;
  }
  return TRUE;
}

/* ---- the container -------------------------------------------------------------- */

static void
entry_free (gpointer data)
{
  GemmaEntry *entry = data;

  g_free (entry->name);
  g_free (entry->file_name);
  g_free (entry->copy);
  g_free (entry);
}

GemmaWeights *
gemma_weights_new (const gchar *path, gboolean is_gguf)
{
  GemmaWeights *weights = g_new0 (GemmaWeights, 1);

  weights->ref_count = 1;
  weights->path = g_strdup (path);
  weights->is_gguf = is_gguf;
  weights->files = g_ptr_array_new_with_free_func ((GDestroyNotify) gemma_file_free);
  weights->entries = g_ptr_array_new_with_free_func (entry_free);
  weights->slices = g_ptr_array_new_with_free_func (entry_free);
  weights->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  g_mutex_init (&weights->lock);
  return weights;
}

GemmaWeights *
gemma_weights_ref (GemmaWeights *weights)
{
  g_atomic_int_inc (&weights->ref_count);
  return weights;
}

void
gemma_weights_unref (GemmaWeights *weights)
{
  if (weights == NULL || !g_atomic_int_dec_and_test (&weights->ref_count))
    return;
  g_hash_table_unref (weights->by_name);
  g_clear_pointer (&weights->overlay, gemma_weights_unref);
  g_clear_pointer (&weights->values, g_hash_table_unref);
  g_ptr_array_unref (weights->slices);
  g_ptr_array_unref (weights->entries);
  g_ptr_array_unref (weights->files);
  g_mutex_clear (&weights->lock);
  g_free (weights->header);
  g_free (weights->path);
  g_free (weights);
}

void
gemma_weights_forget_keys (GemmaWeights *weights)
{
  g_clear_pointer (&weights->values, g_hash_table_unref);
  g_clear_pointer (&weights->header, g_free);
}

static GemmaEntry *
entry_new (GemmaFile *file, gchar *name, const gchar *file_name, OclType type, const gchar *type_name, guint n_dims,
    const gint64 *dims, gsize offset, gsize bytes)
{
  GemmaEntry *entry = g_new0 (GemmaEntry, 1);

  entry->name = name;
  entry->file_name = g_strdup (file_name);
  entry->file = file;
  entry->offset = offset;
  entry->type_name = type_name;
  entry->t.name = name;
  entry->t.type = type;
  entry->t.n_dims = n_dims;
  for (guint i = 0; i < 4; i++)
    entry->t.dims[i] = i < n_dims ? dims[i] : 1;
  entry->t.data = file->data + offset;
  entry->t.bytes = bytes;
  return entry;
}

/* "altup_proj.weight" [C, C, 3] is also "altup_proj.0.weight" ... */
static void
add_slices (GemmaWeights *weights, GemmaEntry *whole)
{
  const gint64 n = whole->t.dims[2];

  if (whole->t.n_dims != 3 || n < 1 || n > MAX_SLICES)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (stacked); i++) {
    g_autofree gchar *name = g_strconcat (stacked[i], ".weight", NULL);

    if (strcmp (whole->t.name, name) != 0)
      continue;
    for (gint64 k = 0; k < n; k++) {
      gsize bytes = whole->t.bytes / n;
      GemmaEntry *slice = entry_new (whole->file, g_strdup_printf ("%s.%d.weight", stacked[i], (gint) k),
          whole->file_name, whole->t.type, whole->type_name, 2, whole->t.dims, whole->offset + k * bytes, bytes);

      g_ptr_array_add (weights->slices, slice);
      if (!g_hash_table_contains (weights->by_name, slice->name))
        g_hash_table_insert (weights->by_name, slice->name, slice);
    }
  }
}

gboolean
gemma_weights_add (GemmaWeights *weights, GemmaFile *file, const gchar *name, const gchar *file_name, OclType type,
    const gchar *type_name, guint n_dims, const gint64 *dims, gsize offset, gsize bytes, GError **error)
{
  GemmaEntry *entry;

  if (g_hash_table_contains (weights->by_name, name)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: duplicate tensor %s%s%s%s", file->path, file_name,
        strcmp (name, file_name) ? " (" : "", strcmp (name, file_name) ? name : "",
        strcmp (name, file_name) ? ")" : "");
    return FALSE;
  }
  entry = entry_new (file, g_strdup (name), file_name, type, type_name, n_dims, dims, offset, bytes);
  g_ptr_array_add (weights->entries, entry);
  g_hash_table_insert (weights->by_name, entry->name, entry);
  add_slices (weights, entry);
  return TRUE;
}

void
gemma_weights_take_overlay (GemmaWeights *weights, GemmaWeights *overlay)
{
  g_return_if_fail (weights->overlay == NULL);
  weights->overlay = overlay;
  for (guint i = 0; i < overlay->entries->len; i++) {
    GemmaEntry *entry = g_ptr_array_index (overlay->entries, i);

    g_hash_table_replace (weights->by_name, entry->name, entry);
  }
}

const gchar *
gemma_weights_get_path (GemmaWeights *weights)
{
  return weights->path;
}

gboolean
gemma_weights_is_gguf (GemmaWeights *weights)
{
  return weights->is_gguf;
}

guint
gemma_weights_get_n_tensors (GemmaWeights *weights)
{
  return weights->entries->len;
}

const GemmaTensor *
gemma_weights_get_nth (GemmaWeights *weights, guint n)
{
  return n < weights->entries->len ? g_ptr_array_index (weights->entries, n) : NULL;
}

const GemmaTensor *
gemma_weights_peek (GemmaWeights *weights, const gchar *name)
{
  return g_hash_table_lookup (weights->by_name, name);
}

/* ---- finding -------------------------------------------------------------------- */

static gchar *
shape_to_string (guint n_dims, const gint64 *dims)
{
  GString *s = g_string_new ("[");

  for (guint i = 0; i < n_dims; i++) {
    if (i > 0)
      g_string_append (s, ", ");
    if (dims[i] < 0)
      g_string_append (s, "any");
    else
      g_string_append_printf (s, "%" G_GINT64_FORMAT, dims[i]);
  }
  return g_string_free (g_string_append_c (s, ']'), FALSE);
}

static guint
drop_ones (guint n_dims, const gint64 *dims, gint64 *out)
{
  guint n = 0;

  for (guint i = 0; i < n_dims; i++)
    if (dims[i] != 1)
      out[n++] = dims[i];
  return n;
}

static gboolean
same_dims (guint n_a, const gint64 *a, guint n_b, const gint64 *b)
{
  for (guint i = 0; i < MAX (n_a, n_b); i++) {
    gint64 x = i < n_a ? a[i] : 1, y = i < n_b ? b[i] : 1;
    if (x >= 0 && y >= 0 && x != y)
      return FALSE;
  }
  return TRUE;
}

/* Dimensions of 1 do not matter: norms of [C] are also written [1, 1, C, 1]. */
static gboolean
shape_matches (const GemmaTensor *t, guint n_dims, const gint64 *dims)
{
  gint64 a[4], b[4];
  guint n_a, n_b;

  if (same_dims (t->n_dims, t->dims, n_dims, dims))
    return TRUE;
  n_a = drop_ones (t->n_dims, t->dims, a);
  n_b = drop_ones (n_dims, dims, b);
  return same_dims (n_a, a, n_b, b);
}

/* Rows of the last dimensions, columns of the first: [3, 3, 128, 32] is also 32 x 1152. */
static gboolean
groups_to (const GemmaTensor *t, gint64 rows, gint64 cols)
{
  gint64 left = 1, all = 1;
  guint i;

  for (i = 0; i < t->n_dims; i++)
    all *= t->dims[i];          /* does not overflow: readers check it */
  if (rows < 1 || cols < 1 || all / rows != cols || all % rows != 0)
    return FALSE;
  for (i = 0; i < t->n_dims && left < cols; i++)
    left *= t->dims[i];
  return left == cols;
}

static gboolean
wrong_shape (GemmaEntry *entry, guint n_dims, const gint64 *dims, GError **error)
{
  g_autofree gchar *found = shape_to_string (entry->t.n_dims, entry->t.dims);
  g_autofree gchar *wanted = shape_to_string (n_dims, dims);

  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: tensor %s has shape %s (fastest first); %s is expected",
      entry->file->path, entry->file_name, found, wanted);
  return FALSE;
}

/* Present, of a type that we compute with, and its file whole. */
static GemmaEntry *
find_entry (GemmaWeights *weights, const gchar *name, GError **error)
{
  GemmaEntry *entry = g_hash_table_lookup (weights->by_name, name);

  if (entry == NULL) {
    g_autofree gchar *hf = weights->is_gguf ? NULL : gemma_name_to_hf (name);
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: tensor %s is missing", weights->path,
        hf ? hf : name);
    return NULL;
  }
  if (entry->t.type >= OCL_N_TYPES) {
    const gchar *names[OCL_N_TYPES + 1] = { NULL };
    g_autofree gchar *list = NULL;

    for (guint i = 0; i < OCL_N_TYPES; i++)
      names[i] = ocl_type_info (i)->name;
    list = g_strjoinv (", ", (gchar **) names);
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "%s: tensor %s is of type %s; supported are %s",
        entry->file->path, entry->file_name, entry->type_name, list);
    return NULL;
  }
  return check_size (entry->file, error) ? entry : NULL;
}

const GemmaTensor *
gemma_weights_find (GemmaWeights *weights, const gchar *name, GError **error, guint n_dims, ...)
{
  GemmaEntry *entry;
  gint64 dims[4] = { 1, 1, 1, 1 };
  va_list args;

  g_return_val_if_fail (n_dims <= 4, NULL);
  va_start (args, n_dims);
  for (guint i = 0; i < n_dims; i++)
    dims[i] = va_arg (args, gint);
  va_end (args);

  entry = find_entry (weights, name, error);
  if (entry == NULL)
    return NULL;
  if (!shape_matches (&entry->t, n_dims, dims)) {
    wrong_shape (entry, n_dims, dims, error);
    return NULL;
  }
  return &entry->t;
}

static GemmaEntry *
find_matrix_entry (GemmaWeights *weights, const gchar *name, gint rows, gint cols, GError **error)
{
  GemmaEntry *entry = find_entry (weights, name, error);
  const gint64 dims[2] = { cols, rows };

  if (entry && !groups_to (&entry->t, rows, cols)) {
    wrong_shape (entry, 2, dims, error);
    return NULL;
  }
  return entry;
}

gboolean
gemma_weights_check_shape (GemmaWeights *weights, const gchar *name, gint64 rows, gint64 cols, GError **error)
{
  GemmaEntry *entry = g_hash_table_lookup (weights->by_name, name);
  const gint64 dims[2] = { cols, rows };

  return entry == NULL || groups_to (&entry->t, rows, cols) || wrong_shape (entry, 2, dims, error);
}

/* ---- encoders ------------------------------------------------------------------- */

static gboolean
is_q8_0 (const gchar *type)
{
  return type != NULL && g_ascii_strcasecmp (type, "q8_0") == 0;
}

gboolean
gemma_weights_check_encoder_type (const gchar *type, GError **error)
{
  if (type == NULL || *type == '\0' || g_ascii_strcasecmp (type, "auto") == 0 || is_q8_0 (type))
    return TRUE;
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_SETTING, "the encoder's weights are \"%s\"; allowed are auto and q8_0", type);
  return FALSE;
}

gboolean
gemma_weights_round_encoders (GemmaWeights *weights, const gchar *type, GError **error)
{
  weights->rounds_encoders = is_q8_0 (type);
  return gemma_weights_check_encoder_type (type, error);
}

gboolean
gemma_weights_rounds_encoders (GemmaWeights *weights)
{
  return weights->rounds_encoders;
}

/* ---- reading -------------------------------------------------------------------- */

static gboolean
not_finite (GemmaEntry *entry, gsize offset, const gchar *what, GError **error)
{
  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
      "%s: tensor %s has %s that is not finite, near byte %" G_GSIZE_FORMAT " of its data", entry->file->path,
      entry->file_name, what, offset);
  return FALSE;
}

gboolean
gemma_entry_read (GemmaEntry *entry, gsize offset, gint64 n, gfloat *dst, GError **error)
{
  const OclTypeInfo *info = ocl_type_info (entry->t.type);
  gfloat chunk[CHUNK / sizeof (gfloat)];
  const gint64 step = CHUNK / info->bytes * info->block;

  while (n > 0) {
    gint64 part = MIN (n, step);
    gsize bytes = part / info->block * info->bytes;
    gboolean finite = TRUE;

    if (!gemma_file_read (entry->file, entry->offset + offset, chunk, bytes, error))
      return FALSE;
    ocl_type_dequantize (entry->t.type, chunk, dst, part);
    for (gint64 i = 0; i < part; i++)
      finite &= isfinite (dst[i]) != 0;
    if (!finite)
      return not_finite (entry, offset, "a value", error);
    dst += part;
    n -= part;
    offset += bytes;
  }
  return TRUE;
}

gfloat *
gemma_weights_read_f32 (GemmaWeights *weights, const gchar *name, gint rows, gint cols, GError **error)
{
  GemmaEntry *entry = find_matrix_entry (weights, name, rows, cols, error);
  g_autofree gfloat *values = NULL;

  if (entry == NULL)
    return NULL;
  values = g_try_new (gfloat, (gsize) rows * cols);
  if (values == NULL) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: tensor %s does not fit into memory",
        entry->file->path, entry->file_name);
    return NULL;
  }
  if (!gemma_entry_read (entry, 0, (gint64) rows * cols, values, error))
    return NULL;
  return g_steal_pointer (&values);
}

gboolean
gemma_weights_read_row (GemmaWeights *weights, const GemmaTensor *tensor, gint64 row, gfloat *dst, GError **error)
{
  GemmaEntry *entry = (GemmaEntry *) tensor;
  const gint64 cols = tensor->dims[0];
  gint64 rows = 1;

  for (guint i = 1; i < tensor->n_dims; i++)
    rows *= tensor->dims[i];
  if (tensor->type >= OCL_N_TYPES || row < 0 || row >= rows) {
    g_set_error (error, GEMMA_ERROR, tensor->type >= OCL_N_TYPES ? GEMMA_ERROR_UNSUPPORTED : GEMMA_ERROR_INVALID,
        "%s: tensor %s of type %s has %" G_GINT64_FORMAT " rows; row %" G_GINT64_FORMAT " cannot be read",
        entry->file->path, entry->file_name, entry->type_name, rows, row);
    return FALSE;
  }
  return gemma_entry_read (entry, row * ocl_type_row_bytes (tensor->type, cols), cols, dst, error);
}

gboolean
gemma_weights_check_scales (const GemmaTensor *tensor, GError **error)
{
  GemmaEntry *entry = (GemmaEntry *) tensor;
  const OclTypeInfo *info;
  guint8 chunk[CHUNK];
  gsize step;

  info = tensor->type < OCL_N_TYPES ? ocl_type_info (tensor->type) : NULL;
  if (info == NULL || info->n_halves == 0)
    return TRUE;
  step = CHUNK / info->bytes * info->bytes;
  for (gsize at = 0; at < tensor->bytes; at += step) {
    gsize n = MIN (step, tensor->bytes - at);

    if (!gemma_file_read (entry->file, entry->offset + at, chunk, n, error))
      return FALSE;
    /* the exponent of a half is all ones for NaN and infinity */
    for (gsize i = 0; i < n; i += info->bytes)
      for (guint h = 0; h < info->n_halves; h++)
        if ((chunk[i + info->half_at[h] + 1] & 0x7c) == 0x7c)
          return not_finite (entry, at + i, "a block scale", error);
  }
  return TRUE;
}

/* The exponent of NaN and infinity is all ones: bits of the last two bytes of a float or bfloat16, or of a half's last one. */
static gboolean
is_infinite (const guint8 *end, OclType type)
{
  return type == OCL_TYPE_F16 ? (end[-1] & 0x7c) == 0x7c : (end[-1] & 0x7f) == 0x7f && end[-2] & 0x80;
}

gboolean
gemma_weights_check_values (GemmaWeights *weights, const gchar *name, GError **error)
{
  GemmaEntry *entry = (GemmaEntry *) gemma_weights_peek (weights, name);
  guint8 chunk[CHUNK];

  if (entry == NULL || entry->t.type >= OCL_N_TYPES || ocl_type_info (entry->t.type)->block > 1)
    return TRUE;
  const gsize size = ocl_type_row_bytes (entry->t.type, 1);
  for (gsize at = 0; at < entry->t.bytes; at += CHUNK / size * size) {
    const gsize n = MIN (CHUNK / size * size, entry->t.bytes - at);

    if (!gemma_file_read (entry->file, entry->offset + at, chunk, n, error))
      return FALSE;
    for (gsize i = size; i <= n; i += size)
      if (is_infinite (chunk + i, entry->t.type))
        return not_finite (entry, at + i - size, "a value", error);
  }
  return TRUE;
}

/* The data, or a copy where the file (a safetensors header of odd length) leaves it unaligned. */
static gconstpointer
aligned_data (GemmaWeights *weights, GemmaEntry *entry, GError **error)
{
  const gsize align = entry->t.type == OCL_TYPE_F32 ? 4 : 2;
  gconstpointer data = entry->t.data;

  if ((gsize) entry->t.data % align == 0)
    return data;
  g_mutex_lock (&weights->lock);
  if (entry->copy == NULL) {
    gpointer copy = g_try_malloc (entry->t.bytes);

    if (copy == NULL)
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: tensor %s does not fit into memory",
          entry->file->path, entry->file_name);
    else if (gemma_file_read (entry->file, entry->offset, copy, entry->t.bytes, error))
      entry->copy = g_steal_pointer (&copy);
    g_free (copy);
  }
  data = entry->copy;
  g_mutex_unlock (&weights->lock);
  return data;
}

gboolean
gemma_weights_find_matrix (GemmaWeights *weights, const gchar *name, gint rows, gint cols, OclMatrix *matrix,
    GError **error)
{
  GemmaEntry *entry = find_matrix_entry (weights, name, rows, cols, error);
  gconstpointer data;

  if (entry == NULL || !gemma_weights_check_scales (&entry->t, error))
    return FALSE;
  data = aligned_data (weights, entry, error);
  if (data == NULL)
    return FALSE;
  *matrix = (OclMatrix) { entry->t.type, rows, cols, data };
  return TRUE;
}
