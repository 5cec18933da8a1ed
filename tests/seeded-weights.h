/* Checkpoints made from a seed, the same bits as tests/golden/seeded.py (which documents the generator),
 * so that golden outputs can be compared without committing weights. For tests: failures end the test. */
#pragma once

#include <glib.h>
#include "opencl/type.h"

typedef struct
{
  gchar *name;
  guint n_dims;
  gint64 dims[4]; /* as in the checkpoint: slowest first */
  gsize n;        /* elements */
  gdouble mean, std;
} SeededTensor;

/** Reads a list file ("name mean std dim..." a line). (transfer full): GPtrArray of SeededTensor, owning them */
GPtrArray *seeded_list_read (const gchar *path);

/** Elements first .. first + n - 1 of a tensor. */
void seeded_fill (gfloat *dst, const SeededTensor *tensor, guint64 seed, gsize first, gsize n);

/** Writes a .safetensors of OCL_TYPE_F32, F16 or BF16 (rounded to nearest even). */
void seeded_write_safetensors (const gchar *path, GPtrArray *list, guint64 seed, OclType type);

/**
 * Makes a temporary directory with @config (a JSON file) as config.json and model.safetensors from @list_path.
 * (transfer full): its path, for seeded_remove()
 */
gchar *seeded_write_hf (const gchar *config, const gchar *list_path, guint64 seed, OclType type);

/** Copies the file @from into the directory @dir under its name. */
void seeded_add_file (const gchar *dir, const gchar *from);

/** Deletes the directory and the files in it, and frees @dir. */
void seeded_remove (gchar *dir);

/** float32 to the 16-bit @type (F16 or BF16), nearest even. */
guint16 seeded_to_half (gfloat value, OclType type);

/** @n values as the file has them, of OCL_TYPE_F32, F16, BF16 or Q8_0 (whole blocks). */
void seeded_encode (guint8 *out, const gfloat *x, gsize n, OclType type);
