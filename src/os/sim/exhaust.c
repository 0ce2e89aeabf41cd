/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every schedule with at most so many preemptions, depth first. A node is a choice with alternatives; the next
 * schedule takes the last node that has one left, with all before it as they were:
 *
 *	1st:  a0 b0 c0 d0	2nd:  a0 b0 c0 d1	then  a0 b0 c1 e0 ...
 *
 * Whoever must wait, or yields, leaves the choice of the next fibre free. A preemption, and a store that is held
 * back, costs one of the bound. Other fibres are let in only where it can matter: before an access to a location that
 * several fibres use and one changes, or to a lock; which those are is learned on the way, first in schedules
 * of chance, and locations that turn out late are counted.
 */
#include <stdlib.h>
#include <string.h>

#include "os/sim/sim_private.h"

#define MAX_NODES (1u << 16)
#define NR_LOCATIONS (1u << 16)
#define LEARN_RUNS 64

struct node {
	uint32_t left; /* values not yet taken */
	uint8_t value, cost, by_default;
};

struct location {
	const volatile void *addr;
	uint32_t readers, writers;
};

static struct node *nodes;
static struct location *locations;
static unsigned int nr_nodes, at, bound, spent, learning;
static uint64_t late;

void sim_exhaust_start(unsigned int preemptions)
{
	free(nodes);
	free(locations);
	nodes = calloc(MAX_NODES, sizeof(*nodes));
	locations = calloc(NR_LOCATIONS, sizeof(*locations));
	if (!nodes || !locations)
		sim_fail("no memory for the search");
	nr_nodes = 0;
	bound = preemptions;
	late = 0;
	learning = LEARN_RUNS;
}

uint64_t sim_exhaust_late(void)
{
	return late;
}

bool sim_exhaust_next(void)
{
	if (learning) {
		learning--;
		return true;
	}
	while (nr_nodes && !nodes[nr_nodes - 1].left)
		nr_nodes--;
	if (!nr_nodes)
		return false;
	nodes[nr_nodes - 1].value = (uint8_t)__builtin_ctz(nodes[nr_nodes - 1].left);
	nodes[nr_nodes - 1].left &= nodes[nr_nodes - 1].left - 1;
	return true;
}

/* ---- what is shared -------------------------------------------------------------------------- */

static struct location *location_of(const volatile void *addr)
{
	uint64_t hash = ((uintptr_t)addr >> 2) * 0x9e3779b97f4a7c15ull;
	unsigned int i = (unsigned int)(hash >> 48), tries;

	for (tries = 0; tries < 64; tries++, i = (i + 1) % NR_LOCATIONS)
		if (locations[i].addr == addr || !locations[i].addr) {
			locations[i].addr = addr;
			return &locations[i];
		}
	return NULL;
}

static bool is_shared(const struct location *l)
{
	return l->writers && ((l->readers | l->writers) & ((l->readers | l->writers) - 1));
}

/* Guest memory is one location a page: what matters is whether it may be touched. */
static bool matters(const struct sim_op *op)
{
	const volatile void *addr = op->addr;
	struct location *l;
	bool was;

	if (op->kind >= SIM_LOCK || !addr)
		return op->kind != SIM_FENCE && op->kind != SIM_YIELD;
	if (op->kind == SIM_GUEST_LOAD || op->kind == SIM_GUEST_STORE)
		return true;
	l = location_of(addr);
	if (!l)
		return true;
	was = is_shared(l);
	if (op->kind == SIM_LOAD)
		l->readers |= 1u << sim.self->index;
	else
		l->writers |= 1u << sim.self->index;
	if (!was && is_shared(l) && !learning)
		late++;
	return is_shared(l);
}

/* ---- the policy ------------------------------------------------------------------------------ */

static void begin(uint64_t seed)
{
	at = 0;
	spent = 0;
	if (learning)
		sim_policy_random.begin(seed);
}

static unsigned int take(const struct node *n)
{
	at++;
	if (n->value != n->by_default)
		spent += n->cost;
	return n->value;
}

static unsigned int branch(unsigned int by_default, uint32_t mask, unsigned int cost)
{
	mask &= ~(1u << by_default);
	if (!mask)
		return by_default;
	if (at < nr_nodes)
		return take(&nodes[at]);
	if (nr_nodes == MAX_NODES)
		sim_fail("too many choices: %u in one schedule", MAX_NODES);
	nodes[nr_nodes++] = (struct node){ .left = mask,
					   .value = (uint8_t)by_default,
					   .cost = (uint8_t)cost,
					   .by_default = (uint8_t)by_default };
	return take(&nodes[nr_nodes - 1]);
}

static unsigned int decide(enum sim_choice_kind kind, unsigned int by_default, uint32_t mask,
			   bool may_stay)
{
	bool can_pay = spent < bound;

	if (learning) {
		matters(&sim.self->op);
		return sim_policy_random.decide(kind, by_default, mask, may_stay);
	}
	switch (kind) {
	case SIM_GO:
		if (!may_stay)
			return branch(by_default, mask, 0);
		if (!matters(&sim.self->op) || !can_pay)
			return by_default;
		return branch(by_default, mask, 1);
	case SIM_HOLD:
		return can_pay && matters(&sim.self->op) ? branch(0, mask, 1) : 0;
	case SIM_PICK:
		return branch(by_default, mask, 0);
	default:
		return by_default;
	}
}

const struct sim_policy sim_policy_exhaustive = {
	.name = "exhaustive",
	.begin = begin,
	.decide = decide,
};
