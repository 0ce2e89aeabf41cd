/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What an observer sees of guest faults: each is counted by what came of it, and for what. */
#include <errno.h>

#include "../obs/observed.h"
#include "core/gmem_file.h"
#include "fixture.h"

#define BASE GB
#define NR ((uint64_t)4)
#define HVA_BASE (2 * GB)
#define BAD_HVA 0x1000

static struct gmem_file *file;
static uint8_t *memory;

/* Slot 3 has a file, all private; slot 4 is memory of the program; there is none where slot 5 says. */
static void make(struct world *w)
{
	observed_begin();
	world_make(w, true);
	memory = memory_make(NR * PAGE, 0);
	assert_int_equal(gmem_file_create(NR * PAGE, 0, &file), 0);
	slot_make_file(w, 3, BASE / PAGE, NR, memory, file, 0);
	slot_make(w, 4, HVA_BASE / PAGE, NR, memory, 0);
	slot_make(w, 5, 3 * GB / PAGE, 1, (void *)BAD_HVA, 0);
	assert_int_equal(mmu_set_attributes(w->mmu, BASE / PAGE, NR, ATTR_PRIVATE), 0);
}

static void unmake(struct world *w)
{
	world_unmake(w);
	file_unmake(file);
	memory_unmake(memory, NR * PAGE);
	observed_end();
}

static uint64_t nr_of(enum obs_detail detail)
{
	return atomic_load(&obs_lane_at(observed_region, 0)->details[detail].nr);
}

/* The fault is one more of this, and of nothing else; and one more of all. */
static void counts_as(struct world *w, uint64_t gpa, uint32_t access, enum mmu_fault_result how,
		      enum obs_detail detail)
{
	struct mmu_fault_info info;
	uint64_t before[OBS_NR_DETAILS];
	uint64_t all = observed_nr(OBS_GUEST_FAULT);

	for (int i = 0; i < OBS_NR_DETAILS; i++)
		before[i] = nr_of((enum obs_detail)i);
	assert_int_equal(mmu_fault(w->v, gpa, access, false, &info), how);
	for (int i = 0; i < OBS_NR_DETAILS; i++)
		assert_int_equal(nr_of((enum obs_detail)i), before[i] + (i == (int)detail));
	assert_int_equal(observed_nr(OBS_GUEST_FAULT), all + 1);
}

static void a_fault_counts_as_what_came_of_it(void **state)
{
	struct world w;

	make(&w);
	counts_as(&w, BASE, MMU_READ, MMU_FAULT_OK, OBS_FAULT_PRIVATE_READ);
	counts_as(&w, BASE, MMU_EXEC, MMU_FAULT_OK, OBS_FAULT_PRIVATE_READ);
	counts_as(&w, BASE + PAGE, MMU_WRITE, MMU_FAULT_OK, OBS_FAULT_PRIVATE_WRITE);
	counts_as(&w, HVA_BASE, MMU_READ, MMU_FAULT_OK, OBS_FAULT_SHARED_READ);
	counts_as(&w, HVA_BASE + PAGE, MMU_WRITE, MMU_FAULT_OK, OBS_FAULT_SHARED_WRITE);
	counts_as(&w, 5 * GB, MMU_READ, MMU_FAULT_MMIO, OBS_FAULT_MMIO);
	counts_as(&w, 3 * GB, MMU_READ, MMU_FAULT_ERROR, OBS_FAULT_ERROR);
	/* Private memory that no file can give. */
	assert_int_equal(mmu_set_attributes(w.mmu, HVA_BASE / PAGE, 1, ATTR_PRIVATE), 0);
	counts_as(&w, HVA_BASE, MMU_READ, MMU_FAULT_MEMORY, OBS_FAULT_TOLD);
	unmake(&w);
}

static void what_nobody_observes_is_not_counted(void **state)
{
	struct mmu_fault_info info;
	struct world w;

	make(&w);
	obs_detach();
	assert_int_equal(mmu_fault(w.v, BASE, MMU_READ, false, &info), MMU_FAULT_OK);
	for (int i = 0; i < OBS_NR_DETAILS; i++)
		assert_int_equal(nr_of((enum obs_detail)i), 0);
	unmake(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_counts_as_what_came_of_it),
		cmocka_unit_test(what_nobody_observes_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
