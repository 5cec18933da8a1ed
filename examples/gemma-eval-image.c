#include "gemma-eval.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>

/* No picture is larger; what a file claims is not trusted with more. */
#define MAX_SIDE 32767
#define MAX_PIXELS (1 << 28)
#define BEST_RESOLUTION 768 /* where the model leaves the choice */

typedef struct
{
  png_structp png;
  png_infop info;
  gchar message[128];
} Reader;

static void
on_error (png_structp png, png_const_charp message)
{
  Reader *reader = png_get_error_ptr (png);

  g_strlcpy (reader->message, message, sizeof reader->message);
  longjmp (png_jmpbuf (png), 1);
}

static void
on_warning (png_structp png, png_const_charp message)
{
}

/* Grey, palette, 1 to 16 bits, with alpha or without: all become RGBA of 8 bits, as Pillow's convert ("RGB") has its RGB. */
static void
ask_for_rgba (Reader *reader)
{
  png_set_expand (reader->png);
  png_set_strip_16 (reader->png);
  png_set_gray_to_rgb (reader->png);
  png_set_add_alpha (reader->png, 0xff, PNG_FILLER_AFTER);
  png_set_interlace_handling (reader->png);
  png_read_update_info (reader->png, reader->info);
}

/* FALSE: the reader has a message. Everything that must be freed is outside, where longjmp() leaves it alone. */
static gboolean
read_png (Reader *reader, FILE *file, EvalImage *image)
{
  guint width, height;

  if (setjmp (png_jmpbuf (reader->png)))
    return FALSE;
  png_init_io (reader->png, file);
  png_set_user_limits (reader->png, MAX_SIDE, MAX_SIDE);
  png_read_info (reader->png, reader->info);
  width = png_get_image_width (reader->png, reader->info);
  height = png_get_image_height (reader->png, reader->info);
  ask_for_rgba (reader);
  if ((guint64) width * height > MAX_PIXELS || png_get_rowbytes (reader->png, reader->info) != 4 * (gsize) width)
    png_error (reader->png, "too large");
  image->pixels = g_try_malloc (4 * (gsize) width * height);
  image->rows = g_try_new (png_bytep, height);
  if (!image->pixels || !image->rows)
    png_error (reader->png, "no memory for its pixels");
  for (guint i = 0; i < height; i++)
    image->rows[i] = image->pixels + 4 * (gsize) width * i;
  png_read_image (reader->png, image->rows);
  png_read_end (reader->png, NULL);
  image->picture = (OclPicture) { .format = OCL_PICTURE_RGBA, .width = width, .height = height,
    .plane = { image->pixels }, .stride = { 4 * width } };
  return TRUE;
}

void
eval_image_free (EvalImage *image)
{
  g_free (image->pixels);
  g_free (image->rows);
  g_free (image);
}

EvalImage *
eval_read_image (const gchar *path, GError **error)
{
  FILE *file = fopen (path, "rb");
  EvalImage *image;
  Reader reader = { NULL, };

  if (!file) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND, "%s: %s", path, g_strerror (errno));
    return NULL;
  }
  image = g_new0 (EvalImage, 1);
  reader.png = png_create_read_struct (PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  reader.info = png_create_info_struct (reader.png);
  if (!read_png (&reader, file, image)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: cannot be read as PNG: %s", path, reader.message);
    g_clear_pointer (&image, eval_image_free);
  }
  png_destroy_read_struct (&reader.png, &reader.info, NULL);
  fclose (file);
  return image;
}

/* --resolution, or what is best for the model; 0 with an error for a size that its encoder does not have. */
static gint
get_resolution (const Eval *eval, GError **error)
{
  gint wanted = eval->options->resolution, own = gemma_vision_get_resolution (gemma_model_get_vision (eval->model), 0);

  if (own == 0)
    return wanted > 0 ? wanted : BEST_RESOLUTION;
  if (wanted == 0 || wanted == own)
    return own;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--resolution is %d, but %s has one size of its own, %d: "
      "leave the option out", wanted, eval->options->model, own);
  return 0;
}

GArray *
eval_encode_image (Eval *eval, GError **error)
{
  gint resolution = get_resolution (eval, error);
  GArray *rows;

  if (resolution == 0)
    return NULL;
  rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_array_set_size (rows, GEMMA_VISION_TOKENS * gemma_model_get_config (eval->model)->text.hidden);
  if (!eval->vision)
    eval->vision = gemma_vision_session_new (gemma_model_get_vision (eval->model), error);
  if (eval->vision && eval->states)
    gemma_vision_session_set_observer (eval->vision, eval_take_state, eval->states);
  if (!eval->vision || !gemma_vision_session_encode (eval->vision, &eval->image->picture, resolution,
          (gfloat *) (gpointer) rows->data, NULL, error) || !eval_states_save (eval, "image", error))
    g_clear_pointer (&rows, g_array_unref);
  return rows;
}
