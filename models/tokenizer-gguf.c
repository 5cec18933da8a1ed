/* tokenizer.ggml.* of a GGUF: SentencePiece's pieces, scores and types. */
#include "tokenizer-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static gboolean
check_keys (GemmaWeights *weights, GError **error)
{
  const gchar *path = gemma_weights_get_path (weights);
  const gchar *model = gemma_weights_get_string (weights, "tokenizer.ggml.model", error);
  gboolean add_space = FALSE;

  if (!model)
    return FALSE;
  if (strcmp (model, "llama") != 0) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED,
        "%s: tokenizer.ggml.model is \"%.64s\"; supported is \"llama\" (SentencePiece BPE)", path, model);
    return FALSE;
  }
  if (gemma_weights_has_key (weights, "tokenizer.ggml.add_space_prefix")
      && !gemma_weights_get_bool (weights, "tokenizer.ggml.add_space_prefix", &add_space, error))
    return FALSE;
  if (add_space || gemma_weights_has_key (weights, "tokenizer.ggml.precompiled_charsmap")) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "%s: %s; Gemma's tokenizer has none", path,
        add_space ? "tokenizer.ggml.add_space_prefix is true" : "tokenizer.ggml.precompiled_charsmap is there");
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_lengths (GemmaWeights *weights, gint64 *n, GError **error)
{
  gint64 scores = gemma_weights_get_length (weights, "tokenizer.ggml.scores");
  gint64 types = gemma_weights_get_length (weights, "tokenizer.ggml.token_type");

  *n = gemma_weights_get_length (weights, "tokenizer.ggml.tokens");
  if (*n <= 0 || *n > GEMMA_MAX_VOCABULARY || scores != *n || types != *n) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: tokenizer.ggml.tokens, scores and token_type have %"
        G_GINT64_FORMAT ", %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT " entries (-1: none); allowed are equal numbers of 1 to %d",
        gemma_weights_get_path (weights), *n, scores, types, GEMMA_MAX_VOCABULARY);
    return FALSE;
  }
  return TRUE;
}

/* llama.cpp's converter writes user-defined pieces with spaces where SentencePiece has "▁". */
static gboolean
add_user_piece (GemmaTokenizer *t, const gchar *path, const gchar *text, gsize length, GemmaPieceKind kind, GError **error)
{
  g_autoptr (GString) piece = g_string_new_len (text, MIN (length, GEMMA_MAX_PIECE + 1));

  g_string_replace (piece, " ", GEMMA_SPACE, 0);
  return gemma_tokenizer_add (t, path, piece->str, piece->len, kind, error);
}

static gboolean
add_piece (GemmaTokenizer *t, const gchar *path, const gchar *text, gsize length, GemmaPieceKind kind, GError **error)
{
  if (kind == GEMMA_PIECE_USER && memchr (text, ' ', length) && !memchr (text, '\0', length))
    return add_user_piece (t, path, text, length, kind, error);
  return gemma_tokenizer_add (t, path, text, length, kind, error);
}

static gboolean
read_pieces (GemmaTokenizer *t, GemmaWeights *weights, gint64 n, GError **error)
{
  const gchar *path = gemma_weights_get_path (weights);
  g_autofree gdouble *types = gemma_weights_get_numbers (weights, "tokenizer.ggml.token_type", n, error);

  if (!types)
    return FALSE;
  for (gint64 i = 0; i < n; i++) {
    const gchar *text;
    gsize length;

    if (!gemma_weights_get_nth_string (weights, "tokenizer.ggml.tokens", i, &text, &length)) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: tokenizer.ggml.tokens is no array of strings", path);
      return FALSE;
    }
    if (!(types[i] >= GEMMA_PIECE_NORMAL && types[i] <= GEMMA_PIECE_BYTE)) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
          "%s: tokenizer.ggml.token_type[%" G_GINT64_FORMAT "] is %g; allowed are 1 to 6", path, i, types[i]);
      return FALSE;
    }
    if (!g_utf8_validate_len (text, length, NULL)) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: token %" G_GINT64_FORMAT " is not UTF-8", path, i);
      return FALSE;
    }
    if (!add_piece (t, path, text, length, (GemmaPieceKind) types[i], error))
      return FALSE;
  }
  return gemma_tokenizer_index (t, path, error);
}

static gint
compare_scores (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x < y) - (x > y);
}

/* Scores become numbers to compare: equal scores have the same, the best has 0. */
static gboolean
read_order (GemmaTokenizer *t, GemmaWeights *weights, gint64 n, GError **error)
{
  g_autofree gdouble *scores = gemma_weights_get_numbers (weights, "tokenizer.ggml.scores", n, error);
  g_autofree gdouble *sorted = NULL;
  gsize n_sorted = 0;

  if (!scores)
    return FALSE;
  sorted = g_memdup2 (scores, n * sizeof *scores);
  for (gint64 i = 0; i < n; i++) {
    if (isnan (scores[i])) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: tokenizer.ggml.scores[%" G_GINT64_FORMAT "] is not a number",
          gemma_weights_get_path (weights), i);
      return FALSE;
    }
  }
  qsort (sorted, n, sizeof *sorted, compare_scores);
  for (gint64 i = 0; i < n; i++)
    if (i == 0 || sorted[i] != sorted[n_sorted - 1])
      sorted[n_sorted++] = sorted[i];
  t->order = g_array_sized_new (FALSE, FALSE, sizeof (guint32), n);
  for (gint64 i = 0; i < n; i++) {
    gdouble *found = bsearch (&scores[i], sorted, n_sorted, sizeof *sorted, compare_scores);
    guint32 order = found - sorted;

    g_array_append_val (t->order, order);
  }
  return TRUE;
}

static gboolean
check_special (GemmaTokenizer *t, GemmaWeights *weights, GError **error)
{
  static const gchar *const keys[] = {
    "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.padding_token_id",
  };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    gint64 id;

    /* An unknown and a padding token are not needed. */
    if (i >= 2 && !gemma_weights_has_key (weights, keys[i]))
      continue;
    if (!gemma_weights_get_int (weights, keys[i], &id, error))
      return FALSE;
    if (id < 0 || id >= t->n) {
      g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: %s is %" G_GINT64_FORMAT "; allowed are 0 to %d",
          gemma_weights_get_path (weights), keys[i], id, t->n - 1);
      return FALSE;
    }
    /* Never matched in text, whatever its type is called. */
    if (i == 2) {
      t->unknown = id;
      gemma_tokenizer_set_kind (t, id, GEMMA_PIECE_UNKNOWN);
    }
  }
  return TRUE;
}

GemmaTokenizer *
gemma_tokenizer_new_from_gguf (GemmaWeights *weights, GError **error)
{
  GemmaTokenizer *t = gemma_tokenizer_alloc ();
  gint64 n;

  if (!check_keys (weights, error) || !check_lengths (weights, &n, error) || !read_pieces (t, weights, n, error)
      || !read_order (t, weights, n, error) || !check_special (t, weights, error)) {
    gemma_tokenizer_free (t);
    return NULL;
  }
  for (gint id = 0; id < t->n; id++) {
    gsize length;
    const gchar *text = gemma_tokenizer_get_text (t, id, &length);
    GemmaPieceKind kind = gemma_tokenizer_get_kind (t, id);

    if (kind == GEMMA_PIECE_USER || kind == GEMMA_PIECE_CONTROL)
      gemma_trie_add (&t->added, text, length, id);
  }
  return t;
}
