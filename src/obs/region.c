/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/region.h"

#include "os/os.h"

_Static_assert(OS_PAGE_SIZE == 4096, "the parts begin at pages");

uint64_t obs_region_size(uint32_t nr_records)
{
	return OBS_PAGE_UP(OBS_AT_RING + (uint64_t)nr_records * sizeof(struct obs_record));
}

void obs_region_init(struct obs_region *r, uint32_t nr_records)
{
	os_assert(nr_records && !(nr_records & (nr_records - 1)));
	r->magic = OBS_REGION_MAGIC;
	r->version = OBS_REGION_VERSION;
	r->simulated = 1;
	r->size = obs_region_size(nr_records);
	r->processes = OBS_AT_PROCESSES;
	r->modules = OBS_AT_MODULES;
	r->lanes = OBS_AT_LANES;
	r->snapshot = OBS_AT_SNAPSHOT;
	r->injection = OBS_AT_INJECTION;
	r->codes = OBS_AT_CODES;
	r->chains = OBS_AT_CHAINS;
	r->stacks = OBS_AT_STACKS;
	r->nr_kinds = OBS_NR_EVENTS;
	r->nr_lanes = OBS_NR_LANES;
	r->nr_buckets = OBS_NR_BUCKETS;
	r->record_size = sizeof(struct obs_record);
	r->ring.offset = OBS_AT_RING;
	r->ring.nr = nr_records;
}

static bool has_our_layout(const struct obs_region *r)
{
	return r->magic == OBS_REGION_MAGIC && r->version == OBS_REGION_VERSION &&
	       r->processes == OBS_AT_PROCESSES && r->modules == OBS_AT_MODULES &&
	       r->lanes == OBS_AT_LANES && r->snapshot == OBS_AT_SNAPSHOT &&
	       r->injection == OBS_AT_INJECTION && r->codes == OBS_AT_CODES &&
	       r->chains == OBS_AT_CHAINS && r->stacks == OBS_AT_STACKS &&
	       r->ring.offset == OBS_AT_RING && r->nr_kinds == OBS_NR_EVENTS &&
	       r->nr_lanes == OBS_NR_LANES && r->nr_buckets == OBS_NR_BUCKETS &&
	       r->record_size == sizeof(struct obs_record);
}

uint64_t obs_region_check(const struct obs_region *r, uint64_t size)
{
	uint64_t nr;

	if (size < sizeof(*r) || r->size != size || !has_our_layout(r))
		return 0;
	nr = __atomic_load_n(&r->ring.nr, __ATOMIC_RELAXED);
	if (!nr || (nr & (nr - 1)) || nr > UINT32_MAX || obs_region_size((uint32_t)nr) != size)
		return 0;
	return nr;
}
