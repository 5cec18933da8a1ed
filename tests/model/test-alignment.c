/* From weights of attention to times of words, on weights as a taught head has them, and worse. */
#include <gst/check/gstcheck.h>
#include <math.h>
#include <string.h>

#include "models/alignment.h"

#define HEARD .575f
#define LETTER .3f              /* 48 ms */

/* What is said: words of some tokens with their letters, and when. */
typedef struct
{
  gfloat begin, end;
  gint letters[4];              /* 0: no more tokens */
} Said;

typedef struct
{
  gint n;
  GArray *weights, *letters, *words;
  guint8 *quiet;
  GemmaAlignmentSound sound;
} Case;

static gfloat
overlap (gfloat a, gfloat b, gfloat c, gfloat d)
{
  return MAX (MIN (b, d) - MAX (a, c), 0);
}

/* Of a token that is said from @begin to @end: its time's share of each audio token, blurred by @noise. */
static void
add_row (Case *c, gfloat begin, gfloat end, gfloat noise, GRand *rand)
{
  g_autofree gfloat *row = g_new (gfloat, c->n);
  gfloat total = 0;

  for (gint j = 0; j < c->n; j++) {
    row[j] = overlap (begin, end, j - 1 + HEARD, j + HEARD) / (end - begin);
    row[j] += noise * (gfloat) g_rand_double (rand) / c->n;
    if (noise > 0 && j > 0)
      row[j] += .25f * overlap (begin, end, j - 2 + HEARD, j - 1 + HEARD) / (end - begin);
    total += row[j];
  }
  for (gint j = 0; j < c->n; j++)
    row[j] *= .8f / total;      /* the rest looks at the text */
  g_array_append_vals (c->weights, row, c->n);
}

static void
add_word (Case *c, const Said *said, gfloat noise, GRand *rand)
{
  GemmaAlignmentWord word = { 0 };
  gint letters = 0, before = 0;

  for (gint i = 0; i < 4 && said->letters[i]; i++, word.n_tokens++)
    letters += said->letters[i];
  for (gint i = 0; i < word.n_tokens; i++) {
    gfloat length = said->end - said->begin;
    gint after = before + said->letters[i];
    add_row (c, said->begin + length * before / letters, said->begin + length * after / letters, noise, rand);
    g_array_append_val (c->letters, said->letters[i]);
    before = after;
  }
  g_array_append_val (c->words, word);
}

/* @n audio tokens, of which those are quiet in which none of @words is said. */
static Case
make_case (gint n, const Said *said, guint n_said, gfloat noise)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  Case c = { n, g_array_new (FALSE, FALSE, sizeof (gfloat)), g_array_new (FALSE, FALSE, sizeof (gint)),
    g_array_new (FALSE, FALSE, sizeof (GemmaAlignmentWord)), g_new (guint8, n) };

  for (gint j = 0; j < n; j++) {
    c.quiet[j] = TRUE;
    for (guint k = 0; k < n_said; k++)
      c.quiet[j] &= overlap (said[k].begin, said[k].end, j - 1 + HEARD, j + HEARD) <= 0;
  }
  for (guint k = 0; k < n_said; k++)
    add_word (&c, &said[k], noise, rand);
  c.sound = (GemmaAlignmentSound) { n, c.quiet, .heard = HEARD, .end = n, .letter = LETTER };
  return c;
}

static gboolean
run_scored (Case *c, gint n_said, gfloat *score)
{
  return gemma_align (&c->sound, (const gfloat *) (gpointer) c->weights->data, (const gint *) (gpointer) c->letters->data,
      (GemmaAlignmentWord *) (gpointer) c->words->data, c->words->len, n_said, score);
}

static gboolean
run (Case *c, gint n_said)
{
  gfloat score;

  return run_scored (c, n_said, &score);
}

static const GemmaAlignmentWord *
get_word (Case *c, guint k)
{
  return &g_array_index (c->words, GemmaAlignmentWord, k);
}

static void
clear (Case *c)
{
  g_array_unref (c->weights);
  g_array_unref (c->letters);
  g_array_unref (c->words);
  g_free (c->quiet);
}

/* One after the other between begin and end, whatever the weights. */
static void
check_order (Case *c)
{
  gfloat last = c->sound.begin;

  for (guint k = 0; k < c->words->len; k++) {
    fail_unless (get_word (c, k)->begin >= last && get_word (c, k)->end > get_word (c, k)->begin);
    last = get_word (c, k)->end;
  }
}

static void
check_times (Case *c, const Said *said, guint n, gfloat allowed)
{
  check_order (c);
  for (guint k = 0; k < n; k++) {
    const GemmaAlignmentWord *w = get_word (c, k);
    fail_unless (fabsf (w->begin - said[k].begin) <= allowed && fabsf (w->end - said[k].end) <= allowed,
        "word %u is said from %g to %g, found from %g to %g", k, said[k].begin, said[k].end, w->begin, w->end);
  }
}

/* "You are currently the only person", without pauses. */
static const Said sentence[] = { { 1.2f, 2.4f, { 3 } }, { 2.4f, 3.1f, { 3 } }, { 3.1f, 6.7f, { 3, 4, 2 } },
  { 6.7f, 7.4f, { 3 } }, { 7.4f, 9.5f, { 2, 2 } }, { 9.5f, 13.f, { 6 } } };

/* What lies within an audio token is known by its letters only: half a token is allowed, 80 ms. */
GST_START_TEST (test_sentence)
{
  Case c = make_case (15, sentence, G_N_ELEMENTS (sentence), 0);

  fail_unless (run (&c, c.words->len));
  check_times (&c, sentence, G_N_ELEMENTS (sentence), .5f);
  clear (&c);
}

GST_END_TEST;

/* A quarter leaks into the next token, as much as is right is spread over all, and letters take another time than
 * usual: one token is allowed. */
GST_START_TEST (test_noise)
{
  Case c = make_case (15, sentence, G_N_ELEMENTS (sentence), 1);

  c.sound.letter = LETTER * 1.5f;
  fail_unless (run (&c, c.words->len));
  check_times (&c, sentence, G_N_ELEMENTS (sentence), 1);
  clear (&c);
}

GST_END_TEST;

/* Quiet belongs to no word. */
GST_START_TEST (test_pauses)
{
  static const Said said[] = { { 2.5f, 5.f, { 4 } }, { 11.2f, 12.9f, { 3 } }, { 13.f, 16.f, { 2, 5 } },
    { 24.5f, 28.f, { 6 } } };
  Case c = make_case (31, said, G_N_ELEMENTS (said), .3f);

  fail_unless (run (&c, c.words->len));
  check_times (&c, said, G_N_ELEMENTS (said), .6f);
  clear (&c);
}

GST_END_TEST;

/* The same word four times: each row looks at all of them, at its own a little more, and anywhere in it. One token is
 * allowed. */
GST_START_TEST (test_repeated)
{
  static const Said said[] = { { 1, 4, { 5 } }, { 6, 9, { 5 } }, { 11, 14, { 5 } }, { 16, 19, { 5 } } };
  Case c = make_case (20, said, G_N_ELEMENTS (said), 0);

  for (guint k = 0; k < 4; k++)
    for (guint j = 0; j < 20; j++) {
      gfloat *weight = &g_array_index (c.weights, gfloat, k * 20 + j);
      *weight = j % 5 == 0 ? 0 : *weight > 0 ? .09f : .07f;
    }
  fail_unless (run (&c, c.words->len));
  check_times (&c, said, G_N_ELEMENTS (said), 1);
  clear (&c);
}

GST_END_TEST;

/* Begins and ends are kept to: what was told is told, and what was not heard is not. */
GST_START_TEST (test_limits)
{
  Case c = make_case (15, sentence, G_N_ELEMENTS (sentence), 0);

  c.sound.begin = 4.3f;
  c.sound.end = 9.1f;
  fail_unless (run (&c, c.words->len));
  check_order (&c);
  fail_unless (get_word (&c, 0)->begin >= 4.3f && get_word (&c, c.words->len - 1)->end <= 9.1f);
  /* Of six words four were said: the others may come later. */
  fail_unless (run (&c, 4));
  check_order (&c);
  fail_unless (get_word (&c, 3)->end <= 9.1f);
  clear (&c);
}

GST_END_TEST;

/* What the model guesses does not push what was said out of its place. */
GST_START_TEST (test_guessed)
{
  static const Said said[] = { { 1, 3, { 4 } }, { 3, 5.5f, { 5 } }, { 5.5f, 8, { 5 } } };
  Case c = make_case (8, said, G_N_ELEMENTS (said), .2f);
  const GemmaAlignmentWord guess = { 1 };
  gint letters = 6;
  gfloat nothing[8] = { 0 };

  for (guint i = 0; i < 3; i++) {
    g_array_append_val (c.words, guess);
    g_array_append_val (c.letters, letters);
    g_array_append_vals (c.weights, nothing, 8);
  }
  fail_unless (run (&c, 2));
  check_times (&c, said, 2, .5f);
  clear (&c);
}

GST_END_TEST;

/* Guesses look for their sound in all that was heard; they are not squeezed in. One token is allowed. */
GST_START_TEST (test_guesses_that_look)
{
  static const Said said[] = { { 1, 3, { 4 } }, { 3, 5.5f, { 5 } }, { 5.5f, 8, { 5 } } };
  Case c = make_case (8, said, G_N_ELEMENTS (said), .2f);
  const GemmaAlignmentWord guess = { 1 };
  gint letters = 6;
  gfloat anything[8] = { 0, .1f, .1f, .1f, .1f, .1f, .1f, .2f };

  for (guint i = 0; i < 3; i++) {
    g_array_append_val (c.words, guess);
    g_array_append_val (c.letters, letters);
    g_array_append_vals (c.weights, anything, 8);
  }
  fail_unless (run (&c, 0));
  check_times (&c, said, 3, 1);
  fail_unless (get_word (&c, 4)->begin >= 8, "%g", get_word (&c, 4)->begin);
  clear (&c);
}

GST_END_TEST;

GST_START_TEST (test_one_and_none)
{
  static const Said said[] = { { 0, 1, { 2 } } };
  Case c = make_case (1, said, 1, 0);

  fail_unless (run (&c, 1));
  check_times (&c, said, 1, .3f);
  g_array_set_size (c.words, 0);
  fail_if (run (&c, 0));
  clear (&c);
}

GST_END_TEST;

/* Then the caller estimates. */
GST_START_TEST (test_nothing_known)
{
  Case c = make_case (15, sentence, G_N_ELEMENTS (sentence), 0);
  gfloat *weights = (gfloat *) (gpointer) c.weights->data;

  c.sound.end = c.sound.begin + 1.2f;           /* less than a step for each word */
  fail_if (run (&c, c.words->len));
  c.sound.end = c.sound.begin;
  fail_if (run (&c, 1));
  c.sound.end = 15;
  for (guint i = 0; i < c.weights->len; i++)
    weights[i] = i % 3 ? 0 : NAN;
  fail_if (run (&c, c.words->len));
  weights[17] = .5f;                            /* something about the second word only */
  fail_unless (run (&c, c.words->len));
  check_order (&c);
  fail_unless (get_word (&c, 1)->begin <= 3 && get_word (&c, 1)->end >= 2);
  clear (&c);
}

GST_END_TEST;

GST_START_TEST (test_random)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (guint i = 0; i < 100; i++) {
    gint n = g_rand_int_range (rand, 1, 40), n_words = g_rand_int_range (rand, 1, 10);
    Case c = make_case (n, NULL, 0, 0);
    for (gint k = 0; k < n_words; k++) {
      GemmaAlignmentWord word = { g_rand_int_range (rand, 1, 4) };
      g_array_append_val (c.words, word);
      for (gint t = 0; t < word.n_tokens; t++) {
        gint letters = g_rand_int_range (rand, 1, 9);
        g_array_append_val (c.letters, letters);
        for (gint j = 0; j < n; j++) {
          gfloat weight = g_rand_double_range (rand, -.1, 1.1);
          g_array_append_val (c.weights, weight);
        }
      }
    }
    for (gint j = 0; j < n; j++)
      c.quiet[j] = g_rand_boolean (rand);
    c.sound.begin = g_rand_double_range (rand, 0, n);
    c.sound.end = g_rand_double_range (rand, c.sound.begin, n);
    gint n_said = g_rand_int_range (rand, 0, n_words + 1);
    if (run (&c, n_said)) {
      check_order (&c);
      fail_unless (n_said == 0 || get_word (&c, n_said - 1)->end <= c.sound.end + 1e-4f);
    } else {
      fail_unless ((c.sound.end - c.sound.begin) * 4 < n_said, "there is room for %d words", n_said);
    }
    clear (&c);
  }
}

GST_END_TEST;

/* Words with 60 ms between them: too short for a token to be quiet, and weights of whole tokens tell little. */
GST_START_TEST (test_short_pauses)
{
  static const Said said[] = { { 2.f, 3.5f, { 5 } }, { 3.875f, 6.f, { 4 } }, { 6.375f, 8.5f, { 6 } } };
  Case c = make_case (10, said, 3, .5f);
  guint8 pauses[10 * GEMMA_ALIGNMENT_FRAMES];

  for (guint i = 0; i < G_N_ELEMENTS (pauses); i++) {
    gfloat time = (i + .5f) / GEMMA_ALIGNMENT_FRAMES - .5f;
    pauses[i] = TRUE;
    for (guint k = 0; k < G_N_ELEMENTS (said); k++)
      pauses[i] &= time < said[k].begin || time >= said[k].end;
  }
  c.sound.pauses = pauses;
  fail_unless (run (&c, 3));
  check_times (&c, said, 3, .25f);      /* a step of 40 ms */
  clear (&c);
}

GST_END_TEST;

/* Said slower and faster than usual: that pace fits best at which it is said, whatever comes after it. */
GST_START_TEST (test_pace)
{
  static const gfloat paces[] = { 1 / 1.4f, 1, 1.4f };

  for (guint p = 0; p < 3; p++) {
    Said said[G_N_ELEMENTS (sentence)];
    gfloat scores[3];
    for (guint k = 0; k < G_N_ELEMENTS (said); k++) {
      said[k] = sentence[k];
      said[k].begin *= paces[p];
      said[k].end *= paces[p];
    }
    Case c = make_case (20, said, G_N_ELEMENTS (said), .5f);
    for (guint i = 0; i < 3; i++) {
      c.sound.letter = LETTER * paces[i];
      fail_unless (run_scored (&c, 0, &scores[i]));
    }
    for (guint i = 0; i < 3; i++)
      fail_unless (i == p || scores[i] < scores[p], "said at %g, %g fits as well", paces[p], paces[i]);
    clear (&c);
  }
}

GST_END_TEST;

static Suite *
alignment_suite (void)
{
  Suite *s = suite_create ("alignment");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_short_pauses);
  tcase_add_test (tc, test_sentence);
  tcase_add_test (tc, test_pace);
  tcase_add_test (tc, test_noise);
  tcase_add_test (tc, test_pauses);
  tcase_add_test (tc, test_repeated);
  tcase_add_test (tc, test_limits);
  tcase_add_test (tc, test_guessed);
  tcase_add_test (tc, test_guesses_that_look);
  tcase_add_test (tc, test_one_and_none);
  tcase_add_test (tc, test_nothing_known);
  tcase_add_test (tc, test_random);
  return s;
}

GST_CHECK_MAIN (alignment);
