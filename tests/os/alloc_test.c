/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The allocator: what it hands out is zero, apart from everything else, and counted. */
#include "test.h"

#include <string.h>

#include "os/os.h"
#include "os/sanitize.h"

#define NR_SLOTS 400
#define NR_THREADS 4

struct slot {
	uint8_t *ptr;
	size_t size;
	uint8_t fill;
};

static uint64_t next(uint64_t *x)
{
	*x = *x * 6364136223846793005ull + 1442695040888963407ull;
	return *x >> 33;
}

static bool all_bytes_are(const uint8_t *p, size_t size, uint8_t value)
{
	return !size || (p[0] == value && !memcmp(p, p + 1, size - 1));
}

static size_t random_size(uint64_t *x)
{
	switch (next(x) % 8) {
	case 0:
		return 32768 + next(x) % 100000;
	case 1:
		return next(x) % 40000;
	default:
		return next(x) % 600;
	}
}

static void shuffle(uint64_t seed, int rounds)
{
	struct slot slots[NR_SLOTS] = { 0 };
	struct slot *s;
	int i;

	for (i = 0; i < rounds + NR_SLOTS; i++) {
		s = &slots[i < rounds ? next(&seed) % NR_SLOTS : (uint64_t)(i - rounds)];
		if (s->ptr) {
			os_assert(all_bytes_are(s->ptr, s->size, s->fill));
			os_free(s->ptr, s->size);
			s->ptr = NULL;
		} else if (i < rounds) {
			s->size = random_size(&seed);
			s->fill = (uint8_t)next(&seed) | 1;
			s->ptr = os_alloc(s->size);
			os_assert(s->ptr && (uintptr_t)s->ptr % 16 == 0);
			os_assert(all_bytes_are(s->ptr, s->size, 0));
			memset(s->ptr, s->fill, s->size);
		}
	}
}

static void memory_is_zero_and_nobody_elses(void **state)
{
	uint64_t before = os_alloc_live();

	shuffle(1, 20000);
	assert_int_equal(os_alloc_live(), before);
}

static void shuffle_thread(void *arg)
{
	shuffle((uintptr_t)arg + 10, 10000);
}

static void threads_share_the_allocator(void **state)
{
	uint64_t before;
	struct os_thread *t[NR_THREADS];
	uint64_t i;

	before = os_alloc_live();
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(os_thread_create(shuffle_thread, (void *)i, "alloc", &t[i]), 0);
	for (i = 0; i < NR_THREADS; i++)
		os_thread_join(t[i]);
	assert_int_equal(os_alloc_live(), before);
}

static void every_size_can_be_had(void **state)
{
	size_t size;
	uint8_t *p;

	for (size = 0; size < 70000; size += size < 600 ? 1 : 61) {
		p = os_alloc(size);
		assert_non_null(p);
		assert_true(all_bytes_are(p, size, 0));
		memset(p, 0xff, size);
		os_free(p, size);
	}
	/* Through a pointer: a compiler that sees the size refuses to compile it. */
	size = SIZE_MAX;
	if (!OS_ASAN && !OS_TSAN) {
		assert_null(os_alloc(size));
		assert_null(os_alloc(size / 2));
	}
	os_free(NULL, 5);
}

#if !OS_ASAN && !OS_TSAN

static int free_twice(void)
{
	void *p = os_alloc(100);

	os_free(p, 100);
	os_free(p, 100);
	return 0;
}

static int free_with_another_size(void)
{
	os_free(os_alloc(100), 200);
	return 0;
}

static int free_what_was_never_ours(void)
{
	static char chunk[1 << 20];

	os_free(chunk + (1 << 19), 64);
	return 0;
}

static void wrong_frees_are_told(void **state)
{
	assert_true(died_of(in_child(free_twice), SIGABRT));
	assert_true(died_of(in_child(free_with_another_size), SIGABRT));
	assert_true(died_of(in_child(free_what_was_never_ours), SIGABRT));
}

static _Atomic bool stop;

/* Nothing but allocation, so that the fork finds them in it. */
static void allocate_on_and_on(void *arg)
{
	void *last = NULL;

	while (!atomic_load(&stop)) {
		void *p = os_alloc(64);

		os_free(last, 64);
		last = p;
	}
	os_free(last, 64);
}

static int allocate_in_child(void)
{
	os_after_fork();
	alarm(20);
	shuffle(3, 300);
	return 42;
}

/* The fork may happen at any point of another thread's allocation. */
static void a_forked_child_can_allocate(void **state)
{
	struct os_thread *t[2];
	uint64_t i;

	for (i = 0; i < 2; i++)
		assert_int_equal(os_thread_create(allocate_on_and_on, NULL, "a", &t[i]), 0);
	for (i = 0; i < 25; i++)
		assert_true(exited_with(in_child(allocate_in_child), 42));
	atomic_store(&stop, true);
	for (i = 0; i < 2; i++)
		os_thread_join(t[i]);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zero_and_nobody_elses),
		cmocka_unit_test(threads_share_the_allocator),
		cmocka_unit_test(every_size_can_be_had),
#if !OS_ASAN && !OS_TSAN
		cmocka_unit_test(wrong_frees_are_told),
		cmocka_unit_test(a_forked_child_can_allocate),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
