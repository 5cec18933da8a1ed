/* Choosing the next token from logits. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** temperature 0 is greedy; top_k 0 and top_p 1 keep all. Order: temperature, top-k, top-p, draw. */
typedef struct
{
  gdouble temperature, top_p;
  guint top_k;
  guint64 seed;
} GemmaSamplerParams;
#define GEMMA_SAMPLER_GREEDY { .temperature = 0., .top_p = 1. }

typedef struct _GemmaSampler GemmaSampler;
GemmaSampler *gemma_sampler_new (const GemmaSamplerParams *params);
void gemma_sampler_free (GemmaSampler *sampler);
/** The id of the next token. NaN never wins; ties go to the lower id. The same seed gives the same draws on any machine. */
gint gemma_sampler_next (GemmaSampler *sampler, const gfloat *logits, gint n);

G_END_DECLS
