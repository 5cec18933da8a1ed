#include "submodel.h"

#include <string.h>
#include <unistd.h>

#include "file.h"

#define PUBLISHED_LAYERS 35
#define WIDTH_STEP 16           /* rows of a panel, see opencl/pack.h */
#define MAX_FILE (1 << 20)

/* Published by Google as google/gemma3n-slicing-configs. A layer is 8 where its FFN is whole (16384 in E4B), 4 where it
 * is half, - where it is skipped. "-block" are those whose widths change with blocks of five layers only. */
static const struct
{
  const gchar *name, *layers;
} published[] = {
  { "E4B", "88888888888888888888888888888888888" },
  { "E2B", "44444444444444444444-----4444444444" },
  { "E1.96B", "44448444444444444444-----4444444444" },
  { "E2.54B", "44448444444444444444888884444444444" },
  { "E2.69B", "44448444484444844448888884444444444" },
  { "E2.98B", "44444444444444488888888884444488888" },
  { "E3.18B", "44448444488888888888888884444844448" },
  { "E3.39B", "44448444488888888888888888888844448" },
  { "E3.59B", "44448888888888888888888888888844448" },
  { "E3.79B", "44448888888888888888888888888888888" },
  { "E2.49B-block", "44444444444444444444888884444444444" },
  { "E2.73B-block", "44444444444444488888888884444444444" },
  { "E2.98B-block", "44444444448888888888888884444444444" },
  { "E3.24B-block", "44444444448888888888888888888844444" },
  { "E3.49B-block", "44444888888888888888888888888844444" },
  { "E3.79B-block", "44444888888888888888888888888888888" },
};

/* ---- choices ------------------------------------------------------------------------------- */

gboolean
gemma_submodel_is_full (const gchar *choice)
{
  return choice == NULL || *choice == '\0' || g_ascii_strcasecmp (choice, "full") == 0;
}

gchar *
gemma_submodel_names (void)
{
  GString *names = g_string_new (published[0].name);

  for (guint i = 1; i < G_N_ELEMENTS (published); i++)
    g_string_append_printf (names, ", %s", published[i].name);
  return g_string_free (names, FALSE);
}

gint
gemma_text_config_kv_layer (const GemmaTextConfig *text, gint i)
{
  const gint owned = text->n_layers - text->gemma3n.n_shared_kv;

  if (i < owned)
    return i;
  for (gint l = owned - 1; l >= 0; l--)
    if (text->sliding[l] == text->sliding[i])
      return l;
  return -1;
}

static gboolean
fail (GError **error, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, GEMMA_ERROR, GEMMA_ERROR_SETTING, text);
  return FALSE;
}

static gint
find_published (const gchar *choice)
{
  for (guint i = 0; i < G_N_ELEMENTS (published); i++)
    if (g_ascii_strcasecmp (published[i].name, choice) == 0)
      return i;
  return -1;
}

/* Whether the model is what the configuration @layers makes of E4B, as the published E2B is. */
static gboolean
is_already (const gchar *layers, const GemmaTextConfig *text)
{
  gint n = 0;

  for (gint i = 0; i < PUBLISHED_LAYERS; i++) {
    if (layers[i] == '-')
      continue;
    if (n == text->n_layers || text->ffn[n] != 2048 * (layers[i] - '0'))
      return FALSE;
    n++;
  }
  return n == text->n_layers;
}

static gboolean
apply_published (gint index, const GemmaTextConfig *text, const gchar *path, gint *ffn, GError **error)
{
  const gchar *layers = published[index].layers;

  if (is_already (layers, text))
    return TRUE;
  if (text->n_layers != PUBLISHED_LAYERS)
    return fail (error, "submodel \"%s\" is a part of a model of %d layers; %s has %d (\"full\" or a table in a file can "
        "be had of any)", published[index].name, PUBLISHED_LAYERS, path, text->n_layers);
  for (gint i = 0; i < PUBLISHED_LAYERS; i++)
    ffn[i] = layers[i] == '-' ? 0 : text->ffn[i] / 8 * (layers[i] - '0');
  return TRUE;
}

/* ---- tables ------------------------------------------------------------------------------------ */

static gchar *
read_table (const gchar *file, GError **error)
{
  g_autofree gchar *text = NULL;
  gsize size, done = 0;
  gint fd = gemma_open_regular (file, &size, error);
  gssize got = 1;

  if (fd < 0)
    return NULL;
  if (size <= MAX_FILE) {
    text = g_malloc (size + 1);
    while (done < size && (got = read (fd, text + done, size - done)) > 0)
      done += got;
    text[done] = '\0';
  }
  close (fd);
  if (text != NULL && got >= 0 && strlen (text) == done)
    return g_steal_pointer (&text);
  fail (error, "%s: %s; a submodel is a text file of at most %d bytes", file, size > MAX_FILE ? "too large" : "no text",
      MAX_FILE);
  return NULL;
}

/* "3" or "3-7" */
static gboolean
parse_layers (const gchar *text, gint n_layers, gint *first, gint *last)
{
  g_auto (GStrv) ends = g_strsplit (text, "-", 2);
  guint64 a, b;

  if (!g_ascii_string_to_unsigned (ends[0], 10, 0, n_layers - 1, &a, NULL))
    return FALSE;
  b = a;
  if (ends[1] && !g_ascii_string_to_unsigned (ends[1], 10, a, n_layers - 1, &b, NULL))
    return FALSE;
  *first = a;
  *last = b;
  return TRUE;
}

static gboolean
apply_line (const gchar *file, gint number, const gchar *layers, const gchar *width, const GemmaTextConfig *text,
    gint *ffn, gboolean *seen, GError **error)
{
  const gboolean skip = g_ascii_strcasecmp (width, "skip") == 0;
  guint64 n = 0;
  gint first, last;

  if (!parse_layers (layers, text->n_layers, &first, &last))
    return fail (error, "%s, line %d: \"%s\" is no layer of this model, nor a range of them; allowed are 0 to %d", file,
        number, layers, text->n_layers - 1);
  if (!skip && !g_ascii_string_to_unsigned (width, 10, 1, G_MAXINT, &n, NULL))
    return fail (error, "%s, line %d: \"%s\" is no width; allowed are numbers, and \"skip\"", file, number, width);
  for (gint i = first; i <= last; i++) {
    if (seen[i])
      return fail (error, "%s, line %d: layer %d has been named before", file, number, i);
    if ((gint) n > text->ffn[i])
      return fail (error, "%s, line %d: layer %d cannot be %d wide; it is %d", file, number, i, (gint) n, text->ffn[i]);
    seen[i] = TRUE;
    ffn[i] = n;
  }
  return TRUE;
}

static gboolean
apply_file (const gchar *file, const GemmaTextConfig *text, gint *ffn, GError **error)
{
  g_autofree gchar *table = read_table (file, error);
  g_autofree gboolean *seen = g_new0 (gboolean, text->n_layers);
  g_auto (GStrv) lines = table ? g_strsplit (table, "\n", -1) : NULL;

  for (gint i = 0; lines && lines[i]; i++) {
    const gchar *words[2] = { NULL };
    gint n = 0;

    lines[i][strcspn (lines[i], "#")] = '\0';
    for (gchar *rest = lines[i], *word; (word = strsep (&rest, " \t\r,:=")) != NULL;) {
      if (*word != '\0' && n++ < 2)
        words[n - 1] = word;
    }
    if (n != 0 && n != 2)
      return fail (error, "%s, line %d: has %d words; a line is a layer and a width, such as \"3 8192\" or "
          "\"20-24 skip\"", file, i + 1, n);
    if (n == 2 && !apply_line (file, i + 1, words[0], words[1], text, ffn, seen, error))
      return FALSE;
  }
  return lines != NULL;
}

/* ---- all together --------------------------------------------------------------------------------- */

static gboolean
check (const gchar *choice, const GemmaTextConfig *text, const gint *ffn, GError **error)
{
  gint kept = 0;

  for (gint i = 0; i < text->n_layers; i++) {
    const gint source = gemma_text_config_kv_layer (text, i);

    kept += ffn[i] > 0;
    if (ffn[i] != text->ffn[i] && ffn[i] % WIDTH_STEP != 0)
      return fail (error, "submodel \"%s\": the FFN of layer %d cannot be %d wide; allowed are multiples of %d up to %d",
          choice, i, ffn[i], WIDTH_STEP, text->ffn[i]);
    if (ffn[i] > 0 && source >= 0 && ffn[source] == 0)
      return fail (error, "submodel \"%s\": skips layer %d, whose keys and values layer %d reads", choice, source, i);
  }
  return kept > 0 || fail (error, "submodel \"%s\": skips every layer", choice);
}

gint *
gemma_submodel_parse (const gchar *choice, const GemmaConfig *config, const gchar *path, GError **error)
{
  const GemmaTextConfig *text = &config->text;
  g_autofree gint *ffn = g_memdup2 (text->ffn, text->n_layers * sizeof *ffn);
  const gint index = gemma_submodel_is_full (choice) ? -1 : find_published (choice);
  gboolean ok = TRUE;

  if (gemma_submodel_is_full (choice))
    return g_steal_pointer (&ffn);
  if (strcmp (config->architecture, "gemma3n") != 0) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_SETTING,
        "submodel \"%s\": %s is of architecture %s, which has no submodels; allowed is \"full\"", choice, path,
        config->architecture);
    return NULL;
  }
  if (index >= 0) {
    ok = apply_published (index, text, path, ffn, error);
  } else if (g_file_test (choice, G_FILE_TEST_EXISTS)) {
    ok = apply_file (choice, text, ffn, error);
  } else {
    g_autofree gchar *names = gemma_submodel_names ();

    ok = fail (error, "submodel \"%s\" is neither a file nor a known name; known are full, %s", choice, names);
  }
  return ok && check (choice, text, ffn, error) ? g_steal_pointer (&ffn) : NULL;
}
