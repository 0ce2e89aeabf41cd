/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An IOMMU that lets devices at shared pages only: a secondary MMU that knows nothing of vCPUs.
 *
 * A device addresses memory by I/O addresses. The IOMMU translates them, by entries that it makes
 * when a device asks for a page the first time (as with ATS and PRI), to the host addresses of
 * pages of two guest memories:
 *
 *	I/O address	0 .. 4 MiB	the first file, its "low memory"
 *			16 .. 20 MiB	the second, its "high memory"
 *
 * It is one *consumer* on both files (gmem_consumer_add_several()). What that asks of it:
 *
 *	translate	between gmem_fault_begin() and gmem_fault_end() it asks what the page is, and
 *			for the largest block that one entry may map (gmem_find_block()). A private
 *			page gets no entry: the access is a *DMA fault*, noted in a queue for whoever
 *			drives the device
 *	begin		drops the entries of the range, and waits for the accesses that use one: they
 *			hold `lock`. When it returns no device can reach the page any more, and only
 *			then does the page become private
 *	end		nothing: a device that still wants the page asks anew
 *	prepare		a transfer that cannot be stopped midway (of a device that cannot fault, say)
 *			refuses the conversion of its pages, before anybody has dropped anything
 *
 * How long it lives: a consumer is called from gmem_consumer_add_several() on until
 * gmem_consumer_remove() has returned; then nothing of it runs, what began has ended, and its table may
 * go. It does not keep the file: gmem_put() comes after. An entry is good from gmem_fault_begin()
 * until begin() names its page, and no longer: addresses of pages are kept nowhere else.
 *
 * Under which lock: begin(), end() and prepare() are called with the file's lock held exclusively,
 * and gmem_fault_begin() takes it shared: so no change begins between a question and the entry that is
 * made of the answer. `lock` is the IOMMU's own, and always the inner one: while it is held no function
 * of the library is called but those that describe a change. One lock does for both files, since
 * nothing here holds the lock of one file and asks for that of the other.
 *
 * Build: cc iommu.c $(pkg-config --cflags --libs gmem) -pthread
 */
#include <errno.h>
#include <gmem.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((uint64_t)GMEM_PAGE_SIZE)
#define MIB ((uint64_t)1 << 20)
#define FILE_SIZE (4 * MIB)
#define NR_PAGES (FILE_SIZE / PAGE)

static void expect(const char *what, bool is_so)
{
	if (!is_so) {
		fprintf(stderr, "it is not so that %s\n", what);
		exit(1);
	}
	printf("%s\n", what);
}

static void must(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, gmem_strerror(ret));
		exit(1);
	}
}

/* ---- the IOMMU --------------------------------------------------------------------------------- */

/* What stands for a page: where it is, and how large the entry is that has it. */
struct entry {
	char *at; /* NULL: none */
	uint32_t order;
};

/* One file, where devices see it. */
struct place {
	uint64_t io_address;
	struct gmem *g;
	struct gmem_consumer *consumer;
	struct entry table[NR_PAGES];
	uint64_t busy_offset, busy_size; /* a transfer that cannot be stopped; size 0: none */
	int in_progress;		 /* changes that have begun and not ended */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place places[2] = { { .io_address = 0 }, { .io_address = 16 * MIB } };
static uint64_t last_fault; /* the queue, one deep */
static unsigned long nr_faults, nr_dropped;

/* Under `lock`. */
static void drop(struct place *p, uint64_t offset, uint64_t size)
{
	for (uint64_t page = offset / PAGE; page < (offset + size) / PAGE; page++) {
		uint64_t nr = (uint64_t)1 << p->table[page].order, first = page & ~(nr - 1);

		if (!p->table[page].at)
			continue;
		/* An entry goes whole, although a part of it may be asked for. */
		memset(&p->table[first], 0, nr * sizeof(p->table[0]));
		nr_dropped++;
	}
}

static int prepare(void *data, const struct gmem_change *change)
{
	struct place *p = data;
	uint64_t at = 0, offset, size;
	int err = 0;

	pthread_mutex_lock(&lock);
	while (gmem_change_next_part(change, &at, &offset, &size))
		if (p->busy_size && offset < p->busy_offset + p->busy_size &&
		    p->busy_offset < offset + size) {
			gmem_change_refuse_part(change, p->busy_offset, p->busy_size);
			err = -EAGAIN;
		}
	pthread_mutex_unlock(&lock);
	return err;
}

static int begin(void *data, const struct gmem_change *change)
{
	struct gmem_change_info info = { .args_size = sizeof(info) };
	struct place *p = data;

	must("gmem_change_describe", gmem_change_describe(change, &info));
	pthread_mutex_lock(&lock);
	p->in_progress++;
	drop(p, info.offset, info.size);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void end(void *data, const struct gmem_change *change)
{
	struct place *p = data;

	(void)change;
	pthread_mutex_lock(&lock);
	p->in_progress--;
	pthread_mutex_unlock(&lock);
}

static const struct gmem_consumer_callbacks callbacks = {
	.ops_size = sizeof(callbacks), .prepare = prepare, .begin = begin, .end = end
};

static struct place *place_of(uint64_t io_address)
{
	for (int i = 0; i < 2; i++)
		if (io_address >= places[i].io_address &&
		    io_address - places[i].io_address < FILE_SIZE)
			return &places[i];
	return NULL;
}

/* The library's part of a miss: an entry for all of the block, if the page is shared. */
static void make_entry(struct place *p, uint64_t offset)
{
	struct gmem_block block = { .args_size = sizeof(block) };

	must("gmem_fault_begin", gmem_fault_begin(p->g));
	if (!gmem_find_block(p->g, offset, &block) &&
	    !(block.attributes & GMEM_ATTRIBUTE_PRIVATE)) {
		uint64_t first = block.offset / PAGE, nr = (uint64_t)1 << block.order;

		pthread_mutex_lock(&lock);
		for (uint64_t i = 0; i < nr; i++)
			p->table[first + i] =
				(struct entry){ (char *)block.addr + i * PAGE, block.order };
		pthread_mutex_unlock(&lock);
	}
	gmem_fault_end(p->g);
}

/*
 * An access of a device inside one page: true, or a fault. The second time round the entry may be
 * gone again, if a conversion came between: that is a fault, too.
 */
static bool dma(uint64_t io_address, void *data, size_t size, bool is_write)
{
	struct place *p = place_of(io_address);
	uint64_t offset = p ? io_address - p->io_address : 0;
	bool done = false;

	for (int i = 0; p && i < 2 && !done; i++) {
		struct entry *e = &p->table[offset / PAGE];

		if (i)
			make_entry(p, offset);
		pthread_mutex_lock(&lock);
		done = e->at;
		if (done && is_write)
			memcpy(e->at + offset % PAGE, data, size);
		else if (done)
			memcpy(data, e->at + offset % PAGE, size);
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_lock(&lock);
	if (!done) {
		last_fault = io_address;
		nr_faults++;
	}
	pthread_mutex_unlock(&lock);
	return done;
}

static bool dma_write(uint64_t io_address, const char *text)
{
	return dma(io_address, (void *)(uintptr_t)text, strlen(text) + 1, true);
}

static bool dma_reads(uint64_t io_address, const char *text)
{
	char found[64] = "";

	return dma(io_address, found, strlen(text) + 1, false) && !strcmp(found, text);
}

/* ---- what happens ------------------------------------------------------------------------------ */

static char *windows[2];

static void attach(void)
{
	struct gmem_create_args make = { .args_size = sizeof(make),
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED,
					 .size = FILE_SIZE };
	struct gmem_map_args map = { .args_size = sizeof(map),
				     .size = FILE_SIZE,
				     .prot = PROT_READ | PROT_WRITE };
	struct gmem_consumer_file files[2];
	struct gmem_consumer *consumers[2];

	for (int i = 0; i < 2; i++) {
		void *at;

		must("gmem_create", gmem_create(&make, &places[i].g));
		must("gmem_map", gmem_map(places[i].g, &map, &at));
		windows[i] = at;
		files[i] = (struct gmem_consumer_file){ .g = places[i].g, .data = &places[i] };
	}
	must("gmem_consumer_add_several",
	     gmem_consumer_add_several(files, 2, &callbacks, consumers));
	for (int i = 0; i < 2; i++)
		places[i].consumer = consumers[i];
}

static void detach(void)
{
	for (int i = 0; i < 2; i++) {
		gmem_consumer_remove(places[i].g, places[i].consumer);
		must("gmem_unmap", gmem_unmap(windows[i], FILE_SIZE));
		gmem_put(places[i].g);
	}
}

static void shared_pages_are_reached(void)
{
	expect("a device writes to shared pages of both files",
	       dma_write(5 * PAGE, "low") && dma_write(16 * MIB + 7 * PAGE, "high"));
	expect("the host reads it there",
	       !strcmp(windows[0] + 5 * PAGE, "low") && !strcmp(windows[1] + 7 * PAGE, "high"));
	expect("an address of no file is a DMA fault", !dma_write(8 * MIB, "x") && nr_faults == 1);
}

static void a_conversion_takes_them_away(void)
{
	unsigned long before = nr_dropped;

	must("gmem_make_private", gmem_make_private(places[0].g, 5 * PAGE, PAGE, NULL));
	expect("the entry is gone before the page is private", nr_dropped > before);
	expect("a device that writes there has a DMA fault",
	       !dma_write(5 * PAGE, "bad") && last_fault == 5 * PAGE);
	expect("its neighbour is still shared", dma_write(6 * PAGE, "next"));
	expect("the other file is as before", dma_reads(16 * MIB + 7 * PAGE, "high"));
	must("gmem_make_shared", gmem_make_shared(places[0].g, 5 * PAGE, PAGE, NULL));
	expect("shared again, it has what the guest had", dma_reads(5 * PAGE, "low"));
}

static void one_entry_maps_as_much_as_it_may(void)
{
	uint32_t order;

	must("gmem_punch", gmem_punch(places[1].g, 0, FILE_SIZE));
	expect("a device reads a page", dma_reads(16 * MIB + 7 * PAGE, ""));
	order = places[1].table[7].order;
	expect("one entry has all of 2 MiB", order == 9 && places[1].table[8].at);
	must("gmem_make_private", gmem_make_private(places[1].g, 8 * PAGE, PAGE, NULL));
	expect("with a private page among them, each has its own",
	       dma_reads(16 * MIB + 7 * PAGE, "") && places[1].table[7].order == 0);
	must("gmem_make_shared", gmem_make_shared(places[1].g, 8 * PAGE, PAGE, NULL));
	expect("and when all are shared again, one entry",
	       dma_reads(16 * MIB + 8 * PAGE, "") && places[1].table[8].order == 9);
}

static void a_transfer_may_refuse(void)
{
	uint64_t refused = 0;

	pthread_mutex_lock(&lock);
	places[0].busy_offset = 9 * PAGE;
	places[0].busy_size = 2 * PAGE;
	pthread_mutex_unlock(&lock);
	expect("a conversion of pages of a transfer is refused",
	       gmem_make_private(places[0].g, 8 * PAGE, 8 * PAGE, &refused) == -EAGAIN);
	expect("it says where", refused == 9 * PAGE);
	expect("nothing has changed", dma_write(8 * PAGE, "still"));
	pthread_mutex_lock(&lock);
	places[0].busy_size = 0;
	pthread_mutex_unlock(&lock);
	must("gmem_make_private", gmem_make_private(places[0].g, 8 * PAGE, 8 * PAGE, NULL));
	expect("after the transfer it is done", !dma_write(8 * PAGE, "bad"));
}

/* A device that never stops, and a host that converts its page and looks whether it was let in. */
static _Atomic bool stop;

static void *device(void *arg)
{
	(void)arg;
	while (!stop)
		dma_write(20 * PAGE, "device");
	return NULL;
}

static char *guest_page(uint64_t offset)
{
	void *at = NULL;

	must("gmem_fault_begin", gmem_fault_begin(places[0].g));
	must("gmem_page", gmem_page(places[0].g, offset, &at, NULL));
	gmem_fault_end(places[0].g);
	return at;
}

static void a_private_page_is_never_written(void)
{
	char *page = guest_page(20 * PAGE);
	bool is_intact = true;
	pthread_t thread;

	pthread_create(&thread, NULL, device, NULL);
	for (int i = 0; i < 1000; i++) {
		must("gmem_make_private", gmem_make_private(places[0].g, 20 * PAGE, PAGE, NULL));
		strcpy(page, "guest");
		sched_yield();
		is_intact &= !strcmp(page, "guest");
		must("gmem_make_shared", gmem_make_shared(places[0].g, 20 * PAGE, PAGE, NULL));
	}
	stop = true;
	pthread_join(thread, NULL);
	expect("a device that never stops never wrote to a private page", is_intact);
}

int main(void)
{
	attach();
	shared_pages_are_reached();
	a_conversion_takes_them_away();
	one_entry_maps_as_much_as_it_may();
	a_transfer_may_refuse();
	a_private_page_is_never_written();
	detach();
	expect("what began has ended", !places[0].in_progress && !places[1].in_progress);
	return 0;
}
