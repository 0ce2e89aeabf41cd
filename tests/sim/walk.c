/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Walkers: what must hold whenever another fibre may look.
 *
 *	agreement	a leaf, a translation that a vCPU may use and a page that a host has mapped are those that
 *			slots and attributes ask for now
 *	brackets	between begin and end there is none of what is changing
 *	levels		a leaf reaches over nothing that is of another kind
 *	dirty log	what can be written without a fault is in the log
 *	tables		no page of a table that is walked is free
 *
 * A change holds the mmu lock while tables and slots do not agree, and the sequence of an attribute map is odd
 * while it changes: then there is nothing to say.
 */
#include "world.h"

#include "core/attr_node.h"
#include "core/file_private.h"
#include "mmu/mmu_private.h"
#include "os/sim/sim_private.h"

void walk_name(void)
{
	sim_name(&world.mmu->lock, sizeof(world.mmu->lock), "the mmu lock");
	sim_name(&world.mmu->vcpus_lock, sizeof(world.mmu->vcpus_lock), "the list of vCPUs");
	sim_name(&world.mmu->flush_wanted, 8, "flush_wanted");
}

uint32_t walk_waiters(struct mmu_vcpu *v)
{
	return os_racy_load(&v->waiters);
}

/* What it does once it has spun for long enough. */
bool walk_gives_up(struct mmu_vcpu *v)
{
	for (unsigned int i = 0; i < sim.nr_fibres; i++) {
		const struct sim_fibre *f = &sim.fibres[i];

		if (!f->done && f->op.addr == &v->progress)
			return true;
	}
	return false;
}

bool walk_is_even(struct attr_map *map)
{
	return !(os_racy_load(&map->sequence) & 1);
}

/* ---- what a page is ---------------------------------------------------------------------------- */

struct truth {
	struct memslot *slot;
	uint64_t host; /* what may be mapped; 0: nothing */
	bool from_file;
};

static bool is_known(const struct memslot *slot)
{
	return walk_is_even(world.mmu->attributes) &&
	       (!slot || !slot->file || walk_is_even(slot->file->attributes));
}

static uint64_t address_in_file(const struct memslot *slot, uint64_t gfn)
{
	if (!slot->file || os_racy_load(&slot->file->released))
		return 0;
	return (uint64_t)(uintptr_t)world_address(slot->file, memslot_file_offset(slot, gfn));
}

/* False: it is just being changed. The mmu lock is free. */
static bool find_truth(uint64_t gfn, struct truth *t)
{
	bool is_private;

	*t = (struct truth){ .slot = memslot_at(world.mmu, gfn) };
	if (!is_known(t->slot))
		return false;
	if (!t->slot)
		return true;
	is_private = mmu_is_private(world.mmu, t->slot, gfn);
	if (is_private && !world.mmu->config.has_private)
		return true;
	t->from_file = memslot_uses_file(t->slot, is_private);
	t->host = t->from_file ? address_in_file(t->slot, gfn)
			       : t->slot->hva + ((gfn - t->slot->gfn) << OS_PAGE_SHIFT);
	return true;
}

/* ---- leaves ------------------------------------------------------------------------------------ */

static bool is_free(const table_entry *table)
{
	table_entry *page = world.mmu->pool.free;

	for (; page; page = (table_entry *)(uintptr_t)os_racy_load(page))
		if (page == table)
			return true;
	return false;
}

static uint64_t find_leaf(uint64_t gfn, int *level)
{
	table_entry *table = world.mmu->root;

	for (*level = world.mmu->root_level;; --*level) {
		uint64_t entry = os_racy_load(&table[table_index(gfn, *level)]);

		if (!(entry & ENTRY_P))
			return 0;
		if (entry_is_leaf(entry, *level))
			return entry;
		table = entry_pointer(entry);
		if (world.mmu->pool.nr_free && is_free(table))
			sim_fail("tables: a page that is free is walked");
	}
}

static bool in_hva_change(const uint8_t *host)
{
	uint64_t at = (uint64_t)(uintptr_t)host;
	bool in = false;

	for (unsigned int i = 0; i < NR_REMAPPERS; i++)
		in |= at >= world.hva_open[i].start && at < world.hva_open[i].end;
	return in;
}

static bool is_dirty(const struct memslot *slot, uint64_t gfn)
{
	uint64_t page = gfn - slot->gfn;

	return os_racy_load(&slot->dirty[page / 64]) >> page % 64 & 1;
}

static void check_leaf(uint64_t gfn, const struct truth *t, uint64_t entry, int level)
{
	uint64_t in_leaf = (gfn & (level_pages(level) - 1)) << OS_PAGE_SHIFT;
	uint64_t host = (entry & ENTRY_ADDRESS) + in_leaf;

	if (host != t->host)
		sim_fail("agreement: a leaf maps gfn %llx, which is %s", (unsigned long long)gfn,
			 !t->host	? "nothing"
			 : t->from_file ? "in the file"
					: "in memory");
	if (window_is_open(&world.mmu->gfn_windows, gfn, gfn + 1))
		sim_fail("brackets: a leaf maps gfn %llx", (unsigned long long)gfn);
	if (!t->from_file && window_is_open(&world.mmu->hva_windows, host, host + PAGE))
		sim_fail("brackets: a leaf maps gfn %llx, by address", (unsigned long long)gfn);
	if (in_hva_change((const uint8_t *)(uintptr_t)host))
		sim_fail("brackets: a leaf maps gfn %llx, whose memory changes",
			 (unsigned long long)gfn);
	if (level > mmu_leaf_level(world.mmu, t->slot, gfn, host, t->from_file, level))
		sim_fail("levels: a leaf of level %d at gfn %llx", level, (unsigned long long)gfn);
	if (!(entry & ENTRY_W))
		return;
	if (t->slot->flags & MEMSLOT_READONLY)
		sim_fail("agreement: a leaf of a read-only slot is writable");
	if (t->slot->dirty && !is_dirty(t->slot, gfn))
		sim_fail("dirty log: gfn %llx is writable and not in it", (unsigned long long)gfn);
}

/* What is free under the mmu lock is nobody's: nobody is about to read it. */
static void check_walks(void)
{
	for (unsigned int i = 0; i < sim.nr_fibres && world.mmu->pool.nr_free; i++) {
		const struct sim_fibre *f = &sim.fibres[i];
		uintptr_t page = (uintptr_t)f->op.addr & ~(uintptr_t)(PAGE - 1);

		if (!f->done && f->op.kind == SIM_LOAD && is_free((const table_entry *)page))
			sim_fail("tables: %s is about to read a page that is free", f->name);
	}
}

/* ---- what is changing -------------------------------------------------------------------------- */

/* Is gfn part of what the bracket of its file takes away? A discard leaves alone what is not the file's. */
static bool in_bracket(uint64_t gfn, const struct truth *t)
{
	for (unsigned int i = 0; i < NR_FILES; i++) {
		const struct host *h = &world.files[i].host;
		uint64_t page;

		if (!h->open || !t->slot || t->slot->file != h->file || !h->file)
			continue;
		page = memslot_file_offset(t->slot, gfn) / PAGE;
		if (page >= NR_PAGES || !h->changes[page])
			continue;
		if (h->kind == GMEM_CHANGE_CONVERT || t->from_file)
			return true;
	}
	return false;
}

/* ---- guests ------------------------------------------------------------------------------------ */

static void check_cached(const char *who, uint64_t gfn, const uint8_t *host, bool writable,
			 const struct truth *t)
{
	if ((uint64_t)(uintptr_t)host != t->host)
		sim_fail("agreement: %s can use a stale translation of gfn %llx", who,
			 (unsigned long long)gfn);
	if (in_bracket(gfn, t) || in_hva_change(host))
		sim_fail("brackets: %s can use a translation of gfn %llx", who,
			 (unsigned long long)gfn);
	if (writable && t->slot->dirty && !world.nr_clearing && !is_dirty(t->slot, gfn))
		sim_fail("dirty log: %s can write gfn %llx, which is not in it", who,
			 (unsigned long long)gfn);
}

void walk_cached(const char *who, uint64_t gfn, const uint8_t *host, bool writable)
{
	struct truth t;

	if (find_truth(gfn, &t))
		check_cached(who, gfn, host, writable, &t);
}

/* By who uses it: that it may may still be in its store buffer, where the others do not see it. */
void walk_use(const char *who, uint64_t gfn, const uint8_t *host, bool write)
{
	if (!sim_mutex_holder(&world.mmu->lock))
		walk_cached(who, gfn, host, write);
}

static void check_guest(const struct guest *g, uint64_t gfn, const struct truth *t)
{
	unsigned int i = gfn % GUEST_TLB;

	if (g->live && g->tlb[i].host && g->tlb[i].gfn == gfn)
		check_cached(g->name, gfn, g->tlb[i].host, g->tlb[i].writable, t);
}

static void check_gfn(uint64_t gfn)
{
	struct truth t;
	uint64_t entry;
	int level;

	if (!find_truth(gfn, &t))
		return;
	entry = find_leaf(gfn, &level);
	if (entry) {
		check_leaf(gfn, &t, entry, level);
		if (in_bracket(gfn, &t))
			sim_fail("brackets: a leaf maps gfn %llx, of the file",
				 (unsigned long long)gfn);
	}
	for (unsigned int i = 0; i < world.nr_guests; i++)
		check_guest(&world.guests[i], gfn, &t);
}

/* ---- hosts ------------------------------------------------------------------------------------- */

static void check_host(const struct world_file *f)
{
	const struct host *h = &f->host;

	if (!f->file || f->released || !walk_is_even(f->file->attributes))
		return;
	for (unsigned int i = 0; i < NR_PAGES && i < f->file->size / PAGE; i++) {
		bool is_private = gmem_file_is_private(f->file, i * PAGE);

		if (h->mapped[i] && is_private)
			sim_fail("host: page %u is private and mapped", i);
		if (h->refuses && h->pins[i] && is_private)
			sim_fail("host: page %u is private and pinned", i);
		if (h->mapped[i] && h->open && h->changes[i] && h->kind != GMEM_CHANGE_CONVERT)
			sim_fail("host: page %u is mapped and discarded", i);
	}
}

/* ---- the dirty log ----------------------------------------------------------------------------- */

/* As a live migration relies on it: whatever is not in the log is as it was copied. */
static void check_copies(uint64_t gfn)
{
	struct memslot *slot = memslot_at(world.mmu, gfn);
	struct page *p;

	if (!slot || !slot->dirty)
		return;
	p = world_page_at((const uint8_t *)(uintptr_t)(slot->hva + ((gfn - slot->gfn) * PAGE)));
	if (p && !p->copied && !is_dirty(slot, gfn))
		sim_fail("dirty log: a write to gfn %llx is lost", (unsigned long long)gfn);
}

/* ---- all --------------------------------------------------------------------------------------- */

void walk_at_switch(void *unused)
{
	if (sim_mutex_holder(&world.mmu->lock))
		return;
	for (unsigned int i = 0; i < NR_WATCHED; i++)
		for (uint64_t n = 0; n < world.watched[i].nr; n++) {
			check_gfn(world.watched[i].gfn + n);
			if (world.logged && !world.nr_clearing)
				check_copies(world.watched[i].gfn + n);
		}
	for (unsigned int i = 0; i < NR_FILES; i++)
		check_host(&world.files[i]);
	check_walks();
}
