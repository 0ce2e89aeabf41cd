/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stores that ask the system for huge pages. */
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/attr_map.h"
#include "os/os.h"
#include "os/paths.h"
#include "store_model.h"

#define PAGE OS_PAGE_SIZE
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE_PATH (1u << OS_PATH_HUGE)

static uint32_t saved_off, saved_always;

/* Each test says what it is about, whatever the environment says. */
static int forget_paths(void **state)
{
	saved_off = os_paths_off;
	saved_always = os_paths_always;
	os_paths_off &= ~HUGE_PATH;
	os_paths_always &= ~HUGE_PATH;
	return 0;
}

static int restore_paths(void **state)
{
	os_paths_off = saved_off;
	os_paths_always = saved_always;
	return 0;
}

static void the_first_guest_access_brings_a_huge_page(void **state)
{
	struct store *s = make_store(3 * BLOCK, STORE_THP);

	guest_at(s, BLOCK + 5 * PAGE)[7] = 1;
	assert_int_equal(store_backed(s), BLOCK);
	assert_true(is_zero(at(s, BLOCK), 5 * PAGE + 7));
	assert_int_equal(at(s, BLOCK + 5 * PAGE)[7], 1);
	assert_true(is_zero(at(s, BLOCK + 6 * PAGE), BLOCK - 6 * PAGE));
	assert_int_equal(store_backed(s), BLOCK);
	store_destroy(s);
}

static void what_is_there_is_not_copied(void **state)
{
	struct store *s = make_store(BLOCK, STORE_THP);

	at(s, 3 * PAGE)[0] = 1;
	guest_at(s, 5 * PAGE)[0] = 2;
	assert_int_equal(store_backed(s), 2 * PAGE);
	assert_int_equal(at(s, 3 * PAGE)[0], 1);
	store_destroy(s);
}

static void whole_blocks_are_allocated_huge(void **state)
{
	struct store *s = make_store(4 * BLOCK, STORE_THP);
	uint64_t offset = BLOCK, size;

	assert_int_equal(store_allocate(s, PAGE, 2 * BLOCK), 0);
	assert_int_equal(store_backed(s), 2 * BLOCK);
	/* One in the middle; of the others what was asked for, and nothing in it. */
	offset = 0;
	assert_true(store_next_present(s, &offset, 4 * BLOCK, &size));
	assert_int_equal(offset, BLOCK);
	assert_int_equal(size, BLOCK);
	assert_true(is_zero(at(s, 0), 2 * BLOCK));
	store_destroy(s);
}

static void a_punched_block_is_filled_again(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_THP);

	memset(guest_at(s, 0), 0xaa, BLOCK);
	assert_int_equal(store_punch(s, 0, BLOCK), 0);
	assert_int_equal(store_backed(s), 0);
	guest_at(s, PAGE)[0] = 1;
	assert_int_equal(store_backed(s), BLOCK);
	assert_true(is_zero(at(s, 0), PAGE));
	store_destroy(s);
}

static void a_punched_piece_is_zero_and_freed(void **state)
{
	struct store *s = make_store(BLOCK, STORE_THP);

	memset(guest_at(s, 0), 0xaa, BLOCK);
	assert_int_equal(store_punch(s, 7 * PAGE, 2 * PAGE), 0);
	assert_int_equal(store_backed(s), BLOCK - 2 * PAGE);
	assert_true(is_zero(guest_at(s, 7 * PAGE), 2 * PAGE));
	assert_int_equal(at(s, 7 * PAGE - 1)[0], 0xaa);
	assert_int_equal(at(s, 9 * PAGE)[0], 0xaa);
	store_destroy(s);
}

static void the_rest_of_a_file_stays_small(void **state)
{
	struct store *s = make_store(BLOCK + 3 * PAGE, STORE_THP);

	guest_at(s, BLOCK + PAGE)[0] = 1;
	assert_int_equal(store_backed(s), PAGE);
	store_destroy(s);
}

/* Or blocks behind the first would be touched without a chance to be huge. */
static void a_mapping_ends_where_the_next_block_is_to_be_filled(void **state)
{
	struct store *s = make_store(STORE_WINDOW_SIZE + BLOCK, STORE_THP);
	uint64_t offset;

	assert_int_equal(store_level(s, 0), LEVEL_2M);
	for (offset = 0; offset < STORE_WINDOW_SIZE; offset += BLOCK) {
		assert_int_equal(store_level(s, 0), LEVEL_2M);
		/* Something is there, so that the test does not take a GiB. */
		at(s, offset)[0] = 1;
		assert_int_equal(store_fill(s, offset + PAGE), 0);
	}
	assert_int_equal(store_level(s, 0), LEVEL_1G);
	assert_int_equal(store_level(s, STORE_WINDOW_SIZE), LEVEL_2M);
	assert_int_equal(store_punch(s, BLOCK, 2 * BLOCK), 0);
	assert_int_equal(store_level(s, 0), LEVEL_2M);
	store_destroy(s);
}

static void without_the_path_pages_are_small(void **state)
{
	struct store *s;

	os_paths_off |= HUGE_PATH;
	s = make_store(STORE_WINDOW_SIZE, STORE_THP);
	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_backed(s), PAGE);
	assert_int_equal(store_level(s, 0), LEVEL_1G);
	store_destroy(s);
}

static void forced_every_store_has_them_but_one_that_must_not(void **state)
{
	struct store *s;

	os_paths_always |= HUGE_PATH;
	s = make_store(STORE_WINDOW_SIZE, STORE_4K);
	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_backed(s), BLOCK);
	assert_int_equal(store_level(s, 0), LEVEL_1G);
	store_destroy(s);
	s = make_store(STORE_WINDOW_SIZE, STORE_4K);
	store_stay_small(s);
	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_backed(s), PAGE);
	store_destroy(s);
}

#define NR_THREADS 4
#define NR_BLOCKS 8
static struct store *shared;

static void fill_own_pages(void *arg)
{
	uint64_t who = (uintptr_t)arg;

	for (uint64_t i = 0; i < NR_BLOCKS; i++) {
		uint64_t offset = (i + who) % NR_BLOCKS * BLOCK + who * PAGE;

		assert_int_equal(guest_at(shared, offset)[0], 0);
		memset(at(shared, offset), (int)who + 1, PAGE);
	}
}

static void threads_fill_beside_each_other(void **state)
{
	struct os_thread *t[NR_THREADS];

	shared = make_store(NR_BLOCKS * BLOCK, STORE_THP);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		assert_int_equal(os_thread_create(fill_own_pages, (void *)i, "f", &t[i]), 0);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		os_thread_join(t[i]);
	for (uint64_t i = 0; i < NR_BLOCKS; i++)
		for (uint64_t who = 0; who < NR_THREADS; who++) {
			uint8_t *p = at(shared, i * BLOCK + who * PAGE);

			assert_int_equal(p[0], who + 1);
			assert_memory_equal(p, p + 1, PAGE - 1);
		}
	store_destroy(shared);
}

static void contents_are_those_of_a_model(void **state)
{
	for (uint64_t seed = 1; seed < 4; seed++) {
		compare_with_model(STORE_4K, seed, 1500);
		compare_with_model(STORE_THP, seed, 1500);
	}
	os_paths_always |= HUGE_PATH;
	compare_with_model(STORE_4K, 4, 1500);
	os_paths_always &= ~HUGE_PATH;
	os_paths_off |= HUGE_PATH;
	compare_with_model(STORE_THP, 5, 1500);
}

/* The system is asked, not a store: one that does not ask for huge pages must not pass for a system without. */
static bool are_there_any(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC);
	char *room = mmap(NULL, 2 * BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)room + BLOCK - 1) & ~(BLOCK - 1));
	bool are = fd >= 0 && room != MAP_FAILED && !ftruncate(fd, BLOCK) &&
		   mmap(at, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at;

	if (are) {
		*at = 1;
		are = !madvise(at, BLOCK, MADV_COLLAPSE);
	}
	if (room != MAP_FAILED)
		munmap(room, 2 * BLOCK);
	close(fd);
	return are;
}

/* Bytes of the hidden view around p that huge pages back. */
static uint64_t huge_bytes(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to, kib, here = 0;
	uint64_t bytes = 0;
	char line[512];

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		if (here && sscanf(line, "ShmemPmdMapped: %lu kB", &kib) == 1)
			bytes = (uint64_t)kib << 10;
	}
	fclose(f);
	return bytes;
}

static void what_was_taken_apart_is_joined_when_it_is_whole_again(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_THP);

	memset(guest_at(s, 0), 0xaa, BLOCK);
	if (!huge_bytes(at(s, 0)))
		skip();
	assert_int_equal(store_punch(s, 5 * PAGE, PAGE), 0);
	assert_int_equal(huge_bytes(at(s, 0)), 0);
	/* What was given back stays so. */
	store_join(s, 0);
	assert_int_equal(huge_bytes(at(s, 0)), 0);
	assert_int_equal(store_backed(s), BLOCK - PAGE);
	/* The page that was missing is the one that is touched. */
	store_join(s, 5 * PAGE);
	assert_int_equal(huge_bytes(at(s, 0)), BLOCK);
	assert_true(is_zero(at(s, 5 * PAGE), PAGE));
	assert_int_equal(at(s, 4 * PAGE)[0], 0xaa);
	assert_int_equal(at(s, 6 * PAGE)[0], 0xaa);
	assert_int_equal(store_backed(s), BLOCK);
	store_destroy(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, forget_paths, restore_paths)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_guest_access_brings_a_huge_page),
		TEST(what_was_taken_apart_is_joined_when_it_is_whole_again),
		TEST(what_is_there_is_not_copied),
		TEST(whole_blocks_are_allocated_huge),
		TEST(a_punched_block_is_filled_again),
		TEST(a_punched_piece_is_zero_and_freed),
		TEST(the_rest_of_a_file_stays_small),
		TEST(a_mapping_ends_where_the_next_block_is_to_be_filled),
		TEST(without_the_path_pages_are_small),
		TEST(forced_every_store_has_them_but_one_that_must_not),
		TEST(threads_fill_beside_each_other),
		TEST(contents_are_those_of_a_model),
	};

	if (!are_there_any()) {
		puts("skipped: no huge page comes of MADV_COLLAPSE here");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
