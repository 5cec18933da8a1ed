/* What weights.c shares with the two readers, gguf.c and safetensors.c. */
#pragma once

#include "weights.h"

G_BEGIN_DECLS

/** An open file, mapped; or bytes in memory (tests, fuzzers), when fd is -1. */
typedef struct
{
  gchar *path;
  gint fd;
  const guint8 *data;
  gsize size;
} GemmaFile;

/** A tensor and where it came from; GemmaTensor is its first member. */
typedef struct
{
  GemmaTensor t;
  GemmaFile *file;
  gsize offset;                 /* of its data in the file */
  const gchar *type_name;       /* static; also of types that OclType lacks */
  gchar *name;                  /* t.name */
  gchar *file_name;             /* as the file names it */
  gpointer copy;                /* aligned copy of data that the file holds unaligned */
} GemmaEntry;

struct _GemmaWeights
{
  gint ref_count;
  gchar *path;
  gboolean is_gguf;
  GPtrArray *files;             /* GemmaFile */
  GPtrArray *entries;           /* GemmaEntry: the tensors of the files */
  GPtrArray *slices;            /* GemmaEntry: pieces of stacked tensors */
  GHashTable *by_name;          /* GGUF name -> GemmaEntry */
  GHashTable *values;           /* GGUF: key -> value, see gguf.c */
  guint8 *header;               /* GGUF: a copy of the metadata, into which values point */
  gboolean rounds_encoders;
  GMutex lock;                  /* for GemmaEntry.copy */
  GemmaWeights *overlay;        /* (nullable): whose entries by_name has instead of those in entries */
};

GemmaFile *gemma_file_open (const gchar *path, GError **error);
/** @data must outlive the weights; @name stands for a path. */
GemmaFile *gemma_file_new_data (gconstpointer data, gsize size, const gchar *name);
void gemma_file_free (GemmaFile *file);
/** Copies bytes of the file with pread(), so that a file truncated meanwhile is an error and no SIGBUS. */
gboolean gemma_file_read (GemmaFile *file, gsize offset, gpointer dst, gsize n, GError **error);

GemmaWeights *gemma_weights_new (const gchar *path, gboolean is_gguf);

/**
 * Adds a tensor of @file whose place has been validated. @type is OCL_N_TYPES for types that we do not compute
 * with. FALSE if the name is taken. A stacked altup tensor is added in pieces, too.
 */
gboolean gemma_weights_add (GemmaWeights *weights, GemmaFile *file, const gchar *name, const gchar *file_name,
    OclType type, const gchar *type_name, guint n_dims, const gint64 *dims, gsize offset, gsize bytes, GError **error);

/** @n values (whole blocks) from byte @offset of a tensor, all finite. */
gboolean gemma_entry_read (GemmaEntry *entry, gsize offset, gint64 n, gfloat *dst, GError **error);
/** The tensors of @overlay (transfer full) are found instead of those of the same names. */
void gemma_weights_take_overlay (GemmaWeights *weights, GemmaWeights *overlay);

/** TRUE if @name is absent or is @rows x @cols, whatever its type. */
gboolean gemma_weights_check_shape (GemmaWeights *weights, const gchar *name, gint64 rows, gint64 cols, GError **error);

/** GGUF's number of a type that weights can have, whatever reads it. */
guint32 gemma_gguf_type (OclType type);
/** As gemma_weights_open_gguf() and a single safetensors file, for data in memory. (transfer full) */
GemmaWeights *gemma_weights_open_gguf_data (gconstpointer data, gsize size, GError **error);
GemmaWeights *gemma_weights_open_safetensors_data (gconstpointer data, gsize size, GError **error);

/** The GGUF name of a Hugging Face tensor, or a copy of the name itself for those that have none. (transfer full) */
gchar *gemma_name_from_hf (const gchar *name);
/** A Hugging Face name of a GGUF tensor, for messages. (transfer full) (nullable) */
gchar *gemma_name_to_hf (const gchar *name);

G_END_DECLS
