/* Buffers and their account.
 *
 * A CPU reads 4 to 10 % faster from pages of 2 MB than of 4 KB (whole tokens and a plain loop, on a Zen 4 with two threads), as
 * fewer of its fetches ahead end at a page. Linux gives them to those who ask for them, where all 2 MB lie in one mapping. So
 * weights, all of which is used, lie side by side in regions of such pages. Another large buffer has a mapping of its own, of
 * which what nobody touches, the keys and values of positions to come, takes no memory. What is freed goes back to the
 * system, which what the C library keeps in its heaps for a next time does not: 0.2 GB after a picture and a clip, and
 * 60 MB of keys and values of a short context, a megabyte for each layer.
 */
#include "device-private.h"

#include <sys/mman.h>
#include <unistd.h>

#define LARGE_PAGE (2u << 20)
#define REGION_BYTES (32 * LARGE_PAGE)  /* for several weights; what is not used of it costs addresses only */
#define LARGE_BUFFER (256u << 10)

struct _OclRegion
{
  gint refs;                    /* atomic: of its buffers, and of the device while there is room */
  guint8 *mapping, *start;      /* start is a multiple of LARGE_PAGE */
  gsize mapped, size, used;     /* used: guarded by the device's lock */
};

/* Where a buffer lies. */
typedef struct
{
  OclRegion *region;
  guint8 *start;
  gsize size;
} Place;

/* ---- regions ------------------------------------------------------------------------- */

static void
region_unref (OclRegion *region)
{
  if (!g_atomic_int_dec_and_test (&region->refs))
    return;
  munmap (region->mapping, region->mapped);
  g_free (region);
}

static OclRegion *
region_new (gsize size, gboolean large_pages)
{
  const gsize mapped = large_pages ? size + LARGE_PAGE : size;
  guint8 *mapping = mmap (NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  OclRegion *region;

  if (mapping == MAP_FAILED)
    return NULL;
  region = g_new0 (OclRegion, 1);
  region->refs = 1;
  region->mapping = mapping;
  region->mapped = mapped;
  region->start = large_pages ? mapping + (LARGE_PAGE - GPOINTER_TO_SIZE (mapping) % LARGE_PAGE) % LARGE_PAGE : mapping;
  region->size = size;
#ifdef MADV_HUGEPAGE
  if (large_pages)
    madvise (region->start, size, MADV_HUGEPAGE);
#endif
  return region;
}

/* A reference to one with room for @size of weights, or NULL. With the device's lock. */
static OclRegion *
get_region (OclDevice *device, gsize size)
{
  if (size > REGION_BYTES / 2)
    return region_new (size, TRUE);
  if (!device->region || device->region->size - device->region->used < size) {
    g_clear_pointer (&device->region, region_unref);
    device->region = region_new (REGION_BYTES, TRUE);
  }
  if (device->region)
    g_atomic_int_inc (&device->region->refs);
  return device->region;
}

static Place *
place_new (OclDevice *device, cl_mem_flags flags, gsize bytes)
{
  const gsize page = sysconf (_SC_PAGESIZE), size = (bytes + page - 1) / page * page;
  Place *place = NULL;
  OclRegion *region;

  g_mutex_lock (&device->lock);
  region = flags & CL_MEM_READ_ONLY ? get_region (device, size) : region_new (size, FALSE);
  if (region) {
    place = g_new (Place, 1);
    *place = (Place) { region, region->start + region->used, size };
    region->used += size;
  }
  g_mutex_unlock (&device->lock);
  return place;
}

/* What was a buffer's memory is the system's at once, though its neighbours stay. */
static void CL_CALLBACK
place_free (cl_mem mem, gpointer data)
{
  Place *place = data;

  madvise (place->start, place->size, MADV_DONTNEED);
  region_unref (place->region);
  g_free (place);
}

/* NULL where the driver had better choose the place. */
static cl_mem
create_in_region (OclDevice *device, cl_mem_flags flags, gsize bytes)
{
  const gboolean worth = device->bits & OCL_DEVICE_CPU && (flags & CL_MEM_READ_ONLY || bytes >= LARGE_BUFFER);
  Place *place = worth ? place_new (device, flags, bytes) : NULL;
  cl_int status;
  cl_mem mem;

  if (!place)
    return NULL;
  mem = clCreateBuffer (device->context, flags | CL_MEM_USE_HOST_PTR, bytes, place->start, &status);
  if (mem && clSetMemObjectDestructorCallback (mem, place_free, place) == CL_SUCCESS)
    return mem;
  if (mem)
    clReleaseMemObject (mem);
  place_free (NULL, place);
  return NULL;
}

void
ocl_device_clear_memory (OclDevice *device)
{
  g_clear_pointer (&device->region, region_unref);
}

/* ---- buffers -------------------------------------------------------------------------- */

gsize
ocl_device_get_allocated (OclDevice *device)
{
  gsize bytes;

  g_mutex_lock (&device->lock);
  bytes = device->allocated;
  g_mutex_unlock (&device->lock);
  return bytes;
}

static void
account (OclDevice *device, gint64 bytes)
{
  g_mutex_lock (&device->lock);
  device->allocated += bytes;
  g_mutex_unlock (&device->lock);
}

cl_mem
ocl_device_alloc (OclDevice *device, cl_mem_flags flags, gsize bytes, GError **error)
{
  cl_int status = ocl_fault (OCL_FAULT_ALLOC);
  cl_mem mem = NULL;

  bytes = MAX (bytes, 4);
  if (status == CL_SUCCESS && bytes > device->max_alloc)
    status = CL_INVALID_BUFFER_SIZE;
  if (status == CL_SUCCESS)
    mem = create_in_region (device, flags, bytes);
  if (!mem && status == CL_SUCCESS)
    mem = clCreateBuffer (device->context, flags, bytes, NULL, &status);
  if (!mem) {
    g_set_error (error, OCL_ERROR, OCL_ERROR_OUT_OF_MEMORY,
        "%s: no buffer of %" G_GSIZE_FORMAT " bytes (%s); %" G_GSIZE_FORMAT " bytes are in use, one buffer may have %"
        G_GUINT64_FORMAT ", the device has %" G_GUINT64_FORMAT, device->name, bytes, ocl_status_name (status),
        ocl_device_get_allocated (device), device->max_alloc, device->global_memory);
    return NULL;
  }
  account (device, bytes);
  return mem;
}

void
ocl_device_release (OclDevice *device, cl_mem mem)
{
  gsize bytes = 0;

  if (!mem)
    return;
  clGetMemObjectInfo (mem, CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
  account (device, -(gint64) bytes);
  clReleaseMemObject (mem);
}
