/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/guard_pages.h"

#include <errno.h>

#include "os/os.h"

#define CHUNK_SHIFT 21
#define CHUNK_SIZE ((uint64_t)1 << CHUNK_SHIFT)
#define CHUNK_PAGES 512u
#define WORDS (CHUNK_PAGES / 64)
#define TABLE_BITS 15
#define TABLE_CHUNKS (1u << TABLE_BITS)
#define TABLE_SIZE ((uint64_t)TABLE_CHUNKS << CHUNK_SHIFT)
#define MIDDLE_BITS 11
#define NR_MIDDLE (1u << MIDDLE_BITS)
#define NR_TOP 512u
#define MIXED 3

/* Of the order of two MiB, of which what is never mixed is never backed. */
struct table {
	union {
		_Atomic uint8_t state[TABLE_CHUNKS]; /* of all pages of the chunk, or MIXED */
		_Atomic uint64_t eight[TABLE_CHUNKS / 8];
	};
	/* Then: plane 0 overlaid, plane 1 marked. */
	_Atomic uint64_t bits[TABLE_CHUNKS][2][WORDS];
};

struct middle {
	struct table *_Atomic table[NR_MIDDLE];
};

struct guard_pages {
	struct middle *_Atomic top[NR_TOP];
};

int guard_pages_create(struct guard_pages **out)
{
	*out = os_alloc(sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

struct guard_pages *guard_pages_of_process(void)
{
	static struct guard_pages pages;

	return &pages;
}

static void each_table(struct guard_pages *p, void (*fn)(struct table *t))
{
	for (unsigned int i = 0; i < NR_TOP; i++) {
		struct middle *m = p->top[i];

		for (unsigned int j = 0; m && j < NR_MIDDLE; j++)
			if (m->table[j])
				fn(m->table[j]);
	}
}

static void free_table(struct table *t)
{
	os_free(t, sizeof(*t));
}

void guard_pages_destroy(struct guard_pages *p)
{
	each_table(p, free_table);
	for (unsigned int i = 0; i < NR_TOP; i++)
		if (p->top[i])
			os_free(p->top[i], sizeof(struct middle));
	os_free(p, sizeof(*p));
}

static void reset_table(struct table *t)
{
	for (unsigned int i = 0; i < TABLE_CHUNKS; i++)
		os_racy_store(&t->state[i], PAGE_OPEN);
}

void guard_pages_reset(struct guard_pages *p)
{
	each_table(p, reset_table);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static unsigned int top_index(uint64_t addr)
{
	return (addr >> (CHUNK_SHIFT + TABLE_BITS + MIDDLE_BITS)) % NR_TOP;
}

static unsigned int middle_index(uint64_t addr)
{
	return (addr >> (CHUNK_SHIFT + TABLE_BITS)) % NR_MIDDLE;
}

static unsigned int chunk_index(uint64_t addr)
{
	return (addr >> CHUNK_SHIFT) % TABLE_CHUNKS;
}

static unsigned int page_index(uint64_t addr)
{
	return (addr >> OS_PAGE_SHIFT) % CHUNK_PAGES;
}

static struct table *table_of(struct guard_pages *p, uint64_t addr)
{
	struct middle *m = atomic_load_explicit(&p->top[top_index(addr)], memory_order_acquire);

	return m ? atomic_load_explicit(&m->table[middle_index(addr)], memory_order_acquire) : NULL;
}

static int make_table(struct guard_pages *p, uint64_t addr)
{
	struct middle *m = p->top[top_index(addr)];
	struct table *t;

	if (!m) {
		m = os_alloc(sizeof(*m));
		if (!m)
			return -ENOMEM;
		atomic_store_explicit(&p->top[top_index(addr)], m, memory_order_release);
	}
	if (m->table[middle_index(addr)])
		return 0;
	t = os_alloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	atomic_store_explicit(&m->table[middle_index(addr)], t, memory_order_release);
	return 0;
}

int guard_pages_reserve(struct guard_pages *p, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;
	int err = 0;

	for (addr &= ~(TABLE_SIZE - 1); !err && addr < end; addr += TABLE_SIZE)
		err = make_table(p, addr);
	return err;
}

/* ---- changing -------------------------------------------------------------------------------- */

static uint64_t word_mask(unsigned int word, unsigned int first, unsigned int end)
{
	unsigned int low = word * 64;
	uint64_t mask = ~(uint64_t)0;

	if (first > low)
		mask &= ~(uint64_t)0 << (first - low);
	if (end < low + 64)
		mask &= ~(uint64_t)0 >> (low + 64 - end);
	return mask;
}

static void set_bits(_Atomic uint64_t *bits, unsigned int first, unsigned int end, bool value)
{
	for (unsigned int i = first / 64; i * 64 < end; i++) {
		uint64_t mask = word_mask(i, first, end), word = os_racy_load(&bits[i]);

		os_racy_store(&bits[i], value ? word | mask : word & ~mask);
	}
}

/* The same for all pages of a chunk. */
static void fill_pages(struct table *t, unsigned int chunk, enum page_state state)
{
	uint64_t overlaid = state == PAGE_OVERLAID ? ~(uint64_t)0 : 0;
	uint64_t marked = state == PAGE_MARKED ? ~(uint64_t)0 : 0;

	for (unsigned int i = 0; i < WORDS; i++) {
		os_racy_store(&t->bits[chunk][0][i], overlaid);
		os_racy_store(&t->bits[chunk][1][i], marked);
	}
}

static void set_pages(struct table *t, unsigned int chunk, unsigned int first, unsigned int end,
		      enum page_state state)
{
	set_bits(t->bits[chunk][0], first, end, state == PAGE_OVERLAID);
	set_bits(t->bits[chunk][1], first, end, state == PAGE_MARKED);
}

/* All pages of a chunk alike: then its byte says it. */
static bool alike(struct table *t, unsigned int chunk, enum page_state state)
{
	uint64_t overlaid = state == PAGE_OVERLAID ? ~(uint64_t)0 : 0;
	uint64_t marked = state == PAGE_MARKED ? ~(uint64_t)0 : 0;

	for (unsigned int i = 0; i < WORDS; i++)
		if (os_racy_load(&t->bits[chunk][0][i]) != overlaid ||
		    os_racy_load(&t->bits[chunk][1][i]) != marked)
			return false;
	return true;
}

static void set_in_chunk(struct table *t, unsigned int chunk, unsigned int first, unsigned int end,
			 enum page_state state)
{
	unsigned int was = os_racy_load(&t->state[chunk]);

	if (was == state)
		return;
	if (end - first == CHUNK_PAGES) {
		os_racy_store(&t->state[chunk], (uint8_t)state);
		return;
	}
	if (was != MIXED)
		fill_pages(t, chunk, (enum page_state)was);
	set_pages(t, chunk, first, end, state);
	/* Whoever sees MIXED sees the bits. */
	atomic_store_explicit(&t->state[chunk], alike(t, chunk, state) ? (uint8_t)state : MIXED,
			      memory_order_release);
}

#define EIGHT(state) ((uint64_t)(state)*0x0101010101010101u)

/* Whole chunks, before end and in one table. Returns the first that is left. */
static unsigned int set_chunks(struct table *t, unsigned int chunk, unsigned int end,
			       enum page_state state)
{
	while (chunk < end) {
		if (chunk % 8 == 0 && end - chunk >= 8) {
			os_racy_store(&t->eight[chunk / 8], EIGHT(state));
			chunk += 8;
		} else {
			os_racy_store(&t->state[chunk++], (uint8_t)state);
		}
	}
	return chunk;
}

/* How many whole chunks from addr on, before end and in one table. */
static unsigned int nr_whole(uint64_t addr, uint64_t end)
{
	uint64_t nr = addr & (CHUNK_SIZE - 1) ? 0 : (end - addr) >> CHUNK_SHIFT;
	uint64_t left = TABLE_CHUNKS - chunk_index(addr);

	return (unsigned int)(nr < left ? nr : left);
}

void guard_pages_set(struct guard_pages *p, uint64_t addr, uint64_t size, enum page_state state)
{
	uint64_t end = addr + size;

	while (addr < end) {
		struct table *t = table_of(p, addr);
		uint64_t next = (addr & ~(CHUNK_SIZE - 1)) + CHUNK_SIZE;
		uint64_t stop = next < end ? next : end;
		unsigned int whole = t ? nr_whole(addr, end) : 0;

		os_assert(t || state == PAGE_OPEN);
		if (whole) {
			set_chunks(t, chunk_index(addr), chunk_index(addr) + whole, state);
			stop = addr + ((uint64_t)whole << CHUNK_SHIFT);
		} else if (t)
			set_in_chunk(t, chunk_index(addr), page_index(addr),
				     page_index(stop - 1) + 1, state);
		else
			stop = (addr & ~(TABLE_SIZE - 1)) + TABLE_SIZE;
		addr = stop;
	}
}

/* ---- looking --------------------------------------------------------------------------------- */

static bool bit(_Atomic uint64_t *bits, unsigned int i)
{
	return os_racy_load(&bits[i / 64]) >> (i % 64) & 1;
}

static enum page_state get_in_chunk(struct table *t, unsigned int chunk, unsigned int page)
{
	unsigned int state = atomic_load_explicit(&t->state[chunk], memory_order_acquire);

	if (state != MIXED)
		return (enum page_state)state;
	if (bit(t->bits[chunk][0], page))
		return PAGE_OVERLAID;
	return bit(t->bits[chunk][1], page) ? PAGE_MARKED : PAGE_OPEN;
}

enum page_state guard_pages_get(struct guard_pages *p, uint64_t addr)
{
	struct table *t = table_of(p, addr);

	return t ? get_in_chunk(t, chunk_index(addr), page_index(addr)) : PAGE_OPEN;
}

/* The pages of a mixed chunk's word that are of one of the states. */
static uint64_t word_of(struct table *t, unsigned int chunk, unsigned int word, unsigned int mask)
{
	uint64_t overlaid = os_racy_load(&t->bits[chunk][0][word]);
	uint64_t marked = os_racy_load(&t->bits[chunk][1][word]);
	uint64_t out = 0;

	if (mask & IS_OVERLAID)
		out |= overlaid;
	if (mask & IS_MARKED)
		out |= marked;
	return out;
}

/* The first page from first on, before end, that is one of mask's or is not, other than are; end: none. */
static unsigned int run_in_chunk(struct table *t, unsigned int chunk, unsigned int first,
				 unsigned int end, unsigned int mask, bool are)
{
	unsigned int state = os_racy_load(&t->state[chunk]);

	if (state != MIXED)
		return (mask >> state & 1) == are ? end : first;
	for (unsigned int i = first / 64; i * 64 < end; i++) {
		uint64_t word = word_of(t, chunk, i, mask);
		uint64_t other = (are ? ~word : word) & word_mask(i, first, end);

		if (other)
			return i * 64 + (unsigned int)__builtin_ctzll(other);
	}
	return end;
}

/* Of so many whole chunks from chunk on, those at the beginning that are all in the state of the first. */
static unsigned int same_chunks(struct table *t, unsigned int chunk, unsigned int nr)
{
	unsigned int state = os_racy_load(&t->state[chunk]), i = 0;

	if (state == MIXED)
		return 0;
	while (i < nr) {
		if ((chunk + i) % 8 == 0 && nr - i >= 8 &&
		    os_racy_load(&t->eight[(chunk + i) / 8]) == EIGHT(state))
			i += 8;
		else if (os_racy_load(&t->state[chunk + i]) == state)
			i++;
		else
			break;
	}
	return i;
}

uint64_t guard_pages_run(struct guard_pages *p, uint64_t addr, uint64_t size, unsigned int mask,
			 bool *are)
{
	uint64_t at = addr, end = addr + size;

	*are = mask >> guard_pages_get(p, addr) & 1;
	if (size == OS_PAGE_SIZE)
		return size;
	while (at < end) {
		struct table *t = table_of(p, at);
		uint64_t next = (at & ~(CHUNK_SIZE - 1)) + CHUNK_SIZE;
		uint64_t stop = next < end ? next : end;
		unsigned int last = page_index(stop - 1) + 1, found;

		if (!t && *are)
			break;
		if (t && next <= end &&
		    (mask >> os_racy_load(&t->state[chunk_index(at)]) & 1) == *are) {
			uint64_t same = same_chunks(t, chunk_index(at), nr_whole(at, end));

			at += same << CHUNK_SHIFT;
			if (same)
				continue;
		}
		found = t ? run_in_chunk(t, chunk_index(at), page_index(at), last, mask, *are)
			  : last;
		at = (at & ~(CHUNK_SIZE - 1)) + ((uint64_t)found << OS_PAGE_SHIFT);
		if (found != last)
			break;
	}
	return (at < end ? at : end) - addr;
}

bool guard_pages_none(struct guard_pages *p, uint64_t addr, uint64_t size, unsigned int mask)
{
	bool are;

	return guard_pages_run(p, addr, size, mask, &are) == size && !are;
}
