#include "prose.h"

#include <string.h>

/* How far from its place, in lengths of an average part, a text is rather divided at ... */
#define AT_SENTENCE .5
#define AT_CLAUSE .3
#define AT_PHRASE .1
/* ... than between any two words, and how far it is avoided behind short ones ("the", "et"), and inside of one. */
#define AT_SHORT -.12
#define IN_WORD -.5
#define SHORT 3
/* Letters of a name that a caption may begin with. */
#define LONGEST_LABEL 30

/* ---- characters ------------------------------------------------------------------------- */

/* What may follow a full stop in its sentence. */
static gboolean
closes (gunichar c)
{
  switch (g_unichar_type (c)) {
    case G_UNICODE_CLOSE_PUNCTUATION:
    case G_UNICODE_FINAL_PUNCTUATION:
    case G_UNICODE_SPACE_SEPARATOR:
    case G_UNICODE_CONTROL:
      return TRUE;
    default:
      return c == '"' || c == '\'';
  }
}

static gboolean
opens (gunichar c)
{
  GUnicodeType type = g_unichar_type (c);

  return type == G_UNICODE_OPEN_PUNCTUATION || type == G_UNICODE_INITIAL_PUNCTUATION || c == 0xbf || c == 0xa1;
}

static gboolean
is_full_stop (gunichar c)
{
  static const gunichar stops[] = { '.', 0x3002 /* 。 */, 0xff0e, 0xff61, 0x06d4 /* Arabic */, 0x0964 /* danda */,
    0x0965, 0x1362 /* Ethiopic */, 0x104b, 0x17d4, 0x0589 /* Armenian */ };

  for (guint i = 0; i < G_N_ELEMENTS (stops); i++)
    if (c == stops[i])
      return TRUE;
  return FALSE;
}

static gboolean
is_terminator (gunichar c)
{
  static const gunichar others[] = { '!', '?', 0x2026 /* … */, 0x203c, 0x203d, 0x2047, 0x2048, 0x2049, 0xff01, 0xff1f,
    0x061f /* Arabic ? */, 0x1367, 0x055c, 0x055e };

  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    if (c == others[i])
      return TRUE;
  return is_full_stop (c);
}

static gboolean
ends_clause (gunichar c)
{
  return (c < 128 && strchr (",;:", c)) || c == 0x2013 || c == 0x2014 || c == 0x3001 || c == 0xff0c || c == 0xff1a ||
      c == 0xff1b || c == 0x060c || c == 0x061b;
}

static gboolean
is_dash (gunichar c)
{
  return c == '-' || c == 0x2013 || c == 0x2014;
}

static gboolean
is_note (gunichar c)
{
  return (c >= 0x2669 && c <= 0x266c) || c == '#';
}

/* South East Asian scripts, whose words only a dictionary tells. */
static gboolean
hides_words (gunichar c)
{
  switch (g_unichar_get_script (c)) {
    case G_UNICODE_SCRIPT_THAI:
    case G_UNICODE_SCRIPT_LAO:
    case G_UNICODE_SCRIPT_KHMER:
    case G_UNICODE_SCRIPT_MYANMAR:
      return TRUE;
    default:
      return FALSE;
  }
}

static gboolean
is_spaceless (gunichar c)
{
  switch (g_unichar_get_script (c)) {
    case G_UNICODE_SCRIPT_HAN:
    case G_UNICODE_SCRIPT_HIRAGANA:
    case G_UNICODE_SCRIPT_KATAKANA:
      return TRUE;
    default:
      return (c >= 0x3000 && c <= 0x303f) || (c >= 0xff00 && c <= 0xff65) ||    /* their punctuation */
          hides_words (c);
  }
}

static gunichar
get_before (const gchar *p)
{
  return g_utf8_get_char (g_utf8_prev_char (p));
}

/* ---- sentences ---------------------------------------------------------------------------- */

/* "Dr." and "J.": the word that ends before @stop, its full stop. */
static gboolean
is_abbreviation (const gchar *text, const gchar *stop)
{
  static const gchar *const titles[] = { "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Sra", "Sta", "Mme", "Sig", "Hr",
    "Fr" };
  const gchar *word = stop;

  while (word > text && g_unichar_isalpha (get_before (word)))
    word = g_utf8_prev_char (word);
  if (word < stop && g_utf8_next_char (word) == stop)
    return g_unichar_isupper (g_utf8_get_char (word));
  for (guint i = 0; i < G_N_ELEMENTS (titles); i++)
    if (strlen (titles[i]) == (gsize) (stop - word) && strncmp (titles[i], word, stop - word) == 0)
      return TRUE;
  return FALSE;
}

/* What @text, up to @end, ends with: its last character but what closes. NULL: there is none. */
static const gchar *
find_last (const gchar *text, const gchar *end)
{
  while (end > text && closes (get_before (end)))
    end = g_utf8_prev_char (end);
  return end > text ? g_utf8_prev_char (end) : NULL;
}

static gboolean
ends_sentence_at (const gchar *text, const gchar *end)
{
  const gchar *p = find_last (text, end);

  return p && is_terminator (g_utf8_get_char (p)) && !(*p == '.' && is_abbreviation (text, p));
}

gboolean
gemma_text_ends_sentence (const gchar *text)
{
  return ends_sentence_at (text, text + strlen (text));
}

gboolean
gemma_text_needs_space (const gchar *before, const gchar *after)
{
  gunichar last, first;

  if (!*before || !*after)
    return FALSE;
  last = get_before (before + strlen (before));
  first = g_utf8_get_char (after);
  return !g_unichar_isspace (last) && !g_unichar_isspace (first) && !(is_spaceless (last) && is_spaceless (first)) &&
      !is_terminator (first) && !(first < 128 && strchr (",;:", first));
}

/* "3.5", "..." and "Dr." have none. */
gboolean
gemma_text_has_full_stop (const gchar *text)
{
  for (const gchar *p = text; *p; p = g_utf8_next_char (p)) {
    const gchar *next = g_utf8_next_char (p);

    if (!is_full_stop (g_utf8_get_char (p)))
      continue;
    if (*p != '.' || ((!*next || closes (g_utf8_get_char (next))) && !(p > text && p[-1] == '.') &&
            !is_abbreviation (text, p)))
      return TRUE;
  }
  return FALSE;
}

/* ---- captions in a row ---------------------------------------------------------------------- */

/* "[music]": said by nobody. */
static gboolean
is_aside (const gchar *text)
{
  static const gunichar around[][2] = { { '(', ')' }, { '[', ']' }, { '{', '}' }, { 0xff08, 0xff09 },
    { 0xff3b, 0xff3d }, { 0x3010, 0x3011 }, { 0x3014, 0x3015 } };
  g_autofree gchar *all = g_strstrip (g_strdup (text));

  for (guint i = 0; *all && i < G_N_ELEMENTS (around); i++)
    if (g_utf8_get_char (all) == around[i][0] && get_before (all + strlen (all)) == around[i][1])
      return TRUE;
  return FALSE;
}

/* Dots or a dash: the sentence may be broken off, or only the line. @last: as find_last() says */
static gboolean
is_left_open (const gchar *text, const gchar *last)
{
  gunichar c = g_utf8_get_char (last);

  return c == 0x2025 || c == 0x2026 || is_dash (c) || (c == '.' && last > text && last[-1] == '.');
}

gboolean
gemma_text_may_go_on (const gchar *text)
{
  const gchar *last = find_last (text, text + strlen (text));

  if (!last || is_aside (text))
    return FALSE;
  gunichar c = g_utf8_get_char (last);
  GUnicodeScript script = g_unichar_get_script (c);
  if (is_note (c) || script == G_UNICODE_SCRIPT_THAI || script == G_UNICODE_SCRIPT_LAO)
    return FALSE;
  return is_left_open (text, last) || !gemma_text_ends_sentence (text);
}

/* "ANNA:", "MAN 2:" */
static gboolean
has_label (const gchar *text)
{
  guint letters = 0, n = 0;

  for (; *text && n < LONGEST_LABEL; text = g_utf8_next_char (text), n++) {
    gunichar c = g_utf8_get_char (text);

    if (c == ':' || c == 0xff1a)
      return letters > 1;
    if (g_unichar_isalpha (c) ? !g_unichar_isupper (c) : !g_unichar_isdigit (c) && !g_unichar_isspace (c) && c != '.')
      return FALSE;
    letters += g_unichar_isalpha (c);
  }
  return FALSE;
}

static gboolean
begins_small (const gchar *text)
{
  if (g_utf8_get_char (text) == 0x2026 || g_str_has_prefix (text, ".."))
    return TRUE;
  while (*text && !g_unichar_isalnum (g_utf8_get_char (text)))
    text = g_utf8_next_char (text);
  return g_unichar_islower (g_utf8_get_char (text));
}

GemmaTextRelation
gemma_text_relate (const gchar *before, const gchar *after)
{
  const gchar *last = find_last (before, before + strlen (before));

  while (g_unichar_isspace (g_utf8_get_char (after)))
    after = g_utf8_next_char (after);
  if (!*after || !gemma_text_may_go_on (before) || is_aside (after) || is_note (g_utf8_get_char (after)) ||
      g_str_has_prefix (after, ">>") || has_label (after))
    return GEMMA_TEXT_ENDS;
  if (begins_small (after))
    return GEMMA_TEXT_GOES_ON;
  return is_left_open (before, last) ? GEMMA_TEXT_ENDS : GEMMA_TEXT_MAY_GO_ON;
}

/* ---- dividing --------------------------------------------------------------------------------- */

typedef struct
{
  const gchar *p;               /* what follows it */
  glong at;                     /* in characters */
  gdouble merit;                /* in lengths of a part */
} Place;

/* Japanese: characters that no line begins with. */
static gboolean
clings (gunichar c)
{
  static const gunichar small[] = { 0x3041, 0x3043, 0x3045, 0x3047, 0x3049, 0x3063, 0x3083, 0x3085, 0x3087, 0x308e,
    0x30a1, 0x30a3, 0x30a5, 0x30a7, 0x30a9, 0x30c3, 0x30e3, 0x30e5, 0x30e7, 0x30ee, 0x30fc, 0x3005, 0x309d, 0x309e,
    0x30fd, 0x30fe };

  for (guint i = 0; i < G_N_ELEMENTS (small); i++)
    if (c == small[i])
      return TRUE;
  return FALSE;
}

static gboolean
is_wide_latin (gunichar c)
{
  return c >= 0xff10 && c <= 0xff5a && g_unichar_isalnum (c);
}

/* Thai, Lao, Khmer, Burmese: whether a syllable goes on with @p. */
static gboolean
is_in_syllable (gunichar before, const gchar *p)
{
  gunichar c = g_utf8_get_char (p), low = c & ~0x80u, next = g_utf8_get_char (g_utf8_next_char (p));

  if (g_unichar_ismark (c) || !g_unichar_isalpha (c) || next == 0x103a || before == 0x1039 || before == 0x17d2)
    return TRUE;
  if (c >= 0x0e00 && c <= 0x0eff && (low == 0x0e30 || low == 0x0e32 || low == 0x0e33 || low == 0x0e45 || low == 0x0e46))
    return TRUE;                /* vowels that are written behind, and the sign of repetition */
  low = before & ~0x80u;
  return before >= 0x0e00 && before <= 0x0eff && low >= 0x0e40 && low <= 0x0e44;        /* and those before */
}

/* Behind a space, a quotation mark or dots that a word follows begin it. */
static gboolean
begins_word (const gchar *p)
{
  gunichar c = g_utf8_get_char (p);

  if (c == '"' || c == '\'' || g_unichar_type (c) == G_UNICODE_FINAL_PUNCTUATION)
    p = g_utf8_next_char (p);
  else
    while (*p == '.' || g_utf8_get_char (p) == 0x2026)
      p = g_utf8_next_char (p);
  return g_unichar_isalnum (g_utf8_get_char (p));
}

/* Behind articles, prepositions and the like nobody pauses. */
static gboolean
is_behind_short (const gchar *text, const gchar *p)
{
  guint n = 0;

  for (; p > text && g_unichar_isalpha (get_before (p)) && n <= SHORT; n++)
    p = g_utf8_prev_char (p);
  return n > 0 && n <= SHORT;
}

/* Whether @text may be divided before @p, which is inside of it, and how well. */
static gboolean
is_place (const gchar *text, const gchar *p, gdouble *merit)
{
  gunichar c = g_utf8_get_char (p), before = get_before (p), last;
  const gchar *word = p;

  while (word > text && g_unichar_isspace (get_before (word)))
    word = g_utf8_prev_char (word);
  if (word == text || opens (last = get_before (word)) || g_unichar_isspace (c) ||
      ((closes (c) || is_terminator (c) || ends_clause (c)) && !(word < p && begins_word (p))))
    return FALSE;

  *merit = 0.;                  /* between two words */
  if (word < p) {
    if (before == 0xa0 || before == 0x202f)     /* no-break spaces */
      return FALSE;
    *merit = is_behind_short (text, word) ? AT_SHORT : 0.;
  } else if (!is_spaceless (last) || !is_spaceless (c)) {
    return FALSE;
  } else if (hides_words (c)) {
    if (is_in_syllable (last, p))
      return FALSE;
    *merit = IN_WORD;
  } else if (clings (c) || (is_wide_latin (last) && is_wide_latin (c))) {
    return FALSE;
  } else if (g_unichar_get_script (last) == G_UNICODE_SCRIPT_HIRAGANA &&
      g_unichar_get_script (c) != G_UNICODE_SCRIPT_HIRAGANA) {
    *merit = AT_PHRASE;         /* what ends words of Japanese is in hiragana */
  }

  const gchar *end = find_last (text, word);
  if (ends_sentence_at (text, word))
    *merit = AT_SENTENCE;
  else if (end && ends_clause (g_utf8_get_char (end)))
    *merit = AT_CLAUSE;
  return TRUE;
}

static GArray *
find_places (const gchar *text)
{
  GArray *places = g_array_new (FALSE, FALSE, sizeof (Place));
  Place place = { .at = 0 };

  for (place.p = text; *place.p; place.p = g_utf8_next_char (place.p), place.at++)
    if (place.p > text && is_place (text, place.p, &place.merit))
      g_array_append_val (places, place);
  return places;
}

/* The best of @places from @first to before @end for what is wanted @wanted characters into the text. */
static guint
choose (const GArray *places, guint first, guint end, gdouble wanted, gdouble part)
{
  gdouble best_cost = G_MAXDOUBLE;
  guint best = first;

  for (guint i = first; i < end; i++) {
    const Place *place = &g_array_index (places, Place, i);
    gdouble cost = ABS (place->at - wanted) - place->merit * part;
    if (cost < best_cost) {
      best_cost = cost;
      best = i;
    } else if (place->at - wanted > best_cost + AT_SENTENCE * part) {
      break;                    /* farther ones are no better */
    }
  }
  return best;
}

GStrv
gemma_text_divide (const gchar *text, const glong *shares, guint n)
{
  g_autoptr (GArray) places = find_places (text);
  GPtrArray *parts = g_ptr_array_new ();
  glong length = g_utf8_strlen (text, -1), all = 0, done = 0;
  guint n_breaks = MIN (MAX (n, 1) - 1, places->len), next = 0;
  const gchar *from = text;

  for (guint i = 0; i < n; i++)
    all += shares[i];
  for (guint i = 0; i < n_breaks; i++) {
    done += shares[i];
    /* Each of those that follow needs a place, too. */
    guint chosen = choose (places, next, places->len - (n_breaks - 1 - i), length * done / MAX (all, 1),
        (gdouble) length / n);
    const gchar *end = g_array_index (places, Place, chosen).p;
    g_ptr_array_add (parts, g_strstrip (g_strndup (from, end - from)));
    from = end;
    next = chosen + 1;
  }
  g_ptr_array_add (parts, g_strstrip (g_strdup (from)));
  g_ptr_array_add (parts, NULL);
  return (GStrv) g_ptr_array_free (parts, FALSE);
}
