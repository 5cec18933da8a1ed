/* Encoding: the text is cut into symbols (characters, bytes, added tokens), then pairs of
 * neighbours merge, best first, leftmost among equals, until no pair is a piece.
 *
 * tokenizer.json ranks pairs of ids; SentencePiece (GGUF) merges what spells a piece and
 * takes its score. Both keep candidates in one binary heap: O(n log n) for any text.
 */
#include "tokenizer-private.h"

#include <string.h>

/* Longer texts are encoded in blocks, so that positions fit 32 bits. */
#define BLOCK (1 << 28)

typedef struct
{
  guint32 start, length;        /* bytes of the normalized text; length 0: merged into an earlier one */
  gint32 prev, next;            /* -1 at the ends, and where an added token is next */
  gint32 id;                    /* -1: a character that is no piece (GGUF) */
} Symbol;

typedef struct
{
  guint32 order;                /* rank, or the place of the score among all */
  gint32 left, right;
  gint32 id;
  guint32 length;
} Candidate;

/* How an unused piece came about; SentencePiece splits it again that way at the end. */
typedef struct
{
  guint32 start, left, right;   /* lengths */
} Split;

typedef struct
{
  GemmaTokenizer *t;
  gboolean parse_control;
  GByteArray *text;             /* normalized */
  GArray *symbols;
  GArray *heap;
  GHashTable *splits;           /* id -> Split, made when needed */
  gboolean chain;               /* the next symbol may merge with the last one */
  guint32 pending_start, pending;       /* unknown characters not yet a symbol (JSON) */
} Bpe;

gsize
gemma_utf8_length (const gchar *text, gsize length, gboolean *valid)
{
  guchar c = text[0];
  gsize n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

  *valid = n == 1 || (n > 1 && n <= length && g_utf8_validate (text, n, NULL));
  return *valid ? n : 1;
}

static Symbol *
symbol (Bpe *bpe, gint32 n)
{
  return &g_array_index (bpe->symbols, Symbol, n);
}

static void
add_symbol (Bpe *bpe, guint32 start, guint32 length, gint32 id)
{
  gint32 n = bpe->symbols->len;
  Symbol s = { .start = start, .length = length, .prev = bpe->chain ? n - 1 : -1, .next = -1, .id = id };

  if (bpe->chain)
    symbol (bpe, n - 1)->next = n;
  g_array_append_val (bpe->symbols, s);
  bpe->chain = TRUE;
}

/* An added token merges with nothing. */
static void
add_frozen (Bpe *bpe, guint32 start, guint32 length, gint32 id)
{
  bpe->chain = FALSE;
  add_symbol (bpe, start, length, id);
  bpe->chain = FALSE;
}

/* ---- cutting --------------------------------------------------------------------- */

/* The piece that may stand for text: control tokens and bytes never do. */
static gint
lookup_text (GemmaTokenizer *t, const gchar *text, gsize length)
{
  gint id = gemma_tokenizer_lookup (t, text, length);
  GemmaPieceKind kind = id < 0 ? GEMMA_PIECE_UNKNOWN : gemma_tokenizer_get_kind (t, id);

  return kind == GEMMA_PIECE_NORMAL || kind == GEMMA_PIECE_USER || kind == GEMMA_PIECE_UNUSED ? id : -1;
}

static void
flush_unknown (Bpe *bpe)
{
  if (bpe->pending > 0)
    add_symbol (bpe, bpe->pending_start, bpe->pending, bpe->t->unknown);
  bpe->pending = 0;
}

static void
add_character (Bpe *bpe, guint32 start, guint32 length)
{
  GemmaTokenizer *t = bpe->t;
  const gchar *text = (const gchar *) bpe->text->data + start;
  gint id = lookup_text (t, text, length);

  if (id >= 0 || !t->by_pairs) {
    flush_unknown (bpe);
    add_symbol (bpe, start, length, id);
  } else if (t->byte_fallback) {
    for (guint32 i = 0; i < length; i++)
      add_symbol (bpe, start + i, 1, t->bytes[(guint8) text[i]]);
  } else if (t->unknown >= 0) {
    if (!t->fuse_unknown)
      flush_unknown (bpe);
    if (bpe->pending == 0)
      bpe->pending_start = start;
    bpe->pending += length;
  }
}

/* Characters start..end of the normalized text, which hold no added token. */
static void
add_characters (Bpe *bpe, guint32 start, guint32 end)
{
  gint id;

  bpe->chain = FALSE;
  if (bpe->t->ignore_merges && end > start
      && (id = lookup_text (bpe->t, (const gchar *) bpe->text->data + start, end - start)) >= 0) {
    add_frozen (bpe, start, end - start, id);
    return;
  }
  while (start < end) {
    gboolean valid;
    gsize n = gemma_utf8_length ((const gchar *) bpe->text->data + start, end - start, &valid);

    add_character (bpe, start, n);
    start += n;
  }
  flush_unknown (bpe);
  bpe->chain = FALSE;
}

/* Appends @text with "▁" for each space. */
static void
append_normalized (Bpe *bpe, const gchar *text, gsize length, gboolean replace_space)
{
  const gchar *end = text + length;

  while (text < end) {
    const gchar *space = replace_space ? memchr (text, ' ', end - text) : NULL;
    const gchar *stop = space ? space : end;

    g_byte_array_append (bpe->text, (const guint8 *) text, stop - text);
    if (space)
      g_byte_array_append (bpe->text, (const guint8 *) GEMMA_SPACE, strlen (GEMMA_SPACE));
    text = space ? space + 1 : end;
  }
}

/* Added tokens that are searched in normalized text (none in Gemma's own file), and what lies between. */
static void
cut_normalized (Bpe *bpe, const gchar *raw, gsize length)
{
  guint32 start = bpe->text->len, at = start;

  append_normalized (bpe, raw, length, bpe->t->replace_space);
  while (bpe->t->added_normalized.nodes->len > 0 && at < bpe->text->len) {
    const gchar *text = (const gchar *) bpe->text->data + at;
    gsize n;
    gint id = gemma_trie_match (&bpe->t->added_normalized, NULL, text, bpe->text->len - at, &n);

    if (id < 0) {
      at += g_utf8_skip[(guint8) *text];
    } else if (gemma_tokenizer_is_control (bpe->t, id) && !bpe->parse_control) {
      at += n;
    } else {
      add_characters (bpe, start, at);
      add_frozen (bpe, at, n, id);
      start = at += n;
    }
  }
  add_characters (bpe, start, bpe->text->len);
}

/* As the tokenizers library: the leftmost longest added token; one that does not count is passed over whole. */
static void
cut_json (Bpe *bpe, const gchar *text, gsize length)
{
  gsize start = 0, at = 0;

  while (at < length) {
    gsize n;
    gint id = gemma_trie_match (&bpe->t->added, NULL, text + at, length - at, &n);

    if (id < 0) {
      at += g_utf8_skip[(guint8) text[at]];
    } else if (gemma_tokenizer_is_control (bpe->t, id) && !bpe->parse_control) {
      at += n;
    } else {
      cut_normalized (bpe, text + start, at - start);
      add_frozen (bpe, bpe->text->len, n, id);
      start = at += n;
    }
  }
  cut_normalized (bpe, text + start, length - start);
}

/* As SentencePiece: spaces first, then the longest user-defined piece or one character. */
static void
cut_gguf (Bpe *bpe, const gchar *raw, gsize raw_length)
{
  guint32 at = 0;

  append_normalized (bpe, raw, raw_length, TRUE);
  while (at < bpe->text->len) {
    const gchar *text = (const gchar *) bpe->text->data + at;
    gsize n, left = bpe->text->len - at;
    gint id = gemma_trie_match (&bpe->t->added, bpe->parse_control ? NULL : bpe->t, text, left, &n);
    gboolean valid;

    if (id >= 0) {
      add_frozen (bpe, at, n, id);
    } else {
      n = gemma_utf8_length (text, left, &valid);
      add_character (bpe, at, n);
    }
    at += n;
  }
}

/* ---- heap of candidates ------------------------------------------------------------- */

static gboolean
better (const Candidate *a, const Candidate *b)
{
  return a->order < b->order || (a->order == b->order && a->left < b->left);
}

static void
heap_push (GArray *heap, const Candidate *c)
{
  Candidate *items;
  guint i = heap->len;

  g_array_append_vals (heap, c, 1);
  items = (Candidate *) (gpointer) heap->data;
  while (i > 0 && better (c, &items[(i - 1) / 2])) {
    items[i] = items[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  items[i] = *c;
}

static Candidate
heap_pop (GArray *heap)
{
  Candidate *items = (Candidate *) (gpointer) heap->data;
  Candidate top = items[0], last = items[heap->len - 1];
  guint i = 0, n = heap->len - 1;

  for (;;) {
    guint child = 2 * i + 1;

    if (child >= n)
      break;
    if (child + 1 < n && better (&items[child + 1], &items[child]))
      child++;
    if (!better (&items[child], &last))
      break;
    items[i] = items[child];
    i = child;
  }
  items[i] = last;
  g_array_set_size (heap, n);
  return top;
}

/* ---- merging ----------------------------------------------------------------------- */

static const GemmaMerge *
find_merge (GemmaTokenizer *t, gint32 a, gint32 b)
{
  guint64 h = ((guint64) (guint32) a << 32 | (guint32) b) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  for (guint32 i = h >> 32;; i++) {
    const GemmaMerge *m = &t->merges[i & t->merge_mask];

    if (m->a < 0)
      return NULL;
    if (m->a == a && m->b == b)
      return m;
  }
}

static void
remember_split (Bpe *bpe, gint32 id, const Symbol *left, const Symbol *right)
{
  Split *split = g_new (Split, 1);

  *split = (Split) { left->start, left->length, right->length };
  if (!bpe->splits)
    bpe->splits = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  g_hash_table_replace (bpe->splits, GINT_TO_POINTER (id), split);
}

static void
add_candidate (Bpe *bpe, gint32 left, gint32 right)
{
  GemmaTokenizer *t = bpe->t;
  const Symbol *l, *r;
  Candidate c;

  if (left < 0 || right < 0)
    return;
  l = symbol (bpe, left);
  r = symbol (bpe, right);
  c = (Candidate) { .left = left, .right = right, .length = l->length + r->length };
  if (t->by_pairs) {
    const GemmaMerge *m = find_merge (t, l->id, r->id);

    if (!m || gemma_tokenizer_get_kind (t, m->id) == GEMMA_PIECE_CONTROL)
      return;
    c.id = m->id;
    c.order = m->rank;
  } else {
    c.id = lookup_text (t, (const gchar *) bpe->text->data + l->start, c.length);
    if (c.id < 0)
      return;
    c.order = g_array_index (t->order, guint32, c.id);
    if (gemma_tokenizer_get_kind (t, c.id) == GEMMA_PIECE_UNUSED)
      remember_split (bpe, c.id, l, r);
  }
  heap_push (bpe->heap, &c);
}

static void
merge_all (Bpe *bpe)
{
  for (guint i = 0; i + 1 < bpe->symbols->len; i++)
    add_candidate (bpe, i, symbol (bpe, i)->next);
  while (bpe->heap->len > 0) {
    Candidate c = heap_pop (bpe->heap);
    Symbol *l = symbol (bpe, c.left), *r = symbol (bpe, c.right);

    /* One of the two has merged with another neighbour since. */
    if (l->length == 0 || r->length == 0 || l->length + r->length != c.length)
      continue;
    l->length = c.length;
    l->id = c.id;
    l->next = r->next;
    if (r->next >= 0)
      symbol (bpe, r->next)->prev = c.left;
    r->length = 0;
    add_candidate (bpe, l->prev, c.left);
    add_candidate (bpe, c.left, l->next);
  }
}

/* ---- output ------------------------------------------------------------------------ */

static void
emit_unknown (Bpe *bpe, guint32 start, guint32 length, gboolean *after_unknown, GArray *ids)
{
  GemmaTokenizer *t = bpe->t;

  for (guint32 i = 0; t->byte_fallback && i < length; i++)
    g_array_append_val (ids, t->bytes[bpe->text->data[start + i]]);
  if (!t->byte_fallback && t->unknown >= 0 && !*after_unknown)
    g_array_append_val (ids, t->unknown);
  *after_unknown = !t->byte_fallback;
}

/* An unused piece is split as it was made; the depth is bounded by a piece's length. */
static void
emit_text (Bpe *bpe, guint32 start, guint32 length, gboolean *after_unknown, GArray *ids)
{
  gint32 id = lookup_text (bpe->t, (const gchar *) bpe->text->data + start, length);
  const Split *split = NULL;

  if (id < 0) {
    emit_unknown (bpe, start, length, after_unknown, ids);
    return;
  }
  if (bpe->splits && gemma_tokenizer_get_kind (bpe->t, id) == GEMMA_PIECE_UNUSED)
    split = g_hash_table_lookup (bpe->splits, GINT_TO_POINTER (id));
  if (split) {
    emit_text (bpe, split->start, split->left, after_unknown, ids);
    emit_text (bpe, split->start + split->left, split->right, after_unknown, ids);
    return;
  }
  *after_unknown = FALSE;
  g_array_append_val (ids, id);
}

static void
emit_all (Bpe *bpe, GArray *ids)
{
  gboolean after_unknown = FALSE;

  for (guint i = 0; i < bpe->symbols->len; i++) {
    const Symbol *s = symbol (bpe, i);

    if (s->length == 0)
      continue;
    if (!bpe->t->by_pairs && (s->id < 0 || gemma_tokenizer_get_kind (bpe->t, s->id) == GEMMA_PIECE_UNUSED)) {
      emit_text (bpe, s->start, s->length, &after_unknown, ids);
    } else {
      after_unknown = FALSE;
      g_array_append_val (ids, s->id);
    }
  }
}

static void
encode_block (GemmaTokenizer *t, const gchar *text, gsize length, gboolean parse_control, GArray *ids)
{
  Bpe bpe = { .t = t, .parse_control = parse_control };

  bpe.text = g_byte_array_sized_new (length + length / 4);
  bpe.symbols = g_array_new (FALSE, FALSE, sizeof (Symbol));
  bpe.heap = g_array_new (FALSE, FALSE, sizeof (Candidate));
  if (t->by_pairs)
    cut_json (&bpe, text, length);
  else
    cut_gguf (&bpe, text, length);
  merge_all (&bpe);
  emit_all (&bpe, ids);
  g_byte_array_unref (bpe.text);
  g_array_unref (bpe.symbols);
  g_array_unref (bpe.heap);
  g_clear_pointer (&bpe.splits, g_hash_table_unref);
}

/* NULL if @text is valid; unlike GLib's functions this takes U+0000 as the character that it is. */
static GString *
make_valid (const gchar *text, gsize length)
{
  GString *copy = NULL;

  for (gsize at = 0; at < length;) {
    gboolean valid;
    gsize n = gemma_utf8_length (text + at, length - at, &valid);

    if (!valid && !copy)
      copy = g_string_new_len (text, at);
    if (copy && valid)
      g_string_append_len (copy, text + at, n);
    else if (copy)
      g_string_append (copy, "\xef\xbf\xbd");
    at += n;
  }
  return copy;
}

void
gemma_tokenizer_encode (GemmaTokenizer *tokenizer, const gchar *text, gssize length, gboolean parse_control, GArray *ids)
{
  gsize left = length < 0 ? strlen (text) : (gsize) length;
  GString *copy = make_valid (text, left);

  if (copy) {
    text = copy->str;
    left = copy->len;
  }
  while (left > 0) {
    gsize n = left;

    if (n > BLOCK)
      for (n = BLOCK; ((guint8) text[n] & 0xc0) == 0x80; n--);
    encode_block (tokenizer, text, n, parse_control, ids);
    text += n;
    left -= n;
  }
  if (copy)
    g_string_free (copy, TRUE);
}
