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
#define RUN_NS 1500000000ull

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

	while (!atomic_load(&stop)) {
		uint64_t first = base + rng_below(&rng, NR_PAGES / NR_CHANGERS - 1);
		uint64_t nr = 1 + rng_below(&rng, base + NR_PAGES / NR_CHANGERS - first);
		uint32_t attributes = (uint32_t)rng_next(&rng) & P;

		if (rng_below(&rng, 3)) {
			struct gmem_conversion c = { .offset = first * PAGE,
						     .size = nr * PAGE,
						     .attributes = attributes };

			wrong_unless(!gmem_file_convert(mmu.file, &c));
			check_range(first, nr, attributes);
		} else {
			wrong_unless(!gmem_file_punch(mmu.file, first * PAGE, nr * PAGE));
		}
	}
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define MAX_THREADS 8
static struct os_thread *threads[MAX_THREADS];
static unsigned int nr_threads;

static void open_file(void)
{
	memset(&mmu, 0, sizeof(mmu));
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, GMEM_FILE_IN_PLACE, &mmu.file), 0);
	mmu.consumer.ops = &ops;
	gmem_file_add_consumer(mmu.file, &mmu.consumer);
	atomic_store(&stop, false);
	atomic_store(&nr_wrong, 0);
	nr_threads = 0;
}

static void start(void (*fn)(void *), unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++, nr_threads++)
		assert_int_equal(os_thread_create(fn, (void *)(uintptr_t)i, "race",
						  &threads[nr_threads]),
				 0);
}

static void run_for(uint64_t ns)
{
	uint64_t end = os_clock_ns() + ns;

	do
		os_wait(&idle, 0, 10000000);
	while (os_clock_ns() < end || atomic_load(&mmu.sequence) < 100);
}

static void stop_all(void)
{
	atomic_store(&stop, true);
	while (nr_threads)
		os_thread_join(threads[--nr_threads]);
	assert_int_equal(atomic_load(&nr_wrong), 0);
}

static void close_file(void)
{
	gmem_file_remove_consumer(mmu.file, &mmu.consumer);
	gmem_file_check(mmu.file);
	gmem_file_put(mmu.file);
}

static void no_old_translation_survives_a_change(void **state)
{
	open_file();
	start(faulter, NR_FAULTERS);
	start(changer, NR_CHANGERS);
	run_for(RUN_NS);
	stop_all();
	print_message("%llu changes, %llu translations, %llu retries\n",
		      (unsigned long long)atomic_load(&mmu.sequence),
		      (unsigned long long)atomic_load(&nr_installed),
		      (unsigned long long)atomic_load(&nr_retried));
	close_file();
}

/* ---- consumers and bindings that come and go --------------------------------------------------- */

struct guest {
	struct gmem_consumer consumer;
	int open; /* begins without an end; the invalidate lock protects it */
};

static int guest_begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	wrong_unless(((struct guest *)c)->open++ == 0);
	return 0;
}

static void guest_end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	wrong_unless(((struct guest *)c)->open-- == 1);
}

static const struct gmem_consumer_ops guest_ops = { .begin = guest_begin, .end = guest_end };

/* One that registers between a begin and its end would be told of an end only. */
static void come_and_go(void *arg)
{
	struct guest guest = { .consumer = { .ops = &guest_ops } };

	while (!atomic_load(&stop)) {
		gmem_file_add_consumer(mmu.file, &guest.consumer);
		os_yield();
		gmem_file_remove_consumer(mmu.file, &guest.consumer);
		wrong_unless(guest.open == 0);
	}
}

static _Atomic uint32_t owners[NR_PAGES]; /* bindings a page has, by our own count */

static void bind_and_unbind(void *arg)
{
	struct rng rng = { 40 + (uintptr_t)arg };

	while (!atomic_load(&stop)) {
		uint64_t first = rng_below(&rng, NR_PAGES);
		uint64_t nr = 1 + rng_below(&rng, NR_PAGES - first);
		struct gmem_binding *b;
		uint64_t i;

		if (gmem_file_bind(mmu.file, first * PAGE, nr * PAGE, arg, &b))
			continue;
		for (i = first; i < first + nr; i++)
			wrong_unless(atomic_fetch_add(&owners[i], 1) == 0);
		os_yield();
		for (i = first; i < first + nr; i++)
			atomic_fetch_sub(&owners[i], 1);
		gmem_file_unbind(mmu.file, b);
	}
}

static void a_consumer_hears_whole_brackets(void **state)
{
	open_file();
	start(come_and_go, 2);
	start(bind_and_unbind, 2);
	start(changer, NR_CHANGERS);
	run_for(RUN_NS / 2);
	stop_all();
	close_file();
}

/* ---- a VM type ---------------------------------------------------------------------------------- */

/* What the hardware has of each page. Plain: prepare and the others never run beside each other. */
static bool prepared[NR_PAGES];
static _Atomic uint64_t nr_prepared, nr_undone;

static int prepare(void *type, uint64_t offset, uint64_t size)
{
	wrong_unless(!prepared[offset / PAGE]);
	wrong_unless(gmem_file_is_private(mmu.file, offset));
	prepared[offset / PAGE] = true;
	nr_prepared++;
	return 0;
}

static void make_private(void *type, uint64_t offset, uint64_t size)
{
	uint64_t i;

	for (i = offset / PAGE; i < (offset + size) / PAGE; i++)
		wrong_unless(!prepared[i]);
}

static void undo(void *type, uint64_t offset, uint64_t size)
{
	uint64_t i;

	for (i = offset / PAGE; i < (offset + size) / PAGE; i++)
		prepared[i] = false;
	nr_undone++;
}

static void preparer(void *arg)
{
	struct rng rng = { 400 + (uintptr_t)arg };

	while (!atomic_load(&stop)) {
		uint64_t i = rng_below(&rng, NR_PAGES);
		void *addr = NULL;

		gmem_file_fault_begin(mmu.file);
		if (gmem_file_is_private(mmu.file, i * PAGE)) {
			wrong_unless(!store_address(gmem_file_store(mmu.file), i * PAGE, &addr));
			atomic_fetch_or((_Atomic uint8_t *)addr, 1);
			wrong_unless(!gmem_file_prepare(mmu.file, i * PAGE));
			wrong_unless(prepared[i]);
		}
		gmem_file_fault_end(mmu.file);
	}
}

static void a_page_is_prepared_when_it_is_used_and_once(void **state)
{
	static const struct gmem_type_ops type = { prepare, make_private, undo, undo };

	open_file();
	gmem_file_set_type(mmu.file, &type, NULL);
	memset(prepared, 0, sizeof(prepared));
	start(preparer, NR_FAULTERS);
	start(changer, NR_CHANGERS);
	/* Longer where the machine has other things to do. */
	for (int i = 0; i < 20 && (!i || nr_prepared <= 100 || nr_undone <= 100); i++)
		run_for(RUN_NS / 2);
	stop_all();
	print_message("%llu pages prepared, %llu times undone\n", (unsigned long long)nr_prepared,
		      (unsigned long long)nr_undone);
	assert_true(nr_prepared > 100 && nr_undone > 100);
	close_file();
}

/* ---- release ----------------------------------------------------------------------------------- */

static bool fault_until_released(uint64_t i)
{
	uint64_t sequence = atomic_load(&mmu.sequence);
	void *addr;
	int level;
	bool gone = gmem_file_page(mmu.file, i * PAGE, &addr, &level);

	os_mutex_lock(&mmu.lock);
	if (!gone && !mmu.nr_running && atomic_load(&mmu.sequence) == sequence)
		install(i, addr, P);
	os_mutex_unlock(&mmu.lock);
	return gone;
}

static void fault_on_and_on(void *arg)
{
	struct rng rng = { 60 + (uintptr_t)arg };

	while (!fault_until_released(rng_below(&rng, NR_PAGES)))
		;
	/* Once gone, it stays so. */
	while (!atomic_load(&stop))
		wrong_unless(fault_until_released(rng_below(&rng, NR_PAGES)));
}

static void nothing_is_left_after_a_release(void **state)
{
	uint64_t round, i;

	for (round = 0; round < 50; round++) {
		open_file();
		start(fault_on_and_on, 2);
		os_wait(&idle, 0, (int64_t)(round * 10000));
		gmem_file_release(mmu.file);
		os_mutex_lock(&mmu.lock);
		for (i = 0; i < NR_PAGES; i++)
			wrong_unless(!mmu.page[i].addr);
		os_mutex_unlock(&mmu.lock);
		stop_all();
		assert_int_equal(store_backed(gmem_file_store(mmu.file)), 0);
		close_file();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_old_translation_survives_a_change),
		cmocka_unit_test(a_consumer_hears_whole_brackets),
		cmocka_unit_test(a_page_is_prepared_when_it_is_used_and_once),
		cmocka_unit_test(nothing_is_left_after_a_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
