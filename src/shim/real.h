/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * real: the functions that ours stand in front of, found behind us in the search order (so a second
 * preloaded library, a sanitizer's for one, keeps its place).
 *
 * Only where the C library adds something to the system call: a cancellation point, locks of stdio,
 * handlers of atfork. Everything else is called raw (os/sys.h). A name that this C library does not
 * have is NULL, and the caller then goes to the kernel.
 */
#ifndef GMEM_SHIM_REAL_H
#define GMEM_SHIM_REAL_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

/* F(result, name, arguments) */
#define SHIM_REAL_LIST(F)                                                                        \
	F(int, open, (const char *, int, ...))                                                   \
	F(int, open64, (const char *, int, ...))                                                 \
	F(int, openat, (int, const char *, int, ...))                                            \
	F(int, openat64, (int, const char *, int, ...))                                          \
	F(int, creat, (const char *, mode_t))                                                    \
	F(int, creat64, (const char *, mode_t))                                                  \
	F(int, close, (int))                                                                     \
	F(int, fcntl, (int, int, ...))                                                           \
	F(int, fcntl64, (int, int, ...))                                                         \
	F(int, lockf, (int, int, off_t))                                                         \
	F(int, lockf64, (int, int, off64_t))                                                     \
	F(ssize_t, read, (int, void *, size_t))                                                  \
	F(ssize_t, write, (int, const void *, size_t))                                           \
	F(ssize_t, pread, (int, void *, size_t, off_t))                                          \
	F(ssize_t, pread64, (int, void *, size_t, off64_t))                                      \
	F(ssize_t, pwrite, (int, const void *, size_t, off_t))                                   \
	F(ssize_t, pwrite64, (int, const void *, size_t, off64_t))                               \
	F(ssize_t, readv, (int, const struct iovec *, int))                                      \
	F(ssize_t, writev, (int, const struct iovec *, int))                                     \
	F(ssize_t, preadv, (int, const struct iovec *, int, off_t))                              \
	F(ssize_t, preadv64, (int, const struct iovec *, int, off64_t))                          \
	F(ssize_t, pwritev, (int, const struct iovec *, int, off_t))                             \
	F(ssize_t, pwritev64, (int, const struct iovec *, int, off64_t))                         \
	F(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                        \
	F(ssize_t, preadv64v2, (int, const struct iovec *, int, off64_t, int))                   \
	F(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                       \
	F(ssize_t, pwritev64v2, (int, const struct iovec *, int, off64_t, int))                  \
	F(ssize_t, __read_chk, (int, void *, size_t, size_t))                                    \
	F(ssize_t, __pread_chk, (int, void *, size_t, off_t, size_t))                            \
	F(ssize_t, __pread64_chk, (int, void *, size_t, off64_t, size_t))                        \
	F(int, faccessat, (int, const char *, int, int))                                         \
	F(int, fchmodat, (int, const char *, mode_t, int))                                       \
	F(int, futimesat, (int, const char *, const struct timeval *))                           \
	F(int, fstatvfs, (int, struct statvfs *))                                                \
	F(int, fstatvfs64, (int, struct statvfs64 *))                                            \
	F(ssize_t, __readlink_chk, (const char *, char *, size_t, size_t))                       \
	F(ssize_t, __readlinkat_chk, (int, const char *, char *, size_t, size_t))                \
	F(int, fsync, (int))                                                                     \
	F(int, fdatasync, (int))                                                                 \
	F(int, sync_file_range, (int, off64_t, off64_t, unsigned int))                           \
	F(int, fallocate, (int, int, off_t, off_t))                                              \
	F(int, fallocate64, (int, int, off64_t, off64_t))                                        \
	F(int, posix_fallocate, (int, off_t, off_t))                                             \
	F(int, posix_fallocate64, (int, off64_t, off64_t))                                       \
	F(int, msync, (void *, size_t, int))                                                     \
	F(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned int))               \
	F(ssize_t, tee, (int, int, size_t, unsigned int))                                        \
	F(ssize_t, vmsplice, (int, const struct iovec *, size_t, unsigned int))                  \
	F(ssize_t, copy_file_range, (int, off64_t *, int, off64_t *, size_t, unsigned int))      \
	F(ssize_t, sendmsg, (int, const struct msghdr *, int))                                   \
	F(int, sendmmsg, (int, struct mmsghdr *, unsigned int, int))                             \
	F(ssize_t, recvmsg, (int, struct msghdr *, int))                                         \
	F(int, recvmmsg, (int, struct mmsghdr *, unsigned int, int, struct timespec *))          \
	F(FILE *, fopen, (const char *, const char *))                                           \
	F(FILE *, fopen64, (const char *, const char *))                                         \
	F(int, fclose, (FILE *))                                                                 \
	F(FILE *, freopen, (const char *, const char *, FILE *))                                 \
	F(FILE *, freopen64, (const char *, const char *, FILE *))                               \
	F(pid_t, vfork, (void))                                                                  \
	F(pid_t, _Fork, (void))                                                                  \
	F(int, clone, (int (*)(void *), void *, int, void *, ...))                               \
	F(int, posix_spawn,                                                                      \
	  (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, \
	   char *const *, char *const *))                                                        \
	F(int, posix_spawnp,                                                                     \
	  (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, \
	   char *const *, char *const *))                                                        \
	F(int, system, (const char *))                                                           \
	F(FILE *, popen, (const char *, const char *))                                           \
	F(int, sigprocmask, (int, const sigset_t *, sigset_t *))                                 \
	F(int, pthread_sigmask, (int, const sigset_t *, sigset_t *))                             \
	F(int, sigblock, (int))                                                                  \
	F(int, sigsetmask, (int))                                                                \
	F(int, sighold, (int))                                                                   \
	F(int, sigrelse, (int))                                                                  \
	F(int, sigaction, (int, const struct sigaction *, struct sigaction *))                   \
	F(int, setcontext, (const ucontext_t *))                                                 \
	F(int, swapcontext, (ucontext_t *, const ucontext_t *))                                  \
	F(void, siglongjmp, (sigjmp_buf, int))                                                   \
	F(void, longjmp, (jmp_buf, int))                                                         \
	F(void, _longjmp, (jmp_buf, int))                                                        \
	F(void, __longjmp_chk, (jmp_buf, int))

struct shim_real {
#define SHIM_REAL_MEMBER(result, name, args) result(*name) args;
	SHIM_REAL_LIST(SHIM_REAL_MEMBER)
#undef SHIM_REAL_MEMBER
};

extern struct shim_real real_functions;
extern bool real_found;

/* Looks them all up. Idempotent, and does not mind two threads. */
void real_find(void);

/* Constructors of other libraries may come before ours. */
static inline const struct shim_real *real(void)
{
	if (__builtin_expect(!real_found, 0))
		real_find();
	return &real_functions;
}

#endif
