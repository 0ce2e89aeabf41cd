/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The start of the library in a program: what kvm/ needs of us, the profile, handlers of faults and
 * forks. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map/pins.h"
#include "map/share.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/exec.h"
#include "shim/fdtable.h"
#include "shim/fork.h"
#include "shim/observe.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/signal.h"

/* ---- descriptors for kvm/ ---------------------------------------------------------------- */

static int reserve(bool cloexec, const char *name, int *fd)
{
	struct handle *h;
	int ret = handle_create(cloexec, name, &h, fd);

	if (ret)
		return ret;
	ret = fdtable_set(*fd, h);
	if (ret) {
		os_sys1(SYS_close, *fd);
		handle_abandon(h);
	}
	return ret;
}

static void commit(int fd, struct kvm_object *o)
{
	struct handle *h = fdtable_get_unchecked(fd);

	/* A program that closes numbers at random has closed it already. */
	if (!h || h->object) {
		kvm_object_put(o);
	} else {
		h->object = o;
	}
	if (h)
		handle_put(h);
}

static void cancel(int fd)
{
	struct handle *h = fdtable_get_unchecked(fd);
	bool is_mine = h && fdtable_forget(fd, h);

	if (is_mine) {
		os_sys1(SYS_close, fd);
		handle_number_gone(h);
	}
	if (h)
		handle_put(h);
}

static int lookup(int fd, struct kvm_object **o)
{
	struct handle *h = fdtable_get(fd);

	*o = NULL;
	if (!h)
		return os_sys2(SYS_fcntl, fd, 1 /* F_GETFD */) < 0 ? -EBADF : 0;
	*o = h->object;
	kvm_object_get(*o);
	handle_put(h);
	return 0;
}

static const struct kvm_fd_ops fd_ops = {
	.reserve = reserve,
	.commit = commit,
	.cancel = cancel,
	.lookup = lookup,
};

/* ---- the environment --------------------------------------------------------------------- */

static void set_profile(const char *profile)
{
	if (profile && kvm_set_profile(profile))
		os_log(OS_LOG_ERROR, "GMEM_PROFILE: there is no profile %s; the default is used",
		       profile);
}

static void set_pages(const char *pages)
{
	if (kvm_set_pages(pages))
		os_log(OS_LOG_ERROR,
		       "GMEM_PAGES: %s is none of 4k, thp, 2m, 1g, 2m-shared, 1g-shared; 4k is used",
		       pages);
}

static void set_limit(const char *limit)
{
	if (kvm_set_limit(limit))
		os_log(OS_LOG_ERROR, "GMEM_LIMIT: %s is no size, as 512M; there is no limit",
		       limit);
}

/* What the program may do by system calls of its own is guessed from the libraries that it is linked with. */
static void set_pins(const char *pins)
{
	if ((pins && strcmp(pins, "exact") == 0) || dlsym(RTLD_DEFAULT, "io_setup") ||
	    dlsym(RTLD_DEFAULT, "io_uring_queue_init"))
		pins_say_unseen();
}

/* Before the program's constructors, and those of its libraries that come after us. */
__attribute__((constructor(101))) void shim_init(void)
{
	static _Atomic bool done;

	if (atomic_exchange(&done, true))
		return;
	real_find();
	os_log_set(getenv("GMEM_LOG"));
	observe_init();
	share_set_idle(observe_if_wanted);
	set_profile(getenv("GMEM_PROFILE"));
	set_pages(getenv("GMEM_PAGES"));
	set_limit(getenv("GMEM_LIMIT"));
	kvm_set_prealloc(getenv("GMEM_PREALLOC"));
	set_pins(getenv("GMEM_PINS"));
	calls_set_restricted(getenv("GMEM_RESTRICTED_NR"));
	kvm_set_fd_ops(&fd_ops);
	exec_init();
	fork_init();
	signal_init();
	calls_adopt_inherited();
}
