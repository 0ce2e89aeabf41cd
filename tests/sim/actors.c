/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "actors.h"

#include <errno.h>
#include <string.h>

#define NR_ACTORS 8u

void act(const char *name, void (*fn)(void *), struct actor a)
{
	static struct actor actors[NR_ACTORS];
	struct actor *slot = &actors[world.nr_actors];

	sim_assert(world.nr_actors++ < NR_ACTORS);
	*slot = a;
	slot->turns += !a.turns;
	slot->nr += !a.nr;
	sim_spawn(name, fn, slot);
}

struct range {
	unsigned int first, nr;
};

static struct range pick(const struct actor *a)
{
	struct range r = { a->first, a->nr };
	unsigned int skip;

	if (a->whole || a->nr == 1)
		return r;
	skip = sim_choose(a->nr);
	r.first += skip;
	r.nr = 1 + sim_choose(a->nr - skip);
	return r;
}

static unsigned int pick_page(const struct actor *a)
{
	return a->first + (a->nr == 1 ? 0 : sim_choose(a->nr));
}

/* ---- guests ------------------------------------------------------------------------------------ */

void guest_runs(void *arg)
{
	struct actor *a = arg;

	guest_enter(a->guest);
	for (unsigned int i = 0; i < a->turns; i++)
		guest_access(a->guest, BASE + pick_page(a), !sim_choose(2));
	guest_leave(a->guest);
}

void guest_touches(void *arg)
{
	struct actor *a = arg;

	guest_enter(a->guest);
	for (unsigned int i = 0; i < a->turns; i++) {
		guest_access(a->guest, BASE + a->first, true);
		guest_access(a->guest, BASE + a->first + a->nr - 1, false);
	}
	guest_leave(a->guest);
}

void guest_restless(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		guest_enter(a->guest);
		guest_access(a->guest, BASE + a->first, true);
		guest_leave(a->guest);
	}
}

void prefaulter(void *arg)
{
	struct actor *a = arg;
	uint64_t gpa = (BASE + a->first) * PAGE, end = gpa + a->nr * PAGE;
	struct mmu_fault_info info;

	while (gpa < end) {
		if (mmu_fault(a->guest->v, gpa, MMU_READ, true, &info) != MMU_FAULT_OK)
			return;
		sim_assert(info.mapped_end > gpa);
		gpa = info.mapped_end;
	}
}

/* ---- the VM ------------------------------------------------------------------------------------ */

static void convert_gfns(const struct actor *a, uint32_t attributes)
{
	struct range r = pick(a);
	uint32_t value;

	os_mutex_lock(&world.slots);
	sim_note("gfns %u+%u become %s", r.first, r.nr, attributes ? "private" : "shared");
	sim_assert(!mmu_set_attributes(world.mmu, BASE + r.first, r.nr, attributes));
	sim_assert(attr_map_uniform(mmu_attributes(world.mmu), BASE + r.first, r.nr, &value));
	sim_assert(value == attributes);
	os_mutex_unlock(&world.slots);
}

void gfn_converter(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++)
		convert_gfns(a, i % 2 ? 0 : ATTR_PRIVATE);
}

static struct world_file *file_of_slot(const struct memslot *slot)
{
	for (unsigned int i = 0; i < NR_FILES; i++)
		if (slot->file && world.files[i].file == slot->file)
			return &world.files[i];
	return NULL;
}

/* The slots lock. *file: held for the slot that comes, NULL: it has none any more. */
static void change_slot(uint32_t id, struct world_file **file)
{
	struct memslot *slot = world_find(id), was;

	if (!slot)
		return;
	was = *slot;
	*file = file_of_slot(slot);
	sim_note("slot %u goes", id);
	memslot_delete(world.mmu, slot);
	sim_assert(!world_find(id));
	if (*file && !world_hold(*file))
		*file = NULL;
	sim_note("slot %u comes", id);
	world_slot(id, was.gfn, was.nr_pages,
		   (unsigned int)((was.hva - (uintptr_t)world.memory) / PAGE),
		   was.flags & ~MEMSLOT_GUEST_MEMFD, *file ? (*file)->file : NULL,
		   was.file_offset / PAGE);
}

void slot_changer(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		struct world_file *file = NULL;

		os_mutex_lock(&world.slots);
		change_slot(a->slot, &file);
		os_mutex_unlock(&world.slots);
		if (file)
			world_let(file);
	}
}

void slot_mover(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < 2 * a->turns; i++) {
		struct memslot *slot;

		os_mutex_lock(&world.slots);
		slot = world_find(a->slot);
		if (slot)
			sim_assert(!memslot_move(world.mmu, slot, i % 2 ? BASE : FAR, slot->flags,
						 false));
		os_mutex_unlock(&world.slots);
	}
}

/* What is switched on begins with everything copied. */
static void switch_log(struct memslot *slot)
{
	uint32_t flags = slot->flags ^ MEMSLOT_LOG_DIRTY;

	world.nr_clearing++;
	sim_note("log %s", flags & MEMSLOT_LOG_DIRTY ? "on" : "off");
	sim_assert(!memslot_set_flags(world.mmu, slot, flags, false));
	for (unsigned int i = 0; i < NR_PAGES && (flags & MEMSLOT_LOG_DIRTY); i++)
		world.pages[i].copied = true;
	world.nr_clearing--;
}

void log_switcher(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		os_mutex_lock(&world.slots);
		if (world_find(a->slot))
			switch_log(world_find(a->slot));
		os_mutex_unlock(&world.slots);
	}
}

static void copy_pages(const struct memslot *slot, uint64_t log)
{
	uint64_t first = (slot->hva - (uintptr_t)world.memory) / PAGE;

	for (uint64_t i = 0; i < slot->nr_pages && first + i < NR_PAGES; i++)
		if (log >> i & 1)
			world.pages[first + i].copied = true;
}

static void take_log(struct memslot *slot, bool clear_apart)
{
	uint64_t log;

	sim_assert(memslot_dirty_words(slot) == 1);
	world.nr_clearing++;
	memslot_dirty_get(world.mmu, slot, &log, !clear_apart);
	if (clear_apart)
		memslot_dirty_clear(world.mmu, slot, 0, slot->nr_pages, &log);
	sim_note("log %llx", (unsigned long long)log);
	copy_pages(slot, log);
	world.nr_clearing--;
}

void dirty_logger(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		struct memslot *slot;

		os_mutex_lock(&world.slots);
		slot = world_find(a->slot);
		if (slot && slot->dirty)
			take_log(slot, i % 2);
		os_mutex_unlock(&world.slots);
	}
}

static void remap(struct range r, uint32_t nr)
{
	uint64_t hva = (uint64_t)(uintptr_t)world.memory + r.first * PAGE;
	bool hit = mmu_hva_invalidate_begin(world.mmu, hva, r.nr * PAGE);

	sim_note("memory %u+%u is mapped anew", r.first, r.nr);
	if (hit) {
		world.hva_open[nr].start = hva;
		world.hva_open[nr].end = hva + r.nr * PAGE;
	}
	for (unsigned int i = r.first; i < r.first + r.nr; i++) {
		sim_point();
		world.pages[i].value = ++world.next_value;
		*(volatile uint64_t *)(void *)(world.memory + i * PAGE + KNOWN_AT) =
			world.next_value;
	}
	sim_point();
	world.hva_open[nr].start = world.hva_open[nr].end = 0;
	if (hit)
		mmu_hva_invalidate_end(world.mmu, hva, r.nr * PAGE);
}

void remapper(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++)
		remap(pick(a), a->slot);
}

void program(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		uint8_t *host = world.memory + pick_page(a) * PAGE;

		sim_point();
		world_write("the program", host);
		world.pages[(host - world.memory) / PAGE].copied = true;
	}
}
