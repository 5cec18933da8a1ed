/* The vocabulary: pieces, their hash, and the tree of those that are matched before any merge. */
#include "tokenizer-private.h"

#include <string.h>

typedef struct
{
  gint32 child, sibling;        /* nodes, or -1 */
  gint32 id;                    /* the piece that ends here, or -1 */
  guint8 byte;
} TrieNode;

/* Tokens that open, close or stand for something in Gemma's templates, whatever a file calls their type. */
static const gchar *const control_names[] = {
  "<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
  "<image_soft_token>", "<start_of_audio>", "<end_of_audio>", "<audio_soft_token>",
};

/* ---- prefix tree ------------------------------------------------------------------ */

void
gemma_trie_init (GemmaTrie *trie)
{
  trie->nodes = g_array_new (FALSE, FALSE, sizeof (TrieNode));
  memset (trie->first, -1, sizeof trie->first);
}

void
gemma_trie_clear (GemmaTrie *trie)
{
  g_clear_pointer (&trie->nodes, g_array_unref);
}

static TrieNode *
trie_node (const GemmaTrie *trie, gint32 n)
{
  return &g_array_index (trie->nodes, TrieNode, n);
}

static gint32
trie_step (const GemmaTrie *trie, gint32 node, guint8 byte)
{
  gint32 n = node < 0 ? trie->first[byte] : trie_node (trie, node)->child;

  while (n >= 0 && trie_node (trie, n)->byte != byte)
    n = trie_node (trie, n)->sibling;
  return n;
}

void
gemma_trie_add (GemmaTrie *trie, const gchar *text, gsize length, gint id)
{
  gint32 node = -1;

  for (gsize i = 0; i < length; i++) {
    guint8 byte = text[i];
    gint32 next = trie_step (trie, node, byte);

    if (next < 0) {
      TrieNode made = { .child = -1, .sibling = -1, .id = -1, .byte = byte };

      next = trie->nodes->len;
      if (node < 0) {
        trie->first[byte] = next;
      } else {
        made.sibling = trie_node (trie, node)->child;
        trie_node (trie, node)->child = next;
      }
      g_array_append_val (trie->nodes, made);
    }
    node = next;
  }
  if (node >= 0)
    trie_node (trie, node)->id = id;
}

gint
gemma_trie_match (const GemmaTrie *trie, GemmaTokenizer *skip, const gchar *text, gsize length, gsize *matched)
{
  gint32 node = -1;
  gint best = -1;

  for (gsize i = 0; i < length; i++) {
    gint id;

    node = trie_step (trie, node, text[i]);
    if (node < 0)
      break;
    id = trie_node (trie, node)->id;
    if (id >= 0 && !(skip && gemma_tokenizer_is_control (skip, id))) {
      best = id;
      *matched = i + 1;
    }
  }
  return best;
}

/* ---- pieces ------------------------------------------------------------------------ */

GemmaTokenizer *
gemma_tokenizer_alloc (void)
{
  GemmaTokenizer *t = g_new0 (GemmaTokenizer, 1);
  guint32 zero = 0;

  t->text = g_byte_array_new ();
  t->offsets = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_array_append_val (t->offsets, zero);
  t->kinds = g_byte_array_new ();
  t->unknown = -1;
  gemma_trie_init (&t->added);
  gemma_trie_init (&t->added_normalized);
  return t;
}

void
gemma_tokenizer_free (GemmaTokenizer *tokenizer)
{
  if (!tokenizer)
    return;
  g_byte_array_unref (tokenizer->text);
  g_array_unref (tokenizer->offsets);
  g_byte_array_unref (tokenizer->kinds);
  g_free (tokenizer->slots);
  g_free (tokenizer->merges);
  g_clear_pointer (&tokenizer->order, g_array_unref);
  gemma_trie_clear (&tokenizer->added);
  gemma_trie_clear (&tokenizer->added_normalized);
  g_free (tokenizer);
}

gboolean
gemma_tokenizer_add (GemmaTokenizer *tokenizer, const gchar *file, const gchar *text, gsize length,
    GemmaPieceKind kind, GError **error)
{
  guint8 byte = kind;
  guint32 end;

  if (length > GEMMA_MAX_PIECE || (length == 0 && kind != GEMMA_PIECE_UNUSED)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: token %d has %" G_GSIZE_FORMAT " bytes; allowed are 1 to %d", file, tokenizer->n, length, GEMMA_MAX_PIECE);
    return FALSE;
  }
  if (tokenizer->n >= GEMMA_MAX_VOCABULARY || tokenizer->text->len > GEMMA_MAX_TEXT - length) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: the vocabulary has more than %d tokens or %d bytes", file, GEMMA_MAX_VOCABULARY, GEMMA_MAX_TEXT);
    return FALSE;
  }
  g_byte_array_append (tokenizer->text, (const guint8 *) text, length);
  end = tokenizer->text->len;
  g_array_append_val (tokenizer->offsets, end);
  g_byte_array_append (tokenizer->kinds, &byte, 1);
  tokenizer->max_piece = MAX (tokenizer->max_piece, (gint) length);
  tokenizer->n++;
  return TRUE;
}

const gchar *
gemma_tokenizer_get_text (GemmaTokenizer *tokenizer, gint id, gsize *length)
{
  const guint32 *offsets = (const guint32 *) (gpointer) tokenizer->offsets->data;

  *length = offsets[id + 1] - offsets[id];
  return (const gchar *) tokenizer->text->data + offsets[id];
}

GemmaPieceKind
gemma_tokenizer_get_kind (GemmaTokenizer *tokenizer, gint id)
{
  return tokenizer->kinds->data[id];
}

void
gemma_tokenizer_set_kind (GemmaTokenizer *tokenizer, gint id, GemmaPieceKind kind)
{
  tokenizer->kinds->data[id] = kind;
}

gint
gemma_piece_to_byte (const gchar *text, gsize length)
{
  gint high, low;

  if (length != 6 || memcmp (text, "<0x", 3) != 0 || text[5] != '>')
    return -1;
  high = g_ascii_xdigit_value (text[3]);
  low = g_ascii_xdigit_value (text[4]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* FNV-1a with a final mix: pieces are short. */
static guint32
hash_text (const gchar *text, gsize length)
{
  guint64 h = G_GUINT64_CONSTANT (0xcbf29ce484222325);

  for (gsize i = 0; i < length; i++)
    h = (h ^ (guint8) text[i]) * G_GUINT64_CONSTANT (0x100000001b3);
  return h ^ h >> 29;
}

gint
gemma_tokenizer_lookup (GemmaTokenizer *tokenizer, const gchar *text, gsize length)
{
  guint32 hash;

  if (length > (gsize) tokenizer->max_piece)
    return -1;
  hash = hash_text (text, length);
  for (guint32 i = hash;; i++) {
    const GemmaSlot *slot = &tokenizer->slots[i & tokenizer->slot_mask];
    const gchar *piece;
    gsize n;

    if (slot->id < 0)
      return -1;
    if (slot->hash != hash)
      continue;
    piece = gemma_tokenizer_get_text (tokenizer, slot->id, &n);
    if (n == length && memcmp (piece, text, n) == 0)
      return slot->id;
  }
}

static gboolean
make_hash (GemmaTokenizer *t, const gchar *file, GError **error)
{
  guint32 size = 16;

  while (size < 2 * (guint32) t->n + 1)
    size *= 2;
  t->slots = g_new (GemmaSlot, size);
  memset (t->slots, -1, size * sizeof *t->slots);
  t->slot_mask = size - 1;
  for (gint id = 0; id < t->n; id++) {
    gsize n;
    const gchar *text = gemma_tokenizer_get_text (t, id, &n);
    gint same = gemma_tokenizer_lookup (t, text, n);
    guint32 hash = hash_text (text, n), i = hash;

    if (n == 0)
      continue;
    if (same >= 0) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: tokens %d and %d are the same: \"%.*s\"", file, same, id,
          (gint) n, text);
      return FALSE;
    }
    while (t->slots[i & t->slot_mask].id >= 0)
      i++;
    t->slots[i & t->slot_mask] = (GemmaSlot) { hash, id };
  }
  return TRUE;
}

static gboolean
find_bytes (GemmaTokenizer *t, const gchar *file, GError **error)
{
  gint n_bytes = 0;

  memset (t->bytes, -1, sizeof t->bytes);
  for (gint id = 0; id < t->n; id++) {
    gsize n;
    const gchar *text;
    gint byte;

    if (gemma_tokenizer_get_kind (t, id) != GEMMA_PIECE_BYTE)
      continue;
    text = gemma_tokenizer_get_text (t, id, &n);
    byte = gemma_piece_to_byte (text, n);
    if (byte < 0 || t->bytes[byte] >= 0) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
          "%s: token %d, \"%.*s\", is a byte; allowed are <0x00> to <0xFF>, each once", file, id, (gint) n, text);
      return FALSE;
    }
    t->bytes[byte] = id;
    n_bytes++;
  }
  if (n_bytes != 0 && n_bytes != 256) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: the vocabulary has %d of the 256 bytes <0x00> to <0xFF>; allowed are all or none", file, n_bytes);
    return FALSE;
  }
  t->byte_fallback = n_bytes == 256;
  return TRUE;
}

gboolean
gemma_tokenizer_index (GemmaTokenizer *tokenizer, const gchar *file, GError **error)
{
  if (!make_hash (tokenizer, file, error) || !find_bytes (tokenizer, file, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (control_names); i++) {
    gint id = gemma_tokenizer_find (tokenizer, control_names[i]);

    if (id >= 0 && gemma_tokenizer_get_kind (tokenizer, id) != GEMMA_PIECE_UNKNOWN)
      gemma_tokenizer_set_kind (tokenizer, id, GEMMA_PIECE_CONTROL);
  }
  return TRUE;
}

gint
gemma_tokenizer_get_size (GemmaTokenizer *tokenizer)
{
  return tokenizer->n;
}

gint
gemma_tokenizer_find (GemmaTokenizer *tokenizer, const gchar *piece)
{
  return gemma_tokenizer_lookup (tokenizer, piece, strlen (piece));
}

gboolean
gemma_tokenizer_is_control (GemmaTokenizer *tokenizer, gint id)
{
  GemmaPieceKind kind;

  if (id < 0 || id >= tokenizer->n)
    return FALSE;
  kind = gemma_tokenizer_get_kind (tokenizer, id);
  return kind == GEMMA_PIECE_CONTROL || kind == GEMMA_PIECE_UNKNOWN;
}
