/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How fast guests compute: the loops of guest_loops.h, in one KVM_RUN a round; and two of them at the same time. */
#include "bench/crew.h"
#include "bench/guest_loops.h"
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIXED_INSNS (GUEST_MIXED_INSNS / GUEST_MIXED_ROUNDS)

/* What an operation of the case is: of a loop, or (no loop) of the mixed C. */
struct shape {
	const char *loop;
	enum { INSNS, ACCESSES, BYTES } counted;
};

struct loop {
	struct machine m;
	struct crew *crew; /* of a series */
	const struct guest_loop *loop;
	uint64_t turns;
};

static const struct shape *shape_of(const struct bench_run *r)
{
	return r->bcase->data;
}

static const struct guest_loop *find(const char *name)
{
	for (size_t i = 0; name && i < GUEST_NR_LOOPS; i++)
		if (strcmp(guest_loops[i].name, name) == 0)
			return &guest_loops[i];
	return NULL;
}

static uint64_t operations(const struct shape *s, const struct guest_loop *l)
{
	if (!l)
		return MIXED_INSNS;
	return s->counted == INSNS ? l->insns : s->counted == ACCESSES ? l->accesses : l->bytes;
}

static int run_vcpu(void *arg, unsigned int vcpu)
{
	const struct loop *l = arg;

	return machine_finish(&l->m, vcpu);
}

static int begin_vcpu(const struct loop *l, unsigned int vcpu)
{
	uint64_t scratch = machine_scratch(vcpu);
	struct kvm_regs regs = {
		.rip = GUEST_CODE_GPA,
		.rcx = l->turns,
		.rsi = scratch,
		.rdi = l->loop ? scratch + MACHINE_SCRATCH / 2 : l->turns,
	};

	return machine_begin_at(&l->m, vcpu, regs);
}

static int make(struct bench_run *r, struct loop *l)
{
	unsigned int nr = r->param ? (unsigned int)r->param : 1;
	int err;

	if ((long)nr > sysconf(_SC_NPROCESSORS_ONLN))
		return bench_refuse(r, -EOPNOTSUPP, "not enough processors");
	l->loop = find(shape_of(r)->loop);
	err = machine_add_vcpus(r, &l->m, nr);
	if (err)
		return err;
	if (l->loop)
		memcpy(l->m.ram + GUEST_CODE_GPA, l->loop->code, l->loop->size);
	else
		memcpy(l->m.ram + GUEST_CODE_GPA, guest_mixed, sizeof(guest_mixed));
	return r->param ? crew_make(nr, run_vcpu, l, &l->crew) : 0;
}

static int loop_setup(struct bench_run *r)
{
	struct loop *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	r->own = l;
	err = machine_open(r, &l->m, KVM_X86_DEFAULT_VM);
	if (!err)
		err = make(r, l);
	if (!err)
		return 0;
	machine_close(&l->m);
	free(l);
	return err;
}

static void loop_teardown(struct bench_run *r)
{
	struct loop *l = r->own;

	if (l->crew)
		crew_unmake(l->crew);
	machine_close(&l->m);
	free(l);
}

static int loop_round(struct bench_run *r)
{
	struct loop *l = r->own;
	uint64_t each = operations(shape_of(r), l->loop);
	int err = 0;

	l->turns = (r->nr + each - 1) / each;
	r->done = l->turns * each * l->m.nr_vcpus;
	for (unsigned int i = 0; !err && i < l->m.nr_vcpus; i++)
		err = begin_vcpu(l, i);
	if (err)
		return err;
	bench_start(r);
	if (l->crew) {
		crew_go(l->crew);
		err = crew_wait(l->crew);
	} else {
		err = run_vcpu(l, 0);
	}
	bench_stop(r);
	return machine_say(r, &l->m, 0, err);
}

static const struct bench_ops loop_ops = { loop_setup, loop_round, loop_teardown };

/* ---- cases -------------------------------------------------------------------------------------- */

#define M 1e6
#define TOGETHER \
	20000000 /* operations a round, so that it takes long beside the start of a thread */

static const uint64_t vcpus[] = { 1, 2, 0 };

#define CASE(name_, what_, per_, limit_, ...)                                            \
	{                                                                                \
		.name = "engine/" name_, .what = what_, .unit = BENCH_RATE, .per = per_, \
		.goals = { { .limit = limit_ } }, .ways = { MACHINE_WAYS(loop_ops) },    \
		.data = &(const struct shape){ __VA_ARGS__ },                            \
	}
#define TWO(name_, what_, per_, ...)                                                              \
	{                                                                                         \
		.name = "engine/two/" name_, .what = what_, .unit = BENCH_RATE, .per = per_,      \
		.nr = TOGETHER, .axis = vcpus, .axis_name = "vCPUs",                              \
		.goals = { { .stat = BENCH_SPEEDUP,                                               \
			     .limit = 1.8,                                                        \
			     .param = 2,                                                          \
			     .machine_idle = true } },                                            \
		.ways = { MACHINE_WAYS(loop_ops) }, .data = &(const struct shape){ __VA_ARGS__ }, \
	}

const struct bench_case bench_loop_cases[] = {
	CASE("tight", "dec, jnz", "insn", 400 * M, "tight", INSNS),
	CASE("alu", "eight instructions on registers", "insn", 0, "alu", INSNS),
	CASE("load-store", "a load and a store of 8 bytes a turn", "access", 100 * M, "load_store",
	     ACCESSES),
	CASE("mixed", "compiled C of many kinds", "insn", 150 * M, NULL, INSNS),
	CASE("call", "call and ret", "insn", 0, "call_ret", INSNS),
	CASE("lock", "lock inc", "access", 0, "lock_inc", ACCESSES),
	CASE("pages", "a load of another page each", "access", 0, "pages", ACCESSES),
	CASE("double", "addsd, mulsd", "insn", 0, "sse_double", INSNS),
	CASE("copy/sse", "movups, 16 bytes each", "byte", 0, "sse_copy", BYTES),
	CASE("copy/movsb", "rep movsb of 4 KiB", "byte", 0, "rep_movsb", BYTES),
	CASE("copy/movsq", "rep movsq of 4 KiB", "byte", 0, "rep_movsq", BYTES),
	CASE("copy/stosq", "rep stosq of 4 KiB", "byte", 0, "rep_stosq", BYTES),
	TWO("alu", "eight instructions on registers, by all vCPUs", "insn", "alu", INSNS),
	TWO("load-store", "loads and stores of 8 bytes, by all vCPUs", "access", "load_store",
	    ACCESSES),
	{ 0 },
};
