/* A complete model of a few KB in every form that the readers take. */
#pragma once

#include "models/config.h"
#include "image.h"

/** The language model; as llama.cpp's converter writes it. (transfer full) */
Image *fixture_text (void);
/** Both embedders, the audio encoder and the end of the vision encoder. (transfer full) */
Image *fixture_mmproj (void);
/** config.json of the same model. */
/** Gemma 3 in both formats: four layers, every second one full, linear rope scaling; no tensors but the token table. */
Image *fixture_gemma3 (void);
const gchar *fixture_gemma3_config (void);
/** T5Gemma 2 in both, an encoder of four layers and a decoder of two. */
Image *fixture_t5gemma2 (void);
const gchar *fixture_t5gemma2_config (void);
const gchar *fixture_config (void);
const gchar *fixture_generation_config (void);
const gchar *fixture_preprocessor_config (void);

/**
 * The same tensors under Hugging Face's names, as one safetensors file (or shard @shard of @n_shards); quantized
 * ones as float32. (transfer full)
 */
GByteArray *fixture_safetensors (guint shard, guint n_shards);
/** model.safetensors.index.json for @n_shards files "model-1.safetensors" ... (transfer full) */
gchar *fixture_index (guint n_shards);

/** An empty temporary directory. (transfer full): for fixture_remove() */
gchar *fixture_directory (void);
void fixture_remove (gchar *directory);
/** Writes a file into @directory; its path. (transfer full) */
gchar *fixture_write (const gchar *directory, const gchar *name, gconstpointer data, gsize n);
/** All files of a Hugging Face directory. */
void fixture_write_hf (const gchar *directory);

/** Finds every tensor of the fixture's text model (and of its mmproj), as its loaders do. */
gboolean fixture_find_all (GemmaWeights *text, GemmaWeights *mmproj, GError **error);
/** Reads every tensor in all the ways that loaders do; FALSE with the first error. */
gboolean fixture_use_all (GemmaWeights *weights, GError **error);
