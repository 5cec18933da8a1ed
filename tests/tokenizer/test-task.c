#include <gst/check/gstcheck.h>

#include "models/task.h"

GST_START_TEST (test_instructions)
{
  static const struct
  {
    GemmaTask task;
    const gchar *source, *target, *custom, *expected;
  } rows[] = {
    {GEMMA_TASK_TRANSCRIBE, "es", NULL, NULL, "Transcribe the following speech segment in Spanish:"},
    {GEMMA_TASK_TRANSLATE, "es", "en", NULL, "Translate the following speech segment from Spanish into English:"},
    {GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE, "it", "fr", NULL,
        "Transcribe the following speech segment in Italian, then translate it into French:"},
    {GEMMA_TASK_DESCRIBE, NULL, "de", NULL, "Describe the image in German."},
    {GEMMA_TASK_DESCRIBE, NULL, "pt", NULL, "Describe the image in Portuguese."},
    {GEMMA_TASK_DESCRIBE, NULL, NULL, NULL, "Describe the image in English."},
    {GEMMA_TASK_CUSTOM, "es", "en", "Who speaks?", "Who speaks?"},
    {GEMMA_TASK_CUSTOM, NULL, NULL, NULL, ""},
    {GEMMA_TASK_TRANSCRIBE, NULL, NULL, NULL, "Transcribe the following speech segment in English:"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree gchar *text = gemma_task_instruction (rows[i].task, rows[i].source, rows[i].target, rows[i].custom);

    fail_unless_equals_string (text, rows[i].expected);
  }
}
GST_END_TEST;

GST_START_TEST (test_several_languages)
{
  static const struct
  {
    const gchar *codes[5], *except, *expected;
  } rows[] = {
    {{"fr"}, "en", "French"},
    {{"fr", "pt-BR"}, "en", "French and Brazilian Portuguese"},
    {{"fr", "es", "it"}, "en", "French, Spanish and Italian"},
    {{"fr", "French", "fr-CH"}, "en", "French"},
    {{"en", "fr"}, "en-GB", "French"},
    {{"en"}, "en", NULL},
    {{NULL}, "en", NULL},
  };
  g_autofree gchar *line = gemma_task_next_line ("pt-BR");

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree gchar *list = gemma_task_list_languages (rows[i].codes, rows[i].except);

    fail_unless_equals_string (list, rows[i].expected);
  }
  fail_unless_equals_string (line, "\nBrazilian Portuguese:");
}
GST_END_TEST;

GST_START_TEST (test_text_translation)
{
  GemmaExample example = { (gchar *) "Good night.", (gchar *) "Buenas noches." };
  g_autoptr (GArray) examples = g_array_new (FALSE, FALSE, sizeof example);
  g_autofree gchar *plain = gemma_task_text_translation ("en", "es", NULL, NULL, "Hello.", FALSE);
  g_autofree gchar *turn = gemma_task_text_translation ("en", "es", NULL, examples, "Hello.", TRUE);

  g_autofree gchar *rare = gemma_task_text_translation ("en", "qu", NULL, NULL, "Hello.", FALSE);
  g_autofree gchar *bare = gemma_task_text_translation ("en-GB", "French", "", NULL, "Hello.", FALSE);
  g_autofree gchar *named = gemma_task_text_translation ("en-GB", "French", NULL, NULL, "Hello.", FALSE);

  fail_unless_equals_string (plain, "English: Good morning.\nSpanish: Buenos días.\n\nEnglish: Hello.\nSpanish:");
  fail_unless_equals_string (named, "English: Good morning.\nFrench: Bonjour.\n\nEnglish: Hello.\nFrench:");
  fail_unless_equals_string (rare, "English: Hello.\nQuechua:");
  fail_unless_equals_string (bare, "English: Hello.\nFrench:");
  fail_unless_equals_string (turn, "Translate the following English text into Spanish. Answer with the translation only."
      "\n\nEnglish: Hello.\nSpanish:");
  g_array_append_val (examples, example);
  g_autofree gchar *more = gemma_task_text_translation ("en", "es", "Formal.", examples, "Hello.", TRUE);
  fail_unless_equals_string (more,
      "Formal.\n\nEnglish: Good night.\nSpanish: Buenas noches.\n\nEnglish: Hello.\nSpanish:");
  fail_unless_equals_string (gemma_task_text_translation_stop (FALSE), "\n");
  fail_unless (gemma_task_text_translation_stop (TRUE) == NULL);
}
GST_END_TEST;

GST_START_TEST (test_language_names)
{
  static const gchar *const rows[][2] = {
    {"es", "Spanish"}, {"ES", "Spanish"}, {"es-419", "Spanish"}, {"de_CH", "German"}, {"pt-BR", "Brazilian Portuguese"},
    {"pt", "Portuguese"}, {"zh-Hant-HK", "Traditional Chinese"}, {"zh", "Chinese"}, {"fil", "Filipino"}, {"fi", "Finnish"},
    {"tlh", "tlh"}, {"Klingon", "Klingon"}, {"", ""}, {"-", "-"}, {"zz-XX", "zz-XX"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    fail_unless_equals_string (gemma_language_name (rows[i][0]), rows[i][1]);
}
GST_END_TEST;

static Suite *
task_suite (void)
{
  Suite *s = suite_create ("task");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_instructions);
  tcase_add_test (tc, test_several_languages);
  tcase_add_test (tc, test_text_translation);
  tcase_add_test (tc, test_language_names);
  return s;
}

GST_CHECK_MAIN (task);
