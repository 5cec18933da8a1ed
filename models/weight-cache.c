#include "weight-cache.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights-private.h"

#define LAYOUT "gst-gemma weights 1"
#define KEY "gst-gemma.key"     /* of its metadata */
#define SUM "gst-gemma.sum"
#define SUM_DIGITS 16
#define ALIGNMENT 32
#define STRETCH 32768           /* values at a time */
#define READ_BYTES (1 << 20)

static const struct
{
  const gchar *name;
  OclType type;
} types[] = {
  { "q4_0", OCL_TYPE_Q4_0 }, { "q8_0", OCL_TYPE_Q8_0 }, { "bf16", OCL_TYPE_BF16 }, { "f32", OCL_TYPE_F32 },
};

/* A tensor of the file. */
typedef struct
{
  GemmaEntry *source;
  OclType type;
  gsize offset, bytes;          /* in the data */
} Item;

typedef struct
{
  GemmaWeights *weights;        /* not owned */
  const gchar *name;            /* of the type */
  GArray *items;
  gsize bytes;                  /* of the data */
  gchar *key, *path;
} Plan;

/* ---- what is made ------------------------------------------------------------------------------- */

static gint
find_type (const gchar *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_ascii_strcasecmp (types[i].name, name) == 0)
      return i;
  return -1;
}

static gboolean
is_auto (const gchar *type)
{
  return type == NULL || *type == '\0' || g_ascii_strcasecmp (type, "auto") == 0;
}

gboolean
gemma_weights_check_type (const gchar *path, const gchar *type, GError **error)
{
  if (is_auto (type))
    return TRUE;
  if (find_type (type) < 0) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_SETTING,
        "weights is \"%s\"; allowed are auto, q4_0, q8_0, bf16 and f32", type);
    return FALSE;
  }
  if (!g_file_test (path, G_FILE_TEST_IS_DIR)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_SETTING,
        "weights is \"%s\", but %s has types of its own; only a Hugging Face directory can be quantized", type, path);
    return FALSE;
  }
  return TRUE;
}

static gboolean
is_text (const gchar *name)
{
  static const gchar *const prefixes[] = { "blk.", "enc.", "dec.", "token_embd.", "per_layer_", "altup_", "output" };

  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (g_str_has_prefix (name, prefixes[i]))
      return TRUE;
  return FALSE;
}

static guint
bits_of (OclType type)
{
  const OclTypeInfo *info = ocl_type_info (type);

  return info->bytes * 8 * 32 / info->block;
}

/* What stays is what llama-quantize never touches; tables, of which a row is read alone, keep 8 bits. */
static OclType
type_of (const GemmaTensor *t, OclType wanted)
{
  const gboolean table = strstr (t->name, "token_embd.") != NULL;
  const gboolean kept = strstr (t->name, "altup") || strstr (t->name, "laurel")
      || strstr (t->name, "per_layer_model_proj");

  if (table && wanted == OCL_TYPE_Q4_0)
    wanted = OCL_TYPE_Q8_0;
  if (ocl_type_info (wanted)->block > 1 && (kept || t->dims[0] % 32 != 0))
    return t->type;
  return t->n_dims < 2 || bits_of (wanted) >= bits_of (t->type) ? t->type : wanted;
}

static gint
compare_items (gconstpointer a, gconstpointer b)
{
  return strcmp (((const Item *) a)->source->name, ((const Item *) b)->source->name);
}

/* FALSE if all stays as it is. */
static gboolean
list_items (Plan *plan, OclType wanted)
{
  gboolean any = FALSE;

  for (guint i = 0; i < plan->weights->entries->len; i++) {
    Item item = { g_ptr_array_index (plan->weights->entries, i) };

    if (!is_text (item.source->name) || item.source->t.type >= OCL_N_TYPES)
      continue;
    item.type = type_of (&item.source->t, wanted);
    any |= item.type != item.source->t.type;
    g_array_append_val (plan->items, item);
  }
  g_array_sort (plan->items, compare_items);
  for (guint i = 0; i < plan->items->len; i++) {
    Item *item = &g_array_index (plan->items, Item, i);
    const OclTypeInfo *from = ocl_type_info (item->source->t.type), *to = ocl_type_info (item->type);

    item->bytes = item->source->t.bytes / from->bytes * from->block / to->block * to->bytes;
    item->offset = plan->bytes;
    plan->bytes += (item->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  return any;
}

/* All that the contents depend on. */
static gchar *
make_key (const Plan *plan)
{
  g_autoptr (GString) all = g_string_new (LAYOUT "\n");

  g_string_append_printf (all, "%s\n", plan->name);
  for (guint i = 0; i < plan->weights->files->len; i++) {
    const GemmaFile *file = g_ptr_array_index (plan->weights->files, i);
    g_autofree gchar *path = g_canonicalize_filename (file->path, NULL);
    struct stat st = { 0, };

    fstat (file->fd, &st);
    g_string_append_printf (all, "%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld\n", path, (guint64) st.st_size,
        (gint64) st.st_mtim.tv_sec, (glong) st.st_mtim.tv_nsec);
  }
  for (guint i = 0; i < plan->items->len; i++) {
    const Item *item = &g_array_index (plan->items, Item, i);

    g_string_append_printf (all, "%s %u %u %" G_GSIZE_FORMAT " %" G_GSIZE_FORMAT "\n", item->source->name,
        item->source->t.type, item->type, item->source->offset, item->source->t.bytes);
  }
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, all->str, all->len);
}

/* One file for a directory and a type. */
static gchar *
make_path (const Plan *plan)
{
  g_autofree gchar *folder = ocl_cache_dir (), *directory = g_canonicalize_filename (plan->weights->path, NULL);
  g_autofree gchar *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, directory, -1);
  g_autofree gchar *file = g_strdup_printf ("weights-%.32s-%s.gguf", sum, plan->name);

  return g_build_filename (folder, file, NULL);
}

/* ---- the sum ---------------------------------------------------------------------------------------- */

typedef struct
{
  guint64 lanes[4];
} Sum;

/* @n is a multiple of 32 but at the end, and zeros at the end count. */
static void
sum_add (Sum *sum, const guint8 *data, gsize n)
{
  for (gsize i = 0; i < n; i += 32) {
    guint64 words[4] = { 0 };

    memcpy (words, data + i, MIN (n - i, 32));
    for (guint k = 0; k < 4; k++) {
      sum->lanes[k] = (sum->lanes[k] ^ words[k]) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
      sum->lanes[k] ^= sum->lanes[k] >> 29;
    }
  }
}

static void
sum_print (const Sum *sum, gsize size, gchar digits[SUM_DIGITS + 1])
{
  guint64 all = size;

  for (guint k = 0; k < 4; k++)
    all = (all ^ sum->lanes[k]) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9) + k;
  g_snprintf (digits, SUM_DIGITS + 1, "%016" G_GINT64_MODIFIER "x", all);
}

/* Of all that is in the file, with zeros in place of the sum, whose place is @sum_at. */
static gboolean
sum_file (gint fd, gsize size, gsize sum_at, gchar digits[SUM_DIGITS + 1])
{
  g_autofree guint8 *buffer = g_malloc (READ_BYTES);
  Sum sum = { { 1, 2, 3, 4 } };

  for (gsize at = 0; at < size;) {
    const gsize wanted = MIN (size - at, READ_BYTES);
    gsize n = 0;

    while (n < wanted) {
      const gssize got = pread (fd, buffer + n, wanted - n, at + n);

      if (got <= 0 && !(got < 0 && errno == EINTR))
        return FALSE;
      n += MAX (got, 0);
    }
    if (at == 0 && sum_at + SUM_DIGITS <= n)    /* the metadata is short */
      memset (buffer + sum_at, '0', SUM_DIGITS);
    sum_add (&sum, buffer, n);
    at += n;
  }
  sum_print (&sum, size, digits);
  return TRUE;
}

/* ---- the file's header ---------------------------------------------------------------------------------- */

static void
put_u32 (GByteArray *out, guint32 x)
{
  x = GUINT32_TO_LE (x);
  g_byte_array_append (out, (const guint8 *) &x, sizeof x);
}

static void
put_u64 (GByteArray *out, guint64 x)
{
  x = GUINT64_TO_LE (x);
  g_byte_array_append (out, (const guint8 *) &x, sizeof x);
}

static void
put_string (GByteArray *out, const gchar *s)
{
  put_u64 (out, strlen (s));
  g_byte_array_append (out, (const guint8 *) s, strlen (s));
}

/* GGUF, version 3; @sum_at: where the sum's digits are. */
static GByteArray *
make_header (const Plan *plan, gsize *sum_at)
{
  const guint32 string = 8;
  static const guint8 zeros[ALIGNMENT];
  GByteArray *out = g_byte_array_new ();

  g_byte_array_append (out, (const guint8 *) "GGUF", 4);
  put_u32 (out, 3);
  put_u64 (out, plan->items->len);
  put_u64 (out, 2);
  put_string (out, SUM);
  put_u32 (out, string);
  put_string (out, "0000000000000000");
  *sum_at = out->len - SUM_DIGITS;
  put_string (out, KEY);
  put_u32 (out, string);
  put_string (out, plan->key);
  for (guint i = 0; i < plan->items->len; i++) {
    const Item *item = &g_array_index (plan->items, Item, i);

    put_string (out, item->source->name);
    put_u32 (out, item->source->t.n_dims);
    for (guint d = 0; d < item->source->t.n_dims; d++)
      put_u64 (out, item->source->t.dims[d]);
    put_u32 (out, gemma_gguf_type (item->type));
    put_u64 (out, item->offset);
  }
  g_byte_array_append (out, zeros, -out->len % ALIGNMENT);
  return out;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

/* Whether @file is what would be made: its sum, its key, its tensors. */
static gboolean
is_valid (const Plan *plan, GemmaWeights *file)
{
  const GemmaFile *mapped = g_ptr_array_index (file->files, 0);
  g_autoptr (GByteArray) header = NULL;
  gchar digits[SUM_DIGITS + 1];
  const gchar *sum = gemma_weights_get_string (file, SUM, NULL), *key = gemma_weights_get_string (file, KEY, NULL);
  gsize sum_at;

  if (g_strcmp0 (key, plan->key) != 0 || file->entries->len != plan->items->len)
    return FALSE;
  header = make_header (plan, &sum_at);
  if (mapped->size != header->len + plan->bytes || !sum_file (mapped->fd, mapped->size, sum_at, digits)
      || g_strcmp0 (sum, digits) != 0)
    return FALSE;
  for (guint i = 0; i < plan->items->len; i++) {
    const Item *item = &g_array_index (plan->items, Item, i);
    const GemmaTensor *t = gemma_weights_peek (file, item->source->name);

    if (t == NULL || t->type != item->type || t->bytes != item->bytes)
      return FALSE;
  }
  return TRUE;
}

/* (nullable): without an error, whatever is wrong. */
static GemmaWeights *
open_valid (const Plan *plan)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *file = gemma_weights_open_gguf (plan->path, &error);

  if (file != NULL && !is_valid (plan, file)) {
    g_set_error (&error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: is of another model, or damaged", plan->path);
    g_clear_pointer (&file, gemma_weights_unref);
  }
  if (file == NULL)
    g_info ("%s; it will be made", error->message);
  return file;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

typedef struct
{
  const Plan *plan;
  FILE *file;
  gsize done;                   /* of the data */
  GCancellable *cancellable;
  GemmaProgressFunc progress;
  gpointer user_data;
} Writer;

static gboolean
write_failed (const Writer *w, GError **error)
{
  const gint e = errno;

  g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: cannot be written (it takes %" G_GSIZE_FORMAT " MB): %s",
      w->plan->path, w->plan->bytes >> 20, g_strerror (e));
  return FALSE;
}

static gboolean
step (Writer *w, gsize bytes, GError **error)
{
  const gint before = w->done * 100. / w->plan->bytes, now = (w->done + bytes) * 100. / w->plan->bytes;

  w->done += bytes;
  if (g_cancellable_is_cancelled (w->cancellable)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_CANCELLED, "%s: loading was cancelled", w->plan->weights->path);
    return FALSE;
  }
  if (w->progress && now != before) {
    g_autofree gchar *what = g_strdup_printf ("quantizing weights to %s", w->plan->name);

    w->progress (w->done / (gdouble) w->plan->bytes, what, w->user_data);
  }
  return TRUE;
}

static gboolean
write_item (Writer *w, const Item *item, GError **error)
{
  const OclTypeInfo *from = ocl_type_info (item->source->t.type), *to = ocl_type_info (item->type);
  const gint64 n = item->source->t.bytes / from->bytes * from->block;
  g_autofree gfloat *values = g_new (gfloat, STRETCH);
  g_autofree guint8 *bytes = g_malloc (STRETCH * sizeof (gfloat));

  for (gint64 i = 0; i < n; i += STRETCH) {
    const gint64 part = MIN (n - i, STRETCH);
    const gsize size = part / to->block * to->bytes;
    gboolean ok;

    if (item->type == item->source->t.type) {
      ok = gemma_file_read (item->source->file, item->source->offset + i / to->block * to->bytes, bytes, size, error);
    } else {
      ok = gemma_entry_read (item->source, i / from->block * from->bytes, part, values, error);
      if (ok)
        ocl_type_quantize (item->type, values, bytes, part);
    }
    if (!ok)
      return FALSE;
    if (fwrite (bytes, 1, size, w->file) != size)
      return write_failed (w, error);
    if (!step (w, size, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_all (Writer *w, GError **error)
{
  static const guint8 zeros[ALIGNMENT];
  gsize sum_at;
  g_autoptr (GByteArray) header = make_header (w->plan, &sum_at);
  gchar digits[SUM_DIGITS + 1];

  if (fwrite (header->data, 1, header->len, w->file) != header->len)
    return write_failed (w, error);
  for (guint i = 0; i < w->plan->items->len; i++) {
    const Item *item = &g_array_index (w->plan->items, Item, i);
    const gsize padding = -item->bytes % ALIGNMENT;

    if (!write_item (w, item, error))
      return FALSE;
    if (fwrite (zeros, 1, padding, w->file) != padding)
      return write_failed (w, error);
    w->done += padding;
  }
  if (fflush (w->file) != 0 || !sum_file (fileno (w->file), header->len + w->plan->bytes, sum_at, digits)
      || pwrite (fileno (w->file), digits, SUM_DIGITS, sum_at) != SUM_DIGITS || fsync (fileno (w->file)) != 0)
    return write_failed (w, error);
  return TRUE;
}

/* Under another name until it is whole. */
static gboolean
make_file (Writer *w, GError **error)
{
  g_autofree gchar *folder = g_path_get_dirname (w->plan->path);
  g_autofree gchar *temporary = g_strconcat (w->plan->path, ".XXXXXX", NULL);
  gboolean ok;
  gint fd = g_mkdir_with_parents (folder, 0700) == 0 ? g_mkstemp (temporary) : -1;

  if (fd < 0)
    return write_failed (w, error);
  w->file = fdopen (fd, "w+");
  ok = write_all (w, error);
  if (fclose (w->file) != 0 && ok)
    ok = write_failed (w, error);
  if (ok && g_rename (temporary, w->plan->path) != 0)
    ok = write_failed (w, error);
  if (!ok)
    g_unlink (temporary);
  return ok;
}

/* ---- all together ------------------------------------------------------------------------------------------------ */

static GemmaWeights *
open_or_make (Writer *w, gboolean *made, GError **error)
{
  GemmaWeights *file = open_valid (w->plan);

  *made = file == NULL;
  if (file != NULL || !make_file (w, error))
    return file;
  file = open_valid (w->plan);
  if (file == NULL)
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: is not what has been written", w->plan->path);
  return file;
}

gboolean
gemma_weights_requantize (GemmaWeights *weights, const gchar *type, GCancellable *cancellable, GemmaProgressFunc progress,
    gpointer user_data, gboolean *made, GError **error)
{
  Plan plan = { weights };
  Writer writer = { &plan, NULL, 0, cancellable, progress, user_data };
  gboolean own_made = FALSE, ok = TRUE;
  gint index;

  if (!gemma_weights_check_type (weights->path, type, error))
    return FALSE;
  index = is_auto (type) ? -1 : find_type (type);
  plan.items = g_array_new (FALSE, FALSE, sizeof (Item));
  if (index >= 0) {
    plan.name = types[index].name;
    if (list_items (&plan, types[index].type)) {
      plan.key = make_key (&plan);
      plan.path = make_path (&plan);
      GemmaWeights *file = open_or_make (&writer, &own_made, error);
      ok = file != NULL;
      if (ok)
        gemma_weights_take_overlay (weights, file);
    }
  }
  if (made)
    *made = own_made;
  g_array_unref (plan.items);
  g_free (plan.key);
  g_free (plan.path);
  return ok;
}
