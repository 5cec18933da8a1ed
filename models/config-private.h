/* What config.c shares with the two sources of a configuration and with its checks. */
#pragma once

#include "config.h"
#include "json-util.h"

G_BEGIN_DECLS

/* Sane limits, an order of magnitude over anything published; products of two of them fit a gint64. */
#define GEMMA_MAX_WIDTH 65536
#define GEMMA_MAX_FFN (1 << 20)
#define GEMMA_MAX_HEADS 1024
#define GEMMA_MAX_LAYERS 512
#define GEMMA_MAX_ALTUP 16
#define GEMMA_MAX_CONTEXT (1 << 24)
#define GEMMA_MAX_VOCAB (1 << 24)
#define GEMMA_MAX_ROPE 1e12
#define GEMMA_MAX_SPARSITY 10.0

/* What E2B and E4B have, for keys that a file may lack. */
#define GEMMA_DEFAULT_CONTEXT 32768
#define GEMMA_DEFAULT_WINDOW 512
#define GEMMA_DEFAULT_PERIOD 5  /* every 5th layer has full attention */
#define GEMMA_DEFAULT_SPARSE 10 /* the first 10 layers of larger models are sparse */
#define GEMMA_DEFAULT_PATTERN 0.95
#define GEMMA_DEFAULT_VOCAB 262400
#define GEMMA_DEFAULT_TEXT_VOCAB 262144
#define GEMMA_DEFAULT_MM_VOCAB 128

/** Fills in what no file carries, and marks what has not been found with -1. */
void gemma_config_set_defaults (GemmaConfig *config);
/** Allocates the arrays for n_layers, with the default patterns. @ffn for all. */
void gemma_config_set_layers (GemmaConfig *config, gint ffn);
/** Inverse of the normal distribution function, for 0 < @p < 1. */
gdouble gemma_normal_quantile (gdouble p);

/** An error of @path: printf-like. Always FALSE. */
gboolean gemma_config_fail (const gchar *path, GemmaError code, GError **error, const gchar *format, ...)
    G_GNUC_PRINTF (4, 5);

/** @generation, @processor, @preprocessor: (nullable) as parsed; @weights for the path of messages and for has_*. */
gboolean gemma_config_read_hf (GemmaConfig *config, GemmaWeights *weights, const gchar *path, JsonNode *root,
    JsonNode *generation, JsonNode *processor, JsonNode *preprocessor, GError **error);
gboolean gemma_config_read_gguf (GemmaConfig *config, GemmaWeights *weights, GemmaWeights *mmproj, GError **error);

/** Checks that the values of text fit each other and the tensors. @path names the source of the values. */
gboolean gemma_config_check_text (const GemmaConfig *config, GemmaWeights *weights, const gchar *path, GError **error);
/** The same for ids and for the other parts. */
gboolean gemma_config_check (const GemmaConfig *config, GemmaWeights *weights, GemmaWeights *mmproj,
    const gchar *path, GError **error);

G_END_DECLS
