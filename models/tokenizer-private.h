/* The vocabulary that tokenizer-json.c and tokenizer-gguf.c fill and tokenizer-bpe.c and decoder.c use. */
#pragma once

#include "tokenizer.h"

G_BEGIN_DECLS

/** SentencePiece's and GGUF's numbers. */
typedef enum
{
  GEMMA_PIECE_NORMAL = 1,
  GEMMA_PIECE_UNKNOWN = 2,
  GEMMA_PIECE_CONTROL = 3,
  GEMMA_PIECE_USER = 4,         /* matched in the text before anything is merged */
  GEMMA_PIECE_UNUSED = 5,       /* takes part in merges, is split again at the end */
  GEMMA_PIECE_BYTE = 6
} GemmaPieceKind;

/** Longest piece in bytes; Gemma's are under 100. */
#define GEMMA_MAX_PIECE 1024
/** Largest vocabulary; Gemma's has 262400. */
#define GEMMA_MAX_VOCABULARY (1 << 22)
/** Most bytes of all pieces together; Gemma's have 2 MB. */
#define GEMMA_MAX_TEXT (1 << 28)

/** The space of SentencePiece: U+2581 LOWER ONE EIGHTH BLOCK. */
#define GEMMA_SPACE "\xe2\x96\x81"

/** Prefix tree over some pieces. */
typedef struct
{
  GArray *nodes;                /* TrieNode */
  gint32 first[256];            /* nodes of the first byte, or -1 */
} GemmaTrie;

typedef struct
{
  guint32 hash;
  gint32 id;                    /* -1: an empty slot */
} GemmaSlot;

/** JSON: the pair (a, b) becomes id; lower ranks first. */
typedef struct
{
  gint32 a, b;                  /* a < 0: an empty slot */
  guint32 rank;
  gint32 id;
} GemmaMerge;

struct _GemmaTokenizer
{
  gint n;
  GByteArray *text;             /* all pieces, back to back */
  GArray *offsets;              /* guint32, n + 1 */
  GByteArray *kinds;            /* GemmaPieceKind, n */
  GemmaSlot *slots;             /* open hash of pieces */
  guint32 slot_mask;
  gint bytes[256];              /* ids of <0x00> ..., all or (byte_fallback FALSE) not used */
  gint unknown;                 /* or -1 */
  gboolean byte_fallback;
  gint max_piece;               /* bytes of the longest piece */

  /* tokenizer.json: pieces merge by pairs of ids, added tokens are found in the text before and after " " becomes "▁". */
  gboolean by_pairs;
  GemmaMerge *merges;
  guint32 merge_mask;
  gboolean replace_space, fuse_unknown, ignore_merges;
  GemmaTrie added, added_normalized;

  /* GGUF: pieces merge where the text of two is a piece, by score; user-defined pieces are in "added". */
  GArray *order;                /* guint32, n: lower first */
};

GemmaTokenizer *gemma_tokenizer_alloc (void);
/** Appends piece number n. @file and the id are for messages. */
gboolean gemma_tokenizer_add (GemmaTokenizer *tokenizer, const gchar *file, const gchar *text, gsize length,
    GemmaPieceKind kind, GError **error);
/** Makes the hash (refusing duplicates), the table of bytes, and control tokens of pieces named like one. */
gboolean gemma_tokenizer_index (GemmaTokenizer *tokenizer, const gchar *file, GError **error);

/** Id of the piece, or -1. */
gint gemma_tokenizer_lookup (GemmaTokenizer *tokenizer, const gchar *text, gsize length);
const gchar *gemma_tokenizer_get_text (GemmaTokenizer *tokenizer, gint id, gsize *length);
GemmaPieceKind gemma_tokenizer_get_kind (GemmaTokenizer *tokenizer, gint id);
void gemma_tokenizer_set_kind (GemmaTokenizer *tokenizer, gint id, GemmaPieceKind kind);
/** The byte that "<0xHH>" names, or -1. */
gint gemma_piece_to_byte (const gchar *text, gsize length);

/** tokenizer.json in memory, @name for messages (also the entry of its fuzzer). (transfer full) */
GemmaTokenizer *gemma_tokenizer_new_from_json_data (const gchar *name, const gchar *data, gsize length, GError **error);

void gemma_trie_init (GemmaTrie *trie);
void gemma_trie_clear (GemmaTrie *trie);
void gemma_trie_add (GemmaTrie *trie, const gchar *text, gsize length, gint id);
/**
 * The longest piece of @trie that @text begins with: its id (or -1) and @matched bytes.
 * @skip: (nullable): pieces of the kind control in this tokenizer do not count
 */
gint gemma_trie_match (const GemmaTrie *trie, GemmaTokenizer *skip, const gchar *text, gsize length, gsize *matched);

/** Bytes of the UTF-8 character at @text, valid or (1) not, never more than @length. */
gsize gemma_utf8_length (const gchar *text, gsize length, gboolean *valid);

G_END_DECLS
