/* The window of pictures: what is taken, what is kept. */
#include "util.h"

#include "plugin/pictures.h"

/* Pictures at these seconds; the rows tell them apart. */
static void
push (GemmaPictures *pictures, guint second)
{
  gfloat value = second;
  GArray *rows = g_array_new (FALSE, FALSE, sizeof (gfloat));

  g_array_append_val (rows, value);
  gemma_pictures_push (pictures, gemma_picture_new (second * GST_SECOND, rows));
}

static gchar *
take (GemmaPictures *pictures, guint start, guint end, guint n)
{
  g_autoptr (GPtrArray) taken = gemma_pictures_take (pictures, start * GST_SECOND, end * GST_SECOND, n);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < taken->len; i++) {
    const GemmaPicture *picture = g_ptr_array_index (taken, i);
    fail_unless_equals_uint64 (picture->time, g_array_index (picture->rows, gfloat, 0) * GST_SECOND);
    g_string_append_printf (text, "%s%u", i ? " " : "", (guint) (picture->time / GST_SECOND));
  }
  return g_string_free (text, FALSE);
}

static void
check (const gchar *pushed, guint start, guint end, guint n, const gchar *expected)
{
  GemmaPictures *pictures = gemma_pictures_new (16);
  g_auto (GStrv) seconds = g_strsplit (pushed, " ", -1);

  for (gchar **s = seconds; *s && **s; s++)
    push (pictures, g_ascii_strtoull (*s, NULL, 10));
  g_autofree gchar *taken = take (pictures, start, end, n);
  fail_unless_equals_string (taken, expected);
  gemma_pictures_free (pictures);
}

GST_START_TEST (test_what_is_taken)
{
  check ("", 0, 10, 4, "");
  check ("1 2 3", 2, 4, 4, "2 3");
  check ("1 2 3", 2, 3, 4, "2");        /* the end is not part of the span */
  check ("1 2 9", 4, 6, 4, "2");        /* none inside: the newest before */
  check ("8 9", 4, 6, 4, "");
  check ("1 2 3 4 5", 0, 10, 1, "5");
  check ("1 2 3 4 5", 0, 10, 2, "1 5");
  check ("1 2 3 4 5", 0, 10, 3, "1 3 5");
  check ("1 2 3", 0, 10, 0, "");
  check ("3 1 2", 0, 10, 4, "1 2 3");   /* of two pads */
  check ("2", 2, 2, 4, "");
}

GST_END_TEST;

GST_START_TEST (test_what_is_kept)
{
  GemmaPictures *pictures = gemma_pictures_new (4);
  g_autofree gchar *span = NULL, *again = NULL, *later = NULL, *nothing = NULL;

  for (guint i = 1; i <= 3; i++)
    push (pictures, i);
  span = take (pictures, 2, 3, 4);
  fail_unless_equals_string (span, "2");
  again = take (pictures, 2, 4, 4);    /* the same span again */
  fail_unless_equals_string (again, "2 3");
  gemma_pictures_forget (pictures, 10 * GST_SECOND);
  later = take (pictures, 10, 11, 4);
  fail_unless_equals_string (later, "3");       /* is still what was seen last */
  gemma_pictures_reset (pictures);
  nothing = take (pictures, 10, 11, 4);
  fail_unless_equals_string (nothing, "");
  gemma_pictures_free (pictures);
}

GST_END_TEST;

GST_START_TEST (test_it_is_bounded)
{
  GemmaPictures *pictures = gemma_pictures_new (8);
  guint last = 0;

  for (guint i = 0; i < 1000; i++)
    push (pictures, i);
  fail_unless (gemma_pictures_is_full (pictures));
  g_autoptr (GPtrArray) all = gemma_pictures_take (pictures, 0, GST_CLOCK_TIME_NONE - 1, 100);
  fail_unless_equals_int (all->len, 8);
  /* They come from all of the time, up to the newest. */
  for (guint i = 0; i < all->len; i++) {
    guint second = ((GemmaPicture *) g_ptr_array_index (all, i))->time / GST_SECOND;
    fail_unless (second - last < 500, "nothing between %u and %u", last, second);
    last = second;
  }
  fail_unless_equals_int (last, 999);
  gemma_pictures_free (pictures);
}

GST_END_TEST;

static Suite *
pictures_suite (void)
{
  Suite *s = suite_create ("pictures");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_what_is_taken);
  tcase_add_test (tc, test_what_is_kept);
  tcase_add_test (tc, test_it_is_bounded);
  return s;
}

GST_CHECK_MAIN (pictures);
