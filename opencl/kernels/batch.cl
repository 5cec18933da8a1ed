// The steps of a batch, one after another, in one launch of as many work-groups as the device has compute units. Whoever is
// free takes the next item of a step; the next step begins when all items of this one are done. A group only ever waits for
// items that others have taken and are at, so any number of groups running at a time gets to the end.
// Before this text batch.c defines DECLARATIONS of the functions that step.clh makes of kernels, and CALLS (words, item) of them.
#include "item.clh"

DECLARATIONS

#define N_BUFFERS 96            // MAX_BUFFERS of batch.c
#define MAX_WORDS 96
#define PATIENCE 20000          // pauses: some 0.5 ms

// BatchStep of batch.c.
typedef struct
{
  uint function, words, n_words, n_items;
  Item item;
  ulong buffers;                // the words that are numbers of buffers
} Step;

// A cache line each.
typedef struct
{
  int value, unused[15];
} Counter;

#define LOAD(counter) __atomic_load_n (&(counter)->value, __ATOMIC_ACQUIRE)
#define INCREMENT(counter) __atomic_fetch_add (&(counter)->value, 1, __ATOMIC_ACQ_REL)

#if defined (__x86_64__)
#define PAUSE() __builtin_ia32_pause ()
#else
#define PAUSE()
#endif

// @words with addresses in the place of buffers' numbers.
static void
get_words (ulong *words, const ulong *from, int n, ulong buffers, const ulong *addresses)
{
  for (int i = 0; i < n; i++)
    words[i] = from[i];
  for (int i = 0; buffers >> i; i++)
    if (buffers >> i & 1)
      words[i] = addresses[words[i]];
}

static void
call (const Step *step, const ulong *words, uint i)
{
  Item item = step->item;

  item.id[0] = i % item.size[0];
  item.id[1] = i / item.size[0] % item.size[1];
  item.id[2] = i / item.size[0] / item.size[1];
  switch (step->function) {
    CALLS (words, &item)
  }
}

static void
run (const Step *steps, Counter *counters, const ulong *all_words, int n_steps, const ulong *addresses)
{
  for (int s = 0; s < n_steps; s++) {
    Counter *taken = counters + 2 * s, *done = taken + 1;
    const int n = steps[s].n_items;
    int pauses = 0;

    if (LOAD (taken) < n) {
      ulong words[MAX_WORDS];

      get_words (words, all_words + steps[s].words, steps[s].n_words, steps[s].buffers, addresses);
      for (int i = INCREMENT (taken); i < n; i = INCREMENT (taken)) {
        call (&steps[s], words, i);
        INCREMENT (done);
      }
    }
    while (LOAD (done) < n) {
      if (++pauses > PATIENCE)  // whoever is at it goes on alone: this thread may have better things to do
        return;
      PAUSE ();
    }
  }
}

#define BUFFER(n) __global uchar *b##n
#define FOUR(n) BUFFER (n##0), BUFFER (n##1), BUFFER (n##2), BUFFER (n##3)
#define ADDRESS(n) (ulong) b##n
#define FOUR_ADDRESSES(n) ADDRESS (n##0), ADDRESS (n##1), ADDRESS (n##2), ADDRESS (n##3)
#define ALL(four) four (0), four (1), four (2), four (3), four (4), four (5), four (6), four (7), four (8), four (9), four (10), \
    four (11), four (12), four (13), four (14), four (15), four (16), four (17), four (18), four (19), four (20), four (21), \
    four (22), four (23)

// @batch: counters, steps, words. Buffer 0 is none.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
batch (__global uchar *batch, const int n_steps, const ulong steps_at, const ulong words_at, ALL (FOUR))
{
  const ulong addresses[N_BUFFERS + 1] = { 0, ALL (FOUR_ADDRESSES) };
  const ulong at = (ulong) batch;

  run ((const Step *) (at + steps_at), (Counter *) at, (const ulong *) (at + words_at), n_steps, addresses);
}
