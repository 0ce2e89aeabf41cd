/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For unit tests of the layers: rules, as the parser makes them, in a region that nobody else sees. */
#ifndef GMEM_TESTS_INJECT_RULES_H
#define GMEM_TESTS_INJECT_RULES_H

#include <stdlib.h>
#include <string.h>

#include "obs/inject.h"
#include "obs/region.h"

#define RULE_OF(point_, action_) \
	.point = point_, .action = action_, .line = 1, .vcpu = -1, .slot = -1

/* They are in force until rules_end(). */
static inline struct inject_table *rules_begin(const struct inject_rule *rules, uint32_t nr)
{
	static struct obs_region *r;
	struct inject_table *t;
	uint64_t size = obs_region_size(1);

	if (!r)
		r = aligned_alloc(4096, size);
	memset(r, 0, size);
	obs_region_init(r, 1);
	r->injects = 1;
	t = obs_region_at(r, OBS_AT_INJECTION);
	t->nr = nr;
	t->seed = 1;
	memcpy(t->rules, rules, nr * sizeof(*rules));
	obs_inject_begin(r);
	return t;
}

static inline void rules_end(void)
{
	obs_inject_end();
}

#endif
