/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which code gmem is called from: what this process knows, and what it has told. */
#include "obs/obs.h"
#include "obs/region.h"
#include "obs/tell.h"

#define NR_KNOWN 64

/* end is stored last; an entry never changes. */
static struct {
	_Atomic uint64_t start, end;
} known[NR_KNOWN];
static _Atomic uint32_t nr_known;

bool obs_knows_caller(uint64_t address)
{
	uint32_t nr = os_racy_load(&nr_known);

	for (uint32_t i = 0; i < nr && i < NR_KNOWN; i++) {
		if (address < atomic_load_explicit(&known[i].end, memory_order_acquire) &&
		    address >= os_racy_load(&known[i].start))
			return true;
	}
	return false;
}

void obs_forget_code(void)
{
	atomic_store(&nr_known, 0);
	for (uint32_t i = 0; i < NR_KNOWN; i++)
		os_racy_store(&known[i].end, 0);
}

void obs_copy_end(char *to, size_t size, const char *from)
{
	size_t n = 0;

	while (from[n])
		n++;

	if (n >= size)
		from += n - (size - 1);
	for (; size > 1 && *from; size--)
		*to++ = *from++;
	*to = 0;
}

static void tell(struct obs_region *r, const struct obs_code *code)
{
	uint32_t i = atomic_fetch_add(&r->nr_modules, 1);
	struct obs_module *m;

	if (i >= OBS_MAX_MODULES) {
		atomic_fetch_sub(&r->nr_modules, 1);
		atomic_fetch_add(&r->modules_lost, 1);
		return;
	}
	m = obs_module_at(r, i);
	m->start = code->start;
	m->end = code->end;
	m->base = code->base;
	m->build_id_size = code->build_id_size < sizeof(m->build_id) ? code->build_id_size
								     : sizeof(m->build_id);
	if (m->build_id_size)
		__builtin_memcpy(m->build_id, code->build_id, m->build_id_size);
	obs_copy_end(m->path, sizeof(m->path), code->path);
	atomic_store_explicit(&m->process, obs_own_process() + 1, memory_order_release);
}

/* Two threads may tell the same: who reads does not mind. */
void obs_add_code(const struct obs_code *code)
{
	struct obs_region *r = os_racy_load(&obs_attached);
	uint32_t i = atomic_fetch_add(&nr_known, 1);

	if (i >= NR_KNOWN) {
		os_racy_store(&nr_known, NR_KNOWN);
		return;
	}
	if (r)
		tell(r, code);
	os_racy_store(&known[i].start, code->start);
	atomic_store_explicit(&known[i].end, code->end, memory_order_release);
}
