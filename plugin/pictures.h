/* The pictures of a stream that somebody may still ask about: a bounded window, in the order of their times.
 *
 * Plain C: no streams, no clocks. Times are running times.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct
{
  GstClockTime time;
  GArray *rows;                 /* gfloat: its soft tokens */
} GemmaPicture;

GemmaPicture *gemma_picture_new (GstClockTime time, GArray *rows);      /* @rows: (transfer full) */
void gemma_picture_free (GemmaPicture *picture);

typedef struct _GemmaPictures GemmaPictures;

/** @most: pictures in the window at most */
GemmaPictures *gemma_pictures_new (guint most);
void gemma_pictures_free (GemmaPictures *pictures);
void gemma_pictures_reset (GemmaPictures *pictures);
gboolean gemma_pictures_is_full (GemmaPictures *pictures);

/** @picture: (transfer full). In a full window the picture that its neighbours replace best, in time, goes. */
void gemma_pictures_push (GemmaPictures *pictures, GemmaPicture *picture);

/**
 * gemma_pictures_take:
 *
 * At most @n pictures of the time from @start to @end, evenly spread and with the newest; or, where there is none, the
 * newest one before. In order of time. What is older than @start is forgotten, but for the newest of it.
 * (transfer full): GPtrArray of GemmaPicture
 */
GPtrArray *gemma_pictures_take (GemmaPictures *pictures, GstClockTime start, GstClockTime end, guint n);

/** Forgets what is older than the newest picture at or before @time. */
void gemma_pictures_forget (GemmaPictures *pictures, GstClockTime time);

G_END_DECLS
