/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The store: contents, windows, accounting. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr_map.h"
#include "core/store.h"
#include "fail_alloc.h"
#include "os/os.h"

#define PAGE OS_PAGE_SIZE
#define BIGGEST ((uint64_t)INT64_MAX & ~(uint64_t)(PAGE - 1))

static struct store *store_of(uint64_t size)
{
	struct store *s;

	assert_int_equal(store_create(size, STORE_4K, &s), 0);
	return s;
}

static uint8_t *at(struct store *s, uint64_t offset)
{
	void *addr;

	assert_int_equal(store_address(s, offset, &addr), 0);
	return addr;
}

static bool is_zero(const uint8_t *p, size_t size)
{
	return !p[0] && !memcmp(p, p + 1, size - 1);
}

static void pages_are_zero_when_first_seen(void **state)
{
	struct store *s = store_of(64 * PAGE);

	assert_true(is_zero(at(s, 0), 64 * PAGE));
	store_destroy(s);
}

static void a_punch_zeroes_and_frees(void **state)
{
	struct store *s = store_of(64 * PAGE);

	memset(at(s, 0), 0xaa, 64 * PAGE);
	assert_int_equal(store_backed(s), 64 * PAGE);
	assert_int_equal(store_punch(s, 3 * PAGE, 5 * PAGE), 0);
	assert_int_equal(store_backed(s), 59 * PAGE);
	assert_true(is_zero(at(s, 3 * PAGE), 5 * PAGE));
	assert_int_equal(at(s, 3 * PAGE - 1)[0], 0xaa);
	assert_int_equal(at(s, 8 * PAGE)[0], 0xaa);
	store_destroy(s);
}

static void allocation_backs_and_keeps_contents(void **state)
{
	struct store *s = store_of(16 * PAGE);

	at(s, PAGE)[7] = 9;
	assert_int_equal(store_allocate(s, 0, 4 * PAGE), 0);
	assert_int_equal(store_backed(s), 4 * PAGE);
	assert_int_equal(at(s, PAGE)[7], 9);
	store_destroy(s);
}

static void an_address_stays_and_is_one_window_long(void **state)
{
	struct store *s = store_of(3 * STORE_WINDOW_SIZE + PAGE);
	uint8_t *first = at(s, 0);
	uint8_t *second = at(s, STORE_WINDOW_SIZE);

	assert_ptr_equal(at(s, 5 * PAGE + 3), first + 5 * PAGE + 3);
	assert_ptr_equal(at(s, STORE_WINDOW_SIZE - 1), first + STORE_WINDOW_SIZE - 1);
	assert_ptr_equal(at(s, STORE_WINDOW_SIZE + PAGE), second + PAGE);
	assert_int_equal((uintptr_t)first % STORE_WINDOW_SIZE, 0);
	at(s, 3 * STORE_WINDOW_SIZE + PAGE - 1)[0] = 1;
	assert_ptr_equal(at(s, 0), first);
	assert_int_equal(store_backed(s), PAGE);
	store_destroy(s);
}

/* Sizes for which the table of windows has one, two and three levels. */
static void any_size_has_windows(void **state)
{
	static const uint64_t sizes[] = { PAGE,	      1ull << 41, (1ull << 41) + PAGE,
					  1ull << 48, 1ull << 52, (1ull << 52) + PAGE,
					  BIGGEST };
	struct rng rng = { 5 };
	unsigned int i, j;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct store *s = store_of(sizes[i]);
		uint64_t offset[20];

		for (j = 0; j < 20; j++) {
			offset[j] = j == 0 ? 0 : rng_below(&rng, sizes[i] / PAGE) * PAGE;
			if (j == 1)
				offset[j] = sizes[i] - PAGE;
			*(uint64_t *)at(s, offset[j]) = offset[j] + 1;
		}
		for (j = 0; j < 20; j++)
			assert_int_equal(*(uint64_t *)at(s, offset[j]), offset[j] + 1);
		store_destroy(s);
	}
}

static void the_level_ends_with_the_file(void **state)
{
	struct store *s = store_of(STORE_WINDOW_SIZE + (4ull << 20) + PAGE);

	assert_int_equal(store_level(s, 0), LEVEL_1G);
	assert_int_equal(store_level(s, STORE_WINDOW_SIZE - PAGE), LEVEL_1G);
	assert_int_equal(store_level(s, STORE_WINDOW_SIZE), LEVEL_2M);
	assert_int_equal(store_level(s, STORE_WINDOW_SIZE + (4ull << 20) - PAGE), LEVEL_2M);
	assert_int_equal(store_level(s, STORE_WINDOW_SIZE + (4ull << 20)), LEVEL_4K);
	store_destroy(s);
}

static void a_forked_child_has_no_window(void **state)
{
	struct store *s = store_of(PAGE);
	volatile uint8_t *p = at(s, 0);
	int status;
	pid_t pid;

	p[0] = 0x42;
	pid = fork();
	if (!pid) {
		/* Not even the sanitizer's or cmocka's word about the fault. */
		signal(SIGSEGV, SIG_DFL);
		_exit(p[0] == 0x42 ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	store_destroy(s);
}

static unsigned int nr_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int nr = 0;
	char line[512];

	while (fgets(line, sizeof(line), f))
		nr += strstr(line, "gmem-store") != NULL;
	fclose(f);
	return nr;
}

static void nothing_is_left_behind(void **state)
{
	uint64_t before = os_alloc_live();
	struct store *s = store_of(1ull << 50);
	int fd = store_fd(s);

	at(s, 0);
	at(s, 1ull << 49);
	assert_int_equal(nr_maps(), 2);
	assert_true(os_fd_is_ours(fd));
	store_destroy(s);
	assert_int_equal(nr_maps(), 0);
	assert_int_equal(os_alloc_live(), before);
	assert_false(os_fd_is_ours(fd));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void every_allocation_may_fail(void **state)
{
	uint64_t before = os_alloc_live();
	struct store *s = NULL;
	long allowed;
	void *addr;
	int err = -ENOMEM;

	for (allowed = 0; err; allowed++) {
		allow_allocs(allowed);
		err = store_create(1ull << 53, STORE_4K, &s);
		if (!err) {
			err = store_address(s, 1ull << 52, &addr);
			if (err)
				store_destroy(s);
		}
		allow_allocs(ALLOW_ALL);
		assert_true(!err || err == -ENOMEM);
		if (err)
			assert_int_equal(os_alloc_live(), before);
	}
	assert_true(allowed > 4);
	store_destroy(s);
}

#define NR_THREADS 4
static struct store *shared;
static void *seen[NR_THREADS][64];

static void look_at_windows(void *arg)
{
	unsigned int who = (unsigned int)(uintptr_t)arg;
	unsigned int i, w;

	for (i = 0; i < 64; i++) {
		w = (i + who * 5) % 64;
		assert_int_equal(store_address(shared, w * (STORE_WINDOW_SIZE << 9), &seen[who][w]),
				 0);
	}
}

static void threads_agree_on_windows(void **state)
{
	struct os_thread *t[NR_THREADS];
	unsigned int i, w;

	shared = store_of(1ull << 45);
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(
			os_thread_create(look_at_windows, (void *)(uintptr_t)i, "w", &t[i]), 0);
	for (i = 0; i < NR_THREADS; i++)
		os_thread_join(t[i]);
	for (i = 1; i < NR_THREADS; i++) {
		for (w = 0; w < 64; w++)
			assert_ptr_equal(seen[i][w], seen[0][w]);
	}
	store_destroy(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_zero_when_first_seen),
		cmocka_unit_test(a_punch_zeroes_and_frees),
		cmocka_unit_test(allocation_backs_and_keeps_contents),
		cmocka_unit_test(an_address_stays_and_is_one_window_long),
		cmocka_unit_test(any_size_has_windows),
		cmocka_unit_test(the_level_ends_with_the_file),
		cmocka_unit_test(a_forked_child_has_no_window),
		cmocka_unit_test(nothing_is_left_behind),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(threads_agree_on_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
