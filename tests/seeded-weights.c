#include "seeded-weights.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GOLDEN G_GUINT64_CONSTANT (0x9E3779B97F4A7C15)
#define UNIT 0x1.bb67ae8584caap-16 /* sqrt (3) / 65536 */
#define STRETCH 65536

static guint64
mix (guint64 z)
{
  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static guint64
fnv1a (const gchar *name)
{
  guint64 h = G_GUINT64_CONSTANT (0xCBF29CE484222325);
  for (; *name; name++)
    h = (h ^ (guchar) *name) * G_GUINT64_CONSTANT (0x100000001B3);
  return h;
}

static void
tensor_free (gpointer data)
{
  SeededTensor *t = data;
  g_free (t->name);
  g_free (t);
}

GPtrArray *
seeded_list_read (const gchar *path)
{
  g_autofree gchar *text = NULL;
  g_autoptr (GError) error = NULL;
  if (!g_file_get_contents (path, &text, NULL, &error))
    g_error ("%s", error->message);
  GPtrArray *list = g_ptr_array_new_with_free_func (tensor_free);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (gchar **line = lines; *line && **line; line++) {
    g_auto (GStrv) word = g_strsplit (*line, " ", -1);
    SeededTensor *t = g_new0 (SeededTensor, 1);
    guint n = g_strv_length (word);
    g_assert (n >= 4 && n <= 7);
    t->name = g_strdup (word[0]);
    t->mean = g_ascii_strtod (word[1], NULL);
    t->std = g_ascii_strtod (word[2], NULL);
    t->n_dims = n - 3;
    t->n = 1;
    for (guint i = 0; i < t->n_dims; i++)
      t->n *= t->dims[i] = g_ascii_strtoll (word[3 + i], NULL, 10);
    g_ptr_array_add (list, t);
  }
  return list;
}

void
seeded_fill (gfloat *dst, const SeededTensor *tensor, guint64 seed, gsize first, gsize n)
{
  guint64 key = mix (seed ^ fnv1a (tensor->name));
  gdouble scale = (gfloat) (tensor->std * UNIT), mean = (gfloat) tensor->mean;
  for (gsize i = 0; i < n; i++) {
    guint64 z = mix (key + (first + i + 1) * GOLDEN);
    gint sum = (gint) (z & 0xffff) + (gint) (z >> 16 & 0xffff) + (gint) (z >> 32 & 0xffff) + (gint) (z >> 48);
    dst[i] = (gfloat) ((sum - 131070) * scale + mean); /* the product is exact: contraction changes nothing */
  }
}

static guint16
to_f16 (guint32 bits)
{
  guint32 sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) /* 65536 and more, not met in tests */
    return sign | 0x7c00;
  gint shift = 13;
  guint32 mantissa = magnitude;
  if (magnitude < 0x38800000) { /* subnormal: below 2^-14 */
    gint exponent = magnitude >> 23;
    if (exponent < 102)
      return sign;
    mantissa = (magnitude & 0x7fffff) | 0x800000;
    shift = 126 - exponent;
  } else
    mantissa -= 0x38000000;
  guint32 half = mantissa >> shift, rest = mantissa & ((1u << shift) - 1), tie = 1u << (shift - 1);
  return sign | (half + (rest > tie || (rest == tie && (half & 1))));
}

guint16
seeded_to_half (gfloat value, OclType type)
{
  guint32 bits;
  memcpy (&bits, &value, 4);
  if (type == OCL_TYPE_F16)
    return to_f16 (bits);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static void
encode_q8_0 (guint8 *out, const gfloat *x)
{
  gfloat most = 0.f, d;
  for (gint i = 0; i < 32; i++)
    most = MAX (most, fabsf (x[i]));
  guint16 half = seeded_to_half (most / 127.f, OCL_TYPE_F16);
  ocl_type_dequantize (OCL_TYPE_F16, &half, &d, 1);
  memcpy (out, &half, 2);
  for (gint i = 0; i < 32; i++)
    out[2 + i] = (guint8) (gint8) CLAMP (rintf (x[i] / d), -127.f, 127.f);
}

void
seeded_encode (guint8 *out, const gfloat *x, gsize n, OclType type)
{
  for (gsize i = 0; i < n && type == OCL_TYPE_Q8_0; i += 32)
    encode_q8_0 (out + i / 32 * 34, x + i);
  for (gsize i = 0; i < n && (type == OCL_TYPE_F16 || type == OCL_TYPE_BF16); i++)
    ((guint16 *) out)[i] = seeded_to_half (x[i], type);
  if (type == OCL_TYPE_F32)
    memcpy (out, x, n * sizeof (gfloat));
}

static void
write_tensor (FILE *file, const SeededTensor *t, guint64 seed, OclType type)
{
  static const gsize stretch = STRETCH;
  g_autofree gfloat *values = g_new (gfloat, stretch);
  g_autofree guint16 *halves = g_new (guint16, stretch);
  for (gsize done = 0; done < t->n; done += stretch) {
    gsize n = MIN (stretch, t->n - done);
    seeded_fill (values, t, seed, done, n);
    for (gsize i = 0; type != OCL_TYPE_F32 && i < n; i++)
      halves[i] = seeded_to_half (values[i], type);
    gsize size = type == OCL_TYPE_F32 ? 4 : 2;
    g_assert (fwrite (size == 4 ? (gpointer) values : halves, size, n, file) == n);
  }
}

void
seeded_write_safetensors (const gchar *path, GPtrArray *list, guint64 seed, OclType type)
{
  const gchar *dtype = type == OCL_TYPE_F32 ? "F32" : type == OCL_TYPE_F16 ? "F16" : "BF16";
  g_autoptr (GString) header = g_string_new ("{");
  guint64 offset = 0;
  for (guint i = 0; i < list->len; i++) {
    const SeededTensor *t = list->pdata[i];
    guint64 end = offset + t->n * (type == OCL_TYPE_F32 ? 4 : 2);
    g_string_append_printf (header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", t->name, dtype);
    for (guint d = 0; d < t->n_dims; d++)
      g_string_append_printf (header, "%s%" G_GINT64_FORMAT, d ? "," : "", t->dims[d]);
    g_string_append_printf (header, "],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}", offset, end);
    offset = end;
  }
  g_string_append_c (header, '}');
  while (header->len % 8)
    g_string_append_c (header, ' ');

  FILE *file = fopen (path, "wb");
  g_assert (file);
  guint64 length = GUINT64_TO_LE (header->len);
  g_assert (fwrite (&length, 8, 1, file) == 1);
  g_assert (fwrite (header->str, header->len, 1, file) == 1);
  for (guint i = 0; i < list->len; i++)
    write_tensor (file, list->pdata[i], seed, type);
  g_assert (fclose (file) == 0);
}

gchar *
seeded_write_hf (const gchar *config, const gchar *list_path, guint64 seed, OclType type)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = seeded_list_read (list_path);
  gchar *dir = g_dir_make_tmp ("gemma-test-XXXXXX", &error);
  g_autofree gchar *text = NULL;
  gsize length;
  if (!dir || !g_file_get_contents (config, &text, &length, &error))
    g_error ("%s", error->message);
  g_autofree gchar *json = g_build_filename (dir, "config.json", NULL);
  if (!g_file_set_contents (json, text, length, &error))
    g_error ("%s", error->message);
  g_autofree gchar *weights = g_build_filename (dir, "model.safetensors", NULL);
  seeded_write_safetensors (weights, list, seed, type);
  return dir;
}

void
seeded_add_file (const gchar *dir, const gchar *from)
{
  g_autofree gchar *name = g_path_get_basename (from), *to = g_build_filename (dir, name, NULL), *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;
  if (!g_file_get_contents (from, &text, &length, &error) || !g_file_set_contents (to, text, length, &error))
    g_error ("%s", error->message);
}

void
seeded_remove (gchar *dir)
{
  GDir *open = g_dir_open (dir, 0, NULL);
  for (const gchar *name; open && (name = g_dir_read_name (open));) {
    g_autofree gchar *path = g_build_filename (dir, name, NULL);
    g_remove (path);
  }
  g_clear_pointer (&open, g_dir_close);
  g_rmdir (dir);
  g_free (dir);
}
