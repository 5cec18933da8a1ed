// y [1][N] = x [1][K] * w^T on a CPU, most of x being 0, w line by line (OCL_LAYOUT_COLUMNS): lines whose columns are all
// multiplied by 0 are not read. With -DINT24, x keeps 24 bits.
#include "int8.clh"
#include "step.clh"
#include "row.clh"

#if BITS == 8
#define LINE_WORDS 1            // of four columns each, in a line
#else
#define LINE_WORDS 2
#endif

#define DIGIT(row, d) ((const uint *) (row)->q[d])       // words of four bytes

// Where sums of products of a part begin, by digit.
INLINE void
begin_part (int *begin, const Row *row, int part)
{
#ifdef INT24
  begin_digits (begin, row, part);
#else
  begin[0] = FIRST (row->sums[part]);
#endif
}

// What the sums of a part's products are, d being its scale and s where its block of scales is.
INLINE float16
end_part (const int16 *total, const Row *row, const uchar *s, int part)
{
  float16 sum = join_digits (total) * (block_scale (s, part) * row->scale[part * PART / 32]);

#ifdef WITH_OFFSET
  sum += block_offset (s, part) * row->sums[part];
#endif
  return sum;
}

// The lines of a part that are not all multiplied by 0.
INLINE int
find_open (int *open, const Row *row, int part)
{
  int n = 0;

  for (int line = part % PARTS * PART / 4 / LINE_WORDS; line < (part % PARTS + 1) * PART / 4 / LINE_WORDS; line++) {
    uint any = 0;

    for (int d = 0; d < DIGITS; d++)
      for (int i = 0; i < LINE_WORDS; i++)
        any |= DIGIT (row, d)[part / PARTS * 8 + line * LINE_WORDS + i];
    if (any)
      open[n++] = line;
  }
  return n;
}

// Products of the words of a line of the block at w.
INLINE void
add_line (int16 *total, const uchar *w, long step, int line, const uint *const *words)
{
  uint16 quads[2];

#if BITS == 8
  quads[0] = LOAD_UINT (w + line * step);
#else
  load_quads_apart (quads, w, step, line);
#endif
  UNROLL
  for (int d = 0; d < DIGITS; d++) {
    Sums run = BEGIN (total[d]);

    UNROLL
    for (int i = 0; i < LINE_WORDS; i++)
      run = ADD (run, quads[i], (uint16) (words[d][line * LINE_WORDS + i]));
    total[d] = END (total[d], run);
  }
}

// acc [n] += the products of a part with n panels from first on.
INLINE void
add_part (float16 *acc, const Row *row, const Panels *w, int first, int n, int part)
{
  const uchar *data = w->data + (long) (part / PARTS * BITS) * w->line + first * w->step;
  const uchar *scales = w->scales + BLOCK_OF (part) * w->block + first * w->scale_step;
  const uint *words[DIGITS];
  int open[8], begin[DIGITS];
  const int n_open = find_open (open, row, part);

  if (n_open == 0)
    return;
  begin_part (begin, row, part);
  for (int d = 0; d < DIGITS; d++)
    words[d] = DIGIT (row, d) + part / PARTS * 8;
  for (int p = 0; p < n; p++) {
    int16 total[DIGITS];

    UNROLL
    for (int d = 0; d < DIGITS; d++)
      total[d] = (int16) (begin[d]);
    for (int i = 0; i < n_open; i++)
      add_line (total, data + p * LINE, w->line, open[i], words);
    acc[p] += end_part (total, row, scales + p * SCALE_BLOCK, part);
  }
}

CPU_TARGET void
multiply_columns (float *y, const float *x, const Panels *w, int N, int K, int first, int last)
{
  float16 acc[MOST_PANELS];
  Row row;

  prepare (&row, x, K / 32);
  for (int p = 0; p < last - first; p++)
    acc[p] = 0;
  for (int part = 0; part < K / PART; part++)
    add_part (acc, &row, w, first, last - first, part);
  for (int p = 0; p < last - first; p++)
    store_columns (y + (first + p) * PANEL, acc[p], N - (first + p) * PANEL);
}

KERNEL (matmul_sparse, TENSOR_ARG (y), TENSOR_ARG (x), PANELS_ARG (w), INT_ARG (N), INT_ARG (K), INT_ARG (n_panels),
    INT_ARG (group_panels))
{
  const int first = get_group_id (0) * group_panels;
  const Panels panels = FLAT_PANELS (w);

  multiply_columns (FLAT (float, ROW (y, 0)), FLAT (const float, ROW (x, 0)), &panels, N, K, first,
      min (first + group_panels, n_panels));
}
