/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guests write pages of blocks of which other pages change between private and shared, so that the blocks move from huge pages to
 * small ones and back: no write is lost. Each guest has one translation, as a vCPU's TLB has it, and counts in its page.
 */
#include "test.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/gmem_file.h"
#include "os/os.h"
#include "pool_run.h"

#define PAGE OS_PAGE_SIZE
#define BLOCK ((uint64_t)2 << 20)
#define NR_BLOCKS 2u
#define NR_GUESTS 3u
#define NR_FLIPS 80u

struct guest {
	struct os_mutex lock; /* the translation, and each use of it */
	uint64_t *page;	      /* NULL: none */
	uint64_t offset, count;
};

static struct gmem_file *file;
static struct guest guests[NR_GUESTS];
static _Atomic bool stop;
static _Atomic uint32_t nr_lost;

/* ---- the consumer ------------------------------------------------------------------------------- */

static int begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	for (struct guest *g = guests; g < guests + NR_GUESTS; g++) {
		os_mutex_lock(&g->lock);
		if (g->offset - ch->offset < ch->size)
			g->page = NULL;
		os_mutex_unlock(&g->lock);
	}
	return 0;
}

static void end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	for (struct guest *g = guests; g < guests + NR_GUESTS; g++) {
		os_mutex_lock(&g->lock);
		if (g->offset - ch->offset < ch->size && g->page)
			atomic_fetch_add(&nr_lost, 1);
		os_mutex_unlock(&g->lock);
	}
}

static const struct gmem_consumer_ops ops = { .begin = begin, .end = end };

/* ---- guests ------------------------------------------------------------------------------------- */

static void look_up(struct guest *g)
{
	void *addr = NULL;
	int level;

	gmem_file_fault_begin(file);
	if (gmem_file_page(file, g->offset, &addr, &level))
		atomic_fetch_add(&nr_lost, 1);
	os_mutex_lock(&g->lock);
	g->page = addr;
	os_mutex_unlock(&g->lock);
	gmem_file_fault_end(file);
}

static bool count(struct guest *g)
{
	bool has;

	os_mutex_lock(&g->lock);
	has = g->page;
	if (has && *g->page != g->count)
		atomic_fetch_add(&nr_lost, 1);
	if (has)
		*g->page = ++g->count;
	os_mutex_unlock(&g->lock);
	return has;
}

static void run_guest(void *arg)
{
	struct guest *g = arg;

	while (!atomic_load(&stop))
		if (!count(g))
			look_up(g);
}

/* A thread that gets no processor until the changes are over proves nothing. */
static void wait_for(struct guest *g)
{
	bool has_begun;

	do {
		os_mutex_lock(&g->lock);
		has_begun = g->count > 0;
		os_mutex_unlock(&g->lock);
		sched_yield();
	} while (!has_begun);
}

/* ---- changes ------------------------------------------------------------------------------------- */

static void flip(uint64_t offset, uint32_t attributes)
{
	struct gmem_conversion c = { .offset = offset, .size = PAGE, .attributes = attributes };

	assert_int_equal(gmem_file_convert(file, &c), 0);
}

static void flip_neighbours(void)
{
	for (unsigned int i = 0; i < NR_FLIPS; i++) {
		uint64_t block = i % NR_BLOCKS * BLOCK;

		flip(block + 100 * PAGE, 0);
		assert_false(store_is_huge(gmem_file_store(file), block));
		if (i % 8 == 0)
			assert_int_equal(gmem_file_punch(file, block + 99 * PAGE, 3 * PAGE), 0);
		flip(block + 100 * PAGE, ATTR_PRIVATE);
		assert_true(store_is_huge(gmem_file_store(file), block));
	}
}

static void no_write_beside_a_page_that_changes_is_lost(void **state)
{
	struct gmem_consumer c = { .ops = &ops };
	struct os_thread *threads[NR_GUESTS];

	assert_int_equal(gmem_file_create(NR_BLOCKS * BLOCK,
					  GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP | GMEM_FILE_HUGETLB,
					  &file),
			 0);
	gmem_file_add_consumer(file, &c);
	for (unsigned int i = 0; i < NR_GUESTS; i++) {
		os_mutex_init(&guests[i].lock);
		guests[i].offset = i % NR_BLOCKS * BLOCK + (7 + i) * PAGE;
		look_up(&guests[i]);
	}
	for (unsigned int i = 0; i < NR_GUESTS; i++)
		assert_int_equal(os_thread_create(run_guest, &guests[i], "guest", &threads[i]), 0);
	for (unsigned int i = 0; i < NR_GUESTS; i++)
		wait_for(&guests[i]);
	flip_neighbours();
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < NR_GUESTS; i++) {
		os_thread_join(threads[i]);
		assert_true(guests[i].count > 0);
		look_up(&guests[i]);
		assert_int_equal(*guests[i].page, guests[i].count);
	}
	assert_int_equal(atomic_load(&nr_lost), 0);
	gmem_file_check(file);
	gmem_file_remove_consumer(file, &c);
	gmem_file_put(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_write_beside_a_page_that_changes_is_lost),
	};

	return pool_run(NR_BLOCKS, tests);
}
