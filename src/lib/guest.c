/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest's side of a file: its pages in the hidden view, and what they cost. */
#include <errno.h>
#include <stddef.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "obs/obs.h"
#include "os/context.h"

#define NR_RUNS 64

int lib_fault_begin(struct gmem *g)
{
	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	if (!lib_home_file(g))
		return obs_refuse(RULE_LIB_PAGE_HOME);
	gmem_file_fault_begin(lib_home_file(g));
	if (!os_context()->faulting)
		os_context()->faulting = g;
	return 0;
}

/* A forked child may be told of the end of what its parent has begun. */
void gmem_fault_end(struct gmem *g)
{
	if (os_context()->faulting == g)
		os_context()->faulting = NULL;
	if (g && lib_home_file(g))
		gmem_file_fault_end(lib_home_file(g));
}

/* The type is asked about pages that are there. */
static int prepare_private(struct gmem *g, uint64_t offset, void *page)
{
	int err;

	if (!g->type.prepare ||
	    !(attr_map_get(g->file->state, offset >> OS_PAGE_SHIFT) & ATTR_PRIVATE))
		return 0;
	err = os_populate(page, OS_PAGE_SIZE, true);
	return err ? err : gmem_file_prepare(lib_home_file(g), offset);
}

/* The page's address, and the level of one translation that holds it. */
static int look_up(struct gmem *g, uint64_t offset, void **addr, int *level)
{
	uint64_t page = offset & ~(uint64_t)(OS_PAGE_SIZE - 1);
	int uniform, err;

	if (!g || !addr)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	if (!lib_home_file(g))
		return obs_refuse(RULE_LIB_PAGE_HOME);
	if (offset >= g->file->size)
		return obs_refuse(RULE_LIB_OFFSET_PAST_END);
	err = gmem_file_page(lib_home_file(g), page, addr, level);
	if (!err)
		err = prepare_private(g, page, *addr);
	if (err)
		return err;
	uniform = attr_map_level(g->file->state, offset >> OS_PAGE_SHIFT, *level);
	if (uniform < *level)
		*level = uniform;
	return 0;
}

/* From offset to where one translation that holds it has to end. */
static uint64_t bytes_of_level(struct gmem *g, uint64_t offset, int level)
{
	uint64_t block = level_pages(level) << OS_PAGE_SHIFT;
	uint64_t end = (offset & ~(block - 1)) + block;

	return (end < g->file->size ? end : g->file->size) - offset;
}

int lib_page(struct gmem *g, uint64_t offset, void **addr, uint64_t *size)
{
	void *at;
	int level, err = look_up(g, offset, addr ? &at : NULL, &level);

	if (err)
		return err;
	*addr = (char *)at + offset % OS_PAGE_SIZE;
	if (size)
		*size = bytes_of_level(g, offset, level);
	return 0;
}

int lib_find_block(struct gmem *g, uint64_t offset, struct gmem_block *block)
{
	struct gmem_block b = { 0 };
	void *at;
	int level, err = look_up(g, offset, &at, &level);
	uint64_t inside;

	if (err)
		return err;
	inside = offset & ((level_pages(level) << OS_PAGE_SHIFT) - 1) &
		 ~(uint64_t)(OS_PAGE_SIZE - 1);
	b.order = (uint32_t)__builtin_ctzll(level_pages(level));
	b.offset = (offset & ~(uint64_t)(OS_PAGE_SIZE - 1)) - inside;
	b.addr = (char *)at - inside;
	b.attributes = attr_map_get(g->file->state, offset >> OS_PAGE_SHIFT);
	return lib_args_out(block, &b, sizeof(b), LIB_MIN_OF(struct gmem_block, reserved));
}

/* ---- accounting -------------------------------------------------------------------------------- */

static void account_at_home(struct gmem *g, struct gmem_stats *s)
{
	s->backed_bytes = store_backed(gmem_file_store(lib_home_file(g)));
	s->private_bytes = attr_map_count(g->file->state, 0, s->size >> OS_PAGE_SHIFT, ATTR_PRIVATE)
			   << OS_PAGE_SHIFT;
}

static int count_private(struct gmem *g, struct gmem_stats *s)
{
	struct gmem_run runs[NR_RUNS];
	uint64_t at = 0;
	uint32_t nr;
	int err;

	do {
		err = host_file_query(g->file, at, s->size - at, runs, NR_RUNS, &nr);
		if (err)
			return err;
		for (uint32_t i = 0; i < nr; i++) {
			if (runs[i].attributes & ATTR_PRIVATE)
				s->private_bytes += runs[i].size;
			at = runs[i].offset + runs[i].size;
		}
	} while (nr == NR_RUNS && at < s->size);
	return 0;
}

static int account_elsewhere(struct gmem *g, struct gmem_stats *s)
{
	int fd = g->file->store_fd;
	int err = fd < 0 ? 0 : os_file_backed(fd, &s->backed_bytes);

	if (err)
		return obs_refuse(RULE_LIB_CONTENTS);
	s->attribute_bytes = attr_map_bytes(g->file->state);
	return count_private(g, s);
}

int lib_get_stats(struct gmem *g, struct gmem_stats *stats)
{
	struct gmem_stats s = { 0 };
	int err = 0;

	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	s.size = g->file->size;
	s.nr_pins = atomic_load(&g->file->pins.nr);
	lib_enter();
	if (lib_home_file(g)) {
		host_file_hold(g->file);
		account_at_home(g, &s);
		host_file_let(g->file);
		s.attribute_bytes = gmem_file_attribute_bytes(lib_home_file(g));
	} else {
		err = account_elsewhere(g, &s);
	}
	lib_leave();
	return err ? err
		   : lib_args_out(stats, &s, sizeof(s),
				  LIB_MIN_OF(struct gmem_stats, attribute_bytes));
}
