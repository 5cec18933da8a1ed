#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

gint
gemma_open_regular (const gchar *path, gsize *size, GError **error)
{
  struct stat st;
  gint fd = open (path, O_RDONLY | O_CLOEXEC);

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
