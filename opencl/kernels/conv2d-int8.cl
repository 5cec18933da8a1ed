// y [pixels][N] = convolution of x [height * width][C] with w [N][size * size * C] on a CPU with 8-bit activations, by
// the dot products of int8.clh; C is a multiple of 32.
//
// The picture is quantized first, with zeros around it, so that every window is whole. As in conv2d-cpu.cl, each row of
// the kernel is a product for each row of output pixels: of rows that begin stride * C values apart, with panels.
#include "int8.clh"

INLINE void
clear_blocks (char *q, float *scales, PartSum *sums, int n_blocks)
{
  for (int b = 0; b < n_blocks; b++, q += 32) {
    *(char16u *) q = *(char16u *) (q + 16) = 0;
    scales[b] = 0;
    for (int h = 0; h < PARTS; h++)
      sums[b * PARTS + h] = 0;
  }
}

// @width pixels of @blocks blocks each: @left zeros, those of the row of the picture at x, zeros.
CPU_TARGET void
quantize_row (char *q, float *scales, PartSum *sums, const float *x, int x_width, int left, int width, int blocks)
{
  const int begin = min (left, width) * blocks, end = min (left + x_width, width) * blocks;

  clear_blocks (q, scales, sums, begin);
  quantize (q + begin * 32, scales + begin, sums + begin * PARTS, x, end - begin);
  clear_blocks (q + end * 32, scales + end, sums + end * PARTS, width * blocks - end);
}

// Row r of what windows see, from row -pad_top and column -pad_left of the picture.
__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
conv2d_quantize (TENSOR (x), __global char *q, const ulong scales_at, const ulong sums_at, const int x_height,
    const int x_width, const int channels, const int pad_top, const int pad_left, const int width)
{
  const int y = (int) get_group_id (0) - pad_top, inside = y >= 0 && y < x_height, blocks = channels / 32;
  const long at = (long) get_group_id (0) * width * blocks;

  quantize_row (FLAT (char, q + at * 32), FLAT (float, q + scales_at) + at, FLAT (PartSum, q + sums_at) + at * PARTS,
      FLAT (const float, ROW (x, inside ? (long) y * x_width : 0)), inside ? x_width : 0, pad_left, width, blocks);
}

// The quantized picture, from some pixel on.
typedef struct
{
  const char *q;
  const float *scales;
  const PartSum *sums;
} Pixels;

typedef struct
{
  int width, out_width, blocks, size, stride;   // blocks: of a pixel
} Shape;

// out [n][NP * PANEL]: n pixels of a row; the window of the first begins at x.
INLINE void
convolve_pixels (float *out, Pixels x, const Panels *w, const Shape *s, int n, int p, int last)
{
  const int run = s->size * s->blocks;

  for (int dy = 0; dy < s->size; dy++) {
    const long at = (long) dy * s->width * s->blocks;
    const uchar *panels[NP];
    const uchar *panel_scales[NP];

    for (int j = 0; j < NP; j++) {
      const long panel = min (p + j, last - 1);         // a panel past the last is computed, not stored

      panels[j] = w->data + panel * w->step + PANEL_BYTES ((long) dy * run * 32);
      panel_scales[j] = w->scales + panel * w->scale_step + SCALE_BYTES ((long) dy * run * 32);
    }
    tiles (out, NP * PANEL, x.q + at * 32, x.scales + at, x.sums + at * PARTS, panels, panel_scales, n, run,
        (long) s->stride * s->blocks, dy == 0, NP * PANEL);
  }
}

// Rows of output pixels. y is written some hundred columns at a time, as in matmul-int8.cl.
CPU_TARGET void
convolve (float *y, long ys, const Pixels *x, const Panels *w, const float *bias, const Shape *s, int N, int first_row,
    int end_row, int first, int last)
{
  float out[TILES][ROWS * NP * PANEL] __attribute__ ((aligned (64)));

  for (int p = first; p < last; p += TILES * NP) {
    const int n_tiles = min ((last - p + NP - 1) / NP, TILES), cols = min (N, last * PANEL) - p * PANEL;

    for (int oy = first_row; oy < end_row; oy++) {
      for (int ox = 0; ox < s->out_width; ox += ROWS) {
        const int n = min (s->out_width - ox, ROWS);
        const long at = ((long) oy * s->width + ox) * s->stride * s->blocks;
        const Pixels window = { x->q + at * 32, x->scales + at, x->sums + at * PARTS };
        float *row = y + ((long) oy * s->out_width + ox) * ys + p * PANEL;

        for (int t = 0; t < n_tiles; t++)
          convolve_pixels (out[t], window, w, s, n, p + t * NP, last);
        for (int i = 0; i < n; i++, row += ys) {
          for (int c = 0; bias && c < min (cols, TILES * NP * PANEL); c++)
            row[c] = bias[p * PANEL + c];
          put_row (row, out[0] + i * NP * PANEL, n_tiles, cols, !bias);
        }
      }
    }
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
conv2d_int8 (TENSOR (y), __global const char *q, const ulong scales_at, const ulong sums_at, PANELS (w), TENSOR (bias),
    const int N, const int n_panels, const int group_panels, const int out_height, const int row_step, const int width,
    const int out_width, const int channels, const int size, const int stride)
{
  const int first = get_group_id (0) * group_panels, row = get_group_id (1) * row_step;
  const Pixels x = { FLAT (const char, q), FLAT (const float, q + scales_at), FLAT (const PartSum, q + sums_at) };
  const Shape shape = { width, out_width, channels / 32, size, stride };
  const Panels panels = FLAT_PANELS (w);

  convolve (FLAT (float, ROW (y, 0)), y_stride, &x, &panels, bias ? FLAT (const float, ROW (bias, 0)) : 0, &shape, N,
      row, min (row + row_step, out_height), first, min (first + group_panels, n_panels));
}
