/* A GGUF file taken apart, so that tests can bend any of it before it is written. */
#pragma once

#include <glib.h>

enum
{
  KV_U8, KV_I8, KV_U16, KV_I16, KV_U32, KV_I32, KV_F32, KV_BOOL, KV_STRING, KV_ARRAY, KV_U64, KV_I64, KV_F64
};

enum
{ GGML_F32 = 0, GGML_F16 = 1, GGML_Q4_0 = 2, GGML_Q5_1 = 7, GGML_Q8_0 = 8, GGML_IQ4_NL = 20, GGML_BF16 = 30 };

typedef struct
{
  GByteArray *key;
  guint64 key_length;           /* as written; the key's own at first */
  guint32 type;
  GByteArray *value;
} ImageValue;

typedef struct
{
  GByteArray *name;
  guint64 name_length;
  guint32 n_dims;               /* as written */
  gint64 dims[5];               /* min (n_dims, 5) are written */
  guint32 type;
  guint64 offset;
  GByteArray *data;             /* placed where the tensor was at first, whatever offset says */
  guint64 place;
} ImageTensor;

typedef struct
{
  gchar magic[4];
  guint32 version;
  guint64 n_values, n_tensors;  /* as written */
  guint64 alignment;
  GPtrArray *values;            /* ImageValue */
  GPtrArray *tensors;           /* ImageTensor */
} Image;

Image *image_new (void);
void image_free (Image *image);

/** Sets or adds; @key may hold anything. */
ImageValue *image_set (Image *image, const gchar *key, guint32 type, gconstpointer value, gsize n);
void image_set_u32 (Image *image, const gchar *key, guint32 value);
void image_set_f32 (Image *image, const gchar *key, gfloat value);
void image_set_bool (Image *image, const gchar *key, gboolean value);
void image_set_string (Image *image, const gchar *key, const gchar *value);
/** An array of @n items of @size bytes. */
void image_set_array (Image *image, const gchar *key, guint32 type, gconstpointer items, gsize size, guint64 n);
void image_set_strings (Image *image, const gchar *key, const gchar *const *strings, guint64 n);
ImageValue *image_value (Image *image, const gchar *key);
void image_remove (Image *image, const gchar *key);

/** Adds a tensor of seeded finite values. */
ImageTensor *image_add (Image *image, const gchar *name, guint32 type, guint n_dims, const gint64 *dims);
ImageTensor *image_tensor (Image *image, const gchar *name);

/** (transfer full): the file */
GByteArray *image_bytes (Image *image);
