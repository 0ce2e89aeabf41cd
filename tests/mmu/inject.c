/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guest accesses, conversions and shootdowns that end, fail or are slow on purpose. */
#include <errno.h>

#include "../inject/rules.h"
#include "fixture.h"
#include "os/fail.h"

#define BASE GB
#define NR ((uint64_t)1024)
#define HVA_BASE (2 * GB)

static struct mmu_fault_info info;
static struct gmem_file *file;
static uint8_t *memory;

/* Slot 3 has a file, all private; slot 4 is memory of the program alone. */
static struct inject_table *make(struct world *w, const struct inject_rule *rules, uint32_t nr)
{
	struct inject_table *t = rules_begin(rules, nr);

	world_make(w, true);
	memory = memory_make(NR * PAGE, 0);
	assert_int_equal(gmem_file_create(NR * PAGE, 0, &file), 0);
	slot_make_file(w, 3, BASE / PAGE, NR, memory, file, 0);
	slot_make(w, 4, HVA_BASE / PAGE, NR, memory, 0);
	assert_int_equal(mmu_set_attributes(w->mmu, BASE / PAGE, NR, ATTR_PRIVATE), 0);
	return t;
}

static void unmake(struct world *w)
{
	mmu_check(w->mmu);
	world_unmake(w);
	file_unmake(file);
	memory_unmake(memory, NR * PAGE);
	rules_end();
}

static void expect(struct world *w, uint64_t gpa, bool prefault, enum mmu_fault_result how, int err,
		   bool is_private)
{
	assert_int_equal(mmu_fault(w->v, gpa, MMU_READ, prefault, &info), how);
	assert_int_equal(info.error, err);
	if (how == MMU_FAULT_MEMORY)
		assert_int_equal(info.is_private, is_private);
}

static void share(struct world *w, uint64_t gpa)
{
	assert_int_equal(mmu_set_attributes(w->mmu, gpa / PAGE, 1, 0), 0);
}

static void pages_that_faults_are_about_have_leaves_of_their_own(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_FAULT, INJECT_FAIL), .err = -ENOMEM,
					  .nth = 2 };
	struct world w;

	make(&w, &rule, 1);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE), 0);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + PAGE), -1);
	expect(&w, BASE + PAGE, false, MMU_FAULT_MEMORY, -ENOMEM, true);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + PAGE), -1);
	expect(&w, BASE + PAGE, true, MMU_FAULT_OK, 0, false);
	unmake(&w);
}

static void memory_of_the_program_just_fails(void **state)
{
	const struct inject_rule rules[] = {
		{ RULE_OF(INJECT_POISON, INJECT_FAIL), .err = -EHWPOISON, .offset_end = PAGE },
		{ RULE_OF(INJECT_FAULT, INJECT_FAIL), .err = -EFAULT, .nth = 1 },
	};
	struct world w;

	make(&w, rules, 2);
	expect(&w, HVA_BASE, false, MMU_FAULT_ERROR, -EFAULT, false);
	/* Only pages of files are bad. */
	expect(&w, HVA_BASE, false, MMU_FAULT_OK, 0, false);
	expect(&w, BASE, false, MMU_FAULT_MEMORY, -EHWPOISON, true);
	expect(&w, BASE, true, MMU_FAULT_MEMORY, -EHWPOISON, true);
	expect(&w, BASE + PAGE, false, MMU_FAULT_OK, 0, false);
	share(&w, BASE);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	unmake(&w);
}

static void a_touch_of_the_other_kind_lasts_until_the_page_is_so(void **state)
{
	const struct inject_rule rules[] = {
		{ RULE_OF(INJECT_GUEST, INJECT_TOUCH_SHARED), .gpa = BASE, .gpa_end = BASE + 1 },
		{ RULE_OF(INJECT_GUEST, INJECT_TOUCH_PRIVATE), .gpa = BASE + PAGE,
		  .gpa_end = BASE + PAGE + 1 },
	};
	struct world w;

	make(&w, rules, 2);
	expect(&w, BASE, false, MMU_FAULT_MEMORY, -EFAULT, false);
	/* Who faults in for the program is no guest. */
	expect(&w, BASE, true, MMU_FAULT_OK, 0, false);
	share(&w, BASE);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	expect(&w, BASE + PAGE, false, MMU_FAULT_OK, 0, false);
	share(&w, BASE + PAGE);
	expect(&w, BASE + PAGE, false, MMU_FAULT_MEMORY, -EFAULT, true);
	unmake(&w);
}

static void without_private_memory_there_is_no_other_kind(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_GUEST, INJECT_TOUCH_PRIVATE) };
	struct world w;

	rules_begin(&rule, 1);
	world_make(&w, false);
	memory = memory_make(PAGE, 0);
	slot_make(&w, 0, BASE / PAGE, 1, memory, 0);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	/* Nobody keeps in mind what guests ask for. */
	assert_false(mmu_set_guest_kind(w.mmu, BASE / PAGE, 1, INJECT_PRIVATE));
	world_unmake(&w);
	memory_unmake(memory, PAGE);
	rules_end();
}

static void what_the_guest_said_last_counts(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_HYPERCALL, INJECT_IMPLICIT) };
	uint64_t gfn = BASE / PAGE;
	struct world w;

	make(&w, &rule, 1);
	/* The program knows, and nothing was kept before. */
	assert_true(mmu_set_guest_kind(w.mmu, gfn, 1, INJECT_ANY_KIND));
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	assert_true(mmu_set_guest_kind(w.mmu, gfn, 4, INJECT_SHARED));
	assert_int_equal(mmu_mapped_level(w.mmu, BASE), -1);
	expect(&w, BASE, false, MMU_FAULT_MEMORY, -EFAULT, false);
	share(&w, BASE);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	expect(&w, BASE + 4 * PAGE, false, MMU_FAULT_OK, 0, false);
	assert_true(mmu_set_guest_kind(w.mmu, gfn + 1, 1, INJECT_PRIVATE));
	expect(&w, BASE + PAGE, false, MMU_FAULT_OK, 0, false);
	assert_true(mmu_set_guest_kind(w.mmu, gfn + 2, 1, INJECT_ANY_KIND));
	expect(&w, BASE + 2 * PAGE, false, MMU_FAULT_OK, 0, false);
	expect(&w, BASE + 3 * PAGE, false, MMU_FAULT_MEMORY, -EFAULT, false);
	/* What reaches out at either end is still said of the rest. */
	assert_true(mmu_set_guest_kind(w.mmu, gfn + 6, 4, INJECT_SHARED));
	assert_true(mmu_set_guest_kind(w.mmu, gfn + 5, 3, INJECT_PRIVATE));
	expect(&w, BASE + 7 * PAGE, false, MMU_FAULT_OK, 0, false);
	expect(&w, BASE + 8 * PAGE, false, MMU_FAULT_MEMORY, -EFAULT, false);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	unmake(&w);
}

static void what_the_guest_says_is_kept_as_long_as_there_is_room(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_HYPERCALL, INJECT_IMPLICIT) };
	uint64_t gfn = BASE / PAGE;
	struct world w;

	make(&w, &rule, 1);
	for (uint64_t i = 0; i < NR; i++)
		assert_true(mmu_set_guest_kind(w.mmu, gfn + i, 1, INJECT_SHARED));
	assert_false(mmu_set_guest_kind(w.mmu, gfn + NR, 1, INJECT_SHARED));
	/* What is said anew takes the place of what it is about. */
	assert_true(mmu_set_guest_kind(w.mmu, gfn, NR, INJECT_PRIVATE));
	assert_true(mmu_set_guest_kind(w.mmu, gfn + NR, 1, INJECT_SHARED));
	expect(&w, BASE + 5 * PAGE, false, MMU_FAULT_OK, 0, false);
	unmake(&w);
}

static void a_conversion_that_fails_changes_nothing(void **state)
{
	const struct inject_rule rules[] = {
		{ RULE_OF(INJECT_CONVERT, INJECT_FAIL), .err = -EAGAIN, .kind = INJECT_SHARED,
		  .nth = 1 },
	};
	struct world w;
	struct inject_table *t = make(&w, rules, 1);

	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, NR, ATTR_PRIVATE), 0);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1, 0), -EAGAIN);
	assert_int_not_equal(mmu_mapped_level(w.mmu, BASE), -1);
	assert_true(attr_map_get(mmu_attributes(w.mmu), BASE / PAGE) & ATTR_PRIVATE);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1, 0), 0);
	assert_int_equal(atomic_load(&t->rules[0].met), 2);
	unmake(&w);
}

static void a_slow_shootdown_takes_its_time(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_SHOOTDOWN, INJECT_DELAY), .value = 3000000,
					  .nth = 1 };
	struct world w;
	uint64_t start;

	make(&w, &rule, 1);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	start = os_clock_ns();
	share(&w, BASE);
	assert_true(os_clock_ns() - start >= 3000000);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	share(&w, BASE + PAGE);
	unmake(&w);
}

static void the_last_page_is_told_while_its_slot_is_there(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_RUN, INJECT_EXIT_MEMORY_FAULT) };
	struct world w;

	make(&w, &rule, 1);
	assert_false(mmu_last_fault(w.v, &info));
	expect(&w, HVA_BASE, false, MMU_FAULT_OK, 0, false);
	assert_false(mmu_last_fault(w.v, &info));
	expect(&w, BASE + PAGE + 8, false, MMU_FAULT_OK, 0, false);
	assert_true(mmu_last_fault(w.v, &info));
	assert_true(info.gpa == BASE + PAGE && info.is_private && info.size == PAGE);
	share(&w, BASE + PAGE);
	assert_true(mmu_last_fault(w.v, &info));
	assert_false(info.is_private);
	expect(&w, 4 * GB, false, MMU_FAULT_MMIO, 0, false);
	assert_true(mmu_last_fault(w.v, &info));
	memslot_delete(w.mmu, memslot_find(w.mmu, 0, 3));
	assert_false(mmu_last_fault(w.v, &info));
	unmake(&w);
}

static void a_shared_page_of_a_file_is_shared_without_private_memory(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_RUN, INJECT_EXIT_MEMORY_FAULT) };
	struct world w;

	rules_begin(&rule, 1);
	world_make(&w, false);
	assert_int_equal(gmem_file_create(PAGE, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, &file), 0);
	slot_make_file(&w, 0, BASE / PAGE, 1, NULL, file, 0);
	expect(&w, BASE, false, MMU_FAULT_OK, 0, false);
	assert_true(mmu_last_fault(w.v, &info));
	assert_false(info.is_private);
	world_unmake(&w);
	file_unmake(file);
	rules_end();
}

static void without_memory_there_is_no_mmu(void **state)
{
	const struct inject_rule rule = { RULE_OF(INJECT_HYPERCALL, INJECT_IMPLICIT) };
	struct mmu_config config = { .has_private = true, .gpa_bits = 48 };
	struct mmu *mmu = NULL;
	uint64_t nr = 0;
	int err;

	rules_begin(&rule, 1);
	do {
		os_fail_arm(&(struct os_fail_plan){
			.points = 1u << OS_FAIL_ALLOC, .first = nr, .nr = 1 });
		err = mmu_create(&config, &mmu);
		os_fail_disarm(NULL);
		assert_true(!err || err == -ENOMEM);
	} while (err && ++nr < 100);
	/* The mmu, its attributes, and what is kept of guests, at the least. */
	assert_in_range(nr, 3, 99);
	mmu_destroy(mmu);
	rules_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_that_faults_are_about_have_leaves_of_their_own),
		cmocka_unit_test(memory_of_the_program_just_fails),
		cmocka_unit_test(a_touch_of_the_other_kind_lasts_until_the_page_is_so),
		cmocka_unit_test(without_private_memory_there_is_no_other_kind),
		cmocka_unit_test(what_the_guest_said_last_counts),
		cmocka_unit_test(what_the_guest_says_is_kept_as_long_as_there_is_room),
		cmocka_unit_test(a_conversion_that_fails_changes_nothing),
		cmocka_unit_test(a_slow_shootdown_takes_its_time),
		cmocka_unit_test(the_last_page_is_told_while_its_slot_is_there),
		cmocka_unit_test(a_shared_page_of_a_file_is_shared_without_private_memory),
		cmocka_unit_test(without_memory_there_is_no_mmu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
