/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the library has one of in a process: the registry of windows, its locks, the handlers of fork. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "map/pins.h"
#include "map/share.h"
#include "os/process.h"

static struct os_mutex ready_lock = OS_MUTEX_INIT;
static struct os_mutex windows_lock = OS_MUTEX_INIT;
static struct os_mutex files_lock = OS_MUTEX_INIT;
static _Atomic(struct host_map *) host_map;

/* Of this thread: inside a call, so that gmem_interrupt() in a signal handler has something to end. */
static __thread volatile uint32_t inside __attribute__((tls_model("initial-exec")));

void lib_enter(void)
{
	inside++;
}

void lib_leave(void)
{
	if (!--inside)
		os_signal_set_pending(false);
}

void gmem_interrupt(void)
{
	if (inside)
		os_signal_set_pending(true);
}

uint32_t gmem_version(void)
{
	return GMEM_VERSION_MAJOR << 16 | GMEM_VERSION_MINOR;
}

void lib_lock_files(void)
{
	os_mutex_lock(&files_lock);
}

void lib_unlock_files(void)
{
	os_mutex_unlock(&files_lock);
}

void lib_lock_windows(void)
{
	os_mutex_lock(&windows_lock);
}

void lib_unlock_windows(void)
{
	os_mutex_unlock(&windows_lock);
}

/* ---- owners of windows ------------------------------------------------------------------------- */

static void owner_get(void *owner)
{
	gmem_get(owner);
}

static void owner_put(void *owner)
{
	lib_put(owner);
}

static const struct host_map_ops owner_ops = { .get = owner_get, .put = owner_put };

struct host_map *lib_host_map(void)
{
	return atomic_load_explicit(&host_map, memory_order_acquire);
}

/* ---- fork -------------------------------------------------------------------------------------- */

static void before_fork(void)
{
	os_mutex_lock(&ready_lock);
	lib_lock_windows();
	lib_lock_files();
	/* The child cannot ask what its files are called. */
	for (struct gmem *g = lib_first_file(); g; g = g->next)
		if (lib_home_file(g) && lib_give_name(g))
			os_log(OS_LOG_WARN, "no name for a file: a child cannot pass it on");
	share_before_fork(lib_host_map());
	pins_before_fork();
}

static void after_fork_in_parent(void)
{
	pins_after_fork_in_parent();
	share_after_fork_in_parent(lib_host_map());
	lib_unlock_files();
	lib_unlock_windows();
	os_mutex_unlock(&ready_lock);
}

static void after_fork_in_child(void)
{
	os_after_fork();
	pins_after_fork_in_child();
	share_after_fork_in_child(lib_host_map());
	lib_unlock_files();
	lib_unlock_windows();
	os_mutex_unlock(&ready_lock);
}

/* ---- once -------------------------------------------------------------------------------------- */

static int get_ready(void)
{
	struct host_map *m;
	int err = host_map_create(&owner_ops, &m);

	if (err)
		return err;
	err = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
	if (err) {
		host_map_destroy(m);
		return err;
	}
	os_log_set(getenv("GMEM_LOG"));
	os_home_token();
	atomic_store_explicit(&host_map, m, memory_order_release);
	return 0;
}

int lib_ready(void)
{
	int err = 0;

	if (lib_host_map())
		return 0;
	os_mutex_lock(&ready_lock);
	if (!lib_host_map())
		err = get_ready();
	os_mutex_unlock(&ready_lock);
	return err;
}
