/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest faults against conversions and punches.
 *
 * A model of a secondary MMU: one translation a page, a lock, an invalidation count and a sequence.
 * Its fault threads look a page up either between gmem_file_fault_begin() and _end(), or without a lock
 * and check the sequence again before they install. Converters and punchers own ranges of their own;
 * after each call they demand that no translation is left which the call should have ended.
 */
#include "test.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "core/gmem_file.h"
#include "os/os.h"

#define P ATTR_PRIVATE
#define PAGE OS_PAGE_SIZE
#define NR_PAGES 32ull
#define NR_FAULTERS 3
#define NR_CHANGERS 2
#define RUN_NS 2000000000ull

struct translation {
	uint8_t *addr; /* NULL: none */
	uint32_t attributes;
};

static struct mmu {
	struct gmem_consumer consumer;
	struct gmem_file *file;
	struct os_mutex lock;
	struct translation page[NR_PAGES];
	uint64_t begin, end; /* of the change that runs; the invalidate lock lets in one */
	unsigned int nr_running;
	_Atomic uint64_t sequence;
} mmu;

static _Atomic bool stop;
static _Atomic uint32_t idle; /* the main thread sleeps on it */
static _Atomic uint64_t nr_wrong, nr_installed, nr_retried;

static void wrong_unless(bool right)
{
	if (!right)
		atomic_fetch_add(&nr_wrong, 1);
}

/* ---- the consumer ---------------------------------------------------------------------------- */

static int mmu_begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct mmu *m = (struct mmu *)c;
	uint64_t i;

	os_mutex_lock(&m->lock);
	m->nr_running++;
	m->begin = ch->offset / PAGE;
	m->end = (ch->offset + ch->size) / PAGE;
	for (i = m->begin; i < m->end; i++)
		m->page[i].addr = NULL;
	os_mutex_unlock(&m->lock);
	return 0;
}

static void mmu_end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct mmu *m = (struct mmu *)c;
	void *addr = NULL;
	uint64_t i;

	os_mutex_lock(&m->lock);
	for (i = m->begin; i < m->end; i++) {
		wrong_unless(!m->page[i].addr);
		/* Whoever could write would need a translation. */
		if (ch->kind == GMEM_CHANGE_DISCARD) {
			os_assert(!store_address(gmem_file_store(m->file), i * PAGE, &addr));
			wrong_unless(!*(uint8_t *)addr);
		}
	}
	atomic_fetch_add(&m->sequence, 1);
	m->nr_running--;
	os_mutex_unlock(&m->lock);
	/* Time for a fault: what is changed only after this would be seen as it was. */
	os_yield();
}

static const struct gmem_consumer_ops ops = { .begin = mmu_begin, .end = mmu_end };

/* ---- faults ---------------------------------------------------------------------------------- */

static void install(uint64_t i, void *addr, uint32_t attributes)
{
	mmu.page[i].addr = addr;
	mmu.page[i].attributes = attributes;
	/* The guest writes: it has a translation. */
	mmu.page[i].addr[0] = 1;
	atomic_fetch_add_explicit(&nr_installed, 1, memory_order_relaxed);
}

static void fault_with_the_lock(uint64_t i)
{
	uint32_t attributes;
	void *addr;
	int level;

	gmem_file_fault_begin(mmu.file);
	attributes = attr_map_get(gmem_file_attributes(mmu.file), i);
	wrong_unless(!gmem_file_page(mmu.file, i * PAGE, &addr, &level));
	os_mutex_lock(&mmu.lock);
	wrong_unless(!mmu.nr_running);
	install(i, addr, attributes);
	os_mutex_unlock(&mmu.lock);
	gmem_file_fault_end(mmu.file);
}

static bool fault_with_the_sequence(uint64_t i)
{
	uint64_t sequence = atomic_load(&mmu.sequence);
	uint32_t attributes = attr_map_get(gmem_file_attributes(mmu.file), i);
	void *addr;
	int level;
	bool valid;

	wrong_unless(!gmem_file_page(mmu.file, i * PAGE, &addr, &level));
	os_mutex_lock(&mmu.lock);
	valid = !(mmu.nr_running && i >= mmu.begin && i < mmu.end) &&
		atomic_load(&mmu.sequence) == sequence;
	if (valid)
		install(i, addr, attributes);
	os_mutex_unlock(&mmu.lock);
	if (!valid)
		atomic_fetch_add_explicit(&nr_retried, 1, memory_order_relaxed);
	return valid;
}

static void faulter(void *arg)
{
	struct rng rng = { (uintptr_t)arg };

	while (!atomic_load(&stop)) {
		uint64_t i = rng_below(&rng, NR_PAGES);

		if (rng_below(&rng, 4) == 0)
			fault_with_the_lock(i);
		else
			while (!fault_with_the_sequence(i))
				os_relax();
	}
}

/* ---- changes --------------------------------------------------------------------------------- */

/* What the mmu holds of a range is of the kind that the range has now, and nobody else changes. */
static void check_range(uint64_t first, uint64_t nr, uint32_t attributes)
{
	uint64_t i;

	os_mutex_lock(&mmu.lock);
	for (i = first; i < first + nr; i++)
		wrong_unless(!mmu.page[i].addr || mmu.page[i].attributes == attributes);
	os_mutex_unlock(&mmu.lock);
}

static void changer(void *arg)
{
	uint64_t who = (uintptr_t)arg;
	uint64_t base = who * (NR_PAGES / NR_CHANGERS);
	struct rng rng = { 77 + who };
	uint64_t where;

	while (!atomic_load(&stop)) {
		uint64_t first = base + rng_below(&rng, NR_PAGES / NR_CHANGERS - 1);
		uint64_t nr = 1 + rng_below(&rng, base + NR_PAGES / NR_CHANGERS - first);
		uint32_t attributes = (uint32_t)rng_next(&rng) & P;

		if (rng_below(&rng, 3)) {
			wrong_unless(!gmem_file_convert(mmu.file, first * PAGE, nr * PAGE,
							attributes, &where));
			check_range(first, nr, attributes);
		} else {
			wrong_unless(!gmem_file_punch(mmu.file, first * PAGE, nr * PAGE));
		}
	}
}

static void start(struct os_thread **t, void (*fn)(void *), unsigned int i)
{
	assert_int_equal(os_thread_create(fn, (void *)(uintptr_t)i, "race", t), 0);
}

static void no_old_translation_survives_a_change(void **state)
{
	struct os_thread *t[NR_FAULTERS + NR_CHANGERS];
	uint64_t end = os_clock_ns() + RUN_NS;
	uint64_t changes;
	unsigned int i;

	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, 0, &mmu.file), 0);
	mmu.consumer.ops = &ops;
	gmem_file_add_consumer(mmu.file, &mmu.consumer);
	for (i = 0; i < NR_FAULTERS; i++)
		start(&t[i], faulter, i);
	for (; i < NR_FAULTERS + NR_CHANGERS; i++)
		start(&t[i], changer, i - NR_FAULTERS);
	do {
		os_wait(&idle, 0, 10000000);
		changes = atomic_load(&mmu.sequence);
	} while (os_clock_ns() < end || changes < 100);
	atomic_store(&stop, true);
	for (i = 0; i < NR_FAULTERS + NR_CHANGERS; i++)
		os_thread_join(t[i]);
	print_message("%llu changes, %llu translations, %llu retries\n",
		      (unsigned long long)changes, (unsigned long long)atomic_load(&nr_installed),
		      (unsigned long long)atomic_load(&nr_retried));
	assert_int_equal(atomic_load(&nr_wrong), 0);
	gmem_file_remove_consumer(mmu.file, &mmu.consumer);
	gmem_file_check(mmu.file);
	gmem_file_put(mmu.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_old_translation_survives_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
