/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Runs of a file that is made of the system's huge pages, which are not always there in full. */
#include <stdio.h>
#include <string.h>

#include "../core/pool_run.h"
#include "fixture.h"
#include "mmu/mmu_private.h"

#define BASE GB
#define BLOCK_PAGES ((uint64_t)512)

/*
 * A page that was punched and is mapped without a fault of its own would still count as punched while the guest
 * writes it, and be freed with the last of the others.
 */
static void a_page_that_was_punched_is_not_mapped_along_with_another(void **state)
{
	uint8_t *memory = memory_make(BLOCK_PAGES * PAGE, 0);
	struct gmem_file *file;
	struct memslot *slot;
	struct mmu_leaf leaf;
	struct world w;

	world_make_large(&w, true);
	assert_int_equal(
		gmem_file_create(BLOCK_PAGES * PAGE,
				 GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | GMEM_FILE_HUGETLB, &file),
		0);
	slot = slot_make_file(&w, 0, BASE / PAGE, BLOCK_PAGES, memory, file, 0);
	touch_ok(w.v, BASE, MMU_WRITE);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE), LEVEL_2M);
	assert_int_equal(gmem_file_punch(file, 3 * PAGE, 2 * PAGE), 0);

	touch_ok(w.v, BASE + 3 * PAGE, MMU_WRITE);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + 3 * PAGE), LEVEL_4K);
	assert_false(walk(w.v, BASE + 4 * PAGE, MMU_READ, &leaf));
	memset(touch_ok(w.v, BASE + 4 * PAGE, MMU_WRITE), 'x', PAGE);

	assert_int_equal(gmem_file_punch(file, 0, 4 * PAGE), 0);
	assert_int_equal(gmem_file_punch(file, 5 * PAGE, (BLOCK_PAGES - 5) * PAGE), 0);
	assert_int_equal(*(uint8_t *)touch_ok(w.v, BASE + 4 * PAGE, MMU_READ), 'x');
	mmu_check(w.mmu);

	memslot_delete(w.mmu, slot);
	file_unmake(file);
	world_unmake(&w);
	memory_unmake(memory, BLOCK_PAGES * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_that_was_punched_is_not_mapped_along_with_another),
	};

	return pool_run(1, tests);
}
