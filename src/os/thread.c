/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Threads of gmem's own. They are made by the C library (its functions must work in them), but take
 * none of the program's signals: only those of a fault.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/mman.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "os/fail.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "os/spare.h"
#include "os/sys.h"

#define STACK_SIZE ((size_t)512 << 10)
#define STACK_STEP 16
#define STACK_MAX (STACK_SIZE * STACK_STEP * STACK_STEP)
#define NAME_SIZE 16

struct os_thread {
	pthread_t thread;
	void (*fn)(void *);
	void *arg;
	void *stack; /* a page that guards it in front; NULL: the C library's */
	size_t stack_size;
	_Atomic bool done; /* a join will not wait, if the stack is ours */
	struct os_thread *next;
	char name[NAME_SIZE];
};

/* Detached, with stacks of ours, which nobody can give back before the thread has gone. */
static struct os_mutex detached_lock = OS_MUTEX_INIT;
static struct os_thread *detached;

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
	bool own_stack = t->stack;

	os_sys2(SYS_prctl, PR_SET_NAME, t->name);
	t->fn(t->arg);
	count_thread(1);
	if (own_stack)
		atomic_store_explicit(&t->done, true, memory_order_release);
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

/* ---- stacks ------------------------------------------------------------------------------ */

/* The C library's would be where the kernel chooses (place.h). It ignores a guard for a stack that it is given. */
static int stack_make(struct os_thread *t, size_t size)
{
	int err = os_map_anon(OS_PAGE_SIZE + size, 0, &t->stack);

	if (err)
		return err;
	t->stack_size = OS_PAGE_SIZE + size;
	err = os_fail(OS_FAIL_PROTECT);
	if (!err)
		err = (int)os_sys3(SYS_mprotect, (char *)t->stack + OS_PAGE_SIZE, size,
				   PROT_READ | PROT_WRITE);
	return err;
}

static void stack_drop(struct os_thread *t)
{
	if (t->stack)
		os_unmap(t->stack, t->stack_size);
	t->stack = NULL;
}

static int create_on_stack(struct os_thread *t, pthread_attr_t *attr, size_t size)
{
	int err;

	/* The thread sanitizer has its own idea of places. */
	if (OS_TSAN) {
		pthread_attr_setstacksize(attr, size);
		return create_blocked(t, attr);
	}
	err = -stack_make(t, size);
	if (!err) {
		pthread_attr_setstack(attr, (char *)t->stack + OS_PAGE_SIZE, size);
		err = create_blocked(t, attr);
	}
	if (err)
		stack_drop(t);
	return err;
}

/* A program with very much thread-local memory needs more stack than ours. */
static int create_large_enough(struct os_thread *t, pthread_attr_t *attr)
{
	size_t size;
	int err = EINVAL;

	for (size = STACK_SIZE; err == EINVAL && size <= STACK_MAX; size *= STACK_STEP)
		err = create_on_stack(t, attr, size);
	return err == EINVAL ? create_blocked(t, NULL) : err;
}

/* ---- life -------------------------------------------------------------------------------- */

static void join(struct os_thread *t)
{
	int err = pthread_join(t->thread, NULL);

	os_assert(!err);
	stack_drop(t);
	os_free(t, sizeof(*t));
}

static struct os_thread *take_done(void)
{
	struct os_thread **at = &detached, *t;

	os_mutex_lock(&detached_lock);
	while (*at && !atomic_load_explicit(&(*at)->done, memory_order_acquire))
		at = &(*at)->next;
	t = *at;
	if (t)
		*at = t->next;
	os_mutex_unlock(&detached_lock);
	return t;
}

static void join_detached(void)
{
	struct os_thread *t;

	while ((t = take_done()))
		join(t);
}

int os_thread_create(void (*fn)(void *), void *arg, const char *name, struct os_thread **out)
{
	struct os_thread *t;
	pthread_attr_t attr;
	size_t i;
	int err;

	join_detached();
	t = os_alloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->arg = arg;
	for (i = 0; i + 1 < NAME_SIZE && name[i]; i++)
		t->name[i] = name[i];

	err = pthread_attr_init(&attr);
	if (!err) {
		err = create_large_enough(t, &attr);
		pthread_attr_destroy(&attr);
	}
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
	join(t);
}

void os_thread_detach(struct os_thread *t)
{
	int err;

	if (t->stack) {
		os_mutex_lock(&detached_lock);
		t->next = detached;
		detached = t;
		os_mutex_unlock(&detached_lock);
		return;
	}
	/* It does not look at t any more once it has begun. */
	err = pthread_detach(t->thread);
	os_assert(!err);
	os_free(t, sizeof(*t));
}

/* Their memory stays: the C library may still have them in its lists, if it was not asked for the fork. */
void os_thread_after_fork(void)
{
	os_mutex_init(&detached_lock);
	detached = NULL;
}
