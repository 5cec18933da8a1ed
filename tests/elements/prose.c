/* Where sentences end and go on, and where text is divided: plain logic, many scripts. */
#include <string.h>

#include "util.h"

#include "plugin/prose.h"

GST_START_TEST (test_terminators)
{
  static const gchar *const ends[] = { "yes.", "Really?", "\"No!\"", "(so…)", "終わり。", "お元気ですか？」", "«Oui.»",
    "it's \nover. ", "क्या।", "أين؟", "Ինչու՞", "ጥሩ።" };
  static const gchar *const goes_on[] = { "", "...and", "Dr.", "J.", "1,5", "no,", "so:", "\"\"" };

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    fail_unless (gemma_text_ends_sentence (ends[i]), "%s", ends[i]);
  for (guint i = 0; i < G_N_ELEMENTS (goes_on); i++)
    fail_if (gemma_text_ends_sentence (goes_on[i]), "%s", goes_on[i]);
}

GST_END_TEST;

GST_START_TEST (test_full_stops)
{
  static const gchar *const with[] = { "She left. I", "So.", "\"So.\" He", "終わり。次は", "ठीक। अब" };
  static const gchar *const without[] = { "", "so", "Dr. No", "3.5 km", "J. Doe", "well...", "well... so", "what?", "…",
    "a.b" };

  for (guint i = 0; i < G_N_ELEMENTS (with); i++)
    fail_unless (gemma_text_has_full_stop (with[i]), "%s", with[i]);
  for (guint i = 0; i < G_N_ELEMENTS (without); i++)
    fail_if (gemma_text_has_full_stop (without[i]), "%s", without[i]);
}

GST_END_TEST;

typedef struct
{
  const gchar *before, *after;
} Pair;

static void
check_pairs (const Pair *pairs, guint n, GemmaTextRelation expected)
{
  for (guint i = 0; i < n; i++) {
    GemmaTextRelation found = gemma_text_relate (pairs[i].before, pairs[i].after);
    fail_unless (found == expected, "\"%s\" and \"%s\": %d", pairs[i].before, pairs[i].after, found);
    /* Who waits for the next caption must not have been told that there is no need to. */
    fail_if (found != GEMMA_TEXT_ENDS && !gemma_text_may_go_on (pairs[i].before), "%s", pairs[i].before);
  }
}

GST_START_TEST (test_captions_that_go_on)
{
  static const Pair surely[] = { { "I never said", "that she stole my money." }, { "We waited, and", "\"so did he\"." },
    { "I never said...", "...that she stole it." }, { "I never said…", "that." }, { "But he—", "he left." },
    { "Я никогда не говорил,", "что она" }, { "Ποτέ δεν είπα", "ότι" }, { "Mr.", "and Mrs. Smith" },
    { "(He said", "no)" }, { "No,", "¿por qué?" } };
  static const Pair perhaps[] = { { "My name is", "Anna." }, { "In", "1984 it was" }, { "Ich sah den", "Zug." },
    { "私は一度も", "彼女が盗んだとは言っていない。" }, { "मैंने कभी", "नहीं कहा।" }, { "לא אמרתי", "שהיא" },
    { "لم أقل", "إنها" }, { "Dr.", "Smith" }, { "THE END OF", "THE WORLD" } };
  static const Pair not[] = { { "Good morning.", "and so" }, { "Why?", "because" }, { "終わり。", "次は" },
    { "I never said...", "Stop!" }, { "But he—", "Quiet." }, { "[music]", "and then" }, { "and then", "[door slams]" },
    { "（笑）", "それで" }, { "♪ la la ♪", "and then" }, { "and then", "♪ la la ♪" }, { "and then", "# la la" },
    { "and then", ">> so it is" }, { "and then", "ANNA: so it is" }, { "and then", "MAN 2: so it is" }, { "", "x" },
    { "x", "" }, { "ฉันไม่เคยพูด", "ว่าเธอ" }, { "ຂ້ອຍບໍ່ເຄີຍເວົ້າ", "ວ່າ" } };

  check_pairs (surely, G_N_ELEMENTS (surely), GEMMA_TEXT_GOES_ON);
  check_pairs (perhaps, G_N_ELEMENTS (perhaps), GEMMA_TEXT_MAY_GO_ON);
  check_pairs (not, G_N_ELEMENTS (not), GEMMA_TEXT_ENDS);
  /* Nothing that could come would be the rest of these. */
  fail_if (gemma_text_may_go_on ("Good morning.") || gemma_text_may_go_on ("[music]") || gemma_text_may_go_on ("") ||
      gemma_text_may_go_on ("ฉันไม่เคยพูด"));
}

GST_END_TEST;

/* @shares: as text, "10 20" @expected: parts, joined with '|' */
static void
check_division (const gchar *text, const gchar *shares, const gchar *expected)
{
  g_auto (GStrv) words = g_strsplit (shares, " ", -1);
  guint n = g_strv_length (words);
  g_autofree glong *numbers = g_new (glong, n);

  for (guint i = 0; i < n; i++)
    numbers[i] = g_ascii_strtoll (words[i], NULL, 10);
  g_auto (GStrv) parts = gemma_text_divide (text, numbers, n);
  g_autofree gchar *found = g_strjoinv ("|", parts);
  fail_unless_equals_string (found, expected);
}

GST_START_TEST (test_proportions)
{
  check_division ("one two three four", "1", "one two three four");
  check_division ("one two three four", "1 1", "one two|three four");
  check_division ("one two three four", "1 3", "one|two three four");
  check_division ("one two three four", "3 1", "one two three|four");
  check_division ("one two three four", "1 1 1 1", "one|two|three|four");
  check_division ("one two three four", "0 0", "one|two three four");
  /* Each has a word, whatever the proportions. */
  check_division ("one two three four", "1 1 1 1000", "one|two|three|four");
  check_division ("one two three four", "1000 1 1 1", "one|two|three|four");
  check_division ("a b", "1 1 1", "a|b");
  check_division ("alone", "1 1", "alone");
  check_division ("", "1 1", "");
  check_division (" one  two ", "1 1", "one|two");
  check_division ("Nunca dije que ella me robó el dinero.", "12 24", "Nunca dije|que ella me robó el dinero.");
}

GST_END_TEST;

/* Rather at the end of a sentence or clause, never in front of what ends it or behind what opens. */
GST_START_TEST (test_punctuation)
{
  check_division ("It was late, so we all went home.", "1 1", "It was late,|so we all went home.");
  check_division ("It is. We all have seen it at home.", "2 3", "It is.|We all have seen it at home.");
  check_division ("He came with Mr. Smith to the big town.", "15 24", "He came with|Mr. Smith to the big town.");
  check_division ("Ah, one two three four five six seven", "1 1", "Ah, one two three|four five six seven");
  check_division ("Vérifiez le numéro et essayez", "22 8", "Vérifiez le numéro|et essayez");
  check_division ("Tu as vraiment ? Oui", "6 14", "Tu as|vraiment ? Oui");
  check_division ("Il dit « non » à tous", "7 14", "Il dit|« non » à tous");
  check_division ("He says \"never\" to us", "7 13", "He says|\"never\" to us");
  check_division ("Er sagt »nie« zu uns", "7 13", "Er sagt|»nie« zu uns");
  check_division ("I never... ...ever said", "1 1", "I never...|...ever said");
  check_division ("10\xc2\xa0km of 20\xc2\xa0km", "3 2", "10\xc2\xa0km of|20\xc2\xa0km");
  check_division ("नमस्ते। आप कैसे हैं आज", "1 2", "नमस्ते।|आप कैसे हैं आज");
  check_division ("لم أقل أبدا، إنها سرقت مالي", "1 1", "لم أقل أبدا،|إنها سرقت مالي");
}

GST_END_TEST;

GST_START_TEST (test_without_spaces)
{
  check_division ("私は一度も彼女が盗んだとは言っていない。", "5 14", "私は一度も|彼女が盗んだとは言っていない。");
  check_division ("我从来没有说过，她偷了我的钱。", "1 1", "我从来没有说过，|她偷了我的钱。");
  check_division ("彼は「行かない」と言った", "2 10", "彼は|「行かない」と言った");
  check_division ("ちょっとチェック", "4 4", "ちょっと|チェック");
  check_division ("チェックック", "2 4", "チェッ|クック");
  check_division ("彼はＮＨＫで働く", "3 5", "彼は|ＮＨＫで働く");
  /* Spaces first, then syllables. */
  check_division ("ฉันไม่เคยพูด ว่าเธอขโมยเงิน", "1 1", "ฉันไม่เคยพูด|ว่าเธอขโมยเงิน");
  /* Korean has spaces. */
  check_division ("나는 그녀가 훔쳤다고", "3 2", "나는 그녀가|훔쳤다고");
  check_division ("훔쳤다고", "1 1", "훔쳤다고");
}

GST_END_TEST;

static gboolean
is_vowel_apart (gunichar c)
{
  return g_unichar_ismark (c) || c == 0x0e30 || c == 0x0e32 || c == 0x0e33;
}

/* Thai words are unknown, but no syllable loses its vowel. */
GST_START_TEST (test_syllables)
{
  static const gchar *const text = "ฉันไม่เคยพูดว่าเธอขโมยเงินของฉันไปจากบ้าน";
  static const glong shares[] = { 1, 1, 1, 1, 1 };
  g_auto (GStrv) parts = gemma_text_divide (text, shares, 5);
  g_autofree gchar *joined = g_strjoinv ("", parts);

  fail_unless_equals_int (g_strv_length (parts), 5);
  fail_unless_equals_string (joined, text);
  for (guint i = 1; i < 5; i++) {
    gunichar before = g_utf8_get_char (g_utf8_prev_char (parts[i - 1] + strlen (parts[i - 1])));
    fail_if (is_vowel_apart (g_utf8_get_char (parts[i])) || (before >= 0x0e40 && before <= 0x0e44), "%s|%s",
        parts[i - 1], parts[i]);
  }
}

GST_END_TEST;

/* Whatever the text, it is all there and in order, and nothing is empty. */
GST_START_TEST (test_random_texts)
{
  static const gchar *const pieces[] = { " ", " ", "word", "a", ".", ", ", "...", "「", "」", "語", "かな", "。", "ー", "ไม่",
    "เ", "\"", "« ", " »", "é", "9", "Ｎ", "\xc2\xa0", "- ", "(" };
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  for (guint n = 0; n < 3000; n++) {
    g_autoptr (GString) text = g_string_new (NULL), found = g_string_new (NULL), wanted = g_string_new (NULL);
    glong shares[6];
    guint n_parts = g_rand_int_range (rand, 1, 7);
    for (gint k = g_rand_int_range (rand, 0, 20); k > 0; k--)
      g_string_append (text, pieces[g_rand_int_range (rand, 0, G_N_ELEMENTS (pieces))]);
    for (guint i = 0; i < n_parts; i++)
      shares[i] = g_rand_int_range (rand, 0, 30);
    g_auto (GStrv) parts = gemma_text_divide (text->str, shares, n_parts);
    fail_unless (g_strv_length (parts) >= 1 && g_strv_length (parts) <= n_parts);
    for (guint i = 0; parts[i]; i++) {
      fail_if (!*parts[i] && i + g_strv_length (parts) > 1, "part %u of \"%s\" is empty", i, text->str);
      g_string_append (found, parts[i]);
    }
    g_string_append (wanted, text->str);
    g_string_replace (wanted, " ", "", 0);
    g_string_replace (found, " ", "", 0);
    /* Around the whole, also spaces of other kinds go. */
    fail_unless (strstr (wanted->str, found->str) != NULL, "\"%s\" of \"%s\"", found->str, text->str);
  }
}

GST_END_TEST;

/* Time grows with the length alone: 20000 words on 20000 lines. */
GST_START_TEST (test_long_text)
{
  const guint n = 20000;
  g_autofree glong *shares = g_new (glong, n);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    shares[i] = 4;
    g_string_append (text, "word ");
  }
  g_auto (GStrv) parts = gemma_text_divide (text->str, shares, n);
  g_string_free (text, TRUE);
  fail_unless_equals_int (g_strv_length (parts), n);
}

GST_END_TEST;

static Suite *
prose_suite (void)
{
  Suite *s = suite_create ("prose");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_terminators);
  tcase_add_test (tc, test_full_stops);
  tcase_add_test (tc, test_captions_that_go_on);
  tcase_add_test (tc, test_proportions);
  tcase_add_test (tc, test_punctuation);
  tcase_add_test (tc, test_without_spaces);
  tcase_add_test (tc, test_syllables);
  tcase_add_test (tc, test_random_texts);
  tcase_add_test (tc, test_long_text);
  return s;
}

GST_CHECK_MAIN (prose);
