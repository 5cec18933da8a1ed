/* gemma-eval --image: every kind of PNG is the picture that it shows. */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <png.h>
#include <string.h>

#include "examples/npy.h"
#include "models/vision.h"
#include "tests/elements/vision-model.h"
#include "tests/gemma-eval.h"

#define WIDTH 37
#define HEIGHT 23

typedef struct
{
  const gchar *name;
  gint color, depth, interlace;
} Kind;

static gchar *out, *png;

/* 16 greys, so that 4 bits hold it as well as 16. */
static guint
level (guint x, guint y)
{
  return (x / 3 * 5 + y / 2 * 3) % 16;
}

/* One sample of @depth bits at *bit of a row. */
static void
put (guint8 *row, gsize *bit, gint depth, guint grey)
{
  for (gint i = depth - 4; i >= 0; i -= 4) {            /* the grey's four bits, repeated, are its value at any depth */
    row[*bit / 8] |= grey << (4 - *bit % 8);
    *bit += 4;
  }
}

static void
fill_row (guint8 *row, const Kind *kind, guint y)
{
  gint colors = kind->color & PNG_COLOR_MASK_COLOR && kind->color != PNG_COLOR_TYPE_PALETTE ? 3 : 1;
  gsize bit = 0;

  for (guint x = 0; x < WIDTH; x++) {
    for (gint i = 0; i < colors; i++)
      put (row, &bit, kind->depth, level (x, y));
    if (kind->color & PNG_COLOR_MASK_ALPHA)
      put (row, &bit, kind->depth, x % 2 ? 15 : 0);     /* what is transparent has a colour nevertheless */
  }
}

static void
write_png (const Kind *kind)
{
  png_structp writer = png_create_write_struct (PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct (writer);
  guint8 rows[HEIGHT][WIDTH * 8] = { 0 };
  png_bytep pointers[HEIGHT];
  png_color greys[16];
  FILE *file = fopen (png, "wb");

  for (guint y = 0; y < HEIGHT; y++) {
    fill_row (rows[y], kind, y);
    pointers[y] = rows[y];
  }
  for (guint i = 0; i < 16; i++)
    greys[i] = (png_color) { 17 * i, 17 * i, 17 * i };
  png_init_io (writer, file);
  png_set_IHDR (writer, info, WIDTH, HEIGHT, kind->depth, kind->color, kind->interlace, PNG_COMPRESSION_TYPE_DEFAULT,
      PNG_FILTER_TYPE_DEFAULT);
  if (kind->color == PNG_COLOR_TYPE_PALETTE)
    png_set_PLTE (writer, info, greys, 16);
  png_set_rows (writer, info, pointers);
  png_write_png (writer, info, PNG_TRANSFORM_IDENTITY, NULL);
  png_destroy_write_struct (&writer, &info);
  fclose (file);
}

static gint
run (gchar **message)
{
  const gchar *arguments[] = { "--model", vision_model_path (), "--image", png, "--resolution", "256", "--out", out, NULL };

  return gemma_eval_run (message, arguments);
}

static Npy *
tokens_of (const Kind *kind)
{
  g_autofree gchar *message = NULL;
  Npy *tokens;

  write_png (kind);
  fail_unless (run (&message) == 0, "%s: %s", kind->name, message);
  tokens = gemma_eval_result (out, "image-tokens.npy");
  fail_unless (tokens->n_dims == 2 && tokens->dims[0] == GEMMA_VISION_TOKENS && tokens->dims[1] == VISION_MODEL_HIDDEN);
  return tokens;
}

GST_START_TEST (test_kinds)
{
  static const Kind kinds[] = {
    { "RGB", PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE },
    { "grey", PNG_COLOR_TYPE_GRAY, 8, PNG_INTERLACE_NONE },
    { "grey of 4 bits", PNG_COLOR_TYPE_GRAY, 4, PNG_INTERLACE_NONE },
    { "grey of 16 bits", PNG_COLOR_TYPE_GRAY, 16, PNG_INTERLACE_NONE },
    { "grey with alpha", PNG_COLOR_TYPE_GRAY_ALPHA, 8, PNG_INTERLACE_NONE },
    { "palette of 4 bits", PNG_COLOR_TYPE_PALETTE, 4, PNG_INTERLACE_NONE },
    { "RGB of 16 bits", PNG_COLOR_TYPE_RGB, 16, PNG_INTERLACE_NONE },
    { "RGBA", PNG_COLOR_TYPE_RGB_ALPHA, 8, PNG_INTERLACE_NONE },
    { "RGBA of 16 bits, interlaced", PNG_COLOR_TYPE_RGB_ALPHA, 16, PNG_INTERLACE_ADAM7 },
    { "RGB, interlaced", PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_ADAM7 },
  };
  g_autoptr (Npy) first = tokens_of (&kinds[0]);

  for (guint i = 1; i < G_N_ELEMENTS (kinds); i++) {
    g_autoptr (Npy) tokens = tokens_of (&kinds[i]);

    /* The same pixels, so the same bits. */
    fail_unless (memcmp (tokens->f32, first->f32, sizeof (gfloat) * first->n) == 0, "%s differs", kinds[i].name);
  }
}
GST_END_TEST;

GST_START_TEST (test_cut_short)
{
  static const Kind kind = { "RGB", PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE };
  g_autofree gchar *bytes = NULL, *message = NULL;
  gsize n;

  write_png (&kind);
  fail_unless (g_file_get_contents (png, &bytes, &n, NULL) && g_file_set_contents (png, bytes, n / 2, NULL));
  fail_unless_equals_int (run (&message), 1);
  fail_unless (strstr (message, png) && strstr (message, "cannot be read as PNG"), "%s", message);
}
GST_END_TEST;

static void
setup (void)
{
  out = g_dir_make_tmp ("gemma-test-XXXXXX", NULL);
  png = g_build_filename (out, "picture.png", NULL);
}

static void
teardown (void)
{
  g_autofree gchar *tokens = g_build_filename (out, "image-tokens.npy", NULL);

  g_unlink (png);
  g_unlink (tokens);
  g_rmdir (out);
  g_free (png);
  g_free (out);
}

static Suite *
gemma_eval_image_suite (void)
{
  Suite *s = suite_create ("gemma_eval_image");
  TCase *tc = tcase_create ("png");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 200);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_kinds);
  tcase_add_test (tc, test_cut_short);
  return s;
}

GST_CHECK_MAIN (gemma_eval_image);
