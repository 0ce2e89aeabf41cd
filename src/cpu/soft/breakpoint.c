/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Instruction breakpoints. */
#include "cpu/soft/breakpoint.h"
#include "cpu/soft/sys.h"

#define NR_BREAKPOINTS 4

/* DR7 has two enable bits for each from bit 0 on, and four bits of kind from bit 16 on: 0 for code. */
static uint64_t hits(const struct soft *c, const uint64_t dr[NR_BREAKPOINTS], uint64_t dr7)
{
	uint64_t lin = c->state.rip, found = 0;
	unsigned int n;

	if (c->mode != 8)
		lin = (uint32_t)(lin + c->state.seg[CPU_CS].base);
	for (n = 0; n < NR_BREAKPOINTS; n++)
		if ((dr7 >> n * 2 & 3) && !(dr7 >> (16 + n * 4) & 15) && dr[n] == lin)
			found |= 1ull << n;
	return found;
}

/* RF lets the instruction pass that the handler returns to. */
static bool quiet(const struct soft *c)
{
	return c->state.rflags & RFLAGS_RF;
}

bool breakpoint_for_owner(struct soft *c)
{
	uint64_t found = hits(c, c->debug_dr, c->debug_dr7);

	if (!found || quiet(c))
		return false;
	c->exit->reason = CPU_EXIT_DEBUG;
	c->exit->debug.exception = VEC_DB;
	c->exit->debug.pc = c->state.rip;
	c->exit->debug.dr6 = DR6_FIXED | found;
	c->exit->debug.dr7 = c->debug_dr7;
	return true;
}

bool breakpoint_for_guest(struct soft *c)
{
	uint64_t found = hits(c, c->state.dr, c->state.dr7);

	if (!found || quiet(c))
		return false;
	c->state.dr6 = (c->state.dr6 & ~15ull) | found;
	c->state.exception = (struct cpu_event){ .pending = true, .vector = VEC_DB };
	return true;
}
