/* Quantized blocks for test files. Any rounding does: readers define what the bytes mean. */
#pragma once

#include "opencl/type.h"

/** Appends @n values (a multiple of the block) in quantized @type. */
void gguf_quantize (GByteArray *out, const gfloat *x, gsize n, OclType type);
