/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Shootdown: making sure that no vCPU uses what was zapped.
 *
 * A vCPU and a shootdown meet on two words of the vCPU:
 *
 *	vCPU enters:	inside = 1;            RMW requests;  ... looks at requests
 *	shootdown:	RMW requests |= FLUSH; read inside
 *
 * Both touch requests with a read-modify-write, so one comes first in its modification order. If the
 * vCPU's is first, the shootdown synchronizes with it and reads inside == 1: it waits. If the
 * shootdown's is first, the vCPU finds FLUSH before it uses any translation. No third case.
 *
 * A generation tells which flush is meant: it is raised after the zap and before the request, and read
 * by the vCPU after it has cleared the request and before it drops its translations. A flush that read
 * the generation covers all that was zapped before.
 *
 * A waiter sleeps on progress. It announces itself in waiters and then looks at inside and flushed
 * once more; the vCPU stores those and then looks at waiters: sequentially consistent on both sides,
 * so that one of the two sees the other.
 */
#include <errno.h>
#include <stddef.h>

#include "mmu/mmu_private.h"
#include "obs/inject.h"
#include "obs/obs.h"

/*
 * Long enough for a vCPU that runs to reach the end of its block and to drop what it has cached; to sleep and be
 * woken takes longer. One that is preempted needs the processor.
 */
#define SPIN_NS 6000
#define TURNS_PER_LOOK 16 /* at the clock */

int mmu_vcpu_create(struct mmu *mmu, struct mmu_vcpu **out)
{
	struct mmu_vcpu *v = os_alloc(sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->mmu = mmu;
	os_rwlock_write_lock(&mmu->vcpus_lock);
	v->next = mmu->vcpus;
	mmu->vcpus = v;
	os_rwlock_write_unlock(&mmu->vcpus_lock);
	*out = v;
	return 0;
}

void mmu_vcpu_destroy(struct mmu_vcpu *v)
{
	struct mmu *mmu = v->mmu;
	struct mmu_vcpu **at;

	os_assert(!atomic_load(&v->head.inside));
	os_rwlock_write_lock(&mmu->vcpus_lock);
	for (at = &mmu->vcpus; *at != v; at = &(*at)->next)
		os_assert(*at);
	*at = v->next;
	os_rwlock_write_unlock(&mmu->vcpus_lock);
	os_free(v, sizeof(*v));
}

/* ---- the vCPU's side ------------------------------------------------------------------------ */

void mmu_vcpu_enter(struct mmu_vcpu *v)
{
	os_assert(!os_racy_load(&v->head.inside));
	atomic_store_explicit(&v->head.inside, 1, memory_order_relaxed);
	atomic_fetch_or_explicit(&v->head.requests, 0, memory_order_acq_rel);
}

static void wake_waiters(struct mmu_vcpu *v)
{
	if (!atomic_load(&v->waiters))
		return;
	atomic_fetch_add(&v->progress, 1);
	os_wake_all(&v->progress);
}

void mmu_vcpu_leave(struct mmu_vcpu *v)
{
	os_assert(os_racy_load(&v->head.inside));
	atomic_store(&v->head.inside, 0);
	wake_waiters(v);
}

void mmu_vcpu_request(struct mmu_vcpu *v, uint32_t requests)
{
	atomic_fetch_or_explicit(&v->head.requests, requests, memory_order_acq_rel);
	/* Outside, the vCPU may be halted and asleep on the word. A flush need not wake it. */
	if ((requests & (MMU_REQ_KICK | MMU_REQ_EVENT)) &&
	    !atomic_load_explicit(&v->head.inside, memory_order_relaxed))
		os_wake_all(&v->head.requests);
}

void mmu_vcpu_clear(struct mmu_vcpu *v, uint32_t requests)
{
	os_assert(!(requests & MMU_REQ_FLUSH));
	atomic_fetch_and_explicit(&v->head.requests, ~requests, memory_order_acq_rel);
}

void mmu_vcpu_flush_begin(struct mmu_vcpu *v)
{
	atomic_fetch_and_explicit(&v->head.requests, ~MMU_REQ_FLUSH, memory_order_acq_rel);
	v->flushing = atomic_load_explicit(&v->mmu->flush_wanted, memory_order_acquire);
}

void mmu_vcpu_flush_end(struct mmu_vcpu *v)
{
	atomic_store(&v->flushed, v->flushing);
	wake_waiters(v);
}

/* ---- the other side ------------------------------------------------------------------------- */

static bool is_clean(struct mmu_vcpu *v, uint64_t generation)
{
	return !atomic_load(&v->head.inside) || atomic_load(&v->flushed) >= generation;
}

static bool spin_for(struct mmu_vcpu *v, uint64_t generation)
{
	uint64_t end = os_clock_ns() + SPIN_NS;

	do {
		for (int i = 0; i < TURNS_PER_LOOK; i++) {
			if (is_clean(v, generation))
				return true;
			os_relax();
		}
	} while (os_clock_ns() < end);
	return false;
}

static void wait_for(struct mmu_vcpu *v, uint64_t generation)
{
	if (spin_for(v, generation))
		return;
	atomic_fetch_add(&v->waiters, 1);
	for (;;) {
		uint32_t progress = atomic_load(&v->progress);

		if (is_clean(v, generation))
			break;
		os_wait(&v->progress, progress, -1);
	}
	atomic_fetch_sub(&v->waiters, 1);
}

static void raise_done(struct mmu *mmu, uint64_t generation)
{
	uint64_t done = atomic_load(&mmu->flush_done);

	while (done < generation &&
	       !atomic_compare_exchange_weak(&mmu->flush_done, &done, generation))
		;
}

/* As long as if a vCPU took that time to notice. */
static void be_slow(void)
{
	struct inject_key key = { .point = INJECT_SHOOTDOWN };
	_Atomic uint32_t never = 0;
	struct inject what;
	uint64_t end, now;

	if (!obs_inject(&key, &what))
		return;
	now = os_clock_ns();
	for (end = now + what.value; now < end; now = os_clock_ns())
		os_wait(&never, 0, (int64_t)(end - now));
}

static void shootdown(struct mmu *mmu, uint64_t generation)
{
	uint64_t start = obs_start(), waited = 0;

	if (obs_injects(INJECT_SHOOTDOWN))
		be_slow();
	os_rwlock_read_lock(&mmu->vcpus_lock);
	for (struct mmu_vcpu *v = mmu->vcpus; v; v = v->next)
		if (atomic_load(&v->flushed) < generation)
			mmu_vcpu_request(v, MMU_REQ_FLUSH);
	for (struct mmu_vcpu *v = mmu->vcpus; v; v = v->next) {
		if (is_clean(v, generation))
			continue;
		waited++;
		wait_for(v, generation);
	}
	os_rwlock_read_unlock(&mmu->vcpus_lock);
	raise_done(mmu, generation);
	obs_span(OBS_SHOOTDOWN, start, 0, waited, 0, 0);
}

void zap_seal(struct mmu *mmu, struct zap *zap)
{
	table_list_join(&zap->freed, &mmu->replaced);
	if (zap->freed.first)
		zap->hit = true;
	/* Nothing here: another thread's zap may still be on its way to a vCPU; wait for that too. */
	zap->generation = zap->hit ? atomic_fetch_add(&mmu->flush_wanted, 1) + 1
				   : atomic_load(&mmu->flush_wanted);
}

void zap_finish(struct mmu *mmu, struct zap *zap)
{
	if (atomic_load(&mmu->flush_done) < zap->generation)
		shootdown(mmu, zap->generation);
	if (!zap->freed.first)
		return;
	os_mutex_lock(&mmu->lock);
	table_free_list(mmu, &zap->freed);
	os_mutex_unlock(&mmu->lock);
}
