/* What this CPU can do at most: the yardstick of the benches. */
#include "checkkernels.h"

#include <string.h>

#if defined (__x86_64__)

#define MEMORY (256u << 20)     /* several times any cache here */
#define CACHED (192u << 10)     /* a thread's share: stays in the second-level cache */

/* Independent multiply-adds, as many as hide their latency. In assembly: a compiler would fold or spill them. */
#define FMA(n, r) "vfmadd231ps %%" r "0, %%" r "0, %%" r #n "\n\t"

__attribute__ ((target ("avx2,fma"))) static gdouble
multiply_avx2 (guint rounds)
{
  for (guint i = 0; i < rounds; i++)
    __asm__ volatile (FMA (1, "ymm") FMA (2, "ymm") FMA (3, "ymm") FMA (4, "ymm") FMA (5, "ymm") FMA (6, "ymm")
        FMA (7, "ymm") FMA (8, "ymm") FMA (9, "ymm") FMA (10, "ymm") FMA (11, "ymm") FMA (12, "ymm")
        ::: "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12");
  return 2.0 * 8 * 12 * rounds;
}

__attribute__ ((target ("avx512f"))) static gdouble
multiply_avx512 (guint rounds)
{
  for (guint i = 0; i < rounds; i++)
    __asm__ volatile (FMA (1, "zmm") FMA (2, "zmm") FMA (3, "zmm") FMA (4, "zmm") FMA (5, "zmm") FMA (6, "zmm")
        FMA (7, "zmm") FMA (8, "zmm") FMA (9, "zmm") FMA (10, "zmm") FMA (11, "zmm") FMA (12, "zmm")
        ::: "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12");
  return 2.0 * 16 * 12 * rounds;
}

typedef struct
{
  gboolean avx512;
  const guint64 *memory;        /* or NULL: multiply */
  gsize bytes;
  guint rounds;
  gdouble done;                 /* operations or bytes */
  guint64 sum;
} Work;

__attribute__ ((target ("avx2"), optimize ("O3"))) static guint64
add_up (const guint64 *p, gsize n)
{
  guint64 sums[16] = { 0 };

  for (gsize i = 0; i + 16 <= n; i += 16)
    for (guint j = 0; j < 16; j++)
      sums[j] ^= p[i + j];
  for (guint j = 1; j < 16; j++)
    sums[0] ^= sums[j];
  return sums[0];
}

static gpointer
work (gpointer data)
{
  Work *w = data;

  if (!w->memory) {
    w->done = w->avx512 ? multiply_avx512 (w->rounds) : multiply_avx2 (w->rounds);
    return NULL;
  }
  for (guint i = 0; i < w->rounds; i++)
    w->sum ^= add_up (w->memory, w->bytes / 8);
  w->done = (gdouble) w->bytes * w->rounds;
  return NULL;
}

/* The best of @repeats, in units a second of all threads together. */
static gdouble
measure (guint n_threads, const Work *each, gsize step, guint repeats)
{
  gdouble best = 0;

  for (guint r = 0; r < repeats; r++) {
    g_autofree Work *works = g_new (Work, n_threads);
    g_autofree GThread **threads = g_new (GThread *, n_threads);
    gdouble done = 0;
    gdouble start = check_now ();

    for (guint i = 0; i < n_threads; i++) {
      works[i] = *each;
      if (each->memory)
        works[i].memory += i * step / 8;
      threads[i] = g_thread_new ("limit", work, &works[i]);
    }
    for (guint i = 0; i < n_threads; i++) {
      g_thread_join (threads[i]);
      done += works[i].done;
    }
    best = MAX (best, done / (check_now () - start));
  }
  return best;
}

void
check_measure_limits (OclDevice *device, CheckLimits *limits)
{
  guint bits = ocl_device_get_bits (device), n_threads = ocl_device_get_compute_units (device);
  Work fma = { .avx512 = (bits & OCL_DEVICE_AVX512BW) != 0, .rounds = 4000000 };
  gsize share = MEMORY / n_threads / 128 * 128;
  Work memory = { .bytes = share, .rounds = 1 };
  g_autofree guint64 *buffer = NULL;

  if ((bits & (OCL_DEVICE_CPU | OCL_DEVICE_AVX2)) != (OCL_DEVICE_CPU | OCL_DEVICE_AVX2))
    return;
  buffer = g_malloc (MEMORY);
  memset (buffer, 1, MEMORY);
  limits->flops = measure (n_threads, &fma, 0, 3);
  memory.memory = buffer;
  limits->read_bytes = measure (n_threads, &memory, share, 8);
  memory.bytes = CACHED;
  memory.rounds = 2000;
  limits->cache_bytes = measure (n_threads, &memory, CACHED, 3);
}

#else

void
check_measure_limits (OclDevice *device, CheckLimits *limits)
{
}

#endif
