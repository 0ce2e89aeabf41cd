/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * diff_test [streams [seed [first]]]
 *
 * Random streams on the soft CPU and on the host give equal registers, flags, memory and exceptions. A
 * failure prints the stream; with its number as the third argument it runs again alone.
 */
#include "diff.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct side {
	struct diff_state st;
	uint8_t data[DIFF_DATA_SIZE];
};

static uint8_t *const data = (uint8_t *)(uintptr_t)DIFF_DATA;
static uint8_t *const code = (uint8_t *)(uintptr_t)DIFF_CODE;

static void print_code(const struct diff_stream *s)
{
	ZydisDisassembledInstruction in;

	for (unsigned int at = 0; at < s->nr;) {
		unsigned int len = 1;

		if (ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, DIFF_CODE + at,
						       s->code + at, s->nr - at, &in)))
			len = in.info.length;
		else
			snprintf(in.text, sizeof(in.text), "(bad)");
		printf("  %llx ", DIFF_CODE + at);
		for (unsigned int n = 0; n < 12; n++)
			n < len ? printf("%02x", s->code[at + n]) : printf("  ");
		printf(" %s\n", in.text);
		at += len;
	}
}

static void differ(const char *what, int n, uint64_t before, uint64_t native, uint64_t soft)
{
	if (native != soft)
		printf("  %s %d: before %016lx host %016lx soft %016lx\n", what, n, before, native,
		       soft);
}

static void report(uint64_t seed, uint64_t number, const struct diff_stream *s,
		   const struct side *before, const struct side *native, const struct side *soft)
{
	printf("stream %lu of seed %lu:\n", number, seed);
	print_code(s);
	for (int n = 0; n < 16; n++)
		differ("gpr", n, before->st.gpr[n], native->st.gpr[n], soft->st.gpr[n]);
	for (int n = 0; n < 32; n++)
		differ("xmm", n / 2, before->st.xmm[n / 2].u64[n & 1],
		       native->st.xmm[n / 2].u64[n & 1], soft->st.xmm[n / 2].u64[n & 1]);
	differ("rflags", s->undefined, before->st.rflags, native->st.rflags, soft->st.rflags);
	differ("rip", 0, before->st.rip, native->st.rip, soft->st.rip);
	differ("mxcsr", 0, before->st.mxcsr, native->st.mxcsr, soft->st.mxcsr);
	differ("vector", 0, 0, native->st.vector, soft->st.vector);
	differ("error", 0, 0, native->st.error, soft->st.error);
	differ("cr2", 0, 0, native->st.cr2, soft->st.cr2);
	for (unsigned int n = 0; n < DIFF_DATA_SIZE; n++)
		differ("data", n, before->data[n], native->data[n], soft->data[n]);
}

/* What is undefined, or not a matter of the stream, becomes equal. */
static void mask(const struct diff_stream *s, struct diff_state *st)
{
	/* Linux says "present" of every address that is not for users. */
	if (st->cr2 >= 0x7ffffffff000)
		st->error |= 1;
	st->rflags &= DIFF_FLAGS & ~(uint64_t)s->undefined;
}

static void run_side(struct side *side, const struct side *before, void (*run)(struct diff_state *))
{
	memcpy(data, before->data, DIFF_DATA_SIZE);
	side->st = before->st;
	run(&side->st);
	memcpy(side->data, data, DIFF_DATA_SIZE);
}

static bool equal(uint64_t seed, uint64_t number)
{
	static struct side before, native, soft;
	struct diff_stream s;

	diff_make(&s, seed, number, &before.st, before.data);
	memcpy(code, s.code, s.nr);
	run_side(&native, &before, diff_native_run);
	run_side(&soft, &before, diff_soft_run);
	mask(&s, &native.st);
	mask(&s, &soft.st);
	if (!memcmp(&native, &soft, sizeof(native)))
		return true;
	report(seed, number, &s, &before, &native, &soft);
	return false;
}

int main(int argc, char **argv)
{
	uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	unsigned int failures = 0;
	uint64_t n;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %lu\n", seed);
	diff_soft_init();
	diff_native_init();
	for (n = first; n < first + streams && failures < 5; n++)
		failures += !equal(seed, n);
	printf("%lu streams, %u different\n", n - first, failures);
	return failures != 0;
}
