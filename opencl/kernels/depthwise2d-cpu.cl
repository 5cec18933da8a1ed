// Depthwise convolution of a picture, some rows of output pixels a work-item, in tiles of 2 x 4 pixels by 16 channels
// where the windows are inside. Built with -DSIZE and -DSTEP (kernel and stride), or without for any.
#include "common.clh"
#include "cpu.clh"

#define TILE_ROWS 2
#define TILE_COLS 4
#define CHUNK 128               // channels whose weights stay in the first-level cache

typedef struct
{
  const float *x, *w;
  float *y;
  long xs, ys, ws;              // from pixel to pixel, from tap to tap
  int height, width, size, stride, pad_top, pad_left, out_width;
} Picture;

#ifdef SIZE
#define SIZE_OF(p) SIZE
#define STEP_OF(p) STEP
#else
#define SIZE_OF(p) (p)->size
#define STEP_OF(p) (p)->stride
#endif

// The first n of 16 values, then zeros.
INLINE float16
load_columns (const float *x, int n)
{
  float values[16];

  if (n >= 16)
    return LOAD_FLOAT (x);
  for (int i = 0; i < 16; i++)
    values[i] = i < n ? x[i] : 0;
  return LOAD_FLOAT (values);
}

// Channels c .. c + 15 (n of them are there) of one pixel, whose window may be partly outside.
INLINE void
one_pixel (const Picture *p, int oy, int ox, int c, int n)
{
  const int size = SIZE_OF (p), top = oy * STEP_OF (p) - p->pad_top, left = ox * STEP_OF (p) - p->pad_left;
  float16 sum = 0;

  for (int dy = max (-top, 0); dy < min (size, p->height - top); dy++)
    for (int dx = max (-left, 0); dx < min (size, p->width - left); dx++)
      sum += load_columns (p->w + (dy * size + dx) * p->ws + c, n)
          * load_columns (p->x + ((long) (top + dy) * p->width + left + dx) * p->xs + c, n);
  store_columns (p->y + ((long) oy * p->out_width + ox) * p->ys + c, sum, n);
}

#ifdef SIZE
INLINE void
tile_pixels (const Picture *p, int oy, int ox, int c)
{
  const float *x = p->x + ((long) (oy * STEP - p->pad_top) * p->width + ox * STEP - p->pad_left) * p->xs + c;
  const long row = p->width * p->xs;
  float16 sum[TILE_ROWS][TILE_COLS];

  UNROLL
  for (int i = 0; i < TILE_ROWS; i++)
    UNROLL
    for (int j = 0; j < TILE_COLS; j++)
      sum[i][j] = 0;
  for (int dy = 0; dy < SIZE; dy++)
    UNROLL
    for (int dx = 0; dx < SIZE; dx++) {
      const float16 w = LOAD_FLOAT (p->w + (dy * SIZE + dx) * p->ws + c);

      UNROLL
      for (int i = 0; i < TILE_ROWS; i++)
        UNROLL
        for (int j = 0; j < TILE_COLS; j++)
          sum[i][j] += w * LOAD_FLOAT (x + (i * STEP + dy) * row + (j * STEP + dx) * p->xs);
    }
  UNROLL
  for (int i = 0; i < TILE_ROWS; i++)
    UNROLL
    for (int j = 0; j < TILE_COLS; j++)
      STORE_FLOAT (p->y + ((long) (oy + i) * p->out_width + ox + j) * p->ys + c, sum[i][j]);
}
#endif

// Whether the windows of all output columns (or rows) first .. first + n - 1 are inside.
INLINE int
is_inside (const Picture *p, int first, int n, int pad, int extent)
{
  return first * STEP_OF (p) >= pad && (first + n - 1) * STEP_OF (p) - pad + SIZE_OF (p) <= extent;
}

// TILE_ROWS rows or fewer, channels c .. end - 1.
INLINE void
pixel_rows (const Picture *p, int oy, int n_rows, int c, int end)
{
  int ox = 0;

#ifdef SIZE
  if (n_rows == TILE_ROWS && is_inside (p, oy, TILE_ROWS, p->pad_top, p->height)) {
    while (ox < p->out_width) {
      int at = c;

      if (ox + TILE_COLS > p->out_width || !is_inside (p, ox, TILE_COLS, p->pad_left, p->width)) {
        for (; at < end; at += 16)
          for (int i = 0; i < TILE_ROWS; i++)
            one_pixel (p, oy + i, ox, at, end - at);
        ox++;
        continue;
      }
      for (; at + 16 <= end; at += 16)
        tile_pixels (p, oy, ox, at);
      for (int i = 0; at < end && i < TILE_ROWS * TILE_COLS; i++)
        one_pixel (p, oy + i / TILE_COLS, ox + i % TILE_COLS, at, end - at);
      ox += TILE_COLS;
    }
    return;
  }
#endif
  for (; ox < p->out_width; ox++)
    for (int i = 0; i < n_rows; i++)
      for (int at = c; at < end; at += 16)
        one_pixel (p, oy + i, ox, at, end - at);
}

CPU_TARGET void
convolve (const Picture *p, int first, int end, int channels)
{
  for (int c = 0; c < channels; c += CHUNK)
    for (int oy = first; oy < end; oy += TILE_ROWS)
      pixel_rows (p, oy, min (TILE_ROWS, end - oy), c, min (c + CHUNK, channels));
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
depthwise2d (TENSOR (y), TENSOR (x), TENSOR (weight), const int out_height, const int row_step, const int channels,
    const int height, const int width, const int size, const int stride, const int pad_top, const int pad_left,
    const int out_width)
{
  const int first = get_group_id (1) * row_step;
  const Picture picture = { FLAT (const float, ROW (x, 0)), FLAT (const float, ROW (weight, 0)),
    FLAT (float, ROW (y, 0)), x_stride, y_stride, weight_stride, height, width, size, stride, pad_top, pad_left,
    out_width };

  convolve (&picture, first, min (first + row_step, out_height), channels);
}
