/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * syscall(): the number decides which of our functions is meant. What is not ours goes to the
 * kernel as it came: no cancellation point, as in the C library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "map/pins.h"
#include "os/fault.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/exec.h"
#include "shim/jail.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/path.h"
#include "shim/signal.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

struct call {
	long nr;
	uint64_t a[6];
};

static long pass(const struct call *c)
{
	return os_sys6(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
}

static long new_descriptor(const struct call *c)
{
	long fd = pass(c);

	if (fd >= 0)
		fdtable_fresh((int)fd);
	return fd;
}

/* ---- by the descriptor in the first argument --------------------------------------------- */

static long on_handle(struct handle *h, const struct call *c)
{
	int fd = (int)c->a[0];
	int64_t at = (int64_t)c->a[3];

	switch (c->nr) {
	case SYS_read:
	case SYS_readv:
		return op_data(h, OP_READ);
	case SYS_write:
	case SYS_pwrite64:
		return calls_write(h, c->nr, c->a[1], c->a[2], at);
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
		return calls_writev(h, c->nr, c->a[1], (int)c->a[2], at);
	case SYS_pread64:
	case SYS_preadv:
		return op_data_at(h, OP_READ, at);
	case SYS_preadv2:
		return at == -1 ? op_data(h, OP_READ) : op_data_at(h, OP_READ, at);
	case SYS_lseek:
		return op_seek(h, (int64_t)c->a[1], (int)c->a[2]);
	case SYS_ftruncate:
		return op_truncate(h, (int64_t)c->a[1]);
	case SYS_fallocate:
		return op_fallocate(h, (int)c->a[1], (int64_t)c->a[2], at);
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_readahead:
		return op_sync(h);
	case SYS_fchmod:
	case SYS_fchown:
		return op_setattr(h);
	case SYS_utimensat:
		return c->a[1] ? pass(c) : op_setattr(h);
	case SYS_fgetxattr:
	case SYS_fsetxattr:
	case SYS_fremovexattr:
		return op_getxattr(h);
	case SYS_fcntl:
		return calls_fcntl_ours(h, fd, (int)c->a[1], c->a[2]);
	case SYS_sendfile:
	case SYS_splice:
		return -EINVAL;
	default:
		return pass(c);
	}
}

static long by_descriptor(const struct call *c)
{
	struct handle *h = ours_begin((int)c->a[0]);

	return h ? ours_end_raw(h, on_handle(h, c)) : pass(c);
}

/* ---- by name ----------------------------------------------------------------------------- */

static long open_name(int dirfd, uint64_t name, int flags, const struct call *c)
{
	struct path p;
	long ret;

	calls_note_flags(flags);
	if (path_look_up(dirfd, (const char *)(uintptr_t)name, &p) == PATH_OTHER)
		return new_descriptor(c);
	ret = path_open(&p, flags);
	path_put(&p);
	return ret;
}

/* The flags are the first word of struct open_how. */
static long open_how(const struct call *c)
{
	uint64_t flags = 0;

	if (os_copy_in(&flags, c->a[2], sizeof(flags)))
		return -EFAULT;
	return open_name((int)c->a[0], c->a[1], (int)flags, c);
}

static long access_name(int dirfd, uint64_t name, int mode, const struct call *c)
{
	long ret;

	return calls_access_ours(dirfd, name, mode, &ret) ? ret : pass(c);
}

static bool by_name(const struct call *c, long *ret)
{
	const uint64_t *a = c->a;

	switch (c->nr) {
	case SYS_open:
		*ret = open_name(AT_FDCWD, a[0], (int)a[1], c);
		return true;
	case SYS_openat:
		*ret = open_name((int)a[0], a[1], (int)a[2], c);
		return true;
	case SYS_openat2:
		*ret = open_how(c);
		return true;
	case SYS_stat:
		*ret = calls_fstatat(AT_FDCWD, a[0], a[1], 0);
		return true;
	case SYS_lstat:
		*ret = calls_fstatat(AT_FDCWD, a[0], a[1], AT_SYMLINK_NOFOLLOW);
		return true;
	case SYS_newfstatat:
		*ret = calls_fstatat((int)a[0], a[1], a[2], (int)a[3]);
		return true;
	case SYS_statx:
		*ret = calls_statx((int)a[0], a[1], (int)a[2], (unsigned int)a[3], a[4]);
		return true;
	case SYS_access:
		*ret = access_name(AT_FDCWD, a[0], (int)a[1], c);
		return true;
	case SYS_faccessat:
	case SYS_faccessat2:
		*ret = access_name((int)a[0], a[1], (int)a[2], c);
		return true;
	case SYS_readlink:
		*ret = calls_readlinkat(AT_FDCWD, a[0], a[1], a[2]);
		return true;
	case SYS_readlinkat:
		*ret = calls_readlinkat((int)a[0], a[1], a[2], a[3]);
		return true;
	default:
		return false;
	}
}

/* ---- descriptors, mappings --------------------------------------------------------------- */

static long msync_call(const struct call *c)
{
	bool answered;
	long ret = calls_msync(c->a[0], c->a[1], (int)c->a[2], &answered);

	return answered ? ret : pass(c);
}

static bool on_descriptors(const struct call *c, long *ret)
{
	const uint64_t *a = c->a;

	switch (c->nr) {
	case SYS_ioctl:
		*ret = calls_ioctl((int)a[0], (unsigned int)a[1], a[2]);
		return true;
	case SYS_close:
		*ret = os_fd_is_ours((int)a[0]) ? -EBADF : calls_close((int)a[0]);
		return true;
	case SYS_close_range:
		*ret = calls_close_range((unsigned int)a[0], (unsigned int)a[1],
					 (unsigned int)a[2]);
		return true;
	case SYS_dup:
		*ret = calls_dup(pass(c), (int)a[0]);
		return true;
	case SYS_dup2:
		*ret = calls_dup_to((int)a[0], (int)a[1], 0, false);
		return true;
	case SYS_dup3:
		*ret = calls_dup_to((int)a[0], (int)a[1], (int)a[2], true);
		return true;
	case SYS_fstat:
		*ret = calls_fstat((int)a[0], a[1]);
		return true;
	case SYS_fstatfs:
		*ret = calls_fstatfs((int)a[0], a[1]);
		return true;
	case SYS_pidfd_getfd:
		*ret = pass(c);
		if (*ret >= 0)
			calls_adopt((int)*ret);
		return true;
	case SYS_memfd_create:
		*ret = calls_memfd_create(a[0], (unsigned int)a[1]);
		return true;
	default:
		return false;
	}
}

static bool on_policies(const struct call *c, long *ret)
{
	const uint64_t *a = c->a;

	switch (c->nr) {
	case SYS_mbind:
		*ret = calls_mbind(a[0], a[1], a + 2);
		return true;
	case SYS_get_mempolicy:
		*ret = calls_get_mempolicy(a[0], a[1], a[2], a[3], a[4]);
		return true;
	case SYS_set_mempolicy_home_node:
		*ret = calls_set_mempolicy_home_node(a[0], a[1], a + 2);
		return true;
	default:
		return false;
	}
}

static bool on_mappings(const struct call *c, long *ret)
{
	const uint64_t *a = c->a;

	switch (c->nr) {
	case SYS_mmap:
		*ret = calls_mmap(a[0], a[1], (int)a[2], (int)a[3], (int)a[4], a[5]);
		return true;
	case SYS_munmap:
		*ret = calls_munmap(a[0], a[1]);
		return true;
	case SYS_mremap:
		*ret = calls_mremap(a[0], a[1], a[2], (int)a[3], a[4]);
		return true;
	case SYS_mprotect:
		*ret = calls_mprotect(a[0], a[1], (int)a[2], -1);
		return true;
	case SYS_pkey_mprotect:
		*ret = calls_mprotect(a[0], a[1], (int)a[2], (int)a[3]);
		return true;
	case SYS_madvise:
		*ret = calls_madvise(a[0], a[1], (int)a[2]);
		return true;
	case SYS_msync:
		*ret = msync_call(c);
		return true;
	case SYS_mlock:
		*ret = calls_mlock(a[0], a[1], 0, true);
		return true;
	case SYS_mlock2:
		*ret = calls_mlock(a[0], a[1], (int)a[2], true);
		return true;
	case SYS_munlock:
		*ret = calls_mlock(a[0], a[1], 0, false);
		return true;
	case SYS_mlockall:
		*ret = calls_mlockall((int)a[0], true);
		return true;
	case SYS_munlockall:
		*ret = calls_mlockall(0, false);
		return true;
	case SYS_process_madvise:
		*ret = calls_process_madvise((int)a[0], a[1], a[2], (int)a[3], (unsigned int)a[4]);
		return true;
	case SYS_mseal:
		*ret = calls_mseal(a[0], a[1], a[2]);
		return true;
	case SYS_remap_file_pages:
		*ret = calls_remap_file_pages(a[0], a[1], (int)a[2], a[3], (int)a[4]);
		return true;
	default:
		return false;
	}
}

/* ---- pipes, and what holds pages unseen ---------------------------------------------------- */

static bool on_pipes(const struct call *c, long *ret)
{
	const uint64_t *a = c->a;

	switch (c->nr) {
	case SYS_vmsplice:
		*ret = calls_vmsplice((int)a[0], a[1], a[2], (unsigned int)a[3]);
		return true;
	case SYS_splice:
		*ret = calls_splice((int)a[0], a[1], (int)a[2], a[3], a[4], (unsigned int)a[5]);
		return true;
	case SYS_tee:
		*ret = calls_tee((int)a[0], (int)a[1], a[2], (unsigned int)a[3]);
		return true;
	case SYS_process_vm_readv:
	case SYS_process_vm_writev:
		*ret = calls_process_vm(c->nr, a);
		return true;
	default:
		return false;
	}
}

static void note_unseen(const struct call *c)
{
	switch (c->nr) {
	case SYS_io_setup:
	case SYS_io_uring_setup:
		pins_say_unseen();
		break;
	case SYS_setsockopt:
		calls_note_zerocopy((int)c->a[1], (int)c->a[2]);
		break;
	case SYS_fcntl:
		if ((int)c->a[1] == F_SETFL)
			calls_note_flags((int)c->a[2]);
		break;
	default:
		break;
	}
}

/* ---- signals, processes, messages -------------------------------------------------------- */

static long sigaction_call(const uint64_t *a)
{
	struct signal_action action, old;
	long ret;

	if (a[3] != sizeof(action.mask))
		return -EINVAL;
	if (a[1] && os_copy_in(&action, a[1], sizeof(action)))
		return -EFAULT;
	ret = signal_set_action((int)a[0], a[1] ? &action : NULL, &old);
	if (ret == 0 && a[2] && os_copy_out(a[2], &old, sizeof(old)))
		return -EFAULT;
	return ret;
}

static long sigprocmask_call(const struct call *c)
{
	long ret = pass(c);

	os_signal_mask_changed();
	return ret;
}

static long recvmsg_call(const struct call *c)
{
	long ret = pass(c);

	if (ret >= 0)
		calls_after_recvmsg((struct msghdr *)(uintptr_t)c->a[1]);
	return ret;
}

static char *const *list_at(uint64_t address)
{
	return (char *const *)(uintptr_t)address;
}

static bool on_filters(const struct call *c, long *ret)
{
	if (c->nr != SYS_prctl && c->nr != SYS_seccomp)
		return false;
	*ret = jail_call(c->nr, c->a);
	return true;
}

static bool on_processes(const struct call *c, long *ret)
{
	const uint64_t *a = c->a;

	switch (c->nr) {
	case SYS_rt_sigaction:
		*ret = sigaction_call(a);
		return true;
	case SYS_rt_sigprocmask:
		*ret = sigprocmask_call(c);
		return true;
	case SYS_fork:
		*ret = calls_raw_clone(17 /* SIGCHLD */, (const uint64_t[5]){ 0 });
		return true;
	case SYS_clone:
		*ret = calls_raw_clone(a[0], a + 1);
		return true;
	case SYS_exit_group:
		calls_before_exit();
		*ret = pass(c);
		return true;
	case SYS_execve:
		*ret = exec_run(AT_FDCWD, (const char *)(uintptr_t)a[0], list_at(a[1]),
				list_at(a[2]), 0);
		return true;
	case SYS_execveat:
		*ret = exec_run((int)a[0], (const char *)(uintptr_t)a[1], list_at(a[2]),
				list_at(a[3]), (int)a[4]);
		return true;
	case SYS_sendmsg:
		calls_before_sendmsg(a[1]);
		*ret = pass(c);
		return true;
	case SYS_recvmsg:
		*ret = recvmsg_call(c);
		return true;
	default:
		return false;
	}
}

static long dispatch(const struct call *c)
{
	long ret;

	if (__builtin_expect(calls_is_restricted(c->nr), 0))
		return calls_memfd_restricted((unsigned int)c->a[0]);
	if (on_descriptors(c, &ret) || by_name(c, &ret) || on_mappings(c, &ret) ||
	    on_policies(c, &ret) || on_pipes(c, &ret) || on_processes(c, &ret) ||
	    on_filters(c, &ret))
		return ret;
	note_unseen(c);
	/* Numbers of these take something else first. */
	if (fdtable_peek((int)c->a[0]))
		return by_descriptor(c);
	return pass(c);
}

SHIM_EXPORT long syscall(long nr, ...)
{
	struct call c = { .nr = nr };
	va_list args;

	va_start(args, nr);
	for (int i = 0; i < 6; i++)
		c.a[i] = va_arg(args, uint64_t);
	va_end(args);
	observe_call();
	return shim_return(dispatch(&c));
}
