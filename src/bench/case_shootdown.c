/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A page is taken from guests that write to it all the time. Each call is a value, so that the slow ones are seen; before
 * the next one every guest has written to the page again.
 */
#include "bench/crew.h"
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NR_CALLS 200
#define NR_CONTENDED \
	20 /* where guests take turns, a call waits for a whole turn of the scheduler */

struct shape {
	unsigned int nr_vcpus;
	bool by_unmap; /* the program drops its own memory, instead of a change of attributes */
};

struct shootdown {
	struct machine m;
	struct crew *crew;
	bool pinned;
	bool is_private;
};

static const struct shape *shape_of(const struct bench_run *r)
{
	return r->bcase->data;
}

/* The converter has the first processor, the vCPUs share the others. A machine that does not allow it goes without. */
static void pin(unsigned int who)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(who ? 1 + (who - 1) % (unsigned int)(nr - 1) : 0, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void unpin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
		CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* stop[0] and stop[1] of GUEST_WRITE_UNTIL. */
static _Atomic uint64_t *words_of(const struct machine *m, unsigned int vcpu)
{
	return (_Atomic uint64_t *)(m->ram + machine_scratch(vcpu));
}

static int run_vcpu(void *arg, unsigned int vcpu)
{
	const struct shootdown *s = arg;

	pin(1 + vcpu);
	return machine_finish(&s->m, vcpu);
}

static int make(struct bench_run *r, struct shootdown *s)
{
	unsigned int nr = shape_of(r)->nr_vcpus;
	int err;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return bench_refuse(r, -EOPNOTSUPP, "not enough processors");
	err = machine_add_slot(r, &s->m, 1, MACHINE_DATA, BENCH_2M,
			       MACHINE_HVA | (shape_of(r)->by_unmap ? 0 : MACHINE_GMEM));
	if (!err)
		err = machine_add_vcpus(r, &s->m, nr);
	return err ? err : crew_make(nr, run_vcpu, s, &s->crew);
}

static int shootdown_setup(struct bench_run *r)
{
	struct shootdown *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	r->own = s;
	err = machine_open(r, &s->m,
			   shape_of(r)->by_unmap ? KVM_X86_DEFAULT_VM : KVM_X86_SW_PROTECTED_VM);
	if (!err)
		err = make(r, s);
	if (!err)
		return 0;
	machine_close(&s->m);
	free(s);
	return err;
}

static void shootdown_teardown(struct bench_run *r)
{
	struct shootdown *s = r->own;

	crew_unmake(s->crew);
	machine_close(&s->m);
	free(s);
}

/* Each guest has written twice: once at least since now. A guest that has ended does not; who asks then is told by the
 * crew. */
static bool wait_for_writes(const struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_vcpus; i++) {
		const _Atomic uint64_t *count = &words_of(m, i)[1];
		uint64_t seen = atomic_load(count), began = bench_clock();

		while (atomic_load(count) - seen < 2)
			if (bench_clock() - began > 1000000000)
				return false;
	}
	return true;
}

static int take_page(struct bench_run *r)
{
	struct shootdown *s = r->own;

	if (shape_of(r)->by_unmap)
		return s->m.u->madvise(s->m.slots[1].hva, BENCH_PAGE, MADV_DONTNEED);
	s->is_private = !s->is_private;
	return machine_set_private(&s->m, MACHINE_DATA, BENCH_PAGE, s->is_private);
}

static int take_often(struct bench_run *r)
{
	struct shootdown *s = r->own;
	int err = 0;

	for (uint64_t i = 0; !err && i < r->nr; i++) {
		uint64_t start;

		if (!wait_for_writes(&s->m))
			return -ETIMEDOUT;
		start = bench_clock();
		err = take_page(r);
		bench_value(r, (double)(bench_clock() - start));
	}
	return err;
}

static int shootdown_round(struct bench_run *r)
{
	struct shootdown *s = r->own;
	int err = 0, end;

	pin(0);
	for (unsigned int i = 0; !err && i < s->m.nr_vcpus; i++) {
		atomic_store(&words_of(&s->m, i)[0], 0);
		err = machine_begin(&s->m, i, GUEST_WRITE_UNTIL, MACHINE_DATA, machine_scratch(i),
				    0);
	}
	if (err)
		return err;
	bench_start(r);
	crew_go(s->crew);
	err = take_often(r);
	bench_stop(r);
	for (unsigned int i = 0; i < s->m.nr_vcpus; i++)
		atomic_store(&words_of(&s->m, i)[0], 1);
	end = crew_wait(s->crew);
	unpin();
	return err ? err : machine_say(r, &s->m, 0, end);
}

static const struct bench_ops shootdown_ops = { shootdown_setup, shootdown_round,
						shootdown_teardown };

#define US 1000.0
#define NO_GOAL           \
	{                 \
		{         \
			0 \
		}         \
	}
#define CASE(name_, what_, nr_, goals_, ...)                                                       \
	{                                                                                          \
		.name = "shootdown/" name_, .what = what_, .unit = BENCH_TIME, .per = "call",      \
		.nr = nr_, .slow = true, .goals = goals_, .ways = { MACHINE_WAYS(shootdown_ops) }, \
		.data = &(const struct shape){ __VA_ARGS__ },                                      \
	}
#define QUICK                                                                     \
	{                                                                         \
		{ .limit = 3 * US, .machine_idle = true },                        \
		{                                                                 \
			.stat = BENCH_P99, .limit = 50 * US, .machine_idle = true \
		}                                                                 \
	}

const struct bench_case bench_shootdown_cases[] = {
	CASE("one", "a page changes sides under a guest that writes to it", NR_CALLS, QUICK,
	     .nr_vcpus = 1),
	CASE("two", "the same under two guests, on a processor less than threads", NR_CONTENDED,
	     NO_GOAL, .nr_vcpus = 2),
	CASE("unmap", "the program drops a page of its own under a guest that writes to it",
	     NR_CALLS, NO_GOAL, .nr_vcpus = 1, .by_unmap = true),
	{ 0 },
};
