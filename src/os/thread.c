/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Threads of gmem's own. They are made by the C library (its functions must work in them), but take
 * none of the program's signals: only those of a fault.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/spare.h"
#include "os/sys.h"

#define STACK_SIZE ((size_t)512 << 10)
#define NAME_SIZE 16

struct os_thread {
	pthread_t thread;
	void (*fn)(void *);
	void *arg;
	char name[NAME_SIZE];
};

/*
 * The C library ends a process with its last thread, wherever main() has gone. One of ours that still
 * waits must not keep a program alive, so ours are taken out of the library's count: by whoever makes
 * one, who is in it himself, and back in at the thread's end, where the library takes out one more.
 * The count is not there to be found before 2.34.
 */
static _Atomic unsigned int *libc_count;

__attribute__((constructor)) static void find_libc_count(void)
{
	libc_count = dlsym(RTLD_DEFAULT, "__nptl_nthreads");
}

static void count_thread(unsigned int by)
{
	if (libc_count)
		atomic_fetch_add(libc_count, by);
}

static void *thread_main(void *arg)
{
	struct os_thread *t = arg;

	os_sys2(SYS_prctl, PR_SET_NAME, t->name);
	t->fn(t->arg);
	count_thread(1);
	return NULL;
}

/* Returns a positive errno, as pthread functions do. EPERM: none can be made any more (spare.h). */
static int create_blocked(struct os_thread *t, const pthread_attr_t *attr)
{
	uint64_t mask = ~((uint64_t)1 << (SIGSEGV - 1) | (uint64_t)1 << (SIGBUS - 1));
	uint64_t old = 0;
	int err = EPERM;

	os_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &old, sizeof(old));
	if (os_jail_hold()) {
		err = -os_fail(OS_FAIL_THREAD);
		if (!err)
			err = pthread_create(&t->thread, attr, thread_main, t);
		os_jail_let();
	}
	os_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
	return err;
}

int os_thread_create(void (*fn)(void *), void *arg, const char *name, struct os_thread **out)
{
	struct os_thread *t = os_alloc(sizeof(*t));
	pthread_attr_t attr;
	size_t i;
	int err;

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->arg = arg;
	for (i = 0; i + 1 < NAME_SIZE && name[i]; i++)
		t->name[i] = name[i];

	err = pthread_attr_init(&attr);
	if (!err) {
		pthread_attr_setstacksize(&attr, STACK_SIZE);
		err = create_blocked(t, &attr);
		pthread_attr_destroy(&attr);
	}
	/* A program with very much thread-local memory needs more stack than ours. */
	if (err == EINVAL)
		err = create_blocked(t, NULL);
	if (err) {
		os_free(t, sizeof(*t));
		return -err;
	}
	count_thread(-1u);
	*out = t;
	return 0;
}

void os_thread_join(struct os_thread *t)
{
	int err = pthread_join(t->thread, NULL);

	os_assert(!err);
	os_free(t, sizeof(*t));
}

/* It does not look at t any more once it has begun. */
void os_thread_detach(struct os_thread *t)
{
	int err = pthread_detach(t->thread);

	os_assert(!err);
	os_free(t, sizeof(*t));
}
