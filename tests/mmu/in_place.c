/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Slots whose file says itself what its pages are. */
#include <errno.h>
#include <string.h>

#include "../cpu_time.h"
#include "fixture.h"

#define BASE GB
#define NR_PAGES ((uint64_t)1536)

struct place {
	struct world w;
	struct gmem_file *file;
	uint8_t *memory; /* of the program, behind the slot */
};

static void place_make(struct place *p, bool has_private, unsigned int flags)
{
	world_make_large(&p->w, has_private);
	p->memory = memory_make(NR_PAGES * PAGE, 0);
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, flags | GMEM_FILE_IN_PLACE, &p->file),
			 0);
	slot_make_file(&p->w, 0, BASE / PAGE, NR_PAGES, p->memory, p->file, 0);
}

static void place_unmake(struct place *p)
{
	if (p->file)
		file_unmake(p->file);
	world_unmake(&p->w);
	memory_unmake(p->memory, NR_PAGES * PAGE);
}

static void to(struct place *p, uint32_t attributes, uint64_t page, uint64_t nr)
{
	assert_int_equal(file_convert(p->file, page * PAGE, nr * PAGE, attributes), 0);
	mmu_check(p->w.mmu);
}

static uint64_t gpa_of(uint64_t page)
{
	return BASE + page * PAGE;
}

static uint8_t *touch_page(struct place *p, uint64_t page)
{
	uint8_t *host = touch_ok(p->w.v, gpa_of(page), MMU_WRITE);

	mmu_check(p->w.mmu);
	return host;
}

static void assert_from_file(struct place *p, uint64_t page)
{
	assert_ptr_equal(touch_page(p, page), file_address(p->file, page * PAGE));
}

static void assert_from_memory(struct place *p, uint64_t page)
{
	assert_ptr_equal(touch_page(p, page), p->memory + page * PAGE);
}

static void assert_memory_fault(struct place *p, uint64_t page, int error, bool is_private)
{
	struct mmu_fault_info info;
	struct mmu_leaf leaf;

	assert_int_equal(touch(p->w.v, gpa_of(page), MMU_READ, &leaf, &info), MMU_FAULT_MEMORY);
	assert_int_equal(info.error, error);
	assert_int_equal(info.is_private, is_private);
	assert_int_equal(info.gpa, gpa_of(page));
	assert_int_equal(info.size, PAGE);
}

static bool is_mapped(struct place *p, uint64_t page)
{
	return mmu_mapped_level(p->w.mmu, gpa_of(page)) >= 0;
}

static int level_at(struct place *p, uint64_t page)
{
	return mmu_mapped_level(p->w.mmu, gpa_of(page));
}

/* ---- which memory ------------------------------------------------------------------------------ */

static void without_mmap_shared_pages_are_the_programs(void **state)
{
	struct place p;

	place_make(&p, true, 0);
	assert_from_file(&p, 5);
	to(&p, 0, 5, 1);
	assert_from_memory(&p, 5);
	assert_from_file(&p, 4);
	assert_from_file(&p, 6);
	to(&p, ATTR_PRIVATE, 5, 1);
	assert_from_file(&p, 5);
	place_unmake(&p);
}

static void with_mmap_every_page_is_the_files(void **state)
{
	struct place p;

	place_make(&p, true, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);
	touch_page(&p, 5)[7] = 0x5a;
	assert_from_file(&p, 5);
	to(&p, ATTR_PRIVATE, 5, 1);
	assert_from_file(&p, 5);
	/* The contents stay. */
	assert_int_equal(touch_page(&p, 5)[7], 0x5a);
	place_unmake(&p);
}

static void the_vms_attributes_have_no_say_in_such_a_slot(void **state)
{
	struct place p;

	place_make(&p, true, GMEM_FILE_INIT_SHARED);
	to(&p, ATTR_PRIVATE, 0, 512);
	assert_int_equal(mmu_set_attributes(p.w.mmu, BASE / PAGE + 3, 800, ATTR_PRIVATE), 0);
	assert_from_memory(&p, 600);
	assert_from_file(&p, 2);
	assert_int_equal(level_at(&p, 2), LEVEL_2M);
	place_unmake(&p);
}

static void without_a_slot_a_page_is_shared(void **state)
{
	struct place p;
	struct mmu_fault_info info;
	struct mmu_leaf leaf;

	place_make(&p, true, 0);
	assert_from_file(&p, 5);
	memslot_delete(p.w.mmu, memslot_find(p.w.mmu, 0, 0));
	assert_int_equal(touch(p.w.v, gpa_of(5), MMU_READ, &leaf, &info), MMU_FAULT_MMIO);
	slot_make(&p.w, 1, BASE / PAGE, NR_PAGES, p.memory, 0);
	assert_from_memory(&p, 5);
	/* What the file says outlives the slot, wherever the next one is. */
	memslot_delete(p.w.mmu, memslot_find(p.w.mmu, 0, 1));
	to(&p, 0, 6, 1);
	slot_make_file(&p.w, 2, BASE / PAGE, 8, p.memory, p.file, PAGE);
	assert_ptr_equal(touch_page(&p, 4), file_address(p.file, 5 * PAGE));
	assert_from_memory(&p, 5);
	place_unmake(&p);
}

static void after_the_release_a_page_is_shared(void **state)
{
	struct place p;

	place_make(&p, true, 0);
	assert_from_file(&p, 5);
	file_unmake(p.file);
	p.file = NULL;
	assert_false(is_mapped(&p, 5));
	assert_from_memory(&p, 5);
	place_unmake(&p);

	place_make(&p, true, GMEM_FILE_MMAP);
	assert_from_file(&p, 5);
	file_unmake(p.file);
	p.file = NULL;
	assert_memory_fault(&p, 5, -EFAULT, false);
	place_unmake(&p);
}

static void a_vm_without_private_memory_cannot_use_a_private_page(void **state)
{
	static const unsigned int flags[] = { 0, GMEM_FILE_MMAP };

	for (int i = 0; i < 2; i++) {
		struct place p;

		place_make(&p, false, flags[i]);
		assert_memory_fault(&p, 5, -EFAULT, false);
		to(&p, 0, 5, 1);
		if (flags[i])
			assert_from_file(&p, 5);
		else
			assert_from_memory(&p, 5);
		to(&p, ATTR_PRIVATE, 5, 1);
		assert_false(is_mapped(&p, 5));
		assert_memory_fault(&p, 5, -EFAULT, false);
		place_unmake(&p);
	}
}

/* ---- levels ------------------------------------------------------------------------------------ */

static void a_leaf_is_as_large_as_the_state_is_uniform(void **state)
{
	static const unsigned int flags[] = { 0, GMEM_FILE_MMAP };

	for (int i = 0; i < 2; i++) {
		struct place p;

		place_make(&p, true, flags[i] | GMEM_FILE_INIT_SHARED);
		touch_page(&p, 5);
		touch_page(&p, 600);
		assert_int_equal(level_at(&p, 5), LEVEL_2M);
		to(&p, ATTR_PRIVATE, 7, 1);
		assert_false(is_mapped(&p, 5));
		assert_int_equal(level_at(&p, 600), LEVEL_2M);
		touch_page(&p, 5);
		assert_int_equal(level_at(&p, 5), LEVEL_4K);
		assert_from_file(&p, 7);
		to(&p, ATTR_PRIVATE, 0, 512);
		assert_from_file(&p, 5);
		assert_int_equal(level_at(&p, 5), LEVEL_2M);
		place_unmake(&p);
	}
}

/* A block of guest pages whose file pages are none: 100 pages off. */
static void memory_is_not_mapped_over_a_private_page_of_a_file_that_lies_askew(void **state)
{
	struct place p;
	uint64_t page;

	place_make(&p, true, GMEM_FILE_INIT_SHARED);
	memslot_delete(p.w.mmu, memslot_find(p.w.mmu, 0, 0));
	slot_make_file(&p.w, 0, BASE / PAGE, 1024, p.memory, p.file, 100 * PAGE);
	touch_ok(p.w.v, BASE, MMU_WRITE);
	assert_int_equal(level_at(&p, 0), LEVEL_2M);
	for (page = 100; page < 100 + 1024; page += 511) {
		to(&p, ATTR_PRIVATE, page, 1);
		assert_ptr_equal(touch_ok(p.w.v, gpa_of(page - 100), MMU_READ),
				 file_address(p.file, page * PAGE));
		/* A neighbour in the same block. */
		touch_ok(p.w.v, gpa_of((page - 100) ^ 1), MMU_READ);
		assert_int_equal(level_at(&p, (page - 100) ^ 1), LEVEL_4K);
		mmu_check(p.w.mmu);
		to(&p, 0, page, 1);
	}
	/* Pages of the file around the slot do not matter. */
	to(&p, ATTR_PRIVATE, 99, 1);
	to(&p, ATTR_PRIVATE, 100 + 1024, 1);
	touch_ok(p.w.v, BASE, MMU_READ);
	assert_int_equal(level_at(&p, 0), LEVEL_2M);
	place_unmake(&p);
}

/* ---- what a conversion drops -------------------------------------------------------------------- */

static void what_is_so_already_stays_mapped(void **state)
{
	struct place p;
	uint64_t page;

	place_make(&p, true, GMEM_FILE_INIT_SHARED);
	to(&p, ATTR_PRIVATE, 4, 1);
	to(&p, ATTR_PRIVATE, 8, 1);
	for (page = 0; page < 16; page++)
		touch_page(&p, page);
	to(&p, ATTR_PRIVATE, 0, 12);
	for (page = 0; page < 16; page++)
		assert_int_equal(is_mapped(&p, page), page == 4 || page == 8 || page >= 12);
	for (page = 0; page < 12; page++)
		touch_page(&p, page);
	to(&p, 0, 4, 1);
	for (page = 0; page < 16; page++)
		assert_int_equal(is_mapped(&p, page), page != 4);
	place_unmake(&p);
}

static void a_punch_drops_both_kinds(void **state)
{
	struct place p;

	place_make(&p, true, GMEM_FILE_INIT_SHARED | GMEM_FILE_MMAP);
	to(&p, ATTR_PRIVATE, 4, 1);
	touch_page(&p, 4)[0] = 1;
	touch_page(&p, 5)[0] = 1;
	assert_int_equal(gmem_file_punch(p.file, 4 * PAGE, 2 * PAGE), 0);
	assert_false(is_mapped(&p, 4) || is_mapped(&p, 5));
	assert_int_equal(touch_page(&p, 4)[0] | touch_page(&p, 5)[0], 0);
	assert_true(gmem_file_is_private(p.file, 4 * PAGE));
	assert_false(gmem_file_is_private(p.file, 5 * PAGE));
	place_unmake(&p);
}

static void every_slot_and_every_vm_hears(void **state)
{
	struct place p, q;

	place_make(&p, true, GMEM_FILE_INIT_SHARED);
	memslot_delete(p.w.mmu, memslot_find(p.w.mmu, 0, 0));
	slot_make_file(&p.w, 0, 4 * BASE / PAGE, 8, p.memory, p.file, 0);
	slot_make_file(&p.w, 1, 2 * BASE / PAGE, 8, p.memory + 8 * PAGE, p.file, 8 * PAGE);
	world_make(&q.w, true);
	slot_make_file(&q.w, 1, 7 * BASE / PAGE, 8, p.memory + 16 * PAGE, p.file, 16 * PAGE);
	touch_ok(p.w.v, 4 * BASE + 7 * PAGE, MMU_WRITE);
	touch_ok(p.w.v, 2 * BASE, MMU_WRITE);
	touch_ok(q.w.v, 7 * BASE, MMU_WRITE);
	to(&p, ATTR_PRIVATE, 7, 10);
	assert_ptr_equal(touch_ok(p.w.v, 4 * BASE + 7 * PAGE, MMU_WRITE),
			 file_address(p.file, 7 * PAGE));
	assert_ptr_equal(touch_ok(p.w.v, 2 * BASE, MMU_WRITE), file_address(p.file, 8 * PAGE));
	assert_ptr_equal(touch_ok(q.w.v, 7 * BASE, MMU_WRITE), file_address(p.file, 16 * PAGE));
	mmu_check(p.w.mmu);
	mmu_check(q.w.mmu);
	world_unmake(&q.w);
	place_unmake(&p);
}

/* ---- the VM type -------------------------------------------------------------------------------- */

struct type {
	struct gmem_file *file;
	int nr, error;
	uint64_t last;
};

static int prepare(void *arg, uint64_t offset, uint64_t size)
{
	struct type *t = arg;
	uint64_t from = offset, present;

	assert_int_equal(size, PAGE);
	assert_true(store_next_present(gmem_file_store(t->file), &from, offset + PAGE, &present));
	assert_int_equal(from, offset);
	t->nr++;
	t->last = offset;
	return t->error;
}

static const struct gmem_type_ops type_ops = { .prepare = prepare };

static void type_of(struct place *p, struct type *t)
{
	*t = (struct type){ .file = p->file };
	gmem_file_set_type(p->file, &type_ops, t);
}

static void a_private_page_is_prepared_before_it_is_mapped(void **state)
{
	struct place p;
	struct type t;

	place_make(&p, true, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);
	type_of(&p, &t);
	touch_page(&p, 5);
	assert_int_equal(t.nr, 0);
	to(&p, ATTR_PRIVATE, 0, NR_PAGES);
	t.error = -EIO;
	assert_memory_fault(&p, 5, -EIO, true);
	assert_memory_fault(&p, 5, -EIO, true);
	assert_int_equal(t.nr, 2);
	t.error = 0;
	touch_page(&p, 5);
	assert_int_equal(t.nr, 3);
	assert_int_equal(t.last, 5 * PAGE);
	/* One by one, though all is of one kind. */
	assert_int_equal(level_at(&p, 5), LEVEL_4K);
	touch_page(&p, 6);
	assert_int_equal(t.nr, 4);
	/* The leaf goes, the page stays what it is. */
	mmu_invalidate_begin(p.w.mmu, BASE / PAGE, BASE / PAGE + NR_PAGES);
	mmu_invalidate_end(p.w.mmu, BASE / PAGE, BASE / PAGE + NR_PAGES);
	touch_page(&p, 5);
	assert_int_equal(t.nr, 4);
	assert_int_equal(gmem_file_punch(p.file, 5 * PAGE, PAGE), 0);
	touch_page(&p, 5);
	assert_int_equal(t.nr, 5);
	to(&p, 0, 5, 1);
	touch_page(&p, 5);
	to(&p, ATTR_PRIVATE, 5, 1);
	touch_page(&p, 5);
	assert_int_equal(t.nr, 6);
	place_unmake(&p);
}

/* The same of a file whose VM says what is private. */
static void a_page_is_prepared_when_the_vm_says_so(void **state)
{
	struct world w;
	struct gmem_file *file;
	struct place p;
	struct type t;

	world_make_large(&w, true);
	assert_int_equal(gmem_file_create(8 * PAGE, 0, &file), 0);
	p = (struct place){ .w = w, .file = file, .memory = memory_make(8 * PAGE, 0) };
	type_of(&p, &t);
	slot_make_file(&w, 0, BASE / PAGE, 8, p.memory, file, 0);
	touch_ok(w.v, BASE, MMU_READ);
	assert_int_equal(t.nr, 0);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1, ATTR_PRIVATE), 0);
	touch_ok(w.v, BASE, MMU_READ);
	assert_int_equal(t.nr, 1);
	file_unmake(file);
	world_unmake(&w);
	memory_unmake(p.memory, 8 * PAGE);
}

/* ---- cost --------------------------------------------------------------------------------------- */

static uint64_t convert_each(struct place *p, uint32_t attributes)
{
	struct gmem_conversion c = { .size = PAGE, .attributes = attributes };
	uint64_t start = cpu_time_ns();

	for (c.offset = 0; c.offset < NR_PAGES * PAGE; c.offset += 2 * PAGE)
		assert_int_equal(gmem_file_convert(p->file, &c), 0);
	return (cpu_time_ns() - start) / (NR_PAGES / 2);
}

static void one_page_is_converted_fast(void **state)
{
	struct place p;
	uint64_t page, ns, ns_touched;

	place_make(&p, true, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);
	ns = convert_each(&p, ATTR_PRIVATE);
	for (page = 0; page < NR_PAGES; page++)
		touch_ok(p.w.v, gpa_of(page), MMU_WRITE);
	ns_touched = convert_each(&p, 0);
	print_message("a conversion of one page: %llu ns, %llu ns with a leaf\n",
		      (unsigned long long)ns, (unsigned long long)ns_touched);
	/* Sanitizers included. */
	assert_true(ns < 50000 && ns_touched < 50000);
	place_unmake(&p);
}

/* The guest loses a large leaf, has the pages around the bad one, and is told when it touches that. */
static void memory_that_has_failed_ends_the_access(void **state)
{
	struct mmu_fault_info info;
	struct mmu_leaf leaf;
	struct place p;

	place_make(&p, true, GMEM_FILE_MMAP);
	touch_page(&p, 600)[0] = 6;
	assert_int_equal(mmu_mapped_level(p.w.mmu, gpa_of(601)), LEVEL_2M);
	assert_int_equal(gmem_file_poison(p.file, 601 * PAGE, PAGE), 0);
	assert_false(walk(p.w.v, gpa_of(601), MMU_READ, &leaf));
	assert_int_equal(touch_page(&p, 600)[0], 6);
	assert_int_equal(touch(p.w.v, gpa_of(601), MMU_READ, &leaf, &info), MMU_FAULT_MEMORY);
	assert_int_equal(info.error, -EHWPOISON);
	assert_true(info.is_private);
	assert_int_equal(gmem_file_punch(p.file, 601 * PAGE, PAGE), 0);
	assert_int_equal(touch_page(&p, 601)[0], 0);
	assert_int_equal(mmu_mapped_level(p.w.mmu, gpa_of(601)), LEVEL_2M);
	place_unmake(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_has_failed_ends_the_access),
		cmocka_unit_test(without_mmap_shared_pages_are_the_programs),
		cmocka_unit_test(with_mmap_every_page_is_the_files),
		cmocka_unit_test(the_vms_attributes_have_no_say_in_such_a_slot),
		cmocka_unit_test(without_a_slot_a_page_is_shared),
		cmocka_unit_test(after_the_release_a_page_is_shared),
		cmocka_unit_test(a_vm_without_private_memory_cannot_use_a_private_page),
		cmocka_unit_test(a_leaf_is_as_large_as_the_state_is_uniform),
		cmocka_unit_test(
			memory_is_not_mapped_over_a_private_page_of_a_file_that_lies_askew),
		cmocka_unit_test(what_is_so_already_stays_mapped),
		cmocka_unit_test(a_punch_drops_both_kinds),
		cmocka_unit_test(every_slot_and_every_vm_hears),
		cmocka_unit_test(a_private_page_is_prepared_before_it_is_mapped),
		cmocka_unit_test(a_page_is_prepared_when_the_vm_says_so),
		cmocka_unit_test(one_page_is_converted_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
