/* Which words are final, and when they were said: plain logic, no model. */
#include <string.h>

#include "util.h"

#include "plugin/hypotheses.h"

typedef struct
{
  GString *words;               /* with a '|' after each */
  GstClockTime start, end;      /* of the last */
  guint n;
} Told;

static void
on_word (GstClockTime start, GstClockTime end, const gchar *word, gpointer data)
{
  Told *told = data;

  /* One after the other, each with a time of its own. */
  fail_unless_equals_uint64 (start, told->end);
  fail_unless (end > start, "%s has no time", word);
  g_string_append_printf (told->words, "%s|", word);
  told->start = start;
  told->end = end;
  told->n++;
}

/* Tokens of a text: their ids are their hashes. */
static void
add (GemmaHypotheses *h, const gchar *tokens)
{
  g_auto (GStrv) texts = g_strsplit (tokens, "_", -1);

  gemma_hypotheses_begin (h, NULL);
  for (guint i = 0; texts[i]; i++)
    gemma_hypotheses_add (h, g_str_hash (texts[i]) & 0xffff, texts[i], NULL);
}

/* The hypothesis @tokens about speech up to @heard: these words become final. */
static void
check (GemmaHypotheses *h, Told *told, const gchar *tokens, GstClockTime heard, gboolean last, const gchar *expected)
{
  g_string_truncate (told->words, 0);
  add (h, tokens);
  gemma_hypotheses_end (h, heard, last, on_word, told);
  fail_unless_equals_string (told->words->str, expected);
}

static Told
begin (GemmaHypotheses **h, GstClockTime start)
{
  *h = gemma_hypotheses_new ();
  gemma_hypotheses_reset (*h, start);
  return (Told) { g_string_new (NULL), start, start, 0 };
}

static void
end (GemmaHypotheses *h, Told *told)
{
  gemma_hypotheses_free (h);
  g_string_free (told->words, TRUE);
}

GST_START_TEST (test_agreement)
{
  GemmaHypotheses *h;
  Told told = begin (&h, MS (1000));

  check (h, &told, "You_ are_.", MS (1400), FALSE, "");
  /* "are" may go on; "You" is followed by a word in both. */
  check (h, &told, "You_ are_ cur_rent", MS (1800), FALSE, "You|");
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "You");
  fail_unless_equals_int (gemma_hypotheses_get_final_ids (h)->len, 1);
  /* From here on hypotheses begin after "You". */
  check (h, &told, " are_ cur_rent_ly_ the", MS (2200), FALSE, "are|");
  check (h, &told, " are_ here", MS (2600), TRUE, "are|here|");
  end (h, &told);
}

GST_END_TEST;

GST_START_TEST (test_the_end_makes_all_final)
{
  GemmaHypotheses *h;
  Told told = begin (&h, 0);
  g_autofree gchar *tail = NULL;

  check (h, &told, "Good", MS (400), FALSE, "");
  check (h, &told, "Good_bye_.", MS (800), FALSE, "");
  tail = gemma_hypotheses_get_tail (h);
  fail_unless_equals_string (tail, "Goodbye.");
  check (h, &told, "Good_bye_._ Thank_ you_.", MS (1500), TRUE, "Goodbye.|Thank|you.|");
  fail_unless_equals_uint64 (told.end, MS (1500));
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "Goodbye. Thank you.");
  fail_unless_equals_int (gemma_hypotheses_get_final_ids (h)->len, 6);

  /* Nothing of it is left in the next one. */
  gemma_hypotheses_reset (h, MS (2000));
  told.end = MS (2000);
  fail_unless_equals_int (gemma_hypotheses_get_final_ids (h)->len, 0);
  check (h, &told, "Good_ day", MS (2400), FALSE, "");
  end (h, &told);
}

GST_END_TEST;

/* No word ends after what the first hypothesis with it had heard, and all end with the speech. */
GST_START_TEST (test_times)
{
  GemmaHypotheses *h;
  Told told = begin (&h, 0);

  check (h, &told, "one", MS (400), FALSE, "");
  check (h, &told, "one_ two", MS (800), FALSE, "one|");
  fail_unless (told.end <= MS (400));
  /* A pause: the sound that was heard grows, the words do not. */
  check (h, &told, " two_ three", MS (1200), FALSE, "two|");
  fail_unless (told.end <= MS (800));
  check (h, &told, " three_ four", MS (4000), FALSE, "three|");
  fail_unless (told.end <= MS (1200));
  check (h, &told, " four_ five", MS (4400), FALSE, "four|");
  check (h, &told, " five_ six_ seven_ eight_ nine", MS (4400), TRUE, "five|six|seven|eight|nine|");
  fail_unless_equals_uint64 (told.end, MS (4400));
  end (h, &told);
}

GST_END_TEST;

/* However hypotheses go, words have times one after the other (on_word checks) and end with the speech. */
GST_START_TEST (test_random_hypotheses)
{
  static const gchar *const words[] = { "a", " bc", " d", "ef", ".", " g", "\n", "", " 語", "語", "h ", " " };
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  GemmaHypotheses *h;
  Told told = begin (&h, 0);

  for (guint u = 0; u < 300; u++) {
    GstClockTime start = MS (10000) * u, heard = start;
    gemma_hypotheses_reset (h, start);
    told.end = start;
    guint n = g_rand_int_range (rand, 1, 12);
    for (guint i = 0; i < n; i++) {
      /* It may hear nothing new, as in a pause; at first there is something. */
      heard += i && g_rand_int_range (rand, 0, 3) == 0 ? 0 : MS (g_rand_int_range (rand, 100, 500));
      gemma_hypotheses_begin (h, NULL);
      for (gint k = g_rand_int_range (rand, 0, 9); k > 0; k--) {
        guint w = g_rand_int_range (rand, 0, i % 3 ? 3 : G_N_ELEMENTS (words));
        gemma_hypotheses_add (h, w, words[w], NULL);
      }
      if (i % 5 == 4)
        gemma_hypotheses_abandon (h);
      else
        gemma_hypotheses_end (h, heard, i + 1 == n, on_word, &told);
      fail_unless (told.end <= heard);
    }
  }
  fail_unless (told.n > 500, "%u words", told.n);
  end (h, &told);
}

GST_END_TEST;

/* Where no spaces are written, each character is one. */
GST_START_TEST (test_without_spaces)
{
  GemmaHypotheses *h;
  Told told = begin (&h, 0);

  check (h, &told, "今日_は", MS (400), FALSE, "");
  check (h, &told, "今日_は_晴", MS (800), FALSE, "今日|は|");
  end (h, &told);
}

GST_END_TEST;

GST_START_TEST (test_abandoned)
{
  GemmaHypotheses *h;
  Told told = begin (&h, 0);

  check (h, &told, "a_ b", MS (400), FALSE, "");
  add (h, "x");
  gemma_hypotheses_abandon (h);
  check (h, &told, "a_ b_ c", MS (800), FALSE, "a|b|");
  end (h, &told);
}

GST_END_TEST;

/* ---- where the model looks --------------------------------------------------------------------- */

#define T MS (160)

/* Tokens of sound from @start on, one for each letter: 's' loud, '.' quiet. */
static GArray *
make_sound_tokens (const gchar *pattern, GstClockTime start)
{
  GArray *sound = g_array_new (FALSE, FALSE, sizeof (GemmaSoundToken));

  for (; *pattern; pattern++, start += T) {
    GemmaSoundToken token = { start, start + T, *pattern == '.' };
    g_array_append_val (sound, token);
  }
  return sound;
}

typedef struct
{
  GstClockTime start[8], end[8];
  guint n;
} Times;

static void
on_time (GstClockTime start, GstClockTime end, const gchar *word, gpointer data)
{
  Times *times = data;

  fail_unless (start < end && (times->n == 0 || start >= times->end[times->n - 1]), "%s", word);
  times->start[times->n] = start;
  times->end[times->n++] = end;
}

/* A hypothesis whose tokens look at one token of the sound each: 'a' is the first. */
static void
hear (GemmaHypotheses *h, GArray *sound, const gchar *tokens, const gchar *looks)
{
  g_auto (GStrv) texts = g_strsplit (tokens, "_", -1);

  gemma_hypotheses_begin (h, sound);
  for (guint i = 0; texts[i]; i++) {
    g_autofree gfloat *weights = g_new0 (gfloat, sound->len);
    weights[looks[i] - 'a'] = .9f;
    gemma_hypotheses_add (h, g_str_hash (texts[i]) & 0xffff, texts[i], weights);
  }
}

/* A loud token's sound begins anywhere in it, and is known to lie in it only. */
static void
check_near (GstClockTime found, GstClockTime expected)
{
  fail_unless (ABS (GST_CLOCK_DIFF (expected, found)) <= T * 3 / 4, "%" GST_TIME_FORMAT " instead of %" GST_TIME_FORMAT,
      GST_TIME_ARGS (found), GST_TIME_ARGS (expected));
}

/* Two words, a pause of which the first hypothesis knows nothing, two more; late in a stream, without whole seconds. */
GST_START_TEST (test_times_of_attention)
{
  const GstClockTime start = 3600 * GST_SECOND + 12345678;
  GemmaHypotheses *h = gemma_hypotheses_new ();
  g_autoptr (GArray) first = make_sound_tokens ("..ssss", start), more = make_sound_tokens ("..ssss....ssss", start);
  Times times = { .n = 0 };

  gemma_hypotheses_reset (h, start + 2 * T);
  hear (h, first, "Good_ day_ to", "cef");
  gemma_hypotheses_end (h, start + 6 * T, FALSE, on_time, &times);
  fail_unless_equals_int (times.n, 0);
  hear (h, more, "Good_ day_ to_ you", "cekm");
  gemma_hypotheses_end (h, start + 14 * T, FALSE, on_time, &times);
  /* "to" is followed by nothing in the first one, so it may still go on: but it agrees, and another word follows now. */
  fail_unless_equals_int (times.n, 3);
  hear (h, more, " you_.", "mn");
  gemma_hypotheses_end (h, start + 14 * T, TRUE, on_time, &times);
  fail_unless_equals_int (times.n, 4);
  check_near (times.start[0], start + 2 * T);
  check_near (times.end[0], start + 4 * T);
  check_near (times.end[1], start + 6 * T - T / 2);
  check_near (times.start[2], start + 10 * T - T / 2);
  check_near (times.end[2], start + 12 * T);
  check_near (times.end[3], start + 14 * T - T / 2);
  gemma_hypotheses_free (h);
}

GST_END_TEST;

/* Two hypotheses agree on how the speech goes on, before it does: they look at the end of what there is. Words are final
 * when they have been said. */
GST_START_TEST (test_guesses_are_not_final)
{
  GemmaHypotheses *h = gemma_hypotheses_new ();
  g_autoptr (GArray) first = make_sound_tokens ("ssssss", 0), more = make_sound_tokens ("ssssssss", 0),
      all = make_sound_tokens ("ssssssssssssss", 0);
  Times times = { .n = 0 };

  gemma_hypotheses_reset (h, 0);
  hear (h, first, "Good_ night_ my_ friends", "bdff");
  gemma_hypotheses_end (h, 6 * T, FALSE, on_time, &times);
  hear (h, more, "Good_ night_ my_ friends", "bdhh");
  gemma_hypotheses_end (h, 8 * T, FALSE, on_time, &times);
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "Good night");
  hear (h, all, " my_ friends_.", "ikm");
  gemma_hypotheses_end (h, 14 * T, TRUE, on_time, &times);
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "Good night my friends.");
  gemma_hypotheses_free (h);
}

GST_END_TEST;

/* At a cut all words are final but the one that is said there: the next utterance hears it again, from its beginning on,
 * after words whose sound it still has. */
GST_START_TEST (test_cut)
{
  GemmaHypotheses *h = gemma_hypotheses_new ();
  g_autoptr (GArray) sound = make_sound_tokens ("ssssssssssss", 0), rest = make_sound_tokens ("ssssssss", 8 * T);
  Times times = { .n = 0 };

  gemma_hypotheses_reset (h, 0);
  hear (h, sound, "Good_ night_ my_ dear_ fri", "bdfil");
  gemma_hypotheses_cut (h, 12 * T, 8 * T, on_time, &times);
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "Good night my dear");
  GstClockTime from = gemma_hypotheses_go_on (h, 8 * T);
  fail_unless (from >= 8 * T && from <= times.end[3]);
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "");
  guint n_context = gemma_hypotheses_get_final_ids (h)->len;
  fail_unless_equals_int (n_context, times.start[3] >= 8 * T);
  hear (h, rest, " friends", "d");
  gemma_hypotheses_end (h, 16 * T, TRUE, on_time, &times);
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), " friends");
  fail_unless_equals_int (gemma_hypotheses_get_final_ids (h)->len, n_context + 1);

  /* One that began before all that is carried is not left: nobody would hear its beginning again. */
  gemma_hypotheses_reset (h, 0);
  times.n = 0;
  hear (h, sound, "Good_ niiiiiiiiiiiiiiiiiiight", "bl");
  gemma_hypotheses_cut (h, 12 * T, 11 * T, on_time, &times);
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "Good niiiiiiiiiiiiiiiiiiight");
  fail_unless_equals_uint64 (gemma_hypotheses_go_on (h, 11 * T), times.end[1]);
  fail_unless_equals_int (gemma_hypotheses_get_final_ids (h)->len, 0);
  gemma_hypotheses_free (h);
}

GST_END_TEST;

/* Of a model that does not tell where it looks, the last word may be the one that is cut. */
GST_START_TEST (test_cut_by_length)
{
  GemmaHypotheses *h;
  Told told = begin (&h, 0);

  add (h, "Good_ night_ fri");
  gemma_hypotheses_cut (h, MS (1500), MS (1000), on_word, &told);
  fail_unless_equals_string (told.words->str, "Good|night|");
  gemma_hypotheses_reset (h, MS (2000));
  told.end = MS (2000);
  add (h, "friends");
  gemma_hypotheses_cut (h, MS (2500), MS (2200), on_word, &told);
  fail_unless_equals_string (told.words->str, "Good|night|friends|");
  end (h, &told);
}

GST_END_TEST;

/* Tokens as loud as each other, which is known of each 20 ms of them. */
static GArray *
make_loud_tokens (guint n)
{
  g_autofree gchar *pattern = g_strnfill (n, 's');
  GArray *sound = make_sound_tokens (pattern, 0);

  for (guint i = 0; i < n; i++)
    memset (g_array_index (sound, GemmaSoundToken, i).levels, 20, GEMMA_SOUND_LEVELS);
  return sound;
}

/* A hypothesis whose tokens look anywhere in the sound. */
static void
hear_anywhere (GemmaHypotheses *h, GArray *sound, const gchar *tokens)
{
  g_auto (GStrv) texts = g_strsplit (tokens, "_", -1);
  g_autofree gfloat *weights = g_new (gfloat, sound->len);

  for (guint i = 0; i < sound->len; i++)
    weights[i] = .9f / sound->len;
  gemma_hypotheses_begin (h, sound);
  for (guint i = 0; texts[i]; i++)
    gemma_hypotheses_add (h, g_str_hash (texts[i]) & 0xffff, texts[i], weights);
}

/* Two hypotheses agree on words that the model knows, but nothing tells where they are: they may be guessed. Such words are
 * not final before speech has gone on for about a second. */
GST_START_TEST (test_words_without_a_place_wait)
{
  GemmaHypotheses *h = gemma_hypotheses_new ();
  g_autoptr (GArray) first = make_loud_tokens (9), more = make_loud_tokens (11), all = make_loud_tokens (19);
  Times times = { .n = 0 };

  gemma_hypotheses_reset (h, 0);
  hear_anywhere (h, first, "Good_ night_ my_ friends");
  gemma_hypotheses_end (h, 9 * T, FALSE, on_time, &times);
  hear_anywhere (h, more, "Good_ night_ my_ friends");
  gemma_hypotheses_end (h, 11 * T, FALSE, on_time, &times);
  fail_unless (times.n < 2, "%u words", times.n);
  hear_anywhere (h, all, times.n ? " night_ my_ friends_ all" : "Good_ night_ my_ friends_ all");
  gemma_hypotheses_end (h, 19 * T, FALSE, on_time, &times);
  fail_unless (g_str_has_prefix (gemma_hypotheses_get_final_text (h), "Good"));
  gemma_hypotheses_free (h);
}

GST_END_TEST;

/* Words that are said more slowly than usual, of which the model and the levels tell where they are: they leave at once, as no
 * other pace of speech fits nearly as well, and each where it is said. */
GST_START_TEST (test_clear_words_do_not_wait)
{
  GemmaHypotheses *h = gemma_hypotheses_new ();
  g_autoptr (GArray) first = make_loud_tokens (10), more = make_loud_tokens (12);
  Times times = { .n = 0 };

  for (guint at = 4; at < 12; at += 4) {
    g_array_index (more, GemmaSoundToken, at).levels[GEMMA_SOUND_LEVELS / 2 - 1] = 45;
    g_array_index (more, GemmaSoundToken, at).levels[GEMMA_SOUND_LEVELS / 2] = 45;
  }
  gemma_hypotheses_reset (h, 0);
  hear (h, first, "T_h_e_ t_w_o_ o_f", "bcdfgijj");
  gemma_hypotheses_end (h, 10 * T, FALSE, on_time, &times);
  hear (h, more, "T_h_e_ t_w_o_ o_f", "bcdfgijk");
  gemma_hypotheses_end (h, 12 * T, FALSE, on_time, &times);
  fail_unless_equals_string (gemma_hypotheses_get_final_text (h), "The two");
  check_near (times.end[0], 4 * T);
  check_near (times.end[1], 8 * T);
  gemma_hypotheses_free (h);
}

GST_END_TEST;

/* The model tells that two words are said, the levels when one ends and the other begins. */
GST_START_TEST (test_words_meet_where_it_is_less_loud)
{
  for (guint at = 3; at < 6; at++) {
    GemmaHypotheses *h = gemma_hypotheses_new ();
    g_autoptr (GArray) sound = make_loud_tokens (8);
    Times times = { .n = 0 };

    /* 40 ms around the begin of token @at */
    g_array_index (sound, GemmaSoundToken, at).levels[GEMMA_SOUND_LEVELS / 2 - 1] = 35;
    g_array_index (sound, GemmaSoundToken, at).levels[GEMMA_SOUND_LEVELS / 2] = 35;
    gemma_hypotheses_reset (h, 0);
    hear_anywhere (h, sound, "Good_ night");
    gemma_hypotheses_end (h, 8 * T, TRUE, on_time, &times);
    fail_unless_equals_int (times.n, 2);
    fail_unless (ABS (GST_CLOCK_DIFF (at * T, times.end[0])) <= MS (40) &&
        ABS (GST_CLOCK_DIFF (at * T, times.start[1])) <= MS (40), "at %u: %" GST_TIME_FORMAT ", %" GST_TIME_FORMAT, at,
        GST_TIME_ARGS (times.end[0]), GST_TIME_ARGS (times.start[1]));
    gemma_hypotheses_free (h);
  }
}

GST_END_TEST;

/* Looks that contradict each other, sound that does not grow, tokens without looks: order is kept (on_time checks). */
GST_START_TEST (test_random_looks)
{
  static const gchar *const words[] = { "a", " bc", " d", "ef", ".", " g", "", " " };
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  GemmaHypotheses *h = gemma_hypotheses_new ();

  for (guint u = 0; u < 200; u++) {
    GstClockTime start = MS (10000) * u;
    guint n = g_rand_int_range (rand, 1, 12), n_tokens = 0;
    gemma_hypotheses_reset (h, start);
    for (guint i = 0; i < n; i++) {
      n_tokens += i == 0 || g_rand_boolean (rand) ? g_rand_int_range (rand, 1, 5) : 0;
      g_autofree gchar *pattern = g_strnfill (n_tokens, 's');
      for (guint j = 1; j + 1 < n_tokens; j += g_rand_int_range (rand, 1, 4))
        pattern[j] = '.';
      g_autoptr (GArray) sound = make_sound_tokens (pattern, start);
      Times times = { .n = 0 };
      gemma_hypotheses_begin (h, sound);
      for (gint k = g_rand_int_range (rand, 0, 7); k > 0; k--) {
        g_autofree gfloat *weights = g_new0 (gfloat, n_tokens);
        guint w = g_rand_int_range (rand, 0, i % 3 ? 3 : G_N_ELEMENTS (words));
        weights[g_rand_int_range (rand, 0, n_tokens)] = 1;
        gemma_hypotheses_add (h, w, words[w], g_rand_int_range (rand, 0, 30) ? weights : NULL);
      }
      GstClockTime heard = start + n_tokens * T - T / 3, before = gemma_hypotheses_get_final_end (h);
      gemma_hypotheses_end (h, heard, i + 1 == n, on_time, &times);
      fail_unless (times.n == 0 || (times.start[0] >= before && times.end[times.n - 1] <= heard));
    }
  }
  gemma_hypotheses_free (h);
}

GST_END_TEST;

static Suite *
hypotheses_suite (void)
{
  Suite *s = suite_create ("hypotheses");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_agreement);
  tcase_add_test (tc, test_the_end_makes_all_final);
  tcase_add_test (tc, test_times);
  tcase_add_test (tc, test_random_hypotheses);
  tcase_add_test (tc, test_without_spaces);
  tcase_add_test (tc, test_abandoned);
  tcase_add_test (tc, test_times_of_attention);
  tcase_add_test (tc, test_guesses_are_not_final);
  tcase_add_test (tc, test_cut);
  tcase_add_test (tc, test_cut_by_length);
  tcase_add_test (tc, test_words_without_a_place_wait);
  tcase_add_test (tc, test_clear_words_do_not_wait);
  tcase_add_test (tc, test_words_meet_where_it_is_less_loud);
  tcase_add_test (tc, test_random_looks);
  return s;
}

GST_CHECK_MAIN (hypotheses);
