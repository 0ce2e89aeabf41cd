/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/region.h"

#include "os/os.h"

/* Where each part begins, and behind the last the end. */
struct layout {
	uint64_t processes, modules, lanes, snapshot, injection, codes, chains, stacks, ring, end;
};

static struct layout layout(uint64_t nr_records)
{
	struct layout l;

	l.processes = os_page_up(sizeof(struct obs_region));
	l.modules = os_page_up(l.processes + OBS_MAX_PROCESSES * sizeof(struct obs_process));
	l.lanes = os_page_up(l.modules + OBS_MAX_MODULES * sizeof(struct obs_module));
	l.snapshot = os_page_up(l.lanes + OBS_NR_LANES * sizeof(struct obs_lane));
	l.injection = l.snapshot + OBS_SNAPSHOT_SIZE;
	l.codes = os_page_up(l.injection + OBS_INJECT_SIZE);
	l.chains = l.codes + OBS_NR_CODES * sizeof(struct obs_frame_code);
	l.stacks = l.chains + OBS_NR_CHAINS * sizeof(uint64_t);
	l.ring = l.stacks + OBS_NR_STACKS * sizeof(struct obs_stack);
	l.end = os_page_up(l.ring + nr_records * sizeof(struct obs_record));
	return l;
}

uint64_t obs_region_size(uint32_t nr_records)
{
	return layout(nr_records).end;
}

void obs_region_init(struct obs_region *r, uint32_t nr_records)
{
	struct layout l = layout(nr_records);

	os_assert(nr_records && !(nr_records & (nr_records - 1)));
	r->magic = OBS_REGION_MAGIC;
	r->version = OBS_REGION_VERSION;
	r->simulated = 1;
	r->size = l.end;
	r->processes = l.processes;
	r->modules = l.modules;
	r->lanes = l.lanes;
	r->snapshot = l.snapshot;
	r->injection = l.injection;
	r->codes = l.codes;
	r->chains = l.chains;
	r->stacks = l.stacks;
	r->nr_kinds = OBS_NR_EVENTS;
	r->nr_lanes = OBS_NR_LANES;
	r->nr_buckets = OBS_NR_BUCKETS;
	r->record_size = sizeof(struct obs_record);
	r->ring.offset = l.ring;
	r->ring.nr = nr_records;
}

bool obs_region_is_sound(const struct obs_region *r, uint64_t size)
{
	struct layout l;

	if (size < sizeof(*r) || r->magic != OBS_REGION_MAGIC || r->version != OBS_REGION_VERSION)
		return false;
	if (!r->ring.nr || (r->ring.nr & (r->ring.nr - 1)) || r->ring.nr > UINT32_MAX)
		return false;
	l = layout(r->ring.nr);
	return r->size == size && l.end == size && r->ring.offset == l.ring &&
	       r->processes == l.processes && r->modules == l.modules && r->lanes == l.lanes &&
	       r->snapshot == l.snapshot && r->injection == l.injection && r->codes == l.codes &&
	       r->chains == l.chains && r->stacks == l.stacks && r->nr_kinds == OBS_NR_EVENTS &&
	       r->nr_lanes == OBS_NR_LANES && r->nr_buckets == OBS_NR_BUCKETS;
}
