/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The host of a file. Its page table is an array: a fault looks the page up under the file's invalidate lock,
 * shared, as a page fault of a process would, and a change takes the entry out before it happens.
 *
 * As the last consumer to begin and the first to end it also knows when the bracket is open: when all others have
 * begun and none has ended. The walkers ask it.
 */
#include "world.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static struct host *host_of(struct gmem_consumer *c)
{
	return (struct host *)((char *)c - offsetof(struct host, consumer));
}

static struct world_file *file_of(struct host *h)
{
	return (struct world_file *)((char *)h - offsetof(struct world_file, host));
}

static bool to_private(const struct gmem_change *ch)
{
	return ch->kind == GMEM_CHANGE_CONVERT && (ch->attributes & ATTR_PRIVATE);
}

static void note_pages(const struct gmem_change *ch, bool pages[NR_PAGES])
{
	uint64_t at = 0, offset, size;

	memset(pages, 0, NR_PAGES * sizeof(pages[0]));
	while (gmem_change_next(ch, &at, &offset, &size))
		for (uint64_t i = offset / PAGE; i < (offset + size) / PAGE && i < NR_PAGES; i++)
			pages[i] = true;
}

/* ---- the consumer ------------------------------------------------------------------------------ */

static int look_at_pins(struct host *h, const struct gmem_change *ch)
{
	bool changes[NR_PAGES];
	int err = 0;

	if (!h->refuses || !to_private(ch))
		return 0;
	note_pages(ch, changes);
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		if (!changes[i] || !h->intents[i])
			continue;
		gmem_change_refuse(ch, i * PAGE, PAGE);
		err = -EAGAIN;
	}
	return err;
}

static int prepare(struct gmem_consumer *c, const struct gmem_change *ch)
{
	sim_assert(!host_of(c)->open);
	return look_at_pins(host_of(c), ch);
}

static bool asked_slow(void *arg)
{
	return ((struct host *)arg)->slow();
}

static void unmap(struct host *h)
{
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		h->mapped[i] &= !h->changes[i];
		h->discards[i] += h->changes[i] && h->kind != GMEM_CHANGE_CONVERT;
	}
}

static int begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct host *h = host_of(c);
	int err;

	if (h->open)
		sim_fail("bracket: begin inside of another");
	if (ch->generation <= h->generation)
		sim_fail("bracket: generation %llu after %llu", (unsigned long long)ch->generation,
			 (unsigned long long)h->generation);
	h->generation = ch->generation;
	h->kind = ch->kind;
	note_pages(ch, h->changes);
	if (ch->kind != GMEM_CHANGE_CONVERT || to_private(ch))
		unmap(h);
	if (h->slow)
		sim_wait_for(asked_slow, h, "the slow consumer");
	sim_point();
	err = look_at_pins(h, ch);
	if (!err && h->fails_begin && ch->kind == GMEM_CHANGE_CONVERT) {
		h->fails_begin = false;
		err = -ENOMEM;
	}
	h->open = !err;
	sim_point();
	return err;
}

static void check_zero(const uint8_t *page, unsigned int nr)
{
	for (unsigned int i = 0; i < 8; i++)
		if (((const volatile uint64_t *)(const void *)page)[i])
			sim_fail("contents: page %u is punched and not zero", nr);
}

/* A page that was given back is all zero, and stays so until the bracket is closed. */
static void look_at_punched(struct host *h)
{
	struct world_file *f = file_of(h);
	const uint8_t *start = h->blind ? NULL : world_address(h->file, 0);

	for (unsigned int i = 0; i < NR_PAGES; i++) {
		if (!h->changes[i])
			continue;
		f->pages[i].value = 0;
		if (start)
			check_zero(start + i * PAGE, i);
	}
}

static void end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct host *h = host_of(c);

	if (!h->open)
		sim_fail("bracket: end without begin");
	if (ch->generation != h->generation || ch->kind != h->kind)
		sim_fail("bracket: end of another change than began");
	if (ch->aborted)
		sim_fail("bracket: aborted, although the last consumer agreed");
	if (ch->kind != GMEM_CHANGE_CONVERT)
		look_at_punched(h);
	sim_point();
	h->open = false;
}

static const struct gmem_consumer_ops ops = { .prepare = prepare, .begin = begin, .end = end };

struct world_file *world_file(unsigned int flags, uint64_t nr)
{
	struct world_file *f = world.files;

	while (f->file)
		f++;
	sim_assert(f < world.files + NR_FILES);
	sim_assert(!gmem_file_create(nr * PAGE, flags, &f->file));
	sim_name(f->file, 1, f == world.files ? "file" : "other file");
	f->host.consumer.ops = &ops;
	f->host.consumer.last = true;
	f->host.file = f->file;
	f->refs = 1;
	gmem_file_add_consumer(f->file, &f->host.consumer);
	return f;
}

/* ---- the host's own calls ---------------------------------------------------------------------- */

static bool has_page(struct host *h, unsigned int page)
{
	int level;
	void *addr;

	return !gmem_file_page(h->file, page * PAGE, &addr, &level);
}

/* A page fault: SIGBUS where the page is private. */
static bool map_page(struct host *h, unsigned int page)
{
	gmem_file_fault_begin(h->file);
	if (!gmem_file_is_private(h->file, page * PAGE) && has_page(h, page))
		h->mapped[page] = true;
	gmem_file_fault_end(h->file);
	return h->mapped[page];
}

static void touch(struct host *h, unsigned int page, bool write)
{
	uint8_t *host = world_address(h->file, page * PAGE);

	if (write)
		world_write("the host", host);
	else
		world_read("the host", host);
}

bool host_access(struct host *h, unsigned int page, bool write)
{
	for (;;) {
		/* The access itself is one step: while the page is mapped. */
		sim_point();
		sim_alone_begin();
		if (h->mapped[page]) {
			touch(h, page, write);
			sim_alone_end();
			return true;
		}
		sim_alone_end();
		if (!map_page(h, page))
			return false;
	}
}

bool host_pin(struct host *h, unsigned int page, struct host_pin *pin)
{
	bool pinned = false;

	/* Counted before the call, so that a conversion which looks afterwards sees it. */
	h->intents[page]++;
	sim_point();
	while (!pinned) {
		sim_alone_begin();
		pinned = h->mapped[page];
		h->pins[page] += pinned;
		*pin = (struct host_pin){ page, h->discards[page] };
		sim_alone_end();
		if (!pinned && !map_page(h, page))
			break;
		sim_point();
	}
	if (!pinned)
		h->intents[page]--;
	return pinned;
}

/* What was punched since is nobody's but the device's. */
void host_access_pinned(struct host *h, const struct host_pin *pin, bool write)
{
	sim_point();
	sim_assert(h->pins[pin->page]);
	sim_alone_begin();
	if (h->discards[pin->page] == pin->discards)
		touch(h, pin->page, write);
	sim_alone_end();
}

void host_unpin(struct host *h, const struct host_pin *pin)
{
	sim_point();
	h->pins[pin->page]--;
	h->intents[pin->page]--;
}
