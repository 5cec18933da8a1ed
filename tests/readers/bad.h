/* Bad inputs, each a good model with one thing wrong. */
#pragma once

#include "fixture.h"

/** A GGUF: the text model's, or the mmproj's when @mmproj. */
typedef struct
{
  gint row;                     /* of the list of bad inputs */
  const gchar *what;
  gboolean mmproj;
  void (*change) (Image *image);        /* (nullable) */
  void (*patch) (GByteArray *bytes);    /* (nullable): after change */
  GemmaError code;
  const gchar *names;           /* the key, tensor or thing that the message must name */
} BadGguf;

extern const BadGguf bad_ggufs[];
extern const guint n_bad_ggufs;

/** (transfer full) */
GByteArray *bad_gguf_bytes (const BadGguf *bad);

/** A file of a Hugging Face directory: a text replaced in it, or all of it made anew. */
typedef struct
{
  gint row;
  const gchar *what;
  const gchar *file;            /* "model.safetensors": the text is in its header */
  const gchar *from, *to;       /* (nullable): first occurrence of @from */
  void (*patch) (GByteArray *bytes);    /* (nullable) */
  GemmaError code;
  const gchar *names;
} BadHf;

extern const BadHf bad_hfs[];
extern const guint n_bad_hfs;

/** The file's good content. (transfer full) */
GByteArray *good_hf_bytes (const gchar *file);
/** (transfer full) */
GByteArray *bad_hf_bytes (const BadHf *bad);
