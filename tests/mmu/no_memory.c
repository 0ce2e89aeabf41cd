/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every allocation of every call fails once: the call says so, nothing has changed, it succeeds when
 * tried again, and at the end everything is given back.
 */
#include <errno.h>

#include "fixture.h"

#define BASE GB
#define NR_PAGES ((uint64_t)600)

static int64_t until_failure = -1; /* -1: none fails */
static int64_t nr_held;

static bool fails(void)
{
	if (until_failure < 0)
		return false;
	return until_failure-- == 0;
}

void *__real_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size)
{
	void *ptr = fails() ? NULL : __real_os_alloc(size);

	nr_held += ptr != NULL;
	return ptr;
}

void __real_os_free(void *ptr, size_t size);
void __wrap_os_free(void *ptr, size_t size);
void __wrap_os_free(void *ptr, size_t size)
{
	nr_held -= ptr != NULL;
	__real_os_free(ptr, size);
}

int __real_os_map_anon(size_t size, unsigned int flags, void **out);
int __wrap_os_map_anon(size_t size, unsigned int flags, void **out);
int __wrap_os_map_anon(size_t size, unsigned int flags, void **out)
{
	int ret = fails() ? -ENOMEM : __real_os_map_anon(size, flags, out);

	nr_held += ret == 0;
	return ret;
}

int __real_os_map_file(int fd, uint64_t offset, size_t size, size_t align, unsigned int flags,
		       void **out);
int __wrap_os_map_file(int fd, uint64_t offset, size_t size, size_t align, unsigned int flags,
		       void **out);
int __wrap_os_map_file(int fd, uint64_t offset, size_t size, size_t align, unsigned int flags,
		       void **out)
{
	int ret = fails() ? -ENOMEM : __real_os_map_file(fd, offset, size, align, flags, out);

	nr_held += ret == 0;
	return ret;
}

void __real_os_unmap(void *addr, size_t size);
void __wrap_os_unmap(void *addr, size_t size);
void __wrap_os_unmap(void *addr, size_t size)
{
	nr_held--;
	__real_os_unmap(addr, size);
}

struct fixture {
	struct world w;
	struct gmem_file *file;
	uint8_t *memory;
};

typedef int step_fn(struct fixture *f);

static int make_mmu(struct fixture *f)
{
	struct mmu_config config = { .has_private = true, .gpa_bits = 48 };

	return mmu_create(&config, &f->w.mmu);
}

static int make_vcpu(struct fixture *f)
{
	return mmu_vcpu_create(f->w.mmu, &f->w.v);
}

static int make_file(struct fixture *f)
{
	return gmem_file_create(NR_PAGES * PAGE, 0, &f->file);
}

static int create_slot(struct fixture *f, uint32_t id, struct gmem_file *file, uint32_t flags)
{
	struct memslot what = { .id = id,
				.gfn = BASE / PAGE + id * 1000,
				.nr_pages = NR_PAGES,
				.hva = (uint64_t)(uintptr_t)f->memory,
				.flags = flags,
				.file = file };
	uint64_t total = memslot_total_pages(f->w.mmu);
	int ret = memslot_create(f->w.mmu, &what, false);

	assert_int_equal(memslot_total_pages(f->w.mmu), total + (ret ? 0 : NR_PAGES));
	assert_int_equal(!memslot_find(f->w.mmu, 0, id), ret != 0);
	return ret;
}

static int create_file_slot(struct fixture *f)
{
	return create_slot(f, 0, f->file, MEMSLOT_GUEST_MEMFD);
}

static int create_logged_slot(struct fixture *f)
{
	return create_slot(f, 1, NULL, MEMSLOT_LOG_DIRTY);
}

/* The block of ids is there by now, so that the log's memory is the second that is asked for. */
static int create_another_logged_slot(struct fixture *f)
{
	return create_slot(f, 2, NULL, MEMSLOT_LOG_DIRTY);
}

static int create_plain_slot(struct fixture *f)
{
	return create_slot(f, 700, NULL, 0);
}

static int set_attributes(struct fixture *f)
{
	uint64_t gfn = BASE / PAGE + 1;
	int ret = mmu_set_attributes(f->w.mmu, gfn, 520, ATTR_PRIVATE);

	assert_int_equal(attr_map_get(mmu_attributes(f->w.mmu), gfn), ret ? 0 : ATTR_PRIVATE);
	return ret;
}

static int access_page(struct fixture *f, uint64_t gpa)
{
	struct mmu_fault_info info;
	struct mmu_leaf leaf;
	enum mmu_fault_result result = touch(f->w.v, gpa, MMU_WRITE, &leaf, &info);

	if (result == MMU_FAULT_OK)
		return 0;
	assert_true(result == MMU_FAULT_ERROR || result == MMU_FAULT_MEMORY);
	assert_int_equal(mmu_mapped_level(f->w.mmu, gpa), -1);
	return info.error;
}

static int access_private(struct fixture *f)
{
	return access_page(f, BASE + 2 * PAGE);
}

static int access_far_away(struct fixture *f)
{
	return access_page(f, BASE + 700000 * PAGE);
}

static int move_and_log(struct fixture *f)
{
	struct memslot *slot = memslot_find(f->w.mmu, 0, 700);
	uint64_t gfn = slot->gfn;
	int ret = memslot_move(f->w.mmu, slot, gfn + 5, MEMSLOT_LOG_DIRTY, true);

	assert_int_equal(slot->gfn, ret ? gfn : gfn + 5);
	assert_int_equal(slot->flags, ret ? 0 : MEMSLOT_LOG_DIRTY);
	return ret;
}

static uint64_t fail_each(struct fixture *f, step_fn *step)
{
	int ret = -ENOMEM;
	uint64_t nr = 0;

	for (; ret; nr++) {
		until_failure = (int64_t)nr;
		ret = step(f);
		/* Nothing failed: nothing may be said to have. */
		if (until_failure >= 0)
			assert_int_equal(ret, 0);
		else
			assert_int_equal(ret, -ENOMEM);
		until_failure = -1;
		if (f->w.mmu)
			mmu_check(f->w.mmu);
	}
	return nr - 1;
}

struct step {
	step_fn *step;
	uint64_t at_least; /* allocations there are to fail */
};

static void fail_steps(const struct step *steps, size_t nr)
{
	struct fixture f = { .memory = memory_make(NR_PAGES * PAGE, 0) };
	int64_t before = nr_held;

	assert_int_equal(os_fault_init(), 0);
	for (size_t i = 0; i < nr; i++)
		assert_true(fail_each(&f, steps[i].step) >= steps[i].at_least);
	file_unmake(f.file);
	world_unmake(&f.w);
	assert_int_equal(nr_held, before);
	memory_unmake(f.memory, NR_PAGES * PAGE);
}

static void a_call_without_memory_fails_whole_and_works_the_next_time(void **state)
{
	static const struct step steps[] = {
		{ make_mmu, 3 },
		{ make_vcpu, 1 },
		{ make_file, 2 },
		{ create_logged_slot, 2 },
		{ create_another_logged_slot, 2 },
		{ create_file_slot, 3 },
		{ create_plain_slot, 2 },
		{ set_attributes, 1 },
		{ access_private, 1 },
		{ access_far_away, 0 },
		{ move_and_log, 1 },
	};

	fail_steps(steps, sizeof(steps) / sizeof(steps[0]));
}

/* ---- in place ------------------------------------------------------------------------------- */

static int prepare(void *type, uint64_t offset, uint64_t size)
{
	++*(uint64_t *)type;
	return 0;
}

static uint64_t nr_prepared;

static int make_in_place_file(struct fixture *f)
{
	static const struct gmem_type_ops ops = { .prepare = prepare };
	int ret = gmem_file_create(NR_PAGES * PAGE, GMEM_FILE_IN_PLACE | GMEM_FILE_INIT_SHARED,
				   &f->file);

	if (!ret)
		gmem_file_set_type(f->file, &ops, &nr_prepared);
	return ret;
}

static int convert(struct fixture *f, uint32_t attributes)
{
	int ret = file_convert(f->file, PAGE, 520 * PAGE, attributes);

	assert_int_equal(gmem_file_is_private(f->file, PAGE), (attributes != 0) ^ (ret != 0));
	return ret;
}

static int convert_to_private(struct fixture *f)
{
	return convert(f, ATTR_PRIVATE);
}

static int convert_to_shared(struct fixture *f)
{
	return convert(f, 0);
}

static int access_shared(struct fixture *f)
{
	return access_page(f, BASE);
}

static int access_prepared(struct fixture *f)
{
	int ret = access_page(f, BASE + 2 * PAGE);

	assert_int_equal(nr_prepared, ret ? 0 : 1);
	return ret;
}

static int punch(struct fixture *f)
{
	return gmem_file_punch(f->file, 0, NR_PAGES * PAGE);
}

static void in_place_too_a_call_without_memory_fails_whole(void **state)
{
	static const struct step steps[] = {
		{ make_mmu, 3 },	   { make_vcpu, 1 },
		{ make_in_place_file, 2 }, { create_file_slot, 3 },
		{ access_shared, 0 },	   { convert_to_private, 2 },
		{ access_prepared, 3 },	   { convert_to_shared, 0 },
		{ convert_to_private, 0 }, { punch, 0 },
		{ convert_to_shared, 0 },
	};

	fail_steps(steps, sizeof(steps) / sizeof(steps[0]));
}

/* Tables come from mappings of many pages: use one up to meet the next. */
static void tables_without_memory_map_nothing(void **state)
{
	struct mmu_config config = { .gpa_bits = 48 };
	struct fixture f = { .memory = memory_make(PAGE, 0) };
	uint64_t nr_failed = 0;

	assert_int_equal(mmu_create(&config, &f.w.mmu), 0);
	assert_int_equal(mmu_vcpu_create(f.w.mmu, &f.w.v), 0);
	for (uint32_t id = 0; id < 100; id++) {
		slot_make(&f.w, id, id * (GB / PAGE), 1, f.memory, 0);
		until_failure = 0;
		if (access_page(&f, id * GB))
			nr_failed++;
		until_failure = -1;
		mmu_check(f.w.mmu);
		assert_int_equal(access_page(&f, id * GB), 0);
	}
	assert_true(nr_failed >= 2);
	world_unmake(&f.w);
	memory_unmake(f.memory, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_without_memory_fails_whole_and_works_the_next_time),
		cmocka_unit_test(in_place_too_a_call_without_memory_fails_whole),
		cmocka_unit_test(tables_without_memory_map_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
