#include "image.h"

#include <string.h>

static void
value_free (gpointer data)
{
  ImageValue *value = data;

  g_byte_array_unref (value->key);
  g_byte_array_unref (value->value);
  g_free (value);
}

static void
tensor_free (gpointer data)
{
  ImageTensor *tensor = data;

  g_byte_array_unref (tensor->name);
  g_byte_array_unref (tensor->data);
  g_free (tensor);
}

Image *
image_new (void)
{
  Image *image = g_new0 (Image, 1);

  memcpy (image->magic, "GGUF", 4);
  image->version = 3;
  image->alignment = 32;
  image->values = g_ptr_array_new_with_free_func (value_free);
  image->tensors = g_ptr_array_new_with_free_func (tensor_free);
  return image;
}

void
image_free (Image *image)
{
  g_ptr_array_unref (image->values);
  g_ptr_array_unref (image->tensors);
  g_free (image);
}

static GByteArray *
bytes_of (gconstpointer data, gsize n)
{
  return g_byte_array_append (g_byte_array_new (), data, n);
}

static gboolean
is_called (const GByteArray *name, const gchar *wanted)
{
  return name->len == strlen (wanted) && memcmp (name->data, wanted, name->len) == 0;
}

ImageValue *
image_value (Image *image, const gchar *key)
{
  for (guint i = 0; i < image->values->len; i++) {
    ImageValue *value = g_ptr_array_index (image->values, i);
    if (is_called (value->key, key))
      return value;
  }
  return NULL;
}

void
image_remove (Image *image, const gchar *key)
{
  ImageValue *value = image_value (image, key);

  g_assert (value);
  g_ptr_array_remove (image->values, value);
  image->n_values--;
}

ImageValue *
image_set (Image *image, const gchar *key, guint32 type, gconstpointer data, gsize n)
{
  ImageValue *value = image_value (image, key);

  if (value == NULL) {
    value = g_new0 (ImageValue, 1);
    value->key = bytes_of (key, strlen (key));
    value->key_length = value->key->len;
    g_ptr_array_add (image->values, value);
    image->n_values++;
  } else {
    g_byte_array_unref (value->value);
  }
  value->type = type;
  value->value = bytes_of (data, n);
  return value;
}

void
image_set_u32 (Image *image, const gchar *key, guint32 value)
{
  image_set (image, key, KV_U32, &value, sizeof value);
}

void
image_set_f32 (Image *image, const gchar *key, gfloat value)
{
  image_set (image, key, KV_F32, &value, sizeof value);
}

void
image_set_bool (Image *image, const gchar *key, gboolean value)
{
  guint8 byte = value;

  image_set (image, key, KV_BOOL, &byte, sizeof byte);
}

static void
put_string (GByteArray *out, const gchar *string)
{
  guint64 n = strlen (string);

  g_byte_array_append (out, (const guint8 *) &n, sizeof n);
  g_byte_array_append (out, (const guint8 *) string, n);
}

void
image_set_string (Image *image, const gchar *key, const gchar *string)
{
  g_autoptr (GByteArray) value = g_byte_array_new ();

  put_string (value, string);
  image_set (image, key, KV_STRING, value->data, value->len);
}

void
image_set_array (Image *image, const gchar *key, guint32 type, gconstpointer items, gsize size, guint64 n)
{
  g_autoptr (GByteArray) value = bytes_of (&type, sizeof type);

  g_byte_array_append (value, (const guint8 *) &n, sizeof n);
  g_byte_array_append (value, items, size * n);
  image_set (image, key, KV_ARRAY, value->data, value->len);
}

void
image_set_strings (Image *image, const gchar *key, const gchar *const *strings, guint64 n)
{
  const guint32 type = KV_STRING;
  g_autoptr (GByteArray) value = bytes_of (&type, sizeof type);

  g_byte_array_append (value, (const guint8 *) &n, sizeof n);
  for (guint64 i = 0; i < n; i++)
    put_string (value, strings[i]);
  image_set (image, key, KV_ARRAY, value->data, value->len);
}

/* ---- tensors -------------------------------------------------------------------- */

ImageTensor *
image_tensor (Image *image, const gchar *name)
{
  for (guint i = 0; i < image->tensors->len; i++) {
    ImageTensor *tensor = g_ptr_array_index (image->tensors, i);
    if (is_called (tensor->name, name))
      return tensor;
  }
  return NULL;
}

/* Finite values of either sign, different from tensor to tensor. */
static void
fill (ImageTensor *tensor, gsize n, guint32 seed)
{
  for (gsize i = 0; i < n; i++) {
    seed = seed * 1664525 + 1013904223;
    if (tensor->type == GGML_F32) {
      gfloat x = (gfloat) (gint32) seed / 2147483648.f;
      g_byte_array_append (tensor->data, (const guint8 *) &x, sizeof x);
    } else if (tensor->type == GGML_Q8_0 || tensor->type == GGML_Q4_0) {
      guint8 block[34];
      const guint16 scale = 0x2000 | (seed >> 24);

      for (guint k = 2; k < sizeof block; k++)
        block[k] = (seed >> (k % 17)) + k;
      memcpy (block, &scale, sizeof scale);
      g_byte_array_append (tensor->data, block, tensor->type == GGML_Q8_0 ? 34 : 18);
    } else {                    /* a half or a bfloat16 */
      guint16 x = (seed & 0x80000000) >> 16 | 0x3000 | (seed >> 16 & 0x7ff);
      g_byte_array_append (tensor->data, (const guint8 *) &x, sizeof x);
    }
  }
}

ImageTensor *
image_add (Image *image, const gchar *name, guint32 type, guint n_dims, const gint64 *dims)
{
  ImageTensor *tensor = g_new0 (ImageTensor, 1), *last;
  gsize n = 1;

  tensor->name = bytes_of (name, strlen (name));
  tensor->name_length = tensor->name->len;
  tensor->n_dims = n_dims;
  tensor->type = type;
  tensor->data = g_byte_array_new ();
  for (guint i = 0; i < n_dims; i++)
    n *= tensor->dims[i] = dims[i];
  fill (tensor, type == GGML_Q8_0 || type == GGML_Q4_0 ? n / 32 : n, image->tensors->len + 1);
  if (image->tensors->len > 0) {
    last = g_ptr_array_index (image->tensors, image->tensors->len - 1);
    tensor->place = (last->place + last->data->len + image->alignment - 1) / image->alignment * image->alignment;
  }
  tensor->offset = tensor->place;
  g_ptr_array_add (image->tensors, tensor);
  image->n_tensors++;
  return tensor;
}

/* ---- the file ------------------------------------------------------------------- */

static void
put (GByteArray *out, gconstpointer data, gsize n)
{
  g_byte_array_append (out, data, n);
}

GByteArray *
image_bytes (Image *image)
{
  GByteArray *out = g_byte_array_new ();
  gsize data_at;

  put (out, image->magic, 4);
  put (out, &image->version, sizeof image->version);
  put (out, &image->n_tensors, sizeof image->n_tensors);
  put (out, &image->n_values, sizeof image->n_values);
  for (guint i = 0; i < image->values->len; i++) {
    const ImageValue *value = g_ptr_array_index (image->values, i);

    put (out, &value->key_length, sizeof value->key_length);
    put (out, value->key->data, value->key->len);
    put (out, &value->type, sizeof value->type);
    put (out, value->value->data, value->value->len);
  }
  for (guint i = 0; i < image->tensors->len; i++) {
    const ImageTensor *tensor = g_ptr_array_index (image->tensors, i);

    put (out, &tensor->name_length, sizeof tensor->name_length);
    put (out, tensor->name->data, tensor->name->len);
    put (out, &tensor->n_dims, sizeof tensor->n_dims);
    put (out, tensor->dims, MIN (tensor->n_dims, 5) * sizeof tensor->dims[0]);
    put (out, &tensor->type, sizeof tensor->type);
    put (out, &tensor->offset, sizeof tensor->offset);
  }
  data_at = (out->len + image->alignment - 1) / image->alignment * image->alignment;
  for (guint i = 0; i < image->tensors->len; i++) {
    const ImageTensor *tensor = g_ptr_array_index (image->tensors, i);
    const guint was = out->len;

    g_byte_array_set_size (out, data_at + tensor->place);
    memset (out->data + was, 0, out->len - was);
    put (out, tensor->data->data, tensor->data->len);
  }
  return out;
}
