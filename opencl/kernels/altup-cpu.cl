/* AltUp over N_STREAMS streams, some tokens a work-item; stream s of token t is row s * n_tokens + t. */
#include "rows.clh"
#include "step.clh"

/* m [N_STREAMS] = tanh (router (RMS (x) * router_norm / cols)), in one pass over x */
static void
modalities (float *m, global const float *x, global const float *norm, TENSOR (router), int cols, float eps)
{
  float8 square = 0, dot[N_STREAMS];
  float square_tail = 0, tail[N_STREAMS], scale;
  int c = 0;

  for (int s = 0; s < N_STREAMS; s++)
    dot[s] = tail[s] = 0;
  for (; c + 8 <= cols; c += 8) {
    float8 v = vload8 (0, x + c), u = v * vload8 (0, norm + c);

    square = fma (v, v, square);
    for (int s = 0; s < N_STREAMS; s++)
      dot[s] = fma (u, vload8 (0, ROW (router, s) + c), dot[s]);
  }
  for (; c < cols; c++) {
    square_tail = fma (x[c], x[c], square_tail);
    for (int s = 0; s < N_STREAMS; s++)
      tail[s] = fma (x[c] * norm[c], ROW (router, s)[c], tail[s]);
  }
  scale = 1 / sqrt ((sum8 (square) + square_tail) / cols + eps) / cols;
  for (int s = 0; s < N_STREAMS; s++)
    m[s] = tanh ((sum8 (dot[s]) + tail[s]) * scale);
}

#define TENSOR_VALUE(t) t, t##_offset, t##_stride

/* Columns c .. of all streams of token t, for a vector (8 floats) or a float. */
#define MIX(type, load, store) \
  do { \
    type in[N_STREAMS]; \
    for (int i = 0; i < N_STREAMS; i++) \
      in[i] = load (0, ROW (h, i * n_tokens + t) + c); \
    for (int i = 0; i < N_STREAMS; i++) { \
      type sum = p[i][0] * in[0]; \
      for (int j = 1; j < N_STREAMS; j++) \
        sum = fma ((type) p[i][j], in[j], sum); \
      store (sum, 0, ROW (y, i * n_tokens + t) + c); \
    } \
  } while (0)

#define LOAD1(i, p) (p)[i]
#define STORE1(v, i, p) (p)[i] = (v)

KERNEL (predict, TENSOR_ARG (y), TENSOR_ARG (h), TENSOR_ARG (router_norm), TENSOR_ARG (router), TENSOR_ARG (weight),
    TENSOR_ARG (normed), TENSOR_ARG (norm_weight), INT_ARG (n_tokens), INT_ARG (row_step), INT_ARG (cols),
    FLOAT_ARG (eps))
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, n_tokens);

  for (int t = first; t < end; t++) {
    float m[N_STREAMS], p[N_STREAMS][N_STREAMS];
    int c = 0;

    modalities (m, ROW (h, t), ROW (router_norm, 0), TENSOR_VALUE (router), cols, eps);
    for (int i = 0; i < N_STREAMS; i++)
      for (int j = 0; j < N_STREAMS; j++) {
        p[i][j] = i == j;
        for (int s = 0; s < N_STREAMS; s++)
          p[i][j] = fma (ROW (weight, N_STREAMS * i + j)[s], m[s], p[i][j]);
      }
    for (; c + 8 <= cols; c += 8)
      MIX (float8, vload8, vstore8);
    for (; c < cols; c++)
      MIX (float, LOAD1, STORE1);
    if (normed)
      norm_row (ROW (normed, t), ROW (y, t), ROW (norm_weight, 0), cols, eps);
  }
}

static void
scale_row (global float *y, global const float *x, global const float *weight, int n)
{
  int c = 0;

  for (; c + 8 <= n; c += 8)
    vstore8 (vload8 (0, x + c) * vload8 (0, weight + c), 0, y + c);
  for (; c < n; c++)
    y[c] = x[c] * weight[c];
}

KERNEL (correct, TENSOR_ARG (h), TENSOR_ARG (pred), TENSOR_ARG (active), TENSOR_ARG (router_norm),
    TENSOR_ARG (router), TENSOR_ARG (weight), TENSOR_ARG (scaled), TENSOR_ARG (scale_weight), INT_ARG (n_tokens),
    INT_ARG (row_step), INT_ARG (cols), FLOAT_ARG (eps))
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, n_tokens);

  for (int t = first; t < end; t++) {
    global const float *a = ROW (active, t);
    float m[N_STREAMS], p[N_STREAMS];
    int c = 0;

    modalities (m, a, ROW (router_norm, 0), TENSOR_VALUE (router), cols, eps);
    for (int i = 0; i < N_STREAMS; i++) {
      p[i] = 1;
      for (int s = 0; s < N_STREAMS; s++)
        p[i] = fma (ROW (weight, i)[s], m[s], p[i]);
    }
    for (; c + 8 <= cols; c += 8) {
      float8 innovation = vload8 (0, a + c) - vload8 (0, ROW (pred, t) + c);

      for (int i = 0; i < N_STREAMS; i++)
        vstore8 (fma ((float8) p[i], innovation, vload8 (0, ROW (pred, i * n_tokens + t) + c)), 0,
            ROW (h, i * n_tokens + t) + c);
    }
    for (; c < cols; c++) {
      float innovation = a[c] - ROW (pred, t)[c];

      for (int i = 0; i < N_STREAMS; i++)
        ROW (h, i * n_tokens + t)[c] = fma (p[i], innovation, ROW (pred, i * n_tokens + t)[c]);
    }
    if (scaled)
      scale_row (ROW (scaled, t), ROW (h, t), ROW (scale_weight, 0), cols);
  }
}

KERNEL (add, TENSOR_ARG (h), TENSOR_ARG (x), TENSOR_ARG (weight), INT_ARG (n_tokens), INT_ARG (row_step),
    INT_ARG (cols), FLOAT_ARG (eps))
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, n_tokens);
  global const float *w = ROW (weight, 0);

  for (int t = first; t < end; t++) {
    global const float *xt = ROW (x, t);
    float scale = 1 / sqrt (sum_squares (xt, cols) / cols + eps);
    int c = 0;

    for (; c + 8 <= cols; c += 8) {
      float8 v = vload8 (0, xt + c) * scale * vload8 (0, w + c);

      for (int s = 1; s < N_STREAMS; s++)
        vstore8 (vload8 (0, ROW (h, s * n_tokens + t) + c) + v, 0, ROW (h, s * n_tokens + t) + c);
    }
    for (; c < cols; c++)
      for (int s = 1; s < N_STREAMS; s++)
        ROW (h, s * n_tokens + t)[c] += xt[c] * scale * w[c];
  }
}

KERNEL (mean_streams, TENSOR_ARG (y), TENSOR_ARG (h), INT_ARG (n_tokens), INT_ARG (row_step), INT_ARG (cols))
{
  int first = get_global_id (1) * row_step, end = min (first + row_step, n_tokens);

  for (int t = first; t < end; t++) {
    int c = 0;

    for (; c + 8 <= cols; c += 8) {
      float8 sum = 0;

      for (int s = 0; s < N_STREAMS; s++)
        sum += vload8 (0, ROW (h, s * n_tokens + t) + c);
      vstore8 (sum / N_STREAMS, 0, ROW (y, t) + c);
    }
    for (; c < cols; c++) {
      float sum = 0;

      for (int s = 0; s < N_STREAMS; s++)
        sum += ROW (h, s * n_tokens + t)[c];
      ROW (y, t)[c] = sum / N_STREAMS;
    }
  }
}
