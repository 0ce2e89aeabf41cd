/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "test.h"

#include <string.h>

#include "os/os.h"
#include "store_model.h"

#define PAGE OS_PAGE_SIZE
#define NR_PAGES MODEL_PAGES

struct model {
	struct store *s;
	struct rng rng;
	uint8_t bytes[NR_PAGES]; /* that a page is full of */
};

struct store *make_store(uint64_t size, enum store_pages pages)
{
	struct store *s;

	assert_int_equal(store_create(size, pages, &s), 0);
	return s;
}

uint8_t *at(struct store *s, uint64_t offset)
{
	void *addr;

	assert_int_equal(store_address(s, offset, &addr), 0);
	return addr;
}

uint8_t *guest_at(struct store *s, uint64_t offset)
{
	assert_int_equal(store_fill(s, offset), 0);
	return at(s, offset);
}

bool is_zero(const uint8_t *p, uint64_t size)
{
	return !p[0] && !memcmp(p, p + 1, size - 1);
}

/* Pages, or blocks and their neighbours. */
static void pick_range(struct model *m, uint64_t *first, uint64_t *nr)
{
	uint64_t end;

	*first = rng_below(&m->rng, NR_PAGES);
	end = *first + 1 + rng_below(&m->rng, 8);
	if (rng_below(&m->rng, 3) == 0) {
		*first = *first / 512 * 512 + rng_below(&m->rng, 2);
		end = *first + 511 + rng_below(&m->rng, 600);
	}
	if (end > NR_PAGES)
		end = NR_PAGES;
	*nr = end - *first;
}

static void check_page(struct model *m, uint64_t page)
{
	uint8_t *p = guest_at(m->s, page * PAGE);

	assert_int_equal(p[0], m->bytes[page]);
	assert_memory_equal(p, p + 1, PAGE - 1);
}

static void move_one(struct model *m)
{
	uint64_t block = rng_below(&m->rng, NR_PAGES * PAGE / m->s->block) * m->s->block;
	bool huge = rng_below(&m->rng, 2);

	assert_int_equal(store_move(m->s, block, huge), 0);
	assert_int_equal(store_is_huge(m->s, block), huge);
	assert_int_equal(store_is_huge(m->s, block + m->s->block - 1), huge);
}

static void do_one(struct model *m)
{
	uint64_t first, nr, page;

	pick_range(m, &first, &nr);
	if (m->s->block && rng_below(&m->rng, 4) == 0)
		move_one(m);
	switch (rng_below(&m->rng, 8)) {
	case 0:
		assert_int_equal(store_allocate(m->s, first * PAGE, nr * PAGE), 0);
		break;
	case 1:
	case 2:
		assert_int_equal(store_punch(m->s, first * PAGE, nr * PAGE), 0);
		memset(m->bytes + first, 0, nr);
		break;
	case 3:
		check_page(m, first);
		break;
	default:
		for (page = first; page < first + nr && page < first + 8; page++) {
			m->bytes[page] = (uint8_t)(1 + rng_below(&m->rng, 255));
			memset(guest_at(m->s, page * PAGE), m->bytes[page], PAGE);
		}
	}
}

/* What has contents is told to be present, once and in order. */
static void check_present(struct model *m)
{
	uint64_t offset = 0, size, from = 0;

	while (offset < NR_PAGES * PAGE &&
	       store_next_present(m->s, &offset, NR_PAGES * PAGE, &size)) {
		assert_true(offset >= from && offset % PAGE == 0);
		for (; from < offset; from += PAGE)
			assert_int_equal(m->bytes[from / PAGE], 0);
		assert_true(size && size % PAGE == 0 && size <= NR_PAGES * PAGE - offset);
		offset += size;
		from = offset;
	}
	for (; from < NR_PAGES * PAGE; from += PAGE)
		assert_int_equal(m->bytes[from / PAGE], 0);
}

void compare_with_model(enum store_pages pages, uint64_t seed, unsigned int nr_ops)
{
	compare_store_with_model(make_store(NR_PAGES * PAGE, pages), seed, nr_ops);
}

void compare_store_with_model(struct store *s, uint64_t seed, unsigned int nr_ops)
{
	static struct model m;
	unsigned int i;

	m = (struct model){ .s = s, .rng = { seed } };
	for (i = 0; i < nr_ops; i++) {
		do_one(&m);
		if (i % 64 == 0)
			check_present(&m);
	}
	check_present(&m);
	for (i = 0; i < NR_PAGES; i++)
		check_page(&m, i);
	assert_int_equal(store_punch(m.s, 0, NR_PAGES * PAGE), 0);
	assert_int_equal(store_backed(m.s), 0);
	store_destroy(m.s);
}
