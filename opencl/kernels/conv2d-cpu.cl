// y [pixels][N] = convolution of x [height * width][C] with w [N][size * size * C] in panels of 16 rows (pack.h).
//
// For one row of the kernel, the size * C values that an output pixel needs are contiguous in x, and those of the next
// pixel begin stride * C later: each row of output pixels is a sum of products of rows with panels, and no patches are
// ever stored. Pixels whose window crosses the left or right edge take a part of the columns.
// Built with -DTYPE_F32, or of a quantized type, whose columns become float32 once for all pixels of an item.
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "gemm.clh"

typedef struct
{
  int height, width, channels, size, stride, pad_top, pad_left, out_width;
} Shape;

// Columns k .. k + n - 1 of a kernel row, for the pixel whose window begins at column @left of @row.
INLINE void
edge_pixel (float *y, const float *row, int left, const Shape *s, const float *const *w, int k, int n, int begin,
    int cols)
{
  const int lowest = clamp (-left * s->channels, k, k + n);
  const int end = clamp ((s->width - left) * s->channels, lowest, k + n);
  const float *part[NP];

  for (int j = 0; j < NP; j++)
    part[j] = w[j] + (lowest - k) * PANEL;
  tile_1 (y, 0, row + (long) left * s->channels + lowest, 0, part, end - lowest, begin, cols);
}

// One row of output pixels.
INLINE void
pixel_row (float *y, long ys, const float *row, const Shape *s, int inner, int inner_end, const float *const *w, int k,
    int n, int begin, int cols)
{
  for (int ox = 0; ox < inner; ox++)
    edge_pixel (y + ox * ys, row, ox * s->stride - s->pad_left, s, w, k, n, begin, cols);
  tiles (y + inner * ys, ys, row + (long) (inner * s->stride - s->pad_left) * s->channels + k,
      (long) s->stride * s->channels, w, inner_end - inner, n, begin, cols);
  for (int ox = inner_end; ox < s->out_width; ox++)
    edge_pixel (y + ox * ys, row, ox * s->stride - s->pad_left, s, w, k, n, begin, cols);
}

INLINE void
start_with (float *y, long ys, const float *bias, int rows, int cols)
{
  for (int i = 0; i < rows; i++, y += ys)
    for (int c = 0; c < cols; c++)
      y[c] = bias[c];
}

#ifndef TYPE_F32
// out [n][16]: columns k0 ...
INLINE void
dequantize (float *out, PANELS (w), long panel, int k0, int n)
{
  __global const uchar *data = PANEL_DATA (w, panel), *scales = PANEL_SCALES (w, panel);

  for (int k = k0; k < k0 + n; k++, out += PANEL)
    for (int lane = 0; lane < PANEL; lane++)
      out[lane] = panel_value (data, w_line, WORD_STEP (w), lane, k) * panel_scale (scales, w_block, lane, k / PART);
}
#endif

CPU_TARGET void
convolve (float *y, long ys, const float *x, PANELS (w), const float *bias, const Shape *s, int N, int first_row,
    int end_row, int first, int last)
{
#ifndef TYPE_F32
  float block[NP][KC * PANEL] __attribute__ ((aligned (64)));
#endif
  const int run = s->size * s->channels;
  const int inner = min ((s->pad_left + s->stride - 1) / s->stride, s->out_width);
  const int reach = s->width + s->pad_left - s->size;   // the last column at which a window may begin
  const int inner_end = clamp (reach < 0 ? 0 : reach / s->stride + 1, inner, s->out_width);

  y += first_row * s->out_width * ys;
  for (int p = first; p < last; p += NP) {
    const int cols = min (N, last * PANEL) - p * PANEL;

    if (bias)
      start_with (y + p * PANEL, ys, bias + p * PANEL, (end_row - first_row) * s->out_width, min (cols, NP * PANEL));
    for (int dy = 0; dy < s->size; dy++) {
      for (int k = 0; k < run; k += KC) {
        const int begin = !bias && dy == 0 && k == 0;
        const float *columns[NP];

        for (int j = 0; j < NP; j++) {
          const long panel = min (p + j, last - 1);     // a panel past the last is computed, not stored

#ifdef TYPE_F32
          columns[j] = FLAT (const float, PANEL_DATA (w, panel)) + (long) (dy * run + k) * PANEL;
#else
          dequantize (block[j], PANEL_VALUES (w), panel, dy * run + k, min (KC, run - k));
          columns[j] = block[j];
#endif
        }
        for (int oy = first_row; oy < end_row; oy++) {
          const int iy = oy * s->stride - s->pad_top + dy, inside = iy >= 0 && iy < s->height;

          if (inside || begin)
            pixel_row (y + (oy - first_row) * s->out_width * ys + p * PANEL, ys,
                x + (inside ? (long) iy * s->width * s->channels : 0), s, inner, inner_end, columns, k,
                inside ? min (KC, run - k) : 0, begin, cols);
        }
      }
    }
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
conv2d (TENSOR (y), TENSOR (x), PANELS (w), TENSOR (bias), const int N, const int n_panels,
    const int group_panels, const int out_height, const int row_step, const int height, const int width,
    const int channels, const int size, const int stride, const int pad_top, const int pad_left, const int out_width)
{
  const int first = get_group_id (0) * group_panels, row = get_group_id (1) * row_step;
  const Shape shape = { height, width, channels, size, stride, pad_top, pad_left, out_width };

  convolve (FLAT (float, ROW (y, 0)), y_stride, FLAT (const float, ROW (x, 0)), PANEL_VALUES (w),
      bias ? FLAT (const float, ROW (bias, 0)) : 0, &shape, N, row, min (row + row_step, out_height), first,
      min (first + group_panels, n_panels));
}
