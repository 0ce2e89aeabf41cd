/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion in place while guests run and threads of the host read and write: from when a conversion has
 * returned until the next one begins, each access is as the state says, for everybody.
 */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic int done;

static volatile uint32_t *counter_of(struct inplace *t)
{
	return (volatile uint32_t *)(void *)t->host;
}

/* A kernel lets a fault that meets a conversion leave to the program; gmem tries again by itself. */
static bool met_a_conversion(const struct guest *g, int r)
{
	return r == -EFAULT && g->run->exit_reason == KVM_EXIT_MEMORY_FAULT;
}

/* Returns NULL, or how KVM_RUN ended that should not have. */
static void *run_guest(void *arg)
{
	struct guest *g = arg;

	while (!done) {
		int r = guest_run(g);

		if (r != -EINTR && !met_a_conversion(g, r))
			return (void *)(intptr_t)(r ? -r : 1000 + (int)g->run->exit_reason);
	}
	return NULL;
}

static void nothing(int sig)
{
}

static pthread_t start_guest(struct guest *g)
{
	pthread_t thread;

	/* again: inc dword [0x8000]; jmp again */
	GUEST_CODE(g, INC_DATA, 0xeb, 0xf9);
	done = 0;
	assert_int_equal(pthread_create(&thread, NULL, run_guest, g), 0);
	return thread;
}

static void stop_guest(struct guest *g, pthread_t thread)
{
	void *wrong;

	done = 1;
	__atomic_store_n(&g->run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &wrong);
	assert_null(wrong);
	g->run->immediate_exit = 0;
}

static void wait_until_moves(volatile uint32_t *counter)
{
	uint32_t before = *counter;

	while (*counter == before)
		guest_sleep_us(10);
}

/* Neither state stops the guest, neither loses what it has counted. */
static void a_guest_counts_on(void **state)
{
	struct inplace t;
	pthread_t thread;
	uint32_t last = 0;
	uint8_t value;

	inplace_make(&t, 1, SHARED_FIRST);
	thread = start_guest(&t.g);
	for (int i = 0; i < 500; i++) {
		wait_until_moves(counter_of(&t));
		inplace_set(&t, 0, 1, PRIVATE);
		assert_int_equal(host_read(t.host, &value), SIGBUS);
		inplace_set(&t, 0, 1, 0);
		assert_true(*counter_of(&t) - last < 1u << 31);
		last = *counter_of(&t);
	}
	stop_guest(&t.g, thread);
	inplace_free(&t);
}

static void punches_beside_a_running_guest(void **state)
{
	struct inplace t;
	pthread_t thread;

	inplace_make(&t, 1, SHARED_FIRST);
	thread = start_guest(&t.g);
	for (int i = 0; i < 300; i++) {
		wait_until_moves(counter_of(&t));
		t.host[PAGE - 1] = 1;
		inplace_set(&t, 0, 1, PRIVATE);
		assert_int_equal(fallocate(t.fd, PUNCH, 0, PAGE), 0);
		inplace_set(&t, 0, 1, 0);
		assert_int_equal(t.host[PAGE - 1], 0);
	}
	stop_guest(&t.g, thread);
	inplace_free(&t);
}

/* ---- threads of the host ------------------------------------------------------------------------ */

/* Even: the state that it says (bit 1: private) holds for sure; odd: it may be changing. */
static _Atomic unsigned int epoch;

struct reader {
	struct inplace *t;
	int file; /* to read into the page by a system call; -1: touch it */
	unsigned int nr_shared, nr_private;
	const char *wrong;
};

static int access_page(struct reader *r)
{
	uint8_t value;

	if (r->file < 0)
		return host_read(r->t->host, &value);
	return pread(r->file, r->t->host + 8, 4, 0) == 4 ? 0 : errno;
}

static void *read_on(void *arg)
{
	struct reader *r = arg;

	while (!done) {
		unsigned int before = epoch, after;
		int result = access_page(r);

		after = epoch;
		if (before != after || before & 1)
			continue;
		if (before & 2) {
			r->nr_private++;
			if (result != (r->file < 0 ? SIGBUS : EFAULT))
				r->wrong = "an access to a private page";
		} else {
			r->nr_shared++;
			if (result)
				r->wrong = "no access to a shared page";
		}
	}
	return NULL;
}

/* A system call may hold the page for a moment. */
static void set_patiently(struct inplace *t, uint64_t attributes)
{
	int r;

	do {
		r = inplace_convert(t->fd, 0, PAGE, attributes, NULL);
	} while (r == -EAGAIN);
	assert_int_equal(r, 0);
}

static void every_access_is_as_the_state_says(void **state)
{
	struct reader readers[3];
	pthread_t threads[3];
	struct inplace t;
	int i, file = memfd_create("file", 0);

	assert_int_equal(write(file, "data", 4), 4);
	inplace_make(&t, 1, SHARED_FIRST);
	done = 0;
	epoch = 0;
	for (i = 0; i < 3; i++) {
		readers[i] = (struct reader){ .t = &t, .file = i == 2 ? file : -1 };
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
	}
	for (i = 0; i < 3000; i++) {
		epoch++;
		set_patiently(&t, i % 2 ? 0 : PRIVATE);
		epoch++;
		guest_sleep_us(i % 50);
	}
	done = 1;
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		if (readers[i].wrong)
			fail_msg("thread %d: %s", i, readers[i].wrong);
		assert_true(readers[i].nr_shared && readers[i].nr_private);
	}
	inplace_free(&t);
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_counts_on),
		cmocka_unit_test(punches_beside_a_running_guest),
		cmocka_unit_test(every_access_is_as_the_state_says),
	};

	inplace_need();
	signal(SIGUSR1, nothing);
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
