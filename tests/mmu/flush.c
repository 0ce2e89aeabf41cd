/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Whatever takes a translation away asks every vCPU to flush, also where the translation was one of few in a
 * large range, or in one of several places that one change meets. One thread: what is asked is seen at once.
 */
#include "fixture.h"

#define BASE GB
#define NR_PAGES ((uint64_t)32)

struct scene {
	struct world w;
	struct gmem_file *file; /* its first half in slot 0, the second in slot 1, far away */
	struct memslot *slot[2];
	struct memslot *logged; /* slot 2: memory of the program with a log */
	/* 3 and 4: a page beside each half, which nothing changes, so that the tables stay */
	uint8_t *memory;
};

#define FAR (BASE + GB)
#define LOGGED (BASE + 2 * GB)
#define BESIDE(gpa) ((gpa) + 2 * NR_PAGES * PAGE)
#define MEMORY_SIZE ((3 * NR_PAGES + 1) * PAGE)

static void scene_make(struct scene *s, unsigned int flags)
{
	world_make(&s->w, true);
	s->memory = memory_make(MEMORY_SIZE, 0);
	assert_int_equal(gmem_file_create(2 * NR_PAGES * PAGE, flags, &s->file), 0);
	s->slot[0] = slot_make_file(&s->w, 0, BASE / PAGE, NR_PAGES, s->memory, s->file, 0);
	s->slot[1] = slot_make_file(&s->w, 1, FAR / PAGE, NR_PAGES, s->memory + NR_PAGES * PAGE,
				    s->file, NR_PAGES * PAGE);
	slot_make(&s->w, 3, BESIDE(BASE) / PAGE, 1, s->memory + 3 * NR_PAGES * PAGE, 0);
	slot_make(&s->w, 4, BESIDE(FAR) / PAGE, 1, s->memory + 3 * NR_PAGES * PAGE, 0);
	s->logged = slot_make(&s->w, 2, LOGGED / PAGE, NR_PAGES, s->memory + 2 * NR_PAGES * PAGE,
			      MEMSLOT_LOG_DIRTY);
}

static void scene_unmake(struct scene *s)
{
	if (s->file)
		file_unmake(s->file);
	world_unmake(&s->w);
	memory_unmake(s->memory, MEMORY_SIZE);
}

static bool is_asked(struct scene *s)
{
	bool asked = mmu_vcpu_requests(s->w.v) & MMU_REQ_FLUSH;

	if (asked) {
		mmu_vcpu_enter(s->w.v);
		mmu_vcpu_flush_begin(s->w.v);
		mmu_vcpu_flush_end(s->w.v);
		mmu_vcpu_leave(s->w.v);
	}
	return asked;
}

/* The page at gpa, and no other of the scene, is known to the vCPU; then the change. */
static void expect_flush(struct scene *s, uint64_t gpa, void (*change)(struct scene *s))
{
	mmu_invalidate_begin(s->w.mmu, 0, 4 * GB / PAGE);
	mmu_invalidate_end(s->w.mmu, 0, 4 * GB / PAGE);
	is_asked(s);
	touch_ok(s->w.v, BESIDE(BASE), MMU_READ);
	touch_ok(s->w.v, BESIDE(FAR), MMU_READ);
	touch_ok(s->w.v, gpa, MMU_WRITE);
	assert_false(is_asked(s));
	change(s);
	assert_true(is_asked(s));
	mmu_check(s->w.mmu);
}

/* ---- by gfn ------------------------------------------------------------------------------------- */

static void all_private(struct scene *s)
{
	assert_int_equal(mmu_set_attributes(s->w.mmu, BASE / PAGE, NR_PAGES, ATTR_PRIVATE), 0);
	assert_int_equal(mmu_set_attributes(s->w.mmu, FAR / PAGE, NR_PAGES, ATTR_PRIVATE), 0);
}

static void all_shared(struct scene *s)
{
	assert_int_equal(mmu_set_attributes(s->w.mmu, 0, 4 * GB / PAGE, 0), 0);
}

static void punch_all(struct scene *s)
{
	assert_int_equal(gmem_file_punch(s->file, 0, 2 * NR_PAGES * PAGE), 0);
}

static void release(struct scene *s)
{
	gmem_file_release(s->file);
	gmem_file_put(s->file);
	s->file = NULL;
}

static void by_the_vms_attributes(void **state)
{
	struct scene s;

	scene_make(&s, 0);
	expect_flush(&s, BASE + 5 * PAGE, all_private);
	expect_flush(&s, FAR, all_shared);
	scene_unmake(&s);
}

static void by_a_punch_in_either_slot(void **state)
{
	struct scene s;

	scene_make(&s, 0);
	all_private(&s);
	expect_flush(&s, BASE + 5 * PAGE, punch_all);
	expect_flush(&s, FAR + 5 * PAGE, punch_all);
	scene_unmake(&s);
}

static void by_a_release(void **state)
{
	for (int slot = 0; slot < 2; slot++) {
		struct scene s;

		scene_make(&s, 0);
		all_private(&s);
		expect_flush(&s, slot ? FAR : BASE, release);
		scene_unmake(&s);
	}
}

/* ---- in place ----------------------------------------------------------------------------------- */

static void make_private(struct scene *s)
{
	assert_int_equal(file_convert(s->file, 0, 2 * NR_PAGES * PAGE, ATTR_PRIVATE), 0);
}

static void make_shared(struct scene *s)
{
	assert_int_equal(file_convert(s->file, 0, 2 * NR_PAGES * PAGE, 0), 0);
}

/* One page in each half is so already: what changes is in parts. */
static void in_parts(struct scene *s, uint32_t attributes)
{
	assert_int_equal(file_convert(s->file, 2 * PAGE, PAGE, attributes), 0);
	assert_int_equal(file_convert(s->file, (NR_PAGES + 2) * PAGE, PAGE, attributes), 0);
}

static void by_a_conversion_in_place(void **state)
{
	static const uint64_t pages[] = { BASE, BASE + 9 * PAGE, FAR, FAR + (NR_PAGES - 1) * PAGE };

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct scene s;

		scene_make(&s, GMEM_FILE_IN_PLACE | GMEM_FILE_INIT_SHARED);
		in_parts(&s, ATTR_PRIVATE);
		expect_flush(&s, pages[i], make_private);
		in_parts(&s, 0);
		expect_flush(&s, pages[i], make_shared);
		expect_flush(&s, pages[i], punch_all);
		scene_unmake(&s);
	}
}

/* ---- slots and memory of the program ------------------------------------------------------------ */

static void delete_first(struct scene *s)
{
	memslot_delete(s->w.mmu, s->slot[0]);
}

static void move_logged(struct scene *s)
{
	assert_int_equal(memslot_move(s->w.mmu, s->logged, LOGGED / PAGE + 100, MEMSLOT_LOG_DIRTY,
				      false),
			 0);
}

static void stop_logging(struct scene *s)
{
	assert_int_equal(memslot_set_flags(s->w.mmu, s->logged, 0, false), 0);
}

static void take_log(struct scene *s)
{
	uint64_t log;

	memslot_dirty_get(s->w.mmu, s->logged, &log, true);
	assert_int_equal(log, (uint64_t)1 << 7);
}

static void clear_log(struct scene *s)
{
	uint64_t bits = UINT64_MAX;

	memslot_dirty_clear(s->w.mmu, s->logged, 0, NR_PAGES, &bits);
}

static void unmap(struct scene *s)
{
	uint64_t hva = (uint64_t)(uintptr_t)s->memory;

	assert_true(mmu_hva_invalidate_begin(s->w.mmu, hva, 3 * NR_PAGES * PAGE));
	mmu_hva_invalidate_end(s->w.mmu, hva, 3 * NR_PAGES * PAGE);
}

static void by_changes_of_slots_and_logs(void **state)
{
	struct scene s;

	scene_make(&s, 0);
	expect_flush(&s, LOGGED + 7 * PAGE, take_log);
	expect_flush(&s, LOGGED + 7 * PAGE, clear_log);
	expect_flush(&s, LOGGED, unmap);
	expect_flush(&s, BASE, unmap);
	expect_flush(&s, FAR + 3 * PAGE, unmap);
	expect_flush(&s, LOGGED, stop_logging);
	expect_flush(&s, LOGGED, move_logged);
	expect_flush(&s, BASE + 7 * PAGE, delete_first);
	scene_unmake(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_the_vms_attributes),
		cmocka_unit_test(by_a_punch_in_either_slot),
		cmocka_unit_test(by_a_release),
		cmocka_unit_test(by_a_conversion_in_place),
		cmocka_unit_test(by_changes_of_slots_and_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
