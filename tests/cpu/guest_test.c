/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Runs one guest of guests/ from the reset vector on and compares what it logged with what its
 * image says it expects: every exception with its frame, and every result. Usage: test IMAGE.
 */
#include "harness.h"

#include "cpu/soft/soft.h"

#define IMAGE_GPA 0xf0000u
#define IMAGE_SIZE 0x10000u
#define LOG 0x1000u
#define NO_ERROR 0xeeee
#define FINISHED 0x600d

struct header {
	uint64_t expect, expect_end, want, want_end;
};

struct expected {
	uint64_t rip, vector, error, cs, cr2;
};

struct logged {
	uint64_t rip, vector, error, cs, flags, rsp, ss, cr2;
};

static const char *image_path;

static void load_image(struct guest *g)
{
	FILE *f = fopen(image_path, "rb");

	assert_non_null(f);
	assert_int_equal(fread(g->ram + IMAGE_GPA, 1, IMAGE_SIZE, f), IMAGE_SIZE);
	fclose(f);
}

/* The image is seen below 4 GiB as well, where the first instruction is. */
static void start(struct guest *g)
{
	struct cpu_cpuid cpuid[64];
	struct memslot alias = { .id = 1, .gfn = 0xffff0, .nr_pages = IMAGE_SIZE >> 12 };
	unsigned int nr = cpu_soft_supported_cpuid(cpuid, 64);

	guest_make(g, GUEST_REAL);
	memset(g->ram, 0, IMAGE_GPA);
	load_image(g);
	alias.hva = (uint64_t)(uintptr_t)g->ram + IMAGE_GPA;
	assert_int_equal(memslot_create(g->mmu, &alias, false), 0);
	soft_reset((struct soft *)g->cpu);
	guest_changed(g);
	assert_int_equal(cpu_soft_ops.set_cpuid(g->cpu, cpuid, nr), 0);
}

/* OUT to 0x40: an interrupt becomes pending; to 0x42: an NMI. IN gives zero. */
static void port_io(struct guest *g)
{
	static const uint8_t zero[8];

	if (!g->exit.io.in && g->exit.io.port == 0x40)
		g->s->interrupt = (struct cpu_event){ .pending = true, .vector = 0x40 };
	if (!g->exit.io.in && g->exit.io.port == 0x42)
		g->s->nmi_pending = true;
	guest_changed(g);
	guest_complete(g, g->exit.io.in ? zero : NULL);
}

static void run(struct guest *g)
{
	while (guest_run(g, 10000000) == CPU_EXIT_IO)
		port_io(g);
	if (g->exit.reason != CPU_EXIT_HLT)
		fail_msg("exit %d at %#lx, %lu events logged", g->exit.reason,
			 (unsigned long)g->s->rip, (unsigned long)guest_read(g, LOG, 8));
	if (g->s->gpr[CPU_RAX] != FINISHED)
		print_error("halted at %#lx\n", (unsigned long)g->s->rip);
}

static unsigned int differs(const struct expected *e, const struct logged *l)
{
	if (e->rip == l->rip && e->vector == l->vector && e->error == l->error && e->cs == l->cs &&
	    (!e->cr2 || e->cr2 == l->cr2))
		return 0;
	print_error("expected rip %#lx vector %lu error %#lx cs %#lx cr2 %#lx\n"
		    "    have rip %#lx vector %lu error %#lx cs %#lx cr2 %#lx\n",
		    (unsigned long)e->rip, (unsigned long)e->vector, (unsigned long)e->error,
		    (unsigned long)e->cs, (unsigned long)e->cr2, (unsigned long)l->rip,
		    (unsigned long)l->vector, (unsigned long)l->error, (unsigned long)l->cs,
		    (unsigned long)l->cr2);
	return 1;
}

static unsigned int compare_log(struct guest *g, const struct header *h)
{
	uint64_t n, nr = (h->expect_end - h->expect) / sizeof(struct expected);
	uint64_t nr_logged = guest_read(g, LOG, 8);
	unsigned int bad = 0;

	if (nr != nr_logged)
		print_error("%lu exceptions expected, %lu logged\n", (unsigned long)nr,
			    (unsigned long)nr_logged);
	for (n = 0; n < nr && n < nr_logged && bad < 5; n++) {
		struct expected e;
		struct logged l;

		memcpy(&e, g->ram + h->expect + n * sizeof(e), sizeof(e));
		memcpy(&l, g->ram + LOG + 64 + n * sizeof(l), sizeof(l));
		bad += differs(&e, &l);
	}
	return bad + (nr != nr_logged);
}

static unsigned int compare_results(struct guest *g, const struct header *h)
{
	uint64_t n, nr = (h->want_end - h->want) / 16;
	unsigned int bad = 0;

	for (n = 0; n < nr && bad < 10; n++) {
		uint64_t want = guest_read(g, h->want + n * 16, 8);
		uint64_t have = guest_read(g, h->want + n * 16 + 8, 8);

		if (want == have)
			continue;
		print_error("result %lu: want %#lx, have %#lx\n", (unsigned long)n,
			    (unsigned long)want, (unsigned long)have);
		bad++;
	}
	return bad;
}

static void the_guest_sees_what_it_expects(void **state)
{
	struct header h;
	struct guest g;
	unsigned int bad;

	start(&g);
	run(&g);
	memcpy(&h, g.ram + IMAGE_GPA, sizeof(h));
	bad = compare_log(&g, &h) + compare_results(&g, &h);
	assert_int_equal(bad, 0);
	assert_int_equal(g.s->gpr[CPU_RAX], FINISHED);
	guest_unmake(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guest_sees_what_it_expects),
	};

	if (argc != 2)
		return 2;
	image_path = argv[1];
	return cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}
