/* NumPy's .npy files of float32, int32 and int64 in C order: what tests compare with and gemma-eval writes. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define NPY_MAX_DIMS 8

typedef enum
{
  NPY_F32,
  NPY_I32,
  NPY_I64
} NpyType;

/** An array with its shape; data has n elements, the last dimension fastest. */
typedef struct
{
  NpyType type;
  guint n_dims;
  gint64 dims[NPY_MAX_DIMS];
  gsize n;                      /* elements: the product of dims */
  union
  {
    gpointer data;
    gfloat *f32;
    gint32 *i32;
    gint64 *i64;
  };
} Npy;

/** (transfer full); errors of G_IO_ERROR name the file and what is wrong with it. */
Npy *npy_read (const gchar *path, GError **error);
/** Reads @path and fails unless it is of @type with these @n_dims dimensions (-1 takes any). (transfer full) */
Npy *npy_read_shape (const gchar *path, NpyType type, GError **error, guint n_dims, ...);
void npy_free (Npy *npy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Npy, npy_free)

/** Writes (replaces) @path; the shape is @n_dims gint64 dimensions in @dims. */
gboolean npy_write (const gchar *path, NpyType type, gconstpointer data, guint n_dims, const gint64 *dims, GError **error);
/** The same for one dimension of @n, or [@rows][@cols]. */
gboolean npy_write_i32 (const gchar *path, const gint32 *data, gint64 n, GError **error);
gboolean npy_write_f32 (const gchar *path, const gfloat *data, gint64 rows, gint64 cols, GError **error);

G_END_DECLS
