/* Writes a text model as llama.cpp's converter does, for tests. */
#pragma once

#include "models/config.h"

typedef struct
{
  gchar *name;
  gint64 dims[4]; /* fastest first; all are set */
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
/** @architecture: "gemma3n" or "gemma3" */
void gguf_write (const gchar *path, const gchar *architecture, const GemmaTextConfig *config, GPtrArray *list);

/**
 * gguf_write_text:
 * @weights: an open Hugging Face directory
 * @type: of the matrices that llama-quantize would quantize; the others are F16, norms F32
 * @dequantized: instead, F32 throughout with the values that the quantized tensors stand for
 *
 * What SigLIP has is written for T5Gemma 2 alone, in float32; see gguf_write_mmproj().
 */
void gguf_write_text (
    const gchar *path, GemmaWeights *weights, const GemmaConfig *config, OclType type, gboolean dequantized);

/** SigLIP and its embedder as llama.cpp's mmproj of a Gemma 3, in float32. */
void gguf_write_mmproj (const gchar *path, GemmaWeights *weights, const GemmaConfig *config);
