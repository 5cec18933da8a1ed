/* What prompt.c and generate.c need of a model beyond model.h. */
#pragma once

#include "model.h"

G_BEGIN_DECLS

/** TRUE if @id takes a row and the model has what makes its hard embedding. */
gboolean gemma_model_has_hard_embedding (GemmaModel *model, gint id);
/** The row of a hard id of audio or vision: writes text.hidden floats. */
gboolean gemma_model_hard_embedding (GemmaModel *model, gint id, gfloat *row, GError **error);

/** TRUE if @ids end in a loop, as gemma_generate() describes it. */
gboolean gemma_is_looping (const gint32 *ids, guint n);

G_END_DECLS
