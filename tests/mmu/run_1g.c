/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file on one huge page of 1 GiB that converts in place: what is private stays a matter of 4 KiB, and leaves follow. */
#include <stdio.h>

#define POOL_PATH "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
#include "../core/pool_run.h"
#include "fixture.h"
#include "mmu/mmu_private.h"

#define BASE GB
#define BLOCK (2ul << 20)

static void convert(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes)
{
	struct gmem_conversion c = { .offset = offset, .size = size, .attributes = attributes };

	assert_int_equal(gmem_file_convert(f, &c), 0);
}

/* No host maps it, so the huge page stays what it is; a shared page is the program's own. */
static void a_page_is_converted_in_it_and_back(void **state)
{
	const uint64_t converted = 7 * BLOCK + PAGE;
	uint8_t *shared = memory_make(PAGE, 0);
	struct gmem_file *file;
	struct memslot *slot;
	struct world w;

	shared[0] = 's';
	world_make_large(&w, true);
	assert_int_equal(
		gmem_file_create(GB, GMEM_FILE_IN_PLACE | GMEM_FILE_HUGETLB | GMEM_FILE_HUGETLB_1G,
				 &file),
		0);
	slot = slot_make_file(&w, 0, BASE / PAGE, GB / PAGE, shared - converted, file, 0);
	*(uint8_t *)touch_ok(w.v, BASE + 7 * BLOCK, MMU_WRITE) = 7;
	*(uint8_t *)touch_ok(w.v, BASE + converted, MMU_WRITE) = 8;
	assert_int_equal(mmu_mapped_level(w.mmu, BASE), LEVEL_1G);

	convert(file, converted, PAGE, 0);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + converted), -1);
	assert_int_equal(*(uint8_t *)touch_ok(w.v, BASE + converted, MMU_READ), 's');
	assert_int_equal(*(uint8_t *)touch_ok(w.v, BASE + 7 * BLOCK, MMU_READ), 7);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + 7 * BLOCK), LEVEL_4K);
	touch_ok(w.v, BASE + 8 * BLOCK, MMU_READ);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + 8 * BLOCK), LEVEL_2M);

	convert(file, converted, PAGE, ATTR_PRIVATE);
	assert_int_equal(*(uint8_t *)touch_ok(w.v, BASE + converted, MMU_READ), 8);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + 9 * BLOCK), LEVEL_1G);
	assert_int_equal(store_backed(gmem_file_store(file)), GB);
	mmu_check(w.mmu);

	memslot_delete(w.mmu, slot);
	file_unmake(file);
	world_unmake(&w);
	memory_unmake(shared, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_converted_in_it_and_back),
	};

	return pool_run(1, tests);
}
