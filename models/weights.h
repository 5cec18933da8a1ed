/* Tensors of a model's files, whatever the format: memory-mapped and bounds-checked.
 *
 * Names are the GGUF ones of llama.cpp ("blk.0.attn_q.weight", "a.blk.0.ln1.weight");
 * names.c maps Hugging Face's to them. Stacked tensors (altup_proj.weight [C, C, 3]) are
 * also found in pieces, "altup_proj.0.weight", in both formats.
 */
#pragma once

#include "error.h"
#include "opencl/tensor.h"

G_BEGIN_DECLS

typedef struct
{
  const gchar *name;
  OclType type;                 /* OCL_N_TYPES for one that we do not compute with: using it is an error */
  guint n_dims;
  gint64 dims[4];               /* GGUF order: dims[0] is the fastest (inputs of a Linear) */
  const guint8 *data;
  gsize bytes;
} GemmaTensor;

typedef struct _GemmaWeights GemmaWeights;

/** One .gguf file (v2, v3). Everything that bad-inputs names is validated here. (transfer full) */
GemmaWeights *gemma_weights_open_gguf (const gchar *path, GError **error);
/** A Hugging Face directory: one or many safetensors with their index. (transfer full) */
GemmaWeights *gemma_weights_open_hf (const gchar *directory, GError **error);
GemmaWeights *gemma_weights_ref (GemmaWeights *weights);
void gemma_weights_unref (GemmaWeights *weights);

/** The path it was opened from, for messages. */
const gchar *gemma_weights_get_path (GemmaWeights *weights);
guint gemma_weights_get_n_tensors (GemmaWeights *weights);
const GemmaTensor *gemma_weights_get_nth (GemmaWeights *weights, guint n);

/** (nullable): NULL if absent, no error. */
const GemmaTensor *gemma_weights_peek (GemmaWeights *weights, const gchar *name);

/**
 * Finds @name, checks its shape (gint dims from the fastest; -1 takes any; dimensions of 1 are ignored, as the
 * formats differ in them) and that its file has not shrunk since it was mapped. NULL with @error naming file,
 * tensor, found and expected shape.
 */
const GemmaTensor *gemma_weights_find (GemmaWeights *weights, const gchar *name, GError **error, guint n_dims, ...);

/**
 * A tensor as a matrix for ocl_weight_new(): rows = outputs, cols = all inputs of one (a 3x3 convolution of
 * 128 channels has 1152). Its block scales are checked. The data is mapped: a file that is truncated while it
 * is being packed is the one case that still raises SIGBUS; everything else reads through the descriptor.
 */
gboolean gemma_weights_find_matrix (GemmaWeights *weights, const gchar *name, gint rows, gint cols,
    OclMatrix *matrix, GError **error);
/** A tensor of @rows x @cols dequantized to float32 on the host, all finite. (transfer full): g_free() */
gfloat *gemma_weights_read_f32 (GemmaWeights *weights, const gchar *name, gint rows, gint cols, GError **error);
/** Row @row of a 2-D tensor, dequantized into @dst; an error (not SIGBUS) if the file was truncated. */
gboolean gemma_weights_read_row (GemmaWeights *weights, const GemmaTensor *tensor, gint64 row, gfloat *dst, GError **error);

/** FALSE with @error if a block of a quantized tensor has a scale of NaN or infinity. find_matrix() calls it. */
gboolean gemma_weights_check_scales (const GemmaTensor *tensor, GError **error);
/** FALSE with @error if a value of tensor @name, which is not quantized, is NaN or infinite: before it is rounded. */
gboolean gemma_weights_check_values (GemmaWeights *weights, const gchar *name, GError **error);

/**
 * @type: (nullable): "q8_0": the encoders' matrices are rounded to 8 bits while they are loaded; NULL, "" and "auto" leave
 * all as it is. FALSE with @error for others.
 */
gboolean gemma_weights_round_encoders (GemmaWeights *weights, const gchar *type, GError **error);
/** The same without doing it. */
gboolean gemma_weights_check_encoder_type (const gchar *type, GError **error);
gboolean gemma_weights_rounds_encoders (GemmaWeights *weights);

/* ---- GGUF metadata (absent in Hugging Face directories) -------------------------- */

gboolean gemma_weights_is_gguf (GemmaWeights *weights);
/** Each returns FALSE with @error if the key is missing or of another type; integers and floats of any width are accepted. */
gboolean gemma_weights_get_int (GemmaWeights *weights, const gchar *key, gint64 *value, GError **error);
gboolean gemma_weights_get_float (GemmaWeights *weights, const gchar *key, gdouble *value, GError **error);
gboolean gemma_weights_get_bool (GemmaWeights *weights, const gchar *key, gboolean *value, GError **error);
/** (transfer none): UTF-8, valid until gemma_weights_forget_keys() */
const gchar *gemma_weights_get_string (GemmaWeights *weights, const gchar *key, GError **error);
gboolean gemma_weights_has_key (GemmaWeights *weights, const gchar *key);
/** Numbers of an array key of any numeric type, or a scalar repeated @n times; the length must be @n. (transfer full) */
gdouble *gemma_weights_get_numbers (GemmaWeights *weights, const gchar *key, guint n, GError **error);
/** Length of an array key, or -1. */
gint64 gemma_weights_get_length (GemmaWeights *weights, const gchar *key);
/** The n-th string of an array of strings, not NUL-terminated, any bytes; valid until gemma_weights_forget_keys(). */
gboolean gemma_weights_get_nth_string (GemmaWeights *weights, const gchar *key, gint64 n, const gchar **data, gsize *length);
/** Once all are read: a vocabulary's take 11 MB. Then no key is there. */
void gemma_weights_forget_keys (GemmaWeights *weights);

G_END_DECLS
