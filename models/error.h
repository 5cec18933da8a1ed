/* Errors of models/ and the progress of long work. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/** Errors of the domain GEMMA_ERROR; every message names the file and the key or tensor, what was found, what is allowed. */
typedef enum
{
  GEMMA_ERROR_NOT_FOUND,        /* a file, key or tensor is missing */
  GEMMA_ERROR_INVALID,          /* malformed or inconsistent data */
  GEMMA_ERROR_UNSUPPORTED,      /* well-formed, but not for us (type, architecture) */
  GEMMA_ERROR_TOO_LONG,         /* a prompt exceeds the context */
  GEMMA_ERROR_CANCELLED,
  GEMMA_ERROR_SETTING           /* a setting that this model cannot have */
} GemmaError;

#define GEMMA_ERROR (gemma_error_quark ())
GQuark gemma_error_quark (void);

/** @fraction 0..1, @what a short phrase such as "loading layer 3 of 30". Called from the loading thread. */
typedef void (*GemmaProgressFunc) (gdouble fraction, const gchar *what, gpointer user_data);

G_END_DECLS
