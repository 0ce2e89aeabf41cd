/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Random streams of SSE instructions on the whole soft CPU, in long mode with paging, and on the host: registers,
 * flags, MXCSR and memory must be equal at the end. The data lie at the same address on both sides,
 * around a page boundary that accesses without an alignment rule cross.
 *
 *	sse_stream_test [streams [seed]]
 */
#include <sys/mman.h>

#include "harness.h"
#include "native.h"
#include "sse_encodings.h"

#define STREAM_MAX 24
#define DATA_SIZE 0x2000
#define DATA_POINTER (GUEST_DATA + 0x1000)
#define WINDOW_AT 0xf00 /* what instructions can reach, and some more */
#define WINDOW_SIZE 0x200
#define ARITHMETIC_FLAGS 0x8d5u

static unsigned long streams = 20000;
static uint64_t random_number = 0x9e3779b97f4a7c15ull;

static uint64_t rnd(void)
{
	random_number ^= random_number << 13;
	random_number ^= random_number >> 7;
	random_number ^= random_number << 17;
	return random_number;
}

/* ---- instructions that need nothing prepared ---------------------------------------------------- */

static struct encoding encodings[16384];
static unsigned int nr_encodings;

static void keep(const struct encoding *e, void *arg)
{
	switch (e->isa_set) {
	case ZYDIS_ISA_SET_SSEMXCSR:
		if (e->mnemonic == ZYDIS_MNEMONIC_LDMXCSR)
			return;
		break;
	case ZYDIS_ISA_SET_FXSAVE:
	case ZYDIS_ISA_SET_FXSAVE64:
	case ZYDIS_ISA_SET_XSAVE:
		return;
	default:
		break;
	}
	if (!e->mmx && nr_encodings < sizeof(encodings) / sizeof(encodings[0]))
		encodings[nr_encodings++] = *e;
}

static bool may_be_misaligned(const struct encoding *e)
{
	switch (e->mnemonic) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_MOVSS:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_MOVD:
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_MOVHPS:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_PINSRQ:
	case ZYDIS_MNEMONIC_PEXTRQ:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_CVTTSD2SI:
		return true;
	default:
		return false;
	}
}

static unsigned int random_insn(uint8_t bytes[16])
{
	for (;;) {
		const struct encoding *e = &encodings[rnd() % nr_encodings];
		uint64_t bits = rnd(), tail = rnd();
		struct choice how = {
			.rm = bits & 7,
			.rex_r = bits >> 3 & 1,
			.rex_b = bits >> 4 & 1,
			.disp = (int8_t)(bits >> 8),
		};
		unsigned int len;

		if (!may_be_misaligned(e))
			how.disp &= ~15;
		memcpy(how.tail, &tail, sizeof(how.tail));
		len = encode_keeping_pointers(e, &how, bytes);
		if (len)
			return len;
	}
}

/* ---- a stream ----------------------------------------------------------------------------------- */

struct stream {
	uint8_t code[STREAM_MAX * 15 + 1];
	unsigned int len;
	struct native state;
	uint8_t data[WINDOW_SIZE];
};

static void make_stream(struct stream *s)
{
	unsigned int nr = 1 + (unsigned int)(rnd() % STREAM_MAX);

	s->len = 0;
	while (nr--) {
		uint8_t bytes[16];
		unsigned int len = random_insn(bytes);

		memcpy(s->code + s->len, bytes, len);
		s->len += len;
	}
	for (unsigned int n = 0; n < 32; n++)
		s->state.xmm[n / 2].u64[n % 2] = rnd();
	for (unsigned int n = 0; n < 16; n++)
		s->state.gpr[n] = rnd();
	for (unsigned int n = 0; n < WINDOW_SIZE; n++)
		s->data[n] = (uint8_t)rnd();
	s->state.gpr[CPU_RSI] = s->state.gpr[CPU_RDI] = DATA_POINTER;
	s->state.rflags = 0x202 | (rnd() & ARITHMETIC_FLAGS);
	s->state.mxcsr = 0x1f80 | (rnd() & 0xe07f);
}

/* What is around the pointer, DF is clear; MASKMOVDQU writes at the pointer itself. */
static void run_soft(struct guest *g, const struct stream *s)
{
	memcpy(g->ram + GUEST_DATA + WINDOW_AT, s->data, WINDOW_SIZE);
	guest_code(g, s->code, s->len);
	guest_put(g, GUEST_CODE + s->len, "\xf4", 1);
	memcpy(g->s->xmm, s->state.xmm, sizeof(g->s->xmm));
	memcpy(g->s->gpr, s->state.gpr, sizeof(g->s->gpr));
	g->s->gpr[CPU_RSP] = GUEST_STACK;
	g->s->rflags = s->state.rflags;
	g->s->mxcsr = s->state.mxcsr;
	g->s->rip = GUEST_CODE;
	g->s->halted = false;
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_HLT);
}

static const char *difference(const struct guest *g, const struct native *n)
{
	if (memcmp(g->s->xmm, n->xmm, sizeof(n->xmm)) != 0)
		return "XMM registers";
	for (unsigned int reg = 0; reg < 16; reg++)
		if (reg != CPU_RSP && g->s->gpr[reg] != n->gpr[reg])
			return "general registers";
	if ((g->s->rflags ^ n->rflags) & ARITHMETIC_FLAGS)
		return "flags";
	if (g->s->mxcsr != n->mxcsr)
		return "MXCSR";
	if (memcmp(g->ram + GUEST_DATA, (const void *)(uintptr_t)GUEST_DATA, DATA_SIZE) != 0)
		return "memory";
	return NULL;
}

static void print_stream(const struct stream *s, const char *what)
{
	print_error("%s differ after:", what);
	for (unsigned int n = 0; n < s->len; n++)
		print_error(" %02x", s->code[n]);
	print_error("\n");
}

static void compare_stream(struct guest *g)
{
	struct native native;
	struct stream s = { 0 };
	const char *what;

	make_stream(&s);
	native = s.state;
	memcpy((void *)(uintptr_t)(GUEST_DATA + WINDOW_AT), s.data, WINDOW_SIZE);
	native_run(&native, s.code, s.len);
	assert_int_equal(native.vector, -1);
	run_soft(g, &s);
	what = difference(g, &native);
	if (what)
		print_stream(&s, what);
	assert_null(what);
}

static void test_streams_do_what_they_do_on_the_host(void **state)
{
	void *data = mmap((void *)(uintptr_t)GUEST_DATA, DATA_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct guest g;

	if (data != (void *)(uintptr_t)GUEST_DATA)
		skip();
	guest_make(&g, GUEST_LONG);
	native_init();
	each_encoding(keep, NULL);
	assert_true(nr_encodings > 5000);
	for (unsigned long n = 0; n < streams; n++)
		compare_stream(&g);
	guest_unmake(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_do_what_they_do_on_the_host),
	};

	if (argc > 1)
		streams = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		random_number += strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
