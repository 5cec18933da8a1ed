/* Which part of a MatFormer model runs: an FFN width for each layer, and layers that are skipped.
 *
 * The FFN of every layer of Gemma 3n is nested: its first hidden units work alone as well. A choice ("Mix-n-Match") is
 *   "full"       the whole model
 *   "E2B" ...    a published configuration of E4B's 35 layers (google/gemma3n-slicing-configs); gemma_submodel_names()
 *   a file       a table, one line a layer or a range of them, "#" begins a comment:
 *                    0-9    8192
 *                    10     12288
 *                    20-24  skip
 *                Layers that it does not mention stay whole.
 */
#pragma once

#include "config.h"

G_BEGIN_DECLS

/**
 * gemma_submodel_parse:
 * @choice: (nullable): as above; NULL and "" are "full"
 * @config: the model's, of @path
 *
 * Widths are multiples of 16 and at most the layer's; a layer whose keys and values others read cannot be skipped
 * without them. Whether the blocks of quantized weights allow a width is for gemma_lm_submodel_new().
 *
 * Returns: (transfer full) (nullable): [n_layers] widths, 0 for layers that are skipped; NULL with @error
 */
gint *gemma_submodel_parse (const gchar *choice, const GemmaConfig *config, const gchar *path, GError **error);

/** TRUE for NULL, "" and "full". */
gboolean gemma_submodel_is_full (const gchar *choice);

/** The names of the published configurations, joined by ", ". (transfer full) */
gchar *gemma_submodel_names (void);

/** The layer whose keys and values layer @i reads: itself, or the last of its kind that owns them; -1 if none does. */
gint gemma_text_config_kv_layer (const GemmaTextConfig *text, gint i);

G_END_DECLS
