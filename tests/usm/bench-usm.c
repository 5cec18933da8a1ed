/* Times the audio encoder: a clip at once, or a stream in pieces.
 *
 *   bench-usm [--type f32|bf16] [--activations f32|int16|int8] [--layers N] [--seconds S] [--piece MS]
 *       [TEXT.gguf MMPROJ.gguf | FOLDER]
 *
 * Without --piece the clip goes in at once. Without a model: random weights at the widths of google/gemma-3n-E2B.
 */
#include "models/usm.h"
#include "usm-model.h"
#include "usm-util.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 3

/* The golden E2B list has two blocks: as many as asked for. */
static GemmaUsm *
load_random (OclType type, OclMatmulFlags flags, gint n_layers, GError **error)
{
  g_autofree gchar *golden = usm_golden_path ("e2b/tensors.txt"), *text = NULL, *path = NULL;
  g_autoptr (GString) list = g_string_new (NULL);
  g_auto (GStrv) lines = NULL;
  UsmSize size = usm_sizes[USM_E2B];
  GemmaUsm *usm = NULL;

  if (!g_file_get_contents (golden, &text, NULL, error))
    return NULL;
  lines = g_strsplit (text, "\n", -1);
  for (gint layer = 1; layer < n_layers; layer++)
    for (gchar **line = lines; *line != NULL; line++) {
      gchar *number = strstr (*line, ".conformer.1.");

      if (number != NULL)
        g_string_append_printf (
            list, "%.*s.conformer.%d.%s\n", (gint) (number - *line), *line, layer, number + strlen (".conformer.1."));
      else if (layer == 1 && **line != '\0')
        g_string_append_printf (list, "%s\n", *line);
    }
  size.n_layers = n_layers;
  path = g_strdup_printf ("%s/usm-list-%d.txt", g_get_tmp_dir (), (gint) getpid ());
  if (g_file_set_contents (path, list->str, -1, error))
    usm = usm_model_load (&size, path, type, flags, error);
  remove (path);
  return usm;
}

static GemmaUsm *
load_files (gchar **paths, OclMatmulFlags flags, GError **error)
{
  GemmaWeights *weights = NULL, *mmproj = NULL;
  GemmaConfig *config = NULL;
  GemmaUsm *usm = NULL;

  if (paths[1] == NULL)
    weights = gemma_weights_open_hf (paths[0], error);
  else if ((weights = gemma_weights_open_gguf (paths[0], error)) != NULL)
    mmproj = gemma_weights_open_gguf (paths[1], error);
  if (weights != NULL && (mmproj != NULL || paths[1] == NULL))
    config = gemma_config_new (weights, mmproj, error);
  if (config != NULL)
    usm = gemma_usm_load (mmproj != NULL ? mmproj : weights, config, usm_test_device (), flags, NULL, NULL, error);
  g_clear_pointer (&config, gemma_config_free);
  g_clear_pointer (&weights, gemma_weights_unref);
  g_clear_pointer (&mmproj, gemma_weights_unref);
  return usm;
}

static gint
compare_doubles (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

/* Of all threads: what stays the same on a busy machine. */
static gdouble
cpu_seconds (void)
{
  struct timespec t;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void
time_clip (GemmaUsmStream *stream, const gfloat *signal, gsize n)
{
  gdouble best = G_MAXDOUBLE, cpu = G_MAXDOUBLE;

  for (gint i = 0; i < ROUNDS; i++) {
    gint64 start = g_get_monotonic_time ();
    gdouble cpu_start = cpu_seconds ();
    GArray *tokens = usm_encode (stream, signal, n, 0);

    best = MIN (best, (g_get_monotonic_time () - start) / 1e6);
    cpu = MIN (cpu, cpu_seconds () - cpu_start);
    g_array_unref (tokens);
  }
  printf (
      "clip of %.1f s at once: %.3f s, %.4f of real time; %.3f s of CPU\n", n / 16000., best, best / (n / 16000.), cpu);
}

/* Only pushes that give a token are counted: between them nothing is computed but mel rows. */
static void
time_pieces (GemmaUsmStream *stream, const gfloat *signal, gsize n, gsize piece)
{
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (gdouble));
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (gfloat));
  gdouble sum = 0., cpu = cpu_seconds ();

  for (gsize at = 0; at + piece <= n; at += piece) {
    gint64 start = g_get_monotonic_time ();
    gdouble ms;

    g_array_set_size (tokens, 0);
    gemma_usm_stream_push (stream, signal + at, piece, tokens, NULL);
    ms = (g_get_monotonic_time () - start) / 1e3;
    sum += ms;
    if (tokens->len > 0)
      g_array_append_val (times, ms);
  }
  gemma_usm_stream_reset (stream);
  if (times->len == 0)
    return;
  g_array_sort (times, compare_doubles);
  printf ("in pieces of %.0f ms: a push with a token %.2f ms at best, median %.2f ms, 95 %% %.2f ms, %.2f ms of CPU; "
          "all pushes %.4f of real time\n",
      piece / 16., g_array_index (times, gdouble, 0), g_array_index (times, gdouble, times->len / 2),
      g_array_index (times, gdouble, times->len * 95 / 100), (cpu_seconds () - cpu) * 1e3 / times->len,
      sum / (n / 16.));
}

int
main (int argc, char **argv)
{
  g_autofree gchar *type = g_strdup ("bf16"), *activations = NULL;
  OclMatmulFlags flags;
  gdouble seconds = 30.;
  gint piece_ms = 0, n_layers = 12;
  GOptionEntry entries[] = { { "type", 0, 0, G_OPTION_ARG_STRING, &type, NULL, NULL },
    { "activations", 0, 0, G_OPTION_ARG_STRING, &activations, NULL, NULL },
    { "layers", 0, 0, G_OPTION_ARG_INT, &n_layers, NULL, NULL },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, NULL, NULL },
    { "piece", 0, 0, G_OPTION_ARG_INT, &piece_ms, NULL, NULL }, { NULL } };
  g_autoptr (GOptionContext) context = g_option_context_new ("[TEXT.gguf MMPROJ.gguf | FOLDER]");
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *signal = NULL;
  GemmaUsmStream *stream = NULL;
  GemmaUsm *usm = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (g_option_context_parse (context, &argc, &argv, &error) && ocl_matmul_flags_parse (activations, &flags, &error))
    usm = argc > 1 ? load_files (argv + 1, flags, &error)
                   : load_random (g_str_equal (type, "f32") ? OCL_TYPE_F32 : OCL_TYPE_BF16, flags, n_layers, &error);
  if (usm != NULL)
    stream = gemma_usm_stream_new (usm, &error);
  if (stream == NULL) {
    fprintf (stderr, "%s\n", error->message);
    return 1;
  }
  printf ("%s, %.0f MB on the device\n", ocl_device_get_name (usm_test_device ()),
      ocl_device_get_allocated (usm_test_device ()) / 1e6);
  signal = usm_signal (seconds * 16000);
  if (piece_ms > 0)
    time_pieces (stream, signal, MIN (seconds, 10.) * 16000, piece_ms * 16);
  else
    time_clip (stream, signal, seconds * 16000);
  gemma_usm_stream_free (stream);
  gemma_usm_free (usm);
  return 0;
}
