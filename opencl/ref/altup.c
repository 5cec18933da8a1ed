#include "functions.h"

#include <math.h>

#define MAX_STREAMS 8

/* m [S] = tanh (router (RMS (x, eps) * router_norm / C)) */
static void
modalities (gdouble *m, const gfloat *x, const RefAltup *p)
{
  gint cols = p->router.cols;
  gdouble scale = 1 / sqrt (ref_mean_square (x, cols) + p->eps) / cols;

  for (gint s = 0; s < p->n_streams; s++) {
    gdouble sum = 0;

    for (gint c = 0; c < cols; c++)
      sum += x[c] * scale * p->router_norm.data[c] * ref_row (p->router, s)[c];
    m[s] = tanh (sum);
  }
}

/* w [row] . m */
static gdouble
coefficient (RefTensor w, gint row, const gdouble *m)
{
  gdouble sum = 0;

  for (gint s = 0; s < w.cols; s++)
    sum += ref_row (w, row)[s] * m[s];
  return sum;
}

void
ref_altup_predict (RefTensor y, RefTensor h, const RefAltup *p)
{
  gint n = p->n_streams, n_tokens = h.rows / n;
  gdouble m[MAX_STREAMS];

  for (gint t = 0; t < n_tokens; t++) {
    modalities (m, ref_row (h, t), p);
    for (gint s = 0; s < n; s++)
      for (gint c = 0; c < h.cols; c++) {
        gdouble sum = ref_row (h, s * n_tokens + t)[c];

        for (gint x = 0; x < n; x++)
          sum += coefficient (p->mix, n * s + x, m) * ref_row (h, x * n_tokens + t)[c];
        ref_row (y, s * n_tokens + t)[c] = sum;
      }
  }
  if (p->out.data) {
    RefRmsNorm norm = { .weight = p->out_weight, .eps = p->eps, .norm_scale = 1, .out_scale = 1 };
    RefTensor first = { y.data, y.stride, n_tokens, y.cols };

    ref_rms_norm (p->out, first, &norm);
  }
}

void
ref_altup_correct (RefTensor h, RefTensor pred, RefTensor active, const RefAltup *p)
{
  gint n = p->n_streams, n_tokens = active.rows;
  gdouble m[MAX_STREAMS];

  for (gint t = 0; t < n_tokens; t++) {
    modalities (m, ref_row (active, t), p);
    for (gint c = 0; c < h.cols; c++) {
      gdouble innovation = (gdouble) ref_row (active, t)[c] - ref_row (pred, t)[c];

      for (gint s = 0; s < n; s++)
        ref_row (h, s * n_tokens + t)[c] =
            ref_row (pred, s * n_tokens + t)[c] + (coefficient (p->mix, s, m) + 1) * innovation;
      if (p->out.data)
        ref_row (p->out, t)[c] = ref_row (h, t)[c] * p->out_weight.data[c];
    }
  }
}

void
ref_altup_add (RefTensor h, RefTensor x, RefTensor weight, gfloat eps, gint n_streams)
{
  for (gint s = 1; s < n_streams; s++) {
    RefTensor stream = { ref_row (h, s * x.rows), h.stride, x.rows, h.cols };
    RefRmsNorm norm = { .weight = weight, .add0 = stream, .eps = eps, .norm_scale = 1, .out_scale = 1 };

    ref_rms_norm (stream, x, &norm);
  }
}

void
ref_mean_streams (RefTensor y, RefTensor h, gint n_streams)
{
  for (gint r = 0; r < y.rows; r++)
    for (gint c = 0; c < y.cols; c++) {
      gdouble sum = 0;

      for (gint s = 0; s < n_streams; s++)
        sum += ref_row (h, s * y.rows + r)[c];
      ref_row (y, r)[c] = sum / n_streams;
    }
}
