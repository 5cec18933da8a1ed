#include "npy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct
{
  const gchar *descr;
  gsize size;
} types[] = {
  [NPY_F32] = {"<f4", 4},
  [NPY_I32] = {"<i4", 4},
  [NPY_I64] = {"<i8", 8},
};

#define MAGIC "\x93NUMPY"
#define MAX_HEADER 4096

/* After "'key':" and spaces, or NULL. */
static const gchar *
header_value (const gchar *header, const gchar *key)
{
  g_autofree gchar *quoted = g_strdup_printf ("'%s':", key);
  const gchar *p = strstr (header, quoted);

  if (!p)
    return NULL;
  p += strlen (quoted);
  while (*p == ' ')
    p++;
  return p;
}

static gboolean
parse_shape (const gchar *p, Npy *npy)
{
  npy->n = 1;
  if (*p++ != '(')
    return FALSE;
  for (;;) {
    gchar *end;
    guint64 dim;

    while (*p == ' ' || *p == ',')
      p++;
    if (*p == ')')
      return TRUE;
    if (!g_ascii_isdigit (*p) || npy->n_dims == NPY_MAX_DIMS)
      return FALSE;
    dim = g_ascii_strtoull (p, &end, 10);
    if (dim > G_MAXINT64 / 8 || !g_size_checked_mul (&npy->n, npy->n, dim))
      return FALSE;
    npy->dims[npy->n_dims++] = dim;
    p = end;
  }
}

static gboolean
parse_header (const gchar *header, Npy *npy)
{
  const gchar *descr = header_value (header, "descr");
  const gchar *order = header_value (header, "fortran_order");
  const gchar *shape = header_value (header, "shape");
  guint i;

  if (!descr || !order || !shape || !g_str_has_prefix (order, "False"))
    return FALSE;
  for (i = 0; i < G_N_ELEMENTS (types); i++)
    if ((*descr == '\'' || *descr == '"') && g_str_has_prefix (descr + 1, types[i].descr))
      break;
  if (i == G_N_ELEMENTS (types))
    return FALSE;
  npy->type = i;
  return parse_shape (shape, npy);
}

/* @offset: where the data begins. */
static gboolean
parse_npy (const guint8 *file, gsize length, Npy *npy, gsize *offset)
{
  g_autofree gchar *header = NULL;
  gsize header_length;

  if (length < 10 || memcmp (file, MAGIC, 6) != 0)
    return FALSE;
  header_length = file[8] | file[9] << 8;
  *offset = 10;
  if (file[6] >= 2) {
    if (length < 12)
      return FALSE;
    header_length |= (gsize) file[10] << 16 | (gsize) file[11] << 24;
    *offset = 12;
  }
  if (header_length > MAX_HEADER || header_length > length - *offset)
    return FALSE;
  header = g_strndup ((const gchar *) file + *offset, header_length);
  *offset += header_length;
  return parse_header (header, npy);
}

Npy *
npy_read (const gchar *path, GError **error)
{
  g_autoptr (GMappedFile) mapped = g_mapped_file_new (path, FALSE, error);
  g_autoptr (Npy) npy = NULL;
  gsize length, offset, bytes;

  if (!mapped)
    return NULL;
  npy = g_new0 (Npy, 1);
  length = g_mapped_file_get_length (mapped);
  if (!parse_npy ((const guint8 *) g_mapped_file_get_contents (mapped), length, npy, &offset)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "%s: not a .npy file of little-endian float32, int32 or int64 in C order", path);
    return NULL;
  }
  if (!g_size_checked_mul (&bytes, npy->n, types[npy->type].size) || bytes != length - offset) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "%s: its shape has %" G_GSIZE_FORMAT " elements, its data %" G_GSIZE_FORMAT " bytes", path, npy->n, length - offset);
    return NULL;
  }
  npy->data = g_memdup2 (g_mapped_file_get_contents (mapped) + offset, bytes);
  return g_steal_pointer (&npy);
}

static gchar *
shape_to_string (guint n_dims, const gint64 *dims)
{
  GString *s = g_string_new ("(");

  for (guint i = 0; i < n_dims; i++)
    g_string_append_printf (s, i ? ", %" G_GINT64_FORMAT : "%" G_GINT64_FORMAT, dims[i]);
  /* Python writes a tuple of one with a comma. */
  g_string_append (s, n_dims == 1 ? ",)" : ")");
  return g_string_free (s, FALSE);
}

Npy *
npy_read_shape (const gchar *path, NpyType type, GError **error, guint n_dims, ...)
{
  g_autoptr (Npy) npy = npy_read (path, error);
  gint64 want[NPY_MAX_DIMS] = { 0, };
  gboolean fits;
  va_list args;

  if (!npy)
    return NULL;
  g_return_val_if_fail (n_dims <= NPY_MAX_DIMS, NULL);
  fits = npy->type == type && npy->n_dims == n_dims;
  va_start (args, n_dims);
  for (guint i = 0; i < n_dims; i++) {
    want[i] = va_arg (args, gint);
    fits = fits && (want[i] < 0 || want[i] == npy->dims[i]);
  }
  va_end (args);
  if (!fits) {
    g_autofree gchar *found = shape_to_string (npy->n_dims, npy->dims);
    g_autofree gchar *wanted = shape_to_string (n_dims, want);
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: is %s %s, expected %s %s", path,
        types[npy->type].descr, found, types[type].descr, wanted);
    return NULL;
  }
  return g_steal_pointer (&npy);
}

void
npy_free (Npy *npy)
{
  g_free (npy->data);
  g_free (npy);
}

/* The header pads the data to a multiple of 64 bytes, as NumPy's writer does. */
static gchar *
make_header (NpyType type, guint n_dims, const gint64 *dims, gsize *length)
{
  g_autofree gchar *shape = shape_to_string (n_dims, dims);
  g_autofree gchar *dict =
      g_strdup_printf ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", types[type].descr, shape);
  gsize total = (10 + strlen (dict) + 1 + 63) / 64 * 64;
  gchar *header = g_malloc (total);

  memset (header, ' ', total);
  memcpy (header, MAGIC "\x01\x00", 8);
  header[8] = (total - 10) & 0xff;
  header[9] = (total - 10) >> 8;
  memcpy (header + 10, dict, strlen (dict));
  header[total - 1] = '\n';
  *length = total;
  return header;
}

gboolean
npy_write (const gchar *path, NpyType type, gconstpointer data, guint n_dims, const gint64 *dims, GError **error)
{
  g_autofree gchar *header = NULL;
  gsize header_length, n = 1;
  FILE *file;
  gboolean ok;

  g_return_val_if_fail (n_dims <= NPY_MAX_DIMS, FALSE);
  for (guint i = 0; i < n_dims; i++)
    n *= dims[i];
  header = make_header (type, n_dims, dims, &header_length);
  file = fopen (path, "wb");
  ok = file && fwrite (header, 1, header_length, file) == header_length
      && fwrite (data, types[type].size, n, file) == n;
  if (file && fclose (file) != 0)
    ok = FALSE;
  if (!ok) {
    gint code = errno;
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "cannot write %s: %s", path, g_strerror (code));
  }
  return ok;
}

gboolean
npy_write_i32 (const gchar *path, const gint32 *data, gint64 n, GError **error)
{
  return npy_write (path, NPY_I32, data, 1, &n, error);
}

gboolean
npy_write_f32 (const gchar *path, const gfloat *data, gint64 rows, gint64 cols, GError **error)
{
  gint64 dims[] = { rows, cols };

  return npy_write (path, NPY_F32, data, 2, dims, error);
}
