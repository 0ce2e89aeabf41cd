/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guests that run while their pages are converted in place, punched, unbound and bound. Without MMAP a shared
 * page is memory of the program and a private one is the file's, so each kind has a place where nobody may be
 * once the other kind has been asked for; with MMAP both are the file's, and nobody may be there between begin
 * and end. The test writes there, plainly: a guest that comes is seen, and the thread sanitizer reports it.
 */
#include <string.h>

#include "guest.h"

#define NR_GUESTS 2
#define NR_CONVERTERS 2
#define NR_PAGES ((uint64_t)64)
#define SHARE (NR_PAGES / NR_CONVERTERS)
#define BASE GB
#define RUN_NS 700000000ull

static struct race {
	struct world w;
	struct guest guests[NR_GUESTS];
	struct gmem_file *file;
	uint8_t *memory;
	struct os_mutex slots; /* the VM's slots lock */
	_Atomic bool stop;
	_Atomic uint64_t violations, conversions, punches, binds;
	struct os_thread *threads[8];
	int nr_threads;
} race;

static void violated_if(bool wrong)
{
	atomic_fetch_add_explicit(&race.violations, wrong, memory_order_relaxed);
}

static void bind_slot(struct race *r)
{
	slot_make_file(&r->w, 0, BASE / PAGE, NR_PAGES, r->memory, r->file, 0);
}

static void race_make(unsigned int flags)
{
	struct race *r = &race;

	memset(r, 0, sizeof(*r));
	world_make(&r->w, true);
	r->memory = memory_make(NR_PAGES * PAGE, 0);
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, flags | GMEM_FILE_IN_PLACE, &r->file),
			 0);
	os_mutex_init(&r->slots);
	bind_slot(r);
	for (uint64_t i = 0; i < NR_GUESTS; i++) {
		r->guests[i] = (struct guest){ .base = BASE, .nr_pages = NR_PAGES };
		guest_start(&r->guests[i], r->w.mmu, i + 1);
	}
}

static void start(void (*fn)(void *), uintptr_t nr)
{
	struct race *r = &race;

	for (uintptr_t i = 0; i < nr; i++)
		assert_int_equal(
			os_thread_create(fn, (void *)i, "race", &r->threads[r->nr_threads++]), 0);
}

static bool enough(struct race *r)
{
	return atomic_load(&r->conversions) > 100;
}

static void race_run(void)
{
	static _Atomic uint32_t idle;
	struct race *r = &race;
	uint64_t end = os_clock_ns() + RUN_NS;

	while (os_clock_ns() < end || (!enough(r) && os_clock_ns() < end + 20 * RUN_NS))
		os_wait(&idle, 0, 10000000);
	atomic_store(&r->stop, true);
	while (r->nr_threads)
		os_thread_join(r->threads[--r->nr_threads]);
	for (int i = 0; i < NR_GUESTS; i++) {
		guest_stop(&r->guests[i]);
		assert_true(os_racy_load(&r->guests[i].accesses) > 0);
	}
	print_message("%llu conversions, %llu punches, %llu binds, %llu accesses\n",
		      (unsigned long long)atomic_load(&r->conversions),
		      (unsigned long long)atomic_load(&r->punches),
		      (unsigned long long)atomic_load(&r->binds),
		      (unsigned long long)os_racy_load(&r->guests[0].accesses));
	assert_int_equal(atomic_load(&r->violations), 0);
	assert_true(enough(r));
}

static void race_unmake(void)
{
	struct race *r = &race;

	file_unmake(r->file);
	world_unmake(&r->w);
	memory_unmake(r->memory, NR_PAGES * PAGE);
}

static uint64_t *word(uint8_t *pages, uint64_t page)
{
	return (uint64_t *)(void *)(pages + page * PAGE);
}

/* Nobody may touch these pages now. */
static void watch(uint8_t *pages, uint64_t first, uint64_t nr, uint64_t pattern)
{
	for (uint64_t i = first; i < first + nr; i++)
		*word(pages, i) = pattern + i;
	for (int spin = 0; spin < 30; spin++) {
		os_relax();
		for (uint64_t i = first; i < first + nr; i++)
			violated_if(*(volatile uint64_t *)word(pages, i) != pattern + i);
	}
}

/* A punched page that nobody may touch stays empty. */
static void watch_empty(uint8_t *pages, uint64_t first, uint64_t nr)
{
	for (int spin = 0; spin < 30; spin++) {
		os_relax();
		for (uint64_t i = first; i < first + nr; i++)
			violated_if(*(volatile uint64_t *)word(pages, i) != 0);
	}
}

static void pick(uint64_t *random, uint64_t base, uint64_t limit, uint64_t *first, uint64_t *nr)
{
	*first = guest_random(random) % limit;
	*nr = 1 + guest_random(random) % 8;
	if (*nr > limit - *first)
		*nr = limit - *first;
	*first += base;
}

static void convert(uint64_t first, uint64_t nr, uint32_t attributes)
{
	violated_if(file_convert(race.file, first * PAGE, nr * PAGE, attributes) != 0);
	atomic_fetch_add(&race.conversions, 1);
}

/* ---- each kind has its place -------------------------------------------------------------------- */

/* Its own pages; the file's content is the punchers' too, so there a page that must not be reached is emptied. */
static void converter(void *arg)
{
	uint64_t base = (uintptr_t)arg * SHARE, random = 17 + (uintptr_t)arg, first, nr;
	uint8_t *in_file = file_address(race.file, 0);

	while (!atomic_load(&race.stop)) {
		pick(&random, base, SHARE, &first, &nr);
		convert(first, nr, ATTR_PRIVATE);
		watch(race.memory, first, nr, guest_random(&random));
		convert(first, nr, 0);
		violated_if(gmem_file_punch(race.file, first * PAGE, nr * PAGE) != 0);
		watch_empty(in_file, first, nr);
	}
}

static void puncher(void *arg)
{
	uint64_t random = 170, first, nr;

	while (!atomic_load(&race.stop)) {
		pick(&random, 0, NR_PAGES, &first, &nr);
		violated_if(gmem_file_punch(race.file, first * PAGE, nr * PAGE) != 0);
		atomic_fetch_add(&race.punches, 1);
		os_yield();
	}
}

static void binder(void *arg)
{
	while (!atomic_load(&race.stop)) {
		os_mutex_lock(&race.slots);
		memslot_delete(race.w.mmu, memslot_find(race.w.mmu, 0, 0));
		bind_slot(&race);
		os_mutex_unlock(&race.slots);
		atomic_fetch_add(&race.binds, 1);
		for (int i = 0; i < 20; i++)
			os_yield();
	}
}

static void after_a_conversion_the_other_kind_is_out_of_reach(void **state)
{
	race_make(0);
	start(converter, NR_CONVERTERS);
	race_run();
	race_unmake();
}

static void punches_and_bindings_beside_it_change_nothing(void **state)
{
	race_make(GMEM_FILE_INIT_SHARED);
	start(converter, NR_CONVERTERS);
	start(puncher, 1);
	start(binder, 1);
	race_run();
	assert_true(atomic_load(&race.punches) && atomic_load(&race.binds));
	race_unmake();
}

/* ---- both kinds are the file's -------------------------------------------------------------------- */

/* The host: it begins last, and then the pages that change are its own until the end. */
static int host_begin(struct gmem_consumer *c, const struct gmem_change *change)
{
	uint8_t *in_file = file_address(race.file, 0);
	uint64_t at = 0, offset, size;

	while (gmem_change_next(change, &at, &offset, &size))
		watch(in_file, offset / PAGE, size / PAGE, change->generation << 8);
	return 0;
}

static void host_end(struct gmem_consumer *c, const struct gmem_change *change)
{
}

static const struct gmem_consumer_ops host_ops = { .begin = host_begin, .end = host_end };

static void convert_anywhere(void *arg)
{
	uint64_t random = 23 + (uintptr_t)arg, first, nr;

	while (!atomic_load(&race.stop)) {
		pick(&random, 0, NR_PAGES, &first, &nr);
		convert(first, nr, (uint32_t)guest_random(&random) & ATTR_PRIVATE);
	}
}

static void between_begin_and_end_nobody_is_there(void **state)
{
	struct gmem_consumer host = { .ops = &host_ops, .last = true };

	race_make(GMEM_FILE_MMAP);
	gmem_file_add_consumer(race.file, &host);
	start(convert_anywhere, NR_CONVERTERS);
	start(puncher, 1);
	start(binder, 1);
	race_run();
	gmem_file_remove_consumer(race.file, &host);
	race_unmake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_conversion_the_other_kind_is_out_of_reach),
		cmocka_unit_test(punches_and_bindings_beside_it_change_nothing),
		cmocka_unit_test(between_begin_and_end_nobody_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
