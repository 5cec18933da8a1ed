#include "pictures.h"

struct _GemmaPictures
{
  guint most;
  GPtrArray *window;            /* of GemmaPicture, by time */
};

GemmaPicture *
gemma_picture_new (GstClockTime time, GArray *rows)
{
  GemmaPicture *self = g_new (GemmaPicture, 1);

  self->time = time;
  self->rows = rows;
  return self;
}

void
gemma_picture_free (GemmaPicture *self)
{
  g_array_unref (self->rows);
  g_free (self);
}

GemmaPictures *
gemma_pictures_new (guint most)
{
  GemmaPictures *self = g_new (GemmaPictures, 1);

  self->most = MAX (most, 3);
  self->window = g_ptr_array_new_with_free_func ((GDestroyNotify) gemma_picture_free);
  return self;
}

void
gemma_pictures_free (GemmaPictures *self)
{
  g_ptr_array_unref (self->window);
  g_free (self);
}

void
gemma_pictures_reset (GemmaPictures *self)
{
  g_ptr_array_set_size (self->window, 0);
}

gboolean
gemma_pictures_is_full (GemmaPictures *self)
{
  return self->window->len >= self->most;
}

static GemmaPicture *
get (GemmaPictures *self, guint i)
{
  return g_ptr_array_index (self->window, i);
}

/* The picture whose neighbours are nearest to each other; never the oldest or the newest, which nothing replaces. */
static guint
find_redundant (GemmaPictures *self)
{
  GstClockTime nearest = GST_CLOCK_TIME_NONE;
  guint found = 1;

  for (guint i = 1; i + 1 < self->window->len; i++) {
    GstClockTime gap = get (self, i + 1)->time - get (self, i - 1)->time;
    if (gap < nearest) {
      nearest = gap;
      found = i;
    }
  }
  return found;
}

void
gemma_pictures_push (GemmaPictures *self, GemmaPicture *picture)
{
  guint at = self->window->len;

  while (at > 0 && get (self, at - 1)->time > picture->time)
    at--;
  g_ptr_array_insert (self->window, at, picture);
  if (self->window->len > self->most)
    g_ptr_array_remove_index (self->window, find_redundant (self));
}

/* Index of the first picture at or after @time. */
static guint
find (GemmaPictures *self, GstClockTime time)
{
  guint i = 0;

  while (i < self->window->len && get (self, i)->time < time)
    i++;
  return i;
}

void
gemma_pictures_forget (GemmaPictures *self, GstClockTime time)
{
  guint first = find (self, time);

  if (first == self->window->len || get (self, first)->time > time)
    first = first ? first - 1 : 0;      /* the newest before it is still what is seen */
  if (first)
    g_ptr_array_remove_range (self->window, 0, first);
}

GPtrArray *
gemma_pictures_take (GemmaPictures *self, GstClockTime start, GstClockTime end, guint n)
{
  GPtrArray *taken = g_ptr_array_new_with_free_func ((GDestroyNotify) gemma_picture_free);
  guint first = find (self, start), last = find (self, MAX (end, start));

  if (first == last && first > 0)
    first--;
  n = MIN (n, last - first);
  for (guint i = 0; i < n; i++) {
    /* From the first to the last; one alone is the last. */
    const GemmaPicture *picture = get (self, n == 1 ? last - 1 : first + i * (last - first - 1) / (n - 1));
    g_ptr_array_add (taken, gemma_picture_new (picture->time, g_array_ref (picture->rows)));
  }
  gemma_pictures_forget (self, start);
  return taken;
}
