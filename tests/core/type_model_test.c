/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VM type that guards pages itself, as hardware would: what it has been told of is held against what is there, page
 * by page, while random conversions, faults and punches go on. A page is mapped for a guest only when it is guarded,
 * and nothing that is gone, or shared, is.
 */
#include "test.h"

#include <stdbool.h>
#include <string.h>

#include "fixture.h"

#define NR_PAGES 96
#define NR_STEPS 30000

/* What the hardware believes of a page. */
enum guard { UNKNOWN, GUARDED, OPEN };

struct model {
	struct gmem_file *f;
	enum guard guard[NR_PAGES];
	bool private[NR_PAGES], present[NR_PAGES];
	unsigned int nr_prepared, nr_reclaimed, nr_converted;
};

static void set(struct model *m, uint64_t offset, uint64_t size, enum guard guard)
{
	for (uint64_t page = offset / PAGE; page < (offset + size) / PAGE; page++) {
		assert_true(m->present[page]);
		m->guard[page] = guard;
	}
}

static int prepare(void *type, uint64_t offset, uint64_t size)
{
	struct model *m = type;

	assert_int_equal(size, PAGE);
	assert_true(m->private[offset / PAGE]);
	set(m, offset, size, GUARDED);
	m->nr_prepared++;
	return 0;
}

static void make_private(void *type, uint64_t offset, uint64_t size)
{
	struct model *m = type;

	set(m, offset, size, UNKNOWN);
	m->nr_converted++;
}

static void make_shared(void *type, uint64_t offset, uint64_t size)
{
	struct model *m = type;

	set(m, offset, size, OPEN);
	m->nr_converted++;
}

/* A page may be given back to the system only when the hardware has let go of it. */
static void reclaim(void *type, uint64_t offset, uint64_t size)
{
	struct model *m = type;

	set(m, offset, size, UNKNOWN);
	m->nr_reclaimed++;
}

static const struct gmem_type_ops ops = { prepare, make_private, make_shared, reclaim };

/* A guest's access, as the mmu does it: looked up, touched, prepared, mapped; and no page along with it. */
static void guest_access(struct model *m, uint64_t page)
{
	void *addr;
	int level;

	gmem_file_fault_begin(m->f);
	assert_int_equal(gmem_file_page(m->f, page * PAGE, &addr, &level), 0);
	assert_int_equal(level, LEVEL_4K);
	assert_false(gmem_file_neighbours_ready(m->f, page * PAGE));
	*(volatile uint8_t *)addr = 1;
	m->present[page] = true;
	assert_int_equal(gmem_file_is_private(m->f, page * PAGE), m->private[page]);
	if (m->private[page]) {
		assert_int_equal(gmem_file_prepare(m->f, page * PAGE), 0);
		assert_int_equal(m->guard[page], GUARDED);
	} else {
		assert_int_not_equal(m->guard[page], GUARDED);
	}
	gmem_file_fault_end(m->f);
}

static void convert_some(struct model *m, uint64_t page, uint64_t nr, uint32_t attributes)
{
	assert_int_equal(convert(m->f, page * PAGE, nr * PAGE, attributes), 0);
	for (uint64_t i = page; i < page + nr; i++)
		m->private[i] = attributes == P;
}

static void punch(struct model *m, uint64_t page, uint64_t nr)
{
	assert_int_equal(gmem_file_punch(m->f, page * PAGE, nr * PAGE), 0);
	for (uint64_t i = page; i < page + nr; i++) {
		assert_int_equal(m->guard[i] == GUARDED, false);
		m->present[i] = false;
		m->guard[i] = UNKNOWN;
	}
}

static void step(struct model *m, struct rng *rng)
{
	uint64_t page = rng_below(rng, NR_PAGES), nr = 1 + rng_below(rng, 12);

	nr = nr < NR_PAGES - page ? nr : NR_PAGES - page;
	switch (rng_below(rng, 8)) {
	case 0:
		convert_some(m, page, nr, P);
		break;
	case 1:
		convert_some(m, page, nr, 0);
		break;
	case 2:
		punch(m, page, nr);
		break;
	default:
		guest_access(m, page);
	}
}

static void run(unsigned int flags, uint64_t seed)
{
	struct rng rng = { seed };
	struct model m = { .f = file_of(NR_PAGES * PAGE, flags) };

	memset(m.private, !(flags & GMEM_FILE_INIT_SHARED), sizeof(m.private));
	gmem_file_set_type(m.f, &ops, &m);
	for (int i = 0; i < NR_STEPS; i++)
		step(&m, &rng);
	gmem_file_check(m.f);
	gmem_file_release(m.f);
	for (uint64_t page = 0; page < NR_PAGES; page++)
		assert_int_not_equal(m.guard[page], GUARDED);
	assert_true(m.nr_prepared > 1000 && m.nr_reclaimed > 1000 && m.nr_converted > 1000);
	close_file(m.f);
}

static void the_type_knows_what_is_there(void **state)
{
	run(0, 1);
	run(GMEM_FILE_INIT_SHARED, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_type_knows_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
