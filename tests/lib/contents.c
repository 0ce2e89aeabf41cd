/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Whatever a file's memory is made of, it reads the same: random writes by host and guest, conversions, punches and
 * allocations on files of each kind of pages, held against a byte a page.
 */
#include "t.h"

#include <stdbool.h>
#include <stdio.h>

#include "../core/pool_run.h"

#define NR_PAGES 1800u /* three huge pages and a half */
#define POOL_PAGES 8
#define NR_OPS 1500

struct file {
	struct gmem *g;
	char *window; /* NULL: it has none */
};

struct model {
	uint64_t seed;
	uint8_t bytes[NR_PAGES];
	bool is_private[NR_PAGES];
	struct file files[4];
	unsigned int nr_files;
};

static uint64_t below(struct model *m, uint64_t n)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed % n;
}

static void pick_range(struct model *m, uint64_t *first, uint64_t *nr)
{
	uint64_t end;

	*first = below(m, NR_PAGES);
	end = *first + 1 + below(m, 6);
	if (below(m, 4) == 0) {
		*first = *first / 512 * 512;
		end = *first + 512 + below(m, 3) * 256;
	}
	if (end > NR_PAGES)
		end = NR_PAGES;
	*nr = end - *first;
}

static void expect_byte(const char *at, uint8_t byte)
{
	assert_int_equal((uint8_t)at[0], byte);
	assert_memory_equal(at, at + 1, PAGE - 1);
}

/* As far as one translation of it may reach. */
static void check_guest(struct model *m, struct file *f, uint64_t page)
{
	void *addr;
	uint64_t size;

	assert_int_equal(gmem_fault_begin(f->g), 0);
	assert_int_equal(gmem_page(f->g, page * PAGE, &addr, &size), 0);
	assert_true(size && size % PAGE == 0 && size <= (NR_PAGES - page) * PAGE);
	for (uint64_t i = 0; i < size / PAGE; i++) {
		assert_int_equal(m->is_private[page + i], m->is_private[page]);
		expect_byte((char *)addr + i * PAGE, m->bytes[page + i]);
	}
	gmem_fault_end(f->g);
}

static void check(struct model *m, struct file *f, uint64_t page)
{
	assert_int_equal(t_state(f->g, page), m->is_private[page] ? PRIVATE : 0);
	if (f->window && m->is_private[page])
		assert_int_equal(t_touch(f->window + page * PAGE, 0), SIGBUS);
	else if (f->window)
		expect_byte(f->window + page * PAGE, m->bytes[page]);
	check_guest(m, f, page);
}

static void write_pages(struct model *m, uint64_t first, uint64_t nr)
{
	uint8_t byte = (uint8_t)(1 + below(m, 255));
	bool by_host = below(m, 2);

	nr = nr < 6 ? nr : 6;
	for (unsigned int i = 0; i < m->nr_files; i++) {
		struct file *f = &m->files[i];

		for (uint64_t page = first; page < first + nr; page++)
			memset(by_host && f->window && !m->is_private[page]
				       ? f->window + page * PAGE
				       : t_guest(f->g, page),
			       byte, PAGE);
	}
	memset(m->bytes + first, byte, nr);
}

static void convert(struct model *m, uint64_t first, uint64_t nr)
{
	bool to_private = below(m, 2);

	for (unsigned int i = 0; i < m->nr_files; i++) {
		if (to_private)
			t_private(m->files[i].g, first, nr);
		else
			t_shared(m->files[i].g, first, nr);
	}
	for (uint64_t page = first; page < first + nr; page++)
		m->is_private[page] = to_private;
}

static void do_one(struct model *m)
{
	uint64_t first, nr;

	pick_range(m, &first, &nr);
	switch (below(m, 8)) {
	case 0:
		for (unsigned int i = 0; i < m->nr_files; i++)
			assert_int_equal(gmem_allocate(m->files[i].g, first * PAGE, nr * PAGE), 0);
		break;
	case 1:
		for (unsigned int i = 0; i < m->nr_files; i++)
			assert_int_equal(gmem_punch(m->files[i].g, first * PAGE, nr * PAGE), 0);
		memset(m->bytes + first, 0, nr);
		break;
	case 2:
	case 3:
		convert(m, first, nr);
		break;
	case 4:
		for (unsigned int i = 0; i < m->nr_files; i++)
			check(m, &m->files[i], first);
		break;
	default:
		write_pages(m, first, nr);
	}
}

static void add_file(struct model *m, uint32_t flags)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = flags,
					 .size = NR_PAGES * PAGE };
	struct file *f = &m->files[m->nr_files];
	int err = gmem_create(&args, &f->g);

	/* The system's own huge pages are few. */
	if (err && flags & GMEM_HUGETLB)
		return;
	assert_int_equal(err, 0);
	if (flags & GMEM_MMAP)
		f->window = t_map(f->g, 0, NR_PAGES);
	m->nr_files++;
}

static void files_of_all_pages_read_alike(void **state)
{
	static struct model m;

	for (uint64_t seed = 1; seed < 3; seed++) {
		m = (struct model){ .seed = seed * 0x9e3779b97f4a7c15u };
		add_file(&m, BOTH);
		add_file(&m, BOTH | GMEM_THP);
		add_file(&m, GMEM_INIT_SHARED | GMEM_HUGETLB);
		add_file(&m, BOTH | GMEM_HUGETLB);
		for (unsigned int i = 0; i < NR_OPS; i++)
			do_one(&m);
		for (unsigned int i = 0; i < m.nr_files; i++) {
			struct file *f = &m.files[i];

			for (uint64_t page = 0; page < NR_PAGES; page++)
				check(&m, f, page);
			assert_int_equal(gmem_punch(f->g, 0, NR_PAGES * PAGE), 0);
			expect_byte(t_guest(f->g, 700), 0);
			if (f->window)
				gmem_unmap(f->window, NR_PAGES * PAGE);
			gmem_put(f->g);
		}
	}
}

/* ---- huge pages, of which a window shows a small one ---------------------------------------------- */

struct mover {
	unsigned int nr_moves, nr_others;
	uint64_t offset, size; /* of the last */
};

static int note_move(void *data, const struct gmem_change *change)
{
	struct gmem_change_info info = { .args_size = sizeof(info) };
	struct mover *m = data;

	if (gmem_change_describe(change, &info) || info.kind != GMEM_KIND_MOVE) {
		m->nr_others++;
		return 0;
	}
	m->nr_moves++;
	m->offset = info.offset;
	m->size = info.size;
	return 0;
}

static void hear_nothing(void *data, const struct gmem_change *change)
{
}

static uint32_t order_at(struct gmem *g, uint64_t page)
{
	struct gmem_block b = { .args_size = sizeof(b) };

	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_find_block(g, page * PAGE, &b), 0);
	gmem_fault_end(g);
	return b.order;
}

static void one_page_that_a_window_shows_makes_its_block_move(void **state)
{
	struct gmem_consumer_callbacks ops = { .ops_size = sizeof(ops),
					       .begin = note_move,
					       .end = hear_nothing };
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_MMAP | GMEM_HUGETLB,
					 .size = 1024 * PAGE };
	struct gmem_consumer *c;
	struct mover m = { 0 };
	struct gmem *g;
	char *window;

	if (gmem_create(&args, &g)) {
		skip(); /* the system's own huge pages are few */
		return;
	}
	window = t_map(g, 0, 1024);
	assert_int_equal(gmem_consumer_add(g, &ops, &m, &c), 0);
	memset(t_guest(g, 600), 7, PAGE);
	memset(t_guest(g, 601), 8, PAGE);
	assert_int_equal(order_at(g, 600), 9);
	t_shared(g, 600, 1);
	assert_int_equal(m.nr_moves, 1);
	assert_true(m.offset == 512 * PAGE && m.size == 512 * PAGE);
	assert_int_equal(m.nr_others, 1);
	assert_int_equal(order_at(g, 601), 0);
	expect_byte(window + 600 * PAGE, 7);
	expect_byte(t_guest(g, 601), 8);
	memset(window + 600 * PAGE, 9, PAGE);
	t_private(g, 600, 1);
	assert_int_equal(m.nr_moves, 2);
	assert_int_equal(order_at(g, 600), 9);
	expect_byte(t_guest(g, 600), 9);
	expect_byte(t_guest(g, 601), 8);
	gmem_consumer_remove(g, c);
	gmem_unmap(window, 1024 * PAGE);
	gmem_put(g);
}

/* A hook is told of what has memory. */
static uint64_t told;

static void note(void *data, uint64_t offset, uint64_t size)
{
	told += size;
}

static void a_type_hears_of_huge_pages_in_full(void **state)
{
	struct gmem_vm_type type = { .ops_size = sizeof(type), .reclaim = note };
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = BOTH | GMEM_THP,
					 .size = 1024 * PAGE,
					 .type = &type };
	struct gmem_stats s = { .args_size = sizeof(s) };
	struct gmem *g;

	assert_int_equal(gmem_create(&args, &g), 0);
	*t_guest(g, 3) = 1;
	assert_int_equal(gmem_get_stats(g, &s), 0);
	told = 0;
	assert_int_equal(gmem_punch(g, 0, 1024 * PAGE), 0);
	assert_int_equal(told, s.backed_bytes);
	gmem_put(g);
}

static void a_file_says_what_it_is_made_of(void **state)
{
	struct gmem_info info = { .args_size = sizeof(info) };
	struct gmem *g = t_create(512, BOTH | GMEM_THP);

	assert_int_equal(gmem_get_info(g, &info), 0);
	assert_int_equal(info.flags, BOTH | GMEM_THP);
	gmem_put(g);
}

/* So that its huge pages can be mapped in one piece. */
static void a_window_lies_where_its_file_does(void **state)
{
	struct gmem *g = t_create(2048, BOTH);
	char *w = t_map(g, 0, 2048), *part = t_map(g, 700, 1200);

	assert_int_equal((uintptr_t)w % (512 * PAGE), 0);
	assert_int_equal(((uintptr_t)part - 700 * PAGE) % (512 * PAGE), 0);
	gmem_unmap(w, 2048 * PAGE);
	gmem_unmap(part, 1200 * PAGE);
	gmem_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_all_pages_read_alike),
		cmocka_unit_test(one_page_that_a_window_shows_makes_its_block_move),
		cmocka_unit_test(a_type_hears_of_huge_pages_in_full),
		cmocka_unit_test(a_file_says_what_it_is_made_of),
		cmocka_unit_test(a_window_lies_where_its_file_does),
	};

	return pool_run_or_without(POOL_PAGES, tests);
}
