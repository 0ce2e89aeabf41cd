/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "lib/observed.h"

#include <pthread.h>
#include <stdlib.h>

#include "obs/join.h"
#include "obs/region.h"

static struct os_mutex lock = OS_MUTEX_INIT;
static _Atomic bool was_tried;
static uint32_t own_pid;

/* A fork that others have let pass finds the region as it was; who joins while it happens must not be cut in half. */
static void before_fork(void)
{
	os_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
	os_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
	struct obs_self me = obs_join_self(OBS_LIBRARY_SUFFIX);

	os_mutex_unlock(&lock);
	me.parent = own_pid;
	own_pid = me.pid;
	obs_after_fork(&me);
}

static void join(const char *path)
{
	/* Registered first: there is no way back from a region. */
	if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child))
		return;
	os_log_set(secure_getenv("GMEM_LOG"));
	own_pid = obs_join_self(OBS_LIBRARY_SUFFIX).pid;
	obs_join(path, OBS_LIBRARY_SUFFIX);
}

void lib_observe(void)
{
	const char *path;

	if (atomic_load_explicit(&was_tried, memory_order_acquire))
		return;
	os_mutex_lock(&lock);
	path = secure_getenv("GMEM_OBS");
	if (!atomic_load(&was_tried) && path && *path)
		join(path);
	atomic_store_explicit(&was_tried, true, memory_order_release);
	os_mutex_unlock(&lock);
}

/* The library goes with the process, in order. */
__attribute__((destructor)) static void end(void)
{
	if (obs_on())
		obs_end();
}
