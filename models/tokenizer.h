/* Gemma's tokenizer: SentencePiece BPE with byte fallback, from tokenizer.json or from a GGUF. */
#pragma once

#include "weights.h"

G_BEGIN_DECLS

typedef struct _GemmaTokenizer GemmaTokenizer;

/** (transfer full); a BPE tokenizer.json, ids as the tokenizers library gives them */
GemmaTokenizer *gemma_tokenizer_new_from_json (const gchar *path, GError **error);
/** (transfer full); tokenizer.ggml.*, ids as SentencePiece gives them */
GemmaTokenizer *gemma_tokenizer_new_from_gguf (GemmaWeights *weights, GError **error);
void gemma_tokenizer_free (GemmaTokenizer *tokenizer);

gint gemma_tokenizer_get_size (GemmaTokenizer *tokenizer);
/** Id of a piece, control tokens included ("<start_of_turn>"), or -1. */
gint gemma_tokenizer_find (GemmaTokenizer *tokenizer, const gchar *piece);
/** TRUE for control tokens, which have no text. */
gboolean gemma_tokenizer_is_control (GemmaTokenizer *tokenizer, gint id);

/**
 * gemma_tokenizer_encode:
 * @parse_control: TRUE: text that spells a control token becomes it (templates);
 *   FALSE: it stays text (whatever a user typed)
 * @ids: gint32 ids are appended
 *
 * No <bos> is added. Invalid UTF-8 is replaced as g_utf8_make_valid() does.
 */
void gemma_tokenizer_encode (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control, GArray *ids);

/** Incremental decoding: bytes of an unfinished character wait for the next id. */
typedef struct _GemmaDecoder GemmaDecoder;
GemmaDecoder *gemma_decoder_new (GemmaTokenizer *tokenizer);
void gemma_decoder_free (GemmaDecoder *decoder);
/** Appends whole UTF-8 characters to @text; control tokens add nothing. */
void gemma_decoder_push (GemmaDecoder *decoder, gint id, GString *text);
/** Appends U+FFFD for bytes that never became a character, and resets. */
void gemma_decoder_finish (GemmaDecoder *decoder, GString *text);

G_END_DECLS
