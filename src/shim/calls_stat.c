/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a file is, by name or by descriptor: stat, statx, access, readlink, statfs. The C library
 * makes plain system calls of these, and so do we; the answer for what is ours is copied to where
 * the program wants it, or fails with EFAULT.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/fault.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/ours.h"
#include "shim/path.h"
#include "shim/real.h"

static long put_stat(uint64_t out, const struct stat *st)
{
	return os_copy_out(out, st, sizeof(*st));
}

long calls_fstat(int fd, uint64_t out)
{
	struct handle *h = ours_begin(fd);
	struct stat st;

	if (!h)
		return os_sys2(SYS_fstat, fd, out);
	op_stat(h, &st);
	return ours_end_raw(h, put_stat(out, &st));
}

static const char *name_of(uint64_t name)
{
	return (const char *)(uintptr_t)name;
}

/* An empty name means the descriptor itself, with AT_EMPTY_PATH; a bad pointer is the kernel's to
 * complain of. */
bool calls_means_descriptor(int dirfd, uint64_t name, int flags)
{
	char first = '\0';

	if (!(flags & AT_EMPTY_PATH) || !fdtable_peek(dirfd))
		return false;
	return !name || (os_copy_in(&first, name, 1) == 0 && first == '\0');
}

static bool stat_ours(int dirfd, uint64_t name, int flags, uint64_t out, long *ret)
{
	struct path p;
	struct stat st;

	if (path_look_up(dirfd, name_of(name), &p) == PATH_OTHER)
		return false;
	*ret = path_stat(&p, &st);
	/* The link itself, not what it leads to. */
	if (*ret == 0 && p.kind == PATH_DESCRIPTOR && flags & AT_SYMLINK_NOFOLLOW)
		*ret = os_sys4(SYS_newfstatat, dirfd, name, &st, flags);
	if (*ret == 0)
		*ret = put_stat(out, &st);
	path_put(&p);
	return true;
}

long calls_fstatat(int dirfd, uint64_t name, uint64_t out, int flags)
{
	long ret;

	if (calls_means_descriptor(dirfd, name, flags))
		return calls_fstat(dirfd, out);
	if (stat_ours(dirfd, name, flags, out, &ret))
		return ret;
	return os_sys4(SYS_newfstatat, dirfd, name, out, flags);
}

SHIM_EXPORT int fstat(int fd, struct stat *st)
{
	return (int)shim_return(calls_fstat(fd, (uintptr_t)st));
}

SHIM_EXPORT int fstat64(int fd, struct stat64 *st)
{
	return (int)shim_return(calls_fstat(fd, (uintptr_t)st));
}

SHIM_EXPORT int stat(const char *name, struct stat *st)
{
	return (int)shim_return(calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, 0));
}

SHIM_EXPORT int stat64(const char *name, struct stat64 *st)
{
	return (int)shim_return(calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, 0));
}

SHIM_EXPORT int lstat(const char *name, struct stat *st)
{
	return (int)shim_return(
		calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, AT_SYMLINK_NOFOLLOW));
}

SHIM_EXPORT int lstat64(const char *name, struct stat64 *st)
{
	return (int)shim_return(
		calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, AT_SYMLINK_NOFOLLOW));
}

SHIM_EXPORT int fstatat(int dirfd, const char *name, struct stat *st, int flags)
{
	return (int)shim_return(calls_fstatat(dirfd, (uintptr_t)name, (uintptr_t)st, flags));
}

SHIM_EXPORT int fstatat64(int dirfd, const char *name, struct stat64 *st, int flags)
{
	return (int)shim_return(calls_fstatat(dirfd, (uintptr_t)name, (uintptr_t)st, flags));
}

/* Programs built for a C library before 2.33. The only version there is for this processor is 1,
 * and the library takes 0 for the kernel's own. */
static bool is_version(int version)
{
	return version == 0 || version == 1;
}

#define XSTAT(name, params, call)                                              \
	int name params;                                                       \
	SHIM_EXPORT int name params                                            \
	{                                                                      \
		return (int)shim_return(is_version(version) ? call : -EINVAL); \
	}
XSTAT(__fxstat, (int version, int fd, struct stat *st), calls_fstat(fd, (uintptr_t)st))
XSTAT(__fxstat64, (int version, int fd, struct stat64 *st), calls_fstat(fd, (uintptr_t)st))
XSTAT(__xstat, (int version, const char *name, struct stat *st),
      calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, 0))
XSTAT(__xstat64, (int version, const char *name, struct stat64 *st),
      calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, 0))
XSTAT(__lxstat, (int version, const char *name, struct stat *st),
      calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, AT_SYMLINK_NOFOLLOW))
XSTAT(__lxstat64, (int version, const char *name, struct stat64 *st),
      calls_fstatat(AT_FDCWD, (uintptr_t)name, (uintptr_t)st, AT_SYMLINK_NOFOLLOW))
XSTAT(__fxstatat, (int version, int dirfd, const char *name, struct stat *st, int flags),
      calls_fstatat(dirfd, (uintptr_t)name, (uintptr_t)st, flags))
XSTAT(__fxstatat64, (int version, int dirfd, const char *name, struct stat64 *st, int flags),
      calls_fstatat(dirfd, (uintptr_t)name, (uintptr_t)st, flags))

/* ---- statx ------------------------------------------------------------------------------- */

static void set_statx_time(struct statx_timestamp *to, const struct timespec *from)
{
	to->tv_sec = from->tv_sec;
	to->tv_nsec = (uint32_t)from->tv_nsec;
}

static void stat_to_statx(const struct stat *st, struct statx *x)
{
	memset(x, 0, sizeof(*x));
	x->stx_mask = STATX_BASIC_STATS;
	x->stx_blksize = (uint32_t)st->st_blksize;
	x->stx_nlink = (uint32_t)st->st_nlink;
	x->stx_uid = st->st_uid;
	x->stx_gid = st->st_gid;
	x->stx_mode = (uint16_t)st->st_mode;
	x->stx_ino = st->st_ino;
	x->stx_size = (uint64_t)st->st_size;
	x->stx_blocks = (uint64_t)st->st_blocks;
	set_statx_time(&x->stx_atime, &st->st_atim);
	set_statx_time(&x->stx_mtime, &st->st_mtim);
	set_statx_time(&x->stx_ctime, &st->st_ctim);
	x->stx_rdev_major = major(st->st_rdev);
	x->stx_rdev_minor = minor(st->st_rdev);
	x->stx_dev_major = major(st->st_dev);
	x->stx_dev_minor = minor(st->st_dev);
}

static long put_statx(uint64_t out, const struct stat *st)
{
	struct statx x;

	stat_to_statx(st, &x);
	return os_copy_out(out, &x, sizeof(x));
}

long calls_statx(int dirfd, uint64_t name, int flags, unsigned int mask, uint64_t out)
{
	struct handle *h = calls_means_descriptor(dirfd, name, flags) ? ours_begin(dirfd) : NULL;
	struct stat st;
	struct path p;
	long ret;

	if (h) {
		op_stat(h, &st);
		return ours_end_raw(h, put_statx(out, &st));
	}
	if (path_look_up(dirfd, name_of(name), &p) == PATH_OTHER)
		return os_sys5(SYS_statx, dirfd, name, flags, mask, out);
	ret = path_stat(&p, &st);
	if (ret == 0)
		ret = put_statx(out, &st);
	path_put(&p);
	return ret;
}

SHIM_EXPORT int statx(int dirfd, const char *restrict name, int flags, unsigned int mask,
		      struct statx *restrict x)
{
	return (int)shim_return(calls_statx(dirfd, (uintptr_t)name, flags, mask, (uintptr_t)x));
}

/* ---- access, readlink -------------------------------------------------------------------- */

bool calls_access_ours(int dirfd, uint64_t name, int mode, long *ret)
{
	struct path p;

	if (path_look_up(dirfd, name_of(name), &p) == PATH_OTHER)
		return false;
	*ret = path_access(&p, mode);
	path_put(&p);
	return true;
}

SHIM_EXPORT int access(const char *name, int mode)
{
	long ret;

	if (!calls_access_ours(AT_FDCWD, (uintptr_t)name, mode, &ret))
		ret = os_sys2(SYS_access, name, mode);
	return (int)shim_return(ret);
}

SHIM_EXPORT int faccessat(int dirfd, const char *name, int mode, int flags)
{
	long ret;

	if (calls_access_ours(dirfd, (uintptr_t)name, mode, &ret))
		return (int)shim_return(ret);
	/* Older kernels know no flags, and the C library then emulates them. */
	if (real()->faccessat)
		return real()->faccessat(dirfd, name, mode, flags);
	return (int)shim_return(os_sys4(SYS_faccessat2, dirfd, name, mode, flags));
}

SHIM_EXPORT int euidaccess(const char *name, int mode)
{
	return faccessat(AT_FDCWD, name, mode, AT_EACCESS);
}

SHIM_EXPORT int eaccess(const char *name, int mode)
{
	return faccessat(AT_FDCWD, name, mode, AT_EACCESS);
}

long calls_readlinkat(int dirfd, uint64_t name, uint64_t text, uint64_t size)
{
	struct path p;
	long ret;

	if (path_look_up(dirfd, name_of(name), &p) == PATH_OTHER)
		return os_sys4(SYS_readlinkat, dirfd, name, text, size);
	ret = path_readlink(&p, (char *)(uintptr_t)text, size);
	path_put(&p);
	return ret;
}

SHIM_EXPORT ssize_t readlink(const char *restrict name, char *restrict text, size_t size)
{
	return shim_return(calls_readlinkat(AT_FDCWD, (uintptr_t)name, (uintptr_t)text, size));
}

SHIM_EXPORT ssize_t readlinkat(int dirfd, const char *restrict name, char *restrict text,
			       size_t size)
{
	return shim_return(calls_readlinkat(dirfd, (uintptr_t)name, (uintptr_t)text, size));
}

ssize_t __readlink_chk(const char *name, char *text, size_t size, size_t room);
SHIM_EXPORT ssize_t __readlink_chk(const char *name, char *text, size_t size, size_t room)
{
	/* Ends the program. */
	if (size > room)
		return real()->__readlink_chk(name, text, size, room);
	return readlink(name, text, size);
}

ssize_t __readlinkat_chk(int dirfd, const char *name, char *text, size_t size, size_t room);
SHIM_EXPORT ssize_t __readlinkat_chk(int dirfd, const char *name, char *text, size_t size,
				     size_t room)
{
	if (size > room)
		return real()->__readlinkat_chk(dirfd, name, text, size, room);
	return readlinkat(dirfd, name, text, size);
}

/* ---- truncate and attributes by name ----------------------------------------------------- */

static long truncate_by_name(const char *name, int64_t size)
{
	struct path p;
	long ret;

	if (path_look_up(AT_FDCWD, name, &p) == PATH_OTHER)
		return os_sys2(SYS_truncate, name, size);
	ret = p.kind == PATH_NOTHING ? -ENOENT : p.kind == PATH_MODULE ? -EISDIR : -EINVAL;
	path_put(&p);
	return ret;
}

SHIM_EXPORT int truncate(const char *name, off_t size)
{
	return (int)shim_return(truncate_by_name(name, size));
}

SHIM_EXPORT int truncate64(const char *name, off64_t size)
{
	return (int)shim_return(truncate_by_name(name, size));
}

/* ---- statfs ------------------------------------------------------------------------------ */

#define FLAGS_ARE_VALID 0x20 /* in f_flags of every kernel that has them */

static void fill_statfs(struct handle *h, struct statfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->f_type = (__fsword_t)op_fs_type(h);
	fs->f_bsize = 4096;
	fs->f_frsize = 4096;
	fs->f_namelen = 255;
	fs->f_flags = FLAGS_ARE_VALID;
}

long calls_fstatfs(int fd, uint64_t out)
{
	struct handle *h = ours_begin(fd);
	struct statfs fs;

	if (!h)
		return os_sys2(SYS_fstatfs, fd, out);
	fill_statfs(h, &fs);
	return ours_end_raw(h, os_copy_out(out, &fs, sizeof(fs)));
}

SHIM_EXPORT int fstatfs(int fd, struct statfs *fs)
{
	return (int)shim_return(calls_fstatfs(fd, (uintptr_t)fs));
}

SHIM_EXPORT int fstatfs64(int fd, struct statfs64 *fs)
{
	return (int)shim_return(calls_fstatfs(fd, (uintptr_t)fs));
}

static void fill_statvfs(struct statvfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->f_bsize = 4096;
	fs->f_frsize = 4096;
	fs->f_namemax = 255;
}

SHIM_EXPORT int fstatvfs(int fd, struct statvfs *fs)
{
	struct handle *h = ours_begin(fd);

	if (!h)
		return real()->fstatvfs(fd, fs);
	fill_statvfs(fs);
	return (int)ours_end(h, 0);
}

SHIM_EXPORT int fstatvfs64(int fd, struct statvfs64 *fs)
{
	struct handle *h = ours_begin(fd);

	if (!h)
		return real()->fstatvfs64(fd, fs);
	fill_statvfs((struct statvfs *)fs);
	return (int)ours_end(h, 0);
}
