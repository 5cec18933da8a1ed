// y [M][N] = x [M][K] * w^T on a CPU with VNNI, many rows: 256 columns of x, and of w, become a scale and integers. A sum of
// products is at most the product of the two blocks' norms (Cauchy, Schwarz): where each is below 2^15.5, it fits in 32
// bits. Two of these products take the time of one of float32.
// Built with -DTYPE_<type> -DCPU_AVX512. A work-item computes some panels for some rows of x.
#define CPU_VNNI
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "quants.clh"
#include "unpack.clh"

#define MR 8
#define NP 3
#define BLOCK 256               // columns with a scale of their own
#define MOST 32767              // of magnitudes between 1e-15 and 1e18
#define NORM 46330              // and some for rounding: (NORM + sqrt (BLOCK) / 2)^2 < 2^31

// ---- activations -------------------------------------------------------------------------

// x [n] = scale * q; columns from n to the next multiple of 16 are 0.
INLINE void
quantize_block (short *q, float *scale, const float *x, int n)
{
  float padded[BLOCK], most, inverse;
  float16 squares = 0;
  int16 size = 0;

  if (n % 16 > 0) {
    for (int i = 0; i < n + 16 - n % 16; i++)
      padded[i] = i < n ? x[i] : 0;
    x = padded;
  }
  for (int i = 0; i < n; i += 16) {
    const float16 v = LOAD_FLOAT (x + i);

    size = LARGER (size, MAGNITUDE (v));
    squares += v * v;
  }
  most = largest (as_float16 (size), as_float16 (size));
  inverse = most > 1e-15f ? min (MOST / most, NORM / sqrt (sum_lanes (squares))) : 0;
  for (int i = 0; i < n; i += 16)
    *(short16u *) (q + i) = __builtin_convertvector (ROUNDED (LOAD_FLOAT (x + i) * inverse), short16);
  *scale = inverse > 0 ? 1 / inverse : 0;
}

// A block of MR rows is together, as are their scales.
CPU_TARGET void
quantize (short *q, float *scales, const float *x, int K)
{
  for (int k = 0; k < K; k += BLOCK, q += MR * BLOCK, scales += MR)
    quantize_block (q, scales, x + k, min (K - k, BLOCK));
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_quantize (TENSOR (x), __global uchar *quantized, const ulong scales_at, const int K)
{
  const int m = get_group_id (0), n_blocks = (K + BLOCK - 1) / BLOCK;
  const long first = (long) (m / MR) * n_blocks * MR + m % MR;

  quantize (FLAT (short, quantized) + first * BLOCK, FLAT (float, quantized + scales_at) + first,
      FLAT (const float, ROW (x, m)), K);
}

// ---- weights -----------------------------------------------------------------------------

typedef struct
{
  uint pairs[BLOCK / 2 * PANEL] __attribute__ ((aligned (64))); // columns 2 k and 2 k + 1 of each row
  float16 scale;
} Panel;

// n columns from k0 on, and one of zeros where n is odd.
INLINE void
pack_block (Panel *to, const uchar *w, const uchar *s, int k0, int n)
{
  float values[BLOCK * PANEL] __attribute__ ((aligned (64)));
  float16 most, inverse, squares = 0;
  int16 size = 0;

  unpack (values, w, s, k0, n);
  if (n % 2 > 0)
    STORE_FLOAT (values + n * PANEL, 0);
  for (int k = 0; k < n; k++) {
    const float16 v = LOAD_FLOAT (values + k * PANEL);

    size = LARGER (size, MAGNITUDE (v));
    squares += v * v;
  }
  most = as_float16 (size);
  inverse = SMALLER (MOST / most, NORM / __builtin_ia32_sqrtps512 (squares, 4));
  inverse = most > 1e-15f ? inverse : 0;
  for (int k = 0; k < n; k += 2) {
    const int16 even = ROUNDED (LOAD_FLOAT (values + k * PANEL) * inverse);
    const int16 odd = ROUNDED (LOAD_FLOAT (values + (k + 1) * PANEL) * inverse);

    *(uint16u *) (to->pairs + k / 2 * PANEL) = as_uint16 ((even & 0xffff) | odd << 16);
  }
  to->scale = most > 1e-15f ? 1 / inverse : 0;
}

// ---- products ----------------------------------------------------------------------------

// MR rows of x by NP panels, n columns of a block. The sums begin at 0 if @begin, else at what y has.
CPU_TARGET void
tile (float *y, long ys, const short *q, const float *scales, const Panel *w, int n, int n_rows, int begin, int cols)
{
  int16 acc[MR][NP];

  UNROLL
  for (int i = 0; i < MR; i++)
    UNROLL
    for (int j = 0; j < NP; j++)
      acc[i][j] = 0;
  for (int k = 0; k < n; k += 2) {
    int16 v[NP];

    UNROLL
    for (int j = 0; j < NP; j++)
      v[j] = as_int16 (LOAD_UINT (w[j].pairs + k / 2 * PANEL));
    UNROLL
    for (int i = 0; i < MR; i++) {
      const int16 pair = *(const int *) (q + i * BLOCK + k);

      UNROLL
      for (int j = 0; j < NP; j++)
        acc[i][j] = __builtin_astype (__builtin_ia32_vpdpwssd512 (acc[i][j], v[j], pair), int16);
    }
  }
  UNROLL
  for (int i = 0; i < MR; i++) {
    if (i >= n_rows)
      break;
    UNROLL
    for (int j = 0; j < NP; j++) {
      const float16 sum = __builtin_convertvector (acc[i][j], float16) * (w[j].scale * scales[i]);
      float *out = y + i * ys + j * PANEL;

      if (begin)
        store_columns (out, sum, cols - j * PANEL);
      else
        add_columns (out, sum, cols - j * PANEL);
    }
  }
}

// Part i of n of what is at data comes from memory while other panels are multiplied.
INLINE void
prefetch_part (const uchar *data, long bytes, int i, int n)
{
  const long lines = bytes / 64;

  for (long line = lines * i / n; line < lines * (i + 1) / n; line++)
    __builtin_prefetch (data + line * 64, 0, 2);
}

CPU_TARGET void
multiply (float *y, long ys, const short *q, const float *scales, const Panels *w, int M, int N, int K, int first, int last)
{
  const int n_blocks = (K + BLOCK - 1) / BLOCK, n_tiles = (M + MR - 1) / MR;
  Panel panels[NP];

  for (int p = first; p < last; p += NP) {
    for (int b = 0; b < n_blocks; b++) {
      const int n = min (K - b * BLOCK, BLOCK);
      const int next = b + 1 < n_blocks ? b + 1 : 0, next_p = next > 0 ? p : p + NP;

      for (int j = 0; j < NP; j++) {
        const long panel = min (p + j, last - 1);       // a panel past the last is computed, not stored

        pack_block (panels + j, w->data + panel * w->step, w->scales + panel * w->scale_step, b * BLOCK, n);
      }
      for (int t = 0; t < n_tiles; t++) {
        const int m = t * MR;
        const long at = ((long) t * n_blocks + b) * MR;

        for (int j = 0; j < NP && next_p + j < last; j++)
          prefetch_part (w->data + (next_p + j) * w->step + PANEL_BYTES (next * BLOCK), PANEL_BYTES (min (K - next * BLOCK, BLOCK)),
              t, n_tiles);
        tile (y + m * ys + p * PANEL, ys, q + at * BLOCK, scales + at, panels, n, min (M - m, MR), b == 0,
            min (N, last * PANEL) - p * PANEL);
      }
    }
  }
}

__kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void
matmul_int16 (TENSOR (y), __global const uchar *quantized, const ulong scales_at, PANELS (w), const int M, const int N,
    const int K, const int n_panels, const int group_panels, const int group_rows)
{
  const int first = get_group_id (0) * group_panels, row = get_group_id (1) * group_rows;
  const long at = (long) (row / MR) * ((K + BLOCK - 1) / BLOCK) * MR;
  const Panels panels = FLAT_PANELS (w);

  multiply (FLAT (float, ROW (y, row)), y_stride, FLAT (const short, quantized) + at * BLOCK,
      FLAT (const float, quantized + scales_at) + at, &panels, min (M - row, group_rows), N, K, first,
      min (first + group_panels, n_panels));
}
