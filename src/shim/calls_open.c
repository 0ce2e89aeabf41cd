/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Opening by name. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shim/calls.h"
#include "shim/fdtable.h"
#include "shim/path.h"
#include "shim/real.h"
#include "shim/shim.h"

/* The mode is there only when a file may be made. */
#define TAKE_MODE(flags, mode)                                             \
	do {                                                               \
		va_list args_;                                             \
		mode = 0;                                                  \
		if ((flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE) { \
			va_start(args_, flags);                            \
			mode = va_arg(args_, mode_t);                      \
			va_end(args_);                                     \
		}                                                          \
	} while (0)

/* Opens what is ours; false: it is not. */
static bool open_ours(int dirfd, const char *name, int flags, int *fd)
{
	struct path p;
	long ret;

	calls_note_flags(flags);
	if (path_look_up(dirfd, name, &p) == PATH_OTHER)
		return false;
	ret = path_open(&p, flags);
	path_put(&p);
	*fd = (int)shim_return(ret);
	return true;
}

/* The name of another process's descriptor may lead to a guest_memfd, and that has no way to be opened anew. */
static int refuse_handle(int fd, int flags)
{
	if (flags & O_PATH || !handle_is_any(fd))
		return fd;
	os_sys1(SYS_close, fd);
	errno = ENXIO;
	return -1;
}

static bool ends_in_digit(const char *name)
{
	char last = name[strlen(name) - (*name != '\0')];

	return last >= '0' && last <= '9';
}

/* A number that was closed behind our back may come back. */
static inline int fresh(int fd, const char *name, int flags)
{
	if (fd < 0)
		return fd;
	fdtable_fresh(fd);
	return __builtin_expect(ends_in_digit(name), 0) ? refuse_handle(fd, flags) : fd;
}

SHIM_EXPORT int open(const char *name, int flags, ...)
{
	mode_t mode;
	int fd;

	if (open_ours(AT_FDCWD, name, flags, &fd))
		return fd;
	TAKE_MODE(flags, mode);
	return fresh(real()->open(name, flags, mode), name, flags);
}

SHIM_EXPORT int open64(const char *name, int flags, ...)
{
	mode_t mode;
	int fd;

	if (open_ours(AT_FDCWD, name, flags, &fd))
		return fd;
	TAKE_MODE(flags, mode);
	return fresh(real()->open64(name, flags, mode), name, flags);
}

SHIM_EXPORT int openat(int dirfd, const char *name, int flags, ...)
{
	mode_t mode;
	int fd;

	if (open_ours(dirfd, name, flags, &fd))
		return fd;
	TAKE_MODE(flags, mode);
	return fresh(real()->openat(dirfd, name, flags, mode), name, flags);
}

SHIM_EXPORT int openat64(int dirfd, const char *name, int flags, ...)
{
	mode_t mode;
	int fd;

	if (open_ours(dirfd, name, flags, &fd))
		return fd;
	TAKE_MODE(flags, mode);
	return fresh(real()->openat64(dirfd, name, flags, mode), name, flags);
}

/* What gcc makes of open() without a mode under -D_FORTIFY_SOURCE. */
int __open_2(const char *name, int flags);
SHIM_EXPORT int __open_2(const char *name, int flags)
{
	return open(name, flags & ~O_CREAT);
}

int __open64_2(const char *name, int flags);
SHIM_EXPORT int __open64_2(const char *name, int flags)
{
	return open64(name, flags & ~O_CREAT);
}

int __openat_2(int dirfd, const char *name, int flags);
SHIM_EXPORT int __openat_2(int dirfd, const char *name, int flags)
{
	return openat(dirfd, name, flags & ~O_CREAT);
}

int __openat64_2(int dirfd, const char *name, int flags);
SHIM_EXPORT int __openat64_2(int dirfd, const char *name, int flags)
{
	return openat64(dirfd, name, flags & ~O_CREAT);
}

int __open(const char *name, int flags, ...);
SHIM_EXPORT int __open(const char *name, int flags, ...)
{
	mode_t mode;

	TAKE_MODE(flags, mode);
	return open(name, flags, mode);
}

int __open64(const char *name, int flags, ...);
SHIM_EXPORT int __open64(const char *name, int flags, ...)
{
	mode_t mode;

	TAKE_MODE(flags, mode);
	return open64(name, flags, mode);
}

SHIM_EXPORT int creat(const char *name, mode_t mode)
{
	return open(name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

SHIM_EXPORT int creat64(const char *name, mode_t mode)
{
	return open64(name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* ---- streams ----------------------------------------------------------------------------- */

static int flags_of(const char *mode)
{
	int flags = mode[0] == 'r' ? O_RDONLY : O_WRONLY | O_CREAT;

	if (mode[0] == 'a')
		flags |= O_APPEND;
	if (strchr(mode, '+'))
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return strchr(mode, 'e') ? flags | O_CLOEXEC : flags;
}

/* The C library opens by itself, past us. */
static bool open_stream(const char *name, const char *mode, FILE **stream)
{
	int fd;

	if (!name || !mode || !open_ours(AT_FDCWD, name, flags_of(mode), &fd))
		return false;
	*stream = fd < 0 ? NULL : fdopen(fd, mode);
	return true;
}

SHIM_EXPORT FILE *fopen(const char *name, const char *mode)
{
	FILE *stream;

	return open_stream(name, mode, &stream) ? stream : real()->fopen(name, mode);
}

SHIM_EXPORT FILE *fopen64(const char *name, const char *mode)
{
	FILE *stream;

	return open_stream(name, mode, &stream) ? stream : real()->fopen64(name, mode);
}
