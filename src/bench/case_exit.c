/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Out of the guest and in again: a KVM_RUN is an operation. */
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <stdlib.h>

#define DATA_SIZE BENCH_2M

enum kind { OUT, HLT, MEMORY_FAULT, CONVERT };

static enum kind kind_of(const struct bench_run *r)
{
	return *(const enum kind *)r->bcase->data;
}

static int exit_setup(struct bench_run *r)
{
	bool has_private = kind_of(r) >= MEMORY_FAULT;
	struct machine *m = malloc(sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	r->own = m;
	err = machine_open(r, m, has_private ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM);
	if (!err)
		err = machine_add_slot(r, m, 1, MACHINE_DATA, DATA_SIZE, MACHINE_HVA);
	if (!err)
		err = machine_add_vcpus(r, m, 1);
	if (!err)
		return 0;
	machine_teardown(r);
	return err;
}

static int prepare(struct bench_run *r)
{
	bool has_private = kind_of(r) >= MEMORY_FAULT;
	int err;

	/* Private without a guest_memfd to take it from. */
	if (has_private) {
		err = machine_set_private(r->own, MACHINE_DATA, DATA_SIZE, true);
		if (err)
			return err;
	}
	switch (kind_of(r)) {
	case OUT:
		return machine_begin(r->own, 0, GUEST_OUT, r->done + 1, 0, 0);
	case HLT:
		return machine_begin(r->own, 0, GUEST_EXIT, 0, 0, 0);
	case MEMORY_FAULT:
	case CONVERT:
	default:
		return machine_begin(r->own, 0, GUEST_WRITE, MACHINE_DATA, r->done + 1, BENCH_PAGE);
	}
}

/* What a VMM does: the page becomes what the guest took it for. */
static int convert(const struct machine *m)
{
	const struct kvm_run *run = m->vcpus[0].run;

	return machine_set_private(m, run->memory_fault.gpa & ~(BENCH_PAGE - 1),
				   run->memory_fault.size, false);
}

static int run_once(const struct machine *m, enum kind kind)
{
	static const uint32_t reasons[] = { [OUT] = KVM_EXIT_IO,
					    [HLT] = KVM_EXIT_HLT,
					    [MEMORY_FAULT] = KVM_EXIT_MEMORY_FAULT,
					    [CONVERT] = KVM_EXIT_MEMORY_FAULT };
	int err = machine_run(m, 0);

	if (kind >= MEMORY_FAULT && err == -EFAULT)
		err = 0;
	if (!err && m->vcpus[0].run->exit_reason != reasons[kind])
		err = -EPROTO;
	return err || kind != CONVERT ? err : convert(m);
}

static int exit_round(struct bench_run *r)
{
	enum kind kind = kind_of(r);
	int err;

	r->done = r->nr;
	if (kind == CONVERT && r->done > DATA_SIZE / BENCH_PAGE - 1)
		r->done = DATA_SIZE / BENCH_PAGE - 1;
	err = prepare(r);
	bench_start(r);
	for (uint64_t i = 0; !err && i < r->done; i++)
		err = run_once(r->own, kind);
	bench_stop(r);
	return machine_say(r, r->own, 0, err);
}

static const struct bench_ops exit_ops = { exit_setup, exit_round, machine_teardown };

#define CASE(name_, what_, kind_, limit_)                                                \
	{                                                                                \
		.name = "exit/" name_, .what = what_, .unit = BENCH_TIME, .per = "exit", \
		.goals = { { .limit = limit_ } }, .ways = { MACHINE_WAYS(exit_ops) },    \
		.data = &(const enum kind){ kind_ },                                     \
	}

const struct bench_case bench_exit_cases[] = {
	CASE("out", "OUT, to the program and back", OUT, 300),
	CASE("hlt", "HLT, to the program and back", HLT, 0),
	CASE("memory-fault", "a write that ends in a memory-fault exit, again and again",
	     MEMORY_FAULT, 500),
	CASE("memory-fault/convert", "the same, and the program makes the page shared each time",
	     CONVERT, 0),
	{ 0 },
};
