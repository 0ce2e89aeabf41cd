/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include <errno.h>

#include "cpu/soft/block.h"
#include "cpu/soft/decode.h"
#include "cpu/soft/fast.h"
#include "cpu/soft/sys.h"
#include "cpu/soft/tlb.h"

#define TABLE_BITS 12
#define TABLE_SIZE (1u << TABLE_BITS)
#define ARENA_SIZE ((size_t)3 << 20)
#define BLOCK_ROOM \
	(sizeof(struct block) + (BLOCK_MAX_INSNS + 1) * sizeof(struct insn) + BLOCK_MAX_BYTES + 64)

struct soft_blocks {
	struct block *table[TABLE_SIZE];
	uint8_t *arena;
	size_t used;
	uint64_t emptied; /* how often: what was remembered of its blocks is gone */
};

int blocks_create(struct soft_blocks **out)
{
	struct soft_blocks *b = os_alloc(sizeof(*b));
	void *arena;
	int err;

	if (!b)
		return -ENOMEM;
	err = os_map_anon(ARENA_SIZE, OS_MAP_READ | OS_MAP_WRITE, &arena);
	if (err) {
		os_free(b, sizeof(*b));
		return err;
	}
	b->arena = arena;
	*out = b;
	return 0;
}

void blocks_destroy(struct soft_blocks *b)
{
	if (!b)
		return;
	os_unmap(b->arena, ARENA_SIZE);
	os_free(b, sizeof(*b));
}

static inline unsigned int hash(uint64_t lin, uint8_t mode)
{
	return (lin ^ lin >> TABLE_BITS ^ mode) & (TABLE_SIZE - 1);
}

static inline bool equal(const uint8_t *a, const uint8_t *b, unsigned int n)
{
	unsigned int off;

	/* ends overlap: no loop for what is short, no byte beyond */
	if (n >= 8) {
		for (off = 0; off + 8 < n; off += 8)
			if (host_load(a + off, 8) != host_load(b + off, 8))
				return false;
		return host_load(a + n - 8, 8) == host_load(b + n - 8, 8);
	}
	if (n >= 4)
		return host_load(a, 4) == host_load(b, 4) &&
		       host_load(a + n - 4, 4) == host_load(b + n - 4, 4);
	return a[0] == b[0] && a[n - 1] == b[n - 1] && a[n / 2] == b[n / 2];
}

_Noreturn static void fetch_from_device(struct soft *c)
{
	c->exit->reason = CPU_EXIT_EMULATION;
	c->exit->insn.nr_bytes = 0;
	soft_leave(c, LEAVE_EXIT);
}

/* Host address of code at lin; leaves when there is none. */
static inline const uint8_t *code_host(struct soft *c, uint64_t lin)
{
	uint8_t *p = tlb_lookup(c, ACCESS_EXEC, lin, 1);

	if (unlikely(!p))
		p = place_find(c, lin, ACCESS_EXEC, c->user_bit).host;
	if (unlikely(!p))
		fetch_from_device(c);
	return p;
}

static inline const uint8_t *page_of(const uint8_t *host)
{
	return (const uint8_t *)((uintptr_t)host & ~(uintptr_t)0xfff);
}

/* ---- making one --------------------------------------------------------------------------------- */

/* Code bytes as they are now: those of the first page, and on demand of the second. */
struct fetch {
	uint8_t bytes[BLOCK_MAX_BYTES + 16];
	unsigned int nr;    /* bytes there */
	unsigned int first; /* on the first page */
	unsigned int limit; /* bytes up to the end of the code segment */
};

static unsigned int bytes_to_limit(const struct soft *c)
{
	uint32_t limit = c->state.seg[CPU_CS].limit;
	uint64_t rip = c->state.rip;

	if (c->mode == 8)
		return BLOCK_MAX_BYTES;
	if (rip > limit)
		return 0;
	return limit - rip + 1ull > BLOCK_MAX_BYTES ? BLOCK_MAX_BYTES : limit - rip + 1;
}

static void fetch_first(struct soft *c, uint64_t lin, struct fetch *f)
{
	unsigned int in_page = 4096 - (lin & 0xfff);

	f->limit = bytes_to_limit(c);
	if (!f->limit)
		soft_raise_error(c, VEC_GP, 0);
	f->nr = in_page < BLOCK_MAX_BYTES ? in_page : BLOCK_MAX_BYTES;
	if (f->nr > f->limit)
		f->nr = f->limit;
	f->first = f->nr;
	memcpy(f->bytes, code_host(c, lin), f->nr);
}

/* The first instruction goes on behind the page or the limit. */
static void fetch_second(struct soft *c, uint64_t lin, struct fetch *f)
{
	uint64_t next = lin + f->nr;

	if (f->nr >= f->limit)
		soft_raise_error(c, VEC_GP, 0);
	if (!c->long_mode)
		next = (uint32_t)next;
	memcpy(f->bytes + f->nr, code_host(c, next), 15);
	f->nr += 15;
	if (f->nr > f->limit)
		f->nr = f->limit;
}

/* Decodes into insns; returns how many, and the bytes they take. */
static unsigned int decode_block(struct soft *c, uint64_t lin, struct fetch *f, struct insn *insns,
				 unsigned int *nr_bytes)
{
	unsigned int nr = 0, at = 0;

	while (nr < BLOCK_MAX_INSNS && at < f->first) {
		struct insn *i = &insns[nr];
		enum decode_result r = decode_insn(f->bytes + at, f->nr - at, c->mode, i);

		if (r != DECODE_OK) {
			if (nr)
				break;
			if (r == DECODE_TOO_LONG || f->nr > f->first)
				soft_raise_error(c, VEC_GP, 0);
			fetch_second(c, lin, f);
			continue;
		}
		if ((i->flags & INSN_ALONE) && nr)
			break;
		i->offset = at;
		at += i->len;
		i->nth = nr++;
		if (i->flags & INSN_ENDS_BLOCK)
			break;
	}
	*nr_bytes = at;
	return nr;
}

static void *arena_take(struct soft_blocks *b, size_t size)
{
	void *p = b->arena + b->used;

	b->used += (size + 15) & ~(size_t)15;
	return p;
}

static void arena_empty(struct soft_blocks *b)
{
	memset(b->table, 0, sizeof(b->table));
	b->used = 0;
	b->emptied++;
}

static struct block *block_make(struct soft *c, uint64_t lin)
{
	struct soft_blocks *blocks = c->blocks;
	struct fetch f;
	struct block *b;
	unsigned int nr_bytes;
	size_t begin;
	uint8_t *bytes;

	fetch_first(c, lin, &f);
	if (blocks->used + BLOCK_ROOM > ARENA_SIZE || !c->use_blocks)
		arena_empty(blocks);
	begin = blocks->used;
	b = arena_take(blocks, sizeof(*b));
	b->insns = (struct insn *)(blocks->arena + blocks->used);
	/* May leave: what the arena has given so far is then not taken. */
	blocks->used = begin;
	b->nr = decode_block(c, lin, &f, b->insns, &nr_bytes);
	arena_take(blocks, sizeof(*b));
	if (c->mode == 8)
		fast_choose(c, b->insns, b->nr, lin);
	arena_take(blocks, (b->nr + 1) * sizeof(struct insn));
	bytes = arena_take(blocks, nr_bytes);
	b->nr_compared = (nr_bytes + BLOCK_STEP - 1) & ~(BLOCK_STEP - 1);
	if (b->nr_compared > f.first)
		b->nr_compared = 0;
	memcpy(bytes, f.bytes, b->nr_compared ? b->nr_compared : nr_bytes);
	b->bytes = bytes;
	b->lin = lin;
	b->mode = c->mode;
	b->nr_bytes = nr_bytes;
	b->nr_first = nr_bytes < f.first ? nr_bytes : f.first;
	if (c->use_blocks)
		blocks->table[hash(lin, c->mode)] = b;
	return b;
}

/* ---- finding one -------------------------------------------------------------------------------- */

static bool second_page_equal(struct soft *c, const struct block *b)
{
	uint64_t next = b->lin + b->nr_first;
	const uint8_t *host = code_host(c, c->long_mode ? next : (uint32_t)next);

	return equal(b->bytes + b->nr_first, host, b->nr_bytes - b->nr_first);
}

static inline bool within_limit(const struct soft *c, const struct block *b)
{
	return c->mode == 8 || c->state.rip + b->nr_bytes - 1 <= c->state.seg[CPU_CS].limit;
}

static inline void code_is_at(struct soft *c, uint64_t lin, const uint8_t *host)
{
	c->code_page = page_of(host);
	c->code_lin = c->mode == 8 && c->use_tlb ? lin & PAGE_MASK_4K : CODE_LIN_NONE;
}

struct block *block_get(struct soft *c)
{
	uint64_t lin = c->state.rip;
	const uint8_t *host;
	struct block *b;

	if (c->mode != 8)
		lin = (uint32_t)(lin + c->state.seg[CPU_CS].base);
	if (unlikely(c->mode != 8 && c->state.rip > c->state.seg[CPU_CS].limit))
		soft_raise_error(c, VEC_GP, 0);
	host = code_host(c, lin);
	b = c->blocks->table[hash(lin, c->mode)];
	if (likely(b && b->lin == lin && b->mode == c->mode && within_limit(c, b) &&
		   equal(b->bytes, host, b->nr_first)) &&
	    (likely(b->nr_bytes == b->nr_first) || second_page_equal(c, b))) {
		code_is_at(c, lin, host);
		return b;
	}
	/* Rewritten while it is copied, by another processor: as if it had been fetched before. */
	b = block_make(c, lin);
	code_is_at(c, lin, code_host(c, lin));
	return b;
}

struct block *block_get_after(struct soft *c, struct insn *end)
{
	uint64_t emptied = c->blocks->emptied;
	struct block *b = block_get(c);

	if (c->use_chain && emptied == c->blocks->emptied && b->nr_compared)
		end->next = b;
	return b;
}
