/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/account.h"

#include "os/os.h"

#define NR_TRIES 64
/* Owner of an area that one process has left and another has not yet. */
#define CHANGES_HANDS UINT32_MAX

static bool is_gone(const struct obs_region *r, uint32_t process)
{
	return process < OBS_MAX_PROCESSES &&
	       atomic_load(&obs_process_at(r, process)->state) == OBS_STATE_GONE;
}

static struct account_snapshot *latest_of(struct account_area *a)
{
	uint32_t latest = atomic_load_explicit(&a->latest, memory_order_acquire);

	return latest == 1 || latest == 2 ? &a->snapshots[latest - 1] : NULL;
}

/* What is told of all (most_twice) stays; what could not be known of this one, too. */
static void clear(struct obs_region *r, struct account_area *a)
{
	const struct account_snapshot *s = latest_of(a);

	if (s && ((s->flags & (ACCOUNT_BLIND | ACCOUNT_NO_PROGRAM)) || s->left_vms))
		atomic_fetch_add(&r->accounts_lost, 1);
	else
		atomic_fetch_add(&r->accounts_left_out, 1);
	atomic_store(&a->latest, 0);
	atomic_store(&a->answered, 0);
}

/* The account of an ended process makes room when there is no other. A reader copies, and looks at the sequence again:
 * it goes up, and stays the area's. */
static struct account_area *take_over(struct obs_region *r, uint32_t process)
{
	for (uint32_t i = 0; i < ACCOUNT_NR_AREAS; i++) {
		struct account_area *a = account_area_at(r, i);
		uint32_t owner = atomic_load(&a->owner);

		if (!owner || owner == CHANGES_HANDS || !is_gone(r, owner - 1) ||
		    !atomic_compare_exchange_strong(&a->owner, &owner, CHANGES_HANDS))
			continue;
		clear(r, a);
		atomic_store(&a->owner, process + 1);
		return a;
	}
	return NULL;
}

struct account_area *obs_account_take(struct obs_region *r, uint32_t process)
{
	for (uint32_t i = 0; i < ACCOUNT_NR_AREAS; i++) {
		struct account_area *a = account_area_at(r, i);
		uint32_t owner = 0;

		if (atomic_compare_exchange_strong(&a->owner, &owner, process + 1))
			a->version = ACCOUNT_VERSION;
		else if (owner != process + 1)
			continue;
		return a;
	}
	return take_over(r, process);
}

const struct account_area *obs_account_find(const struct obs_region *r, uint32_t process)
{
	for (uint32_t i = 0; i < ACCOUNT_NR_AREAS; i++) {
		const struct account_area *a = account_area_at(r, i);

		uint32_t owner = atomic_load_explicit(&a->owner, memory_order_acquire);

		/* They are taken in order, and none becomes free. */
		if (!owner)
			return NULL;
		if (owner == process + 1)
			return a;
	}
	return NULL;
}

struct account_snapshot *obs_account_begin(struct account_area *a, struct account_snapshot **latest)
{
	struct account_snapshot *s;

	*latest = latest_of(a);
	s = &a->snapshots[*latest == &a->snapshots[0]];
	atomic_fetch_add_explicit(&s->sequence, 1 + (os_racy_load(&s->sequence) & 1),
				  memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	return s;
}

void obs_account_finish(struct account_area *a, struct account_snapshot *s)
{
	atomic_fetch_add_explicit(&s->sequence, 1, memory_order_release);
	atomic_store_explicit(&a->latest, (uint32_t)(s - a->snapshots) + 1, memory_order_release);
}

static uint32_t at_most(uint32_t nr, uint32_t most)
{
	return nr < most ? nr : most;
}

static void copy(struct account_snapshot *to, const struct account_snapshot *from)
{
	__builtin_memcpy(to, from, offsetof(struct account_snapshot, vms));
	to->nr_vms = at_most(to->nr_vms, ACCOUNT_NR_VMS);
	to->nr_vcpus = at_most(to->nr_vcpus, ACCOUNT_NR_VCPUS);
	to->nr_slots = at_most(to->nr_slots, ACCOUNT_NR_SLOTS);
	to->nr_files = at_most(to->nr_files, ACCOUNT_NR_FILES);
	to->nr_runs = at_most(to->nr_runs, ACCOUNT_NR_RUNS);
	__builtin_memcpy(to->vms, from->vms, to->nr_vms * sizeof(to->vms[0]));
	__builtin_memcpy(to->vcpus, from->vcpus, to->nr_vcpus * sizeof(to->vcpus[0]));
	__builtin_memcpy(to->slots, from->slots, to->nr_slots * sizeof(to->slots[0]));
	__builtin_memcpy(to->files, from->files, to->nr_files * sizeof(to->files[0]));
	__builtin_memcpy(to->runs, from->runs, to->nr_runs * sizeof(to->runs[0]));
}

static bool try_read(const struct account_snapshot *s, struct account_snapshot *out)
{
	uint32_t before = atomic_load_explicit(&s->sequence, memory_order_acquire);

	if (before & 1)
		return false;
	copy(out, s);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&s->sequence, memory_order_relaxed) == before;
}

bool obs_account_read(const struct account_area *a, struct account_snapshot *out)
{
	const struct account_snapshot *s;

	for (int i = 0; i < NR_TRIES && a->version == ACCOUNT_VERSION; i++) {
		s = latest_of((struct account_area *)(uintptr_t)a);
		if (!s)
			return false;
		if (try_read(s, out))
			return true;
		os_relax();
	}
	return false;
}

bool obs_account_read_older(const struct account_area *a, struct account_snapshot *out)
{
	const struct account_snapshot *s = latest_of((struct account_area *)(uintptr_t)a);

	return s && a->version == ACCOUNT_VERSION &&
	       try_read(&a->snapshots[s == &a->snapshots[0]], out) &&
	       atomic_load_explicit(&out->sequence, memory_order_relaxed);
}
