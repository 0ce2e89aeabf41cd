/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>

#include "os/fail.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/sys.h"

#define POOL_MAX 256
#define GENERIC_NAME "gmem"

struct spare {
	int fd;
	char name[OS_SPARE_NAME_MAX]; /* empty: for anything */
};

/* Held over every making of what the jail forbids. */
static struct os_mutex making = OS_MUTEX_INIT;
static _Atomic bool jailed;

static struct os_mutex pool_lock = OS_MUTEX_INIT;
static struct spare pool[POOL_MAX];
static unsigned int nr_spare;

bool os_jailed(void)
{
	return atomic_load_explicit(&jailed, memory_order_acquire);
}

bool os_jail_hold(void)
{
	if (os_jailed())
		return false;
	os_mutex_lock(&making);
	if (!os_jailed())
		return true;
	os_mutex_unlock(&making);
	return false;
}

void os_jail_let(void)
{
	os_mutex_unlock(&making);
}

void os_jail_enter(void)
{
	os_mutex_lock(&making);
	atomic_store_explicit(&jailed, true, memory_order_release);
	os_mutex_unlock(&making);
}

void os_jail_leave(void)
{
	atomic_store_explicit(&jailed, false, memory_order_release);
}

/* ---- the pool ---------------------------------------------------------------------------- */

static void pool_drop(void)
{
	while (nr_spare)
		os_fd_close(pool[--nr_spare].fd);
}

static bool pool_add(const char *name)
{
	struct spare *s = &pool[nr_spare];
	long fd = os_fail(OS_FAIL_MEMFD);

	if (!fd)
		fd = os_sys2(SYS_memfd_create, *name ? name : GENERIC_NAME,
			     MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (fd < 0)
		return false;
	s->fd = (int)fd;
	if (os_fd_adopt(&s->fd))
		return false;
	if (name != s->name)
		memcpy(s->name, name, strlen(name) + 1);
	nr_spare++;
	return true;
}

/* What is missing in the jail is missing for good: what fails is tried once more. */
static bool pool_make(const char *name)
{
	bool made = pool_add(name);

	return made || pool_add(name);
}

unsigned int os_jail_prepare(os_spare_name name_of, unsigned int nr_named)
{
	unsigned int max = os_fd_room() / 2;

	max = max < POOL_MAX ? max : POOL_MAX;
	nr_named = nr_named < max / 4 ? nr_named : max / 4;
	os_mutex_lock(&pool_lock);
	pool_drop();
	for (unsigned int i = 0; i < nr_named; i++)
		if (!name_of(i, pool[nr_spare].name) || !pool_make(pool[nr_spare].name))
			break;
	while (nr_spare < max && pool_make(""))
		;
	max = nr_spare;
	os_mutex_unlock(&pool_lock);
	return max;
}

int os_spare_take(const char *name, int *fd)
{
	unsigned int i;

	name = name ? name : "";
	*fd = -1;
	if (os_fail(OS_FAIL_SPARE))
		return -EMFILE;
	os_mutex_lock(&pool_lock);
	for (i = nr_spare; i > 0 && *fd < 0; i--) {
		if (strcmp(pool[i - 1].name, name))
			continue;
		*fd = pool[i - 1].fd;
		pool[i - 1] = pool[--nr_spare];
	}
	os_mutex_unlock(&pool_lock);
	if (*fd >= 0)
		return 0;
	if (os_log_why())
		os_log_refusal(-EMFILE, NULL,
			       "seccomp: the memfds made before the filter are used up",
			       "SPARE_MEMFDS");
	return -EMFILE;
}

unsigned int os_spare_left(void)
{
	unsigned int nr;

	os_mutex_lock(&pool_lock);
	nr = nr_spare;
	os_mutex_unlock(&pool_lock);
	return nr;
}

/* They are the parent's, who goes on to use them. */
void os_spare_after_fork(void)
{
	os_mutex_init(&making);
	os_mutex_init(&pool_lock);
	pool_drop();
}

/* ---- memfds ------------------------------------------------------------------------------ */

int os_memfd_seal(int fd)
{
	int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

	return (int)os_sys3(SYS_fcntl, fd, F_ADD_SEALS, seals);
}

static int for_program_from_pool(const char *name, bool cloexec, int *fd)
{
	int err = os_spare_take(name, fd);
	int spare = *fd;
	long ret;

	if (err)
		return err;
	ret = os_fail(OS_FAIL_FD);
	if (!ret)
		ret = os_sys3(SYS_fcntl, spare, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	os_fd_close(spare);
	*fd = (int)ret;
	return ret < 0 ? (int)ret : 0;
}

int os_memfd_for_program(const char *name, bool must_have_name, bool cloexec, int *fd)
{
	long ret;

	if (!os_jail_hold())
		return for_program_from_pool(must_have_name ? name : NULL, cloexec, fd);
	ret = os_fail(OS_FAIL_MEMFD);
	if (!ret)
		ret = os_sys2(SYS_memfd_create, name,
			      MFD_ALLOW_SEALING | (cloexec ? MFD_CLOEXEC : 0));
	os_jail_let();
	*fd = (int)ret;
	return ret < 0 ? (int)ret : 0;
}
