/* Writes a text model as llama.cpp's converter does, for tests. */
#pragma once

#include "models/config.h"

/**
 * gguf_write_text:
 * @weights: an open Hugging Face directory
 * @type: of the matrices that llama-quantize would quantize; the others are F16, norms F32
 * @dequantized: instead, F32 throughout with the values that the quantized tensors stand for
 */
void gguf_write_text (const gchar *path, GemmaWeights *weights, const GemmaTextConfig *config, OclType type,
    gboolean dequantized);
