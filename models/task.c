#include "task.h"

#include <string.h>

/* Names as English sentences use them, by ISO 639-1 code (639-2 where there is no shorter one). */
static const struct
{
  const gchar *code, *name;
} languages[] = {
  {"af", "Afrikaans"}, {"am", "Amharic"}, {"ar", "Arabic"}, {"as", "Assamese"}, {"az", "Azerbaijani"},
  {"ba", "Bashkir"}, {"be", "Belarusian"}, {"bg", "Bulgarian"}, {"bn", "Bengali"}, {"bo", "Tibetan"}, {"br", "Breton"},
  {"bs", "Bosnian"}, {"ca", "Catalan"}, {"ceb", "Cebuano"}, {"co", "Corsican"}, {"cs", "Czech"}, {"cv", "Chuvash"},
  {"cy", "Welsh"}, {"da", "Danish"}, {"de", "German"}, {"dv", "Dhivehi"}, {"dz", "Dzongkha"}, {"ee", "Ewe"},
  {"el", "Greek"}, {"en", "English"}, {"eo", "Esperanto"}, {"es", "Spanish"}, {"et", "Estonian"}, {"eu", "Basque"},
  {"fa", "Persian"}, {"ff", "Fulah"}, {"fi", "Finnish"}, {"fil", "Filipino"}, {"fj", "Fijian"}, {"fo", "Faroese"},
  {"fr", "French"}, {"fy", "Western Frisian"}, {"ga", "Irish"}, {"gd", "Scottish Gaelic"}, {"gl", "Galician"},
  {"gn", "Guarani"}, {"gu", "Gujarati"}, {"gv", "Manx"}, {"ha", "Hausa"}, {"haw", "Hawaiian"}, {"he", "Hebrew"},
  {"hi", "Hindi"}, {"hmn", "Hmong"}, {"hr", "Croatian"}, {"ht", "Haitian Creole"}, {"hu", "Hungarian"},
  {"hy", "Armenian"}, {"ia", "Interlingua"}, {"id", "Indonesian"}, {"ig", "Igbo"}, {"is", "Icelandic"},
  {"it", "Italian"}, {"iu", "Inuktitut"}, {"ja", "Japanese"}, {"jv", "Javanese"}, {"ka", "Georgian"}, {"kk", "Kazakh"},
  {"kl", "Kalaallisut"}, {"km", "Khmer"}, {"kn", "Kannada"}, {"ko", "Korean"}, {"ks", "Kashmiri"}, {"ku", "Kurdish"},
  {"kw", "Cornish"}, {"ky", "Kyrgyz"}, {"la", "Latin"}, {"lb", "Luxembourgish"}, {"lg", "Ganda"}, {"ln", "Lingala"},
  {"lo", "Lao"}, {"lt", "Lithuanian"}, {"lv", "Latvian"}, {"mg", "Malagasy"}, {"mi", "Maori"}, {"mk", "Macedonian"},
  {"ml", "Malayalam"}, {"mn", "Mongolian"}, {"mr", "Marathi"}, {"ms", "Malay"}, {"mt", "Maltese"}, {"my", "Burmese"},
  {"nb", "Norwegian Bokmål"}, {"ne", "Nepali"}, {"nl", "Dutch"}, {"nn", "Norwegian Nynorsk"}, {"no", "Norwegian"},
  {"nv", "Navajo"}, {"ny", "Nyanja"}, {"oc", "Occitan"}, {"om", "Oromo"}, {"or", "Odia"}, {"os", "Ossetic"},
  {"pa", "Punjabi"}, {"pl", "Polish"}, {"ps", "Pashto"}, {"pt", "Portuguese"}, {"qu", "Quechua"}, {"rm", "Romansh"},
  {"rn", "Rundi"}, {"ro", "Romanian"}, {"ru", "Russian"}, {"rw", "Kinyarwanda"}, {"sa", "Sanskrit"},
  {"sc", "Sardinian"}, {"sd", "Sindhi"}, {"se", "Northern Sami"}, {"sg", "Sango"}, {"si", "Sinhala"}, {"sk", "Slovak"},
  {"sl", "Slovenian"}, {"sm", "Samoan"}, {"sn", "Shona"}, {"so", "Somali"}, {"sq", "Albanian"}, {"sr", "Serbian"},
  {"ss", "Swati"}, {"st", "Southern Sotho"}, {"su", "Sundanese"}, {"sv", "Swedish"}, {"sw", "Swahili"},
  {"ta", "Tamil"}, {"te", "Telugu"}, {"tg", "Tajik"}, {"th", "Thai"}, {"ti", "Tigrinya"}, {"tk", "Turkmen"},
  {"tl", "Tagalog"}, {"tn", "Tswana"}, {"to", "Tongan"}, {"tr", "Turkish"}, {"ts", "Tsonga"}, {"tt", "Tatar"},
  {"ty", "Tahitian"}, {"ug", "Uyghur"}, {"uk", "Ukrainian"}, {"ur", "Urdu"}, {"uz", "Uzbek"}, {"ve", "Venda"},
  {"vi", "Vietnamese"}, {"wo", "Wolof"}, {"xh", "Xhosa"}, {"yi", "Yiddish"}, {"yo", "Yoruba"}, {"yue", "Cantonese"},
  {"zh", "Chinese"}, {"zu", "Zulu"},
  /* Where the region or the script changes the name. */
  {"pt-BR", "Brazilian Portuguese"}, {"pt-PT", "European Portuguese"}, {"zh-CN", "Simplified Chinese"},
  {"zh-Hans", "Simplified Chinese"}, {"zh-Hant", "Traditional Chinese"}, {"zh-TW", "Traditional Chinese"},
};

static const gchar *
find_language (const gchar *code, gsize length)
{
  for (guint i = 0; i < G_N_ELEMENTS (languages); i++)
    if (strlen (languages[i].code) == length && g_ascii_strncasecmp (languages[i].code, code, length) == 0)
      return languages[i].name;
  return NULL;
}

const gchar *
gemma_language_name (const gchar *code)
{
  gsize length = strlen (code);
  const gchar *name;

  /* "de-CH-1996": from the most to the least that is known. */
  for (;;) {
    name = find_language (code, length);
    if (name || length == 0)
      break;
    while (length > 0 && code[--length] != '-' && code[length] != '_');
  }
  return name ? name : code;
}

gchar *
gemma_task_instruction (GemmaTask task, const gchar *source, const gchar *target, const gchar *custom)
{
  const gchar *from = gemma_language_name (source ? source : "en");
  const gchar *to = gemma_language_name (target ? target : "en");

  switch (task) {
    case GEMMA_TASK_TRANSCRIBE:
      return g_strdup_printf ("Transcribe the following speech segment in %s:", from);
    case GEMMA_TASK_TRANSLATE:
      return g_strdup_printf ("Translate the following speech segment from %s into %s:", from, to);
    case GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE:
      return g_strdup_printf ("Transcribe the following speech segment in %s, then translate it into %s:", from, to);
    case GEMMA_TASK_DESCRIBE:
      return g_strdup_printf ("Describe the image in %s.", to);
    default:
      return g_strdup (custom ? custom : "");
  }
}

gchar *
gemma_task_list_languages (const gchar *const *codes, const gchar *except)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  GString *list = g_string_new (NULL);

  for (; *codes; codes++) {
    gpointer name = (gpointer) gemma_language_name (*codes);
    if (strcmp (name, gemma_language_name (except)) != 0 &&
        !g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
      g_ptr_array_add (names, name);
  }
  for (guint i = 0; i < names->len; i++)
    g_string_append_printf (list, "%s%s", i == 0 ? "" : i + 1 < names->len ? ", " : " and ", (gchar *) names->pdata[i]);
  return g_string_free (list, names->len == 0);
}

gchar *
gemma_task_next_line (const gchar *target)
{
  return g_strdup_printf ("\n%s:", gemma_language_name (target));
}

/* "Good morning.": a pair of these shows a base model what is wanted; without one, small ones repeat their text. */
static const struct
{
  const gchar *code, *text;
} greetings[] = {
  {"ar", "صباح الخير."}, {"ca", "Bon dia."}, {"cs", "Dobré ráno."}, {"da", "Godmorgen."}, {"de", "Guten Morgen."},
  {"el", "Καλημέρα."}, {"en", "Good morning."}, {"es", "Buenos días."}, {"fi", "Hyvää huomenta."}, {"fr", "Bonjour."},
  {"hi", "सुप्रभात।"}, {"hu", "Jó reggelt."}, {"id", "Selamat pagi."}, {"it", "Buongiorno."},
  {"ja", "おはようございます。"}, {"ko", "좋은 아침입니다."}, {"nb", "God morgen."}, {"nl", "Goedemorgen."}, {"no", "God morgen."},
  {"pl", "Dzień dobry."}, {"pt", "Bom dia."}, {"ro", "Bună dimineața."}, {"ru", "Доброе утро."}, {"sv", "God morgon."},
  {"tr", "Günaydın."}, {"uk", "Доброго ранку."}, {"vi", "Chào buổi sáng."}, {"zh", "早上好。"},
};

/* @language: a code or a name; NULL: none is known */
static const gchar *
find_greeting (const gchar *language)
{
  gsize length = strcspn (language, "-_");

  for (guint i = 0; i < G_N_ELEMENTS (greetings); i++)
    if ((strlen (greetings[i].code) == length && g_ascii_strncasecmp (greetings[i].code, language, length) == 0) ||
        strcmp (gemma_language_name (greetings[i].code), language) == 0)
      return greetings[i].text;
  return NULL;
}

static void
append_pair (GString *prompt, const gchar *from, const gchar *source, const gchar *to, const gchar *translation)
{
  g_string_append_printf (prompt, "%s: %s\n%s: %s\n\n", from, source, to, translation);
}

gchar *
gemma_task_text_translation (const gchar *source, const gchar *target, const gchar *instruction, const GArray *examples,
    const gchar *text, gboolean has_turns)
{
  const gchar *from = gemma_language_name (source ? source : "en");
  const gchar *to = gemma_language_name (target ? target : "en");
  const gchar *hello = find_greeting (source ? source : "en"), *hola = find_greeting (target ? target : "en");
  GString *prompt = g_string_new (instruction);

  if (!instruction && has_turns)
    g_string_append_printf (
        prompt, "Translate the following %s text into %s. Answer with the translation only.", from, to);
  if (prompt->len)
    g_string_append (prompt, "\n\n");
  if (!instruction && !has_turns && hello && hola && hello != hola)
    append_pair (prompt, from, hello, to, hola);
  for (guint i = 0; examples && i < examples->len; i++) {
    const GemmaExample *example = &g_array_index (examples, GemmaExample, i);
    append_pair (prompt, from, example->source, to, example->translation);
  }
  g_string_append_printf (prompt, "%s: %s\n%s:", from, text, to);
  return g_string_free (prompt, FALSE);
}

const gchar *
gemma_task_text_translation_stop (gboolean has_turns)
{
  return has_turns ? NULL : "\n";
}
