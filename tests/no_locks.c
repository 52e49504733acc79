// A file system without locks, as NFS and Lustre can be: loaded before libc.
#include <errno.h>

int flock(int file, int operation)
{
  (void)file;
  (void)operation;
  errno = ENOLCK;
  return -1;
}
