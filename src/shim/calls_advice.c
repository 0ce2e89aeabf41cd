/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Calls on what is behind a mapping: madvise, process_madvise, mlock and its like, msync, userfaultfd.
 * Where guest_memfds are mapped, map/ makes the system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "obs/rules.h"
#include "os/fault.h"
#include "os/format.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/map_change.h"
#include "shim/observe.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/told.h"

#define MADV_GUARD_INSTALL_NR 102
#define MADV_DONTNEED_LOCKED_NR 24
#define MADV_COLLAPSE_NR 25
#define MADV_SOFT_OFFLINE_NR 101

/* ---- madvise ----------------------------------------------------------------------------- */

static bool changes_pages(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE ||
	       advice == MADV_DONTNEED_LOCKED_NR || advice == MADV_COLLAPSE_NR ||
	       advice == MADV_PAGEOUT || advice == MADV_GUARD_INSTALL_NR;
}

static bool discards(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
	       advice == MADV_DONTNEED_LOCKED_NR;
}

/* Memory of the host is not to fail for a test of a guest: answered as by a kernel that has no such tests. */
static bool refused_for_gmem(int advice)
{
	return advice == MADV_FREE || advice == MADV_WIPEONFORK || advice == MADV_COLLAPSE_NR ||
	       advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE_NR;
}

static long punch(const struct host_map_range *r)
{
	return kvm_gmem_fallocate(r->owner, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (int64_t)r->offset, (int64_t)r->size);
}

/* MADV_REMOVE is a punch: where there is guest memory it goes the way of all punches. */
static long remove_pages(uint64_t addr, uint64_t end)
{
	struct host_map_range r;
	long ret = 0, holes = 0;

	while (ret == 0 && addr < end) {
		uint64_t stop = end;
		bool found = host_map_find(kvm_host_map(), addr, end - addr, &r);
		bool is_gmem = found && r.addr <= addr;

		if (found) {
			host_map_clip(&r, addr, end);
			stop = is_gmem ? r.addr + r.size : r.addr;
		}
		ret = is_gmem ? punch(&r) : os_sys3(SYS_madvise, addr, stop - addr, MADV_REMOVE);
		if (found)
			kvm_object_put(r.owner);
		/* What is not mapped is told at the end; the rest is done. */
		if (ret == -ENOMEM && !is_gmem) {
			holes = ret;
			ret = 0;
		}
		addr = stop;
	}
	return ret ? ret : holes;
}

static long advise_ours(uint64_t addr, uint64_t size, int advice)
{
	if (!is_page_range(addr, size))
		return -EINVAL;
	if (refused_for_gmem(advice))
		return obs_refuse(RULE_WINDOW_ADVICE);
	if (advice == MADV_REMOVE)
		return remove_pages(addr, addr + os_page_up(size));
	return host_map_madvise(kvm_host_map(), addr, os_page_up(size), advice);
}

long calls_madvise(uint64_t addr, uint64_t size, int advice)
{
	uint64_t start = obs_start();
	struct change c;
	long ret;

	if (!change_anybody())
		return os_sys3(SYS_madvise, addr, size, advice);
	/* A punch tells the vCPUs by itself, and takes locks that a change of the mapping holds. */
	ret = change_begin(&c, addr, size, changes_pages(advice));
	if (ret == 0 && c.meets)
		ret = advise_ours(addr, size, advice);
	else if (ret == 0)
		ret = os_sys3(SYS_madvise, addr, size, advice);
	if (obs_watched() && !ret && (c.cookie ? discards(advice) : advice == MADV_REMOVE))
		observe_discard(OBS_DISCARD_MADVISE, addr, size);
	told_map_call(&c, SYS_madvise, (uint32_t)advice, start, ret, addr, size);
	return change_end(&c, ret);
}

SHIM_EXPORT int madvise(void *addr, size_t size, int advice)
{
	observe_call();
	return (int)shim_return(calls_madvise((uintptr_t)addr, size, advice));
}

/* ---- process_madvise --------------------------------------------------------------------- */

#define PIDFD_SELF_FIRST (-10001) /* the thread group; the thread is one above */
#define PIDFD_SELF_LAST (-10000)

static long number_behind(const char *text, const char *key)
{
	const char *p = strstr(text, key);
	long n = 0;

	if (!p)
		return -1;
	for (p += strlen(key); *p == ' ' || *p == '\t'; p++)
		;
	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (*p - '0');
	return n;
}

/* Does pidfd mean us, by one of our threads? Taken for it when nobody can say. */
static bool is_self(int pidfd)
{
	char text[512];
	long fd, n, pid;

	if (pidfd >= PIDFD_SELF_FIRST && pidfd <= PIDFD_SELF_LAST)
		return true;
	os_format(text, sizeof(text), "/proc/self/fdinfo/%d", pidfd);
	fd = os_sys4(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd != -ENOENT;
	n = os_sys3(SYS_read, fd, text, sizeof(text) - 1);
	os_sys1(SYS_close, fd);
	text[n > 0 ? n : 0] = '\0';
	pid = number_behind(text, "\nPid:");
	return pid > 0 && shim_is_own_thread(pid);
}

/* One madvise each, as the kernel does; what was done before one that fails is the answer. */
static long advise_each(uint64_t vec, uint64_t nr, int advice)
{
	struct iovec v;
	long done = 0, ret = 0;

	for (uint64_t i = 0; i < nr && ret == 0; i++) {
		if (os_copy_in(&v, vec + i * sizeof(v), sizeof(v)))
			ret = -EFAULT;
		else
			ret = calls_madvise((uintptr_t)v.iov_base, v.iov_len, advice);
		if (ret == 0)
			done += (long)v.iov_len;
	}
	return done ? done : ret;
}

long calls_process_madvise(int pidfd, uint64_t vec, uint64_t nr, int advice, unsigned int flags)
{
	long ret;

	if (!change_anybody() || flags || nr > UIO_MAXIOV || !is_self(pidfd))
		return os_sys5(SYS_process_madvise, pidfd, vec, nr, advice, flags);
	/* Kernels differ in what one may advise oneself. */
	ret = os_sys5(SYS_process_madvise, pidfd, vec, 0, advice, flags);
	return ret ? ret : advise_each(vec, nr, advice);
}

SHIM_EXPORT ssize_t process_madvise(int pidfd, const struct iovec *vec, size_t nr, int advice,
				    unsigned int flags)
{
	observe_call();
	return shim_return(calls_process_madvise(pidfd, (uintptr_t)vec, nr, advice, flags));
}

/* ---- mlock ------------------------------------------------------------------------------- */

static long lock_raw(uint64_t addr, uint64_t size, int flags, bool lock)
{
	if (!lock)
		return os_sys2(SYS_munlock, addr, size);
	return flags ? os_sys3(SYS_mlock2, addr, size, flags) : os_sys2(SYS_mlock, addr, size);
}

/* Any address and size will do: the pages they touch are meant. */
long calls_mlock(uint64_t addr, uint64_t size, int flags, bool lock)
{
	uint64_t first = addr & ~(uint64_t)(OS_PAGE_SIZE - 1);
	uint64_t bytes = os_page_up(size + (addr - first));
	uint64_t start = obs_start();
	struct change c;
	long ret;

	if (!change_map_any() || !is_page_range(first, bytes) || bytes < size)
		return lock_raw(addr, size, flags, lock);
	ret = change_begin(&c, first, bytes, false);
	if (ret == 0 && c.meets)
		ret = host_map_mlock(kvm_host_map(), first, bytes, flags, lock);
	else if (ret == 0)
		ret = lock_raw(addr, size, flags, lock);
	told_map_call(&c,
		      !lock   ? SYS_munlock
		      : flags ? SYS_mlock2
			      : SYS_mlock,
		      (uint32_t)flags, start, ret, addr, size);
	return change_end(&c, ret);
}

SHIM_EXPORT int mlock(const void *addr, size_t size)
{
	observe_call();
	return (int)shim_return(calls_mlock((uintptr_t)addr, size, 0, true));
}

SHIM_EXPORT int mlock2(const void *addr, size_t size, unsigned int flags)
{
	observe_call();
	return (int)shim_return(calls_mlock((uintptr_t)addr, size, (int)flags, true));
}

SHIM_EXPORT int munlock(const void *addr, size_t size)
{
	observe_call();
	return (int)shim_return(calls_mlock((uintptr_t)addr, size, 0, false));
}

/* What is done to all memory is done to each guest_memfd's mapping: it must last when a page of it is
 * hidden and shown again. */
static void lock_each(int flags, bool lock)
{
	struct host_map_range r;
	uint64_t at = 0;

	while (host_map_find(kvm_host_map(), at, UINT64_MAX - at, &r)) {
		at = r.addr + r.size;
		/* What is hidden is refused, as to mlockall it is not. */
		host_map_mlock(kvm_host_map(), r.addr, r.size, flags, lock);
		kvm_object_put(r.owner);
	}
}

long calls_mlockall(int flags, bool lock)
{
	struct change c;
	long ret;

	if (!change_map_any())
		return lock ? os_sys1(SYS_mlockall, flags) : os_sys0(SYS_munlockall);
	ret = change_begin(&c, 0, 0, false);
	if (ret == 0)
		ret = lock ? os_sys1(SYS_mlockall, flags) : os_sys0(SYS_munlockall);
	if (ret == 0 && (!lock || flags & MCL_CURRENT))
		lock_each(flags & MCL_ONFAULT ? MLOCK_ONFAULT : 0, lock);
	return change_end(&c, ret);
}

SHIM_EXPORT int mlockall(int flags)
{
	return (int)shim_return(calls_mlockall(flags, true));
}

SHIM_EXPORT int munlockall(void)
{
	return (int)shim_return(calls_mlockall(0, false));
}

/* ---- msync, userfaultfd ------------------------------------------------------------------ */

static bool meets_gmem(uint64_t addr, uint64_t size)
{
	struct host_map_range r;

	if (!change_map_any() || !host_map_find(kvm_host_map(), addr, size, &r))
		return false;
	kvm_object_put(r.owner);
	return true;
}

/* Answered here for a guest_memfd, which has nothing to be written to. */
long calls_msync(uint64_t addr, uint64_t size, int flags, bool *answered)
{
	*answered = false;
	if (!(flags & MS_SYNC) || !change_map_any())
		return 0;
	shim_enter();
	*answered = meets_gmem(addr, size);
	shim_leave();
	return *answered ? -EINVAL : 0;
}

SHIM_EXPORT int msync(void *addr, size_t size, int flags)
{
	bool answered;
	long ret = calls_msync((uintptr_t)addr, size, flags, &answered);

	return answered ? (int)shim_return(ret) : real()->msync(addr, size, flags);
}

bool calls_may_register(uint64_t uffdio_range)
{
	struct uffdio_range range;
	bool may = true;

	if (!change_map_any())
		return true;
	shim_enter();
	if (os_copy_in(&range, uffdio_range, sizeof(range)) == 0)
		may = !meets_gmem(range.start, range.len);
	shim_leave();
	return may;
}
