#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

gint
gemma_open_regular (const gchar *path, gsize *size, GError **error)
{
  struct stat st;
  gint fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* of a FIFO: else it waits for somebody who writes */

  if (fd < 0 || fstat (fd, &st) < 0) {
    gint e = errno;
    g_set_error (error, GEMMA_ERROR, e == ENOENT ? GEMMA_ERROR_NOT_FOUND : GEMMA_ERROR_INVALID,
        "%s: cannot be opened: %s", path, g_strerror (e));
  } else if (!S_ISREG (st.st_mode)) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: not a regular file", path);
  } else {
    *size = st.st_size;
    return fd;
  }
  if (fd >= 0)
    close (fd);
  return -1;
}

gchar *
gemma_read_regular (const gchar *path, gsize max_bytes, gsize *length, GError **error)
{
  g_autofree gchar *data = NULL;
  gsize size, n = 0;
  gint fd = gemma_open_regular (path, &size, error);

  if (fd < 0)
    return NULL;
  if (size > max_bytes) {
    close (fd);
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID,
        "%s: %" G_GSIZE_FORMAT " bytes, more than the %" G_GSIZE_FORMAT " allowed", path, size, max_bytes);
    return NULL;
  }
  data = g_try_malloc (size + 1);
  while (data && n < size) {
    gssize got = read (fd, data + n, size - n);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      break;
    n += got;
  }
  close (fd);
  if (data == NULL || n < size) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_INVALID, "%s: cannot be read whole", path);
    return NULL;
  }
  data[n] = '\0';
  *length = n;
  return g_steal_pointer (&data);
}
