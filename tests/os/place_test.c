/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What gmem maps for itself is where neither the kernel nor the program puts anything. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/place.h"
#include "os/sanitize.h"
#include "os/window.h"

#define PAGE OS_PAGE_SIZE
#define MB2 ((size_t)2 << 20)
#define GB ((size_t)1 << 30)
#define TB ((size_t)1 << 40)
#define FIRST (20 * TB)
#define LAST (40 * TB)
#define RW (OS_MAP_READ | OS_MAP_WRITE)

static bool is_ours(const void *at)
{
	return (uintptr_t)at >= FIRST && (uintptr_t)at < LAST;
}

static uint8_t *map_anon(size_t size)
{
	void *at;

	assert_int_equal(os_map_anon(size, RW, &at), 0);
	return at;
}

/* Of the program: there, unless something is. */
static bool put(const void *at, size_t size)
{
	void *got = mmap((void *)(uintptr_t)at, size, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	return got == at;
}

static void note_stack(void *at)
{
	*(void *volatile *)at = __builtin_frame_address(0);
}

static void all_of_ours_is_there(void **state)
{
	struct os_thread *t;
	void *at, *stack;
	int fd;

	assert_true(is_ours(map_anon(PAGE)));
	assert_true(is_ours(map_anon(3 * MB2)));
	assert_int_equal(os_memfd_create("test", 2 * GB, &fd), 0);
	assert_int_equal(os_map_file(fd, 0, GB, GB, RW, &at), 0);
	assert_true(is_ours(at) && (uintptr_t)at % GB == 0);
	assert_int_equal(os_map_file(fd, PAGE, PAGE, 0, RW, &at), 0);
	assert_true(is_ours(at));
	assert_true(is_ours((void *)os_window_aside(MB2, fd, 0)));
	os_fd_close(fd);
	assert_int_equal(os_thread_create(note_stack, &stack, "stack", &t), 0);
	os_thread_join(t);
	assert_true(is_ours(stack));
	if (OS_ASAN)
		return;
	assert_true(is_ours(os_alloc(16)));
	assert_true(is_ours(os_alloc(16 * PAGE)));
}

static void what_the_program_gets_is_not_there(void **state)
{
	void *at;

	assert_int_equal(os_reserve(PAGE, PAGE, 0, &at), 0);
	assert_false(is_ours(at));
	assert_false(is_ours(
		(void *)os_window_map(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
}

static void what_is_in_the_way_stays(void **state)
{
	uint8_t *small = map_anon(PAGE), *large = map_anon(MB2), *next;

	/* Where the next would come: a page, and far more than is left on that side. */
	assert_true(put(small + PAGE, PAGE));
	next = map_anon(PAGE);
	assert_true(is_ours(next) && next != small + PAGE && small[PAGE] == 0);
	assert_true(put(large - 3 * TB, 3 * TB));
	next = map_anon(MB2);
	assert_true(is_ours(next) && (next < large - 3 * TB || next >= large));
	next[0] = 1;
	munmap(large - 3 * TB, 3 * TB);
	munmap(small + PAGE, PAGE);
}

static void a_place_that_is_left_is_taken_again(void **state)
{
	int fd;
	long at, to = (long)map_anon(MB2);
	uint8_t *small = map_anon(PAGE), *large = map_anon(MB2);

	for (int i = 0; i < 3; i++) {
		os_unmap(small, PAGE);
		os_unmap(large, MB2);
		assert_ptr_equal(map_anon(PAGE), small);
		assert_ptr_equal(map_anon(MB2), large);
	}
	assert_int_equal(os_memfd_create("test", MB2, &fd), 0);
	at = os_window_aside(MB2, fd, 0);
	assert_true(at > 0);
	assert_int_equal(os_window_move((uint64_t)at, MB2, MB2, MREMAP_MAYMOVE | MREMAP_FIXED,
					(uint64_t)to),
			 to);
	assert_int_equal(os_window_aside(MB2, fd, 0), at);
	os_fd_close(fd);
}

static int nothing_is_left(void)
{
	uint64_t at;
	uint8_t *own;
	void *file;
	int fd;

	/* What is free of it, and a page of every other part that a GiB could have. */
	for (size_t size = TB; size >= GB; size /= 2)
		for (at = FIRST; at < LAST; at += size)
			put((void *)at, size);
	for (at = FIRST; at < LAST; at += GB)
		put((void *)at, PAGE);
	own = map_anon(GB);
	own[0] = own[GB - 1] = 1;
	if (is_ours(own) || os_memfd_create("test", MB2, &fd) ||
	    os_map_file(fd, 0, MB2, GB, RW, &file))
		return 1;
	*(char *)file = 1;
	return is_ours(file) || (uintptr_t)file % GB ? 2 : 0;
}

static void without_a_place_the_kernel_chooses(void **state)
{
	assert_true(exited_with(in_child(nothing_is_left), 0));
}

#define NR_THREADS 4
#define NR_EACH 64

static void *map_and_unmap(void *arg)
{
	static const size_t sizes[] = { PAGE, 5 * PAGE, MB2, 3 * MB2 };
	uint8_t *at[NR_EACH] = { NULL }, self = (uint8_t)(uintptr_t)arg;

	for (unsigned int i = 0; i < 200 * NR_EACH; i++) {
		unsigned int n = i * 37 % NR_EACH;
		size_t size = sizes[n % 4];

		if (at[n] && at[n][0] != self)
			return arg;
		if (at[n])
			os_unmap(at[n], size);
		if (os_map_anon(size, RW, (void **)&at[n]) || at[n][0])
			return arg;
		at[n][0] = self;
	}
	for (unsigned int n = 0; n < NR_EACH; n++)
		os_unmap(at[n], sizes[n % 4]);
	return NULL;
}

static void threads_get_places_of_their_own(void **state)
{
	pthread_t threads[NR_THREADS];
	void *bad;

	for (uintptr_t i = 0; i < NR_THREADS; i++)
		pthread_create(&threads[i], NULL, map_and_unmap, (void *)(i + 1));
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
}

static _Atomic uint32_t nr_ended;

static void leave_by_itself(void *thread)
{
	struct os_thread *_Atomic *self = thread;

	while (!*self)
		os_yield();
	os_thread_detach(*self);
	nr_ended++;
}

/* The stack of one that nobody joins is given back when the next begins. */
static void stacks_do_not_pile_up(void **state)
{
	uint8_t *last = map_anon(PAGE), *now;

	for (uint32_t i = 0; i < 400; i++) {
		struct os_thread *_Atomic self = NULL;
		struct os_thread *t;

		assert_int_equal(os_thread_create(leave_by_itself, &self, "t", &t), 0);
		self = t;
		while (nr_ended <= i)
			os_yield();
	}
	now = map_anon(PAGE);
	assert_true(is_ours(now) && now < last + 50 * MB2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_ours_is_there),
		cmocka_unit_test(what_the_program_gets_is_not_there),
		cmocka_unit_test(what_is_in_the_way_stays),
		cmocka_unit_test(a_place_that_is_left_is_taken_again),
		cmocka_unit_test(without_a_place_the_kernel_chooses),
		cmocka_unit_test(threads_get_places_of_their_own),
		cmocka_unit_test(stacks_do_not_pile_up),
	};

	if (OS_TSAN) {
		print_message("the thread sanitizer has places of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
