#include "gemma-model-store.h"

#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_LINGER_MS 5000

enum
{
  PROP_0,
  PROP_LINGER
};

typedef enum
{
  LOADING,
  READY,
  FAILED
} State;

/* One model. Everything is guarded by store_lock; load_data and funcs belong to the thread while it loads. */
typedef struct
{
  gint refs;                    /* the store's table, the thread, each lease */
  GstGemmaModelStore *store;
  gchar *key;
  GstGemmaModelFuncs funcs;
  gpointer load_data;
  GDestroyNotify load_data_free;
  GCancellable *cancellable;
  State state;
  gpointer model;
  GError *error;
  GList *leases;                /* of GstGemmaModelLease, not owned */
  gint64 expiry;                /* when an unused model is unloaded; 0 while it is used */
} Entry;

struct _GstGemmaModelLease
{
  gint refs;
  Entry *entry;
  GstGemmaModelNotify notify;
  gpointer user_data;
  GDestroyNotify user_data_free;
};

struct _GstGemmaModelStore
{
  GObject parent;
  guint linger;
  GHashTable *entries;          /* key -> Entry */
  gboolean has_reaper;
};

/* One lock for all stores: it is held for moments only, never while loading, unloading or notifying. */
static GMutex store_lock;
static GCond reaper_cond, idle_cond;
/* For the end of the process: entries that load, and threads that load or unload. */
static GSList *loading;
static guint n_busy;

G_DEFINE_TYPE (GstGemmaModelStore, gst_gemma_model_store, G_TYPE_OBJECT)

static void
entry_unref (Entry *entry)
{
  if (!g_atomic_int_dec_and_test (&entry->refs))
    return;
  if (entry->model)
    entry->funcs.unload (entry->model);
  if (entry->load_data && entry->load_data_free)
    entry->load_data_free (entry->load_data);
  g_clear_error (&entry->error);
  g_object_unref (entry->cancellable);
  g_object_unref (entry->store);
  g_free (entry->key);
  g_free (entry);
}

static Entry *
entry_ref (Entry *entry)
{
  g_atomic_int_inc (&entry->refs);
  return entry;
}

static void
lease_unref (GstGemmaModelLease *lease)
{
  if (!g_atomic_int_dec_and_test (&lease->refs))
    return;
  if (lease->user_data && lease->user_data_free)
    lease->user_data_free (lease->user_data);
  entry_unref (lease->entry);
  g_free (lease);
}

/* Takes @entry out of its store; the caller, who holds the lock, gets the table's reference. */
static gboolean
detach_locked (Entry *entry)
{
  if (g_hash_table_lookup (entry->store->entries, entry->key) != entry)
    return FALSE;
  g_hash_table_steal (entry->store->entries, entry->key);
  return TRUE;
}

/* ---- the end of the process ----------------------------------------------------------- */

/* A driver or compiler whose static data are gone must not be called by a thread of ours that still runs. A driver
 * registers their destruction whenever it first needs them, and handlers of atexit() run last in, first out; so ours would
 * mostly come too late. What glibc runs before all of them are the destructors of the main thread's own variables. */
extern int __cxa_thread_atexit_impl (void (*func) (void *), void *data, void *dso) __attribute__ ((weak));
extern void *__dso_handle;

static void
wait_for_threads (void)
{
  gint64 deadline = g_get_monotonic_time () + 120 * G_TIME_SPAN_SECOND;   /* a compiler may take long */

  g_mutex_lock (&store_lock);
  for (GSList *l = loading; l; l = l->next)
    g_cancellable_cancel (((Entry *) l->data)->cancellable);
  while (n_busy && g_cond_wait_until (&idle_cond, &store_lock, deadline));
  g_mutex_unlock (&store_lock);
}

static void
on_thread_end (void *data)
{
  if (gettid () == getpid ())   /* the main thread, so the process: others come and go */
    wait_for_threads ();
}

static void
register_wait (void)
{
  static _Thread_local gboolean registered;
  static gsize once;

  if (!registered && __cxa_thread_atexit_impl)
    __cxa_thread_atexit_impl (on_thread_end, NULL, &__dso_handle);
  registered = TRUE;
  if (g_once_init_enter (&once)) {
    atexit (wait_for_threads);
    g_once_init_leave (&once, 1);
  }
}

static void
leave_busy_locked (void)
{
  n_busy--;
  g_cond_broadcast (&idle_cond);
}

/* ---- unloading what nobody uses ------------------------------------------------------ */

/* The entry to unload now, or NULL with the time of the next one (G_MAXINT64: none). */
static Entry *
find_expired_locked (GstGemmaModelStore *self, gint64 now, gint64 *next)
{
  GHashTableIter iter;
  Entry *entry;

  *next = G_MAXINT64;
  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &entry)) {
    if (!entry->expiry)
      continue;
    if (entry->expiry <= now)
      return entry;
    *next = MIN (*next, entry->expiry);
  }
  return NULL;
}

static gpointer
reap (gpointer data)
{
  g_autoptr (GstGemmaModelStore) self = data;
  gint64 next;

  g_mutex_lock (&store_lock);
  for (;;) {
    Entry *entry = find_expired_locked (self, g_get_monotonic_time (), &next);
    if (entry) {
      detach_locked (entry);
      n_busy++;
      g_mutex_unlock (&store_lock);
      entry_unref (entry);
      g_mutex_lock (&store_lock);
      leave_busy_locked ();
    } else if (next == G_MAXINT64) {
      break;
    } else {
      g_cond_wait_until (&reaper_cond, &store_lock, next);
    }
  }
  self->has_reaper = FALSE;
  g_mutex_unlock (&store_lock);
  return NULL;
}

/* Nobody uses @entry any more. Returns what the caller must unref after unlocking, or NULL. */
static Entry *
retire_locked (Entry *entry)
{
  GstGemmaModelStore *self = entry->store;

  if (g_hash_table_lookup (self->entries, entry->key) != entry)
    return NULL;
  if (entry->state != READY || !self->linger) {
    detach_locked (entry);
    return entry;
  }
  entry->expiry = g_get_monotonic_time () + self->linger * G_TIME_SPAN_MILLISECOND;
  if (!self->has_reaper) {
    self->has_reaper = TRUE;
    g_thread_unref (g_thread_new ("gemma-unload", reap, g_object_ref (self)));
  }
  g_cond_broadcast (&reaper_cond);
  return NULL;
}

/* ---- loading -------------------------------------------------------------------------- */

static void
notify_all (Entry *entry, GstGemmaModelEvent event, gdouble fraction, const gchar *what)
{
  g_autoptr (GPtrArray) leases = g_ptr_array_new_with_free_func ((GDestroyNotify) lease_unref);

  g_mutex_lock (&store_lock);
  for (GList *l = entry->leases; l; l = l->next) {
    GstGemmaModelLease *lease = l->data;
    g_atomic_int_inc (&lease->refs);
    g_ptr_array_add (leases, lease);
  }
  g_mutex_unlock (&store_lock);

  for (guint i = 0; i < leases->len; i++) {
    GstGemmaModelLease *lease = g_ptr_array_index (leases, i);
    lease->notify (lease, event, fraction, what, lease->user_data);
  }
}

static void
report_progress (gdouble fraction, const gchar *what, gpointer data)
{
  notify_all (data, GST_GEMMA_MODEL_EVENT_PROGRESS, fraction, what);
}

static gpointer
load (gpointer data)
{
  Entry *entry = data, *retired = NULL;
  GError *error = NULL;
  gpointer model;

  model = entry->funcs.load (entry->load_data, entry->cancellable, report_progress, entry, &error);
  if (!model && !error)
    g_set_error (&error, G_IO_ERROR, G_IO_ERROR_FAILED, "the model cannot be loaded");

  g_mutex_lock (&store_lock);
  entry->model = model;
  entry->error = error;
  entry->state = model ? READY : FAILED;
  loading = g_slist_remove (loading, entry);
  /* A failure is not kept: whoever asks next tries again. */
  if (!model && detach_locked (entry))
    retired = entry;
  else if (!entry->leases)
    retired = retire_locked (entry);
  g_mutex_unlock (&store_lock);
  if (retired)
    entry_unref (retired);

  notify_all (entry, model ? GST_GEMMA_MODEL_EVENT_READY : GST_GEMMA_MODEL_EVENT_FAILED, 1., NULL);
  entry_unref (entry);

  g_mutex_lock (&store_lock);
  leave_busy_locked ();
  g_mutex_unlock (&store_lock);
  return NULL;
}

static Entry *
entry_new_locked (GstGemmaModelStore *self, const gchar *key, const GstGemmaModelFuncs *funcs, gpointer load_data,
    GDestroyNotify load_data_free)
{
  Entry *entry = g_new0 (Entry, 1);

  entry->refs = 2;              /* the table's and the thread's */
  entry->store = g_object_ref (self);
  entry->key = g_strdup (key);
  entry->funcs = *funcs;
  entry->load_data = load_data;
  entry->load_data_free = load_data_free;
  entry->cancellable = g_cancellable_new ();
  g_hash_table_insert (self->entries, entry->key, entry);
  loading = g_slist_prepend (loading, entry);
  n_busy++;
  g_thread_unref (g_thread_new ("gemma-load", load, entry));
  return entry;
}

GstGemmaModelLease *
gst_gemma_model_store_request (GstGemmaModelStore *self, const gchar *key, const GstGemmaModelFuncs *funcs,
    gpointer load_data, GDestroyNotify load_data_free, GstGemmaModelNotify notify, gpointer user_data,
    GDestroyNotify user_data_free)
{
  GstGemmaModelLease *lease;
  Entry *entry;

  g_return_val_if_fail (GST_IS_GEMMA_MODEL_STORE (self), NULL);
  g_return_val_if_fail (key && funcs && notify, NULL);

  register_wait ();
  lease = g_new0 (GstGemmaModelLease, 1);
  lease->refs = 1;
  lease->notify = notify;
  lease->user_data = user_data;
  lease->user_data_free = user_data_free;

  g_mutex_lock (&store_lock);
  entry = g_hash_table_lookup (self->entries, key);
  if (!entry) {
    entry = entry_new_locked (self, key, funcs, load_data, load_data_free);
    load_data = NULL;
  }
  entry->expiry = 0;
  lease->entry = entry_ref (entry);
  entry->leases = g_list_prepend (entry->leases, lease);
  g_mutex_unlock (&store_lock);

  if (load_data && load_data_free)
    load_data_free (load_data);
  return lease;
}

gpointer
gst_gemma_model_lease_get_model (GstGemmaModelLease *lease)
{
  g_return_val_if_fail (lease != NULL, NULL);

  g_mutex_lock (&store_lock);
  gpointer model = lease->entry->model;
  g_mutex_unlock (&store_lock);
  return model;
}

const GError *
gst_gemma_model_lease_get_error (GstGemmaModelLease *lease)
{
  g_return_val_if_fail (lease != NULL, NULL);

  g_mutex_lock (&store_lock);
  const GError *error = lease->entry->error;
  g_mutex_unlock (&store_lock);
  return error;
}

void
gst_gemma_model_lease_release (GstGemmaModelLease *lease)
{
  Entry *entry = lease->entry, *retired = NULL;

  g_mutex_lock (&store_lock);
  entry->leases = g_list_remove (entry->leases, lease);
  if (!entry->leases) {
    if (entry->state == LOADING)
      g_cancellable_cancel (entry->cancellable);
    retired = retire_locked (entry);
  }
  g_mutex_unlock (&store_lock);

  if (retired)
    entry_unref (retired);
  lease_unref (lease);
}

/* ---- object --------------------------------------------------------------------------- */

GstGemmaModelStore *
gst_gemma_model_store_new (void)
{
  return g_object_new (GST_TYPE_GEMMA_MODEL_STORE, NULL);
}

GstGemmaModelStore *
gst_gemma_model_store_get_default (void)
{
  static gsize once;

  if (g_once_init_enter (&once))
    g_once_init_leave (&once, (gsize) gst_gemma_model_store_new ());
  return (GstGemmaModelStore *) once;
}

guint
gst_gemma_model_store_get_n_models (GstGemmaModelStore *self)
{
  g_return_val_if_fail (GST_IS_GEMMA_MODEL_STORE (self), 0);

  g_mutex_lock (&store_lock);
  guint n = g_hash_table_size (self->entries);
  g_mutex_unlock (&store_lock);
  return n;
}

static void
gst_gemma_model_store_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstGemmaModelStore *self = GST_GEMMA_MODEL_STORE (object);

  g_mutex_lock (&store_lock);
  self->linger = g_value_get_uint (value);
  g_mutex_unlock (&store_lock);
}

static void
gst_gemma_model_store_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstGemmaModelStore *self = GST_GEMMA_MODEL_STORE (object);

  g_mutex_lock (&store_lock);
  g_value_set_uint (value, self->linger);
  g_mutex_unlock (&store_lock);
}

static void
gst_gemma_model_store_finalize (GObject *object)
{
  GstGemmaModelStore *self = GST_GEMMA_MODEL_STORE (object);

  g_hash_table_unref (self->entries);   /* empty: every entry holds the store */
  G_OBJECT_CLASS (gst_gemma_model_store_parent_class)->finalize (object);
}

/* For those who print a context. */
static void
describe (const GValue *store, GValue *string)
{
  g_value_take_string (string, g_strdup_printf ("%p", g_value_get_object (store)));
}

static void
gst_gemma_model_store_class_init (GstGemmaModelStoreClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = gst_gemma_model_store_set_property;
  object_class->get_property = gst_gemma_model_store_get_property;
  object_class->finalize = gst_gemma_model_store_finalize;

  g_object_class_install_property (object_class, PROP_LINGER,
      g_param_spec_uint ("linger", "Linger", "How long a model that nobody uses stays loaded (ms)", 0, G_MAXUINT,
          DEFAULT_LINGER_MS, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
  g_value_register_transform_func (GST_TYPE_GEMMA_MODEL_STORE, G_TYPE_STRING, describe);
}

static void
gst_gemma_model_store_init (GstGemmaModelStore *self)
{
  self->linger = DEFAULT_LINGER_MS;
  self->entries = g_hash_table_new (g_str_hash, g_str_equal);
}
