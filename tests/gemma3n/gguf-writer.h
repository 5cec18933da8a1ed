/* Writes a text model as llama.cpp's converter does, for tests. */
#pragma once

#include "models/config.h"

typedef struct
{
  gchar *name;
  gint64 dims[3]; /* fastest first; all three are set */
  guint n_dims;
  OclType type;
  GByteArray *data; /* NULL: random weights */
} GgufTensor;

/** In place of a type: several, as llama-quantize's Q4_K_M has them. */
#define GGUF_MIXED OCL_N_TYPES

/** What llama-quantize makes of matrix @name with @cols columns when asked for quantized @type or GGUF_MIXED. */
OclType gguf_type_of (const gchar *name, gint64 cols, OclType type);

/** A list of GgufTensor that owns them. */
GPtrArray *gguf_list_new (void);
GgufTensor *gguf_list_add (GPtrArray *list, const gchar *name, OclType type, gint cols, gint rows, gint slices);
void gguf_write (const gchar *path, const GemmaTextConfig *config, GPtrArray *list);

/**
 * gguf_write_text:
 * @weights: an open Hugging Face directory
 * @type: of the matrices that llama-quantize would quantize; the others are F16, norms F32
 * @dequantized: instead, F32 throughout with the values that the quantized tensors stand for
 */
void gguf_write_text (
    const gchar *path, GemmaWeights *weights, const GemmaTextConfig *config, OclType type, gboolean dequantized);
