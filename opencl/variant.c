/* Choosing the variant of an operation. */
#include "variant.h"

#include <string.h>

static GMutex lock;
static gchar *forced;           /* guarded by lock, once initialized */
static gboolean any_forced;
static gint misses;             /* atomic */
static GHashTable *logged;      /* "operation=variant" that the log has had */

static void
set_forced (const gchar *spec)
{
  g_mutex_lock (&lock);
  g_free (forced);
  forced = g_strdup (spec);
  any_forced = spec && *spec;
  g_atomic_int_set (&misses, 0);
  g_mutex_unlock (&lock);
}

static void
init_from_environment (void)
{
  static gsize done;

  if (g_once_init_enter (&done)) {
    logged = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    set_forced (g_getenv ("GEMMA_VARIANT"));
    g_once_init_leave (&done, 1);
  }
}

void
ocl_variant_force (const gchar *spec)
{
  init_from_environment ();
  set_forced (spec);
}

/* The name that @spec ("ref" or "matmul=portable,attention=ref") has for @op, or NULL; the last one counts. */
static gchar *
forced_name (const gchar *op)
{
  g_auto (GStrv) parts = NULL;
  gchar *name = NULL;

  g_mutex_lock (&lock);
  parts = g_strsplit (forced ? forced : "", ",", -1);
  g_mutex_unlock (&lock);
  for (guint i = 0; parts[i]; i++) {
    gchar *equals = strchr (parts[i], '=');

    if (equals && (strlen (op) != (gsize) (equals - parts[i]) || strncmp (op, parts[i], equals - parts[i]) != 0))
      continue;
    g_free (name);
    name = g_strdup (g_strstrip (equals ? equals + 1 : parts[i]));
  }
  return name;
}

guint
ocl_variant_get_misses (void)
{
  return g_atomic_int_get (&misses);
}

gboolean
ocl_variant_is_forced (const gchar *op, const gchar *variant)
{
  g_autofree gchar *name = NULL;

  init_from_environment ();
  if (G_LIKELY (!any_forced))
    return FALSE;
  name = forced_name (op);
  return g_strcmp0 (name, variant) == 0;
}

static gboolean
fits (OclDevice *device, const OclVariant *variant, gconstpointer args)
{
  return (ocl_device_get_bits (device) & variant->bits) == variant->bits
      && (!variant->match || variant->match (device, args));
}

const OclVariant *
ocl_variant_choose (OclDevice *device, const OclOperation *op, gconstpointer args)
{
  init_from_environment ();
  if (G_UNLIKELY (any_forced)) {
    g_autofree gchar *name = forced_name (op->name);

    for (guint i = 0; name && i < op->n_variants; i++)
      if (g_str_equal (op->variants[i].name, name) && fits (device, &op->variants[i], args))
        return &op->variants[i];
    if (name)
      g_atomic_int_inc (&misses);
  }
  for (guint i = 0; i + 1 < op->n_variants; i++)
    if (fits (device, &op->variants[i], args))
      return &op->variants[i];
  return &op->variants[op->n_variants - 1];
}

static void
log_choice (OclDevice *device, const OclOperation *op, const OclVariant *variant)
{
  gchar key[64];

  g_snprintf (key, sizeof key, "%s=%s", op->name, variant->name);
  g_mutex_lock (&lock);
  if (!g_hash_table_contains (logged, key)) {
    g_hash_table_add (logged, g_strdup (key));
    g_debug ("%s on %s", key, ocl_device_get_name (device));
  }
  g_mutex_unlock (&lock);
}

void
ocl_variant_run (OclQueue *queue, const OclOperation *op, gconstpointer args)
{
  OclDevice *device = ocl_queue_get_device (queue);
  const OclVariant *variant;

  if (ocl_queue_failed (queue))
    return;
  variant = ocl_variant_choose (device, op, args);
  log_choice (device, op, variant);
  variant->run (queue, args);
}
