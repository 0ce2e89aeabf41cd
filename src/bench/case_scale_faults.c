/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest faults of several vCPUs at the same time, a thread each, on pages of their own: together so many a second.
 * Every second page is private, so that none is mapped together with its neighbour.
 */
#include "bench/crew.h"
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <stdlib.h>

#define NR_PAGES 1024u /* that a vCPU touches in a round */
#define STEP (2 * BENCH_PAGE)
#define PART (NR_PAGES * STEP)
#define SLOT 1u

struct faults {
	struct machine machine;
	struct crew *crew;
	uint64_t size;
	bool absent;
};

static int fault_part(void *arg, unsigned int index)
{
	struct faults *f = arg;

	return machine_call(&f->machine, index, GUEST_WRITE, MACHINE_DATA + index * PART, NR_PAGES,
			    STEP);
}

static int fill(struct bench_run *r, struct faults *f)
{
	unsigned int nr = (unsigned int)r->param;
	int err = machine_open(r, &f->machine, KVM_X86_SW_PROTECTED_VM);

	f->size = nr * PART;
	f->absent = *(const bool *)r->bcase->data;
	if (!err)
		err = machine_add_slot(r, &f->machine, SLOT, MACHINE_DATA, f->size, MACHINE_GMEM);
	for (uint64_t at = 0; !err && at < f->size; at += STEP)
		err = machine_set_private(&f->machine, MACHINE_DATA + at, BENCH_PAGE, true);
	if (!err && !f->absent)
		err = machine_allocate(&f->machine, SLOT, 0, f->size);
	if (!err)
		err = machine_add_vcpus(r, &f->machine, nr);
	return err ? err : crew_make(nr, fault_part, f, &f->crew);
}

static int faults_setup(struct bench_run *r)
{
	struct faults *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	r->own = f;
	err = fill(r, f);
	if (!err)
		return 0;
	machine_close(&f->machine);
	free(f);
	return err;
}

static void faults_teardown(struct bench_run *r)
{
	struct faults *f = r->own;

	crew_unmake(f->crew);
	machine_close(&f->machine);
	free(f);
}

static int set_slot(struct faults *f, uint64_t size)
{
	struct kvm_userspace_memory_region2 args = {
		.slot = SLOT,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = MACHINE_DATA,
		.memory_size = size,
		.guest_memfd = (uint32_t)f->machine.slots[SLOT].gmem,
	};

	return (int)uapi_ioctl(f->machine.u, f->machine.vm, KVM_SET_USER_MEMORY_REGION2, &args);
}

/* No guest has a page in its tables; where they are to be absent, nobody has. */
static int forget(struct faults *f)
{
	int err;

	if (f->absent)
		return machine_punch(&f->machine, SLOT, 0, f->size);
	err = set_slot(f, 0);
	return err ? err : set_slot(f, f->size);
}

static int faults_round(struct bench_run *r)
{
	struct faults *f = r->own;
	int err = forget(f);

	r->done = r->param * NR_PAGES;
	if (err)
		return err;
	bench_start(r);
	crew_go(f->crew);
	err = crew_wait(f->crew);
	bench_stop(r);
	return machine_say(r, &f->machine, 0, err);
}

static const struct bench_ops faults_ops = { faults_setup, faults_round, faults_teardown };
static const uint64_t threads[] = { 1, 2, 4, 8, 0 };

#define CASE(name_, what_, absent_)                                                               \
	{                                                                                         \
		.name = "scale/faults/" name_, .what = what_, .unit = BENCH_RATE, .per = "fault", \
		.nr = NR_PAGES, .axis = threads, .axis_name = "vCPUs",                            \
		.goals = { { .stat = BENCH_SPEEDUP, .param = 8, .limit = 1 } },                   \
		.ways = { MACHINE_WAYS(faults_ops) }, .data = &(const bool){ absent_ },           \
	}

const struct bench_case bench_scale_fault_cases[] = {
	CASE("present", "private pages that are there, all vCPUs together", false),
	CASE("absent", "private pages that are not, all vCPUs together", true),
	{ 0 },
};
