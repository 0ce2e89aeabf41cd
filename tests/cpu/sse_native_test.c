/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every SSE instruction, in every encoding, with random operands and MXCSR, on the soft CPU's handlers and on
 * the host: registers, flags, MXCSR, memory and exceptions must be equal. And none may be missing.
 *
 *	sse_native_test [rounds [seed]]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/soft/flags.h"
#include "cpu/soft/sse.h"
#include "native.h"
#include "sse_bench.h"
#include "sse_encodings.h"

#define MEMORY 256
#define OPERAND_AT 96

static uint64_t random_state = 88172645463325252ull;
static unsigned int rounds = 60;

static uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- operands: what floating point, strings and saturation find interesting --------------------- */

static uint32_t interesting32(void)
{
	static const uint32_t values[] = {
		0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0xffc00000, 0x7f800001, 0xff812345, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff,
		0xff7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x3f000000, 0x40200000, 0x33800000,
		0x00ff00ff, 0x80808080, 0x7fff8000, 0x00410061,
	};

	switch (rnd() % 4) {
	case 0:
		return (uint32_t)rnd();
	case 1: /* near one, so that arithmetic neither overflows nor vanishes */
		return (uint32_t)(rnd() & 0x807fffff) | (uint32_t)(120 + rnd() % 16) << 23;
	default:
		return values[rnd() % (sizeof(values) / sizeof(values[0]))];
	}
}

static uint64_t interesting64(void)
{
	static const uint64_t values[] = {
		0,
		1ull << 63,
		0x3ff0000000000000ull,
		0xbff0000000000000ull,
		0x7ff0000000000000ull,
		0xfff0000000000000ull,
		0x7ff8000000000000ull,
		0xfff8000000000000ull,
		0x7ff0000000000001ull,
		0xfff4000000001234ull,
		1,
		0x800fffffffffffffull,
		0x0010000000000000ull,
		0x7fefffffffffffffull,
		0x41dfffffffc00000ull,
		0x41e0000000000000ull,
		0x43e0000000000000ull,
		0xc3e0000000000000ull,
		0x3690000000000000ull,
		0x36a0000000000000ull,
		0x380fffffe0000000ull,
		0x47efffffe0000000ull,
		0x47efffffffffffffull,
		0x3fe0000000000000ull,
	};

	switch (rnd() % 4) {
	case 0:
		return interesting32() | (uint64_t)interesting32() << 32;
	case 1:
		return (rnd() & 0x800fffffffffffffull) | (1016 + rnd() % 16) << 52;
	case 2: /* letters, some zeros: strings that match */
		return rnd() & 0x0303030303030303ull;
	default:
		return values[rnd() % (sizeof(values) / sizeof(values[0]))];
	}
}

static uint32_t random_mxcsr(void)
{
	uint32_t mxcsr = (uint32_t)rnd() & 0xffff;

	if (rnd() % 4)
		mxcsr |= 0x1f80;
	return rnd() % 2 ? mxcsr : mxcsr & ~0x8040u;
}

/* ---- one comparison ----------------------------------------------------------------------------- */

struct run {
	const struct encoding *e;
	uint8_t bytes[16];
	unsigned int len;
	struct native before, native;
	uint8_t memory[MEMORY], native_memory[MEMORY];
};

/* What both work on. */
static uint8_t arena[MEMORY] __attribute__((aligned(64)));

static void random_state_for(struct run *r)
{
	unsigned int misaligned = rnd() % 8 ? 0 : rnd() % 16;

	for (unsigned int n = 0; n < 32; n++)
		r->before.xmm[n / 2].u64[n % 2] = interesting64();
	for (unsigned int n = 0; n < MEMORY / 8; n++)
		((uint64_t *)(void *)arena)[n] = interesting64();
	for (unsigned int n = 0; n < 16; n++)
		r->before.gpr[n] = rnd() % 4 ? interesting64() : rnd() % 40 - 20;
	r->before.gpr[CPU_RSI] = (uint64_t)(uintptr_t)(arena + OPERAND_AT + misaligned);
	r->before.gpr[CPU_RDI] = r->before.gpr[CPU_RSI];
	r->before.rflags = RFLAGS_ONE | RFLAGS_IF | (rnd() & RFLAGS_ARITH);
	r->before.mxcsr = random_mxcsr();
	/* A legal MXCSR to load, most of the time. */
	if (r->e->mnemonic == ZYDIS_MNEMONIC_LDMXCSR && rnd() % 4)
		memset(arena + OPERAND_AT + misaligned + 2, 0, 2);
	memcpy(r->memory, arena, MEMORY);
}

static void run_native(struct run *r)
{
	r->native = r->before;
	native_run(&r->native, r->bytes, r->len);
	memcpy(r->native_memory, arena, MEMORY);
	memcpy(arena, r->memory, MEMORY);
}

static void run_soft(struct run *r)
{
	struct cpu_state *s = &bench.c.state;

	memcpy(s->xmm, r->before.xmm, sizeof(s->xmm));
	memcpy(s->gpr, r->before.gpr, sizeof(s->gpr));
	s->rflags = r->before.rflags;
	s->mxcsr = r->before.mxcsr;
	bench.c.flag_op = FLAGS_DONE;
	bench_exec();
}

/*
 * With overflow or underflow unmasked, hardware tells by PE whether the result would be inexact if the
 * exponent had no limit. We say it always is: docs/deviations.md.
 */
static uint32_t undecided_flags(const struct run *r)
{
	uint32_t unmasked = ~(r->native.mxcsr >> 7) & 0x3f & (MXCSR_OE | MXCSR_UE);

	return r->native.vector == VEC_XM && (r->native.mxcsr & unmasked) ? MXCSR_PE : 0;
}

static const char *difference(struct run *r)
{
	const struct cpu_state *s = &bench.c.state;

	if (bench.vector != r->native.vector)
		return "exception";
	if ((s->mxcsr ^ r->native.mxcsr) & ~undecided_flags(r))
		return "MXCSR";
	if (memcmp(s->xmm, r->native.xmm, sizeof(s->xmm)) != 0)
		return "XMM registers";
	r->native.gpr[CPU_RSP] = s->gpr[CPU_RSP];
	if (memcmp(s->gpr, r->native.gpr, sizeof(s->gpr)) != 0)
		return "general registers";
	if ((s->rflags ^ r->native.rflags) & RFLAGS_ARITH)
		return "flags";
	if (memcmp(arena, r->native_memory, MEMORY) != 0)
		return "memory";
	return NULL;
}

static void print_difference(const struct run *r, const char *what)
{
	const struct cpu_state *s = &bench.c.state;

	fprintf(stderr, "%s: %s differs:", ZydisMnemonicGetString(r->e->mnemonic), what);
	for (unsigned int n = 0; n < r->len; n++)
		fprintf(stderr, " %02x", r->bytes[n]);
	fprintf(stderr,
		"\n  mxcsr %x: soft vector %d mxcsr %x rflags %lx, host vector %d mxcsr %x "
		"rflags %lx\n",
		r->before.mxcsr, bench.vector, s->mxcsr, s->rflags, r->native.vector,
		r->native.mxcsr, r->native.rflags);
	fprintf(stderr, "  memory %016lx %016lx\n",
		*(const uint64_t *)(const void *)(r->memory + OPERAND_AT + 8),
		*(const uint64_t *)(const void *)(r->memory + OPERAND_AT));
	for (unsigned int n = 0; n < 16; n++)
		fprintf(stderr, "  %2u: %016lx %016lx%s soft %016lx %016lx host %016lx %016lx\n", n,
			r->before.xmm[n].u64[1], r->before.xmm[n].u64[0],
			memcmp(&s->xmm[n], &r->native.xmm[n], 16) ? " !" : "  ", s->xmm[n].u64[1],
			s->xmm[n].u64[0], r->native.xmm[n].u64[1], r->native.xmm[n].u64[0]);
	for (unsigned int n = 0; n < 16; n++)
		if (s->gpr[n] != r->native.gpr[n])
			fprintf(stderr, "  gpr %u: %lx, soft %lx, host %lx\n", n, r->before.gpr[n],
				s->gpr[n], r->native.gpr[n]);
}

/* ---- the tests ---------------------------------------------------------------------------------- */

struct totals {
	unsigned long encodings, runs, exceptions, differences;
};

/* Their state is not only what struct native has, or they are not for programs. */
static bool can_run_here(const struct encoding *e)
{
	switch (e->isa_set) {
	case ZYDIS_ISA_SET_FXSAVE:
	case ZYDIS_ISA_SET_FXSAVE64:
	case ZYDIS_ISA_SET_XSAVE:
		return false;
	default:
		return !e->mmx;
	}
}

static struct choice random_choice(void)
{
	uint64_t bits = rnd(), tail = rnd();
	struct choice how = {
		.rm = bits & 7,
		.rex_r = bits >> 3 & 1,
		.rex_b = bits >> 4 & 1,
		.disp = (int8_t)((int)(bits >> 8 & 7) * 16 - 64),
	};

	memcpy(how.tail, &tail, sizeof(how.tail));
	return how;
}

static void compare_encoding(const struct encoding *e, void *arg)
{
	struct totals *t = arg;
	struct run r = { .e = e };
	bool any = false;

	if (!can_run_here(e))
		return;
	for (unsigned int n = 0; n < rounds; n++) {
		struct choice how = random_choice();
		const char *what;

		r.len = encode(e, &how, r.bytes);
		if (!r.len || !bench_decode(r.bytes, r.len))
			continue;
		random_state_for(&r);
		run_native(&r);
		run_soft(&r);
		any = true;
		t->runs++;
		t->exceptions += bench.vector != NO_VECTOR;
		what = difference(&r);
		if (what && t->differences++ < 10)
			print_difference(&r, what);
	}
	t->encodings += any;
}

static void test_every_instruction_does_what_the_host_does(void **state)
{
	struct totals t = { 0 };

	native_init();
	bench_reset();
	each_encoding(compare_encoding, &t);
	print_message("%lu encodings, %lu runs, %lu of them ended in an exception\n", t.encodings,
		      t.runs, t.exceptions);
	assert_int_equal(t.differences, 0);
	assert_true(t.encodings > 1000);
}

static void find_missing(const struct encoding *e, void *arg)
{
	static const struct choice none;
	unsigned int *missing = arg;
	uint8_t bytes[16];
	unsigned int len = encode(e, &none, bytes);

	if (!len || e->mmx || bench_decode(bytes, len))
		return;
	print_error("nobody implements %s, opcode %02x, %s\n", ZydisMnemonicGetString(e->mnemonic),
		    e->opcode, e->memory ? "memory" : "register");
	(*missing)++;
}

static void test_no_instruction_is_missing(void **state)
{
	unsigned int missing = 0;

	bench_reset();
	each_encoding(find_missing, &missing);
	assert_int_equal(missing, 0);
}

static void find_accepted(const struct encoding *e, void *arg)
{
	static const struct choice none;
	unsigned int *accepted = arg;
	uint8_t bytes[16];
	unsigned int len = encode(e, &none, bytes);

	if (!len || !e->mmx || !bench_decode(bytes, len))
		return;
	print_error("%s takes MMX registers\n", ZydisMnemonicGetString(e->mnemonic));
	(*accepted)++;
}

static void test_mmx_registers_are_refused(void **state)
{
	unsigned int accepted = 0;

	bench_reset();
	each_encoding(find_accepted, &accepted);
	assert_int_equal(accepted, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_instruction_is_missing),
		cmocka_unit_test(test_mmx_registers_are_refused),
		cmocka_unit_test(test_every_instruction_does_what_the_host_does),
	};

	if (argc > 1)
		rounds = (unsigned int)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		random_state += strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
