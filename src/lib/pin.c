/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pins of the program's own. */
#include <errno.h>
#include <stddef.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "map/pins.h"
#include "obs/obs.h"

struct gmem_pinned {
	struct pin *pin; /* of no file in a forked child */
	struct gmem *file;
	uint64_t size;
};

/* At home under the invalidate lock, so no conversion is half done; elsewhere a replica, where none is being hidden
 * after the last look at pins, which was before ours. */
static bool all_shared(struct gmem *g, uint64_t offset, uint64_t size)
{
	uint64_t first = offset >> OS_PAGE_SHIFT;
	uint64_t last = (offset + size - 1) >> OS_PAGE_SHIFT;
	uint32_t value = 0;
	bool is;

	host_file_hold(g->file);
	host_file_await(g->file);
	is = attr_map_uniform(g->file->state, first, last - first + 1, &value) &&
	     !(value & ATTR_PRIVATE);
	host_file_let(g->file);
	return is;
}

static int take(struct gmem *g, uint64_t offset, uint64_t size, struct pin **pin)
{
	int err = pin_intend(g->file, offset, size, pin);

	if (err)
		return err;
	if (all_shared(g, offset, size))
		return 0;
	pin_drop(*pin);
	return obs_refuse(RULE_LIB_PIN_PRIVATE);
}

static int check_pin(const struct gmem *g, uint64_t offset, uint64_t size)
{
	if (!size)
		return obs_refuse(RULE_LIB_SIZE_ZERO);
	if (offset >= g->file->size || size > g->file->size - offset)
		return obs_refuse(RULE_LIB_RANGE_PAST_END);
	return 0;
}

int lib_pin(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_pinned **out)
{
	struct gmem_pinned *p;
	int err;

	if (!g || !out)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	err = check_pin(g, offset, size);
	if (err)
		return err;
	p = os_alloc(sizeof(*p));
	if (!p)
		return obs_refuse(RULE_NO_MEMORY);
	err = take(g, offset, size, &p->pin);
	if (err) {
		os_free(p, sizeof(*p));
		return err;
	}
	gmem_get(g);
	p->file = g;
	p->size = size;
	*out = p;
	return 0;
}

void lib_pin_trim(struct gmem_pinned *p, uint64_t size)
{
	if (!size) {
		lib_unpin(p);
		return;
	}
	if (!p || size >= p->size)
		return;
	p->size = size;
	pin_settle(p->pin, size);
}

void lib_unpin(struct gmem_pinned *p)
{
	if (!p)
		return;
	pin_drop(p->pin);
	lib_put(p->file);
	os_free(p, sizeof(*p));
}

int lib_count_references(void)
{
	if (!pins_are_exact())
		return obs_refuse(RULE_LIB_REFERENCES);
	pins_say_unseen();
	return 0;
}
