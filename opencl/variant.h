/* Tables of variants: how an operation finds the code that runs it.
 *
 * An operation builds its argument struct once and hands it to ocl_variant_run(),
 * which takes the first entry whose bits the device has and whose match()
 * accepts the arguments. GEMMA_VARIANT="ref" or "matmul=portable,attention=ref"
 * forces names; the choice is logged once for each operation and name.
 */
#pragma once

#include "device.h"

G_BEGIN_DECLS

typedef struct
{
  const gchar *name;                            /* "ref", "portable", "avx2", "vnni", "clblast", ... */
  guint bits;                                   /* OclDeviceBits that all must be there */
  gboolean (*match) (OclDevice *device, gconstpointer args);    /* NULL: any arguments */
  void (*run) (OclQueue *queue, gconstpointer args);
} OclVariant;

typedef struct
{
  const gchar *name;                            /* "matmul" */
  const OclVariant *variants;                   /* best first; the last one is "ref", which takes anything */
  guint n_variants;
} OclOperation;

/** The variant that would run, never NULL. */
const OclVariant *ocl_variant_choose (OclDevice *device, const OclOperation *op, gconstpointer args);
void ocl_variant_run (OclQueue *queue, const OclOperation *op, gconstpointer args);

/** Forces variants as GEMMA_VARIANT does (for tests); NULL clears. */
void ocl_variant_force (const gchar *spec);

/** TRUE if @variant of @op is forced: for a match() that otherwise takes only what it wins. */
gboolean ocl_variant_is_forced (const gchar *op, const gchar *variant);

/** How often, since the last ocl_variant_force(), the forced variant did not accept the device or the arguments. */
guint ocl_variant_get_misses (void);

/** All operations, for checkkernels and documentation. */
const OclOperation *const *ocl_operations (guint *n);

/**
 * For references: maps a tensor's memory to the host after the queue's earlier work, as a
 * pointer to its first element (row r at r * stride). NULL with the queue failed.
 */
gfloat *ocl_queue_map (OclQueue *queue, cl_mem mem, gsize offset, gsize n_elements);
void ocl_queue_unmap (OclQueue *queue, cl_mem mem, gfloat *mapped, gsize offset);

G_END_DECLS
