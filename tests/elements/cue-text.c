/* Lines and markup of cues survive a translation: plain logic; here the translator writes in capitals. */
#include <string.h>

#include "util.h"

#include "plugin/cue-text.h"

/* All of @text, its passages joined with '|' in @passages (nullable), translated by @words (nullable: capitals). */
static void
check (const gchar *text, gboolean markup, const gchar *passages, const gchar *words, const gchar *expected)
{
  g_autoptr (GemmaCueText) cue = gemma_cue_text_new (text, markup);
  g_autoptr (GString) found = g_string_new (NULL);

  for (guint i = 0; i < gemma_cue_text_get_n_passages (cue); i++) {
    const gchar *passage = gemma_cue_text_get_passage (cue, i);
    g_autofree gchar *capitals = g_utf8_strup (passage, -1);
    g_string_append_printf (found, "%s%s", i ? "|" : "", passage);
    gemma_cue_text_set_translation (cue, i, words ? words : capitals);
  }
  g_autofree gchar *result = gemma_cue_text_to_string (cue);
  if (passages)
    fail_unless_equals_string (found->str, passages);
  fail_unless_equals_string (result, expected);
}

GST_START_TEST (test_lines)
{
  check ("Good morning.", FALSE, "Good morning.", NULL, "GOOD MORNING.");
  check ("I went to the\nold station.", FALSE, "I went to the old station.", NULL, "I WENT TO THE\nOLD STATION.");
  check ("Hello.\nHow are you?", FALSE, "Hello.|How are you?", NULL, "HELLO.\nHOW ARE YOU?");
  check ("- Hello,\n- Bye", FALSE, "Hello,|Bye", NULL, "- HELLO,\n- BYE");
  check ("–Hola\n -5 grados", FALSE, "Hola -5 grados", NULL, "–HOLA\n-5 GRADOS");
  check ("♪\nla la\n\n1984\nyes\n", FALSE, "la la|yes", NULL, "♪\nLA LA\n\n1984\nYES\n");
  check ("", FALSE, "", NULL, "");
  check (" \n ", FALSE, "", NULL, " \n ");
  check ("a\r\nb.", FALSE, "a b.", NULL, "A\nB.");
}

GST_END_TEST;

/* As many lines as before, none of them empty, broken where the source was. */
GST_START_TEST (test_breaking)
{
  check ("one two\nthree four\nfive six", FALSE, NULL, "aaaa bbbb cccc dddd", "aaaa\nbbbb\ncccc dddd");
  check ("one two\nthree four\nfive six", FALSE, NULL, "a b", "a\nb");
  check ("one two\nthree four", FALSE, NULL, "alone", "alone");
  check ("a\nvery much longer line", FALSE, NULL, "x yyyy zzzz wwww", "x\nyyyy zzzz wwww");
  check ("one two\nthree four", FALSE, NULL, "今日は晴れ、でした", "今日は\n晴れ、でした");
  check ("one two", FALSE, NULL, " two\nlines\r\n", "two lines");
  /* No answer. */
  check ("one\ntwo", FALSE, NULL, "\n", "one\ntwo");
}

GST_END_TEST;

GST_START_TEST (test_markup)
{
  check ("<i>Good morning.</i>", TRUE, "Good morning.", NULL, "<i>GOOD MORNING.</i>");
  check ("<i>I went to the\nold station.</i>", TRUE, "I went to the old station.", NULL,
      "<i>I WENT TO THE\nOLD STATION.</i>");
  check ("<i>Hello</i>\nyou", TRUE, "Hello|you", NULL, "<i>HELLO</i>\nYOU");
  check ("<b><i>a</i></b>\n<b>c</b>", TRUE, "a|c", NULL, "<b><i>A</i>\nC</b>");
  check ("<span foreground=\"#ff0000\" font='a&amp;b'>red</span>", TRUE, "red", NULL,
      "<span foreground=\"#ff0000\" font=\"a&amp;b\">RED</span>");
  check ("Tom &amp; &lt;Jerry&gt;", TRUE, "Tom & <Jerry>", NULL, "TOM &amp; &lt;JERRY&gt;");
  check ("It&apos;s &quot;here&quot;", TRUE, "It's \"here\"", NULL, "IT'S \"HERE\"");
  check ("&amp;apos; &amp;quot;", TRUE, "&apos; &quot;", NULL, "&amp;APOS; &amp;QUOT;");
  /* Words of a sentence that is marked up as a whole. */
  check ("<i>a</i> <i>b</i>", TRUE, "a b", NULL, "<i>A B</i>");
  /* Nobody knows which word this is in the translation. */
  check ("so <b>much</b> more", TRUE, "so much more", NULL, "SO MUCH MORE");
  check ("<i>Anna:\n\n- come</i>", TRUE, "Anna:|come", NULL, "<i>ANNA:\n\n- COME</i>");
}

GST_END_TEST;

GST_START_TEST (test_what_is_no_markup)
{
  check ("I <3 you & me", TRUE, "I <3 you & me", NULL, "I &lt;3 YOU &amp; ME");
  check ("a</markup>b", TRUE, "a</markup>b", NULL, "A&lt;/MARKUP&gt;B");
  check ("<i>open", TRUE, "<i>open", NULL, "&lt;I&gt;OPEN");
  check ("<i>text</i>", FALSE, "<i>text</i>", NULL, "<I>TEXT</I>");
}

GST_END_TEST;

static gboolean
pango_accepts (const gchar *markup)
{
  static const GMarkupParser parser = { NULL, };
  g_autofree gchar *whole = g_strconcat ("<markup>", markup, "</markup>", NULL);
  GMarkupParseContext *context = g_markup_parse_context_new (&parser, 0, NULL, NULL);
  gboolean ok = g_markup_parse_context_parse (context, whole, -1, NULL) &&
      g_markup_parse_context_end_parse (context, NULL);

  g_markup_parse_context_free (context);
  return ok;
}

/* Whatever comes in, what comes out of markup is markup again, with as many lines or fewer. */
GST_START_TEST (test_random_cues)
{
  static const gchar *const pieces[] = { "<i>", "</i>", "<b>", "</b>", "\n", "\n", " ", "word", "two words", ".", "- ",
    "♪", "&amp;", "&", "<", "語", "9" };
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);

  for (guint n = 0; n < 3000; n++) {
    g_autoptr (GString) text = g_string_new (NULL);
    for (gint k = g_rand_int_range (rand, 0, 14); k > 0; k--)
      g_string_append (text, pieces[g_rand_int_range (rand, 0, G_N_ELEMENTS (pieces))]);
    g_autoptr (GemmaCueText) cue = gemma_cue_text_new (text->str, TRUE);
    for (guint i = 0; i < gemma_cue_text_get_n_passages (cue); i++)
      gemma_cue_text_set_translation (cue, i, gemma_cue_text_get_passage (cue, i));
    g_autofree gchar *result = gemma_cue_text_to_string (cue);
    fail_unless (pango_accepts (result), "\"%s\" of \"%s\"", result, text->str);
    g_auto (GStrv) before = g_strsplit (text->str, "\n", -1), after = g_strsplit (result, "\n", -1);
    fail_unless (g_strv_length (after) <= g_strv_length (before), "\"%s\" of \"%s\"", result, text->str);
  }
}

GST_END_TEST;

static Suite *
cue_text_suite (void)
{
  Suite *s = suite_create ("cue-text");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_lines);
  tcase_add_test (tc, test_breaking);
  tcase_add_test (tc, test_markup);
  tcase_add_test (tc, test_what_is_no_markup);
  tcase_add_test (tc, test_random_cues);
  return s;
}

GST_CHECK_MAIN (cue_text);
