/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Mode, owner and times of a file by name; and small functions of the C library that end in a call
 * on a descriptor which the library makes itself. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "os/fault.h"
#include "shim/calls.h"
#include "shim/ours.h"
#include "shim/path.h"
#include "shim/real.h"

/* The host's /dev/kvm and its module are none of the program's business: what it changes there
 * changes nothing. */
static bool answer(int dirfd, const char *name, int flags, long *ret)
{
	struct handle *h =
		calls_means_descriptor(dirfd, (uintptr_t)name, flags) ? ours_begin(dirfd) : NULL;
	struct path p;

	if (h) {
		*ret = ours_end_raw(h, op_setattr(h));
		return true;
	}
	if (path_look_up(dirfd, name, &p) == PATH_OTHER)
		return false;
	if (p.kind == PATH_DESCRIPTOR)
		*ret = op_setattr(p.handle);
	else
		*ret = p.kind == PATH_NOTHING ? -ENOENT : p.kind == PATH_KVM ? 0 : -EPERM;
	path_put(&p);
	return true;
}

/* The header promises that it is none, and the compiler believes it. */
static __attribute__((noinline)) bool is_null(volatile uintptr_t name)
{
	return name == 0;
}

#define BY_NAME(name, params, dirfd, path, flags, call)                                 \
	SHIM_EXPORT int name params                                                     \
	{                                                                               \
		long ret;                                                               \
                                                                                        \
		return (int)shim_return(answer(dirfd, path, flags, &ret) ? ret : call); \
	}

BY_NAME(chmod, (const char *path, mode_t mode), AT_FDCWD, path, 0, os_sys2(SYS_chmod, path, mode))
BY_NAME(chown, (const char *path, uid_t uid, gid_t gid), AT_FDCWD, path, 0,
	os_sys3(SYS_chown, path, uid, gid))
BY_NAME(lchown, (const char *path, uid_t uid, gid_t gid), AT_FDCWD, path, AT_SYMLINK_NOFOLLOW,
	os_sys3(SYS_lchown, path, uid, gid))
BY_NAME(fchownat, (int dirfd, const char *path, uid_t uid, gid_t gid, int flags), dirfd, path,
	flags, os_sys5(SYS_fchownat, dirfd, path, uid, gid, flags))
BY_NAME(utimensat, (int dirfd, const char *path, const struct timespec times[2], int flags), dirfd,
	path, flags,
	is_null((uintptr_t)path) ? -EINVAL : os_sys4(SYS_utimensat, dirfd, path, times, flags))
BY_NAME(utime, (const char *path, const struct utimbuf *times), AT_FDCWD, path, 0,
	os_sys2(SYS_utime, path, times))
BY_NAME(utimes, (const char *path, const struct timeval times[2]), AT_FDCWD, path, 0,
	os_sys2(SYS_utimes, path, times))

/* The C library emulates a flag that older kernels do not have. */
SHIM_EXPORT int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	long ret;

	if (answer(dirfd, path, flags, &ret))
		return (int)shim_return(ret);
	return real()->fchmodat(dirfd, path, mode, flags);
}

SHIM_EXPORT int futimesat(int dirfd, const char *path, const struct timeval times[2])
{
	if (!path)
		return futimes(dirfd, times);
	return real()->futimesat(dirfd, path, times);
}

SHIM_EXPORT int eventfd_read(int fd, eventfd_t *value)
{
	return read(fd, value, sizeof(*value)) == sizeof(*value) ? 0 : -1;
}

SHIM_EXPORT int eventfd_write(int fd, eventfd_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

int pidfd_getfd(int pidfd, int fd, unsigned int flags);
SHIM_EXPORT int pidfd_getfd(int pidfd, int fd, unsigned int flags)
{
	long ret = os_sys3(438 /* pidfd_getfd */, pidfd, fd, flags);

	if (ret >= 0)
		calls_adopt((int)ret);
	return (int)shim_return(ret);
}
