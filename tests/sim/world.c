/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "world.h"

#include <errno.h>
#include <string.h>

#include "core/store_private.h"

#define MB2 ((uint64_t)2 << 20)

struct world world;

/* Its address is one of 2 MiB, so that leaves may be as large. */
static uint8_t memory[2 * MB2] __attribute__((aligned(2 << 20)));

/* ---- life -------------------------------------------------------------------------------------- */

static void make(bool has_private)
{
	struct mmu_config config = { .has_private = has_private, .gpa_bits = 46 };

	sim_assert(!mmu_create(&config, &world.mmu));
	os_mutex_init(&world.slots);
	sim_name(&world.slots, sizeof(world.slots), "the slots lock");
	walk_name();
	world_watch(BASE, NR_PAGES);
	sim_invariant(SIM_AT_SWITCH, walk_at_switch, NULL);
}

void world_make(bool has_private)
{
	memset(&world, 0, sizeof(world));
	world.memory_fd = -1;
	world.memory = memory;
	for (unsigned int i = 0; i < NR_PAGES; i++)
		*(uint64_t *)(void *)(memory + i * PAGE + KNOWN_AT) = 0;
	make(has_private);
}

void world_make_mapped(bool has_private)
{
	void *map;

	memset(&world, 0, sizeof(world));
	sim_assert(!os_memfd_create("memory", MB2, &world.memory_fd));
	sim_assert(!os_map_file(world.memory_fd, 0, MB2, MB2, OS_MAP_READ | OS_MAP_WRITE, &map));
	world.memory = map;
	make(has_private);
}

void world_watch(uint64_t gfn, uint64_t nr)
{
	unsigned int i = 0;

	while (world.watched[i].nr)
		sim_assert(++i < NR_WATCHED);
	world.watched[i].gfn = gfn;
	world.watched[i].nr = nr;
}

struct guest *world_guest(const char *name)
{
	struct guest *g = &world.guests[world.nr_guests];

	sim_assert(world.nr_guests < NR_GUESTS);
	guest_make(g, name);
	world.nr_guests++;
	return g;
}

/* What nobody has read since. */
static void check_contents(void)
{
	for (unsigned int i = 0; i < NR_PAGES; i++)
		world_read("who comes last", world.memory + i * PAGE);
	for (unsigned int n = 0; n < NR_FILES; n++) {
		struct world_file *f = &world.files[n];
		uint8_t *start = f->file ? world_address(f->file, 0) : NULL;

		for (uint64_t i = 0; start && i < NR_PAGES && i * PAGE < gmem_file_size(f->file);
		     i++)
			world_read("who comes last", start + i * PAGE);
	}
}

void world_unmake(void)
{
	struct memslot *slot;

	sim_alone_begin();
	mmu_check(world.mmu);
	attr_map_check(mmu_attributes(world.mmu));
	check_contents();
	while ((slot = memslot_any(world.mmu)))
		memslot_delete(world.mmu, slot);
	for (unsigned int i = 0; i < NR_FILES; i++) {
		struct world_file *f = &world.files[i];

		if (!f->refs)
			continue;
		gmem_file_check(f->file);
		world_let(f);
		sim_assert(!f->refs);
	}
	mmu_check(world.mmu);
	for (unsigned int i = 0; i < world.nr_guests; i++)
		guest_unmake(&world.guests[i]);
	mmu_destroy(world.mmu);
	if (world.memory_fd >= 0) {
		os_unmap(world.memory, MB2);
		os_fd_close(world.memory_fd);
	}
	sim_alone_end();
}

/* ---- slots ------------------------------------------------------------------------------------- */

void world_slot(uint32_t id, uint64_t gfn, uint64_t nr, unsigned int first, uint32_t flags,
		struct gmem_file *file, uint64_t file_first)
{
	struct memslot what = {
		.id = id,
		.gfn = gfn,
		.nr_pages = nr,
		.hva = (uint64_t)(uintptr_t)world.memory + first * PAGE,
		.flags = flags | (file ? MEMSLOT_GUEST_MEMFD : 0),
		.file = file,
		.file_offset = file_first * PAGE,
	};
	int err = memslot_create(world.mmu, &what, false);

	/* A file that was closed meanwhile leaves a hole. */
	sim_assert(!err || err == -EBADF);
}

struct memslot *world_find(uint32_t id)
{
	return memslot_find(world.mmu, 0, id);
}

bool world_hold(struct world_file *f)
{
	f->refs += f->refs != 0;
	return f->refs;
}

static void release(struct world_file *f)
{
	struct gmem_file *file = f->file;

	os_mutex_lock(&world.slots);
	f->released = true;
	gmem_file_release(file);
	if (f->host.open)
		sim_fail("bracket: a release has no end");
	f->file = NULL;
	os_mutex_unlock(&world.slots);
	gmem_file_put(file);
}

void world_let(struct world_file *f)
{
	sim_assert(f->refs);
	if (!--f->refs)
		release(f);
}

/* ---- contents ---------------------------------------------------------------------------------- */

uint8_t *world_address(struct gmem_file *file, uint64_t offset)
{
	struct window *w = window_find(memfd_store(gmem_file_store(file)), offset);

	return w ? (uint8_t *)w->addr + offset % STORE_WINDOW_SIZE : NULL;
}

static struct page *page_in_file(struct world_file *f, const uint8_t *host)
{
	const uint8_t *start = f->file ? world_address(f->file, 0) : NULL;
	uint64_t at = start ? (uint64_t)(host - start) / PAGE : NR_PAGES;

	return at < NR_PAGES ? &f->pages[at] : NULL;
}

struct page *world_page_at(const uint8_t *host)
{
	uint64_t at = (uint64_t)(host - world.memory) / PAGE;
	struct page *p = NULL;

	if (at < NR_PAGES)
		return &world.pages[at];
	for (unsigned int i = 0; i < NR_FILES && !p; i++)
		p = page_in_file(&world.files[i], host);
	return p;
}

static void check_word(const char *who, const struct page *p, const uint8_t *host)
{
	uint64_t is = *(const volatile uint64_t *)(const void *)(host + KNOWN_AT);

	if (is != p->value)
		sim_fail("contents: %s reads %llu where %llu was written", who,
			 (unsigned long long)is, (unsigned long long)p->value);
}

/* What is known and what is there are one: nobody comes in between. */
void world_read(const char *who, const uint8_t *host)
{
	const struct page *p = world_page_at(host);

	sim_alone_begin();
	if (p)
		check_word(who, p, host);
	sim_alone_end();
}

void world_write(const char *who, uint8_t *host)
{
	struct page *p = world_page_at(host);

	sim_alone_begin();
	if (p) {
		check_word(who, p, host);
		p->value = ++world.next_value;
		p->copied = false;
		*(volatile uint64_t *)(void *)(host + KNOWN_AT) = p->value;
	}
	sim_alone_end();
}
