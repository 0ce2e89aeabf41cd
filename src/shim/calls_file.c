/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls on the contents and the attributes of a file, by descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "obs/rules.h"
#include "shim/calls.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/real.h"

/* A function that answers ANSWER for a descriptor of ours and is the C library's own for others. */
#define BY_FD(result, name, params, args, answer)   \
	SHIM_EXPORT result name params              \
	{                                           \
		struct handle *h = ours_begin(fd);  \
                                                    \
		if (!h)                             \
			return real()->name args;   \
		observe_call();                     \
		return (result)ours_end(h, answer); \
	}

/* The same where the C library adds nothing to the system call. */
#define BY_FD_RAW(result, name, params, call, answer)     \
	SHIM_EXPORT result name params                    \
	{                                                 \
		struct handle *h = ours_begin(fd);        \
                                                          \
		if (!h)                                   \
			return (result)shim_return(call); \
		observe_call();                           \
		return (result)ours_end(h, answer);       \
	}

/* ---- contents ---------------------------------------------------------------------------- */

BY_FD(ssize_t, read, (int fd, void *buf, size_t size), (fd, buf, size), op_data(h, OP_READ))
BY_FD(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n), op_data(h, OP_READ))

#define PREAD(name, off_type)                                                                    \
	BY_FD(ssize_t, name, (int fd, void *buf, size_t size, off_type at), (fd, buf, size, at), \
	      op_data_at(h, OP_READ, at))
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define PVECTOR(name, off_type, what)                                               \
	BY_FD(ssize_t, name, (int fd, const struct iovec *iov, int n, off_type at), \
	      (fd, iov, n, at), op_data_at(h, what, at))
PVECTOR(preadv, off_t, OP_READ)
PVECTOR(preadv64, off64_t, OP_READ)

/* Offset -1 is the file's own position. */
static long vector2(struct handle *h, enum op_data what, int64_t at)
{
	return at == -1 ? op_data(h, what) : op_data_at(h, what, at);
}

#define PVECTOR2(name, off_type, what)                                                         \
	BY_FD(ssize_t, name, (int fd, const struct iovec *iov, int n, off_type at, int flags), \
	      (fd, iov, n, at, flags), vector2(h, what, at))
PVECTOR2(preadv2, off_t, OP_READ)
PVECTOR2(preadv64v2, off64_t, OP_READ)

/* What gcc makes of read() under -D_FORTIFY_SOURCE. */
ssize_t __read_chk(int fd, void *buf, size_t size, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t size, off_t at, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t size, off64_t at, size_t room);
BY_FD(ssize_t, __read_chk, (int fd, void *buf, size_t size, size_t room), (fd, buf, size, room),
      op_data(h, OP_READ))
BY_FD(ssize_t, __pread_chk, (int fd, void *buf, size_t size, off_t at, size_t room),
      (fd, buf, size, at, room), op_data_at(h, OP_READ, at))
BY_FD(ssize_t, __pread64_chk, (int fd, void *buf, size_t size, off64_t at, size_t room),
      (fd, buf, size, at, room), op_data_at(h, OP_READ, at))

BY_FD_RAW(off_t, lseek, (int fd, off_t at, int whence), os_sys3(SYS_lseek, fd, at, whence),
	  op_seek(h, at, whence))
BY_FD_RAW(off64_t, lseek64, (int fd, off64_t at, int whence), os_sys3(SYS_lseek, fd, at, whence),
	  op_seek(h, at, whence))
BY_FD_RAW(int, ftruncate, (int fd, off_t size), os_sys2(SYS_ftruncate, fd, size),
	  op_truncate(h, size))
BY_FD_RAW(int, ftruncate64, (int fd, off64_t size), os_sys2(SYS_ftruncate, fd, size),
	  op_truncate(h, size))
#define FALLOCATE(name, off_type)                                                 \
	SHIM_EXPORT int name(int fd, int mode, off_type at, off_type size)        \
	{                                                                         \
		struct handle *h = ours_begin(fd);                                \
		int ret;                                                          \
                                                                                  \
		observe_call();                                                   \
		if (h)                                                            \
			return (int)ours_end(h, op_fallocate(h, mode, at, size)); \
		ret = real()->name(fd, mode, at, size);                           \
		if (obs_watched() && !ret)                                        \
			observe_punch(fd, mode, (uint64_t)at, (uint64_t)size);    \
		return ret;                                                       \
	}
FALLOCATE(fallocate, off_t)
FALLOCATE(fallocate64, off64_t)
BY_FD(int, fsync, (int fd), (fd), op_sync(h))
BY_FD(int, fdatasync, (int fd), (fd), op_sync(h))
BY_FD_RAW(ssize_t, readahead, (int fd, off64_t at, size_t size),
	  os_sys3(SYS_readahead, fd, at, size), op_sync(h))

/* Where there is no fallocate the C library reads a byte of every block, and here it cannot. */
static int posix_fallocate_ours(struct handle *h, int64_t at, int64_t size)
{
	long ret = ours_end_raw(h, op_fallocate(h, 0, at, size));

	return ret == -EOPNOTSUPP ? ESPIPE : (int)-ret;
}

SHIM_EXPORT int posix_fallocate(int fd, off_t at, off_t size)
{
	struct handle *h = ours_begin(fd);

	observe_call();
	return h ? posix_fallocate_ours(h, at, size) : real()->posix_fallocate(fd, at, size);
}

SHIM_EXPORT int posix_fallocate64(int fd, off64_t at, off64_t size)
{
	struct handle *h = ours_begin(fd);

	observe_call();
	return h ? posix_fallocate_ours(h, at, size) : real()->posix_fallocate64(fd, at, size);
}

/* ---- from one descriptor to another ------------------------------------------------------ */

static bool is_our(int fd)
{
	struct handle *h = ours_begin(fd);

	if (h)
		ours_end_raw(h, 0);
	return h;
}

static ssize_t send_file(int out, int in, off64_t *at, size_t size)
{
	if (is_our(in))
		return shim_return(obs_refuse(at ? RULE_FILE_NO_POSITION : RULE_FILE_NO_COPY));
	if (is_our(out))
		return shim_return(obs_refuse(RULE_FILE_NO_COPY));
	return shim_return(os_sys4(SYS_sendfile, out, in, at, size));
}

SHIM_EXPORT ssize_t sendfile(int out, int in, off_t *at, size_t size)
{
	return send_file(out, in, at, size);
}

SHIM_EXPORT ssize_t sendfile64(int out, int in, off64_t *at, size_t size)
{
	return send_file(out, in, at, size);
}

/* Between files of different file systems, or of none. */
static long copy_range(int in, int out)
{
	struct handle *a = ours_begin(in), *b = ours_begin(out);
	bool any = a || b, same = a && a == b;

	if (a)
		ours_end_raw(a, 0);
	if (b)
		ours_end_raw(b, 0);
	return any ? obs_refuse(same ? RULE_FILE_NO_COPY : RULE_FILE_COPY_ACROSS) : 0;
}

SHIM_EXPORT ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size,
				    unsigned int flags)
{
	long ret = copy_range(in, out);

	if (ret)
		return shim_return(ret);
	return real()->copy_file_range(in, in_at, out, out_at, size, flags);
}

/* ---- attributes -------------------------------------------------------------------------- */

BY_FD_RAW(int, fchmod, (int fd, mode_t mode), os_sys2(SYS_fchmod, fd, mode), op_setattr(h))
BY_FD_RAW(int, fchown, (int fd, uid_t uid, gid_t gid), os_sys3(SYS_fchown, fd, uid, gid),
	  op_setattr(h))
BY_FD_RAW(int, futimens, (int fd, const struct timespec times[2]),
	  fd < 0 ? -EBADF : os_sys4(SYS_utimensat, fd, NULL, times, 0), op_setattr(h))

static void to_timespec(const struct timeval tv[2], struct timespec ts[2])
{
	for (int i = 0; i < 2; i++) {
		ts[i].tv_sec = tv[i].tv_sec;
		ts[i].tv_nsec = tv[i].tv_usec * 1000;
	}
}

SHIM_EXPORT int futimes(int fd, const struct timeval tv[2])
{
	struct timespec ts[2];

	if (!tv)
		return futimens(fd, NULL);
	for (int i = 0; i < 2; i++)
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
			return (int)shim_return(-EINVAL);
	to_timespec(tv, ts);
	return futimens(fd, ts);
}

BY_FD_RAW(ssize_t, fgetxattr, (int fd, const char *name, void *value, size_t size),
	  os_sys4(SYS_fgetxattr, fd, name, value, size), op_getxattr(h))
BY_FD_RAW(int, fsetxattr, (int fd, const char *name, const void *value, size_t size, int flags),
	  os_sys5(SYS_fsetxattr, fd, name, value, size, flags), op_getxattr(h))
BY_FD_RAW(int, fremovexattr, (int fd, const char *name), os_sys2(SYS_fremovexattr, fd, name),
	  op_getxattr(h))

SHIM_EXPORT int lockf(int fd, int cmd, off_t size)
{
	return real()->lockf(calls_lock_fd(fd), cmd, size);
}

SHIM_EXPORT int lockf64(int fd, int cmd, off64_t size)
{
	return real()->lockf64(calls_lock_fd(fd), cmd, size);
}

/* ---- the C library's second names for some of these ---------------------------------------- */

ssize_t __read(int fd, void *buf, size_t size);
SHIM_EXPORT ssize_t __read(int fd, void *buf, size_t size)
{
	return read(fd, buf, size);
}

ssize_t __write(int fd, const void *buf, size_t size);
SHIM_EXPORT ssize_t __write(int fd, const void *buf, size_t size)
{
	return write(fd, buf, size);
}

ssize_t __pread64(int fd, void *buf, size_t size, off64_t at);
SHIM_EXPORT ssize_t __pread64(int fd, void *buf, size_t size, off64_t at)
{
	return pread64(fd, buf, size, at);
}

ssize_t __pwrite64(int fd, const void *buf, size_t size, off64_t at);
SHIM_EXPORT ssize_t __pwrite64(int fd, const void *buf, size_t size, off64_t at)
{
	return pwrite64(fd, buf, size, at);
}

off_t __lseek(int fd, off_t at, int whence);
SHIM_EXPORT off_t __lseek(int fd, off_t at, int whence)
{
	return lseek(fd, at, whence);
}

off64_t llseek(int fd, off64_t at, int whence);
SHIM_EXPORT off64_t llseek(int fd, off64_t at, int whence)
{
	return lseek64(fd, at, whence);
}
