/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls on descriptors themselves: copies, closing, fcntl, ioctl. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "gmem/uapi.h"
#include "obs/rules.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/paths.h"
#include "shim/calls.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/path.h"
#include "shim/real.h"

/* ---- copies ------------------------------------------------------------------------------ */

/* fd is a new descriptor; from is what it is a copy of. */
static void is_copy(long fd, struct handle *from)
{
	if (fd < 0 || shim_is_vfork_child())
		return;
	if (from) {
		/* Without memory for the table it stays a plain, empty memfd. */
		if (fdtable_set((int)fd, from))
			os_log(OS_LOG_WARN, "descriptor %d cannot be followed", (int)fd);
	} else {
		fdtable_fresh((int)fd);
	}
}

long calls_dup(long copy, int fd)
{
	struct handle *h;

	if (copy < 0)
		return copy;
	h = ours_begin(fd);
	if (h) {
		is_copy(copy, h);
		return ours_end_raw(h, copy);
	}
	if (__builtin_expect(fdtable_peek((int)copy) != NULL, 0))
		is_copy(copy, NULL);
	return copy;
}

/* A copy is about to take this number: what stands there leaves the table first, as at a close. */
static struct handle *replace_begin(int to, bool *is_mine)
{
	struct handle *h = ours_begin(to);

	*is_mine = h && !shim_is_vfork_child() && fdtable_forget(to, h);
	return h;
}

static void replace_end(struct handle *h, int to, bool is_mine, bool replaced)
{
	/* The kernel has refused and the number is still what it was. Set first: numbers must not
	 * become 0 in between. */
	if (is_mine && !replaced && fdtable_set(to, h))
		os_log(OS_LOG_WARN, "descriptor %d cannot be followed", to);
	if (is_mine)
		handle_number_gone(h);
	ours_end_raw(h, 0);
}

/* dup2 and dup3 close what is there. Our own descriptors are not for the program: it meets the end
 * of its number space there. */
long calls_dup_to(int fd, int to, int flags, bool is_dup3)
{
	struct handle *before = NULL;
	bool is_mine = false;
	long ret;

	if (os_fd_is_ours(to))
		return -EBADF;
	if (fd != to)
		before = replace_begin(to, &is_mine);
	ret = is_dup3 ? os_sys3(SYS_dup3, fd, to, flags) : os_sys2(SYS_dup2, fd, to);
	if (before)
		replace_end(before, to, is_mine, ret >= 0);
	return fd == to ? ret : calls_dup(ret, fd);
}

SHIM_EXPORT int dup(int fd)
{
	return (int)shim_return(calls_dup(os_sys1(SYS_dup, fd), fd));
}

SHIM_EXPORT int dup2(int fd, int to)
{
	return (int)shim_return(calls_dup_to(fd, to, 0, false));
}

int __dup2(int fd, int to);
SHIM_EXPORT int __dup2(int fd, int to)
{
	return dup2(fd, to);
}

SHIM_EXPORT int dup3(int fd, int to, int flags)
{
	return (int)shim_return(calls_dup_to(fd, to, flags, true));
}

/* ---- close ------------------------------------------------------------------------------- */

/* The number leaves the table first: another thread may get it as soon as it is closed. But the
 * object may go only when the descriptor has, so the handle is held meanwhile. */
long calls_close(int fd)
{
	struct handle *h = ours_begin(fd);
	bool is_mine;
	long ret;

	if (!h)
		return os_sys1(SYS_close, fd);
	if (shim_is_vfork_child())
		return ours_end_raw(h, os_sys1(SYS_close, fd));
	is_mine = fdtable_forget(fd, h);
	ret = os_sys1(SYS_close, fd);
	if (is_mine)
		handle_number_gone(h);
	return ours_end_raw(h, ret);
}

SHIM_EXPORT int close(int fd)
{
	observe_call();
	if (__builtin_expect(os_fd_is_ours(fd), 0))
		return (int)shim_return(-EBADF);
	if (__builtin_expect(fdtable_peek(fd) != NULL, 0))
		return (int)shim_return(calls_close(fd));
	return real()->close(fd);
}

int __close(int fd);
SHIM_EXPORT int __close(int fd)
{
	return close(fd);
}

/* Leaves our own descriptors out. */
static long close_some(unsigned int first, unsigned int last, unsigned int flags)
{
	unsigned int from = first;
	long ret = 0;

	while (ret == 0 && from <= last && from <= INT_MAX) {
		int ours = os_fd_next((int)from);

		if (ours < 0 || (unsigned int)ours > last)
			break;
		if ((unsigned int)ours > from)
			ret = os_sys3(SYS_close_range, from, ours - 1, flags);
		from = (unsigned int)ours + 1;
	}
	if (ret == 0 && from <= last)
		ret = os_sys3(SYS_close_range, from, last, flags);
	return ret;
}

static void close_ours(int fd, struct handle *h)
{
	calls_close(fd);
}

long calls_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	if (first > last || flags & ~(unsigned int)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return -EINVAL;
	/* With UNSHARE it is this thread's copy that is closed, the others keep theirs. */
	if (!(flags & (CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) && !shim_is_vfork_child())
		fdtable_for_each(first, last, close_ours);
	return close_some(first, last, flags);
}

SHIM_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return (int)shim_return(calls_close_range(first, last, (unsigned int)flags));
}

SHIM_EXPORT void closefrom(int first)
{
	calls_close_range(first < 0 ? 0 : (unsigned int)first, ~0u, 0);
}

/* The C library closes the number of a stream by itself. */
static void number_may_be_gone(int fd)
{
	struct handle *h = fdtable_peek(fd) ? ours_begin(fd) : NULL;

	if (h)
		ours_end_raw(h, 0);
}

SHIM_EXPORT int fclose(FILE *stream)
{
	int fd = stream ? fileno_unlocked(stream) : -1;
	int ret = real()->fclose(stream);

	if (__builtin_expect(fdtable_peek(fd) != NULL, 0))
		number_may_be_gone(fd);
	return ret;
}

/* ---- fcntl ------------------------------------------------------------------------------- */

static bool is_lock(int cmd)
{
	return cmd == F_SETLK || cmd == F_SETLKW || cmd == F_GETLK || cmd == F_OFD_SETLK ||
	       cmd == F_OFD_SETLKW || cmd == F_OFD_GETLK;
}

long calls_fcntl_ours(struct handle *h, int fd, int cmd, uint64_t arg)
{
	long ret;

	if (op_fcntl(h, fd, cmd, arg, &ret))
		return ret;
	if (is_lock(cmd))
		return os_sys3(SYS_fcntl, handle_lock_fd(h), cmd, arg);
	ret = os_sys3(SYS_fcntl, fd, cmd, arg);
	if ((cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) && ret >= 0)
		is_copy(ret, h);
	return ret;
}

int calls_lock_fd(int fd)
{
	struct handle *h = ours_begin(fd);

	return h ? (int)ours_end_raw(h, handle_lock_fd(h)) : fd;
}

/* fd, the handle's descriptor, or the one for its locks: waiting for a lock is not inside gmem. */
static bool goes_to_libc(int *fd, int cmd)
{
	if (__builtin_expect(!fdtable_peek(*fd), 1))
		return true;
	if (is_lock(cmd))
		*fd = calls_lock_fd(*fd);
	return is_lock(cmd);
}

SHIM_EXPORT int fcntl(int fd, int cmd, ...)
{
	struct handle *h = goes_to_libc(&fd, cmd) ? NULL : ours_begin(fd);
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (h)
		return (int)ours_end(h, calls_fcntl_ours(h, fd, cmd, (uintptr_t)arg));
	if (cmd == F_SETFL)
		calls_note_flags((int)(uintptr_t)arg);
	return real()->fcntl(fd, cmd, arg);
}

SHIM_EXPORT int fcntl64(int fd, int cmd, ...)
{
	struct handle *h = goes_to_libc(&fd, cmd) ? NULL : ours_begin(fd);
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (h)
		return (int)ours_end(h, calls_fcntl_ours(h, fd, cmd, (uintptr_t)arg));
	if (cmd == F_SETFL)
		calls_note_flags((int)(uintptr_t)arg);
	return real()->fcntl64 ? real()->fcntl64(fd, cmd, arg) : real()->fcntl(fd, cmd, arg);
}

int __fcntl(int fd, int cmd, ...);
SHIM_EXPORT int __fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	return fcntl(fd, cmd, arg);
}

/* ---- ioctl ------------------------------------------------------------------------------- */

static bool is_host_kvm(int fd)
{
	struct stat st;

	return os_sys2(SYS_fstat, fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(PATH_KVM_MAJOR, PATH_KVM_MINOR);
}

/* A request of KVM's on a descriptor that is not ours: the host's /dev/kvm, got by a name that is
 * no name of ours or from another process? Then it becomes ours, in its place. */
static struct handle *take_over_host_kvm(int fd)
{
	long flags = os_sys3(SYS_fcntl, fd, F_GETFD, 0);

	if (!is_host_kvm(fd) || flags < 0)
		return NULL;
	if (path_open_kvm_at(fd, flags & FD_CLOEXEC))
		return NULL;
	return ours_begin(fd);
}

/* Blocks are not shared with a file of another file system. */
static bool is_clone_refused(int fd, unsigned int cmd, uint64_t arg)
{
	struct file_clone_range range = { .src_fd = (int)arg };

	if (cmd != FICLONE && cmd != FICLONERANGE)
		return false;
	if (cmd == FICLONERANGE && os_copy_in(&range, arg, sizeof(range)))
		return false;
	return !fdtable_peek(fd) != !fdtable_peek((int)range.src_fd);
}

/* KVM_RUN, which must be fast, does without a look at the inode. */
static bool try_run(int fd, uint64_t arg, long *ret)
{
	struct handle *h;
	bool is_vcpu;

	if (os_path_off(OS_PATH_FDS))
		return false;
	shim_enter();
	h = fdtable_get_unchecked(fd);
	is_vcpu = h && h->object && ours_type(h) == KVM_OBJECT_VCPU;
	if (is_vcpu)
		*ret = op_run(h, arg);
	if (h)
		handle_put(h);
	shim_leave();
	return is_vcpu;
}

static bool is_kvm_request(unsigned int cmd)
{
	return _IOC_TYPE(cmd) == KVMIO;
}

/* Is there a request among those of this kind that is our business on any descriptor? */
static inline bool is_noted_kind(unsigned int cmd)
{
	return is_kvm_request(cmd) || _IOC_TYPE(cmd) == _IOC_TYPE(FICLONE) ||
	       _IOC_TYPE(cmd) == _IOC_TYPE(UFFDIO_REGISTER);
}

static __attribute__((noinline)) long ioctl_noted(int fd, unsigned int cmd, uint64_t arg)
{
	struct handle *h;

	if (is_clone_refused(fd, cmd, arg))
		return obs_refuse(RULE_FILE_COPY_ACROSS);
	if (is_kvm_request(cmd)) {
		h = calls_adopt_late(fd) ? ours_begin(fd) : NULL;
		if (h)
			return ours_end_raw(h, op_ioctl(h, fd, cmd, arg));
		h = take_over_host_kvm(fd);
		if (h)
			return ours_end_raw(h, op_ioctl(h, fd, cmd, arg));
	}
	if ((cmd == UFFDIO_REGISTER || cmd == UFFDIO_UNREGISTER) && !calls_may_register(arg))
		return obs_refuse(RULE_UFFD_GMEM);
	return os_sys3(SYS_ioctl, fd, cmd, arg);
}

/* caller 0: it is known. */
static inline __attribute__((always_inline)) void note(uint64_t caller)
{
	if (caller && obs_on())
		observe_note(caller);
}

static __attribute__((noinline)) long ioctl_ours(int fd, unsigned int cmd, uint64_t arg,
						 uint64_t caller)
{
	struct handle *h;
	long ret;

	note(caller);
	if (__builtin_expect(atomic_load_explicit(&handle_nr_waiting, memory_order_relaxed), 0))
		handle_look_again();
	if (cmd == KVM_RUN && try_run(fd, arg, &ret))
		return ret;
	h = ours_begin(fd);
	if (!h)
		return ioctl_noted(fd, cmd, arg);
	if (is_clone_refused(fd, cmd, arg))
		return ours_end_raw(h, -EXDEV);
	return ours_end_raw(h, op_ioctl(h, fd, cmd, arg));
}

static __attribute__((noinline)) long ioctl_of_kind(int fd, unsigned int cmd, uint64_t arg,
						    uint64_t caller)
{
	note(caller);
	return ioctl_noted(fd, cmd, arg);
}

/* Of other descriptors this is in the way of every ioctl() there is. */
static inline __attribute__((always_inline)) long ioctl_from(int fd, unsigned int cmd, uint64_t arg,
							     uint64_t caller)
{
	if (__builtin_expect(fdtable_peek(fd) != NULL, 0))
		return ioctl_ours(fd, cmd, arg, caller);
	if (__builtin_expect(is_noted_kind(cmd), 0))
		return ioctl_of_kind(fd, cmd, arg, caller);
	return os_sys3(SYS_ioctl, fd, cmd, arg);
}

long calls_ioctl(int fd, unsigned int cmd, uint64_t arg)
{
	return ioctl_from(fd, cmd, arg, 0);
}

SHIM_EXPORT int ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	return (int)shim_return(ioctl_from(fd, (unsigned int)cmd, (uintptr_t)arg,
					   (uintptr_t)__builtin_return_address(0)));
}
