/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * KVM_SET_USER_MEMORY_REGION2 with every combination of numbers at an edge and one page before and behind: of address
 * and size with each address of the program, and with each offset in the file, beside a slot that is there already. What
 * the answer must be the fuzzer's target says (tests/fuzz/libfuzzer/slots.c), whose programs these are.
 */
#include "target.h"

#define NR_EDGES 18
#define NR_NUMBERS (3 * NR_EDGES + 3)
#define CASES_A_PROGRAM 11

static uint8_t program[1024];
static size_t at;
static unsigned int nr_cases;
static uint64_t nr_done;

static void put(uint8_t byte)
{
	must(at < sizeof(program));
	program[at++] = byte;
}

/* The edge, or the page before, or the one behind; the last is the end of guest physical addresses. */
static void put_number(unsigned int n)
{
	static const uint8_t beside[] = { 0, 1, 0xff };

	if (n >= 3 * NR_EDGES) {
		put(0);
		put(4);
		put(beside[n - 3 * NR_EDGES]);
		return;
	}
	put((uint8_t)(n % NR_EDGES));
	put(n < NR_EDGES ? 5 : 2);
	if (n >= NR_EDGES)
		put(beside[n / NR_EDGES]);
}

static void put_region(uint8_t slot, uint8_t flags, unsigned int gpa, unsigned int size,
		       unsigned int hva, unsigned int offset)
{
	put(2);
	put(slot);
	put(flags);
	put_number(gpa);
	put_number(size);
	put_number(hva);
	put_number(offset);
	put(0);
}

static void run_program(void)
{
	if (nr_cases)
		target(program, at);
	nr_done += nr_cases;
	at = 0;
	nr_cases = 0;
}

static void try_case(uint8_t vm, uint8_t flags, unsigned int gpa, unsigned int size,
		     unsigned int hva, unsigned int offset)
{
	if (!nr_cases) {
		put(vm);
		/* Two pages at 2 MiB: of the file from its second page on, or of nothing. */
		put_region(1, flags, 3, NR_EDGES + 1, 3, 1);
	}
	put_region(0, flags, gpa, size, hva, offset);
	put_region(0, 0, 0, 0, 0, 0);
	if (++nr_cases == CASES_A_PROGRAM)
		run_program();
}

int main(void)
{
	for (unsigned int vm = 0; vm < 2; vm++) {
		for (unsigned int n = 0; n < NR_NUMBERS * NR_NUMBERS; n++)
			for (unsigned int hva = 0; hva < NR_NUMBERS; hva++)
				try_case((uint8_t)vm, 0, n / NR_NUMBERS, n % NR_NUMBERS, hva, 0);
		run_program();
		for (unsigned int n = 0; n < NR_NUMBERS * NR_NUMBERS; n++)
			for (unsigned int gpa = 0; gpa < NR_NUMBERS; gpa++)
				try_case((uint8_t)vm, 4, gpa, n / NR_NUMBERS, 0, n % NR_NUMBERS);
		run_program();
	}
	printf("%lu slots tried\n", nr_done);
	return 0;
}
