#include "gemma-cea608-chars.h"

#include <string.h>

/* Codes in a basic set that is otherwise ASCII (CTA-608-E, table 5). */
static const struct
{
  gunichar c;
  guint8 code;
} basic[] = {
  { U'’', 0x27 }, { U'á', 0x2A }, { U'é', 0x5C }, { U'í', 0x5E }, { U'ó', 0x5F }, { U'ú', 0x60 },
  { U'ç', 0x7B }, { U'÷', 0x7C }, { U'Ñ', 0x7D }, { U'ñ', 0x7E }, { U'█', 0x7F },
};
/* ASCII characters that these codes displaced. */
static const gchar displaced[] = "*\\^_`{|}~";

/* From 0x30 on after 0x11. 0x39 is a transparent space, which no text has. */
static const gunichar special[] = U"®°½¿™¢£♪à\u200Bèâêîôû";

/* From 0x20 on after 0x12 and 0x13 (Spanish and French; Portuguese, German and Danish), each with a basic character for
 * decoders that do not know them. */
static const struct
{
  const gunichar *chars;
  const gchar *fallbacks;
} extended[] = {
  { U"ÁÉÓÚÜü‘¡*'—©℠•“”ÀÂÇÈÊËëÎÏïÔÙùÛ«»", "AEOUUu'!+'-cs.\"\"AACEEEeIIiOUuU<>" },
  { U"ÃãÍÌìÒòÕõ{}\\^_|~ÄäÖöß¥¤¦ÅåØø┌┐└┘", "AaIIiOoOo()/'-!-AaOosY$!AaOo++++" },
};

/* Letters in lower case and signs. Letters with marks that Unicode can take off are not here. */
static const struct
{
  gunichar c;
  const gchar *text;
} substitutes[] = {
  { U'œ', "oe" }, { U'æ', "ae" }, { U'ł', "l" }, { U'đ', "d" }, { U'ð', "d" }, { U'þ', "th" }, { U'ı', "i" },
  { U'ħ', "h" }, { U'ŋ', "ng" }, { U'ə', "e" }, { U'ŧ', "t" }, { U'`', "'" }, { U'´', "'" }, { U'′', "'" },
  { U'″', "\"" }, { U'‚', "," }, { U'„', "\"" }, { U'‟', "\"" }, { U'‛', "'" }, { U'‹', "<" }, { U'›', ">" },
  { U'‐', "-" }, { U'‑', "-" }, { U'‒', "-" }, { U'–', "-" }, { U'―', "—" }, { U'−', "-" }, { U'…', "..." },
  { U'€', "EUR" }, { U'·', "." }, { U'×', "x" }, { U'º', "°" }, { U'µ', "u" }, { U'♩', "♪" }, { U'♫', "♪" },
  { U'♬', "♪" }, { U'⁄', "/" }, { U'§', "S" }, { U'†', "+" }, { U'±', "+/-" }, { U'→', "->" }, { U'←', "<-" },
  { U'。', "." }, { U'、', "," }, { U'「', "\"" }, { U'」', "\"" },
  /* Russian, Ukrainian, Belarusian, Serbian, Macedonian */
  { U'а', "a" }, { U'б', "b" }, { U'в', "v" }, { U'г', "g" }, { U'д', "d" }, { U'е', "e" }, { U'ё', "yo" },
  { U'ж', "zh" }, { U'з', "z" }, { U'и', "i" }, { U'й', "y" }, { U'к', "k" }, { U'л', "l" }, { U'м', "m" },
  { U'н', "n" }, { U'о', "o" }, { U'п', "p" }, { U'р', "r" }, { U'с', "s" }, { U'т', "t" }, { U'у', "u" },
  { U'ф', "f" }, { U'х', "kh" }, { U'ц', "ts" }, { U'ч', "ch" }, { U'ш', "sh" }, { U'щ', "shch" }, { U'ъ', "" },
  { U'ы', "y" }, { U'ь', "" }, { U'э', "e" }, { U'ю', "yu" }, { U'я', "ya" }, { U'є', "ye" }, { U'і', "i" },
  { U'ї', "yi" }, { U'ґ', "g" }, { U'ў', "u" }, { U'ђ', "dj" }, { U'ј', "j" }, { U'љ', "lj" }, { U'њ', "nj" },
  { U'ћ', "c" }, { U'џ', "dz" }, { U'ѕ', "dz" },
  /* Greek */
  { U'α', "a" }, { U'β', "v" }, { U'γ', "g" }, { U'δ', "d" }, { U'ε', "e" }, { U'ζ', "z" }, { U'η', "i" },
  { U'θ', "th" }, { U'ι', "i" }, { U'κ', "k" }, { U'λ', "l" }, { U'μ', "m" }, { U'ν', "n" }, { U'ξ', "x" },
  { U'ο', "o" }, { U'π', "p" }, { U'ρ', "r" }, { U'σ', "s" }, { U'ς', "s" }, { U'τ', "t" }, { U'υ', "y" },
  { U'φ', "f" }, { U'χ', "ch" }, { U'ψ', "ps" }, { U'ω', "o" },
};

gboolean
gemma_cea608_find_char (gunichar c, GemmaCea608Char *found)
{
  memset (found, 0, sizeof (*found));
  if (c >= 0x20 && c < 0x7F && !strchr (displaced, (gchar) c)) {
    found->first = c;
    return TRUE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (basic); i++)
    if (basic[i].c == c) {
      found->first = basic[i].code;
      return TRUE;
    }
  for (guint i = 0; special[i]; i++)
    if (special[i] == c && i != 9) {
      *found = (GemmaCea608Char) { 0, 0x11, 0x30 + i };
      return TRUE;
    }
  for (guint set = 0; set < G_N_ELEMENTS (extended); set++)
    for (guint i = 0; extended[set].chars[i]; i++)
      if (extended[set].chars[i] == c) {
        *found = (GemmaCea608Char) { extended[set].fallbacks[i], 0x12 + set, 0x20 + i };
        return TRUE;
      }
  return FALSE;
}

static gboolean
append_substitute (GString *out, gunichar c)
{
  gunichar lower = g_unichar_tolower (c);

  for (guint i = 0; i < G_N_ELEMENTS (substitutes); i++) {
    const gchar *text = substitutes[i].text;
    if (substitutes[i].c != lower)
      continue;
    if (lower != c && *text) {
      g_string_append_c (out, g_ascii_toupper (*text));
      text++;
    }
    g_string_append (out, text);
    return TRUE;
  }
  return FALSE;
}

static gboolean
append_known (GString *out, gunichar c)
{
  GemmaCea608Char found;

  if (!gemma_cea608_find_char (c, &found))
    return append_substitute (out, c);
  g_string_append_unichar (out, c);
  return TRUE;
}

static gboolean
is_invisible (gunichar c)
{
  switch (g_unichar_type (c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_NON_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK: return TRUE;
    default: return FALSE;
  }
}

static void
append_char (GString *out, gunichar c)
{
  gunichar parts[G_UNICHAR_MAX_DECOMPOSITION_LENGTH];

  if (c == '\n')
    g_string_append_c (out, '\n');
  else if (g_unichar_isspace (c))
    g_string_append_c (out, ' ');
  else if (!append_known (out, c) && !is_invisible (c)) {
    gsize n = g_unichar_fully_decompose (c, TRUE, parts, G_N_ELEMENTS (parts));
    for (gsize i = 0; i < n; i++)
      if (!append_known (out, parts[i]) && !is_invisible (parts[i]))
        g_string_append_c (out, g_unichar_isspace (parts[i]) ? ' ' : '?');
  }
}

gchar *
gemma_cea608_transliterate (const gchar *text)
{
  g_autofree gchar *composed = g_utf8_normalize (text, -1, G_NORMALIZE_DEFAULT_COMPOSE);
  GString *out = g_string_new (NULL);

  for (const gchar *p = composed; p && *p; p = g_utf8_next_char (p))
    append_char (out, g_utf8_get_char (p));
  return g_string_free (out, FALSE);
}
