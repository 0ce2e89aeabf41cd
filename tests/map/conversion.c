/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A conversion of a file that this process has mapped, from the file down: who may stop it and when, and what the
 * program can touch afterwards.
 */
#include "map/host_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "map/guard.h"
#include "map/pins.h"
#include "os/os.h"
#include "os/paths.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define PAGE ((uint64_t)4096)
#define NR_PAGES 8
#define IN_PLACE (GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | GMEM_FILE_IN_PLACE)

/* Of the parts of windows that are to be hidden this one cannot be; 0: all can. */
static int fails_at;

int __real_guard_hide(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
int __wrap_guard_hide(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
int __wrap_guard_hide(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	if (fails_at && !--fails_at)
		return -ENOMEM;
	return __real_guard_hide(g, w, addr, size);
}

/* As the program may at any moment: once, a page that has just been dropped is touched. */
static volatile uint8_t *touched;

long __real_os_window_advise(uint64_t addr, uint64_t size, int advice);
long __wrap_os_window_advise(uint64_t addr, uint64_t size, int advice);
long __wrap_os_window_advise(uint64_t addr, uint64_t size, int advice)
{
	long ret = __real_os_window_advise(addr, size, advice);
	uint64_t at = (uint64_t)(uintptr_t)touched;

	if (advice == MADV_DONTNEED_LOCKED && at >= addr && at < addr + size) {
		(void)*touched;
		touched = NULL;
	}
	return ret;
}

static void count(void *owner)
{
}

static const struct host_map_ops ops = { .get = count, .put = count };

struct scene {
	struct gmem_consumer guest; /* begins before the host does */
	unsigned int nr_begins, nr_aborts;
	uint64_t pin_at; /* in begin: this byte is pinned; UINT64_MAX: none */
	struct pin *pin;
	bool maps; /* in begin: another thread maps the file */
	struct os_thread *mapper;
	_Atomic uint32_t mapped;
	bool waited;
	struct gmem_file *file;
	struct host_file *host;
	struct host_map *m;
	uint8_t *window[2]; /* the whole file, twice */
	uint8_t *third;
	int pipe[2];
};

static uint8_t *map_whole(struct scene *s);

static void map_third(void *arg)
{
	struct scene *s = arg;

	s->third = map_whole(s);
	atomic_store(&s->mapped, 1);
	os_wake_all(&s->mapped);
}

/* True: it is not through. */
static bool keeps_waiting(struct scene *s)
{
	uint64_t end = os_clock_ns() + 20000000;

	while (!atomic_load(&s->mapped) && os_clock_ns() < end)
		os_wait(&s->mapped, 0, 1000000);
	return !atomic_load(&s->mapped);
}

static int begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct scene *s = (struct scene *)c;

	s->nr_begins++;
	if (s->maps) {
		assert_int_equal(os_thread_create(map_third, s, "mapper", &s->mapper), 0);
		s->waited = keeps_waiting(s);
	}
	if (s->pin_at != UINT64_MAX)
		assert_int_equal(pin_intend(s->host, s->pin_at, 1, &s->pin), 0);
	return 0;
}

static void end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct scene *s = (struct scene *)c;

	s->nr_aborts += ch->aborted;
}

static const struct gmem_consumer_ops guest_ops = { .begin = begin, .end = end };

static uint8_t *map_whole(struct scene *s)
{
	uint64_t at;

	assert_int_equal(host_map_mmap(s->m, s->host, s, 0, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
				       MAP_SHARED, 0, &at),
			 0);
	return (uint8_t *)(uintptr_t)at;
}

static void scene_make(struct scene *s, unsigned int flags)
{
	*s = (struct scene){ .guest = { .ops = &guest_ops }, .pin_at = UINT64_MAX };
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, flags, &s->file), 0);
	assert_int_equal(host_map_create(&ops, &s->m), 0);
	assert_int_equal(host_file_create(s->m, s->file, &s->host), 0);
	gmem_file_add_consumer(s->file, &s->guest);
	for (int i = 0; i < 2; i++)
		s->window[i] = map_whole(s);
	assert_int_equal(pipe(s->pipe), 0);
}

static void scene_unmake(struct scene *s)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(host_map_munmap(s->m, (uintptr_t)s->window[i], NR_PAGES * PAGE),
				 0);
	close(s->pipe[0]);
	close(s->pipe[1]);
	gmem_file_remove_consumer(s->file, &s->guest);
	gmem_file_check(s->file);
	host_file_put(s->host);
	gmem_file_put(s->file);
	host_map_destroy(s->m);
}

static int convert(struct scene *s, uint64_t page, uint64_t nr, uint32_t attributes,
		   uint64_t *where)
{
	struct gmem_conversion c = { .offset = page * PAGE,
				     .size = nr * PAGE,
				     .attributes = attributes };
	int err = host_file_convert(s->host, &c);

	*where = err ? c.error_offset / PAGE : UINT64_MAX;
	return err;
}

static int to_private(struct scene *s, uint64_t page, uint64_t nr)
{
	uint64_t where;

	return convert(s, page, nr, ATTR_PRIVATE, &where);
}

static int to_shared(struct scene *s, uint64_t page, uint64_t nr)
{
	uint64_t where;

	return convert(s, page, nr, 0, &where);
}

/* Without a signal: by the kernel. */
static bool readable(struct scene *s, const uint8_t *at)
{
	uint8_t byte;

	if (write(s->pipe[1], at, 1) != 1)
		return false;
	assert_int_equal(read(s->pipe[0], &byte, 1), 1);
	return true;
}

/* In all windows alike, as the file says: "+" can be read, "-" cannot. */
static void expect(struct scene *s, const char *pages)
{
	for (uint64_t page = 0; pages[page]; page++) {
		bool shown = pages[page] == '+';

		assert_int_equal(gmem_file_is_private(s->file, page * PAGE), !shown);
		for (int i = 0; i < 2; i++)
			assert_int_equal(readable(s, s->window[i] + page * PAGE), shown);
	}
}

static void every_window_is_hidden_and_shown(void **state)
{
	struct scene s;

	scene_make(&s, IN_PLACE);
	expect(&s, "++++++++");
	assert_int_equal(to_private(&s, 2, 3), 0);
	expect(&s, "++---+++");
	assert_int_equal(to_shared(&s, 3, 1), 0);
	expect(&s, "++-+-+++");
	assert_int_equal(to_shared(&s, 0, NR_PAGES), 0);
	expect(&s, "++++++++");
	scene_unmake(&s);
}

/* In the second window, or in the second part of what is to be hidden in the first. */
static void what_was_hidden_in_part_is_shown_again(void **state)
{
	struct scene s;

	for (int part = 1; part <= 2; part++) {
		scene_make(&s, IN_PLACE);
		assert_int_equal(to_private(&s, 4, 1), 0);
		fails_at = part;
		assert_int_equal(to_private(&s, 2, 5), -ENOMEM);
		assert_int_equal(fails_at, 0);
		assert_int_equal(s.nr_aborts, 1);
		expect(&s, "++++-+++");
		assert_int_equal(to_private(&s, 2, 5), 0);
		expect(&s, "++-----+");
		scene_unmake(&s);
	}
}

/* It would be made by what the file says before the change, and nobody would hide it. */
static void nobody_maps_the_file_in_the_middle(void **state)
{
	struct scene s;

	scene_make(&s, IN_PLACE);
	s.maps = true;
	assert_int_equal(to_private(&s, 2, 3), 0);
	os_thread_join(s.mapper);
	assert_true(s.waited);
	for (uint64_t page = 0; page < NR_PAGES; page++)
		assert_int_equal(readable(&s, s.third + page * PAGE), page < 2 || page >= 5);
	assert_int_equal(host_map_munmap(s.m, (uintptr_t)s.third, NR_PAGES * PAGE), 0);
	scene_unmake(&s);
}

/* Where pages are hidden one by one, each is dropped and then marked: one that comes back in between is dropped
 * again. */
static void a_page_that_is_touched_while_it_is_hidden_is_hidden(void **state)
{
	uint32_t always = os_paths_always, off = os_paths_off;
	struct scene s;

	os_paths_always |= 1u << OS_PATH_MARKS;
	os_paths_off &= ~(1u << OS_PATH_MARKS);
	scene_make(&s, IN_PLACE);
	for (uint64_t page = 2; page < 5; page++) {
		touched = s.window[0] + page * PAGE;
		assert_int_equal(to_private(&s, 2, 3), 0);
		/* None where the system has no marks. */
		touched = NULL;
		expect(&s, "++---+++");
		assert_int_equal(to_shared(&s, 2, 3), 0);
		expect(&s, "++++++++");
	}
	scene_unmake(&s);
	os_paths_always = always;
	os_paths_off = off;
}

static void a_pinned_page_stops_it_before_anything_is_touched(void **state)
{
	struct pin *pin;
	uint64_t where;
	struct scene s;

	scene_make(&s, IN_PLACE);
	assert_int_equal(pin_intend(s.host, 3 * PAGE + 7, 1, &pin), 0);
	assert_int_equal(convert(&s, 1, 5, ATTR_PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 3);
	assert_int_equal(s.nr_begins, 0);
	expect(&s, "++++++++");
	assert_int_equal(to_private(&s, 0, 3), 0);
	assert_int_equal(to_private(&s, 4, 2), 0);
	expect(&s, "---+--++");
	pin_drop(pin);
	assert_int_equal(to_private(&s, 1, 5), 0);
	expect(&s, "------++");
	scene_unmake(&s);
}

/* Between the first look, when all are asked, and the hiding: the host looks again. */
static void a_pin_that_comes_in_between_stops_it(void **state)
{
	uint64_t where;
	struct scene s;

	scene_make(&s, IN_PLACE);
	s.pin_at = 4 * PAGE;
	assert_int_equal(convert(&s, 1, 5, ATTR_PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 4);
	assert_int_equal(s.nr_begins, 1);
	assert_int_equal(s.nr_aborts, 1);
	expect(&s, "++++++++");
	pin_drop(s.pin);
	s.pin_at = UINT64_MAX;
	assert_int_equal(to_private(&s, 1, 5), 0);
	expect(&s, "+-----++");
	scene_unmake(&s);
}

/* A byte of a page is the page; none is not. */
static void a_pin_holds_the_pages_it_reaches_into(void **state)
{
	static const struct {
		uint64_t offset, size;
		const char *after;
	} cases[] = {
		{ 2 * PAGE, PAGE, "--+-----" },		{ 2 * PAGE, PAGE + 1, "--++----" },
		{ 3 * PAGE - 1, 1, "--+-----" },	{ 3 * PAGE - 1, 2, "--++----" },
		{ PAGE, 2 * PAGE - 1, "-++-----" },	{ 7 * PAGE + 4095, 1, "-------+" },
		{ 0, NR_PAGES * PAGE - 1, "++++++++" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pin *pin;
		struct scene s;

		scene_make(&s, IN_PLACE);
		assert_int_equal(pin_intend(s.host, cases[i].offset, cases[i].size, &pin), 0);
		for (uint64_t page = 0; page < NR_PAGES; page++)
			assert_int_equal(to_private(&s, page, 1),
					 cases[i].after[page] == '+' ? -EAGAIN : 0);
		expect(&s, cases[i].after);
		pin_drop(pin);
		scene_unmake(&s);
	}
}

/* It is the guest's: a mapping shows nothing, and a touch brings no page to life. */
static void a_file_that_begins_private_has_nothing_for_the_host(void **state)
{
	struct scene s;

	scene_make(&s, GMEM_FILE_MMAP);
	for (uint64_t page = 0; page < NR_PAGES; page++)
		assert_false(readable(&s, s.window[0] + page * PAGE));
	assert_int_equal(store_backed(gmem_file_store(s.file)), 0);
	scene_unmake(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_window_is_hidden_and_shown),
		cmocka_unit_test(what_was_hidden_in_part_is_shown_again),
		cmocka_unit_test(nobody_maps_the_file_in_the_middle),
		cmocka_unit_test(a_page_that_is_touched_while_it_is_hidden_is_hidden),
		cmocka_unit_test(a_pinned_page_stops_it_before_anything_is_touched),
		cmocka_unit_test(a_pin_that_comes_in_between_stops_it),
		cmocka_unit_test(a_pin_holds_the_pages_it_reaches_into),
		cmocka_unit_test(a_file_that_begins_private_has_nothing_for_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
