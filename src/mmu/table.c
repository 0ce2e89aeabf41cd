/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/table.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "mmu/mmu_private.h"

#define CHUNK_PAGES 64
#define TABLE_BITS (ENTRY_P | ENTRY_W | ENTRY_U | ENTRY_A)
#define LEAF_BITS (ENTRY_P | ENTRY_U | ENTRY_A)

struct table_chunk {
	struct table_chunk *next;
	uint8_t *pages;
};

/* ---- pages ---------------------------------------------------------------------------------- */

static uint64_t entry_load(table_entry *e)
{
	return atomic_load_explicit(e, memory_order_relaxed);
}

/* Release: whoever reads the entry sees the table it points to filled. */
static void entry_store(table_entry *e, uint64_t value)
{
	atomic_store_explicit(e, value, memory_order_release);
}

static void list_push(table_entry **first, table_entry *page)
{
	entry_store(page, (uint64_t)(uintptr_t)*first);
	*first = page;
}

static table_entry *list_pop(table_entry **first)
{
	table_entry *page = *first;

	if (page)
		*first = (table_entry *)(uintptr_t)entry_load(page);
	return page;
}

static int pool_grow(struct table_pool *pool)
{
	struct table_chunk *chunk = os_alloc(sizeof(*chunk));
	void *pages;
	int ret;

	if (!chunk)
		return -ENOMEM;
	ret = os_map_anon(CHUNK_PAGES * OS_PAGE_SIZE, OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN,
			  &pages);
	if (ret) {
		os_free(chunk, sizeof(*chunk));
		return -ENOMEM;
	}
	chunk->pages = pages;
	chunk->next = pool->chunks;
	pool->chunks = chunk;
	pool->nr_untouched = CHUNK_PAGES;
	return 0;
}

/* Zero as the mapping gives it, and no memory until now: most VMs never use a whole chunk. */
static table_entry *page_untouched(struct table_pool *pool)
{
	if (!pool->nr_untouched && pool_grow(pool))
		return NULL;
	pool->nr_pages++;
	return (void *)(pool->chunks->pages + (CHUNK_PAGES - pool->nr_untouched--) * OS_PAGE_SIZE);
}

static table_entry *page_alloc(struct table_pool *pool)
{
	table_entry *page = list_pop(&pool->free);

	if (!page)
		return page_untouched(pool);
	pool->nr_free--;
	memset((void *)page, 0, OS_PAGE_SIZE);
	return page;
}

void table_free_list(struct mmu *mmu, struct table_list *list)
{
	table_entry *page;

	while ((page = list_pop(&list->first))) {
		list_push(&mmu->pool.free, page);
		mmu->pool.nr_free++;
	}
}

void table_list_join(struct table_list *list, struct table_list *more)
{
	table_entry *page;

	while ((page = list_pop(&more->first)))
		list_push(&list->first, page);
}

int table_init(struct mmu *mmu)
{
	mmu->root_level = mmu->config.gpa_bits > 48 ? 4 : 3;
	mmu->root = page_alloc(&mmu->pool);
	return mmu->root ? 0 : -ENOMEM;
}

void table_destroy(struct mmu *mmu)
{
	struct table_chunk *chunk = mmu->pool.chunks;

	while (chunk) {
		struct table_chunk *next = chunk->next;

		os_unmap(chunk->pages, CHUNK_PAGES * OS_PAGE_SIZE);
		os_free(chunk, sizeof(*chunk));
		chunk = next;
	}
	memset(&mmu->pool, 0, sizeof(mmu->pool));
}

/* ---- unlinking ------------------------------------------------------------------------------ */

/* The page stays readable for vCPUs on their way through: only its first entry changes, to a link
 * that reads as "not present". */
static bool collect(table_entry *table, int level, struct table_list *freed)
{
	/* A table that is empty would be gone: what holds nothing but leaves need not be looked at. */
	bool hit = level == LEVEL_4K;

	for (uint32_t i = 0; level > LEVEL_4K && i < TABLE_ENTRIES; i++) {
		uint64_t entry = entry_load(&table[i]);

		if (!(entry & ENTRY_P))
			continue;
		if (entry_is_leaf(entry, level))
			hit = true;
		else
			hit |= collect(entry_pointer(entry), level - 1, freed);
	}
	list_push(&freed->first, table);
	return hit;
}

static bool is_empty(table_entry *table)
{
	for (uint32_t i = 0; i < TABLE_ENTRIES; i++)
		if (entry_load(&table[i]) & ENTRY_P)
			return false;
	return true;
}

static bool zap_table(table_entry *table, int level, uint64_t gfn, uint64_t gfn_end,
		      struct table_list *freed);

/* [gfn, gfn_end) lies within the span of the entry. */
static bool zap_entry(table_entry *e, int level, uint64_t gfn, uint64_t gfn_end,
		      struct table_list *freed)
{
	uint64_t entry = entry_load(e);
	table_entry *child;
	bool hit;

	if (!(entry & ENTRY_P))
		return false;
	if (entry_is_leaf(entry, level)) {
		entry_store(e, 0);
		return true;
	}
	child = entry_pointer(entry);
	if (gfn_end - gfn == level_pages(level)) {
		entry_store(e, 0);
		return collect(child, level - 1, freed);
	}
	hit = zap_table(child, level - 1, gfn, gfn_end, freed);
	if (hit && is_empty(child)) {
		entry_store(e, 0);
		list_push(&freed->first, child);
	}
	return hit;
}

static bool zap_table(table_entry *table, int level, uint64_t gfn, uint64_t gfn_end,
		      struct table_list *freed)
{
	uint64_t span = level_pages(level);
	bool hit = false;

	while (gfn < gfn_end) {
		uint64_t next = (gfn | (span - 1)) + 1;

		next = next < gfn_end ? next : gfn_end;
		hit |= zap_entry(&table[table_index(gfn, level)], level, gfn, next, freed);
		gfn = next;
	}
	return hit;
}

static uint64_t clamp_gfn(struct mmu *mmu, uint64_t gfn)
{
	uint64_t limit = level_pages(mmu->root_level + 1);

	return gfn < limit ? gfn : limit;
}

bool table_zap(struct mmu *mmu, uint64_t gfn, uint64_t gfn_end, struct table_list *freed)
{
	return zap_table(mmu->root, mmu->root_level, clamp_gfn(mmu, gfn), clamp_gfn(mmu, gfn_end),
			 freed);
}

/* ---- leaves --------------------------------------------------------------------------------- */

/* The entry that maps gfn at level, tables made on the way; stops at a larger leaf. NULL: no memory. */
static table_entry *entry_for(struct mmu *mmu, uint64_t gfn, int *level)
{
	table_entry *table = mmu->root;

	for (int l = mmu->root_level;; l--) {
		table_entry *e = &table[table_index(gfn, l)];
		uint64_t entry = entry_load(e);

		if (l == *level || ((entry & ENTRY_P) && entry_is_leaf(entry, l))) {
			*level = l;
			return e;
		}
		if (!(entry & ENTRY_P)) {
			table_entry *child = page_alloc(&mmu->pool);

			if (!child)
				return NULL;
			entry = (uint64_t)(uintptr_t)child | TABLE_BITS;
			entry_store(e, entry);
		}
		table = entry_pointer(entry);
	}
}

static uint64_t make_leaf(int level, uint64_t host, bool writable)
{
	os_assert(!(host & ~ENTRY_ADDRESS));
	return host | LEAF_BITS | (level ? ENTRY_PS : 0) | (writable ? ENTRY_W | ENTRY_D : 0);
}

/* What was there. */
static uint64_t set_leaf(table_entry *e, int level, uint64_t leaf)
{
	uint64_t old = entry_load(e);
	bool was_leaf = (old & ENTRY_P) && entry_is_leaf(old, level);

	os_assert(!was_leaf || !((old ^ leaf) & ENTRY_ADDRESS));
	entry_store(e, was_leaf ? old | leaf : leaf);
	return old;
}

int table_map(struct mmu *mmu, uint64_t gfn, int level, uint64_t host, bool writable)
{
	int found = level;
	table_entry *e = entry_for(mmu, gfn, &found);
	uint64_t old;

	os_assert(gfn < level_pages(mmu->root_level + 1));
	if (!e)
		return -ENOMEM;
	/* Whatever makes a leaf too large, or moves its memory, has zapped it: what is here agrees. */
	os_assert(found == level);
	old = set_leaf(e, level, make_leaf(level, host, writable));
	/* Translations from the smaller leaves say the same as the block: only the tables must wait. */
	if ((old & ENTRY_P) && !entry_is_leaf(old, level))
		collect(entry_pointer(old), level - 1, &mmu->replaced);
	return !(old & ENTRY_P);
}

void table_map_run(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint64_t host, bool writable)
{
	uint64_t leaf = make_leaf(LEVEL_4K, host, writable);
	int level = LEVEL_4K;
	table_entry *e = entry_for(mmu, gfn, &level);

	os_assert(e && level == LEVEL_4K);
	os_assert(table_index(gfn, LEVEL_4K) + nr <= TABLE_ENTRIES);
	os_assert(!((leaf + ((nr - 1) << OS_PAGE_SHIFT)) & ~ENTRY_ADDRESS & ~leaf));
	for (; nr; nr--, leaf += OS_PAGE_SIZE)
		set_leaf(e++, LEVEL_4K, leaf);
}

static table_entry *find_leaf(struct mmu *mmu, uint64_t gfn, int *level)
{
	table_entry *table = mmu->root;

	if (gfn >= level_pages(mmu->root_level + 1))
		return NULL;
	for (int l = mmu->root_level;; l--) {
		table_entry *e = &table[table_index(gfn, l)];
		uint64_t entry = entry_load(e);

		if (!(entry & ENTRY_P))
			return NULL;
		if (entry_is_leaf(entry, l)) {
			*level = l;
			return e;
		}
		table = entry_pointer(entry);
	}
}

bool table_write_protect(struct mmu *mmu, uint64_t gfn)
{
	int level;
	table_entry *e = find_leaf(mmu, gfn, &level);
	uint64_t entry;

	if (!e)
		return false;
	entry = entry_load(e);
	if (!(entry & ENTRY_W))
		return false;
	entry_store(e, entry & ~(ENTRY_W | ENTRY_D));
	return true;
}

uint64_t table_leaf(struct mmu *mmu, uint64_t gfn, int *level)
{
	table_entry *e = find_leaf(mmu, gfn, level);

	return e ? entry_load(e) : 0;
}

/* ---- the walk of a vCPU --------------------------------------------------------------------- */

bool mmu_walk(struct mmu_vcpu *v, uint64_t gpa, uint32_t access, struct mmu_leaf *leaf)
{
	struct mmu *mmu = v->mmu;
	table_entry *table = mmu->root;
	uint64_t gfn = gpa >> OS_PAGE_SHIFT, entry;
	int level = mmu->root_level;

	os_assert(os_racy_load(&v->head.inside));
	if (gpa >> mmu->config.gpa_bits)
		return false;
	for (;; level--) {
		/* Acquire: pairs with entry_store(), so that a table is seen filled. */
		entry = atomic_load_explicit(&table[table_index(gfn, level)], memory_order_acquire);
		if (!(entry & ENTRY_P))
			return false;
		if (entry_is_leaf(entry, level))
			break;
		table = entry_pointer(entry);
	}
	if ((access & MMU_WRITE) && !(entry & ENTRY_W))
		return false;
	leaf->host = (uint8_t *)entry_pointer(entry) +
		     ((gfn & (level_pages(level) - 1)) << OS_PAGE_SHIFT);
	leaf->writable = entry & ENTRY_W;
	leaf->level = level;
	return true;
}
