/* tokenizer.json of the tokenizers library: BPE with byte fallback, spaces written "▁". */
#include "file.h"
#include "json-scan.h"
#include "tokenizer-private.h"

#include <string.h>

/* Gemma's has 33 MB. */
#define MAX_FILE ((gsize) 1 << 29)

typedef struct
{
  guint32 start;                /* in texts */
  gint32 length;                /* -1: no token has this id */
  GemmaPieceKind kind;
  gboolean added, normalized;
} Token;

typedef struct
{
  JsonScan scan;
  GemmaTokenizer *t;
  const gchar *added, *normalizer, *pre_tokenizer, *model, *vocab, *merges;     /* where these values are */
  gchar *unknown;
  gboolean byte_fallback;
  GArray *tokens;               /* Token, by id */
  GByteArray *texts;
} Reader;

typedef struct
{
  const gchar *name;
  const gchar **at;
} Place;

/* Notes where a value is and passes over it; a key that comes twice is an error. */
static gboolean
note_place (Reader *r, const gchar *key, gsize length, const Place *places, guint n)
{
  for (guint i = 0; i < n; i++) {
    if (!json_scan_equal (key, length, places[i].name))
      continue;
    if (*places[i].at)
      return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "the key \"%s\" comes twice", places[i].name);
    if (json_scan_peek (&r->scan) != JSON_SCAN_NULL)
      *places[i].at = r->scan.p;
  }
  return json_scan_skip (&r->scan);
}

static gboolean
read_top (Reader *r)
{
  const Place places[] = {
    {"added_tokens", &r->added}, {"normalizer", &r->normalizer}, {"pre_tokenizer", &r->pre_tokenizer},
    {"model", &r->model},
  };
  const gchar *key;
  gsize n;

  json_scan_enter (&r->scan, JSON_SCAN_OBJECT);
  while (json_scan_next (&r->scan, &key, &n))
    if (!note_place (r, key, n, places, G_N_ELEMENTS (places)))
      return FALSE;
  if (!json_scan_finish (&r->scan))
    return FALSE;
  return r->model || json_scan_fail (&r->scan, GEMMA_ERROR_NOT_FOUND, "the key \"model\" is missing");
}

/* A string that has to be @allowed. */
static gboolean
expect_string (Reader *r, const gchar *what, const gchar *allowed)
{
  gsize n;
  const gchar *text = json_scan_string (&r->scan, &n);

  if (text && !json_scan_equal (text, n, allowed))
    return json_scan_fail (&r->scan, GEMMA_ERROR_UNSUPPORTED, "%s is \"%.*s\"; supported is \"%s\"", what,
        (gint) MIN (n, 64), text, allowed);
  return text != NULL;
}

/* {"String": " "} */
static gboolean
expect_space_pattern (Reader *r, const gchar *what)
{
  const gchar *key;
  gsize n;

  json_scan_enter (&r->scan, JSON_SCAN_OBJECT);
  while (json_scan_next (&r->scan, &key, &n)) {
    if (!json_scan_equal (key, n, "String"))
      return json_scan_fail (&r->scan, GEMMA_ERROR_UNSUPPORTED, "the pattern of %s is no string", what);
    if (!expect_string (r, what, " "))
      return FALSE;
  }
  return r->scan.error == NULL;
}

/* Replace " " by "▁", alone or as the only one of a Sequence. */
static gboolean
read_normalizer (Reader *r, gboolean in_sequence)
{
  gboolean sequence = FALSE;
  const gchar *key;
  gsize n;

  json_scan_enter (&r->scan, JSON_SCAN_OBJECT);
  while (json_scan_next (&r->scan, &key, &n)) {
    if (json_scan_equal (key, n, "normalizers") && !in_sequence) {
      sequence = TRUE;
      json_scan_enter (&r->scan, JSON_SCAN_ARRAY);
      while (json_scan_next (&r->scan, NULL, NULL))
        if (r->t->replace_space || !read_normalizer (r, TRUE))
          return json_scan_fail (&r->scan, GEMMA_ERROR_UNSUPPORTED, "the normalizer has more than one step");
    } else if (json_scan_equal (key, n, "type")) {
      const gchar *type = json_scan_string (&r->scan, &n);

      if (type && !json_scan_equal (type, n, "Replace") && (in_sequence || !json_scan_equal (type, n, "Sequence")))
        return json_scan_fail (&r->scan, GEMMA_ERROR_UNSUPPORTED,
            "the normalizer is \"%.*s\"; supported is \"Replace\"", (gint) MIN (n, 64), type);
    } else if (json_scan_equal (key, n, "pattern")) {
      r->t->replace_space = expect_space_pattern (r, "the normalizer");
    } else if (json_scan_equal (key, n, "content")) {
      expect_string (r, "the normalizer's content", GEMMA_SPACE);
    } else {
      json_scan_skip (&r->scan);
    }
  }
  if (!r->t->replace_space && !sequence)
    return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "the normalizer has no pattern");
  return r->scan.error == NULL;
}

/* Splitting at " " changes nothing where no " " is left. */
static gboolean
read_pre_tokenizer (Reader *r)
{
  const gchar *key;
  gsize n;

  json_scan_enter (&r->scan, JSON_SCAN_OBJECT);
  while (json_scan_next (&r->scan, &key, &n)) {
    if (json_scan_equal (key, n, "type"))
      expect_string (r, "the pre_tokenizer", "Split");
    else if (json_scan_equal (key, n, "pattern"))
      expect_space_pattern (r, "the pre_tokenizer");
    else
      json_scan_skip (&r->scan);
  }
  if (!r->t->replace_space)
    return json_scan_fail (&r->scan, GEMMA_ERROR_UNSUPPORTED, "a pre_tokenizer that splits at spaces that remain");
  return r->scan.error == NULL;
}

/* null or "" */
static gboolean
expect_nothing (Reader *r, const gchar *what)
{
  return json_scan_peek (&r->scan) == JSON_SCAN_NULL ? json_scan_skip (&r->scan) : expect_string (r, what, "");
}

static gboolean
read_model_member (Reader *r, const gchar *key, gsize n)
{
  const Place places[] = { {"vocab", &r->vocab}, {"merges", &r->merges} };

  if (json_scan_equal (key, n, "type"))
    return expect_string (r, "model.type", "BPE");
  if (json_scan_equal (key, n, "byte_fallback"))
    return json_scan_bool (&r->scan, &r->byte_fallback);
  if (json_scan_equal (key, n, "fuse_unk"))
    return json_scan_bool (&r->scan, &r->t->fuse_unknown);
  if (json_scan_equal (key, n, "ignore_merges"))
    return json_scan_bool (&r->scan, &r->t->ignore_merges);
  if (json_scan_equal (key, n, "continuing_subword_prefix"))
    return expect_nothing (r, "model.continuing_subword_prefix");
  if (json_scan_equal (key, n, "end_of_word_suffix"))
    return expect_nothing (r, "model.end_of_word_suffix");
  if (json_scan_equal (key, n, "unk_token") && json_scan_peek (&r->scan) == JSON_SCAN_STRING) {
    const gchar *text = json_scan_string (&r->scan, &n);

    g_free (r->unknown);
    r->unknown = text ? g_strndup (text, n) : NULL;
    return text != NULL;
  }
  return note_place (r, key, n, places, G_N_ELEMENTS (places));
}

static gboolean
read_model (Reader *r)
{
  const gchar *key;
  gsize n;

  json_scan_seek (&r->scan, r->model);
  json_scan_enter (&r->scan, JSON_SCAN_OBJECT);
  while (json_scan_next (&r->scan, &key, &n))
    if (!read_model_member (r, key, n))
      return FALSE;
  if (!r->scan.error && (!r->vocab || !r->merges))
    return json_scan_fail (&r->scan, GEMMA_ERROR_NOT_FOUND, "the key \"model.%s\" is missing",
        r->vocab ? "merges" : "vocab");
  return r->scan.error == NULL;
}

/* ---- tokens ------------------------------------------------------------------------ */

/* The entry of @id, made if it is new; NULL if the id is absurd. */
static Token *
token_at (Reader *r, gint64 id)
{
  if (id < 0 || id >= GEMMA_MAX_VOCABULARY) {
    json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "token id %" G_GINT64_FORMAT "; allowed are 0 to %d", id,
        GEMMA_MAX_VOCABULARY - 1);
    return NULL;
  }
  while (r->tokens->len <= id) {
    Token none = { .length = -1 };

    g_array_append_val (r->tokens, none);
  }
  return &g_array_index (r->tokens, Token, id);
}

/* Keeps @text; FALSE if it is longer than a piece may be. */
static gboolean
keep_text (Reader *r, const gchar *text, gsize length)
{
  if (length == 0 || length > GEMMA_MAX_PIECE)
    return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "a token of %" G_GSIZE_FORMAT " bytes; allowed are 1 to %d",
        length, GEMMA_MAX_PIECE);
  if (r->texts->len > GEMMA_MAX_TEXT - length)
    return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "the tokens have more than %d bytes", GEMMA_MAX_TEXT);
  g_byte_array_append (r->texts, (const guint8 *) text, length);
  return TRUE;
}

static gboolean
read_vocab (Reader *r)
{
  const gchar *key;
  gsize n;

  json_scan_seek (&r->scan, r->vocab);
  json_scan_enter (&r->scan, JSON_SCAN_OBJECT);
  while (json_scan_next (&r->scan, &key, &n)) {
    guint32 start = r->texts->len;
    Token *token;
    gint64 id;

    /* The key is kept first: the scanner may reuse its memory. */
    if (!keep_text (r, key, n) || !json_scan_int (&r->scan, &id) || !(token = token_at (r, id)))
      return FALSE;
    if (token->length >= 0)
      return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "two tokens have the id %" G_GINT64_FORMAT, id);
    token->start = start;
    token->length = n;
    token->kind = GEMMA_PIECE_NORMAL;
    if (r->byte_fallback && n == 6 && memcmp (r->texts->data + start, "<0x", 3) == 0 && r->texts->data[start + 5] == '>')
      token->kind = GEMMA_PIECE_BYTE;
  }
  return r->scan.error == NULL;
}

/* One of added_tokens: {"id", "content", "special", "normalized", …} */
static gboolean
read_added_token (Reader *r)
{
  gboolean special = FALSE, normalized = FALSE, flag;
  guint32 start = r->texts->len;
  gint64 id = -1;
  gsize n;
  const gchar *key;
  Token *token;

  json_scan_enter (&r->scan, JSON_SCAN_OBJECT);
  while (json_scan_next (&r->scan, &key, &n)) {
    if (json_scan_equal (key, n, "id")) {
      json_scan_int (&r->scan, &id);
    } else if (json_scan_equal (key, n, "special")) {
      json_scan_bool (&r->scan, &special);
    } else if (json_scan_equal (key, n, "normalized")) {
      json_scan_bool (&r->scan, &normalized);
    } else if (json_scan_equal (key, n, "content")) {
      const gchar *text = json_scan_string (&r->scan, &n);

      g_byte_array_set_size (r->texts, start);
      if (!text || !keep_text (r, text, n))
        return FALSE;
    } else if (json_scan_equal (key, n, "single_word") || json_scan_equal (key, n, "lstrip")
        || json_scan_equal (key, n, "rstrip")) {
      if (json_scan_bool (&r->scan, &flag) && flag)
        return json_scan_fail (&r->scan, GEMMA_ERROR_UNSUPPORTED,
            "an added token with lstrip, rstrip or single_word; Gemma has none");
    } else {
      json_scan_skip (&r->scan);
    }
  }
  if (r->scan.error || !(token = token_at (r, id)))
    return FALSE;
  n = r->texts->len - start;
  if (n == 0 || (token->length >= 0 && ((gsize) token->length != n
              || memcmp (r->texts->data + token->start, r->texts->data + start, n) != 0)))
    return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID,
        "the added token %" G_GINT64_FORMAT " has no content, or not that of the vocabulary", id);
  *token = (Token) { start, n, special ? GEMMA_PIECE_CONTROL : GEMMA_PIECE_USER, TRUE, normalized };
  return TRUE;
}

static gboolean
read_added (Reader *r)
{
  json_scan_seek (&r->scan, r->added);
  json_scan_enter (&r->scan, JSON_SCAN_ARRAY);
  while (json_scan_next (&r->scan, NULL, NULL))
    if (!read_added_token (r))
      return FALSE;
  return r->scan.error == NULL;
}

/* Fills the tokenizer in the order of ids. */
static gboolean
take_tokens (Reader *r, GError **error)
{
  for (guint id = 0; id < r->tokens->len; id++) {
    const Token *token = &g_array_index (r->tokens, Token, id);
    const gchar *text = (const gchar *) r->texts->data + token->start;

    if (token->length < 0) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: no token has the id %u, but %u ids are in use",
          r->scan.file, id, r->tokens->len);
      return FALSE;
    }
    if (!gemma_tokenizer_add (r->t, r->scan.file, text, token->length, token->kind, error))
      return FALSE;
    if (token->added)
      gemma_trie_add (token->normalized ? &r->t->added_normalized : &r->t->added, text, token->length, id);
  }
  if (!gemma_tokenizer_index (r->t, r->scan.file, error))
    return FALSE;
  if (r->unknown) {
    r->t->unknown = gemma_tokenizer_find (r->t, r->unknown);
    if (r->t->unknown < 0) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: model.unk_token \"%s\" is not in the vocabulary",
          r->scan.file, r->unknown);
      return FALSE;
    }
  }
  return TRUE;
}

/* ---- merges ------------------------------------------------------------------------ */

/* ["a", "b"], or "a b" as older files have it: both texts, one after the other, in @pair. */
static gboolean
read_pair (Reader *r, GString *pair, gsize *left)
{
  gboolean legacy = json_scan_peek (&r->scan) == JSON_SCAN_STRING;
  guint n_parts = 0;
  const gchar *text;
  gsize n;

  g_string_truncate (pair, 0);
  if (legacy) {
    const gchar *space;

    if (!(text = json_scan_string (&r->scan, &n)))
      return FALSE;
    space = memchr (text, ' ', n);
    if (space && !memchr (space + 1, ' ', text + n - space - 1)) {
      *left = space - text;
      g_string_append_len (pair, text, *left);
      g_string_append_len (pair, space + 1, n - *left - 1);
      n_parts = 2;
    }
  } else {
    json_scan_enter (&r->scan, JSON_SCAN_ARRAY);
    while (json_scan_next (&r->scan, NULL, NULL) && n_parts++ < 2) {
      if (!(text = json_scan_string (&r->scan, &n)))
        return FALSE;
      g_string_append_len (pair, text, n);
      if (n_parts == 1)
        *left = n;
    }
  }
  if (!r->scan.error && n_parts != 2)
    return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "a merge is not of two tokens");
  return r->scan.error == NULL;
}

static void
insert_merge (GemmaTokenizer *t, const GemmaMerge *merge)
{
  guint64 h = ((guint64) (guint32) merge->a << 32 | (guint32) merge->b) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  guint32 i = h >> 32;

  while (t->merges[i & t->merge_mask].a >= 0
      && (t->merges[i & t->merge_mask].a != merge->a || t->merges[i & t->merge_mask].b != merge->b))
    i++;
  t->merges[i & t->merge_mask] = *merge;
}

static void
hash_merges (GemmaTokenizer *t, const GArray *merges)
{
  guint32 size = 16;

  while (size < 2 * merges->len)
    size *= 2;
  t->merges = g_new (GemmaMerge, size);
  memset (t->merges, -1, size * sizeof *t->merges);
  t->merge_mask = size - 1;
  for (guint i = 0; i < merges->len; i++)
    insert_merge (t, &g_array_index (merges, GemmaMerge, i));
}

static gboolean
read_merges (Reader *r)
{
  g_autoptr (GArray) merges = g_array_new (FALSE, FALSE, sizeof (GemmaMerge));
  g_autoptr (GString) pair = g_string_new (NULL);
  gsize left = 0;

  json_scan_seek (&r->scan, r->merges);
  json_scan_enter (&r->scan, JSON_SCAN_ARRAY);
  while (json_scan_next (&r->scan, NULL, NULL)) {
    GemmaMerge merge = { .rank = merges->len };

    if (!read_pair (r, pair, &left))
      return FALSE;
    merge.a = gemma_tokenizer_lookup (r->t, pair->str, left);
    merge.b = gemma_tokenizer_lookup (r->t, pair->str + left, pair->len - left);
    merge.id = gemma_tokenizer_lookup (r->t, pair->str, pair->len);
    if (merge.a < 0 || merge.b < 0 || merge.id < 0)
      return json_scan_fail (&r->scan, GEMMA_ERROR_INVALID, "merge %u, \"%.*s\" + \"%s\": %s is not in the vocabulary",
          merges->len, (gint) MIN (left, 64), pair->str, left < 64 && pair->len < 128 ? pair->str + left : "…",
          merge.a < 0 ? "the first" : merge.b < 0 ? "the second" : "the result");
    g_array_append_val (merges, merge);
  }
  if (r->scan.error)
    return FALSE;
  hash_merges (r->t, merges);
  return TRUE;
}

static gboolean
read_file (Reader *r, GError **error)
{
  if (!read_top (r) || !read_model (r))
    return FALSE;
  if (r->normalizer) {
    json_scan_seek (&r->scan, r->normalizer);
    if (!read_normalizer (r, FALSE))
      return FALSE;
  }
  if (r->pre_tokenizer) {
    json_scan_seek (&r->scan, r->pre_tokenizer);
    if (!read_pre_tokenizer (r))
      return FALSE;
  }
  return read_vocab (r) && (!r->added || read_added (r)) && take_tokens (r, error) && read_merges (r);
}

GemmaTokenizer *
gemma_tokenizer_new_from_json_data (const gchar *name, const gchar *data, gsize length, GError **error)
{
  Reader r = { .t = gemma_tokenizer_alloc () };
  gboolean ok;

  json_scan_init (&r.scan, name, data, length);
  r.t->by_pairs = TRUE;
  r.tokens = g_array_new (FALSE, FALSE, sizeof (Token));
  r.texts = g_byte_array_new ();
  ok = read_file (&r, error);
  if (r.scan.error) {
    g_propagate_error (error, g_steal_pointer (&r.scan.error));
    ok = FALSE;
  }
  json_scan_clear (&r.scan);
  g_array_unref (r.tokens);
  g_byte_array_unref (r.texts);
  g_free (r.unknown);
  if (!ok)
    g_clear_pointer (&r.t, gemma_tokenizer_free);
  return r.t;
}

GemmaTokenizer *
gemma_tokenizer_new_from_json (const gchar *path, GError **error)
{
  g_autoptr (GError) cause = NULL;
  gsize length;
  g_autofree gchar *data = gemma_read_regular (path, MAX_FILE, &length, &cause);

  if (data)
    return gemma_tokenizer_new_from_json_data (path, data, length, error);
  if (g_error_matches (cause, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND))
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: the file is missing", path);
  else
    g_propagate_error (error, g_steal_pointer (&cause));
  return NULL;
}
