/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * random_test [seconds [seed]]
 *
 * Guest code of random bytes, in every mode, with random registers, segments and control registers: it ends
 * only in exits that an owner can go on from, in SHUTDOWN, or in a spent budget. Never in a crash, a hang, or
 * an exit whose contents make no sense.
 */
#include "harness.h"

#include <time.h>

#define BUDGET 2000u

static uint64_t state;

static uint64_t rnd(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t value(void)
{
	switch (rnd() % 4) {
	case 0:
		return rnd() % GUEST_RAM;
	case 1:
		return GUEST_DATA + rnd() % 0x3000;
	case 2:
		return rnd() >> rnd() % 64;
	default:
		return (int8_t)rnd();
	}
}

/* Bytes that lead somewhere: opcodes of two bytes, prefixes and ModRM bytes more often than by chance. */
static void make_code(struct guest *g)
{
	uint8_t *code = g->ram + GUEST_CODE;

	for (unsigned int n = 0; n < 4096; n++) {
		switch (rnd() % 12) {
		case 0:
			code[n] = 0x0f;
			break;
		case 1:
			code[n] = 0x40 + rnd() % 16;
			break;
		case 2:
			code[n] =
				(const uint8_t[]){ 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e }[rnd() % 6];
			break;
		default:
			code[n] = rnd();
		}
	}
}

static void make_state(struct guest *g, enum guest_mode mode)
{
	static const uint64_t cr4_bits = 0x10 | 0x80 | 0x600 | 1u << 20 | 1u << 21 | 1u << 16;

	guest_start(g, mode);
	for (int n = 0; n < 16; n++)
		g->s->gpr[n] = value();
	g->s->gpr[CPU_RSP] = rnd() % 8 ? GUEST_STACK - rnd() % 64 * 8 : value();
	g->s->rflags = 2 | (rnd() & 0x40ed5);
	g->s->cr4 |= rnd() & cr4_bits;
	g->s->cr0 |= rnd() & (1u << 16 | 1u << 18);
	if (rnd() % 4)
		guest_handlers(g);
	if (mode != GUEST_REAL && rnd() % 4 == 0)
		for (int n = 0; n < CPU_NR_SEGS; n++)
			g->s->seg[n].dpl = 3;
	if (rnd() % 8 == 0)
		g->s->interrupt = (struct cpu_event){ .pending = true, .vector = rnd() };
	cpu_soft_ops.set_debug(g->cpu, rnd() % 64 == 0, rnd() % 64 == 0, NULL, 0);
	guest_changed(g);
}

static void check_exit(const struct guest *g)
{
	const struct cpu_exit *e = &g->exit;

	switch (e->reason) {
	case CPU_EXIT_IO:
		assert_true(e->io.size == 1 || e->io.size == 2 || e->io.size == 4);
		assert_true(e->io.count >= 1 && e->io.count * e->io.size <= sizeof(e->io.data));
		break;
	case CPU_EXIT_MMIO:
		assert_true(e->mmio.len >= 1 && e->mmio.len <= 8);
		break;
	case CPU_EXIT_KICK:
	case CPU_EXIT_HYPERCALL:
	case CPU_EXIT_HLT:
	case CPU_EXIT_SHUTDOWN:
	case CPU_EXIT_EMULATION:
	case CPU_EXIT_DELIVERY:
	case CPU_EXIT_DEBUG:
		break;
	default:
		fail_msg("exit %d", e->reason);
	}
}

/* Goes on until something that an owner stops at. */
static void run(struct guest *g)
{
	uint8_t answer[4096];

	for (int n = 0; n < 40; n++) {
		guest_run(g, BUDGET);
		check_exit(g);
		switch (g->exit.reason) {
		case CPU_EXIT_IO:
		case CPU_EXIT_MMIO:
		case CPU_EXIT_HYPERCALL:
			for (unsigned int k = 0; k < sizeof(answer); k += 8)
				memcpy(answer + k, &(uint64_t){ rnd() }, 8);
			guest_complete(g, rnd() % 8 ? answer : NULL);
			break;
		case CPU_EXIT_HLT:
		case CPU_EXIT_DEBUG:
			break;
		default:
			return;
		}
	}
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 10;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL), rounds = 0;
	time_t end = time(NULL) + (time_t)seconds;
	struct guest g;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %lu\n", seed);
	guest_make(&g, GUEST_LONG);
	while (time(NULL) < end) {
		enum guest_mode mode = rounds % 3;

		if (rounds % 50 == 0) {
			guest_unmake(&g);
			guest_make(&g, mode);
		}
		state = seed + rounds * 1000003;
		make_code(&g);
		make_state(&g, mode);
		run(&g);
		rounds++;
	}
	guest_unmake(&g);
	printf("%lu guests\n", rounds);
	return 0;
}
