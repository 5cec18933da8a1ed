/* Audio encoders of the golden sizes, made from their seeds. */
#pragma once

#include "examples/npy.h"
#include "models/usm.h"

typedef struct
{
  const gchar *name; /* the folder in tests/golden/usm/ */
  gint text_hidden, hidden, n_layers, n_heads, conv_channels[2], vocab_size, vocab_offset;
  gsize samples; /* of the golden clip */
  OclType type;  /* of the weights */
} UsmSize;

enum
{
  USM_TINY,
  USM_SMALL,
  USM_E2B
};
extern const UsmSize usm_sizes[3];

/** The device of all tests (GEMMA_DEVICE or "auto"), opened once. */
OclDevice *usm_test_device (void);

/** For g_free(): of @size, nothing of a text model but its width. */
GemmaConfig *usm_config_new (const UsmSize *size);

/** Loads @size with the tensors of @list_path (NULL: the golden list) stored as @type. NULL with @error set. */
GemmaUsm *usm_model_load (const UsmSize *size, const gchar *list_path, OclType type, OclMatmulFlags flags, GError **error);

/** As above with the golden list and type; a failure ends the test. */
GemmaUsm *usm_model_new (const UsmSize *size);

/** Of tests/golden/usm/: @format names the file. */
Npy *usm_golden (const gchar *format, ...) G_GNUC_PRINTF (1, 2);
gchar *usm_golden_path (const gchar *format, ...) G_GNUC_PRINTF (1, 2);

/** All tokens of a clip: pushed in pieces of @piece samples (0: at once), and drained. */
GArray *usm_encode (GemmaUsmStream *stream, const gfloat *samples, gsize n, gsize piece);
