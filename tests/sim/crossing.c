/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Two that cross, and nothing else: what larger scenarios find once in ten thousand schedules is found here by the
 * search of all of them.
 */
#include "actors.h"

#define ALL (SIM_RANDOM | SIM_PCT | SIM_EXHAUSTIVE)

/* ---- entering and asking ------------------------------------------------------------------------ */

static struct mmu_vcpu *vcpu;
static bool saw_request, saw_inside;

static void enters(void *arg)
{
	mmu_vcpu_enter(vcpu);
	saw_request = mmu_vcpu_requests(vcpu) & MMU_REQ_FLUSH;
	/* The guest runs: what it has stored need not be seen yet. */
	sim_point();
}

static void asks(void *arg)
{
	mmu_vcpu_request(vcpu, MMU_REQ_FLUSH);
	saw_inside = atomic_load(&((struct mmu_vcpu_head *)vcpu)->inside);
}

static void setup_enter_and_ask(void)
{
	world_make(false);
	vcpu = world_guest("guest")->v;
	saw_request = saw_inside = false;
	sim_spawn("vCPU", enters, NULL);
	sim_spawn("asker", asks, NULL);
}

static void teardown_enter_and_ask(void)
{
	if (!saw_request && !saw_inside)
		sim_fail("flush: the vCPU does not see the request, and nobody waits for it");
	mmu_vcpu_flush_begin(vcpu);
	mmu_vcpu_flush_end(vcpu);
	mmu_vcpu_leave(vcpu);
	world_unmake();
}

SIM_SCENARIO(mmu_enter_against_request) = {
	.about = "a vCPU enters while a flush is asked for: one of the two sees the other",
	.searches = ALL,
	.setup = setup_enter_and_ask,
	.teardown = teardown_enter_and_ask,
};

/* ---- entering and shooting down ----------------------------------------------------------------- */

/* With what it has cached since setup; no fault, which would take locks. */
static void enters_again(void *arg)
{
	struct guest *g = arg;

	guest_enter(g);
	sim_point();
	guest_leave(g);
}

static void setup_enter_with_a_translation(void)
{
	struct guest *g;

	world_make(true);
	world_slot(0, BASE, 1, 0, 0, NULL, 0);
	g = world_guest("guest");
	guest_enter(g);
	sim_assert(guest_access(g, BASE, true) == MMU_FAULT_OK);
	guest_leave(g);
	sim_spawn("guest", enters_again, g);
	act("converter", gfn_converter, (struct actor){ .turns = 1 });
}

SIM_SCENARIO(mmu_enter_with_a_translation) = {
	.about = "a vCPU enters with what it had cached while that is shot down: it is waited for, "
		 "or drops it",
	.searches = ALL,
	.setup = setup_enter_with_a_translation,
	.teardown = world_unmake,
};
