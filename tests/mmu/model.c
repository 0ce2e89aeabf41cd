/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Random changes and accesses by one thread, against a model that keeps one byte a page and searches
 * through everything. After each step the tables are walked whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"
#include "guest.h"
#include "mmu/mmu_private.h"
#include "os/paths.h"

#define NR_GFNS ((uint64_t)6 << 18) /* 6 GiB of guest addresses */
#define NR_SLOTS 6
#define NR_FILES 4
#define MEMORY_SIZE (4 * GB)
#define FILE_PAGES (GB / PAGE + 2 * 512 + 3)
#define MAX_SLOT_PAGES (GB / PAGE + 2 * 512)
#define NR_CACHED 64
#define READABLE (2 * GB / PAGE) /* from there on the program may only read its memory */
#define TYPED 3			 /* the file whose private pages are prepared one by one */

/* One that leaves attributes to the VM, and three that convert in place. */
static const unsigned int file_flags[NR_FILES] = { 0, GMEM_FILE_IN_PLACE,
						   GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP,
						   GMEM_FILE_IN_PLACE };

struct model_slot {
	uint64_t gfn, nr, hva, file_offset;
	uint32_t flags;
	int file;	  /* -1: none */
	bool gmem_only;	  /* stays so when the file is gone */
	uint8_t *written; /* since the log was cleared */
};

struct model {
	struct world w;
	uint64_t random;
	uint8_t *memory, *attributes;
	struct gmem_file *files[NR_FILES];
	uint8_t *file_attributes[NR_FILES];
	struct model_slot slots[NR_SLOTS]; /* nr 0: absent */
	uint64_t flushed;
	uint8_t *prepared; /* of the file that has a type */
	struct {
		uint64_t gfn;
		struct mmu_leaf leaf; /* host NULL: empty */
	} cached[NR_CACHED];	      /* by the vCPU since it last flushed */
};

/* ---- what the model thinks ------------------------------------------------------------------ */

static int slot_at(struct model *m, uint64_t gfn)
{
	for (int i = 0; i < NR_SLOTS; i++)
		if (m->slots[i].nr && gfn >= m->slots[i].gfn &&
		    gfn - m->slots[i].gfn < m->slots[i].nr)
			return i;
	return -1;
}

static bool overlaps(struct model *m, int id, uint64_t gfn, uint64_t nr)
{
	for (int i = 0; i < NR_SLOTS; i++)
		if (i != id && m->slots[i].nr && gfn < m->slots[i].gfn + m->slots[i].nr &&
		    m->slots[i].gfn < gfn + nr)
			return true;
	return false;
}

static bool is_bound(struct model *m, int file, uint64_t offset, uint64_t nr)
{
	for (int i = 0; i < NR_SLOTS; i++)
		if (m->slots[i].nr && m->slots[i].file == file &&
		    offset < m->slots[i].file_offset + m->slots[i].nr &&
		    m->slots[i].file_offset < offset + nr)
			return true;
	return false;
}

static bool same(const uint8_t *bytes, uint64_t first, uint64_t nr)
{
	return !memcmp(bytes + first, bytes + first + 1, nr - 1);
}

static bool in_place(const struct model_slot *s)
{
	return s->file >= 0 && file_flags[s->file] & GMEM_FILE_IN_PLACE;
}

static bool is_private(struct model *m, uint64_t gfn)
{
	int i = slot_at(m, gfn);
	struct model_slot *s = i < 0 ? NULL : &m->slots[i];

	if (s && in_place(s))
		return m->file_attributes[s->file][s->file_offset + gfn - s->gfn];
	return m->attributes[gfn];
}

static bool from_file(struct model *m, struct model_slot *s, uint64_t gfn)
{
	return s->gmem_only || is_private(m, gfn);
}

/* [first, first + nr) of the slot is all private or all shared. */
static bool uniform(struct model *m, struct model_slot *s, uint64_t first, uint64_t nr)
{
	if (in_place(s))
		return same(m->file_attributes[s->file], s->file_offset + first - s->gfn, nr);
	return same(m->attributes, first, nr);
}

static uint8_t *expected_host(struct model *m, struct model_slot *s, uint64_t gfn)
{
	uint64_t delta = gfn - s->gfn;

	if (from_file(m, s, gfn))
		return file_address(m->files[s->file], (s->file_offset + delta) * PAGE);
	return (uint8_t *)(uintptr_t)(s->hva + delta * PAGE);
}

static bool is_typed(struct model_slot *s)
{
	return s->file == TYPED;
}

static bool level_allowed(struct model *m, struct model_slot *s, uint64_t gfn, int level)
{
	uint64_t nr = level_pages(level), first = gfn & ~(nr - 1), page;
	uint64_t host = (uint64_t)(uintptr_t)expected_host(m, s, gfn) / PAGE;

	if (s->flags & MEMSLOT_LOG_DIRTY || first < s->gfn || first + nr > s->gfn + s->nr ||
	    (host ^ gfn) & (nr - 1) || !uniform(m, s, first, nr))
		return false;
	if (!from_file(m, s, gfn))
		return true;
	if (is_typed(s))
		return false;
	page = s->file_offset + gfn - s->gfn;
	return !((page ^ gfn) & (nr - 1)) && (page | (nr - 1)) < FILE_PAGES;
}

/* A write to it must be tried. */
static bool is_readable_only(struct model *m, struct model_slot *s, uint64_t gfn)
{
	uint64_t page = (s->hva - (uint64_t)(uintptr_t)m->memory) / PAGE + gfn - s->gfn;

	return !from_file(m, s, gfn) && page >= READABLE;
}

static int expected_level(struct model *m, struct model_slot *s, uint64_t gfn)
{
	int level = os_path_off(OS_PATH_LEAVES) ? LEVEL_4K : LEVEL_1G;

	while (level && !level_allowed(m, s, gfn, level))
		level--;
	return level;
}

static enum mmu_fault_result expected_result(struct model *m, uint64_t gfn, uint32_t access)
{
	int i = slot_at(m, gfn);

	if (is_private(m, gfn) || (i >= 0 && m->slots[i].gmem_only))
		return i < 0 || m->slots[i].file < 0 ? MMU_FAULT_MEMORY : MMU_FAULT_OK;
	if (i < 0 || (m->slots[i].flags & MEMSLOT_READONLY && access == MMU_WRITE))
		return MMU_FAULT_MMIO;
	if (access == MMU_WRITE && is_readable_only(m, &m->slots[i], gfn))
		return MMU_FAULT_ERROR;
	return MMU_FAULT_OK;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static uint64_t pick(struct model *m, uint64_t limit)
{
	return guest_random(&m->random) % limit;
}

/* Often at or near the borders of large blocks. */
static uint64_t pick_page(struct model *m, uint64_t limit)
{
	static const uint64_t unit[] = { 1, 512, 512, 262144, 262144 };
	uint64_t u = unit[pick(m, 5)], page = pick(m, limit) / u * u;

	if (pick(m, 4) == 0)
		page += pick(m, 3);
	return page < limit ? page : limit - 1;
}

static uint64_t pick_nr(struct model *m, uint64_t limit)
{
	static const uint64_t unit[] = { 1, 20, 512, 513, 262144, 262144 + 512 };
	uint64_t nr = unit[pick(m, 6)] + pick(m, 2);

	if (nr > 1 && pick(m, 4) == 0)
		nr--;

	return nr < limit ? nr : limit;
}

/* Mostly a page that has a slot. */
static uint64_t pick_gfn(struct model *m)
{
	struct model_slot *s = &m->slots[pick(m, NR_SLOTS)];

	return s->nr && pick(m, 8) ? s->gfn + pick_page(m, s->nr) : pick_page(m, NR_GFNS);
}

/* What the steps have met, so that the test is seen to test something. */
static uint64_t nr_results[MMU_FAULT_AGAIN + 1], nr_levels[3], nr_private, nr_in_place[2];
static uint64_t nr_flushed, nr_cached, nr_prepared;

static void remember(struct model *m, uint64_t gfn, const struct mmu_leaf *leaf)
{
	uint64_t i = pick(m, NR_CACHED);

	m->cached[i].gfn = gfn;
	m->cached[i].leaf = *leaf;
}

static void step_access(struct model *m)
{
	uint64_t gfn = pick_gfn(m);
	uint32_t access = pick(m, 2) ? MMU_WRITE : MMU_READ;
	int i = slot_at(m, gfn);
	enum mmu_fault_result result;
	struct mmu_fault_info info;
	struct mmu_leaf leaf;
	bool hit = walk(m->w.v, gfn * PAGE, access, &leaf);

	result = touch(m->w.v, gfn * PAGE, access, &leaf, &info);
	/* What is mapped beside a page that was written has not been tried. */
	assert_int_equal(result, hit ? MMU_FAULT_OK : expected_result(m, gfn, access));
	nr_results[result]++;
	if (result == MMU_FAULT_MEMORY)
		assert_true(info.is_private == is_private(m, gfn));
	if (result == MMU_FAULT_MEMORY || result == MMU_FAULT_ERROR)
		assert_int_equal(info.error, -EFAULT);
	if (result != MMU_FAULT_OK)
		return;
	remember(m, gfn, &leaf);
	assert_ptr_equal(leaf.host, expected_host(m, &m->slots[i], gfn));
	nr_levels[leaf.level]++;
	nr_private += is_private(m, gfn);
	nr_in_place[is_private(m, gfn)] += in_place(&m->slots[i]);
	if (!hit)
		assert_int_equal(leaf.level, expected_level(m, &m->slots[i], gfn));
	if (access == MMU_WRITE)
		m->slots[i].written[gfn - m->slots[i].gfn] = 1;
}

static void step_attributes(struct model *m)
{
	uint64_t gfn = pick_gfn(m), nr = pick_nr(m, NR_GFNS - gfn);
	uint32_t attributes = pick(m, 2) ? ATTR_PRIVATE : 0;

	/* Now and then all is uniform again. */
	if (pick(m, 8) == 0) {
		gfn = 0;
		nr = NR_GFNS;
	}
	assert_int_equal(mmu_set_attributes(m->w.mmu, gfn, nr, attributes), 0);
	memset(m->attributes + gfn, attributes != 0, nr);
}

static void create(struct model *m, int id)
{
	struct model_slot s = { .gfn = pick_page(m, NR_GFNS),
				.file = (int)pick(m, NR_FILES + 1) - 1 };
	struct memslot what = { .id = (uint32_t)id };
	uint64_t skip = 0;
	bool bound;
	int ret;

	s.nr = pick_nr(m, NR_GFNS - s.gfn);
	s.hva = (uint64_t)(uintptr_t)m->memory +
		pick_page(m, MEMORY_SIZE / PAGE - MAX_SLOT_PAGES) * PAGE;
	if (pick(m, 2)) {
		/* Congruent as far as it goes. */
		s.gfn = s.gfn / 262144 * 262144;
		s.nr = 262144 + pick(m, 2) * 512;
		s.hva = (uint64_t)(uintptr_t)m->memory + pick(m, 3) * GB;
		/* At either end it may lack a page of a block. */
		skip = pick(m, 4) == 0;
		s.gfn += skip;
		s.hva += skip * PAGE;
		s.nr -= skip + (pick(m, 4) == 0);
	}
	if (s.file >= 0) {
		s.flags = MEMSLOT_GUEST_MEMFD;
		s.file_offset = pick(m, 2) ? pick_page(m, FILE_PAGES) : skip;
		s.nr = s.nr < FILE_PAGES - s.file_offset ? s.nr : FILE_PAGES - s.file_offset;
		what.file = m->files[s.file];
		s.gmem_only = file_flags[s.file] & GMEM_FILE_MMAP;
	} else {
		s.flags = (uint32_t)pick(m, 4);
	}
	if (s.gfn + s.nr > NR_GFNS)
		return;
	if (overlaps(m, id, s.gfn, s.nr)) {
		assert_true(memslot_overlaps(m->w.mmu, 0, (uint32_t)id, s.gfn, s.nr));
		return;
	}
	what.gfn = s.gfn;
	what.nr_pages = s.nr;
	what.hva = s.hva;
	what.flags = s.flags;
	what.file_offset = s.file_offset * PAGE;
	bound = s.file >= 0 && is_bound(m, s.file, s.file_offset, s.nr);
	ret = memslot_create(m->w.mmu, &what, false);
	assert_int_equal(ret, bound ? -EEXIST : 0);
	if (ret)
		return;
	s.written = calloc(s.nr, 1);
	m->slots[id] = s;
}

static void step_slot(struct model *m)
{
	int id = (int)pick(m, NR_SLOTS);
	struct model_slot *s = &m->slots[id];
	struct memslot *slot = memslot_find(m->w.mmu, 0, (uint32_t)id);
	uint64_t gfn = pick_page(m, NR_GFNS);
	uint32_t flags = s->flags ^ (pick(m, 2) ? MEMSLOT_LOG_DIRTY : 0);

	assert_int_equal(!!slot, s->nr > 0);
	if (!slot) {
		create(m, id);
	} else if (pick(m, 3) == 0) {
		memslot_delete(m->w.mmu, slot);
		free(s->written);
		memset(s, 0, sizeof(*s));
	} else if (s->file < 0 && gfn + s->nr <= NR_GFNS && !overlaps(m, id, gfn, s->nr)) {
		if (~s->flags & flags & MEMSLOT_LOG_DIRTY)
			memset(s->written, 0, s->nr);
		assert_int_equal(memslot_move(m->w.mmu, slot, gfn, flags, false), 0);
		s->gfn = gfn;
		s->flags = flags;
	}
}

static int prepare(void *type, uint64_t offset, uint64_t size)
{
	struct model *m = type;

	assert_int_equal(size, PAGE);
	m->prepared[offset / PAGE] = 1;
	nr_prepared++;
	return 0;
}

static void file_make(struct model *m, int i)
{
	static const struct gmem_type_ops ops = { .prepare = prepare };

	assert_int_equal(gmem_file_create(FILE_PAGES * PAGE, file_flags[i], &m->files[i]), 0);
	memset(m->file_attributes[i], 1, FILE_PAGES);
	if (i != TYPED)
		return;
	gmem_file_set_type(m->files[i], &ops, m);
	memset(m->prepared, 0, FILE_PAGES);
}

static void step_file(struct model *m)
{
	int i = (int)pick(m, NR_FILES);
	uint64_t page = pick_page(m, FILE_PAGES), nr = pick_nr(m, FILE_PAGES - page);
	uint32_t attributes = pick(m, 2) ? ATTR_PRIVATE : 0;

	if (pick(m, 2)) {
		assert_int_equal(gmem_file_punch(m->files[i], page * PAGE, nr * PAGE), 0);
		if (i == TYPED)
			memset(m->prepared + page, 0, nr);
		return;
	}
	if (pick(m, 4) == 0) {
		page = 0;
		nr = FILE_PAGES;
	}
	if (pick(m, 16)) {
		if (!(file_flags[i] & GMEM_FILE_IN_PLACE))
			return;
		assert_int_equal(file_convert(m->files[i], page * PAGE, nr * PAGE, attributes), 0);
		memset(m->file_attributes[i] + page, attributes != 0, nr);
		if (i == TYPED && !attributes)
			memset(m->prepared + page, 0, nr);
		return;
	}
	file_unmake(m->files[i]);
	file_make(m, i);
	for (int id = 0; id < NR_SLOTS; id++)
		if (m->slots[id].nr && m->slots[id].file == i)
			m->slots[id].file = -2;
}

static void step_hva(struct model *m)
{
	uint64_t page = pick_page(m, MEMORY_SIZE / PAGE),
		 nr = pick_nr(m, MEMORY_SIZE / PAGE - page);
	uint64_t hva = (uint64_t)(uintptr_t)m->memory + page * PAGE;
	bool hit = false;

	for (int i = 0; i < NR_SLOTS; i++)
		hit |= m->slots[i].nr && !m->slots[i].gmem_only &&
		       hva < m->slots[i].hva + m->slots[i].nr * PAGE &&
		       m->slots[i].hva < hva + nr * PAGE;
	assert_int_equal(mmu_hva_invalidate_begin(m->w.mmu, hva, nr * PAGE), hit);
	if (!hit)
		return;
	for (int i = 0; i < NR_SLOTS; i++) {
		struct model_slot *s = &m->slots[i];
		uint64_t gfn = s->gfn + pick(m, s->nr ? s->nr : 1);
		uint64_t at = s->hva + (gfn - s->gfn) * PAGE;

		if (s->nr && !s->gmem_only && at >= hva && at < hva + nr * PAGE)
			assert_int_equal(mmu_mapped_level(m->w.mmu, gfn * PAGE), -1);
	}
	mmu_hva_invalidate_end(m->w.mmu, hva, nr * PAGE);
}

static void step_dirty(struct model *m)
{
	static uint64_t log[MAX_SLOT_PAGES / 64 + 1], bits[MAX_SLOT_PAGES / 64 + 1];
	int id = (int)pick(m, NR_SLOTS);
	struct model_slot *s = &m->slots[id];
	struct memslot *slot = memslot_find(m->w.mmu, 0, (uint32_t)id);
	bool clear = pick(m, 2);

	if (!slot || !slot->dirty)
		return;
	memslot_dirty_get(m->w.mmu, slot, log, clear);
	for (uint64_t i = 0; i < s->nr; i++)
		assert_int_equal(log[i / 64] >> i % 64 & 1, s->written[i]);
	for (uint64_t i = 0; i < memslot_dirty_words(slot); i++)
		bits[i] = log[i] & m->random;
	if (!clear)
		memslot_dirty_clear(m->w.mmu, slot, 0, s->nr, bits);
	for (uint64_t i = 0; i < s->nr; i++)
		if (clear || bits[i / 64] >> i % 64 & 1)
			s->written[i] = 0;
}

/* The vCPU has flushed, or is asked to. */
static bool is_flushed(struct model *m)
{
	bool asked = mmu_vcpu_requests(m->w.v) & MMU_REQ_FLUSH;
	uint64_t before = m->flushed;

	m->flushed = atomic_load(&m->w.v->flushed);
	return asked || m->flushed != before;
}

/* What it has cached is in the tables still. Where writes are logged so is the right to write; elsewhere a large leaf
 * that was only read may have come over it. */
static void check_cached(struct model *m)
{
	struct mmu_leaf now;

	if (is_flushed(m)) {
		memset(m->cached, 0, sizeof(m->cached));
		nr_flushed++;
	}
	for (int i = 0; i < NR_CACHED; i++) {
		const struct mmu_leaf *then = &m->cached[i].leaf;
		uint64_t gfn = m->cached[i].gfn;

		if (!then->host)
			continue;
		assert_true(walk(m->w.v, gfn * PAGE, MMU_READ, &now));
		assert_ptr_equal(now.host, then->host);
		assert_true(now.writable || !then->writable ||
			    !(m->slots[slot_at(m, gfn)].flags & MEMSLOT_LOG_DIRTY));
		nr_cached++;
	}
}

static bool is_prepared(struct model *m, struct model_slot *s, uint64_t gfn)
{
	return !is_typed(s) || !is_private(m, gfn) || m->prepared[s->file_offset + gfn - s->gfn];
}

static void check_samples(struct model *m)
{
	struct mmu_leaf leaf;

	for (int i = 0; i < 50; i++) {
		uint64_t gfn = pick_gfn(m);
		int id = slot_at(m, gfn);

		if (!walk(m->w.v, gfn * PAGE, MMU_READ, &leaf))
			continue;
		assert_int_equal(expected_result(m, gfn, MMU_READ), MMU_FAULT_OK);
		if (leaf.writable && expected_result(m, gfn, MMU_WRITE) != MMU_FAULT_ERROR)
			assert_int_equal(expected_result(m, gfn, MMU_WRITE), MMU_FAULT_OK);
		assert_true(is_prepared(m, &m->slots[id], gfn));
		assert_ptr_equal(leaf.host, expected_host(m, &m->slots[id], gfn));
		assert_true(leaf.level <= expected_level(m, &m->slots[id], gfn));
	}
}

static void the_tables_say_what_the_model_says(void **state)
{
	static void (*const steps[])(struct model *) = {
		step_access, step_access, step_access, step_access,	step_access,
		step_access, step_access, step_access, step_attributes, step_slot,
		step_file,   step_hva,	  step_dirty,
	};
	static struct model m;

	world_make(&m.w, true);
	m.random = 20240;
	m.memory = memory_make(MEMORY_SIZE, 0);
	assert_int_equal(
		mprotect(m.memory + READABLE * PAGE, MEMORY_SIZE - READABLE * PAGE, PROT_READ), 0);
	m.attributes = calloc(NR_GFNS, 1);
	m.prepared = calloc(FILE_PAGES, 1);
	for (int i = 0; i < NR_FILES; i++) {
		m.file_attributes[i] = malloc(FILE_PAGES);
		file_make(&m, i);
	}
	for (int i = 0; i < 40000; i++) {
		steps[pick(&m, sizeof(steps) / sizeof(steps[0]))](&m);
		check_cached(&m);
		mmu_check(m.w.mmu);
		check_samples(&m);
	}
	for (int level = LEVEL_4K; level <= (os_path_off(OS_PATH_LEAVES) ? 0 : LEVEL_1G); level++)
		assert_true(nr_levels[level] > 500);
	assert_true(nr_results[MMU_FAULT_MMIO] > 500 && nr_results[MMU_FAULT_MEMORY] > 500);
	assert_true(nr_results[MMU_FAULT_ERROR] > 100);
	assert_true(nr_flushed > 500 && nr_cached > 5000 && nr_prepared > 500);
	assert_true(nr_private > 500 && nr_in_place[0] > 500 && nr_in_place[1] > 500);
	for (int i = 0; i < NR_FILES; i++) {
		file_unmake(m.files[i]);
		free(m.file_attributes[i]);
	}
	for (int i = 0; i < NR_SLOTS; i++)
		free(m.slots[i].written);
	free(m.attributes);
	free(m.prepared);
	world_unmake(&m.w);
	memory_unmake(m.memory, MEMORY_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tables_say_what_the_model_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
