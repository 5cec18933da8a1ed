/* Times mobilenetv5_300m_enc with its embedder on random weights, pixels to soft tokens.
 *
 *   bench-vision [--type f32|f16|bf16] [--activations f32|int16|int8] [--rounds N] [RESOLUTION...]
 *
 * Without a RESOLUTION: 256, 512 and 768.
 *
 * With GEMMA_PROFILE=1 the time of each kernel is logged at the end. The fraction of the machine's FMA rate is
 * GFLOP/s here over the one that checkkernels --bench prints first.
 */
#include "vision-model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of all threads: what stays the same on a busy machine. */
static gdouble
cpu_seconds (void)
{
  struct timespec t;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

/* Multiply-adds counted two each: of convolutions they grow with the pixels, of attention with their square. */
static gdouble
operations (gint resolution)
{
  gdouble pixels = resolution / 256. * (resolution / 256.), convolutions = 86.19e9, embedder = 2.15e9;
  gdouble attention = 4. * 14 * 12 * 256 * 64 * 64 + 4. * 19 * 16 * 64 * 64 * 96;

  return convolutions * pixels + attention * pixels * pixels + embedder;
}

static void
time_resolution (GemmaVisionSession *session, const VisionVariant *variant, gint resolution, gint rounds)
{
  gdouble best = G_MAXDOUBLE, cpu = G_MAXDOUBLE;

  g_free (vision_encode (session, variant, resolution));
  for (gint i = 0; i < rounds; i++) {
    gint64 start = g_get_monotonic_time ();
    gdouble cpu_start = cpu_seconds ();

    g_free (vision_encode (session, variant, resolution));
    best = MIN (best, (g_get_monotonic_time () - start) / 1e6);
    cpu = MIN (cpu, cpu_seconds () - cpu_start);
  }
  printf ("%d: %.3f s, %.1f GFLOP/s; %.3f s of CPU\n", resolution, best, operations (resolution) / best * 1e-9, cpu);
  fflush (stdout);
}

int
main (int argc, char **argv)
{
  g_autofree gchar *type = g_strdup ("f32"), *activations = NULL;
  OclMatmulFlags flags;
  gint rounds = 3;
  GOptionEntry entries[] = { { "type", 0, 0, G_OPTION_ARG_STRING, &type, NULL, NULL },
    { "activations", 0, 0, G_OPTION_ARG_STRING, &activations, NULL, NULL },
    { "rounds", 0, 0, G_OPTION_ARG_INT, &rounds, NULL, NULL }, { NULL } };
  g_autoptr (GOptionContext) context = g_option_context_new ("[RESOLUTION...]");
  g_autoptr (GError) error = NULL;
  VisionVariant variant = vision_variants[VISION_FULL];
  GemmaVisionSession *session;
  GemmaVision *vision;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || !ocl_matmul_flags_parse (activations, &flags, &error)) {
    fprintf (stderr, "%s\n", error->message);
    return 1;
  }
  variant.type = strcmp (type, "f32") == 0 ? OCL_TYPE_F32 : strcmp (type, "f16") == 0 ? OCL_TYPE_F16 : OCL_TYPE_BF16;
  vision = vision_model_new (&variant, flags);
  session = gemma_vision_session_new (vision, &error);
  if (session == NULL) {
    fprintf (stderr, "%s\n", error->message);
    return 1;
  }
  printf ("%s, %.0f MB of weights as %s\n", ocl_device_get_name (vision_test_device ()),
      ocl_device_get_allocated (vision_test_device ()) / 1e6, type);
  for (gint i = 1; i < argc; i++)
    time_resolution (session, &variant, atoi (argv[i]), rounds);
  for (gint i = 0; argc == 1 && variant.resolutions[i] != 0; i++)
    time_resolution (session, &variant, variant.resolutions[i], rounds);
  gemma_vision_session_free (session);
  gemma_vision_free (vision);
  return 0;
}
