/* A session that remembers what it has read: of a prompt that begins like the one before, only the rest is computed.
 *
 * So a transcriber asks about the same speech again and again while it grows, and pays for what is new and
 * for what follows the sound; and the instruction is read once for many utterances. An encoder reads each prompt anew.
 */
#pragma once

#include "model.h"

G_BEGIN_DECLS

typedef struct _GemmaMemory GemmaMemory;

/**
 * @params: rollback should be as long as what a prompt may differ in at its end, with the answer to it; what the
 * rings no longer hold is computed again
 */
GemmaMemory *gemma_memory_new (GemmaModel *model, const GemmaLmSessionParams *params, GError **error);
void gemma_memory_free (GemmaMemory *memory);
/** For its submodel and its length; what is appended to it otherwise would not be remembered. (transfer none) */
GemmaLmSession *gemma_memory_get_session (GemmaMemory *memory);
/** The next prompt is read from its beginning. */
void gemma_memory_forget (GemmaMemory *memory);

/**
 * As gemma_generate(), in a session that holds @prompt and nothing else; then the answer, as far as it was fed back: a prompt
 * may go on where an answer ended.
 * @reused: (out): how many of its positions were there already
 */
gboolean gemma_memory_generate (GemmaMemory *memory, const GemmaPrompt *prompt, const GemmaGenerateParams *params,
    GemmaTokenFunc func, gpointer user_data, guint *reused, GCancellable *cancellable, GError **error);

G_END_DECLS
