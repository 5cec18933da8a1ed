// y [M][N] = x [M][K] * w^T on a CPU with VNNI, many rows: 64 columns of x, and of w, become a scale and integers of 14 and
// 13 bits, of which 64 products fit in a sum of 32 bits. Two of them take the time of one float32 product.
// Built with -DTYPE_<type> -DCPU_AVX512. A work-item computes some panels for some rows of x.
#define CPU_VNNI
#include "common.clh"
#include "panel.clh"
#include "cpu.clh"
#include "quants.clh"
#include "unpack.clh"

#define MR 8
#define NP 3
#define BLOCK 64                // columns with a scale of their own
#define BLOCKS 4                // of NP panels, in the first-level cache
#define X_MOST 8191             // BLOCK * X_MOST * W_MOST < 2^31
#define W_MOST 4095

// ---- activations -------------------------------------------------------------------------

// x [n] = scale * q; columns from n to BLOCK are 0.
INLINE void
quantize_block (short *q, float *scale, const float *x, int n)
{
  float padded[BLOCK], most, inverse;

  if (n < BLOCK) {
    for (int i = 0; i < BLOCK; i++)
      padded[i] = i < n ? x[i] : 0;
    x = padded;
  }
  most = LARGER (largest (LOAD_FLOAT (x), LOAD_FLOAT (x + 16)), largest (LOAD_FLOAT (x + 32), LOAD_FLOAT (x + 48)));
  inverse = most > 1e-30f ? X_MOST / most : 0;
  for (int i = 0; i < BLOCK; i += 16)
    *(short16u *) (q + i) = __builtin_convertvector (ROUNDED (LOAD_FLOAT (x + i) * inverse), short16);
  *scale = inverse > 0 ? most / X_MOST : 0;
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
  uint pairs[BLOCKS][BLOCK / 2 * PANEL] __attribute__ ((aligned (64))); // columns 2 k and 2 k + 1 of each row
  float16 scales[BLOCKS];
} Panel;

// n columns from k0 on; those up to a whole block are 0.
INLINE void
pack_block (uint *pairs, float16 *scale, const uchar *w, const uchar *s, int k0, int n)
{
  float values[BLOCK * PANEL] __attribute__ ((aligned (64)));
  float16 most, inverse;
  int16 size = 0;

  unpack (values, w, s, k0, n);
  for (int k = n; k < BLOCK; k++)
    STORE_FLOAT (values + k * PANEL, 0);
  for (int k = 0; k < n; k++)
    size = LARGER (size, MAGNITUDE (LOAD_FLOAT (values + k * PANEL)));
  most = as_float16 (size);
  inverse = most > 1e-30f ? W_MOST / most : 0;
  for (int k = 0; k < BLOCK; k += 2) {
    const int16 even = ROUNDED (LOAD_FLOAT (values + k * PANEL) * inverse);
    const int16 odd = ROUNDED (LOAD_FLOAT (values + (k + 1) * PANEL) * inverse);

    *(uint16u *) (pairs + k / 2 * PANEL) = as_uint16 ((even & 0xffff) | odd << 16);
  }
  *scale = most > 1e-30f ? most / W_MOST : 0;
}

// ---- products ----------------------------------------------------------------------------

// MR rows of x by NP panels, n_blocks blocks of columns. The sums begin at 0 if @begin, else at what y has.
CPU_TARGET void
tile (float *y, long ys, const short *q, const float *scales, const Panel *w, int n_blocks, int n_rows, int begin, int cols)
{
  float16 sums[MR][NP];

  for (int b = 0; b < n_blocks; b++, q += MR * BLOCK, scales += MR) {
    int16 acc[MR][NP];

    UNROLL
    for (int i = 0; i < MR; i++)
      UNROLL
      for (int j = 0; j < NP; j++)
        acc[i][j] = 0;
    for (int k = 0; k < BLOCK; k += 2) {
      int16 v[NP];

      UNROLL
      for (int j = 0; j < NP; j++)
        v[j] = as_int16 (LOAD_UINT (w[j].pairs[b] + k / 2 * PANEL));
      UNROLL
      for (int i = 0; i < MR; i++) {
        const int16 pair = *(const int *) (q + i * BLOCK + k);

        UNROLL
        for (int j = 0; j < NP; j++)
          acc[i][j] = __builtin_astype (__builtin_ia32_vpdpwssd512 (acc[i][j], v[j], pair), int16);
      }
    }
    UNROLL
    for (int i = 0; i < MR; i++)
      UNROLL
      for (int j = 0; j < NP; j++) {
        const float16 sum = __builtin_convertvector (acc[i][j], float16) * (w[j].scales[b] * scales[i]);

        sums[i][j] = b == 0 ? sum : sums[i][j] + sum;
      }
  }
  for (int i = 0; i < n_rows; i++)
    for (int j = 0; j < NP; j++) {
      if (begin)
        store_columns (y + i * ys + j * PANEL, sums[i][j], cols - j * PANEL);
      else
        add_columns (y + i * ys + j * PANEL, sums[i][j], cols - j * PANEL);
    }
}

CPU_TARGET void
multiply (float *y, long ys, const short *q, const float *scales, const Panels *w, int M, int N, int K, int first, int last)
{
  const int n_blocks = (K + BLOCK - 1) / BLOCK;
  Panel panels[NP];

  for (int p = first; p < last; p += NP) {
    for (int b = 0; b < n_blocks; b += BLOCKS) {
      const int n = min (n_blocks - b, BLOCKS);

      for (int j = 0; j < NP; j++) {
        const long panel = min (p + j, last - 1);       // a panel past the last is computed, not stored

        for (int i = 0; i < n; i++)
          pack_block (panels[j].pairs[i], panels[j].scales + i, w->data + panel * w->step, w->scales + panel * w->scale_step,
              (b + i) * BLOCK, min (K - (b + i) * BLOCK, BLOCK));
      }
      for (int m = 0; m < M; m += MR) {
        const long at = ((long) m / MR * n_blocks + b) * MR;

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
